import { z } from 'zod'
import { code, phone, text } from './atoms.ts'
import { CRS, latitude, longitude } from './coordinates.ts'
import type { ImportColumn } from './imports.ts'
import { says } from './problems.ts'
import { GRADES } from './request.ts'
import { door, VISIT_RESULTS } from './visits.ts'

/** What can be imported, column by column. Headings are those of the templates. */

export const IMPORT_KINDS = ['nodes', 'people', 'households', 'items', 'visits'] as const
export type ImportKind = (typeof IMPORT_KINDS)[number]

const CODE = says('应为代码：字母、数字、点、横线、下划线', 'Expected a code: letters, digits, dot, dash, underscore')
const words = (max: number) => says(`应为至多 ${max} 字`, `At most ${max} characters`)
const PHONE = says('应为手机号或带区号的固定电话', 'Expected a mobile or landline number')
const yes = { 是: 'yes', 否: 'no' } as const
const flag = z.enum(['yes', 'no']).transform((value) => value === 'yes')
const degrees = (of: typeof longitude) => z.preprocess((value) => (typeof value === 'string' && /^-?\d{1,3}(\.\d+)?$/.test(value) ? Number(value) : value), of)

/** 2026-11-21, 2026/11/21 9:30, 2026年11月21日: a time of the tenant's zone, as `YYYY-MM-DD HH:MM`. */
const localTime = z.string().transform((value, context) => {
  const [, year, month, day, hour = '0', minute = '0'] = /^(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?:\s+(\d{1,2}):(\d{2})(?::\d{2})?)?$/.exec(value.normalize('NFKC')) ?? []
  const two = (part: string) => part.padStart(2, '0')
  const read = year === undefined ? '' : `${year}-${two(month!)}-${two(day!)} ${two(hour)}:${two(minute)}`
  const checked = new Date(`${read.replace(' ', 'T')}:00Z`)
  if (read === '' || Number.isNaN(checked.getTime()) || checked.toISOString().slice(0, 16).replace('T', ' ') !== read) {
    context.addIssue({ code: 'custom', message: 'no time' })
    return z.NEVER
  }
  return read
})

const GRADE_WORDS: Record<(typeof GRADES)[number], string> = { major: '大事', minor: '小事', practical: '实事', urgent: '急事', difficult: '难事' }
const KIND_WORDS = { 心愿: 'wish', 服务: 'service', 代办: 'errand', 调解: 'mediation', 建议: 'suggestion', 活动: 'activity' } as const
const RESULT_WORDS = { 见到: 'met', 无人: 'not_home', 谢绝: 'refused' } as const
const flipped = (of: Readonly<Record<string, string>>): Record<string, string> => Object.fromEntries(Object.entries(of).map(([key, value]) => [value, key]))

const node = (name: string, key: string, example: string): ImportColumn => ({ key, name, schema: code, expects: CODE, example, width: 18 })
const phones = (key: string, name: string): ImportColumn => ({ key, name, schema: phone, expects: PHONE, example: '13800138000', width: 16 })

export const IMPORT_COLUMNS: Readonly<Record<ImportKind, readonly ImportColumn[]>> = {
  nodes: [
    { ...node('代码', 'code', 'YQHF-12'), required: true },
    { key: 'name', name: '名称', required: true, schema: text({ max: 60 }), expects: words(60), example: '12号楼' },
    { key: 'level', name: '层级', required: true, schema: text({ max: 64 }), expects: says('应为本租户的层级', 'Expected a level of this tenant'), example: '楼栋' },
    { ...node('上级代码', 'parent', 'YQHF'), required: true },
    { key: 'lng', name: '经度', schema: degrees(longitude), expects: says('应为经度，度', 'Expected a longitude in degrees'), example: '118.3412' },
    { key: 'lat', name: '纬度', schema: degrees(latitude), expects: says('应为纬度，度', 'Expected a latitude in degrees'), example: '35.0541' },
    { key: 'crs', name: '坐标系', schema: z.enum(CRS), expects: says('应为坐标系', 'Expected a coordinate system'), choices: Object.fromEntries(CRS.map((one) => [one, one])), example: 'gcj02' },
  ],
  people: [
    { key: 'name', name: '姓名', required: true, schema: text({ max: 60 }), expects: words(60), example: '王示例' },
    phones('phone', '电话'),
    { key: 'door', name: '门牌', schema: text({ max: 60 }), expects: words(60), example: '502' },
    { ...node('所在节点代码', 'node', 'YQHF-03-1'), required: true },
    { key: 'login', name: '工号', schema: code, expects: CODE, example: '' },
    { key: 'role', name: '职责', schema: text({ max: 64 }), expects: says('应为职责的代码或名称', 'Expected a role'), example: '' },
    node('任职节点代码', 'dutyNode', ''),
  ],
  households: [
    { ...node('节点代码', 'node', 'YQHF-03-1'), required: true },
    { key: 'door', name: '门牌', required: true, schema: door, expects: words(60), example: '502' },
  ],
  items: [
    { ...node('代码', 'code', 'corridor-light'), required: true },
    { key: 'name', name: '名称', required: true, schema: text({ max: 40 }), expects: words(40), example: '楼道灯维修' },
    { key: 'kind', name: '类型', required: true, schema: z.string(), expects: CODE, choices: KIND_WORDS, example: '服务' },
    { key: 'mode', name: '办法', required: true, schema: z.string(), expects: CODE, choices: { 上墙认领: 'pool', 派单: 'dispatch' }, example: '派单' },
    { key: 'category', name: '分类', required: true, schema: text({ max: 20 }), expects: words(20), example: '设施维修' },
    { ...node('时限规则代码', 'policy', 'standard'), required: true },
    { key: 'wall', name: '可上墙', schema: flag, expects: CODE, choices: yes, example: '否' },
    { key: 'grade', name: '分级', schema: z.enum(GRADES), expects: CODE, choices: flipped(GRADE_WORDS), example: '小事' },
  ],
  visits: [
    { key: 'source', name: '来源', required: true, schema: z.string(), expects: CODE, choices: { 走访: 'visit', 信报箱: 'mailbox' }, example: '走访' },
    { ...node('节点代码', 'node', 'YQHF-03-1'), required: true },
    { key: 'door', name: '门牌', schema: door, expects: words(60), example: '502' },
    { key: 'at', name: '时间', required: true, schema: localTime, expects: says('应为日期或时间，如 2026-11-21 09:30', 'Expected a date or time, such as 2026-11-21 09:30'), example: '2026-11-21 09:30', width: 18 },
    { key: 'result', name: '走访结果', schema: z.enum(VISIT_RESULTS), expects: CODE, choices: RESULT_WORDS, example: '见到' },
    node('服务项目代码', 'item', 'corridor-light'),
    { key: 'title', name: '标题', schema: text({ max: 100 }), expects: words(100), example: '3号楼1单元楼道灯不亮', width: 30 },
    { key: 'description', name: '内容', schema: text({ max: 4000, multiline: true }), expects: words(4000), example: '三层和四层', width: 40 },
    { key: 'filerName', name: '诉求人', schema: text({ max: 60 }), expects: words(60), example: '王示例' },
    phones('filerPhone', '诉求人电话'),
    { key: 'outcome', name: '当场办理结果', schema: text({ max: 2000, multiline: true }), expects: words(2000), example: '' },
  ],
}

export const KIND_NAMES: Readonly<Record<ImportKind, string>> = { nodes: '节点', people: '人员和职责', households: '住户', items: '服务菜单', visits: '走访和信报箱' }
