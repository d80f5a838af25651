import { describe, expect, test } from 'vitest'
import { SYSTEM } from '../../src/domain/actor.ts'
import { addWorkingMinutes, due, endOfNextWorkday } from '../../src/domain/calendar.ts'
import { decide } from '../../src/domain/decide.ts'
import type { Limit } from '../../src/domain/limit.ts'
import type { Step } from '../../src/domain/machine.ts'
import { DEFAULT_POLICY } from '../../src/domain/policy.ts'
import type { Decision, DeadlineRow, Facts, Rung } from '../../src/domain/request.ts'
import { tick } from '../../src/domain/tick.ts'
import { at, CALENDAR, DAY, FILER, FIRM, INPUT, LADDER, later, member, MONDAY, next, STAFF, uuid, WORKER } from './stage.ts'

const { limits } = DEFAULT_POLICY
const deadline = (facts: Facts, step: Step): DeadlineRow => facts.deadlines.find((row) => row.step === step)!
const running = (facts: Facts) => facts.deadlines.filter(({ nextAt }) => nextAt !== null).map(({ step }) => step).sort()

/** The sweep at the very moment a mark comes. */
function fire(facts: Facts, step: Step, ladder: Rung[] = LADDER, late: string[] = []): Decision {
  const row = deadline(facts, step)
  return tick({ ...facts, now: row.nextAt!, due: { deadline: row, ladder, late } })
}

describe('the deadlines', () => {
  const ann = member()
  test.each([
    ['filed', at.filed(), ['accept', 'complete']],
    ['returned', at.returned(), ['resubmit']],
    ['rejected', at.rejected(), []],
    ['accepted', at.accepted(), ['complete', 'place']],
    ['open', at.open(), ['claim', 'complete']],
    ['dispatched', at.dispatched(), ['complete', 'sign']],
    ['in_progress', at.signed(), ['complete', 'respond']],
    ['in_progress by a claim', at.claimed(ann), ['complete', 'lease', 'respond']],
    ['in_progress and responded', next(at.signed(), 'respond', WORKER), ['complete']],
    ['completed', at.completed(), ['close', 'follow_up']],
    ['closed', at.closed(), []],
    ['withdrawn', at.withdrawn(), []],
    ['back on the wall', next(at.claimed(ann), 'release', ann), ['claim', 'complete']],
    ['off the wall', next(at.open(), 'take-down', STAFF), ['complete', 'place']],
  ])('that run in %s', (_state, facts, steps) => {
    expect(running(facts)).toEqual(steps)
  })

  test('open with their limit and close with the one who moved on', () => {
    const filed = at.filed()
    expect(deadline(filed, 'accept')).toMatchObject({ openedAt: MONDAY, dueAt: due(CALENDAR, MONDAY, limits.accept).dueAt, seq: 1, mark: 0 })
    const { deadlines } = decide('accept', filed, {}, STAFF)
    expect(deadlines).toMatchObject([{ step: 'accept', seq: 1, nextAt: null, closedAt: filed.now }, { step: 'place', seq: 2, openedAt: filed.now, closedAt: null }])
  })

  test('of the whole work runs from filing, whoever has it', () => {
    const first = deadline(at.filed(), 'complete')
    expect(first).toMatchObject({ openedAt: MONDAY, originalDueAt: due(CALENDAR, MONDAY, limits.complete).dueAt })
    const { requestId: _, policyId: _p, ...kept } = first
    for (const facts of [at.accepted(), at.open(), at.dispatched(), at.signed(), at.claimed(ann), next(at.signed(), 'redispatch', STAFF)]) expect(deadline(facts, 'complete')).toMatchObject(kept)
  })

  test('of the whole work stands while the filer is asked, and goes on as much later', () => {
    const returned = at.returned()
    const before = deadline(at.filed(), 'complete')
    expect(deadline(returned, 'complete')).toMatchObject({ nextAt: null, closedAt: null, dueAt: before.dueAt, stoodAt: new Date(MONDAY.getTime() + 60_000) })
    const again = deadline(next(later(returned, 2 * DAY), 'resubmit', FILER), 'complete')
    expect(again).toMatchObject({ stoodAt: null, originalDueAt: before.originalDueAt, dueAt: due(CALENDAR, before.dueAt, '2wd').dueAt })
    expect(again.nextAt).not.toBeNull()
  })

  test.each<[Limit, Limit]>([['3wd', '2wd'], ['20wd', '2wd'], ['30d', '2d'], ['72h', '48h']])('of the whole work keeps the time it stood when other rules give it %s', (limit, stood) => {
    const facts = next(later(at.returned(), 2 * DAY), 'resubmit', FILER)
    const amended = {
      item: facts.item, policy: { ...DEFAULT_POLICY, limits: { ...limits, complete: limit } }, policyId: uuid(), node: facts.node, nodePath: facts.nodePath, nodeLevel: 'unit', compound: facts.compound,
    }
    const row = deadline(decide('accept', { ...facts, amended }, {}, STAFF).after, 'complete')
    expect(row.dueAt).toEqual(due(CALENDAR, due(CALENDAR, MONDAY, limit).dueAt, stood).dueAt)
    expect(row).toMatchObject({ openedAt: MONDAY, originalDueAt: due(CALENDAR, MONDAY, limits.complete).dueAt, policyId: amended.policyId })
  })

  test('that stands is closed with the request', () => {
    const { deadlines } = decide('withdraw', at.returned(), {}, SYSTEM)
    expect(deadlines.map(({ step, nextAt, closedAt }) => [step, nextAt, closedAt !== null]).sort()).toEqual([['complete', null, true], ['resubmit', null, true]])
  })
})

