import { v7 as uuidv7 } from 'uuid'
import type { Actor } from '../domain/actor.ts'
import { EVENT_TYPES } from '../domain/derive.ts'
import { Problem, says } from '../domain/problems.ts'
import { matchesType } from '../domain/webhook.ts'
import { decodeCursor, pageOf, type Page } from './cursor.ts'
import { tenantHere, type Db } from './db.ts'
import type { Delivery } from './deliveries.ts'
import { CONFIDENTIAL, eventOf } from './events.ts'
import { UUID } from './load.ts'
import { endOf } from './nodes.ts'
import { isCommunity } from './notice-columns.ts'
import { held, readEndpoint } from './webhooks.ts'

export const DELIVERY_STATES = ['pending', 'delivering', 'delivered', 'exhausted', 'disabled'] as const
export type DeliveryState = (typeof DELIVERY_STATES)[number]

export const TEST_TYPE = 'webhook.test'

/** The body of a delivery: an event as `/v1/events` tells it, or a test. */
export function bodyOf(endpointId: string, { id, type, createdAt, event }: Pick<Delivery, 'id' | 'type' | 'createdAt' | 'event'>): string {
  return JSON.stringify(event ? eventOf(event) : { id, type, occurredAt: createdAt, endpoint: endpointId, links: { endpoint: `/v1/webhook-endpoints/${endpointId}` } })
}

export interface DeliveryView {
  /** `webhook-id` of every attempt: the event's id, or the test's. */
  id: string
  type: string
  state: DeliveryState
  /** Null for a test send, and when the event was erased. */
  event: { id: string; requestId: string; number: string; seq: number; occurredAt: Date } | null
  nextAt: Date | null
  createdAt: Date
  endedAt: Date | null
  attempts: { number: number; at: Date; ms: number; status: number | null; reason: string | null; excerpt: string | null }[]
}

const VIEW = `d.id, d.type, d.state, d."createdAt", d."endedAt", d.log AS attempts, CASE WHEN d.state = 'pending' THEN d."nextAt" END AS "nextAt",
  CASE WHEN f.id IS NOT NULL THEN jsonb_build_object('id', f.id, 'requestId', f."requestId", 'number', f.payload ->> 'number', 'seq', f.seq, 'occurredAt', f.at) END AS event`
const FROM = `FROM webhook_delivery d LEFT JOIN feed f ON f."tenantId" = d."tenantId" AND f.position = d.position`

/** Times inside jsonb arrive as text. */
const viewOf = ({ event, attempts, ...row }: DeliveryView): DeliveryView => ({
  ...row,
  event: event && { ...event, occurredAt: new Date(event.occurredAt) },
  attempts: attempts.map((attempt) => ({ ...attempt, at: new Date(attempt.at) })),
})

interface LogQuery {
  state?: DeliveryState[] | undefined
  limit: number
  cursor?: string | undefined
}

/**
 * What was sent to an endpoint, the newest events first, with every attempt. What it has not been sent yet is no row,
 * but its place in the feed.
 * @throws Problem not-found, cursor-unusable */
export async function listDeliveries(db: Db, endpointId: string, { state, limit, cursor }: LogQuery, actor: Actor): Promise<Page<DeliveryView>> {
  await readEndpoint(db, endpointId, actor)
  const { rows } = await db.app.query<DeliveryView>({
    name: 'webhook_deliveries',
    text: `SELECT ${VIEW} ${FROM} WHERE d."tenantId" = $1 AND d."endpointId" = $2 AND ($3::text[] IS NULL OR d.state = ANY ($3)) AND ($4::uuid IS NULL OR d.id < $4) ORDER BY d.id DESC LIMIT $5`,
    values: [tenantHere(), endpointId, state ?? null, cursor === undefined ? null : decodeCursor(cursor, UUID), limit + 1],
  })
  return pageOf(rows.map(viewOf), limit, ({ id }) => id)
}

/** @throws Problem not-found */
export async function readDelivery(db: Db, endpointId: string, id: string, actor: Actor): Promise<DeliveryView> {
  await readEndpoint(db, endpointId, actor)
  const row = await look(db.app, endpointId, id)
  if (!row) throw new Problem('not-found')
  return row
}

async function look(client: Pick<Db['app'], 'query'>, endpointId: string, id: string): Promise<DeliveryView | undefined> {
  const { rows: [row] } = await client.query<DeliveryView>({ name: 'webhook_delivery', text: `SELECT ${VIEW} ${FROM} WHERE d."tenantId" = $1 AND d."endpointId" = $2 AND d.id = $3`, values: [tenantHere(), endpointId, id] })
  return row && viewOf(row)
}

/** More tests than this do not wait at one endpoint. */
const MOST_TESTS = 10

/**
 * Sends a `webhook.test`, signed like everything else, by the same sender: once, and also to an endpoint that is paused
 * or disabled. What came of it is in the log.
 * @throws Problem not-found, limit-reached
 */
