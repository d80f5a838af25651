import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SYSTEM, type PersonActor } from '../../src/domain/actor.ts'
import { SHIPPED_ITEMS, SHIPPED_SKILLS } from '../../src/domain/shipped.ts'
import { buildApp } from '../../src/http/app.ts'
import { authentication } from '../../src/http/auth.ts'
import { candidateRoutes } from '../../src/http/routes/candidates.ts'
import { itemRoutes } from '../../src/http/routes/items.ts'
import { skillRoutes } from '../../src/http/routes/skills.ts'
import { grantDuty } from '../../src/service/appointments.ts'
import { inTenant } from '../../src/service/db.ts'
import { listItems, putItem } from '../../src/service/items.ts'
import { createPerson } from '../../src/service/people.ts'
import { createTenant } from '../../src/service/provision.ts'
import { act, file } from '../../src/service/requests.ts'
import { listSkills } from '../../src/service/skills.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { call, keyring, tokenFor, type Answer } from '../processes.ts'

/** 技能库 and 派单人选 over real HTTP: declared by oneself, verified by the branch, ranked with reasons. */

let database: TestDatabase
let town: TestPlace, elsewhere: TestPlace
let app: FastifyInstance
let origin: string
let chief: PersonActor, secretary: PersonActor, dispatcher: PersonActor, viewer: PersonActor, resident: PersonActor
let branch: string, firm: string

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database, {}, 'ONE')
  elsewhere = await testPlace(database, {}, 'TWO')
  branch = (await database.owner.query(`SELECT id FROM organisation WHERE "tenantId" = $1`, [town.tenantId])).rows[0].id
  firm = uuidv7()
  await database.owner.query(`INSERT INTO organisation ("tenantId", id, "nodeId", code, name, kind) VALUES ($1, $2, $3, 'WY', '示例物业', 'property')`, [town.tenantId, firm, town.node.P])
  await database.owner.query(`INSERT INTO node ("tenantId", id, "parentId", code, name, level, path) VALUES ($1, $2, $3, 'Q', 'Q', 'community', 'S/Q/')`, [town.tenantId, uuidv7(), town.node.S])
  await database.owner.query(`INSERT INTO role ("tenantId", code, name, capabilities) VALUES ($1, 'manager', '经理', '{handle}')`, [town.tenantId])
  ;[chief, secretary, dispatcher, viewer, resident] = await Promise.all([
    town.person({ at: 'S', can: ['view', 'administer'] }), town.person({ at: 'P', can: ['view', 'dispatch', 'publish'] }), town.person({ at: 'B', can: ['view', 'dispatch'] }),
    town.person({ at: 'S', can: ['view', 'supervise'] }), town.person(),
  ])
  const deps = { db: database.db, keyring, clock: Date.now }
  app = buildApp({ log: pino({ level: 'silent' }), checkAnswers: true, routes: [authentication(deps), skillRoutes(deps), candidateRoutes(deps), itemRoutes(deps)] })
  origin = await app.listen({ port: 0, host: '127.0.0.1' })
  for (const [code, name] of [['electrics', '水电维修'], ['haircut', '理发']]) await post(chief, '', { code, name })
  await town.inside(() => putItem(database.db, { code: 'lamp', name: '换灯泡', category: 'x', kind: 'service', mode: 'dispatch', wall: false, policy: 'standard', grade: null, gradePolicies: {}, proof: false, skills: ['electrics'] }, SYSTEM))
})
afterAll(async () => {
  await app.close()
  await database.drop()
})

