import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import type { Actor } from '../domain/actor.ts'
import { looksLikeApiKey } from '../domain/api-key.ts'
import { uuid } from '../domain/atoms.ts'
import { Problem, says } from '../domain/problems.ts'
import { isPublic } from '../domain/right.ts'
import { RIGHTS } from '../domain/rights.ts'
import type { Scope } from '../domain/scopes.ts'
import { mustChangePassword, mustEnrolTotp, personActor } from '../service/actors.ts'
import { principalOfKey } from '../service/api-keys.ts'
import { inCall } from '../service/audit.ts'
import { welcomeClient, type Client } from '../service/clients.ts'
import { inTenant, type Db } from '../service/db.ts'
import type { Keyring } from '../service/keyring.ts'
import { verifyToken, type Principal } from '../service/tokens.ts'
import { answerOrigin } from './cors.ts'

/** Who calls, by the token of this request. */
export interface Caller {
  /** Of the person, or of the app that calls for itself. */
  id: string
  tenantId: string
  actor: Actor
  scopes: readonly Scope[]
  /** The app that calls, for itself or for the person; null where a person logged in by himself. */
  client: Client | null
}

const CALLER = Symbol('caller')

declare module 'fastify' {
  interface FastifyRequest {
    /** Not to be asked for on public routes; nor are the two that follow. */
    readonly caller: Caller
    readonly actor: Actor
    readonly tenantId: string
    /** Who calls where nobody need say: on a route with `tokenOptional`, whoever sends a token. */
    readonly visitor: Caller | null
    [CALLER]: Caller | null
  }
  interface FastifyContextConfig {
    /** What a token must be good for; null where any will do. An operation's is in domain/rights.ts; another route that is not public must say. */
    scope?: Scope | null
    /** Of a public route: a token that is sent all the same is read, and refused when it is bad. */
    tokenOptional?: true
    /** Also for those who came in by a one-time password and have still to choose their own, or to enrol the second factor they need. */
    oncePassword?: true
    /** Set from domain/rights.ts: whoever can log in needs a second factor here, where the tenant asks for it. */
    factor?: true
  }
}

export interface AuthDeps {
  db: Db
  keyring: Keyring
  /** The wall clock, in milliseconds. */
  clock: () => number
}

/**
 * Reads the Bearer token (RFC 6750, header only) before the body is, and lets the handler run inside the token's
 * tenant. For every route that is not `config.public` and is registered beside or after this.
 */
export function authentication(deps: AuthDeps): FastifyPluginAsyncZod {
  const plugin: FastifyPluginAsyncZod = async (app) => {
    decorate(app)
    app.addHook('onRoute', withRight)
    app.addHook('onRequest', async (request, reply) => {
      const { public: open, tokenOptional, scope, oncePassword, factor } = request.routeOptions.config
      if (request.is404 || (open && !(tokenOptional && request.headers.authorization !== undefined))) return
      const caller = await callerOf(deps, request.headers.authorization).catch(async (error: unknown) => {
        if (error instanceof Problem && error.kind === 'unauthenticated') await request.spendByAddress?.(request)
        throw error
      })
      answerOrigin(request, reply, caller.client?.corsOrigins ?? [])
      request[CALLER] = actingIn(caller, request.headers['acting-duty'])
      if (scope) requireScope(scope, request.caller, reply)
      if (!oncePassword) await requireReady(deps, request.caller, factor)
    })
    // By callback, for what an async hook enters ends with it; after the body, whose events come from the socket.
    app.addHook('preValidation', (request, _reply, done) => inCall(request.id, () => (request[CALLER] ? inTenant(request.tenantId, done) : done())))
  }
  return Object.assign(plugin, { [Symbol.for('skip-override')]: true })
}

/** The scope of an operation is its row's in the table of rights; one without a row is none. @throws also when a route says one itself */
function withRight(route: RouteOptions): void {
  const { method, url, schema, config = {} } = route
  const name = `${String(method)} ${url}`
  const operation = schema?.operationId
  if (operation === undefined) {
    if (!config.public && config.scope === undefined) throw new Error(`${name} is neither public nor does it say which scope it needs`)
    return
  }
  const right = Object.hasOwn(RIGHTS, operation) ? RIGHTS[operation] : undefined
  if (!right) throw new Error(`${name}: ${operation} has no row in src/domain/rights.ts`)
  if (isPublic(right) !== Boolean(config.public)) throw new Error(`${name}: ${operation} is public by one of route and src/domain/rights.ts, and not by the other`)
  if (config.scope !== undefined) throw new Error(`${name}: the scope of ${operation} is said in src/domain/rights.ts alone`)
  route.config = { ...config, scope: right.scope, ...(right.factor && { factor: true }) }
}

