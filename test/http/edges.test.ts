import { once } from 'node:events'
import { createServer, connect, type Server } from 'node:net'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { pino } from 'pino'
import { buildApi, storageOf } from '../../src/bin/compose.ts'
import { readConfig } from '../../src/bin/config.ts'
import { inTenant } from '../../src/service/db.ts'
import { createKey } from '../../src/service/api-keys.ts'
import { personActor } from '../../src/service/actors.ts'
import { keyring } from '../processes.ts'
import { openWorld, type World } from './authorisation/world.ts'

/** The edges: how often anybody may call, from which pages, and that the metrics are not for everybody. */

const LIMITS = { WISHWALL_RATE_PER_MINUTE: '30', WISHWALL_RATE_ANONYMOUS_PER_MINUTE: '12', WISHWALL_RATE_FAILURES_PER_MINUTE: '5' }
let world: World

beforeAll(async () => {
  world = await openWorld({ ...LIMITS, WISHWALL_TRUSTED_PROXIES: '' })
})
afterAll(() => world?.close())

/** Another process's door to the same house. */
async function door(env: Record<string, string>): Promise<{ origin: string; close(): Promise<void>; lines: string[] }> {
  const lines: string[] = []
  const config = readConfig({ ...LIMITS, ...env })
  const app = buildApi({ config, log: pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) }), db: world.database.db, keyring, files: await storageOf(config), metrics: undefined })
  return { origin: await app.listen({ port: 0, host: '127.0.0.1' }), close: () => app.close(), lines }
}

async function many(count: number, send: (index: number) => Promise<{ status: number }>): Promise<Record<number, number>> {
  const found: Record<number, number> = {}
  for (const { status } of await Promise.all(Array.from({ length: count }, (_, index) => send(index)))) found[status] = (found[status] ?? 0) + 1
  return found
}
const asking = (origin: string, token: string | null, headers: Record<string, string> = {}) => () => fetch(`${origin}/v1/${token === null ? 'event-types' : 'me'}`, { headers: { ...(token !== null && { authorization: `Bearer ${token}` }), ...headers } })

