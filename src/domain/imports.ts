import type { z } from 'zod'
import { spoilt, written } from './import-cells.ts'
import { says, type Says } from './problems.ts'
import { lettersOf, plain, type Cell, type SheetRow } from './sheet.ts'

/** 导入: tables as people keep them in Excel, read by their headings, and what is wrong with each cell. */

export const IMPORT_MODES = ['dry-run', 'all', 'good'] as const
/** `dry-run` tells and writes nothing, `all` writes all rows or none, `good` those that are in order. */
export type ImportMode = (typeof IMPORT_MODES)[number]

export interface ImportColumn {
  /** Of the record that is made of a row. */
  readonly key: string
  /** 列名. */
  readonly name: string
  /** What else people call it. */
  readonly also?: readonly string[]
  readonly required?: true
  /** Reads what is written; the words of the fault are in `expects`. */
  readonly schema: z.ZodType
  readonly expects: Says
  /** In place of that, where it can be told what has happened to what is written. */
  readonly explain?: (written: string) => Says | undefined
  /** Dates belong here: in other columns Excel has made them of something else. */
  readonly time?: true
  /** What may be written, and what it means. */
  readonly choices?: Readonly<Record<string, string>>
  readonly example: string
  readonly width?: number
}

/** What is wrong, and where; in codes and our own words, never what was written there. */
export interface Fault {
  row: number
  /** Letters, as the program shows them; null where it is about the row. */
  column: string | null
  heading: string | null
  code: string
  message: Says
}

export type Record_ = Readonly<Record<string, unknown>>

export interface ReadRow {
  row: number
  values: Record_
  /** How many rows above say the same; left out where none does. */
  twin?: number
}

/** 第3行 C列. */
export const whereOf = ({ row, column }: Pick<Fault, 'row' | 'column'>): string => (column === null ? `第${row}行` : `第${row}行 ${column}列`)
export const inWords = (fault: Fault): string => `${whereOf(fault)}：${fault.message.zh}`

/** Without stars, colons, blanks, and what stands in brackets behind it: 手机（必填）. */
const heading = (cell: Cell): string => plain(cell).replace(/[\s*:"“”]/g, '').replace(/(?<=.)[([【].*$/, '')

/** Columns that people count their rows in. */
const COUNTING = /^(序号|行号|编号|NO\.?|#)$/i

/** Which column stands where; by heading, in any order. */
export type Layout = ReadonlyMap<string, number>

/** @returns the layout, or what is wrong with the headings */
export function layoutOf(cells: readonly Cell[], row: number, columns: readonly ImportColumn[]): { layout: Layout; faults: Fault[] } {
  const layout = new Map<string, number>()
  const faults: Fault[] = []
  for (const [index, cell] of cells.entries()) {
    const written = heading(cell)
    const column = columns.find(({ name }) => name === written) ?? columns.find(({ also }) => also?.includes(written))
    if (!column && (written === '' || COUNTING.test(written))) continue
    const at = { row, column: lettersOf(index), heading: null }
    const before = column && layout.get(column.key)
    if (!column) faults.push({ ...at, code: 'unknown', message: says('不认识的列，请删去这一列，或按模板的列名填写', 'Unknown heading: take the column out, or use a heading of the template') })
    else if (before === undefined) layout.set(column.key, index)
    else {
      const also = lettersOf(before)
      faults.push({ ...at, heading: column.name, code: 'repeated', message: says(`列“${column.name}”重复，${also}列也是，请只留一列`, `Heading “${column.name}” is there twice, in ${also} too: keep one`) })
    }
  }
  for (const { key, name, required } of columns) {
    if (required && !layout.has(key)) faults.push({ row, column: null, heading: name, code: 'required', message: says(`缺少列“${name}”`, `Heading “${name}” is missing`) })
  }
  return { layout, faults }
}

/** Titles, dates and remarks stand above the headings in so many rows at most. */
const MOST_ABOVE = 10

/** Which row has the headings: that which has most of them, the first of equals. */
export function headOf(rows: readonly SheetRow[], columns: readonly ImportColumn[]): { at: number; layout: Layout; faults: Fault[] } {
  const read = rows.slice(0, MOST_ABOVE + 1).map(({ cells, number }, at) => ({ at, ...layoutOf(cells, number, columns) }))
  return read.reduce((best, one) => (one.layout.size > best.layout.size ? one : best), read[0] ?? { at: 0, ...layoutOf([], 1, columns) })
}

/** What a row says, and what is wrong with it; a blank cell says nothing. */
export function readRow(cells: readonly Cell[], row: number, columns: readonly ImportColumn[], layout: Layout, formulas: readonly number[] = []): { values: Record_; faults: Fault[] } {
  const values: Record<string, unknown> = {}
  const faults: Fault[] = []
  for (const { key, name, required, time, schema, expects, explain, choices } of columns) {
    const index = layout.get(key)
    if (index === undefined) continue
    const fault = (code: string, message: Says) => void faults.push({ row, column: lettersOf(index), heading: name, code, message })
    const cell = cells[index] ?? null
    const text = written(cell)
    const wrong = spoilt(cell, text, time === true)
    if (formulas.includes(index)) fault('formula', says('是公式，请改为数值', 'A formula: paste its value'))
    else if (wrong) fault(wrong.code, wrong.message)
    else if (text === '') {
      if (required) fault('required', says(`“${name}”必填`, `“${name}” is required`))
    } else {
      const parsed = schema.safeParse(choices === undefined ? text : chosen(choices, text.normalize('NFKC')))
      if (parsed.success) values[key] = parsed.data
      else fault('value', choices === undefined ? explain?.(text) ?? expects : says(`应为${Object.keys(choices).join('、')}之一`, `Expected one of ${Object.keys(choices).join(', ')}`))
    }
  }
  return { values, faults }
}

const chosen = (choices: Readonly<Record<string, string>>, text: string): string | undefined => (Object.hasOwn(choices, text) ? choices[text] : Object.values(choices).includes(text) ? text : undefined)

/** Rows of the template that show how it is done are not read. */
export const EXAMPLE = '（示例）'
export const isExample = (cells: readonly Cell[]): boolean => cells.some((cell) => typeof cell === 'string' && cell.startsWith(EXAMPLE))
