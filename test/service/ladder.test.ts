import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { act, file, find } from '../../src/service/requests.ts'
import { history } from '../../src/service/events.ts'
import { inbox, notifyOnce } from '../../src/service/notifications.ts'
import { relayOnce } from '../../src/service/relay.ts'
import { sweepOnce } from '../../src/service/sweep.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'

/** 时限 and 督办 over a real database whose clock is moved: street S > community C > compound P > building B > unit U. */

let database: TestDatabase
let town: TestPlace
let resident: PersonActor, dispatcher: PersonActor, worker: PersonActor, observer: PersonActor
let building: PersonActor, compound: PersonActor, community: PersonActor, street: PersonActor

const MONDAY = '2026-11-23T02:00:00Z' // 10:00 in Asia/Shanghai
const HOURS = { accept: '480wm', sign: '1h', complete: '20wd' } as const

beforeAll(async () => {
  database = await freshDatabase()
  await newTown()
})
afterAll(() => database.drop())

let towns = 0
/** Every test has a town of its own: what one does to a tree or a duty is nobody else's business. */
async function newTown(policy: object = {}): Promise<void> {
  town = await testPlace(database, { reminders: [], rungEvery: '4h', ...policy, limits: { ...HOURS, ...(policy as { limits?: object }).limits } } as never, `TOWN${++towns}`)
  const supervisor = (node: 'B' | 'P' | 'C' | 'S') => town.person({ at: node, can: ['view', 'supervise'] })
  ;[resident, dispatcher, worker, observer, building, compound, community, street] = await Promise.all([
    town.person(), town.person({ at: 'P', can: ['view', 'dispatch', 'publish'] }), town.person({ at: 'P', can: ['handle'] }), town.person({ at: 'S', can: ['view'] }),
    supervisor('B'), supervisor('P'), supervisor('C'), supervisor('S'),
  ])
  await at('0')
}
async function at(plus: string): Promise<void> {
  await database.setClock(MONDAY, plus)
  // The owner's connections were cut as well: a pool finds out by using them.
  await Promise.allSettled(Array.from({ length: 4 }, () => database.owner.query('SELECT 1')))
}

async function sweepAll(): Promise<void> {
  for (;;) {
    const { seen, failed } = await sweepOnce(database.db)
    expect(failed).toEqual([])
    if (seen === 0) return
  }
}
async function deliver(): Promise<void> {
  while ((await relayOnce(database.db)).moved > 0);
  while ((await notifyOnce(database.db)) > 0);
}
const boxOf = async (person: PersonActor) => (await town.inside(() => inbox(database.db, person.id, { limit: 50 }))).data.map(({ type }) => type.replace('request.', '')).reverse()

const filed = () => town.inside(() => file(database.db, { item: 'corridor-light', title: '三楼的灯', node: 'U' }, resident))
const dispatched = async (to: string) => town.inside(async () => {
  const { id } = await filed()
  await act(database.db, 'accept', id, {}, dispatcher)
  return act(database.db, 'dispatch', id, { to }, dispatcher)
})
interface Told { verb: string; step?: string; rung?: string; skipped?: string[]; vacant?: string[]; logicalAt?: string; top?: true; tell?: string[]; reminder?: object }
const told = async (id: string, step?: string): Promise<Told[]> =>
  (await town.inside(() => history(database.db, id, observer))).map(({ verb, data }) => ({ verb, ...data } as Told)).filter((each) => (step === undefined ? each.step !== undefined : each.step === step))
const rungs = async (id: string, step: string) => (await told(id, step)).map(({ verb, rung, skipped = [] }) => [verb, nameOf(rung), skipped.map(nameOf)])
const nameOf = (id?: string) => Object.entries(town.node).find(([, node]) => node === id)?.[0]
const supervisorPath = async (id: string) => (await database.owner.query<{ supervisorPath: string | null }>('SELECT "supervisorPath" FROM request WHERE id = $1', [id])).rows[0]!.supervisorPath

