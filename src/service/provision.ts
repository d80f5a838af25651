import { v7 as uuidv7 } from 'uuid'
import { buildCalendar } from '../domain/calendar.ts'
import { DEFAULT_SETTINGS, settingsSchema, type Settings } from '../domain/settings.ts'
import { SHIPPED_ITEMS, SHIPPED_POLICIES, SHIPPED_ROLES, SHIPPED_SKILLS } from '../domain/shipped.ts'
import { SYSTEM } from '../domain/actor.ts'
import { account } from './audit.ts'
import { inTenant, type Db } from './db.ts'
import { violates } from './failures.ts'
import { transaction } from './transaction.ts'

export interface NewTenant {
  /** Also the code of the root node: the street's, such as 371302002. */
  code: string
  name: string
  settings?: Settings
}

/**
 * A customer with its root node and what ships: roles, skills, policies, menu. One transaction, so that there is never half a tenant.
 * @throws Error when the code is taken or the settings will not do
 */
export async function createTenant(db: Db, { code, name, settings = DEFAULT_SETTINGS }: NewTenant): Promise<{ id: string; rootId: string }> {
  settingsSchema.parse(settings)
  buildCalendar(settings)
  const [id, rootId] = [uuidv7(), uuidv7()]
  const policies = Object.entries(SHIPPED_POLICIES).map(([policy, body]) => ({ id: uuidv7(), code: policy, body }))
  const items = SHIPPED_ITEMS.map((item) => ({ id: uuidv7(), ...item }))
  await transaction(db.system, async (client) => {
    await client.query({
      text: `WITH tenant_in AS (INSERT INTO tenant (id, code, name, settings) VALUES ($1::uuid, $3, $4, $5)),
        node_in AS (INSERT INTO node ("tenantId", id, code, name, level, path) VALUES ($1::uuid, $2::uuid, $3, $4, $6, $3 || '/')),
        role_in AS (INSERT INTO role ("tenantId", code, name, capabilities)
          SELECT $1::uuid, r.* FROM jsonb_to_recordset($7::jsonb) AS r(code text, name text, capabilities text[])),
        skill_in AS (INSERT INTO skill ("tenantId", code, name) SELECT $1::uuid, s.key, s.value FROM jsonb_each_text($10::jsonb) s),
        policy_in AS (INSERT INTO policy ("tenantId", "nodeId", version, id, code, body)
          SELECT $1::uuid, $2::uuid, 1, r.* FROM jsonb_to_recordset($8::jsonb) AS r(id uuid, code text, body jsonb))
        INSERT INTO item ("tenantId", version, id, code, name, category, kind, mode, wall, "policyCode", grade, "gradePolicies", proof, skills)
          SELECT $1::uuid, 1, r.* FROM jsonb_to_recordset($9::jsonb) AS r(id uuid, code text, name text, category text, kind text, mode text, wall bool, "policyCode" text, grade text, "gradePolicies" jsonb, proof bool, skills text[])`,
      values: [id, rootId, code, name, JSON.stringify(settings), settings.levels[0]?.code, JSON.stringify(SHIPPED_ROLES), JSON.stringify(policies), JSON.stringify(items), JSON.stringify(SHIPPED_SKILLS)],
    })
    await inTenant(id, () => account(client, SYSTEM, { action: 'tenant.created', object: 'tenant', objectId: id }))
  }).catch((error: unknown) => { throw violates(error, 'tenant_code_key') ? new Error(`there is a tenant ${code} already`) : error })
  db.memory.delete('tenants') // the public doors know it at once
  return { id, rootId }
}
