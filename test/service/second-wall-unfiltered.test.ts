import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { inTenant, type Db } from '../../src/service/db.ts'
import { feed } from '../../src/service/events.ts'
import { list } from '../../src/service/list.ts'
import { listDuties } from '../../src/service/duties.ts'
import { listPeople } from '../../src/service/people.ts'
import { listSkills } from '../../src/service/skills.ts'
import { personActor } from '../../src/service/actors.ts'
import { keyring } from '../processes.ts'
import { makeThings } from '../http/authorisation/things.ts'
import { openWorld, type World } from '../http/authorisation/world.ts'

/**
 * The second wall when the first is gone: the product's own statements with their tenant taken out, Prisma without a filter,
 * every table there is; two tenants, one pool, after errors and broken transactions.
 */

let world: World
let db: Db
let here: string, elsewhere: string
let tables: { table: string; rows: number }[]

beforeAll(async () => {
  world = await openWorld()
  db = world.database.db
  here = world.tenantId
  await makeThings(world)
  await world.relay()
  elsewhere = (await world.database.owner.query<{ id: string }>(`SELECT id FROM tenant WHERE code = 'ELSEWHERE'`)).rows[0]!.id
  const { rows } = await world.database.owner.query<{ table: string }>(`SELECT table_name AS table FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'tenantId' ORDER BY 1`)
  tables = await Promise.all(rows.map(async ({ table }) => ({ table, rows: (await world.database.owner.query<{ n: number }>(`SELECT count(*)::int AS n FROM "${table}" WHERE "tenantId" = $1`, [here])).rows[0]!.n })))
})
afterAll(() => world?.close())

describe('every table', () => {
  test('is behind it', async () => {
    const { rows } = await world.database.owner.query<{ table: string }>(`SELECT c.relname AS table FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
      AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenantId') AND NOT (c.relrowsecurity
        AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid))`)
    // Tables that the app's role may not touch at all need no policy for it.
    const open: string[] = []
    for (const { table } of rows) {
      const { rows: [may] } = await world.database.owner.query<{ may: boolean }>(`SELECT has_table_privilege('wishwall_app', '"${table}"', 'SELECT') OR has_any_column_privilege('wishwall_app', '"${table}"', 'SELECT, INSERT, UPDATE') AS may`)
      if (may!.may) open.push(table)
    }
    expect(open).toEqual([])
  })

  test('shows none of its rows to another tenant, nor to nobody', async () => {
    const filled = tables.filter(({ rows }) => rows > 0)
    expect(filled.length).toBeGreaterThan(25)
    const seen: unknown[] = []
    for (const { table } of filled) {
      for (const tenant of [elsewhere, undefined]) {
        const ask = () => db.app.query<{ n: number }>(`SELECT count(*)::int AS n FROM "${table}" WHERE "tenantId" = $1`, [here]).then(({ rows }) => rows[0]!.n, ({ code }: { code: string }) => code)
        const n = tenant === undefined ? await ask() : await inTenant(tenant, ask)
        if (n !== 0 && n !== '42501') seen.push({ table, tenant, n })
      }
    }
    expect(seen).toEqual([])
  })

  test('keeps its history: the app cannot change, delete or empty it', async () => {
    for (const table of ['event', 'audit_entry', 'feed']) {
      for (const sql of [`UPDATE ${table} SET "tenantId" = "tenantId"`, `DELETE FROM ${table}`, `TRUNCATE ${table}`]) {
        await expect(inTenant(here, () => db.app.query(sql)), sql).rejects.toMatchObject({ code: '42501' })
      }
    }
  })
})

/** The way to the database of a program that has forgotten whose rows it wants. */
function forgetful(of: Db): { db: Db; forgot: () => number } {
  let forgot = 0
  const query = (statement: { name: string; text: string; values: unknown[] }) => {
    const text = statement.text.replace(/(?:\b\w+\.)?"tenantId" = \$1(?!\d)/g, '$1::uuid IS NOT NULL').replace(/(\w+)\."tenantId" = (\w+)\."tenantId"/g, 'true')
    if (text !== statement.text) forgot++
    return of.app.query({ ...statement, name: `${statement.name}_forgot`, text })
  }
  return { db: Object.create(of, { app: { value: { query } } }) as Db, forgot: () => forgot }
}

