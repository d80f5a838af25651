import type { FastifyInstance } from 'fastify'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { asEraser, overwriteOf } from '../../src/service/eraser.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { tokenFor } from '../processes.ts'
import { FORM, putProof } from './open311/town.ts'
import { wholeApi } from './whole-api.ts'

/** 填表、审核 (S2): an item asks, is answered, and is examined before anybody works on it. */

let database: TestDatabase
let town: TestPlace
let app: FastifyInstance
let resident: PersonActor, neighbour: PersonActor, examiner: PersonActor, unitHead: PersonActor, runner: PersonActor, admin: PersonActor

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database, { autoAccept: true })
  ;[resident, neighbour, examiner, unitHead, runner, admin] = await Promise.all([
    town.person(), town.person(), town.person({ can: ['view', 'dispatch'] }), town.person({ at: 'U', can: ['view'] }), town.person({ can: ['handle'] }), town.person({ at: 'S', can: ['administer'] }),
  ])
  app = await wholeApi(database.db)
  await putProof(database, town)
})
afterAll(async () => {
  await app.close()
  await database.drop()
})

interface Answer { status: number; body: any }
async function call(who: PersonActor, method: 'GET' | 'POST', url: string, payload?: object, headers: Record<string, string> = {}): Promise<Answer> {
  const { statusCode, body } = await app.inject({ method, url, headers: { authorization: `Bearer ${tokenFor(town.tenantId, who.id)}`, ...headers }, ...(payload && { payload }) })
  return { status: statusCode, body: JSON.parse(body) }
}
const FILLED = { use: 'school', copies: 1, idNumber: '11010119900101123X' }
const filing = (form: object | undefined = FILLED, who = resident) => call(who, 'POST', '/v1/requests', { item: 'residence-proof', title: '开居住证明', description: '孩子入学用', node: 'U', ...(form && { form }) })
const verb = (who: PersonActor, id: string, name: string, body: object = {}) => call(who, 'POST', `/v1/requests/${id}/${name}`, body)
const queue = async (who: PersonActor, name: string) => ((await call(who, 'GET', `/v1/me/queues/${name}`)).body.data as { id: string }[]).map(({ id }) => id)

describe('an item', () => {
  test('is published with its form and read with it, version by version', async () => {
    const item = { code: 'old-age-card', name: '老年证', kind: 'service', mode: 'dispatch', category: '代办', policy: 'standard', review: true, form: FORM }
    const made = await call(admin, 'POST', '/v1/items', item)
    expect(made).toMatchObject({ status: 201, body: { code: 'old-age-card', version: 1, review: true, form: { ...FORM, 'x-order': ['use', 'copies', 'idNumber', 'papers', 'note'] } } })
    expect((await call(admin, 'POST', '/v1/items', { ...item, form: null })).body).toMatchObject({ version: 2, form: null })
    expect((await call(resident, 'GET', '/v1/items/old-age-card')).body).toMatchObject({ version: 2, form: null })
    expect((await call(resident, 'GET', '/v1/items/residence-proof')).body.form).toEqual({ ...FORM, 'x-order': ['use', 'copies', 'idNumber', 'papers', 'note'] })
    expect((await call(resident, 'GET', '/v1/items/nothing')).status).toBe(404)
    expect((await call(examiner, 'POST', '/v1/items', item)).status).toBe(403)
  })

  test('is refused with a form that reaches out, or with a pattern that would never end', async () => {
    const put = (properties: object) => call(admin, 'POST', '/v1/items', { code: 'x-1', name: 'x', kind: 'service', mode: 'dispatch', category: 'x', policy: 'standard', form: { type: 'object', additionalProperties: false, properties } })
    expect(await put({ a: { $ref: 'http://127.0.0.1/x' } })).toMatchObject({ status: 400 })
    const costly = await put({ a: { type: 'string', title: 'x', maxLength: 100, pattern: '(a+)+$' } })
    expect(costly).toMatchObject({ status: 400, body: { errors: [{ pointer: '/form/properties/a/pattern' }] } })
    expect(await call(admin, 'POST', '/v1/items', { code: '12', name: 'x', kind: 'service', mode: 'dispatch', category: 'x', policy: 'standard' })).toMatchObject({ status: 400, body: { errors: [{ pointer: '/code' }] } })
    expect(await call(admin, 'POST', '/v1/items', { code: 'x-2', name: 'x', kind: 'service', mode: 'dispatch', category: 'x', policy: 'standard', gradePolicies: { urgent: 'nowhere' } }))
      .toMatchObject({ status: 400, body: { errors: [{ pointer: '/gradePolicies/urgent' }] } })
  })
})

