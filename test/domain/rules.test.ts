import { describe, expect, test } from 'vitest'
import { SYSTEM, type Actor } from '../../src/domain/actor.ts'
import { due } from '../../src/domain/calendar.ts'
import { allowed, decide } from '../../src/domain/decide.ts'
import { decideFiling } from '../../src/domain/filing.ts'
import type { Step } from '../../src/domain/machine.ts'
import { DEFAULT_POLICY } from '../../src/domain/policy.ts'
import type { DeadlineRow, Facts } from '../../src/domain/request.ts'
import { AGENT, APP, at, BENEFICIARY, CALENDAR, CALLER, DAY, duty, filed, FILED, FILER, filing, FIRM, INPUT, LADDER, later, member, memberElsewhere, MINUTE, MONDAY, named, next, person, STAFF, tie, uuid, WORKER } from './stage.ts'

const code = (run: () => unknown): unknown => {
  try {
    run()
    return 'done'
  } catch (error) {
    return (error as { code?: unknown }).code ?? error
  }
}
const claim = (facts: Facts, actor: Actor, organisation?: string) => decide('claim', facts, organisation === undefined ? {} : { organisation }, actor)
const forFirm = (facts: Facts): Facts => ({ ...facts, claimer: { personId: null, organisationId: FIRM, path: 'S/C/X/', level: 'compound', kinds: ['enterprise'] } })
const deadline = (facts: Facts, step: Step): DeadlineRow | undefined => facts.deadlines.find((row) => row.step === step)
const steps = (facts: Facts) => facts.deadlines.map(({ step }) => step).sort()

describe('a claim', () => {
  test('takes the lowest free slot, and the last one starts the work', () => {
    const [ann, bob, cui] = [member(), member(), member()]
    const one = next(at.open({}, 2), 'claim', ann)
    const two = next(one, 'claim', bob)
    expect([one, two].map(({ request: { state, slotsTaken, startedAt } }) => [state, slotsTaken, startedAt !== null])).toEqual([['open', 1, false], ['in_progress', 2, true]])
    expect(two.assignments.map(({ slot, personId, via }) => [slot, personId, via])).toEqual([[1, ann.id, 'claim'], [2, bob.id, 'claim']])
    expect(code(() => claim(two, cui))).toBe('transition-refused')
    expect(code(() => claim(one, ann))).toBe('already-claimed')
    const back = next(two, 'release', ann)
    expect(back.request).toMatchObject({ state: 'open', slotsTaken: 1 })
    expect(next(back, 'claim', cui).assignments.map(({ slot, personId }) => [slot, personId])).toEqual([[2, bob.id], [1, cui.id]])
  })

  test('counts against the claimer, up to the policy', () => {
    const facts = at.open({ policy: { claims: { ...DEFAULT_POLICY.claims, kinds: ['party_member'], perClaimer: 3 } } })
    const ann = member()
    expect(claim({ ...facts, held: 2 }, ann).counters).toEqual([{ key: `claims/${ann.id}`, delta: 1, limit: 3 }])
    expect(code(() => claim({ ...facts, held: 3 }, ann))).toBe('limit-reached')
  })

  test('is for others, and for the verified', () => {
    const open = at.open()
    const affiliations = [tie()]
    expect(code(() => claim(open, { ...FILER, affiliations }))).toBe('own-wish')
    expect(code(() => claim(open, { ...BENEFICIARY, affiliations }))).toBe('own-wish')
    expect(code(() => claim(open, person()))).toBe('forbidden')
    expect(code(() => claim(open, APP))).toBe('forbidden')
    const forParty = at.open({ policy: { claims: { ...DEFAULT_POLICY.claims, kinds: ['party_member'] } } })
    expect(code(() => claim(forParty, person({ affiliations: [tie('volunteer')] })))).toBe('not-verified')
    expect(allowed(person({ affiliations: [tie('volunteer')] }), forParty)).toEqual([])
  })

  test('is for the branches that the wall is for', () => {
    expect(code(() => claim(at.open(), memberElsewhere()))).toBe('forbidden')
    const wide = decide('place', { ...at.accepted(), scopePath: 'S/C/' }, { slots: 1 }, STAFF).after
    expect(wide.wall?.scopePath).toBe('S/C/')
    expect(code(() => claim(wide, memberElsewhere()))).toBe('done')
    expect(code(() => decide('place', { ...at.accepted(), scopePath: 'S/C/P2/' }, {}, STAFF))).toBe('validation-failed')
  })

  test('can be made for the organisation one acts for', () => {
    const open = at.open()
    expect(claim(forFirm(open), AGENT, 'FIRM')).toMatchObject({
      assignments: [{ personId: null, organisationId: FIRM, path: 'S/C/X/', slot: 1 }],
      counters: [{ key: `claims/${FIRM}` }],
      events: [{ actorId: AGENT.id, data: { by: FIRM } }],
    })
    expect(code(() => claim(open, AGENT, 'OTHER'))).toBe('target-unknown')
    expect(code(() => claim(forFirm(open), member(), 'FIRM'))).toBe('target-unknown')
    const forParty = at.open({ policy: { claims: { ...DEFAULT_POLICY.claims, kinds: ['party_member'] } } })
    expect(code(() => claim(forFirm(forParty), { ...AGENT, affiliations: [tie()] }, 'FIRM'))).toBe('not-verified')
  })
})

