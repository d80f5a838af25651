export type Language = 'zh' | 'en'

export const LANGUAGE_TAG = { zh: 'zh-CN', en: 'en' } as const satisfies Record<Language, string>

/** Chinese, unless the caller ranks English above it (RFC 9110, 12.5.4): not at all, for languages we do not speak. */
export function languageOf(acceptLanguage: string | undefined): Language {
  if (acceptLanguage === undefined) return 'zh'
  const ranges = acceptLanguage.slice(0, 256).toLowerCase().split(',').map(ranked)
  return quality(ranges, 'en') > quality(ranges, 'zh') ? 'en' : 'zh'
}

interface Range {
  tag: string
  quality: number
}

function ranked(range: string): Range {
  const [tag = '', ...parameters] = range.split(';').map((part) => part.trim())
  const q = parameters.find((parameter) => parameter.startsWith('q='))
  return { tag, quality: q === undefined ? 1 : weight(q.slice(2)) }
}

/** What is no weight counts for nothing. */
const weight = (text: string): number => (/^(?:0(?:\.\d*)?|\.\d+|1(?:\.0*)?)$/.test(text) ? Number(text) : 0)

/** `*` speaks for a language that is not named itself. */
function quality(ranges: Range[], language: Language): number {
  const named = ranges.filter(({ tag }) => tag === language || tag.startsWith(`${language}-`))
  const fitting = named.length > 0 ? named : ranges.filter(({ tag }) => tag === '*')
  return Math.max(0, ...fitting.map((range) => range.quality))
}
