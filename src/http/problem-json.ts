import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Problem, PROBLEMS, says, type Kind, type ProblemCode } from '../domain/problems.ts'
import { asProblem } from '../service/failures.ts'
import { LANGUAGE_TAG, languageOf, type Language } from './language.ts'
import { InputRefused, type Pointed } from './validation.ts'

/** The one place where a refusal gets a status. */
export const STATUS = {
  invalid: 400, unauthenticated: 401, forbidden: 403, missing: 404, disallowed: 405, late: 408, conflict: 409, gone: 410, precondition: 412,
  tooLarge: 413, unsupported: 415, unprocessable: 422, limited: 429, overlong: 431, internal: 500, busy: 503,
} as const satisfies Record<Kind, number>

export const PROBLEM_JSON = 'application/problem+json'

declare module 'fastify' {
  interface FastifyReply {
    /** The problem this reply tells of, for the request's log line and the metrics. */
    problem: ProblemCode | null
  }
}

/** Every refusal and every failure leaves as RFC 9457, through here. */
export function answerProblems(app: FastifyInstance): void {
  app.decorateReply('problem', null)
  app.setErrorHandler((error, request, reply) => sendProblem(error, request, reply))
  app.setNotFoundHandler((request, reply) => {
    const allowed = METHODS.filter((method) => app.findRoute({ method, url: request.url }) !== null)
    if (allowed.length === 0) return sendProblem(new Problem('not-found', { detail: says('没有这个地址', 'There is nothing at this URL') }), request, reply)
    reply.header('allow', [...allowed, 'OPTIONS'].join(', '))
    if (request.method === 'OPTIONS') return reply.code(204).send()
    return sendProblem(new Problem('method-not-allowed', { facts: { allowed } }), request, reply)
  })
}

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] as const

export function sendProblem(thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const error = asProblem(thrown)
  const language = languageOf(request.headers['accept-language'])
  const problem = problemOf(error, request)
  const status = STATUS[problem.kind]
  if (status >= 500) request.log[problem.kind === 'internal' ? 'error' : 'warn']({ err: error }, problem.code)

  reply.problem = problem.code
  reply.code(status).headers({
    'content-type': PROBLEM_JSON,
    'content-language': LANGUAGE_TAG[language],
    'cache-control': 'no-store',
    vary: 'accept-language',
    'x-request-id': request.id,
  })
  if (problem.kind === 'unauthenticated') reply.header('www-authenticate', challenge(problem.code))
  const wait = retryAfterOf(problem)
  if (wait !== undefined) reply.header('retry-after', wait)
  const errors = error instanceof InputRefused ? error.findings(language) : findingsOf(problem, language)
  return reply.send(JSON.stringify(bodyOf(problem, errors, language, request.id)))
}

/** What became of one of many, within an answer of its own: the same body, and its status. */
export function problemWithin(thrown: unknown, request: FastifyRequest): { status: number; problem: Record<string, unknown> } {
  const error = asProblem(thrown)
  const language = languageOf(request.headers['accept-language'])
  const problem = problemOf(error, request)
  if (STATUS[problem.kind] >= 500) request.log[problem.kind === 'internal' ? 'error' : 'warn']({ err: error }, problem.code)
  const errors = error instanceof InputRefused ? error.findings(language) : findingsOf(problem, language)
  return { status: STATUS[problem.kind], problem: bodyOf(problem, errors, language, request.id) }
}

export function bodyOf(problem: Problem, errors: Pointed[], language: Language, requestId: string): Record<string, unknown> {
  const members = {
    type: `/problems/${problem.code}`,
    title: PROBLEMS[problem.code][language],
    status: STATUS[problem.kind],
    detail: problem.detail?.[language],
    code: problem.code,
    requestId,
    errors: errors.length === 0 ? undefined : errors,
  }
  // first for the order, last because the members of RFC 9457 win over facts of the same name
  return { ...members, ...problem.facts, ...members }
}

const findingsOf = (problem: Problem, language: Language): Pointed[] =>
  problem.errors.map(({ pointer, code = 'invalid', message }) => ({ pointer, code, message: message[language] }))

const challenge = (code: ProblemCode): string => (code === 'token-invalid' ? 'Bearer realm="wish-wall", error="invalid_token"' : 'Bearer realm="wish-wall"')

/** Seconds. Who throws may know better; a busy or limited caller is always told something. */
export function retryAfterOf({ kind, facts }: Problem): number | undefined {
  if (typeof facts.retryAfter === 'number') return Math.max(1, Math.ceil(facts.retryAfter))
  return kind === 'busy' || kind === 'limited' ? 1 : undefined
}

export function problemOf(error: unknown, request: FastifyRequest): Problem {
  if (error instanceof Problem) return error
  if (error instanceof InputRefused) return new Problem('validation-failed')
  // the caller hung up while sending: nobody reads this answer, and it is no failure of ours
  if (request.raw.complete === false && codeOf(error) === 'ECONNRESET') return new Problem('body-malformed')
  return FROM_FASTIFY[codeOf(error)]?.() ?? new Problem('internal')
}

const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '')

/** By code, never by `statusCode`: an error of an outside HTTP client may carry one too. */
const FROM_FASTIFY: Record<string, () => Problem> = {
  FST_ERR_BAD_URL: () => new Problem('url-malformed'),
  FST_ERR_MAX_PARAM_LENGTH: () => new Problem('not-found'),
  FST_ERR_NOT_FOUND: () => new Problem('not-found'),
  FST_ERR_CTP_INVALID_JSON_BODY: () => new Problem('body-malformed', { detail: says('不是有效的 JSON', 'Not valid JSON') }),
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: () => new Problem('body-malformed', { detail: says('长度与 Content-Length 不符', 'The length differs from Content-Length') }),
  FST_ERR_CTP_INVALID_MEDIA_TYPE: () => new Problem('media-type-unsupported'),
  FST_ERR_ROUTE_MISSING_CONTENT_TYPE: () => new Problem('media-type-unsupported'),
  FST_ERR_CTP_BODY_TOO_LARGE: () => new Problem('body-too-large'),
  FST_ERR_HANDLER_TIMEOUT: () => new Problem('took-too-long'),
}
