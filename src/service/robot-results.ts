import { LONGEST_WAIT_MS, MOST_ATTEMPTS, PACE_MS, backoff, type Verdict } from '../domain/robot.ts'
import type { Db } from './db.ts'
import type { ClaimedMessage } from './robot-claims.ts'

/** An attempt under way, and what came of it. */
export interface RobotResult {
  of: Pick<ClaimedMessage, 'tenantId' | 'robotId' | 'claim' | 'test' | 'failures'>
  /** `erased`: the events were, and there was nothing to send. */
  verdict: Verdict | { kind: 'erased' }
}

/**
 * Only what is still leased under that claim is changed: whoever comes late, after another has taken over, changes
 * nothing. A test is made once. What the vendor found too fast has not failed.
 */
const RECORD = `
  WITH r AS (SELECT * FROM jsonb_to_recordset($1::jsonb) AS r("tenantId" uuid, "robotId" uuid, claim int, test bool, kind text, reason text, code text, "waitMs" float8)),
  clock AS (SELECT wishwall_now() AS at),
  done AS (
    UPDATE robot_message m SET
      state = over.state, attempts = m.attempts + (r.kind IN ('refused', 'failed'))::int, reason = r.reason, code = r.code,
      "nextAt" = CASE WHEN over.state = 'pending' THEN clock.at END, "endedAt" = CASE WHEN over.state <> 'pending' THEN clock.at END
    FROM r, clock, robot_message was CROSS JOIN LATERAL (SELECT CASE
        WHEN r.kind = 'delivered' THEN 'delivered'
        WHEN r.kind = 'erased' OR r.test OR was.attempts + (r.kind <> 'throttled')::int >= $2::int OR was."createdAt" <= clock.at - $3::float8 * interval '1 millisecond' THEN 'exhausted'
        ELSE 'pending' END AS state) over
    WHERE was."tenantId" = r."tenantId" AND was."robotId" = r."robotId" AND was."nextAt" IS NOT NULL AND was.state = 'leased' AND was.claim = r.claim
      AND m."tenantId" = was."tenantId" AND m."robotId" = was."robotId" AND m.id = was.id AND m.state = 'leased' AND m.claim = r.claim
    RETURNING m.state),
  spoken AS (
    UPDATE robot b SET
      "nextAt" = clock.at + r."waitMs" * interval '1 millisecond',
      failures = CASE WHEN r.kind = 'delivered' THEN 0 WHEN r.kind IN ('refused', 'failed') THEN b.failures + 1 ELSE b.failures END,
      "failingSince" = CASE WHEN r.kind = 'delivered' THEN NULL WHEN r.kind IN ('refused', 'failed') THEN COALESCE(b."failingSince", clock.at) ELSE b."failingSince" END,
      reason = CASE WHEN r.kind = 'erased' THEN b.reason ELSE r.reason END, code = CASE WHEN r.kind = 'erased' THEN b.code ELSE r.code END,
      "deliveredAt" = CASE WHEN r.kind = 'delivered' THEN clock.at ELSE b."deliveredAt" END
    FROM r, clock WHERE b."tenantId" = r."tenantId" AND b.id = r."robotId" AND b.claim = r.claim)
  SELECT state, count(*)::int AS n FROM done GROUP BY 1`

/**
 * Writes what attempts met: the rows, and when each robot may speak again.
 * @param timeFactor what the waits are multiplied by: 1, but for tests
 * @returns how many rows ended or wait again, by state
 */
export async function recordMessages(db: Db, results: readonly RobotResult[], timeFactor = 1): Promise<Record<string, number>> {
  const rows = results.map(({ of: { tenantId, robotId, claim, test, failures }, verdict }) =>
    ({ tenantId, robotId, claim, test, kind: verdict.kind, ...said(verdict), waitMs: waitAfter(verdict, failures) * timeFactor }))
  const { rows: counted } = await db.system.query<{ state: string; n: number }>({
    name: 'robot_record', text: RECORD, values: [JSON.stringify(rows), MOST_ATTEMPTS, LONGEST_WAIT_MS * timeFactor],
  })
  return Object.fromEntries(counted.map(({ state, n }) => [state, n]))
}

function said(verdict: RobotResult['verdict']): { reason: string | null; code: string | null } {
  switch (verdict.kind) {
    case 'delivered': return { reason: null, code: null }
    case 'erased': return { reason: 'erased', code: null }
    case 'throttled': return { reason: 'throttled', code: verdict.code }
    default: return { reason: verdict.reason, code: verdict.code }
  }
}

/** Milliseconds, never less than the pace. @param failures before this attempt */
function waitAfter(verdict: RobotResult['verdict'], failures: number): number {
  switch (verdict.kind) {
    case 'delivered':
    case 'erased': return PACE_MS
    case 'throttled': return Math.max(PACE_MS, verdict.holdMs)
    default: return backoff(failures + 1, verdict.kind)
  }
}
