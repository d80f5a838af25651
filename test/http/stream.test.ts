import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { buildApp } from '../../src/http/app.ts'
import { authentication } from '../../src/http/auth.ts'
import { operationsOf, type Document } from '../../src/http/openapi-tidy.ts'
import { eventRoutes } from '../../src/http/routes/events.ts'
import { streamRoutes } from '../../src/http/routes/stream.ts'
import { relayOnce } from '../../src/service/relay.ts'
import { act, file } from '../../src/service/requests.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { listen, type Listening } from '../event-source.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { call, keyring, tokenFor } from '../processes.ts'

/** The stream at its door: what is sent, to whom, for how long, and how it ends. */

let database: TestDatabase
let town: TestPlace, other: TestPlace
let resident: PersonActor, staff: PersonActor, stranger: PersonActor
/** A minute on the wall, moved by tests. */
let later = 0
const relayed = async () => { while ((await relayOnce(database.db)).moved > 0); }

beforeAll(async () => {
  database = await freshDatabase()
  ;[town, other] = [await testPlace(database), await testPlace(database, {}, 'OTHER')]
  ;[resident, staff, stranger] = await Promise.all([town.person(), town.person({ can: ['view', 'dispatch', 'publish'] }), other.person({ at: 'S', can: ['view'] })])
  await wish()
})
afterAll(() => database.drop())

type Times = NonNullable<Parameters<typeof streamRoutes>[0]['times']>

/** A door of its own, with its own patience. */
async function door({ times = {}, most }: { times?: Times; most?: { inAll: number; each: number } } = {}): Promise<{ app: FastifyInstance; origin: string; open: typeof open }> {
  const deps = { db: database.db, keyring, clock: () => Date.now() + later }
  const app = buildApp({ log: pino({ level: 'silent' }), checkAnswers: true, routes: [authentication(deps), eventRoutes(deps), streamRoutes({ ...deps, times, ...(most && { most }) })] })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const origin = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
  const opened: Listening[] = []
  onTestFinished(async () => {
    for (const one of opened) one.close()
    await app.close()
  })
  async function open(who: string | PersonActor, query = '', headers: Record<string, string> = {}): Promise<Listening> {
    const one = await listen(origin, typeof who === 'string' ? who : tokenFor(town.tenantId, who.id), query, headers)
    opened.push(one)
    return one
  }
  return { app, origin, open }
}

async function wish(where = town, by = resident, node = 'U') {
  const { id } = await where.inside(() => file(database.db, { item: 'companionship', title: '心愿', node }, by))
  await relayed()
  return id
}
async function eventsApp(): Promise<string> {
  const { clientId } = await town.app()
  await database.owner.query(`UPDATE client SET scopes = '{events:read}' WHERE id = $1`, [clientId])
  return clientId
}
const of = ({ heard }: Listening) => heard.map(({ data }) => `${data.requestId} ${data.seq}`)
const hears = (one: Listening, expected: string[]) => vi.waitFor(() => expect(of(one)).toEqual(expected), { timeout: 5_000, interval: 10 })

