import { says, type Says } from './problems.ts'
import { MET, type Base } from './rate-facts.ts'

/**
 * 三率及其他考核指标: definitions, version 1. Published, frozen: another meaning is another version. The sources name the rates
 * and how they are asked (北京12345 接诉即办 三率: 响应率、解决率、满意率; 小事不出楼栋: S3) and give no formula; the formulas are
 * domain.md 3.1.7 and 3.3. What was excluded is in neither part of a rate and always shown beside it.
 */
export const RATES_VERSION = 'v1' as const

interface Part extends Says {
  code: string
  /** Any of these bits. */
  met: number
}

export interface Rate extends Says {
  base: Base
  /** Any of these bits puts a counted one into the numerator. */
  met: number
  numerator: Says
  denominator: Says
  /** Shown beside the rate, part of its denominator. */
  apart?: readonly Part[]
  /** Whether those who had the work can be told apart by it. */
  byParty: boolean
  source: string
}

const { late, pending, ended } = MET
const DECIDED = says('按期办结的，加上时限已过的（已逾期办结、仍未办结、逾期后撤单）；未到期的、到期前撤单或不予受理的、挂账中的不计', 'Completed in time, and all whose time is over, done late, still open or given up since; neither those not due yet, nor those given up before, nor those parked')
const MISSED: readonly Part[] = [
  { code: 'late', met: late, ...says('逾期后办结', 'Done late') }, { code: 'open', met: pending, ...says('逾期仍未办结', 'Overdue and open') }, { code: 'ended', met: ended, ...says('逾期后撤单', 'Given up when overdue') },
]

export const RATES = {
  response: {
    ...says('响应率', 'Response'), base: 'response', met: MET.inTime, byParty: true, source: '北京12345 接诉即办 三率；domain.md 3.3',
    numerator: says('在响应时限内首次联系（或直接办结）的', 'First response, or completion, within the limit of response'),
    denominator: says('已首次响应的，加上响应时限已过的', 'Responded to in time, and all whose limit of response is over'),
    apart: [{ code: 'late', met: late, ...says('超时后响应', 'Responded to late') }],
  },
  resolution: {
    ...says('解决率', 'Resolution'), base: 'answered', met: MET.solved, byParty: true, source: '北京12345 接诉即办 三率；domain.md 3.3',
    numerator: says('回访或评价为“已解决”的', 'Answered as solved'), denominator: says('回访或评价有回答的；没有联系上的、未评价的不计', 'Follow-ups and ratings with an answer; neither the unreached nor the unrated'),
    apart: [{ code: 'partly', met: MET.partly, ...says('部分解决', 'Partly solved') }],
  },
  satisfaction: {
    ...says('满意率', 'Satisfaction'), base: 'answered', met: MET.satisfied | MET.fairly, byParty: true, source: '北京12345 接诉即办 三率；domain.md 3.3',
    numerator: says('满意和基本满意的', 'Satisfied or fairly satisfied'), denominator: says('回访或评价有回答的；没有联系上的、未评价的不计', 'Follow-ups and ratings with an answer; neither the unreached nor the unrated'),
    apart: [{ code: 'fairly', met: MET.fairly, ...says('其中基本满意', 'Fairly satisfied among them') }],
  },
  on_time: {
    ...says('按期办结率', 'On time'), base: 'due', met: MET.inTime, byParty: true, source: 'domain.md 3.3；Austin atd-data-tech #21672（逾期未办结的计入分母）',
    numerator: says('在现时限内办结的（延期、挂账后的时限）', 'Completed by the time then due, extensions and parking counted'), denominator: DECIDED, apart: MISSED,
  },
  on_time_original: {
    ...says('按原时限办结率', 'On time by the original limit'), base: 'due_original', met: MET.inTime, byParty: true, source: 'domain.md 3.1.5（延期、挂账另计）',
    numerator: says('在原时限内办结的，不计延期和挂账', 'Completed by the time first due'), denominator: DECIDED, apart: MISSED,
  },
  overdue: {
    ...says('超期率', 'Overdue'), base: 'due', met: late | pending | ended, byParty: true, source: 'domain.md 3.3',
    numerator: says('时限过后仍未办结的，不论后来是否办结', 'Not completed when the time was over, whatever came of it'), denominator: DECIDED, apart: MISSED,
  },
  claim: {
    ...says('认领率', 'Claimed'), base: 'placed', met: MET.claimed, byParty: false, source: 'domain.md 3.3；S0 党员、志愿者、爱心人士和爱心企业认领',
    numerator: says('有人认领且没有释放的', 'Claimed, and not let go again'), denominator: says('上墙的，计入首次上墙的时期', 'Placed on the wall, in the period of the first placing'),
  },
  realised: {
    ...says('圆梦率', 'Realised'), base: 'placed', met: MET.realised, byParty: false, source: 'domain.md 3.3（realised ÷ published）',
    numerator: says('办结结果为“已实现”且没有重办的', 'Completed as realised and not done again'), denominator: says('上墙的，计入首次上墙的时期', 'Placed on the wall, in the period of the first placing'),
  },
  building_level: {
    ...says('楼栋内解决率', 'Solved within the building'), base: 'completed', met: MET.low, byParty: true, source: 'S3 小事不出楼栋、大事不出小区；domain.md 1.1 第47行',
    numerator: says('参与办理的最高一级不高于楼栋的', 'The highest level that had a hand in it is the building or below'), denominator: says('办结的', 'Completed'),
  },
  return: {
    ...says('退单率', 'Returned'), base: 'dispatched', met: MET.returned, byParty: true, source: 'domain.md 3.1.4、3.3',
    numerator: says('退单获准（含终审另派）的派单', 'Dispatches whose return was granted, by adjudication too'), denominator: says('派出的次数，改派另计一次', 'Dispatches, each re-dispatch another one'),
  },
  redo: {
    ...says('重办率', 'Redone'), base: 'completed', met: MET.redone, byParty: true, source: 'domain.md 3.1、3.3（不满意重办）',
    numerator: says('办结后重办的（回访评价不满意，或点单人要求）', 'Done again after completion'), denominator: says('办结的', 'Completed'),
  },
} as const satisfies Record<string, Rate>

