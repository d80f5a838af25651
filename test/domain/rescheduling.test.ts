import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { chainedCalendar, NOTHING_STATED } from '../../src/domain/calendar-chain.ts'
import { DEFAULT_WEEK, due, endOfNextWorkday, type Calendar } from '../../src/domain/calendar.ts'
import { later } from '../../src/domain/deadlines.ts'
import type { Limit, LimitUnit } from '../../src/domain/limit.ts'
import type { Step } from '../../src/domain/machine.ts'
import { armed } from '../../src/domain/marks.ts'
import { DEFAULT_POLICY, type Policy } from '../../src/domain/policy.ts'
import type { DeadlineRow } from '../../src/domain/request.ts'
import { rescheduled, type Happened } from '../../src/domain/rescheduling.ts'
import { NOTICE_2027 } from '../notice-2027.ts'

const SETTINGS = { zone: 'Asia/Shanghai', week: DEFAULT_WEEK }
const BEFORE = chainedCalendar(SETTINGS, [])
const AFTER = chainedCalendar(SETTINGS, [{ ...NOTHING_STATED, notices: [NOTICE_2027] }])
const at = (local: string) => new Date(`${local.replace(' ', 'T')}+08:00`)
const shown = (instant: Date | undefined) => instant && new Date(instant.getTime() + 8 * 3_600_000).toISOString().slice(0, 16).replace('T', ' ')
const rules = (limits: Partial<Policy['limits']>): Policy => ({ ...DEFAULT_POLICY, limits: { ...DEFAULT_POLICY.limits, ...limits } })
const [ID, POLICY, OTHER] = [1, 2, 3].map((n) => `00000000-0000-7000-8000-00000000000${n}`) as [string, string, string]

function opened(limit: Limit, from: Date, step: Step = 'complete', calendar: Calendar = BEFORE): DeadlineRow {
  const { dueAt, provisional } = due(calendar, from, limit)
  const row: DeadlineRow = { requestId: ID, step, seq: 1, policyId: POLICY, openedAt: from, dueAt, originalDueAt: dueAt, provisional, nextAt: null, mark: 0, rungPath: null, rungAt: null, stoodAt: null, closedAt: null }
  return armed(row, rules({ [step]: limit }), calendar)
}

interface Given {
  now: Date
  limit?: Limit
  history?: Happened[]
  calendar?: Calendar
  /** Rules in force instead of the row's own. */
  inForce?: Policy
  only?: (row: DeadlineRow) => boolean
}

const again = (row: DeadlineRow, { now, limit = '5wd', history = [], calendar = AFTER, inForce, only = () => true }: Given): DeadlineRow | undefined =>
  rescheduled({ now, calendar, deadlines: [row] }, {
    history: [{ seq: 1, verb: 'file', fromState: 'none', toState: 'filed', at: row.openedAt, data: {} }, ...history],
    concerns: only,
    policyOf: () => (inForce ? { id: OTHER, policy: inForce } : { id: POLICY, policy: rules({ [row.step]: limit }) }),
  })[0]