describe('reminders', () => {
  test('before, at and after due tell whom the policy says, each once, also after days without a worker', async () => {
    await newTown({
      rungEvery: '5wd',
      stepReminders: { accept: [{ before: '60wm' }, { at: true, tell: ['dispatch', 'filer'] }, { after: '2h', tell: ['supervisor'] }, { after: '1wd', tell: ['first_contact', 'supervise'] }] },
    })
    const { id } = await filed()
    await at('4 days')
    await sweepAll()
    expect((await told(id, 'accept')).map(({ verb, reminder, tell, logicalAt }) => [verb, reminder, tell, logicalAt?.slice(5, 16)])).toEqual([
      ['remind', { before: '60wm' }, ['dispatch'], '11-24T02:00'],
      ['remind', { at: true }, ['dispatch', 'filer'], '11-24T03:00'],
      ['escalate', undefined, undefined, '11-24T03:00'],
      ['remind', { after: '2h' }, ['supervisor'], '11-24T05:00'],
      ['remind', { after: '1wd' }, ['first_contact', 'supervise'], '11-25T10:00'],
    ])
    await sweepAll()
    expect(await told(id, 'accept')).toHaveLength(5)
    await deliver()
    expect(await boxOf(dispatcher)).toEqual(['filed', 'reminded', 'reminded'])
    expect(await boxOf(resident)).toEqual(['reminded'])
    // the rung that supervision is on, and the nearest who supervises
    expect(await boxOf(compound)).toEqual(['escalated', 'reminded'])
    expect(await boxOf(building)).toEqual(['reminded'])
  })

  test('of a policy stored before there were such go on, with rungs that were counted as marks', async () => {
    await newTown()
    await database.owner.query(`UPDATE policy SET body = (body - 'reminders' - 'stepReminders' - 'rungEveryAt') || '{"remindAt": [0.5]}' WHERE "tenantId" = $1`, [town.tenantId])
    const { id } = await filed()
    await at('26 hours') // due on Tuesday at 11:00
    await sweepAll()
    expect((await told(id, 'accept')).map(({ verb, reminder }) => [verb, reminder])).toEqual([['remind', { share: 0.5 }], ['escalate', undefined]])
    // the row as the process of before wrote it
    const { rowCount } = await database.owner.query(`UPDATE deadline SET mark = 2, "rungAt" = NULL WHERE "requestId" = $1 AND step = 'accept' AND mark = 1 AND "rungAt" = "nextAt"`, [id])
    expect(rowCount).toBe(1)
    await at('34 hours')
    await sweepAll()
    expect((await told(id, 'accept')).map(({ verb, rung, logicalAt }) => [verb, nameOf(rung), logicalAt?.slice(5, 16)])).toEqual([
      ['remind', undefined, '11-23T08:00'], ['escalate', 'P', '11-24T03:00'], ['escalate', 'C', '11-24T07:00'], ['escalate', 'S', '11-24T11:00'],
    ])
  })
})

