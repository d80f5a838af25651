import { chainedWeek } from '../domain/calendar-chain.ts'
import { NOTICED_YEARS } from '../domain/calendar-holidays.ts'
import { daysInWords, due, hoursTexts, OUT_OF_REACH, type DayInWords, type Due, type Week } from '../domain/calendar.ts'
import { Problem, says, type Says } from '../domain/problems.ts'
import { placeToRead, shownPlace } from './calendar-places.ts'
import { calendars, weekAt } from './calendars.ts'
import { tenantHere, type Db } from './db.ts'
import type { Place } from './places.ts'

/** More days than this are asked for in parts. */
const MOST_DAYS = 400

const refused = (pointer: string, code: string, message: Says) => new Problem('validation-failed', { errors: [{ pointer, code, message }] })

export interface DaysQuery {
  /** YYYY-MM-DD, both included. */
  from: string
  to: string
  /** Id or code; the root when left out. */
  node?: string | undefined
}

/** Each day of a place's calendar in words. @throws Problem not-found (node), validation-failed at /query/from, /query/to */
export async function readDays(db: Db, { from, to, node }: DaysQuery): Promise<{ node: Place; data: (DayInWords & { date: string })[] }> {
  const [place, all] = await Promise.all([placeToRead(db, node), calendars(db)])
  if (from < '1970-01-02') throw refused('/query/from', 'too-small', says('最早到 1970-01-02', 'Not before 1970-01-02'))
  if (to < from) throw refused('/query/to', 'too-small', says('不能早于 from', 'Must not be earlier than from'))
  if (Date.parse(to) - Date.parse(from) >= MOST_DAYS * 86_400_000) throw refused('/query/to', 'too-big', says(`一次最多 ${MOST_DAYS} 天`, `At most ${MOST_DAYS} days at a time`))
  return { node: shownPlace(place), data: daysInWords(all.at(place.path), from, to) }
}

/** When a limit that runs from an instant ends, at a place. @throws Problem not-found (node), validation-failed at /query/from */
export async function readDue(db: Db, { from, limit, node }: { from: Date; limit: string; node?: string | undefined }): Promise<Due> {
  const [place, all] = await Promise.all([placeToRead(db, node), calendars(db)])
  try {
    return due(all.at(place.path), from, limit)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw refused('/query/from', 'invalid', OUT_OF_REACH)
  }
}

export interface CoveredYear {
  year: number
  source: 'shipped' | 'imported'
  /** Where it was imported; null for what is shipped. */
  node: Place | null
  importedAt: Date | null
}

/** Years whose notice is known at a place; an imported one stands instead of the one that is shipped. */
export async function readYears(db: Db, node: string | undefined): Promise<{ node: Place; data: CoveredYear[] }> {
  const place = await placeToRead(db, node)
  const { rows } = await db.app.query<{ year: number; node: Place; importedAt: Date }>({
    name: 'calendar_years',
    text: `SELECT DISTINCT ON (y.year) y.year, jsonb_build_object('id', n.id, 'code', n.code, 'name', n.name) AS node, y."changedAt" AS "importedAt"
      FROM calendar_year y JOIN node n ON n."tenantId" = y."tenantId" AND n.id = y."nodeId"
      WHERE y."tenantId" = $1 AND starts_with($2, n.path) ORDER BY y.year, length(n.path) DESC`,
    values: [tenantHere(), place.path],
  })
  const imported = new Map(rows.map((row) => [row.year, row]))
  const years = [...new Set([...NOTICED_YEARS, ...imported.keys()])].sort((a, b) => a - b)
  const data = years.map((year): CoveredYear => {
    const row = imported.get(year)
    return { year, source: row ? 'imported' : 'shipped', node: row?.node ?? null, importedAt: row?.importedAt ?? null }
  })
  return { node: shownPlace(place), data }
}

/** Weekdays `1` to `7` and their hours, `09:00-12:00`. */
export type WeekTexts = Record<string, string[]>

export const weekTexts = (week: Week): WeekTexts => Object.fromEntries(Object.entries(week).map(([weekday, hours]) => [weekday, hoursTexts(hours ?? [])]))

export interface HoursView {
  node: Place
  /** In force, all seven days. */
  week: WeekTexts
  /** What the place says itself; empty when it says nothing. */
  own: WeekTexts
}

/** The working week of a place. @throws Problem not-found */
export async function readHours(db: Db, node: string | undefined): Promise<HoursView> {
  const [place, all] = await Promise.all([placeToRead(db, node), calendars(db)])
  return { node: shownPlace(place), week: weekTexts(wholeWeek(weekAt(all, place.path))), own: weekTexts(all.stated.get(place.path)?.week ?? {}) }
}

export const wholeWeek = (week: Week): Week => chainedWeek({ 1: [], 2: [], 3: [], 4: [], 5: [], 6: [], 7: [] }, [{ week, days: [], notices: [] }])
