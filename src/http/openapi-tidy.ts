/** Plain JSON of an OpenAPI document, as deep as the passes below look into it. */
export interface Document {
  paths: Record<string, Record<string, Operation>>
  tags?: { name: string }[]
  security?: Record<string, string[]>[]
  components: { schemas: Schemas; securitySchemes?: Record<string, unknown>; [kind: string]: unknown }
  [member: string]: unknown
}
interface Operation {
  tags?: string[]
  parameters?: { in: string; name: string; required?: boolean; description?: string; example?: unknown; schema?: Node; style?: string; explode?: boolean }[]
  requestBody?: { required?: boolean; content: Record<string, { schema: Node }> }
  responses: Record<string, { $ref?: string; description?: string; content?: Record<string, { schema: Node }> }>
  security?: Record<string, string[]>[]
  'x-audience'?: string
}
type Node = Record<string, unknown>
type Schemas = Record<string, Node>

const REF = '#/components/schemas/'
const nameOf = (ref: string): string => ref.slice(REF.length)

/** The document as generators and people want it; see each pass. */
export function tidy(document: Document): Document {
  for (const operation of operationsOf(document)) {
    tidyParameters(operation)
    tidyBody(operation)
    for (const response of Object.values(operation.responses)) open(response)
  }
  const { schemas } = document.components
  for (const [name, schema] of Object.entries(schemas)) if (!isTwin(schemas, name)) open(schema)
  visit(document, plainNull)
  visit(document, anyJson(schemas))
  return withDiscriminators(withoutTwins(document))
}

export const operationsOf = (document: Document): Operation[] => Object.values(document.paths).flatMap((item) => Object.values(item))

/** Components that something refers to, and the tags that operations use. */
export function withoutUnused(document: Document): Document {
  const used = reachable(document)
  const tags = new Set(operationsOf(document).flatMap((operation) => operation.tags ?? []))
  const { schemas, securitySchemes, ...others } = document.components
  const usedOf = (kind: string, all: unknown): Schemas =>
    Object.fromEntries(Object.entries(all as Schemas).filter(([name]) => used.has(`${kind}/${name}`)).sort(([a], [b]) => (a < b ? -1 : 1)))
  return {
    ...document,
    ...(document.tags && { tags: document.tags.filter(({ name }) => tags.has(name)) }),
    components: {
      ...(securitySchemes && { securitySchemes }), schemas: usedOf('schemas', schemas),
      ...Object.fromEntries(Object.entries(others).map(([kind, all]) => [kind, usedOf(kind, all)])),
    },
  }
}

/**
 * Fastify lower-cases header names. Lists in a query are written `a,b`. An example of what may be left out is told in words:
 * Swagger UI would fill it in, and whoever just presses 执行 would search for the example.
 */
function tidyParameters({ parameters = [] }: Operation): void {
  for (const parameter of parameters) {
    if (parameter.in === 'query' && parameter.required !== true) tellExample(parameter)
    if (parameter.in === 'header') parameter.name = parameter.name.replace(/(?:^|-)[a-z]/g, (start) => start.toUpperCase())
    if (parameter.in === 'query' && parameter.schema?.type === 'array') Object.assign(parameter, { style: 'form', explode: false })
  }
}

function tellExample(parameter: NonNullable<Operation['parameters']>[number]): void {
  const [example = parameter.example] = (parameter.schema?.examples ?? []) as unknown[]
  delete parameter.example
  if (parameter.schema) delete parameter.schema.examples
  if (example !== undefined) parameter.description = `${parameter.description === undefined ? '' : `${parameter.description}；`}例：\`${String(example)}\``
}

/** A body that may be absent is declared `.nullish()`; @fastify/swagger calls every body required. */
function tidyBody({ requestBody }: Operation): void {
  for (const media of Object.values(requestBody?.content ?? {})) {
    const branches = media.schema.anyOf
    if (!Array.isArray(branches) || !branches.some((branch: Node) => branch.type === 'null')) continue
    const [only, ...more] = branches.filter((branch: Node) => branch.type !== 'null') as Node[]
    if (only === undefined || more.length > 0) continue
    const { anyOf: _, ...rest } = media.schema
    media.schema = { ...rest, ...only }
    Object.assign(requestBody as object, { required: false })
  }
}

/** Answers may gain fields, so they are not closed; input is. */
function open(schema: unknown): void {
  visit(schema, (node) => {
    if (node.additionalProperties === false) delete node.additionalProperties
  })
}

