import type { Calendar } from '../domain/calendar.ts'
import type { VerbName } from '../domain/machine.ts'
import { DUE_STEPS, headlineOf, type NoticeData } from '../domain/notice.ts'
import type { Kind } from '../domain/request.ts'
import type { Channel } from '../domain/robot.ts'
import { MOST_LINES, type Line } from '../domain/robot-message.ts'
import { calendars, type Calendars } from './calendars.ts'
import { inTenant, type Db } from './db.ts'
import { communityOf, dueOf, secretOf } from './notice-columns.ts'
import { quietHere, type Quiet } from './quiet-hours.ts'
import { transaction } from './transaction.ts'

/** One message to send now: all that is due for a robot, leased to this process. */
export interface ClaimedMessage {
  tenantId: string
  robotId: string
  /** What the result is to be recorded under. */
  claim: number
  channel: Channel
  kid: string
  sealed: Buffer
  /** Its name. */
  node: string
  /** Code of the tenant. */
  tenant: string
  calendar: Calendar
  /** A test goes by itself. */
  test: boolean
  /** How many events it stands for. */
  total: number
  /** The most pressing of them; those that were erased meanwhile are not here. */
  lines: Omit<Line, 'link'>[]
  /** Failed attempts since the last success. */
  failures: number
  /** By the database's clock. */
  sentAt: Date
}

interface ReadyRow extends Pick<ClaimedMessage, 'tenantId' | 'channel' | 'kid' | 'sealed' | 'claim' | 'failures' | 'node' | 'tenant' | 'test'> {
  id: string
  path: string
}

interface LineRow {
  robotId: string
  number: string
  kind: Kind
  item: string | null
  place: string | null
  dueAt: Date | null
  urgent: boolean
  verb: VerbName
  data: NoticeData
  secret: boolean
}

const OF_ROBOT = `m."tenantId" = r."tenantId" AND m."robotId" = r.id`

/**
 * Robots that may speak and have something to say, the longest waiting first; those that another worker holds are passed
 * over. A robot has one attempt under way at a time: while it is, \`nextAt\` is the end of its lease. A paused one says
 * tests alone.
 */
const READY = `
  SELECT r."tenantId", r.id, r.channel, r.kid, r.sealed, r.claim + 1 AS claim, r.failures, n.name AS node, n.path, t.code AS tenant,
    EXISTS (SELECT FROM robot_message m WHERE ${OF_ROBOT} AND m."nextAt" <= $1::timestamptz AND m.position IS NULL) AS test
  FROM robot r JOIN node n ON n."tenantId" = r."tenantId" AND n.id = r."nodeId" JOIN tenant t ON t.id = r."tenantId"
  CROSS JOIN LATERAL (SELECT m."nextAt" AS at FROM robot_message m WHERE ${OF_ROBOT} AND m."nextAt" <= $1::timestamptz
    AND (r.status = 'enabled' OR m.position IS NULL) ORDER BY m."nextAt" LIMIT 1) due
  WHERE r.status <> 'removed' AND r."nextAt" <= $1::timestamptz ORDER BY due.at LIMIT $2 FOR NO KEY UPDATE OF r SKIP LOCKED`

/** What was planned for working time and is found in quiet hours, after a ban or an outage, waits anew. */
const HOLD = `
  UPDATE robot_message m SET state = 'pending', "nextAt" = r.until FROM jsonb_to_recordset($2::jsonb) AS r("tenantId" uuid, id uuid, until timestamptz)
  WHERE ${OF_ROBOT} AND m."nextAt" <= $1::timestamptz AND m.position IS NOT NULL AND NOT m.urgent`

/** So many events in one message, at most: a statement that ends in time. */
const MOST_MERGED = 20_000

/** All that is due goes into one message; a test goes first and alone. */
const LEASE = `
  WITH r AS (SELECT * FROM jsonb_to_recordset($2::jsonb) AS r("tenantId" uuid, id uuid, claim int, test bool)),
  picked AS (SELECT p.* FROM r CROSS JOIN LATERAL (
    SELECT m."tenantId", m."robotId", m.id, r.claim FROM robot_message m WHERE ${OF_ROBOT} AND m."nextAt" <= $1::timestamptz AND (m.position IS NULL) = r.test
    ORDER BY m.urgent DESC, m."nextAt", m.position LIMIT CASE WHEN r.test THEN 1 ELSE ${MOST_MERGED} END) p),
  leased AS (
    UPDATE robot_message m SET state = 'leased', claim = p.claim, "nextAt" = $1::timestamptz + $3::float8 * interval '1 millisecond'
    FROM picked p WHERE m."tenantId" = p."tenantId" AND m."robotId" = p."robotId" AND m.id = p.id RETURNING m."tenantId", m."robotId"),
  total AS (SELECT "tenantId", "robotId", count(*)::int AS total FROM leased GROUP BY 1, 2)
  UPDATE robot r SET claim = c.claim, "nextAt" = $1::timestamptz + $3::float8 * interval '1 millisecond'
  FROM total t JOIN r c ON c."tenantId" = t."tenantId" AND c.id = t."robotId" WHERE r."tenantId" = t."tenantId" AND r.id = t."robotId"
  RETURNING r.id AS "robotId", t.total`

