import { CLOSED, statesOf } from '../domain/open311.ts'
import { UUID } from './load.ts'
import type { Open311Query } from './open311.ts'

/** What Open311 asks the database. In all of it $1 is the tenant, $2 the app or null, $3 the level of compounds. */

/** GeoReport v2: a search spans so many days. */
export const SPAN_DAYS = 90

/** Each by its key: a planner that does not know how few they are would read the whole table. @param ids a statement */
const byKey = (ids: string): string =>
  `(SELECT id FROM (${ids}) l OFFSET 0) candidate CROSS JOIN LATERAL (SELECT r.* FROM request r WHERE r."tenantId" = $1 AND r.id = candidate.id LIMIT 1) r`

const OWN = `r."filerClientId" = $2::uuid AND r."filerId" IS NULL`
const WALLED = `SELECT DISTINCT w."requestId" AS id FROM wall_entry w WHERE w."tenantId" = $1 AND w."isPublic"`

/** All that an app, or the public, may possibly see. */
export const CANDIDATES = byKey(`${WALLED} UNION SELECT r.id FROM request r WHERE r."tenantId" = $1 AND ${OWN}`)

/** What the wall shows, see service/wall.ts; completing takes it down. @param requests what is looked through, as `r` */
export const seen = (requests: string): string => `
  SELECT r.*, i.code AS "itemCode", i.name AS "itemName", own.mine, w.title AS "wallTitle", w.text AS "wallText",
    COALESCE(o.code, c.code) AS "placeCode", COALESCE(o.name, c.name) AS "placeName", COALESCE(o.lng, c.lng) AS lng, COALESCE(o.lat, c.lat) AS lat
  FROM ${requests}
  JOIN item i ON i."tenantId" = r."tenantId" AND i.id = r."itemId"
  JOIN node n ON n."tenantId" = r."tenantId" AND n.id = r."nodeId"
  CROSS JOIN LATERAL (SELECT r."filerClientId" IS NOT DISTINCT FROM $2::uuid AND r."filerId" IS NULL AND $2 IS NOT NULL AS mine) own
  LEFT JOIN node o ON own.mine AND o."tenantId" = n."tenantId" AND o.id = n.id
  LEFT JOIN node c ON NOT own.mine AND c."tenantId" = n."tenantId" AND c.level = $3 AND c.code = ANY (string_to_array(n.path, '/'))
  LEFT JOIN LATERAL (SELECT w.title, w.text, w."isPublic", w."takenDownAt" FROM wall_entry w WHERE w."tenantId" = r."tenantId" AND w."requestId" = r.id ORDER BY w.seq DESC LIMIT 1) w
    ON NOT r.confidential AND r.kind <> 'mediation' AND w."isPublic" AND (w."takenDownAt" IS NULL OR w."takenDownAt" = r."completedAt")
    AND (SELECT k.granted FROM consent k WHERE k."tenantId" = r."tenantId" AND k."requestId" = r.id AND k.purpose = 'wall' ORDER BY k.seq DESC LIMIT 1)
  WHERE r."tenantId" = $1 AND (own.mine OR w.title IS NOT NULL)`

const lastWords = (request: string, field: string): string =>
  `(SELECT t.body FROM text t WHERE t."tenantId" = $1 AND t."requestId" = ${request}.id AND t.field = '${field}' ORDER BY t.seq DESC LIMIT 1)`
/** Of own requests only. */
const said = (field: string): string => `CASE WHEN s.mine THEN ${lastWords('s', field)} END`

const SHUT = `ARRAY[${CLOSED.map((state) => `'${state}'`).join(', ')}]`
/** Of what is closed: when it was closed (GeoReport v2); of the rest, when anything last happened to it. */
const updatedAt = (request: string): string => `CASE WHEN ${request}.state = ANY (${SHUT})
    THEN (SELECT e.at FROM event e WHERE e."tenantId" = $1 AND e."requestId" = ${request}.id AND e."toState" = ANY (${SHUT}) AND NOT e."fromState" = ANY (${SHUT}) ORDER BY e.seq DESC LIMIT 1)
    ELSE (SELECT e.at FROM event e WHERE e."tenantId" = $1 AND e."requestId" = ${request}.id AND e.seq = ${request}.version) END`

const SHOWN = `SELECT s.number, s.state, s."itemCode", s."itemName", s.mine, s."wallTitle", s."wallText", s."filedAt", s."placeCode", s."placeName", s.lng, s.lat,
    ${said('title')} AS title, ${said('description')} AS description, ${said('outcome')} AS outcome, ${said('address')} AS address, ${said('position')} AS position,
    CASE WHEN s.mine THEN (SELECT name FROM node a WHERE a."tenantId" = $1 AND a.id = s."responsibleNodeId") END AS agency, ${updatedAt('s')} AS "updatedAt",
    (SELECT min(d."dueAt") FROM deadline d WHERE d."tenantId" = $1 AND d."requestId" = s.id AND d.step = 'complete' AND d."closedAt" IS NULL) AS "dueAt"`

/** Times are told in seconds: whoever asks with one that he was told means all of that second. */
export const fromSecond = (at: Date): Date => new Date(Math.floor(at.getTime() / 1_000) * 1_000)
export const toSecond = (at: Date): Date => new Date(fromSecond(at).getTime() + 999)