describe('calls per minute', () => {
  test('of one credential: so many, and then a problem that says when', async () => {
    const { origin, token } = world
    expect(await many(45, asking(origin, token('resident')))).toEqual({ 200: 30, 429: 15 })
    const refused = await world.call(token('resident'), 'GET', '/v1/me')
    expect(refused).toMatchObject({ status: 429, body: { code: 'rate-limited', status: 429, retryAfter: expect.any(Number) } })
    expect(refused.headers.get('content-type')).toContain('application/problem+json')
    const [after, limit, remaining, reset] = ['retry-after', 'ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset'].map((name) => Number(refused.headers.get(name)))
    expect({ limit, remaining }).toEqual({ limit: 30, remaining: 0 })
    expect(after).toBeGreaterThan(0)
    expect(after).toBeLessThanOrEqual(60)
    expect(reset).toBeLessThanOrEqual(60)
  })

  test('each credential its own: another person, the same one through an app, the app, its key', async () => {
    const { token, appToken, apps, ids } = world
    const actor = await inTenant(world.tenantId, () => personActor(world.database.db, ids.rootAdmin, null))
    const { key } = await inTenant(world.tenantId, () => createKey(world.database.db, apps.app, { name: '脚本', days: 30 }, actor!))
    for (const sent of [token('neighbour'), token('resident', { through: apps.app }), appToken(apps.app), key]) {
      const { status, headers } = await world.call(sent, 'GET', '/v1/me')
      expect({ status, remaining: headers.get('ratelimit-remaining') }).toEqual({ status: 200, remaining: '29' })
    }
  })

  test('an app’s own limit is read with it', async () => {
    const { apps, token, appToken, origin } = world
    expect((await world.call(token('rootAdmin'), 'POST', `/v1/clients/${apps.otherApp}`, { ratePerMinute: 3 })).body).toMatchObject({ ratePerMinute: 3 })
    expect(await many(5, asking(origin, appToken(apps.otherApp)))).toEqual({ 200: 3, 429: 2 })
    for (const wrong of [0, -1, 1.5, 'much']) expect((await world.call(token('rootAdmin'), 'POST', `/v1/clients/${apps.otherApp}`, { ratePerMinute: wrong })).status).toBe(400)
  })

  test('of an address without a token, whatever it says of itself; the health checks never', async () => {
    const one = await door({})
    expect(await many(20, (index) => asking(one.origin, null, { 'x-forwarded-for': `9.9.9.${index}`, 'x-real-ip': `8.8.8.${index}`, forwarded: `for=7.7.7.${index}` })())).toEqual({ 200: 12, 429: 8 })
    expect(await many(40, () => fetch(`${one.origin}/healthz`))).toEqual({ 200: 40 })
    expect((await asking(one.origin, world.token('member'))()).status).toBe(200)
    await one.close()
    const behind = await door({ WISHWALL_TRUSTED_PROXIES: '127.0.0.1/32' })
    expect(await many(24, (index) => asking(behind.origin, null, { 'x-forwarded-for': `9.9.9.${index % 2}` })())).toEqual({ 200: 24 })
    expect(await many(2, asking(behind.origin, null, { 'x-forwarded-for': '9.9.9.1' }))).toEqual({ 429: 2 })
    // What a caller puts before the proxy's word counts for nothing.
    expect(await many(2, (index) => asking(behind.origin, null, { 'x-forwarded-for': `6.6.6.${index}, 9.9.9.1` })())).toEqual({ 429: 2 })
    await behind.close()
  })

  test('tokens that are no good spend their address’s budget, and nobody else’s', async () => {
    const one = await door({})
    expect(await many(20, asking(one.origin, 'no.good.token'))).toEqual({ 401: 12, 429: 8 })
    expect((await asking(one.origin, world.token('guardian'))()).status).toBe(200)
    await one.close()
  })

  test('failed logins have a budget of their own', async () => {
    const one = await door({})
    const login = (body: object) => fetch(`${one.origin}/oauth/token`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ tenant: 'YQ', ...body }) })
    const wrong = async (n: number) => (await login({ grant_type: 'client_credentials', client_id: `guess-${n}`, client_secret: 'x' })).status
    const heard: number[] = []
    for (let n = 0; n < 7; n++) heard.push(await wrong(n))
    expect(heard).toEqual([401, 401, 401, 401, 401, 429, 429])
    const refused = await login({ grant_type: 'client_credentials', client_id: 'app-1', client_secret: 'x' })
    expect({ status: refused.status, after: Number(refused.headers.get('retry-after')) > 0 }).toEqual({ status: 429, after: true })
    expect((await asking(one.origin, null)()).status).toBe(200)
    await one.close()
  })
})

const redisUrl = inject('queues').find(({ kind }) => kind === 'Redis')?.redisUrl

describe.runIf(redisUrl !== undefined)('two processes with one Redis', () => {
  test('count together', async () => {
    const [one, two] = [await door({ REDIS_URL: redisUrl! }), await door({ REDIS_URL: redisUrl! })]
    // Until both are connected, each counts for itself.
    const left = async ({ origin }: { origin: string }) => Number((await asking(origin, world.token('enterprise'))()).headers.get('ratelimit-remaining'))
    await expect.poll(async () => (await left(one)) - (await left(two)), { timeout: 20_000, interval: 1_200 }).toBe(1)
    const sent = world.token('caller')
    expect(await many(60, (index) => asking((index % 2 ? one : two).origin, sent)())).toEqual({ 200: 30, 429: 30 })
    await Promise.all([one.close(), two.close()])
  })
})

