import type pg from 'pg'
import { v7 as uuidv7 } from 'uuid'
import type { Actor } from '../domain/actor.ts'
import { EVENT_TYPES } from '../domain/derive.ts'
import { administeredTrees, administers } from '../domain/places.ts'
import { Problem, says } from '../domain/problems.ts'
import { EGRESS_REFUSALS, matchesType, type EgressRefusal } from '../domain/webhook.ts'
import { account } from './audit.ts'
import { decodeCursor, pageOf, type Page } from './cursor.ts'
import { tenantHere, type Db } from './db.ts'
import { FIRST_AT_ONCE } from './deliveries.ts'
import type { Keyring } from './keyring.ts'
import { UUID } from './load.ts'
import { NO_SUCH_NODE } from './nodes.ts'
import { findNode } from './targets.ts'
import { rootOf } from './tenants.ts'
import { transaction } from './transaction.ts'
import { disable, type DisabledReason } from './webhook-results.ts'
import { freshSecret, keepSecret, type Algorithm } from './webhook-secrets.ts'

export interface WebhookDeps {
  db: Db
  keyring: Keyring
  egress: { check(url: string): Promise<EgressRefusal | undefined> }
}

export interface EndpointView {
  id: string
  url: string
  eventTypes: string[]
  node: { id: string; code: string; name: string }
  ordered: boolean
  ratePerSecond: number | null
  description: string | null
  algorithm: Algorithm
  status: 'enabled' | 'paused' | 'disabled'
  disabledReason: DisabledReason | null
  disabledAt: Date | null
  /** Failed attempts since the last success. */
  failures: number
  failingSince: Date | null
  warnings: number
  /** The app that owns it; null when it belongs to its place. */
  app: string | null
  secrets: { id: string; publicKey: string | null; createdAt: Date; expiresAt: Date | null }[]
  createdAt: Date
}

type EndpointRow = EndpointView & { path: string }

const LIVE = `s.sealed IS NOT NULL AND (s."expiresAt" IS NULL OR s."expiresAt" > wishwall_now())`
const VIEW = `e.id, e.url, e."eventTypes", jsonb_build_object('id', n.id, 'code', n.code, 'name', n.name) AS node, n.path, e.ordered, e."ratePerSecond", e.description, e.algorithm,
  e.status, e."disabledReason", e."disabledAt", e.failures, e."failingSince", e.warnings, e."clientId" AS app, e."createdAt",
  (SELECT jsonb_agg(jsonb_build_object('id', s.id, 'publicKey', s."publicKey", 'createdAt', s."createdAt", 'expiresAt', s."expiresAt") ORDER BY s."createdAt" DESC, s.id DESC)
    FROM webhook_secret s WHERE s."tenantId" = e."tenantId" AND s."endpointId" = e.id AND ${LIVE}) AS secrets`
const FROM = `FROM webhook_endpoint e JOIN node n ON n."tenantId" = e."tenantId" AND n.id = e."nodeId"`

const viewOf = ({ path: _, secrets, ...row }: EndpointRow): EndpointView =>
  ({ ...row, secrets: secrets.map((secret) => ({ ...secret, createdAt: new Date(secret.createdAt), expiresAt: secret.expiresAt && new Date(secret.expiresAt) })) })

/** An app keeps its own, and whoever administers a place keeps all that hear of it. */
const keeps = (actor: Actor, { app, path }: EndpointRow): boolean => (actor.kind === 'app' ? app === actor.clientId : administers(actor, path))

/** Of the nodes that a person administers. */
const administered = (actor: Actor): string[] | null =>
  actor.kind === 'person' ? administeredTrees(actor) : null

