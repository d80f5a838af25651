import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { buildApp } from '../../src/http/app.ts'
import { authentication } from '../../src/http/auth.ts'
import { keyedPosts } from '../../src/http/keyed-posts.ts'
import { bulkRoutes } from '../../src/http/routes/bulk.ts'
import { nodeRoutes } from '../../src/http/routes/nodes.ts'
import { operationRoutes } from '../../src/http/routes/operations.ts'
import { peopleRoutes } from '../../src/http/routes/people.ts'
import { requestRoutes } from '../../src/http/routes/requests.ts'
import { BULK, bulkWork } from '../../src/service/bulk-operation.ts'
import { list } from '../../src/service/list.ts'
import { stepOnce, type Work } from '../../src/service/operations.ts'
import { act, file } from '../../src/service/requests.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { call, keyring, tokenFor } from '../processes.ts'

/** Many at once, and once however often it is sent, over real HTTP. */

let database: TestDatabase
let town: TestPlace
let app: FastifyInstance
let origin: string
let resident: PersonActor, staff: PersonActor, admin: PersonActor, stranger: PersonActor

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database)
  ;[resident, staff, admin, stranger] = await Promise.all([
    town.person(), town.person({ can: ['view', 'dispatch', 'publish', 'file_for', 'approve'] }), town.person({ at: 'S', can: ['view', 'administer', 'file_for'] }), town.person(),
  ])
  const deps = { db: database.db, keyring, clock: Date.now }
  app = buildApp({
    log: pino({ level: 'silent' }), checkAnswers: true,
    routes: [authentication(deps), keyedPosts(deps), requestRoutes(deps), bulkRoutes(deps), operationRoutes(deps), nodeRoutes(deps), peopleRoutes(deps as never)],
  })
  origin = await app.listen({ port: 0, host: '127.0.0.1' })
})
afterAll(async () => {
  await app.close()
  await database.drop()
})

