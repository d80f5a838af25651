import { v7 as uuidv7 } from 'uuid'
import { capacity, type Actor } from '../domain/actor.ts'
import type { Body, Someone } from '../domain/bodies.ts'
import { dayOf } from '../domain/calendar.ts'
import { decideFiling, type FilingFacts } from '../domain/filing.ts'
import { withAnswers } from '../domain/form.ts'
import { Problem, says } from '../domain/problems.ts'
import type { Facts } from '../domain/request.ts'
import { view, type RequestView } from '../domain/view.ts'
import { checkAttachable } from './attachments.ts'
import { calendars } from './calendars.ts'
import { campaignOf } from './campaigns.ts'
import { holderByCard } from './cards.ts'
import * as catalogue from './catalogue.ts'
import { commit, type KeptAnswer, type Newcomer } from './commit.ts'
import { remember, tenantHere, type Db } from './db.ts'
import { duplicatesOnFiling, type Duplicate, type Proposal } from './duplicates.ts'
import { isWorthAnotherTry, lacks, violates } from './failures.ts'
import { checkAnswers, sealAnswers } from './forms.ts'
import type { Keyring } from './keyring.ts'
import { knownPerson } from './known-people.ts'
import { isId } from './load.ts'
import { nextNumber } from './numbers.ts'
import { strangers } from './petitioners.ts'
import { sealSubject } from './subjects.ts'
import { findTarget } from './targets.ts'
import { tenant } from './tenants.ts'

/** What was filed, and for whoever is to hear of it what it may repeat. */
export type Filed = RequestView & { duplicates?: Duplicate[] }

interface FileOptions {
  /** Keeps the answer for the caller's Idempotency-Key, in the same commit. */
  keep?: ((answer: Filed) => KeptAnswer) | undefined
  /** Whether likely duplicates are looked for; left out: they are not. */
  duplicates?: Proposal | undefined
  /** The number it has already, on paper or in another system. */
  number?: string
  /** Seals what is known of people who come on record with a filing. */
  keyring?: Keyring | undefined
}

/** How often a filing is made again when the database's clock was another one than remembered. */
const TRIES = 4

/**
 * 点单: one statement, since what it is decided on is remembered for two seconds.
 * @throws Problem node-unknown, item-unknown, target-unknown (filer, beneficiary, guardian, respondent), campaign-unknown, campaign-closed,
 *   external-ref-taken (with the existing `id`), forbidden
 */
export async function file(db: Db, input: Body<'file'>, actor: Actor, { keep, number, keyring, duplicates }: FileOptions = {}): Promise<Filed> {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const filing = await filingFacts(db, input, number)
    const { parties, newcomers } = await partiesOf(db, input, filing, actor, keyring)
    await checkAttachable(db, input.attachments ?? [], actor)
    const filled = checkAnswers(filing.item, input.form)
    const decided = decideFiling({ ...filing, parties }, input, actor)
    await requireKnown(db, input, actor)
    const decision = filled ? withAnswers(decided, filled.plain) : decided
    const alike = duplicates === undefined ? undefined : await duplicatesOnFiling(db, decision.after, actor, duplicates)
    const answer: Filed = alike === undefined ? view(decision.after, actor) : { ...view(decision.after, actor), duplicates: alike }
    try {
      if ((await commit(db.app, [decision], { kept: keep?.(answer), newcomers, answers: sealAnswers(keyring, decision, filled) })).size > 0) return answer
      // The database's clock is another one than two seconds ago: it was set, or another server answers.
      db.memory.delete(filingKey(input))
    } catch (error) {
      for (const party of ['filer', 'beneficiary', 'guardian'] as const) if (lacks(error, `request_tenantId_${party}Id_fkey`)) throw personUnknown(`/${party}`)
      if (violates(error, 'request_tenantId_filerClientId_externalRef_key')) throw await externalRefTaken(db, decision.request.filerClientId, input.externalRef)
      if (!isWorthAnotherTry(error)) throw error
    }
  }
  throw new Problem('overloaded')
}

/** Those the filing names: by id, or as they stand before the one who takes it down. */
async function partiesOf(db: Db, input: Body<'file'>, { path, node, item }: FilingFacts, actor: Actor, keyring: Keyring | undefined): Promise<{ parties: NonNullable<FilingFacts['parties']>; newcomers: Newcomer[] }> {
  const newcomers: Newcomer[] = []
  const described: { id: string; name: string; phone: string | undefined }[] = []
  const isStaff = capacity(actor, 'file_for', path) !== undefined
  const idOf = async (someone: Someone | undefined): Promise<string | null> => {
    if (someone === undefined || typeof someone === 'string') return someone ?? null
    if (!keyring) throw new Error('a filing with people not on record needs the keyring')
    const { name, phone } = someone
    const same = described.find((other) => phone !== undefined && phone === other.phone && name === other.name)
    if (same) return same.id
    const known = isStaff ? await knownPerson(db, keyring, someone) : undefined
    if (known !== undefined && !(await strangers(db, [known], actor)).includes(known)) return known
    const newcomer = { personId: uuidv7(), nodeId: node.id, ...sealSubject(keyring, someone) }
    newcomers.push(newcomer)
    described.push({ id: newcomer.personId, name, phone })
    return newcomer.personId
  }
  const { filer, beneficiary, guardian, respondent } = input
  const target = respondent === undefined ? undefined : await findTarget(db, respondent, path, { anyone: true })
  if (respondent !== undefined && !target) throw personUnknown('/respondent')
  if (input.card !== undefined && !keyring) throw new Error('a filing by card needs the keyring')
  const [campaignId, firstContactId] = await Promise.all([
    input.campaign === undefined ? null : campaignOf(db, input.campaign, { path, item: item.code }),
    input.card === undefined ? null : holderByCard(db, keyring!, input.card, path),
  ])
  const filerId = await idOf(filer)
  return {
    parties: {
      ...(filerId === null ? {} : { filerId }), beneficiaryId: await idOf(beneficiary), guardianId: await idOf(guardian),
      respondentId: target?.personId ?? null, respondentOrganisationId: target?.organisationId ?? null, campaignId, firstContactId,
    },
    newcomers,
  }
}

