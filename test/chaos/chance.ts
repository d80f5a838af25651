/** The same seed, the same campaign (mulberry32). */
export interface Chance {
  /** In [0, 1). */
  next(): number
  between(low: number, high: number): number
  one<T>(of: readonly T[]): T
}

export function chance(seed: number): Chance {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
  return { next, between: (low, high) => low + next() * (high - low), one: (of) => of[Math.floor(next() * of.length)]! }
}
