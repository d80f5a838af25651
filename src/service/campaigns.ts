import { v7 as uuidv7 } from 'uuid'
import { covers, type Actor } from '../domain/actor.ts'
import { administers } from '../domain/places.ts'
import { Problem, says } from '../domain/problems.ts'
import { account } from './audit.ts'
import { decodeCursor, pageOf, type Page } from './cursor.ts'
import { tenantHere, type Db } from './db.ts'
import { violates } from './failures.ts'
import { UUID } from './load.ts'
import { NO_SUCH_NODE } from './nodes.ts'
import type { Place } from './places.ts'
import { named, refPair } from './refs.ts'
import { findNode } from './targets.ts'
import { transaction } from './transaction.ts'
import { codeTaken } from './tree.ts'

interface Numbers {
  filed: number
  /** Completed, rated or closed by now. */
  completed: number
  /** 受益人数, as recorded. */
  beneficiaries: number
}

/** 专项行动: filings of some weeks under one name, and who helps. */
export interface Campaign {
  id: string
  code: string
  name: string
  node: Place
  /** Codes of the menu; none: all of it. */
  items: string[]
  from: Date
  /** Not included. */
  to: Date
  targets: { [Number in keyof Numbers]: number | null }
  progress: Numbers
  /** Of helpers; null: as many as come. */
  capacity: number | null
  signedUp: number
  /** The caller has, and has not withdrawn. */
  isSignedUp: boolean
}

const VIEW = `c.id, c.code, c.name, jsonb_build_object('id', n.id, 'code', n.code, 'name', n.name) AS node, c.items, c."from", c."to", c.capacity, c."signedUp",
  jsonb_build_object('filed', c."targetFiled", 'completed', c."targetCompleted", 'beneficiaries', c."targetBeneficiaries") AS targets,
  (SELECT jsonb_build_object('filed', count(*), 'completed', count(*) FILTER (WHERE r."completedAt" IS NOT NULL AND r.state IN ('completed', 'closed')), 'beneficiaries', COALESCE(sum(r.beneficiaries), 0))
    FROM request r WHERE r."tenantId" = c."tenantId" AND r."campaignId" = c.id AND r.state <> 'withdrawn') AS progress,
  EXISTS (SELECT FROM campaign_sign_up s WHERE s."tenantId" = c."tenantId" AND s."campaignId" = c.id AND s."personId" = $2 AND s."withdrawnAt" IS NULL) AS "isSignedUp"`
const FROM = `FROM campaign c JOIN node n ON n."tenantId" = c."tenantId" AND n.id = c."nodeId"`
const self = (actor: Actor): string | null => (actor.kind === 'person' ? actor.id : null)

export interface CampaignsQuery {
  /** Id or code: there or below. */
  node?: string | undefined
  /** Under way now, or not. */
  open?: boolean | undefined
  cursor?: string | undefined
  limit: number
}

/** Newest first. @throws Problem not-found for a node that does not exist, cursor-unusable */
export async function listCampaigns(db: Db, { node, open, cursor, limit }: CampaignsQuery, actor: Actor): Promise<Page<Campaign>> {
  const place = node === undefined ? undefined : await findNode(db, node)
  if (node !== undefined && !place) throw new Problem('not-found', { errors: [{ pointer: '/query/node', message: NO_SUCH_NODE }] })
  const { rows } = await db.app.query<Campaign>({
    name: 'campaigns',
    text: `SELECT ${VIEW} ${FROM} WHERE c."tenantId" = $1 AND ($3::text IS NULL OR starts_with(n.path, $3)) AND ($4::bool IS NULL OR (c."from" <= wishwall_now() AND wishwall_now() < c."to") = $4)
      AND ($5::uuid IS NULL OR c.id < $5) ORDER BY c.id DESC LIMIT $6`,
    values: [tenantHere(), self(actor), place?.path ?? null, open ?? null, cursor === undefined ? null : decodeCursor(cursor, UUID), limit + 1],
  })
  return pageOf(rows, limit, ({ id }) => id)
}

/** @param ref id or code @throws Problem not-found */
export async function readCampaign(db: Db, ref: string, actor: Actor): Promise<Campaign> {
  const { rows: [campaign] } = await db.app.query<Campaign>({
    name: 'campaign', text: `SELECT ${VIEW} ${FROM} WHERE c."tenantId" = $1 AND ${named('c', 'code', 3)}`, values: [tenantHere(), self(actor), ...refPair(ref)],
  })
  if (!campaign) throw new Problem('not-found')
  return campaign
}

/** @param ref id or code @throws Problem not-found */
export async function campaignId(db: Db, ref: string): Promise<string> {
  const { rows: [campaign] } = await db.app.query<{ id: string }>({ name: 'campaign_id', text: `SELECT c.id FROM campaign c WHERE ${named('c', 'code', 2)}`, values: [tenantHere(), ...refPair(ref)] })
  if (!campaign) throw new Problem('not-found', { errors: [{ pointer: '/query/campaign', message: says('没有这个专项行动', 'No such campaign') }] })
  return campaign.id
}

