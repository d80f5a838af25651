import { AsyncLocalStorage } from 'node:async_hooks'
import type { Actor } from '../domain/actor.ts'
import { dayOf } from '../domain/calendar.ts'
import { IMPORT_COLUMNS, KIND_NAMES, type ImportKind } from '../domain/import-kinds.ts'
import { EXAMPLE, inWords, whereOf, type Fault, type ImportMode, type ReadRow } from '../domain/imports.ts'
import { Problem, PROBLEMS, type Says } from '../domain/problems.ts'
import { lettersOf } from '../domain/sheet.ts'
import { account } from './audit.ts'
import { calendars } from './calendars.ts'
import type { WorkbookPort } from './calendar-import.ts'
import { decodeCursor, pageOf, type Page } from './cursor.ts'
import { inOneTransaction, tenantHere, type Db } from './db.ts'
import type { Outcomes, WriteContext } from './import-row.ts'
import { readSheet, type ReadSheet } from './import-sheets.ts'
import { COLUMN_OF, WRITERS } from './import-writers.ts'
import type { Keyring } from './keyring.ts'
import { nextNumber } from './numbers.ts'
import { findOperation, startOperation, type FailedPiece, type Stepped, type Task, type Work } from './operations.ts'
import { tenant } from './tenants.ts'
import { clock } from './visits.ts'

/** 导入: read at once, so that what is no table is said at once; written in the background, each row once. */

export const IMPORT = 'import'

interface Input extends ReadSheet {
  kind: ImportKind
  mode: ImportMode
}

/** Anybody on duty: what he may import is decided row by row. */
export const mayImport = (actor: Actor): boolean => actor.kind === 'person' && actor.duties.some(({ organisationId, capabilities }) => organisationId === null && capabilities.some((one) => IMPORTS.includes(one)))
const IMPORTS: readonly string[] = ['file_for', 'administer', 'configure', 'secure']

/** @returns the operation @throws Problem forbidden, and what `readSheet` throws */
export async function startImport({ db, keyring, workbooks }: { db: Db; keyring: Keyring; workbooks: WorkbookPort }, kind: ImportKind, mode: ImportMode, bytes: Buffer, actor: Actor): Promise<string> {
  const sheet = await readSheet(workbooks, bytes, IMPORT_COLUMNS[kind])
  return inOneTransaction(db, async () => {
    const operation = await startOperation(db, keyring, IMPORT, { kind, mode, ...sheet } satisfies Input, actor, { total: sheet.total })
    await account(db.app, actor, { action: 'import.made', object: 'import', objectId: operation, details: { kind, mode, rows: sheet.total } })
    return operation
  })
}

/** In one transaction: this many rows at most, and no more pieces of them once it has lasted so long. Others wait for no more than that. */
const AT_ONCE = 200
const PIECE = 50
const LONG_ENOUGH_MS = 800

export const importWork = (db: Db, keyring: Keyring): Work => async (task: Task): Promise<Stepped> => {
  const input = task.input as Input
  const { mode, rows, faults, total } = input
  const context = { db, keyring, actor: task.actor }
  const result = `/v1/imports/${task.id}`
  if (mode !== 'good') {
    // What was told of a try that came to nothing is not counted twice.
    let reached = task.done
    const beat = (done: number): Promise<void> => task.beat((reached = done))
    const found = await wholeSheet(context, { ...task, beat }, input)
    return { ...told(found), done: total - reached, position: null, ended: true, result }
  }
  const from = Number(task.position ?? 0)
  const { refused, reached } = await goodRows(context, task.id, input, from)
  const unread = from === 0 ? new Set(faults.map(({ row }) => row)).size : 0
  return { ...told(refused), done: reached - from + unread, position: String(reached), ended: reached >= rows.length, result }
}

/** One piece for each row that is refused. */
function told(faults: readonly Fault[]): { failed: FailedPiece[] } {
  return { failed: [...grouped(faults).values()].map((of) => ({ at: whereOf(of[0]!), code: of[0]!.code, message: of.map(inWords).join('；') })) }
}

function grouped(faults: readonly Fault[]): Map<number, Fault[]> {
  const rows = new Map<number, Fault[]>()
  for (const fault of faults) rows.set(fault.row, [...rows.get(fault.row) ?? [], fault])
  return rows
}

type Context = Omit<WriteContext, 'number'>

