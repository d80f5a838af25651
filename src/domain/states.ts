import type { Relation } from './machine.ts'

/** The states, and the steps that have a deadline in them: GB/T 30428 (受理、派遣、处置、核查、结案) with the words of the five sources. */

export const STATES = {
  filed: { zh: '待受理', steps: ['accept'] },
  returned: { zh: '待补正', steps: ['resubmit'], clockStands: true },
  rejected: { zh: '不予受理', steps: [], final: true },
  accepted: { zh: '已受理', steps: ['place'] },
  open: { zh: '已上墙待认领', steps: ['claim', 'wave'] },
  dispatched: { zh: '已派单待签收', steps: ['sign'] },
  in_progress: { zh: '办理中', steps: ['respond'] },
  parked: { zh: '挂账', steps: [], clockStands: true },
  completed: { zh: '已办结待回访', steps: ['follow_up', 'close'] },
  closed: { zh: '已结案', steps: [], final: true },
  withdrawn: { zh: '已撤单', steps: [], final: true },
  merged: { zh: '已并案', steps: [] },
} as const satisfies Record<string, { zh: string; steps: readonly Step[]; final?: true; clockStands?: true }>

export type State = keyof typeof STATES

/**
 * The steps that have a deadline. `late` is who is late when it expires; `onDue` is what SYSTEM does then: `escalate`
 * climbs the ladder, the others are verbs that end the waiting (`backstop`: see rules/wall.ts). `in` are the states
 * it runs in: leaving them closes it. Those that STATES name open by themselves on entering, the others by their verb.
 * `complete` alone spans the whole life: it runs from filing until the work is completed.
 */
export const STEPS = {
  accept: { zh: '受理', late: 'dispatch', onDue: 'escalate', in: ['filed'] },
  resubmit: { zh: '补正', late: 'filer', onDue: 'withdraw', in: ['returned'] },
  place: { zh: '下单', late: 'dispatch', onDue: 'escalate', in: ['accepted'] },
  claim: { zh: '认领', late: 'publish', onDue: 'backstop', in: ['open'] },
  wave: { zh: '扩大认领范围', late: 'system', onDue: 'widen', in: ['open'] },
  sign: { zh: '签收', late: 'assignee', onDue: 'escalate', in: ['dispatched'] },
  respond: { zh: '首次响应', late: 'assignee', onDue: 'escalate', in: ['in_progress'] },
  lease: { zh: '认领保留', late: 'assignee', onDue: 'release', in: ['open', 'in_progress'] },
  complete: { zh: '办结', late: 'assignee', onDue: 'escalate', in: ['filed', 'returned', 'accepted', 'open', 'dispatched', 'in_progress', 'parked', 'merged'] },
  co: { zh: '协办', late: 'co', onDue: 'escalate', in: ['accepted', 'open', 'dispatched', 'in_progress'] },
  report_in: { zh: '报到', late: 'co', onDue: 'escalate', in: ['accepted', 'open', 'dispatched', 'in_progress'] },
  answer: { zh: '答复申请', late: 'approve', onDue: 'escalate', in: ['accepted', 'open', 'dispatched', 'in_progress', 'completed', 'closed'] },
  review: { zh: '挂账复核', late: 'approve', onDue: 'unpark', in: ['parked'] },
  confirm: { zh: '确认办结', late: 'dispatch', onDue: 'escalate', in: ['completed'] },
  follow_up: { zh: '回访', late: 'follow_up', onDue: 'escalate', in: ['completed'] },
  close: { zh: '自动结案', late: 'system', onDue: 'close', in: ['completed'] },
} as const satisfies Record<string, { zh: string; late: Relation; onDue: OnDue; in: readonly State[] }>

export type Step =
  | 'accept' | 'resubmit' | 'place' | 'claim' | 'wave' | 'sign' | 'respond' | 'lease' | 'complete' | 'co' | 'report_in' | 'answer' | 'review' | 'confirm'
  | 'follow_up' | 'close'

/** What SYSTEM does when a step is due. */
export type OnDue = 'escalate' | 'withdraw' | 'backstop' | 'widen' | 'release' | 'unpark' | 'close'
