import type { FastifyContextConfig } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { code, cursor, instant, int4, limit, listQuery, text, uuid } from '../../domain/atoms.ts'
import { DELIVERY_STATES, listDeliveries, readDelivery, redeliver, replay, sendTest } from '../../service/webhook-log.ts'
import {
  createEndpoint, disableEndpoint, listEndpoints, pauseEndpoint, readEndpoint, resumeEndpoint, rotateSecret, updateEndpoint, type WebhookDeps,
} from '../../service/webhooks.ts'
import { PageSchema } from '../request-schema.ts'

const EndpointSchema = z
  .strictObject({
    id: uuid,
    url: z.string(),
    eventTypes: z.array(z.string()),
    node: z.strictObject({ id: uuid, code: z.string(), name: z.string() }).describe('只收这个节点及以下的事件'),
    ordered: z.boolean().describe('按事件先后逐件投递：前一件有结果后才发下一件'),
    ratePerSecond: z.int().nullable().describe('每秒最多投递几件；null 为不限'),
    description: z.string().nullable(),
    algorithm: z.enum(['v1', 'v1a']),
    status: z.enum(['enabled', 'paused', 'disabled']).describe('enabled 正常，paused 暂停（事件照常积存），disabled 停用（不再产生投递）'),
    disabledReason: z.enum(['gone', 'failing', 'revoked', 'by-owner']).nullable().describe('gone 接收方回答 410，failing 连续失败五天，revoked 应用已吊销，by-owner 主动停用'),
    disabledAt: instant.nullable(),
    failures: z.int().describe('上次成功以来失败的次数'),
    failingSince: instant.nullable(),
    warnings: z.int().describe('已警告几次：失败满一天、满三天各一次'),
    app: uuid.nullable().describe('所属应用；由工作人员建立的为 null'),
    secrets: z.array(z.strictObject({
      id: uuid, publicKey: z.string().nullable().describe('v1a 的公钥（whpk_…）'), createdAt: instant, expiresAt: instant.nullable().describe('轮换后的失效时间'),
    })).describe('有效的密钥，最新的在前；密钥本身只在建立和轮换时给出一次'),
    createdAt: instant,
  })
  .meta({ id: 'WebhookEndpoint', description: '回调地址' })

const WithSecretSchema = EndpointSchema
  .extend({ secret: z.string().nullable().describe('签名密钥（whsec_…），只显示这一次；v1a 为 null，请用 secrets 中的公钥') })
  .meta({ id: 'WebhookEndpointWithSecret', description: '回调地址和它的密钥' })

const url = text({ max: 2048 }).describe('https 网址，端口 443 或 8443，不得指向内网')
const eventTypes = z.array(text({ max: 64 })).min(1).max(50).describe('事件类型、`request.*` 或 `*`，见 /v1/event-types')
const node = z.union([uuid, code]).describe('节点 id 或代码，含下级')
const secret = z.string().max(200).describe('自带的密钥（whsec_ 加 24 至 64 字节的 Base64）；缺省由系统生成')
const options = {
  ordered: z.boolean().optional(),
  ratePerSecond: int4({ min: 1, max: 1000 }).nullish(),
  description: text({ max: 120 }).nullish(),
}

const NewEndpointSchema = z
  .strictObject({ url, eventTypes, node: node.optional().describe('节点 id 或代码，含下级；缺省为全部'), ...options, algorithm: z.enum(['v1', 'v1a']).optional().describe('缺省 v1'), secret: secret.optional() })
  .meta({ id: 'NewWebhookEndpoint', examples: [{ url: 'https://hooks.example.cn/wish-wall', eventTypes: ['request.*'], node: 'YQHF' }] })

const ChangeSchema = z
  .strictObject({ url: url.optional(), eventTypes: eventTypes.optional(), node: node.optional(), ...options })
  .meta({ id: 'WebhookEndpointChange', examples: [{ eventTypes: ['request.filed', 'request.closed'], ratePerSecond: 10 }] })

