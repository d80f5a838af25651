import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { DEFAULT_SETTINGS } from '../domain/settings.ts'
import { inTenant, openDatabase, type Db } from '../service/db.ts'
import { recount } from '../service/rate-facts.ts'
import { replayLedger } from '../jobs/erasure-ledger.ts'
import { generateKeyring, type Keyring } from '../service/keyring.ts'
import { migrate } from '../service/migrate.ts'
import { grantDuty } from '../service/appointments.ts'
import { createPerson } from '../service/people.ts'
import { createTenant } from '../service/provision.ts'
import { allTenants, rootOf } from '../service/tenants.ts'
import { auditPrune, auditVerify } from './audit-commands.ts'
import { failing, ledgerOf, logger, openHouse, startApi, startMetrics, startWorker, databaseOf } from './compose.ts'
import { Failure, readConfig } from './config.ts'
import { keyringRewrap, keyringRotate } from './keyring-commands.ts'
import { keyringFrom } from './keyring-file.ts'
import { run } from './run.ts'
import { start } from './all-in-one.ts'

interface Command {
  says: string
  run(args: string[]): Promise<void>
}

/** The words after `wish-wall`. */
export const COMMANDS: Record<string, Command> = {
  start: { says: 'API and worker in one process; without DATABASE_URL on an embedded PostgreSQL with demo data', run: start },
  api: { says: 'the HTTP API', run: () => run(async (started) => {
    const house = await opened()
    started(databaseOf(house))
    await startMetrics(house, started)
    house.log.info({ address: await startApi(house, started) }, 'listening')
  }) },
  worker: { says: 'deadlines, feed and notifications', run: () => run(async (started) => {
    const house = await opened()
    started(databaseOf(house))
    await startMetrics(house, started)
    await startWorker(house, started)
    house.log.info({ queues: house.backend.kind }, 'working')
  }) },
  migrate: { says: 'bring the database up to date', run: () => once(async () => {
    const { applied } = await failing(migrate(databaseUrl(), (name) => console.log(`applied ${name}`)))
    if (applied.length === 0) console.log('nothing to apply')
  }) },
  'erasures:replay': { says: '[FILE]: erase again whoever a restored database has brought back, by the erasure ledger', run: ([file]) => once(async () => {
    const lines = await failing(ledgerOf(config(), file).read())
    await withDatabase(async (db) => {
      const { erased, known, unknown } = await failing(replayLedger(db, lines))
      console.log(`${lines.length} lines read: ${erased} erased again, ${known} gone already, ${unknown} not in this database`)
    })
  }) },
  'figures:rebuild': { says: 'count every request anew for the rates, while workers go on', run: () => once(() => withDatabase(async (db) => {
    const all = await failing(recount(db, (done, of) => console.log(`${done} of ${of} requests counted`), 1_000))
    console.log(`${all} requests counted anew`)
  })) },
  'keyring:create': { says: 'FILE: a new keyring, readable by its owner only', run: ([file]) => once(async () => {
    if (!file) throw new Failure('keyring:create needs the name of the file to write')
    await failing(writeFile(file, `${JSON.stringify(generateKeyring(), null, 2)}\n`, { mode: 0o600, flag: 'wx' }))
    console.log(`keyring written to ${file}: keep it safe, without it nothing sealed can be read`)
  }) },
  'keyring:rotate': { says: '[--use signing|encryption|index|audit] [--after 1m]: new keys, which take over at that time', run: (args) => once(() =>
    failing(keyringRotate(args, config().WISHWALL_KEYRING_FILE))) },
  'keyring:rewrap': { says: 'seal and hash what lies in the database with the newest keys', run: () => once(async () => failing(keyringRewrap(await atHand()))) },
  'audit:verify': { says: '[--json] [--checkpoints FILE]: find whatever was changed in feed, history and audit; exit 1 if anything was', run: (args) => once(async () =>
    failing(auditVerify(args, await atHand()))) },
  'audit:prune': { says: '--days N: remove what is older from the audit chain, up to a checkpoint; 180 at least', run: (args) => once(async () =>
    failing(auditPrune(args, await atHand()))) },
  'tenant:create': { says: '--code CODE --name NAME: a new tenant with the shipped roles, menu and limits', run: (args) => once(async () => {
    const { code, name } = options(args, ['code', 'name'])
    await withDatabase(async (db) => {
      const { id } = await failing(createTenant(db, { code, name, settings: { ...DEFAULT_SETTINGS, totpRequired: 'revealers' } }))
      console.log(`tenant ${code} created (${id})`)
    })
  }) },
  'admin:create': { says: '--tenant CODE --login 工号 --name NAME: an administrator of a tenant, with a one-time password', run: (args) => once(async () => {
    const { tenant, login, name } = options(args, ['tenant', 'login', 'name'])
    const { WISHWALL_KEYRING: keyring, WISHWALL_KEYRING_FILE: keyringFile } = config()
    const keys = await failing(keyringFrom({ keyring, keyringFile }))
    await withDatabase(async (db) => {
      const found = (await allTenants(db)).find(({ code }) => code === tenant)
      if (!found) throw new Failure(`there is no tenant ${tenant}`)
      const password = randomBytes(12).toString('base64url')
      await inTenant(found.id, async () => {
        const personId = await failing(createPerson(db, keys, { name, login, password }))
        await grantDuty(db, { personId, roleCode: 'admin', nodeId: await rootOf(db) })
      })
      console.log(`login    ${login}\npassword ${password}\nThe password is shown this once.`)
    })
  }) },
}

const config = () => readConfig(process.env)
const opened = () => {
  const settings = config()
  return openHouse(settings, logger(settings))
}

/** Database and keyring, for the operator. */
async function atHand(): Promise<{ url: string; keyring: Keyring }> {
  const { WISHWALL_KEYRING: keyring, WISHWALL_KEYRING_FILE: keyringFile } = config()
  return { url: databaseUrl(), keyring: await failing(keyringFrom({ keyring, keyringFile })) }
}

function databaseUrl(): string {
  const { DATABASE_URL: url } = config()
  if (url === undefined) throw new Failure('DATABASE_URL is not set')
  return url
}

async function withDatabase(work: (db: Db) => Promise<void>): Promise<void> {
  const db = openDatabase({ url: databaseUrl(), connections: 2 })
  try {
    await work(db)
  } finally {
    await db.close()
  }
}

const once = (work: () => Promise<void>): Promise<void> => run(work).then(() => process.exit(process.exitCode))

function options<Name extends string>(args: string[], names: Name[]): Record<Name, string> {
  const parsed = parseArgs({ args, options: Object.fromEntries(names.map((name) => [name, { type: 'string' as const }])), strict: false }).values
  for (const name of names) if (typeof parsed[name] !== 'string') throw new Failure(`--${name} is missing`)
  return parsed as Record<Name, string>
}
