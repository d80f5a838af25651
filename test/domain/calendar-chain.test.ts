import { describe, expect, test } from 'vitest'
import { chainedCalendar, hasHours, NOTHING_STATED, type Stated } from '../../src/domain/calendar-chain.ts'
import { dayNumber } from '../../src/domain/calendar-day.ts'
import { daysInWords, DEFAULT_WEEK, due, hoursOf, hoursSchema, startOfDay, weekOf, weekSchema } from '../../src/domain/calendar.ts'
import { NOTICE_2027 } from '../notice-2027.ts'

const SETTINGS = { zone: 'Asia/Shanghai', week: DEFAULT_WEEK }
const stated = (says: Partial<Stated>): Stated => ({ ...NOTHING_STATED, ...says })
const calendar = (...chain: Stated[]) => chainedCalendar(SETTINGS, chain)
const on = (date: string, ...chain: Stated[]) => calendar(...chain).inWords(dayNumber(date))
const NOTICED = stated({ notices: [NOTICE_2027] })
const OFFICE = ['09:00-12:00', '14:00-18:00']

describe('along a chain of places', () => {
  test('a weekday is as the nearest says that speaks of it', () => {
    const street = stated({ week: weekOf({ 5: ['09:00-12:00'], 6: ['10:00-11:00'] }) })
    const compound = stated({ week: weekOf({ 6: ['09:00-17:00'], 1: [] }) })
    const hours = (...chain: Stated[]) => ['2026-03-02', '2026-03-03', '2026-03-06', '2026-03-07', '2026-03-08'].map((day) => on(day, ...chain).hours)
    expect(hours()).toEqual([OFFICE, OFFICE, OFFICE, [], []])
    expect(hours(street)).toEqual([OFFICE, OFFICE, ['09:00-12:00'], ['10:00-11:00'], []])
    expect(hours(street, compound)).toEqual([[], OFFICE, ['09:00-12:00'], ['09:00-17:00'], []])
  })

  test('a date is as the nearest says, before the notices and the week', () => {
    const street = stated({ days: [{ date: '2026-10-01', work: true, name: '值班', intervals: hoursOf(['10:00-12:00']) }, { date: '2026-03-04', work: false, name: '停电' }] })
    const compound = stated({ days: [{ date: '2026-03-04', work: true }] })
    expect(on('2026-10-01', street)).toEqual({ workday: true, name: '值班', hours: ['10:00-12:00'], source: 'overlay', published: true })
    expect(on('2026-03-04', street)).toMatchObject({ workday: false, name: '停电' })
    expect(on('2026-03-04', street, compound)).toMatchObject({ workday: true, name: null, hours: OFFICE })
  })

  test('a notice publishes its year from its place down', () => {
    expect(on('2027-02-08', stated({}))).toMatchObject({ workday: true, published: false, source: 'week' })
    expect(on('2027-02-08', stated({}), NOTICED)).toEqual({ workday: false, name: '春节', hours: [], source: 'overlay', published: true })
    expect(on('2027-02-20', NOTICED, stated({}))).toEqual({ workday: true, name: '春节', hours: OFFICE, source: 'overlay', published: true })
    expect(on('2026-12-28', stated({})).published).toBe(false)
    expect(on('2026-12-28', NOTICED).published).toBe(true)
    expect(on('2027-12-28', NOTICED).published).toBe(false)
  })

  test('a place’s own day stands over the notice, at the same place and below it', () => {
    const duty = stated({ days: [{ date: '2027-02-08', work: true, name: '值班' }] })
    expect(on('2027-02-08', { ...NOTICED, days: duty.days }).workday).toBe(true)
    expect(on('2027-02-08', NOTICED, duty).workday).toBe(true)
    expect(on('2027-02-08', duty, NOTICED).workday).toBe(false)
  })

  test('a corrected notice stands instead of the one before: of a day it no longer names the week decides', () => {
    const shipped = ['2026-10-10', '2026-10-08', '2026-10-07'].map((day) => on(day).workday)
    expect(shipped).toEqual([true, true, false])
    const corrected = stated({ notices: [{ year: 2026, days: [{ date: '2026-01-01', name: '元旦', isOffDay: true }, { date: '2026-10-08', name: '国庆节', isOffDay: true }] }] })
    expect(['2026-10-10', '2026-10-08', '2026-10-07'].map((day) => on(day, corrected).workday)).toEqual([false, false, true])
    expect(on('2025-10-01', corrected).workday).toBe(false)
    const again = stated({ notices: [{ ...NOTICE_2027, days: NOTICE_2027.days.filter(({ date }) => !['2027-02-11', '2027-02-20'].includes(date)) }] })
    expect(['2027-02-10', '2027-02-11', '2027-02-20'].map((day) => on(day, NOTICED, again).workday)).toEqual([false, true, false])
  })

  test('a deadline over the New Year is settled by the notice', () => {
    const from = new Date('2026-12-25T02:00:00Z')
    expect(due(calendar(stated({})), from, '10wd')).toEqual({ dueAt: new Date('2027-01-08T10:00:00Z'), provisional: true })
    // 元旦 is a Friday and off, with the weekend behind it
    expect(due(calendar(NOTICED), from, '10wd')).toEqual({ dueAt: new Date('2027-01-11T10:00:00Z'), provisional: false })
  })
})

describe('hours as people write them', () => {
  test.each([
    [['09:00-12:00', '14:00-18:00'], undefined],
    [['14:00-18:00', '09:00-12:00'], undefined],
    [['09:00-12:00', '12:00-24:00'], undefined],
    [[], undefined],
    [['9:00-12:00'], '应为 HH:MM-HH:MM，例如 09:00-12:00'],
    [['09:00-25:00'], '应为 HH:MM-HH:MM，例如 09:00-12:00'],
    [['09:00'], '应为 HH:MM-HH:MM，例如 09:00-12:00'],
    [['22:00-06:00'], '结束须晚于开始；跨夜的写在两天'],
    [['09:00-09:00'], '结束须晚于开始；跨夜的写在两天'],
    [['09:00-12:00', '11:59-13:00'], '时段重叠'],
  ])('%j', (texts, wrong) => {
    const { error } = hoursSchema.safeParse(texts)
    const issue = error?.issues[0] as { params?: { zh: string } } | undefined
    expect(issue?.params?.zh).toBe(wrong)
    // what the schema lets through, a calendar can be built from
    if (!wrong && texts.length > 0) expect(chainedCalendar(SETTINGS, [stated({ week: weekOf({ 1: texts }) })]).inWords(dayNumber('2026-03-02')).hours).toEqual([...texts].sort())
  })

  test('a week has seven days', () => {
    expect(weekSchema.safeParse({ 6: ['09:00-12:00'], 7: [] }).success).toBe(true)
    expect(weekSchema.safeParse({ 8: ['09:00-12:00'] }).success).toBe(false)
    expect([hasHours({}), hasHours({ 7: [] }), hasHours({ 7: [['09:00', '10:00']] })]).toEqual([false, false, true])
  })
})

test('days in words run from one to the other, and begin at local midnight', () => {
  expect(daysInWords(calendar(), '2026-01-03', '2026-01-05').map(({ date, workday, name }) => [date, workday, name])).toEqual([['2026-01-03', false, '元旦'], ['2026-01-04', true, '元旦'], ['2026-01-05', true, null]])
  expect(daysInWords(calendar(), '2026-01-05', '2026-01-03')).toEqual([])
  expect(startOfDay(calendar(), '2026-01-05').toISOString()).toBe('2026-01-04T16:00:00.000Z')
})
