import { z } from 'zod'
import { limitSchema, parseLimit, type Limit } from './limit.ts'
import { STEPS, VERBS, type Relation, type Step } from './machine.ts'
import { says, type Says } from './problems.ts'

/**
 * Whom a reminder can tell: a party to the request, the nearest holder of a capability, or (`supervisor`) the rung that
 * supervision stands on.
 */
export const TELLABLE = [
  'assignee', 'co', 'dispatch', 'publish', 'approve', 'follow_up', 'supervise', 'supervisor', 'first_contact', 'filer', 'beneficiary', 'guardian',
] as const satisfies readonly (Relation | 'supervisor')[]
export type Tellable = (typeof TELLABLE)[number]

const tell = z.array(z.enum(TELLABLE)).min(1).max(TELLABLE.length)
  .refine((told) => new Set(told).size === told.length, { params: says('不能重复', 'Must not repeat'), abort: true })
  .optional().describe('提醒谁；缺省为这一环节的责任人')

/** One reminder: a share of the time from opening to due, so long before due, at due, or so long after. */
export const reminderSchema = z.union([
  z.strictObject({ share: z.number().gt(0).lt(1).describe('时限用去多少时提醒，如 0.75'), tell }).meta({ title: '按比例' }),
  z.strictObject({ at: z.literal(true).describe('到期时'), tell }).meta({ title: '到期时' }),
  z.strictObject({ after: limitSchema.describe('到期后多久'), tell }).meta({ title: '到期后' }),
  z.strictObject({ before: limitSchema.describe('到期前多久'), tell }).meta({ title: '到期前' }),
])
export type Reminder = z.output<typeof reminderSchema>

/** In the order of time: each fires once, in this order. */
export const remindersSchema = z.array(reminderSchema).max(6).superRefine((reminders, { addIssue }) => {
  for (const [index, reminder] of reminders.entries()) {
    const earlier = reminders.slice(0, index)
    const problem = earlier.some((other) => compare(other, reminder) === 0) ? says('重复的提醒', 'This reminder is there already')
      : earlier.some((other) => compare(other, reminder) > 0) ? says('提醒须按时间先后排列', 'Reminders must be in the order of time') : undefined
    if (problem) addIssue({ code: 'custom', path: [index], params: problem })
  }
})

/** 0 when they fall together, negative when `a` comes first; NaN where only a calendar could tell. */
function compare(a: Reminder, b: Reminder): number {
  if ('share' in a && 'share' in b) return a.share - b.share
  if ('before' in a && 'before' in b) return difference(b.before, a.before)
  if ('after' in a && 'after' in b) return difference(a.after, b.after)
  const [x, y] = [phase(a), phase(b)]
  return x === y && x === 0 ? Number.NaN : x - y
}

const phase = (reminder: Reminder): number => ('at' in reminder ? 1 : 'after' in reminder ? 2 : 0)

/** Of one sort, in its smallest unit: minutes, working minutes, calendar days, workdays. */
const SORTS = { m: ['plain', 1], h: ['plain', 60], wm: ['working', 1], wh: ['working', 60], d: ['days', 1], wd: ['workdays', 1] } as const

function sized(limit: Limit): { sort: 'plain' | 'working' | 'days' | 'workdays'; size: number } {
  const { amount, unit } = parseLimit(limit)
  const [sort, times] = SORTS[unit]
  return { sort, size: amount * times }
}

function difference(a: Limit, b: Limit): number {
  const [x, y] = [sized(a), sized(b)]
  return x.sort === y.sort ? x.size - y.size : Number.NaN
}

const MINUTES_A_DAY = 1440

/** Whether `before` reaches back to the opening or beyond, as far as the units alone can tell; a calendar tells the rest. */
export function reachesBack(before: Limit, limit: Limit): boolean {
  const [back, whole] = [sized(before), sized(limit)]
  // `1wd` counts from the day after, so that a workday before is still after most openings.
  if (back.sort === whole.sort) return back.sort === 'workdays' ? back.size > whole.size : back.size >= whole.size
  // No unit passes faster than the clock on the wall.
  if (whole.sort === 'plain') return back.size * (back.sort === 'working' ? 1 : MINUTES_A_DAY) >= whole.size
  return false
}

const REMINDED_IN: readonly string[] = VERBS.remind.edges.flatMap(({ from }) => from)

/** Why a step can have no such reminder, whatever its limit. */
export function unsuited(step: Step, reminder: Reminder): Says | undefined {
  const { zh, onDue, late, in: states } = STEPS[step]
  if (late === 'system' || !states.some((state) => REMINDED_IN.includes(state))) return says(`环节“${zh}”没有可提醒的人`, `Nobody is waited for in ${step}`)
  if ('after' in reminder && onDue !== 'escalate') return says(`环节“${zh}”到期即了结，到期后没有提醒`, `${step} ends at its due time`)
  return undefined
}
