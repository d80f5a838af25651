import { COLUMNS, names } from '../../src/service/columns.ts'

const PLACE = (alias: string) => `jsonb_build_object('id', ${alias}.id, 'code', ${alias}.code, 'name', ${alias}.name)`
const WHOLE = `${names(COLUMNS.request, 'r.')}, t.body AS title, ${PLACE('n')} AS node, ${PLACE('rn')} AS "responsibleNode",
    (SELECT ${PLACE('c')} FROM node c WHERE c."tenantId" = r."tenantId" AND c.code = ANY (string_to_array(r.path, '/')) AND c.level = $2) AS compound,
    (SELECT jsonb_agg(a ORDER BY a.seq) FROM assignment a WHERE a."tenantId" = r."tenantId" AND a."requestId" = r.id AND a.status IN ('active', 'done')) AS assignments,
    (SELECT jsonb_agg(d ORDER BY d."dueAt") FROM deadline d WHERE d."tenantId" = r."tenantId" AND d."requestId" = r.id AND d."closedAt" IS NULL) AS deadlines,
    (SELECT to_jsonb(w) FROM wall_entry w WHERE w."tenantId" = r."tenantId" AND w."requestId" = r.id AND w."takenDownAt" IS NULL ORDER BY w.seq DESC LIMIT 1) AS wall`
const PARTS = `JOIN node n ON n."tenantId" = r."tenantId" AND n.id = r."nodeId" JOIN node rn ON rn."tenantId" = r."tenantId" AND rn.id = r."responsibleNodeId"
    JOIN text t ON t."tenantId" = r."tenantId" AND t."requestId" = r.id AND t.field = 'title' AND t.seq = r."titleSeq"`

/** (b): one prepared statement each, writing the very rows the product writes. Printed with the figures. */
export const SQL = {
  file: `WITH r AS (INSERT INTO request ("tenantId", id, number, kind, "itemId", "policyId", state, version, cycle, "nodeId", "responsibleNodeId", path, "filerId", source, confidential, slots, "slotsTaken", unreached, "titleSeq", "filedAt")
    VALUES ($1, $2, $3, 'wish', $4, $5, 'filed', 1, 1, $6, $6, $7, $8, 'app', false, 1, 0, 0, 1, now())),
  e AS (INSERT INTO event ("tenantId", "requestId", seq, verb, "fromState", "toState", at, cycle, path, "actorKind", "actorId", data) VALUES ($1, $2, 1, 'file', 'none', 'filed', now(), 1, $7, 'person', $8, '{}')),
  o AS (INSERT INTO outbox ("tenantId", id, "requestId", seq, type, at, path, payload) VALUES ($1, $9, $2, 1, 'request.filed', now(), $7, $10)),
  t AS (INSERT INTO text ("tenantId", "requestId", seq, field, body) VALUES ($1, $2, 1, 'title', $11), ($1, $2, 1, 'description', $12))
  INSERT INTO deadline ("tenantId", "requestId", step, seq, "policyId", "openedAt", "dueAt", "originalDueAt", provisional, "nextAt", mark)
    VALUES ($1, $2, 'accept', 1, $5, now(), $13, $13, false, $14, 0), ($1, $2, 'complete', 1, $5, now(), $13, $13, false, $14, 0)`,
  claim: `WITH r AS (UPDATE request SET state = 'in_progress', version = version + 1, "slotsTaken" = 1, "startedAt" = now() WHERE "tenantId" = $1 AND id = $2 AND state = 'open' RETURNING id, version, path, number),
  e AS (INSERT INTO event ("tenantId", "requestId", seq, verb, "fromState", "toState", at, cycle, path, "actorKind", "actorId", data) SELECT $1, id, version, 'claim', 'open', 'in_progress', now(), 1, path, 'person', $3, $4 FROM r),
  o AS (INSERT INTO outbox ("tenantId", id, "requestId", seq, type, at, path, payload) SELECT $1, $5, id, version, 'request.claimed', now(), path, $6 FROM r),
  a AS (INSERT INTO assignment ("tenantId", "requestId", seq, via, slot, "personId", path, status, since) SELECT $1, id, version, 'claim', 1, $3, path, 'active', now() FROM r),
  c AS (UPDATE deadline SET "nextAt" = NULL, "closedAt" = now() WHERE "tenantId" = $1 AND "requestId" = (SELECT id FROM r) AND step = 'claim' AND seq = 3),
  d AS (INSERT INTO deadline ("tenantId", "requestId", step, seq, "policyId", "openedAt", "dueAt", "originalDueAt", provisional, "nextAt", mark) SELECT $1, id, 'respond', version, $7, now(), $8, $8, false, $9, 0 FROM r),
  k AS (INSERT INTO counter AS k ("tenantId", key, value) SELECT $1, $10, 1 FROM r ON CONFLICT ("tenantId", key) DO UPDATE SET value = k.value + 1)
  SELECT id, version, number FROM r`,
  get: `SELECT ${WHOLE} FROM request r ${PARTS} WHERE r."tenantId" = $1 AND r.id = $3`,
  list: `SELECT ${WHOLE} FROM (SELECT r.* FROM node n CROSS JOIN LATERAL (
      SELECT r.* FROM request r WHERE r."tenantId" = $1 AND r."responsibleNodeId" = n.id AND r.state = $5 ORDER BY r.id DESC LIMIT $3) r
    WHERE n."tenantId" = $1 AND n.path >= $4 AND n.path < left($4, -1) || '0' ORDER BY r.id DESC LIMIT $3) r ${PARTS} ORDER BY r.id DESC`,
}
