import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { v7 as uuidv7 } from 'uuid'
import type { PersonActor } from '../../src/domain/actor.ts'
import { endOfNextWorkday } from '../../src/domain/calendar.ts'
import { DEFAULT_POLICY } from '../../src/domain/policy.ts'
import { setDay, setHours } from '../../src/service/calendar-changes.ts'
import { importNotice } from '../../src/service/calendar-import.ts'
import { calendars } from '../../src/service/calendars.ts'
import { history } from '../../src/service/events.ts'
import { relayOnce } from '../../src/service/relay.ts'
import { act, file, find } from '../../src/service/requests.ts'
import { rescheduleOnce, type Walked } from '../../src/service/rescheduling-walk.ts'
import { listMoved, orderForShippedYears, orderRescheduling, readOperation } from '../../src/service/reschedulings.ts'
import { transaction } from '../../src/service/transaction.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { NOTICE_2027 } from '../notice-2027.ts'
import { testPlace, type TestPlace } from '../place.ts'

let database: TestDatabase | undefined
let town: TestPlace
let resident: PersonActor, admin: PersonActor, staff: PersonActor, worker: PersonActor

const LIMITS = { ...DEFAULT_POLICY.limits, complete: '5wd' as const, accept: '8wh' as const }
const db = () => database!.db
const inside = <T>(run: () => T): T => town.inside(run)
/** Shanghai's clock on the wall, `12-28 10:00` of 2026 or `2027-01-04 10:00`. */
const at = (local: string) => new Date(`${local.length < 14 ? `2026-${local}` : local}:00+08:00`.replace(' ', 'T'))
const shown = (instant: Date | string | undefined) => instant && new Date(new Date(instant).getTime() + 8 * 3_600_000).toISOString().slice(0, 16).replace('T', ' ')
const clock = (local: string) => database!.setClock(at(local).toISOString())

beforeEach(async () => {
  await database?.drop()
  database = await freshDatabase()
  town = await testPlace(database, { limits: LIMITS })
  ;[resident, admin, staff, worker] = await Promise.all([
    town.person(), town.person({ at: 'S', can: ['administer'] }), town.person({ at: 'S', can: ['view', 'dispatch', 'publish'] }), town.person({ at: 'P', can: ['handle'] }),
  ])
})
afterAll(() => database?.drop())

const wish = (node = 'U') => inside(() => file(db(), { item: 'companionship', title: '年前办好', node }, resident))
const look = (id: string) => inside(() => find(db(), id, staff))
const deadline = async (id: string, step = 'complete') => (await look(id)).deadlines.find((row) => row.step === step)!
const told = async (id: string) => (await inside(() => history(db(), id, staff))).filter(({ verb }) => verb === 'reschedule').map(({ data }) => data)
const publish = (options = {}) => inside(() => importNotice(db(), NOTICE_2027, options, admin))

/** All that is ordered and has settled. */
async function walkAll(batch = 100, window = 5_000): Promise<Walked[]> {
  const walked: Walked[] = []
  for (let once = await rescheduleOnce(db(), { batch, window }); once; once = await rescheduleOnce(db(), { batch, window })) walked.push(once)
  return walked
}

