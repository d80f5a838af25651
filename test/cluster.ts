import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import type { TestProject } from 'vitest/node'
import { startEmbeddedPostgres } from '../src/bin/embedded-postgres.ts'
import { migrate } from '../src/service/migrate.ts'

declare module 'vitest' {
  interface ProvidedContext {
    cluster: string
    /** The backends that can carry jobs here. */
    queues: { kind: string; redisUrl?: string }[]
  }
}

/** A real Redis where there is one; WISHWALL_TEST_REDIS=required makes its absence a failure. */
async function startRedis(): Promise<{ url: string; stop(): Promise<void> } | undefined> {
  const found = spawnSync('redis-server', ['--version']).status === 0
  if (!found) {
    if (process.env.WISHWALL_TEST_REDIS === 'required') throw new Error('no redis-server on this machine, and WISHWALL_TEST_REDIS=required')
    console.warn('no redis-server on this machine: the Redis leg is left out')
    return undefined
  }
  const dir = mkdtempSync(join(tmpdir(), 'wish-wall-redis-'))
  const port = await freePort()
  const child = spawn('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--appendonly', 'no', '--maxmemory-policy', 'noeviction'], { stdio: 'ignore' })
  return {
    url: `redis://127.0.0.1:${port}`,
    stop: async () => {
      child.kill()
      await once(child, 'exit')
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

async function freePort(): Promise<number> {
  const socket = createServer().listen(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port } = socket.address() as { port: number }
  socket.close()
  await once(socket, 'close')
  return port
}

/** One real PostgreSQL for the whole run, with a migrated template that every test file clones. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dataDir = mkdtempSync(join(tmpdir(), 'wish-wall-test-'))
  const server = await startEmbeddedPostgres({ dataDir, durable: false, settings: { max_connections: '300' } })
  const admin = new pg.Client({ connectionString: server.url('postgres') })
  await admin.connect()
  await admin.query('CREATE DATABASE template_wish_wall')
  await migrate(server.url('template_wish_wall'))
  await admin.end()
  const redis = await startRedis()
  project.provide('queues', [{ kind: 'PostgreSQL' }, ...(redis ? [{ kind: 'Redis', redisUrl: redis.url }] : [])])
  project.provide('cluster', server.url('DATABASE'))
  return async () => {
    await redis?.stop()
    await server.stop()
    rmSync(dataDir, { recursive: true, force: true })
  }
}
