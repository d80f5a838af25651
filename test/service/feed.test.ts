import { setTimeout as sleep } from 'node:timers/promises'
import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import type { Actor, PersonActor } from '../../src/domain/actor.ts'
import { Problem } from '../../src/domain/problems.ts'
import { encodeCursor } from '../../src/service/cursor.ts'
import type { Db } from '../../src/service/db.ts'
import { feed, feedFilter } from '../../src/service/events.ts'
import { FeedListener } from '../../src/service/feed-listener.ts'
import { KEPT, type Reading } from '../../src/service/feed-tail.ts'
import { relayOnce } from '../../src/service/relay.ts'
import { act, file } from '../../src/service/requests.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'

/** The feed is complete and in order, whoever commits late, and however it is read. */

let database: TestDatabase
let town: TestPlace
let resident: PersonActor, staff: PersonActor
let app: Actor
const db = (): Db => database.db

beforeAll(async () => {
  database = await freshDatabase({ connections: 20 })
  town = await testPlace(database)
  ;[resident, staff, app] = await Promise.all([town.person(), town.person({ can: ['view', 'dispatch', 'publish'] }), town.app()])
})
afterAll(() => database.drop())

const wish = (node = 'U', on: Db = db(), where = town, by = resident) => where.inside(() => file(on, { item: 'companionship', title: '心愿', node }, by))
const relayed = async (batch?: number) => { while ((await relayOnce(db(), batch)).moved > 0); }

type Page = Awaited<ReturnType<typeof feed>>
const read = (query: Partial<Parameters<typeof feed>[1]> = {}, actor: Actor = app, where = town): Promise<Page> => where.inside(() => feed(db(), { limit: 100, ...query }, actor))
/** From a cursor to the end, page by page. */
async function readAll(query: Partial<Parameters<typeof feed>[1]> = {}, actor: Actor = app): Promise<{ data: Page['data']; pages: number; cursor: string }> {
  const data: Page['data'] = []
  for (let pages = 1, after = query.after; ; pages++) {
    const page = await read({ ...query, after }, actor)
    data.push(...page.data)
    expect(page.page.nextCursor).toEqual(expect.stringMatching(/^[\w-]+$/))
    after = page.page.nextCursor
    if (!page.page.hasMore) return { data, pages, cursor: after }
  }
}
const latest = async () => (await read({ after: 'latest' })).page.nextCursor
const refused = (query: object) => read(query).then(() => 'answered', (error: unknown) => (error instanceof Problem ? error.code : error))

/** A service call whose transaction stays open: everything is written, nobody sees it. */
async function held<T>(work: (on: Db) => Promise<T>): Promise<{ done: T; end(how: 'COMMIT' | 'ROLLBACK'): Promise<void> }> {
  return town.inside(async () => {
    const client = await db().app.connect()
    await client.query('BEGIN')
    const done = await work({ ...db(), app: client as unknown as Db['app'] })
    return { done, end: async (how) => {
      await client.query(how)
      client.release()
    } }
  })
}
/** Numbers are leased outside of such a transaction. */
let numbers = 0
const heldWish = () => held((on) => file(on, { item: 'companionship', title: '迟来的心愿', node: 'U' }, resident, { number: `WX20200101-${String(++numbers).padStart(6, '0')}` }))

/** The whole feed as the database has it. */
async function truth(since = '0') {
  const { rows } = await database.owner.query<{ position: string; requestId: string; seq: number; id: string; at: Date }>(
    'SELECT position, "requestId", seq, id, at FROM feed WHERE "tenantId" = $1 AND position > $2 ORDER BY position', [town.tenantId, since])
  return rows
}
const newest = async () => (await truth()).at(-1)?.position ?? '0'

/** Requests whose events come in another order than they happened, or not all of them. */
const disordered = (rows: { requestId: string; seq: number }[]): string[] => {
  const next = new Map<string, number>()
  return rows.flatMap(({ requestId, seq }) => {
    const expected = (next.get(requestId) ?? 0) + 1
    next.set(requestId, seq)
    return seq === expected ? [] : [`${requestId} ${seq} where ${expected} was due`]
  })
}

