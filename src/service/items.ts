import { v7 as uuidv7 } from 'uuid'
import type { Actor } from '../domain/actor.ts'
import { ordered, type Form } from '../domain/form.ts'
import { administers } from '../domain/places.ts'
import { Problem, says } from '../domain/problems.ts'
import type { Item, Kind } from '../domain/request.ts'
import { account } from './audit.ts'
import { decodeCursor, pageOf, type Page } from './cursor.ts'
import { tenantHere, type Db } from './db.ts'
import { compiledForm } from './forms.ts'
import { readParent } from './nodes.ts'
import { requireSkills } from './skills.ts'
import { rootOf } from './tenants.ts'
import { nextVersion } from './versions.ts'

export interface ItemView extends Omit<Item, 'id' | 'form' | 'review'> {
  form: Form | null
  review: boolean
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

const COLUMNS = `code, name, kind, mode, wall, category, "policyCode" AS policy, grade, "gradePolicies", proof, skills, form, review, version`

/** One item as it is in force. @throws Problem not-found */
export async function readItem(db: Db, code: string): Promise<ItemView & { id: string }> {
  const { rows: [row] } = await db.app.query<ItemView & { id: string; retiredAt: Date | null }>({
    name: 'item_in_force', text: `SELECT ${COLUMNS}, id, "retiredAt" FROM item WHERE "tenantId" = $1 AND code = $2 ORDER BY version DESC LIMIT 1`, values: [tenantHere(), code],
  })
  if (!row || row.retiredAt) throw new Problem('not-found')
  const { retiredAt: _, ...view } = row
  return view
}

/** The menu in force: of each item the newest version. */
export async function listItems(db: Db, { kind, mode, wall, cursor, limit }: ItemsQuery): Promise<Page<ItemView>> {
  const { rows } = await db.app.query<ItemView>({
    name: 'items',
    text: `SELECT * FROM (
        SELECT DISTINCT ON (code) ${COLUMNS} FROM item
        WHERE "tenantId" = $1 AND code > $2 AND "retiredAt" IS NULL ORDER BY code, version DESC) i
      WHERE ($3::text IS NULL OR kind = $3) AND ($4::text IS NULL OR mode = $4) AND ($5::bool IS NULL OR wall = $5) ORDER BY code LIMIT $6`,
    values: [tenantHere(), cursor === undefined ? '' : decodeCursor(cursor, /^[\w.-]+$/), kind ?? null, mode ?? null, wall ?? null, limit + 1],
  })
  return pageOf(rows, limit, ({ code }) => code)
}

export type NewItem = Omit<ItemView, 'version' | 'skills' | 'form' | 'review'> & { [Part in 'skills' | 'form' | 'review']?: ItemView[Part] | undefined }

/**
 * A new item, or the next version of one: requests filed before keep theirs.
 * @throws Problem forbidden without `administer` over the whole tenant, validation-failed for a policy that does not reach everywhere, a skill that is
 *   none or a form that cannot be read
 */
export async function putItem(db: Db, { code, name, category, kind, mode, wall, policy, grade, gradePolicies, proof, skills = [], form: given = null, review = false }: NewItem, actor: Actor): Promise<ItemView> {
  const root = await readParent(db, await rootOf(db))
  if (!root || !administers(actor, root.path)) throw new Problem('forbidden')
  const tenantId = tenantHere()
  for (const [pointer, one] of [['/policy', policy], ...Object.entries(gradePolicies).map(([of, one]) => [`/gradePolicies/${of}`, one])] as [string, string][]) {
    const known = await db.prisma.policy.findFirst({ where: { tenantId, code: one, nodeId: root.id }, select: { id: true } })
    if (!known) throw new Problem('validation-failed', { errors: [{ pointer, message: says('没有这个时限规则', 'No such policy') }] })
  }
  await requireSkills(db, skills)
  const form = given && ordered(given)
  if (form) compiledForm(form)
  const version = await nextVersion('item_tenantId_code_version_key', {
    newest: () => db.prisma.item.findFirst({ where: { tenantId, code }, select: { version: true }, orderBy: { version: 'desc' } }),
    write: (next) => db.prisma.$transaction(async (tx) => {
      const { id } = await tx.item.create({
        data: { tenantId, id: uuidv7(), code, version: next, name, category, kind, mode, wall, policyCode: policy, grade, gradePolicies, proof, skills, review, ...(form && { form }) }, select: { id: true },
      })
      await account(tx, actor, { action: 'item.changed', object: 'item', objectId: id, details: { code, version: next } })
    }),
  })
  return { code, version, name, category, kind, mode, wall, policy, grade, gradePolicies, proof, skills, form, review }
}
