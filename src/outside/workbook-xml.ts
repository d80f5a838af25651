import { isUtf8 } from 'node:buffer'
import type { WorkbookRefusal } from '../domain/sheet.ts'

/** Parts of a workbook as the programs of this world write them, made into what exceljs reads rightly. */

/**
 * The same XML without a byte beyond ASCII: exceljs decodes chunk by chunk and would tear characters apart that lie
 * across two. Entities of its own (a DOCTYPE) no workbook has.
 */
export function readable(name: string, bytes: Buffer): Buffer | WorkbookRefusal {
  const declared = /^(?:\xef\xbb\xbf)?<\?xml[^>]*\sencoding\s*=\s*["']([^"']*)/.exec(bytes.toString('latin1', 0, 200))?.[1] ?? 'utf-8'
  if (!isUtf8(bytes) || !/^(utf-?8|us-ascii)$/i.test(declared) || bytes.includes(0)) return 'encoding'
  const xml = bytes.toString('utf8').replace(/^\uFEFF/, '')
  if (/<!(DOCTYPE|\[CDATA\[)/i.test(xml)) return 'damaged'
  return Buffer.from(mended(name, unprefixed(xml)).replace(/\P{ASCII}/gu, (character) => `&#${character.codePointAt(0)};`), 'latin1')
}

/** The libraries of .NET write `<x:row>` for `<row>`. */
function unprefixed(xml: string): string {
  const [, prefix] = /^(?:<\?xml[^>]*\?>)?\s*<(\w+):(?:workbook|worksheet|sst|styleSheet|Relationships)\b/.exec(xml) ?? []
  return prefix === undefined ? xml : xml.replace(new RegExp(`<(/?)${prefix}:`, 'g'), '<$1')
}

function mended(name: string, xml: string): string {
  // As Python's openpyxl names them: their sheets would be without name and state.
  if (name.endsWith('.rels')) return xml.replace(/(\sTarget=")\/xl\//g, '$1')
  // 2026年11月21日: formats that East Asian programs know by their number alone (ECMA-376 18.8.30). All are dates, and so is 14.
  if (name.endsWith('styles.xml')) return xml.replace(/\snumFmtId="(?:2[7-9]|3[0-6]|5[0-8])"/g, ' numFmtId="14"')
  // 拼音 over the characters would be read in place of them, of a text in pieces the last alone, and a date in words of ISO 8601 as
  // the number it begins with.
  return inlined(changed(xml, '<rPh', '</rPh>', () => '')).replace(/(<c\s[^<>]*?\st=")d"/g, '$1str"')
}

const inlined = (xml: string): string => changed(xml, '<is>', '</is>', (is) => {
  if (!/<r[\s>]/.test(is)) return is
  let said = ''
  changed(is, '<t', '</t>', (run) => (said += run.slice(run.indexOf('>') + 1, -'</t>'.length)))
  return `<is><t>${said}</t></is>`
})

/** Each stretch from `open` to `close`. What strangers send is gone through once, whatever they leave open. */
function changed(xml: string, open: string, close: string, change: (stretch: string) => string): string {
  const parts: string[] = []
  let at = 0
  for (;;) {
    const start = xml.indexOf(open, at)
    const end = start < 0 ? -1 : xml.indexOf(close, start)
    if (end < 0) return parts.length === 0 ? xml : parts.join('') + xml.slice(at)
    parts.push(xml.slice(at, start), change(xml.slice(start, end + close.length)))
    at = end + close.length
  }
}
