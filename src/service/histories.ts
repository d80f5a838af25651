import type pg from 'pg'
import { VERB_NAMES, eventType, type VerbName } from '../domain/machine.ts'
import type { Clock, Doer, Told } from '../domain/rate-facts.ts'
import type { Grade, Kind } from '../domain/request.ts'

/** The whole history of requests, for the consumers that count: of whatever tenant, by the system. */

export interface Ref {
  tenantId: string
  requestId: string
}

/** A lead or co-handler who has done his part. */
export interface Done extends Doer {
  role: 'lead' | 'co'
  memberId: string | null
  seq: number
}

export interface StoredHistory extends Ref {
  kind: Kind
  grade: Grade | null
  secret: boolean
  /** Code of the item it is now filed as. */
  item: string
  events: (Told & { actorId: string | null })[]
  clocks: Clock[]
  done: Done[]
}

/** One statement, so that all of it is of one moment. */
const HISTORIES = `
  SELECT r."tenantId", r.id AS "requestId", r.kind, r.grade, r.confidential OR r.kind = 'mediation' AS secret, i.code AS item,
    (SELECT json_agg(json_build_object('seq', e.seq, 'verb', e.verb, 'fromState', e."fromState", 'toState', e."toState", 'at', e.at, 'cycle', e.cycle, 'path', e.path, 'actorId', e."actorId", 'data', e.data) ORDER BY e.seq)
      FROM event e WHERE e."tenantId" = r."tenantId" AND e."requestId" = r.id) AS events,
    (SELECT json_agg(json_build_object('step', d.step, 'seq', d.seq, 'openedAt', d."openedAt", 'dueAt', d."dueAt", 'originalDueAt', d."originalDueAt", 'stoodAt', d."stoodAt", 'closedAt', d."closedAt"))
      FROM deadline d WHERE d."tenantId" = r."tenantId" AND d."requestId" = r.id AND d.step IN ('respond', 'complete')) AS clocks,
    (SELECT json_agg(json_build_object('role', s.role, 'seq', s.seq, 'personId', s."personId", 'organisationId', s."organisationId", 'memberId', s."memberId", 'path', s.path, 'until', s.until))
      FROM assignment s WHERE s."tenantId" = r."tenantId" AND s."requestId" = r.id AND s.status = 'done' AND s.role IN ('lead', 'co')) AS done
  FROM jsonb_to_recordset($1::jsonb) AS k("tenantId" uuid, "requestId" uuid)
  JOIN request r ON r."tenantId" = k."tenantId" AND r.id = k."requestId" JOIN item i ON i."tenantId" = r."tenantId" AND i.id = r."itemId"`

export async function histories(client: Pick<pg.PoolClient, 'query'>, refs: readonly Ref[]): Promise<StoredHistory[]> {
  const { rows } = await client.query<{ [K in keyof StoredHistory]: StoredHistory[K] | null }>({ name: 'histories', text: HISTORIES, values: [JSON.stringify(refs)] })
  const time = (at: unknown): Date => new Date(at as string)
  const maybe = (at: unknown): Date | null => (at === null ? null : time(at))
  return (rows as StoredHistory[]).map((row) => ({
    ...row,
    events: row.events.map((event) => ({ ...event, at: time(event.at) })),
    clocks: (row.clocks ?? []).map((clock) => ({
      ...clock, openedAt: time(clock.openedAt), dueAt: time(clock.dueAt), originalDueAt: time(clock.originalDueAt), stoodAt: maybe(clock.stoodAt), closedAt: maybe(clock.closedAt),
    })),
    done: (row.done ?? []).map((one) => ({ ...one, until: maybe(one.until) })),
  }))
}

/**
 * Requests that something of these verbs has happened to since this consumer last looked, each once. The consumer's place is
 * locked: one worker at a time, and what it writes is committed together with its place.
 */
export async function newlyTold(client: Pick<pg.PoolClient, 'query'>, consumer: string, batch: number, concerns: (verb: VerbName) => boolean): Promise<{ refs: Ref[]; read: number; position: string | null }> {
  await lockPlace(client, consumer)
  const { rows } = await client.query<Ref & { position: string; type: string }>({
    name: 'consumer_read',
    text: `SELECT position, "tenantId", "requestId", type FROM feed WHERE position > (SELECT c.position FROM cursor c WHERE c.name = $1) ORDER BY position LIMIT $2`, values: [consumer, batch],
  })
  const verbs = new Set(VERB_NAMES.filter(concerns).map(eventType))
  const refs = [...new Map(rows.filter(({ type }) => verbs.has(type)).map(({ tenantId, requestId }) => [requestId, { tenantId, requestId }])).values()]
  return { refs, read: rows.length, position: rows.at(-1)?.position ?? null }
}

/** While it is held nobody else counts: what is written was read after what was written before. */
export async function lockPlace(client: Pick<pg.PoolClient, 'query'>, consumer: string): Promise<void> {
  await client.query({ name: 'consumer_begin', text: `INSERT INTO cursor (name, position) VALUES ($1, 0) ON CONFLICT DO NOTHING`, values: [consumer] })
  await client.query({ name: 'consumer_place', text: `SELECT FROM cursor WHERE name = $1 FOR UPDATE`, values: [consumer] })
}

export const consumed = (client: Pick<pg.PoolClient, 'query'>, consumer: string, position: string): Promise<unknown> =>
  client.query({ name: 'consumer_done', text: `UPDATE cursor SET position = $2 WHERE name = $1`, values: [consumer, position] })