describe('a year is published', () => {
  test('later by the holidays it brings, and settled', () => {
    const row = opened('5wd', at('2026-12-28 10:00'))
    expect([shown(row.dueAt), row.provisional]).toEqual(['2027-01-04 18:00', true])
    const moved = again(row, { now: at('2026-12-28 12:00') })!
    expect([shown(moved.dueAt), moved.provisional, moved.originalDueAt]).toEqual(['2027-01-05 18:00', false, row.dueAt])
    expect(shown(moved.nextAt!)).toBe('2027-01-04 14:45') // 0.75 of the working time until then
  })

  test('where nothing moves it is settled all the same', () => {
    const row = opened('2wd', at('2027-01-04 10:00'))
    expect(again(row, { now: at('2027-01-04 12:00'), limit: '2wd' })).toEqual({ ...row, provisional: false })
  })

  test('earlier by a make-up day, but not before the end of the next workday', () => {
    // Saturday 2027-01-30 is worked: five workdays from Monday the 25th end on it instead of on Monday, February 1st
    const row = opened('5wd', at('2027-01-25 10:00'))
    expect(shown(row.dueAt)).toBe('2027-02-01 18:00')
    const earlier = (now: string) => shown(again(row, { now: at(now) })!.dueAt)
    expect(earlier('2027-01-28 10:00')).toBe('2027-01-30 18:00')
    // published on Friday evening: the next workday is that Saturday; published on Saturday: Monday
    expect(earlier('2027-01-29 20:00')).toBe('2027-01-30 18:00')
    expect(earlier('2027-01-30 09:00')).toBe('2027-02-01 18:00')
  })

  test('what is due before the next workday ends is not drawn nearer', () => {
    const row = opened('480wm', at('2027-01-29 16:00')) // 2 h on Friday, 6 on Monday
    expect(shown(row.dueAt)).toBe('2027-02-01 17:00')
    expect(shown(again(row, { now: at('2027-01-30 09:30'), limit: '480wm' })!.dueAt)).toBe('2027-02-01 17:00')
    expect(again(row, { now: at('2027-01-30 09:30'), limit: '480wm' })).toMatchObject({ provisional: false })
  })

  test('what was late is not, when it fell on a holiday nobody knew of: supervision comes down', () => {
    const row: DeadlineRow = { ...opened('1wd', at('2027-02-04 10:00'), 'accept'), mark: 1, rungPath: 'S/C/', rungAt: at('2027-02-08 18:00'), nextAt: at('2027-02-08 18:00') }
    expect(shown(row.dueAt)).toBe('2027-02-05 18:00')
    const moved = again(row, { now: at('2027-02-07 10:00'), limit: '1wd' })!
    expect(moved).toMatchObject({ rungPath: null, rungAt: null, provisional: false })
    expect(shown(moved.dueAt)).toBe('2027-02-12 18:00')
    expect(moved.nextAt! > at('2027-02-07 10:00')).toBe(true)
  })

  test('plain hours are never provisional and never move', () => {
    const row = opened('24h', at('2026-12-31 17:00'))
    expect(again(row, { now: at('2026-12-31 18:00'), limit: '24h' })).toBeUndefined()
  })

  test('a year beyond stays open', () => {
    const row = opened('300wd', at('2026-12-01 10:00'))
    const moved = again(row, { now: at('2026-12-02 10:00'), limit: '300wd' })!
    expect(moved.provisional).toBe(true)
    expect(moved.dueAt > row.dueAt).toBe(true)
  })

  test('only what is concerned is looked at, and nothing that is closed', () => {
    const row = opened('5wd', at('2026-12-28 10:00'))
    expect(again(row, { now: at('2026-12-28 12:00'), only: () => false })).toBeUndefined()
    expect(again({ ...row, closedAt: at('2026-12-28 11:00'), nextAt: null }, { now: at('2026-12-28 12:00') })).toBeUndefined()
  })
})

