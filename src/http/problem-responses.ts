import type {} from '@fastify/swagger'
import type { FastifyInstance, FastifySchema, RouteOptions } from 'fastify'
import { z } from 'zod'
import { PROBLEMS, type ProblemCode } from '../domain/problems.ts'
import { PROBLEM_JSON, STATUS } from './problem-json.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Refusals of this route's own; those that every route of its shape has are added. */
    problems?: readonly ProblemCode[]
    /** No login needed. */
    public?: boolean
    /** It refuses in a format of its own (Open311), and says itself with which statuses. */
    ownRefusals?: true
  }
}

const PointedSchema = z.object({
  pointer: z.string().describe('JSON Pointer；查询参数、路径参数、请求头分别以 /query、/path、/headers 开头'),
  code: z.string().describe('稳定的英文代码：required、type、format、value、too-small、too-big、unknown、invalid'),
  message: z.string(),
})

/** What is documented; what is sent is written by `problem-json.ts`, and a test holds the two together. */
export const ProblemSchema = z
  .looseObject({
    type: z.string().describe('问题类型的地址，打开即为说明'),
    title: z.string(),
    status: z.int(),
    detail: z.string().optional(),
    // new codes may come at any time, so no closed enum
    code: z.string().meta({ description: '稳定的英文代码，程序据此判断', 'x-extensible-enum': Object.keys(PROBLEMS) }),
    requestId: z.string().describe('报障时请提供'),
    errors: z.array(PointedSchema).optional(),
  })
  .meta({
    id: 'Problem',
    description: '出错时的回答（RFC 9457）。title、detail 和 message 默认为中文，Accept-Language: en 时为英文。',
    examples: [
      {
        type: '/problems/validation-failed', title: PROBLEMS['validation-failed'].zh, status: 400, code: 'validation-failed',
        requestId: '0195f2a0-7c1e-7abc-8def-0123456789ab', errors: [{ pointer: '/title', code: 'required', message: '必填' }],
      },
    ],
  })

/** Adds to each documented route the refusals it can answer with. */
export function documentProblems(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    const { schema } = route
    if (schema === undefined || schema.hide || route.config?.ownRefusals) return
    const declared = schema.response as Record<string, unknown> | undefined
    route.schema = { ...schema, response: { ...responsesFor(codesOf(route, schema)), ...declared } }
  })
}

function codesOf({ method, url, config = {} }: RouteOptions, { body, params, querystring, headers }: FastifySchema): ProblemCode[] {
  const own = config.problems ?? []
  const namesItsMissing = own.some((code) => PROBLEMS[code].kind === 'missing')
  return [
    ...own,
    ...when(body ?? params ?? querystring ?? headers, 'validation-failed'),
    // a body is read, and refused, also where none is expected
    ...when(![method].flat().every((one) => one === 'GET' || one === 'HEAD'), 'body-malformed', 'body-too-large', 'media-type-unsupported'),
    ...when(!config.public || config.tokenOptional, 'unauthenticated', 'token-invalid', 'forbidden'),
    ...when(!config.public && !config.oncePassword, 'password-change-required', 'second-factor-required'),
    ...when(url.includes(':') && !namesItsMissing, 'not-found'),
    'rate-limited', 'internal', 'overloaded', 'took-too-long', 'shutting-down',
  ]
}

const when = (condition: unknown, ...codes: ProblemCode[]): ProblemCode[] => (condition ? codes : [])

function responsesFor(codes: ProblemCode[]): Record<string, unknown> {
  const lines = new Map<number, string[]>()
  for (const code of new Set(codes)) {
    const { kind, zh } = PROBLEMS[code]
    lines.set(STATUS[kind], [...(lines.get(STATUS[kind]) ?? []), `\`${code}\` ${zh}`])
  }
  return Object.fromEntries([...lines].map(([status, said]) => [status, { description: said.join('；'), content: { [PROBLEM_JSON]: { schema: ProblemSchema } } }]))
}
