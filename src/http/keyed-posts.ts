import type { FastifyInstance, FastifyReply, FastifyRequest, RouteHandlerMethod, RouteOptions } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import type { z } from 'zod'
import type { Db } from '../service/db.ts'
import { fingerprint, onceWhole, type Once } from '../service/idempotency.ts'
import type { Keyring } from '../service/keyring.ts'
import { IdempotencyHeaders } from './idempotent.ts'

/**
 * Idempotency-Key on every POST that has none of its own: nodes, people, organisations, duties, items, webhooks… Requests keep
 * their answer in the statement that makes its effect (idempotent.ts); here it is kept in one transaction with it. Tokens and
 * uploads are left out.
 */

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Set by `declareKeys`: once per Idempotency-Key. A route says false whose answer has personal data in clear (that is never kept), or whose refusals must leave a trace. */
    keyed?: boolean
  }
}

/** Before the document is written: which routes take a key, and what they may say to it. */
export function declareKeys(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    const { method, config = {}, schema } = route
    if (method !== 'POST' || schema === undefined || schema.hide || config.public || config.keyed === false || schema.consumes !== undefined || takesKey(schema.headers)) return
    route.schema = { ...schema, headers: schema.headers === undefined ? IdempotencyHeaders : (schema.headers as typeof IdempotencyHeaders).extend(IdempotencyHeaders.shape) }
    route.config = { ...config, keyed: true, problems: [...(config.problems ?? []), 'idempotency-key-reused', 'idempotency-in-flight'] }
  })
}

const takesKey = (headers: unknown): boolean => headers !== undefined && 'idempotency-key' in ((headers as z.ZodObject).shape ?? {})

/** Registered beside the authentication, before the routes. */
export function keyedPosts(deps: { db: Db; keyring: Keyring }): FastifyPluginAsyncZod {
  const plugin: FastifyPluginAsyncZod = async (app) => {
    app.addHook('onRoute', (route: RouteOptions) => {
      if (route.config?.keyed) route.handler = keyed(deps, route.handler)
    })
  }
  return Object.assign(plugin, { [Symbol.for('skip-override')]: true })
}

/** Where it lies is said in a header: kept with the body, so that a replay has it too. */
interface Kept {
  location: string | null
  body: string | null
}

const keyed = (deps: { db: Db; keyring: Keyring }, handler: RouteHandlerMethod): RouteHandlerMethod =>
  async function (this: FastifyInstance, request: FastifyRequest, reply: FastifyReply) {
    if (typeof request.headers['idempotency-key'] !== 'string') return handler.call(this, request, reply)
    return answerOnce(deps, request, reply, onceWhole, async () => {
      const held = holdBack(reply)
      const given: unknown = await handler.call(this, request, held.reply)
      return { answer: given === held.reply ? held.payload() : given }
    })
  }

/**
 * Answers once under the request's Idempotency-Key, which it has; with the status and the Location that `work` sets on the reply.
 * @param how by what means it is once
 */
export async function answerOnce(
  { db, keyring }: { db: Db; keyring: Keyring }, request: FastifyRequest, reply: FastifyReply, how: Once, work: () => Promise<{ answer: unknown; passing?: boolean }>,
): Promise<FastifyReply> {
  const { actor } = request
  const caller = actor.kind === 'person' ? actor.id : actor.kind === 'app' ? actor.clientId : ''
  const print = fingerprint(request.method, request.url, JSON.stringify(request.body ?? null))
  const sent = await how(db, keyring, { caller, key: request.headers['idempotency-key'] as string, fingerprint: print }, async () => {
    const { answer, passing = false } = await work()
    const body = answer === undefined || answer === null ? null : reply.serializeInput(answer as { [key: string]: unknown }, String(reply.statusCode)) as string
    const location = reply.getHeader('location')
    return { status: reply.statusCode, passing, body: JSON.stringify({ location: typeof location === 'string' ? location : null, body } satisfies Kept) }
  })
  const { location, body } = JSON.parse(sent.body) as Kept
  if (sent.replayed) reply.header('idempotency-replayed', 'true')
  if (location !== null) reply.header('location', location)
  reply.code(sent.status)
  return body === null ? reply.send() : reply.type('application/json; charset=utf-8').serializer(String).send(body)
}

/** A reply that notes what is to be sent: it leaves only when it is kept. */
function holdBack(reply: FastifyReply): { reply: FastifyReply; payload: () => unknown } {
  let payload: unknown
  const held: FastifyReply = new Proxy(reply, {
    get(target, name) {
      if (name === 'send') return (sent: unknown) => { payload = sent; return held }
      if (name === 'then') return undefined // to wait for it would be to wait until it is sent
      const value: unknown = Reflect.get(target, name, target)
      return typeof value !== 'function' ? value : (...given: unknown[]) => {
        const result: unknown = value.apply(target, given)
        return result === target ? held : result
      }
    },
  })
  return { reply: held, payload: () => payload }
}
