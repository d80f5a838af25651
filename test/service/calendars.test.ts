import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Actor, PersonActor } from '../../src/domain/actor.ts'
import { Problem } from '../../src/domain/problems.ts'
import type { Sheet } from '../../src/domain/sheet.ts'
import { DEFAULT_POLICY } from '../../src/domain/policy.ts'
import { workbooks } from '../../src/outside/workbook.ts'
import { setDay, setHours } from '../../src/service/calendar-changes.ts'
import { readDays, readDue, readHours, readYears } from '../../src/service/calendar-days.ts'
import { importNotice, importWorkbook, template, templateOf } from '../../src/service/calendar-import.ts'
import { calendars } from '../../src/service/calendars.ts'
import { openDatabase } from '../../src/service/db.ts'
import { file } from '../../src/service/requests.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { NOTICE_2027 } from '../notice-2027.ts'
import { testPlace, type TestPlace } from '../place.ts'

let database: TestDatabase
let town: TestPlace
let resident: PersonActor, admin: PersonActor, keeper: PersonActor

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database, { limits: { ...DEFAULT_POLICY.limits, complete: '5wd' } })
  ;[resident, admin, keeper] = await Promise.all([town.person(), town.person({ at: 'S', can: ['administer'] }), town.person({ at: 'P', can: ['administer'] })])
})
afterAll(() => database.drop())

const inside = <T>(run: () => T): T => town.inside(run)
const dueOf = async (from: string, limit: string, node?: string) => {
  const { dueAt, provisional } = await inside(() => readDue(database.db, { from: new Date(`${from.replace(' ', 'T')}+08:00`), limit, node }))
  return new Date(dueAt.getTime() + 8 * 3_600_000).toISOString().slice(0, 16).replace('T', ' ') + (provisional ? ' provisional' : '')
}
const day = async (date: string, node?: string) => (await inside(() => readDays(database.db, { from: date, to: date, node }))).data[0]!
const refusal = async (run: () => Promise<unknown>) => {
  const error = await inside(run).then(() => undefined, (thrown: unknown) => thrown)
  if (!(error instanceof Problem)) throw new Error(`not refused: ${String(error)}`)
  return { code: error.code, errors: error.errors.map(({ pointer, message }) => `${pointer} ${message.zh}`) }
}
const tables = async () => Promise.all(['calendar_hours', 'calendar_day', 'calendar_year', 'rescheduling'].map(async (table) => (await database.owner.query(`SELECT * FROM ${table} ORDER BY 1, 2, 3`)).rows))

