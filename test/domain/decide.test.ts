import { afterAll, describe, expect, test } from 'vitest'
import { SYSTEM, type Actor, type PersonActor } from '../../src/domain/actor.ts'
import { BODIES } from '../../src/domain/bodies.ts'
import { due } from '../../src/domain/calendar.ts'
import { allowed, decide } from '../../src/domain/decide.ts'
import { CAPABILITIES, eventType, STATE_NAMES, TRANSITIONS, VERB_NAMES, VERBS, verbOf, type Relation, type State, type Transition } from '../../src/domain/machine.ts'
import { DEFAULT_POLICY } from '../../src/domain/policy.ts'
import { Problem, type ProblemCode } from '../../src/domain/problems.ts'
import type { AskKind, AssignmentRow, Decision, Facts, Target } from '../../src/domain/request.ts'
import { AGENT, APP, at, BENEFICIARY, covering, DAY, duty, FILER, FIRM, foreign, frozen, INPUT, inside, later, member, memberElsewhere, named, OTHER_APP, person, next, STAFF, uuid, WORKER } from './stage.ts'

/** Every situation × every verb × every role, against an oracle that reads the table by itself. */

const VERBS_ON_A_REQUEST = VERB_NAMES.filter((verb): verb is Transition => verb !== 'file')

const another = member()
const CHIEF = covering('approve')
const LEAD = at.accepted()
const ELSEWHERE = { node: { id: uuid(), code: 'S', name: '§' }, path: 'S/', level: 'street', organisationId: null }
const HELPER: Target = { personId: uuid(), organisationId: null, path: 'S/C/P/', level: 'compound' }

/** All that the service may have looked up: whom it goes to is nobody who is in it already. */
const surrounded = (facts: Facts): Facts => ({
  ...named(facts), target: HELPER, targets: [HELPER], raisedTo: ELSEWHERE,
  lead: { ...LEAD, request: { ...LEAD.request, confidential: facts.request.confidential } }, merged: [], reschedule: { reason: 'policy', deadlines: [] },
})

/** Every state, and the facts that a rule makes a difference by. */
const SITUATIONS: Record<string, Facts> = {
  filed: at.filed(), 'filed, a lead': { ...at.filed(), isLead: true }, returned: at.returned(), rejected: at.rejected(),
  accepted: at.accepted(), 'accepted, confidential': at.accepted({ confidential: true }), 'accepted, not for a wall': at.accepted({ wall: false }),
  'accepted, to be parked': next(at.accepted(), 'ask-park', STAFF),
  open: at.open({}, 2), 'open, one of two claimed': next(at.open({}, 2), 'claim', another),
  'open, a claim waits': next(at.open({ policy: { claims: { ...DEFAULT_POLICY.claims, approval: ['all'] } } }, 2), 'claim', another),
  'open, an activity': at.open({ kind: 'activity' }, 2),
  dispatched: at.dispatched(), 'dispatched, to be returned': next(at.dispatched(), 'ask-return', WORKER),
  'in_progress, dispatched': at.signed(), 'in_progress, claimed': at.claimed(another), 'in_progress, responded': next(at.signed(), 'respond', WORKER),
  'in_progress, to be extended': next(at.signed(), 'ask-extension', WORKER), 'in_progress, overdue': later(at.signed(), 20 * DAY),
  'in_progress, adjudicated': { ...at.signed(), request: { ...at.signed().request, locked: true } },
  'in_progress, papers out': { ...at.signed(), request: { ...at.signed().request, papersOut: 1 } },
  parked: next(next(at.accepted(), 'ask-park', STAFF), 'grant-park', person({ duties: [duty(['approve'], 'S/')] })),
  merged: decide('merge', { ...at.accepted(), lead: LEAD }, INPUT.merge, STAFF).after,
  completed: at.completed(), 'completed, impossible': next(at.signed(), 'complete', WORKER, { result: 'impossible' }),
  closed: at.closed(), 'closed, rated': next(at.completed(), 'rate', FILER), 'closed, rated once more': next(next(at.completed(), 'rate', FILER), 'rate', FILER), 'closed long ago': later(at.closed(), 30 * DAY),
  'closed, to be excluded': next(at.closed(), 'ask-exclusion', WORKER),
  withdrawn: at.withdrawn(),
}

interface Role {
  name: string
  actor: Actor
  relations: Relation[]
  /** What he is only while there is a wall within his branch's reach. */
  atWall?: Relation
  /** Makes the actor what the role says, in whatever situation. */
  cast?: (facts: Facts) => Facts
}

const claimant = member()
const filingMember: PersonActor = { ...FILER, affiliations: another.affiliations }
const caller = covering('follow_up')

