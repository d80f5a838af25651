import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { Problem } from '../../src/domain/problems.ts'
import { inOneTransaction, inTenant } from '../../src/service/db.ts'
import { transaction } from '../../src/service/transaction.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace } from '../place.ts'

/** Transactions within a transaction, on real connections: what is undone, and what stays. */

let database: TestDatabase
let tenantId: string
const inside = <T>(run: () => Promise<T>): Promise<T> => inTenant(tenantId, run)
const write = (name: string) => database.db.app.query(`INSERT INTO number_block ("tenantId", day, next) VALUES ('${tenantId}', '${name}', 1)`)
const there = async (): Promise<string[]> => (await database.owner.query<{ day: string }>(`SELECT day::text AS day FROM number_block ORDER BY day`)).rows.map(({ day }) => day.slice(8))
const day = (n: number): string => `2026-01-0${n}`
const one = (n: number) => write(day(n))

beforeAll(async () => {
  database = await freshDatabase()
  tenantId = (await testPlace(database)).tenantId
})
beforeEach(() => database.owner.query('DELETE FROM number_block'))
afterAll(() => database.drop())

test('each statement that fails is undone alone, wherever it stands', async () => {
  await inside(() => inOneTransaction(database.db, async () => {
    await one(1)
    await expect(one(1)).rejects.toThrow()
    await one(2)
    await inOneTransaction(database.db, async () => {
      await expect(one(2)).rejects.toThrow()
      await one(3)
      await expect(one(3)).rejects.toThrow()
      await one(4)
    })
    await expect(one(4)).rejects.toThrow()
  }))
  expect(await there()).toEqual(['01', '02', '03', '04'])
})

test('a refusal undoes its own transaction, however deep, and what was before and comes after stays', async () => {
  const refused = new Problem('forbidden')
  await inside(() => inOneTransaction(database.db, async () => {
    await one(1)
    await inOneTransaction(database.db, async () => {
      await one(2)
      await inOneTransaction(database.db, async () => { await one(3); throw refused }).catch(() => {})
      await one(4)
      await inOneTransaction(database.db, () => one(5))
    })
    await inOneTransaction(database.db, async () => {
      await inOneTransaction(database.db, () => one(6))
      throw refused
    }).catch(() => {})
    await one(7)
  }))
  expect(await there()).toEqual(['01', '02', '04', '05', '07'])
})

test('what a statement breaks in a transaction within is that transaction, not one around it', async () => {
  await inside(() => inOneTransaction(database.db, async () => {
    await one(1)
    await inOneTransaction(database.db, async () => {
      await one(2)
      // As createPerson does it: the unique key becomes a refusal outside of the transaction that it broke.
      await transaction(database.db.app, async (client) => {
        await client.query(`INSERT INTO number_block ("tenantId", day, next) VALUES ('${tenantId}', '${day(3)}', 1)`)
        await client.query(`INSERT INTO number_block ("tenantId", day, next) VALUES ('${tenantId}', '${day(1)}', 1)`)
      }).catch(() => { throw new Problem('forbidden') })
    }).catch(() => {})
    await one(4)
  }))
  expect(await there()).toEqual(['01', '04'])
})

test('a read that fails ends the whole, unless a transaction within is undone with it', async () => {
  const broken = () => database.db.app.query('SELECT 1 / 0')
  await inside(() => inOneTransaction(database.db, async () => {
    await one(1)
    await inOneTransaction(database.db, async () => {
      await one(2)
      await broken().catch(() => { throw new Problem('forbidden') })
    }).catch(() => {})
    await one(3)
  }))
  expect(await there()).toEqual(['01', '03'])
  await expect(inside(() => inOneTransaction(database.db, async () => { await one(5); await broken() }))).rejects.toThrow('division')
  expect(await there()).toEqual(['01', '03'])
})
