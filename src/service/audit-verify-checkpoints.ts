import type pg from 'pg'
import { z } from 'zod'
import type { Faults } from './audit-faults.ts'
import { isSigned, type Checkpoint } from './audit-keys.ts'
import type { HeadRow } from './audit-verify.ts'
import type { Keyring } from './keyring.ts'

const digits = z.string().regex(/^\d{1,18}$/)

/** A checkpoint as logs and `GET /v1/audit/checkpoints` say it. */
export const shippedSchema = z.object({
  n: digits, position: digits, hash: z.string().regex(/^[\da-f]{64}$/), at: z.iso.datetime(), previous: digits, anchor: z.boolean().default(false),
  kid: z.string(), signature: z.base64url(),
})
export type ShippedCheckpoint = z.infer<typeof shippedSchema>

export const shippedOf = ({ n, position, hash, at, previous, anchor, kid, signature }: Checkpoint): ShippedCheckpoint =>
  ({ n: n.toString(), position: position.toString(), hash: hash.toString('hex'), at: at.toISOString(), previous: previous.toString(), anchor, kid, signature: signature.toString('base64url') })

type Row = Omit<Checkpoint, 'n' | 'position' | 'previous'> & { n: string; position: string; previous: string; linked: Buffer | null; linkedAt: string | null }

const BATCH = 1_000

interface Deps {
  keyring: Keyring
  faults: Faults
}

/** Signatures, the links they name, and that each names the one before. @returns how many there are */
export async function checkCheckpoints(client: pg.ClientBase, { keyring, head, faults }: Deps & { head: HeadRow | null }): Promise<number> {
  let last: Row | undefined
  let count = 0
  for (;;) {
    const { rows } = await client.query<Row>(
      `SELECT c.*, l.hash AS linked, l.position AS "linkedAt" FROM (SELECT * FROM audit_checkpoint WHERE n > $1 ORDER BY n LIMIT ${BATCH}) c LEFT JOIN audit_link l ON l.n = c.n ORDER BY c.n`,
      [last?.n ?? -1])
    for (const row of rows) {
      const at = { table: 'audit_checkpoint', n: row.n, position: row.position } as const
      if (!isSigned(keyring, row.anchor ? 'anchor' : 'checkpoint', stateOf(row), row)) faults.add({ kind: 'edited', ...at })
      else if (!row.anchor && (!row.linked?.equals(row.hash) || row.linkedAt !== row.position)) faults.add({ kind: row.linked ? 'edited' : 'deleted', table: 'audit_link', n: row.n, position: row.position })
      if (last && row.previous !== last.n && !row.anchor) faults.add({ kind: 'deleted', table: 'audit_checkpoint', n: row.previous })
      last = row
    }
    count += rows.length
    if (rows.length < BATCH) break
  }
  if (head && head.n !== '0' && (last?.n ?? '0') !== head.previous) faults.add({ kind: 'cut', table: 'audit_checkpoint', n: head.previous })
  return count
}

const stateOf = <T extends { n: string; position: string; previous: string }>(row: T) => ({ ...row, n: BigInt(row.n), position: BigInt(row.position), previous: BigInt(row.previous) })

/** What was kept elsewhere must still be so: a chain that was cut off, or written anew by whoever has the keys, is not. */
export async function checkShipped(client: pg.ClientBase, { keyring, shipped, end, from, faults }: Deps & { shipped: readonly ShippedCheckpoint[]; end: bigint; from: bigint }): Promise<void> {
  for (const one of shipped) {
    const state = { ...stateOf(one), hash: Buffer.from(one.hash, 'hex'), at: new Date(one.at) }
    const at = { n: one.n, position: one.position }
    if (!isSigned(keyring, one.anchor ? 'anchor' : 'checkpoint', state, { kid: one.kid, signature: Buffer.from(one.signature, 'base64url') })) {
      faults.add({ kind: 'edited', table: 'audit_checkpoint', ...at })
    } else if (state.n > end) faults.add({ kind: 'cut', table: 'audit_link', ...at })
    else if (state.n > from) {
      const { rows: [link] } = await client.query<{ hash: Buffer }>('SELECT hash FROM audit_link WHERE n = $1', [state.n])
      if (!link?.hash.equals(state.hash)) faults.add({ kind: 'edited', table: 'audit_link', ...at })
    }
  }
}
