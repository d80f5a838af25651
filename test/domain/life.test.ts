import { describe, expect, test } from 'vitest'
import { SYSTEM, type Actor, type PersonActor } from '../../src/domain/actor.ts'
import { shares, spans } from '../../src/domain/attribution.ts'
import { due } from '../../src/domain/calendar.ts'
import { allowed, decide } from '../../src/domain/decide.ts'
import { withFamily } from '../../src/domain/family.ts'
import { decideFiling } from '../../src/domain/filing.ts'
import { waitsFor } from '../../src/domain/late.ts'
import type { Step, Transition } from '../../src/domain/machine.ts'
import { todoOf, toldOf } from '../../src/domain/notice.ts'
import { DEFAULT_POLICY, type Policy } from '../../src/domain/policy.ts'
import type { DeadlineRow, Decision, EventRow, Facts, Target } from '../../src/domain/request.ts'
import { tick } from '../../src/domain/tick.ts'
import { sight } from '../../src/domain/view.ts'
import { AGENT, at, BENEFICIARY, CALENDAR, CALLER, DAY, duty, FILED, filed, FILER, filing, FIRM, INPUT, LADDER, later, member, MINUTE, named, next, person, STAFF, tie, uuid, WORKER, type Differing } from './stage.ts'

/** The whole life of a request (issue 3), rule by rule. */

const code = (run: () => unknown): unknown => {
  try {
    run()
    return 'done'
  } catch (error) {
    return (error as { code?: unknown }).code ?? error
  }
}
const does = (facts: Facts, verb: Transition, actor: Actor, input: object = INPUT[verb]) => decide(verb, facts, input as never, actor)
const may = (facts: Facts, verb: Transition, actor: Actor) => code(() => does(named(facts), verb, actor))
const deadline = (facts: Facts, step: Step): DeadlineRow | undefined => facts.deadlines.find((row) => row.step === step)
const policy = (differs: Partial<Policy>): Differing => ({ policy: differs })

/** Approves on the street, above everyone. */
const CHIEF = person({ duties: [duty(['view', 'dispatch', 'approve'], 'S/')] })
const OTHER_CHIEF = person({ duties: [duty(['view', 'dispatch', 'approve'], 'S/')] })
/** Approves on the very compound the worker stands in. */
const BESIDE = person({ duties: [duty(['dispatch', 'approve'], 'S/C/P/')] })
const firm: Target = { personId: null, organisationId: FIRM, path: 'S/C/X/', level: 'compound' }
const unit: Target = { personId: null, organisationId: uuid(), path: 'S/', level: 'street' }

describe('退单', () => {
  const asked = (differs?: Differing) => next(at.dispatched(differs), 'ask-return', WORKER)
  /** Asked and denied so often. */
  const denied = (times: number, differs?: Differing) => {
    let facts = at.dispatched(differs)
    for (let k = 0; k < times; k++) facts = next(next(facts, 'ask-return', WORKER), 'deny-return', STAFF)
    return facts
  }

  test('is asked with a code, answered by dispatch, and goes back to be dispatched anew under the resident’s old clock', () => {
    const before = at.dispatched()
    const ask = does(before, 'ask-return', WORKER)
    expect(ask).toMatchObject({ request: { state: 'dispatched' }, asks: [{ kind: 'return', reason: 'wrong_area', personId: WORKER.id, status: 'open' }], events: [{ data: { reason: 'wrong_area' } }] })
    expect(deadline(ask.after, 'answer')).toMatchObject({ seq: ask.request.version, dueAt: due(CALENDAR, before.now, DEFAULT_POLICY.limits.answer).dueAt })
    const granted = does(later(ask.after, DAY), 'grant-return', STAFF)
    expect(granted).toMatchObject({ request: { state: 'accepted', slotsTaken: 0 }, asks: [{ status: 'granted', answeredBy: STAFF.id }], assignments: [{ status: 'returned', personId: WORKER.id }] })
    expect(deadline(granted.after, 'complete')).toEqual(deadline(before, 'complete'))
    expect(deadline(granted.after, 'answer')).toBeUndefined()
  })

  test('is one at a time, never answered by who asked, and has no back door', () => {
    expect(code(() => does(asked(), 'ask-return', WORKER))).toBe('already-asked')
    const own = person({ id: WORKER.id, duties: [duty(['dispatch'], 'S/')] })
    expect([may(asked(), 'grant-return', own), may(asked(), 'deny-return', own)]).toEqual(['own-ask', 'own-ask'])
    expect(may(at.dispatched(), 'grant-return', STAFF)).toBe('not-asked')
    expect(code(() => does(at.signed(), 'release', WORKER))).toBe('not-claimed')
    const ann = member()
    expect(code(() => does(at.claimed(ann), 'ask-return', ann))).toBe('claimed-not-dispatched')
  })

  test('after the cap is adjudicated one level up: kept or reassigned, and locked either way', () => {
    const { returnsMax } = DEFAULT_POLICY
    expect(may(next(denied(returnsMax - 1), 'ask-return', WORKER), 'adjudicate', CHIEF)).toBe('adjudication-early')
    const last = next(denied(returnsMax), 'ask-return', WORKER)
    expect([may(last, 'grant-return', STAFF), may(last, 'deny-return', STAFF)]).toEqual(['adjudication-needed', 'adjudication-needed'])
    const onItsNode = person({ duties: [duty(['dispatch', 'approve'], last.request.path)] })
    expect([may(last, 'adjudicate', onItsNode), may(last, 'adjudicate', CHIEF)]).toEqual(['level-too-low', 'done'])
    const kept = next(last, 'adjudicate', CHIEF, { decision: 'keep' })
    expect(kept.request).toMatchObject({ state: 'dispatched', locked: true })
    expect(code(() => does(kept, 'ask-return', WORKER))).toBe('locked')
    const reassigned = decide('adjudicate', { ...last, target: firm }, { decision: 'reassign', to: 'F' }, CHIEF)
    expect(reassigned).toMatchObject({ request: { state: 'dispatched', locked: true }, after: { assignments: [{ organisationId: FIRM, status: 'active' }] } })
    expect(deadline(reassigned.after, 'sign')?.seq).toBe(reassigned.request.version)
    expect(deadline(reassigned.after, 'complete')).toEqual(deadline(last, 'complete'))
  })

  test('that comes to 终审 waits for those above: they are told, they are late, and the time is theirs', () => {
    const again = (times: number) => does(denied(times), 'ask-return', WORKER)
    const [still, last] = [again(DEFAULT_POLICY.returnsMax - 1), again(DEFAULT_POLICY.returnsMax)]
    expect([still, last].map(({ events: [event] }) => toldOf('ask-return', event!.data))).toEqual([['dispatch'], ['approve']])
    expect(todoOf('ask-return', 'approve', {})).toBe('请终审退单申请')
    expect([still, last].map(({ after }) => waitsFor(after, deadline(after, 'answer')!))).toEqual(['dispatch', 'approve'])
    const cut = [still, last].map(({ after, events }) => spans([...events], later(after, MINUTE).now).at(-1)?.waitsFor)
    expect(cut).toEqual(['dispatch', 'approve'])
    const answer = deadline(last.after, 'answer')!
    const reminded = tick({ ...last.after, now: answer.nextAt!, due: { deadline: answer, ladder: LADDER, late: [] } })
    expect(reminded.events[0]).toMatchObject({ verb: 'remind', data: { step: 'answer', tell: ['approve'], final: true } })
  })

  test('leaves an ask that stands to those who answer it, and takes with it one that has lapsed', () => {
    const events: EventRow[] = []
    let facts = at.accepted()
    const waits = (verb: Transition, actor: Actor, input: object = INPUT[verb], given: Partial<Facts> = {}) => {
      const decision = decide(verb, { ...named(facts), ...given }, input as never, actor)
      events.push(...decision.events)
      facts = later(decision.after, MINUTE)
      return spans(events, facts.now).at(-1)!.waitsFor
    }
    // on the wall 挂账 is still to be answered; dispatched it is not asked any more
    expect([waits('ask-park', STAFF), waits('place', STAFF), waits('dispatch', STAFF)]).toEqual(['approve', 'approve', 'assignee'])
    expect([waits('ask-extension', WORKER), waits('sign', WORKER)]).toEqual(['approve', 'approve'])
    for (let k = 0; k < DEFAULT_POLICY.returnsMax; k++) expect([waits('ask-return', WORKER), waits('deny-return', STAFF)]).toEqual(['dispatch', 'approve'])
    // whom 终审 gives it to has asked for nothing
    expect([waits('ask-return', WORKER), waits('adjudicate', CHIEF, { decision: 'reassign', to: 'F' }, { target: firm })]).toEqual(['approve', 'assignee'])
    expect(facts.asks.filter(({ status }) => status === 'open')).toEqual([])
  })

  test('lapses when the work goes to another by itself', () => {
    const moved = decide('redispatch', { ...asked(), target: firm }, INPUT.redispatch, STAFF)
    expect(moved).toMatchObject({ asks: [{ kind: 'return', status: 'lapsed' }] })
    expect(deadline(moved.after, 'answer')).toBeUndefined()
  })

  test('played to and fro: what each party took adds up to the whole', () => {
    const events: EventRow[] = []
    let facts = at.accepted()
    const play = (verb: Transition, actor: Actor, minutes: number, given: Partial<Facts> = {}) => {
      const decision = decide(verb, { ...named(facts), ...given }, INPUT[verb] as never, actor)
      events.push(...decision.events)
      facts = later(decision.after, minutes * MINUTE)
    }
    play('dispatch', STAFF, 60)
    play('ask-return', WORKER, 30)
    play('grant-return', STAFF, 15)
    play('dispatch', STAFF, 100, { target: firm })
    play('ask-return', AGENT, 45)
    play('deny-return', STAFF, 200)
    const whole = facts.now.getTime() - events[0]!.at.getTime()
    const parts = shares(spans(events, facts.now), CALENDAR)
    const of = (waitsFor: string, party?: string) => parts.filter((part) => part.waitsFor === waitsFor && (party === undefined || part.parties.includes(party))).reduce((sum, { ms }) => sum + ms, 0) / MINUTE
    expect(parts.reduce((sum, { ms }) => sum + ms, 0)).toBe(whole)
    expect([of('assignee', WORKER.id), of('assignee', FIRM), of('dispatch')]).toEqual([60, 300, 30 + 15 + 45])
  })
})

