import { isUtf8 } from 'node:buffer'
import type { FastifyInstance } from 'fastify'
import { Problem, says } from '../domain/problems.ts'

/** Deeper than any schema of ours; recursion over what is parsed stays bounded. */
const DEEPEST = 32

/**
 * JSON is the only body there is, forms being read by the routes that register `@fastify/formbody` for themselves.
 * An empty one is no body: mini-programs label every POST as JSON, so the schema decides whether one is needed.
 * `__proto__` and `constructor.prototype` are refused, and so is what is not UTF-8 (GBK from old consoles) instead of
 * being stored as replacement characters.
 */
export function readJsonBodies(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error')
  app.removeContentTypeParser('text/plain')
  app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (request, bytes, done) => {
    if (bytes.length === 0) return done(null, undefined)
    if (!isUtf8(bytes)) return done(new Problem('body-malformed', { detail: says('正文必须是 UTF-8 编码', 'The body must be UTF-8') }))
    return parse(request, bytes.toString('utf8'), (error, value?: unknown) => {
      if (error !== null) return done(error)
      if (deeperThan(DEEPEST, value)) return done(new Problem('body-malformed', { detail: says(`嵌套超过 ${DEEPEST} 层`, `Nested deeper than ${DEEPEST} levels`) }))
      return done(null, value)
    })
  })
}

const deeperThan = (levels: number, value: unknown): boolean =>
  typeof value === 'object' && value !== null && (levels === 0 || Object.values(value).some((child) => deeperThan(levels - 1, child)))
