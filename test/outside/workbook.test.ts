import { deflateRawSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import type { Sheet } from '../../src/domain/sheet.ts'
import { workbooks } from '../../src/outside/workbook.ts'
import { unzip, zip } from '../../src/outside/zip.ts'

const LIMITS = { bytes: 4 * 2 ** 20, rows: 500, columns: 20 }
const read = (bytes: Buffer, limits = LIMITS) => workbooks.read(bytes, limits)
const rowsOf = (sheets: readonly Sheet[] | string) => (typeof sheets === 'string' ? sheets : sheets.map(({ name, rows }) => ({ name, rows: rows.map(({ number, cells }) => [number, ...cells]) })))

const NEW = { name: '放假安排', columns: [{ name: '日期', width: 14, note: '一天一行' }, { name: '名称', width: 10 }, { name: '类型', width: 8, choices: ['放假', '上班'] }] }
const book = await workbooks.write([{ ...NEW, rows: [['2027-01-01', '元旦', '放假'], ['2027-01-30', '春节', '上班']] }])

/** The same workbook with a part written anew. */
function altered(change: Record<string, (xml: string) => string | Buffer | null>, from = book): Buffer {
  const parts = unzip(from, { limit: 2 ** 24, wanted: () => true })
  for (const [name, write] of Object.entries(change)) {
    const written = write(parts.get(name)?.toString() ?? '')
    if (written === null) parts.delete(name)
    else parts.set(name, Buffer.from(written))
  }
  return zip(parts)
}

const SHEET = 'xl/worksheets/sheet1.xml'

describe('what is written is read', () => {
  test('with its rows as the program numbers them', async () => {
    expect(rowsOf(await read(book))).toEqual([{ name: '放假安排', rows: [[1, '日期', '名称', '类型'], [2, '2027-01-01', '元旦', '放假'], [3, '2027-01-30', '春节', '上班']] }])
  })

  test('in every sort of cell', async () => {
    const xml = altered({
      'xl/styles.xml': (styles) => styles.replace(/<cellXfs.*?<\/cellXfs>/s, '<cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14" applyNumberFormat="1"/></cellXfs>'),
      [SHEET]: (sheet) => sheet.replace(/<sheetData>.*<\/sheetData>/s, `<sheetData>
        <row r="2"><c r="A2" s="1"><v>46388</v></c><c r="B2"><v>46388.5</v></c><c r="C2" t="b"><v>1</v></c><c r="D2" t="inlineStr"><is><t>就地</t></is></c></row>
        <row r="3"><c r="B3" t="str"><f>A1</f><v>算出</v></c><c r="C3"><f>1+1</f><v>2</v></c><c r="D3" t="e"><v>#REF!</v></c><c r="F3" t="s"><v>0</v></c></row>
        <row r="9"/></sheetData>`),
    })
    expect(rowsOf(await read(xml))).toEqual([{ name: '放假安排', rows: [[2, new Date('2027-01-01T00:00:00Z'), 46388.5, true, '就地'], [3, null, '算出', 2, '#REF!', null, '日期']] }])
  })

  test('whole, where characters of several bytes lie across the pieces it is read in', async () => {
    // a megabyte of characters of three and four bytes, so that many lie across the borders of pieces
    const rows = Array.from({ length: 400 }, (_, index) => [`${'x'.repeat(index % 7)}${'愿𠮷'.repeat(400)}${index}`, String(index)])
    const [sheet] = await read(await workbooks.write([{ ...NEW, rows }])) as readonly Sheet[]
    expect(sheet!.rows.slice(1).map(({ cells }) => cells)).toEqual(rows)
  })

  describe('as other programs write it', () => {
    const cells = (xml: string) => (sheet: string) => sheet.replace(/<sheetData>.*<\/sheetData>/s, `<sheetData>${xml}</sheetData>`)
    const first = async (bytes: Buffer) => (await read(bytes) as readonly Sheet[])[0]!
    const day = new Date('2026-11-21T00:00:00Z')

    test.each<[string, Record<string, (xml: string) => string>, unknown]>([
      ['a prefix on every element', { [SHEET]: (xml) => xml.replace(/<(\/?)(?=\w)/g, '<$1x:').replace('xmlns=', 'xmlns:x=') }, [1, '日期', '名称', '类型']],
      ['拼音 over a shared text', { 'xl/sharedStrings.xml': (xml) => xml.replace('<t>日期</t>', '<t>日期</t><rPh sb="0" eb="2"><t>riqi</t></rPh><phoneticPr fontId="1"/>') }, [1, '日期', '名称', '类型']],
      ['a text of several runs in its cell', { [SHEET]: cells('<row r="1"><c r="A1" t="inlineStr"><is><r><t>王</t></r><r><rPr><b/></rPr><t xml:space="preserve">示例</t></r></is></c></row>') }, [1, '王示例']],
      ['a carriage return', { [SHEET]: cells('<row r="1"><c r="A1" t="inlineStr"><is><t>一_x000D_\n二</t></is></c></row>') }, [1, '一\r\n二']],
      ['a date in ISO 8601', { [SHEET]: cells('<row r="1"><c r="A1" t="d"><v>2026-11-21T09:30:00</v></c></row>') }, [1, '2026-11-21T09:30:00']],
      ['dates in formats of East Asia', {
        'xl/styles.xml': (xml) => xml.replace(/<cellXfs.*?<\/cellXfs>/s, '<cellXfs count="3"><xf numFmtId="0"/><xf numFmtId="31" applyNumberFormat="1"/><xf numFmtId="58" applyNumberFormat="1"/></cellXfs>'),
        [SHEET]: cells('<row r="1"><c r="A1" s="1"><v>46347</v></c><c r="B1" s="2"><v>46347</v></c></row>'),
      }, [1, day, day]],
      ['a workbook that counts from 1904', {
        'xl/workbook.xml': (xml) => xml.replace(/<workbookPr[^>]*>/, '<workbookPr date1904="1"/>'), 'xl/styles.xml': (xml) => xml.replace(/<cellXfs.*?<\/cellXfs>/s, '<cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs>'),
        [SHEET]: cells(`<row r="1"><c r="A1" s="1"><v>${46347 - 1462}</v></c></row>`),
      }, [1, day]],
      ['rows of blanks before it', { [SHEET]: cells('<row r="1"><c r="A1" t="inlineStr"><is><t>  \u3000</t></is></c></row><row r="5"><c r="A5"><v>1</v></c></row>') }, [5, 1]],
    ])('%s', async (_, change, row) => {
      const { rows: [one] } = await first(altered(change))
      expect([one!.number, ...one!.cells]).toEqual(row)
    })

    test('hidden sheets are told from the others, whichever way their address is written', async () => {
      const two = await workbooks.write([{ ...NEW, rows: [] }, { ...NEW, name: '二', rows: [] }])
      const hidden = altered({ 'xl/workbook.xml': (xml) => xml.replace(/(name="放假安排"[^>]*state=")visible/, '$1hidden'), 'xl/_rels/workbook.xml.rels': (xml) => xml.replaceAll('Target="worksheets', 'Target="/xl/worksheets') }, two)
      expect((await read(hidden) as readonly Sheet[]).map(({ name, hidden: of }) => [name, of])).toEqual([['放假安排', true], ['二', undefined]])
    })

    test('what is left open, a hundred thousand times over, is gone through once', async () => {
      const began = performance.now()
      for (const open of ['<is>', '<rPh ', '<c ', '<mergeCell ']) expect(await read(altered({ [SHEET]: (xml) => xml.replace('</sheetData>', `${open.repeat(100_000)}</sheetData>`) }))).toBe('damaged')
      console.log(`400,000 left open: ${(performance.now() - began).toFixed(0)} ms`)
    })
  })

  test('a text stays a text, whatever it begins with', async () => {
    const [sheet] = await read(await workbooks.write([{ ...NEW, rows: [['=1+1', '+86', '@x']] }])) as readonly Sheet[]
    expect(sheet!.rows[1]!.cells).toEqual(['=1+1', '+86', '@x'])
  })
})

describe('refused', () => {
  test.each<[string, Buffer, string]>([
    ['nothing', Buffer.alloc(0), 'not-a-workbook'],
    ['text', Buffer.from('日期,名称,类型\n2027-01-01,元旦,放假'), 'not-a-workbook'],
    ['text in GBK', Buffer.from([0xc8, 0xd5, 0xc6, 0xda, 0x2c]), 'not-a-workbook'],
    ['a web page called .xls', Buffer.from('<html><table>'), 'not-a-workbook'],
    ['a zip of something else', zip(new Map([['word/document.xml', Buffer.from('<x/>')]])), 'not-a-workbook'],
    ['an .xls, or an encrypted .xlsx', Buffer.concat([Buffer.from('d0cf11e0a1b11ae1', 'hex'), Buffer.alloc(512)]), 'old-or-locked'],
    ['macros', altered({ 'xl/vbaProject.bin': () => Buffer.from('x') }), 'macros'],
    ['macros under another name', altered({ '[Content_Types].xml': (types) => types.replace('spreadsheetml.sheet.main', 'ms-excel.sheet.macroEnabled.main') }), 'macros'],
    ['Excel 4.0 macros', altered({ 'xl/macrosheets/sheet1.xml': () => '<x/>' }), 'macros'],
    ['XML in GBK', altered({ [SHEET]: (xml) => xml.replace('UTF-8', 'GBK') }), 'encoding'],
    ['XML that says UTF-8 and is not', altered({ 'xl/sharedStrings.xml': (xml) => Buffer.concat([Buffer.from(xml), Buffer.from([0xc8, 0xd5])]) }), 'encoding'],
    ['XML in UTF-16', altered({ [SHEET]: (xml) => Buffer.from(xml, 'utf16le') }), 'encoding'],
    ['a half', book.subarray(0, book.length / 2), 'damaged'],
    ['XML that is none', altered({ [SHEET]: (xml) => xml.replace('</sheetData>', '') }), 'damaged'],
    ['an address that is none', altered({ [SHEET]: (xml) => xml.replace('r="A2"', 'r="ZZZZZZ2"') }), 'damaged'],
    ['entities of its own', altered({ [SHEET]: (xml) => xml.replace('?>', '?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]>') }), 'damaged'],
  ])('%s', async (_, bytes, reason) => expect(await read(bytes)).toBe(reason))

  test('more rows than there may be, in all sheets together', async () => {
    const rows = Array.from({ length: 30 }, (_, index) => [String(index)])
    const two = await workbooks.write([{ ...NEW, rows }, { ...NEW, name: '二', rows }])
    expect(await read(two, { ...LIMITS, rows: 61 })).toBe('too-many-rows')
    expect(rowsOf(await read(two, { ...LIMITS, rows: 62 }))).toHaveLength(2)
  })
})

describe('a bomb', () => {
  const MIB = 2 ** 20
  /** An archive by hand, so that it can say what it likes of its entries. */
  function archive(entries: { name: string; packed: Buffer; claims: number; method?: number; flags?: number }[]): Buffer {
    const whole = zip(new Map(entries.map(({ name, packed }) => [name, packed])))
    for (const { name, claims, method = 8, flags = 0x800 } of entries) {
      for (const [signature, header, shift] of [[0x04034b50, 30, 0], [0x02014b50, 46, 2]] as const) {
        let at = whole.indexOf(name)
        while (at < header || whole.readUInt32LE(at - header) !== signature) at = whole.indexOf(name, at + 1)
        whole.writeUInt16LE(flags, at - header + 6 + shift)
        whole.writeUInt16LE(method, at - header + 8 + shift)
        whole.writeUInt32LE(claims, at - header + 22 + shift)
      }
    }
    return whole
  }
  const parts = [...unzip(book, { limit: MIB, wanted: () => true })].map(([name, bytes]) => ({ name, packed: deflateRawSync(bytes), claims: bytes.length }))
  const exchanged = (name: string, packed: Buffer, claims: number, more: object = {}) => archive(parts.map((part) => (part.name === name ? { name, packed, claims, ...more } : part)))
  const GREAT = deflateRawSync(Buffer.alloc(256 * MIB, ' '))

  test('is the same workbook when it is none', async () => expect(rowsOf(await read(archive(parts)))).toEqual(rowsOf(await read(book))))

  test.each([
    ['of a part that says how great it is', GREAT, 256 * MIB],
    ['of a part that says it is small', GREAT, 100],
  ])('%s is not unpacked', async (_, packed, claims) => {
    const before = process.memoryUsage().arrayBuffers
    expect(await read(exchanged(SHEET, packed, claims))).toBe('too-big')
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * MIB)
  })

  test('of several parts, each within the limit, is not unpacked', async () => {
    const third = Buffer.concat([Buffer.from('<x>'), Buffer.alloc(2 * MIB, ' '), Buffer.from('</x>')])
    const sheets = [2, 3].map((number) => ({ name: `xl/worksheets/sheet${number}.xml`, packed: deflateRawSync(third), claims: third.length }))
    expect(await read(archive([...parts, ...sheets]))).toBe('too-big')
  })

  test('that is encrypted, or packed by another method, is none of ours', async () => {
    expect(await read(exchanged(SHEET, deflateRawSync(Buffer.from('<x/>')), 4, { flags: 0x801 }))).toBe('old-or-locked')
    expect(await read(exchanged(SHEET, Buffer.from('xx'), 4, { method: 12 }))).toBe('damaged')
    expect(await read(exchanged(SHEET, Buffer.from('not deflated'), 4))).toBe('damaged')
  })

  // Each of these takes exceljs minutes or all memory when it reads the whole workbook by itself.
  test.each([
    ['merged cells', { [SHEET]: (xml: string) => xml.replace('</sheetData>', '</sheetData><mergeCells count="1"><mergeCell ref="A5:XFD1048576"/></mergeCells>') }],
    ['a validation', { [SHEET]: (xml: string) => xml.replace(/<dataValidations.*<\/dataValidations>/s, '<dataValidations count="1"><dataValidation type="list" sqref="A1:XFD1048576"><formula1>"a"</formula1></dataValidation></dataValidations>') }],
    ['a name', { 'xl/workbook.xml': (xml: string) => xml.replace('</sheets>', '</sheets><definedNames><definedName name="all">放假安排!$A$1:$XFD$1048576</definedName></definedNames>') }],
    ['columns', { [SHEET]: (xml: string) => xml.replace(/<cols>.*<\/cols>/s, '<cols><col min="1999999999" max="2000000000" width="9"/></cols>') }],
    ['a far cell', { [SHEET]: (xml: string) => xml.replace('</sheetData>', '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>') }],
  ])('of %s over the whole sheet is read as what it is: a few rows', async (_, change) => {
    expect(rowsOf(await read(altered(change)))).toEqual(rowsOf(await read(book)))
  })
})
