import { v7 as uuidv7 } from 'uuid'
import type { Actor } from '../domain/actor.ts'
import { Problem, says } from '../domain/problems.ts'
import { decodeCursor, pageOf, type Page } from './cursor.ts'
import { tenantHere, type Db } from './db.ts'
import { UUID } from './load.ts'
import { heldRobot, readRobot } from './robots.ts'

export const MESSAGE_STATES = ['pending', 'leased', 'delivered', 'exhausted', 'cancelled'] as const
export type MessageState = (typeof MESSAGE_STATES)[number]

export const ROBOT_TEST = 'robot.test'

export interface RobotMessageView {
  id: string
  type: string
  /** Null for a test. */
  number: string | null
  urgent: boolean
  state: MessageState
  /** Not before; null unless it is pending. */
  nextAt: Date | null
  /** Failed ones. */
  attempts: number
  reason: string | null
  /** The vendor's number. */
  code: string | null
  createdAt: Date
  endedAt: Date | null
}

const VIEW = `m.id, m.type, q.number, m.urgent, m.state, CASE WHEN m.state = 'pending' THEN m."nextAt" END AS "nextAt", m.attempts, m.reason, m.code, m."createdAt", m."endedAt"`
const FROM = `FROM robot_message m LEFT JOIN request q ON q."tenantId" = m."tenantId" AND q.id = m."requestId"`

interface MessagesQuery {
  state?: MessageState[] | undefined
  limit: number
  cursor?: string | undefined
}

/** What a robot was to say, newest first. @throws Problem not-found, cursor-unusable */
export async function listMessages(db: Db, robotId: string, { state, limit, cursor }: MessagesQuery, actor: Actor): Promise<Page<RobotMessageView>> {
  await readRobot(db, robotId, actor)
  const { rows } = await db.app.query<RobotMessageView>({
    name: 'robot_messages',
    text: `SELECT ${VIEW} ${FROM} WHERE m."tenantId" = $1 AND m."robotId" = $2
      AND ($3::text[] IS NULL OR m.state = ANY ($3)) AND ($4::uuid IS NULL OR m.id < $4) ORDER BY m.id DESC LIMIT $5`,
    values: [tenantHere(), robotId, state ?? null, cursor === undefined ? null : decodeCursor(cursor, UUID), limit + 1],
  })
  return pageOf(rows, limit, ({ id }) => id)
}

/** More tests than this do not wait at one robot: they count against its 20 a minute. */
const MOST_TESTS = 5

/**
 * Sends a test by the same way as everything else, at the same pace, at any hour, and also by a robot that is paused:
 * once. What came of it is in the list.
 * @throws Problem not-found, limit-reached
 */
export const testRobot = (db: Db, robotId: string, actor: Actor): Promise<RobotMessageView> => heldRobot(db, robotId, actor, async (client) => {
  const id = uuidv7()
  const { rowCount } = await client.query({
    name: 'robot_test',
    text: `INSERT INTO robot_message ("tenantId", "robotId", id, type, urgent, state, "nextAt", "createdAt")
      SELECT $1, $2, $3, '${ROBOT_TEST}', true, 'pending', wishwall_now(), wishwall_now()
      WHERE (SELECT count(*) FROM robot_message WHERE "tenantId" = $1 AND "robotId" = $2 AND position IS NULL AND "nextAt" IS NOT NULL) < ${MOST_TESTS}`,
    values: [tenantHere(), robotId, id],
  })
  if (rowCount === 0) throw new Problem('limit-reached', { detail: says(`最多 ${MOST_TESTS} 条测试消息在等待发送`, `At most ${MOST_TESTS} tests wait at a time`) })
  const { rows: [message] } = await client.query<RobotMessageView>({
    name: 'robot_message', text: `SELECT ${VIEW} ${FROM} WHERE m."tenantId" = $1 AND m."robotId" = $2 AND m.id = $3`, values: [tenantHere(), robotId, id],
  })
  return message!
})
