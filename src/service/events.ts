import { capacity, covers, isRespondent, type Actor, type PersonActor } from '../domain/actor.ts'
import type { State } from '../domain/machine.ts'
import { Problem, says } from '../domain/problems.ts'
import type { Message } from '../domain/request.ts'
import { sight } from '../domain/view.ts'
import { ACTOR_TTL_MS } from './actors.ts'
import { decodeCursor, encodeCursor } from './cursor.ts'
import { remember, tenantHere, type Db } from './db.ts'
import { load } from './load.ts'
import { isCommunity } from './notice-columns.ts'
import { findNode } from './targets.ts'

export interface FeedRow {
  id: string
  type: string
  occurredAt: Date
  requestId: string
  seq: number
  payload: Message['payload']
}

export interface FeedEntry extends FeedRow {
  /** Of the relay: the only order of the feed. */
  position: bigint
  /** Of the node, for those who may read a part of the tree. */
  path: string
}

/** What of the feed a reader gets; null is everything. */
export interface FeedFilter {
  types: string[] | null
  paths: string[] | null
  /** Requests that are about the reader, and are not his to deal with. */
  hidden?: string[]
  /** Of a place finer than a community: that a confidential matter is there is not told. */
  discreet?: boolean
}

/** As `messageOf` calls them. */
export const CONFIDENTIAL = 'confidential'

interface FeedQuery {
  after?: string | undefined
  types?: string[] | undefined
  node?: string | undefined
  limit: number
}

/**
 * The feed from a cursor on, complete and in the relay's order. `after=latest` starts at the end. Every page carries
 * `nextCursor`, also the last one, so that a reader always knows where to go on.
 * @throws Problem cursor-unusable for a cursor that is no place in this tenant's feed
 */
export async function feed(db: Db, { after = START, limit, ...query }: FeedQuery, actor: Actor) {
  const { rows, position, hasMore } = await feedPage(db, after, await feedFilter(db, query, actor), limit)
  return { data: rows.map(eventOf), page: { nextCursor: feedCursor(position), hasMore } }
}

/** A reader's place in the feed, as polling and streaming name it to callers. */
export const feedCursor = (position: bigint): string => encodeCursor(position.toString())
const START = feedCursor(0n)

/** What is told of a feed row. */
export const eventOf = ({ id, type, occurredAt, requestId, seq, payload }: FeedRow) =>
  ({ id, type, occurredAt, requestId, seq, ...payload, links: { request: `/v1/requests/${requestId}` } })

export interface FeedPage {
  rows: FeedEntry[]
  /** Everything up to here has been looked at: a row of the feed, or 0. */
  position: bigint
  hasMore: boolean
}

/** So many rows a filter looks at in one page (about 30 ms): what is rare is found in the end, and no page takes too long. */
const LOOKED_AT = 50_000

/** @throws Problem cursor-unusable */
export async function feedPage(db: Db, after: string, { types, paths, hidden = [], discreet = false }: FeedFilter, limit: number): Promise<FeedPage> {
  const given = after === 'latest' ? null : decodeCursor(after, /^\d{1,18}$/)
  const { rows: [end] } = await db.app.query<{ newest: string; known: boolean }>({
    name: 'feed_end',
    text: `SELECT COALESCE(max(position), 0) AS newest,
        $2::bigint IS NULL OR $2 = 0 OR EXISTS (SELECT FROM feed k WHERE k."tenantId" = $1 AND k.position = $2) AS known
      FROM feed WHERE "tenantId" = $1`,
    values: [tenantHere(), given],
  })
  if (!end?.known) throw new Problem('cursor-unusable')
  const from = given ?? end.newest
  const { rows } = await db.app.query<FeedEntry>({
    name: 'feed',
    text: `SELECT * FROM (SELECT ${FEED_COLUMNS} FROM feed WHERE "tenantId" = $1 AND position > $2 AND position <= $3 ORDER BY position LIMIT ${LOOKED_AT}) looked
      WHERE ($4::text[] IS NULL OR type = ANY ($4)) AND ($5::text[] IS NULL OR EXISTS (SELECT FROM unnest($5::text[]) p WHERE starts_with(path, p)))
        AND "requestId" <> ALL ($7::uuid[]) AND NOT ($8::bool AND payload ->> 'item' = '${CONFIDENTIAL}')
      ORDER BY position LIMIT $6`,
    values: [tenantHere(), from, end.newest, types, paths, limit + 1, hidden, discreet],
  })
  const page = rows.slice(0, limit).map(feedEntry)
  if (rows.length > limit) return { rows: page, position: page.at(-1)!.position, hasMore: true }
  const horizon = types === null && paths === null && hidden.length === 0 ? end.newest : await lookedAt(db, from, end.newest)
  return { rows: page, position: BigInt(horizon), hasMore: horizon !== end.newest }
}

