import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { startEmbeddedPostgres } from '../../src/bin/embedded-postgres.ts'
import type { PersonActor } from '../../src/domain/actor.ts'
import { RATE_CODES } from '../../src/domain/rates.ts'
import { ranking, statement } from '../../src/service/credit.ts'
import { inTenant, openDatabase } from '../../src/service/db.ts'
import { hotspots, recurring } from '../../src/service/hotspots.ts'
import { generateKeyring, parseKeyring } from '../../src/service/keyring.ts'
import { migrate } from '../../src/service/migrate.ts'
import { recount } from '../../src/service/rate-facts.ts'
import { rateRequests, type Part } from '../../src/service/rate-requests.ts'
import { rates, trend } from '../../src/service/rates.ts'
import { fillCredit, fillYear } from './stats-town.ts'
import { makeTown, type Town } from './town.ts'

/**
 * What figures cost: a street of 1,287 buildings (S3's scale), a year of requests. Every figure p50/p99, and a year's trend.
 * STATS_DATA names a folder in which the database is kept for the next run; STATS_ONLY measures what has this in its name.
 */

const REQUESTS = Number(process.env.STATS_REQUESTS ?? 100_000)
const TIMES = Number(process.env.STATS_TIMES ?? 30)
const ONLY = process.env.STATS_ONLY ?? ''
const KEPT = process.env.STATS_DATA

