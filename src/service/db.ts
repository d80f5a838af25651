import { AsyncLocalStorage } from 'node:async_hooks'
import { PrismaPg } from '@prisma/adapter-pg'
import { LRUCache } from 'lru-cache'
import pg from 'pg'
import { PrismaClient } from './generated/client.ts'
import { lent } from './lent-client.ts'
import { transaction } from './transaction.ts'

/**
 * The way to the database. Two pools, two roles: `app` sees the rows of the tenant it is called in and no others,
 * `system` (relay, sweep, login) sees all. Tables belong to neither.
 */
export interface Db {
  readonly app: pg.Pool
  /** The same pool by Prisma: for everything that is not the request aggregate's own hot statements. */
  readonly prisma: PrismaClient
  readonly system: pg.Pool
  /** The sweep's own connection, as the system: whatever else waits for one, the clock does not. */
  readonly clock: pg.Pool
  /** Things that never change (versions) or may be seconds old (settings, duties). */
  readonly memory: LRUCache<string, Promise<object>>
  close(): Promise<void>
}

/** What reading needs: the app's pool, or a transaction that reads for itself and remembers apart. */
export interface Reader {
  readonly app: Pick<pg.Pool, 'query'>
  readonly memory: Db['memory']
}

export interface DatabaseOptions {
  url: string
  /** Connections of the app role. */
  connections?: number
  /** How far the clock of these connections is behind: the demo tells of its last month. */
  hoursBehind?: number
  onError?: (error: Error) => void
}

const tenants = new AsyncLocalStorage<string>()

/** Runs with the tenant whose rows the connections may see. */
export const inTenant = <T>(tenantId: string, run: () => T): T => tenants.run(tenantId, run)

/** The tenant of this call. @throws when there is none: a fault of ours, not of the caller */
export function tenantHere(): string {
  const id = tenants.getStore()
  if (id === undefined) throw new Error('no tenant in this context')
  return id
}

const SEEN = Symbol('tenant last set on this connection')
type Client = pg.PoolClient & { [SEEN]?: string }
type Done = (error: Error | undefined, client: pg.PoolClient | undefined, release: (error?: Error | boolean) => void) => void

/**
 * Row-level security reads the tenant from the connection: it is set here, where every query of Prisma and of our own
 * passes, and only when it differs from what the connection last had.
 */
export class TenantPool extends pg.Pool {
  /** The transaction that this call is part of, where it is part of one. */
  readonly #open = new AsyncLocalStorage<pg.PoolClient>()

