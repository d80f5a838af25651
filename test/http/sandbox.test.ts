import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { SHIPPED_ROLES } from '../../src/domain/shipped.ts'
import { webhookRoutes } from '../../src/http/routes/webhooks.ts'
import { notificationRoutes } from '../../src/http/routes/notifications.ts'
import { startSender } from '../../src/jobs/deliver.ts'
import { openEgress, type Egress } from '../../src/outside/egress.ts'
import { notifyOnce } from '../../src/service/notifications.ts'
import { relayOnce } from '../../src/service/relay.ts'
import { file } from '../../src/service/requests.ts'
import { sweepOnce } from '../../src/service/sweep.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { call, eventually, keyring, tokenFor, type Answer } from '../processes.ts'
import { startReceiver } from '../receiver.ts'
import { askToken, openDoor, type Door } from './identity.ts'

/** 沙箱: what is tried is seen by who tries it, and by nobody and nothing else. */

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const SCOPES = ['requests:read', 'requests:write', 'events:read', 'directory:read', 'webhooks:manage']
const WORDS = '沙箱里的字句'
let database: TestDatabase
let town: TestPlace
let egress: Egress
let door: Door
let chief: PersonActor, staff: PersonActor
let made: Record<string, any>
let app: string

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database, {}, 'ONE')
  await town.organisation('WY')
  await database.owner.query(`UPDATE organisation SET kind = 'branch' WHERE code = 'BRANCH'`)
  for (const { code, name, capabilities } of SHIPPED_ROLES) await database.owner.query('INSERT INTO role ("tenantId", code, name, capabilities) VALUES ($1, $2, $3, $4)', [town.tenantId, code, name, capabilities])
  ;[chief, staff] = await Promise.all([town.person({ at: 'S', can: ['view', 'administer'] }), town.person({ at: 'S', can: ['view', 'dispatch', 'publish', 'approve', 'supervise', 'follow_up', 'file_for'] })])
  egress = openEgress({ allowLoopback: true, allowCidrs: [] })
  const { db } = database
  door = await openDoor(db, { more: [webhookRoutes({ db, keyring, egress }), notificationRoutes({ db })] })
  const answer = await call(door.origin, tokenFor(town.tenantId, chief.id), 'POST', '/v1/clients', { clientId: 'trial', name: '试用', scopes: SCOPES, sandbox: true })
  if (answer.status !== 201) throw new Error(JSON.stringify(answer.body))
  made = answer.body
  // The tenant is the real one: which sandbox is meant is known by the app.
  app = await tokenOf()
})
afterAll(async () => {
  await door.close()
  await egress.close()
  await database.drop()
})

const tokenOf = async (): Promise<string> => {
  const { body } = await askToken(door.origin, { grant_type: 'client_credentials', client_id: 'trial', client_secret: made.clientSecret as string })
  return body.access_token as string
}
const actFor = async (subject_token: string): Promise<string> => {
  const { status, body } = await askToken(door.origin, {
    grant_type: EXCHANGE, client_id: 'trial', client_secret: made.clientSecret as string, subject_token_type: 'urn:wish-wall:external-user', subject_token,
  })
  expect([status, body]).toEqual([200, expect.anything()])
  return body.access_token as string
}
const get = (token: string, path: string): Promise<Answer> => call(door.origin, token, 'GET', path)
const post = (token: string, path: string, body: object = {}): Promise<Answer> => call(door.origin, token, 'POST', path, body)
const pump = async () => {
  while ((await relayOnce(database.db)).moved > 0);
  while ((await notifyOnce(database.db)) > 0);
}

