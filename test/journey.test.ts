import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { wishWall, type Problem } from '../src/client/index.ts'
import type { PersonActor } from '../src/domain/actor.ts'
import { DEFAULT_POLICY } from '../src/domain/policy.ts'
import { freshDatabase, moveClock, type TestDatabase } from './database.ts'
import { testPlace, type TestPlace } from './place.ts'
import { eventually, startProcess, tokenFor, type Running } from './processes.ts'

/** The main job end to end, by the typed client, with api and worker as real processes, on every queue backend there is. */

describe.each(inject('queues'))('with jobs on $kind', ({ redisUrl }) => {
  let database: TestDatabase
  let town: TestPlace
  let api: Running
  let worker: Running | undefined
  let resident: PersonActor, dispatcher: PersonActor, member: PersonActor, head: PersonActor, inspector: PersonActor, firm: PersonActor
  const env = () => ({ DATABASE_URL: database.url, LOG_LEVEL: 'info', ...(redisUrl ? { REDIS_URL: redisUrl } : {}) })

  const as = (person: PersonActor) => wishWall({ baseUrl: api.origin, token: tokenFor(town.tenantId, person.id) })
  const ok = <T>({ data, error, response }: { data?: T; error?: Problem; response: Response }): T => {
    expect({ status: response.status, code: error?.code }).toEqual({ status: expect.toSatisfy((code: number) => code < 300), code: undefined })
    return data!
  }
  const at = (id: string) => ({ params: { path: { id } } })
  const wish = async () => ok(await as(resident).POST('/v1/requests', { body: { item: 'companionship', title: '想有人陪我下棋', node: 'U' } }))
  const inbox = async (person: PersonActor) => ok(await as(person).GET('/v1/me/notifications')).data
  const history = async (id: string) => ok(await as(inspector).GET('/v1/requests/{id}/events', at(id))).data

  beforeAll(async () => {
    database = await freshDatabase()
    town = await testPlace(database, { limits: { ...DEFAULT_POLICY.limits, accept: '2h' }, rungEvery: '24h', reminders: [{ share: 0.5 }] })
    ;[resident, dispatcher, member, head, inspector, firm] = await Promise.all([
      town.person(), town.person({ can: ['view', 'dispatch', 'publish'] }), town.person({ kinds: ['party_member'] }),
      town.person({ at: 'B', can: ['view', 'supervise'] }), town.person({ at: 'S', can: ['view', 'supervise'] }), town.person({ at: 'P', can: ['view', 'handle'] }),
    ])
    api = await startProcess('api', env())
    worker = await startProcess('worker', env())
  })
  afterAll(async () => {
    await worker?.stop()
    await api.stop()
    await database.drop()
  })

  test('a wish is filed, accepted, placed on the wall, claimed by a party member, completed, rated and closed', async () => {
    const { id, number } = await wish()
    expect(ok(await as(dispatcher).POST('/v1/requests/{id}/accept', at(number))).allowed).toContain('place')
    ok(await as(dispatcher).POST('/v1/requests/{id}/place', { ...at(id), body: { wallTitle: '陪老人下棋' } }))
    expect(ok(await as(member).GET('/v1/requests/{id}', at(id)))).toMatchObject({ title: '陪老人下棋', allowed: ['claim'], node: { code: 'P' } })
    ok(await as(member).POST('/v1/requests/{id}/claim', at(id)))
    ok(await as(member).POST('/v1/requests/{id}/complete', { ...at(id), body: { outcome: '陪老人下了一下午棋' } }))
    const rated = ok(await as(resident).POST('/v1/requests/{id}/rate', { ...at(id), body: { solved: 'solved', satisfaction: 'satisfied' } }))
    expect(rated).toMatchObject({ state: 'closed', result: 'realised', deadlines: [] })

    const types = await eventually(async () => {
      const { data } = ok(await as(inspector).GET('/v1/events', { params: { query: { limit: 100 } } }))
      const mine = data.filter(({ requestId }) => requestId === id)
      return mine.length === 6 && mine
    })
    expect(types.map(({ type, seq }) => `${seq} ${type}`)).toEqual(['1 request.filed', '2 request.accepted', '3 request.placed', '4 request.claimed', '5 request.completed', '6 request.rated'])
    await eventually(async () => (await inbox(resident)).filter((row) => row.number === number).length === 4)
  })

  test('a second is dispatched and signed', async () => {
    const { id, number } = await wish()
    ok(await as(dispatcher).POST('/v1/requests/{id}/accept', at(id)))
    expect(ok(await as(dispatcher).POST('/v1/requests/{id}/dispatch', { ...at(id), body: { to: firm.id } }))).toMatchObject({ state: 'dispatched' })
    await eventually(async () => (await inbox(firm)).some((row) => row.number === number && row.type === 'request.dispatched'))
    expect(ok(await as(firm).POST('/v1/requests/{id}/sign', at(id)))).toMatchObject({ state: 'in_progress', allowed: expect.arrayContaining(['respond', 'complete']) })
  })

  test('a third is left alone, is reminded about and climbs the ladder, also through days without a worker', async () => {
    const { id } = await wish()
    await worker?.stop('SIGKILL')
    worker = undefined
    await moveClock(database.url, '3 days')
    await eventually(async () => (await as(inspector).GET('/v1/requests/{id}', at(id))).response.status === 200)
    expect((await history(id)).map(({ verb }) => verb)).toEqual(['file'])

    worker = await startProcess('worker', env())
    const told = await eventually(async () => {
      const data = (await history(id)) as { verb: string; data: { rung?: string; step?: string; top?: boolean; skipped?: string[] } }[]
      return data.some(({ data: { top } }) => top) && data
    })
    const accept = told.filter(({ data: { step } }) => step === 'accept')
    expect(accept.slice(0, 3).map(({ verb }) => verb)).toEqual(['remind', 'escalate', 'remind'])
    // at the top once each workday: how many lie in three days depends on the day
    expect(accept.slice(2).every(({ verb, data: { top } }) => verb === 'remind' && top)).toBe(true)
    // nobody supervises at the compound or the community: both are passed over and noted
    expect(accept[1]?.data).toMatchObject({ rung: town.node.S, skipped: [town.node.P, town.node.C] })
    await eventually(async () => (await inbox(inspector)).some(({ type }) => type === 'request.escalated'))
    expect((await inbox(head)).filter(({ type }) => type === 'request.escalated')).toEqual([])
  })

  test('kill -9 of the worker between due and done: nothing is lost and nothing comes twice', async () => {
    const ids = (await Promise.all(Array.from({ length: 60 }, wish))).map(({ id }) => id)
    await worker?.stop('SIGKILL')
    await moveClock(database.url, '9 days')
    for (let kill = 0; kill < 4; kill++) {
      worker = await startProcess('worker', env())
      await new Promise((resolve) => setTimeout(resolve, 150 * kill))
      await worker.stop('SIGKILL')
    }
    worker = await startProcess('worker', env())
    const marks = async () => {
      const { rows } = await database.owner.query<{ requestId: string; told: string[] }>(
        `SELECT "requestId", array_agg(verb || ' ' || (data ->> 'step') || COALESCE(' ' || (data ->> 'rung'), '') ORDER BY seq) AS told FROM event WHERE "requestId" = ANY ($1) AND data ->> 'step' = 'accept' GROUP BY "requestId"`, [ids])
      return rows
    }
    await eventually(async () => (await marks()).length === 60 && (await marks()).every(({ told }) => told.length >= 3), 60_000)
    for (const { told } of await marks()) {
      expect(told.slice(0, 3)).toEqual(['remind accept', `escalate accept ${town.node.S}`, 'remind accept'])
      expect(told.filter((line) => line.startsWith('escalate'))).toHaveLength(1)
    }
    // each event reaches the feed once, in the order of its request, and each inbox once
    const { rows: [feed] } = await eventually(async () => {
      const found = await database.owner.query<{ events: number; fed: number; distinct: number; inversions: number; waiting: number }>(`
        SELECT (SELECT count(*)::int FROM event) AS events, (SELECT count(*)::int FROM feed) AS fed, (SELECT count(DISTINCT ("requestId", seq))::int FROM feed) AS distinct,
          (SELECT count(*)::int FROM feed a JOIN feed b ON b."requestId" = a."requestId" AND b.seq > a.seq AND b.position < a.position) AS inversions, (SELECT count(*)::int FROM outbox) AS waiting`)
      return found.rows[0]!.waiting === 0 && found
    })
    expect(feed).toMatchObject({ fed: feed!.events, distinct: feed!.events, inversions: 0 })
    await eventually(async () => (await database.owner.query<{ done: boolean }>(`SELECT bool_and(position = (SELECT max(position) FROM feed)) AS done FROM cursor WHERE name <> 'calendar-year'`)).rows[0]!.done)
  })
})