const row = (facts: Facts, differs: Partial<AssignmentRow>): AssignmentRow => ({
  requestId: facts.request.id, seq: 1, slot: 1, role: 'lead', via: 'dispatch', quantity: 1, personId: null, organisationId: null, memberId: null, path: facts.request.path, level: 'unit',
  status: 'active', since: facts.now, until: null, reportedAt: null, ...differs,
})
const holding = (differs: Partial<AssignmentRow>) => (facts: Facts): Facts => ({ ...facts, assignments: [row(facts, differs)], request: { ...facts.request, slotsTaken: 1 } })
const with_ = (column: 'guardianId' | 'firstContactId', id: string) => (facts: Facts): Facts => ({ ...facts, request: { ...facts.request, [column]: id } })

const guardian = person(), owner = person(), helper = person(), called = person(), waiting = member(), guest = person()

const ROLES: Role[] = [
  { name: 'filer', actor: FILER, relations: ['anyone', 'filer'] },
  { name: 'beneficiary', actor: BENEFICIARY, relations: ['anyone', 'beneficiary'] },
  { name: 'assignee, claimed', actor: claimant, relations: ['anyone', 'assignee'], atWall: 'claimer', cast: holding({ via: 'claim', personId: claimant.id }) },
  { name: 'assignee, dispatched', actor: WORKER, relations: ['anyone', 'assignee'], cast: holding({ personId: WORKER.id }) },
  { name: 'guardian', actor: guardian, relations: ['anyone', 'guardian'], cast: with_('guardianId', guardian.id) },
  { name: 'first-contact owner', actor: owner, relations: ['anyone', 'first_contact'], cast: with_('firstContactId', owner.id) },
  { name: 'co-handler', actor: helper, relations: ['anyone', 'co'], cast: (facts) => ({ ...facts, cos: [row(facts, { role: 'co', via: 'co', personId: helper.id })] }) },
  { name: 'co-handler, whistled', actor: called, relations: ['anyone', 'co'], cast: (facts) => ({ ...facts, cos: [row(facts, { role: 'co', via: 'whistle', personId: called.id })] }) },
  { name: 'claimer who waits', actor: waiting, relations: ['anyone', 'pending'], atWall: 'claimer', cast: (facts) => ({ ...facts, pending: [row(facts, { via: 'claim', status: 'pending', personId: waiting.id })] }) },
  { name: 'attendee', actor: guest, relations: ['anyone', 'attendee'], cast: (facts) => ({ ...facts, attendees: [row(facts, { role: 'attendee', via: 'sign_up', personId: guest.id })] }) },
  { name: 'assignee through an organisation', actor: AGENT, relations: ['anyone', 'assignee'], atWall: 'claimer', cast: holding({ organisationId: FIRM }) },
  { name: 'claimer', actor: member(), relations: ['anyone'], atWall: 'claimer' },
  { name: 'claimer of a branch out of reach', actor: memberElsewhere(), relations: ['anyone'] },
  { name: 'filer and claimer', actor: filingMember, relations: ['anyone', 'filer'], atWall: 'claimer' },
  ...CAPABILITIES.map((capability): Role => ({ name: `${capability} here`, actor: covering(capability), relations: ['anyone', capability] })),
  ...CAPABILITIES.map((capability): Role => ({ name: `${capability} elsewhere`, actor: foreign(capability), relations: ['anyone'] })),
  { name: 'everything inside an organisation', actor: inside(), relations: ['anyone'] },
  { name: 'caller who did the work', actor: caller, relations: ['anyone', 'follow_up', 'handler'], cast: (facts) => ({ ...facts, handlers: [row(facts, { personId: caller.id, status: 'done', until: facts.request.completedAt ?? facts.now })] }) },
  { name: 'app that filed', actor: APP, relations: ['anyone', 'filer'], cast: (facts) => ({ ...facts, request: { ...facts.request, filerId: null, filerClientId: APP.clientId } }) },
  { name: 'app through which a person filed', actor: APP, relations: ['anyone'], cast: (facts) => ({ ...facts, request: { ...facts.request, filerClientId: APP.clientId } }) },
  { name: 'another app', actor: OTHER_APP, relations: ['anyone'] },
  { name: 'stranger', actor: person(), relations: ['anyone'] },
  { name: 'system', actor: SYSTEM, relations: ['system'] },
]

