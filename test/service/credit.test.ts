import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { v7 as uuidv7 } from 'uuid'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { personActor } from '../../src/service/actors.ts'
import { ranking, statement } from '../../src/service/credit.ts'
import { creditOnce } from '../../src/service/credit-entries.ts'
import { generateKeyring, parseKeyring } from '../../src/service/keyring.ts'
import { countOnce } from '../../src/service/rate-facts.ts'
import { relayOnce } from '../../src/service/relay.ts'
import { act, file } from '../../src/service/requests.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'

/** 积分: for work done and closed, for the person, his branch and his unit; taken back on a redo; never twice. */

const KEYRING = parseKeyring(JSON.stringify(generateKeyring()))
const DAYS = { from: '2020-01-01', to: '2029-12-31' }

let database: TestDatabase
let town: TestPlace
let resident: PersonActor, staff: PersonActor, caller: PersonActor, member: PersonActor, helper: PersonActor
let unit: string, branch: string

beforeEach(async () => {
  database = await freshDatabase()
  town = await testPlace(database, { claims: { perClaimer: 1000 }, redoMax: 3 })
  ;[resident, staff, caller, member, helper] = await Promise.all([
    town.person(), town.person({ at: 'S', can: ['view', 'dispatch', 'publish', 'approve', 'supervise'] }), town.person({ at: 'S', can: ['view', 'follow_up'] }),
    town.person({ kinds: ['party_member'] }), town.person({ kinds: ['volunteer'] }),
  ])
  unit = await town.organisation('UNIT')
  branch = (await rows<{ id: string }>(`SELECT id FROM organisation WHERE code = 'BRANCH'`))[0]!.id
  // 双报到: of a unit at work, and of the branch where he lives.
  await rows(`UPDATE affiliation SET tie = 'residence' WHERE "personId" = $1`, [member.id])
  await rows(`INSERT INTO affiliation ("tenantId", id, "personId", "organisationId", kind, tie, "verifiedAt") VALUES ($1, $2, $3, $4, 'dual_unit', 'home', now() - interval '1 day')`, [town.tenantId, uuidv7(), member.id, unit])
  database.db.memory.clear()
  member = (await town.inside(() => personActor(database.db, member.id, null)))!
})
afterEach(() => database.drop())

const rows = async <T extends object>(sql: string, values: unknown[] = []): Promise<T[]> => (await database.owner.query<T>(sql, values)).rows
const inside = <T>(run: () => Promise<T>) => town.inside(run)
const tell = async (): Promise<void> => {
  while ((await relayOnce(database.db)).moved > 0);
  while ((await creditOnce(database.db, 3)) > 0);
}
const ledger = async (): Promise<string[]> => {
  const called: Record<string, string> = { [member.id]: 'member', [helper.id]: 'helper', [unit]: 'unit', [branch]: 'branch' }
  return (await rows<{ holderId: string; viaId: string; reason: string; points: number }>(`SELECT * FROM credit_entry ORDER BY at, id`))
    .map(({ holderId, viaId, reason, points }) => `${called[holderId] ?? holderId} ${points} ${reason} via ${called[viaId] ?? viaId}`)
}
const points = async (): Promise<Record<string, number>> => Object.fromEntries((await rows<{ holderId: string; points: number }>(`SELECT "holderId", sum(points)::int AS points FROM credit_entry GROUP BY 1 HAVING sum(points) <> 0`))
  .map(({ holderId, points: sum }) => [({ [member.id]: 'member', [helper.id]: 'helper', [unit]: 'unit', [branch]: 'branch' })[holderId] ?? holderId, sum]))

