import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { buildApp } from '../../src/http/app.ts'
import { authentication } from '../../src/http/auth.ts'
import { enrolmentRoutes } from '../../src/http/routes/enrolments.ts'
import { meRoutes } from '../../src/http/routes/me.ts'
import { organisationRoutes } from '../../src/http/routes/organisations.ts'
import { createPerson } from '../../src/service/people.ts'
import { findTarget } from '../../src/service/targets.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { call, keyring, tokenFor, type Answer } from '../processes.ts'

/** 报到 over real HTTP: applied for by the person, verified by the branch, and only then good for claiming. */

let database: TestDatabase
let town: TestPlace, elsewhere: TestPlace
let app: FastifyInstance
let origin: string
let secretary: PersonActor, admin: PersonActor, viewer: PersonActor, otherSecretary: PersonActor
const USCC = '91350100M000100Y43'

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database, {}, 'ONE')
  elsewhere = await testPlace(database, {}, 'TWO')
  await database.owner.query(`UPDATE organisation SET kind = 'branch'`)
  for (const [code, kind, node] of [['TEAM', 'volunteer_team', 'P'], ['UNIT', 'dual_unit', 'S'], ['HOME', 'community_party', 'C'], ['WY', 'property', 'P']] as const) {
    await database.owner.query('INSERT INTO organisation ("tenantId", id, "nodeId", code, name, kind) VALUES ($1, $2, $3, $4, $4, $5)', [town.tenantId, uuidv7(), town.node[node], code, kind])
  }
  await database.owner.query(`INSERT INTO role ("tenantId", code, name, capabilities) VALUES ($1, 'enterprise_agent', '企业代办人', '{handle}')`, [town.tenantId])
  ;[secretary, admin, viewer, otherSecretary] = await Promise.all([
    town.person({ at: 'P', can: ['view', 'file_for', 'dispatch', 'publish'] }), town.person({ at: 'S', can: ['view', 'administer'] }),
    town.person({ at: 'P', can: ['view', 'supervise', 'handle', 'file_for'] }), town.person({ at: 'B', can: ['view', 'dispatch'] }),
  ])
  const deps = { db: database.db, keyring, clock: Date.now }
  app = buildApp({ log: pino({ level: 'silent' }), checkAnswers: true, routes: [authentication(deps), meRoutes(deps), enrolmentRoutes(deps), organisationRoutes(deps)] })
  origin = await app.listen({ port: 0, host: '127.0.0.1' })
})
afterAll(async () => {
  await app.close()
  await database.drop()
})

const as = ({ id }: { id: string }) => tokenFor(town.tenantId, id)
const newcomer = async (phone = '13800138000') => ({ id: await town.inside(() => createPerson(database.db, keyring, { name: '郑示例', phone })) })
const post = (who: { id: string }, path: string, body?: object) => call(origin, as(who), 'POST', `/v1/enrolments${path}`, body)
const get = (who: { id: string }, path: string) => call(origin, as(who), 'GET', `/v1/enrolments${path}`)
const list = async (who: { id: string }, query = ''): Promise<string[]> => (await get(who, `?limit=100${query}`)).body.data.map(({ id }: { id: string }) => id)
const apply = async (who: { id: string }, body: object): Promise<Record<string, any>> => {
  const answer = await post(who, '', body)
  expect(answer).toMatchObject({ status: 201 })
  return answer.body
}
const ties = async (who: { id: string }) => (await call(origin, as(who), 'GET', '/v1/me')).body.affiliations
const said = ({ status, body: { code, errors } }: Answer) => ({ status, code, pointers: (errors as { pointer: string }[] | undefined)?.map(({ pointer }) => pointer) })