describe('a year is published', () => {
  test('what rests on it is computed again, kept as it was first said, and announced', async () => {
    await clock('12-28 10:00')
    const { id, number, deadlines: [accept, complete] } = await wish()
    expect([accept, complete].map((row) => [row?.step, shown(row?.dueAt), row?.provisional])).toEqual([['accept', '2026-12-29 11:00', true], ['complete', '2027-01-04 18:00', true]])
    const { operation, provisional } = await publish()
    expect(provisional).toBe(2)
    expect(await rescheduleOnce(db())).toBeUndefined() // not before everybody has the new calendar
    expect(await inside(() => readOperation(db(), operation!, admin))).toMatchObject({ kind: 'rescheduling', reason: 'calendar', state: 'waiting', seen: 0, endedAt: null })

    await clock('12-28 10:01')
    expect(await walkAll()).toMatchObject([{ id: operation, seen: 1, moved: 1, failed: [] }])
    expect(await deadline(id)).toMatchObject({ dueAt: at('2027-01-05 18:00'), originalDueAt: at('2027-01-04 18:00'), provisional: false, overdue: false })
    expect(await deadline(id, 'accept')).toMatchObject({ dueAt: accept!.dueAt, provisional: false })
    const moved = [{ step: 'accept', dueAt: accept!.dueAt.toISOString(), provisional: false }, { step: 'complete', dueAt: at('2027-01-05 18:00').toISOString(), provisional: false }]
    expect(await told(id)).toEqual([{ reason: 'calendar', moved }])
    expect(await inside(() => readOperation(db(), operation!, admin))).toMatchObject({ state: 'done', seen: 1, moved: 1, failed: 0, endedAt: expect.any(Date) })
    expect((await inside(() => listMoved(db(), operation!, { limit: 10 }, admin))).data).toEqual([{ id, number, seq: 2, at: expect.any(Date), deadlines: moved.map((row) => ({ ...row, dueAt: new Date(row.dueAt) })) }])

    while ((await relayOnce(db())).moved > 0);
    const { rows } = await database!.owner.query<{ type: string }>('SELECT type FROM feed ORDER BY position')
    expect(rows.map(({ type }) => type)).toEqual(['request.filed', 'request.rescheduled'])
  })

  test('nothing is moved before the end of the next workday, nor what is due before it', async () => {
    await clock('2027-01-25 10:00') // by the week alone: Monday, February 1st; by the notice Saturday, January 30th
    const early = await wish()
    expect(await deadline(early.id)).toMatchObject({ dueAt: at('2027-02-01 18:00'), provisional: true })
    await clock('2027-01-29 16:00') // eight hours from here: Monday afternoon; with the Saturday worked, that Saturday
    const late = await wish()
    const accept = await deadline(late.id, 'accept')
    expect([shown(accept.dueAt), accept.provisional]).toEqual(['2027-02-01 17:00', true])
    await clock('2027-01-30 09:00') // announced on that very Saturday
    await publish()
    await clock('2027-01-30 09:01')
    await walkAll()
    const earliest = endOfNextWorkday((await inside(() => calendars(db()))).at('S/'), at('2027-01-30 09:01'))
    expect(shown(earliest)).toBe('2027-02-01 18:00')
    expect(await deadline(early.id)).toMatchObject({ dueAt: earliest, provisional: false })
    expect(await deadline(late.id, 'accept')).toMatchObject({ dueAt: accept.dueAt, provisional: false })
  })

  test('touches nothing that did not rest on it', async () => {
    await clock('12-22 10:00')
    const { id, deadlines } = await wish()
    expect(deadlines.map(({ step, dueAt, provisional }) => [step, shown(dueAt), provisional])).toEqual([['accept', '2026-12-23 11:00', false], ['complete', '2026-12-29 18:00', true]])
    // other hours from now on, and what is open is to stay
    await inside(() => setHours(db(), { node: 'S', week: { 2: ['10:00-12:00'], 3: ['10:00-11:00'] } }, admin))
    await orderForShippedYears(db())
    await clock('12-22 10:01')
    expect(await walkAll()).toMatchObject([{ seen: 1, moved: 1 }])
    expect(await deadline(id, 'accept')).toMatchObject(deadlines[0]!)
    expect(await told(id)).toMatchObject([{ moved: [{ step: 'complete' }] }])
  })

  test('time that the clock stood is not lost', async () => {
    await clock('12-28 10:00')
    const [stood, stands] = [await wish(), await wish()]
    await inside(() => act(db(), 'return', stood.id, { reason: 'unclear' }, staff))
    await inside(() => act(db(), 'return', stands.id, { reason: 'unclear' }, staff))
    await clock('12-30 10:00')
    await inside(() => act(db(), 'resubmit', stood.id, {}, resident))
    expect(await deadline(stood.id)).toMatchObject({ dueAt: at('2027-01-06 18:00'), provisional: true })
    await publish()
    await clock('12-30 10:01')
    expect((await walkAll()).map(({ failed }) => failed)).toEqual([[]])
    expect(await deadline(stood.id)).toMatchObject({ dueAt: at('2027-01-07 18:00'), originalDueAt: at('2027-01-04 18:00'), provisional: false })
    expect(await deadline(stands.id)).toMatchObject({ dueAt: at('2027-01-05 18:00'), standing: true })
    await clock('12-31 10:00')
    await inside(() => act(db(), 'resubmit', stands.id, {}, resident))
    expect(await deadline(stands.id)).toMatchObject({ dueAt: at('2027-01-08 18:00'), standing: false, provisional: false })
  })

  test('at a place is published there and below, and nowhere else', async () => {
    await clock('12-28 10:00')
    const [here, above] = [await wish('U'), await wish('C')]
    await publish({ node: 'P' })
    await clock('12-28 10:01')
    expect(await walkAll()).toMatchObject([{ seen: 1, moved: 1 }])
    expect([(await deadline(here.id)).provisional, (await deadline(above.id)).provisional]).toEqual([false, true])
    await publish()
    await clock('12-28 10:02')
    await walkAll()
    expect(await deadline(above.id)).toMatchObject({ dueAt: at('2027-01-05 18:00'), provisional: false })
    expect(await told(here.id)).toHaveLength(1)
  })

  test('by a new version of the program too, once for all', async () => {
    await clock('12-28 10:00')
    await wish()
    expect(await orderForShippedYears(db())).toBe(1)
    expect(await orderForShippedYears(db())).toBe(0)
    await clock('12-28 10:01')
    expect(await walkAll()).toMatchObject([{ seen: 1, moved: 0, failed: [] }]) // 2027 is not in this version
    await database!.owner.query(`UPDATE cursor SET position = 2025 WHERE name = 'calendar-year'`)
    expect(await Promise.all([orderForShippedYears(db()), orderForShippedYears(db())])).toEqual(expect.arrayContaining([0, 1]))
  })
})

