import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { SHIPPED_ROLES } from '../../src/domain/shipped.ts'
import { buildApp } from '../../src/http/app.ts'
import { authentication } from '../../src/http/auth.ts'
import { dutyRoutes } from '../../src/http/routes/duties.ts'
import { meRoutes } from '../../src/http/routes/me.ts'
import { HOLDER, HELD } from '../../src/service/holders.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { call, keyring, tokenFor, type Answer } from '../processes.ts'

/** 职责 over real HTTP: downwards only, from–to, with a stand-in for the days of the leave. */

let database: TestDatabase
let town: TestPlace, elsewhere: TestPlace
let app: FastifyInstance
let origin: string
let admin: PersonActor, chief: PersonActor, worker: PersonActor
let otherBuilding: string, property: string, branchId: string
const DAY = 86_400_000
const inDays = (days: number) => new Date(Date.now() + days * DAY).toISOString()

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database, {}, 'ONE')
  elsewhere = await testPlace(database, {}, 'TWO')
  for (const { code, name, capabilities } of SHIPPED_ROLES) {
    await database.owner.query('INSERT INTO role ("tenantId", code, name, capabilities) SELECT id, $1, $2, $3 FROM tenant', [code, name, capabilities])
  }
  ;[admin, chief, worker] = await Promise.all([town.person({ at: 'P', can: ['view', 'administer'] }), town.person({ at: 'S', can: ['view', 'administer'] }), town.person()])
  ;[otherBuilding, property] = [uuidv7(), uuidv7()]
  // Beside P: another compound of the same community.
  await database.owner.query(`INSERT INTO node ("tenantId", id, "parentId", code, name, level, path) VALUES ($1, $2, $3, 'Q', 'Q', 'compound', 'S/C/Q/')`, [town.tenantId, otherBuilding, town.node.C])
  await database.owner.query(`INSERT INTO organisation ("tenantId", id, "nodeId", code, name, kind) VALUES ($1, $2, $3, 'WY', '物业', 'property')`, [town.tenantId, property, town.node.P])
  branchId = (await database.owner.query(`SELECT id FROM organisation WHERE "tenantId" = $1 AND code = 'BRANCH'`, [town.tenantId])).rows[0].id
  const deps = { db: database.db, keyring, clock: Date.now }
  app = buildApp({ log: pino({ level: 'silent' }), checkAnswers: true, routes: [authentication(deps), meRoutes(deps), dutyRoutes(deps)] })
  origin = await app.listen({ port: 0, host: '127.0.0.1' })
})
afterAll(async () => {
  await app.close()
  await database.drop()
})

const as = (actor: PersonActor) => tokenFor(town.tenantId, actor.id)
const post = (actor: PersonActor, path: string, body?: object) => call(origin, as(actor), 'POST', `/v1/duties${path}`, body)
const list = async (actor: PersonActor, query = ''): Promise<string[]> => (await call(origin, as(actor), 'GET', `/v1/duties?limit=100${query}`)).body.data.map(({ id }: { id: string }) => id)
const give = async (actor: PersonActor, body: object): Promise<Record<string, any>> => {
  const answer = await post(actor, '', body)
  expect(answer).toMatchObject({ status: 201 })
  return answer.body
}
const held = async (actor: PersonActor): Promise<string[]> => (await call(origin, as(actor), 'GET', '/v1/me')).body.duties.map(({ role, node }: { role: string; node: { code: string } }) => `${role}@${node.code}`)
const said = ({ status, body: { code, errors } }: Answer) => ({ status, code, pointers: (errors as { pointer: string }[] | undefined)?.map(({ pointer }) => pointer) })

