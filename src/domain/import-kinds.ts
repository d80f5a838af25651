import { z } from 'zod'
import { code as plainCode, text } from './atoms.ts'
import { CRS, latitude, longitude } from './coordinates.ts'
import { explainName, explainPhone, line, localTime, oneLine, personName, phone } from './import-cells.ts'
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
/** Full-width letters and digits are those of the code. */
const code = z.preprocess((value) => (typeof value === 'string' ? value.normalize('NFKC').replace(/[‐-―−]/g, '-') : value), plainCode)
const yes = { 是: 'yes', 否: 'no' } as const
const flag = z.enum(['yes', 'no']).transform((value) => value === 'yes')
const degrees = (of: typeof longitude) => z.preprocess((value) => (typeof value === 'string' && /^-?\d{1,3}(\.\d+)?$/.test(value) ? Number(value) : value), of)

const GRADE_WORDS: Record<(typeof GRADES)[number], string> = { major: '大事', minor: '小事', practical: '实事', urgent: '急事', difficult: '难事' }
const KIND_WORDS = { 心愿: 'wish', 服务: 'service', 代办: 'errand', 调解: 'mediation', 建议: 'suggestion', 活动: 'activity' } as const
const RESULT_WORDS = { 见到: 'met', 无人: 'not_home', 谢绝: 'refused' } as const
const flipped = (of: Readonly<Record<string, string>>): Record<string, string> => Object.fromEntries(Object.entries(of).map(([key, value]) => [value, key]))

const NODE_CALLED = ['节点代码', '所在节点代码', '地点代码', '所在地点代码', '节点编码', '单元代码', '楼栋代码', '网格代码']
const PHONE_CALLED = ['手机', '手机号', '手机号码', '联系电话', '联系方式', '联系手机', '电话号码', '移动电话', '联系号码']
const DOOR_CALLED = ['门牌号', '门牌号码', '房号', '房间号', '户号', '室号', '户室号']
const NAME_CALLED = ['名字', '居民姓名', '人员姓名', '户主', '户主姓名', '联系人']

const node = (name: string, key: string, example: string, also: readonly string[] = []): ImportColumn => ({ key, name, also, schema: code, expects: CODE, example, width: 18 })
const phones = (key: string, name: string, also: readonly string[] = []): ImportColumn => ({ key, name, also: [...PHONE_CALLED, ...also], schema: phone, expects: PHONE, explain: explainPhone, example: '13800138000', width: 16 })
const person = (key: string, name: string, also: readonly string[]): ImportColumn => ({ key, name, also, schema: personName, expects: words(60), explain: explainName, example: '王示例' })
const doors: ImportColumn = { key: 'door', name: '门牌', also: DOOR_CALLED, schema: z.preprocess(oneLine, door), expects: words(60), example: '502' }

