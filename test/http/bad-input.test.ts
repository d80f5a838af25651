import fc from 'fast-check'
import type { FastifyInstance, InjectOptions } from 'fastify'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CAPABILITIES } from '../../src/domain/machine.ts'
import { BREACHES, strictAjv } from '../../src/http/contract.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace } from '../place.ts'
import { tokenFor } from '../processes.ts'
import { changed, GARBAGE, ID, NASTY, sampleOf, type Change } from './bad-input-values.ts'
import { keyOf } from './open311/town.ts'
import { operationsIn, resolved, type Operation, type Schema } from './read-document.ts'
import { FAILURES, wholeApi, wholeDocument } from './whole-api.ts'

/**
 * Every operation is sent what its own schema does not allow, and what a careless or hostile client sends besides. Nothing is
 * answered 500, nothing undocumented, nothing off its schema (`checkAnswers`), and nothing refused has been written.
 * BAD_INPUTS says how many requests, BAD_INPUT_SEED repeats a run.
 */
const REQUESTS = Number(process.env.BAD_INPUTS ?? 50_000)
const SEED = Number(process.env.BAD_INPUT_SEED ?? Date.now() % 2 ** 31)

const document = await wholeDocument()
/** After these the caller is no more: they come last. */
const FAREWELLS = new Set(['eraseMe', 'erasePerson'])
const operations = operationsIn(document.paths).sort((a, b) => Number(FAREWELLS.has(a.operationId)) - Number(FAREWELLS.has(b.operationId)))
const EACH = Math.ceil(REQUESTS / operations.length)

let database: TestDatabase
let app: FastifyInstance
let tokens: string[]
let known: string
let apiKey: string
let sent = 0

beforeAll(async () => {
  console.log(`bad input: ${REQUESTS} requests, ${EACH} to each of ${operations.length} operations, BAD_INPUT_SEED=${SEED}`)
  database = await freshDatabase()
  const town = await testPlace(database)
  const everybody = await town.person({ at: 'S', can: [...CAPABILITIES], kinds: ['party_member'] })
  const resident = await town.person()
  const unlimited = '1000000000'
  app = await wholeApi(database.db, { WISHWALL_RATE_PER_MINUTE: unlimited, WISHWALL_RATE_ANONYMOUS_PER_MINUTE: unlimited, WISHWALL_RATE_FAILURES_PER_MINUTE: unlimited })
  await app.ready()
  tokens = [tokenFor(town.tenantId, everybody.id), tokenFor(town.tenantId, resident.id), tokenFor(town.tenantId, (await town.app()).clientId, 'app')]
  const filed = await app.inject({ method: 'POST', url: '/v1/requests', headers: { authorization: `Bearer ${tokens[0]}` }, payload: { item: 'companionship', title: '想有人陪我下棋', node: 'U' } })
  known = filed.json<{ id: string }>().id
  apiKey = (await keyOf(database, town)).key
})
afterAll(async () => {
  console.log(`bad input: ${sent} requests sent`)
  await app.close()
  await database.drop()
})

const ajv = strictAjv()
ajv.addSchema(document as never, 'api')
const compiled = new Map<Schema, (value: unknown) => boolean>()
function accepts(schema: Schema): (value: unknown) => boolean {
  const check = compiled.get(schema) ?? ajv.compile(JSON.parse(JSON.stringify(schema), (key, value: unknown) => (key === '$ref' ? `api${String(value)}` : value)) as Schema)
  compiled.set(schema, check)
  return check
}

