import cors, { type FastifyCorsOptions } from '@fastify/cors'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

/** Asks whether an origin is allowed to some app: a preflight names none. */
export type IsAllowedOrigin = (origin: string) => Promise<boolean>

const ALLOWED: FastifyCorsOptions = {
  methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
  allowedHeaders: ['Authorization', 'Content-Type', 'Accept-Language', 'Idempotency-Key', 'If-Match', 'If-None-Match', 'Acting-Duty', 'X-Request-Id', 'Last-Event-ID'],
  exposedHeaders: 'Content-Language, Content-Disposition, ETag, Location, Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, X-Request-Id',
  maxAge: 600,
  // Tokens are sent by hand, in a header: no cookie ever speaks for anybody here.
  credentials: false,
  strictPreflight: false,
}
const REFUSED: FastifyCorsOptions = { origin: false }

/**
 * CORS by an allow-list per app. A preflight is answered where any app allows the origin; so is a call without a token,
 * which gets what everybody may see. With a token it is up to the app that the token is for: see `answerOrigin`.
 */
export function allowOrigins(app: FastifyInstance, isAllowed: IsAllowedOrigin): void {
  // The plugin's route for `OPTIONS *` is nobody's operation.
  app.addHook('onRoute', (route) => {
    if (route.url === '*' && route.method === 'OPTIONS') route.config = { ...route.config, public: true, rateLimit: false }
  })
  app.register(cors, {
    delegator: (request, done) => {
      const { origin, authorization, 'access-control-request-method': asks } = request.headers
      const preflight = request.method === 'OPTIONS' && asks !== undefined
      if (origin === undefined || (request.method === 'OPTIONS' && !preflight) || (authorization !== undefined && !preflight)) return done(null, REFUSED)
      isAllowed(origin).then((allowed) => done(null, allowed ? { ...ALLOWED, origin } : REFUSED), done)
    },
  })
}

/** The answer may be read by the page that asked, when the app whose token it sent says so. */
export function answerOrigin({ headers: { origin } }: FastifyRequest, reply: FastifyReply, allowed: readonly string[]): void {
  if (origin === undefined || !allowed.includes(origin)) return
  reply.header('access-control-allow-origin', origin).header('access-control-expose-headers', ALLOWED.exposedHeaders)
}
