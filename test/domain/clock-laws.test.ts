import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { due, endOfNextWorkday } from '../../src/domain/calendar.ts'
import { whoIsLate, type Post, type Roster } from '../../src/domain/late.ts'
import type { Step } from '../../src/domain/machine.ts'
import { reminderTimes } from '../../src/domain/marks.ts'
import { policySchema, remindersOf, rungLimit, type Policy } from '../../src/domain/policy.ts'
import type { Facts } from '../../src/domain/request.ts'
import { tick } from '../../src/domain/tick.ts'
import { CALENDAR, DAY, filed, MINUTE, MONDAY } from './stage.ts'

/** Random policies on random trees, with a worker that stops for up to ten days: what is said, when, and how often. */

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
beforeAll(() => console.info(`clock laws: fast-check seed ${seed} (SEED=${seed} repeats it)`))

const limit = fc.oneof(
  fc.tuple(fc.integer({ min: 1, max: 12 }), fc.constant('wd')), fc.tuple(fc.integer({ min: 1, max: 20 }), fc.constant('d')),
  fc.tuple(fc.integer({ min: 1, max: 40 }), fc.constantFrom('wh', 'h')), fc.tuple(fc.integer({ min: 1, max: 2_000 }), fc.constantFrom('wm', 'm')),
).map(([amount, unit]) => `${amount}${unit}`)
const reminder = fc.oneof(
  fc.record({ share: fc.integer({ min: 1, max: 99 }).map((percent) => percent / 100) }), fc.record({ before: limit }), fc.constant({ at: true }), fc.record({ after: limit }),
)
const LEVELS = ['street', 'community', 'compound', 'building', 'unit', 'door']
/** Bodies of which many are impossible: the schema says which, and those are not tried. */
const policies = fc.record({
  limits: fc.record({ accept: limit, complete: limit }),
  reminders: fc.array(reminder, { maxLength: 4 }),
  stepReminders: fc.record({ complete: fc.array(reminder, { maxLength: 5 }) }, { requiredKeys: [] }),
  rungEvery: limit,
  rungEveryAt: fc.dictionary(fc.constantFrom(...LEVELS), limit, { maxKeys: 4 }),
}).map((body) => policySchema.safeParse(body)).filter(({ success }) => success).map(({ data }) => data as Policy)

/** From the root down, who supervises at each node; and where somebody dispatches, who will be late. */
const trees = fc.record({
  holders: fc.array(fc.uniqueArray(fc.constantFrom('ann', 'bo', 'cai', 'dong', 'late'), { maxLength: 2 }), { minLength: 1, maxLength: LEVELS.length }),
  late: fc.nat(LEVELS.length - 1),
})
type Tree = typeof trees extends fc.Arbitrary<infer T> ? T : never

/** How long the worker sleeps, in minutes: seconds, an hour, a night, days. */
const stops = fc.array(fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 5, max: 90 }), fc.integer({ min: 300, max: 2_000 }), fc.integer({ min: 1_440, max: 14_400 })), { minLength: 1, maxLength: 40 })

const pathOf = (depth: number) => LEVELS.slice(0, depth).map((level) => `${level}/`).join('')

function rosterOf({ holders, late }: Tree): Roster {
  const posts = new Map(holders.map((ids, depth): [string, Post] => [LEVELS[depth]!, {
    nodeId: LEVELS[depth]!, path: pathOf(depth + 1), level: LEVELS[depth]!,
    holders: [...ids.map((id) => ({ id, capabilities: ['supervise' as const] })), ...(depth === late ? [{ id: 'late', capabilities: ['dispatch' as const] }] : [])],
  }]))
  return { post: (code) => posts.get(code), people: () => [] }
}

interface Said {
  verb: string
  step: Step
  logicalAt: string
  /** Everything that is told, but when it was. */
  data: Record<string, unknown>
  at: Date
}

/** The worker wakes at these times and says all that is due by then, the earliest first, as the sweep does. */
function told(start: Facts, roster: Roster, wakes: Iterable<Date>): Said[] {
  let facts = start
  const said: Said[] = []
  for (const now of wakes) {
    for (;;) {
      const [deadline] = facts.deadlines.filter(({ nextAt }) => nextAt !== null && nextAt <= now).sort((a, b) => a.nextAt!.getTime() - b.nextAt!.getTime() || (a.step < b.step ? -1 : 1))
      if (!deadline) break
      const { events: [event], after } = tick({ ...facts, now, due: { deadline, ...whoIsLate(facts, deadline, roster) } })
      said.push({ verb: event!.verb, step: deadline.step, logicalAt: String(event!.data['logicalAt']), data: event!.data, at: now })
      const { due: _, ...rest } = after
      facts = rest
    }
  }
  return said
}

