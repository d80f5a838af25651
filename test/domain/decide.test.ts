import { afterAll, describe, expect, test } from 'vitest'
import { SYSTEM, type Actor, type PersonActor } from '../../src/domain/actor.ts'
import { BODIES } from '../../src/domain/bodies.ts'
import { due } from '../../src/domain/calendar.ts'
import { allowed, decide } from '../../src/domain/decide.ts'
import { CAPABILITIES, eventType, STATE_NAMES, TRANSITIONS, VERB_NAMES, VERBS, verbOf, type Relation, type State, type Transition } from '../../src/domain/machine.ts'
import { Problem, type ProblemCode } from '../../src/domain/problems.ts'
import type { AssignmentRow, Decision, Facts } from '../../src/domain/request.ts'
import { AGENT, APP, at, BENEFICIARY, covering, DAY, FILER, FIRM, foreign, frozen, INPUT, inside, later, member, memberElsewhere, named, OTHER_APP, person, next, WORKER } from './stage.ts'

/** Every situation × every verb × every role, against an oracle that reads the table by itself. */

const VERBS_ON_A_REQUEST = VERB_NAMES.filter((verb): verb is Transition => verb !== 'file')

const another = member()
const nowhere = (state: State): Facts => {
  const facts = at.accepted()
  return { ...facts, request: { ...facts.request, state }, deadlines: [] }
}

/** Every state, and the facts that a rule makes a difference by. */
const SITUATIONS: Record<string, Facts> = {
  filed: at.filed(), returned: at.returned(), rejected: at.rejected(),
  accepted: at.accepted(), 'accepted, confidential': at.accepted({ confidential: true }), 'accepted, not for a wall': at.accepted({ wall: false }),
  open: at.open({}, 2), 'open, one of two claimed': next(at.open({}, 2), 'claim', another),
  dispatched: at.dispatched(),
  'in_progress, dispatched': at.signed(), 'in_progress, claimed': at.claimed(another), 'in_progress, responded': next(at.signed(), 'respond', WORKER),
  parked: nowhere('parked'), merged: nowhere('merged'),
  completed: at.completed(),
  closed: at.closed(), 'closed, rated': next(at.completed(), 'rate', FILER), 'closed long ago': later(at.closed(), 30 * DAY),
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

const holding = (row: Partial<AssignmentRow>) => (facts: Facts): Facts => {
  const assignment: AssignmentRow = {
    requestId: facts.request.id, seq: 1, via: 'dispatch', slot: 1, personId: null, organisationId: null, path: facts.request.path,
    status: 'active', since: facts.now, until: null, ...row,
  }
  return { ...facts, assignments: [assignment], request: { ...facts.request, slotsTaken: 1 } }
}

const ROLES: Role[] = [
  { name: 'filer', actor: FILER, relations: ['anyone', 'filer'] },
  { name: 'beneficiary', actor: BENEFICIARY, relations: ['anyone', 'beneficiary'] },
  { name: 'assignee, claimed', actor: claimant, relations: ['anyone', 'assignee'], atWall: 'claimer', cast: holding({ via: 'claim', personId: claimant.id }) },
  { name: 'assignee, dispatched', actor: WORKER, relations: ['anyone', 'assignee'], cast: holding({ personId: WORKER.id }) },
  { name: 'assignee through an organisation', actor: AGENT, relations: ['anyone', 'assignee'], atWall: 'claimer', cast: holding({ organisationId: FIRM }) },
  { name: 'claimer', actor: member(), relations: ['anyone'], atWall: 'claimer' },
  { name: 'claimer of a branch out of reach', actor: memberElsewhere(), relations: ['anyone'] },
  { name: 'filer and claimer', actor: filingMember, relations: ['anyone', 'filer'], atWall: 'claimer' },
  ...CAPABILITIES.map((capability): Role => ({ name: `${capability} here`, actor: covering(capability), relations: ['anyone', capability] })),
  ...CAPABILITIES.map((capability): Role => ({ name: `${capability} elsewhere`, actor: foreign(capability), relations: ['anyone'] })),
  { name: 'everything inside an organisation', actor: inside(), relations: ['anyone'] },
  { name: 'caller who did the work', actor: caller, relations: ['anyone', 'follow_up', 'handler'], cast: (facts) => ({ ...facts, handlers: [{ ...holding({ personId: caller.id })(facts).assignments[0]!, status: 'done' }] }) },
  { name: 'app that filed', actor: APP, relations: ['anyone', 'filer'], cast: (facts) => ({ ...facts, request: { ...facts.request, filerId: null, filerClientId: APP.clientId } }) },
  { name: 'app through which a person filed', actor: APP, relations: ['anyone'], cast: (facts) => ({ ...facts, request: { ...facts.request, filerClientId: APP.clientId } }) },
  { name: 'another app', actor: OTHER_APP, relations: ['anyone'] },
  { name: 'stranger', actor: person(), relations: ['anyone'] },
  { name: 'system', actor: SYSTEM, relations: ['system'] },
]

/** The refusals that the rules document, beyond role, party and state. */
function refused(verb: Transition, { name }: Role, { request, assignments, deadlines, item, policy, calendar, now }: Facts): ProblemCode | undefined {
  switch (verb) {
    case 'place': return !item.wall || request.confidential ? 'not-for-the-wall' : undefined
    case 'take-down': case 'dispatch': return assignments.length > 0 ? 'already-claimed' : undefined
    case 'claim': return name === 'filer and claimer' ? 'own-wish' : name.startsWith('assignee') ? 'already-claimed' : undefined
    case 'release': return name === 'assignee, claimed' ? undefined : 'not-claimed'
    case 'respond': return deadlines.some(({ step }) => step === 'respond') ? undefined : 'already-responded'
    case 'follow-up': return name === 'caller who did the work' ? 'own-work' : undefined
    case 'rate':
      if (request.state !== 'closed') return undefined
      return request.ratedAt ? 'already-rated' : now > due(calendar, request.closedAt!, policy.limits.close).dueAt ? 'window-over' : undefined
    default: return undefined
  }
}

type Expected = { code: ProblemCode } | { to: readonly State[] }

/** Role before state before facts. */
function oracle(verb: Transition, role: Role, facts: Facts): Expected {
  const relations = facts.wall && role.atWall ? [...role.relations, role.atWall] : role.relations
  const mine = verbOf(verb).edges.filter((edge) => relations.some((relation) => edge.by.includes(relation)))
  if (mine.length === 0) return { code: 'forbidden' }
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
    const facts = frozen(named(role.cast?.(situation) ?? situation))
    const accepted = VERBS_ON_A_REQUEST.filter((verb) => {
      visited++
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
  expect([...outcomes.keys()].sort()).toEqual(['already-claimed', 'already-rated', 'already-responded', 'done', 'forbidden', 'not-claimed', 'not-for-the-wall', 'own-wish', 'own-work', 'transition-refused', 'window-over'])
  for (const verb of VERBS_ON_A_REQUEST) expect(BODIES[verb].parse(INPUT[verb])).toEqual(INPUT[verb])
})

afterAll(() => console.info(`decide: ${visited} cells = ${Object.keys(SITUATIONS).length} situations × ${VERBS_ON_A_REQUEST.length} verbs × ${ROLES.length} roles: ${[...outcomes].map(([what, count]) => `${what} ${count}`).join(', ')}`))
