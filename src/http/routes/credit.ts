import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { code, cursor, day, instant, limit, uuid } from '../../domain/atoms.ts'
import { CREDIT_REASONS, CREDIT_REASON_NAMES } from '../../domain/credit.ts'
import { ownStatement, ranking, statement } from '../../service/credit.ts'
import type { Db } from '../../service/db.ts'
import type { Keyring } from '../../service/keyring.ts'
import { PageSchema, PlaceSchema } from '../request-schema.ts'

const Reason = z.enum(CREDIT_REASON_NAMES).describe(CREDIT_REASON_NAMES.map((name) => `${name} ${CREDIT_REASONS[name]}`).join('，'))
const Of = z.enum(['person', 'organisation']).describe('person 人员，organisation 组织（支部、志愿队、双报到单位等）')

const LineSchema = z
  .strictObject({
    id: uuid, at: instant, request: z.strictObject({ id: uuid, number: z.string() }), cycle: z.int().describe('第几轮'), reason: Reason,
    points: z.int().describe('重办冲销的为负'), via: uuid.describe('由谁办的：本人，或其成员'), reverses: uuid.nullable().describe('冲销的是哪一笔'),
  })
  .meta({ id: 'CreditLine', description: '一笔积分：只增不改' })

const StatementSchema = z
  .strictObject({
    of: Of, id: uuid, name: z.string().nullable().describe('人员姓名已隐去'), from: z.iso.date(), to: z.iso.date(), points: z.int().describe('本期合计，已减去冲销'),
    reasons: z.array(z.strictObject({ reason: Reason, points: z.int(), entries: z.int() })),
    data: z.array(LineSchema), page: PageSchema,
  })
  .meta({ id: 'CreditStatement', description: '积分对账单' })

const RankingSchema = z
  .strictObject({
    node: PlaceSchema.nullable().describe('null：本人负责的全部地点'), from: z.iso.date(), to: z.iso.date(),
    data: z.array(z.strictObject({
      rank: z.int().describe('同分同名次'), points: z.int(), works: z.int().describe('办结的件数'),
      holder: z.strictObject({ kind: z.enum(['node', 'item', 'person', 'organisation']), key: z.string().describe('id'), name: z.string().nullable().describe('人员姓名已隐去') }),
    })),
  })
  .meta({ id: 'CreditRanking', description: '积分排名' })

const days = {
  from: day.optional().describe('从这一天起（租户时区）；缺省为 to 所在月的第一天'),
  to: day.optional().describe('到这一天止，含当天；缺省为今天'),
}
const ref = z.union([uuid, code])
const RULE = '办结并结案才计分，仅认领不计；重办的冲销。双报到的成员，组织关系所在单位（支部）和居住地支部各计一份。'

/** 积分: what was done, for whom it counts. */
export const creditRoutes = ({ db, keyring }: { db: Db; keyring: Keyring }): FastifyPluginAsyncZod => async (app) => {
  app.get('/v1/credit', {
    config: { audience: 'staff', problems: ['not-found', 'cursor-unusable'] },
    schema: {
      tags: ['积分'], summary: '积分对账单', operationId: 'getCredit', description: `${RULE}组织的由本组织的人、其成员和负责其所在地点的人查看。`,
      querystring: z.strictObject({ of: Of, id: ref.describe('人员 id 或工号，组织 id 或代码'), ...days, limit, cursor: cursor.optional() }), response: { 200: StatementSchema },
    },
  }, ({ query: { of, id, ...query }, actor }) => statement(db, keyring, of, id, query, actor))

  app.get('/v1/me/credit', {
    config: { problems: ['cursor-unusable'] },
    schema: {
      tags: ['我的'], summary: '我的积分', operationId: 'getMyCredit', description: RULE,
      querystring: z.strictObject({ ...days, limit, cursor: cursor.optional() }), response: { 200: StatementSchema },
    },
  }, ({ query, actor }) => ownStatement(db, keyring, query, actor))

  app.get('/v1/credit/ranking', {
    config: { audience: 'staff', problems: ['not-found'] },
    schema: {
      tags: ['积分'], summary: '积分排名', operationId: 'getCreditRanking', description: '按在该地点及其下级办结的工作；人员姓名已隐去。',
      querystring: z.strictObject({ of: Of, node: ref.optional().describe('节点 id 或代码；缺省为本人负责查看、督办的全部地点'), ...days, limit }), response: { 200: RankingSchema },
    },
  }, ({ query, actor }) => ranking(db, keyring, query, actor))
}