const as = (actor: PersonActor) => tokenFor(town.tenantId, actor.id)
const post = (path: string, body: object, actor = staff, headers: Record<string, string> = {}) => call(origin, as(actor), 'POST', path, body, headers)
const raw = async (path: string, body: object, actor: PersonActor, key: string) => {
  const answer = await fetch(`${origin}${path}`, { method: 'POST', headers: { authorization: `Bearer ${as(actor)}`, 'content-type': 'application/json', 'idempotency-key': key }, body: JSON.stringify(body) })
  return { status: answer.status, replayed: answer.headers.get('idempotency-replayed'), location: answer.headers.get('location'), text: await answer.text() }
}
const count = async (sql: string, values: unknown[] = []) => (await database.owner.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${sql}`, values)).rows[0]!.n
const wishes = (many: number, title = '灯不亮') => town.inside(() => Promise.all(Array.from({ length: many }, (_, n) => file(database.db, { item: 'corridor-light', title: `${title}${n}`, node: 'U' }, resident))))

describe('filing many', () => {
  const slips = () => ({ data: [
    { key: 'a', item: 'corridor-light', title: '一层灯不亮', node: 'U' }, { key: 'b', item: 'no-such-item', title: '二层', node: 'U' },
    { key: 'c', item: 'corridor-light', title: '', node: 'U' }, { key: 'd', item: 'corridor-light', title: '四层灯不亮', node: 'U' },
  ] })

  test('answers for each, in order; what is wrong with one harms none; sent again, nothing is filed again', async () => {
    const before = await count('request')
    const first = await post('/v1/requests/batch', slips(), resident)
    expect(first.status).toBe(200)
    expect(first.body.data.map(({ key, status }: { key: string; status: number }) => [key, status])).toEqual([['a', 201], ['b', 422], ['c', 400], ['d', 201]])
    expect(first.body.data[1].problem).toMatchObject({ code: 'item-unknown' })
    expect(first.body.data[2].problem).toMatchObject({ code: 'validation-failed', errors: [{ pointer: '/title' }] })
    const again = await post('/v1/requests/batch', slips(), resident)
    expect(again.body.data[0]).toEqual(first.body.data[0])
    expect(again.body.data[3]).toEqual(first.body.data[3])
    expect(await count('request')).toBe(before + 2)
    const other = await post('/v1/requests/batch', { data: [{ ...slips().data[0], title: '另一件' }] }, resident)
    expect(other.body.data[0]).toMatchObject({ status: 422, problem: { code: 'idempotency-key-reused' } })
  })

  test('under one key for the whole too, and is refused as a whole only when it is no list', async () => {
    const body = { data: [{ item: 'corridor-light', title: '五层灯不亮', node: 'U' }] }
    const [first, again] = [await post('/v1/requests/batch', body, resident, { 'idempotency-key': 'walk' }), await post('/v1/requests/batch', body, resident, { 'idempotency-key': 'walk' })]
    expect(again.body).toEqual(first.body)
    // Of the key as of any other: not for another body; what is refused in it is answered again as it was, byte for byte.
    expect((await post('/v1/requests/batch', { data: [{ ...body.data[0], title: '六层' }] }, resident, { 'idempotency-key': 'walk' })).body).toMatchObject({ status: 422, code: 'idempotency-key-reused' })
    const mixed = { data: [...body.data, { ...body.data[0], item: 'no-such-item' }] }
    const twice = [await raw('/v1/requests/batch', mixed, resident, 'mixed'), await raw('/v1/requests/batch', mixed, resident, 'mixed')]
    expect(twice.map(({ status, replayed }) => [status, replayed])).toEqual([[200, null], [200, 'true']])
    expect(twice[1]!.text).toBe(twice[0]!.text)
    expect((await post('/v1/requests/batch', { data: [] }, resident)).status).toBe(400)
    expect((await post('/v1/requests/batch', { data: Array(201).fill(body.data[0]) }, resident)).status).toBe(400)
  })
})

describe('one verb on many', () => {
  test('is decided for each, in order, by id or number; a stranger finds none', async () => {
    const made = await wishes(5)
    await town.inside(() => act(database.db, 'accept', made[1]!.id, {}, staff))
    const ids = [made[0]!.id, made[1]!.id, '01890000-0000-7000-8000-000000000000', made[2]!.number, made[2]!.id, made[3]!.id]
    const { status, body } = await post('/v1/bulk/accept', { ids, note: '统一受理' })
    expect(status).toBe(200)
    expect(body.data.map((one: { ref: string; status: number }) => [one.ref, one.status])).toEqual(ids.map((id, index) => [id, [200, 409, 404, 200, 409, 200][index]]))
    expect(body.data[0].request).toMatchObject({ state: 'accepted', version: 2 })
    expect(body.data[1].problem).toMatchObject({ code: 'transition-refused', state: 'accepted' })
    expect(await count(`text WHERE field = 'note' AND body = '统一受理'`)).toBe(3)
    expect((await post('/v1/bulk/accept', { ids: [made[4]!.id] }, stranger)).body.data[0]).toMatchObject({ status: 404 })
  })

  test('takes one commit for fifty, and a lost race is decided again', async () => {
    const made = await wishes(60)
    const [one, two] = await Promise.all([1, 2].map(() => post('/v1/bulk/accept', { ids: made.map(({ id }) => id) })))
    const statuses = made.map((_, index) => [one!.body.data[index].status, two!.body.data[index].status].sort().join())
    expect(new Set(statuses)).toEqual(new Set(['200,409']))
    expect(await count(`event WHERE verb = 'accept' AND "requestId" = ANY ($1)`, [made.map(({ id }) => id)])).toBe(60)
  })

  test('under a key is done once', async () => {
    const made = await wishes(3)
    const ids = made.map(({ id }) => id)
    await town.inside(async () => { for (const id of ids) await act(database.db, 'accept', id, {}, staff) })
    const send = () => post('/v1/bulk/raise', { ids, reason: '需要上级协调' }, staff, { 'idempotency-key': 'raise-once' })
    const [first, again] = [await send(), await send()]
    expect(first.body.data.map(({ status }: { status: number }) => status)).toEqual([200, 200, 200])
    expect(again.body).toEqual(first.body)
    expect(again.headers.get('idempotency-replayed')).toBe('true')
    expect(await count(`event WHERE verb = 'raise' AND "requestId" = ANY ($1)`, [ids])).toBe(3)
    expect((await post('/v1/bulk/raise', { ids: ids.slice(1), reason: '需要上级协调' }, staff, { 'idempotency-key': 'raise-once' })).body).toMatchObject({ status: 422, code: 'idempotency-key-reused' })
    expect((await post('/v1/bulk/accept', { ids }, staff, { 'idempotency-key': 'raise-once' })).body).toMatchObject({ status: 422, code: 'idempotency-key-reused' })
  })

  test('under a key, four at once, is done once and answered alike, also after a crash in its middle', async () => {
    const made = await wishes(6, '同时')
    const ids = made.map(({ id }) => id)
    // One of them was done by an answer that nobody got: its part is kept, the whole is not.
    const begun = (await post('/v1/bulk/accept', { ids }, staff, { 'idempotency-key': 'four' })).body
    await database.owner.query(`DELETE FROM idempotency WHERE key IN ('four', 'four/${ids[4]}', 'four/${ids[5]}')`)
    const sent = await Promise.all([1, 2, 3, 4].map(() => raw('/v1/bulk/accept', { ids }, staff, 'four')))
    expect(new Set(sent.map(({ text }) => text)).size).toBe(1)
    expect((JSON.parse(sent[0]!.text) as { data: { status: number }[] }).data.map(({ status }) => status)).toEqual([200, 200, 200, 200, 409, 409])
    expect(begun.data.map(({ status }: { status: number }) => status)).toEqual([200, 200, 200, 200, 200, 200])
    expect(await count(`event WHERE verb = 'accept' AND "requestId" = ANY ($1)`, [ids])).toBe(6)
  })

  test('wants ids or a filter, and the body of the verb', async () => {
    expect((await post('/v1/bulk/accept', {})).status).toBe(400)
    expect((await post('/v1/bulk/accept', { ids: ['x', 'x'] })).status).toBe(400)
    expect((await post('/v1/bulk/reject', { ids: ['x'], reason: 'nonsense' })).body).toMatchObject({ code: 'validation-failed', errors: [{ pointer: '/reason' }] })
    expect((await post('/v1/bulk/accept', { ids: ['x'], filter: {} })).status).toBe(400)
  })
})

describe('one verb on all that a list shows', () => {
  const drain = async (work: Work = bulkWork(database.db, keyring)) => {
    for (let went = await stepOnce(database.db, keyring, { [BULK]: work }); went; went = await stepOnce(database.db, keyring, { [BULK]: work })) if (went.error) throw went.error
  }

  test('is done in the background, in steps, each once, also after a crash in the middle of one', { timeout: 60_000 }, async () => {
    const made = await wishes(120, '停水')
    // Nothing but its key keeps an amendment from being made twice.
    const started = await post('/v1/bulk/amend', { filter: { q: '停水', state: ['filed'] }, grade: 'urgent' })
    expect(started.status).toBe(202)
    const location = started.headers.get('location')!
    const look = async (actor = staff) => call(origin, as(actor), 'GET', location)
    expect((await look()).body).toMatchObject({ kind: 'bulk', state: 'waiting', done: 0, total: 120 })
    expect((await look(stranger)).status).toBe(404)

    const whole = bulkWork(database.db, keyring)
    // The worker dies when the acts of its first step are done and nothing is recorded: its lease runs out.
    const went = await stepOnce(database.db, keyring, { [BULK]: async (task) => { await whole(task); throw new Error('killed') } })
    expect(went).toMatchObject({ ended: false })
    expect((await look()).body).toMatchObject({ state: 'running', done: 0 })
    await database.owner.query(`UPDATE operation SET "leasedUntil" = NULL`)
    await drain()
    expect((await look()).body).toMatchObject({ state: 'done', done: 120, failed: 0, errors: [] })
    expect(await count(`event WHERE verb = 'amend' AND "requestId" = ANY ($1)`, [made.map(({ id }) => id)])).toBe(120)
  })

  test('is started once under a key, by however many at once', async () => {
    await wishes(3, '停气')
    const before = await count('operation')
    const body = { filter: { q: '停气' }, grade: 'urgent' }
    const sent = [...await Promise.all([1, 2, 3, 4].map(() => raw('/v1/bulk/amend', body, staff, 'gas'))), await raw('/v1/bulk/amend', body, staff, 'gas')]
    expect(new Set(sent.map(({ status, location, text }) => `${status} ${location} ${text}`)).size).toBe(1)
    expect(sent[0]).toMatchObject({ status: 202, location: `/v1/operations/${(JSON.parse(sent[0]!.text) as { operation: string }).operation}` })
    expect(await count('operation')).toBe(before + 1)
    expect((await raw('/v1/bulk/amend', { ...body, grade: 'minor' }, staff, 'gas')).status).toBe(422)
    await drain()
  })

  test('tells which failed, and ends when its owner may no longer', async () => {
    const made = await wishes(4, '停电')
    const started = await post('/v1/bulk/accept', { filter: { q: '停电' } })
    await town.inside(() => act(database.db, 'accept', made[2]!.id, {}, staff))
    await drain()
    expect((await call(origin, as(staff), 'GET', started.headers.get('location')!)).body).toMatchObject({ state: 'done', done: 4, failed: 1, errors: [{ at: made[2]!.id, code: 'transition-refused' }] })

    const person = await town.person({ can: ['view', 'dispatch'] })
    const other = await post('/v1/bulk/accept', { filter: { q: '停电' } }, person)
    await database.owner.query(`UPDATE person SET "suspendedAt" = now() WHERE id = $1`, [person.id])
    database.db.memory.clear()
    await stepOnce(database.db, keyring, { [BULK]: bulkWork(database.db, keyring) })
    expect(await count(`operation WHERE id = $1 AND state = 'failed' AND errors @> '[{"code": "forbidden"}]'`, [other.body.operation])).toBe(1)
  })

  test('has one worker at a time', async () => {
    await post('/v1/bulk/accept', { filter: { q: '停电' } })
    let at = 0
    const slow: Work = async () => { at++; await new Promise((resolve) => setTimeout(resolve, 100)); return { done: 0, position: null, ended: true } }
    const went = await Promise.all([1, 2, 3].map(() => stepOnce(database.db, keyring, { [BULK]: slow })))
    expect([at, went.filter(Boolean).length]).toEqual([1, 1])
  })
})

describe('Idempotency-Key on what is no request', () => {
  const node = (code: string) => ({ parent: 'P', code, name: '新楼', level: 'building' })

  test('makes a node once, answers the same bytes with the same Location, and refuses another body', async () => {
    const send = async () => fetch(`${origin}/v1/nodes`, { method: 'POST', headers: { authorization: `Bearer ${as(admin)}`, 'content-type': 'application/json', 'idempotency-key': 'node-1' }, body: JSON.stringify(node('K1')) })
    const first = await send()
    expect(first.status).toBe(201)
    const [firstBytes, again] = [await first.text(), await send()]
    expect([again.status, again.headers.get('location'), again.headers.get('idempotency-replayed')]).toEqual([201, first.headers.get('location'), 'true'])
    expect(await again.text()).toBe(firstBytes)
    expect((await post('/v1/nodes', node('K2'), admin, { 'idempotency-key': 'node-1' })).body).toMatchObject({ code: 'idempotency-key-reused', status: 422 })
    expect(await count(`node WHERE code IN ('K1', 'K2')`)).toBe(1)
  })

  test('eight at once: one effect, the same answer for all', async () => {
    const before = await count('person')
    const answers = await Promise.all(Array.from({ length: 8 }, () => post('/v1/people', { name: '王示例', node: 'P' }, admin, { 'idempotency-key': 'person-once' })))
    expect(answers.map(({ status }) => status)).toEqual(Array(8).fill(201))
    expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1)
    expect(await count('person')).toBe(before + 1)
  })

  test('keeps nothing of what is refused, and decides it again', async () => {
    const refused = await post('/v1/nodes', { ...node('K3'), parent: 'NOWHERE' }, admin, { 'idempotency-key': 'node-3' })
    expect(refused.status).toBe(422)
    expect(await count(`idempotency WHERE key = 'node-3'`)).toBe(0)
    const taken = await post('/v1/nodes', node('K1'), admin, { 'idempotency-key': 'node-4' })
    expect(taken.status).toBe(400)
    expect((await post('/v1/nodes', node('K4'), admin, { 'idempotency-key': 'node-4' })).status).toBe(201)
  })
})

describe('search', () => {
  test('stays within the tenant, though it runs as the owner', async () => {
    const other = await testPlace(database, {}, 'OTHER')
    const [neighbour, clerk] = await Promise.all([other.person(), other.person({ at: 'S', can: ['view'] })])
    await other.inside(() => file(database.db, { item: 'corridor-light', title: '外街的井盖丢了', node: 'U' }, neighbour))
    expect((await other.inside(() => list(database.db, { q: '井盖', limit: 5, total: true }, clerk))).page.total).toEqual({ count: 1, more: false })
    expect((await town.inside(() => list(database.db, { q: '井盖', limit: 5, total: true }, staff))).page.total).toEqual({ count: 0, more: false })
    expect((await database.db.app.query(`SELECT * FROM wishwall_found('''井盖''', '井盖')`)).rows).toEqual([])
  })
})

describe('a twin that does not end', () => {
  test('is a 409 when the lock has timed out, for requests and for the rest', { timeout: 30_000 }, async () => {
    const holder = await database.owner.connect()
    const hold = (key: string, caller: string) => holder.query(`INSERT INTO idempotency ("tenantId", caller, key, fingerprint, status, answer, at) VALUES ($1, $2, $3, '\\x00', 201, '\\x00', now())`, [town.tenantId, caller, key])
    await holder.query('BEGIN')
    await hold('held', resident.id)
    await hold('held', admin.id)
    const [filed, made] = await Promise.all([
      post('/v1/requests', { item: 'corridor-light', title: '灯', node: 'U' }, resident, { 'idempotency-key': 'held' }), post('/v1/nodes', node5(), admin, { 'idempotency-key': 'held' }),
    ])
    await holder.query('ROLLBACK')
    holder.release()
    expect([filed.status, filed.body.code, made.status, made.body.code]).toEqual([409, 'idempotency-in-flight', 409, 'idempotency-in-flight'])
    expect((await post('/v1/nodes', node5(), admin, { 'idempotency-key': 'held' })).status).toBe(201)
  })
  const node5 = () => ({ parent: 'P', code: 'K5', name: '新楼', level: 'building' })
})