const DeliverySchema = z
  .strictObject({
    id: uuid.describe('即请求头 webhook-id：事件 id；测试发送则为测试 id'),
    type: z.string(),
    state: z.enum(DELIVERY_STATES).describe('pending 等待投递，delivering 正在投递，delivered 已送达，exhausted 重试用尽，disabled 因地址停用而终止'),
    event: z.strictObject({ id: uuid, requestId: uuid, number: z.string(), seq: z.int(), occurredAt: instant }).nullable().describe('测试发送、事件已删除时为 null'),
    nextAt: instant.nullable().describe('下次尝试的时间'),
    createdAt: instant,
    endedAt: instant.nullable(),
    attempts: z.array(z.strictObject({
      number: z.int(), at: instant, ms: z.int().describe('用时，毫秒'), status: z.int().nullable().describe('接收方的状态码'),
      reason: z.string().nullable().describe('没有得到回答的原因'), excerpt: z.string().nullable().describe('回答的开头'),
    })).describe('每次尝试'),
  })
  .meta({ id: 'WebhookDelivery', description: '投递' })

const ReplaySchema = z.strictObject({ from: instant, to: instant.describe('不含；不能晚于现在') }).meta({ id: 'WebhookReplay', examples: [{ from: '2026-11-20T00:00:00Z', to: '2026-11-21T00:00:00Z' }] })

const id = uuid.describe('回调地址 id')
const params = z.strictObject({ id })
const deliveryParams = z.strictObject({ id, delivery: uuid.describe('投递 id') })
const config = (...problems: NonNullable<FastifyContextConfig['problems']>): FastifyContextConfig => ({ problems: ['not-found', ...problems] })

