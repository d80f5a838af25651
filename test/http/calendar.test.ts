import { pino } from 'pino'
import type { FastifyInstance, InjectOptions } from 'fastify'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import type { NoticeDay } from '../../src/domain/calendar-notice.ts'
import { SCOPE_NAMES } from '../../src/domain/scopes.ts'
import { buildApp } from '../../src/http/app.ts'
import { authentication } from '../../src/http/auth.ts'
import { calendarRoutes } from '../../src/http/routes/calendar.ts'
import { operationRoutes } from '../../src/http/routes/operations.ts'
import { workbooks } from '../../src/outside/workbook.ts'
import { templateOf } from '../../src/service/calendar-import.ts'
import { Lockout } from '../../src/service/lockout.ts'
import { file } from '../../src/service/requests.ts'
import { rescheduleOnce } from '../../src/service/rescheduling-walk.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { NOTICE_2027 } from '../notice-2027.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { keyring, tokenFor } from '../processes.ts'
import { expectProblem } from './expect-problem.ts'

/** The calendar over HTTP: answers are checked against their schemas. */

const XLSX = 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet'
let database: TestDatabase
let town: TestPlace
let app: FastifyInstance
let resident: PersonActor, admin: PersonActor
let stranger: string

function build(): FastifyInstance {
  const deps = { db: database.db, keyring, clock: Date.now, lockout: new Lockout(), workbooks }
  return buildApp({ log: pino({ level: 'error' }), checkAnswers: true, routes: [authentication(deps), calendarRoutes(deps), operationRoutes(deps)] })
}

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database)
  ;[resident, admin] = await Promise.all([town.person(), town.person({ at: 'S', can: ['administer'] })])
  stranger = (await town.app()).clientId
  await database.owner.query('UPDATE client SET scopes = $1', [SCOPE_NAMES])
  app = build()
})
afterAll(async () => {
  await app.close()
  await database.drop()
})

const call = (method: 'GET' | 'PUT' | 'POST', url: string, payload?: InjectOptions['payload'], headers: Record<string, string> = {}, who = admin.id) =>
  app.inject({ method, url: `/v1${url}`, headers: { authorization: `Bearer ${tokenFor(town.tenantId, who)}`, ...headers }, ...(payload === undefined ? {} : { payload }) })
const get = (url: string) => call('GET', `/calendar${url}`)
const ok = async (answer: ReturnType<typeof call>) => {
  const { statusCode, body } = await answer
  expect({ statusCode, body }).toMatchObject({ statusCode: 200 })
  return JSON.parse(body) as Record<string, any>
}
const pointers = (...list: [string, string?][]) => ({ errors: list.map(([pointer, message]) => expect.objectContaining({ pointer, ...(message === undefined ? {} : { message }) })) })

