import { randomBytes } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { createLocalJWKSet, jwtVerify, type JSONWebKeySet } from 'jose'
import { pino } from 'pino'
import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { apiKeyFrom } from '../../src/domain/api-key.ts'
import { SCOPE_NAMES, type Scope } from '../../src/domain/scopes.ts'
import { buildApp } from '../../src/http/app.ts'
import { authentication } from '../../src/http/auth.ts'
import { clientRoutes } from '../../src/http/routes/clients.ts'
import { meRoutes } from '../../src/http/routes/me.ts'
import { oauthRoutes } from '../../src/http/routes/oauth.ts'
import { openDatabase, type Db } from '../../src/service/db.ts'
import { Lockout } from '../../src/service/lockout.ts'
import { signToken } from '../../src/service/tokens.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { call, keyring, tokenFor, type Answer } from '../processes.ts'

/** 应用 over real HTTP: registered, rotated, revoked; and their long-lived keys. */

let database: TestDatabase
let otherDb: Db
let town: TestPlace, elsewhere: TestPlace
let app: FastifyInstance, otherApp: FastifyInstance
let origin: string, otherOrigin: string
let chief: PersonActor, admin: PersonActor

async function serve(db: Db): Promise<[FastifyInstance, string]> {
  const deps = { db, keyring, clock: Date.now, lockout: new Lockout(), passwordGrant: true }
  const made = buildApp({ log: pino({ level: 'silent' }), checkAnswers: true, routes: [authentication(deps), oauthRoutes(deps), meRoutes(deps), clientRoutes(deps)] })
  return [made, await made.listen({ port: 0, host: '127.0.0.1' })]
}

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database, {}, 'ONE')
  elsewhere = await testPlace(database, {}, 'TWO')
  ;[chief, admin] = await Promise.all([town.person({ at: 'S', can: ['view', 'administer'] }), town.person({ at: 'C', can: ['view', 'administer'] })])
  // Another process: the same database, nothing else in common.
  otherDb = openDatabase({ url: database.url, connections: 2 })
  ;[[app, origin], [otherApp, otherOrigin]] = await Promise.all([serve(database.db), serve(otherDb)])
})
afterAll(async () => {
  await Promise.all([app.close(), otherApp.close()])
  await otherDb.close()
  await database.drop()
})

const as = (actor: PersonActor) => tokenFor(town.tenantId, actor.id)
const post = (path: string, body?: object, actor = chief) => call(origin, as(actor), 'POST', `/v1/clients${path}`, body)
const get = (path: string, actor = chief) => call(origin, as(actor), 'GET', `/v1/clients${path}`)
const register = async (clientId: string, scopes: Scope[] = ['requests:read', 'directory:read']): Promise<Record<string, any>> => {
  const answer = await post('', { clientId, name: '示例小程序', scopes })
  expect(answer).toMatchObject({ status: 201 })
  return answer.body
}
const tokenOf = async (client_id: string, client_secret: string, at = origin): Promise<string | number> => {
  const answer = await fetch(`${at}/oauth/token`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ grant_type: 'client_credentials', client_id, client_secret, tenant: 'ONE' }) })
  return answer.status === 200 ? ((await answer.json()) as { access_token: string }).access_token : answer.status
}
const me = (bearer: string, at = origin) => call(at, bearer, 'GET', '/v1/me')
const said = ({ status, body: { code, errors } }: Answer) => ({ status, code, pointers: (errors as { pointer: string }[] | undefined)?.map(({ pointer }) => pointer) })
/** Until the answer is as wanted, at most five seconds: what the design promises. */
const within5s = async (look: () => Promise<unknown>, wanted: unknown): Promise<void> => {
  const until = Date.now() + 5_000
  for (;;) {
    const seen = await look()
    if (seen === wanted) return
    if (Date.now() > until) throw new Error(`still ${String(seen)} after 5 s`)
    await wait(100)
  }
}

