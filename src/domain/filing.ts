import { capacity, SYSTEM, type Actor } from './actor.ts'
import type { Body } from './bodies.ts'
import { authorOf, decide, messageOf } from './decide.ts'
import { moved } from './deadlines.ts'
import { Problem, says } from './problems.ts'
import type { Decision, EventRow, Facts, RequestRow } from './request.ts'

/** What filing needs to know: the node it is for, the item's current version and its policy. */
export type FilingFacts = Pick<Facts, 'now' | 'node' | 'compound' | 'item' | 'policy' | 'calendar'> & {
  id: string
  number: string
  path: string
  policyId: string
}

/**
 * 点单: the first event of a request, and the acceptance with it where the policy says so (S3: 自动受理).
 * @throws Problem forbidden when filing for another without `file_for` over the node
 */
export function decideFiling(filing: FilingFacts, input: Body<'file'>, actor: Actor): Decision {
  const { now, id, path } = filing
  const duty = capacity(actor, 'file_for', path)
  const forAnother = input.filer !== undefined && !(actor.kind === 'person' && actor.id === input.filer)
  if (forAnother && !duty) throw new Problem('forbidden', { errors: [{ pointer: '/filer', message: says('只有负责该地点的工作人员可以代点', 'Only staff responsible for this node may file for others') }] })
  const request = requestRow(filing, input, actor)
  const event: EventRow = {
    requestId: id, seq: 1, verb: 'file', fromState: 'none', toState: 'filed', at: now, cycle: 1, path,
    ...authorOf(actor),
    dutyId: duty?.id ?? null,
    onBehalfOf: input.filer ?? null,
    data: {},
  }
  const facts: Facts = {
    ...filing, request, title: input.title, responsibleNode: filing.node, assignments: [], handlers: [], deadlines: [], wall: null,
  }
  const deadlines = moved(facts, 'none', 'filed', 1)
  const after = { ...facts, deadlines }
  const filed: Decision = {
    verb: 'file', expects: 0, request, changed: [], events: [event], messages: [messageOf(event, after)], deadlines,
    assignments: [], wall: [], counters: [], after,
    texts: [
      { requestId: id, seq: 1, field: 'title', body: input.title },
      ...(input.description === undefined ? [] : [{ requestId: id, seq: 1, field: 'description' as const, body: input.description }]),
    ],
  }
  return filing.policy.autoAccept ? followedBy(filed, decide('accept', after, {}, SYSTEM)) : filed
}

/** Two decisions on one request as one: both events, the later rows. */
export function followedBy(first: Decision, second: Decision): Decision {
  const deadlines = new Map([...first.deadlines, ...second.deadlines].map((row) => [`${row.step}:${row.seq}`, row]))
  return {
    ...second,
    verb: first.verb,
    expects: first.expects,
    events: [...first.events, ...second.events],
    messages: [...first.messages, ...second.messages],
    deadlines: [...deadlines.values()],
    assignments: [...first.assignments, ...second.assignments],
    texts: [...first.texts, ...second.texts],
    wall: [...first.wall, ...second.wall],
    counters: [...first.counters, ...second.counters],
  }
}

function requestRow({ id, number, item, policyId, node, path, now }: FilingFacts, input: Body<'file'>, actor: Actor): RequestRow {
  return {
    id, number, kind: item.kind, itemId: item.id, policyId, state: 'filed', version: 1, cycle: 1,
    nodeId: node.id, responsibleNodeId: node.id, path,
    filerId: input.filer ?? (actor.kind === 'person' ? actor.id : null),
    filerClientId: actor.kind === 'system' ? null : actor.clientId,
    beneficiaryId: input.beneficiary ?? null,
    source: input.source ?? (actor.kind === 'person' && input.filer !== undefined ? 'staff' : 'app'),
    targetGroup: input.targetGroup ?? null,
    confidential: input.confidential ?? false,
    externalRef: input.externalRef ?? null,
    slots: 1, slotsTaken: 0, supervisorPath: null, unreached: 0,
    result: null, solved: null, satisfaction: null, titleSeq: 1,
    collectedAt: input.collectedAt ?? null, filedAt: now,
    acceptedAt: null, placedAt: null, dispatchedAt: null, startedAt: null, respondedAt: null, completedAt: null, ratedAt: null, closedAt: null,
  }
}
