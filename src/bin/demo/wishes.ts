import { VILLAGE } from './places.ts'
import { does, type Story } from './story.ts'

/** S0: 居民点单、组织下单、党员接单. What the wall says is written by the branch, not by who wished. */

const accepted = does('secretary', 'accept', {})
const placed = (wallTitle: string, wallText: string, more: { slots?: number; scope?: string } = {}) => does('secretary', 'place', { wallTitle, wallText, ...more })

export const WISHES: readonly Story[] = [
  // before the wall
  { by: 'gridWorker', filer: 'elder', beneficiary: 'elder', file: { item: 'small-gift', node: 'YQHF-05-2', title: '想要一盏亮一点的台灯', source: 'visit', targetGroup: 'elderly' } },
  {
    by: 'residentC', guardian: 'residentC', file: { item: 'study-help', node: 'YQHF-06-1', title: '想给孩子找数学辅导', targetGroup: 'minor' },
    then: [does('secretary', 'return', { reason: 'incomplete', note: '请补充年级和方便的时间。' }), does('residentC', 'resubmit', { description: '四年级，周六上午方便。' })],
  },
  {
    by: 'residentB', file: { item: 'small-gift', node: 'YQHF-02-1', title: '希望送一部新手机' },
    then: [does('secretary', 'reject', { reason: 'out_of_scope', note: '微心愿以力所能及为限，建议关注以旧换新补贴。' })],
  },
  { by: 'app', file: { item: 'companionship', node: 'YQHF-07-2', title: '想有人教我用手机挂号', externalRef: 'DEMO-001' }, then: [accepted] },

  // on it: several slots, a claim given back, one taken down
  {
    by: 'residentC', guardian: 'residentC', file: { item: 'study-help', node: 'YQHF-06-1', title: '暑期作业没人辅导', targetGroup: 'minor' },
    then: [accepted, placed('暑期作业辅导', '驿站自习室，每周三个下午。', { slots: 3, scope: VILLAGE }), does('memberC', 'claim', {})],
  },
  {
    by: 'headOfOtherUnit', filer: 'elder', file: { item: 'home-haircut', node: 'YQHF-03-2', title: '腿脚不便，想在家理发', source: 'mailbox', targetGroup: 'elderly' },
    then: [accepted, placed('上门理发', '两位老人，就近方便。', { slots: 2 }), does('volunteerA', 'claim', {})],
  },
  {
    by: 'residentC', file: { item: 'tree', node: 'YQHF', title: '南门冬青挡视线' },
    then: [accepted, placed('南门绿篱修剪', '周日上午一起干，工具由物业提供。', { slots: 6 }), does('leader', 'claim', { organisation: 'YINGGUANG' }), does('memberB', 'claim', {})],
  },
  {
    by: 'residentA', file: { item: 'errand', node: 'YQHF-01-1', title: '代取药，每月一次' },
    then: [accepted, placed('每月代取一次药', '医院不远，凭委托书代取。'), does('volunteerB', 'claim', {}), does('volunteerB', 'release', { reason: 'no_time' })],
  },
  {
    by: 'residentA', file: { item: 'small-gift', node: 'YQHF-01-1', title: '想要一个血压计' },
    then: [accepted, placed('一台家用血压计', '送到驿站即可。'), does('secretary', 'take-down', { note: '社区卫生服务站可以免费借用，正在联系。' })],
  },

  // taken by an enterprise, by a 双报到单位
  {
    by: 'residentC', file: { item: 'small-gift', node: 'YQHF-09-1', title: '冬天缺一床厚被子', targetGroup: 'special_hardship' },
    then: [accepted, placed('一床厚棉被', '送到驿站即可。', { scope: VILLAGE }), does('agent', 'claim', { organisation: 'AXSC' })],
  },
  {
    by: 'residentB', file: { item: 'companionship', node: 'YQHF-10-2', title: '想找人一起练普通话' },
    then: [accepted, placed('练普通话的伙伴', '每周一次。', { scope: VILLAGE }), does('liaison', 'claim', { organisation: 'SBD-SL' }), does('liaison', 'respond', {})],
  },

  // done: called in vain, rated, called
  {
    by: 'residentB', file: { item: 'errand', node: 'YQHF-02-1', title: '代寄一个大件包裹' },
    then: [accepted, placed('代寄大件', '需要一辆车。'), does('individual', 'claim', {}), does('individual', 'complete', { outcome: '已寄出，单据放在驿站。' }), does('caller', 'follow-up', { reached: false })],
  },
  {
    by: 'residentC', guardian: 'residentC', file: { item: 'small-gift', node: 'YQHF-06-2', title: '想要一个新书包', targetGroup: 'minor' },
    then: [
      accepted, placed('一个小学生书包', '颜色不限。', { scope: VILLAGE }), does('memberC', 'claim', {}), does('memberC', 'complete', { outcome: '书包已送到。' }),
      does('residentC', 'rate', { solved: 'solved', satisfaction: 'satisfied', comment: '孩子很喜欢，谢谢！' }),
    ],
  },
  {
    by: 'residentA', beneficiary: 'elder', file: { item: 'companionship', node: 'YQHF-01-1', title: '重阳节想有人陪着包饺子', targetGroup: 'elderly' },
    then: [
      accepted, placed('一起包饺子', '重阳节当天，驿站厨房。', { slots: 2 }), does('memberA', 'claim', {}), does('volunteerA', 'claim', {}),
      does('volunteerA', 'complete', { outcome: '包了饺子，拉了家常。' }), does('caller', 'follow-up', { solved: 'solved', satisfaction: 'satisfied' }),
    ],
  },
  {
    by: 'residentB', file: { item: 'small-gift', node: 'YQHF-02-1', title: '想要一个旧书架' },
    then: [accepted, placed('一个旧书架', '可以自己来搬。'), does('residentB', 'withdraw', { reason: 'solved_otherwise' })],
  },
]
