import type { Actor } from '../domain/actor.ts'
import type { Audience, ContactField } from '../domain/contacts.ts'
import { inPerson } from '../domain/directory.ts'
import { Problem, says } from '../domain/problems.ts'
import { account } from './audit.ts'
import { tenantHere, type Db } from './db.ts'
import type { Keyring } from './keyring.ts'
import type { Place } from './places.ts'
import { changeSubject, openSubjects } from './subjects.ts'
import { transaction } from './transaction.ts'

/** 连心卡 of one's own: which fields are shown with each duty held now, and to whom. */
export interface ContactCards {
  /** Not masked: it is his. */
  workPhone: string | null
  cards: { duty: string; role: { code: string; name: string }; node: Place; fields: ContactField[]; audience: Audience | null; changedAt: Date | null }[]
}

export interface CardChange {
  /** One of the duties held now; all of them when left out. */
  duty?: string | undefined
  /** None takes the consent back. */
  fields: ContactField[]
  audience: Audience
  /** As `domain/atoms.ts` writes it. Null takes it away, left out it stays. */
  workPhone?: string | null | undefined
}

/** @throws Problem forbidden for an app by its own token */
export async function readContactCards(db: Db, keyring: Keyring, actor: Actor): Promise<ContactCards> {
  if (actor.kind !== 'person') throw new Problem('forbidden')
  const { rows } = await db.app.query<ContactCards['cards'][number]>({
    name: 'contact_cards',
    text: `SELECT d.id AS duty, jsonb_build_object('code', ro.code, 'name', ro.name) AS role, jsonb_build_object('id', n.id, 'code', n.code, 'name', n.name) AS node,
        COALESCE(c.fields, '{}') AS fields, c.audience, c."changedAt"
      FROM duty d JOIN role ro ON ro."tenantId" = d."tenantId" AND ro.code = d."roleCode" JOIN node n ON n."tenantId" = d."tenantId" AND n.id = d."nodeId"
      LEFT JOIN contact_card c ON c."tenantId" = d."tenantId" AND c."dutyId" = d.id AND c."personId" = $2
      WHERE d."tenantId" = $1 AND d.id = ANY ($3::uuid[]) ORDER BY d.id`,
    values: [tenantHere(), actor.id, actor.duties.map(({ id }) => id)],
  })
  const subjectId = await subjectOf(db, actor.id)
  return { workPhone: (await openSubjects(db, keyring, [subjectId])).get(subjectId)?.workPhone ?? null, cards: rows }
}

/**
 * Given and taken back by the holder himself, and by nobody for him; what was shown is shown no more from then on.
 * @throws Problem forbidden through an app or without a duty; validation-failed for a duty not held now, or a phone to be shown that is not there; person-erased
 */
export async function putContactCard(db: Db, keyring: Keyring, { duty, fields, audience, workPhone }: CardChange, actor: Actor): Promise<ContactCards> {
  if (!inPerson(actor) || actor.duties.length === 0) throw new Problem('forbidden')
  const duties = actor.duties.filter(({ id }) => duty === undefined || id === duty).map(({ id }) => id)
  if (duties.length === 0) throw refused('/duty', says('您现在不担任这项职责', 'Not a duty you hold now'))
  const subjectId = await subjectOf(db, actor.id)
  const phone = workPhone === undefined ? (await openSubjects(db, keyring, [subjectId])).get(subjectId)?.workPhone : workPhone
  if (fields.includes('phone') && !phone) throw refused('/workPhone', says('还没有工作电话', 'There is no work phone yet'))
  await transaction(db.app, async (client) => {
    if (workPhone !== undefined && !(await changeSubject({ app: client }, keyring, subjectId, { workPhone }))) throw new Problem('person-erased')
    await client.query({
      name: 'put_contact_cards',
      text: `INSERT INTO contact_card ("tenantId", "dutyId", "personId", fields, audience, "changedAt") SELECT $1, d, $2, $4::text[], $5, wishwall_now() FROM unnest($3::uuid[]) d ORDER BY d
        ON CONFLICT ("tenantId", "dutyId", "personId") DO UPDATE SET fields = excluded.fields, audience = excluded.audience, "changedAt" = excluded."changedAt"`,
      values: [tenantHere(), actor.id, duties, fields, audience],
    })
    for (const id of duties) await account(client, actor, { action: 'consent.changed', object: 'duty', objectId: id, dutyId: id, details: { fields, audience, phone: workPhone !== undefined } })
  })
  return readContactCards(db, keyring, actor)
}

const refused = (pointer: string, message: ReturnType<typeof says>) => new Problem('validation-failed', { errors: [{ pointer, code: 'value', message }] })

async function subjectOf(db: Db, personId: string): Promise<string> {
  const { rows: [row] } = await db.app.query<{ subjectId: string }>({ name: 'subject_of', text: `SELECT "subjectId" FROM person WHERE "tenantId" = $1 AND id = $2`, values: [tenantHere(), personId] })
  if (!row) throw new Error(`person ${personId} does not exist`)
  return row.subjectId
}
