import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { dayOf, due, isWorkday, workingMinutesBetween } from '../../src/domain/calendar.ts'
import { before } from '../../src/domain/calendar-before.ts'
import { open } from '../../src/domain/deadlines.ts'
import type { Step } from '../../src/domain/machine.ts'
import { climbed, climbsAt, daily, markThatCame, nextMark, reminded, reminderTimes, retimed } from '../../src/domain/marks.ts'
import { policySchema, readPolicy, remindersOf, type Policy } from '../../src/domain/policy.ts'
import type { DeadlineRow } from '../../src/domain/request.ts'
import { CALENDAR, DAY, LADDER, MINUTE } from './stage.ts'

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
beforeAll(() => console.info(`marks: fast-check seed ${seed} (SEED=${seed} repeats it)`))

/** Local time in Shanghai, `09-30 10:00` of 2026. */
const local = (text: string): Date => new Date(`2026-${text.replace(' ', 'T')}:00+08:00`)
const shown = (at: Date | null) => at && new Date(at.getTime() + 8 * 60 * MINUTE).toISOString().slice(5, 16).replace('T', ' ')

describe('so long before an instant', () => {
  // Hours are 09:00–12:00 and 14:00–18:00; 10-01…07 are days off, Saturday 10-10 is worked.
  test.each([
    ['1wd', '10-13 18:00', '10-12 18:00'],
    ['1wd', '10-12 11:00', '10-10 11:00'], // a make-up Saturday
    ['3wd', '10-10 18:00', '09-30 18:00'], // over the National Day
    ['1wd', '10-12 20:00', '10-10 18:00'], // due after hours: not later than closing
    ['1wd', '10-11 10:00', '10-10 10:00'], // due on a day off
    ['3d', '10-12 10:00', '10-09 10:00'],
    ['5d', '10-12 10:00', '09-30 18:00'], // falls on a day off: closing of the last workday before
    ['60wm', '10-12 10:00', '10-12 09:00'],
    ['61wm', '10-12 10:00', '10-10 17:59'],
    ['2wh', '10-12 15:00', '10-12 11:00'], // over lunch
    ['60wm', '10-12 15:00', '10-12 14:00'], // the opening after lunch rather than the closing before it
    ['24h', '10-12 10:00', '10-11 10:00'],
    ['90m', '10-12 10:00', '10-12 08:30'],
  ])('%s before %s is %s', (limit, at, expected) => {
    expect(shown(before(CALENDAR, local(at), limit))).toBe(expected)
  })

  const minute = fc.integer({ min: Date.UTC(2018, 1, 1) / MINUTE, max: Date.UTC(2026, 11, 1) / MINUTE }).map((count) => new Date(count * MINUTE))
  const works = (at: Date) => isWorkday(CALENDAR, dayOf(CALENDAR, at))

  function workdaysFrom(from: Date, to: Date): number {
    let days = 0
    for (let day = from; dayOf(CALENDAR, day) < dayOf(CALENDAR, to); day = new Date(day.getTime() + DAY)) if (works(day)) days++
    return days
  }

  test('is exactly so much of its unit, wherever it falls', () => {
    fc.assert(fc.property(minute, fc.integer({ min: 1, max: 60 }), fc.constantFrom('wd', 'd', 'wh', 'wm', 'h', 'm'), (at, amount, unit) => {
      const earlier = before(CALENDAR, at, `${amount}${unit}`)
      const passed = at.getTime() - earlier.getTime()
      const minutes = amount * (unit.endsWith('h') ? 60 : 1)
      if (unit === 'h' || unit === 'm') expect(passed).toBe(minutes * MINUTE)
      else if (unit === 'wh' || unit === 'wm') {
        expect(workingMinutesBetween(CALENDAR, earlier, at)).toBe(minutes)
        // the last such instant
        expect(workingMinutesBetween(CALENDAR, new Date(earlier.getTime() + MINUTE), at)).toBe(minutes - 1)
      } else {
        expect(works(earlier)).toBe(true)
        if (unit === 'd') expect(passed).toBeGreaterThanOrEqual(amount * DAY)
        else expect(workdaysFrom(earlier, at)).toBe(amount)
      }
    }), { seed, numRuns: 3_000 })
  })
})

const rules = (body: object): Policy => policySchema.parse(body)
const opened = (step: Step, from: string, policy: Policy): DeadlineRow =>
  open({ policy, calendar: CALENDAR, request: { id: '', policyId: 'before' } }, step, 1, local(from))
