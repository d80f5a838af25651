import { LRUCache } from 'lru-cache'
import pg from 'pg'
import { concerned, whoIsLate } from '../domain/late.ts'
import type { DeadlineRow, Decision, Facts } from '../domain/request.ts'
import { tick } from '../domain/tick.ts'
import { commit } from './commit.ts'
import { inTenant, tenantHere, type Db, type Reader } from './db.ts'
import { FACTS, JOINS, factsOf, type LoadedRow } from './load.ts'
import { roster } from './roster.ts'
import { findTarget } from './targets.ts'

export interface Swept {
  /** Marks fired. */
  fired: number
  /** Rows looked at; none means that nothing is due. */
  seen: number
  /** Requests of which nothing could be decided or written, passed over for a while so that they do not stop the others. */
  failed: { requestId: string; error: unknown }[]
}

/** Requests in one transaction: persons' verbs wait at most for so many. */
const BATCH = 500

/** Requests with something due, locked until the commit; another worker passes over them. */
const LOCK = `
  SELECT r."tenantId", r.id FROM deadline d JOIN request r ON r."tenantId" = d."tenantId" AND r.id = d."requestId"
  WHERE d."nextAt" <= (SELECT wishwall_now()) AND d."requestId" <> ALL ($2::uuid[]) ORDER BY d."nextAt" LIMIT $1 FOR NO KEY UPDATE OF r SKIP LOCKED`

/** The database's clock as well as the request's own, which may be ahead of it: only the former makes anything due. */
const DUE = `SELECT ${FACTS}, wishwall_now() AS clock FROM request r ${JOINS} WHERE r."tenantId" = $1 AND r.id = ANY ($2)`

interface DueRow extends LoadedRow {
  clock: Date
}

/** What a process remembers between sweeps. */
interface Sweeper {
  /**
   * Apart from the app's: what is being read there may wait for a connection, and those may all wait for the very rows
   * that are locked here.
   */
  memory: Db['memory']
  /** Smaller after a batch that was too much in the time there is. */
  batch: number
  failing: LRUCache<string, { waitMs: number; until: number }>
}

const sweepers = new WeakMap<Db, Sweeper>()

function sweeperOf(db: Db): Sweeper {
  const known = sweepers.get(db) ?? { memory: new LRUCache({ max: 50_000 }), batch: BATCH, failing: new LRUCache({ max: 10_000 }) }
  sweepers.set(db, known)
  return known
}

/**
 * One batch of what is due: for each request its earliest mark, decided and committed like any person's act.
 * Losing every queue delays a deadline by one interval and loses none: the database is asked what is due.
 * The request rows are locked first and read after, so that nothing read can be stale; persons' verbs wait at most for
 * one batch. Marks that were missed come one after the other, in order, with their logical time.
 */
export async function sweepOnce(db: Db): Promise<Swept> {
  const sweeper = sweeperOf(db)
  const client = await db.clock.connect()
  try {
    await client.query('BEGIN')
    const { rows: locked } = await client.query<{ tenantId: string; id: string }>({ name: 'sweep_lock', text: LOCK, values: [sweeper.batch, passedOver(sweeper)] })
    const swept: Swept = { fired: 0, seen: locked.length, failed: [] }
    const reader = { app: client, memory: sweeper.memory }
    // In one order everywhere: the commits of several tenants lock rows of theirs.
    for (const tenantId of [...new Set(locked.map((row) => row.tenantId))].sort()) {
      const ids = new Set(locked.filter((row) => row.tenantId === tenantId).map(({ id }) => id))
      await inTenant(tenantId, () => fire(client, reader, [...ids], swept))
    }
    await client.query('COMMIT')
    client.release()
    sweeper.batch = Math.min(BATCH, sweeper.batch * 2)
    passOver(sweeper, locked.map(({ id }) => id), swept)
    return swept
  } catch (error) {
    if (tookTooLong(error)) sweeper.batch = Math.ceil(sweeper.batch / 4)
    // A connection in doubt is not given back.
    client.release(true)
    throw error
  }
}