/** The refusals that the rules document, beyond role, party and state. */
function refused(verb: Transition, { name, actor }: Role, { request, assignments, pending, cos, asks, handlers, deadlines, item, policy, calendar, now, isLead }: Facts): ProblemCode | undefined {
  const open = (kind: AskKind) => asks.some((ask) => ask.kind === kind && ask.status === 'open')
  const kindOf = verb.split('-')[1] as AskKind
  const late = deadlines.some(({ step, dueAt }) => step === 'complete' && dueAt <= now)
  const didIt = name === 'caller who did the work' && handlers.length > 0
  // Of those who approve here, one stands above the worker's and the staff's own places; the others do not.
  const above = (path: string) => name === 'approve here' && path.length > CHIEF.duties[0]!.path.length
  switch (verb) {
    case 'return': return isLead ? 'has-merged' : undefined
    case 'place': return !item.wall || request.confidential ? 'not-for-the-wall' : undefined
    case 'take-down': case 'dispatch': return assignments.length + pending.length > 0 ? 'already-claimed' : undefined
    case 'merge': return isLead ? 'has-merged' : assignments.length + pending.length > 0 ? 'already-claimed' : undefined
    case 'redispatch': return request.locked ? 'locked' : undefined
    case 'widen': return 'transition-refused'
    case 'claim':
      if (name === 'filer and claimer') return 'own-wish'
      return request.slotsTaken >= request.slots ? 'slots-taken' : name.startsWith('assignee') || name === 'claimer who waits' ? 'already-claimed' : undefined
    case 'confirm-claim': case 'decline-claim': return pending.length === 0 ? 'not-claimed' : undefined
    case 'start': return assignments.length === 0 ? 'not-claimed' : undefined
    case 'release': return name !== 'assignee, claimed' && name !== 'claimer who waits' ? 'not-claimed' : request.papersOut > 0 ? 'papers-out' : undefined
    case 'assign': return name === 'assignee through an organisation' ? undefined : 'not-an-organisation'
    case 'ask-return': return request.locked ? 'locked' : name === 'assignee, claimed' ? 'claimed-not-dispatched' : open('return') ? 'already-asked' : undefined
    case 'grant-return': case 'deny-return': return open('return') ? undefined : 'not-asked'
    case 'adjudicate': return !open('return') ? 'not-asked' : above(request.path) ? 'adjudication-early' : 'level-too-low'
    case 'ask-extension': return late ? 'too-late' : open('extension') ? 'already-asked' : undefined
    case 'ask-park': case 'ask-exclusion': return late ? 'too-late' : open(kindOf) ? 'already-asked' : undefined
    case 'grant-extension': case 'deny-extension': case 'grant-park': case 'deny-park': case 'grant-exclusion': case 'deny-exclusion':
      return !open(kindOf) ? 'not-asked' : above(asks.find(({ status }) => status === 'open')!.path) ? undefined : 'level-too-low'
    case 'respond': return deadlines.some(({ step }) => step === 'respond') ? undefined : 'already-responded'
    case 'sign-up': return request.kind !== 'activity' ? 'not-an-activity' : actor.kind !== 'person' ? 'forbidden' : name === 'attendee' ? 'already-signed-up' : undefined
    case 'remove-co': return cos.length === 0 ? 'transition-refused' : 'target-unknown'
    case 'report-in': return name === 'co-handler, whistled' ? undefined : 'already-reported'
    case 'complete': return request.papersOut > 0 ? 'papers-out' : undefined
    case 'confirm': return request.confirmed !== false ? 'nothing-to-confirm' : undefined
    case 'send-back': return handlers.length === 0 ? 'transition-refused' : undefined
    case 'follow-up': return didIt ? 'own-work' : request.confirmed === false ? 'not-confirmed' : undefined
    case 'close': return request.confirmed === false ? 'not-confirmed' : undefined
    case 'reopen':
      if (request.state === 'rejected') return name === 'approve here' ? undefined : 'level-too-low'
      if (didIt) return 'own-work'
      return request.confirmed === false ? 'not-confirmed' : now > due(calendar, request.closedAt ?? request.completedAt!, policy.limits.reopen).dueAt ? 'window-over' : undefined
    case 'rate':
      if (request.confirmed === false) return 'not-confirmed'
      if (request.state !== 'closed') return undefined
      return request.ratedAt && request.ratedAt > request.closedAt! ? 'already-rated' : now > due(calendar, request.closedAt!, policy.limits.close).dueAt ? 'window-over' : undefined
    default: return undefined
  }
}

type Expected = { code: ProblemCode } | { to: readonly State[] }

/** Role before state before facts. */
function oracle(verb: Transition, role: Role, facts: Facts): Expected {
  const relations = facts.wall && role.atWall ? [...role.relations, role.atWall] : role.relations
  const mine = verbOf(verb).edges.filter((edge) => relations.some((relation) => edge.by.includes(relation)))
  const { state } = facts.request
  // Whose work it was is told how things stand.
  const behind = role.relations.includes('handler') && verbOf(verb).edges.some(({ by, from }) => (by as readonly Relation[]).includes('assignee') && !(from as readonly State[]).includes(state))
  if (mine.length === 0) return { code: behind ? 'transition-refused' : 'forbidden' }
  const here = mine.find((edge) => edge.from.includes(facts.request.state))
  if (!here) return { code: 'transition-refused' }
  const code = refused(verb, role, facts)
  return code ? { code } : { to: here.to === 'same' ? [facts.request.state] : here.to }
}

