import { Problem, says } from '../domain/problems.ts'
import type { Settings } from '../domain/settings.ts'
import { decodeCursor, pageOf, type Page } from './cursor.ts'
import { tenantHere, type Db } from './db.ts'
import { isId } from './load.ts'
import { findNode } from './targets.ts'
import { tenant } from './tenants.ts'

interface NodeRow {
  id: string
  code: string
  name: string
  level: string
  /** Codes from the root, each followed by '/'. */
  path: string
  parent: { id: string; code: string; name: string } | null
  hasChildren: boolean
  /** WGS84, degrees. */
  lng: number | null
  lat: number | null
  retiredAt: Date | null
}

/** With the tenant's own word for the level: 小区 here, 大院 there. */
export type NodeView = NodeRow & { levelName: string }

const COLUMNS = `n.id, n.code, n.name, n.level, n.path, n.lng, n.lat, n."retiredAt",
  (SELECT jsonb_build_object('id', p.id, 'code', p.code, 'name', p.name) FROM node p WHERE p."tenantId" = n."tenantId" AND p.id = n."parentId") AS parent,
  EXISTS (SELECT FROM node c WHERE c."tenantId" = n."tenantId" AND c."parentId" = n.id AND c."retiredAt" IS NULL) AS "hasChildren"`

const viewIn = ({ levels }: Settings) => (row: NodeRow): NodeView =>
  ({ ...row, levelName: levels.find(({ code }) => code === row.level)?.name ?? row.level })

export interface NodesQuery {
  /** Id or code; its direct children. */
  parent?: string | undefined
  /** Id or code; all below it. */
  under?: string | undefined
  level?: string | undefined
  /** Part of a name or code. */
  q?: string | undefined
  cursor?: string | undefined
  limit: number
}

/**
 * Places in use, in the order of the tree.
 * @throws Problem not-found for a `parent` or `under` that does not exist, cursor-unusable
 */
export async function listNodes(db: Db, { parent, under, level, q, cursor, limit }: NodesQuery): Promise<Page<NodeView>> {
  const [{ settings }, above, root] = await Promise.all([tenant(db), named(db, 'parent', parent), named(db, 'under', under)])
  const after = cursor === undefined ? (root?.path ?? '') : decodeCursor(cursor, NODE_PATH)
  const { rows } = await db.app.query<NodeRow>({
    name: above ? 'nodes_of' : 'nodes',
    // A range and not a LIKE: behind row-level security only leakproof operators reach the index.
    text: `SELECT ${COLUMNS} FROM node n WHERE n."tenantId" = $1 AND n."retiredAt" IS NULL AND n.path > $2 AND n.path < $3
      AND ($4::text IS NULL OR n.level = $4) AND ($5::text IS NULL OR strpos(lower(n.name), $5) > 0 OR strpos(lower(n.code), $5) > 0)
      ${above ? 'AND n."parentId" = $7' : ''} ORDER BY n.path LIMIT $6`,
    values: [tenantHere(), after, root ? endOf(root.path) : LAST_PATH, level ?? null, q?.toLowerCase() ?? null, limit + 1, ...(above ? [above.id] : [])],
  })
  return pageOf(rows.map(viewIn(settings)), limit, ({ path }) => path)
}

export const NODE_PATH = /^(?:[\w.-]+\/)+$/
/** After every path below: '0' follows '/'. */
export const endOf = (path: string): string => `${path.slice(0, -1)}0`
/** After every path: codes are ASCII and start with a letter or digit. */
export const LAST_PATH = '~'

async function named(db: Db, parameter: string, node: string | undefined): Promise<{ id: string; path: string } | undefined> {
  if (node === undefined) return undefined
  const found = await findNode(db, node)
  if (!found) throw new Problem('not-found', { errors: [{ pointer: `/query/${parameter}`, message: NO_SUCH_NODE }] })
  return found
}

export const NO_SUCH_NODE = says('没有这个地点', 'No such node')

/**
 * One place by id or code, also a retired one: old requests still name it.
 * @throws Problem not-found
 */
export async function readNode(db: Db, ref: string): Promise<NodeView> {
  const key = isId(ref) ? 'id' : 'code'
  const [{ settings }, { rows: [node] }] = await Promise.all([
    tenant(db),
    db.app.query<NodeRow>({ name: `node_by_${key}`, text: `SELECT ${COLUMNS} FROM node n WHERE n."tenantId" = $1 AND n.${key} = $2`, values: [tenantHere(), ref] }),
  ])
  if (!node) throw new Problem('not-found')
  return viewIn(settings)(node)
}

/** A place that others may still be put under. */
export async function readParent(db: Db, ref: string): Promise<Pick<NodeRow, 'id' | 'code' | 'name' | 'level' | 'path'> | null> {
  return await db.prisma.node.findFirst({ where: { tenantId: tenantHere(), ...(isId(ref) ? { id: ref } : { code: ref }), retiredAt: null } })
}
