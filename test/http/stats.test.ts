import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { RATE_CODES } from '../../src/domain/rates.ts'
import { buildApp } from '../../src/http/app.ts'
import { authentication } from '../../src/http/auth.ts'
import { creditRoutes } from '../../src/http/routes/credit.ts'
import { statsRoutes } from '../../src/http/routes/stats.ts'
import { creditOnce } from '../../src/service/credit-entries.ts'
import { createPerson } from '../../src/service/people.ts'
import { countOnce } from '../../src/service/rate-facts.ts'
import { relayOnce } from '../../src/service/relay.ts'
import { act, file } from '../../src/service/requests.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { call, keyring, tokenFor } from '../processes.ts'

/** Figures over real HTTP: who sees which, what of confidential matters, what comes most and what comes again. */

let database: TestDatabase
let town: TestPlace
let app: FastifyInstance
let origin: string
let resident: PersonActor, chief: PersonActor, head: PersonActor, inspector: PersonActor, caller: PersonActor, outsider: PersonActor
let worker: string

const get = (who: { id: string }, path: string) => call(origin, tokenFor(town.tenantId, who.id), 'GET', path)
const tell = async (): Promise<void> => {
  while ((await relayOnce(database.db)).moved > 0);
  while ((await countOnce(database.db)) > 0);
  while ((await creditOnce(database.db)) > 0);
}

async function done(more: { node?: string; confidential?: boolean } = {}): Promise<string> {
  const { id } = await file(database.db, { item: 'corridor-light', title: '灯', node: more.node ?? 'U', ...(more.confidential ? { confidential: true } : {}) }, resident)
  await act(database.db, 'accept', id, {}, chief)
  await act(database.db, 'dispatch', id, { to: worker }, chief)
  const actor = { ...(await town.person()), id: worker }
  await act(database.db, 'sign', id, {}, actor)
  await act(database.db, 'complete', id, { outcome: '修好了' }, actor)
  return id
}

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database)
  ;[resident, chief, head, inspector, caller, outsider] = await Promise.all([
    town.person(), town.person({ at: 'S', can: ['view', 'dispatch', 'approve'] }), town.person({ at: 'B', can: ['view'] }), town.person({ at: 'P', can: ['supervise'] }),
    town.person({ at: 'S', can: ['view', 'follow_up'] }), town.person({ at: 'C', can: ['handle'] }),
  ])
  await town.inside(async () => {
    worker = await createPerson(database.db, keyring, { name: '王示例', login: 'W-1' })
    await database.owner.query(`INSERT INTO role ("tenantId", code, name, capabilities) VALUES ($1, 'grid', '网格员', '{handle}')`, [town.tenantId])
    await database.owner.query(`INSERT INTO duty ("tenantId", id, "personId", "roleCode", "nodeId", "from") VALUES ($1, gen_random_uuid(), $2, 'grid', $3, '2020-01-01Z')`, [town.tenantId, worker, town.node.B])
    const ids = [await done(), await done(), await done({ node: 'P' }), await done({ confidential: true })]
    for (const id of ids.slice(0, 2)) await act(database.db, 'follow-up', id, { reached: true, solved: 'solved', satisfaction: id === ids[0] ? 'satisfied' : 'fairly' }, caller)
    await act(database.db, 'ask-exclusion', ids[1]!, { reason: '不属于本辖区' }, { ...(await town.person()), id: worker })
    await act(database.db, 'grant-exclusion', ids[1]!, {}, chief)
  })
  await tell()
  const deps = { db: database.db, keyring, clock: Date.now }
  app = buildApp({ log: pino({ level: 'silent' }), checkAnswers: true, routes: [authentication(deps), statsRoutes(deps), creditRoutes(deps)] })
  origin = await app.listen({ port: 0, host: '127.0.0.1' })
})
afterAll(async () => {
  await app.close()
  await database.drop()
})

const ofRate = (body: Record<string, any>, rate: string) => body.rates.find((one: { rate: string }) => one.rate === rate)

describe('the definitions', () => {
  test('are published with a version, every rate with its two parts in both languages and its source', async () => {
    const { status, body } = await get(resident, '/v1/stats/definitions')
    expect([status, body.version, body.zone]).toEqual([200, 'v1', 'Asia/Shanghai'])
    expect(body.rates.map(({ rate }: { rate: string }) => rate)).toEqual(RATE_CODES)
    for (const rate of body.rates) for (const part of [rate.name, rate.numerator, rate.denominator]) expect([/\p{Script=Han}/u.test(part.zh), /[a-z]/.test(part.en)]).toEqual([true, true])
  })
})

