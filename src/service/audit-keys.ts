import { createHmac, createPrivateKey, createPublicKey, hkdfSync, sign, verify, type KeyObject } from 'node:crypto'
import type { Keyring, SecretKey } from './keyring.ts'

/** A key of the audit chain, with what is derived from it: checkpoints can be checked by whoever has the public key. */
export interface AuditKey {
  kid: string
  /** 0 is the newest of the ring. */
  age: number
  /** Of links, HMAC-SHA-256. */
  mac: KeyObject
  /** Of heads and checkpoints, Ed25519. */
  private: KeyObject
  public: KeyObject
}

const derived = new WeakMap<SecretKey, AuditKey>()

/** The one that makes first. */
export const auditKeys = (keyring: Keyring): AuditKey[] => keyring.audit.map((key) => {
  const known = derived.get(key) ?? derive(key)
  derived.set(key, known)
  return known
})

/** RFC 8410: an Ed25519 private key in PKCS #8 is this and 32 bytes. */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')

function derive({ kid, age, secret }: SecretKey): AuditKey {
  const seed = Buffer.from(hkdfSync('sha256', secret, '', 'wish-wall/audit/checkpoint', 32))
  const key = createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: 'der', type: 'pkcs8' })
  return { kid, age, mac: secret, private: key, public: createPublicKey(key) }
}

/** One link, as it is hashed: what it stands for, and where. */
export interface LinkContent {
  n: bigint
  position: bigint
  kind: 'event' | 'entry'
  id: string
  /** SHA-256 of the row as the database writes it. */
  digest: Buffer
  /** SHA-256 of the event's row in the history. */
  history: Buffer | null
}

export const NOTHING = Buffer.alloc(32)

/** HMAC over the link before and all of this one: nobody without the key writes a chain that fits. */
export function linkHash({ mac }: AuditKey, previous: Buffer, { n, position, kind, id, digest, history }: LinkContent): Buffer {
  const numbers = Buffer.alloc(17)
  numbers.writeBigInt64BE(n, 0)
  numbers.writeBigInt64BE(position, 8)
  numbers.writeUInt8(kind === 'event' ? 1 : 2, 16)
  return createHmac('sha256', mac).update(previous).update(numbers).update(id).update(digest).update(history ?? NOTHING).digest()
}

/** A state of the chain: so many links, up to this position, the last with this hash. */
export interface ChainState {
  n: bigint
  position: bigint
  hash: Buffer
  at: Date
  /** Number of the checkpoint before. */
  previous: bigint
}

export interface Checkpoint extends ChainState {
  anchor: boolean
  kid: string
  signature: Buffer
}

/** Words that are signed; a head never passes for a checkpoint. */
const words = (what: 'head' | 'checkpoint' | 'anchor', { n, position, hash, at, previous }: ChainState, kid: string): Buffer =>
  Buffer.from(['wish-wall/audit', what, n, position, hash.toString('hex'), at.toISOString(), previous, kid].join('\n'))

export const signState = (key: AuditKey, what: 'head' | 'checkpoint' | 'anchor', state: ChainState): Buffer => sign(null, words(what, state, key.kid), key.private)

/** False also for a key that the ring does not have. */
export function isSigned(keyring: Keyring, what: 'head' | 'checkpoint' | 'anchor', state: ChainState, { kid, signature }: { kid: string | null; signature: Buffer | null }): boolean {
  const key = auditKeys(keyring).find((one) => one.kid === kid)
  return key !== undefined && signature !== null && verify(null, words(what, state, key.kid), key.public, signature)
}