/** Those that are in order, the rows and what they make in one transaction: a step that is done again after a crash finds them done. */
async function goodRows(context: Context, operation: string, input: Input, from: number): Promise<{ refused: Fault[]; reached: number }> {
  const { db } = context
  const { kind, rows, faults } = input
  const these = rows.slice(from, from + AT_ONCE)
  const known = await knownRows(db, operation, these)
  const number = await numbering(db)
  const refused: Fault[] = from === 0 ? [...faults] : []
  let reached = from
  const written = inOneTransaction(db, async () => {
    await byIndex(db)
    const began = performance.now()
    while (reached - from < these.length && (reached === from || performance.now() - began < LONG_ENOUGH_MS)) {
      const piece = rows.slice(reached, Math.min(reached + PIECE, from + these.length))
      const outcomes = await WRITERS[kind]({ ...context, number }, piece.filter(({ row }) => !known.has(row)))
      await keepDone(db, operation, outcomes)
      for (const row of piece) refused.push(...known.get(row.row) ?? faultsOf(outcomes.get(row), input, row.row))
      reached += piece.length
    }
    await keepFaults(db, operation, refused)
  })
  await written.catch((error: unknown) => { db.memory.clear(); throw error }) // what was remembered of rows that never were
  return { refused, reached }
}

/** Those of a step that was done before, by a worker that died before it said so; with what was wrong with them. */
async function knownRows(db: Db, operation: string, rows: readonly ReadRow[]): Promise<Map<number, Fault[]>> {
  const { rows: known } = await db.app.query<{ row: number; faults: Fault[] }>({
    name: 'import_rows_known', text: `SELECT row, faults FROM import_row WHERE "tenantId" = $1 AND "operationId" = $2 AND row = ANY ($3::int[])`, values: [tenantHere(), operation, rows.map(({ row }) => row)],
  })
  return new Map(known.map(({ row, faults }) => [row, faults]))
}

/** @throws Problem when another worker has written one of them meanwhile: what is undone here is found done the next time */
async function keepDone(db: Db, operation: string, outcomes: Outcomes): Promise<void> {
  const done = [...outcomes].filter((one): one is [ReadRow, string] => typeof one[1] === 'string')
  if (done.length === 0) return
  const { rowCount } = await db.app.query({
    name: 'import_rows_done', text: `INSERT INTO import_row ("tenantId", "operationId", row, state, "madeId") SELECT $1, $2, r, 'done', m FROM unnest($3::int[], $4::uuid[]) AS t(r, m) ON CONFLICT DO NOTHING`,
    values: [tenantHere(), operation, done.map(([{ row }]) => row), done.map(([, id]) => id)],
  })
  if (rowCount !== done.length) throw new Problem('overloaded')
}

/** Plans that are made while a table is empty, those of its foreign keys too, would read all of it for each row of the sheet that fills it. */
const byIndex = async (db: Db): Promise<void> => void await db.app.query({ name: 'by_index', text: `SELECT set_config('enable_seqscan', 'off', true)` })

/** Undoes the transaction: nothing of it stays. */
class Undone extends Problem {}

/** All rows in one transaction, by the doors' own rules; undone when a row is refused, or when it was only to be told what would be. */
async function wholeSheet(context: Context, task: Task, input: Input): Promise<Fault[]> {
  const { kind, mode, rows, faults } = input
  const { db } = context
  const before = await db.app.query<{ state: string }>({ name: 'import_state', text: `SELECT state FROM import_row WHERE "tenantId" = $1 AND "operationId" = $2 LIMIT 1`, values: [tenantHere(), task.id] })
  // Done before the worker died that did it.
  if (before.rows[0]?.state === 'done') return []
  const number = mode === 'all' ? await numbering(db) : (row: number) => Promise.resolve(`DRY-${task.id}-${row}`)
  const refused = [...faults]
  try {
    await inOneTransaction(db, async () => {
      await byIndex(db)
      for (let at = 0; at < rows.length; at += PIECE) {
        const outcomes = await WRITERS[kind]({ ...context, number }, rows.slice(at, at + PIECE))
        await keepDone(db, task.id, outcomes)
        for (const [{ row }, outcome] of outcomes) refused.push(...faultsOf(outcome, input, row))
        if (at % BEAT === 0) await task.beat(at)
      }
      if (refused.length > 0 || mode === 'dry-run') throw new Undone('validation-failed')
    })
  } catch (error) {
    db.memory.clear() // what was remembered of rows that never were
    if (!(error instanceof Undone)) throw error
  }
  refused.sort((a, b) => a.row - b.row)
  await keepFaults(db, task.id, refused)
  return refused
}

