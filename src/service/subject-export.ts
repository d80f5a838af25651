import type { Actor, PersonActor } from '../domain/actor.ts'
import { inPerson, looksAfter } from '../domain/directory.ts'
import type { Answers } from '../domain/form.ts'
import type { RevealReason } from '../domain/privacy.ts'
import { Problem } from '../domain/problems.ts'
import type { RequestRow } from '../domain/request.ts'
import { account } from './audit.ts'
import { tenantHere, type Db } from './db.ts'
import { PETITIONED } from './eraser.ts'
import type { Keyring } from './keyring.ts'
import { findPerson } from './people.ts'
import { record } from './reveals.ts'
import { openSubjects } from './subjects.ts'
import { tenant } from './tenants.ts'
import { transaction } from './transaction.ts'

/** 个人信息副本 (个人信息保护法 第四十五条): everything that is held on a person, and nothing of anybody else. */

/** A row of each list. */
interface Lists {
  /** As an app or an issuer knows him. */
  accounts: { provider: string; app: string; at: Date }
  requests: Pick<RequestRow, 'id' | 'number' | 'kind' | 'state' | 'source' | 'targetGroup' | 'confidential' | 'result' | 'solved' | 'satisfaction' | 'externalRef' | 'filedAt' | 'closedAt'> & { item: string; as: string[] }
  /** What he himself said, and what was said in requests of his. */
  texts: { request: string; field: string; body: string; at: Date }
  consents: { request: string; purpose: string; by: string; how: string; granted: boolean; at: Date }
  attachments: { id: string; request: string | null; kind: string; type: string; bytes: number; at: Date }
  duties: { role: string; node: string; since: Date; until: Date | null; standIn: boolean }
  affiliations: { kind: string; tie: string | null; organisation: string; appliedAt: Date; verifiedAt: Date | null; rejectedAt: Date | null; endedAt: Date | null; reason: string | null }
  skills: { skill: string; level: number; declaredAt: Date; verifiedAt: Date | null; endedAt: Date | null }
  notifications: { id: string; type: string; request: string; at: Date; readAt: Date | null }
  /** What he did to requests, as ids and verbs. */
  acts: { request: string; verb: string; at: Date }
  /** Who was shown his data: when and why, not to whom. */
  reveals: { at: Date; reason: string; fields: string[]; request: string | null }
}

interface Registered {
  id: string
  login: string | null
  /** Its name. */
  node: string | null
  suspendedAt: Date | null
  createdAt: Date
}

export type SubjectExport = { [List in keyof Lists]: Lists[List][] } & {
  person: Registered & Record<'name' | 'phone' | 'door' | 'externalUser' | 'workPhone', string | null>
  /** What forms asked of him, sealed like his name. */
  answers: { request: string; answers: Answers }[]
  /** Lists that were cut off, by name: the newest are here. */
  cutOff: string[]
}

/** Of each list so many, the newest. A resident has tens; staff have acts by the thousand. */
const MOST = 5_000
const MINE = `r."tenantId" = $1 AND ${PETITIONED('$2')}`

/** `$1` tenant, `$2` person. */
const LISTS = {
  accounts: `SELECT provider, "appId" AS app, "createdAt" AS at FROM external_user WHERE "tenantId" = $1 AND "personId" = $2 ORDER BY id DESC`,
  requests: `SELECT r.id, r.number, i.name AS item, r.kind, r.state, r.source, r."targetGroup", r.confidential, r.result, r.solved, r.satisfaction, r."externalRef",
      array_remove(ARRAY[CASE WHEN r."filerId" = $2 THEN 'filer' END, CASE WHEN r."beneficiaryId" = $2 THEN 'beneficiary' END, CASE WHEN r."guardianId" = $2 THEN 'guardian' END], NULL) AS "as",
      r."filedAt", r."closedAt" FROM request r JOIN item i ON i."tenantId" = r."tenantId" AND i.id = r."itemId" WHERE ${MINE} ORDER BY r.id DESC`,
  texts: `SELECT t."requestId" AS request, t.field, t.body, e.at FROM request r JOIN text t ON t."tenantId" = r."tenantId" AND t."requestId" = r.id
      JOIN event e ON e."tenantId" = t."tenantId" AND e."requestId" = t."requestId" AND e.seq = t.seq WHERE ${MINE} AND t."erasedAt" IS NULL ORDER BY t."requestId" DESC, t.seq DESC`,
  consents: `SELECT c."requestId" AS request, c.purpose, c.by, c.how, c.granted, c.at FROM request r JOIN consent c ON c."tenantId" = r."tenantId" AND c."requestId" = r.id WHERE ${MINE}
      ORDER BY c."requestId" DESC, c.seq DESC`,
  attachments: `SELECT a.id, a."requestId" AS request, a.kind, a.type, a.bytes, a."createdAt" AS at FROM attachment a
      WHERE a."tenantId" = $1 AND a."erasedAt" IS NULL AND (a."ownerPersonId" = $2 OR a."requestId" IN (SELECT r.id FROM request r WHERE ${MINE})) ORDER BY a.id DESC`,
  duties: `SELECT ro.name AS role, n.name AS node, d."from" AS since, d."to" AS until, d."personId" <> $2 AS "standIn" FROM duty d
      JOIN role ro ON ro."tenantId" = d."tenantId" AND ro.code = d."roleCode" JOIN node n ON n."tenantId" = d."tenantId" AND n.id = d."nodeId"
      WHERE d."tenantId" = $1 AND (d."personId" = $2 OR d."standInId" = $2) ORDER BY d.id DESC`,
  affiliations: `SELECT a.kind, a.tie, o.name AS organisation, a."appliedAt", a."verifiedAt", a."rejectedAt", a."endedAt", a.reason FROM affiliation a
      JOIN organisation o ON o."tenantId" = a."tenantId" AND o.id = a."organisationId" WHERE a."tenantId" = $1 AND a."personId" = $2 ORDER BY a.id DESC`,
  skills: `SELECT s.name AS skill, h.level, h."declaredAt", h."verifiedAt", h."endedAt" FROM skill_holder h JOIN skill s ON s."tenantId" = h."tenantId" AND s.code = h."skillCode"
      WHERE h."tenantId" = $1 AND h."personId" = $2 ORDER BY h.id DESC`,
  notifications: `SELECT n.id, f.type, f."requestId" AS request, f.at, n."readAt" FROM notification n JOIN feed f ON f."tenantId" = n."tenantId" AND f.position = n.position
      WHERE n."tenantId" = $1 AND n."personId" = $2 ORDER BY n.position DESC`,
  acts: `SELECT e."requestId" AS request, e.verb, e.at FROM event e WHERE e."tenantId" = $1 AND (e."actorId" = $2 OR e."onBehalfOf" = $2) ORDER BY e.at DESC`,
  reveals: `SELECT v.at, v.reason, v.fields, v."requestId" AS request FROM reveal v WHERE v."tenantId" = $1 AND v."personId" = $2 ORDER BY v.id DESC`,
} as const satisfies Record<keyof Lists, string>

