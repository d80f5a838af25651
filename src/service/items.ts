import { v7 as uuidv7 } from 'uuid'
import type { Actor } from '../domain/actor.ts'
import { administers } from '../domain/places.ts'
import { Problem, says } from '../domain/problems.ts'
import type { Item, Kind } from '../domain/request.ts'
import { decodeCursor, pageOf, type Page } from './cursor.ts'
import { tenantHere, type Db } from './db.ts'
import { readParent } from './nodes.ts'
import { requireSkills } from './skills.ts'
import { rootOf } from './tenants.ts'
import { nextVersion } from './versions.ts'

export interface ItemView extends Omit<Item, 'id'> {
  category: string
  /** Code of the policy whose limits apply. */
  policy: string
  /** Codes of the skills it takes, for the candidates. */
  skills: string[]
  version: number
}

export interface ItemsQuery {
  kind?: Kind | undefined
  mode?: Item['mode'] | undefined
  wall?: boolean | undefined
  cursor?: string | undefined
  limit: number
}

/** The menu in force: of each item the newest version. */
export async function listItems(db: Db, { kind, mode, wall, cursor, limit }: ItemsQuery): Promise<Page<ItemView>> {
  const { rows } = await db.app.query<ItemView>({
    name: 'items',
    text: `SELECT * FROM (
        SELECT DISTINCT ON (code) code, name, kind, mode, wall, category, "policyCode" AS policy, grade, "gradePolicies", proof, skills, version FROM item
        WHERE "tenantId" = $1 AND code > $2 AND "retiredAt" IS NULL ORDER BY code, version DESC) i
      WHERE ($3::text IS NULL OR kind = $3) AND ($4::text IS NULL OR mode = $4) AND ($5::bool IS NULL OR wall = $5) ORDER BY code LIMIT $6`,
    values: [tenantHere(), cursor === undefined ? '' : decodeCursor(cursor, /^[\w.-]+$/), kind ?? null, mode ?? null, wall ?? null, limit + 1],
  })
  return pageOf(rows, limit, ({ code }) => code)
}

export type NewItem = Omit<ItemView, 'version' | 'skills'> & { skills?: string[] | undefined }

/**
 * A new item, or the next version of one: requests filed before keep theirs.
 * @throws Problem forbidden without `administer` over the whole tenant, validation-failed for a policy that does not reach everywhere or a skill that is none
 */
export async function putItem(db: Db, { code, name, category, kind, mode, wall, policy, grade, gradePolicies, proof, skills = [] }: NewItem, actor: Actor): Promise<ItemView> {
  const root = await readParent(db, await rootOf(db))
  if (!root || !administers(actor, root.path)) throw new Problem('forbidden')
  const tenantId = tenantHere()
  const known = await db.prisma.policy.findFirst({ where: { tenantId, code: policy, nodeId: root.id }, select: { id: true } })
  if (!known) throw new Problem('validation-failed', { errors: [{ pointer: '/policy', message: says('没有这个时限规则', 'No such policy') }] })
  await requireSkills(db, skills)
  const version = await nextVersion('item_tenantId_code_version_key', {
    newest: () => db.prisma.item.findFirst({ where: { tenantId, code }, select: { version: true }, orderBy: { version: 'desc' } }),
    write: (next) => db.prisma.item.create({ data: { tenantId, id: uuidv7(), code, version: next, name, category, kind, mode, wall, policyCode: policy, grade, gradePolicies, proof, skills } }),
  })
  return { code, version, name, category, kind, mode, wall, policy, grade, gradePolicies, proof, skills }
}