describe('登记', () => {
  test('an app with its scopes and a secret that is shown once', async () => {
    const { clientSecret, ...client } = await register('first-app')
    expect(client).toMatchObject({ clientId: 'first-app', name: '示例小程序', scopes: ['requests:read', 'directory:read'], rotatedAt: null, formerSecretUntil: null, revokedAt: null })
    expect((await get('/first-app')).body).toEqual(client)
    expect((await get(`/${client.id}`)).body).toEqual(client)
    expect((await get('')).body.data).toContainEqual(client)
    const { body } = await me(await tokenOf('first-app', clientSecret) as string)
    expect(body).toMatchObject({ id: client.id, kind: 'app', scopes: ['requests:read', 'directory:read'] })
    const { rows } = await database.owner.query('SELECT * FROM client WHERE id = $1', [client.id])
    expect(JSON.stringify(rows)).not.toContain(clientSecret)
  })

  test('by an administrator of the whole tenant, in person, and with no more than he has', async () => {
    const body = { clientId: 'x', name: 'x', scopes: ['requests:read'] }
    expect(await post('', body, admin)).toMatchObject({ status: 403, body: { code: 'forbidden' } })
    expect((await get('', admin)).status).toBe(403)
    const { id } = await register('escalating-app', ['directory:write', 'directory:read'])
    const through = signToken(keyring, { tenantId: town.tenantId, kind: 'person', subject: chief.id, clientId: id, scopes: SCOPE_NAMES }, 'x', Date.now())
    expect((await call(origin, through, 'POST', '/v1/clients', body)).status).toBe(403)
    expect((await call(origin, through, 'POST', '/v1/clients/first-app/rotate-secret')).status).toBe(403)
    const byItself = tokenFor(town.tenantId, id, 'app')
    for (const path of ['', '/escalating-app/keys', '/escalating-app/rotate-secret']) expect((await call(origin, byItself, 'POST', `/v1/clients${path}`, path === '' ? body : path.endsWith('keys') ? { name: 'x' } : {})).status, path).toBe(403)
    const narrow = signToken(keyring, { tenantId: town.tenantId, kind: 'person', subject: chief.id, clientId: null, scopes: ['directory:write'] }, 'x', Date.now())
    expect(said(await call(origin, narrow, 'POST', '/v1/clients', body))).toEqual({ status: 403, code: 'forbidden', pointers: ['/scopes'] })
  })

  test.each<[string, object, string]>([
    ['no scopes', { scopes: [] }, '/scopes'],
    ['an unknown scope', { scopes: ['everything'] }, '/scopes/0'],
    ['a clientId with blanks', { clientId: 'a b' }, '/clientId'],
    ['a clientId in use', { clientId: 'first-app' }, '/clientId'],
    ['no name', { name: '' }, '/name'],
    ['a secret of its own', { clientSecret: 'mine' }, '/clientSecret'],
  ])('%s is refused where it is', async (_, wrong, pointer) => {
    expect(said(await post('', { clientId: uuidv7(), name: 'x', scopes: ['requests:read'], ...wrong }))).toEqual({ status: 400, code: 'validation-failed', pointers: [pointer] })
  })

  test('is one tenant’s: to another it is not there', async () => {
    const stranger = await elsewhere.person({ at: 'S', can: ['administer'] })
    const theirs = tokenFor(elsewhere.tenantId, stranger.id)
    expect((await call(origin, theirs, 'GET', '/v1/clients')).body.data).toEqual([])
    for (const path of ['', '/rotate-secret', '/revoke', `/keys/${uuidv7()}/revoke`]) expect((await call(origin, theirs, 'POST', `/v1/clients/first-app${path}`, path === '' ? { name: 'x' } : undefined)).status, path).toBe(404)
    expect((await call(origin, theirs, 'POST', '/v1/clients/first-app/keys', { name: 'x' })).status).toBe(404)
    expect((await call(origin, theirs, 'GET', '/v1/clients/first-app/keys')).status).toBe(404)
  })
})

describe('轮换', () => {
  test('two secrets are good at a time, never three, and none longer than was said', async () => {
    const { clientSecret: first } = await register('rotating-app')
    const { body } = await post('/rotating-app/rotate-secret', { overlapHours: 2 })
    const second = body.clientSecret as string
    expect(Date.parse(body.formerSecretUntil) - Date.parse(body.rotatedAt)).toBe(2 * 3_600_000)
    const good = async (...secrets: string[]) => (await Promise.all(secrets.map((secret) => tokenOf('rotating-app', secret)))).map((token) => typeof token === 'string')
    expect(await good(first, second)).toEqual([true, true])
    const third = (await post('/rotating-app/rotate-secret')).body.clientSecret as string
    expect(await good(first, second, third)).toEqual([false, true, true])
    await database.owner.query(`UPDATE client SET "formerUntil" = now() - interval '1 second' WHERE "clientId" = 'rotating-app'`)
    expect(await good(second, third)).toEqual([false, true])
    expect((await get('/rotating-app')).body.formerSecretUntil).toBeNull()
    // a secret that leaked ends at once
    const fourth = (await post('/rotating-app/rotate-secret', { overlapHours: 0 })).body
    expect(fourth.formerSecretUntil).toBeNull()
    expect(await good(third, fourth.clientSecret)).toEqual([false, true])
    expect(said(await post('/rotating-app/rotate-secret', { overlapHours: 721 }))).toMatchObject({ status: 400, pointers: ['/overlapHours'] })
  })
})

