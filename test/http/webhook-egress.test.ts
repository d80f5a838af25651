import type { FastifyInstance } from 'fastify'
import { isIP } from 'node:net'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { SCOPE_NAMES } from '../../src/domain/scopes.ts'
import { buildApp } from '../../src/http/app.ts'
import { authentication } from '../../src/http/auth.ts'
import { webhookRoutes } from '../../src/http/routes/webhooks.ts'
import { startSender, type Sender } from '../../src/jobs/deliver.ts'
import { openEgress } from '../../src/outside/egress.ts'
import { relayOnce } from '../../src/service/relay.ts'
import { file } from '../../src/service/requests.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { countConnections, HOSTILE, PUBLIC4, resolve, type Dialled } from '../outside/hostile-urls.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { eventually, keyring, tokenFor } from '../processes.ts'

/**
 * The hostile URLs through every door there is: made, changed, tested, delivered to, with the real API, database, sender
 * and egress. Whatever is not PostgreSQL is counted at the socket and gets no further.
 */

const dialled: Dialled[] = []
/** What DNS says of a name that changes its mind. */
let rebinding = PUBLIC4
const egress = openEgress({
  allowLoopback: false, allowCidrs: [],
  resolve: async (host) => (host === 'rebind.example' ? [{ address: rebinding, family: isIP(rebinding) }] : resolve(host)),
})
const GOOD = 'https://good.example/hook'
/** As the door has them: without blanks around. Those that are good by then are no business of this test. */
const URLS = [...new Set(HOSTILE)].filter((url) => ![GOOD, 'https://good.example/'].includes(url.trim()))

let database: TestDatabase
let town: TestPlace
let app: FastifyInstance
let sender: Sender
let resident: PersonActor
let token: string

beforeAll(async () => {
  database = await freshDatabase()
  const { port } = new URL(database.url)
  const takeBack = await countConnections(dialled, (to) => (to.port === Number(port) ? 'as it is' : undefined))
  town = await testPlace(database)
  resident = await town.person()
  token = tokenFor(town.tenantId, (await town.app()).clientId, 'app')
  await database.owner.query('UPDATE client SET scopes = $1', [SCOPE_NAMES])
  const deps = { db: database.db, keyring, egress, clock: Date.now }
  app = buildApp({ log: pino({ level: 'silent' }), checkAnswers: true, routes: [authentication(deps), webhookRoutes(deps)] })
  sender = startSender({ db: database.db, keyring, egress, log: pino({ level: 'silent' }), timeoutMs: 2_000 })
  return takeBack
})
afterAll(async () => {
  await sender.stop()
  await app.close()
  await egress.close()
  await database.drop()
})

const post = (path: string, payload: object = {}) => app.inject({ method: 'POST', url: `/v1/webhook-endpoints${path}`, headers: { authorization: `Bearer ${token}` }, payload })
const made = async (url = GOOD): Promise<string> => {
  const answer = await post('', { url, eventTypes: ['request.*'] })
  expect(answer.statusCode, answer.body).toBe(201)
  return answer.json<{ id: string }>().id
}

test('as a new endpoint, or a changed one: 400 at /url, and nothing is dialled', async () => {
  const id = await made()
  for (const url of URLS) {
    for (const answer of [await post('', { url, eventTypes: ['request.*'] }), await post(`/${id}`, { url })]) {
      expect([answer.statusCode, answer.json<{ errors?: { pointer: string }[] }>().errors?.[0]?.pointer], url).toEqual([400, '/url'])
    }
  }
  const { rows } = await database.owner.query<{ url: string }>('SELECT url FROM webhook_endpoint')
  expect(rows).toEqual([{ url: GOOD }])
  console.info(`${URLS.length} hostile URLs refused at create and at update; connections: ${dialled.length}`)
  expect(URLS.length).toBeGreaterThanOrEqual(400)
  expect(dialled).toEqual([])
})