describe('延期', () => {
  const until = (facts: Facts, days: number) => new Date(deadline(facts, 'complete')!.dueAt.getTime() + days * DAY)

  test('is asked before expiry and not one second after, answered one level up, and the original time is kept', () => {
    const facts = at.signed()
    const clock = deadline(facts, 'complete')!
    expect(may({ ...facts, now: new Date(clock.dueAt.getTime() - 1000) }, 'ask-extension', WORKER)).toBe('done')
    expect(may({ ...facts, now: new Date(clock.dueAt.getTime() + 1000) }, 'ask-extension', WORKER)).toBe('too-late')
    const asked = next(facts, 'ask-extension', WORKER, { until: until(facts, 5), limit: undefined })
    expect([may(asked, 'grant-extension', BESIDE), may(asked, 'grant-extension', person({ id: WORKER.id, duties: [duty(['approve'], 'S/')] })), may(asked, 'grant-extension', CHIEF)]).toEqual(['level-too-low', 'own-ask', 'done'])
    // also after expiry, with what has climbed coming down
    const late = { ...asked, now: new Date(clock.dueAt.getTime() + 2 * DAY) }
    const climbed = decide('escalate', { ...late, due: { deadline: deadline(late, 'complete')!, ladder: LADDER, late: [] } }, {}, SYSTEM).after
    expect(climbed.request.supervisorPath).not.toBeNull()
    const granted = does(climbed, 'grant-extension', CHIEF)
    expect(granted).toMatchObject({ request: { state: 'in_progress', supervisorPath: null }, asks: [{ status: 'granted' }], messages: [{ type: 'request.extension_granted' }] })
    expect(deadline(granted.after, 'complete')).toMatchObject({ dueAt: until(facts, 5), originalDueAt: clock.originalDueAt, rungPath: null })
  })

  test('into a year that is not published is provisional, and says by how much it was asked for', () => {
    const asked = next(at.signed(), 'ask-extension', WORKER, { limit: '30wd' })
    expect(does(at.signed(), 'ask-extension', WORKER, { limit: '30wd', reason: '§' }).events[0]!.data).toMatchObject({ limit: '30wd' })
    expect(deadline(does(asked, 'grant-extension', CHIEF).after, 'complete')).toMatchObject({ provisional: true })
    const soon = next(at.signed(), 'ask-extension', WORKER, { limit: '3wd' })
    expect(deadline(does(soon, 'grant-extension', CHIEF).after, 'complete')).toMatchObject({ provisional: false })
  })

  test('is never shorter, limited in number, and not granted by silence', () => {
    const facts = at.signed()
    expect(code(() => does(facts, 'ask-extension', WORKER, { until: until(facts, -1), reason: '§' }))).toBe('validation-failed')
    for (const slip of ['2062-12-01', '2199-12-31']) expect(code(() => does(facts, 'ask-extension', WORKER, { until: new Date(slip), reason: '§' }))).toBe('validation-failed')
    let again = facts
    for (let k = 0; k < DEFAULT_POLICY.extensionsMax; k++) again = next(next(again, 'ask-extension', WORKER, { limit: '1wd' }), 'grant-extension', CHIEF)
    expect(may(again, 'ask-extension', WORKER)).toBe('limit-reached')
    const asked = next(facts, 'ask-extension', WORKER)
    expect(code(() => does(asked, 'grant-extension', CHIEF, { until: new Date('2199-12-31') }))).toBe('validation-failed')
    const answer = deadline(asked, 'answer')!
    const silent = tick({ ...asked, now: new Date(answer.dueAt.getTime() + 1), due: { deadline: { ...answer, mark: 99 }, ladder: LADDER, late: [] } })
    expect(silent).toMatchObject({ verb: 'escalate', asks: [], after: { asks: [{ status: 'open' }] } })
    const refusal = does(asked, 'deny-extension', CHIEF)
    expect(deadline(refusal.after, 'complete')).toEqual(deadline(asked, 'complete'))
    expect(refusal.texts).toEqual([expect.objectContaining({ field: 'reason', body: '§reason' })])
  })

  test('at the root is answered by a colleague, since nobody stands above', () => {
    const atRoot = (actor: PersonActor) => next({ ...at.accepted(), now: at.accepted().now }, 'ask-park', actor)
    const asked = atRoot(CHIEF)
    expect([may(asked, 'grant-park', CHIEF), may(asked, 'grant-park', STAFF), may(asked, 'grant-park', OTHER_CHIEF)]).toEqual(['own-ask', 'level-too-low', 'done'])
  })
})