const factsOf = (policy: Policy, now = '01-01 00:00') => ({ policy, calendar: CALENDAR, now: local(now) })
const said = (row: DeadlineRow, policy: Policy) => reminderTimes(row, remindersOf(policy, row.step), policy, CALENDAR).map(shown)

describe('a reminder', () => {
  test.each([
    ['of a share', { limits: { accept: '420wm' }, reminders: [{ share: 0.5 }] }, ['11-23 15:30']],
    ['of a share of plain hours', { limits: { accept: '24h' }, reminders: [{ share: 0.5 }] }, ['11-23 22:00']],
    ['before, in workdays', { limits: { accept: '3wd' }, reminders: [{ before: '2wd' }, { before: '1wd' }] }, ['11-24 18:00', '11-25 18:00']],
    ['before, in working minutes', { limits: { accept: '2wd' }, reminders: [{ before: '240wm' }] }, ['11-25 14:00']],
    ['before, in calendar days', { limits: { accept: '7d' }, reminders: [{ before: '3d' }] }, ['11-27 10:00']],
    ['before, in plain hours', { limits: { accept: '2h' }, reminders: [{ before: '30m' }] }, ['11-23 11:30']],
    ['at', { limits: { accept: '2h' }, reminders: [{ at: true }] }, ['11-23 12:00']],
    ['after', { limits: { accept: '1wd' }, reminders: [{ after: '1wd' }, { after: '7d' }] }, ['11-25 18:00', '12-01 18:00']],
    ['of each sort', { limits: { accept: '3wd' }, reminders: [{ share: 0.1 }, { before: '1wd' }, { at: true }, { after: '4h' }] }, ['11-23 14:42', '11-25 18:00', '11-26 18:00', '11-26 22:00']],
    ['that would come before the opening', { limits: { accept: '60wm' }, stepReminders: { accept: [{ before: '1d' }, { at: true }] } }, [null, '11-23 11:00']],
    ['that would come before the one listed before it', { limits: { accept: '3wd' }, reminders: [{ share: 0.99 }, { before: '1wd' }] }, ['11-26 17:43', '11-26 17:43']],
  ])('%s', (_, body, expected) => {
    // Monday 10:00
    const policy = rules({ stepReminders: {}, ...body })
    expect(said(opened('accept', '11-23 10:00', policy), policy)).toEqual(expected)
  })

  test('of a step is its own, else that of all, as far as it suits', () => {
    const policy = rules({ reminders: [{ share: 0.5 }, { after: '1wd' }], stepReminders: { sign: [{ at: true }], respond: [] } })
    expect(remindersOf(policy, 'accept')).toHaveLength(2)
    expect(remindersOf(policy, 'sign')).toEqual([{ at: true }])
    expect(remindersOf(policy, 'respond')).toEqual([])
    expect(remindersOf(policy, 'claim')).toEqual([{ share: 0.5 }]) // its due time ends it
    expect(remindersOf(policy, 'close')).toEqual([]) // nobody is waited for
  })
})

/** The first marks of a step that nobody does anything about, as the sweep takes them. */
function marks(row: DeadlineRow, policy: Policy, count: number) {
  const facts = factsOf(policy)
  const ladder = [...LADDER]
  const heard: string[] = []
  for (let each = row; heard.length < count;) {
    const mark = nextMark(each, policy, CALENDAR)
    expect(each.nextAt).toEqual(mark.at)
    const rung = mark.kind === 'due' ? ladder.shift() : undefined
    heard.push(`${shown(mark.at)} ${mark.kind === 'remind' ? `reminder ${mark.index}` : rung ? `rung ${rung.level}` : 'top'}`)
    each = mark.kind === 'remind' ? reminded(each, mark.index, facts) : rung ? climbed(each, rung, facts) : daily(each, facts)
  }
  return heard
}

