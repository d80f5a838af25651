import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { code, limit, uuid } from '../../domain/atoms.ts'
import type { Db } from '../../service/db.ts'
import { duplicates, pairs } from '../../service/duplicates.ts'
import { DuplicateSchema, likeness } from '../filed-schema.ts'
import { RequestSchema } from '../request-schema.ts'
import { VERB_EXAMPLES } from '../verb-examples.ts'

const ref = z.union([uuid, code])
const PairSchema = z.strictObject({ lead: RequestSchema.describe('较早的一件，可作主件'), request: RequestSchema, likeness }).meta({ id: 'DuplicatePair', description: '疑似重复的两件' })

/** 疑似重复: proposed for 并案, to who dispatches. */
export const duplicateRoutes = ({ db }: { db: Db }): FastifyPluginAsyncZod => async (app) => {
  app.get('/v1/requests/:id/duplicates', {
    config: { audience: 'staff', problems: ['request-not-found'] },
    schema: {
      tags: ['点单'], summary: '疑似重复', operationId: 'listDuplicates', description: '同一小区、前后一个月内、未结案而说法相近的，最像的在前；需要派单权限。保密件不参与。',
      params: z.strictObject({ id: ref.describe('id 或单号').meta({ examples: [VERB_EXAMPLES.accept.number] }) }),
      response: { 200: z.strictObject({ data: z.array(DuplicateSchema) }) },
    },
  }, async ({ params, actor }) => ({ data: await duplicates(db, params.id, actor) }))

  app.get('/v1/duplicates', {
    config: { audience: 'staff', problems: ['not-found'] },
    schema: {
      tags: ['点单'], summary: '待并案的疑似重复', operationId: 'listDuplicatePairs', description: '在最近二百件可并案的点单中两两比较，最像的在前；需要派单权限。',
      querystring: z.strictObject({ node: ref.optional().describe('节点 id 或代码，含下级'), limit }),
      response: { 200: z.strictObject({ data: z.array(PairSchema) }) },
    },
  }, async ({ query, actor }) => ({ data: await pairs(db, query, actor) }))
}
