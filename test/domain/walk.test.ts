import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { SYSTEM, type Actor } from '../../src/domain/actor.ts'
import { shares, spans } from '../../src/domain/attribution.ts'
import { hasMoreWaves } from '../../src/domain/deadlines.ts'
import { allowed, decide } from '../../src/domain/decide.ts'
import { isFinal, STATE_NAMES, STATES, STEPS, TRANSITIONS, triples, type State, type Step, type Transition } from '../../src/domain/machine.ts'
import { DEFAULT_POLICY } from '../../src/domain/policy.ts'
import { Problem } from '../../src/domain/problems.ts'
import type { AskRow, AssignmentRow, ConsentRow, Decision, DeadlineRow, EventRow, Facts, RequestRow, Target, WallEntryRow } from '../../src/domain/request.ts'
import { tick } from '../../src/domain/tick.ts'
import { AGENT, at, BENEFICIARY, CALLER, DAY, duty, filed, FILER, FIRM, INPUT, LADDER, member, MINUTE, person, STAFF, tie, uuid, WORKER, type Differing } from './stage.ts'

/** Random walks over the machine by whoever is allowed to, with the sweep coming by now and then. */

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
beforeAll(() => console.info(`walk: fast-check seed ${seed} (SEED=${seed} repeats it)`))

const MEMBERS = [member(), member(), member()]
const VOLUNTEER = person({ affiliations: [tie('volunteer')] })
const BOSS = person({ duties: [duty(['view', 'dispatch', 'approve', 'supervise'], 'S/')] })
const ACTORS: Actor[] = [FILER, BENEFICIARY, STAFF, BOSS, CALLER, WORKER, AGENT, VOLUNTEER, ...MEMBERS]
const TARGETS: Target[] = [{ personId: WORKER.id, organisationId: null, path: 'S/C/P/', level: 'compound' }, { personId: null, organisationId: FIRM, path: 'S/C/X/', level: 'compound' }]
const LEAD = at.signed()
const ABOVE = { node: { id: uuid(), code: 'S', name: '§street' }, path: 'S/', level: 'street', organisationId: null }

/** What the database would hold: rows over rows, as `commit` writes them. */
interface Stored {
  facts: Facts
  events: EventRow[]
  deadlines: Map<string, DeadlineRow>
  assignments: Map<string, AssignmentRow>
  asks: Map<number, AskRow>
  consents: Map<string, ConsentRow>
  wall: Map<number, WallEntryRow>
  counters: Map<string, number>
}

const empty = (facts: Facts): Stored =>
  ({ facts, events: [], deadlines: new Map(), assignments: new Map(), asks: new Map(), consents: new Map(), wall: new Map(), counters: new Map() })

function store(stored: Stored, decision: Decision): void {
  if (decision.expects > 0) expect({ ...stored.facts.request, ...Object.fromEntries(decision.changed.map((column) => [column, decision.request[column]])) }, 'the columns said to differ are all that do').toEqual(decision.request)
  stored.events.push(...decision.events)
  for (const row of decision.deadlines) {
    stored.deadlines.set(`${row.step}:${row.seq}`, row)
    const key = `${row.requestId}:${row.step}:${row.seq}`
    if (!originals.has(key)) originals.set(key, row.originalDueAt)
  }
  for (const row of decision.assignments) stored.assignments.set(`${row.seq}:${row.slot}`, row)
  for (const row of decision.asks) stored.asks.set(row.seq, row)
  for (const row of decision.consents) stored.consents.set(row.purpose, row)
  for (const row of decision.wall) stored.wall.set(row.seq, row)
  for (const { key, delta } of decision.counters) stored.counters.set(key, (stored.counters.get(key) ?? 0) + delta)
  const { target: _t, targets: _ts, due: _d, claimer: _c, lead: _l, raisedTo: _r, ...after } = decision.after
  // As it would be read: the clock of the work, once it is done.
  const done = decision.deadlines.find(({ step, closedAt }) => step === 'complete' && closedAt !== null)
  stored.facts = { ...after, worked: after.request.state === 'completed' ? (done ?? stored.facts.worked) : null }
}

/** One choice: who goes first in the list of all that may be done, how long it took, and how the body turns out. */
interface Stride { pick: number; minutes: number; taste: number; sweeps: boolean }
const stride: fc.Arbitrary<Stride> = fc.record({
  pick: fc.nat(10_000), minutes: fc.oneof({ weight: 4, arbitrary: fc.nat(300) }, { weight: 1, arbitrary: fc.nat(20_000) }), taste: fc.nat(5), sweeps: fc.boolean(),
})

