import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { code, cursor, flagQuery, limit, otherwise, text } from '../../domain/atoms.ts'
import { formSchema } from '../../domain/form.ts'
import { says } from '../../domain/problems.ts'
import { GRADES, KINDS } from '../../domain/request.ts'
import type { Db } from '../../service/db.ts'
import { listItems, putItem, readItem } from '../../service/items.ts'
import { PageSchema } from '../request-schema.ts'

const MODES = ['pool', 'dispatch'] as const
const modeWords = 'pool 上墙认领，dispatch 派单'

const ItemSchema = z
  .strictObject({
    code: z.string().describe('点单时的 item'),
    name: z.string(),
    kind: z.enum(KINDS),
    mode: z.enum(MODES).describe(`通常的办法：${modeWords}`),
    category: z.string().describe('分类'),
    wall: z.boolean().describe('可以上墙'),
    policy: z.string().describe('时限规则代码'),
    grade: z.enum(GRADES).nullable().describe('通常的分级'),
    gradePolicies: z.partialRecord(z.enum(GRADES), z.string()).describe('某一分级改用的时限规则'),
    proof: z.boolean().describe('办结须附照片或材料'),
    skills: z.array(z.string()).describe('所需技能的代码，见 GET /v1/skills'),
    form: z.looseObject({}).nullable().describe('表单：点单时在 form 中填写；JSON Schema（2020-12），字段的先后见 x-order'),
    review: z.boolean().describe('须审核：不自动受理，进入 to_examine 待审核'),
    version: z.int().describe('版本；已点的单保持点单时的版本'),
  })
  .meta({
    id: 'Item', description: '服务菜单中的一项',
    examples: [{ code: 'corridor-light', name: '楼道灯维修', kind: 'service', mode: 'dispatch', category: '设施维修', wall: false, policy: 'auto', grade: null, gradePolicies: { urgent: 'urgent' }, proof: false, skills: ['electrics'], form: null, review: false, version: 1 }],
  })

const NewItemSchema = z.strictObject({
  code: code.refine((value) => /[A-Za-z]/.test(value), otherwise(says('至少含一个字母', 'At least one letter'))).describe('已有的代码：发布新版本'),
  name: text({ max: 40 }),
  kind: z.enum(KINDS),
  mode: z.enum(MODES).describe(`通常的办法：${modeWords}`),
  category: text({ max: 20 }).describe('分类'),
  wall: z.boolean().default(false).describe('可以上墙'),
  policy: code.describe('时限规则代码'),
  grade: z.enum(GRADES).nullable().default(null).describe('通常的分级'),
  gradePolicies: z.partialRecord(z.enum(GRADES), code).default({}).describe('某一分级改用的时限规则'),
  proof: z.boolean().default(false).describe('办结须附照片或材料'),
  skills: z.array(code).max(20).default([]).describe('所需技能的代码'),
  form: formSchema.nullable().default(null).describe('表单；null 为没有'),
  review: z.boolean().default(false).describe('须审核'),
}).meta({
  id: 'NewItem',
  examples: [{
    code: 'residence-proof', name: '居住证明', kind: 'service', mode: 'dispatch', category: '代办服务', policy: 'standard', review: true,
    form: { type: 'object', additionalProperties: false, required: ['use'], properties: { use: { type: 'string', title: '用途', oneOf: [{ const: 'school', title: '入学' }] } } },
  }],
})

/** 服务菜单: what can be ordered. */
export const itemRoutes = ({ db }: { db: Db }): FastifyPluginAsyncZod => async (app) => {
  app.get('/v1/items', {
    config: { audience: 'staff', problems: ['cursor-unusable'] },
    schema: {
      tags: ['服务菜单'], summary: '服务菜单', operationId: 'listItems', description: '现行版本，按代码排序。',
      querystring: z.strictObject({
        kind: z.enum(KINDS).optional().meta({ examples: ['wish'] }),
        mode: z.enum(MODES).optional().describe(modeWords),
        wall: flagQuery.optional().describe('只看可以（不可以）上墙的'),
        limit,
        cursor: cursor.optional(),
      }),
      response: { 200: z.strictObject({ data: z.array(ItemSchema), page: PageSchema }) },
    },
  }, ({ query }) => listItems(db, query))

  app.get('/v1/items/:code', {
    config: { audience: 'staff', problems: ['not-found'] },
    schema: {
      tags: ['服务菜单'], summary: '查看服务项目', operationId: 'getItem', description: '现行版本，连同表单。',
      params: z.strictObject({ code: code.meta({ examples: ['corridor-light'] }) }), response: { 200: ItemSchema },
    },
  }, async ({ params }) => {
    const { id: _, ...item } = await readItem(db, params.code)
    return item
  })

  app.post('/v1/items', {
    schema: {
      tags: ['服务菜单'], summary: '发布服务项目', operationId: 'createItem', description: '新的服务项目，或已有项目的新版本；已点的单保持点单时的版本。需要对整个租户有管理权限。',
      body: NewItemSchema, response: { 201: ItemSchema },
    },
  }, async ({ body, actor }, reply) => {
    const item = await putItem(db, body, actor)
    return reply.code(201).header('location', `/v1/items/${item.code}`).send(item)
  })
}
