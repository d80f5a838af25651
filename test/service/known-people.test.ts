import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import type { Someone } from '../../src/domain/bodies.ts'
import { file } from '../../src/service/requests.ts'
import { eraseSubject } from '../../src/service/subjects.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { keyring } from '../processes.ts'

/** Whoever comes to the desk twice is one person: found by phone and name, by staff who could find him anyway. */

let database: TestDatabase
let town: TestPlace
let desk: PersonActor, elsewhere: PersonActor, resident: PersonActor

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database)
  ;[desk, elsewhere, resident] = await Promise.all([
    town.person({ at: 'C', can: ['view', 'file_for', 'dispatch'] }), town.person({ at: 'U', can: ['view', 'file_for'] }), town.person(),
  ])
})
afterAll(() => database.drop())

const files = (people: { filer?: Someone; beneficiary?: Someone; guardian?: Someone }, by: PersonActor, node = 'P') =>
  town.inside(() => file(database.db, { item: 'corridor-light', title: '换灯', node, ...people }, by, { keyring }))
const YUAN = { name: '袁示例', phone: '13905390001', door: '1201' }

test('the same name and phone are the same person, in one filing and in the next, whatever the door', async () => {
  const first = await files({ filer: YUAN, guardian: YUAN }, desk)
  expect([first.filer, first.guardian]).toEqual([expect.any(String), first.filer])
  const second = await files({ filer: { name: YUAN.name, phone: YUAN.phone } }, desk)
  expect(second.filer).toBe(first.filer)
  const { rows } = await database.owner.query<{ n: number }>('SELECT count(*)::int AS n FROM request WHERE "filerId" = $1', [first.filer])
  expect(rows).toEqual([{ n: 2 }])
})

test('another name on the same phone is another, and without a phone nobody can tell', async () => {
  const phone = '13905390002'
  const [husband, wife] = [await files({ filer: { name: '许示例', phone } }, desk), await files({ filer: { name: '何示例', phone } }, desk)]
  expect(husband.filer).not.toBe(wife.filer)
  const [one, other] = [await files({ filer: { name: '林示例' } }, desk), await files({ filer: { name: '林示例' } }, desk)]
  expect(one.filer).not.toBe(other.filer)
})

test('a resident does not learn who is on record, nor does staff of a place that is not his', async () => {
  const { filer } = await files({ filer: YUAN }, desk)
  const asked = await files({ beneficiary: YUAN }, resident)
  expect(asked.beneficiary).not.toBe(filer)
  expect((await files({ filer: YUAN }, elsewhere, 'U')).filer).not.toBe(filer)
})

test('who has been erased comes back as somebody new', async () => {
  const gone = { name: '邱示例', phone: '13905390003' }
  const { filer } = await files({ filer: gone }, desk)
  const { rows: [person] } = await database.owner.query<{ subjectId: string }>('SELECT "subjectId" FROM person WHERE id = $1', [filer])
  await town.inside(() => eraseSubject({ app: database.owner }, person!.subjectId))
  expect((await files({ filer: gone }, desk)).filer).not.toBe(filer)
})
