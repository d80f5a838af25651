import { relationsOf } from '../actor.ts'
import { reopened } from '../deadlines.ts'
import type { Rule } from '../decide.ts'
import { VERBS, type State } from '../machine.ts'
import { Problem, says, type Says } from '../problems.ts'
import { isSecret } from '../secret.ts'
import type { AssignmentRow } from '../request.ts'
import { ended, firstContact } from './assignments.ts'
import { noteOf } from './intake.ts'
import { offTheWall } from './wall.ts'

/** A lead is still to be completed: its completion is theirs. */
const LEADS: readonly State[] = VERBS.absorb.edges[0].from

const refused = (message: Says) => new Problem('not-mergeable', { errors: [{ pointer: '/into', message }] })

/** 并案: each keeps its number, notices, follow-up and rating; what is done is done for all. */
export const merge: Rule<'merge'> = {
  refuse: ({ facts }) => {
    if (facts.isLead) return new Problem('has-merged')
    return facts.assignments.length > 0 || facts.pending.length > 0 ? new Problem('already-claimed') : undefined
  },
  effect: ({ facts, actor, input }) => {
    const { lead, request, now } = facts
    if (!lead || !relationsOf(actor, lead).has('dispatch')) throw new Problem('not-mergeable', { errors: [{ pointer: '/into', code: 'unknown', message: says('您负责的范围内没有这件点单', 'No such request in your area') }] })
    if (lead.request.id === request.id) throw refused(says('不能并入自己', 'Not into itself'))
    if (!LEADS.includes(lead.request.state)) throw refused(says('主件已办结、结案、待补正或已并入他案', 'The lead is completed, closed, returned or merged itself'))
    // Who may read the one would read of the other.
    if (isSecret(lead.request) !== isSecret(request)) throw refused(says('保密件只能与保密件并案', 'Confidential matters only with confidential ones'))
    return {
      to: 'merged',
      patch: { leadId: lead.request.id, acceptedAt: request.acceptedAt ?? now, ...firstContact(facts, actor) },
      data: { into: lead.request.id },
      ...offTheWall(facts),
      texts: noteOf(input.note),
    }
  },
}

/** The lead's side of a merge: its version moves, so that completing it meanwhile cannot forget the newcomer. */
export const absorb: Rule<'absorb'> = {
  effect: ({ facts }) => ({ to: facts.request.state, data: { merged: facts.merged?.map(({ request }) => request.id) } }),
}

export const unmerge: Rule<'unmerge'> = {
  effect: ({ facts, input, actor }) => ({
    to: 'accepted',
    patch: { leadId: null },
    data: { from: facts.request.leadId, ...(actor.kind === 'system' ? { reason: 'lead_ended' } : {}) },
    texts: noteOf(input.note),
  }),
}

/** 主件退回重做: what was said to be done was not, for nobody. It waits for the lead again, under the clock it had. */
export const rejoin: Rule<'rejoin'> = {
  effect: ({ facts }) => ({
    to: 'merged',
    patch: { result: null, completedAt: null, confirmed: null, resolvedAtLevel: null, unreached: 0 },
    data: { lead: facts.request.leadId },
    assignments: ended(facts.handlers.filter(({ until }) => until?.getTime() === facts.request.completedAt?.getTime()), 'replaced', facts.now),
    deadlines: facts.worked ? [reopened(facts.worked, facts)] : [],
  }),
}

/** 随主件办结. The lead's handlers are its handlers too: they do not follow up their own work. */
export const followLead: Rule<'follow-lead'> = {
  effect: ({ facts, seq }) => {
    const { lead, request, now } = facts
    if (!lead) throw new Error('follow-lead was called without the lead')
    const { result, confirmed, resolvedAtLevel } = lead.request
    const handlers = lead.handlers.filter(({ until }) => until?.getTime() === lead.request.completedAt?.getTime())
    return {
      to: 'completed',
      patch: { completedAt: now, result, confirmed, resolvedAtLevel, respondedAt: request.respondedAt ?? lead.request.respondedAt ?? now },
      data: { result, lead: lead.request.id },
      assignments: ended(handlers.map((row, index): AssignmentRow => ({ ...row, requestId: request.id, seq, slot: index + 1, via: 'dispatch', since: now })), 'done', now),
      ...(confirmed === false ? { opens: ['confirm' as const] } : {}),
    }
  },
}