function decorate(app: FastifyInstance): void {
  app.decorateRequest(CALLER, null)
  app.decorateRequest('caller', { getter: function (this: FastifyRequest) { return known(this) } })
  app.decorateRequest('actor', { getter: function (this: FastifyRequest) { return known(this).actor } })
  app.decorateRequest('visitor', { getter: function (this: FastifyRequest) { return this[CALLER] } })
  app.decorateRequest('tenantId', { getter: function (this: FastifyRequest) { return known(this).tenantId } })
}

function known({ [CALLER]: caller, routeOptions }: FastifyRequest): Caller {
  if (caller === null) throw new Error(`${String(routeOptions.method)} ${routeOptions.url} is public: nobody is known to call`)
  return caller
}

async function callerOf({ db, keyring, clock }: AuthDeps, authorization: string | undefined): Promise<Caller> {
  const token = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1]
  if (token === undefined) throw new Problem('unauthenticated')
  const principal = looksLikeApiKey(token) ? await principalOfKey(db, token) : verifyToken(keyring, token, clock())
  return inTenant(principal.tenantId, () => admitted(db, principal))
}

/** Who an API key speaks for, where it is sent in another way than as a token (Open311). @throws Problem token-invalid */
export async function callerByKey(db: Db, key: string): Promise<Caller> {
  const principal = await principalOfKey(db, key)
  return inTenant(principal.tenantId, () => admitted(db, principal))
}

/** On a public route: the call counts as his from now on. */
export function comesAs(request: FastifyRequest, caller: Caller): void {
  request[CALLER] = caller
}

/** A token outlives the right to use it: person and app are looked at each time, from a memory of two seconds. */
async function admitted(db: Db, { kind, subject: id, tenantId, clientId, scopes }: Principal): Promise<Caller> {
  const client = clientId === null ? undefined : await welcomeClient(db, clientId)
  const actor: Actor | undefined = kind === 'person' ? await personActor(db, id, clientId) : { kind, clientId: id }
  if (!actor || (clientId !== null && !client)) throw new Problem('token-invalid')
  return { id, tenantId, actor, scopes: client ? scopes.filter((scope) => client.scopes.includes(scope)) : scopes, client: client ?? null }
}

async function requireReady({ db }: AuthDeps, { actor, tenantId }: Caller, factor = false): Promise<void> {
  if (actor.kind !== 'person') return
  await inTenant(tenantId, async () => {
    if (await mustChangePassword(db, actor.id)) throw new Problem('password-change-required')
    if (await mustEnrolTotp(db, actor.id, factor)) throw new Problem('second-factor-required')
  })
}

/** 交叉任职 (S1): of many duties the one acted in. The others confer nothing in this call, and it is the one that is stored. */
function actingIn(caller: Caller, duty: string | string[] | undefined): Caller {
  if (duty === undefined) return caller
  const id = uuid.safeParse(duty).data
  if (id === undefined) throw new Problem('validation-failed', { errors: [{ pointer: ACTING_DUTY, code: 'format', message: says('应为职责 id', 'Expected the id of a duty') }] })
  const { actor } = caller
  const held = actor.kind === 'person' ? actor.duties.filter((duty) => duty.id === id) : []
  if (actor.kind !== 'person' || held.length === 0) throw new Problem('forbidden', { errors: [{ pointer: ACTING_DUTY, code: 'value', message: says('您现在不担任这项职责', 'Not a duty you hold now') }] })
  return { ...caller, actor: { ...actor, duties: held } }
}

const ACTING_DUTY = '/headers/acting-duty'

function requireScope(scope: Scope, { scopes }: Caller, reply: FastifyReply): void {
  if (scopes.includes(scope)) return
  reply.header('www-authenticate', `Bearer realm="wish-wall", error="insufficient_scope", scope="${scope}"`)
  throw new Problem('forbidden', { facts: { scope } })
}
