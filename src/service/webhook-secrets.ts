import { randomBytes } from 'node:crypto'
import type pg from 'pg'
import { v7 as uuidv7 } from 'uuid'
import { Problem, says } from '../domain/problems.ts'
import { SECRET_FAULTS, newKeyPair, newSecret, publicKeyOf, secretFault } from '../domain/webhook.ts'
import { tenantHere } from './db.ts'
import type { SealedSecret } from './deliveries.ts'
import type { Keyring } from './keyring.ts'
import { seal, unseal } from './seal.ts'

export type Algorithm = 'v1' | 'v1a'

/** A secret in the clear, for the one answer that shows it, with the row that keeps it. */
export interface Fresh {
  secret: string
  /** What receivers verify v1a with. */
  publicKey: string | null
  row: { id: string; kid: string; sealed: Buffer; publicKey: string | null }
}

interface Owner {
  tenantId: string
  endpointId: string
}

/** A secret opens at its own endpoint only. */
export const placeOf = ({ tenantId, endpointId }: Owner, id: string): string => `webhook-secret/${tenantId}/${endpointId}/${id}`

/**
 * @param given one the receiver brings; otherwise a new one is made
 * @throws Problem validation-failed at /secret
 */
export function freshSecret(keyring: Keyring, owner: Owner, algorithm: Algorithm, given?: string): Fresh {
  const secret = given ?? (algorithm === 'v1' ? newSecret(randomBytes(32)) : newKeyPair(randomBytes(32)).secret)
  const fault = secretFault(secret)
  if (fault) throw refused(fault, SECRET_FAULTS[fault])
  if (secret.startsWith('whsk_') !== (algorithm === 'v1a')) throw refused('prefix', algorithm === 'v1' ? says('v1 的密钥应以 whsec_ 开头', 'A secret for v1 starts with whsec_') : says('v1a 的密钥应以 whsk_ 开头', 'A secret for v1a starts with whsk_'))
  const publicKey = algorithm === 'v1a' ? publicKeyOf(secret) : null
  const id = uuidv7()
  const [{ kid, secret: key }] = keyring.seal
  return { secret, publicKey, row: { id, kid, sealed: seal(key, Buffer.from(secret), placeOf(owner, id)), publicKey } }
}

/** The newest of its endpoint from now on, in the transaction that made it. */
export const keepSecret = (client: pg.PoolClient, endpointId: string, { id, kid, sealed, publicKey }: Fresh['row']) => client.query({
  name: 'webhook_keep_secret',
  text: `INSERT INTO webhook_secret ("tenantId", "endpointId", id, kid, sealed, "publicKey", "createdAt") VALUES ($1, $2, $3, $4, $5, $6, wishwall_now())`,
  values: [tenantHere(), endpointId, id, kid, sealed, publicKey],
})

const refused = (code: string, message: (typeof SECRET_FAULTS)[keyof typeof SECRET_FAULTS]) =>
  new Problem('validation-failed', { errors: [{ pointer: '/secret', code, message }] })

/** @throws Error when the keyring no longer has the key it was sealed by, or the row was moved */
export function openSecret(keyring: Keyring, owner: Owner, { id, kid, sealed }: SealedSecret): string {
  const key = keyring.seal.find((one) => one.kid === kid)
  if (!key) throw new Error(`webhook secret ${id} sealed by an unknown key ${kid}`)
  return unseal(key.secret, Buffer.from(sealed, 'base64'), placeOf(owner, id)).toString()
}
