import type { Actor } from '../domain/actor.ts'
import { phone } from '../domain/atoms.ts'
import { Problem, says } from '../domain/problems.ts'
import { sought, type Term } from '../domain/search.ts'
import { remember, tenantHere, type Db } from './db.ts'
import type { Keyring } from './keyring.ts'
import { named, namesakes, type Namesakes } from './names.ts'
import { blindIndexes } from './subjects.ts'

/**
 * `q`: what a list is asked to hold, over titles, descriptions, addresses and numbers, and for those who look after
 * people their phone and their name. Words of confidential matters are never found, nor counted.
 */
export interface Hits {
  name: string
  value: unknown
  /** Ids of all requests that have it: few enough to be collected. */
  ids?: (parameter: string) => string
  /** Whether request `r` has it. */
  sql: (parameter: string) => string
}

/** So many texts with a word are collected (about 50 ms); what is in more is soon met while walking from the newest on. */
const RARE = 10_000
const FREQUENCY_TTL_MS = 60_000

const NOT_SECRET = `NOT r.confidential AND r.kind <> 'mediation'`

/**
 * The rarest first.
 * @throws Problem validation-failed when there is nothing to look for
 */
export async function hits(db: Db, keyring: Keyring | undefined, q: string, actor: Actor): Promise<Hits[]> {
  const { terms, number } = sought(q)
  if (terms.length === 0 && number === null) {
    throw new Problem('validation-failed', { errors: [{ pointer: '/query/q', code: 'value', message: says('没有可以查找的文字', 'Nothing to look for') }] })
  }
  const frequencies = await Promise.all(terms.map((term) => frequency(db, term)))
  const ranked = terms.map((term, index) => ({ term, texts: frequencies[index]! })).sort((a, b) => a.texts - b.texts)
  return [
    ...(number === null ? [] : [numberHits(number)]),
    ...(await Promise.all(ranked.map(async ({ term, texts }, index) => {
      if (!keyring || !looksAfterPeople(actor)) return termHits(term, texts < RARE, index)
      if (isPhone(term.word)) return phoneHits(keyring, term, index)
      return isName(term.word) ? nameHits(term, texts < RARE, await namesakes(db, keyring, term.word), index) : termHits(term, texts < RARE, index)
    }))),
  ]
}

async function frequency(db: Db, { query }: Term): Promise<number> {
  const { texts } = await remember(db, `frequency/${tenantHere()}/${query}`, FREQUENCY_TTL_MS, async () => {
    const { rows: [row] } = await db.app.query<{ texts: number }>({ name: 'search_frequency', text: `SELECT wishwall_frequency($1::tsquery, ${RARE}) AS texts`, values: [query] })
    return row!
  })
  return texts
}

function termHits(term: Term, rare: boolean, index: number): Hits {
  return {
    name: `${rare ? 'rare' : 'frequent'}${index}`,
    value: JSON.stringify(term),
    ...(rare && { ids: (p) => `SELECT wishwall_found((${p}::jsonb ->> 'query')::tsquery, ${p}::jsonb ->> 'pattern') AS id` }),
    // Not an EXISTS: of that a planner makes a join with the whole table.
    sql: (p) => `(${NOT_SECRET} AND COALESCE((SELECT true FROM text f WHERE f."tenantId" = $1 AND f."requestId" = r.id AND f.field IN ('title', 'description', 'address')
      AND wishwall_folded(f.body) ~ (${p}::jsonb ->> 'pattern')
      AND NOT EXISTS (SELECT FROM text l WHERE l."tenantId" = $1 AND l."requestId" = r.id AND l.field = f.field AND l.seq > f.seq) LIMIT 1), false))`,
  }
}

/** The number tells the day, which has an index whatever the database's collation is. */
function numberHits(number: string): Hits {
  const [, month, day = ''] = /^\D+(\d{6})(\d{2})?/.exec(number)!
  const [first, last] = [`${month!}${day || '01'}`, `${month!}${day || '31'}`]
  return {
    name: 'number',
    value: JSON.stringify({ number, from: dayBefore(first, -1), to: dayBefore(last, 2) }),
    ids: (p) => `SELECT r.id FROM request r WHERE r."tenantId" = $1 AND r."filedAt" >= (${p}::jsonb ->> 'from')::timestamptz AND r."filedAt" < (${p}::jsonb ->> 'to')::timestamptz
      AND starts_with(r.number, ${p}::jsonb ->> 'number') AND ${NOT_SECRET}
      UNION ALL SELECT r.id FROM request r WHERE r."tenantId" = $1 AND r.number = ${p}::jsonb ->> 'number' AND ${NOT_SECRET}`,
    sql: (p) => `(${NOT_SECRET} AND starts_with(r.number, ${p}::jsonb ->> 'number'))`,
  }
}

