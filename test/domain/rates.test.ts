import { describe, expect, test } from 'vitest'
import { MET, factsOf, type Base, type Clock, type History, type Told } from '../../src/domain/rate-facts.ts'
import { RATES, RATE_CODES, figures } from '../../src/domain/rates.ts'
import { DEFAULT_SETTINGS, lowLevels } from '../../src/domain/settings.ts'

/** The definitions by example, one request at a time. Hours after filing; due after 10, by the first limit after 8. */

const at = (hours: number): Date => new Date(Date.parse('2026-03-02T00:00:00Z') + hours * 3_600_000)
type Step = [verb: Told['verb'], hours: number, to: Told['toState'], data?: Told['data'], more?: Partial<Told>]

function history(steps: Step[], clock: Partial<Clock> = {}, clocks: Partial<Clock>[] = []): History {
  let from: Told['fromState'] = 'none'
  let cycle = 1
  const events = steps.map(([verb, hours, toState, data = {}, more = {}], index): Told => {
    cycle = more.cycle ?? cycle
    const event: Told = { seq: index + 1, verb, fromState: from, toState, at: at(hours), cycle, path: 'S/C/P/B/', data, ...more }
    from = toState
    return event
  })
  const whole = { step: 'complete' as const, seq: 1, openedAt: at(0), dueAt: at(10), originalDueAt: at(8), stoodAt: null, closedAt: null, ...clock }
  const done = events.findLast(({ toState, fromState }) => toState === 'completed' && fromState !== 'completed')
  return {
    events, clocks: [whole, ...clocks.map((one) => ({ ...whole, step: 'respond' as const, dueAt: at(5), ...one }))],
    doers: done ? [{ personId: 'W', organisationId: null, path: 'S/C/P/B/', until: done.at }] : [],
  }
}
const facts = (of: History, base: Base) => factsOf(of, (path) => path.split('/').length > 4).filter((fact) => fact.base === base).map(({ at: when, met, path, parties, excluded, cycle }) =>
  ({ hours: (when.getTime() - at(0).getTime()) / 3_600_000, met, path, parties, ...(excluded && { excluded }), ...(cycle > 1 && { cycle }) }))

const BEGUN: Step[] = [['file', 0, 'filed'], ['accept', 1, 'accepted'], ['dispatch', 2, 'dispatched', { to: 'W' }], ['sign', 3, 'in_progress']]
const B = 'S/C/P/B/'

describe('按期办结', () => {
  test.each<[string, Step[], Partial<Clock>, object[]]>([
    ['done in time, of the time it was done', [['complete', 9, 'completed']], {}, [{ hours: 9, met: MET.inTime, path: B, parties: ['W'] }]],
    ['done to the millisecond', [['complete', 10, 'completed']], {}, [{ hours: 10, met: MET.inTime, path: B, parties: ['W'] }]],
    ['done late, of the time it was due', [['complete', 11, 'completed']], {}, [{ hours: 10, met: MET.late, path: B, parties: ['W'] }]],
    ['still open, of the time it is due', [], {}, [{ hours: 10, met: MET.pending, path: B, parties: ['W'] }]],
    ['given up before', [['withdraw', 9, 'withdrawn']], { closedAt: at(9) }, []],
    ['given up when it was late', [['withdraw', 11, 'withdrawn']], { closedAt: at(11) }, [{ hours: 10, met: MET.ended, path: B, parties: ['W'] }]],
    ['parked before it was due', [['grant-park', 9, 'parked']], { stoodAt: at(9) }, []],
    ['parked when it was late', [['grant-park', 11, 'parked']], { stoodAt: at(11) }, [{ hours: 10, met: MET.pending, path: B, parties: ['W'] }]],
    ['sent back, and not done since', [['complete', 9, 'completed'], ['send-back', 9.5, 'in_progress']], {}, [{ hours: 10, met: MET.pending, path: B, parties: ['W'] }]],
    ['raised after it was late: the blame stays', [['raise', 12, 'in_progress', {}, { path: 'S/' }]], {}, [{ hours: 10, met: MET.pending, path: B, parties: ['W'] }]],
    ['given to another before it was late: his', [['redispatch', 6, 'dispatched', { to: 'X' }]], {}, [{ hours: 10, met: MET.pending, path: B, parties: ['X'] }]],
    ['given to another afterwards: not his', [['redispatch', 12, 'dispatched', { to: 'X' }]], {}, [{ hours: 10, met: MET.pending, path: B, parties: ['W'] }]],
  ])('%s', (_, steps, clock, expected) => expect(facts(history([...BEGUN, ...steps], clock), 'due')).toEqual(expected))

  test('by the first limit it is late what by the extended one is in time', () => {
    const of = history([...BEGUN, ['complete', 9, 'completed']])
    expect([facts(of, 'due')[0]!.met, facts(of, 'due_original')[0]]).toEqual([MET.inTime, { hours: 8, met: MET.late, path: B, parties: ['W'] }])
  })
})

describe('a cycle', () => {
  const redone = (): History => {
    const of = history([...BEGUN, ['complete', 9, 'completed'], ['follow-up', 12, 'accepted', { reached: true, solved: 'unsolved', satisfaction: 'dissatisfied', redo: true }, { cycle: 2 }], ['grant-exclusion', 13, 'accepted', {}, { cycle: 2 }]])
    return { ...of, clocks: [{ ...of.clocks[0]!, closedAt: at(9) }, { ...of.clocks[0]!, seq: 6, openedAt: at(12), dueAt: at(22), originalDueAt: at(22) }] }
  }
  test('ends with the answer that has it done again; the next has a clock, and an exclusion, of its own', () => {
    expect(facts(redone(), 'answered')).toEqual([{ hours: 12, met: 0, path: B, parties: ['W'] }])
    expect(facts(redone(), 'due')).toEqual([{ hours: 9, met: MET.inTime, path: B, parties: ['W'] }, { hours: 22, met: MET.pending, path: B, parties: [], excluded: true, cycle: 2 }])
    expect(facts(redone(), 'completed')).toEqual([{ hours: 9, met: MET.low | MET.redone, path: B, parties: ['W'] }])
    expect(facts(redone(), 'filed')).toHaveLength(1)
  })
})

