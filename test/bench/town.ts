import pg from 'pg'
import { v7 as uuidv7 } from 'uuid'
import { DEFAULT_POLICY } from '../../src/domain/policy.ts'
import { DEFAULT_SETTINGS } from '../../src/domain/settings.ts'

/** Ids of a street made by plain SQL: 13 communities, 117 compounds, 1,287 buildings (S3's scale), with requests in it. */
export interface Town {
  tenantId: string
  policyId: string
  itemId: string
  buildings: { id: string; code: string; path: string }[]
  compound: { code: string; path: string }
  street: { code: string; path: string }
  resident: string
  staff: string
  members: string[]
}

const MEMBERS = 400

export async function makeTown(url: string, requests: number): Promise<Town> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const [tenantId, policyId, itemId] = [uuidv7(), uuidv7(), uuidv7()]
  await client.query('INSERT INTO tenant (id, code, name, settings) VALUES ($1, $2, $2, $3)', [tenantId, 'BENCH', DEFAULT_SETTINGS])
  await client.query(`
    WITH RECURSIVE tree(code, parent, level, path) AS (
      SELECT 'S', NULL::text, 1, 'S/'
      UNION ALL SELECT t.code || '-' || i, t.code, t.level + 1, t.path || t.code || '-' || i || '/' FROM tree t, generate_series(1, CASE t.level WHEN 1 THEN 13 WHEN 2 THEN 9 WHEN 3 THEN 11 ELSE 0 END) i),
    ids AS (SELECT *, gen_random_uuid() AS id FROM tree)
    INSERT INTO node ("tenantId", id, "parentId", code, name, level, path)
    SELECT $1, i.id, p.id, i.code, i.code, (ARRAY['street', 'community', 'compound', 'building'])[i.level], i.path FROM ids i LEFT JOIN ids p ON p.code = i.parent ORDER BY i.level`, [tenantId])
  const root = await one<{ id: string }>(client, `SELECT id FROM node WHERE code = 'S'`)
  await client.query('INSERT INTO policy ("tenantId", id, code, version, "nodeId", body) VALUES ($1, $2, $3, 1, $4, $5)', [tenantId, policyId, 'standard', root.id, { ...DEFAULT_POLICY, claims: { ...DEFAULT_POLICY.claims, perClaimer: 1000 } }])
  await client.query(`INSERT INTO item ("tenantId", id, code, version, name, category, kind, mode, wall, "policyCode") VALUES ($1, $2, 'companionship', 1, '陪伴', 'x', 'wish', 'pool', true, 'standard')`, [tenantId, itemId])
  await client.query(`INSERT INTO role ("tenantId", code, name, capabilities) VALUES ($1, 'dispatcher', '派单员', '{view,dispatch,publish,file_for}')`, [tenantId])
  const branch = uuidv7()
  await client.query(`INSERT INTO organisation ("tenantId", id, "nodeId", code, name, kind) VALUES ($1, $2, $3, 'B', '支部', 'compound_branch')`, [tenantId, branch, root.id])
  const people = Array.from({ length: MEMBERS + 2 }, () => uuidv7())
  await client.query('INSERT INTO subject ("tenantId", id) SELECT $1, unnest($2::uuid[])', [tenantId, people])
  await client.query('INSERT INTO person ("tenantId", id, "subjectId") SELECT $1, p, p FROM unnest($2::uuid[]) p', [tenantId, people])
  const [resident, staff, ...members] = people as [string, string, ...string[]]
  await client.query(`INSERT INTO duty ("tenantId", id, "personId", "roleCode", "nodeId", "from") VALUES ($1, $2, $3, 'dispatcher', $4, '2020-01-01Z')`, [tenantId, uuidv7(), staff, root.id])
  await client.query(`INSERT INTO affiliation ("tenantId", id, "personId", "organisationId", kind, "verifiedAt") SELECT $1, gen_random_uuid(), p, $3, 'party_member', now() FROM unnest($2::uuid[]) p`, [tenantId, members, branch])
  const ids = { tenantId, policyId, itemId, resident, staff, members }
  await fill(client, ids, requests, 'filed')
  await fill(client, ids, Math.floor(requests / 4), 'open')
  await client.query('VACUUM ANALYZE')
  const town = {
    ...ids,
    buildings: (await client.query<Town['buildings'][number]>(`SELECT id, code, path FROM node WHERE level = 'building' ORDER BY path`)).rows,
    compound: await one<Town['compound']>(client, `SELECT code, path FROM node WHERE code = 'S-7-5'`),
    street: await one<Town['street']>(client, `SELECT code, path FROM node WHERE code = 'S'`),
  }
  await client.end()
  return town
}

