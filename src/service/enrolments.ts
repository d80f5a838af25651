import { v7 as uuidv7 } from 'uuid'
import type { Actor, ClaimerKind } from '../domain/actor.ts'
import { decidesAt } from '../domain/directory.ts'
import { tieOf, type END_REASONS, type REJECT_REASONS, type Tie } from '../domain/enrolment.ts'
import type { OrganisationKind } from '../domain/organisations.ts'
import { Problem, says } from '../domain/problems.ts'
import { forgetActor } from './actors.ts'
import { enrolmentInSight, isOwn, readEnrolment, type EnrolmentDetail, type EnrolmentRow } from './affiliations.ts'
import { unknown } from './appointments.ts'
import { account } from './audit.ts'
import { tenantHere, type Db } from './db.ts'
import { violates } from './failures.ts'
import type { Keyring } from './keyring.ts'
import { refPair } from './refs.ts'
import { findNode } from './targets.ts'
import { transaction } from './transaction.ts'

export interface Application {
  kind: ClaimerKind
  /** Id, code or 统一社会信用代码; this or an enterprise. */
  organisation?: string | undefined
  tie?: Tie | undefined
  /** One that is not known yet; `node` is where it reports, by id or code. */
  enterprise?: { name: string; uscc: string; node: string } | undefined
}

/** The role of those who act for an enterprise, as it ships. */
const AGENT = 'enterprise_agent'
const UNDECIDED = `"verifiedAt" IS NULL AND "rejectedAt" IS NULL AND "endedAt" IS NULL`

/** Undecided ones of one person: more are no help to any branch. */
const MOST_PENDING = 10

/**
 * 报到, by the person himself.
 * @throws Problem forbidden for apps, organisation-unknown, node-unknown, validation-failed at /organisation or /tie, already-enrolled, limit-reached
 */
export async function enrol(db: Db, keyring: Keyring, { kind, organisation, tie, enterprise }: Application, actor: Actor): Promise<EnrolmentDetail> {
  if (actor.kind !== 'person') throw new Problem('forbidden', { detail: says('只能由本人报到', 'Everyone enrols for themselves') })
  const at = enterprise ? await enterpriseOf(db, enterprise) : await organisationOf(db, organisation ?? '')
  const made = tieOf(kind, tie, at.kind)
  const id = uuidv7()
  const { rowCount } = await db.app.query({
    name: 'enrol',
    text: `INSERT INTO affiliation ("tenantId", id, "personId", "organisationId", kind, tie, "appliedAt") SELECT $1, $2, $3, $4, $5, $6, wishwall_now()
      WHERE (SELECT count(*) FROM affiliation WHERE "tenantId" = $1 AND "personId" = $3 AND ${UNDECIDED}) < ${MOST_PENDING}`,
    values: [tenantHere(), id, actor.id, at.id, kind, made],
  }).catch((error: unknown) => {
    throw violates(error, 'affiliation_live_key') || violates(error, 'affiliation_tie_key') ? new Problem('already-enrolled') : error
  })
  if (rowCount === 0) throw new Problem('limit-reached', { detail: says(`最多 ${MOST_PENDING} 件报到待核实`, `At most ${MOST_PENDING} enrolments wait to be verified`) })
  return readEnrolment(db, keyring, id, actor)
}

interface At {
  id: string
  kind: OrganisationKind
}

async function organisationOf(db: Db, ref: string): Promise<At> {
  const { rows: [found] } = await db.app.query<At>({
    name: 'enrol_at', text: `SELECT id, kind FROM organisation WHERE "tenantId" = $1 AND (id = $2::uuid OR code = $3 OR uscc = $3)`,
    values: [tenantHere(), ...refPair(ref)],
  })
  if (!found) throw unknown('organisation-unknown', '/organisation')
  return found
}

/**
 * The enterprise of that code. One that nobody knows is written down, out of everyone's sight until it is verified; while
 * nobody waits for that, a later applicant's words count.
 */
async function enterpriseOf(db: Db, { name, uscc, node }: NonNullable<Application['enterprise']>): Promise<At> {
  const place = await findNode(db, node)
  if (!place) throw unknown('node-unknown', '/enterprise/node')
  await db.app.query({
    name: 'write_down_enterprise',
    text: `INSERT INTO organisation AS o ("tenantId", id, "nodeId", code, name, kind, uscc, pending) VALUES ($1, $2, $3, $4, $5, 'enterprise', $4, true)
      ON CONFLICT ("tenantId", uscc) DO UPDATE SET name = excluded.name, "nodeId" = excluded."nodeId"
      WHERE o.pending AND NOT EXISTS (SELECT FROM affiliation a WHERE a."tenantId" = $1 AND a."organisationId" = o.id AND a."endedAt" IS NULL AND a."rejectedAt" IS NULL)`,
    values: [tenantHere(), uuidv7(), place.id, uscc, name],
  }).catch((error: unknown) => {
    // Known under that code, written down by hand.
    if (!violates(error, 'organisation_tenantId_code_key')) throw error
  })
  return organisationOf(db, uscc)
}

