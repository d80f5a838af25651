import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { DEFAULT_POLICY } from '../../src/domain/policy.ts'
import { countUnread, inbox, markRead, notifyOnce } from '../../src/service/notifications.ts'
import { relayOnce } from '../../src/service/relay.ts'
import { act, file } from '../../src/service/requests.ts'
import { sweepOnce } from '../../src/service/sweep.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { eventually } from '../processes.ts'

/** Who finds what in the inbox, what it tells them to do, and that it keeps quiet at night. */

let database: TestDatabase
let town: TestPlace
let resident: PersonActor, staff: PersonActor, worker: PersonActor, community: PersonActor, street: PersonActor
const MONDAY = '2026-11-23T02:00:00Z' // 10:00 in Asia/Shanghai

beforeAll(async () => {
  database = await freshDatabase()
  await clock(MONDAY)
  town = await testPlace(database, { limits: { ...DEFAULT_POLICY.limits, sign: '480wm' }, reminders: [{ share: 0.5 }] })
  ;[resident, staff, worker, community, street] = await Promise.all([
    town.person(), town.person({ can: ['view', 'dispatch', 'publish'] }), town.person({ at: 'B', can: ['view', 'handle'] }),
    town.person({ at: 'C', can: ['view', 'supervise'] }), town.person({ at: 'S', can: ['view', 'supervise'] }),
  ])
})
afterAll(() => database.drop())

/** Cut connections are noticed one by one: all of the owner's are used until they are new. */
async function clock(instant: string, plus?: string): Promise<void> {
  await database.setClock(instant, plus)
  await eventually(() => Promise.all([1, 2, 3, 4].map(() => database.owner.query('SELECT pg_sleep(0.01)'))).then(() => true, () => false))
}
/** Of an open deadline, as the database has it. */
const due = async (id: string, step: string): Promise<Date> => (await database.owner.query<{ dueAt: Date }>('SELECT "dueAt" FROM deadline WHERE "requestId" = $1 AND step = $2', [id, step])).rows[0]!.dueAt

const wish = (more: object = {}) => town.inside(() => file(database.db, { item: 'corridor-light', title: '私密的标题', node: 'U', ...more }, resident))
const act_ = (verb: 'accept' | 'dispatch' | 'sign' | 'redispatch', id: string, body: object, by: PersonActor) => town.inside(() => act(database.db, verb, id, body as never, by))
async function dispatched(to: string = worker.id): Promise<{ id: string; number: string }> {
  const { id, number } = await wish()
  await act_('accept', id, {}, staff)
  await act_('dispatch', id, { to }, staff)
  return { id, number }
}
async function tell(): Promise<void> {
  for (;;) if ((await sweepOnce(database.db)).seen === 0) break
  while ((await relayOnce(database.db)).moved > 0);
  while ((await notifyOnce(database.db)) > 0);
}
const box = (person: PersonActor, query: { unread?: boolean; limit?: number; cursor?: string } = {}) => town.inside(() => inbox(database.db, person.id, { limit: 100, ...query }))
const of = async (person: PersonActor, id: string) => (await box(person)).data.filter(({ requestId }) => requestId === id)
const unread = (person: PersonActor) => town.inside(() => countUnread(database.db, person.id))
/** A further mark of this request, as the sweep writes them. */
async function said(id: string, verb: 'remind' | 'escalate', data: object): Promise<void> {
  const { owner } = database
  const { rows: [request] } = await owner.query<{ tenantId: string; version: number; state: string; path: string; number: string }>('SELECT "tenantId", version, state, path, number FROM request WHERE id = $1', [id])
  const { tenantId, version, state, path, number } = request!
  await owner.query(`WITH e AS (INSERT INTO event ("tenantId", "requestId", seq, verb, "fromState", "toState", at, cycle, path, "actorKind", data) VALUES ($1, $2, $3, $4, $5, $5, wishwall_now(), 1, $6, 'system', $7)),
    o AS (INSERT INTO outbox ("tenantId", id, "requestId", seq, type, at, path, payload) VALUES ($1, $8, $2, $3, $9, wishwall_now(), $6, $10)) UPDATE request SET version = $3 WHERE id = $2`,
  [tenantId, id, version + 1, verb, state, path, data, uuidv7(), verb === 'remind' ? 'request.reminded' : 'request.escalated', { number, state }])
}

