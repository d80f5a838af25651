import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { startEmbeddedPostgres } from '../../src/bin/embedded-postgres.ts'
import { openDatabase } from '../../src/service/db.ts'
import { generateKeyring } from '../../src/service/keyring.ts'
import { migrate } from '../../src/service/migrate.ts'
import { sweepOnce } from '../../src/service/sweep.ts'
import { fileWishes, makeClockTown, type ClockTown, type Wish } from './clock-town.ts'

/**
 * What the clock carries: deadlines that all come at one instant (closing time), a calm day, and what an idle sweep costs
 * as open deadlines pile up. Two real worker processes with all their loops on one PostgreSQL, fsync on. Lateness is from
 * the instant a mark is due to the commit of its event, both by the database's clock.
 */

const BURST = Number(process.env.CLOCK_BURST ?? 100_000)
const OPEN = Number(process.env.CLOCK_OPEN ?? 1_000_000)
const CALM_SECONDS = Number(process.env.CLOCK_CALM_SECONDS ?? 30)
const CALM_PER_SECOND = 50
const WORKERS = 2
const FEW = 10_000

const folder = await mkdtemp(join(tmpdir(), 'wish-wall-clock-'))
const workers: ChildProcess[] = []
// Commit timestamps: they alone tell when others could see it.
const server = await startEmbeddedPostgres({ dataDir: folder, settings: { track_commit_timestamp: 'on', ...JSON.parse(process.env.CLOCK_SETTINGS ?? '{}') } })
try {
  const admin = await connected(server.url('postgres'))
  await admin.query('CREATE DATABASE clock')
  await admin.end()
  const url = server.url('clock')
  await migrate(url)
  const client = await connected(url)
  const town = await makeClockTown(client)
  console.log(`${cpus().length} cores, load ${load()}; ${(await client.query<{ version: string }>(`SELECT 'PostgreSQL ' || current_setting('server_version') AS version`)).rows[0]?.version}, fsync on, ${WORKERS} workers\n`)

  await fileWishes(client, town, later(FEW / 2))
  const few = await idle(url, client, `${FEW} open`)

  await startWorkers(url)
  await calm(client, town)
  const after = await burst(client, town)
  await stopWorkers()
  await idle(url, client, 'right after the burst, not vacuumed', false)
  const missing = Math.ceil((OPEN - after) / 2)
  if (missing > 0) await fileWishes(client, town, later(missing))
  const many = await idle(url, client, `${OPEN} open`)
  console.log(`idle sweep   ratio ${(many / few).toFixed(2)} (goal ≤ 1.2)`)
  console.log(`load at the end ${load()}`)
  await client.end()
} finally {
  await stopWorkers()
  await server.stop()
  await rm(folder, { recursive: true, force: true })
}

/** Deadlines of which none is due for days. */
function later(requests: number): Wish[] {
  const now = Date.now()
  return Array.from({ length: requests }, (_, n) => {
    const nextAt = new Date(now + 3 * 86_400_000 + n * 1_000)
    return { nextAt, mark: 1, openedAt: new Date(now), dueAt: nextAt }
  })
}

function dueAt(at: Date): Wish {
  return { nextAt: at, mark: 1, openedAt: new Date(at.getTime() - 36_000_000), dueAt: at }
}

/** Median of an idle sweep in milliseconds, on one warm connection. */
async function idle(url: string, client: pg.Client, what: string, vacuumed = true): Promise<number> {
  if (vacuumed) await client.query('VACUUM ANALYZE')
  const db = openDatabase({ url, connections: 2 })
  const times: number[] = []
  for (let n = 0; n < 400; n++) {
    const began = performance.now()
    const { seen } = await sweepOnce(db)
    if (seen > 0) throw new Error('not idle: something is due')
    if (n >= 100) times.push(performance.now() - began)
  }
  await db.close()
  times.sort((a, b) => a - b)
  console.log(`idle sweep   ${what}: p50 ${at(times, 0.5).toFixed(2)} ms, p99 ${at(times, 0.99).toFixed(2)} ms`)
  return at(times, 0.5)
}

async function calm(client: pg.Client, town: ClockTown): Promise<void> {
  const from = Date.now() + 3_000
  const ids = await fileWishes(client, town, Array.from({ length: CALM_SECONDS * CALM_PER_SECOND }, (_, n) => dueAt(new Date(from + (n * 1_000) / CALM_PER_SECOND))))
  await sleep(Math.max(0, from - Date.now()) + CALM_SECONDS * 1_000)
  await drained(client, new Date(from + CALM_SECONDS * 1_000))
  await lateness(client, `healthy      ${CALM_PER_SECOND} due/s for ${CALM_SECONDS} s`, ids, 'goal p99 ≤ 1 s')
}

