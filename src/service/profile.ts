import type { PersonActor } from '../domain/actor.ts'
import type { Capability } from '../domain/machine.ts'
import { tenantHere, type Db } from './db.ts'
import type { Keyring } from './keyring.ts'
import { openSubjects } from './subjects.ts'

interface Named {
  code: string
  name: string
}

/** What a person may know of himself. */
export interface Profile {
  name: string | null
  login: string | null
  duties: { id: string; role: string; roleName: string; capabilities: Capability[]; node: Named; organisation: Named | null }[]
  affiliations: { kind: string; organisation: Named }[]
}

const named = (alias: string) => `CASE WHEN ${alias}.id IS NOT NULL THEN jsonb_build_object('code', ${alias}.code, 'name', ${alias}.name) END`

/** Name, login, and in words what the actor holds now; the name is null once erased. */
export async function profile(db: Db, keyring: Keyring, { id, duties, affiliations }: PersonActor): Promise<Profile> {
  const { rows: [row] } = await db.app.query<Omit<Profile, 'name'> & { subjectId: string }>({
    name: 'profile',
    text: `
      SELECT p."subjectId", p.login,
        COALESCE((SELECT jsonb_agg(jsonb_build_object('id', d.id, 'role', d."roleCode", 'roleName', ro.name, 'capabilities', ro.capabilities, 'node', ${named('n')}, 'organisation', ${named('o')}) ORDER BY length(n.path), d.id)
          FROM duty d JOIN role ro ON ro."tenantId" = d."tenantId" AND ro.code = d."roleCode" JOIN node n ON n."tenantId" = d."tenantId" AND n.id = d."nodeId"
          LEFT JOIN organisation o ON o."tenantId" = d."tenantId" AND o.id = d."organisationId" WHERE d."tenantId" = $1 AND d.id = ANY($3::uuid[])), '[]') AS duties,
        COALESCE((SELECT jsonb_agg(jsonb_build_object('kind', a.kind, 'organisation', ${named('o')}) ORDER BY a.id)
          FROM affiliation a JOIN organisation o ON o."tenantId" = a."tenantId" AND o.id = a."organisationId"
          WHERE a."tenantId" = $1 AND a."personId" = $2 AND a."organisationId" = ANY($4::uuid[]) AND a."verifiedAt" IS NOT NULL AND a."endedAt" IS NULL), '[]') AS affiliations
      FROM person p WHERE p."tenantId" = $1 AND p.id = $2`,
    values: [tenantHere(), id, duties.map((duty) => duty.id), affiliations.map((affiliation) => affiliation.organisationId)],
  })
  if (!row) throw new Error(`person ${id} does not exist`)
  const { subjectId, ...rest } = row
  const personal = await openSubjects(db, keyring, [subjectId])
  return { name: personal.get(subjectId)?.name ?? null, ...rest }
}
