import { v7 as uuidv7 } from 'uuid'
import type { Decision, RequestRow } from '../domain/request.ts'
import { COLUMNS, REQUEST_DEFAULTS, names, typed, type Table } from './columns.ts'
import { tenantHere, type Db } from './db.ts'
import type { SealedSubject } from './subjects.ts'

/** The answer kept under an Idempotency-Key, written in the same commit as its effect. */
export interface KeptAnswer {
  caller: string
  key: string
  fingerprint: Buffer
  status: number
  answer: Buffer
}

/** Someone who comes on record with the filing that names him, without an account. */
export interface Newcomer extends SealedSubject {
  personId: string
  nodeId: string
}

/** Personal answers of a form, under a key of their own. */
export interface SealedAnswers extends SealedSubject {
  requestId: string
  seq: number
}

interface CommitOptions {
  kept?: KeptAnswer | undefined
  newcomers?: readonly Newcomer[]
  answers?: readonly SealedAnswers[] | undefined
  /** All decisions or none (merge, batch). Otherwise each stands alone (sweep). */
  together?: boolean
}

/** Anything that can run a statement: the pool, or the sweep's open transaction. */
export type Runner = Pick<Db['app'], 'query'>

type Rows = readonly object[]

/**
 * Writes a list of decisions in ONE statement: request rows by compare-and-set on the version, then, for those that won,
 * events, outbox, deadlines, assignments, texts, wall, counters and the kept answer. No transaction, no lock held across
 * a round trip. A lost compare-and-set writes nothing; a counter over its limit, or a loss among decisions that belong
 * together, or an attachment that was attached elsewhere meanwhile, undoes the whole statement (SQLSTATE WW409: decide again).
 * @returns ids of the requests written
 */
export async function commit(db: Runner, decisions: readonly Decision[], { kept, newcomers = [], answers = [], together = true }: CommitOptions = {}): Promise<Set<string>> {
  const filing = decisions[0]?.expects === 0
  const at = decisions[0]?.after.now
  const changed = filing ? filled(decisions) : [...new Set(decisions.flatMap((decision) => decision.changed))].sort()
  const sections: [Section, Rows][] = [
    filing ? ['filed', decisions.map(({ request }) => request)] : ['changed', decisions.map((decision) => patchOf(decision, changed))],
    ['newcomer', newcomers.map(({ key, sealed, phone, names: grams, ...row }) =>
      ({ ...row, key: key.toString('hex'), sealed: sealed.toString('hex'), phone: phone?.toString('hex'), names: grams.map((gram) => gram.toString('hex')) }))],
    ['form_answer', answers.map(({ key, sealed, phone: _, names: __, ...row }) => ({ ...row, key: key.toString('hex'), sealed: sealed.toString('hex') }))],
    ['event', decisions.flatMap(({ events }) => events)],
    ['outbox', decisions.flatMap(({ messages }) => messages.map((message) => ({ id: uuidv7(), ...message })))],
    ['deadline', decisions.flatMap(({ deadlines }) => deadlines)],
    ['assignment', decisions.flatMap(({ assignments }) => assignments)],
    ['ask', decisions.flatMap(({ asks }) => asks)],
    ['consent', decisions.flatMap(({ consents }) => consents)],
    ['text', decisions.flatMap(({ texts }) => texts)],
    ['wall_entry', decisions.flatMap(({ wall }) => wall)],
    ['counter', decisions.flatMap(({ request, counters }) => counters.map((delta) => ({ requestId: request.id, ...delta })))],
    ['attachment', decisions.flatMap(({ attachments, after }) => attachments.map((row) => ({ ...row, at: after.now })))],
    ['kept', kept ? [{ ...kept, fingerprint: kept.fingerprint.toString('hex'), answer: kept.answer.toString('hex'), at }] : []],
  ]
  const present = sections.filter(([, rows]) => rows.length > 0)
  const many = decisions.length > 1
  const whole = together && many
  const { rows } = await db.query<{ id: string }>({
    ...statement(present.map(([section]) => section), { changed, many, whole }),
    values: [tenantHere(), ...present.map(([, list]) => JSON.stringify(list)), ...(whole ? [decisions.length] : [])],
  })
  return new Set(rows.map(({ id }) => id))
}

type Section = 'filed' | 'changed' | 'newcomer' | 'form_answer' | 'event' | 'outbox' | 'deadline' | 'assignment' | 'ask' | 'consent' | 'text' | 'wall_entry' | 'counter' | 'attachment' | 'kept'

