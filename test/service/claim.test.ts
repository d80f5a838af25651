import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { Problem } from '../../src/domain/problems.ts'
import type { RequestView } from '../../src/domain/view.ts'
import { fingerprint, once } from '../../src/service/idempotency.ts'
import { generateKeyring, parseKeyring } from '../../src/service/keyring.ts'
import { act, file, find } from '../../src/service/requests.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'

/** Two people can never win one wish: many at once, on a real database. */

let database: TestDatabase
let town: TestPlace
let resident: PersonActor, staff: PersonActor
let members: PersonActor[]
const CONTENDERS = 16

beforeAll(async () => {
  database = await freshDatabase({ connections: 20 })
  town = await testPlace(database, { claims: { kinds: ['party_member'], perClaimer: 1000 } })
  ;[resident, staff] = await Promise.all([town.person(), town.person({ can: ['view', 'dispatch', 'publish'] })])
  members = await Promise.all(Array.from({ length: CONTENDERS }, () => town.person({ kinds: ['party_member'] })))
})
afterAll(() => database.drop())

async function placed(slots: number, place = town): Promise<RequestView> {
  const { db } = database
  const [by, of] = place === town ? [staff, resident] : await Promise.all([place.person({ can: ['view', 'dispatch', 'publish'] }), place.person()])
  return place.inside(async () => {
    const { id } = await file(db, { item: 'companionship', title: '心愿', node: 'U' }, of)
    await act(db, 'accept', id, {}, by)
    return act(db, 'place', id, { slots }, by)
  })
}

const claim = (id: string, member: PersonActor, place = town) => place.inside(() => act(database.db, 'claim', id, {}, member))

interface Outcome { won: RequestView[]; lost: unknown[] }
async function settle(attempts: Promise<RequestView>[]): Promise<Outcome> {
  const settled = await Promise.allSettled(attempts)
  return {
    won: settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : [])),
    lost: settled.flatMap((each) => (each.status === 'rejected' ? [each.reason as unknown] : [])),
  }
}

const codes = (lost: unknown[]) => lost.map((error) => (error instanceof Problem ? error.code : String(error)))
const tally = (words: string[]) => JSON.stringify(Object.fromEntries([...new Set(words)].map((word) => [word, words.filter((each) => each === word).length])))

const stored = async (id: string) => (await database.owner.query<{ seq: number; slot: number; person: string }>(
  `SELECT seq, slot, "personId" AS person FROM assignment WHERE "requestId" = $1 AND status = 'active' ORDER BY slot`, [id])).rows
const counter = async (claimer: PersonActor) => (await database.owner.query<{ value: number }>('SELECT value FROM counter WHERE key = $1', [`claims/${claimer.id}`])).rows[0]?.value ?? 0
const history = async (id: string) => (await database.owner.query<{ verb: string }>('SELECT verb FROM event WHERE "requestId" = $1 ORDER BY seq', [id])).rows.map(({ verb }) => verb)

describe('one slot', () => {
  test(`goes to one of ${CONTENDERS}, thirty times over, and the others are told that it is gone`, async () => {
    const refusals: string[] = []
    for (let round = 0; round < 30; round++) {
      const { id } = await placed(1)
      const { won, lost } = await settle(members.map((member) => claim(id, member)))
      expect(won).toHaveLength(1)
      expect(won[0]).toMatchObject({ state: 'in_progress', slotsTaken: 1 })
      expect(lost.map((error) => error instanceof Problem && error.kind)).toEqual(Array(CONTENDERS - 1).fill('conflict'))
      refusals.push(...codes(lost))
      const rows = await stored(id)
      expect(rows).toHaveLength(1)
      expect(won[0]!.assignees).toMatchObject([{ person: rows[0]!.person, slot: 1 }])
      expect(await history(id)).toEqual(['file', 'accept', 'place', 'claim'])
    }
    // Whoever lost was refused by the rules, which say why, and not by the race.
    expect(new Set(refusals)).toEqual(new Set(['transition-refused']))
  })
})

