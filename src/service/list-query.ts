import { createHash } from 'node:crypto'
import { Problem } from '../domain/problems.ts'
import { decodeCursor } from './cursor.ts'
import { UUID } from './load.ts'

/** The statement of a list: what it is read from, what it must meet, and in which order. */

/** A condition on request `r`, with its value; the set of names names the prepared statement. */
export interface Piece {
  name: string
  sql: (parameter: string) => string
  value: unknown
  /** What else can be read in its place: one list of requests after the other, or a set of ids. */
  instead?: { keys: (parameter: string) => string } | { ids: (parameter: string) => string }
}

/** `filed`: newest first within a span of time. */
export type Order = 'newest' | 'filed' | 'due'

/** PostgreSQL cuts names at 63 bytes, and two that begin alike would be one statement: a longer one is named by its digest. */
export function statementName(...parts: readonly string[]): string {
  const name = parts.join('_')
  return name.length < 64 ? name : createHash('sha256').update(name).digest('base64url')
}

/** Rows of `request`, and in `sortAt` the time that they are in order of. */
const ORDERS: Record<Order, { sortAt: string; by: string; past: string }> = {
  newest: { sortAt: 'NULL::timestamptz', by: 'id DESC', past: 'r.id < $AFTER_ID' },
  filed: { sortAt: 'r."filedAt"', by: '"sortAt" DESC, id DESC', past: '(r."filedAt", r.id) < ($AFTER_AT, $AFTER_ID)' },
  due: { sortAt: 'd."dueAt"', by: '"sortAt", id', past: '(d."dueAt", d."requestId") > ($AFTER_AT, $AFTER_ID)' },
}

/** As written without `sortAt`, so that an index can serve it. */
const PLAIN: Record<Order, string> = { newest: 'r.id DESC', filed: 'r."filedAt" DESC, r.id DESC', due: 'd."dueAt", d."requestId"' }

/** The title of request `r`, as `JOINS` has it; for a page, of which a planner does not know how short it is: it would read all titles there are. */
export const TITLE = `CROSS JOIN LATERAL (SELECT t.body FROM text t WHERE t."tenantId" = $1 AND t."requestId" = r.id AND t.field = 'title' AND t.seq = r."titleSeq" LIMIT 1) t`

/** A clock that somebody is late by. */
const RUNNING = (d: string): string => `${d}."closedAt" IS NULL AND ${d}."stoodAt" IS NULL AND ${d}.step NOT IN ('wave', 'close')`

export interface Place {
  at: string | null
  id: string
}

interface Statement {
  name: string
  text: string
  values: unknown[]
}

/**
 * A page of requests, or what lies before `limit` is reached.
 * @param pieces what all rows meet; the first that can be read instead of the whole is read so
 * @param after where the page before ended
 */
export function statement(tenantId: string, limit: number, pieces: readonly Piece[], order: Order, after: Place | null): Statement {
  const parameter = (index: number) => `$${index + 3}`
  const leading = pieces.findIndex(({ instead }) => instead !== undefined && !(order === 'due' && 'keys' in instead))
  const others = pieces.map(({ sql }, index) => ({ sql, index })).filter(({ index }) => index !== leading)
  const past = after === null ? [] : [ORDERS[order].past.replace('$AFTER_AT', () => `${parameter(pieces.length + 1)}::timestamptz`).replace('$AFTER_ID', () => `${parameter(pieces.length)}::uuid`)]
  const meets = others.map(({ sql, index }) => sql(parameter(index)))
  const instead = pieces[leading]?.instead
  const p = parameter(leading)
  return {
    name: statementName('list', order, ...pieces.map(({ name }) => name), ...(after === null ? [] : ['after'])),
    text: instead === undefined ? whole(order, meets, past) : 'ids' in instead ? ofSet(order, instead.ids(p), meets, past) : ofKeys(order, instead.keys(p), meets, past),
    values: [tenantId, limit, ...pieces.map(({ value }) => value), ...(after === null ? [] : [after.id, ...(order === 'newest' ? [] : [after.at])])],
  }
}

const and = (...conditions: readonly string[]): string => conditions.map((condition) => ` AND ${condition}`).join('')

/** In the order of an index, until there are enough. */
function whole(order: Order, meets: readonly string[], past: readonly string[]): string {
  if (order !== 'due') return `SELECT r.*, ${ORDERS[order].sortAt} AS "sortAt" FROM request r WHERE r."tenantId" = $1${and(...meets, ...past)} ORDER BY ${PLAIN[order]} LIMIT $2`
  // Of several clocks of one request the first counts.
  return `SELECT r.*, d."dueAt" AS "sortAt" FROM deadline d CROSS JOIN LATERAL (SELECT r.* FROM request r WHERE r."tenantId" = $1 AND r.id = d."requestId"${and(...meets)} LIMIT 1) r
    WHERE d."tenantId" = $1 AND ${RUNNING('d')}${and(...past)} AND NOT EXISTS (SELECT FROM deadline e WHERE e."tenantId" = $1 AND e."requestId" = d."requestId" AND ${RUNNING('e')}
      AND (e."dueAt", e.step, e.seq) < (d."dueAt", d.step, d.seq))
    ORDER BY ${PLAIN.due} LIMIT $2`
}

/** The newest of each of a few lists, merged. `k` is the key, `r` the request, in the condition that ends `keys`. */
function ofKeys(order: Order, keys: string, meets: readonly string[], past: readonly string[]): string {
  const [source, on] = keys.split(' ON ') as [string, string]
  return `SELECT r.* FROM (${source}) k CROSS JOIN LATERAL (
      SELECT r.*, ${ORDERS[order].sortAt} AS "sortAt" FROM request r WHERE r."tenantId" = $1 AND ${on}${and(...meets, ...past)} ORDER BY ${PLAIN[order]} LIMIT $2) r
    ORDER BY ${ORDERS[order].by} LIMIT $2`
}

/** Each by its key (a planner that does not know how few they are would read the whole table), sorted after. */
function ofSet(order: Order, ids: string, meets: readonly string[], past: readonly string[]): string {
  const due = order === 'due' ? `CROSS JOIN LATERAL (SELECT d."dueAt", d."requestId" FROM deadline d WHERE d."tenantId" = $1 AND d."requestId" = s.id AND ${RUNNING('d')} ORDER BY d."dueAt" LIMIT 1) d` : ''
  return `SELECT r.*, ${ORDERS[order].sortAt} AS "sortAt" FROM (SELECT DISTINCT id FROM (${ids}) found OFFSET 0) s
    CROSS JOIN LATERAL (SELECT r.* FROM request r WHERE r."tenantId" = $1 AND r.id = s.id${and(...meets)} LIMIT 1) r ${due}
    WHERE true${and(...past)} ORDER BY ${PLAIN[order]} LIMIT $2`
}

const PLACE = new RegExp(`^(?:\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}\\.\\d{3}Z )?${UUID.source.slice(1, -1)}$`)

/** @throws Problem cursor-unusable also for one of a list in another order */
export function placeOf(cursor: string, order: Order): Place {
  const [id, at] = decodeCursor(cursor, PLACE).split(' ').reverse() as [string, string | undefined]
  if ((at === undefined) !== (order === 'newest')) throw new Problem('cursor-unusable')
  return { id, at: at ?? null }
}

export const writtenPlace = (order: Order, id: string, sortAt: Date | null): string => (order === 'newest' ? id : `${sortAt!.toISOString()} ${id}`)
