import type { FastifyInstance } from 'fastify'
import { decodeJwt } from 'jose'
import { pino } from 'pino'
import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { parseExternalUser } from '../../src/domain/external-user.ts'
import { SCOPE_NAMES, type Scope } from '../../src/domain/scopes.ts'
import { buildApp } from '../../src/http/app.ts'
import { authentication } from '../../src/http/auth.ts'
import { dutyRoutes } from '../../src/http/routes/duties.ts'
import { meRoutes } from '../../src/http/routes/me.ts'
import { oauthRoutes } from '../../src/http/routes/oauth.ts'
import { peopleRoutes } from '../../src/http/routes/people.ts'
import { requestRoutes } from '../../src/http/routes/requests.ts'
import { createClient, revokeClient } from '../../src/service/clients.ts'
import { parseKeyring, generateKeyring } from '../../src/service/keyring.ts'
import { Lockout } from '../../src/service/lockout.ts'
import { createPerson } from '../../src/service/people.ts'
import { eraseSubject, openSubjects } from '../../src/service/subjects.ts'
import { signRefresh, signToken } from '../../src/service/tokens.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { call, keyring } from '../processes.ts'

/** RFC 8693 over real HTTP: an app acts for a resident it knows, or for a person who gave it a token; never with more than both may. */

let database: TestDatabase
let town: TestPlace, elsewhere: TestPlace
let app: FastifyInstance
let origin: string
let nowMs = Date.now()
let chief: PersonActor
interface App { id: string; clientId: string; clientSecret: string }
let mini: App, rival: App

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const EXTERNAL = 'urn:wish-wall:external-user'
const ACCESS = 'urn:ietf:params:oauth:token-type:access_token'

const makeApp = async (clientId: string, scopes: Scope[], at = town): Promise<App> => ({ clientId, ...(await at.inside(() => createClient(database.db, { clientId, name: clientId, scopes }))) })

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database, {}, 'ONE')
  elsewhere = await testPlace(database, {}, 'TWO')
  chief = await town.person({ at: 'S', can: ['view', 'administer', 'file_for'] })
  ;[mini, rival] = await Promise.all([makeApp('mini', ['requests:read', 'requests:write', 'directory:read']), makeApp('rival', ['requests:read', 'directory:read', 'directory:write'])])
  const deps = { db: database.db, keyring, clock: () => nowMs, lockout: new Lockout(), passwordGrant: true }
  app = buildApp({ log: pino({ level: 'silent' }), checkAnswers: true, routes: [authentication(deps), oauthRoutes(deps), meRoutes(deps), peopleRoutes(deps), dutyRoutes(deps), requestRoutes(deps)] })
  origin = await app.listen({ port: 0, host: '127.0.0.1' })
})
afterAll(async () => {
  await app.close()
  await database.drop()
})

type Answer = { status: number; body: Record<string, any> }
async function exchange(by: App, more: Record<string, string | undefined> = {}, tenant = 'ONE'): Promise<Answer> {
  const fields = { grant_type: EXCHANGE, tenant, subject_token_type: EXTERNAL, subject_token: 'wechat:wx0123456789:oResident', ...more }
  const body = new URLSearchParams(Object.entries(fields).filter((field): field is [string, string] => field[1] !== undefined))
  const answer = await fetch(`${origin}/oauth/token`, { method: 'POST', headers: { authorization: `Basic ${Buffer.from(`${by.clientId}:${by.clientSecret}`).toString('base64')}` }, body })
  return { status: answer.status, body: (await answer.json()) as Record<string, any> }
}
const external = (openId: string) => ({ subject_token: `wechat:wx0123456789:${openId}` })
const me = (token: string) => call(origin, token, 'GET', '/v1/me')
const idOf = async (answer: Promise<Answer>): Promise<string> => (await me((await answer).body.access_token)).body.id

