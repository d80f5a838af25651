import type { Verb } from '../machine.ts'

/** 下单与认领. */
export const WALL = {
  place: {
    zh: '下单上墙', past: 'placed', tells: ['filer'],
    says: '组织下单：把心愿放上心愿墙等待认领。上墙文字由下单人撰写，不用点单人的原话。',
    edges: [{ from: ['accepted'], to: ['open'], by: ['publish'] }],
  },
  'take-down': {
    zh: '下墙', past: 'taken_down', tells: ['filer', 'dispatch'],
    says: '从心愿墙取下，回到已受理；到期无人认领又没有兜底单位的由系统取下并提醒。',
    edges: [{ from: ['open'], to: ['accepted'], by: ['publish'] }, { from: ['open'], to: ['accepted'], by: ['system'] }],
  },
  widen: {
    zh: '扩大认领范围', past: 'widened', tells: [],
    says: '无人认领，按时限规则向下一批认领人开放（党员 → 志愿者、爱心人士 → 爱心企业 → 双报到单位）。',
    edges: [{ from: ['open'], to: 'same', by: ['system'] }],
  },
  claim: {
    zh: '认领', past: 'claimed', tells: ['filer', 'publish'],
    says: '经核实的党员、志愿者、爱心人士或爱心企业认领心愿。同一名额只有一人成功，其余得到 409。',
    edges: [{ from: ['open'], to: ['open', 'in_progress'], by: ['claimer'] }],
  },
  'confirm-claim': {
    zh: '同意认领', past: 'claim_confirmed', tells: ['assignee', 'filer'],
    says: '时限规则要求审核的认领，由下单人同意后生效。',
    edges: [{ from: ['open'], to: ['open', 'in_progress'], by: ['publish'] }],
  },
  'decline-claim': {
    zh: '婉拒认领', past: 'claim_declined', tells: ['pending'],
    says: '不同意这次认领，名额重新开放。',
    edges: [{ from: ['open'], to: ['open'], by: ['publish'] }],
  },
  start: {
    zh: '开始办理', past: 'started', tells: ['filer', 'assignee'],
    says: '名额未满也开始办理。',
    edges: [{ from: ['open'], to: ['in_progress'], by: ['publish', 'assignee'] }, { from: ['open'], to: ['in_progress'], by: ['system'] }],
  },
  release: {
    zh: '释放认领', past: 'released', tells: ['assignee', 'filer', 'publish'],
    says: '认领人放弃认领，心愿回到墙上；认领后迟迟不响应的到期由系统释放。派单不能用它退单。',
    edges: [{ from: ['in_progress', 'open'], to: ['open'], by: ['assignee', 'pending'] }, { from: ['in_progress', 'open'], to: ['open'], by: ['system'] }],
  },
} as const satisfies Record<string, Verb>
