import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { DEFAULT_POLICY } from '../../src/domain/policy.ts'
import { buildApp } from '../../src/http/app.ts'
import { authentication } from '../../src/http/auth.ts'
import { policyRoutes } from '../../src/http/routes/policies.ts'
import { act, file, find } from '../../src/service/requests.ts'
import { history } from '../../src/service/events.ts'
import { rescheduleOnce } from '../../src/service/rescheduling-walk.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { call, keyring, tokenFor } from '../processes.ts'

/** 时限 over real HTTP: what is in force where, its versions, what it means, and what cannot be. */

let database: TestDatabase
let town: TestPlace
let app: FastifyInstance
let origin: string
let chief: PersonActor, admin: PersonActor, grid: PersonActor, resident: PersonActor

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database)
  ;[chief, admin, grid, resident] = await Promise.all([
    town.person({ at: 'S', can: ['view', 'administer'] }), town.person({ at: 'P', can: ['view', 'administer'] }),
    town.person({ at: 'P', can: ['view', 'dispatch', 'publish', 'supervise'] }), town.person(),
  ])
  await open()
})
afterAll(async () => {
  await app.close()
  await database.drop()
})

/** The app with the database's present pools: moving its clock makes new ones. */
async function open(): Promise<void> {
  const deps = { db: database.db, keyring, clock: Date.now }
  app = buildApp({ log: pino({ level: 'silent' }), checkAnswers: true, routes: [authentication(deps), policyRoutes(deps)] })
  origin = await app.listen({ port: 0, host: '127.0.0.1' })
}

const as = (actor: PersonActor) => tokenFor(town.tenantId, actor.id)
const get = (path: string, actor = admin) => call(origin, as(actor), 'GET', `/v1/policies${path}`)
const put = (code: string, body: object, actor = admin) => call(origin, as(actor), 'PUT', `/v1/policies/${code}`, body)
const preview = (code: string, body: object, actor = admin) => call(origin, as(actor), 'POST', `/v1/policies/${code}/preview`, body)
const pointers = (body: Record<string, unknown>) => (body['errors'] as { pointer: string }[] | undefined)?.map(({ pointer }) => pointer)