describe('as many slots as contenders', () => {
  test('are all taken, each once', async () => {
    const refusals: string[] = []
    for (let round = 0; round < 10; round++) {
      const { id } = await placed(CONTENDERS)
      const { won, lost } = await settle(members.map((member) => claim(id, member)))
      refusals.push(...codes(lost))
      const rows = await stored(id)
      expect(rows).toHaveLength(won.length)
      expect(new Set(rows.map(({ slot }) => slot)).size).toBe(won.length)
      expect(new Set(rows.map(({ person }) => person)).size).toBe(won.length)
      expect((await town.inside(() => find(database.db, id, staff)))).toMatchObject({ slotsTaken: won.length, state: won.length === CONTENDERS ? 'in_progress' : 'open' })
    }
    expect(refusals, tally(refusals)).toEqual([])
  })
})

describe('the limit of one claimer', () => {
  test('holds over many wishes at once, and the refusal says that it is the limit', async () => {
    const strict = await testPlace(database, { claims: { kinds: ['party_member'], perClaimer: 3 } }, 'STRICT')
    const member = await strict.person({ kinds: ['party_member'] })
    const wishes = await Promise.all(Array.from({ length: CONTENDERS }, () => placed(1, strict)))
    const { won, lost } = await settle(wishes.map(({ id }) => claim(id, member, strict)))
    console.info(`limit 3, ${CONTENDERS} wishes at once: ${won.length} won, ${tally(codes(lost))}`)
    expect(won).toHaveLength(3)
    expect(await counter(member)).toBe(3)
    expect(lost.map((error) => error instanceof Problem && error.kind)).toEqual(Array(CONTENDERS - 3).fill('conflict'))
    expect(new Set(codes(lost))).toEqual(new Set(['limit-reached']))

    // and one given back is one that can be taken
    const left = wishes.find(({ id }) => !won.some((view) => view.id === id))!
    expect(codes((await settle([claim(left.id, member, strict)])).lost)).toEqual(['limit-reached'])
    await strict.inside(() => act(database.db, 'release', won[0]!.id, {}, member))
    expect(await counter(member)).toBe(2)
    expect((await claim(left.id, member, strict)).state).toBe('in_progress')
    expect(await counter(member)).toBe(3)
  })

  test('is that of the organisation where one claims for it', async () => {
    const strict = await testPlace(database, { claims: { kinds: ['enterprise'], perClaimer: 2 } }, 'FIRMS')
    const agents = await Promise.all([1, 2].map(async () => {
      const agent = await strict.person({ kinds: ['enterprise'] })
      const organisationId = agent.affiliations[0]!.organisationId
      return { ...agent, duties: [{ id: randomUUID(), role: 'enterprise_agent', capabilities: ['handle' as const], path: 'S/C/P/', organisationId }] }
    }))
    const wishes = await Promise.all(Array.from({ length: 6 }, () => placed(1, strict)))
    const { won, lost } = await settle(wishes.map(({ id }, index) => strict.inside(() => act(database.db, 'claim', id, { organisation: 'BRANCH' }, agents[index % 2]!))))
    expect([won.length, tally(codes(lost))]).toEqual([2, tally(Array<string>(4).fill('limit-reached'))])
    expect(won.flatMap(({ assignees }) => assignees)).toMatchObject([1, 2].map(() => ({ person: null, organisation: agents[0]!.affiliations[0]!.organisationId })))
    // what they hold for it does not count against themselves
    expect(await counter(agents[0]!)).toBe(0)
  })

  test('is given back by a completion, a withdrawal and a redispatch, and never twice', async () => {
    const member = await town.person({ kinds: ['party_member'] })
    const { db } = database
    const ids = await Promise.all(Array.from({ length: 4 }, async () => (await placed(1)).id))
    for (const id of ids) await claim(id, member)
    expect(await counter(member)).toBe(4)
    await town.inside(async () => {
      await act(db, 'complete', ids[0]!, { outcome: '好' }, member)
      await act(db, 'withdraw', ids[1]!, {}, resident)
      await act(db, 'redispatch', ids[2]!, { to: members[0]!.id }, staff)
      const both = await settle([act(db, 'release', ids[3]!, {}, member), act(db, 'release', ids[3]!, {}, member)])
      expect([both.won.length, codes(both.lost).length]).toEqual([1, 1])
    })
    expect(await counter(member)).toBe(0)
  })
})

