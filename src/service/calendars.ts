import { chainedCalendar, hasHours, chainedWeek, type Stated } from '../domain/calendar-chain.ts'
import type { Calendar, CalendarSettings, Hours, OverlayDay, Week } from '../domain/calendar.ts'
import type { Notice } from '../domain/calendar-notice.ts'
import { remember, tenantHere, type Reader } from './db.ts'
import { tenant } from './tenants.ts'

/** The working calendars of a tenant's places. */
export interface Calendars {
  readonly settings: CalendarSettings
  /** What places say of their own, by path. */
  readonly stated: ReadonlyMap<string, Stated>
  /** In force at a place. Asked for every request that is loaded: places that differ in nothing share one. */
  at(path: string): Calendar
}

/** A calendar changed in another process counts after so long, like an actor's duties; a rescheduling waits for longer than that. */
export const CALENDAR_TTL_MS = 2_000

const key = () => `calendars/${tenantHere()}`

/** Of this call's tenant, remembered. */
export const calendars = (db: Reader): Promise<Calendars> => remember(db, key(), CALENDAR_TTL_MS, () => load(db))

/** What was just changed counts at once in this process. */
export const forgetCalendars = (db: Pick<Reader, 'memory'>): boolean => db.memory.delete(key())

/** What was built stays as long as nothing has changed: a calendar remembers its days. */
async function load(db: Reader): Promise<Calendars> {
  const [{ settings }, rows] = await Promise.all([tenant(db), statedIn(db.app)])
  const text = JSON.stringify([settings.zone, settings.week, rows])
  const built = `calendars-built/${tenantHere()}`
  const known = await (db.memory.get(built) as Promise<{ text: string; calendars: Calendars }> | undefined)
  if (known?.text === text) return known.calendars
  const made = calendarsOf({ zone: settings.zone, week: settings.week }, statedOf(rows))
  db.memory.set(built, Promise.resolve({ text, calendars: made }))
  return made
}

/** @param stated by path */
export function calendarsOf(settings: CalendarSettings, stated: ReadonlyMap<string, Stated>): Calendars {
  const made = new Map<string, Calendar>()
  return {
    settings,
    stated,
    at(path: string): Calendar {
      const chain = chainTo(path, stated)
      const last = chain.at(-1) ?? ''
      const known = made.get(last)
      if (known) return known
      const calendar = chainedCalendar(settings, chain.map((place) => stated.get(place)!))
      made.set(last, calendar)
      return calendar
    },
  }
}

/** The places at and above a path that say something, from the root down. The last of them says which all are. */
function chainTo(path: string, stated: ReadonlyMap<string, Stated>): string[] {
  const chain: string[] = []
  for (let end = path.indexOf('/'); end >= 0 && stated.size > 0; end = path.indexOf('/', end + 1)) {
    const place = path.slice(0, end + 1)
    if (stated.has(place)) chain.push(place)
  }
  return chain
}

export const weekAt = ({ settings, stated }: Calendars, path: string): Week => chainedWeek(settings.week, chainTo(path, stated).map((place) => stated.get(place)!))

/** A place at or below a path that would be left without any working hours, which no calendar can be built for. */
export const withoutHours = (calendars: Calendars, path: string): string | undefined =>
  [path, ...calendars.stated.keys()].find((place) => place.startsWith(path) && !hasHours(weekAt(calendars, place)))

export interface StatedRow {
  path: string
  week: Week | null
  days: { date: string; kind: 'holiday' | 'workday'; name: string | null; hours: Hours | null }[] | null
  notices: Notice[] | null
}

/** What is stated, as it stands in the tables now. */
export async function statedIn(client: Reader['app']): Promise<StatedRow[]> {
  const { rows } = await client.query<StatedRow>({
    name: 'calendar_stated',
    text: `
      SELECT n.path, (SELECT h.week FROM calendar_hours h WHERE h."tenantId" = n."tenantId" AND h."nodeId" = n.id) AS week,
        (SELECT jsonb_agg(jsonb_build_object('date', d.day, 'kind', d.kind, 'name', d.name, 'hours', d.hours) ORDER BY d.day)
          FROM calendar_day d WHERE d."tenantId" = n."tenantId" AND d."nodeId" = n.id AND d.kind <> 'inherited') AS days,
        (SELECT jsonb_agg(jsonb_build_object('year', y.year, 'days', y.days) ORDER BY y.year)
          FROM calendar_year y WHERE y."tenantId" = n."tenantId" AND y."nodeId" = n.id) AS notices
      FROM node n WHERE n."tenantId" = $1 AND n.id IN (
        SELECT "nodeId" FROM calendar_hours WHERE "tenantId" = $1 UNION SELECT "nodeId" FROM calendar_day WHERE "tenantId" = $1
        UNION SELECT "nodeId" FROM calendar_year WHERE "tenantId" = $1)
      ORDER BY n.path`,
    values: [tenantHere()],
  })
  return rows
}

/** By path; a place that has taken back all it said says nothing. */
export const statedOf = (rows: readonly StatedRow[]): Map<string, Stated> => new Map(rows
  .map(({ path, week, days, notices }): [string, Stated] => [path, { week, days: (days ?? []).map(overlayDay), notices: notices ?? [] }])
  .filter(([, { week, days, notices }]) => Object.keys(week ?? {}).length + days.length + notices.length > 0))

const overlayDay = ({ date, kind, name, hours }: NonNullable<StatedRow['days']>[number]): OverlayDay =>
  ({ date, work: kind === 'workday', name: name ?? undefined, intervals: hours ?? undefined })
