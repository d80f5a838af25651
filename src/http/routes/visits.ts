import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { code, cursor, day, instant, limit, uuid } from '../../domain/atoms.ts'
import { Problem } from '../../domain/problems.ts'
import { VISIT_RESULTS, VisitBody } from '../../domain/visits.ts'
import type { Db } from '../../service/db.ts'
import type { Keyring } from '../../service/keyring.ts'
import { listVisits, visitCoverage } from '../../service/visit-coverage.ts'
import { fileVisit } from '../../service/visits.ts'
import { IdempotencyHeaders } from '../idempotent.ts'
import { problemWithin } from '../problem-json.ts'
import { PageSchema, PlaceSchema } from '../request-schema.ts'
import { InputRefused } from '../validation.ts'

const ID = '0195f2a0-7c1e-7abc-8def-0123456789ab'
const ref = z.union([uuid, code])
const MOST = 500
const MIB = 1_048_576
/** Five hundred visits, on a busy machine. */
const PATIENCE_MS = 60_000

const VisitSchema = z
  .strictObject({
    id: uuid,
    clientId: z.string().describe('离线端自己的编号'),
    household: uuid,
    person: uuid.describe('走访的人'),
    result: z.enum(VISIT_RESULTS),
    visitedAt: instant,
    filedAt: instant.describe('登记到这里的时间'),
    requests: z.array(z.strictObject({ id: uuid, number: z.string() })).describe('由此点的单，与 needs 的先后相同'),
  })
  .meta({
    id: 'Visit', description: '走访',
    examples: [{ id: ID, clientId: 'phone-7-1', household: ID, person: ID, result: 'met', visitedAt: '2026-11-21T01:00:00.000Z', filedAt: '2026-11-21T09:30:00.000Z', requests: [{ id: ID, number: 'WX20261121-000123' }] }],
  })

const OutcomeSchema = z
  .strictObject({
    clientId: z.string().nullable(),
    status: z.int().describe('这一次走访的 HTTP 状态：201 已登记（重发的也是），其余见 problem'),
    visit: VisitSchema.optional(),
    problem: z.looseObject({ code: z.string(), status: z.int(), title: z.string() }).optional(),
  })
  .meta({ id: 'VisitOutcome', description: '批量登记走访中一次的结果' })

const BatchSchema = z.array(z.looseObject({ clientId: z.unknown() })).min(1).max(MOST)
  .meta({
    id: 'VisitBatch', description: `至多 ${MOST} 次走访：clientId（自己的编号，永久唯一）、household（住户 id）、visitedAt、result（met 见到，not_home 无人，refused 谢绝）、needs（见到时提出的需求，内容同点单，不写 node、source、collectedAt；当场解决的写 resolvedOnSpot）`,
    examples: [[{ clientId: 'phone-7-1', household: ID, visitedAt: '2026-11-21T09:00:00+08:00', result: 'met', needs: [{ item: 'corridor-light', title: '3号楼1单元楼道灯不亮' }] }]],
  })

const CoverageSchema = z
  .strictObject({
    node: PlaceSchema, from: day, to: day.describe('含当天'),
    households: z.int().describe('登记的户数'),
    visited: z.int().describe('期内敲过门的户数'),
    met: z.int().describe('期内见到的户数'), refused: z.int().describe('期内没有见到、谢绝的户数'), notHome: z.int().describe('期内每次都无人的户数'),
    overdue: z.int().describe('到期末，超过 everyDays 天没有见到也没有谢绝的户数'), everyDays: z.int().describe('每多少天走访一次'),
    coverage: z.number().nullable().describe('覆盖率：met ÷ households；没有住户时为 null'),
    visits: z.int().describe('走访次数'),
    needs: z.strictObject({ filed: z.int().describe('走访中点的单'), resolvedOnSpot: z.int().describe('其中当场解决的') }),
    lag: z.strictObject({ p50: z.int().nullable().describe('中位数'), max: z.int().nullable().describe('最长') }).describe('采集滞后：从走访到登记，秒'),
  })
  .meta({ id: 'VisitCoverage', description: '走访覆盖' })

const tags = ['走访与活动']

/** 敲门问需: what phones without a network have taken down, and what of the doors was reached. */
export const visitRoutes = ({ db, keyring }: { db: Db; keyring: Keyring }): FastifyPluginAsyncZod => async (app) => {
  app.post('/v1/visits/batch', {
    bodyLimit: 2 * MIB, handlerTimeout: PATIENCE_MS,
    config: { audience: 'staff' },
    schema: {
      tags, summary: '批量登记走访', operationId: 'fileVisits',
      description: `一次至多 ${MOST} 次走访，按先后，各自成败，互不影响。clientId 在每人之内永久唯一：重发、乱序、同时重发都只登记一次，回答与第一次相同（因此不另看 Idempotency-Key）；同一 clientId 内容不同的拒绝。每次走访连同它的需求整个登记或整个不登记。`,
      headers: IdempotencyHeaders, body: BatchSchema, response: { 200: z.strictObject({ data: z.array(OutcomeSchema) }) },
    },
  }, async (request) => {
    const { body, actor } = request
    if (actor.kind !== 'person') throw new Problem('forbidden')
    const data: z.output<typeof OutcomeSchema>[] = []
    for (const given of body) {
      const clientId = typeof given.clientId === 'string' ? given.clientId : null
      const parsed = VisitBody.safeParse(given)
      try {
        if (!parsed.success) throw new InputRefused(VisitBody, given, 'body')
        data.push({ clientId, status: 201, visit: await fileVisit(db, keyring, parsed.data, actor) })
      } catch (error) {
        data.push({ clientId, ...problemWithin(error, request) as { status: number; problem: { code: string; status: number; title: string } } })
      }
    }
    return { data }
  })

  app.get('/v1/visits', {
    config: { audience: 'staff', problems: ['not-found', 'cursor-unusable'] },
    schema: {
      tags, summary: '走访列表', operationId: 'listVisits', description: '新登记的在前。工作人员看到辖区内的，其他人看到自己的。',
      querystring: z.strictObject({ node: ref.optional().describe('节点 id 或代码，含下级'), household: uuid.optional(), limit, cursor: cursor.optional() }),
      response: { 200: z.strictObject({ data: z.array(VisitSchema), page: PageSchema }) },
    },
  }, ({ query, actor }) => listVisits(db, query, actor))

  app.get('/v1/visits/coverage', {
    config: { audience: 'staff', problems: ['not-found'] },
    schema: {
      tags, summary: '走访覆盖', operationId: 'getVisitCoverage', description: '一段日子里（租户时区，含首尾）本节点及以下：多少户，见到多少，超期未走访多少，采集滞后多久。',
      querystring: z.strictObject({ node: ref.meta({ examples: ['YQHF'] }), from: day.meta({ examples: ['2026-11-01'] }), to: day.meta({ examples: ['2026-11-30'] }) }),
      response: { 200: CoverageSchema },
    },
  }, ({ query, actor }) => visitCoverage(db, query, actor))
}
