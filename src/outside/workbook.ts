import { PassThrough, Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import type { DataValidation, Row } from 'exceljs'
import { lettersOf, plain, type Cell, type NewSheet, type Sheet, type SheetRow, type WorkbookLimits, type WorkbookRefusal } from '../domain/sheet.ts'
import { readable } from './workbook-xml.ts'
import { BadZip, namesIn, unzip, zip } from './zip.ts'

declare module 'exceljs' {
  namespace stream.xlsx {
    /** The typings leave them out. */
    interface WorksheetReader {
      readonly name: string
      readonly state?: 'visible' | 'hidden' | 'veryHidden' | undefined
    }
  }
}

/**
 * Excel workbooks (.xlsx, ECMA-376) through exceljs, for whoever reads or writes tables. What strangers send is unpacked
 * here under a limit and repacked with the parts that rows are made of and no others: exceljs would unpack without one,
 * and expand a merged or named range of a whole sheet cell by cell.
 */
export interface Workbooks {
  /** @returns the sheets in the order of their files, or why not */
  read(bytes: Buffer, limits: WorkbookLimits): Promise<readonly Sheet[] | WorkbookRefusal>
  write(sheets: readonly NewSheet[]): Promise<Buffer>
}

export const workbooks: Workbooks = { read: readWorkbook, write: writeWorkbook }

/** 170 ms and 30 MB, for the few who ever need it. */
const exceljs = async () => (await import('exceljs')).default

const BOOK = 'xl/workbook.xml'
const RELATIONS = 'xl/_rels/workbook.xml.rels'
const STRINGS = 'xl/sharedStrings.xml'
const STYLES = 'xl/styles.xml'
const SHEET = /^xl\/worksheets\/sheet(\d{1,4})\.xml$/
const MACROS = /(^|\/)vbaProject|^xl\/macrosheets\//i
const MACRO_TYPE = /macroEnabled|ms-excel\.(?:intl)?macrosheet/i
/** OLE2: workbooks before 2007, and encrypted ones of today. */
const OLE2 = Buffer.from('d0cf11e0a1b11ae1', 'hex')
const ZIP = Buffer.from('PK')

async function readWorkbook(bytes: Buffer, limits: WorkbookLimits): Promise<readonly Sheet[] | WorkbookRefusal> {
  if (bytes.subarray(0, OLE2.length).equals(OLE2)) return 'old-or-locked'
  if (!bytes.subarray(0, ZIP.length).equals(ZIP)) return 'not-a-workbook'
  try {
    const parts = partsOf(bytes, limits.bytes)
    return typeof parts === 'string' ? parts : await rowsOf(zip(parts), limits, [...parts].flatMap(([name, xml]) => (SHEET.test(name) ? [mergedIn(xml)] : [])))
  } catch (error) {
    if (error instanceof BadZip) return error.reason === 'locked' ? 'old-or-locked' : error.reason
    // XML that is none, an address that is none: exceljs says so in many ways.
    return 'damaged'
  }
}

function partsOf(bytes: Buffer, limit: number): Map<string, Buffer> | WorkbookRefusal {
  const names = namesIn(bytes)
  if (!names.includes(BOOK) || !names.includes(RELATIONS) || !names.some((name) => SHEET.test(name))) return 'not-a-workbook'
  if (names.some((name) => MACROS.test(name))) return 'macros'
  const types = '[Content_Types].xml'
  const parts = unzip(bytes, { limit, wanted: (name) => [types, BOOK, RELATIONS, STRINGS, STYLES].includes(name) || SHEET.test(name) })
  if (MACRO_TYPE.test(parts.get(types)?.toString('latin1') ?? '')) return 'macros'
  const sheets = [...parts.keys()].filter((name) => SHEET.test(name)).sort((a, b) => Number(SHEET.exec(a)?.[1]) - Number(SHEET.exec(b)?.[1]))
  const ordered = new Map<string, Buffer>()
  // In this order exceljs needs no temporary files.
  for (const name of [BOOK, RELATIONS, STRINGS, STYLES, ...sheets]) {
    const bytes = parts.get(name) ?? EMPTY[name]
    const xml = bytes && readable(name, bytes)
    if (typeof xml === 'string') return xml
    if (xml) ordered.set(name, xml)
  }
  return ordered
}

const EMPTY: Record<string, Buffer | undefined> = { [STRINGS]: Buffer.from('<sst/>') }

/** So much at a time is parsed before its rows are taken. */
const CHUNK = 65_536

function* inChunks(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += CHUNK) yield bytes.subarray(at, at + CHUNK)
}

