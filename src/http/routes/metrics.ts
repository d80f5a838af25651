import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { Problem } from '../../domain/problems.ts'

export interface Readable {
  read(): Promise<{ contentType: string; text: string }>
}

/** `/metrics` beside the API: only for who knows the token (RFC 6750, header only). */
export const metricsRoutes = ({ metrics, token }: { metrics: Readable; token: string }): FastifyPluginAsyncZod => async (app) => {
  app.get('/metrics', { config: { public: true, rateLimit: false }, schema: { hide: true } }, async (request, reply) => {
    if (!isBearer(request.headers.authorization, token)) throw new Problem('unauthenticated')
    const { contentType, text } = await metrics.read()
    return reply.header('content-type', contentType).header('cache-control', 'no-store').send(text)
  })
}

/** `/metrics` on a port of its own, where nothing else is; with a token, only for who knows it. */
export function metricsServer({ metrics, token }: { metrics: Readable; token?: string | undefined }): Server {
  return createServer({ requestTimeout: 10_000, headersTimeout: 5_000, maxHeaderSize: 8_192 }, (request, response) => {
    const answer = (status: number, text = '', headers: Record<string, string> = {}) =>
      response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store', 'x-content-type-options': 'nosniff', ...headers }).end(text)
    if (request.url?.split('?')[0] !== '/metrics') return answer(404)
    if (request.method !== 'GET') return answer(405, '', { allow: 'GET' })
    if (token !== undefined && !isBearer(request.headers.authorization, token)) return answer(401, '', { 'www-authenticate': 'Bearer realm="wish-wall"' })
    metrics.read().then(({ contentType, text }) => answer(200, text, { 'content-type': contentType }), () => answer(500))
  })
}

/** Compared by digest, so that neither length nor beginning is told by the time it takes. */
function isBearer(authorization: string | undefined, token: string): boolean {
  const given = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1]
  return given !== undefined && timingSafeEqual(digest(given), digest(token))
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