describe('授予', () => {
  test('downwards: at his node and below, and the rights count at once', async () => {
    const head = await town.person()
    const answer = await post(admin, '', { person: head.id, role: 'building_head', node: 'B' })
    expect(answer.headers.get('location')).toBe(`/v1/duties/${answer.body.id}`)
    expect(answer.body).toMatchObject({
      role: { code: 'building_head', name: '楼栋长' }, person: { id: head.id, name: null }, node: { code: 'B' }, organisation: null, standIn: null, secondedFrom: null, from: expect.any(String), to: null,
    })
    expect(await held(head)).toEqual(['building_head@B'])
    expect((await call(origin, as(head), 'GET', `/v1/duties/${answer.body.id}`)).body).toEqual(answer.body)
    const { rows } = await database.owner.query('SELECT "grantedById" FROM duty WHERE id = $1', [answer.body.id])
    expect(rows).toEqual([{ grantedById: admin.id }])
  })

  test.each<[string, () => PersonActor, object]>([
    ['upwards', () => admin, { node: 'C' }],
    ['to the root', () => admin, { node: 'S' }],
    ['sideways', () => admin, { node: 'Q' }],
    ['upwards, the right to administer', () => admin, { node: 'C', role: 'admin' }],
    ['by a dispatcher', () => worker, { node: 'U' }],
    ['by nobody in particular', () => worker, { node: 'B', role: 'admin' }],
  ])('%s is refused', async (_, who, more) => {
    expect(await post(who(), '', { person: worker.id, role: 'grid_worker', node: 'B', ...more })).toMatchObject({ status: 403, body: { code: 'forbidden' } })
  })

  test('a capability reaches no farther than its node: who dispatches cannot make others dispatch', async () => {
    const dispatcher = await town.person({ at: 'P', can: ['view', 'dispatch', 'publish', 'supervise', 'file_for', 'handle', 'follow_up'] })
    expect((await post(dispatcher, '', { person: worker.id, role: 'dispatcher', node: 'U' })).status).toBe(403)
  })

  test('an administrator makes administrators below, and they again', async () => {
    const lower = await town.person()
    await give(admin, { person: lower.id, role: 'admin', node: 'B' })
    const lowest = await town.person()
    expect((await post(lower, '', { person: lowest.id, role: 'admin', node: 'P' })).status).toBe(403)
    await give(lower, { person: lowest.id, role: 'admin', node: 'U' })
    expect(await held(lowest)).toEqual(['admin@U'])
  })

  test('in an organisation: what is given to it may be handled, and no place comes with it', async () => {
    const manager = await town.person()
    const duty = await give(admin, { person: manager.id, role: 'property_manager', organisation: 'WY' })
    expect(duty).toMatchObject({ organisation: { id: property, code: 'WY' }, node: { code: 'P' } })
    expect(await list(manager)).toEqual([duty.id])
    expect(said(await post(admin, '', { person: manager.id, role: 'dispatcher', organisation: 'WY' }))).toEqual({ status: 400, code: 'validation-failed', pointers: ['/role'] })
    expect((await post(await town.person({ at: 'U', can: ['administer'] }), '', { person: manager.id, role: 'property_manager', organisation: property })).status).toBe(403)
  })

  test('seconded cadres say who sent them', async () => {
    expect(await give(admin, { person: (await town.person()).id, role: 'community_worker', node: 'P', secondedFrom: 'BRANCH', to: inDays(90) })).toMatchObject({ secondedFrom: { id: branchId, code: 'BRANCH' } })
  })

  test.each<[string, object, number, string, string]>([
    ['neither node nor organisation', { node: undefined }, 400, 'validation-failed', '/node'],
    ['both', { organisation: 'WY' }, 400, 'validation-failed', '/node'],
    ['no role', { role: undefined }, 400, 'validation-failed', '/role'],
    ['an unknown role', { role: 'emperor' }, 422, 'role-unknown', '/role'],
    ['an unknown person', { person: 'NOBODY' }, 422, 'person-unknown', '/person'],
    ['a person of another tenant', { person: 'FOREIGN' }, 422, 'person-unknown', '/person'],
    ['a node of another tenant', { node: 'FOREIGN' }, 422, 'node-unknown', '/node'],
    ['an unknown organisation', { node: undefined, organisation: 'NOPE' }, 422, 'organisation-unknown', '/organisation'],
    ['an unknown sender', { secondedFrom: 'NOPE' }, 422, 'organisation-unknown', '/secondedFrom'],
    ['an end before the beginning', { from: inDays(3), to: inDays(2) }, 400, 'validation-failed', '/to'],
    ['an end gone by', { from: inDays(-3), to: inDays(-2) }, 400, 'validation-failed', '/to'],
    ['a time without a zone', { from: '2026-12-01T00:00:00' }, 400, 'validation-failed', '/from'],
    ['an unknown stand-in', { standIn: { person: 'NOBODY' } }, 422, 'person-unknown', '/standIn/person'],
    ['himself as his stand-in', { standIn: { person: 'SELF' } }, 400, 'validation-failed', '/standIn/person'],
    ['a stand-in backwards', { standIn: { person: 'ADMIN', from: inDays(2), to: inDays(1) } }, 400, 'validation-failed', '/standIn/to'],
    ['an unknown field', { until: inDays(1) }, 400, 'validation-failed', '/until'],
  ])('%s is refused where it is', async (_, wrong, status, code, pointer) => {
    const foreign = await elsewhere.person()
    const ids: Record<string, string> = { SELF: worker.id, ADMIN: admin.id, FOREIGN: 'node' in wrong ? elsewhere.node.U : foreign.id }
    const body = JSON.parse(JSON.stringify({ person: worker.id, role: 'grid_worker', node: 'B', ...wrong }), (_key, value: unknown) => (typeof value === 'string' ? (ids[value] ?? value) : value)) as object
    expect(said(await post(admin, '', body))).toEqual({ status, code, pointers: [pointer] })
  })

  test('the same duty twice at a time is refused, one after the other is not', async () => {
    const { id: person } = await town.person()
    const first = await give(admin, { person, role: 'caller', node: 'P', to: inDays(10) })
    expect(await post(admin, '', { person, role: 'caller', node: 'P', from: inDays(9) })).toMatchObject({ status: 409, body: { code: 'duty-held', id: first.id } })
    await give(admin, { person, role: 'caller', node: 'P', from: inDays(10) })
    await give(admin, { person, role: 'caller', node: 'B' })
  })

  test('one that begins later counts later', async () => {
    const person = await town.person()
    await give(admin, { person: person.id, role: 'caller', node: 'P', from: inDays(1) })
    expect(await held(person)).toEqual([])
  })
})

