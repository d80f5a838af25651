import { AsyncLocalStorage } from 'node:async_hooks'
import { v7 as uuidv7 } from 'uuid'
import type { Actor } from '../domain/actor.ts'
import type { Accounted } from '../domain/audit.ts'
import { tenantHere } from './db.ts'
import type { Prisma } from './generated/client.ts'

/** The transaction of the act: of the driver, or Prisma's. */
export type Ledger =
  | { query(statement: { name: string; text: string; values: unknown[] }): Promise<unknown> }
  | Pick<Prisma.TransactionClient, '$executeRawUnsafe'>

const calls = new AsyncLocalStorage<string>()

/** Runs with the id of the call (X-Request-Id), which entries made meanwhile carry. */
export const inCall = <T>(id: string, run: () => T): T => calls.run(id, run)

/** Entry, its place in the queue of the chain, and what was said, all in one statement. */
const WRITE = `
  WITH entry AS (
    INSERT INTO audit_entry ("tenantId", id, at, action, "actorKind", "actorId", "clientId", "dutyId", "objectKind", "objectId", details, call)
    VALUES ($1::uuid, $2::uuid, wishwall_now(), $3::text, $4::text, $5::uuid, $6::uuid, $7::uuid, $8::text, $9::uuid, $10::jsonb, $11::text)),
  said AS (INSERT INTO audit_reason ("tenantId", "entryId", body) SELECT $1::uuid, $2::uuid, $12::text WHERE $12::text IS NOT NULL)
  INSERT INTO audit_outbox ("tenantId", id, at) VALUES ($1::uuid, $2::uuid, wishwall_now())`

/**
 * Accounts for an act, in the act's own transaction: there is never one without the other. The entry can be read from then
 * on and never changed; the chain takes it up behind the feed's newest event (service/audit-chain.ts).
 * @param client transaction of the act, in the tenant it is done in: `pg.PoolClient`, a pool for an act of its own, or Prisma's
 * @returns the entry's id
 */
export async function account(client: Ledger, actor: Actor, { action, object, objectId = null, details = {}, reason = null, dutyId }: Accounted): Promise<string> {
  const id = uuidv7()
  const person = actor.kind === 'person' ? actor : null
  const values = [
    tenantHere(), id, action, actor.kind, person?.id ?? null, actor.kind === 'system' ? null : actor.clientId, dutyId ?? onlyDuty(actor), object, objectId,
    JSON.stringify(details), calls.getStore() ?? null, reason,
  ]
  if ('query' in client) await client.query({ name: 'account', text: WRITE, values })
  else await client.$executeRawUnsafe(WRITE, ...values)
  return id
}

const WRITE_EACH = `
  WITH given AS MATERIALIZED (SELECT * FROM jsonb_to_recordset($7::jsonb) AS g(id uuid, action text, object text, "objectId" uuid, details jsonb)),
  entry AS (
    INSERT INTO audit_entry ("tenantId", id, at, action, "actorKind", "actorId", "clientId", "dutyId", "objectKind", "objectId", details, call)
    SELECT $1::uuid, id, wishwall_now(), action, $2::text, $3::uuid, $4::uuid, $5::uuid, object, "objectId", details, $6::text FROM given)
  INSERT INTO audit_outbox ("tenantId", id, at) SELECT $1::uuid, id, wishwall_now() FROM given`

/** Acts that are done in one statement, each accounted for by itself. */
export async function accountEach(client: Extract<Ledger, { query: unknown }>, actor: Actor, acts: readonly Pick<Accounted, 'action' | 'object' | 'objectId' | 'details'>[]): Promise<void> {
  const entries = acts.map(({ action, object, objectId = null, details = {} }) => ({ id: uuidv7(), action, object, objectId, details }))
  await client.query({
    name: 'account_each', text: WRITE_EACH,
    values: [tenantHere(), actor.kind, actor.kind === 'person' ? actor.id : null, actor.kind === 'system' ? null : actor.clientId, onlyDuty(actor), calls.getStore() ?? null, JSON.stringify(entries)],
  })
}

/** `Acting-Duty` leaves one; of several it is not known which the act was done under. */
const onlyDuty = (actor: Actor): string | null => (actor.kind === 'person' && actor.duties.length === 1 ? actor.duties[0]!.id : null)
