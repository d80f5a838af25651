import { v7 as uuidv7 } from 'uuid'
import type { TestDatabase } from '../database.ts'
import type { TestPlace } from '../place.ts'

/** A street with very many requests, written by plain SQL past the machine: what is looked at is how they are found. */
export interface Street {
  requests: number
  /** Of the buildings, by path: the first 40 belong to compound P. */
  buildings: string[]
}

const STATES: [state: string, verbs: [string, string, string][]][] = [
  ['closed', [['file', 'none', 'filed'], ['accept', 'filed', 'accepted'], ['dispatch', 'accepted', 'dispatched'], ['sign', 'dispatched', 'in_progress'], ['complete', 'in_progress', 'completed'], ['close', 'completed', 'closed']]],
  ['filed', [['file', 'none', 'filed']]],
  ['accepted', [['file', 'none', 'filed'], ['accept', 'filed', 'accepted']]],
  ['dispatched', [['file', 'none', 'filed'], ['accept', 'filed', 'accepted'], ['dispatch', 'accepted', 'dispatched']]],
  ['completed', [['file', 'none', 'filed'], ['accept', 'filed', 'accepted'], ['dispatch', 'accepted', 'dispatched'], ['sign', 'dispatched', 'in_progress'], ['complete', 'in_progress', 'completed']]],
]

/** Words that titles are made of, and rare ones that few have. */
const WHERE = ['一单元', '二單元', '地下车库', '电梯间', '東門', '西门', '楼道', '樓道', '花坛边', '廣場']
const WHAT = ['路灯不亮', '路燈壞了', '下水堵塞', '垃圾未清', '电梯异响', '牆皮脫落', '噪声扰民', '想有人陪聊天', '单车乱停', '門禁失靈']
const RARE = ['麒麟', '鳳凰', '饕餮', '氤氲', '踯躅']

/**
 * @param people filer and handler of some of them
 * @param organisations handlers of others
 */
