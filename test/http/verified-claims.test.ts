import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildApp } from '../../src/http/app.ts'
import { authentication } from '../../src/http/auth.ts'
import { enrolmentRoutes } from '../../src/http/routes/enrolments.ts'
import { requestRoutes } from '../../src/http/routes/requests.ts'
import { act, file } from '../../src/service/requests.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { call, keyring, tokenFor } from '../processes.ts'

let database: TestDatabase
let town: TestPlace
let app: FastifyInstance
let origin: string

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database)
  await database.owner.query(`UPDATE organisation SET kind = 'branch'`)
  const deps = { db: database.db, keyring, clock: Date.now }
  app = buildApp({ log: pino({ level: 'silent' }), checkAnswers: true, routes: [authentication(deps), enrolmentRoutes(deps), requestRoutes(deps)] })
  origin = await app.listen({ port: 0, host: '127.0.0.1' })
})
afterAll(async () => {
  await app.close()
  await database.drop()
})

test('only verified kinds claim: the wish is out of sight before, won after, and out of sight again when the tie has ended', async () => {
  const [member, resident, secretary] = await Promise.all([town.person(), town.person(), town.person({ at: 'P', can: ['view', 'dispatch', 'publish'] })])
  const as = ({ id }: { id: string }) => tokenFor(town.tenantId, id)
  const wish = await town.inside(async () => {
    const filed = await file(database.db, { item: 'companionship', title: '想找人下棋', node: 'U' }, resident)
    await act(database.db, 'accept', filed.id, {}, secretary)
    return act(database.db, 'place', filed.id, { slots: 2 }, secretary)
  })
  const { body: { id } } = await call(origin, as(member), 'POST', '/v1/enrolments', { kind: 'party_member', organisation: 'BRANCH' })
  const claim = (who = member) => call(origin, as(who), 'POST', `/v1/requests/${wish.id}/claim`, {})
  expect((await claim()).status).toBe(404)
  expect((await call(origin, as(secretary), 'POST', `/v1/enrolments/${id}/verify`)).status).toBe(200)
  expect(await claim()).toMatchObject({ status: 200, body: { slotsTaken: 1 } })

  const other = await town.person({ kinds: ['party_member'] })
  const { rows: [tie] } = await database.owner.query('SELECT id FROM affiliation WHERE "personId" = $1', [other.id])
  expect((await call(origin, as(secretary), 'POST', `/v1/enrolments/${tie.id}/end`, { reason: 'left' })).status).toBe(200)
  expect((await claim(other)).status).toBe(404)
})