/** Newest first. @throws Problem forbidden for a person who administers nothing, cursor-unusable */
export async function listEndpoints({ db }: Pick<WebhookDeps, 'db'>, { limit, cursor }: { limit: number; cursor?: string | undefined }, actor: Actor): Promise<Page<EndpointView>> {
  const paths = administered(actor)
  if (paths?.length === 0) throw new Problem('forbidden')
  const { rows } = await db.app.query<EndpointRow>({
    name: 'webhook_endpoints',
    text: `SELECT ${VIEW} ${FROM} WHERE e."tenantId" = $1 AND ($2::uuid IS NULL OR e."clientId" = $2) AND ($3::text[] IS NULL OR EXISTS (SELECT FROM unnest($3::text[]) p WHERE starts_with(n.path, p)))
      AND ($4::uuid IS NULL OR e.id < $4) ORDER BY e.id DESC LIMIT $5`,
    values: [tenantHere(), actor.kind === 'app' ? actor.clientId : null, paths, cursor === undefined ? null : decodeCursor(cursor, UUID), limit + 1],
  })
  return pageOf(rows.map(viewOf), limit, ({ id }) => id)
}

/** @throws Problem not-found also when it is there but not the actor's */
export async function readEndpoint(db: Db, id: string, actor: Actor): Promise<EndpointView> {
  return viewOf(await kept(db.app, id, actor))
}

async function kept(client: Pick<pg.PoolClient, 'query'>, id: string, actor: Actor): Promise<EndpointRow> {
  const { rows: [row] } = await client.query<EndpointRow>({ name: 'webhook_endpoint', text: `SELECT ${VIEW} ${FROM} WHERE e."tenantId" = $1 AND e.id = $2`, values: [tenantHere(), id] })
  if (!row || !keeps(actor, row)) throw new Problem('not-found')
  return row
}

/** Works on an endpoint that stands still meanwhile. @throws Problem not-found, and what `work` throws */
export function held<T>(db: Db, id: string, actor: Actor, work: (client: pg.PoolClient, endpoint: EndpointRow) => Promise<T>): Promise<T> {
  return transaction(db.app, async (client) => {
    await client.query({ name: 'webhook_hold', text: `SELECT FROM webhook_endpoint WHERE "tenantId" = $1 AND id = $2 FOR NO KEY UPDATE`, values: [tenantHere(), id] })
    return work(client, await kept(client, id, actor))
  })
}

export interface EndpointSettings {
  url: string
  eventTypes: string[]
  /** Id or code; the tenant's root when left out. */
  node?: string | undefined
  ordered?: boolean | undefined
  ratePerSecond?: number | null | undefined
  description?: string | null | undefined
}

export type EndpointChange = { [Name in keyof EndpointSettings]?: EndpointSettings[Name] | undefined }

export interface NewEndpoint extends EndpointSettings {
  algorithm?: Algorithm | undefined
  /** One that the receiver brings. */
  secret?: string | undefined
}

/** Of the tenant's feed: who begins here hears of what is still to come. */
const NEWEST = `COALESCE((SELECT max(position) FROM feed WHERE "tenantId" = $1), 0)`

/** Each costs every event a look. */
const MOST_ENDPOINTS = 200

/**
 * @returns the endpoint, with its secret for this one time
 * @throws Problem validation-failed at /url, /eventTypes, /secret; node-unknown, forbidden, limit-reached
 */
export async function createEndpoint({ db, keyring, egress }: WebhookDeps, { url, eventTypes, node, algorithm = 'v1', secret: given, ...more }: NewEndpoint, actor: Actor): Promise<EndpointView & { secret: string | null }> {
  const endpointId = uuidv7()
  const nodeId = await nodeFor(db, node ?? (await rootOf(db)), actor)
  checkTypes(eventTypes)
  const fresh = freshSecret(keyring, { tenantId: tenantHere(), endpointId }, algorithm, given)
  await checkUrl(egress, url)
  return transaction(db.app, async (client) => {
    const { rowCount } = await client.query({
      name: 'webhook_create',
      text: `INSERT INTO webhook_endpoint ("tenantId", id, "clientId", "personId", "nodeId", url, "eventTypes", ordered, "ratePerSecond", description, algorithm, status, "fromPosition", width, "paceAt", "createdAt")
        SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'enabled', ${NEWEST}, $12, wishwall_now(), wishwall_now()
        WHERE (SELECT count(*) FROM webhook_endpoint WHERE "tenantId" = $1 AND status <> 'disabled') < ${MOST_ENDPOINTS}`,
      values: [tenantHere(), endpointId, actor.kind === 'app' ? actor.clientId : null, actor.kind === 'person' ? actor.id : null, nodeId, url, [...new Set(eventTypes)],
        more.ordered ?? false, more.ratePerSecond ?? null, more.description ?? null, algorithm, FIRST_AT_ONCE],
    })
    if (rowCount === 0) throw new Problem('limit-reached', { detail: says(`最多 ${MOST_ENDPOINTS} 个回调地址`, `At most ${MOST_ENDPOINTS} endpoints`) })
    await keepSecret(client, endpointId, fresh.row)
    await account(client, actor, { action: 'endpoint.created', object: 'endpoint', objectId: endpointId, details: { nodeId, eventTypes } })
    return { ...viewOf(await kept(client, endpointId, actor)), secret: shown(fresh.secret, algorithm) }
  })
}

