import type pg from 'pg'
import { v7 as uuidv7 } from 'uuid'
import type { Actor, PersonActor } from '../domain/actor.ts'
import { EVENT_TYPES } from '../domain/derive.ts'
import { administeredTrees, administers } from '../domain/places.ts'
import { Problem, says, type Says } from '../domain/problems.ts'
import { ADDRESS_FAULTS, DEFAULT_EVENT_TYPES, PACE_MS, type AddressFault, type Channel } from '../domain/robot.ts'
import { matchesType } from '../domain/webhook.ts'
import { account } from './audit.ts'
import { decodeCursor, pageOf, type Page } from './cursor.ts'
import { tenantHere, type Db } from './db.ts'
import { violates } from './failures.ts'
import type { Keyring } from './keyring.ts'
import { UUID } from './load.ts'
import { NO_SUCH_NODE } from './nodes.ts'
import { fingerprints, maskOf, openAddress, sealAddress, type RobotAddress } from './robot-secrets.ts'
import { findNode } from './targets.ts'
import { transaction } from './transaction.ts'

export interface RobotDeps {
  db: Db
  keyring: Keyring
  robots: { check(channel: Channel, url: string): Promise<AddressFault | undefined>; tokenOf(channel: Channel, url: string): string }
}

/** Without its secrets: they are never shown again. */
export interface RobotView {
  id: string
  channel: Channel
  name: string
  /** Masked. */
  url: string
  /** Has a secret to sign with. */
  signed: boolean
  node: { id: string; code: string; name: string }
  eventTypes: string[]
  status: 'enabled' | 'paused'
  /** Failed attempts since the last success, since when, and how the last one ended. */
  failures: number
  failingSince: Date | null
  reason: string | null
  code: string | null
  /** Nothing is sent before; null when it may be now. */
  holdUntil: Date | null
  /** Messages that wait. */
  waiting: number
  deliveredAt: Date | null
  createdAt: Date
}

type RobotRow = RobotView & { path: string; kid: string; sealed: Buffer }

const VIEW = `r.id, r.channel, r.name, r.mask AS url, r.signed, jsonb_build_object('id', n.id, 'code', n.code, 'name', n.name) AS node, n.path, r."eventTypes", r.status,
  r.failures, r."failingSince", r.reason, r.code, CASE WHEN r."nextAt" > wishwall_now() THEN r."nextAt" END AS "holdUntil",
  (SELECT count(*)::int FROM robot_message m WHERE m."tenantId" = r."tenantId" AND m."robotId" = r.id AND m."nextAt" IS NOT NULL) AS waiting,
  r."deliveredAt", r."createdAt", r.kid, r.sealed`
const FROM = `FROM robot r JOIN node n ON n."tenantId" = r."tenantId" AND n.id = r."nodeId"`

const viewOf = ({ path: _path, kid: _kid, sealed: _sealed, ...row }: RobotRow): RobotView => row

/** Of those who administer its place: an app has no place. */
const isKeeper = (actor: Actor, path: string): actor is PersonActor => actor.kind === 'person' && administers(actor, path)

/** Newest first. @throws Problem forbidden for whoever administers nothing, cursor-unusable */
export async function listRobots(db: Db, { limit, cursor }: { limit: number; cursor?: string | undefined }, actor: Actor): Promise<Page<RobotView>> {
  const paths = actor.kind === 'person' ? administeredTrees(actor) : []
  if (paths.length === 0) throw new Problem('forbidden')
  const { rows } = await db.app.query<RobotRow>({
    name: 'robots',
    text: `SELECT ${VIEW} ${FROM} WHERE r."tenantId" = $1 AND r.status <> 'removed'
      AND EXISTS (SELECT FROM unnest($2::text[]) p WHERE starts_with(n.path, p)) AND ($3::uuid IS NULL OR r.id < $3) ORDER BY r.id DESC LIMIT $4`,
    values: [tenantHere(), paths, cursor === undefined ? null : decodeCursor(cursor, UUID), limit + 1],
  })
  return pageOf(rows.map(viewOf), limit, ({ id }) => id)
}

/** @throws Problem not-found also when it is there but not the actor's */
export const readRobot = async (db: Db, id: string, actor: Actor): Promise<RobotView> => viewOf(await kept(db.app, id, actor))

async function kept(client: Pick<pg.PoolClient, 'query'>, id: string, actor: Actor): Promise<RobotRow> {
  const { rows: [row] } = await client.query<RobotRow>({
    name: 'robot', text: `SELECT ${VIEW} ${FROM} WHERE r."tenantId" = $1 AND r.id = $2 AND r.status <> 'removed'`, values: [tenantHere(), id],
  })
  if (!row || !isKeeper(actor, row.path)) throw new Problem('not-found')
  return row
}