describe('asking', () => {
  test('when something is due', async () => {
    expect(await ok(get('/due?from=2026-09-30T10:00:00%2B08:00&limit=5wd'))).toEqual({ dueAt: '2026-10-13T10:00:00.000Z', provisional: false })
    // a plus that nobody encoded
    expect(await ok(get('/due?from=2026-09-30T10:00:00+08:00&limit=5wd&node=U'))).toEqual({ dueAt: '2026-10-13T10:00:00.000Z', provisional: false })
    expect(await ok(get('/due?from=2026-12-28T02:00:00Z&limit=5wd'))).toEqual({ dueAt: '2027-01-04T10:00:00.000Z', provisional: true })
    expect(await ok(get('/due?from=2026-10-01T02:00:00Z&limit=24h'))).toEqual({ dueAt: '2026-10-02T02:00:00.000Z', provisional: false })
    expect(new Date((await ok(get('/due?limit=1m'))).dueAt).getTime()).toBeGreaterThan(Date.now() - 60_000)
  })

  test.each<[string, string]>([
    ['from=2026-09-30T10:00:00&limit=5wd', '/query/from'],
    ['from=2026-02-30T10:00:00Z&limit=5wd', '/query/from'],
    ['from=yesterday&limit=5wd', '/query/from'],
    ['from=1950-01-01T00:00:00Z&limit=5wd', '/query/from'],
    ['from=2199-12-30T00:00:00Z&limit=500wd', '/query/from'],
    ['from=2026-09-30T02:00:00Z&limit=5', '/query/limit'],
    ['from=2026-09-30T02:00:00Z&limit=-5wd', '/query/limit'],
    ['from=2026-09-30T02:00:00Z&limit=0wd', '/query/limit'],
    ['from=2026-09-30T02:00:00Z&limit=5.5wd', '/query/limit'],
    ['from=2026-09-30T02:00:00Z&limit=9999wd', '/query/limit'],
    ['from=2026-09-30T02:00:00Z', '/query/limit'],
    ['from=2026-09-30T02:00:00Z&limit=5wd&zone=UTC', '/query/zone'],
  ])('%s is refused at %s', async (query, pointer) => expectProblem(await get(`/due?${query}`), 'validation-failed', pointers([pointer])))

  test('what sort of days there are', async () => {
    const { node, data } = await ok(get('/days?from=2026-01-03&to=2026-01-05'))
    expect(node).toEqual({ id: town.node.S, code: 'S', name: 'S' })
    expect(data).toEqual([
      { date: '2026-01-03', workday: false, name: '元旦', hours: [], source: 'shipped', published: true },
      { date: '2026-01-04', workday: true, name: '元旦', hours: ['09:00-12:00', '14:00-18:00'], source: 'shipped', published: true },
      { date: '2026-01-05', workday: true, name: null, hours: ['09:00-12:00', '14:00-18:00'], source: 'week', published: true },
    ])
    expectProblem(await get('/days?from=2026-01-05&to=2026-01-03'), 'validation-failed', pointers(['/query/to']))
    expectProblem(await get('/days?from=2026-01-05'), 'validation-failed', pointers(['/query/to']))
    expectProblem(await get('/days?from=2026-02-30&to=2026-03-01'), 'validation-failed', pointers(['/query/from']))
    expectProblem(await get('/days?from=2026-01-01&to=2026-01-02&node=nowhere'), 'not-found', pointers(['/query/node']))
  })

  test('is for everybody who has a token, and for nobody else', async () => {
    const asApp = { authorization: `Bearer ${tokenFor(town.tenantId, stranger, 'app')}` }
    for (const url of ['/days?from=2026-01-03&to=2026-01-05', '/due?limit=5wd', '/years', '/hours', '/template.xlsx']) {
      expect((await app.inject({ url: `/v1/calendar${url}`, headers: asApp })).statusCode, url).toBe(200)
      expect((await call('GET', `/calendar${url}`, undefined, {}, resident.id)).statusCode, url).toBe(200)
      expectProblem(await app.inject(`/v1/calendar${url}`), 'unauthenticated')
    }
  })
})

