/** Days as whole numbers since 1970-01-01, so that stepping and comparing them needs no clock and no zone. */

export const MINUTE = 60_000
export const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR

/**
 * `2026-01-04` → 20457.
 * @throws RangeError when the text is not a day of the Gregorian calendar (`2026-02-30`, `2026-1-4`).
 */
export function dayNumber(text: string): number {
  const number = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(`${text}T00:00:00Z`) / DAY : Number.NaN
 // Date.parse accepts 02-30 and means 03-02, hence the way back.
  if (Number.isNaN(number) || dayText(number) !== text) {
    throw new RangeError(`Not a day (YYYY-MM-DD): ${JSON.stringify(text)}`)
  }
  return number
}

/** 20457 → `2026-01-04`. */
export function dayText(number: number): string {
  return new Date(number * DAY).toISOString().slice(0, 10)
}

/** ISO weekday, counted from 0 for Monday to 6 for Sunday. */
export function weekdayOf(number: number): number {
  return (((number + 3) % 7) + 7) % 7 // 1970-01-01 was a Thursday
}
