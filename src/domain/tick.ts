import { SYSTEM } from './actor.ts'
import { decide } from './decide.ts'
import { climb } from './ladder.ts'
import { STEPS } from './machine.ts'
import { markThatCame } from './marks.ts'
import type { Decision, Facts } from './request.ts'

/**
 * A deadline's mark has come: which verb SYSTEM calls. The same verbs, the same `decide` as for any person.
 * Reminders as the policy says; at due the step's own end, or one rung of the ladder; with no rung left, a reminder to
 * the top.
 */
export function tick(facts: Facts): Decision {
  const { due, now } = facts
  if (!due) throw new Error('tick needs the deadline that is due')
  const { step, rungPath } = due.deadline
  const mark = markThatCame(due.deadline, facts)
  if (mark.kind === 'remind') return decide('remind', facts, {}, SYSTEM)
  if (mark.at > now) throw new Error(`${step} is not due before ${mark.at.toISOString()}`)
  const { onDue } = STEPS[step]
  if (onDue === 'backstop' && facts.pending.length === 0) return backstop(facts)
  if (onDue === 'escalate' || onDue === 'backstop') return decide(climb(due.ladder, rungPath, due.late).to ? 'escalate' : 'remind', facts, {}, SYSTEM)
  return decide(onDue, facts, {}, SYSTEM)
}

/**
 * 兜底: the wall's time is over. Whoever has claimed begins; what nobody has claimed goes to the organisation of the policy
 * (`target`), or down from the wall. (Claims that wait for a word climb the ladder instead: then the publisher is late.)
 */
function backstop(facts: Facts): Decision {
  if (facts.assignments.length > 0) return decide('start', facts, {}, SYSTEM)
  const { target, policy } = facts
  return target && policy.backstop !== null ? decide('dispatch', facts, { to: policy.backstop }, SYSTEM) : decide('take-down', facts, {}, SYSTEM)
}