describe('an inbox', () => {
  test('says what to do, where and until when, and nothing personal', async () => {
    await clock(MONDAY)
    const { id, number } = await dispatched()
    await tell()
    const [item] = await of(worker, id)
    expect(item).toEqual({
      id: expect.stringMatching(/^[\da-f-]{36}$/), type: 'request.dispatched', kind: 'assignment', title: `${number} 派单`, todo: '请签收', number, requestId: id, item: '楼道灯', node: { code: 'U', name: 'U' },
      state: 'dispatched', step: null, dueAt: await due(id, 'sign'), urgent: false, quietUntil: null, at: expect.any(Date), readAt: null, link: `/v1/requests/${id}`,
    })
    expect(await of(resident, id)).toMatchObject([{ type: 'request.dispatched', kind: 'progress', todo: null }, { type: 'request.accepted' }])
    // whoever did it is not told of it
    expect((await of(staff, id)).map(({ type, kind, todo }) => [type, kind, todo])).toEqual([['request.filed', 'intake', '请受理']])
    for (const person of [worker, resident, staff]) expect(JSON.stringify(await box(person))).not.toContain('私密')
  })

  test('of a confidential matter tells the community and no more', async () => {
    await clock(MONDAY)
    const { id } = await wish({ confidential: true })
    await tell()
    expect(await of(staff, id)).toMatchObject([{ item: null, node: { code: 'C', name: 'C' }, todo: '请受理' }])
  })

  test('has the reminder before the due time for who has the work, and the escalation for him and the rung', async () => {
    await clock(MONDAY)
    const { id } = await dispatched()
    await clock(MONDAY, '7 hours') // 17:00, past half of 480 working minutes
    await tell()
    const dueAt = await due(id, 'sign')
    expect(dueAt.toISOString()).toMatch(/^2026-11-24T03:00/)
    expect((await of(worker, id))[0]).toMatchObject({ type: 'request.reminded', kind: 'reminder', todo: '请尽快签收', step: 'sign', dueAt, quietUntil: null })
    await clock(MONDAY, '26 hours') // Tuesday 12:00: due at 11:00
    await tell()
    expect((await of(worker, id))[0]).toMatchObject({ type: 'request.escalated', kind: 'escalation', todo: '已逾期，请立即签收', dueAt })
    expect(await of(community, id)).toMatchObject([{ kind: 'escalation', todo: '已逾期，请督办：签收', step: 'sign' }])
    expect(await of(street, id)).toEqual([])
  })

  test('has a reminder for everybody it names, and for each of them once', async () => {
    await clock(MONDAY)
    const contact = await town.person()
    const { id } = await dispatched()
    await database.owner.query('UPDATE request SET "firstContactId" = $2 WHERE id = $1', [id, contact.id])
    await tell()
    await said(id, 'remind', { step: 'sign', dueAt: '2026-11-24T03:00:00.000Z', logicalAt: '2026-11-23T06:00:00.000Z', tell: ['assignee', 'dispatch', 'first_contact', 'supervise', 'filer', 'nobody-there'] })
    await tell()
    expect(await Promise.all([worker, staff, contact, community, resident, street].map(async (person) => (await of(person, id)).filter(({ kind }) => kind === 'reminder').map(({ todo }) => todo)))).toEqual([
      ['请尽快签收'], ['请尽快签收'], ['时限将至，请跟进：签收'], ['时限将至，请督办：签收'], ['请尽快签收'], [],
    ])
    // `supervisor` is whoever holds the rung that supervision stands on
    await database.owner.query(`UPDATE request SET "supervisorPath" = 'S/' WHERE id = $1`, [id])
    await said(id, 'remind', { step: 'sign', dueAt: '2026-11-24T03:00:00.000Z', logicalAt: '2026-11-25T03:00:00.000Z', tell: ['supervisor'] })
    await tell()
    expect((await of(street, id)).map(({ todo }) => todo)).toEqual(['已逾期，请督办：签收'])
    expect((await of(community, id)).filter(({ kind }) => kind === 'reminder')).toHaveLength(1)
  })

  test('is that of the stand-in, at the time of telling', async () => {
    await clock(MONDAY)
    const standIn = await town.person()
    const { id } = await dispatched()
    await tell()
    await said(id, 'escalate', { step: 'sign', rung: town.node.C })
    while ((await relayOnce(database.db)).moved > 0);
    // leave begins between the event and its telling
    await database.owner.query('UPDATE duty SET "standInId" = $2 WHERE "personId" = $1', [community.id, standIn.id])
    await tell()
    await database.owner.query('UPDATE duty SET "standInId" = NULL WHERE "personId" = $1', [community.id])
    expect((await of(standIn, id)).map(({ kind }) => kind)).toEqual(['escalation'])
    expect(await of(community, id)).toEqual([])
  })

  test('of an organisation\'s work is that of those who act for it', async () => {
    await clock(MONDAY)
    const firm = uuidv7()
    const [agent, clerk] = [await town.person(), await town.person()]
    await database.owner.query(`INSERT INTO organisation ("tenantId", id, "nodeId", code, name, kind) VALUES ($1, $2, $3, 'FIRM', '物业', 'property_firm')`, [town.tenantId, firm, town.node.P])
    for (const [person, role, can] of [[agent, 'firm-agent', ['handle']], [clerk, 'firm-clerk', ['view']]] as const) {
      await database.owner.query('INSERT INTO role ("tenantId", code, name, capabilities) VALUES ($1, $2, $2, $3)', [town.tenantId, role, can])
      await database.owner.query(`INSERT INTO duty ("tenantId", id, "personId", "roleCode", "nodeId", "organisationId", "from") VALUES ($1, $2, $3, $4, $5, $6, '2020-01-01Z')`, [town.tenantId, uuidv7(), person.id, role, town.node.P, firm])
    }
    const { id } = await dispatched('FIRM')
    await tell()
    expect((await of(agent, id)).map(({ todo }) => todo)).toEqual(['请签收'])
    expect(await of(clerk, id)).toEqual([])
  })

  test('of whoever lost the work to another says so', async () => {
    await clock(MONDAY)
    const next = await town.person({ at: 'B', can: ['view', 'handle'] })
    const { id } = await dispatched()
    await act_('redispatch', id, { to: next.id }, staff)
    await tell()
    expect((await of(next, id)).map(({ type }) => type)).toEqual(['request.redispatched'])
    expect((await of(worker, id)).map(({ type }) => type)).toEqual(['request.redispatched', 'request.dispatched'])
  })
})