describe('what is filled in', () => {
  test('is checked field by field, in both languages', async () => {
    const wrong = { use: 'travel', copies: 9.5, idNumber: '12', papers: ['id', 'id'], extra: '1' }
    const body = { item: 'residence-proof', title: '开居住证明', node: 'U', form: wrong }
    const found = async (language: string) => (await call(resident, 'POST', '/v1/requests', body, { 'accept-language': language })).body.errors as { pointer: string; code: string; message: string }[]
    const [zh, en] = [await found('zh'), await found('en')]
    expect(zh.map(({ pointer, code }) => `${pointer} ${code}`).sort()).toEqual([
      '/form/copies too-big', '/form/copies type', '/form/extra unknown', '/form/idNumber format', '/form/papers value', '/form/use value',
    ])
    for (const { message } of zh) expect(message).toMatch(/\p{Script=Han}/u)
    for (const { message } of en) expect(message).toMatch(/^[\x20-\x7e]+$/)
    expect((await filing({ use: 'work' })).body).toMatchObject({ status: 400, errors: [{ pointer: '/form/copies', code: 'required' }] })
    expect((await call(resident, 'POST', '/v1/requests', { item: 'residence-proof', title: '开居住证明', node: 'U' })).body.errors).toHaveLength(2)
    expect((await call(resident, 'POST', '/v1/requests', { item: 'corridor-light', title: '灯', node: 'U', form: {} })).body.errors).toMatchObject([{ pointer: '/form', code: 'unknown' }])
  })

  test('is shown with the words; what is personal only to whom it belongs, and for a reason, on record and not without end, to who may be shown him', async () => {
    const { body: { id } } = await filing()
    const read = async (who: PersonActor) => (await call(who, 'GET', `/v1/requests/${id}/details`)).body.form
    const reveal = (who: PersonActor, body: object = { reason: 'verify', fields: ['form'] }) => call(who, 'POST', `/v1/requests/${id}/reveal`, body)
    expect(await read(resident)).toMatchObject({ item: 'residence-proof', answers: FILLED, withheld: [], schema: FORM })
    for (const who of [unitHead, examiner]) expect(await read(who)).toMatchObject({ answers: { use: 'school', copies: 1 }, withheld: ['idNumber'] })
    const recorded = async () => (await database.owner.query<{ entries: number; reveals: number }>(`SELECT (SELECT count(*)::int FROM audit_entry WHERE action = 'request.revealed' AND "objectId" = $1) AS entries,
      (SELECT count(*)::int FROM reveal WHERE "requestId" = $1) AS reveals`, [id])).rows[0]
    expect((await reveal(unitHead)).status).toBe(403)
    expect((await reveal(examiner, { fields: ['form'] })).status).toBe(400)
    expect(await recorded()).toEqual({ entries: 0, reveals: 0 })
    expect(await reveal(examiner)).toMatchObject({ status: 200, body: { form: { idNumber: FILLED.idNumber }, data: [{ person: resident.id, name: null, phone: null, door: null }] } })
    expect(await recorded()).toEqual({ entries: 1, reveals: 1 })
    expect((await reveal(examiner, { reason: 'contact', fields: ['phone'] })).body.form).toBeNull()
    expect((await reveal(examiner, { reason: 'contact' })).body.form).toEqual({ idNumber: FILLED.idNumber })
    await database.owner.query(`UPDATE tenant SET settings = settings || '{"privacy": {"revealsPerDay": 3}}' WHERE id = $1`, [town.tenantId])
    database.db.memory.clear()
    expect((await reveal(examiner)).status).toBe(429)
    await database.owner.query(`UPDATE tenant SET settings = settings - 'privacy' WHERE id = $1`, [town.tenantId])
    database.db.memory.clear()
    expect((await call(neighbour, 'GET', `/v1/requests/${id}/details`)).status).toBe(404)
    const events = JSON.stringify((await call(unitHead, 'GET', `/v1/requests/${id}/events`)).body)
    expect(events).toContain('school')
    expect(events).not.toContain(FILLED.idNumber)
  })

  test('lies nowhere in clear where it is personal, and goes with the person', async () => {
    const { body: { id } } = await filing({ ...FILLED, note: '备注里的话' }, neighbour)
    const { rows: tables } = await database.owner.query<{ table: string }>(`SELECT tablename AS table FROM pg_tables WHERE schemaname = 'public'`)
    for (const { table } of tables) {
      const { rows } = await database.owner.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${table} t WHERE t::text LIKE '%11010119900101123X%'`)
      expect(rows[0]!.n, table).toBe(0)
    }
    const form = async () => (await call(examiner, 'GET', `/v1/requests/${id}/details`)).body
    expect((await form()).form.answers).toMatchObject({ note: '备注里的话' })
    const personal = async () => (await call(examiner, 'POST', `/v1/requests/${id}/reveal`, { reason: 'verify' })).body.form
    expect(await personal()).toEqual({ idNumber: FILLED.idNumber })
    await town.inside(() => asEraser(database.db, (client) => overwriteOf(client, neighbour.id)))
    expect((await form()).form.answers).toEqual({})
    expect(await personal()).toBeNull()
    const { rows: [left] } = await database.owner.query(`SELECT s.key, s.sealed, s."erasedAt" IS NOT NULL AS erased FROM form_answer f JOIN subject s ON s.id = f."subjectId" WHERE f."requestId" = $1`, [id])
    expect(left).toEqual({ key: null, sealed: null, erased: true })
  })
})

describe('审核', () => {
  test('what is to be examined waits in a queue of its own, though all else is accepted by itself', async () => {
    const { body: { id, state } } = await filing()
    expect(state).toBe('filed')
    const plain = (await call(resident, 'POST', '/v1/requests', { item: 'corridor-light', title: '灯不亮', node: 'U' })).body
    expect(plain.state).toBe('accepted')
    expect(await queue(examiner, 'to_examine')).toContain(id)
    expect(await queue(examiner, 'to_accept')).not.toContain(id)
    expect(await queue(resident, 'to_examine')).toEqual([])
    const queues = (await call(examiner, 'GET', '/v1/me/queues')).body.data as { queue: string; name: string; count: number }[]
    expect(queues.find((one) => one.queue === 'to_examine')).toMatchObject({ name: '待审核', count: (await queue(examiner, 'to_examine')).length })
    const listed = async (query: string) => ((await call(examiner, 'GET', `/v1/requests?${query}`)).body.data as { id: string }[]).map((one) => one.id)
    expect(await listed('state=filed&review=true')).toEqual(await queue(examiner, 'to_examine'))
    expect(await listed('review=true')).not.toContain(plain.id)
    expect(await listed('review=false')).toContain(plain.id)
    expect(await listed('review=false')).not.toContain(id)
  })

  test('returned, completed with the form filled in anew, approved, handled', async () => {
    const { body: { id } } = await filing({ ...FILLED, copies: 5 })
    expect((await verb(examiner, id, 'return', { reason: 'incomplete', note: '只能开一份' })).body.state).toBe('returned')
    expect(await queue(resident, 'returned')).toContain(id)
    expect((await verb(resident, id, 'resubmit', { form: { use: 'nowhere', copies: 1 } })).body).toMatchObject({ status: 400, errors: [{ pointer: '/form/use' }] })
    expect((await verb(resident, id, 'resubmit', { form: { ...FILLED, idNumber: '110101199001011234' } })).body.state).toBe('filed')
    expect((await call(examiner, 'GET', `/v1/requests/${id}/details`)).body.form.answers).toEqual({ use: 'school', copies: 1 })
    expect((await call(examiner, 'POST', `/v1/requests/${id}/reveal`, { reason: 'verify' })).body.form).toEqual({ idNumber: '110101199001011234' })
    expect(await queue(examiner, 'to_examine')).toContain(id)
    expect((await verb(examiner, id, 'accept')).body.state).toBe('accepted')
    expect(await queue(examiner, 'to_examine')).not.toContain(id)
    expect(await queue(examiner, 'to_dispatch')).toContain(id)
    await database.owner.query(`UPDATE person SET login = 'RUN1' WHERE id = $1`, [runner.id])
    expect((await verb(examiner, id, 'dispatch', { to: 'RUN1' })).body.state).toBe('dispatched')
    expect((await call(runner, 'POST', `/v1/requests/${id}/reveal`, { reason: 'visit', fields: ['form'] })).body.form.idNumber).toBe('110101199001011234')
  })

  test('rejected', async () => {
    const { body: { id } } = await filing()
    expect((await verb(examiner, id, 'reject', { reason: 'unverifiable', note: '查无此人' })).body.state).toBe('rejected')
    expect(await queue(examiner, 'to_examine')).not.toContain(id)
  })

  test('nobody approves what he asks for himself, nor resolves it on the spot', async () => {
    const { body: { id, allowed } } = await filing(FILLED, examiner)
    expect(allowed).not.toContain('accept')
    expect((await verb(examiner, id, 'accept')).body).toMatchObject({ status: 403, code: 'own-ask' })
    const clerk = await town.person({ can: ['view', 'file_for'] })
    expect((await call(clerk, 'POST', '/v1/requests', { item: 'residence-proof', title: 'x', node: 'U', form: FILLED, resolvedOnSpot: { outcome: '已开' } })).body)
      .toMatchObject({ status: 400, errors: [{ pointer: '/resolvedOnSpot' }] })
  })
})