/** exceljs reads no merged ranges as a stream. */
function mergedIn(xml: Buffer): string[] {
  const ranges: string[] = []
  for (const [, range] of xml.toString('latin1').matchAll(/<mergeCell\s[^<>]*?ref="([A-Z]{1,3}\d{1,7}:[A-Z]{1,3}\d{1,7})"/g)) if (ranges.push(range!) === MOST_MERGED) break
  return ranges
}

const MOST_MERGED = 20

/** @param merged of each sheet, in the order of their files */
async function rowsOf(archive: Buffer, limits: WorkbookLimits, merged: readonly (readonly string[])[]): Promise<readonly Sheet[] | WorkbookRefusal> {
  const { stream: { xlsx } } = await exceljs()
  const reader = new xlsx.WorkbookReader(Readable.from(inChunks(archive)), { worksheets: 'emit', sharedStrings: 'cache', styles: 'cache', hyperlinks: 'ignore', entries: 'ignore' })
  const sheets: Sheet[] = []
  let left = limits.rows
  for await (const worksheet of reader) {
    const rows: SheetRow[] = []
    for await (const row of worksheet) {
      const cells = cellsOf(row, limits.columns)
      if (cells.every((cell) => plain(cell) === '')) continue
      if (left-- === 0) return 'too-many-rows'
      const formulas = cells.flatMap((_, index) => (isFormula(row.findCell(index + 1)?.value) ? [index] : []))
      rows.push({ number: row.number, cells, ...(formulas.length > 0 && { formulas }) })
    }
    const ranges = merged[sheets.length] ?? []
    const { name, state = 'visible' } = worksheet
    sheets.push({ name, ...(state !== 'visible' && { hidden: true }), rows, ...(ranges.length > 0 && { merged: ranges }) })
  }
  return sheets
}

function cellsOf(row: Row, columns: number): Cell[] {
  const cells = Array.from({ length: Math.min(columns, row.cellCount) }, (_, index) => cellOf(row.findCell(index + 1)?.value))
  while (cells.at(-1) === null) cells.pop()
  return cells
}

const isFormula = (value: unknown): boolean => typeof value === 'object' && value !== null && ('formula' in value || 'sharedFormula' in value)

function cellOf(value: unknown): Cell {
  if (value === undefined || value === null) return null
  if (typeof value === 'string') return unescaped(value)
  if (typeof value === 'boolean' || value instanceof Date) return value
  if (typeof value === 'number') return Number.isNaN(value) ? null : value
  if (typeof value !== 'object') return null
  if ('richText' in value && Array.isArray(value.richText)) return value.richText.map(({ text }: { text?: string | null }) => unescaped(text ?? '')).join('')
  if ('error' in value && typeof value.error === 'string') return value.error
  // What the formula came to when the file was saved; it is not worked out here.
  if ('result' in value) return cellOf(value.result)
  return null
}

/** `_x000D_` is a character that XML has no place for (ECMA-376 22.4.2.4). */
const unescaped = (text: string): string => text.replace(/_x([0-9A-Fa-f]{4})_/g, (_, code: string) => String.fromCharCode(parseInt(code, 16)))

/** By the stream writer: the other one tears characters apart that lie across two pieces of 16 KiB. */
async function writeWorkbook(sheets: readonly NewSheet[]): Promise<Buffer> {
  const { stream: { xlsx } } = await exceljs()
  const stream = new PassThrough()
  const whole = buffer(stream)
  const book = new xlsx.WorkbookWriter({ stream, useStyles: true, useSharedStrings: true })
  for (const { name, columns, rows } of sheets) {
    const sheet = book.addWorksheet(name, { views: [{ state: 'frozen', ySplit: 1 }] })
    sheet.columns = columns.map(({ name: header, width }) => ({ header, width, style: { numFmt: '@' } }))
    sheet.getRow(1).font = { bold: true }
    for (const [index, { choices, note }] of columns.entries()) {
      if (note !== undefined) sheet.getCell(1, index + 1).note = note
      if (choices) offer(sheet, `${lettersOf(index)}2:${lettersOf(index)}${rows.length + ROWS_AHEAD}`, choices)
    }
    for (const row of rows) sheet.addRow([...row]).commit()
    sheet.commit()
  }
  await book.commit()
  return whole
}

/** Rows below the last one that offer the choices too. */
const ROWS_AHEAD = 200

/** The typings leave it out. */
function offer(sheet: object, range: string, choices: readonly string[]): void {
  const { dataValidations } = sheet as { dataValidations: { add(range: string, rule: DataValidation): void } }
  dataValidations.add(range, { type: 'list', allowBlank: true, formulae: [`"${choices.join(',')}"`], showErrorMessage: true, error: choices.join(' / ') })
}
