import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { LONGEST_MATCHED, patternRefused } from '../../src/domain/form-pattern.ts'
import { answersSchema, fieldsOf, formSchema, ordered, parted } from '../../src/domain/form.ts'

const form = (properties: object, more: object = {}) => ({ type: 'object', properties, additionalProperties: false, ...more })
const accepts = (value: unknown) => formSchema.safeParse(value).success
const word = { type: 'string', title: '姓名', maxLength: 20 }

describe('a form', () => {
  test('is one object of plain fields', () => {
    expect(accepts(form({}))).toBe(true)
    expect(accepts(form({ a: word, b: { type: 'integer', title: '份数', minimum: 1 }, c: { type: 'boolean', title: '加急' }, d: { type: 'array', title: '材料', uniqueItems: true, items: { type: 'string', oneOf: [{ const: 'a', title: '甲' }] } } }, { required: ['a'] }))).toBe(true)
    expect(accepts(form({ a: { ...word, maxLength: 18, pattern: '^\\d{17}[\\dX]$', 'x-personal': true } }))).toBe(true)
  })

  test.each([
    ['a reference', form({ a: { $ref: 'https://example.cn/schema.json' } })], ['a reference beside a field', form({ a: { ...word, $ref: '#' } })], ['definitions', form({}, { $defs: { a: word } })],
    ['a dynamic reference', form({ a: { $dynamicRef: '#a', title: 'x', type: 'string' } })], ['an id', form({}, { $id: 'https://example.cn/x' })], ['another dialect', form({}, { $schema: 'http://json-schema.org/draft-04/schema#' })],
    ['an object in an object', form({ a: form({ b: word }) })], ['a list of objects', form({ a: { type: 'array', title: 'x', uniqueItems: true, items: form({}) } })], ['a field without a title', form({ a: { type: 'string' } })],
    ['open to anything', { type: 'object', properties: {} }], ['pattern properties', form({}, { patternProperties: { '(a+)+$': word } })], ['a pattern without a length', form({ a: { type: 'string', title: 'x', pattern: '^a+$' } })],
    ['a pattern for a long text', form({ a: { ...word, maxLength: 4_000, pattern: '^a+$' } })], ['forty-one fields', form(Object.fromEntries(Array.from({ length: 41 }, (_, index) => [`f${index}`, word])))],
    ['a choice twice', form({ a: { type: 'string', title: 'x', oneOf: [{ const: 'a', title: '甲' }, { const: 'a', title: '乙' }] } })], ['something required that is no field', form({ a: word }, { required: ['b'] })],
    ['an order without a field', form({ a: word, b: word }, { 'x-order': ['a'] })], ['an order with one twice', form({ a: word, b: word }, { 'x-order': ['a', 'a'] })],
    ['more than it may be long', form(Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`f${index}`, { type: 'string', title: '字', oneOf: Array.from({ length: 60 }, (_inner, choice) => ({ const: `c${choice}`, title: '选项选项选项选项' })) }])))],
  ])('is not %s', (_, value) => expect(accepts(value)).toBe(false))

  test('keeps the order in which its fields were written', () => {
    const read = formSchema.parse(form({ zebra: word, apple: word }, { required: ['apple'] }))
    expect(fieldsOf(JSON.parse(JSON.stringify(ordered(read))) as typeof read).map(([name, , required]) => [name, required])).toEqual([['zebra', false], ['apple', true]])
    expect(fieldsOf(formSchema.parse(form({ zebra: word, apple: word }, { 'x-order': ['apple', 'zebra'] }))).map(([name]) => name)).toEqual(['apple', 'zebra'])
  })

  test('parts what is personal from the rest', () => {
    const read = formSchema.parse(form({ id: { ...word, 'x-personal': true }, use: word }))
    expect(parted(read, { id: '1', use: 'school' })).toEqual({ plain: { use: 'school' }, personal: { id: '1' } })
  })
})

describe('a pattern', () => {
  test.each(['^\\d{17}[\\dX]$', '^1[3-9]\\d{9}$', '^[A-Z]{1,3}-\\d+$', '^(?:男|女)$', '\\p{Script=Han}{2,20}', '^[^@]+@[^@]+$', 'a|b|c', '^\\d{3,4}-?\\d{7,8}$', '', '\\.', '[\\]\\-a]'])('%s will do', (pattern) => {
    expect(patternRefused(pattern)).toBeUndefined()
  })

  test.each(['(a+)+$', '(a|a)*$', '(?:a?)+', '(.*)*', '(?=a)', '(?<!a)b', '(a)\\1', '\\k<a>', '(?<a>b)', '(a', 'a)', '*', 'a**', '[', '[z-a]', '\\u{110000}', 'a{5', '\\'])('%s is not plain', (pattern) => {
    expect(patternRefused(pattern)).toBe('not-plain')
  })

  test.each(['a*a*a*b', '.*.*.*x', '\\d+\\d+\\d+$', 'a{0,99}a{0,99}a{0,99}b', `${'a?'.repeat(20)}${'a'.repeat(20)}`, 'x'.repeat(201)])('%s costs too much', (pattern) => {
    expect(patternRefused(pattern)).toMatch(/^too-/)
  })

  const piece = fc.tuple(fc.constantFrom('a', '.', '\\d', '[ab]', '\\w', 'b'), fc.constantFrom('', '', '?', '*', '+', '{0,9}', '{2,}', '+?')).map((parts) => parts.join(''))
  test('that is taken ends soon on the worst it is run on', () => {
    fc.assert(fc.property(fc.array(piece, { minLength: 1, maxLength: 12 }).map((pieces) => `${pieces.join('')}$`), (pattern) => {
      fc.pre(patternRefused(pattern) === undefined)
      // One that does not end runs into the test's own limit.
      expect([true, false]).toContain(new RegExp(pattern, 'u').test(`${'a'.repeat(LONGEST_MATCHED - 1)}!`))
    }), { numRuns: 300 })
  })
})

describe('answers', () => {
  test('are words, numbers, switches and choices, and nothing deeper', () => {
    expect(answersSchema.safeParse({ a: 'x', b: 1, c: true, d: ['e'] }).success).toBe(true)
    for (const wrong of [{ a: { b: 1 } }, { a: null }, { a: [['b']] }, { '?': 1 }, { a: '\u0000' }, { a: 'x'.repeat(4_001) }]) expect(answersSchema.safeParse(wrong).success).toBe(false)
  })
})