describe('setting', () => {
  test('the hours of a place, with a lunch break, and of a day', async () => {
    const set = await ok(call('PUT', '/calendar/hours', { node: 'P', week: { 6: ['09:00-12:00'] } }))
    expect(set).toMatchObject({ node: { code: 'P' }, own: { 6: ['09:00-12:00'] }, operation: null })
    expect(await ok(get('/hours?node=U'))).toEqual({ node: expect.objectContaining({ code: 'U' }), week: set.week, own: {} })
    expect(await ok(get('/due?from=2026-03-06T02:00:00Z&limit=1wd&node=U'))).toEqual({ dueAt: '2026-03-07T04:00:00.000Z', provisional: false })
    expect(await ok(get('/due?from=2026-03-06T02:00:00Z&limit=1wd'))).toEqual({ dueAt: '2026-03-09T10:00:00.000Z', provisional: false })
    expect(await ok(call('PUT', '/calendar/days/2026-03-07', { node: 'P', kind: 'holiday', name: '停电' }))).toMatchObject({ date: '2026-03-07', workday: false, name: '停电', source: 'overlay', operation: null })
    expect(await ok(call('PUT', '/calendar/days/2026-03-07', { node: 'P', kind: 'inherited' }))).toMatchObject({ workday: true, source: 'week' })
    expectProblem(await call('PUT', '/calendar/hours', { node: 'P', week: {} }, {}, resident.id), 'forbidden')
    expectProblem(await call('PUT', '/calendar/days/2026-03-07', { kind: 'holiday' }, {}, resident.id), 'forbidden')
  })

  test.each<[string, object, string]>([
    ['a time that is none', { week: { 1: ['9-12'] } }, '/week/1/0'],
    ['a night in one piece', { week: { 1: ['09:00-12:00', '22:00-06:00'] } }, '/week/1/1'],
    ['an overlap', { week: { 3: ['09:00-12:00', '11:00-13:00'] } }, '/week/3'],
    ['an eighth day', { week: { 8: ['09:00-12:00'] } }, '/week/8'],
    ['nothing left', { week: { 1: [], 2: [], 3: [], 4: [], 5: [] } }, '/week'],
    ['no week', {}, '/week'],
    ['a week of words', { week: 'always' }, '/week'],
  ])('hours with %s is refused where it is', async (_, body, pointer) => expectProblem(await call('PUT', '/calendar/hours', { node: 'C', ...body }), 'validation-failed', pointers([pointer])))

  test.each(['1950-01-01', '1970-01-01', '2199-12-31'])('a day that no calendar reaches, %s, is refused', async (date) => {
    for (const recompute of [true, false]) expectProblem(await call('PUT', `/calendar/days/${date}`, { kind: 'holiday', recompute }), 'validation-failed', pointers(['/path/date', '日历只到 1970 至 2199 年']))
  })

  test('what is open too, on request, and says where to look', async () => {
    const { id } = await town.inside(() => file(database.db, { item: 'companionship', title: '早日办好', node: 'U' }, resident))
    const { operation } = await ok(call('PUT', '/calendar/hours', { node: 'P', week: { 6: ['09:00-12:00'], 7: ['09:00-12:00'] }, recompute: true }))
    expect(await ok(call('GET', `/operations/${operation}`))).toMatchObject({ id: operation, kind: 'rescheduling', reason: 'calendar', node: { code: 'P' }, state: 'waiting', moved: 0, endedAt: null })
    await database.owner.query(`UPDATE rescheduling SET "createdAt" = "createdAt" - interval '1 minute'`)
    while (await rescheduleOnce(database.db));
    expect(await ok(call('GET', `/operations/${operation}`))).toMatchObject({ state: 'done', seen: 1, moved: 1, failed: 0 })
    const { data, page } = await ok(call('GET', `/operations/${operation}/requests`))
    expect([data.map((row: { id: string }) => row.id), page]).toEqual([[id], { nextCursor: null, hasMore: false }])
    expectProblem(await call('GET', `/operations/${operation}`, undefined, {}, resident.id), 'not-found')
    expectProblem(await call('GET', `/operations/${operation}/requests?cursor=x`), 'cursor-unusable')
  })
})