describe('a rule', () => {
  test('is made at a place, rules there and below, and has versions that never change', async () => {
    const first = await put('standard', { node: 'P', body: { limits: { accept: '2h' }, reminders: [{ before: '30m', tell: ['dispatch', 'first_contact'] }] } })
    expect(first.status).toBe(201)
    expect(first.body).toMatchObject({ code: 'standard', version: 1, node: { code: 'P' }, operation: null, body: { limits: { ...DEFAULT_POLICY.limits, accept: '2h' }, rungEvery: DEFAULT_POLICY.rungEvery } })
    const again = await put('standard', { node: town.node.P, body: first.body['body'] })
    expect([again.status, again.body['id']]).toEqual([200, first.body['id']])
    const second = await put('standard', { node: 'P', body: { limits: { accept: '3h' } } })
    expect(second.body).toMatchObject({ version: 2 })

    const below = await get('?node=U')
    expect(below.body).toMatchObject({ data: [{ code: 'standard', version: 2, node: { code: 'P' }, inherited: true, body: { limits: { accept: '3h' } } }], page: { hasMore: false } })
    expect((await get('?node=P')).body).toMatchObject({ data: [{ version: 2, inherited: false }] })
    expect((await get('?node=C')).body).toMatchObject({ data: [{ version: 1, node: { code: 'S' }, inherited: true }] })
    expect((await get('')).body).toMatchObject({ data: [{ node: { code: 'S' } }, { node: { code: 'P' }, version: 2 }] })

    const versions = await get('/standard')
    expect((versions.body['data'] as object[])).toMatchObject([{ version: 2, inForce: true, node: { code: 'P' } }, { version: 1, inForce: false, node: { code: 'P' } }, { version: 1, inForce: true, node: { code: 'S' } }])
    const page = await get('/standard?limit=1')
    expect((await get(`/standard?limit=2&cursor=${String((page.body['page'] as { nextCursor: string }).nextCursor)}`)).body).toMatchObject({ data: [{ version: 1 }, { version: 1 }] })
    expect((await get('/standard?node=S')).body['data']).toHaveLength(1)
  })

  test('is made by who administers the place, and nobody else', async () => {
    expect(await put('standard', { node: 'S', body: {} })).toMatchObject({ status: 403, body: { code: 'forbidden' } })
    expect(await put('standard', { node: 'P', body: {} }, grid)).toMatchObject({ status: 403 })
    expect(await put('night', { node: 'S', body: { limits: { accept: '1h' } } }, chief)).toMatchObject({ status: 201, body: { version: 1 } })
  })

  test.each<[string, object, string[]]>([
    ['a negative limit', { body: { limits: { accept: '-1h' } } }, ['/body/limits/accept']],
    ['a limit of nothing', { body: { rungEvery: '0wm' } }, ['/body/rungEvery']],
    ['a level there is none of', { body: { rungEveryAt: { village: '2h' } } }, ['/body/rungEveryAt/village']],
    ['a relation there is none of', { body: { reminders: [{ at: true, tell: ['mayor'] }] } }, ['/body/reminders/0/tell/0']],
    ['a reminder before the opening', { body: { limits: { sign: '2h' }, reminders: [{ before: '3h' }] } }, ['/body/reminders/0/before']],
    ['a reminder before the opening, by the calendar', { body: { stepReminders: { accept: [{ before: '3wd' }] } } }, ['/body/stepReminders/accept/0/before']],
    ['a reminder that no step has room for', { body: { reminders: [{ share: 0.1 }, { before: '120d' }] } }, ['/body/reminders/1/before']],
    ['a reminder after what ends by itself', { body: { stepReminders: { claim: [{ after: '1d' }] } } }, ['/body/stepReminders/claim/0']],
    ['the same reminder twice', { body: { reminders: [{ after: '1h' }, { after: '60m' }] } }, ['/body/reminders/1']],
    ['waves out of order', { body: { claims: { waves: [['party_member'], ['party_member']] } } }, ['/body/claims/waves/1/0']],
    ['a field there is none of', { body: { speed: 'fast' } }, ['/body/speed']],
    ['no node', { node: undefined, body: {} }, ['/node']],
    ['no body', {}, ['/body']],
    ['a flag that is none', { body: {}, applyToOpen: 'yes' }, ['/applyToOpen']],
  ])('with %s is refused where it is, and in both languages', async (_, wrong, expected) => {
    const refused = await put('standard', { node: 'P', ...wrong })
    expect(refused).toMatchObject({ status: 400, body: { code: 'validation-failed' } })
    expect(pointers(refused.body)).toEqual(expected)
    for (const { message } of refused.body['errors'] as { message: string }[]) expect(message).not.toMatch(/Invalid input/)
    if ('body' in wrong) expect((await preview('standard', { ...wrong, node: 'P', applyToOpen: undefined })).status).toBe(expected[0]!.startsWith('/body') ? 400 : 200)
  })

  test('that is not there is not found', async () => {
    expect(await put('standard', { node: 'nowhere', body: {} })).toMatchObject({ status: 422, body: { code: 'node-unknown' } })
    expect(await get('?node=nowhere')).toMatchObject({ status: 404 })
    expect(await get('/nothing')).toMatchObject({ status: 404 })
    expect(await preview('nothing', {})).toMatchObject({ status: 404 })
    expect(await preview('standard', { node: 'nowhere' })).toMatchObject({ status: 422 })
    expect(await get('?cursor=!')).toMatchObject({ status: 400 })
    expect(await get('/Ü')).toMatchObject({ status: 400 })
  })
})

