import type { Verb } from '../machine.ts'
import { AT_WORK } from './groups.ts'

/** 派单. */
export const DISPATCH = {
  dispatch: {
    zh: '派单', past: 'dispatched', tells: ['assignee', 'filer'],
    says: '派给指定的人员或组织，对方须在时限内签收；到期无人认领的由系统派给兜底单位。',
    edges: [{ from: ['accepted', 'open'], to: ['dispatched'], by: ['dispatch'] }, { from: ['open'], to: ['dispatched'], by: ['system'] }],
  },
  redispatch: {
    zh: '改派', past: 'redispatched', tells: ['assignee', 'filer'],
    says: '改派给另一人员或组织；居民的时限不因此重新起算。',
    edges: [{ from: AT_WORK, to: ['dispatched'], by: ['dispatch', 'supervise'] }],
  },
  assign: {
    zh: '指派', past: 'assigned', tells: ['assignee'],
    says: '承办组织指定由谁去办。',
    edges: [{ from: ['open', ...AT_WORK], to: 'same', by: ['assignee', 'co'] }],
  },
  sign: {
    zh: '签收', past: 'signed', tells: ['filer', 'dispatch'],
    says: '被派单的人员或组织签收。',
    edges: [{ from: ['dispatched'], to: ['in_progress'], by: ['assignee'] }],
  },
  'ask-return': {
    zh: '申请退单', past: 'return_asked', tells: ['dispatch'],
    says: '承办人申请退单，须有原因代码；答复之前仍由其承办，居民的时限照走。',
    edges: [{ from: AT_WORK, to: 'same', by: ['assignee'] }],
  },
  'grant-return': {
    zh: '同意退单', past: 'return_granted', tells: ['assignee', 'dispatch'],
    says: '同意退单，回到已受理待重新派单。次数达到上限后须由上一级终审。',
    edges: [{ from: AT_WORK, to: ['accepted'], by: ['dispatch'] }],
  },
  'deny-return': {
    zh: '不同意退单', past: 'return_denied', tells: ['assignee'],
    says: '不同意退单，继续由其承办。',
    edges: [{ from: AT_WORK, to: 'same', by: ['dispatch'] }],
  },
  adjudicate: {
    zh: '终审', past: 'adjudicated', tells: ['assignee', 'dispatch'],
    says: '退单次数达到上限后由上一级终审：维持，或另行指定承办单位；终审后不得再退单。',
    edges: [{ from: AT_WORK, to: 'same', by: ['approve'] }, { from: ['in_progress'], to: ['dispatched'], by: ['approve'] }],
  },
} as const satisfies Record<string, Verb>
