import { signer, type Outcome, type Sign } from '../domain/webhook.ts'
import type { Db } from '../service/db.ts'
import { takeTurns, type Delivery, type Turn } from '../service/deliveries.ts'
import type { FeedRow } from '../service/events.ts'
import type { Keyring } from '../service/keyring.ts'
import { bodyOf } from '../service/webhook-log.ts'
import { ERASED, record, resultOf, type Entry, type Result } from '../service/webhook-results.ts'
import { openSecret } from '../service/webhook-secrets.ts'
import { GRACE_MS, LEASE_MS, MOST_FAILING, MOST_IN_ALL, MOST_QUEUED, MOST_RECORDED, MOST_SWIFT, SWIFT_MS, TURN_MS, placeOf, type Course, type Flight } from './flight.ts'
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
  /** Looks for what is to be sent, and begins to send it; does not wait for receivers. */
  wake(): Promise<void>
  /** No new ones; those under way may finish for so long. What does not is sent again by whoever has the next turn. */
  stop(deadlineMs?: number): Promise<void>
}

/**
 * Takes turns at endpoints as far as there is room, sends what is theirs, writes what came of it. A receiver that hangs
 * costs a socket and nobody's time: room is counted in requests that have not taken long yet, and a turn ends without
 * those that have.
 */
