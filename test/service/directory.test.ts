import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SYSTEM, type PersonActor } from '../../src/domain/actor.ts'
import { CAPABILITIES } from '../../src/domain/machine.ts'
import { DEFAULT_POLICY, policySchema } from '../../src/domain/policy.ts'
import { SHIPPED_ITEMS, SHIPPED_POLICIES, SHIPPED_ROLES } from '../../src/domain/shipped.ts'
import { personActor } from '../../src/service/actors.ts'
import { inTenant, type Db } from '../../src/service/db.ts'
import { listItems, putItem } from '../../src/service/items.ts'
import { generateKeyring, parseKeyring } from '../../src/service/keyring.ts'
import { listNodes, readNode } from '../../src/service/nodes.ts'
import { createOrganisation, listOrganisations } from '../../src/service/organisations.ts'
import { grantDuty } from '../../src/service/appointments.ts'
import { createPerson } from '../../src/service/people.ts'
import { listPolicies, putPolicy } from '../../src/service/policies.ts'
import { createTenant } from '../../src/service/provision.ts'
import { act, file } from '../../src/service/requests.ts'
import { listRoles } from '../../src/service/roles.ts'
import { createNode, createNodes, retireNode } from '../../src/service/tree.ts'
import { publicTenant } from '../../src/service/tenants.ts'
import { wall } from '../../src/service/wall.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'

const keyring = parseKeyring(JSON.stringify(generateKeyring()))
let database: TestDatabase
let db: Db
let tenantId: string
let admin: PersonActor, secretary: PersonActor, resident: PersonActor

/** Street S with communities C1 and C2; in C1 the compound P with two buildings. */
const PLACES = [
  { parent: 'S', code: 'C1', name: '一社区', level: 'community' },
  { parent: 'S', code: 'C10', name: '十社区', level: 'community' },
  { parent: 'C1', code: 'P', name: '示例小区', level: 'compound' },
  { parent: 'P', code: 'P-1', name: '1号楼', level: 'building' },
  { parent: 'P', code: 'P-2', name: '2号楼', level: 'building' },
]

const inside = <T>(run: () => Promise<T>) => () => inTenant(tenantId, run)

async function person(roleCode?: string, at = 'S'): Promise<PersonActor> {
  const id = await createPerson(db, keyring, { name: '示例' })
  if (roleCode !== undefined) await grantDuty(db, { personId: id, roleCode, nodeId: (await readNode(db, at)).id })
  return (await personActor(db, id, null))!
}

beforeAll(async () => {
  database = await freshDatabase()
  db = database.db
  ;({ id: tenantId } = await createTenant(db, { code: 'S', name: '示例街道' }))
  await inTenant(tenantId, async () => {
    await createNodes(db, 'S', PLACES, SYSTEM)
    ;[admin, secretary, resident] = await Promise.all([person('admin', 'C1'), person('branch_secretary', 'P'), person()])
  })
})
afterAll(() => database.drop())

const codes = ({ data }: { data: { code: string }[] }) => data.map(({ code }) => code)

describe('a new tenant', () => {
  test('has the shipped roles, rules and menu', inside(async () => {
    expect(await listRoles(db)).toHaveLength(SHIPPED_ROLES.length)
    for (const { capabilities } of SHIPPED_ROLES) expect(CAPABILITIES).toEqual(expect.arrayContaining(capabilities))
    const policies = await listPolicies(db, { limit: 100 })
    expect(codes(policies)).toEqual(Object.keys(SHIPPED_POLICIES).sort())
    for (const { body } of policies.data) expect(policySchema.parse(body)).toEqual(body)
    const items = await listItems(db, { limit: 100 })
    expect(codes(items)).toEqual(SHIPPED_ITEMS.map(({ code }) => code).sort())
  }))

  test('can have anything on its menu filed, and never a quarrel put on a wall', inside(async () => {
    for (const { code } of SHIPPED_ITEMS) expect(await file(db, { item: code, node: 'P-1', title: '试点单' }, resident)).toMatchObject({ item: { code } })
    expect(SHIPPED_ITEMS.filter(({ kind, wall }) => kind === 'mediation' && wall)).toEqual([])
    expect(SHIPPED_ITEMS.slice(0, 13).every(({ mode }) => mode === 'dispatch')).toBe(true)
  }))

  test('is refused whole when its code is taken', async () => {
    await expect(createTenant(db, { code: 'S', name: '又一个' })).rejects.toThrow('already')
    const { rows } = await database.owner.query('SELECT count(*)::int AS n FROM role')
    expect(rows[0]).toEqual({ n: SHIPPED_ROLES.length })
  })

  test('sees nothing of another, and must be named once there are two', async () => {
    expect(await publicTenant(db, undefined)).toBe(tenantId)
    const other = await createTenant(db, { code: 'T', name: '邻街道' })
    expect(await publicTenant(db, 'T')).toBe(other.id)
    await expect(publicTenant(db, undefined)).rejects.toMatchObject({ code: 'validation-failed' })
    await expect(publicTenant(db, 'U')).rejects.toMatchObject({ code: 'not-found' })
    expect(codes(await inTenant(other.id, () => listNodes(db, { limit: 100 })))).toEqual(['T'])
  })
})

