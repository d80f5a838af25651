import { readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import pg from 'pg'
import { openDatabase } from '../service/db.ts'
import type { Keyring } from '../service/keyring.ts'
import { migrate } from '../service/migrate.ts'
import { databaseOf, failing, furnish, logger, openHouse, startApi, startMetrics, startWorker, storageOf, type House } from './compose.ts'
import { readConfig, type Config } from './config.ts'
import { seedDemo, type DemoFile } from './demo.ts'
import { startEmbeddedPostgres, type EmbeddedPostgres } from './embedded-postgres.ts'
import { keyringFrom } from './keyring-file.ts'
import { portFree } from './listening.ts'
import { run, type Stoppable } from './run.ts'

const DATABASE = 'wish_wall'

/** Everything in one process: with DATABASE_URL on that database, else on an embedded one with a demo street. */
export const start = (): Promise<void> => run(async (started) => {
  const config = readConfig(process.env)
  const log = logger(config)
  await portFree(config)
  const house = config.DATABASE_URL === undefined ? await embedded(config, log, started) : await openHouse(config, log)
  started(databaseOf(house))
  await startMetrics(house, started)
  const address = await startApi(house, started)
  const demo = config.DATABASE_URL === undefined ? await demoAt(join(resolve(config.WISHWALL_DATA), 'demo.json'), address) : undefined
  await startWorker(house, started)
  console.log(banner(address, demo))
})

async function embedded(config: Config, log: House['log'], started: (part: Stoppable) => void): Promise<House> {
  const dataDir = resolve(config.WISHWALL_DATA)
  const server = await startEmbeddedPostgres({ dataDir, say: (line) => console.log(line) })
  started(server)
  const keyring = await failing(keyringFrom({ keyring: config.WISHWALL_KEYRING, keyringFile: config.WISHWALL_KEYRING_FILE }, join(dataDir, 'keyring.json')))
  const databaseUrl = server.url(DATABASE)
  await failing(onServer(server, async (client) => {
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [DATABASE])
    if (rowCount === 0) await seed(client, server, keyring, config)
  }))
  await failing(migrate(databaseUrl))
  return furnish({ config, log, databaseUrl, keyring })
}

/** Seeded under another name: whatever ends it half way, the next start finds no demo and begins anew. */
async function seed(client: pg.Client, server: EmbeddedPostgres, keyring: Keyring, config: Config): Promise<void> {
  const draft = `${DATABASE}_seeding`
  await client.query(`DROP DATABASE IF EXISTS ${draft} WITH (FORCE)`)
  await client.query(`CREATE DATABASE ${draft}`)
  // What is only a draft need not reach the disk commit by commit: the renaming does, and all that was written before it.
  await client.query(`ALTER DATABASE ${draft} SET synchronous_commit = off`)
  await migrate(server.url(draft))
  // A few connections will do: each has everything to plan anew.
  const open = (hoursBehind: number) => openDatabase({ url: server.url(draft), hoursBehind, connections: 3 })
  await writeDemo(join(resolve(config.WISHWALL_DATA), 'demo.json'), await seedDemo({ open, keyring, files: await storageOf(config) }))
  await client.query(`ALTER DATABASE ${draft} RESET synchronous_commit`)
  await client.query(`ALTER DATABASE ${draft} RENAME TO ${DATABASE}`)
}

/** Two first starts at once seed once. */
const SEED_LOCK = 7_021_002

async function onServer(server: EmbeddedPostgres, work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: server.url('postgres') })
  client.on('error', () => {}) // the query in flight tells of it
  await client.connect()
  try {
    await client.query('SELECT pg_advisory_lock($1)', [SEED_LOCK])
    await work(client)
  } finally {
    await client.end()
  }
}

const writeDemo = (file: string, demo: DemoFile): Promise<void> => writeFile(file, `${JSON.stringify(demo, null, 2)}\n`, { mode: 0o600 })

/** The demo's logins, with the address it has this time. */
async function demoAt(file: string, baseUrl: string): Promise<{ file: string; demo: DemoFile } | undefined> {
  const text = await readFile(file, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined // thrown away by its owner: the data are still theirs
  const demo = { ...(JSON.parse(text) as DemoFile), baseUrl }
  await writeDemo(file, demo)
  return { file, demo }
}

function banner(address: string, demo: Awaited<ReturnType<typeof demoAt>>): string {
  return [
    '', '  心愿墙 Wish Wall', '',
    `  API   ${address}/v1`,
    `  文档  ${address}/docs`,
    `  就绪  ${address}/readyz`,
    ...(demo ? ['', `  演示账号（全部见 ${demo.file}）`, ...logins(demo.demo)] : []),
    '', '  Ctrl-C 停止', '',
  ].join('\n')
}

/** One login for each kind of work. */
function logins({ people }: DemoFile): string[] {
  const seen = new Set<string>()
  return people.flatMap(({ login, password, kinds, duties }) => {
    const roles = [...duties.map(({ role }) => role), ...kinds].filter((role) => !seen.has(role))
    if (roles.length === 0) return []
    for (const role of roles) seen.add(role)
    return [`    ${login}  ${password}  ${roles.join(', ')}`]
  })
}
