import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { RETENTION, termOf } from '../../src/domain/privacy.ts'
import { personActor } from '../../src/service/actors.ts'
import { keepUpload } from '../../src/service/attachments.ts'
import { erasePerson, eraseLatecomers } from '../../src/service/erasures.ts'
import { notifyOnce } from '../../src/service/notifications.ts'
import { createPerson } from '../../src/service/people.ts'
import { relayOnce } from '../../src/service/relay.ts'
import { act, file } from '../../src/service/requests.ts'
import { retainOnce } from '../../src/service/retention.ts'
import { testShelf, type Shelf } from '../attachments.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { pdf } from '../pictures.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { keyring } from '../processes.ts'

/** 保存期限: what is past its time goes, what is not stays, tenant by tenant. */

let database: TestDatabase
let shelf: Shelf
let town: TestPlace, thrifty: TestPlace
/** `person.createdAt` is by the machine's own clock. */
const START = new Date().toISOString()
beforeAll(async () => {
  database = await freshDatabase()
  shelf = await testShelf(database)
  await database.setClock(START)
  town = await testPlace(database, {}, 'ONE')
  thrifty = await testPlace(database, {}, 'TWO')
  await rows(`UPDATE tenant SET settings = settings || '{"privacy": {"retention": {"requests": 90, "residents": 90, "attachments": 30}}}' WHERE id = $1`, [thrifty.tenantId])
})
afterAll(() => Promise.all([database.drop(), shelf.close()]))

const rows = async <T extends object = Record<string, any>>(sql: string, values: unknown[] = []): Promise<T[]> => (await database.owner.query<T>(sql, values)).rows
const resident = async (at: TestPlace): Promise<PersonActor> => at.inside(async () => {
  const id = await createPerson(database.db, keyring, { name: '王示例', phone: '13800138000', nodeId: at.node.U })
  return (await personActor(database.db, id, null))!
})
/** Filed with a paper and withdrawn, or left open. */
const filed = (at: TestPlace, who: PersonActor, { close = true } = {}) => at.inside(async () => {
  const { id: paper } = await keepUpload(shelf, { bytes: pdf().length, read: async () => pdf() }, who)
  const { id } = await file(database.db, { item: 'corridor-light', title: '灯', node: 'U', attachments: [paper] }, who)
  if (close) await act(database.db, 'withdraw', id, {}, who)
  return id
})
const wordsOf = async (id: string) => (await rows<{ body: string }>('SELECT DISTINCT body FROM text WHERE "requestId" = $1', [id])).map(({ body }) => body)
const papersOf = async (id: string) => (await rows('SELECT FROM attachment WHERE "requestId" = $1 AND "erasedAt" IS NULL', [id])).length
const erased = async ({ id }: { id: string }) => (await rows('SELECT FROM person p JOIN subject s ON s.id = p."subjectId" WHERE p.id = $1 AND s."erasedAt" IS NOT NULL', [id])).length === 1
const all = async () => {
  for (let turns = 0; turns < 50; turns++) if (!(await retainOnce(database.db)).more) return
  throw new Error('retention does not come to an end')
}

