import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { buildApp } from '../../src/http/app.ts'
import { authentication } from '../../src/http/auth.ts'
import { campaignRoutes } from '../../src/http/routes/campaigns.ts'
import { requestRoutes } from '../../src/http/routes/requests.ts'
import { venueRoutes } from '../../src/http/routes/venues.ts'
import { act, file } from '../../src/service/requests.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { call, eventually, keyring, tokenFor, type Answer } from '../processes.ts'

/** 专项行动 and 驿站 over real HTTP. */

let database: TestDatabase
let town: TestPlace
let app: FastifyInstance
let origin: string
let admin: PersonActor, staff: PersonActor, resident: PersonActor
let helpers: PersonActor[]

const as = (who: PersonActor, method: 'GET' | 'POST', path: string, body?: object): Promise<Answer> => call(origin, tokenFor(town.tenantId, who.id), method, path, body)
const at = ({ status, body }: Answer) => [status, body.code, body.errors?.[0]?.pointer]
const TERM = { from: '2026-01-01T00:00:00Z', to: '2099-01-01T00:00:00Z' }
const begin = (code: string, more: object = {}) => as(admin, 'POST', '/v1/campaigns', { node: 'P', code, name: '温暖过冬', ...TERM, ...more })

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database)
  ;[admin, staff, resident] = await Promise.all([town.person({ can: ['administer'] }), town.person({ can: ['view', 'dispatch', 'publish', 'handle'] }), town.person()])
  helpers = await Promise.all(Array.from({ length: 12 }, () => town.person({ kinds: ['volunteer'] })))
  const deps = { db: database.db, keyring, clock: Date.now }
  app = buildApp({ log: pino({ level: 'silent' }), checkAnswers: true, routes: [authentication(deps), campaignRoutes(deps), venueRoutes(deps), requestRoutes(deps)] })
  origin = await app.listen({ port: 0, host: '127.0.0.1' })
})
afterAll(async () => {
  await app.close()
  await database.drop()
})

describe('a campaign', () => {
  test('is begun by whoever administers its place, once under a code', async () => {
    expect((await as(staff, 'POST', '/v1/campaigns', { node: 'P', code: 'X', name: 'x', ...TERM })).status).toBe(403)
    const { status, body } = await begin('WARM', { items: ['corridor-light'], targets: { completed: 2 }, capacity: 5 })
    expect([status, body.targets, body.progress, body.signedUp]).toEqual([201, { filed: null, completed: 2, beneficiaries: null }, { filed: 0, completed: 0, beneficiaries: 0 }, 0])
    expect(at(await begin('WARM'))).toEqual([400, 'validation-failed', '/code'])
    expect(at(await begin('Y', { items: ['companionship', 'nothing'] }))).toEqual([422, 'item-unknown', '/items/1'])
    expect(at(await begin('Y', { to: '2025-01-01T00:00:00Z' }))).toEqual([400, 'validation-failed', '/to'])
    expect((await as(resident, 'GET', '/v1/campaigns?open=true&node=S')).body.data.map(({ code }: { code: string }) => code)).toEqual(['WARM'])
    expect((await as(resident, 'GET', '/v1/campaigns?open=false')).body.data).toEqual([])
  })

  test('has the filings that name it, and its progress from them', async () => {
    const put = async (campaign: string, more: object = {}) => as(resident, 'POST', '/v1/requests', { item: 'corridor-light', title: '灯', node: 'U', campaign, ...more })
    const { body: { id, campaign } } = await put('WARM')
    expect(campaign).toBe((await as(resident, 'GET', '/v1/campaigns/WARM')).body.id)
    const { body: gone } = await put(campaign)
    await town.inside(async () => {
      await act(database.db, 'withdraw', gone.id, {}, resident)
      await act(database.db, 'accept', id, {}, staff)
      await act(database.db, 'dispatch', id, { to: staff.id }, staff)
      await act(database.db, 'sign', id, {}, staff)
      await act(database.db, 'record', id, { beneficiaries: 7 }, staff)
      await act(database.db, 'complete', id, { outcome: '好了' }, staff)
    })
    expect((await as(resident, 'GET', '/v1/campaigns/WARM')).body.progress).toEqual({ filed: 1, completed: 1, beneficiaries: 7 })
    expect(at(await put('NONE'))).toEqual([422, 'campaign-unknown', '/campaign'])
    expect(at(await put('WARM', { item: 'companionship' }))).toEqual([400, 'validation-failed', '/campaign'])
    expect(at(await put('WARM', { node: 'C' }))).toEqual([400, 'validation-failed', '/campaign'])
    await begin('OVER', { from: '2025-01-01T00:00:00Z', to: '2025-02-01T00:00:00Z' })
    expect(at(await put('OVER'))).toEqual([409, 'campaign-closed', undefined])
    const { rows } = await database.owner.query(`SELECT payload FROM outbox WHERE "requestId" = $1`, [id])
    expect(JSON.stringify(rows)).not.toContain('campaign')
  })
})

