import type { AssignmentRow, DeadlineRow, Facts, RequestRow, WallEntryRow } from '../domain/request.ts'
import * as catalogue from './catalogue.ts'
import { COLUMNS, names } from './columns.ts'
import { tenantHere, type Db } from './db.ts'
import { places } from './places.ts'
import { tenant } from './tenants.ts'

export interface LoadedRow extends RequestRow {
  now: Date
  title: string
  assignments: AssignmentRow[] | null
  deadlines: DeadlineRow[] | null
  wall: WallEntryRow | null
  held?: number
}

/**
 * Everything `decide` and `view` look at that changes, in one row; what hardly ever changes is remembered.
 * The database's clock is read here; should it have been set back, a request's own history still goes forward, which the
 * relay orders by.
 */
export const FACTS = `
  GREATEST(wishwall_now(), (SELECT e.at FROM event e WHERE e."tenantId" = r."tenantId" AND e."requestId" = r.id AND e.seq = r.version)) AS now, ${names(COLUMNS.request, 'r.')}, t.body AS title,
  (SELECT json_agg(a) FROM assignment a WHERE a."tenantId" = r."tenantId" AND a."requestId" = r.id AND a.status IN ('active', 'done')) AS assignments,
  (SELECT json_agg(d) FROM deadline d WHERE d."tenantId" = r."tenantId" AND d."requestId" = r.id AND d."closedAt" IS NULL) AS deadlines,
  (SELECT to_json(w) FROM wall_entry w WHERE w."tenantId" = r."tenantId" AND w."requestId" = r.id AND w."takenDownAt" IS NULL ORDER BY w.seq DESC LIMIT 1) AS wall`

export const JOINS = `
  JOIN text t ON t."tenantId" = r."tenantId" AND t."requestId" = r.id AND t.field = 'title' AND t.seq = r."titleSeq"`

export const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
export const isId = (ref: string): boolean => UUID.test(ref)

/**
 * One request by id or number.
 * @param counter key of the counter that the verb will raise
 */
export async function load(db: Db, ref: string, counter?: string): Promise<Facts | undefined> {
  const byId = isId(ref)
  const held = counter === undefined ? '' : `, COALESCE((SELECT k.value FROM counter k WHERE k."tenantId" = $1 AND k.key = $3), 0) AS held`
  const { rows } = await db.app.query<LoadedRow>({
    name: `load_by_${byId ? 'id' : 'number'}${counter === undefined ? '' : '_counting'}`,
    text: `SELECT ${FACTS}${held} FROM request r ${JOINS} WHERE r."tenantId" = $1 AND r.${byId ? 'id' : 'number'} = $2`,
    values: [tenantHere(), ref, ...(counter === undefined ? [] : [counter])],
  })
  return rows[0] && (await factsOf(db, rows))[0]
}

/** The facts of each row, in their order. */
export async function factsOf(db: Db, rows: readonly LoadedRow[]): Promise<Facts[]> {
  const [{ calendar }, place] = await Promise.all([tenant(db), places(db, rows.flatMap(({ nodeId, responsibleNodeId }) => [nodeId, responsibleNodeId]))])
  return Promise.all(rows.map(async (row) => {
    const [item, policy] = await Promise.all([catalogue.item(db, row.itemId), catalogue.policy(db, row.policyId)])
    const { now, title, assignments, deadlines, wall, held, ...request } = row
    const all = (assignments ?? []).map((assignment) => revived(assignment, ['since', 'until'])).sort((a, b) => a.seq - b.seq)
    const { node, compound } = place(row.nodeId)
    return {
      now, title, node, compound, responsibleNode: place(row.responsibleNodeId).node, item, policy, calendar, request,
      assignments: all.filter(({ status }) => status === 'active'),
      handlers: all.filter(({ status }) => status === 'done'),
      deadlines: (deadlines ?? []).map(revivedDeadline).sort((a, b) => a.dueAt.getTime() - b.dueAt.getTime()),
      wall: wall && revived(wall, ['takenDownAt']),
      ...(held === undefined ? {} : { held }),
    }
  }))
}

export const revivedDeadline = (row: DeadlineRow): DeadlineRow => revived(row, ['openedAt', 'dueAt', 'originalDueAt', 'nextAt', 'stoodAt', 'closedAt'])

/** Times inside json arrive as text. */
function revived<T extends object>(row: T, times: (keyof T)[]): T {
  const copy = { ...row }
  for (const time of times) {
    const written: unknown = copy[time]
    if (typeof written === 'string') copy[time] = new Date(written) as T[keyof T]
  }
  return copy
}
