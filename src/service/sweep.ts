import type pg from 'pg'
import type { DeadlineRow, Decision, Facts, Rung } from '../domain/request.ts'
import { tick } from '../domain/tick.ts'
import { STEPS, type Step } from '../domain/machine.ts'
import { commit } from './commit.ts'
import { inTenant, tenantHere, type Db } from './db.ts'
import { FACTS, JOINS, factsOf, revivedDeadline, type LoadedRow } from './load.ts'

export interface Swept {
  /** Marks fired. */
  fired: number
  /** Rows looked at; a full batch means there may be more. */
  seen: number
  /** Deadlines that could not be decided, put off so that they do not stop the others. */
  failed: { requestId: string; error: unknown }[]
}

/** Requests with something due, locked until the commit; another worker passes over them. */
const LOCK = `
  SELECT r."tenantId", r.id FROM deadline d JOIN request r ON r."tenantId" = d."tenantId" AND r.id = d."requestId"
  WHERE d."nextAt" <= (SELECT wishwall_now()) ORDER BY d."nextAt" LIMIT $1 FOR NO KEY UPDATE OF r SKIP LOCKED`

/** Holding a duty now; a stand-in takes the place of whom he stands in for. */
const HELD = `d."from" <= wishwall_now() AND (d."to" IS NULL OR d."to" > wishwall_now())`
const HOLDER = `COALESCE(d."standInId", d."personId")`

/**
 * The facts of what is due: the earliest mark of each request, who is late for it, and the ladder from there to the root.
 * Late is whom the step waits for: the active parties, or the nearest holders of the capability.
 */
const DUE = `
  SELECT ${FACTS}, to_jsonb(x) AS due, late.ids AS late,
    (SELECT jsonb_agg(jsonb_build_object('nodeId', a.id, 'path', a.path, 'holders', COALESCE(
        (SELECT jsonb_agg(${HOLDER}) FROM duty d JOIN role ro ON ro."tenantId" = d."tenantId" AND ro.code = d."roleCode"
          WHERE d."tenantId" = a."tenantId" AND d."nodeId" = a.id AND d."organisationId" IS NULL AND 'supervise' = ANY (ro.capabilities) AND ${HELD}), '[]'))
      ORDER BY length(a.path) DESC)
      FROM node a WHERE a."tenantId" = r."tenantId" AND a.code = ANY (string_to_array(late.path, '/'))) AS ladder
  FROM request r ${JOINS}
  JOIN LATERAL (SELECT * FROM deadline x WHERE x."tenantId" = r."tenantId" AND x."requestId" = r.id AND x."nextAt" <= wishwall_now() ORDER BY x."nextAt" LIMIT 1) x ON true
  CROSS JOIN LATERAL (
    SELECT COALESCE(jsonb_agg(p.id), '[]') AS ids, COALESCE(max(p.path), r.path) AS path FROM (
      SELECT COALESCE(s."personId", s."organisationId") AS id, s.path FROM assignment s
        WHERE $3::jsonb ->> x.step = 'assignee' AND s."tenantId" = r."tenantId" AND s."requestId" = r.id AND s.status = 'active'
      UNION ALL (
        SELECT ${HOLDER}, dn.path FROM duty d JOIN node dn ON dn."tenantId" = d."tenantId" AND dn.id = d."nodeId"
          JOIN role ro ON ro."tenantId" = d."tenantId" AND ro.code = d."roleCode"
          WHERE d."tenantId" = r."tenantId" AND d."organisationId" IS NULL AND dn.code = ANY (string_to_array(r.path, '/'))
            AND $3::jsonb ->> x.step = ANY (ro.capabilities) AND ${HELD}
          ORDER BY length(dn.path) DESC FETCH FIRST 1 ROW WITH TIES)
    ) p) late
  WHERE r."tenantId" = $1 AND r.id = ANY ($2)`

const LATE: Record<Step, string> = Object.fromEntries(Object.entries(STEPS).map(([step, { late }]) => [step, late])) as Record<Step, string>

interface DueRow extends LoadedRow {
  due: DeadlineRow
  late: string[]
  ladder: Rung[] | null
}

/**
 * One batch of what is due: for each request its earliest mark, decided and committed like any person's act.
 * Losing every queue delays a deadline by one interval and loses none: the database is asked what is due.
 * The request rows are locked first and read after, so that nothing read can be stale; persons' verbs wait at most for
 * one batch. Marks that were missed come one after the other, in order, with their logical time.
 */
export async function sweepOnce(db: Db, batch = 200): Promise<Swept> {
  const client = await db.system.connect()
  try {
    await client.query('BEGIN')
    const { rows: locked } = await client.query<{ tenantId: string; id: string }>({ name: 'sweep_lock', text: LOCK, values: [batch] })
    const swept: Swept = { fired: 0, seen: locked.length, failed: [] }
    for (const tenantId of new Set(locked.map((row) => row.tenantId))) {
      const ids = new Set(locked.filter((row) => row.tenantId === tenantId).map(({ id }) => id))
      await inTenant(tenantId, () => fire(db, client, [...ids], swept))
    }
    await client.query('COMMIT')
    client.release()
    return swept
  } catch (error) {
    // A connection in doubt is not given back.
    client.release(true)
    throw error
  }
}

async function fire(db: Db, client: pg.PoolClient, ids: string[], swept: Swept): Promise<void> {
  const facts = await dueFacts(db, client, ids)
  const decisions: Decision[] = []
  for (const each of facts) {
    try {
      decisions.push(tick(each))
    } catch (error) {
      swept.failed.push({ requestId: each.request.id, error })
    }
  }
  swept.fired += await commitEach(client, decisions, swept)
  if (swept.failed.length > 0) {
    await client.query({
      name: 'sweep_put_off',
      text: `UPDATE deadline SET "nextAt" = wishwall_now() + interval '10 minutes' WHERE "requestId" = ANY ($1) AND "nextAt" <= wishwall_now()`,
      values: [swept.failed.map(({ requestId }) => requestId)],
    })
  }
}

/** All in one statement; should one of them be refused, one by one, so that it does not stop the others. */
async function commitEach(client: pg.PoolClient, decisions: Decision[], swept: Swept): Promise<number> {
  if (decisions.length === 0) return 0
  await client.query('SAVEPOINT batch')
  try {
    const { size } = await commit(client, decisions, { together: false })
    await client.query('RELEASE SAVEPOINT batch')
    return size
  } catch (error) {
    await client.query('ROLLBACK TO SAVEPOINT batch')
    const [only, ...more] = decisions
    if (only && more.length === 0) {
      swept.failed.push({ requestId: only.request.id, error })
      return 0
    }
    let fired = 0
    for (const decision of decisions) fired += await commitEach(client, [decision], swept)
    return fired
  }
}

async function dueFacts(db: Db, client: pg.PoolClient, ids: string[]): Promise<Facts[]> {
  const { rows } = await client.query<DueRow>({ name: 'sweep_facts', text: DUE, values: [tenantHere(), ids, JSON.stringify(LATE)] })
  const facts = await factsOf(db, rows.map(({ due: _due, late: _late, ladder: _ladder, ...row }) => row))
  return rows.map(({ due, late, ladder }, index) => ({ ...facts[index]!, due: { deadline: revivedDeadline(due), late, ladder: ladder ?? [] } }))
}