async function claimed(by = member): Promise<string> {
  const { id } = await file(database.db, { item: 'companionship', title: '心愿', node: 'U' }, resident)
  await act(database.db, 'accept', id, {}, staff)
  await act(database.db, 'place', id, {}, staff)
  await act(database.db, 'claim', id, {}, by)
  return id
}
const complete = (id: string, by = member, result: 'realised' | 'partly' | 'explained' = 'realised') => act(database.db, 'complete', id, { outcome: '办好了', result }, by)
const followUp = (id: string, satisfaction: 'satisfied' | 'fairly' | 'dissatisfied' = 'satisfied') =>
  act(database.db, 'follow-up', id, { reached: true, solved: satisfaction === 'dissatisfied' ? 'unsolved' : 'solved', satisfaction }, caller)

const OWN = ['member 10 work via member', 'branch 10 member_residence via member', 'unit 10 member_home via member']
const PRAISE = ['member 2 satisfied via member', 'branch 2 satisfied via member', 'unit 2 satisfied via member']
const sorted = (list: readonly string[]) => [...list].sort()

describe('what is earned', () => {
  test('nothing by claiming nor by completing alone; when it is closed, by the member, his unit and his branch', () => inside(async () => {
    const id = await claimed()
    await tell()
    expect(await ledger()).toEqual([])
    await complete(id)
    await tell()
    expect(await ledger()).toEqual([])
    await followUp(id)
    await tell()
    expect(sorted(await ledger())).toEqual(sorted([...OWN, ...PRAISE]))
  }))

  test('half for a part of it, nothing for an explanation, nothing more for 基本满意; a co-handler half of the lead’s', () => inside(async () => {
    const [part, word] = [await claimed(), await claimed()]
    await act(database.db, 'add-co', part, { to: helper.id }, staff)
    await act(database.db, 'co-done', part, {}, helper)
    await complete(part, member, 'partly')
    await complete(word, member, 'explained')
    for (const id of [part, word]) await followUp(id, 'fairly')
    await tell()
    expect(sorted(await ledger())).toEqual(sorted([...OWN.map((line) => line.replace('10', '5')), 'helper 3 co via helper', 'branch 3 member via helper']))
  }))

  test('by the rules of the tenant, and by grade', () => inside(async () => {
    await rows(`UPDATE tenant SET settings = settings || '{"credit": {"kinds": {"wish": 20}, "grades": {"urgent": 7}, "satisfied": 0}}'`)
    await rows(`UPDATE item SET grade = 'urgent' WHERE code = 'companionship'`)
    database.db.memory.clear()
    const id = await claimed()
    await complete(id)
    await followUp(id)
    await tell()
    expect(await points()).toEqual({ member: 27, unit: 27, branch: 27 })
  }))

  test('where he belonged when he did it, whatever came later; one verified later does not count', () => inside(async () => {
    const id = await claimed()
    await complete(id)
    await rows(`UPDATE affiliation SET "endedAt" = clock_timestamp() WHERE "personId" = $1 AND "organisationId" = $2`, [member.id, branch])
    const late = await town.organisation('LATE')
    await rows(`INSERT INTO affiliation ("tenantId", id, "personId", "organisationId", kind, tie, "verifiedAt") VALUES ($1, $2, $3, $4, 'party_member', 'home', clock_timestamp())`, [town.tenantId, uuidv7(), member.id, late])
    await followUp(id, 'fairly')
    await tell()
    expect(sorted(await ledger())).toEqual(sorted(OWN))
  }))

  test('by an organisation that had the work, and by who of it went', () => inside(async () => {
    const firm = await town.organisation('FIRM')
    const agent = await town.agentOf(firm)
    const { id } = await file(database.db, { item: 'corridor-light', title: '灯', node: 'U' }, resident)
    await act(database.db, 'accept', id, {}, staff)
    await act(database.db, 'dispatch', id, { to: 'FIRM' }, staff)
    await act(database.db, 'sign', id, {}, agent)
    await act(database.db, 'assign', id, { to: agent.id }, agent)
    await complete(id, agent)
    await followUp(id, 'fairly')
    await tell()
    expect(sorted(await ledger())).toEqual(sorted([`${firm} 5 work via ${firm}`, `${agent.id} 5 work via ${agent.id}`]))
  }))
})

