import type { Verb } from '../machine.ts'
import { RUNNING } from './groups.ts'

/** 并案. */
export const MERGING = {
  merge: {
    zh: '并案', past: 'merged', tells: ['filer'],
    says: '并入另一件办理中的点单，随主件办结；单号、通知、回访和评价各自保留。',
    edges: [{ from: ['filed', 'accepted', 'open'], to: ['merged'], by: ['dispatch'] }],
  },
  absorb: {
    zh: '并入', past: 'absorbed', tells: ['assignee'],
    says: '另一件点单并入本件。',
    edges: [{ from: ['filed', ...RUNNING, 'parked'], to: 'same', by: ['system'] }],
  },
  unmerge: {
    zh: '拆案', past: 'unmerged', tells: ['filer', 'dispatch'],
    says: '从并案中拆出，回到已受理，经过保留；主件撤单或不予受理时由系统拆出。',
    edges: [{ from: ['merged'], to: ['accepted'], by: ['dispatch'] }, { from: ['merged'], to: ['accepted'], by: ['system'] }],
  },
  rejoin: {
    zh: '随主件退回', past: 'rejoined', tells: ['filer'],
    says: '主件办结被退回重做，随之办结而尚未评价的并案件一并退回，等主件再次办结。',
    edges: [{ from: ['completed'], to: ['merged'], by: ['system'] }],
  },
  'follow-lead': {
    zh: '随主件办结', past: 'followed_lead', tells: ['filer', 'follow_up'],
    says: '并案的主件办结，本件在同一次提交中办结，各自回访和评价。',
    edges: [{ from: ['merged'], to: ['completed'], by: ['system'] }],
  },
} as const satisfies Record<string, Verb>
