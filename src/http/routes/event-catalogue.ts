import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { registry, type $ZodType, type JSONSchema } from 'zod/v4/core'
import { instant, uuid } from '../../domain/atoms.ts'
import { EVENT_TYPES } from '../../domain/derive.ts'
import { triples, type State, type VerbName } from '../../domain/machine.ts'
import { TEST_TYPE } from '../../service/webhook-log.ts'
import { EventSchema } from './events.ts'

/** What a receiver gets when its endpoint is tested. */
const TestSchema = z.strictObject({
  id: uuid, type: z.literal(TEST_TYPE), occurredAt: instant, endpoint: uuid.describe('回调地址 id'), links: z.strictObject({ endpoint: z.string() }),
})

interface Entry {
  type: string
  name: string
  description: string
  schema: Record<string, unknown>
  example: Record<string, unknown>
}

const ID = '0195f2a0-7c1e-7abc-8def-0123456789ab'

/** Every event type there is, from the machine: what states it leads from and to, and how one looks. */
const CATALOGUE: Entry[] = [
  ...EVENT_TYPES.map(({ type, verb, zh, says }) => ({ type, name: zh, description: says, schema: schemaOf(type, verb), example: exampleOf(type, verb) })),
  {
    type: TEST_TYPE, name: '测试', description: '测试发送，不对应任何点单。', schema: plain(TestSchema),
    example: { id: ID, type: TEST_TYPE, occurredAt: '2026-11-21T01:30:00.000Z', endpoint: ID, links: { endpoint: `/v1/webhook-endpoints/${ID}` } },
  },
]

function schemaOf(type: string, verb: VerbName): Record<string, unknown> {
  const edges = triples().filter((edge) => edge.verb === verb)
  const from = [...new Set(edges.flatMap((edge) => (edge.from === 'none' ? [] : [edge.from])))] as [State, ...State[]]
  const to = [...new Set(edges.map((edge) => edge.to))] as [State, ...State[]]
  return plain(EventSchema.extend({ type: z.literal(type), from: from.length === 0 ? z.null() : z.enum(from), state: z.enum(to) }))
}

function exampleOf(type: string, verb: VerbName): Record<string, unknown> {
  const { from, to } = triples().find((edge) => edge.verb === verb)!
  const version = from === 'none' ? 1 : 4
  return {
    id: ID, type, occurredAt: '2026-11-21T01:30:00.000Z', requestId: ID, seq: version, number: 'WX20261121-000123', kind: 'wish', item: 'companionship',
    from: from === 'none' ? null : from, state: to, version, cycle: 1, node: 'YQHF-03-1', links: { request: `/v1/requests/${ID}` },
  }
}

/** As it is on the wire, whole and without references. Like every answer it may gain fields. */
function plain(schema: $ZodType): Record<string, unknown> {
  const override = ({ jsonSchema }: { jsonSchema: JSONSchema.BaseSchema }) => {
    if (jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties
    if (jsonSchema.format !== undefined) delete jsonSchema.pattern
    if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum
    if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum
  }
  return z.toJSONSchema(schema as z.ZodType, { io: 'input', unrepresentable: 'any', metadata: registry<{ id?: string }>(), override }) as Record<string, unknown>
}

const EntrySchema = z
  .strictObject({
    type: z.string(), name: z.string(), description: z.string(),
    schema: z.record(z.string(), z.json()).describe('JSON Schema 2020-12'), example: z.record(z.string(), z.json()),
  })
  .meta({ id: 'EventType', description: '事件类型' })

export const eventCatalogueRoutes: FastifyPluginAsyncZod = async (app) => {
  app.get('/v1/event-types', {
    config: { public: true },
    schema: {
      tags: ['事件'], summary: '事件类型', operationId: 'listEventTypes', description: '全部事件类型，各带 JSON Schema 和样例。订阅时可写类型本身、`request.*` 或 `*`。',
      response: { 200: z.strictObject({ data: z.array(EntrySchema) }) },
    },
  }, async () => ({ data: CATALOGUE as never }))
}

const header = (name: string, description: string, example: string) => ({ in: 'header', name, required: true, description, schema: { type: 'string' }, example })

const HEADERS = [
  header('webhook-id', '事件 id，与正文的 `id` 相同：重试、重新投递和重放时不变，可据此去重', ID),
  header('webhook-timestamp', '发送时间，Unix 秒；相差五分钟以上的应拒收', '1795224600'),
  header('webhook-signature', '对 `webhook-id.webhook-timestamp.正文` 的签名，空格分隔，任一有效即可；`v1` 为 HMAC-SHA256，`v1a` 为 Ed25519（Standard Webhooks）', 'v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4='),
]

/** The `webhooks` section of the document: what we send. */
export const webhookOperations = Object.fromEntries(CATALOGUE.map(({ type, name, description, schema, example }) => [type, {
  post: {
    tags: ['事件'], summary: name, operationId: `on${type.split(/[._]/).map((word) => word[0]!.toUpperCase() + word.slice(1)).join('')}`, description, security: [],
    parameters: HEADERS,
    requestBody: { required: true, content: { 'application/json': { schema: type === TEST_TYPE ? schema : { $ref: '#/components/schemas/Event' }, example } } },
    responses: { '2XX': { description: '已收到；任何 2xx 都算送达，其他一律重试' }, 410: { description: '不再接收：立即停用这个回调地址' } },
  },
}]))
