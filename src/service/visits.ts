import { v7 as uuidv7 } from 'uuid'
import type { Actor, PersonActor } from '../domain/actor.ts'
import type { Body } from '../domain/bodies.ts'
import { dayOf } from '../domain/calendar.ts'
import { Problem, says } from '../domain/problems.ts'
import { COUNTS, isAhead, walks, type Visit } from '../domain/visits.ts'
import { calendars } from './calendars.ts'
import { inOneTransaction, tenantHere, type Db } from './db.ts'
import { isWorthAnotherTry } from './failures.ts'
import { file } from './filing.ts'
import { householdInSight } from './households.ts'
import { fingerprint } from './idempotency.ts'
import type { Keyring } from './keyring.ts'
import { nextNumber } from './numbers.ts'

/** 走访, as it was taken down: what a repeat answers too. */
export interface VisitView {
  id: string
  clientId: string
  household: string
  person: string
  result: Visit['result']
  visitedAt: Date
  filedAt: Date
  /** What was filed with it, in the order of its needs. */
  requests: { id: string; number: string }[]
}

type Row = VisitView & { fingerprint: Buffer }

export const VISIT = `v.id, v."clientRef" AS "clientId", v."householdId" AS household, v."personId" AS person, v.result, v."visitedAt", v."filedAt",
  (SELECT COALESCE(jsonb_agg(jsonb_build_object('id', r.id, 'number', r.number) ORDER BY k.n), '[]') FROM visit_need k JOIN request r ON r."tenantId" = k."tenantId" AND r.id = k."requestId"
    WHERE k."tenantId" = v."tenantId" AND k."visitId" = v.id) AS requests`

/** A twin that writes the same visit just now is waited for so often. */
const TRIES = 3

/**
 * One visit with its needs, in one transaction: whole or not at all, and once however often it is sent, in whatever order.
 * The number of the visitor's own (`clientId`) is his for ever.
 * @param number of its only need, where it has one already
 * @throws Problem client-id-reused for another visit under the same number; not-found for a household out of sight, forbidden for one
 *   neither walked nor linked; validation-failed for a time to come; what filing throws, with the need it is about
 */
export async function fileVisit(db: Db, keyring: Keyring, visit: Visit, actor: Actor, number?: string): Promise<VisitView> {
  if (actor.kind !== 'person') throw new Problem('forbidden')
  const print = printOf(visit)
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const known = await takenDown(db, visit.clientId, print, actor)
    if (known) return known
    try {
      await written(db, keyring, visit, print, actor, number)
    } catch (error) {
      if (!isWorthAnotherTry(error)) throw error
    }
  }
  const known = await takenDown(db, visit.clientId, print, actor)
  if (!known) throw new Problem('overloaded')
  return known
}

async function takenDown(db: Db, clientRef: string, print: Buffer, actor: PersonActor): Promise<VisitView | undefined> {
  const { rows: [row] } = await db.app.query<Row>({
    name: 'visit_by_client_ref', text: `SELECT ${VISIT}, v.fingerprint FROM visit v WHERE v."tenantId" = $1 AND v."personId" = $2 AND v."clientRef" = $3`,
    values: [tenantHere(), actor.id, clientRef],
  })
  if (!row) return undefined
  const { fingerprint: of, ...view } = row
  if (!of.equals(print)) throw new Problem('client-id-reused')
  return view
}

/** Nothing is written where a twin was faster. */
async function written(db: Db, keyring: Keyring, visit: Visit, print: Buffer, actor: PersonActor, number: string | undefined): Promise<void> {
  const { clientId: clientRef, result, visitedAt, needs = [] } = visit
  const household = await householdInSight(db, visit.household, actor).catch((error: unknown) => {
    throw error instanceof Problem ? new Problem('not-found', { errors: [{ pointer: '/household', message: says('没有这一户', 'No such household') }] }) : error
  })
  if (!walks(actor, household.path) && !household.links.some(({ person }) => person === actor.id)) {
    throw new Problem('forbidden', { errors: [{ pointer: '/household', message: says('不是您走访或联系的住户', 'Not a household that you visit') }] })
  }
  const now = await clock(db)
  if (isAhead(visitedAt, now)) throw isToCome()
  const id = uuidv7()
  // Before the transaction: a block of numbers that is undone would be handed out twice.
  const numbers = number !== undefined ? [number] : await numbersFor(db, needs.length, household.path, now)
  await inOneTransaction(db, async () => {
    const taken = await takeDownVisits(db, [{ id, household: visit.household, path: household.path, clientRef, print, result, visitedAt }], actor)
    if (!taken.has(id) || needs.length === 0) return
    const filed: string[] = []
    for (const n of needs.keys()) filed.push(await fileNeed(db, keyring, household.node.id, visit, n, numbers[n]!, actor))
    await keepNeeds(db, filed.map((requestId, n) => ({ visitId: id, n, requestId })))
  })
}

