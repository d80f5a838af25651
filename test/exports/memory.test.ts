import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { unzip } from '../../src/outside/zip.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { manyRequests } from '../lists/street.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { startProcess, tokenFor, type Running } from '../processes.ts'

/** 100,000 rows of the 台账 out of an API in a process of its own, to a quick reader and to a slow one: all of them, and little held. */

const ROWS = 100_000
let database: TestDatabase
let town: TestPlace
let api: Running
let staff: PersonActor

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database)
  staff = await town.person({ at: 'S', can: ['view', 'administer'] })
  const [{ id: filer }, { id: handler }, organisation, { clientId: client }] = await Promise.all([town.person(), town.person(), town.organisation('PROPERTY'), town.app()])
  await manyRequests(database, town, ROWS, { filer, handler, organisations: [organisation], client })
  // What is held for good would not fit; without the limit V8 sees no need to clean up before 200 MiB.
  api = await startProcess('api', { DATABASE_URL: database.url, NODE_OPTIONS: '--max-old-space-size=128' })
}, 180_000)
afterAll(async () => {
  await api.stop()
  await database.drop()
})

const rss = (what: 'VmHWM' | 'VmRSS'): number => Number(new RegExp(`${what}:\\s+(\\d+)`).exec(readFileSync(`/proc/${api.child.pid}/status`, 'utf8'))![1]) / 1024
const get = (query: string) => fetch(`${api.origin}/v1/exports/ledger?${query}`, { headers: { authorization: `Bearer ${tokenFor(town.tenantId, staff.id)}` } })

test('all rows, as .xlsx and as CSV, each once', { timeout: 240_000 }, async () => {
  await (await get('format=csv&node=P')).arrayBuffer() // what the first of all takes is not what is measured
  const before = rss('VmHWM')
  const began = performance.now()
  const file = Buffer.from(await (await get('format=xlsx')).arrayBuffer())
  const took = (performance.now() - began) / 1_000
  const xml = unzip(file, { limit: 2 ** 30, wanted: (name) => name.endsWith('sheet1.xml') }).get('xl/worksheets/sheet1.xml')!.toString()
  const csv = await (await get('format=csv')).text()
  const after = rss('VmHWM')
  console.log(`${ROWS} rows: .xlsx of ${(file.length / 2 ** 20).toFixed(1)} MiB in ${took.toFixed(1)} s; peak of the process ${before.toFixed(0)} -> ${after.toFixed(0)} MiB; ${createHash('sha256').update(csv).digest('hex').slice(0, 8)}`)
  expect(xml.match(/<row /g)!.length).toBe(ROWS + 1)
  expect(new Set(csv.match(/^WX\d{8}-\d+/gm)).size).toBe(ROWS)
  expect(after - before).toBeLessThan(150)
})

test('a reader that takes nothing for a while does not fill the memory', { timeout: 60_000 }, async () => {
  const before = rss('VmHWM')
  const answer = await get('format=csv')
  const reader = answer.body!.getReader()
  await reader.read()
  await wait(5_000)
  console.log(`slow reader: peak ${before.toFixed(0)} -> ${rss('VmHWM').toFixed(0)} MiB`)
  expect(rss('VmHWM') - before).toBeLessThan(60)
  await reader.cancel()
})
