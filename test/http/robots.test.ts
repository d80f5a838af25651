import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { SCOPE_NAMES } from '../../src/domain/scopes.ts'
import { buildApp } from '../../src/http/app.ts'
import { authentication } from '../../src/http/auth.ts'
import { notificationRoutes } from '../../src/http/routes/notifications.ts'
import { quietHoursRoutes } from '../../src/http/routes/quiet-hours.ts'
import { robotRoutes } from '../../src/http/routes/robots.ts'
import { startRobots } from '../../src/jobs/robots.ts'
import { openEgress } from '../../src/outside/egress.ts'
import { openRobots } from '../../src/outside/robots.ts'
import { notifyOnce } from '../../src/service/notifications.ts'
import { relayOnce } from '../../src/service/relay.ts'
import { file } from '../../src/service/requests.ts'
import { signToken } from '../../src/service/tokens.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { eventually, keyring } from '../processes.ts'
import { startVendors, type Vendors } from '../vendors.ts'
import { expectProblem } from './expect-problem.ts'

/** Robots, quiet hours and inboxes over HTTP. Answers are checked against their schemas; what is logged is kept and searched. */

let database: TestDatabase
let town: TestPlace
let vendors: Vendors
let app: FastifyInstance
let admin: PersonActor, staff: PersonActor, resident: PersonActor
const egress = openEgress({ allowLoopback: true, allowCidrs: [] })
const strict = openEgress({ allowLoopback: false, allowCidrs: [] })
const logged: string[] = []
const answered: string[] = []
const log = pino({ level: 'trace' }, { write: (line: string) => void logged.push(line) })
const KEY = 'b7c2a1de-0000-4000-8000-00000000c0de'
const WECOM = `https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=${KEY}`

const build = (guard: typeof egress, hosts: string[]) => {
  const deps = { db: database.db, keyring, robots: openRobots({ egress: guard, hosts }), clock: Date.now }
  return buildApp({ log, checkAnswers: true, routes: [authentication(deps), robotRoutes(deps), quietHoursRoutes(deps), notificationRoutes(deps)] })
}

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database)
  vendors = await startVendors()
  ;[admin, staff, resident] = await Promise.all([town.person({ at: 'C', can: ['administer'] }), town.person({ can: ['view', 'dispatch'] }), town.person()])
  app = build(egress, [vendors.host])
})
afterAll(async () => {
  await app.close()
  await Promise.all([egress.close(), strict.close(), vendors.close()])
  await database.drop()
})

const token = (person: PersonActor, scopes = SCOPE_NAMES) => signToken(keyring, { tenantId: town.tenantId, kind: 'person', subject: person.id, clientId: null, scopes }, 'test', Date.now())
type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE' | 'PUT'
const call = async (method: Method, url: string, payload?: object, bearer = token(admin), to = app) => {
  const answer = await to.inject({ method, url: `/v1${url}`, headers: { authorization: `Bearer ${bearer}` }, ...(payload ? { payload } : {}) })
  answered.push(answer.body, JSON.stringify(answer.headers))
  return answer
}
const ok = async (answer: ReturnType<typeof call>, status = 200) => {
  const { statusCode, body, headers } = await answer
  expect({ statusCode, body }).toMatchObject({ statusCode: status })
  return { body: (body === '' ? null : JSON.parse(body)) as Record<string, any>, headers }
}
const robot = (channel: 'wecom' | 'dingtalk' | 'feishu', more: object = {}) => {
  const group = vendors.robot(channel)
  return { group, body: { channel, name: '网格群', node: 'P', url: group.url, ...(group.secret ? { secret: group.secret } : {}), ...more } }
}

