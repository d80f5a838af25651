import type pg from 'pg'
import { SYSTEM, type Actor } from '../domain/actor.ts'
import { healthOf, judge, nextAttempt, type Outcome } from '../domain/webhook.ts'
import { account } from './audit.ts'
import { inTenant, type Db } from './db.ts'
import { MOST_AT_ONCE, type Delivery, type Turn } from './deliveries.ts'
import { transaction } from './transaction.ts'

/** What became of an attempt, and of its delivery by it. */
export interface Result {
  state: 'delivered' | 'pending' | 'exhausted'
  /** Until the next attempt; null when there is none. */
  delayMs: number | null
  /** How long the endpoint is left alone altogether. */
  holdMs: number | null
  /** The receiver wants no more, ever: what is pending ends with its endpoint. */
  gone: boolean
  ms: number
  status: number | null
  reason: string | null
  excerpt: string | null
}

/** An attempt that takes long is written down while it goes on, so that the endpoint's turn can end: nobody else makes it for so long. */
export interface HandOver {
  state: 'delivering'
  gone: false
  delayMs: number
}

/** What is to be written of one delivery. */
export interface Entry {
  turn: Turn
  delivery: Delivery
  /** When the attempt began, by the database's clock. */
  at: Date
  of: Result | HandOver
  /** It was handed over before: its turn may have ended. */
  late: boolean
}

/**
 * What an outcome means for its delivery. A test send is made once.
 * @param timeFactor what the schedule's times are multiplied by
 * @param random as Math.random
 */
export function resultOf({ position, attempts }: Pick<Delivery, 'position' | 'attempts'>, outcome: Outcome, now: Date, timeFactor: number, random: () => number): Result {
  const status = outcome.kind === 'answer' ? outcome.status : null
  const said = {
    gone: false, status, holdMs: null, delayMs: null,
    ms: outcome.kind === 'refused' ? 0 : outcome.ms, reason: outcome.kind === 'answer' ? null : outcome.reason, excerpt: outcome.kind === 'answer' ? storable(outcome.excerpt) : null,
  }
  const verdict = status === null ? 'failed' : judge(status)
  if (verdict === 'delivered') return { ...said, state: 'delivered' }
  if (position === null) return { ...said, state: 'exhausted' }
  if (verdict === 'gone') return { ...said, state: 'pending', delayMs: 0, gone: true }
  const retryAfter = outcome.kind === 'answer' ? outcome.retryAfter : undefined
  const until = (done: number) => {
    const next = nextAttempt(done, { retryAfter }, now, random)
    return next === 'exhausted' ? null : (next.getTime() - now.getTime()) * timeFactor
  }
  const delayMs = until(attempts + 1)
  // Without a word from the receiver its other events wait as long as after a first failure, however late this one is in its schedule.
  const holdMs = verdict === 'throttle' ? until(1) : null
  return { ...said, state: delayMs === null ? 'exhausted' : 'pending', delayMs, holdMs }
}

/** What PostgreSQL takes as text: no NUL, no half of a surrogate pair. */
const storable = (words: string): string => words.replace(/\0|\p{Surrogate}/gu, '')

/** An event that was erased while it waited: there is nothing to send. */
export const ERASED: Result = { state: 'exhausted', delayMs: null, holdMs: null, gone: false, ms: 0, status: null, reason: 'erased', excerpt: null }

export type DisabledReason = 'gone' | 'failing' | 'revoked' | 'by-owner'

/** How an endpoint stands after its attempts were recorded. */
interface HealthRow {
  tenantId: string
  endpointId: string
  failures: number
  failingSince: Date
  warnings: number
  now: Date
}

/** What the owner is to be told: a warning, or the end. */
export interface Notice {
  tenantId: string
  endpointId: string
  disabled?: DisabledReason
  /** 1 or 2. */
  warning?: number
}

/** A delivery is sent again as often as somebody asks; of its attempts only the last are kept. */
const MOST_LOGGED = 50

/**
 * The endpoint first, then its deliveries, as everywhere. Whoever lost the lease writes nothing: another has sent, or
 * will; and an attempt is recorded once for each count of those before it. A success that arrives after the endpoint was
 * disabled still counts.
 */
