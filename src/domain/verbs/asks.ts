import type { Verb } from '../machine.ts'
import { AT_WORK } from './groups.ts'

/** 延期、挂账、剔除. */
export const ASKS = {
  'ask-extension': {
    zh: '申请延期', past: 'extension_asked', tells: ['approve'],
    says: '承办人在到期之前申请延期；到期以后不能再申请。',
    edges: [{ from: AT_WORK, to: 'same', by: ['assignee'] }],
  },
  'grant-extension': {
    zh: '同意延期', past: 'extension_granted', tells: ['assignee', 'filer'],
    says: '上一级同意延期：办结时限顺延，已有的升级解除，原时限保留，居民得到通知和理由。',
    edges: [{ from: AT_WORK, to: 'same', by: ['approve'] }],
  },
  'deny-extension': {
    zh: '不同意延期', past: 'extension_denied', tells: ['assignee'],
    says: '上一级不同意延期。',
    edges: [{ from: AT_WORK, to: 'same', by: ['approve'] }],
  },
  'ask-park': {
    zh: '申请挂账', past: 'park_asked', tells: ['approve'],
    says: '一时办不了的在到期之前申请挂账，须有复核日期和理由。',
    edges: [{ from: ['accepted', 'open', 'in_progress'], to: 'same', by: ['dispatch', 'assignee'] }],
  },
  'grant-park': {
    zh: '同意挂账', past: 'parked', tells: ['assignee', 'filer', 'dispatch'],
    says: '上一级同意挂账，时限停走，到复核日期由系统销账；居民得到通知和理由。',
    edges: [{ from: ['accepted', 'open', 'in_progress'], to: ['parked'], by: ['approve'] }],
  },
  'deny-park': {
    zh: '不同意挂账', past: 'park_denied', tells: ['assignee', 'dispatch'],
    says: '上一级不同意挂账。',
    edges: [{ from: ['accepted', 'open', 'in_progress'], to: 'same', by: ['approve'] }],
  },
  unpark: {
    zh: '销账', past: 'unparked', tells: ['dispatch', 'filer'],
    says: '恢复办理，时限继续走；到复核日期由系统销账。',
    edges: [{ from: ['parked'], to: ['accepted'], by: ['dispatch', 'approve'] }, { from: ['parked'], to: ['accepted'], by: ['system'] }],
  },
  'ask-exclusion': {
    zh: '申请剔除', past: 'exclusion_asked', tells: ['approve'],
    says: '申请不计入考核，须有理由；办理中的须在到期之前申请。',
    edges: [{ from: ['in_progress', 'completed', 'closed'], to: 'same', by: ['dispatch', 'assignee', 'handler'] }],
  },
  'grant-exclusion': {
    zh: '同意剔除', past: 'exclusion_granted', tells: ['assignee', 'filer', 'dispatch'],
    says: '上一级同意剔除；考核数字始终列明剔除的件数、理由和批准人，居民得到通知和理由。',
    edges: [{ from: ['in_progress', 'completed', 'closed'], to: 'same', by: ['approve'] }],
  },
  'deny-exclusion': {
    zh: '不同意剔除', past: 'exclusion_denied', tells: ['assignee', 'dispatch'],
    says: '上一级不同意剔除。',
    edges: [{ from: ['in_progress', 'completed', 'closed'], to: 'same', by: ['approve'] }],
  },
} as const satisfies Record<string, Verb>
