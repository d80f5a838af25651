import { CAPABILITIES, type Capability, type Relation } from './machine.ts'
import { SCOPES, type Scope } from './scopes.ts'

/**
 * Over what a right reaches. `public`: anybody, without a token. `tenant`: everybody of the tenant, all of it. `own`: what is
 * one's own, of an app what it brought or made. `assigned`: what is given to one, or to an organisation one acts for.
 * `subtree`: what lies at or below the node of a duty that confers the capability. `root`: the same, where that node is the
 * root. `app`: the whole tenant, for an app by its own token. The others are the machine's parties to a request.
 */
export type Reach = 'public' | 'tenant' | 'own' | 'assigned' | 'subtree' | 'root' | 'app' | Exclude<Relation, Capability | 'system'>

export interface Right {
  /** What the token must be good for; null where any token will do, and on public operations. */
  scope: Scope | null
  /** A duty must confer one of these to reach `subtree` or `root`. */
  capability: Capability | 'none' | readonly Capability[]
  /** Any one of them is enough. */
  relation: Reach | readonly Reach[]
  /** Of Open311's public operations: the parameter `api_key` shows an app its own, or must be sent. */
  key?: 'optional' | 'required'
  /** `person`: never an app by its own token; `in-person`: nor through an app. */
  as?: 'person' | 'in-person'
  /** Shows or takes out people's data: whoever can log in has a second factor for it, where the tenant asks that of `revealers`. */
  factor?: true
  /**
   * What he hears who lacks the right: 403 `forbidden` (when left out), 404 as if it did not exist (`not-found`), or 200
   * with what is left of a list (`less`).
   */
  otherwise?: 'forbidden' | 'not-found' | 'less'
  /** Of `not-found`: who sees the thing without having the right hears 403 instead. */
  seenBy?: readonly (Capability | Reach)[]
}

const listed = <T>(value: T | readonly T[]): readonly T[] => (Array.isArray(value) ? value : [value]) as readonly T[]

/** Without `none`. */
export const capabilitiesOf = ({ capability }: Right): readonly Capability[] => listed(capability).filter((one): one is Capability => one !== 'none')
export const reachesOf = ({ relation }: Right): readonly Reach[] => listed(relation)
export const isPublic = (right: Right): boolean => reachesOf(right).includes('public')

const CAPABILITY_WORDS: Record<Capability, string> = {
  view: '查看', file_for: '代办', dispatch: '派单', publish: '上墙', handle: '办理', approve: '审批', follow_up: '回访', supervise: '督办', administer: '管理',
  configure: '系统管理', secure: '安全管理', audit: '审计',
}
const REACH_WORDS: Record<Exclude<Reach, 'subtree' | 'root'>, string> = {
  public: '任何人，不需要登录', tenant: '本租户的所有人和应用', own: '本人（应用：自己的）', assigned: '承办人和承办组织的人', app: '应用以自己的令牌',
  filer: '点单人', beneficiary: '受益人', guardian: '监护人', assignee: '承办人', co: '协办方', pending: '待审核的认领人', attendee: '报名的人', handler: '办结的承办人',
  claimer: '经核实的认领人', first_contact: '首问责任人', on_the_spot: '代点并当场办结的工作人员', anyone: '看得到的人',
}
const AS_WORDS = { person: '应用不能以自己的令牌调用', 'in-person': '须本人登录，应用不能代办' } as const

/** Who may call, as a line of the document. */
export function rightInWords(right: Right): string {
  const held = capabilitiesOf(right).map((one) => `${CAPABILITY_WORDS[one]} ${one}`).join('、')
  const who = reachesOf(right).map((reach) => {
    if (reach === 'subtree') return `在该节点或其上级有权限的人（${held}）`
    return reach === 'root' ? `对整个租户有权限的人（${held}）` : REACH_WORDS[reach]
  })
  if (right.key === 'required') return '谁可以调用：应用，以参数 api_key 出示 API Key；Key 须有 requests:write（点单和办理）。'
  if (right.key === 'optional') return '谁可以调用：任何人，不需要登录；应用出示 api_key（须有 requests:read）的，还看得到自己提交的。'
  const scope = right.scope === null ? '' : `；令牌须有 ${right.scope}（${SCOPES[right.scope].zh}）`
  return `谁可以调用：${who.join('，')}${scope}${right.as ? `；${AS_WORDS[right.as]}` : ''}。`
}

/** The same for programs: `x-rights`. */
export const rightAsJson = (right: Right) => ({
  scope: right.scope,
  capability: capabilitiesOf(right),
  relation: reachesOf(right),
  as: right.as ?? 'anyone',
  otherwise: isPublic(right) ? 'less' : (right.otherwise ?? 'forbidden'),
})

export const isCapability = (name: string): name is Capability => (CAPABILITIES as readonly string[]).includes(name)
