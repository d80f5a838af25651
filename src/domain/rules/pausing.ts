import { answers } from '../asks.ts'
import { due, isSettled } from '../calendar.ts'
import { extended, openUntil } from '../deadlines.ts'
import type { Change, Context, Rule } from '../decide.ts'
import { Problem, says } from '../problems.ts'
import type { DeadlineRow, Facts } from '../request.ts'
import { answer, asked, refuseAnswer, refuseTwin } from './asking.ts'
import { ended, givenBack } from './assignments.ts'
import { noteOf, reasonOf } from './intake.ts'
import { offTheWall } from './wall.ts'

const clockOf = ({ deadlines }: Facts): DeadlineRow | undefined => deadlines.find(({ step }) => step === 'complete')

const badUntil = (words: ReturnType<typeof says>, code = 'too-early') => new Problem('validation-failed', { errors: [{ pointer: '/until', code, message: words }] })

/** Asked before expiry, and not one second after (a bureau's 12345 rule: domain.md 1.3): else it would only hide that it is late. */
function refuseLate({ facts }: Pick<Context, 'facts'>): Problem | undefined {
  const clock = clockOf(facts)
  return clock !== undefined && clock.dueAt <= facts.now ? new Problem('too-late') : undefined
}

/** 延期, so often. */
export const askExtension: Rule<'ask-extension'> = {
  refuse: (context) => {
    const { facts } = context
    const late = refuseLate(context)
    if (late) return late
    if (answers(facts, 'extension', ['granted']) >= facts.policy.extensionsMax) return new Problem('limit-reached', { facts: { limit: facts.policy.extensionsMax } })
    return refuseTwin('extension', context)
  },
  effect: (context) => {
    const { facts, input } = context
    const until = input.until ?? due(facts.calendar, clockOf(facts)!.dueAt, input.limit!).dueAt
    later(facts, until)
    return {
      ...asked('extension', context, { until }),
      data: { until: until.toISOString(), ...(input.limit === undefined ? {} : { limit: input.limit }) },
      attachments: input.attachments,
      texts: reasonOf(input.reason),
    }
  },
}

/** More than the longest limit there is: what lies behind it is a slip of the pen, and at last behind the end of every calendar. */
const LONGEST_EXTENSION = 3 * 366 * 86_400_000

function later(facts: Facts, until: Date): void {
  const present = clockOf(facts)?.dueAt ?? facts.now
  if (until <= present) throw badUntil(says('须晚于现时限', 'Must be later than the present due time'))
  if (until.getTime() > present.getTime() + LONGEST_EXTENSION) throw badUntil(says('一次最多延三年', 'At most three years later'), 'too-late')
}

export const grantExtension: Rule<'grant-extension'> = {
  refuse: (context) => refuseAnswer('extension', context),
  effect: (context) => {
    const { facts, input } = context
    const { ask, asks } = answer('extension', 'granted', context)
    const until = input.until ?? ask.until ?? facts.now
    later(facts, until)
    return {
      to: facts.request.state,
      data: { asked: ask.seq, until: until.toISOString() },
      asks: asks.map((row) => ({ ...row, until })),
      deadlines: facts.deadlines.filter(({ step }) => step === 'complete').map((row) => extended(row, until, !isSettled(facts.calendar, until), facts)),
      texts: noteOf(input.note),
    }
  },
}

export const denyExtension: Rule<'deny-extension'> = {
  refuse: (context) => refuseAnswer('extension', context),
  effect: (context) => {
    const { ask, asks } = answer('extension', 'denied', context)
    return { to: context.facts.request.state, data: { asked: ask.seq }, asks, texts: reasonOf(context.input.reason) }
  },
}