const nasty = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...NASTY) }, { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 30 }) },
  { weight: 1, arbitrary: fc.integer() }, { weight: 1, arbitrary: fc.double() }, { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
)
const change: fc.Arbitrary<Change> = fc.record({
  place: fc.nat(40), how: fc.constantFrom('replace', 'replace', 'drop', 'add', 'whole'), nasty, name: fc.constantFrom('x', 'isAdmin', 'tenantId', 'constructor', '__proto__', '', 'a/b~c', '标题', 'toString'),
})
const text = fc.oneof(fc.constantFrom(...NASTY.filter((value) => typeof value === 'string')), fc.string({ unit: 'binary', maxLength: 40 }))
const HEADERS = ['idempotency-key', 'if-match', 'acting-duty', 'accept-language', 'authorization', 'x-request-id', 'last-event-id', 'content-type', 'accept', 'x-forwarded-for', 'if-none-match', 'prefer']
/** As bytes that a header may carry at all. */
const header = fc.tuple(fc.constantFrom(...HEADERS), text.map((value) => value.replace(/[^\t\x20-\x7e]/gu, '?').slice(0, 2_000)))

const wrong = fc.record({
  part: fc.constantFrom('body', 'body', 'body', 'garbage', 'path', 'query', 'headers'),
  change, garbage: fc.constantFrom(...GARBAGE), words: text, name: fc.constantFrom('x', 'limit', 'cursor', 'node', 'from', '__proto__', 'a[b]'), twice: fc.boolean(), header, who: fc.nat(3),
})
type Wrong = typeof wrong extends fc.Arbitrary<infer T> ? T : never

/** The operation's plain request with one part of it spoiled, and whether the document forbids what became of it. */
function spoiled({ method, path, parameters = [], requestBody }: Operation, given: Wrong): { request: InjectOptions; isForbidden: boolean } {
  const { part, words, who } = given
  const headers: Record<string, string> = who < tokens.length ? { authorization: `Bearer ${tokens[who]}` } : {}
  const [type, media] = Object.entries(requestBody?.content ?? {})[0] ?? []
  const of = (where: string) => parameters.filter((parameter) => parameter.in === where)
  const pathValue = (name: string): string => (path.startsWith('/v1/requests/{id}') && name === 'id' ? known : String(sampleOf(document, of('path').find((one) => one.name === name)?.schema ?? {}) ?? ID))
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!)
  const bent = part === 'path' ? names[given.change.place % Math.max(1, names.length)] : undefined
  const encoded = (value: string) => encodeURIComponent(value.replace(/\p{Surrogate}/gu, '\ufffd'))
  const url = path.replace(/\{(\w+)\}/g, (_, name: string) => (name === bent ? encoded(words) || '%20' : encodeURIComponent(pathValue(name))))

  const query = new URLSearchParams(of('query').filter(({ required }) => required).map(({ name, schema }): [string, string] => [name, String(sampleOf(document, schema))]))
  let isForbidden = false
  if (part === 'query') {
    const declared = of('query')[given.change.place % (of('query').length + 1)]
    const name = declared?.name ?? given.name
    query.set(name, words)
    if (given.twice) query.append(name, words)
    isForbidden = !of('query').some((one) => one.name === name) && path.startsWith('/v1/')
  }
  if (part === 'headers') headers[given.header[0]] = given.header[1]

  let payload: string | Buffer | undefined
  if (part === 'garbage') {
    if (given.garbage[0] !== undefined) headers['content-type'] = given.garbage[0]
    payload = given.garbage[1]
  } else if (type && media && !type.startsWith('multipart') && /json|urlencoded/.test(type)) {
    const sample = media.example ?? sampleOf(document, media.schema)
    // With a key that is good: what is wrong is refused for what it is.
    const plain = path.startsWith('/open311/') ? { ...sample as object, api_key: apiKey, address_id: 'U' } : sample
    const value = part === 'body' ? changed(plain, given.change) : plain
    // Open311 takes forms alone: what it is sent is spoiled and then written as one, lists as the parameter again.
    if (!Object.keys(requestBody?.content ?? {}).some((one) => /json/.test(one))) {
      headers['content-type'] ??= type
      payload = formOf(value)
      return { request: { method: method.toUpperCase() as 'POST', url: query.size === 0 ? url : `${url}?${query}`, headers, payload }, isForbidden }
    }
    headers['content-type'] ??= 'application/json'
    payload = JSON.stringify(value) ?? ''
    // null is no body, where none is needed
    if (part === 'body' && payload !== '') isForbidden = !(payload === 'null' && requestBody?.required === false) && !accepts(media.schema)(JSON.parse(payload))
  }
  const asked = query.size === 0 ? url : `${url}?${query}`
  return { request: { method: method.toUpperCase() as 'POST', url: asked, headers, ...(payload !== undefined && method !== 'get' && { payload }) }, isForbidden }
}

