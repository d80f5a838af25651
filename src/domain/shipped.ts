import type { Capability } from './machine.ts'
import type { Item } from './request.ts'
import { DEFAULT_POLICY, type Policy } from './policy.ts'

/** What a new tenant starts with. From then on it is the tenant's own data: change it there, not here. */

export interface ShippedRole {
  code: string
  name: string
  capabilities: Capability[]
}

/**
 * The duties of the five articles and of GB/T 30428. Those at a node cover its subtree; those of an organisation
 * (`handle` alone) reach what is dispatched to it and nothing else.
 */
export const SHIPPED_ROLES: readonly ShippedRole[] = [
  // S0: the branch places what residents file
  { code: 'branch_secretary', name: '支部书记', capabilities: ['view', 'file_for', 'dispatch', 'publish', 'approve', 'supervise'] },
  // GB/T 30428: 派遣员, 值班长, 督查员
  { code: 'dispatcher', name: '派单员', capabilities: ['view', 'file_for', 'dispatch', 'publish', 'approve'] },
  { code: 'duty_chief', name: '值班长', capabilities: ['view', 'file_for', 'dispatch', 'publish', 'approve', 'supervise'] },
  { code: 'inspector', name: '督查员', capabilities: ['view', 'supervise'] },
  { code: 'caller', name: '回访员', capabilities: ['view', 'follow_up'] },
  // S3: 楼栋长派单, 社区工作者接单
  { code: 'building_head', name: '楼栋长', capabilities: ['view', 'file_for', 'dispatch', 'handle', 'supervise'] },
  { code: 'unit_head', name: '单元长', capabilities: ['view', 'file_for', 'handle', 'supervise'] },
  { code: 'community_worker', name: '社区工作者', capabilities: ['view', 'file_for', 'handle'] },
  // S0: 五大员; grid staff dispatch through Swagger
  { code: 'grid_head', name: '网格长', capabilities: ['view', 'file_for', 'dispatch', 'publish', 'approve', 'handle', 'supervise'] },
  { code: 'grid_worker', name: '网格员', capabilities: ['view', 'file_for', 'dispatch', 'publish', 'handle'] },
  { code: 'micro_grid_worker', name: '微网格员', capabilities: ['view', 'file_for', 'handle'] },
  // S1: 首问责任制; 三长 (片长、组长、邻长) and the constable are on the public board beside the head of the building
  { code: 'front_desk', name: '首问责任人', capabilities: ['view', 'file_for'] },
  { code: 'patch_head', name: '片长', capabilities: ['view', 'file_for', 'supervise'] },
  { code: 'group_head', name: '组长', capabilities: ['view', 'file_for', 'supervise'] },
  { code: 'neighbour_head', name: '邻长', capabilities: ['view', 'file_for', 'supervise'] },
  { code: 'constable', name: '社区民警', capabilities: ['handle'] },
  // S2: 代办员跑腿
  { code: 'runner', name: '跑腿代办员', capabilities: ['handle'] },
  // S3: 社区党组织—楼栋党小组—业主委员会(物业公司)—楼栋长
  { code: 'community_secretary', name: '社区党组织书记', capabilities: ['view', 'file_for', 'dispatch', 'publish', 'approve', 'supervise'] },
  { code: 'party_group_head', name: '楼栋党小组长', capabilities: ['view', 'file_for', 'dispatch', 'handle', 'supervise'] },
  // A mediator sees what is given to him: neighbours' quarrels are nobody else's business (S3: 调解室)
  { code: 'mediator', name: '和事佬', capabilities: ['handle'] },
  { code: 'admin', name: '管理员', capabilities: ['view', 'administer', 'audit'] },
  // 三员 (GB/T 22239, 等保三级): nobody is two of them
  { code: 'system_admin', name: '系统管理员', capabilities: ['configure'] },
  { code: 'security_admin', name: '安全管理员', capabilities: ['secure'] },
  { code: 'audit_admin', name: '审计管理员', capabilities: ['audit'] },
  { code: 'property_manager', name: '物业经理', capabilities: ['handle'] },
  { code: 'owners_chair', name: '业委会主任', capabilities: ['handle'] },
  { code: 'enterprise_agent', name: '企业代办人', capabilities: ['handle'] },
  { code: 'team_leader', name: '志愿服务队队长', capabilities: ['handle'] },
  { code: 'unit_liaison', name: '双报到单位联络员', capabilities: ['handle'] },
]

export type ShippedPolicyCode = 'standard' | 'wish' | 'urgent' | 'auto'

