import { describe, expect, it } from 'vitest'
import {
  addWorkingMinutes, buildCalendar, CalendarSettingsError, dayOf, DEFAULT_WEEK, due, endOfNextWorkday, isWorkday,
  nextWorkingTime, workingMinutesBetween, type OverlayDay, type Week,
} from '../../src/domain/calendar.ts'

const SETTINGS = { zone: 'Asia/Shanghai', week: DEFAULT_WEEK }
const calendar = buildCalendar(SETTINGS)

/** `2026-09-30 10:00` in Shanghai, and back. */
const at = (local: string) => new Date(`${local.replace(' ', 'T')}+08:00`)
const shown = (instant: Date) => new Date(instant.getTime() + 8 * 3_600_000).toISOString().slice(0, 16).replace('T', ' ')
const dueOf = (from: string, limit: string, within = calendar) => {
  const { dueAt, provisional } = due(within, at(from), limit)
  return shown(dueAt) + (provisional ? ' provisional' : '')
}

describe('due', () => {
  it.each([
    // 国庆: 10-01 to 10-07 off, Saturday 10-10 worked in exchange
    ['2026-09-30 10:00', '5wd', '2026-10-13 18:00'],
    ['2026-09-30 23:59', '5wd', '2026-10-13 18:00'],
    ['2026-10-03 10:00', '1wd', '2026-10-08 18:00'],
    ['2026-01-02 10:00', '1wd', '2026-01-04 18:00'], // a Sunday, worked
    ['2026-03-02 08:00', '1wd', '2026-03-03 18:00'],
    // calendar days: kept on a workday, even outside hours; rolled to closing time from a day off
    ['2026-03-02 10:30', '7d', '2026-03-09 10:30'],
    ['2026-03-02 22:15', '7d', '2026-03-09 22:15'],
    ['2026-03-02 10:30', '5d', '2026-03-09 18:00'],
    ['2026-09-24 10:30', '7d', '2026-10-08 18:00'],
    ['2025-12-28 10:30', '7d', '2026-01-04 10:30'],
    // working time: 7 hours a day
    ['2026-03-02 09:00', '480wm', '2026-03-03 10:00'],
    ['2026-03-02 11:00', '90wm', '2026-03-02 14:30'],
    ['2026-03-02 09:00', '180wm', '2026-03-02 12:00'],
    ['2026-03-02 09:00', '7wh', '2026-03-02 18:00'],
    ['2026-03-02 03:00', '1wm', '2026-03-02 09:01'],
    ['2026-03-06 17:59', '2wm', '2026-03-09 09:01'],
    ['2026-09-30 17:00', '2wh', '2026-10-08 10:00'],
    // plain
    ['2026-10-01 10:00', '24h', '2026-10-02 10:00'],
    ['2026-10-01 10:00', '30m', '2026-10-01 10:30'],
  ])('filed %s, %s: %s', (from, limit, expected) => expect(dueOf(from, limit)).toBe(expected))

  it('keeps the seconds of plain and calendar-day limits', () => {
    const from = new Date('2026-03-02T02:30:15.678Z')
    expect(due(calendar, from, '7d').dueAt.toISOString()).toBe('2026-03-09T02:30:15.678Z')
  })

  it('refuses malformed limits and impossible dates', () => {
    expect(() => due(calendar, at('2026-03-02 10:00'), '5 wd')).toThrow(RangeError)
    for (const limit of ['5wd', '7d', '480wm', '8wh', '24h', '30m']) {
      for (const from of [new Date(Number.NaN), new Date(-1e14), new Date(1e14)]) {
        expect(() => due(calendar, from, limit)).toThrow(RangeError)
      }
    }
    expect(() => due(calendar, new Date('2199-12-30'), '500wd')).toThrow(/1970 to 2199/)
  })
})

