import { createPublicKey, verify } from 'node:crypto'
import { pino } from 'pino'
import { Webhook } from 'standardwebhooks'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { AppActor, PersonActor } from '../../src/domain/actor.ts'
import { matchesType, type Outcome } from '../../src/domain/webhook.ts'
import { startSender, type Sender } from '../../src/jobs/deliver.ts'
import { takeTurns } from '../../src/service/deliveries.ts'
import { eventOf, feed } from '../../src/service/events.ts'
import { generateKeyring, parseKeyring } from '../../src/service/keyring.ts'
import { relayOnce } from '../../src/service/relay.ts'
import { act, file } from '../../src/service/requests.ts'
import { bodyOf, listDeliveries, readDelivery, redeliver, replay, sendTest } from '../../src/service/webhook-log.ts'
import { disableRevoked, forgetOldDeliveries, record, resultOf, type Entry } from '../../src/service/webhook-results.ts'
import { createEndpoint, disableEndpoint, listEndpoints, pauseEndpoint, readEndpoint, resumeEndpoint, rotateSecret, updateEndpoint, type NewEndpoint } from '../../src/service/webhooks.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { eventually } from '../processes.ts'

/** Endpoints and deliveries on a real database; what stands in for the network answers as it is told. */

interface Request { url: string; headers: Record<string, string>; body: string }

const keyring = parseKeyring(JSON.stringify(generateKeyring()))
const ANSWERED = { kind: 'answer', status: 204, excerpt: '', ms: 3 } as const
const answered = (status: number, more: { retryAfter?: string; excerpt?: string } = {}): Outcome => ({ ...ANSWERED, status, ...more })

let database: TestDatabase
let town: TestPlace
let resident: PersonActor, staff: PersonActor, admin: PersonActor
let app: AppActor
let sent: Request[]
let answer: (request: Request) => Outcome | Promise<Outcome>
let sender: Sender | undefined

const egress = { check: async () => undefined, post: async (request: Request) => { sent.push(request); return answer(request) } }
const log = pino({ level: 'error' })
const deps = () => ({ db: database.db, keyring, egress })

beforeAll(async () => { database = await freshDatabase() })
afterAll(() => database.drop())
let round = 0
beforeEach(async () => {
  // a tenant for each test, and an empty desk
  await database.owner.query(`UPDATE webhook_endpoint SET status = 'disabled', "disabledReason" = 'by-owner', "disabledAt" = now(), "leasedUntil" = NULL WHERE status <> 'disabled'`)
  await database.owner.query(`UPDATE webhook_delivery SET state = 'disabled', "nextAt" = NULL, "endedAt" = now() WHERE "nextAt" IS NOT NULL`)
  town = await testPlace(database, {}, `T${round++}`)
  ;[resident, staff, admin] = await Promise.all([town.person(), town.person({ can: ['view', 'dispatch', 'publish'] }), town.person({ at: 'C', can: ['administer'] })])
  app = await town.app()
  sent = []
  answer = () => ANSWERED
})
afterEach(async () => {
  await sender?.stop()
  sender = undefined
})

const create = (input: Partial<NewEndpoint> = {}, actor: AppActor | PersonActor = app, place = town) =>
  place.inside(() => createEndpoint(deps(), { url: 'https://example.test/hook', eventTypes: ['*'], ...input }, actor))
const filed = (node: string = 'U', place = town, by = resident) => place.inside(() => file(database.db, { item: 'companionship', title: '想有人陪我下棋', node }, by))
const relayed = async () => { while ((await relayOnce(database.db)).moved > 0); }
const rows = async <T extends object>(sql: string, values: unknown[] = []): Promise<T[]> => (await database.owner.query<T>(sql, values)).rows
const deliveries = (id: string) => town.inside(() => listDeliveries(database.db, id, { limit: 100 }, app)).then(({ data }) => data.reverse())
const states = async (id: string) => (await deliveries(id)).map(({ state }) => state)
const endpoint = (id: string, actor: AppActor | PersonActor = app) => town.inside(() => readEndpoint(database.db, id, actor))
const problem = (code: string, pointer?: string) => expect.objectContaining({ code, ...(pointer ? { errors: [expect.objectContaining({ pointer })] } : {}) })
const now = () => database.owner.query(`UPDATE webhook_delivery SET "nextAt" = wishwall_now() WHERE state = 'pending'`)

/** What is to be sent now, by endpoint, to whoever takes the turns. */
const turns = async (most = 1000) => new Map((await takeTurns(database.db, { most, failing: true, besides: [] }, 10_000)).turns.map((turn) => [turn.endpointId, turn]))
/** As if their worker had died long ago. */
const leave = () => database.owner.query(`UPDATE webhook_endpoint SET "leasedUntil" = wishwall_now() WHERE "leasedUntil" IS NOT NULL`)

