import { DAY } from './calendar-day.ts'

/**
 * An IANA time zone. `local` is what its clocks show, in ms as if they showed UTC: local day and time of
 * day are `local / DAY` and its remainder.
 */
export interface Zone {
  readonly name: string
  /** Local minus UTC at an instant, in ms. @throws RangeError outside 1970–2199 or for an invalid date. */
  offsetAt(instant: number): number
  /**
   * The first instant at which the clocks show `local` or later: the earlier one of a time shown twice, the
   * moment of the change for one that is skipped. Never decreases when `local` grows.
   */
  instantOf(local: number): number
}

/** One UTC day: `before` holds up to the instant `turn`, `after` from then on. */
interface Block {
  readonly before: number
  readonly after: number
  readonly turn: number
}

const LAST_BLOCK = Date.UTC(2200, 0, 1) / DAY

const opened = new Map<string, Zone>()

/**
 * The zone of that name, one per process. Asking Intl costs microseconds, so each UTC day is asked once
 * it is taken to hold at most one change of the clocks (two have never come closer than weeks since 1970).
 * @throws RangeError when the runtime does not know the name.
 */
export function openZone(name: string): Zone {
  const zone = opened.get(name) ?? makeZone(name)
  opened.set(name, zone)
  return zone
}

function makeZone(name: string): Zone {
  const ask = offsetAsker(name)
  const blocks = new Map<number, Block>()

  function blockAt(instant: number): Block {
    const number = Math.floor(instant / DAY)
    const known = blocks.get(number)
    if (known) return known
    if (!(number >= 0 && number < LAST_BLOCK)) throw new RangeError('The calendar reaches from 1970 to 2199')
    const block = makeBlock(number * DAY)
    blocks.set(number, block)
    return block
  }

  function makeBlock(start: number): Block {
    const before = blocks.get(start / DAY - 1)?.after ?? ask(start)
    const after = ask(start + DAY)
    if (before === after) return { before, after, turn: Infinity }
    let [low, high] = [start, start + DAY]
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2)
      if (ask(middle) === before) low = middle
      else high = middle
    }
    return { before, after, turn: high }
  }

  function offsetAt(instant: number): number {
    const block = blockAt(instant)
    return instant < block.turn ? block.before : block.after
  }

  function instantOf(local: number): number {
   // No offset exceeds 14 hours, so a day to either side spans any change that could matter.
    const before = offsetAt(local - DAY)
    const after = offsetAt(local + DAY)
    if (before === after) return local - before
    const turn = Math.min(...[-DAY, 0, DAY].map((step) => blockAt(local + step).turn))
    return local - before < turn ? local - before : Math.max(turn, local - after)
  }

  return { name, offsetAt, instantOf }
}

/** Asks Intl for the offset: `1/4/2026, GMT+08:00`, where GMT alone is zero. */
function offsetAsker(name: string): (instant: number) => number {
  const format = new Intl.DateTimeFormat('en-US', { timeZone: name, timeZoneName: 'longOffset' })
  return (instant) => {
    const match = /GMT([+-])(\d\d):(\d\d)(?::(\d\d))?$/.exec(format.format(instant))
    if (!match) return 0
    const [, sign, hours, minutes, seconds = '0'] = match
    const size = (Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)
    return (sign === '-' ? -size : size) * 1000
  }
}
