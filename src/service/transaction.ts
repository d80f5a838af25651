import type pg from 'pg'
import { Problem } from '../domain/problems.ts'

/** Committed whole or not at all. Of the `app` pool inside the caller's tenant, of the `system` pool across all. */
export async function transaction<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    const done = await work(client)
    await client.query('COMMIT')
    client.release()
    return done
  } catch (error) {
    // A refusal is ours and the connection as good as before; anything else leaves it in doubt, and it is not given back.
    const undone = error instanceof Problem && (await client.query('ROLLBACK').then(() => true, () => false))
    client.release(!undone)
    throw error
  }
}
