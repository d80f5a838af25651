import chineseDays from 'chinese-days'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  addWorkingMinutes, buildCalendar, dayOf, DEFAULT_WEEK, due, endOfNextWorkday, isWorkday, nextWorkingTime, workingMinutesBetween,
  type Calendar,
} from '../../src/domain/calendar.ts'
import { dayNumber, dayText } from '../../src/domain/calendar-day.ts'
import { HOLIDAYS, MAKE_UP_DAYS, NOTICED_YEARS, noticesFor } from '../../src/domain/calendar-holidays.ts'

// The functions of chinese-days, our second source here, are wrong on every fourth day where the process runs
// west of UTC (they read text as UTC and ask the weekday in local time). The calendar reads their data only.
const sourceIsWrong = new Date(Date.UTC(2026, 0, 1)).getTimezoneOffset() > 0

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
beforeAll(() => console.info(`calendar-laws: fast-check seed ${seed} (SEED=${seed} repeats it)`))

const shanghai = buildCalendar({ zone: 'Asia/Shanghai', week: DEFAULT_WEEK })
const calendars = fc.constantFrom(
  shanghai,
  buildCalendar({ zone: 'America/New_York', week: DEFAULT_WEEK }),
  // Awkward on purpose: nights over changes of the clocks, midnight closing, days off in the week, own days.
  buildCalendar(
    { zone: 'America/New_York', week: { 2: [['00:00', '24:00']], 6: [['09:30', '09:31']], 7: [['01:15', '02:30'], ['02:30', '03:45'], ['20:00', '24:00']] } },
    [{ date: '2026-10-05', work: true }, { date: '2026-11-01', work: true, intervals: [['01:30', '01:45']] }, { date: '2027-03-14', work: false }],
    [2027],
  ),
)
const instants = fc.integer({ min: Date.UTC(2018, 0, 2), max: Date.UTC(2028, 0, 1) }).map((ms) => new Date(ms))
const minutes = fc.oneof(fc.nat(600), fc.nat(30_000), fc.nat(600 * 60_000).map((ms) => ms / 60_000))
const limits = fc.oneof(
  ...([['wd', 60], ['d', 90], ['wh', 400], ['wm', 20_000], ['h', 2_000], ['m', 90_000]] as const)
    .map(([unit, most]) => fc.integer({ min: 1, max: most }).map((amount) => `${amount}${unit}`)),
)
const law = <T extends [unknown, ...unknown[]]>(arbitraries: { [K in keyof T]: fc.Arbitrary<T[K]> }, holds: (...values: T) => void, numRuns = 1500) =>
  fc.assert(fc.property(...arbitraries, holds), { seed, numRuns })

describe('the notices', () => {
  it.skipIf(sourceIsWrong)('agree with chinese-days on every day of 2018 to 2026', () => {
    const differing: string[] = []
    for (let n = dayNumber('2018-01-01'); n <= dayNumber('2026-12-31'); n++) {
      if (isWorkday(shanghai, dayText(n)) !== chineseDays.isWorkday(dayText(n))) differing.push(dayText(n))
    }
    expect(differing).toEqual([])
  })

  it('cover every year from 2004, the newest included', () => {
    const years = [...NOTICED_YEARS].sort()
    expect(years[0]).toBe(2004)
    expect(years.at(-1)).toBeGreaterThanOrEqual(2026)
    expect(years).toEqual(years.map((_, index) => 2004 + index))
  })

  it('never reach further back than the last week of December', () => {
    const early = [...HOLIDAYS, ...MAKE_UP_DAYS].filter((n) => dayText(n).slice(5, 7) === '12' && noticesFor(n).length < 2)
    expect(early).toEqual([])
  })
})

