import pg from 'pg'
import { v7 as uuidv7 } from 'uuid'
import { DEFAULT_POLICY, type Policy } from '../../src/domain/policy.ts'
import { DEFAULT_SETTINGS } from '../../src/domain/settings.ts'

/**
 * A street by plain SQL: 13 communities, 117 compounds, 1,287 buildings; a dispatcher in each compound, who is late when
 * nobody accepts, and supervisors of each community and of the street, who are the ladder.
 */
export interface ClockTown {
  tenantId: string
  policyId: string
  itemId: string
  resident: string
  /** Dispatches for the whole street. */
  staff: string
}

export async function makeClockTown(client: pg.Client, policy: Partial<Policy> = {}, code = 'CLOCK'): Promise<ClockTown> {
  const [tenantId, policyId, itemId] = [uuidv7(), uuidv7(), uuidv7()]
  await client.query('INSERT INTO tenant (id, code, name, settings) VALUES ($1, $2, $2, $3)', [tenantId, code, DEFAULT_SETTINGS])
  await client.query(`
    WITH RECURSIVE tree(code, parent, level, path) AS (
      SELECT 'S', NULL::text, 1, 'S/'
      UNION ALL SELECT t.code || '-' || i, t.code, t.level + 1, t.path || t.code || '-' || i || '/' FROM tree t, generate_series(1, CASE t.level WHEN 1 THEN 13 WHEN 2 THEN 9 WHEN 3 THEN 11 ELSE 0 END) i),
    ids AS (SELECT *, gen_random_uuid() AS id FROM tree)
    INSERT INTO node ("tenantId", id, "parentId", code, name, level, path)
    SELECT $1, i.id, p.id, i.code, i.code, (ARRAY['street', 'community', 'compound', 'building'])[i.level], i.path FROM ids i LEFT JOIN ids p ON p.code = i.parent ORDER BY i.level`, [tenantId])
  const { rows: places } = await client.query<{ id: string; level: string }>(`SELECT id, level FROM node WHERE "tenantId" = $1 AND level <> 'building'`, [tenantId])
  const root = places.find(({ level }) => level === 'street')!.id
  await client.query('INSERT INTO policy ("tenantId", id, code, version, "nodeId", body) VALUES ($1, $2, $3, 1, $4, $5)', [tenantId, policyId, 'standard', root, { ...DEFAULT_POLICY, ...policy }])
  await client.query(`INSERT INTO item ("tenantId", id, code, version, name, category, kind, mode, wall, "policyCode") VALUES ($1, $2, 'companionship', 1, '陪伴', 'x', 'wish', 'pool', true, 'standard')`, [tenantId, itemId])
  await client.query(`INSERT INTO role ("tenantId", code, name, capabilities) VALUES ($1, 'dispatcher', '派单员', '{view,dispatch,publish,file_for}'), ($1, 'supervisor', '督办', '{view,supervise}')`, [tenantId])
  const [resident, staff] = [uuidv7(), uuidv7()]
  const holders = places.map(({ id, level }) => ({ person: uuidv7(), node: id, role: level === 'compound' ? 'dispatcher' : 'supervisor' }))
  holders.push({ person: staff, node: root, role: 'dispatcher' })
  const people = [resident, ...holders.map(({ person }) => person)]
  await client.query('INSERT INTO subject ("tenantId", id) SELECT $1, unnest($2::uuid[])', [tenantId, people])
  await client.query('INSERT INTO person ("tenantId", id, "subjectId") SELECT $1, p, p FROM unnest($2::uuid[]) p', [tenantId, people])
  await client.query(`INSERT INTO duty ("tenantId", id, "personId", "roleCode", "nodeId", "from") SELECT $1, gen_random_uuid(), h.person, h.role, h.node, '2020-01-01Z' FROM jsonb_to_recordset($2) h(person uuid, role text, node uuid)`, [tenantId, JSON.stringify(holders)])
  return { tenantId, policyId, itemId, resident, staff }
}

export interface Wish {
  /** When the deadline to accept it has its next mark. */
  nextAt: Date
  /** Index of that mark: 0 the reminder, 1 due. */
  mark: number
  openedAt: Date
  dueAt: Date
}

const BATCH = 5_000

/**
 * Filed requests as the product writes them, with their event in the feed, words and both deadlines; constraints on.
 * @returns their ids, in order
 */
export async function fileWishes(client: pg.Client, town: ClockTown, wishes: readonly Wish[]): Promise<string[]> {
  const ids: string[] = []
  for (let from = 0; from < wishes.length; from += BATCH) {
    const batch = wishes.slice(from, from + BATCH).map((wish) => ({ id: uuidv7(), message: uuidv7(), ...wish }))
    ids.push(...batch.map(({ id }) => id))
    await client.query(`
      WITH b AS (SELECT id, code, path, row_number() OVER () AS n, count(*) OVER () AS of FROM node WHERE level = 'building' AND "tenantId" = $1),
      w AS (SELECT * FROM ROWS FROM (jsonb_to_recordset($2) AS (id uuid, message uuid, "nextAt" timestamptz, mark int, "openedAt" timestamptz, "dueAt" timestamptz)) WITH ORDINALITY AS w(id, message, "nextAt", mark, "openedAt", "dueAt", n)),
      i AS (SELECT w.*, 'C' || w.id AS number, b.id AS node, b.code, b.path FROM w JOIN b ON b.n = 1 + (w.n * 7919) % b.of),
      r AS (INSERT INTO request ("tenantId", id, number, kind, "itemId", "policyId", state, version, cycle, "nodeId", "responsibleNodeId", path, "filerId", source, confidential, slots, "slotsTaken", unreached, "titleSeq", "filedAt")
        SELECT $1, i.id, i.number, 'wish', $3, $4, 'filed', 1, 1, i.node, i.node, i.path, $5, 'app', false, 1, 0, 0, 1, i."openedAt" FROM i),
      e AS (INSERT INTO event ("tenantId", "requestId", seq, verb, "fromState", "toState", at, cycle, path, "actorKind", "actorId", data)
        SELECT $1, i.id, 1, 'file', 'none', 'filed', i."openedAt", 1, i.path, 'person', $5, '{}' FROM i),
      f AS (INSERT INTO feed ("tenantId", position, id, "requestId", seq, type, at, path, payload)
        SELECT $1, nextval('feed_position'), i.message, i.id, 1, 'request.filed', i."openedAt", i.path,
          jsonb_build_object('number', i.number, 'kind', 'wish', 'item', 'companionship', 'from', null, 'state', 'filed', 'version', 1, 'cycle', 1, 'node', i.code) FROM i),
      t AS (INSERT INTO text ("tenantId", "requestId", seq, field, body) SELECT $1, i.id, 1, x.field, x.body FROM i, (VALUES ('title', '想有人陪我下棋'), ('description', '每周一次，周末下午，在小区的棋牌室')) x(field, body))
      INSERT INTO deadline ("tenantId", "requestId", step, seq, "policyId", "openedAt", "dueAt", "originalDueAt", provisional, "nextAt", mark)
        SELECT $1, i.id, s.step, 1, $4, i."openedAt", s.due, s.due, false, s.next, s.mark
        FROM i, LATERAL (VALUES ('accept', i."dueAt", i."nextAt", i.mark), ('complete', i."openedAt" + interval '30 days', i."openedAt" + interval '20 days', 0)) s(step, due, next, mark)`,
      [town.tenantId, JSON.stringify(batch), town.itemId, town.policyId, town.resident])
  }
  return ids
}