describe('挂账', () => {
  test('lets the clock stand, takes the work and the wall away, and comes back by hand or on its day', () => {
    const ann = member()
    const claimed = at.claimed(ann)
    const asked = next(claimed, 'ask-park', ann)
    const granted = does(asked, 'grant-park', CHIEF)
    expect(granted).toMatchObject({
      request: { state: 'parked', slotsTaken: 0 }, after: { assignments: [], wall: null }, assignments: [{ status: 'released' }],
      counters: [{ key: `claims/${ann.id}`, delta: -1 }],
    })
    expect(deadline(granted.after, 'complete')).toMatchObject({ stoodAt: asked.now, nextAt: null })
    const review = deadline(granted.after, 'review')!
    expect(review).toMatchObject({ dueAt: INPUT['ask-park'].until, stoodAt: null })
    const back = next(later(granted.after, 3 * DAY), 'unpark', STAFF)
    expect(back.request.state).toBe('accepted')
    expect(deadline(back, 'complete')!.dueAt.getTime()).toBeGreaterThan(deadline(claimed, 'complete')!.dueAt.getTime())
    const swept = tick({ ...granted.after, now: new Date(review.dueAt.getTime() + 1), due: { deadline: { ...review, mark: 99 }, ladder: LADDER, late: [] } })
    expect(swept).toMatchObject({ verb: 'unpark', request: { state: 'accepted' }, events: [{ actorKind: 'system' }] })
  })

  test('is asked before expiry and not one second after, as 剔除 is while the work goes on; answered also later', () => {
    const facts = at.signed()
    const { dueAt } = deadline(facts, 'complete')!
    const when = (verb: 'ask-park' | 'ask-exclusion', ms: number) =>
      code(() => does({ ...facts, now: new Date(dueAt.getTime() + ms) }, verb, WORKER, verb === 'ask-park' ? { limit: '5d', reason: '§' } : INPUT[verb]))
    expect((['ask-park', 'ask-exclusion'] as const).flatMap((verb) => [when(verb, -1000), when(verb, 0), when(verb, 1000)])).toEqual(['done', 'too-late', 'too-late', 'done', 'too-late', 'too-late'])
    const asked = next(next(facts, 'ask-exclusion', WORKER), 'ask-park', WORKER, { until: new Date(dueAt.getTime() + 9 * DAY) })
    const late = { ...asked, now: new Date(dueAt.getTime() + DAY) }
    expect([may(late, 'grant-exclusion', CHIEF), may(late, 'grant-park', CHIEF)]).toEqual(['done', 'done'])
  })

  test('is reviewed in the future, and not later than the policy says', () => {
    const facts = at.accepted()
    const park = (at: Date) => code(() => does(facts, 'ask-park', STAFF, { until: at, reason: '§' }))
    expect([park(facts.now), park(new Date(facts.now.getTime() + 1000 * DAY)), park(new Date(facts.now.getTime() + 30 * DAY))]).toEqual(['validation-failed', 'validation-failed', 'done'])
  })
})

describe('剔除', () => {
  test('is asked by who did the work too, also when all is closed, and approved from above', () => {
    const closed = at.closed()
    const asked = next(closed, 'ask-exclusion', WORKER)
    expect(deadline(asked, 'answer')).toBeDefined()
    const granted = does(asked, 'grant-exclusion', CHIEF)
    expect(granted.request).toMatchObject({ state: 'closed', excluded: true, closedAt: closed.request.closedAt })
    expect(toldOf('grant-exclusion', {})).toContain('filer')
    expect(may(granted.after, 'ask-exclusion', WORKER)).toBe('already-excluded')
  })
})