describe('a mark', () => {
  test('reminds at its share of the working time, then climbs rung by rung, each once and in order', () => {
    let facts = at.filed()
    const told: unknown[] = []
    for (let k = 0; k < 6; k++) {
      const { events: [event], after } = fire(facts, 'accept')
      told.push([event!.verb, event!.data['rung'] ?? event!.data['top'] ?? null, (event!.data['logicalAt'] as string)])
      facts = after
    }
    const rung = (count: number) => addWorkingMinutes(CALENDAR, MONDAY, 480 * count).toISOString()
    expect(told.slice(0, 5)).toEqual([
      ['remind', null, addWorkingMinutes(CALENDAR, MONDAY, 360).toISOString()],
      ['escalate', LADDER[0]!.nodeId, rung(1)], ['escalate', LADDER[1]!.nodeId, rung(2)], ['escalate', LADDER[2]!.nodeId, rung(3)],
      ['remind', true, rung(4)],
    ])
    expect(told[5]).toEqual(['remind', true, endOfNextWorkday(CALENDAR, new Date(rung(4))).toISOString()])
    expect(facts.request.supervisorPath).toBe('S/')
  })

  test('lifts supervision when the step is done', () => {
    const raised = fire(fire(at.filed(), 'accept').after, 'accept').after
    expect(raised.request.supervisorPath).toBe('S/C/P/')
    expect(next(raised, 'accept', STAFF).request.supervisorPath).toBeNull()
  })

  test('keeps the highest rung of all that is late', () => {
    let facts = at.filed()
    for (let k = 0; k < 3; k++) facts = fire(facts, 'accept').after
    for (let k = 0; k < 2; k++) facts = fire(facts, 'complete').after
    expect(facts.request.supervisorPath).toBe('S/C/')
    expect(next(facts, 'accept', STAFF).request.supervisorPath).toBe('S/C/P/')
  })

  test('reminds the top where nobody else can be found', () => {
    const due = fire(at.filed(), 'accept').after
    const { events: [event] } = fire(due, 'accept', [{ ...LADDER[0]!, holders: ['late'] }, { ...LADDER[1]!, holders: [] }], ['late'])
    expect(event).toMatchObject({ verb: 'remind', data: { top: true }, actorKind: 'system', actorId: null })
  })

  test('ends by itself what only waits', () => {
    const reminded = fire(at.returned(), 'resubmit')
    expect(reminded).toMatchObject({ verb: 'remind', request: { state: 'returned' }, events: [{ data: { tell: ['filer'] } }] })
    expect(fire(reminded.after, 'resubmit')).toMatchObject({ request: { state: 'withdrawn' }, events: [{ data: { reason: 'overdue_resubmission' } }] })
    expect(fire(at.completed(), 'close').request).toMatchObject({ state: 'closed', ratedAt: null })
  })

  test('of a wall whose time is over begins what was claimed, gives the rest to the backstop, or takes it down', () => {
    const target = { personId: null, organisationId: FIRM, path: 'S/C/', level: 'community' }
    const policy = { backstop: 'FIRM' }
    /** Past its reminder, at the due time. */
    const over = (facts: Facts): Facts => fire(facts, 'claim').after
    expect(fire(over(at.open()), 'claim')).toMatchObject({ verb: 'take-down', request: { state: 'accepted' } })
    expect(fire({ ...over(at.open({ policy })), target }, 'claim')).toMatchObject({ verb: 'dispatch', request: { state: 'dispatched' }, assignments: [{ organisationId: FIRM }] })
    const half = next(at.open({ policy }, 2), 'claim', member())
    expect(fire({ ...over(half), target }, 'claim')).toMatchObject({ verb: 'start', request: { state: 'in_progress', slotsTaken: 1 } })
    // a claim that waits for a word: then the publisher is late
    const waiting = next(at.open({ policy: { ...policy, claims: { ...DEFAULT_POLICY.claims, approval: ['all'] } } }), 'claim', member())
    expect(waiting.pending).toHaveLength(1)
    expect(fire({ ...over(waiting), target }, 'claim')).toMatchObject({ verb: 'escalate', request: { state: 'open', supervisorPath: LADDER[0]!.path } })
  })

  test('says which step, and never more than codes', () => {
    const { events: [event], messages: [message] } = fire(at.filed(), 'complete')
    const time = expect.any(String) as string
    expect(event!.data).toEqual({ step: 'complete', logicalAt: time, dueAt: time, reminder: { share: 0.75 }, tell: ['dispatch'] })
    expect(JSON.stringify([event, message])).not.toContain('§')
    expect(INPUT.remind).toEqual({})
  })
})