/**
 * By the branch, never by oneself. An enterprise is verified with its first agent; an agent may handle what it takes on.
 * @throws Problem not-found, forbidden, own-ask, enrolment-decided
 */
export const verifyEnrolment = (db: Db, keyring: Keyring, id: string, actor: Actor): Promise<EnrolmentDetail> =>
  decided(db, keyring, id, actor, 'enrolment.verified', ({ state }, by) => state !== 'pending' ? undefined : {
    name: 'verify_enrolment',
    text: `WITH a AS (UPDATE affiliation SET "verifiedAt" = wishwall_now(), "decidedById" = $3
        WHERE "tenantId" = $1 AND id = $2 AND ${UNDECIDED} RETURNING "personId", "organisationId", kind),
      o AS (UPDATE organisation o SET pending = false FROM a WHERE o."tenantId" = $1 AND o.id = a."organisationId" AND o.pending),
      d AS (INSERT INTO duty ("tenantId", id, "personId", "roleCode", "nodeId", "organisationId", "from", "grantedById")
        SELECT $1, $4, a."personId", ro.code, o."nodeId", o.id, wishwall_now(), $3 FROM a JOIN organisation o ON o."tenantId" = $1 AND o.id = a."organisationId"
        JOIN role ro ON ro."tenantId" = $1 AND ro.code = '${AGENT}' WHERE a.kind = 'enterprise'
          AND NOT EXISTS (SELECT FROM duty d WHERE d."tenantId" = $1 AND d."personId" = a."personId" AND d."organisationId" = o.id
            AND d."roleCode" = ro.code AND (d."to" IS NULL OR d."to" > wishwall_now())))
      SELECT FROM a`,
    values: [tenantHere(), id, by, uuidv7()],
  })

/** @throws as `verifyEnrolment` */
export const rejectEnrolment = (db: Db, keyring: Keyring, id: string, reason: (typeof REJECT_REASONS)[number], actor: Actor): Promise<EnrolmentDetail> =>
  decided(db, keyring, id, actor, 'enrolment.rejected', ({ state }, by) => state !== 'pending' ? undefined : {
    name: 'reject_enrolment',
    text: `UPDATE affiliation SET "rejectedAt" = wishwall_now(), "decidedById" = $3, reason = $4 WHERE "tenantId" = $1 AND id = $2 AND ${UNDECIDED}`,
    values: [tenantHere(), id, by, reason],
  })

/** By the branch, or by oneself: what is not decided is withdrawn. @throws Problem not-found, enrolment-decided for what is over */
export async function endEnrolment(db: Db, keyring: Keyring, id: string, reason: (typeof END_REASONS)[number] | undefined, actor: Actor): Promise<EnrolmentDetail> {
  const row = await enrolmentInSight(db, id, actor)
  await accounted(db, row, actor, 'enrolment.ended', {
    name: 'end_enrolment',
    text: `WITH a AS (UPDATE affiliation SET "endedAt" = wishwall_now(), reason = $3
        WHERE "tenantId" = $1 AND id = $2 AND "rejectedAt" IS NULL AND "endedAt" IS NULL RETURNING "personId", "organisationId", kind),
      d AS (UPDATE duty d SET "to" = GREATEST(d."from", wishwall_now()) FROM a
        WHERE a.kind = 'enterprise' AND d."tenantId" = $1 AND d."personId" = a."personId" AND d."organisationId" = a."organisationId"
        AND d."roleCode" = '${AGENT}' AND (d."to" IS NULL OR d."to" > wishwall_now()))
      SELECT FROM a`,
    values: [tenantHere(), id, reason],
  })
  forgetActor(db, row.person.id)
  return readEnrolment(db, keyring, id, actor)
}

interface Statement {
  name: string
  text: string
  values: unknown[]
}

type Decision = 'enrolment.verified' | 'enrolment.rejected' | 'enrolment.ended'

/** @throws Problem enrolment-decided where the statement finds nothing to change */
const accounted = (db: Db, row: EnrolmentRow, actor: Actor, action: Decision, statement: Statement): Promise<void> => transaction(db.app, async (client) => {
  const { rowCount } = await client.query(statement)
  if (rowCount === 0) throw new Problem('enrolment-decided', { facts: { state: row.state } })
  await account(client, actor, { action, object: 'enrolment', objectId: row.id, details: { personId: row.person.id, organisationId: row.organisation.id, kind: row.kind } })
})

async function decided(db: Db, keyring: Keyring, id: string, actor: Actor, action: Decision, statement: (row: EnrolmentRow, by: string) => Statement | undefined): Promise<EnrolmentDetail> {
  const row = await enrolmentInSight(db, id, actor)
  if (isOwn(row, actor)) throw new Problem('own-ask')
  if (actor.kind !== 'person' || !decidesAt(actor, row.path)) throw new Problem('forbidden')
  const todo = statement(row, actor.id)
  if (!todo) throw new Problem('enrolment-decided', { facts: { state: row.state } })
  await accounted(db, row, actor, action, todo)
  forgetActor(db, row.person.id)
  return readEnrolment(db, keyring, id, actor)
}
