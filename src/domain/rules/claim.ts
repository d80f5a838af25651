import { actsFor, isParty, type PersonActor } from '../actor.ts'
import type { Context, Rule } from '../decide.ts'
import { Problem, says } from '../problems.ts'
import type { AssignmentRow, CounterDelta, Facts } from '../request.ts'
import { noteOf } from './intake.ts'

/** Wishes held at once by one claimer: a person, or the organisation claimed for. */
export const claimsKey = (claimer: { personId: string | null; organisationId: string | null }) =>
  `claims/${claimer.organisationId ?? claimer.personId}`

/** 认领: one winner per slot. */
export const claim: Rule<'claim'> = {
  refuse: ({ facts, actor }) => {
    const { request, policy, wall } = facts
    if (actor.kind !== 'person') return new Problem('not-verified')
    if (request.filerId === actor.id || request.beneficiaryId === actor.id) return new Problem('own-wish')
    if (!actor.affiliations.some(({ kind }) => policy.claims.kinds.includes(kind))) return new Problem('not-verified')
    if (!wall) return new Problem('not-for-the-wall')
    if (request.slotsTaken >= request.slots) return new Problem('slots-taken')
    if ((facts.held ?? 0) >= policy.claims.perClaimer) return new Problem('limit-reached', { facts: { limit: policy.claims.perClaimer } })
    if (facts.assignments.some((assignment) => isParty(actor, assignment))) return new Problem('already-claimed')
    return undefined
  },
  effect: ({ facts, actor, input, seq }) => {
    const { request, policy, now } = facts
    const person = actor as PersonActor
    const claimer = claimerOf(facts, person, input.organisation)
    const taken = new Set(facts.assignments.map(({ slot }) => slot))
    let slot = 1
    while (taken.has(slot)) slot++
    const slotsTaken = request.slotsTaken + 1
    const assignment: AssignmentRow = {
      requestId: request.id, seq, via: 'claim', slot, ...claimer, status: 'active', since: now, until: null,
    }
    const full = slotsTaken === request.slots
    return {
      to: full ? 'in_progress' : 'open',
      patch: { slotsTaken, ...(full ? { startedAt: now } : {}) },
      data: { slot, by: claimer.organisationId ?? claimer.personId },
      assignments: [assignment],
      counters: [{ key: claimsKey(claimer), delta: 1, limit: policy.claims.perClaimer }],
    }
  },
}

function claimerOf(facts: Facts, actor: PersonActor, organisation: string | undefined): Pick<AssignmentRow, 'personId' | 'organisationId' | 'path'> {
  if (organisation === undefined) return { personId: actor.id, organisationId: null, path: facts.request.path }
  const { claimer } = facts
  if (!claimer?.organisationId || !actsFor(actor, claimer.organisationId)) throw new Problem('target-unknown', { errors: [{ pointer: '/organisation', message: says('不是您所代表的组织', 'Not an organisation you act for') }] })
  if (!claimer.kinds.some((kind) => facts.policy.claims.kinds.includes(kind))) throw new Problem('not-verified')
  return { personId: null, organisationId: claimer.organisationId, path: claimer.path }
}

/** 释放认领: only what was claimed. A dispatched party asks for 退单 instead. */
export const release: Rule<'release'> = {
  refuse: (context) => (mine(context).length === 0 ? new Problem('not-claimed') : undefined),
  effect: (context) => {
    const { facts, input } = context
    const released = mine(context)
    return {
      to: 'open',
      patch: { slotsTaken: facts.request.slotsTaken - released.length },
      data: input.reason === undefined ? {} : { reason: input.reason },
      assignments: ended(released, 'released', facts.now),
      counters: givenBack(released),
      texts: noteOf(input.note),
    }
  },
}

const mine = ({ facts, actor }: Pick<Context, 'facts' | 'actor'>): AssignmentRow[] =>
  actor.kind !== 'person' ? [] : facts.assignments.filter((row) => row.via === 'claim'
    && (row.personId === actor.id || (row.organisationId !== null && actsFor(actor, row.organisationId))))

export const ended = (rows: AssignmentRow[], status: AssignmentRow['status'], until: Date): AssignmentRow[] =>
  rows.map((row) => ({ ...row, status, until }))

/** Claims that ended count no longer against the claimer's limit. */
export const givenBack = (rows: AssignmentRow[]): CounterDelta[] =>
  rows.filter(({ via }) => via === 'claim').map((row) => ({ key: claimsKey(row), delta: -1, limit: null }))
