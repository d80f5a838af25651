import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { v7 as uuidv7 } from 'uuid'
import type { Actor } from '../domain/actor.ts'
import { base62 } from '../domain/api-key.ts'
import { code } from '../domain/atoms.ts'
import { inPerson } from '../domain/directory.ts'
import { administers } from '../domain/places.ts'
import { Problem, says } from '../domain/problems.ts'
import { isScope, type Scope } from '../domain/scopes.ts'
import { ACTOR_TTL_MS } from './actors.ts'
import { decodeCursor, pageOf, type Page } from './cursor.ts'
import { remember, tenantHere, type Db } from './db.ts'
import { violates } from './failures.ts'
import { UUID } from './load.ts'
import { readParent } from './nodes.ts'
import { named, refPair } from './refs.ts'
import { rootOf } from './tenants.ts'

/** A registered app that may call now. */
export interface Client {
  id: string
  /** Public name, such as demo-app. */
  clientId: string
  name: string
  scopes: Scope[]
}

/** The secret is shown this once. @throws Problem validation-failed at /clientId when it is taken */
export async function createClient(db: Db, { clientId, name, scopes }: Omit<Client, 'id'>): Promise<{ id: string; clientSecret: string }> {
  const id = uuidv7()
  const clientSecret = base62(randomBytes(32))
  await db.prisma.client
    .create({ data: { tenantId: tenantHere(), id, clientId, name, secretHash: sha256(clientSecret), scopes } })
    .catch((error: unknown) => {
      if (!violates(error, 'client_tenantId_clientId_key')) throw error
      throw new Problem('validation-failed', { errors: [{ pointer: '/clientId', code: 'taken', message: says('该 clientId 已被使用', 'This clientId is taken') }] })
    })
  return { id, clientSecret }
}

type Registered = Omit<Client, 'scopes'> & { scopes: string[]; secretHash: Buffer | null; formerSecretHash: Buffer | null }

/** @returns undefined for an unknown or revoked client and for a wrong secret alike */
export async function authenticateClient(db: Db, clientId: string, clientSecret: string): Promise<Client | undefined> {
  const row = code.safeParse(clientId).success ? await registered(db, { clientId }) : undefined
  const given = sha256(clientSecret)
  // Both are compared, whichever fits.
  const fits = [row?.secretHash, row?.formerSecretHash].filter((hash) => timingSafeEqual(hash ?? NO_HASH, given) && hash).length > 0
  return fits && row ? clientOf(row) : undefined
}

/** The app a token was made for, if it is still welcome; what happened in another process counts after `ACTOR_TTL_MS`. */
export async function welcomeClient(db: Db, id: string): Promise<Client | undefined> {
  const { row } = await remember(db, clientKey(id), ACTOR_TTL_MS, async () => ({ row: await registered(db, { id }) }))
  return row ? clientOf(row) : undefined
}

/** No tokens for it any more, and those it has stop working. */
export async function revokeClient(db: Db, id: string): Promise<void> {
  await db.app.query({
    name: 'revoke_client',
    text: `UPDATE client SET "revokedAt" = wishwall_now() WHERE "tenantId" = $1 AND id = $2 AND "revokedAt" IS NULL`,
    values: [tenantHere(), id],
  })
  db.memory.delete(clientKey(id))
}

const clientKey = (id: string): string => `client/${tenantHere()}/${id}`

async function registered(db: Db, by: { id: string } | { clientId: string }): Promise<Registered | undefined> {
  const [key] = Object.keys(by) as ['id' | 'clientId']
  const { rows } = await db.app.query<Registered>({
    name: `client_by_${key}`,
    text: `SELECT id, "clientId", name, scopes, "secretHash", CASE WHEN "formerUntil" > wishwall_now() THEN "formerSecretHash" END AS "formerSecretHash"
      FROM client WHERE "tenantId" = $1 AND "${key}" = $2 AND "revokedAt" IS NULL`,
    values: [tenantHere(), Object.values(by)[0]],
  })
  return rows[0]
}

const clientOf = ({ id, clientId, name, scopes }: Registered): Client => ({ id, clientId, name, scopes: scopes.filter(isScope) })

/** 256 random bits need no slow hash. */
export const sha256 = (secret: string) => new Uint8Array(createHash('sha256').update(secret).digest())
const NO_HASH = new Uint8Array(32)

export interface ClientView extends Client {
  createdAt: Date
  /** Of the last rotation of its secret. */
  rotatedAt: Date | null
  /** Until then the secret before is good too. */
  formerSecretUntil: Date | null
  revokedAt: Date | null
}

