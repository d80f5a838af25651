import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../src/domain/actor.ts'
import { act, file } from '../src/service/requests.ts'
import { freshDatabase, type TestDatabase } from './database.ts'
import { testPlace, type TestPlace } from './place.ts'
import { call, mutant, startProcess, tokenFor, type Running } from './processes.ts'

const RACES = Number(process.env.RACES ?? 300)
const CONTENDERS = 16

let database: TestDatabase
let town: TestPlace
let apis: Running[]
let resident: PersonActor, staff: PersonActor, members: PersonActor[]

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database, { claims: { kinds: ['party_member'], perClaimer: 3 } })
  ;[resident, staff, ...members] = await Promise.all([
    town.person(), town.person({ can: ['view', 'dispatch', 'publish'] }), ...Array.from({ length: CONTENDERS }, () => town.person({ kinds: ['party_member'] })),
  ]) as [PersonActor, PersonActor, ...PersonActor[]]
  apis = await Promise.all([1, 2].map(() => startProcess('api', { DATABASE_URL: database.url, LOG_LEVEL: 'info' })))
})
afterAll(async () => {
  await Promise.all(apis.map((api) => api.stop()))
  await database.drop()
})

const onTheWall = (slots = 1) => town.inside(async () => {
  const { db } = database
  const { id } = await file(db, { item: 'companionship', title: '陪我下棋', node: 'U' }, resident)
  await act(db, 'accept', id, {}, staff)
  await act(db, 'place', id, { slots }, staff)
  return id
})

const claimAll = (ids: string[], doors = apis) => Promise.all(ids.map((id, n) => {
  const member = members[n % members.length]!
  return call(doors[n % 2]!.origin, tokenFor(town.tenantId, member.id), 'POST', `/v1/requests/${id}/claim`, {})
}))

const rows = async (sql: string, values: unknown[]) => (await database.owner.query<{ n: number }>(sql, values)).rows[0]!.n

describe('over HTTP with two api processes', () => {
  test(`${RACES} races of ${CONTENDERS} for one wish: one 200, the others 409, one event`, { timeout: 240_000 }, async () => {
    for (let race = 0; race < RACES; race++) {
      const id = await onTheWall()
      const answers = await claimAll(Array<string>(CONTENDERS).fill(id))
      const won = answers.filter(({ status }) => status === 200)
      const lost = answers.filter(({ status }) => status === 409)
      expect([won.length, lost.length]).toEqual([1, CONTENDERS - 1])
      for (const { headers, body } of lost) {
        expect(headers.get('content-type')).toMatch('application/problem+json')
        expect(body).toMatchObject({ code: 'transition-refused', state: 'in_progress', status: 409 })
      }
      expect(await rows(`SELECT count(*)::int AS n FROM event WHERE "requestId" = $1 AND verb = 'claim'`, [id])).toBe(1)
      expect(await rows(`SELECT count(*)::int AS n FROM assignment WHERE "requestId" = $1 AND status = 'active'`, [id])).toBe(1)
      const winner = members[answers.indexOf(won[0]!)]!
      const done = await call(apis[0]!.origin, tokenFor(town.tenantId, winner.id), 'POST', `/v1/requests/${id}/complete`, { outcome: '办好了' })
      expect(done.status).toBe(200)
    }
    expect(await rows('SELECT COALESCE(sum(value), 0)::int AS n FROM counter', [])).toBe(0)
  })

  test('16 contenders for 16 slots: 16 times 200', async () => {
    for (let round = 0; round < 3; round++) {
      const id = await onTheWall(CONTENDERS)
      const answers = await claimAll(Array<string>(CONTENDERS).fill(id))
      expect(answers.map(({ status }) => status)).toEqual(Array(CONTENDERS).fill(200))
      await town.inside(() => act(database.db, 'withdraw', id, {}, resident))
    }
  })

  test('one claimer with 16 wishes at once and a limit of 3 gets exactly 3', async () => {
    const ids = await Promise.all(Array.from({ length: 16 }, () => onTheWall()))
    const token = tokenFor(town.tenantId, members[0]!.id)
    const answers = await Promise.all(ids.map((id, n) => call(apis[n % 2]!.origin, token, 'POST', `/v1/requests/${id}/claim`, {})))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(3)
    expect(answers.filter(({ status }) => status !== 200).map(({ body }) => body.code)).toEqual(Array(13).fill('limit-reached'))
    expect(await rows(`SELECT count(*)::int AS n FROM assignment WHERE "personId" = $1 AND status = 'active'`, [members[0]!.id])).toBe(3)
  })

  test('the same Idempotency-Key eight times at once: one effect, the same bytes', async () => {
    const token = tokenFor(town.tenantId, resident.id)
    for (let round = 0; round < 25; round++) {
      const key = `key-${round}`
      const body = { item: 'companionship', title: `第 ${round} 次`, node: 'U' }
      const answers = await Promise.all(Array.from({ length: 8 }, async (_, n) => {
        const answer = await fetch(`${apis[n % 2]!.origin}/v1/requests`, { method: 'POST', headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', 'idempotency-key': key }, body: JSON.stringify(body) })
        return { status: answer.status, text: await answer.text(), location: answer.headers.get('location') }
      }))
      expect(new Set(answers.map(({ status, text, location }) => `${status} ${location} ${text}`)).size).toBe(1)
      expect(answers[0]!.status).toBe(201)
      const other = await call(apis[0]!.origin, token, 'POST', '/v1/requests', { ...body, title: '另一件' }, { 'idempotency-key': key })
      expect([other.status, other.body.code]).toEqual([422, 'idempotency-key-reused'])
    }
  })

  test('eight claims with one key: one effect, and the claimer is never told that he lost to himself', async () => {
    const token = tokenFor(town.tenantId, members[1]!.id)
    const id = await onTheWall()
    const answers = await Promise.all(Array.from({ length: 8 }, (_, n) => call(apis[n % 2]!.origin, token, 'POST', `/v1/requests/${id}/claim`, {}, { 'idempotency-key': 'claim-once' })))
    expect(answers.map(({ status }) => status)).toEqual(Array(8).fill(200))
    expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1)
  })

  test('If-Match of an older version is 412 and changes nothing', async () => {
    const id = await onTheWall()
    const token = tokenFor(town.tenantId, members[2]!.id)
    const answer = await call(apis[0]!.origin, token, 'POST', `/v1/requests/${id}/claim`, {}, { 'if-match': '"2"' })
    expect([answer.status, answer.body.code, answer.body.version]).toEqual([412, 'version-mismatch', 3])
  })

  test('without the guard on the version the same race is seen to go wrong', async () => {
    const dist = mutant('no-version-guard', 'service/commit.js', 'AND request.version = r.expects', '')
    const doors = await Promise.all([1, 2].map(() => startProcess('api', { DATABASE_URL: database.url, LOG_LEVEL: 'info' }, dist)))
    try {
      let wrong = 0
      for (let race = 0; race < 10; race++) {
        const answers = await claimAll(Array<string>(CONTENDERS).fill(await onTheWall()), doors)
        if (answers.filter(({ status }) => status === 200).length !== 1 || answers.filter(({ status }) => status === 409).length !== CONTENDERS - 1) wrong++
      }
      expect(wrong).toBeGreaterThan(0)
    } finally {
      await Promise.all(doors.map((door) => door.stop()))
    }
  })
})
