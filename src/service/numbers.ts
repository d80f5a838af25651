import { tenantHere, type Db } from './db.ts'
import { tenant } from './tenants.ts'

interface Block { next: number; end: number }
const BLOCK = 100

/** Blocks held by each pool: what a dead process had left of its block stays a gap. */
const held = new WeakMap<Db, Map<string, Block | Promise<void>>>()

/**
 * The next request number, `WX20261121-000123`, from a block leased to this process: filing never waits for filing.
 * Of a sandbox `TEST-WX…`: nobody takes what is tried for real.
 * @param day local day of the tenant, `2026-11-21`
 */
export async function nextNumber(db: Db, day: string): Promise<string> {
  const prefix = (await tenant(db)).sandbox ? 'TEST-WX' : 'WX'
  const blocks = held.get(db) ?? new Map<string, Block | Promise<void>>()
  held.set(db, blocks)
  const key = `${tenantHere()}/${day}`
  for (;;) {
    const block = blocks.get(key)
    if (block instanceof Promise) await block
    else if (block && block.next < block.end) return `${prefix}${day.replaceAll('-', '')}-${String(block.next++).padStart(6, '0')}`
    else blocks.set(key, lease(db, day).then((fresh) => void blocks.set(key, fresh), (error: unknown) => { blocks.delete(key); throw error }))
  }
}

async function lease(db: Db, day: string): Promise<Block> {
  const { rows } = await db.app.query<{ next: number }>({
    name: 'lease_numbers',
    text: `INSERT INTO number_block AS b ("tenantId", day, next) VALUES ($1, $2, 1 + $3) ON CONFLICT ("tenantId", day) DO UPDATE SET next = b.next + $3 RETURNING next`,
    values: [tenantHere(), day, BLOCK],
  })
  const end = rows[0]!.next
  return { next: end - BLOCK, end }
}
