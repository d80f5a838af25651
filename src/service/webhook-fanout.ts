import type pg from 'pg'
import { v7 as uuidv7 } from 'uuid'
import { matchesType } from '../domain/webhook.ts'
import type { Db } from './db.ts'
import { transaction } from './transaction.ts'

/** The consumer's place in the feed: a lost poke is made good by the next run. */
const CURSOR = 'webhooks'

interface FeedEvent {
  tenantId: string
  position: string
  type: string
  path: string
}

interface Subscriber {
  tenantId: string
  id: string
  eventTypes: string[]
  fromPosition: string
  /** Of its node. */
  path: string
}

interface Planned {
  tenantId: string
  endpointId: string
  position: string
  type: string
}

/** Held until the commit, so that none is disabled between being read and getting a delivery. In one order, as everywhere. */
const SUBSCRIBERS = `
  SELECT e."tenantId", e.id, e."eventTypes", e."fromPosition", n.path FROM webhook_endpoint e
  JOIN node n ON n."tenantId" = e."tenantId" AND n.id = e."nodeId"
  LEFT JOIN client c ON c."tenantId" = e."tenantId" AND c.id = e."clientId"
  WHERE e."tenantId" = ANY ($1::uuid[]) AND e.status <> 'disabled' AND c."revokedAt" IS NULL
  ORDER BY e."tenantId", e.id FOR SHARE OF e`

const PLAN = `
  INSERT INTO webhook_delivery ("tenantId", "endpointId", id, position, type, state, "nextAt", "createdAt")
  SELECT d."tenantId", d."endpointId", d.id, d.position, d.type, 'pending', (SELECT wishwall_now()), (SELECT wishwall_now())
  FROM jsonb_to_recordset($1::jsonb) AS d("tenantId" uuid, "endpointId" uuid, id uuid, position bigint, type text)
  ON CONFLICT ("tenantId", "endpointId", position) DO NOTHING`

/** Which endpoints hear of an event: those of its tenant, at or above its place, that asked for its type and were there before it. */
export const subscribes = (endpoint: Subscriber, { tenantId, position, type, path }: FeedEvent): boolean =>
  endpoint.tenantId === tenantId && BigInt(endpoint.fromPosition) < BigInt(position) && path.startsWith(endpoint.path) && matchesType(endpoint.eventTypes, type)

/**
 * Makes a delivery for each endpoint that an event concerns. Safe to run twice and by several workers: the cursor row
 * is locked, and an endpoint gets a position once.
 * @returns how many feed rows were read (a full batch means there may be more), and how many deliveries were made
 */
export function fanOutOnce(db: Db, batch = 500): Promise<{ read: number; planned: number }> {
  return transaction(db.system, async (client) => {
    await client.query(`INSERT INTO cursor (name, position) VALUES ('${CURSOR}', 0) ON CONFLICT DO NOTHING`)
    const { rows: [cursor] } = await client.query<{ position: string }>(`SELECT position FROM cursor WHERE name = '${CURSOR}' FOR UPDATE`)
    const { rows: events } = await client.query<FeedEvent>({
      name: 'webhook_feed', text: `SELECT "tenantId", position, type, path FROM feed WHERE position > $1 ORDER BY position LIMIT $2`, values: [cursor?.position ?? '0', batch],
    })
    const last = events.at(-1)
    if (!last) return { read: 0, planned: 0 }
    const { rows: subscribers } = await client.query<Subscriber>({ name: 'webhook_subscribers', text: SUBSCRIBERS, values: [[...new Set(events.map(({ tenantId }) => tenantId))]] })
    const planned = await plan(client, events.flatMap((event) => subscribers.filter((endpoint) => subscribes(endpoint, event))
      .map(({ id: endpointId }) => ({ tenantId: event.tenantId, endpointId, position: event.position, type: event.type }))))
    await client.query(`UPDATE cursor SET position = $1 WHERE name = '${CURSOR}'`, [last.position])
    return { read: events.length, planned }
  })
}

/** Deliveries that are not there yet. @returns how many that were */
export async function plan(client: Pick<pg.PoolClient, 'query'>, deliveries: readonly Planned[]): Promise<number> {
  if (deliveries.length === 0) return 0
  const rows = deliveries.map((delivery) => ({ id: uuidv7(), ...delivery }))
  return (await client.query({ name: 'plan_deliveries', text: PLAN, values: [JSON.stringify(rows)] })).rowCount ?? 0
}