describe('the calendar of a tenant that has said nothing', () => {
  test('filed on the eve of the National Day, five workdays end on October 13th', async () => {
    expect(await dueOf('2026-09-30 10:00', '5wd')).toBe('2026-10-13 18:00')
    await database.setClock('2026-09-30T02:00:00Z')
    const { deadlines } = await inside(() => file(database.db, { item: 'companionship', title: '修灯', node: 'U' }, resident))
    expect(deadlines.find(({ step }) => step === 'complete')).toMatchObject({ dueAt: new Date('2026-10-13T10:00:00Z'), provisional: false })
  })

  test('knows holidays, and Sundays worked in exchange', async () => {
    expect(await day('2026-01-04')).toEqual({ date: '2026-01-04', workday: true, name: '元旦', hours: ['09:00-12:00', '14:00-18:00'], source: 'shipped', published: true })
    expect(await day('2026-10-01')).toMatchObject({ workday: false, name: '国庆节', hours: [], source: 'shipped' })
    expect(await day('2026-03-07')).toMatchObject({ workday: false, name: null, source: 'week', published: true })
    expect(await day('2027-02-08')).toMatchObject({ workday: true, published: false })
  })

  test('counts limits of every sort, and says where it rests on days that are not published', async () => {
    expect(await dueOf('2026-03-02 10:30', '7d')).toBe('2026-03-09 10:30')
    expect(await dueOf('2026-03-02 11:00', '90wm')).toBe('2026-03-02 14:30')
    expect(await dueOf('2026-10-01 10:00', '24h')).toBe('2026-10-02 10:00')
    expect(await dueOf('2026-12-28 10:00', '5wd')).toBe('2027-01-04 18:00 provisional')
  })

  test('covers the years that are shipped', async () => {
    const { data } = await inside(() => readYears(database.db, undefined))
    expect(data[0]).toEqual({ year: 2004, source: 'shipped', node: null, importedAt: null })
    expect(data.at(-1)).toMatchObject({ year: 2026 })
  })

  test('is asked for places and spans that there are', async () => {
    expect(await refusal(() => readDays(database.db, { from: '2026-01-01', to: '2026-01-02', node: 'nowhere' }))).toMatchObject({ code: 'not-found' })
    expect(await refusal(() => readDays(database.db, { from: '2026-01-02', to: '2026-01-01' }))).toEqual({ code: 'validation-failed', errors: ['/query/to 不能早于 from'] })
    expect(await refusal(() => readDays(database.db, { from: '2026-01-01', to: '2027-02-05' }))).toEqual({ code: 'validation-failed', errors: ['/query/to 一次最多 400 天'] })
    expect((await inside(() => readDays(database.db, { from: '2026-01-01', to: '2027-02-04' }))).data).toHaveLength(400)
    for (const from of ['1950-01-01', '2199-12-30']) expect(await refusal(() => readDue(database.db, { from: new Date(from), limit: '500wd' }))).toEqual({ code: 'validation-failed', errors: ['/query/from 日历只到 1970 至 2199 年'] })
    for (const date of ['1970-01-02', '2199-12-31']) expect(await day(date)).toMatchObject({ date, published: false })
    expect(await refusal(() => readDays(database.db, { from: '1969-12-31', to: '1970-01-02' }))).toMatchObject({ code: 'validation-failed' })
  })
})

