import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { code, uuid } from '../../domain/atoms.ts'
import { quietHoursSchema } from '../../domain/quiet-hours.ts'
import type { Db } from '../../service/db.ts'
import { putQuietHours, readQuietHours } from '../../service/quiet-hours.ts'

const ref = z.union([uuid, code])
const Named = z.strictObject({ id: uuid, code: z.string(), name: z.string() })

const QuietHoursSchema = quietHoursSchema
  .extend({ node: Named.describe('查询的节点'), setAt: Named.nullable().describe('在哪个节点上设置；null 为系统缺省') })
  .meta({ id: 'QuietHours', description: '免打扰时段' })

const NewQuietHoursSchema = quietHoursSchema
  .extend({ node: ref.optional().describe('节点 id 或代码，含下级；缺省为整个租户') })
  .meta({ id: 'NewQuietHours', examples: [{ node: 'YQHF', begins: '21:30', ends: '07:30', workingTimeOnly: false }] })

const Query = z.strictObject({ node: ref.optional().describe('节点 id 或代码；缺省为整个租户').meta({ examples: ['YQHF'] }) })

/** 免打扰: when groups are left alone. */
export const quietHoursRoutes = ({ db }: { db: Db }): FastifyPluginAsyncZod => async (app) => {
  app.get('/v1/quiet-hours', {
    config: { problems: ['node-unknown'] },
    schema: {
      tags: ['机器人'], summary: '查看免打扰时段', operationId: 'getQuietHours',
      description: '节点没有设置的沿用上级，都没有设置的为 21:00–08:00 且只在工作时间发送。急件不受限制。',
      querystring: Query, response: { 200: QuietHoursSchema },
    },
  }, ({ query }) => readQuietHours(db, query.node))

  app.put('/v1/quiet-hours', {
    config: { problems: ['node-unknown'] },
    schema: {
      tags: ['机器人'], summary: '设置免打扰时段', operationId: 'putQuietHours',
      description: '需要对该节点有管理权限（administer）。对此后的消息生效；已在等待的到时再按新的时段判断。',
      body: NewQuietHoursSchema, response: { 200: QuietHoursSchema },
    },
  }, ({ body: { node, ...quiet }, actor }) => putQuietHours(db, node, quiet, actor))

  app.delete('/v1/quiet-hours', {
    config: { problems: ['node-unknown'] },
    schema: {
      tags: ['机器人'], summary: '取消免打扰设置', operationId: 'deleteQuietHours', description: '该节点改为沿用上级的设置。',
      querystring: Query, response: { 200: QuietHoursSchema },
    },
  }, ({ query, actor }) => putQuietHours(db, query.node, null, actor))
}
