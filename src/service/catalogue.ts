import { readPolicy, type Policy } from '../domain/policy.ts'
import type { Item } from '../domain/request.ts'
import { remember, tenantHere, type Reader } from './db.ts'

/** Versions of items and policies are immutable: once read they are kept. */
const FOR_EVER_MS = 24 * 3_600_000

export const item = (db: Reader, id: string): Promise<Item> =>
  remember(db, `item/${tenantHere()}/${id}`, FOR_EVER_MS, async () => {
    const { rows } = await db.app.query<Item>({
      name: 'item', text: `SELECT id, code, name, kind, mode, wall, grade, "gradePolicies", proof, form, review FROM item WHERE "tenantId" = $1 AND id = $2`, values: [tenantHere(), id],
    })
    if (!rows[0]) throw new Error(`item ${id} does not exist`)
    return rows[0]
  })

export const policy = (db: Reader, id: string): Promise<Policy> =>
  remember(db, `policy/${tenantHere()}/${id}`, FOR_EVER_MS, async () => {
    const { rows } = await db.app.query<{ body: unknown }>({
      name: 'policy', text: `SELECT body FROM policy WHERE "tenantId" = $1 AND id = $2`, values: [tenantHere(), id],
    })
    if (!rows[0]) throw new Error(`policy ${id} does not exist`)
    return readPolicy(rows[0].body)
  })
