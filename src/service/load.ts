import { sorted } from '../domain/decide.ts'
import type { AskRow, AssignmentRow, ConsentRow, DeadlineRow, Facts, RequestRow, WallEntryRow } from '../domain/request.ts'
import * as catalogue from './catalogue.ts'
import { calendars } from './calendars.ts'
import { COLUMNS, names } from './columns.ts'
import { tenantHere, type Db, type Reader } from './db.ts'
import { places } from './places.ts'

export interface LoadedRow extends RequestRow {
  now: Date
  title: string
  assignments: AssignmentRow[] | null
  deadlines: DeadlineRow[] | null
  asks: AskRow[] | null
  consents: ConsentRow[] | null
  redone: number
  isLead: boolean
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
  (SELECT json_agg(a) FROM assignment a WHERE a."tenantId" = r."tenantId" AND a."requestId" = r.id AND a.status IN ('active', 'pending', 'done')) AS assignments,
  (SELECT json_agg(d) FROM deadline d WHERE d."tenantId" = r."tenantId" AND d."requestId" = r.id AND (d."closedAt" IS NULL OR (d.step = 'complete' AND r.state = 'completed'))) AS deadlines,
  (SELECT json_agg(k ORDER BY k.seq) FROM ask k WHERE k."tenantId" = r."tenantId" AND k."requestId" = r.id) AS asks,
  (SELECT json_agg(c) FROM (SELECT DISTINCT ON (c.purpose) c.* FROM consent c WHERE c."tenantId" = r."tenantId" AND c."requestId" = r.id ORDER BY c.purpose, c.seq DESC) c) AS consents,
  CASE WHEN r.state = 'completed' AND r.cycle > 1 THEN (SELECT count(*)::int FROM event e WHERE e."tenantId" = r."tenantId" AND e."requestId" = r.id AND e.verb IN ('follow-up', 'rate') AND e."toState" = 'accepted') ELSE 0 END AS redone,
  EXISTS (SELECT FROM request m WHERE m."tenantId" = r."tenantId" AND m."leadId" = r.id AND m.state = 'merged') AS "isLead",
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

/** 并案: those that follow a lead now, or were completed with it and have not gone on since. */
export async function loadMerged(db: Db, leadId: string, state: 'merged' | 'completed' = 'merged'): Promise<Facts[]> {
  const { rows } = await db.app.query<LoadedRow>({
    name: 'load_merged',
    text: `SELECT ${FACTS} FROM request r ${JOINS} WHERE r."tenantId" = $1 AND r."leadId" = $2 AND r.state = $3 ORDER BY r.id`,
    values: [tenantHere(), leadId, state],
  })
  return factsOf(db, rows)
}

/** The facts of each row, in their order. */
export async function factsOf(db: Reader, rows: readonly LoadedRow[]): Promise<Facts[]> {
  const [working, place] = await Promise.all([calendars(db), places(db, rows.flatMap(({ nodeId, responsibleNodeId }) => [nodeId, responsibleNodeId]))])
  return Promise.all(rows.map(async (row) => {
    const [item, policy] = await Promise.all([catalogue.item(db, row.itemId), catalogue.policy(db, row.policyId)])
    const { now, title, assignments, deadlines, asks, consents, redone, isLead, wall, held, ...request } = row
    const all = (assignments ?? []).map((assignment) => revived(assignment, ['since', 'until', 'reportedAt'])).sort((a, b) => a.seq - b.seq || a.slot - b.slot)
    const clocks = (deadlines ?? []).map(revivedDeadline).sort((a, b) => a.dueAt.getTime() - b.dueAt.getTime())
    const { node, compound, community, path: nodePath } = place(row.nodeId)
    const responsible = place(row.responsibleNodeId)
    return {
      now, title, node, nodePath, compound, community, responsibleNode: responsible.node, responsibleLevel: responsible.level, item, policy, calendar: working.at(request.path), request,
      ...sorted(all),
      handlers: all.filter(({ status, role }) => status === 'done' && role === 'lead'),
      asks: (asks ?? []).map((ask) => revived(ask, ['until', 'askedAt', 'answeredAt'])),
      consents: (consents ?? []).map((consent) => revived(consent, ['at'])),
      deadlines: clocks.filter(({ closedAt }) => closedAt === null),
      worked: clocks.filter(({ closedAt }) => closedAt !== null).sort((a, b) => a.seq - b.seq).at(-1) ?? null,
      wall: wall && revived(wall, ['takenDownAt']),
      redone,
      isLead,
      ...(held === undefined ? {} : { held }),
    }
  }))
}

export const revivedDeadline = (row: DeadlineRow): DeadlineRow => revived(row, ['openedAt', 'dueAt', 'originalDueAt', 'nextAt', 'rungAt', 'stoodAt', 'closedAt'])

/** Times inside json arrive as text. */
function revived<T extends object>(row: T, times: (keyof T)[]): T {
  const copy = { ...row }
  for (const time of times) {
    const written: unknown = copy[time]
    if (typeof written === 'string') copy[time] = new Date(written) as T[keyof T]
  }
  return copy
}
