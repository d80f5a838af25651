import type pg from 'pg'
import { doorKey } from '../domain/visits.ts'
import { inTenant } from './db.ts'
import type { Keyring } from './keyring.ts'
import { blindIndexes, openSubject, type Personal, type SealedSubject } from './subjects.ts'

interface Row extends Pick<SealedSubject, 'id' | 'key' | 'kid' | 'sealed'> {
  tenantId: string
  /** Of the row with the index. */
  at: string
  /** What the index was made of, besides what is sealed. */
  more: string[]
  was: Buffer
}

/** By which something personal is found: worked out anew from what is sealed. */
interface Indexed {
  table: string
  column: string
  /** `i` is the table, `s` the subject. */
  from: string
  more: string
  what: Parameters<typeof blindIndexes>[1]
  /** Undefined where it cannot be told: it is found by the old key, as long as that is there. */
  value: (personal: Personal, more: readonly string[]) => string | undefined
}

const INDEXED: readonly Indexed[] = [
  { table: 'subject', column: 'phone', from: 'subject i JOIN subject s ON s."tenantId" = i."tenantId" AND s.id = i.id', more: `ARRAY[]::text[]`, what: 'phone', value: ({ phone }) => phone },
  {
    table: 'household', column: 'door', from: 'household i JOIN subject s ON s."tenantId" = i."tenantId" AND s.id = i."subjectId"', more: `ARRAY[i."nodeId"::text]`, what: 'door',
    value: ({ door }, [node]) => (door === undefined ? undefined : `${node!}/${doorKey(door)}`),
  },
  {
    table: 'external_user', column: 'openId', what: 'external-user',
    from: 'external_user i JOIN person p ON p."tenantId" = i."tenantId" AND p.id = i."personId" JOIN subject s ON s."tenantId" = p."tenantId" AND s.id = p."subjectId"',
    more: `ARRAY[i."clientId"::text, i.provider, i."appId", COALESCE(p.login, '')]`,
    value: ({ externalUser }, [client, provider, app, login]) => {
      // Whom a sandbox plays has no openId but his part (sandboxes.ts).
      const openId = externalUser?.startsWith(`${provider!}:${app!}:`) ? externalUser.slice(provider!.length + app!.length + 2) : provider === 'sandbox' ? login!.replace(/^TEST-/, '') : undefined
      return openId ? [client, provider, app, openId].join('/') : undefined
    },
  },
]

const BATCH = 500

/**
 * Phones, doors and openIds hashed anew by the index key that makes; both are found until then. Broken off, it does again what it has done, to no effect.
 * @param client as the owner of the tables, over all tenants
 * @returns how many of each table
 * @throws Error when the keyring lacks the key of a row
 */
export async function reindex(client: pg.ClientBase, keyring: Keyring, progress: (table: string, count: number) => void = () => {}): Promise<Record<string, number>> {
  const done: Record<string, number> = {}
  for (const { table, column, from, more, what, value } of INDEXED) {
    const name = `${table}.${column}`
    done[name] = 0
    // With one key there is no other to have made any.
    for (let after: [string, string] | null = null; keyring.index.length > 1;) {
      const { rows }: { rows: Row[] } = await client.query<Row>(
        `SELECT i."tenantId", i.id AS at, i."${column}" AS was, ${more} AS more, s.id, s.key, s.kid, s.sealed FROM ${from}
          WHERE i."${column}" IS NOT NULL AND s.key IS NOT NULL ${after ? 'AND (i."tenantId", i.id) > ($1::uuid, $2::uuid)' : ''} ORDER BY i."tenantId", i.id LIMIT ${BATCH}`, after ?? [])
      for (const row of rows) {
        const fresh = inTenant(row.tenantId, () => {
          const plain = value(openSubject(keyring, row), row.more)
          return plain === undefined ? row.was : blindIndexes(keyring, what, plain)[0]!
        })
        if (fresh.equals(row.was)) continue
        // What has been changed or erased meanwhile stays so; of two who came under different keys the later is found.
        const { rowCount } = await client.query(`UPDATE ${table} i SET "${column}" = $1 WHERE i."tenantId" = $2 AND i.id = $3 AND i."${column}" = $4${UNLESS_TAKEN[table] ?? ''}`, [fresh, row.tenantId, row.at, row.was])
        done[name] += rowCount ?? 0
      }
      const last = rows.at(-1)
      if (rows.length < BATCH || !last) break
      after = [last.tenantId, last.at]
      progress(name, done[name])
    }
  }
  return done
}

const UNLESS_TAKEN: Record<string, string> = {
  household: ` AND NOT EXISTS (SELECT FROM household o WHERE o."tenantId" = i."tenantId" AND o."nodeId" = i."nodeId" AND o.door = $1)`,
  external_user: ` AND NOT EXISTS (SELECT FROM external_user o WHERE o."tenantId" = i."tenantId" AND o."clientId" = i."clientId" AND o.provider = i.provider AND o."appId" = i."appId" AND o."openId" = $1)`,
}
