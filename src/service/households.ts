import { v7 as uuidv7 } from 'uuid'
import type { Actor } from '../domain/actor.ts'
import { decidesAt, mayRegister, overseen } from '../domain/directory.ts'
import { maskDoor } from '../domain/masks.ts'
import { Problem, says } from '../domain/problems.ts'
import { doorKey, VISIT_EVERY_DAYS, walks } from '../domain/visits.ts'
import { account } from './audit.ts'
import { decodeCursor, pageOf, type Page } from './cursor.ts'
import { tenantHere, type Db } from './db.ts'
import type { Keyring } from './keyring.ts'
import { isId, UUID } from './load.ts'
import { NO_SUCH_NODE } from './nodes.ts'
import { findPerson, overseenPath } from './people.ts'
import type { Place } from './places.ts'
import { blindIndexes, openSubjects, sealSubject } from './subjects.ts'
import { findNodes } from './targets.ts'
import { tenant } from './tenants.ts'
import { transaction } from './transaction.ts'

/** 户: doors under a building or unit, without names. A door says nearly as much as one: it lies sealed, and is read by those who knock there. */

export interface HouseholdView {
  id: string
  node: Place
  /** Masked for all but those who go there: its links, and whoever files for others at the place. */
  door: string | null
  /** 1+N: who looks after it. */
  links: { person: string; since: Date }[]
  visitedAt: Date | null
  /** When it is due for a visit. */
  dueAt: Date
}

interface Row {
  id: string
  path: string
  subjectId: string
  node: Place
  links: { person: string; since: string }[]
  visitedAt: Date | null
  dueAt: Date
}

/** $2 days between visits. */
const VIEW = `h.id, n.path, h."subjectId", h."visitedAt", COALESCE(h."visitedAt" + $2::int * interval '1 day', h."createdAt") AS "dueAt",
  jsonb_build_object('id', n.id, 'code', n.code, 'name', n.name) AS node,
  (SELECT COALESCE(jsonb_agg(jsonb_build_object('person', l."personId", 'since', l.since) ORDER BY l.id), '[]') FROM household_link l
    WHERE l."tenantId" = h."tenantId" AND l."householdId" = h.id AND l.until IS NULL) AS links`
const FROM = `FROM household h JOIN node n ON n."tenantId" = h."tenantId" AND n.id = h."nodeId"`
/** One's own links, and what lies in the trees overseen: $3 person, $4 paths. */
const SIGHT = `(EXISTS (SELECT FROM household_link l WHERE l."tenantId" = h."tenantId" AND l."householdId" = h.id AND l."personId" = $3::uuid AND l.until IS NULL)
  OR EXISTS (SELECT FROM unnest($4::text[]) u WHERE starts_with(n.path, u)))`

const sightOf = (actor: Actor): [string | null, string[]] => (actor.kind === 'person' ? [actor.id, overseen(actor)] : [null, actor.kind === 'system' ? [''] : []])

export const visitEvery = async (db: Db): Promise<number> => (await tenant(db)).settings.visitEveryDays ?? VISIT_EVERY_DAYS

async function shown(db: Db, keyring: Keyring, rows: readonly Row[], actor: Actor): Promise<HouseholdView[]> {
  const known = await openSubjects(db, keyring, rows.map(({ subjectId }) => subjectId))
  return rows.map(({ subjectId, path, links, ...row }) => {
    const door = known.get(subjectId)?.door
    const reads = walks(actor, path) || (actor.kind === 'person' && links.some(({ person }) => person === actor.id))
    return { ...row, door: door === undefined ? null : reads ? door : maskDoor(door), links: links.map(({ person, since }) => ({ person, since: new Date(since) })) }
  })
}

export interface NewHousehold {
  /** Id or code. */
  node: string
  door: string
}

/**
 * Many at once, all or none; a door that is there already stays as it is, so that a list may be sent again.
 * @returns in the order given
 * @throws Problem node-unknown with the entry, forbidden without `file_for` or `administer` over each place
 */
