import type pg from 'pg'
import { v7 as uuidv7 } from 'uuid'
import type { Actor, PersonActor } from '../domain/actor.ts'
import type { AuditAction } from '../domain/audit.ts'
import { decidesAt } from '../domain/directory.ts'
import type { Answers } from '../domain/form.ts'
import { FORM_FIELD, revealsPerDay, REVEALED_FIELDS, type RevealedField, type RevealReason } from '../domain/privacy.ts'
import { Problem, says } from '../domain/problems.ts'
import { mayReveal, revealStanding } from '../domain/reveal.ts'
import { sight } from '../domain/view.ts'
import { decides, enrolmentInSight, isOwn } from './affiliations.ts'
import { account } from './audit.ts'
import { tenantHere, type Db } from './db.ts'
import type { Keyring } from './keyring.ts'
import { load } from './load.ts'
import { findPerson } from './people.ts'
import { openSubjects, type Personal } from './subjects.ts'
import { tenant } from './tenants.ts'
import { transaction } from './transaction.ts'

/** 显示: what is masked everywhere, shown to one who needs it, for a reason, on record and not too often. */

export interface RevealQuery {
  reason: RevealReason
  /** Only these; all three when left out. */
  fields?: RevealedField[] | undefined
  /** Why, in words: kept beside the audit entry, erased with the person. */
  note?: string | undefined
}

export interface Revealed {
  person: string
  name: string | null
  phone: string | null
  door: string | null
}

type PetitionedAs = 'filer' | 'beneficiary' | 'guardian'

export interface RequestRevealQuery extends Omit<RevealQuery, 'fields'> {
  /** Only these; all of them, and what the form asked, when left out. */
  fields?: (RevealedField | typeof FORM_FIELD)[] | undefined
}

export interface RevealedRequest {
  people: (Revealed & { as: PetitionedAs[] })[]
  /** Personal answers of its form; null where there are none, or they were not asked for. */
  form: Answers | null
}

/**
 * Filer, beneficiary and guardian of a request, and what its form asked of them.
 * @param version what the caller has seen, if he says so
 * @throws Problem request-not-found out of sight; version-mismatch; forbidden without standing; rate-limited over the tenant's limit a day
 */
export async function revealPetitioners(db: Db, keyring: Keyring, ref: string, { fields: wanted = [...REVEALED_FIELDS, FORM_FIELD], ...query }: RequestRevealQuery, actor: Actor, version?: number): Promise<RevealedRequest> {
  const facts = await load(db, ref)
  if (!facts || sight(actor, facts) === 'none') throw new Problem('request-not-found')
  if (version !== undefined && version !== facts.request.version) throw new Problem('version-mismatch', { facts: { version: facts.request.version } })
  const standing = revealStanding(actor, facts)
  if (standing === undefined || actor.kind !== 'person') throw new Problem('forbidden')
  const { filerId: filer, beneficiaryId: beneficiary, guardianId: guardian, id } = facts.request
  const as = new Map<string, PetitionedAs[]>()
  for (const [relation, person] of [['filer', filer], ['beneficiary', beneficiary], ['guardian', guardian]] as const) if (person !== null) as.set(person, [...as.get(person) ?? [], relation])
  const fields = REVEALED_FIELDS.filter((field) => wanted.includes(field))
  const answers = wanted.includes(FORM_FIELD) ? await personalAnswers(db, id) : undefined
  if (fields.length === 0 && answers === undefined) return { people: [], form: null }
  const shown = await reveal(db, keyring, [...as.keys()], { ...query, fields }, actor, { action: 'request.revealed', object: 'request', objectId: id, standing, requestId: id, form: answers !== undefined })
  return { people: shown.map((one) => ({ ...one, as: as.get(one.person)! })), form: answers === undefined ? null : (await openSubjects(db, keyring, [answers])).get(answers)?.answers ?? null }
}

/** The subject in which the personal answers of a request's form lie, as last filled in. */
async function personalAnswers(db: Db, request: string): Promise<string | undefined> {
  const { rows: [row] } = await db.app.query<{ subjectId: string }>({
    name: 'reveal_answers', text: `SELECT a."subjectId" FROM form_answer a JOIN subject s ON s."tenantId" = $1 AND s.id = a."subjectId" AND s."erasedAt" IS NULL
      WHERE a."tenantId" = $1 AND a."requestId" = $2 AND a.seq = (SELECT max(t.seq) FROM text t WHERE t."tenantId" = $1 AND t."requestId" = $2 AND t.field = 'form')`,
    values: [tenantHere(), request],
  })
  return row?.subjectId
}

/** @throws Problem not-found out of sight; forbidden unless the actor may correct what he asks for; rate-limited */
export async function revealPerson(db: Db, keyring: Keyring, ref: string, query: RevealQuery, actor: Actor): Promise<Revealed> {
  const person = await findPerson(db, ref, actor)
  if (actor.kind !== 'person' || !mayReveal(actor, person)) throw new Problem('forbidden')
  const [shown] = await reveal(db, keyring, [person.id], query, actor, { action: 'person.revealed', object: 'person', objectId: person.id, standing: 'registrar', requestId: null })
  if (!shown) throw new Problem('person-erased')
  return shown
}

