import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { buildApp } from '../../src/http/app.ts'
import { authentication } from '../../src/http/auth.ts'
import { keyedPosts } from '../../src/http/keyed-posts.ts'
import { attachmentRoutes } from '../../src/http/routes/attachments.ts'
import { peopleRoutes } from '../../src/http/routes/people.ts'
import { privacyRoutes } from '../../src/http/routes/privacy.ts'
import { requestRoutes } from '../../src/http/routes/requests.ts'
import { personActor } from '../../src/service/actors.ts'
import { keepUpload } from '../../src/service/attachments.ts'
import { residentOf } from '../../src/service/external-users.ts'
import { Lockout } from '../../src/service/lockout.ts'
import { startOperation } from '../../src/service/operations.ts'
import { createPerson } from '../../src/service/people.ts'
import { testShelf, type Shelf } from '../attachments.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { pdf } from '../pictures.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { call, keyring, tokenFor } from '../processes.ts'

/** 显示、副本、删除 over real HTTP: who is shown whom and until when, what a copy holds, and what is left of the erased. */

let database: TestDatabase
let shelf: Shelf
let town: TestPlace, elsewhere: TestPlace
let app: FastifyInstance
let origin: string
const logged: string[] = []
let admin: PersonActor, chief: PersonActor, grid: PersonActor, handler: PersonActor, other: PersonActor, caller: PersonActor, inspector: PersonActor, member: PersonActor

beforeAll(async () => {
  database = await freshDatabase()
  shelf = await testShelf(database)
  town = await testPlace(database, {}, 'ONE')
  elsewhere = await testPlace(database, {}, 'TWO')
  ;[admin, chief, grid, handler, other, caller, inspector, member] = await Promise.all([
    town.person({ at: 'S', can: ['view', 'administer'] }), town.person({ at: 'P', can: ['view', 'dispatch', 'publish'] }), town.person({ at: 'P', can: ['view', 'file_for'] }),
    town.person({ at: 'P', can: ['handle'] }), town.person({ at: 'P', can: ['handle'] }), town.person({ at: 'P', can: ['view', 'follow_up'] }), town.person({ at: 'S', can: ['view'] }),
    town.person({ kinds: ['party_member'] }),
  ])
  const deps = { db: database.db, keyring, clock: Date.now, lockout: new Lockout() }
  app = buildApp({
    log: pino({ level: 'info' }, { write: (line: string) => void logged.push(line) }), checkAnswers: true,
    routes: [authentication(deps), keyedPosts(deps), requestRoutes(deps), peopleRoutes(deps), privacyRoutes(deps), attachmentRoutes({ ...shelf, db: database.db })],
  })
  origin = await app.listen({ port: 0, host: '127.0.0.1' })
})
afterAll(async () => {
  await app.close()
  await shelf.close()
  await database.drop()
})

const as = (actor: { id: string }, at = town) => tokenFor(at.tenantId, actor.id)
const post = (actor: { id: string }, path: string, body?: object) => call(origin, as(actor), 'POST', path, body)
const get = (actor: { id: string }, path: string) => call(origin, as(actor), 'GET', path)
const rows = async <T extends object = Record<string, any>>(sql: string, values: unknown[] = []): Promise<T[]> => (await database.owner.query<T>(sql, values)).rows
const done = async (answer: ReturnType<typeof call>): Promise<Record<string, any>> => {
  const { status, body } = await answer
  expect(body.code ?? status).toBeOneOf([200, 201])
  return body
}
const petitioner = { name: '王示例', phone: '13800138000', door: '3-1-502' }
const filed = (more: object = {}) => done(post(grid, '/v1/requests', { item: 'corridor-light', title: '灯不亮', node: 'U', filer: petitioner, ...more }))
const verb = (actor: { id: string }, id: string, name: string, body: object = {}) => done(post(actor, `/v1/requests/${id}/${name}`, body))
const reveal = (actor: { id: string }, id: string, body: object = { reason: 'contact' }) => post(actor, `/v1/requests/${id}/reveal`, body)
/** In the hands of `handler`. */
async function inWork(more: object = {}): Promise<string> {
  const { id } = await filed(more)
  await verb(chief, id, 'accept')
  await verb(chief, id, 'dispatch', { to: handler.id })
  await verb(handler, id, 'sign')
  return id
}
const resident = async (more: object = {}): Promise<PersonActor> => {
  const id = await town.inside(() => createPerson(database.db, keyring, { ...petitioner, nodeId: town.node.U, ...more }))
  return (await town.inside(() => personActor(database.db, id, null)))!
}

