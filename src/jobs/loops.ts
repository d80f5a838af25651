import { clearAttachments } from '../service/attachment-clearing.ts'
import type { Files } from '../service/attachments.ts'
import type { Db } from '../service/db.ts'
import { forgetOldAnswers } from '../service/idempotency.ts'
import { notifyOnce } from '../service/notifications.ts'
import { relayOnce } from '../service/relay.ts'
import { orderForShippedYears } from '../service/reschedulings.ts'
import { rescheduleOnce } from '../service/rescheduling-walk.ts'
import { sweepOnce } from '../service/sweep.ts'
import { disableRevoked, forgetOldDeliveries } from '../service/webhook-results.ts'
import type { Sender } from './deliver.ts'
import type { Jobs } from './enqueue.ts'
import type { QUEUES } from './queues.ts'
import type { RobotCarrier } from './robots.ts'
import type { Log } from './session.ts'

export interface Loops {
  stop(): Promise<void>
}

interface LoopsOptions {
  db: Db
  jobs: Jobs<typeof QUEUES>
  sender: Pick<Sender, 'wake'>
  robots: Pick<RobotCarrier, 'wake'>
  files: Pick<Files, 'remove'>
  log: Log
  /** Says that this worker lives. */
  seen(): Promise<void>
  metrics?: LoopMetrics | undefined
}

/** What is counted, where anybody reads it. */
export interface LoopMetrics {
  /** One sweep. */
  swept(fired: number, failed: number, seconds: number): void
  loopFailed(loop: string): void
}

/**
 * What must happen whether or not a queue is alive: plain intervals that ask the database. The queue only makes
 * the follow-up quicker. Each returns true when there is more to do at once.
 */
const loops = ({ db, jobs, sender, robots, files, log, seen, metrics }: LoopsOptions) => ({
  relay: { everyMs: 100, run: async () => {
    const { moved, position } = await relayOnce(db)
    if (moved > 0 && position !== null) {
      void jobs.enqueue('notify', { position })
      void jobs.enqueue('deliver', {})
    }
    return moved > 0
  } },
  sweep: { everyMs: 500, run: async () => {
    const began = performance.now()
    const { seen: rows, fired, failed } = await sweepOnce(db)
    metrics?.swept(fired, failed.length, (performance.now() - began) / 1_000)
    for (const { requestId, error } of failed) log.error({ requestId, err: error }, 'deadline passed over for now: it cannot be decided or written')
    return rows > 0
  } },
  reschedule: { everyMs: 2_000, run: async () => {
    const walked = await rescheduleOnce(db)
    for (const { requestId, error } of walked?.failed ?? []) log.error({ operationId: walked?.id, requestId, err: error }, 'deadlines of a request left as they were: they cannot be computed again')
    return walked?.more ?? false
  } },
  // A job that was lost, with its queue or with its worker, is made good here.
  notify: { everyMs: 5_000, run: async () => (await notifyOnce(db)) > 0 },
  // What is due for another attempt is nobody's job: it is found here.
  deliver: { everyMs: 500, run: async () => { await sender.wake(); return false } },
  // Groups read by the minute: no job makes this sooner.
  robots: { everyMs: 500, run: () => robots.wake() },
  seen: { everyMs: 5_000, run: async () => { await seen(); return false } },
  clear: { everyMs: 600_000, run: async () => {
    const { cleared, failed } = await clearAttachments({ db, files })
    for (const { attachmentId, error } of failed) log.error({ attachmentId, err: error }, 'files of an attachment not removed, tried again later')
    return cleared > 0
  } },
  housekeeping: { everyMs: 600_000, run: async () => {
    await disableRevoked(db)
    await orderForShippedYears(db)
    const [answers, attempts] = [await forgetOldAnswers(db), await forgetOldDeliveries(db)]
    return answers > 0 || attempts > 0
  } },
})

export function startLoops(options: LoopsOptions): Loops {
  const ends = Object.entries(loops(options)).map(([name, { everyMs, run }]) => loop(name, everyMs, run, options))
  return { stop: async () => void (await Promise.all(ends.map((end) => end()))) }
}

/** One run after the other; a failure is logged once until it is over, and the loop goes on. */
function loop(name: string, everyMs: number, run: () => Promise<boolean>, { log, metrics }: Pick<LoopsOptions, 'log' | 'metrics'>): () => Promise<void> {
  let stopped = false
  let failing = false
  let timer: NodeJS.Timeout | undefined
  let current = turn()

  async function turn(): Promise<void> {
    let more = false
    try {
      more = await run()
      if (failing) log.info({ loop: name }, 'loop works again')
      failing = false
    } catch (error) {
      metrics?.loopFailed(name)
      if (!failing) log.error({ loop: name, err: error }, 'loop fails, going on')
      failing = true
    }
    if (!stopped) timer = setTimeout(() => { current = turn() }, more ? 0 : failing ? Math.max(everyMs, 500) : everyMs)
  }

  return async () => {
    stopped = true
    clearTimeout(timer)
    await current
  }
}
