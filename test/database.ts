import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { inject } from 'vitest'
import { openDatabase, type Db } from '../src/service/db.ts'

export interface TestDatabase {
  url: string
  readonly db: Db
  /** Moves the database's clock to an instant plus an interval; connections are made anew. */
  setClock(instant: string, plus?: string): Promise<void>
  /** As the owner: past row-level security, for looking and for breaking. */
  owner: pg.Pool
  drop(): Promise<void>
}

const urlOf = (database: string) => inject('cluster').replace('DATABASE', database)

/** An empty migrated database of its own, cloned from the template. */
export async function freshDatabase({ connections = 10 }: { connections?: number } = {}): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`
  await asAdmin(`CREATE DATABASE ${name} TEMPLATE template_wish_wall`)
  let db = openDatabase({ url: urlOf(name), connections })
  const owner = new pg.Pool({ connectionString: urlOf(name), max: 4 })
  owner.on('error', () => {})
  return {
    url: urlOf(name), owner,
    get db() { return db },
    setClock: async (instant, plus = '0') => {
      await db.close()
      await moveClock(urlOf(name), `${new Date(instant).getTime() - Date.now()} milliseconds ${plus}`)
      db = openDatabase({ url: urlOf(name), connections })
    },
    drop: async () => {
      await Promise.all([db.close(), owner.end()])
      await asAdmin(`DROP DATABASE ${name} WITH (FORCE)`)
    },
  }
}

/** Moves the database's clock for connections made from now on; those that are open are cut. */
export async function moveClock(url: string, offset: string): Promise<void> {
  const name = new URL(url).pathname.slice(1)
  await asAdmin(`ALTER DATABASE ${name} SET wishwall.clock_offset = '${offset}'`)
  await asAdmin(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}'`)
}

async function asAdmin(sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: urlOf('postgres') })
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}
