import { v7 as uuidv7 } from 'uuid'
import { SYSTEM, type Actor } from '../domain/actor.ts'
import { inPerson, isRoot, liesIn, looksAfter, mayRegister, overseen } from '../domain/directory.ts'
import { maskDoor, maskName, maskPhone } from '../domain/masks.ts'
import { secures } from '../domain/places.ts'
import { Problem, says } from '../domain/problems.ts'
import { account } from './audit.ts'
import { decodeCursor, pageOf, type Page } from './cursor.ts'
import { tenantHere, type Db } from './db.ts'
import { violates } from './failures.ts'
import type { Keyring } from './keyring.ts'
import { isId, UUID } from './load.ts'
import { ofSubjects, peopleNamed, type Found } from './named-people.ts'
import { NO_SUCH_NODE } from './nodes.ts'
import { hashPassword, oneTimePassword } from './passwords.ts'
import type { Place } from './places.ts'
import { changeSubject, findSubjects, openSubjects, sealSubject, type Personal } from './subjects.ts'
import { findNode } from './targets.ts'
import { transaction } from './transaction.ts'

interface NewPerson extends Personal {
  name: string
  /** Where he lives or works; the tenant as a whole when left out. */
  nodeId?: string | undefined
  /** 工号; without one there is no account. */
  login?: string | undefined
  password?: string | undefined
  /** The password is good for choosing another and nothing else. */
  once?: boolean
}

/** @throws Problem validation-failed at /login when it is taken */
export async function createPerson(db: Db, keyring: Keyring, { nodeId, login, password, once = false, ...personal }: NewPerson, actor: Actor = SYSTEM): Promise<string> {
  const subject = sealSubject(keyring, personal)
  const id = uuidv7()
  const passwordHash = password === undefined ? null : await hashPassword(password)
  await transaction(db.app, async (client) => {
    await client.query({
      name: 'create_person',
      text: `
        WITH s AS (INSERT INTO subject ("tenantId", id, key, kid, sealed, phone, "namesKid") VALUES ($1, $2, $3, $4, $5, $6, $12)),
        n AS (INSERT INTO subject_name ("tenantId", "subjectId", n, gram) SELECT $1, $2, o, g FROM unnest($13::bytea[]) WITH ORDINALITY AS t(g, o))
        INSERT INTO person ("tenantId", id, "subjectId", login, "passwordHash", "passwordOnce", "nodeId") VALUES ($1, $7, $2, $8, $9, $10, $11)`,
      values: [tenantHere(), subject.id, subject.key, subject.kid, subject.sealed, subject.phone, id, login, passwordHash, once, nodeId, subject.namesKid, subject.names],
    })
    await account(client, actor, { action: 'person.created', object: 'person', objectId: id, details: { nodeId: nodeId ?? null, account: login !== undefined } })
  })
    .catch((error: unknown) => {
      if (!violates(error, 'person_tenantId_login_key')) throw error
      throw new Problem('validation-failed', { errors: [{ pointer: '/login', code: 'taken', message: says('该工号已被使用', 'This login is taken') }] })
    })
  return id
}

/** A person as the directory shows him: what is personal is masked. */
export interface PersonView {
  id: string
  login: string | null
  name: string | null
  phone: string | null
  door: string | null
  node: Place | null
  hasAccount: boolean
  suspendedAt: Date | null
  createdAt: Date
}

type Row = Omit<PersonView, 'name' | 'phone' | 'door'> & { subjectId: string }

const VIEW = `p.id, p.login, p."subjectId", p."passwordHash" IS NOT NULL AS "hasAccount", p."suspendedAt", p."createdAt",
  (SELECT jsonb_build_object('id', n.id, 'code', n.code, 'name', n.name) FROM node n WHERE n."tenantId" = p."tenantId" AND n.id = p."nodeId") AS node`

async function shown(db: Db, keyring: Keyring, rows: readonly Row[]): Promise<PersonView[]> {
  const known = await openSubjects(db, keyring, rows.map(({ subjectId }) => subjectId))
  return rows.map(({ subjectId, ...row }) => ({ ...row, ...masked(known.get(subjectId)) }))
}

