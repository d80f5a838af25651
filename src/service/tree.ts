import { v7 as uuidv7 } from 'uuid'
import type { Actor } from '../domain/actor.ts'
import type { Point } from '../domain/coordinates.ts'
import { administers, checkLevel } from '../domain/places.ts'
import { Problem, says } from '../domain/problems.ts'
import { account } from './audit.ts'
import { tenantHere, type Db } from './db.ts'
import { violates } from './failures.ts'
import { NO_SUCH_NODE, endOf, readNode, readParent, type NodeView } from './nodes.ts'
import { findNode } from './targets.ts'
import { tenant } from './tenants.ts'
import { transaction } from './transaction.ts'

export interface NewNode {
  /** Id or code. */
  parent: string
  code: string
  name: string
  level: string
  /** Where it is. */
  point?: Point | undefined
}

interface NodeRow {
  id: string
  parentId: string
  code: string
  name: string
  level: string
  path: string
  lng?: number
  lat?: number
}

/**
 * A place under another.
 * @throws Problem node-unknown for the parent, forbidden without `administer` over it, validation-failed for a level or a code that will not do
 */
export async function createNode(db: Db, node: NewNode, actor: Actor): Promise<NodeView> {
  await createNodes(db, node.parent, [node], actor)
  return readNode(db, node.code)
}

/**
 * A whole tree below one place, in one statement.
 * @param under id or code of the place that all of them lie below
 * @param nodes each after the one it lies in
 * @throws as `createNode`
 */
export async function createNodes(db: Db, under: string, nodes: readonly NewNode[], actor: Actor): Promise<NodeRow[]> {
  const [{ settings: { levels } }, root] = await Promise.all([tenant(db), readParent(db, under)])
  if (!root) throw noSuchParent()
  if (!administers(actor, root.path)) throw new Problem('forbidden')
  const parents = new Map<string, { id: string; path: string; level: string }>([[root.id, root], [root.code, root]])
  const rows = nodes.map(({ parent, code, name, level, point }) => {
    const above = parents.get(parent)
    if (!above) throw noSuchParent()
    checkLevel(levels, level, above.level)
    const row = { id: uuidv7(), parentId: above.id, code, name, level, path: `${above.path}${code}/`, ...point }
    parents.set(code, row)
    return row
  })
  await transaction(db.app, async (client) => {
    await client.query({
      name: 'create_nodes',
      text: `INSERT INTO node ("tenantId", id, "parentId", code, name, level, path, lng, lat)
        SELECT $1, n.* FROM jsonb_to_recordset($2::jsonb) AS n(id uuid, "parentId" uuid, code text, name text, level text, path text, lng float8, lat float8)`,
      values: [tenantHere(), JSON.stringify(rows)],
    })
    // A tree at once is one act, done to the place it hangs on.
    const [only] = rows.length === 1 ? rows : []
    await account(client, actor, { action: 'node.created', object: 'node', objectId: only?.id ?? root.id, details: only ? { code: only.code, parentId: root.id } : { count: rows.length } })
  }).catch((error: unknown) => { throw violates(error, 'node_tenantId_code_key') || violates(error, 'node_tenantId_path_key') ? codeTaken() : error })
  return rows
}

const noSuchParent = () => new Problem('node-unknown', { errors: [{ pointer: '/parent', message: NO_SUCH_NODE }] })

export const codeTaken = (): Problem =>
  new Problem('validation-failed', { errors: [{ pointer: '/code', code: 'taken', message: says('这个代码已经用过', 'This code is in use already') }] })

/** Where a place is: requests that come with coordinates alone find the nearest. @throws Problem not-found, forbidden */
export async function putPoint(db: Db, ref: string, { lng, lat }: Point, actor: Actor): Promise<NodeView> {
  const node = await findNode(db, ref)
  if (!node) throw new Problem('not-found')
  if (!administers(actor, node.path)) throw new Problem('forbidden')
  await transaction(db.app, async (client) => {
    await client.query({ name: 'put_point', text: `UPDATE node SET lng = $3, lat = $4 WHERE "tenantId" = $1 AND id = $2`, values: [tenantHere(), node.id, lng, lat] })
    await account(client, actor, { action: 'node.changed', object: 'node', objectId: node.id, details: { what: 'point' } })
  })
  return readNode(db, node.id)
}

/**
 * Nothing new is filed at a retired place or below it; what is under way goes on. Never deleted: history names it.
 * @throws Problem not-found, forbidden
 */
export async function retireNode(db: Db, ref: string, actor: Actor): Promise<void> {
  const node = await findNode(db, ref)
  if (!node) throw new Problem('not-found')
  if (!administers(actor, node.path)) throw new Problem('forbidden')
  await transaction(db.app, async (client) => {
    const { rowCount } = await client.query({
      name: 'retire_node',
      text: `UPDATE node SET "retiredAt" = wishwall_now() WHERE "tenantId" = $1 AND path >= $2 AND path < $3 AND "retiredAt" IS NULL`,
      values: [tenantHere(), node.path, endOf(node.path)],
    })
    if (rowCount) await account(client, actor, { action: 'node.changed', object: 'node', objectId: node.id, details: { what: 'retired', count: rowCount } })
  })
}
