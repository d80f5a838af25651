import { v7 as uuidv7 } from 'uuid'
import type { Actor, ClaimerKind } from '../domain/actor.ts'
import { decidedTrees, decidesAt, liesIn } from '../domain/directory.ts'
import type { EnrolmentState, Tie } from '../domain/enrolment.ts'
import { maskName, maskPhone } from '../domain/masks.ts'
import type { OrganisationKind } from '../domain/organisations.ts'
import { Problem } from '../domain/problems.ts'
import { forgetActor } from './actors.ts'
import { decodeCursor, pageOf, type Page } from './cursor.ts'
import { tenantHere, type Db } from './db.ts'
import type { Keyring } from './keyring.ts'
import { UUID } from './load.ts'
import { NO_SUCH_NODE } from './nodes.ts'
import { named, refPair } from './refs.ts'
import { openSubjects, type Personal } from './subjects.ts'
import { findNode } from './targets.ts'

interface NewAffiliation {
  personId: string
  organisationId: string
  kind: ClaimerKind
  tie?: Tie | null
  /** By the organisation; only then may the person claim. */
  verified: boolean
}

/** @throws pg.DatabaseError 23503 when person or organisation do not exist */
export async function affiliate(db: Db, { personId, organisationId, kind, tie = null, verified }: NewAffiliation): Promise<string> {
  const id = uuidv7()
  await db.app.query({
    name: 'affiliate',
    text: `
      INSERT INTO affiliation ("tenantId", id, "personId", "organisationId", kind, tie, "appliedAt", "verifiedAt")
      VALUES ($1, $2, $3, $4, $5, $6, wishwall_now(), CASE WHEN $7 THEN wishwall_now() END)`,
    values: [tenantHere(), id, personId, organisationId, kind, tie, verified],
  })
  forgetActor(db, personId)
  return id
}

/** An affiliation from the day it was applied for. */
export interface EnrolmentView {
  id: string
  kind: ClaimerKind
  tie: Tie | null
  organisation: { id: string; code: string; name: string; kind: OrganisationKind; uscc: string | null }
  person: { id: string; login: string | null; name: string | null }
  state: EnrolmentState
  /** A code. */
  reason: string | null
  decidedBy: string | null
  appliedAt: Date
  verifiedAt: Date | null
  rejectedAt: Date | null
  endedAt: Date | null
}

export interface EnrolmentRow extends Omit<EnrolmentView, 'person'> {
  person: Omit<EnrolmentView['person'], 'name'>
  subjectId: string
  /** Of the organisation's node. */
  path: string
}

const STATE = `CASE WHEN a."endedAt" IS NOT NULL THEN 'ended' WHEN a."rejectedAt" IS NOT NULL THEN 'rejected'
  WHEN a."verifiedAt" IS NOT NULL THEN 'verified' ELSE 'pending' END`
const VIEW = `a.id, a.kind, a.tie, ${STATE} AS state, a.reason, a."decidedById" AS "decidedBy", a."appliedAt", a."verifiedAt", a."rejectedAt", a."endedAt",
  n.path, p."subjectId",
  jsonb_build_object('id', o.id, 'code', o.code, 'name', o.name, 'kind', o.kind, 'uscc', o.uscc) AS organisation,
  jsonb_build_object('id', p.id, 'login', p.login) AS person`
const FROM = `FROM affiliation a JOIN organisation o ON o."tenantId" = a."tenantId" AND o.id = a."organisationId"
  JOIN node n ON n."tenantId" = o."tenantId" AND n.id = o."nodeId" JOIN person p ON p."tenantId" = a."tenantId" AND p.id = a."personId"`

export interface EnrolmentsQuery {
  /** Id or code of a node: at organisations there or below. */
  node?: string | undefined
  /** Id or code. */
  organisation?: string | undefined
  state?: EnrolmentState[] | undefined
  kind?: ClaimerKind | undefined
  mine?: boolean | undefined
  cursor?: string | undefined
  limit: number
}

