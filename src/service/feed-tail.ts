import { setTimeout as sleep } from 'node:timers/promises'
import { Problem } from '../domain/problems.ts'
import { CONFIDENTIAL, feedCursor, type FeedEntry, type FeedFilter, type FeedPage } from './events.ts'

/** So many of a tenant's newest events are at hand. */
export const KEPT = 500

/** The newest events of one tenant, held in memory while somebody reads there. */
export class Tail {
  rows: FeedEntry[] = []
  /** Every event of the tenant after this position is in `rows`; null until they were loaded. */
  floor: bigint | null = null
  readonly waiting = new Set<() => void>()
  readings = 0
  readonly ready: Promise<void>

  /** @param newest up to `KEPT` of them, in order */
  constructor(newest: Promise<FeedEntry[]>) {
    this.ready = this.#fill(newest)
  }

  async #fill(newest: Promise<FeedEntry[]>): Promise<void> {
    this.rows = await newest
    this.floor = (this.rows[0]?.position ?? 1n) - 1n
  }

  get head(): bigint {
    return this.rows.at(-1)?.position ?? this.floor ?? 0n
  }

  /** @returns undefined when some that came after `position` are no longer here */
  after(position: bigint): FeedEntry[] | undefined {
    if (this.floor === null || position < this.floor) return undefined
    let from = this.rows.length
    while (from > 0 && this.rows[from - 1]!.position > position) from--
    return this.rows.slice(from)
  }

  grow(entry: FeedEntry): void {
    this.rows.push(entry)
    if (this.rows.length > KEPT) this.floor = this.rows.shift()!.position
  }

  wake(): void {
    const woken = [...this.waiting]
    this.waiting.clear()
    for (const wake of woken) wake()
  }
}

/** As the statement of `feedPage` chooses. */
const concerns = ({ types, paths, hidden = [], discreet = false }: FeedFilter, { type, path, requestId, payload }: FeedEntry): boolean =>
  !hidden.includes(requestId) && !(discreet && payload.item === CONFIDENTIAL) && (types === null || types.includes(type)) && (paths === null || paths.some((prefix) => path.startsWith(prefix)))

const PAUSE_MS = 1_000

interface ReadingOptions {
  tail: Tail
  first: FeedPage
  filter: FeedFilter
  /** Reads a page for those who are too far behind for the tail. */
  page(after: string, filter: FeedFilter): Promise<FeedPage>
  release(): void
}

/** One reader's way through the feed. Nothing is read or kept for it before it asks. */
export class Reading {
  /** What is still to come may be filtered otherwise. */
  filter: FeedFilter
  readonly #options: ReadingOptions
  #position: bigint
  #closed = false
  #wake = (): void => {}

  constructor(options: ReadingOptions) {
    this.#options = options
    this.#position = options.first.position
    this.filter = options.filter
  }

  /** Everything up to here was given by `next`, or is not for this reader. */
  get cursor(): string {
    return feedCursor(this.#position)
  }

  /**
   * Waits for the next events, in order.
   * @returns none when the reading was closed
   * @throws Problem cursor-unusable when the feed was cut off behind us
   */
  async next(): Promise<FeedEntry[]> {
    for (let rows = this.#options.first.rows.splice(0); !this.#closed; rows = await this.#more()) if (rows.length > 0) return rows
    return []
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#options.tail.waiting.delete(this.#wake)
    this.#wake()
    this.#options.release()
  }

  async #more(): Promise<FeedEntry[]> {
    const { tail } = this.#options
    const rows = tail.after(this.#position)
    if (!rows) return this.#page()
    const last = rows.at(-1)
    if (last) this.#position = last.position
    else await new Promise<void>((resolve) => tail.waiting.add((this.#wake = resolve)))
    return rows.filter((row) => concerns(this.filter, row))
  }

  /** A database that is away is waited for. */
  async #page(): Promise<FeedEntry[]> {
    try {
      const { rows, position } = await this.#options.page(this.cursor, this.filter)
      this.#position = position
      return rows
    } catch (error) {
      if (error instanceof Problem) throw error
      await sleep(PAUSE_MS)
      return []
    }
  }
}
