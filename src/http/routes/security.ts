import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { instant, text, uuid } from '../../domain/atoms.ts'
import { TOTP_REQUIRED } from '../../domain/second-factor.ts'
import type { Db } from '../../service/db.ts'
import type { ReadJson } from '../../service/grant-request.ts'
import { addProvider, changeProvider, listProviders, readProvider } from '../../service/identity-providers.ts'
import { putSecuritySettings, readSecuritySettings } from '../../service/security-settings.ts'

const EXAMPLE_ID = '0195f2a0-7c1e-7abc-8def-0123456789ab'
const given = {
  name: text({ max: 60 }).describe('名称'),
  issuer: z.url({ protocol: /^https?$/ }).max(255).describe('签发方地址，与令牌中的 iss 一字不差'),
  audience: text({ max: 255 }).describe('签发方发给本系统的 client_id，即令牌中的 aud'),
  claim: text({ max: 64 }).describe('哪个声明的值是工号'),
}

const ProviderSchema = z
  .strictObject({ id: uuid, name: z.string(), issuer: z.string(), audience: z.string(), claim: z.string(), enabled: z.boolean(), createdAt: instant, changedAt: instant })
  .meta({
    id: 'IdentityProvider', description: '统一身份认证（OpenID Connect）的签发方',
    examples: [{
      id: EXAMPLE_ID, name: '区统一身份认证', issuer: 'https://sso.example.cn', audience: 'wish-wall', claim: 'preferred_username', enabled: true,
      createdAt: '2026-11-21T01:00:00.000Z', changedAt: '2026-11-21T01:00:00.000Z',
    }],
  })

const NewProviderSchema = z
  .strictObject({ ...given, claim: given.claim.default('preferred_username') })
  .meta({ id: 'NewIdentityProvider', examples: [{ name: '区统一身份认证', issuer: 'https://sso.example.cn', audience: 'wish-wall', claim: 'preferred_username' }] })

const ProviderChangeSchema = z
  .strictObject({ name: given.name.optional(), audience: given.audience.optional(), claim: given.claim.optional(), enabled: z.boolean().optional() })
  .meta({ id: 'IdentityProviderChange', examples: [{ enabled: false }] })

const SettingsSchema = z
  .strictObject({
    totpRequired: z.enum(TOTP_REQUIRED).describe('谁必须启用动态口令：none 不要求，admins 各类管理员，revealers 还有凭职责可查看或导出个人信息的人，以及查看明文、导出时的每个有账号的人'),
    separateAdmins: z.boolean().describe('三员分立：系统、安全、审计管理不得由一人兼任，也不得有身兼三者的管理员'),
  })
  .meta({ id: 'SecuritySettings', description: '安全要求', examples: [{ totpRequired: 'admins', separateAdmins: true }] })

const params = z.strictObject({ id: uuid.describe('签发方 id') })
const tags = ['人员']

/** 安全管理: what is asked of staff, and whose word about them is believed. For security administrators of the whole tenant, in person. */
export const securityRoutes = ({ db, readJson }: { db: Db; readJson: ReadJson }): FastifyPluginAsyncZod => async (app) => {
  app.get('/v1/security-settings', {
    schema: { tags, summary: '安全要求', operationId: 'getSecuritySettings', response: { 200: SettingsSchema } },
  }, ({ actor }) => readSecuritySettings(db, actor))

  app.put('/v1/security-settings', {
    config: { problems: ['admins-separate'] },
    schema: { tags, summary: '规定安全要求', operationId: 'putSecuritySettings', description: '有人兼任时不能开启三员分立（409）。其他进程五秒内生效。', body: SettingsSchema, response: { 200: SettingsSchema } },
  }, ({ body, actor }) => putSecuritySettings(db, body, actor))

  app.post('/v1/identity-providers', {
    config: { problems: ['issuer-unusable', 'limit-reached'] },
    schema: {
      tags, summary: '登记统一身份认证', operationId: 'createIdentityProvider', description: '登记时即读取其发现文档和公钥。此后其 id_token 可在 /oauth/token 换取访问令牌；系统内没有的工号不会自动开户。',
      body: NewProviderSchema, response: { 201: ProviderSchema },
    },
  }, async ({ body, actor }, reply) => {
    const provider = await addProvider({ db, readJson }, body, actor)
    return reply.code(201).header('location', `/v1/identity-providers/${provider.id}`).send(provider)
  })

  app.get('/v1/identity-providers', {
    schema: { tags, summary: '统一身份认证列表', operationId: 'listIdentityProviders', response: { 200: z.strictObject({ data: z.array(ProviderSchema) }) } },
  }, async ({ actor }) => ({ data: await listProviders(db, actor) }))

  app.get('/v1/identity-providers/:id', {
    config: { problems: ['not-found'] }, schema: { tags, summary: '查看统一身份认证', operationId: 'getIdentityProvider', params, response: { 200: ProviderSchema } },
  }, (request) => readProvider(db, request.params.id, request.actor))

  app.post('/v1/identity-providers/:id', {
    config: { problems: ['not-found'] },
    schema: { tags, summary: '修改统一身份认证', operationId: 'updateIdentityProvider', description: '没有写的不变；停用后其令牌在 5 秒内不再可用。', params, body: ProviderChangeSchema, response: { 200: ProviderSchema } },
  }, (request) => changeProvider(db, request.params.id, request.body, request.actor))
}
