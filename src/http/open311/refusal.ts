import type { FastifyReply, FastifyRequest } from 'fastify'
import { Problem, PROBLEMS, says } from '../../domain/problems.ts'
import { asProblem } from '../../service/failures.ts'
import { LANGUAGE_TAG, languageOf } from '../language.ts'
import { problemOf, retryAfterOf, STATUS } from '../problem-json.ts'
import { InputRefused } from '../validation.ts'
import { formatOf, send } from './writing.ts'

/** Refusals as GeoReport v2 has them: a list of `code` (the HTTP status) and `description`, in the format that was asked for. */
export function refuse(thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const error = asProblem(thrown)
  const problem = problemOf(error, request)
  const status = statusOf(problem)
  if (status >= 500) request.log[problem.kind === 'internal' ? 'error' : 'warn']({ err: error }, problem.code)
  const language = languageOf(request.headers['accept-language'])
  const findings = error instanceof InputRefused ? error.findings(language) : problem.errors.map(({ pointer, message }) => ({ pointer, message: message[language] }))
  const descriptions = findings.length > 0
    ? findings.map(({ pointer, message }) => `${parameterAt(pointer)}: ${message}`)
    : [problem.detail?.[language] ?? PROBLEMS[problem.code][language]]
  reply.problem = problem.code
  reply.code(status).headers({ 'content-language': LANGUAGE_TAG[language], vary: 'accept-language' })
  const wait = retryAfterOf(problem)
  if (wait !== undefined) reply.header('retry-after', wait)
  return send(reply, formatOf(request.url), { root: 'errors', each: 'error' }, descriptions.map((description) => ({ code: status, description })))
}

/**
 * GeoReport v2: 403 for a missing or bad api_key, 404 for a service_code, request or jurisdiction that is none, "and basically
 * 400 for any other error". What says when to come again, and what is our own failure, HTTP has to say.
 */
function statusOf(problem: Problem): number {
  if (problem.code === 'item-unknown') return 404
  if (problem.kind === 'unauthenticated') return 403
  const status = STATUS[problem.kind]
  return status === 403 || status === 404 || status === 429 || status >= 500 ? status : 400
}

/** What is asked of no resource of ours is told in this format too. */
export function answerNowhere(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const allowed = (['GET', 'POST'] as const).filter((method) => request.server.findRoute({ method, url: request.url }) !== null)
  if (allowed.length === 0) return refuse(new Problem('not-found', { detail: says('没有这个资源', 'There is no such resource') }), request, reply)
  return refuse(new Problem('method-not-allowed'), request, reply.header('allow', allowed.join(', ')))
}

/** What our own filing calls otherwise. */
const PARAMETERS: readonly (readonly [RegExp, string])[] = [
  [/^\/query\/tenant$/, 'jurisdiction_id'], [/^\/item$/, 'service_code'], [/^\/node$/, 'address_id'], [/^\/location\/address$/, 'address_string'], [/^\/location\/lng$/, 'long'],
  [/^\/location\/lat$/, 'lat'], [/^\/reason$/, 'description'], [/^\/beneficiary\/name$/, 'last_name'], [/^\/beneficiary\/phone$/, 'phone'], [/^\/form\/(.+)$/, 'attribute[$1]'], [/^\/(?:query|path|headers)\//, ''], [/^\//, ''],
]

function parameterAt(pointer: string): string {
  const known = PARAMETERS.find(([pattern]) => pattern.test(pointer))
  return known ? pointer.replace(known[0], known[1]) : pointer
}