const as = ({ id }: { id: string }, at = town) => tokenFor(at.tenantId, id)
const post = (who: { id: string }, path: string, body?: object) => call(origin, as(who), 'POST', `/v1/skills${path}`, body)
const get = (who: { id: string }, path: string) => call(origin, as(who), 'GET', `/v1/skills${path}`)
const declare = (who: { id: string }, body: object, skill = 'electrics') => post(who, `/${skill}/holders`, body)
const said = ({ status, body: { code, errors } }: Answer) => ({ status, code, pointers: (errors as { pointer: string }[] | undefined)?.map(({ pointer }) => pointer) })
const newcomer = async (name = '韩示例', nodeId: string | undefined = undefined) => ({ id: await town.inside(() => createPerson(database.db, keyring, { name, nodeId })) })
const member = async (kind = 'volunteer', at = branch, nodeId?: string) => {
  const person = await newcomer('韩示例', nodeId)
  await database.owner.query(`INSERT INTO affiliation ("tenantId", id, "personId", "organisationId", kind, "verifiedAt") VALUES ($1, $2, $3, $4, $5, now())`, [town.tenantId, uuidv7(), person.id, at, kind])
  return person
}

describe('技能', () => {
  test('are the tenant’s: added by who administers it all', async () => {
    expect(await post(chief, '', { code: 'painting', name: '绘画' })).toMatchObject({ status: 201, body: { code: 'painting', name: '绘画', holders: 0 } })
    expect((await post(secretary, '', { code: 'x', name: 'x' })).status).toBe(403)
    expect(said(await post(chief, '', { code: 'electrics', name: 'x' }))).toEqual({ status: 400, code: 'validation-failed', pointers: ['/code'] })
    expect(said(await post(chief, '', { code: 'a b', name: '' }))).toMatchObject({ status: 400, pointers: ['/code', '/name'] })
    expect((await get(resident, '')).body.data.map(({ code }: { code: string }) => code)).toEqual(['electrics', 'haircut', 'painting'])
    const stranger = await elsewhere.person({ at: 'S', can: ['administer', 'dispatch'] })
    expect((await call(origin, as(stranger, elsewhere), 'GET', '/v1/skills')).body.data).toEqual([])
    expect((await call(origin, as(stranger, elsewhere), 'POST', '/v1/skills/electrics/holders', { person: stranger.id, level: 1 })).status).toBe(404)
    expect((await call(origin, as(stranger, elsewhere), 'GET', '/v1/skills/electrics/holders')).status).toBe(404)
  })

  test('ship with a new tenant, and with what its menu takes', async () => {
    const { id } = await createTenant(database.db, { code: 'NEW', name: '新街道' })
    await inTenant(id, async () => {
      expect((await listSkills(database.db)).map(({ code }) => code).sort()).toEqual(Object.keys(SHIPPED_SKILLS).sort())
      const { data } = await listItems(database.db, { limit: 100 })
      for (const { code, skills } of SHIPPED_ITEMS) expect(data.find((item) => item.code === code)!.skills, code).toEqual(skills)
      expect(data.find(({ code }) => code === 'corridor-light')!.skills).toEqual(['electrics'])
    })
  })

  test('an item wants skills that there are', async () => {
    expect((await call(origin, as(resident), 'GET', '/v1/items')).body.data.find(({ code }: { code: string }) => code === 'lamp').skills).toEqual(['electrics'])
    await expect(town.inside(() => putItem(database.db, { code: 'x', name: 'x', category: 'x', kind: 'service', mode: 'dispatch', wall: false, policy: 'standard', grade: null, gradePolicies: {}, proof: false, skills: ['electrics', 'magic'] }, SYSTEM)))
      .rejects.toMatchObject({ code: 'validation-failed', errors: [{ pointer: '/skills/1' }] })
  })
})

