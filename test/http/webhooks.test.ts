import { pino } from 'pino'
import type { FastifyInstance } from 'fastify'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { EVENT_TYPES } from '../../src/domain/derive.ts'
import { VERBS } from '../../src/domain/machine.ts'
import { SCOPE_NAMES } from '../../src/domain/scopes.ts'
import { buildApp } from '../../src/http/app.ts'
import { authentication } from '../../src/http/auth.ts'
import { eventCatalogueRoutes, webhookOperations } from '../../src/http/routes/event-catalogue.ts'
import { EventSchema, eventRoutes } from '../../src/http/routes/events.ts'
import { webhookRoutes } from '../../src/http/routes/webhooks.ts'
import { startSender } from '../../src/jobs/deliver.ts'
import { openEgress } from '../../src/outside/egress.ts'
import { relayOnce } from '../../src/service/relay.ts'
import { file } from '../../src/service/requests.ts'
import { signToken } from '../../src/service/tokens.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { eventually, keyring } from '../processes.ts'
import { startReceiver, type Receiver } from '../receiver.ts'
import { expectProblem } from './expect-problem.ts'

/** The whole way over HTTP: the call, the endpoint, the message, the log. Answers are checked against their schemas. */

let database: TestDatabase
let town: TestPlace
let receiver: Receiver
let app: FastifyInstance
let resident: PersonActor, admin: PersonActor
let mine: string, theirs: string
const egress = openEgress({ allowLoopback: true, allowCidrs: [] })
const strict = openEgress({ allowLoopback: false, allowCidrs: [] })

const build = (guard = egress) => {
  const deps = { db: database.db, keyring, egress: guard, clock: Date.now }
  return buildApp({ log: pino({ level: 'silent' }), checkAnswers: true, webhooks: webhookOperations, routes: [authentication(deps), eventRoutes(deps), webhookRoutes(deps), eventCatalogueRoutes] })
}

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database)
  ;[resident, admin] = await Promise.all([town.person(), town.person({ at: 'C', can: ['administer'] })])
  ;[mine, theirs] = (await Promise.all([town.app(), town.app()])).map(({ clientId }) => clientId) as [string, string]
  await database.owner.query('UPDATE client SET scopes = $1', [SCOPE_NAMES])
  receiver = await startReceiver()
  app = build()
})
afterAll(async () => {
  await app.close()
  await Promise.all([egress.close(), strict.close(), receiver.close()])
  await database.drop()
})

const token = (client: string, scopes = SCOPE_NAMES) => signToken(keyring, { tenantId: town.tenantId, kind: 'app', subject: client, clientId: client, scopes }, 'test', Date.now())
const call = (method: 'GET' | 'POST', url: string, payload?: object, bearer = token(mine), to = app) =>
  to.inject({ method, url: `/v1/webhook-endpoints${url}`, headers: { authorization: `Bearer ${bearer}` }, ...(payload ? { payload } : {}) })
const post = (url: string, payload?: object) => call('POST', url, payload)
const get = (url: string) => call('GET', url)
const ok = async (answer: ReturnType<typeof call>, status = 200) => {
  const { statusCode, body, headers } = await answer
  expect({ statusCode, body }).toMatchObject({ statusCode: status })
  return { body: JSON.parse(body) as Record<string, any>, headers }
}
const create = async (more: object = {}) => (await ok(post('', { url: receiver.url('ok'), eventTypes: ['request.*'], ...more }), 201)).body
const wish = () => town.inside(() => file(database.db, { item: 'companionship', title: '想有人陪我下棋', node: 'U' }, resident))

async function deliverAll(): Promise<void> {
  while ((await relayOnce(database.db)).moved > 0);
  const sender = startSender({ db: database.db, keyring, egress, log: pino({ level: 'error' }) })
  await eventually(async () => {
    await sender.wake()
    const { rows } = await database.owner.query(`SELECT FROM webhook_endpoint e WHERE "leasedUntil" IS NOT NULL
      OR EXISTS (SELECT FROM webhook_delivery d WHERE d."endpointId" = e.id AND (state = 'delivering' OR ("nextAt" <= wishwall_now() AND (e.status = 'enabled' OR position IS NULL))))
      OR (e.status = 'enabled' AND "fromPosition" < (SELECT max(position) FROM feed f WHERE f."tenantId" = e."tenantId"))`)
    return rows.length === 0
  })
  await sender.stop()
}