describe('并案', () => {
  const lead = at.signed()
  const merged = (facts = at.accepted()) => decide('merge', { ...facts, lead }, INPUT.merge, STAFF)

  test('moves the version of the lead with it, and is taken back with its history', () => {
    const [child, taken, ...more] = withFamily(merged(), { ...at.accepted(), lead }) as [Decision, Decision]
    expect(more).toEqual([])
    expect(child).toMatchObject({ request: { state: 'merged', leadId: lead.request.id } })
    expect(merged(at.filed()).request.firstContactId, 'taken up by who merged it').toBe(STAFF.id)
    expect(taken).toMatchObject({ verb: 'absorb', expects: lead.request.version, request: { id: lead.request.id, state: lead.request.state, version: lead.request.version + 1 }, events: [{ data: { merged: [child.request.id] } }] })
    expect(child.after.deadlines.map(({ step }) => step)).toEqual(['complete'])
    const back = next(later(child.after, DAY), 'unmerge', STAFF)
    expect(back.request).toMatchObject({ state: 'accepted', leadId: null })
    expect(deadline(back, 'complete')).toEqual(deadline(child.after, 'complete'))
  })

  test('completes with the lead, each to be rated by its own petitioner; a redo leaves it', () => {
    const children = [merged(), merged(at.filed())].map(({ after }) => ({ ...after, isLead: false }))
    const done = does(lead, 'complete', WORKER)
    const all = withFamily(done, { ...lead, isLead: true, merged: children })
    expect(all.map(({ verb, request }) => [verb, request.state])).toEqual([['complete', 'completed'], ['follow-lead', 'completed'], ['follow-lead', 'completed']])
    const child = later(all[1]!.after, MINUTE)
    expect(child.request).toMatchObject({ result: 'realised', respondedAt: expect.any(Date) as Date, leadId: lead.request.id })
    expect(code(() => does(child, 'follow-up', person({ id: WORKER.id, duties: [duty(['follow_up'], 'S/')] })))).toBe('own-work')
    const redo = next(child, 'rate', FILER, { solved: 'unsolved', satisfaction: 'dissatisfied' })
    expect(redo.request).toMatchObject({ state: 'accepted', cycle: 2, leadId: null })
    expect(all[0]!.request.state).toBe('completed')
  })

  test('gives back when the lead ends otherwise', () => {
    const open = at.accepted()
    const all = withFamily(does(open, 'withdraw', FILER), { ...open, isLead: true, merged: [merged().after] })
    expect(all.map(({ verb, request }) => [verb, request.state])).toEqual([['withdraw', 'withdrawn'], ['unmerge', 'accepted']])
  })

  test('is not with itself, nor with what is done, nor across confidentiality, nor a lead into another', () => {
    const into = (facts: Facts, other: Facts | undefined) => code(() => decide('merge', { ...facts, ...(other ? { lead: other } : {}) }, INPUT.merge, STAFF))
    const one = at.accepted()
    expect([into(one, one), into(one, at.completed()), into(one, undefined), into(one, at.accepted({ confidential: true })), into({ ...one, isLead: true }, lead)])
      .toEqual(['not-mergeable', 'not-mergeable', 'not-mergeable', 'not-mergeable', 'has-merged'])
    expect(code(() => does({ ...at.filed(), isLead: true }, 'return', STAFF))).toBe('has-merged')
  })
})

describe('办结', () => {
  test('that is impossible stands only once dispatch has said so', () => {
    const facts = next(at.signed(), 'complete', WORKER, { result: 'impossible' })
    expect(facts.request).toMatchObject({ state: 'completed', confirmed: false })
    expect(facts.deadlines.map(({ step }) => step)).toEqual(['confirm'])
    expect([may(facts, 'follow-up', CALLER), may(facts, 'rate', FILER), may(facts, 'confirm', person({ id: WORKER.id, duties: [duty(['dispatch'], 'S/')] }))]).toEqual(['not-confirmed', 'not-confirmed', 'own-work'])
    const confirmed = next(facts, 'confirm', STAFF)
    expect(confirmed.deadlines.map(({ step }) => step).sort()).toEqual(['close', 'follow_up'])
    expect(may(confirmed, 'rate', FILER)).toBe('done')
    expect(may(confirmed, 'confirm', STAFF)).toBe('nothing-to-confirm')
  })

  test('that proves nothing is sent back to the same hands, under the clock they had', () => {
    const signed = at.signed()
    const done = does(later(signed, DAY), 'complete', WORKER)
    const worked = done.deadlines.find(({ step }) => step === 'complete')!
    const back = does({ ...later(done.after, DAY), worked }, 'send-back', CALLER)
    expect(back).toMatchObject({ request: { state: 'in_progress', result: null, completedAt: null }, after: { assignments: [{ personId: WORKER.id, status: 'active' }], handlers: [] } })
    expect(deadline(back.after, 'complete')).toMatchObject({ dueAt: deadline(signed, 'complete')!.dueAt, closedAt: null })
    expect(deadline(back.after, 'respond')).toBeUndefined()
    expect(next({ ...back.after, now: later(back.after, DAY).now }, 'complete', WORKER).request.state).toBe('completed')
  })

  test('of what takes a proof takes one', () => {
    const facts = { ...at.signed(), item: { ...at.signed().item, proof: true } }
    expect(code(() => does(facts, 'complete', WORKER))).toBe('validation-failed')
    const onTheSpot = (given: object) => code(() => decideFiling({ ...filing(), item: facts.item }, { ...FILED, resolvedOnSpot: { outcome: '§' }, ...given }, STAFF))
    expect([onTheSpot({}), onTheSpot({ attachments: [uuid()] })]).toEqual(['validation-failed', 'done'])
    const photo = uuid()
    expect(does(facts, 'complete', WORKER, { ...INPUT.complete, attachments: [photo] }).attachments).toEqual([{ requestId: facts.request.id, seq: facts.request.version + 1, id: photo }])
  })

  test('notes the highest level that had a hand in it', () => {
    const levelOf = (target: Target, raised = false) => {
      let facts = at.accepted()
      if (raised) facts = decide('raise', { ...facts, raisedTo: { node: { id: uuid(), code: 'S', name: '§' }, path: 'S/', level: 'street', organisationId: null } }, INPUT.raise, STAFF).after
      facts = decide('dispatch', { ...facts, target }, INPUT.dispatch, CHIEF).after
      return next(next(facts, 'sign', AGENT), 'complete', AGENT).request.resolvedAtLevel
    }
    const here: Target = { personId: AGENT.id, organisationId: null, path: 'S/C/P/B/U1/', level: 'unit' }
    expect([levelOf(here), levelOf({ ...here, path: 'S/C/P/', level: 'compound' }), levelOf(here, true)]).toEqual(['unit', 'compound', 'street'])
  })

  test('on the spot is filed, accepted and completed by one call of the staff, and closed by another', () => {
    const decision = decideFiling(filing(), { ...FILED, resolvedOnSpot: { outcome: '§换好了' } }, STAFF)
    expect(decision.events.map(({ verb, toState, actorKind }) => [verb, toState, actorKind])).toEqual([['file', 'filed', 'person'], ['accept', 'accepted', 'system'], ['complete', 'completed', 'person']])
    expect(decision.request).toMatchObject({ state: 'completed', version: 3, onTheSpot: true, firstContactId: STAFF.id, result: 'realised', resolvedAtLevel: 'unit' })
    expect(decision.deadlines.filter(({ closedAt }) => closedAt === null).map(({ step }) => step).sort()).toEqual(['close', 'follow_up'])
    expect(may(decision.after, 'follow-up', STAFF)).toBe('own-work')
    expect(code(() => decideFiling(filing(), { ...FILED, resolvedOnSpot: { outcome: '§' } }, FILER))).toBe('forbidden')
    expect(may(at.accepted(), 'complete', STAFF)).toBe('forbidden')
  })
})