describe('党员报到', () => {
  test('by himself, pending; who it is, is shown to who verifies, for a reason, on record, and only while that is to be done', async () => {
    const member = await newcomer()
    const mine = await apply(member, { kind: 'party_member', organisation: 'BRANCH' })
    expect(mine).toMatchObject({ kind: 'party_member', tie: 'home', state: 'pending', organisation: { code: 'BRANCH' }, person: { id: member.id, name: '郑**' }, applicant: null, decidedBy: null })
    expect(await ties(member)).toEqual([])
    expect((await get(secretary, `/${mine.id}`)).body.applicant).toEqual({ name: '郑**', phone: '138****8000' })
    const reveal = (who: { id: string }, body: object = { reason: 'verify', fields: ['name', 'phone'] }) => post(who, `/${mine.id}/reveal`, body)
    const recorded = async () => (await database.owner.query<{ reveals: number; entries: number }>(`SELECT (SELECT count(*)::int FROM reveal WHERE "personId" = $1) AS reveals,
      (SELECT count(*)::int FROM audit_entry WHERE "objectId" = $1 AND action = 'person.revealed') AS entries`, [member.id])).rows[0]
    for (const [who, status] of [[member, 403], [viewer, 404], [otherSecretary, 404]] as const) expect((await reveal(who)).status).toBe(status)
    expect((await reveal(secretary, {})).status).toBe(400)
    expect(await recorded()).toEqual({ reveals: 0, entries: 0 })
    expect(await reveal(secretary)).toMatchObject({ status: 200, body: { person: member.id, name: '郑示例', phone: '13800138000', door: null } })
    expect(await recorded()).toEqual({ reveals: 1, entries: 1 })
    expect((await get(secretary, '?node=P&state=pending')).body.data.find(({ id }: { id: string }) => id === mine.id)).toMatchObject({ person: { name: '郑**' } })
    expect(JSON.stringify((await get(secretary, '?limit=100')).body)).not.toMatch(/郑示例|13800138000/)
    const { body } = await post(secretary, `/${mine.id}/verify`)
    expect(body).toMatchObject({ state: 'verified', decidedBy: secretary.id, verifiedAt: expect.any(String), applicant: null })
    expect(await reveal(secretary)).toMatchObject({ status: 409, body: { code: 'enrolment-decided' } })
    expect(await ties(member)).toEqual([{ kind: 'party_member', organisation: { code: 'BRANCH', name: '支部' } }])
  })

  test('双找, 双报到: a home and a residence branch, each verified by itself, and not two of either', async () => {
    const member = await newcomer()
    const residence = await apply(member, { kind: 'party_member', organisation: 'BRANCH', tie: 'residence' })
    const home = await apply(member, { kind: 'party_member', organisation: 'HOME' })
    await post(secretary, `/${residence.id}/verify`)
    expect((await ties(member)).map(({ organisation }: { organisation: { code: string } }) => organisation.code)).toEqual(['BRANCH'])
    // the home branch lies above what the secretary dispatches in: for him it is not there
    expect((await post(secretary, `/${home.id}/verify`)).status).toBe(404)
    await post(admin, `/${home.id}/verify`)
    expect((await ties(member)).map(({ organisation }: { organisation: { code: string } }) => organisation.code).sort()).toEqual(['BRANCH', 'HOME'])
    for (const again of [{ organisation: 'BRANCH' }, { organisation: 'HOME', tie: 'residence' }, { organisation: 'HOME' }]) {
      expect(await post(member, '', { kind: 'party_member', ...again })).toMatchObject({ status: 409, body: { code: 'already-enrolled' } })
    }
    // 双报到单位: the unit and the branch where one lives
    await apply(member, { kind: 'dual_unit', organisation: 'UNIT' })
    await apply(member, { kind: 'dual_unit', organisation: 'BRANCH', tie: 'residence' })
    expect(await list(member, '&kind=dual_unit')).toHaveLength(2)
  })

  test('twice at the same moment is one', async () => {
    const member = await newcomer()
    const answers = await Promise.all(Array.from({ length: 6 }, () => post(member, '', { kind: 'volunteer', organisation: 'TEAM' })))
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409, 409, 409, 409, 409])
  })

  test.each<[string, object, number, string, string | undefined]>([
    ['an unknown kind', { kind: 'tourist' }, 400, 'validation-failed', '/kind'],
    ['no organisation', { organisation: undefined }, 400, 'validation-failed', '/organisation'],
    ['an unknown organisation', { organisation: 'NOPE' }, 422, 'organisation-unknown', '/organisation'],
    ['one of another tenant', { organisation: 'FOREIGN' }, 422, 'organisation-unknown', '/organisation'],
    ['a property firm', { organisation: 'WY' }, 400, 'validation-failed', '/organisation'],
    ['a volunteer’s home', { kind: 'volunteer', organisation: 'TEAM', tie: 'home' }, 400, 'validation-failed', '/tie'],
    ['somebody else', { person: 'X' }, 400, 'validation-failed', '/person'],
    ['himself verified', { verifiedAt: '2026-01-01T00:00:00Z' }, 400, 'validation-failed', '/verifiedAt'],
    ['an enterprise as a party member', { organisation: undefined, enterprise: { name: 'x', uscc: USCC, node: 'P' } }, 400, 'validation-failed', '/enterprise'],
  ])('with %s is refused where it is', async (_, wrong, status, code, pointer) => {
    const { rows: [foreign] } = await database.owner.query(`SELECT id FROM organisation WHERE "tenantId" = $1`, [elsewhere.tenantId])
    const body = { kind: 'party_member', organisation: 'BRANCH', ...wrong }
    if (body.organisation === 'FOREIGN') body.organisation = foreign.id
    expect(said(await post(await newcomer(), '', body))).toEqual({ status, code, pointers: [pointer] })
  })

  test('an app by itself enrols nobody; ten undecided are enough', async () => {
    const { clientId } = await town.app()
    await database.owner.query(`UPDATE client SET scopes = '{directory:read,directory:write}' WHERE id = $1`, [clientId])
    expect((await call(origin, tokenFor(town.tenantId, clientId, 'app'), 'POST', '/v1/enrolments', { kind: 'volunteer', organisation: 'TEAM' })).status).toBe(403)
    const member = await newcomer()
    for (let n = 0; n < 10; n++) {
      await database.owner.query(`INSERT INTO organisation ("tenantId", id, "nodeId", code, name, kind) VALUES ($1, $2, $3, $4, $4, 'volunteer_team')`, [town.tenantId, uuidv7(), town.node.P, `TEAM-${n}`])
      await apply(member, { kind: 'volunteer', organisation: `TEAM-${n}` })
    }
    expect(await post(member, '', { kind: 'volunteer', organisation: 'TEAM' })).toMatchObject({ status: 409, body: { code: 'limit-reached' } })
  })
})

