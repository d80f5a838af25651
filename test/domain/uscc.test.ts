import { describe, expect, test } from 'vitest'
import { isUscc, uscc } from '../../src/domain/uscc.ts'

/** The example of GB 32100-2015. */
const EXAMPLE = '91350100M000100Y43'
const CHARACTERS = '0123456789ABCDEFGHJKLMNPQRTUWXY'

describe('统一社会信用代码', () => {
  test('the standard’s own example is one', () => expect(isUscc(EXAMPLE)).toBe(true))

  test('one wrong character anywhere is found, whichever it is', () => {
    let tried = 0
    for (let at = 0; at < EXAMPLE.length; at++) {
      for (const character of CHARACTERS) {
        if (character === EXAMPLE[at]) continue
        tried++
        expect(isUscc(EXAMPLE.slice(0, at) + character + EXAMPLE.slice(at + 1)), `${character} at ${at}`).toBe(false)
      }
    }
    expect(tried).toBe(540)
  })

  test('two neighbours exchanged are found', () => {
    for (let at = 0; at < 17; at++) {
      if (EXAMPLE[at] === EXAMPLE[at + 1]) continue
      expect(isUscc(EXAMPLE.slice(0, at) + EXAMPLE[at + 1] + EXAMPLE[at] + EXAMPLE.slice(at + 2)), `at ${at}`).toBe(false)
    }
  })

  test.each(['', '91350100M000100Y4', `${EXAMPLE}0`, 'O1350100M000100Y43', '91350100m000100y43', '350100M000100Y439-1', '９１３５０１００M000100Y43'])('%j is none', (code) => expect(isUscc(code)).toBe(false))

  test('what people type is forgiven', () => {
    expect(uscc.parse(' ９1350100 m000100y43 ')).toBe(EXAMPLE)
    expect(uscc.safeParse('91350100M000100Y44').success).toBe(false)
  })
})
