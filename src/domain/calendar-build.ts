import { DAY, dayNumber, weekdayOf } from './calendar-day.ts'
import { HOLIDAYS, MAKE_UP_DAYS, NOTICED_NAMES, NOTICED_YEARS, noticesFor } from './calendar-holidays.ts'
import { CalendarSettingsError, readHours, readWeek, spanTexts, type Hours, type Span, type Week } from './calendar-hours.ts'
import { openZone, type Zone } from './calendar-zone.ts'

/** A tenant's zone (IANA name) and ordinary working week. */
export interface CalendarSettings {
  readonly zone: string
  readonly week: Week
}

/** One dated exception: a published day chinese-days does not have yet, or a tenant's own. */
export interface OverlayDay {
  readonly date: string
  readonly work: boolean
  readonly name?: string | undefined
  /** Hours of that day alone; without them a workday has its weekday's, or the make-up hours. */
  readonly intervals?: Hours | undefined
}

/** One local day. Spans and `closes` are instants, ms since 1970 UTC. */
export interface CalendarDay {
  /** False while a notice that may still change this day is not out. */
  readonly settled: boolean
  /** Empty on a day off. */
  readonly spans: readonly Span[]
  /** End of the last span; meaningless on a day off. */
  readonly closes: number
}

/** One local day in words, for people and integrators. */
export interface DayInWords {
  readonly workday: boolean
  /** Of the holiday, also on the day worked in exchange for it; null on an ordinary day. */
  readonly name: string | null
  /** Local working hours, `09:00-12:00`; empty on a day off. */
  readonly hours: string[]
  /** Who decides it: a row of the overlay, the notices that are shipped, or the week. */
  readonly source: 'overlay' | 'shipped' | 'week'
  /** Every notice that may say something of this day is out. */
  readonly published: boolean
}

/** Built once per tenant by {@link buildCalendar}; the same questions always get the same answers. */
export interface Calendar {
  readonly zone: Zone
  /** The local day of that number (days since 1970-01-01), remembered once computed. */
  day(number: number): CalendarDay
  /** The same day as {@link DayInWords}. */
  inWords(number: number): DayInWords
}

/**
 * The working calendar of a tenant. A day is decided by the first that speaks of it: the overlay (of two
 * entries for a date the later, so a tenant's rows go after the published ones), the State Council's
 * notices through chinese-days, the week. A make-up day has its own weekday's hours, else Monday's, else
 * those of the first weekday that has any.
 *
 * Years are published if chinese-days has their notice or `publishedYears` names them; overlay rows alone
 * do not publish a year, for a tenant may close a day of its own in any year.
 * @throws CalendarSettingsError for an unknown zone, malformed hours or dates, or a week without hours.
 */
export function buildCalendar(
  settings: CalendarSettings,
  overlay: readonly OverlayDay[] = [],
  publishedYears: Iterable<number> = [],
): Calendar {
  const zone = zoneOf(settings.zone)
  const week = readWeek(settings.week)
  const makeUpHours = week.find((spans) => spans.length > 0) ?? []
  const exceptions = new Map(overlay.map((entry) => [dateOf(entry), { hours: hoursOf(entry), name: entry.name ?? null }]))
  const published = new Set([...NOTICED_YEARS, ...publishedYears])
  const days = new Map<number, CalendarDay>()

  function decidedBy(number: number): { source: DayInWords['source']; name: string | null; hours: readonly Span[] } {
    const ownHours = week[weekdayOf(number)] ?? []
    const workdayHours = ownHours.length > 0 ? ownHours : makeUpHours
    const exception = exceptions.get(number)
    if (exception) return { source: 'overlay', name: exception.name, hours: exception.hours === 'as usual' ? workdayHours : exception.hours }
    const name = NOTICED_NAMES.get(number) ?? null
    if (HOLIDAYS.has(number)) return { source: 'shipped', name, hours: [] }
    if (MAKE_UP_DAYS.has(number)) return { source: 'shipped', name, hours: workdayHours }
    return { source: 'week', name: null, hours: ownHours }
  }

  const isPublished = (number: number): boolean => noticesFor(number).every((year) => published.has(year))

  function makeDay(number: number): CalendarDay {
    const spans = decidedBy(number).hours
      .map(([from, to]): Span => [zone.instantOf(number * DAY + from), zone.instantOf(number * DAY + to)])
      .filter(([from, to]) => from < to) // hours skipped by a change of the clocks
    return { settled: isPublished(number), spans, closes: spans.at(-1)?.[1] ?? Number.NaN }
  }

  return Object.freeze({
    zone,
    day(number: number): CalendarDay {
      const known = days.get(number)
      if (known) return known
      const day = makeDay(number)
      days.set(number, day)
      return day
    },
    inWords(number: number): DayInWords {
      const { source, name, hours } = decidedBy(number)
      return { workday: hours.length > 0, name, hours: spanTexts(hours), source, published: isPublished(number) }
    },
  })
}

function zoneOf(name: string): Zone {
  try {
    return openZone(name)
  } catch (cause) {
    throw new CalendarSettingsError(`Unknown time zone ${JSON.stringify(name)}`, { cause })
  }
}

function dateOf(entry: OverlayDay): number {
  try {
    return dayNumber(entry.date)
  } catch (cause) {
    throw new CalendarSettingsError(`Overlay: ${JSON.stringify(entry.date)} is not a day`, { cause })
  }
}

function hoursOf(entry: OverlayDay): readonly Span[] | 'as usual' {
  if (!entry.work && entry.intervals?.length) {
    throw new CalendarSettingsError(`Overlay ${entry.date}: a day off has no hours`)
  }
  if (!entry.work) return []
  if (!entry.intervals) return 'as usual'
  if (entry.intervals.length === 0) throw new CalendarSettingsError(`Overlay ${entry.date}: a workday has hours`)
  return readHours(entry.intervals, entry.date)
}