const timesFrom = (start: Date, gaps: number[]): Date[] => {
  let at = start.getTime()
  return gaps.map((gap) => new Date((at += gap * MINUTE)))
}

/** A worker that never sleeps. */
const everyMinute = function* (start: Date, end: Date) {
  for (let at = start.getTime(); at < end.getTime(); at += MINUTE) yield new Date(at)
  yield end
}

const counts = new Map<string, number>()
const count = (what: string) => counts.set(what, (counts.get(what) ?? 0) + 1)

test('every mark is said once, in the order of its time, never before it, and the same as if the worker had never stopped', () => {
  fc.assert(fc.property(policies, trees, stops, (policy, tree, gaps) => {
    const path = pathOf(tree.holders.length)
    const start: Facts = filed({ policy, path }).after
    const roster = rosterOf(tree)
    const wakes = timesFrom(MONDAY, gaps)
    const end = wakes.at(-1)!
    const said = told(start, roster, wakes)

    for (const [index, { at, logicalAt, verb }] of said.entries()) {
      count(verb)
      expect(at.toISOString() >= logicalAt, 'never early').toBe(true)
      expect(index === 0 || said[index - 1]!.logicalAt <= logicalAt, 'in order').toBe(true)
    }
    for (const row of start.deadlines) {
      const own = said.filter(({ step }) => step === row.step)
      checkReminders(own, row, policy, end)
      checkRungs(own.filter(({ data }) => data['reminder'] === undefined), start, row, policy, roster, end)
    }
    // The minutes of a month are too many for each run: a part of it
    const horizon = new Date(Math.min(end.getTime(), MONDAY.getTime() + 3 * DAY))
    const awake = told(start, roster, everyMinute(MONDAY, horizon))
    expect(said.filter(({ logicalAt }) => logicalAt <= horizon.toISOString()).map(({ data, verb }) => ({ verb, data }))).toEqual(awake.map(({ data, verb }) => ({ verb, data })))
    for (const { at, logicalAt } of awake) expect(at.getTime() - new Date(logicalAt).getTime()).toBeLessThan(MINUTE)
  }), { seed, numRuns: 250 })
  expect(counts.get('remind')).toBeGreaterThan(0)
  expect(counts.get('escalate')).toBeGreaterThan(0)
  console.info(`clock laws: ${[...counts].map(([what, times]) => `${what} ${times}`).join(', ')}`)
})

function checkReminders(said: Said[], row: Facts['deadlines'][number], policy: Policy, end: Date): void {
  const reminders = remindersOf(policy, row.step)
  const expected = reminderTimes(row, reminders, policy, CALENDAR).flatMap((at, index) => (at !== null && at <= end ? [{ reminder: JSON.stringify(reminders[index]), at: at.toISOString() }] : []))
  expect(said.flatMap(({ data, logicalAt }) => (data['reminder'] === undefined ? [] : [{ reminder: JSON.stringify(data['reminder']), at: logicalAt }])), 'each reminder once').toEqual(expected)
}

function checkRungs(said: Said[], start: Facts, row: Facts['deadlines'][number], policy: Policy, roster: Roster, end: Date): void {
  let next = row.dueAt
  const climbed: string[] = []
  for (const { verb, data, logicalAt } of said) {
    expect(logicalAt, 'when the one before it says').toBe(next.toISOString())
    if (verb === 'escalate') {
      climbed.push(...(data['skipped'] as string[]), String(data['rung']))
      expect(data['level']).toBe(data['rung'])
      next = due(CALENDAR, next, rungLimit(policy, String(data['level']))).dueAt
    } else {
      expect(data).toMatchObject({ top: true, tell: ['supervisor'] })
      next = endOfNextWorkday(CALENDAR, next)
    }
  }
  expect(next > end, 'nothing that was due is left').toBe(true)
  const depths = climbed.map((code) => LEVELS.indexOf(code))
  expect(depths.every((depth, index) => index === 0 || depth === depths[index - 1]! - 1), 'rung by rung upwards, each once').toBe(true)
  const escalations = said.filter(({ verb }) => verb === 'escalate')
  expect(said.slice(0, escalations.length), 'the top is reminded when there is no rung left').toEqual(escalations)
  const asked = new Set(whoIsLate(start, row, roster).late)
  for (const { data } of escalations) {
    const holders = roster.post(String(data['rung']))!.holders.filter(({ capabilities }) => capabilities.includes('supervise')).map(({ id }) => id)
    expect(holders.some((id) => !asked.has(id)), 'somebody new').toBe(true)
    for (const id of holders) asked.add(id)
  }
}
