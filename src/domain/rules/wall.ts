import type { Rule } from '../decide.ts'
import { Problem, says } from '../problems.ts'
import { noteOf } from './intake.ts'

/** 下单上墙. The wall never shows the filed words: its title and text are written by the one who places. */
export const place: Rule<'place'> = {
  refuse: ({ facts }) => {
    // 调解 and confidential matters are never on a wall (S3: 调解室).
    if (!facts.item.wall || facts.request.confidential) return new Problem('not-for-the-wall')
    return undefined
  },
  effect: ({ facts, input, seq }) => {
    const { request } = facts
    const scopePath = facts.scopePath ?? request.path
    if (!request.path.startsWith(scopePath)) {
      throw new Problem('validation-failed', { errors: [{ pointer: '/scope', code: 'not-an-ancestor', message: says('可见范围必须是责任节点或其上级', 'The scope must be the responsible node or one above it') }] })
    }
    return {
      to: 'open',
      patch: { slots: input.slots ?? 1, slotsTaken: 0, placedAt: facts.now },
      wall: { requestId: request.id, seq, title: input.wallTitle ?? facts.item.name, text: input.wallText ?? null, scopePath, takenDownAt: null },
      data: { slots: input.slots ?? 1 },
    }
  },
}

export const takeDown: Rule<'take-down'> = {
  refuse: ({ facts }) => (facts.assignments.length > 0 ? new Problem('already-claimed') : undefined),
  effect: ({ facts, input }) => ({
    to: 'accepted',
    ...(facts.wall ? { wall: { ...facts.wall, takenDownAt: facts.now } } : {}),
    texts: noteOf(input.note),
  }),
}