/** Sends a test and an event to each of these endpoints, and waits for what came of the first attempt. */
async function attempted(ids: readonly string[]): Promise<{ url: string; type: string; reason: string | null; status: number | null }[]> {
  await database.owner.query(`UPDATE webhook_endpoint SET failures = 0, "failingSince" = NULL, "paceAt" = wishwall_now() - interval '1 minute'`)
  await town.inside(() => file(database.db, { item: 'companionship', title: '想有人陪我下棋', node: 'U' }, resident))
  while ((await relayOnce(database.db)).moved > 0);
  for (const id of ids) expect((await post(`/${id}/test`)).statusCode).toBe(202)
  const attempts = await eventually(async () => {
    await sender.wake()
    const { rows } = await database.owner.query<{ url: string; type: string; reason: string | null; status: number | null }>(
      `SELECT e.url, d.type, d.log -> -1 ->> 'reason' AS reason, (d.log -> -1 ->> 'status')::int AS status
       FROM webhook_delivery d JOIN webhook_endpoint e USING ("tenantId") WHERE e.id = d."endpointId" AND d.state IN ('pending', 'exhausted') AND jsonb_array_length(d.log) > 0`)
    return rows.length === 2 * ids.length && rows
  })
  await eventually(async () => (await database.owner.query('SELECT FROM webhook_endpoint WHERE "leasedUntil" IS NOT NULL')).rowCount === 0)
  await database.owner.query('DELETE FROM webhook_delivery')
  return attempts as { url: string; type: string; reason: string | null; status: number | null }[]
}

test('that got into the table all the same: neither a test nor an event goes there', { timeout: 120_000 }, async () => {
  // What PostgreSQL cannot hold cannot get in.
  const stored = URLS.filter((url) => !/\p{Surrogate}|\0/u.test(url))
  await database.owner.query('DELETE FROM webhook_secret; DELETE FROM webhook_endpoint')
  const ids = await Promise.all(Array.from({ length: 60 }, () => made()))
  const reasons: Record<string, number> = {}
  for (let from = 0; from < stored.length; from += ids.length) {
    const urls = stored.slice(from, from + ids.length)
    const some = ids.slice(0, urls.length)
    await database.owner.query(`UPDATE webhook_endpoint e SET url = u.url, status = 'enabled' FROM unnest($1::uuid[], $2::text[]) AS u(id, url) WHERE e.id = u.id`, [some, urls])
    await database.owner.query(`UPDATE webhook_endpoint SET status = 'paused' WHERE id <> ALL ($1)`, [some])
    for (const { url, type, reason, status } of await attempted(some)) {
      expect([reason, status], `${type} to ${url}`).toEqual([expect.stringMatching(/^(url|scheme|userinfo|host|port|address|dns)$/), null])
      reasons[reason!] = (reasons[reason!] ?? 0) + 1
    }
  }
  console.info(`${stored.length} hostile URLs, a test and an event to each: ${JSON.stringify(reasons)}; connections: ${dialled.length}`)
  expect(dialled).toEqual([])
})

test('a name that was public when it was entered, and is not when it is sent to', async () => {
  await database.owner.query('DELETE FROM webhook_secret; DELETE FROM webhook_endpoint')
  const id = await made('https://rebind.example/hook')
  for (rebinding of ['169.254.169.254', '127.0.0.1', '10.0.0.1', '::1', '::ffff:127.0.0.1', 'fd00:ec2::254']) {
    expect((await attempted([id])).map(({ type, reason }) => [type, reason]).sort(), rebinding).toEqual([['request.filed', 'address'], ['webhook.test', 'address']])
    expect((await post(`/${id}`, { url: 'https://rebind.example/other' })).statusCode).toBe(400)
  }
  expect(dialled).toEqual([])
  // and the counter counts: what is public is dialled, and nothing else
  rebinding = PUBLIC4
  expect((await attempted([id])).map(({ reason }) => reason)).toEqual(['connect', 'connect'])
  expect(new Set(dialled.map(({ address }) => address))).toEqual(new Set([PUBLIC4]))
})
