import { v7 as uuidv7 } from 'uuid'
import type { Actor } from '../domain/actor.ts'
import { administers, checkLevel } from '../domain/places.ts'
import { Problem, says } from '../domain/problems.ts'
import { decodeCursor, pageOf, type Page } from './cursor.ts'
import { tenantHere, type Db } from './db.ts'
import { violates } from './failures.ts'
import { isId } from './load.ts'
import { findNode } from './targets.ts'
import { tenant } from './tenants.ts'

export interface NodeView {
  id: string
  code: string
  name: string
  level: string
  /** Codes from the root, each followed by '/'. */
  path: string
  parent: { id: string; code: string; name: string } | null
  hasChildren: boolean
}

const VIEW = `n.id, n.code, n.name, n.level, n.path,
  (SELECT jsonb_build_object('id', p.id, 'code', p.code, 'name', p.name) FROM node p WHERE p."tenantId" = n."tenantId" AND p.id = n."parentId") AS parent,
  EXISTS (SELECT FROM node c WHERE c."tenantId" = n."tenantId" AND c."parentId" = n.id AND c."retiredAt" IS NULL) AS "hasChildren"`

export interface NodesQuery {
  /** Id or code; direct children only. */
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
 * @throws Problem not-found for a `parent` or `under` that does not exist
 */
export async function listNodes(db: Db, { parent, under, level, q, cursor, limit }: NodesQuery): Promise<Page<NodeView>> {
  const [above, root] = await Promise.all([named(db, 'parent', parent), named(db, 'under', under)])
  const after = cursor === undefined ? root?.path : decodeCursor(cursor, PATH)
  const { rows } = await db.app.query<NodeView>({
    name: `nodes${above ? '_of' : ''}`,
    // A range of paths and not a LIKE: behind row-level security only leakproof operators reach the index.
    text: `SELECT ${VIEW} FROM node n WHERE n."tenantId" = $1 AND n."retiredAt" IS NULL AND n.path > $3 AND n.path < $4
      AND ($5::text IS NULL OR n.level = $5) AND ($6::text IS NULL OR strpos(lower(n.name), $6) > 0 OR strpos(lower(n.code), $6) > 0)
      ${above ? 'AND n."parentId" = $7' : ''} ORDER BY n.path LIMIT $2`,
    values: [tenantHere(), limit + 1, after ?? '', root ? `${root.path.slice(0, -1)}0` : LAST, level ?? null, q?.toLowerCase() ?? null, ...(above ? [above.id] : [])],
  })
  return pageOf(rows, limit, ({ path }) => path)
}

const PATH = /^(?:[\w.-]+\/)+$/
/** Sorts after every path: codes are ASCII and start with a letter or digit. '0' likewise follows '/'. */
const LAST = '~'

async function named(db: Db, parameter: string, node: string | undefined): Promise<{ id: string; path: string } | undefined> {
  if (node === undefined) return undefined
  const found = await findNode(db, node)
  if (!found) throw new Problem('not-found', { errors: [{ pointer: `/query/${parameter}`, message: says('没有这个地点', 'No such node') }] })
  return found
}

/**
 * One place by id or code, also a retired one: old requests still name it.
 * @throws Problem not-found
 */
export async function readNode(db: Db, ref: string): Promise<NodeView> {
  const key = isId(ref) ? 'id' : 'code'
  const { rows } = await db.app.query<NodeView>({
    name: `node_by_${key}`, text: `SELECT ${VIEW} FROM node n WHERE n."tenantId" = $1 AND n.${key} = $2`, values: [tenantHere(), ref],
  })
  if (!rows[0]) throw new Problem('not-found')
  return rows[0]
}

export interface NewNode {
  /** Id or code. */
  parent: string
  code: string
  name: string
  level: string
}

/**
 * A place under another.
 * @throws Problem node-unknown for the parent, forbidden without `administer` over it, validation-failed for a level or a code that will not do
 */
export async function createNode(db: Db, { parent, code, name, level }: NewNode, actor: Actor): Promise<NodeView> {
  const { settings } = await tenant(db)
  const above = await findNode(db, parent)
  if (!above) throw new Problem('node-unknown', { errors: [{ pointer: '/parent', message: says('没有这个地点', 'No such node') }] })
  if (!administers(actor, above.path)) throw new Problem('forbidden')
  const { level: parentLevel, ...rest } = await readNode(db, above.id)
  checkLevel(settings.levels, level, parentLevel)
  const node = { id: uuidv7(), code, name, level, path: `${above.path}${code}/` }
  await db.app.query({
    name: 'create_node',
    text: `INSERT INTO node ("tenantId", id, "parentId", code, name, level, path) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
    values: [tenantHere(), node.id, above.id, code, name, level, node.path],
  }).catch((error: unknown) => { throw violates(error, 'node_tenantId_code_key') ? codeTaken() : error })
  return { ...node, parent: { id: rest.id, code: rest.code, name: rest.name }, hasChildren: false }
}

export const codeTaken = (): Problem => new Problem('validation-failed', { errors: [{ pointer: '/code', code: 'taken', message: says('这个代码已经用过', 'This code is in use already') }] })

/**
 * Nothing new happens at a retired place or below it; what is under way goes on. Never deleted: history names it.
 * @throws Problem not-found, forbidden
 */
export async function retireNode(db: Db, ref: string, actor: Actor): Promise<void> {
  const node = await findNode(db, ref)
  if (!node) throw new Problem('not-found')
  if (!administers(actor, node.path)) throw new Problem('forbidden')
  await db.app.query({
    name: 'retire_node',
    text: `UPDATE node SET "retiredAt" = wishwall_now() WHERE "tenantId" = $1 AND path >= $2 AND path < $3 AND "retiredAt" IS NULL`,
    values: [tenantHere(), node.path, `${node.path.slice(0, -1)}0`],
  })
}
