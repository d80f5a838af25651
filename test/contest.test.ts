import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../src/domain/actor.ts'
import type { Step, Transition } from '../src/domain/machine.ts'
import { act, file, find } from '../src/service/requests.ts'
import { sweepOnce } from '../src/service/sweep.ts'
import { freshDatabase, type TestDatabase } from './database.ts'
import { testPlace, type TestPlace } from './place.ts'
import { call, startProcess, tokenFor, type Answer, type Running } from './processes.ts'

/** Different people, and the clock, want different things of one request at the same moment: two api processes, one winner. */

const ROUNDS = Number(process.env.CONTESTS ?? 60)

let database: TestDatabase
let town: TestPlace
let apis: Running[]
let resident: PersonActor, staff: PersonActor, member: PersonActor, other: PersonActor, worker: PersonActor

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database, { urgesPerDay: 20 })
  ;[resident, staff, member, other, worker] = await Promise.all([
    town.person(), town.person({ at: 'S', can: ['view', 'dispatch', 'publish', 'approve'] }), town.person({ kinds: ['party_member'] }), town.person({ kinds: ['volunteer'] }),
    town.person({ at: 'B', can: ['handle'] }),
  ]) as [PersonActor, PersonActor, PersonActor, PersonActor, PersonActor]
  apis = await Promise.all([1, 2].map(() => startProcess('api', { DATABASE_URL: database.url, LOG_LEVEL: 'info' })))
})
afterAll(async () => {
  await Promise.all(apis.map((api) => api.stop()))
  await database.drop()
})

const filed = (item = 'companionship') => town.inside(async () => (await file(database.db, { item, title: '换灯', node: 'U' }, resident)).id)
const does = (id: string, verb: Transition, input: object, actor: PersonActor) => town.inside(() => act(database.db, verb, id, input as never, actor))

/** Its time has come, whatever the limit was. */
const expire = (id: string, step: Step) => database.owner.query(
  `UPDATE deadline SET "openedAt" = now() - interval '9 days', "dueAt" = now() - interval '1 second', "nextAt" = now() - interval '1 second', mark = 99 WHERE "requestId" = $1 AND step = $2 AND "closedAt" IS NULL`, [id, step])

interface Contender { verb: Transition; by: PersonActor; body?: object }

/** All at once, over both doors, each with the version it has seen. */
async function contest(id: string, contenders: readonly Contender[], alongside: () => Promise<unknown> = async () => {}): Promise<Answer[]> {
  const { version } = await town.inside(() => find(database.db, id, resident))
  const [answers] = await Promise.all([
    Promise.all(contenders.map(({ verb, by, body = {} }, n) =>
      call(apis[n % 2]!.origin, tokenFor(town.tenantId, by.id), 'POST', `/v1/requests/${id}/${verb}`, body, { 'if-match': `"${version}"` }))),
    alongside(),
  ])
  return answers
}

const history = async (id: string) => (await database.owner.query<{ verb: string; toState: string }>('SELECT verb, "toState" FROM event WHERE "requestId" = $1 ORDER BY seq', [id])).rows

function oneWon(answers: Answer[]): Answer {
  const won = answers.filter(({ status }) => status === 200)
  expect(won, JSON.stringify(answers.map(({ status, body }) => [status, body.code]))).toHaveLength(1)
  for (const { status } of answers) expect([200, 409, 412, 404]).toContain(status)
  return won[0]!
}

