/** Judges a campaign of the clock: what should have been fired against what was. Pure, so that it can itself be proved. */

/** What the clock owes one request. */
export interface Owed {
  requestId: string
  /** Times of its marks in ms, ascending: each to be fired exactly once. */
  marks: number[]
}

/** An event of the step that is judged, in the order of the history. */
export interface Fired {
  requestId: string
  seq: number
  /** `mark`: fired by the clock; `end`: a person ended the waiting, nothing may be fired any more. */
  kind: 'mark' | 'end'
  /** Of a mark: the time it was to be fired at, as its event says. */
  logicalAt: number
  /** When it was committed, by the database's clock. */
  committedAt: number
  /** Of a mark that climbed: the node. */
  rung: string | null
}

/** From … to in ms: PostgreSQL did not answer, or no worker lived. */
export type Silence = readonly [from: number, to: number]

export interface Verdict {
  marks: number
  missed: string[]
  early: string[]
  twice: string[]
  /** Fired after the end, out of order, at a time no mark has, or on a rung a second time. */
  wrong: string[]
  /** Milliseconds each mark came late, silences not counted; ascending. */
  lateness: number[]
  /** The latest of them. */
  latest: { mark: number; committedAt: number; ms: number } | undefined
}

/** Short of so late a mark may be overtaken by a person who ends the waiting. */
const GRACE_MS = 5_000

export function judge(owed: readonly Owed[], fired: readonly Fired[], silences: readonly Silence[], until: number): Verdict {
  const verdict: Verdict = { marks: 0, missed: [], early: [], twice: [], wrong: [], lateness: [], latest: undefined }
  const quiet = merged(silences)
  const histories = new Map<string, Fired[]>(owed.map(({ requestId }) => [requestId, []]))
  for (const one of fired) histories.get(one.requestId)?.push(one)
  for (const { requestId, marks } of owed) {
    const history = [...(histories.get(requestId) ?? [])].sort((a, b) => a.seq - b.seq)
    const end = history.find(({ kind }) => kind === 'end')
    const came = history.filter(({ kind }) => kind === 'mark')
    for (const mark of marks.filter((at) => at <= until)) {
      verdict.marks++
      const [first, ...more] = came.filter(({ logicalAt }) => logicalAt === mark)
      if (more.length > 0) verdict.twice.push(`${requestId} ${iso(mark)} ${more.length + 1} times`)
      if (first) {
        const ms = late(mark, first.committedAt, quiet)
        verdict.lateness.push(ms)
        if (ms > (verdict.latest?.ms ?? 0)) verdict.latest = { mark, committedAt: first.committedAt, ms }
      } else if (!end || late(mark, end.committedAt, quiet) > GRACE_MS) verdict.missed.push(`${requestId} ${iso(mark)}`)
    }
    let previous = 0
    const rungs = new Set<string>()
    for (const { seq, logicalAt, committedAt, rung } of came) {
      const name = `${requestId} seq ${seq}`
      if (committedAt < logicalAt) verdict.early.push(`${name}: ${logicalAt - committedAt} ms`)
      if (!marks.includes(logicalAt)) verdict.wrong.push(`${name}: no mark is at ${iso(logicalAt)}`)
      if (logicalAt < previous) verdict.wrong.push(`${name}: out of order`)
      if (end && seq > end.seq) verdict.wrong.push(`${name}: after the end`)
      if (rung !== null && rungs.has(rung)) verdict.wrong.push(`${name}: rung ${rung} a second time`)
      if (rung !== null) rungs.add(rung)
      previous = logicalAt
    }
  }
  verdict.lateness.sort((a, b) => a - b)
  return verdict
}

/** The time between, less what of it was silence. */
function late(due: number, done: number, silences: readonly Silence[]): number {
  const silent = silences.reduce((sum, [from, to]) => sum + Math.max(0, Math.min(to, done) - Math.max(from, due)), 0)
  return Math.max(0, done - due - silent)
}

/** Overlapping ones count once. */
export function merged(silences: readonly Silence[]): Silence[] {
  const whole: [number, number][] = []
  for (const [from, to] of [...silences].sort((a, b) => a[0] - b[0])) {
    const last = whole.at(-1)
    if (last && from <= last[1]) last[1] = Math.max(last[1], to)
    else whole.push([from, to])
  }
  return whole
}

const iso = (ms: number): string => new Date(ms).toISOString()
