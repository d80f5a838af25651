import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { cursor, limit, listQuery } from '../../domain/atoms.ts'
import { QUEUES, QUEUE_NAMES, type Queue } from '../../domain/queues.ts'
import type { Db } from '../../service/db.ts'
import { digest } from '../../service/digest.ts'
import { list } from '../../service/list.ts'
import { countQueues, listQueue } from '../../service/queues.ts'
import { PageSchema, RequestSchema, StateSchema } from '../request-schema.ts'

const names = Object.entries(QUEUES).map(([name, zh]) => `${name} ${zh}`).join('，')
const QueueName = z.enum(QUEUE_NAMES as [Queue, ...Queue[]]).describe(names)
const PageOfRequests = z.strictObject({ data: z.array(RequestSchema), page: PageSchema })

const QueuesSchema = z.strictObject({
  data: z.array(z.strictObject({ queue: QueueName, name: z.string(), count: z.int(), more: z.boolean().describe('不止这么多（数到 100 为止）') })),
}).meta({ id: 'Queues', description: '我的待办：每一类几件' })

/** 我的待办: what waits for the one who asks. */
export const myWorkRoutes = ({ db }: { db: Db }): FastifyPluginAsyncZod => async (app) => {
  app.get('/v1/me/assignments', {
    config: { audience: 'staff', problems: ['cursor-unusable'] },
    schema: {
      tags: ['我的'], summary: '派给我的点单', operationId: 'listMyAssignments', description: '我本人或我所在组织正在承办、协办的，新的在前。',
      querystring: z.strictObject({ state: listQuery(StateSchema).optional().describe('状态，多个用逗号分隔'), limit, cursor: cursor.optional() }),
      response: { 200: PageOfRequests },
    },
  }, ({ query, actor }) => (actor.kind === 'person' ? list(db, { ...query, mine: ['assigned', 'organisation'] }, actor) : { data: [], page: { nextCursor: null, hasMore: false } }))

  app.get('/v1/me/queues', {
    config: { audience: 'staff' },
    schema: {
      tags: ['我的'], summary: '我的待办', operationId: 'listMyQueues',
      description: '一次回答每一类有几件。每一步归最近的在岗人：本节点没有的归上级，有人替班的归替班的人。', response: { 200: QueuesSchema },
    },
  }, async ({ actor }) => {
    const counts = await countQueues(db, actor)
    return { data: QUEUE_NAMES.map((queue) => ({ queue, name: QUEUES[queue], ...counts[queue] })) }
  })

  app.get('/v1/me/queues/:queue', {
    config: { audience: 'staff', problems: ['cursor-unusable'] },
    schema: {
      tags: ['我的'], summary: '一类待办', operationId: 'listMyQueue', description: '新的在前。',
      params: z.strictObject({ queue: QueueName }), querystring: z.strictObject({ limit, cursor: cursor.optional() }), response: { 200: PageOfRequests },
    },
  }, ({ params, query, actor }) => listQueue(db, params.queue, query, actor))

  app.get('/v1/me/digest', {
    config: { audience: 'staff' },
    schema: {
      tags: ['我的'], summary: '今日待办文字', operationId: 'getMyDigest', description: '可直接粘贴到微信群的文字：单号、服务、地点、到期时间，不含个人信息。',
      produces: ['text/plain'], response: { 200: z.string().describe('纯文本') },
    },
  }, async ({ actor }, reply) => reply.type('text/plain; charset=utf-8').serializer(String).send(await digest(db, actor)))
}
