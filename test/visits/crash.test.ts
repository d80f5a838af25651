import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { call, mutant, startProcess, tokenFor } from '../processes.ts'

/** A batch of visits whose API dies under it: the phone sends it again, and each visit and each need is there once. */

let database: TestDatabase
let town: TestPlace
let grid: PersonActor
let homes: string[]
const token = () => tokenFor(town.tenantId, grid.id)
const count = async (sql: string) => (await database.owner.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${sql}`)).rows[0]!.n
const visits = () => homes.map((household, n) => ({ clientId: `phone-${n}`, household, visitedAt: '2026-11-20T09:00:00+08:00', result: 'met', needs: [{ item: 'corridor-light', title: `灯${n}` }, { item: 'corridor-light', title: `水${n}` }] }))

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database)
  grid = await town.person({ at: 'B', can: ['file_for', 'view'] })
  const api = await startProcess('api', { DATABASE_URL: database.url })
  const made = await call(api.origin, token(), 'POST', '/v1/households', { households: Array.from({ length: 20 }, (_, n) => ({ node: 'U', door: `${n}` })) })
  homes = made.body.data.map(({ id }: { id: string }) => id)
  await api.stop()
})
afterAll(() => database.drop())

test('killed within a visit and between two: what was begun is not there, what was done is not done again', { timeout: 120_000 }, async () => {
  const env = { DATABASE_URL: database.url }
  const send = (origin: string) => call(origin, token(), 'POST', '/v1/visits/batch', visits())
  // Between the second need and the end of the transaction; then right after a commit, before anybody is told.
  const within = mutant('visit-within', 'service/visits.js', 'await keepNeeds(db, filed', `if (clientRef === 'phone-7') process.kill(process.pid, 'SIGKILL');\n        await keepNeeds(db, filed`)
  const between = mutant('visit-between', 'http/routes/visits.js', 'for (const given of body) {', `for (const given of body) {\n            if (given.clientId === 'phone-13') process.kill(process.pid, 'SIGKILL');`)
  for (const [dist, done] of [[within, 7], [between, 13]] as const) {
    const dying = await startProcess('api', env, dist)
    await expect(send(dying.origin)).rejects.toThrow()
    await dying.stop()
    expect([await count('visit'), await count('request'), await count('visit_need')]).toEqual([done, 2 * done, 2 * done])
  }
  const [one, two] = await Promise.all([startProcess('api', env), startProcess('api', env)])
  try {
    const answers = await Promise.all([send(one.origin), send(two.origin), send(one.origin), send(two.origin)])
    for (const { body } of answers) expect(body).toEqual(answers[0]!.body)
    expect(answers[0]!.body.data.every(({ status, visit }: { status: number; visit: { requests: object[] } }) => status === 201 && visit.requests.length === 2)).toBe(true)
    expect([await count('visit'), await count('request'), await count('visit_need'), await count('(SELECT DISTINCT number FROM request) n')]).toEqual([20, 40, 40, 40])
  } finally {
    await Promise.all([one.stop(), two.stop()])
  }
})
