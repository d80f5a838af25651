import type { ClaimerKind } from './actor.ts'
import type { OrganisationKind } from './organisations.ts'
import { Problem, says } from './problems.ts'

/** 报到: who may enrol where. Each is verified by the organisation it is addressed to. */

export const TIES = ['home', 'residence'] as const
/** 双找, 双报到: the branch or unit one belongs to (组织关系, 工作单位), and the branch where one lives. */
export type Tie = (typeof TIES)[number]

export const ENROLMENT_STATES = ['pending', 'verified', 'rejected', 'ended'] as const
export type EnrolmentState = (typeof ENROLMENT_STATES)[number]

export const REJECT_REASONS = ['not_found', 'wrong_organisation', 'incomplete', 'unverifiable', 'other'] as const
export const END_REASONS = ['moved', 'left', 'disqualified', 'other'] as const

const PARTY: readonly OrganisationKind[] = ['party_committee', 'community_party', 'branch', 'party_group']
/** They take in who lives there, whatever he belongs to. */
const RESIDENTIAL: readonly OrganisationKind[] = ['community_party', 'branch', 'party_group']

const AT: Record<ClaimerKind, Partial<Record<Tie | 'single', readonly OrganisationKind[]>>> = {
  party_member: { home: PARTY, residence: RESIDENTIAL },
  dual_unit: { home: ['dual_unit'], residence: RESIDENTIAL },
  volunteer: { single: ['volunteer_team', ...RESIDENTIAL] },
  individual: { single: RESIDENTIAL },
  enterprise: { single: ['enterprise'] },
}

/** Kinds of which one has a home and a residence. */
export const isTied = (kind: ClaimerKind): boolean => AT[kind].single === undefined

/**
 * The tie that an enrolment makes: `home` unless it is said, null for kinds that know none.
 * @throws Problem validation-failed at /tie or /organisation
 */
export function tieOf(kind: ClaimerKind, tie: Tie | undefined, organisation: OrganisationKind): Tie | null {
  if (tie !== undefined && !isTied(kind)) throw refused('/tie', says('这一类不分组织关系所在地和居住地', 'This kind has no home and residence'))
  const made = isTied(kind) ? (tie ?? 'home') : null
  if (!AT[kind][made ?? 'single']?.includes(organisation)) throw refused('/organisation', says('不能向这类组织作此报到', 'This kind does not enrol at such an organisation'))
  return made
}

const refused = (pointer: string, message: ReturnType<typeof says>) => new Problem('validation-failed', { errors: [{ pointer, code: 'value', message }] })
