import type { Actor } from '../domain/actor.ts'
import { overseen } from '../domain/directory.ts'
import type { Capability } from '../domain/machine.ts'
import { maskName } from '../domain/masks.ts'
import { secures } from '../domain/places.ts'
import { Problem, says } from '../domain/problems.ts'
import { forgetActor } from './actors.ts'
import { account } from './audit.ts'
import { decodeCursor, pageOf, type Page } from './cursor.ts'
import { tenantHere, type Db } from './db.ts'
import type { Keyring } from './keyring.ts'
import { UUID } from './load.ts'
import { overseenPath } from './people.ts'
import type { Place } from './places.ts'
import { named, refPair } from './refs.ts'
import { openSubjects } from './subjects.ts'
import { transaction } from './transaction.ts'

interface Someone {
  id: string
  login: string | null
  name: string | null
}

export interface DutyView {
  id: string
  role: { code: string; name: string; capabilities: Capability[] }
  person: Someone
  node: Place
  organisation: Place | null
  standIn: { person: Someone; from: Date | null; to: Date | null } | null
  secondedFrom: Place | null
  from: Date
  to: Date | null
}

interface Row {
  id: string
  path: string
  role: DutyView['role']
  person: Omit<Someone, 'name'>
  subjectId: string
  node: Place
  organisation: Place | null
  standIn: (Omit<Someone, 'name'> & { subjectId: string }) | null
  standInFrom: Date | null
  standInTo: Date | null
  secondedFrom: Place | null
  from: Date
  to: Date | null
}

const place = (alias: string) => `CASE WHEN ${alias}.id IS NOT NULL THEN jsonb_build_object('id', ${alias}.id, 'code', ${alias}.code, 'name', ${alias}.name) END`
const VIEW = `d.id, n.path, jsonb_build_object('code', ro.code, 'name', ro.name, 'capabilities', ro.capabilities) AS role,
  jsonb_build_object('id', p.id, 'login', p.login) AS person, p."subjectId",
  ${place('n')} AS node, ${place('o')} AS organisation, ${place('f')} AS "secondedFrom", d."from", d."to", d."standInFrom", d."standInTo",
  CASE WHEN s.id IS NOT NULL THEN jsonb_build_object('id', s.id, 'login', s.login, 'subjectId', s."subjectId") END AS "standIn"`
const FROM = `FROM duty d JOIN role ro ON ro."tenantId" = d."tenantId" AND ro.code = d."roleCode" JOIN person p ON p."tenantId" = d."tenantId" AND p.id = d."personId"
  JOIN node n ON n."tenantId" = d."tenantId" AND n.id = d."nodeId" LEFT JOIN organisation o ON o."tenantId" = d."tenantId" AND o.id = d."organisationId"
  LEFT JOIN person s ON s."tenantId" = d."tenantId" AND s.id = d."standInId" LEFT JOIN organisation f ON f."tenantId" = d."tenantId" AND f.id = d."secondedFromId"`
/** One's own, those stood in for, and those at the places overseen. */
const SIGHT = `($2::uuid IN (d."personId", d."standInId") OR EXISTS (SELECT FROM unnest($3::text[]) u WHERE starts_with(n.path, u)))`

const sightOf = (actor: Actor): [string | null, string[]] =>
  actor.kind === 'person' ? [actor.id, overseen(actor)] : [null, actor.kind === 'system' ? [''] : []]

async function shown(db: Db, keyring: Keyring, rows: readonly Row[]): Promise<DutyView[]> {
  const known = await openSubjects(db, keyring, rows.flatMap(({ subjectId, standIn }) => [subjectId, ...(standIn ? [standIn.subjectId] : [])]))
  const nameOf = (subjectId: string) => {
    const name = known.get(subjectId)?.name
    return name === undefined ? null : maskName(name)
  }
  return rows.map(({ path: _, subjectId, person, standIn, standInFrom, standInTo, ...row }) => ({
    ...row,
    person: { ...person, name: nameOf(subjectId) },
    standIn: standIn && { person: { id: standIn.id, login: standIn.login, name: nameOf(standIn.subjectId) }, from: standInFrom, to: standInTo },
  }))
}

