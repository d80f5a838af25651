import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { cursor, instant, limit, uuid } from '../../domain/atoms.ts'
import { STEPS, type Step } from '../../domain/machine.ts'
import type { Db } from '../../service/db.ts'
import { listMoved, readOperation } from '../../service/reschedulings.ts'
import { PageSchema, PlaceSchema } from '../request-schema.ts'

const OperationSchema = z
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
  .meta({ id: 'Operation', description: '后台任务' })

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
    config: { scope: null, problems: ['not-found'] },
    schema: { tags: ['数据'], summary: '查看后台任务', operationId: 'getOperation', description: '需要对任务的节点有管理权限（administer）。', params, response: { 200: OperationSchema } },
  }, (request) => readOperation(db, request.params.id, request.actor))

  app.get('/v1/operations/:id/requests', {
    config: { scope: 'requests:read', problems: ['not-found', 'cursor-unusable'] },
    schema: {
      tags: ['数据'], summary: '后台任务改动的点单', operationId: 'listOperationRequests', description: '哪些点单的时限被重算，以及重算后的时限。', params,
      querystring: z.strictObject({ limit, cursor: cursor.optional() }), response: { 200: z.strictObject({ data: z.array(MovedSchema), page: PageSchema }) },
    },
  }, (request) => listMoved(db, request.params.id, request.query, request.actor))
}
