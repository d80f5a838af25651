import { isUtf8 } from 'node:buffer'
import { parse } from 'csv-parse/sync'
import iconv from 'iconv-lite'
import { inWords, isExample, layoutOf, readRow, type Fault, type ImportColumn, type ReadRow } from '../domain/imports.ts'
import { Problem, says, type ProblemCode } from '../domain/problems.ts'
import { WORKBOOK_REFUSALS, type Sheet, type SheetRow, type WorkbookLimits, type WorkbookRefusal } from '../domain/sheet.ts'
import type { WorkbookPort } from './calendar-import.ts'

/** 导入的文件: an .xlsx, or CSV in UTF-8, UTF-16 or GB18030, as rows of what they mean. */

export const MOST_ROWS = 10_000
const LIMITS: WorkbookLimits = { bytes: 48 * 2 ** 20, rows: MOST_ROWS + 200, columns: 60 }

export interface ReadSheet {
  rows: ReadRow[]
  /** Where each column stands in this file. */
  layout: [key: string, index: number][]
  /** Of rows that cannot be read; those rows are not among `rows`. */
  faults: Fault[]
  /** Rows with content, the examples of the template left out. */
  total: number
}

/**
 * @throws Problem file-type-unsupported, file-unreadable, body-too-large (with `reason`) for what is no table; validation-failed with
 *   row and column for headings that will not do, merged cells, and a table without rows
 */
export async function readSheet(workbooks: WorkbookPort, bytes: Buffer, columns: readonly ImportColumn[]): Promise<ReadSheet> {
  const sheets = isZip(bytes) || isOle(bytes) ? await workbooks.read(bytes, LIMITS) : readCsv(bytes)
  if (typeof sheets === 'string') throw refused(sheets)
  return rowsOf(chosen(sheets, columns), columns)
}

const isZip = (bytes: Buffer): boolean => bytes.subarray(0, 2).toString('latin1') === 'PK'
const isOle = (bytes: Buffer): boolean => bytes.subarray(0, 4).toString('hex') === 'd0cf11e0'

const REFUSED = {
  'not-a-workbook': 'file-type-unsupported', 'old-or-locked': 'file-type-unsupported', macros: 'file-type-unsupported',
  encoding: 'file-unreadable', damaged: 'file-unreadable', 'too-big': 'body-too-large', 'too-many-rows': 'body-too-large',
} as const satisfies Record<WorkbookRefusal, ProblemCode>

const refused = (reason: WorkbookRefusal, detail = WORKBOOK_REFUSALS[reason]): Problem => new Problem(REFUSED[reason], { detail, facts: { reason } })

const tooManyRows = (): Problem => refused('too-many-rows', says(`一次至多导入 ${MOST_ROWS} 行`, `At most ${MOST_ROWS} rows at once`))

function readCsv(bytes: Buffer): readonly Sheet[] {
  const text = decoded(bytes)
  let records: string[][]
  try {
    records = parse(text, { delimiter: (text.split('\n', 1)[0] ?? '').includes('\t') ? '\t' : ',', relax_column_count: true, max_record_size: 100_000, to: MOST_ROWS + 300 })
  } catch (error) {
    const { lines } = error as { lines?: number }
    throw refused('damaged', says(`第 ${lines ?? 1} 行附近不是有效的 CSV（引号不成对，或一行过长）`, `Not CSV near line ${lines ?? 1}: quotes that do not match, or a record that is too long`))
  }
  const rows: SheetRow[] = records.map((cells, index) => ({ number: index + 1, cells: cells.slice(0, LIMITS.columns) })).filter(({ cells }) => cells.some((cell) => cell !== ''))
  if (rows.length > LIMITS.rows) throw tooManyRows()
  return [{ name: 'csv', rows }]
}

/** Excel in China saves CSV in GBK, which GB 18030 contains. What decodes to characters that are none is something else. */
function decoded(bytes: Buffer): string {
  if (bytes.length === 0) throw refused('not-a-workbook', says('文件是空的', 'The file is empty'))
  const mark = bytes.subarray(0, 2).toString('hex')
  const text = mark === 'fffe' ? iconv.decode(bytes, 'utf-16le') : mark === 'feff' ? iconv.decode(bytes, 'utf-16be') : isUtf8(bytes) ? bytes.toString('utf8') : iconv.decode(bytes, 'gb18030')
  if (text.includes('\0')) throw refused('not-a-workbook', says('应为 Excel 工作簿（.xlsx）或 CSV', 'Expected an Excel workbook (.xlsx) or CSV'))
  if (text.includes('\ufffd') || /[\ue000-\uf8ff]/.test(text)) throw refused('encoding', says('编码应为 UTF-8 或 GBK', 'Expected UTF-8 or GBK'))
  return text.replace(/^\ufeff/, '')
}

/** The sheet that has most of the headings; the first of equals. */
function chosen(sheets: readonly Sheet[], columns: readonly ImportColumn[]): Sheet {
  const scored = sheets.map((sheet) => ({ sheet, found: sheet.rows[0] ? layoutOf(sheet.rows[0].cells, 1, columns).layout.size : 0 }))
  const best = scored.reduce((a, b) => (b.found > a.found ? b : a), scored[0] ?? { sheet: { name: '', rows: [] }, found: 0 })
  return best.sheet
}

function rowsOf({ rows: [head, ...body], merged = [] }: Sheet, columns: readonly ImportColumn[]): ReadSheet {
  if (!head) throw headings([{ row: 1, column: null, heading: null, code: 'required', message: says('没有表头和数据', 'No headings and no rows') }])
  const { layout, faults: wrong } = layoutOf(head.cells, head.number, columns)
  const joined: Fault[] = merged.map((range) => ({ row: Number(/\d+/.exec(range)?.[0] ?? 1), column: /^[A-Z]+/.exec(range)?.[0] ?? null, heading: null, code: 'merged', message: says(`合并单元格 ${range}，请取消合并`, `Merged cells ${range}: unmerge them`) }))
  if (wrong.length > 0 || joined.length > 0) throw headings([...wrong, ...joined])
  const data = body.filter(({ cells }) => !isExample(cells))
  if (data.length === 0) throw headings([{ row: head.number + 1, column: null, heading: null, code: 'required', message: says('没有数据', 'No rows') }])
  if (data.length > MOST_ROWS) throw tooManyRows()
  const sheet: ReadSheet = { rows: [], layout: [...layout], faults: [], total: data.length }
  for (const { number, cells, formulas } of data) {
    const { values, faults } = readRow(cells, number, columns, layout, formulas)
    if (faults.length > 0) sheet.faults.push(...faults)
    else sheet.rows.push({ row: number, values })
  }
  return sheet
}

/** So many are told at once. */
const MOST_FINDINGS = 20
const headings = (faults: readonly Fault[]): Problem =>
  new Problem('validation-failed', { errors: faults.slice(0, MOST_FINDINGS).map((fault) => ({ pointer: '/file', code: fault.code, message: { zh: inWords(fault), en: `Row ${fault.row}${fault.column === null ? '' : `, column ${fault.column}`}: ${fault.message.en}` } })) })