describe('reading', () => {
  test('one, and all up to one; what came later stays unread', async () => {
    await clock(MONDAY)
    const reader = await town.person({ at: 'B', can: ['view', 'handle'] })
    for (let n = 0; n < 5; n++) await dispatched(reader.id)
    await tell()
    expect(await unread(reader)).toBe(5)
    const { data } = await box(reader)
    const mark = (index: number, andOlder = false) => town.inside(() => markRead(database.db, reader.id, data[index]!.id, { andOlder }))
    expect(await mark(0)).toBe(4)
    expect(await mark(0)).toBe(4)
    expect(await mark(2, true)).toBe(1)
    expect((await box(reader)).data.map(({ readAt }) => readAt !== null)).toEqual([true, false, true, true, true])
    expect((await box(reader, { unread: true })).data.map(({ id }) => id)).toEqual([data[1]!.id])
    const first = (await box(reader)).data[0]!.readAt
    expect(first).toEqual(data[0]!.at.getTime() <= first!.getTime() ? first : null)
    // what was read stays read at its time
    await clock(MONDAY, '1 day')
    await mark(0, true)
    expect((await box(reader)).data[0]!.readAt).toEqual(first)
  })

  test('is everybody\'s own', async () => {
    const [{ data: [item] }, stranger] = [await box(worker), await town.person()]
    await expect(town.inside(() => markRead(database.db, stranger.id, item!.id))).rejects.toMatchObject({ code: 'not-found' })
    await expect(town.inside(() => markRead(database.db, worker.id, uuidv7(), { andOlder: true }))).rejects.toMatchObject({ code: 'not-found' })
    const other = await testPlace(database, {}, 'OTHER')
    await expect(other.inside(() => markRead(database.db, worker.id, item!.id))).rejects.toMatchObject({ code: 'not-found' })
    expect(await other.inside(() => countUnread(database.db, worker.id))).toBe(0)
  })

  test('page by page misses nothing and repeats nothing, also while more comes in', async () => {
    await clock(MONDAY)
    const reader = await town.person({ at: 'B', can: ['view', 'handle'] })
    for (let n = 0; n < 7; n++) await dispatched(reader.id)
    await tell()
    const whole = (await box(reader)).data.map(({ id }) => id)
    const seen: string[] = []
    for (let cursor: string | undefined; ;) {
      const { data, page } = await box(reader, { limit: 3, ...(cursor ? { cursor } : {}) })
      seen.push(...data.map(({ id }) => id))
      if (!page.hasMore) break
      cursor = page.nextCursor!
      await dispatched(reader.id)
      await tell()
    }
    expect(seen).toEqual(whole)
    await expect(box(reader, { cursor: 'bm9uZQ' })).rejects.toMatchObject({ code: 'cursor-unusable' })
  })
})

