import { v7 as uuidv7 } from 'uuid'
import type { Actor } from '../domain/actor.ts'
import { administers } from '../domain/places.ts'
import type { Policy } from '../domain/policy.ts'
import { Problem } from '../domain/problems.ts'
import { decodeCursor, pageOf, type Page } from './cursor.ts'
import { tenantHere, type Db } from './db.ts'
import { NO_SUCH_NODE } from './nodes.ts'
import { findNode } from './targets.ts'
import { nextVersion } from './versions.ts'

export interface PolicyView {
  id: string
  code: string
  version: number
  node: { id: string; code: string; name: string }
  body: Policy
}

/** The rules in force: of each code at each node the newest version. The nearest node's wins. */
export async function listPolicies(db: Db, { cursor, limit }: { cursor?: string | undefined; limit: number }): Promise<Page<PolicyView>> {
  const [code, path] = cursor === undefined ? ['', ''] : decodeCursor(cursor, /^[\w.-]+ (?:[\w.-]+\/)+$/).split(' ')
  const { rows } = await db.app.query<PolicyView & { path: string }>({
    name: 'policies',
    text: `SELECT DISTINCT ON (p.code, n.path) p.id, p.code, p.version, p.body, n.path, jsonb_build_object('id', n.id, 'code', n.code, 'name', n.name) AS node
      FROM policy p JOIN node n ON n."tenantId" = p."tenantId" AND n.id = p."nodeId"
      WHERE p."tenantId" = $1 AND (p.code, n.path) > ($2, $3) ORDER BY p.code, n.path, p.version DESC LIMIT $4`,
    values: [tenantHere(), code, path, limit + 1],
  })
  const { data, page } = pageOf(rows, limit, (row) => `${row.code} ${row.path}`)
  return { data: data.map(({ path: _, ...policy }) => policy), page }
}

export interface NewPolicy {
  /** Id or code. */
  node: string
  code: string
  body: Policy
}

/**
 * The next version of a rule at a node and below; requests filed before keep theirs.
 * @throws Problem node-unknown, forbidden without `administer` over the node
 */
export async function putPolicy(db: Db, { node, code, body }: NewPolicy, actor: Actor): Promise<{ id: string; version: number }> {
  const place = await findNode(db, node)
  if (!place) throw new Problem('node-unknown', { errors: [{ pointer: '/node', message: NO_SUCH_NODE }] })
  if (!administers(actor, place.path)) throw new Problem('forbidden')
  const id = uuidv7()
  const rule = { tenantId: tenantHere(), code, nodeId: place.id }
  const version = await nextVersion('policy_tenantId_code_nodeId_version_key', {
    newest: () => db.prisma.policy.findFirst({ where: rule, select: { version: true }, orderBy: { version: 'desc' } }),
    write: (next) => db.prisma.policy.create({ data: { ...rule, id, version: next, body } }),
  })
  return { id, version }
}
