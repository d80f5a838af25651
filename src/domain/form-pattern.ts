/**
 * Regular expressions that a tenant writes into a form are run on what residents write: one that backtracks for hours would
 * stand all others still. So only a plain kind is taken, and its cost is bounded before it is ever run.
 */

/** Longest text that a pattern is run on, in characters. */
export const LONGEST_MATCHED = 200
/** How many ways a pattern may be tried from one starting point: with `LONGEST_MATCHED` of them about 10 ms. */
const MOST_WAYS = 45_000
const LONGEST_PATTERN = 200

const ATOM = /(?:\\[dDwWsS]|\\p\{Script=Han\}|\\[.*+?^${}()|[\]\\/-]|\[\^?(?:\\[dDwWsS]|\\[.*+?^${}()|[\]\\/-]|[^\\\]])+\]|[^\\^$.|?*+()[\]{}]|\.)/uy
const QUANTIFIER = /(?:([?*+])|\{(\d{1,3})(,(\d{1,3})?)?\})\??/y

/**
 * A sequence of characters, classes and `.`, each with or without a quantifier, in groups that are not repeated, with
 * alternatives. No look-around, no back-reference, nothing repeated within what is repeated.
 * @returns why it will not do, or undefined
 */
export function patternRefused(pattern: string): 'too-long' | 'not-plain' | 'too-costly' | undefined {
  if (pattern.length > LONGEST_PATTERN) return 'too-long'
  let ways = 1
  let depth = 0
  for (let at = 0; at < pattern.length;) {
    const [character, next] = [pattern[at], pattern[at + 1]]
    if (character === '^' || character === '$') { at++; continue }
    if (character === '|') { ways *= 2; at++; continue }
    if (character === '(') {
      if (next === '?' && pattern.slice(at, at + 3) !== '(?:') return 'not-plain'
      depth++
      at += next === '?' ? 3 : 1
      continue
    }
    if (character === ')') {
      depth--
      at++
      if (depth < 0 || /[?*+{]/.test(pattern[at] ?? '')) return 'not-plain'
      continue
    }
    ATOM.lastIndex = at
    if (!ATOM.test(pattern)) return 'not-plain'
    at = ATOM.lastIndex
    QUANTIFIER.lastIndex = at
    const quantifier = QUANTIFIER.exec(pattern)
    if (!quantifier) continue
    at = QUANTIFIER.lastIndex
    ways *= widthOf(quantifier) + 1
  }
  if (depth !== 0 || !isExpression(pattern)) return 'not-plain'
  return ways > MOST_WAYS ? 'too-costly' : undefined
}

/** How many lengths it can take besides one. */
function widthOf([, sign, least, range, most]: RegExpExecArray): number {
  if (sign === '?') return 1
  if (sign !== undefined || (range !== undefined && most === undefined)) return LONGEST_MATCHED
  return most === undefined ? 0 : Math.max(0, Number(most) - Number(least))
}

function isExpression(pattern: string): boolean {
  try {
    return new RegExp(pattern, 'u').test('') || true
  } catch {
    return false
  }
}
