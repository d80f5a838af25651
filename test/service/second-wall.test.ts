import type pg from 'pg'
import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { inTenant } from '../../src/service/db.ts'
import { fingerprint, once } from '../../src/service/idempotency.ts'
import { account } from '../../src/service/audit.ts'
import { keepUpload } from '../../src/service/attachments.ts'
import { generateKeyring, parseKeyring } from '../../src/service/keyring.ts'
import { createSubject } from '../../src/service/subjects.ts'
import { notifyOnce } from '../../src/service/notifications.ts'
import { relayOnce } from '../../src/service/relay.ts'
import { act, file } from '../../src/service/requests.ts'
import { testShelf, type Shelf } from '../attachments.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { pdf } from '../pictures.ts'
import { testPlace, type TestPlace } from '../place.ts'

/** Row-level security: a query that forgets its tenant sees no other. Every table holds rows of two tenants here. */

let database: TestDatabase
let shelf: Shelf
let towns: [TestPlace, TestPlace]
let tables: string[]
const POOL = 5

async function live(town: TestPlace): Promise<void> {
  const { db } = database
  const [resident, staff, member] = await Promise.all([town.person(), town.person({ can: ['view', 'dispatch', 'publish'] }), town.person({ kinds: ['party_member'] })])
  await town.app()
  const ring = parseKeyring(JSON.stringify(generateKeyring()))
  await town.inside(async () => {
    await createSubject(db, ring, { name: '王示例' })
    await once(db, ring, { caller: resident.id, key: 'one', fingerprint: fingerprint('one') }, async (keep) => {
      const { id } = await file(db, { item: 'companionship', title: '心愿', node: 'U' }, resident, { keep: (answer) => keep(201, JSON.stringify(answer)) })
      return { status: 201, body: id, replayed: false }
    })
    const { id } = await file(db, { item: 'companionship', title: '心愿', node: 'U' }, resident)
    await act(db, 'accept', id, {}, staff)
    await act(db, 'consent', id, { purpose: 'wall', by: 'self', how: 'app' }, resident)
    await act(db, 'place', id, {}, staff)
    await act(db, 'claim', id, {}, member)
    await act(db, 'ask-exclusion', id, { reason: '重复' }, staff)
    await account(db.app, staff, { action: 'person.revealed', object: 'person', objectId: resident.id, reason: '核实地址' })
    await keepUpload(shelf, { bytes: pdf().length, read: async () => pdf() }, resident)
  })
}

beforeAll(async () => {
  database = await freshDatabase({ connections: POOL })
  shelf = await testShelf(database)
  towns = [await testPlace(database, {}, 'ONE'), await testPlace(database, {}, 'TWO')]
  await Promise.all(towns.map(live))
  while ((await relayOnce(database.db, 3)).moved > 0);
  while ((await notifyOnce(database.db)) > 0);
  // one more round stays in the outbox
  await Promise.all(towns.map(live))
  const { rows } = await database.owner.query<{ table: string }>(`SELECT relname AS table FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relrowsecurity ORDER BY 1`)
  tables = rows.map(({ table }) => table).filter((table) => !NOT_FILLED_HERE.test(table))
})
afterAll(() => Promise.all([database.drop(), shelf.close()]))

const keyOf = (table: string) => (table === 'tenant' ? 'id' : '"tenantId"')
/** The app may write into the outbox and never look. */
const WRITTEN_ONLY = ['audit_outbox', 'outbox']
/** Nothing here fills them; that they have the same gate is read in schema-laws. */
const NOT_FILLED_HERE = /^(household|visit|import_row|contact_card|venue|campaign|rate_fact|rate_month|credit_entry|form_answer|identity_provider|totp|lockout|reveal|erasure|retention_mark|robot|quiet_hours|webhook_|api_key|external_user|skill|calendar_|rescheduled|rescheduling|operation)/

const seen = async (table: string): Promise<Record<string, number>> => {
  const { rows } = await database.db.app.query<{ tenant: string; count: number }>(`SELECT ${keyOf(table)} AS tenant, count(*)::int AS count FROM ${table} GROUP BY 1`)
  return Object.fromEntries(rows.map(({ tenant, count }) => [tenant, count]))
}

