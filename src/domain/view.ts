import { relationsOf, type Actor } from './actor.ts'
import { allowed, isSecret } from './decide.ts'
import type { Relation } from './machine.ts'
import type { Facts } from './request.ts'

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
  for (const relation of ['system', 'filer', 'beneficiary', 'assignee', 'handler', staff] as const) if (relations.has(relation)) return 'full'
  return relations.has('claimer') ? 'wall' : 'none'
}

/** The answer of every verb and of `GET /v1/requests/{id}`. */
export function view(facts: Facts, actor: Actor) {
  const { request, item, now } = facts
  const full = sight(actor, facts) === 'full'
  return {
    id: request.id,
    number: request.number,
    kind: request.kind,
    item: { code: item.code, name: item.name },
    title: full ? facts.title : (facts.wall?.title ?? item.name),
    state: request.state,
    version: request.version,
    cycle: request.cycle,
    node: full ? facts.node : facts.compound,
    responsibleNode: full ? facts.responsibleNode : facts.compound,
    source: full ? request.source : null,
    targetGroup: full ? request.targetGroup : null,
    confidential: request.confidential,
    externalRef: actor.kind !== 'system' && actor.clientId !== null && actor.clientId === request.filerClientId ? request.externalRef : null,
    wall: facts.wall && { title: facts.wall.title, text: facts.wall.text },
    slots: request.slots,
    slotsTaken: request.slotsTaken,
    allowed: allowed(actor, facts),
    deadlines: facts.deadlines.map(({ step, dueAt, originalDueAt, provisional, stoodAt }) =>
      ({ step, dueAt, originalDueAt, provisional, overdue: stoodAt === null && dueAt < now, standing: stoodAt !== null })),
    assignees: full
      ? facts.assignments.map(({ via, slot, personId, organisationId, since }) => ({ via, slot, person: personId, organisation: organisationId, since }))
      : [],
    result: request.result,
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

export type RequestView = ReturnType<typeof view>
