import { signedHeaders, type Outcome } from '../domain/webhook.ts'
import type { Db } from '../service/db.ts'
import { claimDeliveries, type Claimed } from '../service/deliveries.ts'
import type { Keyring } from '../service/keyring.ts'
import { fanOutOnce } from '../service/webhook-fanout.ts'
import { bodyOf } from '../service/webhook-log.ts'
import { erased, recordAttempts, resultOf, type Result } from '../service/webhook-results.ts'
import { openSecret } from '../service/webhook-secrets.ts'
import type { Log } from './session.ts'

export interface SenderOptions {
  db: Db
  keyring: Keyring
  egress: { post(request: { url: string; headers: Record<string, string>; body: string; timeouts: { connectMs: number; headersMs: number; totalMs: number } }): Promise<Outcome> }
  log: Log
  /** The longest an attempt may take. */
  timeoutMs?: number
  /** What the times of the schedule and of giving up are multiplied by: 1, but for tests. */
  timeFactor?: number
}

export interface Sender {
  /** Plans what the feed holds, then begins to send; does not wait for receivers. @returns true when the feed may hold more */
  wake(): Promise<boolean>
  /** No new ones; those under way may finish for so long. What does not is sent again when its lease ends. */
  stop(deadlineMs?: number): Promise<void>
}

/** Under way in this process at once. */
const MOST_IN_ALL = 512
/** Of them, those that have not taken long yet. Who takes longer gives its place here to another. */
const MOST_SWIFT = 128
const SWIFT_MS = 1_000
/** Of all, those to endpoints that fail: the others always find room. */
const MOST_FAILING = MOST_IN_ALL / 2
/** A lease is longer than an attempt by this: an attempt that cannot begin at once is left to whoever has the next lease. */
const GRACE_MS = 5_000
/** Results written in one statement. */
const MOST_RECORDED = 200

interface Flight {
  failing: boolean
  slow: boolean
}

/**
 * Leases deliveries as far as there is room, sends them, writes what came of it. A receiver that hangs costs a socket and
 * nobody's time: room is counted in requests that have not taken long yet.
 */
export function startSender({ db, keyring, egress, log, timeoutMs = 20_000, timeFactor = 1 }: SenderOptions): Sender {
  const timeouts = { connectMs: Math.min(5_000, timeoutMs), headersMs: Math.min(10_000, timeoutMs), totalMs: timeoutMs }
  const leaseMs = timeoutMs + GRACE_MS
  const flights = new Set<Flight>()
  const count = (which: (flight: Flight) => boolean) => [...flights].filter(which).length
  const results: { result: Result; landed: () => void; until: number }[] = []
  let stopped = false
  let left = false
  let failing = false
  let looking: Promise<void> | undefined
  let again = false
  let writing: Promise<void> | undefined

  /** One look at a time; a wish to look that comes meanwhile is granted afterwards. */
  function look(): Promise<void> {
    again = true
    looking ??= takeAll().finally(() => { looking = undefined })
    return looking
  }

  async function takeAll(): Promise<void> {
    while (again && !stopped) {
      again = false
      const free = Math.min(MOST_IN_ALL - flights.size, MOST_SWIFT - count(({ slow }) => !slow))
      if (free <= 0) return
      const leasedAt = performance.now()
      const claimed = await claimDeliveries(db, { healthy: free, failing: Math.max(0, Math.min(free, MOST_FAILING - count(({ failing }) => failing))) }, leaseMs)
      for (const delivery of claimed) void fly(delivery, leasedAt)
      if (claimed.length > 0) again = true
    }
  }

  async function fly(delivery: Claimed, leasedAt: number): Promise<void> {
    if (performance.now() - leasedAt > GRACE_MS) return
    const flight: Flight = { failing: delivery.failing, slow: false }
    flights.add(flight)
    const timer = setTimeout(() => {
      flight.slow = true
      poke()
    }, SWIFT_MS)
    try {
      const result = await attempt(delivery)
      if (left) return // cut by us, which says nothing of the receiver
      await new Promise<void>((landed) => {
        results.push({ result, landed, until: leasedAt + leaseMs })
        writing ??= writeAll().finally(() => { writing = undefined })
      })
    } catch (error) {
      log.error({ err: error, endpoint: delivery.endpointId, delivery: delivery.id }, 'delivery not sent: it is tried again when its lease ends')
    } finally {
      clearTimeout(timer)
      flights.delete(flight)
      poke()
    }
  }

  async function attempt(delivery: Claimed): Promise<Result> {
    if (delivery.position !== null && !delivery.event) return erased(delivery)
    const body = bodyOf(delivery)
    let signed: Record<string, string>
    try {
      signed = signedHeaders({ id: delivery.id, body }, delivery.secrets.map((secret) => openSecret(keyring, delivery, secret)), delivery.sentAt)
    } catch (error) {
      log.error({ err: error, endpoint: delivery.endpointId }, 'webhook cannot be signed')
      return { ...resultOf(delivery, { kind: 'failed', reason: 'protocol', ms: 0 }, timeFactor, Math.random), reason: 'unsigned' }
    }
    const headers = { 'content-type': 'application/json', 'user-agent': 'wish-wall', ...signed }
    return resultOf(delivery, await egress.post({ url: delivery.url, headers, body, timeouts }), timeFactor, Math.random)
  }

  /** While the database is away results wait, until their leases have ended and another has them. One that cannot be written holds up no other. */
  async function writeAll(): Promise<void> {
    let most = MOST_RECORDED
    while (results.length > 0) {
      const batch = results.splice(0, most)
      try {
        for (const { tenantId, endpointId, disabled, warning } of await recordAttempts(db, batch.map(({ result }) => result), timeFactor)) {
          log.warn({ tenant: tenantId, endpoint: endpointId, ...(disabled ? { disabled } : { warning }) }, disabled ? 'webhook endpoint disabled' : 'webhook endpoint fails')
        }
        for (const { landed } of batch) landed()
      } catch (error) {
        if (most > 1) log.error({ err: error, results: batch.length }, 'webhook results not written, going on one by one')
        most = 1
        for (const one of batch) one.until > performance.now() ? results.push(one) : one.landed()
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
    }
  }

  function poke(): void {
    if (stopped) return
    look().then(() => { failing = false }, (error: unknown) => {
      if (!failing) log.error({ err: error }, 'no webhooks taken, going on')
      failing = true
    })
  }

  return {
    async wake() {
      const { read } = await fanOutOnce(db)
      poke()
      return read > 0
    },
    async stop(deadlineMs = 3_000) {
      stopped = true
      const until = performance.now() + deadlineMs
      await looking?.catch(() => {})
      while (flights.size > 0 && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 20))
      left = true
    },
  }
}
