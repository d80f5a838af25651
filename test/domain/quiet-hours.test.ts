import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { addWorkingMinutes, buildCalendar, DEFAULT_WEEK, workingMinutesBetween } from '../../src/domain/calendar.ts'
import { DEFAULT_QUIET_HOURS, heldUntil, isUrgent, quietHoursSchema, type QuietHours } from '../../src/domain/quiet-hours.ts'

/** Shanghai is eight hours ahead. 2026-11-23 is a Monday, 2026-10-01 to -07 are holidays, 2026-10-10 is a make-up Saturday. */
const calendar = buildCalendar({ zone: 'Asia/Shanghai', week: DEFAULT_WEEK })
const at = (local: string) => new Date(`${local}:00+08:00`)
const shown = (date: Date | null) => date && new Date(date.getTime() + 8 * 3_600_000).toISOString().slice(0, 16)

describe('what is not urgent', () => {
  test.each<[string, string, string | null]>([
    ['goes in the morning', '2026-11-23T10:00', null],
    ['goes at opening', '2026-11-23T09:00', null],
    ['waits for the end of lunch', '2026-11-23T12:30', '2026-11-23T14:00'],
    ['waits at lunch\'s first minute', '2026-11-23T12:00', '2026-11-23T14:00'],
    ['waits for the next morning after closing', '2026-11-23T18:00', '2026-11-24T09:00'],
    ['waits for the next morning at night', '2026-11-23T23:30', '2026-11-24T09:00'],
    ['waits for the same morning after midnight', '2026-11-24T00:30', '2026-11-24T09:00'],
    ['waits for Monday on a Friday evening', '2026-11-27T19:00', '2026-11-30T09:00'],
    ['waits out a holiday', '2026-09-30T18:30', '2026-10-08T09:00'],
    ['goes on a make-up Saturday', '2026-10-10T10:00', null],
  ])('%s', (_, local, until) => {
    expect(shown(heldUntil(at(local), false, DEFAULT_QUIET_HOURS, calendar))).toBe(until)
  })

  test.each<[string, Partial<QuietHours>, string, string | null]>([
    ['in the evening, where working time does not matter', { workingTimeOnly: false }, '2026-11-23T20:59', null],
    ['at the first quiet minute', { workingTimeOnly: false }, '2026-11-23T21:00', '2026-11-24T08:00'],
    ['at the last quiet minute', { workingTimeOnly: false }, '2026-11-24T07:59', '2026-11-24T08:00'],
    ['at the first minute after', { workingTimeOnly: false }, '2026-11-24T08:00', null],
    ['on a Saturday', { workingTimeOnly: false }, '2026-11-28T10:00', null],
    ['in hours that do not cross midnight', { workingTimeOnly: false, begins: '12:00', ends: '14:30' }, '2026-11-23T13:00', '2026-11-23T14:30'],
    ['outside of them', { workingTimeOnly: false, begins: '12:00', ends: '14:30' }, '2026-11-23T23:00', null],
    ['where there are no quiet hours', { workingTimeOnly: false, begins: '08:00', ends: '08:00' }, '2026-11-23T08:00', null],
    ['in quiet hours that reach into working time', { begins: '21:00', ends: '10:00' }, '2026-11-23T09:30', '2026-11-23T10:00'],
    ['overnight before such hours', { begins: '21:00', ends: '10:00' }, '2026-11-22T22:00', '2026-11-23T10:00'],
    ['before lunch that is quiet', { begins: '11:00', ends: '15:00' }, '2026-11-23T11:30', '2026-11-23T15:00'],
  ])('%s', (_, quiet, local, until) => {
    expect(shown(heldUntil(at(local), false, { ...DEFAULT_QUIET_HOURS, ...quiet }, calendar))).toBe(until)
  })

  test('is told at the end of the quiet hours where all working time is quiet', () => {
    const nights = buildCalendar({ zone: 'Asia/Shanghai', week: Object.fromEntries([1, 2, 3, 4, 5, 6, 7].map((day) => [day, [['22:00', '24:00'], ['00:00', '06:00']]])) })
    expect(shown(heldUntil(at('2026-11-23T23:00'), false, DEFAULT_QUIET_HOURS, nights))).toBe('2026-11-24T08:00')
    expect(shown(heldUntil(at('2026-11-23T12:00'), false, DEFAULT_QUIET_HOURS, nights))).toBe(null)
  })

  test('waits by the clock of its zone, also on the day it changes', () => {
    const berlin = buildCalendar({ zone: 'Europe/Berlin', week: Object.fromEntries([1, 2, 3, 4, 5, 6, 7].map((day) => [day, [['00:00', '24:00']]])) })
    // On 2026-03-29 clocks skip from 02:00 to 03:00: 22:00Z is 23:00, and 08:00 is 06:00Z.
    expect(heldUntil(new Date('2026-03-28T22:00:00Z'), false, DEFAULT_QUIET_HOURS, berlin)).toEqual(new Date('2026-03-29T06:00:00Z'))
    // Quiet until a time that does not exist: until the clocks have passed it.
    expect(heldUntil(new Date('2026-03-28T22:00:00Z'), false, { ...DEFAULT_QUIET_HOURS, ends: '02:30' }, berlin)).toEqual(new Date('2026-03-29T01:00:00Z'))
  })
})