describe('an event', () => {
  test('is what polling gives, under the cursor that polling takes', async () => {
    const { origin, open } = await door()
    const one = await open(staff)
    expect([one.status, one.headers]).toEqual([200, expect.objectContaining({
      'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no', 'x-content-type-options': 'nosniff', 'x-request-id': expect.any(String),
    })])
    const start = await vi.waitUntil(() => one.lastId())
    const id = await wish()
    await town.inside(() => act(database.db, 'accept', id, {}, staff))
    await relayed()
    await hears(one, [`${id} 1`, `${id} 2`])
    const token = tokenFor(town.tenantId, staff.id)
    const polled = (await call(origin, token, 'GET', `/v1/events?after=${start}`)).body
    expect(one.heard.map(({ data }) => data)).toEqual(polled.data)
    expect(one.heard.map(({ event }) => event)).toEqual(['request.filed', 'request.accepted'])
    expect(one.lastId()).toBe(polled.page.nextCursor)
    // from either to the other
    expect((await call(origin, token, 'GET', `/v1/events?after=${one.heard[0]!.id}`)).body.data).toEqual(polled.data.slice(1))
    const replayed = await open(staff, `?after=${start}`)
    await hears(replayed, [`${id} 1`, `${id} 2`])
    expect(replayed.ids).toEqual([start, ...one.heard.map((event) => event.id)])
    // the header of a reconnect wins over the URL it was first opened with
    await hears(await open(staff, `?after=${start}`, { 'last-event-id': one.heard[0]!.id }), [`${id} 2`])
    await hears(await open(staff, '?after=latest', { 'last-event-id': start }), [`${id} 1`, `${id} 2`])
  })

  test('is for its own tenant, place and type', async () => {
    const { open } = await door()
    const head = await town.person({ at: 'B', can: ['view'] })
    const [all, below, types, node, foreign] = await Promise.all([
      open(staff), open(head), open(staff, '?types=request.withdrawn,request.accepted'), open(staff, '?node=B'), open(tokenFor(other.tenantId, stranger.id)),
    ])
    const [atP, atU, theirs] = [await wish(town, resident, 'P'), await wish(), await wish(other, stranger)]
    await town.inside(() => act(database.db, 'withdraw', atU, {}, resident))
    await relayed()
    await hears(all, [`${atP} 1`, `${atU} 1`, `${atU} 2`])
    await hears(below, [`${atU} 1`, `${atU} 2`])
    await hears(types, [`${atU} 2`])
    await hears(node, [`${atU} 1`, `${atU} 2`])
    await hears(foreign, [`${theirs} 1`])
  })

  test('finds nobody coming back at the same moment: each is told another', async () => {
    const { open } = await door()
    const told = await Promise.all(Array.from({ length: 5 }, async () => {
      const one = await open(staff)
      return vi.waitUntil(() => one.retry())
    }))
    for (const ms of told) expect(ms).toSatisfy((given: number) => given >= 1_000 && given < 5_000)
    expect(new Set(told).size).toBeGreaterThan(1)
  })
})

describe('refusals', () => {
  test.each([
    ['/v1/events/stream?types=request.invented', {}, 400, 'validation-failed'],
    ['/v1/events/stream?limit=5', {}, 400, 'validation-failed'],
    ['/v1/events/stream?after=a%20b', {}, 400, 'validation-failed'],
    ['/v1/events/stream', { 'last-event-id': 'a b' }, 400, 'validation-failed'],
    ['/v1/events/stream?after=garbage', {}, 410, 'cursor-unusable'],
    ['/v1/events/stream', { 'last-event-id': 'OTk5OTk5OTk5' }, 410, 'cursor-unusable'],
    ['/v1/events/stream?node=nowhere', {}, 404, 'not-found'],
    ['/v1/events/stream', { authorization: '' }, 401, 'unauthenticated'],
    ['/v1/events/stream', { authorization: 'Bearer x.y.z' }, 401, 'token-invalid'],
  ])('%s %o is %i %s', async (url, headers, status, code) => {
    const { app } = await door()
    const answer = await app.inject({ url, headers: { authorization: `Bearer ${tokenFor(town.tenantId, staff.id)}`, ...headers } })
    expect([answer.statusCode, answer.json<{ code: string }>().code]).toEqual([status, code])
    expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/)
  })

  test('who may see nothing is 403, and HEAD is 405', async () => {
    const { app, open } = await door()
    const one = await open(resident)
    expect([one.status, (await one.body()).code]).toEqual([403, 'forbidden'])
    const head = await app.inject({ method: 'HEAD', url: '/v1/events/stream', headers: { authorization: `Bearer ${tokenFor(town.tenantId, staff.id)}` } })
    expect([head.statusCode, head.headers.allow]).toEqual([405, 'GET, OPTIONS'])
  })

  test('one caller may hold so many, all together so many; who leaves makes room', async () => {
    const { open } = await door({ most: { each: 2, inAll: 3 } })
    const app = tokenFor(town.tenantId, await eventsApp(), 'app')
    const first = await open(staff)
    expect((await open(staff)).status).toBe(200)
    const third = await open(staff)
    expect([third.status, (await third.body()).code]).toEqual([429, 'rate-limited'])
    expect((await open(app)).status).toBe(200)
    const fourth = await open(app)
    expect([fourth.status, (await fourth.body()).code, fourth.headers['retry-after']]).toEqual([503, 'overloaded', '1'])
    first.close()
    await vi.waitFor(async () => expect((await open(app)).status).toBe(200), 5_000)
  })
})

