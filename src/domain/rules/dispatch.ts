import type { Change, Context, Rule } from '../decide.ts'
import { Problem, says } from '../problems.ts'
import { ended, givenBack } from './claim.ts'
import { noteOf } from './intake.ts'

const send = ({ facts, input, seq }: Pick<Context<'dispatch' | 'redispatch'>, 'facts' | 'input' | 'seq'>): Change => {
  const { request, target, now } = facts
  if (!target) throw new Problem('target-unknown', { errors: [{ pointer: '/to', message: says('没有这个在岗人员或组织', 'No such person on duty, nor such an organisation') }] })
  return {
    to: 'dispatched',
    patch: { dispatchedAt: now, slots: 1, slotsTaken: 1 },
    data: { to: target.organisationId ?? target.personId },
    assignments: [
      ...ended(facts.assignments, 'replaced', now),
      { requestId: request.id, seq, via: 'dispatch', slot: 1, ...target, status: 'active', since: now, until: null },
    ],
    counters: givenBack(facts.assignments),
    ...(facts.wall ? { wall: { ...facts.wall, takenDownAt: now } } : {}),
    texts: noteOf(input.note),
  }
}

/** 派单. From the wall only while nobody has claimed. */
export const dispatch: Rule<'dispatch'> = {
  refuse: ({ facts }) => (facts.assignments.length > 0 ? new Problem('already-claimed') : undefined),
  effect: send,
}

/** 改派: the new party gets a sign deadline of its own; the resident's clock runs on. */
export const redispatch: Rule<'redispatch'> = { effect: (context) => ({ ...send(context), anew: 'step' }) }

/** 签收. */
export const sign: Rule<'sign'> = {
  effect: ({ facts, input }) => ({ to: 'in_progress', patch: { startedAt: facts.now }, texts: noteOf(input.note) }),
}
