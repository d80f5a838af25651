import type { OrganisationKind } from '../../domain/organisations.ts'
import { COMPOUND, ELSEWHERE, STREET, VILLAGE } from './places.ts'

/** 街道党工委、梨杭村党总支、小区党支部、沂州物业 and 萤光 stand in S0; the enterprise and the units are made up. */
export const ORGANISATIONS = {
  'YQS-DGW': { name: '银雀山街道党工委', kind: 'party_committee', node: STREET },
  'LHC-DZZ': { name: '梨杭村党总支', kind: 'community_party', node: VILLAGE },
  'YQHF-DZB': { name: '银雀华府小区党支部', kind: 'branch', node: COMPOUND },
  'YQHF-YWH': { name: '银雀华府业主委员会', kind: 'owners_committee', node: COMPOUND },
  'YZ-PROPERTY': { name: '沂州物业', kind: 'property', node: COMPOUND },
  'YINGGUANG': { name: '“萤光”志愿服务队', kind: 'volunteer_team', node: COMPOUND },
  'AXSC': { name: '示例爱心商超', kind: 'enterprise', node: VILLAGE },
  'SBD-SL': { name: '示例双报到单位', kind: 'dual_unit', node: STREET },
  'SLZF': { name: '示例综合执法中队', kind: 'alliance_unit', node: STREET },
  'XH-DZZ': { name: '新华社区党委', kind: 'community_party', node: ELSEWHERE },
} as const satisfies Record<string, { name: string; kind: OrganisationKind; node: string }>

export type OrganisationCode = keyof typeof ORGANISATIONS
