import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SHIPPED_ROLES } from '../../src/domain/shipped.ts'
import { openWorld, type Who, type World } from './authorisation/world.ts'

/** 授权: who administers a place gives duties there and below, whatever they confer, and nothing above or beside. */

let world: World
beforeAll(async () => {
  world = await openWorld()
})
afterAll(() => world?.close())

const give = (who: Who, role: string, where: object, person = world.ids.neighbour) => world.call(world.token(who), 'POST', '/v1/duties', { person, role, ...where })
const codeOf = ({ status, body }: Awaited<ReturnType<typeof give>>) => (status === 201 ? 201 : `${status} ${body.code}`)

const somebody = async (): Promise<string> => (await world.ok(world.token('rootAdmin'), 'POST', '/v1/people', { name: '王示例', node: 'YQHF' })).id as string

describe.each(SHIPPED_ROLES.map(({ code, capabilities }) => ({ code, capabilities })))('$code', ({ code, capabilities }) => {
  test('at his node and below, although he does not hold it himself', async () => {
    const person = await somebody()
    for (const node of ['YQHF', 'YQHF-02', 'YQHF-02-1']) expect(codeOf(await give('admin', code, { node }, person)), node).toBe(201)
  })

  test('not above, not beside, not for an organisation there', async () => {
    for (const node of ['SQ', 'YQ', 'YQHF2']) expect(codeOf(await give('admin', code, { node })), node).toBe('403 forbidden')
    expect(codeOf(await give('admin', code, { organisation: 'SLZF' }))).toBe('403 forbidden')
    expect(codeOf(await give('adminBeside', code, { organisation: 'YZ-PROPERTY' }))).toBe('403 forbidden')
  })

  test('in an organisation where it handles what is given to it, and only there', async () => {
    expect(codeOf(await give('admin', code, { organisation: 'YQHF-YWH' }, await somebody()))).toBe(capabilities.includes('handle') ? 201 : '400 validation-failed')
  })

  test('by nobody who does not administer, whatever else he may; not to himself either', async () => {
    for (const who of ['dispatcher', 'dutyChief', 'buildingHead', 'inspector', 'agent', 'resident', 'systemAdmin', 'auditAdmin'] as const) {
      expect(codeOf(await give(who, code, { node: 'YQHF-02-1' })), who).toBe('403 forbidden')
      expect(codeOf(await give(who, code, { node: 'YQHF-02-1' }, world.ids[who])), who).toBe('403 forbidden')
    }
  })
})

test('what was given counts, below and no farther', async () => {
  const { ids, ok, token } = world
  await ok(token('admin'), 'POST', '/v1/duties', { person: ids.member, role: 'admin', node: 'YQHF-02' })
  expect(codeOf(await give('member', 'grid_worker', { node: 'YQHF-02-1' }, ids.guardian))).toBe(201)
  for (const node of ['YQHF', 'SQ', 'YQHF2']) expect(codeOf(await give('member', 'grid_worker', { node }, ids.guardian)), node).toBe('403 forbidden')
})

describe('what a kind of duty confers', () => {
  const put = (who: Who, code: string, body: object) => world.call(world.token(who), 'PUT', `/v1/roles/${code}`, body)

  test('is the tenant’s own: read, changed, at once in force', async () => {
    const { token, ids } = world
    const { data } = (await world.call(token('clerk'), 'GET', '/v1/roles')).body as { data: { code: string; capabilities: string[] }[] }
    for (const { code, capabilities } of SHIPPED_ROLES) expect(data.find((role) => role.code === code)?.capabilities, code).toEqual(capabilities)
    expect((await world.call(token('caller'), 'GET', `/v1/people/${ids.resident}`)).status).toBe(200)
    expect((await put('securityAdmin', 'caller', { name: '回访员', capabilities: ['follow_up'] })).status).toBe(200)
    expect((await world.call(token('caller'), 'GET', `/v1/people/${ids.resident}`)).status).toBe(404)
    const made = await put('rootAdmin', 'square_dance', { name: '广场舞领队', capabilities: ['view', 'file_for', 'view'] })
    expect({ status: made.status, body: made.body }).toEqual({ status: 201, body: { code: 'square_dance', name: '广场舞领队', capabilities: ['view', 'file_for'] } })
    const { rows } = await world.database.owner.query<{ action: string }>(`SELECT action FROM audit_entry WHERE "objectKind" = 'role'`)
    expect(rows).toHaveLength(2)
  })

  test('is changed by who secures the whole tenant, and leaves somebody who does', async () => {
    for (const who of ['admin', 'systemAdmin', 'dutyChief', 'resident'] as const) expect((await put(who, 'caller', { name: '回访员', capabilities: ['administer'] })).status, who).toBe(403)
    expect((await put('rootAdmin', 'admin', { name: '管理员', capabilities: ['view', 'audit'] })).status).toBe(200) // the security administrator is left
    const last = await put('securityAdmin', 'security_admin', { name: '安全管理员', capabilities: [] })
    expect(last).toMatchObject({ status: 400, body: { code: 'validation-failed', errors: [{ pointer: '/capabilities' }] } })
    expect((await put('securityAdmin', 'x', { name: '某', capabilities: ['fly'] })).body).toMatchObject({ code: 'validation-failed', errors: [{ pointer: '/capabilities/0' }] })
  })
})
