import type { ClaimerKind } from '../domain/actor.ts'
import type { Facts, Target } from '../domain/request.ts'
import { tenantHere, type Db, type Reader } from './db.ts'
import { isId } from './load.ts'

/** Where supervision starts when a person is late: his nearest place at or above the request, else the request's own. */
const NEAREST_DUTY = `
  SELECT n.path, n.level FROM duty d JOIN node n ON n."tenantId" = d."tenantId" AND n.id = d."nodeId"
  WHERE d."tenantId" = $1 AND d."personId" = p.id AND d."from" <= wishwall_now() AND (d."to" IS NULL OR d."to" > wishwall_now())
  ORDER BY starts_with($3, n.path) DESC, length(n.path) DESC LIMIT 1`

const ON_DUTY = `(EXISTS (SELECT FROM duty d WHERE d."tenantId" = $1 AND d."personId" = p.id AND d."from" <= wishwall_now() AND (d."to" IS NULL OR d."to" > wishwall_now()))
  OR EXISTS (SELECT FROM affiliation a WHERE a."tenantId" = $1 AND a."personId" = p.id AND a."verifiedAt" IS NOT NULL AND a."endedAt" IS NULL))`

/** A person as a target: with the place he stands at, and its level. */
const PERSON = `
  SELECT p.id AS "personId", NULL::uuid AS "organisationId", COALESCE(near.path, $3) AS path, COALESCE(near.level, (SELECT level FROM node WHERE "tenantId" = $1 AND path = $3)) AS level
  FROM person p LEFT JOIN LATERAL (${NEAREST_DUTY}) near ON true WHERE p."tenantId" = $1 AND p."suspendedAt" IS NULL`

/**
 * Whom `to` names: a person by id or 工号 who holds a duty or a verified affiliation, or an organisation by id or code.
 * @param path of the request
 * @param anyone also who holds neither
 */
export async function findTarget(db: Reader, to: string, path: string, { anyone = false } = {}): Promise<Target | undefined> {
  const column = isId(to) ? { person: 'p.id = $2::uuid', organisation: 'o.id = $2::uuid' } : { person: 'p.login = $2', organisation: 'o.code = $2' }
  const { rows } = await db.app.query<Target>({
    name: `target_by_${isId(to) ? 'id' : 'code'}${anyone ? '_anyone' : ''}`,
    text: `${PERSON} AND ${column.person}${anyone ? '' : ` AND ${ON_DUTY}`}
      UNION ALL
      SELECT NULL, o.id, n.path, n.level FROM organisation o JOIN node n ON n."tenantId" = o."tenantId" AND n.id = o."nodeId"
      WHERE o."tenantId" = $1 AND NOT o.pending AND ${column.organisation} LIMIT 1`,
    values: [tenantHere(), to, path],
  })
  return rows[0]
}

/** 指派: a person by id or 工号 who belongs to one of the organisations, by duty or verified affiliation. */
export async function findMember(db: Db, to: string, organisations: readonly string[], path: string): Promise<Target | undefined> {
  const { rows } = await db.app.query<Target>({
    name: isId(to) ? 'member_by_id' : 'member_by_code',
    text: `${PERSON} AND ${isId(to) ? 'p.id = $2::uuid' : 'p.login = $2'}
      AND (EXISTS (SELECT FROM duty d WHERE d."tenantId" = $1 AND d."personId" = p.id AND d."organisationId" = ANY ($4::uuid[]) AND d."from" <= wishwall_now() AND (d."to" IS NULL OR d."to" > wishwall_now()))
        OR EXISTS (SELECT FROM affiliation a WHERE a."tenantId" = $1 AND a."personId" = p.id AND a."organisationId" = ANY ($4::uuid[]) AND a."verifiedAt" IS NOT NULL AND a."endedAt" IS NULL))`,
    values: [tenantHere(), to, path, organisations],
  })
  return rows[0]
}