/** 回调: endpoints, and the log of what was sent to them. An app sees its own, a person those of the places administered. */
export const webhookRoutes = ({ db, keyring, egress }: WebhookDeps): FastifyPluginAsyncZod => async (app) => {
  app.post('/v1/webhook-endpoints', {
    config: { problems: ['node-unknown', 'limit-reached'] },
    schema: {
      tags: ['事件'], summary: '新建回调地址', operationId: 'createWebhookEndpoint',
      description: '此后发生的事件会签名后 POST 到这个地址（Standard Webhooks）。未得到 2xx 的在约 76 小时内重试 12 次；回答 410 立即停用；连续失败五天（且至少二十次）停用。',
      body: NewEndpointSchema, response: { 201: WithSecretSchema },
    },
  }, async ({ body, actor }, reply) => {
    const endpoint = await createEndpoint({ db, keyring, egress }, body, actor)
    reply.code(201).header('location', `/v1/webhook-endpoints/${endpoint.id}`)
    return endpoint
  })

  app.get('/v1/webhook-endpoints', {
    config: { problems: ['cursor-unusable'] },
    schema: {
      tags: ['事件'], summary: '回调地址列表', operationId: 'listWebhookEndpoints', description: '应用看到自己的；工作人员看到所管理节点及以下的。',
      querystring: z.strictObject({ limit, cursor: cursor.optional() }), response: { 200: z.strictObject({ data: z.array(EndpointSchema), page: PageSchema }) },
    },
  }, ({ query, actor }) => listEndpoints({ db }, query, actor))

  app.get('/v1/webhook-endpoints/:id', {
    config: config(), schema: { tags: ['事件'], summary: '查看回调地址', operationId: 'getWebhookEndpoint', params, response: { 200: EndpointSchema } },
  }, (request) => readEndpoint(db, request.params.id, request.actor))

  app.post('/v1/webhook-endpoints/:id', {
    config: config('node-unknown'),
    schema: { tags: ['事件'], summary: '修改回调地址', operationId: 'updateWebhookEndpoint', description: '没有写的不变；等待中的投递发往新网址。', params, body: ChangeSchema, response: { 200: EndpointSchema } },
  }, (request) => updateEndpoint({ db, egress }, request.params.id, request.body, request.actor))

  app.post('/v1/webhook-endpoints/:id/pause', {
    config: config('endpoint-disabled'),
    schema: { tags: ['事件'], summary: '暂停投递', operationId: 'pauseWebhookEndpoint', description: '事件照常积存，恢复后继续投递。', params, response: { 200: EndpointSchema } },
  }, (request) => pauseEndpoint(db, request.params.id, request.actor))

  app.post('/v1/webhook-endpoints/:id/resume', {
    config: config(),
    schema: { tags: ['事件'], summary: '恢复投递', operationId: 'resumeWebhookEndpoint', description: '从暂停恢复：积存的事件继续投递。从停用恢复：此前没有送到的不补发，除非 `missed` 为 true；也可用重放补发一段时间。',
      params, body: z.strictObject({ missed: z.boolean().optional().describe('补发因停用而没有送到的') }).meta({ examples: [{ missed: true }] }).nullish(), response: { 200: EndpointSchema } },
  }, (request) => resumeEndpoint(db, request.params.id, { missed: request.body?.missed ?? false }, request.actor))

  app.post('/v1/webhook-endpoints/:id/disable', {
    config: config(),
    schema: { tags: ['事件'], summary: '停用回调地址', operationId: 'disableWebhookEndpoint', description: '等待中的投递终止，不再产生新的；记录保留。', params, response: { 200: EndpointSchema } },
  }, (request) => disableEndpoint(db, request.params.id, request.actor))

  app.post('/v1/webhook-endpoints/:id/rotate-secret', {
    config: config(),
    schema: {
      tags: ['事件'], summary: '轮换密钥', operationId: 'rotateWebhookSecret', description: '新密钥立即生效；旧密钥再有效 24 小时，其间同时用新旧密钥签名。最多三个同时有效。',
      params, body: z.strictObject({ secret: secret.optional() }).meta({ examples: [{}] }).nullish(), response: { 200: WithSecretSchema },
    },
  }, (request) => rotateSecret({ db, keyring }, request.params.id, request.body?.secret, request.actor))

  app.post('/v1/webhook-endpoints/:id/test', {
    config: config('limit-reached'),
    schema: { tags: ['事件'], summary: '测试发送', operationId: 'testWebhookEndpoint', description: '发送一件 webhook.test，只发一次，暂停或停用时也发；结果见投递记录。', params, response: { 202: DeliverySchema } },
  }, async (request, reply) => reply.code(202).send(await sendTest(db, request.params.id, request.actor)))

  app.get('/v1/webhook-endpoints/:id/deliveries', {
    config: config('cursor-unusable'),
    schema: {
      tags: ['事件'], summary: '投递记录', operationId: 'listWebhookDeliveries', description: '最新的事件在前，含每次尝试的时间、状态码和回答的开头；结束后保留 30 天。从未发过的（如暂停期间积存的）不在其中。', params,
      querystring: z.strictObject({ state: listQuery(z.enum(DELIVERY_STATES)).optional(), limit, cursor: cursor.optional() }),
      response: { 200: z.strictObject({ data: z.array(DeliverySchema), page: PageSchema }) },
    },
  }, (request) => listDeliveries(db, request.params.id, request.query, request.actor))

  app.get('/v1/webhook-endpoints/:id/deliveries/:delivery', {
    config: config(), schema: { tags: ['事件'], summary: '查看投递', operationId: 'getWebhookDelivery', params: deliveryParams, response: { 200: DeliverySchema } },
  }, (request) => readDelivery(db, request.params.id, request.params.delivery, request.actor))

  app.post('/v1/webhook-endpoints/:id/deliveries/:delivery/redeliver', {
    config: config('event-erased', 'endpoint-disabled'),
    schema: { tags: ['事件'], summary: '重新投递', operationId: 'redeliverWebhook', description: '立即再发一次，webhook-id 不变；已结束的重新开始整个重试过程。', params: deliveryParams, response: { 202: DeliverySchema } },
  }, async (request, reply) => reply.code(202).send(await redeliver(db, request.params.id, request.params.delivery, request.actor)))

  app.post('/v1/webhook-endpoints/:id/replay', {
    config: config('endpoint-disabled'),
    schema: {
      tags: ['事件'], summary: '重放一段时间', operationId: 'replayWebhooks',
      description: '把 from 到 to 之间发生的事件补发一遍：从未发过的、没有送到的，以及在 to 之前送到的。重复调用不会重复发送。每次至多 1000 件、31 天；hasMore 为 true 时原样再调用一次。',
      params, body: ReplaySchema, response: { 202: z.strictObject({ replayed: z.int().describe('开始投递的件数'), hasMore: z.boolean() }) },
    },
  }, async (request, reply) => reply.code(202).send(await replay(db, request.params.id, request.body, request.actor)))
}
