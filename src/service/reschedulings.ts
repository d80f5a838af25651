import { v7 as uuidv7 } from 'uuid'
import type { Actor } from '../domain/actor.ts'
import { NOTICED_YEARS } from '../domain/calendar-holidays.ts'
import type { Step } from '../domain/machine.ts'
import { administers } from '../domain/places.ts'
import { Problem } from '../domain/problems.ts'
import type { Runner } from './commit.ts'
import { decodeCursor, pageOf, type Page } from './cursor.ts'
import { tenantHere, type Db } from './db.ts'
import { UUID } from './load.ts'
import type { Place } from './places.ts'
import { transaction } from './transaction.ts'

/** Which open deadlines are to be computed again: a row, so that whoever dies on the way loses nothing. */
export interface Order {
  /** Of requests here and below. */
  nodeId: string
  reason: 'calendar' | 'policy'
  /** Those that rest on unpublished days, or all. */
  scope: 'provisional' | 'open'
  /** The rules whose requests are meant, with the reason `policy`. */
  policyCode?: string | undefined
  /** Only deadlines that run at some time between. */
  since?: Date | undefined
  until?: Date | undefined
  /** Who asked for it. */
  personId: string | null
}

const RECORD = `INSERT INTO rescheduling ("tenantId", id, "nodeId", reason, scope, "policyCode", since, until, "personId", "createdAt") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, wishwall_now())`

/**
 * Records it, in the caller's transaction: what calls for it and the order are one. A worker does it (rescheduling-walk.ts).
 * @returns the operation, to be followed under /v1/operations
 */
export async function orderRescheduling(client: Runner, { nodeId, reason, scope, policyCode, since, until, personId }: Order, tenantId = tenantHere()): Promise<string> {
  const id = uuidv7()
  await client.query({ name: 'rescheduling_order', text: RECORD, values: [tenantId, id, nodeId, reason, scope, policyCode ?? null, since ?? null, until ?? null, personId] })
  return id
}

/** Its position is a year, and no place in the feed. */
export const YEAR_CURSOR = 'calendar-year'

/** Newest year that this program brings the notice of. */
const NEWEST = Math.max(...NOTICED_YEARS)

/**
 * A new version of the program may bring the notice of another year: that is a publication too, once for the whole
 * installation, whichever worker sees it first.
 * @returns how many tenants' deadlines will be looked at
 */
export const orderForShippedYears = (db: Db): Promise<number> => transaction(db.system, async (client) => {
  const { rowCount } = await client.query({
    name: 'calendar_shipped',
    text: `INSERT INTO cursor AS c (name, position) VALUES ('${YEAR_CURSOR}', $1) ON CONFLICT (name) DO UPDATE SET position = excluded.position WHERE c.position < excluded.position`,
    values: [NEWEST],
  })
  if (rowCount === 0) return 0
  const { rows: roots } = await client.query<{ tenantId: string; id: string }>({ name: 'calendar_roots', text: `SELECT "tenantId", id FROM node WHERE "parentId" IS NULL` })
  for (const { tenantId, id } of roots) await orderRescheduling(client, { nodeId: id, reason: 'calendar', scope: 'provisional', personId: null }, tenantId)
  return roots.length
})

/** What became of an order. */
export interface OperationView {
  id: string
  kind: 'rescheduling'
  reason: Order['reason']
  node: Place
  state: 'waiting' | 'running' | 'done'
  /** Requests looked at, moved, and left as they were because of a failure. */
  seen: number
  moved: number
  failed: number
  createdAt: Date
  endedAt: Date | null
}

/** @throws Problem not-found also when it is there but not the actor's to see */
export async function readOperation(db: Db, id: string, actor: Actor): Promise<OperationView> {
  const { rows: [row] } = await db.app.query<OperationView & { path: string }>({
    name: 'operation',
    text: `SELECT s.id, 'rescheduling' AS kind, s.reason, n.path, jsonb_build_object('id', n.id, 'code', n.code, 'name', n.name) AS node,
        CASE WHEN s."endedAt" IS NOT NULL THEN 'done' WHEN s.seen > 0 THEN 'running' ELSE 'waiting' END AS state,
        s.seen, s.moved, s.failed, s."createdAt", s."endedAt"
      FROM rescheduling s JOIN node n ON n."tenantId" = s."tenantId" AND n.id = s."nodeId" WHERE s."tenantId" = $1 AND s.id = $2`,
    values: [tenantHere(), id],
  })
  if (!row || !administers(actor, row.path)) throw new Problem('not-found')
  const { path: _, ...operation } = row
  return operation
}

/** A request that was moved. */
export interface MovedRequest {
  id: string
  number: string
  /** Of the event that says so. */
  seq: number
  at: Date
  deadlines: { step: Step; dueAt: Date; provisional: boolean }[]
}

const POSITION = new RegExp(`^${UUID.source.slice(1, -1)} \\d{1,9}$`)

/** Which requests an operation has moved so far. @throws Problem not-found, cursor-unusable */
export async function listMoved(db: Db, id: string, { limit, cursor }: { limit: number; cursor?: string | undefined }, actor: Actor): Promise<Page<MovedRequest>> {
  await readOperation(db, id, actor)
  const [after, seq] = cursor === undefined ? ['00000000-0000-0000-0000-000000000000', '0'] : decodeCursor(cursor, POSITION).split(' ')
  const { rows } = await db.app.query<MovedRequest>({
    name: 'operation_requests',
    text: `SELECT r.id, r.number, m.seq, e.at, e.data -> 'moved' AS deadlines FROM rescheduled m JOIN request r ON r."tenantId" = m."tenantId" AND r.id = m."requestId"
      JOIN event e ON e."tenantId" = m."tenantId" AND e."requestId" = m."requestId" AND e.seq = m.seq
      WHERE m."tenantId" = $1 AND m."reschedulingId" = $2 AND (m."requestId", m.seq) > ($3, $4) ORDER BY m."requestId", m.seq LIMIT $5`,
    values: [tenantHere(), id, after, seq, limit + 1],
  })
  const moved = rows.map((row) => ({ ...row, deadlines: row.deadlines.map((deadline) => ({ ...deadline, dueAt: new Date(deadline.dueAt) })) }))
  return pageOf(moved, limit, (row) => `${row.id} ${row.seq}`)
}
