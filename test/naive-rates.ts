import type pg from 'pg'

/**
 * The rates once more, from the definitions in words and the events as the feed has them: slow, plain, and sharing nothing
 * with src/domain/rate-facts.ts. Each request is played back event by event; whatever a rate asks for is noted on the way.
 */

interface Event { seq: number; verb: string; fromState: string; toState: string; at: Date; cycle: number; path: string; data: Record<string, unknown> }
interface Deadline { step: string; seq: number; openedAt: Date; dueAt: Date; originalDueAt: Date; stoodAt: Date | null; closedAt: Date | null }
interface Lead { personId: string | null; organisationId: string | null; path: string; until: Date }

interface Unit { rate: string; hit: boolean; part: string | null; excluded: boolean; at: Date; path: string; parties: string[]; item: string }

export interface Naive { rate: string; numerator: number; denominator: number; excluded: number; apart: Record<string, number> }

/** Everything that is counted of one tenant, at this moment of its database. */
export async function naiveUnits(owner: pg.Pool, tenantId: string, lowLevels: readonly string[]): Promise<Unit[]> {
  const many = async <T extends object>(sql: string): Promise<T[]> => (await owner.query<T>(sql, [tenantId])).rows
  const events = await many<Event & { requestId: string }>(`SELECT e.* FROM feed f JOIN event e ON e."tenantId" = f."tenantId" AND e."requestId" = f."requestId" AND e.seq = f.seq WHERE f."tenantId" = $1 ORDER BY f.position`)
  const deadlines = await many<Deadline & { requestId: string }>('SELECT * FROM deadline WHERE "tenantId" = $1')
  const leads = await many<Lead & { requestId: string }>(`SELECT * FROM assignment WHERE "tenantId" = $1 AND role = 'lead' AND status = 'done'`)
  const requests = await many<{ id: string; code: string }>(`SELECT r.id, CASE WHEN r.confidential OR r.kind = 'mediation' THEN 'confidential' ELSE i.code END AS code FROM request r JOIN item i ON i."tenantId" = r."tenantId" AND i.id = r."itemId" WHERE r."tenantId" = $1`)
  const low = new Set((await many<{ code: string; level: string }>('SELECT code, level FROM node WHERE "tenantId" = $1')).filter(({ level }) => lowLevels.includes(level)).map(({ code }) => code))
  return requests.flatMap(({ id, code }) => {
    const of = <T extends { requestId: string }>(rows: T[]) => rows.filter(({ requestId }) => requestId === id)
    return unitsOf(of(events), of(deadlines), of(leads), low).map((unit) => ({ ...unit, item: code }))
  })
}

