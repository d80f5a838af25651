import type pg from 'pg'
import { v7 as uuidv7 } from 'uuid'
import { SYSTEM, type Actor } from '../domain/actor.ts'
import { inPerson, looksAfter } from '../domain/directory.ts'
import type { ErasureReason } from '../domain/privacy.ts'
import { Problem, says } from '../domain/problems.ts'
import { forgetActor } from './actors.ts'
import { account } from './audit.ts'
import { inTenant, tenantHere, type Db } from './db.ts'
import { asEraser, erasePersonRows, overwriteOf, PETITIONED } from './eraser.ts'
import { findPerson } from './people.ts'

/** 删除: destroying what is known of a person (个人信息保护法 第四十七条), and the ledger that keeps it destroyed after a restore. */

/** A line of the ledger: ids and codes, nothing of the person. */
export interface Erasure {
  tenantId: string
  id: string
  personId: string
  reason: ErasureReason | 'retention'
  /** Null: the system, when the time was over. */
  actorId: string | null
  /** RFC 3339. */
  at: string
}

/** @throws Problem not-found out of sight; forbidden unless the actor, in person, administers every place of the person; person-erased; on-duty; requests-open with their numbers */
export async function erasePerson(db: Db, ref: string, reason: ErasureReason, actor: Actor): Promise<Erasure> {
  const { id, paths } = await findPerson(db, ref, actor)
  if (!inPerson(actor) || !looksAfter(actor, paths)) throw new Problem('forbidden')
  return erase(db, id, reason, actor)
}

/** @throws Problem forbidden for an app, validation-failed unconfirmed, person-erased, on-duty, requests-open */
export async function eraseSelf(db: Db, confirmed: boolean, actor: Actor): Promise<Erasure> {
  if (actor.kind !== 'person') throw new Problem('forbidden')
  if (!confirmed) throw new Problem('validation-failed', { errors: [{ pointer: '/confirm', code: 'value', message: says('请确认删除', 'Confirm the erasure') }] })
  return erase(db, actor.id, 'asked', actor)
}

/** By the system, when the time is over. */
export const eraseInTime = (db: Db, personId: string): Promise<Erasure> => erase(db, personId, 'retention', SYSTEM)

async function erase(db: Db, personId: string, reason: Erasure['reason'], actor: Actor): Promise<Erasure> {
  const entry = await asEraser(db, async (client) => {
    const subjectId = await lockedSubject(client, personId)
    if (subjectId === undefined) throw new Problem('person-erased')
    await refuseWhileNeeded(client, personId)
    const words = await erasePersonRows(client, personId, subjectId)
    await account(client, actor, { action: 'erasure.done', object: 'person', objectId: personId, details: { reason, words } })
    return enter(client, { tenantId: tenantHere(), id: uuidv7(), personId, reason, actorId: actor.kind === 'person' ? actor.id : null })
  })
  forgetActor(db, personId)
  return entry
}

/** @returns undefined when there is no such person, or nothing left of him */
async function lockedSubject(client: pg.ClientBase, personId: string): Promise<string | undefined> {
  const { rows: [row] } = await client.query<{ subjectId: string }>({
    name: 'erase_lock',
    text: `SELECT p."subjectId" FROM person p JOIN subject s ON s."tenantId" = p."tenantId" AND s.id = p."subjectId"
      WHERE p."tenantId" = $1 AND p.id = $2 AND s."erasedAt" IS NULL FOR UPDATE OF p, s`,
    values: [tenantHere(), personId],
  })
  return row?.subjectId
}

const MOST_NAMED = 20

