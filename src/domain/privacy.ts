import { z } from 'zod'
import { int4 } from './atoms.ts'

/** What a tenant may set of the treatment of personal data, and what holds where it has set nothing. */

const days = (least: number) => int4({ min: least, max: 36_500 }).optional()

export const privacySchema = z.strictObject({
  /** Persons whose data one member of staff may have shown within 24 hours. */
  revealsPerDay: int4({ min: 0, max: 10_000 }).optional(),
  /** In days. Shorter than a redo, a complaint or a dispute may take would destroy what is still needed. */
  retention: z.strictObject({
    requests: days(90), residents: days(90), attachments: days(30), notifications: days(30), robotMessages: days(1), operations: days(1), lockouts: days(1), reveals: days(1_096),
  }).optional(),
})

export type PrivacySettings = z.infer<typeof privacySchema>

/** What ends by its age, and what of it is destroyed then. */
export interface Term {
  /** Days, unless the tenant says otherwise. */
  readonly days: number
  readonly from: string
  readonly destroyed: string
  /** Why so long: law, article. */
  readonly law: string
}

/** 保存期限应当为实现处理目的所必要的最短时间 (个人信息保护法 第十九条), read for each purpose. */
export const RETENTION = {
  requests: {
    days: 1_095, from: 'the closing of the request', destroyed: 'its words, and those of its wall entry; number, codes, times and ids stay',
    law: '民法典 第一百八十八条: claims out of a service may be brought within three years',
  },
  residents: {
    days: 1_095, from: 'the closing of the last request of somebody without an account', destroyed: 'name, phone, door, the app’s openId, by erasing the person',
    law: '民法典 第一百八十八条; 个人信息保护法 第四十七条第一款第一项: the purpose has been achieved',
  },
  attachments: { days: 365, from: 'the closing of the request', destroyed: 'photos and papers, with their thumbnails', law: '个人信息保护法 第六条、第十九条' },
  notifications: { days: 365, from: 'the event', destroyed: 'the line in the inbox', law: '个人信息保护法 第十九条' },
  robotMessages: { days: 30, from: 'its end', destroyed: 'the row, which holds ids and codes', law: '个人信息保护法 第十九条' },
  operations: { days: 30, from: 'its end', destroyed: 'the row, with the sealed input', law: '个人信息保护法 第十九条' },
  lockouts: { days: 7, from: 'its end', destroyed: 'the count of failures', law: '个人信息保护法 第十九条' },
  // At least three years, and a day for the leap year.
  reveals: { days: 1_096, from: 'the reveal', destroyed: 'the row', law: '个人信息保护法 第五十六条: records of handling are kept for at least three years' },
} as const satisfies Record<string, Term>

export type RetentionClass = keyof typeof RETENTION
export const RETENTION_CLASSES = Object.keys(RETENTION) as RetentionClass[]

export const termOf = (settings: PrivacySettings | undefined, what: RetentionClass): number => settings?.retention?.[what] ?? RETENTION[what].days

const REVEALS_PER_DAY = 50
export const revealsPerDay = (settings: PrivacySettings | undefined): number => settings?.revealsPerDay ?? REVEALS_PER_DAY

/** Why somebody is shown what is masked. Codes only: a note would be words about a person outside `text`. */
export const REVEAL_REASONS = {
  contact: '联系诉求人',
  visit: '上门办理',
  follow_up: '电话回访',
  verify: '核实身份',
  correct: '更正信息',
  subject_request: '应本人请求',
  lawful_order: '依法调取',
} as const
export type RevealReason = keyof typeof REVEAL_REASONS
export const REVEAL_REASON_CODES = Object.keys(REVEAL_REASONS) as [RevealReason, ...RevealReason[]]

export const REVEALED_FIELDS = ['name', 'phone', 'door'] as const
export type RevealedField = (typeof REVEALED_FIELDS)[number]
/** Of a request besides: the personal answers of its form. */
export const FORM_FIELD = 'form'

/** 个人信息保护法 第四十七条: when the handler is to erase. `retention` is the system's own. */
export const ERASURE_REASONS = {
  asked: '本人请求删除',
  consent_withdrawn: '本人撤回同意',
  purpose_over: '处理目的已实现或不再必要',
  unlawful: '违反法律或约定处理',
} as const
export type ErasureReason = keyof typeof ERASURE_REASONS
export const ERASURE_REASON_CODES = Object.keys(ERASURE_REASONS) as [ErasureReason, ...ErasureReason[]]

/** What stands where words have been: never the empty text, which nobody may write. */
export const ERASED_WORDS = '〔已删除〕'
