import { z } from 'zod'
import { code, cursor, flagQuery, instant, limit, listQuery, text, uuid } from '../domain/atoms.ts'
import { KINDS } from '../domain/request.ts'
import { PageSchema, StateSchema } from './request-schema.ts'

/** What a list of requests may be asked for. */

const MINE = ['filed', 'assigned', 'organisation'] as const

export const ListFilterShape = {
  node: z.union([uuid, code]).optional().describe('节点 id 或代码'),
  within: z.enum(['subtree', 'node']).optional().describe('subtree 含下级（缺省），node 只看该节点'),
  item: code.optional().describe('服务菜单代码'),
  campaign: z.union([uuid, code]).optional().describe('专项行动 id 或代码：为它点的单（心愿、活动……）').meta({ examples: ['WINTER-2026'] }),
  q: text({ max: 60 }).optional().describe('查找标题、说明、地址中的文字（繁简通用，空格分开的都要有）或单号；工作人员还可查申请人的姓名（至少两个字）和电话').meta({ examples: ['楼道灯'] }),
  externalRef: text({ max: 64 }).optional().describe('本应用自己的单号'),
}

export const ListQuerySchema = z.strictObject({
  ...ListFilterShape,
  state: listQuery(StateSchema).optional().describe('状态，多个用逗号分隔'),
  kind: listQuery(z.enum(KINDS)).optional().describe('种类，多个用逗号分隔'),
  overdue: flagQuery.optional().describe('只看（不看）已超时的'),
  review: flagQuery.optional().describe('只看（不看）须审核的服务项目'),
  mine: z.preprocess((value) => (value === 'true' ? true : value === 'false' ? false : value), z.union([z.boolean(), z.enum(MINE)])).optional()
    .describe('只看我的：filed 我点的，assigned 派给我的，organisation 派给我所在组织的，true 三者都要'),
  filedFrom: instant.optional().describe('点单时间不早于'),
  filedTo: instant.optional().describe('点单时间早于'),
  sort: z.enum(['newest', 'due']).optional().describe('newest 新的在前（缺省），due 先到期的在前（只含有时限在走的）'),
  total: flagQuery.optional().describe('同时回答总数，数到 1000 为止'),
  limit,
  cursor: cursor.optional(),
})

export const RequestPageSchema = PageSchema.extend({
  total: z.strictObject({ count: z.int(), more: z.boolean().describe('不止这么多') }).optional().describe('total=true 时：一共几件，数到 1000 为止'),
}).meta({ id: 'RequestPage', description: '翻页位置和总数' })