describe('working time', () => {
  it('added is the working time between', () => {
    law([calendars, instants, minutes], (calendar, from, amount) => {
      expect(workingMinutesBetween(calendar, from, addWorkingMinutes(calendar, from, amount))).toBe(Math.round(amount * 60_000) / 60_000)
    })
  })

  it('between two instants, added, comes back to the first that has as much', () => {
    law([calendars, instants, instants], (calendar, a, b) => {
      const [from, to] = a <= b ? [a, b] : [b, a]
      const back = addWorkingMinutes(calendar, from, workingMinutesBetween(calendar, from, to))
      expect(back <= to).toBe(true)
      expect(workingMinutesBetween(calendar, back, to)).toBe(0)
    })
  })

  it('is the sum of its parts, and negative backwards', () => {
    law([calendars, instants, instants, instants], (calendar, a, b, c) => {
      const parts = workingMinutesBetween(calendar, a, b) + workingMinutesBetween(calendar, b, c)
      expect(parts).toBeCloseTo(workingMinutesBetween(calendar, a, c), 6)
      expect(workingMinutesBetween(calendar, a, b) + workingMinutesBetween(calendar, b, a)).toBe(0)
    })
  })

  it('grows with the start and the amount', () => {
    law([calendars, instants, fc.nat(40 * 86_400_000), minutes, minutes], (calendar, from, later, amount, more) => {
      const first = addWorkingMinutes(calendar, from, amount)
      expect(first <= addWorkingMinutes(calendar, from, amount + more)).toBe(true)
      expect(first <= addWorkingMinutes(calendar, new Date(from.getTime() + later), amount)).toBe(true)
    })
  })

  it('is found by walking minute by minute', () => {
    law([fc.integer({ min: Date.UTC(2025, 11, 20) / 60_000, max: Date.UTC(2026, 11, 20) / 60_000 }), fc.integer({ min: 1, max: 900 })], (start, amount) => {
      const working = (minute: number) => {
        const local = new Date((minute + 480) * 60_000).toISOString()
        const time = local.slice(11, 16)
        return ((time >= '09:00' && time < '12:00') || (time >= '14:00' && time < '18:00')) && isWorkday(shanghai, local.slice(0, 10))
      }
      let end = start
      for (let left = amount; left > 0; end++) if (working(end)) left--
      expect(addWorkingMinutes(shanghai, new Date(start * 60_000), amount).getTime()).toBe(end * 60_000)
    }, 60)
  })

  it('next is at or after, and working time starts there', () => {
    law([calendars, instants], (calendar, at) => {
      const next = nextWorkingTime(calendar, at)
      expect(next >= at).toBe(true)
      expect(nextWorkingTime(calendar, next)).toEqual(next)
      expect(workingMinutesBetween(calendar, at, next)).toBe(0)
      expect(workingMinutesBetween(calendar, next, new Date(next.getTime() + 1))).toBeGreaterThan(0)
    })
  })
})

describe('due', () => {
  it('lies after the start', () => {
    law([calendars, instants, limits], (calendar, from, limit) => {
      expect(due(calendar, from, limit).dueAt > from).toBe(true)
    })
  })

  it('never comes sooner for who files later, but for rolled calendar days', () => {
    law([calendars, instants, fc.nat(40 * 86_400_000), limits.filter((limit) => !/\dd$/.test(limit))], (calendar, from, later, limit) => {
      expect(due(calendar, from, limit).dueAt <= due(calendar, new Date(from.getTime() + later), limit).dueAt).toBe(true)
    })
  })

  it('of calendar days is on a workday: at the same time of day, or closing time when rolled', () => {
    law([calendars, instants, fc.integer({ min: 1, max: 90 })], (calendar, from, amount) => {
      const { dueAt } = due(calendar, from, `${amount}d`)
      const plain = dayText(dayNumber(dayOf(calendar, from)) + amount)
      if (!isWorkday(calendar, plain)) expect(dueAt).toEqual(closingAfter(calendar, plain))
      else expect(dayOf(calendar, dueAt)).toBe(plain)
      if (calendar === shanghai && isWorkday(calendar, plain)) expect(dueAt.getTime() - from.getTime()).toBe(amount * 86_400_000)
    })
  })

  it.skipIf(sourceIsWrong)('of workdays ends at closing, on the day chinese-days finds', () => {
    law([fc.integer({ min: Date.UTC(2018, 0, 2), max: Date.UTC(2026, 8, 1) }), fc.integer({ min: 1, max: 60 })], (ms, amount) => {
      const from = new Date(ms)
      const { dueAt, provisional } = due(shanghai, from, `${amount}wd`)
      expect(dueAt.toISOString().slice(11)).toBe('10:00:00.000Z') // 18:00 +08:00
      expect(dayOf(shanghai, dueAt)).toBe(chineseDays.findWorkday(amount, dayOf(shanghai, from)))
      expect(provisional).toBe(false)
    })
  })

  it('in one workday is the end of the next workday', () => {
    law([calendars, instants], (calendar, from) => {
      expect(endOfNextWorkday(calendar, from)).toEqual(due(calendar, from, '1wd').dueAt)
    })
  })
})

it('costs 10 µs at most', () => {
  const starts = Array.from({ length: 4_000 }, (_, i) => new Date(Date.UTC(2026, 0, 5) + i * 7_000_003))
  const round = (limit: string) => {
    const begin = performance.now()
    for (const from of starts) due(shanghai, from, limit)
    return ((performance.now() - begin) * 1000) / starts.length
  }
  for (const limit of ['5wd', '7d', '480wm', '8wh', '24h', '60wd']) {
    // The best of several: the machine may be busy with other tests.
    const micros = Math.min(...Array.from({ length: 6 }, () => round(limit)))
    console.info(`due ${limit}: ${micros.toFixed(2)} µs`)
    expect(micros).toBeLessThan(10)
  }
})

function closingAfter(calendar: Calendar, day: string): Date {
  let n = dayNumber(day)
  while (calendar.day(n).spans.length === 0) n++
  return new Date(calendar.day(n).closes)
}
