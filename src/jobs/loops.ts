import type { Db } from '../service/db.ts'
import { forgetOldAnswers } from '../service/idempotency.ts'
import { notifyOnce } from '../service/notifications.ts'
import { relayOnce } from '../service/relay.ts'
import { sweepOnce } from '../service/sweep.ts'
import { disableRevoked, forgetOldAttempts } from '../service/webhook-results.ts'
import type { Sender } from './deliver.ts'
import type { Jobs } from './enqueue.ts'
import type { QUEUES } from './queues.ts'
import type { Log } from './session.ts'

export interface Loops {
  stop(): Promise<void>
}

interface LoopsOptions {
  db: Db
  jobs: Jobs<typeof QUEUES>
  sender: Pick<Sender, 'wake'>
  log: Log
  /** Says that this worker lives. */
  seen(): Promise<void>
}

/**
 * What must happen whether or not a queue is alive: plain intervals that ask the database. The queue only makes
 * the follow-up quicker. Each returns true when there is more to do at once.
 */
const loops = ({ db, jobs, sender, log, seen }: LoopsOptions) => ({
  relay: { everyMs: 100, run: async () => {
    const { moved, position } = await relayOnce(db)
    if (moved > 0 && position !== null) {
      void jobs.enqueue('notify', { position })
      void jobs.enqueue('deliver', {})
    }
    return moved > 0
  } },
  sweep: { everyMs: 500, run: async () => {
    const { seen: rows, failed } = await sweepOnce(db)
    for (const { requestId, error } of failed) log.error({ requestId, err: error }, 'deadline put off: it cannot be decided')
    return rows > 0
  } },
  // A job that was lost, with its queue or with its worker, is made good here.
  notify: { everyMs: 5_000, run: async () => (await notifyOnce(db)) > 0 },
  // What is due for another attempt is nobody's job: it is found here.
  deliver: { everyMs: 500, run: () => sender.wake() },
  seen: { everyMs: 5_000, run: async () => { await seen(); return false } },
  housekeeping: { everyMs: 600_000, run: async () => {
    await disableRevoked(db)
    const [answers, attempts] = [await forgetOldAnswers(db), await forgetOldAttempts(db)]
    return answers > 0 || attempts > 0
  } },
})

export function startLoops(options: LoopsOptions): Loops {
  const ends = Object.entries(loops(options)).map(([name, { everyMs, run }]) => loop(name, everyMs, run, options.log))
  return { stop: async () => void (await Promise.all(ends.map((end) => end()))) }
}

/** One run after the other; a failure is logged once until it is over, and the loop goes on. */
function loop(name: string, everyMs: number, run: () => Promise<boolean>, log: Log): () => Promise<void> {
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
      if (!failing) log.error({ loop: name, err: error }, 'loop fails, going on')
      failing = true
    }
    if (!stopped) timer = setTimeout(() => { current = turn() }, more ? 0 : failing ? Math.max(everyMs, 1_000) : everyMs)
  }

  return async () => {
    stopped = true
    clearTimeout(timer)
    await current
  }
}