/** What is open goes on with words and a person to call: it is withdrawn or ended first, by those whose decision that is. */
async function refuseWhileNeeded(client: pg.ClientBase, personId: string): Promise<void> {
  const { rows: [standing] } = await client.query<{ onDuty: boolean; numbers: string[] }>({
    name: 'erase_needed',
    text: `
      SELECT EXISTS (SELECT FROM duty d WHERE d."tenantId" = $1 AND d."personId" = $2 AND (d."to" IS NULL OR d."to" > wishwall_now())) AS "onDuty",
        ARRAY(SELECT r.number FROM request r WHERE r."tenantId" = $1 AND r."closedAt" IS NULL AND (${PETITIONED('$2')}
          OR r.id IN (SELECT s."requestId" FROM assignment s WHERE s."tenantId" = $1 AND s.status IN ('active', 'pending') AND (s."personId" = $2 OR s."memberId" = $2)))
          ORDER BY r.number LIMIT ${MOST_NAMED}) AS numbers`,
    values: [tenantHere(), personId],
  })
  if (standing!.onDuty) throw new Problem('on-duty')
  if (standing!.numbers.length > 0) {
    throw new Problem('requests-open', { facts: { requests: standing!.numbers }, detail: says('请先撤单或办结', 'Have them withdrawn or closed first') })
  }
}

/** Into the ledger; as it was, when it is replayed. */
async function enter(client: pg.ClientBase, { id, personId, reason, actorId, at }: Omit<Erasure, 'at'> & { at?: string }): Promise<Erasure> {
  const { rows: [row] } = await client.query<{ at: Date }>({
    name: 'erasure_enter',
    text: `INSERT INTO erasure ("tenantId", id, "personId", reason, "actorId", at)
      SELECT $1, $2, $3, $4, (SELECT p.id FROM person p WHERE p."tenantId" = $1 AND p.id = $5), COALESCE($6, wishwall_now()) ON CONFLICT DO NOTHING RETURNING at`,
    values: [tenantHere(), id, personId, reason, actorId, at ?? null],
  })
  return { tenantId: tenantHere(), id, personId, reason, actorId, at: at ?? row!.at.toISOString() }
}

export interface Replayed {
  /** Were there again, and are gone now. */
  erased: number
  /** Gone already. */
  known: number
  /** Not in this database: they came after the backup was made. */
  unknown: number
}

/** Erases again whoever a restore has brought back, whatever has been open at the time of the backup. Safe to run twice. */
export async function replayErasures(db: Db, entries: readonly Erasure[]): Promise<Replayed> {
  const replayed: Replayed = { erased: 0, known: 0, unknown: 0 }
  for (const entry of entries) replayed[await inTenant(entry.tenantId, () => replay(db, entry))]++
  return replayed
}

const replay = (db: Db, entry: Erasure): Promise<keyof Replayed> => asEraser(db, async (client) => {
  const { rows: [person] } = await client.query<{ entered: boolean }>({
    name: 'erasure_known',
    text: `SELECT EXISTS (SELECT FROM erasure e WHERE e."tenantId" = $1 AND e."personId" = $2) AS entered FROM person p WHERE p."tenantId" = $1 AND p.id = $2`,
    values: [entry.tenantId, entry.personId],
  })
  if (!person) return 'unknown'
  const subjectId = await lockedSubject(client, entry.personId)
  if (subjectId !== undefined) {
    const words = await erasePersonRows(client, entry.personId, subjectId)
    await account(client, SYSTEM, { action: 'erasure.done', object: 'person', objectId: entry.personId, details: { reason: entry.reason, words, replayed: true } })
  }
  if (!person.entered) await enter(client, entry)
  return subjectId === undefined ? 'known' : 'erased'
})

/** The ledger of all tenants, oldest first. @param since left out: the whole of it */
export async function erasures(db: Db, since: Date | null = null): Promise<Erasure[]> {
  const { rows } = await db.system.query<Omit<Erasure, 'at'> & { at: Date }>({
    name: 'erasures', text: `SELECT "tenantId", id, "personId", reason, "actorId", at FROM erasure WHERE $1::timestamptz IS NULL OR at >= $1 ORDER BY at, id`, values: [since],
  })
  return rows.map(({ at, ...row }) => ({ ...row, at: at.toISOString() }))
}

/** A token may be good for seconds after its person was erased: what was filed in them is overwritten as well. */
export async function eraseLatecomers(db: Db): Promise<void> {
  const { rows } = await db.system.query<{ tenantId: string; personId: string }>({
    name: 'erasures_late', text: `SELECT "tenantId", "personId" FROM erasure WHERE at > wishwall_now() - interval '15 minutes'`,
  })
  for (const { tenantId, personId } of rows) await inTenant(tenantId, () => asEraser(db, (client) => overwriteOf(client, personId)))
}
