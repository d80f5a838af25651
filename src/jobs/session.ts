import type { BackendClasses, IQueueBackend, JobsOptions, WorkerOptions } from 'bullmq'
import type { Logger } from 'pino'

/** The connections of one role, opened together and closed together. */
export interface Session {
  queue(name: string): JobQueue
  work(name: string, work: Work, options: WorkOptions): void
  /** Lets running jobs finish, then cuts; resolves within `deadlineMs` whether or not the server answers. */
  close(deadlineMs: number): Promise<void>
}

/** What is used of BullMQ's Queue, whose full type differs per backend. */
export interface JobQueue {
  add(name: string, data: unknown, options: JobsOptions): Promise<unknown>
  addBulk(jobs: { name: string; data: unknown; opts: JobsOptions }[]): Promise<unknown>
  getJob(id: string): Promise<unknown>
}

export interface JobInHand {
  readonly id?: string | undefined
  readonly data: unknown
  /** Attempts that ended before this one; in `failed`, this one included. */
  readonly attemptsMade: number
}

export interface Work {
  run(job: JobInHand): Promise<void>
  failed(job: JobInHand | undefined, error: Error): void
  stalled(jobId: string): void
}

export type WorkOptions = Omit<WorkerOptions<never>, 'connection'>
export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>
export type Complain = (error: Error) => void

export function openSession<B extends IQueueBackend, C>(
  { Queue, Worker }: BackendClasses<B, C>,
  connection: C,
  cut: () => Promise<void>,
  complain: Complain,
): Session {
  const queues = new Map<string, JobQueue & { close(): Promise<void> }>()
  const workers: { pause(): Promise<void>; close(force: boolean): Promise<void> }[] = []
  return {
    queue(name) {
      const known = queues.get(name)
      if (known) return known
      // Nobody reads BullMQ's event stream here, so it is kept short.
      const queue = new Queue(name, { connection, streams: { events: { maxLen: 100 } } })
      queue.on('error', complain)
      queues.set(name, queue)
      return queue
    },
    work(name, { run, failed, stalled }, options) {
      const worker = new Worker<unknown, void>(name, run, { ...options, connection })
      worker.on('error', complain).on('failed', failed).on('stalled', stalled)
      workers.push(worker)
    },
    async close(deadlineMs) {
      // `close` alone never returns while Redis is dead (BullMQ #4656) and cannot be forced once begun:
      // so wait for the running jobs by `pause`, then close by force.
      await within(deadlineMs - 1_500, Promise.all(workers.map((worker) => worker.pause())))
      const closing = [...workers.map((worker) => worker.close(true)), ...[...queues.values()].map((queue) => queue.close())]
      await within(900, Promise.all(closing))
      await cut()
    },
  }
}

/** True when `work` ended well in `ms`; false when it failed or is still going on. Never rejects. */
export async function within(ms: number, work: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, Math.max(0, ms), false)
  })
  const done = work.then(
    () => true,
    () => false,
  )
  return Promise.race([done, late]).finally(() => clearTimeout(timer))
}

/** An outage raises an error per connection and retry: one line a minute says as much. */
export function complaints(log: Log, message: string): Complain {
  let quietUntil = 0
  return (error) => {
    const level = performance.now() < quietUntil ? 'debug' : 'warn'
    if (level === 'warn') quietUntil = performance.now() + 60_000
    log[level]({ error: labelOf(error) }, message)
  }
}

/** For errors of a backend, whose text is harmless where it gives no code. */
export function labelOf(error: Error & { code?: unknown }): string {
  return typeof error.code === 'string' ? error.code : error.message
}
