import { mediaApart, statesOf, statusNotes, statusOf, updateNotes, type Status } from '../domain/open311.ts'
import { readPoint } from '../domain/coordinates.ts'
import type { State, VerbName } from '../domain/machine.ts'
import { tenantHere, type Db } from './db.ts'
import { UUID } from './load.ts'
import { tenant } from './tenants.ts'

/**
 * Requests as Open311 shows them. The public sees what stands on a wall by its filer's consent, or stood on it until it was
 * done: the words of who placed it, no place finer than the compound, nothing of who asked. An app sees its own besides, whole.
 */
export interface Open311Request {
  service_request_id: string
  status: Status
  status_notes: string
  service_name: string
  service_code: string
  description: string | null
  agency_responsible: string | null
  service_notice: null
  requested_datetime: Date
  updated_datetime: Date
  expected_datetime: Date | null
  address: string | null
  /** Code of a node. */
  address_id: string | null
  zipcode: null
  lat: number | null
  long: number | null
  media_url: string | null
}

export interface Open311Query {
  /** Numbers or ids; all else is left aside then. */
  ids?: readonly string[] | undefined
  services?: readonly string[] | undefined
  statuses?: readonly Status[] | undefined
  start?: Date | undefined
  end?: Date | undefined
  updatedAfter?: Date | undefined
  updatedBefore?: Date | undefined
  /** Degrees WGS84, metres. */
  near?: { lng: number; lat: number; metres: number } | undefined
  /** West, south, east, north. */
  box?: readonly [number, number, number, number] | undefined
  page: number
  pageSize: number
}

/** GeoReport v2: a search spans so many days. */
export const SPAN_DAYS = 90

/** All that an app, or the public, may possibly see: requests are many, those on walls are few. */
const CANDIDATES = `(SELECT w."requestId" AS id FROM wall_entry w WHERE w."tenantId" = $1 AND w."isPublic"
    UNION SELECT f.id FROM request f WHERE f."tenantId" = $1 AND f."filerClientId" = $2::uuid AND f."filerId" IS NULL) candidate JOIN request r ON r."tenantId" = $1 AND r.id = candidate.id`

