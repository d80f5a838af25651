import type { FastifyInstance } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { pino } from 'pino'
import { z } from 'zod'
import { code, cursor, flagQuery, instant, int4, limit, listQuery, phone, text, uuid } from '../../src/domain/atoms.ts'
import { Problem, says, type ProblemCode } from '../../src/domain/problems.ts'
import { buildApp, type AppDeps } from '../../src/http/app.ts'

/** Routes of no domain: one of each shape that the real ones will have. */

const Place = z.strictObject({ lng: z.number(), lat: z.number() }).meta({ id: 'Place', description: '坐标' })
const ByPerson = z.strictObject({ kind: z.literal('person'), person: uuid }).meta({ id: 'ByPerson' })
const ByTeam = z.strictObject({ kind: z.literal('team'), team: code }).meta({ id: 'ByTeam' })
const Taker = z.discriminatedUnion('kind', [ByPerson, ByTeam]).meta({ id: 'Taker' })

const SampleBody = z
  .strictObject({
    title: text({ max: 20 }).describe('标题'),
    note: text({ max: 200, multiline: true }).optional(),
    count: int4({ min: 0 }),
    node: z.union([uuid, code]),
    at: instant.optional(),
    phone: phone.optional(),
    place: Place.optional(),
    takers: z.array(Taker).max(5).optional(),
    form: z.record(z.string(), z.json()).optional(),
  })
  .meta({ id: 'SampleBody', examples: [{ title: '换一个灯泡', count: 1, node: '371302002001' }] })

const Sample = z
  .strictObject({
    id: uuid,
    title: z.string(),
    filedAt: instant,
    closedAt: instant.nullable(),
    place: Place.nullable(),
    takers: z.array(Taker),
    note: z.string().optional(),
  })
  .meta({ id: 'Sample', description: '样例' })

/** Its two sides differ: what may be left out on the way in is always there on the way out. */
const Settings = z.strictObject({ colour: z.string().default('red') }).meta({ id: 'Settings' })

const Samples = z.strictObject({ data: z.array(Sample), page: z.strictObject({ nextCursor: z.string().nullable(), hasMore: z.boolean() }) })

export const ID = '0195f2a0-7c1e-7abc-8def-0123456789ab'
export const sample = {
  id: ID, title: '换一个灯泡', filedAt: new Date('2026-11-21T01:00:00Z'), closedAt: null, place: null,
  takers: [{ kind: 'person' as const, person: ID }, { kind: 'team' as const, team: 'T1' }],
}

export const routes: FastifyPluginAsyncZod = async (app) => {
  app.post('/v1/samples', {
    config: { audience: 'staff' as const, problems: ['item-unknown'] },
    schema: { tags: ['点单'], summary: '新建样例', operationId: 'createSample', body: SampleBody, response: { 201: Sample } },
  }, async (_request, reply) => reply.code(201).send(sample))

  app.get('/v1/samples', {
    schema: {
      tags: ['点单'], summary: '样例列表', operationId: 'listSamples', response: { 200: Samples },
      querystring: z.strictObject({ limit, cursor: cursor.optional(), state: listQuery(z.enum(['filed', 'open'])).optional(), mine: flagQuery.optional() }),
    },
  }, async () => ({ data: [sample], page: { nextCursor: null, hasMore: false } }))

  app.get('/v1/samples/:id', {
    config: { audience: 'staff' as const, problems: ['request-not-found'] },
    schema: { tags: ['点单'], summary: '查看样例', operationId: 'getSample', params: z.strictObject({ id: uuid }), response: { 200: Sample } },
  }, async () => ({ ...sample, phone: '13800138000' }))

  app.post('/v1/samples/:id/claim', {
    schema: {
      tags: ['点单'], summary: '认领样例', operationId: 'claimSample', params: z.strictObject({ id: uuid }),
      headers: z.looseObject({ 'idempotency-key': z.string().max(255).optional() }), body: z.strictObject({ note: text({ max: 10 }) }).nullish(), response: { 200: Sample },
    },
  }, async () => sample)

  app.put('/v1/settings', { config: { scope: 'directory:write' }, schema: { tags: ['服务菜单'], summary: '设置', operationId: 'putSettings', body: Settings, response: { 200: Settings } } }, async ({ body }) => body)

  app.get('/v1/public', { config: { public: true }, schema: { tags: ['心愿墙'], summary: '公开', operationId: 'getPublic', response: { 200: z.strictObject({ host: z.string() }) } } }, async (request) => ({ host: request.ip }))

  app.get('/v1/refusals/:code', { schema: { hide: true, params: z.strictObject({ code: z.string() }) } }, async ({ params }) => {
    throw new Problem(params.code as ProblemCode, { facts: { state: 'open', allowed: ['claim'], status: 'not this one' }, detail: says('说明', 'Detail') })
  })
  app.get('/v1/boom', { schema: { hide: true } }, async () => {
    throw Object.assign(new Error('relation "person" 13800138000'), { name: 'error', statusCode: 404, code: '23505', detail: 'Key (phone)=(13800138000)', constraint: 'person_phone_key', query: 'SELECT 1' })
  })
  app.get('/v1/slow', { handlerTimeout: 30, schema: { hide: true } }, () => new Promise(() => undefined))
  app.get('/v1/wrong', { schema: { hide: true, response: { 200: Sample } } }, async () => ({ ...sample, title: null }) as never)
}

export const lines: Record<string, unknown>[] = []

/** The app with the sample routes; what it logs is kept in `lines`. */
export function sampleApp(deps: Partial<AppDeps> = {}): FastifyInstance {
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line)) })
  return buildApp({ log, routes: [routes], checkAnswers: true, ...deps })
}
