import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { v7 as uuidv7 } from 'uuid'
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

/** @returns undefined for an unknown or revoked client and for a wrong secret alike */
export async function authenticateClient(db: Db, clientId: string, clientSecret: string): Promise<Client | undefined> {
  const row = code.safeParse(clientId).success ? await registered(db, { clientId }) : undefined
  const fits = timingSafeEqual(row?.secretHash ?? NO_HASH, sha256(clientSecret))
  return fits && row?.secretHash ? clientOf(row) : undefined
}

/** The app a token was made for, if it is still welcome; what happened in another process counts after `ACTOR_TTL_MS`. */
export async function welcomeClient(db: Db, id: string): Promise<Client | undefined> {
  const { row } = await remember(db, `client/${tenantHere()}/${id}`, ACTOR_TTL_MS, async () => ({ row: await registered(db, { id }) }))
  return row ? clientOf(row) : undefined
}

/** No tokens for it any more, and those it has stop working. */
export async function revokeClient(db: Db, id: string): Promise<void> {
  await db.app.query({
    name: 'revoke_client',
    text: `UPDATE client SET "revokedAt" = wishwall_now() WHERE "tenantId" = $1 AND id = $2 AND "revokedAt" IS NULL`,
    values: [tenantHere(), id],
  })
  db.memory.delete(`client/${tenantHere()}/${id}`)
}

const registered = async (db: Db, by: { id: string } | { clientId: string }) =>
  await db.prisma.client.findFirst({ where: { tenantId: tenantHere(), ...by, revokedAt: null } })

const clientOf = ({ id, clientId, name, scopes }: Omit<Client, 'scopes'> & { scopes: string[] }): Client =>
  ({ id, clientId, name, scopes: scopes.filter(isScope) })

/** 256 random bits need no slow hash. */
const sha256 = (secret: string) => new Uint8Array(createHash('sha256').update(secret).digest())
const NO_HASH = new Uint8Array(32)

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** 32 bytes in 43 characters that survive every shell, URL and form. */
function base62(bytes: Buffer): string {
  let rest = BigInt(`0x${bytes.toString('hex')}`)
  let digits = ''
  for (; digits.length < 43; rest /= 62n) digits += DIGITS[Number(rest % 62n)]
  return digits
}
