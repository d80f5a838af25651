import type pg from 'pg'
import { ENTRY_DIGEST, FEED_DIGEST, HISTORY_OF_FEED } from './audit-digests.ts'
import { NOTHING, auditKeys, isSigned, linkHash, signState, type AuditKey, type Checkpoint, type LinkContent } from './audit-keys.ts'
import type { Db } from './db.ts'
import type { Keyring } from './keyring.ts'
import { transaction } from './transaction.ts'

/** One at a time in the whole database; it keeps no relay waiting. */
export const CHAIN_LOCK = 7_021_002
/** A checkpoint is made after so many links, or this long after the one before when there is anything new. */
const CHECKPOINT_EVERY = 1_000n
const CHECKPOINT_AFTER_MS = 60_000

interface Head {
  n: bigint
  position: bigint
  hash: Buffer
  at: Date
  previous: bigint
  previousAt: Date
  kid: string | null
  signature: Buffer | null
}

export interface Linked {
  linked: number
  /** To be kept elsewhere as well: what is cut off later is found by it. */
  checkpoint: Checkpoint | null
  /** The chain ended before the place it had reached: somebody was at it. */
  cut: boolean
}

/** Where this process left the chain. */
const reached = new WeakMap<Db, bigint>()

/**
 * Takes into the chain what the relay has moved into the feed since, and the audit entries that have committed. One chain
 * over all tenants, as there is one order: also the loss of a whole tenant shows. Nothing waits for it, neither a write
 * nor the feed; killed at any point, it goes on where the last batch was committed.
 * @throws Error when the head is not signed by a key of the keyring: then nothing is added to what may be forged
 */
export async function linkOnce(db: Db, keyring: Keyring, { batch = 2_000, every = CHECKPOINT_EVERY }: { batch?: number; every?: bigint } = {}): Promise<Linked> {
  const { rows: [due] } = await db.system.query<{ due: boolean }>({
    name: 'audit_due',
    text: `SELECT COALESCE((SELECT max(position) FROM feed), 0) > h.position OR EXISTS (SELECT FROM audit_outbox)
      OR (h.n > h.previous AND h."previousAt" < wishwall_now() - interval '${CHECKPOINT_AFTER_MS} milliseconds') AS due FROM audit_head h`,
  })
  if (due?.due === false) return { linked: 0, checkpoint: null, cut: false }
  return transaction(db.system, async (client) => {
    // Apart from reading the head: a statement sees what was there when it began to wait.
    const { rows: [lock] } = await client.query<{ locked: boolean }>({ name: 'audit_lock', text: `SELECT pg_try_advisory_xact_lock(${CHAIN_LOCK}) AS locked` })
    if (!lock?.locked) return { linked: 0, checkpoint: null, cut: false }
    const { head, now, whole } = await standing(client, keyring)
    const cut = !whole || head.n < (reached.get(db) ?? 0n)
    const key = keyFor(keyring, head)
    const links = chained(key, head, await waiting(client, head, batch))
    const linked = links.at(-1)
    const state = { n: linked?.n ?? head.n, position: linked?.position ?? head.position, hash: linked?.hash ?? head.hash, at: now, previous: head.previous }
    const wanted = state.n > head.previous && (state.n - head.previous >= every || now.getTime() - head.previousAt.getTime() >= CHECKPOINT_AFTER_MS)
    const checkpoint: Checkpoint | null = wanted ? { ...state, anchor: false, kid: key.kid, signature: signState(key, 'checkpoint', state) } : null
    const next = wanted ? { ...state, previous: state.n } : state
    const first = head.signature === null && links.length > 0 ? [beginning(key, head)] : []
    await write(client, { links, checkpoints: checkpoint ? [...first, checkpoint] : first })
    if (links.length > 0 || checkpoint) {
      await client.query({
        name: 'audit_head',
        text: `UPDATE audit_head SET n = $1, position = $2, hash = $3, at = $4, previous = $5, "previousAt" = $6, kid = $7, signature = $8`,
        values: [next.n, next.position, next.hash, next.at, next.previous, wanted ? now : head.previousAt, key.kid, signState(key, 'head', next)],
      })
    }
    reached.set(db, next.n)
    return { linked: links.length, checkpoint, cut }
  })
}

/** What lies before the chain is not covered by it, and that is signed too. */
function beginning(key: AuditKey, { n, position, hash, at, previous }: Head): Checkpoint {
  const state = { n, position, hash, at, previous }
  return { ...state, anchor: true, kid: key.kid, signature: signState(key, 'anchor', state) }
}

