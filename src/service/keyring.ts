import { createPrivateKey, createPublicKey, createSecretKey, generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto'
import { z } from 'zod'

/** The first key makes, all of them check and open what others made: older ones, and one that is to follow. */
export type Ring<Key> = readonly [Key, ...Key[]]

export interface SecretKey {
  readonly kid: string
  /** Its place in the document: 0 is the newest. */
  readonly age: number
  readonly secret: KeyObject
}
export interface SigningKey {
  readonly kid: string
  readonly private: KeyObject
  readonly public: KeyObject
}

/** Every secret of the installation, parsed once: parsing a key costs more than using it. */
export interface Keyring {
  /** Tokens, Ed25519 (RFC 8037). */
  readonly sign: Ring<SigningKey>
  /** Key encryption keys, AES-256-GCM. */
  readonly seal: Ring<SecretKey>
  /** Blind indexes, HMAC-SHA-256. */
  readonly index: Ring<SecretKey>
  /** The audit chain, HMAC-SHA-256. */
  readonly audit: Ring<SecretKey>
}

/** `from`: makes from then on, and checks from the start. What all processes know before the first of them uses it is refused by none. */
const written = z.strictObject({ kid: z.string().regex(/^[\w-]{1,32}$/), key: z.base64url(), from: z.iso.datetime().optional() })
const ring = z
  .tuple([written], written)
  .refine((keys) => new Set(keys.map(({ kid }) => kid)).size === keys.length, 'two keys share a kid')
export const KEY_USES = ['sign', 'seal', 'index', 'audit'] as const
export type KeyUse = (typeof KEY_USES)[number]
const document = z.strictObject({ sign: ring, seal: ring, index: ring, audit: ring } satisfies Record<KeyUse, typeof ring>)

/** The keyring as it is stored: JSON, the newest key of each use first, keys in base64url (Ed25519 as PKCS #8, the others as 32 bytes). */
export type KeyringDocument = z.infer<typeof document>
type Written = z.infer<typeof written>

/**
 * @param nowMs the wall clock, by which keys take over from each other; left out: they all have
 * @throws Error with one line that says where, and never what: it is printed at start-up
 */
export function parseKeyring(text: string, nowMs = Infinity): Keyring {
  const { sign, seal, index, audit } = readKeyring(text)
  return { sign: each('sign', sign, signing, nowMs), seal: each('seal', seal, secret, nowMs), index: each('index', index, secret, nowMs), audit: each('audit', audit, secret, nowMs) }
}

/** @throws as `parseKeyring` */
export function readKeyring(text: string): KeyringDocument {
  const { data, error } = document.safeParse(jsonOf(text))
  if (!data) throw new Error(`the keyring is not valid: ${error.issues.map(({ path, message }) => `${path.join('.') || 'document'}: ${message}`).join('; ')}`)
  return data
}

/** When the next key takes over, in milliseconds; Infinity when none will. */
export const nextTurn = (keyring: KeyringDocument, nowMs: number): number =>
  Math.min(...KEY_USES.flatMap((use) => keyring[use].map(({ from }) => (from === undefined ? 0 : Date.parse(from)))).filter((at) => at > nowMs), Infinity)

/** With a new key for each of these uses, which makes from `from` on; all that were there stay. */
export function rotateKeyring(keyring: KeyringDocument, uses: readonly KeyUse[], from: Date): { keyring: KeyringDocument; kids: Partial<Record<KeyUse, string>> } {
  const fresh = generateKeyring()
  const kids = Object.fromEntries(uses.map((use) => [use, fresh[use][0].kid]))
  const rings = uses.map((use): [KeyUse, Ring<Written>] => [use, [{ ...fresh[use][0], from: from.toISOString() }, ...keyring[use]]])
  return { keyring: { ...keyring, ...(Object.fromEntries(rings) as Partial<KeyringDocument>) }, kids }
}

/** A new keyring with one key for each use. */
export function generateKeyring(): KeyringDocument {
  const bytes = () => randomBytes(32).toString('base64url')
  const pkcs8 = generateKeyPairSync('ed25519').privateKey.export({ format: 'der', type: 'pkcs8' }).toString('base64url')
  const newest = (key: string): KeyringDocument['seal'] => [{ kid: randomBytes(6).toString('base64url'), key }]
  return { sign: newest(pkcs8), seal: newest(bytes()), index: newest(bytes()), audit: newest(bytes()) }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new Error('the keyring is not valid: not JSON') // the parser's own words quote the text
  }
}

/** The newest that has taken over makes; where none has yet, the oldest does. */
function each<Key>(use: string, keys: Ring<Written>, parse: (written: Written, age: number) => Key, nowMs: number): Ring<Key> {
  const parsed = (written: Written): Key => {
    try {
      return parse(written, keys.indexOf(written))
    } catch (error) {
      throw new Error(`the keyring is not valid: ${use} ${written.kid}: ${error instanceof RangeError ? error.message : 'not a PKCS #8 key'}`)
    }
  }
  const makes = keys.find(({ from }) => from === undefined || Date.parse(from) <= nowMs) ?? keys.at(-1)!
  return [parsed(makes), ...keys.filter((key) => key !== makes).map(parsed)]
}

function signing({ kid, key }: Written): SigningKey {
  const private_ = createPrivateKey({ key: Buffer.from(key, 'base64url'), format: 'der', type: 'pkcs8' })
  if (private_.asymmetricKeyType !== 'ed25519') throw new RangeError('not an Ed25519 key')
  return { kid, private: private_, public: createPublicKey(private_) }
}

function secret({ kid, key }: Written, age: number): SecretKey {
  const bytes = Buffer.from(key, 'base64url')
  if (bytes.length !== 32) throw new RangeError(`${bytes.length} bytes where 32 are needed`)
  return { kid, age, secret: createSecretKey(bytes) }
}