describe('hours of a place', () => {
  test('a compound that serves on Saturdays differs from its street, and what it does not say is the street’s', async () => {
    await inside(() => setHours(database.db, { node: 'S', week: { 5: ['09:00-12:00'] } }, admin))
    const set = await inside(() => setHours(database.db, { node: 'P', week: { 6: ['09:00-12:00'] } }, keeper))
    expect(set).toMatchObject({ node: { code: 'P' }, own: { 6: ['09:00-12:00'] }, operation: null, week: { 4: ['09:00-12:00', '14:00-18:00'], 5: ['09:00-12:00'], 6: ['09:00-12:00'], 7: [] } })
    expect(await inside(() => readHours(database.db, 'U'))).toMatchObject({ week: set.week, own: {} })
    expect(await inside(() => readHours(database.db, undefined))).toMatchObject({ node: { code: 'S' }, week: { 5: ['09:00-12:00'], 6: [] } })
    // Thursday, one workday on is a short Friday, two are Saturday here and Monday there
    expect([await dueOf('2026-03-05 10:00', '1wd'), await dueOf('2026-03-05 10:00', '2wd')]).toEqual(['2026-03-06 12:00', '2026-03-09 18:00'])
    expect([await dueOf('2026-03-05 10:00', '1wd', 'U'), await dueOf('2026-03-05 10:00', '2wd', 'U')]).toEqual(['2026-03-06 12:00', '2026-03-07 12:00'])
    // a holiday stays one
    expect(await dueOf('2026-09-30 10:00', '1wd', 'U')).toBe('2026-10-08 18:00')
  })

  test('a request goes by those of the place that is responsible for it', async () => {
    await database.setClock('2026-03-02T02:00:00Z') // Monday: five workdays end on Saturday there
    const { deadlines } = await inside(() => file(database.db, { item: 'companionship', title: '周六也行', node: 'U' }, resident))
    expect(deadlines.find(({ step }) => step === 'complete')).toMatchObject({ dueAt: new Date('2026-03-07T04:00:00Z') })
    const elsewhere = await inside(() => file(database.db, { item: 'companionship', title: '周一才行', node: 'C' }, resident))
    expect(elsewhere.deadlines.find(({ step }) => step === 'complete')).toMatchObject({ dueAt: new Date('2026-03-09T10:00:00Z') })
  })

  test('with any number of intervals, lunch and the evening between them', async () => {
    await inside(() => setHours(database.db, { node: 'P', week: { 1: ['14:00-17:30', '08:30-11:30', '19:00-21:00'] } }, keeper))
    expect(await dueOf('2026-03-02 11:00', '60wm', 'P')).toBe('2026-03-02 14:30')
    expect(await dueOf('2026-03-02 11:30', '210wm', 'P')).toBe('2026-03-02 17:30')
    expect(await dueOf('2026-03-02 17:00', '60wm', 'P')).toBe('2026-03-02 19:30')
    expect((await day('2026-03-02', 'P')).hours).toEqual(['08:30-11:30', '14:00-17:30', '19:00-21:00'])
    // what it had said of Saturday is taken back
    expect((await day('2026-03-07', 'P')).workday).toBe(false)
  })

  test('are set by who administers the place, and never down to none', async () => {
    expect(await refusal(() => setHours(database.db, { node: 'S', week: {} }, keeper))).toMatchObject({ code: 'forbidden' })
    expect(await refusal(() => setHours(database.db, { node: 'P', week: {} }, resident))).toMatchObject({ code: 'forbidden' })
    expect(await refusal(() => setHours(database.db, { node: 'nowhere', week: {} }, admin))).toMatchObject({ code: 'node-unknown' })
    const none = { 1: [], 2: [], 3: [], 4: [], 5: [], 6: [], 7: [] }
    expect(await refusal(() => setHours(database.db, { node: 'P', week: none }, keeper))).toEqual({ code: 'validation-failed', errors: ['/week 节点 P 将没有任何工作时间'] })
    // nor what lies below, by what it says itself
    await inside(() => setHours(database.db, { node: 'B', week: { ...none, 3: ['09:00-12:00'] } }, keeper))
    await inside(() => setHours(database.db, { node: 'P', week: { 3: ['09:00-12:00'] } }, keeper))
    const { 3: _, ...allButWednesday } = none
    await inside(() => setHours(database.db, { node: 'B', week: allButWednesday }, keeper))
    expect(await refusal(() => setHours(database.db, { node: 'P', week: { 3: [] } }, keeper))).toEqual({ code: 'validation-failed', errors: ['/week 节点 B 将没有任何工作时间'] })
    await inside(async () => { for (const node of ['B', 'P', 'S']) await setHours(database.db, { node, week: {} }, admin) })
    expect(await dueOf('2026-03-05 10:00', '1wd', 'U')).toBe('2026-03-06 18:00')
  })
})

describe('a day of a place’s own', () => {
  test('closed, on duty, with hours of its own, and taken back', async () => {
    const set = (more: object, actor: Actor = keeper) => inside(() => setDay(database.db, { date: '2026-03-04', node: 'P', kind: 'holiday', ...more }, actor))
    expect(await set({ name: '停电' })).toEqual({ node: { id: town.node.P, code: 'P', name: 'P' }, date: '2026-03-04', workday: false, name: '停电', hours: [], source: 'overlay', published: true, operation: null })
    expect(await dueOf('2026-03-03 10:00', '1wd', 'U')).toBe('2026-03-05 18:00')
    expect(await dueOf('2026-03-03 10:00', '1wd')).toBe('2026-03-04 18:00')
    expect(await set({ kind: 'workday', hours: ['10:00-11:00'] })).toMatchObject({ workday: true, name: null, hours: ['10:00-11:00'] })
    expect(await dueOf('2026-03-03 10:00', '1wd', 'U')).toBe('2026-03-04 11:00')
    expect(await set({ kind: 'inherited' })).toMatchObject({ workday: true, hours: ['09:00-12:00', '14:00-18:00'], source: 'week' })
    expect(await dueOf('2026-03-03 10:00', '1wd', 'U')).toBe('2026-03-04 18:00')
    expect(await refusal(() => setDay(database.db, { date: '2026-03-04', node: 'P', kind: 'holiday', hours: ['10:00-11:00'] }, keeper))).toEqual({ code: 'validation-failed', errors: ['/hours 只有工作日有时段，且至少一段'] })
    expect(await refusal(() => setDay(database.db, { date: '2026-03-04', node: 'C', kind: 'holiday' }, keeper))).toMatchObject({ code: 'forbidden' })
  })
})

