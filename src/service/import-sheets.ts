import { isUtf8 } from 'node:buffer'
import { parse } from 'csv-parse/sync'
import iconv from 'iconv-lite'
import { headOf, inWords, isExample, readRow, type Fault, type ImportColumn, type ReadRow } from '../domain/imports.ts'
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

/** Blank rows are counted, as Excel shows them, and looked through up to this many. */
const MOST_RECORDS = 200_000

function readCsv(bytes: Buffer): readonly Sheet[] {
  const text = decoded(bytes)
  const rows: SheetRow[] = []
  let number = 0
  try {
    parse(text, {
      // Quotes within a field are its own: 3"管, and ="0539" as exporting programs write it.
      delimiter: delimiterOf(text), relax_column_count: true, relax_quotes: true, max_record_size: 100_000,
      on_record: (cells: string[]) => {
        if (++number > MOST_RECORDS) throw tooManyRows()
        if (cells.every((cell) => cell.trim() === '')) return null
        rows.push({ number, cells: cells.slice(0, LIMITS.columns) })
        if (rows.length > LIMITS.rows) throw tooManyRows()
        return null
      },
    })
  } catch (error) {
    if (error instanceof Problem) throw error
    const { lines } = error as { lines?: number }
    throw refused('damaged', says(`第 ${lines ?? 1} 行附近不是有效的 CSV（引号不成对，或一行过长）`, `Not CSV near line ${lines ?? 1}: quotes that do not match, or a record that is too long`))
  }
  return [{ name: 'csv', rows }]
}

/** That which stands most often in the first lines: a title has none. */
function delimiterOf(text: string): string {
  const lines = text.slice(0, 20_000).split(/\r\n|\n|\r/, 10).join('\n')
  return [',', '\t', ';'].map((one) => ({ one, count: lines.split(one).length })).reduce((a, b) => (b.count > a.count ? b : a)).one
}

/** Excel in China saves CSV in GBK, which GB 18030 contains. What decodes to characters that are none is something else. */
function decoded(bytes: Buffer): string {
  if (bytes.length === 0) throw refused('not-a-workbook', says('文件是空的', 'The file is empty'))
  const mark = bytes.subarray(0, 2).toString('hex')
  const text = mark === 'fffe' ? iconv.decode(bytes, 'utf-16le') : mark === 'feff' ? iconv.decode(bytes, 'utf-16be') : isUtf8(bytes) ? bytes.toString('utf8') : iconv.decode(bytes, 'gb18030')
  if (text.includes('\0') || /^(%PDF|\s*\[?\s*\{)/.test(text)) throw refused('not-a-workbook', says('应为 Excel 工作簿（.xlsx）或 CSV', 'Expected an Excel workbook (.xlsx) or CSV'))
  if (/^\ufeff?\s*</.test(text)) throw refused('not-a-workbook', says('是网页或 XML 格式的表格（扩展名可能是 .xls），请用 Excel 或 WPS 打开，另存为 .xlsx', 'A table as a web page or XML: open it in Excel or WPS and save it as .xlsx'))
  if (text.includes('\ufffd') || /[\ue000-\uf8ff]/.test(text)) throw refused('encoding', says('编码应为 UTF-8 或 GBK', 'Expected UTF-8 or GBK'))
  return text.replace(/^\ufeff/, '')
}

/** The sheet in sight that has most of the headings; the first of equals, unless several could be imported. */
function chosen(all: readonly Sheet[], columns: readonly ImportColumn[]): Sheet {
  const sheets = all.filter(({ hidden }) => !hidden)
  const read = sheets.map((sheet) => ({ sheet, ...headOf(sheet.rows, columns) }))
  const whole = read.filter(({ sheet, at, faults }) => faults.length === 0 && sheet.rows.length > at + 1)
  if (whole.length > 1) {
    const which = whole.map(({ sheet }) => sheets.indexOf(sheet) + 1).join('、')
    throw headings([{ row: 1, column: null, heading: null, code: 'several-sheets', message: says(`有 ${whole.length} 张工作表都像是要导入的（第${which}张），一次导入一张：请删去其余的，或分别保存`, `${whole.length} sheets could be meant (number ${which}): leave one`) }])
  }
  return (whole[0] ?? read.reduce((a, b) => (b.layout.size > a.layout.size ? b : a), read[0] ?? { sheet: { name: '', rows: [] }, layout: new Map() })).sheet
}

/** Where the range ends, `A1:F2`. */
const lastRowOf = (range: string): number => Number(/:[A-Z]+(\d+)$/.exec(range)?.[1] ?? Infinity)

function rowsOf({ rows, merged = [] }: Sheet, columns: readonly ImportColumn[]): ReadSheet {
  const { at, layout, faults: wrong } = headOf(rows, columns)
  const head = rows[at]
  if (!head) throw headings([{ row: 1, column: null, heading: null, code: 'required', message: says('没有表头和数据', 'No headings and no rows') }])
  const joined: Fault[] = merged.filter((range) => layout.size === 0 || lastRowOf(range) >= head.number)
    .map((range) => ({ row: Number(/\d+/.exec(range)?.[0] ?? 1), column: /^[A-Z]+/.exec(range)?.[0] ?? null, heading: null, code: 'merged', message: says(`合并单元格 ${range}，请取消合并`, `Merged cells ${range}: unmerge them`) }))
  if (wrong.length > 0 || joined.length > 0) throw headings([...wrong, ...joined])
  const data = rows.slice(at + 1).filter(({ cells }) => !isExample(cells))
  if (data.length === 0) throw headings([{ row: head.number + 1, column: null, heading: null, code: 'required', message: says('没有数据', 'No rows') }])
  if (data.length > MOST_ROWS) throw tooManyRows()
  const sheet: ReadSheet = { rows: [], layout: [...layout], faults: [], total: data.length }
  const twins = new Map<string, number>()
  for (const { number, cells, formulas } of data) {
    const { values, faults } = readRow(cells, number, columns, layout, formulas)
    if (faults.length > 0) sheet.faults.push(...faults)
    else {
      const said = JSON.stringify(values)
      const twin = twins.get(said) ?? 0
      twins.set(said, twin + 1)
      sheet.rows.push({ row: number, values, ...(twin > 0 && { twin }) })
    }
  }
  return sheet
}

/** So many are told at once. */
const MOST_FINDINGS = 20
const headings = (faults: readonly Fault[]): Problem =>
  new Problem('validation-failed', { errors: faults.slice(0, MOST_FINDINGS).map((fault) => ({ pointer: '/file', code: fault.code, message: { zh: inWords(fault), en: `Row ${fault.row}${fault.column === null ? '' : `, column ${fault.column}`}: ${fault.message.en}` } })) })
