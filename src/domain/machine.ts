import { STATES, type State } from './states.ts'
import { ASKS } from './verbs/asks.ts'
import { CHASING } from './verbs/chasing.ts'
import { CLOSING } from './verbs/closing.ts'
import { DISPATCH } from './verbs/dispatch.ts'
import { HANDLING } from './verbs/handling.ts'
import { INTAKE } from './verbs/intake.ts'
import { MERGING } from './verbs/merging.ts'
import { WALL } from './verbs/wall.ts'

export { STATES, STEPS, type OnDue, type State, type Step } from './states.ts'

/**
 * The one table. Routes, OpenAPI text, event names, `allowed[]`, the Mermaid picture, the database's
 * edge checks and the state × verb × role tests are all derived from it.
 * States and verbs: GB/T 30428 (受理、派遣、处置、核查、结案) with the words of the five source articles.
 */
export const VERBS = { ...INTAKE, ...WALL, ...DISPATCH, ...HANDLING, ...ASKS, ...CLOSING, ...MERGING, ...CHASING } as const satisfies Record<string, Verb>

/**
 * What a duty confers. Which duty (role) confers which capability is tenant data. `approve` answers asks, one level up.
 * 三员 (GB/T 22239): `configure` keeps places, menu, rules and apps, `secure` accounts, duties and keys, `audit` reads what was
 * done; `administer`, where one person does it all, is the first two.
 */
export const CAPABILITIES = ['view', 'file_for', 'dispatch', 'publish', 'handle', 'approve', 'follow_up', 'supervise', 'administer', 'configure', 'secure', 'audit'] as const
export type Capability = (typeof CAPABILITIES)[number]

/**
 * How an actor stands to one request: by a capability that covers its node, or as a party to it. `assignee` has the work,
 * `co` helps, `pending` has claimed and waits for confirmation, `handler` has completed it,
 * `on_the_spot` is the clerk of an 即办件 while it is filed.
 */
export type Relation =
  | Capability | 'filer' | 'beneficiary' | 'guardian' | 'assignee' | 'co' | 'pending' | 'attendee' | 'handler' | 'claimer' | 'first_contact' | 'on_the_spot' | 'anyone' | 'system'

export interface Edge {
  readonly from: readonly (State | 'none')[]
  readonly to: readonly State[] | 'same'
  readonly by: readonly Relation[]
}

export interface Verb {
  readonly zh: string
  /** The event is `request.<past>`. */
  readonly past: string
  readonly says: string
  readonly edges: readonly Edge[]
  /** Who finds the event in the inbox. */
  readonly tells: readonly Relation[]
}

export type VerbName = keyof typeof VERBS
export const VERB_NAMES = Object.keys(VERBS) as VerbName[]
export const STATE_NAMES = Object.keys(STATES) as State[]

/** Everything but `file` (which has no request yet) acts on an existing request. */
export type Transition = Exclude<VerbName, 'file'>

export const verbOf = (name: VerbName): Verb => VERBS[name]
export const isFinal = (state: State): boolean => 'final' in STATES[state]
export const clockStands = (state: State): boolean => 'clockStands' in STATES[state]
export const eventType = (verb: VerbName): string => `request.${VERBS[verb].past}`

/** A person or an app can call it; the others are SYSTEM's. */
export const isCallable = (verb: VerbName): boolean =>
  verbOf(verb).edges.some((edge) => edge.by.some((relation) => relation !== 'system'))

/** The same, for the compiler. */
export type Callable = { [V in Transition]: Exclude<(typeof VERBS)[V]['edges'][number]['by'][number], 'system'> extends never ? never : V }[Transition]

/** Verbs mounted at `POST /v1/requests/{id}/{verb}`. */
export const TRANSITIONS = VERB_NAMES.filter((name): name is Callable => name !== 'file' && isCallable(name))

export function targets(edge: Edge, from: State | 'none'): readonly State[] {
  if (!edge.from.includes(from)) return []
  if (edge.to !== 'same') return edge.to
  return from === 'none' ? [] : [from]
}

/** Every (verb, from, to) the machine knows: what the database's check must accept, and nothing else. */
export function triples(): { verb: VerbName; from: State | 'none'; to: State }[] {
  const seen = new Map<string, { verb: VerbName; from: State | 'none'; to: State }>()
  for (const verb of VERB_NAMES) {
    for (const edge of verbOf(verb).edges) {
      for (const from of edge.from) {
        for (const to of targets(edge, from)) seen.set(`${verb}:${from}:${to}`, { verb, from, to })
      }
    }
  }
  return [...seen.values()]
}
