import { says } from './problems.ts'

/** Tables as people send and fetch them (Excel), read and written by outside/workbook.ts. */

/** A cell, as whoever wrote it meant it; a date is midnight UTC of its day. */
export type Cell = string | number | boolean | Date | null

/** A row as the program shows it: `number` counts from 1, cells from column A. Rows without content are left out. */
export interface SheetRow {
  readonly number: number
  readonly cells: readonly Cell[]
  /** Cells that are worked out, by index; left out where there are none. */
  readonly formulas?: readonly number[]
}

export interface Sheet {
  readonly name: string
  /** Set where the program does not show it. */
  readonly hidden?: true
  readonly rows: readonly SheetRow[]
  /** Ranges of merged cells, as `B2:C3`; left out where there are none. */
  readonly merged?: readonly string[]
}

/** A sheet to write: headings that stay in sight, and rows below them. */
export interface NewSheet {
  readonly name: string
  readonly columns: readonly NewColumn[]
  readonly rows: readonly (readonly Cell[])[]
}

export interface NewColumn {
  readonly name: string
  /** In characters. */
  readonly width: number
  /** What may be chosen in it; anything when left out. */
  readonly choices?: readonly string[]
  /** Shown when the pointer rests on the heading. */
  readonly note?: string
}

/** How much of a workbook is read; more is refused, not cut off. */
export interface WorkbookLimits {
  /** Of all parts together, unpacked. */
  readonly bytes: number
  /** With content, in all sheets. */
  readonly rows: number
  /** From A; what lies further right is not looked at. */
  readonly columns: number
}

/** Why a file is not read as a workbook. */
export const WORKBOOK_REFUSALS = {
  'not-a-workbook': says('不是 Excel 工作簿（.xlsx）', 'Not an Excel workbook (.xlsx)'),
  'old-or-locked': says('是旧版（.xls、.et）或加了密码的工作簿，请用 Excel 或 WPS 打开，另存为不加密码的 .xlsx', 'An old (.xls) or password-protected workbook: save it as .xlsx without a password'),
  macros: says('含有宏，请另存为不含宏的 .xlsx', 'Contains macros: save it as .xlsx without them'),
  encoding: says('内容不是 UTF-8 编码，请用 Excel 或 WPS 重新另存为 .xlsx', 'Not encoded as UTF-8: save it again as .xlsx'),
  damaged: says('文件已损坏', 'The file is damaged'),
  'too-big': says('解压后过大：请删去多余的工作表、空白行和格式，或另存为 CSV', 'Too big when unpacked: take out further sheets, blank rows and formats, or save as CSV'),
  'too-many-rows': says('行数过多', 'Too many rows'),
} as const

export type WorkbookRefusal = keyof typeof WORKBOOK_REFUSALS

/** Cells as text, full-width characters made narrow: headings and codes compare by it. */
export const plain = (cell: Cell): string => (typeof cell === 'string' ? cell.normalize('NFKC').trim() : cell === null ? '' : String(cell))

/** 0 → A, 26 → AA. */
export const lettersOf = (index: number): string => (index < 26 ? '' : lettersOf(Math.floor(index / 26) - 1)) + String.fromCharCode(65 + (index % 26))
