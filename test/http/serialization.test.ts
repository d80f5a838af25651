import { expect, test } from 'vitest'
import { z } from 'zod'
import { instant } from '../../src/domain/atoms.ts'
import { serializerCompiler } from '../../src/http/serialization.ts'

const AT = new Date('2026-11-21T01:00:00Z')

interface Tree { name: string; parent: Tree | null; children: Tree[] }
const Tree: z.ZodType<Tree> = z.strictObject({
  name: z.string(),
  get parent() { return Tree.nullable() },
  get children() { return z.array(Tree) },
})

const Inner = z.strictObject({ id: z.string(), at: instant.nullable() }).meta({ id: 'SerializedInner' })

test.each<[string, z.ZodType, unknown, unknown]>([
  ['undeclared fields', z.strictObject({ a: z.string() }), { a: '1', phone: '138' }, { a: '1' }],
  ['undeclared fields in depth', z.strictObject({ list: z.array(Inner) }), { list: [{ id: '1', at: AT, phone: '138' }] }, { list: [{ id: '1', at: AT.toISOString() }] }],
  ['null and absent', z.strictObject({ a: z.string().nullable(), b: z.string().optional(), c: Inner.nullable(), d: instant.nullish(), e: z.int().nullable() }), { a: null, c: null, d: null, e: null }, { a: null, c: null, d: null, e: null }],
  ['present where null may be', z.strictObject({ a: z.string().nullable(), c: Inner.nullable(), e: z.int().nullable(), f: z.array(z.string()).nullable() }), { a: '', c: { id: '1', at: null, x: 1 }, e: 0, f: [] }, { a: '', c: { id: '1', at: null }, e: 0, f: [] }],
  ['a union, whose branches have times and undeclared fields',
    z.discriminatedUnion('kind', [z.strictObject({ kind: z.literal('a'), at: instant }), z.strictObject({ kind: z.literal('b'), inner: Inner.nullable() })]),
    { kind: 'b', inner: { id: '1', at: AT, phone: '138' }, phone: '138' }, { kind: 'b', inner: { id: '1', at: AT.toISOString() } }],
  ['a union\'s other branch', z.union([z.strictObject({ at: instant }), z.strictObject({ b: z.int() })]), { at: AT, b: 'x' }, { at: AT.toISOString() }],
  ['recursion', Tree, { name: 'a', parent: { name: 'b', parent: null, children: [] }, children: [{ name: 'c', parent: null, children: [], phone: '138' }] },
    { name: 'a', parent: { name: 'b', parent: null, children: [] }, children: [{ name: 'c', parent: null, children: [] }] }],
  ['maps', z.strictObject({ counts: z.record(z.string(), z.int()), form: z.record(z.string(), z.json()) }), { counts: { a: 1 }, form: { x: [1, { y: null }] } }, { counts: { a: 1 }, form: { x: [1, { y: null }] } }],
  ['a property that is called like a keyword', z.strictObject({ anyOf: z.string(), type: z.string(), properties: z.int().nullable() }), { anyOf: 'a', type: 'b', properties: null }, { anyOf: 'a', type: 'b', properties: null }],
  ['text that needs escaping', z.strictObject({ a: z.string() }), { a: '"\\\n\u2028 心愿 \u0007' }, { a: '"\\\n\u2028 心愿 \u0007' }],
])('%s', (_, schema, answer, written) => {
  const serialize = serializerCompiler({ checked: false })({ schema, method: 'GET', url: '/' })
  expect(JSON.parse(serialize(answer))).toEqual(written)
})

test('a required field that is missing is an error, never half an answer', () => {
  const serialize = serializerCompiler({ checked: false })({ schema: Inner, method: 'GET', url: '/' })
  expect(() => serialize({ at: null })).toThrow()
})