describe('重办', () => {
  test('is asked for within the window, under a new clock; what was rejected is reopened from above', () => {
    const closed = at.closed()
    const { dueAt } = due(CALENDAR, closed.request.closedAt!, DEFAULT_POLICY.limits.reopen)
    expect([may({ ...closed, now: dueAt }, 'reopen', FILER), may({ ...closed, now: new Date(dueAt.getTime() + 1) }, 'reopen', FILER)]).toEqual(['done', 'window-over'])
    const again = next(closed, 'reopen', FILER)
    expect(again.request).toMatchObject({ state: 'accepted', cycle: 2, closedAt: null, result: null })
    expect(deadline(again, 'complete')!.openedAt).toEqual(closed.now)
    const onItsNode = person({ duties: [duty(['dispatch', 'approve'], at.rejected().request.path)] })
    expect([may(at.rejected(), 'reopen', FILER), may(at.rejected(), 'reopen', onItsNode), may(at.rejected(), 'reopen', CHIEF)]).toEqual(['transition-refused', 'level-too-low', 'done'])
  })
})

describe('催办、督办、上报', () => {
  test('urging is limited by the day', () => {
    let facts = at.signed()
    for (let k = 0; k < DEFAULT_POLICY.urgesPerDay; k++) facts = next(facts, 'urge', FILER)
    expect(may(facts, 'urge', FILER)).toBe('limit-reached')
    expect(allowed(FILER, facts)).not.toContain('urge')
    expect(does(later(facts, DAY), 'urge', FILER).request.urges).toBe(1)
    expect([may(facts, 'urge', WORKER), may(facts, 'supervise', STAFF)]).toEqual(['forbidden', 'done'])
  })

  test('raising moves queue, wall and clock, and leaves sight where it happened', () => {
    const raisedTo = { node: { id: uuid(), code: 'C', name: '§' }, path: 'S/C/', level: 'community', organisationId: null }
    const local = person({ duties: [duty(['view', 'dispatch'], 'S/C/P/')] })
    const open = at.open()
    const raised = decide('raise', { ...open, raisedTo }, INPUT.raise, local)
    expect(raised).toMatchObject({ request: { state: 'open', responsibleNodeId: raisedTo.node.id, path: 'S/C/', nodeId: open.request.nodeId }, after: { wall: { scopePath: 'S/C/' }, responsibleLevel: 'community' }, events: [{ path: 'S/C/' }] })
    expect(raised.texts).toMatchObject([{ field: 'reason' }])
    expect([sight(local, raised.after), may(raised.after, 'raise', local)]).toEqual(['full', 'forbidden'])
    expect(decide('raise', { ...open, wall: { ...open.wall!, scopePath: 'S/' }, raisedTo }, INPUT.raise, local).after.wall).toMatchObject({ scopePath: 'S/' })
    const elsewhere = { ...raisedTo, path: 'S/C2/' }
    const outside = decide('raise', { ...open, raisedTo: { ...elsewhere, organisationId: FIRM } }, INPUT.raise, STAFF)
    expect(outside).toMatchObject({ request: { path: 'S/C2/' }, after: { wall: { scopePath: 'S/C2/' } }, events: [{ data: { organisation: FIRM } }] })
    expect(['S/C/P/B/U1/', 'S/C/P/B/U1/R/'].map((path) => code(() => decide('raise', { ...at.open(), raisedTo: { ...raisedTo, path, organisationId: FIRM } }, INPUT.raise, STAFF)))).toEqual(['validation-failed', 'validation-failed'])
    expect(code(() => decide('raise', { ...at.open(), raisedTo: elsewhere }, INPUT.raise, STAFF))).toBe('validation-failed')
    expect(decide('raise', { ...at.open(), raisedTo: { ...elsewhere, organisationId: uuid() } }, INPUT.raise, STAFF).request.path).toBe('S/C2/')
    expect(code(() => decide('raise', at.open(), INPUT.raise, STAFF))).toBe('no-level-above')
  })
})

