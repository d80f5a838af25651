import type pg from 'pg'
import { healthOf, judge, nextAttempt, type Outcome } from '../domain/webhook.ts'
import type { Db } from './db.ts'
import type { Claimed } from './deliveries.ts'
import { transaction } from './transaction.ts'

/** What became of an attempt, and of its delivery by it. */
export interface Result {
  of: Pick<Claimed, 'tenantId' | 'endpointId' | 'id' | 'claim'>
  state: 'delivered' | 'pending' | 'exhausted' | 'disabled'
  /** Until the next attempt; null when there is none. */
  delayMs: number | null
  /** How long the endpoint is left alone altogether. */
  holdMs: number | null
  /** The receiver wants no more, ever. */
  gone: boolean
  ms: number
  status: number | null
  reason: string | null
  excerpt: string | null
}

/**
 * What an outcome means for its delivery. A test send is made once.
 * @param timeFactor what the schedule's times are multiplied by
 * @param random as Math.random
 */
export function resultOf(of: Claimed, outcome: Outcome, timeFactor: number, random: () => number): Result {
  const status = outcome.kind === 'answer' ? outcome.status : null
  const said = {
    of, gone: false, status, holdMs: null, delayMs: null,
    ms: outcome.kind === 'refused' ? 0 : outcome.ms, reason: outcome.kind === 'answer' ? null : outcome.reason, excerpt: outcome.kind === 'answer' ? storable(outcome.excerpt) : null,
  }
  const verdict = status === null ? 'failed' : judge(status)
  if (verdict === 'delivered') return { ...said, state: 'delivered' }
  if (of.position === null) return { ...said, state: 'exhausted' }
  if (verdict === 'gone') return { ...said, state: 'disabled', gone: true }
  const retryAfter = outcome.kind === 'answer' ? outcome.retryAfter : undefined
  const until = (done: number) => {
    const next = nextAttempt(done, { retryAfter }, of.sentAt, random)
    return next === 'exhausted' ? null : (next.getTime() - of.sentAt.getTime()) * timeFactor
  }
  const delayMs = until(of.attempts + 1)
  // Without a word from the receiver its other events wait as long as after a first failure, however late this one is in its schedule.
  const holdMs = verdict === 'throttle' ? until(1) : null
  return { ...said, state: delayMs === null ? 'exhausted' : 'pending', delayMs, holdMs }
}

/** What PostgreSQL takes as text: no NUL, no half of a surrogate pair. */
const storable = (words: string): string => words.replace(/\0|\p{Surrogate}/gu, '')

/** An event that was erased while it waited: there is nothing to send. */
export const erased = (of: Claimed): Result =>
  ({ of, state: 'exhausted', delayMs: null, holdMs: null, gone: false, ms: 0, status: null, reason: 'erased', excerpt: null })

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

/** More are never under way at once for one endpoint. It begins with few, gains one by each success, and loses half by a failure. */
export const MOST_AT_ONCE = 32
export const FIRST_AT_ONCE = 4

/**
 * The endpoint first, then its deliveries, as everywhere. Whoever lost the lease writes nothing: another has sent, or will.
 * A success that arrives after the endpoint was disabled still counts.
 */