describe('taking and giving back at once', () => {
  test('leaves as many assignments as slots taken, and counters that agree', async () => {
    const { id } = await placed(4)
    const { db } = database
    for (let round = 0; round < 6; round++) {
      const held = new Set((await stored(id)).map(({ person }) => person))
      await settle(members.map((member) => (held.has(member.id) ? town.inside(() => act(db, 'release', id, {}, member)) : claim(id, member))))
      const [rows, view] = [await stored(id), await town.inside(() => find(db, id, staff))]
      expect(view.slotsTaken).toBe(rows.length)
      expect(view.version).toBe((await history(id)).length)
      expect(view.state).toBe(rows.length === 4 ? 'in_progress' : 'open')
    }
    const { rows } = await database.owner.query<{ agree: boolean }>(`
      SELECT c.value = (SELECT count(*) FROM assignment a WHERE a."tenantId" = c."tenantId" AND a.via = 'claim' AND a.status = 'active' AND 'claims/' || a."personId" = c.key) AS agree
      FROM counter c WHERE c."tenantId" = $1`, [town.tenantId])
    expect(rows.length).toBeGreaterThanOrEqual(CONTENDERS)
    expect(rows.every(({ agree }) => agree)).toBe(true)
  })
})

describe('the same call many times at once', () => {
  const ring = parseKeyring(JSON.stringify(generateKeyring()))
  const keyed = (caller: string, what: string, work: (keep: (answer: RequestView) => ReturnType<Parameters<Parameters<typeof once>[3]>[0]>) => Promise<RequestView>) => (key: string) =>
    town.inside(() => once(database.db, ring, { caller, key, fingerprint: fingerprint(what) }, async (keep) => {
      const view = await work((answer) => keep(200, JSON.stringify(answer)))
      return { status: 200, body: JSON.stringify(view), replayed: false }
    }))

  test('files once and answers the same bytes to all', async () => {
    for (let round = 0; round < 5; round++) {
      const key = randomUUID()
      const send = keyed(resident.id, 'file', (keep) => file(database.db, { item: 'companionship', title: '心愿', node: 'U' }, resident, { keep }))
      const answers = await Promise.all(Array.from({ length: CONTENDERS }, () => send(key)))
      expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1)
      expect(new Set(answers.map(({ body }) => body)).size).toBe(1)
      const { rows } = await database.owner.query<{ n: number }>(`SELECT count(*)::int AS n FROM idempotency WHERE key = $1`, [key])
      expect(rows[0]!.n).toBe(1)
    }
  })

  test('claims once, among others who claim too', async () => {
    for (let round = 0; round < 5; round++) {
      const { id } = await placed(2)
      const [twin, rival] = [members[0]!, members[1]!]
      const send = keyed(twin.id, `claim ${id}`, (keep) => town.inside(() => act(database.db, 'claim', id, {}, twin, { keep })))
      const key = randomUUID()
      const [answers] = await Promise.all([Promise.all(Array.from({ length: 8 }, () => send(key))), claim(id, rival)])
      expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1)
      expect(new Set(answers.map(({ body }) => body)).size).toBe(1)
      expect((await stored(id)).map(({ person }) => person).sort()).toEqual([twin.id, rival.id].sort())
    }
  })
})
