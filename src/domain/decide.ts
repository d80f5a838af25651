import { capacity, relationsOf, type Actor, type PersonActor } from './actor.ts'
import { answered, lapsed } from './asks.ts'
import type { Body } from './bodies.ts'
import { moved, overwrite, supervisor } from './deadlines.ts'
import { CAPABILITIES, STEPS, TRANSITIONS, eventType, targets, verbOf, type Callable, type Capability, type Edge, type Relation, type State, type Step, type Transition, type VerbName } from './machine.ts'
import { Problem, says } from './problems.ts'
import type {
  Amended, AskRow, AssignmentRow, ConsentRow, CounterDelta, DeadlineRow, Decision, EventRow, Facts, Message, RequestRow, TextRow, WallEntryRow,
} from './request.ts'
import { RULES } from './rules/index.ts'
import { isSecret } from './secret.ts'

export { isSecret }

/** What a rule sees. */
export interface Context<V extends Transition = Transition> {
  facts: Facts
  /** Whose act it is: the actor, or whom he acts for. */
  actor: Actor
  relations: Set<Relation>
  input: Body<V>
  /** seq of the event being decided. */
  seq: number
}

/** What a rule answers: the difference it makes. The common rows are added by `decide`. */
export interface Change {
  to: State
  patch?: Partial<RequestRow>
  /** Ids and codes for the event. */
  data?: Record<string, unknown>
  assignments?: AssignmentRow[]
  asks?: AskRow[]
  consents?: Omit<ConsentRow, 'requestId' | 'seq'>[]
  /** Ids of photos and papers. */
  attachments?: readonly string[] | undefined
  deadlines?: DeadlineRow[]
  texts?: Omit<TextRow, 'requestId' | 'seq'>[]
  title?: string
  wall?: WallEntryRow
  counters?: CounterDelta[]
  /** What accept and amend looked up: in force from this event on. */
  amended?: Amended
  responsibleNode?: Pick<Facts, 'responsibleNode' | 'responsibleLevel'>
  /** Steps that entering the new state opens, when they are others than the machine's. */
  opens?: readonly Step[]
  /** `redo`: a new cycle, the work is to be done again under a new clock; `step`: the same state is entered once more. */
  anew?: 'redo' | 'step'
}

export interface Rule<V extends Transition> {
  /** Facts that forbid it to this actor now, beyond role, party and state. Also keeps it out of `allowed`. */
  refuse?(context: Omit<Context<V>, 'input'>): Problem | undefined
  effect(context: Context<V>): Change
}

/** Relations of a party: what one may be represented in. Capabilities are one's own. */
const isParty = (relation: Relation): boolean => !isCapability(relation) && relation !== 'system'

/**
 * The one place that decides. Checks role → party → state → facts, then lets the verb's rule say what changes.
 * Pure: same facts, same decision.
 * @throws Problem forbidden, has-account, transition-refused (with `state` and `allowed`), or the rule's own
 */
export function decide<V extends Transition>(verb: V, facts: Facts, input: Body<V>, actor: Actor): Decision {
  const { request, now, represented } = facts
  if (represented) mayRepresent(actor, represented, facts)
  const party: Actor = represented ?? actor
  const relations = relationsOf(party, facts)
  if (represented) for (const relation of relations) if (!isParty(relation)) relations.delete(relation)
  const edges = edgesFor(verb, relations)
  if (edges.length === 0) throw isBehind(verb, relations, request.state) ? standingWith(new Problem('transition-refused'), facts, actor) : new Problem('forbidden', { facts: { verb } })
  const standing = edges.filter(({ from }) => from.includes(request.state))
  if (standing.length === 0) throw standingWith(new Problem('transition-refused'), facts, actor)
  const seq = request.version + 1
  const rule = RULES[verb] as Rule<V>
  const refusal = rule.refuse?.({ facts, actor: party, relations, seq })
  if (refusal) throw standingWith(refusal, facts, actor)
  let change: Change
  try {
    change = rule.effect({ facts, actor: party, relations, input, seq })
  } catch (error) {
    throw error instanceof Problem ? standingWith(error, facts, actor) : error
  }
  const edge = standing.find((one) => targets(one, request.state).includes(change.to))
  if (!edge) throw new Error(`rule ${verb} leaves the machine: ${request.state} → ${change.to}`)

  const found = represented ? 'file_for' : edge.by.find((relation) => relations.has(relation))
  const by = found === 'on_the_spot' ? 'file_for' : found
  return written(verb, facts, change, eventRow(verb, facts, change, { seq, now, actor, by }))
}

