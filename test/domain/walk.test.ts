import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import type { Actor } from '../../src/domain/actor.ts'
import { allowed, decide } from '../../src/domain/decide.ts'
import { isFinal, STATE_NAMES, STATES, TRANSITIONS, triples, type State, type Step, type Transition } from '../../src/domain/machine.ts'
import type { AssignmentRow, Decision, DeadlineRow, EventRow, Facts, WallEntryRow } from '../../src/domain/request.ts'
import { tick } from '../../src/domain/tick.ts'
import { AGENT, BENEFICIARY, CALLER, filed, FILER, FIRM, INPUT, LADDER, member, MINUTE, STAFF, WORKER } from './stage.ts'

/** Random walks over the machine by whoever is allowed to, with the sweep coming by now and then. */

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
beforeAll(() => console.info(`walk: fast-check seed ${seed} (SEED=${seed} repeats it)`))

const MEMBERS = [member(), member(), member()]
const ACTORS: Actor[] = [FILER, BENEFICIARY, STAFF, CALLER, WORKER, AGENT, ...MEMBERS]
const TARGETS = [{ personId: WORKER.id, organisationId: null, path: 'S/C/P/' }, { personId: null, organisationId: FIRM, path: 'S/C/X/' }]

/** What the database would hold: rows over rows, as `commit` writes them. */
interface Stored {
  facts: Facts
  events: EventRow[]
  deadlines: Map<string, DeadlineRow>
  assignments: Map<number, AssignmentRow>
  wall: Map<number, WallEntryRow>
  counters: Map<string, number>
}

const empty = (facts: Facts): Stored => ({ facts, events: [], deadlines: new Map(), assignments: new Map(), wall: new Map(), counters: new Map() })

function store(stored: Stored, decision: Decision): void {
  if (decision.expects > 0) expect({ ...stored.facts.request, ...Object.fromEntries(decision.changed.map((column) => [column, decision.request[column]])) }, 'the columns said to differ are all that do').toEqual(decision.request)
  stored.events.push(...decision.events)
  for (const row of decision.deadlines) stored.deadlines.set(`${row.step}:${row.seq}`, row)
  for (const row of decision.assignments) stored.assignments.set(row.seq, row)
  for (const row of decision.wall) stored.wall.set(row.seq, row)
  for (const { key, delta } of decision.counters) stored.counters.set(key, (stored.counters.get(key) ?? 0) + delta)
  const { target: _t, due: _d, claimer: _c, ...after } = decision.after
  stored.facts = after
}

/** One choice: who goes first in the list of all that may be done, how long it took, and how the body turns out. */
interface Stride { pick: number; minutes: number; taste: number; sweeps: boolean }
const stride: fc.Arbitrary<Stride> = fc.record({
  pick: fc.nat(10_000), minutes: fc.oneof({ weight: 4, arbitrary: fc.nat(300) }, { weight: 1, arbitrary: fc.nat(20_000) }), taste: fc.nat(5), sweeps: fc.boolean(),
})

function body(verb: Transition, taste: number): object {
  const opinion = { solved: taste % 3 === 0 ? 'unsolved' : 'solved', satisfaction: taste === 1 ? 'dissatisfied' : 'satisfied' }
  if (verb === 'place') return { slots: 1 + (taste % 3) }
  if (verb === 'follow-up') return taste % 2 === 0 ? { reached: false } : { reached: true, ...opinion }
  if (verb === 'rate') return opinion
  if (verb === 'resubmit') return taste % 2 === 0 ? {} : INPUT.resubmit
  return INPUT[verb]
}

const visits = new Map<string, number>()
const visit = (what: string) => visits.set(what, (visits.get(what) ?? 0) + 1)

function sweep(stored: Stored): void {
  for (let k = 0; k < 12; k++) {
    const [deadline] = stored.facts.deadlines.filter(({ nextAt }) => nextAt !== null && nextAt <= stored.facts.now).sort((a, b) => a.nextAt!.getTime() - b.nextAt!.getTime())
    if (!deadline) return
    visit('marks')
    store(stored, tick({ ...stored.facts, due: { deadline, ladder: LADDER, late: [] } }))
    check(stored)
  }
}

function step(stored: Stored, { pick, minutes, taste, sweeps }: Stride): void {
  stored.facts = { ...stored.facts, now: new Date(stored.facts.now.getTime() + minutes * MINUTE) }
  if (sweeps) sweep(stored)
  const may = ACTORS.flatMap((actor) => allowed(actor, stored.facts).map((verb) => ({ actor, verb })))
  // withdrawing ends a walk: it is chosen less often
  const preferred = taste === 0 ? may : may.filter(({ verb }) => verb !== 'withdraw')
  const choice = preferred[pick % Math.max(preferred.length, 1)]
  if (!choice) return
  const { actor, verb } = choice
  const forFirm = verb === 'claim' && actor === AGENT && taste % 2 === 0
  const facts: Facts = { ...stored.facts, target: TARGETS[taste % 2]!, ...(forFirm ? { claimer: { ...TARGETS[1]!, kinds: ['enterprise'] } } : {}) }
  const decision = decide(verb, facts, (forFirm ? { organisation: 'FIRM' } : body(verb, taste)) as never, actor)
  visit(verb)
  store(stored, decision)
  check(stored)
}