describe('the end', () => {
  test('comes with the token\'s', async () => {
    const { open } = await door({ times: { recheck: 50 } })
    const one = await open(staff)
    await sleep(150)
    expect(one.comments).toEqual([''])
    later = 3_600_001
    onTestFinished(() => { later = 0 })
    await one.ended
    expect(one.comments).toEqual(['', 'token-invalid'])
  })

  test.each([
    ['suspended', (id: string) => database.owner.query(`UPDATE person SET "suspendedAt" = now() WHERE id = $1`, [id]), 'token-invalid'],
    ['without a duty any more', (id: string) => database.owner.query(`UPDATE duty SET "to" = now() WHERE "personId" = $1`, [id]), 'forbidden'],
  ])('comes when a person is %s: in less than 5 s, and nothing is heard afterwards', async (_, change, why) => {
    const { open } = await door()
    const person = await town.person({ can: ['view'] })
    const one = await open(person)
    const since = performance.now()
    await change(person.id)
    await one.ended
    expect(performance.now() - since).toBeLessThan(5_000)
    expect(one.comments.at(-1)).toBe(why)
  })

  test('comes when an app is revoked', async () => {
    const { open } = await door({ times: { recheck: 100 } })
    const clientId = await eventsApp()
    const one = await open(tokenFor(town.tenantId, clientId, 'app'))
    expect(one.status).toBe(200)
    await database.owner.query(`UPDATE client SET "revokedAt" = now() WHERE id = $1`, [clientId])
    await one.ended
    expect(one.comments.at(-1)).toBe('token-invalid')
  })

  test('a duty that is moved moves the stream', async () => {
    const { open } = await door({ times: { recheck: 50 } })
    const person = await town.person({ at: 'P', can: ['view'] })
    const one = await open(person)
    const before = await wish(town, resident, 'P')
    await hears(one, [`${before} 1`])
    await database.owner.query('UPDATE duty SET "nodeId" = $2 WHERE "personId" = $1', [person.id, town.node.B])
    await sleep(2_300)
    const [, atU] = [await wish(town, resident, 'P'), await wish()]
    await hears(one, [`${before} 1`, `${atU} 1`])
  })

  test('comes with the server\'s, at once, with a word, and with no connection left over', async () => {
    const { app, origin, open } = await door()
    const streams = await Promise.all(Array.from({ length: 20 }, () => open(staff)))
    const stuck = await open(staff)
    stuck.pause()
    const started = performance.now()
    await app.close()
    expect(performance.now() - started).toBeLessThan(2_000)
    await Promise.all(streams.map(({ ended }) => ended))
    for (const { comments } of streams) expect(comments).toEqual(['', 'the server stops, come back'])
    await expect(fetch(`${origin}/v1/events`)).rejects.toThrow()
    await vi.waitFor(async () => expect((await database.owner.query(`SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'wish-wall feed'`)).rowCount).toBe(0), 5_000)
  })
})

