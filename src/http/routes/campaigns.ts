import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { code, cursor, flagQuery, instant, int4, limit, text, uuid } from '../../domain/atoms.ts'
import { says } from '../../domain/problems.ts'
import { listSignUps, signUp, withdraw } from '../../service/campaign-sign-ups.ts'
import { createCampaign, listCampaigns, readCampaign, updateCampaign } from '../../service/campaigns.ts'
import type { Db } from '../../service/db.ts'
import type { Keyring } from '../../service/keyring.ts'
import { PageSchema, PlaceSchema } from '../request-schema.ts'

const ref = z.union([uuid, code])
const EXAMPLE_ID = '0195f2a0-7c1e-7abc-8def-0123456789ab'
const Target = z.int().nullable()

const CampaignSchema = z
  .strictObject({
    id: uuid, code: z.string().describe('点单时写入 campaign'), name: z.string(), node: PlaceSchema,
    items: z.array(z.string()).describe('含哪些服务项目；空列表为全部'),
    from: instant, to: instant.describe('结束时间（不含）'),
    targets: z.strictObject({ filed: Target, completed: Target, beneficiaries: Target }).describe('目标：点单、办结、受益人数；没有定的为 null'),
    progress: z.strictObject({ filed: z.int(), completed: z.int(), beneficiaries: z.int() }).describe('进度，不含已撤单的'),
    capacity: z.int().nullable().describe('招募人数；null 为不限'), signedUp: z.int().describe('已报名'), isSignedUp: z.boolean().describe('调用者已报名'),
  })
  .meta({
    id: 'Campaign', description: '专项行动',
    examples: [{
      id: EXAMPLE_ID, code: 'WINTER-2026', name: '温暖过冬', node: { id: EXAMPLE_ID, code: 'YQHF', name: '银雀华府' }, items: ['small-gift', 'small-repair'],
      from: '2026-11-01T00:00:00.000Z', to: '2027-02-28T16:00:00.000Z', targets: { filed: null, completed: 40, beneficiaries: 60 }, progress: { filed: 23, completed: 17, beneficiaries: 30 },
      capacity: 20, signedUp: 9, isSignedUp: false,
    }],
  })

const target = int4({ min: 0 }).nullable().optional()
const capacity = int4({ min: 0, max: 100_000 }).nullable().describe('招募多少志愿者；null 为不限')
const NewCampaignSchema = z
  .strictObject({
    node: ref.describe('在哪里：节点 id 或代码'), code, name: text({ max: 60 }),
    items: z.array(code).max(50).default([]).describe('含哪些服务项目；不写为全部'),
    from: instant, to: instant.describe('结束时间（不含）'),
    targets: z.strictObject({ filed: target, completed: target, beneficiaries: target }).optional().describe('目标'),
    capacity: capacity.optional(),
  })
  .refine(({ from, to }) => from < to, { params: says('须晚于开始时间', 'Must be after the beginning'), path: ['to'] })
  .meta({ id: 'NewCampaign', examples: [{ node: 'YQHF', code: 'WINTER-2027', name: '温暖过冬', items: ['small-gift'], from: '2027-11-01T00:00:00+08:00', to: '2028-03-01T00:00:00+08:00', targets: { completed: 40 }, capacity: 20 }] })
const CampaignChangeSchema = z.strictObject({ name: text({ max: 60 }).optional(), to: instant.optional().describe('提前或推迟结束'), capacity: capacity.optional().describe('不能少于已报名的人数') })
  .meta({ id: 'CampaignChange', examples: [{ capacity: 30 }] })

const HelperSchema = z.strictObject({ person: z.strictObject({ id: uuid, name: z.string().nullable().describe('脱敏的姓名') }), signedUpAt: instant }).meta({ id: 'CampaignSignUp', description: '报名' })

const params = z.strictObject({ id: ref.describe('专项行动 id 或代码').meta({ examples: ['WINTER-2026'] }) })
const tags = ['走访与活动']

/** 专项行动 and its helpers. Activities are requests, with a sign-up of their own. */
export const campaignRoutes = ({ db, keyring }: { db: Db; keyring: Keyring }): FastifyPluginAsyncZod => async (app) => {
  app.get('/v1/campaigns', {
    config: { problems: ['not-found', 'cursor-unusable'] },
    schema: {
      tags, summary: '专项行动列表', operationId: 'listCampaigns', description: '新的在前，带目标和进度。',
      querystring: z.strictObject({
        node: ref.optional().describe('节点 id 或代码，含下级').meta({ examples: ['YQHF'] }), open: flagQuery.optional().describe('true 只看进行中的，false 只看其余的'), limit, cursor: cursor.optional(),
      }),
      response: { 200: z.strictObject({ data: z.array(CampaignSchema), page: PageSchema }) },
    },
  }, ({ query, actor }) => listCampaigns(db, query, actor))

  app.get('/v1/campaigns/:id', {
    config: { problems: ['not-found'] },
    schema: { tags, summary: '查看专项行动', operationId: 'getCampaign', params, response: { 200: CampaignSchema } },
  }, (request) => readCampaign(db, request.params.id, request.actor))

  app.post('/v1/campaigns', {
    config: { problems: ['node-unknown', 'item-unknown'] },
    schema: { tags, summary: '发起专项行动', operationId: 'createCampaign', body: NewCampaignSchema, response: { 201: CampaignSchema } },
  }, async ({ body, actor }, reply) => {
    const campaign = await createCampaign(db, body, actor)
    reply.code(201).header('location', `/v1/campaigns/${campaign.id}`)
    return campaign
  })

  app.post('/v1/campaigns/:id', {
    config: { problems: ['not-found'] },
    schema: { tags, summary: '变更专项行动', operationId: 'updateCampaign', description: '没有写的不变。', params, body: CampaignChangeSchema, response: { 200: CampaignSchema } },
  }, (request) => updateCampaign(db, request.params.id, request.body, request.actor))

  app.post('/v1/campaigns/:id/sign-up', {
    config: { problems: ['not-found', 'not-verified', 'slots-taken', 'campaign-closed'] },
    schema: { tags, summary: '报名专项行动', operationId: 'signUpForCampaign', description: '经核实的党员、志愿者等可以报名；重复报名不重复计数。', params, response: { 200: CampaignSchema } },
  }, (request) => signUp(db, request.params.id, request.actor))

  app.post('/v1/campaigns/:id/withdraw', {
    config: { problems: ['not-found'] },
    schema: { tags, summary: '取消报名', operationId: 'withdrawFromCampaign', description: '名额随即空出。', params, response: { 200: CampaignSchema } },
  }, (request) => withdraw(db, request.params.id, request.actor))

  app.get('/v1/campaigns/:id/sign-ups', {
    config: { problems: ['not-found', 'cursor-unusable'] },
    schema: {
      tags, summary: '报名名单', operationId: 'listCampaignSignUps', description: '姓名脱敏。', params, querystring: z.strictObject({ limit, cursor: cursor.optional() }),
      response: { 200: z.strictObject({ data: z.array(HelperSchema), page: PageSchema }) },
    },
  }, (request) => listSignUps(db, keyring, request.params.id, request.query, request.actor))
}
