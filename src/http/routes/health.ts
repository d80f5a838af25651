import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { Db } from '../../service/db.ts'
import { readiness } from '../../service/health.ts'

const ReadinessSchema = z
  .strictObject({
    ready: z.boolean(),
    database: z.enum(['up', 'down']),
    migrations: z.enum(['applied', 'pending', 'unknown']),
    worker: z.strictObject({ seenSecondsAgo: z.number(), roundTripSecondsAgo: z.number().nullable() }).nullable().describe('后台进程最近一次的活动'),
  })
  .meta({ id: 'Readiness', description: '就绪情况' })

export const healthRoutes = ({ db }: { db: Db }): FastifyPluginAsyncZod => async (app) => {
  app.get('/healthz', {
    config: { public: true, rateLimit: false },
    schema: { tags: ['运行'], summary: '存活检查', operationId: 'getHealth', description: '进程在运行。', response: { 200: z.strictObject({ status: z.literal('ok') }) } },
  }, async () => ({ status: 'ok' as const }))

  app.get('/readyz', {
    config: { public: true, rateLimit: false },
    schema: { tags: ['运行'], summary: '就绪检查', operationId: 'getReadiness', description: '数据库可用且已迁移，可以接收请求。', response: { 200: ReadinessSchema, 503: ReadinessSchema.describe('尚未就绪') } },
  }, async (_request, reply) => {
    const state = await readiness(db)
    return reply.code(state.ready ? 200 : 503).send(state)
  })
}
