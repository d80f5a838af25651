import { isAbove } from '../actor.ts'
import { isForAdjudication } from '../asks.ts'
import type { Rule } from '../decide.ts'
import { Problem } from '../problems.ts'
import { answer, asked, refuseAnswer, refuseTwin } from './asking.ts'
import { ended, givenBack } from './assignments.ts'
import { handedTo, targetUnknown } from './dispatch.ts'
import { noteOf, reasonOf } from './intake.ts'

/** 退单: with a reason code and evidence. A dispatched party has no other way out; a claimer releases instead. */
export const askReturn: Rule<'ask-return'> = {
  refuse: (context) => {
    if (context.facts.request.locked) return new Problem('locked')
    if (context.facts.assignments.every(({ via }) => via === 'claim')) return new Problem('claimed-not-dispatched')
    return refuseTwin('return', context)
  },
  effect: (context) => {
    const { facts, input } = context
    const { target } = facts
    if (input.suggested !== undefined && !target) throw targetUnknown('/suggested')
    return {
      ...asked('return', context, { reason: input.reason, suggestedPersonId: target?.personId ?? null, suggestedOrganisationId: target?.organisationId ?? null }),
      data: { reason: input.reason, ...(target ? { suggested: target.organisationId ?? target.personId } : {}), ...(isForAdjudication(facts) ? { final: true } : {}) },
      attachments: input.attachments,
      texts: noteOf(input.note),
    }
  },
}

const refuseRegular: NonNullable<Rule<'grant-return' | 'deny-return'>['refuse']> = (context) =>
  refuseAnswer('return', context, { fromAbove: false }) ?? (isForAdjudication(context.facts) ? new Problem('adjudication-needed') : undefined)

export const grantReturn: Rule<'grant-return'> = {
  refuse: refuseRegular,
  effect: (context) => {
    const { facts, input } = context
    const { ask, asks } = answer('return', 'granted', context)
    return {
      to: 'accepted',
      patch: { slotsTaken: 0 },
      data: { reason: ask.reason, asked: ask.seq },
      asks,
      assignments: ended(facts.assignments, 'returned', facts.now),
      counters: givenBack(facts.assignments),
      texts: noteOf(input.note),
    }
  },
}

export const denyReturn: Rule<'deny-return'> = {
  refuse: refuseRegular,
  effect: (context) => {
    const { ask, asks } = answer('return', 'denied', context)
    return { to: context.facts.request.state, data: { asked: ask.seq }, asks, texts: reasonOf(context.input.reason) }
  },
}

/** 终审: keep, or another party; locked either way. */
export const adjudicate: Rule<'adjudicate'> = {
  refuse: (context) => refuseAnswer('return', context, { fromAbove: false })
    ?? (isAbove(context.actor, context.facts.request.path) ? undefined : new Problem('level-too-low'))
    ?? (isForAdjudication(context.facts) ? undefined : new Problem('adjudication-early')),
  effect: (context) => {
    const { facts, input, seq } = context
    const texts = noteOf(input.note)
    if (input.decision === 'keep') {
      const { ask, asks } = answer('return', 'denied', context)
      return { to: facts.request.state, patch: { locked: true }, data: { decision: 'keep', asked: ask.seq }, asks, texts }
    }
    if (!facts.target) throw targetUnknown()
    const { ask, asks } = answer('return', 'granted', context)
    return {
      to: 'dispatched',
      patch: { locked: true, dispatchedAt: facts.now, slots: 1, slotsTaken: 1 },
      data: { decision: 'reassign', asked: ask.seq, to: facts.target.organisationId ?? facts.target.personId },
      asks, texts,
      ...handedTo(facts, facts.target, seq),
      anew: 'step',
    }
  },
}
