import { SYSTEM, type Actor, type AppActor, type ClaimerKind, type HeldAffiliation, type HeldDuty, type PersonActor } from '../../src/domain/actor.ts'
import type { Body } from '../../src/domain/bodies.ts'
import { buildCalendar, DEFAULT_WEEK } from '../../src/domain/calendar.ts'
import { decide } from '../../src/domain/decide.ts'
import { decideFiling, type FilingFacts } from '../../src/domain/filing.ts'
import { CAPABILITIES, type Capability, type Transition } from '../../src/domain/machine.ts'
import { DEFAULT_POLICY, type Policy } from '../../src/domain/policy.ts'
import type { Decision, Facts, Kind, Rung } from '../../src/domain/request.ts'

/**
 * A request and those around it, for the tests of the rules: no database, no clock. Every free text and every name on it
 * starts with §, so that a test can look for it where it must not be.
 */

let made = 0
export const uuid = (): string => `00000000-0000-7000-8000-${String(++made).padStart(12, '0')}`

/** Monday, 10:00 in Shanghai. */
export const MONDAY = new Date('2026-11-23T02:00:00Z')
export const MINUTE = 60_000
export const DAY = 1440 * MINUTE
export const CALENDAR = buildCalendar({ zone: 'Asia/Shanghai', week: DEFAULT_WEEK })
export const PATH = 'S/C/P/B/U1/'
const COVERING = 'S/C/P/'
/** Beside the request's node, beside it with a code that its own begins with, and below it. */
const FOREIGN = ['S/C/P2/', 'S/C/P/B/U/', 'S/C/P/B/U1/R/']

export const duty = (capabilities: readonly Capability[], path: string, organisationId: string | null = null): HeldDuty =>
  ({ id: uuid(), role: 'role', capabilities: [...capabilities], path, organisationId })

export const person = (differs: Partial<PersonActor> = {}): PersonActor => ({ kind: 'person', id: uuid(), clientId: null, duties: [], affiliations: [], hasAccount: true, ...differs })
/** A verified tie to an organisation at a place. */
export const tie = (kind: ClaimerKind = 'party_member', path = COVERING, organisationId = BRANCH): HeldAffiliation => ({ organisationId, kind, path })
export const member = (): PersonActor => person({ affiliations: [tie()] })
export const memberElsewhere = (): PersonActor => person({ affiliations: FOREIGN.slice(0, 1).map((path) => tie('party_member', path)) })

export const BRANCH = uuid()
export const FIRM = uuid()
export const FILER = person()
export const BENEFICIARY = person()
export const STAFF = person({ duties: [duty(CAPABILITIES, 'S/C/')] })
export const CALLER = person({ duties: [duty(['view', 'follow_up'], 'S/')] })
export const WORKER = person()
/** Acts for the firm. */
export const AGENT = person({ duties: [duty(['handle'], 'S/C/X/', FIRM)], affiliations: [tie('enterprise', 'S/C/', FIRM)] })
export const APP: AppActor = { kind: 'app', clientId: uuid() }
export const OTHER_APP: AppActor = { kind: 'app', clientId: uuid() }

export const covering = (capability: Capability): PersonActor => person({ duties: [duty([capability], COVERING)] })
export const foreign = (capability: Capability): PersonActor => person({ duties: FOREIGN.map((path) => duty([capability], path)) })
/** Everything, but inside an organisation: that covers no place. */
export const inside = (): PersonActor => person({ duties: [duty(CAPABILITIES, 'S/', FIRM)] })

export const LADDER: Rung[] = [
  { nodeId: uuid(), path: 'S/C/P/', level: 'compound', holders: [uuid()] },
  { nodeId: uuid(), path: 'S/C/', level: 'community', holders: [uuid()] },
  { nodeId: uuid(), path: 'S/', level: 'street', holders: [uuid()] },
]

export interface Differing {
  policy?: Partial<Policy>
  wall?: boolean
  confidential?: boolean
  beneficiary?: string
  path?: string
  kind?: Kind
}

export function filing({ policy = {}, wall = true, path = PATH, kind = 'wish', beneficiary }: Differing = {}): FilingFacts {
  return {
    id: uuid(), number: `WX20261123-${String(made).padStart(6, '0')}`, now: MONDAY, path, level: 'unit', policyId: uuid(),
    node: { id: uuid(), code: 'U1', name: '§unit' }, compound: { id: uuid(), code: 'P', name: '§compound' },
    item: { id: uuid(), code: 'companionship', name: '§item', kind, mode: 'pool', wall, grade: null, gradePolicies: {}, proof: false },
    policy: { ...DEFAULT_POLICY, ...policy }, calendar: CALENDAR,
    parties: { beneficiaryId: beneficiary ?? BENEFICIARY.id },
  }
}

export const FILED: Body<'file'> = { item: 'companionship', title: '§title', description: '§description', node: 'U1' }

/** 点单 by the filer. */
export function filed(differs: Differing = {}, actor: Actor = FILER): Decision {
  return decideFiling(filing(differs), { ...FILED, confidential: differs.confidential ?? false }, actor)
}

