import { says, type Says } from './problems.ts'
import { EGRESS_REFUSALS, type EgressRefusal } from './webhook.ts'

/** 群机器人: what is true of the group robots of all three vendors. How each is spoken to: src/outside/robots/. */

export const CHANNELS = {
  wecom: '企业微信',
  dingtalk: '钉钉',
  feishu: '飞书',
} as const

export type Channel = keyof typeof CHANNELS
export const CHANNEL_NAMES = Object.keys(CHANNELS) as [Channel, ...Channel[]]

/** What a group hears of unless it is told otherwise: what somebody has to act on. */
export const DEFAULT_EVENT_TYPES: readonly string[] = ['request.dispatched', 'request.redispatched', 'request.reminded', 'request.escalated']

/** Why a robot's address is not taken; the words are for the one who entered it. */
export const ADDRESS_FAULTS = {
  ...EGRESS_REFUSALS,
  vendor: says('不是该平台的机器人地址，也不在系统允许的主机之列', 'Neither the vendor\'s host nor one that the operator allows'),
  token: says('不是完整的机器人 Webhook 地址，请从群机器人设置中整行复制', 'Not a whole robot webhook URL: copy it from the group\'s settings'),
} as const satisfies Record<string, Says>

export type AddressFault = EgressRefusal | 'vendor' | 'token'

/**
 * What the vendor made of a message. `throttled`: too fast, and nothing may be sent for so long. `refused`: somebody has
 * to change something in the group or here. `failed`: it may go better next time. `code` is the vendor's own number.
 */
export type Verdict =
  | { readonly kind: 'delivered' }
  | { readonly kind: 'throttled'; readonly holdMs: number; readonly code: string }
  | { readonly kind: 'refused'; readonly reason: RefusedReason; readonly code: string | null }
  | { readonly kind: 'failed'; readonly reason: FailedReason; readonly code: string | null }

export type RefusedReason = 'token' | 'signature' | 'keyword' | 'ip' | 'content' | 'unsealed' | AddressFault
export type FailedReason = 'timeout' | 'connect' | 'tls' | 'reset' | 'dns' | 'protocol' | 'answer'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE

/**
 * From the end of one message to the beginning of the next. WeCom and DingTalk take 20 a minute, DingTalk bans for ten
 * minutes beyond (Feishu takes 100, and is glad of fewer). As the next never begins before the last one has ended,
 * however long each took to arrive, no 60 seconds at the vendor's door see more than 20. 3 s would do; the rest is for
 * clocks that differ. What comes up meanwhile goes into one message.
 */
export const PACE_MS = 3_100

/** 钉钉: 限流 10 分钟. The others' windows are a minute. */
export const BAN_MS = { wecom: MINUTE, dingtalk: 10 * MINUTE, feishu: MINUTE } as const satisfies Record<Channel, number>

const BACKOFF: readonly number[] = [10 * SECOND, 30 * SECOND, 2 * MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR]
/** A fault that somebody has to mend is not tried as often; mending it ends the wait. */
const LEAST_WHEN_REFUSED = 5 * MINUTE

/** How long a robot is left alone after so many failures in a row (the one just met included). */
export function backoff(failures: number, kind: 'refused' | 'failed'): number {
  const wait = BACKOFF[Math.min(failures, BACKOFF.length) - 1] ?? BACKOFF[0]!
  return kind === 'refused' ? Math.max(wait, LEAST_WHEN_REFUSED) : wait
}

/** A message is given up after so many failed attempts (some six hours of them), or at this age. Its readers have it in their inboxes. */
export const MOST_ATTEMPTS = 12
export const LONGEST_WAIT_MS = 24 * HOUR
