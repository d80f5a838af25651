import { covers, type Actor } from '../domain/actor.ts'
import type { State } from '../domain/machine.ts'
import { Problem, says } from '../domain/problems.ts'
import type { Kind } from '../domain/request.ts'
import { view, type RequestView } from '../domain/view.ts'
import { decodeCursor, pageOf, type Page } from './cursor.ts'
import { remember, tenantHere, type Db } from './db.ts'
import { FACTS, JOINS, UUID, factsOf, type LoadedRow } from './load.ts'
import { findNode } from './targets.ts'

export interface ListQuery {
  node?: string | undefined
  state?: State[] | undefined
  kind?: Kind[] | undefined
  item?: string | undefined
  overdue?: boolean | undefined
  mine?: boolean | undefined
  externalRef?: string | undefined
  cursor?: string | undefined
  limit: number
}

/** A filter is a piece of SQL with its value; the set of pieces names the prepared statement. */
interface Piece {
  name: string
  sql: (parameter: string) => string
  value: unknown
  /** The condition is on the nodes `n` the requests are read from, one after the other. */
  nodes?: true
}

/**
 * Requests in the actor's sight, newest first: what he filed or is assigned to (`mine`, and for those without a duty),
 * else what lies in his subtrees.
 * @throws Problem not-found for a node outside the actor's subtrees
 */
export async function list(db: Db, query: ListQuery, actor: Actor): Promise<Page<RequestView>> {
  const pieces = [await scope(db, query, actor), ...filters(query, actor)]
  const { rows } = await db.app.query<LoadedRow>({
    name: `list_${pieces.map(({ name }) => name).join('_')}`,
    // The page is cut first, on an index; the rest is joined to twenty rows.
    text: `SELECT ${FACTS} FROM (${newest(pieces)}) r ${JOINS} ORDER BY r.id DESC`,
    values: [tenantHere(), query.limit + 1, ...pieces.map(({ value }) => value)],
  })
  const { data, page } = pageOf(rows, query.limit, ({ id }) => id)
  return { data: (await factsOf(db, data)).map((facts) => view(facts, actor)), page }
}

function newest(pieces: Piece[]): string {
  const written = pieces.map(({ sql, nodes = false }, index) => ({ nodes, sql: sql(`$${index + 3}`) }))
  const ofRequests = written.filter(({ nodes }) => !nodes).map(({ sql }) => ` AND ${sql}`).join('')
  const ofNodes = written.filter(({ nodes }) => nodes).map(({ sql }) => ` AND ${sql}`).join('')
  if (ofNodes === '') return `SELECT r.* FROM request r WHERE r."tenantId" = $1${ofRequests} ORDER BY r.id DESC LIMIT $2`
  return `SELECT r.* FROM node n CROSS JOIN LATERAL (
      SELECT r.* FROM request r WHERE r."tenantId" = $1 AND r."responsibleNodeId" = n.id${ofRequests} ORDER BY r.id DESC LIMIT $2) r
    WHERE n."tenantId" = $1${ofNodes} ORDER BY r.id DESC LIMIT $2`
}

function filters({ state, kind, item, overdue, externalRef, cursor }: ListQuery, actor: Actor): Piece[] {
  const pieces: Piece[] = []
  if (state?.length === 1) pieces.push({ name: 'state', sql: (p) => `r.state = ${p}`, value: state[0] })
  else if (state) pieces.push({ name: 'states', sql: (p) => `r.state = ANY (${p}::text[])`, value: state })
  if (kind) pieces.push({ name: 'kind', sql: (p) => `r.kind = ANY (${p}::text[])`, value: kind })
  if (item !== undefined) pieces.push({ name: 'item', sql: (p) => `r."itemId" IN (SELECT i.id FROM item i WHERE i."tenantId" = $1 AND i.code = ${p})`, value: item })
  if (overdue !== undefined) {
    pieces.push({ name: 'overdue', sql: (p) => `${p}::bool = EXISTS (SELECT FROM deadline d WHERE d."tenantId" = $1 AND d."requestId" = r.id AND d."closedAt" IS NULL AND d."stoodAt" IS NULL AND d."dueAt" < (SELECT wishwall_now()))`, value: overdue })
  }
  if (externalRef !== undefined) {
    pieces.push({ name: 'ref', sql: (p) => `r."externalRef" = ${p}`, value: externalRef })
    pieces.push({ name: 'client', sql: (p) => `r."filerClientId" = ${p}::uuid`, value: actor.kind === 'system' ? null : actor.clientId })
  }
  if (cursor !== undefined) pieces.push({ name: 'after', sql: (p) => `r.id < ${p}::uuid`, value: decodeCursor(cursor, UUID) })
  return pieces
}