const statements = new Map<string, { name: string; text: string }>()

/** One prepared statement per set of sections and columns: a verb pays only for what it writes, and verbs are few. */
function statement(present: Section[], { changed, many, whole }: { changed: Column[]; many: boolean; whole: boolean }): { name: string; text: string } {
  const key = [...present, ...changed, many, whole].join()
  const known = statements.get(key)
  if (known) return known
  const parts = present.map((section, index) => {
    const parameter = `$${index + 2}`
    if (section === 'changed') return patch(parameter, changed, many)
    return section === 'filed' ? filed(parameter, changed) : SQL[section](parameter)
  })
  const undo = [
    ...(present.includes('counter') ? [`(SELECT count(*) FROM counted) < (SELECT count(*) FROM counter_rows)`] : []),
    ...(present.includes('attachment') ? [`(SELECT count(*) FROM attached) < (SELECT count(*) FROM attachment_rows)`] : []),
    ...(whole ? [`(SELECT count(*) FROM won) < $${present.length + 2}::int`] : []),
  ]
  const made = {
    name: `commit_${statements.size}`,
    text: `WITH ${parts.join(',\n')}\nSELECT id${undo.length > 0 ? `, CASE WHEN ${undo.join(' OR ')} THEN wishwall_undo('commit') END AS undo` : ''} FROM won`,
  }
  statements.set(key, made)
  return made
}

type Column = keyof RequestRow

const patchOf = ({ request, expects }: Decision, changed: Column[]): object =>
  ({ id: request.id, expects, ...Object.fromEntries(changed.map((column) => [column, request[column]])) })

/** The compare-and-set: who has not seen the newest version changes nothing. */
function patch(parameter: string, changed: Column[], many: boolean): string {
  const types: Record<string, string> = COLUMNS.request
  const shape = { id: 'uuid', expects: 'int', ...Object.fromEntries(changed.map((column) => [column, types[column] ?? 'text'])) }
  // Of one decision the planner must know that it is one: for the hundred it takes a set to be, it may read the whole table.
  return `won AS (UPDATE request SET ${changed.map((name) => `"${name}" = r."${name}"`).join(', ')}
      FROM ${many ? rowsOf(parameter, shape) : `jsonb_to_record(${parameter}::jsonb -> 0) AS r(${typed(shape)})`}
      WHERE request."tenantId" = $1::uuid AND request.id = r.id AND request.version = r.expects RETURNING request.id)`
}

const rowsOf = (parameter: string, columns: Record<string, string>) => `jsonb_to_recordset(${parameter}::jsonb) AS r(${typed(columns)})`
const WINNERS = `r."requestId" IN (SELECT id FROM won)`

const insert = (table: Table) => (parameter: string) =>
  `${table}_in AS (INSERT INTO ${table} ("tenantId", ${names(COLUMNS[table])}) SELECT $1::uuid, ${names(COLUMNS[table], 'r.')} FROM ${rowsOf(parameter, COLUMNS[table])} WHERE ${WINNERS})`

const upsert = (table: Table, key: string[]) => (parameter: string) => {
  const set = Object.keys(COLUMNS[table]).filter((name) => !key.includes(name)).map((name) => `"${name}" = excluded."${name}"`)
  return insert(table)(parameter).replace(/\)$/, ` ON CONFLICT ("tenantId", ${key.map((name) => `"${name}"`).join(', ')}) DO UPDATE SET ${set.join(', ')})`)
}

/** Filing says what time it took it to be; a clock that is not the database's files nothing. */
const MOST_SKEW = `interval '1 second'`

/** Columns of new requests that are not what the database writes by itself. */
const filled = (decisions: readonly Decision[]): Column[] =>
  (Object.keys(COLUMNS.request) as Column[]).filter((column) => decisions.some(({ request }) => request[column] !== (REQUEST_DEFAULTS[column] ?? null)))

function filed(parameter: string, columns: Column[]): string {
  const types: Record<string, string> = COLUMNS.request
  const shape = Object.fromEntries(columns.map((column) => [column, types[column] ?? 'text']))
  return `won AS (INSERT INTO request ("tenantId", ${names(shape)}) SELECT $1::uuid, ${names(shape, 'r.')} FROM ${rowsOf(parameter, shape)}
      WHERE r."filedAt" BETWEEN wishwall_now() - ${MOST_SKEW} AND wishwall_now() + ${MOST_SKEW} RETURNING id)`
}

