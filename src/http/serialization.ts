import fastJson from 'fast-json-stringify'
import type { FastifySerializerCompiler } from 'fastify'
import { registry, safeEncode, toJSONSchema, type $ZodType, type JSONSchema } from 'zod/v4/core'

type Serialize = (answer: unknown) => string

/**
 * Answers are written by fast-json-stringify from the zod schema: undeclared fields never leave, at about four times
 * the speed of encoding with zod and stringifying. It does not judge, so `checked` (tests) lets zod look first. Written at a
 * route's first answer: a process that writes them all before it listens stands still for a quarter of a second.
 */
export function serializerCompiler({ checked }: { checked: boolean }): FastifySerializerCompiler<$ZodType> {
  const compiled = new WeakMap<$ZodType, Serialize>()
  return ({ schema, method, url }) => {
    const serialize: Serialize = (answer) => {
      let write = compiled.get(schema)
      if (write === undefined) compiled.set(schema, (write = fastJson(serializable(schema) as fastJson.AnySchema)))
      return write(answer)
    }
    return checked ? afterCheck(schema, `${method} ${url}`, serialize) : serialize
  }
}

function afterCheck(schema: $ZodType, route: string, serialize: Serialize): Serialize {
  return (answer) => {
    const { error } = safeEncode(schema, answer as never)
    if (error !== undefined) throw new TypeError(`${route} answers against its schema: ${error.issues.map((issue) => `/${issue.path.join('/')} ${issue.code}`).join(', ')}`)
    return serialize(answer)
  }
}

/** The output schema, without what only slows the serializer down or makes it choose wrongly. */
export function serializable(schema: $ZodType): JSONSchema.BaseSchema {
  const json = toJSONSchema(schema, { target: 'draft-07', io: 'output', unrepresentable: 'any', metadata: INLINE, override: simplify })
  return withoutNullUnions(json) as JSONSchema.BaseSchema
}

/** No ids, so no `$ref` but for recursion. */
const INLINE = registry<{ id?: string }>()

function simplify({ zodSchema, jsonSchema }: { zodSchema: $ZodType; jsonSchema: JSONSchema.BaseSchema }): void {
  delete jsonSchema.pattern
  delete jsonSchema.format
  // a union would reject a branch for the very field that is to be dropped
  if (jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties
  if (zodSchema._zod.def.type === 'date') Object.assign(jsonSchema, { type: 'string', format: 'date-time' })
}

/** `anyOf: [X, null]` would be decided by validating each value; `nullable` is decided by looking. */
function withoutNullUnions(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(withoutNullUnions)
  if (typeof node !== 'object' || node === null) return node
  const schema: JSONSchema.BaseSchema = Object.fromEntries(Object.entries(node).map(([key, value]) => [key, withoutNullUnions(value)]))
  if (!Array.isArray(schema.anyOf)) return schema
  const { anyOf, ...rest } = schema
  const others = anyOf.filter((branch) => branch.type !== 'null')
  const [only] = others
  if (others.length === anyOf.length || others.length !== 1 || typeof only?.type !== 'string') return schema
  return { ...rest, ...only, nullable: true }
}
