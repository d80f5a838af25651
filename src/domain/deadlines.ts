import { addWorkingMinutes, dayOf, due, endOfNextWorkday, workingMinutesBetween, type Calendar, type Due } from './calendar.ts'
import { parseLimit, type LimitUnit } from './limit.ts'
import { STATES, STEPS, clockStands, isFinal, type State, type Step } from './machine.ts'
import type { Policy } from './policy.ts'
import type { DeadlineRow, Facts } from './request.ts'

/** What a mark asks the sweep to do: remind before due, then act at due and climb a rung each time after. */
export type Mark = { kind: 'remind'; at: Date } | { kind: 'due'; at: Date; rung: number }

/** The mark with this index. Reminders come first, then due (rung 0), then rung after rung without end. */
export function markAt(deadline: Pick<DeadlineRow, 'step' | 'openedAt' | 'dueAt'>, index: number, policy: Policy, calendar: Calendar): Mark {
  const reminders = STEPS[deadline.step].onDue === 'escalate' ? policy.remindAt : []
  const share = reminders[index]
  if (share !== undefined) return { kind: 'remind', at: between(deadline, share, policy, calendar) }
  const rung = index - reminders.length
  let at = deadline.dueAt
  for (let i = 0; i < rung; i++) at = due(calendar, at, policy.rungEvery).dueAt
  return { kind: 'due', at, rung }
}

/** A share of the time between opening and due: of working time where the limit counts working time. */
function between({ step, openedAt, dueAt }: Pick<DeadlineRow, 'step' | 'openedAt' | 'dueAt'>, share: number, policy: Policy, calendar: Calendar): Date {
  if (isPlain(policy.limits[step])) return new Date(openedAt.getTime() + Math.floor((dueAt.getTime() - openedAt.getTime()) * share))
  return addWorkingMinutes(calendar, openedAt, Math.floor(workingMinutesBetween(calendar, openedAt, dueAt) * share))
}

const isPlain = (limit: Policy['limits'][Step]) => ['h', 'm', 'd'].includes(parseLimit(limit).unit)

/** `row` moved on to its next mark. */
export function advance(row: DeadlineRow, policy: Policy, calendar: Calendar): DeadlineRow {
  const mark = row.mark + 1
  return { ...row, mark, nextAt: markAt(row, mark, policy, calendar).at }
}

/** The top of the ladder is reached: remind there once each workday. */
export const daily = (row: DeadlineRow, from: Date, calendar: Calendar): DeadlineRow =>
  ({ ...row, mark: row.mark + 1, nextAt: endOfNextWorkday(calendar, from) })

export function open(facts: Pick<Facts, 'policy' | 'calendar'> & { request: { id: string; policyId: string } }, step: Step, seq: number, from: Date): DeadlineRow {
  const { dueAt, provisional } = due(facts.calendar, from, facts.policy.limits[step])
  const row = {
    requestId: facts.request.id, step, seq, policyId: facts.request.policyId,
    openedAt: from, dueAt, originalDueAt: dueAt, provisional, mark: 0, rungPath: null, stoodAt: null, closedAt: null,
  }
  return { ...row, nextAt: markAt(row, 0, facts.policy, facts.calendar).at }
}

const close = (row: DeadlineRow, now: Date): DeadlineRow => ({ ...row, nextAt: null, closedAt: now })
const stand = (row: DeadlineRow, now: Date): DeadlineRow => ({ ...row, nextAt: null, stoodAt: now })

/**
 * The clock goes on: the time it stood is added in the unit of the limit, so that workdays still end at closing time
 * and calendar days still roll on to a workday. `originalDueAt` is kept for ever.
 */
function resume(row: DeadlineRow, now: Date, policy: Policy, calendar: Calendar): DeadlineRow {
  const { dueAt, provisional } = later(row, row.stoodAt ?? now, now, parseLimit(policy.limits[row.step]).unit, calendar)
  const moved = { ...row, dueAt, provisional: row.provisional || provisional, stoodAt: null }
  return { ...moved, nextAt: markAt(moved, row.mark, policy, calendar).at }
}

const DAY_MS = 86_400_000

function later({ dueAt }: DeadlineRow, stoodAt: Date, now: Date, unit: LimitUnit, calendar: Calendar): Due {
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
    case 'wm': return { dueAt: addWorkingMinutes(calendar, dueAt, workingMinutesBetween(calendar, stoodAt, now)), provisional: false }
  }
}

/** Workdays from the day after `from` up to the day of `to`. */
function workdaysAfter(from: Date, to: Date, calendar: Calendar): number {
  const today = dayOf(calendar, to)
  let days = 0
  while (dayOf(calendar, due(calendar, from, `${days + 1}wd`).dueAt) <= today) days++
  return days
}

/**
 * The deadlines after a change of state: those of the old state's steps close, those of the new one open.
 * `complete` opens at filing (and on a redo), stands with the clock, and closes with the work.
 * @param anew `redo`: the work begins again under a new clock; `step`: the state is entered once more (改派), its steps
 * begin again while the resident's clock runs on
 * @returns only rows that are new or changed
 */
export function moved(facts: Facts, from: State | 'none', to: State, seq: number, anew?: 'redo' | 'step'): DeadlineRow[] {
  const { now, deadlines, policy, calendar } = facts
  const changed: DeadlineRow[] = []
  const enters = from !== to || anew !== undefined
  const leaving: readonly Step[] = from === 'none' || !enters ? [] : STATES[from].steps
  for (const row of deadlines) {
    if (row.step === 'complete') {
      if (to === 'completed' || isFinal(to)) changed.push(close(row, now))
      else if (clockStands(to)) changed.push(stand(row, now))
      else if (row.stoodAt !== null) changed.push(resume(row, now, policy, calendar))
    } else if (leaving.includes(row.step) || isFinal(to)) changed.push(close(row, now))
  }
  if (enters) for (const step of STATES[to].steps) changed.push(open(facts, step, seq, now))
  if (from === 'none' || anew === 'redo') changed.push(open(facts, 'complete', seq, now))
  return changed
}

/** Closes one step in a state that stays, such as `respond` in in_progress. */
export const met = (facts: Facts, step: Step): DeadlineRow[] =>
  facts.deadlines.filter((row) => row.step === step).map((row) => close(row, facts.now))

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
