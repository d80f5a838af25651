import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { startEmbeddedPostgres } from '../../src/bin/embedded-postgres.ts'
import { linkOnce } from '../../src/service/audit-chain.ts'
import { asOwner } from '../../src/service/audit-owner.ts'
import { verifyChain } from '../../src/service/audit-verify.ts'
import { openDatabase } from '../../src/service/db.ts'
import { generateKeyring, parseKeyring } from '../../src/service/keyring.ts'
import { migrate } from '../../src/service/migrate.ts'
import { createTenant } from '../../src/service/provision.ts'
import { relayOnce } from '../../src/service/relay.ts'

/** What the chain costs: the same rows through the relay alone, then through the chain, then the check of all of it. `tsx test/bench/audit.ts [rows]` */

const ROWS = Number(process.argv[2] ?? 50_000)
const ROUNDS = 3
const dataDir = mkdtempSync(join(tmpdir(), 'wish-wall-audit-'))
const server = await startEmbeddedPostgres({ dataDir })
const admin = new pg.Client({ connectionString: server.url('postgres') })
await admin.connect()
await admin.query('CREATE DATABASE bench')
await admin.end()
const url = server.url('bench')
await migrate(url)
const db = openDatabase({ url })
const keyring = parseKeyring(JSON.stringify(generateKeyring()))
const { id: tenantId } = await createTenant(db, { code: 'B', name: '示例街道' })

/** Rows as a commit writes them, many at once. */
const fill = () => asOwner(url, async (client) => {
  await client.query('SET session_replication_role = replica')
  await client.query(`INSERT INTO event ("tenantId", "requestId", seq, verb, "fromState", "toState", at, cycle, path, "actorKind", data)
    SELECT $1, gen_random_uuid(), 1, 'file', 'none', 'filed', wishwall_now(), 1, 'B/C/P/B/', 'system', '{"item": "companionship", "source": "app"}' FROM generate_series(1, $2)`, [tenantId, ROWS])
  await client.query(`INSERT INTO outbox ("tenantId", id, "requestId", seq, type, at, path, payload)
    SELECT "tenantId", gen_random_uuid(), "requestId", seq, 'request.filed', at, path, jsonb_build_object('number', 'WX20261122-000123', 'kind', 'wish', 'item', 'companionship', 'from', null, 'state', 'filed', 'version', 1, 'cycle', 1, 'node', 'B')
    FROM event e WHERE NOT EXISTS (SELECT FROM feed f WHERE f."requestId" = e."requestId")`)
  await client.query('ANALYZE')
})

const timed = async (what: string, work: () => Promise<number>): Promise<number> => {
  const began = performance.now()
  const rows = await work()
  const rate = rows / ((performance.now() - began) / 1_000)
  console.log(`${what.padEnd(34)} ${rows} rows, ${Math.round(rate)} rows/s`)
  return rate
}
const drained = async (step: () => Promise<number>): Promise<number> => {
  let all = 0
  for (let some = await step(); some > 0; some = await step()) all += some
  return all
}

for (let round = 1; round <= ROUNDS; round++) {
  await fill()
  const relay = await timed(`${round}: relay`, () => drained(async () => (await relayOnce(db)).moved))
  const chain = await timed(`${round}: chain`, () => drained(async () => (await linkOnce(db, keyring)).linked))
  await fill()
  const both = await timed(`${round}: relay and chain in turn`, async () => {
    let rows = 0
    for (;;) {
      const { moved } = await relayOnce(db)
      const { linked } = await linkOnce(db, keyring)
      rows += moved
      if (moved === 0 && linked === 0) return rows
    }
  })
  console.log(`${round}: in turn / relay alone ${(both / relay).toFixed(2)}, chain / relay ${(chain / relay).toFixed(2)}`)
}
const before = process.memoryUsage().rss
let verdict
await timed('check of the whole chain', async () => (verdict = await asOwner(url, (client) => verifyChain(client, keyring))).links)
console.log(JSON.stringify({ ...verdict!, faults: undefined }), `RSS +${Math.round((process.memoryUsage().rss - before) / 2 ** 20)} MiB`)
await db.close()
await server.stop()
rmSync(dataDir, { recursive: true, force: true })
