import { createCipheriv, createDecipheriv, randomBytes, type KeyObject } from 'node:crypto'

const ALGORITHM = 'aes-256-gcm'
/** NIST SP 800-38D: a random nonce of 96 bits, at most 2^32 messages per key. */
const NONCE = 12
const TAG = 16

/**
 * AES-256-GCM: nonce, ciphertext and tag in one buffer.
 * @param place what the sealed bytes belong to: they open nowhere else
 */
export function seal(key: KeyObject, plain: Uint8Array, place: string): Buffer {
  const nonce = randomBytes(NONCE)
  const cipher = createCipheriv(ALGORITHM, key, nonce, { authTagLength: TAG }).setAAD(Buffer.from(place))
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

/** @throws Error when the key, the place or a single bit is another one */
export function unseal(key: KeyObject, sealed: Buffer, place: string): Buffer {
  const decipher = createDecipheriv(ALGORITHM, key, sealed.subarray(0, NONCE), { authTagLength: TAG })
  decipher.setAAD(Buffer.from(place)).setAuthTag(sealed.subarray(-TAG))
  return Buffer.concat([decipher.update(sealed.subarray(NONCE, -TAG)), decipher.final()])
}
