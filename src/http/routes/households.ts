import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { code, cursor, flagQuery, instant, limit, uuid } from '../../domain/atoms.ts'
import { door } from '../../domain/visits.ts'
import type { Db } from '../../service/db.ts'
import { createHouseholds, linkHouseholds, listHouseholds, readHousehold } from '../../service/households.ts'
import type { Keyring } from '../../service/keyring.ts'
import { PageSchema, PlaceSchema } from '../request-schema.ts'

const ID = '0195f2a0-7c1e-7abc-8def-0123456789ab'
const ref = z.union([uuid, code])

const HouseholdSchema = z
  .strictObject({
    id: uuid,
    node: PlaceSchema,
    door: z.string().nullable().describe('门牌号；只有负责走访的人和联系人看得到，其他人看到 ***'),
    links: z.array(z.strictObject({ person: uuid, since: instant })).describe('1+N：联系这一户的人'),
    visitedAt: instant.nullable().describe('最近一次见到或被谢绝的走访'),
    dueAt: instant.describe('应走访的时间；没有走访过的，登记之日起即应走访'),
  })
  .meta({
    id: 'Household', description: '户：单元或楼栋下的一扇门，不带姓名',
    examples: [{ id: ID, node: { id: ID, code: 'YQHF-03-1', name: '1单元' }, door: '502', links: [{ person: ID, since: '2026-11-01T01:00:00.000Z' }], visitedAt: null, dueAt: '2026-11-01T01:00:00.000Z' }],
  })

const NewHouseholdsSchema = z
  .strictObject({ households: z.array(z.strictObject({ node: ref.describe('单元或楼栋：节点 id 或代码'), door })).min(1).max(1_000) })
  .meta({ id: 'NewHouseholds', examples: [{ households: [{ node: 'YQHF-03-1', door: '501' }, { node: 'YQHF-03-1', door: '502' }] }] })

const LinkSchema = z
  .strictObject({ person: ref.describe('人员 id 或工号'), households: z.array(uuid).min(1).max(500).describe('住户 id') })
  .meta({ id: 'HouseholdLinks', examples: [{ person: 'YQ0013', households: [ID] }] })

const ChangedSchema = z.strictObject({ changed: z.int().describe('由此改变的户数') })
const tags = ['网格']

/** 住户: doors without names, and who looks after which. */
export const householdRoutes = ({ db, keyring }: { db: Db; keyring: Keyring }): FastifyPluginAsyncZod => async (app) => {
  app.post('/v1/households', {
    bodyLimit: 1_048_576,
    config: { audience: 'staff', problems: ['node-unknown'] },
    schema: {
      tags, summary: '登记住户', operationId: 'createHouseholds', description: '一次至多 1000 户，全部登记或一户也不登记；已有的门牌保持原样，可以重发。门牌加密保存。',
      body: NewHouseholdsSchema, response: { 200: z.strictObject({ data: z.array(z.strictObject({ id: uuid, created: z.boolean().describe('false：原来就有') })).describe('与请求的先后相同') }) },
    },
  }, async ({ body, actor }) => ({ data: await createHouseholds(db, keyring, body.households, actor) }))

  app.get('/v1/households', {
    config: { audience: 'staff', problems: ['not-found', 'cursor-unusable'] },
    schema: {
      tags, summary: '住户列表', operationId: 'listHouseholds', description: '新登记的在前；due=true 为走访计划：只列应走访的，拖得最久的在前。工作人员看到辖区内的，其他人看到自己联系的。',
      querystring: z.strictObject({
        node: ref.optional().describe('节点 id 或代码，含下级').meta({ examples: ['YQHF'] }), person: ref.optional().describe('只看由此人联系的：人员 id 或工号'),
        due: flagQuery.optional().describe('只看应走访的'), limit, cursor: cursor.optional(),
      }),
      response: { 200: z.strictObject({ data: z.array(HouseholdSchema), page: PageSchema }) },
    },
  }, ({ query, actor }) => listHouseholds(db, keyring, query, actor))

  app.get('/v1/households/:id', {
    config: { audience: 'staff', problems: ['not-found'] },
    schema: { tags, summary: '查看住户', operationId: 'getHousehold', params: z.strictObject({ id: uuid }), response: { 200: HouseholdSchema } },
  }, ({ params, actor }) => readHousehold(db, keyring, params.id, actor))

  app.post('/v1/households/links', {
    config: { audience: 'staff', problems: ['not-found', 'person-unknown'] },
    schema: { tags, summary: '指定联系人', operationId: 'linkHouseholds', description: '1+N：由此人联系这些户。已经是的不变。', body: LinkSchema, response: { 200: ChangedSchema } },
  }, async ({ body, actor }) => ({ changed: await linkHouseholds(db, body.households, body.person, true, actor) }))

  app.post('/v1/households/links/end', {
    config: { audience: 'staff', problems: ['not-found', 'person-unknown'] },
    schema: { tags, summary: '取消联系人', operationId: 'unlinkHouseholds', body: LinkSchema, response: { 200: ChangedSchema } },
  }, async ({ body, actor }) => ({ changed: await linkHouseholds(db, body.households, body.person, false, actor) }))
}