test('what is urgent never waits', () => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 366 * 24 * 60 }), (minute) => {
    expect(heldUntil(new Date(at('2026-01-01T00:00').getTime() + minute * 60_000), true, DEFAULT_QUIET_HOURS, calendar)).toBeNull()
  }))
})

test('whatever the hours, what is held comes later, in working time, and neither it nor anything in between could have gone earlier', () => {
  const clock = fc.tuple(fc.integer({ min: 0, max: 23 }), fc.integer({ min: 0, max: 59 })).map((parts) => parts.map((part) => String(part).padStart(2, '0')).join(':'))
  const minutes = (text: string) => Number(text.slice(0, 2)) * 60 + Number(text.slice(3))
  const isQuiet = (date: Date, { begins, ends }: QuietHours) => {
    const now = minutes(shown(date)!.slice(11))
    return minutes(begins) <= minutes(ends) ? now >= minutes(begins) && now < minutes(ends) : now >= minutes(begins) || now < minutes(ends)
  }
  /** Working at that very minute, asked of another function than the rule uses. */
  const isWorking = (date: Date) => workingMinutesBetween(calendar, date, new Date(date.getTime() + 60_000)) === 1
  fc.assert(fc.property(fc.integer({ min: 0, max: 366 * 24 * 60 }), clock, clock, (minute, begins, ends) => {
    const quiet = { begins, ends, workingTimeOnly: true }
    const from = new Date(at('2026-01-01T00:00').getTime() + minute * 60_000)
    const until = heldUntil(from, false, quiet, calendar)
    const goes = until ?? from
    const free = [['09:00', '12:00'], ['14:00', '18:00']].some(([opens, closes]) => {
      for (let now = minutes(opens!); now < minutes(closes!); now++) if (!isQuiet(new Date(at('2026-11-23T00:00').getTime() + now * 60_000), quiet)) return true
      return false
    })
    fc.pre(free)
    expect(isWorking(goes) && !isQuiet(goes, quiet)).toBe(true)
    for (let before = from.getTime(); before < Math.min(goes.getTime(), from.getTime() + 3 * 24 * 3_600_000); before += 60_000) {
      const then = new Date(before)
      if (isWorking(then) && !isQuiet(then, quiet)) throw new Error(`could have gone at ${shown(then)}`)
    }
    expect(addWorkingMinutes(calendar, goes, 0)).toEqual(goes)
  }), { numRuns: 60 })
})

test.each<[string, Parameters<typeof isUrgent>[0], boolean]>([
  ['an ordinary reminder', { grade: null, limits: { complete: '10wd', sign: '480wm' }, verb: 'remind', step: 'sign' }, false],
  ['an ordinary escalation', { grade: null, limits: { complete: '10wd', sign: '480wm' }, verb: 'escalate', step: 'sign' }, false],
  ['an escalation of working hours', { grade: null, limits: { complete: '10wd', sign: '8wh' }, verb: 'escalate', step: 'sign' }, false],
  ['an escalation of calendar days', { grade: null, limits: { complete: '10wd', claim: '7d' }, verb: 'escalate', step: 'claim' }, false],
  ['an escalation of plain hours', { grade: null, limits: { complete: '10wd', sign: '2h' }, verb: 'escalate', step: 'sign' }, true],
  ['an escalation of plain minutes', { grade: null, limits: { complete: '10wd', sign: '30m' }, verb: 'escalate', step: 'sign' }, true],
  ['a reminder of plain hours', { grade: null, limits: { complete: '10wd', sign: '2h' }, verb: 'remind', step: 'sign' }, false],
  ['anything under an emergency policy', { grade: null, limits: { complete: '24h', sign: '1wd' }, verb: 'dispatch', step: null }, true],
  ['an urgent matter', { grade: 'urgent', limits: { complete: '10wd' }, verb: 'dispatch', step: null }, true],
  ['a major matter', { grade: 'major', limits: { complete: '10wd' }, verb: 'dispatch', step: null }, false],
  ['a limit that cannot be read', { grade: null, limits: { complete: 'soon' }, verb: 'escalate', step: 'complete' }, false],
  ['a step without a limit', { grade: null, limits: { complete: '10wd' }, verb: 'escalate', step: 'co' }, false],
])('%s', (_, pressing, urgent) => {
  expect(isUrgent(pressing)).toBe(urgent)
})

test.each([{ begins: '24:00' }, { begins: '9:00' }, { ends: '08:60' }, { ends: '' }, { workingTimeOnly: 'yes' }, { zone: 'UTC' }])('%o are no quiet hours', (wrong) => {
  expect(quietHoursSchema.safeParse({ ...DEFAULT_QUIET_HOURS, ...wrong }).success).toBe(false)
})
