import { createHmac, createSecretKey, randomBytes, type KeyObject } from 'node:crypto'
import { v7 as uuidv7 } from 'uuid'
import { tenantHere, type Db } from './db.ts'
import type { Keyring } from './keyring.ts'
import { seal, unseal } from './seal.ts'

/** What is known about someone. The phone as `domain/atoms.ts` writes it, or it will not be found again. */
export interface Personal {
  name?: string
  phone?: string
  door?: string
}

/** A row of `subject`, ready to be written. */
export interface SealedSubject {
  id: string
  key: Buffer
  kid: string
  sealed: Buffer
  phone: Buffer | null
}

/**
 * Seals personal data under a new key of the subject's own, and that key under the keyring's newest: erasing is
 * forgetting one key, rotating is sealing one key again.
 */
export function sealSubject(keyring: Keyring, personal: Personal, id = uuidv7()): SealedSubject {
  const dataKey = randomBytes(32)
  const { kid, secret } = keyring.seal[0]
  return {
    id, kid,
    key: seal(secret, dataKey, place('key', id)),
    sealed: seal(createSecretKey(dataKey), Buffer.from(JSON.stringify(personal)), place('personal', id)),
    phone: personal.phone === undefined ? null : blindIndex(keyring.index[0].secret, personal.phone),
  }
}

export async function createSubject(db: Db, keyring: Keyring, personal: Personal): Promise<string> {
  const { id, key, kid, sealed, phone } = sealSubject(keyring, personal)
  await db.app.query({
    name: 'create_subject',
    text: `INSERT INTO subject ("tenantId", id, key, kid, sealed, phone) VALUES ($1, $2, $3, $4, $5, $6)`,
    values: [tenantHere(), id, key, kid, sealed, phone],
  })
  return id
}

/**
 * Personal data of many subjects in one query. Erased and unknown ones are not in the answer.
 * @throws Error when a row was tampered with or moved, or its key is not in the keyring
 */
export async function openSubjects(db: Db, keyring: Keyring, ids: readonly string[]): Promise<Map<string, Personal>> {
  const { rows } = await db.app.query<SealedSubject>({
    name: 'open_subjects',
    text: `SELECT id, key, kid, sealed FROM subject WHERE "tenantId" = $1 AND id = ANY($2::uuid[]) AND key IS NOT NULL`,
    values: [tenantHere(), ids],
  })
  return new Map(rows.map((row) => [row.id, openSubject(keyring, row)]))
}

function openSubject(keyring: Keyring, { id, key, kid, sealed }: SealedSubject): Personal {
  const kek = keyring.seal.find((known) => known.kid === kid)
  if (!kek) throw new Error(`the keyring has no key ${kid} for subject ${id}`)
  const dataKey = createSecretKey(unseal(kek.secret, key, place('key', id)))
  return JSON.parse(unseal(dataKey, sealed, place('personal', id)).toString()) as Personal
}

/** Who gave this phone number; several may share one. Looks under retired index keys too. */
export async function findSubjects(db: Db, keyring: Keyring, phone: string): Promise<string[]> {
  const { rows } = await db.app.query<{ id: string }>({
    name: 'find_subjects',
    text: `SELECT id FROM subject WHERE "tenantId" = $1 AND phone = ANY($2::bytea[]) ORDER BY id`,
    values: [tenantHere(), keyring.index.map(({ secret }) => blindIndex(secret, phone))],
  })
  return rows.map(({ id }) => id)
}

/** Destroys the key, and what the key was for. @returns false when there is nothing (left) to erase */
export async function eraseSubject(db: Db, id: string): Promise<boolean> {
  const { rowCount } = await db.app.query({
    name: 'erase_subject',
    text: `UPDATE subject SET key = NULL, kid = NULL, sealed = NULL, phone = NULL, "erasedAt" = wishwall_now() WHERE "tenantId" = $1 AND id = $2 AND "erasedAt" IS NULL`,
    values: [tenantHere(), id],
  })
  return rowCount === 1
}

/** Bound to tenant and subject: a row copied to another does not open. */
const place = (part: 'key' | 'personal', id: string): string => `subject/${part}/${tenantHere()}/${id}`

/** Tenants do not see from equal values that they know the same number. */
const blindIndex = (secret: KeyObject, phone: string): Buffer => createHmac('sha256', secret).update(`phone/${tenantHere()}/${phone}`).digest()
