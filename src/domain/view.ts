import { isRespondent, relationsOf, type Actor } from './actor.ts'
import { allowed } from './decide.ts'
import type { Relation } from './machine.ts'
import type { AskRow, AssignmentRow, Facts } from './request.ts'
import { isSecret } from './secret.ts'

/** How much of a request an actor sees: all of it, its wall projection, or nothing. */
export type Sight = 'full' | 'wall' | 'none'

/**
 * Parties and staff whose duty covers the node see it whole; a verified claimer sees what was placed on a wall
 * that reaches his branch, also after another has taken it (so that the loser of a claim gets a 409 and not a 404).
 */
export function sight(actor: Actor, facts: Facts): Sight {
  const relations = relationsOf(actor, facts)
  // A neighbours' quarrel is not for every building head: whoever may dispatch it, and its parties.
  const staff: Relation = isSecret(facts.request) ? 'dispatch' : 'view'
  const whole: readonly Relation[] = ['system', 'filer', 'beneficiary', 'guardian', 'first_contact', 'assignee', 'co', 'handler', staff]
  if (whole.some((relation) => relations.has(relation))) return 'full'
  if (relations.has('claimer') || relations.has('pending') || relations.has('attendee')) return 'wall'
  // Whom an activity is for need not be on any list.
  return facts.request.kind === 'activity' && facts.wall?.isPublic && relations.has('anyone') ? 'wall' : 'none'
}

/** The answer of every verb and of `GET /v1/requests/{id}`. */
export function view(facts: Facts, actor: Actor) {
  return sight(actor, facts) === 'full' || !isSecret(facts.request) ? shown(facts, actor) : withheld(shown(facts, actor), facts)
}

/** 保密件 in the lists of others: number, kind, community and due (design, section 9). */
function withheld({ id, number, kind, state, version, cycle, confidential, deadlines, filedAt, ...view }: ReturnType<typeof shown>, { community = null }: Facts): ReturnType<typeof shown> {
  return {
    ...view, id, number, kind, state, version, cycle, confidential, deadlines, filedAt,
    item: WITHHELD, title: WITHHELD.name, node: community, responsibleNode: community, wall: null, allowed: [], beneficiaries: null, result: null, resolvedAtLevel: null, confirmed: null,
    locked: false, onTheSpot: false, trips: 0, collectedAt: null, acceptedAt: null, placedAt: null, dispatchedAt: null, startedAt: null, respondedAt: null, completedAt: null, ratedAt: null, closedAt: null,
  }
}

const WITHHELD = { code: 'confidential', name: '保密' }

function shown(facts: Facts, actor: Actor) {
  const { request, item, now } = facts
  const full = sight(actor, facts) === 'full'
  const relations = relationsOf(actor, facts)
  const counts = { slots: request.slots, slotsTaken: request.slotsTaken, attendees: facts.attendees.length }
  return {
    id: request.id,
    number: request.number,
    kind: request.kind,
    item: { code: item.code, name: item.name },
    title: full ? facts.title : (facts.wall?.title ?? item.name),
    state: request.state,
    version: request.version,
    cycle: request.cycle,
    grade: full ? request.grade : null,
    node: full ? facts.node : facts.compound,
    responsibleNode: full ? facts.responsibleNode : facts.compound,
    source: full ? request.source : null,
    targetGroup: full ? request.targetGroup : null,
    confidential: request.confidential,
    externalRef: actor.kind !== 'system' && actor.clientId !== null && actor.clientId === request.filerClientId ? request.externalRef : null,
    ...petitioners(facts, full && !(actor.kind === 'person' && isRespondent(actor, request))),
    firstContact: full ? request.firstContactId : null,
    mergedInto: full ? request.leadId : null,
    campaign: full ? request.campaignId : null,
    hasMerged: full && facts.isLead,
    locked: request.locked,
    excluded: full && request.excluded,
    onTheSpot: request.onTheSpot,
    confirmed: request.confirmed,
    wall: facts.wall && { title: facts.wall.title, text: facts.wall.text },
    ...counts,
    wave: request.wave,
    allowed: allowed(actor, facts),
    deadlines: facts.deadlines.map(({ step, dueAt, originalDueAt, provisional, stoodAt }) =>
      ({ step, dueAt, originalDueAt, provisional, overdue: stoodAt === null && dueAt < now, standing: stoodAt !== null })),
    assignees: full ? [...facts.assignments, ...facts.pending].map(partyOf) : [],
    coHandlers: full ? facts.cos.map(({ reportedAt, ...row }) => ({ ...partyOf(row), reportedAt, dueAt: dueOf(row.seq, facts) })) : [],
    asks: full ? facts.asks.filter(({ cycle }) => cycle === request.cycle).map(askOf) : [],
    // A consent is the petitioner's own matter, and that of those who act on it.
    consents: full && !relations.has('assignee') ? facts.consents.map(({ purpose, by, how, granted, at }) => ({ purpose, by, how, granted, at })) : [],
    trips: request.trips,
    papersOut: full ? request.papersOut : 0,
    sessions: full ? request.sessions : 0,
    beneficiaries: request.beneficiaries,
    result: request.result,
    resolvedAtLevel: request.resolvedAtLevel,
    solved: full ? request.solved : null,
    satisfaction: full ? request.satisfaction : null,
    collectedAt: request.collectedAt,
    filedAt: request.filedAt,
    acceptedAt: request.acceptedAt,
    placedAt: request.placedAt,
    dispatchedAt: request.dispatchedAt,
    startedAt: request.startedAt,
    respondedAt: request.respondedAt,
    completedAt: request.completedAt,
    ratedAt: request.ratedAt,
    closedAt: request.closedAt,
  }
}

const petitioners = ({ request }: Facts, shown: boolean) =>
  (shown ? { filer: request.filerId, beneficiary: request.beneficiaryId, guardian: request.guardianId } : { filer: null, beneficiary: null, guardian: null })

const partyOf = ({ via, slot, quantity, status, personId, organisationId, memberId, since }: Omit<AssignmentRow, 'reportedAt'>) =>
  ({ via, slot, quantity, pending: status === 'pending', person: personId, organisation: organisationId, goes: memberId, since })

/** A helper's own time limit, or for 报到: that of the event which called him. */
const dueOf = (seq: number, { deadlines }: Facts): Date | null => deadlines.find((row) => row.seq === seq && (row.step === 'co' || row.step === 'report_in'))?.dueAt ?? null

const askOf = ({ seq, kind, reason, status, personId, organisationId, until, askedAt, answeredAt }: AskRow) =>
  ({ seq, kind, reason, status, person: personId, organisation: organisationId, until, askedAt, answeredAt })

export type RequestView = ReturnType<typeof view>
