import type { HeldAffiliation, HeldDuty, PersonActor } from '../domain/actor.ts'
import { needsSecondFactor } from '../domain/second-factor.ts'
import { remember, tenantHere, type Db } from './db.ts'
import { HELD, STANDS_IN } from './holders.ts'
import { tenant } from './tenants.ts'

/** A duty given or taken in another process counts after so long; revocation must take effect within 5 s. */
export const ACTOR_TTL_MS = 2_000

const actorKey = (personId: string) => `actor/${tenantHere()}/${personId}`

/**
 * A person with the duties held now (his own, and those he stands in for) and the verified affiliations.
 * @returns undefined when there is none or it is suspended
 */
export async function personActor(db: Db, personId: string, clientId: string | null): Promise<PersonActor | undefined> {
  const held = await remember(db, actorKey(personId), ACTOR_TTL_MS, () => loadHeld(db, personId))
  if (!held.active) return undefined
  const { duties, affiliations, hasAccount } = held
  return { kind: 'person', id: personId, clientId, duties, affiliations, hasAccount }
}

/** Came in by a one-time password, and has still to choose his own. */
export const mustChangePassword = async (db: Db, personId: string): Promise<boolean> =>
  (await remember(db, actorKey(personId), ACTOR_TTL_MS, () => loadHeld(db, personId))).passwordOnce

/**
 * Holds a duty that takes a second factor where the tenant asks for one, and has none yet.
 * @param reveals he is about to be shown people's data: then any login takes one. Who has none comes by an app, which vouches for him
 */
export async function mustEnrolTotp(db: Db, personId: string, reveals = false): Promise<boolean> {
  const { hasTotp, hasAccount, duties } = await remember(db, actorKey(personId), ACTOR_TTL_MS, () => loadHeld(db, personId))
  if (hasTotp) return false
  const { totpRequired } = (await tenant(db)).settings
  return needsSecondFactor(duties, totpRequired) || (reveals && hasAccount && totpRequired === 'revealers')
}

/** What was just changed counts at once in this process. */
export const forgetActor = (db: Db, personId: string): boolean => db.memory.delete(actorKey(personId))

interface Held {
  active: boolean
  hasAccount: boolean
  passwordOnce: boolean
  hasTotp: boolean
  duties: HeldDuty[]
  affiliations: HeldAffiliation[]
}

async function loadHeld(db: Db, personId: string): Promise<Held> {
  const { rows } = await db.app.query<Held>({
    name: 'actor',
    text: `
      SELECT p."suspendedAt" IS NULL AS active, p."passwordHash" IS NOT NULL AS "hasAccount", p."passwordOnce",
        EXISTS (SELECT FROM totp t WHERE t."tenantId" = $1 AND t."personId" = $2 AND t."confirmedAt" IS NOT NULL) AS "hasTotp",
        COALESCE((SELECT jsonb_agg(jsonb_build_object('id', d.id, 'role', d."roleCode", 'capabilities', ro.capabilities, 'path', n.path, 'organisationId', d."organisationId"))
          FROM duty d JOIN role ro ON ro."tenantId" = d."tenantId" AND ro.code = d."roleCode" JOIN node n ON n."tenantId" = d."tenantId" AND n.id = d."nodeId"
          WHERE d."tenantId" = $1 AND (d."personId" = $2 OR (d."standInId" = $2 AND ${STANDS_IN})) AND ${HELD}), '[]') AS duties,
        COALESCE((SELECT jsonb_agg(jsonb_build_object('organisationId', a."organisationId", 'kind', a.kind, 'path', n.path))
          FROM affiliation a JOIN organisation o ON o."tenantId" = a."tenantId" AND o.id = a."organisationId" JOIN node n ON n."tenantId" = o."tenantId" AND n.id = o."nodeId"
          WHERE a."tenantId" = $1 AND a."personId" = $2 AND a."verifiedAt" IS NOT NULL AND a."endedAt" IS NULL), '[]') AS affiliations
      FROM person p WHERE p."tenantId" = $1 AND p.id = $2`,
    values: [tenantHere(), personId],
  })
  return rows[0] ?? { active: false, hasAccount: false, passwordOnce: false, hasTotp: false, duties: [], affiliations: [] }
}
