import { Problem, says } from '../domain/problems.ts'
import type { Settings } from '../domain/settings.ts'
import { remember, tenantHere, type Db, type Reader } from './db.ts'

export interface Tenant {
  id: string
  code: string
  settings: Settings
  /** One in which an app only tries, see sandboxes.ts. */
  sandbox: boolean
}

/** Settings may be this old in another process; a public door may know a new tenant this late. */
const TTL_MS = 5_000

/** The tenant of this call. Its calendars: calendars.ts. */
export function tenant(db: Reader): Promise<Tenant> {
  const id = tenantHere()
  return remember(db, `tenant/${id}`, TTL_MS, async () => {
    const { rows: [row] } = await db.app.query<{ code: string; settings: Settings; sandbox: boolean }>({
      name: 'tenant', text: `SELECT code, settings, "sandboxOfId" IS NOT NULL AS sandbox FROM tenant WHERE id = $1`, values: [id],
    })
    if (!row) throw new Error(`tenant ${id} does not exist`)
    return { id, ...row }
  })
}

/** The node a tenant's tree grows from. */
export async function rootOf(db: Db): Promise<string> {
  const root = await db.prisma.node.findFirst({ where: { tenantId: tenantHere(), parentId: null }, select: { id: true } })
  if (!root) throw new Error('this tenant has no root node')
  return root.id
}

/** All tenants, sandboxes among them: for the doors that come before a tenant is known and for what goes through all. */
export async function allTenants(db: Db): Promise<{ id: string; code: string; sandbox: boolean }[]> {
  const { rows } = await db.system.query<{ id: string; code: string; sandbox: boolean }>({ name: 'tenants', text: `SELECT id, code, "sandboxOfId" IS NOT NULL AS sandbox FROM tenant ORDER BY code` })
  return rows
}

/**
 * The tenant a public door is asked for; while there is only one, it need not be said which.
 * @throws Problem not-found when there is none of that code, validation-failed when there are several to choose from
 */
export async function publicTenant(db: Db, code: string | undefined): Promise<string> {
  const known = await remember(db, 'tenants', TTL_MS, () => someTenants(db))
  const [chosen, another] = code === undefined ? known : known.filter((candidate) => candidate.code === code)
  if (!chosen) throw noSuchTenant()
  if (another) throw new Problem('validation-failed', { errors: [{ pointer: '/query/tenant', code: 'required', message: says('有多个租户，请指明', 'There are several tenants, say which') }] })
  return chosen.id
}

/** An empty database is not remembered: the first tenant is there at once. */
async function someTenants(db: Db) {
  // A sandbox is found by its app only: of one tenant and its sandboxes nobody need say which is meant.
  const known = (await allTenants(db)).filter(({ sandbox }) => !sandbox)
  if (known.length === 0) throw noSuchTenant()
  return known
}

const noSuchTenant = () => new Problem('not-found', { errors: [{ pointer: '/query/tenant', message: says('没有这个租户', 'No such tenant') }] })
