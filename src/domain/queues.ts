import type { Capability, State, Step } from './machine.ts'
import { STEPS } from './machine.ts'

/** 我的待办: what waits for one person, each queue under its name in URLs, answers and digests. */
export const QUEUES = {
  overdue: '已超时',
  due_today: '今日到期',
  to_examine: '待审核',
  to_accept: '待受理',
  to_dispatch: '待派单',
  to_sign: '待签收',
  in_hand: '办理中',
  returned: '待补正',
  to_approve: '待我审批',
  to_review: '挂账待复核',
  to_follow_up: '待回访',
} as const

export type Queue = keyof typeof QUEUES
export const QUEUE_NAMES = Object.keys(QUEUES) as Queue[]

/** Those that are one state in the hands of a capability's nearest holder; with `review`, of items that are (not) reviewed. */
export const BY_CAPABILITY = {
  to_examine: { state: 'filed', capability: 'dispatch', review: true },
  to_accept: { state: 'filed', capability: 'dispatch', review: false },
  to_dispatch: { state: 'accepted', capability: 'dispatch' },
  to_review: { state: 'parked', capability: 'approve' },
  to_follow_up: { state: 'completed', capability: 'follow_up' },
} as const satisfies Partial<Record<Queue, { state: State; capability: Capability; review?: boolean }>>

/** Those that are one state of what one has been given. */
export const BY_ASSIGNMENT = { to_sign: 'dispatched', in_hand: 'in_progress' } as const satisfies Partial<Record<Queue, State>>

/** Steps by who is late when they expire. */
export const stepsOf = (late: string): Step[] => (Object.keys(STEPS) as Step[]).filter((step) => STEPS[step].late === late)
