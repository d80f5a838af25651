import type { Actor } from '../domain/actor.ts'
import { capacity } from '../domain/actor.ts'
import { overseen } from '../domain/directory.ts'
import { Problem } from '../domain/problems.ts'
import { COUNTS } from '../domain/visits.ts'
import { decodeCursor, pageOf, type Page } from './cursor.ts'
import { tenantHere, type Db } from './db.ts'
import { visitEvery } from './households.ts'
import { UUID } from './load.ts'
import { endOf, NO_SUCH_NODE, readNode } from './nodes.ts'
import { overseenPath } from './people.ts'
import type { Place } from './places.ts'
import { tenant } from './tenants.ts'
import { VISIT, type VisitView } from './visits.ts'

/** 走访覆盖: how many of the doors of a place were knocked at, and how long what was heard there took to arrive. */
export interface Coverage {
  node: Place
  from: string
  to: string
  households: number
  /** Knocked at in that time, met or not. */
  visited: number
  met: number
  refused: number
  /** Knocked at, and nobody was ever there. */
  notHome: number
  /** Neither met nor refused within the days of `everyDays`, as it was at the end of that time. */
  overdue: number
  everyDays: number
  /** `met` of `households`, 0 to 1; null without households. */
  coverage: number | null
  visits: number
  needs: { filed: number; resolvedOnSpot: number }
  /** From the visit to its arrival here, in seconds; null without visits. */
  lag: { p50: number | null; max: number | null }
}

export interface CoverageQuery {
  /** Id or code. */
  node: string
  /** Days of the tenant's zone, both included. */
  from: string
  to: string
}

/** @throws Problem not-found unless the actor watches over the place */
export async function visitCoverage(db: Db, { node: ref, from, to }: CoverageQuery, actor: Actor): Promise<Coverage> {
  const { id, code, name, path } = await readNode(db, ref)
  if (!(['view', 'supervise'] as const).some((capability) => capacity(actor, capability, path))) throw new Problem('not-found', { errors: [{ pointer: '/query/node', message: NO_SUCH_NODE }] })
  const [{ settings: { zone } }, everyDays] = await Promise.all([tenant(db), visitEvery(db)])
  const { rows: [row] } = await db.app.query<Record<'households' | 'visited' | 'met' | 'refused' | 'notHome' | 'overdue' | 'visits' | 'filed' | 'resolvedOnSpot', number> & { p50: number | null; max: number | null }>({
    name: 'visit_coverage',
    text: `WITH span AS (SELECT ($4::text || ' 00:00')::timestamp AT TIME ZONE $6 AS since, (($5::text)::date + 1)::timestamp AT TIME ZONE $6 AS until),
      h AS (SELECT h.id FROM household h JOIN node n ON n."tenantId" = h."tenantId" AND n.id = h."nodeId", span s
        WHERE h."tenantId" = $1 AND n.path >= $2 AND n.path < $3 AND h."createdAt" < s.until),
      v AS (SELECT v.* FROM visit v, span s WHERE v."tenantId" = $1 AND v."householdId" IN (SELECT id FROM h) AND v."visitedAt" >= s.since AND v."visitedAt" < s.until),
      each AS (SELECT h.id, EXISTS (SELECT FROM v WHERE v."householdId" = h.id) AS visited,
          EXISTS (SELECT FROM v WHERE v."householdId" = h.id AND v.result = 'met') AS met, EXISTS (SELECT FROM v WHERE v."householdId" = h.id AND v.result = 'refused') AS refused,
          EXISTS (SELECT FROM visit x, span s WHERE x."tenantId" = $1 AND x."householdId" = h.id AND x.result = ANY ($8::text[]) AND x."visitedAt" < s.until
            AND x."visitedAt" > LEAST(s.until, wishwall_now()) - $7::int * interval '1 day') AS recent FROM h)
      SELECT (SELECT count(*)::int FROM each) AS households, (SELECT count(*)::int FROM each WHERE visited) AS visited, (SELECT count(*)::int FROM each WHERE met) AS met,
        (SELECT count(*)::int FROM each WHERE refused AND NOT met) AS refused, (SELECT count(*)::int FROM each WHERE visited AND NOT met AND NOT refused) AS "notHome",
        (SELECT count(*)::int FROM each WHERE NOT recent) AS overdue,
        count(*)::int AS visits, COALESCE(sum((SELECT count(*) FROM visit_need k WHERE k."tenantId" = $1 AND k."visitId" = v.id)), 0)::int AS filed,
        COALESCE(sum((SELECT count(*) FROM visit_need k JOIN request r ON r."tenantId" = k."tenantId" AND r.id = k."requestId" WHERE k."tenantId" = $1 AND k."visitId" = v.id AND r."onTheSpot")), 0)::int AS "resolvedOnSpot",
        GREATEST(0, percentile_disc(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM v."filedAt" - v."visitedAt")))::int AS p50,
        GREATEST(0, max(extract(epoch FROM v."filedAt" - v."visitedAt")))::int AS max FROM v`,
    values: [tenantHere(), path, endOf(path), from, to, zone, everyDays, COUNTS],
  })
  const { filed, resolvedOnSpot, p50, max, ...counts } = row!
  return {
    node: { id, code, name }, from, to, everyDays, ...counts, coverage: counts.households === 0 ? null : counts.met / counts.households,
    needs: { filed, resolvedOnSpot }, lag: counts.visits === 0 ? { p50: null, max: null } : { p50, max },
  }
}

export interface VisitsQuery {
  node?: string | undefined
  household?: string | undefined
  cursor?: string | undefined
  limit: number
}

/** One's own visits, and those of the places overseen; as they arrived, the newest first. @throws Problem not-found, cursor-unusable */
export async function listVisits(db: Db, { node, household, cursor, limit }: VisitsQuery, actor: Actor): Promise<Page<VisitView>> {
  const [own, paths] = node !== undefined ? [null, [await overseenPath(db, node, actor)]] : actor.kind === 'person' ? [actor.id, overseen(actor)] : [null, []]
  const { rows } = await db.app.query<VisitView>({
    name: 'visits',
    text: `SELECT ${VISIT} FROM visit v WHERE v."tenantId" = $1 AND (v."personId" = $2::uuid OR EXISTS (SELECT FROM unnest($3::text[]) u WHERE starts_with(v.path, u)))
      AND ($4::uuid IS NULL OR v."householdId" = $4) AND ($5::uuid IS NULL OR v.id < $5) ORDER BY v.id DESC LIMIT $6`,
    values: [tenantHere(), own, paths, household ?? null, cursor === undefined ? null : decodeCursor(cursor, UUID), limit + 1],
  })
  return pageOf(rows, limit, ({ id }) => id)
}
