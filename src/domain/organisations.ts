/** 组织: who stands beside the persons. S0: 红色传承、村居抓总、各方联动; S2: 同盟会; S3: 双报到; S4: 自管委. */
export const ORGANISATION_KINDS = {
  party_committee: '街道党工委',
  community_party: '社区（村）党组织',
  branch: '小区党支部',
  party_group: '楼栋党小组',
  property: '物业公司',
  owners_committee: '业主委员会',
  self_mgmt: '自管委',
  enterprise: '爱心企业',
  dual_unit: '双报到单位',
  alliance_unit: '共建单位',
  volunteer_team: '志愿服务队',
} as const

export type OrganisationKind = keyof typeof ORGANISATION_KINDS
export const ORGANISATION_KIND_NAMES = Object.keys(ORGANISATION_KINDS) as [OrganisationKind, ...OrganisationKind[]]
