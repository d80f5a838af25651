import { dayOf, due, dueAfterWorkingMinutes, workingMinutesBetween, type Calendar, type Due } from './calendar.ts'
import { parseLimit, type LimitUnit } from './limit.ts'
import { STATES, STEPS, clockStands, type State, type Step } from './machine.ts'
import { armed, climbsAt, retimed } from './marks.ts'
import type { Policy } from './policy.ts'
import type { DeadlineRow, Facts } from './request.ts'
import { isSecret } from './secret.ts'

export function open(facts: Pick<Facts, 'policy' | 'calendar'> & { request: { id: string; policyId: string } }, step: Step, seq: number, from: Date): DeadlineRow {
  const { dueAt, provisional } = due(facts.calendar, from, facts.policy.limits[step])
  const row: DeadlineRow = {
    requestId: facts.request.id, step, seq, policyId: facts.request.policyId,
    openedAt: from, dueAt, originalDueAt: dueAt, provisional, nextAt: null, mark: 0, rungPath: null, rungAt: null, stoodAt: null, closedAt: null,
  }
  return armed(row, facts.policy, facts.calendar)
}

export const close = (row: DeadlineRow, now: Date): DeadlineRow => ({ ...row, nextAt: null, closedAt: now })
const stand = (row: DeadlineRow, now: Date): DeadlineRow => ({ ...row, rungAt: climbsAt(row) > row.dueAt ? climbsAt(row) : null, nextAt: null, stoodAt: now })

/**
 * The clock goes on: the time it stood is added in the unit of the limit, so that workdays still end at closing time
 * and calendar days still roll on to a workday. `originalDueAt` is kept for ever.
 */
function resume(row: DeadlineRow, now: Date, policy: Policy, calendar: Calendar): DeadlineRow {
  const after = (at: Date) => later(at, row.stoodAt ?? now, now, parseLimit(policy.limits[row.step]).unit, calendar)
  const { dueAt, provisional } = after(row.dueAt)
  // What has climbed stays where it is, and has as long there as was left.
  const rungAt = row.rungAt && after(row.rungAt).dueAt
  return armed({ ...row, dueAt, provisional: row.provisional || provisional, rungAt, stoodAt: null }, policy, calendar)
}

const DAY_MS = 86_400_000

/** A due time moved on by the time the clock stood, in the unit of its limit. */
export function later(dueAt: Date, stoodAt: Date, now: Date, unit: LimitUnit, calendar: Calendar): Due {
  const stood = now.getTime() - stoodAt.getTime()
  switch (unit) {
    case 'h':
    case 'm': return { dueAt: new Date(dueAt.getTime() + stood), provisional: false }
    case 'd': return due(calendar, new Date(dueAt.getTime() + stood - DAY_MS), '1d')
    case 'wd': {
      const days = workdaysAfter(stoodAt, now, calendar)
      return days === 0 ? { dueAt, provisional: false } : due(calendar, dueAt, `${days}wd`)
    }
    case 'wh':
    case 'wm': return dueAfterWorkingMinutes(calendar, dueAt, workingMinutesBetween(calendar, stoodAt, now))
  }
}

/** Workdays from the day after `from` up to the day of `to`. */
function workdaysAfter(from: Date, to: Date, calendar: Calendar): number {
  const today = dayOf(calendar, to)
  let days = 0
  while (dayOf(calendar, due(calendar, from, `${days + 1}wd`).dueAt) <= today) days++
  return days
}

interface Entering {
  /** `redo`: the work begins again under a new clock; `step`: the state is entered once more (改派), its steps begin again while the resident's clock runs on. */
  anew?: 'redo' | 'step' | undefined
  /** Instead of the state's own steps. */
  opens?: readonly Step[] | undefined
}

/**
 * The deadlines after a change of state: those that do not run in the new state close, its own open.
 * `complete` opens at filing (and on a redo), stands with the clock, and closes with the work.
 * @returns only rows that are new or changed
 */
