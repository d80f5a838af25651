import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import type { FastifyInstance } from 'fastify'
import type { Document } from './openapi-tidy.ts'
import { PROBLEM_JSON } from './problem-json.ts'

/** Tests: every answer is held to the document. What breaks it is written down here, and whoever runs the test looks. */
export const BREACHES: string[] = []

export interface Answered {
  method: string
  /** As the document writes it, `/v1/requests/{id}`; null where no operation was meant. */
  path: string | null
  status: number
  contentType: string | undefined
  /** Null for a stream and for HEAD: nobody has read it. */
  body: string | null
}

/** What is wrong with an answer by the document, in words; undefined for a good one. */
export type Contract = (answered: Answered) => string | undefined

type Media = Record<string, { schema?: object; examples?: Record<string, object> }>
interface Response {
  $ref?: string
  content?: Media
}

/** Says of an API's document whether an answer is in it: its status, its type, its body, and of a problem its code. */
export function contractOf(document: Document): Contract {
  const ajv = strictAjv()
  ajv.addSchema(document, 'api')
  const compiled = new Map<string, ValidateFunction>()
  const validator = (pointer: string): ValidateFunction => {
    const known = compiled.get(pointer) ?? ajv.compile({ $ref: `api#${pointer}` })
    compiled.set(pointer, known)
    return known
  }
  const mistake = (pointer: string, body: string): string | undefined => {
    const validate = validator(pointer)
    return validate(JSON.parse(body)) ? undefined : ajv.errorsText(validate.errors, { dataVar: 'body' })
  }
  const breachOf: Contract = ({ method, path, status, contentType, body }) => {
    const name = `${method} ${path ?? '(no operation)'} ${status}`
    if (path === null) return body && contentType?.startsWith(PROBLEM_JSON) ? said(name, mistake('/components/schemas/Problem', body)) : undefined
    const responses = document.paths[path]?.[method === 'HEAD' ? 'get' : method.toLowerCase()]?.responses as Record<string, Response> | undefined
    if (responses === undefined) return `${name}: no such operation`
    const found = [String(status), `${Math.floor(status / 100)}XX`, 'default'].find((key) => responses[key] !== undefined)
    if (found === undefined) return `${name}: the status is not documented (${codeOf(body) ?? 'no problem'})`
    const { at, response } = resolved(document, responses[found]!, ['paths', path, method === 'HEAD' ? 'get' : method.toLowerCase(), 'responses', found])
    // Of 204 no body ever leaves, whatever was handed over.
    if (!body || status === 204) return undefined
    const type = contentType?.split(';')[0]?.trim() ?? '(none)'
    const range = [type, `${type.split('/')[0]}/*`, '*/*'].find((one) => response.content?.[one] !== undefined)
    const media = range === undefined ? undefined : response.content?.[range]
    if (range === undefined || media === undefined) return `${name}: ${type} is not documented`
    const code = type === PROBLEM_JSON ? codeOf(body) : undefined
    if (code !== undefined && media.examples?.[code] === undefined) return `${name}: the problem ${code} is not documented`
    if (!/[/+]json$/.test(type) || media.schema === undefined) return undefined
    return said(name, mistake(pointer([...at, 'content', range, 'schema']), body))
  }
  return (answered) => {
    try {
      return breachOf(answered)
    } catch (error) {
      return `${answered.method} ${answered.path} ${answered.status}: ${String(error)}`
    }
  }
}

/** As strict as JSON Schema 2020-12 can be read; words of OpenAPI and our own are known by name. */
export function strictAjv(): Ajv2020 {
  const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, strictRequired: false, allErrors: false, validateSchema: false, addUsedSchema: false })
  formats.default(ajv)
  // the document as a whole is read as a schema, too
  ajv.addVocabulary(['x-extensible-enum', 'example', 'discriminator', 'openapi', 'info', 'servers', 'tags', 'security', 'components', 'paths', 'webhooks'])
  return ajv
}

const said = (name: string, mistake: string | undefined): string | undefined => (mistake === undefined ? undefined : `${name}: ${mistake}`)

function codeOf(body: string | null): string | undefined {
  try {
    return (JSON.parse(body ?? '') as { code?: string }).code
  } catch {
    return undefined
  }
}

function resolved(document: Document, response: Response, at: string[]): { at: string[]; response: Response } {
  if (response.$ref === undefined) return { at, response }
  const [, , kind, name] = response.$ref.split('/') as [string, string, string, string]
  return { at: ['components', kind, name], response: (document.components[kind] as Record<string, Response>)[name]! }
}

const pointer = (at: string[]): string => at.map((part) => `/${encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'))}`).join('')

/** Looks at every answer of the app on its way out; routes that are in no document are left out. */
export function holdToDocument(app: FastifyInstance): void {
  const documented = new Set<string>()
  app.addHook('onRoute', ({ method, url, schema }) => {
    if (schema && !schema.hide) for (const one of [method].flat()) documented.add(`${one} ${url}`)
  })
  let contract: Contract | undefined
  app.addHook('onSend', (request, reply, payload, done) => {
    const { url } = request.routeOptions
    if (url === undefined || documented.has(`${request.method} ${url}`)) {
      contract ??= contractOf(app.swagger() as unknown as Document)
      const type = reply.getHeader('content-type')
      const readable = request.method !== 'HEAD' && (typeof payload === 'string' || Buffer.isBuffer(payload))
      const breach = contract({
        method: request.method, path: url === undefined ? null : url.replace(/:(\w+)/g, '{$1}'), status: reply.statusCode,
        contentType: typeof type === 'string' ? type : undefined, body: readable ? String(payload) : null,
      })
      if (breach !== undefined) BREACHES.push(breach)
    }
    done(null, payload)
  })
}