/** Works on a robot that stands still meanwhile. @throws Problem not-found, and what `work` throws */
export function heldRobot<T>(db: Db, id: string, actor: Actor, work: (client: pg.PoolClient, robot: RobotRow) => Promise<T>): Promise<T> {
  return transaction(db.app, async (client) => {
    await client.query({ name: 'robot_hold', text: `SELECT FROM robot WHERE "tenantId" = $1 AND id = $2 FOR NO KEY UPDATE`, values: [tenantHere(), id] })
    return work(client, await kept(client, id, actor))
  })
}

export interface NewRobot {
  channel: Channel
  name: string
  /** Id or code. */
  node: string
  url: string
  secret?: string | null | undefined
  /** Types and patterns; what somebody has to act on when left out. */
  eventTypes?: string[] | undefined
}

/** Each costs every event a look. */
const MOST_ROBOTS = 500

/** @throws Problem validation-failed at /url, /secret, /eventTypes; node-unknown, forbidden, robot-taken, limit-reached */
export async function createRobot({ db, keyring, robots }: RobotDeps, robot: NewRobot, actor: Actor): Promise<RobotView> {
  const { channel, name, node, url, secret = null, eventTypes = [...DEFAULT_EVENT_TYPES] } = robot
  const nodeId = await nodeFor(db, node, actor)
  checkTypes(eventTypes)
  const id = uuidv7()
  const { kid, sealed, fingerprint, older, mask, signed } = await addressFor({ keyring, robots }, { robotId: id, channel }, { url, secret })
  await transaction(db.app, (client) => refusingTwins(client, { id, older }, () => client.query({
    name: 'create_robot',
    text: `INSERT INTO robot ("tenantId", id, "nodeId", "personId", channel, name, "eventTypes", kid, sealed, fingerprint, mask, signed, status, "fromPosition", "nextAt", "createdAt")
      SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'enabled', COALESCE((SELECT max(position) FROM feed WHERE "tenantId" = $1), 0), wishwall_now(), wishwall_now()
      WHERE (SELECT count(*) FROM robot WHERE "tenantId" = $1 AND status <> 'removed') < ${MOST_ROBOTS}`,
    values: [tenantHere(), id, nodeId, (actor as PersonActor).id, channel, name, [...new Set(eventTypes)], kid, sealed, fingerprint, mask, signed],
  }).then(async ({ rowCount }) => {
    if (rowCount === 0) throw new Problem('limit-reached', { detail: says(`最多 ${MOST_ROBOTS} 个机器人`, `At most ${MOST_ROBOTS} robots`) })
    await account(client, actor, { action: 'robot.created', object: 'robot', objectId: id, details: { channel, nodeId } })
  })))
  return readRobot(db, id, actor)
}

export interface RobotChange {
  name?: string | undefined
  node?: string | undefined
  url?: string | undefined
  /** null takes it away. */
  secret?: string | null | undefined
  eventTypes?: string[] | undefined
  status?: 'enabled' | 'paused' | undefined
}

/**
 * What is left out stays as it is. A new address ends a wait after failures; a pause ends what waits.
 * @throws as `createRobot`, and Problem not-found
 */
export async function updateRobot({ db, keyring, robots }: RobotDeps, id: string, change: RobotChange, actor: Actor): Promise<RobotView> {
  const before = await kept(db.app, id, actor) // strangers make us look nothing up
  const nodeId = change.node === undefined ? undefined : await nodeFor(db, change.node, actor)
  if (change.eventTypes) checkTypes(change.eventTypes)
  // Names are resolved while nothing is held.
  const address = await addressAfter({ keyring, robots }, before, change)
  return heldRobot(db, id, actor, async (client, now) => {
    if (address) {
      const { kid, sealed, fingerprint, older, mask, signed } = address
      const values = [tenantHere(), id, kid, sealed, fingerprint, mask, signed, PACE_MS]
      await refusingTwins(client, { id, older }, () => client.query({ name: 'robot_address', text: READDRESS, values }))
    }
    const { name, eventTypes, status } = { ...now, ...given(change) }
    await client.query({
      name: 'robot_update', text: `UPDATE robot SET "nodeId" = $3, name = $4, "eventTypes" = $5, status = $6 WHERE "tenantId" = $1 AND id = $2`,
      values: [tenantHere(), id, nodeId ?? now.node.id, name, [...new Set(eventTypes)], status],
    })
    if (status === 'paused') await cancelWaiting(client, id)
    await account(client, actor, { action: 'robot.changed', object: 'robot', objectId: id, details: { fields: Object.keys(change), status } })
    return viewOf(await kept(client, id, actor))
  })
}

