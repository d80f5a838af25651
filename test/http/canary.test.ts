import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { furnish, startApi, startWorker, type House } from '../../src/bin/compose.ts'
import { readConfig } from '../../src/bin/config.ts'
import type { Stoppable } from '../../src/bin/run.ts'
import type { PersonActor } from '../../src/domain/actor.ts'
import { DEFAULT_POLICY } from '../../src/domain/policy.ts'
import { createClient } from '../../src/service/clients.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { camera } from '../pictures.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { call, eventually, keyring, tokenFor, type Answer } from '../processes.ts'
import { startVendors, type GroupRobot, type Vendors } from '../vendors.ts'

/**
 * One string of its own in every personal field and every free text, through a whole life with the whole house: API, worker,
 * queues, webhooks, robots, stream. Then they are looked for in all that comes out and all that is kept. Logs at their most
 * talkative. At the end the people are erased, and looked for once more.
 */

let serial = 0
/** By what it was planted as; found again in UTF-8, hex, base64, percent-encoded and escaped JSON alike. */
const planted = new Map<string, string>()
const plant = (what: string, make = (n: number) => `金丝雀${n}号Kanarie${n}x`): string => {
  const value = make(7_001 + serial++)
  planted.set(what, value)
  return value
}
const phone = (what: string) => plant(what, (n) => `1391357${n}`)
const ascii = (what: string) => plant(what, (n) => `Kanarie-${n}-x`)

const formsOf = (value: string): string[] => {
  const bytes = Buffer.from(value)
  const escaped = [...value].map((c) => (c > '~' ? `\\u${c.charCodeAt(0).toString(16)}` : c)).join('')
  // Base64 of what it stands in depends on where it begins: two of the three bytes at each end are left out.
  const inside = [0, 1, 2].map((at) => Buffer.concat([Buffer.alloc(at), bytes]).toString('base64').replace(/=+$/, '').slice(at === 0 ? 0 : 4, -2))
  return [...new Set([value, bytes.toString('hex'), encodeURIComponent(value), escaped, ...inside])]
}
/** What of the planted is in there. */
const found = (text: string): string[] => [...planted].filter(([, value]) => formsOf(value).some((form) => text.includes(form))).map(([what]) => what)