describe('诉求人', () => {
  test('is nobody whom the caller could not find himself: a request is no way to be shown somebody else’s data', async () => {
    const far = await town.inside(() => createPerson(database.db, keyring, { ...petitioner, name: '远示例' }))
    const unitStaff = await town.person({ at: 'U', can: ['view', 'file_for', 'dispatch'] })
    const at = (who: { id: string }, body: object) => post(who, '/v1/requests', { item: 'corridor-light', title: '灯不亮', node: 'U', ...body })
    const [near, other] = [await resident(), await resident({ nodeId: town.node.S })]
    for (const party of ['filer', 'beneficiary', 'guardian']) {
      for (const stranger of [far, other.id, chief.id]) expect(await at(unitStaff, { [party]: stranger }), party).toMatchObject({ status: 422, body: { code: 'target-unknown', errors: [{ pointer: `/${party}` }] } })
      expect((await at(unitStaff, { [party]: near.id })).status).toBe(201)
    }
    for (const party of ['beneficiary', 'guardian']) {
      expect((await at(near, { [party]: other.id })).body.code).toBe('target-unknown')
      expect((await at(near, { [party]: near.id })).status).toBe(201)
    }
    // Who has asked here before is known here.
    const { id } = await done(at(near, { beneficiary: { name: '老示例', phone: '13800138009' } }))
    const { rows: [{ beneficiaryId }] } = await database.owner.query('SELECT "beneficiaryId" FROM request WHERE id = $1', [id])
    await database.owner.query('UPDATE person SET "nodeId" = NULL WHERE id = $1', [beneficiaryId])
    expect((await at(unitStaff, { filer: beneficiaryId })).status).toBe(201)
  })
})