describe('试用', () => {
  test('is registered as what it is', () => expect(made).toMatchObject({ clientId: 'trial', sandbox: true, clientSecret: expect.any(String) }))

  test('goes the whole way: filed, accepted, placed, claimed, done and rated, with events of its own', async () => {
    const filed = await post(app, '/v1/requests', { item: 'companionship', title: WORDS, description: WORDS, node: 'U' })
    expect(filed).toMatchObject({ status: 201, body: { number: expect.stringMatching(/^TEST-WX\d{8}-\d{6}$/) } })
    const { number, id } = filed.body
    const [secretary, member, caller] = [await actFor('sandbox:role:branch_secretary'), await actFor('sandbox:member:volunteer'), await actFor('sandbox:role:caller')]
    expect((await post(secretary, `/v1/requests/${number}/accept`)).body.state).toBe('accepted')
    expect((await post(secretary, `/v1/requests/${number}/dispatch`, { to: 'TEST-grid_worker' })).body.state).toBe('dispatched')
    const worker = await actFor('sandbox:role:grid_worker')
    expect((await post(worker, `/v1/requests/${number}/sign`)).body.state).toBe('in_progress')
    expect((await post(worker, `/v1/requests/${number}/complete`, { outcome: '办了', result: 'realised' })).body.state).toBe('completed')
    expect((await post(caller, `/v1/requests/${number}/follow-up`, { solved: 'solved', satisfaction: 'satisfied' })).body.state).toBe('closed')
    expect((await get(app, `/v1/requests/${id}`)).body).toMatchObject({ number, state: 'closed' })
    await pump()
    const events = (await get(app, '/v1/events')).body.data as { number: string; type: string }[]
    expect(events.map(({ type }) => type)).toEqual(['request.filed', 'request.accepted', 'request.dispatched', 'request.signed', 'request.completed', 'request.followed-up'].map((type) => expect.stringContaining(type.slice(0, 12))))
    expect((await get(member, '/v1/me')).body.affiliations).toHaveLength(1)
  })

  test('is no resident’s or member of staff’s of the real street, and has none of its people', async () => {
    const { body } = await get(app, '/v1/people')
    expect(body.data.every(({ name }: { name: string }) => name === null || name.startsWith('沙'))).toBe(true)
    expect((await get(app, `/v1/people/${chief.id}`)).status).toBe(404)
    expect((await get(await actFor('sandbox:role:admin'), `/v1/people/${staff.id}`)).status).toBe(404)
    expect((await get(await actFor('wechat:wx1:resident'), '/v1/me')).body.kind).toBe('person')
  })

  test('its deadlines run, by the same clock', async () => {
    const { body: { id } } = await post(app, '/v1/requests', { item: 'companionship', title: WORDS, node: 'U' })
    await database.owner.query(`UPDATE deadline SET "nextAt" = now() - interval '1 minute', "dueAt" = now() - interval '1 minute' WHERE "requestId" = $1 AND "nextAt" IS NOT NULL`, [id])
    for (let round = 0; round < 20 && (await sweepOnce(database.db)).seen > 0; round++);
    const { rows } = await database.owner.query(`SELECT verb FROM event WHERE "requestId" = $1 ORDER BY seq`, [id])
    expect(rows.length).toBeGreaterThan(1)
  })

  test('its keys say what they are', async () => {
    const { body: { key } } = await post(tokenFor(town.tenantId, chief.id), '/v1/clients/trial/keys', { name: '试' })
    expect(key).toMatch(/^ww_test_/)
    expect((await get(key as string, '/v1/me')).body).toMatchObject({ kind: 'app', login: 'trial' })
    expect((await get(key as string, '/v1/requests')).body.data.length).toBeGreaterThan(0)
    const real = await post(tokenFor(town.tenantId, chief.id), '/v1/clients', { clientId: 'real', name: '真', scopes: SCOPES })
    expect(real.body.sandbox).toBe(false)
    expect((await post(tokenFor(town.tenantId, chief.id), '/v1/clients/real/keys', { name: '真' })).body.key).toMatch(/^ww_live_/)
  })
})