describe('响应', () => {
  const respond = (clocks: Partial<Clock>[], ...steps: Step[]) => facts(history([...BEGUN, ...steps], {}, clocks), 'response')
  test('within the limit, after it, by completing, or not yet', () => {
    expect(respond([{ seq: 4, openedAt: at(3), closedAt: at(4) }], ['respond', 4, 'in_progress'])).toMatchObject([{ hours: 4, met: MET.inTime }])
    expect(respond([{ seq: 4, openedAt: at(3), closedAt: at(6) }], ['respond', 6, 'in_progress'])).toMatchObject([{ hours: 5, met: MET.late }])
    expect(respond([{ seq: 4, openedAt: at(3), closedAt: at(5) }], ['complete', 5, 'completed'])).toMatchObject([{ hours: 5, met: MET.inTime, parties: ['W'] }])
    expect(respond([{ seq: 4, openedAt: at(3) }])).toMatchObject([{ hours: 5, met: MET.pending }])
  })
  test('of who lets it pass to another before his time is over, nothing; of the other his own', () => {
    expect(respond([{ seq: 4, openedAt: at(3), closedAt: at(4) }, { seq: 6, openedAt: at(5), dueAt: at(7), closedAt: at(6) }], ['redispatch', 4, 'dispatched', { to: 'X' }], ['sign', 5, 'in_progress'], ['respond', 6, 'in_progress']))
      .toMatchObject([{ hours: 6, met: MET.inTime, parties: ['X'] }])
  })
})

describe('认领、圆梦、退单', () => {
  const placed = (...steps: Step[]) => facts(history([['file', 0, 'filed'], ['accept', 1, 'accepted'], ['place', 2, 'open'], ...steps]), 'placed')
  test('a claim counts when it has taken effect and was not let go', () => {
    expect(placed(['claim', 3, 'in_progress', { by: 'W' }])).toMatchObject([{ hours: 2, met: MET.claimed }])
    expect(placed(['claim', 3, 'open', { by: 'W', pending: true }])).toMatchObject([{ met: 0 }])
    expect(placed(['claim', 3, 'open', { by: 'W', pending: true }], ['confirm-claim', 4, 'in_progress', { by: 'W' }])).toMatchObject([{ met: MET.claimed }])
    expect(placed(['claim', 3, 'in_progress', { by: 'W' }], ['release', 4, 'open', { by: 'W' }])).toMatchObject([{ met: 0 }])
    expect(placed(['claim', 3, 'in_progress', { by: 'W' }], ['complete', 5, 'completed', { result: 'realised' }])).toMatchObject([{ met: MET.claimed | MET.realised }])
    expect(placed(['claim', 3, 'in_progress', { by: 'W' }], ['complete', 5, 'completed', { result: 'explained' }])).toMatchObject([{ met: MET.claimed }])
  })
  test('each dispatch counts by itself, and a return against the one that was returned', () => {
    expect(facts(history([...BEGUN, ['ask-return', 4, 'in_progress'], ['grant-return', 5, 'accepted'], ['dispatch', 6, 'dispatched', { to: 'X' }], ['redispatch', 7, 'dispatched', { to: 'Y' }]]), 'dispatched'))
      .toEqual([{ hours: 2, met: MET.returned, path: B, parties: ['W'] }, { hours: 6, met: 0, path: B, parties: ['X'] }, { hours: 7, met: 0, path: B, parties: ['Y'] }])
  })
})

describe('a figure', () => {
  const tally = (met: number, count: number, excluded = false) => ({ base: 'due' as const, met, count, excluded })
  test('has what was excluded in neither part, and says none where nothing is counted', () => {
    expect(figures([tally(MET.inTime, 2), tally(MET.pending, 1), tally(MET.late, 3, true)], ['on_time', 'overdue'])).toEqual([
      { rate: 'on_time', numerator: 2, denominator: 3, excluded: 3, value: 0.6667, apart: [{ code: 'late', count: 0 }, { code: 'open', count: 1 }, { code: 'ended', count: 0 }] },
      { rate: 'overdue', numerator: 1, denominator: 3, excluded: 3, value: 0.3333, apart: [{ code: 'late', count: 0 }, { code: 'open', count: 1 }, { code: 'ended', count: 0 }] },
    ])
    expect(figures([], RATE_CODES).every(({ value, denominator }) => value === null && denominator === 0)).toBe(true)
  })
  test('is defined in both languages, with a source', () => {
    for (const code of RATE_CODES) for (const words of [RATES[code], RATES[code].numerator, RATES[code].denominator]) expect([words.zh.length > 1, words.en.length > 3, RATES[code].source.length > 1]).toEqual([true, true, true])
  })
  test('the building and what is below it is low; of a tenant without one its lowest level', () => {
    expect(lowLevels(DEFAULT_SETTINGS)).toEqual(['building', 'unit'])
    expect(lowLevels({ levels: DEFAULT_SETTINGS.levels.slice(0, 3) })).toEqual(['compound'])
    expect(lowLevels({ ...DEFAULT_SETTINGS, buildingLevel: 'compound' })).toEqual(['compound', 'building', 'unit'])
  })
})
