import { z } from 'zod'
import { otherwise } from './atoms.ts'
import { says } from './problems.ts'

/**
 * A time limit as a policy states it: whole amount and unit, for example `5wd`.
 * `wd` workdays, `d` calendar days rolled on to a workday, `wh` and `wm` working hours and minutes,
 * `h` and `m` plain hours and minutes. How each is counted: `due` in calendar.ts.
 */
export type Limit = `${number}${LimitUnit}`

export type LimitUnit = keyof typeof LONGEST

/** About two years in every unit: longer is a typing error, and no computation may run away with it. */
const LONGEST = {
  wd: 500,
  d: 731,
  wh: 4_000,
  wm: 240_000,
  h: 17_544,
  m: 1_052_640,
} as const

// One spelling per limit: no sign, no fraction, no leading zero, so equal limits compare as text.
const PATTERN = /^([1-9]\d{0,6})(wd|d|wh|wm|h|m)$/

const MALFORMED = says(
  '时限为正整数加单位：wd 工作日、d 自然日、wh 工作小时、wm 工作分钟、h 小时、m 分钟，例如 5wd',
  'A limit is a positive whole number and a unit: wd, d, wh, wm, h or m, for example 5wd',
)

const CEILINGS = Object.entries(LONGEST).map(([unit, most]) => `${most}${unit}`)
const TOO_LONG = says(`时限最长约两年：${CEILINGS.join('、')}`, `A limit is at most about two years: ${CEILINGS.join(', ')}`)

/** Accepts a {@link Limit}; refuses other spellings and anything longer than about two years. */
export const limitSchema = z
  .string()
  .regex(PATTERN, otherwise(MALFORMED))
  .refine((text): text is Limit => isShort(read(text)), otherwise(TOO_LONG))
  .describe('时限：5wd 工作日，7d 自然日，8wh 工作小时，480wm 工作分钟，24h 小时，30m 分钟')

/**
 * The amount and unit of a limit.
 * @throws RangeError with the English words of {@link limitSchema} when it would refuse the text.
 */
export function parseLimit(text: string): { amount: number; unit: LimitUnit } {
  const limit = read(text)
  if (limit === undefined) throw new RangeError(`${MALFORMED.en}: ${JSON.stringify(text)}`)
  if (!isShort(limit)) throw new RangeError(`${TOO_LONG.en}: ${JSON.stringify(text)}`)
  return limit
}

function read(text: string): { amount: number; unit: LimitUnit } | undefined {
  const match = PATTERN.exec(text)
  return match ? { amount: Number(match[1]), unit: match[2] as LimitUnit } : undefined
}

function isShort(limit: { amount: number; unit: LimitUnit } | undefined): boolean {
  return limit !== undefined && limit.amount <= LONGEST[limit.unit]
}