function formOf(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value ?? '')
  const written = (one: unknown) => (typeof one === 'object' ? JSON.stringify(one) ?? '' : String(one)).replace(/\p{Surrogate}/gu, '\ufffd')
  return new URLSearchParams(Object.entries(value).flatMap(([name, given]) => [given].flat(1).slice(0, 50).map((one): [string, string] => [written(name), written(one)]))).toString()
}

/** Whoever gives a wrong password is counted, and accounted for, which is the point of it. */
const COUNTED = ['lockout', 'audit_entry', 'audit_outbox']

/** What every table holds, in one word per table. */
async function contents(): Promise<Record<string, string>> {
  const { rows } = await database.owner.query<{ table: string; sum: string }>(`
    SELECT tablename AS table, (xpath('/row/s/text()', query_to_xml(format('SELECT count(*) || '':'' || coalesce(md5(string_agg(t::text, '''' ORDER BY t::text)), '''') AS s FROM %I t', tablename), false, true, '')))[1]::text AS sum
    FROM pg_tables WHERE schemaname = 'public' AND NOT tablename = ANY ($1) ORDER BY 1`, [COUNTED])
  return Object.fromEntries(rows.map(({ table, sum }) => [table, sum]))
}

/** A stream that is opened does not end. */
const isStream = ({ operationId }: Operation) => operationId === 'streamEvents'

describe.each(operations.map((operation) => [operation.operationId, operation] as const))('%s', (_, operation) => {
  test('refuses what is wrong, and says so as it is written', { timeout: 600_000 }, async () => {
    const media = Object.values(operation.requestBody?.content ?? {})[0]
    if (media && resolved(document, media.schema).type === 'object') expect(accepts(media.schema)(sampleOf(document, media.schema)), 'the plain body is right').toBe(true)
    // whatever was accepted before has locked nobody out
    if (!FAREWELLS.has(operation.operationId)) for (const token of tokens) expect((await answered({ url: '/v1/me', headers: { authorization: `Bearer ${token}` } })).statusCode).toBe(200)
    const later: InjectOptions[] = []
    const before = await contents()
    await fc.assert(fc.asyncProperty(wrong, async (given) => {
      const { request, isForbidden } = spoiled(operation, isStream(operation) ? { ...given, part: 'query', name: 'x', change: { ...given.change, place: (operation.parameters ?? []).filter((one) => one.in === 'query').length } } : given)
      if (!isForbidden) return void later.push(request)
      const answer = await answered(request)
      expect(answer.statusCode, `the document forbids ${JSON.stringify(request).slice(0, 1_000)}\n${answer.body.slice(0, 500)}`).toBeGreaterThanOrEqual(400)
    }), { numRuns: EACH, seed: SEED, endOnFailure: false })
    expect(await contents()).toEqual(before)

    // what the document alone does not forbid: it may be accepted, and is answered as it is written all the same
    const statuses: number[] = []
    for (const request of later) if (!isStream(operation)) statuses.push((await answered(request)).statusCode)
    if (statuses.every((status) => status >= 400)) expect(await contents()).toEqual(before)
  })
})

async function answered(request: InjectOptions) {
  sent++
  const answer = await app.inject(request)
  const shown = `${JSON.stringify({ ...request, headers: { ...request.headers, authorization: '…' } }).slice(0, 1_000)}\n${answer.body.slice(0, 500)}\n${FAILURES.splice(0).join('').slice(0, 1_500)}`
  expect(answer.statusCode, shown).not.toBe(500)
  expect(BREACHES.splice(0), shown).toEqual([])
  return answer
}