describe('the rates', () => {
  test('say numerator, denominator and who excluded what and why', async () => {
    const { status, body } = await get(chief, '/v1/stats/rates?node=S')
    expect(status).toBe(200)
    expect(ofRate(body, 'on_time')).toEqual({ rate: 'on_time', numerator: 3, denominator: 3, excluded: 1, value: 1, apart: [{ code: 'late', count: 0 }, { code: 'open', count: 0 }, { code: 'ended', count: 0 }] })
    expect(ofRate(body, 'satisfaction')).toMatchObject({ numerator: 1, denominator: 1, excluded: 1 })
    expect(ofRate(body, 'building_level')).toMatchObject({ numerator: 2, denominator: 3, value: 0.6667 })
    expect(ofRate(body, 'claim')).toMatchObject({ denominator: 0, value: null })
    expect(body.exclusions).toMatchObject({ count: 1, data: [{ reason: '不属于本辖区', askedBy: worker, approvedBy: chief.id, cycle: 1 }] })
    expect((await get(chief, '/v1/stats/rates?node=S&from=2020-01-01&to=2020-12-31')).body).toMatchObject({ exclusions: { count: 0 }, from: '2020-01-01' })
  })

  test('of one’s own places when none is named, and of nobody else’s', async () => {
    expect(ofRate((await get(head, '/v1/stats/rates')).body, 'on_time')).toMatchObject({ denominator: 2 })
    expect(ofRate((await get(inspector, '/v1/stats/rates?node=P')).body, 'on_time')).toMatchObject({ denominator: 3 })
    for (const [who, path] of [
      [head, 'rates?node=P'], [head, 'trend?node=S'], [head, 'hotspots?node=C'], [head, 'recurring?node=C'], [head, 'rates/on_time/requests?node=P'], [inspector, 'rates?node=C'],
      [outsider, 'rates'], [resident, 'rates'], [chief, 'rates?node=NOWHERE'],
    ] as const) expect((await get(who, `/v1/stats/${path}`)).status, path).toBe(404)
    expect((await get(chief, '/v1/stats/rates?node=S&from=2026-02-01&to=2026-01-01'))).toMatchObject({ status: 400, body: { errors: [{ pointer: '/query/to' }] } })
    expect((await get(chief, '/v1/stats/rates?node=S&from=2026-02-30')).status).toBe(400)
    expect(await get(chief, '/v1/stats/rates?node=S&from=1950-01-01&to=1950-02-01')).toMatchObject({ status: 400, body: { errors: [{ pointer: '/query/from' }] } })
    expect(await get(chief, '/v1/stats/rates?node=S&from=2199-12-01&to=2199-12-31')).toMatchObject({ status: 400, body: { errors: [{ pointer: '/query/to' }] } })
    expect((await get(chief, '/v1/stats/rates/none/requests?node=S')).status).toBe(400)
  })

  test('by party with names masked, of a party alone what can be told of it', async () => {
    const { body } = await get(chief, '/v1/stats/rates?node=S&group=party')
    expect(body.groups).toMatchObject([{ kind: 'person', key: worker, name: '王**' }])
    expect(ofRate(body.groups[0], 'on_time')).toMatchObject({ numerator: 3, denominator: 3, excluded: 1 })
    expect((await get(chief, `/v1/stats/rates?node=S&party=${worker}`)).body.rates.map(({ rate }: { rate: string }) => rate)).not.toContain('claim')
    expect(JSON.stringify(body)).not.toContain('示例')
  })

  test('count what is confidential and list it only for those who may see it', async () => {
    const numbers = async (who: { id: string }, query: string) => (await get(who, `/v1/stats/rates/on_time/requests?${query}`)).body.data.map(({ number }: { number: string }) => number)
    expect(ofRate((await get(inspector, '/v1/stats/rates?node=P')).body, 'on_time').denominator).toBe(3)
    expect(await numbers(inspector, 'node=P')).toHaveLength(2)
    expect(await numbers(chief, 'node=P')).toHaveLength(3)
    expect(await numbers(head, 'node=B')).toHaveLength(1)
    expect((await get(inspector, '/v1/stats/rates?node=P&group=item')).body.groups.map(({ key }: { key: string }) => key).sort()).toEqual(['confidential', 'corridor-light'])
    const { body } = await get(chief, '/v1/stats/rates/on_time/requests?node=S&part=excluded')
    expect(body.data).toMatchObject([{ exclusion: { reason: '不属于本辖区', approvedBy: chief.id }, node: { code: 'U' } }])
  })

  test('go by days of the tenant’s zone: what is done at 0:30 in Shanghai is of that day', async () => {
    const at = '2026-03-31T16:30:00Z'
    await database.owner.query(`UPDATE rate_fact SET at = $1, day = 20544 WHERE base = 'completed'`, [at])
    const seen = async (from: string, to: string) => ofRate((await get(chief, `/v1/stats/rates?node=S&from=${from}&to=${to}`)).body, 'redo').denominator
    expect([await seen('2026-03-31', '2026-03-31'), await seen('2026-04-01', '2026-04-01'), await seen('2026-03-01', '2026-03-31')]).toEqual([0, 3, 0])
    const { body } = await get(chief, '/v1/stats/trend?node=S&from=2026-03-30&to=2026-04-02&by=day&rate=redo')
    expect(body.data.map(({ from, rates }: { from: string; rates: { denominator: number }[] }) => [from, rates.map(({ denominator }) => denominator)])).toEqual([['2026-03-30', [0]], ['2026-03-31', [0]], ['2026-04-01', [3]], ['2026-04-02', [0]]])
    const months = (await get(chief, '/v1/stats/trend?node=S&from=2025-11-15&to=2026-04-02')).body.data
    expect([months.length, months[0].from, months[0].to, months[5].from]).toEqual([6, '2025-11-15', '2025-11-30', '2026-04-01'])
    const weeks = (await get(chief, '/v1/stats/trend?node=S&by=week&from=2026-03-28&to=2026-04-08')).body.data
    expect(weeks.map(({ from }: { from: string }) => from)).toEqual(['2026-03-28', '2026-03-30', '2026-04-06'])
  })
})