  /** Whatever `run` asks of this pool goes through `client`, which is in a transaction. */
  within<T>(client: pg.PoolClient, run: () => Promise<T>): Promise<T> {
    // One within another is the same one: it is begun and ended by a savepoint.
    if (this.#open.getStore() === client) return run()
    const { client: one, takeBack } = lent(client, () => { delete (one as Client)[SEEN] })
    ;(one as Client)[SEEN] = tenants.getStore() ?? ''
    return this.#open.run(one, run).finally(takeBack)
  }

  override connect(): Promise<pg.PoolClient>
  override connect(done: Done): void
  override connect(done?: Done): Promise<pg.PoolClient> | void {
    const open = this.#open.getStore()
    const tenant = tenants.getStore() ?? ''
    if (open) {
      const entered = enterFor(open, tenant)
      return done ? void entered.then(() => done(undefined, open, () => {}), (failure: Error) => done(failure, undefined, () => {})) : entered
    }
    if (!done) return super.connect().then((client) => enter(client, tenant))
    super.connect((error, client, release) => {
      if (error || !client) return done(error, undefined, release)
      if ((client as Client)[SEEN] === tenant) return done(undefined, client, release)
      enter(client, tenant).then(() => done(undefined, client, release), (failure: Error) => done(failure, undefined, release))
    })
  }
}

async function enter(client: Client, tenant: string): Promise<pg.PoolClient> {
  if (client[SEEN] === tenant) return client
  try {
    await client.query({ name: 'enter_tenant', text: `SELECT set_config('wishwall.tenant', $1, false)`, values: [tenant] })
    client[SEEN] = tenant
    return client
  } catch (error) {
    client.release(true)
    throw error
  }
}

/** For what is left of the transaction: an act on a sandbox is accounted for where its keeper is. */
async function enterFor(client: Client, tenant: string): Promise<pg.PoolClient> {
  if (client[SEEN] === tenant) return client
  await client.query({ name: 'enter_tenant_within', text: `SELECT set_config('wishwall.tenant', $1, true)`, values: [tenant] })
  client[SEEN] = tenant
  return client
}

/** All that `run` writes through the app's pool, by Prisma too, is committed whole or not at all. */
export const inOneTransaction = <T>({ app }: Pick<Db, 'app'>, run: () => Promise<T>): Promise<T> => transaction(app, (client) => (app as TenantPool).within(client, run))

/** No statement waits for ever: adapter and driver have no limits of their own. */
const LIMITS = {
  connectionTimeoutMillis: 5_000,
  statement_timeout: 10_000,
  query_timeout: 12_000,
  lock_timeout: 4_000,
  idle_in_transaction_session_timeout: 10_000,
  keepAlive: true,
} as const

/**
 * Of the sweep: when its process is stopped or cut off in the middle, its locks are gone after these seconds and another
 * worker does what is due.
 */
const CLOCK_LIMITS = {
  connectionTimeoutMillis: 2_500,
  statement_timeout: 4_000,
  query_timeout: 4_500,
  // It passes over requests that are locked; whatever else it would have to wait for is not worth the time of all others.
  lock_timeout: 500,
  idle_in_transaction_session_timeout: 2_000,
} as const

/**
 * Statements are written so that one plan fits all values (a narrow and a wide form where none would): planning them
 * anew for each call would cost more than running them.
 */
const optionsFor = (role: string, hoursBehind = 0): string => `${hoursBehind === 0 ? '' : `-c wishwall.clock_offset=-${hoursBehind}h `}-c role=${role} -c plan_cache_mode=force_generic_plan -c jit=off -c TimeZone=UTC`

export function openDatabase({ url, connections = 10, hoursBehind = 0, onError = () => {} }: DatabaseOptions): Db {
  const config = { connectionString: url, ...LIMITS }
  const app = new TenantPool({ ...config, max: connections, options: optionsFor('wishwall_app', hoursBehind), application_name: 'wish-wall app' })
  const system = new pg.Pool({ ...config, max: 4, options: optionsFor('wishwall_system', hoursBehind), application_name: 'wish-wall system' })
  const clock = new pg.Pool({ ...config, ...CLOCK_LIMITS, max: 1, options: optionsFor('wishwall_system', hoursBehind), application_name: 'wish-wall clock' })
  // An idle connection that breaks must not end the process; the next query reports for itself.
  for (const pool of [app, system, clock]) {
    pool.on('error', onError)
    // Nor must one that is in use: whatever is asked of it next fails, and the pool listens to idle ones only.
    pool.on('connect', (client) => client.on('error', () => {}))
  }
  const prisma = new PrismaClient({ errorFormat: 'minimal', adapter: new PrismaPg(app, { statementNameGenerator: statementNames() }) })
  return {
    app,
    system,
    clock,
    prisma,
    memory: new LRUCache({ max: 50_000 }),
    close: async () => {
      await prisma.$disconnect()
      await Promise.all([app.end(), system.end(), clock.end()])
    },
  }
}

/** Prepared statements stay on the connection: so many are named, and whatever varies beyond them is not. */
const MOST_STATEMENTS = 500

function statementNames(): ({ sql }: { sql: string }) => string {
  const names = new Map<string, string>()
  return ({ sql }) => {
    const known = names.get(sql)
    if (known !== undefined) return known
    if (names.size >= MOST_STATEMENTS) return ''
    const name = `prisma_${names.size}`
    names.set(sql, name)
    return name
  }
}

/** `load` once per key and `ttlMs`; callers at the same time share one load. Failures are not kept. */
export function remember<T extends object>(db: Pick<Reader, 'memory'>, key: string, ttlMs: number, load: () => Promise<T>): Promise<T> {
  const known = db.memory.get(key) as Promise<T> | undefined
  if (known) return known
  const loading = load()
  db.memory.set(key, loading, { ttl: ttlMs })
  loading.catch(() => db.memory.delete(key))
  return loading
}