const folder = KEPT ?? await mkdtemp(join(tmpdir(), 'wish-wall-stats-'))
await mkdir(folder, { recursive: true })
const server = await startEmbeddedPostgres({ dataDir: folder })
try {
  const url = server.url('stats')
  const town = await keptTown() ?? await filledTown(url)
  await migrate(url)
  const client = await connected(url)
  await client.query('VACUUM ANALYZE')
  const db = openDatabase({ url, connections: 4 })
  const { rows: [size] } = await client.query<{ v: string; requests: number; facts: number; mib: number }>(
    `SELECT current_setting('server_version') AS v, (SELECT count(*)::int FROM request) AS requests, (SELECT count(*)::int FROM rate_fact) AS facts, (pg_total_relation_size('rate_fact') / 1048576)::int AS mib`)
  console.log(`${cpus().length} cores, load ${load()}, PostgreSQL ${size!.v}, ${town.buildings.length} buildings, ${size!.requests} requests of a year; ${size!.facts} facts, ${size!.mib} MiB with indexes\n`)
  const chief = { kind: 'person', id: town.staff, clientId: null, affiliations: [], hasAccount: true, duties: [{ id: town.staff, role: 'x', capabilities: ['view', 'dispatch'], path: 'S/', organisationId: null }] } as PersonActor
  const twice = { ...chief, duties: ['S/S-7/', 'S/S-9/'].map((path) => ({ ...chief.duties[0]!, path })) } as PersonActor
  const ring = parseKeyring(JSON.stringify(generateKeyring()))
  const today = new Date()
  const day = (before: number) => new Date(today.getTime() - before * 86_400_000).toISOString().slice(0, 10)
  const year = { from: day(365), to: day(0) }
  const month = { from: day(30), to: day(0) }
  const building = town.buildings[600]!.code
  const member = town.members[7]!
  const late: string[] = []

  await inTenant(town.tenantId, async () => {
    const measured = async (what: string, goalMs: number, run: () => Promise<unknown>): Promise<void> => {
      if (!what.includes(ONLY)) return
      const times: number[] = []
      for (let n = 0; n < TIMES + 3; n++) {
        const start = performance.now()
        await run()
        if (n >= 3) times.push(performance.now() - start)
      }
      times.sort((a, b) => a - b)
      const at = (share: number) => times[Math.min(times.length - 1, Math.floor(times.length * share))]!
      const verdict = at(0.99) <= goalMs ? 'ok' : at(0.5) <= goalMs ? 'p99 over' : 'over'
      if (verdict !== 'ok') late.push(what)
      console.log(`${what.padEnd(62)} p50 ${at(0.5).toFixed(0).padStart(4)} ms  p99 ${at(0.99).toFixed(0).padStart(4)} ms  goal ${String(goalMs).padStart(4)}  ${verdict}`)
    }
    const figure = (what: string, query: Parameters<typeof rates>[2], actor = chief) => measured(`rates${what}`, 200, () => rates(db, ring, query, actor))
    for (const [node, name] of [['S', 'street'], ['S-7', 'community'], ['S-7-5', 'compound'], [building, 'building']] as const) {
      for (const [days, span] of [[month, 'month'], [year, 'year']] as const) await figure(`, all ${RATE_CODES.length}: ${name}, ${span}`, { node, ...days })
    }
    await figure(', all: two communities, year', year, twice)
    await figure(', all: street, year, one service', { node: 'S', item: 'item-3', ...year })
    await figure(': street, year, one member', { node: 'S', party: member, ...year })
    await figure(': street, year, one member and service', { node: 'S', party: member, item: 'item-3', ...year })
    for (const [node, name] of [['S', 'street'], ['S-7', 'community']] as const) {
      for (const [days, span] of [[month, 'month'], [year, 'year']] as const) for (const group of ['node', 'item', 'party'] as const) await figure(` by ${group}: ${name}, ${span}`, { node, group, ...days })
    }
    for (const group of ['node', 'party'] as const) await figure(` by ${group}: street, year, one service`, { node: 'S', item: 'item-3', group, ...year })
    for (const group of ['node', 'item'] as const) await figure(` by ${group}: street, year, one member`, { node: 'S', party: member, group, ...year })
    await figure(' by node: two communities, year', { group: 'node', ...year }, twice)

    const behind = (what: string, code: (typeof RATE_CODES)[number], query: Omit<Parameters<typeof rateRequests>[2], 'limit'>, limit = 20) => measured(`behind ${code}, ${what}`, 200, () => rateRequests(db, code, { limit, ...query }, chief))
    for (const code of RATE_CODES) for (const part of ['numerator', 'denominator'] as Part[]) await behind(`${part}: street, year`, code, { node: 'S', part, ...year })
    await behind('excluded: street, year', 'on_time', { node: 'S', part: 'excluded', ...year })
    await behind('numerator: community, year', 'redo', { node: 'S-7', part: 'numerator', ...year })
    await behind('numerator: one member, year', 'redo', { node: 'S', part: 'numerator', party: member, ...year })
    for (const [node, name] of [['S', 'street'], ['S-7', 'community']] as const) {
      const first = await rateRequests(db, 'on_time', { node, limit: 100, ...year }, chief)
      await behind(`second page of 100: ${name}, year`, 'on_time', { node, cursor: first.page.nextCursor!, ...year }, 100)
    }

    const spot = (what: string, query: Omit<Parameters<typeof hotspots>[2], 'limit'>) => measured(`hotspots${what}`, 200, () => hotspots(db, ring, { limit: 20, ...query }, chief))
    const again = (what: string, query: Omit<Parameters<typeof recurring>[2], 'limit'>) => measured(`recurring${what}`, 200, () => recurring(db, ring, { limit: 20, ...query }, chief))
    for (const [node, name] of [['S', 'street'], ['S-7', 'community']] as const) {
      for (const [days, span] of [[month, 'month'], [year, 'year']] as const) {
        await spot(`: ${name}, ${span}`, { node, ...days })
        await again(`: ${name}, ${span}`, { node, ...days })
      }
    }
    await spot(' by compound: street, year', { node: 'S', level: 'compound', ...year })
    await again(' within 365 days: street, year', { node: 'S', within: 365, ...year })
    await again(': street, year, one service', { node: 'S', item: 'item-3', ...year })
    for (const of of ['person', 'organisation'] as const) await measured(`credit, ranking by ${of}: street, year`, 200, () => ranking(db, ring, { node: 'S', of, limit: 20, ...year }, chief))
    await measured('credit, ranking by person: community, year', 200, () => ranking(db, ring, { node: 'S-7', of: 'person', limit: 20, ...year }, chief))
    await measured('credit, statement of a branch: year', 200, () => statement(db, ring, 'organisation', 'B-S-7-5', { limit: 20, ...year }, chief))

    const course = (what: string, query: Parameters<typeof trend>[1]) => measured(`a year's trend of all rates, ${what}`, 1_000, () => trend(db, { ...query, ...year }, chief))
    for (const by of ['month', 'week', 'day'] as const) {
      await course(`by ${by}: street`, { node: 'S', by })
      await course(`by ${by}: community`, { node: 'S-7', by })
      await course(`by ${by}: street, one service`, { node: 'S', item: 'item-3', by })
    }
    await course('by day: street, one member', { node: 'S', party: member, by: 'day' })
  })
  console.log(`\n${late.length === 0 ? 'all within their goals' : `over: ${late.join('; ')}`}; load ${load()}`)
  await db.close()
  await client.end()
} finally {
  await server.stop()
  if (KEPT === undefined) await rm(folder, { recursive: true, force: true })
}

/** As an earlier run has left it. */
async function keptTown(): Promise<Town | undefined> {
  return readFile(join(folder, 'town.json'), 'utf8').then((json) => JSON.parse(json) as Town, () => undefined)
}

async function filledTown(url: string): Promise<Town> {
  const admin = await connected(server.url('postgres'))
  await admin.query('DROP DATABASE IF EXISTS stats')
  await admin.query('CREATE DATABASE stats')
  await admin.end()
  await migrate(url)
  const town = await makeTown(url, 0)
  const client = await connected(url)
  await fillYear(client, town, REQUESTS)
  const db = openDatabase({ url, connections: 4 })
  const began = performance.now()
  await recount(db, undefined, 1_000)
  const seconds = (performance.now() - began) / 1_000
  await db.close()
  await fillCredit(client, town)
  await client.end()
  console.log(`figures:rebuild ${seconds.toFixed(0)} s, ${(REQUESTS / seconds).toFixed(0)} requests/s`)
  await writeFile(join(folder, 'town.json'), JSON.stringify(town))
  return town
}

async function connected(connectionString: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString })
  await client.connect()
  return client
}

function load(): string {
  return loadavg().map((one) => one.toFixed(1)).join(' ')
}
