import { LRUCache } from 'lru-cache'
import pg from 'pg'
import { SYSTEM } from '../domain/actor.ts'
import { decide } from '../domain/decide.ts'
import { isFinal, STATE_NAMES } from '../domain/machine.ts'
import type { Policy } from '../domain/policy.ts'
import { rescheduled, type Happened } from '../domain/rescheduling.ts'
import type { DeadlineRow, Decision, Facts } from '../domain/request.ts'
import { policy } from './catalogue.ts'
import { commit } from './commit.ts'
import { inTenant, tenantHere, type Db, type Reader } from './db.ts'
import { FACTS, JOINS, factsOf, type LoadedRow } from './load.ts'
import { endOf } from './nodes.ts'
import type { Order } from './reschedulings.ts'
import { transaction } from './transaction.ts'

/** Connections, deadlocks, room, cancelled and timed out statements, shutdown: over by themselves, and no row's fault. */
const isNobodysFault = (error: unknown): boolean => error instanceof pg.DatabaseError && /^(08|25|40|53|55|57|58|XX)/.test(error.code ?? '')

/** What one batch came to. */
export interface Walked {
  /** The operation. */
  id: string
  seen: number
  moved: number
  /** Passed over, as they were. */
  failed: { requestId: string; error: unknown }[]
  /** There is more to do at once. */
  more: boolean
}

interface Row extends Pick<Order, 'reason' | 'scope'> {
  tenantId: string
  id: string
  path: string
  policyCode: string | null
  since: Date | null
  until: Date | null
  walkedId: string | null
}

/**
 * When nobody decides on the calendar of before any more: it is remembered for two seconds, and a request takes no
 * longer than ten. A deadline opened until then is still found by the walk.
 */
const SETTLES = `interval '15 seconds'`

/** One worker at a time has an order; the one that has come the least far goes first, so that a small one does not wait for a big one. */
const NEXT = `
  SELECT s."tenantId", s.id, n.path, s.reason, s.scope, s."policyCode", s.since, s.until, s."walkedId"
  FROM rescheduling s JOIN node n ON n."tenantId" = s."tenantId" AND n.id = s."nodeId"
  WHERE s."endedAt" IS NULL AND s."createdAt" <= wishwall_now() - ${SETTLES} ORDER BY s.seen, s."createdAt" LIMIT 1 FOR NO KEY UPDATE OF s SKIP LOCKED`

const RUNS = `d."closedAt" IS NULL AND ($5::timestamptz IS NULL OR d."openedAt" < $6::timestamptz AND d."dueAt" >= $5::timestamptz)`

interface Steps {
  /** Requests in one transaction: persons' verbs wait at most for so many. */
  batch?: number
  /** Rows that one batch looks through: however few of them are meant, it takes no longer than that. */
  window?: number
}

/**
 * What a batch looks through, in the order of requests, and those of them that are meant. The provisional ones, few for
 * most of the year, have an index of their own; of what is over only those with an open ask still have a deadline.
 */
const SOURCES: Record<Order['scope'], { window: string; meant: string }> = {
  provisional: {
    window: `SELECT d."requestId" AS id FROM deadline d WHERE d."tenantId" = $1 AND d."requestId" > $2 AND d.provisional AND d."closedAt" IS NULL ORDER BY d."requestId"`,
    meant: `SELECT DISTINCT w.id FROM (WINDOW) w WHERE (SELECT r.path >= $3 AND r.path < $4 FROM request r WHERE r."tenantId" = $1 AND r.id = w.id)
      AND (SELECT true FROM deadline d WHERE d."tenantId" = $1 AND d."requestId" = w.id AND d.provisional AND ${RUNS} LIMIT 1) ORDER BY w.id LIMIT $7`,
  },
  open: {
    window: `SELECT r.id, r.state, r.path, r."policyId" FROM request r WHERE r."tenantId" = $1 AND r.id > $2 ORDER BY r.id`,
    meant: `SELECT r.id FROM (WINDOW) r WHERE r.path >= $3 AND r.path < $4
      AND (r.state = ANY ($8::text[]) OR (SELECT true FROM ask a WHERE a."tenantId" = $1 AND a."requestId" = r.id AND a.status = 'open' LIMIT 1))
      AND ($9::text IS NULL OR (SELECT p.code = $9 FROM policy p WHERE p."tenantId" = $1 AND p.id = r."policyId"))
      AND (SELECT true FROM deadline d WHERE d."tenantId" = $1 AND d."requestId" = r.id AND ${RUNS} LIMIT 1) ORDER BY r.id LIMIT $7`,
  },
}

