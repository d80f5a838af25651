import { partiesAfter } from './attribution.ts'
import type { AssignmentRow, DeadlineRow, EventRow } from './request.ts'

/**
 * What a request counts as, as a pure function of its history: events, the deadlines of response and completion, and who
 * completed it. The definitions in rates.ts are read off these facts. The thing counted is a cycle: a 重办 begins another,
 * with its own clock. Everything is put down to the place that was responsible at that time.
 */

/** What is counted; which instant puts it into a period is said for each. */
export const BASES = {
  filed: '点单（点单时）',
  response: '首次响应：按时响应的计响应时，未按时的计响应时限到期时',
  due: '办结时限：按期办结的计办结时，未按期的计时限到期时（含仍未办结的）',
  due_original: '原办结时限，不计延期和挂账：同上',
  completed: '办结（办结时）',
  answered: '回访或评价有回答的（回答时）',
  placed: '上墙（本轮首次上墙时）',
  dispatched: '派单、改派、终审另派，每次计一件（派出时）',
} as const

export type Base = keyof typeof BASES
export const BASE_NAMES = Object.keys(BASES) as [Base, ...Base[]]

/** Bits of `met`: how it turned out. `response`, `due` and `due_original` have one of the first four. */
export const MET = {
  inTime: 1, late: 2, pending: 4, ended: 8,
  low: 1, redone: 2,
  solved: 1, partly: 2, satisfied: 4, fairly: 8,
  claimed: 1, realised: 2,
  returned: 1,
} as const

export interface Fact {
  cycle: number
  base: Base
  /** seq of the event it is about where a cycle has several, else 0. */
  unit: number
  /** What puts it into a period. In the future while it is not decided yet: it counts from then on. */
  at: Date
  path: string
  met: number
  /** 剔除 was granted. */
  excluded: boolean
  /** Persons or organisations who had the work. */
  parties: string[]
}

export type Told = Pick<EventRow, 'seq' | 'verb' | 'fromState' | 'toState' | 'at' | 'cycle' | 'path' | 'data'>
export type Clock = Pick<DeadlineRow, 'step' | 'seq' | 'openedAt' | 'dueAt' | 'originalDueAt' | 'stoodAt' | 'closedAt'>
export type Doer = Pick<AssignmentRow, 'personId' | 'organisationId' | 'path' | 'until'>

export interface History {
  /** By seq, from the filing on. */
  events: readonly Told[]
  /** Those of the steps `respond` and `complete`. */
  clocks: readonly Clock[]
  /** Leads that are done. */
  doers: readonly Doer[]
}

interface Cycle {
  number: number
  events: readonly Told[]
  /** The first event of the next one. */
  after: Told | undefined
  completed: Told | undefined
  ended: Told | undefined
}

/** @param isLow whether a path is of the lowest level, or of one below it (小事不出楼栋) */
export function factsOf(history: History, isLow: (path: string) => boolean): Fact[] {
  const [filing] = history.events
  if (!filing) return []
  const facts = cyclesOf(history.events).flatMap((cycle) => ofCycle(cycle, history, isLow))
  return [{ cycle: 1, base: 'filed', unit: 0, at: filing.at, path: settledPath(history.events), met: 0, excluded: false, parties: [] }, ...facts]
}

function cyclesOf(events: readonly Told[]): Cycle[] {
  const numbers = [...new Set(events.map(({ cycle }) => cycle))]
  return numbers.map((number) => {
    const own = events.filter(({ cycle }) => cycle === number)
    let completed: Told | undefined
    for (const event of own) {
      if (isCompletion(event)) completed = event
      else if (event.fromState === 'completed' && (event.toState === 'in_progress' || event.toState === 'merged')) completed = undefined
    }
    return { number, events: own, after: events.find(({ cycle }) => cycle === number + 1), completed, ended: own.find(({ toState }) => toState === 'withdrawn' || toState === 'rejected') }
  })
}

const isCompletion = ({ fromState, toState }: Told): boolean => toState === 'completed' && fromState !== 'completed'

/** Where it happened as the clerks have settled it, before anybody raised it. */
function settledPath(events: readonly Told[]): string {
  let path = events[0]!.path
  for (const { verb, path: now, cycle } of events) if (cycle === 1 && (verb === 'accept' || verb === 'amend')) path = now
  return path
}

