import { beforeAll, describe, expect, test } from 'vitest'
import { PROBLEMS } from '../../src/domain/problems.ts'
import { operationsOf, type Document } from '../../src/http/openapi-tidy.ts'
import { routes, sampleApp } from './sample.ts'
import { resolved } from './read-document.ts'

const app = sampleApp()
let whole: Document
let staff: Document
beforeAll(async () => {
  whole = (await app.inject('/openapi.json')).json<Document>()
  staff = (await app.inject('/openapi/staff.json')).json<Document>()
})

describe.each([['the whole document', () => whole], ['the staff document', () => staff]])('%s', (_, document) => {
  test('refers to what is there, and has nothing that is not referred to', () => {
    const { securitySchemes: _, ...components } = document().components
    const referred = new Set(JSON.stringify(document()).match(/#\/components\/[^"]+/g)?.map((ref) => ref.slice(13)))
    expect([...referred].sort()).toEqual(Object.entries(components).flatMap(([kind, all]) => Object.keys(all as object).map((name) => `${kind}/${name}`)).sort())
  })

  test('names and describes every operation and every response', () => {
    const operations = operationsOf(document()) as unknown as { operationId: string; summary: string; tags: string[]; responses: Record<string, { description: string }> }[]
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length)
    for (const { operationId, summary, tags, responses } of operations) {
      expect(operationId).toMatch(/^[a-z][A-Za-z0-9]+$/)
      expect(summary).toMatch(/\p{Script=Han}/u)
      expect(document().tags?.map(({ name }) => name)).toEqual(expect.arrayContaining(tags))
      for (const response of Object.values(responses)) expect(resolved(document(), response).description).toMatch(/\p{Script=Han}/u)
    }
  })

  test('says each thing once', () => {
    expect(JSON.stringify(document())).not.toMatch(/Default Response|__shared|"format":"(uuid|date-time|date)","pattern"|9007199254740991/)
  })
})

describe('schemas', () => {
  test('one component where both sides say the same or one is used, two where they differ', () => {
    expect(Object.keys(whole.components.schemas)).toEqual(['ByPerson', 'ByTeam', 'Place', 'Problem', 'Sample', 'SampleBody', 'Settings', 'SettingsInput', 'Taker'])
    expect(whole.components.schemas.Settings).toMatchObject({ required: ['colour'] })
    expect(whole.components.schemas.SettingsInput).not.toHaveProperty('required')
  })

  test('input is closed, answers are open', () => {
    expect(whole.components.schemas.SampleBody).toMatchObject({ additionalProperties: false })
    expect(whole.components.schemas.SettingsInput).toMatchObject({ additionalProperties: false })
    for (const name of ['Sample', 'Place', 'Settings']) expect(whole.components.schemas[name]).not.toHaveProperty('additionalProperties')
    expect(JSON.stringify(operationsOf(whole).map(({ responses }) => responses))).not.toContain('"additionalProperties":false')
  })

  test('a discriminated union has its mapping', () => {
    expect(whole.components.schemas.Taker).toMatchObject({
      discriminator: { propertyName: 'kind', mapping: { person: '#/components/schemas/ByPerson', team: '#/components/schemas/ByTeam' } },
    })
  })

  test('atoms are plain, examples and defaults survive', () => {
    expect(whole.components.schemas.SampleBody).toMatchObject({
      examples: [{ title: '换一个灯泡' }],
      properties: { title: { type: 'string', minLength: 1, maxLength: 20 }, count: { type: 'integer', minimum: 0, maximum: 2147483647 }, at: { type: 'string', format: 'date-time' }, form: { additionalProperties: {} } },
    })
    expect(whole.components.schemas.Sample).toMatchObject({ properties: { closedAt: { type: ['string', 'null'], format: 'date-time' } } })
  })
})

describe('operations', () => {
  test('parameters are written as callers write them', () => {
    const { parameters } = whole.paths['/v1/samples']!.get!
    expect(parameters).toContainEqual(expect.objectContaining({ name: 'limit', required: false, schema: { type: 'integer', minimum: 1, maximum: 100, default: 20 } }))
    expect(parameters).toContainEqual(expect.objectContaining({ name: 'state', style: 'form', explode: false }))
    expect(whole.paths['/v1/samples/{id}/claim']!.post!.parameters).toContainEqual(expect.objectContaining({ in: 'header', name: 'Idempotency-Key' }))
  })

  test('a body is required unless it may be absent', () => {
    expect(whole.paths['/v1/samples']!.post!.requestBody).toMatchObject({ required: true })
    expect(whole.paths['/v1/samples/{id}/claim']!.post!.requestBody).toMatchObject({ required: false, content: { 'application/json': { schema: { type: 'object' } } } })
  })

  test('refusals are those of the route and of its shape', () => {
    const statuses = (path: string, method: string) => Object.keys(whole.paths[path]![method]!.responses)
    expect(statuses('/v1/samples', 'post')).toEqual(['201', '400', '401', '403', '409', '413', '415', '422', '429', '500', '503'])
    expect(statuses('/v1/samples/{id}', 'get')).toEqual(['200', '400', '401', '403', '404', '429', '500', '503'])
    expect(statuses('/v1/public', 'get')).toEqual(['200', '400', '429', '500', '503'])
    expect(whole.paths['/v1/samples']!.post!.responses['422']).toEqual({
      description: `\`item-unknown\` ${PROBLEMS['item-unknown'].zh}；\`idempotency-key-reused\` ${PROBLEMS['idempotency-key-reused'].zh}`,
      content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' }, examples: {
        'item-unknown': { $ref: '#/components/examples/item-unknown' }, 'idempotency-key-reused': { $ref: '#/components/examples/idempotency-key-reused' },
      } } },
    })
    expect(whole.components.examples).toMatchObject({ 'item-unknown': { summary: PROBLEMS['item-unknown'].zh, value: { code: 'item-unknown', status: 422 } } })
    expect(whole.paths['/v1/samples/{id}']!.get!.responses['401']).toEqual({ $ref: '#/components/responses/unauthenticated.token-invalid' })
    expect(whole.components.schemas.Problem).toMatchObject({ properties: { code: { 'x-extensible-enum': Object.keys(PROBLEMS) } } })
  })

  test('what a token must be good for is said; public operations need none', () => {
    expect(whole.paths['/v1/public']!.get!.security).toEqual([])
    expect(whole.paths['/v1/settings']!.put!.security).toEqual([{ staffLogin: ['directory:write'] }, { appCredentials: ['directory:write'] }])
    expect(Object.keys(whole.components.securitySchemes!)).toEqual(['staffLogin', 'appCredentials'])
  })

  test('staff see their operations and their login only', () => {
    expect(Object.entries(staff.paths).map(([path, item]) => [path, Object.keys(item)])).toEqual([['/v1/samples', ['post']], ['/v1/samples/{id}', ['get']]])
    expect(staff.components.securitySchemes).toMatchObject({ staffLogin: { flows: { password: { tokenUrl: '/oauth/token', scopes: {} } } } })
    expect(Object.keys(staff.components.securitySchemes!)).toEqual(['staffLogin'])
    expect(staff.security).toEqual([{ staffLogin: [] }])
  })
})

