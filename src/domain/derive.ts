import { CLAIMER_KINDS } from './actor.ts'
import { STATES, STATE_NAMES, STEPS, VERB_NAMES, VERBS, eventType, isFinal, triples, type VerbName } from './machine.ts'
import { ASK_KINDS, CONSENT_PURPOSES, GRADES, KINDS, RESULTS, SATISFACTION, SOLVED, SOURCES, TARGET_GROUPS } from './request.ts'

/** Texts derived from the machine; `bin/generate` writes them, CI fails when a written one is stale. */

/** Every event type there is, with the verb it comes from. */
export const EVENT_TYPES = VERB_NAMES.map((verb) => ({ type: eventType(verb), verb, zh: VERBS[verb].zh, says: VERBS[verb].says }))

/** ask-return → AskReturn. */
export const pascal = (verb: VerbName): string => verb.split('-').map((word) => word[0]!.toUpperCase() + word.slice(1)).join('')

/** ask-return → askReturnRequest: a verb's operation in the API. */
export const operationOf = (verb: VerbName): string => `${pascal(verb)[0]!.toLowerCase()}${pascal(verb).slice(1)}Request`

/** The state picture. Edges between the same two states share an arrow. */
export function mermaid(): string {
  const arrows = new Map<string, string[]>()
  for (const { verb, from, to } of triples()) {
    if (from === to) continue
    const arrow = `${from === 'none' ? '[*]' : from} --> ${to}`
    arrows.set(arrow, [...(arrows.get(arrow) ?? []), VERBS[verb].zh])
  }
  return [
    'stateDiagram-v2',
    ...STATE_NAMES.map((state) => `  ${state}: ${state} ${STATES[state].zh}`),
    ...[...arrows].map(([arrow, verbs]) => `  ${arrow}: ${verbs.join('、')}`),
    ...STATE_NAMES.filter(isFinal).map((state) => `  ${state} --> [*]`),
    '',
  ].join('\n')
}

const list = (values: readonly string[]) => values.map((value) => `'${value}'`).join(', ')
const check = (table: string, name: string, condition: string) =>
  `ALTER TABLE "${table}" DROP CONSTRAINT IF EXISTS "${name}", ADD CONSTRAINT "${name}" CHECK (${condition});`

/**
 * What must hold in the database now. A migration that follows a change of the machine contains these lines.
 * An edge is one text, so that no NULL can slip through; the key (requestId, prevSeq, fromState) → event does the rest.
 */
export function constraintsSql(): string {
  const edges = triples().map(({ verb, from, to }) => `${verb}:${from}:${to}`)
  return [
    '-- GENERATED from src/domain/machine.ts by `npm run generate`: do not edit.',
    check('request', 'request_state_check', `"state" IN (${list(STATE_NAMES)})`),
    check('request', 'request_final_check', `("state" IN (${list(STATE_NAMES.filter(isFinal))})) = ("closedAt" IS NOT NULL)`),
    check('request', 'request_kind_check', `"kind" IN (${list(KINDS)})`),
    check('request', 'request_source_check', `"source" IN (${list(SOURCES)})`),
    check('request', 'request_targetGroup_check', `"targetGroup" IN (${list(TARGET_GROUPS)})`),
    check('request', 'request_result_check', `"result" IN (${list(RESULTS)})`),
    check('request', 'request_solved_check', `"solved" IN (${list(SOLVED)})`),
    check('request', 'request_satisfaction_check', `"satisfaction" IN (${list(SATISFACTION)})`),
    check('event', 'event_edge_check', `"verb" || ':' || "fromState" || ':' || "toState" IN (\n  ${edges.map((edge) => `'${edge}'`).join(',\n  ')})`),
    check('request', 'request_grade_check', `"grade" IN (${list(GRADES)})`),
    check('ask', 'ask_kind_check', `"kind" IN (${list(ASK_KINDS)})`),
    check('consent', 'consent_purpose_check', `"purpose" IN (${list(CONSENT_PURPOSES)})`),
    check('deadline', 'deadline_step_check', `"step" IN (${list(Object.keys(STEPS))})`),
    check('affiliation', 'affiliation_kind_check', `"kind" IN (${list(CLAIMER_KINDS)})`),
    '',
  ].join('\n')
}