/**
 * A page, the newest first (ids are in the order of filing). It is cut first: of an app's own by their index, of the few on
 * walls by looking at each; the rest is read of what is on it.
 */
export function listing(query: Open311Query, tenantId: string, clientId: string | null, level: string): { name: string; text: string; values: unknown[] } {
  const { ids, services, statuses, start, end, updatedAfter, updatedBefore, near, box, page, pageSize } = query
  const values: unknown[] = [tenantId, clientId, level]
  const p = (value: unknown): string => `$${values.push(value)}`
  if (ids) {
    const named = `(r.number = ANY (${p(ids)}::text[]) OR r.id = ANY (${p(ids.filter((id) => UUID.test(id)))}::uuid[]))`
    return { name: 'open311_named', text: `${SHOWN} FROM (${seen('request r')} AND ${named}) s ORDER BY s.id DESC LIMIT ${p(pageSize)}`, values }
  }
  const meets: string[] = []
  const names: string[] = []
  const when = <T>(name: string, value: T | undefined, sql: (p: string) => string, sent: unknown = value): void => {
    if (value === undefined) return
    names.push(name)
    meets.push(` AND ${sql(p(sent))}`)
  }
  if ((updatedAfter ?? updatedBefore) === undefined || (start ?? end) !== undefined) {
    const [since, until] = [start && `${p(fromSecond(start))}::timestamptz`, end && `${p(toSecond(end))}::timestamptz`]
    const span = `interval '${SPAN_DAYS} days'`
    meets.push(` AND r."filedAt" BETWEEN ${since ?? `${until ?? '(SELECT wishwall_now())'} - ${span}`} AND ${until ?? (since ? `${since} + ${span}` : '(SELECT wishwall_now())')}`)
    names.push(`span${since ? 's' : ''}${until ? 'e' : ''}`)
  }
  when('services', services, (codes) => `r."itemId" IN (SELECT i.id FROM item i WHERE i."tenantId" = $1 AND i.code = ANY (${codes}::text[]))`)
  when('statuses', statuses, (states) => `r.state = ANY (${states}::text[])`, statuses && statesOf(statuses))
  // What ended before was closed before: the history is read of the others.
  when('after', updatedAfter, (at) => `(r."closedAt" IS NULL OR r."closedAt" >= ${at}::timestamptz) AND ${updatedAt('r')} >= ${at}::timestamptz`, updatedAfter && fromSecond(updatedAfter))
  when('before', updatedBefore, (at) => `${updatedAt('r')} <= ${at}::timestamptz`, updatedBefore && toSecond(updatedBefore))
  const where = (near ?? box) && p(JSON.stringify(near ? { near } : { box }))
  const there = (position: string, place: string): string => (where === undefined ? '' : ` AND EXISTS (SELECT FROM (SELECT ${position} AS position, ${place}) q WHERE ${liesIn(where)})`)
  const most = p(page * pageSize)
  const own = `SELECT r.id FROM request r WHERE r."tenantId" = $1 AND ${OWN}${meets.join('')}${there(lastWords('r', 'position'), 'n.lng, n.lat FROM node n WHERE n."tenantId" = $1 AND n.id = r."nodeId"')} ORDER BY r.id DESC LIMIT ${most}`
  const walled = `SELECT s.id FROM (${seen(byKey(WALLED))} AND NOT own.mine${meets.join('')}${there('NULL::text', 'c.lng, c.lat')}) s ORDER BY s.id DESC LIMIT ${most}`
  const cut = `SELECT id FROM (${clientId === null ? `(${walled})` : `(${own}) UNION ALL (${walled})`}) u ORDER BY id DESC LIMIT ${p(pageSize)} OFFSET ${p((page - 1) * pageSize)}`
  return {
    name: `open311_${clientId === null ? 'public' : 'app'}_${names.join('_')}${where === undefined ? '' : '_there'}`, values,
    text: `${SHOWN} FROM (${seen(byKey(cut))}) s ORDER BY s.id DESC`,
  }
}

/** Where it is as exactly as the caller may know: within the box, or so many metres from the point. */
const LNG = `COALESCE(split_part(substring(q.position FROM '^[-0-9.]+,[-0-9.]+$'), ',', 1)::float8, q.lng)`
const LAT = `COALESCE(split_part(substring(q.position FROM '^[-0-9.]+,[-0-9.]+$'), ',', 2)::float8, q.lat)`
const liesIn = (where: string): string => `CASE WHEN ${where}::jsonb ? 'box'
  THEN ${LNG} BETWEEN (${where}::jsonb -> 'box' ->> 0)::float8 AND (${where}::jsonb -> 'box' ->> 2)::float8 AND ${LAT} BETWEEN (${where}::jsonb -> 'box' ->> 1)::float8 AND (${where}::jsonb -> 'box' ->> 3)::float8
  ELSE 111320 * sqrt(((${LNG} - (${where}::jsonb #>> '{near,lng}')::float8) * cos(radians((${where}::jsonb #>> '{near,lat}')::float8))) ^ 2
    + (${LAT} - (${where}::jsonb #>> '{near,lat}')::float8) ^ 2) <= (${where}::jsonb #>> '{near,metres}')::float8 END`
