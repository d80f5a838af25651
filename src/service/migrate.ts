import { createHash, randomUUID } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { Client, DatabaseError } from 'pg'

/** A pool, a client or a transaction. */
export interface Queryable {
  query(sql: string): Promise<{ rows: { migration_name: string; checksum: string; finished: boolean }[] }>
}

/** Two floors up from src/service and from dist/service alike: the package root. */
const FOLDER = new URL('../../prisma/migrations/', import.meta.url)

/** The key `prisma migrate deploy` takes, so that it and we wait for each other. */
const LOCK = 72707369

const UNDEFINED_TABLE = '42P01'

/** Prisma's own ledger, column by column, so that either can continue where the other stopped. */
const LEDGER = `
  CREATE TABLE IF NOT EXISTS _prisma_migrations (
    id                  varchar(36)  PRIMARY KEY NOT NULL,
    checksum            varchar(64)  NOT NULL,
    finished_at         timestamptz,
    migration_name      varchar(255) NOT NULL,
    logs                text,
    rolled_back_at      timestamptz,
    started_at          timestamptz  NOT NULL DEFAULT now(),
    applied_steps_count integer      NOT NULL DEFAULT 0
  )`

const LANDED = `
  SELECT migration_name, checksum, finished_at IS NOT NULL AS finished
    FROM _prisma_migrations WHERE rolled_back_at IS NULL`

const RECORD = `
  INSERT INTO _prisma_migrations (id, migration_name, checksum, finished_at, applied_steps_count)
  VALUES ($1, $2, $3, now(), 1)`

/**
 * Applies what the folder has and the database lacks, oldest first, each in a transaction of its own
 * together with its ledger row: a failed or killed migration leaves nothing behind, and running again
 * once the file is mended is the whole repair. Any number of processes may call this at once.
 */
export async function migrate(url: string, landed: (name: string) => void = () => {}): Promise<{ applied: string[] }> {
  const names = await migrationNames()
  return connected(url, async (client) => {
    await client.query('SELECT pg_advisory_lock($1)', [LOCK])
    await client.query(LEDGER)
    const checksums = await landedChecksums(client)
    const applied: string[] = []
    for (const name of names) {
      const sql = await readFile(new URL(`${name}/migration.sql`, FOLDER), 'utf8')
      const checksum = createHash('sha256').update(sql).digest('hex')
      const known = checksums.get(name)
      if (known === checksum) continue
      if (known) throw new Error(`migration ${name} was edited after it landed: restore it, and write a new one`)
      await apply(client, { name, sql, checksum })
      applied.push(name)
      landed(name)
    }
    return { applied }
  })
}

/** For /readyz: names only, one small query, which the login may ask and a role without a grant may not. */
export async function pendingMigrations(db: string | Queryable): Promise<string[]> {
  if (typeof db === 'string') return connected(db, pendingMigrations)
  const [names, checksums] = await Promise.all([migrationNames(), landedChecksums(db)])
  return names.filter((name) => !checksums.has(name))
}

async function migrationNames(): Promise<string[]> {
  const entries = await readdir(FOLDER, { withFileTypes: true })
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name).sort()
}

async function landedChecksums(db: Queryable): Promise<Map<string, string>> {
  const { rows } = await db.query(LANDED).catch((error: unknown) => {
    if (error instanceof DatabaseError && error.code === UNDEFINED_TABLE) return { rows: [] }
    throw error
  })
  const unfinished = rows.find((row) => !row.finished)
  // Ours cannot stop halfway; another tool's can, and only a person can tell what it left.
  if (unfinished) {
    throw new Error(`migration ${unfinished.migration_name} was begun by another tool and never finished: ` +
      'mend the database, then set rolled_back_at (undone) or finished_at (done) on its row in _prisma_migrations')
  }
  return new Map(rows.map((row) => [row.migration_name, row.checksum]))
}

async function apply(client: Client, { name, sql, checksum }: { name: string; sql: string; checksum: string }): Promise<void> {
  try {
    await client.query('BEGIN')
    await client.query(RECORD, [randomUUID(), name, checksum])
    // Without parameters the whole file is one simple query, so PostgreSQL itself splits it: Prisma's
    // pg adapter cuts at every semicolon, also inside $$ … $$ and quotes.
    await client.query(sql)
    await client.query('COMMIT')
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {})
    throw new Error(`migration ${name} failed${place(error, sql)}: ${reason(error)}; it lands whole or not at all: mend it and run again`, { cause: error })
  }
}

async function connected<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  if (!/^postgres(ql)?:\/\//.test(url)) throw new Error('the database URL must begin with postgres://')
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 10_000 })
  client.on('error', () => {}) // a lost connection also rejects the query in flight; unheard it would end the process
  await client.connect().catch((error: unknown) => {
    throw new Error(`no connection to the database at ${client.host}:${client.port}: ${reason(error)}`, { cause: error })
  })
  try {
    return await work(client)
  } finally {
    await client.end().catch(() => {})
  }
}

function place(error: unknown, sql: string): string {
  if (!(error instanceof DatabaseError) || !error.position) return ''
  return ` at line ${sql.slice(0, Number(error.position)).split('\n').length}`
}

function reason(error: unknown): string {
  if (error instanceof DatabaseError) return `${error.message} (${error.code})`
  if (error instanceof AggregateError) return error.errors.map(reason).join(', ') // one per address of the host
  return error instanceof Error ? error.message : String(error)
}
