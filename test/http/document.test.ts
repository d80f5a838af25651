import { expect, test } from 'vitest'
import { PROBLEMS, type ProblemCode } from '../../src/domain/problems.ts'
import { EVENT_TYPES } from '../../src/domain/derive.ts'
import { strictAjv } from '../../src/http/contract.ts'
import { operationsIn, resolved, type Operation, type Schema } from './read-document.ts'
import { wholeDocument } from './whole-api.ts'

/** What the document of the whole API promises its readers, whichever routes there are. */

const document = await wholeDocument()
const operations = operationsIn(document.paths)
const webhooks = operationsIn(document.webhooks as never)
const PROBLEM_JSON = 'application/problem+json'
const HAN = /\p{Script=Han}/u
const nameOf = ({ operationId }: Operation) => operationId

test('every operation says in Chinese what it is for, and has an English name', () => {
  const tags = new Map(document.tags!.map((tag) => [tag.name, (tag as { description?: string }).description]))
  expect(operations.length).toBeGreaterThan(150)
  expect(new Set(operations.map(nameOf)).size).toBe(operations.length)
  for (const { operationId, summary, description, tags: own } of [...operations, ...webhooks]) {
    expect(operationId).toMatch(/^[a-z][A-Za-z0-9]+$/)
    expect(summary, operationId).toMatch(HAN)
    expect(description, operationId).toMatch(HAN)
    expect(own, operationId).toHaveLength(1)
    expect(tags.get(own[0]!), operationId).toMatch(HAN)
  }
})

test('every answer is described, and every problem by its code with an example', () => {
  const told = new Set<string>()
  for (const operation of operations) {
    const responses = Object.entries(operation.responses).map(([status, response]) => ({ status: Number(status), response: resolved(document, response) }))
    expect(responses.some(({ status }) => status < 400), operation.operationId).toBe(true)
    for (const { status, response } of responses) {
      expect(response.description, `${operation.operationId} ${status}`).toMatch(HAN)
      const problem = response.content?.[PROBLEM_JSON]
      if (status >= 400 && !problem) expect(operation.path, `${operation.operationId} ${status} is no problem+json`).toMatch(/^\/(readyz$|oauth\/|open311\/)/)
      const codes = Object.entries(problem?.examples ?? {})
      if (problem) expect(codes.length, `${operation.operationId} ${status}`).toBeGreaterThan(0)
      for (const [code, example] of codes) {
        told.add(code)
        expect(resolved(document, example)).toMatchObject({ summary: PROBLEMS[code as ProblemCode].zh, value: { code, status } })
        expect(response.description).toContain(`\`${code}\` ${PROBLEMS[code as ProblemCode].zh}`)
      }
    }
  }
  // these are answered where no operation is meant, or before one is known; the first only within a batch
  const nowhere = ['client-id-reused', 'headers-too-large', 'http-malformed', 'method-not-allowed', 'sent-too-slowly', 'url-malformed']
  expect(Object.keys(PROBLEMS).filter((code) => !told.has(code)).sort()).toEqual(nowhere)
  for (const code of nowhere) expect((document.info as { description: string }).description).toContain(`\`${code}\``)
})

test('who may call is said of every operation', () => {
  const schemes = Object.keys(document.components.securitySchemes!)
  for (const { operationId, security = document.security!, path } of operations) {
    for (const one of security) expect(schemes, operationId).toEqual(expect.arrayContaining(Object.keys(one)))
    if (security.length === 0) expect(path, `${operationId} is public`).toMatch(/^\/(healthz|readyz|oauth|\.well-known|metrics|open311|v1\/(event-types|attachments\/\{id\}\/|wall|public|login|verification)|.*(captcha|code))/)
  }
})

/** Every example in the document with the schema it is an example of. */
function examples(): { at: string; schema: Schema; value: unknown }[] {
  const found: { at: string; schema: Schema; value: unknown }[] = []
  const look = (node: unknown, at: string, isSchema: boolean): void => {
    if (typeof node !== 'object' || node === null) return
    if (Array.isArray(node)) return node.forEach((child, index) => look(child, `${at}/${index}`, isSchema))
    const own = node as Schema
    if (isSchema) for (const value of Array.isArray(own.examples) ? own.examples : []) found.push({ at, schema: own, value })
    if (!isSchema && own.schema) {
      if ('example' in own) found.push({ at, schema: own.schema, value: own.example })
      for (const [name, example] of Object.entries<Schema>(own.examples ?? {})) found.push({ at: `${at}/${name}`, schema: own.schema, value: resolved(document, example).value })
    }
    for (const [key, child] of Object.entries(own)) {
      if (key === 'example' || key === 'examples' || key === 'default' || key === 'const' || key === 'enum') continue
      look(child, `${at}/${key}`, isSchema ? true : key === 'schema' || at === '/components/schemas')
    }
  }
  look(document, '', false)
  return found
}