/** Relays and sends until nothing is due or under way. */
async function deliverAll(): Promise<void> {
  await relayed()
  sender ??= startSender({ db: database.db, keyring, egress, log })
  for (const until = performance.now() + 20_000; performance.now() < until;) {
    await sender.wake()
    const [left] = await rows<{ n: number }>(`SELECT count(*)::int AS n FROM webhook_endpoint e
      WHERE "leasedUntil" IS NOT NULL OR EXISTS (SELECT FROM webhook_delivery d WHERE d."endpointId" = e.id AND state = 'delivering')
        OR EXISTS (SELECT FROM webhook_delivery d WHERE d."endpointId" = e.id AND "nextAt" <= wishwall_now() AND (e.status = 'enabled' OR position IS NULL)
          AND NOT (e.ordered AND EXISTS (SELECT FROM webhook_delivery b WHERE b."endpointId" = e.id AND b.position < d.position AND b."nextAt" > wishwall_now())))
        OR (e.status = 'enabled' AND "fromPosition" < (SELECT max(position) FROM feed f WHERE f."tenantId" = e."tenantId")
          AND NOT (e.ordered AND EXISTS (SELECT FROM webhook_delivery d WHERE d."endpointId" = e.id AND "nextAt" > wishwall_now())))`)
    if (left!.n === 0) return
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  throw new Error('deliveries are left over')
}

describe('an endpoint', () => {
  test('gets its secret once, and it is kept sealed for that endpoint alone', async () => {
    const { id, secret, ...made } = await create({ node: 'P', description: '数据中台' })
    expect(made).toMatchObject({ eventTypes: ['*'], node: { code: 'P' }, status: 'enabled', algorithm: 'v1', ordered: false, ratePerSecond: null, app: app.clientId })
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/)
    expect(JSON.stringify(await endpoint(id))).not.toContain(secret)
    const [kept] = await rows<{ sealed: Buffer }>('SELECT sealed FROM webhook_secret WHERE "endpointId" = $1', [id])
    expect(kept!.sealed.includes(Buffer.from(secret!.slice(6), 'base64'))).toBe(false)
    expect(kept!.sealed.includes(secret!)).toBe(false)
    // moved to another endpoint it does not open, and nothing is sent unsigned
    const other = await create()
    await database.owner.query('UPDATE webhook_secret SET sealed = $1 WHERE "endpointId" = $2', [kept!.sealed, other.id])
    sender = startSender({ db: database.db, keyring, egress, log: pino({ level: 'silent' }) })
    await filed()
    await deliverAll()
    expect(sent).toHaveLength(1)
    expect(await deliveries(other.id)).toMatchObject([{ state: 'pending', attempts: [{ status: null, reason: 'unsigned' }] }])
  })

  test.each<[string, Partial<NewEndpoint>, string, string]>([
    ['an unknown type', { eventTypes: ['request.*', 'request.eaten'] }, 'validation-failed', '/eventTypes/1'],
    ['a wildcard in the middle', { eventTypes: ['request.fi*'] }, 'validation-failed', '/eventTypes/0'],
    ['the test type', { eventTypes: ['webhook.test'] }, 'validation-failed', '/eventTypes/0'],
    ['a short secret', { secret: 'whsec_c2hvcnQ=' }, 'validation-failed', '/secret'],
    ['a secret of the other kind', { secret: `whsec_${Buffer.alloc(32, 1).toString('base64')}`, algorithm: 'v1a' }, 'validation-failed', '/secret'],
    ['an unknown node', { node: 'NOWHERE' }, 'node-unknown', '/node'],
  ])('is refused with %s, where it is', async (_, input, code, pointer) => {
    await expect(create(input)).rejects.toEqual(problem(code, pointer))
    expect(await rows('SELECT FROM webhook_endpoint WHERE "tenantId" = $1', [town.tenantId])).toEqual([])
  })

  test('is refused where the guard refuses its URL, when it is made and when it is changed', async () => {
    const guarded = { ...deps(), egress: { check: async (url: string) => (url.includes('10.') ? 'address' as const : undefined) } }
    await expect(town.inside(() => createEndpoint(guarded, { url: 'https://10.0.0.1/', eventTypes: ['*'] }, app))).rejects.toEqual(problem('validation-failed', '/url'))
    const { id } = await create()
    await expect(town.inside(() => updateEndpoint(guarded, id, { url: 'https://10.0.0.1/' }, app))).rejects.toEqual(problem('validation-failed', '/url'))
    expect(await town.inside(() => updateEndpoint(guarded, id, { url: 'https://b.test/', ratePerSecond: 5, description: '乙' }, app))).toMatchObject({ url: 'https://b.test/', ratePerSecond: 5, description: '乙', eventTypes: ['*'] })
    expect(await town.inside(() => updateEndpoint(guarded, id, { ratePerSecond: null }, app))).toMatchObject({ url: 'https://b.test/', ratePerSecond: null, description: '乙' })
  })

  test('is its app\'s, and theirs who administer its place: nobody else finds it', async () => {
    const mine = await create({ node: 'B' })
    const theirs = await create({ node: 'B' }, await town.app())
    const atRoot = await create({}, await town.app())
    const byAdmin = await create({ node: 'P' }, admin)
    const list = (actor: AppActor | PersonActor) => town.inside(() => listEndpoints({ db: database.db }, { limit: 50 }, actor)).then(({ data }) => data.map(({ id }) => id))
    expect(await list(app)).toEqual([mine.id])
    expect(await list(admin)).toEqual([byAdmin.id, theirs.id, mine.id])
    await expect(endpoint(theirs.id)).rejects.toEqual(problem('not-found'))
    await expect(endpoint(atRoot.id, admin)).rejects.toEqual(problem('not-found'))
    expect(await endpoint(mine.id, admin)).toMatchObject({ id: mine.id })
    const elsewhere = await town.person({ at: 'U', can: ['administer'] })
    for (const stranger of [elsewhere, staff, resident, await town.app()]) {
      for (const work of [
        () => readEndpoint(database.db, mine.id, stranger), () => updateEndpoint(deps(), mine.id, { ordered: true }, stranger), () => pauseEndpoint(database.db, mine.id, stranger),
        () => resumeEndpoint(database.db, mine.id, { missed: true }, stranger), () => disableEndpoint(database.db, mine.id, stranger), () => rotateSecret(deps(), mine.id, undefined, stranger),
        () => sendTest(database.db, mine.id, stranger), () => listDeliveries(database.db, mine.id, { limit: 1 }, stranger), () => redeliver(database.db, mine.id, mine.id, stranger),
        () => replay(database.db, mine.id, { from: new Date(0), to: new Date(1) }, stranger),
      ]) await expect(town.inside<Promise<unknown>>(work)).rejects.toEqual(problem('not-found'))
    }
    await expect(create({ node: 'C' }, elsewhere)).rejects.toEqual(problem('forbidden'))
    await expect(create({}, admin)).rejects.toEqual(problem('forbidden'))
    await expect(list(staff)).rejects.toEqual(problem('forbidden'))
    const neighbour = await testPlace(database, {}, `N${round++}`)
    await expect(neighbour.inside(() => readEndpoint(database.db, mine.id, app))).rejects.toEqual(problem('not-found'))
  })
})