function unitsOf(events: Event[], deadlines: Deadline[], leads: Lead[], low: Set<string>): Omit<Unit, 'item'>[] {
  const units: Omit<Unit, 'item'>[] = []
  // A rating that brings a redo closes one cycle and begins another in one event.
  const turns: { own: Event[]; opener: Event; closer: Event | null }[] = []
  for (const event of events) {
    const last = turns.at(-1)
    if (!last) turns.push({ own: [event], opener: event, closer: null })
    else if (event.cycle === last.opener.cycle) last.own.push(event)
    else {
      last.closer = event
      turns.push({ own: [event], opener: event, closer: null })
    }
  }
  for (const { own, opener, closer } of turns) {
    let done: Event | null = null
    let excluded = false
    let givenUp: Date | null = null
    let answer: Event | null = null
    let response: Date | null = null
    let placed: Event | null = null
    let claims: unknown[] = []
    const sent: { event: Event; back: boolean }[] = []
    for (const event of own) {
      const { verb, data } = event
      if (verb === 'complete' || verb === 'follow-lead') { done = event; response ??= event.at }
      if (verb === 'send-back' || verb === 'rejoin') done = null
      if (verb === 'respond') response ??= event.at
      if (verb === 'grant-exclusion') excluded = true
      if (verb === 'withdraw' || verb === 'reject') givenUp = event.at
      if ((verb === 'rate' || (verb === 'follow-up' && data.reached === true)) && !data.redo) answer = event
      if (verb === 'place') { placed ??= event; claims = [] }
      if (verb === 'claim' && !data.pending) claims.push(data.by)
      if (verb === 'confirm-claim') claims.push(data.by)
      if (verb === 'release') claims = claims.filter((by) => by !== data.by)
      const reassigned = verb === 'adjudicate' && data.decision === 'reassign'
      const last = sent.at(-1)
      if ((verb === 'grant-return' || reassigned) && last) last.back = true
      if (verb === 'dispatch' || verb === 'redispatch' || reassigned) sent.push({ event, back: false })
    }
    if (closer && closer.data.redo) answer = closer
    const doers = done ? leads.filter(({ until }) => until.getTime() === done!.at.getTime()) : []
    const doerIds = [...new Set(doers.map((lead) => lead.organisationId ?? lead.personId!))]
    const put = (rate: string, at: Date, path: string, hit: boolean, parties: string[], part: string | null = null) => units.push({ rate, at, path, hit, part, excluded, parties })

    for (const { event, back } of sent) put('return', event.at, event.path, back, [event.data.to as string])
    if (placed) {
      put('claim', placed.at, placed.path, claims.length > 0, [])
      put('realised', placed.at, placed.path, done?.data.result === 'realised' && !closer, [])
    }
    if (done) {
      const shallowest = [done.path, ...doers.map(({ path }) => path)].reduce((a, b) => (b.length < a.length ? b : a))
      put('building_level', done.at, done.path, low.has(shallowest.split('/').at(-2)!), doerIds)
      put('redo', done.at, done.path, closer !== null, doerIds)
    }
    if (answer) {
      const { solved, satisfaction } = answer.data
      put('resolution', answer.at, answer.path, solved === 'solved', doerIds, solved === 'partly' ? 'partly' : null)
      put('satisfaction', answer.at, answer.path, satisfaction !== 'dissatisfied', doerIds, satisfaction === 'fairly' ? 'fairly' : null)
    }
    const clock = deadlines.find(({ step, seq }) => step === 'complete' && seq === opener.seq)
    const stopped = givenUp ?? closer?.at ?? clock?.closedAt ?? null
    for (const rate of ['on_time', 'on_time_original'] as const) {
      if (!clock) continue
      const due = rate === 'on_time' ? clock.dueAt : clock.originalDueAt
      const stands = rate === 'on_time' && clock.stoodAt !== null && clock.stoodAt <= due
      let fate: { at: Date; part: string | null } | null = null
      if (done) fate = done.at <= due || stands ? { at: done.at, part: null } : { at: due, part: 'late' }
      else if (!stands && (stopped === null || stopped > due)) fate = { at: due, part: stopped === null ? 'open' : 'ended' }
      if (!fate) continue
      const then = whoHadIt(events, fate.at)
      const parties = fate.part === null ? doerIds : then.parties
      put(rate, fate.at, then.path, fate.part === null, parties, fate.part)
      if (rate === 'on_time') put('overdue', fate.at, then.path, fate.part !== null, parties, fate.part)
    }
    const waits = deadlines.filter(({ step, seq }) => step === 'respond' && own.some((event) => event.seq === seq)).sort((a, b) => a.seq - b.seq)
    for (const wait of waits) {
      const end = wait.closedAt?.getTime() ?? Infinity
      if (response && response.getTime() <= Math.min(wait.dueAt.getTime(), end) && response >= wait.openedAt) {
        const then = whoHadIt(events, response)
        put('response', response, then.path, true, done && done.at.getTime() === response.getTime() ? doerIds : then.parties)
        break
      }
      if (end > wait.dueAt.getTime()) {
        const then = whoHadIt(events, wait.dueAt)
        put('response', wait.dueAt, then.path, false, then.parties, response && response > wait.dueAt ? 'late' : null)
        break
      }
    }
  }
  return units
}

/** Played back up to an instant. */
function whoHadIt(events: Event[], at: Date): { path: string; parties: string[] } {
  let who: string[] = []
  let path = ''
  for (const { verb, toState, data, at: when, path: there } of events) {
    if (when > at) break
    path = there
    const by = (data.to ?? data.by) as string
    if (verb === 'dispatch' || verb === 'redispatch' || (verb === 'adjudicate' && data.decision === 'reassign')) who = [by]
    else if (verb === 'confirm-claim' || (verb === 'claim' && !data.pending)) who = [...who, by]
    else if (verb === 'release') who = who.filter((one) => one !== data.by)
    else if (['accepted', 'parked', 'closed', 'rejected', 'withdrawn'].includes(toState)) who = []
  }
  return { path, parties: [...new Set(who)] }
}

export interface NaiveQuery { node: string; item?: string; party?: string; since: Date; until: Date; now: Date }

const APART: Record<string, string[]> = {
  response: ['late'], resolution: ['partly'], satisfaction: ['fairly'], on_time: ['late', 'open', 'ended'], on_time_original: ['late', 'open', 'ended'], overdue: ['late', 'open', 'ended'],
}

export function naiveRates(units: readonly Unit[], rates: readonly string[], { node, item, party, since, until, now }: NaiveQuery): Naive[] {
  const meant = units.filter((unit) => unit.at >= since && unit.at < until && unit.at <= now && unit.path.split('/').includes(node)
    && (item === undefined || unit.item === item) && (party === undefined || unit.parties.includes(party)))
  return rates.map((rate) => {
    const own = meant.filter((unit) => unit.rate === rate)
    const counted = own.filter(({ excluded }) => !excluded)
    return {
      rate, numerator: counted.filter(({ hit }) => hit).length, denominator: counted.length, excluded: own.length - counted.length,
      apart: Object.fromEntries((APART[rate] ?? []).map((part) => [part, counted.filter((unit) => unit.part === part).length])),
    }
  })
}