describe('what has happened since the opening', () => {
  const events = (...list: [Happened['verb'], Happened['fromState'], Happened['toState'], string, object?][]): Happened[] =>
    list.map(([verb, fromState, toState, when, data = {}], index) => ({ seq: index + 2, verb, fromState, toState, at: at(when), data: data as Record<string, unknown> }))

  test('time that the clock stood is added again, by the calendar of now', () => {
    const from = at('2026-12-28 10:00')
    const row = opened('5wd', from)
    const history = events(['return', 'filed', 'returned', '2026-12-29 10:00'], ['resubmit', 'returned', 'filed', '2026-12-31 10:00'])
    const stood = later(row.dueAt, at('2026-12-29 10:00'), at('2026-12-31 10:00'), 'wd', BEFORE)
    expect(shown(stood.dueAt)).toBe('2027-01-06 18:00')
    expect(shown(again({ ...row, dueAt: stood.dueAt }, { now: at('2026-12-31 12:00'), history })!.dueAt)).toBe('2027-01-07 18:00')
  })

  test.each<[Limit, string]>([['5wd', '2027-01-06 18:00'], ['2400wm', '2027-01-06 17:00'], ['9d', '2027-01-08 10:00']])('of %s and carried into a year that is not out, it rests on that year', (limit, reached) => {
    const from = at('2026-12-21 10:00')
    const [stoodAt, now] = [at('2026-12-22 10:00'), at('2026-12-31 10:00')]
    const row: DeadlineRow = { ...opened(limit, from), provisional: false }
    expect(shown(row.dueAt)! < '2026-12-31').toBe(true)
    const { dueAt, provisional } = later(row.dueAt, stoodAt, now, limit.replace(/\d+/, '') as LimitUnit, BEFORE)
    expect([shown(dueAt), provisional]).toEqual([reached, true])
  })

  test('while it stands the row stays without a next time', () => {
    const row: DeadlineRow = { ...opened('5wd', at('2026-12-28 10:00')), stoodAt: at('2026-12-29 10:00'), nextAt: null }
    const history = events(['return', 'filed', 'returned', '2026-12-29 10:00'])
    const moved = again(row, { now: at('2026-12-30 10:00'), history })!
    expect([shown(moved.dueAt), moved.nextAt, moved.stoodAt]).toEqual(['2027-01-05 18:00', null, row.stoodAt])
  })

  test('an extension that was granted to a day is kept', () => {
    const until = at('2027-01-20 12:00')
    const row: DeadlineRow = { ...opened('5wd', at('2026-12-28 10:00')), dueAt: until, provisional: false }
    const history = events(['ask-extension', 'in_progress', 'in_progress', '2026-12-29 10:00'], ['grant-extension', 'in_progress', 'in_progress', '2026-12-29 11:00', { until: until.toISOString() }])
    expect(again(row, { now: at('2026-12-30 10:00'), history })).toBeUndefined()
    // and the time it stood after that is counted from there
    const parked = [...history, ...events(['grant-park', 'in_progress', 'parked', '2026-12-30 10:00'], ['unpark', 'parked', 'accepted', '2027-01-04 10:00']).map((event) => ({ ...event, seq: event.seq + 2 }))]
    const moved = later(until, at('2026-12-30 10:00'), at('2027-01-04 10:00'), 'wd', AFTER)
    expect(again({ ...row, dueAt: moved.dueAt }, { now: at('2027-01-04 11:00'), history: parked })).toBeUndefined()
  })

  test('an extension by so many workdays, granted as asked, is counted again; one to a day stays, and is settled', () => {
    const row = opened('5wd', at('2026-12-18 10:00'))
    const until = due(BEFORE, row.dueAt, '6wd').dueAt
    expect([shown(row.dueAt), row.provisional, shown(until)]).toEqual(['2026-12-25 18:00', true, '2027-01-04 18:00'])
    const history = (ask: object) => events(['ask-extension', 'in_progress', 'in_progress', '2026-12-22 10:00', ask], ['grant-extension', 'in_progress', 'in_progress', '2026-12-22 11:00', { asked: 2, until: until.toISOString() }])
    const extended: DeadlineRow = { ...row, dueAt: until, provisional: true }
    const moved = (ask: object) => again(extended, { now: at('2026-12-28 10:00'), history: history(ask) })!
    const byLimit = moved({ limit: '6wd', until: until.toISOString() })
    expect([shown(byLimit.dueAt), byLimit.provisional]).toEqual(['2027-01-05 18:00', false])
    for (const ask of [{ until: until.toISOString() }, { limit: '3wd', until: at('2026-12-30 18:00').toISOString() }]) expect([shown(moved(ask).dueAt), moved(ask).provisional]).toEqual([shown(until), false])
  })

  test('a review is on its day, a co-handler has his own limit or the rules', () => {
    const review: DeadlineRow = { ...opened('90d', at('2026-12-28 10:00'), 'review'), dueAt: at('2027-01-04 18:00') }
    expect(again(review, { now: at('2026-12-30 10:00'), limit: '90d' })).toBeUndefined()
    const co = (limit: Limit, data: object, provisional = true) => again({ ...opened(limit, at('2026-12-28 10:00'), 'co'), seq: 2, provisional }, { now: at('2026-12-28 12:00'), history: events(['add-co', 'in_progress', 'in_progress', '2026-12-28 10:00', data]) })
    expect(shown(co('6wd', { limit: '6wd' })!.dueAt)).toBe('2027-01-06 18:00')
    expect(shown(co('5wd', {})!.dueAt)).toBe('2027-01-05 18:00')
    expect(co('6wd', {}, false)).toBeUndefined() // settled by whom and how long is not known
  })
})