const EDGES = new Set(triples().map(({ verb, from, to }) => `${verb}:${from}:${to}`))

function check({ facts, events, deadlines, assignments, wall, counters }: Stored): void {
  const { request } = facts
  visit(request.state)
  const rows = [...assignments.values()]
  const active = rows.filter(({ status }) => status === 'active')
  const open = [...deadlines.values()].filter(({ closedAt }) => closedAt === null)
  const up = [...wall.values()].filter(({ takenDownAt }) => takenDownAt === null)
  const broken: string[] = []
  const holds = (law: string, condition: boolean) => { if (!condition) broken.push(law) }

  holds('the history has no gap', events.every(({ seq }, index) => seq === index + 1))
  holds('the history has no jump', events.every(({ fromState }, index) => fromState === (events[index - 1]?.toState ?? 'none')))
  holds('every edge is the machine\'s', events.every(({ verb, fromState, toState }) => EDGES.has(`${verb}:${fromState}:${toState}`)))
  holds('the request names its newest event', request.version === events.length && request.state === events.at(-1)!.toState && request.cycle === events.at(-1)!.cycle)
  holds('closedAt is of the final states', (request.closedAt !== null) === isFinal(request.state))

  holds('there are at most `slots` active assignments, each with a slot of its own', active.length <= request.slots && new Set(active.map(({ slot }) => slot)).size === active.length && active.every(({ slot }) => slot >= 1 && slot <= request.slots))
  holds('slotsTaken is between none and all', request.slotsTaken >= 0 && request.slotsTaken <= request.slots)
  const held = ['open', 'in_progress', 'dispatched'].includes(request.state)
  holds('slotsTaken counts the active assignments, and nobody works on what is not at work', held ? request.slotsTaken === active.length : active.length === 0)
  holds('an assignment ends when it is no longer active', rows.every(({ status, until }) => (until === null) === (status === 'active')))

  holds('a deadline has a next time exactly while it runs', [...deadlines.values()].every(({ nextAt, closedAt, stoodAt }) => (nextAt === null) === (closedAt !== null || stoodAt !== null)))
  holds('only the whole work stands, and only with the clock', open.every(({ step, stoodAt }) => (stoodAt !== null) === (step === 'complete' && 'clockStands' in STATES[request.state])))
  const entered = enteredAt(request.state, events)
  holds('a step was opened by the event that led to its state', open.every(({ step, seq }) => step === 'complete' || seq === entered + 1))
  holds('at most one wall entry is up', up.length <= 1)

  const where = `${events.map(({ verb }) => verb).join(' → ')}`
  expect(broken, where).toEqual([])
  expect(open.map(({ step }) => step).sort(), where).toEqual(expectedSteps(request.state, events))
  const rungs = open.flatMap(({ rungPath }) => rungPath ?? [])
  expect(request.supervisorPath, where).toBe(rungs.sort((x, y) => x.length - y.length)[0] ?? null)

  // what the answer is made of is what would be read
  expect({ assignments: facts.assignments, handlers: facts.handlers, deadlines: [...facts.deadlines].sort(byStep), wall: facts.wall }, where)
    .toEqual({ assignments: active, handlers: rows.filter(({ status }) => status === 'done'), deadlines: open.sort(byStep), wall: up.at(-1) ?? null })

  // limits across requests
  const claims = new Map<string, number>()
  for (const { personId, organisationId } of active.filter(({ via }) => via === 'claim')) claims.set(`claims/${organisationId ?? personId}`, (claims.get(`claims/${organisationId ?? personId}`) ?? 0) + 1)
  expect(new Map([...counters].filter(([, value]) => value !== 0)), where).toEqual(claims)
}

const byStep = (a: DeadlineRow, b: DeadlineRow) => `${a.step}:${a.seq}`.localeCompare(`${b.step}:${b.seq}`)

/** Index of the event that led into the state the request is in. 改派 leads into it anew. */
const enteredAt = (state: State, events: EventRow[]): number =>
  events.findLastIndex(({ fromState, toState, verb }) => toState === state && (fromState !== state || verb === 'redispatch'))

function expectedSteps(state: State, events: EventRow[]): Step[] {
  const responded = state === 'in_progress' && events.slice(enteredAt(state, events) + 1).some(({ verb }) => verb === 'respond')
  const steps: Step[] = STATES[state].steps.filter((name) => !(responded && name === 'respond'))
  return [...steps, ...(state === 'completed' || isFinal(state) ? [] : ['complete' as const])].sort()
}

test('keeps what must hold, wherever it leads', () => {
  fc.assert(fc.property(fc.array(stride, { minLength: 4, maxLength: 30 }), fc.constantFrom({}, { policy: { autoAccept: true } }), (strides, differs) => {
    const first = filed(differs)
    const stored = empty(first.after)
    store(stored, first)
    check(stored)
    for (const each of strides) step(stored, each)
  }), { seed, numRuns: 250 })
  // A walk that goes nowhere proves nothing.
  const wanted = [...STATE_NAMES.filter((state) => state !== 'parked' && state !== 'merged'), ...TRANSITIONS, 'marks']
  expect(wanted.filter((what) => !visits.has(what))).toEqual([])
  console.info(`walk: ${[...visits].map(([what, count]) => `${what} ${count}`).join(', ')}`)
})