async function read(through: Db): Promise<string> {
  const { ids } = world
  const answers = await inTenant(here, async () => {
    const actor = (await personActor(db, ids.rootAdmin, null))!
    const chief = (await personActor(db, ids.dutyChief, null))!
    return Promise.all([
      list(through, { limit: 100 }, chief), list(through, { limit: 100, mine: true }, chief), feed(through, { limit: 100 }, chief), feed(through, { limit: 100 }, { kind: 'app', clientId: world.apps.app }),
      listPeople(through, keyring, { limit: 100 }, actor), listDuties(through, keyring, { limit: 100 }, actor), listSkills(through),
    ])
  })
  return JSON.stringify(answers)
}

describe('the product’s own statements without their filters', () => {
  test('find nothing of another tenant; with the wall down they would', async () => {
    // Something over there to find.
    const stranger = await world.ok(world.stranger, 'POST', '/v1/people', { name: '王示例', node: 'ELSEWHERE' })
    const filed = await world.ok(world.stranger, 'POST', '/v1/requests', { item: 'cleaning', title: '别处的事', node: 'ELSEWHERE', filer: stranger.id })
    await world.relay()
    const careless = forgetful(db)
    const behind = await read(careless.db)
    expect(careless.forgot()).toBeGreaterThan(5)
    expect(behind).toContain(world.ids.resident)
    for (const theirs of [stranger.id, filed.id, elsewhere]) expect(behind).not.toContain(theirs)
    await world.database.owner.query('ALTER TABLE feed DISABLE ROW LEVEL SECURITY')
    expect(await read(careless.db)).toContain(filed.id)
    await world.database.owner.query('ALTER TABLE feed ENABLE ROW LEVEL SECURITY')
    expect(await read(careless.db)).not.toContain(filed.id)
  })
})

describe('five thousand queries over one pool, Prisma’s and our own', () => {
  test('see one tenant each, whatever the connection has been through', async () => {
    const counts = new Map<string, number>()
    for (const tenant of [here, elsewhere]) counts.set(tenant, (await world.database.owner.query<{ n: number }>('SELECT count(*)::int AS n FROM role WHERE "tenantId" = $1', [tenant])).rows[0]!.n)
    await inTenant(here, () => db.app.query(`INSERT INTO role ("tenantId", code, name, capabilities) VALUES ($1, 'only-here', '只在这里', '{}')`, [here]))
    counts.set(here, counts.get(here)! + 1)
    const wrong: unknown[] = []
    let asked = 0
    const ask = async (index: number) => {
      const tenant = [here, elsewhere][Math.floor(Math.random() * 2)]!
      await inTenant(tenant, async () => {
        if (index % 50 === 7) await db.app.query('SELECT 1 / 0').catch(() => {})
        if (index % 50 === 23) await db.prisma.$transaction(async (t) => { await t.role.count(); throw new Error('broken off') }).catch(() => {})
        if (index % 50 === 41) {
          const client = await db.app.connect()
          await client.query('BEGIN')
          await client.query('SELECT * FROM nothing').catch(() => {})
          await client.query('ROLLBACK')
          client.release()
        }
        const n = index % 2 === 0 ? await db.prisma.role.count() : (await db.app.query<{ n: number }>('SELECT count(*)::int AS n FROM role')).rows[0]!.n
        asked++
        if (n !== counts.get(tenant)) wrong.push({ tenant, n })
      })
    }
    for (let wave = 0; wave < 50; wave++) await Promise.all(Array.from({ length: 100 }, (_, index) => ask(index)))
    expect(asked).toBe(5000)
    expect(wrong).toEqual([])
  })
})
