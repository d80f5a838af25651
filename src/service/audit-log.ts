import { AUDIT_ACTIONS, type AuditAction, type AuditClass, type AuditObject } from '../domain/audit.ts'
import { capacity, type Actor } from '../domain/actor.ts'
import { inPerson } from '../domain/directory.ts'
import { Problem, says } from '../domain/problems.ts'
import { auditKeys, type Checkpoint } from './audit-keys.ts'
import { shippedOf, type ShippedCheckpoint } from './audit-verify-checkpoints.ts'
import { account } from './audit.ts'
import { decodeCursor, pageOf, type Page } from './cursor.ts'
import { remember, tenantHere, type Db } from './db.ts'
import type { Keyring } from './keyring.ts'
import { UUID } from './load.ts'
import { readParent } from './nodes.ts'
import { rootOf } from './tenants.ts'

export interface AuditQuery {
  action?: AuditAction[] | undefined
  /** Id of a person or an app. */
  actor?: string | undefined
  /** Id of what it was done to. */
  object?: string | undefined
  from?: Date | undefined
  to?: Date | undefined
  cursor?: string | undefined
  limit: number
}

export interface AuditView {
  id: string
  at: Date
  action: AuditAction
  class: AuditClass
  actor: { kind: Actor['kind']; id: string | null; app: string | null; duty: string | null }
  object: { kind: AuditObject; id: string | null }
  details: Record<string, string | number | boolean | null | string[]>
  /** Null when none was given, or it has been erased. */
  reason: string | null
  /** X-Request-Id. */
  call: string | null
}

type Row = Omit<AuditView, 'class'>

/** What was done, the newest first. @throws Problem forbidden without `audit` over the whole tenant, cursor-unusable */
export async function listAudit(db: Db, { action, actor: by, object, from, to, cursor, limit }: AuditQuery, actor: Actor): Promise<Page<AuditView>> {
  await requireAuditor(db, actor)
  const { rows } = await db.app.query<Row>({
    name: 'audit',
    text: `SELECT a.id, a.at, a.action, a.details, a.call, CASE WHEN r."erasedAt" IS NULL THEN r.body END AS reason,
        jsonb_build_object('kind', a."actorKind", 'id', a."actorId", 'app', a."clientId", 'duty', a."dutyId") AS actor,
        jsonb_build_object('kind', a."objectKind", 'id', a."objectId") AS object
      FROM audit_entry a LEFT JOIN audit_reason r ON r."tenantId" = a."tenantId" AND r."entryId" = a.id
      WHERE a."tenantId" = $1 AND ($2::uuid IS NULL OR a.id < $2) AND ($3::text[] IS NULL OR a.action = ANY ($3)) AND ($4::uuid IS NULL OR a."actorId" = $4 OR (a."actorId" IS NULL AND a."clientId" = $4))
        AND ($5::uuid IS NULL OR a."objectId" = $5) AND ($6::timestamptz IS NULL OR a.at >= $6) AND ($7::timestamptz IS NULL OR a.at < $7)
      ORDER BY a.id DESC LIMIT $8`,
    values: [tenantHere(), cursor === undefined ? null : decodeCursor(cursor, UUID), action ?? null, by ?? null, object ?? null, from ?? null, to ?? null, limit + 1],
  })
  return pageOf(rows.map((row) => ({ ...row, class: AUDIT_ACTIONS[row.action].class })), limit, ({ id }) => id)
}

/**
 * Signed states of the chain, the newest first; the chain is the installation's, and says nothing of any tenant.
 * @throws Problem forbidden, cursor-unusable
 */
export async function listCheckpoints(
  db: Db, keyring: Keyring, { cursor, limit }: { cursor?: string | undefined; limit: number }, actor: Actor,
): Promise<Page<ShippedCheckpoint> & { keys: { kid: string; kty: 'OKP'; crv: 'Ed25519'; x: string }[] }> {
  await requireAuditor(db, actor)
  const { rows } = await db.app.query<Omit<Checkpoint, 'n' | 'position' | 'previous'> & { n: string; position: string; previous: string }>({
    name: 'audit_checkpoints', text: 'SELECT * FROM audit_checkpoint WHERE ($1::bigint IS NULL OR n < $1) ORDER BY n DESC LIMIT $2',
    values: [cursor === undefined ? null : decodeCursor(cursor, /^\d{1,18}$/), limit + 1],
  })
  const shown = rows.map(({ n, position, previous, ...row }) => shippedOf({ ...row, n: BigInt(n), position: BigInt(position), previous: BigInt(previous) }))
  const keys = auditKeys(keyring).map(({ kid, public: key }) => ({ kid, kty: 'OKP' as const, crv: 'Ed25519' as const, x: key.export({ format: 'jwk' }).x ?? '' }))
  return { ...pageOf(shown, limit, ({ n }) => n), keys }
}

/** A reader is on record himself, once in so long: page by page would only hide what else there is. */
const READ_NOTED_MS = 3_600_000

async function requireAuditor(db: Db, actor: Actor): Promise<void> {
  const root = await readParent(db, await rootOf(db))
  if (!root || !inPerson(actor) || !capacity(actor, 'audit', root.path)) {
    throw new Problem('forbidden', { detail: says('须由整个租户的审计管理员本人查阅', 'For an auditor of the whole tenant, in person') })
  }
  await remember(db, `audit-read/${tenantHere()}/${actor.id}`, READ_NOTED_MS, async () => ({ id: await account(db.app, actor, { action: 'audit.read', object: 'audit' }) }))
}
