import type { Rule } from '../decide.ts'
import { met } from '../deadlines.ts'
import { Problem } from '../problems.ts'
import { ended, givenBack } from './claim.ts'
import { noteOf } from './intake.ts'

/** 首次响应. */
export const respond: Rule<'respond'> = {
  refuse: ({ facts }) => (facts.deadlines.some(({ step }) => step === 'respond') ? undefined : new Problem('already-responded')),
  effect: ({ facts, input }) => ({
    to: 'in_progress',
    patch: facts.request.respondedAt ? {} : { respondedAt: facts.now },
    deadlines: met(facts, 'respond'),
    texts: noteOf(input.note),
  }),
}

/** 办结. Completing without a first response counts as responding. */
export const complete: Rule<'complete'> = {
  effect: ({ facts, input }) => ({
    to: 'completed',
    patch: { completedAt: facts.now, result: input.result ?? 'realised', respondedAt: facts.request.respondedAt ?? facts.now },
    data: { result: input.result ?? 'realised' },
    assignments: ended(facts.assignments, 'done', facts.now),
    counters: givenBack(facts.assignments),
    ...(facts.wall ? { wall: { ...facts.wall, takenDownAt: facts.now } } : {}),
    texts: [{ field: 'outcome', body: input.outcome }, ...noteOf(input.note)],
  }),
}