export const sendTest = (db: Db, endpointId: string, actor: Actor): Promise<DeliveryView> => held(db, endpointId, actor, async (client) => {
  const id = uuidv7()
  const { rowCount } = await client.query({
    name: 'webhook_test',
    text: `INSERT INTO webhook_delivery ("tenantId", "endpointId", id, type, state, "nextAt", "createdAt") SELECT $1, $2, $3, '${TEST_TYPE}', 'pending', wishwall_now(), wishwall_now()
      WHERE (SELECT count(*) FROM webhook_delivery WHERE "tenantId" = $1 AND "endpointId" = $2 AND position IS NULL AND "nextAt" IS NOT NULL) < ${MOST_TESTS}`,
    values: [tenantHere(), endpointId, id],
  })
  if (rowCount === 0) throw new Problem('limit-reached', { detail: says(`最多 ${MOST_TESTS} 个测试在等待发送`, `At most ${MOST_TESTS} tests wait at a time`) })
  return (await look(client, endpointId, id))!
})

/**
 * Sends a delivery again, now and under its own id, with a new schedule if the old one had ended. One that is under way is left alone.
 * @throws Problem not-found, event-erased, endpoint-disabled
 */
export const redeliver = (db: Db, endpointId: string, id: string, actor: Actor): Promise<DeliveryView> => held(db, endpointId, actor, async (client, { status }) => {
  const delivery = await look(client, endpointId, id)
  if (!delivery) throw new Problem('not-found')
  const isTest = delivery.type === TEST_TYPE
  if (!isTest && !delivery.event) throw new Problem('event-erased')
  if (!isTest && status === 'disabled') throw new Problem('endpoint-disabled')
  await client.query({
    name: 'webhook_redeliver',
    text: `UPDATE webhook_delivery SET state = 'pending', attempts = CASE WHEN state = 'pending' THEN attempts ELSE 0 END, "nextAt" = wishwall_now(), "endedAt" = NULL
      WHERE "tenantId" = $1 AND "endpointId" = $2 AND id = $3 AND state <> 'delivering'`,
    values: [tenantHere(), endpointId, id],
  })
  return (await look(client, endpointId, id))!
})

/** One call makes no more deliveries than this, of no more days than that. */
const MOST_REPLAYED = 1000
const LONGEST_REPLAY_DAYS = 31
const DAY_MS = 86_400_000

/**
 * What happened from `from` to before `to` is sent, unless it was delivered at or after `to`: what the endpoint never
 * got, what it failed to take, and what it took before `to`, under the id it had. Calling it again sends nothing twice.
 * @returns how many deliveries were started, and whether there are more to start by another call
 * @throws Problem not-found, endpoint-disabled, validation-failed at /to
 */
export const replay = (db: Db, endpointId: string, { from, to }: { from: Date; to: Date }, actor: Actor): Promise<{ replayed: number; hasMore: boolean }> =>
  held(db, endpointId, actor, async (client, { status, eventTypes, path, app }) => {
    if (status === 'disabled') throw new Problem('endpoint-disabled')
    const { rows: [clock] } = await client.query<{ now: Date }>({ name: 'webhook_clock', text: 'SELECT wishwall_now() AS now' })
    if (to > clock!.now) throw refused(says('不能晚于现在', 'Must not lie in the future'))
    if (to <= from) throw refused(says('必须晚于 from', 'Must be later than from'))
    if (to.getTime() - from.getTime() > LONGEST_REPLAY_DAYS * DAY_MS) throw refused(says(`一次最多重放 ${LONGEST_REPLAY_DAYS} 天`, `At most ${LONGEST_REPLAY_DAYS} days at a time`))
    const types = EVENT_TYPES.map(({ type }) => type).filter((type) => matchesType(eventTypes, type))
    // What lies after the endpoint's place in the feed is still to be sent anyway.
    const { rows } = await client.query({
      name: 'webhook_replay',
      text: `WITH found AS (
          SELECT f.id, f.position, f.type FROM feed f JOIN webhook_endpoint e ON e."tenantId" = f."tenantId" AND e.id = $2
            LEFT JOIN webhook_delivery d ON d."tenantId" = f."tenantId" AND d."endpointId" = $2 AND d.id = f.id
          WHERE f."tenantId" = $1 AND f.at >= $3 AND f.at < $4 AND f.type = ANY ($5) AND f.path >= $6 AND f.path < $7 AND f.position <= e."fromPosition" AND ($9::bool OR f.payload ->> 'item' <> '${CONFIDENTIAL}')
            AND (d.id IS NULL OR d.state IN ('exhausted', 'disabled') OR (d.state = 'delivered' AND d."endedAt" < $4)) ORDER BY f.position LIMIT $8),
        begun AS (
          INSERT INTO webhook_delivery AS d ("tenantId", "endpointId", id, position, type, state, "nextAt", "createdAt")
          SELECT $1, $2, id, position, type, 'pending', wishwall_now(), wishwall_now() FROM found ORDER BY position LIMIT $8 - 1
          ON CONFLICT ("tenantId", "endpointId", id) DO UPDATE SET state = 'pending', attempts = 0, "nextAt" = EXCLUDED."nextAt", "endedAt" = NULL)
        SELECT FROM found`,
      values: [tenantHere(), endpointId, from, to, types, path, endOf(path), MOST_REPLAYED + 1, app === null || isCommunity(path)],
    })
    return { replayed: Math.min(rows.length, MOST_REPLAYED), hasMore: rows.length > MOST_REPLAYED }
  })

const refused = (message: ReturnType<typeof says>) => new Problem('validation-failed', { errors: [{ pointer: '/to', code: 'value', message }] })
