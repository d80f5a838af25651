import { codesOf, type Post, type Roster } from '../domain/late.ts'
import { tenantHere, type Reader } from './db.ts'
import { HELD, HOLDER } from './holders.ts'

/** Who holds a duty may be this old. */
const TTL_MS = 2_000

/** Nobody who is suspended holds anything, and nothing is held at a retired node. */
const ACTIVE = `EXISTS (SELECT FROM person p WHERE p."tenantId" = h."tenantId" AND p.id = h.id AND p."suspendedAt" IS NULL)`

const POSTS = `
  SELECT n.code AS key, n.id AS "nodeId", n.path, n.level, COALESCE((
    SELECT jsonb_agg(jsonb_build_object('id', h.id, 'capabilities', h.capabilities)) FROM (
      SELECT d."tenantId", ${HOLDER} AS id, ro.capabilities FROM duty d JOIN role ro ON ro."tenantId" = d."tenantId" AND ro.code = d."roleCode"
      WHERE d."tenantId" = n."tenantId" AND d."nodeId" = n.id AND d."organisationId" IS NULL AND ${HELD}) h
    WHERE n."retiredAt" IS NULL AND ${ACTIVE}), '[]') AS holders
  FROM node n WHERE n."tenantId" = $1 AND n.code = ANY ($2::text[])`

/** Of a duty with a stand-in both: neither of them is another. */
const PEOPLE = `
  SELECT o.id AS key, COALESCE((
    SELECT jsonb_agg(DISTINCT p.id) FROM duty d CROSS JOIN LATERAL (VALUES (d."personId"), (${HOLDER})) p(id)
    WHERE d."tenantId" = o."tenantId" AND d."organisationId" = o.id AND ${HELD}), '[]') AS ids
  FROM organisation o WHERE o."tenantId" = $1 AND o.id = ANY ($2::uuid[])`

/** The nodes above these paths and the people of these organisations, remembered for seconds: two queries for all that are not known. */
export async function roster(db: Reader, paths: Iterable<string>, organisations: Iterable<string>): Promise<Roster> {
  const people = await known<{ ids: string[] }>(db, 'people', PEOPLE, organisations)
  const posts = new Map<string, Post>()
  // A node that was moved has others above it than the path says.
  for (let codes = new Set([...paths].flatMap(codesOf)); codes.size > 0;) {
    for (const [code, post] of await known<Post>(db, 'post', POSTS, codes)) posts.set(code, post)
    const above = [...codes].flatMap((code) => codesOf(posts.get(code)?.path ?? ''))
    codes = new Set(above.filter((code) => !posts.has(code) && !codes.has(code)))
  }
  return { post: (code) => posts.get(code), people: (organisationId) => people.get(organisationId)?.ids ?? [] }
}

async function known<T>(db: Reader, name: 'post' | 'people', sql: string, keys: Iterable<string>): Promise<Map<string, T>> {
  const memoryKey = (key: string) => `${name}/${tenantHere()}/${key}`
  const found = new Map<string, T>()
  const missing: string[] = []
  for (const key of new Set(keys)) {
    const remembered = db.memory.get(memoryKey(key))
    if (remembered) found.set(key, (await remembered) as T)
    else missing.push(key)
  }
  if (missing.length > 0) {
    const { rows } = await db.app.query<T & { key: string }>({ name: `roster_${name}`, text: sql, values: [tenantHere(), missing] })
    for (const { key, ...row } of rows) {
      found.set(key, row as T)
      db.memory.set(memoryKey(key), Promise.resolve(row), { ttl: TTL_MS })
    }
  }
  return found
}