async function scope(db: Db, { node, mine }: ListQuery, actor: Actor): Promise<Piece> {
  if (actor.kind === 'app') return { name: 'app', sql: (p) => `r."filerClientId" = ${p}::uuid AND r."filerId" IS NULL`, value: actor.clientId }
  if (actor.kind === 'system') return { name: 'all', sql: (p) => `${p}::bool`, value: true }
  const paths = actor.duties.filter((duty) => duty.organisationId === null && duty.capabilities.includes('view')).map(({ path }) => path)
  if (mine || (paths.length === 0 && node === undefined)) return own(actor)
  if (node === undefined) return paths.length === 1 ? subtree(db, paths[0]!) : { name: 'paths', sql: (p) => `EXISTS (SELECT FROM unnest(${p}::text[]) u WHERE starts_with(r.path, u))`, value: paths }
  const place = await findNode(db, node)
  if (!place || !paths.some((path) => covers(path, place.path))) {
    throw new Problem('not-found', { errors: [{ pointer: '/query/node', message: says('没有这个地点', 'No such node') }] })
  }
  return subtree(db, place.path)
}

const own = (actor: Actor & { kind: 'person' }): Piece => ({
  name: 'own',
  sql: (p) => `r.id IN (
    SELECT f.id FROM request f WHERE f."tenantId" = $1 AND f."filerId" = (${p}::jsonb ->> 'person')::uuid
    UNION ALL SELECT s."requestId" FROM assignment s WHERE s."tenantId" = $1 AND s.status = 'active' AND s."personId" = (${p}::jsonb ->> 'person')::uuid
    UNION ALL SELECT s."requestId" FROM assignment s WHERE s."tenantId" = $1 AND s.status = 'active' AND s."memberId" = (${p}::jsonb ->> 'person')::uuid
    UNION ALL SELECT s."requestId" FROM assignment s WHERE s."tenantId" = $1 AND s.status = 'active' AND s."organisationId" = ANY (ARRAY(SELECT jsonb_array_elements_text(${p}::jsonb -> 'organisations')::uuid)))`,
  value: JSON.stringify({
    person: actor.id,
    organisations: actor.duties.flatMap(({ organisationId, capabilities }) => (organisationId !== null && capabilities.includes('handle') ? [organisationId] : [])),
  }),
})

/** Up to so many nodes the newest of each are read and merged; above, the newest of all are read until enough lie in the subtree. */
const NEAR = 64
const SIZE_TTL_MS = 60_000

/** What is quick in a small subtree is slow in a large one and the other way round: two forms, chosen here. */
async function subtree(db: Db, path: string): Promise<Piece> {
  const { nodes } = await remember(db, `size/${tenantHere()}/${path}`, SIZE_TTL_MS, async () => {
    const { rows: [size] } = await db.app.query<{ nodes: number }>({
      name: 'subtree_size',
      text: `SELECT count(*)::int AS nodes FROM (SELECT FROM node WHERE "tenantId" = $1 AND path >= $2 AND path < $3 LIMIT ${NEAR + 1}) n`,
      values: [tenantHere(), path, above(path)],
    })
    return size ?? { nodes: 0 }
  })
  return nodes > NEAR
    ? { name: 'wide', sql: (p) => `starts_with(r.path, ${p})`, value: path }
    : { name: 'near', sql: (p) => `n.path >= ${p} AND n.path < left(${p}, -1) || '0'`, value: path, nodes: true }
}

/** The first text after every path below: '0' follows '/'. */
const above = (path: string): string => `${path.slice(0, -1)}0`