describe('a claim of an organisation', () => {
  test('is one, like that of a person', () => {
    const one = forFirm(claim(forFirm(at.open({}, 2)), AGENT, 'FIRM').after)
    expect(code(() => claim(one, AGENT, 'FIRM'))).toBe('already-claimed')
  })
})

describe('a release', () => {
  test('puts the wish back on the wall, gives the counter back and leaves the clock of the resident alone', () => {
    const ann = member()
    const claimed = at.claimed(ann)
    const decision = decide('release', claimed, INPUT.release, ann)
    expect(decision.assignments).toMatchObject([{ personId: ann.id, status: 'released', until: claimed.now }])
    expect(decision.counters).toEqual([{ key: `claims/${ann.id}`, delta: -1, limit: null }])
    expect(decision.after.wall).toEqual(claimed.wall)
    expect(steps(decision.after)).toEqual(['claim', 'complete'])
    expect(deadline(decision.after, 'claim')).toMatchObject({ openedAt: claimed.now, seq: decision.request.version })
    expect(deadline(decision.after, 'complete')).toEqual(deadline(claimed, 'complete'))
  })

  test('is not a way out of a dispatch', () => {
    expect(code(() => decide('release', at.signed(), {}, WORKER))).toBe('not-claimed')
  })
})

describe('a redispatch', () => {
  const to = (facts: Facts): Facts => ({ ...named(facts), target: { personId: AGENT.id, organisationId: null, path: 'S/C/', level: 'community' } })

  test.each([['dispatched', at.dispatched()], ['in_progress', at.signed()]])('from %s ends the old assignment and opens a new time to sign, while the resident waits no longer', (_state, facts) => {
    const much = later(facts, DAY)
    const decision = decide('redispatch', to(much), INPUT.redispatch, STAFF)
    const { seq } = decision.events[0]!
    expect(decision.assignments).toMatchObject([
      { personId: WORKER.id, status: 'replaced', until: much.now }, { personId: AGENT.id, status: 'active', until: null, slot: 1, seq },
    ])
    expect(steps(decision.after)).toEqual(['complete', 'sign'])
    expect(deadline(decision.after, 'sign')).toMatchObject({ seq, openedAt: much.now, dueAt: due(CALENDAR, much.now, DEFAULT_POLICY.limits.sign).dueAt })
    expect(deadline(decision.after, 'complete')).toEqual(deadline(facts, 'complete'))
  })

  test('takes the supervision off that the last one had earned', () => {
    const facts = at.dispatched()
    const sign = deadline(facts, 'sign')!
    const raised = decide('escalate', { ...facts, due: { deadline: sign, ladder: LADDER, late: [] } }, {}, SYSTEM).after
    expect(raised.request.supervisorPath).toBe('S/C/P/')
    expect(decide('redispatch', to(raised), INPUT.redispatch, STAFF).request.supervisorPath).toBeNull()
  })

  test('gives a claimer back his count', () => {
    const ann = member()
    expect(decide('redispatch', to(at.claimed(ann)), INPUT.redispatch, STAFF).counters).toEqual([{ key: `claims/${ann.id}`, delta: -1, limit: null }])
  })
})

