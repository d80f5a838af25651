import type { FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { KeptAnswer } from '../service/commit.ts'
import type { Db } from '../service/db.ts'
import { fingerprint, once } from '../service/idempotency.ts'
import type { Keyring } from '../service/keyring.ts'

export const IdempotencyHeaders = z.looseObject({
  'idempotency-key': z.string().min(1).max(255).optional().describe('同一键的重复请求只生效一次，24 小时内原样重放成功的回答'),
})

type Run<T> = (keep?: (answer: T) => KeptAnswer) => Promise<T>

/**
 * Sends (through `reply`) what `run` answers; with an Idempotency-Key once only, the kept bytes being those that were sent.
 * @param headersOf what goes with the answer besides its body; derived from it, so that a replay has it too
 */
export async function sendOnce<T extends { [key: string]: unknown }>(
  { db, keyring }: { db: Db; keyring: Keyring }, request: FastifyRequest, reply: FastifyReply, status: number,
  headersOf: (answer: T) => Record<string, string>, run: Run<T>,
): Promise<never> {
  const key = request.headers['idempotency-key']
  if (typeof key !== 'string') {
    const answer = await run()
    return reply.code(status).headers(headersOf(answer)).send(answer) as never
  }
  const { actor } = request
  const caller = actor.kind === 'person' ? actor.id : actor.kind === 'app' ? actor.clientId : ''
  const keyed = { caller, key, fingerprint: fingerprint(request.method, request.url, JSON.stringify(request.body ?? null)) }
  const sent = await once(db, keyring, keyed, async (keep) => {
    let body = ''
    await run((answer) => keep(status, (body = reply.serializeInput(answer, String(status)) as string)))
    return { status, body, replayed: false }
  })
  if (sent.replayed) reply.header('idempotency-replayed', 'true')
  return reply.code(sent.status).headers(headersOf(JSON.parse(sent.body) as T)).type('application/json; charset=utf-8').serializer(String).send(sent.body) as never
}
