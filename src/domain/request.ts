import type { ClaimerKind, PersonActor } from './actor.ts'
import type { Calendar } from './calendar.ts'
import type { Form } from './form.ts'
import type { Policy } from './policy.ts'
import type { State, VerbName } from './machine.ts'
import type { AskRow, AssignmentRow, AttachmentRow, ConsentRow, CounterDelta, DeadlineRow, EventRow, Grade, Kind, RequestRow, TextRow, WallEntryRow } from './rows.ts'

export * from './rows.ts'

/** What `decide` looks at, and what it answers. */

export interface Item {
  id: string
  code: string
  name: string
  kind: Kind
  mode: 'pool' | 'dispatch'
  wall: boolean
  grade: Grade | null
  /** Which policy a grade selects instead of the item's own. */
  gradePolicies: Partial<Record<Grade, string>>
  /** Completing takes at least one attachment. */
  proof: boolean
  /** What is asked besides title and description. */
  form?: Form | null
  /** S2 审核: never accepted by itself, nor by the one who asks. */
  review?: boolean
}

export interface Place {
  id: string
  code: string
  name: string
}

/** What accept and amend change, looked up. */
export interface Amended {
  item: Item
  policy: Policy
  policyId: string
  node: Place
  nodePath: string
  nodeLevel: string
  compound: Place | null
}

/** A rung of the ladder: an ancestor-or-self node, and the persons who hold `supervise` exactly there now. */
export interface Rung {
  nodeId: string
  path: string
  /** Code of the tenant's level: how long supervision stays here. */
  level: string
  holders: string[]
}

/** Whom a dispatch goes to, found from `to`. */
export interface Target {
  personId: string | null
  organisationId: string | null
  path: string
  level: string | null
}

/** All that `decide` may look at. */
export interface Facts {
  now: Date
  request: RequestRow
  title: string
  node: Place
  /** Where it happened, whoever is responsible now. */
  nodePath: string
  responsibleNode: Place
  responsibleLevel: string
  /** The finest place a wall may name (小区/大院): never a building or a door. */
  compound: Place | null
  /** 社区: below the root. All that is told of the place of a confidential matter. */
  community?: Place | null
  item: Item
  policy: Policy
  calendar: Calendar
  /** Leads with the work. */
  assignments: AssignmentRow[]
  /** Co-handlers at work. */
  cos: AssignmentRow[]
  /** Claims that wait for confirmation. */
  pending: AssignmentRow[]
  /** Who has signed up for an activity. */
  attendees: AssignmentRow[]
  /** Those who completed the work: they do not follow it up. */
  handlers: AssignmentRow[]
  /** Of this request, newest last. */
  asks: AskRow[]
  /** In force. */
  consents: ConsentRow[]
  /** Open ones. */
  deadlines: DeadlineRow[]
  /** The clock of the work while it is completed: closed, and what goes on when it is sent back. */
  worked: DeadlineRow | null
  wall: WallEntryRow | null
  /** 不满意重办, how often it has been done again for that; a 重办 that somebody asked for does not count. Known while it is completed. */
  redone: number
  /** Others are merged into this one now. */
  isLead: boolean
  /** The deadline whose mark has come, its ladder from the late party's node upwards, and who is late: the sweep's own facts. */
  due?: { deadline: DeadlineRow; ladder: Rung[]; late: string[] }
  target?: Target
  /** Of a whistle. */
  targets?: Target[]
  /** The organisation a claim is made for. */
  claimer?: Target & { kinds: ClaimerKind[] }
  /** Wishes the claimer (the person, or that organisation) holds now; loaded for a claim only. */
  held?: number
  /** Where a wall entry may be seen, when given. */
  scopePath?: string
  /** Whom the actor acts for, when the input says so: without an account. */
  represented?: PersonActor
  /** Item, node, policy and compound after accept or amend. */
  amended?: Amended
  /** Of a raise: the node that becomes responsible. */
  raisedTo?: { node: Place; path: string; level: string; organisationId: string | null }
  /** Of a merge: the request merged into. Of a lead that ends: those merged into it. */
  lead?: Facts
  merged?: Facts[]
  /** 即办件: filing completes it in the same commit. */
  onTheSpot?: true
  /** What a published calendar or a changed policy moves. */
  reschedule?: { reason: 'calendar' | 'policy'; deadlines: DeadlineRow[] }
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
  asks: AskRow[]
  consents: ConsentRow[]
  attachments: AttachmentRow[]
  texts: TextRow[]
  wall: WallEntryRow[]
  counters: CounterDelta[]
  /** The facts as they stand after the commit: what the answer is made of. */
  after: Facts
}