describe('列表', () => {
  test('by place, person, role and organisation, ended ones on demand', async () => {
    const person = await town.person()
    const one = await give(admin, { person: person.id, role: 'unit_head', node: 'U' })
    const two = await give(admin, { person: person.id, role: 'property_manager', organisation: 'WY' })
    expect(await list(admin, `&person=${person.id}`)).toEqual([two.id, one.id])
    expect(await list(admin, `&person=${person.id}&node=U`)).toEqual([one.id])
    expect(await list(admin, `&person=${person.id}&role=unit_head`)).toEqual([one.id])
    expect(await list(admin, `&organisation=WY&person=${person.id}`)).toEqual([two.id])
    await post(admin, `/${one.id}/end`)
    expect(await list(admin, `&person=${person.id}`)).toEqual([two.id])
    expect(await list(admin, `&person=${person.id}&ended=true`)).toEqual([two.id, one.id])
    expect(await list(person, '&ended=true')).toEqual([two.id, one.id])
  })

  test('of what lies above or beside, and of other tenants, nothing is seen', async () => {
    const above = await give(chief, { person: worker.id, role: 'inspector', node: 'Q' })
    const stranger = await elsewhere.person({ at: 'S', can: ['administer'] })
    expect(await list(admin)).not.toContain(above.id)
    expect(await list(chief)).toContain(above.id)
    for (const who of [as(admin), tokenFor(elsewhere.tenantId, stranger.id)]) {
      expect((await call(origin, who, 'GET', `/v1/duties/${above.id}`)).status).toBe(404)
      for (const path of ['end', 'stand-in/end']) expect((await call(origin, who, 'POST', `/v1/duties/${above.id}/${path}`)).status, path).toBe(404)
      expect((await call(origin, who, 'POST', `/v1/duties/${above.id}/stand-in`, { person: admin.id })).status).toBe(404)
    }
    expect(said(await call(origin, as(admin), 'GET', '/v1/duties?node=C'))).toEqual({ status: 404, code: 'not-found', pointers: ['/query/node'] })
    // one's own is seen, and not one's own to end
    expect((await call(origin, as(worker), 'POST', `/v1/duties/${above.id}/end`)).status).toBe(403)
  })

  test('names are masked, roles are listed', async () => {
    const { body } = await call(origin, as(worker), 'GET', '/v1/roles')
    expect(body.data).toEqual(expect.arrayContaining([{ code: 'caller', name: '回访员', capabilities: ['view', 'follow_up'] }]))
  })
})

