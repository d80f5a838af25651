import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openMetrics } from '../../src/outside/metrics.ts'
import { openDatabase } from '../../src/service/db.ts'
import { figures } from '../../src/service/figures.ts'
import { lifeSigns } from '../../src/service/health.ts'
import { notifyOnce } from '../../src/service/notifications.ts'
import { relayOnce } from '../../src/service/relay.ts'
import { file } from '../../src/service/requests.ts'
import { orderForShippedYears } from '../../src/service/reschedulings.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'

let database: TestDatabase
let town: TestPlace

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database)
})
afterAll(() => database.drop())

const read = () => figures(database.db)

test('are those of a house at rest, then of one that is behind', async () => {
  expect(await read()).toEqual({ workers: 0, roundTripSecondsAgo: null, oldestDueSeconds: 0, outboxRows: 0, outboxSeconds: 0, feedLag: {}, deliveriesDue: 0 })

  await lifeSigns(database.db).roundTrip()
  const resident = await town.person()
  for (const title of ['一', '二', '三']) await town.inside(() => file(database.db, { item: 'companionship', title, node: 'U' }, resident))
  expect(await read()).toMatchObject({ workers: 1, outboxRows: 3, oldestDueSeconds: 0 })

  // Of the notifications nothing is read yet, of the feed all is there.
  await relayOnce(database.db)
  await database.owner.query(`INSERT INTO cursor (name, position) VALUES ('notifications', 0)`)
  const { outboxRows, feedLag, roundTripSecondsAgo } = await read()
  expect([outboxRows, feedLag.notifications]).toEqual([0, 3])
  expect(roundTripSecondsAgo).toBeGreaterThan(0)
  await notifyOnce(database.db)
  // The newest year that is known stands in the same table, and is behind nothing.
  await orderForShippedYears(database.db)
  expect((await read()).feedLag).toEqual({ notifications: 0 })

  // The reminder came an hour ago by this clock.
  await database.owner.query(`UPDATE deadline SET "nextAt" = wishwall_now() - interval '1 hour' WHERE step = 'accept'`)
  expect(Math.round((await read()).oldestDueSeconds / 60)).toBe(60)
})

test('count deliveries whose time has come, of endpoints that may be sent to', async () => {
  const { clientId } = await town.app()
  const [open, paused] = [uuidv7(), uuidv7()]
  for (const [id, status] of [[open, 'enabled'], [paused, 'paused']]) {
    await database.owner.query(`INSERT INTO webhook_endpoint ("tenantId", id, "clientId", "nodeId", url, "eventTypes", ordered, algorithm, status, "fromPosition", width, "paceAt", "createdAt")
      VALUES ($1, $2, $3, $4, 'https://receiver.example', '{request.*}', false, 'v1', $5, (SELECT max(position) - 1 FROM feed), 4, now(), now())`, [town.tenantId, id, clientId, town.node.S, status])
  }
  for (const [endpoint, at] of [[open, '-1 minute'], [open, '-1 second'], [open, '1 hour'], [paused, '-1 minute']]) {
    await database.owner.query(`INSERT INTO webhook_delivery ("tenantId", "endpointId", id, type, state, "nextAt", "createdAt") VALUES ($1, $2, $3, 'request.filed', 'pending', now() + $4::interval, now())`,
      [town.tenantId, endpoint, uuidv7(), at])
  }
  // two that are due, and the newest event
  expect((await read()).deliveriesDue).toBe(3)
})

test('are left out of the metrics while the database is away', async () => {
  const db = openDatabase({ url: database.url })
  const metrics = openMetrics(() => figures(db))
  const before = (await metrics.read()).text
  for (const sample of ['database_up 1', 'workers 1', 'webhook_deliveries_due 3', 'feed_lag_rows{consumer="notifications"} 0']) expect(before).toContain(`\nwishwall_${sample}\n`)
  await db.close()
  const after = (await metrics.read()).text
  expect(after).toContain('\nwishwall_database_up 0\n')
  expect(after).not.toMatch(/^wishwall_(workers|outbox_rows|canary_age_seconds|feed_lag_rows|webhook_deliveries_due)[ {]/m)
})