describe('at night', () => {
  const quietUntil = async (person: PersonActor, id: string) => (await of(person, id))[0]!

  test('everything is there at once, and what is not urgent asks to be quiet until working time', async () => {
    await clock('2026-11-23T13:30:00Z') // 21:30
    const { id } = await dispatched()
    await tell()
    expect(await quietUntil(worker, id)).toMatchObject({ urgent: false, quietUntil: new Date('2026-11-24T01:00:00Z') })
  })

  test('what is urgent may disturb: an emergency, an urgent grade, an escalation of plain hours', async () => {
    const night = '2026-11-23T13:30:00Z'
    const emergency = await testPlace(database, { limits: { ...DEFAULT_POLICY.limits, complete: '24h' } }, 'NIGHT')
    const mixed = await testPlace(database, { limits: { ...DEFAULT_POLICY.limits, accept: '1h' }, reminders: [{ share: 0.5 }] }, 'MIXED')
    await clock(night)
    const [inEmergency, inMixed] = await Promise.all([emergency, mixed].map(async (place) => ({ place, by: await place.person(), head: await place.person({ can: ['view', 'dispatch'] }), chief: await place.person({ at: 'C', can: ['supervise'] }) })))
    for (const { place, by } of [inEmergency!, inMixed!]) await place.inside(() => file(database.db, { item: 'corridor-light', title: '漏电', node: 'U' }, by))
    const graded = await wish()
    await database.owner.query(`UPDATE request SET grade = 'urgent' WHERE id = $1`, [graded.id])
    await tell()
    const first = async ({ place }: { place: TestPlace }, person: PersonActor) => (await place.inside(() => inbox(database.db, person.id, { limit: 10 }))).data
    expect(await first(inEmergency!, inEmergency!.head)).toMatchObject([{ type: 'request.filed', urgent: true, quietUntil: null }])
    expect(await first(inMixed!, inMixed!.head)).toMatchObject([{ type: 'request.filed', urgent: false, quietUntil: new Date('2026-11-24T01:00:00Z') }])
    expect(await of(staff, graded.id)).toMatchObject([{ urgent: true, quietUntil: null }])
    await clock(night, '90 minutes')
    await tell()
    expect((await first(inMixed!, inMixed!.head))[0]).toMatchObject({ type: 'request.reminded', urgent: false })
    expect(await first(inMixed!, inMixed!.chief)).toMatchObject([{ type: 'request.escalated', urgent: true, quietUntil: null }])
  })
})

test('an event under rules that cannot be read any more is told all the same, and holds up no other', async () => {
  await clock('2026-11-23T13:30:00Z') // 21:30
  const ruined = await testPlace(database, {}, 'RUINED')
  const [by, head] = [await ruined.person(), await ruined.person({ can: ['view', 'dispatch'] })]
  await ruined.inside(() => file(database.db, { item: 'corridor-light', title: '楼道灯坏了', node: 'U' }, by))
  const { id } = await dispatched()
  while ((await relayOnce(database.db)).moved > 0);
  await database.owner.query(`UPDATE policy SET body = '{"limits": {"complete": "soon"}}' WHERE "tenantId" = $1`, [ruined.tenantId])
  await clock('2026-11-23T13:30:10Z') // what was read of it is forgotten with the connections
  while ((await notifyOnce(database.db)) > 0);
  expect((await ruined.inside(() => inbox(database.db, head.id, { limit: 10 }))).data).toMatchObject([{ type: 'request.filed', urgent: false, quietUntil: null }])
  expect(await of(worker, id)).toMatchObject([{ quietUntil: new Date('2026-11-24T01:00:00Z') }])
})

test('two workers fill an inbox once', async () => {
  await clock(MONDAY)
  const reader = await town.person({ at: 'B', can: ['view', 'handle'] })
  for (let n = 0; n < 20; n++) await dispatched(reader.id)
  while ((await relayOnce(database.db)).moved > 0);
  await Promise.all([1, 2, 3].map(async () => { while ((await notifyOnce(database.db, 7)) > 0); }))
  expect((await box(reader)).data).toHaveLength(20)
})
