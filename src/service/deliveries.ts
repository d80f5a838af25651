import type { Db } from './db.ts'
import type { FeedRow } from './events.ts'
import { transaction } from './transaction.ts'

/** A delivery leased to this process: nobody else sends it before the lease ends. */
export interface Claimed {
  tenantId: string
  endpointId: string
  /** `webhook-id`, the same for every attempt. */
  id: string
  /** What the result is to be recorded under. */
  claim: number
  /** Recorded ones of the running schedule. */
  attempts: number
  type: string
  /** Null for a test send. */
  position: string | null
  /** Null for a test send, and for an event that was erased meanwhile. */
  event: FeedRow | null
  createdAt: Date
  url: string
  algorithm: 'v1' | 'v1a'
  secrets: SealedSecret[]
  /** The endpoint has failed since it last succeeded. */
  failing: boolean
  /** By the database's clock. */
  sentAt: Date
}

export interface SealedSecret {
  id: string
  kid: string
  /** base64 */
  sealed: string
}

/** How many may be taken: of endpoints that work, and of those that fail. */
export interface Room {
  healthy: number
  failing: number
}

/** Test sends go whatever the endpoint's status; nobody is sent anything after the app was revoked. */
const OPEN = `(e."clientId" IS NULL OR EXISTS (SELECT FROM client c WHERE c."tenantId" = e."tenantId" AND c.id = e."clientId" AND c."revokedAt" IS NULL))`
const OF_ENDPOINT = `d."tenantId" = e."tenantId" AND d."endpointId" = e.id`
const BUSY = `(SELECT count(*) FROM webhook_delivery d WHERE ${OF_ENDPOINT} AND d.state = 'delivering' AND d."nextAt" > $1::timestamptz)`
const WIDTH = `CASE WHEN e.ordered THEN 1 ELSE e.width END`

/**
 * Endpoints with something to send and room to send it, the longest waiting first. Those that another worker is taking
 * from are passed over. In an ordered one only the first counts.
 */
const READY = `
  SELECT e."tenantId", e.id FROM webhook_endpoint e CROSS JOIN LATERAL (SELECT CASE
      WHEN e.status <> 'enabled' THEN (SELECT min(d."nextAt") FROM webhook_delivery d WHERE ${OF_ENDPOINT} AND d.position IS NULL AND d."nextAt" IS NOT NULL)
      WHEN e.ordered THEN (SELECT d."nextAt" FROM webhook_delivery d WHERE ${OF_ENDPOINT} AND d."nextAt" IS NOT NULL ORDER BY d.position NULLS FIRST LIMIT 1)
      ELSE (SELECT d."nextAt" FROM webhook_delivery d WHERE ${OF_ENDPOINT} AND d."nextAt" IS NOT NULL ORDER BY d."nextAt" LIMIT 1) END AS at) due
  WHERE due.at <= $1::timestamptz AND ($2::boolean OR e.failures = 0) AND (e."ratePerSecond" IS NULL OR e."paceAt" + interval '1 second' / e."ratePerSecond" <= $1::timestamptz)
    AND ${BUSY} < ${WIDTH} AND ${OPEN}
  ORDER BY due.at LIMIT 200 FOR NO KEY UPDATE OF e SKIP LOCKED`

/**
 * The endpoints are locked by now, so that nothing read here can be stale: how many are under way, what the rate still
 * allows, what comes first. Of several endpoints each gets one before any gets two.
 */
