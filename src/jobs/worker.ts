import { UnrecoverableError } from 'bullmq'
import { randomUUID } from 'node:crypto'
import type { Backend } from './backend.ts'
import { placed } from './enqueue.ts'
import type { Queue, Queues } from './queues.ts'
import { type Log, type Session, type Work, labelOf } from './session.ts'

export interface Workers {
  /** Resolves within `deadlineMs` (8 s): running jobs may finish, those that do not are run again elsewhere. */
  stop(deadlineMs?: number): Promise<void>
  /** Milliseconds since a job was last seen to go all the way round; Infinity before the first. */
  lagMs(): number
}

export interface WorkersOptions<Deps> {
  backend: Backend
  queues: Queues<Deps>
  deps: Deps
  log: Log
  /** True for an error that a retry cannot mend. */
  isPermanent?: (error: unknown) => boolean
  canaryEveryMs?: number
  /** Without a round trip for so long, every connection is opened anew. */
  deafAfterMs?: number
  /** This process's own canary came back after so many seconds. */
  wentRound?(seconds: number): void
}

/** A dead worker's job starts again within `lockDuration` + `stalledInterval`, 15 s; the defaults take a minute. */
const SETTINGS = { lockDuration: 10_000, stalledInterval: 5_000, maxStalledCount: 3, runRetryDelay: 1_000 }

/** One BullMQ worker per row of the table, and a canary, because connections that look well may hear nothing. */
export function startWorkers<Deps>(options: WorkersOptions<Deps>): Workers {
  const { backend, queues, deps, log, isPermanent = () => false, canaryEveryMs = 5_000, deafAfterMs = 20_000, wentRound } = options
  const canary = `canary-${randomUUID()}` // one per process, so that they cannot pile up
  const leaving = new Set<Promise<void>>()
  let sentAt: number | undefined
  let roundTripAt = -Infinity
  let shift = begin()
  const timer = setInterval(beat, canaryEveryMs)
  void beat()

  function begin() {
    const session = backend.open(Object.keys(queues).length)
    for (const [name, row] of Object.entries(queues)) {
      session.work(name, work(name, row), { ...SETTINGS, concurrency: row.concurrency })
    }
    return { session, since: performance.now(), sent: false, waiting: false }
  }

  function work(name: string, row: Queue<Deps, unknown>): Work {
    return {
      async run(job) {
        if (name === 'canary') {
          roundTripAt = performance.now()
          if (job.id === canary && sentAt !== undefined) wentRound?.((roundTripAt - sentAt) / 1_000)
          if (job.id === canary) sentAt = undefined
        }
        const payload = row.payload.safeParse(job.data)
        if (!payload.success) throw bare(payload.error, true)
        try {
          await row.run(deps, payload.data)
        } catch (error) {
          throw bare(error, isPermanent(error))
        }
      },
      failed(job, error) {
        const attempt = job?.attemptsMade ?? 0
        const last = error instanceof UnrecoverableError || attempt >= row.attempts
        log[last ? 'error' : 'warn']({ queue: name, job: job?.id, attempt, error: labelOf(error), at: place(error.cause) }, 'job failed')
      },
      stalled: (job) => log.warn({ queue: name, job }, 'job stalled: its worker died or hung'),
    }
  }

  async function beat() {
    if (performance.now() - Math.max(roundTripAt, shift.since) > deafAfterMs) renew()
    const current = shift
    if (current.waiting) return
    current.waiting = true
    try {
      const queue = current.session.queue('canary')
      // When another process took it, it is gone from the queue all the same.
      if (current.sent && !(await queue.getJob(canary))) {
        roundTripAt = performance.now()
        sentAt = undefined
      }
      sentAt ??= performance.now()
      await queue.add('canary', {}, { ...placed('canary', queues, {}), jobId: canary })
      current.sent = true
    } catch (error) {
      log.debug({ error: nameOf(error) }, 'no canary sent')
    }
    current.waiting = false
  }

  function lagMs() {
    return performance.now() - roundTripAt
  }

  function renew() {
    log.warn({ lagMs: lagMs() }, 'no job comes round: all connections are opened anew')
    retire(shift.session, 5_000)
    shift = begin()
  }

  function retire(session: Session, deadlineMs: number) {
    const left = session.close(deadlineMs).finally(() => leaving.delete(left))
    leaving.add(left)
  }

  return {
    lagMs,
    async stop(deadlineMs = 8_000) {
      clearInterval(timer)
      retire(shift.session, deadlineMs)
      await Promise.all(leaving)
    },
  }
}

/** What the backend may keep of an error: its code or class. Messages quote data. */
function bare(cause: unknown, permanent: boolean): Error {
  const error = permanent ? new UnrecoverableError(nameOf(cause)) : new Error(nameOf(cause))
  error.cause = cause
  return error
}

function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name
}

/** The place in the code, without the message above it. */
function place(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  return error.stack?.split('\n').find((line) => line.startsWith('    at '))?.trim()
}
