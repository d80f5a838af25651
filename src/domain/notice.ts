import { STEPS, VERBS, verbOf, type Step, type VerbName } from './machine.ts'

/** Whom an event is told to, what it is to them, and what they are to do. Words for people are Chinese; nothing personal in them. */

/** Steps that end by themselves are nobody's deadline. */
export const DUE_STEPS: readonly string[] = Object.entries(STEPS).filter(([, { late }]) => late !== 'system').map(([step]) => step)

/** What a message is, for the one who sorts his inbox by it. */
export const NOTICE_KINDS = {
  reminder: '到期提醒',
  escalation: '逾期升级',
  urge: '催办、督办',
  assignment: '派给您的事',
  intake: '等待受理或派单',
  ask: '等待您答复的申请',
  progress: '办理进展',
} as const

export type NoticeKind = keyof typeof NOTICE_KINDS

/** How somebody stands to an event: a relation of the machine, holder of the `rung` it climbed to, or `supervisor` of the rung reached. */
export type ToldAs = string

/** What the event itself says about whom to tell: ids and codes. */
export interface NoticeData {
  step?: Step
  /** Node id of the rung that an escalation climbed to. */
  rung?: string
  /** The top of the ladder is reached. */
  top?: boolean
  /** RFC 3339 in UTC, so that they compare as text: when the step is due, and when this should have been said. */
  dueAt?: string
  logicalAt?: string
  result?: string
  /** A 退单 that comes to 终审: for those above the place, and no longer for its dispatcher. */
  final?: boolean
  /** Relations that a reminder is for, as the policy has them. */
  tell?: readonly string[]
}

/**
 * Whom an event is told to, besides those whom `data` excludes. A reminder says itself for whom it is; one that does not
 * is for whoever would be late, at the top of the ladder for the supervisor. An escalation is for the rung it climbed
 * to, and for the party that has the work and keeps it.
 */
export function toldOf(verb: VerbName, data: NoticeData): ToldAs[] {
  // What is said to be impossible is told to who has to confirm it; the others hear of it then.
  if ((verb === 'complete' || verb === 'follow-lead') && data.result === 'impossible') return ['dispatch']
  if (verb === 'ask-return' && data.final) return ['approve']
  const told: ToldAs[] = [...verbOf(verb).tells]
  if (verb === 'remind') told.push(...(data.tell ?? (data.top ? ['supervisor'] : lateFor(data.step))))
  if (verb === 'escalate') told.push('rung', ...lateFor(data.step).filter((as) => PARTIES.includes(as)))
  return [...new Set(told)]
}

const PARTIES: readonly ToldAs[] = ['assignee', 'co']
const lateFor = (step: Step | undefined): ToldAs[] => (step && STEPS[step].late !== 'system' ? [STEPS[step].late] : [])

/** Who has to do it comes first: one message, told as the one who can act. */
const RANK: readonly ToldAs[] = ['assignee', 'co', 'pending', 'dispatch', 'publish', 'approve', 'follow_up', 'rung', 'supervisor', 'supervise', 'first_contact']
/** Lower is nearer to the work. */
export const rankOf = (as: ToldAs): number => (RANK.includes(as) ? RANK.indexOf(as) : RANK.length)

const ASKS: readonly string[] = ['ask-return', 'ask-extension', 'ask-park', 'ask-exclusion']
const URGES: readonly string[] = ['urge', 'supervise']
const GIVES: readonly string[] = ['dispatch', 'redispatch', 'assign', 'adjudicate', 'add-co', 'whistle', 'send-back', 'confirm-claim']
const OVERSEES: readonly ToldAs[] = ['rung', 'supervisor', 'supervise']

export function kindOf(verb: VerbName, as: ToldAs): NoticeKind {
  if (verb === 'remind') return 'reminder'
  if (verb === 'escalate') return 'escalation'
  if (URGES.includes(verb)) return 'urge'
  if (ASKS.includes(verb)) return 'ask'
  if (GIVES.includes(verb) && ['assignee', 'co'].includes(as)) return 'assignment'
  return todoOf(verb, as, {}) !== null && ['dispatch', 'publish'].includes(as) ? 'intake' : 'progress'
}

/** By verb and by whom it is told to. What is not here is news, and asks for nothing. */
const TASKS: Readonly<Record<string, Readonly<Record<ToldAs, string>>>> = {
  file: { dispatch: '请受理' },
  resubmit: { dispatch: '请受理' },
  return: { filer: '请补正' },
  'take-down': { dispatch: '请派单' },
  'grant-return': { dispatch: '请重新派单' },
  unpark: { dispatch: '请派单' },
  unmerge: { dispatch: '请派单' },
  raise: { dispatch: '请受理' },
  reopen: { dispatch: '请重新派单' },
  release: { publish: '请留意是否有人认领' },
  dispatch: { assignee: '请签收' },
  redispatch: { assignee: '请签收' },
  adjudicate: { assignee: '请按终审结果办理' },
  assign: { assignee: '请办理' },
  'confirm-claim': { assignee: '请办理' },
  'send-back': { assignee: '请补充办理' },
  'deny-return': { assignee: '请继续办理' },
  'deny-extension': { assignee: '请在原时限内办结' },
  'add-co': { co: '请协办' },
  whistle: { co: '请报到' },
  'ask-return': { dispatch: '请答复退单申请', approve: '请终审退单申请' },
  'ask-extension': { approve: '请答复延期申请' },
  'ask-park': { approve: '请答复挂账申请' },
  'ask-exclusion': { approve: '请答复剔除申请' },
  complete: { filer: '请评价', follow_up: '请回访', dispatch: '请确认是否确实无法办理' },
  'follow-lead': { filer: '请评价', follow_up: '请回访', dispatch: '请确认是否确实无法办理' },
  confirm: { filer: '请评价', follow_up: '请回访' },
  urge: { assignee: '居民催办，请尽快办理', dispatch: '居民催办，请跟进', first_contact: '居民催办，请跟进' },
  supervise: { assignee: '已被督办，请尽快办理', dispatch: '已被督办，请跟进', first_contact: '已被督办，请跟进' },
  'hand-over': { first_contact: '首问责任已移交给您，请跟进' },
}

/** Reminders come before, at and after the due time; an escalation always after. */
const isLate = (verb: VerbName, { top, dueAt, logicalAt }: NoticeData): boolean =>
  verb === 'escalate' || top === true || (dueAt !== undefined && logicalAt !== undefined && dueAt <= logicalAt)

/** What the one who was told is to do; null when it is news only. */
export function todoOf(verb: VerbName, as: ToldAs, data: NoticeData): string | null {
  if (verb !== 'remind' && verb !== 'escalate') return TASKS[verb]?.[as] ?? null
  const [what, late] = [data.step ? STEPS[data.step].zh : '办理', isLate(verb, data)]
  if (OVERSEES.includes(as)) return `${late ? '已逾期' : '时限将至'}，请督办：${what}`
  if (as === 'first_contact') return `${late ? '已逾期' : '时限将至'}，请跟进：${what}`
  return `${late ? '已逾期，请立即' : '请尽快'}${what}`
}

/** The same in few words for a group, where it is told to nobody in particular. */
export function headlineOf(verb: VerbName, data: NoticeData): string {
  const about = data.step ? `：${STEPS[data.step].zh}` : ''
  if (verb === 'escalate') return `逾期升级${about}`
  return verb === 'remind' ? `${isLate(verb, data) ? '逾期提醒' : '到期提醒'}${about}` : VERBS[verb].zh
}
