import { capacity, relationsOf, type Actor } from './actor.ts'
import type { Body } from './bodies.ts'
import { moved, overwrite, supervisor } from './deadlines.ts'
import { CAPABILITIES, TRANSITIONS, eventType, targets, verbOf, type Capability, type Edge, type Relation, type State, type Transition, type VerbName } from './machine.ts'
import { Problem } from './problems.ts'
import type { AssignmentRow, CounterDelta, DeadlineRow, Decision, EventRow, Facts, Message, RequestRow, TextRow, WallEntryRow } from './request.ts'
import { RULES } from './rules/index.ts'

/** What a rule sees. */
export interface Context<V extends Transition = Transition> {
  facts: Facts
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
  deadlines?: DeadlineRow[]
  texts?: Omit<TextRow, 'requestId' | 'seq'>[]
  title?: string
  wall?: WallEntryRow
  counters?: CounterDelta[]
  /** `redo`: a new cycle, the work is to be done again under a new clock; `step`: the same state is entered once more. */
  anew?: 'redo' | 'step'
}

export interface Rule<V extends Transition> {
  /** Facts that forbid it to this actor now, beyond role, party and state. Also keeps it out of `allowed`. */
  refuse?(context: Omit<Context<V>, 'input'>): Problem | undefined
  effect(context: Context<V>): Change
}

/**
 * The one place that decides. Checks role → party → state → facts, then lets the verb's rule say what changes.
 * Pure: same facts, same decision.
 * @throws Problem forbidden, transition-refused (with `state` and `allowed`), or the rule's own
 */
export function decide<V extends Transition>(verb: V, facts: Facts, input: Body<V>, actor: Actor): Decision {
  const relations = relationsOf(actor, facts)
  const edges = edgesFor(verb, relations)
  if (edges.length === 0) throw new Problem('forbidden', { facts: { verb } })
  const { request, now } = facts
  const edge = edges.find(({ from }) => from.includes(request.state))
  if (!edge) throw new Problem('transition-refused', { facts: { state: request.state, allowed: allowed(actor, facts) } })
  const seq = request.version + 1
  const rule = RULES[verb] as Rule<V>
  const refusal = rule.refuse?.({ facts, actor, relations, seq })
  if (refusal) throw refusal
  const change = rule.effect({ facts, actor, relations, input, seq })
  if (!targets(edge, request.state).includes(change.to)) throw new Error(`rule ${verb} leaves the machine: ${request.state} → ${change.to}`)

  const by = edge.by.find((relation) => relations.has(relation))
  const event = eventRow(verb, request, change, { seq, now, actor, by })
  return written(verb, facts, change, event)
}

/** The verbs this actor may call now: `allowed` in every answer. */
export function allowed(actor: Actor, facts: Facts): Transition[] {
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

const isCapability = (relation: Relation | undefined): relation is Capability =>
  relation !== undefined && (CAPABILITIES as readonly string[]).includes(relation)

function eventRow(verb: VerbName, request: RequestRow, change: Change, { seq, now, actor, by }: { seq: number; now: Date; actor: Actor; by: Relation | undefined }): EventRow {
  return {
    requestId: request.id, seq, verb, fromState: request.state, toState: change.to, at: now,
    cycle: change.anew === 'redo' ? request.cycle + 1 : request.cycle,
    path: change.patch?.path ?? request.path,
    ...authorOf(actor),
    dutyId: isCapability(by) ? (capacity(actor, by, request.path)?.id ?? null) : null,
    onBehalfOf: null,
    data: change.data ?? {},
  }
}

export function authorOf(actor: Actor): Pick<EventRow, 'actorKind' | 'actorId' | 'clientId'> {
  if (actor.kind === 'person') return { actorKind: 'person', actorId: actor.id, clientId: actor.clientId }
  return { actorKind: actor.kind, actorId: null, clientId: actor.kind === 'app' ? actor.clientId : null }
}

function written(verb: Transition, facts: Facts, change: Change, event: EventRow): Decision {
  const { seq, cycle, toState, fromState } = event
  const { id } = facts.request
  const request: RequestRow = { ...facts.request, ...change.patch, state: toState, version: seq, cycle }
  if (change.title !== undefined) request.titleSeq = seq
  const deadlines = [...moved(facts, fromState, toState, seq, change.anew), ...(change.deadlines ?? [])]
  const texts = (change.texts ?? []).map((text) => ({ requestId: id, seq, ...text }))
  const open = overwrite(facts.deadlines, deadlines)
  request.supervisorPath = supervisor(open)
  const after: Facts = {
    ...facts,
    request,
    title: change.title ?? facts.title,
    assignments: overlay(facts.assignments, change.assignments ?? []),
    handlers: [...facts.handlers, ...(change.assignments ?? []).filter(({ status }) => status === 'done')],
    deadlines: open,
    wall: change.wall ? (change.wall.takenDownAt ? null : change.wall) : facts.wall,
  }
  return {
    verb, expects: facts.request.version, request, changed: differing(facts.request, request), events: [event], messages: [messageOf(event, after)],
    deadlines, assignments: change.assignments ?? [], texts, wall: change.wall ? [change.wall] : [],
    counters: change.counters ?? [], after,
  }
}

const differing = (before: RequestRow, after: RequestRow): (keyof RequestRow)[] =>
  (Object.keys(after) as (keyof RequestRow)[]).filter((column) => after[column] !== before[column])

function overlay(active: AssignmentRow[], changed: AssignmentRow[]): AssignmentRow[] {
  const rows = new Map([...active, ...changed].map((row) => [row.seq, row]))
  return [...rows.values()].filter((row) => row.status === 'active')
}

/** Mediation and confidential matters: ids and states for those outside, words for the parties only. */
export const isSecret = ({ confidential, kind }: RequestRow): boolean => confidential || kind === 'mediation'

/** The thin message that every event leaves behind: ids and codes only. */
export function messageOf(event: EventRow, { request, item, node }: Facts): Message {
  return {
    requestId: event.requestId, seq: event.seq, type: eventType(event.verb), at: event.at, path: event.path,
    payload: {
      number: request.number, kind: request.kind, item: item.code, from: event.fromState === 'none' ? null : event.fromState,
      state: event.toState, version: event.seq, cycle: event.cycle,
      // A confidential matter tells its community and no more.
      node: isSecret(request) ? (request.path.split('/')[1] || null) : node.code,
    },
  }
}
