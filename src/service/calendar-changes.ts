import type pg from 'pg'
import type { Actor } from '../domain/actor.ts'
import { NOTHING_STATED, type Stated } from '../domain/calendar-chain.ts'
import { dayText, dayNumber } from '../domain/calendar-day.ts'
import { hoursOf, isWithinReach, OUT_OF_REACH, startOfDay, weekOf, type DayInWords } from '../domain/calendar.ts'
import { Problem, says } from '../domain/problems.ts'
import { placeToKeep, shownPlace, type CalendarPlace } from './calendar-places.ts'
import { wholeWeek, weekTexts, type HoursView, type WeekTexts } from './calendar-days.ts'
import { calendars, calendarsOf, forgetCalendars, statedIn, statedOf, weekAt, withoutHours, type Calendars } from './calendars.ts'
import { tenantHere, type Db } from './db.ts'
import { isWorthAnotherTry } from './failures.ts'
import { orderRescheduling } from './reschedulings.ts'
import { account } from './audit.ts'
import { transaction } from './transaction.ts'

/** One change of a tenant's calendars at a time: what is left of a week is looked at in all places below. */
const ALONE = `SELECT pg_advisory_xact_lock(hashtextextended('calendar/' || $1, 0)), wishwall_now() AS now`

/** Works on the calendars as they stand in the tables, alone. @throws Problem overloaded when others take too long */
export async function alone<T>(db: Db, work: (client: pg.PoolClient, standing: Calendars, now: Date) => Promise<T>): Promise<T> {
  const { settings } = await calendars(db)
  try {
    return await transaction(db.app, async (client) => {
      const { rows: [clock] } = await client.query<{ now: Date }>({ name: 'calendar_alone', text: ALONE, values: [tenantHere()] })
      return work(client, calendarsOf(settings, statedOf(await statedIn(client))), clock!.now)
    })
  } catch (error) {
    throw isWorthAnotherTry(error) ? new Problem('overloaded', { cause: error }) : error
  } finally {
    forgetCalendars(db)
  }
}

/** The same calendars, if a place said something else. */
export const restated = ({ settings, stated }: Calendars, path: string, change: (own: Stated) => Stated): Calendars =>
  calendarsOf(settings, new Map([...stated, [path, change(stated.get(path) ?? NOTHING_STATED)]]))

export const keeper = (actor: Actor): string | null => (actor.kind === 'person' ? actor.id : null)

export interface NewHours {
  /** Id or code; the root when left out. */
  node?: string | undefined
  /** All that the place says itself from now on; weekdays left out are as above it. */
  week: { readonly [weekday: string]: readonly string[] | undefined }
  /** Open deadlines too. */
  recompute?: boolean | undefined
}

/** An operation to follow under /v1/operations, where one was started. */
export interface Started {
  operation: string | null
}

/**
 * The weekly hours of a place and of those below it that say nothing else. Deadlines that are open keep their due times
 * unless `recompute` is asked for.
 * @throws Problem node-unknown, forbidden, validation-failed at /week when a place would be left without any hours, overloaded
 */
export async function setHours(db: Db, { node, week, recompute = false }: NewHours, actor: Actor): Promise<HoursView & Started> {
  const place = await placeToKeep(db, node, actor, '/node')
  return alone(db, async (client, standing) => {
    const own = weekOf(week)
    const changed = restated(standing, place.path, (stated) => ({ ...stated, week: own }))
    const empty = withoutHours(changed, place.path)
    if (empty !== undefined) throw emptyWeek(empty === place.path ? place.code : empty.split('/').at(-2)!)
    await client.query({
      name: 'calendar_set_hours',
      text: `INSERT INTO calendar_hours ("tenantId", "nodeId", week, "personId", "changedAt") VALUES ($1, $2, $3, $4, wishwall_now())
        ON CONFLICT ("tenantId", "nodeId") DO UPDATE SET week = excluded.week, "personId" = excluded."personId", "changedAt" = excluded."changedAt"`,
      values: [tenantHere(), place.id, JSON.stringify(own), keeper(actor)],
    })
    await account(client, actor, { action: 'calendar.changed', object: 'node', objectId: place.id, details: { what: 'hours', recompute } })
    const operation = recompute ? await orderRescheduling(client, { nodeId: place.id, reason: 'calendar', scope: 'open', personId: keeper(actor) }) : null
    return { node: shownPlace(place), week: weekTexts(wholeWeek(weekAt(changed, place.path))), own: weekTexts(own), operation }
  })
}

