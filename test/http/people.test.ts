import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { buildApp } from '../../src/http/app.ts'
import { authentication } from '../../src/http/auth.ts'
import { meRoutes } from '../../src/http/routes/me.ts'
import { oauthRoutes } from '../../src/http/routes/oauth.ts'
import { peopleRoutes } from '../../src/http/routes/people.ts'
import { inTenant } from '../../src/service/db.ts'
import { Lockout } from '../../src/service/lockout.ts'
import { createPerson } from '../../src/service/people.ts'
import { eraseSubject } from '../../src/service/subjects.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { call, keyring, tokenFor, type Answer } from '../processes.ts'

/** 人员 over real HTTP: who may be written down and found by whom, and who hands out passwords. */

let database: TestDatabase
let town: TestPlace, elsewhere: TestPlace
let app: FastifyInstance
let origin: string
const nowMs = Date.now()
const logged: string[] = []
let admin: PersonActor, chief: PersonActor, grid: PersonActor, inspector: PersonActor, resident: PersonActor, neighbour: PersonActor

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database, {}, 'ONE')
  elsewhere = await testPlace(database, {}, 'TWO')
  ;[admin, chief, grid, inspector, resident] = await Promise.all([
    town.person({ at: 'P', can: ['view', 'administer'] }), town.person({ at: 'S', can: ['view', 'administer', 'dispatch'] }),
    town.person({ at: 'P', can: ['view', 'file_for', 'dispatch'] }), town.person({ at: 'P', can: ['view', 'supervise'] }), town.person(),
  ])
  neighbour = await elsewhere.person({ at: 'S', can: ['view', 'administer', 'file_for'] })
  const deps = { db: database.db, keyring, clock: () => nowMs, lockout: new Lockout(), passwordGrant: true }
  app = buildApp({ log: pino({ level: 'info' }, { write: (line: string) => void logged.push(line) }), checkAnswers: true, routes: [authentication(deps), oauthRoutes(deps), meRoutes(deps), peopleRoutes(deps)] })
  origin = await app.listen({ port: 0, host: '127.0.0.1' })
})
afterAll(async () => {
  await app.close()
  await database.drop()
})

const as = (actor: PersonActor, at = town) => tokenFor(at.tenantId, actor.id)
const post = (actor: PersonActor, path: string, body?: object) => call(origin, as(actor), 'POST', path, body)
const get = (actor: PersonActor, path: string) => call(origin, as(actor), 'GET', path)
const register = async (actor: PersonActor, more: object = {}): Promise<Record<string, any>> => {
  const { status, body } = await post(actor, '/v1/people', { name: '袁示例', node: 'U', ...more })
  expect({ status, body }).toMatchObject({ status: 201 })
  return body
}
const ask = async (grant: object): Promise<{ status: number; body: Record<string, any> }> => {
  const answer = await fetch(`${origin}/oauth/token`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ ...grant, tenant: 'ONE' }) })
  return { status: answer.status, body: await answer.json() as Record<string, any> }
}
const logIn = (username: string, password: string) => ask({ grant_type: 'password', username, password })
const said = ({ status, body: { code, errors } }: Answer) => ({ status, code, pointers: (errors as { pointer: string }[] | undefined)?.map(({ pointer }) => pointer) })
const ids = ({ body }: Answer): string[] => body.data.map(({ id }: { id: string }) => id)