describe('several hands', () => {
  const helped = () => decide('add-co', { ...at.signed(), target: firm }, { to: 'F', limit: '2wd' }, STAFF)

  test('a co-handler has his own time, does his part, and the lead completes', () => {
    const added = helped()
    expect(added.assignments).toMatchObject([{ role: 'co', organisationId: FIRM, status: 'active' }])
    expect(deadline(added.after, 'co')).toMatchObject({ dueAt: due(CALENDAR, added.after.now, '2wd').dueAt })
    expect([may(added.after, 'complete', AGENT), may(added.after, 'sign', AGENT), may(added.after, 'co-done', AGENT)]).toEqual(['forbidden', 'forbidden', 'done'])
    const done = next(added.after, 'co-done', AGENT)
    expect([done.cos, deadline(done, 'co')]).toEqual([[], undefined])
    expect(code(() => decide('add-co', { ...added.after, target: firm }, { to: 'F' }, STAFF))).toBe('validation-failed')
    expect(next(added.after, 'complete', WORKER).cos).toEqual([])
  })

  test('the whistled report in, each by itself, and are awaited until all have', () => {
    const called = decide('whistle', { ...at.signed(), targets: [firm, unit, firm] }, INPUT.whistle, WORKER)
    expect(called.assignments.map(({ organisationId, slot, via }) => [organisationId, slot, via])).toEqual([[FIRM, 1, 'whistle'], [unit.organisationId, 2, 'whistle']])
    const one = next(called.after, 'report-in', AGENT)
    expect(deadline(one, 'report_in')).toBeDefined()
    expect(may(one, 'report-in', AGENT)).toBe('already-reported')
    const liaison = person({ duties: [duty(['handle'], 'S/', unit.organisationId)] })
    expect(deadline(next(one, 'report-in', liaison), 'report_in')).toBeUndefined()
  })

  test('an organisation names who goes, who may then do the work', () => {
    const dispatched = decide('dispatch', { ...at.accepted(), target: firm }, INPUT.dispatch, STAFF).after
    const goes = person()
    const sent = decide('assign', { ...dispatched, target: { personId: goes.id, organisationId: null, path: 'S/C/X/', level: null } }, INPUT.assign, AGENT)
    expect(sent.after.assignments).toMatchObject([{ organisationId: FIRM, memberId: goes.id }])
    expect([may(dispatched, 'sign', goes), may(sent.after, 'sign', goes), may(at.dispatched(), 'assign', WORKER)]).toEqual(['forbidden', 'done', 'not-an-organisation'])
    // to fulfil his own wish nobody is sent; what is dispatched may be mended by whoever reported it
    const sends = (facts: Facts, personId: string) => code(() => decide('assign', { ...facts, target: { personId, organisationId: null, path: 'S/C/X/', level: null } }, INPUT.assign, AGENT))
    const claimed = decide('claim', { ...at.open(), claimer: { ...firm, kinds: ['enterprise'] } }, { organisation: 'F' }, AGENT).after
    expect([sends(claimed, FILER.id), sends(claimed, BENEFICIARY.id), sends(claimed, goes.id), sends(dispatched, FILER.id)]).toEqual(['own-wish', 'own-wish', 'done', 'done'])
  })

  test('quantities fill the wish together, and it may begin before it is full', () => {
    const [ann, bob] = [member(), member()]
    const open = at.open({}, 5)
    const three = next(open, 'claim', ann, { quantity: 3 })
    expect(three.request).toMatchObject({ state: 'open', slotsTaken: 3 })
    expect(code(() => does(three, 'claim', bob, { quantity: 3 }))).toBe('slots-taken')
    expect(next(three, 'claim', bob, { quantity: 2 }).request).toMatchObject({ state: 'in_progress', slotsTaken: 5 })
    expect([may(open, 'start', STAFF), next(three, 'start', STAFF).request.state]).toEqual(['not-claimed', 'in_progress'])
  })

  test('a claim lasts as long as the claimer shows himself', () => {
    const ann = member()
    const claimed = at.claimed(ann)
    const lease = deadline(claimed, 'lease')!
    const over = tick({ ...claimed, now: new Date(lease.dueAt.getTime() + 1), due: { deadline: { ...lease, mark: 99 }, ladder: LADDER, late: [ann.id] } })
    expect(over).toMatchObject({ verb: 'release', request: { state: 'open', slotsTaken: 0 }, counters: [{ key: `claims/${ann.id}`, delta: -1 }], events: [{ data: { reason: 'lease_over' } }] })
    expect(deadline(next(claimed, 'respond', ann), 'lease')).toBeUndefined()
    expect(deadline(at.signed(), 'lease')).toBeUndefined()
  })

  test('a claim waits for the publisher’s word where the policy asks for it', () => {
    const differs = policy({ claims: { ...DEFAULT_POLICY.claims, approval: ['strangers'] } })
    const [near, far] = [member(), person({ affiliations: [tie('party_member', 'S/C/P/B/')] })]
    expect(next(at.open(differs), 'claim', near).request.state).toBe('in_progress')
    const stranger = person({ affiliations: [tie('volunteer', 'S/C/P/B/U1/R/')] })
    const waiting = next(at.open(differs), 'claim', stranger)
    expect(waiting).toMatchObject({ request: { state: 'open', slotsTaken: 1 }, pending: [{ personId: stranger.id }], assignments: [] })
    expect([may(waiting, 'claim', far), may(waiting, 'respond', stranger), may(waiting, 'take-down', STAFF)]).toEqual(['slots-taken', 'forbidden', 'already-claimed'])
    expect(next(waiting, 'confirm-claim', STAFF)).toMatchObject({ request: { state: 'in_progress' }, assignments: [{ personId: stranger.id, status: 'active' }], pending: [] })
    expect(does(waiting, 'decline-claim', STAFF)).toMatchObject({ request: { state: 'open', slotsTaken: 0 }, assignments: [{ status: 'declined' }], counters: [{ delta: -1 }] })
    expect(next(waiting, 'release', stranger).request.slotsTaken).toBe(0)
  })
})

describe('the wall', () => {
  const WAVES = policy({ claims: { ...DEFAULT_POLICY.claims, waves: [['party_member'], ['volunteer', 'individual'], ['enterprise']] } })
  const volunteer = person({ affiliations: [tie('volunteer')] })
  const when = (facts: Facts, step: Step, given: Partial<Facts> = {}) => {
    const row = deadline(facts, step)!
    return tick({ ...facts, ...given, now: new Date(row.dueAt.getTime() + 1), due: { deadline: { ...row, mark: 99 }, ladder: LADDER, late: [] } })
  }

  test('widens in waves, one kind after the other', () => {
    let facts = at.open(WAVES)
    expect([may(facts, 'claim', volunteer), may(facts, 'claim', member())]).toEqual(['not-yet', 'done'])
    const second = when(facts, 'wave')
    expect(second).toMatchObject({ verb: 'widen', request: { wave: 1, state: 'open' }, events: [{ data: { kinds: ['volunteer', 'individual'] } }] })
    facts = second.after
    expect([may(facts, 'claim', volunteer), may(facts, 'claim', member()), deadline(facts, 'wave') !== undefined]).toEqual(['done', 'done', true])
    expect(deadline(when(facts, 'wave').after, 'wave')).toBeUndefined()
  })

  test('does not keep a wish for ever: the backstop gets it, or it comes down with a word to dispatch, or who has claimed begins', () => {
    expect(when(at.open(policy({ backstop: 'F' })), 'claim', { target: firm })).toMatchObject({ verb: 'dispatch', request: { state: 'dispatched' }, events: [{ actorKind: 'system', data: { backstop: true } }] })
    expect(when(at.open(), 'claim')).toMatchObject({ verb: 'take-down', request: { state: 'accepted' }, after: { wall: null } })
    expect(when(next(at.open({}, 3), 'claim', member()), 'claim')).toMatchObject({ verb: 'start', request: { state: 'in_progress', slotsTaken: 1 } })
  })

  test('shows a child’s wish only with the guardian’s consent, and anyone’s to everyone only with consent', () => {
    const minor = { ...at.accepted(), request: { ...at.accepted().request, targetGroup: 'minor' as const } }
    expect(may(minor, 'place', STAFF)).toBe('consent-missing')
    const bySelf = next(minor, 'consent', FILER, { by: 'self' })
    expect(may(bySelf, 'place', STAFF)).toBe('consent-missing')
    const byGuardian = next(bySelf, 'consent', FILER, { by: 'guardian' })
    expect(next(byGuardian, 'place', STAFF).wall).toMatchObject({ isPublic: true })
    expect(may(next(byGuardian, 'consent', FILER, { by: 'guardian', granted: false }), 'place', STAFF)).toBe('consent-missing')
    expect(at.open().wall).toMatchObject({ isPublic: false })
    expect(next(at.open(), 'consent', FILER).wall).toMatchObject({ isPublic: true })
  })
})