describe('years without a published notice', () => {
  it.each([
    ['2026-12-18 10:00', '4wd', '2026-12-24 18:00'],
    // The next notice may change the last week of December.
    ['2026-12-18 10:00', '5wd', '2026-12-25 18:00 provisional'],
    ['2026-12-17 10:00', '7d', '2026-12-24 10:00'],
    ['2026-12-22 10:00', '7d', '2026-12-29 10:00 provisional'],
    ['2026-12-29 10:00', '5wd', '2027-01-05 18:00 provisional'],
    ['2026-12-01 10:00', '60d', '2027-02-01 18:00 provisional'],
    ['2026-12-31 17:00', '90wm', '2027-01-01 09:30 provisional'],
    ['2026-12-31 17:00', '24h', '2027-01-01 17:00'],
    ['2026-12-31 17:00', '90m', '2026-12-31 18:30'],
    ['2003-03-03 10:00', '1wd', '2003-03-04 18:00 provisional'],
    ['2018-12-20 10:00', '6wd', '2018-12-28 18:00'],
    ['2018-12-20 10:00', '7wd', '2018-12-29 18:00'], // a Saturday by the notice for 2019
  ])('filed %s, %s: %s', (from, limit, expected) => expect(dueOf(from, limit)).toBe(expected))

  it('end with the overlay that publishes them', () => {
    const notice: OverlayDay[] = [
      { date: '2027-01-01', work: false, name: '元旦' },
      { date: '2027-01-02', work: true, name: '元旦' },
    ]
    const published = buildCalendar(SETTINGS, notice, [2027])
    expect(dueOf('2026-12-29 10:00', '3wd')).toBe('2027-01-01 18:00 provisional')
    expect(dueOf('2026-12-29 10:00', '3wd', published)).toBe('2027-01-02 18:00')
    expect(dueOf('2027-12-20 10:00', '5wd', published)).toBe('2027-12-27 18:00 provisional')
    // Rows without the year are a tenant's own days: obeyed, and the year stays open.
    expect(dueOf('2026-12-29 10:00', '3wd', buildCalendar(SETTINGS, notice))).toBe('2027-01-02 18:00 provisional')
  })
})

describe('workdays', () => {
  it('are those of the notices, 调休 included', () => {
    expect(isWorkday(calendar, '2026-01-04')).toBe(true)
    expect(isWorkday(calendar, '2026-01-03')).toBe(false)
    expect(isWorkday(calendar, '2026-10-01')).toBe(false)
    expect(() => isWorkday(calendar, '2026-02-30')).toThrow(RangeError)
    expect(() => isWorkday(calendar, '2026-1-4')).toThrow(RangeError)
  })

  it('follow a week of six days or four, but not on holidays', () => {
    const six = buildCalendar({ ...SETTINGS, week: { ...DEFAULT_WEEK, 6: [['09:00', '12:00']] } })
    expect(isWorkday(six, '2026-03-07')).toBe(true)
    expect(isWorkday(six, '2026-10-03')).toBe(false)
    expect(shown(endOfNextWorkday(six, at('2026-10-09 10:00')))).toBe('2026-10-10 12:00') // its own hours
    const four = buildCalendar({ ...SETTINGS, week: { ...DEFAULT_WEEK, 3: [] } })
    expect(isWorkday(four, '2026-03-04')).toBe(false)
  })

  it('made up have the hours of Monday, or of the first day that has any', () => {
    const week: Week = { 2: [['10:00', '16:00']], 5: [['08:00', '24:00']] }
    const hours = (within: Week) => shown(endOfNextWorkday(buildCalendar({ ...SETTINGS, week: within }), at('2026-10-09 10:00')))
    expect(hours({ ...week, 1: [['08:30', '17:30']] })).toBe('2026-10-10 17:30')
    expect(hours(week)).toBe('2026-10-10 16:00')
  })

  it('obey the overlay first, and its later entry for a date', () => {
    const overlay: OverlayDay[] = [
      { date: '2026-10-01', work: true, name: '值班', intervals: [['10:00', '11:00']] },
      { date: '2026-10-10', work: false },
      { date: '2026-03-04', work: false },
      { date: '2026-03-04', work: true },
    ]
    const changed = buildCalendar(SETTINGS, overlay)
    expect(dueOf('2026-09-30 10:00', '1wd', changed)).toBe('2026-10-01 11:00')
    expect(isWorkday(changed, '2026-10-10')).toBe(false)
    expect(isWorkday(changed, '2026-03-04')).toBe(true)
    overlay.push({ date: '2026-03-05', work: false })
    expect(isWorkday(changed, '2026-03-05')).toBe(true)
  })
})

