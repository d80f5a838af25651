import { compose, testMessage } from '../domain/robot-message.ts'
import type { Channel, Verdict } from '../domain/robot.ts'
import type { Db } from '../service/db.ts'
import type { Keyring } from '../service/keyring.ts'
import { claimMessages, type ClaimedMessage } from '../service/robot-claims.ts'
import { planMessagesOnce } from '../service/robot-fanout.ts'
import { recordMessages, type RobotResult } from '../service/robot-results.ts'
import { openAddress, type RobotAddress } from '../service/robot-secrets.ts'
import type { Log } from './session.ts'

export interface RobotCarrierOptions {
  db: Db
  keyring: Keyring
  robots: {
    mostBytes(channel: Channel): number
    send(message: { channel: Channel; address: RobotAddress; text: string; now: Date; timeouts: { connectMs: number; headersMs: number; totalMs: number } }): Promise<Verdict>
  }
  log: Log
  /** Where a message leads: `{number}` and `{tenant}` are filled in. */
  link: string
  timeoutMs?: number
  /** What pace and waits are multiplied by: 1, but for tests. */
  timeFactor?: number
}

export interface RobotCarrier {
  /** Plans what the feed holds, then begins to send; waits for no robot. @returns true when the feed may hold more */
  wake(): Promise<boolean>
  /** No new ones; those under way may finish for so long. What does not is sent again when its lease ends. */
  stop(deadlineMs?: number): Promise<void>
}

/** Under way in this process at once, each at another robot: one that hangs keeps a socket and nobody waiting. */
const MOST_IN_ALL = 256
/** A lease is longer than an attempt by this: one that cannot begin at once is left to whoever has the next lease. */
const GRACE_MS = 5_000

export function startRobots({ db, keyring, robots, log, link, timeoutMs = 10_000, timeFactor = 1 }: RobotCarrierOptions): RobotCarrier {
  const timeouts = { connectMs: Math.min(5_000, timeoutMs), headersMs: timeoutMs, totalMs: timeoutMs }
  const leaseMs = timeoutMs + GRACE_MS
  const flights = new Set<Promise<void>>()
  let stopped = false
  let left = false
  let looking: Promise<void> | undefined
  let failing = false

  async function look(): Promise<void> {
    if (stopped || flights.size >= MOST_IN_ALL) return
    const leasedAt = performance.now()
    for (const message of await claimMessages(db, MOST_IN_ALL - flights.size, leaseMs)) {
      const flight = fly(message, leasedAt).finally(() => flights.delete(flight))
      flights.add(flight)
    }
  }

  async function fly(message: ClaimedMessage, leasedAt: number): Promise<void> {
    if (performance.now() - leasedAt > GRACE_MS) return
    const { tenantId: tenant, robotId: robot } = message
    try {
      const verdict = await attempt(message)
      if (left) return // cut by us, which says nothing of the robot
      await written({ of: message, verdict }, leasedAt + leaseMs)
      if (verdict.kind === 'delivered' || verdict.kind === 'erased') return
      const { holdMs: _, ...said } = { holdMs: 0, ...verdict }
      log.warn({ tenant, robot, ...said, failures: message.failures }, 'robot does not take messages')
    } catch (error) {
      log.error({ err: error, tenant, robot }, 'robot message not sent: it is tried again when its lease ends')
    }
  }

  async function attempt({ tenantId, robotId, channel, kid, sealed, test, node, total, lines, calendar, tenant, sentAt }: ClaimedMessage): Promise<RobotResult['verdict']> {
    if (!test && lines.length === 0) return { kind: 'erased' }
    const address = opened({ tenantId, robotId, kid, sealed })
    if (!address) return { kind: 'refused', reason: 'unsealed', code: null }
    const linked = lines.map((line) => ({ ...line, link: link.replaceAll('{number}', encodeURIComponent(line.number)).replaceAll('{tenant}', encodeURIComponent(tenant)) }))
    const text = test ? testMessage(node) : compose(linked, total, calendar, robots.mostBytes(channel))
    return robots.send({ channel, address, text, now: sentAt, timeouts })
  }

  /** Nothing when the keyring has lost its key: whoever keeps the robot enters its address anew. */
  function opened({ tenantId, robotId, kid, sealed }: Pick<ClaimedMessage, 'tenantId' | 'robotId' | 'kid' | 'sealed'>): RobotAddress | undefined {
    try {
      return openAddress(keyring, { tenantId, robotId }, { kid, sealed })
    } catch (error) {
      log.error({ err: error, tenant: tenantId, robot: robotId }, 'robot address cannot be opened')
      return undefined
    }
  }

  /** While the database is away a result waits, until its lease has ended and another has the message. */
  async function written(result: RobotResult, until: number): Promise<void> {
    for (;;) {
      try {
        return void (await recordMessages(db, [result], timeFactor))
      } catch (error) {
        if (performance.now() > until || left) throw error
        await new Promise((resolve) => setTimeout(resolve, 200))
      }
    }
  }

  return {
    async wake() {
      const { read } = await planMessagesOnce(db)
      looking ??= look().then(() => { failing = false }, (error: unknown) => {
        if (!failing) log.error({ err: error }, 'no robot messages taken, going on')
        failing = true
      }).finally(() => { looking = undefined })
      await looking
      return read > 0
    },
    async stop(deadlineMs = 3_000) {
      stopped = true
      await looking
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<void>((resolve) => { timer = setTimeout(resolve, deadlineMs) })
      await Promise.race([Promise.all(flights), late])
      clearTimeout(timer)
      left = true
    },
  }
}