/** @throws Problem target-unknown for whom the caller cannot find himself */
async function requireKnown(db: Db, { filer, beneficiary, guardian }: Body<'file'>, actor: Actor): Promise<void> {
  const named = Object.entries({ filer, beneficiary, guardian }).filter((entry): entry is [string, string] => typeof entry[1] === 'string')
  if (named.length === 0) return
  const unknown = await strangers(db, named.map(([, id]) => id), actor)
  for (const [party, id] of named) if (unknown.includes(id)) throw personUnknown(`/${party}`)
}

export interface FilingRow {
  now: Date
  node: Facts['node']
  path: string
  level: string
  compound: Facts['compound']
  itemId: string | null
  policyId: string | null
}

/** Node, item and policy in force of a filing or an amendment. $2 wall level, $3 node, $4 item code, $5 grade. */
export const filingSql = (key: 'id' | 'code') => `
  SELECT wishwall_now() AS now, jsonb_build_object('id', n.id, 'code', n.code, 'name', n.name) AS node, n.path, n.level,
    (SELECT jsonb_build_object('id', c.id, 'code', c.code, 'name', c.name) FROM node c
      WHERE c."tenantId" = n."tenantId" AND c.code = ANY (string_to_array(n.path, '/')) AND c.level = $2) AS compound,
    i.id AS "itemId", p.id AS "policyId"
  FROM node n
  LEFT JOIN LATERAL (SELECT id, COALESCE("gradePolicies" ->> COALESCE($5, grade), "policyCode") AS "policyCode", "retiredAt" FROM item WHERE "tenantId" = $1 AND code = $4 ORDER BY version DESC LIMIT 1) i ON i."retiredAt" IS NULL
  LEFT JOIN LATERAL (SELECT p.id FROM policy p JOIN node pn ON pn."tenantId" = p."tenantId" AND pn.id = p."nodeId"
    WHERE p."tenantId" = $1 AND p.code = i."policyCode" AND starts_with(n.path, pn.path) ORDER BY length(pn.path) DESC, p.version DESC LIMIT 1) p ON true
  WHERE n."tenantId" = $1 AND n.${key} = $3 AND n."retiredAt" IS NULL`

/** A node, an item or a policy changed in another process counts after so long, like an actor's duties. */
const FILING_TTL_MS = 2_000

const filingKey = ({ node, item, grade }: Body<'file'>): string => `filing/${tenantHere()}/${node}/${item}/${grade ?? ''}`

async function filingFacts(db: Db, input: Body<'file'>, given: string | undefined): Promise<FilingFacts> {
  const [{ settings }, working] = await Promise.all([tenant(db), calendars(db)])
  const { row, readAt } = await remember(db, filingKey(input), FILING_TTL_MS, async () => {
    const key = isId(input.node) ? 'id' : 'code'
    const { rows } = await db.app.query<FilingRow>({ name: `filing_by_${key}`, text: filingSql(key), values: [tenantHere(), settings.wallLevel, input.node, input.item, input.grade ?? null] })
    return { row: rows[0], readAt: performance.now() }
  })
  if (!row) throw new Problem('node-unknown', { errors: [{ pointer: '/node', message: says('没有这个地点', 'No such node') }] })
  if (!row.itemId) throw new Problem('item-unknown', { errors: [{ pointer: '/item', message: says('服务菜单中没有这一项', 'No such service item') }] })
  if (!row.policyId) throw new Error(`no policy reaches ${row.path} for item ${input.item}`)
  const calendar = working.at(row.path)
  // The database's clock, as read with the row; the commit refuses when it has drifted by a second.
  const now = new Date(row.now.getTime() + Math.round(performance.now() - readAt))
  const [item, policy, number] = await Promise.all([
    catalogue.item(db, row.itemId), catalogue.policy(db, row.policyId), given ?? nextNumber(db, dayOf(calendar, now)),
  ])
  return { id: uuidv7(), number, now, node: row.node, compound: row.compound, path: row.path, level: row.level, policyId: row.policyId, item, policy, calendar }
}

export const personUnknown = (pointer: string): Problem =>
  new Problem('target-unknown', { errors: [{ pointer, message: says('没有这个人', 'No such person') }] })

async function externalRefTaken(db: Db, clientId: string | null, externalRef: string | undefined): Promise<Problem> {
  const { rows } = await db.app.query<{ id: string }>({
    name: 'by_external_ref', text: `SELECT id FROM request WHERE "tenantId" = $1 AND "filerClientId" = $2 AND "externalRef" = $3`, values: [tenantHere(), clientId, externalRef],
  })
  return new Problem('external-ref-taken', { facts: { id: rows[0]?.id } })
}