describe('a notice', () => {
  const sheetOf = (days: readonly { date: string; name: string; isOffDay: boolean }[]) =>
    workbooks.write([{ ...templateOf(2027), rows: days.map(({ date, name, isOffDay }) => [date, name, isOffDay ? '放假' : '上班']) }])
  const importSheet = async (days: Parameters<typeof sheetOf>[0], options = {}, actor: Actor = admin) => {
    const bytes = await sheetOf(days)
    return importWorkbook({ db: database.db, workbooks }, bytes, options, actor)
  }

  test('that is only tried tells what it would change, and changes nothing', async () => {
    const before = await tables()
    const told = await inside(() => importNotice(database.db, NOTICE_2027, { dryRun: true }, admin))
    expect(told).toMatchObject({ node: { code: 'S' }, year: 2027, dryRun: true, published: true, holidays: 27, workdays: 6, operation: null })
    expect(told.changes.filter(({ workday }) => workday).map(({ date }) => date)).toEqual(['2027-01-30', '2027-02-20', '2027-04-25', '2027-05-08', '2027-09-26', '2027-10-09'])
    expect(told.changes).toContainEqual({ date: '2027-02-08', name: '春节', workday: false })
    expect(told.changes.map(({ date }) => date)).not.toContain('2027-01-02') // a Saturday is off anyhow
    expect(await inside(() => importSheet(NOTICE_2027.days, { dryRun: true }))).toEqual(told)
    expect(await tables()).toEqual(before)
  })

  test('with a bad row names row and column, and changes nothing', async () => {
    const before = await tables()
    const bad = NOTICE_2027.days.map((one, index) => (index === 3 ? { ...one, date: '2027-02-31' } : index === 12 ? { ...one, name: '' } : one))
    expect(await refusal(() => importSheet(bad))).toEqual({
      code: 'validation-failed', errors: ['/rows/5/A 第5行 A列（日期）：“2027-02-31”不是日期，应为 2027-01-01 这样的日期', '/rows/14/B 第14行 B列（名称）：应为 1 至 40 个字的节日名称'],
    })
    const twice = [...NOTICE_2027.days, NOTICE_2027.days[0]!]
    expect(await refusal(() => importNotice(database.db, { year: 2027, days: twice }, {}, admin))).toEqual({ code: 'validation-failed', errors: [`/days/${twice.length - 1}/date 第${twice.length}项：日期 2027-01-01 重复`] })
    expect(await refusal(() => importNotice(database.db, { year: 2027, days: [] }, {}, admin))).toMatchObject({ code: 'validation-failed' })
    expect(await tables()).toEqual(before)
  })

  test('is imported by who administers the place; strangers make nothing be unpacked', async () => {
    const unread = { read: () => Promise.reject(new Error('was read')), write: workbooks.write }
    expect(await refusal(() => importWorkbook({ db: database.db, workbooks: unread }, Buffer.from('PK'), {}, resident))).toMatchObject({ code: 'forbidden' })
    expect(await refusal(() => importNotice(database.db, NOTICE_2027, {}, keeper))).toMatchObject({ code: 'forbidden' })
    for (const [bytes, code] of [[Buffer.from('日期'), 'file-type-unsupported'], [Buffer.from('PK nothing'), 'file-unreadable']] as const) {
      expect(await refusal(() => importWorkbook({ db: database.db, workbooks }, bytes, {}, admin))).toMatchObject({ code })
    }
  })

  test('imported below publishes the year there alone', async () => {
    expect(await inside(() => importNotice(database.db, NOTICE_2027, { node: 'P' }, keeper))).toMatchObject({ published: true, node: { code: 'P' } })
    expect(await day('2027-02-08', 'U')).toMatchObject({ workday: false, name: '春节', source: 'overlay', published: true })
    expect(await day('2027-02-08', 'C')).toMatchObject({ workday: true, published: false })
    expect((await inside(() => readYears(database.db, 'U'))).data.at(-1)).toMatchObject({ year: 2027, source: 'imported', node: { code: 'P' }, importedAt: expect.any(Date) })
    expect((await inside(() => readYears(database.db, 'C'))).data.at(-1)).toMatchObject({ year: 2026 })
  })

  test('by workbook says the same as by JSON, twice is once, and a correction replaces the whole', async () => {
    const { operation, ...first } = await inside(() => importSheet(NOTICE_2027.days))
    expect([first.published, operation]).toEqual([true, expect.any(String)])
    const again = await inside(() => importNotice(database.db, NOTICE_2027, {}, admin))
    expect(again).toMatchObject({ published: false, operation: null, changes: [] })
    const corrected = { year: 2027, days: NOTICE_2027.days.filter(({ date }) => !['2027-02-11', '2027-02-20'].includes(date)) }
    expect((await inside(() => importNotice(database.db, corrected, {}, admin))).changes.map(({ date, workday }) => [date, workday])).toEqual([['2027-02-11', true], ['2027-02-20', false]])
    expect((await day('2027-02-11')).workday).toBe(true)
    // below, where the notice was imported too, that one still stands
    expect((await day('2027-02-11', 'U')).workday).toBe(false)
  })

  test('imported twice at once is one notice, whole, and published once', async () => {
    const other = await testPlace(database, {}, 'TWIN')
    const boss = await other.person({ at: 'S', can: ['administer'] })
    const a = NOTICE_2027
    const b = { year: 2027, days: NOTICE_2027.days.filter(({ date }) => date !== '2027-02-11').map((one) => ({ ...one, name: `${one.name}二` })) }
    const answers = await other.inside(() => Promise.all([a, b, a, b, a, b].map((notice) => importNotice(database.db, notice, {}, boss))))
    expect(answers.filter(({ published }) => published)).toHaveLength(1)
    expect(answers.filter(({ operation }) => operation !== null)).toHaveLength(1)
    const { rows } = await database.owner.query<{ days: object[] }>(`SELECT days FROM calendar_year WHERE "tenantId" = $1`, [other.tenantId])
    const sorted = (days: readonly { date: string }[]) => [...days].sort((x, y) => (x.date < y.date ? -1 : 1))
    expect([[sorted(a.days)], [sorted(b.days)]]).toContainEqual(rows.map(({ days }) => days))
  })
})

