import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { code, cursor, flagQuery, instant, limit, text, uuid } from '../../domain/atoms.ts'
import { CAPABILITIES } from '../../domain/machine.ts'
import { says } from '../../domain/problems.ts'
import { appoint, setStandIn } from '../../service/appointments.ts'
import type { Db } from '../../service/db.ts'
import { endDuty, listDuties, readDuty } from '../../service/duties.ts'
import type { Keyring } from '../../service/keyring.ts'
import { listRoles, putRole } from '../../service/roles.ts'
import { PageSchema, PlaceSchema } from '../request-schema.ts'

const ref = z.union([uuid, code])
const EXAMPLE_ID = '0195f2a0-7c1e-7abc-8def-0123456789ab'

const RoleSchema = z
  .strictObject({ code: z.string(), name: z.string(), capabilities: z.array(z.enum(CAPABILITIES)).describe('所授予的权限') })
  .meta({ id: 'Role', description: '职责类型', examples: [{ code: 'building_head', name: '楼栋长', capabilities: ['view', 'file_for', 'dispatch', 'handle', 'supervise'] }] })

const SomeoneSchema = z.strictObject({ id: uuid, login: z.string().nullable(), name: z.string().nullable().describe('脱敏的姓名') }).meta({ id: 'Someone', description: '某人' })
const OrganisationRefSchema = z.strictObject({ id: uuid, code: z.string(), name: z.string() }).meta({ id: 'OrganisationRef', description: '组织' })

const DutySchema = z
  .strictObject({
    id: uuid,
    role: RoleSchema,
    person: SomeoneSchema,
    node: PlaceSchema.describe('任职的地点，或组织所在的地点'),
    organisation: OrganisationRefSchema.nullable().describe('在组织内任职时'),
    standIn: z.strictObject({ person: SomeoneSchema, from: instant.nullable(), to: instant.nullable() }).nullable().describe('替班：起止为 null 时随职责起止'),
    secondedFrom: OrganisationRefSchema.nullable().describe('下沉干部的派出单位'),
    from: instant,
    to: instant.nullable().describe('卸任时间（不含）；null 为未定'),
  })
  .meta({
    id: 'Duty', description: '职责',
    examples: [{
      id: EXAMPLE_ID, role: { code: 'building_head', name: '楼栋长', capabilities: ['view', 'file_for', 'dispatch', 'handle', 'supervise'] },
      person: { id: EXAMPLE_ID, login: 'YQ0013', name: '胡**' }, node: { id: EXAMPLE_ID, code: 'YQHF-01', name: '1号楼' }, organisation: null,
      standIn: { person: { id: EXAMPLE_ID, login: 'YQ0014', name: '朱**' }, from: '2027-02-05T16:00:00.000Z', to: '2027-02-13T16:00:00.000Z' },
      secondedFrom: null, from: '2026-11-21T01:00:00.000Z', to: null,
    }],
  })

const StandInSchema = z
  .strictObject({ person: ref.describe('替班人：id 或工号'), from: instant.optional(), to: instant.optional() })
  .meta({ id: 'StandIn', description: '替班：请假、节假日值班', examples: [{ person: 'YQ0014', from: '2027-02-06T00:00:00+08:00', to: '2027-02-14T00:00:00+08:00' }] })

const EITHER = says('node 和 organisation 填写其一', 'Give either node or organisation')
const NewDutySchema = z
  .strictObject({
    person: ref.describe('人员 id 或工号'),
    role: code.describe('职责类型，见 GET /v1/roles'),
    node: ref.optional().describe('在哪里任职：节点 id 或代码'),
    organisation: ref.optional().describe('在哪个组织内任职：id 或代码；与 node 填写其一'),
    from: instant.optional().describe('缺省为现在'),
    to: instant.optional().describe('缺省为未定'),
    standIn: StandInSchema.optional(),
    secondedFrom: ref.optional().describe('下沉干部的派出单位：组织 id 或代码'),
  })
  .refine(({ node, organisation }) => (node === undefined) !== (organisation === undefined), { path: ['node'], params: EITHER })
  .meta({ id: 'NewDuty', examples: [{ person: 'YQ0013', role: 'building_head', node: 'YQHF-02' }] })

const params = z.strictObject({ id: uuid.describe('职责 id') })
const tags = ['职责']

