import { z } from 'zod'
import { code } from './atoms.ts'
import { limitSchema, type Limit } from './limit.ts'
import { STEPS, type Step } from './machine.ts'
import { says } from './problems.ts'
import { reachesBack, remindersSchema, unsuited, type Reminder } from './reminders.ts'

const KINDS = ['party_member', 'volunteer', 'individual', 'enterprise', 'dual_unit'] as const

const STEP_NAMES = Object.keys(STEPS) as Step[]

const limit = (shipped: Limit, words: string) => limitSchema.default(shipped).describe(words)

/**
 * Time limits and rules of one kind of request at one place. Versions are immutable; what a body leaves out has the
 * shipped value, so that a body written before a field existed is still read.
 * Shipped numbers follow DB11 (12345 派单时限) and the sources' own: see domain.md 1.3.
 */
const policyBody = z.strictObject({
  limits: z.strictObject({
    accept: limit('480wm', '受理'),
    resubmit: limit('15d', '补正'),
    place: limit('2wd', '下单或派单'),
    claim: limit('7d', '上墙待认领'),
    sign: limit('480wm', '签收'),
    respond: limit('1wd', '首次响应'),
    /** From filing, never from sign-in: a clock that starts at sign-in is gamed by not signing. */
    complete: limit('10wd', '办结，从点单起算'),
    follow_up: limit('3wd', '回访'),
    close: limit('7d', '自动结案，即评价期'),
    /** From one wave of claimers to the next. */
    wave: limit('3wd', '扩大认领范围，从一批到下一批'),
    /** A claimer who does not respond so long loses the wish to others. */
    lease: limit('5wd', '认领保留，期内须首次响应'),
    co: limit('5wd', '协办'),
    report_in: limit('480wm', '吹哨后报到'),
    /** An ask unanswered so long climbs the ladder: it is never granted by silence. */
    answer: limit('1wd', '答复申请'),
    confirm: limit('1wd', '确认无法办理'),
    /** 挂账 is looked at again after so long at the latest. */
    review: limit('90d', '挂账复核，最长'),
    /** 重办: how long after completion or closing the filer may ask for it. */
    reopen: limit('15d', '办结或结案后可要求重办的期限'),
  }).prefault({}),
  reminders: remindersSchema.default([{ share: 0.75 }]).describe('各环节的提醒，按时间先后'),
  /** Instead of `reminders`, for one step; an empty list is silence. */
  stepReminders: z.strictObject(Object.fromEntries(STEP_NAMES.map((step) => [step, remindersSchema.optional()])) as Record<Step, z.ZodOptional<typeof remindersSchema>>)
    .prefault({}).describe('个别环节另行规定的提醒'),
  /** The first rung is at the due time; from one to the next, unless its level says otherwise. */
  rungEvery: limit('480wm', '督办在每一级停留多久再上移一级'),
  rungEveryAt: z.record(code, limitSchema).default({}).describe('个别层级另行规定的停留时间，键为租户的层级代码'),
  autoAccept: z.boolean().default(false).describe('点单即受理'),
  claims: z.strictObject({
    kinds: z.array(z.enum(KINDS)).min(1).default([...KINDS]),
    /** Wishes one claimer may hold at once. */
    perClaimer: z.int().min(1).max(1000).default(5),
    /** 时间到了仍无人认领就扩大一批 (S4: 党员先行、邻里互助、专业服务): who may claim at first, who then. Empty: all at once. */
    waves: z.array(z.array(z.enum(KINDS)).min(1)).max(5).default([]),
    /** Whose claim waits for the publisher's word: `strangers` are those of no branch that covers the place, `protected` is every wish of a target group. */
    approval: z.array(z.enum(['strangers', 'protected', 'all'])).max(3).default([]),
  }).prefault({}),
  /** 兜底: code of the organisation that gets what nobody has claimed; null: back to accepted, with a reminder. */
  backstop: code.nullable().default(null),
  /** 退单 asked and answered so often in a cycle goes to 终审. */
  returnsMax: z.int().min(1).max(10).default(2),
  /** 延期 and 挂账 granted so often in a cycle, no more. */
  extensionsMax: z.int().min(0).max(10).default(2),
  parksMax: z.int().min(0).max(10).default(2),
  urgesPerDay: z.int().min(1).max(20).default(2),
  /** 未联系上 so many times closes as 未评价. */
  unreachedMax: z.int().min(1).max(10).default(3),
  /** 不满意重办, how often. */
  redoMax: z.int().min(0).max(3).default(1),
})

