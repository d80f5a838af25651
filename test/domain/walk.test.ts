import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { SYSTEM, type Actor } from '../../src/domain/actor.ts'
import { allowed, decide } from '../../src/domain/decide.ts'
import { isFinal, STATE_NAMES, STATES, triples, VERB_NAMES, type State, type Step, type Transition } from '../../src/domain/machine.ts'
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
  for (let k = 0; k < 20; k++) {
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
  // withdrawing and releasing end most walks: they are chosen less often
  const preferred = taste === 0 ? may : may.filter(({ verb }) => verb !== 'withdraw' && verb !== 'release')
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

  // the history has no gap and no jump, and the request names its end
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1))
  events.forEach((event, index) => {
    expect(EDGES).toContain(`${event.verb}:${event.fromState}:${event.toState}`)
    expect(event.fromState).toBe(events[index - 1]?.toState ?? 'none')
  })
  expect([request.version, request.state, request.cycle]).toEqual([events.length, events.at(-1)!.toState, events.at(-1)!.cycle])
  expect(request.closedAt !== null).toBe(isFinal(request.state))

  // what the answer is made of is what would be read
  expect(facts.assignments).toEqual(active)
  expect(facts.handlers).toEqual(rows.filter(({ status }) => status === 'done'))
  expect([...facts.deadlines].sort(byStep)).toEqual(open.sort(byStep))
  expect(facts.wall).toEqual([...wall.values()].filter(({ takenDownAt }) => takenDownAt === null).at(-1) ?? null)
  expect([...wall.values()].filter(({ takenDownAt }) => takenDownAt === null).length).toBeLessThanOrEqual(1)

  // slots
  expect(active.length).toBeLessThanOrEqual(request.slots)
  expect(new Set(active.map(({ slot }) => slot)).size).toBe(active.length)
  expect(active.every(({ slot }) => slot >= 1 && slot <= request.slots)).toBe(true)
  expect(request.slotsTaken >= 0 && request.slotsTaken <= request.slots).toBe(true)
  if (request.state === 'open' || request.state === 'in_progress' || request.state === 'dispatched') expect(request.slotsTaken).toBe(active.length)
  else expect(active).toEqual([])
  for (const row of rows) expect(row.until === null).toBe(row.status === 'active')

  // deadlines: those of the state, and the whole work until it is done
  expect(open.map(({ step }) => step).sort()).toEqual(expectedSteps(request.state, events))
  for (const row of deadlines.values()) expect(row.nextAt === null, row.step).toBe(row.closedAt !== null || row.stoodAt !== null)
  for (const row of open) expect(row.stoodAt !== null, row.step).toBe(row.step === 'complete' && 'clockStands' in STATES[request.state])
  const rungs = open.flatMap(({ rungPath }) => rungPath ?? [])
  expect(request.supervisorPath).toBe(rungs.sort((a, b) => a.length - b.length)[0] ?? null)

  // limits across requests
  const held = new Map<string, number>()
  for (const { personId, organisationId } of active.filter(({ via }) => via === 'claim')) held.set(`claims/${organisationId ?? personId}`, (held.get(`claims/${organisationId ?? personId}`) ?? 0) + 1)
  expect(new Map([...counters].filter(([, value]) => value !== 0))).toEqual(held)
}

const byStep = (a: DeadlineRow, b: DeadlineRow) => `${a.step}:${a.seq}`.localeCompare(`${b.step}:${b.seq}`)

function expectedSteps(state: State, events: EventRow[]): Step[] {
  const entered = events.findLastIndex(({ fromState, toState, verb }) => toState === state && (fromState !== state || verb === 'redispatch'))
  const responded = state === 'in_progress' && events.slice(entered + 1).some(({ verb }) => verb === 'respond')
  const steps: Step[] = STATES[state].steps.filter((name) => !(responded && name === 'respond'))
  return [...steps, ...(state === 'completed' || isFinal(state) ? [] : ['complete' as const])].sort()
}

test('keeps what must hold, wherever it leads', () => {
  fc.assert(fc.property(fc.array(stride, { minLength: 4, maxLength: 40 }), fc.constantFrom({}, { policy: { autoAccept: true } }), (strides, differs) => {
    const first = filed(differs)
    const stored = empty(first.after)
    store(stored, first)
    check(stored)
    for (const each of strides) step(stored, each)
  }), { seed, numRuns: 600 })
})

afterAll(() => {
  // A walk that goes nowhere proves nothing.
  const unseen = [...STATE_NAMES.filter((state) => state !== 'parked' && state !== 'merged'), ...VERB_NAMES.filter((verb) => !['file', 'close', 'remind', 'escalate'].includes(verb)), 'marks'].filter((what) => !visits.has(what))
  console.info(`walk: ${[...visits].map(([what, count]) => `${what} ${count}`).join(', ')}`)
  expect(unseen).toEqual([])
})