describe('首问责任制', () => {
  test('the owner is who took it down, or who accepted it, stays through every dispatch, and hands over himself', () => {
    expect(at.accepted().request.firstContactId).toBe(STAFF.id)
    const clerk = person({ duties: [duty(['file_for'], 'S/')] })
    const taken = decideFiling({ ...filing(), parties: { filerId: FILER.id } }, { ...FILED, filer: FILER.id }, clerk)
    expect([taken.request.firstContactId, next(taken.after, 'accept', STAFF).request.firstContactId]).toEqual([clerk.id, clerk.id])
    const there = next(next(at.dispatched(), 'redispatch', STAFF), 'sign', WORKER)
    expect(there.request.firstContactId).toBe(STAFF.id)
    const handed = decide('hand-over', { ...there, target: { personId: CALLER.id, organisationId: null, path: 'S/', level: 'street' } }, INPUT['hand-over'], STAFF)
    expect(handed).toMatchObject({ request: { firstContactId: CALLER.id }, events: [{ data: { from: STAFF.id, to: CALLER.id } }] })
    expect(sight(person({ id: CALLER.id }), handed.after)).toBe('full')
    expect(may(there, 'hand-over', WORKER)).toBe('forbidden')
  })

  test('the grade selects the policy, and the work is due as if it had always been so', () => {
    const facts = at.filed()
    const urgent: Policy = { ...DEFAULT_POLICY, limits: { ...DEFAULT_POLICY.limits, complete: '24h', place: '2h' } }
    const amended = { item: facts.item, policy: urgent, policyId: uuid(), node: facts.node, nodePath: facts.nodePath, nodeLevel: 'unit', compound: facts.compound }
    const accepted = decide('accept', { ...facts, amended }, { grade: 'urgent' }, STAFF)
    expect(accepted.request).toMatchObject({ state: 'accepted', grade: 'urgent', policyId: amended.policyId })
    const before = deadline(facts, 'complete')!
    expect(deadline(accepted.after, 'complete')).toMatchObject({ dueAt: new Date(before.openedAt.getTime() + DAY), originalDueAt: before.originalDueAt, policyId: amended.policyId })
    expect(deadline(accepted.after, 'place')).toMatchObject({ dueAt: new Date(facts.now.getTime() + 120 * MINUTE) })
    expect(deadline(accepted.after, 'accept')).toBeUndefined()
  })
})

describe('kinds', () => {
  test('an errand counts trips, and is not done before the papers are back', () => {
    const facts = next(at.signed({ kind: 'errand' }), 'record', WORKER, { beneficiaries: undefined, trip: true, papers: [{ paper: 'id_card', direction: 'received' }, { paper: 'form', direction: 'received', count: 2 }] })
    expect(facts.request).toMatchObject({ trips: 1, papersOut: 3 })
    expect(may(facts, 'complete', WORKER)).toBe('papers-out')
    const back = next(facts, 'record', WORKER, { beneficiaries: undefined, papers: [{ paper: 'id_card', direction: 'returned' }, { paper: 'form', direction: 'returned', count: 2 }] })
    expect(may(back, 'complete', WORKER)).toBe('done')
    expect(code(() => does(back, 'record', WORKER, { papers: [{ paper: 'form', direction: 'returned' }] }))).toBe('validation-failed')
    expect(does(at.signed({ kind: 'errand' }), 'record', WORKER, { authorisation: 'paper' }).events[0]!.data).toEqual({ authorisation: 'paper' })
    expect(code(() => does(at.signed(), 'record', WORKER, { authorisation: 'paper' }))).toBe('validation-failed')
    const ann = member()
    const held = next(at.claimed(ann, { kind: 'errand' }), 'record', ann, { beneficiaries: undefined, papers: [{ paper: 'id_card', direction: 'received' }] })
    expect([may(at.claimed(ann), 'release', ann), may(held, 'release', ann)]).toEqual(['done', 'papers-out'])
    expect(code(() => does(at.signed(), 'record', WORKER, { trip: true }))).toBe('validation-failed')
  })

  test('a mediation counts sessions and is nobody else’s business', () => {
    const facts = next(at.signed({ kind: 'mediation' }), 'record', WORKER, { beneficiaries: undefined, session: true, agreement: true })
    expect(facts.request.sessions).toBe(1)
    expect(may(at.accepted({ kind: 'mediation' }), 'place', STAFF)).toBe('not-for-the-wall')
    const head = person({ duties: [duty(['view', 'handle', 'supervise'], 'S/')] })
    expect([sight(head, facts), sight(head, at.signed())]).toEqual(['none', 'full'])
  })

  test('an activity takes sign-ups of residents beside the volunteers who run it', () => {
    const open = next(next(at.accepted({ kind: 'activity' }), 'consent', FILER), 'place', STAFF, { slots: 2 })
    const resident = person()
    expect(sight(resident, open)).toBe('wall')
    const come = next(open, 'sign-up', resident)
    expect(come).toMatchObject({ attendees: [{ personId: resident.id }], request: { slotsTaken: 0 } })
    expect([may(come, 'sign-up', resident), may(come, 'cancel-sign-up', resident), may(at.open(), 'sign-up', person({ affiliations: [tie()] }))]).toEqual(['already-signed-up', 'done', 'not-an-activity'])
  })

  test('whoever is complained of sees nothing, and decides nothing', () => {
    const head = person({ duties: [duty(['view', 'dispatch', 'supervise'], 'S/')] })
    const against = { ...at.filed(), request: { ...at.filed().request, respondentId: head.id } }
    expect([sight(head, against), may(against, 'reject', head), sight(CHIEF, against)]).toEqual(['none', 'forbidden', 'full'])
    const firmComplained = { ...at.filed(), request: { ...at.filed().request, respondentOrganisationId: FIRM } }
    expect(sight(person({ duties: [...AGENT.duties, duty(['view'], 'S/')] }), firmComplained)).toBe('none')
    const given = decide('dispatch', { ...next(firmComplained, 'accept', STAFF), target: firm }, INPUT.dispatch, STAFF).after
    expect(sight(AGENT, given)).toBe('full')
  })
})

