import type { FastifyInstance, FastifySchemaCompiler } from 'fastify'
import { z } from 'zod'
import { safeParse, type $ZodIssue, type $ZodType } from 'zod/v4/core'
import { says } from '../domain/problems.ts'
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
    if (!error) return [{ pointer: pointerTo(unstorable(this.#input) ?? [], this.#prefix), code: 'invalid', message: UNSTORABLE[language] }]
    return error.issues.flatMap((issue) => pointed(issue, this.#prefix, language)).slice(0, MOST_FINDINGS)
  }
}

export const validatorCompiler: FastifySchemaCompiler<$ZodType> =
  ({ schema, httpPart = 'body' }) =>
  (input) => {
    const result = safeParse(schema, input)
    return result.success && !unstorable(input) ? { value: result.data } : { error: new InputRefused(schema, input, httpPart) }
  }

const UNSTORABLE = says('含有控制字符或不完整的 Unicode 字符', 'Contains control characters or a lone surrogate')
const holdsUnstorable = (text: string): boolean => text.includes('\0') || /\p{Surrogate}/u.test(text)

interface Part {
  value: unknown
  key?: string
  within?: Part
}

/**
 * The path to the first text that PostgreSQL cannot hold: U+0000 in text, a lone surrogate in jsonb. Most schemas refuse more and say
 * it better; this stands behind those that leave a text free. Not recursive: a body of brackets is deeper than the stack.
 */
function unstorable(input: unknown): string[] | undefined {
  const parts: Part[] = [{ value: input }]
  for (let part = parts.pop(); part; part = parts.pop()) {
    const { value } = part
    if (typeof value === 'string' && holdsUnstorable(value)) return pathOf(part)
    if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) continue
    for (const [key, inner] of Object.entries(value)) {
      if (holdsUnstorable(key)) return pathOf(part)
      if (typeof inner === 'string' || typeof inner === 'object') parts.push({ value: inner, key, within: part })
    }
  }
  return undefined
}

function pathOf(part: Part): string[] {
  const path: string[] = []
  for (let at: Part | undefined = part; at?.key !== undefined; at = at.within) path.unshift(at.key)
  return path
}

/** A parameter that a route does not know is refused, not overlooked: also where it knows none. */
export function refuseUnknownParameters(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    const { schema, url } = route
    if (schema && !schema.hide && schema.querystring === undefined && url.startsWith('/v1/')) route.schema = { ...schema, querystring: z.strictObject({}) }
  })
}

const CODES: Partial<Record<$ZodIssue['code'], string>> = {
  too_small: 'too-small', too_big: 'too-big', invalid_format: 'format', invalid_value: 'value', not_multiple_of: 'value',
}

function pointed(issue: $ZodIssue, prefix: string, language: Language): Pointed[] {
  const pointer = pointerTo(issue.path, prefix)
  switch (issue.code) {
    case 'unrecognized_keys': {
      const message = language === 'zh' ? '未知字段' : 'Unknown property'
      return issue.keys.slice(0, MOST_FINDINGS).map((key) => ({ pointer: `${pointer}/${escaped(key)}`, code: 'unknown', message }))
    }
    case 'invalid_union': {
      const branch = nearest(issue.errors)
      if (branch.length === 0) return [{ pointer, code: lacksDiscriminator(issue) ? 'required' : 'value', message: issue.message }]
      return branch.flatMap((inner) => pointed(inner, pointer, language))
    }
    case 'invalid_type':
      return [{ pointer, code: issue.input === undefined ? 'required' : 'type', message: issue.message }]
    case 'invalid_value':
      return [{ pointer, code: issue.input === undefined ? 'required' : 'value', message: issue.message }]
    default:
      return [{ pointer, code: CODES[issue.code] ?? 'invalid', message: issue.message }]
  }
}

const pointerTo = (path: readonly PropertyKey[], prefix: string): string => path.reduce<string>((pointer, key) => `${pointer}/${escaped(key)}`, prefix)

function lacksDiscriminator({ input, discriminator }: { input?: unknown; discriminator?: string | undefined }): boolean {
  return discriminator !== undefined && typeof input === 'object' && input !== null && !Object.hasOwn(input, discriminator)
}

/** Of a union's branches, the one that was meant: the one that comes closest to accepting, the later one of equals. */
const nearest = (branches: readonly $ZodIssue[][]): $ZodIssue[] =>
  branches.reduce((best, branch) => (distance(branch) <= distance(best) ? branch : best), branches[0] ?? [])

const distance = (branch: readonly $ZodIssue[]): number => branch.reduce((sum, issue) => sum + remoteness(issue), 0)

/** Something else altogether is farthest; a value that only another branch has at that place says that this one is not meant. */
function remoteness(issue: $ZodIssue): number {
  if (issue.code === 'invalid_type' && issue.path.length === 0) return 10_000
  if (issue.code === 'invalid_value' && issue.values.length === 1 && issue.path.length === 1 && issue.input !== undefined) return 100
  return issue.code === 'unrecognized_keys' ? Math.min(issue.keys.length, 50) : 1
}

/** RFC 6901. Keys come from the caller: bounded, and well formed whatever they held. */
export const escaped = (key: PropertyKey): string => String(key).slice(0, LONGEST_KEY).replace(/\p{Surrogate}/gu, '\ufffd').replaceAll('~', '~0').replaceAll('/', '~1')
