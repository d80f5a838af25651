import { close } from './deadlines.ts'
import type { State, Step } from './machine.ts'
import type { AskKind, AskRow, DeadlineRow, Facts } from './request.ts'

/** In which states an ask of this kind stands; it lapses when the request leaves them by another way than an answer. */
const STANDS_IN: Readonly<Record<AskKind, readonly State[]>> = {
  return: ['dispatched', 'in_progress'],
  extension: ['dispatched', 'in_progress'],
  park: ['accepted', 'open', 'in_progress'],
  exclusion: ['in_progress', 'completed', 'closed'],
}

/** Asks of whoever had the work: they lapse with it when another gets it. */
const OF_THE_PARTY: readonly AskKind[] = ['return', 'extension']

/** Whether an open ask of this kind goes on standing: through a change of state, and when the work begins again with another. */
export const standsOn = (kind: AskKind, to: State, begunAnew: boolean): boolean => STANDS_IN[kind].includes(to) && !(begunAnew && OF_THE_PARTY.includes(kind))

export const openAsk = ({ asks }: Pick<Facts, 'asks'>, kind: AskKind): AskRow | undefined => asks.find((ask) => ask.kind === kind && ask.status === 'open')

/** How often in this cycle an ask of a kind has been answered so. */
export const answers = ({ asks, request }: Pick<Facts, 'asks' | 'request'>, kind: AskKind, statuses: readonly AskRow['status'][]): number =>
  asks.filter((ask) => ask.kind === kind && ask.cycle === request.cycle && statuses.includes(ask.status)).length

/** 退单 asked and answered so often that the next answer is the last: 终审, one level up. */
export const isForAdjudication = (facts: Pick<Facts, 'asks' | 'request' | 'policy'>): boolean =>
  answers(facts, 'return', ['granted', 'denied']) >= facts.policy.returnsMax

/** Open asks that make no sense any more after a change of state. */
export function lapsed(asks: readonly AskRow[], to: State, anew: 'redo' | 'step' | undefined, now: Date): AskRow[] {
  return asks
    .filter(({ status, kind }) => status === 'open' && !standsOn(kind, to, anew !== undefined))
    .map((ask) => ({ ...ask, status: 'lapsed', answeredAt: now }))
}

const STEP: Step = 'answer'

/** The deadlines for the answer close with their ask. */
export const answered = ({ deadlines, now }: Pick<Facts, 'deadlines' | 'now'>, asks: readonly AskRow[]): DeadlineRow[] =>
  deadlines.filter(({ step, seq }) => step === STEP && asks.some((ask) => ask.seq === seq && ask.status !== 'open')).map((row) => close(row, now))
