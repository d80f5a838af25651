import type { Db } from './db.ts'
import { YEAR_CURSOR } from './reschedulings.ts'
import { transaction } from './transaction.ts'

/** How far the house is behind, for `/metrics`: counts and seconds, of all tenants together. */
export interface Figures {
  /** Worker processes that have said within 15 s that they live. */
  workers: number
  /** Since a job last went all the way round in any of them; null before the first. */
  roundTripSecondsAgo: number | null
  /** How long the oldest mark of a deadline has been due; 0 when none is. */
  oldestDueSeconds: number
  /** Events not yet in the feed; counted up to 10,000. */
  outboxRows: number
  /** How long the oldest of them has waited. */
  outboxSeconds: number
  /** By consumer of the feed: rows it has not read yet. Gaps in the positions are counted with them. */
  feedLag: Record<string, number>
  /** Webhook deliveries whose time has come, and events not sent yet; those of paused endpoints left out, and up to 1,000 for each endpoint. */
  deliveriesDue: number
}

/** Every part is bounded: by an index, or by a limit. */
const FIGURES = `
  SELECT
    (SELECT count(*)::int FROM worker WHERE "seenAt" > clock_timestamp() - interval '15 seconds') AS workers,
    (SELECT extract(epoch FROM clock_timestamp() - max("roundTripAt"))::float8 FROM worker) AS "roundTripSecondsAgo",
    GREATEST(0, COALESCE((SELECT extract(epoch FROM wishwall_now() - "nextAt")::float8 FROM deadline WHERE "nextAt" IS NOT NULL ORDER BY "nextAt" LIMIT 1), 0)) AS "oldestDueSeconds",
    outbox.rows AS "outboxRows", GREATEST(0, COALESCE(extract(epoch FROM wishwall_now() - outbox.oldest)::float8, 0)) AS "outboxSeconds",
    (SELECT COALESCE(jsonb_object_agg(c.name, GREATEST(0, COALESCE((SELECT f.position FROM feed f ORDER BY f.position DESC LIMIT 1), 0) - c.position)), '{}') FROM cursor c WHERE c.name <> '${YEAR_CURSOR}') AS "feedLag",
    (SELECT COALESCE(sum(due.rows), 0)::int FROM webhook_endpoint e CROSS JOIN LATERAL (SELECT count(*) AS rows FROM (
      (SELECT FROM webhook_delivery d WHERE d."tenantId" = e."tenantId" AND d."endpointId" = e.id AND d."nextAt" <= now() LIMIT 1000)
      UNION ALL (SELECT FROM feed f WHERE f."tenantId" = e."tenantId" AND f.position > e."fromPosition" LIMIT 1000) LIMIT 1000) few) due WHERE e.status = 'enabled') AS "deliveriesDue"
  FROM (SELECT count(*)::int AS rows, min(at) AS oldest FROM (SELECT at FROM outbox LIMIT 10000) few) outbox`

/** By the system, which sees all tenants. Gives up after two seconds. */
export const figures = (db: Db): Promise<Figures> => transaction(db.system, async (client) => {
  await client.query(`SET LOCAL statement_timeout = 2000`)
  const { rows: [row] } = await client.query<Figures>({ name: 'figures', text: FIGURES })
  return row!
})
