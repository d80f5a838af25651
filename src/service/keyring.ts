import { createPrivateKey, createPublicKey, createSecretKey, generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto'
import { z } from 'zod'

/** Newest first: the first key makes, all of them check and open what older ones made. */
export type Ring<Key> = readonly [Key, ...Key[]]

export interface SecretKey {
  readonly kid: string
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

const written = z.strictObject({ kid: z.string().regex(/^[\w-]{1,32}$/), key: z.base64url() })
const ring = z
  .tuple([written], written)
  .refine((keys) => new Set(keys.map(({ kid }) => kid)).size === keys.length, 'two keys share a kid')
const document = z.strictObject({ sign: ring, seal: ring, index: ring, audit: ring })

/** The keyring as it is stored: JSON, keys in base64url (Ed25519 as PKCS #8, the others as 32 bytes). */
export type KeyringDocument = z.infer<typeof document>
type Written = z.infer<typeof written>

/** @throws Error with one line that says where, and never what: it is printed at start-up */
export function parseKeyring(text: string): Keyring {
  const { data, error } = document.safeParse(jsonOf(text))
  if (!data) throw new Error(`the keyring is not valid: ${error.issues.map(({ path, message }) => `${path.join('.') || 'document'}: ${message}`).join('; ')}`)
  const { sign, seal, index, audit } = data
  return { sign: each('sign', sign, signing), seal: each('seal', seal, secret), index: each('index', index, secret), audit: each('audit', audit, secret) }
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

function each<Key>(use: string, [first, ...older]: Ring<Written>, parse: (written: Written) => Key): Ring<Key> {
  const parsed = (written: Written): Key => {
    try {
      return parse(written)
    } catch (error) {
      throw new Error(`the keyring is not valid: ${use} ${written.kid}: ${error instanceof RangeError ? error.message : 'not a PKCS #8 key'}`)
    }
  }
  return [parsed(first), ...older.map(parsed)]
}

function signing({ kid, key }: Written): SigningKey {
  const private_ = createPrivateKey({ key: Buffer.from(key, 'base64url'), format: 'der', type: 'pkcs8' })
  if (private_.asymmetricKeyType !== 'ed25519') throw new RangeError('not an Ed25519 key')
  return { kid, private: private_, public: createPublicKey(private_) }
}

function secret({ kid, key }: Written): SecretKey {
  const bytes = Buffer.from(key, 'base64url')
  if (bytes.length !== 32) throw new RangeError(`${bytes.length} bytes where 32 are needed`)
  return { kid, secret: createSecretKey(bytes) }
}