describe('此外谁也看不到', () => {
  test('every row of it is of another tenant, in every table there is: what keeps tenants apart keeps it apart', async () => {
    // Placed, so that a wall would show it if it could; and open.
    const secretary = await actFor('sandbox:role:branch_secretary')
    const { body: { number } } = await post(app, '/v1/requests', { item: 'companionship', title: WORDS, node: 'U' })
    await post(secretary, `/v1/requests/${number}/accept`)
    const { body: consented } = await post(app, `/v1/requests/${number}/consent`, { purpose: 'wall', by: 'self', how: 'app' })
    expect(consented.number).toBe(number)
    expect((await post(secretary, `/v1/requests/${number}/place`, { wallTitle: WORDS })).body.state).toBe('open')
    expect((await get(app, '/v1/wall')).body.data.map((card: { number: string }) => card.number)).toEqual([number])
    await pump()
    const { rows: tables } = await database.owner.query<{ table: string }>(`SELECT DISTINCT table_name AS table FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'tenantId'`)
    const filled: string[] = []
    for (const { table } of tables) {
      const { rows: [found] } = await database.owner.query(`SELECT count(*) FILTER (WHERE s."sandboxOfId" IS NOT NULL)::int AS tried, count(*) FILTER (WHERE t."tenantId" = $1 AND to_jsonb(t)::text LIKE '%' || $2 || '%')::int AS leaked
        FROM ${table} t LEFT JOIN tenant s ON s.id = t."tenantId"`, [town.tenantId, WORDS])
      expect(found.leaked, table).toBe(0)
      if (found.tried > 0) filled.push(table)
    }
    expect(filled).toEqual(expect.arrayContaining(['request', 'event', 'feed', 'text', 'wall_entry', 'assignment', 'deadline', 'notification', 'person', 'duty', 'client']))
    // Nothing at all was filed in the real street.
    for (const table of ['request', 'event', 'feed', 'outbox', 'wall_entry', 'notification', 'assignment', 'deadline', 'webhook_delivery', 'robot_message']) {
      expect((await database.owner.query(`SELECT count(*)::int AS n FROM ${table} WHERE "tenantId" = $1`, [town.tenantId])).rows[0].n, table).toBe(0)
    }
  })

  test.each(['/v1/requests', '/v1/events', '/v1/me/notifications'])('GET %s of the staff of the street is empty', async (path) => {
    expect((await get(tokenFor(town.tenantId, staff.id), path)).body.data).toEqual([])
  })

  test('nor are number, id, wall and candidates there for them, nor for another app, nor the feed', async () => {
    const { body: { data: [tried] } } = await get(app, '/v1/requests')
    const eyes = [tokenFor(town.tenantId, staff.id), tokenFor(town.tenantId, chief.id), tokenFor(town.tenantId, (await town.app()).clientId, 'app')]
    for (const token of eyes.slice(0, 2)) for (const ref of [tried.id, tried.number]) {
      expect((await get(token, `/v1/requests/${ref}`)).status).toBe(404)
      expect((await post(token, `/v1/requests/${ref}/accept`)).status).toBe(404)
    }
    for (const tenant of ['', '?tenant=ONE']) expect((await (await fetch(`${door.origin}/v1/wall${tenant}`)).json()) as object).toMatchObject({ data: [] })
    const { rows: [{ code }] } = await database.owner.query('SELECT code FROM tenant WHERE "sandboxOfId" IS NOT NULL')
    expect((await fetch(`${door.origin}/v1/wall?tenant=${code as string}`)).status).toBe(404)
    expect((await askToken(door.origin, { grant_type: 'password', tenant: code as string, username: 'TEST-admin', password: 'x' })).body.error).toBe('invalid_request')
  })

  test('webhooks of the street hear nothing of it, its own do, signed and under numbers of its own', async () => {
    const receiver = await startReceiver()
    try {
      const asChief = tokenFor(town.tenantId, chief.id)
      const register = async (token: string, name: string) => {
        const { status, body } = await post(token, '/v1/webhook-endpoints', { url: receiver.url('ok', name), eventTypes: ['request.*'] })
        expect(status).toBe(201)
        receiver.trust(name, body.secret as string)
      }
      await register(app, 'own')
      expect((await get(asChief, '/v1/webhook-endpoints')).body.data).toEqual([])
      await register(asChief, 'street')
      expect((await get(app, '/v1/webhook-endpoints')).body.data).toHaveLength(1)
      const { body: { number } } = await post(app, '/v1/requests', { item: 'companionship', title: WORDS, node: 'U' })
      expect((await post(await actFor('sandbox:role:dispatcher'), `/v1/requests/${number as string}/accept`)).status).toBe(200)
      const { number: real } = await town.inside(async () => file(database.db, { item: 'companionship', title: WORDS, node: 'U' }, await town.person()))
      await pump()
      const sender = startSender({ db: database.db, keyring, egress, log: pino({ level: 'error' }) })
      await eventually(async () => {
        await sender.wake()
        return receiver.heard.length >= 3
      })
      await sender.stop()
      const heard = (name: string) => receiver.of(name).map(({ verified, body: { number: of, type } }) => [verified, of, type])
      expect(heard('own').toSorted()).toEqual([[true, number, 'request.accepted'], [true, number, 'request.filed']])
      expect(heard('street')).toEqual([[true, real, 'request.filed']])
      expect(JSON.stringify(receiver.heard)).not.toContain(WORDS)
    } finally {
      await receiver.close()
    }
  })

  test('two sandboxes know nothing of each other', async () => {
    const { body: other } = await post(tokenFor(town.tenantId, chief.id), '/v1/clients', { clientId: 'rival', name: '他', scopes: SCOPES, sandbox: true })
    const { body: { access_token } } = await askToken(door.origin, { grant_type: 'client_credentials', client_id: 'rival', client_secret: other.clientSecret as string })
    for (const path of ['/v1/requests', '/v1/events']) expect((await get(access_token as string, path)).body.data).toEqual([])
  })
})

describe('登记', () => {
  test('is kept with the real ones: listed, changed, rotated, revoked', async () => {
    const as = tokenFor(town.tenantId, chief.id)
    expect((await get(as, '/v1/clients')).body.data.map(({ clientId, sandbox }: { clientId: string; sandbox: boolean }) => [clientId, sandbox])).toEqual(expect.arrayContaining([['trial', true], ['real', false]]))
    expect((await post(as, '/v1/clients', { clientId: 'trial', name: 'x', scopes: SCOPES })).body.errors[0].pointer).toBe('/clientId')
    expect((await post(as, '/v1/clients/trial', { name: '改名' })).body.name).toBe('改名')
    const { body: { clientSecret } } = await post(as, '/v1/clients/trial/rotate-secret', { overlapHours: 0 })
    expect((await askToken(door.origin, { grant_type: 'client_credentials', client_id: 'trial', client_secret: made.clientSecret as string })).status).toBe(401)
    expect((await askToken(door.origin, { grant_type: 'client_credentials', client_id: 'trial', client_secret: clientSecret as string })).status).toBe(200)
    expect((await post(as, '/v1/clients/trial/revoke')).status).toBe(200)
    expect((await get(app, '/v1/requests')).status).toBe(401)
    const elsewhere = await testPlace(database, {}, 'TWO')
    const stranger = await elsewhere.person({ at: 'S', can: ['administer'] })
    expect((await get(tokenFor(elsewhere.tenantId, stranger.id), '/v1/clients/rival')).status).toBe(404)
  })
})
