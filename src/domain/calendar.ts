import { DAY, dayNumber, dayText, HOUR, MINUTE } from './calendar-day.ts'
import type { Calendar, DayInWords } from './calendar-build.ts'
import { openZone } from './calendar-zone.ts'
import { parseLimit, type LimitUnit } from './limit.ts'
import { says } from './problems.ts'

/**
 * Working time: when something is due, and how much working time has passed. Pure: the caller brings the
 * instant. Holidays and make-up days (调休) are those of the State Council's yearly notices; see
 * calendar-holidays.ts. Every function throws RangeError for an invalid Date or one outside 1970–2199.
 */

export { buildCalendar } from './calendar-build.ts'
export type { Calendar, CalendarSettings, DayInWords, OverlayDay } from './calendar-build.ts'
export { CalendarSettingsError, DEFAULT_WEEK, hoursOf, hoursSchema, hoursTexts, spanTexts, weekOf, weekSchema } from './calendar-hours.ts'
export type { Hours, Week } from './calendar-hours.ts'

/** What is said where a day or an instant lies outside of it. */
export const OUT_OF_REACH = says('日历只到 1970 至 2199 年', 'The calendar reaches from 1970 to 2199')

/** Whether a day, YYYY-MM-DD, begins and ends within the calendar, in every zone. */
export const isWithinReach = (day: string): boolean => day >= '1970-01-02' && day <= '2199-12-29'

/** When a limit ends. `provisional`: it rests on a day whose holiday notice is not published yet. */
export interface Due {
  readonly dueAt: Date
  readonly provisional: boolean
}

/** An instant in ms, and whether every day looked at on the way to it is settled. */
interface Reached {
  readonly at: number
  readonly settled: boolean
}

/**
 * When a limit that runs from `from` ends.
 * - `5wd` counts workdays from the day after and ends at closing time of the last one.
 * - `7d` counts calendar days at the same local time. If that falls on a day off it moves to closing time of
 *   the next workday (民法典第二百零三条: the day after the holiday, until business stops); on a workday it
 *   stays, even outside hours.
 * - `8wh`, `480wm` count working time only and end with it, at closing rather than at the next opening.
 * - `24h`, `30m` are plain, whatever the calendar says, and never provisional.
 * @throws RangeError for a malformed or overlong limit (see {@link parseLimit}).
 */
export function due(calendar: Calendar, from: Date, limit: string): Due {
  const { amount, unit } = parseLimit(limit)
  const { at, settled } = reach(calendar, from.getTime(), amount, unit)
  return { dueAt: new Date(at), provisional: !settled }
}

function reach(calendar: Calendar, from: number, amount: number, unit: LimitUnit): Reached {
  switch (unit) {
    case 'wd':
      return closingAfter(calendar, dayAt(calendar, from), amount)
    case 'd':
      return calendarDaysAfter(calendar, from, amount)
    case 'wh':
      return workOff(calendar, from, amount * HOUR)
    case 'wm':
      return workOff(calendar, from, amount * MINUTE)
    case 'h':
      return plainly(calendar, from, amount * HOUR)
    case 'm':
      return plainly(calendar, from, amount * MINUTE)
  }
}

/**
 * The first instant at which `minutes` of working time have passed since `from`: closing time rather than
 * the next opening, and `from` itself for zero, so a deadline that stood for no working time does not move.
 * @throws RangeError when `minutes` is negative or not finite, or the answer lies beyond 2199.
 */
export const addWorkingMinutes = (calendar: Calendar, from: Date, minutes: number): Date => dueAfterWorkingMinutes(calendar, from, minutes).dueAt

/** The same, and whether it rests on a day that is not settled. */
export function dueAfterWorkingMinutes(calendar: Calendar, from: Date, minutes: number): Due {
  if (!(minutes >= 0 && minutes < Infinity)) throw new RangeError(`Working minutes must not be negative: ${minutes}`)
  const work = Math.round(minutes * MINUTE)
  const { at, settled } = work === 0 ? plainly(calendar, from.getTime(), 0) : workOff(calendar, from.getTime(), work)
  return { dueAt: new Date(at), provisional: !settled }
}

