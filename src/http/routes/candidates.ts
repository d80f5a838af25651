import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { code, int4Query, uuid } from '../../domain/atoms.ts'
import { candidates } from '../../service/candidates.ts'
import type { Db } from '../../service/db.ts'
import type { Keyring } from '../../service/keyring.ts'
import { LANGUAGE_TAG, languageOf } from '../language.ts'

const EXAMPLE_ID = '0195f2a0-7c1e-7abc-8def-0123456789ab'

const CandidateSchema = z
  .strictObject({
    rank: z.int(),
    score: z.int().describe('0 至 95 分：技能 50，远近 30，空闲 15；退单扣分'),
    person: z.strictObject({ id: uuid, login: z.string().nullable(), name: z.string().nullable().describe('脱敏的姓名') }).nullable(),
    organisation: z.strictObject({ id: uuid, code: z.string(), name: z.string() }).nullable(),
    because: z.array(z.string()).describe('理由；Accept-Language: en 时为英文'),
  })
  .meta({
    id: 'Candidate', description: '派单人选：人员或组织，其 id 可用作派单的 to',
    examples: [{ rank: 1, score: 85, person: { id: EXAMPLE_ID, login: 'YQ0025', name: '韩**' }, organisation: null, because: ['有“水电维修”技能（4级，已核验）', '同一小区', '手上 2 件在办'] }],
  })

/** 人选: whom to dispatch a request to, and why. */
export const candidateRoutes = ({ db, keyring }: { db: Db; keyring: Keyring }): FastifyPluginAsyncZod => async (app) => {
  app.get('/v1/requests/:id/candidates', {
    config: { audience: 'staff', problems: ['request-not-found'] },
    schema: {
      tags: ['技能'], summary: '派单人选', operationId: 'listCandidates',
      description: '按已核验的技能、与点单地点的远近、手上的件数和以往退单排序，并说明理由。只列可以派单的人员和组织；须有派单权限（dispatch）。',
      params: z.strictObject({ id: z.union([uuid, code]).describe('id 或单号').meta({ examples: ['WX20261121-000123'] }) }),
      querystring: z.strictObject({ limit: int4Query({ min: 1, max: 50 }).default(10).describe('前几名') }),
      response: { 200: z.strictObject({ data: z.array(CandidateSchema) }) },
    },
  }, async (request, reply) => {
    const language = languageOf(request.headers['accept-language'])
    const data = await candidates(db, keyring, request.params.id, request.query.limit, request.actor)
    reply.headers({ 'content-language': LANGUAGE_TAG[language], vary: 'accept-language' })
    return { data: data.map(({ because, ...candidate }) => ({ ...candidate, because: because.map((words) => words[language]) })) }
  })
}
