import type pg from 'pg'
import type { Faults } from './audit-faults.ts'

interface Range {
  /** The chain covers the feed after this position … */
  from: bigint
  /** … up to this one. */
  to: bigint
  faults: Faults
}

/** So many of each are looked at: more are no longer a fault to be located. */
const MOST = 1_000

/**
 * Rows that no link stands for: an event put into the feed, an event of the history that the feed never told, an entry
 * that was never waiting for the chain.
 * @returns how many rows of the feed wait for the chain
 */
export async function findUnlinked(client: pg.ClientBase, { from, to, faults }: Range): Promise<number> {
  const { rows: inserted } = await client.query<{ position: string; id: string }>(
    `SELECT f.position, f.id FROM feed f WHERE f.position > $1 AND f.position <= $2
       AND NOT EXISTS (SELECT FROM audit_link l WHERE l.kind = 'event' AND l.position = f.position AND l.id = f.id) ORDER BY f.position LIMIT ${MOST}`, [from, to])
  for (const row of inserted) faults.add({ kind: 'inserted', table: 'feed', ...row })
  const { rows: untold } = await client.query<{ requestId: string; seq: number }>(
    `SELECT e."requestId", e.seq FROM event e WHERE NOT EXISTS (SELECT FROM feed f WHERE f."tenantId" = e."tenantId" AND f."requestId" = e."requestId" AND f.seq = e.seq)
       AND NOT EXISTS (SELECT FROM outbox o WHERE o."tenantId" = e."tenantId" AND o."requestId" = e."requestId" AND o.seq = e.seq) LIMIT ${MOST}`)
  for (const row of untold) faults.add({ kind: 'inserted', table: 'event', ...row })
  const { rows: entries } = await client.query<{ id: string }>(
    `SELECT a.id FROM audit_entry a WHERE NOT EXISTS (SELECT FROM audit_link l WHERE l.kind = 'entry' AND l.id = a.id)
       AND NOT EXISTS (SELECT FROM audit_outbox o WHERE o."tenantId" = a."tenantId" AND o.id = a.id) LIMIT ${MOST}`)
  for (const row of entries) faults.add({ kind: 'inserted', table: 'audit_entry', ...row })
  const { rows: toldTwice } = await client.query<{ requestId: string; seq: number; position: string }>(
    `SELECT "requestId", seq, max(position) AS position FROM feed GROUP BY "tenantId", "requestId", seq HAVING count(*) > 1 LIMIT ${MOST}`)
  for (const row of toldTwice) faults.add({ kind: 'inserted', table: 'feed', ...row })
  const { rows: twice } = await client.query<{ id: string }>(`SELECT id FROM audit_entry GROUP BY id HAVING count(*) > 1 LIMIT ${MOST}`)
  for (const row of twice) faults.add({ kind: 'inserted', table: 'audit_entry', ...row })
  const { rows: [waiting] } = await client.query<{ n: number }>('SELECT count(*)::int AS n FROM feed WHERE position > $1', [to])
  return waiting?.n ?? 0
}
