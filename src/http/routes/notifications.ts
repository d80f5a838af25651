import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { cursor, instant, limit, uuid } from '../../domain/atoms.ts'
import type { Db } from '../../service/db.ts'
import { inbox } from '../../service/notifications.ts'
import { PageSchema, StateSchema } from '../request-schema.ts'

const NotificationSchema = z
  .strictObject({ id: uuid, type: z.string(), title: z.string().describe('单号和事由'), number: z.string(), requestId: uuid, state: StateSchema, at: instant, readAt: instant.nullable() })
  .meta({ id: 'Notification', description: '通知' })

export const notificationRoutes = ({ db }: { db: Db }): FastifyPluginAsyncZod => async (app) => {
  app.get('/v1/me/notifications', {
    config: { audience: 'staff', scope: 'requests:read', problems: ['cursor-unusable'] },
    schema: {
      tags: ['我的'], summary: '我的通知', operationId: 'listMyNotifications', description: '派单、到期提醒、升级督办等，最新的在前。',
      querystring: z.strictObject({ limit, cursor: cursor.optional() }),
      response: { 200: z.strictObject({ data: z.array(NotificationSchema), page: PageSchema }) },
    },
  }, async ({ query, actor }) => (actor.kind === 'person' ? inbox(db, actor.id, query) : { data: [], page: { nextCursor: null, hasMore: false } }))
}