const RECORD = `
  WITH clock AS MATERIALIZED (SELECT wishwall_now() AS at),
  t AS MATERIALIZED (SELECT * FROM jsonb_to_recordset($1::jsonb) AS t(n int, "tenantId" uuid, "endpointId" uuid, lease int, position bigint)),
  r AS MATERIALIZED (SELECT * FROM jsonb_to_recordset($2::jsonb) AS r(turn int, late boolean, id uuid, position bigint, type text, claims int, state text, "delayMs" float8, "holdMs" float8, at timestamptz, log jsonb)),
  e AS MATERIALIZED (SELECT e."tenantId", e.id, e.lease, e.status FROM webhook_endpoint e WHERE (e."tenantId", e.id) IN (SELECT "tenantId", "endpointId" FROM t) ORDER BY 1, 2 FOR NO KEY UPDATE),
  turn AS MATERIALIZED (SELECT t.n, t."tenantId", t."endpointId", t.position, t.lease = e.lease AS valid, e.status FROM t JOIN e ON e."tenantId" = t."tenantId" AND e.id = t."endpointId"),
  done AS (
    INSERT INTO webhook_delivery AS d ("tenantId", "endpointId", id, position, type, state, attempts, claims, "nextAt", "createdAt", "endedAt", log)
    SELECT t."tenantId", t."endpointId", r.id, r.position, r.type, s.state, s.attempt, r.claims + s.attempt,
      CASE WHEN s.state IN ('pending', 'delivering') THEN clock.at + r."delayMs" * interval '1 millisecond' END, r.at, CASE WHEN s.state NOT IN ('pending', 'delivering') THEN clock.at END, r.log
    FROM r JOIN turn t ON t.n = r.turn AND (t.valid OR r.late), clock,
      LATERAL (SELECT CASE WHEN t.status = 'disabled' AND r.position IS NOT NULL AND r."delayMs" IS NOT NULL THEN 'disabled' ELSE r.state END AS state, CASE WHEN r.state = 'delivering' THEN 0 ELSE 1 END AS attempt) s
    ON CONFLICT ("tenantId", "endpointId", id) DO UPDATE SET state = EXCLUDED.state, attempts = d.attempts + EXCLUDED.attempts, claims = EXCLUDED.claims,
      "nextAt" = EXCLUDED."nextAt", "endedAt" = EXCLUDED."endedAt", log = CASE WHEN jsonb_array_length(d.log) < ${MOST_LOGGED} THEN d.log ELSE d.log - 0 END || EXCLUDED.log
    WHERE d.claims = EXCLUDED.claims - EXCLUDED.attempts AND (d."nextAt" IS NOT NULL OR EXCLUDED.state = 'delivered')
    RETURNING "tenantId", "endpointId", id, position, state),
  heard AS MATERIALIZED (
    SELECT "tenantId", "endpointId", count(*) FILTER (WHERE state = 'delivered') AS good, count(*) FILTER (WHERE state NOT IN ('delivered', 'delivering')) AS bad
    FROM done WHERE position IS NOT NULL GROUP BY 1, 2),
  told AS MATERIALIZED (
    SELECT t."tenantId", t."endpointId", max(t.position) FILTER (WHERE t.valid) AS position, max(r."holdMs") AS hold
    FROM turn t LEFT JOIN r ON r.turn = t.n AND r."holdMs" IS NOT NULL AND (t.valid OR r.late) GROUP BY 1, 2),
  news AS MATERIALIZED (
    SELECT e."tenantId", e.id, CASE WHEN e.status = 'disabled' THEN 0 ELSE COALESCE(h.good, 0) END AS good, CASE WHEN e.status = 'disabled' THEN 0 ELSE COALESCE(h.bad, 0) END AS bad, t.hold, t.position
    FROM e JOIN told t ON t."tenantId" = e."tenantId" AND t."endpointId" = e.id LEFT JOIN heard h ON h."tenantId" = e."tenantId" AND h."endpointId" = e.id)
  UPDATE webhook_endpoint e SET
    failures = CASE WHEN good > 0 THEN 0 ELSE e.failures + bad END,
    "failingSince" = CASE WHEN good > 0 THEN NULL WHEN bad > 0 THEN COALESCE(e."failingSince", clock.at) ELSE e."failingSince" END,
    warnings = CASE WHEN good > 0 THEN 0 ELSE e.warnings END,
    width = CASE WHEN bad > 0 THEN greatest(1, e.width / 2) ELSE least($3::int, e.width + good) END,
    "paceAt" = greatest(e."paceAt", clock.at + hold * interval '1 millisecond'),
    "fromPosition" = greatest(e."fromPosition", n.position), "leasedUntil" = CASE WHEN n.position IS NULL THEN e."leasedUntil" END
  FROM news n, clock
  WHERE e."tenantId" = n."tenantId" AND e.id = n.id AND (n.position IS NOT NULL OR bad > 0 OR (good > 0 AND (e.failures > 0 OR e.width < $3::int)))
  RETURNING e."tenantId", e.id AS "endpointId", e.failures, e."failingSince", e.warnings, clock.at AS now`

const DISABLE = `UPDATE webhook_endpoint SET status = 'disabled', "disabledReason" = $3, "disabledAt" = wishwall_now() WHERE "tenantId" = $1 AND id = $2 AND status <> 'disabled'`
/** In a statement of its own: what was written while the first one waited is seen too. Test sends stay. */
const END_ALL = `UPDATE webhook_delivery SET state = 'disabled', "nextAt" = NULL, "endedAt" = wishwall_now() WHERE "tenantId" = $1 AND "endpointId" = $2 AND "nextAt" IS NOT NULL AND position IS NOT NULL`