describe('能人', () => {
  test('declares himself and waits; the branch verifies, at the level it saw', async () => {
    const able = await member()
    const { status, body } = await declare(able, { person: able.id, level: 5 })
    expect([status, body]).toEqual([200, expect.objectContaining({ skill: { code: 'electrics', name: '水电维修' }, person: { id: able.id, login: null, name: '韩**' }, organisation: null, level: 5, verifiedBy: null, verifiedAt: null })])
    expect((await get(secretary, '/electrics/holders?verified=false')).body.data.map(({ id }: { id: string }) => id)).toContain(body.id)
    expect((await declare(secretary, { person: able.id, level: 4 })).body).toMatchObject({ id: body.id, level: 4, verifiedBy: secretary.id, verifiedAt: expect.any(String) })
    // the same level said again changes nothing, another waits again
    expect((await declare(able, { person: able.id, level: 4 })).body.verifiedBy).toBe(secretary.id)
    expect((await declare(able, { person: able.id, level: 5 })).body).toMatchObject({ id: body.id, level: 5, verifiedBy: null, verifiedAt: null })
    expect((await post(able, `/electrics/holders/${body.id}/end`)).status).toBe(204)
    expect((await get(able, '/electrics/holders')).body.data).toEqual([])
    expect((await post(able, `/electrics/holders/${body.id}/end`)).status).toBe(404)
  })

  test('nobody verifies himself, nor whom he has nothing to decide about', async () => {
    expect((await declare(secretary, { person: secretary.id, level: 5 })).body).toMatchObject({ verifiedAt: null, verifiedBy: null })
    const far = await newcomer('王示例', town.node.S)
    const able = await member()
    for (const [who, person] of [[dispatcher, able], [viewer, able], [resident, able], [secretary, far]] as const) expect((await declare(who, { person: person.id, level: 3 })).status).toBe(403)
    expect((await declare(chief, { person: far.id, level: 3 })).body.verifiedBy).toBe(chief.id)
    expect((await declare(secretary, { person: (await newcomer('王示例', town.node.U)).id, level: 3 })).body.verifiedBy).toBe(secretary.id)
  })

  test('a team has skills too; who acts for it declares, the branch verifies', async () => {
    const manager = await newcomer()
    await town.inside(() => grantDuty(database.db, { personId: manager.id, roleCode: 'manager', nodeId: town.node.P, organisationId: firm }))
    expect((await declare(manager, { organisation: 'WY', level: 3 })).body).toMatchObject({ person: null, organisation: { code: 'WY' }, verifiedAt: null })
    expect((await declare(secretary, { organisation: firm, level: 3 })).body).toMatchObject({ verifiedBy: secretary.id })
    expect((await get(chief, '/electrics/holders')).body.data.filter(({ organisation }: { organisation: object | null }) => organisation)).toHaveLength(1)
  })

  test('five at once are one', async () => {
    const able = await member()
    const answers = await Promise.all([1, 2, 3, 4, 5].map((level) => declare(able, { person: able.id, level }, 'haircut')))
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1)
  })

  test.each<[string, object, string, number, string, string | undefined]>([
    ['level 0', { person: 'X', level: 0 }, 'electrics', 400, 'validation-failed', '/level'],
    ['level 6', { person: 'X', level: 6 }, 'electrics', 400, 'validation-failed', '/level'],
    ['level 2.5', { person: 'X', level: 2.5 }, 'electrics', 400, 'validation-failed', '/level'],
    ['neither person nor organisation', { level: 1 }, 'electrics', 400, 'validation-failed', '/person'],
    ['both', { person: 'X', organisation: 'WY', level: 1 }, 'electrics', 400, 'validation-failed', '/person'],
    ['an unknown person', { person: 'NOBODY', level: 1 }, 'electrics', 422, 'person-unknown', '/person'],
    ['an unknown organisation', { organisation: 'NOPE', level: 1 }, 'electrics', 422, 'organisation-unknown', '/organisation'],
    ['a verification of one’s own', { person: 'X', level: 1, verifiedAt: '2026-01-01T00:00:00Z' }, 'electrics', 400, 'validation-failed', '/verifiedAt'],
    ['an unknown skill', { person: 'X', level: 1 }, 'magic', 404, 'not-found', undefined],
  ])('%s is refused where it is', async (_, body, skill, status, code, pointer) => {
    expect(said(await declare(chief, body, skill))).toEqual({ status, code, pointers: pointer === undefined ? undefined : [pointer] })
  })
})

