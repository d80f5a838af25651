import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import type { Transition } from '../../src/domain/machine.ts'
import { durations } from '../../src/service/durations.ts'
import { inbox, notifyOnce } from '../../src/service/notifications.ts'
import { listQueue } from '../../src/service/queues.ts'
import { relayOnce } from '../../src/service/relay.ts'
import { act, file, find } from '../../src/service/requests.ts'
import { sweepOnce } from '../../src/service/sweep.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'

/** 终审: when 退单 has been asked and answered too often, those above hear of it, find it in their queue, and have its time put down to them. */

let database: TestDatabase
let town: TestPlace
let resident: PersonActor, local: PersonActor, community: PersonActor, street: PersonActor, worker: PersonActor, other: PersonActor

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database, { returnsMax: 1, reminders: [{ share: 0.5 }] })
  const approves = ['view', 'dispatch', 'approve', 'supervise'] as const
  ;[resident, local, community, street, worker, other] = await Promise.all([
    town.person(), town.person({ at: 'U', can: [...approves] }), town.person({ at: 'C', can: [...approves] }), town.person({ at: 'S', can: [...approves] }),
    town.person({ at: 'S', can: ['handle'] }), town.person({ at: 'B', can: ['handle'] }),
  ])
})
afterAll(() => database.drop())

const does = (id: string, verb: Transition, input: object, actor: PersonActor) => town.inside(() => act(database.db, verb, id, input as never, actor))
const queue = async (actor: PersonActor) => (await town.inside(() => listQueue(database.db, 'to_approve', { limit: 100 }, actor))).data.map(({ id }) => id)
async function hears(actor: PersonActor, id: string): Promise<[string, string | null][]> {
  while ((await relayOnce(database.db)).moved > 0);
  while ((await notifyOnce(database.db)) > 0);
  const { data } = await town.inside(() => inbox(database.db, actor.id, { limit: 100 }))
  return data.filter(({ requestId }) => requestId === id).map(({ type, todo }): [string, string | null] => [type, todo]).reverse()
}

/** Returned once and denied, and asked again. */
async function toAdjudicate(): Promise<string> {
  const { id } = await town.inside(() => file(database.db, { item: 'corridor-light', title: '换灯', node: 'U' }, resident))
  await does(id, 'accept', {}, local)
  await does(id, 'dispatch', { to: worker.id }, local)
  await does(id, 'ask-return', { reason: 'wrong_area' }, worker)
  // The first is the dispatcher's, wherever the asker stands.
  expect([await queue(local), await queue(community), await queue(street)].map((ids) => ids.includes(id))).toEqual([true, false, false])
  expect((await hears(local, id)).at(-1)).toEqual(['request.return_asked', '请答复退单申请'])
  await does(id, 'deny-return', { reason: '就在本辖区' }, local)
  await does(id, 'ask-return', { reason: 'unclear_duty' }, worker)
  return id
}

describe('终审', () => {
  test('waits in the queue of the nearest above the place, and is told to them alone', async () => {
    const id = await toAdjudicate()
    expect([await queue(local), await queue(community), await queue(street)].map((ids) => ids.includes(id))).toEqual([false, true, false])
    expect((await hears(community, id)).at(-1)).toEqual(['request.return_asked', '请终审退单申请'])
    expect((await hears(local, id)).filter(([type]) => type === 'request.return_asked')).toHaveLength(1)
    expect(await hears(street, id)).toEqual([])
    await expect(does(id, 'grant-return', {}, local)).rejects.toMatchObject({ code: 'adjudication-needed' })
    await expect(does(id, 'adjudicate', { decision: 'keep' }, local)).rejects.toMatchObject({ code: 'level-too-low' })
  })

  test('is reminded of and climbs from there, and its time is put down to those who approve', async () => {
    const id = await toAdjudicate()
    await database.owner.query(`UPDATE deadline SET "openedAt" = now() - interval '9 days', "dueAt" = now() - interval '1 second', "nextAt" = now() - interval '1 second', mark = 0
      WHERE "requestId" = $1 AND step = 'answer' AND "closedAt" IS NULL`, [id])
    while ((await sweepOnce(database.db)).fired > 0);
    const { rows } = await database.owner.query<{ verb: string; data: object }>(`SELECT verb, data FROM event WHERE "requestId" = $1 AND verb IN ('remind', 'escalate') ORDER BY seq`, [id])
    expect(rows).toMatchObject([{ verb: 'remind', data: { step: 'answer', tell: ['approve'], final: true } }, { verb: 'escalate', data: { step: 'answer', level: 'street' } }])
    expect((await hears(community, id)).at(-1)).toEqual(['request.reminded', '请尽快答复申请'])
    // He was asked first: he hears of every reminder, and is asked for nothing but to see to it.
    expect((await hears(local, id)).filter(([type]) => type === 'request.reminded')).toEqual([['request.reminded', '时限将至，请跟进：答复申请']])
    expect((await hears(street, id)).at(-1)).toEqual(['request.escalated', '已逾期，请督办：答复申请'])
    const whole = await town.inside(() => durations(database.db, id, local))
    expect(whole.data.find(({ waitsFor }) => waitsFor === 'approve')?.seconds).toBeGreaterThan(0)
    await does(id, 'adjudicate', { decision: 'reassign', to: other.id }, community)
    expect(await queue(community)).not.toContain(id)
    expect(await town.inside(() => find(database.db, id, local))).toMatchObject({ state: 'dispatched', locked: true, assignees: [{ person: other.id }] })
  })
})
