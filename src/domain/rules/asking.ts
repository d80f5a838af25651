import { capacity, isAbove, isParty, type Actor } from '../actor.ts'
import { openAsk } from '../asks.ts'
import { open } from '../deadlines.ts'
import type { Change, Context } from '../decide.ts'
import { Problem } from '../problems.ts'
import type { AskKind, AskRow } from '../request.ts'
import { leadOf } from './dispatch.ts'

type Asking = Pick<Context, 'facts' | 'actor' | 'seq'>

/** Asked: an open ask, and a time within which it is to be answered. */
export function asked(kind: AskKind, context: Asking, given: Partial<Pick<AskRow, 'reason' | 'until' | 'suggestedPersonId' | 'suggestedOrganisationId'>> = {}): Pick<Change, 'to' | 'asks' | 'deadlines'> {
  const { facts, seq } = context
  const { request, now } = facts
  return {
    to: request.state,
    asks: [{
      requestId: request.id, seq, kind, cycle: request.cycle, reason: null, ...asker(context), until: null, suggestedPersonId: null, suggestedOrganisationId: null,
      status: 'open', askedAt: now, answeredAt: null, answeredBy: null, ...given,
    }],
    deadlines: [open(facts, 'answer', seq, now)],
  }
}

/** Whoever has the work asks as it; others ask in the duty they dispatch by. */
function asker(context: Asking): Pick<AskRow, 'personId' | 'organisationId' | 'path'> {
  const { facts, actor } = context
  const lead = leadOf(context) ?? facts.handlers.find((row) => actor.kind === 'person' && isParty(actor, row))
  if (lead) return { personId: lead.personId, organisationId: lead.organisationId, path: lead.path }
  const { path } = facts.request
  return { personId: actor.kind === 'person' ? actor.id : null, organisationId: null, path: capacity(actor, 'dispatch', path)?.path ?? path }
}

/** At most one open ask per kind and request. */
export const refuseTwin = (kind: AskKind, { facts }: Pick<Context, 'facts'>): Problem | undefined =>
  openAsk(facts, kind) ? new Problem('already-asked') : undefined

/** Nobody answers his own ask, nor one who stands on the asker's level: the answer comes from above. At the root, from a colleague. */
export function refuseAnswer(kind: AskKind, { facts, actor }: Pick<Context, 'facts' | 'actor'>, { fromAbove = true } = {}): Problem | undefined {
  const ask = openAsk(facts, kind)
  if (!ask) return new Problem('not-asked')
  if (isOwn(ask, actor)) return new Problem('own-ask')
  return fromAbove && !isAbove(actor, ask.path) ? new Problem('level-too-low') : undefined
}

const isOwn = (ask: AskRow, actor: Actor): boolean => actor.kind === 'person' && isParty(actor, { ...ask, memberId: null })

/** The open ask of a kind, with its answer. */
export function answer(kind: AskKind, status: 'granted' | 'denied', { facts, actor }: Pick<Context, 'facts' | 'actor'>): { ask: AskRow; asks: AskRow[] } {
  const ask = openAsk(facts, kind)
  if (!ask) throw new Problem('not-asked')
  return { ask, asks: [{ ...ask, status, answeredAt: facts.now, answeredBy: actor.kind === 'person' ? actor.id : null }] }
}
