import type { FastifyContextConfig } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { code, cursor, instant, int4, limit, text, uuid } from '../../domain/atoms.ts'
import { says } from '../../domain/problems.ts'
import { SCOPES, SCOPE_NAMES, type Scope } from '../../domain/scopes.ts'
import { createKey, listKeys, revokeKey } from '../../service/api-keys.ts'
import { changeClient, listClients, readClient, registerClient, rotateClientSecret, withdrawClient } from '../../service/client-registry.ts'
import type { Db } from '../../service/db.ts'
import type { Keyring } from '../../service/keyring.ts'
import { PageSchema } from '../request-schema.ts'

const EXAMPLE_ID = '0195f2a0-7c1e-7abc-8def-0123456789ab'
const scopeWords = Object.entries(SCOPES).map(([scope, { zh }]) => `${scope} ${zh}`).join('，')
const scopes = z.array(z.enum(SCOPE_NAMES as [Scope, ...Scope[]])).min(1).max(20)
/** As a browser writes it: scheme, host, port where it is not the scheme's own, and nothing more. */
const NO_ORIGIN = says('应为网页来源，如 https://app.example.cn', 'Expected an origin such as https://app.example.cn')
const origin = z.string().max(255).refine((text) => /^https?:[^*]+$/.test(text) && URL.canParse(text) && new URL(text).origin === text, { params: NO_ORIGIN })
const edges = {
  ratePerMinute: int4({ min: 1, max: 1_000_000 }).nullish().describe('每分钟最多调用几次；null 为系统缺省'),
  corsOrigins: z.array(origin).max(20).optional().describe('允许其网页从哪些来源（Origin）直接调用，不接受 *'),
}

const ClientSchema = z
  .strictObject({
    id: uuid,
    clientId: z.string(),
    name: z.string(),
    scopes: z.array(z.string()),
    sandbox: z.boolean().describe('沙箱应用'),
    ratePerMinute: z.int().nullable().describe('每分钟最多调用几次；null 为系统缺省'),
    corsOrigins: z.array(z.string()).describe('允许其网页从哪些来源（Origin）直接调用'),
    createdAt: instant,
    rotatedAt: instant.nullable().describe('上次轮换密钥的时间'),
    formerSecretUntil: instant.nullable().describe('旧密钥在此之前仍有效'),
    revokedAt: instant.nullable(),
  })
  .meta({
    id: 'Client', description: '第三方应用',
    examples: [{
      id: EXAMPLE_ID, clientId: 'street-mini-program', name: '街道小程序', scopes: ['requests:read', 'requests:write'], sandbox: false, ratePerMinute: null, corsOrigins: [],
      createdAt: '2026-11-21T01:00:00.000Z', rotatedAt: null, formerSecretUntil: null, revokedAt: null,
    }],
  })
const WithSecretSchema = ClientSchema.extend({ clientSecret: z.string().describe('只显示这一次') }).meta({ id: 'ClientWithSecret', description: '应用和它的密钥' })

const KeySchema = z
  .strictObject({
    id: uuid,
    name: z.string().describe('用途'),
    lastFour: z.string().describe('末四位'),
    scopes: z.array(z.string()),
    createdAt: instant,
    expiresAt: instant,
    lastUsedAt: instant.nullable().describe('最近使用，精确到分'),
    revokedAt: instant.nullable(),
  })
  .meta({ id: 'ApiKey', description: 'API Key，长期有效的密钥' })
const WithKeySchema = KeySchema
  .extend({ key: z.string().describe('ww_live_…（沙箱应用为 ww_test_…），只显示这一次；放在请求头 Authorization: Bearer 中使用') })
  .meta({ id: 'ApiKeyWithKey', description: '新的 API Key' })

const params = z.strictObject({ id: z.union([uuid, code]).describe('应用 id 或 clientId').meta({ examples: ['street-mini-program'] }) })
const keyParams = params.extend({ key: uuid.describe('API Key 的 id') })
const config = (...problems: NonNullable<FastifyContextConfig['problems']>): FastifyContextConfig => ({ problems: ['not-found', ...problems] })
const tags = ['应用']