describe('a turn', () => {
  test('has what concerns the endpoint by place and by type, and nobody else has it meanwhile', async () => {
    const [all, atBuilding, accepted, both, none] = await Promise.all([create(), create({ node: 'B' }), create({ eventTypes: ['request.accepted'] }), create({ eventTypes: ['request.filed', 'request.*'], node: 'P' }), create({ eventTypes: ['request.closed'] })])
    const neighbour = await testPlace(database, {}, `N${round++}`)
    const foreign = await create({}, await neighbour.app(), neighbour)
    const low = await filed('U')
    await filed('C')
    await town.inside(() => act(database.db, 'accept', low.id, {}, staff))
    await relayed()
    const [one, other] = await Promise.all([turns(), turns()])
    const types = ({ id }: { id: string }) => (one.get(id) ?? other.get(id))?.deliveries.map(({ type }) => type)
    expect(types(all)).toEqual(['request.filed', 'request.filed', 'request.accepted'])
    expect(types(atBuilding)).toEqual(['request.filed', 'request.accepted'])
    expect(types(accepted)).toEqual(['request.accepted'])
    expect(types(both)).toEqual(['request.filed', 'request.accepted'])
    expect(types(foreign)).toBe(undefined)
    expect(types(none)).toBe(undefined)
    expect([...one.keys()].filter((id) => other.has(id))).toEqual([])
    // who came later hears only of what comes later
    const late = await create()
    expect(await turns()).toEqual(new Map())
    await filed('U')
    await relayed()
    expect([...(await turns()).keys()]).toEqual([late.id])
  })

  test('that its worker did not end is had again, under the same ids, but for what was written', async () => {
    const { id } = await create()
    for (let wish = 0; wish < 3; wish++) await filed()
    await relayed()
    const first = (await turns()).get(id)!
    expect(await turns()).toEqual(new Map())
    const entry = (turn: typeof first, index: number): Entry => ({ turn, delivery: turn.deliveries[index]!, at: turn.now, of: resultOf(turn.deliveries[index]!, ANSWERED, turn.now, 1, Math.random), late: false })
    await record(database.db, [entry(first, 1)])
    await leave()
    const second = (await turns()).get(id)!
    expect(second.deliveries).toEqual([first.deliveries[0], first.deliveries[2]].map((delivery) => ({ ...delivery, createdAt: second.now })))
    // what the first still writes is void, and so is the end of its turn
    await record(database.db, [entry(first, 0)], [{ turn: first, position: first.to }])
    expect(await states(id)).toEqual(['delivered'])
    await record(database.db, [entry(second, 0), entry(second, 1)], [{ turn: second, position: second.to }])
    await record(database.db, [entry(second, 0)])
    expect((await deliveries(id)).map(({ state, attempts }) => [state, attempts.length])).toEqual(Array.from({ length: 3 }, () => ['delivered', 1]))
    await leave()
    expect(await turns()).toEqual(new Map())
  })

  test('goes on where it ended, whatever it had no time for', async () => {
    const { id } = await create()
    for (let wish = 0; wish < 5; wish++) await filed()
    await relayed()
    const first = (await turns(2)).get(id)!
    expect(first.deliveries).toHaveLength(2)
    await record(database.db, [], [{ turn: first, position: first.deliveries[0]!.position! }])
    const second = (await turns(10)).get(id)!
    expect(second.deliveries.map(({ position }) => Number(position) - Number(second.from))).toEqual([1, 2, 3, 4])
    expect([second.from, second.to]).toEqual([first.deliveries[0]!.position, second.deliveries.at(-1)!.position])
  })

  test('of an endpoint that fails has one at a time, whatever has been due for longest', async () => {
    answer = () => answered(500)
    const { id } = await create()
    for (let wish = 0; wish < 3; wish++) await filed()
    await deliverAll()
    await filed()
    await relayed()
    const due = async () => {
      const turn = (await turns()).get(id)!
      await record(database.db, [], [{ turn, position: turn.from }])
      return [turn.deliveries.length, turn.deliveries[0]!.known]
    }
    // the retries come due after the new one happened, and then before
    await now()
    expect(await due()).toEqual([1, false])
    await database.owner.query(`UPDATE webhook_delivery SET "nextAt" = wishwall_now() - interval '1 minute' WHERE state = 'pending'`)
    expect(await due()).toEqual([1, true])
  })

  test('reads patterns of types as the domain does', async () => {
    const patterns = ['*', 'request.*', 'request.filed', 'request', 'request.', 'request_filed', 'request.file_', 'requests.*', '.*', 'r*']
    const made = await Promise.all(patterns.map(() => create()))
    for (const [index, pattern] of patterns.entries()) await database.owner.query('UPDATE webhook_endpoint SET "eventTypes" = $1 WHERE id = $2', [[pattern], made[index]!.id])
    await filed()
    await relayed()
    const had = await turns()
    expect(made.map(({ id }) => had.has(id))).toEqual(patterns.map((pattern) => matchesType([pattern], 'request.filed')))
  })
})

