import { createHash } from 'node:crypto'
import type { PersonActor } from '../domain/actor.ts'
import type { ReadRow } from '../domain/imports.ts'
import { bigrams } from '../domain/search.ts'
import { doorKey } from '../domain/visits.ts'
import { tenantHere, type Db } from './db.ts'
import type { Keyring } from './keyring.ts'
import { hashed } from './name-grams.ts'
import { blindIndexes, openSubjects, type Personal } from './subjects.ts'

/**
 * What a row says and somebody has written already: people send a sheet again when they have corrected the rows that were
 * refused, or have pressed twice. Asked for places only that the actor may write at: it would tell others who lives there.
 */

export interface Wanted extends Pick<Personal, 'phone' | 'door'> {
  nodeId: string
  name: string
  login?: string | undefined
}

/** The same name, phone and door at the same place; one of whom nothing but the name is known may be two. @returns of each his id, in the order asked */
export async function knownPeople(db: Db, keyring: Keyring, wanted: readonly Wanted[]): Promise<(string | undefined)[]> {
  const byPhone = wanted.filter(({ phone }) => phone !== undefined)
  const byName = wanted.filter(({ phone, door }) => phone === undefined && door !== undefined)
  const rows = [
    ...(byPhone.length === 0 ? [] : (await db.app.query<Known>({
      name: 'import_known_by_phone',
      text: `WITH s AS MATERIALIZED (SELECT id FROM subject WHERE "tenantId" = $1 AND phone = ANY ($2::bytea[])) SELECT p.* FROM s ${PERSON('s.id')}`,
      values: [tenantHere(), byPhone.flatMap(({ phone }) => blindIndexes(keyring, 'phone', phone!)), byPhone.map(({ nodeId }) => nodeId)],
    })).rows),
    ...(byName.length === 0 ? [] : (await db.app.query<Known>({
      name: 'import_known_by_name',
      text: `WITH m AS MATERIALIZED (SELECT DISTINCT "subjectId" FROM subject_name WHERE "tenantId" = $1 AND gram = ANY ($2::bytea[])) SELECT p.* FROM m ${PERSON('m."subjectId"')}`,
      values: [tenantHere(), byName.flatMap(({ name }) => keyring.index.map((key) => hashed(key, [...bigrams(name)].at(-1) ?? ''))), byName.map(({ nodeId }) => nodeId)],
    })).rows),
  ]
  if (rows.length === 0) return wanted.map(() => undefined)
  const opened = await openSubjects(db, keyring, rows.map(({ subjectId }) => subjectId))
  return wanted.map(({ nodeId, name, phone, door, login }) => phone === undefined && door === undefined ? undefined : rows.find((row) => {
    const one = opened.get(row.subjectId)
    return row.nodeId === nodeId && one?.name === name && one.phone === phone && keyOf(one.door) === keyOf(door) && (login === undefined || row.login === login)
  })?.id)
}

interface Known {
  id: string
  nodeId: string
  subjectId: string
  login: string | null
}

/** By their subjects, which are few: not by their places, where many may live. */
const PERSON = (subject: string): string => `CROSS JOIN LATERAL (
  SELECT id, "nodeId", "subjectId", login FROM person WHERE "tenantId" = $1 AND "subjectId" = ${subject} AND "nodeId" = ANY ($3::uuid[]) OFFSET 0) p LIMIT ${MOST}`

const keyOf = (door: string | undefined): string | undefined => (door === undefined ? undefined : doorKey(door))

/** So many of these names or numbers are looked at. */
const MOST = 1_000

/** A slip in the same words, of the same place and time and the same hand. Of several that say the same in one sheet each is one. */
export async function knownSlip(
  db: Db, keyring: Keyring, nodeId: string, { item, title, description, filer }: { item: string; title: string; description?: string; filer?: { name: string } }, collectedAt: Date, { twin = 0 }: ReadRow,
): Promise<{ id: string } | undefined> {
  const { rows } = await db.app.query<{ id: string; subjectId: string | null }>({
    name: 'import_known_slip',
    text: `SELECT r.id, (SELECT p."subjectId" FROM person p WHERE p."tenantId" = $1 AND p.id = r."filerId") AS "subjectId" FROM request r JOIN item i ON i."tenantId" = r."tenantId" AND i.id = r."itemId"
      WHERE r."tenantId" = $1 AND r."responsibleNodeId" = $2 AND r."nodeId" = $2 AND r.source = 'mailbox' AND r."collectedAt" = $3 AND i.code = $4
        AND EXISTS (SELECT FROM text t WHERE t."tenantId" = $1 AND t."requestId" = r.id AND t.field = 'title' AND t.body = $5)
        AND (SELECT t.body FROM text t WHERE t."tenantId" = $1 AND t."requestId" = r.id AND t.field = 'description' ORDER BY t.seq LIMIT 1) IS NOT DISTINCT FROM $6::text
      ORDER BY r.id LIMIT ${MOST}`,
    values: [tenantHere(), nodeId, collectedAt, item, title, description ?? null],
  })
  if (filer === undefined || rows.length === 0) return rows[twin]
  const opened = await openSubjects(db, keyring, rows.flatMap(({ subjectId }) => subjectId ?? []))
  return rows.filter(({ subjectId }) => subjectId !== null && opened.get(subjectId)?.name === filer.name)[twin]
}

/** Visits that the visitor has sent before, by his numbers. */
export async function knownVisits(db: Db, refs: readonly string[], { id: personId }: PersonActor): Promise<Map<string, { id: string; fingerprint: Buffer }>> {
  const { rows } = await db.app.query<{ id: string; clientRef: string; fingerprint: Buffer }>({
    name: 'import_known_visits', text: `SELECT id, "clientRef", fingerprint FROM visit WHERE "tenantId" = $1 AND "personId" = $2 AND "clientRef" = ANY ($3::text[])`, values: [tenantHere(), personId, refs],
  })
  return new Map(rows.map(({ clientRef, ...visit }) => [clientRef, visit]))
}

/** What a visit of a sheet is called: the same in whichever sheet it stands. */
export function refOf(household: string, { values: { at, result, item, title }, twin = 0 }: ReadRow): string {
  return `import/${createHash('sha256').update(JSON.stringify([household, at, result, item, title, twin])).digest('hex').slice(0, 40)}`
}
