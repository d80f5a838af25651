import { hasMoreWaves, met, open } from '../deadlines.ts'
import type { Change, Context, Rule } from '../decide.ts'
import { Problem, says } from '../problems.ts'
import { isSecret } from '../secret.ts'
import { ended, firstContact, givenBack } from './assignments.ts'
import { consentTo, isGuarded, noteOf } from './intake.ts'

/** 下单上墙. The wall never shows the filed words: its title and text are written by the one who places. */
export const place: Rule<'place'> = {
  refuse: ({ facts }) => {
    const { item, request } = facts
    // 调解 and confidential matters are never on a wall (S3: 调解室).
    if (!item.wall || isSecret(request)) return new Problem('not-for-the-wall')
    if (isGuarded(request) && consentTo(facts, 'wall')?.by !== 'guardian') return new Problem('consent-missing')
    return undefined
  },
  effect: ({ facts, actor, input, seq }) => {
    const { request } = facts
    const scopePath = facts.scopePath ?? request.path
    if (!request.path.startsWith(scopePath)) {
      throw new Problem('validation-failed', { errors: [{ pointer: '/scope', code: 'not-an-ancestor', message: says('可见范围必须是责任节点或其上级', 'The scope must be the responsible node or one above it') }] })
    }
    return {
      to: 'open',
      patch: { slots: input.slots ?? 1, slotsTaken: 0, wave: 0, placedAt: facts.now, ...firstContact(facts, actor) },
      wall: {
        requestId: request.id, seq, title: input.wallTitle ?? facts.item.name, text: input.wallText ?? null, scopePath,
        isPublic: request.kind === 'activity' || consentTo(facts, 'wall') !== undefined, takenDownAt: null,
      },
      data: { slots: input.slots ?? 1 },
    }
  },
}

export const takeDown: Rule<'take-down'> = {
  refuse: ({ facts }) => (facts.assignments.length > 0 || facts.pending.length > 0 ? new Problem('already-claimed') : undefined),
  effect: ({ facts, actor, input }) => ({
    to: 'accepted',
    patch: { wave: 0 },
    ...(actor.kind === 'system' ? { data: { reason: 'unclaimed' } } : {}),
    ...offTheWall(facts),
    texts: noteOf(input.note),
  }),
}

/** 没人认领就扩大范围: the next kinds may claim, those before still may. */
export const widen: Rule<'widen'> = {
  refuse: ({ facts }) => (hasMoreWaves(facts) ? undefined : new Problem('transition-refused')),
  effect: ({ facts, seq }) => {
    const wave = facts.request.wave + 1
    const since = facts.due?.deadline.dueAt ?? facts.now
    const more = hasMoreWaves({ ...facts, request: { ...facts.request, wave } })
    return {
      to: 'open',
      patch: { wave },
      data: { wave, kinds: facts.policy.claims.waves[wave] },
      deadlines: [...met(facts, 'wave'), ...(more ? [open(facts, 'wave', seq, since)] : [])],
    }
  },
}

/** Not all slots are taken, and it begins all the same: by the publisher, by who has claimed, or when the wall's time is over. */
export const start: Rule<'start'> = {
  refuse: ({ facts }) => (facts.assignments.length === 0 ? new Problem('not-claimed') : undefined),
  effect: ({ facts, input }) => ({
    ...begun(facts),
    assignments: ended(facts.pending, 'declined', facts.now),
    counters: givenBack(facts.pending),
    patch: { startedAt: facts.now, slotsTaken: facts.assignments.reduce((sum, { quantity }) => sum + quantity, 0) },
    texts: noteOf(input.note),
  }),
}

/**
 * Claimed work begins: each claim is held for the claimer until he responds, or the lease is over. It has one lease:
 * beginning again after another has let go does not give a second.
 */
export function begun(facts: Context['facts'], claims = facts.assignments): Pick<Change, 'to' | 'deadlines'> {
  const { startedAt } = facts.request
  const fresh = claims.filter(({ via, since }) => via === 'claim' && (startedAt === null || since > startedAt))
  return { to: 'in_progress', deadlines: fresh.map(({ seq }) => open(facts, 'lease', seq, facts.now)) }
}

export const offTheWall = ({ wall, now }: Context['facts']): Pick<Change, 'wall'> => (wall ? { wall: { ...wall, takenDownAt: now } } : {})
