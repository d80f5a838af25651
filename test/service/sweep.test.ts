import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { DEFAULT_POLICY } from '../../src/domain/policy.ts'
import { openDatabase, type Db } from '../../src/service/db.ts'
import { act, file, find } from '../../src/service/requests.ts'
import { history } from '../../src/service/events.ts'
import { notifyOnce, inbox } from '../../src/service/notifications.ts'
import { relayOnce } from '../../src/service/relay.ts'
import { sweepOnce } from '../../src/service/sweep.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'

let database: TestDatabase
let town: TestPlace
let resident: PersonActor, grid: PersonActor, community: PersonActor, street: PersonActor, inspector: PersonActor

const MONDAY = '2026-11-23T02:00:00Z' // 10:00 in Asia/Shanghai

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database, { rungEvery: '480wm', reminders: [{ share: 0.5 }], limits: { ...DEFAULT_POLICY.limits, accept: '480wm' } })
  ;[resident, grid, community, street, inspector] = await Promise.all([
    town.person(),
    // the dispatcher of the compound is late; he also holds supervision there, so his own rung is passed over
    town.person({ at: 'P', can: ['view', 'dispatch', 'publish', 'supervise'] }),
    town.person({ at: 'C', can: ['view', 'supervise'] }),
    town.person({ at: 'S', can: ['view', 'supervise'] }),
    town.person({ at: 'S', can: ['view', 'follow_up'] }),
  ])
})
afterAll(() => database.drop())

const at = (instant: string, plus?: string) => database.setClock(instant, plus)

async function sweepAll(db: Db = database.db): Promise<number> {
  let fired = 0
  for (;;) {
    const swept = await sweepOnce(db)
    expect(swept.failed).toEqual([])
    fired += swept.fired
    if (swept.seen === 0) return fired
  }
}

const wish = () => town.inside(() => file(database.db, { item: 'companionship', title: '没人受理', node: 'U' }, resident))
const events = async (id: string) => (await town.inside(() => history(database.db, id, street))).map(({ verb, data }): { verb: string; rung?: unknown; logicalAt?: unknown } => ({ verb, ...data }))

describe('a request left alone', () => {
  test('is reminded about, then climbs the ladder past rungs that are vacant or held by the late one', async () => {
    await at(MONDAY)
    const { id } = await wish()
    expect(await sweepAll()).toBe(0)

    await at(MONDAY, '7 hours') // 17:00: past half of 480 working minutes
    expect(await sweepAll()).toBe(1)
    await at(MONDAY, '26 hours') // Tuesday 12:00: due at 11:00
    expect(await sweepAll()).toBe(1)
    const told = await events(id)
    expect(told.map(({ verb }) => verb)).toEqual(['file', 'remind', 'escalate'])
    expect(told[2]).toMatchObject({ step: 'accept', rung: town.node.C, skipped: [town.node.P] })

    for (;;) if ((await relayOnce(database.db)).moved === 0) break
    for (;;) if ((await notifyOnce(database.db)) === 0) break
    const boxes = await town.inside(() => Promise.all([grid, community, street].map((person) => inbox(database.db, person.id, { limit: 10 }))))
    expect(boxes.map(({ data }) => data.map(({ type }) => type))).toEqual([['request.reminded', 'request.filed'], ['request.escalated'], []])
  })

  test('three days without a worker: every rung once, in order, with its logical time', async () => {
    await at(MONDAY)
    const { id } = await wish()
    await at(MONDAY, '4 days')
    await sweepAll()
    const told = await events(id)
    expect(told.map(({ verb }) => verb)).toEqual(['file', 'remind', 'escalate', 'escalate', 'remind'])
    expect(told.flatMap(({ rung }) => (rung ? [rung] : []))).toEqual([town.node.C, town.node.S])
    // hours are 09–12 and 14–18: reminded after 240 working minutes, then every 480
    expect(told.map(({ logicalAt }) => String(logicalAt).slice(0, 16))).toEqual(['undefined', '2026-11-23T08:00', '2026-11-24T03:00', '2026-11-25T06:00', '2026-11-26T07:00'])
    const { allowed } = await town.inside(() => find(database.db, id, grid))
    expect(allowed).toContain('accept')
  })

  test('two sweeps at once fire each mark once', async () => {
    await at(MONDAY)
    const ids = await Promise.all(Array.from({ length: 40 }, async () => (await wish()).id))
    await at(MONDAY, '4 days')
    // Each process has one connection for it.
    const others = [openDatabase({ url: database.url }), openDatabase({ url: database.url })]
    await Promise.all([database.db, ...others].map(sweepAll))
    await Promise.all(others.map((db) => db.close()))
    await sweepAll()
    for (const id of ids) expect((await events(id)).map(({ verb }) => verb)).toEqual(['file', 'remind', 'escalate', 'escalate', 'remind'])
  })
})