/** A valid body for each verb, with something in every free text. */
export const INPUT: { readonly [V in Transition]: Body<V> } = {
  accept: { note: '§note' }, reject: { reason: 'out_of_scope', note: '§note' }, return: { reason: 'unclear', note: '§note' },
  resubmit: { title: '§title again', description: '§description', note: '§note' },
  amend: { title: '§title anew', note: '§note' }, consent: { purpose: 'wall', by: 'self', how: 'app' },
  place: { slots: 2, wallTitle: '§wall', wallText: '§wall' }, 'take-down': { note: '§note' }, widen: {},
  claim: {}, 'confirm-claim': { note: '§note' }, 'decline-claim': { note: '§note' }, start: { note: '§note' }, release: { reason: 'no_time', note: '§note' },
  dispatch: { to: 'W1', note: '§note' }, redispatch: { to: 'W1', note: '§note' }, assign: { to: 'W1', note: '§note' }, sign: { note: '§note' },
  'ask-return': { reason: 'wrong_area', note: '§note' }, 'grant-return': { note: '§note' }, 'deny-return': { reason: '§reason' }, adjudicate: { decision: 'keep', note: '§note' },
  respond: { note: '§note' }, record: { beneficiaries: 3, note: '§note' }, 'sign-up': {}, 'cancel-sign-up': {},
  'add-co': { to: 'F1', note: '§note' }, 'co-done': { note: '§note' }, 'remove-co': { co: 'F1', note: '§note' },
  whistle: { to: ['F1', 'F2'], reason: 'cannot_alone', note: '§note' }, 'report-in': { note: '§note' },
  deliberate: { decision: 'do', minutes: '§minutes', participants: 7 },
  'ask-extension': { limit: '3wd', reason: '§reason' }, 'grant-extension': { note: '§note' }, 'deny-extension': { reason: '§reason' },
  'ask-park': { until: new Date(MONDAY.getTime() + 30 * DAY), reason: '§reason' }, 'grant-park': { note: '§note' }, 'deny-park': { reason: '§reason' }, unpark: { note: '§note' },
  'ask-exclusion': { reason: '§reason' }, 'grant-exclusion': { note: '§note' }, 'deny-exclusion': { reason: '§reason' },
  complete: { outcome: '§outcome', result: 'realised', note: '§note' }, confirm: { note: '§note' }, 'send-back': { reason: '§reason' },
  'follow-up': { reached: true, solved: 'solved', satisfaction: 'satisfied', comment: '§comment' },
  rate: { solved: 'solved', satisfaction: 'satisfied', comment: '§comment' }, reopen: { reason: '§reason' },
  close: {}, withdraw: { reason: 'mistake', note: '§note' },
  merge: { into: 'WX1', note: '§note' }, absorb: {}, rejoin: {}, unmerge: { note: '§note' }, 'follow-lead': {},
  urge: { note: '§note' }, supervise: { note: '§note' }, raise: { reason: '§reason' }, 'hand-over': { to: 'W1', note: '§note' },
  remind: {}, escalate: {}, reschedule: {},
}

/** What the service looks up for the input: here the same for all. */
export const named = (facts: Facts): Facts => {
  const [deadline] = facts.deadlines.filter(({ nextAt }) => nextAt !== null)
  return {
    ...facts,
    target: { personId: WORKER.id, organisationId: null, path: 'S/C/P/', level: 'compound' },
    ...(deadline ? { due: { deadline, ladder: LADDER, late: [] } } : {}),
  }
}

/** One verb, a minute after the last. */
export function next<V extends Transition>(facts: Facts, verb: V, actor: Actor, differs: Partial<Body<V>> = {}): Facts {
  const { target: _t, due: _d, ...after } = decide(verb, named(facts), { ...INPUT[verb], ...differs }, actor).after
  return { ...after, now: new Date(facts.now.getTime() + MINUTE) }
}

export const later = (facts: Facts, ms: number): Facts => ({ ...facts, now: new Date(facts.now.getTime() + ms) })

/** A request in each state that can be reached, by real verbs. */
export const at = {
  filed: (differs?: Differing) => later(filed(differs).after, MINUTE),
  returned: (differs?: Differing) => next(at.filed(differs), 'return', STAFF),
  rejected: (differs?: Differing) => next(at.filed(differs), 'reject', STAFF),
  accepted: (differs?: Differing) => next(at.filed(differs), 'accept', STAFF),
  open: (differs?: Differing, slots = 1) => next(at.accepted(differs), 'place', STAFF, { slots }),
  dispatched: (differs?: Differing) => next(at.accepted(differs), 'dispatch', STAFF),
  signed: (differs?: Differing) => next(at.dispatched(differs), 'sign', WORKER),
  claimed: (claimer: PersonActor, differs?: Differing) => next(at.open(differs), 'claim', claimer),
  completed: (differs?: Differing) => next(at.signed(differs), 'complete', WORKER),
  closed: (differs?: Differing) => next(at.completed(differs), 'close', SYSTEM),
  withdrawn: (differs?: Differing) => next(at.filed(differs), 'withdraw', FILER),
}

/** Frozen all the way down, but for the calendar, which remembers days. */
export function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null || (value as unknown) === CALENDAR || Object.isFrozen(value)) return value
  for (const each of Object.values(value)) frozen(each)
  return Object.freeze(value)
}
