import { v7 as uuidv7 } from 'uuid'
import type { Db } from './db.ts'
import { pendingMigrations } from './migrate.ts'

export interface Readiness {
  ready: boolean
  database: 'up' | 'down'
  migrations: 'applied' | 'pending' | 'unknown'
  /** Told, not demanded: an api without a worker still takes every request, and nothing it takes is lost. */
  worker: { seenSecondsAgo: number; roundTripSecondsAgo: number | null } | null
}

/** Whether this process can answer requests. Never throws. */
export async function readiness(db: Db): Promise<Readiness> {
  try {
    const [pending, { rows: [worker] }] = await Promise.all([
      pendingMigrations(db.system),
      db.system.query<{ seen: number; roundTrip: number | null }>({
        name: 'newest_worker',
        text: `SELECT extract(epoch FROM clock_timestamp() - max("seenAt"))::float8 AS seen, extract(epoch FROM clock_timestamp() - max("roundTripAt"))::float8 AS "roundTrip" FROM worker HAVING count(*) > 0`,
      }),
    ])
    return {
      ready: pending.length === 0,
      database: 'up',
      migrations: pending.length === 0 ? 'applied' : 'pending',
      worker: worker ? { seenSecondsAgo: rounded(worker.seen), roundTripSecondsAgo: worker.roundTrip === null ? null : rounded(worker.roundTrip) } : null,
    }
  } catch {
    return { ready: false, database: 'down', migrations: 'unknown', worker: null }
  }
}

const rounded = (seconds: number): number => Math.max(0, Math.round(seconds * 10) / 10)

/** A worker's signs of life: rows, so that `/readyz` of another process can tell of it. */
export function lifeSigns(db: Db) {
  const id = uuidv7()
  const sign = (column: 'seenAt' | 'roundTripAt') => async (): Promise<void> => {
    await db.system.query({
      name: `worker_${column}`,
      text: `INSERT INTO worker (id, "startedAt", "seenAt", "${column === 'seenAt' ? 'roundTripAt' : column}") VALUES ($1, clock_timestamp(), clock_timestamp(), ${column === 'seenAt' ? 'NULL' : 'clock_timestamp()'})
        ON CONFLICT (id) DO UPDATE SET "seenAt" = clock_timestamp()${column === 'seenAt' ? '' : ', "roundTripAt" = clock_timestamp()'}`,
      values: [id],
    })
  }
  return {
    seen: sign('seenAt'),
    roundTrip: sign('roundTripAt'),
    gone: async (): Promise<void> => void (await db.system.query({ name: 'worker_gone', text: `DELETE FROM worker WHERE id = $1 OR "seenAt" < clock_timestamp() - interval '1 day'`, values: [id] })),
  }
}

/** The database must be able to index Chinese: UTF8, and a ctype that knows letters beyond ASCII. @throws Error with one line */
export async function assertReadsChinese(db: Db): Promise<void> {
  const { rows: [row] } = await db.system.query<{ encoding: string; ctype: string }>(
    `SELECT pg_encoding_to_char(encoding) AS encoding, datctype AS ctype FROM pg_database WHERE datname = current_database()`)
  if (row?.encoding !== 'UTF8') throw new Error(`the database must be UTF8, it is ${row?.encoding}`)
  if (row.ctype === 'C' || row.ctype === 'POSIX') throw new Error(`the database's ctype must not be ${row.ctype}: Chinese could not be searched; create it with LC_CTYPE 'C.UTF-8'`)
}
