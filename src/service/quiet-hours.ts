import { ZodError } from 'zod'
import type { Actor } from '../domain/actor.ts'
import { administers } from '../domain/places.ts'
import { Problem } from '../domain/problems.ts'
import { DEFAULT_QUIET_HOURS, heldUntil, isUrgent, type Pressing, type QuietHours } from '../domain/quiet-hours.ts'
import { calendars } from './calendars.ts'
import { policy } from './catalogue.ts'
import { remember, tenantHere, type Db } from './db.ts'
import { NO_SUCH_NODE } from './nodes.ts'
import { findNode } from './targets.ts'
import { rootOf } from './tenants.ts'

export interface QuietHoursView extends QuietHours {
  /** Where they are asked for. */
  node: { id: string; code: string; name: string }
  /** Where they were set; null for those that hold where nothing was. */
  setAt: { id: string; code: string; name: string } | null
}

interface SetRow extends QuietHours {
  path: string
  node: { id: string; code: string; name: string }
}

/** A change may be this old in another process. */
const TTL_MS = 5_000
const key = () => `quiet-hours/${tenantHere()}`

/** All of the tenant, the deepest first: there are few. */
const SET = `SELECT q.begins, q.ends, q."workingTimeOnly", n.path, jsonb_build_object('id', n.id, 'code', n.code, 'name', n.name) AS node
  FROM quiet_hours q JOIN node n ON n."tenantId" = q."tenantId" AND n.id = q."nodeId" WHERE q."tenantId" = $1 AND q.begins IS NOT NULL ORDER BY length(n.path) DESC`

const known = (db: Db): Promise<SetRow[]> =>
  remember(db, key(), TTL_MS, async () => (await db.app.query<SetRow>({ name: 'quiet_hours', text: SET, values: [tenantHere()] })).rows)

const nearest = (rows: readonly SetRow[], path: string): SetRow | undefined => rows.find((row) => path.startsWith(row.path))

/** Until when a message at a place is held; null: it may go now. @param path of the place @param now of the database */
export type Quiet = (path: string, urgent: boolean, now: Date) => Date | null

/** For the tenant of this call. */
export async function quietHere(db: Db): Promise<Quiet> {
  const rows = await known(db)
  const { at } = await calendars(db)
  return (path, urgent, now) => heldUntil(now, urgent, nearest(rows, path) ?? DEFAULT_QUIET_HOURS, at(path))
}

/** What of an event decides whether it may disturb. */
export interface Disturbing extends Omit<Pressing, 'limits'> {
  policyId: string
  /** Of the place whose people are told. */
  path: string
  /** Of the database. */
  now: Date
}

/**
 * Whether an event of this call's tenant is urgent, and until when it must not disturb. What cannot be judged, because a
 * rule of long ago cannot be read any more, may: better told at night than not at all, and it holds up no other.
 */
export async function disturbance(db: Db, { policyId, path, now, ...pressing }: Disturbing): Promise<{ urgent: boolean; quietUntil: Date | null }> {
  const quiet = await quietHere(db)
  try {
    const urgent = isUrgent({ ...pressing, limits: (await policy(db, policyId)).limits })
    return { urgent, quietUntil: quiet(path, urgent, now) }
  } catch (error) {
    if (!(error instanceof ZodError)) throw error
    return { urgent: false, quietUntil: null }
  }
}

/** What holds at a node. @throws Problem node-unknown */
export async function readQuietHours(db: Db, ref: string | undefined): Promise<QuietHoursView> {
  const { path, ...node } = await placeOf(db, ref)
  const { rows } = await db.app.query<SetRow>({ name: 'quiet_hours', text: SET, values: [tenantHere()] })
  const found = nearest(rows, path)
  const { begins, ends, workingTimeOnly } = found ?? DEFAULT_QUIET_HOURS
  return { node, begins, ends, workingTimeOnly, setAt: found?.node ?? null }
}

/**
 * Sets what holds at a node and below; null takes it back, so that what is set above holds again.
 * @throws Problem node-unknown, forbidden without `administer` over the node
 */
export async function putQuietHours(db: Db, ref: string | undefined, quiet: QuietHours | null, actor: Actor): Promise<QuietHoursView> {
  const { id, path } = await placeOf(db, ref)
  if (actor.kind !== 'person' || !administers(actor, path)) throw new Problem('forbidden')
  await db.app.query({
    name: 'put_quiet_hours',
    text: `INSERT INTO quiet_hours ("tenantId", "nodeId", "personId", begins, ends, "workingTimeOnly", "changedAt") VALUES ($1, $2, $3, $4, $5, $6, wishwall_now())
      ON CONFLICT ("tenantId", "nodeId") DO UPDATE SET "personId" = excluded."personId", begins = excluded.begins, ends = excluded.ends,
        "workingTimeOnly" = excluded."workingTimeOnly", "changedAt" = excluded."changedAt"`,
    values: [tenantHere(), id, actor.id, quiet?.begins ?? null, quiet?.ends ?? null, quiet?.workingTimeOnly ?? null],
  })
  db.memory.delete(key())
  return readQuietHours(db, id)
}

async function placeOf(db: Db, ref: string | undefined): Promise<{ id: string; code: string; name: string; path: string }> {
  const found = await findNode(db, ref ?? (await rootOf(db)))
  if (!found) throw new Problem('node-unknown', { errors: [{ pointer: '/node', message: NO_SUCH_NODE }] })
  const { rows: [node] } = await db.app.query<{ id: string; code: string; name: string; path: string }>({
    name: 'quiet_hours_node', text: `SELECT id, code, name, path FROM node WHERE "tenantId" = $1 AND id = $2`, values: [tenantHere(), found.id],
  })
  return node!
}
