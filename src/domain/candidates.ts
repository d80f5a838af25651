import { says, type Says } from './problems.ts'

/** What is known of somebody who may be dispatched to. */
export interface Candidacy {
  id: string
  /** Verified ones that the request wants; level 1 to 5. */
  skills: readonly { code: string; name: string; level: number }[]
  /** How many places, from the root down, the request's and his own have in common; at least the root. */
  near: number
  /** The level of the deepest of them, in the tenant's words (小区, 大院) and as a code. */
  level: { code: string; name: string }
  /** What he is handling now. */
  load: number
  /** 退单 granted to him within a year. */
  returns: number
}

export interface Sought {
  /** Codes of the skills wanted. */
  skills: readonly string[]
  /** How many places lie on the request's path. */
  depth: number
}

export interface Ranked<T extends Candidacy> {
  rank: number
  /** 0 to 95. */
  score: number
  candidate: T
  /** Why, in words. */
  because: Says[]
}

/** S2, 红色管家技能库: what one can do comes first, then being near, then having time; who sends work back falls behind. */
const POINTS = { skill: 50, near: 30, free: 15, perLoad: 3, perReturn: 5, mostReturns: 15 } as const
const TOP_LEVEL = 5

/** The best first; equals in the order of their ids, so that two who ask see the same. */
export function rank<T extends Candidacy>(candidates: readonly T[], sought: Sought): Ranked<T>[] {
  return candidates
    .map((candidate) => ({ candidate, score: scoreOf(candidate, sought), because: reasons(candidate, sought) }))
    .sort((a, b) => b.score - a.score || a.candidate.load - b.candidate.load || (a.candidate.id < b.candidate.id ? -1 : 1))
    .map((ranked, index) => ({ rank: index + 1, ...ranked }))
}

function scoreOf({ skills, near, load, returns }: Candidacy, { skills: wanted, depth }: Sought): number {
  const levels = wanted.map((code) => skills.find((skill) => skill.code === code)?.level ?? 0)
  const skilled = wanted.length === 0 ? 0 : levels.reduce((sum, level) => sum + level, 0) / (TOP_LEVEL * wanted.length)
  const points = POINTS.skill * skilled + (POINTS.near * near) / depth
    + Math.max(0, POINTS.free - POINTS.perLoad * load) - Math.min(POINTS.mostReturns, POINTS.perReturn * returns)
  return Math.max(0, Math.round(points))
}

function reasons({ skills, near, level, load, returns }: Candidacy, { skills: wanted, depth }: Sought): Says[] {
  const held = wanted.flatMap((code) => skills.find((skill) => skill.code === code) ?? [])
  return [
    ...held.map((skill) => says(`有“${skill.name}”技能（${skill.level}级，已核验）`, `Has the skill “${skill.name}” (level ${skill.level}, verified)`)),
    ...(wanted.length > 0 && held.length === 0 ? [says('没有所需的技能', 'Has none of the skills wanted')] : []),
    near === depth ? says(`就在这个${level.name}`, `In this very ${level.code}`) : says(`同一${level.name}`, `In the same ${level.code}`),
    load === 0 ? says('手上没有在办的', 'Has nothing in hand') : says(`手上 ${load} 件在办`, `Has ${load} in hand`),
    ...(returns > 0 ? [says(`一年内退单 ${returns} 次`, `Returned ${returns} within a year`)] : []),
  ]
}
