import type { Db } from './db.ts'

/** One relay at a time in the whole database: the feed's order is the order in which it moves rows. */
const RELAY_LOCK = 7_021_001
/** The channel on which listeners hear that the feed has grown. */
export const FEED_CHANNEL = 'wishwall_feed'

/**
 * The batch is taken by its last row: this statement is planned while the table is empty, and any join with a list of
 * rows would then read the whole of a backlog for each of them.
 */
const MOVE = `
  WITH mine AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(${RELAY_LOCK}) AS locked),
  batch AS MATERIALIZED (SELECT o.at, o."requestId", o.seq FROM outbox o, mine WHERE mine.locked ORDER BY o.at, o."requestId", o.seq LIMIT $1),
  last AS MATERIALIZED (SELECT * FROM batch ORDER BY at DESC, "requestId" DESC, seq DESC LIMIT 1),
  taken AS (DELETE FROM outbox o USING last l WHERE (o.at, o."requestId", o.seq) <= (l.at, l."requestId", l.seq) RETURNING o.*),
  moved AS (
    INSERT INTO feed ("tenantId", position, id, "requestId", seq, type, at, path, payload)
    SELECT t."tenantId", nextval('feed_position'), t.id, t."requestId", t.seq, t.type, t.at, t.path, t.payload
    FROM (SELECT * FROM taken ORDER BY at, "requestId", seq) t RETURNING position)
  SELECT count(*)::int AS moved, max(position)::text AS position, CASE WHEN count(*) > 0 THEN pg_notify('${FEED_CHANNEL}', max(position)::text) END FROM moved`

/**
 * Moves committed outbox rows into the feed, in order, and says so to listeners. Whoever sees a position knows that
 * no smaller one will appear: positions are drawn under the lock, which is let go after the commit is visible.
 * Events of one request keep their order: the later one was loaded after the earlier one had committed.
 * @returns how many rows, and the newest position
 */
export async function relayOnce(db: Db, batch = 1000): Promise<{ moved: number; position: string | null }> {
  const { rows } = await db.system.query<{ moved: number; position: string | null }>({ name: 'relay', text: MOVE, values: [batch] })
  return rows[0] ?? { moved: 0, position: null }
}
