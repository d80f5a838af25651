import { XMLBuilder } from 'fast-xml-parser'
import type { FastifyReply } from 'fastify'

/** GeoReport v2 in its two formats: XML where none is asked for. */
export type Format = 'xml' | 'json'

const TYPES: Record<Format, string> = { xml: 'text/xml; charset=utf-8', json: 'application/json; charset=utf-8' }
export const MEDIA_TYPES = ['application/json', 'text/xml']

const SUFFIX = /\.(xml|json)$/
/** `WX20261121-000123.json` → what is named, and how it is to be written. */
export const apart = (name: string): { name: string; format: Format } => ({ name: name.replace(SUFFIX, ''), format: formatOf(name) })
export const formatOf = (path: string): Format => (SUFFIX.exec(path.split('?')[0]!)?.[1] as Format | undefined) ?? 'xml'

type Value = string | number | boolean | Date | null | undefined | readonly Value[] | { readonly [name: string]: Value }

/** How a resource is called in XML: a list of things within its root, or one thing. Lists within a thing are wrapped in their name. */
export type Shape = { root: string; each: string } | { root: string }

/** Lists inside things, and what each of their entries is called. */
const ENTRIES: Readonly<Record<string, string>> = { attributes: 'attribute', values: 'value', endpoints: 'endpoint', formats: 'format' }

const builder = new XMLBuilder({ format: true, indentBy: '  ', suppressEmptyNode: true })

export function written(format: Format, shape: Shape, answer: object): string {
  if (format === 'json') return JSON.stringify(answer, function (this: Record<string, unknown>, name, value: unknown) { return this[name] instanceof Date ? inSeconds(this[name]) : value })
  const body = 'each' in shape ? { [shape.each]: (answer as readonly Value[]).map(forXml) } : forXml(answer as Value)
  return `<?xml version="1.0" encoding="utf-8"?>\n${(builder.build({ [shape.root]: body }) as string).trimEnd()}\n`
}

/** As every example of the specification has it; many clients read no fractions (`%Y-%m-%dT%H:%M:%SZ`). */
const inSeconds = (date: Date): string => `${date.toISOString().slice(0, 19)}Z`

function forXml(value: Value): Value {
  if (value instanceof Date) return inSeconds(value)
  if (value === null || value === undefined || value === '') return null
  if (typeof value !== 'object') return typeof value === 'string' ? value.replace(/[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu, '\ufffd') : String(value)
  if (Array.isArray(value)) return value.map(forXml)
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, Array.isArray(inner) && ENTRIES[name] ? { [ENTRIES[name]]: inner.map(forXml) } : forXml(inner as Value)]))
}

export const send = (reply: FastifyReply, format: Format, shape: Shape, answer: object): never =>
  reply.type(TYPES[format]).header('cache-control', 'no-store').serializer(String).send(written(format, shape, answer)) as never