/** Null is what was never given, or has been erased. */
export const masked = ({ name, phone, door }: Personal = {}): Pick<PersonView, 'name' | 'phone' | 'door'> => ({
  name: name === undefined ? null : maskName(name),
  phone: phone === undefined ? null : maskPhone(phone),
  door: door === undefined ? null : maskDoor(door),
})

export interface Registration {
  name: string
  phone?: string | undefined
  door?: string | undefined
  /** Id or code. */
  node: string
  /** Gives an account, with a one-time password. */
  login?: string | undefined
}

/**
 * A resident to file for, or with a login a person with an account.
 * @throws Problem node-unknown; validation-failed for a login in use; forbidden without `file_for` or `administer` over the node, with a login without `administer` or through an app
 */
export async function registerPerson(db: Db, keyring: Keyring, registration: Registration, actor: Actor): Promise<PersonView & { oneTimePassword: string | null }> {
  const { id, password } = await takeIn(db, keyring, registration, actor)
  const [person] = await shown(db, keyring, (await db.app.query<Row>({ name: 'person', text: `SELECT ${VIEW} FROM person p WHERE p."tenantId" = $1 AND p.id = $2`, values: [tenantHere(), id] })).rows)
  return { ...person!, oneTimePassword: password ?? null }
}

/** The same, where nobody looks at what came of it. */
export async function takeIn(db: Db, keyring: Keyring, { node, login, ...personal }: Registration, actor: Actor): Promise<{ id: string; password: string | undefined }> {
  const place = await placeOf(db, node)
  if (!mayRegister(actor, place.path)) throw new Problem('forbidden')
  if (login !== undefined && !(secures(actor, place.path) && inPerson(actor))) throw new Problem('forbidden', { errors: [{ pointer: '/login', message: IN_PERSON }] })
  const password = login === undefined ? undefined : oneTimePassword()
  return { id: await createPerson(db, keyring, { ...personal, nodeId: place.id, login, password, once: true }, actor), password }
}

const IN_PERSON = says('只有管理员本人可以开设账号', 'Only an administrator in person opens accounts')
const hasName = async (db: Db, keyring: Keyring, { subjectId }: Row): Promise<boolean> => (await openSubjects(db, keyring, [subjectId])).get(subjectId)?.name !== undefined

async function placeOf(db: Db, node: string): Promise<{ id: string; path: string }> {
  const place = await findNode(db, node)
  if (!place) throw new Problem('node-unknown', { errors: [{ pointer: '/node', message: NO_SUCH_NODE }] })
  return place
}

export interface PersonChange {
  name?: string | undefined
  /** Null takes it away. */
  phone?: string | null | undefined
  door?: string | null | undefined
  node?: string | undefined
}

/**
 * Corrects what is written down of a person; what is left out stays (个人信息保护法 第四十六条). He himself gives phone and
 * door, and his name while there is none: later it is what others have verified.
 * @throws Problem not-found, node-unknown; forbidden for those with an account unless the actor administers every place of theirs
 */
export async function changePerson(db: Db, keyring: Keyring, ref: string, { node, ...personal }: PersonChange, actor: Actor): Promise<PersonView> {
  const person = await findPerson(db, ref, actor)
  const may = person.hasAccount ? looksAfter(actor, person.paths) : person.paths.every((path) => mayRegister(actor, path))
  const self = actor.kind === 'person' && actor.id === person.id && node === undefined
  if (!may && !(self && (personal.name === undefined || !(await hasName(db, keyring, person))))) throw new Problem('forbidden')
  const place = node === undefined ? undefined : await placeOf(db, node)
  if (place && !(person.hasAccount ? secures(actor, place.path) : mayRegister(actor, place.path))) {
    throw new Problem('forbidden', { errors: [{ pointer: '/node', message: says('不在您的管辖范围', 'Not a place of yours') }] })
  }
  const fields = Object.entries(personal).flatMap(([field, value]) => (value === undefined ? [] : [field]))
  await transaction(db.app, async (client) => {
    if (fields.length > 0 && !(await changeSubject({ app: client }, keyring, person.subjectId, personal))) throw new Problem('person-erased')
    if (place) await client.query({ name: 'move_person', text: `UPDATE person SET "nodeId" = $3 WHERE "tenantId" = $1 AND id = $2`, values: [tenantHere(), person.id, place.id] })
    await account(client, actor, { action: fields.length > 0 ? 'subject.corrected' : 'person.changed', object: 'person', objectId: person.id, details: { fields, nodeId: place?.id ?? null } })
  })
  return readPerson(db, keyring, person.id, actor)
}

