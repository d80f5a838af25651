import type pg from 'pg'
import { CHAIN_LOCK } from './audit-chain.ts'
import { auditKeys, isSigned, signState, type Checkpoint } from './audit-keys.ts'
import type { Keyring } from './keyring.ts'

/** 网络安全法 第二十一条: logs are kept for six months at least. */
export const LEAST_DAYS = 180

/**
 * Removes the oldest part of the chain, up to the newest checkpoint older than so many days, with the entries in it. That
 * checkpoint stays and is signed anew as the place where the chain begins: a beginning that somebody else cuts off is found.
 * Feed and history are not touched.
 * @param client as the owner of the tables: the program's own roles remove nothing
 * @returns links and entries removed
 * @throws RangeError for less than 180 days; Error when the checkpoint is not signed by the keyring
 */
export async function pruneAudit(client: pg.ClientBase, keyring: Keyring, { days }: { days: number }): Promise<{ links: number; entries: number; from: string | null }> {
  if (!(days >= LEAST_DAYS)) throw new RangeError(`audit entries are kept for ${LEAST_DAYS} days at least`)
  await client.query('BEGIN')
  try {
    await client.query('SELECT pg_advisory_xact_lock($1)', [CHAIN_LOCK])
    const { rows: [row] } = await client.query<Omit<Checkpoint, 'n' | 'position' | 'previous'> & { n: string; position: string; previous: string }>(
      `SELECT * FROM audit_checkpoint WHERE NOT anchor AND at < wishwall_now() - make_interval(days => $1) ORDER BY n DESC LIMIT 1`, [days])
    if (!row) {
      await client.query('ROLLBACK')
      return { links: 0, entries: 0, from: null }
    }
    const state = { ...row, n: BigInt(row.n), position: BigInt(row.position), previous: BigInt(row.previous) }
    if (!isSigned(keyring, 'checkpoint', state, row)) throw new Error(`checkpoint ${row.n} is not signed by the keyring: run audit:verify`)
    const [key] = auditKeys(keyring)
    const gone = `id IN (SELECT id FROM audit_link WHERE n <= $1 AND kind = 'entry')`
    await client.query(`DELETE FROM audit_reason WHERE "entryId" IN (SELECT id FROM audit_link WHERE n <= $1 AND kind = 'entry')`, [row.n])
    const { rowCount: entries } = await client.query(`DELETE FROM audit_entry WHERE ${gone}`, [row.n])
    const { rowCount: links } = await client.query('DELETE FROM audit_link WHERE n <= $1', [row.n])
    await client.query('DELETE FROM audit_checkpoint WHERE n < $1', [row.n])
    await client.query('UPDATE audit_checkpoint SET anchor = true, kid = $2, signature = $3 WHERE n = $1', [row.n, key!.kid, signState(key!, 'anchor', state)])
    await client.query('COMMIT')
    return { links: links ?? 0, entries: entries ?? 0, from: row.position }
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {})
    throw error
  }
}
