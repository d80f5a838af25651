import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { BODIES } from '../../src/domain/bodies.ts'
import { constraintsSql, EVENT_TYPES, mermaid } from '../../src/domain/derive.ts'
import { CAPABILITIES, clockStands, eventType, isCallable, isFinal, STATE_NAMES, STATES, STEPS, targets, TRANSITIONS, triples, VERB_NAMES, VERBS, verbOf, type State, type VerbName } from '../../src/domain/machine.ts'
import { DEFAULT_POLICY } from '../../src/domain/policy.ts'
import { RULES } from '../../src/domain/rules/index.ts'

const ROOT = join(import.meta.dirname, '../..')
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')

function reachable(): Set<State> {
  const reached = new Set<State>()
  let front: (State | 'none')[] = ['none']
  while (front.length > 0) {
    const next = triples().filter(({ from, to }) => front.includes(from) && !reached.has(to)).map(({ to }) => to)
    for (const state of next) reached.add(state)
    front = next
  }
  return reached
}

describe('the states', () => {
  test('can all be reached from filing', () => {
    expect([...reachable()].sort()).toEqual([...STATE_NAMES].sort())
  })

  test('that are final are left by 重办 alone, and the others have an exit', () => {
    const exits = (state: State) => triples().filter(({ from, to }) => from === state && to !== state)
    for (const state of STATE_NAMES) {
      if (isFinal(state)) expect(exits(state).filter(({ verb }) => verb !== 'reopen'), state).toEqual([])
      else expect(exits(state).length, state).toBeGreaterThan(0)
    }
    expect(triples().filter(({ from, to }) => from !== 'none' && isFinal(from) && from !== to)).toEqual([{ verb: 'reopen', from: 'closed', to: 'accepted' }, { verb: 'reopen', from: 'rejected', to: 'accepted' }])
    // What is done on a closed matter that stays closed: a late rating, an exclusion from the rates, and the clock of its answer.
    expect([...new Set(triples().filter(({ from, to }) => from === to && isFinal(to)).map(({ verb }) => verb))].sort())
      .toEqual(['ask-exclusion', 'deny-exclusion', 'escalate', 'grant-exclusion', 'rate', 'remind', 'reschedule'])
  })

  test('can be entered from filing only once', () => {
    expect(triples().filter(({ from }) => from === 'none')).toEqual([{ verb: 'file', from: 'none', to: 'filed' }])
  })

  test('have steps that run in them, and every step has a limit in the policy', () => {
    for (const state of STATE_NAMES) for (const step of STATES[state].steps) expect(STEPS[step].in, step).toContain(state)
    expect(Object.keys(DEFAULT_POLICY.limits).sort()).toEqual([...Object.keys(STEPS), 'reopen'].sort())
  })

  test('where a step ends by itself have the edges for it, wherever it runs', () => {
    // 兜底 is whichever of these is called for: see tick.ts.
    const verbs = { backstop: ['start', 'dispatch', 'take-down', 'escalate'] } as Record<string, VerbName[]>
    for (const [step, { onDue, in: states }] of Object.entries(STEPS)) {
      for (const state of states.filter((name) => !clockStands(name) || step === 'resubmit' || step === 'review')) {
        for (const verb of [...(verbs[onDue] ?? [onDue as VerbName]), ...(onDue === 'escalate' ? ['remind' as const] : [])]) {
          const edges = verbOf(verb).edges.filter(({ by, from }) => by.includes('system') && from.includes(state))
          expect(edges, `${verb} for SYSTEM from ${state}, where ${step} runs`).toHaveLength(1)
        }
      }
    }
  })
})

describe('every verb', () => {
  test.each(VERB_NAMES)('%s has a rule, a body, a past and words', (verb) => {
    if (verb !== 'file') expect(RULES[verb].effect).toBeTypeOf('function')
    expect(BODIES[verb]).toBeInstanceOf(z.ZodType)
    expect(BODIES[verb].safeParse({ unknown: 1 }).success).toBe(false)
    const { past, zh, says, edges } = verbOf(verb)
    expect(past).toMatch(/^[a-z]+(_[a-z]+)*$/)
    expect(zh).toMatch(/^\p{Script=Han}+$/u)
    expect(says).toMatch(/。$/)
    expect(edges.length).toBeGreaterThan(0)
    for (const { from, to, by } of edges) {
      expect(new Set(from).size).toBe(from.length)
      expect(by.length).toBeGreaterThan(0)
      if (to !== 'same') expect(to.every((state) => Object.hasOwn(STATES, state))).toBe(true)
    }
  })

  test('is the only one with its rule, its body and its event type', () => {
    expect(Object.keys(RULES).sort()).toEqual(VERB_NAMES.filter((verb) => verb !== 'file').sort())
    expect(Object.keys(BODIES).sort()).toEqual([...VERB_NAMES].sort())
    const types = EVENT_TYPES.map(({ type }) => type)
    expect(new Set(types).size).toBe(VERB_NAMES.length)
    expect(eventType('take-down')).toBe('request.taken_down')
  })

  test('is mounted when a person or an app may call it', () => {
    const system: VerbName[] = ['widen', 'close', 'absorb', 'rejoin', 'follow-lead', 'remind', 'escalate', 'reschedule']
    expect(VERB_NAMES.filter((verb) => !isCallable(verb))).toEqual(system)
    expect([...TRANSITIONS].sort()).toEqual(VERB_NAMES.filter((verb) => verb !== 'file' && !system.includes(verb)).sort())
  })

  test('leads an actor from a state to another by one edge only', () => {
    for (const verb of VERB_NAMES) {
      for (const relation of [...CAPABILITIES, 'filer', 'beneficiary', 'guardian', 'assignee', 'co', 'pending', 'attendee', 'handler', 'first_contact', 'claimer', 'anyone', 'system'] as const) {
        const ways = verbOf(verb).edges.filter(({ by }) => by.includes(relation)).flatMap((edge) => edge.from.flatMap((from) => targets(edge, from).map((to) => `${from}:${to}`)))
        expect(new Set(ways).size, `${verb} by ${relation}`).toBe(ways.length)
      }
    }
  })
})

describe('what is derived from the table', () => {
  test('is written as it stands', () => {
    expect(read('openapi/states.mmd')).toBe(mermaid())
    expect(read('prisma/constraints.sql')).toBe(constraintsSql())
  })

  test('is what the newest migration says of each constraint', () => {
    const migrations = readdirSync(join(ROOT, 'prisma/migrations'), { withFileTypes: true }).filter((entry) => entry.isDirectory()).map(({ name }) => name).sort()
    const sql = migrations.map((name) => read(`prisma/migrations/${name}/migration.sql`)).join('\n')
    const statements = constraintsSql().split(/^(?=ALTER TABLE)/m).filter((part) => part.startsWith('ALTER TABLE')).map((part) => part.trim())
    expect(statements.length).toBeGreaterThan(8)
    for (const statement of statements) {
      const head = /^ALTER TABLE "\w+" DROP CONSTRAINT IF EXISTS "\w+"/.exec(statement)![0]
      expect(sql.slice(sql.lastIndexOf(head), sql.lastIndexOf(head) + statement.length)).toBe(statement)
    }
  })

  test('names every verb once: a second name for one thing would be a second thing', () => {
    expect(new Set(VERB_NAMES.map((verb) => VERBS[verb].zh)).size).toBe(VERB_NAMES.length)
  })
})