describe('卸任', () => {
  test('now, and the rights are gone at once', async () => {
    const person = await town.person()
    const { id } = await give(admin, { person: person.id, role: 'admin', node: 'B' })
    await give(person, { person: worker.id, role: 'caller', node: 'B' })
    const { body } = await post(admin, `/${id}/end`)
    expect(Date.parse(body.to)).toBeLessThanOrEqual(Date.now())
    expect(await held(person)).toEqual([])
    expect((await post(person, '', { person: worker.id, role: 'dispatcher', node: 'U' })).status).toBe(403)
    expect((await post(admin, `/${id}/end`)).body.to).toBe(body.to)
  })

  test('on a day to come, not on one gone by; earlier than planned, never later', async () => {
    const { id } = await give(admin, { person: (await town.person()).id, role: 'caller', node: 'B', to: inDays(5) })
    expect(said(await post(admin, `/${id}/end`, { at: inDays(-1) }))).toEqual({ status: 400, code: 'validation-failed', pointers: ['/at'] })
    const planned = (await post(admin, `/${id}/end`, { at: inDays(9) })).body.to
    const earlier = inDays(2)
    expect((await post(admin, `/${id}/end`, { at: earlier })).body.to).toBe(earlier)
    expect(Date.parse(planned)).toBeGreaterThan(Date.parse(earlier))
  })

  test('what was to begin later never begins', async () => {
    const { id, from } = await give(admin, { person: (await town.person()).id, role: 'caller', node: 'B', from: inDays(5) })
    expect((await post(admin, `/${id}/end`)).body).toMatchObject({ from, to: from })
  })
})

describe('替班', () => {
  const holder = async (id: string): Promise<string> => (await database.owner.query(`SELECT ${HOLDER} AS id FROM duty d WHERE d.id = $1 AND ${HELD}`, [id])).rows[0].id

  test('stands in from when to when it is said, and is asked in the holder’s place', async () => {
    const [person, standIn] = [await town.person(), await town.person()]
    const { id } = await give(admin, { person: person.id, role: 'building_head', node: 'B' })
    const set = (more: object) => post(admin, `/${id}/stand-in`, { person: standIn.id, ...more })
    expect((await set({})).body.standIn).toMatchObject({ person: { id: standIn.id }, from: null, to: null })
    expect([await held(standIn), await held(person), await holder(id)]).toEqual([['building_head@B'], ['building_head@B'], standIn.id])
    const [from, to] = [inDays(1), inDays(8)]
    expect((await set({ from, to })).body.standIn).toMatchObject({ from, to })
    expect([await held(standIn), await holder(id)]).toEqual([[], person.id])
    await set({ from: inDays(-1), to: inDays(1) })
    expect([await held(standIn), await holder(id)]).toEqual([['building_head@B'], standIn.id])
    await database.owner.query(`UPDATE duty SET "standInFrom" = now() - interval '2 days', "standInTo" = now() - interval '1 day' WHERE id = $1`, [id])
    database.db.memory.clear()
    expect([await held(standIn), await holder(id)]).toEqual([[], person.id])
    expect((await post(admin, `/${id}/stand-in/end`)).body.standIn).toBeNull()
  })

  test('is for those who administer, and not for oneself, nor for what is over', async () => {
    const person = await town.person()
    const { id } = await give(admin, { person: person.id, role: 'building_head', node: 'B' })
    expect((await post(person, `/${id}/stand-in`, { person: worker.id })).status).toBe(403)
    expect(said(await post(admin, `/${id}/stand-in`, { person: person.id }))).toMatchObject({ status: 400, pointers: ['/person'] })
    expect(said(await post(admin, `/${id}/stand-in`, { person: 'NOBODY' }))).toMatchObject({ status: 422, pointers: ['/person'] })
    expect(said(await post(admin, `/${id}/stand-in`, { person: worker.id, to: inDays(-1) }))).toMatchObject({ status: 400, pointers: ['/to'] })
    await post(admin, `/${id}/end`)
    expect(await post(admin, `/${id}/stand-in`, { person: worker.id })).toMatchObject({ status: 409, body: { code: 'duty-ended' } })
  })
})