describe('a late commit', () => {
  test('is not skipped: it gets its place when it is seen, after those that overtook it', async () => {
    await wish()
    await relayed()
    const start = await latest()
    const late = await heldWish()
    await sleep(5)
    const overtaking: string[] = []
    for (let n = 0; n < 2; n++) {
      overtaking.push((await wish()).id)
      expect((await relayOnce(db())).moved).toBe(1)
    }
    expect(await relayOnce(db())).toMatchObject({ moved: 0 })
    const before = await readAll({ after: start })
    expect(before.data.map(({ requestId }) => requestId)).toEqual(overtaking)

    await late.end('COMMIT')
    expect((await relayOnce(db())).moved).toBe(1)
    const after = await readAll({ after: before.cursor })
    expect(after.data.map(({ requestId }) => requestId)).toEqual([late.done.id])
    expect((await readAll({ after: start })).data.map(({ requestId }) => requestId)).toEqual([...overtaking, late.done.id])
    // it did happen before them: an order by time, or by the order of writing, would have lost it
    expect(after.data[0]!.occurredAt < before.data[0]!.occurredAt).toBe(true)
  })

  test('that is rolled back leaves nothing behind, and does not hold up the rest', async () => {
    const start = await latest()
    const late = await heldWish()
    const other = await wish()
    await relayed()
    await late.end('ROLLBACK')
    await relayed()
    expect((await readAll({ after: start })).data.map(({ requestId }) => requestId)).toEqual([other.id])
  })
})

describe('two relays', () => {
  test('never work at the same time: a position that is not yet to be seen has none after it', async () => {
    const start = await latest()
    const first = await wish()
    const slow = await db().system.connect()
    await slow.query('BEGIN')
    expect((await relayOnce({ ...db(), system: slow as unknown as Db['system'] })).moved).toBe(1)
    const second = await wish()
    expect(await relayOnce(db())).toMatchObject({ moved: 0 })
    expect((await readAll({ after: start })).data).toEqual([])
    await slow.query('COMMIT')
    slow.release()
    expect((await relayOnce(db())).moved).toBe(1)
    expect((await readAll({ after: start })).data.map(({ requestId }) => requestId)).toEqual([first.id, second.id])
  })

  test('of which one dies half way: what it had moved is moved by the other', async () => {
    const start = await latest()
    const { id } = await wish()
    const doomed = await db().system.connect()
    doomed.on('error', () => {})
    await doomed.query('BEGIN')
    await relayOnce({ ...db(), system: doomed as unknown as Db['system'] })
    const { rows: [backend] } = await doomed.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
    await database.owner.query('SELECT pg_terminate_backend($1)', [backend!.pid])
    doomed.release(true)
    await vi.waitFor(async () => expect((await relayOnce(db())).moved).toBe(1), 5_000)
    expect((await readAll({ after: start })).data.map(({ requestId }) => requestId)).toEqual([id])
  })
})

