import type { ClaimerKind } from '../domain/actor.ts'
import type { Target } from '../domain/request.ts'
import { tenantHere, type Db } from './db.ts'
import { isId } from './load.ts'

/** Where supervision starts when a person is late: his nearest place at or above the request, else the request's own. */
const NEAREST_DUTY = `
  SELECT n.path FROM duty d JOIN node n ON n."tenantId" = d."tenantId" AND n.id = d."nodeId"
  WHERE d."tenantId" = $1 AND d."personId" = p.id AND d."from" <= wishwall_now() AND (d."to" IS NULL OR d."to" > wishwall_now())
  ORDER BY starts_with($3, n.path) DESC, length(n.path) DESC LIMIT 1`

/**
 * Whom `to` names: a person by id or 工号 who holds a duty or a verified affiliation, or an organisation by id or code.
 * @param path of the request
 */
export async function findTarget(db: Db, to: string, path: string): Promise<Target | undefined> {
  const column = isId(to) ? { person: 'p.id = $2::uuid', organisation: 'o.id = $2::uuid' } : { person: 'p.login = $2', organisation: 'o.code = $2' }
  const { rows } = await db.app.query<Target>({
    name: isId(to) ? 'target_by_id' : 'target_by_code',
    text: `
      SELECT p.id AS "personId", NULL::uuid AS "organisationId", COALESCE((${NEAREST_DUTY}), $3) AS path FROM person p
      WHERE p."tenantId" = $1 AND ${column.person} AND p."suspendedAt" IS NULL
        AND (EXISTS (SELECT FROM duty d WHERE d."tenantId" = $1 AND d."personId" = p.id AND d."from" <= wishwall_now() AND (d."to" IS NULL OR d."to" > wishwall_now()))
          OR EXISTS (SELECT FROM affiliation a WHERE a."tenantId" = $1 AND a."personId" = p.id AND a."verifiedAt" IS NOT NULL AND a."endedAt" IS NULL))
      UNION ALL
      SELECT NULL, o.id, n.path FROM organisation o JOIN node n ON n."tenantId" = o."tenantId" AND n.id = o."nodeId"
      WHERE o."tenantId" = $1 AND ${column.organisation} LIMIT 1`,
    values: [tenantHere(), to, path],
  })
  return rows[0]
}

/** The organisation a claim is made for, and the kinds in which the claimer is verified there. */
export async function findClaimer(db: Db, organisation: string, personId: string): Promise<(Target & { kinds: ClaimerKind[]; held: number }) | undefined> {
  const { rows } = await db.app.query<Target & { kinds: ClaimerKind[]; held: number }>({
    name: isId(organisation) ? 'claimer_by_id' : 'claimer_by_code',
    text: `
      SELECT NULL::uuid AS "personId", o.id AS "organisationId", n.path, array_agg(a.kind) AS kinds,
        COALESCE((SELECT k.value FROM counter k WHERE k."tenantId" = o."tenantId" AND k.key = 'claims/' || o.id), 0) AS held
      FROM organisation o JOIN node n ON n."tenantId" = o."tenantId" AND n.id = o."nodeId"
      JOIN affiliation a ON a."tenantId" = o."tenantId" AND a."organisationId" = o.id AND a."personId" = $3 AND a."verifiedAt" IS NOT NULL AND a."endedAt" IS NULL
      WHERE o."tenantId" = $1 AND ${isId(organisation) ? 'o.id = $2::uuid' : 'o.code = $2'} GROUP BY o."tenantId", o.id, n.path`,
    values: [tenantHere(), organisation, personId],
  })
  return rows[0]
}

/** A node's path by id or code. */
export async function findNode(db: Db, node: string): Promise<{ id: string; path: string } | undefined> {
  const { rows } = await db.app.query<{ id: string; path: string }>({
    name: isId(node) ? 'node_path_by_id' : 'node_path_by_code',
    text: `SELECT id, path FROM node WHERE "tenantId" = $1 AND ${isId(node) ? 'id = $2::uuid' : 'code = $2'} AND "retiredAt" IS NULL`,
    values: [tenantHere(), node],
  })
  return rows[0]
}
