import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { DEFAULT_POLICY } from '../../src/domain/policy.ts'
import { personActor } from '../../src/service/actors.ts'
import { inTenant, openDatabase } from '../../src/service/db.ts'
import { migrate } from '../../src/service/migrate.ts'
import { act } from '../../src/service/requests.ts'
import { fileWishes, makeClockTown, type ClockTown, type Wish } from '../bench/clock-town.ts'
import { redisServer } from '../jobs/servers.ts'
import { chance, type Chance } from './chance.ts'
import { FAULTS, type Fault, type Stage } from './clock-faults.ts'
import { judge, merged, type Fired, type Owed, type Silence, type Verdict } from './clock-verdict.ts'
import { chaosPostgres } from './postgres.ts'
import { faketimeLibrary, workerProcesses } from './workers.ts'

/**
 * Thousands of deadlines whose marks come while everything around the workers breaks, by chance of one seed. Real
 * processes, real PostgreSQL and Redis. What was owed is worked out by plain arithmetic and not by the product.
 */
export interface Campaign {
  seed: number
  requests: number
  seconds: number
  /** The longest that anything is away, in seconds. */
  longest: number
  /** false: nothing breaks. */
  faults?: boolean
  /** The built program, or a mutant of it. */
  dist?: string
  /** How long after the end the rest may take, in seconds. */
  settle?: number
  say(line: string): void
}

export interface Outcome {
  verdict: Verdict
  faults: Map<string, number>
  /** When each began and was over. */
  timeline: { name: string; from: number; to: number }[]
  /** PostgreSQL away, or no worker alive. */
  silences: Silence[]
  /** Milliseconds from SIGTERM to the end of a process. */
  endings: number[]
  /** Sessions left in the middle of a transaction when all was quiet again. */
  leftInTransaction: number
  /** A job has gone round after the last fault. */
  roundTrip: boolean
  withFaketime: boolean
  /** How often a worker ended although nobody had asked it to. */
  collapses: number
  /** Lines of the workers' logs that tell of a request passed over. */
  passedOver: number
}

/** Of ms: opened at 0, due after a minute, a rung each minute after, two rungs, then the top is reminded; later ones lie days ahead. */
const MARKS = [54_000, 57_000, 60_000, 120_000, 180_000]
const RULES = { reminders: [{ share: 0.9 }, { share: 0.95 }], limits: { ...DEFAULT_POLICY.limits, accept: '1m' as const }, rungEvery: '1m' as const }
/** One in so many is accepted by a person while its clock runs. */
const ACCEPTED = 10

