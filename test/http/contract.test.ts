import { afterAll, expect, test } from 'vitest'
import { z } from 'zod'
import { Problem } from '../../src/domain/problems.ts'
import { BREACHES } from '../../src/http/contract.ts'
import { ID, sampleApp } from './sample.ts'

/** The check that all other tests rely on, shown answers that it must not let pass. */

const Answer = z.strictObject({ id: z.uuid(), at: z.iso.datetime().optional() }).meta({ id: 'ContractAnswer', description: '样例' })
const described = (operationId: string) => ({ tags: ['点单'], summary: '样例', operationId, response: { 200: Answer } })

const app = sampleApp({
  routes: [async (routes) => {
    routes.get('/v1/good', { schema: described('good') }, async () => ({ id: ID }))
    routes.get('/v1/status', { schema: described('status') }, async (_request, reply) => reply.code(202 as 200).send({ id: ID }))
    routes.get('/v1/type', { schema: described('type') }, async (_request, reply) => reply.type('text/plain').send(JSON.stringify({ id: ID }) as never))
    routes.get('/v1/body', { schema: described('body') }, async (_request, reply) => reply.serializer(String).type('application/json').send('{"id":7}' as never))
    routes.get('/v1/format', { schema: described('format') }, async (_request, reply) => reply.serializer(String).type('application/json').send(`{"id":"${ID}","at":"yesterday"}` as never))
    routes.get('/v1/problem', { schema: described('problem') }, async () => { throw new Problem('slots-taken') })
    routes.get('/v1/told', { config: { problems: ['slots-taken'] }, schema: described('told') }, async () => { throw new Problem('slots-taken') })
    routes.get('/v1/other', { config: { problems: ['slots-taken'] }, schema: described('other') }, async () => { throw new Problem('already-claimed') })
    routes.get('/v1/hidden', { schema: { hide: true } }, async (_request, reply) => reply.code(418).send('?'))
  }],
})
afterAll(() => app.close())

test.each([
  ['/v1/good', 'GET', undefined], ['/v1/good', 'HEAD', undefined], ['/v1/told', 'GET', undefined], ['/v1/hidden', 'GET', undefined], ['/v1/nowhere', 'GET', undefined],
  ['/v1/status', 'GET', 'GET /v1/status 202: the status is not documented (no problem)'],
  ['/v1/type', 'GET', 'GET /v1/type 200: text/plain is not documented'],
  ['/v1/body', 'GET', 'GET /v1/body 200: body/id must be string'],
  ['/v1/format', 'GET', 'GET /v1/format 200: body/at must match format "date-time"'],
  ['/v1/problem', 'GET', 'GET /v1/problem 409: the status is not documented (slots-taken)'],
  ['/v1/other', 'GET', 'GET /v1/other 409: the problem already-claimed is not documented'],
] as const)('%s to %s', async (url, method, breach) => {
  await app.inject({ method, url })
  expect(BREACHES.splice(0)).toEqual(breach === undefined ? [] : [breach])
})
