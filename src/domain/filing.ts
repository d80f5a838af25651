import { capacity, SYSTEM, type Actor } from './actor.ts'
import type { Body } from './bodies.ts'
import { authorOf, decide, messageOf } from './decide.ts'
import { toWgs84, writtenPoint } from './coordinates.ts'
import { moved } from './deadlines.ts'
import { Problem, says } from './problems.ts'
import { consentsOf } from './rules/intake.ts'
import type { Decision, EventRow, Facts, RequestRow, TextRow } from './request.ts'
import { isSecret } from './secret.ts'

/** What filing needs to know: the node it is for, the item's current version and its policy. */
export type FilingFacts = Pick<Facts, 'now' | 'node' | 'compound' | 'item' | 'policy' | 'calendar'> & {
  id: string
  number: string
  path: string
  level: string
  policyId: string
  /** Whom the input names; a person described becomes one on record in the same commit. */
  parties?: Partial<Pick<RequestRow, 'filerId' | 'beneficiaryId' | 'guardianId' | 'respondentId' | 'respondentOrganisationId' | 'firstContactId' | 'campaignId'>>
}

/**
 * 点单: the first event of a request, and the acceptance with it where the policy says so (S3: 自动受理); 即办件 is accepted
 * and completed as well.
 * @throws Problem forbidden when filing for another, or resolving on the spot, without `file_for` over the node
 */
export function decideFiling(filing: FilingFacts, input: Body<'file'>, actor: Actor): Decision {
  const { now, id, path, level, parties = {} } = filing
  const duty = capacity(actor, 'file_for', path)
  const forAnother = input.filer !== undefined && !(actor.kind === 'person' && actor.id === parties.filerId)
  if (forAnother && !duty) throw new Problem('forbidden', { errors: [{ pointer: '/filer', message: says('只有负责该地点的工作人员可以代点', 'Only staff responsible for this node may file for others') }] })
  if (input.resolvedOnSpot && !duty) throw new Problem('forbidden', { errors: [{ pointer: '/resolvedOnSpot', message: says('只有负责该地点的工作人员可以当场办结', 'Only staff responsible for this node may resolve on the spot') }] })
  if (input.resolvedOnSpot && filing.item.review) throw new Problem('validation-failed', { errors: [{ pointer: '/resolvedOnSpot', code: 'value', message: says('须审核的事项不能当场办结', 'What is reviewed is never resolved on the spot') }] })
  if (input.resolvedOnSpot && filing.item.proof && input.attachments === undefined) {
    throw new Problem('validation-failed', { errors: [{ pointer: '/attachments', code: 'required', message: says('此项服务办结须附照片或材料', 'This service takes a photo or paper as proof') }] })
  }
  const byStaff = duty !== undefined && (forAnother || input.resolvedOnSpot !== undefined)
  const request = requestRow(filing, input, actor, byStaff)
  const event: EventRow = {
    requestId: id, seq: 1, verb: 'file', fromState: 'none', toState: 'filed', at: now, cycle: 1, path,
    ...authorOf(actor),
    dutyId: duty?.id ?? null,
    onBehalfOf: forAnother ? request.filerId : null,
    data: {},
  }
  const consents = consentsOf(input.consents, now).map((consent) => ({ requestId: id, seq: 1, ...consent }))
  const facts: Facts = {
    ...filing, request, title: input.title, nodePath: path, responsibleNode: filing.node, responsibleLevel: level, assignments: [], cos: [], pending: [], attendees: [],
    handlers: [], asks: [], consents, deadlines: [], worked: null, wall: null, redone: 0, isLead: false,
  }
  const deadlines = moved(facts, 'none', 'filed', 1)
  const after = { ...facts, deadlines }
  const filed: Decision = {
    verb: 'file', expects: 0, request, changed: [], events: [event], messages: [messageOf(event, after)], deadlines,
    assignments: [], asks: [], consents, wall: [], counters: [], after,
    attachments: (input.attachments ?? []).map((attachment) => ({ requestId: id, seq: 1, id: attachment })),
    texts: [
      { requestId: id, seq: 1, field: 'title', body: input.title },
      ...(input.description === undefined ? [] : [{ requestId: id, seq: 1, field: 'description' as const, body: input.description }]),
      ...placeTexts(input.location).map((text) => ({ requestId: id, seq: 1, ...text })),
    ],
  }
  if (input.resolvedOnSpot) {
    const accepted = followedBy(filed, decide('accept', after, {}, SYSTEM))
    const { outcome, result } = input.resolvedOnSpot
    return onItsWay(followedBy(accepted, decide('complete', { ...accepted.after, onTheSpot: true }, { outcome, result }, actor)))
  }
  return filing.policy.autoAccept && !filing.item.review ? followedBy(filed, decide('accept', after, {}, SYSTEM)) : filed
}

