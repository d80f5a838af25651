import type pg from 'pg'
import { v7 as uuidv7 } from 'uuid'
import type { Town } from './town.ts'

/**
 * A year of finished and unfinished work, as the product would have written it: events, deadlines and assignments, spread over
 * all buildings, a dozen services and four hundred members. Two thirds are dispatched, a third goes over the wall.
 */
export async function fillYear(client: pg.Client, { tenantId, policyId, resident, members }: Pick<Town, 'tenantId' | 'policyId' | 'resident' | 'members'>, count: number): Promise<void> {
  const items = Array.from({ length: 12 }, () => uuidv7())
  await client.query(`INSERT INTO item ("tenantId", id, code, version, name, category, kind, mode, wall, "policyCode") SELECT $1, i, 'item-' || n, 1, '服务' || n, 'x', 'service', 'pool', true, 'standard' FROM unnest($2::uuid[]) WITH ORDINALITY u(i, n)`, [tenantId, items])
  for (let from = 0; from < count; from += 2_000) {
    const ids = Array.from({ length: Math.min(2_000, count - from) }, () => uuidv7())
    await client.query(FILL, [tenantId, ids, from, items, policyId, resident, members])
  }
  await client.query('VACUUM ANALYZE')
}

/** n: a running number from which everything follows. One in twelve is still open, one in nine is late, one in twenty is done again. */
const FILL = `
  WITH b AS (SELECT id, path, row_number() OVER (ORDER BY path) AS n, count(*) OVER () AS of FROM node WHERE level = 'building' AND "tenantId" = $1),
  w AS (SELECT u.id, b.id AS node, b.path, k.n, ($4::uuid[])[1 + k.n % 12] AS item, ($7::uuid[])[1 + k.n % cardinality($7::uuid[])] AS worker,
      k.n % 3 = 0 AS walled, k.n % 12 <> 5 AS finished, k.n % 100 = 7 AS excluded, now() - ((k.n * 7919) % 525600) * interval '1 minute' - interval '1 day' AS filed, (1 + k.n % 9) * interval '30 hours' AS took
    FROM unnest($2::uuid[]) WITH ORDINALITY u(id, m) CROSS JOIN LATERAL (SELECT $3::int + u.m::int AS n) k JOIN b ON b.n = 1 + (k.n * 104729::bigint) % b.of),
  e AS (SELECT w.*, s.* FROM w CROSS JOIN LATERAL (VALUES
      (1, 'file', 'none', 'filed', interval '0', '{}'::jsonb), (2, 'accept', 'filed', 'accepted', interval '1 hour', '{}'),
      (3, CASE WHEN walled THEN 'place' ELSE 'dispatch' END, 'accepted', CASE WHEN walled THEN 'open' ELSE 'dispatched' END, interval '2 hours', CASE WHEN walled THEN '{"slots": 1}' ELSE jsonb_build_object('to', worker) END),
      (4, CASE WHEN walled THEN 'claim' ELSE 'sign' END, CASE WHEN walled THEN 'open' ELSE 'dispatched' END, 'in_progress', interval '5 hours', CASE WHEN walled THEN jsonb_build_object('by', worker) ELSE '{}' END),
      (5, 'respond', 'in_progress', 'in_progress', interval '6 hours' + (n % 5) * interval '7 hours', '{}'),
      (6, CASE WHEN excluded AND finished THEN 'grant-exclusion' WHEN finished THEN 'record' ELSE 'record' END, 'in_progress', 'in_progress', interval '1 hour' + took * 0.9 + interval '34 hours', '{}'),
      (7, 'complete', 'in_progress', 'completed', took + interval '36 hours', jsonb_build_object('result', CASE WHEN n % 7 = 0 THEN 'partly' ELSE 'realised' END)),
      (8, 'follow-up', 'completed', 'closed', took + interval '60 hours', jsonb_build_object('reached', true, 'redo', false, 'solved', CASE WHEN n % 8 = 0 THEN 'partly' ELSE 'solved' END, 'satisfaction', CASE WHEN n % 6 = 0 THEN 'fairly' ELSE 'satisfied' END))
    ) s(seq, verb, f, t, after, data) WHERE s.seq <= CASE WHEN finished THEN 8 ELSE 5 END),
  r AS (INSERT INTO request ("tenantId", id, number, kind, "itemId", "policyId", state, version, cycle, "nodeId", "responsibleNodeId", path, "filerId", source, confidential, slots, "slotsTaken", unreached, "titleSeq", "filedAt", "acceptedAt", "completedAt", "closedAt", excluded)
    SELECT $1, id, 'Y' || id, 'service', item, $5, CASE WHEN finished THEN 'closed' ELSE 'in_progress' END, CASE WHEN finished THEN 8 ELSE 5 END, 1, node, node, path, $6, 'app', false, 1, 1, 0, 1, filed, filed,
      CASE WHEN finished THEN filed + took + interval '36 hours' END, CASE WHEN finished THEN filed + took + interval '60 hours' END, excluded AND finished FROM w),
  ev AS (INSERT INTO event ("tenantId", "requestId", seq, verb, "fromState", "toState", at, cycle, path, "actorKind", "actorId", data)
    SELECT $1, id, seq, verb, f, t, filed + after, 1, path, 'person', $6, data FROM e),
  tx AS (INSERT INTO text ("tenantId", "requestId", seq, field, body) SELECT $1, id, 1, 'title', '楼道灯不亮' FROM w UNION ALL SELECT $1, id, 6, 'reason', '不属于本辖区' FROM w WHERE excluded AND finished),
  k AS (INSERT INTO ask ("tenantId", "requestId", seq, kind, cycle, "personId", path, status, "askedAt", "answeredAt", "answeredBy")
    SELECT $1, id, 6, 'exclusion', 1, worker, path, 'granted', filed, filed + took, $6 FROM w WHERE excluded AND finished),
  a AS (INSERT INTO assignment ("tenantId", "requestId", seq, slot, role, via, quantity, "personId", path, level, status, since, until)
    SELECT $1, id, CASE WHEN walled THEN 4 ELSE 3 END, 1, 'lead', CASE WHEN walled THEN 'claim' ELSE 'dispatch' END, 1, worker, path, 'building', CASE WHEN finished THEN 'done' ELSE 'active' END, filed, CASE WHEN finished THEN filed + took + interval '36 hours' END FROM w)
  INSERT INTO deadline ("tenantId", "requestId", step, seq, "policyId", "openedAt", "dueAt", "originalDueAt", provisional, "nextAt", mark, "closedAt")
    SELECT $1, id, 'complete', 1, $5, filed, filed + interval '14 days', filed + interval '12 days', false, CASE WHEN finished THEN NULL ELSE now() + interval '1 day' END, 0, CASE WHEN finished THEN filed + took + interval '36 hours' END FROM w
    UNION ALL SELECT $1, id, 'respond', 4, $5, filed + interval '5 hours', filed + interval '29 hours', filed + interval '29 hours', false, NULL, 0, filed + interval '6 hours' + (n % 5) * interval '7 hours' FROM w`

