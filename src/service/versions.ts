import type pg from 'pg'
import type { Db } from './db.ts'
import { violates } from './failures.ts'

/** How often two who write the same next version may collide before it is no accident. */
const TRIES = 5

/**
 * Inserts the next version of something whose versions are immutable; when another was faster, the one after his.
 * @param unique the key that two equal versions violate
 */
export async function nextVersion(db: Db, insert: pg.QueryConfig, unique: string): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    try {
      const { rows: [row] } = await db.app.query<{ version: number }>(insert)
      return row!.version
    } catch (error) {
      if (attempt === TRIES || !violates(error, unique)) throw error
    }
  }
}