const VIEW = `c.id, c."clientId", c.name, c.scopes, c."createdAt", c."rotatedAt", c."revokedAt",
  CASE WHEN c."formerUntil" > wishwall_now() THEN c."formerUntil" END AS "formerSecretUntil"`

/** Registered apps, also revoked ones, newest first. @throws Problem forbidden, cursor-unusable */
export async function listClients(db: Db, { cursor, limit }: { cursor?: string | undefined; limit: number }, actor: Actor): Promise<Page<ClientView>> {
  await requireRegistrar(db, actor)
  const { rows } = await db.app.query<ClientView>({
    name: 'clients', text: `SELECT ${VIEW} FROM client c WHERE c."tenantId" = $1 AND ($2::uuid IS NULL OR c.id < $2) ORDER BY c.id DESC LIMIT $3`,
    values: [tenantHere(), cursor === undefined ? null : decodeCursor(cursor, UUID), limit + 1],
  })
  return pageOf(rows, limit, ({ id }) => id)
}

/** @param ref id or clientId @throws Problem forbidden, not-found */
export async function readClient(db: Db, ref: string, actor: Actor): Promise<ClientView> {
  await requireRegistrar(db, actor)
  const { rows: [row] } = await db.app.query<ClientView>({
    name: 'client', text: `SELECT ${VIEW} FROM client c WHERE ${named('c', 'clientId', 2)}`, values: [tenantHere(), ...refPair(ref)],
  })
  if (!row) throw new Problem('not-found')
  return row
}

/** What a registrar works on: an app that is not revoked. @throws Problem forbidden, not-found, client-revoked */
export async function liveClient(db: Db, ref: string, actor: Actor): Promise<ClientView> {
  const client = await readClient(db, ref, actor)
  if (client.revokedAt) throw new Problem('client-revoked')
  return client
}

/**
 * A new app with its first secret, shown this once.
 * @param held scopes of the caller's own token, which nobody exceeds
 * @throws Problem forbidden, validation-failed at /clientId
 */
export async function registerClient(
  db: Db, { clientId, name, scopes }: Omit<Client, 'id'>, actor: Actor, held: readonly Scope[],
): Promise<ClientView & { clientSecret: string }> {
  await requireRegistrar(db, actor)
  requireHeld(scopes, held)
  const { id, clientSecret } = await createClient(db, { clientId, name, scopes: [...new Set(scopes)] })
  return { ...(await readClient(db, id, actor)), clientSecret }
}

export interface ClientChange {
  name?: string | undefined
  scopes?: Scope[] | undefined
}

/** What is left out stays. Scopes taken away count at once here and within two seconds elsewhere. @throws as `liveClient` */
export async function changeClient(db: Db, ref: string, { name, scopes }: ClientChange, actor: Actor, held: readonly Scope[]): Promise<ClientView> {
  const { id, scopes: before } = await liveClient(db, ref, actor)
  if (scopes) requireHeld(scopes.filter((scope) => !before.includes(scope)), held)
  await db.prisma.client.updateMany({
    where: { tenantId: tenantHere(), id }, data: { ...(name !== undefined && { name }), ...(scopes && { scopes: [...new Set(scopes)] }) },
  })
  db.memory.delete(clientKey(id))
  return readClient(db, id, actor)
}

/**
 * A new secret; the one before stays good for so many hours, none for 0, and any older one no more.
 * @throws as `liveClient`
 */
export async function rotateClientSecret(db: Db, ref: string, overlapHours: number, actor: Actor): Promise<ClientView & { clientSecret: string }> {
  const { id } = await liveClient(db, ref, actor)
  const clientSecret = base62(randomBytes(32))
  await db.app.query({
    name: 'rotate_client_secret',
    text: `UPDATE client SET "secretHash" = $3, "rotatedAt" = wishwall_now(),
        "formerSecretHash" = CASE WHEN $4::int > 0 THEN "secretHash" END,
        "formerUntil" = CASE WHEN $4::int > 0 AND "secretHash" IS NOT NULL THEN wishwall_now() + make_interval(hours => $4::int) END
      WHERE "tenantId" = $1 AND id = $2`,
    values: [tenantHere(), id, sha256(clientSecret), overlapHours],
  })
  return { ...(await readClient(db, id, actor)), clientSecret }
}

/** For good. @throws Problem forbidden, not-found */
export async function withdrawClient(db: Db, ref: string, actor: Actor): Promise<ClientView> {
  const { id } = await readClient(db, ref, actor)
  await revokeClient(db, id)
  return readClient(db, id, actor)
}

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
