import type { ClaimerKind } from './actor.ts'
import type { EnrolmentState, Tie } from './enrolment.ts'
import { IMPORT_COLUMNS } from './import-kinds.ts'
import type { Kind, Result, Satisfaction, Solved, Grade, Source } from './rows.ts'
import { STATES, type State } from './states.ts'

/** 导出: lists as sheets, in the columns that those who keep a 台账 know. */

export const EXPORT_LISTS = [
  'requests', 'ledger', 'visits', 'people', 'households', 'nodes', 'organisations', 'duties', 'contacts', 'enrolments', 'skills', 'items', 'venues', 'campaigns', 'credit',
] as const
export type ExportList = (typeof EXPORT_LISTS)[number]
export const EXPORT_FORMATS = ['xlsx', 'csv'] as const
export type ExportFormat = (typeof EXPORT_FORMATS)[number]

/** 12345 热线工单导出的列, in their order. */
export const LEDGER_HEADINGS = [
  '工单编号', '工单类型', '问题分类', '标签', '标题', '主要内容', '工单状态', '来电人', '来电人电话/账号', '被反映区', '被反映街乡镇', '办理结果', '回复内容', '处理受理方式', '办结时间', '企业名称',
  '是否解决', '是否满意', '工单性质', '村/社区', '小区点位',
] as const

export const HEADINGS: Readonly<Record<ExportList, readonly string[]>> = {
  ledger: LEDGER_HEADINGS,
  requests: ['单号', '种类', '服务项目', '标题', '状态', '来源', '发生地点', '点单时间', '办结时间', '结案时间', '超时', '是否解决', '是否满意'],
  visits: ['走访编号', '节点代码', '节点', '门牌', '走访人工号', '走访人', '结果', '走访时间', '登记时间', '点单'],
  people: ['工号', '姓名', '电话', '门牌', '所在节点', '有账号', '登记时间'],
  households: ['住户', '节点代码', '节点', '门牌', '联系人数', '最近走访', '应走访'],
  // As the template has them: what was exported is imported elsewhere as it is.
  nodes: IMPORT_COLUMNS.nodes.map(({ name }) => name),
  organisations: ['代码', '名称', '类型', '统一社会信用代码', '节点代码', '节点'],
  duties: ['工号', '姓名', '职责', '节点代码', '节点', '组织', '派出单位', '开始', '结束', '替班人工号', '替班人', '替班开始', '替班结束'],
  contacts: ['节点代码', '节点', '层级', '空岗', '职责', '组织', '姓名', '电话', '替班'],
  enrolments: ['类别', '组织关系', '组织代码', '组织', '工号', '姓名', '状态', '申请时间', '核实时间', '结束时间'],
  skills: ['技能代码', '技能', '工号', '姓名', '组织', '等级', '申报时间', '核实时间'],
  items: [...IMPORT_COLUMNS.items.map(({ name }) => name), '须附证明', '须审核', '技能', '有表单', '版本'],
  venues: ['名称', '节点代码', '节点', '地址', '开放时间', '心愿墙节点代码'],
  campaigns: ['代码', '名称', '节点代码', '节点', '开始', '结束', '点单', '办结', '受益人数', '目标点单', '目标办结', '目标受益人数', '招募人数', '已报名'],
  credit: ['名次', '名称', '积分', '办结件数', '从', '到'],
}

export const KIND_WORDS: Readonly<Record<Kind, string>> = { wish: '心愿', service: '服务', errand: '代办', mediation: '调解', suggestion: '建议', activity: '活动' }
export const GRADE_WORDS: Readonly<Record<Grade, string>> = { major: '大事', minor: '小事', practical: '实事', urgent: '急事', difficult: '难事' }
export const RESULT_WORDS: Readonly<Record<Result, string>> = { realised: '已办成', partly: '部分办成', explained: '解释说明', impossible: '不能办理' }
export const SOLVED_WORDS: Readonly<Record<Solved, string>> = { solved: '解决', partly: '部分解决', unsolved: '未解决' }
export const SATISFACTION_WORDS: Readonly<Record<Satisfaction, string>> = { satisfied: '满意', fairly: '基本满意', dissatisfied: '不满意' }
export const SOURCE_WORDS: Readonly<Record<Source, string>> = {
  app: '应用', wall: '心愿墙', mailbox: '信报箱', visit: '走访', phone: '电话', open311: 'Open311', import: '导入', staff: '工作人员', card: '连心卡',
}
export const MODE_WORDS: Readonly<Record<'pool' | 'dispatch', string>> = { pool: '上墙认领', dispatch: '派单' }
export const CLAIMER_WORDS: Readonly<Record<ClaimerKind, string>> = { party_member: '党员', volunteer: '志愿者', individual: '爱心人士', enterprise: '爱心企业', dual_unit: '双报到单位' }
export const TIE_WORDS: Readonly<Record<Tie, string>> = { home: '组织关系所在地', residence: '居住地' }
export const ENROLMENT_WORDS: Readonly<Record<EnrolmentState, string>> = { pending: '待核实', verified: '已核实', rejected: '未通过', ended: '已结束' }
export const stateInWords = (state: State): string => STATES[state].zh

/**
 * A cell that a spreadsheet would work out instead of showing (OWASP: CSV injection): an apostrophe before it makes it text.
 * Full-width signs too, which Excel in Chinese takes for the narrow ones.
 */
export const disarmed = (cell: string): string => (/^[=+\-@\t\r\n＝＋－＠]/.test(cell) ? `'${cell}` : cell)

/** 2026-11-21 09:30 in a zone, as people write it; nothing for null. */
export function localTimes(zone: string): (at: Date | null) => string {
  const format = new Intl.DateTimeFormat('sv-SE', { timeZone: zone, year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit' })
  return (at) => (at === null ? '' : format.format(at))
}
