import type { FastifyInstance } from 'fastify'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { wholeApi } from '../http/whole-api.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { call, tokenFor } from '../processes.ts'

/** 敲门问需 over real HTTP: phones that send twice, at once and out of order, and what is said of the doors. */

let database: TestDatabase
let town: TestPlace
let app: FastifyInstance
let origin: string
let grid: PersonActor, chief: PersonActor, member: PersonActor, stranger: PersonActor, watcher: PersonActor
let homes: string[]

const as = (who: { id: string }) => tokenFor(town.tenantId, who.id)
const send = (who: { id: string }, visits: object[], headers = {}) => call(origin, as(who), 'POST', '/v1/visits/batch', visits, headers)
const get = (who: { id: string }, path: string) => call(origin, as(who), 'GET', path)
const rows = async (sql: string): Promise<number> => (await database.owner.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${sql}`)).rows[0]!.n
const at = (hoursAgo: number) => new Date(Date.now() - hoursAgo * 3_600_000).toISOString()
const visit = (clientId: string, more: object = {}) => ({ clientId, household: homes[0], visitedAt: at(5), result: 'met', ...more })
const need = { item: 'corridor-light', title: '楼道灯不亮' }

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database)
  ;[grid, chief, member, stranger, watcher] = await Promise.all([
    town.person({ at: 'B', can: ['file_for', 'view'] }), town.person({ at: 'S', can: ['dispatch', 'view', 'administer'] }), town.person({ at: 'P', kinds: ['party_member'] }),
    town.person(), town.person({ at: 'P', can: ['view'] }),
  ])
  app = await wholeApi(database.db)
  origin = await app.listen({ host: '127.0.0.1', port: 0 })
  const made = await call(origin, as(chief), 'POST', '/v1/households', { households: Array.from({ length: 12 }, (_, n) => ({ node: 'U', door: `${501 + n}` })) })
  homes = made.body.data.map(({ id }: { id: string }) => id)
})
afterAll(async () => {
  await app.close()
  await database.drop()
})

describe('households', () => {
  test('are doors once, whoever writes them how; what is wrong with one registers none', async () => {
    const again = await call(origin, as(grid), 'POST', '/v1/households', { households: [{ node: 'U', door: ' ５０１ ' }, { node: 'U', door: '3a' }, { node: 'U', door: '3A' }] })
    expect(again.body.data.map(({ created }: { created: boolean }) => created)).toEqual([false, true, true])
    expect(again.body.data[0].id).toBe(homes[0])
    expect(again.body.data[1].id).toBe(again.body.data[2].id)
    const before = await rows('household')
    const wrong = await call(origin, as(grid), 'POST', '/v1/households', { households: [{ node: 'U', door: '901' }, { node: 'NOWHERE', door: '1' }] })
    expect([wrong.status, wrong.body.errors[0].pointer]).toEqual([422, '/households/1/node'])
    expect((await call(origin, as(grid), 'POST', '/v1/households', { households: [{ node: 'P', door: '901' }] })).status).toBe(403)
    expect(await rows('household')).toBe(before)
  })

  test('lie sealed: the door is read by those who knock there, masked for all others, and by no byte of the table', async () => {
    expect((await get(grid, `/v1/households/${homes[1]}`)).body.door).toBe('502')
    expect((await get(watcher, `/v1/households/${homes[1]}`)).body.door).toBe('***')
    expect((await get(stranger, `/v1/households/${homes[1]}`)).status).toBe(404)
    expect((await get(stranger, '/v1/households')).body.data).toEqual([])
    const { rows: raw } = await database.owner.query('SELECT h.*, s.* FROM household h JOIN subject s ON s.id = h."subjectId" LIMIT 20')
    expect(raw.some((row) => Object.values(row).some((value) => Buffer.isBuffer(value) && value.includes('502')))).toBe(false)
  })

  test('1+N: who looks after them sees them with their doors, until it ends', async () => {
    const mine = homes.slice(2, 5)
    const link = (path: string) => call(origin, as(chief), 'POST', `/v1/households/${path}`, { person: member.id, households: mine })
    expect((await link('links')).body).toEqual({ changed: 3 })
    expect((await link('links')).body).toEqual({ changed: 0 })
    const list = (await get(member, '/v1/households?due=true')).body.data as { id: string; door: string; links: { person: string }[] }[]
    expect(list.map(({ id, door, links }) => [id, door, links[0]!.person]).sort()).toEqual(mine.map((id, n) => [id, `${503 + n}`, member.id]).sort())
    expect((await call(origin, as(grid), 'POST', '/v1/households/links', { person: member.id, households: mine })).status).toBe(403)
    expect((await get(watcher, `/v1/households?person=${member.id}`)).body.data).toHaveLength(3)
    expect((await send(member, [visit('m-1', { household: mine[0], result: 'not_home' }), visit('m-2', { household: homes[0] })])).body.data.map(({ status }: { status: number }) => status)).toEqual([201, 404])
    expect((await link('links/end')).body).toEqual({ changed: 3 })
    // Who is linked reads the doors: given and taken back, each once, is on record.
    const { rows: told } = await database.owner.query(`SELECT action, "objectId", "actorId", details FROM audit_entry WHERE action LIKE 'household.%' ORDER BY id`)
    expect(told.map(({ action, objectId, details }) => [action, objectId, (details.households as string[]).length])).toEqual([['household.linked', member.id, 3], ['household.unlinked', member.id, 3]])
    expect((await get(member, '/v1/households')).body.data).toEqual([])
  })
})

describe('a batch', () => {
  test('each visit for itself: one bad harms none, and its answer says where', async () => {
    const before = await rows('request')
    const { status, body } = await send(grid, [
      visit('b-1', { needs: [need, { ...need, title: '帮忙换灯泡', resolvedOnSpot: { outcome: '当场换好' } }] }),
      visit('b-2', { needs: [{ item: 'no-such-item', title: 'x' }] }), visit('b-3', { result: 'not_home', needs: [need] }), visit('b-4', { visitedAt: at(-2) }),
      visit('b-5', { household: town.node.U }), { clientId: 'b-6' }, visit('b-7', { result: 'refused', household: homes[1] }),
    ])
    expect(status).toBe(200)
    expect(body.data.map((one: { status: number; problem?: { code: string; errors?: { pointer: string }[] } }) => [one.status, one.problem?.code, one.problem?.errors?.[0]?.pointer])).toEqual([
      [201, undefined, undefined], [422, 'item-unknown', '/needs/0/item'], [400, 'validation-failed', '/needs'], [400, 'validation-failed', '/visitedAt'],
      [404, 'not-found', '/household'], [400, 'validation-failed', '/household'], [201, undefined, undefined],
    ])
    expect(await rows('request')).toBe(before + 2)
    expect(await rows(`visit WHERE "clientRef" = 'b-2'`)).toBe(0)
    const [first] = body.data
    const { rows: filed } = await database.owner.query(`SELECT state, source, "collectedAt", "onTheSpot", "filerId" FROM request WHERE id = ANY ($1) ORDER BY "onTheSpot"`, [first.visit.requests.map(({ id }: { id: string }) => id)])
    expect(filed).toEqual([
      { state: 'filed', source: 'visit', collectedAt: new Date(first.visit.visitedAt), onTheSpot: false, filerId: grid.id },
      { state: 'completed', source: 'visit', collectedAt: new Date(first.visit.visitedAt), onTheSpot: true, filerId: grid.id },
    ])
  })

  test('sent again, at once and in another order, is one visit and the same answer; an age later too', async () => {
    const visits = Array.from({ length: 8 }, (_, n) => visit(`twin-${n}`, { household: homes[n % 4], visitedAt: at(30 - n), needs: [need] }))
    const before = [await rows('visit'), await rows('request')]
    const answers = await Promise.all([visits, visits, visits.toReversed(), visits.toReversed(), visits, visits.toSorted(() => 0.5 - Math.random())].map((batch) => send(grid, batch)))
    const byId = (body: { data: { clientId: string }[] }) => body.data.toSorted((a, b) => (a.clientId < b.clientId ? -1 : 1))
    for (const { status, body } of answers) {
      expect(status).toBe(200)
      expect(byId(body as never)).toEqual(byId(answers[0]!.body as never))
    }
    expect(answers[0]!.body.data.every(({ status }: { status: number }) => status === 201)).toBe(true)
    expect([await rows('visit'), await rows('request')]).toEqual([before[0]! + 8, before[1]! + 8])
    // Nothing of it is kept for a while only: what Idempotency-Key keeps is gone after a day.
    await database.owner.query('DELETE FROM idempotency')
    expect(byId((await send(grid, visits)).body as never)).toEqual(byId(answers[0]!.body as never))
    expect(await rows('visit')).toBe(before[0]! + 8)
  })

  test('the number of another is free, one’s own stands for one visit only', async () => {
    const other = await town.person({ at: 'U', can: ['file_for'] })
    const once = visit('same-number')
    expect((await send(grid, [once])).body.data[0].status).toBe(201)
    expect((await send(other, [once])).body.data[0].status).toBe(201)
    const changed = (await send(grid, [{ ...once, result: 'refused' }])).body.data[0]
    expect([changed.status, changed.problem.code]).toEqual([422, 'client-id-reused'])
    expect((await call(origin, tokenFor(town.tenantId, (await town.app()).clientId, 'app'), 'POST', '/v1/visits/batch', [once])).status).toBe(403)
  })

  test('late phones do not turn back the last visit', async () => {
    await send(grid, [visit('late-2', { household: homes[9], visitedAt: at(2) }), visit('late-1', { household: homes[9], visitedAt: at(50) })])
    const { body } = await get(grid, `/v1/households/${homes[9]}`)
    expect(Date.now() - Date.parse(body.visitedAt)).toBeLessThan(3 * 3_600_000)
  })

  test('of five hundred and one is refused whole', async () => {
    const before = await rows('visit')
    expect((await send(grid, Array.from({ length: 501 }, (_, n) => visit(`x-${n}`)))).status).toBe(400)
    expect(await rows('visit')).toBe(before)
  })
})

test('coverage counts doors, not knocks; what is overdue by the tenant’s days; and how late the phones were', async () => {
  const other = await testPlace(database, {}, 'OTHER')
  const [walker, boss] = [await other.person({ at: 'P', can: ['file_for', 'view'] }), await other.person({ at: 'S', can: ['supervise', 'administer'] })]
  await database.owner.query(`UPDATE tenant SET settings = settings || '{"visitEveryDays": 30}' WHERE id = $1`, [other.tenantId])
  const token = (who: { id: string }) => tokenFor(other.tenantId, who.id)
  const made = await call(origin, token(walker), 'POST', '/v1/households', { households: ['1', '2', '3', '4', '5'].map((door) => ({ node: 'U', door })) })
  const ids = made.body.data.map(({ id }: { id: string }) => id) as string[]
  await database.owner.query(`UPDATE household SET "createdAt" = now() - interval '100 days' WHERE "tenantId" = $1`, [other.tenantId])
  const days = (n: number) => at(n * 24)
  const batch = [
    { clientId: '1', household: ids[0], visitedAt: days(2), result: 'not_home' }, { clientId: '2', household: ids[0], visitedAt: days(1), result: 'met', needs: [need, { ...need, resolvedOnSpot: { outcome: '换好了' } }] },
    { clientId: '3', household: ids[1], visitedAt: days(3), result: 'refused' }, { clientId: '4', household: ids[2], visitedAt: days(3), result: 'not_home' },
    { clientId: '5', household: ids[3], visitedAt: days(40), result: 'met' },
  ]
  expect((await call(origin, token(walker), 'POST', '/v1/visits/batch', batch)).body.data.map(({ status }: { status: number }) => status)).toEqual([201, 201, 201, 201, 201])
  const day = (n: number) => new Date(Date.now() - n * 86_400_000 + 8 * 3_600_000).toISOString().slice(0, 10)
  const { status, body } = await call(origin, token(boss), 'GET', `/v1/visits/coverage?node=P&from=${day(7)}&to=${day(0)}`)
  expect(status).toBe(200)
  // 1 met in time; 2 refused; 3 never there; 4 forty days ago; 5 never.
  expect(body).toMatchObject({ households: 5, visited: 3, met: 1, refused: 1, notHome: 1, overdue: 3, everyDays: 30, coverage: 0.2, visits: 4, needs: { filed: 2, resolvedOnSpot: 1 } })
  expect([Math.round(body.lag.p50 / 86_400), Math.round(body.lag.max / 86_400)]).toEqual([2, 3])
  const due = (await call(origin, token(walker), 'GET', '/v1/households?due=true&limit=2')).body
  const rest = (await call(origin, token(walker), 'GET', `/v1/households?due=true&cursor=${due.page.nextCursor}`)).body
  expect([...due.data, ...rest.data].map(({ id }: { id: string }) => id)).toEqual([ids[2], ids[4], ids[3]].toSorted((a, b) => (a === ids[3] ? 1 : b === ids[3] ? -1 : a! < b! ? -1 : 1)))
  expect((await call(origin, token(await other.person({ at: 'P', can: ['handle'] })), 'GET', `/v1/visits/coverage?node=P&from=${day(7)}&to=${day(0)}`)).status).toBe(404)
  expect((await get(chief, `/v1/visits/coverage?node=P&from=${day(7)}&to=${day(0)}`)).body.households).toBeGreaterThan(5)
})
