import type { AssignmentRow, DeadlineRow, Facts, RequestRow, WallEntryRow } from '../domain/request.ts'
import * as catalogue from './catalogue.ts'
import { COLUMNS, names } from './columns.ts'
import { tenantHere, type Db } from './db.ts'
import { tenant } from './tenants.ts'

interface Place { id: string; code: string; name: string }

export interface LoadedRow extends RequestRow {
  now: Date
  title: string
  node: Place
  responsibleNode: Place
  compound: Place | null
  assignments: AssignmentRow[] | null
  deadlines: DeadlineRow[] | null
  wall: WallEntryRow | null
  held?: number
}

const place = (alias: string) => `jsonb_build_object('id', ${alias}.id, 'code', ${alias}.code, 'name', ${alias}.name)`

/**
 * Everything `decide` and `view` look at, in one row. `$1` is the tenant, `$2` the level a wall may name.
 * The database's clock is read here and nowhere else.
 */
export const FACTS = `
  wishwall_now() AS now, ${names(COLUMNS.request, 'r.')}, t.body AS title, ${place('n')} AS node, ${place('rn')} AS "responsibleNode",
  (SELECT ${place('c')} FROM node c WHERE c."tenantId" = r."tenantId" AND c.code = ANY (string_to_array(r.path, '/')) AND c.level = $2) AS compound,
  (SELECT jsonb_agg(a ORDER BY a.seq) FROM assignment a WHERE a."tenantId" = r."tenantId" AND a."requestId" = r.id AND a.status IN ('active', 'done')) AS assignments,
  (SELECT jsonb_agg(d ORDER BY d."dueAt") FROM deadline d WHERE d."tenantId" = r."tenantId" AND d."requestId" = r.id AND d."closedAt" IS NULL) AS deadlines,
  (SELECT to_jsonb(w) FROM wall_entry w WHERE w."tenantId" = r."tenantId" AND w."requestId" = r.id AND w."takenDownAt" IS NULL ORDER BY w.seq DESC LIMIT 1) AS wall`

export const JOINS = `
  JOIN node n ON n."tenantId" = r."tenantId" AND n.id = r."nodeId"
  JOIN node rn ON rn."tenantId" = r."tenantId" AND rn.id = r."responsibleNodeId"
  JOIN text t ON t."tenantId" = r."tenantId" AND t."requestId" = r.id AND t.field = 'title' AND t.seq = r."titleSeq"`

export const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
export const isId = (ref: string): boolean => UUID.test(ref)

/**
 * One request by id or number.
 * @param counter key of the counter that the verb will raise
 */
export async function load(db: Db, ref: string, counter?: string): Promise<Facts | undefined> {
  const { settings } = await tenant(db)
  const byId = isId(ref)
  const held = counter === undefined ? '' : `, COALESCE((SELECT k.value FROM counter k WHERE k."tenantId" = $1 AND k.key = $4), 0) AS held`
  const { rows } = await db.app.query<LoadedRow>({
    name: `load_by_${byId ? 'id' : 'number'}${counter === undefined ? '' : '_counting'}`,
    text: `SELECT ${FACTS}${held} FROM request r ${JOINS} WHERE r."tenantId" = $1 AND r.${byId ? 'id' : 'number'} = $3`,
    values: [tenantHere(), settings.wallLevel, ref, ...(counter === undefined ? [] : [counter])],
  })
  return rows[0] && factsOf(db, rows[0])
}

export async function factsOf(db: Db, row: LoadedRow): Promise<Facts> {
  const [item, policy, { calendar }] = await Promise.all([catalogue.item(db, row.itemId), catalogue.policy(db, row.policyId), tenant(db)])
  const { now, title, node, responsibleNode, compound, assignments, deadlines, wall, held, ...request } = row
  const all = (assignments ?? []).map((assignment) => revived(assignment, ['since', 'until']))
  return {
    now, title, node, responsibleNode, compound, item, policy, calendar, request,
    assignments: all.filter(({ status }) => status === 'active'),
    handlers: all.filter(({ status }) => status === 'done'),
    deadlines: (deadlines ?? []).map(revivedDeadline),
    wall: wall && revived(wall, ['takenDownAt']),
    ...(held === undefined ? {} : { held }),
  }
}

export const revivedDeadline = (row: DeadlineRow): DeadlineRow => revived(row, ['openedAt', 'dueAt', 'originalDueAt', 'nextAt', 'stoodAt', 'closedAt'])

/** Times inside jsonb arrive as text. */
function revived<T extends object>(row: T, times: (keyof T)[]): T {
  const copy = { ...row }
  for (const time of times) {
    const written: unknown = copy[time]
    if (typeof written === 'string') copy[time] = new Date(written) as T[keyof T]
  }
  return copy
}
