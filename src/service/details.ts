import { relationsOf, type Actor } from '../domain/actor.ts'
import { readPoint } from '../domain/coordinates.ts'
import type { Answers, Form } from '../domain/form.ts'
import { ERASED_WORDS } from '../domain/privacy.ts'
import { Problem } from '../domain/problems.ts'
import type { Facts, TextRow } from '../domain/request.ts'
import { sight } from '../domain/view.ts'
import * as catalogue from './catalogue.ts'
import { tenantHere, type Db } from './db.ts'
import type { Keyring } from './keyring.ts'
import { load } from './load.ts'
import { openSubjects } from './subjects.ts'

/** What was said and filled in when a request was filed: for those who see it whole. */
export interface Details {
  description: string | null
  location: { address: string | null; lng: number | null; lat: number | null; crs: 'wgs84' } | null
  form: {
    /** Code of the item whose form it was. */
    item: string
    /** As it was then. */
    schema: Form
    answers: Answers
    /** Personal answers that the caller is not shown. */
    withheld: string[]
  } | null
}

/** @throws Problem request-not-found out of sight */
export async function details(db: Db, keyring: Keyring, ref: string, actor: Actor): Promise<Details> {
  const facts = await load(db, ref)
  if (!facts || sight(actor, facts) !== 'full') throw new Problem('request-not-found')
  const { rows } = await db.app.query<{ field: TextRow['field']; body: string; form: string | null; subjectId: string | null }>({
    name: 'details',
    text: `SELECT DISTINCT ON (t.field) t.field, t.body, e.data ->> 'form' AS form, a."subjectId" FROM text t
      JOIN event e ON e."tenantId" = t."tenantId" AND e."requestId" = t."requestId" AND e.seq = t.seq
      LEFT JOIN form_answer a ON a."tenantId" = t."tenantId" AND a."requestId" = t."requestId" AND a.seq = t.seq AND t.field = 'form'
      WHERE t."tenantId" = $1 AND t."requestId" = $2 AND t.field IN ('description', 'address', 'position', 'form') ORDER BY t.field, t.seq DESC`,
    values: [tenantHere(), facts.request.id],
  })
  const of = (field: TextRow['field']) => rows.find((row) => row.field === field)
  const [address, point, form] = [of('address')?.body ?? null, readPoint(of('position')?.body ?? null), of('form')]
  return {
    description: of('description')?.body ?? null,
    location: address === null && point === null ? null : { address, lng: point?.lng ?? null, lat: point?.lat ?? null, crs: 'wgs84' },
    form: form?.form ? await formOf(db, keyring, facts, { ...form, form: form.form }, actor) : null,
  }
}

async function formOf(db: Db, keyring: Keyring, facts: Facts, { body, form, subjectId }: { body: string; form: string; subjectId: string | null }, actor: Actor): Promise<Details['form']> {
  const { code, form: schema } = await catalogue.item(db, form)
  if (!schema) throw new Error(`item ${form} has no form any more`)
  const plain = body === ERASED_WORDS ? {} : JSON.parse(body) as Answers
  const shown = subjectId !== null && isTheirs(facts, actor)
  const personal = shown ? (await openSubjects(db, keyring, [subjectId])).get(subjectId)?.answers ?? {} : {}
  const withheld = subjectId === null || shown ? [] : Object.keys(schema.properties).filter((name) => schema.properties[name]!['x-personal'])
  return { item: code, schema, answers: { ...plain, ...personal }, withheld }
}

/** All others are shown them for a reason, on record and not too often: see reveals.ts. */
function isTheirs(facts: Facts, actor: Actor): boolean {
  const relations = relationsOf(actor, facts)
  return (['filer', 'beneficiary', 'guardian'] as const).some((party) => relations.has(party))
}