export type Policy = z.output<typeof policyBody>

/** A body as it is sent: what cannot be is refused where it is written. */
export const policySchema = policyBody.superRefine(({ limits, reminders, stepReminders, claims }, { addIssue }) => {
  const refuse = (path: (string | number)[], params: object) => addIssue({ code: 'custom', path, params })
  const asked = new Set<string>()
  for (const [wave, kinds] of claims.waves.entries()) {
    for (const [index, kind] of kinds.entries()) {
      const path = ['claims', 'waves', wave, index]
      if (!claims.kinds.includes(kind)) refuse(path, says('kinds 中没有这一类认领人', 'Not among the kinds that may claim'))
      else if (asked.has(kind)) refuse(path, says('前面已有这一类认领人', 'This kind may claim already'))
      asked.add(kind)
    }
  }
  for (const step of STEP_NAMES) {
    // What is said for all steps does not reach those it cannot suit; what is said for one must suit it.
    for (const [index, reminder] of (stepReminders[step] ?? []).entries()) {
      const why = unsuited(step, reminder)
      if (why) refuse(['stepReminders', step, index], why)
    }
  }
  for (const { path, step } of unsayable({ limits, reminders, stepReminders }, (each, before) => reachesBack(before, limits[each]))) refuse(path, tooEarly(step, limits[step]))
})

type Reminding = Pick<Policy, 'limits' | 'reminders' | 'stepReminders'>

/**
 * Reminders `before` the due time that would come before the step opens. One of a step itself must be possible there. One
 * for all steps must be possible in each whose limit this policy sets, and in any at all; where the shipped limit is too
 * short for it, it is left out.
 * @param cannot whether a step leaves no room for it
 * @returns where it is written, and a step it is too early for
 */
export function unsayable({ limits, reminders, stepReminders }: Reminding, cannot: (step: Step, before: Limit) => boolean): { path: (string | number)[]; step: Step }[] {
  const own = STEP_NAMES.flatMap((step) => (stepReminders[step] ?? []).flatMap((reminder, index) =>
    'before' in reminder && cannot(step, reminder.before) ? [{ path: ['stepReminders', step, index, 'before'], step }] : []))
  const shared = reminders.flatMap((reminder, index) => {
    if (!('before' in reminder)) return []
    const heard = STEP_NAMES.filter((step) => stepReminders[step] === undefined && unsuited(step, reminder) === undefined)
    const never = heard.filter((step) => cannot(step, reminder.before))
    const [step] = never.length === heard.length ? never : never.filter((each) => limits[each] !== DEFAULT_POLICY.limits[each])
    return step === undefined ? [] : [{ path: ['reminders', index, 'before'], step }]
  })
  return [...own, ...shared]
}

export const tooEarly = (step: Step, limit: Limit) =>
  says(`环节“${STEPS[step].zh}”（${step}）的时限是 ${limit}，提醒会早于它的开始`, `The limit of ${step} is ${limit}: the reminder would come before it opens`)

/** The reminders of a step: its own, or those of all as far as they suit it. */
export const remindersOf = ({ reminders, stepReminders }: Pick<Policy, 'reminders' | 'stepReminders'>, step: Step): readonly Reminder[] =>
  stepReminders[step] ?? reminders.filter((reminder) => unsuited(step, reminder) === undefined)

/** How long supervision stays on a rung of this level. */
export const rungLimit = ({ rungEvery, rungEveryAt }: Pick<Policy, 'rungEvery' | 'rungEveryAt'>, level: string): Limit => rungEveryAt[level] ?? rungEvery

/**
 * A stored body of whatever age. Until 2026-11-22 reminders were `remindAt`, shares of the time: those written then are
 * immutable and stay. Not refined: what was possible when it was written is not refused when it is read.
 */
export function readPolicy(stored: unknown): Policy {
  const { remindAt, ...body } = stored as { remindAt?: number[] }
  return policyBody.parse(remindAt === undefined ? body : { ...body, reminders: remindAt.map((share) => ({ share })) })
}

export const DEFAULT_POLICY: Policy = policyBody.parse({})