export type RateCode = keyof typeof RATES
export const RATE_CODES = Object.keys(RATES) as [RateCode, ...RateCode[]]
export const rateOf = (code: RateCode): Rate => RATES[code]

/** So many facts of one sort. */
export interface Tally {
  base: Base
  met: number
  excluded: boolean
  count: number
}

export interface Figure {
  rate: RateCode
  numerator: number
  denominator: number
  /** 剔除: in neither. */
  excluded: number
  /** Null where nothing is counted: 0 ÷ 0 is no rate. To four places. */
  value: number | null
  apart: { code: string; count: number }[]
}

export const figures = (tallies: readonly Tally[], codes: readonly RateCode[] = RATE_CODES): Figure[] => codes.map((code) => {
  const { base, met, apart = [] } = rateOf(code)
  const own = tallies.filter((tally) => tally.base === base)
  const counted = own.filter(({ excluded }) => !excluded)
  const sum = (rows: readonly Tally[]) => rows.reduce((all, { count }) => all + count, 0)
  const having = (bits: number) => sum(counted.filter((tally) => (tally.met & bits) !== 0))
  const [numerator, denominator] = [having(met), sum(counted)]
  return {
    rate: code, numerator, denominator, excluded: sum(own.filter(({ excluded }) => excluded)),
    value: denominator === 0 ? null : Math.round((numerator / denominator) * 10_000) / 10_000,
    apart: apart.map((part) => ({ code: part.code, count: having(part.met) })),
  }
})

/** Tallies of several things put apart by a key. */
export function grouped<T extends Tally>(rows: readonly T[], keyOf: (row: T) => string | null): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const row of rows) {
    const key = keyOf(row)
    if (key === null) continue
    const group = groups.get(key)
    if (group) group.push(row)
    else groups.set(key, [row])
  }
  return groups
}