/** Ends all that waits. For whoever holds the endpoint, or comes to hold it here. @returns false when it was disabled already */
export async function disable(client: Pick<pg.PoolClient, 'query'>, tenantId: string, endpointId: string, reason: DisabledReason, actor: Actor = SYSTEM): Promise<boolean> {
  const { rowCount } = await client.query({ name: 'webhook_disable', text: DISABLE, values: [tenantId, endpointId, reason] })
  await client.query({ name: 'webhook_end_all', text: END_ALL, values: [tenantId, endpointId] })
  if (rowCount === 1) await inTenant(tenantId, () => account(client, actor, { action: 'endpoint.disabled', object: 'endpoint', objectId: endpointId, details: { reason } }))
  return rowCount === 1
}

/** A turn that is over, and how far in the feed everything has begun. */
export interface Ending {
  turn: Turn
  position: string
}

/**
 * Writes what attempts met, in one commit: deliveries with their log, the endpoints' health and place in the feed, and
 * the end of those that are gone or have failed for too long.
 * @param entries at most one of each delivery
 * @returns what owners are to be told
 */
export function record(db: Db, entries: readonly Entry[], endings: readonly Ending[] = [], timeFactor = 1): Promise<Notice[]> {
  return transaction(db.system, async (client) => {
    // Each turn is told once, with its place in the feed if it is over.
    const turns = new Map<Turn, { n: number } & Pick<Turn, 'tenantId' | 'endpointId' | 'lease'> & { position?: string }>()
    const told = (turn: Turn) => {
      const known = turns.get(turn) ?? { n: turns.size, tenantId: turn.tenantId, endpointId: turn.endpointId, lease: turn.lease }
      turns.set(turn, known)
      return known
    }
    for (const { turn, position } of endings) told(turn).position = position
    const rows = entries.map(({ turn, delivery: { id, position, type, claims }, at, of, late }) => ({
      turn: told(turn).n, late, id, position, type, claims, at, state: of.state,
      ...(of.state === 'delivering' ? { delayMs: of.delayMs, log: [] } : {
        delayMs: of.delayMs ?? undefined, holdMs: of.holdMs ?? undefined, log: [{ number: claims + 1, at, ms: of.ms, status: of.status, reason: of.reason, excerpt: of.excerpt }],
      }),
    }))
    const { rows: healths } = await client.query<HealthRow>({ name: 'webhook_record', text: RECORD, values: [JSON.stringify([...turns.values()]), JSON.stringify(rows), MOST_AT_ONCE] })
    const notices: Notice[] = []
    const end = async (tenantId: string, endpointId: string, reason: DisabledReason) => {
      if (await disable(client, tenantId, endpointId, reason)) notices.push({ tenantId, endpointId, disabled: reason })
    }
    for (const { turn: { tenantId, endpointId }, of } of entries) if (of.gone) await end(tenantId, endpointId, 'gone')
    for (const health of healths.filter(({ failures }) => failures > 0)) {
      const { tenantId, endpointId } = health
      const { disable: tooLong, warnings } = standingOf(health, timeFactor)
      if (tooLong) await end(tenantId, endpointId, 'failing')
      else if (warnings > health.warnings) {
        await client.query({ name: 'webhook_warn', text: `UPDATE webhook_endpoint SET warnings = $3 WHERE "tenantId" = $1 AND id = $2`, values: [tenantId, endpointId, warnings] })
        notices.push({ tenantId, endpointId, warning: warnings })
      }
    }
    return notices
  })
}

const standingOf = ({ failingSince, failures, now }: HealthRow, timeFactor: number) =>
  healthOf(new Date(now.getTime() - (now.getTime() - failingSince.getTime()) / timeFactor), failures, now)

/** Deliveries are kept for so long after they ended, with the first bytes of what receivers answered. */
const KEPT_FOR = `interval '30 days'`

/** @returns how many were forgotten */
export async function forgetOldDeliveries(db: Db): Promise<number> {
  const { rowCount } = await db.system.query({
    name: 'forget_deliveries', text: `DELETE FROM webhook_delivery WHERE ctid = ANY (ARRAY(SELECT ctid FROM webhook_delivery WHERE "endedAt" <= wishwall_now() - ${KEPT_FOR} LIMIT 5000))`,
  })
  return rowCount ?? 0
}

/** An app that was revoked is sent nothing any more; what waited for it ends here. */
export async function disableRevoked(db: Db): Promise<void> {
  const { rows } = await db.system.query<{ tenantId: string; id: string }>({
    name: 'webhook_revoked',
    text: `SELECT e."tenantId", e.id FROM webhook_endpoint e JOIN client c ON c."tenantId" = e."tenantId" AND c.id = e."clientId" WHERE c."revokedAt" IS NOT NULL AND e.status <> 'disabled'`,
  })
  for (const { tenantId, id } of rows) await transaction(db.system, (client) => disable(client, tenantId, id, 'revoked'))
}
