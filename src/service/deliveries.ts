import type pg from 'pg'
import type { Db } from './db.ts'
import { CONFIDENTIAL, FEED_COLUMNS, type FeedRow } from './events.ts'
import { isCommunitySql } from './notice-columns.ts'
import { transaction } from './transaction.ts'

/**
 * An endpoint that this process sends to for a moment, and nobody else, with what is to be sent. Nothing is written
 * for a delivery before something came of it: a worker that dies leaves a turn that ends, and the next one reads on from
 * the same place in the feed.
 */
export interface Turn {
  tenantId: string
  endpointId: string
  /** What its results are recorded under. */
  lease: number
  url: string
  algorithm: 'v1' | 'v1a'
  secrets: SealedSecret[]
  ordered: boolean
  /** The endpoint has failed since it last succeeded. */
  failing: boolean
  /** So many at once; and so many, when it goes well. */
  width: number
  widest: number
  /** In this order. */
  deliveries: Delivery[]
  /** The endpoint's place in the feed when the turn began, and when every delivery of it has begun. */
  from: string
  to: string
  /** By the database's clock. */
  now: Date
}

export interface Delivery {
  /** `webhook-id`: the event's, or the test's. */
  id: string
  type: string
  /** Null for a test send. */
  position: string | null
  /** Null for a test send, and for an event that was erased meanwhile. */
  event: FeedRow | null
  /** Recorded ones of the running schedule, and in all. */
  attempts: number
  claims: number
  createdAt: Date
  /** Before the turn there was a row for it: a retry, a redelivery, a replay, a test. */
  known: boolean
}

export interface SealedSecret {
  id: string
  kid: string
  /** base64 */
  sealed: string
}

export interface Room {
  /** So many deliveries may be taken in all. */
  most: number
  /** Whether endpoints that fail may have any. */
  failing: boolean
  /** Endpoints that are left alone. */
  besides: string[]
}

/** More are never under way at once for one endpoint. It begins with few, gains one by each success, and loses half by a failure. */
export const MOST_AT_ONCE = 32
export const FIRST_AT_ONCE = 4

/** Test sends go whatever the endpoint's status; nobody is sent anything after the app was revoked. */
const OPEN = `(e."clientId" IS NULL OR EXISTS (SELECT FROM client c WHERE c."tenantId" = e."tenantId" AND c.id = e."clientId" AND c."revokedAt" IS NULL))`
const OF_ENDPOINT = `d."tenantId" = e."tenantId" AND d."endpointId" = e.id`
/** Those that take long: see `handOver` in `webhook-results.ts`. */
const BUSY = `(SELECT count(*) FROM webhook_delivery d WHERE ${OF_ENDPOINT} AND d.state = 'delivering' AND d."nextAt" > $1::timestamptz)`
const WIDTH = `CASE WHEN e.ordered THEN 1 ELSE e.width END`
const UNREAD = `f."tenantId" = e."tenantId" AND f.position > e."fromPosition"`

/** More endpoints are not looked at in one go. */
const MOST_TURNS = 200

/**
 * Endpoints with something to send and room to send it, the longest waiting first. Those that another worker has, or is
 * just taking, are passed over. In an ordered one nothing overtakes what waits.
 */
