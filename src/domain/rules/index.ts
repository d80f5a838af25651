import type { Rule } from '../decide.ts'
import type { Transition } from '../machine.ts'
import { claim, release } from './claim.ts'
import { escalate, remind } from './clock.ts'
import { close, followUp, rate, withdraw } from './closing.ts'
import { dispatch, redispatch, sign } from './dispatch.ts'
import { complete, respond } from './handling.ts'
import { accept, reject, resubmit, returnForCompletion } from './intake.ts'
import { place, takeDown } from './wall.ts'

/** One rule per verb; a verb of the machine without its rule does not compile. */
export const RULES: { readonly [V in Transition]: Rule<V> } = {
  accept, reject, return: returnForCompletion, resubmit,
  place, 'take-down': takeDown,
  dispatch, redispatch, sign,
  claim, release,
  respond, complete,
  'follow-up': followUp, rate, close, withdraw,
  remind, escalate,
}
