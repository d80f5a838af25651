import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { call, eventually, startProcess, tokenFor, type Running } from '../processes.ts'
import { upload } from './sheets.ts'

/** As many rows as are taken at most, and workers that are killed over them: real processes, SIGKILL. Each row once, and the progress is told. */

const ROWS = 10_000
let database: TestDatabase
let town: TestPlace
let admin: PersonActor
let api: Running
const token = () => tokenFor(town.tenantId, admin.id)
const env = () => ({ DATABASE_URL: database.url })
const count = async (sql: string) => (await database.owner.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${sql}`)).rows[0]!.n
const operation = async (id: string) => (await call(api.origin, token(), 'GET', `/v1/operations/${id}`)).body

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database)
  admin = await town.person({ at: 'S', can: ['administer', 'file_for'] })
  api = await startProcess('api', env())
})
afterAll(async () => {
  await api.stop()
  await database.drop()
})

/** Of people nothing but the name: who is written twice is there twice. */
const sheetOf = (rows: number) => Buffer.from(`\ufeff姓名,所在节点代码\r\n${Array.from({ length: rows }, (_, n) => `王示例${n},${n % 1_000 === 999 ? 'NOWHERE' : 'U'}\r\n`).join('')}`)
const PEOPLE = 'person WHERE "nodeId" IS NOT NULL'

test('the good rows of thousands: killed twice, gone on with, each once, each fault told', { timeout: 240_000 }, async () => {
  const began = performance.now()
  const { status, body } = await upload(api.origin, token(), 'kind=people&mode=good', sheetOf(ROWS), 'x.csv')
  expect(status).toBe(202)
  console.log(`${ROWS} rows taken in within ${((performance.now() - began) / 1_000).toFixed(1)} s`)
  const seen: number[] = []
  for (const upTo of [1_500, 6_000]) {
    const worker = await startProcess('worker', env())
    await eventually(async () => {
      seen.push((await operation(body.operation)).done)
      return (await count(PEOPLE)) >= upTo
    }, 120_000)
    await worker.stop('SIGKILL')
    await database.owner.query('UPDATE operation SET "leasedUntil" = NULL')
  }
  const worker = await startProcess('worker', env())
  const ended = await eventually(async () => {
    const now = await operation(body.operation)
    seen.push(now.done)
    return now.state === 'done' && now
  }, 180_000)
  await worker.stop()
  console.log(`done after ${((performance.now() - began) / 1_000).toFixed(1)} s; progress seen at ${new Set(seen).size} places`)
  expect(seen).toEqual(seen.toSorted((a, b) => a - b))
  expect(new Set(seen).size).toBeGreaterThan(5)
  expect(ended).toMatchObject({ done: ROWS, total: ROWS, failed: ROWS / 1_000 })
  expect(ended.errors.map(({ message }: { message: string }) => message)).toEqual(Array.from({ length: ROWS / 1_000 }, (_, n) => `第${(n + 1) * 1_000 + 1}行 B列：没有这个地点`))
  expect([await count(PEOPLE), await count(`audit_entry WHERE action = 'person.created'`), await count(`import_row WHERE state = 'done'`)]).toEqual([ROWS * 0.999, ROWS * 0.999, ROWS * 0.999])
})

test('all or nothing: a worker killed in the middle leaves nothing, the next one writes all, once', { timeout: 180_000 }, async () => {
  const before = await count('household')
  const rows = `节点代码,门牌\n${Array.from({ length: 1_500 }, (_, n) => `U,B${n}\n`).join('')}`
  const { body } = await upload(api.origin, token(), 'kind=households&mode=all', Buffer.from(rows), 'x.csv')
  const first = await startProcess('worker', env())
  await eventually(async () => (await operation(body.operation)).done >= 400, 60_000)
  await first.stop('SIGKILL')
  await database.owner.query('UPDATE operation SET "leasedUntil" = NULL')
  await eventually(async () => (await count(`pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'`)) === 0)
  expect(await count('household')).toBe(before)
  const second = await startProcess('worker', env())
  const ended = await eventually(async () => {
    const now = await operation(body.operation)
    return now.state === 'done' && now
  }, 120_000)
  await second.stop()
  expect(ended).toMatchObject({ done: 1_500, total: 1_500, failed: 0 })
  expect(await count('household')).toBe(before + 1_500)
})
