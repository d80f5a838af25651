import type { Calendar } from './calendar.ts'
import { open } from './deadlines.ts'
import { climb } from './ladder.ts'
import type { Limit } from './limit.ts'
import { STEPS, type OnDue, type Relation, type Step } from './machine.ts'
import { climbed, climbsAt, reminderTimes } from './marks.ts'
import { remindersOf, type Policy } from './policy.ts'
import type { Reminder, Tellable } from './reminders.ts'
import type { DeadlineRow, Rung } from './request.ts'

/** What one step of a policy means, if it opened at a given time and nobody did anything. */
export interface StepPreview {
  step: Step
  dueAt: Date
  provisional: boolean
  /** What happens at `dueAt`; with `escalate` the ladder is climbed. */
  onDue: OnDue
  /** `at` is null where a reminder would come before the opening, and is left out. */
  reminders: { when: Reminder; tell: (Tellable | Relation)[]; at: Date | null }[]
  /** From below; `at` is null for a rung that is passed over. */
  rungs: { rung: Rung; at: Date | null; skipped: 'vacant' | 'same-person' | null }[]
  /** Since when the top is reminded each workday; null when there is no ladder to climb. */
  topRemindedFrom: Date | null
}

const ALL = Object.keys(STEPS) as Step[]

/**
 * Every deadline, reminder and rung of a policy with its time.
 * @param ladder from the late party's node upwards
 */
export const preview = (policy: Policy, calendar: Calendar, from: Date, ladder: readonly Rung[]): StepPreview[] => ALL.map((step) => {
  const row = open({ policy, calendar, request: { id: '', policyId: '' } }, step, 1, from)
  const reminders = remindersOf(policy, step)
  const times = reminderTimes(row, reminders, policy, calendar)
  const { late, onDue } = STEPS[step]
  const { dueAt, provisional } = row
  return {
    step, dueAt, provisional, onDue,
    reminders: reminders.map(({ tell = [late], ...when }, index) => ({ when, tell, at: times[index] ?? null })),
    ...(onDue === 'escalate' ? ascent(row, policy, calendar, ladder) : { rungs: [], topRemindedFrom: null }),
  }
})

function ascent(opened: DeadlineRow, policy: Policy, calendar: Calendar, ladder: readonly Rung[]): Pick<StepPreview, 'rungs' | 'topRemindedFrom'> {
  const rungs = new Map<string, StepPreview['rungs'][number]>(ladder.map((rung) => [rung.nodeId, { rung, at: null, skipped: null }]))
  for (let row = opened; ;) {
    const { to, skipped, vacant } = climb(ladder, row.rungPath, [])
    for (const nodeId of skipped) rungs.get(nodeId)!.skipped = vacant.includes(nodeId) ? 'vacant' : 'same-person'
    if (!to) return { rungs: [...rungs.values()], topRemindedFrom: climbsAt(row) }
    rungs.get(to.nodeId)!.at = climbsAt(row)
    row = climbed(row, to, { policy, calendar })
  }
}

/** Openings that are tried: every two hours of eight days, so of every day of the week. */
const EVERY_MS = 2 * 3_600_000
const OPENINGS = 8 * 12

/**
 * Whether a reminder would come before its step opens, whenever it opens: what the units alone cannot tell, a calendar does.
 * @param from the first of the openings that are tried
 */
export const neverAfterOpening = (policy: Policy, calendar: Calendar, from: Date) => (step: Step, before: Limit): boolean => {
  for (let tried = 0; tried < OPENINGS; tried++) {
    const opened = open({ policy, calendar, request: { id: '', policyId: '' } }, step, 1, new Date(from.getTime() + tried * EVERY_MS))
    if (reminderTimes(opened, [{ before }], policy, calendar)[0] !== null) return false
  }
  return true
}