export async function clockCampaign({ seed, requests, seconds, longest, faults = true, dist = 'dist', settle = 20, say }: Campaign): Promise<Outcome> {
  const dice = chance(seed)
  const postgres = await chaosPostgres()
  const redis = await redisServer()
  const url = postgres.url('chaos')
  const admin = new pg.Client({ connectionString: postgres.url('postgres') })
  await admin.connect()
  await admin.query('CREATE DATABASE chaos')
  await admin.end()
  await migrate(url)

  const probe = prober(url)
  const silences: Silence[] = []
  let asleepSince: number | undefined
  const { workers, remove } = workerProcesses(['one', 'two'], { env: { DATABASE_URL: url, REDIS_URL: redis.url }, dist, changed: () => {
    const awake = workers.some((worker) => worker.awake)
    if (!awake) asleepSince ??= Date.now()
    else if (asleepSince !== undefined) {
      silences.push([asleepSince, Date.now()])
      asleepSince = undefined
    }
  } })
  const endings: number[] = []
  const stage: Stage = { postgres, redis, workers, chance: dice, longest, ended: (ms) => endings.push(ms) }
  const met = new Map<string, number>()
  const timeline: Outcome['timeline'] = []
  let progress: NodeJS.Timeout | undefined
  try {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    const town = await makeClockTown(client, RULES)
    workers[1]!.shiftClock(2)
    await Promise.all(workers.map((worker) => worker.start()))
    for (const worker of workers) if (!worker.awake) throw new Error(`worker ${worker.name} did not start:\n${worker.log()}`)
    const start = Date.now() + 3_000 + requests / 5
    const until = start + seconds * 1_000
    const wishes = Array.from({ length: requests }, (): Wish => wishAt(Math.floor(dice.between(start - MARKS[0]!, until - MARKS[2]!))))
    const ids = await fileWishes(client, town, wishes)
    await client.query('ANALYZE')
    await client.end()
    const owed: Owed[] = ids.map((requestId, n) => ({ requestId, marks: MARKS.map((ms) => wishes[n]!.openedAt.getTime() + ms) }))
    const times = owed.flatMap(({ marks }) => marks).filter((at) => at <= until).sort((a, b) => a - b)
    say(`seed ${seed}: ${requests} requests, ${times.length} marks in ${seconds} s; clocks ${faketimeLibrary() ? 'shifted by faketime' : 'not shifted: faketime is not installed'}`)
    if (Date.now() > start) say(`filed ${((Date.now() - start) / 1_000).toFixed(1)} s too late: the first marks are late by that`)

    const busy = new Set<string>()
    const next = dealer(dice)
    progress = setInterval(() => {
      const came = times.filter((at) => at <= Date.now()).length
      const fired = probe.fired()
      say(`${String(Math.round((Date.now() - start) / 1_000)).padStart(5)} s  ${came} of ${times.length} marks have come, ${fired} events; ${[...met.values()].reduce((a, b) => a + b, 0)} faults${busy.size > 0 ? `, now ${[...busy].join(' + ')}` : ''}`)
    }, 5_000)
    const acts = acceptSome(url, town, ids, owed, dice, until)
    await sleep(Math.max(0, start - Date.now()))
    while (Date.now() < until - longest * 500 && faults) {
      const pair = next()
      await Promise.all(pair.map(async ({ part, name, run }) => {
        const label = `${part} ${name}`
        met.set(label, (met.get(label) ?? 0) + 1)
        busy.add(label)
        const from = Date.now()
        await run(stage)
        timeline.push({ name: label, from, to: Date.now() })
        busy.delete(label)
      }))
      await sleep(dice.between(200, Math.min(2_000, 200 + 200 * longest)))
    }
    await sleep(Math.max(0, until - Date.now()))
    await acts
    const quietAt = new Date()
    const settled = Date.now() + settle * 1_000
    while (Date.now() < settled && (await probe.due(new Date(until))) > 0) await sleep(200)
    const roundTrip = await waitFor(() => probe.wentRound(quietAt), 20_000)
    const leftInTransaction = await probe.leftInTransaction()
    if (asleepSince !== undefined) silences.push([asleepSince, Date.now()])
    silences.push(...probe.silences())
    const verdict = judge(owed, await probe.history(), silences, until)
    endings.push(...(await Promise.all(workers.map((worker) => worker.end()))))
    return {
      verdict, faults: met, timeline, silences: merged(silences), endings, leftInTransaction, roundTrip, withFaketime: faketimeLibrary() !== undefined,
      collapses: workers.reduce((sum, worker) => sum + worker.collapses, 0),
      passedOver: workers.flatMap((worker) => worker.log().split('\n')).filter((line) => line.includes('passed over for now')).length,
    }
  } finally {
    clearInterval(progress)
    await probe.stop()
    redis.goOn()
    for (const worker of workers) worker.goOn()
    await Promise.all(workers.map((worker) => worker.kill()))
    remove()
    await Promise.all([redis.remove(), postgres.remove()])
  }
}

/** One fault, or two of different parts at once; every kind comes before any comes again. */
function dealer(dice: Chance): () => Fault[] {
  const deck: Fault[] = []
  const deal = (fits: (fault: Fault) => boolean = () => true): Fault => {
    let at = deck.findIndex(fits)
    if (at < 0) at = deck.push(...[...FAULTS].map((fault) => ({ fault, rank: dice.next() })).sort((a, b) => a.rank - b.rank).map(({ fault }) => fault)) && deck.findIndex(fits)
    return deck.splice(at, 1)[0]!
  }
  return () => {
    const first = deal()
    return dice.next() < 0.5 ? [first] : [first, deal(({ part }) => part !== first.part)]
  }
}

const wishAt = (opened: number): Wish => ({ openedAt: new Date(opened), dueAt: new Date(opened + MARKS[2]!), nextAt: new Date(opened + MARKS[0]!), mark: 0 })

