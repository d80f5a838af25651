import { createHmac, createPrivateKey, createPublicKey, sign, type KeyObject } from 'node:crypto'
import { says, type Says } from './problems.ts'

/**
 * Webhooks after Standard Webhooks 1.0: how a message is signed, when it is tried again and when an endpoint is
 * given up. Of node:crypto only what computes: randomness and the time are handed in.
 */

// --- what came of an attempt

/** Why our own guard does not send to a URL; the words are for the one who entered it. */
export const EGRESS_REFUSALS = {
  url: says('不是有效的网址', 'Not a valid URL'),
  scheme: says('只接受 https 网址', 'Only https URLs are accepted'),
  userinfo: says('网址中不得含用户名或密码', 'The URL must not hold a user name or password'),
  host: says('不支持这种主机名写法', 'This spelling of the host is not supported'),
  port: says('端口只能是 443 或 8443', 'The port must be 443 or 8443'),
  address: says('该网址指向本机、内网或保留地址', 'The URL points to a local, private or reserved address'),
  unresolved: says('域名无法解析', 'The host name cannot be resolved'),
} as const satisfies Record<string, Says>

export type EgressRefusal = keyof typeof EGRESS_REFUSALS

/** `ms` is what the receiver took. An `excerpt` is at most 1 KiB of text without control characters. */
export type Outcome =
  | { readonly kind: 'answer'; readonly status: number; readonly retryAfter?: string; readonly excerpt: string; readonly ms: number }
  | { readonly kind: 'refused'; readonly reason: EgressRefusal }
  | { readonly kind: 'failed'; readonly reason: 'timeout' | 'connect' | 'tls' | 'reset' | 'dns' | 'protocol'; readonly ms: number }

/**
 * What a status means: only 2xx delivers and redirects are not followed. `gone` disables the endpoint at once;
 * `throttle` is a failure that asks for quiet until the next attempt.
 */
export function judge(status: number): 'delivered' | 'gone' | 'throttle' | 'failed' {
  if (status >= 200 && status < 300) return 'delivered'
  if (status === 410) return 'gone'
  return [429, 502, 503, 504].includes(status) ? 'throttle' : 'failed'
}

// --- signing

export const SECRET_FAULTS = {
  prefix: says('密钥应以 whsec_ 或 whsk_ 开头', 'A secret starts with whsec_ or whsk_'),
  encoding: says('密钥前缀之后应为标准 Base64', 'What follows the prefix of a secret must be standard base64'),
  'too-short': says('密钥过短，至少 24 字节', 'The secret is too short: at least 24 bytes'),
  'too-long': says('密钥过长，至多 64 字节', 'The secret is too long: at most 64 bytes'),
  'not-a-key': says('不是 Ed25519 私钥', 'Not an Ed25519 private key'),
} as const satisfies Record<string, Says>

export type SecretFault = keyof typeof SECRET_FAULTS

const LEAST = 24
const MOST = 64
const SEED = 32

/** @param entropy 24 to 64 random bytes; 32 are as much as the hash uses */
export function newSecret(entropy: Uint8Array): string {
  if (entropy.length < LEAST || entropy.length > MOST) throw new RangeError(`${entropy.length} bytes, not ${LEAST} to ${MOST}`)
  return `whsec_${base64(entropy)}`
}

/** An Ed25519 pair: `whsk_` holds seed and public key, as libsodium writes them; receivers are shown `whpk_`. @param seed 32 random bytes */
export function newKeyPair(seed: Uint8Array): { secret: string; publicKey: string } {
  if (seed.length !== SEED) throw new RangeError(`${seed.length} bytes, not ${SEED}`)
  const open = publicBytes(privateKey(seed))
  return { secret: `whsk_${base64(Buffer.concat([seed, open]))}`, publicKey: `whpk_${base64(open)}` }
}

/** The `whpk_` of a `whsk_`. @throws RangeError for any other text */
export function publicKeyOf(secret: string): string {
  const key = readSecret(secret)
  if (typeof key === 'string' || Buffer.isBuffer(key)) throw new RangeError('not a whsk_ secret')
  return `whpk_${base64(publicBytes(key))}`
}

/** What is wrong with a secret that somebody brings; nothing for a good one. */
export function secretFault(secret: string): SecretFault | undefined {
  const read = readSecret(secret)
  return typeof read === 'string' ? read : undefined
}

export interface Message {
  /** The same over all attempts. */
  readonly id: string
  /** The very bytes that are sent. */
  readonly body: string | Uint8Array
}

/** The three headers of one attempt. @param now when it is made: receivers refuse what is five minutes old */
export type Sign = (message: Message, now: Date) => Record<string, string>

/**
 * Every secret signs, so that a receiver may change over while two are valid.
 * @throws RangeError for a secret of the wrong form, for none, or (when signing) for an id that could be read two ways
 */