/** What was earned by it, in ids: each lead's points, his branch's (one in each compound), and for a part of them the praise. */
export async function fillCredit(client: pg.Client, { tenantId }: Pick<Town, 'tenantId'>): Promise<void> {
  await client.query(`INSERT INTO organisation ("tenantId", id, "nodeId", code, name, kind) SELECT $1, gen_random_uuid(), id, 'B-' || code, code || '支部', 'compound_branch' FROM node WHERE level = 'compound' AND "tenantId" = $1`, [tenantId])
  await client.query(`
    INSERT INTO credit_entry ("tenantId", id, "requestId", seq, cycle, holder, "holderId", "viaId", reason, points, path, at)
    SELECT $1, gen_random_uuid(), e."requestId", 8, 1, h.holder, h.id, a."personId", h.reason, h.points, e.path, e.at
    FROM event e JOIN assignment a ON a."tenantId" = $1 AND a."requestId" = e."requestId" AND a.status = 'done'
    JOIN organisation o ON o."tenantId" = $1 AND o.code = 'B-' || split_part(e.path, '/', 3)
    CROSS JOIN LATERAL (VALUES ('person', a."personId", 'work', 5), ('organisation', o.id, 'member_residence', 5), ('person', a."personId", 'satisfied', 2)) h(holder, id, reason, points)
    WHERE e."tenantId" = $1 AND e.seq = 8 AND (h.reason <> 'satisfied' OR extract(minute FROM e.at)::int % 3 = 0)`, [tenantId])
}