export interface PeopleQuery {
  /** Id or code of a node: people there or below. */
  node?: string | undefined
  phone?: string | undefined
  q?: string | undefined
  cursor?: string | undefined
  limit: number
}

/** Lives or works there, holds a duty there or stands in for one, is or wants to be of an organisation there. */
const IN_TREES = `n."tenantId" = $1 AND EXISTS (SELECT FROM unnest($2::text[]) u WHERE starts_with(n.path, u))`
const OF_TREES = `p.id IN (
  SELECT h.id FROM node n JOIN person h ON h."tenantId" = n."tenantId" AND h."nodeId" = n.id WHERE ${IN_TREES}
  UNION ALL SELECT x.id FROM node n JOIN duty d ON d."tenantId" = n."tenantId" AND d."nodeId" = n.id AND (d."to" IS NULL OR d."to" > wishwall_now())
    CROSS JOIN LATERAL (VALUES (d."personId"), (d."standInId")) x(id) WHERE ${IN_TREES}
  UNION ALL SELECT a."personId" FROM node n JOIN organisation o ON o."tenantId" = n."tenantId" AND o."nodeId" = n.id
    JOIN affiliation a ON a."tenantId" = o."tenantId" AND a."organisationId" = o.id AND a."endedAt" IS NULL AND a."rejectedAt" IS NULL WHERE ${IN_TREES})`
/** The same, asked of one person: by his keys, and not of everybody in the trees. */
export const IS_OF_TREES = `EXISTS (SELECT FROM (
    SELECT p."nodeId" AS id
    UNION ALL SELECT d."nodeId" FROM duty d WHERE d."tenantId" = $1 AND d."personId" = p.id AND (d."to" IS NULL OR d."to" > wishwall_now())
    UNION ALL SELECT d."nodeId" FROM duty d WHERE d."tenantId" = $1 AND d."standInId" = p.id AND (d."to" IS NULL OR d."to" > wishwall_now())
    UNION ALL SELECT o."nodeId" FROM affiliation a JOIN organisation o ON o."tenantId" = a."tenantId" AND o.id = a."organisationId"
      WHERE a."tenantId" = $1 AND a."personId" = p.id AND a."endedAt" IS NULL AND a."rejectedAt" IS NULL) x JOIN node n ON n.id = x.id WHERE ${IN_TREES})`
/** Those who came by an app are its own. */
const OF_APP = `EXISTS (SELECT FROM external_user x WHERE x."tenantId" = $1 AND x."personId" = p.id AND x."clientId" = ($2::text[])[1]::uuid)`
const HIMSELF = `p.id = ($2::text[])[1]::uuid`

/** Whom the actor finds, as SQL on `p` with one list of texts: for a list, and for those found by a key. */
interface Sight {
  name: string
  list: string
  each: string
  value: string[]
}

function sightOf(actor: Actor): Sight {
  if (actor.kind === 'system') return ALL
  if (actor.kind === 'app') return { name: 'app', list: OF_APP, each: OF_APP, value: [actor.clientId] }
  return inTrees(overseen(actor)) ?? { name: 'self', list: HIMSELF, each: HIMSELF, value: [actor.id] }
}