describe('核实', () => {
  const pending = async (who = newcomer()) => apply(await who, { kind: 'individual', organisation: 'BRANCH' })

  test('only by who administers or dispatches where the organisation is', async () => {
    const { id } = await pending()
    expect((await post(admin, `/${id}/verify`)).status).toBe(200)
    const other = await pending()
    const foreign = await elsewhere.person({ at: 'S', can: ['administer', 'dispatch'] })
    for (const who of [viewer, otherSecretary, await newcomer()]) for (const verb of ['verify', 'reject', 'end']) expect((await post(who, `/${other.id}/${verb}`, verb === 'reject' ? { reason: 'other' } : undefined)).status, verb).toBe(404)
    for (const path of ['', '/verify', '/end']) expect((await call(origin, tokenFor(elsewhere.tenantId, foreign.id), path === '' ? 'GET' : 'POST', `/v1/enrolments/${other.id}${path}`)).status, path).toBe(404)
    expect((await get(viewer, `/${other.id}`)).status).toBe(404)
  })

  test('never one’s own', async () => {
    const { id } = await apply(secretary, { kind: 'party_member', organisation: 'BRANCH' })
    for (const [verb, body] of [['verify'], ['reject', { reason: 'other' }], ['reveal', { reason: 'verify' }]] as const) expect(await post(secretary, `/${id}/${verb}`, body)).toMatchObject({ status: 403, body: { code: 'own-ask' } })
    expect((await get(secretary, `/${id}`)).body.applicant).toBeNull()
    await post(admin, `/${id}/verify`)
    expect(await ties(secretary)).toHaveLength(1)
  })

  test('once: of a verifier and a rejecter at the same moment one decides', async () => {
    for (let n = 0; n < 8; n++) {
      const { id } = await pending()
      const answers = await Promise.all([post(secretary, `/${id}/verify`), post(admin, `/${id}/reject`, { reason: 'not_found' })])
      expect(answers.map(({ status }) => status).sort()).toEqual([200, 409])
      expect(answers.find(({ status }) => status === 409)!.body.code).toBe('enrolment-decided')
    }
  })

  test('rejected: with a reason; it may be applied for again', async () => {
    const member = await newcomer()
    const { id } = await pending(Promise.resolve(member))
    expect(said(await post(secretary, `/${id}/reject`, {}))).toEqual({ status: 400, code: 'validation-failed', pointers: ['/reason'] })
    expect((await post(secretary, `/${id}/reject`, { reason: 'not_found' })).body).toMatchObject({ state: 'rejected', reason: 'not_found', verifiedAt: null, applicant: null })
    expect(await post(secretary, `/${id}/verify`)).toMatchObject({ status: 409, body: { code: 'enrolment-decided', state: 'rejected' } })
    expect((await pending(Promise.resolve(member))).state).toBe('pending')
  })

  test('ended by the branch or by oneself, and what was verified counts no more', async () => {
    const member = await newcomer()
    const { id } = await pending(Promise.resolve(member))
    await post(secretary, `/${id}/verify`)
    expect(await ties(member)).toHaveLength(1)
    expect((await post(secretary, `/${id}/end`, { reason: 'moved' })).body).toMatchObject({ state: 'ended', reason: 'moved' })
    expect(await ties(member)).toEqual([])
    expect((await post(member, `/${id}/end`)).status).toBe(409)
    const again = await pending(Promise.resolve(member))
    expect((await post(member, `/${again.id}/end`)).body.state).toBe('ended')
    expect((await post(secretary, `/${again.id}/verify`)).status).toBe(409)
  })

  test('the list shows each his own and what he decides on', async () => {
    const member = await newcomer()
    const { id } = await pending(Promise.resolve(member))
    expect(await list(member)).toEqual([id])
    expect(await list(secretary, '&state=pending')).toContain(id)
    expect(await list(secretary, '&state=verified,ended')).not.toContain(id)
    expect(await list(secretary, '&node=U')).toEqual([])
    expect(await list(secretary, '&organisation=BRANCH')).toContain(id)
    expect(await list(secretary, '&organisation=TEAM')).not.toContain(id)
    expect(await list(secretary, '&mine=true')).not.toContain(id)
    expect(await list(viewer)).toEqual([])
    expect(said(await get(secretary, '?node=C'))).toEqual({ status: 404, code: 'not-found', pointers: ['/query/node'] })
    expect(said(await get(member, '?node=P'))).toMatchObject({ status: 404 })
  })
})