describe('a robot', () => {
  test('is registered, read, listed, changed, tested and removed', async () => {
    const { group, body } = robot('dingtalk')
    const { body: made, headers } = await ok(call('POST', '/robots', body), 201)
    expect(headers.location).toBe(`/v1/robots/${made.id}`)
    expect(made).toMatchObject({ channel: 'dingtalk', name: '网格群', node: { code: 'P' }, signed: true, status: 'enabled', eventTypes: ['request.dispatched', 'request.redispatched', 'request.reminded', 'request.escalated'] })
    expect((await ok(call('GET', `/robots/${made.id}`))).body).toEqual(made)
    expect((await ok(call('GET', '/robots'))).body).toMatchObject({ data: [{ id: made.id }], page: { hasMore: false } })
    expect((await ok(call('PATCH', `/robots/${made.id}`, { name: '楼栋群', eventTypes: ['request.*'] }))).body).toMatchObject({ name: '楼栋群', eventTypes: ['request.*'], signed: true })

    const { body: trial } = await ok(call('POST', `/robots/${made.id}/test`), 202)
    expect(trial).toMatchObject({ type: 'robot.test', state: 'pending', number: null })
    const carrier = startRobots({ db: database.db, keyring, robots: openRobots({ egress, hosts: [vendors.host] }), log, link: 'http://x/{number}' })
    await eventually(async () => { await carrier.wake(); return group.said.length > 0 })
    await carrier.stop()
    expect(group.shown()).toEqual(['【心愿墙】测试消息：机器人已接入 P'])
    expect((await ok(call('GET', `/robots/${made.id}/messages?state=delivered`))).body.data).toMatchObject([{ id: trial.id, state: 'delivered' }])
    expect((await ok(call('GET', `/robots/${made.id}/messages?state=pending,leased`))).body.data).toEqual([])

    expectProblem(await call('POST', '/robots', { ...body, name: '又一个' }), 'robot-taken')
    await ok(call('DELETE', `/robots/${made.id}`), 204)
    expectProblem(await call('GET', `/robots/${made.id}`), 'not-found')
    expectProblem(await call('DELETE', `/robots/${made.id}`), 'not-found')
  })

  test.each<[string, object, string]>([
    ['a private address', { url: 'https://10.0.0.1/cgi-bin/webhook/send?key=0123456789' }, '/url'],
    ['this machine', { url: 'http://127.0.0.1:3000/cgi-bin/webhook/send?key=0123456789' }, '/url'],
    ['the metadata service', { url: 'http://169.254.169.254/cgi-bin/webhook/send?key=0123456789' }, '/url'],
    ['a host that looks like the vendor\'s', { url: `https://qyapi.weixin.qq.com.example.com/cgi-bin/webhook/send?key=${KEY}` }, '/url'],
    ['the vendor\'s host without TLS', { url: WECOM.replace('https', 'http') }, '/url'],
    ['the vendor as a user name', { url: `https://qyapi.weixin.qq.com@10.0.0.1/cgi-bin/webhook/send?key=${KEY}` }, '/url'],
    ['no URL', { url: 'wecom' }, '/url'],
    ['half a URL', { url: 'https://qyapi.weixin.qq.com/cgi-bin/webhook/send' }, '/url'],
    ['another vendor', { channel: 'dingtalk' }, '/url'],
    ['no vendor', { channel: 'slack' }, '/channel'],
    ['a secret for WeCom', { secret: 'SECx' }, '/secret'],
    ['an unknown type', { eventTypes: ['request.eaten'] }, '/eventTypes/0'],
    ['no types', { eventTypes: [] }, '/eventTypes'],
    ['no name', { name: '' }, '/name'],
    ['an unknown field', { headers: {} }, '/headers'],
  ])('with %s is refused where it is, also as a change', async (_, wrong, pointer) => {
    const guarded = build(strict, [])
    const pointers = (answer: Awaited<ReturnType<typeof call>>) => {
      expectProblem(answer, 'validation-failed')
      return answer.json<{ errors: { pointer: string }[] }>().errors.map((error) => error.pointer)
    }
    expect(pointers(await call('POST', '/robots', { channel: 'wecom', name: 'x', node: 'P', url: WECOM, ...wrong }, undefined, guarded))).toEqual([pointer])
    const { body: made } = await ok(call('POST', '/robots', { channel: 'wecom', name: 'x', node: 'P', url: WECOM }, undefined, guarded), 201)
    if (!('channel' in wrong)) {
      expect(pointers(await call('PATCH', `/robots/${made.id}`, wrong, undefined, guarded))).toEqual([pointer])
      expect((await ok(call('GET', `/robots/${made.id}`, undefined, undefined, guarded))).body).toEqual(made)
    }
    await ok(call('DELETE', `/robots/${made.id}`, undefined, undefined, guarded), 204)
    await guarded.close()
  })

  test('is for those who administer its place', async () => {
    const { body } = robot('wecom')
    expectProblem(await call('POST', '/robots', body, token(staff)), 'forbidden')
    expectProblem(await call('POST', '/robots', { ...body, node: 'S' }), 'forbidden')
    expectProblem(await call('POST', '/robots', { ...body, node: 'NOWHERE' }), 'node-unknown')
    expectProblem(await call('POST', '/robots', body, token(admin, ['requests:read'])), 'forbidden')
    expectProblem(await call('GET', '/robots', undefined, token(resident)), 'forbidden')
    const { body: made } = await ok(call('POST', '/robots', body), 201)
    expectProblem(await call('GET', `/robots/${made.id}`, undefined, token(staff)), 'not-found')
  })
})

