import type { State, Step, VerbName } from './machine.ts'

/** The rows of the aggregate, as `decide` reads and writes them. Column names are the database's. */

export const KINDS = ['wish', 'service', 'errand', 'mediation', 'suggestion', 'activity'] as const
export type Kind = (typeof KINDS)[number]
export const SOURCES = ['app', 'wall', 'mailbox', 'visit', 'phone', 'open311', 'import', 'staff', 'card'] as const
export type Source = (typeof SOURCES)[number]
export const TARGET_GROUPS = ['elderly', 'disabled_child', 'minor', 'disabled', 'special_hardship'] as const
export type TargetGroup = (typeof TARGET_GROUPS)[number]
export const RESULTS = ['realised', 'partly', 'explained', 'impossible'] as const
export type Result = (typeof RESULTS)[number]
export const SOLVED = ['solved', 'partly', 'unsolved'] as const
export type Solved = (typeof SOLVED)[number]
export const SATISFACTION = ['satisfied', 'fairly', 'dissatisfied'] as const
export type Satisfaction = (typeof SATISFACTION)[number]

export const GRADES = ['major', 'minor', 'practical', 'urgent', 'difficult'] as const
/** 大事、小事、实事、急事、难事 (S0): selects the policy. */
export type Grade = (typeof GRADES)[number]
export const RETURN_REASONS = ['wrong_area', 'unclear_duty', 'overlapping', 'petitioner_withdrew', 'duplicate', 'other'] as const
export const WHISTLE_REASONS = ['cannot_alone', 'joint_enforcement', 'emergency'] as const
export const PAPERS = ['id_card', 'household_register', 'marriage_certificate', 'disability_card', 'medical_record', 'bank_card', 'property_deed', 'photo', 'form', 'other'] as const
export const CONSENT_PURPOSES = ['wall', 'contact_to_claimer', 'sensitive'] as const
export type ConsentPurpose = (typeof CONSENT_PURPOSES)[number]
export const CONSENT_HOW = ['app', 'paper', 'oral'] as const
export const ASK_KINDS = ['return', 'extension', 'park', 'exclusion'] as const
export type AskKind = (typeof ASK_KINDS)[number]

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
  guardianId: string | null
  /** 首问责任人: set at intake, never emptied by a re-dispatch. */
  firstContactId: string | null
  /** 被反映人: sees nothing, and once it is his to handle not who complained. */
  respondentId: string | null
  respondentOrganisationId: string | null
  /** 并案: the lead that this one follows, or followed. */
  leadId: string | null
  /** 专项行动 that it was filed under. */
  campaignId: string | null
  grade: Grade | null
  source: Source
  targetGroup: TargetGroup | null
  confidential: boolean
  externalRef: string | null
  slots: number
  slotsTaken: number
  /** How many waves of claimers the wall has been widened by. */
  wave: number
  /** 终审 has spoken: no further 退单. */
  locked: boolean
  /** 剔除: not counted in the rates, by an approved ask. */
  excluded: boolean
  /** An impossible result stands only when dispatch has confirmed it; null when none is needed. */
  confirmed: boolean | null
  /** 即办件. */
  onTheSpot: boolean
  /** Urges on the day of `urgedAt`. */
  urges: number
  urgedAt: Date | null
  /** 跑腿: trips made, and papers of the resident that are still out. */
  trips: number
  papersOut: number
  /** 调解 sessions held. */
  sessions: number
  beneficiaries: number | null
  /** 小事不出楼栋: level of the node the work was completed at. */
  resolvedAtLevel: string | null
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

/**
 * Who has the work. Leads are numbered 1…slots and hold `quantity` of them; co-handlers and attendees are numbered by themselves.
 * One active lead per slot is the last wall against a double claim.
 */
export interface AssignmentRow {
  requestId: string
  seq: number
  slot: number
  role: 'lead' | 'co' | 'attendee'
  via: 'claim' | 'dispatch' | 'co' | 'whistle' | 'sign_up'
  quantity: number
  personId: string | null
  organisationId: string | null
  /** Who goes, named by the organisation. */
  memberId: string | null
  /** Where the ladder starts when this party is late, and its level. */
  path: string
  level: string | null
  status: 'active' | 'pending' | 'released' | 'replaced' | 'returned' | 'declined' | 'done'
  since: Date
  until: Date | null
  /** 报到, of the whistled. */
  reportedAt: Date | null
}

/** 退单、延期、挂账、剔除: asked, and answered by another, one level up. At most one open per kind and request. */
export interface AskRow {
  requestId: string
  seq: number
  kind: AskKind
  cycle: number
  /** A code; reasons in words are a text of the asking event. */
  reason: string | null
  /** Who asks: a person, for an organisation when the work is its. */
  personId: string | null
  organisationId: string | null
  /** Where the asker stands: the answer comes from above. */
  path: string
  /** Extension: the new due time; park: the review date. */
  until: Date | null
  suggestedPersonId: string | null
  suggestedOrganisationId: string | null
  status: 'open' | 'granted' | 'denied' | 'lapsed'
  askedAt: Date
  answeredAt: Date | null
  answeredBy: string | null
}

/** A consent, or its withdrawal, as it was given. The newest of a purpose is in force. */
export interface ConsentRow {
  requestId: string
  seq: number
  purpose: ConsentPurpose
  by: 'self' | 'guardian'
  how: (typeof CONSENT_HOW)[number]
  granted: boolean
  at: Date
}

export interface AttachmentRow {
  requestId: string
  seq: number
  id: string
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
  /** How many of the step's reminders are past. */
  mark: number
  /** When supervision moves on; null until the due time has come. */
  rungAt: Date | null
  /** The rung supervision of this step has climbed to; null before the first. */
  rungPath: string | null
  /** Set while the clock stands. */
  stoodAt: Date | null
  closedAt: Date | null
}

export interface TextRow {
  requestId: string
  seq: number
  field: 'title' | 'description' | 'address' | 'position' | 'form' | 'note' | 'reason' | 'comment' | 'outcome' | 'minutes'
  body: string
}

export interface WallEntryRow {
  requestId: string
  seq: number
  title: string
  text: string | null
  /** Claimers see it when this path covers their branch. */
  scopePath: string
  /** With consent everyone may see it; without, verified claimers only. */
  isPublic: boolean
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