function outcome(verb: Transition, facts: Facts, actor: Actor): Decision | Problem {
  try {
    return decide(verb, facts, INPUT[verb], actor)
  } catch (error) {
    if (error instanceof Problem) return error
    throw error
  }
}

const PAYLOAD = ['cycle', 'from', 'item', 'kind', 'node', 'number', 'state', 'version']
const MESSAGE = ['at', 'path', 'payload', 'requestId', 'seq', 'type']

function checkDecision(verb: Transition, { request }: Facts, to: readonly State[], decision: Decision): void {
  const [event, ...others] = decision.events
  const [message, ...more] = decision.messages
  expect(others.concat(more as never[])).toEqual([])
  expect(to).toContain(decision.request.state)
  expect(decision).toMatchObject({ verb, expects: request.version, request: { version: request.version + 1 }, after: { request: decision.request } })
  expect(event).toMatchObject({ requestId: request.id, seq: request.version + 1, verb, fromState: request.state, toState: decision.request.state, cycle: decision.request.cycle })
  expect(message).toMatchObject({ requestId: request.id, seq: event!.seq, type: `request.${VERBS[verb].past}`, payload: { from: request.state, state: decision.request.state, version: event!.seq } })
  expect(eventType(verb)).toBe(message!.type)
  expect(Object.keys(message!).sort()).toEqual(MESSAGE)
  expect(Object.keys(message!.payload).sort()).toEqual(PAYLOAD)
  expect(JSON.stringify([event, message])).not.toContain('§')
}

let visited = 0
const outcomes = new Map<string, number>()
const seen = (what: string) => outcomes.set(what, (outcomes.get(what) ?? 0) + 1)

describe.each(Object.entries(SITUATIONS))('%s', (_name, situation) => {
  test.each(ROLES)('$name', (role) => {
    const facts = frozen(surrounded(role.cast?.(situation) ?? situation))
    const accepted = VERBS_ON_A_REQUEST.filter((verb) => {
      visited++
      // Nothing is due there: the sweep does not come.
      if ((verb === 'remind' || verb === 'escalate') && !facts.due) return false
      const expected = oracle(verb, role, facts)
      const got = outcome(verb, facts, role.actor)
      if (got instanceof Problem) {
        seen(got.code)
        expect(got.code, verb).toBe('code' in expected ? expected.code : `success: ${expected.to.join()}`)
        if (got.code === 'transition-refused') expect(got.facts).toEqual({ state: facts.request.state, allowed: allowed(role.actor, facts) })
        return false
      }
      seen('done')
      if ('code' in expected) throw new Error(`${verb} should be ${expected.code}`)
      checkDecision(verb, facts, expected.to, got)
      expect(outcome(verb, facts, role.actor), 'the same facts, the same decision').toEqual(got)
      return true
    })
    expect(allowed(role.actor, facts)).toEqual(TRANSITIONS.filter((verb) => accepted.includes(verb)))
  })
})

test('nothing was left out', () => {
  expect(new Set(Object.values(SITUATIONS).map(({ request }) => request.state))).toEqual(new Set(STATE_NAMES))
  expect(visited).toBe(Object.keys(SITUATIONS).length * VERBS_ON_A_REQUEST.length * ROLES.length)
  // Every verb can be done by somebody somewhere, and every documented refusal was met.
  expect([...outcomes.keys()].sort()).toEqual([
    'adjudication-early', 'already-asked', 'already-claimed', 'already-rated', 'already-reported', 'already-responded', 'already-signed-up', 'claimed-not-dispatched', 'done', 'forbidden', 'has-merged',
    'level-too-low', 'locked', 'not-an-activity', 'not-an-organisation', 'not-asked', 'not-claimed', 'not-confirmed', 'not-for-the-wall', 'nothing-to-confirm', 'own-wish', 'own-work', 'papers-out',
    'too-late', 'transition-refused', 'window-over',
  ])
  for (const verb of VERBS_ON_A_REQUEST) expect(BODIES[verb].parse(JSON.parse(JSON.stringify(INPUT[verb])))).toEqual(INPUT[verb])
})

afterAll(() => console.info(`decide: ${visited} cells = ${Object.keys(SITUATIONS).length} situations × ${VERBS_ON_A_REQUEST.length} verbs × ${ROLES.length} roles: ${[...outcomes].map(([what, count]) => `${what} ${count}`).join(', ')}`))
