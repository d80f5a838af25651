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
  const print = fingerprint(JSON.stringify(visit))
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
  if (isAhead(visitedAt, now)) throw new Problem('validation-failed', { errors: [{ pointer: '/visitedAt', code: 'value', message: says('走访时间在将来', 'The visit lies in the future') }] })
  const id = uuidv7()
  // Before the transaction: a block of numbers that is undone would be handed out twice.
  const numbers = number !== undefined ? [number] : await numbersFor(db, needs.length, household.path, now)
  await inOneTransaction(db, async () => {
    const { rowCount } = await db.app.query({
      name: 'take_down_visit',
      text: `INSERT INTO visit ("tenantId", id, "householdId", path, "personId", "clientId", "clientRef", fingerprint, result, "visitedAt", "filedAt")
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, wishwall_now()) ON CONFLICT ("tenantId", "personId", "clientRef") DO NOTHING`,
      values: [tenantHere(), id, visit.household, household.path, actor.id, actor.clientId, clientRef, print, result, visitedAt],
    })
    if (rowCount === 0) return
    for (const [n, need] of needs.entries()) {
      const body: Body<'file'> = { ...need, node: household.node.id, source: 'visit', collectedAt: visitedAt }
      const { id: requestId } = await file(db, body, actor, { keyring, number: numbers[n]! }).catch((error: unknown) => { throw within(error, `/needs/${n}`) })
      await db.app.query({ name: 'file_need', text: `INSERT INTO visit_need ("tenantId", "visitId", n, "requestId") VALUES ($1, $2, $3, $4)`, values: [tenantHere(), id, n, requestId] })
    }
    if (COUNTS.includes(result)) {
      await db.app.query({
        name: 'household_visited', text: `UPDATE household SET "visitedAt" = GREATEST("visitedAt", $3) WHERE "tenantId" = $1 AND id = $2`, values: [tenantHere(), visit.household, visitedAt],
      })
    }
  })
}

export async function numbersFor(db: Db, count: number, path: string, now: Date): Promise<string[]> {
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

