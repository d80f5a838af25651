import { errors, type Dispatcher } from 'undici'
import type { Outcome } from '../domain/webhook.ts'
import { NoAnswer } from './egress-dial.ts'

export interface Timeouts {
  /** Name, TCP and TLS. */
  readonly connectMs: number
  /** From the request to the last header of the answer. */
  readonly headersMs: number
  /** All of it: what a receiver that drips can cost. */
  readonly totalMs: number
}

export const TIMEOUTS: Timeouts = { connectMs: 5_000, headersMs: 10_000, totalMs: 20_000 }

/** Of an answer's body so much is read, and so much kept. */
const READ_BYTES = 64 * 1024
const KEPT_BYTES = 1024

export interface Post {
  readonly path: string
  readonly headers: Record<string, string>
  readonly body: string | Buffer
}

/** Each is called once. */
export interface Progress {
  /** It has a socket, or needs none any more. */
  served(): void
  /** The dispatcher has let go of it, which may be after the outcome. */
  finished(): void
}

/**
 * One POST, by undici's lowest interface: one clock of our own instead of its three (which round to half seconds and
 * do not bound the whole), nothing decompressed, nothing followed. A body that breaks off is no answer: the receiver
 * may have died over it, and a message twice is better than none.
 */
export function exchange(dispatcher: Dispatcher, { path, headers, body }: Post, { connectMs, headersMs, totalMs }: Timeouts, { served, finished }: Progress): Promise<Outcome> {
  return new Promise((resolve) => {
    const started = performance.now()
    const ms = () => Math.round(performance.now() - started)
    let controller: Dispatcher.DispatchController | undefined
    let head: { status: number; retryAfter: string | undefined; encoded: boolean } | undefined
    let isServed = false
    let settled = false
    let read = 0
    const kept: Buffer[] = []

    const begin = () => {
      if (!isServed) served()
      isServed = true
    }
    const settle = (outcome: Outcome) => {
      if (settled) return
      settled = true
      begin()
      clearTimeout(phase)
      clearTimeout(total)
      resolve(outcome)
    }
    const answered = () => {
      const { status, retryAfter, encoded } = head!
      settle({ kind: 'answer', status, ...(retryAfter === undefined ? {} : { retryAfter }), excerpt: encoded || read === 0 ? '' : excerptOf(Buffer.concat(kept)), ms: ms() })
    }
    const cut = () => controller?.abort(new Error('enough'))
    const late = () => {
      settle({ kind: 'failed', reason: 'timeout', ms: ms() })
      cut()
    }
    let phase = setTimeout(late, connectMs)
    const total = setTimeout(late, totalMs)

    dispatcher.dispatch({ path, method: 'POST', headers, body }, {
      onRequestStart(started) {
        controller = started
        if (settled) return cut()
        begin()
        clearTimeout(phase)
        phase = setTimeout(late, headersMs)
      },
      onResponseStart(_controller, status, headers) {
        // 1xx only announces, and does not stop the clock.
        if (status < 200) return
        clearTimeout(phase)
        const encoding = String(headers['content-encoding'] ?? 'identity')
        head = { status, retryAfter: [headers['retry-after'] ?? []].flat()[0]?.slice(0, 100), encoded: encoding.toLowerCase() !== 'identity' }
      },
      onResponseData(_controller, chunk) {
        // Copied: the chunk is a view of the parser's own memory.
        if (read < KEPT_BYTES) kept.push(Buffer.from(chunk.subarray(0, KEPT_BYTES - read)))
        read += chunk.length
        if (read < READ_BYTES) return
        answered()
        cut()
      },
      onResponseEnd() {
        answered()
        finished()
      },
      onResponseError(_controller, error) {
        settle(outcomeOf(error, ms()))
        finished()
      },
    })
  })
}

function outcomeOf(error: Error & { code?: unknown }, ms: number): Outcome {
  if (error instanceof NoAnswer) return error.why.kind === 'refused' ? error.why : { ...error.why, ms }
  const code = String(error.code)
  if (/^(ERR_SSL|ERR_TLS|EPROTO)/.test(code)) return { kind: 'failed', reason: 'tls', ms }
  // What the parser refuses (its errors have no code in undici 7), and what undici itself will not send or take; a socket that ends is not among it.
  const isProtocol = error instanceof errors.HTTPParserError || (code.startsWith('UND_ERR_') && !/^UND_ERR_(SOCKET|DESTROYED|CLOSED|ABORTED|INFO)$/.test(code))
  return { kind: 'failed', reason: isProtocol ? 'protocol' : 'reset', ms }
}

/** Text for a log that people read: one line, nothing that moves a cursor, nothing PostgreSQL refuses. */
function excerptOf(bytes: Buffer): string {
  // What cannot be decoded goes too, and with it the half of a character at the end.
  return new TextDecoder().decode(bytes).replace(/[\t\n\r\p{Z}]+/gu, ' ').replace(/[\p{C}\ufffd]/gu, '').trim()
}