/** Working time from one instant to another in minutes, exact to the ms; negative when `to` is earlier. */
export function workingMinutesBetween(calendar: Calendar, from: Date, to: Date): number {
  const [start, end] = [from.getTime(), to.getTime()]
  const sign = start <= end ? 1 : -1
  return (sign * workingTime(calendar, Math.min(start, end), Math.max(start, end))) / MINUTE
}

/**
 * Whether there is any working time on that local day.
 * @throws RangeError when `day` is not YYYY-MM-DD.
 */
export function isWorkday(calendar: Calendar, day: string): boolean {
  return calendar.day(dayNumber(day)).spans.length > 0
}

/** Whether every notice that may say something of the local day of `at` is out. */
export const isSettled = (calendar: Calendar, at: Date): boolean => calendar.day(dayAt(calendar, at.getTime())).settled

/** `at` itself within working hours, else the next opening (after the lunch break, on the next workday). */
export function nextWorkingTime(calendar: Calendar, at: Date): Date {
  return new Date(workOff(calendar, at.getTime(), 0).at)
}

/** Closing time of the first workday after the local day of `at`: the earliest a moved deadline may end. */
export function endOfNextWorkday(calendar: Calendar, at: Date): Date {
  return new Date(closingAfter(calendar, dayAt(calendar, at.getTime()), 1).at)
}

/** The local day, YYYY-MM-DD, of a calendar or an IANA zone: what numbers and limits per day go by. */
export function dayOf(place: Calendar | string, at: Date): string {
  const zone = typeof place === 'string' ? openZone(place) : place.zone
  return dayText(dayAt({ zone }, at.getTime()))
}

/**
 * The first instant of a local day.
 * @throws RangeError when `day` is not YYYY-MM-DD, or lies outside 1970–2199.
 */
export function startOfDay({ zone }: Pick<Calendar, 'zone'>, day: string): Date {
  return new Date(zone.instantOf(dayNumber(day) * DAY))
}

/** The local days from one to another, both included, as people read them. */
export function daysInWords(calendar: Calendar, from: string, to: string): (DayInWords & { date: string })[] {
  const [first, last] = [dayNumber(from), dayNumber(to)]
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => ({ date: dayText(first + index), ...calendar.inWords(first + index) }))
}

function dayAt({ zone }: Pick<Calendar, 'zone'>, instant: number): number {
  return Math.floor((instant + zone.offsetAt(instant)) / DAY)
}

/** Closing time of the count-th workday after that day. */
function closingAfter(calendar: Calendar, after: number, count: number): Reached {
  let settled = true
  for (let number = after + 1, left = count; ; number++) {
    const day = calendar.day(number)
    settled &&= day.settled
    if (day.spans.length > 0) left--
    if (left === 0) return { at: day.closes, settled }
  }
}

function calendarDaysAfter(calendar: Calendar, from: number, count: number): Reached {
  const { zone } = calendar
  const at = zone.instantOf(from + zone.offsetAt(from) + count * DAY)
  const number = dayAt(calendar, at)
  const landing = calendar.day(number)
  return landing.spans.length > 0 ? { at, settled: landing.settled } : closingAfter(calendar, number - 1, 1)
}

/** The first instant in working hours, or at the end of some, with `work` ms of them since `from`. */
function workOff(calendar: Calendar, from: number, work: number): Reached {
  let settled = true
  for (let number = dayAt(calendar, from), left = work; ; number++) {
    const day = calendar.day(number)
    settled &&= day.settled
    for (const [opens, closes] of day.spans) {
      const start = Math.max(opens, from)
      if (start >= closes) continue
      if (left <= closes - start) return { at: start + left, settled }
      left -= closes - start
    }
  }
}

/** Asks for the offset only to refuse an instant that every other unit refuses. */
function plainly({ zone }: Calendar, from: number, time: number): Reached {
  zone.offsetAt(from)
  return { at: from + time, settled: true }
}

/** Working time between two instants in order, in ms. */
function workingTime(calendar: Calendar, start: number, end: number): number {
  const last = dayAt(calendar, end)
  let sum = 0
  for (let number = dayAt(calendar, start); number <= last; number++) {
    for (const [opens, closes] of calendar.day(number).spans) {
      sum += Math.max(0, Math.min(closes, end) - Math.max(opens, start))
    }
  }
  return sum
}