describe('显示', () => {
  test('the request itself shows nobody, to nobody', async () => {
    const id = await inWork()
    for (const actor of [chief, handler, grid]) expect(JSON.stringify((await get(actor, `/v1/requests/${id}`)).body)).not.toMatch(/王示例|13800138000|3-1-502/)
  })

  test('the handler is shown whom he works for, as long as the work is his', async () => {
    const { id } = await filed()
    expect((await reveal(handler, id)).status).toBe(404)
    await verb(chief, id, 'accept')
    await verb(chief, id, 'dispatch', { to: handler.id })
    const { body } = await reveal(handler, id)
    expect(body.data).toEqual([{ ...petitioner, person: expect.any(String), as: ['filer'] }])
    await verb(handler, id, 'sign')
    expect((await reveal(handler, id, { reason: 'visit', fields: ['door'] })).body.data).toMatchObject([{ name: null, phone: null, door: petitioner.door }])
    await verb(chief, id, 'redispatch', { to: other.id })
    expect((await reveal(handler, id)).body.code).toBeOneOf(['forbidden', 'request-not-found'])
    expect((await reveal(other, id)).status).toBe(200)
    await verb(other, id, 'sign')
    await verb(other, id, 'complete', { outcome: '修好了' })
    expect(await reveal(other, id)).toMatchObject({ status: 403, body: { code: 'forbidden' } })
  })

  test('the dispatcher until it is closed, the caller while it waits for the call, and nobody besides', async () => {
    const id = await inWork()
    expect((await reveal(chief, id)).status).toBe(200)
    for (const actor of [caller, inspector, grid]) expect(await reveal(actor, id), 'in work').toMatchObject({ status: 403, body: { code: 'forbidden' } })
    expect((await reveal(member, id)).status).toBe(404)
    expect((await call(origin, as(chief, elsewhere), 'POST', `/v1/requests/${id}/reveal`, { reason: 'contact' })).status).toBe(401)
    await verb(handler, id, 'complete', { outcome: '修好了' })
    expect((await reveal(caller, id, { reason: 'follow_up' })).status).toBe(200)
    await verb(caller, id, 'follow-up', { reached: true, solved: 'solved', satisfaction: 'satisfied' })
    for (const actor of [caller, chief]) expect(await reveal(actor, id), 'closed').toMatchObject({ status: 403 })
  })

  test('a claimer needs the petitioner’s consent to it', async () => {
    const { id } = await filed({ item: 'companionship', consents: [{ purpose: 'wall', by: 'self', how: 'paper' }] })
    await verb(chief, id, 'accept')
    await verb(chief, id, 'place')
    expect(await reveal(member, id)).toMatchObject({ status: 403 })
    await verb(member, id, 'claim')
    expect(await reveal(member, id)).toMatchObject({ status: 403 })
    await verb(grid, id, 'consent', { purpose: 'contact_to_claimer', by: 'self', how: 'oral' })
    expect((await reveal(member, id)).body.data).toMatchObject([petitioner])
    await verb(grid, id, 'consent', { purpose: 'contact_to_claimer', by: 'self', how: 'oral', granted: false })
    expect(await reveal(member, id)).toMatchObject({ status: 403 })
  })

  test('of a confidential matter the handler alone, and whoever is complained of never', async () => {
    const secret = await inWork({ confidential: true })
    expect(await reveal(chief, secret)).toMatchObject({ status: 403 })
    expect((await reveal(handler, secret)).status).toBe(200)
    const complaint = await inWork({ respondent: handler.id })
    expect((await reveal(handler, complaint)).status).toBeOneOf([403, 404])
  })

  test('a person by those who may correct him', async () => {
    const { id } = await resident()
    expect((await get(grid, `/v1/people/${id}`)).body).toMatchObject({ name: '王**', phone: '138****8000', door: '***' })
    expect((await post(grid, `/v1/people/${id}/reveal`, { reason: 'verify' })).body).toEqual({ person: id, ...petitioner })
    expect(await post(inspector, `/v1/people/${id}/reveal`, { reason: 'verify' })).toMatchObject({ status: 403 })
    expect(await post(handler, `/v1/people/${id}/reveal`, { reason: 'verify' })).toMatchObject({ status: 404 })
    expect((await call(origin, as(chief, elsewhere), 'POST', `/v1/people/${id}/reveal`, { reason: 'verify' })).status).toBe(401)
  })

  test('without a reason of the list nothing is shown', async () => {
    const { id } = await resident()
    for (const body of [{}, { reason: 'curiosity' }, { reason: 'verify', fields: [] }, { reason: 'verify', fields: ['passwordHash'] }]) {
      expect(await post(grid, `/v1/people/${id}/reveal`, body)).toMatchObject({ status: 400, body: { code: 'validation-failed' } })
    }
  })

  test('is on record by ids and codes, and the words why are kept apart', async () => {
    const id = await inWork()
    await reveal(chief, id, { reason: 'contact', note: '王示例电话打不通' })
    const [shown] = await rows('SELECT v.reason, v.fields, v."actorId", v."requestId" FROM reveal v WHERE v."requestId" = $1', [id])
    expect(shown).toEqual({ reason: 'contact', fields: ['name', 'phone', 'door'], actorId: chief.id, requestId: id })
    const [entry] = await rows(`SELECT a.*, r.body FROM audit_entry a LEFT JOIN audit_reason r ON r."entryId" = a.id WHERE a.action = 'request.revealed' AND a."objectId" = $1`, [id])
    expect(entry).toMatchObject({ actorId: chief.id, objectKind: 'request', body: '王示例电话打不通', details: { reason: 'contact', standing: 'dispatcher', persons: 1 } })
    const { body: _, ...rest } = entry!
    expect(JSON.stringify(rest)).not.toMatch(/王示例|13800138000/)
    expect(logged.join('')).not.toMatch(/王示例|13800138000/)
  })

  test('is never kept for an Idempotency-Key: shown twice is counted twice', async () => {
    const { id } = await resident()
    for (const _ of [1, 2]) await done(call(origin, as(grid), 'POST', `/v1/people/${id}/reveal`, { reason: 'verify' }, { 'idempotency-key': 'again' }))
    expect(await rows('SELECT FROM reveal WHERE "personId" = $1', [id])).toHaveLength(2)
    expect(await rows(`SELECT FROM idempotency WHERE key = 'again'`)).toEqual([])
  })

  test('so many a day and no more, also all at once; then 429 says when', async () => {
    const greedy = await town.person({ at: 'P', can: ['view', 'file_for'] })
    const [limit, people] = [3, await Promise.all(Array.from({ length: 7 }, () => resident()))]
    await rows(`UPDATE tenant SET settings = settings || '{"privacy": {"revealsPerDay": 3}}' WHERE id = $1`, [town.tenantId])
    database.db.memory.clear()
    try {
      const answers = await Promise.all(people.map(({ id }) => post(greedy, `/v1/people/${id}/reveal`, { reason: 'verify' })))
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(limit)
      const refused = answers.filter(({ status }) => status !== 200)
      for (const { status, headers, body } of refused) {
        expect([status, body.code]).toEqual([429, 'rate-limited'])
        expect(Number(headers.get('retry-after'))).toBeGreaterThan(86_000)
        expect(Number(headers.get('retry-after'))).toBeLessThanOrEqual(86_400)
      }
      await rows(`UPDATE reveal SET at = at - interval '23 hours 59 minutes' WHERE "actorId" = $1`, [greedy.id])
      const { headers } = await post(greedy, `/v1/people/${people[0]!.id}/reveal`, { reason: 'verify' })
      expect(Number(headers.get('retry-after'))).toBeLessThanOrEqual(60)
      await rows(`UPDATE reveal SET at = at - interval '2 minutes' WHERE "actorId" = $1`, [greedy.id])
      expect((await post(greedy, `/v1/people/${people[0]!.id}/reveal`, { reason: 'verify' })).status).toBe(200)
    } finally {
      await rows(`UPDATE tenant SET settings = settings - 'privacy' WHERE id = $1`, [town.tenantId])
      database.db.memory.clear()
    }
  })
})