/**
 * Who applies, to whoever is to verify that: while it waits for his decision.
 * @throws Problem not-found out of sight; own-ask; forbidden without the decision; enrolment-decided; person-erased, rate-limited
 */
export async function revealApplicant(db: Db, keyring: Keyring, id: string, query: RevealQuery, actor: Actor): Promise<Revealed> {
  const row = await enrolmentInSight(db, id, actor)
  if (isOwn(row, actor)) throw new Problem('own-ask')
  if (actor.kind !== 'person' || !decidesAt(actor, row.path)) throw new Problem('forbidden')
  if (!decides(row, actor)) throw new Problem('enrolment-decided', { facts: { state: row.state } })
  const [shown] = await reveal(db, keyring, [row.person.id], query, actor, { action: 'person.revealed', object: 'person', objectId: row.person.id, standing: 'branch', requestId: null })
  if (!shown) throw new Problem('person-erased')
  return shown
}

interface Occasion {
  action: AuditAction
  object: 'request' | 'person'
  objectId: string
  standing: string
  requestId: string | null
  /** The answers of its form are shown with them. */
  form?: boolean
}

/** On record before anything is opened: what cannot be accounted for is not shown. */
async function reveal(
  db: Db, keyring: Keyring, people: string[], { reason, fields = [...REVEALED_FIELDS], note }: RevealQuery, actor: PersonActor, { standing, requestId, form = false, ...occasion }: Occasion,
): Promise<Revealed[]> {
  const known = await transaction(db.app, async (client) => {
    const { rows } = await client.query<{ id: string; subjectId: string }>({
      name: 'reveal_subjects',
      text: `SELECT p.id, p."subjectId" FROM person p JOIN subject s ON s."tenantId" = p."tenantId" AND s.id = p."subjectId"
        WHERE p."tenantId" = $1 AND p.id = ANY ($2::uuid[]) AND s."erasedAt" IS NULL`,
      values: [tenantHere(), people],
    })
    if (rows.length > 0) await record(client, (await tenant(db)).settings.privacy, rows.map(({ id }) => id), { reason, fields: form ? ['all'] : fields }, actor, requestId)
    // An app's own request has nobody to count, and answers all the same.
    if (rows.length > 0 || form) await account(client, actor, { ...occasion, details: { reason, fields: form ? [...fields, FORM_FIELD] : fields, standing, persons: rows.length }, reason: note })
    return rows
  })
  const opened = await openSubjects(db, keyring, known.map(({ subjectId }) => subjectId))
  const only = (personal: Personal, field: RevealedField) => (fields.includes(field) ? personal[field] ?? null : null)
  return known.map(({ id, subjectId }) => {
    const personal = opened.get(subjectId) ?? {}
    return { person: id, name: only(personal, 'name'), phone: only(personal, 'phone'), door: only(personal, 'door') }
  })
}

/**
 * Writes down who is shown, unless that would be more than the tenant lets one person see within 24 hours.
 * @throws Problem rate-limited, with the seconds until enough of them are a day old
 */
export async function record(
  client: pg.ClientBase, settings: Parameters<typeof revealsPerDay>[0], people: readonly string[],
  { reason, fields }: { reason: RevealReason; fields: readonly string[] }, actor: PersonActor, requestId: string | null,
): Promise<void> {
  const most = revealsPerDay(settings)
  // Two at once would each see room for one.
  await client.query({ name: 'reveal_turn', text: `SELECT pg_advisory_xact_lock(hashtextextended('reveal/' || $1, 0))`, values: [`${tenantHere()}/${actor.id}`] })
  const { rows: [used] } = await client.query<{ used: number; wait: number | null }>({
    name: 'reveal_used',
    text: `WITH mine AS (SELECT at, row_number() OVER (ORDER BY at) AS n, count(*) OVER () AS used FROM reveal
        WHERE "tenantId" = $1 AND "actorId" = $2 AND at > wishwall_now() - interval '24 hours')
      SELECT COALESCE(max(used), 0)::int AS used,
        ceil(extract(epoch FROM min(at) FILTER (WHERE n >= used + $3::int - $4::int) + interval '24 hours' - wishwall_now()))::int AS wait FROM mine`,
    values: [tenantHere(), actor.id, people.length, most],
  })
  if (used!.used + people.length > most) {
    throw new Problem('rate-limited', { detail: says(`每人 24 小时内最多查看 ${most} 人的明文信息`, `At most ${most} people may be revealed to one person in 24 hours`), facts: { retryAfter: used!.wait ?? 86_400 } })
  }
  await client.query({
    name: 'reveal_record',
    text: `INSERT INTO reveal ("tenantId", id, "personId", "requestId", "actorId", "clientId", reason, fields, at)
      SELECT $1, i, p, $4::uuid, $5, $6, $7, $8, wishwall_now() FROM unnest($2::uuid[], $3::uuid[]) x (i, p)`,
    values: [tenantHere(), people.map(() => uuidv7()), people, requestId, actor.id, actor.clientId, reason, fields],
  })
}