/** Where exactly says much about a person: it lies among the words, and goes with them. */
function placeTexts(location: Body<'file'>['location']): Pick<TextRow, 'field' | 'body'>[] {
  const { address, lng, lat, crs } = location ?? {}
  return [
    ...(address === undefined ? [] : [{ field: 'address' as const, body: address }]),
    ...(lng === undefined || lat === undefined || crs === undefined ? [] : [{ field: 'position' as const, body: writtenPoint(toWgs84({ lng, lat }, crs)) }]),
  ]
}

const onItsWay = (decision: Decision): Decision => {
  const { onTheSpot: _, ...after } = decision.after
  return { ...decision, after }
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
    asks: [...first.asks, ...second.asks],
    consents: [...first.consents, ...second.consents],
    attachments: [...first.attachments, ...second.attachments],
    texts: [...first.texts, ...second.texts],
    wall: [...first.wall, ...second.wall],
    counters: [...first.counters, ...second.counters],
  }
}

/** 首问 by 连心卡 (S4): who is on the card, unless it is he who files, or it is about him, or nobody may know of it. */
function firstByCard(kind: RequestRow['kind'], { confidential = false }: Body<'file'>, { firstContactId = null, filerId, respondentId }: NonNullable<FilingFacts['parties']>, self: string | null): string | null {
  return isSecret({ kind, confidential }) || firstContactId === (filerId ?? self) || firstContactId === respondentId ? null : firstContactId
}

function requestRow({ id, number, item, policyId, node, path, now, parties = {} }: FilingFacts, input: Body<'file'>, actor: Actor, byStaff: boolean): RequestRow {
  const self = actor.kind === 'person' ? actor.id : null
  return {
    id, number, kind: item.kind, itemId: item.id, policyId, state: 'filed', version: 1, cycle: 1,
    nodeId: node.id, responsibleNodeId: node.id, path,
    filerId: parties.filerId ?? self,
    filerClientId: actor.kind === 'system' ? null : actor.clientId,
    beneficiaryId: parties.beneficiaryId ?? null,
    guardianId: parties.guardianId ?? null,
    // 首问责任制: whoever took it down. Filed by the resident, it is who accepts it.
    firstContactId: byStaff ? self : firstByCard(item.kind, input, parties, self),
    respondentId: parties.respondentId ?? null,
    respondentOrganisationId: parties.respondentOrganisationId ?? null,
    leadId: null,
    campaignId: parties.campaignId ?? null,
    grade: input.grade ?? item.grade,
    source: input.source ?? (input.card !== undefined ? 'card' : byStaff ? 'staff' : 'app'),
    targetGroup: input.targetGroup ?? null,
    confidential: input.confidential ?? false,
    externalRef: input.externalRef ?? null,
    slots: 1, slotsTaken: 0, wave: 0, locked: false, excluded: false, confirmed: null, onTheSpot: input.resolvedOnSpot !== undefined,
    urges: 0, urgedAt: null, trips: 0, papersOut: 0, sessions: 0, beneficiaries: null, resolvedAtLevel: null,
    supervisorPath: null, unreached: 0,
    result: null, solved: null, satisfaction: null, titleSeq: 1,
    collectedAt: input.collectedAt ?? null, filedAt: now,
    acceptedAt: null, placedAt: null, dispatchedAt: null, startedAt: null, respondedAt: null, completedAt: null, ratedAt: null, closedAt: null,
  }
}
