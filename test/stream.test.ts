import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, EventSource } from 'undici'
import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../src/domain/actor.ts'
import { file } from '../src/service/requests.ts'
import { freshDatabase, type TestDatabase } from './database.ts'
import { listen, type Listening } from './event-source.ts'
import { testPlace, type TestPlace } from './place.ts'
import { call, eventually, startProcess, tokenFor, type Running } from './processes.ts'

/** The stream over HTTP, with api and worker as real processes. */

const LISTENERS = Number(process.env.LISTENERS ?? 1000)

let database: TestDatabase
let town: TestPlace
let api: Running, worker: Running
let resident: PersonActor, staff: PersonActor
/** As many people as listeners: each is looked after by itself. */
const people = Array.from({ length: LISTENERS }, () => uuidv7())
const open: Listening[] = []
/** Open for as long as the api runs. */
let first: Listening
let firstAt: number
const env = () => ({ DATABASE_URL: database.url, LOG_LEVEL: 'info' })

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database)
  ;[resident, staff] = await Promise.all([town.person(), town.person({ can: ['view'] })])
  await database.owner.query('INSERT INTO subject ("tenantId", id) SELECT $1, unnest($2::uuid[])', [town.tenantId, people])
  await database.owner.query('INSERT INTO person ("tenantId", id, "subjectId") SELECT $1, p, p FROM unnest($2::uuid[]) p', [town.tenantId, people])
  await database.owner.query(`INSERT INTO duty ("tenantId", id, "personId", "roleCode", "nodeId", "from") SELECT $1, gen_random_uuid(), p, 'role-view', $3, '2020-01-01Z' FROM unnest($2::uuid[]) p`, [town.tenantId, people, town.node.P])
  ;[api, worker] = await Promise.all([startProcess('api', env()), startProcess('worker', env())])
  first = await listener()
  firstAt = performance.now()
})
afterAll(async () => {
  for (const one of open) one.close()
  await Promise.all([api.stop(), worker.stop()])
  await database.drop()
})

async function listener(person = staff.id, headers: Record<string, string> = {}): Promise<Listening> {
  const one = await listen(api.origin, tokenFor(town.tenantId, person), '', headers)
  expect(one.status).toBe(200)
  open.push(one)
  return one
}

