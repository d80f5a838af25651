import type { Actor } from '../domain/actor.ts'
import { shares, spans, type Happened, type Share } from '../domain/attribution.ts'
import { Problem } from '../domain/problems.ts'
import { sight } from '../domain/view.ts'
import { tenantHere, type Db } from './db.ts'
import { load } from './load.ts'

export interface Durations {
  totalSeconds: number
  data: (Omit<Share, 'ms' | 'path'> & { seconds: number; node: string })[]
}

/**
 * 时间归属: how long a request has waited, and for whom, from filing until now or its end.
 * @throws Problem request-not-found also for those who do not see it whole
 */
export async function durations(db: Db, ref: string, actor: Actor): Promise<Durations> {
  const facts = await load(db, ref)
  if (!facts || sight(actor, facts) !== 'full') throw new Problem('request-not-found')
  const { rows } = await db.app.query<Happened>({
    name: 'durations', text: `SELECT seq, verb, "toState", at, cycle, path, data FROM event WHERE "tenantId" = $1 AND "requestId" = $2 ORDER BY seq`,
    values: [tenantHere(), facts.request.id],
  })
  const parts = shares(spans(rows, facts.now), facts.calendar)
  return {
    totalSeconds: parts.reduce((sum, { ms }) => sum + ms, 0) / 1000,
    data: parts.map(({ ms, path, workingMinutes, ...part }) => ({ ...part, seconds: ms / 1000, workingMinutes: Math.round(workingMinutes), node: path.split('/').at(-2) ?? '' })),
  }
}