describe('吊销', () => {
  test('tokens and keys end at once here, within five seconds in another process, and for good', async () => {
    const { clientSecret } = await register('short-lived')
    const token = await tokenOf('short-lived', clientSecret) as string
    const { key } = (await post('/short-lived/keys', { name: '脚本' })).body
    for (const bearer of [token, key]) for (const at of [origin, otherOrigin]) expect((await me(bearer, at)).status).toBe(200)
    expect((await post('/short-lived/revoke')).body).toMatchObject({ clientId: 'short-lived', revokedAt: expect.any(String) })
    expect([(await me(token)).status, (await me(key)).status, await tokenOf('short-lived', clientSecret), await tokenOf('short-lived', clientSecret, otherOrigin)]).toEqual([401, 401, 401, 401])
    for (const bearer of [token, key]) await within5s(async () => (await me(bearer, otherOrigin)).status, 401)
    for (const [path, body] of [['/rotate-secret'], ['/keys', { name: 'x' }], ['', { name: 'x' }]] as const) expect(await post(`/short-lived${path}`, body), path).toMatchObject({ status: 409, body: { code: 'client-revoked' } })
    expect((await post('/short-lived/revoke')).status).toBe(200)
  })

  test('scopes taken away are gone at once here, within five seconds there, and come back for those who have them', async () => {
    const { clientSecret } = await register('narrowed')
    const token = await tokenOf('narrowed', clientSecret) as string
    const scopes = async (at: string) => (await me(token, at)).body.scopes.join(' ')
    expect(await scopes(otherOrigin)).toBe('requests:read directory:read')
    expect((await post('/narrowed', { scopes: ['requests:read'] })).body.scopes).toEqual(['requests:read'])
    expect(await scopes(origin)).toBe('requests:read')
    await within5s(() => scopes(otherOrigin), 'requests:read')
  })
})

