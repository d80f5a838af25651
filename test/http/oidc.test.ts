import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { createClient } from '../../src/service/clients.ts'
import { createPerson } from '../../src/service/people.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { call, keyring, tokenFor } from '../processes.ts'
import { askToken, openDoor, openIssuer, type Door, type Issuer } from './identity.ts'

/** 统一身份认证 against an issuer that really runs: its discovery, its keys, its tokens. */

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const ID_TOKEN = 'urn:ietf:params:oauth:token-type:id_token'
let database: TestDatabase
let town: TestPlace, elsewhere: TestPlace
let door: Door
let issuer: Issuer, rogue: Issuer
let chief: PersonActor, wang: string
let provider: string
const nowMs = Date.now()

beforeAll(async () => {
  database = await freshDatabase()
  ;[town, elsewhere] = [await testPlace(database, {}, 'ONE'), await testPlace(database, {}, 'TWO')]
  chief = await town.person({ at: 'S', can: ['secure'] })
  wang = await town.inside(() => createPerson(database.db, keyring, { name: '王示例', login: 'wang' }))
  ;[issuer, rogue, door] = await Promise.all([openIssuer(() => nowMs), openIssuer(() => nowMs), openDoor(database.db, { clock: () => nowMs })])
  const entered = await enter({ name: '区统一身份认证', issuer: issuer.url, audience: 'wish-wall' })
  if (entered.status !== 201) throw new Error(JSON.stringify(entered.body))
  provider = entered.body.id as string
})
afterAll(async () => {
  await Promise.all([door.close(), issuer.close(), rogue.close()])
  await database.drop()
})

const enter = (body: object, actor = chief) => call(door.origin, tokenFor(town.tenantId, actor.id), 'POST', '/v1/identity-providers', body)
const change = (body: object) => call(door.origin, tokenFor(town.tenantId, chief.id), 'POST', `/v1/identity-providers/${provider}`, body)
const signIn = (subject_token: string, more: Record<string, string> = {}) =>
  askToken(door.origin, { grant_type: EXCHANGE, client_id: 'swagger-ui', tenant: 'ONE', subject_token_type: ID_TOKEN, subject_token, ...more })
const seconds = () => Math.floor(nowMs / 1000)
const me = { preferred_username: 'wang' }

describe('登录', () => {
  test('a person of the issuer comes in as himself', async () => {
    const { status, body } = await signIn(await issuer.token(me))
    expect([status, body]).toEqual([200, expect.objectContaining({ token_type: 'Bearer', issued_token_type: 'urn:ietf:params:oauth:token-type:access_token' })])
    expect(body.refresh_token).toBeUndefined()
    expect((await call(door.origin, body.access_token, 'GET', '/v1/me')).body).toMatchObject({ id: wang, kind: 'person', login: 'wang' })
    expect((await signIn(await issuer.token(me), { subject_token_type: 'urn:ietf:params:oauth:token-type:jwt' })).status).toBe(200)
    expect((await signIn(await issuer.token({ ...me, aud: ['wish-wall'], nonce: 'n-1' }), { nonce: 'n-1' })).status).toBe(200)
  })

  test('through an app, with no more than both may', async () => {
    const { clientSecret } = await town.inside(() => createClient(database.db, { clientId: 'portal', name: '门户', scopes: ['requests:read'] }))
    const { status, body } = await signIn(await issuer.token(me), { client_id: 'portal', client_secret: clientSecret })
    expect([status, body.scope]).toEqual([200, 'requests:read'])
    expect((await signIn(await issuer.token(me), { client_id: 'portal', client_secret: 'wrong' })).body.error).toBe('invalid_client')
  })

  test('whoever has no account here is not let in, and nobody is made', async () => {
    const people = async () => (await database.owner.query('SELECT count(*)::int AS n FROM person')).rows[0].n as number
    const before = await people()
    for (const claims of [{ preferred_username: 'stranger' }, {}, { preferred_username: 7 }, { preferred_username: ['wang'] }, { preferred_username: "wang' OR 1=1" }, { preferred_username: '' }, { preferred_username: 'wang\0' }]) {
      expect(await signIn(await issuer.token(claims)), JSON.stringify(claims)).toMatchObject({ status: 403, body: { code: 'person-not-registered' } })
    }
    await database.owner.query('UPDATE person SET "suspendedAt" = now() WHERE id = $1', [wang])
    expect((await signIn(await issuer.token(me))).status).toBe(403)
    await database.owner.query('UPDATE person SET "suspendedAt" = NULL WHERE id = $1', [wang])
    expect(await people()).toBe(before)
  })

  test.each<[string, () => Promise<string> | string, Record<string, string>?]>([
    ['of another issuer', () => rogue.token(me)],
    ['that claims this issuer, by a key of its own', () => rogue.token({ ...me, iss: issuer.url })],
    ['by a key of the same id', () => issuer.token(me, { by: 'stranger' })],
    ['for somebody else', () => issuer.token({ ...me, aud: 'another-app' })],
    ['for several, made out to another', () => issuer.token({ ...me, aud: ['wish-wall', 'another-app'], azp: 'another-app' })],
    ['for several, made out to nobody', () => issuer.token({ ...me, aud: ['wish-wall', 'another-app'] })],
    ['that has expired', () => issuer.token({ ...me, iat: seconds() - 500, exp: seconds() - 61 })],
    ['not good yet', () => issuer.token({ ...me, nbf: seconds() + 120 })],
    ['from the future', () => issuer.token({ ...me, iat: seconds() + 600, exp: seconds() + 900 })],
    ['older than ten minutes', () => issuer.token({ ...me, iat: seconds() - 700, exp: seconds() + 3600 })],
    ['without an end', () => issuer.token({ ...me, exp: undefined })],
    ['without a beginning', () => issuer.token({ ...me, iat: undefined })],
    ['without a subject', () => issuer.token({ ...me, sub: undefined })],
    ['with another nonce', () => issuer.token({ ...me, nonce: 'n-1' }), { nonce: 'n-2' }],
    ['without the nonce', () => issuer.token(me), { nonce: 'n-2' }],
    ['unsigned', async () => `${Buffer.from('{"alg":"none"}').toString('base64url')}.${(await issuer.token(me)).split('.')[1]}.`],
    ['that names a critical extension', () => issuer.token(me, { header: { crit: ['x-wall'], 'x-wall': 1 } })],
    ['cut', async () => (await issuer.token(me)).slice(0, -3)],
    ['that is none', () => 'x.y.z'],
    ['that is empty', () => ' '],
  ])('a token %s is refused', async (_, token, more) => {
    expect(await signIn(await token(), more)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } })
  })

  test('is of one tenant: elsewhere the issuer is nobody', async () => {
    await elsewhere.inside(() => createPerson(database.db, keyring, { name: '王示例', login: 'wang' }))
    expect((await signIn(await issuer.token(me), { tenant: 'TWO' })).body.error).toBe('invalid_grant')
  })
})

