import { createHmac, createSign, generateKeyPairSync, randomBytes, sign as signWith, type KeyObject } from 'node:crypto'
import { request as httpRequest } from 'node:http'
import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { apiKeyFrom } from '../../src/domain/api-key.ts'
import { createClient, revokeClient } from '../../src/service/clients.ts'
import { generateKeyring, parseKeyring } from '../../src/service/keyring.ts'
import { createPerson } from '../../src/service/people.ts'
import { signRefresh, signToken } from '../../src/service/tokens.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { call, keyring, tokenFor } from '../processes.ts'
import { askToken, openDoor, type Door } from './identity.ts'

/** Bad tokens, one a row: RFC 8725, RFC 6749 10, RFC 6750 5, OWASP API2:2023. None opens anything, none makes us fall. */

let database: TestDatabase
let town: TestPlace, elsewhere: TestPlace
let door: Door
let chief: PersonActor
let app: { id: string; clientSecret: string }, gone: { id: string; clientSecret: string }
let key: string, expiredKey: string, revokedKey: string, refresh: string

const [{ kid, private: ours, public: ourPublic }] = keyring.sign
const now = Math.floor(Date.now() / 1000)
const b64 = (value: unknown): string => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
const HEAD = { alg: 'EdDSA', typ: 'at+jwt', kid }
let CLAIMS: Record<string, unknown>
let good: string

beforeAll(async () => {
  database = await freshDatabase()
  ;[town, elsewhere] = [await testPlace(database, {}, 'ONE'), await testPlace(database, {}, 'TWO')]
  chief = await town.person({ at: 'S', can: ['view', 'administer'] })
  door = await openDoor(database.db)
  ;[app, gone] = await town.inside(async () => {
    await createPerson(database.db, keyring, { name: '王示例', login: 'wang', password: 'a long password' })
    return Promise.all([createClient(database.db, { clientId: 'app', name: '应用', scopes: ['requests:read'] }), createClient(database.db, { clientId: 'gone', name: '已去', scopes: ['requests:read'] })])
  })
  const as = tokenFor(town.tenantId, chief.id)
  const newKey = async () => (await call(door.origin, as, 'POST', '/v1/clients/app/keys', { name: 'x' })).body as { id: string; key: string }
  const [live, old, revoked] = [await newKey(), await newKey(), await newKey()]
  ;[key, expiredKey, revokedKey] = [live.key, old.key, revoked.key]
  await database.owner.query(`UPDATE api_key SET "expiresAt" = now() - interval '1 second' WHERE id = $1`, [old.id])
  await call(door.origin, as, 'POST', `/v1/clients/app/keys/${revoked.id}/revoke`)
  await town.inside(() => revokeClient(database.db, gone.id))
  CLAIMS = { iss: 'urn:wish-wall', aud: 'urn:wish-wall:v1', iat: now, exp: now + 600, jti: uuidv7(), sub: chief.id, tid: town.tenantId, client_id: 'swagger-ui', kind: 'person', scope: 'requests:read directory:read directory:write' }
  good = made()
  refresh = signRefresh(keyring, { tenantId: town.tenantId, subject: chief.id, client: 'swagger-ui', scopes: ['requests:read'], mark: 'x' }, Date.now())
})
afterAll(async () => {
  await door.close()
  await database.drop()
})

/** Signed by our own key: only what is written in it may be wrong. */
const made = (claims: Record<string, unknown> = {}, header: Record<string, unknown> | string = {}, by: (body: string) => string = (body) => signWith(null, Buffer.from(body), ours).toString('base64url')): string => {
  const body = `${b64(typeof header === 'string' ? header : { ...HEAD, ...header })}.${b64({ ...CLAIMS, ...claims })}`
  return `${body}.${by(body)}`
}
const rawBody = (payload: string): string => {
  const body = `${b64(HEAD)}.${b64(payload)}`
  return `${body}.${signWith(null, Buffer.from(body), ours).toString('base64url')}`
}
const without = (claim: string) => made({ [claim]: undefined })
const hs = (secret: string | Buffer) => (body: string) => createHmac('sha256', secret).update(body).digest('base64url')
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const other = generateKeyPairSync('ed25519')
const byKey = (algorithm: string | null, privateKey: KeyObject) => (body: string) =>
  (algorithm === null ? signWith(null, Buffer.from(body), privateKey) : createSign(algorithm).update(body).sign({ key: privateKey, dsaEncoding: 'ieee-p1363' })).toString('base64url')