/** A person of the street accepts some of them, at any time from the first mark on. */
async function acceptSome(url: string, town: ClockTown, ids: string[], owed: Owed[], dice: Chance, until: number): Promise<void> {
  const plan = ids.flatMap((id, n) => (n % ACCEPTED === 0 ? [{ id, at: Math.min(until - 1_000, owed[n]!.marks[0]! + dice.between(-2_000, 8_000)) }] : [])).sort((a, b) => a.at - b.at)
  const db = openDatabase({ url, connections: 2 })
  try {
    await inTenant(town.tenantId, async () => {
      for (const { id, at } of plan) {
        await sleep(Math.max(0, at - Date.now()))
        for (;;) {
          // Not heard of: asked again, and refused when it was done after all.
          const done = await personActor(db, town.staff, null).then((actor) => act(db, 'accept', id, {}, actor!)).then(() => true, (error: { code?: string }) => error.code === 'transition-refused')
          if (done) break
          await sleep(200)
        }
      }
    })
  } finally {
    await db.close()
  }
}

/** Looks at the database from outside, ten times a second, and keeps when it did not answer. */
function prober(url: string) {
  const away: [number, number][] = []
  let lastOk = Date.now()
  let events = 0
  let stopped = false
  let client: pg.Client | undefined
  const ask = async <Row extends pg.QueryResultRow>(sql: string, values: unknown[] = [], patience = 400): Promise<Row[]> => {
    if (!client) {
      const fresh = new pg.Client({ connectionString: url, connectionTimeoutMillis: 400, application_name: 'chaos probe' })
      fresh.on('error', () => { if (client === fresh) client = undefined })
      await fresh.connect()
      client = fresh
    }
    const used = client
    try {
      return (await used.query<Row>({ text: sql, values, query_timeout: patience } as pg.QueryConfig)).rows
    } catch (error) {
      if (client === used) client = undefined
      void used.end().catch(() => {})
      throw error
    }
  }
  const insist = async <Row extends pg.QueryResultRow>(sql: string, values: unknown[] = []): Promise<Row[]> => {
    for (let tries = 0; ; tries++) {
      try {
        return await ask<Row>(sql, values, 60_000)
      } catch (error) {
        if (tries > 100) throw error
        await sleep(200)
      }
    }
  }
  const watching = (async () => {
    for (let n = 0; !stopped; n++) {
      try {
        if (n % 20 === 0) events = (await ask<{ n: number }>(`SELECT count(*)::int AS n FROM event WHERE verb IN ('remind', 'escalate')`))[0]!.n
        else await ask('SELECT 1')
        const now = Date.now()
        // Also when it is we who were not heard: nobody is to blame on a machine that stands still.
        if (now - lastOk > 600) away.push([lastOk, now])
        lastOk = now
      } catch {
        // Counted when it answers again.
      }
      await sleep(100)
    }
    await client?.end().catch(() => {})
  })()
  return {
    fired: () => events,
    silences: (): Silence[] => away,
    due: async (at: Date) => (await insist<{ n: number }>(`SELECT count(*)::int AS n FROM deadline WHERE "nextAt" <= $1`, [at]))[0]!.n,
    wentRound: async (since: Date) => (await insist<{ ok: boolean }>(`SELECT COALESCE(max("roundTripAt") > $1, false) AS ok FROM worker`, [since]))[0]!.ok,
    leftInTransaction: async () => (await insist<{ n: number }>(`SELECT count(*)::int AS n FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' AND state_change < now() - interval '5 seconds'`))[0]!.n,
    history: async (): Promise<Fired[]> => {
      const rows = await insist<Omit<Fired, 'kind'> & { verb: string }>(`
        SELECT "requestId", seq, verb, 1000 * extract(epoch FROM (data ->> 'logicalAt')::timestamptz)::float8 AS "logicalAt",
          1000 * extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 AS "committedAt", data ->> 'rung' AS rung
        FROM event WHERE verb = 'accept' OR verb IN ('remind', 'escalate') AND data ->> 'step' = 'accept'`)
      return rows.map(({ verb, ...row }) => ({ ...row, kind: verb === 'accept' ? 'end' : 'mark' }))
    },
    stop: async () => {
      stopped = true
      await watching
    },
  }
}

async function waitFor(holds: () => Promise<boolean>, ms: number): Promise<boolean> {
  for (const until = Date.now() + ms; Date.now() < until; await sleep(200)) if (await holds()) return true
  return false
}