/** 上报: the parent of a node, or the node or organisation that `to` names. An organisation answers for its node. */
export async function findRaised(db: Db, to: string | undefined, from: string): Promise<Facts['raisedTo']> {
  const node = `jsonb_build_object('id', n.id, 'code', n.code, 'name', n.name) AS node, n.path, n.level`
  const { rows } = to === undefined
    ? await db.app.query<NonNullable<Facts['raisedTo']>>({
      name: 'raised_to_parent',
      text: `SELECT ${node}, NULL::uuid AS "organisationId" FROM node c JOIN node n ON n."tenantId" = c."tenantId" AND n.id = c."parentId" WHERE c."tenantId" = $1 AND c.id = $2 AND n."retiredAt" IS NULL`,
      values: [tenantHere(), from],
    })
    : await db.app.query<NonNullable<Facts['raisedTo']>>({
      name: isId(to) ? 'raised_to_id' : 'raised_to_code',
      text: `SELECT ${node}, NULL::uuid AS "organisationId" FROM node n WHERE n."tenantId" = $1 AND ${isId(to) ? 'n.id = $2::uuid' : 'n.code = $2'} AND n."retiredAt" IS NULL
        UNION ALL
        SELECT ${node}, o.id FROM organisation o JOIN node n ON n."tenantId" = o."tenantId" AND n.id = o."nodeId"
        WHERE o."tenantId" = $1 AND NOT o.pending AND n."retiredAt" IS NULL AND ${isId(to) ? 'o.id = $2::uuid' : 'o.code = $2'} LIMIT 1`,
      values: [tenantHere(), to],
    })
  return rows[0]
}

/** The organisation a claim is made for, and the kinds in which the claimer is verified there. */
export async function findClaimer(db: Db, organisation: string, personId: string): Promise<(Target & { kinds: ClaimerKind[]; held: number }) | undefined> {
  const { rows } = await db.app.query<Target & { kinds: ClaimerKind[]; held: number }>({
    name: isId(organisation) ? 'claimer_by_id' : 'claimer_by_code',
    text: `
      SELECT NULL::uuid AS "personId", o.id AS "organisationId", n.path, n.level, array_agg(a.kind) AS kinds,
        COALESCE((SELECT k.value FROM counter k WHERE k."tenantId" = o."tenantId" AND k.key = 'claims/' || o.id), 0) AS held
      FROM organisation o JOIN node n ON n."tenantId" = o."tenantId" AND n.id = o."nodeId"
      JOIN affiliation a ON a."tenantId" = o."tenantId" AND a."organisationId" = o.id AND a."personId" = $3 AND a."verifiedAt" IS NOT NULL AND a."endedAt" IS NULL
      WHERE o."tenantId" = $1 AND ${isId(organisation) ? 'o.id = $2::uuid' : 'o.code = $2'} GROUP BY o."tenantId", o.id, n.path, n.level`,
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

/** Of many at once, by what they were called. */
export async function findNodes(db: Db, nodes: readonly string[]): Promise<Map<string, { id: string; path: string }>> {
  const refs = [...new Set(nodes)]
  const { rows } = await db.app.query<{ ref: string; id: string; path: string }>({
    name: 'node_paths',
    text: `SELECT r.ref, n.id, n.path FROM unnest($2::text[]) AS r(ref) CROSS JOIN LATERAL (SELECT id, path FROM node WHERE "tenantId" = $1 AND code = r.ref AND "retiredAt" IS NULL OFFSET 0) n
      UNION ALL SELECT n.id::text, n.id, n.path FROM unnest($3::uuid[]) AS r(id) CROSS JOIN LATERAL (SELECT id, path FROM node WHERE "tenantId" = $1 AND id = r.id AND "retiredAt" IS NULL OFFSET 0) n`,
    values: [tenantHere(), refs.filter((ref) => !isId(ref)), refs.filter(isId)],
  })
  return new Map(rows.map(({ ref, ...node }) => [ref, node]))
}
