import type { z } from 'zod'
import { says, type Says } from './problems.ts'
import { lettersOf, plain, type Cell } from './sheet.ts'

/** 导入: tables as people keep them in Excel, read by their headings, and what is wrong with each cell. */

export const IMPORT_MODES = ['dry-run', 'all', 'good'] as const
/** `dry-run` tells and writes nothing, `all` writes all rows or none, `good` those that are in order. */
export type ImportMode = (typeof IMPORT_MODES)[number]

export interface ImportColumn {
  /** Of the record that is made of a row. */
  readonly key: string
  /** 列名. */
  readonly name: string
  readonly required?: true
  /** Reads what is written; the words of the fault are in `expects`. */
  readonly schema: z.ZodType
  readonly expects: Says
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
}

/** 第3行 C列. */
export const whereOf = ({ row, column }: Pick<Fault, 'row' | 'column'>): string => (column === null ? `第${row}行` : `第${row}行 ${column}列`)
export const inWords = (fault: Fault): string => `${whereOf(fault)}：${fault.message.zh}`

const heading = (cell: Cell): string => plain(cell).replace(/[\s*＊]/g, '')

/** Which column stands where; by heading, in any order. */
export type Layout = ReadonlyMap<string, number>

/** @returns the layout, or what is wrong with the headings */
export function layoutOf(cells: readonly Cell[], row: number, columns: readonly ImportColumn[]): { layout: Layout; faults: Fault[] } {
  const layout = new Map<string, number>()
  const faults: Fault[] = []
  for (const [index, cell] of cells.entries()) {
    const written = heading(cell)
    if (written === '') continue
    const column = columns.find(({ name }) => name === written)
    const at = { row, column: lettersOf(index), heading: null }
    if (!column) faults.push({ ...at, code: 'unknown', message: says('不认识的列，请按模板的列名填写', 'Unknown heading: use those of the template') })
    else if (layout.has(column.key)) faults.push({ ...at, heading: column.name, code: 'repeated', message: says(`列“${column.name}”重复`, `Heading “${column.name}” is there twice`) })
    else layout.set(column.key, index)
  }
  for (const { key, name, required } of columns) {
    if (required && !layout.has(key)) faults.push({ row, column: null, heading: name, code: 'required', message: says(`缺少列“${name}”`, `Heading “${name}” is missing`) })
  }
  return { layout, faults }
}

/** Numbers as they were typed (a phone is one), dates in ISO 8601, yes and no in Chinese. */
function written(cell: Cell): string {
  if (cell instanceof Date) return cell.toISOString().replace(/T00:00:00\.000Z$/, '').replace(/\.000Z$/, '').replace('T', ' ')
  if (typeof cell === 'boolean') return cell ? '是' : '否'
  if (typeof cell === 'number') return Number.isInteger(cell) ? BigInt(cell).toString() : String(cell)
  return (cell ?? '').replace(/[\u200b\ufeff\u00a0]/g, ' ').trim()
}

/** What a row says, and what is wrong with it; a blank cell says nothing. */
export function readRow(cells: readonly Cell[], row: number, columns: readonly ImportColumn[], layout: Layout, formulas: readonly number[] = []): { values: Record_; faults: Fault[] } {
  const values: Record<string, unknown> = {}
  const faults: Fault[] = []
  for (const { key, name, required, schema, expects, choices } of columns) {
    const index = layout.get(key)
    if (index === undefined) continue
    const fault = (code: string, message: Says) => void faults.push({ row, column: lettersOf(index), heading: name, code, message })
    const text = written(cells[index] ?? null)
    if (formulas.includes(index)) fault('formula', says('是公式，请改为数值', 'A formula: paste its value'))
    else if (text === '') {
      if (required) fault('required', says(`“${name}”必填`, `“${name}” is required`))
    } else {
      const value = choices === undefined ? text : Object.hasOwn(choices, text) ? choices[text] : Object.values(choices).includes(text) ? text : undefined
      const parsed = value === undefined ? undefined : schema.safeParse(value)
      if (parsed?.success) values[key] = parsed.data
      else fault('value', choices === undefined ? expects : says(`应为${Object.keys(choices).join('、')}之一`, `Expected one of ${Object.keys(choices).join(', ')}`))
    }
  }
  return { values, faults }
}

/** Rows of the template that show how it is done are not read. */
export const EXAMPLE = '（示例）'
export const isExample = (cells: readonly Cell[]): boolean => cells.some((cell) => typeof cell === 'string' && cell.startsWith(EXAMPLE))
