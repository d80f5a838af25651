import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { code, cursor, day, instant, int4Query, limit, listQuery, uuid } from '../../domain/atoms.ts'
import { BASES, BASE_NAMES } from '../../domain/rate-facts.ts'
import { RATES, RATES_VERSION, RATE_CODES, rateOf, type RateCode } from '../../domain/rates.ts'
import { KINDS } from '../../domain/request.ts'
import type { Db } from '../../service/db.ts'
import { hotspots, recurring } from '../../service/hotspots.ts'
import type { Keyring } from '../../service/keyring.ts'
import { rateRequests } from '../../service/rate-requests.ts'
import { rates, trend } from '../../service/rates.ts'
import { tenant } from '../../service/tenants.ts'
import { PageSchema, PlaceSchema, StateSchema } from '../request-schema.ts'

const RateName = z.enum(RATE_CODES).describe(RATE_CODES.map((name) => `${name} ${RATES[name].zh}`).join('，'))
const Words = z.strictObject({ zh: z.string(), en: z.string() })

const DefinitionsSchema = z
  .strictObject({
    version: z.literal(RATES_VERSION).describe('口径版本：同一版本的口径不再改变'),
    zone: z.string().describe('日界所在时区：租户时区'),
    bases: z.array(z.strictObject({ code: z.enum(BASE_NAMES), name: z.string().describe('计什么，计入哪个时期') })),
    rates: z.array(z.strictObject({
      rate: RateName,
      name: Words,
      base: z.enum(BASE_NAMES).describe('分母在 bases 中的口径，也说明计入哪个时期'),
      numerator: Words,
      denominator: Words,
      apart: z.array(z.strictObject({ code: z.string(), name: Words })).describe('另列的部分，都在分母中'),
      byParty: z.boolean().describe('能否按承办人、承办组织统计'),
      source: z.string().describe('依据'),
    })),
    excluded: Words.describe('剔除的处理'),
    node: Words.describe('归属地点'),
    cycle: Words.describe('重办的处理'),
  })
  .meta({ id: 'RateDefinitions', description: '考核指标的口径' })

const FigureSchema = z
  .strictObject({
    rate: RateName,
    numerator: z.int(),
    denominator: z.int(),
    excluded: z.int().describe('剔除的件数，不在分子分母中'),
    value: z.number().nullable().describe('分子÷分母，四位小数；分母为 0 时为 null'),
    apart: z.array(z.strictObject({ code: z.string(), count: z.int() })).describe('另列的部分，见口径'),
  })
  .meta({ id: 'RateFigure', description: '一项指标' })

const exclusionShape = {
  askedAt: instant,
  askedBy: uuid.nullable().describe('申请的人员或组织'),
  reason: z.string().nullable().describe('申请理由；已删除的为 null'),
  approvedAt: instant,
  approvedBy: uuid.nullable().describe('批准人'),
}
const ExclusionSchema = z.strictObject({ requestId: uuid, number: z.string(), cycle: z.int().describe('第几轮'), ...exclusionShape }).meta({ id: 'Exclusion', description: '剔除' })

const days = {
  from: day.optional().describe('从这一天起（租户时区）；缺省为 to 所在月的第一天'),
  to: day.optional().describe('到这一天止，含当天；缺省为今天'),
}
const ref = z.union([uuid, code])
const filters = {
  node: ref.optional().describe('节点 id 或代码：它和它的下级；缺省为本人负责查看、督办的全部地点').meta({ examples: ['YQHF'] }),
  item: code.optional().describe('服务菜单代码；保密件都计为 confidential'),
  ...days,
}
const byParty = { party: uuid.optional().describe('人员或组织 id：只计由其承办的') }
const span = { node: PlaceSchema.nullable().describe('null：本人负责的全部地点'), from: z.iso.date(), to: z.iso.date() }
const PointSchema = z.strictObject({ from: z.iso.date(), to: z.iso.date(), rates: z.array(FigureSchema) })

const RatesSchema = z
  .strictObject({
    ...span,
    rates: z.array(FigureSchema),
    groups: z.array(z.strictObject({
      kind: z.enum(['node', 'item', 'person', 'organisation']), key: z.string().describe('节点、服务的代码，人员、组织的 id'), name: z.string().nullable().describe('人员姓名已隐去'), rates: z.array(FigureSchema),
    })).describe('group 时：分组的各项指标，件数多的在前，最多 200 组'),
    exclusions: z.strictObject({ count: z.int().describe('剔除的总件数（按轮）'), data: z.array(ExclusionSchema) }).describe('剔除的理由和批准人，最近 50 件；保密件只计数'),
  })
  .meta({ id: 'Rates', description: '各项指标，分子、分母和剔除都列明' })

const CountedSchema = z
  .strictObject({
    id: uuid, number: z.string(), kind: z.enum(KINDS), item: z.strictObject({ code: z.string(), name: z.string() }),
    node: PlaceSchema.nullable().describe('计数时的责任节点'), state: StateSchema.describe('现在的状态'), cycle: z.int().describe('第几轮'),
    at: instant.describe('计入时期的时间，见口径'), exclusion: z.strictObject(exclusionShape).nullable().describe('part=excluded 时'),
  })
  .meta({ id: 'CountedRequest', description: '指标背后的一件' })

const Named = z.strictObject({ code: z.string(), name: z.string() })
const HotspotSchema = z.strictObject({ node: Named, item: Named, count: z.int().describe('本期点单数'), before: z.int().describe('上期同样天数的点单数') }).meta({ id: 'Hotspot', description: '高发的地点和服务' })
const RecurringSchema = z
  .strictObject({ node: Named, item: Named, count: z.int().describe('本期点单数'), again: z.int().describe('其中距上一件不超过 within 天的'), firstAt: instant, lastAt: instant })
  .meta({ id: 'Recurring', description: '同一地点反复发生的' })

