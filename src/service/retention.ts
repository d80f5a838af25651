import { termOf, type PrivacySettings, type RetentionClass } from '../domain/privacy.ts'
import { Problem } from '../domain/problems.ts'
import { inTenant, tenantHere, type Db } from './db.ts'
import { asEraser, overwrite, PETITIONED } from './eraser.ts'
import { eraseInTime } from './erasures.ts'
import { allTenants, tenant } from './tenants.ts'

/** 保存期限: destroys what is past its time, tenant by tenant, in batches. What is not said here is kept: see domain/field-inventory.ts. */

const BATCH = 200

export interface Retained {
  /** By what, how many were destroyed. */
  done: Record<RetentionClass, number>
  /** A batch was full: there is more to do at once. */
  more: boolean
  /** Left as they are for now, by the person's id. */
  failed: { personId: string; error: unknown }[]
}

/** One batch of everything, of every tenant. Safe to run twice and by several workers. */
export async function retainOnce(db: Db): Promise<Retained> {
  const done: Retained['done'] = { requests: 0, residents: 0, attachments: 0, notifications: 0, robotMessages: 0, operations: 0, lockouts: 0, reveals: 0 }
  const failed: Retained['failed'] = []
  let more = false
  for (const { id } of await allTenants(db)) {
    await inTenant(id, async () => {
      const { privacy } = (await tenant(db)).settings
      for (const what of ['requests', 'attachments'] as const) done[what] += await closedLongAgo(db, what, privacy)
      for (const what of Object.keys(OLD) as (keyof typeof OLD)[]) done[what] += await deleted(db, what, privacy)
      const residents = await withoutPurpose(db, privacy)
      for (const personId of residents) {
        try {
          await eraseInTime(db, personId)
          done.residents++
        } catch (error) {
          // He came back meanwhile.
          if (!(error instanceof Problem)) failed.push({ personId, error })
        }
      }
    })
    more ||= Object.values(done).some((count) => count >= BATCH)
  }
  return { done, more, failed }
}

/**
 * Requests in the order of their closing, from where the last batch ended. Reopened and closed again, one comes again.
 * The mark is locked: two workers take turns.
 */
const closedLongAgo = (db: Db, what: 'requests' | 'attachments', privacy: PrivacySettings | undefined): Promise<number> => asEraser(db, async (client) => {
  await client.query({
    name: 'retention_begin', values: [tenantHere(), what],
    text: `INSERT INTO retention_mark ("tenantId", what, "doneAt", "doneId") VALUES ($1, $2, '2000-01-01Z', '00000000-0000-0000-0000-000000000000') ON CONFLICT DO NOTHING`,
  })
  const { rows: [mark] } = await client.query<{ doneAt: Date; doneId: string }>({
    name: 'retention_mark', text: `SELECT "doneAt", "doneId" FROM retention_mark WHERE "tenantId" = $1 AND what = $2 FOR UPDATE`, values: [tenantHere(), what],
  })
  const { rows } = await client.query<{ id: string; closedAt: Date }>({
    name: 'retention_closed',
    text: `SELECT r.id, r."closedAt" FROM request r WHERE r."tenantId" = $1 AND (r."closedAt", r.id) > ($2::timestamptz, $3::uuid)
        AND r."closedAt" <= wishwall_now() - $4::int * interval '1 day' ORDER BY r."closedAt", r.id LIMIT ${BATCH}`,
    values: [tenantHere(), mark!.doneAt, mark!.doneId, termOf(privacy, what)],
  })
  const last = rows.at(-1)
  if (!last) return 0
  const ids = rows.map(({ id }) => id)
  if (what === 'requests') await overwrite(client, 'in_time', `SELECT x.id FROM unnest($3::uuid[]) x (id)`, [ids])
  else {
    await client.query({
      name: 'retention_attachments', values: [tenantHere(), ids],
      text: `UPDATE attachment SET "erasedAt" = wishwall_now() WHERE "tenantId" = $1 AND "requestId" = ANY ($2::uuid[]) AND "erasedAt" IS NULL`,
    })
  }
  await client.query({ name: 'retention_done', text: `UPDATE retention_mark SET "doneAt" = $3, "doneId" = $4 WHERE "tenantId" = $1 AND what = $2`, values: [tenantHere(), what, last.closedAt, last.id] })
  return rows.length
})

/** Rows that hold ids and codes, and are of no use any more. */
const OLD: Record<Exclude<RetentionClass, 'requests' | 'attachments' | 'residents'>, { table: string; where: string }> = {
  notifications: {
    table: 'notification',
    where: `EXISTS (SELECT FROM feed f WHERE f."tenantId" = $1 AND f.position = x.position AND f.at <= wishwall_now() - $2::int * interval '1 day')`,
  },
  robotMessages: { table: 'robot_message', where: `x."endedAt" <= wishwall_now() - $2::int * interval '1 day'` },
  operations: { table: 'operation', where: `x."endedAt" <= wishwall_now() - $2::int * interval '1 day'` },
  lockouts: { table: 'lockout', where: `x.until <= wishwall_now() - $2::int * interval '1 day'` },
  reveals: { table: 'reveal', where: `x.at <= wishwall_now() - $2::int * interval '1 day'` },
}

const deleted = (db: Db, what: keyof typeof OLD, privacy: PrivacySettings | undefined): Promise<number> => asEraser(db, async (client) => {
  const { table, where } = OLD[what]
  const { rowCount } = await client.query({
    name: `retention_${table}`,
    text: `DELETE FROM ${table} WHERE ctid = ANY (ARRAY(SELECT x.ctid FROM ${table} x WHERE x."tenantId" = $1 AND ${where} LIMIT 5000))`,
    values: [tenantHere(), termOf(privacy, what)],
  })
  return rowCount ?? 0
})

/** Residents without an account all of whose requests were closed long ago, and who hold nothing. */
async function withoutPurpose(db: Db, privacy: PrivacySettings | undefined): Promise<string[]> {
  const { rows } = await db.app.query<{ id: string }>({
    name: 'retention_residents',
    text: `SELECT p.id FROM person p JOIN subject s ON s."tenantId" = p."tenantId" AND s.id = p."subjectId" AND s."erasedAt" IS NULL
      WHERE p."tenantId" = $1 AND p."passwordHash" IS NULL AND p."createdAt" <= wishwall_now() - $2::int * interval '1 day'
        AND NOT EXISTS (SELECT FROM request r WHERE r."tenantId" = $1 AND ${PETITIONED('p.id')} AND (r."closedAt" IS NULL OR r."closedAt" > wishwall_now() - $2::int * interval '1 day'))
        AND NOT EXISTS (SELECT FROM duty d WHERE d."tenantId" = $1 AND (d."personId" = p.id OR d."standInId" = p.id) AND (d."to" IS NULL OR d."to" > wishwall_now() - $2::int * interval '1 day'))
        AND NOT EXISTS (SELECT FROM affiliation a WHERE a."tenantId" = $1 AND a."personId" = p.id AND a."endedAt" IS NULL AND a."rejectedAt" IS NULL)
        AND NOT EXISTS (SELECT FROM skill_holder k WHERE k."tenantId" = $1 AND k."personId" = p.id AND k."endedAt" IS NULL)
        AND NOT EXISTS (SELECT FROM assignment s WHERE s."tenantId" = $1 AND s.status = 'active' AND (s."personId" = p.id OR s."memberId" = p.id))
      ORDER BY p.id LIMIT ${BATCH}`,
    values: [tenantHere(), termOf(privacy, 'residents')],
  })
  return rows.map(({ id }) => id)
}
