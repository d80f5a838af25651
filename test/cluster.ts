import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import type { TestProject } from 'vitest/node'
import { startEmbeddedPostgres } from '../src/bin/embedded-postgres.ts'
import { migrate } from '../src/service/migrate.ts'

declare module 'vitest' {
  interface ProvidedContext { cluster: string }
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
  project.provide('cluster', server.url('DATABASE'))
  return async () => {
    await server.stop()
    rmSync(dataDir, { recursive: true, force: true })
  }
}
