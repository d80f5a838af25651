import { covers } from '../actor.ts'
import type { Body } from '../bodies.ts'
import { redrawn } from '../deadlines.ts'
import type { Change, Context, Rule } from '../decide.ts'
import type { Step } from '../machine.ts'
import { Problem, says } from '../problems.ts'
import { firstContact } from './assignments.ts'
import type { ConsentRow, Facts } from '../request.ts'

/** A note is free text: it goes into its own row, never into the event. */
export const noteOf = (note: string | undefined) => (note === undefined ? [] : [{ field: 'note' as const, body: note }])
export const reasonOf = (reason: string | undefined) => (reason === undefined ? [] : [{ field: 'reason' as const, body: reason }])

export const accept: Rule<'accept'> = {
  // 审核: nobody approves what he asks for himself.
  refuse: ({ facts, relations }) => (facts.item.review && (relations.has('filer') || relations.has('beneficiary')) ? new Problem('own-ask') : undefined),
  effect: (context) => {
    const { facts, actor, input } = context
    const amended = amend(context, ['complete'])
    return {
      ...amended,
      to: 'accepted',
      patch: {
        acceptedAt: facts.now,
        ...firstContact(facts, actor),
        ...amended.patch,
      },
      texts: noteOf(input.note),
    }
  },
}

/** 更正: item, node, title, grade; the grade selects the policy. Under another policy the work is due as if it had always been so. */
export const amendRule: Rule<'amend'> = {
  effect: (context) => {
    const { facts, input } = context
    const amended = amend(context)
    return {
      ...amended,
      to: facts.request.state,
      ...(input.title === undefined ? {} : { title: input.title }),
      texts: [...(input.title === undefined ? [] : [{ field: 'title' as const, body: input.title }]), ...noteOf(input.note)],
    }
  },
}

/** @param runningOn the steps that go on after it; all by default */
function amend({ facts, actor, input }: Pick<Context<'accept' | 'amend'>, 'facts' | 'actor' | 'input'>, runningOn?: readonly Step[]): Omit<Change, 'to'> {
  const { amended, request } = facts
  if (!amended) return {}
  const { item, policyId, node, nodePath, nodeLevel } = amended
  const moves = node.id !== facts.node.id
  if (moves && actor.kind === 'person' && !actor.duties.some((duty) => duty.organisationId === null && duty.capabilities.includes('dispatch') && covers(duty.path, nodePath))) {
    throw new Problem('node-unknown', { errors: [{ pointer: '/node', message: says('不在您负责的范围内；外辖区的请上报', 'Outside your area: raise it instead') }] })
  }
  return {
    amended,
    ...(moves ? { responsibleNode: { responsibleNode: node, responsibleLevel: nodeLevel } } : {}),
    patch: {
      itemId: item.id, kind: item.kind, policyId, grade: input.grade ?? request.grade ?? item.grade,
      ...(moves ? { nodeId: node.id, responsibleNodeId: node.id, path: nodePath } : {}),
    },
    data: { ...(input.item === undefined ? {} : { item: item.code }), ...(moves ? { node: node.id } : {}), ...(input.grade === undefined ? {} : { grade: input.grade }) },
    deadlines: policyId === request.policyId ? [] : redrawn({ ...facts, ...amended }, policyId, facts.policy, runningOn),
  }
}

const withReason = (to: 'rejected' | 'returned') => ({ facts, input }: Pick<Context<'reject' | 'return'>, 'facts' | 'input'>) => ({
  to,
  patch: to === 'rejected' ? { closedAt: facts.now } : {},
  data: { reason: input.reason },
  texts: noteOf(input.note),
})

export const reject: Rule<'reject'> = { effect: withReason('rejected') }

/** 退回补正. What others are merged into is not sent back: they would wait for one filer's papers. */
export const returnForCompletion: Rule<'return'> = {
  refuse: ({ facts }) => (facts.isLead ? new Problem('has-merged') : undefined),
  effect: withReason('returned'),
}

export const resubmit: Rule<'resubmit'> = {
  effect: ({ facts, input }) => {
    const rewritten = input.title !== undefined || input.description !== undefined
    const title = input.title ?? facts.title
    return {
      to: 'filed',
      attachments: input.attachments,
      texts: [
        ...(rewritten ? [{ field: 'title' as const, body: title }] : []),
        ...(input.description === undefined ? [] : [{ field: 'description' as const, body: input.description }]),
        ...noteOf(input.note),
      ],
      ...(rewritten ? { title } : {}),
    }
  },
}

/** 记录同意, or its withdrawal. A wish whose wall consent is withdrawn is shown to verified claimers only, from now on. */
export const consent: Rule<'consent'> = {
  effect: ({ facts, input, relations }) => {
    const { purpose, by, how, at, granted = true } = input
    const { request } = facts
    if (by === 'guardian' && request.guardianId !== null && !relations.has('guardian') && !relations.has('file_for')) {
      throw new Problem('forbidden', { errors: [{ pointer: '/by', message: says('监护人的同意由监护人本人给出，或由工作人员记录', 'A guardian’s consent is given by the guardian, or recorded by staff') }] })
    }
    const row = { purpose, by, how, at: at ?? facts.now, granted }
    const { wall } = facts
    const said = { data: { purpose, by, how, granted }, consents: [row] }
    // What could not have been placed without it comes down; those who have claimed go on.
    const untaken = facts.assignments.length + facts.pending.length === 0
    if (wall && purpose === 'wall' && !granted && request.state === 'open' && isGuarded(request) && untaken) {
      return { to: 'accepted', patch: { wave: 0 }, ...said, wall: { ...wall, takenDownAt: facts.now, isPublic: false } }
    }
    return {
      to: request.state,
      ...said,
      ...(wall && purpose === 'wall' ? { wall: { ...wall, isPublic: granted } } : {}),
    }
  },
}

/** Publishing anything of a minor needs the guardian's consent (个人信息保护法第三十一条). */
export const isGuarded = ({ targetGroup }: Facts['request']): boolean => targetGroup === 'minor' || targetGroup === 'disabled_child'

/** Consents as they are filed. */
export const consentsOf = (consents: Body<'file'>['consents'], now: Date): Omit<ConsentRow, 'requestId' | 'seq'>[] =>
  (consents ?? []).map(({ purpose, by, how, at }) => ({ purpose, by, how, at: at ?? now, granted: true }))

export const consentTo = ({ consents }: Pick<Facts, 'consents'>, purpose: ConsentRow['purpose']): ConsentRow | undefined =>
  consents.find((one) => one.purpose === purpose && one.granted)
