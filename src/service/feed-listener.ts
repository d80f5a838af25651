import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { inTenant, tenantHere, type Db } from './db.ts'
import { FEED_COLUMNS, feedEntry, feedPage, type FeedEntry, type FeedFilter } from './events.ts'
import { KEPT, Reading, Tail } from './feed-tail.ts'
import { FEED_CHANNEL } from './relay.ts'

/** Those who are behind read the feed by themselves: so many rows (what a reader that does not read keeps us holding), and so many readers at once. */
const PAGE = 50
const CATCHING_UP = 2
/** However deaf we are. */
const POLL_MS = 1_000
const PROBE_MS = 10_000
const LONGEST_PAUSE_MS = 10_000

interface FeedListenerOptions {
  db: Db
  /** Told once per outage. */
  onError: (error: Error) => void
}

/**
 * Fans the feed out to any number of readers in this process: one statement per wake-up, whoever listens. PostgreSQL's
 * NOTIFY only makes it quicker; a poll every second finds what nobody told. Costs nothing before the first reader comes.
 */
export class FeedListener {
  readonly #db: Db
  readonly #onError: (error: Error) => void
  /** By tenant. */
  readonly #tails = new Map<string, Tail>()
  readonly #closing = new AbortController()
  readonly #catchUps = new Turns(CATCHING_UP)
  #hearing: Promise<void> | undefined
  #following: Promise<void> | undefined
  #told = (): void => {}
  #lost = (): void => {}

  constructor({ db, onError }: FeedListenerOptions) {
    this.#db = db
    this.#onError = onError
  }

  /**
   * Begins to read for the tenant of this call.
   * @param after a cursor of the feed, or `latest`
   * @throws Problem cursor-unusable
   */
  async read(after: string, filter: FeedFilter): Promise<Reading> {
    const tenantId = tenantHere()
    const tail = this.#tails.get(tenantId) ?? new Tail(this.#newest(tenantId))
    this.#tails.set(tenantId, tail)
    tail.readings++
    const release = () => { if (--tail.readings === 0) this.#tails.delete(tenantId) }
    try {
      const [first] = await Promise.all([feedPage(this.#db, after, filter, PAGE), tail.ready])
      this.#hearing ??= this.#hear()
      this.#following ??= this.#follow().finally(() => { this.#following = undefined })
      const page = (cursor: string, now: FeedFilter) => this.#catchUps.run(() => inTenant(tenantId, () => feedPage(this.#db, cursor, now, PAGE)))
      return new Reading({ tail, first, filter, page, release })
    } catch (error) {
      release()
      throw error
    }
  }

  /** Ends what goes on in the background; readings are for their readers to close. */
  async close(): Promise<void> {
    this.#closing.abort()
    this.#told()
    this.#lost()
    await Promise.all([this.#hearing, this.#following])
  }

  async #newest(tenantId: string): Promise<FeedEntry[]> {
    const { rows } = await this.#db.system.query<FeedEntry>({
      name: 'feed_newest', text: `SELECT ${FEED_COLUMNS} FROM feed WHERE "tenantId" = $1 ORDER BY position DESC LIMIT ${KEPT}`, values: [tenantId],
    })
    return rows.map(feedEntry).reverse()
  }

  /** Reads on for all tenants that have a reader, when told and every second. */
  async #follow(): Promise<void> {
    let failing = false
    while (this.#tails.size > 0 && !this.#closing.signal.aborted) {
      let told = false
      const wake = new Promise<void>((resolve) => { this.#told = () => { told = true; resolve() } })
      try {
        const full = await this.#grow()
        failing = false
        if (full || told) continue
      } catch (error) {
        if (!failing) this.#onError(error as Error)
        failing = true
      }
      await Promise.race([wake, sleep(POLL_MS, undefined, { ref: false })])
    }
  }

  /** No more at once than a tail holds, so that whoever keeps up finds all of it there. @returns whether there may be more */
  async #grow(): Promise<boolean> {
    const tails = new Map([...this.#tails].filter(([, { floor }]) => floor !== null))
    const { rows } = await this.#db.system.query<FeedEntry & { tenantId: string }>({
      name: 'feed_tails',
      text: `SELECT f.* FROM unnest($1::uuid[], $2::bigint[]) AS t(id, head) CROSS JOIN LATERAL
        (SELECT "tenantId", ${FEED_COLUMNS} FROM feed WHERE "tenantId" = t.id AND position > t.head ORDER BY position LIMIT ${KEPT}) f ORDER BY f.position`,
      values: [[...tails.keys()], [...tails.values()].map(({ head }) => head.toString())],
    })
    // The role that reads here sees every tenant: each row goes to its own and nowhere else.
    for (const { tenantId, ...row } of rows) tails.get(tenantId)?.grow(feedEntry(row))
    for (const tenantId of new Set(rows.map((row) => row.tenantId))) tails.get(tenantId)?.wake()
    return rows.length >= KEPT
  }

  /** One connection of the process does nothing but listen. When it is lost, another is made. */
  async #hear(): Promise<void> {
    let pause = 0
    while (!this.#closing.signal.aborted) {
      const client = new pg.Client({ ...this.#db.system.options, application_name: 'wish-wall feed', query_timeout: 5_000 })
      const lost = new Promise<void>((resolve) => { this.#lost = resolve })
      let error: Error | undefined
      const lose = (reason: Error) => { error ??= reason; this.#lost() }
      client.on('error', lose).on('notification', () => this.#told())
      let probe: NodeJS.Timeout | undefined
      try {
        await client.connect()
        await client.query(`LISTEN ${FEED_CHANNEL}`)
        pause = 0
        this.#told()
        probe = setInterval(() => void client.query('SELECT 1').catch(lose), PROBE_MS)
        await lost
      } catch (reason) {
        error ??= reason as Error
      }
      clearInterval(probe)
      client.end().catch(() => {})
      if (error && pause === 0) this.#onError(error)
      pause = pause === 0 ? 100 : Math.min(pause * 2, LONGEST_PAUSE_MS)
      await sleep(pause * (0.5 + Math.random() / 2), undefined, { signal: this.#closing.signal }).catch(() => {})
    }
  }
}

/** Lets so many work at once; the others wait in line. */
class Turns {
  #free: number
  readonly #line: (() => void)[] = []

  constructor(places: number) {
    this.#free = places
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve) => this.#line.push(resolve))
    try {
      return await work()
    } finally {
      const next = this.#line.shift()
      if (next) next()
      else this.#free++
    }
  }
}
