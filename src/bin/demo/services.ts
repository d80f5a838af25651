import type { NewItem } from '../../service/items.ts'
import { COMPOUND } from './places.ts'
import { does, type Story } from './story.ts'

/** S1 组织接单、党员办单; S3 业主点单、楼栋长派单、社区工作者接单; S4 联动. */

const accepted = does('dispatcher', 'accept', {})
const toProperty = does('dispatcher', 'dispatch', { to: 'YZ-PROPERTY' })
const signed = does('propertyManager', 'sign', {})
const done = (outcome: string) => does('propertyManager', 'complete', { outcome })

/** S2: 在线上填写表格、后台审核、线下跑腿代办. */
export const CERTIFICATE: NewItem = {
  code: 'residence-certificate', name: '代办居住证明', category: '跑腿代办', kind: 'errand', mode: 'dispatch', wall: false, policy: 'standard', grade: null, gradePolicies: {}, proof: false, review: true,
  form: {
    type: 'object', additionalProperties: false, required: ['use', 'idNumber'],
    properties: {
      use: { type: 'string', title: '用途', oneOf: [{ const: 'school', title: '子女入学' }, { const: 'work', title: '就业' }, { const: 'other', title: '其他' }] },
      idNumber: { type: 'string', title: '身份证号', maxLength: 18, pattern: '^\\d{17}[\\dX]$', 'x-personal': true },
      copies: { type: 'integer', title: '份数', minimum: 1, maximum: 5 },
      since: { type: 'string', title: '从哪一天起居住', format: 'date' },
    },
  },
}

export const SERVICES: readonly Story[] = [
  // a form, and somebody other than who asked who looks through it
  {
    by: 'residentC', file: { item: CERTIFICATE.code, node: 'YQHF-06-1', title: '代办居住证明', form: { use: 'school', idNumber: '000000200001010000', copies: 2, since: '2019-05-01' } },
    then: [does('dispatcher', 'return', { reason: 'incomplete', note: '请补充房屋租赁合同。' })],
  },
  { by: 'app', file: { item: 'elevator', node: 'YQHF-03-2', title: '电梯门关得太快', description: '老人推着小车来不及进。', externalRef: 'DEMO-002' } },
  // S3: nobody need accept what the building settles itself
  { by: 'headOf1', file: { item: 'corridor-light', node: 'YQHF-01-2', title: '五楼楼道灯不亮', source: 'visit' } },
  { by: 'gridWorker', filer: 'residentC', file: { item: 'suggestion', node: COMPOUND, title: '建议驿站周末延长开放时间', source: 'mailbox' }, then: [accepted] },
  { by: 'residentA', file: { item: 'illegal-building', node: 'YQHF-11', title: '一楼小院加了顶棚' }, then: [does('dispatcher', 'reject', { reason: 'unverifiable', note: '现场核实没有发现，请补充位置后再报。' })] },

  // sent on, and under way with the community, the mediator, the owners' committee
  {
    by: 'gridWorker', file: { item: 'illegal-parking', node: COMPOUND, title: '消防通道停了车', source: 'visit' },
    then: [does('gridWorker', 'accept', {}), does('gridWorker', 'dispatch', { to: 'YZ-PROPERTY' }), does('dutyChief', 'redispatch', { to: 'YQ0008', note: '请社区会同处理。' })],
  },
  {
    by: 'residentC', file: { item: 'mediation', node: 'YQHF-06', title: '楼上楼下因噪声有矛盾', confidential: true },
    then: [accepted, does('villageSecretary', 'dispatch', { to: 'YQ0012' }), does('mediator', 'sign', {})],
  },
  { by: 'residentA', file: { item: 'parking', node: COMPOUND, title: '充电车位常被占用' }, then: [accepted, does('dispatcher', 'dispatch', { to: 'YQHF-YWH' }), does('headOf6And7', 'sign', {})] },

  // done within the building
  {
    by: 'residentC', file: { item: 'flyer-removal', node: 'YQHF-06', title: '单元门上小广告太多' },
    then: [
      does('headOf6And7', 'dispatch', { to: 'YQ0026' }), does('volunteerB', 'sign', {}), does('volunteerB', 'complete', { outcome: '已全部清除。' }),
      does('residentC', 'rate', { solved: 'solved', satisfaction: 'fairly' }),
    ],
  },
  // 不满意重办, once under a new clock: still under way, and good at last
  {
    by: 'residentA', file: { item: 'drain', node: 'YQHF-01-1', title: '厨房下水慢' },
    then: [accepted, toProperty, signed, done('已疏通。'), does('caller', 'follow-up', { solved: 'unsolved', satisfaction: 'dissatisfied', comment: '第二天又堵了。' }), toProperty, signed],
  },
  {
    by: 'residentB', file: { item: 'environment-cleaning', node: 'YQHF-02', title: '楼道堆物' },
    then: [
      accepted, toProperty, signed, done('已通知各户清理。'), does('residentB', 'rate', { solved: 'partly', satisfaction: 'dissatisfied' }),
      toProperty, signed, done('已全部清走。'), does('caller', 'follow-up', { solved: 'solved', satisfaction: 'satisfied' }),
    ],
  },
  { by: 'residentC', file: { item: 'parking', node: COMPOUND, title: '访客车位不够' }, then: [does('residentC', 'withdraw', { reason: 'mistake' })] },
]
