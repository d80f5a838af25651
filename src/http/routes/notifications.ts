import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { cursor, flagQuery, instant, limit, uuid } from '../../domain/atoms.ts'
import type { Actor } from '../../domain/actor.ts'
import { STEPS, type Step } from '../../domain/machine.ts'
import { NOTICE_KINDS, type NoticeKind } from '../../domain/notice.ts'
import { Problem } from '../../domain/problems.ts'
import type { Db } from '../../service/db.ts'
import { countUnread, inbox, markRead } from '../../service/notifications.ts'
import { PageSchema, StateSchema } from '../request-schema.ts'

const NotificationSchema = z
  .strictObject({
    id: uuid.describe('即事件 id'),
    type: z.string().describe('事件类型'),
    kind: z.enum(Object.keys(NOTICE_KINDS) as [NoticeKind, ...NoticeKind[]]).describe(Object.entries(NOTICE_KINDS).map(([kind, zh]) => `${kind} ${zh}`).join('，')),
    title: z.string().describe('单号和事由'),
    todo: z.string().nullable().describe('请您做什么；仅供知悉的为 null'),
    number: z.string(),
    requestId: uuid,
    item: z.string().nullable().describe('服务项目；保密件和调解为 null'),
    node: z.strictObject({ code: z.string(), name: z.string() }).nullable().describe('发生地点；保密件和调解只到社区'),
    state: StateSchema.describe('事件发生后的状态'),
    step: z.enum(Object.keys(STEPS) as [Step, ...Step[]]).nullable().describe('提醒或升级所指的环节'),
    dueAt: instant.nullable().describe('该环节的时限；不涉及环节的为最近的时限'),
    urgent: z.boolean().describe('急件：任何时候都可推送'),
    quietUntil: instant.nullable().describe('免打扰：在此之前不要推送；null 为可以推送'),
    at: instant,
    readAt: instant.nullable(),
    link: z.string().describe('点单的地址'),
  })
  .meta({
    id: 'Notification', description: '通知',
    examples: [{
      id: '0195f2a0-7c1e-7abc-8def-0123456789ab', type: 'request.reminded', kind: 'reminder', title: 'WX20261121-000123 提醒', todo: '请尽快签收', number: 'WX20261121-000123',
      requestId: '0195f2a0-7c1e-7abc-8def-0123456789ab', item: '楼道灯维修', node: { code: 'YQHF-03', name: '3号楼' }, state: 'dispatched', step: 'sign', dueAt: '2026-11-23T10:00:00Z',
      urgent: false, quietUntil: null, at: '2026-11-23T06:00:00Z', readAt: null, link: '/v1/requests/0195f2a0-7c1e-7abc-8def-0123456789ab',
    }],
  })

const UnreadSchema = z.strictObject({ unread: z.int().describe('还有多少条未读') }).meta({ id: 'Unread', description: '未读' })
const InboxSchema = z.strictObject({ data: z.array(NotificationSchema), page: PageSchema, unread: z.int().describe('一共多少条未读') })

/** An app has no inbox. */
function personOf(actor: Actor): string {
  if (actor.kind !== 'person') throw new Problem('forbidden')
  return actor.id
}

export const notificationRoutes = ({ db }: { db: Db }): FastifyPluginAsyncZod => async (app) => {
  app.get('/v1/me/notifications', {
    config: { audience: 'staff', problems: ['cursor-unusable'] },
    schema: {
      tags: ['我的'], summary: '我的通知', operationId: 'listMyNotifications', description: '派单、到期提醒、升级督办等，最新的在前。不含个人信息，详情请打开点单。',
      querystring: z.strictObject({ unread: flagQuery.optional().describe('true：只看未读'), limit, cursor: cursor.optional() }),
      response: { 200: InboxSchema },
    },
  }, async ({ query, actor }) => {
    if (actor.kind !== 'person') return { data: [], page: { nextCursor: null, hasMore: false }, unread: 0 }
    const [page, unread] = await Promise.all([inbox(db, actor.id, query), countUnread(db, actor.id)])
    return { ...page, unread }
  })

  app.post('/v1/me/notifications/:id/read', {
    config: { audience: 'staff', problems: ['not-found'] },
    schema: {
      tags: ['我的'], summary: '标为已读', operationId: 'readMyNotification', params: z.strictObject({ id: uuid.describe('通知 id') }), response: { 200: UnreadSchema },
    },
  }, async ({ params, actor }) => ({ unread: await markRead(db, personOf(actor), params.id) }))

  app.post('/v1/me/notifications/read', {
    config: { audience: 'staff', problems: ['not-found'] },
    schema: {
      tags: ['我的'], summary: '全部标为已读', operationId: 'readMyNotifications', description: '把这一条和比它早的都标为已读；之后到的不受影响。',
      body: z.strictObject({ upTo: uuid.describe('通知 id，一般是看到的最新一条') }).meta({ id: 'ReadUpTo', examples: [{ upTo: '0195f2a0-7c1e-7abc-8def-0123456789ab' }] }), response: { 200: UnreadSchema },
    },
  }, async ({ body, actor }) => ({ unread: await markRead(db, personOf(actor), body.upTo, { andOlder: true }) }))
}
