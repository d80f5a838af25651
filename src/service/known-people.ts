import { tenantHere, type Db } from './db.ts'
import type { Keyring } from './keyring.ts'
import { findSubjects, openSubjects, type Personal } from './subjects.ts'

/**
 * Who is on record under this phone and this name: a neighbour who comes to the desk twice is one person, with one history.
 * A phone alone is not enough, since families share one; without a phone nobody can tell. The door may have changed.
 * Asked for staff only: anybody else would learn who is on record. Two at the same moment may still become two.
 * @returns his id; of several who were written down before this was looked for, one with an account first, then the oldest
 */
export async function knownPerson(db: Db, keyring: Keyring, { name, phone }: Pick<Personal, 'name' | 'phone'>): Promise<string | undefined> {
  if (name === undefined || phone === undefined) return undefined
  const subjects = await findSubjects(db, keyring, phone)
  if (subjects.length === 0) return undefined
  const opened = await openSubjects(db, keyring, subjects)
  const { rows } = await db.app.query<{ id: string }>({
    name: 'known_person', text: `SELECT id FROM person WHERE "tenantId" = $1 AND "subjectId" = ANY ($2::uuid[]) ORDER BY login IS NULL, id LIMIT 1`,
    values: [tenantHere(), subjects.filter((id) => opened.get(id)?.name === name)],
  })
  return rows[0]?.id
}