function ofCycle(cycle: Cycle, history: History, isLow: (path: string) => boolean): Fact[] {
  const excluded = cycle.events.some(({ verb }) => verb === 'grant-exclusion')
  const fact = (base: Base, at: Date, path: string, met: number, parties: string[], unit = 0): Fact => ({ cycle: cycle.number, base, unit, at, path, met, excluded, parties })
  const { completed } = cycle
  const doers = completed ? history.doers.filter(({ until }) => until?.getTime() === completed.at.getTime()) : []
  const by = partiesOf(doers)
  const facts: Fact[] = []
  const timed = (base: Base, decided: Decided | undefined): void => {
    if (!decided) return
    const then = standing(history.events, decided.at)
    facts.push(fact(base, decided.at, then.path, decided.met, decided.met === MET.inTime && completed && decided.at.getTime() === completed.at.getTime() ? by : then.parties))
  }
  const clock = history.clocks.find(({ step, seq }) => step === 'complete' && seq === cycle.events[0]!.seq)
  timed('response', responded(cycle, history.clocks))
  if (clock) {
    timed('due', byClock(cycle, clock, clock.stoodAt !== null && clock.stoodAt <= clock.dueAt ? null : clock.dueAt))
    timed('due_original', byClock(cycle, clock, clock.originalDueAt))
  }
  if (completed) {
    const top = [completed.path, ...doers.map(({ path }) => path)].sort((a, b) => a.length - b.length)[0]!
    const redone = cycle.after !== undefined && (cycle.after.fromState === 'completed' || cycle.after.fromState === 'closed')
    facts.push(fact('completed', completed.at, completed.path, (isLow(top) ? MET.low : 0) | (redone ? MET.redone : 0), by))
  }
  const answer = answerOf(cycle)
  if (answer) facts.push(fact('answered', answer.at, answer.path, answered(answer.data), by))
  const placed = cycle.events.find(({ verb }) => verb === 'place')
  if (placed) facts.push(fact('placed', placed.at, placed.path, (holdsClaim(cycle.events) ? MET.claimed : 0) | (realised(cycle) ? MET.realised : 0), []))
  return [...facts, ...dispatches(cycle.events).map(({ event, returned }) => fact('dispatched', event.at, event.path, returned ? MET.returned : 0, [String(event.data['to'])], event.seq))]
}

interface Decided { at: Date; met: number }

/** By the first that expired without a response, or by the response; completing is responding, also when it is sent back. */
function responded({ events }: Cycle, clocks: readonly Clock[]): Decided | undefined {
  const own = clocks.filter(({ step, seq }) => step === 'respond' && events.some((event) => event.seq === seq)).sort((a, b) => a.seq - b.seq)
  const response = events.find((event) => event.verb === 'respond' || isCompletion(event))
  for (const { dueAt, openedAt, closedAt } of own) {
    if (response && response.at >= openedAt && response.at <= dueAt && (closedAt === null || response.at <= closedAt)) return { at: response.at, met: MET.inTime }
    if (closedAt === null || closedAt > dueAt) return { at: dueAt, met: response && response.at > dueAt ? MET.late : closedAt === null ? MET.pending : MET.ended }
  }
  return undefined
}

/** @param dueAt null while the clock stands */
function byClock({ completed, ended, after }: Cycle, { closedAt }: Clock, dueAt: Date | null): Decided | undefined {
  if (completed) return dueAt === null || completed.at <= dueAt ? { at: completed.at, met: MET.inTime } : { at: dueAt, met: MET.late }
  if (dueAt === null) return undefined
  const end = ended?.at ?? after?.at ?? closedAt
  if (!end) return { at: dueAt, met: MET.pending }
  // Given up in time, it can no longer be late; given up afterwards, it was.
  return end <= dueAt ? undefined : { at: dueAt, met: MET.ended }
}

/** Who had the work at an instant, and which place was responsible. */
function standing(events: readonly Told[], at: Date): { path: string; parties: string[] } {
  let parties: string[] = []
  let { path } = events[0]!
  for (const event of events) {
    if (event.at > at) break
    parties = partiesAfter(parties, event)
    path = event.path
  }
  return { path, parties: [...new Set(parties)] }
}

const partiesOf = (doers: readonly Doer[]): string[] => [...new Set(doers.map(({ personId, organisationId }) => (organisationId ?? personId)!))]

/** The last word counts. What is answered with a redo stands at the head of the next cycle, and is about this one. */
const answerOf = ({ events, after }: Cycle): Told | undefined =>
  events.findLast(({ verb, data }) => isAnswer(verb, data) && data['redo'] !== true) ?? (after && isAnswer(after.verb, after.data) ? after : undefined)

const isAnswer = (verb: string, data: Told['data']): boolean => (verb === 'rate' || verb === 'follow-up') && data['solved'] !== undefined

const answered = ({ solved, satisfaction }: Told['data']): number =>
  (solved === 'solved' ? MET.solved : solved === 'partly' ? MET.partly : 0) | (satisfaction === 'satisfied' ? MET.satisfied : satisfaction === 'fairly' ? MET.fairly : 0)

/** After the last placing: a claim that took effect and was not let go. */
function holdsClaim(events: readonly Told[]): boolean {
  const held = new Set<unknown>()
  for (const { verb, data } of events) {
    if (verb === 'place') held.clear()
    else if ((verb === 'claim' && data['pending'] !== true) || verb === 'confirm-claim') held.add(data['by'])
    else if (verb === 'release') held.delete(data['by'])
  }
  return held.size > 0
}

/** 圆梦: done as wished, and not to be done again. */
const realised = ({ completed, after }: Cycle): boolean => completed?.data['result'] === 'realised' && after === undefined

function dispatches(events: readonly Told[]): { event: Told; returned: boolean }[] {
  const sent = (event: Told | undefined): boolean => event !== undefined && (event.verb === 'dispatch' || event.verb === 'redispatch' || isReassigned(event))
  const turns = events.filter((event) => sent(event) || event.verb === 'grant-return')
  return turns.flatMap((event, index) => {
    const next = turns[index + 1]
    return sent(event) ? [{ event, returned: next !== undefined && (next.verb === 'grant-return' || isReassigned(next)) }] : []
  })
}

/** 终审 agreed with who wanted to be rid of it. */
const isReassigned = ({ verb, data }: Told): boolean => verb === 'adjudicate' && data['decision'] === 'reassign'
