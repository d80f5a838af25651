import { v7 as uuidv7 } from 'uuid'
import type { ExternalUser } from '../domain/external-user.ts'
import { tenantHere, type Db } from './db.ts'
import { violates } from './failures.ts'
import type { Keyring } from './keyring.ts'
import { blindIndexes, sealSubject } from './subjects.ts'

/**
 * The resident an app speaks of, made on first use. Known to that app only: whoever another app calls by the same openId
 * is somebody else, or any app could speak for the residents of any other.
 * @param clientId of the app
 * @returns undefined when the resident is suspended
 */
export async function residentOf(db: Db, keyring: Keyring, clientId: string, user: ExternalUser): Promise<string | undefined> {
  const { provider, appId, openId } = user
  const indexes = blindIndexes(keyring, 'external-user', [clientId, provider, appId, openId].join('/'))
  const known = await find(db, clientId, user, indexes)
  if (known) return known.suspended ? undefined : known.personId
  const subject = sealSubject(keyring, { externalUser: [provider, appId, openId].join(':') })
  const personId = uuidv7()
  try {
    await db.app.query({
      name: 'create_external_user',
      text: `
        WITH s AS (INSERT INTO subject ("tenantId", id, key, kid, sealed, "namesKid") VALUES ($1, $2, $3, $4, $5, $12)),
        p AS (INSERT INTO person ("tenantId", id, "subjectId") VALUES ($1, $6, $2))
        INSERT INTO external_user ("tenantId", id, "clientId", provider, "appId", "openId", "personId", "createdAt") VALUES ($1, $7, $8, $9, $10, $11, $6, wishwall_now())`,
      values: [tenantHere(), subject.id, subject.key, subject.kid, subject.sealed, personId, uuidv7(), clientId, provider, appId, indexes[0], subject.namesKid],
    })
    return personId
  } catch (error) {
    // The same resident came twice at the same moment: the one statement is undone whole.
    if (!violates(error, 'external_user_identity_key')) throw error
    return (await find(db, clientId, user, indexes))?.personId
  }
}

/** Whom an app may act for from the beginning. */
export async function bindExternalUser(db: Db, keyring: Keyring, clientId: string, { provider, appId, openId }: ExternalUser, personId: string): Promise<void> {
  const [index] = blindIndexes(keyring, 'external-user', [clientId, provider, appId, openId].join('/'))
  await db.app.query({
    name: 'bind_external_user',
    text: `INSERT INTO external_user ("tenantId", id, "clientId", provider, "appId", "openId", "personId", "createdAt") VALUES ($1, $2, $3, $4, $5, $6, $7, wishwall_now())`,
    values: [tenantHere(), uuidv7(), clientId, provider, appId, index, personId],
  })
}

interface Known {
  personId: string
  suspended: boolean
}

async function find(db: Db, clientId: string, { provider, appId }: ExternalUser, indexes: readonly Buffer[]): Promise<Known | undefined> {
  const { rows } = await db.app.query<Known>({
    name: 'find_external_user',
    text: `SELECT x."personId", p."suspendedAt" IS NOT NULL AS suspended FROM external_user x JOIN person p ON p."tenantId" = x."tenantId" AND p.id = x."personId"
      WHERE x."tenantId" = $1 AND x."clientId" = $2 AND x.provider = $3 AND x."appId" = $4 AND x."openId" = ANY ($5::bytea[])`,
    values: [tenantHere(), clientId, provider, appId, indexes],
  })
  return rows[0]
}
