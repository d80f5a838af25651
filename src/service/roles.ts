import type { Capability } from '../domain/machine.ts'
import { tenantHere, type Db } from './db.ts'

export interface RoleView {
  code: string
  name: string
  capabilities: Capability[]
}

/** Some twenty: no pages. */
export async function listRoles(db: Db): Promise<RoleView[]> {
  const { rows } = await db.app.query<RoleView>({
    name: 'roles', text: `SELECT code, name, capabilities FROM role WHERE "tenantId" = $1 ORDER BY code`, values: [tenantHere()],
  })
  return rows
}