test('every example is what its schema says', () => {
  const ajv = strictAjv()
  ajv.addSchema(document as never, 'api')
  const anchored = (value: unknown): unknown => JSON.parse(JSON.stringify(value), (key, inner: unknown) => (key === '$ref' ? `api${String(inner)}` : inner))
  const all = examples()
  expect(all.length).toBeGreaterThan(300)
  const wrong = all.flatMap(({ at, schema, value }) => {
    const validate = ajv.compile(anchored(schema) as Schema)
    return validate(value) ? [] : [`${at}: ${ajv.errorsText(validate.errors)}`]
  })
  expect(wrong).toEqual([])
})

test('every body that is asked for comes with an example', () => {
  const bare = operations.filter(({ requestBody }) => Object.entries(requestBody?.content ?? {}).some(([type, { schema, example }]) =>
    /json$|urlencoded$/.test(type) && example === undefined && !resolved(document, schema).examples?.length))
  expect(bare.map(nameOf)).toEqual([])
})

/** Every schema node there is. */
function schemas(): { at: string; schema: Schema }[] {
  const found: { at: string; schema: Schema }[] = []
  const look = (node: unknown, at: string): void => {
    if (typeof node !== 'object' || node === null) return
    found.push({ at, schema: node as Schema })
    for (const [key, child] of Object.entries(node)) if (key !== 'example' && key !== 'examples') look(child, `${at}/${key}`)
  }
  look(document, '')
  return found
}

test('nothing that may be left out of a query is filled in by an example', () => {
  const filled = operations.flatMap(({ operationId, parameters = [] }) => parameters
    .filter((one) => one.in === 'query' && !one.required && (one.example !== undefined || one.schema.examples !== undefined)).map(({ name }) => `${operationId} ${name}`))
  expect(filled).toEqual([])
  expect(operations.find(({ operationId }) => operationId === 'listRequests')!.parameters!.find(({ name }) => name === 'q')!.description).toContain('例：`楼道灯`')
})

test('of a union it can be told which branch is meant', () => {
  for (const { at, schema } of schemas()) {
    const branches = [schema.oneOf, schema.anyOf].find(Array.isArray)?.map((branch: Schema) => resolved(document, branch)) as Schema[] | undefined
    const objects = branches?.filter(({ type }) => type === 'object') ?? []
    if (objects.length < 2) continue
    if (schema.discriminator) expect(Object.keys(schema.discriminator.mapping).length, at).toBeGreaterThanOrEqual(objects.length)
    else for (const { title } of objects) expect(title, `${at}: no discriminator and no title`).toMatch(HAN)
  }
})

test('patterns can be read, and say what no format says', () => {
  for (const { at, schema } of schemas()) {
    if (typeof schema.pattern !== 'string') continue
    expect(schema.pattern.length, at).toBeLessThan(80)
    expect(['uuid', 'date', 'date-time', 'email', 'uri'], at).not.toContain(schema.format)
  }
})

test('what comes in and what goes out share a component unless they differ', () => {
  const all = document.components.schemas as Record<string, Schema>
  const bare = (schema: Schema) => JSON.stringify(schema, (key, value: unknown) => (key === 'additionalProperties' && value === false ? undefined : value))
  for (const name of Object.keys(all).filter((one) => one.endsWith('Input'))) expect(bare(all[name]!), name).not.toBe(bare(all[name.slice(0, -5)] ?? {}))
  // What differs is called for what it is (NewPolicyBody, PolicyBody), not after the direction it goes.
  expect(Object.keys(all).filter((name) => name.endsWith('Input'))).toEqual([])
  for (const name of Object.keys(all)) expect(name).toMatch(/^[A-Z][A-Za-z0-9]+$/)
})

test('what is sent to receivers is there: every event type, signed, with an example', () => {
  expect(webhooks.map(({ path }) => path)).toEqual(expect.arrayContaining(EVENT_TYPES.map(({ type }) => type)))
  for (const { parameters, requestBody, operationId } of webhooks) {
    expect(parameters!.map(({ name }) => name)).toEqual(['webhook-id', 'webhook-timestamp', 'webhook-signature'])
    expect(requestBody!.content['application/json']!.example, operationId).toBeDefined()
  }
})
