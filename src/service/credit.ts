import { actsFor, covers, type Actor } from '../domain/actor.ts'
import type { CreditReason } from '../domain/credit.ts'
import { Problem } from '../domain/problems.ts'
import { decodeCursor, pageOf, type Page } from './cursor.ts'
import { tenantHere, type Db } from './db.ts'
import { scopeOf, type Place } from './figured.ts'
import type { Keyring } from './keyring.ts'
import { isId } from './load.ts'
import { findPerson } from './people.ts'
import { periodOf, type Days, type Period } from './periods.ts'
import { parties, type Keyed } from './rate-groups.ts'

/** 积分: statements and the order of those who earned most. */

export type Holder = 'person' | 'organisation'

export interface CreditLine {
  id: string
  at: Date
  request: { id: string; number: string }
  cycle: number
  reason: CreditReason
  points: number
  /** Who did the work: the holder, or one of its members. */
  via: string
  /** The entry that this one takes back. */
  reverses: string | null
}

export interface Statement extends Page<CreditLine> {
  of: Holder
  id: string
  /** Of a person, masked. */
  name: string | null
  from: string
  to: string
  points: number
  /** What it is made up of, what was taken back counted against it. */
  reasons: { reason: CreditReason; points: number; entries: number }[]
}

export interface StatementQuery extends Days {
  cursor?: string | undefined
  limit: number
}

/**
 * By the holder: a person by id or 工号, an organisation by id or code.
 * @throws Problem not-found also for one whose credit is not the actor's to see
 */
export async function statement(db: Db, keyring: Keyring, of: Holder, ref: string, query: StatementQuery, actor: Actor): Promise<Statement> {
  return statementOf(db, keyring, of, of === 'person' ? await personOf(db, ref, actor) : await organisationOf(db, ref, actor), query)
}

/** One's own. @throws Problem forbidden for an app by its own token */
export function ownStatement(db: Db, keyring: Keyring, query: StatementQuery, actor: Actor): Promise<Statement> {
  if (actor.kind !== 'person') throw new Problem('forbidden')
  return statementOf(db, keyring, 'person', actor.id, query)
}

async function personOf(db: Db, ref: string, actor: Actor): Promise<string> {
  if (actor.kind === 'person' && actor.id === ref) return ref
  return (await findPerson(db, ref, actor)).id
}

/** Of its own people, its members, and whoever watches over its place. */
async function organisationOf(db: Db, ref: string, actor: Actor): Promise<string> {
  const { rows: [row] } = await db.app.query<{ id: string; path: string }>({
    name: isId(ref) ? 'credit_organisation_by_id' : 'credit_organisation_by_code', values: [tenantHere(), ref],
    text: `SELECT o.id, n.path FROM organisation o JOIN node n ON n."tenantId" = o."tenantId" AND n.id = o."nodeId" WHERE o."tenantId" = $1 AND ${isId(ref) ? 'o.id = $2::uuid' : 'o.code = $2'}`,
  })
  const sees = row && actor.kind === 'person' && (actsFor(actor, row.id) || actor.affiliations.some(({ organisationId }) => organisationId === row.id)
    || actor.duties.some(({ organisationId, capabilities, path }) => organisationId === null && (capabilities.includes('view') || capabilities.includes('supervise')) && covers(path, row.path)))
  if (!row || !sees) throw new Problem('not-found')
  return row.id
}

async function statementOf(db: Db, keyring: Keyring, of: Holder, id: string, { cursor, limit, ...days }: StatementQuery): Promise<Statement> {
  const period = await periodOf(db, days)
  const [at, after] = cursor === undefined ? [null, null] : decodeCursor(cursor, PLACE).split(' ') as [string, string]
  const [lines, sums, names] = await Promise.all([
    db.app.query<CreditLine>({
      name: 'credit_lines', values: [...held(of, id, period), at, after, limit + 1],
      text: `SELECT c.id, c.at, c.cycle, c.reason, c.points, c."viaId" AS via, c."reversesId" AS reverses, jsonb_build_object('id', r.id, 'number', r.number) AS request
        FROM credit_entry c JOIN request r ON r."tenantId" = c."tenantId" AND r.id = c."requestId"
        WHERE ${HELD} AND ($6::timestamptz IS NULL OR (c.at, c.id) < ($6, $7::uuid)) ORDER BY c.at DESC, c.id DESC LIMIT $8`,
    }),
    db.app.query<Statement['reasons'][number]>({
      name: 'credit_sums', values: held(of, id, period),
      text: `SELECT c.reason, sum(c.points)::int AS points, (count(*) FILTER (WHERE c."reversesId" IS NULL) - count(*) FILTER (WHERE c."reversesId" IS NOT NULL))::int AS entries
        FROM credit_entry c WHERE ${HELD} GROUP BY c.reason ORDER BY c.reason`,
    }),
    parties(db, keyring, [id]),
  ])
  const { data, page } = pageOf(lines.rows, limit, (line) => `${line.at.toISOString()} ${line.id}`)
  return {
    of, id, name: names.get(id)?.name ?? null, from: period.from, to: period.to, points: sums.rows.reduce((sum, { points }) => sum + points, 0), reasons: sums.rows, data, page,
  }
}

const HELD = `c."tenantId" = $1 AND c.holder = $2 AND c."holderId" = $3 AND c.at >= $4 AND c.at < $5`
const held = (of: Holder, id: string, { since, until }: Period): unknown[] => [tenantHere(), of, id, since, until]
const PLACE = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z [0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

export interface RankingQuery extends Days {
  node?: string | undefined
  of: Holder
  limit: number
}

export interface Ranking {
  node: Place | null
  from: string
  to: string
  data: { rank: number; holder: Keyed; points: number; works: number }[]
}

/** By work done at a place; names masked. Equal points share a rank. @throws Problem not-found, validation-failed */
export async function ranking(db: Db, keyring: Keyring, { node, of, limit, ...days }: RankingQuery, actor: Actor): Promise<Ranking> {
  const [scope, period] = await Promise.all([scopeOf(db, node, actor), periodOf(db, days)])
  const { rows } = await db.app.query<{ rank: number; holderId: string; points: number; works: number }>({
    name: 'credit_ranking', values: [tenantHere(), of, period.since, period.until, scope.trees, limit],
    text: `SELECT rank() OVER (ORDER BY s.points DESC)::int AS rank, s.* FROM (
        SELECT c."holderId", sum(c.points)::int AS points, count(*) FILTER (WHERE c.points > 0)::int AS works FROM (
          SELECT c."holderId", c."requestId", sum(c.points)::int AS points FROM credit_entry c
          WHERE c."tenantId" = $1 AND c.holder = $2 AND c.at >= $3 AND c.at < $4 AND ($5::text[] IS NULL OR EXISTS (SELECT FROM unnest($5::text[]) tree WHERE starts_with(c.path, tree)))
          GROUP BY c."holderId", c."requestId") c
        GROUP BY c."holderId" HAVING sum(c.points) > 0) s ORDER BY s.points DESC, s."holderId" LIMIT $6`,
  })
  const names = await parties(db, keyring, rows.map(({ holderId }) => holderId))
  return { node: scope.node, from: period.from, to: period.to, data: rows.map(({ holderId, ...row }) => ({ ...row, holder: names.get(holderId) ?? { kind: of, key: holderId, name: null } })) }
}