describe('a message', () => {
  test('is signed so that others\' code verifies it, and says what the feed says', async () => {
    const { secret } = await create()
    const { number } = await filed()
    await deliverAll()
    const [{ headers, body }] = sent as [Request]
    const told = new Webhook(secret!).verify(body, headers)
    const { data } = await town.inside(() => feed(database.db, { limit: 10 }, app))
    expect(told).toEqual(JSON.parse(JSON.stringify(data[0])))
    expect(Object.keys(told as object).sort()).toEqual(['cycle', 'from', 'id', 'item', 'kind', 'links', 'node', 'number', 'occurredAt', 'requestId', 'seq', 'state', 'type', 'version'])
    expect(body).toContain(number)
    expect(body).not.toContain('下棋')
    expect(headers).toMatchObject({ 'content-type': 'application/json' })
    expect(() => new Webhook(secret!).verify(body.replace('"cycle":1', '"cycle":2'), headers)).toThrow()
    expect(() => new Webhook(secret!).verify(body, { ...headers, 'webhook-id': crypto.randomUUID() })).toThrow()
  })

  test('by Ed25519 verifies with the public key, and the private one is never shown', async () => {
    const { secret, secrets } = await create({ algorithm: 'v1a' })
    expect(secret).toBeNull()
    await filed()
    await deliverAll()
    const [{ headers, body }] = sent as [Request]
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(secrets[0]!.publicKey!.slice(5), 'base64').toString('base64url') }, format: 'jwk' })
    const [version, signature] = headers['webhook-signature']!.split(',')
    expect(version).toBe('v1a')
    expect(verify(null, Buffer.from(`${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`), key, Buffer.from(signature!, 'base64'))).toBe(true)
  })

  test('is signed by old and new secret for a day, three at most', async () => {
    const made = await create()
    const verifies = (secret: string | null) => {
      try {
        return Boolean(new Webhook(secret!).verify(sent.at(-1)!.body, sent.at(-1)!.headers))
      } catch {
        return false
      }
    }
    const secrets = [made.secret]
    for (let turn = 0; turn < 3; turn++) {
      secrets.push((await town.inside(() => rotateSecret(deps(), made.id, undefined, app))).secret)
      await filed()
      await deliverAll()
      expect(secrets.map(verifies)).toEqual(secrets.map((_, index) => index > secrets.length - 4))
    }
    const shown = (await endpoint(made.id)).secrets
    expect(shown.map(({ expiresAt }) => expiresAt !== null)).toEqual([false, true, true])
    // a day later only the newest signs, and one more rotation forgets what has expired
    await database.owner.query(`UPDATE webhook_secret SET "expiresAt" = "expiresAt" - interval '24 hours' WHERE "endpointId" = $1`, [made.id])
    await filed()
    await deliverAll()
    expect(secrets.map(verifies)).toEqual([false, false, false, true])
    const brought = `whsec_${Buffer.alloc(24, 7).toString('base64')}`
    expect((await town.inside(() => rotateSecret(deps(), made.id, brought, app))).secret).toBe(brought)
    expect(await rows('SELECT FROM webhook_secret WHERE "endpointId" = $1 AND sealed IS NOT NULL', [made.id])).toHaveLength(2)
  })
})

describe('a delivery', () => {
  test('is tried again by the schedule under the same id, and is exhausted after twelve', async () => {
    answer = () => answered(500, { excerpt: 'no\u0000 \ud800' })
    const { id } = await create()
    await filed()
    for (let attempt = 1; attempt <= 12; attempt++) {
      await deliverAll()
      const [{ state, attempts, nextAt }] = (await deliveries(id)) as [Awaited<ReturnType<typeof deliveries>>[0]]
      expect(attempts).toHaveLength(attempt)
      expect(state).toBe(attempt < 12 ? 'pending' : 'exhausted')
      if (attempt === 1) expect(nextAt!.getTime() - attempts[0]!.at.getTime()).toSatisfy((ms: number) => ms >= 3_900 && ms <= 7_000)
      await now()
    }
    expect(new Set(sent.map(({ headers }) => headers['webhook-id'])).size).toBe(1)
    expect(sent).toHaveLength(12)
    expect((await deliveries(id))[0]!.attempts.at(-1)).toMatchObject({ number: 12, status: 500, reason: null })
    expect(await endpoint(id)).toMatchObject({ failures: 12, status: 'enabled', warnings: 0 })
    answer = () => ANSWERED
    await filed()
    await deliverAll()
    expect(await endpoint(id)).toMatchObject({ failures: 0, failingSince: null })
  })

  test.each<[string, Outcome, number, number, boolean]>([
    ['429 with seconds', answered(429, { retryAfter: '100' }), 100, 125, true],
    ['503 with more than a day', answered(503, { retryAfter: '999999' }), 86_000, 86_400, true],
    ['429 with nonsense', answered(429, { retryAfter: 'soon' }), 4, 6, true],
    ['429 with less than the schedule', answered(429, { retryAfter: '0' }), 5, 6, true],
    ['a redirect', answered(302), 4, 6, false],
    ['a refusal of our own guard', { kind: 'refused', reason: 'address' }, 4, 6, false],
    ['silence', { kind: 'failed', reason: 'timeout', ms: 20_000 }, 4, 6, false],
  ])('waits after %s, and its endpoint with it where the receiver asks', async (_, outcome, least, most, holds) => {
    answer = () => outcome
    const { id } = await create()
    await filed()
    await deliverAll()
    const [waits] = await rows<{ delivery: number; endpoint: number }>(`SELECT extract(epoch FROM d."nextAt" - wishwall_now())::float8 AS delivery, extract(epoch FROM e."paceAt" - wishwall_now())::float8 AS endpoint
      FROM webhook_delivery d JOIN webhook_endpoint e ON e.id = d."endpointId" WHERE e.id = $1`, [id])
    expect(waits!.delivery).toBeGreaterThan(least - 2)
    expect(waits!.delivery).toBeLessThanOrEqual(most)
    expect(waits!.endpoint > 0).toBe(holds)
    const said = outcome.kind === 'answer' ? { status: outcome.status } : { status: null, reason: outcome.reason }
    expect((await deliveries(id))[0]!.attempts).toMatchObject([said])
  })

  test('that takes long is written down while it goes on: its endpoint goes on, and another sends it when nothing more is heard', async () => {
    const { id } = await create()
    await filed()
    await relayed()
    const first = (await turns()).get(id)!
    const [delivery] = first.deliveries as [typeof first.deliveries[0]]
    await record(database.db, [{ turn: first, delivery, of: { state: 'delivering', gone: false, delayMs: 25_000 }, at: first.now, late: false }], [{ turn: first, position: first.to }])
    expect(await deliveries(id)).toMatchObject([{ state: 'delivering', attempts: [], nextAt: null }])
    await filed()
    await relayed()
    const next = (await turns()).get(id)!
    expect([next.width, next.deliveries.length]).toEqual([3, 1])
    await record(database.db, [], [{ turn: next, position: next.to }])
    // its worker is heard of no more
    await database.owner.query(`UPDATE webhook_delivery SET "nextAt" = wishwall_now() - interval '1 second' WHERE state = 'delivering'`)
    const second = (await turns()).get(id)!
    expect(second.deliveries).toMatchObject([{ id: delivery.id, attempts: 0, event: { id: delivery.id } }])
    expect(bodyOf(id, second.deliveries[0]!)).toBe(bodyOf(id, delivery))
    expect(JSON.parse(bodyOf(id, delivery))).toEqual(JSON.parse(JSON.stringify(eventOf(delivery.event!))))
    await record(database.db, [{ turn: second, delivery: second.deliveries[0]!, at: second.now, of: resultOf(delivery, ANSWERED, second.now, 1, Math.random), late: false }], [{ turn: second, position: second.to }])
    // and then it is: an attempt is recorded once
    await record(database.db, [{ turn: first, delivery, at: first.now, of: resultOf(delivery, answered(500), first.now, 1, Math.random), late: true }])
    expect(await deliveries(id)).toMatchObject([{ state: 'delivered', attempts: [{ number: 1, status: 204 }] }])
  })

  test('that takes long counts when it comes to its end after later turns', async () => {
    const { id } = await create()
    await filed()
    await relayed()
    const turn = (await turns()).get(id)!
    const [delivery] = turn.deliveries as [typeof turn.deliveries[0]]
    await record(database.db, [{ turn, delivery, at: turn.now, of: { state: 'delivering', gone: false, delayMs: 25_000 }, late: false }], [{ turn, position: turn.to }])
    await filed()
    await relayed()
    const later = (await turns()).get(id)!
    expect(later.lease).toBe(turn.lease + 1)
    await record(database.db, [{ turn, delivery, at: turn.now, of: resultOf(delivery, ANSWERED, turn.now, 1, Math.random), late: true }])
    expect(await states(id)).toEqual(['delivered'])
  })

  test('of an erased event is not sent, and cannot be sent again', async () => {
    const { id } = await create()
    answer = () => answered(500)
    await filed()
    await deliverAll()
    await filed()
    await relayed()
    await database.owner.query('DELETE FROM feed WHERE "tenantId" = $1', [town.tenantId])
    await now()
    await deliverAll()
    const [{ id: delivery, ...row }] = (await deliveries(id)) as [Awaited<ReturnType<typeof deliveries>>[0]]
    expect(row).toMatchObject({ state: 'exhausted', event: null, attempts: [{ status: 500 }, { reason: 'erased' }] })
    expect(sent).toHaveLength(1)
    await expect(town.inside(() => redeliver(database.db, id, delivery, app))).rejects.toEqual(problem('event-erased'))
  })
})

