import type { FastifySchemaCompiler } from 'fastify'
import { safeParse, type $ZodIssue, type $ZodType } from 'zod/v4/core'
import { MESSAGES } from './issue-words.ts'
import type { Language } from './language.ts'

/** What `errors[]` of a problem holds: where, which sort (stable), and why (in the caller's language). */
export interface Pointed {
  pointer: string
  code: string
  message: string
}

/** A body with 100,000 unknown keys gets an answer, not an echo. */
const MOST_FINDINGS = 20
const LONGEST_KEY = 100

/** The body's findings start at its root; the other parts say which they are. */
const PREFIX: Record<string, string> = { body: '', querystring: '/query', params: '/path', headers: '/headers' }

/** Input that its schema refuses. The words come later, when the caller's language is known. */
export class InputRefused extends Error {
  override readonly name = 'InputRefused'
  readonly statusCode = 400
  readonly #schema: $ZodType
  readonly #input: unknown
  readonly #prefix: string

  constructor(schema: $ZodType, input: unknown, part: string) {
    super('input refused')
    this.#schema = schema
    this.#input = input
    this.#prefix = PREFIX[part] ?? ''
  }

  findings(language: Language): Pointed[] {
    const { error } = safeParse(this.#schema, this.#input, { error: MESSAGES[language], reportInput: true })
    return (error?.issues ?? []).flatMap((issue) => pointed(issue, this.#prefix, language)).slice(0, MOST_FINDINGS)
  }
}

export const validatorCompiler: FastifySchemaCompiler<$ZodType> =
  ({ schema, httpPart = 'body' }) =>
  (input) => {
    const result = safeParse(schema, input)
    return result.success ? { value: result.data } : { error: new InputRefused(schema, input, httpPart) }
  }

const CODES: Partial<Record<$ZodIssue['code'], string>> = {
  too_small: 'too-small', too_big: 'too-big', invalid_format: 'format', invalid_value: 'value', not_multiple_of: 'value',
}

function pointed(issue: $ZodIssue, prefix: string, language: Language): Pointed[] {
  const pointer = issue.path.reduce<string>((path, key) => `${path}/${escaped(key)}`, prefix)
  switch (issue.code) {
    case 'unrecognized_keys': {
      const message = language === 'zh' ? '未知字段' : 'Unknown property'
      return issue.keys.slice(0, MOST_FINDINGS).map((key) => ({ pointer: `${pointer}/${escaped(key)}`, code: 'unknown', message }))
    }
    case 'invalid_union': {
      const branch = nearest(issue.errors)
      return branch.length === 0 ? [{ pointer, code: 'value', message: issue.message }] : branch.flatMap((inner) => pointed(inner, pointer, language))
    }
    case 'invalid_type':
      return [{ pointer, code: issue.input === undefined ? 'required' : 'type', message: issue.message }]
    case 'invalid_value':
      return [{ pointer, code: issue.input === undefined ? 'required' : 'value', message: issue.message }]
    default:
      return [{ pointer, code: CODES[issue.code] ?? 'invalid', message: issue.message }]
  }
}

/** Of a union's branches, the one that comes closest to accepting; the later one of equals. */
const nearest = (branches: readonly $ZodIssue[][]): $ZodIssue[] =>
  branches.reduce((best, branch) => (branch.length <= best.length ? branch : best), branches[0] ?? [])

/** RFC 6901. Keys come from the caller: bounded, and well formed whatever they held. */
export const escaped = (key: PropertyKey): string => String(key).slice(0, LONGEST_KEY).replace(/\p{Surrogate}/gu, '\ufffd').replaceAll('~', '~0').replaceAll('/', '~1')
