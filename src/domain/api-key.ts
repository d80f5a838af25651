import { createHash } from 'node:crypto'

/** What a key starts with, so that people and secret scanners know one when they see it. */
export const API_KEY_PREFIX = 'ww_live_'
/** Of an app in a sandbox. */
export const TEST_KEY_PREFIX = 'ww_test_'

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const SHAPE = /^ww_(?:live|test)_[0-9A-Za-z]{43}[0-9A-Za-z]{6}$/

/** 32 bytes in 43 characters that survive every shell, URL and form. */
export function base62(bytes: Uint8Array, length = 43): string {
  let rest = BigInt(`0x${Buffer.from(bytes).toString('hex')}`)
  let digits = ''
  for (; digits.length < length; rest /= 62n) digits += DIGITS[Number(rest % 62n)]
  return digits
}

/** @param bytes 32 random ones */
export function apiKeyFrom(bytes: Uint8Array, { sandbox = false } = {}): string {
  const body = (sandbox ? TEST_KEY_PREFIX : API_KEY_PREFIX) + base62(bytes)
  return body + checksum(body)
}

/** Six characters of its own hash: a key that was cut or mistyped is refused without asking anybody. */
const checksum = (body: string): string => base62(createHash('sha256').update(body).digest().subarray(0, 8), 6)

/** By its beginning: anything else is taken for a token. */
export const looksLikeApiKey = (text: string): boolean => text.startsWith(API_KEY_PREFIX) || text.startsWith(TEST_KEY_PREFIX)

export const isApiKey = (text: string): boolean => SHAPE.test(text) && checksum(text.slice(0, -6)) === text.slice(-6)