describe('登记', () => {
  test('a resident met at the door has no account and leaves masked', async () => {
    const answer = await post(grid, '/v1/people', { name: ' 袁示例 ', phone: '+86 138-0013-8001', door: '3-1-502', node: 'U' })
    expect(answer.headers.get('location')).toBe(`/v1/people/${answer.body.id}`)
    expect(answer.body).toMatchObject({ name: '袁**', phone: '138****8001', door: '***', login: null, hasAccount: false, node: { code: 'U' }, suspendedAt: null, oneTimePassword: null })
    const { body } = await get(grid, `/v1/people/${answer.body.id}`)
    const { oneTimePassword: _, ...rest } = answer.body
    expect(body).toEqual(rest)
    const { rows: [row] } = await database.owner.query('SELECT s.* FROM person p JOIN subject s ON s.id = p."subjectId" WHERE p.id = $1', [answer.body.id])
    expect(JSON.stringify(row)).not.toMatch(/袁|13800138001|502/)
  })

  test.each<[string, () => PersonActor, object, number]>([
    ['an inspector, who files for nobody', () => inspector, {}, 403],
    ['a resident', () => resident, {}, 403],
    ['grid staff, outside their compound', () => grid, { node: 'C' }, 403],
    ['grid staff, with an account', () => grid, { login: 'G1' }, 403],
    ['an administrator, above his node', () => admin, { node: 'S', login: 'A1' }, 403],
  ])('%s is refused', async (_, who, more, status) => {
    expect(await post(who(), '/v1/people', { name: '袁示例', node: 'U', ...more })).toMatchObject({ status, body: { code: 'forbidden' } })
  })

  test.each<[string, object, number, string, string]>([
    ['no name', { name: undefined }, 400, 'validation-failed', '/name'],
    ['a name of blanks', { name: '  ' }, 400, 'validation-failed', '/name'],
    ['a name with NUL', { name: 'a\0' }, 400, 'validation-failed', '/name'],
    ['a phone that is none', { phone: '12345' }, 400, 'validation-failed', '/phone'],
    ['a login with blanks', { login: 'a b' }, 400, 'validation-failed', '/login'],
    ['a password of its own', { password: 'secret secret' }, 400, 'validation-failed', '/password'],
    ['an unknown node', { node: 'NOWHERE' }, 422, 'node-unknown', '/node'],
    ['the node of another tenant', { node: 'FOREIGN' }, 422, 'node-unknown', '/node'],
  ])('%s is refused where it is', async (_, wrong, status, code, pointer) => {
    const node = 'node' in wrong && wrong.node === 'FOREIGN' ? { node: elsewhere.node.U } : {}
    expect(said(await post(admin, '/v1/people', { name: '袁示例', node: 'U', ...wrong, ...node }))).toEqual({ status, code, pointers: [pointer] })
  })

  test('a login is one person’s, in one tenant', async () => {
    await register(admin, { login: 'TAKEN' })
    expect(said(await post(admin, '/v1/people', { name: '李示例', node: 'U', login: 'TAKEN' }))).toEqual({ status: 400, code: 'validation-failed', pointers: ['/login'] })
    expect((await call(origin, as(neighbour, elsewhere), 'POST', '/v1/people', { name: '李示例', node: 'U', login: 'TAKEN' })).status).toBe(201)
  })
})

