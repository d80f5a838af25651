import { SYSTEM } from './actor.ts'
import { markAt } from './deadlines.ts'
import { decide } from './decide.ts'
import { climb } from './ladder.ts'
import { STEPS } from './machine.ts'
import type { Decision, Facts } from './request.ts'

/**
 * A deadline's mark has come: which verb SYSTEM calls. The same verbs, the same `decide` as for any person.
 * Reminders before due; at due the step's own end (`close`, `withdraw`) or one rung of the ladder;
 * with no rung left, a reminder to the top.
 */
export function tick(facts: Facts): Decision {
  const { due, policy, calendar } = facts
  if (!due) throw new Error('tick needs the deadline that is due')
  const mark = markAt(due.deadline, due.deadline.mark, policy, calendar)
  if (mark.kind === 'remind') return decide('remind', facts, {}, SYSTEM)
  const { onDue } = STEPS[due.deadline.step]
  if (onDue === 'close') return decide('close', facts, {}, SYSTEM)
  if (onDue === 'withdraw') return decide('withdraw', facts, {}, SYSTEM)
  return decide(climb(due.ladder, due.deadline.rungPath, due.late).to ? 'escalate' : 'remind', facts, {}, SYSTEM)
}
