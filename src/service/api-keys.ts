import { randomBytes } from 'node:crypto'
import { v7 as uuidv7 } from 'uuid'
import type { Actor } from '../domain/actor.ts'
import { apiKeyFrom, isApiKey } from '../domain/api-key.ts'
import { Problem, says } from '../domain/problems.ts'
import { isScope, type Scope } from '../domain/scopes.ts'
import { ACTOR_TTL_MS } from './actors.ts'
import { account } from './audit.ts'
import { requireHeld, whereItIs, whereItLives, type ClientView } from './client-registry.ts'
import { sha256 } from './clients.ts'
import { inOneTransaction, remember, tenantHere, type Db } from './db.ts'
import type { Principal } from './tokens.ts'

/** Long-lived keys of apps, for scripts that can keep a secret and nothing else. Kept as their hash. */

export interface KeyView {
  id: string
  /** What it is for. */
  name: string
  lastFour: string
  scopes: Scope[]
  createdAt: Date
  expiresAt: Date
  /** To the minute. */
  lastUsedAt: Date | null
  revokedAt: Date | null
}

const VIEW = `id, name, "lastFour", scopes, "createdAt", "expiresAt", "lastUsedAt", "revokedAt"`
const MOST_LIVE = 20

/** @throws Problem forbidden, not-found */
export async function listKeys(db: Db, client: string, actor: Actor): Promise<KeyView[]> {
  return whereItIs(db, client, actor, async ({ id }) => {
    const { rows } = await db.app.query<KeyView>({
      name: 'api_keys', text: `SELECT ${VIEW} FROM api_key WHERE "tenantId" = $1 AND "clientId" = $2 ORDER BY id DESC`, values: [tenantHere(), id],
    })
    return rows
  })
}

export interface NewKey {
  name: string
  /** Those of the app when left out. */
  scopes?: Scope[] | undefined
  /** Until it expires. */
  days: number
}

/** The key is shown this once. @throws Problem as `whereItLives`, forbidden at /scopes beyond those of the app, limit-reached */
export async function createKey(db: Db, client: string, { name, scopes, days }: NewKey, actor: Actor): Promise<KeyView & { key: string }> {
  return inOneTransaction(db, async () => {
    const made = await whereItLives(db, client, actor, (owner) => insertKey(db, owner, { name, scopes, days }))
    await account(db.app, actor, { action: 'key.created', object: 'key', objectId: made.id })
    return made
  })
}

async function insertKey(db: Db, owner: ClientView, { name, scopes, days }: NewKey): Promise<KeyView & { key: string }> {
  requireHeld(scopes ?? [], owner.scopes)
  const key = apiKeyFrom(randomBytes(32), owner)
  const { rows: [row] } = await db.app.query<KeyView>({
    name: 'create_api_key',
    text: `INSERT INTO api_key ("tenantId", id, "clientId", name, hash, "lastFour", scopes, "createdAt", "expiresAt")
      SELECT $1, $2, $3, $4, $5, $6, $7, wishwall_now(), wishwall_now() + make_interval(days => $8::int)
      WHERE (SELECT count(*) FROM api_key WHERE "tenantId" = $1 AND "clientId" = $3 AND "revokedAt" IS NULL AND "expiresAt" > wishwall_now()) < ${MOST_LIVE}
      RETURNING ${VIEW}`,
    values: [tenantHere(), uuidv7(), owner.id, name, sha256(key), key.slice(-4), [...new Set(scopes ?? owner.scopes)], days],
  })
  if (!row) throw new Problem('limit-reached', { detail: says(`一个应用最多 ${MOST_LIVE} 个有效的 API Key`, `At most ${MOST_LIVE} live keys for one app`) })
  return { ...row, key }
}

/** At once in this process, within two seconds in the others. @throws Problem forbidden, not-found */
export async function revokeKey(db: Db, client: string, id: string, actor: Actor): Promise<KeyView> {
  const { hash, ...view } = await inOneTransaction(db, async () => {
    const row = await whereItIs(db, client, actor, async (owner) => (await db.app.query<KeyView & { hash: Buffer }>({
      name: 'revoke_api_key',
      text: `UPDATE api_key SET "revokedAt" = COALESCE("revokedAt", wishwall_now()) WHERE "tenantId" = $1 AND "clientId" = $2 AND id = $3 RETURNING ${VIEW}, hash`,
      values: [tenantHere(), owner.id, id],
    })).rows[0])
    if (!row) throw new Problem('not-found')
    await account(db.app, actor, { action: 'key.revoked', object: 'key', objectId: row.id })
    return row
  })
  db.memory.delete(rememberedAs(hash))
  return view
}

interface Found {
  tenantId: string
  clientId: string
  scopes: string[]
}

/** Whose it is, and a note of its use at most once a minute. It does not say its tenant: the one statement here that looks across them. */
const FIND = `
  WITH found AS (SELECT k."tenantId", k.id, k."clientId", k.scopes FROM api_key k JOIN client c ON c."tenantId" = k."tenantId" AND c.id = k."clientId"
    WHERE k.hash = $1 AND k."revokedAt" IS NULL AND k."expiresAt" > wishwall_now() AND c."revokedAt" IS NULL),
  used AS (UPDATE api_key k SET "lastUsedAt" = wishwall_now() FROM found f
    WHERE k."tenantId" = f."tenantId" AND k.id = f.id AND (k."lastUsedAt" IS NULL OR k."lastUsedAt" < wishwall_now() - interval '1 minute'))
  SELECT "tenantId", "clientId", scopes FROM found`

/** Whom a key speaks for: always the app itself. @throws Problem token-invalid for one that is mistyped, unknown, expired or revoked */
export async function principalOfKey(db: Db, key: string): Promise<Principal> {
  if (!isApiKey(key)) throw new Problem('token-invalid')
  const hash = Buffer.from(sha256(key))
  const found = await remember(db, rememberedAs(hash), ACTOR_TTL_MS, async () => {
    const { rows: [row] } = await db.system.query<Found>({ name: 'api_key', text: FIND, values: [hash] })
    // Thrown and not returned: what is unknown is not remembered, or guesses would push out what is known.
    if (!row) throw new Problem('token-invalid')
    return row
  })
  return { tenantId: found.tenantId, kind: 'app', subject: found.clientId, clientId: found.clientId, scopes: found.scopes.filter(isScope) }
}

const rememberedAs = (hash: Buffer): string => `api-key/${hash.toString('base64')}`
