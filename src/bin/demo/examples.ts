import type { Callable } from '../../domain/machine.ts'
import { VERB_EXAMPLES } from '../../http/verb-examples.ts'
import { COMPOUND, STREET, VILLAGE } from './places.ts'
import { does, type Story } from './story.ts'

const accepted = does('dispatcher', 'accept', {})
const toProperty = [accepted, does('dispatcher', 'dispatch', { to: 'YZ-PROPERTY' })] as const
/** Under way with the property firm. */
const signed = [...toProperty, does('propertyManager', 'sign', {})] as const
const done = [...signed, does('propertyManager', 'complete', { outcome: '已处理完毕。' })] as const
const placed = (wallTitle: string, wallText: string, more: { slots?: number; scope?: string } = {}) =>
  [does('secretary', 'accept', {}), does('secretary', 'place', { wallTitle, wallText, ...more })] as const

const returnAsked = does('propertyManager', 'ask-return', { reason: 'unclear_duty', note: '不在物业服务合同范围内。' })
const returnDenied = does('dispatcher', 'deny-return', { reason: '合同附件三已列明。' })
const extensionAsked = does('propertyManager', 'ask-extension', { limit: '3wd', reason: '等配件。' })
const parkAsked = does('dispatcher', 'ask-park', { limit: '30d', reason: '等改造立项。' })
const exclusionAsked = does('propertyManager', 'ask-exclusion', { reason: '整栋楼停电检修三天。' })
const helped = [...signed, does('dispatcher', 'add-co', { to: 'YQ0008', note: '请社区会同处理。' })] as const

/**
 * For each verb a request that waits for just this verb, in the order of the API's examples: they are filed first and so
 * have the numbers …-000001, …-000002, which those name.
 */
