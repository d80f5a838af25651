import type { FastifyInstance } from 'fastify'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { act, file } from '../../src/service/requests.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { call, keyring, tokenFor } from '../processes.ts'
import { wholeApi } from './whole-api.ts'

/** 疑似重复 over real HTTP: what a filing proposes, and to whom. */

let database: TestDatabase
let town: TestPlace
let app: FastifyInstance
let origin: string
let worker: PersonActor, head: PersonActor, resident: PersonActor, neighbour: PersonActor, elsewhere: PersonActor

const token = (who: PersonActor) => tokenFor(town.tenantId, who.id)
const LIFT = { item: 'corridor-light', title: '二单元电梯坏了', node: 'U' }
const post = (who: PersonActor, more: object = {}, query = '') => call(origin, token(who), 'POST', `/v1/requests${query}`, { ...LIFT, ...more })
/** Numbers of what is proposed; undefined where nothing was looked for. */
const numbers = ({ duplicates }: { duplicates?: { request: { number: string } }[] }): string[] | undefined => duplicates?.map(({ request }) => request.number)
const proposed = async (who: PersonActor, more: object = {}, query = '') => {
  const { status, body } = await post(who, more, query)
  expect(status).toBe(201)
  return numbers(body)
}

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database)
  ;[worker, head, resident, neighbour] = await Promise.all([
    town.person({ at: 'C', can: ['view', 'file_for', 'dispatch'] }), town.person({ at: 'B', can: ['view', 'file_for'] }), town.person(), town.person(),
  ])
  elsewhere = await town.agentOf(await town.organisation('PROPERTY'))
  app = await wholeApi(database.db)
  origin = await app.listen({ host: '127.0.0.1', port: 0 })
})
afterAll(async () => {
  await app.close()
  await database.drop()
})