describe('派单人选', () => {
  const request = (item = 'lamp', node = 'U') => town.inside(() => file(database.db, { item, title: '灯不亮', node }, resident))
  const candidates = (who: PersonActor, ref: string, query = '', headers: Record<string, string> = {}) => call(origin, as(who), 'GET', `/v1/requests/${ref}/candidates${query}`, undefined, headers)
  const found = async (ref: string): Promise<Record<string, any>[]> => (await candidates(secretary, ref, '?limit=50')).body.data
  const of = (data: Record<string, any>[], { id }: { id: string }) => data.find(({ person, organisation }) => (person ?? organisation).id === id)

  test('the skilled and near before the rest, each with its reasons, in the language asked for', async () => {
    const { id, number } = await request()
    const [able, near] = [await member(), await member('party_member', branch, town.node.U)]
    await declare(secretary, { person: able.id, level: 4 })
    const { body, headers } = await candidates(secretary, number, '?limit=50')
    expect(headers.get('content-language')).toBe('zh-CN')
    expect(of(body.data, able)).toMatchObject({ person: { id: able.id, login: null, name: '韩**' }, organisation: null, score: 73, because: ['有“水电维修”技能（4级，已核验）', '同一小区', '手上没有在办的'] })
    expect(of(body.data, near)).toMatchObject({ score: 45, because: ['没有所需的技能', '就在这个单元', '手上没有在办的'] })
    expect(of(body.data, { id: firm })).toMatchObject({ person: null, organisation: { code: 'WY', name: '示例物业' }, because: ['有“水电维修”技能（3级，已核验）', '同一小区', '手上没有在办的'] })
    expect(body.data.map(({ rank }: { rank: number }) => rank)).toEqual(body.data.map((_: unknown, index: number) => index + 1))
    const scores = body.data.map(({ score }: { score: number }) => score)
    expect(scores).toEqual([...scores].sort((a, b) => b - a))
    const english = await candidates(secretary, id, '?limit=1', { 'accept-language': 'en' })
    expect(english.body.data).toHaveLength(1)
    expect(english.body.data[0].because[0]).toMatch(/^Has the skill “水电维修” \(level \d, verified\)$/)
    expect(english.headers.get('content-language')).toBe('en')
    expect(JSON.stringify(body)).not.toContain('韩示例')
  })

  test('only who may be dispatched to: verified, on duty, not suspended, with staff to act', async () => {
    const { id } = await request()
    const [pending, ended, suspended, nobody] = [await newcomer(), await member(), await member(), await newcomer('王示例', town.node.U)]
    await database.owner.query(`INSERT INTO affiliation ("tenantId", id, "personId", "organisationId", kind) VALUES ($1, $2, $3, $4, 'volunteer')`, [town.tenantId, uuidv7(), pending.id, branch])
    await database.owner.query('UPDATE affiliation SET "endedAt" = now() WHERE "personId" = $1', [ended.id])
    await database.owner.query('UPDATE person SET "suspendedAt" = now() WHERE id = $1', [suspended.id])
    for (const person of [pending, ended, suspended, nobody]) await database.owner.query(`INSERT INTO skill_holder ("tenantId", id, "skillCode", "personId", level, "declaredAt", "verifiedAt") VALUES ($1, $2, 'electrics', $3, 5, now(), now())`, [town.tenantId, uuidv7(), person.id])
    const data = await found(id)
    for (const person of [pending, ended, suspended, nobody, viewer, { id: branch }]) expect(of(data, person)).toBeUndefined()
    // and every one of them can really be dispatched to
    for (const { person, organisation } of data.slice(0, 8)) {
      const { id: filed } = await request()
      await town.inside(() => act(database.db, 'accept', filed, {}, secretary))
      expect(await town.inside(() => act(database.db, 'dispatch', filed, { to: (person ?? organisation).id }, secretary))).toMatchObject({ state: 'dispatched' })
    }
  })

  test('a skill counts once it is verified, and no longer than it is held', async () => {
    const { id } = await request()
    const able = await member()
    const { body: holder } = await declare(able, { person: able.id, level: 5 })
    const because = async () => of(await found(id), able)!.because[0]
    expect(await because()).toBe('没有所需的技能')
    await declare(secretary, { person: able.id, level: 5 })
    expect(await because()).toBe('有“水电维修”技能（5级，已核验）')
    await post(secretary, `/electrics/holders/${holder.id}/end`)
    expect(await because()).toBe('没有所需的技能')
  })

  test('what is in hand counts against, whom the request is about is out, and who has it now', async () => {
    const busy = await member()
    for (let n = 0; n < 2; n++) {
      const { id } = await request()
      await town.inside(async () => {
        await act(database.db, 'accept', id, {}, secretary)
        await act(database.db, 'dispatch', id, { to: busy.id }, secretary)
      })
    }
    const { id } = await request()
    expect(of(await found(id), busy)).toMatchObject({ score: 27, because: ['没有所需的技能', '同一小区', '手上 2 件在办'] })
    await town.inside(async () => {
      await act(database.db, 'accept', id, {}, secretary)
      await act(database.db, 'dispatch', id, { to: busy.id }, secretary)
    })
    expect(of(await found(id), busy)).toBeUndefined()
    const filer = await town.person({ kinds: ['party_member'] })
    const own = await town.inside(() => file(database.db, { item: 'lamp', title: '灯', node: 'U' }, filer))
    expect(of(await found(own.id), filer)).toBeUndefined()
    expect(of(await found(id), filer)).toBeDefined()
  })

  test('what was sent back counts against, for a year', async () => {
    const back = await member()
    const { id: before } = await request()
    await database.owner.query(`INSERT INTO ask ("tenantId", "requestId", seq, kind, cycle, "personId", path, status, "askedAt", "answeredAt") VALUES ($1, $2, 1, 'return', 1, $3, 'S/', 'granted', now(), now())`, [town.tenantId, before, back.id])
    const { id } = await request()
    expect(of(await found(id), back)).toMatchObject({ score: 28, because: ['没有所需的技能', '同一小区', '手上没有在办的', '一年内退单 1 次'] })
    await database.owner.query(`UPDATE ask SET "askedAt" = now() - interval '366 days'`)
    expect(of(await found(id), back)!.because).toHaveLength(3)
    await database.owner.query(`UPDATE ask SET "askedAt" = now(), status = 'denied'`)
    expect(of(await found(id), back)!.because).toHaveLength(3)
  })

  test('of those far away only the skilled come in question', async () => {
    const { rows: [{ id: farBranch }] } = await database.owner.query(`INSERT INTO organisation ("tenantId", id, "nodeId", code, name, kind) SELECT "tenantId", $1, id, 'FAR', 'x', 'branch' FROM node WHERE "tenantId" = $2 AND code = 'Q' RETURNING id`, [uuidv7(), town.tenantId])
    const [plain, able] = [await member('volunteer', farBranch), await member('volunteer', farBranch)]
    await declare(chief, { person: able.id, level: 5 })
    const { id } = await request()
    const data = await found(id)
    expect(of(data, plain)).toBeUndefined()
    expect(of(data, able)!.because).toEqual(['有“水电维修”技能（5级，已核验）', '同一街道', '手上没有在办的'])
  })

  test('for those who dispatch there; to others 403, out of sight 404', async () => {
    const { id, number } = await request()
    expect((await candidates(dispatcher, id)).status).toBe(200)
    expect((await candidates(viewer, id)).status).toBe(403)
    expect((await candidates(resident, id)).status).toBe(403)
    expect(await candidates(await town.person(), number)).toMatchObject({ status: 404, body: { code: 'request-not-found' } })
    const stranger = await elsewhere.person({ at: 'S', can: ['view', 'dispatch'] })
    expect((await call(origin, as(stranger, elsewhere), 'GET', `/v1/requests/${id}/candidates`)).status).toBe(404)
    expect((await candidates(secretary, uuidv7())).status).toBe(404)
    for (const query of ['?limit=0', '?limit=51', '?limit=x', '?skill=electrics']) expect((await candidates(secretary, id, query)).status, query).toBe(400)
  })
})