describe('on behalf', () => {
  const plumber = person({ hasAccount: false, affiliations: [tie('volunteer')] })
  const clerk = person({ duties: [duty(['file_for'], 'S/C/')] })

  test('staff of the place act for someone without an account: both are stored, the credit is his', () => {
    const claimed = decide('claim', { ...at.open(), represented: plumber }, { for: plumber.id }, clerk)
    expect(claimed).toMatchObject({ assignments: [{ personId: plumber.id }], events: [{ actorId: clerk.id, onBehalfOf: plumber.id, dutyId: clerk.duties[0]!.id }], counters: [{ key: `claims/${plumber.id}` }] })
    expect(decide('complete', { ...claimed.after, represented: plumber }, { ...INPUT.complete, for: plumber.id }, clerk).request.state).toBe('completed')
  })

  test('nobody acts for who can act himself, nor elsewhere, nor with rights that are not his', () => {
    const forPlumber = (actor: Actor, represented: PersonActor) => code(() => decide('claim', { ...at.open(), represented }, { for: represented.id }, actor))
    expect([forPlumber(clerk, member()), forPlumber(person({ duties: [duty(['file_for'], 'S/C2/')] }), plumber), forPlumber(FILER, plumber)]).toEqual(['has-account', 'forbidden', 'forbidden'])
    const head = person({ hasAccount: false, duties: [duty(['dispatch'], 'S/')] })
    expect(code(() => decide('dispatch', named({ ...at.accepted(), represented: head }), INPUT.dispatch, clerk))).toBe('forbidden')
  })

  test('the guardian stands beside the filer', () => {
    const guardian = person()
    const facts = { ...at.filed(), request: { ...at.filed().request, guardianId: guardian.id } }
    expect([sight(guardian, facts), may(facts, 'withdraw', guardian), may(facts, 'urge', guardian)]).toEqual(['full', 'done', 'done'])
    const verified = { ...guardian, affiliations: [tie()] }
    expect(may({ ...at.open(), request: { ...at.open().request, guardianId: guardian.id } }, 'claim', verified)).toBe('own-wish')
    expect(filed({ beneficiary: BENEFICIARY.id }).request.beneficiaryId).toBe(BENEFICIARY.id)
  })

  test('a meeting decides, and a long matter rests until the next', () => {
    const decided = next(at.accepted(), 'deliberate', STAFF)
    expect(decided.request.state).toBe('accepted')
    const until = new Date(at.accepted().now.getTime() + 20 * DAY)
    const rests = does(at.accepted(), 'deliberate', STAFF, { decision: 'continue', minutes: '§', until })
    expect(rests.request.state).toBe('parked')
    expect(deadline(rests.after, 'review')?.dueAt).toEqual(until)
    expect(rests.texts).toMatchObject([{ field: 'minutes', body: '§' }])
  })
})

describe('what strangers found', () => {
  test('what is merged goes back with a lead that is sent back, and is completed with it again', () => {
    const lead = at.signed()
    const child = decide('merge', { ...at.accepted(), lead }, INPUT.merge, STAFF).after
    const done = withFamily(does(lead, 'complete', WORKER), { ...lead, isLead: true, merged: [child] })
    const [leadDone, childDone] = done.map(({ after, deadlines }) => ({ ...after, worked: deadlines.find(({ step }) => step === 'complete') ?? null }))
    const back = withFamily(does(leadDone!, 'send-back', CALLER), { ...leadDone!, merged: [childDone!] })
    expect(back.map(({ verb, request }) => [verb, request.state])).toEqual([['send-back', 'in_progress'], ['rejoin', 'merged']])
    expect(deadline(back[1]!.after, 'complete')).toEqual(deadline(child, 'complete'))
    const again = withFamily(does(back[0]!.after, 'complete', WORKER), { ...back[0]!.after, isLead: true, merged: [back[1]!.after] })
    expect(again.map(({ request }) => request.state)).toEqual(['completed', 'completed'])
  })

  test('终审 is neither walked around nor undone from below', () => {
    const locked = { ...at.dispatched(), request: { ...at.dispatched().request, locked: true } }
    const local = person({ duties: [duty(['dispatch', 'approve'], locked.request.path)] })
    expect([may(locked, 'redispatch', local), may(locked, 'redispatch', CHIEF)]).toEqual(['locked', 'done'])
    // nor by letting it rest, which takes the work away as well
    const working = { ...at.signed(), request: { ...at.signed().request, locked: true } }
    const rests = (actor: Actor) => code(() => does(working, 'deliberate', actor, { decision: 'continue', minutes: '§', until: new Date(working.now.getTime() + 5 * DAY) }))
    expect([rests(local), rests(CHIEF), may(working, 'deliberate', local)]).toEqual(['locked', 'done', 'done'])
  })

  test('every conflict says how things stand', () => {
    const refusal = (() => {
      try {
        return does(at.signed(), 'grant-extension', CHIEF)
      } catch (error) {
        return error
      }
    })()
    expect(refusal).toMatchObject({ code: 'not-asked', facts: { state: 'in_progress', allowed: allowed(CHIEF, at.signed()) } })
  })

  test('a child’s wish comes down when the guardian takes the consent back', () => {
    const minor = { ...at.accepted(), request: { ...at.accepted().request, targetGroup: 'minor' as const } }
    const open = next(next(minor, 'consent', FILER, { by: 'guardian' }), 'place', STAFF)
    expect(does(open, 'consent', FILER, { ...INPUT.consent, by: 'guardian', granted: false })).toMatchObject({ request: { state: 'accepted' }, after: { wall: null } })
    const guardian = uuid()
    const guarded = { ...minor, request: { ...minor.request, guardianId: guardian } }
    expect(code(() => does(guarded, 'consent', FILER, { ...INPUT.consent, by: 'guardian' }))).toBe('forbidden')
  })

  test('who has done the work is told that it is done, and a stranger that it is not his', () => {
    const done = at.completed()
    const refusal = (actor: Actor) => {
      try {
        return does(done, 'complete', actor)
      } catch (error) {
        return error
      }
    }
    expect(refusal(WORKER)).toMatchObject({ code: 'transition-refused', facts: { state: 'completed', allowed: allowed(WORKER, done) } })
    expect([may(done, 'respond', WORKER), may(done, 'complete', FILER), may(done, 'complete', STAFF), may(done, 'accept', WORKER)]).toEqual(['transition-refused', 'forbidden', 'forbidden', 'forbidden'])
    // in a second cycle, with another, it is not his any more
    const again = decide('dispatch', { ...next(done, 'rate', FILER, { solved: 'unsolved' }), target: firm }, INPUT.dispatch, STAFF).after
    expect([may(again, 'sign', WORKER), may(again, 'complete', WORKER)]).toEqual(['forbidden', 'transition-refused'])
  })

  test('who did the work does not say how well it was done', () => {
    const own = person({ id: WORKER.id })
    const facts = { ...at.completed(), request: { ...at.completed().request, filerId: own.id } }
    expect(may(facts, 'rate', own)).toBe('own-work')
  })
})