/** 应用: third-party apps, their secrets and keys. For administrators of the whole tenant, in person. */
export const clientRoutes = ({ db, keyring }: { db: Db; keyring: Keyring }): FastifyPluginAsyncZod => async (app) => {
  app.post('/v1/clients', {
    schema: {
      tags, summary: '登记应用', operationId: 'createClient', description: '须由整个租户的管理员本人办理；密钥只显示这一次。',
      body: z.strictObject({ clientId: code.describe('租户内唯一'), name: text({ max: 60 }), scopes: scopes.describe(scopeWords), ...edges,
        sandbox: z.boolean().optional().describe('沙箱应用：在一份与外界隔绝的街道副本里试用，点单不会到达工作人员、统计和心愿墙；登记后不能更改') })
        .meta({ id: 'NewClient', examples: [{ clientId: 'street-mini-program', name: '街道小程序', scopes: ['requests:read', 'requests:write'] }] }),
      response: { 201: WithSecretSchema },
    },
  }, async ({ body, actor, caller }, reply) => {
    const client = await registerClient({ db, keyring }, body, actor, caller.scopes)
    reply.code(201).header('location', `/v1/clients/${client.id}`)
    return client
  })

  app.get('/v1/clients', {
    config: { problems: ['cursor-unusable'] },
    schema: {
      tags, summary: '应用列表', operationId: 'listClients', description: '也包括已吊销的，新的在前。',
      querystring: z.strictObject({ limit, cursor: cursor.optional() }), response: { 200: z.strictObject({ data: z.array(ClientSchema), page: PageSchema }) },
    },
  }, ({ query, actor }) => listClients(db, query, actor))

  app.get('/v1/clients/:id', {
    config: { problems: ['not-found'] }, schema: { tags, summary: '查看应用', operationId: 'getClient', params, response: { 200: ClientSchema } },
  }, (request) => readClient(db, request.params.id, request.actor))

  app.post('/v1/clients/:id', {
    config: config('client-revoked'),
    schema: {
      tags, summary: '修改应用', operationId: 'updateClient', description: '没有写的不变。收回的 scope 对已发的令牌在 5 秒内失效。', params,
      body: z.strictObject({ name: text({ max: 60 }).optional(), scopes: scopes.optional(), ...edges }).meta({ id: 'ClientChange', examples: [{ scopes: ['requests:read'] }] }),
      response: { 200: ClientSchema },
    },
  }, (request) => changeClient(db, request.params.id, request.body, request.actor, request.caller.scopes))

  app.post('/v1/clients/:id/rotate-secret', {
    config: config('client-revoked'),
    schema: {
      tags, summary: '轮换密钥', operationId: 'rotateClientSecret', description: '新密钥立即生效，旧密钥在重叠期内仍有效；最多两个同时有效。', params,
      body: z.strictObject({ overlapHours: int4({ min: 0, max: 720 }).optional().describe('旧密钥再有效几小时，缺省 24；密钥泄露时填 0') })
        .meta({ id: 'RotateSecretBody', examples: [{ overlapHours: 48 }] }).nullish(),
      response: { 200: WithSecretSchema },
    },
  }, (request) => rotateClientSecret(db, request.params.id, request.body?.overlapHours ?? 24, request.actor))

  app.post('/v1/clients/:id/revoke', {
    config: config(),
    schema: { tags, summary: '吊销应用', operationId: 'revokeClient', description: '不可恢复。已发的令牌和 API Key 在 5 秒内失效。', params, response: { 200: ClientSchema } },
  }, (request) => withdrawClient(db, request.params.id, request.actor))

  app.post('/v1/clients/:id/keys', {
    config: config('client-revoked', 'limit-reached'),
    schema: {
      tags, summary: '新建 API Key', operationId: 'createApiKey', description: '供脚本长期使用，等同应用本身，不能代表个人。', params,
      body: z.strictObject({
        name: text({ max: 60 }).describe('用途'), scopes: scopes.optional().describe('缺省为应用的全部 scope'), days: int4({ min: 1, max: 730 }).default(365).describe('有效天数'),
      }).meta({ id: 'NewApiKey', examples: [{ name: '夜间对账脚本', scopes: ['requests:read'], days: 90 }] }),
      response: { 201: WithKeySchema },
    },
  }, async (request, reply) => reply.code(201).send(await createKey(db, request.params.id, request.body, request.actor)))

  app.get('/v1/clients/:id/keys', {
    config: { problems: ['not-found'] },
    schema: { tags, summary: 'API Key 列表', operationId: 'listApiKeys', params, response: { 200: z.strictObject({ data: z.array(KeySchema) }) } },
  }, async (request) => ({ data: await listKeys(db, request.params.id, request.actor) }))

  app.post('/v1/clients/:id/keys/:key/revoke', {
    config: config(), schema: { tags, summary: '吊销 API Key', operationId: 'revokeApiKey', params: keyParams, response: { 200: KeySchema } },
  }, (request) => revokeKey(db, request.params.id, request.params.key, request.actor))
}
