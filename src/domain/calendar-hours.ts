import { z } from 'zod'
import { HOUR, MINUTE } from './calendar-day.ts'
import { says, type Says } from './problems.ts'

/** Working intervals of one day in local time, `HH:MM` to `HH:MM`, the latter up to `24:00`. */
export type Hours = readonly (readonly [from: string, to: string])[]

/** Hours per ISO weekday, `1` Monday to `7` Sunday; a weekday left out or empty is a day off. */
export type Week = { readonly [weekday in (typeof WEEKDAYS)[number]]?: Hours | undefined }

export const WEEKDAYS = ['1', '2', '3', '4', '5', '6', '7'] as const

/** From (included) to (excluded), in ms. */
export type Span = readonly [from: number, to: number]

/** Settings or overlay that no calendar can be built from; the message says which entry and why. */
export class CalendarSettingsError extends RangeError {
  override name = 'CalendarSettingsError'
}

const OFFICE_DAY: Hours = [
  ['09:00', '12:00'],
  ['14:00', '18:00'],
]

/** Monday to Friday 09:00–12:00 and 14:00–18:00. */
export const DEFAULT_WEEK: Week = {
  1: OFFICE_DAY,
  2: OFFICE_DAY,
  3: OFFICE_DAY,
  4: OFFICE_DAY,
  5: OFFICE_DAY,
}

/**
 * The seven days from Monday, as spans since local midnight.
 * @throws CalendarSettingsError for malformed hours, or when no day has any: no search for working time
 * would end.
 */
export function readWeek(week: Week): (readonly Span[])[] {
  const stray = Object.keys(week).find((key) => !WEEKDAYS.some((weekday) => weekday === key))
  if (stray !== undefined) throw new CalendarSettingsError(`Weekday ${stray}: expected 1 (Monday) to 7 (Sunday)`)
  const days = WEEKDAYS.map((key) => readHours(week[key] ?? [], `weekday ${key}`))
  if (days.every((spans) => spans.length === 0)) {
    throw new CalendarSettingsError('No weekday has working hours: at least one must')
  }
  return days
}

/**
 * Intervals in order of time, as spans since local midnight.
 * @throws CalendarSettingsError naming `where` when an interval is malformed, empty, past midnight (write
 * it as two days) or overlaps another.
 */
export function readHours(hours: Hours, where: string): readonly Span[] {
  const spans = hours.map(([from, to]): Span => [timeOfDay(from, where), timeOfDay(to, where)])
  spans.sort(([a], [b]) => a - b)
  spans.forEach(([from, to], index) => {
    if (from >= to) throw new CalendarSettingsError(`Hours of ${where}: an interval must end on the day it starts`)
    if (from < (spans[index - 1]?.[1] ?? 0)) throw new CalendarSettingsError(`Hours of ${where}: intervals overlap`)
  })
  return spans
}

/** Spans since local midnight as people write them: `09:00-12:00`. */
export const spanTexts = (spans: readonly Span[]): string[] => spans.map(([from, to]) => `${clockText(from)}-${clockText(to)}`)

const clockText = (time: number): string => [time / HOUR, (time % HOUR) / MINUTE].map((part) => String(Math.floor(part)).padStart(2, '0')).join(':')

export const hoursTexts = (hours: Hours): string[] => hours.map(([from, to]) => `${from}-${to}`)

/** `09:00-12:00` → `['09:00', '12:00']`. Takes what {@link hoursSchema} lets through. */
export const hoursOf = (texts: readonly string[]): Hours => texts.map((text): [string, string] => [text.slice(0, 5), text.slice(6)])

/** A part of a week, as a place says it: weekdays left out are as above it. */
export const weekOf = (texts: { readonly [weekday: string]: readonly string[] | undefined }): Week =>
  Object.fromEntries(Object.entries(texts).map(([weekday, spans]) => [weekday, hoursOf(spans ?? [])]))

const otherwise = (words: Says) => ({ params: words, abort: true })
const SPAN = /^(?:[01]\d|2[0-3]):[0-5]\d-(?:(?:[01]\d|2[0-3]):[0-5]\d|24:00)$/

const spanSchema = z
  .string()
  .refine((text) => SPAN.test(text), otherwise(says('应为 HH:MM-HH:MM，例如 09:00-12:00', 'Expected HH:MM-HH:MM, such as 09:00-12:00')))
  .refine((text) => text.slice(0, 5) < text.slice(6), otherwise(says('结束须晚于开始；跨夜的写在两天', 'Must end later than it starts, on the same day')))
  .meta({ pattern: SPAN.source })

/** Working hours of one day, with breaks between them; empty for a day off. */
export const hoursSchema = z
  .array(spanSchema)
  .max(8)
  .refine((texts) => [...texts].sort().every((text, index, sorted) => index === 0 || sorted[index - 1]!.slice(6) <= text.slice(0, 5)), otherwise(says('时段重叠', 'Intervals overlap')))
  .meta({ examples: [['09:00-12:00', '14:00-18:00']] })

/** What a place says of its week, `1` Monday to `7` Sunday; weekdays left out are as above it. */
export const weekSchema = z.strictObject(Object.fromEntries(WEEKDAYS.map((weekday) => [weekday, hoursSchema.optional()])) as { [weekday in (typeof WEEKDAYS)[number]]: z.ZodOptional<typeof hoursSchema> })

function timeOfDay(text: string, where: string): number {
  const match = /^([01]\d|2[0-3]):([0-5]\d)$|^(24):(00)$/.exec(text)
  if (!match) throw new CalendarSettingsError(`Hours of ${where}: expected HH:MM, got ${JSON.stringify(text)}`)
  return Number(match[1] ?? match[3]) * HOUR + Number(match[2] ?? match[4]) * MINUTE
}
