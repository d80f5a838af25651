import type pg from 'pg'
import { dayNumber } from '../domain/calendar-day.ts'
import { dayOf } from '../domain/calendar.ts'
import type { VerbName } from '../domain/machine.ts'
import { factsOf, type Fact } from '../domain/rate-facts.ts'
import { lowLevels } from '../domain/settings.ts'
import { inTenant, type Db } from './db.ts'
import { consumed, histories, lockPlace, newlyTold, type Ref, type StoredHistory } from './histories.ts'
import { addUp, addUpAnew, type Added } from './rate-months.ts'
import { tenant } from './tenants.ts'
import { transaction } from './transaction.ts'

/**
 * 计数: keeps what every request counts as, from the feed. A request is counted anew as a whole, from its history, whenever
 * something happens to it: what is counted twice is the same, and a worker that is killed has counted nothing.
 */

const CONSUMER = 'figures'

/** They say something and change nothing that is counted. */
const SAYS_ONLY: ReadonlySet<VerbName> = new Set<VerbName>(['remind', 'escalate', 'urge', 'supervise', 'record', 'sign-up', 'cancel-sign-up', 'hand-over', 'absorb', 'widen', 'assign'])

/** @returns how many feed rows were read; a full batch means there may be more */
export const countOnce = (db: Db, batch = 500): Promise<number> => transaction(db.system, async (client) => {
  const { refs, read, position } = await newlyTold(client, CONSUMER, batch, (verb) => !SAYS_ONLY.has(verb))
  if (position === null) return 0
  await count(db, client, refs)
  await consumed(client, CONSUMER, position)
  return read
})

/** Counts every request anew, in the order of their ids, while workers go on. @param counted hears how many are done */
export async function recount(db: Db, counted: (requests: number, of: number) => void = () => {}, batch = 500): Promise<number> {
  const { rows: [all] } = await db.system.query<{ requests: number }>({ name: 'recount_all', text: `SELECT count(*)::int AS requests FROM request` })
  let after: Ref = { tenantId: NOBODY, requestId: NOBODY }
  let done = 0
  for (;;) {
    const refs = await transaction(db.system, async (client) => {
      await lockPlace(client, CONSUMER)
      const { rows } = await client.query<Ref>({
        name: 'recount_next', text: `SELECT "tenantId", id AS "requestId" FROM request WHERE ("tenantId", id) > ($1, $2) ORDER BY "tenantId", id LIMIT $3`, values: [after.tenantId, after.requestId, batch],
      })
      await count(db, client, rows)
      return rows
    })
    done += refs.length
    if (refs.length > 0) counted(done, Math.max(done, all!.requests))
    if (refs.length < batch) break
    after = refs.at(-1)!
  }
  const { rows: months } = await db.system.query<{ tenantId: string; month: number }>({
    name: 'recount_months', values: [],
    text: `SELECT "tenantId", month FROM rate_month UNION SELECT "tenantId", extract(year FROM d)::int * 12 + extract(month FROM d)::int - 1
      FROM (SELECT DISTINCT "tenantId", date '1970-01-01' + day AS d FROM rate_fact WHERE at IS NOT NULL) days ORDER BY 1, 2`,
  })
  for (const { tenantId, month } of months) {
    await transaction(db.system, async (client) => {
      await lockPlace(client, CONSUMER)
      await addUpAnew(client, tenantId, month)
    })
  }
  return done
}

const NOBODY = '00000000-0000-0000-0000-000000000000'

/** A row of a fact: of itself, or of a party to it. */
interface Row extends Added {
  requestId: string
  cycle: number
  unit: number
  at: Date
}