describe('retention', () => {
  test('destroys by each tenant’s own terms, and nothing that is open', async () => {
    const [he, she, busy] = [await resident(town), await resident(thrifty), await resident(thrifty)]
    const [his, hers, open] = [await filed(town, he), await filed(thrifty, she), await filed(thrifty, busy, { close: false })]
    const closedBusy = await filed(thrifty, busy)
    await all()
    expect([await wordsOf(hers), await papersOf(hers), await erased(she)]).toEqual([['灯'], 1, false])

    await database.setClock(START, '+ 31 days')
    await all()
    expect([await wordsOf(hers), await papersOf(hers), await papersOf(his)]).toEqual([['灯'], 0, 1])

    await database.setClock(START, '+ 91 days')
    await all()
    expect([await wordsOf(hers), await erased(she)]).toEqual([['〔已删除〕'], true])
    expect([await wordsOf(closedBusy), await wordsOf(open), await papersOf(open), await erased(busy)]).toEqual([['〔已删除〕'], ['灯'], 1, false])
    expect([await wordsOf(his), await erased(he)]).toEqual([['灯'], false])
    expect(await rows(`SELECT reason, "actorId" FROM erasure WHERE "personId" = $1`, [she.id])).toEqual([{ reason: 'retention', actorId: null }])

    await database.setClock(START, `+ ${RETENTION.requests.days + 1} days`)
    await all()
    expect([await wordsOf(his), await papersOf(his), await erased(he)]).toEqual([['〔已删除〕'], 0, true])
    expect(await rows('SELECT number, state FROM request WHERE id = $1', [his])).toMatchObject([{ state: 'withdrawn' }])
  })

  test('spares whoever has an account, a duty, a branch or a skill', async () => {
    const [official, member] = await Promise.all([town.person({ can: ['view'] }), town.person({ kinds: ['party_member'] })])
    const withLogin = await town.inside(() => createPerson(database.db, keyring, { name: '王示例', login: 'KEEP', password: 'lamp-post-garden-9' }))
    await rows(`UPDATE person SET "createdAt" = "createdAt" - interval '20 years' WHERE id = ANY ($1)`, [[official.id, member.id, withLogin]])
    await all()
    expect(await Promise.all([official, member, { id: withLogin }].map(erased))).toEqual([false, false, false])
  })

  test('goes on after more than a batch, and does no work twice', async () => {
    await database.setClock(START, '+ 4 years')
    const who = await resident(town)
    const { rows: [proto] } = await database.owner.query<{ id: string }>('SELECT $1::uuid AS id', [await filed(town, who)])
    await rows(`UPDATE request SET "closedAt" = "closedAt" - interval '4 years' WHERE id = $1`, [proto!.id])
    const marks = () => rows(`SELECT what, "doneAt", "doneId" FROM retention_mark WHERE "tenantId" = $1 ORDER BY 1`, [town.tenantId])
    const before = await marks()
    await all()
    // closed before the mark: by a clock that was set back, and not by this one
    expect(await marks()).toEqual(before)
    const many = await Promise.all(Array.from({ length: 12 }, () => filed(town, who)))
    await database.setClock(START, '+ 8 years')
    const first = await retainOnce(database.db)
    expect(first.done.requests).toBeGreaterThanOrEqual(12)
    await all()
    for (const id of many) expect(await wordsOf(id)).toEqual(['〔已删除〕'])
    expect((await retainOnce(database.db)).done).toMatchObject({ requests: 0, attachments: 0, residents: 0 })
  })

  test('empties inboxes and the logs of robots by their age', async () => {
    const [admin, who] = [await town.person({ at: 'S', can: ['view', 'dispatch'] }), await resident(town)]
    await filed(town, who, { close: false })
    while ((await relayOnce(database.db)).moved > 0);
    while ((await notifyOnce(database.db)) > 0);
    const inbox = () => rows('SELECT FROM notification WHERE "personId" = $1', [admin.id])
    expect((await inbox()).length).toBeGreaterThan(0)
    const robot = (await rows<{ id: string }>(`INSERT INTO robot ("tenantId", id, "nodeId", "personId", channel, name, "eventTypes", mask, signed, status, "fromPosition", "nextAt", "createdAt")
      VALUES ($1, gen_random_uuid(), $2, $3, 'wecom', 'x', '{}', 'x', false, 'removed', 0, wishwall_now(), wishwall_now()) RETURNING id`, [town.tenantId, town.node.P, admin.id]))[0]!.id
    for (const age of ['29 days', '31 days']) {
      await rows(`INSERT INTO robot_message ("tenantId", "robotId", id, type, urgent, state, "createdAt", "endedAt")
        VALUES ($1, $2, gen_random_uuid(), 'robot.test', false, 'delivered', wishwall_now() - $3::interval, wishwall_now() - $3::interval)`, [town.tenantId, robot, age])
    }
    await all()
    expect(await rows('SELECT FROM robot_message WHERE "robotId" = $1', [robot])).toHaveLength(1)
    expect((await inbox()).length).toBeGreaterThan(0)
    await database.setClock(START, `+ ${8 * 366 + RETENTION.notifications.days} days`)
    await all()
    expect(await inbox()).toEqual([])
  })

  test('a term a tenant has set wins, whichever it is', () => {
    expect([termOf(undefined, 'requests'), termOf({ retention: { requests: 100 } }, 'requests'), termOf({ retention: {} }, 'reveals')]).toEqual([1_095, 100, RETENTION.reveals.days])
  })
})

describe('whoever is erased', () => {
  test('and files by a token that is good for two more seconds is overwritten too', async () => {
    const [admin, who] = [await town.person({ at: 'S', can: ['administer'] }), await resident(town)]
    await town.inside(() => erasePerson(database.db, who.id, 'asked', admin))
    const id = await filed(town, who)
    await eraseLatecomers(database.db)
    expect([await wordsOf(id), await papersOf(id)]).toEqual([['〔已删除〕'], 0])
  })
})
