import type pg from 'pg'
import { ERASED_WORDS } from '../domain/privacy.ts'
import { tenantHere, type Db } from './db.ts'
import { eraseSubject } from './subjects.ts'
import { transaction } from './transaction.ts'

/** What overwriting and deleting personal data is made of. Everything here runs as the one role that may, in the caller's tenant. */

/** One transaction as `wishwall_eraser`; the role ends with it, or before what it is a part of goes on. */
export const asEraser = <T>(db: Db, work: (client: pg.PoolClient) => Promise<T>): Promise<T> =>
  transaction(db.app, async (client) => {
    await client.query('SET LOCAL ROLE wishwall_eraser')
    const done = await work(client)
    await client.query('SET LOCAL ROLE wishwall_app')
    return done
  })

/** Requests `r` in which a person is a petitioner: what is said in them is said of him. */
export const PETITIONED = (person: string): string => `(r."filerId" = ${person} OR r."beneficiaryId" = ${person} OR r."guardianId" = ${person})`

/**
 * Overwrites the words and the wall entries of requests, marks their attachments for the clearing, and forgets kept answers.
 * @param mine SQL of the ids, with `values` from $3 on
 * @returns how many texts were overwritten
 */
export async function overwrite(client: pg.ClientBase, name: string, mine: string, values: readonly unknown[]): Promise<number> {
  const { rows: [done] } = await client.query<{ words: number }>({
    name: `overwrite_${name}`,
    text: `
      WITH mine AS (${mine}),
      words AS (UPDATE text t SET body = $2, "erasedAt" = wishwall_now() FROM mine WHERE t."tenantId" = $1 AND t."requestId" = mine.id AND t."erasedAt" IS NULL RETURNING 1),
      walls AS (UPDATE wall_entry w SET title = $2, text = NULL FROM mine WHERE w."tenantId" = $1 AND w."requestId" = mine.id AND (w.text IS NOT NULL OR w.title <> $2)),
      files AS (UPDATE attachment a SET "erasedAt" = wishwall_now() FROM mine WHERE a."tenantId" = $1 AND a."requestId" = mine.id AND a."erasedAt" IS NULL),
      reasons AS (UPDATE audit_reason w SET body = $2, "erasedAt" = wishwall_now() FROM audit_entry e, mine WHERE e."tenantId" = $1 AND e."objectId" = mine.id
        AND w."tenantId" = $1 AND w."entryId" = e.id AND w."erasedAt" IS NULL),
      forms AS (UPDATE subject s SET key = NULL, kid = NULL, sealed = NULL, "erasedAt" = wishwall_now() FROM form_answer f, mine
        WHERE f."tenantId" = $1 AND f."requestId" = mine.id AND s."tenantId" = $1 AND s.id = f."subjectId" AND s."erasedAt" IS NULL),
      answers AS (DELETE FROM idempotency i USING mine WHERE i."tenantId" = $1 AND i."requestId" = mine.id)
      SELECT count(*)::int AS words FROM words`,
    values: [tenantHere(), ERASED_WORDS, ...values],
  })
  return done!.words
}

export const overwriteOf = (client: pg.ClientBase, personId: string): Promise<number> =>
  overwrite(client, 'of_person', `SELECT r.id FROM request r WHERE r."tenantId" = $1 AND ${PETITIONED('$3')}`, [personId])

/** Sheets that brought him or his requests: what a background task has read lies sealed by a key that is not his. One under way is over within the hour, and goes by its term. */
async function forgetSheets(client: pg.ClientBase, personId: string): Promise<void> {
  await client.query({
    name: 'erase_sheets',
    text: `WITH his AS MATERIALIZED (SELECT $2::uuid AS id UNION ALL SELECT r.id FROM request r WHERE r."tenantId" = $1 AND ${PETITIONED('$2')}),
        made AS MATERIALIZED (SELECT id FROM his UNION ALL SELECT n."visitId" FROM visit_need n JOIN his ON his.id = n."requestId" WHERE n."tenantId" = $1)
      DELETE FROM operation o WHERE o."tenantId" = $1 AND o.kind = 'import' AND o."endedAt" IS NOT NULL
        AND EXISTS (SELECT FROM import_row i WHERE i."tenantId" = $1 AND i."operationId" = o.id AND i."madeId" IN (SELECT id FROM made))`,
    values: [tenantHere(), personId],
  })
}

/** Closes the account and every tie, and takes away whatever is the person's alone. Ids stay: history is told by them. @returns how many texts were overwritten */
export async function erasePersonRows(client: pg.ClientBase, personId: string, subjectId: string): Promise<number> {
  const words = await overwriteOf(client, personId)
  await forgetSheets(client, personId)
  await client.query({
    name: 'erase_person',
    text: `
      WITH p AS (UPDATE person SET login = NULL, "passwordHash" = NULL, "passwordOnce" = false, "nodeId" = NULL, "suspendedAt" = COALESCE("suspendedAt", wishwall_now())
        WHERE "tenantId" = $1 AND id = $2),
      d AS (UPDATE duty SET "to" = GREATEST(wishwall_now(), "from" + interval '1 millisecond') WHERE "tenantId" = $1 AND "personId" = $2 AND ("to" IS NULL OR "to" > wishwall_now())),
      i AS (UPDATE duty SET "standInId" = NULL, "standInFrom" = NULL, "standInTo" = NULL WHERE "tenantId" = $1 AND "standInId" = $2 AND "personId" <> $2),
      a AS (UPDATE affiliation SET "endedAt" = wishwall_now(), reason = 'erased' WHERE "tenantId" = $1 AND "personId" = $2 AND "endedAt" IS NULL),
      k AS (UPDATE skill_holder SET "endedAt" = wishwall_now() WHERE "tenantId" = $1 AND "personId" = $2 AND "endedAt" IS NULL),
      f AS (UPDATE attachment SET "erasedAt" = wishwall_now() WHERE "tenantId" = $1 AND "ownerPersonId" = $2 AND "requestId" IS NULL AND "erasedAt" IS NULL),
      x AS (DELETE FROM external_user WHERE "tenantId" = $1 AND "personId" = $2),
      n AS (DELETE FROM notification WHERE "tenantId" = $1 AND "personId" = $2),
      o AS (UPDATE totp SET kid = NULL, sealed = NULL, recovery = '{}', "enrolledAt" = NULL, "confirmedAt" = NULL WHERE "tenantId" = $1 AND "personId" = $2),
      w AS (UPDATE audit_reason w SET body = $3, "erasedAt" = wishwall_now() FROM audit_entry e WHERE e."tenantId" = $1 AND e."objectId" = $2
        AND w."tenantId" = $1 AND w."entryId" = e.id AND w."erasedAt" IS NULL)
      DELETE FROM idempotency WHERE "tenantId" = $1 AND caller = $2`,
    values: [tenantHere(), personId, ERASED_WORDS],
  })
  await eraseSubject({ app: client }, subjectId)
  return words
}