export async function manyRequests(
  database: TestDatabase, town: TestPlace, count: number, { filer, handler, organisations, client }: { filer: string; handler: string; organisations: string[]; client: string },
): Promise<Street> {
  const { owner } = database
  const { tenantId } = town
  const { rows: [known] } = await owner.query<{ item: string; policy: string }>(`SELECT (SELECT id FROM item WHERE "tenantId" = $1 AND code = 'corridor-light') AS item, (SELECT id FROM policy WHERE "tenantId" = $1) AS policy`, [tenantId])
  const buildings: string[] = []
  for (let n = 0; n < 400; n++) {
    const code = `B${n}`
    const parent = n < 40 ? ['P', 'S/C/P/'] : ['S', 'S/']
    await owner.query(`INSERT INTO node ("tenantId", id, "parentId", code, name, level, path) VALUES ($1, $2, $3, $4, $4, 'building', $5)`,
      [tenantId, uuidv7(), town.node[parent[0] as 'P' | 'S'], code, `${parent[1]!}${code}/`])
    buildings.push(`${parent[1]!}${code}/`)
  }
  const loader = await owner.connect()
  try {
    await loader.query('BEGIN')
    // Built when all is there, as by the migration where there are requests already.
    const { rows: [index] } = await loader.query<{ made: string }>(`SELECT pg_get_indexdef('text_grams_idx'::regclass) AS made`)
    await loader.query('DROP INDEX text_grams_idx')
    // Everything is checked row by row by foreign keys; here nothing is to be proved about them.
    await loader.query(`SET LOCAL session_replication_role = replica`)
    await loader.query(`CREATE TEMP TABLE mass2 ON COMMIT DROP AS
      SELECT n, (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(n % 4096), 3, '0') || '8' || lpad(to_hex(n), 15, '0'))::uuid AS id, at AS "filedAt",
        CASE WHEN n % 20 < 14 THEN 'closed' ELSE ($3::text[])[1 + n % 5] END AS state, CASE WHEN n % 997 = 0 THEN 'mediation' ELSE 'service' END AS kind,
        ($4::text[])[1 + n % 10] || ($5::text[])[1 + (n / 10) % 10] || CASE WHEN n % 4001 = 0 THEN ($6::text[])[1 + (n / 4001) % 5] ELSE '' END || (n % 9000)::text AS title, b.id AS "nodeId", b.path
      FROM generate_series(1, $2::int) n CROSS JOIN LATERAL (SELECT (now() - ($2::int - n) * interval '150 seconds')::timestamptz(3) AS at) t
      JOIN (SELECT id, path, row_number() OVER (ORDER BY path) AS place FROM node WHERE "tenantId" = $1 AND level = 'building' AND code <> 'B') b ON b.place = 1 + (n / 20) % 400`,
    [tenantId, count, STATES.map(([state]) => state), WHERE, WHAT, RARE])
    await loader.query(`INSERT INTO request ("tenantId", id, number, kind, "itemId", "policyId", state, version, cycle, "nodeId", "responsibleNodeId", path, "filerId", "filerClientId", "externalRef", source, confidential, "titleSeq", "filedAt", "closedAt")
      SELECT $1, id, 'WX' || to_char("filedAt" AT TIME ZONE 'Asia/Shanghai', 'YYYYMMDD') || '-' || lpad(n::text, 6, '0'), kind, $2, $3, state, CASE state WHEN 'closed' THEN 6 WHEN 'filed' THEN 1 WHEN 'accepted' THEN 2 WHEN 'dispatched' THEN 3 ELSE 5 END, 1,
        "nodeId", "nodeId", path, CASE WHEN n % 3 = 0 THEN NULL WHEN n % 500 = 1 THEN $4::uuid END, CASE WHEN n % 3 = 0 THEN $5::uuid END, CASE WHEN n % 3 = 0 THEN 'ref-' || n END, 'app', false, 1, "filedAt", CASE WHEN state = 'closed' THEN "filedAt" END FROM mass2 ORDER BY n`,
    [tenantId, known!.item, known!.policy, filer, client])
    for (const [state, verbs] of STATES) {
      for (const [index, [verb, from, to]] of verbs.entries()) {
        await loader.query(`INSERT INTO event ("tenantId", "requestId", seq, verb, "fromState", "toState", at, cycle, path, "actorKind", data)
          SELECT $1, id, $2, $3, $4, $5, "filedAt", 1, path, 'system', '{}' FROM mass2 WHERE state = $6`, [tenantId, index + 1, verb, from, to, state])
      }
    }
    await loader.query(`INSERT INTO text ("tenantId", "requestId", seq, field, body) SELECT $1, id, 1, 'title', title FROM mass2`, [tenantId])
    await loader.query(`INSERT INTO deadline ("tenantId", "requestId", step, seq, "policyId", "openedAt", "dueAt", "originalDueAt", provisional, "nextAt", mark)
      SELECT $1, id, CASE state WHEN 'filed' THEN 'accept' WHEN 'accepted' THEN 'place' WHEN 'dispatched' THEN 'sign' ELSE 'follow_up' END, 1, $2, "filedAt", now() + (n % 1000 - 200) * interval '1 hour', now(), false, now() + interval '1 year', 0
      FROM mass2 WHERE state <> 'closed'`, [tenantId, known!.policy])
    await loader.query(`INSERT INTO assignment ("tenantId", "requestId", seq, slot, via, "personId", "organisationId", path, status, since)
      SELECT $1, id, 3, 1, 'dispatch', CASE WHEN n % 200 = 18 THEN $2::uuid END, CASE WHEN n % 200 <> 18 THEN ($3::uuid[])[1 + (n / 20) % cardinality($3::uuid[])] END, path, 'active', "filedAt" FROM mass2 WHERE state = 'dispatched'`, [tenantId, handler, organisations])
    await loader.query(`INSERT INTO deadline ("tenantId", "requestId", step, seq, "policyId", "openedAt", "dueAt", "originalDueAt", provisional, mark, "closedAt")
      SELECT $1, id, 'complete', 1, $2, "filedAt", "filedAt" + interval '5 days', "filedAt" + interval '5 days', false, 0, "filedAt" FROM mass2 WHERE state IN ('closed', 'completed')`, [tenantId, known!.policy])
    await loader.query(`INSERT INTO assignment ("tenantId", "requestId", seq, slot, via, "personId", "organisationId", path, status, since, until)
      SELECT $1, id, 3, 1, 'dispatch', CASE WHEN n % 20 = 0 THEN $2::uuid END, CASE WHEN n % 20 <> 0 THEN ($3::uuid[])[1 + (n / 20) % cardinality($3::uuid[])] END, path, 'done', "filedAt", "filedAt" FROM mass2 WHERE state IN ('closed', 'completed')`, [tenantId, handler, organisations])
    await loader.query(index!.made)
    await loader.query('COMMIT')
  } finally {
    loader.release()
  }
  await owner.query('VACUUM ANALYZE request, text, deadline, assignment, event, node, ask')
  return { requests: count, buildings }
}
