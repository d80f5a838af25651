import { v7 as uuidv7 } from 'uuid'
import { affiliate } from './affiliations.ts'
import { grantDuty } from './appointments.ts'
import { inTenant, tenantHere, type Db } from './db.ts'
import { bindExternalUser } from './external-users.ts'
import type { Keyring } from './keyring.ts'
import { createPerson } from './people.ts'
import { rootOf } from './tenants.ts'
import { transaction } from './transaction.ts'

/**
 * 沙箱: an app that only tries gets a tenant of its own, a likeness of the real one: its places, organisations, menu, rules
 * and calendar as they are now, and none of its people or requests. Whatever keeps tenants apart (row-level security before
 * all) keeps every list, queue, wall, feed, webhook, robot, rate and roster free of what is tried, also those not written
 * yet: THERE IS NO CONDITION TO ADD ANYWHERE. The clock sweeps all tenants, so deadlines run there too.
 *
 * Whom the app may act for, by a token exchange with subject_token_type `urn:wish-wall:external-user`: residents as always,
 * `sandbox:role:<role>` (staff of that role over the whole likeness, 工号 `TEST-<role>`) and `sandbox:member:<kind>`
 * (a verified claimer).
 */

const PROVIDER = 'sandbox'
const MEMBERS = ['party_member', 'volunteer'] as const
const TAKES_MEMBERS = ['branch', 'community_party', 'party_group', 'party_committee']

interface Deps {
  db: Db
  keyring: Keyring
}

/** The sandbox of this tenant where the app of that public name is; none for a real app, or one nobody knows. */
export async function sandboxOf(db: Db, tenantId: string, clientId: string): Promise<string | undefined> {
  if (clientId === '') return undefined
  const { rows: [row] } = await db.system.query<{ tenantId: string }>({
    name: 'sandbox_of', text: `SELECT c."tenantId" FROM tenant t JOIN client c ON c."tenantId" = t.id AND c."clientId" = $2 WHERE t."sandboxOfId" = $1`,
    // What PostgreSQL cannot store is nobody's name.
    values: [tenantId, clientId.replaceAll('\0', '')],
  })
  return row?.tenantId
}

/** Makes a likeness of this tenant, the app in it by `makeClient`, and those whom it may act for. */
export async function inNewSandbox<T extends { id: string }>(deps: Deps, makeClient: () => Promise<T>): Promise<T> {
  const { db } = deps
  const likeness = await likenessOf(db)
  const sandbox = uuidv7()
  await db.system.query({
    name: 'create_sandbox',
    text: `INSERT INTO tenant (id, code, name, settings, "sandboxOfId") SELECT $2::uuid, 'test-' || $2::uuid, name, settings || '{"totpRequired": "none", "separateAdmins": false}', id FROM tenant WHERE id = $1`,
    values: [tenantHere(), sandbox],
  })
  return inTenant(sandbox, async () => {
    await transaction(db.app, async (client) => {
      for (const [table, rows] of Object.entries(likeness)) {
        if (rows.length > 0) await client.query({ text: `INSERT INTO ${table} SELECT * FROM jsonb_populate_recordset(NULL::${table}, $1::jsonb)`, values: [JSON.stringify(rows.map((row) => ({ ...row, tenantId: sandbox })))] })
      }
    })
    const client = await makeClient()
    await people(deps, client.id)
    return client
  })
}

type Row = Record<string, unknown>

/** What is copied, in an order in which each finds what it hangs on; of versions those in force. Ids are new, codes the same. */
const COPIED = {
  node: `SELECT to_jsonb(t) AS row FROM node t WHERE "tenantId" = $1 AND "retiredAt" IS NULL ORDER BY path`,
  role: `SELECT to_jsonb(t) AS row FROM role t WHERE "tenantId" = $1`,
  organisation: `SELECT to_jsonb(t) AS row FROM organisation t WHERE "tenantId" = $1 AND NOT pending`,
  skill: `SELECT to_jsonb(t) AS row FROM skill t WHERE "tenantId" = $1`,
  policy: `SELECT DISTINCT ON (code, "nodeId") to_jsonb(t) AS row FROM policy t WHERE "tenantId" = $1 ORDER BY code, "nodeId", version DESC`,
  item: `SELECT row FROM (SELECT DISTINCT ON (code) to_jsonb(t) AS row FROM item t WHERE "tenantId" = $1 ORDER BY code, version DESC) newest WHERE row ->> 'retiredAt' IS NULL`,
  calendar_hours: `SELECT to_jsonb(t) || '{"personId": null}' AS row FROM calendar_hours t WHERE "tenantId" = $1`,
  calendar_day: `SELECT to_jsonb(t) || '{"personId": null}' AS row FROM calendar_day t WHERE "tenantId" = $1`,
  calendar_year: `SELECT to_jsonb(t) || '{"personId": null}' AS row FROM calendar_year t WHERE "tenantId" = $1`,
} as const

async function likenessOf(db: Db): Promise<Record<string, Row[]>> {
  const ids = new Map<unknown, string>()
  const renewed = (id: unknown): unknown => {
    if (typeof id !== 'string') return id
    const known = ids.get(id) ?? uuidv7()
    ids.set(id, known)
    return known
  }
  const copies: Record<string, Row[]> = {}
  for (const [table, text] of Object.entries(COPIED)) {
    const { rows } = await db.app.query<{ row: Row }>({ text, values: [tenantHere()] })
    copies[table] = rows.map(({ row }) => Object.fromEntries(Object.entries(row).map(([column, value]) => [column, isId(column) ? renewed(value) : value])))
  }
  // A place under one that was retired is retired with it, as far as anybody can tell.
  const kept = new Set<unknown>()
  copies['node'] = copies['node']!.filter(({ id, parentId }) => (parentId === null || kept.has(parentId)) && kept.add(id))
  for (const [table, rows] of Object.entries(copies)) copies[table] = rows.filter(({ nodeId }) => nodeId === undefined || kept.has(nodeId))
  return copies
}

const isId = (column: string): boolean => column !== 'tenantId' && /^(id|.+Id)$/.test(column)

async function people({ db, keyring }: Deps, clientId: string): Promise<void> {
  const nodeId = await rootOf(db)
  const roles = await db.prisma.role.findMany({ where: { tenantId: tenantHere() }, select: { code: true, name: true } })
  for (const { code, name } of roles) {
    const personId = await createPerson(db, keyring, { name: `沙箱${name}`, nodeId, login: `TEST-${code}` })
    await grantDuty(db, { personId, roleCode: code, nodeId })
    await bindExternalUser(db, keyring, clientId, { provider: PROVIDER, appId: 'role', openId: code }, personId)
  }
  const branch = await db.prisma.organisation.findFirst({ where: { tenantId: tenantHere(), kind: { in: TAKES_MEMBERS } }, select: { id: true }, orderBy: { id: 'asc' } })
  if (!branch) return
  for (const kind of MEMBERS) {
    const personId = await createPerson(db, keyring, { name: '沙箱认领人', nodeId, login: `TEST-${kind}` })
    await affiliate(db, { personId, organisationId: branch.id, kind, verified: true })
    await bindExternalUser(db, keyring, clientId, { provider: PROVIDER, appId: 'member', openId: kind }, personId)
  }
}
