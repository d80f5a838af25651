import type { Actor } from '../domain/actor.ts'
import { liesIn, overseen } from '../domain/directory.ts'
import { maskName } from '../domain/masks.ts'
import { Problem } from '../domain/problems.ts'
import { readCampaign, type Campaign } from './campaigns.ts'
import { decodeCursor, pageOf, type Page } from './cursor.ts'
import { tenantHere, type Db } from './db.ts'
import { isWorthAnotherTry } from './failures.ts'
import type { Keyring } from './keyring.ts'
import { UUID } from './load.ts'
import { openSubjects } from './subjects.ts'
import { findNode } from './targets.ts'

/** A campaign's helpers. Not `sign-up` of an activity, which is a verb of a request. */

/**
 * Place and name in one statement: the campaign's row is locked while it is counted, so the last place has one winner.
 * Where the name was there already (a twin was faster) the count is undone with it.
 */
const SIGN_UP = `
  WITH place AS (
    UPDATE campaign SET "signedUp" = "signedUp" + 1
    WHERE "tenantId" = $1 AND id = $2 AND wishwall_now() < "to" AND (capacity IS NULL OR "signedUp" < capacity)
      AND NOT EXISTS (SELECT FROM campaign_sign_up s WHERE s."tenantId" = $1 AND s."campaignId" = $2 AND s."personId" = $3 AND s."withdrawnAt" IS NULL)
    RETURNING id),
  name AS (
    INSERT INTO campaign_sign_up AS s ("tenantId", "campaignId", "personId", "signedUpAt") SELECT $1, id, $3, wishwall_now() FROM place
    ON CONFLICT ("tenantId", "campaignId", "personId") DO UPDATE SET "signedUpAt" = excluded."signedUpAt", "withdrawnAt" = NULL WHERE s."withdrawnAt" IS NOT NULL
    RETURNING "personId")
  SELECT CASE WHEN (SELECT count(*) FROM name) < (SELECT count(*) FROM place) THEN wishwall_undo('sign-up') END AS undo FROM place`

const WITHDRAW = `
  WITH place AS MATERIALIZED (SELECT id FROM campaign WHERE "tenantId" = $1 AND id = $2 FOR UPDATE),
  name AS (
    UPDATE campaign_sign_up s SET "withdrawnAt" = wishwall_now() FROM place
    WHERE s."tenantId" = $1 AND s."campaignId" = place.id AND s."personId" = $3 AND s."withdrawnAt" IS NULL RETURNING s."campaignId")
  UPDATE campaign c SET "signedUp" = "signedUp" - 1 FROM name WHERE c."tenantId" = $1 AND c.id = name."campaignId"`

const TRIES = 5

/**
 * Whoever is verified for anything may help; who has signed up stays so.
 * @throws Problem not-found, forbidden for an app by itself, not-verified, campaign-closed after its end, slots-taken
 */
export async function signUp(db: Db, ref: string, actor: Actor): Promise<Campaign> {
  const { campaign, personId } = await named(db, ref, actor)
  if (actor.kind !== 'person' || actor.affiliations.length === 0) throw new Problem('not-verified')
  const { rowCount } = await again(() => db.app.query({ name: 'campaign_sign_up', text: SIGN_UP, values: [tenantHere(), campaign.id, personId] }))
  const after = await readCampaign(db, campaign.id, actor)
  if (after.isSignedUp) return after
  if (rowCount === 0 && after.capacity !== null && after.signedUp >= after.capacity) throw new Problem('slots-taken')
  throw new Problem('campaign-closed')
}

/** Whose name is not there has nothing to take back, and hears so by `isSignedUp`. @throws Problem not-found, forbidden for an app by itself */
export async function withdraw(db: Db, ref: string, actor: Actor): Promise<Campaign> {
  const { campaign, personId } = await named(db, ref, actor)
  await again(() => db.app.query({ name: 'campaign_withdraw', text: WITHDRAW, values: [tenantHere(), campaign.id, personId] }))
  return readCampaign(db, campaign.id, actor)
}

async function named(db: Db, ref: string, actor: Actor): Promise<{ campaign: Campaign; personId: string }> {
  if (actor.kind !== 'person') throw new Problem('forbidden')
  return { campaign: await readCampaign(db, ref, actor), personId: actor.id }
}

async function again<T>(statement: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await statement()
    } catch (error) {
      if (!isWorthAnotherTry(error) || attempt === TRIES) throw error
    }
  }
}

export interface Helper {
  person: { id: string; name: string | null }
  signedUpAt: Date
}

/** Those who have not withdrawn. @throws Problem not-found, cursor-unusable; forbidden unless the actor oversees the campaign's place */
export async function listSignUps(db: Db, keyring: Keyring, ref: string, { cursor, limit }: { cursor?: string | undefined; limit: number }, actor: Actor): Promise<Page<Helper>> {
  const campaign = await readCampaign(db, ref, actor)
  const place = await findNode(db, campaign.node.id)
  if (actor.kind !== 'person' || !place || !liesIn(place.path, overseen(actor))) throw new Problem('forbidden')
  const { rows } = await db.app.query<{ id: string; subjectId: string; signedUpAt: Date }>({
    name: 'campaign_sign_ups',
    text: `SELECT p.id, p."subjectId", s."signedUpAt" FROM campaign_sign_up s JOIN person p ON p."tenantId" = s."tenantId" AND p.id = s."personId"
      WHERE s."tenantId" = $1 AND s."campaignId" = $2 AND s."withdrawnAt" IS NULL AND ($3::uuid IS NULL OR s."personId" > $3) ORDER BY s."personId" LIMIT $4`,
    values: [tenantHere(), campaign.id, cursor === undefined ? null : decodeCursor(cursor, UUID), limit + 1],
  })
  const { data, page } = pageOf(rows, limit, ({ id }) => id)
  const known = await openSubjects(db, keyring, data.map(({ subjectId }) => subjectId))
  return {
    data: data.map(({ id, subjectId, signedUpAt }) => {
      const name = known.get(subjectId)?.name
      return { person: { id, name: name === undefined ? null : maskName(name) }, signedUpAt }
    }),
    page,
  }
}