/** How far a page without enough matches has looked. */
async function lookedAt(db: Db, from: string, newest: string): Promise<string> {
  const { rows: [row] } = await db.app.query<{ position: string }>({
    name: 'feed_looked_at',
    text: `SELECT position FROM feed WHERE "tenantId" = $1 AND position > $2 AND position <= $3 ORDER BY position OFFSET ${LOOKED_AT - 1} LIMIT 1`,
    values: [tenantHere(), from, newest],
  })
  return row?.position ?? newest
}

/** Never cast `position` here: ORDER BY would take the text for the number. */
export const FEED_COLUMNS = 'position, id, type, at AS "occurredAt", "requestId", seq, path, payload'

/** The driver reads a bigint as text. */
export const feedEntry = (row: FeedEntry): FeedEntry => ({ ...row, position: BigInt(row.position) })

/** @throws Problem forbidden, not-found */
export async function feedFilter(db: Db, { types, node }: Pick<FeedQuery, 'types' | 'node'>, actor: Actor): Promise<FeedFilter> {
  const paths = await readable(db, actor, node)
  const discreet = node !== undefined && paths !== null && paths.some((path) => !isCommunity(path) && capacity(actor, 'dispatch', path) === undefined)
  return { types: types ?? null, paths, discreet, ...(actor.kind === 'person' && { hidden: await aboutHim(db, actor) }) }
}

/** 被反映人: complaints about the reader, or about whom he acts for, that nobody has given to them (design, section 9). */
async function aboutHim(db: Db, actor: PersonActor): Promise<string[]> {
  const organisations = actor.duties.flatMap(({ organisationId, capabilities }) => (organisationId !== null && capabilities.includes('handle') ? [organisationId] : []))
  const { rows } = await db.app.query<{ id: string }>({
    name: 'feed_about',
    text: `SELECT r.id FROM request r WHERE r."tenantId" = $1 AND (r."respondentId" = $2 OR r."respondentOrganisationId" = ANY ($3::uuid[]))
      AND NOT EXISTS (SELECT FROM assignment s WHERE s."tenantId" = $1 AND s."requestId" = r.id AND s.status IN ('active', 'done')
        AND (s."personId" = $2 OR s."memberId" = $2 OR s."organisationId" = ANY ($3::uuid[])))`,
    values: [tenantHere(), actor.id, organisations],
  })
  return rows.map(({ id }) => id)
}

/** Path prefixes whose events the actor may read; null means the whole tenant (an app with `events:read`). */
async function readable(db: Db, actor: Actor, node: string | undefined): Promise<string[] | null> {
  const mine = actor.kind === 'person'
    ? actor.duties.filter((duty) => duty.organisationId === null && duty.capabilities.includes('view')).map(({ path }) => path)
    : null
  if (mine?.length === 0) throw new Problem('forbidden')
  if (node === undefined) return mine
  const missing = () => new Problem('not-found', { errors: [{ pointer: '/query/node', message: says('没有这个地点', 'No such node') }] })
  // Streams ask again and again.
  const { path } = await remember(db, `feed-node/${tenantHere()}/${node}`, ACTOR_TTL_MS, async () => (await findNode(db, node)) ?? Promise.reject(missing()))
  if (mine && !mine.some((duty) => covers(duty, path))) throw missing()
  return [path]
}

type Json = string | number | boolean | null | Json[] | { [key: string]: Json }

export interface HistoryRow {
  seq: number
  verb: string
  from: State | null
  state: State
  at: Date
  cycle: number
  actorKind: 'person' | 'app' | 'system'
  actor: string | null
  duty: string | null
  onBehalfOf: string | null
  data: Record<string, Json>
  notes: { field: string; body: string }[]
}

/**
 * A request's history with what was said at each step, for those who see it whole.
 * @throws Problem request-not-found
 */
export async function history(db: Db, ref: string, actor: Actor): Promise<HistoryRow[]> {
  const facts = await load(db, ref)
  if (!facts || sight(actor, facts) !== 'full') throw new Problem('request-not-found')
  const { rows } = await db.app.query<HistoryRow>({
    name: 'history',
    text: `SELECT e.seq, e.verb, NULLIF(e."fromState", 'none') AS from, e."toState" AS state, e.at, e.cycle, e."actorKind", e."actorId" AS actor, e."dutyId" AS duty,
        e."onBehalfOf", e.data, COALESCE((SELECT jsonb_agg(jsonb_build_object('field', t.field, 'body', t.body)) FROM text t
          WHERE t."tenantId" = e."tenantId" AND t."requestId" = e."requestId" AND t.seq = e.seq), '[]') AS notes
      FROM event e WHERE e."tenantId" = $1 AND e."requestId" = $2 ORDER BY e.seq`,
    values: [tenantHere(), facts.request.id],
  })
  if (actor.kind !== 'person' || !isRespondent(actor, facts.request)) return rows
  // Whom it is dispatched to although it is about them: without the complainant (design, section 9).
  const { filerId, beneficiaryId, guardianId } = facts.request
  const hidden = (id: string | null) => (id !== null && [filerId, beneficiaryId, guardianId].includes(id) ? null : id)
  return rows.map((row) => ({ ...row, actor: hidden(row.actor), onBehalfOf: hidden(row.onBehalfOf) }))
}