describe('with writers, late commits, two relays and readers at once', () => {
  test('every event comes once, in the order of positions, and each request in the order of its history', async () => {
    const [start, from] = [await latest(), await newest()]
    const listener = new FeedListener({ db: db(), onError: () => {} })
    const live = await town.inside(() => listener.read('latest', { types: null, paths: null }))
    const written = new AbortController()
    const heard: { requestId: string; seq: number; id: string }[] = []
    const listening = (async () => {
      for (let rows = await live.next(); rows.length > 0; rows = await live.next()) heard.push(...rows)
    })()
    const polled: Page['data'] = []
    const polling = (async () => {
      for (let after = start, more = true; more || !written.signal.aborted;) {
        const page = await read({ after, limit: 7 })
        polled.push(...page.data)
        ;({ nextCursor: after, hasMore: more } = page.page)
      }
    })()
    const relaying = [3, 8].map(async (batch) => {
      while (!written.signal.aborted) if ((await relayOnce(db(), batch)).moved === 0) await sleep(2)
    })
    const writers = Array.from({ length: 6 }, async (_, writer) => {
      for (let round = 0; round < 12; round++) {
        if (writer === 0) {
          const late = await heldWish()
          await sleep(Math.random() * 60)
          await late.end(round % 3 === 2 ? 'ROLLBACK' : 'COMMIT')
        } else {
          const { id } = await wish()
          await town.inside(async () => {
            await act(db(), 'accept', id, {}, staff)
            await act(db(), 'place', id, {}, staff)
            await act(db(), 'withdraw', id, {}, resident)
          })
        }
      }
    })
    await Promise.all(writers)
    written.abort()
    await Promise.all(relaying)
    await relayed()
    await polling
    const { rows: [event] } = await database.owner.query<{ n: number }>('SELECT count(*)::int AS n FROM event WHERE "tenantId" = $1', [town.tenantId])
    const fed = await truth(from)
    expect((await truth()).length).toBe(event!.n)
    expect(fed.length).toBe(5 * 12 * 4 + 8)
    expect(disordered(fed)).toEqual([])
    const order = fed.map(({ id }) => id)
    const rest = await readAll({ after: start, limit: 9 })
    expect(rest.data.map(({ id }) => id)).toEqual(order)
    // whoever polled meanwhile has a part of it, without a hole
    expect(polled.map(({ id }) => id)).toEqual(order.slice(0, polled.length))
    expect(polled.length).toBeGreaterThan(order.length / 2)
    await vi.waitFor(() => expect(heard.map(({ id }) => id)).toEqual(order), 5_000)
    live.close()
    await listening
    await listener.close()
  })

  test('a clock that is set back does not turn a request\'s history round', async () => {
    const from = await newest()
    const { id } = await wish()
    await database.setClock(new Date().toISOString(), '-1 hour')
    await town.inside(() => act(db(), 'accept', id, {}, staff))
    await database.setClock(new Date().toISOString(), '-2 hours')
    await town.inside(() => act(db(), 'place', id, {}, staff))
    await relayed(1)
    await database.setClock(new Date().toISOString())
    expect((await truth(from)).map(({ seq }) => seq)).toEqual([1, 2, 3])
  })
})

