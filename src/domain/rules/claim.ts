import { actsFor, covers, isParty, type ClaimerKind, type PersonActor } from '../actor.ts'
import { close } from '../deadlines.ts'
import type { Change, Context, Rule } from '../decide.ts'
import type { Policy } from '../policy.ts'
import { Problem, says } from '../problems.ts'
import type { AssignmentRow, Facts } from '../request.ts'
import { claimsKey, ended, givenBack, isPetitioner } from './assignments.ts'
import { noteOf } from './intake.ts'
import { begun } from './wall.ts'

/** Who may claim by now: the waves up to this one, or everyone the policy names. */
export const claimerKinds = ({ claims }: Policy, wave: number): readonly ClaimerKind[] =>
  claims.waves.length === 0 ? claims.kinds : claims.kinds.filter((kind) => claims.waves.slice(0, wave + 1).some((kinds) => kinds.includes(kind)))

/** 认领: one winner per slot. */
export const claim: Rule<'claim'> = {
  refuse: ({ facts, actor }) => {
    const { request, policy, wall } = facts
    if (actor.kind !== 'person') return new Problem('not-verified')
    if (isPetitioner(actor.id, request)) return new Problem('own-wish')
    const verified = actor.affiliations.map(({ kind }) => kind).filter((kind) => policy.claims.kinds.includes(kind))
    if (verified.length === 0) return new Problem('not-verified')
    const kinds = claimerKinds(policy, request.wave)
    if (!verified.some((kind) => kinds.includes(kind))) return new Problem('not-yet', { facts: { kinds } })
    if (!wall) return new Problem('not-for-the-wall')
    if (request.slotsTaken >= request.slots) return new Problem('slots-taken')
    if ((facts.held ?? 0) >= policy.claims.perClaimer) return new Problem('limit-reached', { facts: { limit: policy.claims.perClaimer } })
    if ([...facts.assignments, ...facts.pending].some((assignment) => isParty(actor, assignment))) return new Problem('already-claimed')
    return undefined
  },
  effect: ({ facts, actor, input, seq }) => {
    const { request, policy, now } = facts
    const claimer = claimerOf(facts, actor as PersonActor, input.organisation)
    const quantity = input.quantity ?? 1
    const slotsTaken = request.slotsTaken + quantity
    if (slotsTaken > request.slots) throw new Problem('slots-taken', { facts: { free: request.slots - request.slotsTaken } })
    const waits = needsApproval(facts, actor as PersonActor)
    const assignment: AssignmentRow = {
      requestId: request.id, seq, slot: freeSlot(facts), role: 'lead', via: 'claim', quantity, ...claimer, memberId: null,
      status: waits ? 'pending' : 'active', since: now, until: null, reportedAt: null,
    }
    return {
      ...(waits ? { to: 'open' as const } : whenFull(facts, slotsTaken, [...facts.assignments, assignment], facts.pending)),
      patch: { slotsTaken, ...(!waits && isFull(facts, slotsTaken, facts.pending) ? { startedAt: now } : {}) },
      data: { slot: assignment.slot, by: claimer.organisationId ?? claimer.personId, ...(quantity > 1 ? { quantity } : {}), ...(waits ? { pending: true } : {}) },
      assignments: [assignment],
      counters: [{ key: claimsKey(claimer), delta: 1, limit: policy.claims.perClaimer }],
    }
  },
}

const isFull = ({ request }: Facts, slotsTaken: number, pending: readonly AssignmentRow[]): boolean => slotsTaken === request.slots && pending.length === 0

const whenFull = (facts: Facts, slotsTaken: number, claims: AssignmentRow[], pending: readonly AssignmentRow[]): Pick<Change, 'to' | 'deadlines'> =>
  isFull(facts, slotsTaken, pending) ? begun(facts, claims) : { to: 'open' }

/** The lowest number nobody has. A claim of several slots has one number too: those let go in between need not lie together. */
function freeSlot({ assignments, pending }: Facts): number {
  const taken = new Set([...assignments, ...pending].map(({ slot }) => slot))
  let slot = 1
  while (taken.has(slot)) slot++
  return slot
}

function needsApproval({ policy, request }: Facts, actor: PersonActor): boolean {
  return policy.claims.approval.some((whose) => whose === 'all'
    || (whose === 'protected' && request.targetGroup !== null)
    || (whose === 'strangers' && !actor.affiliations.some(({ path }) => covers(path, request.path))))
}