/** Who has done the work is told that it is done, and not that it was never his. */
const isBehind = (verb: Transition, relations: ReadonlySet<Relation>, state: State): boolean => {
  const his = edgesFor(verb, new Set<Relation>(['assignee']))
  return relations.has('handler') && his.length > 0 && his.every(({ from }) => !from.includes(state))
}

/** Every 409 says how things stand, and what may be done instead. */
function standingWith(problem: Problem, facts: Facts, actor: Actor): Problem {
  if (problem.kind !== 'conflict') return problem
  const { code, detail, errors, cause } = problem
  return new Problem(code, { ...(detail ? { detail } : {}), errors, cause, facts: { ...problem.facts, state: facts.request.state, allowed: allowed(actor, facts) } })
}

/** 代办: by staff of the place, for someone who has no account to act with himself. */
function mayRepresent(actor: Actor, represented: PersonActor, { request, nodePath }: Facts): void {
  if (!capacity(actor, 'file_for', request.path) && !capacity(actor, 'file_for', nodePath)) throw new Problem('forbidden', { errors: [{ pointer: '/for', message: says('只有负责该地点的工作人员可以代办', 'Only staff responsible for this node may act for others') }] })
  if (represented.hasAccount) throw new Problem('has-account', { errors: [{ pointer: '/for', message: says('此人有自己的账号，须本人办理', 'Has an account and must act in person') }] })
}

/** The verbs this actor may call now: `allowed` in every answer. */
export function allowed(actor: Actor, { represented: _, ...facts }: Facts): Callable[] {
  const relations = relationsOf(actor, facts)
  const seq = facts.request.version + 1
  return TRANSITIONS.filter((verb) => {
    const rule: Pick<Rule<Transition>, 'refuse'> = RULES[verb]
    return edgesFor(verb, relations).some(({ from }) => from.includes(facts.request.state))
      && rule.refuse?.({ facts, actor, relations, seq }) === undefined
  })
}

const edgesFor = (verb: VerbName, relations: ReadonlySet<Relation>): Edge[] =>
  verbOf(verb).edges.filter(({ by }) => by.some((relation) => relations.has(relation)))

function isCapability(relation: Relation | undefined): relation is Capability {
  return relation !== undefined && (CAPABILITIES as readonly string[]).includes(relation)
}

function eventRow(verb: VerbName, facts: Facts, change: Change, { seq, now, actor, by }: { seq: number; now: Date; actor: Actor; by: Relation | undefined }): EventRow {
  const { request, nodePath, represented } = facts
  const duty = isCapability(by) ? (capacity(actor, by, request.path) ?? capacity(actor, by, nodePath)) : undefined
  return {
    requestId: request.id, seq, verb, fromState: request.state, toState: change.to, at: now,
    cycle: change.anew === 'redo' ? request.cycle + 1 : request.cycle,
    path: change.patch?.path ?? request.path,
    ...authorOf(actor),
    dutyId: duty?.id ?? null,
    onBehalfOf: represented?.id ?? null,
    data: change.data ?? {},
  }
}

export function authorOf(actor: Actor): Pick<EventRow, 'actorKind' | 'actorId' | 'clientId'> {
  if (actor.kind === 'person') return { actorKind: 'person', actorId: actor.id, clientId: actor.clientId }
  return { actorKind: actor.kind, actorId: null, clientId: actor.kind === 'app' ? actor.clientId : null }
}

