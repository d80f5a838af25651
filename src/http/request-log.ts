import { LogController, type FastifyBaseLogger, type FastifyReply, type FastifyRequest } from 'fastify'

/** One line per request: the route as declared, never the URL as sent, for that may hold a name or a phone. */
export class RequestLog extends LogController {
  override incomingRequest(): void {}

  override requestCompleted(error: Error | null | undefined, request: FastifyRequest, reply: FastifyReply): void {
    const { method, routeOptions } = request
    request.log.info(
      { method, route: routeOptions.url ?? null, status: reply.statusCode, ms: Math.round(reply.elapsedTime * 10) / 10, problem: reply.problem ?? undefined, err: error ?? undefined },
      'request',
    )
  }
}

/** Whatever a line is given, only these parts of it are written. */
export const withSafeSerializers = (log: FastifyBaseLogger): FastifyBaseLogger =>
  log.child({}, {
    serializers: {
      req: ({ method, routeOptions }: FastifyRequest) => ({ method, route: routeOptions?.url ?? null }),
      res: ({ statusCode }: FastifyReply) => ({ status: statusCode }),
      err: safeError,
    },
  })

interface SafeError {
  type: string
  code?: string
  constraint?: string
  message?: string
  frames?: string[]
  cause?: SafeError
}

/** Our own errors and the runtime's speak of code. Those with a code, and JSON's, quote the data: their words stay out. */
const OF_CODE: ReadonlySet<unknown> = new Set([Error, TypeError, RangeError, ReferenceError])
const speaksOfCode = (error: Error): boolean => OF_CODE.has(error.constructor) && !('code' in error)

/** Name, code and frames of an error; `detail`, `where`, `query`, parameters and quoted values never. */
export function safeError(error: unknown): SafeError {
  if (!(error instanceof Error)) return { type: typeof error }
  const known = error as Error & { code?: unknown; constraint?: unknown }
  return {
    type: error.name,
    ...(typeof known.code === 'string' && { code: known.code }),
    ...(typeof known.constraint === 'string' && { constraint: known.constraint }),
    ...(speaksOfCode(error) && { message: error.message }),
    frames: (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line)).map((line) => line.trim()).slice(0, 12),
    ...(error.cause !== undefined && { cause: safeError(error.cause) }),
  }
}
