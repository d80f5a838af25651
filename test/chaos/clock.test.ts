import { describe, expect, test } from 'vitest'
import { mutant } from '../processes.ts'
import { hasRedis } from '../jobs/servers.ts'
import { clockCampaign } from './clock.ts'
import { clockChecks, describeOutcome } from './clock-report.ts'
import { judge, type Fired, type Owed, type Silence } from './clock-verdict.ts'

const withRedis = hasRedis() || process.env['WISHWALL_TEST_REDIS'] === 'required'

/** The small run of `npm run test:chaos -- clock`. */
describe.skipIf(!withRedis)('the clock', () => {
  test('misses nothing, is never early, does nothing twice, whatever breaks around it', async () => {
    const seed = Math.floor(Math.random() * 2 ** 31)
    const outcome = await clockCampaign({ seed, requests: 800, seconds: 25, longest: 2, say: (line) => console.log(line) })
    for (const line of describeOutcome(outcome)) console.log(line)
    expect(clockChecks(outcome).filter(({ good }) => !good), `seed ${seed}`).toEqual([])
    expect(outcome.verdict.lateness.length).toBeGreaterThan(2_000)
  }, 150_000)

  test('is not said to have fired when nobody sweeps', async () => {
    const dist = mutant('no-sweep', 'jobs/loops.js', 'await sweepOnce(db)', '{ seen: 0, fired: 0, failed: [] }')
    const { verdict } = await clockCampaign({ seed: 1, requests: 100, seconds: 8, longest: 1, faults: false, dist, settle: 2, say: () => {} })
    expect(verdict.marks).toBe(300)
    expect(verdict.missed.length).toBeGreaterThan(250) // one in ten is accepted by a person, who is sometimes faster
  }, 90_000)
})

describe('the judge', () => {
  const owed: Owed[] = [{ requestId: 'a', marks: [10_000, 20_000, 30_000] }]
  const mark = (seq: number, logicalAt: number, more: Partial<Fired> = {}): Fired => ({ requestId: 'a', seq, kind: 'mark', logicalAt, committedAt: logicalAt + 300, rung: null, ...more })
  const end = (seq: number, committedAt: number): Fired => ({ requestId: 'a', seq, kind: 'end', logicalAt: 0, committedAt, rung: null })
  const good = [mark(2, 10_000), mark(3, 20_000), mark(4, 30_000)]
  const counts = (fired: Fired[], silences: Silence[] = [], until = 30_000) => {
    const { missed, early, twice, wrong } = judge(owed, fired, silences, until)
    return [missed.length, early.length, twice.length, wrong.length]
  }

  test.each<[string, Fired[], number[]]>([
    ['all fired', good, [0, 0, 0, 0]],
    ['one left out', good.slice(1), [1, 0, 0, 0]],
    ['one fired before its time', [mark(2, 10_000, { committedAt: 9_999 }), ...good.slice(1)], [0, 1, 0, 0]],
    ['one fired twice', [...good, mark(5, 30_000)], [0, 0, 1, 0]],
    ['out of order', [mark(2, 20_000), mark(3, 10_000), mark(4, 30_000)], [0, 0, 0, 1]],
    ['at a time that no mark has', [...good, mark(5, 40_000)], [0, 0, 0, 1]],
    ['a rung climbed twice', [mark(2, 10_000), mark(3, 20_000, { rung: 'x' }), mark(4, 30_000, { rung: 'x' })], [0, 0, 0, 1]],
    ['a person was faster', [mark(2, 10_000), end(3, 20_500)], [0, 0, 0, 0]],
    ['a person was slower, and yet it was not fired', [mark(2, 10_000), end(3, 26_000)], [1, 0, 0, 0]],
    ['fired after a person had ended the waiting', [mark(2, 10_000), end(3, 19_900), mark(4, 20_000)], [0, 0, 0, 1]],
  ])('%s', (_what, fired, expected) => {
    const until = fired.some(({ kind }) => kind === 'end') ? 20_000 : 30_000
    expect(counts(fired, [], until)).toEqual(expected)
  })

  test('counts as late only what was not silence, and overlapping silences once', () => {
    const fired = [mark(2, 10_000, { committedAt: 19_000 }), ...good.slice(1)]
    const worst = (silences: Silence[]) => judge(owed, fired, silences, 30_000).lateness.at(-1)
    expect(worst([])).toBe(9_000)
    expect(worst([[8_000, 15_000]])).toBe(4_000)
    expect(worst([[12_000, 15_000], [9_000, 14_000], [18_500, 25_000]])).toBe(3_500)
    expect(worst([[0, 9_000], [19_000, 30_000]])).toBe(9_000)
  })
})