const TAKE = `
  WITH mine AS (
    SELECT e.*, ${WIDTH} - ${BUSY} AS free, CASE WHEN e."ratePerSecond" IS NULL THEN 1000000
      ELSE floor(extract(epoch FROM $1::timestamptz - greatest(e."paceAt", $1::timestamptz - interval '1 second')) * e."ratePerSecond") END AS allowed
    FROM webhook_endpoint e JOIN unnest($2::uuid[], $3::uuid[]) AS locked("tenantId", id) ON e."tenantId" = locked."tenantId" AND e.id = locked.id),
  candidate AS (
    SELECT e."tenantId", e.id AS "endpointId", d.id, e.failures > 0 AS failing, d."nextAt", row_number() OVER (PARTITION BY e."tenantId", e.id ORDER BY d."nextAt", d.position) AS turn
    FROM mine e CROSS JOIN LATERAL (
      (SELECT d.id, d."nextAt", d.position FROM webhook_delivery d WHERE ${OF_ENDPOINT} AND d."nextAt" <= $1::timestamptz
          AND CASE WHEN e.status = 'enabled' THEN NOT e.ordered ELSE d.position IS NULL END
        ORDER BY d."nextAt", d.position LIMIT greatest(0, least(e.free, e.allowed)))
      UNION ALL (SELECT first.* FROM (SELECT d.id, d."nextAt", d.position FROM webhook_delivery d
          WHERE ${OF_ENDPOINT} AND d."nextAt" IS NOT NULL ORDER BY d.position NULLS FIRST LIMIT 1) first
        WHERE e.status = 'enabled' AND e.ordered AND first."nextAt" <= $1::timestamptz AND e.free > 0 AND e.allowed > 0)) d),
  taken AS (SELECT *, row_number() OVER (PARTITION BY failing ORDER BY turn, "nextAt") AS rank FROM candidate),
  leased AS (
    UPDATE webhook_delivery d SET state = 'delivering', claims = d.claims + 1, "nextAt" = $1::timestamptz + $6::float8 * interval '1 millisecond'
    FROM taken t WHERE d."tenantId" = t."tenantId" AND d."endpointId" = t."endpointId" AND d.id = t.id AND t.rank <= CASE WHEN t.failing THEN $5::bigint ELSE $4::bigint END
    RETURNING d.*, t.rank),
  paced AS (
    UPDATE webhook_endpoint e SET "paceAt" = greatest(e."paceAt", $1::timestamptz - interval '1 second') + l.sent * interval '1 second' / e."ratePerSecond"
    FROM (SELECT "tenantId", "endpointId", count(*) AS sent FROM leased GROUP BY 1, 2) l
    WHERE e."tenantId" = l."tenantId" AND e.id = l."endpointId" AND e."ratePerSecond" IS NOT NULL)
  SELECT l."tenantId", l."endpointId", l.id, l.claims AS claim, l.attempts, l.type, l.position, l."createdAt", e.url, e.algorithm, e.failures > 0 AS failing, $1::timestamptz AS "sentAt",
    (SELECT COALESCE(jsonb_agg(jsonb_build_object('id', s.id, 'kid', s.kid, 'sealed', encode(s.sealed, 'base64')) ORDER BY s."createdAt" DESC, s.id DESC), '[]') FROM webhook_secret s
      WHERE s."tenantId" = e."tenantId" AND s."endpointId" = e.id AND s.sealed IS NOT NULL AND (s."expiresAt" IS NULL OR s."expiresAt" > $1::timestamptz)) AS secrets,
    f.id AS "eventId", f.type AS "eventType", f.at AS "occurredAt", f."requestId", f.seq, f.payload
  FROM leased l JOIN mine e ON e."tenantId" = l."tenantId" AND e.id = l."endpointId" LEFT JOIN feed f ON f."tenantId" = l."tenantId" AND f.position = l.position
  ORDER BY l.rank`

type ClaimedRow = Omit<Claimed, 'event'> & { eventId: string | null; eventType: string; occurredAt: Date; requestId: string; seq: number; payload: FeedRow['payload'] }

/**
 * Leases what is due, at most so many. First the endpoints are locked, then looked at; the sending itself happens with
 * nothing held. A worker that dies leaves a lease that ends, and another sends the same again under the same id.
 * @param leaseMs longer than any attempt can take
 */
export function claimDeliveries(db: Db, { healthy, failing }: Room, leaseMs: number): Promise<Claimed[]> {
  return transaction(db.system, async (client) => {
    const { rows: [clock] } = await client.query<{ now: Date }>({ name: 'webhook_clock', text: 'SELECT wishwall_now() AS now' })
    const now = clock!.now
    const { rows: ready } = await client.query<{ tenantId: string; id: string }>({ name: 'webhook_ready', text: READY, values: [now, failing > 0] })
    if (ready.length === 0) return []
    const { rows } = await client.query<ClaimedRow>({
      name: 'webhook_take', text: TAKE, values: [now, ready.map(({ tenantId }) => tenantId), ready.map(({ id }) => id), healthy, failing, leaseMs],
    })
    return rows.map(({ eventId, eventType, occurredAt, requestId, seq, payload, ...row }): Claimed =>
      ({ ...row, event: eventId === null ? null : { id: eventId, type: eventType, occurredAt, requestId, seq, payload } }))
  })
}