export const isToCome = (): Problem => new Problem('validation-failed', { errors: [{ pointer: '/visitedAt', code: 'value', message: says('走访时间在将来', 'The visit lies in the future') }] })

/** The same visit says the same. */
export const printOf = (visit: Visit): Buffer => fingerprint(JSON.stringify(visit))

export interface NewVisit extends Pick<Visit, 'household' | 'result' | 'visitedAt'> {
  id: string
  path: string
  clientRef: string
  print: Buffer
}

/** Many in one statement. @returns ids of those that were written: a number of the visitor's that is taken is left as it is */
export async function takeDownVisits(db: Db, visits: readonly NewVisit[], actor: PersonActor): Promise<Set<string>> {
  const { rows } = await db.app.query<{ id: string }>({
    name: 'take_down_visits',
    text: `WITH made AS (INSERT INTO visit ("tenantId", id, "householdId", path, "personId", "clientId", "clientRef", fingerprint, result, "visitedAt", "filedAt")
        SELECT $1::uuid, g.id, g.household, g.path, $2::uuid, $3::uuid, g."clientRef", decode(g.print, 'hex'), g.result, g."visitedAt", wishwall_now()
        FROM jsonb_to_recordset($4::jsonb) AS g(id uuid, household uuid, path text, "clientRef" text, print text, result text, "visitedAt" timestamptz)
        ON CONFLICT ("tenantId", "personId", "clientRef") DO NOTHING RETURNING id, "householdId", result, "visitedAt"),
      last AS (SELECT "householdId", max("visitedAt") AS at FROM made WHERE result = ANY ($5::text[]) GROUP BY "householdId"),
      h AS (UPDATE household h SET "visitedAt" = GREATEST(h."visitedAt", l.at) FROM last l WHERE h."tenantId" = $1::uuid AND h.id = l."householdId")
      SELECT id FROM made`,
    values: [tenantHere(), actor.id, actor.clientId, JSON.stringify(visits.map(({ print, ...visit }) => ({ ...visit, print: print.toString('hex') }))), COUNTS],
  })
  return new Set(rows.map(({ id }) => id))
}

/** @param node of the household @returns the request's id @throws Problem as filing does, with the need it is about */
export async function fileNeed(db: Db, keyring: Keyring, node: string, visit: Visit, n: number, number: string, actor: PersonActor): Promise<string> {
  const body: Body<'file'> = { ...visit.needs![n]!, node, source: 'visit', collectedAt: visit.visitedAt }
  return (await file(db, body, actor, { keyring, number }).catch((error: unknown) => { throw within(error, `/needs/${n}`) })).id
}

export async function keepNeeds(db: Db, needs: readonly { visitId: string; n: number; requestId: string }[]): Promise<void> {
  await db.app.query({
    name: 'keep_needs', text: `INSERT INTO visit_need ("tenantId", "visitId", n, "requestId") SELECT $1, v, n, r FROM unnest($2::uuid[], $3::int[], $4::uuid[]) AS t(v, n, r)`,
    values: [tenantHere(), needs.map(({ visitId }) => visitId), needs.map(({ n }) => n), needs.map(({ requestId }) => requestId)],
  })
}

async function numbersFor(db: Db, count: number, path: string, now: Date): Promise<string[]> {
  const day = dayOf((await calendars(db)).at(path), now)
  const numbers: string[] = []
  for (let n = 0; n < count; n++) numbers.push(await nextNumber(db, day))
  return numbers
}

export async function clock(db: Db): Promise<Date> {
  const { rows } = await db.app.query<{ now: Date }>({ name: 'clock', text: 'SELECT wishwall_now() AS now' })
  return rows[0]!.now
}

/** Where in the visit the need lies. */
function within(error: unknown, pointer: string): unknown {
  if (!(error instanceof Problem)) return error
  const errors = error.errors.map((one) => ({ ...one, pointer: `${pointer}${one.pointer}` }))
  return new Problem(error.code, { ...(error.detail && { detail: error.detail }), facts: error.facts, errors, cause: error })
}

