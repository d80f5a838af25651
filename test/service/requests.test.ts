import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { act, file, find } from '../../src/service/requests.ts'
import { list } from '../../src/service/list.ts'
import { feed, history } from '../../src/service/events.ts'
import { relayOnce } from '../../src/service/relay.ts'
import { notifyOnce, inbox } from '../../src/service/notifications.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'

let database: TestDatabase
let town: TestPlace
let resident: PersonActor, staff: PersonActor, member: PersonActor, caller: PersonActor

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database)
  ;[resident, staff, member, caller] = await Promise.all([
    town.person(), town.person({ can: ['view', 'dispatch', 'publish', 'file_for', 'supervise'] }), town.person({ kinds: ['party_member'] }), town.person({ at: 'S', can: ['view', 'follow_up'] }),
  ])
})
afterAll(() => database.drop())

const wish = () => file(database.db, { item: 'companionship', title: '想有人陪我下棋', node: 'U' }, resident)

describe('a wish', () => {
  test('is filed, accepted, placed, claimed, completed, rated and closed', () => town.inside(async () => {
    const { db } = database
    const filed = await wish()
    expect(filed).toMatchObject({ state: 'filed', version: 1, allowed: ['consent', 'withdraw', 'urge'] })
    expect(filed.number).toMatch(/^WX\d{8}-\d{6}$/)
    const { id, number } = filed
    expect(await act(db, 'accept', number, {}, staff)).toMatchObject({ state: 'accepted', version: 2 })
    expect(await act(db, 'place', id, { slots: 1 }, staff)).toMatchObject({ state: 'open', wall: { title: '陪伴' } })
    const seen = await find(db, id, member)
    expect(seen).toMatchObject({ title: '陪伴', node: { code: 'P' }, allowed: ['claim'], source: null })
    expect(await act(db, 'claim', id, {}, member)).toMatchObject({ state: 'in_progress', assignees: [{ person: member.id }] })
    expect(await act(db, 'complete', id, { outcome: '陪老人下了一下午棋' }, member)).toMatchObject({ state: 'completed' })
    expect(await act(db, 'rate', id, { solved: 'solved', satisfaction: 'satisfied' }, resident)).toMatchObject({ state: 'closed', allowed: ['rate', 'reopen'] })
    expect((await history(db, id, staff)).map(({ verb }) => verb)).toEqual(['file', 'accept', 'place', 'claim', 'complete', 'rate'])
    const after = await find(db, id, resident)
    expect(after.deadlines).toEqual([])
  }))

  test('shows in the feed and in the inboxes of those it concerns', () => town.inside(async () => {
    const { db } = database
    const filed = await wish()
    while ((await relayOnce(db)).moved > 0);
    while ((await notifyOnce(db)) > 0);
    const { data } = await feed(db, { limit: 100 }, staff)
    expect(data.at(-1)).toMatchObject({ type: 'request.filed', number: filed.number, node: 'U', state: 'filed', from: null })
    expect((await inbox(db, staff.id, { limit: 5 })).data[0]).toMatchObject({ title: `${filed.number} 点单` })
  }))

  test('is done again once for whoever is not satisfied, also after it was reopened; and of what is closed he has one word more', () => town.inside(async () => {
    const { db } = database
    const { id } = await wish()
    const done = async () => {
      await act(db, 'dispatch', id, { to: member.id }, staff)
      await act(db, 'sign', id, {}, member)
      await act(db, 'complete', id, { outcome: '办好了' }, member)
    }
    const bad = { solved: 'unsolved', satisfaction: 'dissatisfied' } as const
    await act(db, 'accept', id, {}, staff)
    await done()
    expect(await act(db, 'reopen', id, {}, resident)).toMatchObject({ state: 'accepted', cycle: 2 })
    await done()
    await expect(act(db, 'complete', id, { outcome: '办好了' }, member)).rejects.toMatchObject({ code: 'transition-refused', facts: { state: 'completed' } })
    expect(await act(db, 'rate', id, bad, resident)).toMatchObject({ state: 'accepted', cycle: 3 })
    await done()
    expect(await act(db, 'follow-up', id, bad, caller)).toMatchObject({ state: 'closed', cycle: 3, satisfaction: 'dissatisfied' })
    expect(await act(db, 'rate', id, { solved: 'partly', satisfaction: 'fairly' }, resident)).toMatchObject({ state: 'closed', satisfaction: 'fairly' })
    await expect(act(db, 'rate', id, bad, resident)).rejects.toMatchObject({ code: 'already-rated' })
  }))

  test('is listed by subtree and state', () => town.inside(async () => {
    const { data } = await list(database.db, { node: 'P', state: ['filed'], limit: 20 }, staff)
    expect(data.length).toBeGreaterThan(0)
    await expect(list(database.db, { node: 'C', limit: 20 }, staff)).rejects.toMatchObject({ code: 'not-found' })
  }))

  test('is not there for a stranger', () => town.inside(async () => {
    const { id } = await wish()
    await expect(find(database.db, id, caller)).resolves.toBeTruthy()
    await expect(find(database.db, id, member)).rejects.toMatchObject({ code: 'request-not-found' })
    await expect(act(database.db, 'accept', id, {}, member)).rejects.toMatchObject({ code: 'request-not-found' })
  }))
})
