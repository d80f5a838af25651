import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { buildApi, storageOf } from '../../../src/bin/compose.ts'
import { readConfig } from '../../../src/bin/config.ts'
import { SYSTEM, type ClaimerKind } from '../../../src/domain/actor.ts'
import type { OrganisationKind } from '../../../src/domain/organisations.ts'
import { SCOPE_NAMES, type Scope } from '../../../src/domain/scopes.ts'
import { affiliate } from '../../../src/service/affiliations.ts'
import { grantDuty } from '../../../src/service/appointments.ts'
import { createClient, revokeClient } from '../../../src/service/clients.ts'
import { inTenant } from '../../../src/service/db.ts'
import { notifyOnce } from '../../../src/service/notifications.ts'
import { createOrganisation } from '../../../src/service/organisations.ts'
import { createPerson } from '../../../src/service/people.ts'
import { createTenant } from '../../../src/service/provision.ts'
import { relayOnce } from '../../../src/service/relay.ts'
import { createNodes } from '../../../src/service/tree.ts'
import { signToken } from '../../../src/service/tokens.ts'
import { freshDatabase, type TestDatabase } from '../../database.ts'
import { keyring } from '../../processes.ts'

/**
 * A street with everybody who may stand to it in some way: YQ > SQ > YQHF (compound) > YQHF-02 (building) > YQHF-02-1 (unit), beside it
 * YQHF2. Codes and logins are those that the examples of the verbs name. All of it is made by the services and over HTTP.
 */

export const PATHS = { street: 'YQ/', compound: 'YQ/SQ/YQHF/', building: 'YQ/SQ/YQHF/YQHF-02/', unit: 'YQ/SQ/YQHF/YQHF-02/YQHF-02-1/', beside: 'YQ/SQ/YQHF2/' }

interface Person {
  login?: string
  /** Where he lives. */
  node?: string
  /** `role@node`. */
  at?: readonly string[]
  /** `role@organisation`. */
  in?: readonly string[]
  /** `kind@organisation`. */
  ties?: readonly string[]
}

export const PEOPLE = {
  resident: { node: 'YQHF-02-1', login: 'R0001' },
  neighbour: { node: 'YQHF-02-1' },
  beneficiary: { node: 'YQHF-02-1' },
  guardian: { node: 'YQHF-02-1' },
  member: { node: 'YQHF', ties: ['party_member@YQHF-DZB'] },
  clerk: { login: 'YQ0008', at: ['community_worker@YQHF'] },
  dispatcher: { login: 'D0001', at: ['dispatcher@YQHF'] },
  dispatcherBeside: { at: ['dispatcher@YQHF2'] },
  buildingHead: { at: ['building_head@YQHF-02'] },
  unitHead: { at: ['unit_head@YQHF-02-1'] },
  inspector: { at: ['inspector@YQ'] },
  caller: { at: ['caller@YQHF'] },
  mediator: { at: ['mediator@YQHF'] },
  dutyChief: { at: ['duty_chief@SQ'] },
  admin: { at: ['admin@YQHF'] },
  adminBeside: { at: ['admin@YQHF2'] },
  /** Of the whole tenant: the platform's own people. */
  rootAdmin: { at: ['admin@YQ'] },
  securityAdmin: { at: ['security_admin@YQ'] },
  systemAdmin: { at: ['system_admin@YQ'] },
  auditAdmin: { at: ['audit_admin@YQ'] },
  agent: { login: 'YQ0026', in: ['property_manager@YZ-PROPERTY'] },
  otherAgent: { in: ['property_manager@OTHER-PROPERTY'] },
  enterprise: { in: ['enterprise_agent@SHOP'] },
  alliance: { in: ['unit_liaison@SLZF'] },
} as const satisfies Record<string, Person>
export type Who = keyof typeof PEOPLE

const ORGANISATIONS: Record<string, [OrganisationKind, string]> = {
  'YZ-PROPERTY': ['property', 'YQHF'], 'OTHER-PROPERTY': ['property', 'YQHF'], SHOP: ['enterprise', 'YQHF'], 'YQHF-YWH': ['owners_committee', 'YQHF'], 'YQHF-DZB': ['branch', 'YQHF'],
  SLZF: ['alliance_unit', 'YQ'],
}

export interface World {
  database: TestDatabase
  app: FastifyInstance
  origin: string
  tenantId: string
  ids: Record<Who | 'victim' | 'suspended' | 'spare', string>
  apps: Record<'app' | 'otherApp' | 'revoked', string>
  organisations: Record<string, string>
  /** A token of somebody, by himself or through an app. */
  token(who: Who | 'victim' | 'suspended', options?: { through?: string; scopes?: readonly Scope[]; agoMs?: number }): string
  appToken(app: string, options?: { scopes?: readonly Scope[]; agoMs?: number }): string
  /** Of an administrator of another tenant, who may do everything there. */
  stranger: string
  call(token: string | null, method: string, path: string, body?: object, headers?: Record<string, string>): Promise<Answer>
  /** The same, and it must succeed. */
  ok(token: string, method: string, path: string, body?: object): Promise<any>
  relay(): Promise<void>
  close(): Promise<void>
}

export interface Answer {
  status: number
  headers: Headers
  text: string
  body: Record<string, any>
}

