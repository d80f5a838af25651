import { z } from 'zod'
import { phone as phoneNumber, text } from './atoms.ts'
import { says, type Says } from './problems.ts'
import type { Cell } from './sheet.ts'

/** What stands in people's tables in place of what they meant: what Excel has made of it, and what their habits are. */

/** Marks of direction and of width nothing that come with what is copied out of chats and address books. */
const INVISIBLE = /[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]/g

/** Numbers as they were typed (a phone is one), dates in ISO 8601 to the second, yes and no in Chinese. */
export function written(cell: Cell): string {
  if (cell instanceof Date) return Number.isNaN(cell.getTime()) ? '' : new Date(Math.round(cell.getTime() / 1000) * 1000).toISOString().replace('.000Z', '').replace(/T00:00:00$/, '').replace('T', ' ')
  if (typeof cell === 'boolean') return cell ? '是' : '否'
  if (typeof cell === 'number') return Number.isSafeInteger(cell) ? String(cell) : String(cell).toUpperCase()
  // As exporting programs write a text that Excel shall not take for a number.
  return (cell ?? '').replace(INVISIBLE, '').replace(/\u00a0/g, ' ').trim().replace(/^="([^"]*)"$/, '$1')
}

/** Nobody means these, in whatever column. */
export function spoilt(cell: Cell, said: string, isTime: boolean): { code: string; message: Says } | undefined {
  if (/^#(N\/A|REF!|VALUE!|NAME\?|DIV\/0!|NUM!|NULL!|SPILL!|CALC!)$/i.test(said)) return { code: 'error-value', message: says('是错误值（以 # 开头），请改正后重新保存', 'An error value of the program: correct it') }
  if (/^#{3,}$/.test(said)) return { code: 'error-value', message: says('只有 ####：列太窄时存成了 CSV，请加宽这一列，或另存为 .xlsx', 'Saved as CSV while the column was too narrow: widen it, or save as .xlsx') }
  if (/^[+-]?\d(\.\d+)?E\+\d{1,3}$/i.test(said) || (typeof cell === 'number' && Math.abs(cell) >= 1e15)) {
    return { code: 'scientific', message: says('号码成了科学计数法，后面的数字已经丢失：请将这一列设为“文本”后重新填写', 'A number in scientific notation has lost its digits: format the column as text and type it again') }
  }
  if (cell instanceof Date && !isTime) return { code: 'became-date', message: says('被 Excel 改成了日期：请将这一列设为“文本”后重新填写', 'The program has made a date of it: format the column as text and type it again') }
  return undefined
}

/** Days are counted from 1899-12-30; from 2000 to 2099. */
const [FIRST_SERIAL, LAST_SERIAL] = [36_526, 73_051]
const SERIAL = /^\d{5}(\.\d+)?$/
const DAY_MS = 86_400_000

const TIME = /^(\d{4})(?:[-/.年](\d{1,2})[-/.月](\d{1,2})[日号]?|(\d{2})(\d{2}))(?:[\sT]*(上午|下午|AM|PM)?\s*(\d{1,2})[:时点](\d{1,2})?(?::\d{2}(?:\.\d+)?|分(?:\d{1,2}秒)?)?\s*(AM|PM)?)?$/i

/**
 * 2026-11-21, 2026/11/21 9:30, 2026.11.21, 20261121, 2026年11月21日 下午3时05分, and 46347.4 where the format was lost: a time of the
 * tenant's zone, as `YYYY-MM-DD HH:MM`.
 */
export const localTime = z.string().transform((given, context) => {
  const value = given.normalize('NFKC').trim()
  const read = SERIAL.test(value) ? ofSerial(Number(value)) : ofWords(value)
  if (read !== undefined) return read
  context.addIssue({ code: 'custom', message: 'no time' })
  return z.NEVER
})

const shown = (ms: number): string => new Date(ms).toISOString().slice(0, 16).replace('T', ' ')

const ofSerial = (days: number): string | undefined => (days >= FIRST_SERIAL && days < LAST_SERIAL ? shown(Math.round((days - 25_569) * DAY_MS / 60_000) * 60_000) : undefined)

function ofWords(value: string): string | undefined {
  const [all, year, m, d, mm, dd, before, hours = '0', minutes = '0', after] = TIME.exec(value) ?? []
  if (all === undefined || year! < '2000' || year! > '2099') return undefined
  const half = (before ?? after)?.toUpperCase()
  const hour = Number(hours)
  if (half !== undefined && hour > 12) return undefined
  const shifted = half === '下午' || half === 'PM' ? (hour % 12) + 12 : half === '上午' || half === 'AM' ? hour % 12 : hour
  const two = (part: string | number) => String(part).padStart(2, '0')
  const read = `${year}-${two(m ?? mm!)}-${two(d ?? dd!)} ${two(shifted)}:${two(minutes)}`
  const checked = new Date(`${read.replace(' ', 'T')}:00Z`)
  return !Number.isNaN(checked.getTime()) && shown(checked.getTime()) === read ? read : undefined
}

/** One line, of whatever lines it was broken into to fit its cell. */
export const oneLine = (value: unknown): unknown => (typeof value === 'string' ? value.replace(/\s*[\r\n]+\s*/g, ' ') : value)
export const line = (max: number) => z.preprocess(oneLine, text({ max }))

/** Names of two characters are spread over the width of three. What GBK had no character for was saved as a question mark. */
export const personName = z.preprocess((value) => (typeof value === 'string' ? value.normalize('NFC').replace(/(?<=\p{Script=Han})\s+(?=\p{Script=Han})/gu, '') : value), line(60))
  .refine((value) => !value.includes('?'))

/** Dashes of every sort. */
export const phone = z.preprocess((value) => (typeof value === 'string' ? value.replace(/[‐-―−－—]/g, '-') : value), phoneNumber)

export const explainName = (said: string): Says | undefined =>
  said.includes('?') ? says('含有“?”：生僻字在存为 CSV 时可能已丢失，请改存为 .xlsx 或 UTF-8', 'Contains “?”: a rare character may have been lost on saving as CSV') : undefined

export function explainPhone(said: string): Says | undefined {
  const digits = said.normalize('NFKC').replace(/[\s()‐-―−-]/g, '')
  if (/^1[3-9]\d*$/.test(digits) && digits.length > 6 && digits.length !== 11) return says(`手机号应为 11 位，这里有 ${digits.length} 位`, `A mobile number has 11 digits, not ${digits.length}`)
  if (/^(10|2\d|[3-9]\d{2})\d{7,8}$/.test(digits)) return says('固定电话区号前的 0 可能已被 Excel 去掉：请将这一列设为“文本”后补上', 'The 0 before the area code may have been taken off: format the column as text and add it')
  if (/^\+?\d{7,}[/、,;]/.test(said.normalize('NFKC').replace(/[\s-]/g, ''))) return says('只能填一个号码', 'One number only')
  return undefined
}
