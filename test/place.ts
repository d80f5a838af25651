import { v7 as uuidv7 } from 'uuid'
import type { PersonActor } from '../src/domain/actor.ts'
import type { Capability } from '../src/domain/machine.ts'
import type { z } from 'zod'
import { DEFAULT_POLICY, type policySchema } from '../src/domain/policy.ts'
import { DEFAULT_SETTINGS } from '../src/domain/settings.ts'
import { personActor } from '../src/service/actors.ts'
import { inTenant } from '../src/service/db.ts'
import type { TestDatabase } from './database.ts'

/** A small town for tests, made by plain SQL: street S > community C > compound P > building B > unit U. */
export interface TestPlace {
  tenantId: string
  node: Record<'S' | 'C' | 'P' | 'B' | 'U', string>
  /** A person with these capabilities at a node. */
  person(options?: { at?: keyof TestPlace['node']; can?: Capability[]; kinds?: string[] }): Promise<PersonActor>
  app(): Promise<{ kind: 'app'; clientId: string }>
  /** An organisation at the compound, by code. */
  organisation(code: string): Promise<string>
  /** Who acts for it. */
  agentOf(organisation: string): Promise<PersonActor>
  inside<T>(run: () => T): T
}

const LEVELS = ['street', 'community', 'compound', 'building', 'unit']

export async function testPlace(database: TestDatabase, policy: z.input<typeof policySchema> = {}, code = 'TEST'): Promise<TestPlace> {
  const { owner } = database
  const tenantId = uuidv7()
  const inside = <T>(run: () => T): T => inTenant(tenantId, run)
  await owner.query('INSERT INTO tenant (id, code, name, settings) VALUES ($1, $2, $2, $3)', [tenantId, code, DEFAULT_SETTINGS])
  const node = {} as TestPlace['node']
  let parent: string | null = null
  let path = ''
  for (const [index, name] of (['S', 'C', 'P', 'B', 'U'] as const).entries()) {
    const id: string = uuidv7()
    path += `${name}/`
    await owner.query('INSERT INTO node ("tenantId", id, "parentId", code, name, level, path) VALUES ($1, $2, $3, $4, $4, $5, $6)', [tenantId, id, parent, name, LEVELS[index], path])
    node[name] = id
    parent = id
  }
  await owner.query('INSERT INTO policy ("tenantId", id, code, version, "nodeId", body) VALUES ($1, $2, $3, 1, $4, $5)', [tenantId, uuidv7(), 'standard', node.S, { ...DEFAULT_POLICY, ...policy }])
  for (const [item, kind, wall] of [['companionship', 'wish', true], ['corridor-light', 'service', false]] as const) {
    await owner.query(`INSERT INTO item ("tenantId", id, code, version, name, category, kind, mode, wall, "policyCode") VALUES ($1, $2, $3, 1, $4, 'x', $5, 'pool', $6, 'standard')`,
      [tenantId, uuidv7(), item, item === 'companionship' ? '陪伴' : '楼道灯', kind, wall])
  }
  const branch = uuidv7()
  await owner.query(`INSERT INTO organisation ("tenantId", id, "nodeId", code, name, kind) VALUES ($1, $2, $3, 'BRANCH', '支部', 'branch')`, [tenantId, branch, node.P])

  async function person({ at = 'P', can = [], kinds = [] }: { at?: keyof TestPlace['node']; can?: Capability[]; kinds?: string[] } = {}): Promise<PersonActor> {
    const [id, subject] = [uuidv7(), uuidv7()]
    await owner.query('INSERT INTO subject ("tenantId", id) VALUES ($1, $2)', [tenantId, subject])
    await owner.query('INSERT INTO person ("tenantId", id, "subjectId") VALUES ($1, $2, $3)', [tenantId, id, subject])
    if (can.length > 0) {
      const role = `role-${[...can].sort().join('-')}`
      await owner.query('INSERT INTO role ("tenantId", code, name, capabilities) VALUES ($1, $2, $2, $3) ON CONFLICT DO NOTHING', [tenantId, role, can])
      await owner.query(`INSERT INTO duty ("tenantId", id, "personId", "roleCode", "nodeId", "from") VALUES ($1, $2, $3, $4, $5, '2020-01-01Z')`, [tenantId, uuidv7(), id, role, node[at]])
    }
    for (const kind of kinds) {
      await owner.query('INSERT INTO affiliation ("tenantId", id, "personId", "organisationId", kind, "verifiedAt") VALUES ($1, $2, $3, $4, $5, now())', [tenantId, uuidv7(), id, branch, kind])
    }
    const actor = await inside(() => personActor(database.db, id, null))
    if (!actor) throw new Error('the person just made is not there')
    return actor
  }

  async function app(): Promise<{ kind: 'app'; clientId: string }> {
    const clientId = uuidv7()
    await owner.query('INSERT INTO client ("tenantId", id, "clientId", name, scopes) VALUES ($1, $2, $3, $3, $4)', [tenantId, clientId, `app-${clientId}`, []])
    return { kind: 'app', clientId }
  }

  async function organisation(orgCode: string): Promise<string> {
    const id = uuidv7()
    await owner.query(`INSERT INTO organisation ("tenantId", id, "nodeId", code, name, kind) VALUES ($1, $2, $3, $4, $4, 'property')`, [tenantId, id, node.P, orgCode])
    return id
  }

  async function agentOf(organisationId: string): Promise<PersonActor> {
    const { id } = await person()
    await owner.query(`INSERT INTO role ("tenantId", code, name, capabilities) VALUES ($1, 'agent', 'agent', '{handle}') ON CONFLICT DO NOTHING`, [tenantId])
    await owner.query(`INSERT INTO duty ("tenantId", id, "personId", "roleCode", "nodeId", "organisationId", "from") VALUES ($1, $2, $3, 'agent', $4, $5, '2020-01-01Z')`, [tenantId, uuidv7(), id, node.P, organisationId])
    database.db.memory.clear()
    return (await inside(() => personActor(database.db, id, null)))!
  }

  return { tenantId, node, person, app, organisation, agentOf, inside }
}
