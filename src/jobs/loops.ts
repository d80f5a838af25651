import { linkOnce } from '../service/audit-chain.ts'
import { shippedOf } from '../service/audit-verify-checkpoints.ts'
import { clearAttachments } from '../service/attachment-clearing.ts'
import type { Files } from '../service/attachments.ts'
import { BULK, bulkWork } from '../service/bulk-operation.ts'
import { creditOnce } from '../service/credit-entries.ts'
import type { Db } from '../service/db.ts'
import { eraseLatecomers } from '../service/erasures.ts'
import { forgetOldAnswers } from '../service/idempotency.ts'
import { IMPORT, importWork } from '../service/imports.ts'
import type { Keyring } from '../service/keyring.ts'
import { takeInNamesOnce } from '../service/names.ts'
import { notifyOnce } from '../service/notifications.ts'
import { stepOnce } from '../service/operations.ts'
import { countOnce } from '../service/rate-facts.ts'
import { relayOnce } from '../service/relay.ts'
import { retainOnce } from '../service/retention.ts'
import { orderForShippedYears } from '../service/reschedulings.ts'
import { rescheduleOnce } from '../service/rescheduling-walk.ts'
import { sweepOnce } from '../service/sweep.ts'
import { disableRevoked, forgetOldDeliveries } from '../service/webhook-results.ts'
import type { Sender } from './deliver.ts'
import type { Jobs } from './enqueue.ts'
import type { LedgerKeeper } from './erasure-ledger.ts'
import type { QUEUES } from './queues.ts'
import type { RobotCarrier } from './robots.ts'
import type { Log } from './session.ts'

export interface Loops {
  stop(): Promise<void>
}

interface LoopsOptions {
  db: Db
  /** Opens what background operations are to do. */
  keyring: Keyring
  jobs: Jobs<typeof QUEUES>
  sender: Pick<Sender, 'wake'>
  robots: Pick<RobotCarrier, 'wake'>
  files: Pick<Files, 'remove'>
  ledger: LedgerKeeper
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
const loops = ({ db, keyring, jobs, sender, robots, files, ledger, log, seen, metrics }: LoopsOptions) => ({
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
  // 后台任务: a kind is added here, under the name it is started with.
  operations: { everyMs: 1_000, run: async () => {
    const went = await stepOnce(db, keyring, { [BULK]: bulkWork(db, keyring), [IMPORT]: importWork(db, keyring) })
    if (went?.error !== undefined) log.error({ operationId: went.id, kind: went.kind, ended: went.ended, err: went.error }, 'step of an operation failed')
    return went !== undefined && went.error === undefined
  } },
  audit: { everyMs: 200, run: async () => {
    const { linked, checkpoint, cut } = await linkOnce(db, keyring)
    // Kept wherever logs are kept: what is cut off the chain later is found by it.
    if (checkpoint) log.info({ checkpoint: shippedOf(checkpoint) }, 'audit checkpoint')
    if (cut) log.error({}, 'the audit chain ends before the place it had reached: run audit:verify')
    return linked > 0
  } },
  // A job that was lost, with its queue or with its worker, is made good here.
  notify: { everyMs: 5_000, run: async () => (await notifyOnce(db)) > 0 },
  figures: { everyMs: 500, run: async () => (await countOnce(db)) > 0 },
  credit: { everyMs: 1_000, run: async () => (await creditOnce(db)) > 0 },
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
  // Looks back over fifteen minutes.
  latecomers: { everyMs: 60_000, run: async () => { await eraseLatecomers(db); return false } },
  ledger: { everyMs: 10_000, run: async () => { await ledger.keep(); return false } },
  retain: { everyMs: 3_600_000, run: async () => {
    const { more, failed } = await retainOnce(db)
    for (const { personId, error } of failed) log.error({ personId, err: error }, 'person past his time not erased, tried again later')
    return more && failed.length === 0
  } },
  // Of before there was an index of names, or by a process of before.
  names: { everyMs: 10_000, run: async () => {
    const { done, failed } = await takeInNamesOnce(db, keyring)
    for (const subjectId of failed) log.error({ subjectId }, 'name not findable: the keyring does not open it')
    return done > 0 && failed.length === 0
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