export function signer(secrets: readonly string[]): Sign {
  if (secrets.length === 0) throw new RangeError('nothing to sign with')
  const keys = secrets.map(keyOf)
  return ({ id, body }, now) => {
    if (!/^[\w-]{1,100}$/.test(id)) throw new RangeError('a webhook id is made of letters, digits, _ and -')
    const timestamp = String(Math.floor(now.getTime() / 1000))
    const signatures = keys.map((key) => signature(key, `${id}.${timestamp}.`, body))
    return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures.join(' ') }
  }
}

export const signedHeaders = (message: Message, secrets: readonly string[], now: Date): Record<string, string> => signer(secrets)(message, now)

function keyOf(secret: string): Buffer | KeyObject {
  const key = readSecret(secret)
  if (typeof key === 'string') throw new RangeError(SECRET_FAULTS[key].en)
  return key
}

function signature(key: Buffer | KeyObject, head: string, body: string | Uint8Array): string {
  if (Buffer.isBuffer(key)) return `v1,${createHmac('sha256', key).update(head).update(body).digest('base64')}`
  return `v1a,${sign(null, Buffer.concat([Buffer.from(head), Buffer.from(body)]), key).toString('base64')}`
}

/** Bytes are a shared secret, a KeyObject is an Ed25519 one, a word is a fault. */
function readSecret(secret: string): Buffer | KeyObject | SecretFault {
  const [, prefix, text = ''] = /^(whsec|whsk)_(.*)$/s.exec(secret) ?? []
  if (!prefix) return 'prefix'
  const bytes = Buffer.from(text, 'base64')
  // Buffer skips what it cannot read; other libraries do not.
  if (base64(bytes) !== text) return 'encoding'
  if (prefix === 'whsec') return bytes.length < LEAST ? 'too-short' : bytes.length > MOST ? 'too-long' : bytes
  if (bytes.length !== SEED && bytes.length !== 2 * SEED) return 'not-a-key'
  const key = privateKey(bytes.subarray(0, SEED))
  return bytes.length === SEED || publicBytes(key).equals(bytes.subarray(SEED)) ? key : 'not-a-key'
}

/** RFC 8410: what stands before the 32 bytes in PKCS #8. */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')
const privateKey = (seed: Uint8Array): KeyObject => createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: 'der', type: 'pkcs8' })
const publicBytes = (key: KeyObject): Buffer => createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-SEED)
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

// --- when to try again

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** Milliseconds before each attempt, the first included: 12 attempts within 75 h 43 min. */
export const SCHEDULE: readonly number[] = [
  0, 5 * SECOND, 30 * SECOND, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR,
]

/** Deliveries that failed together do not come back together. */
const JITTER = 0.2

/**
 * When the next attempt is due.
 * @param facts the answer's Retry-After, if any: kept to, between the schedule's own wait and a day
 * @param random as Math.random
 */
export function nextAttempt(attemptsDone: number, { retryAfter }: { retryAfter?: string | undefined }, now: Date, random: () => number): Date | 'exhausted' {
  const base = SCHEDULE[attemptsDone]
  if (base === undefined) return 'exhausted'
  const asked = waitAsked(retryAfter, now)
  // Who names a time is not visited before it, so then the spread is upwards only.
  const wait = asked === undefined ? base * (1 - JITTER + 2 * JITTER * random()) : Math.min(DAY, clamp(asked, base, DAY) * (1 + JITTER * random()))
  return new Date(now.getTime() + Math.round(wait))
}

const HTTP_DATE = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT$/

/** RFC 9110, 10.2.3: seconds or a date, in milliseconds from now. Anything else says nothing. */
function waitAsked(retryAfter: string | undefined, now: Date): number | undefined {
  const text = retryAfter?.trim() ?? ''
  if (/^\d{1,10}$/.test(text)) return Number(text) * SECOND
  const at = HTTP_DATE.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(at) ? undefined : at - now.getTime()
}

const clamp = (value: number, least: number, most: number): number => Math.max(least, Math.min(most, value))

// --- when to give an endpoint up

const FAILURES_TO_DISABLE = 20

/**
 * How an endpoint stands, `failures` attempts in a row after `firstFailureAt`: how many warnings its owner should have
 * had (after one and three days), and whether it is to be disabled. Time alone does not disable: a quiet endpoint may
 * have failed once in five days.
 */
export function healthOf(firstFailureAt: Date | null, failures: number, now: Date): { disable: boolean; warnings: 0 | 1 | 2 } {
  const since = firstFailureAt && failures > 0 ? now.getTime() - firstFailureAt.getTime() : 0
  return { disable: since >= 5 * DAY && failures >= FAILURES_TO_DISABLE, warnings: since >= 3 * DAY ? 2 : since >= DAY ? 1 : 0 }
}

// --- what an endpoint listens to

/** Whether one of the patterns takes the type: `request.filed` is itself, `request.*` all that begin with `request.`, `*` all there are. No other wildcard. */
export const matchesType = (patterns: readonly string[], type: string): boolean =>
  patterns.some((pattern) => pattern === '*' || pattern === type || (pattern.endsWith('.*') && type.startsWith(pattern.slice(0, -1))))
