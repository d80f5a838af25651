import type pg from 'pg'
import { v7 as uuidv7 } from 'uuid'
import type { VerbName } from '../domain/machine.ts'
import type { NoticeData } from '../domain/notice.ts'
import { matchesType } from '../domain/webhook.ts'
import { inTenant, type Db } from './db.ts'
import { disturbance } from './quiet-hours.ts'
import { transaction } from './transaction.ts'

/** The consumer's place in the feed. */
const CURSOR = 'robots'

interface FeedEvent {
  tenantId: string
  position: string
  type: string
  path: string
}

interface Listener {
  tenantId: string
  id: string
  eventTypes: string[]
  fromPosition: string
  /** Of its node. */
  path: string
}

interface Pressing {
  tenantId: string
  position: string
  requestId: string
  seq: number
  verb: VerbName
  data: NoticeData
  grade: string | null
  policyId: string
  now: Date
}

/** By the newest position: "is there any beyond" would be planned as a scan, and reads the whole feed when there is none. */
const GROWN = `SELECT COALESCE((SELECT position FROM feed ORDER BY position DESC LIMIT 1), 0) > COALESCE((SELECT position FROM cursor WHERE name = '${CURSOR}'), 0) AS grown`

/** Held until the commit, so that none is paused between being read and getting a message. In one order, as everywhere. */
const LISTENERS = `
  SELECT r."tenantId", r.id, r."eventTypes", r."fromPosition", n.path FROM robot r JOIN node n ON n."tenantId" = r."tenantId" AND n.id = r."nodeId"
  WHERE r."tenantId" = ANY ($1::uuid[]) AND r.status = 'enabled' ORDER BY r."tenantId", r.id FOR SHARE OF r`

const PRESSING = `
  SELECT f."tenantId", f.position, f."requestId", f.seq, e.verb, e.data, r.grade, r."policyId", (SELECT wishwall_now()) AS now
  FROM feed f JOIN event e ON e."tenantId" = f."tenantId" AND e."requestId" = f."requestId" AND e.seq = f.seq
  JOIN request r ON r."tenantId" = f."tenantId" AND r.id = f."requestId"
  WHERE f.position = ANY ($1::bigint[])`

const PLAN = `
  INSERT INTO robot_message ("tenantId", "robotId", id, position, "requestId", seq, type, urgent, state, "nextAt", "createdAt")
  SELECT m."tenantId", m."robotId", m.id, m.position, m."requestId", m.seq, m.type, m.urgent, 'pending', m."nextAt", (SELECT wishwall_now())
  FROM jsonb_to_recordset($1::jsonb) AS m("tenantId" uuid, "robotId" uuid, id uuid, position bigint, "requestId" uuid, seq int, type text, urgent bool, "nextAt" timestamptz)
  ON CONFLICT ("tenantId", "robotId", position) DO NOTHING`

/** Which robots say an event: those of its tenant, at or above its place, that asked for its type and were there before it. */
export const listens = (robot: Listener, { tenantId, position, type, path }: FeedEvent): boolean =>
  robot.tenantId === tenantId && BigInt(robot.fromPosition) < BigInt(position) && path.startsWith(robot.path) && matchesType(robot.eventTypes, type)

/**
 * Makes a message of each event for each robot that listens, held where it must not disturb. Safe to run twice and by
 * several workers: the cursor row is locked, and a robot has a position once.
 * @returns how many feed rows were read, and how many messages are new
 */
export async function planMessagesOnce(db: Db, batch = 500): Promise<{ read: number; planned: number }> {
  // Asked twice a second by every worker, and mostly there is nothing: that much locks nothing.
  const { rows: [feed] } = await db.system.query<{ grown: boolean }>({ name: 'robot_feed_grown', text: GROWN })
  if (!feed!.grown) return { read: 0, planned: 0 }
  return transaction(db.system, async (client) => {
    await client.query(`INSERT INTO cursor (name, position) VALUES ('${CURSOR}', 0) ON CONFLICT DO NOTHING`)
    const { rows: [cursor] } = await client.query<{ position: string }>(`SELECT position FROM cursor WHERE name = '${CURSOR}' FOR UPDATE`)
    const { rows: events } = await client.query<FeedEvent>({
      name: 'robot_feed', text: `SELECT "tenantId", position, type, path FROM feed WHERE position > $1 ORDER BY position LIMIT $2`, values: [cursor?.position ?? '0', batch],
    })
    const last = events.at(-1)
    if (!last) return { read: 0, planned: 0 }
    const { rows: listeners } = await client.query<Listener>({ name: 'robot_listeners', text: LISTENERS, values: [[...new Set(events.map(({ tenantId }) => tenantId))]] })
    const pairs = events.flatMap((event) => listeners.filter((robot) => listens(robot, event)).map((robot) => ({ event, robot })))
    const planned = await plan(db, client, pairs)
    await client.query(`UPDATE cursor SET position = $1 WHERE name = '${CURSOR}'`, [last.position])
    return { read: events.length, planned }
  })
}

async function plan(db: Db, client: pg.PoolClient, pairs: readonly { event: FeedEvent; robot: Listener }[]): Promise<number> {
  if (pairs.length === 0) return 0
  const { rows } = await client.query<Pressing>({ name: 'robot_pressing', text: PRESSING, values: [[...new Set(pairs.map(({ event }) => event.position))]] })
  const about = new Map(rows.map((row) => [row.position, row]))
  const messages: object[] = []
  for (const { event: { tenantId, position, type }, robot } of pairs) {
    const what = about.get(position)
    if (!what) continue
    const { urgent, quietUntil } = await inTenant(tenantId, () => disturbance(db, { ...what, step: what.data.step ?? null, path: robot.path }))
    const { requestId, seq, now } = what
    messages.push({ tenantId, robotId: robot.id, id: uuidv7(), position, requestId, seq, type, urgent, nextAt: quietUntil ?? now })
  }
  return (await client.query({ name: 'plan_messages', text: PLAN, values: [JSON.stringify(messages)] })).rowCount ?? 0
}
