import { z } from 'zod'
import { code, instant, int4, phone, text, uuid } from './atoms.ts'
import { cardText } from './contacts.ts'
import { CRS, latitude, longitude } from './coordinates.ts'
import { answersSchema } from './form.ts'
import type { VerbName } from './machine.ts'
import { says } from './problems.ts'
import { limitSchema } from './limit.ts'
import {
  CONSENT_HOW, CONSENT_PURPOSES, GRADES, PAPERS, RESULTS, RETURN_REASONS, SATISFACTION, SOLVED, SOURCES, TARGET_GROUPS, WHISTLE_REASONS,
} from './request.ts'

/** What each verb takes. A verb without its body schema does not compile. */

const note = text({ max: 2000, multiline: true }).optional().describe('说明；只有经办人和居民可见')
const reason = (codes: readonly [string, ...string[]]) => z.enum(codes).describe('原因代码')
/** A reason in words: told to the resident, kept as a text of its own. */
const why = text({ max: 1000, multiline: true }).describe('理由')
const attachments = z.array(uuid).min(1).max(9).refine((ids) => new Set(ids).size === ids.length, { params: says('不能重复', 'Must not repeat') })
  .optional().describe('附件 id，见 POST /v1/attachments；最多 9 个')

/** An id, or a code that people know: node code, 工号, organisation code. */
const idOrCode = z.union([uuid, code])

/** 代办: the act of someone without an account, done by staff of the place; both are stored, the credit is his. */
const actFor = uuid.optional().describe('代没有账号的人办理：其人员 id；须有代办权限')

/** A petitioner without an account, as he stands before one. */
const newPerson = z.strictObject({
  name: text({ max: 50 }).describe('姓名'),
  phone: phone.optional().describe('电话'),
  door: text({ max: 50 }).optional().describe('门牌'),
}).meta({ title: '未登记的人' })

const someone = z.union([uuid, newPerson])

const consent = z.strictObject({
  purpose: z.enum(CONSENT_PURPOSES).describe('wall 上墙公示，contact_to_claimer 告知认领人联系方式，sensitive 处理敏感信息'),
  by: z.enum(['self', 'guardian']).describe('本人或监护人；不满十四周岁的须由监护人同意（个人信息保护法第三十一条）'),
  how: z.enum(CONSENT_HOW).describe('app 应用内，paper 书面，oral 口头'),
  at: instant.optional().describe('同意的时间；缺省为现在'),
})

const form = answersSchema.optional().describe('按服务项目的表单填写，字段见 GET /v1/items/{code}')

const location = z.strictObject({
  address: text({ max: 200 }).optional().describe('地址'),
  lng: longitude.optional().describe('经度，度'),
  lat: latitude.optional().describe('纬度，度'),
  crs: z.enum(CRS).optional().describe('坐标系：wgs84（GPS），gcj02（微信、腾讯、高德），bd09（百度）；写坐标必写'),
}).refine(({ address, lng }) => address !== undefined || lng !== undefined, { params: says('地址和坐标至少写一项', 'Give an address or coordinates') })
  .refine(({ lng, lat, crs }) => (lng === undefined) === (lat === undefined) && (lng === undefined) === (crs === undefined),
    { params: says('lng、lat、crs 须同时写', 'lng, lat and crs go together'), path: ['crs'] })
  .meta({ examples: [{ address: '银雀华府3号楼1单元门口', lng: 118.3412, lat: 35.0541, crs: 'gcj02' }] })

export const FileBody = z.strictObject({
  item: code.describe('服务菜单代码，见 GET /v1/items'),
  title: text({ max: 100 }).describe('标题'),
  description: text({ max: 4000, multiline: true }).optional().describe('详细说明'),
  node: idOrCode.describe('发生地点：节点 id 或代码，见 GET /v1/nodes'),
  location: location.optional().describe('具体位置；一律换算为 WGS84 保存，只有看得到详细说明的人看得到'),
  form,
  source: z.enum(SOURCES).optional().describe('来源渠道'),
  collectedAt: instant.optional().describe('收集时间（信报箱、走访），可早于点单时间'),
  filer: someone.optional().describe('代点：点单人 id，或没有账号的人的姓名和联系方式；缺省为调用者本人'),
  beneficiary: someone.optional().describe('受益人；缺省为点单人'),
  guardian: someone.optional().describe('监护人；未成年人上墙须由其同意'),
  targetGroup: z.enum(TARGET_GROUPS).optional().describe('重点群体'),
  grade: z.enum(GRADES).optional().describe('分级：major 大事，minor 小事，practical 实事，urgent 急事，difficult 难事；缺省为服务项目的分级'),
  confidential: z.boolean().optional().describe('保密件'),
  consents: z.array(consent).max(10).optional().describe('已取得的同意'),
  respondent: idOrCode.optional().describe('被反映的人员或组织；看不到这件点单，派给它时看不到诉求人'),
  resolvedOnSpot: z.strictObject({
    outcome: text({ max: 2000, multiline: true }).describe('办理结果'),
    result: z.enum(RESULTS).exclude(['impossible']).optional().describe('缺省 realised'),
  }).optional().describe('即办件：工作人员当场办结，一次提交完成点单、受理、办结'),
  attachments,
  externalRef: text({ max: 64 }).optional().describe('第三方系统自己的单号；每个应用内永久唯一'),
  card: cardText.optional().describe('连心卡或公示牌二维码中的 card：卡上的人即为首问责任人（保密件除外）'),
  campaign: idOrCode.optional().describe('所属专项行动：id 或代码'),
})

