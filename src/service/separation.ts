import type pg from 'pg'
import type { Capability } from '../domain/machine.ts'
import { Problem } from '../domain/problems.ts'
import { areSeparate } from '../domain/second-factor.ts'
import type { Settings } from '../domain/settings.ts'
import { tenantHere } from './db.ts'

/** 三员分立: who would be two administrators, by what he holds and stands in for. */

type Runner = Pick<pg.PoolClient, 'query'>

interface Held {
  personId: string
  roles: Capability[][]
}

/** Of those $2, or of everybody, in any part of the term from $3 to $4. */
const HELD_ROLES = `
  SELECT x.id AS "personId", jsonb_agg(to_jsonb(ro.capabilities)) AS roles FROM duty d JOIN role ro ON ro."tenantId" = d."tenantId" AND ro.code = d."roleCode"
  CROSS JOIN LATERAL (VALUES (d."personId"), (d."standInId")) x(id)
  WHERE d."tenantId" = $1 AND x.id IS NOT NULL AND ($2::uuid[] IS NULL OR x.id = ANY ($2)) AND ro.capabilities && '{administer,configure,secure,audit}'
    AND d."from" < COALESCE($4::timestamptz, 'infinity') AND COALESCE(d."to", 'infinity') > COALESCE($3::timestamptz, wishwall_now())
  GROUP BY x.id`

interface Wanted {
  persons: readonly string[]
  capabilities: readonly Capability[]
  from?: Date | null | undefined
  to?: Date | null | undefined
}

/**
 * In the transaction that gives the duty: the persons' rows are locked, so that two grants at once see each other.
 * @throws Problem admins-separate
 */
export async function requireSeparate(client: Runner, { persons, capabilities, from, to }: Wanted): Promise<void> {
  const separated = await isSeparated(client)
  await client.query({ name: 'lock_persons', text: `SELECT FROM person WHERE "tenantId" = $1 AND id = ANY ($2::uuid[]) ORDER BY id FOR NO KEY UPDATE`, values: [tenantHere(), persons] })
  const { rows } = await client.query<Held>({ name: 'held_powers', text: HELD_ROLES, values: [tenantHere(), persons, from, to] })
  for (const id of persons) {
    const roles = rows.find(({ personId }) => personId === id)?.roles ?? []
    if (!areSeparate([...roles, capabilities], separated)) throw new Problem('admins-separate')
  }
}

/** Of everybody, when what roles confer or what the tenant asks has changed. @throws Problem admins-separate */
export async function requireAllSeparate(client: Runner, separated?: boolean): Promise<void> {
  const { rows } = await client.query<Held>({ name: 'held_powers', text: HELD_ROLES, values: [tenantHere(), null, null, null] })
  const asked = separated ?? (await isSeparated(client))
  const persons = rows.filter(({ roles }) => !areSeparate(roles, asked)).map(({ personId }) => personId)
  if (persons.length > 0) throw new Problem('admins-separate', { facts: { persons } })
}

async function isSeparated(client: Runner): Promise<boolean> {
  const { rows: [row] } = await client.query<{ settings: Settings }>({ name: 'tenant_settings', text: `SELECT settings FROM tenant WHERE id = $1`, values: [tenantHere()] })
  return row?.settings.separateAdmins === true
}
