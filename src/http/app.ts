import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { fastify, type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { Problem } from '../domain/problems.ts'
import { answerClientError } from './client-error.ts'
import { allowOrigins, type IsAllowedOrigin } from './cors.ts'
import { holdToDocument } from './contract.ts'
import { serveDocs } from './docs.ts'
import { readJsonBodies } from './json-body.ts'
import { declareKeys } from './keyed-posts.ts'
import { describeApi } from './openapi.ts'
import { refuse } from './open311/refusal.ts'
import { answerProblems, sendProblem } from './problem-json.ts'
import { documentProblems } from './problem-responses.ts'
import { limitRates, type RateLimits, type SharedCounter } from './rate-limit.ts'
import { RequestLog, withSafeSerializers } from './request-log.ts'
import { serializerCompiler } from './serialization.ts'
import { refuseUnknownParameters, validatorCompiler } from './validation.ts'

export interface AppDeps {
  log: FastifyBaseLogger
  routes: readonly FastifyPluginAsyncZod[]
  /** What is sent, for the document. */
  webhooks?: Record<string, object>
  /** CIDRs of the proxies whose X-Forwarded-For is believed; none by default. */
  trustedProxies?: readonly string[]
  /** How often anybody may call; not limited when left out. */
  limits?: RateLimits & { shared?: SharedCounter | undefined }
  /** The origins whose pages may call; none when left out. */
  isAllowedOrigin?: IsAllowedOrigin
  /** Hears of every answer: the route as declared, null where there is none; streams, which last as long as they like, left out. */
  answered?: ((method: string, route: string | null, status: number, seconds: number) => void) | undefined
  /** Tests: an answer that its schema would refuse becomes a 500, and every answer is held to the document (contract.ts). */
  checkAnswers?: boolean
}

const KIB = 1024
const SECOND = 1000

/** The whole HTTP door, not yet listening. What is written first wraps what comes after. */
export function buildApp({ log, routes, webhooks, trustedProxies = [], limits, isAllowedOrigin, answered, checkAnswers = false }: AppDeps): FastifyInstance {
  const app = fastify({
    loggerInstance: withSafeSerializers(log),
    logController: new RequestLog(),
    genReqId: requestIdOf,
    ...(trustedProxies.length > 0 && { trustProxy: [...trustedProxies] }),
    bodyLimit: 256 * KIB,
    connectionTimeout: 60 * SECOND,
    http: { headersTimeout: 30 * SECOND, connectionsCheckingInterval: 5 * SECOND },
    requestTimeout: 120 * SECOND, // photos are sent from basements; what is no upload has the handler's time, its body included
    handlerTimeout: 10 * SECOND,
    forceCloseConnections: 'idle',
    return503OnClosing: false, // its 503 is no problem+json; `refuseWhenClosing` answers instead
    frameworkErrors: (error, request, reply) => void (request.url.startsWith('/open311/') ? refuse : sendProblem)(error, request, reply),
    clientErrorHandler: answerClientError,
  })

  app.addHook('onRequest', (request, reply, done) => {
    reply.headers(SAFE_HEADERS).header('x-request-id', request.id)
    done()
  })
  if (answered) {
    app.addHook('onResponse', (request, reply, done) => {
      const stream = String(reply.getHeader('content-type')).startsWith('text/event-stream')
      if (!stream) answered(request.method, request.routeOptions.url ?? null, reply.statusCode, reply.elapsedTime / 1_000)
      done()
    })
  }
  refuseWhenClosing(app)
  readJsonBodies(app)
  answerProblems(app)
  refuseUnknownParameters(app)
  if (checkAnswers) holdToDocument(app)
  declareKeys(app)
  documentProblems(app)
  describeApi(app, webhooks)
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler({ checked: checkAnswers }))
  if (isAllowedOrigin) allowOrigins(app, isAllowedOrigin)
  if (limits) limitRates(app, limits, limits.shared)
  serveDocs(app)
  for (const route of routes) app.register(route)
  return app
}

/**
 * What a JSON API needs of helmet's headers; pages set their own policy. The plugin works them out anew for every
 * request, which took 38 of 85 µs. TLS ends at a proxy that may serve other hosts too: HSTS speaks for this one only.
 */
const SAFE_HEADERS = {
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'strict-transport-security': 'max-age=31536000',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
}

/** The caller's own id, if it is one that may be written into logs and headers. */
function requestIdOf({ headers }: IncomingMessage): string {
  const given = headers['x-request-id']
  return typeof given === 'string' && /^[\w-]{8,64}$/.test(given) ? given : randomUUID()
}

function refuseWhenClosing(app: FastifyInstance): void {
  let closing = false
  const sockets = new Set<Socket>()
  app.server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  app.addHook('preClose', (done) => {
    closing = true
    // A browser's spare connection has never asked anything: node does not count it as idle, and would wait for it.
    for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy()
    done()
  })
  // An answer that was under way has promised to keep its connection: nobody would close it after that.
  app.addHook('onResponse', (_request, _reply, done) => {
    if (closing) setImmediate(() => app.server.closeIdleConnections())
    done()
  })
  app.addHook('onRequest', (_request, _reply, done) => done(closing ? new Problem('shutting-down') : undefined))
}
