import { buildCalendar, type Calendar } from '../domain/calendar.ts'
import type { Settings } from '../domain/settings.ts'
import { remember, tenantHere, type Db } from './db.ts'

export interface Tenant {
  id: string
  code: string
  settings: Settings
  calendar: Calendar
}

/** Settings may be this old in another process. */
const SETTINGS_TTL_MS = 5_000

/** The tenant of this call, with its calendar. */
export function tenant(db: Db): Promise<Tenant> {
  const id = tenantHere()
  return remember(db, `tenant/${id}`, SETTINGS_TTL_MS, async () => {
    const { rows } = await db.app.query<{ code: string; settings: Settings }>({
      name: 'tenant', text: `SELECT code, settings FROM tenant WHERE id = $1`, values: [id],
    })
    const row = rows[0]
    if (!row) throw new Error(`tenant ${id} does not exist`)
    return { id, code: row.code, settings: row.settings, calendar: buildCalendar({ zone: row.settings.zone, week: row.settings.week }) }
  })
}

/** The node a tenant's tree grows from. */
export async function rootOf(db: Db): Promise<string> {
  const { rows } = await db.app.query<{ id: string }>({ name: 'root', text: `SELECT id FROM node WHERE "tenantId" = $1 AND "parentId" IS NULL`, values: [tenantHere()] })
  if (!rows[0]) throw new Error('this tenant has no root node')
  return rows[0].id
}

/** All tenants, for the doors that come before a tenant is known and for the sweep. */
export async function allTenants(db: Db): Promise<{ id: string; code: string }[]> {
  const { rows } = await db.system.query<{ id: string; code: string }>({ name: 'tenants', text: `SELECT id, code FROM tenant ORDER BY code` })
  return rows
}
