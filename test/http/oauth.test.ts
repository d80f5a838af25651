import type { FastifyInstance, InjectOptions } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { pino } from 'pino'
import { v7 as uuidv7 } from 'uuid'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { Scope } from '../../src/domain/scopes.ts'
import { buildApp } from '../../src/http/app.ts'
import { authentication } from '../../src/http/auth.ts'
import { meRoutes } from '../../src/http/routes/me.ts'
import { oauthRoutes } from '../../src/http/routes/oauth.ts'
import { createClient, revokeClient } from '../../src/service/clients.ts'
import { openDatabase, tenantHere, type Db } from '../../src/service/db.ts'
import { generateKeyring, parseKeyring } from '../../src/service/keyring.ts'
import { Lockout } from '../../src/service/lockout.ts'
import { setPassword } from '../../src/service/accounts.ts'
import { affiliate } from '../../src/service/affiliations.ts'
import { grantDuty } from '../../src/service/appointments.ts'
import { createPerson } from '../../src/service/people.ts'
import { eraseSubject } from '../../src/service/subjects.ts'
import { signToken } from '../../src/service/tokens.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'

const keyring = parseKeyring(JSON.stringify(generateKeyring()))
const basic = (id: string, secret = '') => ({ authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}` })
const swagger = basic('swagger-ui')
const form = (fields: object) => new URLSearchParams(fields as Record<string, string>).toString()
const FORM = { 'content-type': 'application/x-www-form-urlencoded' }

/** What is asked of the tenant and the actor by a handler that has read a body and waited. */
const probes: FastifyPluginAsyncZod = async (app) => {
  app.post('/probe', { config: { scope: 'requests:write' }, schema: { hide: true, body: z.looseObject({}) } }, async ({ actor, tenantId, body }) => {
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 3))
    return { actor, tenantId, here: tenantHere(), body }
  })
  app.get('/probe', { config: { scope: 'requests:read' }, schema: { hide: true } }, async ({ actor }) => ({ actor, here: tenantHere() }))
  app.get('/open', { config: { public: true }, schema: { hide: true } }, async () => ({ open: true }))
  app.get('/open/whose', { config: { public: true }, schema: { hide: true } }, async ({ actor }) => actor)
}

let test: TestDatabase
let place: TestPlace
let other: TestPlace
let otherProcess: Db
let app: FastifyInstance
let nowMs = Date.parse('2026-11-21T09:00:00Z')
const password = 'a long password'
let wang: string
let demo: { id: string; clientSecret: string }

function build(db: Db, { passwordGrant = true } = {}): FastifyInstance {
  const deps = { db, keyring, clock: () => nowMs, lockout: new Lockout(), passwordGrant }
  return buildApp({ log: pino({ level: 'silent' }), checkAnswers: true, routes: [authentication(deps), oauthRoutes(deps), meRoutes(deps), probes] })
}

beforeAll(async () => {
  test = await freshDatabase()
  place = await testPlace(test, {}, 'ONE')
  otherProcess = openDatabase({ url: test.url, connections: 2 })
  await place.inside(async () => {
    wang = await createPerson(test.db, keyring, { name: '王小明', phone: '13800138000', login: 'wang', password })
    demo = await createClient(test.db, { clientId: 'demo-app', name: '演示应用', scopes: ['requests:read', 'requests:write'] })
  })
})
beforeEach(() => {
  app = build(test.db)
})
afterEach(() => app.close())
afterAll(async () => {
  await otherProcess?.close()
  await test?.drop()
})

const ask = (payload: string | object, headers: Record<string, string> = {}) =>
  app.inject({ method: 'POST', url: '/oauth/token', payload, headers: { ...(typeof payload === 'string' && FORM), ...headers } })
const logIn = (username: string, secret = password) => ask(form({ grant_type: 'password', username, password: secret }), swagger)
const credentials = () => ({ grant_type: 'client_credentials', client_id: 'demo-app', client_secret: demo.clientSecret })
const get = (url: string, token?: string, more: InjectOptions = {}) => app.inject({ url, ...more, headers: { ...(token !== undefined && { authorization: `Bearer ${token}` }), ...more.headers } })
const tokenOf = async (answer: ReturnType<typeof ask>): Promise<string> => (await answer).json().access_token

describe('POST /oauth/token', () => {
  it('lets people in the way Swagger UI asks', async () => {
    const answer = await ask('grant_type=password&scope=&username=+wang&password=a+long+password', { authorization: 'Basic c3dhZ2dlci11aTo=', 'x-requested-with': 'XMLHttpRequest' })
    expect(answer.statusCode).toBe(200)
    expect(answer.headers).toMatchObject({ 'cache-control': 'no-store', pragma: 'no-cache' })
    expect(answer.json()).toMatchObject({ token_type: 'Bearer', expires_in: 3600, scope: expect.stringContaining('requests:write') })
    expect((await get('/v1/me', answer.json().access_token)).json()).toMatchObject({ id: wang, kind: 'person', name: '王小明', login: 'wang' })
  })

  it.each<[string, () => ReturnType<typeof ask>]>([
    ['a form', () => ask(form(credentials()))],
    ['JSON', () => ask(credentials())],
    ['Basic', () => ask(form({ grant_type: 'client_credentials' }), basic('demo-app', demo.clientSecret))],
    ['Basic, form-encoded as RFC 6749 has it', () => ask(form({ grant_type: 'client_credentials' }), basic('demo%2Dapp', demo.clientSecret))],
    ['Basic and client_id', () => ask(form({ grant_type: 'client_credentials', client_id: 'demo-app' }), basic('demo-app', demo.clientSecret))],
    ['a tenant and parameters nobody knows', () => ask({ ...credentials(), tenant: 'ONE', audience: 'x' })],
  ])('takes app credentials by %s', async (_, request) => {
    const answer = await request()
    expect(answer.json()).toMatchObject({ token_type: 'Bearer', scope: 'requests:read requests:write' })
    expect(answer.json().refresh_token).toBeUndefined()
    expect((await get('/v1/me', answer.json().access_token)).json()).toEqual({
      id: demo.id, kind: 'app', name: '演示应用', login: 'demo-app', duties: [], affiliations: [], scopes: ['requests:read', 'requests:write'],
    })
  })

  it.each<[string, number, string, () => ReturnType<typeof ask>]>([
    ['no grant type', 400, 'invalid_request', () => ask(form({ username: 'wang' }), swagger)],
    ['an empty grant type', 400, 'invalid_request', () => ask('grant_type=', swagger)],
    ['an unknown grant type', 400, 'unsupported_grant_type', () => ask(form({ grant_type: 'authorization_code' }), swagger)],
    ['a parameter twice', 400, 'invalid_request', () => ask('grant_type=password&grant_type=password')],
    ['a number for a parameter', 400, 'invalid_request', () => ask({ grant_type: 7 })],
    ['a list as body', 400, 'invalid_request', () => ask('[]', { 'content-type': 'application/json' })],
    ['broken JSON', 400, 'invalid_request', () => ask('{', { 'content-type': 'application/json' })],
    ['no body', 400, 'invalid_request', () => ask('', { 'content-type': 'application/json' })],
    ['no user name', 400, 'invalid_request', () => ask(form({ grant_type: 'password', password }), swagger)],
    ['no password', 400, 'invalid_request', () => ask(form({ grant_type: 'password', username: 'wang' }), swagger)],
    ['a wrong password', 400, 'invalid_grant', () => logIn('wang', 'wrong')],
    ['an unknown login', 400, 'invalid_grant', () => logIn('nobody')],
    ['a login of 65 characters', 400, 'invalid_request', () => logIn('x'.repeat(65))],
    ['a login with NUL', 400, 'invalid_request', () => logIn('wang\0')],
    ['a login with SQL', 400, 'invalid_grant', () => logIn("' OR 1=1 --")],
    ['a person without a password', 400, 'invalid_grant', async () => {
      await place.inside(() => createPerson(test.db, keyring, { name: '李四', login: 'li' }))
      return logIn('li', '-')
    }],
    ['a scope nobody knows', 400, 'invalid_scope', () => ask({ ...credentials(), scope: 'requests:read everything' })],
    ['a scope the app does not have', 400, 'invalid_scope', () => ask({ ...credentials(), scope: 'directory:write' })],
    ['a wrong secret', 401, 'invalid_client', () => ask({ ...credentials(), client_secret: 'wrong' })],
    ['no secret', 401, 'invalid_client', () => ask({ ...credentials(), client_secret: undefined })],
    ['an unknown app', 401, 'invalid_client', () => ask({ ...credentials(), client_id: 'unknown' })],
    ['an app with NUL', 400, 'invalid_request', () => ask({ ...credentials(), client_id: 'demo-app\0' })],
    ['no app', 401, 'invalid_client', () => ask(form({ grant_type: 'client_credentials' }))],
    ['the public client', 401, 'invalid_client', () => ask(form({ grant_type: 'client_credentials' }), swagger)],
    ['broken Basic', 401, 'invalid_client', () => ask(form({ grant_type: 'client_credentials' }), { authorization: 'Basic ???' })],
    ['Bearer', 401, 'invalid_client', () => ask(form({ grant_type: 'client_credentials' }), { authorization: 'Bearer x' })],
    ['two client_ids', 400, 'invalid_request', () => ask(form({ grant_type: 'client_credentials', client_id: 'another' }), basic('demo-app', demo.clientSecret))],
    ['an app that asks for a password login', 400, 'unauthorized_client', () => ask(form({ grant_type: 'password', username: 'wang', password }), basic('demo-app', demo.clientSecret))],
    ['an unknown tenant', 400, 'invalid_request', () => ask({ ...credentials(), tenant: 'nowhere' })],
    ['an access token to refresh with', 400, 'invalid_grant', async () => ask({ grant_type: 'refresh_token', refresh_token: await tokenOf(logIn('wang')) })],
    ['nothing to refresh with', 400, 'invalid_request', () => ask({ grant_type: 'refresh_token' })],
  ])('refuses %s: %i %s', async (_, status, error, request) => {
    const answer = await request()
    expect([answer.statusCode, answer.json()]).toEqual([status, { error, error_description: expect.stringMatching(/[\u4e00-\u9fff]/) }])
    expect(answer.headers['cache-control']).toBe('no-store')
    if (status === 401) expect(answer.headers['www-authenticate']).toMatch(/^Basic/)
  })

  it('speaks English to who asks for it', async () => {
    const answer = await ask(form({ grant_type: 'x' }), { 'accept-language': 'en' })
    expect(answer.json().error_description).toMatch(/^[\x20-\x7e]+$/)
  })

  it('does not make the browser open a login window over Swagger UI', async () => {
    const answer = await ask(form({ grant_type: 'client_credentials', scope: '' }), { ...basic('demo-app', 'wrong'), 'x-requested-with': 'XMLHttpRequest' })
    expect([answer.statusCode, answer.headers['www-authenticate']]).toEqual([401, undefined])
  })

  it('refuses as everywhere what OAuth has no words for', async () => {
    const answer = await ask('<xml/>', { 'content-type': 'text/xml' })
    expect([answer.statusCode, answer.json().code]).toEqual([415, 'media-type-unsupported'])
  })

  it('takes an empty client for the public one', async () => {
    expect((await ask(form({ grant_type: 'password', username: 'wang', password }), { authorization: 'Basic Og==' })).statusCode).toBe(200)
    expect((await ask(form({ grant_type: 'password', username: 'wang', password }))).statusCode).toBe(200)
  })

  it('narrows a token to the scope asked for', async () => {
    const token = await tokenOf(ask({ ...credentials(), scope: 'requests:read' }))
    expect((await get('/probe', token)).statusCode).toBe(200)
    expect((await get('/probe', token, { method: 'POST', payload: {} })).statusCode).toBe(403)
  })

  it('has no password login where it is switched off', async () => {
    const strict = build(test.db, { passwordGrant: false })
    const answer = await strict.inject({ method: 'POST', url: '/oauth/token', payload: { grant_type: 'password', username: 'wang', password } })
    expect(answer.json().error).toBe('unsupported_grant_type')
    await strict.close()
  })

  it('locks a login after ten failures, also against guesses at once, for a quarter of an hour', async () => {
    const guesses = await Promise.all(Array.from({ length: 15 }, () => logIn('zhao', 'wrong')))
    expect(guesses.map(({ statusCode }) => statusCode).sort()).toEqual([...Array(10).fill(400), ...Array(5).fill(429)])
    const refused = guesses.find(({ statusCode }) => statusCode === 429)!
    expect(refused.json()).toMatchObject({ code: 'rate-limited', status: 429 })
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(890)
    expect((await logIn('wang')).statusCode).toBe(200)
    await test.owner.query(`UPDATE lockout SET until = now() WHERE failed > 10`)
    expect((await logIn('zhao', 'wrong')).statusCode).toBe(400)
  })

  it('takes as long for an unknown login', async () => {
    const took = async (username: string) => {
      const start = performance.now()
      await logIn(username, 'wrong')
      return performance.now() - start
    }
    // In turn, and the quickest of each: what else the machine does comes on top of both.
    const times: [number, number][] = []
    for (let n = 0; n < 9; n++) times.push([await took('wang'), await took('nobody')])
    const [known, unknown] = [Math.min(...times.map(([time]) => time)), Math.min(...times.map(([, time]) => time))]
    console.log(`wrong password ${known.toFixed(1)} ms, unknown login ${unknown.toFixed(1)} ms`)
    expect(unknown).toBeGreaterThan(known / 2)
  })

  it('refreshes until the shift is over, the password changed or the person suspended', async () => {
    const login = `sun-${uuidv7()}`
    const sun = await place.inside(() => createPerson(test.db, keyring, { name: '孙', login, password }))
    const start = nowMs
    const { refresh_token } = (await logIn(login)).json()
    const refresh = () => ask(form({ grant_type: 'refresh_token', refresh_token }), swagger)
    nowMs = start + 11 * 3_600_000
    const answer = (await refresh()).json()
    expect(answer).toMatchObject({ token_type: 'Bearer', expires_in: 3600 })
    expect(answer.refresh_token).toBeUndefined()
    expect((await get('/v1/me', answer.access_token)).json().id).toBe(sun)

    await test.owner.query('UPDATE person SET "suspendedAt" = now() WHERE id = $1', [sun])
    expect((await refresh()).json().error).toBe('invalid_grant')
    await test.owner.query('UPDATE person SET "suspendedAt" = NULL WHERE id = $1', [sun])
    expect((await refresh()).statusCode).toBe(200)
    await place.inside(() => setPassword(test.db, sun, 'another password'))
    expect((await refresh()).json().error).toBe('invalid_grant')

    await place.inside(() => setPassword(test.db, sun, password))
    const later = (await logIn(login)).json().refresh_token
    nowMs += 12 * 3_600_000
    expect((await ask(form({ grant_type: 'refresh_token', refresh_token: later }), swagger)).json().error).toBe('invalid_grant')
    nowMs = start
  })

  it('stores no secret that could be used', async () => {
    const { rows } = await test.owner.query<{ secretHash: Buffer }>('SELECT "secretHash" FROM client WHERE id = $1', [demo.id])
    expect(rows[0]!.secretHash).toHaveLength(32)
    expect(demo.clientSecret).toMatch(/^[0-9A-Za-z]{43}$/)
    const { rows: people } = await test.owner.query('SELECT "passwordHash" FROM person WHERE id = $1', [wang])
    expect(people[0].passwordHash).toMatch(/^\$argon2id\$/)
  })
})

describe('authentication', () => {
  const principal = (subject: string, tenantId: string, scopes: Scope[] = ['requests:read', 'requests:write']) => ({ tenantId, kind: 'person' as const, subject, clientId: null, scopes })
  const tokenFor = (subject: string, tenantId = place.tenantId) => signToken(keyring, principal(subject, tenantId), 'swagger-ui', nowMs)

  it('asks for a login, in the header only', async () => {
    const token = tokenFor(wang)
    for (const answer of [await get('/probe'), await get(`/probe?access_token=${token}`), await get('/probe', undefined, { headers: swagger }), await get('/probe', undefined, { headers: { authorization: token } })]) {
      expect([answer.statusCode, answer.json().code, answer.headers['www-authenticate']]).toEqual([401, 'unauthenticated', 'Bearer realm="wish-wall"'])
    }
    expect((await get('/probe', undefined, { headers: { authorization: `bearer  ${token}` } })).statusCode).toBe(200)
  })

  it('refuses what is no token of ours, and says when a login is too old', async () => {
    const forged = await get('/probe', 'eyJhbGciOiJub25lIn0.e30.')
    expect([forged.statusCode, forged.json().code, forged.headers['www-authenticate']]).toEqual([401, 'token-invalid', 'Bearer realm="wish-wall", error="invalid_token"'])
    const token = tokenFor(wang)
    nowMs += 3_600_000
    expect((await get('/probe', token)).json()).toMatchObject({ code: 'token-invalid', detail: '登录已过期，请点右上角 Authorize 重新登录' })
  })

  it('asks nobody on public routes and for what is not there', async () => {
    expect((await get('/open', 'nonsense')).json()).toEqual({ open: true })
    expect((await get('/nowhere')).statusCode).toBe(404)
    expect((await get('/openapi.json')).statusCode).toBe(200)
    expect((await get('/open/whose')).statusCode).toBe(500)
  })

  it('knows nobody in a tenant that is not theirs', async () => {
    expect((await get('/probe', tokenFor(wang, uuidv7()))).json().code).toBe('token-invalid')
    expect((await get('/probe', tokenFor(uuidv7()))).json().code).toBe('token-invalid')
  })

  it('holds apps to their scopes, also those taken away since', async () => {
    const token = await tokenOf(ask(credentials()))
    expect((await get('/probe', token)).json().actor).toEqual({ kind: 'app', clientId: demo.id })
    await test.owner.query(`UPDATE client SET scopes = '{requests:read}' WHERE id = $1`, [demo.id])
    test.db.memory.clear()
    const answer = await get('/probe', token, { method: 'POST', payload: {} })
    expect([answer.statusCode, answer.json().code, answer.json().scope]).toEqual([403, 'forbidden', 'requests:write'])
    expect(answer.headers['www-authenticate']).toContain('error="insufficient_scope", scope="requests:write"')
    await test.owner.query(`UPDATE client SET scopes = '{requests:read,requests:write}' WHERE id = $1`, [demo.id])
    test.db.memory.clear()
  })

  it('ends with the app or the person, at once here and within 3 s in another process', async () => {
    const { id, clientSecret } = await place.inside(() => createClient(test.db, { clientId: 'short-lived', name: '短命', scopes: ['requests:read'] }))
    const token = await tokenOf(ask({ grant_type: 'client_credentials', client_id: 'short-lived', client_secret: clientSecret }))
    const elsewhere = build(otherProcess)
    const there = async (bearer: string) => (await elsewhere.inject({ url: '/probe', headers: { authorization: `Bearer ${bearer}` } })).statusCode
    const person = tokenFor(wang)
    expect([await there(token), await there(person), (await get('/probe', token)).statusCode]).toEqual([200, 200, 200])
    await place.inside(() => revokeClient(test.db, id))
    await test.owner.query('UPDATE person SET "suspendedAt" = now() WHERE id = $1', [wang])
    expect((await get('/probe', token)).statusCode).toBe(401)
    expect((await ask({ grant_type: 'client_credentials', client_id: 'short-lived', client_secret: clientSecret })).json().error).toBe('invalid_client')
    await new Promise((resolve) => setTimeout(resolve, 2_500))
    expect([await there(token), await there(person)]).toEqual([401, 401])
    await test.owner.query('UPDATE person SET "suspendedAt" = NULL WHERE id = $1', [wang])
    test.db.memory.clear()
    await elsewhere.close()
  })

  it('does not start with a route that says neither public nor a scope', async () => {
    const deps = { db: test.db, keyring, clock: () => nowMs }
    const forgetful: FastifyPluginAsyncZod = async (inner) => void inner.get('/v1/oops', async () => ({}))
    const broken = buildApp({ log: pino({ level: 'silent' }), routes: [authentication(deps), forgetful] })
    await expect(broken.ready()).rejects.toThrow('GET /v1/oops is neither public')
  })

  it('documents the token endpoint', async () => {
    const { paths } = (await get('/openapi.json')).json()
    const { security, requestBody, responses } = paths['/oauth/token'].post
    expect(security).toEqual([])
    expect(Object.keys(requestBody.content)).toEqual(['application/x-www-form-urlencoded', 'application/json'])
    expect(responses['400'].content['application/json'].schema).toEqual({ $ref: '#/components/schemas/TokenError' })
    expect(paths['/v1/me'].get['x-audience']).toBe('staff')
  })
})

describe('GET /v1/me', () => {
  it('tells what one holds, in words', async () => {
    const login = `zhou-${uuidv7()}`
    await test.owner.query(`INSERT INTO role ("tenantId", code, name, capabilities) VALUES ($1, 'secretary', '支部书记', '{view,publish}') ON CONFLICT DO NOTHING`, [place.tenantId])
    const { rows: [branch] } = await test.owner.query('SELECT id FROM organisation WHERE "tenantId" = $1', [place.tenantId])
    const zhou = await place.inside(async () => {
      const id = await createPerson(test.db, keyring, { name: '周五', login, password })
      await grantDuty(test.db, { personId: id, roleCode: 'secretary', nodeId: place.node.P })
      await grantDuty(test.db, { personId: wang, standInId: id, roleCode: 'secretary', nodeId: place.node.U, organisationId: branch.id })
      await grantDuty(test.db, { personId: id, roleCode: 'secretary', nodeId: place.node.S, from: new Date('2020-01-01'), to: new Date('2020-02-01') })
      await affiliate(test.db, { personId: id, organisationId: branch.id, kind: 'party_member', verified: true })
      await affiliate(test.db, { personId: id, organisationId: branch.id, kind: 'volunteer', verified: false })
      return id
    })
    const answer = await get('/v1/me', await tokenOf(logIn(login)))
    const capabilities = ['view', 'publish']
    expect(answer.json()).toMatchObject({
      id: zhou, kind: 'person', name: '周五', login,
      duties: [
        { role: 'secretary', roleName: '支部书记', capabilities, node: { code: 'P', name: 'P' }, organisation: null },
        { role: 'secretary', roleName: '支部书记', capabilities, node: { code: 'U', name: 'U' }, organisation: { code: 'BRANCH', name: '支部' } },
      ],
      affiliations: [{ kind: 'party_member', organisation: { code: 'BRANCH', name: '支部' } }],
    })
    const { rows } = await test.owner.query('SELECT "subjectId" FROM person WHERE id = $1', [zhou])
    await place.inside(() => eraseSubject(test.db, rows[0].subjectId))
    expect((await get('/v1/me', await tokenOf(logIn(login)))).json().name).toBeNull()
  })

  it('refuses a login that is taken', async () => {
    await expect(place.inside(() => createPerson(test.db, keyring, { name: '王', login: 'wang' }))).rejects.toMatchObject({ code: 'validation-failed', errors: [{ pointer: '/login' }] })
    await expect(place.inside(() => createClient(test.db, { clientId: 'demo-app', name: 'x', scopes: [] }))).rejects.toMatchObject({ errors: [{ pointer: '/clientId' }] })
  })
})

describe('with two tenants', () => {
  beforeAll(async () => {
    other = await testPlace(test, {}, 'TWO')
    test.db.memory.clear()
  })

  it('has to be told which, and keeps equal logins apart', async () => {
    const namesake = await other.inside(() => createPerson(test.db, keyring, { name: '王', login: 'wang', password: 'his own password' }))
    expect((await logIn('wang')).json()).toMatchObject({ error: 'invalid_request', error_description: expect.stringContaining('tenant') })
    const ask2 = (tenant: string, secret: string) => ask(form({ grant_type: 'password', username: 'wang', password: secret, tenant }), swagger)
    expect((await get('/v1/me', await tokenOf(ask2('ONE', password)))).json().id).toBe(wang)
    expect((await get('/v1/me', await tokenOf(ask2('TWO', 'his own password')))).json().id).toBe(namesake)
    expect((await ask2('TWO', password)).json().error).toBe('invalid_grant')
    expect((await ask({ ...credentials(), tenant: 'TWO' })).json().error).toBe('invalid_client')
  })

  it('never answers from the wrong one, with bodies over real sockets', async () => {
    const there = await other.inside(() => createPerson(test.db, keyring, { name: '外' }))
    const address = await app.listen({ port: 0, host: '127.0.0.1' })
    const tokens = [{ id: wang, tenantId: place.tenantId }, { id: there, tenantId: other.tenantId }].map(({ id, tenantId }) => ({
      id, tenantId, token: signToken(keyring, { tenantId, kind: 'person', subject: id, clientId: null, scopes: ['requests:write'] }, 'swagger-ui', nowMs),
    }))
    const wrong: unknown[] = []
    const oneAfterAnother = async (worker: number) => {
      for (let n = 0; n < 100; n++) {
        const { id, tenantId, token } = tokens[(n + worker) % 2]!
        const padding = 'x'.repeat(Math.random() < 0.2 ? 100_000 : 10)
        const answer = await fetch(`${address}/probe`, { method: 'POST', headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, body: JSON.stringify({ n, padding }) })
        const { actor, tenantId: told, here, body } = (await answer.json()) as { actor: { id: string }; tenantId: string; here: string; body: { n: number } }
        if (answer.status !== 200 || actor.id !== id || told !== tenantId || here !== tenantId || body.n !== n) wrong.push({ id, tenantId, told, here })
      }
    }
    await Promise.all(Array.from({ length: 10 }, (_, worker) => oneAfterAnother(worker)))
    expect(wrong).toEqual([])
  })
})