/** One's own. @throws Problem forbidden for an app by itself, person-erased */
export async function exportSelf(db: Db, keyring: Keyring, actor: Actor): Promise<SubjectExport> {
  if (actor.kind !== 'person') throw new Problem('forbidden')
  return collected(db, keyring, actor.id, actor, null)
}

/**
 * On behalf of a person who asks for his own; counts among the reveals.
 * @throws Problem not-found out of sight; forbidden unless the actor, in person, administers every place of the person; person-erased, rate-limited
 */
export async function exportPerson(db: Db, keyring: Keyring, ref: string, { reason, note }: { reason: RevealReason; note?: string | undefined }, actor: Actor): Promise<SubjectExport> {
  const { id, paths } = await findPerson(db, ref, actor)
  if (!inPerson(actor) || !looksAfter(actor, paths)) throw new Problem('forbidden')
  return collected(db, keyring, id, actor, { reason, note })
}

function collected(db: Db, keyring: Keyring, id: string, actor: PersonActor, on: { reason: RevealReason; note?: string | undefined } | null): Promise<SubjectExport> {
  return transaction(db.app, async (client) => {
    const { rows: [person] } = await client.query<Registered & { subjectId: string }>({
      name: 'subject_person',
      text: `SELECT p.id, p."subjectId", p.login, n.name AS node, p."suspendedAt", p."createdAt" FROM person p
        JOIN subject s ON s."tenantId" = p."tenantId" AND s.id = p."subjectId" LEFT JOIN node n ON n."tenantId" = p."tenantId" AND n.id = p."nodeId"
        WHERE p."tenantId" = $1 AND p.id = $2 AND s."erasedAt" IS NULL`,
      values: [tenantHere(), id],
    })
    if (!person) throw new Problem('person-erased')
    if (on) await record(client, (await tenant(db)).settings.privacy, [id], { reason: on.reason, fields: ['all'] }, actor, null)
    await account(client, actor, { action: 'subject.exported', object: 'person', objectId: id, details: { self: on === null, reason: on?.reason ?? null }, reason: on?.note })
    const { subjectId, ...own } = person
    const { name = null, phone = null, door = null, externalUser = null, workPhone = null } = (await openSubjects(db, keyring, [subjectId])).get(subjectId) ?? {}
    const cutOff: string[] = []
    const listed = async <List extends keyof Lists>(list: List): Promise<Lists[List][]> => {
      const { rows } = await client.query<Lists[List]>({ name: `subject_${list}`, text: `${LISTS[list]} LIMIT ${MOST + 1}`, values: [tenantHere(), id] })
      if (rows.length > MOST) cutOff.push(list)
      return rows.slice(0, MOST)
    }
    const lists = {
      accounts: await listed('accounts'), requests: await listed('requests'), texts: await listed('texts'), consents: await listed('consents'), attachments: await listed('attachments'),
      duties: await listed('duties'), affiliations: await listed('affiliations'), skills: await listed('skills'), notifications: await listed('notifications'),
      acts: await listed('acts'), reveals: await listed('reveals'),
    }
    const { rows: forms } = await client.query<{ request: string; subjectId: string }>({
      name: 'subject_answers', values: [tenantHere(), id],
      text: `SELECT f."requestId" AS request, f."subjectId" FROM request r JOIN form_answer f ON f."tenantId" = r."tenantId" AND f."requestId" = r.id WHERE ${MINE} ORDER BY f."requestId" DESC LIMIT ${MOST}`,
    })
    const opened = await openSubjects(db, keyring, forms.map((form) => form.subjectId))
    const answers = forms.flatMap(({ request, subjectId: of }) => (opened.has(of) ? [{ request, answers: opened.get(of)!.answers ?? {} }] : []))
    return { person: { ...own, name, phone, door, externalUser, workPhone }, ...lists, answers, cutOff }
  })
}