/** 挂账: the clock stands until the review date. */
export const askPark: Rule<'ask-park'> = {
  refuse: (context) => {
    const { facts } = context
    const late = refuseLate(context)
    if (late) return late
    if (answers(facts, 'park', ['granted']) >= facts.policy.parksMax) return new Problem('limit-reached', { facts: { limit: facts.policy.parksMax } })
    return refuseTwin('park', context)
  },
  effect: (context) => {
    const { facts, input } = context
    const until = input.until ?? due(facts.calendar, facts.now, input.limit!).dueAt
    reviewable(facts, until)
    return {
      ...asked('park', context, { until }),
      data: { until: until.toISOString() },
      attachments: input.attachments,
      texts: reasonOf(input.reason),
    }
  },
}

/** @throws Problem validation-failed for a review date that is over, or later than the policy lets anything rest */
export function reviewable({ now, calendar, policy }: Facts, until: Date): void {
  if (until <= now) throw badUntil(says('复核日期须在将来', 'The review date must lie ahead'))
  const { dueAt } = due(calendar, now, policy.limits.review)
  if (until > dueAt) throw new Problem('validation-failed', { errors: [{ pointer: '/until', code: 'too-late', message: says(`最迟于 ${dueAt.toISOString()} 复核`, `To be reviewed by ${dueAt.toISOString()} at the latest`) }] })
}

/** What resting means: nobody has the work, nothing is on the wall, and the day of the review is set. */
export function parked(facts: Facts, until: Date, seq: number): Pick<Change, 'patch' | 'assignments' | 'counters' | 'wall' | 'deadlines'> {
  const { assignments, pending, now } = facts
  return {
    patch: { slotsTaken: 0, wave: 0 },
    assignments: [...ended(assignments, 'released', now), ...ended(pending, 'declined', now)],
    counters: givenBack([...assignments, ...pending]),
    ...offTheWall(facts),
    deadlines: [openUntil(facts, 'review', seq, now, until)],
  }
}

export const grantPark: Rule<'grant-park'> = {
  refuse: (context) => refuseAnswer('park', context),
  effect: (context) => {
    const { facts, input, seq } = context
    const { ask, asks } = answer('park', 'granted', context)
    const until = input.until ?? ask.until ?? facts.now
    reviewable(facts, until)
    return {
      to: 'parked', data: { asked: ask.seq, until: until.toISOString() }, asks: asks.map((row) => ({ ...row, until })),
      ...parked(facts, until, seq),
      texts: noteOf(input.note),
    }
  },
}

export const denyPark: Rule<'deny-park'> = {
  refuse: (context) => refuseAnswer('park', context),
  effect: (context) => {
    const { ask, asks } = answer('park', 'denied', context)
    return { to: context.facts.request.state, data: { asked: ask.seq }, asks, texts: reasonOf(context.input.reason) }
  },
}

/** 销账. */
export const unpark: Rule<'unpark'> = {
  effect: ({ actor, input }: Context<'unpark'>) => ({ to: 'accepted', ...(actor.kind === 'system' ? { data: { reason: 'review' } } : {}), texts: noteOf(input.note) }),
}

/**
 * 剔除: not counted in the rates, with the reason and who approved it always shown. Asked before expiry while the work goes
 * on; once it is done no clock runs, and it is asked of what has been done.
 */
export const askExclusion: Rule<'ask-exclusion'> = {
  refuse: (context) => (context.facts.request.excluded ? new Problem('already-excluded') : refuseLate(context) ?? refuseTwin('exclusion', context)),
  effect: (context) => ({ ...asked('exclusion', context), attachments: context.input.attachments, texts: reasonOf(context.input.reason) }),
}

export const grantExclusion: Rule<'grant-exclusion'> = {
  refuse: (context) => refuseAnswer('exclusion', context),
  effect: (context) => {
    const { ask, asks } = answer('exclusion', 'granted', context)
    return { to: context.facts.request.state, patch: { excluded: true }, data: { asked: ask.seq }, asks, texts: noteOf(context.input.note) }
  },
}

export const denyExclusion: Rule<'deny-exclusion'> = {
  refuse: (context) => refuseAnswer('exclusion', context),
  effect: (context) => {
    const { ask, asks } = answer('exclusion', 'denied', context)
    return { to: context.facts.request.state, data: { asked: ask.seq }, asks, texts: reasonOf(context.input.reason) }
  },
}