describe('what the resident says', () => {
  const bad = { solved: 'unsolved', satisfaction: 'dissatisfied' } as const
  const again = (facts: Facts) => next(next(next(facts, 'dispatch', STAFF), 'sign', WORKER), 'complete', WORKER)

  test('sends the work back once, under a new clock; the second time it is closed', () => {
    const first = at.completed()
    const redo = next(later(first, DAY), 'rate', FILER, bad)
    expect(redo.request).toMatchObject({ state: 'accepted', cycle: 2, slotsTaken: 0, completedAt: null, respondedAt: null, closedAt: null })
    expect(steps(redo)).toEqual(['complete', 'place'])
    const opened = new Date(first.now.getTime() + DAY)
    expect(deadline(redo, 'complete')).toMatchObject({ openedAt: opened, dueAt: due(CALENDAR, opened, DEFAULT_POLICY.limits.complete).dueAt, seq: redo.request.version })
    expect(next(again(redo), 'rate', FILER, bad).request).toMatchObject({ state: 'closed', cycle: 2, solved: 'unsolved' })
    expect(next(at.completed({ policy: { redoMax: 0 } }), 'rate', FILER, bad).request.state).toBe('closed')
  })

  test('sends it back once also when it was reopened before: that was no redo', () => {
    const [reopened, rejected] = [next(at.completed(), 'reopen', FILER), next(at.rejected(), 'reopen', person({ duties: [duty(['approve'], 'S/')] }))]
    for (const facts of [reopened, rejected]) {
      const redo = next(again(facts), 'rate', FILER, bad)
      expect(redo.request).toMatchObject({ state: 'accepted', cycle: 3 })
      expect(next(again(redo), 'rate', FILER, bad).request).toMatchObject({ state: 'closed', cycle: 3 })
    }
    const asked = next(again(next(at.completed(), 'rate', FILER, bad)), 'reopen', FILER)
    expect(next(again(asked), 'rate', FILER, bad).request.state).toBe('closed')
  })

  test.each([['unsolved', 'satisfied', 'accepted'], ['solved', 'dissatisfied', 'accepted'], ['partly', 'fairly', 'closed']] as const)('%s and %s leads to %s', (solved, satisfaction, state) => {
    expect(next(at.completed(), 'rate', BENEFICIARY, { solved, satisfaction }).request.state).toBe(state)
    expect(next(at.completed(), 'follow-up', CALLER, { solved, satisfaction }).request.state).toBe(state)
  })

  test('can be said once on what closed by itself, within the window, and does not open it again', () => {
    const closed = at.closed()
    const rated = next(closed, 'rate', FILER, bad)
    expect(rated.request).toMatchObject({ state: 'closed', solved: 'unsolved', closedAt: closed.request.closedAt })
    expect(code(() => decide('rate', rated, bad, FILER))).toBe('already-rated')
    const { dueAt } = due(CALENDAR, closed.request.closedAt!, DEFAULT_POLICY.limits.close)
    expect(code(() => decide('rate', { ...closed, now: dueAt }, bad, FILER))).toBe('done')
    expect(code(() => decide('rate', { ...closed, now: new Date(dueAt.getTime() + 1) }, bad, FILER))).toBe('window-over')
  })

  test('can be said once more where it was closed by the first word, his own or the caller’s', () => {
    for (const closed of [next(at.completed(), 'rate', FILER), next(at.completed(), 'follow-up', CALLER)]) {
      const more = next(closed, 'rate', BENEFICIARY, bad)
      expect(more.request).toMatchObject({ state: 'closed', solved: 'unsolved', satisfaction: 'dissatisfied', closedAt: closed.request.closedAt, ratedAt: closed.now })
      expect(code(() => decide('rate', more, INPUT.rate, FILER))).toBe('already-rated')
    }
  })

  test('can be said of each cycle: what was said of the first does not speak for the second', () => {
    const second = again(next(at.completed(), 'rate', FILER, bad))
    const closed = next(second, 'close', SYSTEM)
    expect(closed.request).toMatchObject({ cycle: 2, solved: null, satisfaction: null, ratedAt: null })
    expect(code(() => decide('rate', closed, INPUT.rate, FILER))).toBe('done')
  })
})