describe('the tree', () => {
  test('is listed whole, by parent, below a place, by level and by words', inside(async () => {
    expect(codes(await listNodes(db, { limit: 100 }))).toEqual(['S', 'C1', 'P', 'P-1', 'P-2', 'C10'])
    expect(codes(await listNodes(db, { parent: 'S', limit: 100 }))).toEqual(['C1', 'C10'])
    expect(codes(await listNodes(db, { under: 'C1', limit: 100 }))).toEqual(['P', 'P-1', 'P-2'])
    expect(codes(await listNodes(db, { under: 'C1', level: 'building', limit: 100 }))).toEqual(['P-1', 'P-2'])
    expect(codes(await listNodes(db, { q: '号楼', limit: 100 }))).toEqual(['P-1', 'P-2'])
    expect(codes(await listNodes(db, { q: '%', limit: 100 }))).toEqual([])
    await expect(listNodes(db, { under: 'X', limit: 1 })).rejects.toMatchObject({ code: 'not-found' })
  }))

  test('comes page by page, each place once', inside(async () => {
    const seen: string[] = []
    let cursor: string | undefined
    do {
      const { data, page } = await listNodes(db, { under: 'S', limit: 2, cursor })
      seen.push(...data.map(({ code }) => code))
      cursor = page.nextCursor ?? undefined
    } while (cursor !== undefined)
    expect(seen).toEqual(['C1', 'P', 'P-1', 'P-2', 'C10'])
    await expect(listNodes(db, { limit: 2, cursor: 'AAAA' })).rejects.toMatchObject({ code: 'cursor-unusable' })
  }))

  test('grows where the actor administers, downwards, with codes of its own', inside(async () => {
    const built = { parent: 'P', code: 'P-3', name: '3号楼', level: 'building' }
    await expect(createNode(db, built, secretary)).rejects.toMatchObject({ code: 'forbidden' })
    await expect(createNode(db, { ...built, parent: 'C10' }, admin)).rejects.toMatchObject({ code: 'forbidden' })
    await expect(createNode(db, { ...built, parent: 'X' }, admin)).rejects.toMatchObject({ code: 'node-unknown' })
    await expect(createNode(db, { ...built, level: 'community' }, admin)).rejects.toMatchObject({ code: 'validation-failed', errors: [{ pointer: '/level' }] })
    await expect(createNode(db, { ...built, level: 'planet' }, admin)).rejects.toMatchObject({ code: 'validation-failed' })
    await expect(createNode(db, { ...built, code: 'P-1' }, admin)).rejects.toMatchObject({ errors: [{ pointer: '/code', code: 'taken' }] })
    expect(await createNode(db, built, admin)).toMatchObject({ path: 'S/C1/P/P-3/', levelName: '楼栋', parent: { code: 'P' }, hasChildren: false, retiredAt: null })
  }))

  test('loses a place with all below it, which can be read still', inside(async () => {
    await createNodes(db, 'C1', [{ parent: 'C1', code: 'Q', name: '旧院', level: 'compound' }, { parent: 'Q', code: 'Q-1', name: '旧楼', level: 'building' }], admin)
    await expect(retireNode(db, 'Q', secretary)).rejects.toMatchObject({ code: 'forbidden' })
    await retireNode(db, 'Q', admin)
    expect(codes(await listNodes(db, { under: 'C1', limit: 100 }))).not.toEqual(expect.arrayContaining(['Q-1']))
    expect((await readNode(db, 'Q-1')).retiredAt).toBeInstanceOf(Date)
    await expect(file(db, { item: 'tree', node: 'Q-1', title: '树' }, resident)).rejects.toMatchObject({ code: 'node-unknown' })
    await expect(createNode(db, { parent: 'Q', code: 'Q-2', name: '新楼', level: 'building' }, admin)).rejects.toMatchObject({ code: 'node-unknown' })
  }))
})