export async function openWorld(env: Record<string, string> = {}): Promise<World> {
  const database = await freshDatabase()
  const { db } = database
  const folder = await mkdtemp(join(tmpdir(), 'wish-wall-rights-'))
  const { id: tenantId } = await createTenant(db, { code: 'YQ', name: '银雀街道' })
  const { id: elsewhere, rootId } = await createTenant(db, { code: 'ELSEWHERE', name: '别处' })
  const ids = {} as World['ids']
  const apps = {} as World['apps']
  const organisations: Record<string, string> = {}
  await inTenant(tenantId, async () => {
    await createNodes(db, 'YQ', [
      { parent: 'YQ', code: 'SQ', name: '社区', level: 'community' }, { parent: 'SQ', code: 'YQHF', name: '银雀华府', level: 'compound' }, { parent: 'SQ', code: 'YQHF2', name: '隔壁小区', level: 'compound' },
      { parent: 'YQHF', code: 'YQHF-02', name: '2号楼', level: 'building' }, { parent: 'YQHF-02', code: 'YQHF-02-1', name: '1单元', level: 'unit' },
    ], SYSTEM)
    for (const [code, [kind, node]] of Object.entries(ORGANISATIONS)) organisations[code] = (await createOrganisation(db, { code, name: code, kind, node }, SYSTEM)).id
    const { rows } = await db.app.query<{ code: string; id: string; nodeId: string }>('SELECT code, id, id AS "nodeId" FROM node UNION ALL SELECT code, id, "nodeId" FROM organisation')
    const found = (tie: string) => {
      const [what, where] = tie.split('@') as [string, string]
      return { what, ...rows.find(({ code }) => code === where)! }
    }
    const everybody: Record<string, Person> = { ...PEOPLE, victim: { node: 'YQHF', at: ['grid_worker@YQHF'] }, suspended: { at: ['admin@YQ'] }, spare: { node: 'YQHF' } }
    for (const [who, { login, node, at = [], in: posts = [], ties = [] }] of Object.entries(everybody)) {
      const personId = await createPerson(db, keyring, { name: `${who}示例`, phone: '13800138000', door: `${who}-502`, ...(login && { login }), ...(node && { nodeId: found(`@${node}`).id }) })
      ids[who as Who] = personId
      for (const { what, nodeId } of at.map(found)) await grantDuty(db, { personId, roleCode: what, nodeId })
      for (const { what, nodeId, id } of posts.map(found)) await grantDuty(db, { personId, roleCode: what, nodeId, organisationId: id })
      for (const { what, id } of ties.map(found)) await affiliate(db, { personId, organisationId: id, kind: what as ClaimerKind, verified: true })
    }
    for (const name of ['app', 'otherApp', 'revoked'] as const) apps[name] = (await createClient(db, { clientId: `${name.toLowerCase()}-1`, name, scopes: [...SCOPE_NAMES] })).id
    await revokeClient(db, apps.revoked)
    await database.owner.query('UPDATE person SET "suspendedAt" = now() WHERE id = $1', [ids.suspended])
  })
  const strangerId = await inTenant(elsewhere, async () => {
    const personId = await createPerson(db, keyring, { name: '王示例' })
    await grantDuty(db, { personId, roleCode: 'admin', nodeId: rootId })
    await grantDuty(db, { personId, roleCode: 'duty_chief', nodeId: rootId })
    return personId
  })
  db.memory.clear()

  const config = readConfig({ WISHWALL_FILES_DIR: folder, WISHWALL_ALLOW_LOOPBACK_WEBHOOKS: 'true', WISHWALL_ROBOT_HOSTS: '127.0.0.1:9', ...env })
  const app = buildApi({ config, log: pino({ level: 'silent' }), db, keyring, files: await storageOf(config), metrics: undefined })
  const origin = await app.listen({ port: 0, host: '127.0.0.1' })
  const sign = (subject: string, kind: 'person' | 'app', clientId: string | null, { scopes = SCOPE_NAMES, agoMs = 0, tenant = tenantId }: { scopes?: readonly Scope[] | undefined; agoMs?: number | undefined; tenant?: string } = {}) =>
    signToken(keyring, { tenantId: tenant, kind, subject, clientId, scopes }, 'test', Date.now() - agoMs)

  async function call(token: string | null, method: string, path: string, body?: object, headers: Record<string, string> = {}): Promise<Answer> {
    const answer = await fetch(`${origin}${path}`, {
      method, headers: { ...(token !== null && { authorization: `Bearer ${token}` }), ...(body && { 'content-type': 'application/json' }), ...headers },
      ...(body && { body: JSON.stringify(body) }), signal: AbortSignal.timeout(20_000),
    })
    // A stream does not end by itself.
    if (answer.headers.get('content-type')?.startsWith('text/event-stream')) {
      await answer.body?.cancel()
      return { status: answer.status, headers: answer.headers, text: '', body: {} }
    }
    const text = await answer.text()
    const isJson = /json/.test(answer.headers.get('content-type') ?? '')
    return { status: answer.status, headers: answer.headers, text, body: isJson ? (JSON.parse(text) as Record<string, any>) : {} }
  }
  return {
    database, app, origin, tenantId, ids, apps, organisations, call,
    token: (who, { through, scopes, agoMs } = {}) => sign(ids[who], 'person', through ?? null, { scopes, agoMs }),
    appToken: (id, { scopes, agoMs } = {}) => sign(id, 'app', id, { scopes, agoMs }),
    stranger: sign(strangerId, 'person', null, { tenant: elsewhere }),
    ok: async (token, method, path, body) => {
      const answer = await call(token, method, path, body)
      if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`)
      return answer.body
    },
    relay: async () => {
      while ((await relayOnce(db)).moved > 0);
      while ((await notifyOnce(db)) > 0);
    },
    close: async () => {
      await app.close()
      await database.drop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