describe('page by page', () => {
  let start: string
  let order: string[]
  beforeAll(async () => {
    await relayed()
    start = await latest()
    const from = await newest()
    for (const node of ['U', 'B', 'P', 'C', 'U', 'B', 'P', 'U', 'U', 'C']) {
      const { id } = await wish(node)
      await town.inside(() => act(db(), 'withdraw', id, {}, resident))
    }
    await relayed(4)
    order = (await truth(from)).map(({ id }) => id)
  })

  test.each([1, 2, 3, 7, 19, 20, 21, 100])('%i at a time: each event once, in order, over every change of digits', async (limit) => {
    const all = await readAll({ limit })
    expect(all.data.map(({ id }) => id)).toEqual((await truth()).map(({ id }) => id))
    const { data, pages } = await readAll({ after: start, limit })
    expect(data.map(({ id }) => id)).toEqual(order)
    expect(pages).toBe(Math.max(1, Math.ceil(20 / limit)))
  })

  test('the last page and an empty one say where to go on, and what comes later is found from there', async () => {
    const { cursor } = await readAll({ after: start })
    const empty = await read({ after: cursor })
    expect(empty).toEqual({ data: [], page: { nextCursor: cursor, hasMore: false } })
    expect(await latest()).toBe(cursor)
    const { id } = await wish()
    await relayed()
    expect((await read({ after: cursor })).data.map(({ requestId }) => requestId)).toEqual([id])
  })

  test('an empty feed says where to go on, too', async () => {
    const other = await testPlace(database, {}, 'EMPTY')
    const mine = await other.app()
    for (const after of [undefined, 'latest']) {
      const { data, page } = await read({ after }, mine, other)
      expect([data, page.hasMore]).toEqual([[], false])
      expect((await read({ after: page.nextCursor }, mine, other)).data).toEqual([])
    }
  })

  test('a type: each match once, and the place moves on past what does not match', async () => {
    for (const limit of [1, 3, 100]) {
      const { data, cursor } = await readAll({ after: start, types: ['request.withdrawn'], limit })
      expect(data).toHaveLength(10)
      expect(new Set(data.map(({ type }) => type))).toEqual(new Set(['request.withdrawn']))
      expect(cursor).toBe(await latest())
    }
    const none = await read({ after: start, types: ['request.escalated'] })
    expect(none).toEqual({ data: [], page: { nextCursor: await latest(), hasMore: false } })
  })

  test('a place: what happened at it and below, each once', async () => {
    const matches = async (node: string, actor: Actor = app) => {
      const { data, cursor } = await readAll({ after: start, node, limit: 3 }, actor)
      expect(cursor).toBe(await latest())
      return data.length
    }
    const later = (await readAll({ after: start })).data.length - 20
    expect([await matches('S'), await matches('P'), await matches('B'), await matches(town.node.U)]).toEqual([20 + later, 16 + later, 12 + later, 8 + later])
    const head = await town.person({ at: 'B', can: ['view'] })
    expect((await readAll({ after: start, limit: 3 }, head)).data).toHaveLength(12 + later)
    expect(await matches('U', head)).toBe(8 + later)
    const refusals = await Promise.all(['P', 'nowhere'].map((node) => read({ node }, head).catch(({ code }: Problem) => code)))
    expect(refusals).toEqual(['not-found', 'not-found'])
    await expect(read({}, resident)).rejects.toMatchObject({ code: 'forbidden' })
  })

  test.each([
    ['words', 'garbage'], ['nothing', ''], ['a number that is not ours', '42'], ['a cursor of another list', encodeCursor('2026-11-21T00:00:00.000Z|0195f2a0-7c1e-7abc-8def-0123456789ab')],
    ['a negative position', encodeCursor('-1')], ['a fraction', encodeCursor('1.5')], ['SQL', encodeCursor('1; DROP TABLE feed')], ['a place ahead of the feed', encodeCursor('999999999')],
    ['a place past bigint', encodeCursor('9'.repeat(19))], ['and further', encodeCursor('9'.repeat(300))],
  ])('%s is 410', async (_, after) => {
    expect(await refused({ after })).toBe('cursor-unusable')
  })

  test('another tenant\'s cursor is 410 here', async () => {
    const other = await testPlace(database, {}, 'OTHER')
    await wish('U', db(), other, await other.person())
    await relayed()
    const theirs = (await read({ after: 'latest' }, await other.app(), other)).page.nextCursor
    await wish()
    await relayed()
    expect(await refused({ after: theirs })).toBe('cursor-unusable')
  })
})

describe('what is rare', () => {
  test('is found after pages without a match: none looks at more than 50,000 events, and the place moves on', async () => {
    const other = await testPlace(database, {}, 'LARGE')
    const mine = await other.app()
    const { id } = await wish('U', db(), other, await other.person())
    await relayed()
    await database.owner.query(`INSERT INTO feed SELECT "tenantId", nextval('feed_position'), gen_random_uuid(), "requestId", seq, 'request.reminded', at, path, payload FROM feed, generate_series(1, 51000) WHERE "requestId" = $1`, [id])
    await wish('U', db(), other, await other.person())
    await relayed()
    const pages: [number, boolean][] = []
    for (let after: string | undefined = (await read({ limit: 1 }, mine, other)).page.nextCursor, more = true; more;) {
      const { data, page }: Page = await read({ after, types: ['request.filed'] }, mine, other)
      pages.push([data.length, page.hasMore])
      ;({ nextCursor: after, hasMore: more } = page)
    }
    expect(pages).toEqual([[0, true], [1, false]])
    // without a filter no page looks at more than it gives
    const started = performance.now()
    expect((await read({ limit: 2 }, mine, other)).data).toHaveLength(2)
    expect(performance.now() - started).toBeLessThan(1_000)
  })
})