export const IMPORT_COLUMNS: Readonly<Record<ImportKind, readonly ImportColumn[]>> = {
  nodes: [
    { ...node('代码', 'code', 'YQHF-12', ['编码', '节点代码', '节点编码', '地点代码']), required: true },
    { key: 'name', name: '名称', also: ['节点名称', '地点名称'], required: true, schema: line(60), expects: words(60), example: '12号楼' },
    { key: 'level', name: '层级', also: ['级别'], required: true, schema: line(64), expects: says('应为本租户的层级', 'Expected a level of this tenant'), example: '楼栋' },
    { ...node('上级代码', 'parent', 'YQHF', ['上级', '上级编码', '上级节点代码', '上级节点', '上级地点代码']), required: true },
    { key: 'lng', name: '经度', schema: degrees(longitude), expects: says('应为经度，度', 'Expected a longitude in degrees'), example: '118.3412' },
    { key: 'lat', name: '纬度', schema: degrees(latitude), expects: says('应为纬度，度', 'Expected a latitude in degrees'), example: '35.0541' },
    { key: 'crs', name: '坐标系', schema: z.enum(CRS), expects: says('应为坐标系', 'Expected a coordinate system'), choices: Object.fromEntries(CRS.map((one) => [one, one])), example: 'gcj02' },
  ],
  people: [
    { ...person('name', '姓名', NAME_CALLED), required: true },
    phones('phone', '电话'),
    doors,
    { ...node('所在节点代码', 'node', 'YQHF-03-1', [...NODE_CALLED, '所在节点']), required: true },
    { key: 'login', name: '工号', also: ['员工号', '职工号'], schema: code, expects: CODE, example: '' },
    { key: 'role', name: '职责', also: ['职务', '岗位', '角色'], schema: line(64), expects: says('应为职责的代码或名称', 'Expected a role'), example: '' },
    node('任职节点代码', 'dutyNode', '', ['任职节点', '任职地点代码']),
  ],
  households: [
    { ...node('节点代码', 'node', 'YQHF-03-1', NODE_CALLED), required: true },
    { ...doors, required: true },
  ],
  items: [
    { ...node('代码', 'code', 'corridor-light', ['编码', '项目代码', '服务项目代码']), required: true },
    { key: 'name', name: '名称', also: ['项目名称', '服务名称', '服务项目', '服务项目名称'], required: true, schema: line(40), expects: words(40), example: '楼道灯维修' },
    { key: 'kind', name: '类型', also: ['种类'], required: true, schema: z.string(), expects: CODE, choices: KIND_WORDS, example: '服务' },
    { key: 'mode', name: '办法', also: ['办理方式', '方式'], required: true, schema: z.string(), expects: CODE, choices: { 上墙认领: 'pool', 派单: 'dispatch' }, example: '派单' },
    { key: 'category', name: '分类', also: ['类别'], required: true, schema: line(20), expects: words(20), example: '设施维修' },
    { ...node('时限规则代码', 'policy', 'standard', ['时限规则']), required: true },
    { key: 'wall', name: '可上墙', also: ['是否上墙', '上墙'], schema: flag, expects: CODE, choices: yes, example: '否' },
    { key: 'grade', name: '分级', schema: z.enum(GRADES), expects: CODE, choices: flipped(GRADE_WORDS), example: '小事' },
  ],
  visits: [
    { key: 'source', name: '来源', required: true, schema: z.string(), expects: CODE, choices: { 走访: 'visit', 信报箱: 'mailbox' }, example: '走访' },
    { ...node('节点代码', 'node', 'YQHF-03-1', NODE_CALLED), required: true },
    doors,
    { key: 'at', name: '时间', also: ['日期', '走访时间', '走访日期', '收集时间', '收集日期', '登记时间', '登记日期'], required: true, time: true, schema: localTime, expects: says('应为日期或时间，如 2026-11-21 09:30', 'Expected a date or time, such as 2026-11-21 09:30'), example: '2026-11-21 09:30', width: 18 },
    { key: 'result', name: '走访结果', also: ['结果'], schema: z.enum(VISIT_RESULTS), expects: CODE, choices: RESULT_WORDS, example: '见到' },
    node('服务项目代码', 'item', 'corridor-light', ['服务项目', '项目代码', '服务代码']),
    { key: 'title', name: '标题', also: ['诉求标题', '主题'], schema: line(100), expects: words(100), example: '3号楼1单元楼道灯不亮', width: 30 },
    { key: 'description', name: '内容', also: ['诉求内容', '描述', '详情'], schema: text({ max: 4000, multiline: true }), expects: words(4000), example: '三层和四层', width: 40 },
    person('filerName', '诉求人', [...NAME_CALLED, '姓名', '诉求人姓名', '反映人', '反映人姓名']),
    phones('filerPhone', '诉求人电话', ['电话', '反映人电话']),
    { key: 'outcome', name: '当场办理结果', also: ['办理结果'], schema: text({ max: 2000, multiline: true }), expects: words(2000), example: '' },
  ],
}

export const KIND_NAMES: Readonly<Record<ImportKind, string>> = { nodes: '节点', people: '人员和职责', households: '住户', items: '服务菜单', visits: '走访和信报箱' }
