import type { Capability, Relation } from './machine.ts'
import type { Facts } from './request.ts'

export const CLAIMER_KINDS = ['party_member', 'volunteer', 'individual', 'enterprise', 'dual_unit'] as const
/** 党员、志愿者、爱心人士、爱心企业 (S0) and 双报到单位 (S3). */
export type ClaimerKind = (typeof CLAIMER_KINDS)[number]

/** A duty held now: a role at a node (its path), or in an organisation. */
export interface HeldDuty {
  id: string
  role: string
  capabilities: Capability[]
  path: string
  organisationId: string | null
}

/** A verified tie between a person and an organisation. */
export interface HeldAffiliation {
  organisationId: string
  kind: ClaimerKind
  /** Of the organisation's node. */
  path: string
}

export interface PersonActor {
  kind: 'person'
  id: string
  clientId: string | null
  duties: HeldDuty[]
  affiliations: HeldAffiliation[]
}
export interface AppActor {
  kind: 'app'
  clientId: string
}
export interface SystemActor {
  kind: 'system'
}
export type Actor = PersonActor | AppActor | SystemActor

export const SYSTEM: SystemActor = { kind: 'system' }

/** Paths end in '/', so a prefix is an ancestor or the node itself. */
export const covers = (path: string, of: string): boolean => of.startsWith(path)

/** The nearest duty that confers the capability over a node: the capacity an act is stored under. */
export function capacity(actor: Actor, capability: Capability, path: string): HeldDuty | undefined {
  if (actor.kind !== 'person') return undefined
  return actor.duties
    .filter((duty) => duty.organisationId === null && duty.capabilities.includes(capability) && covers(duty.path, path))
    .sort((a, b) => b.path.length - a.path.length)[0]
}

/** Organisations a person acts for: by a duty in it that may handle, or as an enterprise's agent. */
export function actsFor(actor: PersonActor, organisationId: string): boolean {
  return actor.duties.some((duty) => duty.organisationId === organisationId && duty.capabilities.includes('handle'))
}

/** How the actor stands to the request: what `by` in the machine's table is matched against. */
export function relationsOf(actor: Actor, facts: Pick<Facts, 'request' | 'assignments' | 'handlers' | 'wall'>): Set<Relation> {
  const { request, assignments, handlers, wall } = facts
  if (actor.kind === 'system') return new Set<Relation>(['system'])
  const relations = new Set<Relation>(['anyone'])
  if (actor.kind === 'app') {
    if (request.filerClientId === actor.clientId && request.filerId === null) relations.add('filer')
    return relations
  }
  if (request.filerId === actor.id) relations.add('filer')
  if (request.beneficiaryId === actor.id) relations.add('beneficiary')
  if (wall && actor.affiliations.some(({ path }) => isInScope(path, wall.scopePath))) relations.add('claimer')
  for (const duty of actor.duties) {
    if (duty.organisationId !== null || !covers(duty.path, request.path)) continue
    for (const capability of duty.capabilities) relations.add(capability)
  }
  if (assignments.some((assignment) => isParty(actor, assignment))) relations.add('assignee')
  if (handlers.some((handler) => isParty(actor, handler))) relations.add('handler')
  return relations
}

/** A wall is for the branches within its scope, and for those whose area contains it. */
const isInScope = (branch: string, scope: string): boolean => covers(scope, branch) || covers(branch, scope)

export function isParty(actor: PersonActor, assignment: { personId: string | null; organisationId: string | null }): boolean {
  if (assignment.personId !== null) return assignment.personId === actor.id
  return assignment.organisationId !== null && actsFor(actor, assignment.organisationId)
}