/** A private key is nobody's business but ours; receivers need the public one. */
const shown = (secret: string, algorithm: Algorithm): string | null => (algorithm === 'v1' ? secret : null)

/** What is left out stays as it is. @throws as `createEndpoint`, and Problem not-found */
export async function updateEndpoint({ db, egress }: Omit<WebhookDeps, 'keyring'>, id: string, change: EndpointChange, actor: Actor): Promise<EndpointView> {
  await readEndpoint(db, id, actor) // strangers make us resolve no names
  const nodeId = change.node === undefined ? undefined : await nodeFor(db, change.node, actor)
  if (change.eventTypes) checkTypes(change.eventTypes)
  if (change.url !== undefined) await checkUrl(egress, change.url)
  return held(db, id, actor, async (client, now) => {
    const { url, eventTypes, ordered, ratePerSecond, description } = { ...now, ...given(change) }
    await client.query({
      name: 'webhook_update',
      text: `UPDATE webhook_endpoint SET "nodeId" = $3, url = $4, "eventTypes" = $5, ordered = $6, "ratePerSecond" = $7, description = $8 WHERE "tenantId" = $1 AND id = $2`,
      values: [tenantHere(), id, nodeId ?? now.node.id, url, [...new Set(eventTypes)], ordered, ratePerSecond, description],
    })
    await account(client, actor, { action: 'endpoint.changed', object: 'endpoint', objectId: id, details: { fields: Object.keys(change) } })
    return viewOf(await kept(client, id, actor))
  })
}

const given = <T extends object>({ ...change }: T) => Object.fromEntries(Object.entries(change).filter(([name, value]) => name !== 'node' && value !== undefined)) as Partial<Omit<EndpointRow, 'node'>>

async function nodeFor(db: Db, node: string, actor: Actor): Promise<string> {
  const found = await findNode(db, node)
  if (!found) throw new Problem('node-unknown', { errors: [{ pointer: '/node', message: NO_SUCH_NODE }] })
  if (actor.kind === 'person' && !administers(actor, found.path)) throw new Problem('forbidden')
  return found.id
}

function checkTypes(patterns: readonly string[]): void {
  const errors = patterns.flatMap((pattern, index) => EVENT_TYPES.some(({ type }) => matchesType([pattern], type)) ? []
    : [{ pointer: `/eventTypes/${index}`, code: 'value', message: says('没有这种事件类型，见 /v1/event-types', 'No such event type, see /v1/event-types') }])
  if (errors.length > 0) throw new Problem('validation-failed', { errors })
}

async function checkUrl(egress: WebhookDeps['egress'], url: string): Promise<void> {
  const reason = await egress.check(url)
  if (reason) throw new Problem('validation-failed', { errors: [{ pointer: '/url', code: reason, message: EGRESS_REFUSALS[reason] }] })
}

