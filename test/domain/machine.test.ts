import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { BODIES } from '../../src/domain/bodies.ts'
import { constraintsSql, EVENT_TYPES, mermaid } from '../../src/domain/derive.ts'
import { CAPABILITIES, eventType, isCallable, isFinal, STATE_NAMES, STATES, STEPS, TRANSITIONS, triples, VERB_NAMES, VERBS, verbOf, type State, type VerbName } from '../../src/domain/machine.ts'
import { DEFAULT_POLICY } from '../../src/domain/policy.ts'
import { RULES } from '../../src/domain/rules/index.ts'

const ROOT = join(import.meta.dirname, '../..')
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')

/** States whose verbs are not built yet. Take one off as soon as a verb leads there: the test says so. */
const NOT_YET_REACHABLE: State[] = ['parked', 'merged']

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
  test('can all be reached from filing, but for those whose verbs are not built', () => {
    const reached = reachable()
    expect(STATE_NAMES.filter((state) => !reached.has(state))).toEqual(NOT_YET_REACHABLE)
  })

  test('that are final have no exit, and the others do', () => {
    const exits = (state: State) => triples().filter(({ from, to }) => from === state && to !== state)
    for (const state of STATE_NAMES) expect(exits(state).length === 0, state).toBe(isFinal(state))
    // the one act on a final state: rating what was closed, which stays closed
    expect(triples().filter(({ from }) => from !== 'none' && isFinal(from))).toEqual([{ verb: 'rate', from: 'closed', to: 'closed' }])
  })

  test('can be entered from filing only once', () => {
    expect(triples().filter(({ from }) => from === 'none')).toEqual([{ verb: 'file', from: 'none', to: 'filed' }])
  })

  test('have steps with a limit in the policy, and every step belongs to one state or is `complete`', () => {
    const steps = STATE_NAMES.flatMap((state) => [...STATES[state].steps])
    expect([...steps, 'complete'].sort()).toEqual(Object.keys(STEPS).sort())
    expect(Object.keys(DEFAULT_POLICY.limits).sort()).toEqual(Object.keys(STEPS).sort())
  })

  test('where a step ends by itself have the edge for it', () => {
    for (const [step, { onDue }] of Object.entries(STEPS)) {
      for (const state of STATE_NAMES.filter((name) => (STATES[name].steps as readonly string[]).includes(step))) {
        const edges = verbOf(onDue).edges.filter(({ by, from }) => by.includes('system') && from.includes(state))
        expect(edges, `${onDue} for SYSTEM from ${state}, where ${step} runs`).toHaveLength(1)
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
    const system: VerbName[] = ['close', 'remind', 'escalate']
    expect(VERB_NAMES.filter((verb) => !isCallable(verb))).toEqual(system)
    expect([...TRANSITIONS].sort()).toEqual(VERB_NAMES.filter((verb) => verb !== 'file' && !system.includes(verb)).sort())
  })

  test('has at most one edge for an actor in a state', () => {
    for (const verb of VERB_NAMES) {
      for (const relation of [...CAPABILITIES, 'filer', 'beneficiary', 'assignee', 'claimer', 'anyone', 'system'] as const) {
        const froms = verbOf(verb).edges.filter(({ by }) => by.includes(relation)).flatMap(({ from }) => [...from])
        expect(new Set(froms).size, `${verb} by ${relation}`).toBe(froms.length)
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