describe('a resident the app knows', () => {
  test('is made on first use, and the same ever after', async () => {
    const { status, body } = await exchange(mini, external('oFirst'))
    expect([status, body]).toEqual([200, { access_token: expect.any(String), issued_token_type: ACCESS, token_type: 'Bearer', expires_in: 3600, scope: 'requests:read requests:write directory:read' }])
    const { body: resident } = await me(body.access_token)
    expect(resident).toMatchObject({ kind: 'person', name: null, login: null, duties: [], affiliations: [], scopes: ['requests:read', 'requests:write', 'directory:read'] })
    expect(decodeJwt(body.access_token)).toMatchObject({ sub: resident.id, client_id: 'mini', act: { sub: mini.id } })
    expect(await idOf(exchange(mini, external('oFirst')))).toBe(resident.id)
    expect(await idOf(exchange(mini, external('oSecond')))).not.toBe(resident.id)
  })

  test('coming eight times at the same moment is one', async () => {
    const ids = await Promise.all(Array.from({ length: 8 }, () => idOf(exchange(mini, external('oEight')))))
    expect(new Set(ids).size).toBe(1)
    const { rows: [{ people, subjects }] } = await database.owner.query(`SELECT (SELECT count(*)::int FROM person p WHERE p.id = $1) AS people,
      (SELECT count(*)::int FROM subject s WHERE s."tenantId" = $2 AND NOT EXISTS (SELECT FROM person p WHERE p."subjectId" = s.id)) AS subjects`, [ids[0], town.tenantId])
    expect([people, subjects]).toEqual([1, 0])
  })

  test('is this app’s: by the same openId another app knows somebody else', async () => {
    const ids = await Promise.all([mini, rival].map((by) => idOf(exchange(by, external('oFirst')))))
    expect(ids[0]).not.toBe(ids[1])
    // nor do the two see from what is kept that it is the same
    const { rows } = await database.owner.query('SELECT DISTINCT "openId" FROM external_user WHERE "personId" = ANY ($1)', [ids])
    expect(rows).toHaveLength(2)
    const token = (await exchange(rival, external('oFirst'))).body.access_token as string
    expect((await call(origin, token, 'GET', `/v1/people/${await idOf(exchange(mini, external('oFirst')))}`)).status).toBe(404)
  })

  test('is another in another tenant', async () => {
    const theirs = await makeApp('mini', ['requests:read'], elsewhere)
    expect(await idOf(exchange(theirs, external('oFirst'), 'TWO'))).not.toBe(await idOf(exchange(mini, external('oFirst'))))
    expect((await exchange(mini, external('oFirst'), 'TWO')).body.error).toBe('invalid_client')
  })

  test('is kept as a keyed hash and under his own key, and nowhere readable', async () => {
    const id = await idOf(exchange(mini, external('oCANARYcanary')))
    const { rows: [person] } = await database.owner.query('SELECT "subjectId" FROM person WHERE id = $1', [id])
    expect((await town.inside(() => openSubjects(database.db, keyring, [person.subjectId]))).get(person.subjectId)).toEqual({ externalUser: 'wechat:wx0123456789:oCANARYcanary' })
    for (const table of ['external_user', 'subject', 'person']) {
      const { rows } = await database.owner.query(`SELECT to_jsonb(t)::text AS row FROM ${table} t`)
      expect(rows.map(({ row }) => row).join()).not.toMatch(/oCANARYcanary|6f43414e415259/)
    }
  })

  test('is found by a retired index key too', async () => {
    const before = await idOf(exchange(mini, external('oRotated')))
    const [fresh] = parseKeyring(JSON.stringify(generateKeyring())).index
    const { residentOf } = await import('../../src/service/external-users.ts')
    const rotated = { ...keyring, index: [fresh, ...keyring.index] as const }
    const user = { provider: 'wechat', appId: 'wx0123456789', openId: 'oRotated' }
    expect(await town.inside(() => residentOf(database.db, rotated, mini.id, user))).toBe(before)
  })

  test('suspended is refused, and out within the token he has', async () => {
    const { body: { access_token: token } } = await exchange(mini, external('oSuspended'))
    const id = (await me(token)).body.id as string
    const asChief = signToken(keyring, { tenantId: town.tenantId, kind: 'person', subject: chief.id, clientId: null, scopes: SCOPE_NAMES }, 'x', nowMs)
    expect((await call(origin, asChief, 'POST', `/v1/people/${id}/suspend`)).status).toBe(200)
    expect((await me(token)).status).toBe(401)
    expect(await exchange(mini, external('oSuspended'))).toMatchObject({ status: 400, body: { error: 'invalid_grant' } })
  })

  test('erased is forgotten: the same openId is somebody new', async () => {
    const before = await idOf(exchange(mini, external('oErased')))
    const { rows: [{ subjectId }] } = await database.owner.query('SELECT "subjectId" FROM person WHERE id = $1', [before])
    expect(await town.inside(() => eraseSubject(database.db, subjectId))).toBe(true)
    expect(await town.inside(() => eraseSubject(database.db, subjectId))).toBe(false)
    const { rows } = await database.owner.query('SELECT "openId" FROM external_user WHERE "personId" = $1', [before])
    expect(rows).toEqual([{ openId: null }])
    expect(await idOf(exchange(mini, external('oErased')))).not.toBe(before)
  })
})

