import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createPerson } from '../../src/service/people.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { call, keyring, startProcess, tokenFor, type Running } from '../processes.ts'
import { askToken } from './identity.ts'

/** Two real api processes: what one takes away, the other no longer gives, within five seconds. */

const MOST_MS = 5_000
const PASSWORD = 'a long password'
let database: TestDatabase
let town: TestPlace
let here: Running, there: Running
let chief: string

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database, {}, 'ONE')
  chief = tokenFor(town.tenantId, (await town.person({ at: 'S', can: ['view', 'administer'] })).id)
  const env = { DATABASE_URL: database.url, WISHWALL_RATE_FAILURES_PER_MINUTE: '1000000' }
  ;[here, there] = await Promise.all([startProcess('api', env), startProcess('api', env)])
}, 120_000)
afterAll(async () => {
  await Promise.all([here?.stop(), there?.stop()])
  await database?.drop()
})

const post = (path: string, body: object = {}, token = chief) => call(here.origin, token, 'POST', path, body)
const status = async (token: string, path = '/v1/me', at = there) => (await call(at.origin, token, 'GET', path)).status
/** It must have been good there just before, or nothing is shown. */
async function ends(look: () => Promise<number>, good: number, over: number, revoke: () => Promise<unknown>): Promise<void> {
  expect(await look()).toBe(good)
  await revoke()
  const since = performance.now()
  while ((await look()) !== over) {
    if (performance.now() - since > MOST_MS) throw new Error(`still ${await look()} after ${MOST_MS} ms`)
    await wait(50)
  }
  // And stays so.
  expect(await look()).toBe(over)
}
const newApp = async (clientId: string): Promise<{ clientSecret: string; token: string }> => {
  const { body } = await post('/v1/clients', { clientId, name: 'x', scopes: ['requests:read', 'directory:read'] })
  const { body: { access_token } } = await askToken(there.origin, { grant_type: 'client_credentials', client_id: clientId, client_secret: body.clientSecret as string })
  return { clientSecret: body.clientSecret as string, token: access_token as string }
}
const newPerson = async (login: string) => {
  const id = await town.inside(() => createPerson(database.db, keyring, { name: '王示例', login, password: PASSWORD, nodeId: town.node.C }))
  const { body } = await askToken(there.origin, { grant_type: 'password', username: login, password: PASSWORD })
  return { id, token: body.access_token as string, refresh: body.refresh_token as string }
}

describe('takes effect in the other process', () => {
  test('an app', async () => {
    const { token } = await newApp('an-app')
    await ends(() => status(token), 200, 401, () => post('/v1/clients/an-app/revoke'))
  })

  test('a scope of an app', async () => {
    const { token } = await newApp('a-scope')
    await ends(() => status(token, '/v1/items'), 200, 403, () => post('/v1/clients/a-scope', { scopes: ['requests:read'] }))
  })

  test('a secret', async () => {
    const { clientSecret } = await newApp('a-secret')
    const log = async () => (await askToken(there.origin, { grant_type: 'client_credentials', client_id: 'a-secret', client_secret: clientSecret })).status
    await ends(log, 200, 401, () => post('/v1/clients/a-secret/rotate-secret', { overlapHours: 0 }))
  })

  test('an API key', async () => {
    await newApp('a-key')
    const { body: { id, key } } = await post('/v1/clients/a-key/keys', { name: 'x' })
    await ends(() => status(key as string), 200, 401, () => post(`/v1/clients/a-key/keys/${id as string}/revoke`))
  })

  test('a person', async () => {
    const { id, token } = await newPerson('suspended')
    await ends(() => status(token), 200, 401, () => post(`/v1/people/${id}/suspend`))
  })

  test('a duty', async () => {
    const { id, token } = await newPerson('official')
    await database.owner.query(`INSERT INTO role ("tenantId", code, name, capabilities) VALUES ($1, 'keeper', 'keeper', '{administer}')`, [town.tenantId])
    const { body: duty } = await post('/v1/duties', { person: id, role: 'keeper', node: 'S' })
    await wait(2_100)
    await ends(() => status(token, '/v1/clients'), 200, 403, () => post(`/v1/duties/${duty.id as string}/end`))
  })

  test('a login, by its refresh token, when the password is reset', async () => {
    const { id, refresh } = await newPerson('reset')
    const again = async () => (await askToken(there.origin, { grant_type: 'refresh_token', refresh_token: refresh })).status
    await ends(again, 200, 400, () => post(`/v1/people/${id}/reset-password`))
  })

  test('a lock-out, at once', async () => {
    await newPerson('locked')
    const guess = (at: Running, password: string) => askToken(at.origin, { grant_type: 'password', username: 'locked', password })
    for (let tries = 0; tries < 5; tries++) for (const at of [here, there]) expect((await guess(at, 'wrong')).status).toBe(400)
    for (const at of [here, there]) expect((await guess(at, PASSWORD)).status).toBe(429)
    expect((here.log() + there.log()).match(/locked out after failed logins/g)).toHaveLength(1)
    expect((await post('/v1/people/locked/unlock')).status).toBe(200)
    for (const at of [there, here]) expect((await guess(at, PASSWORD)).status).toBe(200)
  })
})
