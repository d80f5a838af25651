import { PROBLEMS, type ProblemCode } from '../domain/problems.ts'
import { operationsOf, type Document } from './openapi-tidy.ts'
import { PROBLEM_JSON, STATUS } from './problem-json.ts'

/**
 * How the document tells of problems: each response lists its codes as examples, each code and each set of refusals that
 * several operations have is written once, under `components`.
 */
export function withProblems(document: Document): Document {
  const examples: Record<string, object> = {}
  const shared = new Map<string, { response: object; codes: ProblemCode[]; used: number }>()
  const refusals = operationsOf(document).flatMap(({ responses }) => Object.entries(responses).map(([status, response]) => ({ responses, status, response })))
    .filter(({ response }) => response.content?.[PROBLEM_JSON] !== undefined)
  for (const { response } of refusals) {
    const codes = codesIn(response.description)
    for (const code of codes) examples[code] ??= { summary: PROBLEMS[code].zh, value: exampleOf(code) }
    Object.assign(response.content![PROBLEM_JSON]!, { examples: Object.fromEntries(codes.map((code) => [code, { $ref: `#/components/examples/${code}` }])) })
    const name = codes.join('.')
    shared.set(name, { response, codes, used: (shared.get(name)?.used ?? 0) + 1 })
  }
  const often = [...shared].filter(([, { codes, used }]) => used > 1 && codes.length > 0 && codes.length <= MOST_IN_A_NAME)
  for (const { responses, status, response } of refusals) {
    const name = codesIn(response.description).join('.')
    if (often.some(([known]) => known === name)) responses[status] = { $ref: `#/components/responses/${name}` }
  }
  const sorted = <T>(record: [string, T][]) => Object.fromEntries(record.sort(([a], [b]) => (a < b ? -1 : 1)))
  return {
    ...document,
    components: { ...document.components, responses: sorted(often.map(([name, { response }]) => [name, response])), examples: sorted(Object.entries(examples)) },
  }
}

const MOST_IN_A_NAME = 4

/** They are in the description, each in backticks (`responsesFor`). */
export const codesIn = (description = ''): ProblemCode[] =>
  [...description.matchAll(/`([a-z-]+)`/g)].map(([, code]) => code!).filter((code): code is ProblemCode => Object.hasOwn(PROBLEMS, code))

function exampleOf(code: ProblemCode): object {
  const { kind, zh } = PROBLEMS[code]
  return {
    type: `/problems/${code}`, title: zh, status: STATUS[kind], code, requestId: '0195f2a0-7c1e-7abc-8def-0123456789ab',
    ...(code === 'validation-failed' && { errors: [{ pointer: '/title', code: 'required', message: '必填' }] }),
  }
}
