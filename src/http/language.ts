export type Language = 'zh' | 'en'

export const LANGUAGE_TAG = { zh: 'zh-CN', en: 'en' } as const satisfies Record<Language, string>

/** Chinese, unless the caller ranks English above it. */
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
  return { tag, quality: q === undefined ? 1 : Number(q.slice(2)) }
}

const quality = (ranges: Range[], language: Language): number =>
  Math.max(0, ...ranges.filter(({ tag }) => tag === language || tag.startsWith(`${language}-`)).map((range) => range.quality))