export interface NewCampaign {
  /** Id or code. */
  node: string
  code: string
  name: string
  items: string[]
  from: Date
  to: Date
  targets?: { [Number in keyof Numbers]?: number | null | undefined } | undefined
  capacity?: number | null | undefined
}

/** @throws Problem node-unknown, forbidden without `administer` over the place, validation-failed for a code in use */
export async function createCampaign(db: Db, { node, code, name, items, from, to, targets = {}, capacity = null }: NewCampaign, actor: Actor): Promise<Campaign> {
  const place = await findNode(db, node)
  if (!place) throw new Problem('node-unknown', { errors: [{ pointer: '/node', message: NO_SUCH_NODE }] })
  if (!administers(actor, place.path)) throw new Problem('forbidden')
  const { rows: known } = await db.app.query<{ code: string }>({ name: 'items_known', text: `SELECT DISTINCT code FROM item WHERE "tenantId" = $1 AND code = ANY ($2::text[])`, values: [tenantHere(), items] })
  const unknown = items.findIndex((item) => known.every((one) => one.code !== item))
  if (unknown >= 0) throw new Problem('item-unknown', { errors: [{ pointer: `/items/${unknown}`, message: says('服务菜单中没有这一项', 'No such service item') }] })
  const id = uuidv7()
  await transaction(db.app, async (client) => {
    await client.query({
      name: 'create_campaign',
      text: `INSERT INTO campaign ("tenantId", id, "nodeId", code, name, items, "from", "to", "targetFiled", "targetCompleted", "targetBeneficiaries", capacity, "createdAt")
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, wishwall_now())`,
      values: [tenantHere(), id, place.id, code, name, items, from, to, targets.filed, targets.completed, targets.beneficiaries, capacity],
    })
    await account(client, actor, { action: 'campaign.changed', object: 'campaign', objectId: id, details: { code, from: from.toISOString(), to: to.toISOString(), capacity } })
  }).catch((error: unknown) => { throw violates(error, 'campaign_tenantId_code_key') ? codeTaken() : error })
  return readCampaign(db, id, actor)
}

export interface CampaignChange {
  name?: string | undefined
  /** Earlier than now ends it now. */
  to?: Date | undefined
  /** Not below those who have signed up. */
  capacity?: number | null | undefined
}

/** What is left out stays. @throws Problem not-found, forbidden; validation-failed for a capacity below those signed up, or an end before the beginning */
export async function updateCampaign(db: Db, ref: string, { name, to, capacity }: CampaignChange, actor: Actor): Promise<Campaign> {
  const campaign = await readCampaign(db, ref, actor)
  const place = await findNode(db, campaign.node.id)
  if (!place || !administers(actor, place.path)) throw new Problem('forbidden')
  if (to && to <= campaign.from) throw refused('/to', says('须晚于开始时间', 'Must be after the beginning'))
  await transaction(db.app, async (client) => {
    const { rowCount } = await client.query({
      name: 'update_campaign',
      text: `UPDATE campaign SET name = COALESCE($3, name), "to" = COALESCE($4, "to"), capacity = CASE WHEN $5 THEN $6::int ELSE capacity END
        WHERE "tenantId" = $1 AND id = $2 AND (NOT $5 OR $6::int IS NULL OR "signedUp" <= $6::int)`,
      values: [tenantHere(), campaign.id, name, to, capacity !== undefined, capacity],
    })
    if (rowCount === 0) throw refused('/capacity', says('少于已报名的人数', 'Fewer than have signed up'))
    await account(client, actor, { action: 'campaign.changed', object: 'campaign', objectId: campaign.id, details: { to: to?.toISOString() ?? null, capacity: capacity ?? null } })
  })
  return readCampaign(db, campaign.id, actor)
}

const refused = (pointer: string, message: ReturnType<typeof says>) => new Problem('validation-failed', { errors: [{ pointer, code: 'value', message }] })

/**
 * The campaign that a filing names: under way, for this item, and at or above the place.
 * @throws Problem campaign-unknown, campaign-closed, validation-failed
 */
export async function campaignOf(db: Db, ref: string, { path, item }: { path: string; item: string }): Promise<string> {
  const { rows: [campaign] } = await db.app.query<{ id: string; path: string; items: string[]; open: boolean }>({
    name: 'campaign_to_file_under',
    text: `SELECT c.id, n.path, c.items, c."from" <= wishwall_now() AND wishwall_now() < c."to" AS open ${FROM} WHERE c."tenantId" = $1 AND ${named('c', 'code', 2)}`,
    values: [tenantHere(), ...refPair(ref)],
  })
  if (!campaign) throw new Problem('campaign-unknown', { errors: [{ pointer: '/campaign', message: says('没有这个专项行动', 'No such campaign') }] })
  if (!campaign.open) throw new Problem('campaign-closed')
  if (!covers(campaign.path, path)) throw refused('/campaign', says('专项行动不含这个地点', 'The campaign is of another place'))
  if (campaign.items.length > 0 && !campaign.items.includes(item)) throw refused('/campaign', says('专项行动不含这个服务项目', 'The campaign is for other items'))
  return campaign.id
}