describe('查找', () => {
  test('by the whole phone number, in the actor’s places only', async () => {
    const [one, two] = [await register(grid, { phone: '13911112222' }), await register(chief, { phone: '13911112222', node: 'C' })]
    expect(ids(await get(chief, '/v1/people?phone=13911112222'))).toEqual([two.id, one.id])
    expect(ids(await get(grid, `/v1/people?phone=${encodeURIComponent('+86 139 1111 2222')}`))).toEqual([one.id])
    expect(ids(await get(grid, '/v1/people?phone=13911112223'))).toEqual([])
    expect(said(await get(grid, '/v1/people?phone=1391111'))).toMatchObject({ status: 400, pointers: ['/query/phone'] })
    expect((await call(origin, as(neighbour, elsewhere), 'GET', '/v1/people?phone=13911112222')).body.data).toEqual([])
    expect(logged.join('')).not.toContain('13911112222')
  })

  test('people belong where they live, hold a duty, or are of an organisation', async () => {
    const member = await town.person({ kinds: ['party_member'] })
    const seen = ids(await get(grid, '/v1/people?limit=100'))
    for (const id of [member.id, admin.id, grid.id, inspector.id]) expect(seen).toContain(id)
    for (const id of [chief.id, resident.id]) expect(seen).not.toContain(id)
    const all = ids(await get(chief, '/v1/people?limit=100'))
    for (const id of [...seen, chief.id, resident.id]) expect(all).toContain(id)
    expect(ids(await get(resident, '/v1/people'))).toEqual([resident.id])
    expect(ids(await get(chief, '/v1/people?node=U&limit=100'))).not.toContain(grid.id)
  })

  test('comes page by page, each once', async () => {
    for (const name of ['甲示例', '乙示例', '丙示例']) await register(grid, { name, node: 'B' })
    const seen: string[] = []
    let cursor = ''
    do {
      const { body } = await get(grid, `/v1/people?node=B&limit=2${cursor}`)
      seen.push(...body.data.map(({ id }: { id: string }) => id))
      cursor = body.page.hasMore ? `&cursor=${body.page.nextCursor}` : ''
    } while (cursor !== '')
    expect(seen).toEqual(ids(await get(grid, '/v1/people?node=B&limit=100')))
    expect(new Set(seen).size).toBe(seen.length)
    expect(said(await get(grid, '/v1/people?cursor=AAAA'))).toMatchObject({ status: 410, code: 'cursor-unusable' })
  })

  test('is 404 out of sight, with one body for there and not there', async () => {
    const far = await register(chief, { node: 'C', login: 'FAR' })
    const foreign = await elsewhere.person({ at: 'U', can: ['view'] })
    const bodies = []
    for (const ref of [far.id, 'FAR', foreign.id, uuidv7(), 'NOBODY']) {
      const { status, body: { requestId: _, ...body } } = await get(grid, `/v1/people/${ref}`)
      bodies.push({ status, body })
    }
    expect(new Set(bodies.map((each) => JSON.stringify(each))).size).toBe(1)
    expect(bodies[0]).toMatchObject({ status: 404, body: { code: 'not-found' } })
    expect((await get(chief, '/v1/people/FAR')).body.id).toBe(far.id)
    expect(said(await get(grid, '/v1/people?node=C'))).toEqual({ status: 404, code: 'not-found', pointers: ['/query/node'] })
    expect(said(await get(resident, '/v1/people?node=U'))).toMatchObject({ status: 404 })
    for (const path of ['suspend', 'resume', 'reset-password']) expect((await post(admin, `/v1/people/${foreign.id}/${path}`)).status, path).toBe(404)
    expect((await post(admin, `/v1/people/${foreign.id}`, { name: 'x' })).status).toBe(404)
  })

  test('an app finds the residents it brought and nobody else', async () => {
    const { clientId } = await town.app()
    await database.owner.query(`UPDATE client SET scopes = '{directory:read,directory:write}' WHERE id = $1`, [clientId])
    const token = tokenFor(town.tenantId, clientId, 'app')
    expect((await call(origin, token, 'GET', '/v1/people')).body.data).toEqual([])
    await database.owner.query(`INSERT INTO external_user ("tenantId", id, "clientId", provider, "appId", "openId", "personId", "createdAt") VALUES ($1, $2, $3, 'wechat', 'wx1', '\\x00', $4, now())`, [town.tenantId, uuidv7(), clientId, resident.id])
    expect(ids(await call(origin, token, 'GET', '/v1/people'))).toEqual([resident.id])
    expect((await call(origin, token, 'POST', '/v1/people', { name: 'x', node: 'U' })).status).toBe(403)
  })
})

describe('更正', () => {
  test('what is given is changed, null takes it away, and the blind index follows', async () => {
    const { id } = await register(grid, { phone: '13700000001', door: '1-1' })
    expect((await post(grid, `/v1/people/${id}`, { phone: '13700000002', door: null, node: 'B' })).body).toMatchObject({ name: '袁**', phone: '137****0002', door: null, node: { code: 'B' } })
    expect(ids(await get(grid, '/v1/people?phone=13700000001'))).toEqual([])
    expect(ids(await get(grid, '/v1/people?phone=13700000002'))).toEqual([id])
    expect((await post(grid, `/v1/people/${id}`, { phone: null })).body).toMatchObject({ phone: null })
    expect(ids(await get(grid, '/v1/people?phone=13700000002'))).toEqual([])
    expect(said(await post(grid, `/v1/people/${id}`, { node: 'C' }))).toEqual({ status: 403, code: 'forbidden', pointers: ['/node'] })
    expect((await post(inspector, `/v1/people/${id}`, { name: '王示例' })).status).toBe(403)
  })

  test('two at once both stay', async () => {
    const { id } = await register(grid)
    await Promise.all([post(grid, `/v1/people/${id}`, { phone: '13700000003' }), post(grid, `/v1/people/${id}`, { door: '9' })])
    expect((await get(grid, `/v1/people/${id}`)).body).toMatchObject({ name: '袁**', phone: '137****0003', door: '***' })
  })

  test('oneself gives a phone, and a name only while there is none', async () => {
    const { rows: [{ subjectId }] } = await database.owner.query('SELECT "subjectId" FROM person WHERE id = $1', [resident.id])
    const nameless = await inTenant(town.tenantId, () => createPerson(database.db, keyring, { name: '程示例' }))
    const self = { ...resident, id: nameless }
    expect((await post(self, `/v1/people/${nameless}`, { phone: '13700000004' })).body.phone).toBe('137****0004')
    expect((await post(self, `/v1/people/${nameless}`, { name: '别名' })).status).toBe(403)
    expect((await post(self, `/v1/people/${nameless}`, { node: 'U' })).status).toBe(403)
    // A test's plain person has no key at all, like one who was erased.
    expect(subjectId).toBeTruthy()
    expect(await post(resident, `/v1/people/${resident.id}`, { phone: '13700000005' })).toMatchObject({ status: 410, body: { code: 'person-erased' } })
  })

  test('an erased person is shown without a name', async () => {
    const { id } = await register(grid, { phone: '13700000006' })
    const { rows: [{ subjectId }] } = await database.owner.query('SELECT "subjectId" FROM person WHERE id = $1', [id])
    await inTenant(town.tenantId, () => eraseSubject(database.db, subjectId))
    expect((await get(grid, `/v1/people/${id}`)).body).toMatchObject({ name: null, phone: null, door: null })
  })
})