/** 20261121 and a number of days, at midnight UTC. What is no day (a 31st of June) rolls over. */
const dayBefore = (written: string, days: number): string =>
  new Date(Date.UTC(Number(written.slice(0, 4)), Number(written.slice(4, 6)) - 1, Number(written.slice(6, 8)) + days)).toISOString()

const isPhone = (word: string): boolean => phone.safeParse(word).success

/** Who may be shown whom a request is from, somewhere: within what he sees. */
export const looksAfterPeople = (actor: Actor): boolean =>
  actor.kind === 'person' && actor.duties.some(({ organisationId, capabilities }) => organisationId === null && (capabilities.includes('file_for') || capabilities.includes('follow_up')))

/** Two characters at least; a number is nobody's name. */
export const isName = (word: string): boolean => [...word].length > 1 && !/^\d+$/.test(word)

const PETITIONERS = ['filerId', 'beneficiaryId', 'guardianId'] as const
/** Requests of the persons in `people`, each by its index. */
const ofPeople = (people: string): string => `SELECT r.id FROM (${people}) p CROSS JOIN LATERAL (
        ${PETITIONERS.map((column) => `SELECT r.* FROM request r WHERE r."tenantId" = $1 AND r."${column}" = p.id`).join(' UNION ALL ')}) r WHERE ${NOT_SECRET}`
const isOfPeople = (people: string): string => `${NOT_SECRET} AND EXISTS (SELECT FROM (${people}) p WHERE p.id IN (r."filerId", r."beneficiaryId", r."guardianId"))`

/** A name: in the words, or of those who asked. */
function nameHits(term: Term, rare: boolean, found: Namesakes, index: number): Hits {
  const words = termHits(term, rare, index)
  if ('frequent' in found) {
    const people = (p: string) => `SELECT person.id FROM person WHERE person."tenantId" = $1 AND person.id IN (r."filerId", r."beneficiaryId", r."guardianId") AND ${named('person."subjectId"', `${p}::jsonb -> 'names'`)}`
    return { name: `names${index}`, value: JSON.stringify({ ...term, names: found.frequent }), sql: (p) => `(${words.sql(p)} OR ${isOfPeople(people(p))})` }
  }
  if (found.subjects.length === 0) return words
  const people = (p: string) => `SELECT person.id FROM jsonb_array_elements_text(${p}::jsonb -> 'subjects') s JOIN person ON person."tenantId" = $1 AND person."subjectId" = s::uuid`
  const { ids } = words
  return {
    name: `name_${words.name}`,
    value: JSON.stringify({ ...term, subjects: found.subjects }),
    ...(ids && { ids: (p) => `${ids(p)} UNION ALL ${ofPeople(people(p))}` }),
    sql: (p) => `(${words.sql(p)} OR ${isOfPeople(people(p))})`,
  }
}

/** A phone: in the words, or of those who asked. */
function phoneHits(keyring: Keyring, term: Term, index: number): Hits {
  const { ids, sql } = termHits(term, true, index)
  const people = (p: string) => `SELECT person.id FROM subject s JOIN person ON person."tenantId" = s."tenantId" AND person."subjectId" = s.id
    WHERE s."tenantId" = $1 AND s.phone = ANY (ARRAY(SELECT decode(jsonb_array_elements_text(${p}::jsonb -> 'phones'), 'hex')))`
  return {
    name: `phone${index}`,
    value: JSON.stringify({ ...term, phones: blindIndexes(keyring, 'phone', phone.parse(term.word)).map((hash) => hash.toString('hex')) }),
    ids: (p) => `${ids!(p)} UNION ALL ${ofPeople(people(p))}`,
    sql: (p) => `(${sql(p)} OR ${isOfPeople(people(p))})`,
  }
}