export interface DutiesQuery {
  /** Id or code of a node: duties there or below. */
  node?: string | undefined
  /** Id or 工号. */
  person?: string | undefined
  /** Id or code. */
  organisation?: string | undefined
  role?: string | undefined
  /** Those that have ended too. */
  ended?: boolean | undefined
  cursor?: string | undefined
  limit: number
}

/** Held now or from a later day on, newest first. @throws Problem not-found for a node out of sight, cursor-unusable */
export async function listDuties(
  db: Db, keyring: Keyring, { node, person, organisation, role, ended = false, cursor, limit }: DutiesQuery, actor: Actor,
): Promise<Page<DutyView>> {
  const [own, paths] = node === undefined ? sightOf(actor) : [null, [await overseenPath(db, node, actor)]]
  const { rows } = await db.app.query<Row>({
    name: 'duties',
    text: `SELECT ${VIEW} ${FROM} WHERE d."tenantId" = $1 AND ${SIGHT} AND ($4::uuid IS NULL OR d.id < $4)
      AND ($5::text IS NULL OR ro.code = $5) AND ($6::bool OR d."to" IS NULL OR d."to" > wishwall_now())
      AND (NOT $7::bool OR ${named('p', 'login', 8)}) AND (NOT $10::bool OR ${named('o', 'code', 11)}) ORDER BY d.id DESC LIMIT $13`,
    values: [tenantHere(), own, paths, cursor === undefined ? null : decodeCursor(cursor, UUID), role, ended,
      person !== undefined, ...refPair(person), organisation !== undefined, ...refPair(organisation), limit + 1],
  })
  const { data, page } = pageOf(rows, limit, ({ id }) => id)
  return { data: await shown(db, keyring, data), page }
}

/** @throws Problem not-found also when it is there, but out of sight */
export async function readDuty(db: Db, keyring: Keyring, id: string, actor: Actor): Promise<DutyView> {
  const [duty] = await shown(db, keyring, [await inSight(db, id, actor)])
  return duty!
}

async function inSight(db: Db, id: string, actor: Actor): Promise<Row> {
  const { rows: [row] } = await db.app.query<Row>({
    name: 'duty', text: `SELECT ${VIEW} ${FROM} WHERE d."tenantId" = $1 AND ${SIGHT} AND d.id = $4`, values: [tenantHere(), ...sightOf(actor), id],
  })
  if (!row) throw new Problem('not-found')
  return row
}

/** @throws Problem not-found, forbidden */
export async function administeredDuty(db: Db, id: string, actor: Actor): Promise<Row> {
  const row = await inSight(db, id, actor)
  if (!secures(actor, row.path)) throw new Problem('forbidden')
  return row
}

/**
 * From now on, or from a later time. What ended earlier stays as it is; what was to begin later never begins.
 * @throws Problem not-found, forbidden, validation-failed at /at for a time gone by
 */
export async function endDuty(db: Db, keyring: Keyring, id: string, at: Date | undefined, actor: Actor): Promise<DutyView> {
  const duty = await administeredDuty(db, id, actor)
  await transaction(db.app, async (client) => {
    const { rowCount } = await client.query({
      name: 'end_duty',
      text: `UPDATE duty SET "to" = LEAST(COALESCE("to", 'infinity'), GREATEST("from", COALESCE($3::timestamptz, wishwall_now())))
        WHERE "tenantId" = $1 AND id = $2 AND COALESCE($3 >= wishwall_now(), true)`,
      values: [tenantHere(), id, at],
    })
    if (rowCount === 0) throw new Problem('validation-failed', { errors: [{ pointer: '/at', code: 'value', message: says('不能早于现在', 'Must not lie in the past') }] })
    await account(client, actor, { action: 'duty.ended', object: 'duty', objectId: id, details: { personId: duty.person.id, at: at?.toISOString() ?? null } })
  })
  forgetHolders(db, duty)
  return readDuty(db, keyring, id, actor)
}

/** What was just changed counts at once in this process. */
export function forgetHolders(db: Db, { person, standIn }: Row): void {
  for (const holder of [person, standIn]) if (holder) forgetActor(db, holder.id)
}
