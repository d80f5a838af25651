import { readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import pg from 'pg'
import { migrate } from '../service/migrate.ts'
import { allTenants } from '../service/tenants.ts'
import { databaseOf, failing, furnish, logger, openHouse, startApi, startWorker, type House } from './compose.ts'
import { readConfig, type Config } from './config.ts'
import { seedDemo, type DemoFile } from './demo.ts'
import { startEmbeddedPostgres } from './embedded-postgres.ts'
import { keyringFrom } from './keyring-file.ts'
import { run, type Stoppable } from './run.ts'

const DATABASE = 'wish_wall'

/** Everything in one process: with DATABASE_URL on that database, else on an embedded one with a demo street. */
export const start = (): Promise<void> => run(async (started) => {
  const config = readConfig(process.env)
  const log = logger(config)
  const house = config.DATABASE_URL === undefined ? await embedded(config, log, started) : await openHouse(config, log)
  started(databaseOf(house))
  const address = await startApi(house, started)
  const demo = config.DATABASE_URL === undefined ? await demoFor(house, address) : undefined
  await startWorker(house, started)
  console.log(banner(address, demo))
})

async function embedded(config: Config, log: House['log'], started: (part: Stoppable) => void): Promise<House> {
  const dataDir = resolve(config.WISHWALL_DATA)
  const server = await startEmbeddedPostgres({ dataDir, say: (line) => console.log(line) })
  started(server)
  const databaseUrl = server.url(DATABASE)
  await failing(createDatabase(server.url('postgres')))
  await failing(migrate(databaseUrl))
  const keyring = await failing(keyringFrom({ keyring: config.WISHWALL_KEYRING, keyringFile: config.WISHWALL_KEYRING_FILE }, join(dataDir, 'keyring.json')))
  return furnish({ config, log, databaseUrl, keyring })
}

async function createDatabase(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(`CREATE DATABASE ${DATABASE}`)
  } catch (error) {
    // It was there, or another process has just made it.
    if (!['42P04', '23505'].includes((error as { code?: string }).code ?? '')) throw error
  } finally {
    await client.end()
  }
}

/** Seeds the demo once; afterwards only its address may have changed. */
async function demoFor(house: House, baseUrl: string): Promise<{ file: string; demo: DemoFile }> {
  const file = join(resolve(house.config.WISHWALL_DATA), 'demo.json')
  const seeded = (await allTenants(house.db)).length > 0
  const demo = { ...(seeded ? (JSON.parse(await readFile(file, 'utf8')) as DemoFile) : await seedDemo(house)), baseUrl }
  await writeFile(file, `${JSON.stringify(demo, null, 2)}\n`, { mode: 0o600 })
  return { file, demo }
}

function banner(address: string, demo: Awaited<ReturnType<typeof demoFor>> | undefined): string {
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