/** Sources of the numbers: domain.md 1.3. */
export const SHIPPED_POLICIES: Readonly<Record<ShippedPolicyCode, Policy>> = {
  standard: DEFAULT_POLICY,

  wish: {
    ...DEFAULT_POLICY,
    limits: {
      ...DEFAULT_POLICY.limits,
      claim: '7d', // 宝教寺社区: the wall is gone through weekly
      complete: '22d', // that week, and the longest feedback class of Beijing's DB11, 15 d
    },
  },

  // DB11, life and property or water, power, gas, heat: dispatched within 2 h, fed back within 24 h; round the clock
  urgent: {
    ...DEFAULT_POLICY,
    limits: {
      ...DEFAULT_POLICY.limits,
      accept: '1h', place: '1h', claim: '24h', sign: '1h', respond: '2h', complete: '24h',
      co: '12h', report_in: '1h', answer: '1h', confirm: '2h', lease: '2h', wave: '2h',
      follow_up: '1wd', // a bureau's 12345 rule: 回访 the day after
    },
    stepReminders: { complete: [{ share: 0.5 }, { before: '4h', tell: ['assignee', 'dispatch'] }, { at: true, tell: ['assignee', 'dispatch', 'first_contact'] }] },
    rungEvery: '2h',
  },

  // S3: the building's own matters need no acceptance, 在规定时限内帮助群众解决
  auto: {
    ...DEFAULT_POLICY,
    limits: {
      ...DEFAULT_POLICY.limits,
      place: '24h', // DB11: general matters are dispatched within 24 h
      complete: '7d', // DB11: the third feedback class
    },
    autoAccept: true,
  },
}

const PLAIN = { grade: null, gradePolicies: {}, proof: false, skills: [] } as const

/** S2: 红色管家技能库; S3: 绘画、设计、手工特长的楼栋能人. What the menu below takes, and what people bring. */
export const SHIPPED_SKILLS = {
  electrics: '水电维修', plumbing: '管道疏通', 'appliance-repair': '家电维修', gardening: '园艺修剪', haircut: '理发', care: '陪护照料', errands: '代买代办',
  tutoring: '课业辅导', 'phone-help': '手机使用', 'first-aid': '急救', counselling: '心理疏导', 'legal-advice': '法律咨询', mediation: '矛盾调解',
  painting: '绘画', design: '设计', handicraft: '手工',
} as const

export type ShippedItem = Omit<Item, 'id'> & { category: string; policyCode: ShippedPolicyCode; skills: readonly (keyof typeof SHIPPED_SKILLS)[] }

/** The thirteen services that the articles count up (S1, S3, S4), then what S0's wall is for. */
export const SHIPPED_ITEMS: readonly ShippedItem[] = [
  service('repair-road', '破损路面维修', '设施维修'),
  service('corridor-light', '楼道灯维修', '设施维修', { policyCode: 'auto', skills: ['electrics'] }),
  service('drain', '下水管道疏通', '设施维修', { policyCode: 'urgent', skills: ['plumbing'] }),
  service('elevator', '电梯使用', '设施维修', { policyCode: 'urgent' }),
  service('tree', '树枝修剪', '环境卫生', { wall: true, skills: ['gardening'] }),
  service('environment-cleaning', '环境清理', '环境卫生', { wall: true }),
  service('cleaning', '大院保洁', '环境卫生'),
  service('flyer-removal', '小广告清理', '环境卫生', { policyCode: 'auto', wall: true }),
  service('parking', '车位管理', '公共秩序'),
  service('illegal-parking', '车辆乱停乱放', '公共秩序'),
  service('illegal-building', '私搭乱建', '公共秩序'),
  service('home-certification', '上门认证', '上门服务'),
  service('mediation', '邻里矛盾调解', '矛盾调解', { kind: 'mediation', skills: ['mediation'] }),

  wish('companionship', '陪伴关爱', ['care']),
  wish('small-gift', '微心愿物资'),
  wish('study-help', '助学辅导', ['tutoring']),
  wish('home-haircut', '上门理发', ['haircut']),
  wish('small-repair', '小修小补', ['electrics', 'appliance-repair']),
  { ...wish('errand', '跑腿代办', ['errands']), kind: 'errand', category: '上门服务' },
  // S0: 送“福”迎新春、情暖重阳、睦邻节; volunteers claim to run it, residents sign up
  { ...wish('activity', '邻里活动'), kind: 'activity', category: '邻里活动' },
  // A suggestion is answered, not claimed (S0: 居民信报箱)
  service('suggestion', '意见建议', '意见建议', { kind: 'suggestion' }),
]

function service(code: string, name: string, category: string, differs: Partial<ShippedItem> = {}): ShippedItem {
  return { ...PLAIN, code, name, category, kind: 'service', mode: 'dispatch', wall: false, policyCode: 'standard', ...differs }
}

function wish(code: string, name: string, skills: ShippedItem['skills'] = []): ShippedItem {
  return { ...PLAIN, skills, code, name, category: '微心愿', kind: 'wish', mode: 'pool', wall: true, policyCode: 'wish' }
}
