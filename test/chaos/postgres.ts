import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../src/bin/embedded-postgres.ts'

/** A real PostgreSQL of the campaign's own that is killed as a power cut would, and stopped in its tracks. */
export interface ChaosPostgres {
  url(database: string): string
  /** SIGKILL for the postmaster and all its children at once. */
  kill(): void
  /** After `kill`: on the same port; recovers first. */
  start(): Promise<void>
  hang(): void
  goOn(): void
  /** Throws every client out. */
  disturb(): Promise<void>
  remove(): Promise<void>
}

export async function chaosPostgres(): Promise<ChaosPostgres> {
  const dataDir = mkdtempSync(join(tmpdir(), 'wish-wall-chaos-pg-'))
  // Commit timestamps: they alone tell when others could see a mark, also after a crash.
  const settings: Record<string, string> = { track_commit_timestamp: 'on', max_connections: '100' }
  let server: EmbeddedPostgres = await startEmbeddedPostgres({ dataDir, settings })
  const { port } = server
  const family = () => [server.pid, ...childrenOf(server.pid)]
  const signal = (name: NodeJS.Signals) => {
    for (const pid of family()) {
      try {
        process.kill(pid, name)
      } catch {
        // It has ended meanwhile.
      }
    }
  }
  return {
    url: (database) => server.url(database),
    kill: () => signal('SIGKILL'),
    async start() {
      server = await startEmbeddedPostgres({ dataDir, settings: { ...settings, port: String(port) } })
      if (server.port !== port) throw new Error(`PostgreSQL came back on port ${server.port}, not ${port}`)
    },
    hang: () => signal('SIGSTOP'),
    goOn: () => signal('SIGCONT'),
    async disturb() {
      const client = new pg.Client({ connectionString: server.url('postgres'), connectionTimeoutMillis: 2_000, query_timeout: 2_000 })
      client.on('error', () => {})
      await client.connect()
      await client.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name LIKE 'wish-wall %' AND application_name <> 'wish-wall keeper'`)
        .finally(() => client.end())
    },
    async remove() {
      signal('SIGCONT')
      await server.stop()
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}

function childrenOf(parent: number): number[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
      return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === parent
    } catch {
      return false
    }
  })
}