const READY = `
  SELECT e."tenantId", e.id FROM webhook_endpoint e CROSS JOIN LATERAL (SELECT CASE
      WHEN e.status <> 'enabled' THEN (SELECT min(d."nextAt") FROM webhook_delivery d WHERE ${OF_ENDPOINT} AND d.position IS NULL AND d."nextAt" IS NOT NULL)
      WHEN e.ordered THEN (SELECT d."nextAt" FROM webhook_delivery d WHERE ${OF_ENDPOINT} AND d."nextAt" IS NOT NULL ORDER BY d.position NULLS FIRST LIMIT 1)
      ELSE (SELECT d."nextAt" FROM webhook_delivery d WHERE ${OF_ENDPOINT} AND d."nextAt" IS NOT NULL ORDER BY d."nextAt" LIMIT 1) END AS waiting,
    CASE WHEN e.status = 'enabled' THEN (SELECT f.at FROM feed f WHERE ${UNREAD} ORDER BY f.position LIMIT 1) END AS unread) due
  WHERE (e."leasedUntil" IS NULL OR e."leasedUntil" <= $1::timestamptz) AND e.id <> ALL ($3::uuid[])
    AND (due.waiting <= $1::timestamptz OR (due.unread IS NOT NULL AND (NOT e.ordered OR due.waiting IS NULL)))
    AND ($2::boolean OR e.failures = 0) AND e."paceAt" + COALESCE(interval '1 second' / e."ratePerSecond", '0') <= $1::timestamptz
    AND ${BUSY} < ${WIDTH} AND ${OPEN}
  ORDER BY least(due.waiting, due.unread) LIMIT ${MOST_TURNS} FOR NO KEY UPDATE OF e SKIP LOCKED`

/** So far ahead an endpoint looks for what concerns it. */
const LOOKED_AT = 2_000
/** In one turn it is sent so many times what it is sent at once. */
const ROUNDS = 64

/** As `matchesType` in the domain says. */
const TYPE_MATCHES = `EXISTS (SELECT FROM unnest(e."eventTypes") AS t(pattern) WHERE pattern IN ('*', f.type) OR (right(pattern, 2) = '.*' AND starts_with(f.type, left(pattern, -1))))`

/**
 * The endpoints are locked by now, so that nothing read here can be stale: how many are under way, what the rate still
 * allows, what is due, and what the feed holds that concerns the endpoint: of its place or below, of a type it asked for.
 * An app hears of no confidential matter at a place finer than a community: it names what place it likes.
 * An endpoint that fails is sent no more than it can have at once. Whether there is a delivery is asked of each event by
 * itself: as an anti-join, planned while the table is empty, it read the whole of the endpoint's deliveries for each.
 */
const WORK = `
  WITH mine AS (
    SELECT locked.n, e.*, node.path, ${WIDTH} - ${BUSY} AS free, CASE WHEN e.ordered THEN 1 ELSE ${MOST_AT_ONCE} - ${BUSY} END AS widest, CASE WHEN e."ratePerSecond" IS NULL THEN $4::float8
      ELSE floor(extract(epoch FROM $1::timestamptz - greatest(e."paceAt", $1::timestamptz - interval '1 second')) * e."ratePerSecond") END AS allowed
    FROM unnest($2::uuid[], $3::uuid[]) WITH ORDINALITY AS locked("tenantId", id, n) JOIN webhook_endpoint e ON e."tenantId" = locked."tenantId" AND e.id = locked.id
    JOIN node ON node."tenantId" = e."tenantId" AND node.id = e."nodeId"),
  able AS (SELECT m.*, greatest(0, least(allowed, $4::float8, CASE WHEN failures > 0 THEN free ELSE free * ${ROUNDS} END))::int AS most FROM mine m)
  SELECT e.n::int, e.free::int AS width, e.widest::int, e.most, e.ordered, e."fromPosition" AS from, waiting.list AS waiting, fresh.list AS fresh,
    CASE WHEN e.status = 'enabled' AND json_array_length(fresh.list) < e.most
      THEN (SELECT max(position) FROM (SELECT f.position FROM feed f WHERE ${UNREAD} ORDER BY f.position LIMIT ${LOOKED_AT}) l) END AS looked,
    (SELECT max(f.position) FROM feed f WHERE f."tenantId" = e."tenantId") AS newest
  FROM able e
  CROSS JOIN LATERAL (
    SELECT COALESCE(json_agg(json_build_object('id', d.id, 'position', d.position::text, 'type', d.type, 'attempts', d.attempts, 'claims', d.claims, 'createdAt', d."createdAt", 'nextAt', d."nextAt")), '[]') AS list FROM (
      (SELECT * FROM webhook_delivery d WHERE ${OF_ENDPOINT} AND d."nextAt" <= $1::timestamptz AND CASE WHEN e.status = 'enabled' THEN NOT e.ordered ELSE d.position IS NULL END
        ORDER BY d."nextAt", d.position LIMIT e.most)
      UNION ALL (SELECT * FROM webhook_delivery d WHERE ${OF_ENDPOINT} AND d."nextAt" IS NOT NULL AND e.status = 'enabled' AND e.ordered
        ORDER BY d.position NULLS FIRST LIMIT e.most)) d) waiting
  CROSS JOIN LATERAL (
    SELECT COALESCE(json_agg(f.position::text), '[]') AS list FROM (
      SELECT f.position FROM (SELECT f.position, f.id, f.type, f.path, f.payload FROM feed f WHERE ${UNREAD} AND e.status = 'enabled' ORDER BY f.position LIMIT ${LOOKED_AT}) f
      WHERE starts_with(f.path, e.path) AND (e."clientId" IS NULL OR ${isCommunitySql('e.path')} OR f.payload ->> 'item' <> '${CONFIDENTIAL}') AND ${TYPE_MATCHES} AND (SELECT true FROM webhook_delivery d WHERE ${OF_ENDPOINT} AND d.id = f.id) IS NULL
      ORDER BY f.position LIMIT e.most) f) fresh`