const NOT_FINAL = STATE_NAMES.filter((state) => !isFinal(state))
const FIRST = '00000000-0000-0000-0000-000000000000'

/**
 * One batch of one order: open deadlines are computed again and committed as SYSTEM's act, together with how far the
 * walk has come. Who is killed on the way has done all of a batch or none of it, and the next one goes on from there.
 * A request that another holds at this moment is not waited for while others are locked here: the walk stops before it,
 * and goes on from there the next time.
 * @returns undefined when nothing is ordered
 */
export const rescheduleOnce = (db: Db, { batch = 100, window = 5_000 }: Steps = {}): Promise<Walked | undefined> => transaction(db.system, async (client) => {
  const { rows: [order] } = await client.query<Row>({ name: 'rescheduling_next', text: NEXT })
  return order && inTenant(order.tenantId, () => walk(client, order, { batch, window }))
})

async function walk(client: pg.PoolClient, order: Row, { batch, window }: Required<Steps>): Promise<Walked> {
  // Reads for itself, and remembers for no longer than this batch: the calendar is the one of now.
  const reader: Reader = { app: client, memory: new LRUCache({ max: 10_000 }) }
  const { ids, windowEnd } = await candidates(client, order, { batch, window })
  const { rows: held } = await client.query<{ id: string }>({
    name: 'rescheduling_lock', text: `SELECT id FROM request WHERE "tenantId" = $1 AND id = ANY ($2) FOR NO KEY UPDATE SKIP LOCKED`, values: [order.tenantId, ids],
  })
  const free = new Set(held.map(({ id }) => id))
  const busy = ids.findIndex((id) => !free.has(id))
  const done = busy < 0 ? ids : ids.slice(0, busy)
  const { moved, failed } = await move(reader, order, done)
  // All of the window has been looked through, and there is none behind it.
  const ended = busy < 0 && ids.length < batch && windowEnd === null
  const reached = (busy < 0 && ids.length < batch ? windowEnd : null) ?? done.at(-1) ?? null
  await client.query({
    name: 'rescheduling_walked',
    text: `UPDATE rescheduling SET "walkedId" = COALESCE($3, "walkedId"), seen = seen + $4, moved = moved + $5, failed = failed + $6, "endedAt" = CASE WHEN $7 THEN wishwall_now() END
      WHERE "tenantId" = $1 AND id = $2`,
    values: [order.tenantId, order.id, reached, done.length, moved, failed.length, ended],
  })
  return { id: order.id, seen: done.length, moved, failed, more: ended || reached !== null }
}

/** @returns `windowEnd`: the last row of a full window, behind which there may be more */
async function candidates(client: pg.PoolClient, { tenantId, scope, path, since, until, walkedId, policyCode }: Row, { batch, window: size }: Required<Steps>): Promise<{ ids: string[]; windowEnd: string | null }> {
  const { window, meant } = SOURCES[scope]
  const from = [tenantId, walkedId ?? FIRST]
  const values = [...from, path, endOf(path), since, until, batch]
  const { rows } = await client.query<{ id: string }>({
    name: `rescheduling_${scope}_${size}`, text: meant.replace('WINDOW', `${window} LIMIT ${size}`), values: scope === 'open' ? [...values, NOT_FINAL, policyCode] : values,
  })
  const ids = rows.map(({ id }) => id)
  if (ids.length === batch) return { ids, windowEnd: null }
  const { rows: [last] } = await client.query<{ id: string }>({ name: `rescheduling_${scope}_${size}_end`, text: `SELECT w.id FROM (${window} OFFSET ${size - 1} LIMIT 1) w`, values: from })
  return { ids, windowEnd: last?.id ?? null }
}

/** All in one statement; should that fail because of one of them, in halves, so that it does not stop the others. */
async function move(reader: Reader, order: Row, ids: readonly string[]): Promise<Pick<Walked, 'moved' | 'failed'>> {
  if (ids.length === 0) return { moved: 0, failed: [] }
  await reader.app.query('SAVEPOINT part')
  try {
    const decisions = (await due(reader, order, ids)).map(([facts, deadlines]) => decide('reschedule', { ...facts, reschedule: { reason: order.reason, deadlines } }, {}, SYSTEM))
    if (decisions.length > 0) await write(reader, order, decisions)
    await reader.app.query('RELEASE SAVEPOINT part')
    return { moved: decisions.length, failed: [] }
  } catch (error) {
    if (isNobodysFault(error)) throw error
    await reader.app.query('ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part')
    if (ids.length === 1) return { moved: 0, failed: [{ requestId: ids[0]!, error }] }
    const half = Math.ceil(ids.length / 2)
    const [first, second] = [await move(reader, order, ids.slice(0, half)), await move(reader, order, ids.slice(half))]
    return { moved: first.moved + second.moved, failed: [...first.failed, ...second.failed] }
  }
}

