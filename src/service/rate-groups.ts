import { maskName } from '../domain/masks.ts'
import { tenantHere, type Db } from './db.ts'
import type { Keyring } from './keyring.ts'
import { openSubjects } from './subjects.ts'

/** What groups of figures are called. */
export interface Keyed {
  kind: 'node' | 'item' | 'person' | 'organisation'
  /** Code of a node or an item, id of a person or an organisation. */
  key: string
  /** Of a person, masked. */
  name: string | null
}

const CONFIDENTIAL: Keyed = { kind: 'item', key: 'confidential', name: '保密' }

/** By key; what is not there any more is left out. */
export async function keyed(db: Db, keyring: Keyring, group: 'node' | 'item' | 'party', keys: readonly string[]): Promise<Map<string, Keyed>> {
  if (group === 'party') return parties(db, keyring, keys)
  const table = group === 'node' ? 'SELECT n.code AS key, n.name FROM node n WHERE n."tenantId" = $1 AND n.code = ANY ($2::text[])'
    : 'SELECT DISTINCT ON (i.code) i.code AS key, i.name FROM item i WHERE i."tenantId" = $1 AND i.code = ANY ($2::text[]) ORDER BY i.code, i.version DESC'
  const { rows } = await db.app.query<{ key: string; name: string }>({ name: `keyed_${group}`, text: table, values: [tenantHere(), keys] })
  const found: Keyed[] = rows.map((row) => ({ kind: group, ...row }))
  return mapped(group === 'item' && keys.includes(CONFIDENTIAL.key) ? [...found, CONFIDENTIAL] : found)
}

const mapped = (rows: readonly Keyed[]): Map<string, Keyed> => new Map(rows.map((row) => [row.key, row]))

/** Persons, their names masked, and organisations. */
export async function parties(db: Db, keyring: Keyring, ids: readonly string[]): Promise<Map<string, Keyed>> {
  const { rows } = await db.app.query<{ kind: 'person' | 'organisation'; key: string; name: string | null; subjectId: string | null }>({
    name: 'keyed_party', values: [tenantHere(), ids],
    text: `SELECT 'organisation' AS kind, o.id AS key, o.name, NULL::uuid AS "subjectId" FROM organisation o WHERE o."tenantId" = $1 AND o.id = ANY ($2::uuid[])
      UNION ALL SELECT 'person', p.id, NULL, p."subjectId" FROM person p WHERE p."tenantId" = $1 AND p.id = ANY ($2::uuid[])`,
  })
  const known = await openSubjects(db, keyring, rows.flatMap(({ subjectId }) => subjectId ?? []))
  return mapped(rows.map(({ subjectId, ...row }) => {
    const name = subjectId === null ? row.name : known.get(subjectId)?.name
    return { ...row, name: name === undefined || name === null ? null : subjectId === null ? name : maskName(name) }
  }))
}