describe('账号', () => {
  const account = async (login: string, node = 'U') => ({ login, ...(await register(admin, { login, node })) as { id: string; oneTimePassword: string } })
  const me = (token: string) => call(origin, token, 'GET', '/v1/me')

  test('a one-time password is good for choosing another, and for nothing else', async () => {
    const { id, login, oneTimePassword } = await account('ONCE')
    expect(oneTimePassword).toMatch(/^[\w-]{16}$/)
    const token = (await logIn(login, oneTimePassword)).body.access_token as string
    expect((await me(token)).body).toMatchObject({ id, name: '袁示例' })
    expect(await call(origin, token, 'GET', '/v1/people')).toMatchObject({ status: 403, body: { code: 'password-change-required', title: '请先修改一次性密码' } })
    expect((await call(origin, token, 'POST', '/v1/me/password', { current: oneTimePassword, password: '墙上的灯今晚还亮着吗' })).status).toBe(204)
    expect((await call(origin, token, 'GET', '/v1/people')).status).toBe(200)
    expect((await logIn(login, oneTimePassword)).status).toBe(400)
    expect((await logIn(login, '墙上的灯今晚还亮着吗')).status).toBe(200)
  })

  test.each<[string, object, string]>([
    ['a wrong old one', { current: 'wrong wrong wrong' }, '/current'],
    ['a short new one', { password: 'abc123' }, '/password'],
    ['a new one of one letter', { password: 'aaaaaaaaaaaaaaa' }, '/password'],
    ['the old one again', { password: 'OLD' }, '/password'],
    ['one with the login in it', { password: 'my-login-pick-2026' }, '/password'],
    ['one of 129 characters', { password: 'ab'.repeat(60) + 'cdefghijk' }, '/password'],
    ['no old one', { current: undefined }, '/current'],
  ])('%s is refused where it is', async (title, wrong, pointer) => {
    const known = await get(chief, '/v1/people/PICK')
    const { oneTimePassword } = known.status === 404 ? await account('PICK') : (await post(admin, '/v1/people/PICK/reset-password')).body
    const token = (await logIn('PICK', oneTimePassword)).body.access_token as string
    const given = Object.fromEntries(Object.entries({ current: oneTimePassword, password: '又是一个很长的密码啊', ...wrong }).map(([key, value]) => [key, value === 'OLD' ? oneTimePassword : value]))
    expect(said(await call(origin, token, 'POST', '/v1/me/password', given)), title).toEqual({ status: 400, code: 'validation-failed', pointers: [pointer] })
    expect((await logIn('PICK', oneTimePassword)).status).toBe(200)
  })

  test('guessing the old one is counted with the logins', async () => {
    const { login, oneTimePassword } = await account('GUESS')
    const token = (await logIn(login, oneTimePassword)).body.access_token as string
    const guess = () => call(origin, token, 'POST', '/v1/me/password', { current: 'a wrong guess', password: '又是一个很长的密码啊' })
    for (let n = 0; n < 10; n++) expect((await guess()).status).toBe(400)
    expect((await guess()).status).toBe(429)
    expect((await logIn(login, oneTimePassword)).status).toBe(429)
    await database.owner.query(`UPDATE lockout SET until = now()`)
    expect((await logIn(login, oneTimePassword)).status).toBe(200)
  })

  test('reset: the old password and its sessions are over', async () => {
    const { login, oneTimePassword } = await account('RESET')
    const { refresh_token } = (await logIn(login, oneTimePassword)).body
    const { status, body } = await post(admin, `/v1/people/${login}/reset-password`)
    expect(status).toBe(200)
    expect((await logIn(login, oneTimePassword)).status).toBe(400)
    expect((await ask({ grant_type: 'refresh_token', refresh_token })).status).toBe(400)
    const token = (await logIn(login, body.oneTimePassword)).body.access_token as string
    expect((await call(origin, token, 'GET', '/v1/people')).body.code).toBe('password-change-required')
    const { id } = await register(grid)
    expect(await post(admin, `/v1/people/${id}/reset-password`)).toMatchObject({ status: 409, body: { code: 'no-account' } })
  })

  test('suspended people are out at once, and back when resumed', async () => {
    const { id, login, oneTimePassword } = await account('PAUSE')
    const { access_token: token, refresh_token } = (await logIn(login, oneTimePassword)).body
    expect((await post(admin, `/v1/people/${login}/suspend`)).body).toMatchObject({ id, suspendedAt: expect.any(String) })
    expect((await me(token)).status).toBe(401)
    expect((await logIn(login, oneTimePassword)).status).toBe(400)
    expect((await ask({ grant_type: 'refresh_token', refresh_token })).status).toBe(400)
    expect((await post(admin, `/v1/people/${login}/resume`)).body).toMatchObject({ id, suspendedAt: null })
    expect((await me(token)).status).toBe(200)
    expect((await post(admin, `/v1/people/${admin.id}/suspend`)).status).toBe(403)
  })

  test('who also has duties elsewhere is out of a lower administrator’s hands', async () => {
    const { id, login } = await account('BOTH')
    const role = await database.owner.query(`SELECT code FROM role WHERE "tenantId" = $1 LIMIT 1`, [town.tenantId])
    const duty = (node: string, from: string, standIn = false) => database.owner.query(
      `INSERT INTO duty ("tenantId", id, "personId", "standInId", "roleCode", "nodeId", "from") VALUES ($1, $2, $3, $4, $5, $6, $7)`,
      [town.tenantId, uuidv7(), standIn ? chief.id : id, standIn ? id : null, role.rows[0].code, node, from])
    const refused = async () => {
      for (const path of ['suspend', 'reset-password']) expect(await post(admin, `/v1/people/${login}/${path}`), path).toMatchObject({ status: 403, body: { code: 'forbidden' } })
      expect((await post(admin, `/v1/people/${login}`, { phone: '13700000007' })).status).toBe(403)
    }
    await duty(town.node.B, '2020-01-01Z')
    expect((await post(admin, `/v1/people/${login}/reset-password`)).status).toBe(200)
    // also one that is still to come, and one he only stands in for
    await duty(town.node.C, '2099-01-01Z')
    await refused()
    await database.owner.query('UPDATE duty SET "to" = "from" + interval \'1 day\' - interval \'90 years\', "from" = "from" - interval \'90 years\' WHERE "personId" = $1 AND "nodeId" = $2', [id, town.node.C])
    expect((await post(admin, `/v1/people/${login}/reset-password`)).status).toBe(200)
    await duty(town.node.S, '2020-01-01Z', true)
    await refused()
    expect((await post(chief, `/v1/people/${login}/reset-password`)).status).toBe(200)
  })

  test('is never managed through an app, whatever the person behind it may', async () => {
    const { login } = await account('APP')
    const { clientId } = await town.app()
    await database.owner.query(`UPDATE client SET scopes = '{directory:read,directory:write}' WHERE id = $1`, [clientId])
    const { signToken } = await import('../../src/service/tokens.ts')
    const token = signToken(keyring, { tenantId: town.tenantId, kind: 'person', subject: admin.id, clientId, scopes: ['directory:read', 'directory:write'] }, 'x', nowMs)
    expect((await call(origin, token, 'GET', `/v1/people/${login}`)).status).toBe(200)
    for (const path of ['suspend', 'resume', 'reset-password']) expect((await call(origin, token, 'POST', `/v1/people/${login}/${path}`)).status, path).toBe(403)
    expect(said(await call(origin, token, 'POST', '/v1/people', { name: 'x', node: 'U', login: 'NEW' }))).toEqual({ status: 403, code: 'forbidden', pointers: ['/login'] })
    expect((await call(origin, token, 'POST', '/v1/me/password', { current: 'x', password: '又是一个很长的密码啊' })).status).toBe(403)
  })
})