describe('waiting that ends by itself', () => {
  test('a completed request is closed after the window, a returned one withdrawn', () => town.inside(async () => {
    await at(MONDAY)
    const [done, back] = [await wish(), await wish()]
    const { db } = database
    const member = await town.person({ kinds: ['party_member'] })
    await act(db, 'accept', done.id, {}, grid)
    await act(db, 'place', done.id, {}, grid)
    await act(db, 'claim', done.id, {}, member)
    await act(db, 'complete', done.id, { outcome: '办好了' }, member)
    await act(db, 'return', back.id, { reason: 'unclear' }, grid)
    await at(MONDAY, '30 days')
    await sweepAll()
    expect((await find(database.db, done.id, inspector)).state).toBe('closed')
    expect((await find(database.db, back.id, inspector)).state).toBe('withdrawn')
  }))

  test('the clock stands while it is returned, and the original due time is kept', () => town.inside(async () => {
    await at(MONDAY)
    const { id, deadlines: [, complete] } = await wish()
    await act(database.db, 'return', id, { reason: 'unclear' }, grid)
    await at(MONDAY, '2 days')
    const again = await act(database.db, 'resubmit', id, {}, resident)
    const now = again.deadlines.find(({ step }) => step === 'complete')
    expect(now?.originalDueAt).toEqual(complete?.originalDueAt)
    expect(now!.dueAt.getTime() - complete!.dueAt.getTime()).toBe(2 * 86_400_000)
  }))
})

test('waits for no connection that others may hold', async () => {
  await at(MONDAY)
  const { id } = await wish()
  await at(MONDAY, '7 hours')
  // As when all of them wait for rows that the sweep has locked, in the process that is api and worker.
  const narrow = openDatabase({ url: database.url, connections: 1 })
  const held = await Promise.all([narrow.app.connect(), ...Array.from({ length: 4 }, () => narrow.system.connect())])
  expect(await sweepAll(narrow)).toBe(1)
  for (const client of held) client.release()
  await narrow.close()
  expect((await events(id)).map(({ verb }) => verb)).toEqual(['file', 'remind'])
})

test('what somebody holds for long does not hold up the others', async () => {
  await at(MONDAY)
  const [free, held] = [await wish(), await wish()]
  await at(MONDAY, '7 hours')
  const holder = await database.owner.connect()
  await holder.query('BEGIN')
  await holder.query(`SELECT FROM deadline WHERE "requestId" = $1 FOR UPDATE`, [held.id])
  const { fired, failed } = await sweepOnce(database.db)
  await holder.query('ROLLBACK')
  holder.release()
  expect([fired, failed.map(({ requestId }) => requestId)]).toEqual([1, [held.id]])
  expect((await events(free.id)).map(({ verb }) => verb)).toEqual(['file', 'remind'])
  await at(MONDAY, '7 hours')
  expect(await sweepAll()).toBe(1)
})

test('a tenant whose settings cannot be read does not stop the others', async () => {
  await at(MONDAY)
  const other = await testPlace(database, { reminders: [{ share: 0.5 }] }, 'OTHER')
  const neighbour = await other.person()
  const [mine, theirs] = [await wish(), await other.inside(() => file(database.db, { item: 'companionship', title: '隔壁', node: 'U' }, neighbour))]
  const zone = async (name: string) => database.owner.query(`UPDATE tenant SET settings = settings || jsonb_build_object('zone', $2::text) WHERE id = $1`, [other.tenantId, name])
  await zone('Mars/Olympus')
  await at(MONDAY, '7 hours')
  const { fired, failed } = await sweepOnce(database.db)
  expect([fired, failed.map(({ requestId }) => requestId)]).toEqual([1, [theirs.id]])
  expect((await events(mine.id)).map(({ verb }) => verb)).toEqual(['file', 'remind'])
  // Its time stands: what is put right is fired with its logical time.
  await zone('Asia/Shanghai')
  await at(MONDAY, '7 hours')
  expect(await sweepAll()).toBe(1)
})

test('one request that cannot be written does not stop the others', async () => {
  await at(MONDAY)
  const [good, bad] = [await wish(), await wish()]
  // An event ahead of its request: whatever SYSTEM decides on it is refused by the database.
  await database.owner.query(`INSERT INTO event ("tenantId", "requestId", seq, verb, "fromState", "toState", at, cycle, path, "actorKind", data)
    SELECT "tenantId", "requestId", 2, 'accept', 'filed', 'accepted', at, 1, path, 'system', '{}' FROM event WHERE "requestId" = $1`, [bad.id])
  await at(MONDAY, '4 days')
  const failed: string[] = []
  for (;;) {
    const swept = await sweepOnce(database.db)
    failed.push(...swept.failed.map(({ requestId }) => requestId))
    if (swept.seen === 0) break
  }
  expect(failed).toEqual([bad.id])
  expect((await events(good.id)).map(({ verb }) => verb)).toEqual(['file', 'remind', 'escalate', 'escalate', 'remind'])
  // Passed over for a while by this process; its row says still how long it has been due.
  const { rows: [row] } = await database.owner.query(`SELECT "nextAt" FROM deadline WHERE "requestId" = $1 AND step = 'accept'`, [bad.id])
  expect(row.nextAt.toISOString().slice(0, 16)).toBe('2026-11-23T08:00')
})