describe('what a rule means', () => {
  test.each(['1950-01-01T00:00:00Z', '1970-01-01T00:00:00Z', '2199-12-31T00:00:00Z'])('is not known from %s, where no calendar reaches', async (from) => {
    const { status, body } = await preview('standard', { node: 'U', from })
    expect([status, pointers(body)]).toEqual([400, ['/from']])
  })

  test('is every due time, reminder and rung, by the calendar and by who is there', async () => {
    const { status, body } = await preview('standard', {
      node: 'U', from: '2026-09-30T10:00:00+08:00',
      body: { limits: { complete: '5wd' }, rungEvery: '1wd', rungEveryAt: { compound: '4h' }, stepReminders: { complete: [{ before: '5wd' }, { before: '1wd', tell: ['assignee', 'dispatch'] }, { at: true }, { after: '1wd' }] } },
    })
    expect(status).toBe(200)
    const steps = body['steps'] as { step: string }[]
    expect(steps.find(({ step }) => step === 'complete')).toEqual({
      // 09-30 10:00 and five workdays: 10-08, 09, the make-up Saturday 10, 12, 13
      step: 'complete', dueAt: '2026-10-13T10:00:00.000Z', provisional: false, onDue: 'escalate',
      reminders: [
        { when: { before: '5wd' }, tell: ['assignee'], at: '2026-09-30T10:00:00.000Z' }, { when: { before: '1wd' }, tell: ['assignee', 'dispatch'], at: '2026-10-12T10:00:00.000Z' },
        { when: { at: true }, tell: ['assignee'], at: '2026-10-13T10:00:00.000Z' }, { when: { after: '1wd' }, tell: ['assignee'], at: '2026-10-14T10:00:00.000Z' },
      ],
      rungs: [
        { level: 'unit', levelName: '单元', node: expect.objectContaining({ code: 'U' }), at: null, skipped: 'vacant' },
        { level: 'building', levelName: '楼栋', node: expect.objectContaining({ code: 'B' }), at: null, skipped: 'vacant' },
        { level: 'compound', levelName: '小区', node: expect.objectContaining({ code: 'P' }), at: '2026-10-13T10:00:00.000Z', skipped: null },
        { level: 'community', levelName: '社区', node: expect.objectContaining({ code: 'C' }), at: null, skipped: 'vacant' },
        { level: 'street', levelName: '街道', node: expect.objectContaining({ code: 'S' }), at: null, skipped: 'vacant' },
      ],
      topRemindedFrom: '2026-10-13T14:00:00.000Z',
    })
    expect(steps.find(({ step }) => step === 'close')).toMatchObject({ onDue: 'close', reminders: [], rungs: [], topRemindedFrom: null })
  })

  test('without a place is told of the tenant\'s levels, without a body of what is in force', async () => {
    const { body } = await preview('standard', { from: '2026-11-23T10:00:00+08:00' })
    expect(body).toMatchObject({ from: '2026-11-23T02:00:00.000Z' })
    const accept = (body['steps'] as { step: string; rungs: { level: string; at: string | null }[] }[])[0]!
    expect(accept).toMatchObject({ step: 'accept', reminders: [{ when: { share: 0.75 }, tell: ['dispatch'] }] })
    expect(accept.rungs.map(({ level, at }) => [level, at !== null])).toEqual(['unit', 'building', 'compound', 'community', 'street'].map((level) => [level, true]))
    expect((await preview('standard', { node: 'P', from: '2027-12-30T00:00:00Z' })).body['steps']).toContainEqual(expect.objectContaining({ step: 'complete', provisional: true }))
  })
})

describe('a changed rule', () => {
  test('holds for what is filed from now on, and on request for what is open, and says which', async () => {
    const { db } = database
    const due = (deadlines: { step: string; dueAt: Date }[], step: string) => deadlines.find((each) => each.step === step)!.dueAt.getTime()
    const [kept, moved] = await town.inside(() => Promise.all(['一', '二'].map((title) => file(db, { item: 'corridor-light', title, node: 'U' }, resident))))
    expect((await put('standard', { node: 'P', body: { limits: { accept: '5wd', complete: '30wd' } } })).status).toBe(201)
    await town.inside(async () => {
      // the old two keep theirs, also for the steps that open later
      expect(due((await find(db, kept!.id, grid)).deadlines, 'accept')).toBe(due(kept!.deadlines, 'accept'))
      await act(db, 'withdraw', kept!.id, {}, resident)
    })
    const applied = await put('standard', { node: 'P', body: { limits: { accept: '5wd', place: '9wd', complete: '30wd' } }, applyToOpen: true })
    expect(applied).toMatchObject({ status: 201, body: { version: expect.any(Number), operation: expect.any(String) } })

    await app.close()
    await database.setClock(new Date().toISOString(), '30 seconds')
    await open()
    for (let done = false; !done;) done = (await rescheduleOnce(database.db)) === undefined
    await town.inside(async () => {
      const after = await find(database.db, moved!.id, grid)
      expect(due(after.deadlines, 'accept')).toBeGreaterThan(due(moved!.deadlines, 'accept'))
      expect(due(after.deadlines, 'complete')).toBeGreaterThan(due(moved!.deadlines, 'complete'))
      const events = await history(database.db, moved!.id, grid)
      expect(events.at(-1)).toMatchObject({ verb: 'reschedule', data: { reason: 'policy', policy: applied.body['id'], moved: expect.arrayContaining([expect.objectContaining({ step: 'accept' })]) } })
      // from now on its other steps go by the new rule too
      const accepted = await act(database.db, 'accept', moved!.id, {}, grid)
      const fresh = await file(database.db, { item: 'corridor-light', title: '三', node: 'U' }, resident)
      const anew = await act(database.db, 'accept', fresh.id, {}, grid)
      expect(Math.abs(due(accepted.deadlines, 'place') - due(anew.deadlines, 'place'))).toBeLessThan(86_400_000)
      expect((await history(database.db, kept!.id, grid)).map(({ verb }) => verb)).toEqual(['file', 'withdraw'])
    })
  })
})