describe('what is taken back', () => {
  test('nothing was given for what is done again before it is closed; the second time earns', () => inside(async () => {
    const id = await claimed()
    await complete(id)
    await followUp(id, 'dissatisfied')
    await tell()
    expect(await ledger()).toEqual([])
    await act(database.db, 'place', id, {}, staff)
    await act(database.db, 'claim', id, {}, helper)
    await complete(id, helper)
    await followUp(id, 'fairly')
    await tell()
    expect(await points()).toEqual({ helper: 10, branch: 10 })
  }))

  test('all of it on a reopening after it was closed, entry by entry; the new cycle earns by itself', () => inside(async () => {
    const id = await claimed()
    await complete(id)
    await followUp(id)
    await tell()
    await act(database.db, 'reopen', id, { reason: '又坏了' }, resident)
    await tell()
    expect(await points()).toEqual({})
    const back = await rows<{ reverses: string }>(`SELECT t."reversesId" AS reverses FROM credit_entry t JOIN credit_entry e ON e.id = t."reversesId" AND e."holderId" = t."holderId" AND e.reason = t.reason AND e.points = -t.points`)
    expect(new Set(back.map(({ reverses }) => reverses)).size).toBe(6)
    await act(database.db, 'dispatch', id, { to: helper.id }, staff)
    await act(database.db, 'sign', id, {}, helper)
    await complete(id, helper)
    await followUp(id, 'fairly')
    await tell()
    expect(await points()).toEqual({ helper: 10, branch: 10 })
    expect(await ledger()).toHaveLength(14)
  }))

  test('what is merged goes with its lead and earns nothing; taken apart again it earns by itself', () => inside(async () => {
    const lead = await claimed()
    const make = async () => {
      const { id } = await file(database.db, { item: 'companionship', title: '心愿', node: 'U' }, resident)
      await act(database.db, 'accept', id, {}, staff)
      await act(database.db, 'merge', id, { into: lead }, staff)
      return id
    }
    const [along, apart] = [await make(), await make()]
    await act(database.db, 'unmerge', apart, {}, staff)
    await complete(lead)
    for (const id of [lead, along]) await followUp(id, 'fairly')
    await tell()
    expect(sorted(await ledger())).toEqual(sorted(OWN))
    await act(database.db, 'dispatch', apart, { to: helper.id }, staff)
    await act(database.db, 'sign', apart, {}, helper)
    await complete(apart, helper)
    await followUp(apart, 'fairly')
    await tell()
    expect(await points()).toEqual({ member: 10, unit: 10, branch: 20, helper: 10 })
  }))
})

describe('never twice', () => {
  test('also when workers are killed in the middle, several work at once, and the feed is read again from its beginning', () => inside(async () => {
    const N = 40
    for (let n = 0; n < N; n++) {
      const id = await claimed()
      await complete(id)
      await followUp(id)
      if (n % 4 === 0) await act(database.db, 'reopen', id, { reason: '又坏了' }, resident)
    }
    while ((await relayOnce(database.db)).moved > 0);
    let seen = 0
    for (let kills = 0; kills < 5; kills++) {
      const child = spawn(process.execPath, ['--import', 'tsx', 'test/crediter.ts', database.url, '7'], { stdio: ['ignore', 'pipe', 'inherit'] })
      const ended = once(child, 'exit')
      // Some batches, then death in the middle of the next.
      for await (const _ of createInterface(child.stdout)) if (++seen % 3 === 0) break
      child.kill('SIGKILL')
      await ended
    }
    expect(seen).toBe(15)
    const half = await ledger()
    expect(half.length).toBeGreaterThan(0)
    expect(half.length).toBeLessThan(N * 6)
    await Promise.all(Array.from({ length: 4 }, async () => { while ((await creditOnce(database.db, 5)) > 0); }))
    const whole = await ledger()
    expect(whole).toHaveLength(N * 6 + (N / 4) * 6)
    expect(await points()).toEqual({ member: 12 * (N - N / 4), unit: 12 * (N - N / 4), branch: 12 * (N - N / 4) })
    await rows(`UPDATE cursor SET position = 0 WHERE name = 'credit'`)
    while ((await creditOnce(database.db)) > 0);
    expect(await ledger()).toEqual(whole)
    while ((await countOnce(database.db)) > 0);
    expect(await rows(`SELECT count(*)::int AS n FROM rate_fact WHERE base = 'filed'`)).toEqual([{ n: N }])
  }), 120_000)

  test('and nobody changes or removes an entry', () => inside(async () => {
    const id = await claimed()
    await complete(id)
    await followUp(id)
    await tell()
    for (const pool of [database.db.app, database.db.system]) {
      for (const sql of ['UPDATE credit_entry SET points = points + 1', 'DELETE FROM credit_entry']) await expect(pool.query(sql)).rejects.toMatchObject({ code: '42501' })
    }
  }))
})

