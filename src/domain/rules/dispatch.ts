import { actsFor, isAbove, isParty } from '../actor.ts'
import { isForAdjudication, openAsk } from '../asks.ts'
import type { Change, Context, Rule } from '../decide.ts'
import { Problem, says } from '../problems.ts'
import type { AssignmentRow, Facts, Target } from '../request.ts'
import { ended, firstContact, givenBack, isPetitioner } from './assignments.ts'
import { noteOf } from './intake.ts'
import { offTheWall } from './wall.ts'

export const targetUnknown = (pointer = '/to') =>
  new Problem('target-unknown', { errors: [{ pointer, message: says('没有这个在岗人员或组织', 'No such person on duty, nor such an organisation') }] })

/** The work goes to one party, whoever had it before. */
export function handedTo({ request, assignments, pending, now }: Facts, target: Target, seq: number): Pick<Change, 'assignments' | 'counters'> {
  return {
    assignments: [
      ...ended(assignments, 'replaced', now),
      ...ended(pending, 'declined', now),
      {
        requestId: request.id, seq, slot: 1, role: 'lead', via: 'dispatch', quantity: 1, ...target, memberId: null,
        status: 'active', since: now, until: null, reportedAt: null,
      },
    ],
    counters: givenBack([...assignments, ...pending]),
  }
}

const send = ({ facts, input, seq, actor }: Pick<Context<'dispatch' | 'redispatch'>, 'facts' | 'input' | 'seq' | 'actor'>): Change => {
  const { target, now } = facts
  if (!target) throw targetUnknown()
  return {
    to: 'dispatched',
    patch: { dispatchedAt: now, slots: 1, slotsTaken: 1, ...firstContact(facts, actor) },
    data: { to: target.organisationId ?? target.personId, ...(actor.kind === 'system' ? { backstop: true } : {}) },
    ...handedTo(facts, target, seq),
    ...offTheWall(facts),
    texts: noteOf(input.note),
  }
}

/** 派单. From the wall only while nobody has claimed. */
export const dispatch: Rule<'dispatch'> = {
  refuse: ({ facts }) => (facts.assignments.length > 0 || facts.pending.length > 0 ? new Problem('already-claimed') : undefined),
  effect: send,
}

/** What 终审 has decided, or is still to decide, is not undone from below. */
export function refuseFromBelow({ facts, actor }: Pick<Context, 'facts' | 'actor'>): Problem | undefined {
  if (isAbove(actor, facts.request.path)) return undefined
  if (facts.request.locked) return new Problem('locked')
  return openAsk(facts, 'return') && isForAdjudication(facts) ? new Problem('adjudication-needed') : undefined
}

/** 改派: the new party gets a sign deadline of its own; the resident's clock runs on. */
export const redispatch: Rule<'redispatch'> = {
  refuse: refuseFromBelow,
  effect: (context) => ({ ...send(context), anew: 'step' }),
}

/** 签收. */
export const sign: Rule<'sign'> = {
  effect: ({ facts, input }) => ({ to: 'in_progress', patch: { startedAt: facts.now }, texts: noteOf(input.note) }),
}

/** 指派: an organisation names who of its own goes (S2: 同盟单位; S0: 志愿服务队). */
export const assign: Rule<'assign'> = {
  refuse: (context) => (ofMyOrganisation(context).length === 0 ? new Problem('not-an-organisation') : undefined),
  effect: (context) => {
    const { facts, input } = context
    const { target, request } = facts
    if (!target?.personId) throw targetUnknown()
    const mine = ofMyOrganisation(context)
    // Nobody is sent to fulfil his own wish either.
    if (mine.some(({ via }) => via === 'claim') && isPetitioner(target.personId, request)) throw new Problem('own-wish')
    return {
      to: request.state,
      data: { to: target.personId },
      assignments: mine.map((row) => ({ ...row, memberId: target.personId })),
      texts: noteOf(input.note),
    }
  },
}

const ofMyOrganisation = ({ facts, actor }: Pick<Context, 'facts' | 'actor'>): AssignmentRow[] =>
  actor.kind !== 'person' ? [] : [...facts.assignments, ...facts.cos].filter(({ organisationId }) => organisationId !== null && actsFor(actor, organisationId))

/** The lead row the actor stands in: whose ask it is when he asks. */
export const leadOf = ({ facts, actor }: Pick<Context, 'facts' | 'actor'>): AssignmentRow | undefined =>
  actor.kind !== 'person' ? undefined : facts.assignments.find((row) => isParty(actor, row))
