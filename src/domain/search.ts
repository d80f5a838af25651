import { to } from 'opencc-js/preset/t2cn'

/** What is asked for in `q`, word by word. Simplified and traditional characters are one; so are full and half width, and ASCII's two cases. */

export interface Term {
  /** Folded, as it was asked for. */
  word: string
  /** For PostgreSQL's `tsquery` over `wishwall_grams`: which texts may hold it. */
  query: string
  /** For its `~` over `wishwall_folded`: whether they do, in one piece. Latin letters and digits from the beginning of a word on. */
  pattern: string
}

export interface Sought {
  /** Each of them is to be found. */
  terms: Term[]
  /** A request's number, or how it begins: prefix and year at least. */
  number: string | null
}

/** More are not asked for at once. */
const MOST_TERMS = 8
/** As the index cuts words. */
const LONGEST_WORD = 40

/** WX20261121-000123, or its beginning from the month on: a year would be all there is. */
const NUMBER = /^[a-z]{2}\d{6,8}(?:-\d{0,9})?$/

/** Words of `q`, apart at spaces and punctuation; nothing when there is nothing to look for. */
export function sought(q: string): Sought {
  const parts = folded(q).split(/\s+/)
  const number = parts.find((part) => NUMBER.test(part))
  const words = parts.filter((part) => part !== number).flatMap((part) => part.split(/[\p{P}\p{S}\p{Z}\p{C}]+/u)).filter((word) => word !== '')
  return { terms: [...new Set(words)].slice(0, MOST_TERMS).map(termOf), number: number?.toUpperCase() ?? null }
}

/** NFKC, and ASCII letters small: as the database's `wishwall_folded`. */
export const folded = (text: string): string => text.normalize('NFKC').replace(/[A-Z]/g, (letter) => letter.toLowerCase())

/** The simplified form of each character: two texts say the same when these are the same. */
export const simplified = (text: string): string => [...folded(text)].map((character) => forms().of.get(character) ?? character).join('')

/** Each two neighbours, for comparing texts; a text of one character is itself. */
export function bigrams(text: string): Set<string> {
  const characters = [...simplified(text).replace(/[\p{P}\p{S}\p{Z}\p{C}]+/gu, '')]
  return new Set(characters.length === 1 ? characters : characters.slice(1).map((character, index) => characters[index]! + character))
}

/** How much two texts have in common, 0 to 1 (Sørensen–Dice over bigrams). */
export function likeness(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  if (a.size === 0 || b.size === 0) return 0
  let shared = 0
  for (const gram of a) if (b.has(gram)) shared++
  return (2 * shared) / (a.size + b.size)
}

function termOf(word: string): Term {
  const parts = word.match(/[a-z0-9]+|[^a-z0-9]+/g) ?? []
  const needed = parts.flatMap((part, index) => (isLatin(part) ? [`'${part.slice(0, LONGEST_WORD)}'${index === parts.length - 1 || part.length >= LONGEST_WORD ? ':*' : ''}`] : gramsOf(part)))
  const begins = isLatin(parts[0] ?? '') ? '(^|[^a-z0-9])' : ''
  return { word, query: needed.join(' & '), pattern: begins + parts.map((part) => (isLatin(part) ? part : [...part].map((character) => oneOf(variants(character))).join(''))).join('') }
}

const isLatin = (part: string): boolean => /^[a-z0-9]/.test(part)

/** Each pair of neighbours in any of its written forms; of a single character itself. */
function gramsOf(part: string): string[] {
  const characters = [...part].map(variants)
  if (characters.length === 1) return [anyOf(characters[0]!)]
  return characters.slice(1).map((next, index) => anyOf(characters[index]!.flatMap((first) => next.map((second) => first + second))))
}

const anyOf = (grams: readonly string[]): string => (grams.length === 1 ? `'${grams[0]!}'` : `(${grams.map((gram) => `'${gram}'`).join(' | ')})`)
const oneOf = (characters: readonly string[]): string => (characters.length === 1 ? characters[0]! : `[${characters.join('')}]`)

/** All characters that are written for the same simplified one, itself among them. */
const variants = (character: string): readonly string[] => forms().written.get(forms().of.get(character) ?? character) ?? [character]

interface Forms {
  /** The simplified form of those characters that have another. */
  of: Map<string, string>
  /** By simplified form: all that are written for it. */
  written: Map<string, string[]>
}

let known: Forms | undefined

/** From OpenCC's dictionary of characters (`繁 简|…`), once: what it has of phrases is of several. */
function forms(): Forms {
  if (known) return known
  const of = new Map<string, string>()
  const written = new Map<string, string[]>()
  for (const entry of to['cn']!.flat().flatMap((dictionary) => (typeof dictionary === 'string' ? dictionary.split('|') : []))) {
    const [character = '', plain = ''] = entry.split(' ')
    if ([...character].length !== 1 || [...plain].length !== 1 || plain === character || of.has(character)) continue
    of.set(character, plain)
    written.set(plain, [...(written.get(plain) ?? [plain]), character])
  }
  return (known = { of, written })
}
