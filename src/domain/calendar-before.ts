import type { Calendar } from './calendar-build.ts'
import { DAY, HOUR, MINUTE } from './calendar-day.ts'
import { parseLimit } from './limit.ts'

/**
 * The time so long before an instant: when to remind of something that is due then.
 * - `1wd` the same local time on the workday before, or its closing time when it closes earlier.
 * - `2d` the same local time so many calendar days before; on a day off, closing time of the last workday before that.
 * - `8wh`, `480wm` the last instant with that much working time left: the opening rather than the closing before it.
 * - `24h`, `30m` plain.
 * @throws RangeError for a malformed limit, or an answer before 1970.
 */
export function before(calendar: Calendar, at: Date, limit: string): Date {
  const { amount, unit } = parseLimit(limit)
  const instant = at.getTime()
  switch (unit) {
    case 'wd': return new Date(onWorkday(calendar, instant, workdaysBefore(calendar, dayAt(calendar, instant), amount)))
    case 'd': return new Date(daysBefore(calendar, instant, amount))
    case 'wh': return new Date(workedBack(calendar, instant, amount * HOUR))
    case 'wm': return new Date(workedBack(calendar, instant, amount * MINUTE))
    case 'h': return new Date(instant - amount * HOUR)
    case 'm': return new Date(instant - amount * MINUTE)
  }
}

const dayAt = ({ zone }: Calendar, instant: number): number => Math.floor((instant + zone.offsetAt(instant)) / DAY)

const works = (calendar: Calendar, number: number): boolean => calendar.day(number).spans.length > 0

/** Number of the count-th workday before a day. */
function workdaysBefore(calendar: Calendar, day: number, count: number): number {
  let number = day
  for (let left = count; left > 0;) if (works(calendar, --number)) left--
  return number
}

function onWorkday(calendar: Calendar, instant: number, number: number): number {
  const { zone } = calendar
  const time = (instant + zone.offsetAt(instant)) % DAY
  return Math.min(zone.instantOf(number * DAY + time), calendar.day(number).closes)
}

function daysBefore(calendar: Calendar, instant: number, count: number): number {
  const { zone } = calendar
  const at = zone.instantOf(instant + zone.offsetAt(instant) - count * DAY)
  const number = dayAt(calendar, at)
  return works(calendar, number) ? at : calendar.day(workdaysBefore(calendar, number, 1)).closes
}

function workedBack(calendar: Calendar, instant: number, work: number): number {
  for (let number = dayAt(calendar, instant), left = work; ; number--) {
    for (const [opens, closes] of [...calendar.day(number).spans].reverse()) {
      const end = Math.min(closes, instant)
      if (end <= opens) continue
      if (left <= end - opens) return end - left
      left -= end - opens
    }
  }
}
