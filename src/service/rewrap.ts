import type pg from 'pg'
import { inTenant } from './db.ts'
import type { Keyring } from './keyring.ts'
import { takeInNames } from './names.ts'
import { placeOf as robotPlace } from './robot-secrets.ts'
import { seal, unseal } from './seal.ts'
import { place as subjectPlace } from './subjects.ts'
import { placeOf as totpPlace } from './totp.ts'
import { placeOf as secretPlace } from './webhook-secrets.ts'

interface Row {
  tenantId: string
  /** What names the row in its tenant, as text. */
  key: string[]
  kid: string
  sealed: Buffer
}

interface Sealed {
  table: string
  /** Of the primary key, after the tenant. */
  keys: readonly string[]
  /** What is sealed by the keyring's key. */
  column: string
  place: (row: Row) => string
}

/**
 * All that lies sealed by the keyring for longer than a day. Answers kept for replay and what operations are still to do are
 * not among it: they are gone before a retired key is taken out.
 */
const SEALED: readonly Sealed[] = [
  { table: 'subject', keys: ['id'], column: 'key', place: ({ key: [id] }) => subjectPlace('key', id!) },
  { table: 'webhook_secret', keys: ['endpointId', 'id'], column: 'sealed', place: ({ tenantId, key: [endpointId, id] }) => secretPlace({ tenantId, endpointId: endpointId! }, id!) },
  { table: 'robot', keys: ['id'], column: 'sealed', place: ({ tenantId, key: [robotId] }) => robotPlace({ tenantId, robotId: robotId! }) },
  { table: 'totp', keys: ['personId'], column: 'sealed', place: ({ key: [personId] }) => totpPlace(personId!) },
]

const BATCH = 500

/**
 * Seals anew, by the key that makes, whatever an older one sealed; a subject's own data stay as they are, only their key is
 * sealed. Row by row as it is found: broken off, it goes on where it was, and what changes meanwhile stays changed.
 * @param client as the owner of the tables, over all tenants
 * @returns how many of each table
 * @throws Error when the keyring lacks the key of a row, or a row was moved
 */
export async function rewrap(client: pg.ClientBase, keyring: Keyring, progress: (table: string, count: number) => void = () => {}): Promise<Record<string, number>> {
  const [{ kid: newest, secret }] = keyring.seal
  const done: Record<string, number> = {}
  for (const { table, keys, column, place } of SEALED) {
    const key = keys.map((name) => `"${name}"`).join(', ')
    done[table] = 0
    for (let after: readonly string[] = []; ;) {
      const { rows }: { rows: Row[] } = await client.query<Row>(
        `SELECT "tenantId", ARRAY[${key}]::text[] AS key, kid, ${column} AS sealed FROM ${table} WHERE ${column} IS NOT NULL AND kid <> $1
           ${after.length > 0 ? `AND ("tenantId", ${key}) > (${after.map((_, index) => `$${index + 2}::uuid`).join(', ')})` : ''} ORDER BY "tenantId", ${key} LIMIT ${BATCH}`,
        [newest, ...after])
      for (const row of rows) {
        const old = keyring.seal.find((one) => one.kid === row.kid)
        if (!old) throw new Error(`the keyring has no key ${row.kid} for ${table} ${row.key.join('/')}`)
        const sealed = inTenant(row.tenantId, () => seal(secret, unseal(old.secret, row.sealed, place(row)), place(row)))
        const { rowCount } = await client.query(
          `UPDATE ${table} SET ${column} = $1, kid = $2 WHERE "tenantId" = $3 AND (${key}) = (${row.key.map((_, index) => `$${index + 5}::uuid`).join(', ')}) AND ${column} = $4`,
          [sealed, newest, row.tenantId, row.sealed, ...row.key])
        done[table] += rowCount ?? 0
      }
      if (rows.length < BATCH) break
      after = [rows.at(-1)!.tenantId, ...rows.at(-1)!.key]
      progress(table, done[table])
    }
  }
  // Names are hashed anew by the index key that makes; both are found until then.
  done['subject_name'] = 0
  for (let after: Awaited<ReturnType<typeof takeInNames>>['last'] = null; ;) {
    await client.query('BEGIN')
    const batch: Awaited<ReturnType<typeof takeInNames>> = await takeInNames(client, keyring, { older: true, after })
    await client.query('COMMIT')
    if (batch.failed.length > 0) throw new Error(`the keyring does not open subject ${batch.failed[0]}`)
    done['subject_name'] += batch.done
    if (batch.last === null) return done
    after = batch.last
    progress('subject_name', done['subject_name'])
  }
}