/** Newest first: one's own, and those the actor may decide on. @throws Problem not-found for a node where he decides nothing, cursor-unusable */
export async function listEnrolments(
  db: Db, keyring: Keyring, { node, organisation, state, kind, mine = false, cursor, limit }: EnrolmentsQuery, actor: Actor,
): Promise<Page<EnrolmentView>> {
  const own = actor.kind === 'person' ? actor.id : null
  const trees = mine ? [] : node === undefined ? treesOf(actor) : [await decidedPath(db, node, actor)]
  const { rows } = await db.app.query<EnrolmentRow>({
    name: 'enrolments',
    text: `SELECT ${VIEW} ${FROM} WHERE a."tenantId" = $1 AND (a."personId" = $2 OR EXISTS (SELECT FROM unnest($3::text[]) u WHERE starts_with(n.path, u)))
      AND ($4::uuid IS NULL OR a.id < $4) AND ($5::text[] IS NULL OR ${STATE} = ANY ($5)) AND ($6::text IS NULL OR a.kind = $6) AND (NOT $7::bool OR ${named('o', 'code', 8)}) ORDER BY a.id DESC LIMIT $10`,
    values: [
      tenantHere(), node === undefined ? own : null, trees, cursor === undefined ? null : decodeCursor(cursor, UUID), state, kind,
      organisation !== undefined, ...refPair(organisation), limit + 1,
    ],
  })
  const { data, page } = pageOf(rows, limit, ({ id }) => id)
  const known = await openSubjects(db, keyring, data.map(({ subjectId }) => subjectId))
  return { data: data.map((row) => viewOf(row, known.get(row.subjectId))), page }
}

/** With names masked, as everywhere. */
function viewOf({ path: _, subjectId: __, person, ...row }: EnrolmentRow, personal: Personal | undefined): EnrolmentView {
  return { ...row, person: { ...person, name: personal?.name === undefined ? null : maskName(personal.name) } }
}

const treesOf = (actor: Actor): string[] => (actor.kind === 'person' ? decidedTrees(actor) : actor.kind === 'system' ? [''] : [])

async function decidedPath(db: Db, node: string, actor: Actor): Promise<string> {
  const place = await findNode(db, node)
  if (!place || !liesIn(place.path, treesOf(actor))) throw new Problem('not-found', { errors: [{ pointer: '/query/node', message: NO_SUCH_NODE }] })
  return place.path
}

/** An enrolment and, for whoever is to decide on it and as long as it is undecided, who it is that applies: masked, as everywhere (see `revealApplicant`). */
export type EnrolmentDetail = EnrolmentView & { applicant: { name: string | null; phone: string | null } | null }

/** @throws Problem not-found also when it is there, and neither the actor's nor his to decide on */
export async function readEnrolment(db: Db, keyring: Keyring, id: string, actor: Actor): Promise<EnrolmentDetail> {
  const row = await enrolmentInSight(db, id, actor)
  const personal = (await openSubjects(db, keyring, [row.subjectId])).get(row.subjectId)
  const view = viewOf(row, personal)
  const applicant = { name: view.person.name, phone: personal?.phone === undefined ? null : maskPhone(personal.phone) }
  return { ...view, applicant: decides(row, actor) ? applicant : null }
}

/** Whether it waits for the actor's decision: nobody decides on his own. */
export const decides = (row: EnrolmentRow, actor: Actor): boolean => row.state === 'pending' && decidesAt(actor, row.path) && !isOwn(row, actor)

export async function enrolmentInSight(db: Db, id: string, actor: Actor): Promise<EnrolmentRow> {
  const { rows: [row] } = await db.app.query<EnrolmentRow>({
    name: 'enrolment', text: `SELECT ${VIEW} ${FROM} WHERE a."tenantId" = $1 AND a.id = $2`, values: [tenantHere(), id],
  })
  if (!row || !(isOwn(row, actor) || decidesAt(actor, row.path))) throw new Problem('not-found')
  return row
}

export const isOwn = ({ person }: EnrolmentRow, actor: Actor): boolean => actor.kind === 'person' && actor.id === person.id