function written(verb: Transition, before: Facts, change: Change, event: EventRow): Decision {
  const { seq, cycle, toState, fromState } = event
  const { id } = before.request
  const facts: Facts = { ...before, ...change.amended, ...change.responsibleNode, request: { ...before.request, ...change.patch } }
  const request: RequestRow = { ...before.request, ...change.patch, state: toState, version: seq, cycle }
  if (change.title !== undefined) request.titleSeq = seq
  const asks = change.asks ?? []
  const given = [...asks, ...lapsed(before.asks.filter(({ seq: asked }) => !asks.some((ask) => ask.seq === asked)), toState, change.anew, event.at)]
  const deadlines = [...moved(facts, fromState, toState, seq, change), ...answered(before, given), ...(change.deadlines ?? [])]
  const open = overwrite(before.deadlines, deadlines)
  request.supervisorPath = supervisor(open)
  const assignments = [...(change.assignments ?? []), ...dismissed(before.cos, change.assignments ?? [], toState, event.at)]
  const consents = (change.consents ?? []).map((consent) => ({ requestId: id, seq, ...consent }))
  const after: Facts = {
    ...facts,
    request,
    title: change.title ?? facts.title,
    redone: facts.redone + (change.data?.redo === true ? 1 : 0),
    ...overlaid(before, assignments),
    handlers: [...facts.handlers.filter((row) => !assignments.some((changed) => changed.seq === row.seq && changed.slot === row.slot)),
      ...assignments.filter(({ status, role }) => status === 'done' && role === 'lead')],
    asks: merged(before.asks, given),
    consents: [...before.consents.filter(({ purpose }) => !consents.some((one) => one.purpose === purpose)), ...consents],
    deadlines: open,
    wall: change.wall ? (change.wall.takenDownAt ? null : change.wall) : facts.wall,
  }
  return {
    verb, expects: before.request.version, request, changed: differing(before.request, request), events: [event], messages: [messageOf(event, after)],
    deadlines: [...new Map(deadlines.map((row) => [`${row.step}:${row.seq}`, row])).values()],
    assignments, asks: given, consents, texts: (change.texts ?? []).map((text) => ({ requestId: id, seq, ...text })),
    attachments: (change.attachments ?? []).map((attachment) => ({ requestId: id, seq, id: attachment })),
    wall: change.wall ? [change.wall] : [], counters: change.counters ?? [], after,
  }
}

const differing = (before: RequestRow, after: RequestRow): (keyof RequestRow)[] =>
  (Object.keys(after) as (keyof RequestRow)[]).filter((column) => after[column] !== before[column])

/** Nobody helps with what rests, is done or goes with another. */
const dismissed = (cos: AssignmentRow[], changed: AssignmentRow[], to: State, until: Date): AssignmentRow[] =>
  (STEPS.co.in as readonly State[]).includes(to) ? [] : cos
    .filter((row) => !changed.some(({ seq, slot }) => seq === row.seq && slot === row.slot))
    .map((row) => ({ ...row, status: 'released', until }))

const merged = (asks: AskRow[], given: AskRow[]): AskRow[] => [...new Map([...asks, ...given].map((ask) => [ask.seq, ask])).values()]

function overlaid({ assignments, cos, pending, attendees }: Facts, changed: AssignmentRow[]): Pick<Facts, 'assignments' | 'cos' | 'pending' | 'attendees'> {
  if (changed.length === 0) return { assignments, cos, pending, attendees }
  const rows = [...new Map([...assignments, ...cos, ...pending, ...attendees, ...changed].map((row) => [`${row.seq}:${row.slot}`, row])).values()]
  return sorted(rows)
}

/** Assignments by what they are. */
export const sorted = (rows: AssignmentRow[]): Pick<Facts, 'assignments' | 'cos' | 'pending' | 'attendees'> => ({
  assignments: rows.filter(({ role, status }) => role === 'lead' && status === 'active'),
  cos: rows.filter(({ role, status }) => role === 'co' && status === 'active'),
  pending: rows.filter(({ status }) => status === 'pending'),
  attendees: rows.filter(({ role, status }) => role === 'attendee' && status === 'active'),
})

/** The thin message that every event leaves behind: ids and codes only. */
export function messageOf(event: EventRow, { request, item, node }: Facts): Message {
  return {
    requestId: event.requestId, seq: event.seq, type: eventType(event.verb), at: event.at, path: event.path,
    payload: {
      number: request.number, kind: request.kind, item: isSecret(request) ? 'confidential' : item.code, from: event.fromState === 'none' ? null : event.fromState,
      state: event.toState, version: event.seq, cycle: event.cycle,
      // A confidential matter tells its community and no more.
      node: isSecret(request) ? (request.path.split('/')[1] || null) : node.code,
    },
  }
}
