import { SYSTEM } from './actor.ts'
import { decide } from './decide.ts'
import { isFinal } from './machine.ts'
import type { Decision, Facts } from './request.ts'

/**
 * 并案: what one decision means for the others, to be committed with it or not at all. A merge moves the lead's version;
 * a lead that is completed completes those merged into it, one that is sent back takes them along, one that ends
 * otherwise gives them back.
 */
export function withFamily(decision: Decision, facts: Facts): Decision[] {
  const { request } = decision
  if (decision.verb === 'merge' && facts.lead) return [decision, decide('absorb', { ...facts.lead, now: facts.now, merged: [decision.after] }, {}, SYSTEM)]
  const { merged = [] } = facts
  if (decision.verb === 'send-back') return [decision, ...merged.map((child) => decide('rejoin', { ...child, now: facts.now }, {}, SYSTEM))]
  if (request.state === 'completed') return [decision, ...merged.map((child) => decide('follow-lead', { ...child, now: facts.now, lead: decision.after }, {}, SYSTEM))]
  if (isFinal(request.state)) return [decision, ...merged.map((child) => decide('unmerge', { ...child, now: facts.now }, {}, SYSTEM))]
  return [decision]
}