describe('the marks of a step', () => {
  test('are its reminders and its rungs, each level with its own limit, merged by time', () => {
    const policy = rules({
      limits: { accept: '2wd' }, rungEvery: '1wd', rungEveryAt: { compound: '4h', community: '2wd' },
      reminders: [{ before: '1wd' }, { at: true }, { after: '1wd' }, { after: '5wd' }],
    })
    expect(marks(opened('accept', '11-23 10:00', policy), policy, 9)).toEqual([
      '11-24 18:00 reminder 0', '11-25 18:00 reminder 1', '11-25 18:00 rung compound', '11-25 22:00 rung community',
      '11-26 18:00 reminder 2', '11-27 18:00 rung street', '11-30 18:00 top', '12-01 18:00 top', '12-02 18:00 reminder 3',
    ])
  })

  test('of an emergency run round the clock', () => {
    const policy = rules({ limits: { accept: '2h' }, rungEvery: '2h', reminders: [{ before: '30m' }] })
    expect(marks(opened('accept', '11-28 23:00', policy), policy, 5)).toEqual([
      '11-29 00:30 reminder 0', '11-29 01:00 rung compound', '11-29 03:00 rung community', '11-29 05:00 rung street', '11-29 07:00 top',
    ])
  })

  test('go on from a row that was written before rungs had a time of their own', () => {
    const policy = readPolicy({ remindAt: [0.5, 0.75], rungEvery: '480wm', limits: { accept: '480wm' } })
    const row = opened('accept', '11-23 10:00', policy)
    const rung = (count: number) => due(CALENDAR, row.dueAt, `${480 * count}wm`).dueAt
    // mark counted reminders, due and rungs alike: these two have been said, it is due, and one rung has been climbed
    const old: [DeadlineRow, string][] = [
      [{ ...row, mark: 1, nextAt: nextMark({ ...row, mark: 1 }, policy, CALENDAR).at }, 'remind'],
      [{ ...row, mark: 2, nextAt: row.dueAt }, 'due'],
      [{ ...row, mark: 3, nextAt: rung(1), rungPath: LADDER[0]!.path }, 'due'],
    ]
    for (const [each, kind] of old) expect(nextMark(each, policy, CALENDAR)).toMatchObject({ kind, at: each.nextAt })
    expect(climbed(old[2]![0], LADDER[1]!, factsOf(policy))).toMatchObject({ rungAt: rung(2), nextAt: rung(2) })
  })

  test('are never taken for due before the due time, though a calendar has changed since', () => {
    const policy = rules({ limits: { accept: '5wd' }, reminders: [{ before: '2d' }] })
    const row = { ...opened('accept', '11-23 10:00', policy), dueAt: local('11-24 09:00'), nextAt: local('11-23 12:00') }
    expect(nextMark(row, policy, CALENDAR).kind).toBe('due') // the reminder would now be before the opening
    expect(markThatCame(row, factsOf(policy, '11-23 12:00'))).toMatchObject({ kind: 'remind', index: 0 })
    expect(markThatCame(row, factsOf(policy, '11-24 09:00'))).toMatchObject({ kind: 'due' })
  })
})

describe('due at another time', () => {
  const policy = rules({ limits: { accept: '3wd' }, rungEvery: '1wd', reminders: [{ before: '1wd' }, { at: true }] })
  const row = opened('accept', '11-23 10:00', policy) // due 11-26 18:00
  const late = climbed(reminded(reminded(row, 0, factsOf(policy)), 1, factsOf(policy)), LADDER[0]!, factsOf(policy))

  test('later: reminders before it are said again, supervision comes down', () => {
    const moved = retimed(late, { dueAt: local('12-02 18:00'), provisional: false }, factsOf(policy, '11-27 09:00'))
    expect(moved).toMatchObject({ mark: 0, rungPath: null, rungAt: null, nextAt: local('12-01 18:00'), originalDueAt: row.dueAt })
    const soon = retimed(late, { dueAt: local('11-27 18:00'), provisional: true }, factsOf(policy, '11-27 09:00'))
    expect(soon).toMatchObject({ mark: 1, rungPath: null, nextAt: local('11-27 18:00'), provisional: true })
  })

  test('past already: what has climbed goes on from where it is', () => {
    const moved = retimed(late, { dueAt: local('11-25 18:00'), provisional: false }, factsOf(policy, '11-27 09:00'))
    expect(moved).toMatchObject({ rungPath: LADDER[0]!.path, rungAt: local('11-27 18:00'), nextAt: local('11-27 18:00'), mark: 2 })
  })

  test('a reminder that should have been said and was not is still said; of another list only what lies ahead', () => {
    const facts = factsOf(policy, '11-26 09:00')
    expect(retimed(row, { dueAt: local('11-26 18:00'), provisional: false }, facts)).toMatchObject({ mark: 0, nextAt: local('11-25 18:00') })
    expect(retimed(row, { dueAt: local('11-26 18:00'), provisional: false }, facts, Infinity)).toMatchObject({ mark: 1, nextAt: local('11-26 18:00') })
  })

  test('while it stands: no next time', () => {
    const standing = { ...row, stoodAt: local('11-24 10:00'), nextAt: null }
    expect(retimed(standing, { dueAt: local('12-02 18:00'), provisional: false }, factsOf(policy, '11-27 09:00')).nextAt).toBeNull()
    expect(climbsAt(standing)).toEqual(row.dueAt)
  })
})