describe('a filing', () => {
  let lift: { id: string; number: string }

  test('by staff of the place says at once what it may repeat, most alike first', async () => {
    lift = await town.inside(() => file(database.db, LIFT, neighbour))
    const lamp = await town.inside(() => file(database.db, { ...LIFT, title: '二单元电梯灯不亮' }, neighbour))
    await town.inside(() => file(database.db, { ...LIFT, item: 'companionship', title: '想有人陪着下棋' }, neighbour))
    const { body } = await post(worker, { title: '二單元電梯壞了', node: 'B', filer: { name: '王示例' } })
    expect(numbers(body)).toEqual([lift.number, lamp.number])
    expect(body.duplicates[0]).toMatchObject({ likeness: 0.9, request: { id: lift.id, title: LIFT.title, filer: neighbour.id, allowed: expect.arrayContaining(['merge', 'accept']) } })
    // What is proposed is what the list of the filed one says.
    const { body: listed } = await call(origin, token(worker), 'GET', `/v1/requests/${body.id}/duplicates`)
    expect(listed.data).toEqual(body.duplicates)
    expect(await proposed(worker, { title: '门禁失灵' })).toEqual([])
  })

  test('by a resident tells him nothing of other people: his own when he asks', async () => {
    expect(await proposed(resident)).toBeUndefined()
    const { rows: [own] } = await database.owner.query<{ number: string }>(`SELECT number FROM request WHERE "filerId" = $1 AND source = 'app'`, [resident.id])
    const asked = await post(resident, {}, '?duplicates=true')
    expect(numbers(asked.body)![0]).toBe(own!.number)
    expect(asked.body.duplicates.every(({ request }: { request: { filer: string } }) => request.filer === resident.id)).toBe(true)
    expect(JSON.stringify(asked.body)).not.toContain(lift.number)
    // Nor do others' take the place of his own, which he said in other words.
    await town.inside(async () => { for (let n = 0; n < 5; n++) await file(database.db, { ...LIFT, title: '北门道闸失灵' }, neighbour) })
    const barrier = await post(resident, { title: '北门道闸失灵了抬不起来' })
    expect(await proposed(resident, { title: '北门道闸失灵' }, '?duplicates=true')).toEqual([barrier.body.number])
    // A duty in an organisation, or at another place, shows nothing more.
    expect(await proposed(elsewhere)).toBeUndefined()
    expect(await proposed(elsewhere, { title: '东门的电梯' }, '?duplicates=true')).toEqual([])
    expect((await post(resident, {}, '?duplicates=maybe')).status).toBe(400)
  })

  test('reaches no farther than he who files looks, nor than the compound', async () => {
    await database.owner.query(`INSERT INTO node ("tenantId", id, "parentId", code, name, level, path) VALUES ($1, '0195f2a0-7c1e-7abc-8def-0123456789b1', $2, 'B2', 'B2', 'building', 'S/C/P/B2/'), ($1, '0195f2a0-7c1e-7abc-8def-0123456789b2', $3, 'P2', 'P2', 'compound', 'S/C/P2/')`,
      [town.tenantId, town.node.P, town.node.C])
    const [next, far] = await town.inside(async () => [await file(database.db, { ...LIFT, title: '自行车棚漏雨', node: 'B2' }, neighbour), await file(database.db, { ...LIFT, title: '自行车棚漏雨', node: 'P2' }, neighbour)])
    const shed = { title: '自行车棚漏雨了' }
    expect(await proposed(head, shed)).toEqual([])
    const seen = await proposed(worker, shed)
    expect(seen).toContain(next.number)
    expect(seen).not.toContain(far.number)
    // What he does not see takes no place of what he sees.
    const own = await town.inside(async () => {
      for (let n = 0; n < 5; n++) await file(database.db, { ...LIFT, title: '快递柜打不开', node: 'B2' }, neighbour)
      return file(database.db, { ...LIFT, title: '快递柜打不开了没人管' }, neighbour)
    })
    expect(await proposed(head, { title: '快递柜打不开' })).toEqual([own.number])
  })

  test('of what is secret has none, and what is secret is none', async () => {
    const secret = await town.inside(() => file(database.db, { ...LIFT, title: '楼上每夜吵闹', confidential: true }, neighbour))
    expect(await proposed(worker, { title: '楼上每夜吵闹' })).toEqual([])
    expect(await proposed(worker, { title: '二单元电梯坏了', confidential: true })).toEqual([])
    const about = await town.inside(() => file(database.db, { ...LIFT, title: '网格员不上门', respondent: worker.id }, neighbour, { keyring }))
    expect(await proposed(worker, { title: '网格员不上门' })).toEqual([])
    expect([secret.state, about.state]).toEqual(['filed', 'filed'])
  })

  test('no longer proposes what has ended, or is a month old', async () => {
    const [ended, old] = await town.inside(async () => {
      const [one, two] = [await file(database.db, { ...LIFT, title: '围墙开裂' }, neighbour), await file(database.db, { ...LIFT, title: '井盖松动' }, neighbour)]
      await act(database.db, 'withdraw', one.id, {}, neighbour)
      return [one, two]
    })
    await database.owner.query(`UPDATE request SET "filedAt" = "filedAt" - interval '31 days' WHERE id = $1`, [old.id])
    expect([await proposed(worker, { title: '围墙开裂' }), await proposed(worker, { title: '井盖松动' })]).toEqual([[], []])
    expect(ended.number).not.toBe(old.number)
  })

  test('sent again under its key answers the same bytes, whatever has become of what it proposed', async () => {
    const send = () => fetch(`${origin}/v1/requests`, {
      method: 'POST', headers: { authorization: `Bearer ${token(worker)}`, 'content-type': 'application/json', 'idempotency-key': 'lift' }, body: JSON.stringify(LIFT),
    }).then(async (answer) => ({ replayed: answer.headers.get('idempotency-replayed'), text: await answer.text() }))
    const first = await send()
    expect(numbers(JSON.parse(first.text) as never)!.length).toBeGreaterThan(0)
    await town.inside(() => act(database.db, 'withdraw', lift.id, {}, neighbour))
    expect(await send()).toEqual({ replayed: 'true', text: first.text })
  })

  test('in a batch each for itself, and what was filed a moment before counts', async () => {
    const bench = { item: 'corridor-light', title: '长椅断了一条腿', node: 'U' }
    const body = { data: [{ key: 'one', ...bench }, { key: 'two', ...bench }] }
    const { body: { data } } = await call(origin, token(worker), 'POST', '/v1/requests/batch', body)
    expect(data.map(({ request }: { request: object }) => numbers(request))).toEqual([[], [data[0].request.number]])
    expect((await call(origin, token(worker), 'POST', '/v1/requests/batch', body)).body.data).toEqual(data)
    const { body: quiet } = await call(origin, token(worker), 'POST', '/v1/requests/batch?duplicates=false', { data: [bench] })
    expect(quiet.data[0].request).not.toHaveProperty('duplicates')
    const { body: resent } = await call(origin, token(resident), 'POST', '/v1/requests/batch', { data: [bench] })
    expect(resent.data[0].request).not.toHaveProperty('duplicates')
  })

  test('by an app as itself: what it filed there, when it asks', async () => {
    const { clientId } = await town.app()
    await database.owner.query(`UPDATE client SET scopes = '{requests:write}' WHERE id = $1`, [clientId])
    const send = (query = '') => call(origin, tokenFor(town.tenantId, clientId, 'app'), 'POST', `/v1/requests${query}`, { ...LIFT, title: '二单元电梯异响' })
    const first = await send()
    expect([first.status, numbers(first.body)]).toEqual([201, undefined])
    expect(numbers((await send('?duplicates=true')).body)).toEqual([first.body.number])
  })
})