export function startSender({ db, keyring, egress, log, timeoutMs = 20_000, timeFactor = 1 }: SenderOptions): Sender {
  const timeouts = { connectMs: Math.min(5_000, timeoutMs), headersMs: Math.min(10_000, timeoutMs), totalMs: timeoutMs }
  const courses = new Set<Course>()
  /** Of them, those that may begin one more, in the order in which they are served. */
  const eager = new Set<Course>()
  const flights = new Set<Flight>()
  let [swift, failing, queued] = [0, 0, 0]
  /** Endpoints whose turn here is not given back: what is not written must not be begun again, however long it takes. */
  const held = new Set<string>()
  /** To be written, in this order: a flight when something came of it or it takes long, a course when it is over. */
  const unwritten = new Set<Flight | Course>()
  let stopped = false
  let left = false
  let looking: Promise<void> | undefined
  let again = false
  let writing: Promise<void> | undefined
  let deaf = false
  const bodies = new WeakMap<FeedRow, string>()
  const ticking = setInterval(tick, SWIFT_MS / 10).unref()

  /** One look at a time; a wish to look that comes meanwhile is granted afterwards. */
  function look(): Promise<void> {
    again = true
    looking ??= takeAll().finally(() => { looking = undefined })
    return looking
  }

  async function takeAll(): Promise<void> {
    while (again && !stopped) {
      again = false
      if (queued >= MOST_QUEUED || swift >= MOST_SWIFT || flights.size >= MOST_IN_ALL) return
      const since = performance.now()
      const { turns, hasMore } = await takeTurns(db, { most: MOST_QUEUED - queued, failing: failing < MOST_FAILING, besides: [...held] }, LEASE_MS)
      for (const turn of turns) begin(turn, since)
      pump()
      again ||= hasMore
    }
  }

  function begin(turn: Turn, since: number): void {
    const course: Course = { turn, sign: signOf(turn), next: 0, width: turn.width, under: 0, since, over: false }
    courses.add(course)
    held.add(turn.endpointId)
    eager.add(course)
    queued += turn.deliveries.length
  }

  function signOf(turn: Turn): Sign | undefined {
    try {
      return signer(turn.secrets.map((secret) => openSecret(keyring, turn, secret)))
    } catch (error) {
      log.error({ err: error, endpoint: turn.endpointId }, 'webhook cannot be signed')
      return undefined
    }
  }

  /** Begins what there is room for, one of each turn before a second of any. */
  function pump(): void {
    for (const course of eager) {
      if (stopped || swift >= MOST_SWIFT || flights.size >= MOST_IN_ALL) return
      if (course.turn.failing && failing >= MOST_FAILING) continue
      eager.delete(course)
      if (performance.now() - course.since > TURN_MS) {
        end(course)
        continue
      }
      void fly(course, course.turn.deliveries[course.next++]!)
      if (course.next === course.turn.deliveries.length) end(course)
      else if (course.under < course.width) eager.add(course)
    }
  }

  async function fly(course: Course, delivery: Delivery): Promise<void> {
    const flight: Flight = { course, delivery, since: performance.now(), slow: false, late: false, result: undefined }
    flights.add(flight)
    swift += 1
    queued -= 1
    course.under += 1
    if (course.turn.failing) failing += 1
    flight.result = await attempt(course, delivery)
    flights.delete(flight)
    if (course.turn.failing) failing -= 1
    if (!flight.slow) swift -= 1
    if (!flight.slow) course.under -= 1
    if (!left) land(flight, flight.result) // what we cut says nothing of the receiver
  }

  function land(flight: Flight, { state, gone, holdMs }: Result): void {
    const { course } = flight
    unwritten.add(flight)
    course.width = state === 'delivered' ? Math.min(course.turn.widest, course.width + 1) : Math.max(1, Math.floor(course.width / 2))
    // Who is gone, or asks for quiet, is left in peace. In order nothing overtakes what waits.
    if (gone || holdMs !== null || (course.turn.ordered && state === 'pending')) end(course)
    settle(course)
    pump()
    write()
  }

  /** Nothing of it begins any more. */
  function end(course: Course): void {
    if (course.over) return
    course.over = true
    eager.delete(course)
    queued -= course.turn.deliveries.length - course.next
  }

  /** A turn is given back when all that has begun is written, or handed over. */
  function settle(course: Course): void {
    if (!course.over && course.under < course.width) eager.add(course)
    if (course.over && course.under === 0 && courses.delete(course)) unwritten.add(course)
  }

  /** Attempts that take long are handed over, turns that last long are ended. */
  function tick(): void {
    const now = performance.now()
    for (const flight of flights) {
      if (flight.slow || now - flight.since < SWIFT_MS) continue
      flight.slow = true
      flight.course.under -= 1
      swift -= 1
      unwritten.add(flight)
      end(flight.course)
    }
    for (const course of courses) {
      if (now - course.since > TURN_MS) end(course)
      settle(course)
    }
    pump()
    write()
  }

  /** The same for all that hear of an event. */
  function bodyFor({ endpointId }: Turn, delivery: Delivery): string {
    const body = (delivery.event && bodies.get(delivery.event)) ?? bodyOf(endpointId, delivery)
    if (delivery.event) bodies.set(delivery.event, body)
    return body
  }

  async function attempt({ turn, sign }: Course, delivery: Delivery): Promise<Result> {
    if (delivery.position !== null && !delivery.event) return ERASED
    const result = (outcome: Outcome) => resultOf(delivery, outcome, turn.now, timeFactor, Math.random)
    const unsent = (reason: string) => ({ ...result({ kind: 'failed', reason: 'protocol', ms: 0 }), reason })
    if (!sign) return unsent('unsigned')
    try {
      const body = bodyFor(turn, delivery)
      const headers = { 'content-type': 'application/json', 'user-agent': 'wish-wall', ...sign({ id: delivery.id, body }, turn.now) }
      return result(await egress.post({ url: turn.url, headers, body, timeouts }))
    } catch (error) {
      log.error({ err: error, endpoint: turn.endpointId, delivery: delivery.id }, 'webhook not sent')
      return unsent('internal')
    }
  }

  function write(): void {
    if (unwritten.size > 0) writing ??= writeAll().finally(() => { writing = undefined })
  }

  /** While the database is away results wait, until others have long had the turn. One that cannot be written holds up no other. */
  async function writeAll(): Promise<void> {
    let most = MOST_RECORDED
    while (unwritten.size > 0) {
      const batch = [...unwritten].slice(0, most)
      for (const one of batch) unwritten.delete(one)
      const handedOver = batch.filter((one) => 'course' in one && !one.result) as Flight[]
      try {
        const entries = batch.flatMap((one) => ('course' in one ? [entryOf(one)] : []))
        const endings = batch.flatMap((one) => ('course' in one ? [] : [{ turn: one.turn, position: placeOf(one) }]))
        for (const { tenantId, endpointId, disabled, warning } of await record(db, entries, endings, timeFactor)) {
          log.warn({ tenant: tenantId, endpoint: endpointId, ...(disabled ? { disabled } : { warning }) }, disabled ? 'webhook endpoint disabled' : 'webhook endpoint fails')
        }
        for (const flight of handedOver) flight.late = true
        for (const one of batch) giveBack(one)
        poke()
      } catch (error) {
        if (most > 1) log.error({ err: error, results: batch.length }, 'webhook results not written, going on one by one')
        most = 1
        const rest = [...unwritten]
        unwritten.clear()
        for (const one of batch) performance.now() - one.since < timeoutMs + GRACE_MS ? unwritten.add(one) : giveBack(one)
        for (const one of rest) unwritten.add(one)
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
    }
  }

  function giveBack(one: Flight | Course): void {
    if ('turn' in one) held.delete(one.turn.endpointId)
  }

  function entryOf({ course, delivery, result, late, since }: Flight): Entry {
    const { turn } = course
    const said = { turn, delivery, late, at: new Date(turn.now.getTime() + since - course.since) }
    return { ...said, of: result ?? { state: 'delivering', gone: false, delayMs: timeoutMs + GRACE_MS - (performance.now() - since) } }
  }

  function poke(): void {
    if (stopped) return
    look().then(() => { deaf = false }, (error: unknown) => {
      if (!deaf) log.error({ err: error }, 'no webhooks taken, going on')
      deaf = true
    })
  }

  return {
    wake: () => look(),
    async stop(deadlineMs = 3_000) {
      stopped = true
      const until = performance.now() + deadlineMs
      await looking?.catch(() => {})
      for (const course of courses) end(course)
      for (tick(); (flights.size > 0 || writing) && performance.now() < until;) await new Promise((resolve) => setTimeout(resolve, 20))
      left = true
      clearInterval(ticking)
    },
  }
}
