import type { Rung } from './request.ts'

export interface Climb {
  /** The rung supervision moves to; undefined when the top is reached already. */
  to: Rung | undefined
  /** Node ids passed over: vacant, or held by nobody but those already late. */
  skipped: string[]
}

/**
 * One rung up. The ladder starts at the node of whoever is late and follows the tenant's own tree
 * (单元→楼栋→小区→社区→街道, or whatever it says: the sources have five different ladders).
 * A rung without a holder, or held only by the late persons themselves, is passed over and noted.
 * @param ladder from the late party's node upwards
 * @param reached path of the rung supervision stands on, null before the first
 */
export function climb(ladder: readonly Rung[], reached: string | null, late: readonly string[]): Climb {
  const skipped: string[] = []
  for (const rung of ladder) {
    if (reached !== null && rung.path.length >= reached.length) continue
    if (rung.holders.some((holder) => !late.includes(holder))) return { to: rung, skipped }
    skipped.push(rung.nodeId)
  }
  return { to: undefined, skipped }
}
