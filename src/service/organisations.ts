import { v7 as uuidv7 } from 'uuid'
import type { Actor } from '../domain/actor.ts'
import type { OrganisationKind } from '../domain/organisations.ts'
import { administers } from '../domain/places.ts'
import { Problem, says } from '../domain/problems.ts'
import { account } from './audit.ts'
import { decodeCursor, pageOf, type Page } from './cursor.ts'
import { tenantHere, type Db } from './db.ts'
import { violates } from './failures.ts'
import { NO_SUCH_NODE, readParent } from './nodes.ts'
import { findNode } from './targets.ts'
import { codeTaken } from './tree.ts'

export interface OrganisationView {
  id: string
  code: string
  name: string
  kind: OrganisationKind
  /** 统一社会信用代码. */
  uscc: string | null
  node: { id: string; code: string; name: string }
}

export interface OrganisationsQuery {
  /** Id or code of a node: organisations there or below. */
  under?: string | undefined
  kind?: OrganisationKind | undefined
  q?: string | undefined
  cursor?: string | undefined
  limit: number
}

/** @throws Problem not-found for an `under` that does not exist, cursor-unusable */
export async function listOrganisations(db: Db, { under, kind, q, cursor, limit }: OrganisationsQuery): Promise<Page<OrganisationView>> {
  const root = under === undefined ? undefined : await findNode(db, under)
  if (under !== undefined && !root) throw new Problem('not-found', { errors: [{ pointer: '/query/under', message: NO_SUCH_NODE }] })
  const { rows } = await db.app.query<OrganisationView>({
    name: 'organisations',
    text: `SELECT o.id, o.code, o.name, o.kind, o.uscc, jsonb_build_object('id', n.id, 'code', n.code, 'name', n.name) AS node
      FROM organisation o JOIN node n ON n."tenantId" = o."tenantId" AND n.id = o."nodeId"
      WHERE o."tenantId" = $1 AND NOT o.pending AND o.code > $2 AND ($3::text IS NULL OR starts_with(n.path, $3)) AND ($4::text IS NULL OR o.kind = $4)
        AND ($5::text IS NULL OR strpos(lower(o.name), $5) > 0 OR strpos(lower(o.code), $5) > 0)
      ORDER BY o.code LIMIT $6`,
    values: [tenantHere(), cursor === undefined ? '' : decodeCursor(cursor, /^[\w.-]+$/), root?.path ?? null, kind ?? null, q?.toLowerCase() ?? null, limit + 1],
  })
  return pageOf(rows, limit, ({ code }) => code)
}

export interface NewOrganisation {
  /** Id or code. */
  node: string
  code: string
  name: string
  kind: OrganisationKind
  uscc?: string | undefined
}

/** @throws Problem node-unknown, forbidden without `administer` over the node, validation-failed for a code or a credit code in use */
export async function createOrganisation(db: Db, { node, code, name, kind, uscc }: NewOrganisation, actor: Actor): Promise<OrganisationView> {
  const place = await readParent(db, node)
  if (!place) throw new Problem('node-unknown', { errors: [{ pointer: '/node', message: NO_SUCH_NODE }] })
  if (!administers(actor, place.path)) throw new Problem('forbidden')
  const id = uuidv7()
  await db.prisma.$transaction(async (tx) => {
    await tx.organisation.create({ data: { tenantId: tenantHere(), id, nodeId: place.id, code, name, kind, uscc: uscc ?? null } })
    await account(tx, actor, { action: 'organisation.created', object: 'organisation', objectId: id, details: { code, kind, nodeId: place.id } })
  })
    .catch((error: unknown) => {
      if (violates(error, 'organisation_tenantId_code_key')) throw codeTaken()
      if (violates(error, 'organisation_tenantId_uscc_key')) throw new Problem('validation-failed', { errors: [{ pointer: '/uscc', code: 'taken', message: says('已有组织使用这个信用代码', 'An organisation has this code already') }] })
      throw error
    })
  return { id, code, name, kind, uscc: uscc ?? null, node: { id: place.id, code: place.code, name: place.name } }
}
