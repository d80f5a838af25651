import { setTimeout as sleep } from 'node:timers/promises'
import { type ChildProcess, spawn } from 'node:child_process'
import { pino } from 'pino'
import { z } from 'zod'
import { openBackend } from '../../src/jobs/backend.ts'
import type { Queue, Queues } from '../../src/jobs/queues.ts'
import { startWorkers } from '../../src/jobs/worker.ts'

export interface Deps {
  ran(queue: string, id: string): void | Promise<void>
  alive(): Promise<void>
}

const backoff = { type: 'fixed', delay: 100 }
const named = z.strictObject({ id: z.string() })
const queue = <Payload>(row: Queue<Deps, Payload>) => row

/** A row per way a job can end. */
export const TABLE = {
  canary: queue({ payload: z.strictObject({}), attempts: 1, backoff, concurrency: 1, run: (deps) => deps.alive() }),
  echo: queue({ payload: named, attempts: 5, backoff, concurrency: 4, run: async (deps, { id }) => deps.ran('echo', id) }),
  flaky: queue({
    payload: named,
    attempts: 3,
    backoff,
    concurrency: 1,
    async run(deps, { id }) {
      await deps.ran('flaky', id)
      throw new Error(`secret of ${id}`)
    },
  }),
  refused: queue({
    payload: named,
    attempts: 3,
    backoff,
    concurrency: 1,
    async run(deps, { id }) {
      await deps.ran('refused', id)
      throw new RangeError(`secret of ${id}`)
    },
  }),
} satisfies Queues<Deps>

/** Run only where a test starts workers for it. */
export const LONG = {
  canary: TABLE.canary,
  long: queue({ payload: named, attempts: 1, backoff, concurrency: 1, run: async (deps, { id }) => deps.ran('long', id) }),
} satisfies Queues<Deps>

export interface Urls {
  redisUrl?: string
  databaseUrl: string
}

/** A worker process whose job never ends. Says what happens on stdout; stops on SIGTERM, and then nothing may hold it. */
export async function childMain() {
  const urls = JSON.parse(process.env['WISHWALL_TEST_URLS'] ?? '') as Urls
  const log = pino({ level: 'silent' })
  const workers = startWorkers<Deps>({
    backend: openBackend({ ...urls, log }),
    queues: LONG,
    log,
    deps: {
      async ran(_, id) {
        console.log(`started ${id}`)
        if (id === 'endless') await sleep(1_000_000, undefined, { ref: false })
      },
      alive: async () => console.log('alive'),
    },
  })
  process.once('SIGTERM', async () => {
    const from = performance.now()
    await workers.stop(3_000)
    console.log(`stopped ${Math.round(performance.now() - from)}`)
  })
}

export function child(urls: Urls): ChildProcess & { said(): string } {
  const program = `import { runnerImport } from 'vite'
    const { module } = await runnerImport(${JSON.stringify(import.meta.filename)}, { logLevel: 'error', configFile: false })
    await module.childMain()`
  const started = spawn(process.execPath, ['--input-type=module', '-e', program], {
    cwd: import.meta.dirname,
    env: { ...process.env, WISHWALL_TEST_URLS: JSON.stringify(urls) },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  started.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
  return Object.assign(started, { said: () => said })
}
