import { relationsOf, type Actor } from '../domain/actor.ts'
import { rank, type Candidacy } from '../domain/candidates.ts'
import { maskName } from '../domain/masks.ts'
import { Problem, type Says } from '../domain/problems.ts'
import { sight } from '../domain/view.ts'
import { tenantHere, type Db } from './db.ts'
import { HELD, HOLDER } from './holders.ts'
import type { Keyring } from './keyring.ts'
import { load } from './load.ts'
import { openSubjects } from './subjects.ts'
import { tenant } from './tenants.ts'

export interface CandidateView {
  rank: number
  score: number
  person: { id: string; login: string | null; name: string | null } | null
  organisation: { id: string; code: string; name: string } | null
  because: Says[]
}

interface Row extends Omit<Candidacy, 'level'> {
  levelCode: string
  login: string | null
  subjectId: string | null
  organisation: { id: string; code: string; name: string } | null
  wanted: string[]
}

/** So many are ranked: the most skilled and nearest of all. */
const MOST = 500

const GRANTED_RETURN = `k.kind = 'return' AND k.status = 'granted' AND k."askedAt" > wishwall_now() - interval '1 year'`

/**
 * Who may be dispatched to, each at the places where he does the work: whoever holds a duty that handles, verified members
 * and volunteers, organisations with staff who act for them. Out are those whom the request is about, and who has it now.
 * Of those far away only the skilled come in question. How near a place is, is worked out once for each place.
 * $2 the request, $3 the paths from the root down to its place.
 */
const CANDIDATES = `
  WITH request AS MATERIALIZED (SELECT r.*, i.skills FROM request r JOIN item i ON i."tenantId" = r."tenantId" AND i.id = r."itemId" WHERE r."tenantId" = $1 AND r.id = $2),
  spot AS MATERIALIZED (SELECT n.id, max(u.i)::int AS near, bool_or(n.path = u.path) AS above
    FROM node n JOIN unnest($3::text[]) WITH ORDINALITY u(path, i) ON starts_with(n.path, u.path)
    WHERE n."tenantId" = $1 GROUP BY n.id),
  skilled AS MATERIALIZED (SELECT h."personId", h."organisationId", jsonb_agg(jsonb_build_object('code', k.code, 'name', k.name, 'level', h.level)) AS skills
    FROM skill_holder h JOIN skill k ON k."tenantId" = h."tenantId" AND k.code = h."skillCode"
    WHERE h."tenantId" = $1 AND h."skillCode" = ANY ((SELECT skills FROM request)::text[]) AND h."verifiedAt" IS NOT NULL AND h."endedAt" IS NULL GROUP BY 1, 2),
  found AS (
    SELECT ${HOLDER} AS "personId", NULL::uuid AS "organisationId", d."nodeId" FROM duty d JOIN role ro ON ro."tenantId" = d."tenantId" AND ro.code = d."roleCode"
      WHERE d."tenantId" = $1 AND d."organisationId" IS NULL AND 'handle' = ANY (ro.capabilities) AND ${HELD}
    UNION ALL
    SELECT a."personId", NULL, o."nodeId" FROM affiliation a JOIN organisation o ON o."tenantId" = a."tenantId" AND o.id = a."organisationId"
      WHERE a."tenantId" = $1 AND a."verifiedAt" IS NOT NULL AND a."endedAt" IS NULL AND a.kind <> 'enterprise'
    UNION ALL
    SELECT NULL, o.id, o."nodeId" FROM organisation o WHERE o."tenantId" = $1 AND NOT o.pending AND EXISTS (
      SELECT FROM duty d JOIN role ro ON ro."tenantId" = d."tenantId" AND ro.code = d."roleCode"
      JOIN person p ON p."tenantId" = d."tenantId" AND p.id = ${HOLDER} AND p."suspendedAt" IS NULL
      WHERE d."tenantId" = $1 AND d."organisationId" = o.id AND 'handle' = ANY (ro.capabilities) AND ${HELD})),
  placed AS (SELECT f."personId", f."organisationId", max(s.near) AS near, bool_or(s.above) AS above FROM found f JOIN spot s ON s.id = f."nodeId" GROUP BY 1, 2),
  best AS MATERIALIZED (
    SELECT c."personId", c."organisationId", COALESCE(k.skills, '[]') AS skills, c.near
    FROM placed c CROSS JOIN request r LEFT JOIN skilled k ON COALESCE(k."personId", k."organisationId") = COALESCE(c."personId", c."organisationId")
    WHERE (c.above OR c.near >= LEAST(2, cardinality($3::text[])) OR k.skills IS NOT NULL)
      AND COALESCE(c."personId", c."organisationId") <> ALL (array_remove(
        ARRAY[r."filerId", r."beneficiaryId", r."guardianId", r."respondentId", r."respondentOrganisationId"], NULL))
      AND COALESCE(c."personId", c."organisationId") NOT IN (SELECT COALESCE(s."personId", s."organisationId") FROM assignment s
        WHERE s."tenantId" = $1 AND s."requestId" = $2 AND s.status IN ('active', 'pending'))
    ORDER BY jsonb_array_length(COALESCE(k.skills, '[]')) DESC, c.near DESC LIMIT ${MOST})
  SELECT COALESCE(c."personId", c."organisationId") AS id, p.login, p."subjectId", c.skills, x.near, r.skills AS wanted,
    CASE WHEN o.id IS NOT NULL THEN jsonb_build_object('id', o.id, 'code', o.code, 'name', o.name) END AS organisation,
    (SELECT n.level FROM node n WHERE n."tenantId" = $1 AND n.path = ($3::text[])[x.near]) AS "levelCode",
    COALESCE(h.count, 0) AS load, COALESCE(b.count, 0) AS returns
  FROM best c CROSS JOIN request r LEFT JOIN organisation o ON o."tenantId" = $1 AND o.id = c."organisationId"
  -- By the key, five hundred times: of all who live here the planner would read each.
  LEFT JOIN LATERAL (SELECT * FROM person p WHERE p."tenantId" = $1 AND p.id = c."personId" LIMIT 1) p ON true
  -- Who lives nearer than he serves is near.
  LEFT JOIN node home ON home."tenantId" = $1 AND home.id = p."nodeId"
  CROSS JOIN LATERAL (SELECT GREATEST(c.near, max(u.i) FILTER (WHERE starts_with(home.path, u.path)))::int AS near FROM unnest($3::text[]) WITH ORDINALITY u(path, i)) x
  LEFT JOIN LATERAL (SELECT count(*)::int FROM (
    SELECT FROM assignment s WHERE s."tenantId" = $1 AND s.status = 'active' AND s.role <> 'attendee' AND s."personId" = c."personId"
    UNION ALL SELECT FROM assignment s WHERE s."tenantId" = $1 AND s.status = 'active' AND s.role <> 'attendee' AND s."memberId" = c."personId"
    UNION ALL SELECT FROM assignment s WHERE s."tenantId" = $1 AND s.status = 'active' AND s.role <> 'attendee' AND s."organisationId" = c."organisationId") s) h ON true
  LEFT JOIN LATERAL (SELECT count(*)::int FROM (
    SELECT FROM ask k WHERE k."tenantId" = $1 AND k."personId" = c."personId" AND ${GRANTED_RETURN}
    UNION ALL SELECT FROM ask k WHERE k."tenantId" = $1 AND k."organisationId" = c."organisationId" AND ${GRANTED_RETURN}) k) b ON true
  WHERE p."suspendedAt" IS NULL`

