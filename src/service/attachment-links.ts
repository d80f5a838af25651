import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'
import type { Keyring } from './keyring.ts'

/** What a link opens, and until when. A link is a right by itself: whoever has it needs no login. */
export interface Link {
  tenantId: string
  /** Of the attachment. */
  id: string
  file: LinkedFile
  /** Unix seconds. */
  expires: number
}

export const LINKED_FILES = ['photo.webp', 'thumbnail.webp', 'paper.pdf'] as const
export type LinkedFile = (typeof LINKED_FILES)[number]

/** HMAC-SHA-256 over all of the link, base64url. */
export const signLink = (keyring: Keyring, link: Link): string => signed(linkKeys(keyring)[0]!, link).toString('base64url')

/** By the newest key or an older one; the time it takes says nothing of how much of it was right. */
export function isSigned(keyring: Keyring, link: Link, signature: string): boolean {
  const given = Buffer.from(signature, 'base64url')
  return linkKeys(keyring).some((key) => {
    const right = signed(key, link)
    return given.length === right.length && timingSafeEqual(given, right)
  })
}

const signed = (key: Buffer, { tenantId, id, file, expires }: Link): Buffer =>
  createHmac('sha256', key).update(`${tenantId}/${id}/${file}/${expires}`).digest()

/** Keys for links alone, from the keyring's (HKDF, RFC 5869): rotated with them, and of no use for anything else. */
const PURPOSE = 'wish-wall attachment link 1'
const derived = new WeakMap<Keyring['seal'], Buffer[]>()

function linkKeys(keyring: Keyring): Buffer[] {
  let keys = derived.get(keyring.seal)
  if (!keys) derived.set(keyring.seal, (keys = keyring.seal.map(({ secret }) => Buffer.from(hkdfSync('sha256', secret, '', PURPOSE, 32)))))
  return keys
}