describe('副本', () => {
  test('holds what is known of oneself, and of nobody else', async () => {
    const me = await resident({ name: '赵示例', phone: '13900139001' })
    const he = await resident({ name: '钱示例', phone: '13900139002' })
    await done(post(me, '/v1/requests', { item: 'corridor-light', title: '我家门口的灯', description: '在三层', node: 'U' }))
    await done(post(he, '/v1/requests', { item: 'corridor-light', title: '他家门口的灯', node: 'U' }))
    const mine = await done(get(me, '/v1/me/export'))
    expect(mine).toMatchObject({
      person: { id: me.id, name: '赵示例', phone: '13900139001', door: petitioner.door, node: 'U' }, requests: [{ as: ['filer'], state: 'filed', item: '楼道灯' }], cutOff: [],
      acts: [{ verb: 'file' }], reveals: [],
    })
    expect(mine.texts.map(({ field, body }: Record<string, string>) => [field, body]).sort()).toEqual([['description', '在三层'], ['title', '我家门口的灯']])
    expect(JSON.stringify(mine)).not.toMatch(/钱示例|13900139002|他家/)
    const given = await done(post(admin, `/v1/people/${me.id}/export`, { reason: 'subject_request' }))
    expect(given.person).toMatchObject({ name: '赵示例' })
    expect(given.reveals).toMatchObject([{ reason: 'subject_request', fields: ['all'] }])
    expect((await rows(`SELECT "actorId", details FROM audit_entry WHERE action = 'subject.exported' AND "objectId" = $1 ORDER BY id`, [me.id]))).toEqual([
      { actorId: me.id, details: { self: true, reason: null } }, { actorId: admin.id, details: { self: false, reason: 'subject_request' } },
    ])
  })

  test('is given by an administrator in person, of people of his', async () => {
    const { id } = await resident()
    expect(await post(grid, `/v1/people/${id}/export`, { reason: 'subject_request' })).toMatchObject({ status: 403 })
    expect(await post(handler, `/v1/people/${id}/export`, { reason: 'subject_request' })).toMatchObject({ status: 404 })
    const appToken = await town.app()
    expect((await call(origin, tokenFor(town.tenantId, appToken.clientId, 'app'), 'GET', '/v1/me/export')).status).toBeOneOf([401, 403])
  })
})