const EXCHANGE = { grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange', subject_token_type: 'urn:wish-wall:external-user' }

describe.each(inject('queues').map(({ kind, redisUrl }) => [kind, redisUrl] as const))('with jobs on %s', (_, redisUrl) => {
  let database: TestDatabase
  let folder: string
  let house: House
  let town: TestPlace
  let origin: string
  let vendors: Vendors
  let robot: GroupRobot
  let receiver: Server
  const stops: Stoppable[] = []
  const logged: string[] = []
  const received: string[] = []
  const told: string[] = []
  let stream = ''
  const streaming = new AbortController()

  beforeAll(async () => {
    planted.clear()
    database = await freshDatabase()
    folder = await mkdtemp(join(tmpdir(), 'wish-wall-canary-'))
    vendors = await startVendors()
    robot = vendors.robot('wecom')
    receiver = createServer((request, response) => {
      let body = ''
      request.on('data', (chunk: Buffer) => { body += chunk.toString() })
      request.on('end', () => { received.push(JSON.stringify(request.headers) + body); response.writeHead(204).end() })
    }).listen(0, '127.0.0.1')
    await once(receiver, 'listening')
    // An emergency: no hour of the day is too quiet to say it.
    town = await testPlace(database, { limits: { ...DEFAULT_POLICY.limits, complete: '24h' } })
    const config = readConfig({
      DATABASE_URL: database.url, PORT: '0', LOG_LEVEL: 'trace', WISHWALL_DATA: folder, WISHWALL_ALLOW_LOOPBACK_WEBHOOKS: 'true', WISHWALL_ROBOT_HOSTS: vendors.host,
      METRICS_TOKEN: 'metrics-token-0123456789', REDIS_URL: redisUrl,
    })
    const log = pino({ level: 'trace' }, { write: (line: string) => void logged.push(line) })
    house = await furnish({ config, log, databaseUrl: database.url, keyring })
    const started = (part: Stoppable) => void stops.push(part)
    origin = await startApi(house, started)
    await startWorker(house, started)
  }, 60_000)
  afterAll(async () => {
    streaming.abort()
    for (const part of stops.reverse()) await part.stop()
    await house.db.close()
    receiver.closeAllConnections()
    receiver.close()
    await vendors.close()
    await database.drop()
    await rm(folder, { recursive: true, force: true })
  })

  const rows = async <T extends object = Record<string, any>>(sql: string, values: unknown[] = []): Promise<T[]> => (await database.owner.query<T>(sql, values)).rows
  const as = ({ id }: { id: string }) => tokenFor(town.tenantId, id)
  /** Everything that is answered to somebody who is not shown it by right is kept. */
  const asked = async (token: string, method: 'GET' | 'POST', path: string, body?: object): Promise<Answer> => {
    const answer = await call(origin, token, method, path, body)
    if (answer.status >= 400) told.push(JSON.stringify(answer.body))
    return answer
  }
  const ok = async (answer: Promise<Answer>): Promise<Record<string, any>> => {
    const { status, body } = await answer
    expect(`${status} ${status < 300 ? '' : JSON.stringify(body)}`).toMatch(/^20\d $/)
    return body
  }
  /** Every row of every table of every schema that is ours or the queue's. */
  const tables = async (): Promise<{ table: string; text: string }[]> => {
    const all = await rows<{ table: string }>(`SELECT format('%I.%I', schemaname, tablename) AS table FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1`)
    return Promise.all(all.map(async ({ table }) => ({ table, text: (await rows<{ row: string }>(`SELECT t::text AS row FROM ${table} t`)).map(({ row }) => row).join('\n') })))
  }
  const redisDump = async (): Promise<string> => {
    if (redisUrl === undefined) return ''
    const redis = new Redis(redisUrl)
    const keys = await redis.keys('*')
    const dumps = await Promise.all(keys.map(async (key) => {
      const type = await redis.type(key)
      if (type === 'hash') return JSON.stringify(await redis.hgetall(key))
      if (type === 'list') return JSON.stringify(await redis.lrange(key, 0, -1))
      if (type === 'zset') return JSON.stringify(await redis.zrange(key, '0', '-1'))
      if (type === 'set') return JSON.stringify(await redis.smembers(key))
      if (type === 'stream') return JSON.stringify(await redis.xrange(key, '-', '+'))
      return (await redis.get(key)) ?? ''
    }))
    redis.disconnect()
    expect(keys.length).toBeGreaterThan(0)
    return [...keys, ...dumps].join('\n')
  }
  const stored = async (): Promise<Buffer> => {
    const names = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile())
    return Buffer.concat(await Promise.all(names.map(({ parentPath, name }) => readFile(join(parentPath, name)))))
  }
  const carried = () => eventually(async () => (await rows(`SELECT FROM outbox`)).length === 0
    && (await rows(`SELECT FROM webhook_delivery WHERE "endedAt" IS NULL UNION ALL SELECT FROM robot_message WHERE "endedAt" IS NULL`)).length === 0
    && (await rows(`SELECT FROM cursor WHERE name IN ('notifications', 'robots') AND position = (SELECT max(position) FROM feed)`)).length === 2, 60_000)

  test('a life, told everywhere by ids', { timeout: 240_000 }, async () => {
    const [admin, chief, grid, handler, caller, inspector, member, loser] = await Promise.all([
      town.person({ at: 'S', can: ['view', 'administer', 'dispatch', 'approve'] }), town.person({ at: 'P', can: ['view', 'dispatch', 'publish'] }), town.person({ at: 'P', can: ['view', 'file_for'] }),
      town.person({ at: 'P', can: ['handle'] }), town.person({ at: 'P', can: ['view', 'follow_up'] }), town.person({ at: 'P', can: ['view', 'supervise'] }),
      town.person({ kinds: ['party_member'] }), town.person({ kinds: ['party_member'] }),
    ]) as [PersonActor, PersonActor, PersonActor, PersonActor, PersonActor, PersonActor, PersonActor, PersonActor]
    const verb = (actor: { id: string }, id: string, name: string, body: object = {}) => ok(asked(as(actor), 'POST', `/v1/requests/${id}/${name}`, body))
    await ok(asked(as(admin), 'POST', '/v1/webhook-endpoints', { url: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`, eventTypes: ['*'], node: 'S' }))
    await ok(asked(as(admin), 'POST', '/v1/robots', { channel: 'wecom', name: '群', node: 'S', url: robot.url, eventTypes: ['request.*'] }))
    const listening = fetch(`${origin}/v1/events/stream`, { headers: { authorization: `Bearer ${as(admin)}` }, signal: streaming.signal }).then(async ({ body }) => {
      for await (const chunk of body!) stream += Buffer.from(chunk).toString()
    }).catch(() => {})

    // people: by an app's token, by staff, in a filing
    const { id: _id, clientSecret } = await town.inside(() => createClient(house.db, { clientId: 'mini', name: 'mini', scopes: ['requests:read', 'requests:write', 'directory:write'] }))
    const exchanged = await fetch(`${origin}/oauth/token`, {
      method: 'POST', headers: { authorization: `Basic ${Buffer.from(`mini:${clientSecret}`).toString('base64')}` },
      body: new URLSearchParams({ ...EXCHANGE, tenant: 'TEST', subject_token: `wechat:wx1:${ascii('openId')}` }),
    })
    const mini = ((await exchanged.json()) as { access_token: string }).access_token
    const { id: residentId } = (await ok(asked(mini, 'GET', '/v1/me')))
    await ok(asked(mini, 'POST', `/v1/people/${residentId}`, { name: plant('name by the app'), phone: phone('phone by the app'), door: plant('door by the app') }))
    const slip = await ok(asked(as(grid), 'POST', '/v1/people', { name: plant('name by staff'), phone: phone('phone by staff'), door: plant('door by staff'), node: 'U' }))

    // an upload that says who and where, by its name and in its depths
    const jpeg = await camera(320, 240).withExif({ IFD0: { Artist: ascii('EXIF'), ImageDescription: ascii('EXIF description') } }).jpeg().toBuffer()
    const form = new FormData()
    form.append('file', new Blob([new Uint8Array(jpeg)], { type: 'image/jpeg' }), `${plant('file name')}.jpg`)
    const uploaded = await fetch(`${origin}/v1/attachments`, { method: 'POST', headers: { authorization: `Bearer ${as(grid)}` }, body: form })
    const { id: photo } = await uploaded.json() as { id: string }

    // a wish: filed for another, on the wall, claimed, done, followed up, rated
    const wish = await ok(call(origin, as(grid), 'POST', '/v1/requests', {
      item: 'companionship', node: 'U', title: plant('title'), description: plant('description'), filer: slip.id, attachments: [photo],
      beneficiary: { name: plant('name of the beneficiary'), phone: phone('phone of the beneficiary'), door: plant('door of the beneficiary') },
      guardian: { name: plant('name of the guardian'), phone: phone('phone of the guardian') }, consents: [{ purpose: 'wall', by: 'self', how: 'paper' }],
    }, { 'idempotency-key': 'wish-1' }))
    await verb(chief, wish.id, 'accept', { note: plant('note of accepting') })
    await verb(chief, wish.id, 'place')
    await verb(member, wish.id, 'claim')
    expect((await asked(as(loser), 'POST', `/v1/requests/${wish.id}/claim`)).status).toBe(409)
    await verb(member, wish.id, 'respond', { note: plant('note of responding') })
    await verb(member, wish.id, 'record', { beneficiaries: 1, note: plant('note of recording') })
    await verb(inspector, wish.id, 'supervise', { note: plant('note of supervising') })
    await ok(asked(as(chief), 'POST', `/v1/requests/${wish.id}/reveal`, { reason: 'contact', note: plant('note of revealing') }))
    await verb(member, wish.id, 'complete', { outcome: plant('outcome'), note: plant('note of completing') })
    await verb(caller, wish.id, 'follow-up', { solved: 'solved', satisfaction: 'satisfied', comment: plant('comment of the caller') })

    // a service: by the resident through the app, dispatched, given back, extended, withdrawn
    const service = await ok(asked(mini, 'POST', '/v1/requests', { item: 'corridor-light', node: 'U', title: plant('title by the app'), description: plant('description by the app') }))
    await verb(chief, service.id, 'return', { reason: 'incomplete', note: plant('note of returning') })
    await ok(asked(mini, 'POST', `/v1/requests/${service.id}/resubmit`, { description: plant('description again'), note: plant('note of resubmitting') }))
    await verb(chief, service.id, 'amend', { title: plant('title amended') })
    await verb(chief, service.id, 'accept')
    await verb(chief, service.id, 'dispatch', { to: handler.id, note: plant('note of dispatching') })
    await verb(handler, service.id, 'ask-return', { reason: 'other', note: plant('note of asking to return') })
    await verb(chief, service.id, 'deny-return', { reason: plant('reason of denying') })
    await verb(handler, service.id, 'sign')
    await verb(handler, service.id, 'ask-extension', { limit: '2d', reason: plant('reason of asking') })
    await ok(asked(mini, 'POST', `/v1/requests/${service.id}/urge`, { note: plant('note of urging') }))

    // refusals with all of it in them
    const words = [...planted.values()].join(' ')
    const before = told.length
    for (const [token, method, path, body] of [
      [as(grid), 'POST', '/v1/requests', { item: 'none', node: 'U', title: words.slice(0, 90), filer: { name: planted.get('title'), phone: 'x' } }],
      [as(grid), 'POST', '/v1/requests', { item: 'corridor-light', node: 'NOWHERE', title: planted.get('title'), description: words }],
      [as(grid), 'POST', '/v1/people', { name: planted.get('title'), phone: planted.get('title'), node: 'U' }],
      [as(handler), 'POST', '/v1/people', { name: planted.get('title'), phone: planted.get('phone by staff'), node: 'U' }],
      [as(handler), 'POST', `/v1/requests/${wish.id}/accept`, { note: words }],
      [as(chief), 'POST', `/v1/requests/${wish.id}/accept`, { note: words }],
      [as(loser), 'POST', `/v1/requests/${service.id}/urge`, { note: words }],
      [as(member), 'POST', `/v1/requests/${wish.id}/reveal`, { reason: 'contact', note: planted.get('title') }],
      [as(chief), 'GET', `/v1/requests/${encodeURIComponent(planted.get('openId')!)}`, undefined],
      [as(chief), 'GET', `/v1/people?phone=${planted.get('phone by staff')!}&node=NOWHERE`, undefined],
      [planted.get('openId')!, 'GET', '/v1/me', undefined],
    ] as const) expect((await asked(token, method, path, body)).status).toBeGreaterThanOrEqual(400)
    const torn = await fetch(`${origin}/v1/requests`, { method: 'POST', headers: { authorization: `Bearer ${as(grid)}`, 'content-type': 'application/json' }, body: `{"title": "${words}` })
    told.push(await torn.text())
    expect(told.length).toBeGreaterThan(before + 11)

    await verb(admin, service.id, 'grant-extension', { note: plant('note of granting') })
    await ok(asked(mini, 'POST', `/v1/requests/${service.id}/withdraw`, { reason: 'other', note: plant('note of withdrawing') }))
    await carried()

    const sinks: Record<string, string> = {
      log: logged.join('\n'), webhooks: received.join('\n'), robots: robot.said.map(({ text }) => text).join('\n'), stream, problems: told.join('\n'),
      feed: JSON.stringify(await ok(asked(as(admin), 'GET', '/v1/events?limit=100'))), wall: JSON.stringify(await ok(asked(as(loser), 'GET', '/v1/wall?tenant=TEST'))),
      inbox: JSON.stringify(await ok(asked(mini, 'GET', '/v1/me/notifications?limit=100'))), 'inbox of staff': JSON.stringify(await ok(asked(as(chief), 'GET', '/v1/me/notifications?limit=100'))),
      'people as shown': JSON.stringify(await ok(asked(as(admin), 'GET', '/v1/people?limit=100'))), 'the claimed wish, to who lost it': JSON.stringify((await asked(as(loser), 'GET', `/v1/requests/${wish.id}`)).body),
      metrics: await (await fetch(`${origin}/metrics`, { headers: { authorization: 'Bearer metrics-token-0123456789' } })).text(), redis: await redisDump(),
    }
    for (const [sink, text] of Object.entries(sinks)) expect({ sink, found: found(text) }).toEqual({ sink, found: [] })
    for (const sink of ['log', 'webhooks', 'robots', 'stream', 'feed', 'inbox', 'people as shown', 'metrics', 'problems']) expect(sinks[sink]!.length, sink).toBeGreaterThan(100)

    // At rest: words where words belong, and nothing else in clear.
    const dump = await tables()
    expect(dump.map(({ table }) => table)).toEqual(expect.arrayContaining(['public.event', 'public.outbox', 'public.idempotency', 'public.audit_entry', 'public.webhook_delivery']))
    const WORDS = ['public.text', 'public.audit_reason']
    for (const { table, text } of dump.filter(({ table }) => !WORDS.includes(table))) expect({ table, found: found(text) }).toEqual({ table, found: [] })
    const files = await stored()
    expect(found(files.toString('latin1')).concat(found(files.toString()))).toEqual([])
    expect(files.length).toBeGreaterThan(1000)
    // The search finds what is there: every word that was said.
    const said = [...planted.keys()].filter((what) => !/^(name|phone|door|openId|EXIF|file)/.test(what))
    expect(found(dump.filter(({ table }) => WORDS.includes(table)).map(({ text }) => text).join('\n')).sort()).toEqual(said.sort())
    expect(found(JSON.stringify(await ok(call(origin, mini, 'GET', '/v1/me/export')))).length).toBeGreaterThan(8)

    // Erased, all of them: nowhere.
    const people = await rows<{ id: string }>(`SELECT DISTINCT p.id FROM request r JOIN person p ON p.id IN (r."filerId", r."beneficiaryId", r."guardianId")`)
    expect(people.length).toBe(4)
    for (const { id } of people) await ok(asked(as(admin), 'POST', `/v1/people/${id}/erase`, { reason: 'asked' }))
    for (const { table, text } of await tables()) expect({ table, found: found(text) }).toEqual({ table, found: [] })
    expect(found(logged.join('\n'))).toEqual([])
    streaming.abort()
    await listening
  })
})
