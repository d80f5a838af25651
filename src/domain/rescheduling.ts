import { due, endOfNextWorkday, isSettled, type Calendar, type Due } from './calendar.ts'
import { later } from './deadlines.ts'
import { parseLimit } from './limit.ts'
import { clockStands } from './machine.ts'
import { retimed } from './marks.ts'
import type { Policy } from './policy.ts'
import type { DeadlineRow, EventRow, Facts } from './request.ts'

/** What happened to a request, as far as its deadlines were made of it. */
export type Happened = Pick<EventRow, 'seq' | 'verb' | 'fromState' | 'toState' | 'at' | 'data'>

export interface Rescheduling {
  /** All of the request's, by seq. */
  history: readonly Happened[]
  /** Which rows are looked at: those that rest on unpublished days, those that touch a changed one, or all. */
  concerns: (row: DeadlineRow) => boolean
  /** The rules a row goes by from now on: its own version, or the one in force. */
  policyOf: (row: DeadlineRow) => { id: string; policy: Policy }
}

/**
 * The open deadlines as if the calendar and the rules had always been those of now: from `openedAt` and the limit, with
 * the time the clock stood and the extensions granted since. What moves ends no earlier than the next workday does, so
 * that nobody is late by a publication, and nothing that is due before that is drawn nearer. `originalDueAt` is kept.
 * The same rows again give nothing: it may be run twice.
 * @param facts with the calendar in force now
 * @returns only rows that change
 */
export function rescheduled(facts: Pick<Facts, 'now' | 'calendar' | 'deadlines'>, { history, concerns, policyOf }: Rescheduling): DeadlineRow[] {
  return facts.deadlines.filter((row) => row.closedAt === null && concerns(row)).flatMap((row) => {
    const { id, policy } = policyOf(row)
    const reached = recounted(row, policy, history, facts.calendar)
    if (!reached) return []
    const dueAt = fairly(row.dueAt, reached.dueAt, facts)
    const otherRules = id !== row.policyId
    const { provisional } = reached
    if (dueAt.getTime() === row.dueAt.getTime() && !otherRules) return provisional === row.provisional ? [] : [{ ...row, provisional }]
    // Reminders of another list than before cannot be counted on: those whose time is past count as said.
    return [retimed({ ...row, policyId: id }, { dueAt, provisional }, { ...facts, policy }, otherRules ? Infinity : row.mark)]
  })
}

/** Later at once, but not sooner than the end of the next workday; earlier no further than that. */
function fairly(from: Date, to: Date, { calendar, now }: Pick<Facts, 'calendar' | 'now'>): Date {
  if (to.getTime() === from.getTime()) return from
  const earliest = endOfNextWorkday(calendar, now)
  const fair = to < earliest ? earliest : to
  return to < from && from < fair ? from : fair
}

/** When the row is due by its limit and by what has happened since; undefined when someone has set the day. */
function recounted(row: DeadlineRow, policy: Policy, history: readonly Happened[], calendar: Calendar): Due | undefined {
  const limit = limitOf(row, policy, history)
  if (limit === undefined) return undefined
  let reached: Due | undefined = due(calendar, row.openedAt, limit)
  if (row.step !== 'complete') return reached // the others end where the clock stands
  const { unit } = parseLimit(limit)
  let stoodAt: Date | undefined
  for (const { verb, fromState, toState, at, data } of history.filter(({ seq }) => seq > row.seq)) {
    if (verb === 'grant-extension') reached = granted(row, reached, data, history, calendar)
    const [stood, stands] = [fromState !== 'none' && clockStands(fromState), clockStands(toState)]
    if (stands && !stood) stoodAt = at
    if (stood && !stands && stoodAt) {
      const moved: Due = later(reached.dueAt, stoodAt, at, unit, calendar)
      reached = { dueAt: moved.dueAt, provisional: reached.provisional || moved.provisional }
      stoodAt = undefined
    }
  }
  return reached
}

/** 延期: the day that was granted stays. What was granted as it was asked for, so long from the due time, and rests on days that were not settled, is counted again. */
function granted({ provisional }: DeadlineRow, { dueAt: present }: Due, { asked, until }: Happened['data'], history: readonly Happened[], calendar: Calendar): Due {
  const ask = history.find(({ seq }) => seq === asked)?.data
  if (provisional && typeof ask?.limit === 'string' && ask.until === until) return due(calendar, present, ask.limit)
  const dueAt = new Date(String(until))
  return { dueAt, provisional: !isSettled(calendar, dueAt) }
}

/**
 * What the row was opened with. A review is on the day it was put off to; a co-handler may have been given a limit of
 * his own, which then stands in the event, and a row of his that is settled without one is left as it is.
 */
function limitOf(row: DeadlineRow, policy: Policy, history: readonly Happened[]): string | undefined {
  if (row.step === 'review') return undefined
  if (row.step !== 'co') return policy.limits[row.step]
  const own = history.find(({ seq }) => seq === row.seq)?.data.limit
  if (typeof own === 'string') return own
  return row.provisional ? policy.limits.co : undefined
}