describe('working time', () => {
  it.each([
    ['2026-03-02 08:00', '2026-03-02 09:00'],
    ['2026-03-02 09:00', '2026-03-02 09:00'],
    ['2026-03-02 11:59', '2026-03-02 11:59'],
    ['2026-03-02 12:00', '2026-03-02 14:00'],
    ['2026-03-02 18:00', '2026-03-03 09:00'],
    ['2026-09-30 20:00', '2026-10-08 09:00'],
  ])('after %s comes %s', (from, expected) => expect(shown(nextWorkingTime(calendar, at(from)))).toBe(expected))

  it('stops at lunch, at night and over holidays', () => {
    const between = (from: string, to: string) => workingMinutesBetween(calendar, at(from), at(to))
    expect(between('2026-03-02 11:30', '2026-03-02 14:30')).toBe(60)
    expect(between('2026-03-02 12:00', '2026-03-02 14:00')).toBe(0)
    expect(between('2026-09-30 17:00', '2026-10-08 10:00')).toBe(120)
    expect(between('2026-10-08 10:00', '2026-09-30 17:00')).toBe(-120)
    expect(workingMinutesBetween(calendar, at('2026-03-02 10:00'), new Date(at('2026-03-02 10:00').getTime() + 1))).toBe(1 / 60_000)
  })

  it('adds up, none of it moving nothing', () => {
    expect(shown(addWorkingMinutes(calendar, at('2026-03-06 18:00'), 0))).toBe('2026-03-06 18:00')
    expect(shown(addWorkingMinutes(calendar, at('2026-03-06 18:00'), 1))).toBe('2026-03-09 09:01')
    for (const minutes of [-1, Number.NaN, Infinity]) {
      expect(() => addWorkingMinutes(calendar, at('2026-03-06 18:00'), minutes)).toThrow(RangeError)
    }
    expect(() => addWorkingMinutes(calendar, at('2026-03-06 18:00'), 1e12)).toThrow(RangeError)
  })

  it('ends on the next workday, whatever the hour', () => {
    expect(shown(endOfNextWorkday(calendar, at('2026-03-06 08:00')))).toBe('2026-03-09 18:00')
    expect(shown(endOfNextWorkday(calendar, at('2026-09-30 23:00')))).toBe('2026-10-08 18:00')
  })

  it('belongs to the local day', () => {
    expect(dayOf(calendar, new Date('2026-03-02T15:59:59.999Z'))).toBe('2026-03-02')
    expect(dayOf(calendar, new Date('2026-03-02T16:00:00Z'))).toBe('2026-03-03')
    expect(dayOf('America/New_York', new Date('2026-03-02T04:59:59Z'))).toBe('2026-03-01')
  })
})

describe('settings no calendar can be built from', () => {
  const week = (...hours: [string, string][]) => ({ ...SETTINGS, week: { 1: hours } })
  const overlaid = (day: OverlayDay) => () => buildCalendar(SETTINGS, [day])
  it.each([
    ['no hours at all', () => buildCalendar({ ...SETTINGS, week: {} }), /No weekday has working hours/],
    ['empty days', () => buildCalendar(week()), /No weekday has working hours/],
    ['an eighth day', () => buildCalendar({ ...SETTINGS, week: { 8: [['09:00', '12:00']] } as Week }), /Weekday 8/],
    ['an unknown zone', () => buildCalendar({ ...SETTINGS, zone: 'Mars/Olympus' }), /Mars/],
    ['a malformed time', () => buildCalendar(week(['9:00', '12:00'])), /weekday 1: expected HH:MM, got "9:00"/],
    ['a time after midnight', () => buildCalendar(week(['09:00', '24:01'])), /expected HH:MM/],
    ['a night shift in one piece', () => buildCalendar(week(['22:00', '06:00'])), /end on the day it starts/],
    ['an empty interval', () => buildCalendar(week(['09:00', '09:00'])), /end on the day it starts/],
    ['an overlap', () => buildCalendar(week(['14:00', '18:00'], ['09:00', '14:30'])), /overlap/],
    ['a day that is none', overlaid({ date: '2026-02-30', work: true }), /"2026-02-30" is not a day/],
    ['hours on a day off', overlaid({ date: '2026-03-02', work: false, intervals: [['09:00', '12:00']] }), /2026-03-02: a day off/],
    ['a workday of no hours', overlaid({ date: '2026-03-02', work: true, intervals: [] }), /2026-03-02: a workday/],
  ])('%s', (_name, build, message) => {
    expect(build).toThrow(CalendarSettingsError)
    expect(build).toThrow(message)
  })
})