describe('a correction', () => {
  test('changes what is filed from then on, and what is open on request: the answer says which', async () => {
    await clock('11-23 10:00')
    const { id, number } = await wish()
    const set = (recompute?: boolean) => inside(() => setDay(db(), { date: '2026-11-25', node: 'P', kind: 'holiday', name: '停电', recompute }, admin))
    expect((await set()).operation).toBeNull()
    await clock('11-23 10:01')
    expect(await walkAll()).toEqual([])
    expect([await deadline(id), await deadline((await wish()).id)]).toMatchObject([{ dueAt: at('11-30 18:00') }, { dueAt: at('12-01 18:00') }])
    const { operation } = await set(true)
    await clock('11-23 10:02')
    await walkAll()
    expect(await deadline(id)).toMatchObject({ dueAt: at('12-01 18:00'), originalDueAt: at('11-30 18:00') })
    expect((await inside(() => listMoved(db(), operation!, { limit: 10 }, admin))).data).toMatchObject([{ id, number }])
    expect(await inside(() => readOperation(db(), operation!, admin))).toMatchObject({ state: 'done', seen: 2, moved: 1 })
  })

  test('of hours reaches all that is open below, and only what differs by them', async () => {
    await clock('11-23 10:00')
    const [here, there] = [await wish('U'), await wish('C')]
    const { operation } = await inside(() => setHours(db(), { node: 'P', week: { 6: ['09:00-12:00'] }, recompute: true }, admin))
    await clock('11-23 10:01')
    await walkAll()
    expect([shown((await deadline(here.id)).dueAt), shown((await deadline(there.id)).dueAt)]).toEqual(['2026-11-28 12:00', '2026-11-30 18:00'])
    expect((await inside(() => listMoved(db(), operation!, { limit: 10 }, admin))).data).toMatchObject([{ id: here.id, deadlines: [{ step: 'complete' }] }])
    // a deadline that ends before the day in question has nothing to do with it
    await inside(() => setDay(db(), { date: '2026-12-24', node: 'P', kind: 'holiday', recompute: true }, admin))
    await clock('11-23 10:02')
    expect(await walkAll()).toMatchObject([{ seen: 0, moved: 0 }])
  })

  test('reaches the answer to an ask that outlives its request', async () => {
    await clock('11-23 10:00')
    const { id } = await wish()
    await inside(async () => {
      await act(db(), 'accept', id, {}, staff)
      await act(db(), 'dispatch', id, { to: worker.id }, staff)
      await act(db(), 'sign', id, {}, worker)
      await act(db(), 'complete', id, { outcome: '办好了' }, worker)
      await act(db(), 'ask-exclusion', id, { reason: '重复投诉' }, worker)
      await act(db(), 'rate', id, { solved: 'solved', satisfaction: 'satisfied' }, resident)
    })
    expect(await look(id)).toMatchObject({ state: 'closed', deadlines: [{ step: 'answer', dueAt: at('11-24 18:00') }] })
    await inside(() => setDay(db(), { date: '2026-11-24', node: 'S', kind: 'holiday', recompute: true }, admin))
    await clock('11-23 10:01')
    expect(await walkAll()).toMatchObject([{ seen: 1, moved: 1, failed: [] }])
    expect(await deadline(id, 'answer')).toMatchObject({ dueAt: at('11-25 18:00') })
  })

  test('of rules is walked in the same way', async () => {
    await clock('11-23 10:00')
    const { id } = await wish()
    const version = uuidv7()
    await database!.owner.query('INSERT INTO policy ("tenantId", id, code, version, "nodeId", body) VALUES ($1, $2, $3, 2, $4, $5)', [town.tenantId, version, 'standard', town.node.S, { ...DEFAULT_POLICY, limits: { ...LIMITS, complete: '10wd' } }])
    await inside(() => transaction(db().app, (client) => orderRescheduling(client, { nodeId: town.node.C, reason: 'policy', scope: 'open', policyCode: 'standard', personId: admin.id })))
    await inside(() => transaction(db().app, (client) => orderRescheduling(client, { nodeId: town.node.C, reason: 'policy', scope: 'open', policyCode: 'another', personId: admin.id })))
    await clock('11-23 10:01')
    expect((await walkAll()).map(({ seen, moved, failed }) => [seen, moved, failed])).toEqual(expect.arrayContaining([[1, 1, []], [0, 0, []]]))
    expect(await deadline(id)).toMatchObject({ dueAt: at('12-07 18:00'), originalDueAt: at('11-30 18:00') })
    expect(await told(id)).toMatchObject([{ reason: 'policy' }])
    const { rows } = await database!.owner.query<{ policyId: string }>('SELECT DISTINCT "policyId" FROM deadline WHERE "requestId" = $1', [id])
    expect(rows).toEqual([{ policyId: version }])
  })
})