export async function createHouseholds(db: Db, keyring: Keyring, wanted: readonly NewHousehold[], actor: Actor): Promise<{ id: string; created: boolean }[]> {
  const places = await findNodes(db, wanted.map(({ node }) => node))
  for (const [index, { node }] of wanted.entries()) {
    const place = places.get(node)
    if (!place) throw new Problem('node-unknown', { errors: [{ pointer: `/households/${index}/node`, message: NO_SUCH_NODE }] })
    if (!mayRegister(actor, place.path)) throw new Problem('forbidden', { errors: [{ pointer: `/households/${index}/node`, message: says('不在您的管辖范围', 'Not a place of yours') }] })
  }
  const rows = wanted.map(({ node, door }) => {
    const { id: nodeId } = places.get(node)!
    const { id, key, kid, sealed } = sealSubject(keyring, { door })
    const doors = blindIndexes(keyring, 'door', `${nodeId}/${doorKey(door)}`).map(hex)
    return { id: uuidv7(), nodeId, subjectId: id, key: hex(key), kid, sealed: hex(sealed), doors }
  })
  const { rows: made } = await db.app.query<{ id: string; nodeId: string; door: Buffer; created: boolean }>({
    name: 'create_households',
    // Known under a retired index key too. Of two equal doors in one list the first is made. Each door is looked up by its key (OFFSET 0): a join,
    // planned while there were few, would read all of them.
    text: `WITH given AS MATERIALIZED (SELECT DISTINCT ON ("nodeId", doors ->> 0) r.*, ARRAY(SELECT decode(d, 'hex') FROM jsonb_array_elements_text(doors) d) AS keys
        FROM jsonb_to_recordset($2::jsonb) AS r(id uuid, "nodeId" uuid, "subjectId" uuid, key text, kid text, sealed text, doors jsonb)),
      there AS MATERIALIZED (SELECT g.id AS given, h.* FROM given g CROSS JOIN unnest(g.keys) AS k(key) CROSS JOIN LATERAL (
        SELECT id, "nodeId", door FROM household WHERE "tenantId" = $1 AND "nodeId" = g."nodeId" AND door = k.key OFFSET 0) h),
      fresh AS MATERIALIZED (SELECT * FROM given WHERE id NOT IN (SELECT given FROM there)),
      s AS (INSERT INTO subject ("tenantId", id, key, kid, sealed) SELECT $1::uuid, "subjectId", decode(key, 'hex'), kid, decode(sealed, 'hex') FROM fresh),
      made AS (INSERT INTO household ("tenantId", id, "nodeId", "subjectId", door, "createdAt") SELECT $1::uuid, id, "nodeId", "subjectId", keys[1], wishwall_now() FROM fresh
        ON CONFLICT ("tenantId", "nodeId", door) DO NOTHING RETURNING id, "nodeId", door)
      SELECT id, "nodeId", door, true AS created FROM made UNION ALL SELECT id, "nodeId", door, false FROM there`,
    values: [tenantHere(), JSON.stringify(rows)],
  })
  const known = new Map(made.map(({ id, nodeId, door, created }) => [`${nodeId}/${hex(door)}`, { id, created }]))
  const answers = rows.map(({ nodeId, doors }) => doors.map((door) => known.get(`${nodeId}/${door}`)).find((one) => one !== undefined))
  // Somebody else made one of them in this very moment: it is found now.
  return answers.every((answer) => answer !== undefined) ? answers : createHouseholds(db, keyring, wanted, actor)
}

const hex = (bytes: Buffer): string => bytes.toString('hex')

/** Households by place and door, in the order asked. */
export async function findByDoors(db: Db, keyring: Keyring, wanted: readonly { nodeId: string; door: string }[]): Promise<(string | undefined)[]> {
  const keys = wanted.map(({ nodeId, door }) => blindIndexes(keyring, 'door', `${nodeId}/${doorKey(door)}`))
  const { rows } = await db.app.query<{ id: string; nodeId: string; door: Buffer }>({
    name: 'households_by_door', text: `SELECT id, "nodeId", door FROM household WHERE "tenantId" = $1 AND "nodeId" = ANY ($2::uuid[]) AND door = ANY ($3::bytea[])`,
    values: [tenantHere(), [...new Set(wanted.map(({ nodeId }) => nodeId))], keys.flat()],
  })
  const found = new Map(rows.map(({ id, nodeId, door }) => [`${nodeId}/${hex(door)}`, id]))
  return wanted.map(({ nodeId }, index) => keys[index]!.map((key) => found.get(`${nodeId}/${hex(key)}`)).find((id) => id !== undefined))
}

export interface HouseholdsQuery {
  /** Id or code; there and below. */
  node?: string | undefined
  /** Looked after by this person: id or 工号. */
  person?: string | undefined
  /** Those that are due for a visit, longest due first. */
  due?: boolean | undefined
  cursor?: string | undefined
  limit: number
}

const PLACE = new RegExp(`^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}\\.\\d{3}Z ${UUID.source.slice(1, -1)}$`)

