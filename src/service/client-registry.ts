import { randomBytes } from 'node:crypto'
import type { Actor } from '../domain/actor.ts'
import { base62 } from '../domain/api-key.ts'
import { inPerson } from '../domain/directory.ts'
import { administers } from '../domain/places.ts'
import { Problem, says } from '../domain/problems.ts'
import type { Scope } from '../domain/scopes.ts'
import { account } from './audit.ts'
import { clientKey, createClient, revokeClient, sha256, taken, type Client, type NewClient } from './clients.ts'
import { decodeCursor, pageOf, type Page } from './cursor.ts'
import { inOneTransaction, inTenant, tenantHere, type Db } from './db.ts'
import type { Keyring } from './keyring.ts'
import { UUID } from './load.ts'
import { readParent } from './nodes.ts'
import { refPair } from './refs.ts'
import { inNewSandbox } from './sandboxes.ts'
import { rootOf } from './tenants.ts'

/** 应用 as those who register them see them. */

export interface ClientView extends Client {
  /** Tries in a tenant of its own, see sandboxes.ts. */
  sandbox: boolean
  createdAt: Date
  /** Of the last rotation of its secret. */
  rotatedAt: Date | null
  /** Until then the secret before is good too. */
  formerSecretUntil: Date | null
  revokedAt: Date | null
}

const VIEW = `c.id, c."clientId", c.name, c.scopes, c."ratePerMinute", c."corsOrigins", c."createdAt", c."rotatedAt", c."revokedAt",
  CASE WHEN c."formerUntil" > wishwall_now() THEN c."formerUntil" END AS "formerSecretUntil", t."sandboxOfId" IS NOT NULL AS sandbox`
/** Of the tenant $1 and of its sandboxes, which only the system sees together. */
const FOUND = `FROM client c JOIN tenant t ON t.id = c."tenantId" WHERE (t.id = $1 OR t."sandboxOfId" = $1)`

/** Registered apps, also revoked ones, newest first. @throws Problem forbidden, cursor-unusable */
export async function listClients(db: Db, { cursor, limit }: { cursor?: string | undefined; limit: number }, actor: Actor): Promise<Page<ClientView>> {
  await requireRegistrar(db, actor)
  const { rows } = await db.system.query<ClientView>({
    name: 'clients', text: `SELECT ${VIEW} ${FOUND} AND ($2::uuid IS NULL OR c.id < $2) ORDER BY c.id DESC LIMIT $3`,
    values: [tenantHere(), cursor === undefined ? null : decodeCursor(cursor, UUID), limit + 1],
  })
  return pageOf(rows, limit, ({ id }) => id)
}

/** @param ref id or clientId @throws Problem forbidden, not-found */
export const readClient = async (db: Db, ref: string, actor: Actor): Promise<ClientView> => (await locate(db, ref, actor)).client

interface Located {
  /** The tenant it is in: this one, or its own sandbox. */
  home: string
  client: ClientView
}

async function locate(db: Db, ref: string, actor: Actor): Promise<Located> {
  await requireRegistrar(db, actor)
  const found = await byRef(db, ref)
  if (!found) throw new Problem('not-found')
  return found
}

const byRefIn = (ref: string) => ({ name: 'client', text: `SELECT ${VIEW}, t.id AS home ${FOUND} AND (c.id = $2::uuid OR c."clientId" = $3)`, values: [tenantHere(), ...refPair(ref)] })

async function byRef(db: Db, ref: string): Promise<Located | undefined> {
  const statement = byRefIn(ref)
  // Here first: what this call has just written is seen by its own transaction alone.
  const { rows: [here] } = await db.app.query<ClientView & { home: string }>(statement)
  const row = here ?? (await db.system.query<ClientView & { home: string }>(statement)).rows[0]
  if (!row) return undefined
  const { home, ...client } = row
  return { home, client }
}

/** As it is now, in the tenant where it is: also what the transaction under way has just written. */
const seenAt = (db: Db, home: string, id: string): Promise<ClientView> => inTenant(home, async () => {
  const { rows: [row] } = await db.app.query<ClientView & { home: string }>(byRefIn(id))
  const { home: _, ...client } = row!
  return client
})

/** Runs in the tenant where the app is. @throws Problem forbidden, not-found */
export async function whereItIs<T>(db: Db, ref: string, actor: Actor, work: (client: ClientView) => Promise<T>): Promise<T> {
  const { home, client } = await locate(db, ref, actor)
  return inTenant(home, () => work(client))
}

/** The same for an app that is not revoked. @throws Problem forbidden, not-found, client-revoked */
export const whereItLives = <T>(db: Db, ref: string, actor: Actor, work: (client: ClientView) => Promise<T>): Promise<T> =>
  whereItIs(db, ref, actor, async (client) => {
    if (client.revokedAt) throw new Problem('client-revoked')
    return work(client)
  })

/**
 * A new app with its first secret, shown this once. A sandbox app gets a likeness of the tenant to try in.
 * @param held scopes of the caller's own token, which nobody exceeds
 * @throws Problem forbidden, validation-failed at /clientId
 */
