import type { Document } from '../../src/http/openapi-tidy.ts'
import { resolved, type Schema } from './read-document.ts'

export const ID = '0195f2a0-7c1e-7abc-8def-0123456789ab'

/** A value that a schema accepts: its own example, or the smallest one. */
export function sampleOf(document: Document, given: Schema): unknown {
  const schema = resolved(document, given)
  if (Array.isArray(schema.examples) && schema.examples.length > 0) return schema.examples[0]
  if ('const' in schema) return schema.const
  if (Array.isArray(schema.enum)) return schema.enum[0]
  const branch = (schema.oneOf ?? schema.anyOf)?.[0] as Schema | undefined
  if (branch) return sampleOf(document, branch)
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type
  switch (type) {
    case 'object':
      return Object.fromEntries((schema.required as string[] ?? []).map((name) => [name, sampleOf(document, schema.properties[name])]))
    case 'array':
      return Array.from({ length: schema.minItems ?? 0 }, () => sampleOf(document, schema.items))
    case 'integer': case 'number':
      return schema.minimum ?? (schema.exclusiveMinimum === undefined ? 1 : schema.exclusiveMinimum + 0.5)
    case 'boolean':
      return true
    case 'string':
      return sampleText(schema)
    default:
      return null
  }
}

const FORMATS: Record<string, string> = { uuid: ID, 'date-time': '2026-11-21T09:00:00+08:00', date: '2026-11-21', email: 'a@example.cn', uri: 'https://example.cn/' }
/** What the patterns of ours accept, tried in turn. */
const WRITTEN = ['a1', '5wd', '13800138000', '09:00', '09:00-17:00', '2026', '1234567890', '91110000600037341L', 'a@b', 'x'.repeat(8), '123456']

function sampleText({ format, pattern, minLength = 0 }: Schema): string {
  if (format !== undefined && FORMATS[format] !== undefined) return FORMATS[format]
  if (pattern !== undefined) return WRITTEN.find((text) => new RegExp(pattern as string, 'u').test(text) && text.length >= minLength) ?? ''
  return 'x'.repeat(Math.max(1, minLength))
}

/** What goes wrong in other people's programs. */
export const NASTY: readonly unknown[] = [
  null, true, false, 0, -1, 1.5, 2 ** 31, 2 ** 53, -(2 ** 63), 1e308, '', ' ', '\u3000', '0', '-1', '1e9', 'NaN', 'null', 'true', '\u0000', 'a\u0000b', '\ud800', 'a\udfff', '\u202e', '\ufeff',
  'x'.repeat(300), '字'.repeat(5_000), '٣', '１３８００１３８０００', "' OR 1=1 --", '%', '%_', '\\', '../../etc/passwd', '{{7*7}}', '<script>', '$ne', 'Infinity', ID, ID.toUpperCase(), '2026-02-30', '2026-02-30T25:61:00Z',
  '2026-11-21T09:00:00', '0000-01-01T00:00:00Z', '9999-12-31T23:59:59Z', '99999wd', '5WD', [], [null], [[]], [[[[[[]]]]]], ['a', 'a'], Array.from({ length: 2_000 }, () => 'x'), {}, { not: '' }, { $gt: '' }, { toString: 1 }, { length: 5 },
  { constructor: { prototype: {} } }, { id: ID },
]

/** Bodies that are no JSON, or more of it than anybody wants. */
export const GARBAGE: readonly (readonly [type: string | undefined, body: string | Buffer])[] = [
  ['application/json', '{'], ['application/json', '{}{}'], ['application/json', '{"a":1,}'], ['application/json', 'nul'], ['application/json', '\ufeff{}'], ['application/json', "{'a':1}"],
  ['application/json', '{"__proto__":{"a":1}}'], ['application/json', '{"constructor":{"prototype":{}}}'], ['application/json', Buffer.from([0x22, 0xff, 0xfe, 0x22])], ['application/json', Buffer.from('{"title":"\xd0\xc4\xd4\xb8"}', 'latin1')],
  ['application/json', '['.repeat(200) + ']'.repeat(200)], ['application/json', '{"a":'.repeat(60) + '1' + '}'.repeat(60)], ['application/json', `"${'x'.repeat(300_000)}"`], ['application/json', '1e999999'], ['application/json; charset=gbk', '{'],
  ['text/plain', 'title=x'], ['application/xml', '<a/>'], ['application/octet-stream', Buffer.from([0, 1, 2])], [';;;', '{}'], ['multipart/form-data', '--x'], ['multipart/form-data; boundary=x', '--x\r\n\r\n'],
  ['multipart/form-data; boundary=x', '--x\r\ncontent-disposition: form-data; name="file"\r\n\r\nx\r\n--x--\r\n'], ['multipart/form-data; boundary=x', '--x\r\ncontent-disposition: form-data; name="file"; filename="a.jpg"\r\ncontent-type: image/jpeg\r\n\r\n\xff\xd8\xff\r\n--x--\r\n'],
  ['multipart/form-data; boundary=x', '--x\r\ncontent-disposition: form-data; name="__proto__"; filename="../../a.xlsx"\r\n\r\nPK\x03\x04\r\n--x--\r\n'],
]

/** The value with one thing in it changed; the same choice on the same value is the same change. */
export interface Change {
  /** Which node, counted from the root on, round and round. */
  place: number
  how: 'replace' | 'drop' | 'add' | 'whole'
  nasty: unknown
  name: string
}

export function changed(value: unknown, { place, how, nasty, name }: Change): unknown {
  if (how === 'whole') return nasty
  const copy: unknown = structuredClone(value)
  const holders: [holder: Record<string, unknown>, key: string][] = []
  const objects: Record<string, unknown>[] = []
  const look = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return
    if (!Array.isArray(node)) objects.push(node as Record<string, unknown>)
    for (const [key, child] of Object.entries(node)) {
      holders.push([node as Record<string, unknown>, key])
      look(child)
    }
  }
  look(copy)
  if (how === 'add' && objects.length > 0) {
    Object.defineProperty(objects[place % objects.length]!, name, { value: nasty, enumerable: true, configurable: true, writable: true })
    return copy
  }
  const at = holders[place % Math.max(1, holders.length)]
  if (!at) return nasty
  const [holder, key] = at
  if (how === 'drop' && !Array.isArray(holder)) delete holder[key]
  else holder[key] = nasty
  return copy
}
