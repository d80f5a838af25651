import { capacity, isParty, isRespondent, relationsOf, type Actor } from './actor.ts'
import { looksAfter, mayRegister } from './directory.ts'
import type { Facts } from './request.ts'
import { consentTo } from './rules/intake.ts'
import { isSecret } from './secret.ts'

/** 显示: who may be shown the petitioners of a request unmasked, and in what standing. Nothing of it outlasts the standing. */
export type RevealStanding = 'handler' | 'dispatcher' | 'caller'

/**
 * The handler while the work is his (a claimer only with the petitioner's consent to it, 个人信息保护法第二十三条), whoever
 * dispatches it until it is closed, the caller while it waits for the follow-up. Secret matters (调解、保密件) are for the
 * handler alone, and nobody complained of learns who complains.
 */
export function revealStanding(actor: Actor, facts: Facts): RevealStanding | undefined {
  if (actor.kind !== 'person' || isRespondent(actor, facts.request)) return undefined
  const relations = relationsOf(actor, facts)
  if (relations.has('assignee')) {
    const mine = facts.assignments.filter((row) => isParty(actor, row))
    if (mine.some(({ via }) => via !== 'claim') || consentTo(facts, 'contact_to_claimer')) return 'handler'
  }
  if (isSecret(facts.request)) return undefined
  if (facts.request.closedAt === null && capacity(actor, 'dispatch', facts.request.path)) return 'dispatcher'
  if (facts.request.state === 'completed' && relations.has('follow_up') && !relations.has('handler')) return 'caller'
  return undefined
}

/** Who may correct what is written down of a person may also read it. @param paths of all places the person belongs to */
export const mayReveal = (actor: Actor, { hasAccount, paths }: { hasAccount: boolean; paths: readonly string[] }): boolean =>
  actor.kind === 'person' && (hasAccount ? looksAfter(actor, paths) : paths.length > 0 && paths.every((path) => mayRegister(actor, path)))
