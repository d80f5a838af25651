import type { Outcome } from './clock.ts'

interface Check {
  name: string
  good: boolean
  /** What was found instead. */
  found: string
}

const LATEST_MS = 5_000
const ENDS_MS = 10_000

/** What must hold after a campaign. */
export function clockChecks({ verdict, endings, leftInTransaction, roundTrip, collapses, passedOver }: Outcome): Check[] {
  const none = (name: string, of: readonly string[]): Check => ({ name, good: of.length === 0, found: `${of.length}, such as ${of.slice(0, 3).join('; ')}` })
  const worst = verdict.lateness.at(-1) ?? Infinity
  return [
    none('0 missed', verdict.missed),
    none('0 early', verdict.early),
    none('0 twice', verdict.twice),
    none('in order, each rung once, nothing after the end', verdict.wrong),
    { name: `none later than ${LATEST_MS} ms once PostgreSQL answers`, good: worst <= LATEST_MS, found: `${worst.toFixed(0)} ms` },
    { name: `every worker ends within ${ENDS_MS} ms`, good: Math.max(...endings) <= ENDS_MS, found: `${Math.max(...endings).toFixed(0)} ms` },
    { name: 'no worker ends by itself', good: collapses === 0, found: `${collapses}` },
    { name: 'no session is left in a transaction', good: leftInTransaction === 0, found: `${leftInTransaction}` },
    { name: 'a job goes round again', good: roundTrip, found: 'none within 20 s' },
    { name: 'no request was passed over', good: passedOver === 0, found: `${passedOver}` },
  ]
}

export function describeOutcome({ verdict, faults, timeline, silences, endings, withFaketime }: Outcome): string[] {
  const { lateness, latest, marks } = verdict
  const around = timeline.filter(({ from, to }) => latest && from < latest.committedAt && to > latest.mark - 5_000)
  const seconds = (at: number) => ((at - (latest?.mark ?? 0)) / 1_000).toFixed(1)
  const at = (share: number) => (lateness[Math.min(lateness.length - 1, Math.floor(lateness.length * share))] ?? NaN).toFixed(0)
  const total = [...faults.values()].reduce((a, b) => a + b, 0)
  return [
    `${total} faults: ${[...faults].sort().map(([name, times]) => `${name} ${times}`).join(', ')}${withFaketime ? '' : ' (clocks not shifted: faketime is not installed)'}`,
    `${marks} marks; nobody there to fire them for ${(silences.reduce((sum, [from, to]) => sum + to - from, 0) / 1_000).toFixed(1)} s in ${silences.length} spells`,
    `lateness p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms; SIGTERM to the end at most ${Math.max(...endings).toFixed(0)} ms`,
    ...(latest ? [`the latest was due at ${new Date(latest.mark).toISOString()} and came ${seconds(latest.committedAt)} s later; around it: ${around.map(({ name, from, to }) => `${name} (${seconds(from)} to ${seconds(to)} s)`).join(', ') || 'nothing'}`] : []),
  ]
}
