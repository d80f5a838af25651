import { covers, type Actor } from '../domain/actor.ts'
import type { State } from '../domain/machine.ts'
import { Problem, says } from '../domain/problems.ts'
import type { Message } from '../domain/request.ts'
import { sight } from '../domain/view.ts'
import { decodeCursor, encodeCursor } from './cursor.ts'
import { tenantHere, type Db } from './db.ts'
import { load } from './load.ts'
import { findNode } from './targets.ts'

export interface FeedRow {
  id: string
  type: string
  occurredAt: Date
  requestId: string
  seq: number
  payload: Message['payload']
}

interface FeedQuery {
  after?: string | undefined
  types?: string[] | undefined
  node?: string | undefined
  limit: number
}

/**
 * The feed from a cursor on, complete and in the relay's order. `after=latest` starts at the end. Every page carries
 * `nextCursor`, also the last one, so that a reader always knows where to go on.
 * @throws Problem cursor-unusable for a cursor that is not ours or lies ahead of the feed
 */
export async function feed(db: Db, { after, types, node, limit }: FeedQuery, actor: Actor) {
  const paths = await readable(db, actor, node)
  const { rows: [end] } = await db.app.query<{ position: string }>({
    name: 'feed_end', text: `SELECT COALESCE(max(position), 0)::text AS position FROM feed WHERE "tenantId" = $1`, values: [tenantHere()],
  })
  const newest = BigInt(end?.position ?? '0')
  const from = after === 'latest' ? newest : BigInt(after === undefined ? 0 : decodeCursor(after, /^\d{1,19}$/))
  if (from > newest) throw new Problem('cursor-unusable')
  const { rows } = await db.app.query<FeedRow & { position: string }>({
    name: 'feed',
    text: `SELECT position::text, id, type, at AS "occurredAt", "requestId", seq, payload FROM feed
      WHERE "tenantId" = $1 AND position > $2 AND ($3::text[] IS NULL OR type = ANY ($3))
        AND ($4::text[] IS NULL OR EXISTS (SELECT FROM unnest($4::text[]) p WHERE starts_with(path, p)))
      ORDER BY position LIMIT $5`,
    values: [tenantHere(), from.toString(), types ?? null, paths, limit + 1],
  })
  const page = rows.slice(0, limit)
  const hasMore = rows.length > limit
  // Past the last match, everything up to the end read before has been looked at.
  const next = hasMore ? page.at(-1)!.position : (newest > from ? newest : from).toString()
  const last = page.at(-1)?.position
  return {
    data: page.map(({ position: _, payload, ...row }) => ({ ...row, ...payload, links: { request: `/v1/requests/${row.requestId}` } })),
    page: { nextCursor: encodeCursor(!hasMore && last !== undefined && BigInt(last) > BigInt(next) ? last : next), hasMore },
  }
}

/** Path prefixes whose events the actor may read; null means the whole tenant (an app with `events:read`). */
async function readable(db: Db, actor: Actor, node: string | undefined): Promise<string[] | null> {
  const mine = actor.kind === 'person'
    ? actor.duties.filter((duty) => duty.organisationId === null && duty.capabilities.includes('view')).map(({ path }) => path)
    : null
  if (mine?.length === 0) throw new Problem('forbidden')
  if (node === undefined) return mine
  const place = await findNode(db, node)
  if (!place || (mine && !mine.some((path) => covers(path, place.path)))) {
    throw new Problem('not-found', { errors: [{ pointer: '/query/node', message: says('没有这个地点', 'No such node') }] })
  }
  return [place.path]
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
  return rows
}
