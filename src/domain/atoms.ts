import { z } from 'zod'
import { says, type Says } from './problems.ts'

/**
 * What every field is made of. Each atom refuses here what PostgreSQL would refuse later (NUL, beyond int4) or
 * silently change (lone surrogates), and prints a plain JSON schema. Objects are `z.strictObject` everywhere.
 */

/** `params` carries both languages to the edge, which alone knows the caller's. For checks of every sort, `regex` too. */
export const otherwise = (words: Says) => ({ params: words, abort: true })

/** With the u flag a surrogate pair is one character, so this finds lone ones only. */
const LONE_SURROGATE = /\p{Surrogate}/u
const CONTROL = /\p{Cc}/u
const CONTROL_BUT_TAB_AND_LINE = /[^\P{Cc}\t\n]/u

/** Words of people, in NFC and trimmed. `multiline` allows tab and line feed; CR LF becomes LF. Lengths in characters. */
export function text({ max, min = 1, multiline = false }: { max: number; min?: number; multiline?: boolean }) {
  const forbidden = multiline ? CONTROL_BUT_TAB_AND_LINE : CONTROL
  return z
    .string()
    .refine((value) => !LONE_SURROGATE.test(value), otherwise(says('含有不完整的 Unicode 字符', 'Contains a lone surrogate')))
    .overwrite((value) => (multiline ? value.replaceAll('\r\n', '\n') : value))
    .refine((value) => !forbidden.test(value), otherwise(says('含有控制字符', 'Contains control characters')))
    .normalize('NFC')
    .trim()
    .min(min)
    .max(max)
}

const INT4 = 2_147_483_647

/** A whole number that fits a PostgreSQL integer. */
export const int4 = ({ min = -INT4 - 1, max = INT4 }: { min?: number; max?: number } = {}) => z.int().min(min).max(max)

/** Aborts, so that in a union with a code it is the code's words that are heard. */
export const uuid = z.uuid({ abort: true }).toLowerCase()

const CODE = /^[A-Za-z0-9][A-Za-z0-9._-]*$/
const CODE_WORDS = says('只能含字母、数字、点、横线和下划线，以字母或数字开头', 'Letters, digits, dot, dash and underscore only, starting with a letter or digit')

/** What people type and print: node, item and organisation codes, 工号, request numbers. */
export const code = z
  .string()
  .max(64)
  .refine((value) => CODE.test(value), otherwise(CODE_WORDS))
  .meta({ pattern: CODE.source })

const PHONE = /^(?:1[3-9]\d{9}|0\d{9,11})$/

/** A mainland mobile or landline number as digits; full-width digits, spaces, dashes and +86 are taken off. */
export const phone = z
  .string()
  .max(32)
  .normalize('NFKC')
  .overwrite((value) => value.replace(/[\s()-]/g, '').replace(/^(?:\+|00)86/, ''))
  .refine((value) => PHONE.test(value), otherwise(says('应为手机号或带区号的固定电话', 'Expected a mobile or landline number with area code')))
  .meta({ pattern: PHONE.source, examples: ['13800138000'] })

const EARLIEST = new Date('1900-01-01T00:00:00Z')
const LATEST = new Date('2200-01-01T00:00:00Z')

/** RFC 3339 with an offset outside, Date inside; serves requests and answers alike (answers are in UTC). */
export const instant = z.codec(z.iso.datetime({ offset: true }), z.date().min(EARLIEST).max(LATEST), {
  decode: (written) => new Date(written),
  encode: (date) => date.toISOString(),
})

/** A day in the tenant's zone, `2026-11-21`. */
export const day = z.iso.date().refine((value) => value >= '1900-01-01' && value < '2200-01-01', otherwise(says('日期超出范围', 'Date out of range')))

/** URLs carry text only. Digits become a number, anything else is left for the schema to refuse. */
const fromDigits = (value: unknown) => (typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value)

/** The same bounds as `int4`, for a query parameter. */
export const int4Query = (bounds: { min?: number; max?: number } = {}) => z.preprocess(fromDigits, int4(bounds))

export const flagQuery = z.preprocess((value) => (value === 'true' ? true : value === 'false' ? false : value), z.boolean())

/** `?state=filed,open` or the parameter repeated. */
export const listQuery = <T extends z.ZodType>(item: T) =>
  z.preprocess((value) => (typeof value === 'string' ? value.split(',') : value), z.array(item).min(1).max(50))

export const limit = int4Query({ min: 1, max: 100 }).default(20).describe('每页条数')

/** Opaque to everyone but the reader that wrote it. */
export const cursor = z
  .string()
  .max(512)
  .refine((value) => /^[\w-]+$/.test(value), otherwise(says('不是有效的翻页位置', 'Not a cursor')))
  .describe('上一页的 page.nextCursor')
