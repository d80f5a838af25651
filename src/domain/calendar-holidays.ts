// The data and not the functions of chinese-days: those answer for unpublished years too, by weekday alone,
// and wrongly where the process runs in a zone west of UTC.
import notices from 'chinese-days/dist/chinese-days.json' with { type: 'json' }
import { dayNumber, dayText } from './calendar-day.ts'

/** Days off by the yearly holiday notices of the State Council (国务院办公厅), weekends within them included. */
export const HOLIDAYS: ReadonlySet<number> = new Set(Object.keys(notices.holidays).map(dayNumber))

/** Weekend days worked in exchange (调休上班), by the same notices. */
export const MAKE_UP_DAYS: ReadonlySet<number> = new Set(Object.keys(notices.workdays).map(dayNumber))

/** What the notices call those days: 元旦, 春节… A day worked in exchange is named after its holiday. */
export const NOTICED_NAMES: ReadonlyMap<number, string> = new Map(
  [...Object.entries(notices.holidays), ...Object.entries(notices.workdays)].map(([day, names]) => [dayNumber(day), names.split(',')[1] ?? names]),
)

/**
 * Years whose notice chinese-days contains. National Day tells, not New Year: it belongs to no other
 * year's notice and comes last, so a half-entered year does not count.
 */
export const NOTICED_YEARS: ReadonlySet<number> = new Set(
  Object.keys(notices.holidays)
    .filter((day) => day.endsWith('-10-01'))
    .map((day) => Number(day.slice(0, 4))),
)

/**
 * The years whose notices must be out before this day is settled. The last week of December belongs to two:
 * the New Year holiday of the next notice reaches back into it (2018-12-29 worked, 2018-12-30 and 31 off).
 */
export function noticesFor(number: number): readonly number[] {
  const text = dayText(number)
  const year = Number(text.slice(0, 4))
  return text.slice(5) >= '12-25' ? [year, year + 1] : [year]
}