/**
 * Whom a request might be dispatched to, the best first, each with the reasons for his rank.
 * @param ref id or number
 * @throws Problem request-not-found also when it is there but out of sight; forbidden without `dispatch` over it
 */
export async function candidates(db: Db, keyring: Keyring, ref: string, limit: number, actor: Actor): Promise<CandidateView[]> {
  const facts = await load(db, ref)
  if (!facts || sight(actor, facts) === 'none') throw new Problem('request-not-found')
  if (!relationsOf(actor, facts).has('dispatch')) throw new Problem('forbidden')
  const paths = pathsTo(facts.request.path)
  const [{ settings }, { rows }] = await Promise.all([
    tenant(db), db.app.query<Row>({ name: 'candidates', text: CANDIDATES, values: [tenantHere(), facts.request.id, paths] }),
  ])
  const nameOf = (level: string) => settings.levels.find(({ code }) => code === level)?.name ?? level
  const found = rows.map(({ levelCode, ...row }) => ({ ...row, level: { code: levelCode, name: nameOf(levelCode) } }))
  const best = rank(found, { skills: rows[0]?.wanted ?? [], depth: paths.length }).slice(0, limit)
  const known = await openSubjects(db, keyring, best.flatMap(({ candidate: { subjectId } }) => subjectId ?? []))
  return best.map(({ rank, score, because, candidate: { id, login, subjectId, organisation } }) => {
    const name = subjectId === null ? undefined : known.get(subjectId)?.name
    return { rank, score, because, organisation, person: organisation ? null : { id, login, name: name === undefined ? null : maskName(name) } }
  })
}

/** `S/C/P/` → `S/`, `S/C/`, `S/C/P/`. */
const pathsTo = (path: string): string[] => path.split('/').slice(0, -1).map((_, index, codes) => `${codes.slice(0, index + 1).join('/')}/`)