describe('签发方', () => {
  test('may change its keys: the new are found, the former no longer believed, and strangers do not make us ask', async () => {
    await issuer.rotate()
    expect((await signIn(await issuer.token(me))).status).toBe(200)
    expect((await signIn(await issuer.token(me, { by: 'former' }))).status).toBe(400)
    const asked = issuer.asked()
    for (let n = 0; n < 10; n++) expect((await signIn(await issuer.token(me, { kid: `unknown-${n}` }))).status).toBe(400)
    expect(issuer.asked() - asked).toBeLessThanOrEqual(1)
  })

  test('switched off counts', async () => {
    expect((await change({ enabled: false })).body.enabled).toBe(false)
    expect((await signIn(await issuer.token(me))).status).toBe(400)
    expect((await change({ enabled: true, claim: 'employee' })).status).toBe(200)
    expect((await signIn(await issuer.token(me))).status).toBe(403)
    expect((await signIn(await issuer.token({ employee: 'wang' }))).status).toBe(200)
    await change({ claim: 'preferred_username' })
  })

  test.each<[string, NonNullable<Issuer['answer']>]>([
    ['answers 500', { status: 500 }],
    ['answers no JSON', { body: '<html>' }],
    ['says to be another', { says: { issuer: 'https://elsewhere.example.cn' } }],
    ['answers without end', { body: ' '.repeat(300_000) }],
    ['has its keys at the metadata service', { says: { jwks_uri: 'http://169.254.169.254/keys' } }],
    ['has its keys in a file', { says: { jwks_uri: 'file:///etc/passwd' } }],
    ['redirects', { status: 302 }],
  ])('one that %s is not entered', async (_, answer) => {
    rogue.answer = answer
    expect(await enter({ name: 'x', issuer: rogue.url, audience: 'x' })).toMatchObject({ status: 422, body: { code: 'issuer-unusable' } })
    rogue.answer = undefined
  })

  test('is entered by the security administrator of the whole tenant, in person, once', async () => {
    const body = { name: 'x', issuer: rogue.url, audience: 'x' }
    for (const actor of [await town.person({ at: 'S', can: ['configure'] }), await town.person({ at: 'C', can: ['secure'] }), await town.person()]) expect((await enter(body, actor)).status).toBe(403)
    expect((await enter({ ...body, issuer: 'http://192.168.1.1' })).status).toBe(422)
    expect((await enter({ ...body, issuer: 'ftp://sso.example.cn' })).status).toBe(400)
    expect((await enter(body)).status).toBe(201)
    expect((await enter(body)).body).toMatchObject({ code: 'validation-failed', errors: [{ pointer: '/audience' }] })
  })
})
