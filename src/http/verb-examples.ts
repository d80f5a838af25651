import type { Body } from '../domain/bodies.ts'
import type { Transition } from '../domain/machine.ts'

/** One request of the demo per verb, in a state that allows it: an example that can be executed as it stands. */
export const VERB_EXAMPLES: { readonly [V in Exclude<Transition, 'close' | 'remind' | 'escalate'>]: { number: string; body: Body<V> } } = {
  accept: { number: 'WX20261001-000001', body: { note: '已电话核实' } },
  reject: { number: 'WX20261001-000002', body: { reason: 'out_of_scope', note: '不属于社区服务范围' } },
  return: { number: 'WX20261001-000003', body: { reason: 'incomplete', note: '请补充楼栋和单元' } },
  resubmit: { number: 'WX20261001-000004', body: { description: '3号楼1单元，二层的灯' } },
  place: { number: 'WX20261001-000005', body: { slots: 1, wallTitle: '陪老人下棋', wallText: '每周一次，周末下午' } },
  'take-down': { number: 'WX20261001-000006', body: {} },
  dispatch: { number: 'WX20261001-000007', body: { to: 'YZ-PROPERTY', note: '请尽快安排' } },
  redispatch: { number: 'WX20261001-000008', body: { to: 'YZ-PROPERTY' } },
  claim: { number: 'WX20261001-000009', body: {} },
  release: { number: 'WX20261001-000010', body: { reason: 'no_time' } },
  sign: { number: 'WX20261001-000011', body: {} },
  respond: { number: 'WX20261001-000012', body: { note: '已与居民约好时间' } },
  complete: { number: 'WX20261001-000013', body: { outcome: '已更换声控灯', result: 'realised' } },
  'follow-up': { number: 'WX20261001-000014', body: { solved: 'solved', satisfaction: 'satisfied' } },
  rate: { number: 'WX20261001-000015', body: { solved: 'solved', satisfaction: 'satisfied', comment: '谢谢' } },
  withdraw: { number: 'WX20261001-000016', body: { reason: 'solved_otherwise' } },
}
