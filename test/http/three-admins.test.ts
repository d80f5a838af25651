import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { ADMIN_POWERS, areSeparate } from '../../src/domain/second-factor.ts'
import { SHIPPED_ROLES } from '../../src/domain/shipped.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { call, tokenFor, type Answer } from '../processes.ts'
import { openDoor, type Door } from './identity.ts'

/** 三员: system, security and audit administrators, GB/T 22239. */

let database: TestDatabase
let town: TestPlace
let door: Door
let chief: PersonActor
const THREE = ['system_admin', 'security_admin', 'audit_admin'] as const

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database, {}, 'ONE')
  for (const { code, name, capabilities } of SHIPPED_ROLES) await database.owner.query('INSERT INTO role ("tenantId", code, name, capabilities) VALUES ($1, $2, $3, $4)', [town.tenantId, code, name, capabilities])
  chief = await town.person({ at: 'S', can: ['secure'] })
  door = await openDoor(database.db)
})
afterAll(async () => {
  await door.close()
  await database.drop()
})

const as = ({ id }: { id: string }) => tokenFor(town.tenantId, id)
const grant = (person: string, role: string, more: object = {}, by = chief): Promise<Answer> => call(door.origin, as(by), 'POST', '/v1/duties', { person, role, node: 'S', ...more })
const admin = async (role: (typeof THREE)[number] | 'admin'): Promise<PersonActor> => {
  const person = await town.person()
  expect((await grant(person.id, role)).status).toBe(201)
  return person
}

describe('谁能做什么', () => {
  const BODY = { node: { parent: 'P', code: 'NEW', name: '新楼', level: 'building' }, person: { name: '李示例', node: 'C', login: 'NEW' } }
  test.each<[(typeof THREE)[number], Record<string, number>]>([
    ['system_admin', { node: 201, client: 201, person: 403, duty: 403, suspend: 404, settings: 403, provider: 403, people: 0, requests: 0 }],
    ['security_admin', { node: 403, client: 403, person: 201, duty: 201, suspend: 200, settings: 200, provider: 422, people: 1, requests: 0 }],
    ['audit_admin', { node: 403, client: 403, person: 403, duty: 403, suspend: 404, settings: 403, provider: 403, people: 0, requests: 0 }],
  ])('%s', async (role, wanted) => {
    const who = await admin(role)
    const somebody = await town.person({ at: 'P', can: ['handle'] })
    await database.owner.query(`UPDATE person SET "nodeId" = $2 WHERE id = $1`, [somebody.id, town.node.P])
    const post = async (path: string, body?: object) => (await call(door.origin, as(who), 'POST', path, body)).status
    const others = async () => {
      const { status, body } = await call(door.origin, as(who), 'GET', '/v1/people')
      return status === 200 && (body.data as { id: string }[]).some(({ id }) => id !== who.id) ? 1 : 0
    }
    expect({
      node: await post('/v1/nodes', BODY.node),
      client: await post('/v1/clients', { clientId: `by-${role}`, name: 'x', scopes: ['requests:read'] }),
      person: await post('/v1/people', { ...BODY.person, login: `by-${role}` }),
      duty: await post('/v1/duties', { person: somebody.id, role: 'caller', node: 'P' }),
      suspend: await post(`/v1/people/${somebody.id}/suspend`),
      settings: (await call(door.origin, as(who), 'GET', '/v1/security-settings')).status,
      provider: await post('/v1/identity-providers', { name: 'x', issuer: 'https://127.0.0.1:1', audience: 'x' }),
      people: await others(),
      requests: ((await call(door.origin, as(who), 'GET', '/v1/requests')).body.data as unknown[]).length,
    }).toEqual(wanted)
  })
})

describe('兼任', () => {
  test('of two of the three by one person is a conflict, whichever comes second', async () => {
    for (const first of THREE) for (const second of THREE) {
      if (first === second) continue
      const person = await admin(first)
      expect(await grant(person.id, second), `${first} ${second}`).toMatchObject({ status: 409, body: { code: 'admins-separate' } })
    }
  })

  test('also as a stand-in, and by two grants at the same moment', async () => {
    const [one, two] = [await admin('system_admin'), await admin('audit_admin')]
    const duties = (await call(door.origin, as(chief), 'GET', `/v1/duties?person=${one.id}`)).body.data as { id: string }[]
    const standIn = await call(door.origin, as(chief), 'POST', `/v1/duties/${duties[0]!.id}/stand-in`, { person: two.id })
    expect([standIn.status, standIn.body.code]).toEqual([409, 'admins-separate'])
    expect((await grant((await town.person()).id, 'security_admin', { standIn: { person: one.id } })).body.code).toBe('admins-separate')
    for (let round = 0; round < 5; round++) {
      const person = await town.person()
      const answers = await Promise.all(THREE.map((role) => grant(person.id, role)))
      expect(answers.map(({ status }) => status).sort()).toEqual([201, 409, 409])
    }
  })

  test('one after the other is none', async () => {
    const person = await admin('audit_admin')
    const { body: { data: [duty] } } = await call(door.origin, as(chief), 'GET', `/v1/duties?person=${person.id}`)
    expect((await call(door.origin, as(chief), 'POST', `/v1/duties/${duty.id}/end`, {})).status).toBe(200)
    expect((await grant(person.id, 'system_admin')).status).toBe(201)
  })

  test('none of the three makes himself all three by the 管理员 of a small town', async () => {
    const guard = await admin('security_admin')
    expect((await call(door.origin, as(guard), 'POST', '/v1/duties', { person: guard.id, role: 'admin', node: 'S' })).body.code).toBe('admins-separate')
    expect((await grant(guard.id, 'admin')).body.code).toBe('admins-separate')
    const small = await admin('admin')
    expect((await grant(small.id, 'audit_admin')).body.code).toBe('admins-separate')
    const { body: { data: [duty] } } = await call(door.origin, as(chief), 'GET', `/v1/duties?person=${small.id}`)
    expect((await call(door.origin, as(chief), 'POST', `/v1/duties/${duty.id}/end`, {})).status).toBe(200)
  })

  test('the 管理员 of a small town is all three, until the tenant has them apart', async () => {
    const settings = (separateAdmins: boolean) => call(door.origin, as(chief), 'PUT', '/v1/security-settings', { totpRequired: 'none', separateAdmins })
    const small = await admin('admin')
    expect(await settings(true)).toMatchObject({ status: 409, body: { code: 'admins-separate', persons: [small.id] } })
    const { body: { data: [duty] } } = await call(door.origin, as(chief), 'GET', `/v1/duties?person=${small.id}`)
    await call(door.origin, as(chief), 'POST', `/v1/duties/${duty.id}/end`, {})
    expect((await settings(true)).status).toBe(200)
    expect((await grant((await town.person()).id, 'admin')).body.code).toBe('admins-separate')
    expect((await grant((await town.person()).id, 'audit_admin')).status).toBe(201)
    expect((await settings(false)).status).toBe(200)
    expect((await grant((await town.person()).id, 'admin')).status).toBe(201)
  })

  test('the three ship with disjoint capabilities', () => {
    const held = THREE.map((code) => SHIPPED_ROLES.find((role) => role.code === code)!.capabilities)
    expect(held.flat().sort()).toEqual([...ADMIN_POWERS].sort())
    expect(areSeparate(held, false)).toBe(false)
    for (const capabilities of held) expect(areSeparate([capabilities, ['view', 'handle']], true)).toBe(true)
    for (const capabilities of held) expect(areSeparate([capabilities, ['administer']], false)).toBe(false)
    expect(areSeparate([['administer'], ['administer', 'view']], false)).toBe(true)
  })
})
