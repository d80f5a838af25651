import type { Capability } from '../domain/machine.ts'
import { tenantHere, type Db } from './db.ts'

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
