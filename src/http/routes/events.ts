import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { code, cursor, instant, limit, listQuery, uuid } from '../../domain/atoms.ts'
import { EVENT_TYPES } from '../../domain/derive.ts'
import type { Db } from '../../service/db.ts'
import { feed } from '../../service/events.ts'
import { PageSchema, StateSchema } from '../request-schema.ts'

const TYPES = EVENT_TYPES.map(({ type }) => type) as [string, ...string[]]

export const EventSchema = z
  .strictObject({
    id: uuid.describe('事件 id，重复送达时不变'),
    type: z.string().meta({ description: `事件类型：${EVENT_TYPES.map(({ type, zh }) => `${type} ${zh}`).join('，')}`, 'x-extensible-enum': TYPES }),
    occurredAt: instant,
    requestId: uuid,
    seq: z.int().describe('同一点单内连续编号，可据此发现缺漏'),
    number: z.string(),
    kind: z.string(),
    item: z.string().describe('服务菜单代码'),
    from: z.string().nullable(),
    state: StateSchema,
    version: z.int(),
    cycle: z.int(),
    node: z.string().nullable().describe('节点代码；保密件只到社区'),
    links: z.strictObject({ request: z.string() }),
  })
  .meta({ id: 'Event', description: '事件：只有编号和代码，没有任何个人信息' })

export const eventRoutes = ({ db }: { db: Db }): FastifyPluginAsyncZod => async (app) => {
  app.get('/v1/events', {
    config: { problems: ['not-found', 'cursor-unusable'] },
    schema: {
      tags: ['事件'], summary: '事件流', operationId: 'listEvents',
      description: '完整、有序、可从头读取的事件流。每页都有 `nextCursor`，最后一页也有：存下来，下次从那里继续。`after=latest` 从现在开始。一页只查看有限的事件：按 `types` 或 `node` 筛选时，可能一件也没有而 `hasMore` 为 true，照样用 `nextCursor` 继续读。',
      querystring: z.strictObject({
        after: z.union([z.literal('latest'), cursor]).optional().describe('上一页的 page.nextCursor，或 latest；缺省从头开始'),
        types: listQuery(z.enum(TYPES)).optional().describe('只要这些类型，逗号分隔'),
        node: z.union([uuid, code]).optional().describe('节点 id 或代码，含下级'),
        limit,
      }),
      response: { 200: z.strictObject({ data: z.array(EventSchema), page: PageSchema }) },
    },
  }, async ({ query, actor }) => feed(db, query, actor))
}
