import { createHmac } from 'node:crypto'
import type pg from 'pg'
import { bigrams } from '../domain/search.ts'
import { tenantHere } from './db.ts'
import type { Keyring, SecretKey } from './keyring.ts'

/**
 * What is written down of a name so that it is found without being readable: each two neighbours, of simplified characters,
 * as a keyed hash of its own. Who has the table and not the key learns how often a pair occurs in a tenant, and nothing else.
 */

/** 128 bits: two pairs never look alike. */
const BYTES = 16

export const hashed = ({ secret }: SecretKey, gram: string): Buffer => createHmac('sha256', secret).update(`name/${tenantHere()}/${gram}`).digest().subarray(0, BYTES)

/** What is written of a name, under the newest key. Nothing where there is no name. */
export function nameGrams(keyring: Keyring, name: string | undefined): { namesKid: string; names: Buffer[] } {
  const [key] = keyring.index
  return { namesKid: key.kid, names: name === undefined ? [] : [...bigrams(name)].map((gram) => hashed(key, gram)) }
}

/** Instead of what was written before. In the transaction of whoever holds the subject's row, after it took it. */
export async function replaceNames(client: Pick<pg.ClientBase, 'query'>, subjectId: string, names: readonly Buffer[]): Promise<void> {
  await client.query({
    name: 'replace_names',
    text: `WITH past AS (UPDATE subject_name SET gram = NULL WHERE "tenantId" = $1 AND "subjectId" = $2 AND n > cardinality($3::bytea[]) AND gram IS NOT NULL)
      INSERT INTO subject_name ("tenantId", "subjectId", n, gram) SELECT $1, $2, o, g FROM unnest($3::bytea[]) WITH ORDINALITY AS t(g, o)
      ON CONFLICT ("tenantId", "subjectId", n) DO UPDATE SET gram = excluded.gram`,
    values: [tenantHere(), subjectId, names],
  })
}
