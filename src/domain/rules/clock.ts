import { advance, daily, markAt } from '../deadlines.ts'
import type { Context, Rule } from '../decide.ts'
import { climb } from '../ladder.ts'
import type { Facts } from '../request.ts'

function dueOf(facts: Facts): NonNullable<Facts['due']> {
  if (!facts.due) throw new Error('the clock was called without a deadline')
  return facts.due
}

/** Which step, and the time it should have been said: kept also when it is said days later. */
const told = ({ facts }: Pick<Context, 'facts'>) => {
  const { deadline } = dueOf(facts)
  return { step: deadline.step, logicalAt: deadline.nextAt?.toISOString(), dueAt: deadline.dueAt.toISOString() }
}

/** Before due, and daily once the top of the ladder is reached. */
export const remind: Rule<'remind'> = {
  effect: (context) => {
    const { facts } = context
    const { deadline } = dueOf(facts)
    const top = markAt(deadline, deadline.mark, facts.policy, facts.calendar).kind === 'due'
    return {
      to: facts.request.state,
      data: { ...told(context), ...(top ? { top: true } : {}) },
      deadlines: [top ? daily(deadline, deadline.nextAt ?? facts.now, facts.calendar) : advance(deadline, facts.policy, facts.calendar)],
    }
  },
}

/** 升级: supervision moves one rung up, the handler keeps the work. */
export const escalate: Rule<'escalate'> = {
  effect: (context) => {
    const { facts } = context
    const { deadline, ladder, late } = dueOf(facts)
    const { to, skipped } = climb(ladder, deadline.rungPath, late)
    if (!to) throw new Error('escalate was decided with no rung left')
    return {
      to: facts.request.state,
      data: { ...told(context), rung: to.nodeId, skipped },
      deadlines: [{ ...advance(deadline, facts.policy, facts.calendar), rungPath: to.path }],
    }
  },
}
