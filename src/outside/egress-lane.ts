import { Pool } from 'undici'
import type { Outcome } from '../domain/webhook.ts'
import { dial, type Line } from './egress-dial.ts'
import { exchange, TIMEOUTS, type Post, type Timeouts } from './egress-exchange.ts'
import type { Target } from './egress-target.ts'

/** The sockets of one origin. All were dialled here, hence to checked addresses, and serve no other host. */
export interface Lane {
  /** @param rested called when the lane has let go of the request, which may be after the outcome */
  post(post: Post, timeouts: Timeouts, rested: () => void): Promise<Outcome>
  busy(): boolean
  /** Cuts what is under way. */
  close(): Promise<void>
}

export function openLane(target: Target, line: Line): Lane {
  const dialling = new Set<AbortController>()
  let running = 0
  /** Posts without a socket. */
  let waiting = 0
  const hangUp = () => {
    for (const one of dialling) one.abort()
  }

  const pool = new Pool(target.origin, {
    connect: (_options, connected) => {
      // undici dials once more for a request that was cut, only to find it cut.
      if (waiting === 0) return queueMicrotask(() => connected(new Error('nobody waits'), null))
      const stop = new AbortController()
      const timer = setTimeout(() => stop.abort(), TIMEOUTS.connectMs)
      dialling.add(stop)
      void dial(target, line, stop.signal)
        .finally(() => {
          clearTimeout(timer)
          dialling.delete(stop)
        })
        .then((socket) => connected(null, socket), (error: Error) => connected(error, null))
    },
    // As many as there are posts under way: what limits these is the caller's, and two endpoints of one host do not queue.
    connections: null,
    allowH2: false,
    maxHeaderSize: 16 * 1024,
    headersTimeout: 0,
    bodyTimeout: 0,
    // Shorter than the shortest default among servers (gunicorn: 2 s), so that few posts meet a socket just closed.
    keepAliveTimeout: 1_500,
    // A receiver may ask for longer; undici would grant ten minutes.
    keepAliveMaxTimeout: 4_000,
  })

  return {
    post(post, timeouts, rested) {
      running += 1
      waiting += 1
      return exchange(pool, post, timeouts, {
        served() {
          waiting -= 1
          if (waiting === 0) hangUp()
        },
        finished() {
          running -= 1
          rested()
        },
      })
    },
    busy: () => running > 0,
    close() {
      hangUp()
      return pool.destroy()
    },
  }
}
