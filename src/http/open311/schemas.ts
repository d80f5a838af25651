import { z } from 'zod'
import { instant } from '../../domain/atoms.ts'

/** What GeoReport v2 answers, as JSON; in XML the same names. */

const datetime = instant.describe('W3C 格式，UTC，到秒')

export const ErrorsSchema = z.array(z.strictObject({ code: z.int().describe('HTTP 状态码'), description: z.string() }))
  .meta({ id: 'Open311Errors', description: '出错时的回答（GeoReport v2）', examples: [[{ code: 404, description: 'service_code: 没有这项服务' }]] })

/** 404 for what is not there, 403 for a missing or wrong key, 400 for all else: so GeoReport v2; besides, that it is too often or not now. */
export const REFUSALS = { 400: ErrorsSchema, 403: ErrorsSchema, 404: ErrorsSchema, 429: ErrorsSchema, 500: ErrorsSchema, 503: ErrorsSchema }

export const ServicesSchema = z.array(z.strictObject({
  service_code: z.string(), service_name: z.string(), description: z.string().nullable(), metadata: z.boolean().describe('有表单，见服务定义'), type: z.literal('realtime'),
  keywords: z.string().nullable(), group: z.string(),
})).meta({ id: 'Open311Services', description: '服务列表' })

export const DefinitionSchema = z.strictObject({
  service_code: z.string(),
  attributes: z.array(z.strictObject({
    variable: z.literal(true), code: z.string(), datatype: z.enum(['string', 'number', 'datetime', 'text', 'singlevaluelist', 'multivaluelist']), required: z.boolean(),
    datatype_description: z.string().nullable(), order: z.int(), description: z.string(), values: z.array(z.strictObject({ key: z.string(), name: z.string() })).optional(),
  })),
}).meta({ id: 'Open311ServiceDefinition', description: '服务定义' })

const status = z.enum(['open', 'closed'])

export const RequestsSchema = z.array(z.strictObject({
  service_request_id: z.string().describe('单号'), status, status_notes: z.string(), service_name: z.string(), service_code: z.string(), description: z.string().nullable(),
  agency_responsible: z.string().nullable(), service_notice: z.null(), requested_datetime: datetime, updated_datetime: datetime.describe('最近一次变更；已办结的为办结时间'), expected_datetime: datetime.nullable(),
  address: z.string().nullable(), address_id: z.string().nullable().describe('节点代码'), zipcode: z.null(), lat: z.number().nullable(), long: z.number().nullable(),
  media_url: z.string().nullable(),
})).meta({ id: 'Open311Requests', description: '点单' })

export const FiledSchema = z.array(z.strictObject({ service_request_id: z.string(), service_notice: z.string(), account_id: z.string().nullable() }))
  .meta({ id: 'Open311Filed', description: '已收到的点单' })

export const TokensSchema = z.array(z.strictObject({ token: z.string(), service_request_id: z.string() })).meta({ id: 'Open311Tokens', description: '令牌对应的单号' })

export const UpdatesSchema = z.array(z.strictObject({
  update_id: z.string(), service_request_id: z.string(), status, updated_datetime: datetime, description: z.string(), media_url: z.null(),
})).meta({ id: 'Open311Updates', description: '办理进展（FixMyStreet 扩展）' })

export const CommentedSchema = z.array(z.strictObject({ update_id: z.string() })).meta({ id: 'Open311Commented', description: '已收到的进展' })

export const DiscoverySchema = z.strictObject({
  changeset: datetime, contact: z.string(), key_service: z.string(),
  endpoints: z.array(z.strictObject({ specification: z.string(), url: z.string(), changeset: datetime, type: z.literal('production'), formats: z.array(z.string()) })),
}).meta({ id: 'Open311Discovery', description: '服务发现' })

const word = (longest: number) => z.string().max(longest).optional()
const said = { jurisdiction_id: word(64).describe('租户代码；只有一个租户时可以不写') }
const key = word(200).describe('应用的 API Key（ww_live_…）')

/** Unknown parameters are left aside, as other servers do: clients send the extensions of all. */
export const PublicQuery = z.looseObject(said)
export const KeyQuery = z.looseObject({ ...said, api_key: key })