/** Requests with their history, deadlines and words, spread over the buildings. Those in `open` may be claimed. */
export async function fill(client: pg.Client, { tenantId, policyId, itemId, resident }: Pick<Town, 'tenantId' | 'policyId' | 'itemId' | 'resident'>, count: number, state: 'filed' | 'open'): Promise<string[]> {
  const ids = Array.from({ length: count }, () => uuidv7())
  const open = state === 'open'
  for (let from = 0; from < ids.length; from += 5_000) {
    await client.query(`
      WITH b AS (SELECT id, path, row_number() OVER () AS n, count(*) OVER () AS of FROM node WHERE level = 'building' AND "tenantId" = $1),
      i AS (SELECT u.id, b.id AS node, b.path, u.n FROM unnest($2::uuid[]) WITH ORDINALITY u(id, n) JOIN b ON b.n = 1 + (u.n * 7919) % b.of),
      r AS (INSERT INTO request ("tenantId", id, number, kind, "itemId", "policyId", state, version, cycle, "nodeId", "responsibleNodeId", path, "filerId", source, confidential, slots, "slotsTaken", unreached, "titleSeq", "filedAt", "acceptedAt", "placedAt")
        SELECT $1, i.id, 'F' || i.id, 'wish', $3, $4, $6, CASE WHEN $7 THEN 3 ELSE 1 END, 1, i.node, i.node, i.path, $5, 'app', false, 1, 0, 0, 1, now(), CASE WHEN $7 THEN now() END, CASE WHEN $7 THEN now() END FROM i),
      e AS (INSERT INTO event ("tenantId", "requestId", seq, verb, "fromState", "toState", at, cycle, path, "actorKind", "actorId", data)
        SELECT $1, i.id, s.seq, s.verb, s.f, s.t, now(), 1, i.path, 'person', $5, '{}' FROM i, (VALUES (1, 'file', 'none', 'filed'), (2, 'accept', 'filed', 'accepted'), (3, 'place', 'accepted', 'open')) s(seq, verb, f, t) WHERE s.seq = 1 OR $7),
      t AS (INSERT INTO text ("tenantId", "requestId", seq, field, body) SELECT $1, i.id, 1, 'title', '想有人陪我下棋' FROM i),
      w AS (INSERT INTO wall_entry ("tenantId", "requestId", seq, title, "scopePath") SELECT $1, i.id, 3, '陪伴', 'S/' FROM i WHERE $7)
      INSERT INTO deadline ("tenantId", "requestId", step, seq, "policyId", "openedAt", "dueAt", "originalDueAt", provisional, "nextAt", mark)
        SELECT $1, i.id, s.step, s.seq, $4, now(), now() + '10 days', now() + '10 days', false, now() + '8 days', 0 FROM i, (VALUES (CASE WHEN $7 THEN 'claim' ELSE 'accept' END, CASE WHEN $7 THEN 3 ELSE 1 END), ('complete', 1)) s(step, seq)`,
      [tenantId, ids.slice(from, from + 5_000), itemId, policyId, resident, state, open])
  }
  return ids
}

async function one<T extends object>(client: pg.Client, sql: string): Promise<T> {
  const { rows } = await client.query<T>(sql)
  return rows[0]!
}