/** Between two signs of life of a step that takes all. */
const BEAT = 2 * PIECE

/** Drawn outside the transaction that files: a block of numbers that is undone would be handed out twice, and one that waits for its end would make all others wait. */
async function numbering(db: Db): Promise<() => Promise<string>> {
  const day = dayOf((await calendars(db)).at(''), await clock(db))
  const outside = AsyncLocalStorage.snapshot()
  return () => outside(nextNumber, db, day)
}

/** @param outcome as its writer has it */
function faultsOf(outcome: string | Problem | undefined, { kind, layout }: Input, row: number): Fault[] {
  if (!(outcome instanceof Problem)) return []
  const of = (pointer: string | undefined, code: string, message: Says): Fault => {
    const key = pointer === undefined ? undefined : COLUMN_OF[kind][pointer]
    const column = IMPORT_COLUMNS[kind].find((one) => one.key === key)
    const index = layout.find(([of]) => of === key)?.[1]
    return { row, column: index === undefined ? null : lettersOf(index), heading: column?.name ?? null, code, message }
  }
  if (outcome.errors.length > 0) return outcome.errors.map(({ pointer, code, message }) => of(pointer, code ?? outcome.code, message))
  return [of(undefined, outcome.code, outcome.detail ?? PROBLEMS[outcome.code])]
}

async function keepFaults(db: Db, operation: string, faults: readonly Fault[]): Promise<void> {
  if (faults.length === 0) return
  const rows = [...grouped(faults)].map(([row, of]) => ({ row, faults: of }))
  await db.app.query({
    name: 'import_faults',
    text: `INSERT INTO import_row ("tenantId", "operationId", row, state, faults) SELECT $1, $2, r.row, 'refused', r.faults FROM jsonb_to_recordset($3::jsonb) AS r(row int, faults jsonb) ON CONFLICT DO NOTHING`,
    values: [tenantHere(), operation, JSON.stringify(rows)],
  })
}

export interface ImportView extends Page<{ row: number; column: string | null; heading: string | null; code: string; message: string }> {
  imported: number
  refused: number
}

/** What came of it, with every fault, row by row. @throws Problem not-found unless it is one's own */
export async function readImport(db: Db, id: string, { cursor, limit }: { cursor?: string | undefined; limit: number }, actor: Actor): Promise<ImportView> {
  const operation = await findOperation(db, id, actor)
  if (operation?.kind !== IMPORT) throw new Problem('not-found')
  const { rows: [counts] } = await db.app.query<{ imported: number; refused: number }>({
    name: 'import_counts', text: `SELECT count(*) FILTER (WHERE state = 'done')::int AS imported, count(*) FILTER (WHERE state = 'refused')::int AS refused FROM import_row WHERE "tenantId" = $1 AND "operationId" = $2`,
    values: [tenantHere(), id],
  })
  const { rows } = await db.app.query<{ row: number; faults: Fault[] }>({
    name: 'import_refused', text: `SELECT row, faults FROM import_row WHERE "tenantId" = $1 AND "operationId" = $2 AND state = 'refused' AND row > $3 ORDER BY row LIMIT $4`,
    values: [tenantHere(), id, cursor === undefined ? 0 : Number(decodeCursor(cursor, /^\d{1,9}$/)), limit + 1],
  })
  const { data, page } = pageOf(rows, limit, ({ row }) => String(row))
  return { ...counts!, data: data.flatMap(({ faults }) => faults.map(({ message: _, ...fault }, index) => ({ ...fault, message: inWords(faults[index]!) }))), page }
}

/** What to fill in: the headings, what may be chosen, and a row that shows how. */
export async function importTemplate({ db, workbooks }: { db: Db; workbooks: WorkbookPort }, kind: ImportKind): Promise<Buffer> {
  const { settings: { levels } } = await tenant(db)
  const columns = IMPORT_COLUMNS[kind].map(({ key, name, required, choices, expects, width = 14 }) => {
    const offered = key === 'level' ? levels.map((level) => level.name) : choices && Object.keys(choices)
    return { name: required ? `${name}*` : name, width, note: `${required ? '必填。' : ''}${offered ? `${offered.join('、')}` : expects.zh}`, ...(offered && { choices: offered }) }
  })
  return workbooks.write([{ name: KIND_NAMES[kind], columns, rows: [IMPORT_COLUMNS[kind].map(({ example }, index) => (index === 0 ? `${EXAMPLE}${example}` : example || null))] }])
}