describe('the ladder', () => {
  test('stays on each level as long as the policy says, and ends with a reminder each workday', async () => {
    await newTown({ limits: { accept: '4wd' }, rungEvery: '1wd', rungEveryAt: { compound: '2h', community: '24h' } })
    const { id } = await filed()
    await at('8 days') // Tuesday
    await sweepAll()
    expect((await told(id, 'accept')).map(({ verb, rung, top, logicalAt }) => [verb, nameOf(rung) ?? top, logicalAt?.slice(5, 16)])).toEqual([
      ['escalate', 'P', '11-27T10:00'], ['escalate', 'C', '11-27T12:00'], ['escalate', 'S', '11-28T12:00'], // Friday evening to Saturday
      ['remind', true, '11-30T10:00'], // Monday's closing, and not the weekend's
    ])
    await at('10 days')
    await sweepAll()
    expect((await told(id, 'accept')).slice(4).map(({ verb, top, logicalAt }) => [verb, top, logicalAt?.slice(5, 16)])).toEqual([['remind', true, '12-01T10:00'], ['remind', true, '12-02T10:00']])
    expect(await supervisorPath(id)).toBe('S/')
    await deliver()
    expect(await boxOf(street)).toEqual(['escalated', 'reminded', 'reminded', 'reminded'])
  })

  test('leaves the work with who has it; the supervisor may redispatch it or take it over', async () => {
    await newTown()
    const { id, deadlines } = await dispatched(worker.id)
    await at('6 hours') // to be signed within the hour
    await sweepAll()
    expect(await rungs(id, 'sign')).toEqual([['escalate', 'P', []], ['escalate', 'C', []]])
    const seen = await town.inside(() => find(database.db, id, community))
    expect(seen).toMatchObject({ state: 'dispatched', assignees: [{ person: worker.id }] })
    expect(seen.allowed).toContain('redispatch')
    const taken = await town.inside(() => act(database.db, 'redispatch', id, { to: community.id }, community))
    expect(taken).toMatchObject({ state: 'dispatched', assignees: [{ person: community.id }] })
    expect(taken.allowed).toContain('sign')
    const whole = (list: typeof deadlines) => list.find(({ step }) => step === 'complete')?.dueAt
    expect(whole(taken.deadlines)).toEqual(whole(deadlines))
    expect(await supervisorPath(id)).toBeNull()
    // now he is late himself: his own rung is none
    await at('10 hours')
    await sweepAll()
    expect((await rungs(id, 'sign')).slice(2)).toEqual([['escalate', 'S', ['C']]])
    await town.inside(async () => {
      await act(database.db, 'sign', id, {}, community)
      expect(await act(database.db, 'complete', id, { outcome: '换好了' }, community)).toMatchObject({ state: 'completed' })
    })
  })

  test('passes over a rung that only people of the late organisation hold', async () => {
    await newTown()
    const firm = uuidv7()
    await database.owner.query(`INSERT INTO organisation ("tenantId", id, "nodeId", code, name, kind) VALUES ($1, $2, $3, 'FIRM', '物业', 'property')`, [town.tenantId, firm, town.node.P])
    // the compound's supervisor is the firm's own manager
    await town.person({ can: ['handle'] })
    await database.owner.query(`INSERT INTO duty ("tenantId", id, "personId", "roleCode", "nodeId", "organisationId", "from") VALUES ($1, $2, $3, 'role-handle', $4, $5, '2020-01-01Z')`,
      [town.tenantId, uuidv7(), compound.id, town.node.P, firm])
    const { id } = await dispatched('FIRM')
    await at('2 hours')
    await sweepAll()
    expect(await rungs(id, 'sign')).toEqual([['escalate', 'C', ['P']]])
    expect((await told(id, 'sign'))[0]).toMatchObject({ skipped: [town.node.P], vacant: [] })
  })

  test('asks the stand-in while he stands in; a suspended holder and a retired node are vacancies', async () => {
    await newTown()
    const standIn = await town.person()
    await database.owner.query(`UPDATE duty SET "standInId" = $2, "standInFrom" = '2026-11-23Z', "standInTo" = '2026-11-25Z' WHERE "personId" = $1`, [community.id, standIn.id])
    await database.owner.query(`UPDATE person SET "suspendedAt" = now() WHERE id = $1`, [compound.id])
    const { id } = await dispatched(worker.id)
    await at('2 hours')
    await sweepAll()
    expect(await rungs(id, 'sign')).toEqual([['escalate', 'C', ['P']]])
    expect((await told(id, 'sign'))[0]).toMatchObject({ vacant: [town.node.P] })
    await deliver()
    expect([await boxOf(standIn), await boxOf(community)]).toEqual([['escalated'], []])
    // Whoever is late is no rung for standing in on it.
    await database.owner.query(`UPDATE duty SET "standInId" = $2 WHERE "personId" = $1`, [community.id, worker.id])
    const late = await dispatched(worker.id)
    await at('4 hours')
    await sweepAll()
    expect(await rungs(late.id, 'sign')).toEqual([['escalate', 'S', ['P', 'C']]])

    await newTown()
    await database.owner.query(`UPDATE node SET "retiredAt" = now() WHERE "tenantId" = $1 AND code = 'C'`, [town.tenantId])
    const other = await dispatched(worker.id)
    await at('8 hours')
    await sweepAll()
    expect(await rungs(other.id, 'sign')).toEqual([['escalate', 'P', []], ['escalate', 'S', ['C']]])
  })

  test('is climbed from where a node is now, when it was moved under way', async () => {
    await newTown()
    const { id } = await dispatched(worker.id)
    await at('2 hours')
    await sweepAll()
    // the compound goes to another community
    const [other, chief] = [uuidv7(), await town.person({ at: 'B', can: ['view', 'supervise'] })]
    await database.owner.query(`INSERT INTO node ("tenantId", id, "parentId", code, name, level, path) VALUES ($1, $2, $3, 'D', 'D', 'community', 'S/D/')`, [town.tenantId, other, town.node.S])
    await database.owner.query(`UPDATE node SET path = replace(path, 'S/C/P/', 'S/D/P/'), "parentId" = CASE code WHEN 'P' THEN $2 ELSE "parentId" END WHERE "tenantId" = $1 AND path LIKE 'S/C/P/%'`, [town.tenantId, other])
    await database.owner.query(`UPDATE duty SET "nodeId" = $2 WHERE "personId" = $1`, [chief.id, other])
    await at('12 hours')
    await sweepAll()
    expect((await told(id, 'sign')).map(({ rung }) => (rung === other ? 'D' : nameOf(rung)))).toEqual(['P', 'D', 'S'])
  })

  test('of one person on two rungs has one, and nobody at all is told daily', async () => {
    await newTown()
    await database.owner.query(`UPDATE duty SET "personId" = $2 WHERE "personId" = $1`, [community.id, compound.id])
    const { id } = await dispatched(worker.id)
    await at('8 hours')
    await sweepAll()
    expect(await rungs(id, 'sign')).toEqual([['escalate', 'P', []], ['escalate', 'S', ['C']]])

    await newTown()
    await database.owner.query(`UPDATE duty SET "to" = '2021-01-01Z' WHERE "personId" = ANY ($1)`, [[building, compound, community, street].map((person) => person.id)])
    const alone = await dispatched(worker.id)
    await at('2 hours')
    await sweepAll()
    expect(await told(alone.id, 'sign')).toMatchObject([{ verb: 'remind', top: true }])
    // a rung that is filled later is climbed the next time
    await database.owner.query(`UPDATE duty SET "to" = NULL WHERE "personId" = $1`, [community.id])
    await at('34 hours')
    await sweepAll()
    expect(await rungs(alone.id, 'sign')).toEqual([['remind', undefined, []], ['escalate', 'C', ['P']]])
  })
})