/** Rows that are no longer among those given lose their instant; what has not changed is not written. */
const WRITE = `
  WITH given AS MATERIALIZED (SELECT * FROM jsonb_to_recordset($2::jsonb) AS g("tenantId" uuid, "requestId" uuid, cycle int, base text, unit int, slot int, "partyId" uuid, at timestamptz, day int, path text, item text, met int, excluded bool)),
  gone AS (UPDATE rate_fact f SET at = NULL, day = NULL FROM jsonb_to_recordset($1::jsonb) AS k("tenantId" uuid, "requestId" uuid)
    WHERE f."tenantId" = k."tenantId" AND f."requestId" = k."requestId" AND f.at IS NOT NULL
      AND (f."requestId", f.cycle, f.base, f.unit, f.slot) NOT IN (SELECT g."requestId", g.cycle, g.base, g.unit, g.slot FROM given g))
  INSERT INTO rate_fact AS f ("tenantId", "requestId", cycle, base, unit, slot, "partyId", at, day, path, item, met, excluded) SELECT * FROM given
  ON CONFLICT ("tenantId", "requestId", cycle, base, unit, slot) DO UPDATE
    SET "partyId" = excluded."partyId", at = excluded.at, day = excluded.day, path = excluded.path, item = excluded.item, met = excluded.met, excluded = excluded.excluded
    WHERE (f."partyId", f.at, f.day, f.path, f.item, f.met, f.excluded)
      IS DISTINCT FROM (excluded."partyId", excluded.at, excluded.day, excluded.path, excluded.item, excluded.met, excluded.excluded)`

async function count(db: Db, client: pg.PoolClient, refs: readonly Ref[]): Promise<void> {
  if (refs.length === 0) return
  const known = await histories(client, refs)
  const rows: Row[] = []
  for (const tenantId of new Set(known.map((history) => history.tenantId))) {
    const own = known.filter((history) => history.tenantId === tenantId)
    const { settings } = await inTenant(tenantId, () => tenant(db))
    const low = new Set(lowLevels(settings))
    const levels = await levelsOf(client, tenantId, own)
    const isLow = (path: string): boolean => low.has(levels.get(lastOf(path)) ?? '')
    for (const history of own) for (const fact of factsOf({ ...history, doers: history.done.filter(({ role }) => role === 'lead') }, isLow)) rows.push(...rowsOf(history, fact, settings.zone))
  }
  const { rows: before } = await client.query<Added>({
    name: 'facts_before', values: [JSON.stringify(refs)],
    text: `SELECT f."tenantId", f.slot, f."partyId", f.day, f.path, f.base, f.item, f.met, f.excluded FROM jsonb_to_recordset($1::jsonb) AS k("tenantId" uuid, "requestId" uuid)
      JOIN rate_fact f ON f."tenantId" = k."tenantId" AND f."requestId" = k."requestId" WHERE f.at IS NOT NULL`,
  })
  await addUp(client, before, rows)
  await client.query({ name: 'facts_write', text: WRITE, values: [JSON.stringify(refs), JSON.stringify(rows)] })
}

function rowsOf({ tenantId, requestId, secret, item }: StoredHistory, { parties, ...fact }: Fact, zone: string): Row[] {
  const row = { tenantId, requestId, ...fact, day: dayNumber(dayOf(zone, fact.at)), item: secret ? 'confidential' : item }
  return [{ ...row, slot: 0, partyId: null }, ...[...parties].sort().map((partyId, index) => ({ ...row, slot: index + 1, partyId }))]
}

const lastOf = (path: string): string => path.split('/').at(-2) ?? ''

/** Of the nodes these paths end at, by code: it never changes, wherever the node is moved to. */
async function levelsOf(client: pg.PoolClient, tenantId: string, known: readonly StoredHistory[]): Promise<Map<string, string>> {
  const codes = new Set(known.flatMap(({ events, done }) => [...events.map(({ path }) => lastOf(path)), ...done.map(({ path }) => lastOf(path))]))
  const { rows } = await client.query<{ code: string; level: string }>({
    name: 'facts_levels', text: `SELECT code, level FROM node WHERE "tenantId" = $1 AND code = ANY ($2::text[])`, values: [tenantId, [...codes]],
  })
  return new Map(rows.map(({ code, level }) => [code, level]))
}
