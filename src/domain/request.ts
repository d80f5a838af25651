import type { ClaimerKind } from './actor.ts'
import type { Calendar } from './calendar.ts'
import type { State, Step, VerbName } from './machine.ts'
import type { Policy } from './policy.ts'

/** The rows of the aggregate, as `decide` reads and writes them. Column names are the database's. */

export const KINDS = ['wish', 'service', 'errand', 'mediation', 'suggestion', 'activity'] as const
export type Kind = (typeof KINDS)[number]
export const SOURCES = ['app', 'wall', 'mailbox', 'visit', 'phone', 'open311', 'import', 'staff'] as const
export type Source = (typeof SOURCES)[number]
export const TARGET_GROUPS = ['elderly', 'disabled_child', 'minor', 'disabled', 'special_hardship'] as const
export type TargetGroup = (typeof TARGET_GROUPS)[number]
export const RESULTS = ['realised', 'partly', 'explained', 'impossible'] as const
export type Result = (typeof RESULTS)[number]
export const SOLVED = ['solved', 'partly', 'unsolved'] as const
export type Solved = (typeof SOLVED)[number]
export const SATISFACTION = ['satisfied', 'fairly', 'dissatisfied'] as const
export type Satisfaction = (typeof SATISFACTION)[number]

export interface RequestRow {
  id: string
  number: string
  kind: Kind
  itemId: string
  policyId: string
  state: State
  /** seq of the newest event. */
  version: number
  cycle: number
  nodeId: string
  responsibleNodeId: string
  /** Path of responsibleNode. */
  path: string
  filerId: string | null
  filerClientId: string | null
  beneficiaryId: string | null
  source: Source
  targetGroup: TargetGroup | null
  confidential: boolean
  externalRef: string | null
  slots: number
  slotsTaken: number
  /** The highest rung of the open deadlines; null while nobody is late. */
  supervisorPath: string | null
  unreached: number
  result: Result | null
  solved: Solved | null
  satisfaction: Satisfaction | null
  /** seq of the event that wrote the title and description in force. */
  titleSeq: number
  collectedAt: Date | null
  filedAt: Date
  acceptedAt: Date | null
  placedAt: Date | null
  dispatchedAt: Date | null
  startedAt: Date | null
  respondedAt: Date | null
  completedAt: Date | null
  ratedAt: Date | null
  closedAt: Date | null
}

/** `slot` is 1…slots; one active assignment per slot is the last wall against a double claim. */
export interface AssignmentRow {
  requestId: string
  seq: number
  via: 'claim' | 'dispatch'
  slot: number
  personId: string | null
  organisationId: string | null
  /** Where the ladder starts when this party is late. */
  path: string
  status: 'active' | 'released' | 'replaced' | 'done'
  since: Date
  until: Date | null
}

export interface DeadlineRow {
  requestId: string
  step: Step
  /** seq of the event that opened it: a step may come again. */
  seq: number
  policyId: string
  openedAt: Date
  dueAt: Date
  originalDueAt: Date
  provisional: boolean
  /** Next reminder, due time or rung: what the sweep indexes. Null when closed or standing. */
  nextAt: Date | null
  /** Index of the mark that `nextAt` is the time of. */
  mark: number
  /** The rung supervision of this step has climbed to; null before the first. */
  rungPath: string | null
  /** Set while the clock stands. */
  stoodAt: Date | null
  closedAt: Date | null
}

export interface TextRow {
  requestId: string
  seq: number
  field: 'title' | 'description' | 'note' | 'comment' | 'outcome'
  body: string
}

export interface WallEntryRow {
  requestId: string
  seq: number
  title: string
  text: string | null
  /** Claimers see it when this path covers their branch. */
  scopePath: string
  takenDownAt: Date | null
}

export interface EventRow {
  requestId: string
  seq: number
  verb: VerbName
  fromState: State | 'none'
  toState: State
  at: Date
  cycle: number
  path: string
  actorKind: 'person' | 'app' | 'system'
  actorId: string | null
  clientId: string | null
  dutyId: string | null
  onBehalfOf: string | null
  /** Ids and codes only: never a name, a phone or a free text. */
  data: Record<string, unknown>
}

/** Counters across requests: raised only while the value stays within `limit`. */
export interface CounterDelta {
  key: string
  delta: number
  limit: number | null
}

export interface Item {
  id: string
  code: string
  name: string
  kind: Kind
  mode: 'pool' | 'dispatch'
  wall: boolean
}

/** A rung of the ladder: an ancestor-or-self node, and the persons who hold `supervise` exactly there now. */
export interface Rung {
  nodeId: string
  path: string
  holders: string[]
}

/** Whom a dispatch goes to, found from `to`. */
export interface Target {
  personId: string | null
  organisationId: string | null
  path: string
}

/** All that `decide` may look at. */
export interface Facts {
  now: Date
  request: RequestRow
  title: string
  node: { id: string; code: string; name: string }
  responsibleNode: { id: string; code: string; name: string }
  /** The finest place a wall may name (小区/大院): never a building or a door. */
  compound: { id: string; code: string; name: string } | null
  item: Item
  policy: Policy
  calendar: Calendar
  /** Active ones. */
  assignments: AssignmentRow[]
  /** Those who completed the work: they do not follow it up. */
  handlers: AssignmentRow[]
  /** Open ones. */
  deadlines: DeadlineRow[]
  wall: WallEntryRow | null
  /** The deadline whose mark has come, its ladder from the late party's node upwards, and who is late: the sweep's own facts. */
  due?: { deadline: DeadlineRow; ladder: Rung[]; late: string[] }
  target?: Target
  /** The organisation a claim is made for. */
  claimer?: Target & { kinds: ClaimerKind[] }
  /** Wishes the claimer (the person, or that organisation) holds now; loaded for a claim only. */
  held?: number
  /** Where a wall entry may be seen, when given. */
  scopePath?: string
}

export interface Message {
  requestId: string
  seq: number
  type: string
  at: Date
  path: string
  /** Thin: ids and codes, no personal data. */
  payload: {
    number: string
    kind: Kind
    item: string
    from: State | null
    state: State
    version: number
    cycle: number
    node: string | null
  }
}

/** A decision is rows as data; `commit` writes a list of them in one statement. */
export interface Decision {
  verb: VerbName
  /** The version the decision was made on; 0 for a new request. */
  expects: number
  request: RequestRow
  /** Columns of the request that differ from before. */
  changed: (keyof RequestRow)[]
  events: EventRow[]
  messages: Message[]
  deadlines: DeadlineRow[]
  assignments: AssignmentRow[]
  texts: TextRow[]
  wall: WallEntryRow[]
  counters: CounterDelta[]
  /** The facts as they stand after the commit: what the answer is made of. */
  after: Facts
}
