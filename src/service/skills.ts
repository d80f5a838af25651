import { v7 as uuidv7 } from 'uuid'
import { actsFor, type Actor } from '../domain/actor.ts'
import { decidesAt, overseen } from '../domain/directory.ts'
import { maskName } from '../domain/masks.ts'
import { administers } from '../domain/places.ts'
import { Problem, says } from '../domain/problems.ts'
import { unknown } from './appointments.ts'
import { decodeCursor, pageOf, type Page } from './cursor.ts'
import { tenantHere, type Db } from './db.ts'
import { violates } from './failures.ts'
import { HELD } from './holders.ts'
import type { Keyring } from './keyring.ts'
import { UUID } from './load.ts'
import { readParent } from './nodes.ts'
import { named, refPair } from './refs.ts'
import { openSubjects } from './subjects.ts'
import { rootOf } from './tenants.ts'
import { codeTaken } from './tree.ts'

export interface SkillView {
  code: string
  name: string
  /** How many hold it, verified. */
  holders: number
}

/** Some dozens: no pages. */
export async function listSkills(db: Db): Promise<SkillView[]> {
  const { rows } = await db.app.query<SkillView>({
    name: 'skills',
    text: `SELECT k.code, k.name, (SELECT count(*)::int FROM skill_holder h
        WHERE h."tenantId" = k."tenantId" AND h."skillCode" = k.code AND h."verifiedAt" IS NOT NULL AND h."endedAt" IS NULL) AS holders
      FROM skill k WHERE k."tenantId" = $1 ORDER BY k.code`,
    values: [tenantHere()],
  })
  return rows
}

/** @throws Problem forbidden without `administer` over the whole tenant, validation-failed for a code in use */
export async function createSkill(db: Db, { code, name }: { code: string; name: string }, actor: Actor): Promise<SkillView> {
  const root = await readParent(db, await rootOf(db))
  if (!root || !administers(actor, root.path)) throw new Problem('forbidden')
  await db.prisma.skill.create({ data: { tenantId: tenantHere(), code, name } })
    .catch((error: unknown) => { throw violates(error, 'skill_pkey') ? codeTaken() : error })
  return { code, name, holders: 0 }
}

/** @throws Problem validation-failed at /skills/n for what is no skill */
export async function requireSkills(db: Db, codes: readonly string[]): Promise<void> {
  const known = await db.prisma.skill.findMany({ where: { tenantId: tenantHere(), code: { in: [...codes] } }, select: { code: true } })
  const errors = codes.flatMap((code, index) => known.some((skill) => skill.code === code) ? []
    : [{ pointer: `/skills/${index}`, code: 'value', message: says('没有这种技能', 'No such skill') }])
  if (errors.length > 0) throw new Problem('validation-failed', { errors })
}

export interface HolderView {
  id: string
  skill: { code: string; name: string }
  person: { id: string; login: string | null; name: string | null } | null
  organisation: { id: string; code: string; name: string } | null
  level: number
  declaredAt: Date
  verifiedBy: string | null
  verifiedAt: Date | null
}

type Row = Omit<HolderView, 'person'> & { personId: string | null; login: string | null; subjectId: string | null; paths: string[] }

/** Where somebody belongs, as SQL: he lives there, holds a duty there, is of an organisation there; an organisation where it is. */
const PATHS = (person: string, organisation: string) => `ARRAY(SELECT n.path FROM node n WHERE n."tenantId" = $1 AND (
  n.id = (SELECT p."nodeId" FROM person p WHERE p."tenantId" = $1 AND p.id = ${person})
  OR n.id IN (SELECT d."nodeId" FROM duty d WHERE d."tenantId" = $1 AND d."personId" = ${person} AND ${HELD})
  OR n.id IN (SELECT o."nodeId" FROM affiliation a JOIN organisation o ON o."tenantId" = a."tenantId" AND o.id = a."organisationId"
    WHERE a."tenantId" = $1 AND a."personId" = ${person} AND a."verifiedAt" IS NOT NULL AND a."endedAt" IS NULL)
  OR n.id = (SELECT o."nodeId" FROM organisation o WHERE o."tenantId" = $1 AND o.id = ${organisation})))`