export function moved(facts: Facts, from: State | 'none', to: State, seq: number, { anew, opens }: Entering = {}): DeadlineRow[] {
  const { now, deadlines, policy, calendar } = facts
  const changed: DeadlineRow[] = []
  const enters = from !== to || anew !== undefined || opens !== undefined
  const again: readonly Step[] = enters ? STATES[to].steps : []
  for (const row of deadlines) {
    const runsIn: readonly State[] = STEPS[row.step].in
    if (!runsIn.includes(to) || again.includes(row.step)) changed.push(close(row, now))
    else if (clockStands(to) && row.stoodAt === null && !clocked(row.step, to)) changed.push(stand(row, now))
    else if (!clockStands(to) && row.stoodAt !== null) changed.push(resume(row, now, policy, calendar))
  }
  if (enters) for (const step of opens ?? again.filter((step) => (step !== 'wave' || hasMoreWaves(facts)) && (step !== 'follow_up' || !isSecret(facts.request)))) changed.push(open(facts, step, seq, now))
  if (from === 'none' || anew === 'redo') changed.push(open(facts, 'complete', seq, now))
  return changed
}

/** Others than those who may claim now are still to be asked. */
export const hasMoreWaves = ({ policy, request }: Pick<Facts, 'policy' | 'request'>): boolean => request.wave + 1 < policy.claims.waves.length

/** The clock stands for the work, not for what ends the standing. */
const clocked = (step: Step, state: State): boolean => (STATES[state].steps as readonly Step[]).includes(step) || step === 'review'

/** Closes one step in a state that stays, such as `respond` in in_progress. */
export const met = (facts: Facts, step: Step): DeadlineRow[] =>
  facts.deadlines.filter((row) => row.step === step).map((row) => close(row, facts.now))

/**
 * Another policy rules from now on: what is still to come is due as if it had always been so. Time that the clock stood and
 * extensions count under it too, and `originalDueAt` is kept for ever.
 * @param facts with the new policy
 * @param before the policy until now
 */
export function redrawn(facts: Facts, policyId: string, before: Policy, steps?: readonly Step[]): DeadlineRow[] {
  return facts.deadlines.filter(({ step }) => steps?.includes(step) ?? true).map((row) =>
    // Reminders of another list than before: those whose time is past count as said.
    retimed({ ...row, policyId }, underOtherRules(row, before, facts), facts, Infinity))
}

function underOtherRules({ step, openedAt, dueAt }: DeadlineRow, before: Policy, { policy, calendar }: Facts): Due {
  const [first, fresh] = [due(calendar, openedAt, before.limits[step]), due(calendar, openedAt, policy.limits[step])]
  if (dueAt <= first.dueAt) return fresh
  const moved = later(fresh.dueAt, first.dueAt, dueAt, parseLimit(policy.limits[step]).unit, calendar)
  return { dueAt: moved.dueAt, provisional: fresh.provisional || moved.provisional }
}

/** A step that ends on a given day instead of after a limit. */
export const openUntil = (facts: Parameters<typeof open>[0], step: Step, seq: number, from: Date, dueAt: Date): DeadlineRow => {
  const row = { ...open(facts, step, seq, from), dueAt, originalDueAt: dueAt, provisional: false, nextAt: null }
  return armed(row, facts.policy, facts.calendar)
}

/** 延期: due later, what has climbed comes down, and the reminders before the new time are said again. */
export const extended = (row: DeadlineRow, dueAt: Date, provisional: boolean, facts: Pick<Facts, 'now' | 'policy' | 'calendar'>): DeadlineRow =>
  retimed(row, { dueAt, provisional }, facts)

/** 退回重做: the clock that stopped on completion goes on as if it had never stopped. */
export const reopened = (row: DeadlineRow, { policy, calendar }: Pick<Facts, 'policy' | 'calendar'>): DeadlineRow => armed({ ...row, closedAt: null }, policy, calendar)

/** The highest rung that the open deadlines have climbed to: lifts by itself as they close. */
export function supervisor(open: DeadlineRow[]): string | null {
  const rungs = open.flatMap(({ rungPath }) => (rungPath === null ? [] : [rungPath]))
  return rungs.sort((a, b) => a.length - b.length)[0] ?? null
}

/** Open deadlines after `changed` was written over them. */
export function overwrite(open: DeadlineRow[], changed: DeadlineRow[]): DeadlineRow[] {
  const key = (row: DeadlineRow) => `${row.step}:${row.seq}`
  const rows = new Map(open.map((row) => [key(row), row]))
  for (const row of changed) rows.set(key(row), row)
  return [...rows.values()].filter((row) => row.closedAt === null)
}