const RECORD = `
  WITH clock AS MATERIALIZED (SELECT wishwall_now() AS at),
  r AS MATERIALIZED (SELECT * FROM jsonb_to_recordset($1::jsonb) AS r("tenantId" uuid, "endpointId" uuid, id uuid, claim int, state text, "delayMs" float8, "holdMs" float8, ms int, status int, reason text, excerpt text)),
  e AS MATERIALIZED (SELECT e."tenantId", e.id FROM webhook_endpoint e WHERE (e."tenantId", e.id) IN (SELECT "tenantId", "endpointId" FROM r) ORDER BY 1, 2 FOR NO KEY UPDATE),
  done AS (
    UPDATE webhook_delivery d SET state = r.state, attempts = d.attempts + 1, "nextAt" = clock.at + r."delayMs" * interval '1 millisecond',
      "endedAt" = CASE WHEN r."delayMs" IS NULL THEN clock.at END
    FROM r JOIN e ON e."tenantId" = r."tenantId" AND e.id = r."endpointId", clock
    WHERE d."tenantId" = r."tenantId" AND d."endpointId" = r."endpointId" AND d.id = r.id AND d.claims = r.claim
      AND (d.state = 'delivering' OR (d.state = 'disabled' AND r.state = 'delivered'))
    RETURNING d."tenantId", d."endpointId", d.position, r.state, r."holdMs"),
  logged AS (
    INSERT INTO webhook_attempt ("tenantId", "endpointId", "deliveryId", number, at, ms, status, reason, excerpt)
    SELECT r."tenantId", r."endpointId", r.id, r.claim, clock.at - r.ms * interval '1 millisecond', r.ms, r.status, r.reason, r.excerpt
    FROM r JOIN webhook_delivery d ON d."tenantId" = r."tenantId" AND d."endpointId" = r."endpointId" AND d.id = r.id AND d.claims = r.claim, clock
    ON CONFLICT DO NOTHING),
  heard AS (
    SELECT "tenantId", "endpointId", count(*) FILTER (WHERE state = 'delivered') AS good, count(*) FILTER (WHERE state <> 'delivered') AS bad, max("holdMs") AS hold
    FROM done WHERE position IS NOT NULL GROUP BY 1, 2)
  UPDATE webhook_endpoint e SET
    failures = CASE WHEN good > 0 THEN 0 ELSE e.failures + bad END,
    "failingSince" = CASE WHEN good > 0 THEN NULL ELSE COALESCE(e."failingSince", clock.at) END,
    warnings = CASE WHEN good > 0 THEN 0 ELSE e.warnings END,
    width = CASE WHEN bad > 0 THEN greatest(1, e.width / 2) ELSE least($2::int, e.width + good) END,
    "paceAt" = greatest(e."paceAt", clock.at + hold * interval '1 millisecond')
  FROM heard h, clock
  WHERE e."tenantId" = h."tenantId" AND e.id = h."endpointId" AND e.status <> 'disabled' AND (bad > 0 OR e.failures > 0 OR e.width < $2::int)
  RETURNING e."tenantId", e.id AS "endpointId", e.failures, e."failingSince", e.warnings, clock.at AS now`

const DISABLE = `UPDATE webhook_endpoint SET status = 'disabled', "disabledReason" = $3, "disabledAt" = wishwall_now() WHERE "tenantId" = $1 AND id = $2 AND status <> 'disabled'`
/** In a statement of its own: what was planned while the first one waited is seen too. Test sends stay. */
const END_ALL = `UPDATE webhook_delivery SET state = 'disabled', "nextAt" = NULL, "endedAt" = wishwall_now() WHERE "tenantId" = $1 AND "endpointId" = $2 AND "nextAt" IS NOT NULL AND position IS NOT NULL`

/** Ends all that waits. For whoever holds the endpoint, or comes to hold it here. @returns false when it was disabled already */
export async function disable(client: Pick<pg.PoolClient, 'query'>, tenantId: string, endpointId: string, reason: DisabledReason): Promise<boolean> {
  const { rowCount } = await client.query({ name: 'webhook_disable', text: DISABLE, values: [tenantId, endpointId, reason] })
  await client.query({ name: 'webhook_end_all', text: END_ALL, values: [tenantId, endpointId] })
  return rowCount === 1
}

/**
 * Writes what attempts met, in one commit: deliveries, log, the endpoints' health, and the end of those that are gone or
 * have failed for too long.
 * @returns what owners are to be told
 */
export function recordAttempts(db: Db, results: readonly Result[], timeFactor = 1): Promise<Notice[]> {
  return transaction(db.system, async (client) => {
    const rows = results.map(({ of: { tenantId, endpointId, id, claim }, gone: _, ...rest }) => ({ tenantId, endpointId, id, claim, ...rest }))
    const { rows: healths } = await client.query<HealthRow>({ name: 'webhook_record', text: RECORD, values: [JSON.stringify(rows), MOST_AT_ONCE] })
    const notices: Notice[] = []
    const end = async (tenantId: string, endpointId: string, reason: DisabledReason) => {
      if (await disable(client, tenantId, endpointId, reason)) notices.push({ tenantId, endpointId, disabled: reason })
    }
    for (const { of: { tenantId, endpointId } } of results.filter(({ gone }) => gone)) await end(tenantId, endpointId, 'gone')
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

/** Log lines are kept for so long; they may quote what a receiver answered. */
const KEPT_FOR = `interval '30 days'`

/** @returns how many were forgotten */
export async function forgetOldAttempts(db: Db): Promise<number> {
  const { rowCount } = await db.system.query({
    name: 'forget_attempts', text: `DELETE FROM webhook_attempt WHERE ctid = ANY (ARRAY(SELECT ctid FROM webhook_attempt WHERE at <= wishwall_now() - ${KEPT_FOR} LIMIT 5000))`,
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