describe('爱心企业', () => {
  const enterprise = { name: '示例爱心商超', uscc: USCC, node: 'C' }
  const organisations = async (): Promise<string[]> => (await call(origin, as(admin), 'GET', '/v1/organisations?limit=100')).body.data.map(({ code }: { code: string }) => code)

  test('an enterprise nobody knows is out of sight until its first agent is verified; then he acts for it', async () => {
    const [first, second] = [await newcomer(), await newcomer()]
    const application = await apply(first, { kind: 'enterprise', enterprise: { ...enterprise, uscc: ' 91350100m000100y43' } })
    expect(application).toMatchObject({ tie: null, organisation: { code: USCC, uscc: USCC, name: '示例爱心商超', kind: 'enterprise' } })
    expect(await organisations()).not.toContain(USCC)
    expect(await town.inside(() => findTarget(database.db, USCC, 'S/C/P/'))).toBeUndefined()
    // what is waited for stays as it was written
    expect((await apply(second, { kind: 'enterprise', enterprise: { ...enterprise, name: '别的名字' } })).organisation).toEqual(application.organisation)
    await post(admin, `/${application.id}/verify`)
    expect(await organisations()).toContain(USCC)
    expect(await town.inside(() => findTarget(database.db, USCC, 'S/C/P/'))).toMatchObject({ path: 'S/C/' })
    const me = (await call(origin, as(first), 'GET', '/v1/me')).body
    expect(me).toMatchObject({ affiliations: [{ kind: 'enterprise', organisation: { code: USCC } }], duties: [{ role: 'enterprise_agent', organisation: { code: USCC } }] })
    expect((await call(origin, as(second), 'GET', '/v1/me')).body).toMatchObject({ affiliations: [], duties: [] })
    // further agents come by the code
    const third = await newcomer()
    const joins = await apply(third, { kind: 'enterprise', organisation: USCC })
    expect(joins.organisation).toEqual(application.organisation)
    await post(admin, `/${joins.id}/verify`)
    await post(admin, `/${joins.id}/end`)
    expect((await call(origin, as(third), 'GET', '/v1/me')).body).toMatchObject({ affiliations: [], duties: [] })
    expect((await call(origin, as(first), 'GET', '/v1/me')).body.duties).toHaveLength(1)
  })

  test('one that an administrator wrote down is joined by its code, and there is no second of it', async () => {
    const uscc = '91371302MA0ABCDE0E'
    const write = (who: { id: string }, more: object = {}) => call(origin, as(who), 'POST', '/v1/organisations', { node: 'C', code: 'SHOP', name: '示例超市', kind: 'enterprise', uscc, ...more })
    expect((await write(secretary)).status).toBe(403)
    expect(await write(admin)).toMatchObject({ status: 201, body: { code: 'SHOP', uscc, node: { code: 'C' } } })
    expect(said(await write(admin))).toEqual({ status: 400, code: 'validation-failed', pointers: ['/code'] })
    expect(said(await write(admin, { code: 'SHOP-2' }))).toEqual({ status: 400, code: 'validation-failed', pointers: ['/uscc'] })
    expect(said(await write(admin, { uscc: USCC.replace('9', '8') }))).toMatchObject({ status: 400, pointers: ['/uscc'] })
    expect(said(await write(admin, { node: 'NOWHERE', code: 'X' }))).toMatchObject({ status: 422, pointers: ['/node'] })
    const agent = await newcomer()
    expect((await apply(agent, { kind: 'enterprise', enterprise: { name: '别的名字', uscc, node: 'P' } })).organisation).toMatchObject({ code: 'SHOP', name: '示例超市' })
    // and by a code that happens to be its credit code
    const other = '91371302MA0BCDEF0N'
    await write(admin, { code: other, uscc: undefined })
    expect((await apply(agent, { kind: 'enterprise', enterprise: { name: '别的名字', uscc: other, node: 'P' } })).organisation).toMatchObject({ code: other, uscc: null, name: '示例超市' })
  })

  test('a rejected one may be written down better', async () => {
    const agent = await newcomer()
    const other = '91371302MA0EXAMP0C'
    const { id } = await apply(agent, { kind: 'enterprise', enterprise: { name: '写错的名字', uscc: other, node: 'P' } })
    await post(admin, `/${id}/reject`, { reason: 'incomplete' })
    expect((await apply(agent, { kind: 'enterprise', enterprise: { name: '示例企业', uscc: other, node: 'C' } })).organisation.name).toBe('示例企业')
  })

  test.each<[string, object, string, string]>([
    ['a code with a wrong digit', { uscc: '91350100M000100Y44' }, 'validation-failed', '/enterprise/uscc'],
    ['a code of 17', { uscc: USCC.slice(0, 17) }, 'validation-failed', '/enterprise/uscc'],
    ['no name', { name: '' }, 'validation-failed', '/enterprise/name'],
    ['an unknown place', { node: 'NOWHERE' }, 'node-unknown', '/enterprise/node'],
  ])('%s is refused where it is', async (_, wrong, code, pointer) => {
    expect(said(await post(await newcomer(), '', { kind: 'enterprise', enterprise: { ...enterprise, ...wrong } }))).toEqual({ status: code === 'node-unknown' ? 422 : 400, code, pointers: [pointer] })
  })
})