describe('importing', () => {
  const sheet = (days: readonly NoticeDay[]) => workbooks.write([{ ...templateOf(2027), rows: days.map(({ date, name, isOffDay }) => [date, name, isOffDay ? '放假' : '上班']) }])
  const form = (bytes: Buffer, field = 'file') => {
    const edge = '----edge'
    return {
      payload: Buffer.concat([Buffer.from(`--${edge}\r\ncontent-disposition: form-data; name="${field}"; filename="a.xlsx"\r\ncontent-type: ${XLSX}\r\n\r\n`), bytes, Buffer.from(`\r\n--${edge}--\r\n`)]),
      headers: { 'content-type': `multipart/form-data; boundary=${edge}` },
    }
  }
  const post = (payload: InjectOptions['payload'], headers: Record<string, string> = {}, query = '') => call('POST', `/calendar/import${query}`, payload, headers)
  const years = async () => (await ok(get('/years'))).data.map(({ year }: { year: number }) => year)

  test('tried first, by JSON as it is published, by workbook and by form: the same answer, and nothing changes', async () => {
    const byJson = await ok(post({ $schema: 'https://…', $id: 'https://…', papers: ['https://www.gov.cn/'], ...NOTICE_2027, dryRun: true }))
    expect(byJson).toMatchObject({ node: { code: 'S' }, year: 2027, dryRun: true, published: true, holidays: 27, workdays: 6, operation: null })
    const bytes = await sheet(NOTICE_2027.days)
    expect(await ok(post(bytes, { 'content-type': XLSX }, '?dryRun=true'))).toEqual(byJson)
    const { payload, headers } = form(bytes)
    expect(await ok(post(payload, headers, '?dryRun=true'))).toEqual(byJson)
    expect(await years()).not.toContain(2027)
  })

  test('the example of the document is taken as it stands', async () => {
    const { components } = (await app.inject('/openapi.json')).json<{ components: { schemas: { Notice: { examples: object[] } } } }>()
    for (const example of components.schemas.Notice.examples) expect(await ok(post(example))).toMatchObject({ year: 2026, dryRun: true, holidays: 33, workdays: 6, changes: [], operation: null })
  })

  test('with a bad row says which row and column, and changes nothing', async () => {
    const bad = NOTICE_2027.days.map((day, index) => (index === 3 ? { ...day, date: '2027-02-31' } : day))
    expectProblem(await post(await sheet(bad), { 'content-type': XLSX }), 'validation-failed', pointers(['/rows/5/A', '第5行 A列（日期）：“2027-02-31”不是日期，应为 2027-01-01 这样的日期']))
    expectProblem(await post({ year: 2027, days: bad }), 'validation-failed', pointers(['/days/3/date']))
    expectProblem(await post({ year: 2027, days: [...NOTICE_2027.days, NOTICE_2027.days[0]] }), 'validation-failed', pointers([`/days/${NOTICE_2027.days.length}/date`, '第34项：日期 2027-01-01 重复']))
    const english = await post({ year: 2027, days: [] }, { 'accept-language': 'en' })
    expectProblem(english, 'validation-failed', pointers(['/days', 'Not a whole year\'s arrangement: 元旦, 春节, 劳动节, 国庆节 missing']))
    expectProblem(await post({ ...NOTICE_2027, year: 2072 }), 'validation-failed')
    expect(await years()).not.toContain(2027)
  })

  test('what is no workbook is refused, and says why', async () => {
    const send = (bytes: Buffer, type = XLSX) => post(bytes, { 'content-type': type })
    expectProblem(await send(Buffer.from('日期,名称,类型')), 'file-type-unsupported', { reason: 'not-a-workbook', detail: '不是 Excel 工作簿（.xlsx）' })
    expectProblem(await send(Buffer.concat([Buffer.from('d0cf11e0a1b11ae1', 'hex'), Buffer.alloc(512)]), 'application/vnd.ms-excel'), 'file-type-unsupported', { reason: 'old-or-locked' })
    expectProblem(await send((await sheet(NOTICE_2027.days)).subarray(0, 3000)), 'file-unreadable', { reason: 'damaged' })
    const many = await sheet(Array.from({ length: 500 }, () => NOTICE_2027.days[0]!))
    expectProblem(await send(many), 'body-too-large', { reason: 'too-many-rows' })
    expectProblem(await send(Buffer.alloc(1_048_577)), 'body-too-large')
    const big = form(Buffer.alloc(1_048_577))
    expectProblem(await post(big.payload, big.headers), 'body-too-large')
    const misnamed = form(await sheet(NOTICE_2027.days), 'table')
    expectProblem(await post(misnamed.payload, misnamed.headers), 'validation-failed', pointers(['/table']))
    expectProblem(await post('年,月', { 'content-type': 'text/csv' }), 'media-type-unsupported')
    expectProblem(await post(Buffer.from('{"year":2027,"days":[{"name":"\xb4\xba"}]}', 'latin1'), { 'content-type': 'application/json' }), 'body-malformed')
    expectProblem(await post(undefined), 'media-type-unsupported')
    expectProblem(await post('', { 'content-type': 'application/json' }), 'validation-failed')
    expectProblem(await post(Buffer.alloc(0), { 'content-type': XLSX }), 'file-type-unsupported')
    expectProblem(await post({ ...NOTICE_2027, node: 'nowhere' }), 'node-unknown')
    expectProblem(await call('POST', '/calendar/import', { ...NOTICE_2027 }, {}, resident.id), 'forbidden')
    expect(await years()).not.toContain(2027)
  })

  test('publishes the year: what rested on it is computed again', async () => {
    await database.setClock('2026-12-28T02:00:00Z')
    await app.close()
    app = build()
    const { id } = await town.inside(() => file(database.db, { item: 'companionship', title: '跨年', node: 'C' }, resident))
    const { operation, published } = await ok(post(await sheet(NOTICE_2027.days), { 'content-type': XLSX }))
    expect([published, operation]).toEqual([true, expect.any(String)])
    expect(await years()).toContain(2027)
    expect((await ok(get('/years'))).data.at(-1)).toMatchObject({ year: 2027, source: 'imported', node: { code: 'S' } })
    expect((await ok(get('/days?from=2027-02-08&to=2027-02-08'))).data).toEqual([{ date: '2027-02-08', workday: false, name: '春节', hours: [], source: 'overlay', published: true }])
    expect(await ok(get('/due?from=2026-12-28T02:00:00Z&limit=5wd'))).toEqual({ dueAt: '2027-01-05T10:00:00.000Z', provisional: false })
    await database.owner.query(`UPDATE rescheduling SET "createdAt" = "createdAt" - interval '1 minute'`)
    while (await rescheduleOnce(database.db));
    const { data } = await ok(call('GET', `/operations/${operation}/requests`))
    expect(data).toMatchObject([{ id, seq: 2, deadlines: expect.arrayContaining([{ step: 'complete', dueAt: '2027-01-12T10:00:00.000Z', provisional: false }]) }])
  })

  test('the template comes as a file', async () => {
    const { headers, rawPayload } = await get('/template.xlsx')
    expect(headers).toMatchObject({ 'content-type': XLSX, 'content-disposition': 'attachment; filename="calendar-template.xlsx"' })
    expect(await workbooks.read(rawPayload, { bytes: 2 ** 22, rows: 10, columns: 5 })).toMatchObject([{ rows: [{ cells: ['日期', '名称', '类型'] }, {}] }])
  })
})

test('the document has each way to import as what it is', async () => {
  const whole = (await app.inject('/openapi.json')).json<{ paths: Record<string, Record<string, { requestBody: { required: boolean; content: Record<string, { schema: object }> }; responses: Record<string, { content: Record<string, { schema: object }> }> }>> }>()
  const { content } = whole.paths['/v1/calendar/import']!.post!.requestBody
  expect(Object.keys(content)).toEqual(['application/json', XLSX, 'multipart/form-data'])
  expect(content['application/json']!.schema).toEqual({ $ref: '#/components/schemas/Notice' })
  expect(content[XLSX]!.schema).toMatchObject({ type: 'string', format: 'binary' })
  expect(content['multipart/form-data']!.schema).toMatchObject({ type: 'object', required: ['file'] })
  expect(whole.paths['/v1/calendar/template.xlsx']!.get!.responses['200']!.content[XLSX]!.schema).toMatchObject({ format: 'binary' })
  for (const path of ['/v1/calendar/days', '/v1/calendar/due', '/v1/calendar/years', '/v1/calendar/hours']) expect(whole.paths[path]!.get, path).toMatchObject({ tags: ['日历'] })
})