/** The wait after failures is over; the pace, an attempt under way and a ban are not. */
const READDRESS = `UPDATE robot SET kid = $3, sealed = $4, fingerprint = $5, mask = $6, signed = $7, failures = 0, "failingSince" = NULL, reason = NULL, code = NULL,
  "nextAt" = CASE WHEN reason = 'throttled' OR EXISTS (SELECT FROM robot_message m WHERE m."tenantId" = $1 AND m."robotId" = $2 AND m.state = 'leased') THEN "nextAt"
    ELSE LEAST("nextAt", wishwall_now() + $8::int * interval '1 millisecond') END
  WHERE "tenantId" = $1 AND id = $2`

/** Nothing when neither part changes. A secret signs for the robot it was given with: a new URL comes with its own, or none. */
async function addressAfter(deps: Omit<RobotDeps, 'db'>, row: RobotRow, { url, secret }: RobotChange) {
  if (url === undefined && secret === undefined) return undefined
  const before = url === undefined ? openAddress(deps.keyring, { tenantId: tenantHere(), robotId: row.id }, row) : { url, secret: null }
  return addressFor(deps, { robotId: row.id, channel: row.channel }, { ...before, ...(secret !== undefined && { secret }) })
}

type Plain = Pick<RobotRow, 'name' | 'eventTypes' | 'status'>
const given = ({ name, eventTypes, status }: RobotChange): Partial<Plain> =>
  Object.fromEntries(Object.entries({ name, eventTypes, status }).filter(([, value]) => value !== undefined))

/** Its secrets are destroyed, what waits is ended; the log stays. @throws Problem not-found */
export const removeRobot = (db: Db, id: string, actor: Actor): Promise<void> => heldRobot(db, id, actor, async (client) => {
  await client.query({
    name: 'robot_remove', text: `UPDATE robot SET status = 'removed', kid = NULL, sealed = NULL, fingerprint = NULL WHERE "tenantId" = $1 AND id = $2`, values: [tenantHere(), id],
  })
  await cancelWaiting(client, id)
  await account(client, actor, { action: 'robot.removed', object: 'robot', objectId: id })
})

const cancelWaiting = (client: pg.PoolClient, id: string) => client.query({
  name: 'robot_cancel',
  text: `UPDATE robot_message SET state = 'cancelled', "nextAt" = NULL, "endedAt" = wishwall_now() WHERE "tenantId" = $1 AND "robotId" = $2 AND "nextAt" IS NOT NULL`,
  values: [tenantHere(), id],
})

async function nodeFor(db: Db, node: string, actor: Actor): Promise<string> {
  const found = await findNode(db, node)
  if (!found) throw new Problem('node-unknown', { errors: [{ pointer: '/node', message: NO_SUCH_NODE }] })
  if (!isKeeper(actor, found.path)) throw new Problem('forbidden')
  return found.id
}

function checkTypes(patterns: readonly string[]): void {
  const errors = patterns.flatMap((pattern, index) => EVENT_TYPES.some(({ type }) => matchesType([pattern], type)) ? []
    : [{ pointer: `/eventTypes/${index}`, code: 'value', message: says('没有这种事件类型，见 /v1/event-types', 'No such event type, see /v1/event-types') }])
  if (errors.length > 0) throw new Problem('validation-failed', { errors })
}

/** What is stored of an address, once it is found good. */
async function addressFor({ keyring, robots }: Omit<RobotDeps, 'db'>, { robotId, channel }: { robotId: string; channel: Channel }, address: RobotAddress) {
  const fault = await robots.check(channel, address.url)
  if (fault) throw refused('/url', fault, ADDRESS_FAULTS[fault])
  if (channel === 'wecom' && address.secret !== null) throw refused('/secret', 'unknown', says('企业微信机器人没有加签密钥', 'A WeCom robot has no signing secret'))
  const token = robots.tokenOf(channel, address.url)
  const [fingerprint, ...older] = fingerprints(keyring, tenantHere(), channel, token)
  return { ...sealAddress(keyring, { tenantId: tenantHere(), robotId }, address), fingerprint: fingerprint!, older, mask: maskOf(address.url, token), signed: address.secret !== null }
}

const refused = (pointer: string, code: string, message: Says) => new Problem('validation-failed', { errors: [{ pointer, code, message }] })

/** The index refuses a twin by the newest key; one from before a rotation is looked for. */
async function refusingTwins(client: Pick<pg.PoolClient, 'query'>, { id, older }: { id: string; older: readonly Buffer[] }, write: () => Promise<unknown>): Promise<void> {
  const { rowCount } = await client.query({
    name: 'robot_twin', text: `SELECT FROM robot WHERE "tenantId" = $1 AND id <> $2 AND fingerprint = ANY ($3::bytea[])`, values: [tenantHere(), id, older],
  })
  if (rowCount !== 0) throw new Problem('robot-taken')
  await write().catch((error: unknown) => { throw violates(error, 'robot_fingerprint_key') ? new Problem('robot-taken') : error })
}