test('the template is one that can be imported when it is filled in', async () => {
  const bytes = await inside(() => template({ db: database.db, workbooks }))
  const [sheet] = await workbooks.read(bytes, { bytes: 2 ** 22, rows: 10, columns: 10 }) as readonly Sheet[]
  expect(sheet!.rows.map(({ cells }) => cells)).toEqual([['日期', '名称', '类型'], ['2027-01-01', '元旦', '放假']])
})

test('another process knows of a change after two seconds at the latest', async () => {
  const other = openDatabase({ url: database.url })
  try {
    const workdayThere = async () => (await inside(() => calendars(other))).at('S/').inWords(20_518).workday // 2026-03-06, a Friday
    expect(await workdayThere()).toBe(true)
    await inside(() => setDay(database.db, { date: '2026-03-06', node: 'S', kind: 'holiday' }, admin))
    expect((await day('2026-03-06')).workday).toBe(false)
    expect(other.memory.getRemainingTTL(`calendars/${town.tenantId}`)).toBeLessThanOrEqual(2_000)
    other.memory.delete(`calendars/${town.tenantId}`) // as time does
    expect(await workdayThere()).toBe(false)
  } finally {
    await other.close()
  }
})

test('what has not changed is not built again', async () => {
  const first = await inside(() => calendars(database.db))
  database.db.memory.delete(`calendars/${town.tenantId}`)
  const second = await inside(() => calendars(database.db))
  expect(second).toBe(first)
  expect(second.at('S/C/P/B/U/')).toBe(second.at('S/C/P/'))
  expect(second.at('S/C/')).toBe(second.at('S/'))
})