/** `anyOf: [string, null]` as `type: [string, null]`, which generators understand better. */
function plainNull(node: Node): void {
  if (!Array.isArray(node.anyOf) || node.anyOf.length !== 2) return
  const [value, none] = node.anyOf as [Node, Node]
  if (none.type !== 'null' || typeof value.type !== 'string' || 'enum' in value || 'const' in value) return
  delete node.anyOf
  Object.assign(node, value, { type: [value.type, 'null'] })
}

/** A recursive schema without an id (`z.json()`) leaves a reference to nowhere: any JSON is what it means. */
const anyJson = (schemas: Schemas) => (node: Node): void => {
  if (typeof node.$ref === 'string' && !(nameOf(node.$ref) in schemas)) delete node.$ref
}

const isTwin = (schemas: Schemas, name: string): boolean => name.endsWith('Input') && name.slice(0, -5) in schemas

/**
 * Each component comes twice, `Foo` for answers and `FooInput` for input. Where only one is used or both say the
 * same, one `Foo` is left; where they differ, both.
 */
function withoutTwins(document: Document): Document {
  const { schemas: all } = document.components
  const used = withoutUnused(document)
  const { schemas } = used.components
  const same = new Set(Object.keys(schemas).filter((name) => isTwin(schemas, name)))
  const merged = (name: string): string => (same.has(name) ? name.slice(0, -5) : name)
  const printed = (name: string): string => JSON.stringify(schemas[name], (key, value: unknown) => {
    if (key === 'additionalProperties' && value === false) return undefined
    return key === '$ref' && typeof value === 'string' ? REF + merged(nameOf(value)) : value
  })
  // start by believing that all are the same, and give up those that differ until nothing changes
  for (let before = -1; before !== same.size; ) {
    before = same.size
    for (const name of same) if (printed(name) !== printed(name.slice(0, -5))) same.delete(name)
  }
  return renamed(used, (name) => (isTwin(all, name) && !(name.slice(0, -5) in schemas) ? name.slice(0, -5) : merged(name)))
}

/** Where two components come to share a name, the one that always had it stays. */
function renamed(document: Document, newName: (name: string) => string): Document {
  visit(document, (node) => {
    if (typeof node.$ref === 'string' && node.$ref.startsWith(REF)) node.$ref = REF + newName(nameOf(node.$ref))
  })
  const schemas: Schemas = {}
  for (const [name, schema] of Object.entries(document.components.schemas)) {
    if (newName(name) === name || !(newName(name) in document.components.schemas)) schemas[newName(name)] = schema
  }
  return { ...document, components: { ...document.components, schemas } }
}

/** OpenAPI wants a mapping from value to component, and no discriminator where the branches are inline. */
function withDiscriminators(document: Document): Document {
  const { schemas } = document.components
  visit(document, (node) => {
    const { discriminator, oneOf } = node as { discriminator?: { propertyName: string; mapping?: Record<string, string> }; oneOf?: Node[] }
    if (discriminator === undefined || !Array.isArray(oneOf)) return
    const refs = oneOf.map((branch) => branch.$ref).filter((ref) => typeof ref === 'string')
    if (refs.length < oneOf.length) delete node.discriminator
    else discriminator.mapping = Object.fromEntries(refs.flatMap((ref) => valuesOf(schemas[nameOf(ref)], discriminator.propertyName).map((value) => [value, ref])))
  })
  return document
}

function valuesOf(schema: Node | undefined, property: string): string[] {
  const { const: only, enum: several } = ((schema?.properties as Schemas | undefined)?.[property] ?? {}) as { const?: unknown; enum?: unknown[] }
  return (several ?? [only]).map(String)
}

/** `schemas/Request`, `responses/…`: what the operations and the webhooks need. */
function reachable(document: Document): Set<string> {
  const found = new Set<string>()
  const follow = (value: unknown): void => visit(value, (node) => {
    const [, kind, name] = (typeof node.$ref === 'string' && /^#\/components\/(\w+)\/(.+)$/.exec(node.$ref)) || []
    if (kind === undefined || name === undefined || found.has(`${kind}/${name}`)) return
    found.add(`${kind}/${name}`)
    follow((document.components[kind] as Schemas | undefined)?.[name])
  })
  follow({ ...document, components: {} })
  return found
}

function visit(value: unknown, each: (node: Node) => void): void {
  if (typeof value !== 'object' || value === null) return
  if (!Array.isArray(value)) each(value as Node)
  for (const child of Object.values(value)) visit(child, each)
}