/** $2 app, $3 level of compounds. What the wall shows, see service/wall.ts; completing takes it down. @param requests what is looked through */
const seen = (requests: string): string => `
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

/** Of own requests only. */
const said = (field: string): string =>
  `CASE WHEN s.mine THEN (SELECT t.body FROM text t WHERE t."tenantId" = s."tenantId" AND t."requestId" = s.id AND t.field = '${field}' ORDER BY t.seq DESC LIMIT 1) END`

interface Row {
  number: string
  state: State
  itemCode: string
  itemName: string
  mine: boolean
  wallTitle: string | null
  wallText: string | null
  title: string | null
  description: string | null
  outcome: string | null
  agency: string | null
  filedAt: Date
  updatedAt: Date
  dueAt: Date | null
  address: string | null
  placeCode: string | null
  placeName: string | null
  position: string | null
  lng: number | null
  lat: number | null
}

/** Newest first. @param clientId the app that asks; null for the public */
export async function listOpen311(db: Db, query: Open311Query, clientId: string | null): Promise<Open311Request[]> {
  const { ids, services, statuses, start, end, updatedAfter, updatedBefore, near, box, page, pageSize } = query
  const { settings } = await tenant(db)
  const wide = ids !== undefined
  const { rows } = await db.app.query<Row>({
    name: wide ? 'open311_named' : 'open311_requests',
    text: `SELECT * FROM (
        SELECT s.id, s.number, s.state, s."itemCode", s."itemName", s.mine, s."wallTitle", s."wallText", s."filedAt", s."placeCode", s."placeName", s.lng, s.lat,
          ${said('title')} AS title, ${said('description')} AS description, ${said('outcome')} AS outcome, ${said('address')} AS address, ${said('position')} AS position,
          CASE WHEN s.mine THEN (SELECT name FROM node a WHERE a."tenantId" = s."tenantId" AND a.id = s."responsibleNodeId") END AS agency,
          (SELECT e.at FROM event e WHERE e."tenantId" = s."tenantId" AND e."requestId" = s.id AND e.seq = s.version) AS "updatedAt",
          (SELECT min(d."dueAt") FROM deadline d WHERE d."tenantId" = s."tenantId" AND d."requestId" = s.id AND d.step = 'complete' AND d."closedAt" IS NULL) AS "dueAt"
        FROM (${wide ? seen('request r') : seen(CANDIDATES)}
          AND ${wide ? '(r.number = ANY ($4::text[]) OR r.id = ANY ($5::uuid[]))' : '$4::text[] IS NULL AND $5::uuid[] IS NULL'} AND ($6::text[] IS NULL OR i.code = ANY ($6)) AND ($7::text[] IS NULL OR r.state = ANY ($7))
          AND ($8::bool OR r."filedAt" BETWEEN COALESCE($9::timestamptz, COALESCE($10::timestamptz, wishwall_now()) - interval '${SPAN_DAYS} days')
            AND COALESCE($10::timestamptz, $9::timestamptz + interval '${SPAN_DAYS} days', wishwall_now()))) s) q
      WHERE ($11::timestamptz IS NULL OR q."updatedAt" >= $11) AND ($12::timestamptz IS NULL OR q."updatedAt" <= $12)
        AND ($13::jsonb IS NULL OR ${LIES_IN})
      ORDER BY q."filedAt" DESC, q.id DESC LIMIT $14 OFFSET $15`,
    values: [
      tenantHere(), clientId, settings.wallLevel, ids ?? null, ids?.filter((id) => UUID.test(id)) ?? null, wide ? null : services ?? null, wide || !statuses ? null : statesOf(statuses),
      wide || updatedAfter !== undefined || updatedBefore !== undefined, start ?? null, end ?? null, wide ? null : updatedAfter ?? null, wide ? null : updatedBefore ?? null,
      wide || !(near ?? box) ? null : JSON.stringify(near ? { near } : { box }), pageSize, (page - 1) * pageSize,
    ],
  })
  return rows.map(shown)
}

/** Where it is as exactly as the caller may know: within the box, or so many metres from the point. */
const LNG = `COALESCE(split_part(substring(q.position FROM '^[-0-9.]+,[-0-9.]+$'), ',', 1)::float8, q.lng)`
const LAT = `COALESCE(split_part(substring(q.position FROM '^[-0-9.]+,[-0-9.]+$'), ',', 2)::float8, q.lat)`
const LIES_IN = `CASE WHEN $13 ? 'box'
  THEN ${LNG} BETWEEN ($13 -> 'box' ->> 0)::float8 AND ($13 -> 'box' ->> 2)::float8 AND ${LAT} BETWEEN ($13 -> 'box' ->> 1)::float8 AND ($13 -> 'box' ->> 3)::float8
  ELSE 111320 * sqrt(((${LNG} - ($13 #>> '{near,lng}')::float8) * cos(radians(($13 #>> '{near,lat}')::float8))) ^ 2 + (${LAT} - ($13 #>> '{near,lat}')::float8) ^ 2) <= ($13 #>> '{near,metres}')::float8 END`

function shown(row: Row): Open311Request {
  const point = readPoint(row.position) ?? row
  const { words, media } = mediaApart(row.description)
  return {
    service_request_id: row.number,
    status: statusOf(row.state), status_notes: statusNotes(row.state, row.outcome),
    service_name: row.itemName, service_code: row.itemCode,
    description: row.mine ? words ?? row.title : [row.wallTitle, row.wallText].filter((part) => part !== null).join('\n'),
    agency_responsible: row.agency, service_notice: null,
    requested_datetime: row.filedAt, updated_datetime: row.updatedAt, expected_datetime: row.dueAt,
    address: row.address ?? row.placeName, address_id: row.placeCode, zipcode: null, lat: point.lat, long: point.lng,
    media_url: media,
  }
}

export interface Open311Update {
  update_id: string
  service_request_id: string
  status: Status
  updated_datetime: Date
  description: string
  media_url: null
}

/** So many in one answer, the oldest first: whoever reads on begins where this ended. */
const MOST_UPDATES = 1_000

/** What changed the state of requests in sight, as FixMyStreet's extension has it. The last day when no span is given. */
export async function listUpdates(db: Db, { start, end }: { start?: Date | undefined; end?: Date | undefined }, clientId: string | null): Promise<Open311Update[]> {
  const { settings } = await tenant(db)
  const { rows } = await db.app.query<{ number: string; seq: number; verb: VerbName; state: State; at: Date; outcome: string | null }>({
    name: 'open311_updates',
    text: `SELECT s.number, e.seq, e.verb, e."toState" AS state, e.at,
        CASE WHEN s.mine THEN (SELECT t.body FROM text t WHERE t."tenantId" = $1 AND t."requestId" = s.id AND t.seq = e.seq AND t.field = 'outcome') END AS outcome
      FROM (${seen(CANDIDATES)}
        AND (r."closedAt" IS NULL OR r."closedAt" >= COALESCE($4::timestamptz, COALESCE($5::timestamptz, wishwall_now()) - interval '1 day'))) s
      JOIN event e ON e."tenantId" = $1 AND e."requestId" = s.id AND e."fromState" <> e."toState"
      WHERE e.at BETWEEN COALESCE($4::timestamptz, COALESCE($5::timestamptz, wishwall_now()) - interval '1 day') AND COALESCE($5::timestamptz, wishwall_now())
      ORDER BY e.at, s.id, e.seq LIMIT ${MOST_UPDATES}`,
    values: [tenantHere(), clientId, settings.wallLevel, start ?? null, end ?? null],
  })
  return rows.map(({ number, seq, verb, state, at, outcome }) => ({
    update_id: `${number}-${seq}`, service_request_id: number, status: statusOf(state), updated_datetime: at, description: updateNotes(verb, outcome), media_url: null,
  }))
}

/** When the menu was last changed: whoever keeps a copy reads it again. */
export async function menuChangedAt(db: Db): Promise<Date> {
  const { rows: [row] } = await db.app.query<{ at: Date | null }>({ name: 'menu_changed', text: `SELECT max("createdAt") AS at FROM item WHERE "tenantId" = $1`, values: [tenantHere()] })
  return row?.at ?? new Date(0)
}