const wish = () => town.inside(() => file(database.db, { item: 'companionship', title: '心愿', node: 'U' }, resident))
const ids = ({ heard }: Listening) => heard.map(({ data }) => data.id as string)
const memory = () => Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${api.child.pid}/status`, 'utf8'))![1]) / 1024)
/** Hundredths of a second that the api has worked. */
const cpu = () => readFileSync(`/proc/${api.child.pid}/stat`, 'utf8').split(') ')[1]!.split(' ').slice(11, 13).reduce((sum, ticks) => sum + Number(ticks), 0)
const quantile = (values: number[], q: number) => Math.round(values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) * q)]!)
const queries = async () => Number((await database.owner.query<{ n: string }>(`SELECT xact_commit AS n FROM pg_stat_database WHERE datname = current_database()`)).rows[0]!.n)

/** Files wishes and waits until all have heard them. @returns milliseconds from the commit of each to each listener */
async function told(listeners: Listening[], count: number, everyMs: number): Promise<number[]> {
  const before = listeners.map(({ heard }) => heard.length)
  const committed = new Map<string, number>()
  for (let n = 0; n < count; n++) {
    const { id } = await wish()
    committed.set(id, performance.now())
    await sleep(everyMs)
  }
  await eventually(async () => listeners.every(({ heard }, index) => heard.length === before[index]! + count))
  return listeners.flatMap(({ heard }, index) => heard.slice(before[index]).map(({ data, at }) => at - committed.get(data.requestId as string)!))
}

describe('from commit to listener', () => {
  test('well below a second', async () => {
    const few = [first, ...(await Promise.all(Array.from({ length: 4 }, () => listener())))]
    await told(few, 1, 0)
    const latencies = await told(few, 30, 40)
    console.log(`5 listeners: p50 ${quantile(latencies, 0.5)} ms, p99 ${quantile(latencies, 0.99)} ms from commit to listener`)
    expect(quantile(latencies, 0.99)).toBeLessThan(5_000)
  })
})

describe(`${LISTENERS} listeners on one process`, () => {
  const crowd: Listening[] = []

  test('all hear of every event, for one statement each', async () => {
    const before = memory()
    const started = performance.now()
    for (let at = 0; at < LISTENERS; at += 50) crowd.push(...(await Promise.all(people.slice(at, at + 50).map((person) => listener(person)))))
    const opened = Math.round(performance.now() - started)
    const held = memory() - before
    const latencies = await told(crowd, 10, 100)
    const [idle, busy] = [await queries(), cpu()]
    await sleep(2_000)
    const [perSecond, load] = [Math.round((await queries() - idle) / 2), Math.round((cpu() - busy) / 2)]
    console.log(`${LISTENERS} listeners: opened in ${opened} ms, ${held} MB (${Math.round((held * 1024) / LISTENERS)} kB each), p50 ${quantile(latencies, 0.5)} ms, p99 ${quantile(latencies, 0.99)} ms, ${perSecond} transactions/s and ${load} % of a core while nothing happens`)
    expect(latencies).toHaveLength(LISTENERS * 10)
    expect(quantile(latencies, 0.99)).toBeLessThan(5_000)
  })

  test('none notices that the connection which listens is cut', async () => {
    const cut = await eventually(async () => {
      const { rows } = await database.owner.query<{ pid: number; cut: boolean }>(`SELECT pid, pg_terminate_backend(pid) AS cut FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'wish-wall feed'`)
      return rows.length > 0 && rows
    })
    expect(cut).toHaveLength(1)
    expect(quantile(await told(crowd, 3, 50), 0.99)).toBeLessThan(5_000)
    const { rows: [now] } = await eventually(async () => {
      const found = await database.owner.query<{ pid: number }>(`SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'wish-wall feed'`)
      return found.rows.length === 1 && found
    })
    expect(now!.pid).not.toBe(cut[0]!.pid)
    expect(api.log().match(/the feed is not heard/g)).toHaveLength(1)
    const order = ids(crowd[0]!)
    expect(order).toHaveLength(13)
    for (const one of crowd) expect(ids(one)).toEqual(order)
  })

  test('and they leave without a trace', async () => {
    for (const one of crowd) one.close()
    await eventually(async () => {
      const { rows } = await database.owner.query(`SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'wish-wall app' AND state = 'active'`)
      return rows.length === 0
    })
    // no timeout of the server has ended the one that was there from the beginning
    await sleep(Math.max(0, 11_000 - (performance.now() - firstAt)))
    await told([first], 1, 0)
  })
})

describe('a listener that does not read', () => {
  test('costs the process no memory and the others nothing', async () => {
    const [stuck, awake] = [await listener(), await listener()]
    const { id } = await wish()
    await eventually(async () => awake.heard.length === 1 && stuck.heard.length === 1)
    stuck.pause()
    const before = memory()
    const count = 5_000
    await database.owner.query(`INSERT INTO feed SELECT "tenantId", nextval('feed_position'), gen_random_uuid(), "requestId", seq, type, at, path, payload || jsonb_build_object('item', repeat('x', 3000)) FROM feed, generate_series(1, $2) WHERE "requestId" = $1`, [id, count])
    const started = performance.now()
    await eventually(async () => awake.heard.length === count + 1, 50_000)
    const grown = memory() - before
    console.log(`${count} events of 3 kB past a listener that does not read: ${Math.round(performance.now() - started)} ms for the other, ${grown} MB more memory`)
    expect(grown).toBeLessThan(100)
    stuck.resume()
    await eventually(async () => stuck.heard.length === count + 1, 50_000)
    expect(ids(stuck)).toEqual(ids(awake))
    for (const one of [stuck, awake]) one.close()
  })
})

describe('kill -9 of api and worker', () => {
  test('whoever comes back with the last id has everything once, and an EventSource does so by itself', async () => {
    const { data, page } = (await call(api.origin, tokenFor(town.tenantId, staff.id), 'GET', '/v1/events?after=latest')).body
    expect(data).toEqual([])
    const own: string[] = []
    const sources = Array.from({ length: 3 }, () => {
      const authorization = `Bearer ${tokenFor(town.tenantId, staff.id)}`
      const dispatcher = new Agent().compose((dispatch) => (options, handler) => dispatch({ ...options, headers: { ...(options.headers as object), authorization } }, handler))
      const source = new EventSource(`${api.origin}/v1/events/stream`, { node: { dispatcher } } as never)
      const heard: string[] = []
      source.addEventListener('request.filed', (event) => heard.push((JSON.parse((event as unknown as { data: string }).data) as { requestId: string }).requestId))
      return { source, heard }
    })
    await eventually(async () => sources.every(({ source }) => source.readyState === 1))
    let mine = await listener()
    const written = new Set<string>()
    const enough = new AbortController()
    const writer = (async () => {
      while (!enough.signal.aborted) {
        written.add((await wish()).id)
        await sleep(15)
      }
    })()
    await sleep(700)
    await Promise.all([api.stop('SIGKILL'), worker.stop('SIGKILL'), mine.ended])
    own.push(...mine.heard.map((event) => event.data.requestId as string))
    ;[api, worker] = await Promise.all([startProcess('api', { ...env(), PORT: new URL(api.origin).port }), startProcess('worker', env())])
    mine = await listener(staff.id, { 'last-event-id': mine.lastId() })
    await sleep(300)
    enough.abort()
    await writer
    await eventually(async () => own.length + mine.heard.length === written.size)
    expect([...own, ...mine.heard.map((event) => event.data.requestId as string)].toSorted()).toEqual([...written].toSorted())
    await eventually(async () => sources.every(({ heard }) => heard.length >= written.size))
    for (const { source, heard } of sources) {
      source.close()
      expect(heard.toSorted()).toEqual([...written].toSorted())
    }
    // by polling from where it began: the same, in the same order
    const polled: string[] = []
    for (let after = page.nextCursor as string, more = true; more;) {
      const { body } = await call(api.origin, tokenFor(town.tenantId, staff.id), 'GET', `/v1/events?after=${after}&limit=100`)
      polled.push(...(body.data as { requestId: string }[]).map(({ requestId }) => requestId))
      ;({ nextCursor: after, hasMore: more } = body.page)
    }
    expect(polled).toEqual([...own, ...mine.heard.map((event) => event.data.requestId as string)])
    console.log(`${written.size} events over the kill: none missing, none twice`)
  })
})

test('SIGTERM ends every stream with a word, and the process without a delay', async () => {
  const streams = await Promise.all(Array.from({ length: 20 }, () => listener()))
  const started = performance.now()
  await api.stop()
  const ms = Math.round(performance.now() - started)
  expect(api.child.exitCode).toBe(0)
  expect(ms).toBeLessThan(5_000)
  for (const { comments } of streams) expect(comments.at(-1)).toBe('the server stops, come back')
})
