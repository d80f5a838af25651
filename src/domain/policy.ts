import { z } from 'zod'
import { limitSchema } from './limit.ts'

const KINDS = ['party_member', 'volunteer', 'individual', 'enterprise', 'dual_unit'] as const

/**
 * Time limits and rules of one kind of request at one place. Versions are immutable.
 * Shipped numbers follow DB11 (12345 派单时限) and the sources' own: see domain.md 1.3.
 */
export const policySchema = z.strictObject({
  limits: z.strictObject({
    accept: limitSchema,
    resubmit: limitSchema,
    place: limitSchema,
    claim: limitSchema,
    sign: limitSchema,
    respond: limitSchema,
    /** From filing, never from sign-in: a clock that starts at sign-in is gamed by not signing. */
    complete: limitSchema,
    follow_up: limitSchema,
    close: limitSchema,
  }),
  /** Share of the time from opening to due at which the holder is reminded, ascending, each in (0, 1). */
  remindAt: z.array(z.number().gt(0).lt(1)).max(5).refine((shares) => shares.every((share, i) => i === 0 || share > shares[i - 1]!), {
    error: 'remindAt must ascend',
  }),
  /** From one rung of the ladder to the next; the first rung is at the due time. */
  rungEvery: limitSchema,
  autoAccept: z.boolean(),
  claims: z.strictObject({
    kinds: z.array(z.enum(KINDS)).min(1),
    /** Wishes one claimer may hold at once. */
    perClaimer: z.int().min(1).max(1000),
  }),
  /** 未联系上 so many times closes as 未评价. */
  unreachedMax: z.int().min(1).max(10),
  /** 不满意重办, how often. */
  redoMax: z.int().min(0).max(3),
})

export type Policy = z.infer<typeof policySchema>

export const DEFAULT_POLICY: Policy = {
  limits: {
    accept: '480wm', resubmit: '15d', place: '2wd', claim: '7d', sign: '480wm', respond: '1wd',
    complete: '10wd', follow_up: '3wd', close: '7d',
  },
  remindAt: [0.75],
  rungEvery: '480wm',
  autoAccept: false,
  claims: { kinds: ['party_member', 'volunteer', 'individual', 'enterprise', 'dual_unit'], perClaimer: 5 },
  unreachedMax: 3,
  redoMax: 1,
}
