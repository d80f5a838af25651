import { mkdtemp, rm } from 'node:fs/promises'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { startEmbeddedPostgres } from '../../src/bin/embedded-postgres.ts'
import type { PersonActor } from '../../src/domain/actor.ts'
import { RATE_CODES } from '../../src/domain/rates.ts'
import { inTenant, openDatabase } from '../../src/service/db.ts'
import { hotspots, recurring } from '../../src/service/hotspots.ts'
import { generateKeyring, parseKeyring } from '../../src/service/keyring.ts'
import { migrate } from '../../src/service/migrate.ts'
import { recount } from '../../src/service/rate-facts.ts'
import { rateRequests, type Part } from '../../src/service/rate-requests.ts'
import { rates, trend } from '../../src/service/rates.ts'
import { fillYear } from './stats-town.ts'
import { makeTown } from './town.ts'

/** What figures cost: a street of 1,287 buildings (S3's scale), a year of requests. Every figure p50/p99, and a year's trend. */

const REQUESTS = Number(process.env.STATS_REQUESTS ?? 100_000)
const TIMES = Number(process.env.STATS_TIMES ?? 30)

const folder = await mkdtemp(join(tmpdir(), 'wish-wall-stats-'))
const server = await startEmbeddedPostgres({ dataDir: folder })
try {
  const admin = await connected(server.url('postgres'))
  await admin.query('CREATE DATABASE stats')
  await admin.end()
  const url = server.url('stats')
  await migrate(url)
  const town = await makeTown(url, 0)
  const client = await connected(url)
  const version = (await client.query<{ v: string }>(`SELECT current_setting('server_version') AS v`)).rows[0]!.v
  console.log(`${cpus().length} cores, load ${load()}, PostgreSQL ${version}, ${town.buildings.length} buildings, ${REQUESTS} requests of a year`)
  await fillYear(client, town, REQUESTS)
  const db = openDatabase({ url, connections: 4 })
  const began = performance.now()
  await recount(db)
  const seconds = (performance.now() - began) / 1_000
  await client.query('VACUUM ANALYZE')
  const { rows: [size] } = await client.query<{ facts: number; mib: number }>(`SELECT count(*)::int AS facts, (pg_total_relation_size('rate_fact') / 1048576)::int AS mib FROM rate_fact`)
  console.log(`figures:rebuild ${seconds.toFixed(0)} s, ${(REQUESTS / seconds).toFixed(0)} requests/s; ${size!.facts} facts, ${size!.mib} MiB with indexes; load ${load()}\n`)
  const chief = { kind: 'person', id: town.staff, clientId: null, affiliations: [], hasAccount: true, duties: [{ id: town.staff, role: 'x', capabilities: ['view', 'dispatch'], path: 'S/', organisationId: null }] } as PersonActor
  const ring = parseKeyring(JSON.stringify(generateKeyring()))
  const today = new Date()
  const day = (before: number) => new Date(today.getTime() - before * 86_400_000).toISOString().slice(0, 10)
  const year = { from: day(365), to: day(0) }
  const month = { from: day(30), to: day(0) }
  const building = town.buildings[600]!.code
  let worst = 0

  await inTenant(town.tenantId, async () => {
    const measured = async (what: string, goalMs: number, run: () => Promise<unknown>): Promise<void> => {
      const times: number[] = []
      for (let n = 0; n < TIMES + 3; n++) {
        const start = performance.now()
        await run()
        if (n >= 3) times.push(performance.now() - start)
      }
      times.sort((a, b) => a - b)
      const at = (share: number) => times[Math.min(times.length - 1, Math.floor(times.length * share))]!
      worst = Math.max(worst, at(0.99) / goalMs)
      console.log(`${what.padEnd(58)} p50 ${at(0.5).toFixed(0).padStart(4)} ms  p99 ${at(0.99).toFixed(0).padStart(4)} ms  ${at(0.99) <= goalMs ? '' : at(0.5) <= goalMs ? `p99 over ${goalMs}` : `over ${goalMs}`}`)
    }
    for (const [node, name] of [['S', 'street'], ['S-7', 'community'], ['S-7-5', 'compound'], [building, 'building']] as const) {
      for (const [days, span] of [[month, 'month'], [year, 'year']] as const) await measured(`rates, all ${RATE_CODES.length}: ${name}, ${span}`, 200, () => rates(db, ring, { node, ...days }, chief))
    }
    await measured('rates, all: street, year, one service', 200, () => rates(db, ring, { node: 'S', item: 'item-3', ...year }, chief))
    await measured('rates: street, year, one member', 200, () => rates(db, ring, { node: 'S', party: town.members[7]!, ...year }, chief))
    for (const group of ['node', 'item', 'party'] as const) await measured(`rates by ${group}: street, year`, 200, () => rates(db, ring, { node: 'S', group, ...year }, chief))
    for (const code of RATE_CODES) for (const part of ['numerator', 'denominator'] as Part[]) await measured(`behind ${code}, ${part}: street, year`, 200, () => rateRequests(db, code, { node: 'S', part, limit: 20, ...year }, chief))
    await measured('behind on_time, excluded: street, year', 200, () => rateRequests(db, 'on_time', { node: 'S', part: 'excluded', limit: 20, ...year }, chief))
    const first = await rateRequests(db, 'on_time', { node: 'S-7', limit: 100, ...year }, chief)
    await measured('behind on_time, second page of 100: community, year', 200, () => rateRequests(db, 'on_time', { node: 'S-7', limit: 100, cursor: first.page.nextCursor!, ...year }, chief))
    for (const days of [month, year]) await measured(`hotspots: street, ${days === month ? 'month' : 'year'}`, 200, () => hotspots(db, ring, { node: 'S', limit: 20, ...days }, chief))
    await measured('hotspots by compound: street, year', 200, () => hotspots(db, ring, { node: 'S', level: 'compound', limit: 20, ...year }, chief))
    for (const days of [month, year]) await measured(`recurring: street, ${days === month ? 'month' : 'year'}`, 200, () => recurring(db, ring, { node: 'S', limit: 20, ...days }, chief))
    for (const by of ['month', 'week', 'day'] as const) await measured(`a year's trend of all rates, by ${by}: street`, 1_000, () => trend(db, { node: 'S', by, ...year }, chief))
    await measured(`a year's trend of all rates, by month: community`, 1_000, () => trend(db, { node: 'S-7', by: 'month', ...year }, chief))
  })
  console.log(`\nworst p99 against its goal: ${worst.toFixed(2)}; load ${load()}`)
  await db.close()
  await client.end()
} finally {
  await server.stop()
  await rm(folder, { recursive: true, force: true })
}

async function connected(connectionString: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString })
  await client.connect()
  return client
}

function load(): string {
  return loadavg().map((one) => one.toFixed(1)).join(' ')
}
