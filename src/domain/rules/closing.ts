import { isAbove, isParty } from '../actor.ts'
import { due } from '../calendar.ts'
import type { Change, Context, Rule } from '../decide.ts'
import { Problem } from '../problems.ts'
import type { RequestRow, Satisfaction, Solved } from '../request.ts'
import { ended, givenBack } from './assignments.ts'
import { noteOf, reasonOf } from './intake.ts'
import { offTheWall } from './wall.ts'

interface Rating { solved: Solved; satisfaction: Satisfaction; comment?: string | undefined }

const commentOf = (comment: string | undefined) => (comment === undefined ? [] : [{ field: 'comment' as const, body: comment }])

/** What a new cycle begins without. A request done again is on its own: it has left the merge. */
const ANEW: Partial<RequestRow> = {
  result: null, solved: null, satisfaction: null, completedAt: null, respondedAt: null, ratedAt: null, closedAt: null, slotsTaken: 0, wave: 0, unreached: 0,
  confirmed: null, resolvedAtLevel: null, locked: false, excluded: false, leadId: null, onTheSpot: false,
}

/** 未解决 or 不满意 → 重办 under a new clock, as often as the policy says; after that it is closed as rated. */
function rated({ facts }: Pick<Context, 'facts'>, { solved, satisfaction, comment }: Rating, data: Record<string, unknown>): Change {
  const { request, policy, now } = facts
  const redo = request.state === 'completed' && (solved === 'unsolved' || satisfaction === 'dissatisfied') && facts.redone < policy.redoMax
  return {
    to: redo ? 'accepted' : 'closed',
    patch: redo ? ANEW : { solved, satisfaction, ratedAt: now, closedAt: request.closedAt ?? now },
    data: { ...data, solved, satisfaction, redo },
    ...(redo ? { anew: 'redo' as const } : {}),
    texts: commentOf(comment),
  }
}

/** What is said to be impossible is neither rated nor closed before dispatch has confirmed it. */
const unconfirmed = ({ facts }: Pick<Context, 'facts'>): Problem | undefined => (facts.request.confirmed === false ? new Problem('not-confirmed') : undefined)

/** 回访, by another than the handler. */
export const followUp: Rule<'follow-up'> = {
  refuse: ({ actor, facts }) =>
    actor.kind === 'person' && facts.handlers.some((handler) => isParty(actor, handler)) ? new Problem('own-work') : unconfirmed({ facts }),
  effect: (context) => {
    const { facts, input } = context
    if (input.reached !== false) return rated(context, input, { reached: true })
    const unreached = facts.request.unreached + 1
    const giveUp = unreached >= facts.policy.unreachedMax
    return {
      to: giveUp ? 'closed' : 'completed',
      patch: { unreached, ...(giveUp ? { closedAt: facts.now } : {}) },
      data: { reached: false, unreached },
      texts: commentOf(input.comment),
    }
  },
}

/** 评价: on completed, and once more on closed within the window, also where the caller's word has closed it. */
export const rate: Rule<'rate'> = {
  refuse: ({ facts, actor }) => {
    const { request, policy, calendar, now } = facts
    if (actor.kind === 'person' && facts.handlers.some((handler) => isParty(actor, handler))) return new Problem('own-work')
    if (request.state !== 'closed') return unconfirmed({ facts })
    if (request.ratedAt !== null && request.closedAt !== null && request.ratedAt > request.closedAt) return new Problem('already-rated')
    return due(calendar, request.closedAt ?? now, policy.limits.close).dueAt >= now ? undefined : new Problem('window-over')
  },
  effect: (context) => rated(context, context.input, {}),
}

/** 重办: within the window by the filer or the caller; what was rejected only from one level up. */
export const reopen: Rule<'reopen'> = {
  refuse: ({ facts, actor, relations }) => {
    const { request, policy, calendar, now } = facts
    if (request.state === 'rejected') return relations.has('approve') && isAbove(actor, request.path) ? undefined : new Problem('level-too-low')
    if (relations.has('follow_up') && actor.kind === 'person' && facts.handlers.some((handler) => isParty(actor, handler)) && !relations.has('filer')) return new Problem('own-work')
    if (request.confirmed === false) return new Problem('not-confirmed')
    const since = request.closedAt ?? request.completedAt ?? now
    return due(calendar, since, policy.limits.reopen).dueAt >= now ? undefined : new Problem('window-over')
  },
  effect: ({ facts, input }) => ({
    to: 'accepted',
    patch: { ...ANEW, acceptedAt: facts.request.acceptedAt ?? facts.now },
    anew: 'redo',
    texts: reasonOf(input.reason),
  }),
}

/** 自动结案. */
export const close: Rule<'close'> = {
  refuse: unconfirmed,
  effect: ({ facts }) => ({ to: 'closed', patch: { closedAt: facts.now } }),
}

/** 撤单. */
export const withdraw: Rule<'withdraw'> = {
  effect: ({ facts, actor, input }) => ({
    to: 'withdrawn',
    patch: { closedAt: facts.now },
    data: { reason: actor.kind === 'system' ? 'overdue_resubmission' : (input.reason ?? 'no_longer_needed') },
    assignments: [...ended(facts.assignments, 'released', facts.now), ...ended(facts.pending, 'declined', facts.now)],
    counters: givenBack([...facts.assignments, ...facts.pending]),
    ...offTheWall(facts),
    texts: noteOf(input.note),
  }),
}