export const EXAMPLES: Readonly<Record<Callable, Story>> = {
  accept: { by: 'residentB', file: { item: 'parking', node: COMPOUND, title: '地下车位线看不清了' } },
  reject: { by: 'residentC', file: { item: 'illegal-building', node: 'YQHF-04', title: '楼顶疑似有人搭建' } },
  return: { by: 'residentB', file: { item: 'errand', node: 'YQHF-02-1', title: '想请人帮忙跑一趟办手续' } },
  resubmit: {
    by: 'residentA', file: { item: 'cleaning', node: COMPOUND, title: '楼道很久没人打扫' },
    then: [does('dispatcher', 'return', { reason: 'incomplete', note: '请补充楼栋和单元。' })],
  },
  place: {
    by: 'residentA', file: { item: 'companionship', node: 'YQHF-01-1', title: '想找人周末陪父亲下象棋', description: '父亲退休后很少出门，想有人陪他下下棋、说说话。', targetGroup: 'elderly' },
    then: [does('secretary', 'accept', { note: '已电话核实。' })],
  },
  'take-down': {
    by: 'residentC', guardian: 'residentC', file: { item: 'small-gift', node: 'YQHF-08-1', title: '孩子想要一套课外书', targetGroup: 'minor' },
    then: [does('secretary', 'accept', {}), does('secretary', 'place', { wallTitle: '一套适合三年级的课外书', wallText: '新旧都可以，送到党员萤火驿站。', scope: VILLAGE })],
  },
  dispatch: { by: 'residentB', file: { item: 'drain', node: 'YQHF-02-1', title: '一楼下水管反水' }, then: [does('dispatcher', 'accept', {})] },
  redispatch: {
    by: 'residentC', file: { item: 'home-certification', node: 'YQHF-06-1', title: '请上门办理养老资格认证', targetGroup: 'elderly' },
    then: [does('dispatcher', 'accept', {}), does('dispatcher', 'dispatch', { to: 'YQ0008' })],
  },
  claim: {
    by: 'residentA', beneficiary: 'elder', file: { item: 'companionship', node: 'YQHF-01-2', title: '希望有人陪邻居老人散步', targetGroup: 'elderly' },
    then: [does('secretary', 'accept', {}), does('secretary', 'place', { wallTitle: '傍晚散步，缺个伴', wallText: '每周两次，傍晚在小区里走一走。' })],
  },
  release: {
    by: 'residentB', file: { item: 'small-repair', node: 'YQHF-04-1', title: '纱窗坏了自己装不上' },
    then: [does('secretary', 'accept', {}), does('secretary', 'place', { wallTitle: '换一扇纱窗', wallText: '材料已备好，需要会装的人。' }), does('memberB', 'claim', {})],
  },
  sign: {
    by: 'residentB', file: { item: 'repair-road', node: COMPOUND, title: '北门路面有坑' },
    then: [does('dispatcher', 'accept', {}), does('dispatcher', 'dispatch', { to: 'YZ-PROPERTY' })],
  },
  respond: {
    by: 'residentA', file: { item: 'elevator', node: 'YQHF-01-1', title: '电梯按键不灵' },
    then: [does('dispatcher', 'accept', {}), does('dispatcher', 'dispatch', { to: 'YZ-PROPERTY' }), does('propertyManager', 'sign', {})],
  },
  complete: {
    by: 'residentA', file: { item: 'corridor-light', node: 'YQHF-01-1', title: '门厅灯一直闪' },
    then: [does('headOf1', 'dispatch', { to: 'YQ0016' }), does('headOfUnit', 'sign', {}), does('headOfUnit', 'respond', { note: '今晚带人来看。' })],
  },
  'follow-up': {
    by: 'residentB', file: { item: 'cleaning', node: 'YQHF-02', title: '楼前垃圾桶周围不干净' },
    then: [does('dispatcher', 'accept', {}), does('dispatcher', 'dispatch', { to: 'YZ-PROPERTY' }), does('propertyManager', 'sign', {}), does('propertyManager', 'complete', { outcome: '已冲洗地面，增加一次清运。' })],
  },
  rate: {
    by: 'residentA', file: { item: 'small-repair', node: 'YQHF-01-1', title: '水龙头滴水' },
    then: [does('secretary', 'accept', {}), does('secretary', 'place', { wallTitle: '修一个水龙头', wallText: '配件已买。' }), does('memberA', 'claim', {}), does('memberA', 'complete', { outcome: '已更换阀芯，不再滴水。' })],
  },
  withdraw: { by: 'residentC', file: { item: 'tree', node: COMPOUND, title: '树枝碰到二楼窗户' } },

  amend: { by: 'residentB', file: { item: 'repair-road', node: 'YQHF-01', title: '门口的灯不亮' } },
  consent: { by: 'residentA', file: { item: 'companionship', node: 'YQHF-01-1', title: '想找人一起晨练', consents: [] }, then: [accepted] },
  'confirm-claim': {
    by: 'residentA', beneficiary: 'elder', file: { item: 'small-repair', node: 'YQHF-01-2', title: '想装一个淋浴扶手', targetGroup: 'elderly' },
    then: [...placed('装一个扶手', '扶手已买，需要会打孔的人。', { scope: STREET }), does('memberElsewhere', 'claim', {})],
  },
  'decline-claim': {
    by: 'residentB', beneficiary: 'elder', file: { item: 'companionship', node: 'YQHF-05-1', title: '想找人读报', targetGroup: 'elderly' },
    then: [...placed('每周读一次报', '周三上午，在驿站。', { scope: STREET }), does('memberElsewhere', 'claim', {})],
  },
  start: {
    by: 'residentC', file: { item: 'environment-cleaning', node: 'YQHF-08', title: '楼后杂草没人管' },
    then: [...placed('一起除杂草', '周六上午，工具齐全。', { slots: 5 }), does('memberA', 'claim', {}), does('volunteerA', 'claim', {})],
  },
  assign: {
    by: 'residentB', file: { item: 'small-repair', node: 'YQHF-02-1', title: '单元门锁不上' },
    then: [accepted, does('dispatcher', 'dispatch', { to: 'YINGGUANG' }), does('leader', 'sign', {})],
  },
  'ask-return': { by: 'residentA', file: { item: 'repair-road', node: COMPOUND, title: '路灯杆倾斜' }, then: [...toProperty] },
  'grant-return': { by: 'residentB', file: { item: 'repair-road', node: COMPOUND, title: '围墙外的人行道塌了' }, then: [...toProperty, returnAsked] },
  'deny-return': { by: 'residentC', file: { item: 'elevator', node: 'YQHF-06', title: '电梯里没有信号' }, then: [...signed, returnAsked] },
  adjudicate: {
    by: 'residentA', file: { item: 'parking', node: COMPOUND, title: '车棚顶漏雨' },
    then: [...toProperty, returnAsked, returnDenied, returnAsked, returnDenied, returnAsked],
  },
  record: {
    by: 'residentA', beneficiary: 'elder', file: { item: 'errand', node: 'YQHF-01-1', title: '代办老年优待证', targetGroup: 'elderly' },
    then: [accepted, does('dispatcher', 'dispatch', { to: 'YQ0008' }), does('communityWorker', 'sign', {})],
  },
  'sign-up': {
    by: 'gridWorker', file: { item: 'activity', node: COMPOUND, title: '睦邻节', source: 'staff' },
    then: [...placed('睦邻节百家宴', '每家带一道菜，周日傍晚在小广场。', { slots: 4 })],
  },
  'cancel-sign-up': {
    by: 'gridWorker', file: { item: 'activity', node: COMPOUND, title: '防溺水讲座', source: 'staff' },
    then: [...placed('防溺水安全讲座', '周六上午，活动中心。', { slots: 2 }), does('residentB', 'sign-up', {})],
  },
  'add-co': { by: 'residentC', file: { item: 'cleaning', node: 'YQHF-06', title: '楼道堆了旧家具' }, then: [...signed] },
  'co-done': { by: 'residentB', file: { item: 'cleaning', node: 'YQHF-02', title: '阳台往下抖床单' }, then: [...helped] },
  'remove-co': { by: 'residentA', file: { item: 'cleaning', node: 'YQHF-01', title: '地库有积水' }, then: [...helped] },
  whistle: { by: 'residentC', file: { item: 'illegal-building', node: 'YQHF-10', title: '一楼往外扩了一间' }, then: [...signed] },
  'report-in': {
    by: 'residentB', file: { item: 'illegal-parking', node: COMPOUND, title: '东门外整夜停大货车' },
    then: [...signed, does('dispatcher', 'whistle', { to: ['SLZF', 'YQ0008'], reason: 'joint_enforcement' })],
  },
  deliberate: { by: 'residentC', file: { item: 'parking', node: COMPOUND, title: '想增设电动车棚' }, then: [accepted] },
  'ask-extension': { by: 'residentB', file: { item: 'repair-road', node: 'YQHF-02', title: '楼前台阶松动' }, then: [...signed] },
  'grant-extension': { by: 'residentA', file: { item: 'repair-road', node: 'YQHF-01', title: '坡道扶手脱焊' }, then: [...signed, extensionAsked] },
  'deny-extension': { by: 'residentC', file: { item: 'repair-road', node: 'YQHF-06', title: '门口地砖翘起' }, then: [...signed, extensionAsked] },
  'ask-park': { by: 'residentB', file: { item: 'suggestion', node: 'YQHF-02', title: '建议加装电梯' }, then: [accepted] },
  'grant-park': { by: 'residentA', file: { item: 'suggestion', node: 'YQHF-01', title: '建议外墙整体保温' }, then: [accepted, parkAsked] },
  'deny-park': { by: 'residentC', file: { item: 'repair-road', node: 'YQHF-09', title: '化粪池盖板开裂' }, then: [accepted, parkAsked] },
  unpark: {
    by: 'residentB', file: { item: 'suggestion', node: COMPOUND, title: '建议更换小区大门' },
    then: [accepted, parkAsked, does('dutyChief', 'grant-park', { note: '列入明年计划。' })],
  },
  'ask-exclusion': { by: 'residentA', file: { item: 'home-certification', node: 'YQHF-01-1', title: '上门办社保认证' }, then: [...signed] },
  'grant-exclusion': { by: 'residentB', file: { item: 'cleaning', node: 'YQHF-02-2', title: '门厅玻璃脏' }, then: [...signed, exclusionAsked] },
  'deny-exclusion': { by: 'residentC', file: { item: 'cleaning', node: 'YQHF-06-2', title: '楼梯扶手积灰' }, then: [...signed, exclusionAsked] },
  confirm: {
    by: 'residentA', file: { item: 'parking', node: COMPOUND, title: '想在楼前加一个车位' },
    then: [...signed, does('propertyManager', 'complete', { result: 'impossible', outcome: '楼前是消防登高面，不能停车。' })],
  },
  'send-back': {
    by: 'residentB', file: { item: 'flyer-removal', node: 'YQHF-02', title: '两个单元都贴满小广告' },
    then: [does('gridWorker', 'dispatch', { to: 'YZ-PROPERTY' }), does('propertyManager', 'sign', {}), does('propertyManager', 'complete', { outcome: '一单元已清除。' })],
  },
  reopen: { by: 'residentA', file: { item: 'repair-road', node: 'YQHF-01', title: '一楼墙面渗水' }, then: [...done] },
  merge: { by: 'residentB', file: { item: 'repair-road', node: COMPOUND, title: '北门口的路不平' }, then: [accepted] },
  unmerge: {
    by: 'residentA', file: { item: 'repair-road', node: COMPOUND, title: '北门里面有个坑' },
    then: [accepted, does('dispatcher', 'merge', { into: VERB_EXAMPLES.supervise.number })],
  },
  urge: { by: 'residentA', file: { item: 'corridor-light', node: 'YQHF-01-1', title: '三楼感应灯失灵' } },
  supervise: { by: 'residentC', file: { item: 'repair-road', node: COMPOUND, title: '北门路面又塌了一块' }, then: [...signed] },
  raise: { by: 'residentB', file: { item: 'environment-cleaning', node: COMPOUND, title: '南侧河沟有异味' }, then: [accepted] },
  'hand-over': { by: 'residentC', file: { item: 'suggestion', node: COMPOUND, title: '建议在楼下装晾衣架' }, then: [does('gridWorker', 'accept', {})] },
}