describe('the intersection of rights', () => {
  const asked = async (token: string, method: 'GET' | 'POST', path: string, body?: object) => (await call(origin, token, method, path, body)).status
  const personal = (actor: PersonActor, scopes: readonly Scope[] = SCOPE_NAMES) => signToken(keyring, { tenantId: town.tenantId, kind: 'person', subject: actor.id, clientId: null, scopes }, 'swagger-ui', nowMs)
  const forChief = async (by: App, more: object = {}) => exchange(by, { subject_token_type: ACCESS, subject_token: personal(chief), ...more })

  test('an administrator through an app without the scope may not what he may himself', async () => {
    const duty = { person: (await town.person()).id, role: 'role-view', node: 'U' }
    await database.owner.query(`INSERT INTO role ("tenantId", code, name, capabilities) VALUES ($1, 'role-view', 'x', '{view}') ON CONFLICT DO NOTHING`, [town.tenantId])
    const { body } = await forChief(mini)
    expect(body.scope).toBe('requests:read requests:write directory:read')
    expect(await asked(body.access_token, 'GET', '/v1/duties')).toBe(200)
    expect(await asked(body.access_token, 'POST', '/v1/duties', duty)).toBe(403)
    expect(await asked((await forChief(rival)).body.access_token, 'POST', '/v1/duties', duty)).toBe(201)
    expect(await asked(personal(chief), 'POST', '/v1/duties', { ...duty, node: 'B' })).toBe(201)
  })

  test('a resident through an app with the scope may not what he may not himself', async () => {
    const { body } = await exchange(rival, external('oPlain'))
    expect(body.scope).toContain('directory:write')
    expect(await asked(body.access_token, 'POST', '/v1/people', { name: '袁示例', node: 'U' })).toBe(403)
    expect(await asked((await forChief(rival)).body.access_token, 'POST', '/v1/people', { name: '袁示例', node: 'U' })).toBe(201)
  })

  test('is taken anew with each call: scopes and rights lost since are gone', async () => {
    const short = await makeApp('losing', ['directory:read', 'directory:write'])
    const { body: { access_token: token } } = await forChief(short)
    expect((await me(token)).body.scopes).toEqual(['directory:read', 'directory:write'])
    await database.owner.query(`UPDATE client SET scopes = '{directory:read}' WHERE id = $1`, [short.id])
    database.db.memory.clear()
    expect((await me(token)).body.scopes).toEqual(['directory:read'])
    await town.inside(() => revokeClient(database.db, short.id))
    expect((await me(token)).status).toBe(401)
  })

  test('nor more than the person’s own token was good for, nor longer', async () => {
    const narrow = personal(chief, ['directory:read'])
    nowMs += 50 * 60_000
    const { body } = await exchange(rival, { subject_token_type: ACCESS, subject_token: narrow })
    expect(body).toMatchObject({ scope: 'directory:read', expires_in: 600 })
    expect((await me(body.access_token)).status).toBe(200)
    nowMs += 11 * 60_000
    expect((await me(body.access_token)).status).toBe(401)
    expect((await exchange(rival, { subject_token_type: ACCESS, subject_token: narrow })).body.error).toBe('invalid_grant')
  })

  test('is not handed on: what one app got for somebody is no subject for another, nor for itself', async () => {
    for (const by of [mini, rival]) for (const subject_token of [(await forChief(mini)).body.access_token, (await exchange(mini, external('oFirst'))).body.access_token]) {
      expect(await exchange(by, { subject_token_type: ACCESS, subject_token })).toMatchObject({ status: 400, body: { error: 'invalid_grant' } })
    }
  })

  test('a one-time password is still to be changed by himself', async () => {
    const id = await town.inside(() => createPerson(database.db, keyring, { name: '王示例', login: 'ONCE', password: 'one-time-only', once: true }))
    const { body } = await exchange(mini, { subject_token_type: ACCESS, subject_token: personal({ ...chief, id }) })
    expect((await call(origin, body.access_token, 'GET', '/v1/people')).body.code).toBe('password-change-required')
  })

  test.each<[string, string, () => Record<string, string | undefined>]>([
    ['no subject', 'invalid_request', () => ({ subject_token: undefined })],
    ['no type', 'invalid_request', () => ({ subject_token_type: undefined })],
    ['an unknown type', 'invalid_request', () => ({ subject_token_type: 'urn:ietf:params:oauth:token-type:saml2' })],
    ['another type wanted', 'invalid_request', () => ({ requested_token_type: 'urn:ietf:params:oauth:token-type:refresh_token' })],
    ['an actor token', 'invalid_request', () => ({ actor_token: 'x', actor_token_type: ACCESS })],
    ['two parts', 'invalid_request', () => ({ subject_token: 'wechat:oResident' })],
    ['an empty openId', 'invalid_request', () => ({ subject_token: 'wechat:wx1:' })],
    ['an openId with a blank', 'invalid_request', () => ({ subject_token: 'wechat:wx1:a b' })],
    ['an openId with NUL', 'invalid_request', () => ({ subject_token: 'wechat:wx1:a\0' })],
    ['an openId of 129', 'invalid_request', () => ({ subject_token: `wechat:wx1:${'o'.repeat(129)}` })],
    ['a provider with SQL', 'invalid_request', () => ({ subject_token: "x' OR 1=1:wx1:o" })],
    ['more scope than the app has', 'invalid_scope', () => ({ scope: 'requests:read directory:write' })],
    ['a scope nobody knows', 'invalid_scope', () => ({ scope: 'everything' })],
    ['nonsense for a token', 'invalid_grant', () => ({ subject_token_type: ACCESS, subject_token: 'nonsense' })],
    ['alg none', 'invalid_grant', () => ({ subject_token_type: ACCESS, subject_token: `${Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')}.${Buffer.from(JSON.stringify(decodeJwt(personal(chief)))).toString('base64url')}.` })],
    ['a refresh token', 'invalid_grant', () => ({ subject_token_type: ACCESS, subject_token: signRefresh(keyring, { tenantId: town.tenantId, subject: chief.id, client: 'x', scopes: SCOPE_NAMES, mark: 'x' }, nowMs) })],
    ['an app’s own token', 'invalid_grant', () => ({ subject_token_type: ACCESS, subject_token: signToken(keyring, { tenantId: town.tenantId, kind: 'app', subject: mini.id, clientId: mini.id, scopes: SCOPE_NAMES }, 'x', nowMs) })],
    ['somebody nobody knows', 'invalid_grant', () => ({ subject_token_type: ACCESS, subject_token: personal({ ...chief, id: uuidv7() }) })],
    ['a person of another tenant', 'invalid_grant', () => ({ subject_token_type: ACCESS, subject_token: signToken(keyring, { tenantId: elsewhere.tenantId, kind: 'person', subject: chief.id, clientId: null, scopes: SCOPE_NAMES }, 'x', nowMs) })],
    ['a token by another keyring', 'invalid_grant', () => ({ subject_token_type: ACCESS, subject_token: signToken(parseKeyring(JSON.stringify(generateKeyring())), { tenantId: town.tenantId, kind: 'person', subject: chief.id, clientId: null, scopes: SCOPE_NAMES }, 'x', nowMs) })],
  ])('%s: %s', async (_, error, wrong) => {
    expect(await exchange(mini, wrong())).toEqual({ status: 400, body: { error, error_description: expect.stringMatching(/[\u4e00-\u9fff]/) } })
  })

  test.each<[string, () => App]>([
    ['a wrong secret', () => ({ ...mini, clientSecret: 'wrong' })],
    ['an unknown app', () => ({ ...mini, clientId: 'nobody' })],
    ['the public client', () => ({ id: '', clientId: 'swagger-ui', clientSecret: '' })],
    ['another app’s secret', () => ({ ...mini, clientSecret: rival.clientSecret })],
  ])('%s is refused', async (_, by) => {
    expect(await exchange(by())).toMatchObject({ status: 401, body: { error: 'invalid_client' } })
  })
})