describe('pages', () => {
  test('documents are cached by their content', async () => {
    const first = await app.inject('/openapi.json')
    expect(first.headers).toMatchObject({ 'content-type': 'application/json; charset=utf-8', 'cache-control': 'public, max-age=60' })
    const again = await app.inject({ url: '/openapi.json', headers: { 'if-none-match': first.headers.etag as string } })
    expect([again.statusCode, again.body]).toEqual([304, ''])
  })

  test('/docs is one page with both documents, from this server alone', async () => {
    const page = await app.inject('/docs')
    expect(page.headers['content-security-policy']).toMatch(/default-src 'none'.*connect-src 'self'/)
    expect(page.headers['content-security-policy']).not.toContain('https:')
    const assets = [...page.body.matchAll(/(?:href|src)="([^"]+)"/g)].map(([, url]) => url!)
    for (const url of assets) {
      expect(url).toMatch(/^\/docs\//)
      expect((await app.inject(url)).statusCode).toBe(200)
    }
    const { body } = await app.inject('/docs/static/swagger-initializer.js')
    for (const said of ['网格员派单台', '完整 API', 'swagger-ui', '"persistAuthorization":true', 'validatorUrl: null']) expect(body).toContain(said)
  })

  test('documentation stays open when everything else wants a login', async () => {
    const locked = sampleApp({
      routes: [Object.assign(async (root: typeof app) => {
        root.addHook('onRequest', async ({ routeOptions }, reply) => (routeOptions.config.public ? undefined : reply.code(401).send()))
      }, { [Symbol.for('skip-override')]: true }), routes],
    })
    for (const url of ['/docs', '/docs/static/swagger-ui.css', '/docs/json', '/openapi.json', '/openapi/staff.json', '/problems', '/problems/internal']) expect((await locked.inject(url)).statusCode, url).toBe(200)
    expect((await locked.inject('/v1/samples')).statusCode).toBe(401)
  })

  test('the page of problems lists them all; of none, there is none', async () => {
    const { body } = await app.inject('/problems')
    for (const code of Object.keys(PROBLEMS)) expect(body).toContain(`/problems/${code}`)
    for (const url of ['/problems/nothing', '/problems/constructor']) expect((await app.inject(url)).json()).toMatchObject({ code: 'not-found' })
  })
})