/** What happens is sent later. What is just being sent may still arrive, for about a second. @throws Problem not-found, endpoint-disabled */
export const pauseEndpoint = (db: Db, id: string, actor: Actor): Promise<EndpointView> => held(db, id, actor, async (client, { status }) => {
  if (status === 'disabled') throw new Problem('endpoint-disabled')
  await client.query({ name: 'webhook_pause', text: `UPDATE webhook_endpoint SET status = 'paused' WHERE "tenantId" = $1 AND id = $2`, values: [tenantHere(), id] })
  if (status !== 'paused') await account(client, actor, { action: 'endpoint.paused', object: 'endpoint', objectId: id })
  return viewOf(await kept(client, id, actor))
})

/**
 * From a pause, with all that has happened since; or from being disabled, with a clean slate.
 * @param missed whether what the endpoint missed by being disabled is sent now; if not, see `replay`
 * @throws Problem not-found
 */
export const resumeEndpoint = (db: Db, id: string, { missed }: { missed: boolean }, actor: Actor): Promise<EndpointView> => held(db, id, actor, async (client, { status, disabledAt }) => {
  if (status === 'disabled' && missed) {
    await client.query({
      name: 'webhook_revive',
      text: `UPDATE webhook_delivery SET state = 'pending', attempts = 0, "nextAt" = wishwall_now(), "endedAt" = NULL WHERE "tenantId" = $1 AND "endpointId" = $2 AND state = 'disabled' AND "endedAt" >= $3`,
      values: [tenantHere(), id, disabledAt],
    })
  }
  await client.query({
    name: 'webhook_resume',
    text: `UPDATE webhook_endpoint SET status = 'enabled', "disabledReason" = NULL, "disabledAt" = NULL, failures = 0, "failingSince" = NULL, warnings = 0, width = $3,
        "fromPosition" = CASE WHEN status = 'disabled' AND NOT $4 THEN ${NEWEST} ELSE "fromPosition" END
      WHERE "tenantId" = $1 AND id = $2 AND status <> 'enabled'`,
    values: [tenantHere(), id, FIRST_AT_ONCE, missed],
  })
  if (status !== 'enabled') await account(client, actor, { action: 'endpoint.resumed', object: 'endpoint', objectId: id, details: { from: status, missed } })
  return viewOf(await kept(client, id, actor))
})

/** Until it is resumed: what waits is ended, and nothing more is sent. The log stays. @throws Problem not-found */
export const disableEndpoint = (db: Db, id: string, actor: Actor): Promise<EndpointView> => held(db, id, actor, async (client) => {
  await disable(client, tenantHere(), id, 'by-owner', actor)
  return viewOf(await kept(client, id, actor))
})

/** What was valid until now stays valid for so long, and no more than so many are at a time. */
const OVERLAP = `interval '24 hours'`
const MOST_SECRETS = 3

/**
 * A new secret signs from now on, the former ones beside it for another day.
 * @throws Problem not-found, validation-failed at /secret
 */
export const rotateSecret = ({ db, keyring }: Pick<WebhookDeps, 'db' | 'keyring'>, id: string, brought: string | undefined, actor: Actor): Promise<EndpointView & { secret: string | null }> =>
  held(db, id, actor, async (client, { algorithm }) => {
    const fresh = freshSecret(keyring, { tenantId: tenantHere(), endpointId: id }, algorithm, brought)
    await client.query({
      name: 'webhook_expire_secrets', // What has expired is forgotten, and so is the oldest that would be one too many.
      text: `UPDATE webhook_secret s SET "expiresAt" = COALESCE(s."expiresAt", wishwall_now() + ${OVERLAP}), sealed = CASE WHEN ${LIVE} AND o.age < ${MOST_SECRETS} THEN s.sealed END
        FROM (SELECT id, row_number() OVER (ORDER BY "createdAt" DESC, id DESC) AS age FROM webhook_secret WHERE "tenantId" = $1 AND "endpointId" = $2) o
        WHERE s."tenantId" = $1 AND s."endpointId" = $2 AND s.id = o.id`,
      values: [tenantHere(), id],
    })
    await keepSecret(client, id, fresh.row)
    await account(client, actor, { action: 'endpoint.secret-rotated', object: 'endpoint', objectId: id })
    return { ...viewOf(await kept(client, id, actor)), secret: shown(fresh.secret, algorithm) }
  })