/** The rate is used up by what was taken. Who has nothing to send goes on from what was looked at. */
const LEASE = `
  UPDATE webhook_endpoint e SET "fromPosition" = greatest(e."fromPosition", t.looked), lease = CASE WHEN t.taken > 0 THEN e.lease % 2000000000 + 1 ELSE e.lease END,
    "leasedUntil" = CASE WHEN t.taken > 0 THEN $1::timestamptz + $2::float8 * interval '1 millisecond' END,
    "paceAt" = CASE WHEN e."ratePerSecond" IS NULL THEN e."paceAt" ELSE greatest(e."paceAt", $1::timestamptz - interval '1 second') + t.taken * interval '1 second' / e."ratePerSecond" END
  FROM jsonb_to_recordset($3::jsonb) AS t("tenantId" uuid, id uuid, taken int, looked bigint)
  WHERE e."tenantId" = t."tenantId" AND e.id = t.id
  RETURNING e."tenantId", e.id AS "endpointId", e.lease, e.url, e.algorithm, e.ordered, e.failures > 0 AS failing,
    (SELECT COALESCE(jsonb_agg(jsonb_build_object('id', s.id, 'kid', s.kid, 'sealed', encode(s.sealed, 'base64')) ORDER BY s."createdAt" DESC, s.id DESC), '[]') FROM webhook_secret s
      WHERE s."tenantId" = e."tenantId" AND s."endpointId" = e.id AND s.sealed IS NOT NULL AND (s."expiresAt" IS NULL OR s."expiresAt" > $1::timestamptz)) AS secrets`

interface Endpoint {
  tenantId: string
  id: string
}

type Waiting = Pick<Delivery, 'id' | 'position' | 'type' | 'attempts' | 'claims'> & { createdAt: string; nextAt: string }

interface Work {
  /** Which of the endpoints, from 1. */
  n: number
  width: number
  widest: number
  most: number
  ordered: boolean
  from: string
  waiting: Waiting[]
  /** Positions. */
  fresh: string[]
  looked: string | null
  newest: string | null
}

/**
 * Takes turns at endpoints with something to send. First they are locked, then looked at; the sending itself happens
 * with nothing held but the lease.
 * @param leaseMs longer than a turn takes, with what is written at its end
 * @returns also whether more endpoints may be ready
 */
