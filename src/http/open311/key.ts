import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { AppActor } from '../../domain/actor.ts'
import { Problem, says } from '../../domain/problems.ts'
import type { Scope } from '../../domain/scopes.ts'
import { inTenant, type Db } from '../../service/db.ts'
import { publicTenant, tenant } from '../../service/tenants.ts'
import { callerByKey, comesAs } from '../auth.ts'

/**
 * GeoReport's `api_key`, in the query of what reads and in the form of what writes (or, as some clients have it, in the query
 * there too): the one place where a key may stand in a URL (no log holds one). It is counted to its app like any token, before
 * anything else is done.
 */
export function readKeys(app: FastifyInstance, { db }: { db: Db }): void {
  const admit = async (request: FastifyRequest, ...given: unknown[]): Promise<void> => {
    const key = given.map((part) => (part as { api_key?: unknown } | null | undefined)?.api_key).find((one) => typeof one === 'string' && one !== '') as string | undefined
    if (key === undefined) return
    try {
      comesAs(request, await callerByKey(db, key))
    } catch (error) {
      if (!(error instanceof Problem) || error.kind !== 'unauthenticated') throw error
      await request.spendByAddress?.(request)
      throw new Problem('token-invalid', { errors: [{ pointer: '/api_key', message: says('无效的 API Key', 'Invalid api_key') }] })
    }
  }
  app.addHook('onRequest', (request) => (request.method === 'POST' ? Promise.resolve() : admit(request, request.query)))
  app.addHook('preValidation', (request) => (request.method === 'POST' ? admit(request, request.body, request.query) : Promise.resolve()))
}

/** A route whose key is in its body is counted once that is read. */
export const COUNTED_LATE = { rateLimit: { hook: 'preHandler' as const } }

interface Standing {
  /** Null for the public. */
  app: AppActor | null
}

/**
 * Runs for the jurisdiction: the one of the key, or the one that is named.
 * @throws Problem not-found, validation-failed for the jurisdiction; forbidden when the key's app lacks the scope
 */
export async function within<T>(db: Db, request: FastifyRequest, jurisdiction: string | undefined, scope: Scope, work: (standing: Standing) => Promise<T>): Promise<T> {
  const { visitor } = request
  const named = jurisdiction === '' ? undefined : jurisdiction
  if (!visitor || visitor.actor.kind !== 'app') return inTenant(await publicTenant(db, named), () => work({ app: null }))
  const { actor, scopes } = visitor
  if (!scopes.includes(scope)) throw new Problem('forbidden', { errors: [{ pointer: '/api_key', message: says(`须有 ${scope}`, `Lacks ${scope}`) }] })
  return inTenant(visitor.tenantId, async () => {
    const { code, sandbox } = await tenant(db)
    if (named !== undefined && named !== code && !sandbox) throw new Problem('not-found', { errors: [{ pointer: '/query/tenant', message: says('没有这个租户', 'jurisdiction_id was not found') }] })
    return work({ app: actor })
  })
}

/** @throws Problem unauthenticated for the public */
export function requireApp({ app }: Standing): AppActor {
  if (!app) throw new Problem('unauthenticated', { errors: [{ pointer: '/api_key', message: says('必填', 'Required') }] })
  return app
}
