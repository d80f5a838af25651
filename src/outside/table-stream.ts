import { pipeline, Readable } from 'node:stream'
import { crc32, createDeflateRaw } from 'node:zlib'
import { stringify } from 'csv-stringify/sync'

/**
 * Tables as files, written while they are read: no more is held than a page of rows, however slow the reader is. exceljs's
 * stream writer takes rows without waiting for anybody; the one sheet of text that is needed here is little XML (ECMA-376)
 * in a zip archive whose sizes come behind the bytes (APPNOTE.TXT 6.3.10, 4.3.9).
 */
export type Pages = AsyncIterable<readonly (readonly string[])[]>

export const tableStream = (format: 'xlsx' | 'csv', headings: readonly string[], pages: Pages): Readable => Readable.from(format === 'csv' ? csv(headings, pages) : xlsx(headings, pages), { objectMode: false })

/** Excel takes a CSV for UTF-8 by its mark. */
async function* csv(headings: readonly string[], pages: Pages): AsyncGenerator<Buffer> {
  yield Buffer.from(`\ufeff${stringify([[...headings]], CSV)}`)
  for await (const rows of pages) if (rows.length > 0) yield Buffer.from(stringify(rows as string[][], CSV))
}

const CSV = { record_delimiter: '\r\n' } as const

const TYPES = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>'
const RELATIONS = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>'
const BOOK = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="导出" sheetId="1" r:id="rId1"/></sheets></workbook>'
const BOOK_RELATIONS = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>'
const SHEET_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><sheetData>'
const SHEET_END = '</sheetData></worksheet>'

async function* xlsx(headings: readonly string[], pages: Pages): AsyncGenerator<Buffer> {
  const parts: [string, () => AsyncIterable<string>][] = [
    ['[Content_Types].xml', () => once(TYPES)], ['_rels/.rels', () => once(RELATIONS)], ['xl/workbook.xml', () => once(BOOK)], ['xl/_rels/workbook.xml.rels', () => once(BOOK_RELATIONS)],
    ['xl/worksheets/sheet1.xml', () => sheet(headings, pages)],
  ]
  const directory: Buffer[] = []
  let offset = 0
  for (const [name, content] of parts) {
    const head = Buffer.concat([signed(0x04034b50, [20, 0]), fields({ crc: 0, packed: 0, size: 0, name })])
    yield head
    const told = { crc: 0, size: 0 }
    let packed = 0
    // By pipeline: what goes wrong on one side ends the other.
    for await (const chunk of pipeline(measured(content(), told), createDeflateRaw({ level: 6 }), () => {}) as AsyncIterable<Buffer>) {
      packed += chunk.length
      yield chunk
    }
    const { crc, size } = told
    yield signed(0x08074b50, [], uint32(crc, packed, size))
    directory.push(signed(0x02014b50, [20, 0, 20, 0], fields({ crc, packed, size, name, offset })))
    offset += head.length + packed + 16
  }
  const central = Buffer.concat(directory)
  yield central
  yield signed(0x06054b50, [0, 0, 0, 0, parts.length, 0, parts.length, 0], Buffer.concat([uint32(central.length, offset), Buffer.alloc(2)]))
}

async function* once(text: string): AsyncGenerator<string> {
  yield text
}

async function* measured(content: AsyncIterable<string>, told: { crc: number; size: number }): AsyncGenerator<Buffer> {
  for await (const text of content) {
    const bytes = Buffer.from(text)
    told.crc = crc32(bytes, told.crc)
    told.size += bytes.length
    yield bytes
  }
}

async function* sheet(headings: readonly string[], pages: Pages): AsyncGenerator<string> {
  yield SHEET_HEAD + rowOf(headings, 1)
  let number = 1
  for await (const rows of pages) if (rows.length > 0) yield rows.map((row) => rowOf(row, ++number)).join('')
  yield SHEET_END
}

const rowOf = (cells: readonly string[], number: number): string =>
  `<row r="${number}">${cells.map((cell, index) => (cell === '' ? '' : `<c r="${letters(index)}${number}" t="inlineStr"><is><t xml:space="preserve">${escaped(cell)}</t></is></c>`)).join('')}</row>`

const letters = (index: number): string => (index < 26 ? '' : String.fromCharCode(64 + Math.floor(index / 26))) + String.fromCharCode(65 + (index % 26))

/** Excel takes so many characters in a cell. */
const LONGEST = 32_767
const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' }
/** What XML 1.0 has no place for is left out. */
const escaped = (cell: string): string => cell.slice(0, LONGEST).replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '').replace(/[&<>]/g, (character) => ENTITIES[character]!)

const signed = (signature: number, bytes: readonly number[], rest: Buffer = Buffer.alloc(0)): Buffer => Buffer.concat([uint32(signature), Buffer.from(bytes), rest])

function uint32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length)
  for (const [index, value] of values.entries()) bytes.writeUInt32LE(value >>> 0, 4 * index)
  return bytes
}

/** Names in UTF-8, sizes behind the bytes, deflated; the time is 1980-01-01. With an offset as the directory has it. */
function fields({ crc, packed, size, name, offset }: { crc: number; packed: number; size: number; name: string; offset?: number }): Buffer {
  const common = Buffer.concat([Buffer.from([0x08, 0x08, 8, 0, 0, 0, 0x21, 0]), uint32(crc, packed, size), Buffer.from([Buffer.byteLength(name), 0, 0, 0])])
  return Buffer.concat([common, offset === undefined ? Buffer.alloc(0) : Buffer.concat([Buffer.alloc(10), uint32(offset)]), Buffer.from(name)])
}
