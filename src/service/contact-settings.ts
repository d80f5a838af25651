import type { Actor } from '../domain/actor.ts'
import { inPerson } from '../domain/directory.ts'
import { administers } from '../domain/places.ts'
import { Problem } from '../domain/problems.ts'
import { account } from './audit.ts'
import { tenantHere, type Db } from './db.ts'
import { readParent } from './nodes.ts'
import { rootOf, tenant } from './tenants.ts'
import { transaction } from './transaction.ts'

export interface ContactSettings {
  /** Where the QR codes of boards and cards lead; null: to the board itself. */
  filingLink: string | null
}

export async function readContactSettings(db: Db): Promise<ContactSettings> {
  return { filingLink: (await tenant(db)).settings.filingLink ?? null }
}

/** Known here at once, elsewhere within five seconds; what is printed already leads where it led. @throws Problem forbidden */
export async function putContactSettings(db: Db, { filingLink }: ContactSettings, actor: Actor): Promise<ContactSettings> {
  const root = await readParent(db, await rootOf(db))
  if (!root || !inPerson(actor) || !administers(actor, root.path)) throw new Problem('forbidden')
  // The app's role changes no tenant: the system does, for the one of this call.
  await transaction(db.system, async (client) => {
    await client.query({
      name: 'put_contact_settings', text: `UPDATE tenant SET settings = CASE WHEN $2::text IS NULL THEN settings - 'filingLink' ELSE settings || jsonb_build_object('filingLink', $2::text) END WHERE id = $1`,
      values: [tenantHere(), filingLink],
    })
    await account(client, actor, { action: 'tenant.changed', object: 'tenant', objectId: tenantHere(), details: { filingLink: filingLink === null ? null : hostOf(filingLink) } })
  })
  db.memory.delete(`tenant/${tenantHere()}`)
  return { filingLink }
}

/** Who is sent where by every board of the town is to be seen afterwards: by scheme and host, without what is written behind. */
function hostOf(link: string): string {
  const { protocol, host } = new URL(link)
  return `${protocol}//${host}`
}