async function write({ app }: Reader, { tenantId, id }: Row, decisions: Decision[]): Promise<void> {
  const written = await commit(app, decisions)
  if (written.size < decisions.length) throw new Error('a request changed while it was held')
  await app.query({
    name: 'rescheduling_moved',
    text: `INSERT INTO rescheduled ("tenantId", "reschedulingId", "requestId", seq) SELECT $1, $2, m.id, m.seq FROM jsonb_to_recordset($3::jsonb) AS m(id uuid, seq int)`,
    values: [tenantId, id, JSON.stringify(decisions.map(({ request }) => ({ id: request.id, seq: request.version })))],
  })
}

/** The requests that have anything to move, each with the deadlines as they are to be. */
async function due(reader: Reader, order: Row, ids: readonly string[]): Promise<[Facts, DeadlineRow[]][]> {
  const { rows } = await reader.app.query<LoadedRow>({ name: 'rescheduling_facts', text: `SELECT ${FACTS} FROM request r ${JOINS} WHERE r."tenantId" = $1 AND r.id = ANY ($2)`, values: [tenantHere(), ids] })
  if (rows.length < ids.length) throw new Error(`${ids.length - rows.length} of ${ids.length} requests cannot be read`)
  const [all, histories, inForce] = [await factsOf(reader, rows), await historiesOf(reader, ids), await policiesInForce(reader, order, ids)]
  const moves = await Promise.all(all.map(async (facts): Promise<[Facts, DeadlineRow[]]> => {
    const { id } = facts.request
    const versionOf = (row: DeadlineRow): string => inForce.get(id) ?? row.policyId
    const rules = new Map<string, Policy>()
    for (const version of new Set(facts.deadlines.map(versionOf))) rules.set(version, await policy(reader, version))
    return [facts, rescheduled(facts, {
      history: histories.get(id) ?? [],
      concerns: (row) => concerns(order, row),
      policyOf: (row) => ({ id: versionOf(row), policy: rules.get(versionOf(row))! }),
    })]
  }))
  return moves.filter(([, deadlines]) => deadlines.length > 0)
}

/** The same as the statements above ask of a row. */
const concerns = ({ scope, since, until }: Row, row: DeadlineRow): boolean =>
  (scope === 'open' || row.provisional) && (since === null || until === null || (row.openedAt < until && row.dueAt >= since))

async function historiesOf({ app }: Reader, ids: readonly string[]): Promise<Map<string, Happened[]>> {
  const { rows } = await app.query<{ id: string; history: (Omit<Happened, 'at'> & { at: string })[] }>({
    name: 'rescheduling_histories',
    text: `SELECT "requestId" AS id, jsonb_agg(jsonb_build_object('seq', seq, 'verb', verb, 'fromState', "fromState", 'toState', "toState", 'at', at, 'data', data) ORDER BY seq) AS history
      FROM event WHERE "tenantId" = $1 AND "requestId" = ANY ($2) GROUP BY "requestId"`,
    values: [tenantHere(), ids],
  })
  return new Map(rows.map(({ id, history }) => [id, history.map((event) => ({ ...event, at: new Date(event.at) }))]))
}

/** With the reason `policy`: the newest version of each request's rules, of the node nearest to it. */
async function policiesInForce({ app }: Reader, { policyCode }: Row, ids: readonly string[]): Promise<Map<string, string>> {
  if (policyCode === null) return new Map()
  const { rows } = await app.query<{ id: string; policyId: string }>({
    name: 'rescheduling_policies',
    text: `SELECT r.id, p.id AS "policyId" FROM request r CROSS JOIN LATERAL (
        SELECT p.id FROM policy p JOIN node n ON n."tenantId" = p."tenantId" AND n.id = p."nodeId"
        WHERE p."tenantId" = r."tenantId" AND p.code = $3 AND starts_with(r.path, n.path) ORDER BY length(n.path) DESC, p.version DESC LIMIT 1) p
      WHERE r."tenantId" = $1 AND r.id = ANY ($2)`,
    values: [tenantHere(), ids, policyCode],
  })
  return new Map(rows.map(({ id, policyId }) => [id, policyId]))
}