/** All in one statement; should that fail because of one of them, in halves, so that it does not stop the others. */
async function fire(client: pg.PoolClient, reader: Reader, ids: string[], swept: Swept): Promise<void> {
  await client.query('SAVEPOINT part')
  try {
    const failed: Swept['failed'] = []
    const decisions: Decision[] = []
    for (const facts of await dueFacts(reader, ids)) {
      try {
        decisions.push(tick(facts))
      } catch (error) {
        failed.push({ requestId: facts.request.id, error })
      }
    }
    const { size } = decisions.length > 0 ? await commit(client, decisions, { together: false }) : new Set()
    await client.query('RELEASE SAVEPOINT part')
    swept.fired += size
    swept.failed.push(...failed)
  } catch (error) {
    if (isNobodysFault(error, ids)) throw error
    await client.query('ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part')
    const half = Math.ceil(ids.length / 2)
    if (ids.length === 1) swept.failed.push({ requestId: ids[0]!, error })
    else for (const part of [ids.slice(0, half), ids.slice(half)]) await fire(client, reader, part, swept)
  }
}

/** Connections, deadlocks, room, shutdown: over by themselves. Of what takes too long, only one alone is to blame. (A lock that is not given: 55.) */
const isNobodysFault = (error: unknown, ids: string[]): boolean =>
  error instanceof pg.DatabaseError && /^(08|25|40|53|57)/.test(error.code ?? '') && !(error.code === '57014' && ids.length === 1)

/** By the server's patience or by ours; or it stood in the way of others, who stood in its way. */
const tookTooLong = (error: unknown): boolean =>
  error instanceof Error && (['57014', '25P03', '40P01'].includes((error as { code?: string }).code ?? '') || error.message === 'Query read timeout')

/** Milliseconds until a request that failed is tried again: the first time, doubled each time, the longest. */
const WAIT = { first: 5_000, longest: 600_000 }

/** Its row is left as it is: its time stands, and whoever looks how late the clock is sees it. */
function passOver({ failing }: Sweeper, seen: string[], { failed }: Swept): void {
  const waits = failed.map(({ requestId }) => [requestId, Math.min(WAIT.longest, (failing.get(requestId)?.waitMs ?? WAIT.first / 2) * 2)] as const)
  if (failing.size > 0) for (const id of seen) failing.delete(id)
  for (const [requestId, waitMs] of waits) failing.set(requestId, { waitMs, until: performance.now() + waitMs })
}

const passedOver = ({ failing }: Sweeper): string[] => [...failing.entries()].filter(([, { until }]) => until > performance.now()).map(([id]) => id)

/** The facts of what is due: the earliest mark of each request, who is late for it, and the ladder from there to the root. */
async function dueFacts(db: Reader, ids: string[]): Promise<Facts[]> {
  const { rows } = await db.app.query<DueRow>({ name: 'sweep_facts', text: DUE, values: [tenantHere(), ids] })
  if (rows.length < ids.length) throw new Error(`${ids.length - rows.length} of ${ids.length} requests that are due cannot be read`)
  const facts = await factsOf(db, rows.map(({ clock: _, ...row }) => row))
  const asked = facts.map(concerned)
  const now = await roster(db, asked.flatMap(({ paths }) => paths), asked.flatMap(({ organisations }) => organisations))
  const due = facts.flatMap((each, index) => {
    const deadline = earliest(each.deadlines, rows[index]!.clock)
    // Nothing is due any more when a person was faster.
    return deadline ? [{ ...each, due: { deadline, ...whoIsLate(each, deadline, now) } }] : []
  })
  return Promise.all(due.map((each) => withBackstop(db, each)))
}

/** 兜底单位, for what nobody has claimed. */
async function withBackstop(db: Reader, facts: Facts): Promise<Facts> {
  const { due, policy: { backstop }, assignments, request } = facts
  const target = due?.deadline.step === 'claim' && backstop !== null && assignments.length === 0 ? await findTarget(db, backstop, request.path) : undefined
  return target ? { ...facts, target } : facts
}

function earliest(deadlines: DeadlineRow[], clock: Date): DeadlineRow | undefined {
  const due = deadlines.filter(({ nextAt }) => nextAt !== null && nextAt <= clock)
  return due.sort((a, b) => a.nextAt!.getTime() - b.nextAt!.getTime())[0]
}
