import { isParty } from '../actor.ts'
import { due } from '../calendar.ts'
import { close, met, open, openUntil } from '../deadlines.ts'
import type { Context, Rule } from '../decide.ts'
import { Problem, says } from '../problems.ts'
import type { AssignmentRow, Facts, Target } from '../request.ts'
import { ended } from './assignments.ts'
import { targetUnknown } from './dispatch.ts'
import { noteOf } from './intake.ts'

const sameParty = (row: Pick<AssignmentRow, 'personId' | 'organisationId'>, target: Pick<Target, 'personId' | 'organisationId'>): boolean =>
  row.personId === target.personId && row.organisationId === target.organisationId

const helper = ({ request, now }: Facts, target: Target, via: 'co' | 'whistle', seq: number, slot: number): AssignmentRow => ({
  requestId: request.id, seq, slot, role: 'co', via, quantity: 1, ...target, memberId: null, status: 'active', since: now, until: null, reportedAt: null,
})

/** 协办: with a time limit of its own. Never who has the lead, never twice. */
export const addCo: Rule<'add-co'> = {
  effect: ({ facts, input, seq }) => {
    const { target, now, calendar, request } = facts
    if (!target) throw targetUnknown()
    refuseAlready(facts, target, '/to')
    const until = input.limit === undefined ? undefined : due(calendar, now, input.limit)
    return {
      to: request.state,
      data: { to: target.organisationId ?? target.personId, ...(input.limit === undefined ? {} : { limit: input.limit }) },
      assignments: [helper(facts, target, 'co', seq, 1)],
      deadlines: [until ? { ...openUntil(facts, 'co', seq, now, until.dueAt), provisional: until.provisional } : open(facts, 'co', seq, now)],
      texts: noteOf(input.note),
    }
  },
}

function refuseAlready({ assignments, cos }: Facts, target: Target, pointer: string): void {
  if (![...assignments, ...cos].some((row) => sameParty(row, target))) return
  throw new Problem('validation-failed', { errors: [{ pointer, code: 'already-in', message: says('已是主办或协办', 'Has the lead or helps already') }] })
}

const mine = ({ facts, actor }: Pick<Context, 'facts' | 'actor'>): AssignmentRow[] =>
  actor.kind === 'person' ? facts.cos.filter((row) => isParty(actor, row)) : []

export const coDone: Rule<'co-done'> = {
  refuse: (context) => (mine(context).length === 0 ? new Problem('forbidden') : undefined),
  effect: (context) => {
    const { facts, input } = context
    const done = ended(mine(context), 'done', facts.now)
    return {
      to: facts.request.state, data: { by: partiesOf(done) }, assignments: done, deadlines: withoutThem(facts, done),
      attachments: input.attachments, texts: noteOf(input.note),
    }
  },
}

export const removeCo: Rule<'remove-co'> = {
  refuse: ({ facts }) => (facts.cos.length === 0 ? new Problem('transition-refused') : undefined),
  effect: ({ facts, input }) => {
    const { target } = facts
    const removed = target ? ended(facts.cos.filter((row) => sameParty(row, target)), 'released', facts.now) : []
    if (removed.length === 0) throw new Problem('target-unknown', { errors: [{ pointer: '/co', message: says('没有这个协办方', 'Does not help with this') }] })
    return { to: facts.request.state, data: { co: partiesOf(removed) }, assignments: removed, deadlines: withoutThem(facts, removed), texts: noteOf(input.note) }
  },
}

/** Deadlines of helpers that are gone; one of a whistle ends when nobody it called is still awaited. */
function withoutThem({ cos, deadlines, now }: Facts, gone: readonly AssignmentRow[]) {
  const awaited = cos.filter((row) => !gone.some(({ seq, slot }) => seq === row.seq && slot === row.slot))
  return deadlines
    .filter(({ step, seq }) => (step === 'co' && gone.some((row) => row.seq === seq))
      || (step === 'report_in' && gone.some((row) => row.seq === seq) && awaited.every((row) => row.seq !== seq || row.reportedAt !== null)))
    .map((row) => close(row, now))
}

const partiesOf = (rows: readonly AssignmentRow[]) => rows.map(({ personId, organisationId }) => organisationId ?? personId)

/** 街乡吹哨、部门报到: several are called at once, each reports in (domain.md 1.3). */
export const whistle: Rule<'whistle'> = {
  effect: ({ facts, input, seq }) => {
    const { targets = [], request, now } = facts
    const once: Target[] = []
    for (const [index, target] of targets.entries()) {
      if (once.some((other) => sameParty(other, target))) continue
      refuseAlready(facts, target, `/to/${index}`)
      once.push(target)
    }
    return {
      to: request.state,
      data: { reason: input.reason, to: partiesOf(once.map((target, index) => helper(facts, target, 'whistle', seq, index + 1))) },
      assignments: once.map((target, index) => helper(facts, target, 'whistle', seq, index + 1)),
      deadlines: [open(facts, 'report_in', seq, now)],
      texts: noteOf(input.note),
    }
  },
}

/** 报到. */
export const reportIn: Rule<'report-in'> = {
  refuse: (context) => (unreported(context).length === 0 ? new Problem('already-reported') : undefined),
  effect: (context) => {
    const { facts, input } = context
    const rows = unreported(context).map((row) => ({ ...row, reportedAt: facts.now }))
    const cos = facts.cos.map((row) => rows.find(({ seq, slot }) => seq === row.seq && slot === row.slot) ?? row)
    return {
      to: facts.request.state,
      data: { by: partiesOf(rows) },
      assignments: rows,
      deadlines: met(facts, 'report_in').filter(({ seq }) => cos.every((row) => row.seq !== seq || row.reportedAt !== null)),
      texts: noteOf(input.note),
    }
  },
}

const unreported = (context: Pick<Context, 'facts' | 'actor'>): AssignmentRow[] => mine(context).filter(({ via, reportedAt }) => via === 'whistle' && reportedAt === null)
