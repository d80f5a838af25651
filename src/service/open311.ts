import { mediaApart, statusNotes, statusOf, updateNotes, type Status } from '../domain/open311.ts'
import { readPoint } from '../domain/coordinates.ts'
import type { State, VerbName } from '../domain/machine.ts'
import { tenantHere, type Db } from './db.ts'
import { CANDIDATES, fromSecond, listing, seen, toSecond } from './open311-query.ts'
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

/** The newest first. @param clientId the app that asks; null for the public */
export async function listOpen311(db: Db, query: Open311Query, clientId: string | null): Promise<Open311Request[]> {
  const { settings } = await tenant(db)
  const { rows } = await db.app.query<Row>(listing(query, tenantHere(), clientId, settings.wallLevel))
  return rows.map(shown)
}

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
    values: [tenantHere(), clientId, settings.wallLevel, start ? fromSecond(start) : null, end ? toSecond(end) : null],
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
