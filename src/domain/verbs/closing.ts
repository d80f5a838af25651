import type { Verb } from '../machine.ts'
import { NOT_FINAL, PETITIONER } from './groups.ts'

/** 办结、回访、评价. */
export const CLOSING = {
  complete: {
    zh: '办结', past: 'completed', tells: ['filer', 'follow_up'],
    says: '承办人办结，写明结果，等待回访和评价；结果为无法办理的须经派单人确认。并案各件随之办结。',
    edges: [
      { from: ['in_progress'], to: ['completed'], by: ['assignee'] },
      // 即办件: only in the commit that files it
      { from: ['accepted'], to: ['completed'], by: ['on_the_spot'] },
    ],
  },
  confirm: {
    zh: '确认办结', past: 'confirmed', tells: ['filer', 'follow_up'],
    says: '派单人确认确实无法办理，转入回访。',
    edges: [{ from: ['completed'], to: ['completed'], by: ['dispatch'] }],
  },
  'send-back': {
    zh: '退回重做', past: 'sent_back', tells: ['assignee'],
    says: '办结依据不足，退回原承办人继续办理；居民的时限不重新起算。',
    edges: [{ from: ['completed'], to: ['in_progress'], by: ['dispatch', 'follow_up'] }],
  },
  'follow-up': {
    zh: '回访', past: 'followed_up', tells: ['assignee', 'filer', 'dispatch'],
    says: '由承办人以外的回访员回访；未解决或不满意的重办一次；未联系上的保留，多次未联系上按未评价结案。',
    edges: [{ from: ['completed'], to: ['closed', 'accepted', 'completed'], by: ['follow_up'] }],
  },
  rate: {
    zh: '评价', past: 'rated', tells: ['assignee', 'dispatch'],
    says: '点单人或受益人评价；未解决或不满意的重办一次。结案后在期限内还可再评价一次，以最后一次为准。',
    edges: [
      { from: ['completed'], to: ['closed', 'accepted'], by: PETITIONER },
      { from: ['closed'], to: ['closed'], by: PETITIONER },
    ],
  },
  reopen: {
    zh: '重办', past: 'reopened', tells: ['dispatch', 'handler'],
    says: '点单人在期限内、或回访员要求重办：新的一轮，时限重新起算；不予受理的由上一级重开。',
    edges: [
      { from: ['completed', 'closed'], to: ['accepted'], by: ['filer', 'guardian', 'follow_up'] },
      { from: ['rejected'], to: ['accepted'], by: ['approve'] },
    ],
  },
  close: {
    zh: '自动结案', past: 'closed', tells: ['filer'],
    says: '回访期满，由系统结案。',
    edges: [{ from: ['completed'], to: ['closed'], by: ['system'] }],
  },
  withdraw: {
    zh: '撤单', past: 'withdrawn', tells: ['assignee', 'dispatch'],
    says: '点单人撤回；逾期未补正的由系统撤单。',
    edges: [
      { from: NOT_FINAL, to: ['withdrawn'], by: ['filer', 'guardian'] },
      { from: ['returned'], to: ['withdrawn'], by: ['system'] },
    ],
  },
} as const satisfies Record<string, Verb>
