import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

/** In milliseconds. */
interface Patience {
  /** A reader that takes nothing for so long is cut off. */
  stalled: number
  /** And one that does not take the last word for so long. */
  farewell: number
}

/** What nginx and caches must know. The connection is good for nothing else afterwards. */
const HEADERS = { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no', connection: 'close' }

/**
 * One connection that Server-Sent Events go out on (WHATWG HTML, 9.2). It holds no more than the socket's buffer:
 * whoever sends waits until there is room.
 */
export class EventStream {
  /** Resolves when it is over, whichever side ended it. */
  readonly closed: Promise<void>
  readonly #raw: ServerResponse
  readonly #patience: Patience

  constructor(raw: ServerResponse, headers: OutgoingHttpHeaders, patience: Patience) {
    this.#raw = raw
    this.#patience = patience
    // The reader may have hung up before we began.
    this.closed = raw.destroyed ? Promise.resolve() : new Promise((resolve) => raw.once('close', resolve))
    if (raw.destroyed) return
    raw.writeHead(200, { ...headers, ...HEADERS })
    // Not all come back at the same moment when this process stops.
    raw.write(`retry: ${1_000 + Math.floor(Math.random() * 4_000)}\n`)
  }

  get isOpen(): boolean {
    return !this.#raw.destroyed && !this.#raw.writableEnded
  }

  /** Resolves when the next may be sent. */
  async send(frame: Buffer): Promise<void> {
    if (this.isOpen && !this.#raw.write(frame)) await this.#drained()
  }

  /**
   * Keeps the connection alive, and tells the reader the place to come back to. Nothing is written while `send` waits:
   * the reader has not yet got what lies before that place.
   */
  beat(id: string): void {
    if (this.isOpen && !this.#raw.writableNeedDrain) this.#raw.write(`:\nid: ${id}\n\n`)
  }

  /** Until it is over. @param run never rejects */
  every(ms: number, run: () => void | Promise<void>): void {
    const turn = async () => {
      await run()
      if (this.isOpen) timer = setTimeout(turn, ms)
    }
    let timer = setTimeout(turn, ms)
    void this.closed.finally(() => clearTimeout(timer))
  }

  /** @param why told in a comment */
  async end(why: string): Promise<void> {
    if (!this.isOpen) return
    this.#raw.end(`: ${why}\n\n`)
    await Promise.race([this.closed, sleep(this.#patience.farewell)])
    this.#raw.destroy()
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      const raw = this.#raw
      const stalled = setTimeout(() => raw.destroy(), this.#patience.stalled)
      const go = () => {
        clearTimeout(stalled)
        raw.off('drain', go).off('close', go)
        resolve()
      }
      raw.on('drain', go).on('close', go)
    })
  }
}