describe('many deliveries', () => {
  test('of one endpoint: few at a time at first, more as it goes well, one after failures', async () => {
    let under = 0
    const most: number[] = []
    answer = async () => {
      most.push(++under)
      await new Promise((resolve) => setTimeout(resolve, 5))
      under -= 1
      return sent.length > 60 ? answered(500) : ANSWERED
    }
    await create()
    await Promise.all(Array.from({ length: 120 }, () => filed()))
    await deliverAll()
    expect(Math.max(...most.slice(0, 4))).toBeLessThanOrEqual(4)
    expect(Math.max(...most)).toBeLessThanOrEqual(32)
    expect(Math.max(...most)).toBeGreaterThan(8)
    expect(most.slice(-4)).toEqual([1, 1, 1, 1])
  })

  test.each([410, 429])('of an endpoint that answers %i: what is under way, and no more', async (status) => {
    answer = () => answered(status, { retryAfter: '100' })
    const { id } = await create()
    for (let wish = 0; wish < 12; wish++) await filed()
    await relayed()
    sender = startSender({ db: database.db, keyring, egress, log })
    await sender.wake()
    await eventually(async () => (await states(id)).length > 0 && (await rows('SELECT FROM webhook_endpoint WHERE id = $1 AND "leasedUntil" IS NULL', [id])).length > 0)
    await sender.wake()
    expect(sent.length).toBeLessThanOrEqual(4)
    expect(await states(id)).toEqual(sent.map(() => (status === 410 ? 'disabled' : 'pending')))
  })

  test('of several endpoints: those that hang hold up nobody', async () => {
    answer = ({ url }) => (url.includes('hang') ? new Promise(() => {}) : ANSWERED)
    const hanging = await Promise.all(Array.from({ length: 9 }, (_, index) => create({ url: `https://hang${index}.test/` })))
    const good = await create()
    await Promise.all(Array.from({ length: 30 }, () => filed()))
    await relayed()
    sender = startSender({ db: database.db, keyring, egress, log })
    await sender.wake()
    await eventually(async () => (await states(good.id)).length === 30)
    expect(new Set(await states(good.id))).toEqual(new Set(['delivered']))
    // what takes long is handed over, and no more is begun beside it
    await eventually(async () => (await Promise.all(hanging.map(({ id }) => states(id)))).every((list) => list.length === 4))
    await sender.wake()
    for (const { id } of hanging) expect(await states(id)).toEqual(Array.from({ length: 4 }, () => 'delivering'))
    await filed()
    await relayed()
    await sender.wake()
    await eventually(async () => (await states(good.id)).length === 31)
    expect(sent.filter(({ url }) => url.includes('hang'))).toHaveLength(9 * 4)
    await sender.stop(0)
    sender = undefined
  })

  test('of an ordered endpoint come one by one in the feed\'s order, whatever fails', async () => {
    let failures = 0
    let under = 0
    answer = async ({ headers }) => {
      expect(++under).toBe(1)
      await new Promise((resolve) => setTimeout(resolve, 1))
      under -= 1
      return headers['webhook-id']!.charCodeAt(35) % 3 === 0 && failures++ < 30 ? answered(500) : ANSWERED
    }
    const { id } = await create({ ordered: true })
    for (let wish = 0; wish < 20; wish++) await filed()
    // some fail to the end: then the next has its turn
    for (let turn = 0; turn < 60 && (turn === 0 || (await states(id)).includes('pending')); turn++) {
      await deliverAll()
      await now()
    }
    expect(new Set(await states(id))).toEqual(new Set(failures > 12 ? ['delivered', 'exhausted'] : ['delivered']))
    const { data } = await town.inside(() => feed(database.db, { limit: 100 }, app))
    const heard = sent.map(({ body }) => (JSON.parse(body) as { id: string }).id)
    expect(heard.filter((event, index) => event !== heard[index - 1])).toEqual(data.map((event) => event.id))
    expect(heard.length).toBeGreaterThan(20)
  })

  test('of an ordered endpoint that wait for different times: the first holds up the others', async () => {
    const { id } = await create({ ordered: true })
    for (let wish = 0; wish < 3; wish++) await filed()
    await deliverAll()
    const list = await deliveries(id)
    for (const { id: delivery } of list) await town.inside(() => redeliver(database.db, id, delivery, app))
    await filed()
    await relayed()
    const due = async () => {
      const turn = (await turns()).get(id)
      if (turn) await record(database.db, [], [{ turn, position: turn.from }])
      return turn?.deliveries.map(({ id: event }) => list.findIndex((one) => one.id === event))
    }
    expect(await due()).toEqual([0, 1, 2, -1])
    const wait = (index: number) => database.owner.query(`UPDATE webhook_delivery SET "nextAt" = wishwall_now() + interval '1 hour' WHERE id = $1`, [list[index]!.id])
    await wait(1)
    expect(await due()).toEqual([0])
    await wait(0)
    expect(await due()).toBe(undefined)
  })

  test('keep to the endpoint\'s rate, over all workers', async () => {
    const { id } = await create({ ratePerSecond: 10 })
    await Promise.all(Array.from({ length: 40 }, () => filed()))
    await relayed()
    await database.owner.query('UPDATE webhook_endpoint SET width = 32 WHERE id = $1', [id])
    const started = performance.now()
    const others = [1, 2, 3].map(() => startSender({ db: database.db, keyring, egress, log }))
    const counts: number[] = []
    while (performance.now() - started < 1_900) {
      await Promise.all(others.map((one) => one.wake()))
      counts.push(sent.length)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    const seconds = (performance.now() - started) / 1000
    await Promise.all(others.map((one) => one.stop()))
    expect(sent.length).toBeLessThanOrEqual(10 + Math.ceil(seconds * 10))
    expect(sent.length).toBeGreaterThanOrEqual(12)
    expect(new Set(sent.map(({ headers }) => headers['webhook-id'])).size).toBe(sent.length)
  })
})

describe('an endpoint that is', () => {
  test('paused is sent nothing, and gets it when it goes on', async () => {
    const { id } = await create()
    expect(await town.inside(() => pauseEndpoint(database.db, id, app))).toMatchObject({ status: 'paused' })
    await filed()
    await deliverAll()
    expect([sent.length, await states(id)]).toEqual([0, []])
    expect(await town.inside(() => resumeEndpoint(database.db, id, { missed: false }, app))).toMatchObject({ status: 'enabled' })
    await deliverAll()
    expect([sent.length, await states(id)]).toEqual([1, ['delivered']])
  })

  test('disabled while a message is on its way: a success still counts, a failure ends it', async () => {
    const { id } = await create()
    for (let wish = 0; wish < 4; wish++) await filed()
    await relayed()
    const turn = (await turns()).get(id)!
    const entry = (index: number, outcome: Outcome, late = false): Entry =>
      ({ turn, delivery: turn.deliveries[index]!, at: turn.now, of: resultOf(turn.deliveries[index]!, outcome, turn.now, 1, Math.random), late })
    const handedOver = (index: number): Entry => ({ ...entry(index, ANSWERED), of: { state: 'delivering', gone: false, delayMs: 25_000 } })
    await record(database.db, [handedOver(2), handedOver(3)])
    await town.inside(() => disableEndpoint(database.db, id, app))
    expect(await states(id)).toEqual(['disabled', 'disabled'])
    await record(database.db, [entry(0, ANSWERED), entry(1, answered(500)), entry(2, ANSWERED, true), entry(3, answered(500), true)], [{ turn, position: turn.to }])
    expect((await deliveries(id)).map(({ state, nextAt }) => [state, nextAt])).toEqual(['delivered', 'disabled', 'delivered', 'disabled'].map((state) => [state, null]))
    expect(await endpoint(id)).toMatchObject({ status: 'disabled', failures: 0 })
  })

  test('gone (410) is disabled at once, with all that waits', async () => {
    answer = () => (sent.length === 1 ? answered(410) : ANSWERED)
    const { id } = await create({ ordered: true })
    await filed()
    await filed()
    await deliverAll()
    await filed()
    await deliverAll()
    expect(sent).toHaveLength(1)
    expect(await states(id)).toEqual(['disabled'])
    expect(await endpoint(id)).toMatchObject({ status: 'disabled', disabledReason: 'gone', disabledAt: expect.any(Date) })
    await expect(town.inside(() => pauseEndpoint(database.db, id, app))).rejects.toEqual(problem('endpoint-disabled'))
    // and is sent all of it when it is resumed, if that is wished
    await town.inside(() => resumeEndpoint(database.db, id, { missed: true }, app))
    await deliverAll()
    expect(await states(id)).toEqual(['delivered', 'delivered', 'delivered'])
    expect((await deliveries(id))[0]!.attempts.map(({ status }) => status)).toEqual([410, 204])
  })

  test('disabled by its owner ends what waits, and can be tested, resumed and replayed', async () => {
    answer = () => answered(500)
    const { id } = await create()
    const { filedAt } = await filed()
    await deliverAll()
    await town.inside(() => disableEndpoint(database.db, id, app))
    await filed()
    await deliverAll()
    expect(await states(id)).toEqual(['disabled'])
    const all = { from: new Date(filedAt.getTime() - 1000), to: (await rows<{ at: Date }>('SELECT wishwall_now() AS at'))[0]!.at }
    await expect(town.inside(() => replay(database.db, id, all, app))).rejects.toEqual(problem('endpoint-disabled'))
    answer = () => ANSWERED
    const trial = await town.inside(() => sendTest(database.db, id, app))
    expect(trial).toMatchObject({ type: 'webhook.test', state: 'pending', event: null })
    await deliverAll()
    expect(await town.inside(() => readDelivery(database.db, id, trial.id, app))).toMatchObject({ state: 'delivered', attempts: [{ status: 204 }] })
    await town.inside(() => resumeEndpoint(database.db, id, { missed: false }, app))
    await deliverAll()
    expect(await states(id)).toEqual(['disabled', 'delivered'])
    all.to = (await rows<{ at: Date }>('SELECT wishwall_now() AS at'))[0]!.at
    expect(await town.inside(() => replay(database.db, id, all, app))).toEqual({ replayed: 2, hasMore: false })
    await deliverAll()
    expect(await states(id)).toEqual(['delivered', 'delivered', 'delivered'])
  })

  test('disabled and resumed with what it missed is sent that, and only that', async () => {
    const { id } = await create()
    const heard = async () => {
      await deliverAll()
      return sent.splice(0).map(({ body }) => (JSON.parse(body) as { seq: number; requestId: string }).requestId)
    }
    const [before] = [await filed()]
    expect(await heard()).toEqual([before.id])
    // skipped for good by the owner
    await town.inside(() => disableEndpoint(database.db, id, app))
    await filed()
    await relayed()
    await town.inside(() => resumeEndpoint(database.db, id, { missed: false }, app))
    expect(await heard()).toEqual([])
    // one fails, one is not even tried, the endpoint is disabled, one more happens
    answer = () => answered(500)
    const failed = await filed()
    expect(await heard()).toEqual([failed.id])
    await town.inside(() => pauseEndpoint(database.db, id, app))
    const untried = await filed()
    await relayed()
    await town.inside(() => disableEndpoint(database.db, id, app))
    const after = await filed()
    await relayed()
    answer = () => ANSWERED
    await town.inside(() => resumeEndpoint(database.db, id, { missed: true }, app))
    expect((await heard()).sort()).toEqual([failed.id, untried.id, after.id].sort())
    expect(await states(id)).toEqual(['delivered', 'delivered', 'delivered', 'delivered'])
  })

  test('of a revoked app gets nothing more', async () => {
    answer = () => answered(500)
    const { id } = await create()
    await filed()
    await deliverAll()
    await database.owner.query('UPDATE client SET "revokedAt" = now() WHERE id = $1', [app.clientId])
    await filed()
    await relayed()
    await now()
    expect(await turns()).toEqual(new Map())
    await disableRevoked(database.db)
    expect(await rows('SELECT status, "disabledReason", (SELECT array_agg(state) FROM webhook_delivery WHERE "endpointId" = e.id) AS states FROM webhook_endpoint e WHERE id = $1', [id]))
      .toEqual([{ status: 'disabled', disabledReason: 'revoked', states: ['disabled'] }])
  })
})

describe('the log', () => {
  test('keeps deliveries for a month after they ended', async () => {
    answer = ({ url }) => (url.includes('bad') ? answered(500) : ANSWERED)
    const [good, bad] = [await create(), await create({ url: 'https://bad.test/' })]
    await filed()
    await deliverAll()
    await filed()
    await deliverAll()
    await database.owner.query(`UPDATE webhook_delivery SET "endedAt" = now() - interval '30 days' WHERE id = (SELECT min(id::text)::uuid FROM webhook_delivery WHERE "endpointId" = $1) AND "endedAt" IS NOT NULL`, [good.id])
    await forgetOldDeliveries(database.db)
    expect([(await states(good.id)).length, (await states(bad.id)).length]).toEqual([1, 2])
  })

  test('keeps the last fifty attempts of one that is sent again and again', async () => {
    const { id } = await create()
    await filed()
    await deliverAll()
    const [{ id: delivery }] = (await deliveries(id)) as [Awaited<ReturnType<typeof deliveries>>[0]]
    await database.owner.query(`UPDATE webhook_delivery SET claims = 60, log = (SELECT jsonb_agg(log -> 0 || jsonb_build_object('number', n)) FROM generate_series(11, 60) n) WHERE id = $1`, [delivery])
    await town.inside(() => redeliver(database.db, id, delivery, app))
    await deliverAll()
    expect((await deliveries(id))[0]!.attempts.map(({ number }) => number)).toEqual(Array.from({ length: 50 }, (_, index) => 12 + index))
  })
})

describe('the owner', () => {
  test('tests once: it is signed like everything else, not tried again, and says nothing of the endpoint\'s health', async () => {
    answer = () => answered(500)
    const { id, secret } = await create()
    const { id: trial } = await town.inside(() => sendTest(database.db, id, app))
    await deliverAll()
    expect(new Webhook(secret!).verify(sent[0]!.body, sent[0]!.headers)).toMatchObject({ id: trial, type: 'webhook.test', endpoint: id })
    expect(await deliveries(id)).toMatchObject([{ state: 'exhausted', attempts: [{ status: 500 }] }])
    expect(await endpoint(id)).toMatchObject({ failures: 0 })
    for (let waiting = 0; waiting < 10; waiting++) await town.inside(() => sendTest(database.db, id, app))
    await expect(town.inside(() => sendTest(database.db, id, app))).rejects.toEqual(problem('limit-reached'))
  })

  test('has one delivery sent again, under its own id', async () => {
    const { id } = await create()
    await filed()
    await deliverAll()
    const [{ id: delivery }] = (await deliveries(id)) as [Awaited<ReturnType<typeof deliveries>>[0]]
    expect(await town.inside(() => redeliver(database.db, id, delivery, app))).toMatchObject({ state: 'pending', endedAt: null })
    await deliverAll()
    expect(sent.map(({ headers }) => headers['webhook-id'])).toEqual([delivery, delivery])
    expect(await deliveries(id)).toMatchObject([{ state: 'delivered', attempts: [{ number: 1 }, { number: 2 }] }])
    await town.inside(() => disableEndpoint(database.db, id, app))
    await expect(town.inside(() => redeliver(database.db, id, delivery, app))).rejects.toEqual(problem('endpoint-disabled'))
    await expect(town.inside(() => redeliver(database.db, id, id, app))).rejects.toEqual(problem('not-found'))
  })

  test('of an app at a place finer than a community hears of no confidential matter there, nor by a replay; who keeps the place does', async () => {
    const secret = () => town.inside(() => file(database.db, { item: 'companionship', title: '别让人知道', node: 'U', confidential: true }, resident))
    const hidden = [await secret()]
    const shown = await filed()
    await relayed()
    const [fine, community, staffs] = [await create({ node: 'U' }), await create({ node: 'C' }), await create({ node: 'P' }, admin)]
    hidden.push(await secret())
    await deliverAll()
    const of = async (id: string, who: AppActor | PersonActor = app) => (await town.inside(() => listDeliveries(database.db, id, { limit: 100 }, who))).data.length
    expect([await of(fine.id), await of(community.id), await of(staffs.id, admin)]).toEqual([0, 1, 1])
    const all = async (id: string, who: AppActor | PersonActor = app) => {
      const [{ now: to }] = (await database.owner.query<{ now: Date }>('SELECT wishwall_now() AS now')).rows as [{ now: Date }]
      return (await town.inside(() => replay(database.db, id, { from: new Date(to.getTime() - 3_600_000), to }, who))).replayed
    }
    expect([await all(fine.id), await all(community.id), await all(staffs.id, admin)]).toEqual([1, 3, 3])
    await deliverAll()
    const told = sent.map(({ body }) => String(body))
    expect(told.some((body) => body.includes(shown.number))).toBe(true)
    expect(await of(fine.id)).toBe(1)
    expect(hidden).toHaveLength(2)
  })

  test('replays a time range: what was before the endpoint, what failed and what was delivered before; once', async () => {
    await filed()
    const [start] = await rows<{ at: Date }>(`SELECT min(at) AS at FROM outbox WHERE "tenantId" = $1`, [town.tenantId])
    await relayed()
    const { id } = await create()
    await filed()
    await deliverAll()
    const [{ at: to }] = (await rows<{ at: Date }>(`SELECT wishwall_now() AS at`)) as [{ at: Date }]
    const range = { from: start!.at, to }
    const again = () => town.inside(() => replay(database.db, id, range, app))
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect(await again()).toEqual({ replayed: 2, hasMore: false })
    expect(await again()).toEqual({ replayed: 0, hasMore: false })
    await deliverAll()
    expect(await again()).toEqual({ replayed: 0, hasMore: false })
    expect(sent).toHaveLength(3)
    expect(new Set(sent.map(({ headers }) => headers['webhook-id'])).size).toBe(2)
    const refuse = (from: Date, until: Date) => expect(town.inside(() => replay(database.db, id, { from, to: until }, app))).rejects.toEqual(problem('validation-failed', '/to'))
    await refuse(to, to)
    await refuse(to, new Date(to.getTime() + 3_600_000))
    await refuse(new Date(to.getTime() - 32 * 86_400_000), to)
  })
})

// Last, for it moves the clock.
describe('an endpoint that fails', () => {
  test('is warned after one day and after three, and disabled after five; a failure now and then is not enough', async () => {
    answer = ({ url }) => answered(url.includes('rare') && sent.length > 40 ? 204 : 500)
    const start = new Date()
    const { id } = await create()
    for (let wish = 0; wish < 19; wish++) await filed()
    await deliverAll()
    const once = async (days: number, minutes = 0) => {
      await sender?.stop()
      sender = undefined
      await database.setClock(new Date(start.getTime() + days * 86_400_000 + minutes * 60_000).toISOString())
      while (await database.owner.query('SELECT 1').then(() => false, () => true)); // its connections were cut
      await database.owner.query(`UPDATE webhook_delivery SET "nextAt" = "nextAt" + interval '100 years' WHERE state = 'pending'`)
      await filed()
      await deliverAll()
      return endpoint(id)
    }
    expect(await once(0.9)).toMatchObject({ status: 'enabled', warnings: 0, failures: 20 })
    expect(await once(1.1)).toMatchObject({ status: 'enabled', warnings: 1 })
    expect(await once(3.1)).toMatchObject({ status: 'enabled', warnings: 2 })
    expect(await once(4.9)).toMatchObject({ status: 'enabled', warnings: 2, failures: 23 })
    const seldom = await create()
    expect(await once(5.1)).toMatchObject({ status: 'disabled', disabledReason: 'failing', failures: 24 })
    expect(new Set(await states(id))).toEqual(new Set(['disabled']))
    await once(11)
    expect(await endpoint(seldom.id)).toMatchObject({ status: 'enabled', failures: 2, warnings: 2 })
  })
})
