import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { Server } from '../jobs/servers.ts'
import type { Chance } from './chance.ts'
import type { ChaosPostgres } from './postgres.ts'
import type { WorkerProcess } from './workers.ts'

export interface Stage {
  postgres: ChaosPostgres
  redis: Server
  workers: readonly WorkerProcess[]
  chance: Chance
  /** The longest that anything is away, in seconds. */
  longest: number
  /** Hears how long a worker took to end. */
  ended(ms: number): void
}

/** Something that goes wrong, and is over when the promise resolves. */
export interface Fault {
  part: 'redis' | 'worker' | 'postgres'
  name: string
  run(stage: Stage): Promise<void>
}

const away = ({ chance, longest }: Stage, most = longest) => sleep(1_000 * chance.between(0.5, Math.max(0.6, Math.min(most, longest))))

async function command({ redis }: Stage, ...words: string[]): Promise<void> {
  const client = new Redis(redis.url, { lazyConnect: true, retryStrategy: () => null, commandTimeout: 2_000, connectTimeout: 2_000 })
  client.on('error', () => {})
  try {
    await client.connect()
    await client.call(words[0]!, ...words.slice(1))
  } catch {
    // It is away already, by another fault.
  } finally {
    client.disconnect()
  }
}

/** A worker that dies is begun again after a while, as a supervisor would, and again while PostgreSQL is not there. */
async function again(worker: WorkerProcess, stage: Stage): Promise<void> {
  await away(stage, 2)
  for (; !worker.awake; await sleep(200)) await worker.start()
}

export const FAULTS: readonly Fault[] = [
  { part: 'redis', name: 'FLUSHALL', run: (stage) => command(stage, 'FLUSHALL') },
  { part: 'redis', name: 'kill -9', run: async (stage) => {
    await stage.redis.kill()
    await away(stage)
    await stage.redis.start()
  } },
  { part: 'redis', name: 'SIGSTOP', run: async (stage) => {
    stage.redis.hang()
    await away(stage)
    stage.redis.goOn()
  } },
  { part: 'redis', name: 'CLIENT PAUSE', run: async (stage) => {
    const ms = Math.round(1_000 * stage.chance.between(0.5, stage.longest))
    await command(stage, 'CLIENT', 'PAUSE', String(ms), 'ALL')
    await sleep(ms)
  } },
  { part: 'redis', name: 'DEBUG SLEEP', run: (stage) => command(stage, 'DEBUG', 'SLEEP', stage.chance.between(0.5, Math.min(5, stage.longest)).toFixed(1)) },
  { part: 'redis', name: 'CLIENT KILL', run: (stage) => command(stage, 'CLIENT', 'KILL', 'TYPE', 'normal') },
  { part: 'redis', name: 'out of memory', run: async (stage) => {
    await command(stage, 'CONFIG', 'SET', 'maxmemory', '1mb')
    await away(stage)
    await command(stage, 'CONFIG', 'SET', 'maxmemory', '0')
  } },
  { part: 'worker', name: 'kill -9 of one', run: async (stage) => {
    const worker = stage.chance.one(stage.workers)
    await worker.kill()
    await again(worker, stage)
  } },
  { part: 'worker', name: 'kill -9 of all', run: async (stage) => {
    await Promise.all(stage.workers.map((worker) => worker.kill()))
    await Promise.all(stage.workers.map((worker) => again(worker, stage)))
  } },
  { part: 'worker', name: 'SIGSTOP of one', run: async (stage) => {
    const worker = stage.chance.one(stage.workers)
    worker.hang()
    await away(stage)
    worker.goOn()
  } },
  { part: 'worker', name: 'SIGTERM of one', run: async (stage) => {
    const worker = stage.chance.one(stage.workers)
    stage.ended(await worker.end())
    await again(worker, stage)
  } },
  { part: 'worker', name: 'clock two days off', run: async (stage) => stage.chance.one(stage.workers).shiftClock(stage.chance.one([-2, 2])) },
  { part: 'worker', name: 'clock set right', run: async (stage) => stage.chance.one(stage.workers).shiftClock(0) },
  { part: 'postgres', name: 'kill -9', run: async (stage) => {
    stage.postgres.kill()
    await away(stage, 3)
    await stage.postgres.start()
  } },
  { part: 'postgres', name: 'SIGSTOP', run: async (stage) => {
    stage.postgres.hang()
    await away(stage, 15)
    stage.postgres.goOn()
  } },
  { part: 'postgres', name: 'connections cut', run: (stage) => stage.postgres.disturb().catch(() => {}) },
]
