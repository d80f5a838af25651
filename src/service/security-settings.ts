import type { Actor } from '../domain/actor.ts'
import { inPerson } from '../domain/directory.ts'
import { secures } from '../domain/places.ts'
import { Problem } from '../domain/problems.ts'
import type { TotpRequired } from '../domain/second-factor.ts'
import { account } from './audit.ts'
import { tenantHere, type Db } from './db.ts'
import { readParent } from './nodes.ts'
import { requireAllSeparate } from './separation.ts'
import { rootOf, tenant } from './tenants.ts'
import { transaction } from './transaction.ts'

/** What a tenant asks of its own staff. */
export interface SecuritySettings {
  totpRequired: TotpRequired
  separateAdmins: boolean
}

/** @throws Problem forbidden */
export async function readSecuritySettings(db: Db, actor: Actor): Promise<SecuritySettings> {
  await requireSecurity(db, actor)
  const { settings: { totpRequired = 'none', separateAdmins = false } } = await tenant(db)
  return { totpRequired, separateAdmins }
}

/** Known here at once, elsewhere within five seconds. @throws Problem forbidden; admins-separate while somebody is two of the three */
export async function putSecuritySettings(db: Db, { totpRequired, separateAdmins }: SecuritySettings, actor: Actor): Promise<SecuritySettings> {
  await requireSecurity(db, actor)
  // The app's role changes no tenant: the system does, for the one of this call.
  if (separateAdmins) await transaction(db.app, (client) => requireAllSeparate(client, true))
  await transaction(db.system, async (client) => {
    await client.query({
      name: 'put_security_settings', text: `UPDATE tenant SET settings = settings || $2::jsonb WHERE id = $1`, values: [tenantHere(), JSON.stringify({ totpRequired, separateAdmins })],
    })
    await account(client, actor, { action: 'tenant.changed', object: 'tenant', objectId: tenantHere(), details: { totpRequired, separateAdmins } })
  })
  db.memory.delete(`tenant/${tenantHere()}`)
  return { totpRequired, separateAdmins }
}

async function requireSecurity(db: Db, actor: Actor): Promise<void> {
  const root = await readParent(db, await rootOf(db))
  if (!root || !inPerson(actor) || !secures(actor, root.path)) throw new Problem('forbidden')
}
