import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { cursor, instant, limit, uuid } from '../../domain/atoms.ts'
import { STEPS, type Step } from '../../domain/machine.ts'
import type { Db } from '../../service/db.ts'
import { findOperation } from '../../service/operations.ts'
import { listMoved, readOperation } from '../../service/reschedulings.ts'
import { PageSchema, PlaceSchema } from '../request-schema.ts'

const ReschedulingSchema = z
  .strictObject({
    id: uuid,
    kind: z.literal('rescheduling').describe('重算时限'),
    reason: z.enum(['calendar', 'policy']).describe('calendar 日历变更或公布，policy 时限规则变更'),
    node: PlaceSchema.describe('本节点及以下的点单'),
    state: z.enum(['waiting', 'running', 'done']).describe('waiting 等待（约 15 秒后开始），running 进行中，done 完成'),
    seen: z.int().describe('查看过的点单数'),
    moved: z.int().describe('时限有变的点单数'),
    failed: z.int().describe('因故障未能重算的点单数'),
    createdAt: instant,
    endedAt: instant.nullable(),
  })
  .meta({ id: 'ReschedulingOperation', title: '重算时限', description: '重算时限的任务' })

const StartedSchema = z
  .strictObject({
    id: uuid,
    kind: z.string().describe('bulk 批量办理，import 导入'),
    state: z.enum(['waiting', 'running', 'done', 'failed']).describe('waiting 等待，running 进行中，done 完成，failed 中止'),
    done: z.int().describe('处理过的件数'),
    failed: z.int().describe('其中未办成的'),
    total: z.int().nullable().describe('一共多少件'),
    errors: z.array(z.strictObject({ at: z.string().describe('哪一件；整个任务的为空'), code: z.string().describe('问题代码，见 /problems/{code}'), message: z.string().optional().describe('原因，如导入的“第3行 C列：……”') })).describe('未办成的，最多一千件'),
    result: z.string().nullable().describe('结果的地址'),
    createdAt: instant,
    endedAt: instant.nullable(),
  })
  .meta({ id: 'StartedOperation', title: '本人启动', description: '本人启动的任务' })

const OperationSchema = z.union([ReschedulingSchema, StartedSchema])

const MovedSchema = z
  .strictObject({
    id: uuid.describe('点单 id'),
    number: z.string(),
    seq: z.int().describe('属于办理经过的哪一步'),
    at: instant,
    deadlines: z.array(z.strictObject({ step: z.enum(Object.keys(STEPS) as [Step, ...Step[]]), dueAt: instant, provisional: z.boolean() })).describe('重算后的时限'),
  })
  .meta({ id: 'RescheduledRequest', description: '时限有变的点单' })

const params = z.strictObject({ id: uuid })

/** 后台任务: what was started and takes a while. */
export const operationRoutes = ({ db }: { db: Db }): FastifyPluginAsyncZod => async (app) => {
  app.get('/v1/operations/:id', {
    config: { problems: ['not-found'] },
    schema: { tags: ['数据'], summary: '查看后台任务', operationId: 'getOperation', description: '自己启动的任务；重算时限的任务需要对其节点有管理权限（administer）。', params, response: { 200: OperationSchema } },
  }, async (request) => (await findOperation(db, request.params.id, request.actor)) ?? readOperation(db, request.params.id, request.actor))

  app.get('/v1/operations/:id/requests', {
    config: { problems: ['not-found', 'cursor-unusable'] },
    schema: {
      tags: ['数据'], summary: '后台任务改动的点单', operationId: 'listOperationRequests', description: '哪些点单的时限被重算，以及重算后的时限。', params,
      querystring: z.strictObject({ limit, cursor: cursor.optional() }), response: { 200: z.strictObject({ data: z.array(MovedSchema), page: PageSchema }) },
    },
  }, (request) => listMoved(db, request.params.id, request.query, request.actor))
}
