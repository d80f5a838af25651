import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { code, cursor, flagQuery, instant, int4, limit, text, uuid } from '../../domain/atoms.ts'
import { says } from '../../domain/problems.ts'
import type { Db } from '../../service/db.ts'
import type { Keyring } from '../../service/keyring.ts'
import { createSkill, declareSkill, endSkill, listHolders, listSkills } from '../../service/skills.ts'
import { PageSchema } from '../request-schema.ts'

const ref = z.union([uuid, code])
const EXAMPLE_ID = '0195f2a0-7c1e-7abc-8def-0123456789ab'

const SkillSchema = z
  .strictObject({ code: z.string(), name: z.string(), holders: z.int().describe('已核验的人数和组织数') })
  .meta({ id: 'Skill', description: '技能', examples: [{ code: 'electrics', name: '水电维修', holders: 4 }] })

const HolderSchema = z
  .strictObject({
    id: uuid,
    skill: z.strictObject({ code: z.string(), name: z.string() }),
    person: z.strictObject({ id: uuid, login: z.string().nullable(), name: z.string().nullable().describe('脱敏的姓名') }).nullable(),
    organisation: z.strictObject({ id: uuid, code: z.string(), name: z.string() }).nullable(),
    level: z.int().describe('1 至 5 级'),
    declaredAt: instant,
    verifiedBy: uuid.nullable(),
    verifiedAt: instant.nullable().describe('核验时间；核验后才参与派单人选排序'),
  })
  .meta({
    id: 'SkillHolder', description: '能人：有这项技能的人或组织',
    examples: [{
      id: EXAMPLE_ID, skill: { code: 'electrics', name: '水电维修' }, person: { id: EXAMPLE_ID, login: 'YQ0025', name: '韩**' }, organisation: null,
      level: 4, declaredAt: '2026-11-21T01:00:00.000Z', verifiedBy: EXAMPLE_ID, verifiedAt: '2026-11-21T01:00:00.000Z',
    }],
  })

const EITHER = says('person 和 organisation 填写其一', 'Give either person or organisation')
const DeclarationSchema = z
  .strictObject({
    person: ref.optional().describe('人员 id 或工号'),
    organisation: ref.optional().describe('组织 id 或代码；与 person 填写其一'),
    level: int4({ min: 1, max: 5 }).describe('1 至 5 级'),
  })
  .refine(({ person, organisation }) => (person === undefined) !== (organisation === undefined), { path: ['person'], params: EITHER })
  .meta({ id: 'SkillDeclaration', examples: [{ person: 'YQ0025', level: 4 }] })

const params = z.strictObject({ code: code.describe('技能代码').meta({ examples: ['electrics'] }) })
const tags = ['技能']

/** 技能: 红色管家技能库 (S2), 楼栋能人 (S3). */
export const skillRoutes = ({ db, keyring }: { db: Db; keyring: Keyring }): FastifyPluginAsyncZod => async (app) => {
  app.get('/v1/skills', {
    config: { audience: 'staff' },
    schema: { tags, summary: '技能库', operationId: 'listSkills', response: { 200: z.strictObject({ data: z.array(SkillSchema) }) } },
  }, async () => ({ data: await listSkills(db) }))

  app.post('/v1/skills', {
    schema: {
      tags, summary: '新建技能', operationId: 'createSkill', description: '须对整个租户有管理权限。',
      body: z.strictObject({ code: code.describe('租户内唯一'), name: text({ max: 30 }) }).meta({ id: 'NewSkill', examples: [{ code: 'electrics', name: '水电维修' }] }),
      response: { 201: SkillSchema },
    },
  }, async ({ body, actor }, reply) => reply.code(201).send(await createSkill(db, body, actor)))

  app.get('/v1/skills/:code/holders', {
    config: { audience: 'staff', problems: ['not-found', 'cursor-unusable'] },
    schema: {
      tags, summary: '能人名单', operationId: 'listSkillHolders', description: '辖区内的人和组织，以及自己；新的在前。', params,
      querystring: z.strictObject({ verified: flagQuery.optional().describe('只看已（未）核验的'), limit, cursor: cursor.optional() }),
      response: { 200: z.strictObject({ data: z.array(HolderSchema), page: PageSchema }) },
    },
  }, (request) => listHolders(db, keyring, request.params.code, request.query, request.actor))

  app.post('/v1/skills/:code/holders', {
    config: { audience: 'staff', problems: ['not-found', 'person-unknown', 'organisation-unknown'] },
    schema: {
      tags, summary: '申报或核验技能', operationId: 'declareSkill',
      description: '本人（或代表该组织的人）申报，待核验；由其所在地有 administer 或 dispatch 权限的他人提交即为核验。同一人同一技能只有一条，再次提交即更新。',
      params, body: DeclarationSchema, response: { 200: HolderSchema },
    },
  }, (request) => declareSkill(db, keyring, request.params.code, request.body, request.actor))

  app.post('/v1/skills/:code/holders/:id/end', {
    config: { audience: 'staff', problems: ['not-found'] },
    schema: { tags, summary: '撤下技能', operationId: 'endSkill', params: params.extend({ id: uuid.describe('能人名单中的 id') }), response: { 204: z.null().describe('已撤下') } },
  }, async (request, reply) => {
    await endSkill(db, request.params.code, request.params.id, request.actor)
    return reply.code(204).send(null)
  })
}
