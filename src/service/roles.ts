import type { Actor } from '../domain/actor.ts'
import type { Capability } from '../domain/machine.ts'
import { secures } from '../domain/places.ts'
import { Problem, says } from '../domain/problems.ts'
import { account } from './audit.ts'
import { tenantHere, type Db } from './db.ts'
import { HELD } from './holders.ts'
import { readParent } from './nodes.ts'
import { requireAllSeparate } from './separation.ts'
import { rootOf } from './tenants.ts'
import { transaction } from './transaction.ts'

export interface RoleView {
  code: string
  name: string
  capabilities: Capability[]
}

/** Some twenty: no pages. */
export async function listRoles(db: Db): Promise<RoleView[]> {
  const roles = await db.prisma.role.findMany({ where: { tenantId: tenantHere() }, omit: { tenantId: true }, orderBy: { code: 'asc' } })
  return roles as RoleView[]
}

/**
 * What a duty of this kind confers, from now on, for whoever holds one: here at once, in other processes within two seconds.
 * A code not there yet is a new kind. What was done under it before stays as it was.
 * @throws Problem forbidden unless the actor secures the whole tenant, validation-failed at /capabilities where nobody would be left who does
 */
export async function putRole(db: Db, { code, name, capabilities }: RoleView, actor: Actor): Promise<{ role: RoleView; isNew: boolean }> {
  const root = await readParent(db, await rootOf(db))
  if (!root || !secures(actor, root.path)) throw new Problem('forbidden')
  const confers = [...new Set(capabilities)]
  const isNew = await transaction(db.app, async (client) => {
    const { rows: [row] } = await client.query<{ isNew: boolean }>({
      name: 'put_role',
      text: `INSERT INTO role ("tenantId", code, name, capabilities) VALUES ($1, $2, $3, $4)
        ON CONFLICT ("tenantId", code) DO UPDATE SET name = excluded.name, capabilities = excluded.capabilities RETURNING xmax = 0 AS "isNew"`,
      values: [tenantHere(), code, name, confers],
    })
    const { rowCount } = await client.query({
      name: 'role_secured',
      text: `SELECT FROM duty d JOIN node n ON n."tenantId" = d."tenantId" AND n.id = d."nodeId" JOIN role ro ON ro."tenantId" = d."tenantId" AND ro.code = d."roleCode"
        JOIN person p ON p."tenantId" = d."tenantId" AND p.id = d."personId" AND p."suspendedAt" IS NULL
        WHERE d."tenantId" = $1 AND d."organisationId" IS NULL AND n."parentId" IS NULL AND ro.capabilities && '{administer,secure}' AND ${HELD} LIMIT 1`,
      values: [tenantHere()],
    })
    if (rowCount === 0) throw new Problem('validation-failed', { errors: [{ pointer: '/capabilities', code: 'value', message: NOBODY_LEFT }] })
    await requireAllSeparate(client)
    await account(client, actor, { action: 'role.changed', object: 'role', details: { role: code, capabilities: confers } })
    return row!.isNew
  })
  const held = `actor/${tenantHere()}/`
  for (const key of db.memory.keys()) if (key.startsWith(held)) db.memory.delete(key)
  return { role: { code, name, capabilities: confers }, isNew }
}

const NOBODY_LEFT = says('整个租户至少要留一人有管理权限（administer 或 secure）', 'Somebody must be left who administers or secures the whole tenant')
