import type pg from 'pg'
import { v7 as uuidv7 } from 'uuid'
import { earned, entriesOf, type Earned, type Entry, type Tied } from '../domain/credit.ts'
import type { VerbName } from '../domain/machine.ts'
import { inTenant, type Db } from './db.ts'
import { consumed, histories, newlyTold, type StoredHistory } from './histories.ts'
import { tenant } from './tenants.ts'
import { transaction } from './transaction.ts'

/**
 * 积分: enters what was earned, from the feed. Entries and the consumer's place are committed together, and an entry stands
 * under a key of its own: a worker that is killed in between has entered nothing, or all of it once.
 */

const CONSUMER = 'credit'

/** What closes work, praises it or has it done again. */
const CONCERNS: ReadonlySet<VerbName> = new Set<VerbName>(['close', 'follow-up', 'rate', 'reopen'])

/** @returns how many feed rows were read; a full batch means there may be more */
export const creditOnce = (db: Db, batch = 500): Promise<number> => transaction(db.system, async (client) => {
  const { refs, read, position } = await newlyTold(client, CONSUMER, batch, (verb) => CONCERNS.has(verb))
  if (position === null) return 0
  for (const history of refs.length === 0 ? [] : await histories(client, refs)) await enter(db, client, history)
  await consumed(client, CONSUMER, position)
  return read
})

interface Row extends Entry {
  id: string
  seq: number
  cycle: number
  path: string
  at: Date
  reversesId: string | null
}

const WRITE = `
  INSERT INTO credit_entry ("tenantId", id, "requestId", seq, cycle, holder, "holderId", "viaId", reason, points, "reversesId", path, at)
  SELECT $1, g.id, $2, g.seq, g.cycle, g.holder, g."holderId", g."viaId", g.reason, g.points, g."reversesId", g.path, g.at
  FROM jsonb_to_recordset($3::jsonb) AS g(id uuid, seq int, cycle int, holder text, "holderId" uuid, "viaId" uuid, reason text, points int, "reversesId" uuid, path text, at timestamptz)
  ON CONFLICT DO NOTHING`

async function enter(db: Db, client: pg.PoolClient, history: StoredHistory): Promise<void> {
  const { tenantId, requestId } = history
  const { settings } = await inTenant(tenantId, () => tenant(db))
  for (const one of earned(history, settings.credit)) {
    const rows = 'takenBack' in one ? await takenBack(client, history, one) : await given(client, history, one)
    if (rows.length > 0) await client.query({ name: 'credit_write', text: WRITE, values: [tenantId, requestId, JSON.stringify(rows)] })
  }
}

async function given(client: pg.PoolClient, { tenantId }: StoredHistory, one: Extract<Earned, { points: number }>): Promise<Row[]> {
  const { worker: { personId, memberId }, seq, cycle, path, at, workedAt } = one
  const who = personId ?? memberId
  // Where he belonged when he did it; a home and a residence in one organisation are one.
  const { rows: ties } = who === null ? { rows: [] } : await client.query<Tied>({
    name: 'credit_ties',
    text: `SELECT DISTINCT ON ("organisationId") "organisationId", tie FROM affiliation
      WHERE "tenantId" = $1 AND "personId" = $2 AND "verifiedAt" <= $3 AND ("endedAt" IS NULL OR "endedAt" > $3) ORDER BY "organisationId", tie NULLS LAST`,
    values: [tenantId, who, workedAt],
  })
  return entriesOf(one, ties).map((entry) => ({ ...entry, id: uuidv7(), seq, cycle, path, at, reversesId: null }))
}

async function takenBack(client: pg.PoolClient, { tenantId, requestId }: StoredHistory, { seq, cycle, at }: Extract<Earned, { takenBack: true }>): Promise<Row[]> {
  const { rows } = await client.query<Row>({
    name: 'credit_of_cycle',
    text: `SELECT e.* FROM credit_entry e WHERE e."tenantId" = $1 AND e."requestId" = $2 AND e.cycle = $3 AND e."reversesId" IS NULL
      AND NOT EXISTS (SELECT FROM credit_entry t WHERE t."tenantId" = $1 AND t."reversesId" = e.id)`,
    values: [tenantId, requestId, cycle],
  })
  return rows.map((row) => ({ ...row, id: uuidv7(), seq, cycle, at, points: -row.points, reversesId: row.id }))
}