describe('API Key', () => {
  test('speaks for the app, with its scopes or fewer, and is kept as a hash', async () => {
    const { id } = await register('scripted')
    const { status, body } = await post('/scripted/keys', { name: '夜间对账', scopes: ['requests:read'], days: 90 })
    expect(status).toBe(201)
    const { key, ...view } = body
    expect(key).toMatch(/^ww_live_[0-9A-Za-z]{49}$/)
    expect(view).toMatchObject({ name: '夜间对账', scopes: ['requests:read'], lastFour: key.slice(-4), lastUsedAt: null, revokedAt: null })
    expect(Date.parse(view.expiresAt) - Date.parse(view.createdAt)).toBe(90 * 86_400_000)
    expect((await me(key)).body).toMatchObject({ id, kind: 'app', login: 'scripted', scopes: ['requests:read'] })
    const { rows } = await database.owner.query('SELECT * FROM api_key')
    expect(JSON.stringify(rows)).not.toContain(key.slice(8, 40))
    const [listed] = (await get('/scripted/keys')).body.data
    expect(listed).toEqual({ ...view, lastUsedAt: expect.any(String) })
  })

  test('its use is noted to the minute', async () => {
    await register('noted')
    const { id, key } = (await post('/noted/keys', { name: 'x' })).body
    const used = async () => (await database.owner.query('SELECT "lastUsedAt" FROM api_key WHERE id = $1', [id])).rows[0].lastUsedAt
    await me(key)
    const first = await used()
    database.db.memory.clear()
    await me(key)
    expect(await used()).toEqual(first)
    await database.owner.query(`UPDATE api_key SET "lastUsedAt" = "lastUsedAt" - interval '61 seconds' WHERE id = $1`, [id])
    database.db.memory.clear()
    await me(key)
    expect((await used()).getTime()).toBeGreaterThanOrEqual(first.getTime())
  })

  test('ends when revoked, here at once and there within five seconds; when it expires; and with a scope of its app', async () => {
    await register('many-keys')
    const make = async (more: object = {}) => (await post('/many-keys/keys', { name: 'x', ...more })).body as { id: string; key: string }
    const [one, two] = [await make(), await make()]
    expect([(await me(one.key)).status, (await me(one.key, otherOrigin)).status]).toEqual([200, 200])
    expect((await post(`/many-keys/keys/${one.id}/revoke`)).body).toMatchObject({ id: one.id, revokedAt: expect.any(String) })
    expect([(await me(one.key)).status, (await me(two.key)).status]).toEqual([401, 200])
    await within5s(async () => (await me(one.key, otherOrigin)).status, 401)
    await database.owner.query(`UPDATE api_key SET "expiresAt" = now() WHERE id = $1`, [two.id])
    await within5s(async () => (await me(two.key)).status, 401)
    const three = await make()
    await post('/many-keys', { scopes: ['directory:read'] })
    expect((await me(three.key)).body.scopes).toEqual(['directory:read'])
    expect((await post(`/many-keys/keys/${uuidv7()}/revoke`)).status).toBe(404)
    expect((await post(`/first-app/keys/${three.id}/revoke`)).status).toBe(404)
  })

  test.each<[string, object, number, string]>([
    ['a scope its app has not', { scopes: ['webhooks:manage'] }, 403, '/scopes'],
    ['no name', { name: '' }, 400, '/name'],
    ['no days', { days: 0 }, 400, '/days'],
    ['days without end', { days: 731 }, 400, '/days'],
    ['a key of its own', { key: 'ww_live_x' }, 400, '/key'],
  ])('%s is refused where it is', async (_, wrong, status, pointer) => {
    expect(said(await post('/first-app/keys', { name: 'x', ...wrong }))).toMatchObject({ status, pointers: [pointer] })
  })

  test('twenty are enough', async () => {
    await register('hoarder')
    for (let n = 0; n < 20; n++) expect((await post('/hoarder/keys', { name: `${n}` })).status).toBe(201)
    expect(await post('/hoarder/keys', { name: '21' })).toMatchObject({ status: 409, body: { code: 'limit-reached' } })
  })

  test('what is no key of ours is no token: mistyped, made up, in the URL, or as a password', async () => {
    await register('guarded')
    const { key } = (await post('/guarded/keys', { name: 'x' })).body as { key: string }
    const wrong = [`${key.slice(0, -1)}${key.endsWith('x') ? 'y' : 'x'}`, apiKeyFrom(randomBytes(32)), `${key}.`, key.toUpperCase(), 'ww_live_', `ww_live_${'0'.repeat(49)}`, key.replace('ww_live_', 'ww_test_')]
    for (const bearer of wrong) expect((await me(bearer)).body.code, bearer).toBe('token-invalid')
    for (const url of [`/v1/me?access_token=${key}`, `/v1/me?key=${key}`]) expect((await fetch(origin + url)).status).toBe(401)
    expect((await fetch(`${origin}/v1/me`, { headers: { authorization: `Basic ${Buffer.from(`guarded:${key}`).toString('base64')}` } })).status).toBe(401)
    expect(await tokenOf('guarded', key)).toBe(401)
    expect((await me(key)).status).toBe(200)
  })

  test('of one tenant works in that tenant only', async () => {
    await register('tenant-bound')
    const { key } = (await post('/tenant-bound/keys', { name: 'x', scopes: ['directory:read'] })).body as { key: string }
    const keys = await database.owner.query('SELECT "tenantId" FROM api_key')
    expect(new Set(keys.rows.map(({ tenantId }) => tenantId))).toEqual(new Set([town.tenantId]))
    // nobody outside their tenant sees a key, even with the application's filters gone
    expect((await elsewhere.inside(() => database.db.app.query('SELECT * FROM api_key'))).rows).toEqual([])
    expect((await me(key)).status).toBe(200)
  })
})

describe('JWKS', () => {
  test('anyone checks our tokens by the published keys, and none without', async () => {
    const answer = await fetch(`${origin}/.well-known/jwks.json`)
    expect([answer.status, answer.headers.get('cache-control')]).toEqual([200, 'public, max-age=300'])
    const jwks = (await answer.json()) as JSONWebKeySet
    expect(jwks.keys).toEqual(keyring.sign.map(({ kid }) => ({ kid, kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', use: 'sig', x: expect.any(String) })))
    const { payload } = await jwtVerify(as(chief), createLocalJWKSet(jwks), { audience: 'urn:wish-wall:v1', issuer: 'urn:wish-wall', typ: 'at+jwt' })
    expect(payload.sub).toBe(chief.id)
    await expect(jwtVerify(`${as(chief).slice(0, -4)}AAAA`, createLocalJWKSet(jwks))).rejects.toThrow()
  })
})
