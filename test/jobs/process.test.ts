import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { call, eventually, startProcess, tokenFor, type Running } from '../processes.ts'
import { testPlace } from '../place.ts'
import { redisServer, type Server } from './servers.ts'

/** The real processes on each backend: how they say that they live, and that they end. */
const TOKEN = 'a token that nobody guesses'.replaceAll(' ', '-')

describe.each(inject('queues').map(({ kind }) => kind))('a worker on %s', (kind) => {
  let database: TestDatabase
  let redis: Server | undefined
  let api: Running, worker: Running

  beforeAll(async () => {
    database = await freshDatabase()
    redis = kind === 'Redis' ? await redisServer() : undefined
    const env = { DATABASE_URL: database.url, REDIS_URL: redis?.url ?? '', METRICS_TOKEN: TOKEN, METRICS_PORT: '0' }
    ;[api, worker] = await Promise.all([startProcess('api', env), startProcess('worker', { ...env, METRICS_TOKEN: '' })])
  })
  afterAll(async () => {
    await Promise.all([api?.stop(), worker?.stop('SIGKILL')])
    await redis?.remove()
    await database.drop()
  })

  const ready = async () => (await (await fetch(`${api.origin}/readyz`)).json()) as { worker: { roundTripSecondsAgo: number | null } | null }
  const scraped = async (url: string, headers: Record<string, string> = {}) => {
    const answer = await fetch(url, { headers })
    return { status: answer.status, type: answer.headers.get('content-type'), text: await answer.text() }
  }
  const ownPort = (of: Running) => `http://127.0.0.1:${/"port":(\d+),"msg":"metrics"/.exec(of.log())![1]}/metrics`
  const workerMetrics = () => ownPort(worker)
  const authorised = { authorization: `Bearer ${TOKEN}` }
  const figure = (text: string, name: string) => Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(text)?.[1] ?? NaN)

  test('shows the round trip of its canary in /readyz and in /metrics of every process', async () => {
    await eventually(async () => ((await ready()).worker?.roundTripSecondsAgo ?? null) !== null)
    for (const { text } of [await scraped(`${api.origin}/metrics`, authorised), await scraped(workerMetrics())]) {
      expect(figure(text, 'wishwall_database_up')).toBe(1)
      expect(figure(text, 'wishwall_workers')).toBe(1)
      expect(figure(text, 'wishwall_canary_age_seconds')).toBeLessThan(30)
    }
    expect(figure((await scraped(workerMetrics())).text, 'wishwall_canary_round_trip_seconds')).toBeGreaterThan(0)
  })

  test('goes on with it by itself when the backend has lost every job', async () => {
    if (redis) await redis.disturb()
    else await database.owner.query(`DELETE FROM bullmq.job`)
    const at = async () => (await database.owner.query<{ at: Date }>(`SELECT max("roundTripAt") AS at FROM worker`)).rows[0]!.at
    const before = await at()
    await eventually(async () => (await at()) > before)
  })

  test('answers /metrics on a port of its own, and nothing else there', async () => {
    const own = await scraped(workerMetrics())
    expect(own).toMatchObject({ status: 200, type: expect.stringMatching(/^text\/plain; version=0\.0\.4/) })
    for (const name of ['wishwall_sweep_marks_total', 'wishwall_sweep_seconds_count', 'wishwall_outbox_rows', 'wishwall_deadline_oldest_due_seconds', 'process_cpu_seconds_total', 'nodejs_eventloop_lag_seconds']) {
      expect(own.text, name).toMatch(new RegExp(`^${name}[ {]`, 'm'))
    }
    expect((await scraped(workerMetrics().replace('/metrics', '/'))).status).toBe(404)
    expect((await fetch(workerMetrics(), { method: 'POST' })).status).toBe(405)
    // Where a token is set, there too.
    expect((await scraped(ownPort(api))).status).toBe(401)
    expect((await scraped(ownPort(api), authorised)).status).toBe(200)
  })

  test('beside the API it wants the token, and says nothing of who asked for what', async () => {
    const town = await testPlace(database)
    const resident = await town.person()
    const token = tokenFor(town.tenantId, resident.id)
    const filed = await call(api.origin, token, 'POST', '/v1/requests', { item: 'companionship', title: '想有人陪我下棋', description: '每周一次', node: 'U' })
    expect(filed.status).toBe(201)
    await call(api.origin, token, 'GET', `/v1/requests/${filed.body.id}`)
    await call(api.origin, token, 'GET', '/v1/13800000000')
    for (const headers of [{}, { authorization: `Bearer ${token}` }, { authorization: `Bearer ${TOKEN}x` }, { authorization: `Basic ${TOKEN}` }]) {
      const refused = await scraped(`${api.origin}/metrics`, headers as Record<string, string>)
      expect(refused).toMatchObject({ status: 401, type: expect.stringContaining('application/problem+json') })
    }
    const { status, text } = await scraped(`${api.origin}/metrics`, authorised)
    expect(status).toBe(200)
    expect(text).toMatch(/^wishwall_http_request_seconds_count\{method="POST",route="\/v1\/requests",status="201"\} 1$/m)
    expect(text).toMatch(/^wishwall_http_request_seconds_count\{method="GET",route="\/v1\/requests\/:\w+",status="200"\} 1$/m)
    expect(text).toMatch(/^wishwall_http_request_seconds_count\{method="GET",route="none",status="404"\} 1$/m)
    expect(text).not.toMatch(/[0-9a-f]{8}-[0-9a-f]{4}|13800000000|下棋|TEST/)
  })

  test('ends within ten seconds, also when the backend is dead', async () => {
    await redis?.kill()
    const gone = once(worker.child, 'exit')
    const began = performance.now()
    worker.child.kill('SIGTERM')
    expect(await gone).toEqual([0, null])
    const ms = performance.now() - began
    console.log(`${kind}: the worker is gone ${Math.round(ms)} ms after SIGTERM`)
    expect(ms).toBeLessThan(10_000)
  })
})

test('without a token there is no /metrics on the port of the API', async () => {
  const database = await freshDatabase()
  const api = await startProcess('api', { DATABASE_URL: database.url })
  const answer = await fetch(`${api.origin}/metrics`, { headers: { authorization: `Bearer ${TOKEN}` } })
  expect(answer.status).toBe(404)
  await api.stop()
  await database.drop()
})