describe('an endpoint', () => {
  test('is made, read, changed, paused, resumed, disabled', async () => {
    const { body, headers } = await ok(post('', { url: receiver.url('ok'), eventTypes: ['request.*'], node: 'P' }), 201)
    const { id, secret, ...rest } = body
    expect(headers.location).toBe(`/v1/webhook-endpoints/${id}`)
    expect(secret).toMatch(/^whsec_/)
    expect((await ok(get(`/${id}`))).body).toEqual({ id, ...rest })
    expect((await ok(post(`/${id}`, { url: receiver.url('ok', 'other'), ordered: true, ratePerSecond: 10 }))).body).toMatchObject({ url: receiver.url('ok', 'other'), ordered: true, ratePerSecond: 10, eventTypes: ['request.*'] })
    expect((await ok(post(`/${id}/pause`))).body).toMatchObject({ status: 'paused' })
    expect((await ok(post(`/${id}/resume`))).body).toMatchObject({ status: 'enabled' })
    expect((await ok(post(`/${id}/disable`))).body).toMatchObject({ status: 'disabled', disabledReason: 'by-owner' })
    expectProblem(await post(`/${id}/pause`), 'endpoint-disabled')
    expect((await ok(post(`/${id}/resume`, { missed: true }))).body).toMatchObject({ status: 'enabled', disabledReason: null })
    expectProblem(await post(`/${id}/resume`, { missing: true }), 'validation-failed')
    const rotated = (await ok(post(`/${id}/rotate-secret`))).body
    expect(rotated.secret).not.toBe(secret)
    expect(rotated.secrets).toMatchObject([{ expiresAt: null }, { expiresAt: expect.any(String) }])
  })

  test.each<[string, object, string]>([
    ['a URL of a private address', { url: 'https://10.0.0.1/hook' }, '/url'],
    ['a URL of this machine', { url: 'http://127.0.0.1/hook' }, '/url'],
    ['a URL of the metadata service', { url: 'https://169.254.169.254/latest' }, '/url'],
    ['no URL', { url: 'hook' }, '/url'],
    ['an unknown type', { eventTypes: ['request.eaten'] }, '/eventTypes/0'],
    ['no types', { eventTypes: [] }, '/eventTypes'],
    ['a short secret', { secret: 'whsec_AAAA' }, '/secret'],
    ['a secret that is none', { secret: 'geheim' }, '/secret'],
    ['an unknown field', { headers: {} }, '/headers'],
    ['a rate of none', { ratePerSecond: 0 }, '/ratePerSecond'],
  ])('with %s is refused where it is', async (_, wrong, pointer) => {
    const guarded = build(strict)
    const refused = await call('POST', '', { url: 'https://1.1.1.1/', eventTypes: ['*'], ...wrong }, token(mine), guarded)
    expectProblem(refused, 'validation-failed')
    expect(refused.json<{ errors: { pointer: string }[] }>().errors.map((error) => error.pointer)).toEqual([pointer])
    await guarded.close()
  })

  test('is nobody else\'s business', async () => {
    const { id } = await create()
    expectProblem(await call('GET', `/${id}`, undefined, token(theirs)), 'not-found')
    expectProblem(await call('POST', `/${id}/rotate-secret`, undefined, token(theirs)), 'not-found')
    expectProblem(await call('POST', `/${id}/test`, undefined, token(theirs)), 'not-found')
    expectProblem(await call('POST', '', { url: 'https://1.1.1.1/', eventTypes: ['*'] }, token(mine, ['events:read'])), 'forbidden')
    expect((await ok(call('GET', '', undefined, token(theirs)))).body.data).toEqual([])
    const person = signToken(keyring, { tenantId: town.tenantId, kind: 'person', subject: admin.id, clientId: null, scopes: SCOPE_NAMES }, 'test', Date.now())
    const { body: own } = await ok(call('POST', '', { url: receiver.url('ok'), eventTypes: ['*'], node: 'B' }, person), 201)
    expect(own.app).toBeNull()
    expect((await ok(call('GET', '', undefined, person))).body.data.map((each: { id: string }) => each.id)).toContain(own.id)
    expectProblem(await call('GET', `/${id}`, undefined, person), 'not-found')
  })
})

