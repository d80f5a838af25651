import { isForAdjudication, openAsk } from '../asks.ts'
import type { Context, Rule } from '../decide.ts'
import { climb } from '../ladder.ts'
import { waitsFor } from '../late.ts'
import { climbed, daily, markThatCame, reminded, type Mark } from '../marks.ts'
import type { Facts } from '../request.ts'

function dueOf(facts: Facts): NonNullable<Facts['due']> {
  if (!facts.due) throw new Error('the clock was called without a deadline')
  return facts.due
}

/** Which step, and the time it should have been said: kept also when it is said days later. */
const said = ({ facts }: Pick<Context, 'facts'>, { at }: Mark) => {
  const { deadline: { step, seq, dueAt } } = dueOf(facts)
  const final = step === 'answer' && openAsk(facts, 'return')?.seq === seq && isForAdjudication(facts)
  return { step, logicalAt: at.toISOString(), dueAt: dueAt.toISOString(), ...(final ? { final } : {}) }
}

/**
 * Before, at and after due, as the policy says, and daily once the top of the ladder is reached.
 * `data.tell` are the relations to be told, `data.reminder` which one of the step's list it is.
 */
export const remind: Rule<'remind'> = {
  effect: (context) => {
    const { facts } = context
    const { deadline } = dueOf(facts)
    const mark = markThatCame(deadline, facts)
    if (mark.kind === 'due') {
      return { to: facts.request.state, data: { ...said(context, mark), top: true, tell: ['supervisor'] }, deadlines: [daily(deadline, facts)] }
    }
    const { tell = [waitsFor(facts, deadline)], ...when } = mark.reminder
    return { to: facts.request.state, data: { ...said(context, mark), reminder: when, tell }, deadlines: [reminded(deadline, mark.index, facts)] }
  },
}

/** 升级: supervision moves one rung up, the handler keeps the work. */
export const escalate: Rule<'escalate'> = {
  effect: (context) => {
    const { facts } = context
    const { deadline, ladder, late } = dueOf(facts)
    const { to, skipped, vacant } = climb(ladder, deadline.rungPath, late)
    if (!to) throw new Error('escalate was decided with no rung left')
    return {
      to: facts.request.state,
      data: { ...said(context, markThatCame(deadline, facts)), rung: to.nodeId, level: to.level, skipped, vacant },
      deadlines: [climbed(deadline, to, facts)],
    }
  },
}

/** 时限重算: a year was published, or a rule changed. */
export const reschedule: Rule<'reschedule'> = {
  effect: ({ facts }) => {
    if (!facts.reschedule) throw new Error('reschedule was decided without the deadlines to move')
    const { reason, deadlines } = facts.reschedule
    const policyId = deadlines[0]?.policyId
    const otherRules = reason === 'policy' && policyId !== undefined && policyId !== facts.request.policyId
    return {
      to: facts.request.state,
      // From now on the request's other steps go by the new rules too.
      ...(otherRules ? { patch: { policyId } } : {}),
      data: { reason, ...(otherRules ? { policy: policyId } : {}), moved: deadlines.map(({ step, dueAt, provisional }) => ({ step, dueAt: dueAt.toISOString(), provisional })) },
      deadlines,
    }
  },
}