const emptyWeek = (code: string) => new Problem('validation-failed', {
  errors: [{ pointer: '/week', code: 'value', message: says(`节点 ${code} 将没有任何工作时间`, `${code} would be left without any working hours`) }],
})

export interface NewDay {
  date: string
  node?: string | undefined
  /** `inherited` takes back what the place has said of the day. */
  kind: 'holiday' | 'workday' | 'inherited'
  name?: string | undefined
  /** Of that day alone; a workday without has its usual hours. */
  hours?: readonly string[] | undefined
  recompute?: boolean | undefined
}

export type DayView = { node: CalendarView; date: string } & DayInWords & Started
type CalendarView = ReturnType<typeof shownPlace>

/**
 * One dated day of a place's own: closed, on duty, or with hours of its own. It comes before the notices.
 * @throws Problem node-unknown, forbidden, validation-failed at /hours, /path/date, overloaded
 */
export async function setDay(db: Db, { date, node, kind, name, hours, recompute = false }: NewDay, actor: Actor): Promise<DayView> {
  const place = await placeToKeep(db, node, actor, '/node')
  if (hours && (kind !== 'workday' || hours.length === 0)) throw noHours()
  if (!isWithinReach(date)) throw new Problem('validation-failed', { errors: [{ pointer: '/path/date', code: 'invalid', message: OUT_OF_REACH }] })
  return alone(db, async (client, standing) => {
    const intervals = hours && hoursOf(hours)
    const day = kind === 'inherited' ? [] : [{ date, work: kind === 'workday', name, intervals }]
    const changed = restated(standing, place.path, (stated) => ({ ...stated, days: [...stated.days.filter((other) => other.date !== date), ...day] }))
    await client.query({
      name: 'calendar_set_day',
      text: `INSERT INTO calendar_day ("tenantId", "nodeId", day, kind, name, hours, "personId", "changedAt") VALUES ($1, $2, $3, $4, $5, $6, $7, wishwall_now())
        ON CONFLICT ("tenantId", "nodeId", day) DO UPDATE SET kind = excluded.kind, name = excluded.name, hours = excluded.hours, "personId" = excluded."personId", "changedAt" = excluded."changedAt"`,
      values: [tenantHere(), place.id, date, kind, name ?? null, intervals ? JSON.stringify(intervals) : null, keeper(actor)],
    })
    await account(client, actor, { action: 'calendar.changed', object: 'node', objectId: place.id, details: { what: 'day', date, kind, recompute } })
    const calendar = changed.at(place.path)
    const operation = recompute ? await orderCorrection(client, place, calendar, [date, date], actor) : null
    return { node: shownPlace(place), date, ...calendar.inWords(dayNumber(date)), operation }
  })
}

const noHours = () => new Problem('validation-failed', {
  errors: [{ pointer: '/hours', code: 'value', message: says('只有工作日有时段，且至少一段', 'Only a workday has hours, and at least one interval') }],
})

/** Open deadlines that run on any of these days are computed again. @returns the operation */
export const orderCorrection = (client: pg.PoolClient, place: CalendarPlace, calendar: ReturnType<Calendars['at']>, [first, last]: [string, string], actor: Actor): Promise<string> =>
  orderRescheduling(client, { nodeId: place.id, reason: 'calendar', scope: 'open', ...between(calendar, first, last), personId: keeper(actor) })

/** From the first instant of one local day to the last of another. */
export const between = (calendar: ReturnType<Calendars['at']>, first: string, last: string): { since: Date; until: Date } =>
  ({ since: startOfDay(calendar, first), until: startOfDay(calendar, dayText(dayNumber(last) + 1)) })

export type { WeekTexts }