describe('silence', () => {
  test('is broken by heartbeats, which move the place on where nothing matches', async () => {
    const { open } = await door({ times: { heartbeat: 40, recheck: 100 } })
    const one = await open(staff, '?types=request.escalated')
    const start = await vi.waitUntil(() => one.lastId())
    await wish()
    await vi.waitUntil(() => one.comments.length > 5)
    const all = await open(staff)
    await vi.waitFor(() => expect(one.lastId()).toBe(all.lastId()))
    expect(one.lastId()).not.toBe(start)
    expect(one.heard).toEqual([])
  })

  test('a database that is away does not end it', async () => {
    const { open } = await door({ times: { recheck: 50 } })
    const one = await open(staff)
    await database.owner.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'wish-wall%'`)
    const failing = vi.spyOn(database.db.app, 'query').mockImplementation((() => Promise.reject(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }))) as never)
    await sleep(2_500)
    expect(failing.mock.calls.length).toBeGreaterThan(1)
    failing.mockRestore()
    const id = await wish()
    await hears(one, [`${id} 1`])
  })
})

describe('a reader that does not read', () => {
  const flood = async (count: number) => {
    const id = await wish()
    await database.owner.query(`INSERT INTO feed SELECT "tenantId", nextval('feed_position'), gen_random_uuid(), "requestId", seq, type, at, path, payload || jsonb_build_object('item', repeat('长', 300)) FROM feed, generate_series(1, $2) WHERE "requestId" = $1`, [id, count])
    await database.owner.query(`SELECT pg_notify('wishwall_feed', '')`)
  }

  test('is cut off, holds nobody up, and finds everything when it comes back', async () => {
    const { origin, open } = await door({ times: { stalled: 700, heartbeat: 50 } })
    const [slow, awake] = await Promise.all([open(staff), open(staff)])
    const start = await vi.waitUntil(() => slow.lastId())
    slow.pause()
    const count = 8_000
    await flood(count)
    await vi.waitFor(() => expect(awake.heard).toHaveLength(count + 1), 30_000)
    await sleep(1_000)
    slow.resume()
    await slow.ended
    expect(slow.heard.length).toBeLessThan(count)
    // what it got has no holes, and the rest is there under its last id
    const again = await open(staff, '', { 'last-event-id': slow.lastId() })
    await vi.waitFor(() => expect(slow.heard.length + again.heard.length).toBe(count + 1), 30_000)
    const ids = (...streams: Listening[]) => streams.flatMap(({ heard }) => heard.map(({ data }) => data.id as string))
    expect(ids(slow, again)).toEqual(ids(awake))
    const { body } = await call(origin, tokenFor(town.tenantId, staff.id), 'GET', `/v1/events?after=${start}&limit=1`)
    expect(body.data[0].id).toBe(awake.heard[0]!.data.id)
  })

  test('for a while only: it goes on where it was', async () => {
    const { open } = await door({ times: { heartbeat: 50 } })
    const one = await open(staff)
    one.pause()
    await flood(6_000)
    await sleep(500)
    one.resume()
    await vi.waitFor(() => expect(one.heard).toHaveLength(6_001), 30_000)
    expect(new Set(one.heard.map(({ data }) => data.id)).size).toBe(6_001)
    // no heartbeat has told it a place that it had not yet reached
    const places = one.ids.map((id) => Number(Buffer.from(id, 'base64url').toString()))
    expect(places).toEqual(places.toSorted((a, b) => a - b))
  })
})

test('is documented', async () => {
  const { app } = await door()
  const document = (await app.inject('/openapi.json')).json<Document>()
  const operation = operationsOf(document).find((one) => (one as unknown as { operationId: string }).operationId === 'streamEvents')!
  expect(Object.keys(operation.responses)).toEqual(['200', '400', '401', '403', '404', '410', '429', '500', '503'])
  expect(operation.responses['200']).toMatchObject({ content: { 'text/event-stream': { schema: { type: 'string' } } } })
  expect(operation.parameters!.map(({ in: where, name }) => `${where} ${name}`).sort()).toEqual(['header Last-Event-Id', 'query after', 'query node', 'query types'])
  expect(operation.security).toEqual([{ staffLogin: ['events:read'] }, { appCredentials: ['events:read'] }])
})
