import type pg from 'pg'
import { bigrams } from '../domain/search.ts'
import { inTenant, tenantHere, type Db } from './db.ts'
import type { Keyring } from './keyring.ts'
import { hashed, nameGrams } from './name-grams.ts'
import { openSubject, type SealedSubject } from './subjects.ts'
import { transaction } from './transaction.ts'

/** Finding people by their names, see name-grams.ts. */

/** Names of this many people are collected; what more have is asked of each row while walking from the newest on. */
const RARE = 2_000

export type Namesakes =
  | { subjects: string[] }
  /** Under each key of the ring: the hashes, in hex, all of which a subject has. */
  | { frequent: string[][] }

/** Whoever has the word in his name, of two characters at least. Of three and more: all pairs of it. */
export async function namesakes(db: Db, keyring: Keyring, word: string): Promise<Namesakes> {
  const grams = [...bigrams(word)]
  const rings = keyring.index.map((key) => grams.map((gram) => hashed(key, gram)))
  const { rows } = await db.app.query<{ many: number }>({
    name: 'name_frequency',
    text: `SELECT (SELECT count(*)::int FROM (SELECT FROM subject_name s WHERE s."tenantId" = $1 AND s.gram = t.g LIMIT ${RARE + 1}) x) AS many FROM unnest($2::bytea[]) WITH ORDINALITY AS t(g, o) ORDER BY o`,
    values: [tenantHere(), rings.flat()],
  })
  const counted = rings.map((ring, index) => {
    const many = rows.slice(index * grams.length, (index + 1) * grams.length).map((row) => row.many)
    const least = Math.min(...many)
    return { ring, least, lead: ring[many.indexOf(least)]! }
  })
  if (counted.some(({ least }) => least > RARE)) return { frequent: rings.map((ring) => ring.map((hash) => hash.toString('hex'))) }
  const found = await Promise.all(counted.filter(({ least }) => least > 0).map(({ ring, lead }) => db.app.query<{ subjectId: string }>({
    name: 'namesakes',
    text: `SELECT s."subjectId" FROM subject_name s WHERE s."tenantId" = $1 AND s.gram = $2 AND ${ALL_OF('s."subjectId"', 'unnest($3::bytea[])')}`,
    values: [tenantHere(), lead, ring],
  })))
  return { subjects: [...new Set(found.flatMap(({ rows: each }) => each.map(({ subjectId }) => subjectId)))] }
}

const ALL_OF = (subject: string, grams: string): string =>
  `NOT EXISTS (SELECT FROM ${grams} g WHERE NOT EXISTS (SELECT FROM subject_name m WHERE m."tenantId" = $1 AND m."subjectId" = ${subject} AND m.gram = g))`

/** Whether a subject has one of the lists in `frequent`, of a parameter that holds them as JSON. */
export const named = (subject: string, lists: string): string =>
  `EXISTS (SELECT FROM jsonb_array_elements(${lists}) k WHERE ${ALL_OF(subject, `(SELECT decode(h, 'hex') AS g FROM jsonb_array_elements_text(k) h)`)})`

const BATCH = 500
type Row = Pick<SealedSubject, 'id' | 'key' | 'kid' | 'sealed'> & { tenantId: string }

/**
 * In a transaction, so that nobody changes them meanwhile: takes in a batch of names that nobody wrote down yet, or that an older key made; broken off, it goes on where it was.
 * @param older also what was made by an older key: after a rotation (`keyring:rewrap`), as the owner
 * @returns how many subjects were done, and those whose key is not in the keyring: they are tried again
 */
export async function takeInNames(client: pg.ClientBase, keyring: Keyring, { older = false, after = null }: { older?: boolean; after?: Row | null } = {}): Promise<{ done: number; failed: string[]; last: Row | null }> {
  const { rows } = await client.query<Row>(
    `SELECT "tenantId", id, key, kid, sealed FROM subject WHERE key IS NOT NULL AND ("namesKid" IS NULL${older ? ' OR "namesKid" <> $1' : ''})
       ${after ? `AND ("tenantId", id) > ($${older ? 2 : 1}::uuid, $${older ? 3 : 2}::uuid)` : ''} ORDER BY "tenantId", id LIMIT ${BATCH} FOR NO KEY UPDATE SKIP LOCKED`,
    [...(older ? [keyring.index[0].kid] : []), ...(after ? [after.tenantId, after.id] : [])])
  const failed: string[] = []
  const taken = rows.flatMap((row) => inTenant(row.tenantId, () => {
    try {
      const { namesKid, names } = nameGrams(keyring, openSubject(keyring, row).name)
      return [{ tenantId: row.tenantId, id: row.id, kid: namesKid, names: names.map((hash) => hash.toString('hex')) }]
    } catch {
      failed.push(row.id)
      return []
    }
  }))
  await client.query(
    `WITH r AS MATERIALIZED (SELECT * FROM jsonb_to_recordset($1::jsonb) AS r("tenantId" uuid, id uuid, kid text, names text[])),
      u AS (UPDATE subject s SET "namesKid" = r.kid FROM r WHERE s."tenantId" = r."tenantId" AND s.id = r.id)
    INSERT INTO subject_name ("tenantId", "subjectId", n, gram) SELECT r."tenantId", r.id, o, decode(g, 'hex') FROM r CROSS JOIN LATERAL unnest(r.names) WITH ORDINALITY AS t(g, o)
    ON CONFLICT ("tenantId", "subjectId", n) DO UPDATE SET gram = excluded.gram`, [JSON.stringify(taken)])
  return { done: taken.length, failed, last: rows.at(-1) ?? null }
}

/** One batch by the worker, over all tenants. */
export const takeInNamesOnce = async (db: Db, keyring: Keyring): Promise<{ done: number; failed: string[] }> =>
  transaction(db.system, (client) => takeInNames(client, keyring))
