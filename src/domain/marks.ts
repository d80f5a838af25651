import { addWorkingMinutes, due, endOfNextWorkday, workingMinutesBetween, type Calendar, type Due } from './calendar.ts'
import { before } from './calendar-before.ts'
import { parseLimit } from './limit.ts'
import type { Step } from './machine.ts'
import { remindersOf, rungLimit, type Policy } from './policy.ts'
import type { Reminder } from './reminders.ts'
import type { DeadlineRow, Facts, Rung } from './request.ts'

/**
 * What a deadline's next time asks the sweep to do. `index` is the reminder's place in its step's list; `due` is the due
 * time itself, then rung after rung, then a reminder to the top each workday.
 */
export type Mark = { kind: 'remind'; at: Date; index: number; reminder: Reminder } | { kind: 'due'; at: Date }

type Timed = Pick<DeadlineRow, 'step' | 'openedAt' | 'dueAt' | 'mark' | 'nextAt' | 'rungAt'>

/**
 * The mark that comes next: `row.mark` reminders are past, and supervision moves at `rungAt`. Of two at the same time
 * the reminder comes first.
 */
export function nextMark(row: Timed, policy: Policy, calendar: Calendar): Mark {
  const reminders = remindersOf(policy, row.step)
  const at = climbsAt(row)
  const times = reminderTimes(row, reminders, policy, calendar)
  for (let index = row.mark; index < reminders.length; index++) {
    const time = times[index]
    if (time) return time <= at ? { kind: 'remind', at: time, index, reminder: reminders[index]! } : { kind: 'due', at }
  }
  return { kind: 'due', at }
}

/**
 * The mark that has come when the sweep finds the row. A calendar may have changed since `nextAt` was written: what is
 * not due yet is never taken for due, so the reminder whose time that was is said now.
 */
export function markThatCame(row: Timed, { policy, calendar, now }: Pick<Facts, 'policy' | 'calendar' | 'now'>): Mark {
  const mark = nextMark(row, policy, calendar)
  const reminder = remindersOf(policy, row.step)[row.mark]
  return mark.kind === 'due' && mark.at > now && reminder ? { kind: 'remind', at: row.nextAt ?? now, index: row.mark, reminder } : mark
}

/**
 * When supervision moves next: the due time, then what `rungAt` says. A row that was already past due when that column
 * came has it in `nextAt`, which is never later than `dueAt` before anything has climbed.
 */
export const climbsAt = ({ rungAt, nextAt, dueAt }: Pick<Timed, 'rungAt' | 'nextAt' | 'dueAt'>): Date =>
  rungAt ?? (nextAt !== null && nextAt > dueAt ? nextAt : dueAt)

/** One time per reminder, none earlier than the one before it; null for one that would come before the opening. */
export function reminderTimes(row: Pick<Timed, 'step' | 'openedAt' | 'dueAt'>, reminders: readonly Reminder[], policy: Pick<Policy, 'limits'>, calendar: Calendar): (Date | null)[] {
  let latest = row.openedAt
  return reminders.map((reminder) => {
    const at = timeOf(reminder, row, policy, calendar)
    if (at <= row.openedAt) return null
    return (latest = at > latest ? at : latest)
  })
}

function timeOf(reminder: Reminder, row: Pick<Timed, 'step' | 'openedAt' | 'dueAt'>, policy: Pick<Policy, 'limits'>, calendar: Calendar): Date {
  if ('before' in reminder) return before(calendar, row.dueAt, reminder.before)
  if ('after' in reminder) return due(calendar, row.dueAt, reminder.after).dueAt
  return 'share' in reminder ? between(row, reminder.share, policy, calendar) : row.dueAt
}

/** A share of the time between opening and due: of working time where the limit counts working time. */
function between({ step, openedAt, dueAt }: Pick<Timed, 'step' | 'openedAt' | 'dueAt'>, share: number, { limits }: Pick<Policy, 'limits'>, calendar: Calendar): Date {
  if (isPlain(limits, step)) return new Date(openedAt.getTime() + Math.floor((dueAt.getTime() - openedAt.getTime()) * share))
  return addWorkingMinutes(calendar, openedAt, Math.floor(workingMinutesBetween(calendar, openedAt, dueAt) * share))
}

const isPlain = (limits: Policy['limits'], step: Step): boolean => ['h', 'm', 'd'].includes(parseLimit(limits[step]).unit)

/** The row with the time of its next mark, which the sweep looks for; none while it stands or when it is closed. */
export const armed = (row: DeadlineRow, policy: Policy, calendar: Calendar): DeadlineRow =>
  ({ ...row, nextAt: row.stoodAt === null && row.closedAt === null ? nextMark(row, policy, calendar).at : null })

/** The reminder with this index has been said. */
export const reminded = (row: DeadlineRow, index: number, { policy, calendar }: Pick<Facts, 'policy' | 'calendar'>): DeadlineRow =>
  armed({ ...row, mark: index + 1 }, policy, calendar)

/** Supervision has moved to a rung; how long it stays there is counted from when it should have, not from when it did. */
export const climbed = (row: DeadlineRow, { path, level }: Rung, { policy, calendar }: Pick<Facts, 'policy' | 'calendar'>): DeadlineRow =>
  armed({ ...row, rungPath: path, rungAt: due(calendar, climbsAt(row), rungLimit(policy, level)).dueAt }, policy, calendar)

/** The top of the ladder has been reached: it is reminded once each workday. */
export const daily = (row: DeadlineRow, { policy, calendar }: Pick<Facts, 'policy' | 'calendar'>): DeadlineRow =>
  armed({ ...row, rungAt: endOfNextWorkday(calendar, climbsAt(row)) }, policy, calendar)

/**
 * Due at another time (延期, a new policy, a published calendar). Reminders that are ahead now are said, also again.
 * What lies ahead has climbed nowhere: supervision comes down. `originalDueAt` is kept for ever.
 * @param said how many reminders have been said; of another list than now, all whose time is past count as said
 */
export function retimed(row: DeadlineRow, { dueAt, provisional }: Due, { now, policy, calendar }: Pick<Facts, 'now' | 'policy' | 'calendar'>, said = row.mark): DeadlineRow {
  const climbing = dueAt > now || climbsAt(row).getTime() === row.dueAt.getTime() ? { rungPath: null, rungAt: null } : { rungAt: climbsAt(row) }
  const moved = { ...row, ...climbing, dueAt, provisional, nextAt: null }
  const times = reminderTimes(moved, remindersOf(policy, row.step), policy, calendar)
  const ahead = times.findIndex((time, index) => time !== null && (time > now || index >= said))
  return armed({ ...moved, mark: ahead < 0 ? times.length : ahead }, policy, calendar)
}
