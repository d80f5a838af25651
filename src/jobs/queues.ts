import type { BackoffOptions } from 'bullmq'
import { z } from 'zod'
import type { Db } from '../service/db.ts'
import { notifyOnce } from '../service/notifications.ts'
import type { Sender } from './deliver.ts'

/** One queue. A payload holds ids and codes, never personal data: the backend keeps it in clear. */
export interface Queue<Deps, Payload> {
  payload: z.ZodType<Payload>
  /** Runs in all, the first included. */
  attempts: number
  backoff: BackoffOptions
  /** Jobs at a time in each worker process. */
  concurrency: number
  /** At least once, and two at once after a stall: whoever writes decides by one conditional statement. */
  run(deps: Deps, payload: Payload): Promise<void>
}

export type Queues<Deps> = { canary: Queue<Deps, object> } & Record<string, Queue<Deps, unknown>>

export type PayloadOf<Table, Name extends keyof Table> = Table[Name] extends Queue<never, infer Payload> ? Payload : never

/** What the rows below work with; `bin` hands it in. */
export interface JobDeps {
  db: Db
  sender: Pick<Sender, 'wake'>
  /** A job has gone all the way round just now: to be written where `/readyz` reads it. */
  alive(): Promise<void>
}

const queue = <Payload>(row: Queue<JobDeps, Payload>) => row

/** Every kind of job: a new one is a new row, and nothing else. */
export const QUEUES = {
  canary: queue({
    payload: z.strictObject({}),
    attempts: 1,
    backoff: { type: 'fixed', delay: 1_000 },
    concurrency: 1,
    run: (deps) => deps.alive(),
  }),
  /** The feed has grown up to `position`: the inboxes of those it concerns are filled from where the last run stopped. */
  notify: queue({
    payload: z.strictObject({ position: z.string() }),
    attempts: 3,
    backoff: { type: 'exponential', delay: 500 },
    concurrency: 1,
    run: async ({ db }) => {
      while ((await notifyOnce(db)) > 0);
    },
  }),
  /** The feed has grown: webhooks are sent. Retries are rows of their own and no jobs; this only wakes. */
  deliver: queue({
    payload: z.strictObject({}),
    attempts: 1,
    backoff: { type: 'fixed', delay: 1_000 },
    concurrency: 1,
    run: ({ sender }) => sender.wake(),
  }),
} satisfies Queues<JobDeps>
