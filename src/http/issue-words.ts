import type { $ZodCheck, $ZodErrorMap, $ZodRawIssue } from 'zod/v4/core'
import en from 'zod/v4/locales/en.js'
import zhCN from 'zod/v4/locales/zh-CN.js'
import { says, type Says } from '../domain/problems.ts'
import type { Language } from './language.ts'

/** Given to each parse: zod's own setting is global, the caller's language is not. */
export const MESSAGES: Record<Language, $ZodErrorMap> = {
  zh: (issue) => wordsFor(issue)?.zh ?? zhCN().localeError(issue),
  en: (issue) => wordsFor(issue)?.en ?? en().localeError(issue),
}

const TYPES_ZH: Record<string, string> = {
  string: '文本', number: '数字', int: '整数', boolean: 'true 或 false', object: '对象', record: '对象', map: '对象', array: '数组', tuple: '数组', date: '时间', null: 'null',
}

const FORMATS: Record<string, Says> = {
  uuid: says('应为 UUID', 'Expected a UUID'),
  datetime: says('应为带时区的时间，例如 2026-11-21T09:00:00+08:00', 'Expected a time with offset, such as 2026-11-21T09:00:00+08:00'),
  date: says('应为日期，例如 2026-11-21', 'Expected a date, such as 2026-11-21'),
  email: says('应为电子邮件地址', 'Expected an e-mail address'),
  url: says('应为网址', 'Expected a URL'),
}

/** The common findings in everyday words; zod's locale speaks for the rest. */
function wordsFor(issue: $ZodRawIssue): Says | undefined {
  switch (issue.code) {
    case 'invalid_type':
      if (issue.input === undefined) return says('必填', 'Required')
      return says(`应为${TYPES_ZH[issue.expected] ?? issue.expected}`, `Expected ${issue.expected}`)
    case 'too_small':
      return tooSmall(issue.origin, shown(issue.minimum, issue.origin))
    case 'too_big':
      return tooBig(issue.origin, shown(issue.maximum, issue.origin))
    case 'invalid_value':
      return oneOf(issue.values)
    case 'invalid_union':
      return 'options' in issue && Array.isArray(issue.options) ? oneOf(issue.options) : undefined
    case 'invalid_format':
      return ownWords(issue.inst) ?? FORMATS[issue.format]
    case 'custom':
      return isSays(issue.params) ? issue.params : undefined
    default:
      return undefined
  }
}

function tooSmall(origin: string, minimum: string): Says {
  if (origin === 'string') return minimum === '1' ? says('不能为空', 'Must not be empty') : says(`至少 ${minimum} 个字`, `At least ${minimum} characters`)
  if (origin === 'array') return says(`至少 ${minimum} 项`, `At least ${minimum} entries`)
  return says(`不能小于 ${minimum}`, `Must not be less than ${minimum}`)
}

function tooBig(origin: string, maximum: string): Says {
  if (origin === 'string') return says(`最多 ${maximum} 个字`, `At most ${maximum} characters`)
  if (origin === 'array') return says(`最多 ${maximum} 项`, `At most ${maximum} entries`)
  return says(`不能大于 ${maximum}`, `Must not be greater than ${maximum}`)
}

const oneOf = (values: readonly unknown[]): Says => says(`只能是 ${values.join('、')}`, `Expected one of ${values.join(', ')}`)

const shown = (bound: number | bigint, origin: string): string => (origin === 'date' ? new Date(Number(bound)).toISOString() : String(bound))

/** A pattern may come with words of its own (`otherwise` in atoms.ts). */
function ownWords(check: unknown): Says | undefined {
  const { params } = ((check as $ZodCheck | undefined)?._zod.def ?? {}) as { params?: unknown }
  return isSays(params) ? params : undefined
}

const isSays = (params: unknown): params is Says => typeof params === 'object' && params !== null && 'zh' in params && 'en' in params
