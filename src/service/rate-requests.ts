import { actsFor, type Actor } from '../domain/actor.ts'
import type { State } from '../domain/machine.ts'
import { rateOf, type RateCode } from '../domain/rates.ts'
import type { Kind } from '../domain/request.ts'
import { decodeCursor, pageOf, type Page } from './cursor.ts'
import type { Db } from './db.ts'
import { conditions, inTime, scopeOf, type Asked } from './figured.ts'
import { periodOf } from './periods.ts'
import type { RatesQuery } from './rates.ts'

/** 清单: the requests behind a figure. All are counted; those that a reader may not see are not listed. */

/** 剔除: who asked, why, and who approved it. */
export interface Exclusion {
  requestId: string
  number: string
  cycle: number
  askedAt: Date
  /** Person or organisation. */
  askedBy: string | null
  /** In words; null when erased. */
  reason: string | null
  approvedAt: Date
  approvedBy: string | null
}

export interface Counted {
  id: string
  number: string
  kind: Kind
  item: { code: string; name: string }
  /** Responsible when it was counted. */
  node: { id: string; code: string; name: string } | null
  state: State
  cycle: number
  /** What puts it into the period. */
  at: Date
  exclusion: Omit<Exclusion, 'requestId' | 'number' | 'cycle'> | null
}

export type Part = 'numerator' | 'denominator' | 'excluded'

interface CountedQuery extends RatesQuery {
  part?: Part | undefined
  cursor?: string | undefined
  limit: number
}

/** A granted exclusion of the fact's cycle, and the words it was asked with. */
const EXCLUSION = `
  SELECT k."askedAt", COALESCE(k."organisationId", k."personId") AS "askedBy", k."answeredAt" AS "approvedAt", k."answeredBy" AS "approvedBy",
    (SELECT t.body FROM text t WHERE t."tenantId" = k."tenantId" AND t."requestId" = k."requestId" AND t.seq = k.seq AND t.field = 'reason' AND t."erasedAt" IS NULL) AS reason
  FROM ask k WHERE k."tenantId" = $1 AND k."requestId" = f."requestId" AND k.cycle = f.cycle AND k.kind = 'exclusion' AND k.status = 'granted' ORDER BY k.seq LIMIT 1`

/**
 * Whom a confidential matter is shown: who may dispatch it where it is now. Nobody is shown what is said about himself
 * (domain/view.ts, list.ts).
 */
function visible(actor: Actor, p: (value: unknown) => string): string {
  const person = actor.kind === 'person' ? actor : undefined
  const dispatches = person?.duties.filter(({ organisationId, capabilities }) => organisationId === null && capabilities.includes('dispatch')).map(({ path }) => path) ?? []
  const organisations = person?.duties.flatMap(({ organisationId }) => (organisationId !== null && actsFor(person, organisationId) ? [organisationId] : [])) ?? []
  return `(NOT (r.confidential OR r.kind = 'mediation') OR EXISTS (SELECT FROM unnest(${p(dispatches)}::text[]) d WHERE starts_with(r.path, d)))
    AND r."respondentId" IS DISTINCT FROM ${p(person?.id ?? null)}::uuid AND (r."respondentOrganisationId" IS NULL OR r."respondentOrganisationId" <> ALL (${p(organisations)}::uuid[]))`
}

/** In `denominator` is what counts, the numerator included. Newest first. @throws Problem not-found, cursor-unusable, validation-failed */
export async function rateRequests(db: Db, rate: RateCode, { node, item, party, part = 'denominator', cursor, limit, ...days }: CountedQuery, actor: Actor): Promise<Page<Counted>> {
  const [scope, period] = await Promise.all([scopeOf(db, node, actor), periodOf(db, days)])
  const { base, met } = rateOf(rate)
  const { name, from, where, values } = conditions({ scope: inTime(scope), period, bases: [base], item, party }, 'parameters')
  const p = (value: unknown): string => `$${values.push(value)}`
  const own = part === 'excluded' ? 'f.excluded' : part === 'numerator' ? `NOT f.excluded AND f.met & ${p(met)}::int <> 0` : 'NOT f.excluded'
  const sight = visible(actor, p)
  const after = cursor === undefined ? '' : ` AND (f.at, f."requestId", f.cycle, f.unit) < (${decodeCursor(cursor, PLACE).split(' ').map((value, index) => `${p(value)}::${TYPES[index]!}`).join(', ')})`
  const { rows } = await db.app.query<Counted & { unit: number }>({
    name: `behind_${part}_${name}${cursor === undefined ? '' : '_after'}`, values: [...values, limit + 1],
    text: `SELECT r.id, r.number, r.kind, r.state, f.cycle, f.unit, f.at, jsonb_build_object('code', i.code, 'name', i.name) AS item,
        (SELECT jsonb_build_object('id', n.id, 'code', n.code, 'name', n.name) FROM node n WHERE n."tenantId" = $1 AND n.code = split_part(f.path, '/', -2)) AS node,
        ${part === 'excluded' ? `(SELECT to_jsonb(x) FROM (${EXCLUSION}) x)` : 'NULL::jsonb'} AS exclusion
      FROM ${from} JOIN request r ON r."tenantId" = $1 AND r.id = f."requestId" JOIN item i ON i."tenantId" = $1 AND i.id = r."itemId"
      WHERE ${where} AND ${own} AND ${sight}${after} ORDER BY f.at DESC, f."requestId" DESC, f.cycle DESC, f.unit DESC LIMIT $${values.length + 1}`,
  })
  const { data, page } = pageOf(rows, limit, ({ at, id, cycle, unit }) => `${at.toISOString()} ${id} ${cycle} ${unit}`)
  return { data: data.map(({ unit: _, exclusion, ...row }) => ({ ...row, exclusion: exclusion && timed(exclusion) })), page }
}

const TYPES = ['timestamptz', 'uuid', 'int', 'int']
const PLACE = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z [0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12} \d{1,9} \d{1,9}$/

const timed = <T extends { askedAt: Date; approvedAt: Date }>(row: T): T => ({ ...row, askedAt: new Date(row.askedAt), approvedAt: new Date(row.approvedAt) })

/** So many are told with the figures; all of them are behind each rate. */
const MOST_EXCLUSIONS = 50

/** Cycles that were taken out of any of these figures: how many, and those the reader may see. */
export async function excluded(db: Db, asked: Asked, actor: Actor): Promise<{ count: number; data: Exclusion[] }> {
  const { name, from, where, values } = conditions({ ...asked, scope: inTime(asked.scope) }, 'parameters')
  const found = `SELECT DISTINCT f."requestId", f.cycle FROM ${from} WHERE ${where} AND f.excluded`
  const p = (value: unknown): string => `$${values.push(value)}`
  const { rows: [all] } = await db.app.query<{ count: number }>({ name: `excluded_count_${name}`, text: `SELECT count(*)::int AS count FROM (${found}) f`, values: [...values] })
  const sight = visible(actor, p)
  const { rows } = await db.app.query<Exclusion>({
    name: `excluded_${name}`, values,
    text: `SELECT r.id AS "requestId", r.number, f.cycle, x.* FROM (${found}) f JOIN request r ON r."tenantId" = $1 AND r.id = f."requestId" CROSS JOIN LATERAL (${EXCLUSION}) x
      WHERE ${sight} ORDER BY x."approvedAt" DESC, r.id DESC LIMIT ${MOST_EXCLUSIONS}`,
  })
  return { count: all!.count, data: rows }
}