describe('the app role', () => {
  test('finds rows of both tenants in every table to tell apart', async () => {
    for (const table of tables) {
      const { rows } = await database.owner.query<{ n: number }>(`SELECT count(DISTINCT ${keyOf(table)})::int AS n FROM ${table}`)
      expect(rows[0]!.n, table).toBe(2)
    }
  })

  test('sees its own tenant in every table, without asking for one', async () => {
    for (const { tenantId } of towns) {
      for (const table of tables) {
        if (WRITTEN_ONLY.includes(table)) await expect(inTenant(tenantId, () => seen(table))).rejects.toMatchObject({ code: '42501' })
        else {
          const { rows: [all] } = await database.owner.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${table} WHERE ${keyOf(table)} = $1`, [tenantId])
          expect(await inTenant(tenantId, () => seen(table)), table).toEqual({ [tenantId]: all!.n })
        }
      }
    }
  })

  test('sees nothing where no tenant is set', async () => {
    for (const table of tables.filter((name) => !WRITTEN_ONLY.includes(name))) expect(await seen(table), table).toEqual({})
  })

  test('cannot write for another tenant, nor move a row there', async () => {
    const [one, two] = towns
    const refused = (sql: string, values: unknown[]) => one.inside(() => database.db.app.query(sql, values).then(({ rowCount }) => rowCount, ({ code }: pg.DatabaseError) => code))
    expect(await refused(`INSERT INTO counter ("tenantId", key, value) VALUES ($1, 'x', 1)`, [two.tenantId])).toBe('42501')
    expect(await refused(`INSERT INTO subject ("tenantId", id) VALUES ($1, $2)`, [two.tenantId, uuidv7()])).toBe('42501')
    expect(await refused(`UPDATE node SET name = 'x' WHERE "tenantId" = $1`, [two.tenantId])).toBe(0)
    expect(await refused(`UPDATE counter SET "tenantId" = $1`, [two.tenantId])).toBe('42501')
    expect(await database.db.app.query(`UPDATE node SET name = 'x'`).then(({ rowCount }) => rowCount)).toBe(0)
  })

  test('keeps its role and its tenant apart from what a caller may set: a new context, a new tenant', async () => {
    const [one, two] = towns
    const mine = () => database.db.app.query<{ id: string; role: string }>('SELECT id, current_user AS role FROM tenant').then(({ rows }) => rows)
    await one.inside(async () => {
      expect(await mine()).toEqual([{ id: one.tenantId, role: 'wishwall_app' }])
      expect(await two.inside(mine)).toEqual([{ id: two.tenantId, role: 'wishwall_app' }])
      expect(await mine()).toEqual([{ id: one.tenantId, role: 'wishwall_app' }])
    })
  })
})

describe('two thousand queries over five connections', () => {
  test('see the tenant they were asked in, and none where there is none', async () => {
    const contexts = [towns[0].tenantId, towns[1].tenantId, undefined]
    const own = new Map(await Promise.all(towns.map(async ({ tenantId }): Promise<[string, number]> => {
      const { rows } = await database.owner.query<{ n: number }>('SELECT count(*)::int AS n FROM event WHERE "tenantId" = $1', [tenantId])
      return [tenantId, rows[0]!.n]
    })))
    const wrong: unknown[] = []
    let asked = 0
    const ask = async (tenantId: string | undefined) => {
      const run = () => seen('event')
      const got = await (tenantId === undefined ? run() : inTenant(tenantId, run))
      asked++
      if (JSON.stringify(got) !== JSON.stringify(tenantId === undefined ? {} : { [tenantId]: own.get(tenantId) })) wrong.push({ tenantId, got })
    }
    // In waves of many times the pool, in an order that no connection can guess; some leave their connection broken.
    for (let wave = 0; wave < 20; wave++) {
      await Promise.all(Array.from({ length: 100 }, async (_, index) => {
        if (index % 25 === 24) await inTenant(towns[0].tenantId, () => database.db.app.query('SELECT 1 / 0')).catch(() => {})
        await ask(contexts[Math.floor(Math.random() * contexts.length)])
      }))
    }
    expect(asked).toBe(2000)
    expect(wrong).toEqual([])
    expect(database.db.app.totalCount).toBeLessThanOrEqual(POOL)
  })
})