describe('signing up', () => {
  const count = async (code: string) => (await database.owner.query(`SELECT c."signedUp", (SELECT count(*)::int FROM campaign_sign_up s WHERE s."campaignId" = c.id AND s."withdrawnAt" IS NULL) AS names FROM campaign c WHERE code = $1`, [code])).rows[0]

  test('gives each place once: twelve at once for five', async () => {
    const answers = await Promise.all(helpers.map((helper) => as(helper, 'POST', '/v1/campaigns/WARM/sign-up')))
    expect(answers.map(({ status }) => status).sort()).toEqual([...Array<number>(5).fill(200), ...Array<number>(7).fill(409)])
    expect(new Set(answers.filter(({ status }) => status === 409).map(({ body }) => body.code))).toEqual(new Set(['slots-taken']))
    expect(await count('WARM')).toEqual({ signedUp: 5, names: 5 })
  })

  test('counts a person once, however often he calls at once, and frees the place once', async () => {
    await begin('MANY')
    const [helper] = helpers as [PersonActor]
    const twins = await Promise.all(Array.from({ length: 10 }, () => as(helper, 'POST', '/v1/campaigns/MANY/sign-up')))
    expect([new Set(twins.map(({ status }) => status)), await count('MANY')]).toEqual([new Set([200]), { signedUp: 1, names: 1 }])
    await Promise.all(Array.from({ length: 10 }, () => as(helper, 'POST', '/v1/campaigns/MANY/withdraw')))
    expect(await count('MANY')).toEqual({ signedUp: 0, names: 0 })
    // Three that have all looked before any of them counts.
    const holder = await database.owner.connect()
    await holder.query('BEGIN')
    await holder.query(`SELECT FROM campaign WHERE code = 'MANY' FOR UPDATE`)
    const three = Promise.all(Array.from({ length: 3 }, () => as(helper, 'POST', '/v1/campaigns/MANY/sign-up')))
    await eventually(async () => (await database.owner.query(`SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)).rowCount === 3)
    await holder.query('COMMIT')
    holder.release()
    expect([(await three).map(({ status }) => status), await count('MANY')]).toEqual([[200, 200, 200], { signedUp: 1, names: 1 }])
    await as(helper, 'POST', '/v1/campaigns/MANY/withdraw')
    expect(await count('MANY')).toEqual({ signedUp: 0, names: 0 })
    for (let round = 0; round < 10; round++) await Promise.all(helpers.slice(0, 4).flatMap((one) => [as(one, 'POST', '/v1/campaigns/MANY/sign-up'), as(one, 'POST', '/v1/campaigns/MANY/withdraw')]))
    const { signedUp, names } = await count('MANY')
    expect(signedUp).toBe(names)
    expect((await as(helper, 'POST', '/v1/campaigns/MANY/sign-up')).body.isSignedUp).toBe(true)
  })

  test('is for those who are verified, until the end, and leaves room for those who come back', async () => {
    expect(at(await as(resident, 'POST', '/v1/campaigns/MANY/sign-up'))).toEqual([403, 'not-verified', undefined])
    expect(at(await as(helpers[0]!, 'POST', '/v1/campaigns/OVER/sign-up'))).toEqual([409, 'campaign-closed', undefined])
    expect(at(await as(helpers[0]!, 'POST', '/v1/campaigns/NONE/sign-up'))).toEqual([404, 'not-found', undefined])
    expect(at(await as(admin, 'POST', '/v1/campaigns/WARM', { capacity: 4 }))).toEqual([400, 'validation-failed', '/capacity'])
    expect((await as(admin, 'POST', '/v1/campaigns/WARM', { capacity: 6 })).body.capacity).toBe(6)
    expect((await as(admin, 'POST', '/v1/campaigns/WARM', { name: '过冬' })).body).toMatchObject({ capacity: 6, name: '过冬' })
  })

  test('is read by staff of the place, name by name, masked', async () => {
    expect((await as(resident, 'GET', '/v1/campaigns/WARM/sign-ups')).status).toBe(403)
    const seen: string[] = []
    for (let cursor: string | null = ''; cursor !== null;) {
      const { body }: Answer = await as(staff, 'GET', `/v1/campaigns/WARM/sign-ups?limit=2${cursor && `&cursor=${cursor}`}`)
      seen.push(...body.data.map(({ person }: { person: { id: string } }) => person.id))
      cursor = body.page.nextCursor
    }
    expect([seen.length, new Set(seen).size]).toEqual([5, 5])
  })
})

describe('a venue', () => {
  test('shows the wall of its place, to everybody what is for everybody', async () => {
    const { body: venue } = await as(admin, 'POST', '/v1/venues', { name: '党员萤火驿站', node: 'P', hours: '每天' })
    expect(venue).toMatchObject({ node: { code: 'P' }, wall: { code: 'P' }, address: null })
    expect((await as(staff, 'POST', '/v1/venues', { name: 'x', node: 'P' })).status).toBe(403)
    await town.inside(async () => {
      for (const consents of [[{ purpose: 'wall', by: 'self', how: 'app' }] as const, []]) {
        const { id } = await file(database.db, { item: 'companionship', title: '心愿', node: 'U', consents: [...consents] }, resident)
        await act(database.db, 'accept', id, {}, staff)
        await act(database.db, 'place', id, { wallTitle: consents.length > 0 ? '人人可见' : '认领人可见' }, staff)
      }
    })
    const wall = async (who?: PersonActor) => ((await (await fetch(`${origin}/v1/venues/${venue.id}/wall`, who ? { headers: { authorization: `Bearer ${tokenFor(town.tenantId, who.id)}` } } : {})).json()) as { data: { title: string }[] }).data.map(({ title }) => title)
    expect([await wall(), await wall(helpers[0])]).toEqual([['人人可见'], ['认领人可见', '人人可见']])
    const moved = await as(admin, 'POST', `/v1/venues/${venue.id}`, { wall: 'B', hours: null })
    expect(moved.body).toMatchObject({ name: '党员萤火驿站', wall: { code: 'B' }, hours: null })
    expect((await as(resident, 'GET', '/v1/venues?node=C')).body.data.map(({ name }: { name: string }) => name)).toEqual(['党员萤火驿站'])
    expect((await as(admin, 'POST', `/v1/venues/${venue.id}`, { closed: true })).body.closedAt).not.toBeNull()
    expect((await as(resident, 'GET', '/v1/venues')).body.data).toEqual([])
    expect((await fetch(`${origin}/v1/venues/${venue.id}/wall`)).status).toBe(404)
    expect((await as(admin, 'POST', `/v1/venues/${venue.id}`, { closed: false })).body.closedAt).toBeNull()
  })
})
