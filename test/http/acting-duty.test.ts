import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { buildApp } from '../../src/http/app.ts'
import { authentication } from '../../src/http/auth.ts'
import { meRoutes } from '../../src/http/routes/me.ts'
import { requestRoutes } from '../../src/http/routes/requests.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { call, keyring, tokenFor } from '../processes.ts'

/** S1 双向进入、交叉任职: one person, many duties; every act says in which. */

let database: TestDatabase
let town: TestPlace
let app: FastifyInstance
let origin: string
let person: PersonActor, resident: PersonActor
let far: string, near: string, viewing: string

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database)
  ;[person, resident] = await Promise.all([town.person({ at: 'P', can: ['view', 'dispatch'] }), town.person()])
  ;[near, viewing] = [uuidv7(), uuidv7()]
  const duty = (id: string, role: string, node: string) => database.owner.query(
    `INSERT INTO duty ("tenantId", id, "personId", "roleCode", "nodeId", "from") VALUES ($1, $2, $3, $4, $5, '2020-01-01Z')`, [town.tenantId, id, person.id, role, node])
  await database.owner.query(`INSERT INTO role ("tenantId", code, name, capabilities) VALUES ($1, 'viewer', 'x', '{view}')`, [town.tenantId])
  await duty(near, 'role-dispatch-view', town.node.B)
  await duty(viewing, 'viewer', town.node.S)
  far = person.duties[0]!.id
  database.db.memory.clear()
  const deps = { db: database.db, keyring, clock: Date.now }
  app = buildApp({ log: pino({ level: 'silent' }), checkAnswers: true, routes: [authentication(deps), meRoutes(deps), requestRoutes(deps)] })
  origin = await app.listen({ port: 0, host: '127.0.0.1' })
})
afterAll(async () => {
  await app.close()
  await database.drop()
})

const as = ({ id }: { id: string }) => tokenFor(town.tenantId, id)
const acting = (duty?: string) => (duty === undefined ? {} : { 'acting-duty': duty })
const filed = async (): Promise<string> => (await call(origin, as(resident), 'POST', '/v1/requests', { item: 'corridor-light', title: '灯不亮', node: 'U' })).body.id
const accept = async (id: string, duty?: string) => call(origin, as(person), 'POST', `/v1/requests/${id}/accept`, {}, acting(duty))

describe('Acting-Duty', () => {
  test.each<[string, () => string | undefined, () => string]>([
    ['the nearest that permits it, when nothing is said', () => undefined, () => near],
    ['the one that is named', () => far, () => far],
    ['the nearest, by its name', () => near.toUpperCase(), () => near],
  ])('%s', async (_, named, stored) => {
    const id = await filed()
    expect(await accept(id, named())).toMatchObject({ status: 200, body: { state: 'accepted' } })
    const { rows } = await database.owner.query('SELECT "dutyId" FROM event WHERE "requestId" = $1 AND verb = $2', [id, 'accept'])
    expect(rows).toEqual([{ dutyId: stored() }])
  })

  test('one that does not permit it permits nothing, whatever the others would', async () => {
    const id = await filed()
    expect((await accept(id, viewing)).status).toBe(403)
    expect((await call(origin, as(person), 'GET', `/v1/requests/${id}`, undefined, acting(viewing))).body.allowed).not.toContain('accept')
    expect((await call(origin, as(person), 'GET', '/v1/me', undefined, acting(viewing))).body.duties.map(({ id }: { id: string }) => id)).toEqual([viewing])
  })

  test('somebody else’s, none, or nonsense is refused', async () => {
    const other = await town.person({ at: 'P', can: ['dispatch'] })
    for (const duty of [other.duties[0]!.id, uuidv7()]) expect(await accept(await filed(), duty)).toMatchObject({ status: 403, body: { code: 'forbidden', errors: [{ pointer: '/headers/acting-duty' }] } })
    expect(await accept(await filed(), 'dispatcher')).toMatchObject({ status: 400, body: { code: 'validation-failed', errors: [{ pointer: '/headers/acting-duty' }] } })
    const { clientId } = await town.app()
    await database.owner.query(`UPDATE client SET scopes = '{requests:read}' WHERE id = $1`, [clientId])
    expect((await call(origin, tokenFor(town.tenantId, clientId, 'app'), 'GET', '/v1/requests', undefined, acting(near))).status).toBe(403)
  })
})