describe('organisations, menu and rules', () => {
  test('organisations are found by place, kind and words', inside(async () => {
    await createOrganisation(db, { node: 'P', code: 'WY', name: '示例物业', kind: 'property' }, admin)
    await createOrganisation(db, { node: 'C1', code: 'DZB', name: '示例支部', kind: 'branch' }, admin)
    await expect(createOrganisation(db, { node: 'S', code: 'X', name: 'x', kind: 'branch' }, admin)).rejects.toMatchObject({ code: 'forbidden' })
    await expect(createOrganisation(db, { node: 'P', code: 'WY', name: 'x', kind: 'branch' }, admin)).rejects.toMatchObject({ errors: [{ pointer: '/code' }] })
    expect(codes(await listOrganisations(db, { limit: 100 }))).toEqual(['DZB', 'WY'])
    expect(codes(await listOrganisations(db, { under: 'P', limit: 100 }))).toEqual(['WY'])
    expect(codes(await listOrganisations(db, { kind: 'branch', limit: 100 }))).toEqual(['DZB'])
    expect(codes(await listOrganisations(db, { q: 'wy', limit: 100 }))).toEqual(['WY'])
    const { page } = await listOrganisations(db, { limit: 1 })
    expect(codes(await listOrganisations(db, { limit: 1, cursor: page.nextCursor! }))).toEqual(['WY'])
  }))

  test('an item changes by a new version; what was filed before keeps its own', inside(async () => {
    const before = await file(db, { item: 'parking', node: 'P', title: '车位' }, resident)
    const [old] = (await listItems(db, { limit: 100 })).data.filter(({ code }) => code === 'parking')
    await expect(putItem(db, { ...old!, name: '停车' }, admin)).rejects.toMatchObject({ code: 'forbidden' })
    await expect(putItem(db, { ...old!, policy: 'nowhere' }, SYSTEM)).rejects.toMatchObject({ errors: [{ pointer: '/policy' }] })
    const versions = await Promise.all(['停车', '停车管理'].map((name) => putItem(db, { ...old!, name }, SYSTEM)))
    expect(versions.map(({ version }) => version).sort()).toEqual([2, 3])
    expect((await listItems(db, { limit: 100 })).data.filter(({ code }) => code === 'parking')).toMatchObject([{ version: 3 }])
    expect((await act(db, 'withdraw', before.id, {}, resident)).item.name).toBe('车位管理')
  }))

  test('of a rule the nearest node counts', inside(async () => {
    await putPolicy(db, { node: 'C1', code: 'standard', body: { ...DEFAULT_POLICY, autoAccept: true } }, admin)
    await expect(putPolicy(db, { node: 'S', code: 'standard', body: DEFAULT_POLICY }, admin)).rejects.toMatchObject({ code: 'forbidden' })
    expect(await file(db, { item: 'cleaning', node: 'P', title: '保洁' }, resident)).toMatchObject({ state: 'accepted' })
    expect(await file(db, { item: 'cleaning', node: 'C10', title: '保洁' }, resident)).toMatchObject({ state: 'filed' })
    const { data } = await listPolicies(db, { limit: 100 })
    expect(data.filter(({ code }) => code === 'standard').map(({ node }) => node.code)).toEqual(['S', 'C1'])
  }))
})

describe('the wall', () => {
  test('says what was written for it, and not a word that was filed', inside(async () => {
    const filed = await file(db, { item: 'companionship', node: 'P-1', title: '金丝雀甲', description: '金丝雀乙', targetGroup: 'minor', consents: [{ purpose: 'wall', by: 'guardian', how: 'paper' }] }, resident)
    await act(db, 'accept', filed.id, { note: '金丝雀丙' }, secretary)
    await act(db, 'place', filed.id, { wallTitle: '陪读', slots: 2 }, secretary)
    const { data } = await wall(db, { node: 'P', limit: 100 })
    expect(data).toMatchObject([{ id: filed.id, number: filed.number, title: '陪读', text: null, item: { code: 'companionship' }, compound: { code: 'P' }, slots: 2, slotsTaken: 0 }])
    expect(JSON.stringify(data)).not.toMatch(/金丝雀|minor|P-1/)
    expect((await wall(db, { node: 'C10', limit: 100 })).data).toEqual([])
    await act(db, 'take-down', filed.id, {}, secretary)
    expect((await wall(db, { limit: 100 })).data).toEqual([])
  }))

  test('comes page by page, the newest first', inside(async () => {
    const placed: string[] = []
    for (const wallTitle of ['甲', '乙', '丙']) {
      const { id } = await file(db, { item: 'small-gift', node: 'P', title: '愿望', consents: [{ purpose: 'wall', by: 'self', how: 'app' }] }, resident)
      await act(db, 'accept', id, {}, secretary)
      await act(db, 'place', id, { wallTitle }, secretary)
      placed.unshift(id)
    }
    const first = await wall(db, { limit: 2 })
    const second = await wall(db, { limit: 2, cursor: first.page.nextCursor! })
    expect([...first.data, ...second.data].map(({ id }) => id)).toEqual(placed)
    expect(second.page).toEqual({ nextCursor: null, hasMore: false })
    const forged = Buffer.from('-'.repeat(36)).toString('base64url')
    await expect(wall(db, { limit: 2, cursor: forged })).rejects.toMatchObject({ code: 'cursor-unusable' })
  }))
})
