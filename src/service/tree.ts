import { v7 as uuidv7 } from 'uuid'
import type { Actor } from '../domain/actor.ts'
import { administers, checkLevel } from '../domain/places.ts'
import { Problem, says } from '../domain/problems.ts'
import { tenantHere, type Db } from './db.ts'
import { violates } from './failures.ts'
import { NO_SUCH_NODE, endOf, readNode, readParent, type NodeView } from './nodes.ts'
import { findNode } from './targets.ts'
import { tenant } from './tenants.ts'

export interface NewNode {
  /** Id or code. */
  parent: string
  code: string
  name: string
  level: string
}

interface NodeRow {
  id: string
  parentId: string
  code: string
  name: string
  level: string
  path: string
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
  const rows = nodes.map(({ parent, code, name, level }) => {
    const above = parents.get(parent)
    if (!above) throw noSuchParent()
    checkLevel(levels, level, above.level)
    const row = { id: uuidv7(), parentId: above.id, code, name, level, path: `${above.path}${code}/` }
    parents.set(code, row)
    return row
  })
  await db.app.query({
    name: 'create_nodes',
    text: `INSERT INTO node ("tenantId", id, "parentId", code, name, level, path)
      SELECT $1, n.* FROM jsonb_to_recordset($2::jsonb) AS n(id uuid, "parentId" uuid, code text, name text, level text, path text)`,
    values: [tenantHere(), JSON.stringify(rows)],
  }).catch((error: unknown) => { throw violates(error, 'node_tenantId_code_key') || violates(error, 'node_tenantId_path_key') ? codeTaken() : error })
  return rows
}

const noSuchParent = () => new Problem('node-unknown', { errors: [{ pointer: '/parent', message: NO_SUCH_NODE }] })

export const codeTaken = (): Problem =>
  new Problem('validation-failed', { errors: [{ pointer: '/code', code: 'taken', message: says('这个代码已经用过', 'This code is in use already') }] })

/**
 * Nothing new is filed at a retired place or below it; what is under way goes on. Never deleted: history names it.
 * @throws Problem not-found, forbidden
 */
export async function retireNode(db: Db, ref: string, actor: Actor): Promise<void> {
  const node = await findNode(db, ref)
  if (!node) throw new Problem('not-found')
  if (!administers(actor, node.path)) throw new Problem('forbidden')
  await db.app.query({
    name: 'retire_node',
    text: `UPDATE node SET "retiredAt" = wishwall_now() WHERE "tenantId" = $1 AND path >= $2 AND path < $3 AND "retiredAt" IS NULL`,
    values: [tenantHere(), node.path, endOf(node.path)],
  })
}
