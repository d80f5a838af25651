import type { ClaimerKind } from '../../domain/actor.ts'
import type { OrganisationCode } from './organisations.ts'
import { COMPOUND, STREET, VILLAGE } from './places.ts'

/** Who plays in the demo. 示例 stands for the given name: nobody is called so. Most towers and units have no head yet. */

interface Player {
  name: string
  /** 工号; who has none comes in person. */
  login?: string
  duties?: readonly { role: string; at: string }[]
  /** Duties held in an organisation, not over a place. */
  posts?: readonly { role: string; in: OrganisationCode }[]
  ties?: readonly { kind: ClaimerKind; in: OrganisationCode }[]
  resident?: true
  /** Where he lives: the code of a node. */
  home?: string
}

const member = (branch: OrganisationCode = 'YQHF-DZB') => ({ kind: 'party_member', in: branch }) as const
const volunteer = { kind: 'volunteer', in: 'YINGGUANG' } as const

export const CAST = {
  // 街道
  dispatcher: { login: 'YQ0001', name: '王示例', duties: [{ role: 'dispatcher', at: STREET }] },
  dutyChief: { login: 'YQ0002', name: '李示例', duties: [{ role: 'duty_chief', at: STREET }] },
  inspector: { login: 'YQ0003', name: '张示例', duties: [{ role: 'inspector', at: STREET }] },
  caller: { login: 'YQ0004', name: '刘示例', duties: [{ role: 'caller', at: STREET }] },
  admin: { login: 'YQ0005', name: '陈示例', duties: [{ role: 'admin', at: STREET }] },

  // 梨杭村
  villageSecretary: { login: 'YQ0006', name: '杨示例', duties: [{ role: 'branch_secretary', at: VILLAGE }], ties: [member('LHC-DZZ')] },
  gridHead: { login: 'YQ0007', name: '赵示例', duties: [{ role: 'grid_head', at: VILLAGE }] },
  communityWorker: { login: 'YQ0008', name: '黄示例', duties: [{ role: 'community_worker', at: VILLAGE }] },

  // 银雀华府
  secretary: { login: 'YQ0009', name: '周示例', duties: [{ role: 'branch_secretary', at: COMPOUND }], ties: [member()] },
  gridWorker: { login: 'YQ0010', name: '吴示例', duties: [{ role: 'grid_worker', at: COMPOUND }] },
  microGridWorker: { login: 'YQ0011', name: '徐示例', duties: [{ role: 'micro_grid_worker', at: 'YQHF-05' }] },
  mediator: { login: 'YQ0012', name: '孙示例', duties: [{ role: 'mediator', at: COMPOUND }] },
  headOf1: { login: 'YQ0013', name: '胡示例', duties: [{ role: 'building_head', at: 'YQHF-01' }], ties: [member()] },
  headOf3: { login: 'YQ0014', name: '朱示例', duties: [{ role: 'building_head', at: 'YQHF-03' }] },
  // S1: 交叉任职
  headOf6And7: { login: 'YQ0015', name: '高示例', duties: [{ role: 'building_head', at: 'YQHF-06' }, { role: 'building_head', at: 'YQHF-07' }], posts: [{ role: 'owners_chair', in: 'YQHF-YWH' }] },
  headOfUnit: { login: 'YQ0016', name: '林示例', duties: [{ role: 'unit_head', at: 'YQHF-01-1' }] },
  headOfOtherUnit: { login: 'YQ0017', name: '何示例', duties: [{ role: 'unit_head', at: 'YQHF-03-2' }] },

  // who is asked to help
  propertyManager: { login: 'YQ0018', name: '郭示例', posts: [{ role: 'property_manager', in: 'YZ-PROPERTY' }] },
  agent: { login: 'YQ0019', name: '马示例', posts: [{ role: 'enterprise_agent', in: 'AXSC' }], ties: [{ kind: 'enterprise', in: 'AXSC' }] },
  liaison: { login: 'YQ0020', name: '罗示例', posts: [{ role: 'unit_liaison', in: 'SBD-SL' }], ties: [{ kind: 'dual_unit', in: 'SBD-SL' }] },
  memberA: { login: 'YQ0021', name: '梁示例', ties: [member()] },
  memberB: { login: 'YQ0022', name: '宋示例', ties: [member()] },
  // 双找: works in one branch, lives in another
  memberC: { login: 'YQ0023', name: '郑示例', ties: [member('LHC-DZZ'), member()] },
  leader: { login: 'YQ0024', name: '谢示例', posts: [{ role: 'team_leader', in: 'YINGGUANG' }], ties: [volunteer] },
  volunteerA: { login: 'YQ0025', name: '韩示例', ties: [volunteer] },
  volunteerB: { login: 'YQ0026', name: '唐示例', ties: [volunteer] },
  volunteerC: { name: '冯示例', ties: [volunteer] },
  volunteerD: { name: '于示例', ties: [volunteer] },
  individual: { login: 'YQ0027', name: '董示例', ties: [{ kind: 'individual', in: 'YQHF-DZB' }] },
  memberElsewhere: { login: 'YQ0028', name: '潘示例', ties: [member('XH-DZZ')] },
  enforcement: { login: 'YQ0029', name: '杜示例', posts: [{ role: 'unit_liaison', in: 'SLZF' }] },

  // who files
  residentA: { login: 'YQ1001', name: '萧示例', resident: true, home: 'YQHF-01-1' },
  residentB: { login: 'YQ1002', name: '程示例', resident: true, home: 'YQHF-02-1' },
  residentC: { login: 'YQ1003', name: '曹示例', resident: true, home: 'YQHF-06-1' },
  elder: { name: '袁示例', resident: true, home: 'YQHF-03-2' },
} as const satisfies Record<string, Player>

export type Who = keyof typeof CAST
export const players = Object.entries(CAST) as [Who, Player][]