/** A key that another worker has gone over to already is not left again: retired keys make no new links. */
function keyFor(keyring: Keyring, { kid }: Head): AuditKey {
  const keys = auditKeys(keyring)
  const last = keys.find((key) => key.kid === kid)
  return last && last.age < keys[0]!.age ? last : keys[0]!
}

async function standing(client: pg.PoolClient, keyring: Keyring): Promise<{ head: Head; now: Date; whole: boolean }> {
  const { rows: [row] } = await client.query<Omit<Head, 'n' | 'position' | 'previous'> & { n: string; position: string; previous: string; now: Date; whole: boolean }>({
    name: 'audit_standing',
    text: `SELECT h.n, h.position, h.hash, h.at, h.previous, h."previousAt", h.kid, h.signature, wishwall_now() AS now,
        EXISTS (SELECT FROM audit_link l WHERE l.n = h.n AND l.hash = h.hash) OR EXISTS (SELECT FROM audit_checkpoint c WHERE c.n = h.n AND c.anchor) OR h.kid IS NULL AS whole
      FROM audit_head h`,
  })
  if (!row) throw new Error('the audit chain has no head: somebody removed it')
  const head = { ...row, n: BigInt(row.n), position: BigInt(row.position), previous: BigInt(row.previous) }
  const untouched = head.signature === null && head.n === 0n
  if (!untouched && !isSigned(keyring, 'head', head, head)) throw new Error(`the head of the audit chain at ${head.n} is not signed by the keyring (${head.kid})`)
  return { head, now: row.now, whole: row.whole }
}

type Waiting = Omit<LinkContent, 'n'> & { tenantId: string }

/**
 * In the feed's order, entries behind the newest event. A row that was removed before its turn is linked as nothing, which
 * the check finds. Unnamed statements: planned anew as the tables grow.
 */
async function waiting(client: pg.PoolClient, { position }: Head, batch: number): Promise<Waiting[]> {
  const { rows: events } = await client.query<Omit<Waiting, 'kind' | 'position'> & { position: string }>({
    text: `SELECT f.position, f."tenantId", f.id, ${FEED_DIGEST} AS digest, ${HISTORY_OF_FEED} AS history
      FROM feed f WHERE f.position > $1 ORDER BY f.position LIMIT $2`,
    values: [position, batch],
  })
  const newest = BigInt(events.at(-1)?.position ?? position)
  const { rows: entries } = await client.query<Pick<Waiting, 'tenantId' | 'id' | 'digest'>>({
    text: `SELECT o."tenantId", o.id, (SELECT ${ENTRY_DIGEST} FROM audit_entry a WHERE a."tenantId" = o."tenantId" AND a.id = o.id) AS digest
      FROM audit_outbox o ORDER BY o.at, o.id LIMIT $1`,
    values: [batch],
  })
  return [
    ...events.map((row): Waiting => ({ ...row, kind: 'event', position: BigInt(row.position), history: row.history ?? NOTHING })),
    ...entries.map((row): Waiting => ({ ...row, kind: 'entry', position: newest, digest: row.digest ?? NOTHING, history: null })),
  ]
}

type Link = Waiting & { n: bigint; hash: Buffer }

function chained(key: AuditKey, head: Head, rows: readonly Waiting[]): Link[] {
  let { n, hash } = head
  return rows.map((row) => {
    n += 1n
    hash = linkHash(key, hash, { ...row, n })
    return { ...row, n, hash }
  })
}

async function write(client: pg.PoolClient, { links, checkpoints }: { links: readonly Link[]; checkpoints: readonly Checkpoint[] }): Promise<void> {
  if (links.length > 0) {
    await client.query({
      name: 'audit_links',
      text: `INSERT INTO audit_link (n, position, kind, id, digest, history, hash)
        SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::uuid[], $5::bytea[], $6::bytea[], $7::bytea[])`,
      values: [links.map(({ n }) => n), links.map(({ position }) => position), links.map(({ kind }) => kind), links.map(({ id }) => id),
        links.map(({ digest }) => digest), links.map(({ history }) => history), links.map(({ hash }) => hash)],
    })
  }
  const entries = links.filter(({ kind }) => kind === 'entry')
  if (entries.length > 0) {
    await client.query({
      text: `DELETE FROM audit_outbox WHERE ("tenantId", id) IN (SELECT * FROM unnest($1::uuid[], $2::uuid[]))`,
      values: [entries.map(({ tenantId }) => tenantId), entries.map(({ id }) => id)],
    })
  }
  for (const { n, position, hash, at, previous, anchor, kid, signature } of checkpoints) {
    await client.query({
      name: 'audit_checkpoint',
      text: 'INSERT INTO audit_checkpoint (n, position, hash, at, previous, anchor, kid, signature) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)',
      values: [n, position, hash, at, previous, anchor, kid, signature],
    })
  }
}