describe('one request, one winner', () => {
  test('claim, withdraw, take-down and dispatch of what is on the wall', { timeout: 120_000 }, async () => {
    const winners = new Set<string>()
    for (let round = 0; round < ROUNDS; round++) {
      const id = await filed()
      await does(id, 'accept', {}, staff)
      await does(id, 'place', {}, staff)
      const before = await history(id)
      const contenders: Contender[] = [
        { verb: 'claim', by: member }, { verb: 'withdraw', by: resident }, { verb: 'claim', by: other }, { verb: 'take-down', by: staff },
        { verb: 'dispatch', by: staff, body: { to: worker.id } },
      ]
      const answers = await contest(id, contenders.map((_, index) => contenders[(index + round) % contenders.length]!))
      const won = oneWon(answers)
      const after = await history(id)
      expect(after).toHaveLength(before.length + 1)
      expect(after.at(-1)!.toState).toBe(won.body.state)
      winners.add(after.at(-1)!.verb)
      if (won.body.state !== 'withdrawn') await does(id, 'withdraw', {}, resident)
    }
    expect(winners.size, [...winners].join()).toBeGreaterThan(2)
  })

  test('sign, withdraw, redispatch and grant-return of what is dispatched', { timeout: 120_000 }, async () => {
    const winners = new Set<string>()
    for (let round = 0; round < ROUNDS; round++) {
      const id = await filed('corridor-light')
      await does(id, 'accept', {}, staff)
      await does(id, 'dispatch', { to: worker.id }, staff)
      await does(id, 'ask-return', { reason: 'wrong_area' }, worker)
      const before = await history(id)
      const contenders: Contender[] = [
        { verb: 'sign', by: worker }, { verb: 'withdraw', by: resident }, { verb: 'grant-return', by: staff }, { verb: 'redispatch', by: staff, body: { to: worker.id } },
        { verb: 'deny-return', by: staff, body: { reason: '仍由你办' } },
      ]
      oneWon(await contest(id, contenders.map((_, index) => contenders[(index + round) % contenders.length]!)))
      const after = await history(id)
      expect(after).toHaveLength(before.length + 1)
      winners.add(after.at(-1)!.verb)
      const { rows: [open] } = await database.owner.query<{ n: number }>(`SELECT count(*)::int AS n FROM ask WHERE "requestId" = $1 AND status = 'open'`, [id])
      expect(open!.n).toBe(after.at(-1)!.verb === 'sign' ? 1 : 0)
    }
    expect(winners.size, [...winners].join()).toBeGreaterThan(2)
  })

  test('the clock is a contender like any other: claim against the end of the wall, resubmit against its time', { timeout: 120_000 }, async () => {
    const ends = { claim: 0, 'take-down': 0, resubmit: 0, withdraw: 0 } as Record<string, number>
    const sweep = () => new Promise((resolve) => setTimeout(resolve, Math.random() * 4)).then(() => sweepOnce(database.db))
    for (let round = 0; round < ROUNDS; round++) {
      const wish = await filed()
      await does(wish, 'accept', {}, staff)
      await does(wish, 'place', {}, staff)
      await expire(wish, 'claim')
      const [claimed] = await contest(wish, [{ verb: 'claim', by: member }], sweep)
      await sweepOnce(database.db)
      const [last] = (await history(wish)).slice(3)
      expect(claimed!.status === 200).toBe(last!.verb === 'claim')
      ends[last!.verb]!++
      if (claimed!.status === 200) await does(wish, 'release', {}, member)

      const paper = await filed()
      await does(paper, 'return', { reason: 'incomplete' }, staff)
      await expire(paper, 'resubmit')
      const [back] = await contest(paper, [{ verb: 'resubmit', by: resident, body: { note: '补好了' } }], sweep)
      await sweepOnce(database.db)
      const after = await history(paper)
      expect(after[2]!.verb).toBe(back!.status === 200 ? 'resubmit' : 'withdraw')
      ends[after[2]!.verb]!++
    }
    expect(ends.claim! + ends['take-down']!).toBe(ROUNDS)
    expect(ends.resubmit! + ends.withdraw!).toBe(ROUNDS)
    console.info(`the clock against people: ${JSON.stringify(ends)}`)
  })

  test('reminders meanwhile cost nobody a 409: sixteen slots, sixteen claimers, a clock that keeps speaking', { timeout: 120_000 }, async () => {
    const claimers = await Promise.all(Array.from({ length: 16 }, () => town.person({ kinds: ['party_member'] })))
    for (let round = 0; round < 5; round++) {
      const id = await filed()
      await does(id, 'accept', {}, staff)
      await does(id, 'place', { slots: 16 }, staff)
      let speaking = true
      let said = 0
      const clock = (async () => {
        while (speaking) {
          await database.owner.query(`UPDATE deadline SET mark = 0, "nextAt" = now() - interval '1 second', "openedAt" = now() - interval '8 days', "dueAt" = now() + interval '1 day' WHERE "requestId" = $1 AND step = 'complete'`, [id])
          said += (await sweepOnce(database.db)).fired
          await new Promise((resolve) => setTimeout(resolve, 20))
        }
      })()
      const answers = await Promise.all(claimers.map((claimer, n) => call(apis[n % 2]!.origin, tokenFor(town.tenantId, claimer.id), 'POST', `/v1/requests/${id}/claim`, {})))
      speaking = false
      await clock
      expect(answers.map(({ status, body }) => (status === 200 ? 200 : body))).toEqual(Array(16).fill(200))
      expect(said).toBeGreaterThan(0)
      await does(id, 'withdraw', {}, resident)
    }
  })
})

describe('what hangs together is written together', () => {
  test('a lead completed while others are merged into it and taken out: nobody is left behind', { timeout: 120_000 }, async () => {
    for (let round = 0; round < ROUNDS / 2; round++) {
      const [lead, a, b] = [await filed('corridor-light'), await filed('corridor-light'), await filed('corridor-light')]
      await does(lead, 'accept', {}, staff)
      await does(lead, 'dispatch', { to: worker.id }, staff)
      await does(lead, 'sign', {}, worker)
      await does(a, 'merge', { into: lead }, staff)
      const post = (n: number, by: PersonActor, id: string, verb: string, body: object) => call(apis[n]!.origin, tokenFor(town.tenantId, by.id), 'POST', `/v1/requests/${id}/${verb}`, body)
      const [done, merged, out] = await Promise.all([
        post(0, worker, lead, 'complete', { outcome: '都修好了' }), post(1, staff, b, 'merge', { into: lead }), round % 2 === 0 ? post(1, staff, a, 'unmerge', {}) : undefined,
      ])
      expect(done.status, JSON.stringify(done.body)).toBe(200)
      const state = async (id: string) => (await town.inside(() => find(database.db, id, resident))).state
      expect(await state(lead)).toBe('completed')
      expect(await state(b)).toBe(merged.status === 200 ? 'completed' : 'filed')
      expect(['completed', 'accepted']).toContain(await state(a))
      if (out?.status === 200) expect(await state(a)).toBe('accepted')
      else expect(await state(a)).toBe('completed')
    }
    const { rows: [left] } = await database.owner.query<{ n: number }>(`SELECT count(*)::int AS n FROM request m JOIN request l ON l."tenantId" = m."tenantId" AND l.id = m."leadId" WHERE m.state = 'merged' AND l.state = 'completed'`)
    expect(left!.n).toBe(0)
  })
})