const VIEW = `h.id, jsonb_build_object('code', k.code, 'name', k.name) AS skill, h.level, h."declaredAt", h."verifiedById" AS "verifiedBy", h."verifiedAt",
  h."personId", p.login, p."subjectId",
  CASE WHEN o.id IS NOT NULL THEN jsonb_build_object('id', o.id, 'code', o.code, 'name', o.name) END AS organisation`
const FROM = `FROM skill_holder h JOIN skill k ON k."tenantId" = h."tenantId" AND k.code = h."skillCode"
  LEFT JOIN person p ON p."tenantId" = h."tenantId" AND p.id = h."personId" LEFT JOIN organisation o ON o."tenantId" = h."tenantId" AND o.id = h."organisationId"`

export interface Declaration {
  /** Id or 工号; this or an organisation. */
  person?: string | undefined
  /** Id or code. */
  organisation?: string | undefined
  /** 1 to 5. */
  level: number
}

/**
 * By oneself: declared, and waiting for the branch; another level than before waits again. By whoever decides where the
 * person or the organisation belongs: verified with that.
 * @throws Problem not-found for the skill, person-unknown, organisation-unknown, forbidden
 */
export async function declareSkill(db: Db, keyring: Keyring, skill: string, { person, organisation, level }: Declaration, actor: Actor): Promise<HolderView> {
  const party = await partyOf(db, skill, person, organisation)
  const verifies = !party.own(actor) && actor.kind === 'person' && party.paths.some((path) => decidesAt(actor, path))
  if (!verifies && !party.own(actor)) throw new Problem('forbidden')
  const [column, id] = party.personId === null ? ['organisationId', party.organisationId] : ['personId', party.personId]
  const { rows: [row] } = await db.app.query<{ id: string }>({
    name: `declare_skill_${column}`,
    text: `INSERT INTO skill_holder AS h ("tenantId", id, "skillCode", "${column}", level, "declaredAt", "verifiedById", "verifiedAt")
      VALUES ($1, $2, $3, $4, $5, wishwall_now(), $6, CASE WHEN $6::uuid IS NOT NULL THEN wishwall_now() END)
      ON CONFLICT ("tenantId", "${column}", "skillCode") WHERE "endedAt" IS NULL AND "${column}" IS NOT NULL DO UPDATE SET
        level = excluded.level, "declaredAt" = excluded."declaredAt",
        "verifiedById" = CASE WHEN excluded."verifiedAt" IS NULL AND h.level = excluded.level THEN h."verifiedById" ELSE excluded."verifiedById" END,
        "verifiedAt" = CASE WHEN excluded."verifiedAt" IS NULL AND h.level = excluded.level THEN h."verifiedAt" ELSE excluded."verifiedAt" END
      RETURNING id`,
    values: [tenantHere(), uuidv7(), skill, id, level, verifies && actor.kind === 'person' ? actor.id : null],
  })
  return shown(db, keyring, await holder(db, skill, row!.id)).then(([view]) => view!)
}

interface Party {
  personId: string | null
  organisationId: string | null
  paths: string[]
  own(actor: Actor): boolean
}

async function partyOf(db: Db, skill: string, person: string | undefined, organisation: string | undefined): Promise<Party> {
  const { rows: [row] } = await db.app.query<{ skill: string | null; personId: string | null; organisationId: string | null; paths: string[] }>({
    name: 'skill_party',
    text: `SELECT x.*, ${PATHS('x."personId"', 'x."organisationId"')} AS paths FROM (SELECT (SELECT k.code FROM skill k WHERE k."tenantId" = $1 AND k.code = $2) AS skill,
      (SELECT p.id FROM person p WHERE ${named('p', 'login', 3)}) AS "personId",
      (SELECT o.id FROM organisation o WHERE ${named('o', 'code', 5)} AND NOT o.pending) AS "organisationId") x`,
    values: [tenantHere(), skill, ...refPair(person), ...refPair(organisation)],
  })
  if (!row?.skill) throw new Problem('not-found')
  if (person !== undefined && !row.personId) throw unknown('person-unknown', '/person')
  if (organisation !== undefined && !row.organisationId) throw unknown('organisation-unknown', '/organisation')
  return { ...row, own: (actor) => isOwn(row, actor) }
}