function body(verb: Transition, taste: number, { now }: Facts): object {
  const opinion = { solved: taste % 3 === 0 ? 'unsolved' : 'solved', satisfaction: taste === 1 ? 'dissatisfied' : 'satisfied' }
  const until = new Date(now.getTime() + 30 * DAY)
  switch (verb) {
    case 'place': return { slots: 1 + (taste % 3) }
    case 'claim': return { quantity: taste === 4 ? 2 : 1 }
    case 'follow-up': return taste % 2 === 0 ? { reached: false } : { reached: true, ...opinion }
    case 'rate': return opinion
    case 'resubmit': return taste % 2 === 0 ? {} : INPUT.resubmit
    case 'complete': return { outcome: '§', result: taste >= 4 ? 'impossible' : 'realised' }
    case 'adjudicate': return taste % 2 === 0 ? { decision: 'keep' } : { decision: 'reassign', to: 'W1' }
    case 'ask-extension': return { until: new Date(now.getTime() + 300 * DAY), reason: '§' }
    case 'ask-park': return { until, reason: '§' }
    case 'deliberate': return { decision: 'continue', minutes: '§', ...(taste % 2 === 0 ? { until } : {}) }
    case 'consent': return { ...INPUT.consent, granted: taste % 2 === 0 }
    default: return INPUT[verb]
  }
}

/** Faults of the input, not of the situation: the walk goes on. */
const BAD_INPUT = ['validation-failed', 'target-unknown', 'not-mergeable', 'slots-taken', 'not-verified', 'own-ask', 'own-wish', 'locked', 'adjudication-needed']

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
  if (stored.facts.request.state === 'merged' && taste < 3) {
    const lead = decide('complete', { ...LEAD, now: stored.facts.now }, INPUT.complete, WORKER).after
    store(stored, decide('follow-lead', { ...stored.facts, lead }, {}, SYSTEM))
    visit('follow-lead')
    check(stored)
  }
  const may = ACTORS.flatMap((actor) => allowed(actor, stored.facts).map((verb) => ({ actor, verb })))
  // A verb first and then one of those who may: else what many may is all that happens. Withdrawing ends a walk, and some may be said for ever.
  const verbs = [...new Set(may.map(({ verb }) => verb))].filter((verb) => taste === 0 || !ENDLESS.includes(verb))
  // Now and then what has been done least: else no walk gets to the end of 退单, nor to a claim that is declined.
  const least = [...verbs].sort((x, y) => (visits.get(x) ?? 0) - (visits.get(y) ?? 0))[0]
  const chosen = taste === 5 ? least : verbs[pick % Math.max(verbs.length, 1)]
  const those = may.filter(({ verb }) => verb === chosen)
  const choice = those[Math.floor(pick / Math.max(verbs.length, 1)) % Math.max(those.length, 1)]
  if (!choice) return
  const { actor, verb } = choice
  const forFirm = verb === 'claim' && actor === AGENT && taste % 2 === 0
  const facts: Facts = {
    ...stored.facts, target: verb === 'assign' || verb === 'hand-over' ? TARGETS[0]! : TARGETS[taste % 2]!, targets: TARGETS, raisedTo: ABOVE,
    ...(verb === 'merge' ? { lead: { ...LEAD, now: stored.facts.now } } : {}), ...(forFirm ? { claimer: { ...TARGETS[1]!, kinds: ['enterprise'] } } : {}),
  }
  let decision: Decision
  try {
    decision = decide(verb, facts, (forFirm ? { organisation: 'FIRM' } : body(verb, taste, facts)) as never, actor)
  } catch (error) {
    if (error instanceof Problem && BAD_INPUT.includes(error.code)) return
    throw error
  }
  visit(verb)
  store(stored, decision)
  check(stored)
}

const ENDLESS: readonly Transition[] = ['withdraw', 'consent', 'supervise', 'urge', 'hand-over', 'raise', 'amend', 'record', 'deliberate', 'assign', 'add-co', 'whistle']

const EDGES = new Set(triples().map(({ verb, from, to }) => `${verb}:${from}:${to}`))