const Rating = {
  solved: z.enum(SOLVED).describe('是否解决'),
  satisfaction: z.enum(SATISFACTION).describe('是否满意'),
  comment: text({ max: 1000, multiline: true }).optional(),
}

const answer = z.strictObject({ note })
const refusal = z.strictObject({ reason: why })

export const BODIES = {
  file: FileBody,
  accept: z.strictObject({ item: code.optional(), node: idOrCode.optional(), grade: z.enum(GRADES).optional(), note }),
  reject: z.strictObject({ reason: reason(['out_of_scope', 'duplicate', 'unverifiable', 'unlawful', 'other']), note }),
  return: z.strictObject({ reason: reason(['incomplete', 'unclear', 'wrong_item', 'other']), note }),
  resubmit: z.strictObject({ title: text({ max: 100 }).optional(), description: text({ max: 4000, multiline: true }).optional(), form, attachments, for: actFor, note }),
  amend: z.strictObject({
    item: code.optional().describe('服务菜单代码'),
    node: idOrCode.optional().describe('发生地点'),
    title: text({ max: 100 }).optional(),
    grade: z.enum(GRADES).optional(),
    note,
  }).refine(({ item, node, title, grade }) => [item, node, title, grade].some((given) => given !== undefined), { params: says('至少更正一项', 'Amend at least one thing') }),
  consent: consent.extend({ granted: z.boolean().optional().describe('false 为撤回；缺省 true') }),
  place: z.strictObject({
    slots: int4({ min: 1, max: 1000 }).optional().describe('名额（人数或数量），缺省 1'),
    scope: idOrCode.optional().describe('可见范围：节点 id 或代码，必须是责任节点或其上级；缺省为责任节点'),
    wallTitle: text({ max: 60 }).optional().describe('上墙标题；缺省为服务菜单名称'),
    wallText: text({ max: 500, multiline: true }).optional().describe('上墙文字，由下单人撰写'),
  }),
  'take-down': z.strictObject({ note }),
  widen: z.strictObject({}),
  claim: z.strictObject({
    organisation: idOrCode.optional().describe('代表哪个组织认领；缺省为本人'),
    quantity: int4({ min: 1, max: 1000 }).optional().describe('认领多少名额，缺省 1'),
    for: actFor,
  }),
  'confirm-claim': z.strictObject({ claimer: uuid.optional().describe('哪一个认领人（人员或组织 id）；只有一个待审时可省略'), note }),
  'decline-claim': z.strictObject({ claimer: uuid.optional().describe('哪一个认领人；只有一个待审时可省略'), note }),
  start: z.strictObject({ note }),
  release: z.strictObject({ reason: reason(['no_time', 'no_ability', 'no_contact', 'lease_over', 'other']).optional(), for: actFor, note }),
  dispatch: z.strictObject({ to: idOrCode.describe('派给谁：人员 id、工号、组织 id 或组织代码'), note }),
  redispatch: z.strictObject({ to: idOrCode.describe('改派给谁'), note }),
  assign: z.strictObject({ to: idOrCode.describe('由谁去办：本组织的人员 id 或工号'), note }),
  sign: z.strictObject({ for: actFor, note }),
  'ask-return': z.strictObject({
    reason: z.enum(RETURN_REASONS).describe('wrong_area 属地不符，unclear_duty 权属不清，overlapping 职能交叉，petitioner_withdrew 诉求人撤回，duplicate 重复，other 其他'),
    suggested: idOrCode.optional().describe('建议派给谁'),
    attachments, for: actFor, note,
  }),
  'grant-return': answer,
  'deny-return': refusal,
  adjudicate: z.discriminatedUnion('decision', [
    z.strictObject({ decision: z.literal('keep'), note }).meta({ id: 'AdjudicateKeep', title: '维持' }),
    z.strictObject({ decision: z.literal('reassign'), to: idOrCode.describe('改由谁承办'), note }).meta({ id: 'AdjudicateReassign', title: '另行指定' }),
  ]),
  respond: z.strictObject({ for: actFor, note }),
  record: z.strictObject({
    trip: z.boolean().optional().describe('跑腿一趟（最多跑一趟）'),
    papers: z.array(z.strictObject({
      paper: z.enum(PAPERS), direction: z.enum(['received', 'returned']).describe('收到居民的材料，或交还'), count: int4({ min: 1, max: 99 }).optional(),
    })).min(1).max(20).optional().describe('材料交接'),
    authorisation: z.enum(CONSENT_HOW).optional().describe('居民委托代办的方式：app 应用内，paper 书面委托书（可附照片），oral 口头'),
    session: z.boolean().optional().describe('调解一场'),
    agreement: z.boolean().optional().describe('达成协议'),
    participants: int4({ min: 0, max: 100_000 }).optional().describe('参加人数'),
    beneficiaries: int4({ min: 0, max: 100_000 }).optional().describe('受益人数'),
    attachments, for: actFor, note,
  }).refine((given) => Object.values(given).some((value) => value !== undefined), { params: says('至少记录一项', 'Record at least one thing') }),
  'sign-up': z.strictObject({ for: actFor }),
  'cancel-sign-up': z.strictObject({ for: actFor }),
  'add-co': z.strictObject({ to: idOrCode.describe('请谁协办'), limit: limitSchema.optional().describe('协办时限'), note }),
  'co-done': z.strictObject({ attachments, for: actFor, note }),
  'remove-co': z.strictObject({ co: idOrCode.describe('取消谁的协办'), note }),
  whistle: z.strictObject({
    to: z.array(idOrCode).min(1).max(20).describe('召集哪些人员或组织'),
    reason: z.enum(WHISTLE_REASONS).describe('cannot_alone 一家办不了，joint_enforcement 联合执法，emergency 应急'),
    note,
  }),
  'report-in': z.strictObject({ for: actFor, note }),
  deliberate: z.strictObject({
    decision: z.enum(['do', 'decline', 'raise', 'continue']).describe('do 办，decline 不办，raise 上报，continue 继续议'),
    minutes: text({ max: 8000, multiline: true }).describe('议事纪要'),
    heldAt: instant.optional(),
    participants: int4({ min: 1, max: 10_000 }).optional().describe('参加人数'),
    until: instant.optional().describe('议不完的挂账到何时（下次议事）'),
    attachments,
  }).refine(({ decision, until }) => until === undefined || decision === 'continue', { params: says('只有继续议的才挂账', 'Only `continue` parks'), path: ['until'] }),
  'ask-extension': z.strictObject({
    until: instant.optional().describe('延到何时'),
    limit: limitSchema.optional().describe('从原到期时间起再延多久'),
    reason: why, attachments, for: actFor,
  }).refine(({ until, limit }) => (until === undefined) !== (limit === undefined), { params: says('until 与 limit 须且只须给一个', 'Give exactly one of until and limit'), path: ['until'] }),
  'grant-extension': z.strictObject({ until: instant.optional().describe('准予延到何时；缺省为申请的时间'), note }),
  'deny-extension': refusal,
  'ask-park': z.strictObject({
    until: instant.optional().describe('复核日期'),
    limit: limitSchema.optional().describe('从现在起挂多久'),
    reason: why, attachments, for: actFor,
  }).refine(({ until, limit }) => (until === undefined) !== (limit === undefined), { params: says('until 与 limit 须且只须给一个', 'Give exactly one of until and limit'), path: ['until'] }),
  'grant-park': z.strictObject({ until: instant.optional().describe('复核日期；缺省为申请的日期'), note }),
  'deny-park': refusal,
  unpark: z.strictObject({ note }),
  'ask-exclusion': z.strictObject({ reason: why, attachments }),
  'grant-exclusion': answer,
  'deny-exclusion': refusal,
  complete: z.strictObject({
    outcome: text({ max: 2000, multiline: true }).describe('办理结果'),
    result: z.enum(RESULTS).optional().describe('realised 已实现，partly 部分实现，explained 已解释，impossible 无法办理（须经派单人确认）；缺省 realised'),
    beneficiaries: int4({ min: 0, max: 100_000 }).optional().describe('受益人数（活动）'),
    attachments, for: actFor, note,
  }),
  confirm: z.strictObject({ note }),
  'send-back': z.strictObject({ reason: why }),
  'follow-up': z.union([
    z.strictObject({ reached: z.literal(false), comment: Rating.comment }).meta({ title: '未联系上' }),
    z.strictObject({ reached: z.literal(true).optional(), ...Rating }).meta({ title: '已联系上' }),
  ]),
  rate: z.strictObject(Rating),
  reopen: z.strictObject({ reason: why.optional() }),
  close: z.strictObject({}),
  withdraw: z.strictObject({ reason: reason(['solved_otherwise', 'no_longer_needed', 'mistake', 'overdue_resubmission', 'other']).optional(), for: actFor, note }),
  merge: z.strictObject({ into: idOrCode.describe('主件：id 或单号'), note }),
  absorb: z.strictObject({}),
  unmerge: z.strictObject({ note }),
  rejoin: z.strictObject({}),
  'follow-lead': z.strictObject({}),
  urge: z.strictObject({ for: actFor, note }),
  supervise: z.strictObject({ note }),
  raise: z.strictObject({ to: idOrCode.optional().describe('上报到哪一级：上级节点，或外部组织；缺省为上一级'), reason: why }),
  'hand-over': z.strictObject({ to: idOrCode.describe('移交给谁：人员 id 或工号'), note }),
  remind: z.strictObject({}),
  escalate: z.strictObject({}),
  reschedule: z.strictObject({}),
} as const satisfies Record<VerbName, z.ZodType>

export type Body<V extends VerbName> = z.output<(typeof BODIES)[V]>
/** Someone named by id, or described because he is not on record yet. */
export type Someone = z.output<typeof someone>