const pem = ourPublic.export({ format: 'pem', type: 'spki' }) as string
const raw = Buffer.from(ourPublic.export({ format: 'jwk' }).x!, 'base64url')
const [head, body, signature] = [0, 1, 2].map((part) => () => good.split('.')[part]!) as [() => string, () => string, () => string]
/** The other way to write the same signature: S + L (RFC 8032, 5.1.7 wants S < L). */
const malleable = (): string => {
  const bytes = Buffer.from(signature(), 'base64url')
  const order = (1n << 252n) + 27742317777372353535851937790883648493n
  let s = BigInt(`0x${Buffer.from(bytes.subarray(32)).reverse().toString('hex')}`) + order
  for (let at = 32; at < 64; at++, s >>= 8n) bytes[at] = Number(s & 255n)
  return `${head()}.${body()}.${bytes.toString('base64url')}`
}
const stranger = parseKeyring(JSON.stringify(generateKeyring()))

const TOKENS: [string, () => string][] = [
  // algorithm
  ...['none', 'None', 'NONE', 'nOnE', '', 'null'].map((alg): [string, () => string] => [`alg ${alg || 'empty'} without a signature`, () => made({}, { alg }, () => '')]),
  ['alg none with our signature', () => made({}, { alg: 'none' })],
  ['alg none in a header of its own, our body', () => `${b64({ alg: 'none' })}.${body()}.`],
  ['no alg', () => made({}, { alg: undefined })],
  ['alg as a list', () => made({}, { alg: ['EdDSA'] })],
  ['HS256 by our public key, PEM', () => made({}, { alg: 'HS256' }, hs(pem))],
  ['HS256 by our public key, trimmed PEM', () => made({}, { alg: 'HS256' }, hs(pem.trim()))],
  ['HS256 by our public key, raw', () => made({}, { alg: 'HS256' }, hs(raw))],
  ['HS256 by our public key, base64url', () => made({}, { alg: 'HS256' }, hs(raw.toString('base64url')))],
  ['HS256 by nothing', () => made({}, { alg: 'HS256' }, hs(''))],
  ['HS384', () => made({}, { alg: 'HS384' }, (text) => createHmac('sha384', pem).update(text).digest('base64url'))],
  ['HS512', () => made({}, { alg: 'HS512' }, (text) => createHmac('sha512', pem).update(text).digest('base64url'))],
  ['HS256 said EdDSA', () => made({}, {}, hs(raw))],
  ['RS256 by another key', () => made({}, { alg: 'RS256' }, byKey('RSA-SHA256', rsa.privateKey))],
  ['RS256 said EdDSA', () => made({}, {}, byKey('RSA-SHA256', rsa.privateKey))],
  ['ES256 by another key', () => made({}, { alg: 'ES256' }, byKey('SHA256', ec.privateKey))],
  ['ES256 said EdDSA', () => made({}, {}, byKey('SHA256', ec.privateKey))],
  ['ES256 of zeros', () => made({}, { alg: 'ES256' }, () => Buffer.alloc(64).toString('base64url'))],
  ['EdDSA of zeros', () => made({}, {}, () => Buffer.alloc(64).toString('base64url'))],
  ['Ed25519 by another key', () => made({}, {}, byKey(null, other.privateKey))],
  ['our signature said Ed25519', () => made({}, { alg: 'Ed25519' })],
  ['our signature said RS256', () => made({}, { alg: 'RS256' })],
  ['our signature said eddsa', () => made({}, { alg: 'eddsa' })],
  ['of another installation', () => signToken(stranger, { tenantId: town.tenantId, kind: 'person', subject: chief.id, clientId: null, scopes: ['requests:read'] }, 'x', Date.now())],
  // key id
  ...['../../../../dev/null', '/etc/passwd', 'http://127.0.0.1:9/key', "x' UNION SELECT 'key' --", '', 'unknown', '\0', '__proto__', 'constructor', '| id', '💩'.repeat(50)].map((bad): [string, () => string] => [`kid ${JSON.stringify(bad).slice(0, 30)}`, () => made({}, { kid: bad })]),
  ['kid a list', () => made({}, { kid: [kid] })],
  ['kid a number', () => made({}, { kid: 0 })],
  ['kid an object', () => made({}, { kid: { $ne: '' } })],
  ['no kid', () => made({}, { kid: undefined })],
  ['kid null by HS256 of nothing', () => made({}, { alg: 'HS256', kid: '/dev/null' }, hs(''))],
  // headers that bring a key, or a rule
  ['a key of its own, jwk', () => made({}, { jwk: other.publicKey.export({ format: 'jwk' }) }, byKey(null, other.privateKey))],
  ['a key of its own, jwk, our signature', () => made({}, { jwk: ourPublic.export({ format: 'jwk' }) })],
  ['jku', () => made({}, { jku: 'http://127.0.0.1:9/keys' }, byKey(null, other.privateKey))],
  ['jku, our signature', () => made({}, { jku: 'https://example.cn/.well-known/jwks.json' })],
  ['x5u', () => made({}, { x5u: 'http://169.254.169.254/cert' })],
  ['x5c', () => made({}, { x5c: ['MIIB'] })],
  ['x5t', () => made({}, { x5t: 'AAAA' })],
  ['crit', () => made({}, { crit: ['exp'] })],
  ['crit of what is not there', () => made({}, { crit: ['b64'], b64: false })],
  ['an empty crit', () => made({}, { crit: [] })],
  ['b64 false', () => made({}, { b64: false })],
  ['zip', () => made({}, { zip: 'DEF' })],
  ['cty JWT', () => made({}, { cty: 'JWT' })],
  ['typ JWT', () => made({}, { typ: 'JWT' })],
  ['typ in capitals', () => made({}, { typ: 'AT+JWT' })],
  ['no typ', () => made({}, { typ: undefined })],
  ['typ of a refresh token', () => made({}, { typ: 'rt+jwt' })],
  ['a header in another order', () => made({}, `{"typ":"at+jwt","alg":"EdDSA","kid":"${kid}"}`)],
  ['a header with alg twice', () => made({}, `{"alg":"none","alg":"EdDSA","typ":"at+jwt","kid":"${kid}"}`)],
  ['a header that is no JSON', () => made({}, 'x')],
  ['a header that is a list', () => made({}, '[]')],
  ['a header that is null', () => made({}, 'null')],
  // claims
  ...['iss', 'aud', 'iat', 'exp', 'jti', 'sub', 'tid', 'client_id', 'kind', 'scope'].map((claim): [string, () => string] => [`no ${claim}`, () => without(claim)]),
  ['another issuer', () => made({ iss: 'https://example.cn' })],
  ['another audience', () => made({ aud: 'urn:wish-wall:v2' })],
  ['several audiences', () => made({ aud: ['urn:wish-wall:v1', 'x'] })],
  ['audience null', () => made({ aud: null })],
  ['expired', () => made({ iat: now - 7200, exp: now - 3600 })],
  ['expired this second', () => made({ exp: now })],
  ['exp as text', () => made({ exp: String(now + 600) })],
  ['exp a fraction', () => made({ exp: now + 0.5 })],
  ['exp beyond all time', () => rawBody(JSON.stringify({ ...CLAIMS }).replace(/"exp":\d+/, '"exp":1e999'))],
  ['exp negative', () => made({ exp: -1 })],
  ['not before tomorrow', () => made({ nbf: now + 86_400 })],
  ['nbf as text', () => made({ nbf: '0' })],
  ['a subject nobody is', () => made({ sub: uuidv7() })],
  ['a subject that is no id', () => made({ sub: 'admin' })],
  ['a subject as a list', () => made({ sub: [chief.id] })],
  ['a subject with SQL', () => made({ sub: `${chief.id}' OR '1'='1` })],
  ['another tenant', () => made({ tid: elsewhere.tenantId })],
  ['a tenant nobody is', () => made({ tid: uuidv7() })],
  ['a tenant that is no id', () => made({ tid: 'ONE' })],
  ['a kind nobody knows', () => made({ kind: 'system' })],
  ['a person said to be an app', () => made({ kind: 'app' })],
  ['an app said to be a person', () => made({ sub: app.id })],
  ['an act for an app nobody knows', () => made({ act: { sub: uuidv7() } })],
  ['an act for a revoked app', () => made({ act: { sub: gone.id } })],
  ['an act within an act', () => made({ act: { sub: app.id, act: { sub: gone.id } } })],
  ['an unknown claim', () => made({ admin: true })],
  ['scope as a list', () => made({ scope: ['requests:read'] })],
  ['a body that is no JSON', () => rawBody('x')],
  ['a body that is a list', () => rawBody('[]')],
  ['a body that is null', () => rawBody('null')],
  ['a body with __proto__', () => rawBody(`{"__proto__":{"kind":"app"},${JSON.stringify(CLAIMS).slice(1)}`)],
  ['a revoked app', () => signToken(keyring, { tenantId: town.tenantId, kind: 'app', subject: gone.id, clientId: gone.id, scopes: ['requests:read'] }, 'gone', Date.now())],
  // form
  ['a refresh token', () => refresh],
  ['two parts', () => `${head()}.${body()}`],
  ['four parts', () => `${good}.x`],
  ['five parts, as if it were encrypted', () => `${good}.x.y`],
  ['no parts', () => 'token'],
  ['dots alone', () => '...'],
  ['a cut signature', () => good.slice(0, -2)],
  ['a longer signature', () => `${good}AA`],
  ['a padded signature', () => `${good}==`],
  ['a signature twice', () => `${good}${signature()}`],
  ['a signature in hex', () => `${head()}.${body()}.${Buffer.from(signature(), 'base64url').toString('hex')}`],
  ['a signature with one bit turned', () => { const bytes = Buffer.from(signature(), 'base64url'); bytes[63]! ^= 1; return `${head()}.${body()}.${bytes.toString('base64url')}` }],
  ['the other form of the signature', malleable],
  ['a signature with idle bits', () => { const last = good.at(-1)!; const next = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'; return good.slice(0, -1) + next[next.indexOf(last) ^ 1]! }],
  ['a body with one letter changed', () => `${head()}.${body().slice(0, 20)}${body()[20] === 'A' ? 'B' : 'A'}${body().slice(21)}.${signature()}`],
  ['the body of another, with this signature', () => `${head()}.${made({ sub: uuidv7() }).split('.')[1]!}.${signature()}`],
  ['eight thousand letters', () => `${head()}.${'A'.repeat(8_000)}.${signature()}`],
  // API keys
  ['a key mistyped', () => key.slice(0, -1) + (key.endsWith('A') ? 'B' : 'A')],
  ['a key cut', () => key.slice(0, -1)],
  ['a key with more', () => `${key}A`],
  ['a key nobody has', () => apiKeyFrom(randomBytes(32))],
  ['a live key said to be a test key', () => key.replace('ww_live_', 'ww_test_')],
  ['a key that has expired', () => expiredKey],
  ['a revoked key', () => revokedKey],
  ['a key of another system', () => 'sk_live_0123456789abcdefghijklmnop'],
  ['a prefix alone', () => 'ww_live_'],
  ['a key in capitals', () => key.toUpperCase()],
]

const challenge = (answer: { status: number; headers: Headers; body: Record<string, any> }, wanted: string) => {
  expect([answer.status, answer.body.code]).toEqual([401, wanted])
  expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/)
  expect(answer.headers.get('www-authenticate')).toMatch(wanted === 'token-invalid' ? /^Bearer realm="wish-wall", error="invalid_token"/ : /^Bearer realm="wish-wall"$/)
}

test('the table is long enough, and what it varies is good', async () => {
  expect(TOKENS.length).toBeGreaterThanOrEqual(100)
  for (const token of [good, made(), key]) expect((await call(door.origin, token, 'GET', '/v1/me')).status).toBe(200)
})

test.each(TOKENS)('%s opens nothing', async (_, token) => {
  for (const path of ['/v1/me', '/v1/requests']) challenge(await call(door.origin, token(), 'GET', path), 'token-invalid')
})

/** As no client library sends it. */
const sent = (path: string, headers: Record<string, string | string[]>, bytes = ''): Promise<{ status: number; headers: Headers; body: Record<string, any> }> => new Promise((resolve, reject) => {
  const { hostname, port } = new URL(door.origin)
  const request = httpRequest({ hostname, port, path, method: bytes ? 'POST' : 'GET', headers }, (answer) => {
    let text = ''
    answer.setEncoding('utf8').on('data', (part: string) => { text += part }).on('end', () => {
      resolve({ status: answer.statusCode!, headers: new Headers(Object.entries(answer.headers).map(([name, value]): [string, string] => [name, String(value)])), body: JSON.parse(text) as Record<string, any> })
    })
  })
  request.on('error', reject).end(bytes)
})

describe('anywhere but behind Bearer', () => {
  const json = { 'content-type': 'application/json' }
  test.each<[string, () => ReturnType<typeof sent>]>([
    ['nothing', () => sent('/v1/me', {})],
    ['in the query', () => sent(`/v1/me?access_token=${good}`, {})],
    ['an API key in the query', () => sent(`/v1/me?api_key=${key}`, {})],
    ['an API key in the query of a list', () => sent(`/v1/requests?token=${key}`, {})],
    ['in the body', () => sent('/v1/requests', json, JSON.stringify({ access_token: good }))],
    ['in a form', () => sent('/v1/requests', { 'content-type': 'application/x-www-form-urlencoded' }, `access_token=${good}`)],
    ['in a cookie', () => sent('/v1/me', { cookie: `access_token=${good}; token=${good}` })],
    ['in X-Api-Key', () => sent('/v1/me', { 'x-api-key': key })],
    ['without a scheme', () => sent('/v1/me', { authorization: good })],
    ['by Basic', () => sent('/v1/me', { authorization: `Basic ${Buffer.from(`app:${app.clientSecret}`).toString('base64')}` })],
    ['by Digest', () => sent('/v1/me', { authorization: `Digest ${good}` })],
    ['by DPoP', () => sent('/v1/me', { authorization: `DPoP ${good}` })],
    ['Bearer alone', () => sent('/v1/me', { authorization: 'Bearer' })],
    ['Bearer and a blank', () => sent('/v1/me', { authorization: 'Bearer  ' })],
    ['two tokens in one header', () => sent('/v1/me', { authorization: `Bearer ${good}, Bearer ${good}` })],
    ['a token and more', () => sent('/v1/me', { authorization: `Bearer ${good} x` })],
    ['behind a tab', () => sent('/v1/me', { authorization: `Bearer\t${good}` })],
    ['in X-Forwarded-Authorization', () => sent('/v1/me', { 'x-forwarded-authorization': `Bearer ${good}` })],
    ['in Proxy-Authorization', () => sent('/v1/me', { 'proxy-authorization': `Bearer ${good}` })],
  ])('%s', async (_, ask) => {
    challenge(await ask(), 'unauthenticated')
  })

  test('of two Authorization headers the second does not count', async () => {
    expect((await sent('/v1/me', { Authorization: ['Bearer x.y.z', `Bearer ${good}`] })).status).toBe(401)
  })

  test('what is too long for a header is refused before it is read', async () => {
    const answer = await sent('/v1/me', { authorization: `Bearer ${'A'.repeat(70_000)}` }).catch((error: unknown) => error)
    expect(answer).toMatchObject({ status: 431 })
  })

  test('a good token without the scope is told which it lacks', async () => {
    const answer = await call(door.origin, made({ scope: 'requests:read' }), 'POST', '/v1/clients', { clientId: 'x', name: 'x', scopes: ['requests:read'] })
    expect([answer.status, answer.body.code, answer.body.scope, answer.headers.get('www-authenticate')]).toEqual([403, 'forbidden', 'directory:write', expect.stringContaining('error="insufficient_scope"')])
  })
})

describe('at the token endpoint', () => {
  const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
  const byApp = () => ({ client_id: 'app', client_secret: app.clientSecret })
  const person = () => ({ grant_type: EXCHANGE, ...byApp(), tenant: 'ONE', subject_token_type: 'urn:ietf:params:oauth:token-type:access_token' })
  test.each<[string, number, string, () => Record<string, string>]>([
    ['more scope by refresh', 400, 'invalid_grant', () => ({ grant_type: 'refresh_token', refresh_token: refresh, scope: 'requests:read directory:write' })],
    ['more scope by client_credentials', 400, 'invalid_scope', () => ({ grant_type: 'client_credentials', tenant: 'ONE', ...byApp(), scope: 'requests:read requests:write' })],
    ['more scope by exchange', 400, 'invalid_scope', () => ({ ...person(), subject_token: good, scope: 'requests:read directory:write' })],
    ['an access token to refresh with', 400, 'invalid_grant', () => ({ grant_type: 'refresh_token', refresh_token: good })],
    ['a refresh token of another installation', 400, 'invalid_grant', () => ({ grant_type: 'refresh_token', refresh_token: signRefresh(stranger, { tenantId: town.tenantId, subject: chief.id, client: 'swagger-ui', scopes: ['requests:read'], mark: 'x' }, Date.now()) })],
    ['a refresh token that has expired', 400, 'invalid_grant', () => ({ grant_type: 'refresh_token', refresh_token: signRefresh(keyring, { tenantId: town.tenantId, subject: chief.id, client: 'swagger-ui', scopes: ['requests:read'], mark: 'x' }, Date.now() - 13 * 3_600_000) })],
    ['a refresh token unsigned', 400, 'invalid_grant', () => ({ grant_type: 'refresh_token', refresh_token: `${b64({ alg: 'none', typ: 'rt+jwt' })}.${refresh.split('.')[1]}.` })],
    ['a refresh token to an app', 400, 'unauthorized_client', () => ({ grant_type: 'refresh_token', refresh_token: refresh, ...byApp() })],
    ['a refresh token to exchange', 400, 'invalid_grant', () => ({ ...person(), subject_token: refresh })],
    ['an app’s own token to exchange', 400, 'invalid_grant', () => ({ ...person(), subject_token: tokenFor(town.tenantId, app.id, 'app') })],
    ['a token of another tenant to exchange', 400, 'invalid_grant', () => ({ ...person(), subject_token: tokenFor(elsewhere.tenantId, chief.id) })],
    ['a token got by another app to exchange', 400, 'invalid_grant', () => ({ ...person(), subject_token: made({ act: { sub: gone.id } }) })],
    ['an unsigned token to exchange', 400, 'invalid_grant', () => ({ ...person(), subject_token: `${b64({ alg: 'none' })}.${body()}.` })],
    ['an id token of nobody', 400, 'invalid_grant', () => ({ ...person(), subject_token: good, subject_token_type: 'urn:ietf:params:oauth:token-type:id_token' })],
    ['a SAML assertion', 400, 'invalid_request', () => ({ ...person(), subject_token: good, subject_token_type: 'urn:ietf:params:oauth:token-type:saml2' })],
    ['a refresh token wanted by exchange', 400, 'invalid_request', () => ({ ...person(), subject_token: good, requested_token_type: 'urn:ietf:params:oauth:token-type:refresh_token' })],
    ['authorization_code', 400, 'unsupported_grant_type', () => ({ grant_type: 'authorization_code', code: 'x', client_id: 'app' })],
    ['authorization_code with a verifier', 400, 'unsupported_grant_type', () => ({ grant_type: 'authorization_code', code: 'x', code_verifier: 'y'.repeat(43), redirect_uri: 'https://example.cn' })],
    ['implicit', 400, 'unsupported_grant_type', () => ({ grant_type: 'implicit' })],
    ['device_code', 400, 'unsupported_grant_type', () => ({ grant_type: 'urn:ietf:params:oauth:grant-type:device_code', device_code: 'x' })],
    ['jwt-bearer', 400, 'unsupported_grant_type', () => ({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion: good })],
    ['a client assertion for a secret', 401, 'invalid_client', () => ({ grant_type: 'client_credentials', tenant: 'ONE', client_id: 'app', client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer', client_assertion: good })],
    ['a wrong secret', 401, 'invalid_client', () => ({ grant_type: 'client_credentials', tenant: 'ONE', client_id: 'app', client_secret: `${app.clientSecret}x` })],
    ['an API key for a secret', 401, 'invalid_client', () => ({ grant_type: 'client_credentials', tenant: 'ONE', client_id: 'app', client_secret: key })],
    ['a revoked app', 401, 'invalid_client', () => ({ grant_type: 'client_credentials', tenant: 'ONE', client_id: 'gone', client_secret: gone.clientSecret })],
    ['the app at another tenant', 401, 'invalid_client', () => ({ grant_type: 'client_credentials', tenant: 'TWO', ...byApp() })],
    ['a secret of SQL', 401, 'invalid_client', () => ({ grant_type: 'client_credentials', tenant: 'ONE', client_id: 'app', client_secret: "' OR 1=1 --" })],
    ['a secret of nothing', 401, 'invalid_client', () => ({ grant_type: 'client_credentials', tenant: 'ONE', client_id: 'app', client_secret: '' })],
    ['a password with the app’s secret', 400, 'unauthorized_client', () => ({ grant_type: 'password', tenant: 'ONE', ...byApp(), username: 'wang', password: 'a long password' })],
    ['a hash for the password', 400, 'invalid_grant', () => ({ grant_type: 'password', tenant: 'ONE', username: 'wang', password: '$argon2id$v=19$m=19456,t=2,p=1$x$y' })],
    ['no tenant where there are two', 400, 'invalid_request', () => ({ grant_type: 'password', username: 'wang', password: 'a long password' })],
  ])('%s', async (_, status, error, fields) => {
    const answer = await askToken(door.origin, fields())
    expect([answer.status, answer.body]).toEqual([status, { error, error_description: expect.any(String) }])
    expect(answer.headers.get('cache-control')).toBe('no-store')
    expect(answer.headers.get('www-authenticate')).toEqual(status === 401 ? expect.stringMatching(/^Basic realm=/) : null)
  })

  test('a secret or a token in the query is not looked at', async () => {
    const answer = await fetch(`${door.origin}/oauth/token?grant_type=client_credentials&client_id=app&client_secret=${app.clientSecret}`, { method: 'POST', body: new URLSearchParams({ tenant: 'ONE' }) })
    expect([answer.status, await answer.json()]).toEqual([400, expect.objectContaining({ error: 'invalid_request' })])
  })
})