export function takeTurns(db: Db, { most, failing, besides }: Room, leaseMs: number): Promise<{ turns: Turn[]; hasMore: boolean }> {
  return transaction(db.system, async (client) => {
    const { rows: [clock] } = await client.query<{ now: Date }>({ name: 'webhook_clock', text: 'SELECT wishwall_now() AS now' })
    const now = clock!.now
    const { rows: ready } = await client.query<Endpoint>({ name: 'webhook_ready', text: READY, values: [now, failing, besides] })
    if (ready.length === 0) return { turns: [], hasMore: false }
    const share = Math.max(1, Math.floor(most / ready.length))
    const { rows: works } = await client.query<Work>({
      name: 'webhook_work', text: WORK, values: [now, ready.map(({ tenantId }) => tenantId), ready.map(({ id }) => id), share],
    })
    const events = await eventsAt(client, works.flatMap(({ waiting, fresh }) => [...waiting.flatMap(({ position }) => position ?? []), ...fresh]))
    const taken = works.map((work) => ({ work, ...ready[work.n - 1]!, deliveries: chosen(work, events, now) }))
    const { rows: leased } = await client.query<Omit<Turn, 'deliveries' | 'width' | 'widest' | 'from' | 'to' | 'now'>>({
      name: 'webhook_lease', text: LEASE,
      values: [now, leaseMs, JSON.stringify(taken.map(({ tenantId, id, work: { fresh, looked }, deliveries: { length } }) => ({ tenantId, id, taken: length, looked: length + fresh.length === 0 ? looked : null })))],
    })
    const turns = leased.flatMap((endpoint) => {
      const { work: { width, widest, from, fresh, looked }, deliveries } = taken.find(({ tenantId, id }) => tenantId === endpoint.tenantId && id === endpoint.endpointId)!
      if (deliveries.length === 0) return []
      const last = deliveries.findLast(({ known }) => !known)?.position
      // All that concerns it up to `looked` was taken, or only the first.
      const to = last === fresh.at(-1) ? (looked ?? last) : last
      return { ...endpoint, width, widest, deliveries, from, to: to ?? from, now }
    })
    const lookOn = taken.some(({ work: { fresh, looked, newest }, deliveries }) => deliveries.length + fresh.length === 0 && looked !== null && looked !== newest)
    return { turns, hasMore: lookOn || ready.length === MOST_TURNS }
  })
}

/** What has been due for longest comes first, so that retries do not keep back what is new. In order, what waits is older, and new things wait for it. */
function chosen({ most, ordered, waiting, fresh }: Work, events: Map<string, FeedEvent>, now: Date): Delivery[] {
  const old = waiting.map((row) => ({ due: Date.parse(row.nextAt), delivery: again(row, events) }))
  const young = fresh.flatMap((position) => events.get(position) ?? []).map((event) => ({ due: event.occurredAt.getTime(), delivery: anew(event, now) }))
  const list: Delivery[] = []
  while (list.length < most) {
    const [first, other] = [old[0], young[0]]
    if (ordered && first && first.due > now.getTime()) break
    const isOld = first && (ordered || !other || first.due <= other.due)
    const next = (isOld ? old : young).shift()
    if (!next) break
    list.push(next.delivery)
  }
  return list
}

type FeedEvent = FeedRow & { position: string }

async function eventsAt(client: Pick<pg.PoolClient, 'query'>, positions: string[]): Promise<Map<string, FeedEvent>> {
  if (positions.length === 0) return new Map()
  const { rows } = await client.query<FeedEvent>({
    name: 'webhook_events', text: `SELECT ${FEED_COLUMNS} FROM feed WHERE position = ANY ($1::bigint[])`, values: [[...new Set(positions)]],
  })
  return new Map(rows.map((event) => [event.position, event]))
}

const again = ({ nextAt: _, createdAt, ...row }: Waiting, events: Map<string, FeedEvent>): Delivery =>
  ({ ...row, event: row.position === null ? null : (events.get(row.position) ?? null), createdAt: new Date(createdAt), known: true })

const anew = (event: FeedEvent, now: Date): Delivery =>
  ({ id: event.id, type: event.type, position: event.position, event, attempts: 0, claims: 0, createdAt: now, known: false })
