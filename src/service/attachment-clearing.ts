import { KIB, QUOTA_KEY, type Files } from './attachments.ts'
import type { Db } from './db.ts'

/** Uploaded and attached to nothing for so long: forgotten by whoever sent it. */
const LOOSE_FOR = `interval '24 hours'`
/** A storage that did not answer may still be writing. */
const WRITTEN_AFTER = `interval '10 minutes'`
const BATCH = 500

interface Erased {
  tenantId: string
  id: string
  key: string
  thumbKey: string | null
}

export interface Cleared {
  /** How many were cleared away. */
  cleared: number
  /** Tried again next time. */
  failed: { attachmentId: string; error: unknown }[]
}

/**
 * Clears away what nobody attached and what was erased: marked first, so that nothing attaches it any more, then the files,
 * then the row (an erased attachment's row stays, it is history) together with the room it held. Whatever ends this in
 * between, the next run goes on; two at once do no harm.
 */
export async function clearAttachments({ db, files }: { db: Db; files: Pick<Files, 'remove'> }): Promise<Cleared> {
  await db.system.query({
    name: 'attachment_mark_loose',
    text: `UPDATE attachment SET "erasedAt" = wishwall_now() WHERE ctid = ANY (ARRAY(SELECT ctid FROM attachment
        WHERE "requestId" IS NULL AND "erasedAt" IS NULL AND "createdAt" <= wishwall_now() - ${LOOSE_FOR} LIMIT ${BATCH} FOR UPDATE SKIP LOCKED))
      AND "requestId" IS NULL`,
  })
  const { rows } = await db.system.query<Erased>({
    name: 'attachment_erased',
    text: `SELECT "tenantId", id, key, "thumbKey" FROM attachment WHERE "erasedAt" IS NOT NULL AND key IS NOT NULL
      AND ("requestId" IS NOT NULL OR "createdAt" <= wishwall_now() - ${WRITTEN_AFTER}) ORDER BY "erasedAt" LIMIT ${BATCH}`,
  })
  const removed: Erased[] = []
  const failed: Cleared['failed'] = []
  for (const row of rows) {
    try {
      await files.remove(row.key)
      if (row.thumbKey !== null) await files.remove(row.thumbKey)
      removed.push(row)
    } catch (error) {
      failed.push({ attachmentId: row.id, error })
    }
  }
  if (removed.length > 0) await forget(db, removed)
  return { cleared: removed.length, failed }
}

const forget = (db: Db, removed: Erased[]): Promise<unknown> => db.system.query({
  name: 'attachment_forget',
  text: `
    WITH cleared AS (SELECT * FROM unnest($1::uuid[], $2::uuid[]) c ("tenantId", id)),
    gone AS (DELETE FROM attachment a USING cleared c WHERE a."tenantId" = c."tenantId" AND a.id = c.id AND a."requestId" IS NULL RETURNING a."tenantId", ${KIB} AS kib),
    emptied AS (UPDATE attachment a SET key = NULL, "thumbKey" = NULL FROM cleared c
      WHERE a."tenantId" = c."tenantId" AND a.id = c.id AND a."requestId" IS NOT NULL AND a.key IS NOT NULL RETURNING a."tenantId", ${KIB} AS kib),
    freed AS (SELECT "tenantId", sum(kib)::int AS kib FROM (TABLE gone UNION ALL TABLE emptied) f GROUP BY 1)
    UPDATE counter k SET value = greatest(0, k.value - f.kib) FROM freed f WHERE k."tenantId" = f."tenantId" AND k.key = '${QUOTA_KEY}'`,
  values: [removed.map(({ tenantId }) => tenantId), removed.map(({ id }) => id)],
})