describe('other rules', () => {
  const row = opened('5wd', at('2026-11-16 10:00')) // due Monday, November 23rd, 18:00
  const NOW = at('2026-11-18 10:00')
  const under = (limits: Partial<Policy['limits']>, given: Partial<Given> = {}) => again(row, { now: NOW, inForce: rules(limits), ...given })!

  test('a longer limit counts from the opening', () => {
    expect(under({ complete: '10wd' })).toMatchObject({ policyId: OTHER, originalDueAt: row.originalDueAt, dueAt: at('2026-11-30 18:00') })
  })

  test('a shorter one does too, but not before the end of the next workday', () => {
    expect(shown(under({ complete: '3wd' }).dueAt)).toBe('2026-11-19 18:00')
    expect(shown(under({ complete: '1wd' }).dueAt)).toBe('2026-11-19 18:00')
    expect(shown(under({ complete: '2h' }).dueAt)).toBe('2026-11-19 18:00')
  })

  test('the same limit changes the rules it goes by', () => {
    expect(under({ complete: '5wd' })).toMatchObject({ policyId: OTHER, dueAt: row.dueAt })
  })

  test('reminders of the new list that are over are not said again', () => {
    const inForce: Policy = { ...rules({ complete: '5wd' }), reminders: [{ share: 0.1 }, { share: 0.2 }, { share: 0.9 }] }
    expect(again(row, { now: NOW, inForce })).toMatchObject({ mark: 2 })
  })
})

describe('for any deadline and any moment', () => {
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  const limits = fc.constantFrom<Limit[]>('1wd', '5wd', '20wd', '60wd', '7d', '30d', '480wm', '60wm', '40wh', '24h', '90m')
  const instants = (from: string, to: string) => fc.integer({ min: at(from).getTime(), max: at(to).getTime() }).map((ms) => new Date(ms))
  const cases = fc.record({ limit: limits, from: instants('2026-11-20 00:00', '2027-03-01 00:00'), waits: fc.integer({ min: 0, max: 40 * 86_400_000 }) })

  test('it is by its limit, or at the end of the next workday, or where it was; kept is what was first said; twice is once', () => {
    fc.assert(fc.property(cases, ({ limit, from, waits }) => {
      const row = opened(limit, from)
      const now = new Date(from.getTime() + waits)
      const moved = again(row, { now, limit })
      const target = due(AFTER, from, limit)
      const floor = endOfNextWorkday(AFTER, now)
      if (!moved) {
        expect(row.provisional).toBe(false)
        return
      }
      expect([target.dueAt, floor, row.dueAt]).toContainEqual(moved.dueAt)
      if (moved.dueAt.getTime() !== row.dueAt.getTime()) expect(moved.dueAt >= floor).toBe(true)
      expect(moved.dueAt >= row.dueAt || moved.dueAt >= target.dueAt).toBe(true)
      expect(moved).toMatchObject({ originalDueAt: row.originalDueAt, provisional: target.provisional, openedAt: row.openedAt, closedAt: null })
      expect(moved.nextAt).not.toBeNull()
      // the same again, at once and after another while
      for (const then of [now, new Date(now.getTime() + 3 * 86_400_000)]) expect(again(moved, { now: then, limit })).toBeUndefined()
    }), { seed, numRuns: 3_000 })
  })
})
