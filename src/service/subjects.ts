import { createHmac, createSecretKey, randomBytes } from 'node:crypto'
import type pg from 'pg'
import { v7 as uuidv7 } from 'uuid'
import type { Answers } from '../domain/form.ts'
import { tenantHere, type Db } from './db.ts'
import type { Keyring } from './keyring.ts'
import { nameGrams, replaceNames } from './name-grams.ts'
import { seal, unseal } from './seal.ts'

/** What is known about someone. The phone as `domain/atoms.ts` writes it, or it will not be found again. */
export interface Personal {
  name?: string | undefined
  phone?: string | undefined
  door?: string | undefined
  /** Of his duty, for contact cards: never looked up by, and shown where he says so. */
  workPhone?: string | undefined
  /** As an app knows him: `provider:appId:openId`. */
  externalUser?: string | undefined
  /** What he wrote into a form, of its personal fields: a subject of the request's own, see forms.ts. */
  answers?: Answers | undefined
}

/** A row of `subject`, ready to be written. */
export interface SealedSubject {
  id: string
  key: Buffer
  kid: string
  sealed: Buffer
  phone: Buffer | null
  /** See name-grams.ts. */
  namesKid: string
  names: Buffer[]
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
    phone: personal.phone === undefined ? null : blindIndexes(keyring, 'phone', personal.phone)[0]!,
    ...nameGrams(keyring, personal.name),
  }
}

export async function createSubject(db: Db, keyring: Keyring, personal: Personal): Promise<string> {
  const { id, key, kid, sealed, phone, namesKid, names } = sealSubject(keyring, personal)
  await db.app.query({
    name: 'create_subject',
    text: `WITH s AS (INSERT INTO subject ("tenantId", id, key, kid, sealed, phone, "namesKid") VALUES ($1, $2, $3, $4, $5, $6, $7))
      INSERT INTO subject_name ("tenantId", "subjectId", n, gram) SELECT $1, $2, o, g FROM unnest($8::bytea[]) WITH ORDINALITY AS t(g, o)`,
    values: [tenantHere(), id, key, kid, sealed, phone, namesKid, names],
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

/** @throws as `openSubjects` */
export function openSubject(keyring: Keyring, { id, key, kid, sealed }: Pick<SealedSubject, 'id' | 'key' | 'kid' | 'sealed'>): Personal {
  const kek = keyring.seal.find((known) => known.kid === kid)
  if (!kek) throw new Error(`the keyring has no key ${kid} for subject ${id}`)
  const dataKey = createSecretKey(unseal(kek.secret, key, place('key', id)))
  return JSON.parse(unseal(dataKey, sealed, place('personal', id)).toString()) as Personal
}

/**
 * What is given replaces what was there, null takes it away. Sealed anew under a new key. In a transaction: its name is another statement.
 * @returns false when the subject is erased
 */
export async function changeSubject(db: { app: Pick<pg.ClientBase, 'query'> }, keyring: Keyring, id: string, change: { [Field in keyof Personal]?: string | null | undefined }): Promise<boolean> {
  const { rows: [row] } = await db.app.query<SealedSubject>({
    name: 'open_subject', text: `SELECT id, key, kid, sealed FROM subject WHERE "tenantId" = $1 AND id = $2 AND key IS NOT NULL`, values: [tenantHere(), id],
  })
  if (!row) return false
  const given = Object.entries(change).filter(([, value]) => value !== undefined)
  const merged = Object.fromEntries(Object.entries({ ...openSubject(keyring, row), ...Object.fromEntries(given) }).filter(([, value]) => value !== null)) as Personal
  const next = sealSubject(keyring, merged, id)
  const { rowCount } = await db.app.query({
    name: 'change_subject',
    text: `UPDATE subject SET key = $3, kid = $4, sealed = $5, phone = $6, "namesKid" = $8 WHERE "tenantId" = $1 AND id = $2 AND sealed = $7`,
    values: [tenantHere(), id, next.key, next.kid, next.sealed, next.phone, row.sealed, next.namesKid],
  })
  if (rowCount === 1) await replaceNames(db.app, id, next.names)
  // Somebody else was faster: what he changed stays.
  return rowCount === 1 || changeSubject(db, keyring, id, change)
}

/** Who gave this phone number; several may share one. Looks under retired index keys too. */
export async function findSubjects(db: Db, keyring: Keyring, phone: string): Promise<string[]> {
  const { rows } = await db.app.query<{ id: string }>({
    name: 'find_subjects',
    text: `SELECT id FROM subject WHERE "tenantId" = $1 AND phone = ANY($2::bytea[]) ORDER BY id`,
    values: [tenantHere(), blindIndexes(keyring, 'phone', phone)],
  })
  return rows.map(({ id }) => id)
}

/** Destroys the key, and what the key was for; an app that knew him will know somebody new. @returns false when there is nothing (left) to erase */
export async function eraseSubject({ app }: { app: Pick<pg.ClientBase, 'query'> }, id: string): Promise<boolean> {
  const { rowCount } = await app.query({
    name: 'erase_subject',
    text: `
      WITH s AS (UPDATE subject SET key = NULL, kid = NULL, sealed = NULL, phone = NULL, "erasedAt" = wishwall_now() WHERE "tenantId" = $1 AND id = $2 AND "erasedAt" IS NULL RETURNING id),
      x AS (UPDATE external_user x SET "openId" = NULL FROM person p, s WHERE p."tenantId" = $1 AND p."subjectId" = s.id AND x."tenantId" = $1 AND x."personId" = p.id)
      SELECT FROM s`,
    values: [tenantHere(), id],
  })
  // Once the row is taken: what a worker has just taken in of the name is seen, and goes too.
  if (rowCount === 1) await app.query({ name: 'erase_names', text: `UPDATE subject_name SET gram = NULL WHERE "tenantId" = $1 AND "subjectId" = $2 AND gram IS NOT NULL`, values: [tenantHere(), id] })
  return rowCount === 1
}

/** Bound to tenant and subject: a row copied to another does not open. */
export const place = (part: 'key' | 'personal', id: string): string => `subject/${part}/${tenantHere()}/${id}`

/** Under the newest key and the retired ones. Tenants do not see from equal values that they know the same number. */
export const blindIndexes = (keyring: Keyring, what: 'phone' | 'external-user' | 'door', value: string): Buffer[] =>
  keyring.index.map(({ secret }) => createHmac('sha256', secret).update(`${what}/${tenantHere()}/${value}`).digest())