function check({ facts, events, deadlines, assignments, asks, consents, wall, counters }: Stored): void {
  const { request } = facts
  visit(request.state)
  const rows = [...assignments.values()]
  const leads = rows.filter(({ status, role }) => role === 'lead' && (status === 'active' || status === 'pending'))
  const taken = leads.reduce((sum, { quantity }) => sum + quantity, 0)
  const slots = leads.map(({ slot }) => slot)
  const open = [...deadlines.values()].filter(({ closedAt }) => closedAt === null)
  const openAsks = [...asks.values()].filter(({ status }) => status === 'open')
  const up = [...wall.values()].filter(({ takenDownAt }) => takenDownAt === null)
  const cos = rows.filter(({ role, status }) => role === 'co' && status === 'active')
  const broken: string[] = []
  const holds = (law: string, condition: boolean) => { if (!condition) broken.push(law) }
  const seqs = (step: Step) => open.filter((row) => row.step === step).map(({ seq }) => seq).sort()

  holds('the history has no gap', events.every(({ seq }, index) => seq === index + 1))
  holds('the history has no jump', events.every(({ fromState }, index) => fromState === (events[index - 1]?.toState ?? 'none')))
  holds('every edge is the machine\'s', events.every(({ verb, fromState, toState }) => EDGES.has(`${verb}:${fromState}:${toState}`)))
  holds('the request names its newest event', request.version === events.length && request.state === events.at(-1)!.toState && request.cycle === events.at(-1)!.cycle)
  holds('closedAt is of the final states', (request.closedAt !== null) === isFinal(request.state))
  holds('who is merged follows someone', request.state !== 'merged' || request.leadId !== null)

  holds('no slot is taken twice', new Set(slots).size === slots.length && slots.every((slot) => slot >= 1 && slot <= request.slots))
  holds('slotsTaken is between none and all', request.slotsTaken >= 0 && request.slotsTaken <= request.slots)
  const held = ['open', 'in_progress', 'dispatched'].includes(request.state)
  holds('slotsTaken counts those who have or want the work, and nobody works on what is not at work', held ? request.slotsTaken === taken : leads.length === 0)
  holds('claims wait on the wall only', request.state === 'open' || leads.every(({ status }) => status === 'active'))
  holds('nobody helps with what rests or is done', !['parked', 'completed', 'closed', 'withdrawn'].includes(request.state) || cos.length === 0)
  holds('an assignment ends when it is no longer active', rows.every(({ status, until }) => (until === null) === (status === 'active' || status === 'pending')))

  holds('at most one ask of a kind is open', new Set(openAsks.map(({ kind }) => kind)).size === openAsks.length)
  holds('nobody answered his own ask', [...asks.values()].every(({ personId, answeredBy }) => answeredBy === null || answeredBy !== personId))
  holds('an open ask has a time to be answered in, and no other has', JSON.stringify(seqs('answer')) === JSON.stringify(openAsks.map(({ seq }) => seq).sort()))
  holds('a co-handler has his own time', JSON.stringify(seqs('co')) === JSON.stringify(cos.filter(({ via }) => via === 'co').map(({ seq }) => seq).sort()))
  holds('who was whistled for is awaited', JSON.stringify(seqs('report_in')) === JSON.stringify([...new Set(cos.filter(({ via, reportedAt }) => via === 'whistle' && reportedAt === null).map(({ seq }) => seq))].sort()))
  holds('what rests has its day', (seqs('review').length === 1) === (request.state === 'parked'))
  holds('what is impossible is to be confirmed', (seqs('confirm').length === 1) === (request.state === 'completed' && request.confirmed === false))
  holds('the wall widens while there is someone left to ask', (seqs('wave').length === 1) === (request.state === 'open' && hasMoreWaves(facts)))
  holds('a lease is of a claim at work', seqs('lease').every((seq) => leads.some((row) => row.seq === seq && row.via === 'claim')))

  holds('a deadline has a next time exactly while it runs', [...deadlines.values()].every(({ nextAt, closedAt, stoodAt }) => (nextAt === null) === (closedAt !== null || stoodAt !== null)))
  holds('only the whole work stands, and only with the clock', open.every(({ step, stoodAt }) => (stoodAt !== null) === (step === 'complete' && 'clockStands' in STATES[request.state])))
  holds('the original due time is never touched', open.every(({ step, seq, originalDueAt }) => originals.get(`${request.id}:${step}:${seq}`)?.getTime() === originalDueAt.getTime()))
  holds('every step runs where it may', open.every(({ step }) => (STEPS[step].in as readonly string[]).includes(request.state)))
  holds('at most one wall entry is up', up.length <= 1)

  const where = `${events.map(({ verb }) => verb).join(' → ')}`
  expect(broken, where).toEqual([])
  expect(open.map(({ step }) => step).filter((step) => !BY_VERB.includes(step)).sort(), where).toEqual(expectedSteps(request, events))
  const rungs = open.flatMap(({ rungPath }) => rungPath ?? [])
  expect(request.supervisorPath, where).toBe(rungs.sort((x, y) => x.length - y.length)[0] ?? null)

  // what the answer is made of is what would be read
  const byKey = <T extends { seq: number; slot: number }>(list: T[]) => [...list].sort((x, y) => x.seq - y.seq || x.slot - y.slot)
  const active = (role: string) => byKey(rows.filter((row) => row.role === role && row.status === 'active'))
  expect({
    assignments: byKey(facts.assignments), cos: byKey(facts.cos), pending: byKey(facts.pending), attendees: byKey(facts.attendees), handlers: byKey(facts.handlers),
    asks: [...facts.asks].sort((x, y) => x.seq - y.seq), consents: facts.consents, deadlines: [...facts.deadlines].sort(byStep), wall: facts.wall,
  }, where).toEqual({
    assignments: active('lead'), cos: active('co'), pending: byKey(rows.filter(({ status }) => status === 'pending')), attendees: active('attendee'),
    handlers: byKey(rows.filter(({ status, role }) => status === 'done' && role === 'lead')),
    asks: [...asks.values()].sort((x, y) => x.seq - y.seq), consents: [...consents.values()], deadlines: open.sort(byStep), wall: up.at(-1) ?? null,
  })

  // limits across requests
  const claims = new Map<string, number>()
  for (const { personId, organisationId } of leads.filter(({ via }) => via === 'claim')) claims.set(`claims/${organisationId ?? personId}`, (claims.get(`claims/${organisationId ?? personId}`) ?? 0) + 1)
  expect(new Map([...counters].filter(([, value]) => value !== 0)), where).toEqual(claims)

  // 时间归属: cut into pieces that add up
  const cut = spans(events, facts.now)
  const waiting = openAsks.filter(({ kind }) => kind !== 'exclusion')
  const waitsNow = isFinal(request.state) ? 'nobody' : spans(events, new Date(facts.now.getTime() + MINUTE)).at(-1)!.waitsFor
  if (waiting.length > 0) expect(['approve', 'dispatch'], where).toContain(waitsNow)
  else expect(waitsNow, where).not.toBe('approve')
  expect(cut.every(({ from, to }, index) => from < to && (index === 0 || from >= cut[index - 1]!.to)), where).toBe(true)
  const ended = events.reduce((ms, { toState, at: time }, index) => ms + (isFinal(toState) ? (events[index + 1]?.at ?? facts.now).getTime() - time.getTime() : 0), 0)
  expect(shares(cut, facts.calendar).reduce((sum, { ms }) => sum + ms, 0), where).toBe(facts.now.getTime() - events[0]!.at.getTime() - ended)
}