describe('where most is asked for', () => {
  test('places and services, against the time before; counted together at a level', async () => {
    const { body } = await get(chief, '/v1/stats/hotspots?node=S')
    expect(body.data.map((one: Record<string, any>) => [one.node.code, one.item.code, one.count, one.before])).toEqual([['U', 'corridor-light', 2, 0], ['P', 'corridor-light', 1, 0], ['U', 'confidential', 1, 0]])
    const { body: together } = await get(chief, '/v1/stats/hotspots?node=S&level=compound&limit=1')
    expect(together.data).toMatchObject([{ node: { code: 'P' }, item: { code: 'corridor-light', name: '楼道灯' }, count: 3 }])
    expect((await get(chief, '/v1/stats/hotspots?node=S&level=galaxy')).status).toBe(400)
    await database.owner.query(`UPDATE rate_fact SET at = at - interval '400 days' WHERE base = 'filed' AND path = 'S/C/P/'`)
    const { body: one } = await get(chief, '/v1/stats/hotspots?node=S&item=corridor-light')
    expect(one.data).toMatchObject([{ node: { code: 'U' }, count: 2 }])
    const day = body.to
    const before = (await get(chief, `/v1/stats/hotspots?node=S&from=${day.slice(0, 4)}-01-01&to=${day}`)).body
    expect(before.before.to < before.from).toBe(true)
  })

  test('and what came again at the same place so soon, the confidential left out', async () => {
    const { body } = await get(chief, '/v1/stats/recurring?node=S')
    expect(body.data).toMatchObject([{ node: { code: 'U' }, item: { code: 'corridor-light' }, count: 2, again: 1 }])
    await database.owner.query(`UPDATE rate_fact SET at = at - interval '40 days' WHERE base = 'filed' AND path = 'S/C/P/B/U/' AND "requestId" = (SELECT min("requestId"::text)::uuid FROM rate_fact WHERE base = 'filed' AND item = 'corridor-light' AND path = 'S/C/P/B/U/')`)
    expect((await get(chief, '/v1/stats/recurring?node=S')).body.data).toEqual([])
    expect((await get(chief, '/v1/stats/recurring?node=S&within=41')).body.data).toMatchObject([{ count: 1, again: 1 }])
  })
})

describe('credit', () => {
  test('is told to the one who earned it; to an app by its own token there is none', async () => {
    const { status, body } = await get({ id: worker }, '/v1/me/credit')
    expect([status, body.points, body.name, body.data.length]).toEqual([200, 12, '王**', 3])
    expect((await get(chief, '/v1/credit?of=person&id=W-1')).body.points).toBe(12)
    expect((await get(outsider, '/v1/credit?of=person&id=W-1')).status).toBe(404)
    expect((await get(chief, '/v1/credit/ranking?of=person&node=S')).body.data).toMatchObject([{ rank: 1, points: 12, holder: { name: '王**' } }])
    expect((await get(outsider, '/v1/credit/ranking?of=person&node=S')).status).toBe(404)
  })
})
