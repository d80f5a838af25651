import { readFileSync } from 'node:fs'

/** Linux counts a process's time in hundredths of a second. */
const TICK_US = 10_000

/**
 * What a process and its children, those that have ended included, have worked so far, in microseconds of one core. On a
 * machine that is shared it tells more than the clock on the wall.
 * @returns NaN where there is no /proc
 */
export function cpuOf(pid: number): number {
  try {
    const ticks = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ').slice(11, 15).reduce((sum, part) => sum + Number(part), 0)
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean)
    return ticks * TICK_US + children.reduce((sum, child) => sum + cpuOf(Number(child)), 0)
  } catch {
    return Number.NaN
  }
}