export async function registerClient(
  { db, keyring }: { db: Db; keyring: Keyring }, { scopes, sandbox = false, ...rest }: NewClient & { sandbox?: boolean | undefined }, actor: Actor, held: readonly Scope[],
): Promise<ClientView & { clientSecret: string }> {
  await requireRegistrar(db, actor)
  requireHeld(scopes, held)
  if (await byRef(db, rest.clientId)) throw taken()
  const make = async () => ({ home: tenantHere(), ...(await createClient(db, { ...rest, scopes: [...new Set(scopes)] })) })
  return inOneTransaction(db, async () => {
    const { home, id, clientSecret } = await (sandbox ? inNewSandbox({ db, keyring }, make) : make())
    await account(db.app, actor, { action: 'client.created', object: 'client', objectId: id, details: { sandbox } })
    return { ...(await seenAt(db, home, id)), clientSecret }
  })
}

export interface ClientChange {
  name?: string | undefined
  scopes?: Scope[] | undefined
  ratePerMinute?: number | null | undefined
  corsOrigins?: string[] | undefined
}

/** What is left out stays. Scopes taken away count at once here and within two seconds elsewhere. @throws as `whereItLives` */
export async function changeClient(db: Db, ref: string, { name, scopes, ratePerMinute, corsOrigins }: ClientChange, actor: Actor, held: readonly Scope[]): Promise<ClientView> {
  return changed(db, actor, 'client.changed', () => whereItLives(db, ref, actor, async ({ id, scopes: before }) => {
    if (scopes) requireHeld(scopes.filter((scope) => !before.includes(scope)), held)
    await db.prisma.client.updateMany({
      where: { tenantId: tenantHere(), id }, data: {
        ...(name !== undefined && { name }), ...(scopes && { scopes: [...new Set(scopes)] }),
        ...(ratePerMinute !== undefined && { ratePerMinute }), ...(corsOrigins && { corsOrigins: [...new Set(corsOrigins)] }),
      },
    })
    return { home: tenantHere(), id }
  }))
}

/** An act on an app that is there, accounted for in the same transaction; forgotten once it is done, so that nobody remembers what was before. */
async function changed(db: Db, actor: Actor, action: 'client.changed' | 'client.secret-rotated' | 'client.revoked', act: () => Promise<{ home: string; id: string }>): Promise<ClientView> {
  const { home, client } = await inOneTransaction(db, async () => {
    const { home: at, id } = await act()
    await account(db.app, actor, { action, object: 'client', objectId: id })
    return { home: at, client: await seenAt(db, at, id) }
  })
  inTenant(home, () => db.memory.delete(clientKey(client.id)))
  return client
}

/**
 * A new secret; the one before stays good for so many hours, none for 0, and any older one no more.
 * @throws as `whereItLives`
 */
export async function rotateClientSecret(db: Db, ref: string, overlapHours: number, actor: Actor): Promise<ClientView & { clientSecret: string }> {
  const clientSecret = base62(randomBytes(32))
  const client = await changed(db, actor, 'client.secret-rotated', () => whereItLives(db, ref, actor, async ({ id }) => {
    await rotate(db, id, clientSecret, overlapHours)
    return { home: tenantHere(), id }
  }))
  return { ...client, clientSecret }
}

async function rotate(db: Db, id: string, clientSecret: string, overlapHours: number): Promise<void> {
  await db.app.query({
    name: 'rotate_client_secret',
    text: `UPDATE client SET "secretHash" = $3, "rotatedAt" = wishwall_now(),
        "formerSecretHash" = CASE WHEN $4::int > 0 THEN "secretHash" END,
        "formerUntil" = CASE WHEN $4::int > 0 AND "secretHash" IS NOT NULL THEN wishwall_now() + make_interval(hours => $4::int) END
      WHERE "tenantId" = $1 AND id = $2`,
    values: [tenantHere(), id, sha256(clientSecret), overlapHours],
  })
}

/** For good. @throws Problem forbidden, not-found */
export const withdrawClient = (db: Db, ref: string, actor: Actor): Promise<ClientView> =>
  changed(db, actor, 'client.revoked', () => whereItIs(db, ref, actor, async ({ id }) => {
    await revokeClient(db, id)
    return { home: tenantHere(), id }
  }))

/**
 * Apps are registered for the tenant as a whole, by a person: an app that could register apps could give itself any scope.
 * @throws Problem forbidden
 */
async function requireRegistrar(db: Db, actor: Actor): Promise<void> {
  const root = await readParent(db, await rootOf(db))
  if (!root || !inPerson(actor) || !administers(actor, root.path)) {
    throw new Problem('forbidden', { detail: says('须由整个租户的管理员本人办理', 'For an administrator of the whole tenant, in person') })
  }
}

/** @throws Problem forbidden at /scopes */
export function requireHeld(scopes: readonly Scope[], held: readonly Scope[]): void {
  if (scopes.every((scope) => held.includes(scope))) return
  throw new Problem('forbidden', { errors: [{ pointer: '/scopes', code: 'value', message: says(`只能取自 ${held.join(' ')}`, `Only from ${held.join(' ')}`) }] })
}
