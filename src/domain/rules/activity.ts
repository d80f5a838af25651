import type { Rule } from '../decide.ts'
import { Problem } from '../problems.ts'
import { ended } from './assignments.ts'

/** An activity takes no more than a hall does. */
const MOST_ATTENDEES = 1000

/** 报名: residents who come, beside the volunteers who have claimed to run it. */
export const signUp: Rule<'sign-up'> = {
  refuse: ({ facts, actor }) => {
    if (facts.request.kind !== 'activity') return new Problem('not-an-activity')
    if (actor.kind !== 'person') return new Problem('forbidden')
    if (facts.attendees.some(({ personId }) => personId === actor.id)) return new Problem('already-signed-up')
    return facts.attendees.length >= MOST_ATTENDEES ? new Problem('slots-taken') : undefined
  },
  effect: ({ facts, actor, seq }) => ({
    to: facts.request.state,
    data: { attendees: facts.attendees.length + 1 },
    assignments: actor.kind !== 'person' ? [] : [{
      requestId: facts.request.id, seq, slot: 1, role: 'attendee', via: 'sign_up', quantity: 1, personId: actor.id, organisationId: null, memberId: null,
      path: facts.request.path, level: null, status: 'active', since: facts.now, until: null, reportedAt: null,
    }],
  }),
}

export const cancelSignUp: Rule<'cancel-sign-up'> = {
  effect: ({ facts, actor }) => ({
    to: facts.request.state,
    data: { attendees: facts.attendees.length - 1 },
    assignments: ended(facts.attendees.filter(({ personId }) => actor.kind === 'person' && personId === actor.id), 'released', facts.now),
  }),
}
