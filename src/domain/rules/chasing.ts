import { covers } from '../actor.ts'
import { dayOf } from '../calendar.ts'
import type { Rule } from '../decide.ts'
import { Problem, says } from '../problems.ts'
import { refuseFromBelow, targetUnknown } from './dispatch.ts'
import { noteOf, reasonOf } from './intake.ts'
import { parked, reviewable } from './pausing.ts'

const urgesToday = ({ request, calendar, now }: Parameters<NonNullable<Rule<'urge'>['refuse']>>[0]['facts']): number =>
  request.urgedAt !== null && dayOf(calendar, request.urgedAt) === dayOf(calendar, now) ? request.urges : 0

/** 催办: so often a day. */
export const urge: Rule<'urge'> = {
  refuse: ({ facts }) => (urgesToday(facts) >= facts.policy.urgesPerDay ? new Problem('limit-reached', { facts: { limit: facts.policy.urgesPerDay } }) : undefined),
  effect: ({ facts, input }) => {
    const urges = urgesToday(facts) + 1
    return { to: facts.request.state, patch: { urges, urgedAt: facts.now }, data: { urges }, texts: noteOf(input.note) }
  },
}

/** 督办: written to those who have the work; it stays with them. */
export const supervise: Rule<'supervise'> = {
  effect: ({ facts, input }) => ({ to: facts.request.state, texts: noteOf(input.note) }),
}

/** 上报: up the tree, or out of it (S0: 对接区委、街道和村居). Queue, wall and clock go with it; sight stays where it happened. */
export const raise: Rule<'raise'> = {
  effect: ({ facts, input }) => {
    const { raisedTo, request, wall } = facts
    if (!raisedTo) {
      throw input.to === undefined
        ? new Problem('no-level-above')
        : new Problem('node-unknown', { errors: [{ pointer: '/to', message: says('没有这个上级节点或外部组织', 'No such node above, nor such an organisation') }] })
    }
    const { node, path, level, organisationId } = raisedTo
    if (organisationId === null && (!covers(path, request.path) || path === request.path)) {
      throw new Problem('validation-failed', { errors: [{ pointer: '/to', code: 'not-an-ancestor', message: says('只能上报给上级', 'Only to a node above') }] })
    }
    if (organisationId !== null && covers(request.path, path)) throw new Problem('validation-failed', { errors: [{ pointer: '/to', code: 'same-node', message: says('该组织就在本级或其下，请派单', 'It belongs to this node or below: dispatch to it') }] })
    return {
      to: request.state,
      patch: { responsibleNodeId: node.id, path },
      responsibleNode: { responsibleNode: node, responsibleLevel: level },
      data: { from: request.responsibleNodeId, to: node.id, ...(organisationId === null ? {} : { organisation: organisationId }) },
      // Where the wall reaches the new place already, it stays as wide as it is.
      ...(wall && !covers(wall.scopePath, path) ? { wall: { ...wall, scopePath: path } } : {}),
      texts: reasonOf(input.reason),
    }
  },
}

/** 首问移交: the only way the first-contact owner changes (S1: 首问责任制). */
export const handOver: Rule<'hand-over'> = {
  refuse: ({ facts, relations }) => (relations.has('first_contact') || facts.request.firstContactId === null || relations.has('dispatch') ? undefined : new Problem('forbidden')),
  effect: ({ facts, input }) => {
    const { target, request } = facts
    if (!target?.personId) throw targetUnknown()
    if (target.personId === request.firstContactId) throw new Problem('validation-failed', { errors: [{ pointer: '/to', code: 'unchanged', message: says('已是首问责任人', 'Is the first-contact owner already') }] })
    return { to: request.state, patch: { firstContactId: target.personId }, data: { from: request.firstContactId, to: target.personId }, texts: noteOf(input.note) }
  },
}

/** 议事厅、恳谈日 (S2, S3): what was decided; a long matter rests until the next meeting, by the meeting's own decision. */
export const deliberate: Rule<'deliberate'> = {
  effect: ({ facts, actor, input, seq }) => {
    const { decision, participants, heldAt, until } = input
    const said = {
      data: { decision, ...(participants === undefined ? {} : { participants }), heldAt: (heldAt ?? facts.now).toISOString(), ...(until ? { until: until.toISOString() } : {}) },
      attachments: input.attachments,
      texts: [{ field: 'minutes' as const, body: input.minutes }],
    }
    if (!until) return { to: facts.request.state, ...said }
    // Resting takes the work away.
    const bound = refuseFromBelow({ facts, actor })
    if (bound) throw bound
    reviewable(facts, until)
    return { to: 'parked', ...parked(facts, until, seq), ...said }
  },
}