/** Steps that a verb opens and ends, and not the state. */
const BY_VERB: readonly Step[] = ['answer', 'co', 'report_in', 'review', 'confirm', 'wave', 'lease']

/** What each deadline was first due at. */
const originals = new Map<string, Date>()

const byStep = (a: DeadlineRow, b: DeadlineRow) => `${a.step}:${a.seq}`.localeCompare(`${b.step}:${b.seq}`)

/** Index of the event that led into the state the request is in. 改派 leads into it anew. */
const enteredAt = (state: State, events: EventRow[]): number =>
  events.findLastIndex(({ fromState, toState, verb, data }) => toState === state && (fromState !== state || verb === 'redispatch' || data.decision === 'reassign'))

function expectedSteps({ state, confirmed }: RequestRow, events: EventRow[]): Step[] {
  const entered = enteredAt(state, events)
  // Sent back, the first response is behind them; what is not confirmed is not followed up yet.
  const behind = state === 'in_progress' && (events[entered]!.verb === 'send-back' || events.slice(entered + 1).some(({ verb }) => verb === 'respond'))
  const steps: Step[] = STATES[state].steps.filter((name) => !BY_VERB.includes(name) && !(behind && name === 'respond') && !(state === 'completed' && confirmed === false))
  return [...steps, ...(state === 'completed' || isFinal(state) ? [] : ['complete' as const])].sort()
}

const WAVES = { policy: { claims: { ...DEFAULT_POLICY.claims, waves: [['party_member'], ['volunteer', 'individual'], ['enterprise']] } } } satisfies Differing
const APPROVED = { policy: { claims: { ...DEFAULT_POLICY.claims, approval: ['all'] } } } satisfies Differing
const PLACES: Differing[] = [{}, {}, { policy: { autoAccept: true } }, WAVES, APPROVED, { kind: 'activity' }, { policy: { returnsMax: 1, limits: { ...DEFAULT_POLICY.limits, lease: '60m' } } }]

test('keeps what must hold, wherever it leads', { timeout: 300_000 }, () => {
  const wanted = [...STATE_NAMES, ...TRANSITIONS, 'follow-lead', 'marks']
  const missing = () => wanted.filter((what) => !visits.has(what))
  const walks = (round: number, numRuns: number) =>
    fc.assert(fc.property(fc.array(stride, { minLength: 6, maxLength: 45 }), fc.constantFrom(...PLACES), (strides, differs) => {
      const first = filed(differs)
      const stored = empty(first.after)
      store(stored, first)
      check(stored)
      for (const each of strides) step(stored, each)
    }), { seed: seed + round, numRuns })
  walks(0, 250)
  // A walk that goes nowhere proves nothing: they go on until everything has been done, which is soon.
  for (let round = 1; missing().length > 0 && round <= 20; round++) walks(round, 100)
  expect(missing()).toEqual([])
  console.info(`walk: ${[...visits].map(([what, count]) => `${what} ${count}`).join(', ')}`)
})
