import { buildCalendar, type Calendar, type CalendarSettings, type OverlayDay } from './calendar-build.ts'
import { dayNumber, dayText, weekdayOf } from './calendar-day.ts'
import { NOTICED_NAMES } from './calendar-holidays.ts'
import { WEEKDAYS, type Week } from './calendar-hours.ts'
import type { Notice } from './calendar-notice.ts'

/** What one place says of its own calendar; whatever it does not say is as above it. */
export interface Stated {
  /** Weekdays it has hours of its own for; an empty list is a day off. */
  readonly week: Week | null
  /** Dated days of its own. */
  readonly days: readonly OverlayDay[]
  /** The State Council's notices, as imported here. */
  readonly notices: readonly Notice[]
}

export const NOTHING_STATED: Stated = { week: null, days: [], notices: [] }

/**
 * The calendar at the end of a chain of places. Of a weekday and of a date the nearest that speaks of it decides; at
 * one place its own days come before the notice. A notice publishes its year for the place and all below it, and stands
 * instead of any other notice of that year: a day that it no longer names is as the week says.
 * @param chain from the root down
 * @throws CalendarSettingsError when nothing is left of the week, or as `buildCalendar`
 */
export function chainedCalendar(settings: CalendarSettings, chain: readonly Stated[]): Calendar {
  const week = chainedWeek(settings.week, chain)
  const named = new Map<number, string[]>()
  const overlay: OverlayDay[] = []
  for (const { notices, days } of chain) {
    for (const notice of notices) {
      const before = named.get(notice.year) ?? shippedIn(notice.year)
      overlay.push(...before.map((date) => asTheWeekSays(week, date)), ...notice.days.map(({ date, name, isOffDay }) => ({ date, name, work: !isOffDay })))
      named.set(notice.year, notice.days.map(({ date }) => date))
    }
    overlay.push(...days)
  }
  return buildCalendar({ zone: settings.zone, week }, overlay, named.keys())
}

const shippedIn = (year: number): string[] => [...NOTICED_NAMES.keys()].map(dayText).filter((date) => date.startsWith(`${year}-`))

const asTheWeekSays = (week: Week, date: string): OverlayDay => ({ date, work: hoursOn(week, weekdayOf(dayNumber(date))) > 0 })

/** The week in force at the end of the chain: each weekday as the nearest says it. */
export const chainedWeek = (week: Week, chain: readonly Stated[]): Week => Object.assign({}, week, ...chain.map(({ week: own }) => own ?? {})) as Week

/** Whether any day of the week has hours: a search for working time must end. */
export const hasHours = (week: Week): boolean => WEEKDAYS.some((weekday) => (week[weekday]?.length ?? 0) > 0)

/** How many intervals a weekday has, 0 for Monday. */
const hoursOn = (week: Week, weekday: number): number => week[WEEKDAYS[weekday]!]?.length ?? 0
