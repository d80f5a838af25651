/** One text in both languages that answers speak. */
export interface Says {
  readonly zh: string
  readonly en: string
}

export const says = (zh: string, en: string): Says => ({ zh, en })

/** What sort of refusal it is. Which status that means is known to `http/problem-json.ts` alone. */
export type Kind =
  | 'invalid' | 'unauthenticated' | 'forbidden' | 'missing' | 'disallowed' | 'late' | 'conflict' | 'gone' | 'precondition'
  | 'tooLarge' | 'unsupported' | 'unprocessable' | 'limited' | 'overlong' | 'internal' | 'busy'

interface Entry extends Says {
  readonly kind: Kind
}

/** Every refusal there is. Codes never change their meaning; titles may be reworded. */
export const PROBLEMS = {
  // what the caller sent
  'body-malformed': { kind: 'invalid', zh: '请求正文无法读取', en: 'The request body cannot be read' },
  'url-malformed': { kind: 'invalid', zh: '请求地址格式不正确', en: 'The request URL is malformed' },
  'validation-failed': { kind: 'invalid', zh: '请求内容不符合要求', en: 'The request is not valid' },
  'body-too-large': { kind: 'tooLarge', zh: '请求正文过大', en: 'The request body is too large' },
  'media-type-unsupported': { kind: 'unsupported', zh: '不支持这种内容类型', en: 'This content type is not supported' },
  'file-type-unsupported': { kind: 'unsupported', zh: '不支持这种文件', en: 'This kind of file is not accepted' },
  'file-unreadable': { kind: 'invalid', zh: '文件已损坏或不完整', en: 'The file is damaged or incomplete' },
  'image-too-large': { kind: 'tooLarge', zh: '图片像素过大', en: 'The image has too many pixels' },
  'http-malformed': { kind: 'invalid', zh: '不是有效的 HTTP 请求', en: 'Not a valid HTTP request' },
  'headers-too-large': { kind: 'overlong', zh: '请求头过大', en: 'The request headers are too large' },
  'sent-too-slowly': { kind: 'late', zh: '请求未能及时发送完毕', en: 'The request was not sent in time' },
  'method-not-allowed': { kind: 'disallowed', zh: '此地址不支持该请求方法', en: 'This URL does not support the method' },
  'rate-limited': { kind: 'limited', zh: '请求过于频繁，请稍后再试', en: 'Too many requests, try again later' },

  // who the caller is
  unauthenticated: { kind: 'unauthenticated', zh: '请先登录', en: 'Log in first' },
  'token-invalid': { kind: 'unauthenticated', zh: '登录已失效，请重新登录', en: 'The token is invalid or has expired' },
  forbidden: { kind: 'forbidden', zh: '没有权限', en: 'Not permitted' },
  'password-change-required': { kind: 'forbidden', zh: '请先修改一次性密码', en: 'Change the one-time password first' },
  'second-factor-required': { kind: 'forbidden', zh: '请先启用动态口令', en: 'Enrol a second factor first' },
  'person-not-registered': { kind: 'forbidden', zh: '统一身份认证通过，但此人在本系统没有账号', en: 'Known to the issuer, but without an account here' },
  'not-verified': { kind: 'forbidden', zh: '身份尚未核实，不能认领', en: 'Only verified members may claim' },
  'own-wish': { kind: 'forbidden', zh: '不能认领自己的心愿', en: 'Nobody may claim their own wish' },

  // what the caller named
  'not-found': { kind: 'missing', zh: '没有找到', en: 'Not found' },
  'request-not-found': { kind: 'missing', zh: '没有找到这件点单', en: 'No such request' },
  'item-unknown': { kind: 'unprocessable', zh: '服务菜单中没有这一项', en: 'No such service item' },
  'node-unknown': { kind: 'unprocessable', zh: '没有这个地点', en: 'No such node' },
  'target-unknown': { kind: 'unprocessable', zh: '没有找到派单对象', en: 'No such person or organisation to dispatch to' },
  'person-unknown': { kind: 'unprocessable', zh: '没有这个人', en: 'No such person' },
  'organisation-unknown': { kind: 'unprocessable', zh: '没有这个组织', en: 'No such organisation' },
  'campaign-unknown': { kind: 'unprocessable', zh: '没有这个专项行动', en: 'No such campaign' },
  'role-unknown': { kind: 'unprocessable', zh: '没有这种职责', en: 'No such role' },
  'person-erased': { kind: 'gone', zh: '此人的个人信息已删除', en: 'The personal data of this person were erased' },
  'attachment-unknown': { kind: 'unprocessable', zh: '没有这个附件，或已经用过', en: 'No such attachment, or used already' },
  'too-many': { kind: 'unprocessable', zh: '一次处理的点单太多，请缩小范围', en: 'Too many requests for one operation, narrow it down' },
  'cursor-unusable': { kind: 'gone', zh: '翻页位置已失效，请从头读取', en: 'The cursor is no longer usable, start again' },

  // how things stand
  'transition-refused': { kind: 'conflict', zh: '当前状态不能这样办理', en: 'Not possible in the current state' },
  'request-changed': { kind: 'conflict', zh: '这件点单刚刚被他人更改，请刷新后再试', en: 'Someone else changed the request first, reload and try again' },
  'not-for-the-wall': { kind: 'conflict', zh: '这类事项不上墙', en: 'This matter is never put on a wall' },
  'already-claimed': { kind: 'conflict', zh: '已有人认领', en: 'Already claimed' },
  'not-claimed': { kind: 'conflict', zh: '您没有认领这件点单', en: 'Not claimed by you' },
  'already-responded': { kind: 'conflict', zh: '已经首次响应', en: 'The first response is recorded already' },
  'already-rated': { kind: 'conflict', zh: '已经评价过', en: 'Rated already' },
  'window-over': { kind: 'conflict', zh: '已过期限', en: 'The time for this is over' },
  'own-work': { kind: 'forbidden', zh: '不能回访、评价或确认自己承办的事项', en: 'Nobody follows up, rates or confirms their own work' },
  'slots-taken': { kind: 'conflict', zh: '名额已满', en: 'All slots are taken' },
  'limit-reached': { kind: 'conflict', zh: '已达到次数或数量上限', en: 'A limit has been reached' },
  'storage-full': { kind: 'conflict', zh: '附件空间已满', en: 'The space for attachments is used up' },
  'link-expired': { kind: 'forbidden', zh: '链接已过期，请重新获取', en: 'The link has expired, get a new one' },
  'not-yet': { kind: 'conflict', zh: '还没有轮到您这一类认领人', en: 'Open to other kinds of claimers first' },
  'consent-missing': { kind: 'conflict', zh: '未成年人上墙须有监护人同意', en: 'A minor’s wish needs the guardian’s consent before it is placed' },
  'claimed-not-dispatched': { kind: 'conflict', zh: '认领的请释放，不能退单', en: 'Claimed, not dispatched: release it instead' },
  'already-asked': { kind: 'conflict', zh: '已有同类申请待答复', en: 'An ask of this kind is open already' },
  'not-asked': { kind: 'conflict', zh: '没有待答复的申请', en: 'No such ask is open' },
  'own-ask': { kind: 'forbidden', zh: '不能答复自己的申请', en: 'Nobody answers their own ask' },
  'level-too-low': { kind: 'forbidden', zh: '须由上一级答复', en: 'To be answered one level up' },
  'too-late': { kind: 'conflict', zh: '已过时限，须在到期之前申请', en: 'Past due: it must be asked for before' },
  'adjudication-needed': { kind: 'conflict', zh: '退单次数已达上限，须由上一级终审', en: 'Returned too often: one level up adjudicates' },
  'adjudication-early': { kind: 'conflict', zh: '尚未到终审', en: 'Not yet a matter for adjudication' },
  locked: { kind: 'conflict', zh: '已终审，本级不能再退单或改派', en: 'Adjudicated: from here it is neither returned nor sent to another' },
  'already-excluded': { kind: 'conflict', zh: '已经剔除', en: 'Excluded already' },
  'papers-out': { kind: 'conflict', zh: '居民的材料还没有交还', en: 'Papers of the resident have not been given back' },
  'nothing-to-confirm': { kind: 'conflict', zh: '没有需要确认的办结', en: 'There is nothing to confirm' },
  'not-confirmed': { kind: 'conflict', zh: '办结结果待派单人确认', en: 'The result is still to be confirmed by dispatch' },
  'has-merged': { kind: 'conflict', zh: '有其他点单并入本件', en: 'Others are merged into this one' },
  'not-mergeable': { kind: 'unprocessable', zh: '不能这样并案', en: 'These cannot be merged' },
  'no-level-above': { kind: 'conflict', zh: '已是最高一级', en: 'There is no level above' },
  'already-reported': { kind: 'conflict', zh: '已经报到', en: 'Reported in already' },
  'not-an-organisation': { kind: 'conflict', zh: '只有组织承办的才能指派', en: 'Only an organisation assigns who goes' },
  'not-an-activity': { kind: 'conflict', zh: '只有活动可以报名', en: 'Only activities take sign-ups' },
  'already-signed-up': { kind: 'conflict', zh: '已经报名', en: 'Signed up already' },
  'has-account': { kind: 'conflict', zh: '此人有自己的账号，须本人办理', en: 'Has an account and must act in person' },
  'external-ref-taken': { kind: 'conflict', zh: '该外部单号已经用过', en: 'This externalRef is already in use' },
  'endpoint-disabled': { kind: 'conflict', zh: '回调地址已停用，请先恢复', en: 'The webhook endpoint is disabled, resume it first' },
  'robot-taken': { kind: 'conflict', zh: '这个群机器人已经登记过', en: 'This group robot is registered already' },
  'event-erased': { kind: 'gone', zh: '该事件已被删除，无法重新投递', en: 'The event was erased and cannot be sent again' },
  'already-enrolled': { kind: 'conflict', zh: '已报到，或已有同类报到', en: 'Enrolled already, or in another place of this kind' },
  'enrolment-decided': { kind: 'conflict', zh: '这件报到已经处理', en: 'This enrolment has been decided already' },
  'campaign-closed': { kind: 'conflict', zh: '专项行动尚未开始或已结束', en: 'The campaign has not begun, or is over' },
  'client-revoked': { kind: 'conflict', zh: '应用已吊销', en: 'The app has been revoked' },
  'duty-held': { kind: 'conflict', zh: '此人在这段时间已担任该职责', en: 'The person holds this duty at that time already' },
  'duty-ended': { kind: 'conflict', zh: '该职责已结束', en: 'This duty has ended' },
  'requests-open': { kind: 'conflict', zh: '还有未结案的点单', en: 'Requests of this person are still open' },
  'on-duty': { kind: 'conflict', zh: '仍在任职，请先结束职责', en: 'Still on duty: end the duties first' },
  'admins-separate': { kind: 'conflict', zh: '系统、安全、审计管理不得由一人兼任', en: 'Nobody is two of system, security and audit administrator' },
  'totp-enrolled': { kind: 'conflict', zh: '已启用动态口令', en: 'A second factor is enrolled already' },
  'totp-not-enrolled': { kind: 'conflict', zh: '没有待确认或已启用的动态口令', en: 'No second factor to confirm or take away' },
  'issuer-unusable': { kind: 'unprocessable', zh: '无法使用该统一身份认证服务', en: 'This issuer cannot be used' },
  'no-account': { kind: 'conflict', zh: '此人没有账号', en: 'This person has no account' },
  'version-mismatch': { kind: 'precondition', zh: '版本不一致，请刷新后再试', en: 'The version does not match, reload and try again' },
  'idempotency-key-reused': { kind: 'unprocessable', zh: '同一 Idempotency-Key 用于不同的请求', en: 'This Idempotency-Key was used for another request' },
  'client-id-reused': { kind: 'unprocessable', zh: '同一 clientId 用于不同的走访', en: 'This clientId was used for another visit' },
  'idempotency-in-flight': { kind: 'conflict', zh: '相同的请求正在处理', en: 'The same request is being processed' },

  // how we are
  overloaded: { kind: 'busy', zh: '系统繁忙，请稍后再试', en: 'The service is busy, try again later' },
  'took-too-long': { kind: 'busy', zh: '处理超时，请稍后再试', en: 'Processing took too long, try again later' },
  'shutting-down': { kind: 'busy', zh: '服务正在重启，请稍后再试', en: 'The service is restarting, try again shortly' },
  internal: { kind: 'internal', zh: '系统内部错误', en: 'Something went wrong on our side' },
} as const satisfies Record<string, Entry>

export type ProblemCode = keyof typeof PROBLEMS

/** One finding in the input, at a JSON Pointer into it. */
export interface Finding {
  readonly pointer: string
  readonly code?: string
  readonly message: Says
}

interface Circumstances {
  readonly detail?: Says
  /** Told to the caller as they are (`state`, `allowed`, `id`…): ids and codes only, never personal data. */
  readonly facts?: Readonly<Record<string, unknown>>
  readonly errors?: readonly Finding[]
  /** For the log, never for the caller. */
  readonly cause?: unknown
}

/** A refusal: thrown by the rules, answered at the edge. */
export class Problem extends Error {
  override readonly name = 'Problem'
  readonly code: ProblemCode
  readonly detail: Says | undefined
  readonly facts: Readonly<Record<string, unknown>>
  readonly errors: readonly Finding[]

  constructor(code: ProblemCode, { detail, facts = {}, errors = [], cause }: Circumstances = {}) {
    super(code, cause === undefined ? undefined : { cause })
    this.code = code
    this.detail = detail
    this.facts = facts
    this.errors = errors
  }

  get kind(): Kind {
    return PROBLEMS[this.code].kind
  }
}