const isOwn = ({ personId, organisationId }: { personId: string | null; organisationId: string | null }, actor: Actor): boolean =>
  actor.kind === 'person' && (personId === actor.id || (organisationId !== null && actsFor(actor, organisationId)))

export interface HoldersQuery {
  verified?: boolean | undefined
  cursor?: string | undefined
  limit: number
}

/** Those of the places the actor oversees, and himself; newest first. @throws Problem not-found for the skill, cursor-unusable */
export async function listHolders(db: Db, keyring: Keyring, skill: string, { verified, cursor, limit }: HoldersQuery, actor: Actor): Promise<Page<HolderView>> {
  await partyOf(db, skill, undefined, undefined)
  const { rows } = await db.app.query<Row>({
    name: 'skill_holders',
    text: `SELECT * FROM (SELECT ${VIEW}, ${PATHS('h."personId"', 'h."organisationId"')} AS paths ${FROM}
        WHERE h."tenantId" = $1 AND h."skillCode" = $2 AND h."endedAt" IS NULL AND ($3::uuid IS NULL OR h.id < $3) AND ($4::bool IS NULL OR $4 = (h."verifiedAt" IS NOT NULL))) h
      WHERE h."personId" = $5 OR EXISTS (SELECT FROM unnest($6::text[]) u, unnest(h.paths) w WHERE starts_with(w, u)) ORDER BY h.id DESC LIMIT $7`,
    values: [tenantHere(), skill, cursor === undefined ? null : decodeCursor(cursor, UUID), verified, actor.kind === 'person' ? actor.id : null,
      actor.kind === 'person' ? overseen(actor) : actor.kind === 'system' ? [''] : [], limit + 1],
  })
  const { data, page } = pageOf(rows, limit, ({ id }) => id)
  return { data: await shown(db, keyring, data), page }
}

/** By oneself or by who decides there. What it was good for stays in the history. @throws Problem not-found, forbidden */
export async function endSkill(db: Db, skill: string, id: string, actor: Actor): Promise<void> {
  const [row] = await holder(db, skill, id)
  const sees = row && (isOwn({ personId: row.personId, organisationId: row.organisation?.id ?? null }, actor) || row.paths.some((path) => decidesAt(actor, path)))
  if (!sees) throw new Problem('not-found')
  await db.app.query({
    name: 'end_skill', text: `UPDATE skill_holder SET "endedAt" = wishwall_now() WHERE "tenantId" = $1 AND id = $2 AND "endedAt" IS NULL`, values: [tenantHere(), id],
  })
}

async function holder(db: Db, skill: string, id: string): Promise<Row[]> {
  const { rows } = await db.app.query<Row>({
    name: 'skill_holder',
    text: `SELECT ${VIEW}, ${PATHS('h."personId"', 'h."organisationId"')} AS paths ${FROM} WHERE h."tenantId" = $1 AND h."skillCode" = $2 AND h.id = $3 AND h."endedAt" IS NULL`,
    values: [tenantHere(), skill, id],
  })
  return rows
}

async function shown(db: Db, keyring: Keyring, rows: readonly Row[]): Promise<HolderView[]> {
  const known = await openSubjects(db, keyring, rows.flatMap(({ subjectId }) => subjectId ?? []))
  return rows.map(({ personId, login, subjectId, paths: _, ...row }) => {
    const name = subjectId === null ? undefined : known.get(subjectId)?.name
    return { ...row, person: personId === null ? null : { id: personId, login, name: name === undefined ? null : maskName(name) } }
  })
}