describe('a Redis that hangs', () => {
  let silent: Server
  beforeAll(async () => {
    silent = createServer(() => {}).listen(0, '127.0.0.1')
    await once(silent, 'listening')
  })
  afterAll(() => void silent.close())

  test('is asked now and then, and nobody fails or waits for it; each process limits for itself', async () => {
    const { port } = silent.address() as { port: number }
    const one = await door({ REDIS_URL: `redis://127.0.0.1:${port}` })
    const sent = world.token('inspector')
    expect(await many(45, asking(one.origin, sent))).toEqual({ 200: 30, 429: 15 })
    expect(one.lines.filter((line) => line.includes('redis does not count'))).toHaveLength(1)
    await one.close()
  })
})

describe('pages of other origins', () => {
  const ORIGIN = 'https://app.example.cn'
  const preflight = (origin: string, headers: Record<string, string> = {}) =>
    fetch(`${world.origin}/v1/requests`, { method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization,content-type', ...headers } })

  test('are allowed by an app, by name and in full', async () => {
    const { apps, token } = world
    for (const wrong of ['*', 'app.example.cn', 'https://app.example.cn/', 'https://app.example.cn/path', 'https://*.example.cn', 'null', 'ftp://app.example.cn', 'HTTPS://app.example.cn']) {
      expect((await world.call(token('rootAdmin'), 'POST', `/v1/clients/${apps.revoked === wrong ? '' : apps.app}`, { corsOrigins: [wrong] })).status, wrong).toBe(400)
    }
    expect((await preflight(ORIGIN)).headers.get('access-control-allow-origin')).toBeNull()
    expect((await world.call(token('rootAdmin'), 'POST', `/v1/clients/${apps.app}`, { corsOrigins: [ORIGIN] })).body).toMatchObject({ corsOrigins: [ORIGIN] })
  })

  test('ask first: for an origin that some app allows, and no other', async () => {
    const allowed = await eventuallyAllowed(() => preflight(ORIGIN))
    expect({ status: allowed.status, origin: allowed.headers.get('access-control-allow-origin'), credentials: allowed.headers.get('access-control-allow-credentials'), vary: allowed.headers.get('vary') })
      .toEqual({ status: 204, origin: ORIGIN, credentials: null, vary: expect.stringMatching(/origin/i) })
    expect(allowed.headers.get('access-control-allow-headers')).toMatch(/Authorization.*Idempotency-Key/)
    expect(allowed.headers.get('access-control-allow-methods')).toMatch(/POST/)
    for (const origin of ['https://evil.example', 'null', 'https://app.example.cn.evil.example', 'http://app.example.cn']) {
      expect((await preflight(origin)).headers.get('access-control-allow-origin'), origin).toBeNull()
    }
  })

  test('may read answers to the tokens of that app, also refusals; not those of another app or of a person’s own', async () => {
    const { apps, token, appToken } = world
    const read = async (sent: string | null, path = '/v1/nodes', origin = ORIGIN) => {
      const { status, headers } = await world.call(sent, 'GET', path, undefined, { origin })
      return { status, origin: headers.get('access-control-allow-origin'), credentials: headers.get('access-control-allow-credentials') }
    }
    expect(await read(appToken(apps.app))).toEqual({ status: 200, origin: ORIGIN, credentials: null })
    expect(await read(token('buildingHead', { through: apps.app }))).toEqual({ status: 200, origin: ORIGIN, credentials: null })
    expect(await read(appToken(apps.app, { scopes: [] }))).toEqual({ status: 403, origin: ORIGIN, credentials: null })
    expect(await read(appToken(apps.app), '/v1/nodes/NOWHERE')).toEqual({ status: 404, origin: ORIGIN, credentials: null })
    expect(await read(appToken(apps.app), '/v1/nodes', 'https://evil.example')).toEqual({ status: 200, origin: null, credentials: null })
    expect((await read(token('buildingHead'))).origin).toBeNull()
    expect((await read(appToken(apps.otherApp))).origin).toBeNull()
    expect((await read('garbage')).origin).toBeNull()
    expect((await read(null, '/v1/event-types')).origin).toBe(ORIGIN)
    expect((await read(null, '/v1/event-types', 'https://evil.example')).origin).toBeNull()
  })

  test('a plain OPTIONS is answered as ever', async () => {
    const answer = await fetch(`${world.origin}/v1/requests`, { method: 'OPTIONS' })
    expect({ status: answer.status, allow: answer.headers.get('allow') }).toMatchObject({ status: 204, allow: expect.stringContaining('POST') })
  })
})

/** Origins are remembered for two seconds. */
async function eventuallyAllowed(ask: () => Promise<Response>): Promise<Response> {
  for (let tries = 0; ; tries++) {
    const answer = await ask()
    if (answer.headers.get('access-control-allow-origin') !== null || tries > 50) return answer
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

describe('sizes and times', () => {
  const raw = async (text: string): Promise<string> => {
    const socket = connect(Number(new URL(world.origin).port), '127.0.0.1')
    let answer = ''
    socket.on('data', (chunk) => (answer += chunk.toString()))
    socket.on('error', () => {})
    socket.write(text)
    await once(socket, 'close')
    return answer
  }
  const authorized = () => `authorization: Bearer ${world.token('clerk')}\r\n`

  test('headers over 16 KiB, a body over 256 KiB, announced or not, and a URL that is too long are refused as problems', async () => {
    expect(await raw(`GET /v1/me HTTP/1.1\r\nhost: x\r\nx: ${'x'.repeat(17_000)}\r\n\r\n`)).toMatch(/^HTTP\/1.1 431 .*application\/problem\+json.*headers-too-large/s)
    expect(await raw(`GET /v1/nodes?q=${'x'.repeat(17_000)} HTTP/1.1\r\nhost: x\r\n\r\n`)).toMatch(/^HTTP\/1.1 431 /)
    expect(await raw(`POST /v1/requests HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${authorized()}content-type: application/json\r\ncontent-length: 262145\r\n\r\n${'x'.repeat(262_145)}`)).toMatch(/^HTTP\/1.1 413 .*body-too-large/s)
    expect(await raw(`POST /v1/requests HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${authorized()}content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n40001\r\n${'x'.repeat(0x40001)}\r\n0\r\n\r\n`)).toMatch(/^HTTP\/1.1 413 .*body-too-large/s)
  })

  // The clock of the program: a byte a second keeps nobody's connection longer than 30 s and a look around every 5.
  test('headers that trickle in are cut off as a problem', async () => {
    const socket = connect(Number(new URL(world.origin).port), '127.0.0.1')
    let answer = ''
    socket.on('data', (chunk) => (answer += chunk.toString()))
    socket.on('error', () => {})
    socket.write('GET /v1/me HTTP/1.1\r\nhost: x\r\n')
    const drip = setInterval(() => socket.writable && socket.write('x-a: b\r\n'), 1_000)
    await once(socket, 'close')
    clearInterval(drip)
    expect(answer).toMatch(/^HTTP\/1.1 408 .*application\/problem\+json.*sent-too-slowly/s)
  })

  test('the public port has no metrics', async () => {
    for (const sent of [null, world.token('mediator'), world.appToken(world.apps.app)]) expect((await world.call(sent, 'GET', '/metrics')).status).toBe(404)
  })

  test('pages of the API set a policy that lets no script from elsewhere in', async () => {
    for (const path of ['/docs/', '/problems/forbidden', '/v1/event-types']) {
      const { headers, status } = await world.call(world.appToken(world.apps.app), 'GET', path)
      expect(status, path).toBeLessThan(400)
      expect(headers.get('content-security-policy'), path).toMatch(/default-src '(none|self)'/)
      expect(headers.get('content-security-policy'), path).not.toMatch(/\*|https?:|unsafe-eval/)
      expect(headers.get('x-content-type-options'), path).toBe('nosniff')
      expect(headers.get('x-frame-options'), path).toBe('DENY')
    }
  })
})
