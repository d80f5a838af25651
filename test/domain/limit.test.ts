import { describe, expect, expectTypeOf, it } from 'vitest'
import { z } from 'zod'
import { limitSchema, parseLimit, type Limit } from '../../src/domain/limit.ts'
import { MESSAGES } from '../../src/http/issue-words.ts'

const REFUSED = [
  '', '5', 'wd', '0d', '05d', '-5wd', '+5wd', '1.5h', '1e2m', '5 wd', ' 5wd', '5wd ', '5WD', '5w', '5d7h', '５wd', '5wd\n',
  '501wd', '732d', '4001wh', '240001wm', '17545h', '1052641m', '99999999m',
]

describe('a limit', () => {
  it.each([
    ['5wd', 5, 'wd'],
    ['7d', 7, 'd'],
    ['480wm', 480, 'wm'],
    ['8wh', 8, 'wh'],
    ['24h', 24, 'h'],
    ['30m', 30, 'm'],
    ['500wd', 500, 'wd'],
  ])('%s is %i of %s', (text, amount, unit) => {
    expect(parseLimit(text)).toEqual({ amount, unit })
    expect(limitSchema.parse(text)).toBe(text)
  })

  it.each(REFUSED)('%j is refused, once, by schema and parser alike', (text) => {
    const { error } = limitSchema.safeParse(text)
    expect(error?.issues).toHaveLength(1)
    expect(limitSchema.safeParse(text, { error: MESSAGES.zh }).error?.issues[0]?.message).toMatch(/^时限/)
    expect(limitSchema.safeParse(text, { error: MESSAGES.en }).error?.issues[0]?.message).toMatch(/^A limit is [\x20-\x7e]+$/)
    expect(() => parseLimit(text)).toThrow(RangeError)
  })

  it('names the fault: spelling or length', () => {
    expect(() => parseLimit('5 days')).toThrow(/positive whole number.*"5 days"/)
    expect(() => parseLimit('3650d')).toThrow(/two years.*731d.*"3650d"/)
  })

  it('has a type of its own and a pattern in the API description', () => {
    expectTypeOf<z.output<typeof limitSchema>>().toEqualTypeOf<Limit>()
    expect(z.toJSONSchema(limitSchema)).toMatchObject({ type: 'string', pattern: expect.any(String) })
    expect(z.toJSONSchema(limitSchema, { io: 'input' })).toMatchObject({ type: 'string', pattern: expect.any(String) })
  })
})