describe('listening', () => {
  /** What one reading gets until it is closed. */
  function collect(reading: Reading) {
    const got: string[] = []
    const done = (async () => {
      for (let rows = await reading.next(); rows.length > 0; rows = await reading.next()) got.push(...rows.map(({ id }) => id))
    })()
    return { got, close: async () => { reading.close(); await done } }
  }
  function listen() {
    const listener = new FeedListener({ db: db(), onError: () => {} })
    const open: { close(): Promise<void> }[] = []
    onTestFinished(async () => {
      await Promise.all(open.map((one) => one.close()))
      await listener.close()
    })
    const from = async (where: TestPlace, actor: Actor, query: { after?: string; types?: string[]; node?: string } = {}) => where.inside(async () => {
      const reading = await listener.read(query.after ?? 'latest', await feedFilter(db(), query, actor))
      const one = collect(reading)
      open.push(one)
      return { ...one, reading }
    })
    return { from }
  }
  const eventsOf = async (where: TestPlace, ...ids: string[]) => {
    const { rows } = await database.owner.query<{ id: string }>('SELECT id FROM feed WHERE "tenantId" = $1 AND "requestId" = ANY ($2) ORDER BY position', [where.tenantId, ids])
    return rows.map(({ id }) => id)
  }

  test('each hears its tenant, its places and its types, and nothing else', async () => {
    const other = await testPlace(database, {}, 'NEXT')
    const [theirs, theirApp, head] = [await other.person(), await other.app(), await town.person({ at: 'B', can: ['view'] })]
    const { from } = listen()
    const [all, whole, below, atU, withdrawn, foreign] = await Promise.all([
      from(town, app), from(town, staff), from(town, head), from(town, app, { node: 'U' }), from(town, app, { types: ['request.withdrawn'] }), from(other, theirApp),
    ])
    const [p, b, u] = [await wish('P'), await wish('B'), await wish('U')]
    const x = await wish('U', db(), other, theirs)
    await town.inside(() => act(db(), 'withdraw', u.id, {}, resident))
    await relayed()
    const [ofAll, ofBoth, ofU, ofX] = [await eventsOf(town, p.id, b.id, u.id), await eventsOf(town, b.id, u.id), await eventsOf(town, u.id), await eventsOf(other, x.id)]
    await vi.waitFor(() => {
      expect(all.got).toEqual(ofAll)
      expect(foreign.got).toEqual(ofX)
    }, 5_000)
    await sleep(50)
    expect(whole.got).toEqual(ofAll) // staff at P, where all of it happened
    expect(below.got).toEqual(ofBoth)
    expect(atU.got).toEqual(ofU)
    expect(withdrawn.got).toEqual(ofU.slice(1))
    expect(foreign.got).toEqual(ofX)
    // nothing matched, the place moved on all the same: both ways of reading agree where that is
    expect(withdrawn.reading.cursor).toBe(await latest())
    expect(all.reading.cursor).toBe(await latest())
  })

  test('from a cursor: first what was missed, then what comes, each once', async () => {
    const start = await latest()
    const missed = [await wish(), await wish()]
    await relayed()
    const { from } = listen()
    const [behind, now] = await Promise.all([from(town, app, { after: start }), from(town, app)])
    const coming = await wish()
    await relayed()
    const expected = await eventsOf(town, ...missed.map(({ id }) => id), coming.id)
    await vi.waitFor(() => expect(behind.got).toEqual(expected), 5_000)
    await vi.waitFor(() => expect(now.got).toEqual(expected.slice(2)), 5_000)
  })

  test('a hundred readers cost one statement per wake-up, not one each', async () => {
    const { from } = listen()
    const readers = await Promise.all(Array.from({ length: 100 }, () => from(town, app)))
    await sleep(50)
    const [onSystem, onApp] = [vi.spyOn(db().system, 'query'), vi.spyOn(db().app, 'query')]
    onTestFinished(() => { onSystem.mockRestore(); onApp.mockRestore() })
    // Moved by hand, so that what is counted is the listener's.
    const ids = await Promise.all(Array.from({ length: 5 }, () => wish())).then((made) => made.map(({ id }) => id))
    onSystem.mockClear()
    onApp.mockClear()
    await relayed()
    const expected = await eventsOf(town, ...ids)
    await vi.waitFor(() => { for (const { got } of readers) expect(got).toEqual(expected) }, 5_000)
    const names = (spy: typeof onSystem) => spy.mock.calls.map(([query]) => (query as unknown as { name?: string }).name)
    expect(names(onApp)).toEqual([])
    expect(names(onSystem).filter((name) => name === 'feed_tails').length).toBeLessThan(10)
  })

  test('a reader that is away for longer than the tail reaches back reads on by itself, and misses nothing', async () => {
    const { from } = listen()
    const awake = await from(town, app)
    const sleeper = await town.inside(async () => {
      const listener = new FeedListener({ db: db(), onError: () => {} })
      onTestFinished(() => listener.close())
      return listener.read('latest', { types: null, paths: null })
    })
    const at = await newest()
    const { id } = await wish()
    await relayed()
    await database.owner.query(`INSERT INTO feed SELECT "tenantId", nextval('feed_position'), gen_random_uuid(), "requestId", seq, type, at, path, payload FROM feed, generate_series(1, $2) WHERE "requestId" = $1`, [id, KEPT * 3 + 7])
    await database.owner.query(`SELECT pg_notify('wishwall_feed', '')`)
    const expected = (await truth(at)).map((row) => row.id)
    expect(expected).toHaveLength(KEPT * 3 + 8)
    await vi.waitFor(() => expect(awake.got).toEqual(expected), 10_000)
    const slept = collect(sleeper)
    await vi.waitFor(() => expect(slept.got).toEqual(expected), 10_000)
    await slept.close()
  })

  test('nobody tells it, and the poll finds it within seconds; told, it is a matter of milliseconds', async () => {
    const { from } = listen()
    const reader = await from(town, app)
    await vi.waitFor(async () => expect((await database.owner.query(`SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'wish-wall feed'`)).rowCount).toBe(1), 5_000)
    await sleep(1_100) // between two polls
    const { id } = await wish()
    const told = performance.now()
    await relayed()
    await vi.waitFor(() => expect(reader.got).toHaveLength(1), { timeout: 5_000, interval: 5 })
    expect(performance.now() - told).toBeLessThan(800)
    // as the relay does it, without its NOTIFY
    await database.owner.query(`INSERT INTO feed SELECT "tenantId", nextval('feed_position'), $2, "requestId", seq, type, at, path, payload FROM feed WHERE "requestId" = $1`, [id, uuidv7()])
    await vi.waitFor(() => expect(reader.got).toHaveLength(2), { timeout: 5_000, interval: 5 })
  })

  test('its connections are cut: it says so once, hears again, and nothing is missing', async () => {
    const errors: Error[] = []
    const listener = new FeedListener({ db: db(), onError: (error) => errors.push(error) })
    onTestFinished(() => listener.close())
    const reader = collect(await town.inside(() => listener.read('latest', { types: null, paths: null })))
    const made: string[] = []
    const ears = async () => (await database.owner.query<{ pid: number }>(`SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'wish-wall feed'`)).rows
    for (let cut = 0; cut < 3; cut++) {
      await vi.waitFor(async () => expect(await ears()).toHaveLength(1), 5_000)
      await database.owner.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name IN ('wish-wall feed', 'wish-wall system')`)
      made.push((await wish()).id)
      await vi.waitFor(relayed, 5_000)
    }
    const expected = await eventsOf(town, ...made)
    await vi.waitFor(() => expect(reader.got).toEqual(expected), 5_000)
    expect(errors.length).toBeGreaterThanOrEqual(3)
    await vi.waitFor(async () => expect(await ears()).toHaveLength(1), 5_000)
    await reader.close()
    await listener.close()
    await vi.waitFor(async () => expect(await ears()).toHaveLength(0), 5_000)
  })

  test('the last reader of a tenant takes its tail along; the next one finds all that came since', async () => {
    const { from } = listen()
    const first = await from(town, app)
    const { cursor } = first.reading
    await first.close()
    const { id } = await wish()
    await relayed()
    const second = await from(town, app, { after: cursor })
    await vi.waitFor(() => expect(second.got).toHaveLength(1), 5_000)
    expect(second.got).toEqual(await eventsOf(town, id))
  })
})
