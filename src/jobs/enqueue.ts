import type { JobsOptions } from 'bullmq'
import type { Backend } from './backend.ts'
import type { PayloadOf, Queue, Queues } from './queues.ts'
import { type Log, complaints, within } from './session.ts'

export interface Placing {
  /** Names the job within its queue: while one of that name waits or runs, another is not added. Any text. */
  jobId?: string | undefined
  delayMs?: number | undefined
}

export interface Jobs<Table> {
  /**
   * Pokes the queue after a commit. Resolves within 250 ms and never rejects, so it may be left unawaited:
   * a job that is lost here is found by the sweep.
   */
  enqueue<Name extends keyof Table & string>(name: Name, payload: PayloadOf<Table, Name>, placing?: Placing): Promise<void>
  /** For workers: all in one round trip, rejects within 5 s when that is not known to have happened. */
  enqueueAll<Name extends keyof Table & string>(
    name: Name,
    jobs: (Placing & { payload: PayloadOf<Table, Name> })[],
  ): Promise<void>
  close(deadlineMs?: number): Promise<void>
}

const PATIENCE_MS = 250
/** BullMQ waits for ever for a Redis that was away from the beginning. */
const LONG_PATIENCE_MS = 5_000
/** Beyond so many unanswered pokes the backend is away, and more would only fill the memory. */
const MOST_UNANSWERED = 1_000

export function openJobs<Table extends Queues<never>>(options: {
  backend: Backend
  queues: Table
  log: Log
  /** A line that only failed for so long is thrown away for a new one. */
  reopenAfterMs?: number
}): Jobs<Table> {
  const { backend, queues, log, reopenAfterMs = 10_000 } = options
  const complain = complaints(log, 'job not enqueued')
  let line = open()

  function open() {
    return { session: backend.open(0), unanswered: 0, goodAt: performance.now() }
  }

  /** BullMQ keeps a failed first connection for ever (Redis that hung just then). */
  function mend(failed: typeof line) {
    if (failed !== line || performance.now() - line.goodAt < reopenAfterMs) return
    line = open()
    void failed.session.close(0)
  }

  async function send(work: (session: typeof line.session) => Promise<unknown>) {
    const used = line
    used.unanswered += 1
    try {
      await work(used.session)
      used.goodAt = performance.now()
    } finally {
      used.unanswered -= 1
    }
  }

  return {
    async enqueue(name, payload, placing = {}) {
      const used = line
      if (used.unanswered < MOST_UNANSWERED) {
        const sent = send((session) => session.queue(name).add(name, payload, placed(name, queues, placing)))
        sent.catch(complain)
        if (await within(PATIENCE_MS, sent)) return
      }
      mend(used)
    },
    async enqueueAll(name, jobs) {
      if (jobs.length === 0) return
      const used = line
      const bulk = jobs.map(({ payload, ...placing }) => ({ name, data: payload, opts: placed(name, queues, placing) }))
      const sent = send((session) => session.queue(name).addBulk(bulk))
      sent.catch(complain)
      if (await within(LONG_PATIENCE_MS, sent)) return
      mend(used)
      throw new Error(`jobs not enqueued: ${name}`)
    },
    close: (deadlineMs = 8_000) => line.session.close(deadlineMs),
  }
}

/**
 * Done jobs leave at once, failed ones too: as long as a job is kept, its id cannot be added again, and a sweep
 * that finds the row still undone must be able to. What is known of a failure is in the log and in the row.
 */
export function placed(name: string, queues: Queues<never>, { jobId, delayMs }: Placing): JobsOptions {
  const { attempts, backoff } = queues[name] as Queue<never, unknown>
  return {
    attempts,
    backoff,
    removeOnComplete: true,
    removeOnFail: true,
    stackTraceLimit: 1,
    ...(delayMs === undefined ? {} : { delay: delayMs }),
    // BullMQ refuses `:` and ids of digits only; with the name in front neither can happen.
    ...(jobId === undefined ? {} : { jobId: `${name}-${encodeURIComponent(jobId)}` }),
  }
}