/** 职责: who holds what where. An administrator gives duties at his node and below, and nowhere else. */
export const dutyRoutes = ({ db, keyring }: { db: Db; keyring: Keyring }): FastifyPluginAsyncZod => async (app) => {
  app.get('/v1/roles', {
    config: { audience: 'staff' },
    schema: { tags, summary: '职责类型', operationId: 'listRoles', description: '本租户的全部职责类型和它们授予的权限。', response: { 200: z.strictObject({ data: z.array(RoleSchema) }) } },
  }, async () => ({ data: await listRoles(db) }))

  app.put('/v1/roles/:code', {
    config: { problems: ['admins-separate'] },
    schema: {
      tags, summary: '规定职责类型', operationId: 'putRole',
      description: '新建一种职责，或改变它授予的权限：现任者随即生效（其他进程两秒内）。须对整个租户有 administer 或 secure 权限；不能使整个租户无人有此权限。',
      params: z.strictObject({ code: code.describe('职责类型代码').meta({ examples: ['building_head'] }) }),
      body: z.strictObject({ name: text({ max: 30 }), capabilities: z.array(z.enum(CAPABILITIES)).max(CAPABILITIES.length).describe('所授予的权限；空列表为只挂名') })
        .meta({ id: 'NewRole', examples: [{ name: '楼栋长', capabilities: ['view', 'file_for', 'dispatch', 'handle', 'supervise'] }] }),
      response: { 200: RoleSchema, 201: RoleSchema },
    },
  }, async ({ params: { code: role }, body, actor }, reply) => {
    const { role: written, isNew } = await putRole(db, { ...body, code: role }, actor)
    return reply.code(isNew ? 201 : 200).send(written)
  })

  app.post('/v1/duties', {
    config: { problems: ['node-unknown', 'organisation-unknown', 'role-unknown', 'person-unknown', 'duty-held', 'admins-separate'] },
    schema: {
      tags, summary: '授予职责', operationId: 'createDuty', description: '须对该节点（或组织所在节点）有管理权限：只能授予本节点及以下的职责，不能授予上级和旁系的。',
      body: NewDutySchema, response: { 201: DutySchema },
    },
  }, async ({ body, actor }, reply) => {
    const duty = await appoint(db, keyring, body, actor)
    reply.code(201).header('location', `/v1/duties/${duty.id}`)
    return duty
  })

  app.get('/v1/duties', {
    config: { audience: 'staff', problems: ['not-found', 'cursor-unusable'] },
    schema: {
      tags, summary: '职责列表', operationId: 'listDuties', description: '现任的和将任的，新的在前。工作人员看到辖区内的，其他人看到自己的。',
      querystring: z.strictObject({
        node: ref.optional().describe('节点 id 或代码，含下级').meta({ examples: ['YQHF'] }),
        person: ref.optional().describe('人员 id 或工号'),
        organisation: ref.optional().describe('组织 id 或代码'),
        role: code.optional().describe('职责类型').meta({ examples: ['building_head'] }),
        ended: flagQuery.optional().describe('也包括已卸任的'),
        limit,
        cursor: cursor.optional(),
      }),
      response: { 200: z.strictObject({ data: z.array(DutySchema), page: PageSchema }) },
    },
  }, ({ query, actor }) => listDuties(db, keyring, query, actor))

  app.get('/v1/duties/:id', {
    config: { audience: 'staff', problems: ['not-found'] },
    schema: { tags, summary: '查看职责', operationId: 'getDuty', params, response: { 200: DutySchema } },
  }, (request) => readDuty(db, keyring, request.params.id, request.actor))

  app.post('/v1/duties/:id/end', {
    config: { problems: ['not-found'] },
    schema: {
      tags, summary: '卸任', operationId: 'endDuty', description: '缺省即时生效；在本进程立即生效，在其他进程两秒内生效。', params,
      body: z.strictObject({ at: instant.optional().describe('何时卸任，不能早于现在') }).meta({ id: 'EndDutyBody', examples: [{ at: '2026-12-31T16:00:00Z' }] }).nullish(),
      response: { 200: DutySchema },
    },
  }, (request) => endDuty(db, keyring, request.params.id, request.body?.at, request.actor))

  app.post('/v1/duties/:id/stand-in', {
    config: { problems: ['not-found', 'duty-ended', 'person-unknown', 'admins-separate'] },
    schema: { tags, summary: '安排替班', operationId: 'setStandIn', description: '替班期间由替班人行使职责、接收提醒，原任职人仍可办理。', params, body: StandInSchema, response: { 200: DutySchema } },
  }, (request) => setStandIn(db, keyring, request.params.id, request.body, request.actor))

  app.post('/v1/duties/:id/stand-in/end', {
    config: { problems: ['not-found', 'duty-ended'] },
    schema: { tags, summary: '结束替班', operationId: 'endStandIn', params, response: { 200: DutySchema } },
  }, (request) => setStandIn(db, keyring, request.params.id, null, request.actor))
}