function claimerOf(facts: Facts, actor: PersonActor, organisation: string | undefined): Pick<AssignmentRow, 'personId' | 'organisationId' | 'path' | 'level'> {
  const { claimer, request, policy, responsibleLevel } = facts
  const kinds = claimerKinds(policy, request.wave)
  if (organisation === undefined) {
    return { personId: actor.id, organisationId: null, path: request.path, level: responsibleLevel }
  }
  if (!claimer?.organisationId || !actsFor(actor, claimer.organisationId)) throw new Problem('target-unknown', { errors: [{ pointer: '/organisation', message: says('不是您所代表的组织', 'Not an organisation you act for') }] })
  if (!claimer.kinds.some((kind) => kinds.includes(kind))) throw new Problem('not-verified')
  return { personId: null, organisationId: claimer.organisationId, path: claimer.path, level: claimer.level }
}

/** 审核认领: which of the waiting claims the input means. @throws Problem not-claimed, validation-failed when it could be several */
function waiting({ pending }: Facts, claimer: string | undefined): AssignmentRow {
  const meant = claimer === undefined ? pending : pending.filter(({ personId, organisationId }) => claimer === (organisationId ?? personId))
  if (meant.length > 1) throw new Problem('validation-failed', { errors: [{ pointer: '/claimer', code: 'required', message: says('有多个待审的认领，须指明是哪一个', 'Several claims wait: say which') }] })
  if (!meant[0]) throw new Problem('not-claimed')
  return meant[0]
}

const refuseWithoutPending: Rule<'confirm-claim' | 'decline-claim'>['refuse'] = ({ facts }) => (facts.pending.length === 0 ? new Problem('not-claimed') : undefined)

export const confirmClaim: Rule<'confirm-claim'> = {
  refuse: (context) => refuseWithoutPending!(context)
    ?? (context.actor.kind === 'person' && context.facts.pending.every((row) => isParty(context.actor as PersonActor, row)) ? new Problem('own-ask') : undefined),
  effect: ({ facts, actor, input }) => {
    const row = waiting(facts, input.claimer)
    if (actor.kind === 'person' && isParty(actor, row)) throw new Problem('own-ask')
    const confirmed: AssignmentRow = { ...row, status: 'active' }
    const rest = facts.pending.filter((other) => other !== row)
    const { slotsTaken } = facts.request
    return {
      ...whenFull(facts, slotsTaken, [...facts.assignments, confirmed], rest),
      patch: isFull(facts, slotsTaken, rest) ? { startedAt: facts.now } : {},
      data: { by: row.organisationId ?? row.personId },
      assignments: [confirmed],
      texts: noteOf(input.note),
    }
  },
}

export const declineClaim: Rule<'decline-claim'> = {
  refuse: refuseWithoutPending!,
  effect: ({ facts, input }) => {
    const row = waiting(facts, input.claimer)
    return {
      to: 'open',
      patch: { slotsTaken: facts.request.slotsTaken - row.quantity },
      data: { by: row.organisationId ?? row.personId },
      assignments: ended([row], 'declined', facts.now),
      counters: givenBack([row]),
      texts: noteOf(input.note),
    }
  },
}

/** 释放认领: only what was claimed; by SYSTEM when the lease is over. A dispatched party asks for 退单 instead. */
export const release: Rule<'release'> = {
  refuse: (context) => {
    if (mine(context).length === 0) return new Problem('not-claimed')
    const { facts: { request }, actor } = context
    // With the resident's papers in his hands nobody walks away.
    return actor.kind === 'person' && request.papersOut > 0 ? new Problem('papers-out', { facts: { papersOut: request.papersOut } }) : undefined
  },
  effect: (context) => {
    const { facts, actor, input } = context
    const released = mine(context)
    const reason = actor.kind === 'system' ? 'lease_over' : input.reason
    return {
      to: 'open',
      patch: { slotsTaken: facts.request.slotsTaken - released.reduce((sum, { quantity }) => sum + quantity, 0) },
      data: { ...(reason === undefined ? {} : { reason }), by: released[0]?.organisationId ?? released[0]?.personId },
      assignments: ended(released, 'released', facts.now),
      counters: givenBack(released),
      deadlines: facts.deadlines.filter(({ step, seq }) => step === 'lease' && released.some((row) => row.seq === seq)).map((row) => close(row, facts.now)),
      texts: noteOf(input.note),
    }
  },
}

/** What the actor has claimed; for SYSTEM what the lease that is over was for. */
const mine = ({ facts, actor }: Pick<Context, 'facts' | 'actor'>): AssignmentRow[] => {
  const claims = [...facts.assignments, ...facts.pending].filter(({ via }) => via === 'claim')
  if (actor.kind === 'person') return claims.filter((row) => row.memberId !== actor.id && isParty(actor, row))
  return actor.kind === 'system' ? claims.filter(({ seq }) => seq === facts.due?.deadline.seq) : []
}
