import { standsOn } from './asks.ts'
import type { Calendar } from './calendar.ts'
import { workingMinutesBetween } from './calendar.ts'
import { isFinal, type Relation, type State } from './machine.ts'
import type { AskKind, EventRow } from './request.ts'

/**
 * 时间归属: whose time it was. The resident's clock runs from filing to completion whoever has the work; here it is cut
 * into pieces, each put down to whom the request waited for, so that the pieces add up to the whole (domain.md 3.1, 4).
 */

export type Happened = Pick<EventRow, 'seq' | 'verb' | 'toState' | 'at' | 'cycle' | 'path' | 'data'>

export interface Span {
  from: Date
  to: Date
  /** `parked` rests, `merged` follows its lead: nobody's time. */
  waitsFor: Relation | 'parked' | 'merged'
  /** Persons or organisations who have the work; none where a duty at `path` is waited for. */
  parties: string[]
  path: string
}

const WAITS_FOR: Readonly<Partial<Record<State, Span['waitsFor']>>> = {
  filed: 'dispatch', returned: 'filer', accepted: 'dispatch', open: 'claimer', dispatched: 'assignee', in_progress: 'assignee', parked: 'parked', merged: 'merged',
  completed: 'follow_up',
}

/** Who answers: that waiting is theirs and not the asker's. A 退单 at last waits for 终审. An ask for exclusion holds nobody up. */
const ANSWERS: Readonly<Partial<Record<string, { kind: AskKind; by: Relation }>>> = {
  'ask-return': { kind: 'return', by: 'dispatch' },
  'ask-extension': { kind: 'extension', by: 'approve' },
  'ask-park': { kind: 'park', by: 'approve' },
}
const ANSWERED = /^(?:grant|deny)-(return|extension|park)$/

/**
 * @param events of one request, by seq, from its filing on
 * @param until now; time after the request has ended is nobody's
 * @returns spans without gap or overlap, from filing to `until` or to the end; a time after closing and before a 重办 is left out
 */
export function spans(events: readonly Happened[], until: Date): Span[] {
  const cut: Span[] = []
  let parties: string[] = []
  let open: { kind: AskKind; by: Relation }[] = []
  let unconfirmed = false
  for (const [index, event] of events.entries()) {
    const { verb, toState, data, cycle } = event
    parties = partiesAfter(parties, event)
    const asks = ANSWERS[verb]
    const answered = verb === 'adjudicate' ? 'return' : ANSWERED.exec(verb)?.[1]
    if (asks) open = [...open, data.final === true ? { ...asks, by: 'approve' } : asks]
    else if (answered) open = open.filter(({ kind }) => kind !== answered)
    const begunAnew = verb === 'redispatch' || data.decision === 'reassign' || cycle !== (events[index - 1]?.cycle ?? cycle)
    open = open.filter(({ kind }) => standsOn(kind, toState, begunAnew))
    if (verb === 'complete' || verb === 'follow-lead') unconfirmed = data.result === 'impossible'
    if (verb === 'confirm') unconfirmed = false
    const to = events[index + 1]?.at ?? until
    if (isFinal(toState) || to <= event.at) continue
    const waitsFor = open.at(-1)?.by ?? (toState === 'completed' && unconfirmed ? 'dispatch' : WAITS_FOR[toState]!)
    const span = { from: event.at, to, waitsFor, parties: waitsFor === 'assignee' ? parties : [], path: event.path }
    const before = cut.at(-1)
    if (before && before.to.getTime() === span.from.getTime() && same(before, span)) before.to = to
    else cut.push(span)
  }
  return cut
}

const same = (a: Span, b: Span): boolean => a.waitsFor === b.waitsFor && a.path === b.path && a.parties.join() === b.parties.join()

/** Who has the work after an event, by whom it names: persons, or organisations. */
export function partiesAfter(parties: string[], { verb, toState, data }: Happened): string[] {
  const named = (value: unknown): string[] => (typeof value === 'string' ? [value] : [])
  switch (verb) {
    case 'dispatch':
    case 'redispatch': return named(data.to)
    case 'adjudicate': return data.decision === 'reassign' ? named(data.to) : parties
    case 'claim': return data.pending ? parties : [...parties, ...named(data.by)]
    case 'confirm-claim': return [...parties, ...named(data.by)]
    case 'release': return parties.filter((party) => party !== data.by)
    default: return toState === 'accepted' || toState === 'parked' || isFinal(toState) ? [] : parties
  }
}

export interface Share {
  waitsFor: Span['waitsFor']
  parties: string[]
  path: string
  /** Plain time, in milliseconds: these add up to the whole. */
  ms: number
  /** Of it within working hours, in minutes. */
  workingMinutes: number
}

/** The spans of each party put together, the longest first. */
export function shares(cut: readonly Span[], calendar: Calendar): Share[] {
  const sums = new Map<string, Share>()
  for (const { waitsFor, parties, path, from, to } of cut) {
    const key = [waitsFor, path, ...parties].join()
    const sum = sums.get(key) ?? { waitsFor, parties, path, ms: 0, workingMinutes: 0 }
    sum.ms += to.getTime() - from.getTime()
    sum.workingMinutes += workingMinutesBetween(calendar, from, to)
    sums.set(key, sum)
  }
  return [...sums.values()].sort((a, b) => b.ms - a.ms)
}
