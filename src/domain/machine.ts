/**
 * The one table. Routes, OpenAPI text, event names, `allowed[]`, the Mermaid picture, the database's
 * edge checks and the state × verb × role tests are all derived from it.
 * States and verbs: GB/T 30428 (受理、派遣、处置、核查、结案) with the words of the five source articles.
 */

export const STATES = {
  filed: { zh: '待受理', steps: ['accept'] },
  returned: { zh: '待补正', steps: ['resubmit'], clockStands: true },
  rejected: { zh: '不予受理', steps: [], final: true },
  accepted: { zh: '已受理', steps: ['place'] },
  open: { zh: '已上墙待认领', steps: ['claim'] },
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
 * The steps that have a deadline. `late` is who is late when it expires; `onDue` is the verb that SYSTEM
 * calls then: `escalate` climbs the ladder, the others end the waiting by themselves.
 * `complete` alone spans states: it runs from filing until the work is completed.
 */
export const STEPS = {
  accept: { zh: '受理', late: 'dispatch', onDue: 'escalate' },
  resubmit: { zh: '补正', late: 'filer', onDue: 'withdraw' },
  place: { zh: '下单', late: 'dispatch', onDue: 'escalate' },
  claim: { zh: '认领', late: 'publish', onDue: 'escalate' },
  sign: { zh: '签收', late: 'assignee', onDue: 'escalate' },
  respond: { zh: '首次响应', late: 'assignee', onDue: 'escalate' },
  complete: { zh: '办结', late: 'assignee', onDue: 'escalate' },
  follow_up: { zh: '回访', late: 'follow_up', onDue: 'escalate' },
  close: { zh: '自动结案', late: 'system', onDue: 'close' },
} as const satisfies Record<string, { zh: string; late: Relation; onDue: 'escalate' | 'withdraw' | 'close' }>

export type Step = 'accept' | 'resubmit' | 'place' | 'claim' | 'sign' | 'respond' | 'complete' | 'follow_up' | 'close'

/** What a duty confers. Which duty (role) confers which capability is tenant data. */
export const CAPABILITIES = ['view', 'file_for', 'dispatch', 'publish', 'handle', 'follow_up', 'supervise', 'administer'] as const
export type Capability = (typeof CAPABILITIES)[number]

/** How an actor stands to one request: by a capability that covers its node, or as a party to it. */
export type Relation = Capability | 'filer' | 'beneficiary' | 'assignee' | 'handler' | 'claimer' | 'anyone' | 'system'

export interface Edge {
  readonly from: readonly (State | 'none')[]
  readonly to: readonly State[] | 'same'
  readonly by: readonly Relation[]
}

export interface Verb {
  readonly zh: string
  /** The event is `request.<past>`. */
  readonly past: string
  readonly says: string
  readonly edges: readonly Edge[]
  /** Who finds the event in the inbox. */
  readonly tells: readonly Relation[]
}

const NOT_FINAL = ['filed', 'returned', 'accepted', 'open', 'dispatched', 'in_progress', 'parked', 'completed', 'merged'] as const
const TIMED = ['filed', 'accepted', 'open', 'dispatched', 'in_progress', 'completed'] as const

export const VERBS = {
  file: {
    zh: '点单', past: 'filed', tells: ['dispatch'],
    says: '居民点单，或由工作人员、第三方应用代为点单。',
    edges: [{ from: ['none'], to: ['filed'], by: ['anyone'] }],
  },
  accept: {
    zh: '受理', past: 'accepted', tells: ['filer'],
    says: '组织受理这件点单。',
    edges: [{ from: ['filed'], to: ['accepted'], by: ['dispatch'] }, { from: ['filed'], to: ['accepted'], by: ['system'] }],
  },
  reject: {
    zh: '不予受理', past: 'rejected', tells: ['filer'],
    says: '不予受理，必须说明原因。',
    edges: [{ from: ['filed'], to: ['rejected'], by: ['dispatch'] }],
  },
  return: {
    zh: '退回补正', past: 'returned', tells: ['filer'],
    says: '材料不全，退回点单人补正；补正期间时限停走。',
    edges: [{ from: ['filed'], to: ['returned'], by: ['dispatch'] }],
  },
  resubmit: {
    zh: '补正', past: 'resubmitted', tells: ['dispatch'],
    says: '点单人补正后重新提交。',
    edges: [{ from: ['returned'], to: ['filed'], by: ['filer'] }],
  },
  place: {
    zh: '下单上墙', past: 'placed', tells: ['filer'],
    says: '组织下单：把心愿放上心愿墙等待认领。上墙文字由下单人撰写，不用点单人的原话。',
    edges: [{ from: ['accepted'], to: ['open'], by: ['publish'] }],
  },
  'take-down': {
    zh: '下墙', past: 'taken_down', tells: ['filer'],
    says: '从心愿墙取下，回到已受理。',
    edges: [{ from: ['open'], to: ['accepted'], by: ['publish'] }],
  },
  dispatch: {
    zh: '派单', past: 'dispatched', tells: ['assignee', 'filer'],
    says: '派给指定的人员或组织，对方须在时限内签收。',
    edges: [{ from: ['accepted', 'open'], to: ['dispatched'], by: ['dispatch'] }],
  },
  redispatch: {
    zh: '改派', past: 'redispatched', tells: ['assignee', 'filer'],
    says: '改派给另一人员或组织；居民的时限不因此重新起算。',
    edges: [{ from: ['dispatched', 'in_progress'], to: ['dispatched'], by: ['dispatch', 'supervise'] }],
  },
  claim: {
    zh: '认领', past: 'claimed', tells: ['filer', 'publish'],
    says: '经核实的党员、志愿者、爱心人士或爱心企业认领心愿。同一名额只有一人成功，其余得到 409。',
    edges: [{ from: ['open'], to: ['open', 'in_progress'], by: ['claimer'] }],
  },
  release: {
    zh: '释放认领', past: 'released', tells: ['filer', 'publish'],
    says: '认领人放弃认领，心愿回到墙上。派单不能用它退单。',
    edges: [{ from: ['in_progress', 'open'], to: ['open'], by: ['assignee'] }],
  },
  sign: {
    zh: '签收', past: 'signed', tells: ['filer', 'dispatch'],
    says: '被派单的人员或组织签收。',
    edges: [{ from: ['dispatched'], to: ['in_progress'], by: ['assignee'] }],
  },
  respond: {
    zh: '首次响应', past: 'responded', tells: ['filer'],
    says: '承办人首次联系居民。',
    edges: [{ from: ['in_progress'], to: 'same', by: ['assignee'] }],
  },
  complete: {
    zh: '办结', past: 'completed', tells: ['filer', 'follow_up'],
    says: '承办人办结，写明结果，等待回访和评价。',
    edges: [{ from: ['in_progress'], to: ['completed'], by: ['assignee'] }],
  },
  'follow-up': {
    zh: '回访', past: 'followed_up', tells: ['filer', 'dispatch'],
    says: '由承办人以外的回访员回访；未解决或不满意的重办一次；未联系上的保留，多次未联系上按未评价结案。',
    edges: [{ from: ['completed'], to: ['closed', 'accepted', 'completed'], by: ['follow_up'] }],
  },
  rate: {
    zh: '评价', past: 'rated', tells: ['assignee', 'dispatch'],
    says: '点单人或受益人评价；未解决或不满意的重办一次。结案后在期限内还可评价一次。',
    edges: [
      { from: ['completed'], to: ['closed', 'accepted'], by: ['filer', 'beneficiary'] },
      { from: ['closed'], to: ['closed'], by: ['filer', 'beneficiary'] },
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
      { from: NOT_FINAL, to: ['withdrawn'], by: ['filer'] },
      { from: ['returned'], to: ['withdrawn'], by: ['system'] },
    ],
  },
  remind: {
    zh: '提醒', past: 'reminded', tells: [],
    says: '时限将至或已过，由系统提醒承担者。',
    edges: [{ from: TIMED, to: 'same', by: ['system'] }],
  },
  escalate: {
    zh: '升级', past: 'escalated', tells: ['assignee'],
    says: '逾期后督办沿节点树逐级上移，承办人不变。',
    edges: [{ from: TIMED, to: 'same', by: ['system'] }],
  },
} as const satisfies Record<string, Verb>

export type VerbName = keyof typeof VERBS
export const VERB_NAMES = Object.keys(VERBS) as VerbName[]
export const STATE_NAMES = Object.keys(STATES) as State[]

/** Everything but `file` (which has no request yet) acts on an existing request. */
export type Transition = Exclude<VerbName, 'file'>

export const verbOf = (name: VerbName): Verb => VERBS[name]
export const isFinal = (state: State): boolean => 'final' in STATES[state]
export const clockStands = (state: State): boolean => 'clockStands' in STATES[state]
export const eventType = (verb: VerbName): string => `request.${VERBS[verb].past}`

/** A person or an app can call it; the others are SYSTEM's. */
export const isCallable = (verb: VerbName): boolean =>
  verbOf(verb).edges.some((edge) => edge.by.some((relation) => relation !== 'system'))

/** Verbs mounted at `POST /v1/requests/{id}/{verb}`. */
export const TRANSITIONS = VERB_NAMES.filter((name): name is Transition => name !== 'file' && isCallable(name))

export function targets(edge: Edge, from: State | 'none'): readonly State[] {
  if (!edge.from.includes(from)) return []
  if (edge.to !== 'same') return edge.to
  return from === 'none' ? [] : [from]
}

/** Every (verb, from, to) the machine knows: what the database's check must accept, and nothing else. */
export function triples(): { verb: VerbName; from: State | 'none'; to: State }[] {
  const seen = new Map<string, { verb: VerbName; from: State | 'none'; to: State }>()
  for (const verb of VERB_NAMES) {
    for (const edge of verbOf(verb).edges) {
      for (const from of edge.from) {
        for (const to of targets(edge, from)) seen.set(`${verb}:${from}:${to}`, { verb, from, to })
      }
    }
  }
  return [...seen.values()]
}
