import type { Actor } from '../domain/actor.ts'
import { IMPORT_COLUMNS, KIND_NAMES, type ImportKind } from '../domain/import-kinds.ts'
import { EXAMPLE, inWords, whereOf, type Fault, type ImportMode, type ReadRow } from '../domain/imports.ts'
import { Problem, PROBLEMS, type Says } from '../domain/problems.ts'
import { lettersOf } from '../domain/sheet.ts'
import { account } from './audit.ts'
import type { WorkbookPort } from './calendar-import.ts'
import { decodeCursor, pageOf, type Page } from './cursor.ts'
import { inOneTransaction, tenantHere, type Db } from './db.ts'
import { COLUMN_OF, WRITERS, type WriteContext } from './import-writers.ts'
import { readSheet, type ReadSheet } from './import-sheets.ts'
import type { Keyring } from './keyring.ts'
import { findOperation, startOperation, type FailedPiece, type Stepped, type Task, type Work } from './operations.ts'
import { tenant } from './tenants.ts'
import { clock, numbersFor } from './visits.ts'

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

/** Of one step, where each row stands for itself. */
const AT_ONCE = 50
/** Between two signs of life of a step that takes all. */
const BEAT = 200

export const importWork = (db: Db, keyring: Keyring): Work => async (task: Task): Promise<Stepped> => {
  const input = task.input as Input
  const { kind, mode, rows, faults, total } = input
  const context = { db, keyring, actor: task.actor, operation: task.id }
  const result = `/v1/imports/${task.id}`
  if (mode !== 'good') {
    // What was told of a try that came to nothing is not counted twice.
    let reached = task.done
    const beat = (done: number): Promise<void> => task.beat((reached = done))
    const found = await wholeSheet(context, { ...task, beat }, input)
    return { ...told(found), done: total - reached, position: null, ended: true, result }
  }
  const from = Number(task.position ?? 0)
  const these = rows.slice(from, from + AT_ONCE)
  const numbers = await numbersOf(db, kind, these)
  const refused: Fault[] = from === 0 ? [...faults] : []
  const known = await knownRows(db, task.id, these)
  for (const row of these) refused.push(...known.get(row.row) ?? await oneRow({ ...context, number: (of) => numbers.get(of) }, input, row))
  await keepFaults(db, task.id, refused)
  const unread = from === 0 ? new Set(faults.map(({ row }) => row)).size : 0
  const next = from + these.length
  return { ...told(refused), done: these.length + unread, position: String(next), ended: next >= rows.length, result }
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

const TAKE = `INSERT INTO import_row ("tenantId", "operationId", row, state, "madeId") VALUES ($1, $2, $3, 'done', $4) ON CONFLICT DO NOTHING`

/** Those of a step that was done before, by a worker that died before it said so; with what was wrong with them. */
async function knownRows(db: Db, operation: string, rows: readonly ReadRow[]): Promise<Map<number, Fault[]>> {
  const { rows: known } = await db.app.query<{ row: number; faults: Fault[] }>({
    name: 'import_rows_known', text: `SELECT row, faults FROM import_row WHERE "tenantId" = $1 AND "operationId" = $2 AND row = ANY ($3::int[])`, values: [tenantHere(), operation, rows.map(({ row }) => row)],
  })
  return new Map(known.map(({ row, faults }) => [row, faults]))
}

/** The row and what it makes in one transaction: a step that is done again after a crash finds it done. */
async function oneRow(context: WriteContext, input: Input, row: ReadRow): Promise<Fault[]> {
  const { db, operation } = context
  try {
    await inOneTransaction(db, async () => {
      const id = await WRITERS[input.kind](context, row)
      const { rowCount } = await db.app.query({ name: 'import_row_take', text: TAKE, values: [tenantHere(), operation, row.row, id] })
      // Another worker has written it in the meantime: this one is undone.
      if (rowCount === 0) throw new Problem('idempotency-in-flight')
    })
    return []
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    if (error.kind === 'busy') throw error
    return error.code === 'idempotency-in-flight' ? [] : faultsOf(error, input, row.row)
  }
}

/** Undoes the transaction: nothing of it stays. */
class Undone extends Problem {
  readonly faults: Fault[]
  constructor(faults: Fault[]) {
    super('validation-failed')
    this.faults = faults
  }
}

/** All rows in one transaction, by the doors' own rules; undone when a row is refused, or when it was only to be told what would be. */
async function wholeSheet(context: Omit<WriteContext, 'number'>, task: Task, input: Input): Promise<Fault[]> {
  const { kind, mode, rows, faults } = input
  const { db, operation } = context
  const before = await db.app.query<{ state: string }>({ name: 'import_state', text: `SELECT state FROM import_row WHERE "tenantId" = $1 AND "operationId" = $2 LIMIT 1`, values: [tenantHere(), operation] })
  // Done before the worker died that did it.
  if (before.rows[0]?.state === 'done') return []
  const numbers = mode === 'all' ? await numbersOf(db, kind, rows) : new Map<number, string>()
  const number = (row: number) => (mode === 'all' ? numbers.get(row) : `DRY-${operation}-${row}`)
  const refused = [...faults]
  try {
    await inOneTransaction(db, async () => {
      for (const [index, row] of rows.entries()) {
        if (index % BEAT === BEAT - 1) await task.beat(index)
        try {
          const id = await WRITERS[kind]({ ...context, number }, row)
          const { rowCount } = await db.app.query({ name: 'import_row_take', text: TAKE, values: [tenantHere(), operation, row.row, id] })
          // Another worker has written it: what is undone here is found done the next time.
          if (rowCount === 0) throw new Problem('overloaded')
        } catch (error) {
          if (!(error instanceof Problem) || error.kind === 'busy') throw error
          refused.push(...faultsOf(error, input, row.row))
        }
      }
      if (refused.length > 0 || mode === 'dry-run') throw new Undone(refused)
    })
  } catch (error) {
    if (!(error instanceof Undone)) throw error
    db.memory.clear() // what was remembered of rows that never were
  }
  refused.sort((a, b) => a.row - b.row)
  await keepFaults(db, operation, refused)
  return refused
}

/** Before the transaction: a block of numbers that is undone would be handed out twice. */
async function numbersOf(db: Db, kind: ImportKind, rows: readonly ReadRow[]): Promise<Map<number, string>> {
  if (kind !== 'visits') return new Map()
  const wanted = rows.filter(({ values }) => values.title !== undefined)
  const numbers = wanted.length === 0 ? [] : await numbersFor(db, wanted.length, '', await clock(db))
  return new Map(wanted.map(({ row }, index) => [row, numbers[index]!]))
}

function faultsOf(error: Problem, { kind, layout }: Input, row: number): Fault[] {
  const of = (pointer: string | undefined, code: string, message: Says): Fault => {
    const key = pointer === undefined ? undefined : COLUMN_OF[kind][pointer]
    const column = IMPORT_COLUMNS[kind].find((one) => one.key === key)
    const index = layout.find(([of]) => of === key)?.[1]
    return { row, column: index === undefined ? null : lettersOf(index), heading: column?.name ?? null, code, message }
  }
  if (error.errors.length > 0) return error.errors.map(({ pointer, code, message }) => of(pointer, code ?? error.code, message))
  return [of(undefined, error.code, error.detail ?? PROBLEMS[error.code])]
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
