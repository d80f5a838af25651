import type { Transition } from '../../domain/machine.ts'
import { COMPOUND, VILLAGE } from './places.ts'
import { does, type Story } from './story.ts'

/**
 * For each verb a request that waits for just this verb, in the order of the machine: they are filed first and so have
 * the numbers …-000001, …-000002, which the API's examples name.
 */
export const EXAMPLES: Readonly<Partial<Record<Transition, Story>>> = {
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
    by: 'residentC', file: { item: 'small-gift', node: 'YQHF-08-1', title: '孩子想要一套课外书', targetGroup: 'minor' },
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
}
