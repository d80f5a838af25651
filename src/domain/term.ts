import { Problem, says } from './problems.ts'

export interface Term {
  from?: Date | undefined
  to?: Date | undefined
}

/**
 * From–to, the end not included. What is over already helps nobody.
 * @param at pointer to the object that holds both
 * @throws Problem validation-failed at `to`
 */
export function checkTerm({ from, to }: Term, now: Date, at = ''): void {
  if (to === undefined) return
  if (to <= (from ?? now)) throw refused(at, says('必须晚于开始时间', 'Must be later than the beginning'))
  if (to <= now) throw refused(at, says('必须晚于现在', 'Must lie in the future'))
}

const refused = (at: string, message: ReturnType<typeof says>) => new Problem('validation-failed', { errors: [{ pointer: `${at}/to`, code: 'value', message }] })
