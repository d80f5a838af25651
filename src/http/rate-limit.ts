import { createHash } from 'node:crypto'
import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance, FastifyRequest, RouteOptions } from 'fastify'
import { LRUCache } from 'lru-cache'
import { looksLikeApiKey } from '../domain/api-key.ts'
import { Problem } from '../domain/problems.ts'

/** Calls per minute. */
export interface RateLimits {
  /** Of one credential: an app, an API key, a person (through one app). An app may have a limit of its own. */
  credential: number
  /** Of one address (IPv6: its /64) that sends no token, or none that is good. */
  anonymous: number
  /** Failures of one address at the token endpoint, whatever they name. */
  failures: number
}

/** Counts for all processes together. It may fail, and must not take long. */
export interface SharedCounter {
  /** @returns how many there were in this window, and the milliseconds it still lasts */
  count(key: string, windowMs: number): Promise<Count>
}
interface Count {
  current: number
  ttl: number
}

const MINUTE_MS = 60_000
const KEYS = 100_000
export const TOKEN_ENDPOINT = '/oauth/token'

declare module 'fastify' {
  interface FastifyRequest {
    /** Counts a call whose token was no good against its address. @throws Problem rate-limited */
    spendByAddress: ((request: FastifyRequest) => Promise<void>) | undefined
  }
}

/** `@fastify/rate-limit` with the budgets of this house. Registered before the routes; each counts once it is known who calls. */
export function limitRates(app: FastifyInstance, limits: RateLimits, shared?: SharedCounter): void {
  app.register(rateLimit, {
    global: true, enableDraftSpec: true, timeWindow: MINUTE_MS, store: storeOf(shared),
    keyGenerator: credentialOf,
    max: ({ visitor }) => (visitor ? (visitor.client?.ratePerMinute ?? limits.credential) : limits.anonymous),
    errorResponseBuilder: (_request, { ttl }) => tooMany(ttl),
  })
  app.decorateRequest('spendByAddress', undefined)
  app.after(() => {
    const byAddress = app.createRateLimit({ max: limits.anonymous, keyGenerator: addressOf })
    const failed = app.createRateLimit({ max: limits.failures - 1, keyGenerator: (request) => `failed/${addressOf(request)}` })
    const spend = async (request: FastifyRequest): Promise<void> => {
      const result = await byAddress(request)
      if (!result.isAllowed && result.isExceeded) throw tooMany(result.ttl)
    }
    app.addHook('onRequest', (request, _reply, done) => {
      request.spendByAddress = spend
      done()
    })
    app.addHook('onRoute', (route) => {
      if (route.url === TOKEN_ENDPOINT) guessing(route, failed)
    })
  })
}

type Limiter = ReturnType<FastifyInstance['createRateLimit']>

/** Guesses at logins and secrets are counted when they fail, and only then: an office behind one address logs in at nine. */
function guessing(route: RouteOptions, failed: Limiter): void {
  route.onRequest = [...listOf(route.onRequest), async (request: FastifyRequest) => {
    const result = await failed(request, { increment: false })
    if (!result.isAllowed && result.isExceeded) throw tooMany(result.ttl)
  }] as never
  route.onResponse = [...listOf(route.onResponse), async (request: FastifyRequest, reply: { statusCode: number }) => {
    if (reply.statusCode === 400 || reply.statusCode === 401) await failed(request)
  }] as never
}

const listOf = <T>(hooks: T | T[] | undefined): T[] => (hooks === undefined ? [] : Array.isArray(hooks) ? hooks : [hooks])

const tooMany = (ttlMs: number): Problem => new Problem('rate-limited', { facts: { retryAfter: Math.max(1, Math.ceil(ttlMs / 1000)) } })

const addressOf = ({ ip }: FastifyRequest): string => `address/${rateLimit.normalizeIP(ip)}`

/** An API key has a budget of its own beside its app's other tokens. */
function credentialOf(request: FastifyRequest): string {
  const { visitor } = request
  if (!visitor) return addressOf(request)
  const token = request.headers.authorization?.split(' ').at(-1) ?? ''
  if (looksLikeApiKey(token)) return `key/${createHash('sha256').update(token).digest('base64url').slice(0, 22)}`
  return `${visitor.tenantId}/${visitor.client?.id ?? ''}/${visitor.id}`
}

/**
 * Each process counts for itself; where there is a shared counter its word counts, while it answers. So a budget that
 * is everybody's together becomes one for each process when the shared one is away, and no call waits or fails for it.
 */
function storeOf(shared: SharedCounter | undefined) {
  const counts = new LRUCache<string, { current: number; until: number }>({ max: KEYS })
  const here = (key: string, windowMs: number, add: 0 | 1): Count => {
    const now = performance.now()
    const known = counts.get(key)
    if (known && known.until > now) {
      known.current += add
      return { current: known.current, ttl: known.until - now }
    }
    if (add === 1) counts.set(key, { current: 1, until: now + windowMs })
    return { current: add, ttl: windowMs }
  }
  type Done = (error: Error | null, result?: Count) => void
  return class Store {
    incr(key: string, done: Done, windowMs: number): void {
      const own = here(key, windowMs, 1)
      if (!shared) return done(null, own)
      shared.count(key, windowMs).then((all) => {
        // Should it go away now, this process goes on from what all of them had.
        counts.set(key, { current: all.current, until: performance.now() + all.ttl })
        done(null, all)
      }, () => done(null, own))
    }

    /** As far as this process knows. */
    read(key: string, done: Done, windowMs: number): void {
      done(null, here(key, windowMs, 0))
    }

    child(): Store {
      return this
    }
  }
}