test('a message arrives, is in the log with every attempt, is sent again, tested and replayed', async () => {
  const { id, secret } = await create({ url: receiver.url('flaky', 'log') })
  receiver.trust('log', secret)
  const { number } = await wish()
  await deliverAll()
  await database.owner.query(`UPDATE webhook_delivery SET "nextAt" = wishwall_now() WHERE state = 'pending'`)
  await deliverAll()
  await database.owner.query(`UPDATE webhook_delivery SET "nextAt" = wishwall_now() WHERE state = 'pending'`)
  await deliverAll()
  expect(receiver.of('log').map(({ verified, before }) => ({ verified, before }))).toEqual([0, 1, 2].map((before) => ({ verified: true, before })))
  const { data: [delivery] } = (await ok(get(`/${id}/deliveries?state=delivered`))).body
  expect(receiver.of('log')[0]!.id).toBe(receiver.of('log')[0]!.body.id)
  expect(delivery).toMatchObject({ id: receiver.of('log')[0]!.id, type: 'request.filed', event: { number, seq: 1 }, attempts: [{ status: 500, excerpt: '' }, { status: 500 }, { status: 204, reason: null }] })
  expect((await ok(get(`/${id}/deliveries?state=pending,exhausted`))).body.data).toEqual([])
  expect((await ok(get(`/${id}/deliveries/${delivery.id}`))).body).toEqual(delivery)

  expect((await ok(post(`/${id}/deliveries/${delivery.id}/redeliver`), 202)).body).toMatchObject({ id: delivery.id, state: 'pending', endedAt: null })
  const trial = (await ok(post(`/${id}/test`), 202)).body
  await deliverAll()
  expect(receiver.of('log').filter((heard) => heard.id === delivery.id)).toHaveLength(4)
  expect(receiver.of('log').find((heard) => heard.id === trial.id)).toMatchObject({ verified: true, body: { type: 'webhook.test', endpoint: id } })

  const { rows: [times] } = await database.owner.query<{ from: Date; to: Date }>(`SELECT wishwall_now() - interval '1 hour' AS from, wishwall_now() AS to`)
  expect((await ok(post(`/${id}/replay`, times!), 202)).body).toEqual({ replayed: 1, hasMore: false })
  expect((await ok(post(`/${id}/replay`, times!), 202)).body).toEqual({ replayed: 0, hasMore: false })
  expectProblem(await post(`/${id}/replay`, { from: times!.to, to: times!.from }), 'validation-failed', { errors: [expect.objectContaining({ pointer: '/to' })] })
  await database.owner.query('DELETE FROM feed')
  expectProblem(await post(`/${id}/deliveries/${delivery.id}/redeliver`), 'event-erased')
})

test('what is refused at the door is refused at sending too, and said in the log', async () => {
  const { id } = await create({ url: receiver.url('ok', 'closed') })
  await post(`/${id}/test`)
  const sender = startSender({ db: database.db, keyring, egress: strict, log: pino({ level: 'error' }) })
  const attempts = await eventually(async () => {
    await sender.wake()
    const { data: [trial] } = (await ok(get(`/${id}/deliveries`))).body
    return trial.state === 'exhausted' && trial.attempts
  })
  await sender.stop()
  expect(attempts).toMatchObject([{ status: null, reason: 'scheme', ms: 0 }])
  expect(receiver.of('closed')).toEqual([])
})

describe('what is documented', () => {
  test('every event type has a schema and an example that fits it', async () => {
    const answer = await app.inject('/v1/event-types')
    const { data } = answer.json<{ data: { type: string; name: string; schema: Record<string, any>; example: Record<string, any> }[] }>()
    expect(data.map(({ type }) => type)).toEqual([...EVENT_TYPES.map(({ type }) => type), 'webhook.test'])
    for (const { type, schema, example } of data) {
      expect(schema.properties.type).toMatchObject({ const: type })
      expect(Object.keys(example).sort()).toEqual([...schema.required].sort())
      if (type === 'webhook.test') continue
      expect(EventSchema.safeParse(example).success, type).toBe(true)
      expect(schema.properties.state.enum).toContain(example.state)
      expect(schema.properties.from.enum ?? [null]).toContain(example.from)
    }
    expect(data.find(({ type }) => type === 'request.claimed')!.schema.properties).toMatchObject({ from: { enum: ['open'] }, state: { enum: ['open', 'in_progress'] } })
    expect(data[0]).toMatchObject({ name: VERBS.file.zh, example: { from: null, state: 'filed', version: 1 } })
  })

  test('the document has a webhook for each, and the staff\'s has none', async () => {
    const whole = (await app.inject('/openapi.json')).json<{ webhooks: Record<string, { post: { operationId: string; requestBody: { content: { 'application/json': { schema: object } } } } }>; components: { schemas: object }; paths: Record<string, Record<string, { operationId: string }>> }>()
    expect(Object.keys(whole.webhooks)).toEqual([...EVENT_TYPES.map(({ type }) => type), 'webhook.test'])
    expect(whole.webhooks['request.filed']!.post.requestBody.content['application/json'].schema).toEqual({ $ref: '#/components/schemas/Event' })
    expect(whole.components.schemas).toHaveProperty('Event')
    const ids = [...Object.values(whole.webhooks), ...Object.values(whole.paths)].flatMap((item) => Object.values(item as Record<string, { operationId: string }>).map(({ operationId }) => operationId))
    expect(new Set(ids).size).toBe(ids.length)
    expect((await app.inject('/openapi/staff.json')).json()).not.toHaveProperty('webhooks')
  })
})