const words = ({ zh, en }: { zh: string; en: string }) => ({ zh, en })

/** 考核: rates, what is behind them, and where most is asked for. */
export const statsRoutes = ({ db, keyring }: { db: Db; keyring: Keyring }): FastifyPluginAsyncZod => async (app) => {
  app.get('/v1/stats/definitions', {
    schema: { tags: ['统计'], summary: '指标口径', operationId: 'getRateDefinitions', description: '每项指标的分子、分母、计入时期、剔除和依据。', response: { 200: DefinitionsSchema } },
  }, async () => ({
    version: RATES_VERSION as typeof RATES_VERSION, zone: (await tenant(db)).settings.zone,
    bases: BASE_NAMES.map((name) => ({ code: name, name: BASES[name] })),
    rates: RATE_CODES.map((name: RateCode) => {
      const { base, numerator, denominator, apart = [], byParty: told, source, ...name2 } = rateOf(name)
      return { rate: name, name: words(name2), base, numerator: words(numerator), denominator: words(denominator), apart: apart.map((part) => ({ code: part.code, name: words(part) })), byParty: told, source }
    }),
    excluded: { zh: '经上一级批准剔除的一轮不在任何指标的分子分母中，件数、理由和批准人始终列明', en: 'A cycle whose exclusion was granted one level up is in no rate; how many, why and by whom is always shown' },
    node: { zh: '计入发生时的责任节点和当时它的各级上级；节点后来迁移的，此前的仍计入原上级，也计入该节点自己', en: 'Counted for the node responsible at that time and all above it then, and for that node itself wherever it is moved' },
    cycle: { zh: '按轮计：重办是新的一轮，时限重新起算；并案的各件分别计', en: 'A cycle is what is counted: a redo begins another with a new clock; merged requests count each by itself' },
  }))

  app.get('/v1/stats/rates', {
    config: { audience: 'staff', problems: ['not-found'] },
    schema: {
      tags: ['统计'], summary: '三率和其他指标', operationId: 'getRates', description: '本人负责查看、督办的地点及其下级的各项指标。数字随事件更新，滞后几秒。保密件计入数字。',
      querystring: z.strictObject({ ...filters, ...byParty, group: z.enum(['node', 'item', 'party']).optional().describe('分组：node 下一级地点，item 服务，party 承办人和承办组织') }), response: { 200: RatesSchema },
    },
  }, ({ query, actor }) => rates(db, keyring, query, actor))

  app.get('/v1/stats/rates/:rate/requests', {
    config: { audience: 'staff', problems: ['not-found', 'cursor-unusable'] },
    schema: {
      tags: ['统计'], summary: '指标背后的点单', operationId: 'listRateRequests', description: '分子、分母或剔除的是哪些，新的在前。无权查看的保密件只计数，不列出。',
      params: z.strictObject({ rate: RateName }),
      querystring: z.strictObject({ ...filters, ...byParty, part: z.enum(['numerator', 'denominator', 'excluded']).optional().describe('缺省 denominator，含分子'), limit, cursor: cursor.optional() }),
      response: { 200: z.strictObject({ data: z.array(CountedSchema), page: PageSchema }) },
    },
  }, ({ params, query, actor }) => rateRequests(db, params.rate, query, actor))

  app.get('/v1/stats/trend', {
    config: { audience: 'staff', problems: ['not-found'] },
    schema: {
      tags: ['统计'], summary: '指标走势', operationId: 'getRateTrend', description: '逐日、逐周（周一起）或逐月的各项指标；没有发生的时段也列出。',
      querystring: z.strictObject({ ...filters, ...byParty, by: z.enum(['day', 'week', 'month']).optional().describe('缺省 month'), rate: listQuery(RateName).optional().describe('只看这些，逗号分隔') }),
      response: { 200: z.strictObject({ ...span, by: z.enum(['day', 'week', 'month']), data: z.array(PointSchema) }).meta({ id: 'RateTrend', description: '走势' }) },
    },
  }, ({ query, actor }) => trend(db, query, actor))

  app.get('/v1/stats/hotspots', {
    config: { audience: 'staff', problems: ['not-found'] },
    schema: {
      tags: ['统计'], summary: '高发地点和服务', operationId: 'getHotspots', description: '点单最多的地点和服务，与上期同样天数相比。',
      querystring: z.strictObject({ ...filters, level: code.optional().describe('按这一层级的地点合并').meta({ examples: ['compound'] }), limit }),
      response: { 200: z.strictObject({ ...span, before: z.strictObject({ from: z.iso.date(), to: z.iso.date() }), data: z.array(HotspotSchema) }).meta({ id: 'Hotspots', description: '高发' }) },
    },
  }, ({ query, actor }) => hotspots(db, keyring, query, actor))

  app.get('/v1/stats/recurring', {
    config: { audience: 'staff', problems: ['not-found'] },
    schema: {
      tags: ['统计'], summary: '反复发生的', operationId: 'getRecurring', description: '同一地点、同一服务在若干天内再次点单的。保密件不列。',
      querystring: z.strictObject({ ...filters, within: int4Query({ min: 1, max: 366 }).optional().describe('多少天以内算反复，缺省 30'), limit }),
      response: { 200: z.strictObject({ ...span, within: z.int(), data: z.array(RecurringSchema) }).meta({ id: 'RecurringItems', description: '反复发生的' }) },
    },
  }, ({ query, actor }) => recurring(db, keyring, query, actor))
}