describe('the statement', () => {
  test('says the period’s entries, what they add up to and for what; of a unit by its members', () => inside(async () => {
    for (const satisfaction of ['satisfied', 'fairly'] as const) {
      const id = await claimed()
      await complete(id)
      await followUp(id, satisfaction)
    }
    await tell()
    const mine = await statement(database.db, KEYRING, 'person', member.id, { ...DAYS, limit: 2 }, member)
    expect(mine).toMatchObject({ points: 22, reasons: [{ reason: 'satisfied', points: 2, entries: 1 }, { reason: 'work', points: 20, entries: 2 }], page: { hasMore: true } })
    const rest = await statement(database.db, KEYRING, 'person', member.id, { ...DAYS, limit: 2, cursor: mine.page.nextCursor! }, member)
    expect(new Set([...mine.data, ...rest.data].map(({ id }) => id)).size).toBe(3)
    expect(await statement(database.db, KEYRING, 'organisation', 'UNIT', { ...DAYS, limit: 10 }, member)).toMatchObject({ points: 22, name: 'UNIT', data: [{ via: member.id }, { via: member.id }, { via: member.id }] })
    expect(await statement(database.db, KEYRING, 'organisation', unit, { from: '2020-01-01', to: '2020-12-31', limit: 10 }, staff)).toMatchObject({ points: 0, data: [] })
    // Neither of it, nor watching over its place.
    for (const of of ['UNIT', unit]) await expect(statement(database.db, KEYRING, 'organisation', of, { ...DAYS, limit: 10 }, helper)).rejects.toMatchObject({ code: 'not-found' })
    await expect(statement(database.db, KEYRING, 'person', member.id, { ...DAYS, limit: 10 }, helper)).rejects.toMatchObject({ code: 'not-found' })
  }))

  test('and the order of those who earned most at a place, of whoever watches over it', () => inside(async () => {
    for (const by of [member, member, helper]) {
      const id = await claimed(by)
      await complete(id, by)
      await followUp(id, 'fairly')
    }
    await tell()
    const first = (await ranking(database.db, KEYRING, { of: 'person', node: 'P', ...DAYS, limit: 10 }, staff)).data
    expect(first).toMatchObject([{ rank: 1, points: 20, works: 2, holder: { kind: 'person', key: member.id } }, { rank: 2, points: 10, works: 1, holder: { key: helper.id } }])
    expect((await ranking(database.db, KEYRING, { of: 'organisation', ...DAYS, limit: 10 }, staff)).data).toMatchObject([{ points: 30, works: 3, holder: { key: branch, name: '支部' } }, { points: 20, works: 2, holder: { key: unit } }])
    await expect(ranking(database.db, KEYRING, { of: 'person', node: 'P', ...DAYS, limit: 10 }, member)).rejects.toMatchObject({ code: 'not-found' })
  }))
})