describe('the walk', () => {
  const N = 20
  const many = async () => {
    await clock('12-28 10:00')
    const ids: string[] = []
    for (let index = 0; index < N; index++) ids.push((await wish()).id)
    return ids.sort()
  }
  const events = async () => (await database!.owner.query<{ id: string; n: number }>(`SELECT "requestId" AS id, count(*)::int AS n FROM event WHERE verb = 'reschedule' GROUP BY 1 ORDER BY 1`)).rows
  const settled = async () => (await database!.owner.query<{ n: number }>(`SELECT count(*)::int AS n FROM deadline WHERE step = 'complete' AND "dueAt" = $1 AND NOT provisional`, [at('2027-01-05 18:00')])).rows[0]!.n

  test('goes on where another was killed: each request once', async () => {
    const ids = await many()
    const { operation } = await publish()
    await clock('12-28 10:01')
    let seen = 0
    for (let kills = 0; kills < 4; kills++) {
      const child = spawn(process.execPath, ['--import', 'tsx', 'test/walker.ts', database!.url, '2'], { stdio: ['ignore', 'pipe', 'inherit'] })
      const ended = once(child, 'exit')
      const lines = createInterface(child.stdout)
      // Two batches, then death in the middle of the next.
      for await (const _ of lines) if (++seen % 2 === 0) break
      child.kill('SIGKILL')
      await ended
    }
    expect(seen).toBe(8)
    const half = await events()
    expect(half.length).toBeGreaterThanOrEqual(16)
    expect((await inside(() => readOperation(db(), operation!, admin))).moved).toBe(half.length)
    await walkAll(2)
    expect(await events()).toEqual(ids.map((id) => ({ id, n: 1 })))
    expect(await settled()).toBe(N)
    expect(await inside(() => readOperation(db(), operation!, admin))).toMatchObject({ state: 'done', seen: N, moved: N, failed: 0 })
  })

  test('twice over says nothing twice', async () => {
    const ids = await many()
    await publish()
    await clock('12-28 10:01')
    await walkAll()
    await database!.owner.query('UPDATE rescheduling SET "walkedId" = NULL, "endedAt" = NULL')
    await walkAll(7)
    await inside(() => setHours(db(), { node: 'S', week: {}, recompute: true }, admin))
    await clock('12-28 10:02')
    await walkAll()
    expect(await events()).toEqual(ids.map((id) => ({ id, n: 1 })))
  })

  test('by several workers at once is one walk', async () => {
    const ids = await many()
    // All that is open: what is done is not seen by it that it is done.
    const { operation } = await inside(() => importNotice(db(), NOTICE_2027, { recompute: true }, admin))
    await clock('12-28 10:01')
    await transaction(database!.owner, async (client) => {
      await client.query('SELECT FROM rescheduling FOR UPDATE')
      expect(await rescheduleOnce(db())).toBeUndefined() // another has it
    })
    for (;;) {
      const walked = await Promise.all(Array.from({ length: 4 }, () => rescheduleOnce(db(), { batch: 3 })))
      if (walked.every((once) => once === undefined)) break
    }
    expect(await events()).toEqual(ids.map((id) => ({ id, n: 1 })))
    expect(await settled()).toBe(N)
    expect(await inside(() => readOperation(db(), operation!, admin))).toMatchObject({ state: 'done', seen: N, moved: N, failed: 0 })
  })

  test('goes on from wherever its connection is cut', async () => {
    const ids = await many()
    const { operation } = await inside(() => importNotice(db(), NOTICE_2027, { recompute: true }, admin))
    await clock('12-28 10:01')
    let [cuts, takes] = [0, 20]
    for (let done = false; !done;) {
      const began = performance.now()
      const walk = rescheduleOnce(db(), { batch: 1 }).then((walked) => { done = walked === undefined; takes = performance.now() - began }, () => { cuts++ })
      await new Promise((resolve) => setTimeout(resolve, Math.random() * takes))
      await database!.owner.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'wish-wall system' AND datname = current_database() AND state <> 'idle'`)
      await walk
    }
    expect(cuts).toBeGreaterThan(0)
    expect(await events()).toEqual(ids.map((id) => ({ id, n: 1 })))
    expect(await settled()).toBe(N)
    expect(await inside(() => readOperation(db(), operation!, admin))).toMatchObject({ state: 'done', seen: N, moved: N, failed: 0 })
  })

  test('does not wait for a request that is held, and comes back to it', async () => {
    const ids = await many()
    const { operation } = await publish()
    await clock('12-28 10:01')
    const holder = await database!.owner.connect()
    await holder.query('BEGIN')
    await holder.query('SELECT FROM request WHERE id = $1 FOR UPDATE', [ids[5]])
    const ten = { window: 20 } // two rows of each
    expect(await rescheduleOnce(db(), ten)).toMatchObject({ seen: 5, moved: 5, failed: [], more: true })
    expect(await rescheduleOnce(db(), ten)).toMatchObject({ seen: 0, moved: 0, more: false })
    expect(await inside(() => readOperation(db(), operation!, admin))).toMatchObject({ state: 'running', seen: 5, moved: 5 })
    await holder.query('COMMIT')
    holder.release()
    await walkAll(10)
    expect(await events()).toEqual(ids.map((id) => ({ id, n: 1 })))
    expect(await inside(() => readOperation(db(), operation!, admin))).toMatchObject({ state: 'done', seen: N, moved: N })
  })

  test('looks through so many rows at a time, and goes on behind those where nothing is meant', async () => {
    const ids = await many()
    const elsewhere = (await wish('C')).id // the newest, behind all of them
    await publish({ node: 'C' })
    await clock('12-28 10:01')
    await database!.owner.query(`UPDATE request SET path = 'S/D/' WHERE id = ANY ($1)`, [ids]) // not below C any more
    const walked = await walkAll(3, 7)
    expect(walked.map(({ seen }) => seen)).toEqual([0, 0, 0, 0, 0, 1]) // two rows of each, four requests at a time
    expect((await events()).map(({ id }) => id)).toEqual([elsewhere])
    await database!.owner.query(`UPDATE request SET path = 'S/C/P/B/U/' WHERE id = ANY ($1)`, [ids])
    await inside(() => importNotice(db(), NOTICE_2027, { node: 'P', recompute: true }, admin))
    await clock('12-28 10:02')
    expect((await walkAll(3, 4)).reduce((sum, { moved }) => sum + moved, 0)).toBe(N)
    expect((await events()).map(({ id, n }) => [id, n])).toEqual([...ids, elsewhere].map((id) => [id, 1]))
  })

  test('passes over a request that cannot be written, and says which', async () => {
    const ids = await many()
    // An event ahead of its request: whatever SYSTEM decides on it is refused by the database.
    await database!.owner.query(`INSERT INTO event ("tenantId", "requestId", seq, verb, "fromState", "toState", at, cycle, path, "actorKind", data)
      SELECT "tenantId", "requestId", 2, 'accept', 'filed', 'accepted', at, 1, path, 'system', '{}' FROM event WHERE "requestId" = $1`, [ids[7]])
    const { operation } = await publish()
    await clock('12-28 10:01')
    const walked = await walkAll()
    expect(walked.flatMap(({ failed }) => failed.map(({ requestId }) => requestId))).toEqual([ids[7]])
    expect(await settled()).toBe(N - 1)
    expect(await inside(() => readOperation(db(), operation!, admin))).toMatchObject({ state: 'done', seen: N, moved: N - 1, failed: 1 })
  })

  test('of one tenant is not another’s, and who does not administer the place learns nothing of it', async () => {
    const ids = await many()
    const other = await testPlace(database!, { limits: LIMITS }, 'OTHER')
    const neighbour = await other.person()
    const theirs = await other.inside(() => file(db(), { item: 'companionship', title: '别处', node: 'U' }, neighbour))
    const { operation } = await publish()
    await clock('12-28 10:01')
    await walkAll()
    expect((await events()).map(({ id }) => id)).toEqual(ids)
    expect((await events()).map(({ id }) => id)).not.toContain(theirs.id)
    for (const actor of [resident, staff]) await expect(inside(() => readOperation(db(), operation!, actor))).rejects.toMatchObject({ code: 'not-found' })
    await expect(other.inside(() => readOperation(db(), operation!, admin))).rejects.toMatchObject({ code: 'not-found' })
    const first = await inside(() => listMoved(db(), operation!, { limit: 15 }, admin))
    const rest = await inside(() => listMoved(db(), operation!, { limit: 15, cursor: first.page.nextCursor! }, admin))
    expect([...first.data, ...rest.data].map(({ id }) => id)).toEqual(ids)
  })

  test('is committed whole or not at all, together with what called for it', async () => {
    await many()
    await expect(inside(() => importNotice(db(), { ...NOTICE_2027, days: [] }, {}, admin))).rejects.toMatchObject({ code: 'validation-failed' })
    expect((await database!.owner.query('SELECT FROM rescheduling')).rowCount).toBe(0)
  })
})

test('whoever has the work keeps it: only times move', async () => {
  await clock('12-28 10:00')
  const { id } = await wish()
  await inside(() => act(db(), 'accept', id, {}, staff))
  await inside(() => act(db(), 'dispatch', id, { to: worker.id }, staff))
  const before = await look(id)
  await publish()
  await clock('12-28 10:01')
  await walkAll()
  const after = await look(id)
  expect([after.state, after.assignees, after.version]).toEqual(['dispatched', before.assignees, before.version + 1])
})
