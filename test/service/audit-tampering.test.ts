import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Fault } from '../../src/service/audit-faults.ts'
import { verifyChain } from '../../src/service/audit-verify.ts'
import { auditedTown, withinTransaction, type AuditedTown } from '../audited.ts'
import { TAMPERINGS, type Tampered } from '../audit-tamperings.ts'
import { chance } from '../chaos/chance.ts'

/**
 * A superuser changes anything anywhere, past every guard of the database: each time it is found, and where it was done.
 * AUDIT_RUNS=10000 for a long run; the seed is printed, AUDIT_SEED repeats it.
 */

const RUNS = Number(process.env['AUDIT_RUNS'] ?? 500)
const SEED = Number(process.env['AUDIT_SEED'] ?? Date.now() % 1_000_000)

let audited: AuditedTown
let client: pg.Client

beforeAll(async () => {
  audited = await auditedTown()
  for (let round = 0; round < 12; round++) {
    await audited.live(4)
    await audited.link({ batch: 6, every: 15n })
    // Positions are not without gaps: a batch of the relay may have been undone.
    await audited.database.owner.query(`SELECT nextval('feed_position')`)
  }
  client = new pg.Client({ connectionString: audited.database.url })
  await client.connect()
}, 60_000)
afterAll(async () => {
  await client.end()
  await audited.database.drop()
})

const check = () => verifyChain(withinTransaction(client), audited.keyring)

/** The place itself, or the first thing that can no longer be told from it. */
const located = (faults: readonly Fault[], { at }: Tampered): boolean =>
  faults.some((fault) => at.some((where) => Object.entries(where).every(([name, value]) => fault[name as keyof Fault] === value)))

test(`every one of ${RUNS} tamperings is found and located, and nothing else is (seed ${SEED})`, async () => {
  const random = chance(SEED)
  const missed: unknown[] = []
  const found = new Map<string, number>()
  let alarms = 0
  for (let run = 0; run < RUNS; run++) {
    const [name, tamper] = random.one(Object.entries(TAMPERINGS))
    await client.query('BEGIN')
    try {
      await client.query('SET LOCAL session_replication_role = replica')
      if (run % 25 === 0 && !(await check()).ok) alarms++
      const done = await tamper(client, random)
      const { ok, faults, found: count } = await check()
      if (ok || !located(faults, done)) missed.push({ run, name, done, faults: faults.slice(0, 5), count })
      found.set(name, (found.get(name) ?? 0) + 1)
    } finally {
      await client.query('ROLLBACK')
    }
  }
  console.log(`${RUNS} tamperings of ${found.size} sorts, seed ${SEED}: ${missed.length} missed, ${alarms} false alarms`)
  expect(missed).toEqual([])
  expect(alarms).toBe(0)
  expect(found.size).toBe(Object.keys(TAMPERINGS).length)
  expect(await verifyChain(client, audited.keyring)).toMatchObject({ ok: true, pending: 0 })
}, Math.max(120_000, RUNS * 200))