test('quiet hours are read where they hold, set, and taken back', async () => {
  const fallback = { begins: '21:00', ends: '08:00', workingTimeOnly: true, setAt: null }
  expect((await ok(call('GET', '/quiet-hours?node=U'))).body).toMatchObject({ node: { code: 'U' }, ...fallback })
  expect((await ok(call('PUT', '/quiet-hours', { node: 'C', begins: '22:30', ends: '06:30', workingTimeOnly: false }))).body).toMatchObject({ node: { code: 'C' }, begins: '22:30', setAt: { code: 'C' } })
  expect((await ok(call('GET', '/quiet-hours?node=U'))).body).toMatchObject({ begins: '22:30', ends: '06:30', workingTimeOnly: false, setAt: { code: 'C' } })
  expect((await ok(call('DELETE', '/quiet-hours?node=C'))).body).toMatchObject(fallback)
  for (const [wrong, pointer] of [[{ begins: '25:00' }, '/begins'], [{ ends: '8:00' }, '/ends'], [{ workingTimeOnly: 'no' }, '/workingTimeOnly'], [{ from: '21:00' }, '/from']] as const) {
    expectProblem(await call('PUT', '/quiet-hours', Object.assign({ node: 'C', begins: '22:00', ends: '08:00', workingTimeOnly: true }, wrong)), 'validation-failed', { errors: [expect.objectContaining({ pointer })] })
  }
  expectProblem(await call('PUT', '/quiet-hours', { node: 'C', begins: '22:00', ends: '08:00', workingTimeOnly: true }, token(staff)), 'forbidden')
  expectProblem(await call('GET', '/quiet-hours?node=NOWHERE'), 'node-unknown')
})

test('an inbox is counted, filtered and marked as read', async () => {
  for (let n = 0; n < 3; n++) await town.inside(() => file(database.db, { item: 'corridor-light', title: '楼道灯坏了', node: 'U' }, resident))
  while ((await relayOnce(database.db)).moved > 0);
  while ((await notifyOnce(database.db)) > 0);
  const mine = (method: Method, path = '', payload?: object) => call(method, `/me/notifications${path}`, payload, token(staff))
  const { body: whole } = await ok(mine('GET'))
  expect(whole).toMatchObject({ unread: 3, data: [{ kind: 'intake', todo: '请受理', item: '楼道灯', node: { code: 'U' }, urgent: false, readAt: null }, {}, {}], page: { hasMore: false } })
  const [newest, second] = whole.data as { id: string }[]
  expect((await ok(mine('POST', `/${newest!.id}/read`))).body).toEqual({ unread: 2 })
  expect((await ok(mine('GET', '?unread=true'))).body.data.map(({ id }: { id: string }) => id)).toEqual(whole.data.slice(1).map(({ id }: { id: string }) => id))
  expect((await ok(mine('GET', '?limit=1'))).body).toMatchObject({ unread: 2, page: { hasMore: true } })
  expect((await ok(mine('POST', '/read', { upTo: second!.id }))).body).toEqual({ unread: 0 })
  expectProblem(await call('POST', `/me/notifications/${newest!.id}/read`, undefined, token(admin)), 'not-found')
  expectProblem(await mine('POST', '/read', {}), 'validation-failed', { errors: [expect.objectContaining({ pointer: '/upTo' })] })
  expectProblem(await mine('GET', '?unread=perhaps'), 'validation-failed')
  // an app has no inbox
  const client = await town.app()
  await database.owner.query('UPDATE client SET scopes = $1', [SCOPE_NAMES])
  const bearer = signToken(keyring, { tenantId: town.tenantId, kind: 'app', subject: client.clientId, clientId: client.clientId, scopes: SCOPE_NAMES }, 'test', Date.now())
  expect((await ok(call('GET', '/me/notifications', undefined, bearer))).body).toEqual({ data: [], page: { nextCursor: null, hasMore: false }, unread: 0 })
  expectProblem(await call('POST', '/me/notifications/read', { upTo: newest!.id }, bearer), 'forbidden')
})

test('no answer and no log line has held an address or a secret', async () => {
  const { group, body } = robot('dingtalk')
  const { body: made } = await ok(call('POST', '/robots', body), 201)
  await call('POST', '/robots', body) // taken
  await call('POST', '/robots', { ...body, name: '', secret: group.secret }) // refused
  await call('PATCH', `/robots/${made.id}`, { secret: group.secret, url: group.url })
  await call('PATCH', `/robots/${made.id}`, { secret: 5, url: 'https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=SECRETKEYSECRETKEY' })
  group.mood = 'echo'
  await ok(call('POST', `/robots/${made.id}/test`), 202)
  const carrier = startRobots({ db: database.db, keyring, robots: openRobots({ egress, hosts: [vendors.host] }), log, link: 'http://x/{number}' })
  await eventually(async () => { await carrier.wake(); return group.said.length > 0 })
  await carrier.stop()
  await ok(call('GET', `/robots/${made.id}/messages`))
  await ok(call('GET', `/robots/${made.id}`))
  const secrets = [group.secret!, new URL(group.url).searchParams.get('access_token')!, KEY, 'SECRETKEYSECRETKEY', 'access_token=', 'key=']
  expect(logged.length).toBeGreaterThan(50)
  for (const secret of secrets) {
    expect(logged.filter((line) => line.includes(secret)), secret).toEqual([])
    expect(answered.filter((line) => line.includes(secret)), secret).toEqual([])
  }
  // nor has the database, in the clear
  for (const table of ['robot', 'robot_message']) {
    const { rows } = await database.owner.query<{ row: string }>(`SELECT to_jsonb(t)::text AS row FROM ${table} t`)
    for (const secret of secrets.slice(0, 4)) expect(rows.filter(({ row }) => row.includes(secret) || row.includes(Buffer.from(secret).toString('hex')))).toEqual([])
  }
})