/** Newest first; with `due` the rota. @throws Problem not-found for a node or person out of sight, cursor-unusable */
export async function listHouseholds(db: Db, keyring: Keyring, { node, person, due = false, cursor, limit }: HouseholdsQuery, actor: Actor): Promise<Page<HouseholdView>> {
  const every = await visitEvery(db)
  const [own, paths] = node === undefined ? sightOf(actor) : [null, [await overseenPath(db, node, actor)]]
  const who = person === undefined ? null : (await findPerson(db, person, actor)).id
  const after = cursor === undefined ? null : decodeCursor(cursor, due ? PLACE : UUID).split(' ')
  const past = due ? `($6::timestamptz IS NULL OR ("dueAt", id) > ($6, $7))` : `($6::text IS NULL OR id < $7)`
  const { rows } = await db.app.query<Row>({
    name: due ? 'households_due' : 'households',
    text: `SELECT * FROM (SELECT ${VIEW} ${FROM} WHERE h."tenantId" = $1 AND ${SIGHT}
        AND ($5::uuid IS NULL OR EXISTS (SELECT FROM household_link l WHERE l."tenantId" = $1 AND l."householdId" = h.id AND l."personId" = $5 AND l.until IS NULL))) x
      WHERE ${past} ${due ? 'AND "dueAt" <= wishwall_now() ORDER BY "dueAt", id' : 'ORDER BY id DESC'} LIMIT $8`,
    values: [tenantHere(), every, own, paths, who, after?.[0] ?? null, after?.at(-1) ?? null, limit + 1],
  })
  const { data, page } = pageOf(rows, limit, ({ id, dueAt }) => (due ? `${dueAt.toISOString()} ${id}` : id))
  return { data: await shown(db, keyring, data, actor), page }
}

/** @throws Problem not-found also when it is there, but out of sight */
export async function readHousehold(db: Db, keyring: Keyring, id: string, actor: Actor): Promise<HouseholdView> {
  const [household] = await shown(db, keyring, [await householdInSight(db, id, actor)], actor)
  return household!
}

/** @throws Problem not-found */
export async function householdInSight(db: Db, id: string, actor: Actor): Promise<Row> {
  const { rows: [row] } = isId(id) ? await db.app.query<Row>({
    name: 'household', text: `SELECT ${VIEW} ${FROM} WHERE h."tenantId" = $1 AND ${SIGHT} AND h.id = $5`, values: [tenantHere(), await visitEvery(db), ...sightOf(actor), id],
  }) : { rows: [] }
  if (!row) throw new Problem('not-found')
  return row
}

/**
 * 1+N: gives households into somebody's care, or takes them out of it. May be sent again.
 * @param person id or 工号
 * @returns how many that changed
 * @throws Problem not-found for a household out of sight, person-unknown, forbidden without `dispatch` or `administer` over each
 */
export async function linkHouseholds(db: Db, households: readonly string[], person: string, linked: boolean, actor: Actor): Promise<number> {
  for (const id of households) if (!decidesAt(actor, (await householdInSight(db, id, actor)).path)) throw new Problem('forbidden')
  const { id: personId } = await findPerson(db, person, actor).catch(() => { throw new Problem('person-unknown', { errors: [{ pointer: '/person', message: says('没有这个人', 'No such person') }] }) })
  return transaction(db.app, async (client) => {
    const { rows } = await client.query<{ householdId: string }>(linked
      ? {
        name: 'link_households',
        text: `INSERT INTO household_link ("tenantId", id, "householdId", "personId", since) SELECT $1, i, h, $4, wishwall_now() FROM unnest($2::uuid[], $3::uuid[]) x (i, h)
          ON CONFLICT ("tenantId", "householdId", "personId") WHERE until IS NULL DO NOTHING RETURNING "householdId"`,
        values: [tenantHere(), households.map(() => uuidv7()), households, personId],
      }
      : {
        name: 'unlink_households', values: [tenantHere(), households, personId],
        text: `UPDATE household_link SET until = wishwall_now() WHERE "tenantId" = $1 AND "householdId" = ANY ($2::uuid[]) AND "personId" = $3 AND until IS NULL RETURNING "householdId"`,
      })
    // Whoever is linked reads the door: who gave it to him is on record.
    if (rows.length > 0) {
      await account(client, actor, { action: linked ? 'household.linked' : 'household.unlinked', object: 'person', objectId: personId, details: { households: rows.map(({ householdId }) => householdId) } })
    }
    return rows.length
  })
}