describe('what an app files for a resident', () => {
  test('is the resident’s: he sees and withdraws it, through this app only', async () => {
    const [mine, theirs] = [(await exchange(mini, external('oFiler'))).body.access_token, (await exchange(rival, external('oFiler'))).body.access_token] as [string, string]
    const { status, body: filed } = await call(origin, mine, 'POST', '/v1/requests', { item: 'companionship', title: '想学手机拍照', node: 'U' })
    expect([status, filed.state]).toEqual([201, 'filed'])
    const { rows } = await database.owner.query('SELECT r."filerId", r."filerClientId", e."actorId", e."clientId" FROM request r JOIN event e ON e."requestId" = r.id WHERE r.id = $1', [filed.id])
    const resident = await idOf(exchange(mini, external('oFiler')))
    expect(rows).toEqual([{ filerId: resident, filerClientId: mini.id, actorId: resident, clientId: mini.id }])
    expect((await call(origin, mine, 'GET', `/v1/requests/${filed.number}`)).body.allowed).toContain('withdraw')
    const neighbour = (await exchange(mini, external('oNeighbour'))).body.access_token as string
    for (const other of [theirs, neighbour]) expect((await call(origin, other, 'GET', `/v1/requests/${filed.id}`)).status).toBe(404)
    expect((await call(origin, mine, 'POST', `/v1/requests/${filed.id}/withdraw`, {})).body.state).toBe('withdrawn')
  })
})

describe('provider:appId:openId', () => {
  test.each([
    ['wechat:wx1:oA-b_9', { provider: 'wechat', appId: 'wx1', openId: 'oA-b_9' }],
    ['alipay:2021:2088:with:colons', { provider: 'alipay', appId: '2021', openId: '2088:with:colons' }],
    ['wechat', undefined], ['::', undefined], ['wechat:wx1:李', undefined], ['we/chat:wx1:o', undefined],
  ])('%s', (token, parsed) => expect(parseExternalUser(token)).toEqual(parsed))
})
