import type { Actor } from '../domain/actor.ts'
import { isRoot, overseen } from '../domain/directory.ts'
import { tenantHere, type Db } from './db.ts'
import { secretOf } from './notice-columns.ts'
import { IS_OF_TREES } from './people.ts'

/** A request that tells the caller of person `p`: he is of one the caller sees whole. Each by its own index. $2 paths. */
const TOLD = ['filerId', 'beneficiaryId', 'guardianId'].map((party) => `EXISTS (SELECT FROM request r WHERE r."tenantId" = $1 AND r."${party}" = p.id AND NOT ${secretOf('r')}
  AND EXISTS (SELECT FROM unnest($2::text[]) u WHERE starts_with(r.path, u)))`).join(' OR ')

/**
 * Whoever is named in a request may be shown to those who handle it. So nobody brings in whom he cannot find himself: the
 * caller himself, the people of the places he oversees, those of requests there, those whom his app brought. Of these ids the others.
 */
export async function strangers(db: Db, ids: readonly string[], actor: Actor): Promise<string[]> {
  const named = ids.filter((id) => actor.kind !== 'person' || id !== actor.id)
  const paths = actor.kind === 'person' ? overseen(actor) : []
  if (named.length === 0 || actor.kind === 'system' || paths.some(isRoot)) return []
  const { rows } = await db.app.query<{ id: string }>({
    name: 'petitioners_known',
    text: `SELECT p.id FROM person p WHERE p."tenantId" = $1 AND p.id = ANY ($3::uuid[]) AND (
      EXISTS (SELECT FROM external_user x WHERE x."tenantId" = $1 AND x."personId" = p.id AND x."clientId" = $4::uuid) OR ${IS_OF_TREES} OR ${TOLD})`,
    values: [tenantHere(), paths, named, actor.clientId],
  })
  return named.filter((id) => !rows.some((row) => row.id === id))
}
