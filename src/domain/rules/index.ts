import type { Rule } from '../decide.ts'
import type { Transition } from '../machine.ts'
import { cancelSignUp, signUp } from './activity.ts'
import { deliberate, handOver, raise, supervise, urge } from './chasing.ts'
import { claim, confirmClaim, declineClaim, release } from './claim.ts'
import { escalate, remind, reschedule } from './clock.ts'
import { close, followUp, rate, reopen, withdraw } from './closing.ts'
import { assign, dispatch, redispatch, sign } from './dispatch.ts'
import { complete, confirm, record, respond, sendBack } from './handling.ts'
import { accept, amendRule, consent, reject, resubmit, returnForCompletion } from './intake.ts'
import { addCo, coDone, removeCo, reportIn, whistle } from './joint.ts'
import { absorb, followLead, merge, rejoin, unmerge } from './merging.ts'
import { askExclusion, askExtension, askPark, denyExclusion, denyExtension, denyPark, grantExclusion, grantExtension, grantPark, unpark } from './pausing.ts'
import { adjudicate, askReturn, denyReturn, grantReturn } from './returning.ts'
import { place, start, takeDown, widen } from './wall.ts'

/** One rule per verb; a verb of the machine without its rule does not compile. */
export const RULES: { readonly [V in Transition]: Rule<V> } = {
  accept, reject, return: returnForCompletion, resubmit, amend: amendRule, consent,
  place, 'take-down': takeDown, widen, start,
  claim, 'confirm-claim': confirmClaim, 'decline-claim': declineClaim, release,
  dispatch, redispatch, assign, sign,
  'ask-return': askReturn, 'grant-return': grantReturn, 'deny-return': denyReturn, adjudicate,
  'ask-extension': askExtension, 'grant-extension': grantExtension, 'deny-extension': denyExtension,
  'ask-park': askPark, 'grant-park': grantPark, 'deny-park': denyPark, unpark,
  'ask-exclusion': askExclusion, 'grant-exclusion': grantExclusion, 'deny-exclusion': denyExclusion,
  respond, record, complete, confirm, 'send-back': sendBack,
  'sign-up': signUp, 'cancel-sign-up': cancelSignUp,
  'add-co': addCo, 'co-done': coDone, 'remove-co': removeCo, whistle, 'report-in': reportIn, deliberate,
  'follow-up': followUp, rate, reopen, close, withdraw,
  merge, absorb, unmerge, rejoin, 'follow-lead': followLead,
  urge, supervise, raise, 'hand-over': handOver,
  remind, escalate, reschedule,
}