/** Names as the robot's readers may know them: of a confidential matter the kind and the community. */
const SECRET = secretOf('q')
const PLACE = `CASE WHEN ${SECRET} THEN (SELECT c.name FROM node c WHERE c."tenantId" = q."tenantId" AND c.code = ${communityOf('q')})
    ELSE (SELECT CASE WHEN w.id IS NULL OR w.id = p.id OR starts_with(p.name, w.name) THEN p.name ELSE w.name || ' ' || p.name END FROM node p
      LEFT JOIN node w ON w."tenantId" = p."tenantId" AND w.level = t.settings ->> 'wallLevel' AND w.code = ANY (string_to_array(p.path, '/'))
      WHERE p."tenantId" = q."tenantId" AND p.id = q."nodeId") END`

const LINES = `
  SELECT m."robotId", q.number, q.kind, CASE WHEN NOT ${SECRET} THEN i.name END AS item, ${PLACE} AS place, m.urgent, e.verb, e.data, ${SECRET} AS secret,
    ${dueOf('e', 'q', '$2')} AS "dueAt"
  FROM jsonb_to_recordset($1::jsonb) AS r("tenantId" uuid, id uuid, claim int) JOIN tenant t ON t.id = r."tenantId"
  CROSS JOIN LATERAL (SELECT * FROM robot_message m WHERE ${OF_ROBOT} AND m."nextAt" IS NOT NULL AND m.claim = r.claim AND m.state = 'leased'
    ORDER BY m.urgent DESC, m.position LIMIT ${MOST_LINES}) m
  JOIN event e ON e."tenantId" = m."tenantId" AND e."requestId" = m."requestId" AND e.seq = m.seq
  JOIN request q ON q."tenantId" = m."tenantId" AND q.id = m."requestId" JOIN item i ON i."tenantId" = q."tenantId" AND i.id = q."itemId"`

/**
 * Leases what may be said now, one message per robot. First the robots are locked, then looked at; the sending itself
 * happens with nothing held. A worker that dies leaves a lease that ends, and another sends the same again.
 * @param most robots
 * @param leaseMs longer than any attempt can take
 */
export function claimMessages(db: Db, most: number, leaseMs: number): Promise<ClaimedMessage[]> {
  return transaction(db.system, async (client) => {
    const { rows: [clock] } = await client.query<{ now: Date }>({ name: 'robot_clock', text: 'SELECT wishwall_now() AS now' })
    const now = clock!.now
    const { rows: ready } = await client.query<ReadyRow>({ name: 'robot_ready', text: READY, values: [now, most] })
    if (ready.length === 0) return []
    const rules = await rulesOf(db, ready)
    const held = ready.flatMap(({ tenantId, id, path, test }) => {
      const until = test ? null : rules.get(tenantId)!.quiet(path, false, now)
      return until ? [{ tenantId, id, until }] : []
    })
    if (held.length > 0) await client.query({ name: 'robot_put_off', text: HOLD, values: [now, JSON.stringify(held)] })
    const { rows: leased } = await client.query<{ robotId: string; total: number }>({
      name: 'robot_lease', text: LEASE, values: [now, JSON.stringify(ready.map(({ tenantId, id, claim, test }) => ({ tenantId, id, claim, test }))), leaseMs],
    })
    const totals = new Map(leased.map(({ robotId, total }) => [robotId, total]))
    const speaking = ready.filter(({ id }) => totals.has(id))
    const { rows: lines } = await client.query<LineRow>({
      name: 'robot_lines', text: LINES, values: [JSON.stringify(speaking.map(({ tenantId, id, claim }) => ({ tenantId, id, claim }))), DUE_STEPS],
    })
    return speaking.map(({ id: robotId, path, ...robot }): ClaimedMessage => ({
      ...robot, robotId, calendar: rules.get(robot.tenantId)!.calendars.at(path), sentAt: now,
      total: totals.get(robotId)!, lines: lines.filter((line) => line.robotId === robotId).map(lineOf),
    }))
  })
}

async function rulesOf(db: Db, ready: readonly ReadyRow[]) {
  const rules = new Map<string, { quiet: Quiet; calendars: Calendars }>()
  for (const { tenantId } of ready) {
    if (!rules.has(tenantId)) rules.set(tenantId, await inTenant(tenantId, async () => ({ quiet: await quietHere(db), calendars: await calendars(db) })))
  }
  return rules
}

const lineOf = ({ number, kind, item, place, dueAt, urgent, verb, data, secret }: LineRow): Omit<Line, 'link'> =>
  ({ number, kind, item, place: place ?? '', dueAt, urgent, headline: headlineOf(verb, secret ? withoutStep(data) : data) })

const withoutStep = ({ step: _, ...data }: NoticeData): NoticeData => data
