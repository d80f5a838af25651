import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { exportJWK, generateKeyPair, SignJWT, type JWK } from 'jose'
import { pino } from 'pino'
import { buildApp } from '../../src/http/app.ts'
import { authentication } from '../../src/http/auth.ts'
import { clientRoutes } from '../../src/http/routes/clients.ts'
import { dutyRoutes } from '../../src/http/routes/duties.ts'
import { eventRoutes } from '../../src/http/routes/events.ts'
import { itemRoutes } from '../../src/http/routes/items.ts'
import { meRoutes } from '../../src/http/routes/me.ts'
import { nodeRoutes } from '../../src/http/routes/nodes.ts'
import { oauthRoutes } from '../../src/http/routes/oauth.ts'
import { peopleRoutes } from '../../src/http/routes/people.ts'
import { requestRoutes } from '../../src/http/routes/requests.ts'
import { securityRoutes } from '../../src/http/routes/security.ts'
import { totpRoutes } from '../../src/http/routes/totp.ts'
import { wallRoutes } from '../../src/http/routes/wall.ts'
import { openJsonReader } from '../../src/outside/json-reader.ts'
import type { Db } from '../../src/service/db.ts'
import { Lockout } from '../../src/service/lockout.ts'
import { keyring } from '../processes.ts'

/** The doors of login and rights, over real HTTP. */

export interface Door {
  origin: string
  /** Lock-outs said, each once. */
  locked: string[]
  close(): Promise<void>
}

export async function openDoor(db: Db, { clock = Date.now, more = [] as FastifyPluginAsyncZod[] } = {}): Promise<Door> {
  const locked: string[] = []
  const reader = openJsonReader({ allowLoopback: true, allowCidrs: [] })
  const deps = { db, keyring, clock, lockout: new Lockout((by) => void locked.push(by)), passwordGrant: true, readJson: reader.read }
  const app: FastifyInstance = buildApp({
    log: pino({ level: 'silent' }), checkAnswers: true,
    routes: [
      authentication(deps), oauthRoutes(deps), meRoutes(deps), totpRoutes(deps), securityRoutes(deps), peopleRoutes(deps), dutyRoutes(deps), clientRoutes(deps),
      requestRoutes(deps), wallRoutes(deps), eventRoutes(deps), nodeRoutes(deps), itemRoutes(deps), ...more,
    ],
  })
  const origin = await app.listen({ port: 0, host: '127.0.0.1' })
  return {
    origin, locked,
    close: async () => {
      await app.close()
      reader.close()
    },
  }
}

export interface TokenAnswer {
  status: number
  headers: Headers
  body: Record<string, any>
}

export async function askToken(origin: string, fields: Record<string, string | undefined>, headers: Record<string, string> = {}): Promise<TokenAnswer> {
  const body = new URLSearchParams(Object.entries(fields).filter((field): field is [string, string] => field[1] !== undefined))
  const answer = await fetch(`${origin}/oauth/token`, { method: 'POST', headers, body })
  return { status: answer.status, headers: answer.headers, body: (await answer.json()) as Record<string, any> }
}

/** An OpenID Connect issuer of the customer's own: a real server with real keys. */
export interface Issuer {
  url: string
  /** An id token as it would give it; claims and header may be anything. */
  token(claims: Record<string, unknown>, options?: { alg?: string; kid?: string; header?: Record<string, unknown>; by?: 'current' | 'former' | 'stranger' }): Promise<string>
  /** New keys from now on; the former are no longer published. */
  rotate(): Promise<void>
  /** Asked for its keys so often. */
  asked(): number
  /** What it says instead of its documents: a status, a body, or nothing for ever. */
  answer?: { status?: number; body?: string; hang?: boolean; says?: Record<string, unknown> } | undefined
  close(): Promise<void>
}

const ALG = 'ES256'

export async function openIssuer(nowMs: () => number = Date.now): Promise<Issuer> {
  const make = async (kid: string) => {
    const pair = await generateKeyPair(ALG, { extractable: true })
    return { kid, ...pair, jwk: { ...(await exportJWK(pair.publicKey)), kid, alg: ALG, use: 'sig' } as JWK }
  }
  let n = 1
  let current = await make('key-1')
  let former = current
  const stranger = await make('key-1')
  let asked = 0
  const issuer = { answer: undefined } as Issuer
  const server: Server = createServer((request, reply) => {
    const { status = 200, body, hang, says } = issuer.answer ?? {}
    if (hang) return
    const document = request.url === '/.well-known/openid-configuration' ? { issuer: issuer.url, jwks_uri: `${issuer.url}/keys`, ...says } : { keys: [current.jwk] }
    if (request.url === '/keys') asked++
    reply.writeHead(status, { 'content-type': 'application/json' }).end(body ?? JSON.stringify(document))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return Object.assign(issuer, {
    url,
    asked: () => asked,
    token: async (claims: Record<string, unknown>, { alg = ALG, kid, header = {}, by = 'current' }: { alg?: string; kid?: string; header?: Record<string, unknown>; by?: 'current' | 'former' | 'stranger' } = {}) => {
      const key = { current, former, stranger }[by]
      const now = Math.floor(nowMs() / 1000)
      return new SignJWT({ iss: url, aud: 'wish-wall', sub: 'u1', iat: now, exp: now + 300, ...claims }).setProtectedHeader({ alg, kid: kid ?? key.kid, ...header }).sign(key.privateKey, { crit: { 'x-wall': false } })
    },
    rotate: async () => {
      former = current
      current = await make(`key-${++n}`)
    },
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  })
}
