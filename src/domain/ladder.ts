import type { Rung } from './request.ts'

export interface Climb {
  /** The rung supervision moves to; undefined when the top is reached already. */
  to: Rung | undefined
  /** Node ids passed over, from below: vacant, or held by nobody but those already late or asked. */
  skipped: string[]
  /** Those of them that nobody holds. */
  vacant: string[]
}

/**
 * One rung up. The ladder starts at the node of whoever is late and follows the tenant's own tree
 * (单元→楼栋→小区→社区→街道, or whatever it says: the sources have five different ladders).
 * A rung without a holder, or held only by the late persons themselves or by those that supervision is with already
 * (one person may hold several rungs), is passed over and noted: moving there would tell nobody anything.
 * @param ladder from the late party's node upwards
 * @param reached path of the rung supervision stands on, null before the first; it may lie outside the ladder when
 * another is late now, or when the tree has changed
 */
export function climb(ladder: readonly Rung[], reached: string | null, late: readonly string[]): Climb {
  const start = reached === null ? 0 : above(ladder, reached)
  const told = new Set([...late, ...ladder.slice(0, start).flatMap(({ holders }) => holders)])
  const passed: Rung[] = []
  const to = ladder.slice(start).find((rung) => {
    if (rung.holders.some((holder) => !told.has(holder))) return true
    passed.push(rung)
    return false
  })
  return { to, skipped: passed.map(({ nodeId }) => nodeId), vacant: passed.filter(({ holders }) => holders.length === 0).map(({ nodeId }) => nodeId) }
}

/** Index of the first rung above the one reached: by its place, else by how far from the root it is. */
function above(ladder: readonly Rung[], reached: string): number {
  const at = ladder.findIndex(({ path }) => path === reached)
  if (at >= 0) return at + 1
  const higher = ladder.findIndex(({ path }) => depth(path) < depth(reached))
  return higher < 0 ? ladder.length : higher
}

const depth = (path: string): number => path.split('/').length