/** @returns open deadlines afterwards */
async function burst(client: pg.Client, town: ClockTown): Promise<number> {
  // Filed as due far ahead, then all moved to one instant, so that filing them takes no time of the burst.
  const ids = await fileWishes(client, town, later(BURST))
  const due = new Date(Math.floor(Date.now() / 1_000) * 1_000 + 86_400_000)
  await client.query(`UPDATE deadline SET "nextAt" = $2, "dueAt" = $2, "originalDueAt" = $2 WHERE "requestId" = ANY ($1) AND step = 'accept'`, [ids, due])
  await client.query('VACUUM ANALYZE')
  await told(client)
  await client.query('CHECKPOINT')
  const instant = new Date(Date.now() + 2_000)
  await client.query(`UPDATE deadline SET "nextAt" = $2, "dueAt" = $2, "originalDueAt" = $2 WHERE "nextAt" = $1`, [due, instant])
  console.log(`burst        ${BURST} deadlines due at one instant, filed ${((instant.getTime() - Date.now()) / 1_000).toFixed(1)} s before it; load ${load()}`)
  const before = cpuSeconds()
  const seconds = await drained(client, instant)
  // On a machine that others use too, the time is theirs as well; the work is not.
  const work = { workers: cpuSeconds().workers - before.workers, postgres: cpuSeconds().postgres - before.postgres }
  console.log(`burst        drained in ${seconds.toFixed(1)} s: ${(BURST / seconds).toFixed(0)}/s (goal ≥ 2000/s); load ${load()}`)
  console.log(`burst        CPU for each, with its messages: workers ${((work.workers * 1e6) / BURST).toFixed(0)} µs + PostgreSQL ${((work.postgres * 1e6) / BURST).toFixed(0)} µs; had they the ${cpus().length} cores alone: ${((cpus().length * BURST) / (work.workers + work.postgres)).toFixed(0)}/s`)
  await lateness(client, 'burst       ', ids)
  const began = performance.now()
  await told(client)
  console.log(`burst        feed and inboxes caught up ${((performance.now() - began) / 1_000).toFixed(1)} s later`)
  const { rows: [open] } = await client.query<{ open: number }>(`SELECT count(*)::int AS open FROM deadline WHERE "nextAt" IS NOT NULL`)
  return open!.open
}

/** Waits until the feed and the inboxes know all. */
async function told(client: pg.Client): Promise<void> {
  await until(async () => (await client.query(`SELECT FROM outbox LIMIT 1`)).rowCount === 0)
  await until(async () => (await client.query(`SELECT FROM cursor WHERE name = 'notifications' AND position = (SELECT max(position) FROM feed)`)).rowCount === 1)
}

/** What the workers and PostgreSQL, its ended children included, have worked. */
function cpuSeconds(): { workers: number; postgres: number } {
  const ticks = (pid: number) => {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const [, parent, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ').map(Number) as [number, number, ...number[]]
    const [own, ended] = [fields[9]! + fields[10]!, fields[11]! + fields[12]!]
    return { parent, own: own / 100, ended: ended / 100 }
  }
  const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((name) => {
    try {
      return [{ pid: Number(name), ...ticks(Number(name)) }]
    } catch {
      return [] // it has just ended
    }
  })
  const sum = (values: number[]) => values.reduce((a, b) => a + b, 0)
  return {
    workers: sum(all.filter(({ pid }) => workers.some((worker) => worker.pid === pid)).map(({ own }) => own)),
    postgres: sum(all.map(({ pid, parent, own, ended }) => (pid === server.pid ? own + ended : parent === server.pid ? own : 0))),
  }
}

/** Waits until no mark up to then is left. @returns seconds since then */
async function drained(client: pg.Client, instant: Date): Promise<number> {
  await until(async () => Date.now() > instant.getTime() && (await client.query(`SELECT FROM deadline WHERE "nextAt" <= $1 LIMIT 1`, [instant])).rowCount === 0)
  return (Date.now() - instant.getTime()) / 1_000
}

/** Says when the marks of these requests were committed; each must have been fired exactly once. */
async function lateness(client: pg.Client, what: string, ids: string[], goal = ''): Promise<void> {
  const { rows } = await client.query<{ requestId: string; ms: number }>(`
    SELECT "requestId", 1000 * extract(epoch FROM pg_xact_commit_timestamp(xmin) - (data ->> 'logicalAt')::timestamptz)::float8 AS ms
    FROM event WHERE verb = 'escalate' AND "requestId" = ANY ($1)`, [ids])
  if (rows.length !== ids.length || new Set(rows.map(({ requestId }) => requestId)).size !== ids.length) throw new Error(`${rows.length} marks were fired for ${ids.length} requests`)
  const late = rows.map(({ ms }) => ms).sort((a, b) => a - b)
  console.log(`${what} lateness p50 ${at(late, 0.5).toFixed(0)} ms, p99 ${at(late, 0.99).toFixed(0)} ms, max ${at(late, 1).toFixed(0)} ms, min ${at(late, 0).toFixed(0)} ms ${goal && `(${goal})`}`)
}

function at(sorted: number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN
}

async function startWorkers(url: string): Promise<void> {
  await writeFile(join(folder, 'keyring.json'), JSON.stringify(generateKeyring()), { mode: 0o600 })
  const env = { PATH: process.env.PATH, DATABASE_URL: url, LOG_LEVEL: 'warn', WISHWALL_KEYRING_FILE: join(folder, 'keyring.json'), REDIS_URL: process.env.REDIS_URL ?? '' }
  for (let n = 0; n < WORKERS; n++) workers.push(spawn(process.execPath, [...(process.env.CLOCK_NODE ?? '').split(' ').filter(Boolean), 'dist/bin/wish-wall.js', 'worker'], { env, stdio: 'inherit' }))
  const client = await connected(url)
  await until(async () => (await client.query(`SELECT FROM worker WHERE "roundTripAt" IS NOT NULL`)).rowCount === WORKERS)
  await client.end()
}

async function stopWorkers(): Promise<void> {
  for (let worker = workers.pop(); worker; worker = workers.pop()) {
    worker.kill('SIGTERM')
    await once(worker, 'exit')
  }
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await sleep(100)
}

async function connected(connectionString: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString })
  client.on('error', () => {}) // the query in flight tells of it
  await client.connect()
  return client
}

function load(): string {
  return loadavg().map((one) => one.toFixed(1)).join(' ')
}
