import { isParty } from '../actor.ts'
import type { Change, Context, Rule } from '../decide.ts'
import { due } from '../calendar.ts'
import { Problem } from '../problems.ts'
import type { Satisfaction, Solved } from '../request.ts'
import { ended, givenBack } from './claim.ts'
import { noteOf } from './intake.ts'

interface Rating { solved: Solved; satisfaction: Satisfaction; comment?: string | undefined }

const commentOf = (comment: string | undefined) => (comment === undefined ? [] : [{ field: 'comment' as const, body: comment }])

/** 未解决 or 不满意 → 重办 under a new clock, as often as the policy says; after that it is closed as rated. */
function rated({ facts }: Pick<Context, 'facts'>, { solved, satisfaction, comment }: Rating, data: Record<string, unknown>): Change {
  const { request, policy, now } = facts
  const redo = request.state === 'completed' && (solved === 'unsolved' || satisfaction === 'dissatisfied') && request.cycle <= policy.redoMax
  return {
    to: redo ? 'accepted' : 'closed',
    patch: redo
      ? { result: null, solved: null, satisfaction: null, completedAt: null, respondedAt: null, ratedAt: null, slotsTaken: 0, unreached: 0 }
      : { solved, satisfaction, ratedAt: now, closedAt: request.closedAt ?? now },
    data: { ...data, solved, satisfaction, redo },
    ...(redo ? { anew: 'redo' as const } : {}),
    texts: commentOf(comment),
  }
}

/** 回访, by another than the handler. */
export const followUp: Rule<'follow-up'> = {
  refuse: ({ actor, facts }) =>
    actor.kind === 'person' && facts.handlers.some((handler) => isParty(actor, handler)) ? new Problem('own-work') : undefined,
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

/** 评价, once per cycle: on completed, or on closed within the window when nobody has rated yet. */
export const rate: Rule<'rate'> = {
  refuse: ({ facts: { request, policy, calendar, now } }) => {
    if (request.state !== 'closed') return undefined
    if (request.ratedAt !== null) return new Problem('already-rated')
    return due(calendar, request.closedAt ?? now, policy.limits.close).dueAt >= now ? undefined : new Problem('window-over')
  },
  effect: (context) => rated(context, context.input, {}),
}

/** 自动结案. */
export const close: Rule<'close'> = {
  effect: ({ facts }) => ({ to: 'closed', patch: { closedAt: facts.now } }),
}

/** 撤单. */
export const withdraw: Rule<'withdraw'> = {
  effect: ({ facts, actor, input }) => ({
    to: 'withdrawn',
    patch: { closedAt: facts.now },
    data: { reason: actor.kind === 'system' ? 'overdue_resubmission' : (input.reason ?? 'no_longer_needed') },
    assignments: ended(facts.assignments, 'released', facts.now),
    counters: givenBack(facts.assignments),
    ...(facts.wall ? { wall: { ...facts.wall, takenDownAt: facts.now } } : {}),
    texts: noteOf(input.note),
  }),
}