describe('a follow-up', () => {
  const missed = { reached: false } as const
  const miss = (facts: Facts) => later(decide('follow-up', facts, missed, CALLER).after, MINUTE)

  test('that reaches nobody is tried again, and gives up at last', () => {
    const tries = [at.completed()]
    for (let k = 0; k < DEFAULT_POLICY.unreachedMax; k++) tries.push(miss(tries.at(-1)!))
    expect(tries.map(({ request }) => request.state)).toEqual(['completed', 'completed', 'completed', 'closed'])
    expect(tries.at(-1)!.request).toMatchObject({ unreached: 3, solved: null, ratedAt: null })
  })

  test('of a second cycle starts to count anew', () => {
    let facts = miss(miss(at.completed()))
    facts = next(facts, 'follow-up', CALLER, { solved: 'unsolved' })
    facts = next(next(next(facts, 'dispatch', STAFF), 'sign', WORKER), 'complete', WORKER)
    expect(miss(facts).request).toMatchObject({ state: 'completed', unreached: 1 })
  })

  test('is never by who did the work, nor by one of theirs', () => {
    const caller = duty(['follow_up'], 'S/')
    expect(code(() => decide('follow-up', at.completed(), INPUT['follow-up'], { ...WORKER, duties: [caller] }))).toBe('own-work')
    const firm = { personId: null, organisationId: FIRM, path: 'S/C/X/', level: 'compound' }
    let facts = decide('dispatch', { ...at.accepted(), target: firm }, INPUT.dispatch, STAFF).after
    facts = next(next(facts, 'sign', AGENT), 'complete', AGENT)
    expect(code(() => decide('follow-up', facts, INPUT['follow-up'], { ...AGENT, duties: [...AGENT.duties, caller] }))).toBe('own-work')
    expect(code(() => decide('follow-up', facts, INPUT['follow-up'], CALLER))).toBe('done')
  })
})

describe('the first response', () => {
  test('is recorded once', () => {
    const facts = at.signed()
    const responded = next(facts, 'respond', WORKER)
    expect(responded.request.respondedAt).toEqual(facts.now)
    expect(steps(responded)).toEqual(['complete'])
    expect(code(() => decide('respond', responded, {}, WORKER))).toBe('already-responded')
    expect(next(facts, 'complete', WORKER).request.respondedAt).toEqual(facts.now)
  })
})

describe('filing', () => {
  test('is one event, or two where the policy accepts by itself', () => {
    expect(filed().events.map(({ seq, verb, fromState, toState, actorKind }) => [seq, verb, fromState, toState, actorKind])).toEqual([[1, 'file', 'none', 'filed', 'person']])
    const auto = filed({ policy: { autoAccept: true } })
    expect(auto.events.map(({ seq, verb, fromState, toState, actorKind }) => [seq, verb, fromState, toState, actorKind])).toEqual([
      [1, 'file', 'none', 'filed', 'person'], [2, 'accept', 'filed', 'accepted', 'system'],
    ])
    expect(auto).toMatchObject({ verb: 'file', expects: 0, request: { state: 'accepted', version: 2, acceptedAt: MONDAY } })
    expect(auto.messages.map(({ type, seq }) => [type, seq])).toEqual([['request.filed', 1], ['request.accepted', 2]])
    expect(auto.deadlines.map(({ step, seq, closedAt }) => [step, seq, closedAt !== null])).toEqual([['accept', 1, true], ['complete', 1, false], ['place', 2, false]])
    expect(auto.texts.map(({ field, body, seq }) => [field, body, seq])).toEqual([['title', '§title', 1], ['description', '§description', 1]])
    expect(JSON.stringify([auto.events, auto.messages])).not.toContain('§')
  })

  test('for another is for the staff of the place', () => {
    const forAnother = (actor: Actor) => code(() => decideFiling(filing(), { ...FILED, filer: uuid() }, actor))
    expect([person(), APP, person({ duties: [duty(['file_for'], 'S/C/P2/')] }), person({ duties: [duty(['file_for'], 'S/', FIRM)] })].map(forAnother)).toEqual(Array(4).fill('forbidden'))
    const staff = person({ duties: [duty(['file_for'], 'S/C/')] })
    const filer = uuid()
    const { request, events } = decideFiling({ ...filing(), parties: { filerId: filer } }, { ...FILED, filer }, staff)
    expect(request).toMatchObject({ filerId: filer, source: 'staff' })
    expect(events[0]).toMatchObject({ actorId: staff.id, onBehalfOf: filer, dutyId: staff.duties[0]!.id })
    expect(forAnother(staff)).toBe('done')
  })

  test('under one\'s own name is what everybody may', () => {
    expect(code(() => decideFiling({ ...filing(), parties: { filerId: FILER.id } }, { ...FILED, filer: FILER.id }, FILER))).toBe('done')
  })

  test('of a confidential matter tells its community and no more', () => {
    const where = (path: string) => decideFiling(filing({ path }), { ...FILED, confidential: true }, FILER).messages[0]!.payload.node
    expect(where('S/C/P/B/U/')).toBe('C')
    expect(where('S/')).toBeNull()
  })
})
