import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { v7 as uuidv7 } from 'uuid'
import { base62 } from '../domain/api-key.ts'
import { code } from '../domain/atoms.ts'
import { Problem, says } from '../domain/problems.ts'
import { isScope, type Scope } from '../domain/scopes.ts'
import { ACTOR_TTL_MS } from './actors.ts'
import { remember, tenantHere, type Db } from './db.ts'
import { violates } from './failures.ts'

/** A registered app that may call now. */
export interface Client {
  id: string
  /** Public name, such as demo-app. */
  clientId: string
  name: string
  scopes: Scope[]
  /** Calls per minute; null is the house's own limit. */
  ratePerMinute: number | null
  /** Origins of the pages that may call with its tokens, such as https://app.example.cn. */
  corsOrigins: string[]
}

export type NewClient = Pick<Client, 'clientId' | 'name' | 'scopes'> & { [Setting in 'ratePerMinute' | 'corsOrigins']?: Client[Setting] | undefined }

/** The secret is shown this once. @throws Problem validation-failed at /clientId when it is taken */
export async function createClient(db: Db, { clientId, name, scopes, ratePerMinute = null, corsOrigins = [] }: NewClient): Promise<{ id: string; clientSecret: string }> {
  const id = uuidv7()
  const clientSecret = base62(randomBytes(32))
  await db.prisma.client
    .create({ data: { tenantId: tenantHere(), id, clientId, name, secretHash: sha256(clientSecret), scopes, ratePerMinute, corsOrigins } })
    .catch((error: unknown) => {
      if (!violates(error, 'client_tenantId_clientId_key')) throw error
      throw taken()
    })
  return { id, clientSecret }
}

export const taken = () => new Problem('validation-failed', { errors: [{ pointer: '/clientId', code: 'taken', message: says('该 clientId 已被使用', 'This clientId is taken') }] })

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

export const clientKey = (id: string): string => `client/${tenantHere()}/${id}`

async function registered(db: Db, by: { id: string } | { clientId: string }): Promise<Registered | undefined> {
  const [key] = Object.keys(by) as ['id' | 'clientId']
  const { rows } = await db.app.query<Registered>({
    name: `client_by_${key}`,
    text: `SELECT id, "clientId", name, scopes, "ratePerMinute", "corsOrigins", "secretHash", CASE WHEN "formerUntil" > wishwall_now() THEN "formerSecretHash" END AS "formerSecretHash"
      FROM client WHERE "tenantId" = $1 AND "${key}" = $2 AND "revokedAt" IS NULL`,
    values: [tenantHere(), Object.values(by)[0]],
  })
  return rows[0]
}

const clientOf = ({ id, clientId, name, scopes, ratePerMinute, corsOrigins }: Registered): Client =>
  ({ id, clientId, name, scopes: scopes.filter(isScope), ratePerMinute, corsOrigins })

/** 256 random bits need no slow hash. */
export const sha256 = (secret: string) => new Uint8Array(createHash('sha256').update(secret).digest())
const NO_HASH = new Uint8Array(32)
