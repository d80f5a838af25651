import { dayNumber, dayText } from '../domain/calendar-day.ts'
import { dayOf, isWithinReach, OUT_OF_REACH, startOfDay } from '../domain/calendar.ts'
import { openZone } from '../domain/calendar-zone.ts'
import { Problem, says } from '../domain/problems.ts'
import { tenantHere, type Db } from './db.ts'
import { firstOf, monthOf, type Months } from './rate-months.ts'
import { tenant } from './tenants.ts'

/** Days of the tenant's zone, both of them within; and the instants at which they begin and are over. */
export interface Period {
  from: string
  to: string
  since: Date
  until: Date
  /** As long as it has not been asked for, nothing is known to be over. */
  today?: string
}

/** Ten years of days. */
const LONGEST = 3_660

export interface Days {
  from?: string | undefined
  to?: string | undefined
}

/** Left out, it is this month up to today, or the month before the day it ends. @throws Problem validation-failed when it ends before it begins, or is longer than ten years */
export async function periodOf(db: Db, { from, to }: Days): Promise<Period> {
  const { settings: { zone } } = await tenant(db)
  const now = await today(db, zone)
  const last = to ?? now
  return { ...period(zone, from ?? `${last.slice(0, 8)}01`, last), today: now }
}

export function period(zone: string, from: string, to: string): Period {
  const length = dayNumber(to) - dayNumber(from) + 1
  if (length < 1 || length > LONGEST) throw new Problem('validation-failed', { errors: [{ pointer: '/query/to', code: 'range', message: says('不早于 from，最长十年', 'Not before from, ten years at most') }] })
  const strange = [['/query/from', from], ['/query/to', to]].find(([, day]) => !isWithinReach(day!))
  if (strange) throw new Problem('validation-failed', { errors: [{ pointer: strange[0]!, code: 'range', message: OUT_OF_REACH }] })
  const place = { zone: openZone(zone) }
  return { from, to, since: startOfDay(place, from), until: startOfDay(place, dayText(dayNumber(to) + 1)) }
}

/** As many days, just before. */
export async function before(db: Db, { from, to, today: now }: Period): Promise<Period> {
  const { settings: { zone } } = await tenant(db)
  const first = dayNumber(from)
  return { ...period(zone, dayText(first - (dayNumber(to) - first + 1)), dayText(first - 1)), ...(now && { today: now }) }
}

async function today(db: Db, zone: string): Promise<string> {
  const { rows: [row] } = await db.app.query<{ now: Date }>({ name: 'today', text: `SELECT wishwall_now() AS now FROM tenant WHERE id = $1`, values: [tenantHere()] })
  return dayOf(zone, row!.now)
}

/** The months that lie wholly in it and are over, and what of it is left before and after them. */
export async function parted(db: Db, asked: Period): Promise<{ months: Months | undefined; rest: Period[] }> {
  const { from, to, today: now = from } = asked
  const { settings: { zone } } = await tenant(db)
  const first = monthOf(from) + (from.endsWith('-01') ? 0 : 1)
  const end = dayText(Math.min(dayNumber(to) + 1, dayNumber(now)))
  const last = monthOf(end) - 1
  if (last < first) return { months: undefined, rest: [asked] }
  const dayBefore = (day: string) => dayText(dayNumber(day) - 1)
  return {
    months: { first, last },
    rest: [
      ...(from < firstOf(first) ? [period(zone, from, dayBefore(firstOf(first)))] : []),
      ...(to >= firstOf(last + 1) ? [period(zone, firstOf(last + 1), to)] : []),
    ],
  }
}
