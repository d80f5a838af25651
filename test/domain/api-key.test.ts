import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { apiKeyFrom, base62, isApiKey } from '../../src/domain/api-key.ts'

describe('an API key', () => {
  test('is of one shape whatever the bytes, and says so by itself', () => {
    for (const bytes of [Buffer.alloc(32), Buffer.alloc(32, 255), ...Array.from({ length: 500 }, () => randomBytes(32))]) {
      const key = apiKeyFrom(bytes)
      expect(key).toMatch(/^ww_live_[0-9A-Za-z]{49}$/)
      expect(isApiKey(key)).toBe(true)
    }
  })

  test('mistyped anywhere it is none', () => {
    const key = apiKeyFrom(randomBytes(32))
    for (let at = 'ww_live_'.length; at < key.length; at++) {
      const wrong = key.slice(0, at) + (key[at] === 'x' ? 'y' : 'x') + key.slice(at + 1)
      expect(isApiKey(wrong), `at ${at}`).toBe(false)
    }
    for (const wrong of [key.slice(0, -1), `${key}0`, key.toUpperCase(), key.replace('ww_live_', 'ww_test_'), key.replace('ww_live_', ''), ` ${key}`, `${key}\n`, '']) expect(isApiKey(wrong), wrong).toBe(false)
  })

  test('differs with the last bit', () => {
    const [one, two] = [Buffer.alloc(32), Buffer.alloc(32)]
    two[31] = 1
    expect(base62(one)).not.toBe(base62(two))
    expect(base62(Buffer.alloc(32, 255))).toHaveLength(43)
  })
})