/** `a,b`, or the parameter again, or both: all three are in use. */
function list(value: unknown): unknown {
  if (![value].flat().every((part) => typeof part === 'string')) return value
  const parts = [value].flat().flatMap((part) => (part as string).split(',')).map((part) => part.trim()).filter((part) => part !== '')
  return parts.length === 0 ? undefined : parts
}
const many = <T extends z.ZodType>(item: T, most = 100) => z.preprocess(list, z.array(item).min(1).max(most).optional())
/** As programs print coordinates: up to seventeen digits, `1e-7` among them. */
const DECIMAL = /^[-+]?\d{1,9}(?:\.\d{0,30})?(?:[eE][-+]?\d{1,2})?$/
const corners = (value: unknown) => (typeof value !== 'string' ? value : value === '' ? undefined : value.split(',').map((part) => (DECIMAL.test(part.trim()) ? Number(part).toFixed(9) : part)).join(','))
const number = (least: number, most: number) => z.preprocess((value) => (typeof value === 'string' && DECIMAL.test(value.trim()) ? Number(value) : value === '' ? undefined : value), z.number().min(least).max(most).optional())
const whole = (most: number) => z.preprocess((value) => (typeof value === 'string' && /^\d{1,7}$/.test(value) ? Number(value) : value === '' ? undefined : value), z.int().min(1).max(most).optional())
/** Of `+08:00` in a query that is not encoded, the plus arrives as a blank. */
const moment = z.preprocess((value) => (value === '' ? undefined : typeof value === 'string' ? value.replace(/ (?=\d{2}:\d{2}$)/, '+') : value), instant.optional())

export const SpanQuery = { start_date: moment.describe('不早于，W3C 格式'), end_date: moment.describe('不晚于') }

/** GeoReport v2: the first thousand, whichever is smaller. */
export const MOST_AT_ONCE = 1_000

export const RequestsQuery = KeyQuery.extend({
  service_request_id: many(z.string().max(64), MOST_AT_ONCE).describe('单号，多个用逗号分隔；写了就不看其他条件'),
  service_code: many(z.string().max(64)).describe('服务代码，多个用逗号分隔'),
  status: many(z.preprocess((value) => (typeof value === 'string' ? value.toLowerCase() : value), status)).describe('open、closed'),
  ...SpanQuery,
  updated_after: moment, updated_before: moment,
  page: whole(10_000).describe('第几页，从 1 起'), page_size: whole(MOST_AT_ONCE).describe(`每页几件，缺省 ${MOST_AT_ONCE}`),
  lat: number(-90, 90), long: number(-180, 180), radius: number(1, 100_000).describe('米，缺省 1000'),
  bbox: z.preprocess(corners, z.string().regex(/^-?\d{1,3}(\.\d{1,12})?(,-?\d{1,3}(\.\d{1,12})?){3}$/).optional()).describe('西,南,东,北'),
})

const LOCATED = { lat: number(-90, 90).describe('WGS84'), long: number(-180, 180).describe('WGS84'), address_string: word(200), address_id: word(64).describe('节点代码') }

/** One address or several (FixMyStreet's multi_photos sends the field again), a line each. */
const media = z.preprocess((value) => (Array.isArray(value) && value.every((one) => typeof one === 'string') ? value.join('\n') : value), z.string().max(2_000).optional())

export const FilingBody = z.looseObject({
  ...said, api_key: key, service_code: word(64).describe('必填'), ...LOCATED, description: word(4_000), media_url: media.describe('照片的网址：只记下，不打开'),
  first_name: word(50), last_name: word(50), phone: word(32), email: word(256).describe('不保存'),
  device_id: word(256).describe('不保存；同一设备 24 小时内重复提交同样内容的，只算一件'), account_id: word(256).describe('不保存，原样回答'),
}).meta({
  id: 'Open311FilingBody', description: '另可有 attribute[代码]=值，见服务定义',
  examples: [{ api_key: 'ww_live_…', service_code: 'corridor-light', description: '3号楼1单元楼道灯不亮', address_id: 'YQHF-03-1', last_name: '王', first_name: '示例', phone: '13800138000' }],
})

export const CommentBody = z.looseObject({
  ...said, api_key: key, service_request_id: word(64).describe('必填：单号'), update_id: word(128).describe('对方系统中的编号；同一编号只生效一次'), update_id_ext: word(128).describe('同 update_id'),
  status: word(32).describe('OPEN、CLOSED'), description: word(4_000), media_url: media.describe('照片的网址：只记下，不打开'), updated_datetime: z.string().optional().describe('不保存'),
}).meta({
  id: 'Open311CommentBody', description: '办理进展',
  examples: [{ api_key: 'ww_live_…', service_request_id: 'WX20261121-000123', update_id: '42', status: 'OPEN', description: '灯还是不亮' }],
})
