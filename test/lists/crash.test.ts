import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { file } from '../../src/service/requests.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { call, eventually, mutant, startProcess, tokenFor } from '../processes.ts'

/** Killed between the commit and the answer, and in the middle of what is done in the background: real processes, SIGKILL. */

let database: TestDatabase
let town: TestPlace
let resident: PersonActor, staff: PersonActor

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database)
  ;[resident, staff] = await Promise.all([town.person(), town.person({ at: 'S', can: ['view', 'dispatch', 'administer'] })])
})
afterAll(() => database.drop())

const env = () => ({ DATABASE_URL: database.url })
const token = (actor: PersonActor) => tokenFor(town.tenantId, actor.id)
const count = async (sql: string) => (await database.owner.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${sql}`)).rows[0]!.n

test.each([
  ['a request', 'http/idempotent.js', '/v1/requests', { item: 'corridor-light', title: '灯不亮', node: 'U' }, 'request', () => resident],
  ['a node', 'http/keyed-posts.js', '/v1/nodes', { parent: 'P', code: 'CRASH', name: '新楼', level: 'building' }, `node WHERE code = 'CRASH'`, () => staff],
] as const)('an api that dies after the commit of %s: the retry replays it, nothing is made twice', { timeout: 60_000 }, async (_, file, path, body, rows, who) => {
  const before = await count(rows)
  const dying = await startProcess('api', env(), mutant(`crash-${file.split('/')[1]!}`, file, 'if (sent.replayed)', `if (!sent.replayed) process.kill(process.pid, 'SIGKILL');\n    if (sent.replayed)`))
  const send = (origin: string) => call(origin, token(who()), 'POST', path, body, { 'idempotency-key': `crash ${path}` })
  await expect(send(dying.origin)).rejects.toThrow()
  await dying.stop()
  expect(await count(rows)).toBe(before + 1)
  const next = await startProcess('api', env())
  try {
    const answers = [await send(next.origin), await send(next.origin)]
    expect(answers.map(({ status, headers }) => [status, headers.get('idempotency-replayed')])).toEqual([[201, 'true'], [201, 'true']])
    expect(answers[0]!.body).toEqual(answers[1]!.body)
    expect(await count(rows)).toBe(before + 1)
  } finally {
    await next.stop()
  }
})

test('a worker that is killed in the middle of an operation: the next one ends it, each act once', { timeout: 120_000 }, async () => {
  const ids = await town.inside(async () => {
    const made = await Promise.all(Array.from({ length: 400 }, (_, n) => file(database.db, { item: 'corridor-light', title: `漏水${n}`, node: 'U' }, resident)))
    return made.map(({ id }) => id)
  })
  const api = await startProcess('api', env())
  try {
    const started = await call(api.origin, token(staff), 'POST', '/v1/bulk/amend', { filter: { q: '漏水' }, grade: 'urgent' })
    expect(started.status).toBe(202)
    const first = await startProcess('worker', env())
    await eventually(async () => (await count(`event WHERE verb = 'amend'`)) >= 70)
    await first.stop('SIGKILL')
    const done = await count(`event WHERE verb = 'amend'`)
    expect(done).toBeLessThan(400)
    await database.owner.query('UPDATE operation SET "leasedUntil" = NULL')
    const second = await startProcess('worker', env())
    const operation = await eventually(async () => {
      const { body } = await call(api.origin, token(staff), 'GET', `/v1/operations/${String(started.body.operation)}`)
      return body.state === 'done' && body
    })
    await second.stop()
    expect(operation).toMatchObject({ total: 400, done: 400, failed: 0, errors: [] })
    expect(await count(`event WHERE verb = 'amend'`)).toBe(400)
    expect(ids.length).toBe(400)
  } finally {
    await api.stop()
  }
})
