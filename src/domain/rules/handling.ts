import { isParty } from '../actor.ts'
import { close, met, reopened } from '../deadlines.ts'
import type { Context, Rule } from '../decide.ts'
import { STATES } from '../machine.ts'
import { Problem, says } from '../problems.ts'
import type { AssignmentRow, Facts } from '../request.ts'
import { ended, givenBack } from './assignments.ts'
import { leadOf } from './dispatch.ts'
import { noteOf, reasonOf } from './intake.ts'
import { offTheWall } from './wall.ts'

/** 首次响应. It ends the claim's lease: the claimer is there. */
export const respond: Rule<'respond'> = {
  refuse: ({ facts }) => (facts.deadlines.some(({ step }) => step === 'respond') ? undefined : new Problem('already-responded')),
  effect: (context) => {
    const { facts, input } = context
    return {
      to: 'in_progress',
      patch: facts.request.respondedAt ? {} : { respondedAt: facts.now },
      deadlines: [...met(facts, 'respond'), ...leaseOf(context)],
      texts: noteOf(input.note),
    }
  },
}

const leaseOf = (context: Pick<Context, 'facts' | 'actor'>) => {
  const lead = leadOf(context)
  return context.facts.deadlines.filter(({ step, seq }) => step === 'lease' && seq === lead?.seq).map((row) => close(row, context.facts.now))
}

/** What of a record belongs to which kind: 跑腿 委托, papers and trips, 调解 sessions, 活动 people. */
const OF_KIND = { authorisation: 'errand', trip: 'errand', papers: 'errand', session: 'mediation', agreement: 'mediation', participants: 'activity' } as const

/** 办理记录. Ids, codes and counts go into the event; words into their own row. */
export const record: Rule<'record'> = {
  effect: ({ facts, input }) => {
    const { request } = facts
    const { authorisation, trip, papers = [], session, agreement, participants, beneficiaries } = input
    for (const [field, kind] of Object.entries(OF_KIND)) {
      if (input[field as keyof typeof OF_KIND] !== undefined && request.kind !== kind) {
        throw new Problem('validation-failed', { errors: [{ pointer: `/${field}`, code: 'not-of-this-kind', message: says('这类点单没有这一项', 'Requests of this kind have no such record') }] })
      }
    }
    let papersOut = request.papersOut
    for (const [index, { direction, count = 1 }] of papers.entries()) {
      papersOut += direction === 'received' ? count : -count
      if (papersOut < 0) throw new Problem('validation-failed', { errors: [{ pointer: `/papers/${index}`, code: 'not-received', message: says('交还的多于收到的', 'More returned than was received') }] })
    }
    return {
      to: request.state,
      patch: {
        papersOut,
        ...(trip ? { trips: request.trips + 1 } : {}),
        ...(session ? { sessions: request.sessions + 1 } : {}),
        ...(beneficiaries === undefined ? {} : { beneficiaries }),
      },
      data: {
        ...(authorisation === undefined ? {} : { authorisation }),
        ...(trip ? { trip: request.trips + 1 } : {}), ...(papers.length > 0 ? { papers } : {}), ...(session ? { session: request.sessions + 1 } : {}),
        ...(agreement === undefined ? {} : { agreement }), ...(participants === undefined ? {} : { participants }), ...(beneficiaries === undefined ? {} : { beneficiaries }),
      },
      attachments: input.attachments,
      texts: noteOf(input.note),
    }
  },
}

/** 办结. Completing without a first response counts as responding. 即办件 is completed by who took it, in the commit that files it. */
export const complete: Rule<'complete'> = {
  refuse: ({ facts }) => (facts.request.papersOut > 0 ? new Problem('papers-out', { facts: { papersOut: facts.request.papersOut } }) : undefined),
  effect: ({ facts, actor, input, seq }) => {
    const { request, item, now } = facts
    const result = input.result ?? 'realised'
    if (item.proof && !facts.onTheSpot && input.attachments === undefined) {
      throw new Problem('validation-failed', { errors: [{ pointer: '/attachments', code: 'required', message: says('此项服务办结须附照片或材料', 'This service takes a photo or paper as proof') }] })
    }
    const handlers = facts.onTheSpot && actor.kind === 'person' ? [onTheSpot(facts, actor.id, seq)] : facts.assignments
    const impossible = result === 'impossible'
    return {
      to: 'completed',
      patch: {
        completedAt: now, result, respondedAt: request.respondedAt ?? now, confirmed: impossible ? false : null, resolvedAtLevel: highest(facts, handlers),
        ...(input.beneficiaries === undefined ? {} : { beneficiaries: input.beneficiaries }),
      },
      data: { result, ...(input.beneficiaries === undefined ? {} : { beneficiaries: input.beneficiaries }) },
      assignments: ended(handlers, 'done', now),
      counters: givenBack(facts.assignments),
      ...offTheWall(facts),
      ...(impossible ? { opens: ['confirm' as const] } : {}),
      attachments: input.attachments,
      texts: [{ field: 'outcome', body: input.outcome }, ...noteOf(input.note)],
    }
  },
}

const onTheSpot = ({ request, responsibleLevel, now }: Facts, personId: string, seq: number): AssignmentRow => ({
  requestId: request.id, seq, slot: 1, role: 'lead', via: 'dispatch', quantity: 1, personId, organisationId: null, memberId: null,
  path: request.path, level: responsibleLevel, status: 'done', since: now, until: now, reportedAt: null,
})

/** 小事不出楼栋: the highest level that had a hand in it. */
function highest({ request, responsibleLevel }: Facts, handlers: readonly AssignmentRow[]): string | null {
  const [top] = [{ path: request.path, level: responsibleLevel as string | null }, ...handlers].sort((a, b) => a.path.length - b.path.length)
  return top?.level ?? responsibleLevel
}

/** 确认办结: what is said to be impossible is believed only now. */
export const confirm: Rule<'confirm'> = {
  refuse: ({ facts, actor }) => {
    if (facts.request.confirmed !== false) return new Problem('nothing-to-confirm')
    return actor.kind === 'person' && facts.handlers.some((handler) => isParty(actor, handler)) ? new Problem('own-work') : undefined
  },
  effect: ({ facts, input }) => ({
    to: 'completed', patch: { confirmed: true }, opens: STATES.completed.steps, deadlines: met(facts, 'confirm'), texts: noteOf(input.note),
  }),
}

/** 退回重做: the same handlers go on, under the clock they had. */
export const sendBack: Rule<'send-back'> = {
  refuse: ({ facts }) => (lastHandlers(facts).length === 0 ? new Problem('transition-refused') : undefined),
  effect: ({ facts, input }) => {
    const handlers = lastHandlers(facts)
    return {
      to: 'in_progress',
      patch: { result: null, completedAt: null, confirmed: null, resolvedAtLevel: null, unreached: 0 },
      assignments: handlers.map((row) => ({ ...row, status: 'active', until: null })),
      counters: givenBack(handlers).map((counter) => ({ ...counter, delta: 1 })),
      opens: [],
      deadlines: facts.worked ? [reopened(facts.worked, facts)] : [],
      texts: reasonOf(input.reason),
    }
  },
}

/** Who completed it last; not who did in an earlier cycle, nor those it was merged with. */
const lastHandlers = ({ handlers, request }: Facts): AssignmentRow[] =>
  request.onTheSpot || request.leadId !== null ? [] : handlers.filter(({ until }) => until?.getTime() === request.completedAt?.getTime())