/** Whoever belongs to no place is the whole tenant's. */
const ALL: Sight = { name: 'all', list: `$2::text[] IS NOT NULL`, each: `$2::text[] IS NOT NULL`, value: [] }

const inTrees = (paths: string[]): Sight | undefined =>
  paths.some(isRoot) ? ALL : paths.length === 0 ? undefined : { name: 'trees', list: OF_TREES, each: IS_OF_TREES, value: paths }

/**
 * Newest first: staff find the people of the places they oversee, an app the residents it brought, everybody else himself.
 * @throws Problem not-found for a node out of sight, cursor-unusable; forbidden for a name, without looking after people
 */
export async function listPeople(db: Db, keyring: Keyring, { node, phone, q, cursor, limit }: PeopleQuery, actor: Actor): Promise<Page<PersonView>> {
  const sight = node === undefined ? sightOf(actor) : inTrees([await overseenPath(db, node, actor)])!
  const subjects = phone === undefined ? null : await findSubjects(db, keyring, phone)
  const found: Found[] = [...(subjects ? [ofSubjects(subjects)] : []), ...(q === undefined ? [] : await peopleNamed(db, keyring, q, actor))]
  const who = [...found.map(({ sql }, index) => sql(`$${index + 5}`)), found.some(({ few }) => few) ? sight.each : sight.list].join(' AND ')
  const { rows } = await db.app.query<Row>({
    name: ['people', sight.name, ...found.map(({ name }) => name)].join('_'),
    text: `SELECT ${VIEW} FROM person p WHERE p."tenantId" = $1 AND ${who} AND ($3::uuid IS NULL OR p.id < $3) ORDER BY p.id DESC LIMIT $4`,
    values: [tenantHere(), sight.value, cursor === undefined ? null : decodeCursor(cursor, UUID), limit + 1, ...found.map(({ value }) => value)],
  })
  const { data, page } = pageOf(rows, limit, ({ id }) => id)
  return { data: await shown(db, keyring, data), page }
}

/** @throws Problem not-found when it lies outside what the actor oversees */
export async function overseenPath(db: Db, node: string, actor: Actor): Promise<string> {
  const place = await findNode(db, node)
  const sees = actor.kind === 'system' || (actor.kind === 'person' && place !== undefined && liesIn(place.path, overseen(actor)))
  if (!place || !sees) throw new Problem('not-found', { errors: [{ pointer: '/query/node', message: NO_SUCH_NODE }] })
  return place.path
}

/** @param ref id or 工号 @throws Problem not-found also when there is one, but out of sight */
export async function readPerson(db: Db, keyring: Keyring, ref: string, actor: Actor): Promise<PersonView> {
  const { paths: _, ...row } = await findPerson(db, ref, actor)
  const [person] = await shown(db, keyring, [row])
  return person!
}

/** A person in sight, with the paths of all places he belongs to or holds a duty at. @throws Problem not-found */
export async function findPerson(db: Db, ref: string, actor: Actor): Promise<Row & { paths: string[] }> {
  const { name, each, value } = sightOf(actor)
  const own = actor.kind === 'person' ? actor.id : null
  const { rows: [row] } = await db.app.query<Row & { paths: string[] }>({
    name: `person_${isId(ref) ? 'id' : 'login'}_${name}`,
    text: `SELECT ${VIEW}, ARRAY(SELECT n.path FROM node n WHERE n."tenantId" = $1 AND (
        (p."nodeId" IS NULL AND n."parentId" IS NULL) OR n.id = p."nodeId"
        OR n.id IN (SELECT d."nodeId" FROM duty d
          WHERE d."tenantId" = $1 AND p.id IN (d."personId", d."standInId") AND (d."to" IS NULL OR d."to" > wishwall_now())))) AS paths
      FROM person p WHERE p."tenantId" = $1 AND ${isId(ref) ? 'p.id = $3::uuid' : 'p.login = $3'} AND (p.id = $4::uuid OR ${each})`,
    values: [tenantHere(), value, ref, own],
  })
  if (!row) throw new Problem('not-found')
  return row
}
