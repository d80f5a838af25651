import { v7 as uuidv7 } from 'uuid'
import type { PersonActor } from '../domain/actor.ts'
import { REVEALED_FIELDS, type RevealedField, type RevealReason } from '../domain/privacy.ts'
import { mayReveal } from '../domain/reveal.ts'
import { tenantHere, type Db } from './db.ts'
import type { Keyring } from './keyring.ts'
import { openSubjects, type Personal } from './subjects.ts'

/** Who is shown in clear in an export, each on record before anybody reads it. */

export interface Unmasked {
  reason: RevealReason
  actor: PersonActor
}

/** @param shown persons, and the requests they are shown with */
export async function recordShown(db: Db, shown: readonly { person: string; request: string | null }[], fields: readonly RevealedField[], { reason, actor }: Unmasked): Promise<void> {
  if (shown.length === 0) return
  await db.app.query({
    name: 'export_reveals',
    text: `INSERT INTO reveal ("tenantId", id, "personId", "requestId", "actorId", "clientId", reason, fields, at)
      SELECT $1, i, p, r, $5, $6, $7, $8::text[], wishwall_now() FROM unnest($2::uuid[], $3::uuid[], $4::uuid[]) x (i, p, r)`,
    values: [tenantHere(), shown.map(() => uuidv7()), shown.map(({ person }) => person), shown.map(({ request }) => request), actor.id, actor.clientId, reason, fields],
  })
}

/** By person, of those whom the actor may be shown one by one: whoever has a duty at another place as well stays masked. Erased ones are left out. */
export async function openPeople(db: Db, keyring: Keyring, ids: readonly string[], unmasked: Unmasked): Promise<Map<string, Personal>> {
  const { rows } = await db.app.query<{ id: string; subjectId: string; hasAccount: boolean; paths: string[] }>({
    name: 'exported_people', values: [tenantHere(), ids],
    text: `SELECT p.id, p."subjectId", p."passwordHash" IS NOT NULL AS "hasAccount", ARRAY(SELECT n.path FROM node n WHERE n."tenantId" = $1 AND (
        (p."nodeId" IS NULL AND n."parentId" IS NULL) OR n.id = p."nodeId"
        OR n.id IN (SELECT d."nodeId" FROM duty d WHERE d."tenantId" = $1 AND p.id IN (d."personId", d."standInId") AND (d."to" IS NULL OR d."to" > wishwall_now())))) AS paths
      FROM person p JOIN subject s ON s."tenantId" = p."tenantId" AND s.id = p."subjectId" WHERE p."tenantId" = $1 AND p.id = ANY ($2::uuid[]) AND s."erasedAt" IS NULL`,
  })
  const shown = rows.filter((row) => mayReveal(unmasked.actor, row))
  await recordShown(db, shown.map(({ id }) => ({ person: id, request: null })), REVEALED_FIELDS, unmasked)
  const opened = await openSubjects(db, keyring, shown.map(({ subjectId }) => subjectId))
  return new Map(shown.flatMap(({ id, subjectId }) => (opened.has(subjectId) ? [[id, opened.get(subjectId)!] as const] : [])))
}