const SQL: Record<Exclude<Section, 'changed' | 'filed'>, (parameter: string) => string> = {
  newcomer: (parameter) =>
    `newcomer AS (SELECT r.* FROM ${rowsOf(parameter, { id: 'uuid', key: 'text', kid: 'text', sealed: 'text', phone: 'text', personId: 'uuid', nodeId: 'uuid', namesKid: 'text', names: 'text[]' })} WHERE EXISTS (SELECT FROM won)),
    subject_in AS (INSERT INTO subject ("tenantId", id, key, kid, sealed, phone, "namesKid")
      SELECT $1::uuid, id, decode(key, 'hex'), kid, decode(sealed, 'hex'), decode(phone, 'hex'), "namesKid" FROM newcomer),
    names_in AS (INSERT INTO subject_name ("tenantId", "subjectId", n, gram)
      SELECT $1::uuid, id, o, decode(g, 'hex') FROM newcomer CROSS JOIN LATERAL unnest(names) WITH ORDINALITY AS t(g, o)),
    person_in AS (INSERT INTO person ("tenantId", id, "subjectId", "nodeId") SELECT $1::uuid, "personId", id, "nodeId" FROM newcomer)`,
  form_answer: (parameter) =>
    `answer_rows AS (SELECT r.* FROM ${rowsOf(parameter, { requestId: 'uuid', seq: 'int', id: 'uuid', key: 'text', kid: 'text', sealed: 'text', namesKid: 'text' })} WHERE ${WINNERS}),
    answer_subject AS (INSERT INTO subject ("tenantId", id, key, kid, sealed, "namesKid") SELECT $1::uuid, id, decode(key, 'hex'), kid, decode(sealed, 'hex'), "namesKid" FROM answer_rows),
    answer_in AS (INSERT INTO form_answer ("tenantId", "requestId", seq, "subjectId") SELECT $1::uuid, "requestId", seq, id FROM answer_rows)`,
  event: insert('event'),
  outbox: insert('outbox'),
  text: insert('text'),
  deadline: upsert('deadline', ['requestId', 'step', 'seq']),
  assignment: upsert('assignment', ['requestId', 'seq', 'slot']),
  ask: upsert('ask', ['requestId', 'seq']),
  consent: insert('consent'),
  wall_entry: upsert('wall_entry', ['requestId', 'seq']),
  counter: (parameter) =>
    `counter_rows AS (SELECT key, sum(delta)::int AS delta, min("limit") AS "limit" FROM ${rowsOf(parameter, { requestId: 'uuid', key: 'text', delta: 'int', limit: 'int' })} WHERE ${WINNERS} GROUP BY key ORDER BY key),
    counted AS (INSERT INTO counter AS c ("tenantId", key, value) SELECT $1::uuid, key, greatest(delta, 0) FROM counter_rows WHERE "limit" IS NULL OR delta <= "limit"
      ON CONFLICT ("tenantId", key) DO UPDATE SET value = greatest(0, c.value + (SELECT delta FROM counter_rows r WHERE r.key = c.key))
      WHERE (SELECT r."limit" IS NULL OR c.value + r.delta <= r."limit" FROM counter_rows r WHERE r.key = c.key) RETURNING key)`,
  // What was uploaded loose hangs on the event from now on, once: whoever comes second is undone.
  attachment: (parameter) =>
    `attachment_rows AS (SELECT * FROM ${rowsOf(parameter, { requestId: 'uuid', seq: 'int', id: 'uuid', at: 'timestamptz' })} WHERE ${WINNERS}),
    attached AS (UPDATE attachment a SET "requestId" = r."requestId", seq = r.seq, "attachedAt" = r.at FROM attachment_rows r
      WHERE a."tenantId" = $1::uuid AND a.id = r.id AND a."requestId" IS NULL AND a."erasedAt" IS NULL RETURNING a.id)`,
  kept: (parameter) =>
    `kept_in AS (INSERT INTO idempotency ("tenantId", caller, key, "requestId", fingerprint, status, answer, at)
      SELECT $1::uuid, r.caller, r.key, won.id, decode(r.fingerprint, 'hex'), r.status, decode(r.answer, 'hex'), r.at
      FROM won, ${rowsOf(parameter, { caller: 'uuid', key: 'text', fingerprint: 'text', status: 'int', answer: 'text', at: 'timestamptz' })})`,
}