describe('删除', () => {
  test('is refused while it is needed, and names what is open', async () => {
    const me = await resident()
    const { id, number } = await done(post(me, '/v1/requests', { item: 'corridor-light', title: '灯', node: 'U' }))
    expect(await post(admin, `/v1/people/${me.id}/erase`, { reason: 'asked' })).toMatchObject({ status: 409, body: { code: 'requests-open', requests: [number] } })
    expect(await post(me, '/v1/me/erase', { confirm: true })).toMatchObject({ status: 409, body: { code: 'requests-open' } })
    expect(await post(me, '/v1/me/erase', {})).toMatchObject({ status: 400 })
    await verb(me, id, 'withdraw')
    expect((await post(me, '/v1/me/erase', { confirm: true })).status).toBe(200)
    expect((await get(me, '/v1/me/export')).status).toBe(401)
    expect(await post(admin, `/v1/people/${handler.id}/erase`, { reason: 'asked' })).toMatchObject({ status: 409, body: { code: 'on-duty' } })
  })

  test('is for administrators in person', async () => {
    const { id } = await resident()
    for (const [actor, status] of [[grid, 403], [chief, 403], [handler, 404]] as const) expect((await post(actor, `/v1/people/${id}/erase`, { reason: 'asked' })).status).toBe(status)
    expect((await call(origin, as(chief, elsewhere), 'POST', `/v1/people/${id}/erase`, { reason: 'asked' })).status).toBe(401)
    expect(await post(admin, `/v1/people/${id}/erase`, { reason: 'because' })).toMatchObject({ status: 400 })
  })

  test('leaves ids and what happened, and nothing of the person', async () => {
    const { clientId } = await town.app()
    const user = { provider: 'wechat', appId: 'wx1', openId: 'oCANARY1' }
    const id = (await town.inside(() => residentOf(database.db, keyring, clientId, user)))!
    await done(post({ id }, `/v1/people/${id}`, { name: '孙示例', phone: '13900139003', door: '9-9-909' }))
    const me = (await town.inside(() => personActor(database.db, id, null)))!
    const upload = await town.inside(() => keepUpload(shelf, { bytes: pdf().length, read: async () => pdf() }, me))
    const { id: request, number } = await done(call(origin, as(me), 'POST', '/v1/requests',
      { item: 'companionship', title: '孙示例的心愿', description: '孙示例想有人陪', node: 'U', attachments: [upload.id], consents: [{ purpose: 'wall', by: 'self', how: 'app' }] }, { 'idempotency-key': 'k1' }))
    await verb(chief, request, 'accept', { note: '孙示例很急' })
    await verb(chief, request, 'place', { wallTitle: '老孙的心愿', wallText: '孙示例家' })
    await reveal(chief, request, { reason: 'contact', note: '给孙示例打电话' })
    await done(post(admin, `/v1/people/${id}/reveal`, { reason: 'verify', note: '孙示例来访' }))
    await verb(me, request, 'withdraw', { note: '孙示例不需要了' })
    const before = await rows('SELECT seq, verb, "actorId" FROM event WHERE "requestId" = $1 ORDER BY seq', [request])

    const erased = await done(post(admin, `/v1/people/${id}/erase`, { reason: 'consent_withdrawn' }))

    expect(await rows('SELECT seq, verb, "actorId" FROM event WHERE "requestId" = $1 ORDER BY seq', [request])).toEqual(before)
    expect((await rows('SELECT DISTINCT body FROM text WHERE "requestId" = $1', [request]))).toEqual([{ body: '〔已删除〕' }])
    expect(await rows('SELECT title, text FROM wall_entry WHERE "requestId" = $1', [request])).toEqual([{ title: '〔已删除〕', text: null }])
    expect(await rows('SELECT "erasedAt" IS NOT NULL AS gone FROM attachment WHERE id = $1', [upload.id])).toEqual([{ gone: true }])
    expect(await rows(`SELECT (SELECT count(*)::int FROM external_user WHERE "personId" = $1) AS links, (SELECT count(*)::int FROM idempotency WHERE caller = $1) AS answers`, [id])).toEqual([{ links: 0, answers: 0 }])
    expect(await rows('SELECT p.login, p."passwordHash", p."nodeId", s.key, s.sealed, s.phone FROM person p JOIN subject s ON s.id = p."subjectId" WHERE p.id = $1', [id]))
      .toEqual([{ login: null, passwordHash: null, nodeId: null, key: null, sealed: null, phone: null }])
    expect(await rows('SELECT id, "personId", reason, "actorId" FROM erasure WHERE "personId" = $1', [id])).toEqual([{ id: erased.id, personId: id, reason: 'consent_withdrawn', actorId: admin.id }])
    expect(await rows(`SELECT details FROM audit_entry WHERE action = 'erasure.done' AND "objectId" = $1`, [id])).toMatchObject([{ details: { reason: 'consent_withdrawn' } }])
    expect((await get(me, '/v1/requests')).status).toBe(401)
    expect((await get(admin, `/v1/people/${id}`)).body).toMatchObject({ name: null, phone: null, door: null })
    expect((await get(chief, `/v1/requests/${number}`)).body).toMatchObject({ title: '〔已删除〕', state: 'withdrawn' })
    expect(await post(admin, `/v1/people/${id}/erase`, { reason: 'asked' })).toMatchObject({ status: 410, body: { code: 'person-erased' } })
    expect(await post(grid, `/v1/people/${id}/reveal`, { reason: 'verify' })).toMatchObject({ status: expect.toBeOneOf([404, 403, 410]) })
    expect(await town.inside(() => residentOf(database.db, keyring, clientId, user))).not.toBe(id)
    await everyColumn(/孙示例|老孙|13900139003|9-9-909/)
  })

  test('takes the sheets along that brought the person or his requests, and no others', async () => {
    const gone = await resident()
    const { id: request } = await done(post(gone, '/v1/requests', { item: 'corridor-light', title: '灯不亮', node: 'U' }))
    await verb(gone, request, 'withdraw')
    const sheet = async (made: string, { ended = true } = {}) => {
      const id = await town.inside(() => startOperation(database.db, keyring, 'import', { rows: [{ values: petitioner }] }, admin))
      await database.owner.query(`INSERT INTO import_row ("tenantId", "operationId", row, state, "madeId") VALUES ($1, $2, 2, 'done', $3)`, [town.tenantId, id, made])
      if (ended) await database.owner.query(`UPDATE operation SET state = 'done', "endedAt" = now() WHERE id = $1`, [id])
      return id
    }
    const sheets = [await sheet(gone.id), await sheet(request), await sheet((await resident()).id), await sheet(gone.id, { ended: false })]
    await done(post(admin, `/v1/people/${gone.id}/erase`, { reason: 'asked' }))
    expect((await rows<{ id: string }>('SELECT id FROM operation WHERE id = ANY ($1) ORDER BY id', [sheets])).map(({ id }) => id)).toEqual(sheets.slice(2).sort())
  })

  test('ends an account and what others find by it', async () => {
    const login = `L${uuidv7().slice(-8)}`
    const { id } = await resident({ login, password: 'lamp-post-garden-9', phone: '13900139009' })
    expect((await get(admin, '/v1/people?phone=13900139009')).body.data).toHaveLength(1)
    await done(post(admin, `/v1/people/${id}/erase`, { reason: 'purpose_over' }))
    expect((await get(admin, '/v1/people?phone=13900139009')).body.data).toEqual([])
    expect((await get(admin, `/v1/people/${login}`)).status).toBe(404)
  })
})

/** Every table as text. */
async function everyColumn(never: RegExp): Promise<void> {
  for (const { table } of await rows<{ table: string }>(`SELECT relname AS table FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'`)) {
    for (const { row } of await rows<{ row: string }>(`SELECT t::text AS row FROM "${table}" t`)) expect(row, table).not.toMatch(never)
  }
}
