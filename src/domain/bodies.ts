import { z } from 'zod'
import { code, instant, int4, text, uuid } from './atoms.ts'
import type { VerbName } from './machine.ts'
import { RESULTS, SATISFACTION, SOLVED, SOURCES, TARGET_GROUPS } from './request.ts'

/** What each verb takes. A verb without its body schema does not compile. */

const note = text({ max: 2000, multiline: true }).optional().describe('说明；只有经办人和居民可见')
const reason = (codes: readonly [string, ...string[]]) => z.enum(codes).describe('原因代码')

/** An id, or a code that people know: node code, 工号, organisation code. */
const idOrCode = z.union([uuid, code])

export const FileBody = z.strictObject({
  item: code.describe('服务菜单代码，见 GET /v1/items'),
  title: text({ max: 100 }).describe('标题'),
  description: text({ max: 4000, multiline: true }).optional().describe('详细说明'),
  node: idOrCode.describe('发生地点：节点 id 或代码，见 GET /v1/nodes'),
  source: z.enum(SOURCES).optional().describe('来源渠道'),
  collectedAt: instant.optional().describe('收集时间（信报箱、走访），可早于点单时间'),
  filer: uuid.optional().describe('代点：点单人 id；缺省为调用者本人'),
  beneficiary: uuid.optional().describe('受益人 id'),
  targetGroup: z.enum(TARGET_GROUPS).optional().describe('重点群体'),
  confidential: z.boolean().optional().describe('保密件'),
  externalRef: text({ max: 64 }).optional().describe('第三方系统自己的单号；每个应用内永久唯一'),
})

const Rating = {
  solved: z.enum(SOLVED).describe('是否解决'),
  satisfaction: z.enum(SATISFACTION).describe('是否满意'),
  comment: text({ max: 1000, multiline: true }).optional(),
}

export const BODIES = {
  file: FileBody,
  accept: z.strictObject({ note }),
  reject: z.strictObject({ reason: reason(['out_of_scope', 'duplicate', 'unverifiable', 'unlawful', 'other']), note }),
  return: z.strictObject({ reason: reason(['incomplete', 'unclear', 'wrong_item', 'other']), note }),
  resubmit: z.strictObject({ title: text({ max: 100 }).optional(), description: text({ max: 4000, multiline: true }).optional(), note }),
  place: z.strictObject({
    slots: int4({ min: 1, max: 1000 }).optional().describe('名额，缺省 1'),
    scope: idOrCode.optional().describe('可见范围：节点 id 或代码，必须是责任节点或其上级；缺省为责任节点'),
    wallTitle: text({ max: 60 }).optional().describe('上墙标题；缺省为服务菜单名称'),
    wallText: text({ max: 500, multiline: true }).optional().describe('上墙文字，由下单人撰写'),
  }),
  'take-down': z.strictObject({ note }),
  dispatch: z.strictObject({ to: idOrCode.describe('派给谁：人员 id、工号、组织 id 或组织代码'), note }),
  redispatch: z.strictObject({ to: idOrCode.describe('改派给谁'), note }),
  claim: z.strictObject({ organisation: idOrCode.optional().describe('代表哪个组织认领；缺省为本人') }),
  release: z.strictObject({ reason: reason(['no_time', 'no_ability', 'no_contact', 'other']).optional(), note }),
  sign: z.strictObject({ note }),
  respond: z.strictObject({ note }),
  complete: z.strictObject({
    outcome: text({ max: 2000, multiline: true }).describe('办理结果'),
    result: z.enum(RESULTS).optional().describe('缺省 realised'),
    note,
  }),
  'follow-up': z.union([
    z.strictObject({ reached: z.literal(false), comment: Rating.comment }).meta({ title: '未联系上' }),
    z.strictObject({ reached: z.literal(true).optional(), ...Rating }).meta({ title: '已联系上' }),
  ]),
  rate: z.strictObject(Rating),
  close: z.strictObject({}),
  withdraw: z.strictObject({ reason: reason(['solved_otherwise', 'no_longer_needed', 'mistake', 'overdue_resubmission', 'other']).optional(), note }),
  remind: z.strictObject({}),
  escalate: z.strictObject({}),
} as const satisfies Record<VerbName, z.ZodType>

export type Body<V extends VerbName> = z.output<(typeof BODIES)[V]>

