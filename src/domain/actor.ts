import type { Capability, Relation } from './machine.ts'
import type { AssignmentRow, Facts } from './request.ts'

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
  /** Has a login of his own: nobody else acts for him. */
  hasAccount: boolean
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

/** What a duty confers also where it happened, when another node has become responsible: sight of one's own residents. */
const WHERE_IT_HAPPENED: readonly Capability[] = ['view', 'file_for', 'follow_up']

type Stands = Pick<Facts, 'request' | 'nodePath' | 'assignments' | 'cos' | 'pending' | 'attendees' | 'handlers' | 'wall' | 'onTheSpot'>

/** How the actor stands to the request: what `by` in the machine's table is matched against. */
export function relationsOf(actor: Actor, facts: Stands): Set<Relation> {
  const { request, nodePath, wall } = facts
  if (actor.kind === 'system') return new Set<Relation>(['system'])
  const relations = new Set<Relation>(['anyone'])
  if (actor.kind === 'app') {
    if (request.filerClientId === actor.clientId && request.filerId === null) relations.add('filer')
    return relations
  }
  if (request.filerId === actor.id) relations.add('filer')
  if (request.beneficiaryId === actor.id) relations.add('beneficiary')
  if (request.guardianId === actor.id) relations.add('guardian')
  if (request.firstContactId === actor.id) relations.add('first_contact')
  if (wall && actor.affiliations.some(({ path }) => isInScope(path, wall.scopePath))) relations.add('claimer')
  // Nobody decides on a complaint about himself.
  if (!isRespondent(actor, request)) {
    for (const duty of actor.duties) {
      if (duty.organisationId !== null) continue
      for (const capability of duty.capabilities) {
        if (covers(duty.path, request.path) || (WHERE_IT_HAPPENED.includes(capability) && covers(duty.path, nodePath))) relations.add(capability)
      }
    }
  }
  if (facts.onTheSpot && relations.has('file_for')) relations.add('on_the_spot')
  for (const [relation, rows] of [['assignee', facts.assignments], ['co', facts.cos], ['pending', facts.pending], ['attendee', facts.attendees], ['handler', facts.handlers]] as const) {
    if (rows.some((row) => isParty(actor, row))) relations.add(relation)
  }
  return relations
}

/** 被反映人, or who acts for the organisation complained of. */
export const isRespondent = (actor: PersonActor, { respondentId, respondentOrganisationId }: Facts['request']): boolean =>
  respondentId === actor.id || (respondentOrganisationId !== null && actsFor(actor, respondentOrganisationId))

/** A wall is for the branches within its scope, and for those whose area contains it. */
const isInScope = (branch: string, scope: string): boolean => covers(scope, branch) || covers(branch, scope)

export function isParty(actor: PersonActor, { personId, organisationId, memberId }: Pick<AssignmentRow, 'personId' | 'organisationId' | 'memberId'>): boolean {
  return personId === actor.id || memberId === actor.id || (organisationId !== null && actsFor(actor, organisationId))
}

/** Approves from a node above this one, or on it when it is the root. */
export const isAbove = (actor: Actor, path: string): boolean =>
  actor.kind === 'person' && actor.duties.some((duty) => duty.organisationId === null && duty.capabilities.includes('approve')
    && covers(duty.path, path) && (duty.path !== path || isRoot(path)))

const isRoot = (path: string): boolean => path.indexOf('/') === path.length - 1
