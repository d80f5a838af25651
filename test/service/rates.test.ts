import { afterAll, beforeAll, expect, test } from 'vitest'
import { dayText } from '../../src/domain/calendar-day.ts'
import { dayOf } from '../../src/domain/calendar.ts'
import { RATES, RATE_CODES, type Figure, type RateCode } from '../../src/domain/rates.ts'
import { DEFAULT_SETTINGS, lowLevels } from '../../src/domain/settings.ts'
import { generateKeyring, parseKeyring } from '../../src/service/keyring.ts'
import { period } from '../../src/service/periods.ts'
import { countOnce, recount } from '../../src/service/rate-facts.ts'
import { rateRequests } from '../../src/service/rate-requests.ts'
import { rates, trend } from '../../src/service/rates.ts'
import { relayOnce } from '../../src/service/relay.ts'
import { act, file } from '../../src/service/requests.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { naiveRates, naiveUnits, type NaiveQuery } from '../naive-rates.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { chance, Stroll, townsfolk, type Chance, type Townsfolk } from '../stroll.ts'

/**
 * Random histories through the real service, over weeks: whatever the endpoint says of any place, service, party and time is
 * what a plain reading of the event feed says. `RATES_REQUESTS=400 SEED=… npx vitest run test/service/rates.test.ts` is the long run.
 */

const REQUESTS = Number(process.env['RATES_REQUESTS'] ?? 60)
const ROUNDS = Number(process.env['RATES_ROUNDS'] ?? 26)
const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const START = Date.parse('2026-03-02T01:00:00Z')
const KEYRING = parseKeyring(JSON.stringify(generateKeyring()))
const ZONE = DEFAULT_SETTINGS.zone

let database: TestDatabase
let town: TestPlace
let folk: Townsfolk
let dice: Chance
let stroll: Stroll
let now = START

const clock = async (): Promise<void> => database.setClock(new Date(now).toISOString())

beforeAll(async () => {
  console.info(`rates: seed ${seed} (SEED=${seed} repeats it), ${REQUESTS} requests over ${ROUNDS} rounds`)
  dice = chance(seed)
  database = await freshDatabase()
  town = await testPlace(database, { returnsMax: 1, urgesPerDay: 20, extensionsMax: 3, parksMax: 3, redoMax: 2, claims: { perClaimer: 1000 }, limits: { complete: '4wd', respond: '6wh', claim: '5d' } })
  folk = await townsfolk(town)
  await clock()
  stroll = new Stroll(database, folk, dice)
  await town.inside(async () => {
    // Rare when left to chance: claims are held for days.
    const wish = (await file(database.db, { item: 'companionship', title: '心愿', node: 'U' }, folk.resident)).id
    const [, staff, , , , , member] = folk.actors
    await act(database.db, 'accept', wish, {}, staff!)
    await act(database.db, 'place', wish, {}, staff!)
    await act(database.db, 'claim', wish, {}, member!)
    await act(database.db, 'release', wish, {}, member!)
    stroll.ids.push(wish)
    stroll.done.set('release', 1)
    for (let round = 0; round < ROUNDS; round++) {
      now += (4 + dice(60)) * 3_600_000
      await clock()
      while (stroll.ids.length < (REQUESTS * (round + 1)) / (ROUNDS * 0.7) && stroll.ids.length < REQUESTS) await stroll.file(['U', 'U', 'B', 'P'])
      for (const id of stroll.ids) for (let times = dice(3); times > 0; times--) await stroll.step(id)
      await stroll.sweep()
      // 小区划归另一个社区: what is still to come belongs there, what was belongs where it was.
      if (round === Math.floor(ROUNDS / 2)) await move()
      if (round % 5 === 2) await told()
    }
  })
  await told()
}, 600_000)
afterAll(() => database.drop())

/** Everything below the community C, the compound P and what is in it, hangs on a community D from now on. */
async function move(): Promise<void> {
  const { owner } = database
  await owner.query(`INSERT INTO node ("tenantId", id, "parentId", code, name, level, path) SELECT "tenantId", gen_random_uuid(), "parentId", 'D', 'D', level, 'S/D/' FROM node WHERE code = 'C'`)
  await owner.query(`UPDATE node SET "parentId" = (SELECT id FROM node WHERE code = 'D') WHERE code = 'P'`)
  for (const table of ['node', 'request']) await owner.query(`UPDATE ${table} SET path = replace(path, 'S/C/P/', 'S/D/P/') WHERE path LIKE 'S/C/P/%'`)
  database.db.memory.clear()
  const moved = await Promise.all(folk.actors.map(async (actor) => (await import('../../src/service/actors.ts')).personActor(database.db, actor.id, null)))
  folk.actors.splice(0, folk.actors.length, ...moved.map((actor) => actor!))
}

async function told(): Promise<void> {
  while ((await relayOnce(database.db)).moved > 0);
  while ((await countOnce(database.db, 7)) > 0);
  database.db.memory.clear()
}

const plain = ({ rate, numerator, denominator, excluded, apart }: Figure) => ({ rate, numerator, denominator, excluded, apart: Object.fromEntries(apart.map(({ code, count }) => [code, count])) })
const units = () => naiveUnits(database.owner, town.tenantId, lowLevels(DEFAULT_SETTINGS))
const rateable = (party: unknown): readonly RateCode[] => (party === undefined ? RATE_CODES : RATE_CODES.filter((code) => RATES[code].byParty))
const databaseNow = async (): Promise<Date> => (await database.owner.query<{ now: Date }>('SELECT wishwall_now() AS now')).rows[0]!.now

/** Some days of it, or all. */
function someDays(): { from: string; to: string } {
  const first = Date.parse(`${dayOf(ZONE, new Date(START))}T00:00:00Z`) / 86_400_000
  const length = Math.ceil((now - START) / 86_400_000) + 3
  const from = dice(3) === 0 ? 0 : dice(length)
  return { from: dayText(first + from), to: dayText(first + from + (from === 0 ? length : dice(length - from + 1))) }
}

const asked = (node: string, days: { from: string; to: string }, more: Partial<NaiveQuery>, at: Date): NaiveQuery => {
  const { since, until } = period(ZONE, days.from, days.to)
  return { node, since, until, now: at, ...more }
}

const WANTED = ['claim', 'release', 'complete', 'send-back', 'follow-up', 'rate', 'reopen', 'merge', 'grant-park', 'grant-extension', 'grant-exclusion', 'grant-return', 'redispatch']
const missing = () => WANTED.filter((verb) => !stroll.done.has(verb))

test('everything happened', () => {
  expect(missing()).toEqual([])
})

test('every figure is what a plain reading of the feed says: places, services, parties and times', async () => {
  const all = await units()
  const at = await databaseNow()
  const chief = folk.actors.find(({ id }) => id === folk.chief.id)!
  const parties = [...new Set(all.flatMap((unit) => unit.parties))]
  expect(parties.length).toBeGreaterThan(1)
  let counted = 0
  await town.inside(async () => {
    for (let n = 0; n < 120; n++) {
      const node = dice.one(['S', 'S', 'C', 'D', 'P', 'B', 'U'])
      const days = n < 7 ? { from: '2026-03-01', to: '2026-12-31' } : someDays()
      const item = dice(3) === 0 ? dice.one(['companionship', 'corridor-light', 'confidential']) : undefined
      const party = dice(3) === 0 ? dice.one(parties) : undefined
      const where = `${node} ${days.from}–${days.to} item ${item} party ${party}`
      const more = { ...(item && { item }), ...(party && { party }) }
      const answer = await rates(database.db, KEYRING, { node, ...days, ...more }, chief)
      expect(answer.rates.map(plain), where).toEqual(naiveRates(all, rateable(party), asked(node, days, more, at)))
      counted += answer.rates.reduce((sum, { denominator }) => sum + denominator, 0)
    }
  })
  expect(counted).toBeGreaterThan(REQUESTS * 10)
  // What hung elsewhere at that time counts there, and for the place itself both before and after.
  const whole = { from: '2026-03-01', to: '2026-12-31' }
  const filed = (node: string) => naiveRates(all, ['on_time'], asked(node, whole, {}, at))[0]!.denominator
  expect([filed('C') > 0, filed('D') > 0, filed('P')]).toEqual([true, true, filed('P')])
  expect(filed('P')).toBeGreaterThan(Math.max(filed('C'), filed('D')) - 5)
})

test('groups say the same as each asked for by itself, and a trend adds up to the whole', async () => {
  const all = await units()
  const at = await databaseNow()
  const chief = folk.actors.find(({ id }) => id === folk.chief.id)!
  const days = { from: '2026-03-01', to: dayOf(ZONE, new Date(now)) }
  await town.inside(async () => {
    for (const [node, group] of [['S', 'node'], ['P', 'node'], ['S', 'item'], ['S', 'party'], ['B', 'party']] as const) {
      const answer = await rates(database.db, KEYRING, { node, group, ...days }, chief)
      expect(answer.groups.length, group).toBeGreaterThan(0)
      expect(answer.rates.map(plain), `${node} by ${group}`).toEqual(naiveRates(all, RATE_CODES, asked(node, days, {}, at)))
      for (const { key, kind, rates: figures } of answer.groups) {
        // The place itself, beside those below it.
        if (group === 'node' && key === node) continue
        const more = group === 'item' ? { item: key } : group === 'party' ? { party: key } : {}
        const here = all.filter((unit) => group !== 'node' || unit.path.split('/').includes(node))
        expect(figures.map(plain), `${node} ${kind} ${key}`).toEqual(naiveRates(here, rateable(more.party), asked(group === 'node' ? key : node, days, more, at)))
      }
    }
    // Whoever watches over several places, one of them deeper down, has them told apart.
    const trees = ['S/C/', 'S/D/P/B/']
    const twice = { ...chief, duties: trees.map((path) => ({ ...chief.duties[0]!, path, organisationId: null })) }
    const under = (...paths: string[]) => naiveRates(all.filter(({ path }) => paths.some((tree) => path.startsWith(tree))), RATE_CODES, asked('S', days, {}, at))
    for (const group of ['node', 'item'] as const) {
      const { rates: both, groups } = await rates(database.db, KEYRING, { group, ...days }, twice)
      expect(both.map(plain), `both by ${group}`).toEqual(under(...trees))
      if (group === 'node') for (const [key, tree] of [['C', 'S/C/'], ['B', 'S/D/P/B/']] as const) expect(groups.find((one) => one.key === key)!.rates.map(plain), tree).toEqual(under(tree))
    }
    const whole = await rates(database.db, KEYRING, { node: 'S', ...days }, chief)
    for (const by of ['day', 'week', 'month'] as const) {
      const { data } = await trend(database.db, { node: 'S', by, ...days }, chief)
      expect(data[0]!.from).toBe(days.from)
      expect(data.at(-1)!.to).toBe(days.to)
      for (const figure of whole.rates) {
        const sum = (what: 'numerator' | 'denominator' | 'excluded') => data.reduce((all2, point) => all2 + point.rates.find(({ rate }) => rate === figure.rate)![what], 0)
        expect([by, figure.rate, sum('numerator'), sum('denominator'), sum('excluded')]).toEqual([by, figure.rate, figure.numerator, figure.denominator, figure.excluded])
      }
      for (const { from, to, rates: figures } of data.filter((_, index) => index % (by === 'day' ? 9 : 1) === 0)) {
        expect(figures.map(plain), `${by} ${from}`).toEqual(naiveRates(all, RATE_CODES, asked('S', { from, to }, {}, at)))
      }
    }
  })
})

test('behind every figure stand as many requests as it says, with who excluded what and why', async () => {
  const chief = folk.actors.find(({ id }) => id === folk.chief.id)!
  const days = { from: '2026-03-01', to: '2026-12-31' }
  const behind = async (rate: RateCode, part: 'numerator' | 'denominator' | 'excluded', node: string) => {
    const found = []
    for (let cursor: string | undefined; ;) {
      const { data, page } = await rateRequests(database.db, rate, { node, part, limit: 17, cursor, ...days }, chief)
      found.push(...data)
      if (!page.hasMore) return found
      cursor = page.nextCursor!
    }
  }
  await town.inside(async () => {
    for (const node of ['S', 'P']) {
      const { rates: figures, exclusions } = await rates(database.db, KEYRING, { node, ...days }, chief)
      for (const figure of figures) for (const part of ['numerator', 'denominator', 'excluded'] as const) expect((await behind(figure.rate, part, node)).length, `${node} ${figure.rate} ${part}`).toBe(figure[part])
      expect(exclusions.count).toBeGreaterThan(0)
      for (const one of exclusions.data) expect(one).toMatchObject({ reason: '§reason', approvedBy: expect.any(String), askedBy: expect.any(String) })
      for (const { exclusion } of await behind('on_time', 'excluded', node)) expect(exclusion).toMatchObject({ reason: '§reason', approvedBy: expect.any(String) })
    }
  })
})

test('counting again changes nothing: all anew, and the whole feed once more', async () => {
  const { owner, db } = database
  const facts = async () => (await owner.query(`SELECT "requestId", cycle, base, unit, slot, "partyId", at, day, path, item, met, excluded FROM rate_fact WHERE at IS NOT NULL ORDER BY 1, 2, 3, 4, 5`)).rows
  const months = async () => (await owner.query(`SELECT path, "partyId", month, base, item, met, excluded, "abovePath", count FROM rate_month WHERE count > 0 ORDER BY 1, 2, 3, 4, 5, 6, 7`)).rows
  const [before, added] = [await facts(), await months()]
  expect(added.length).toBeGreaterThan(50)
  const said: number[] = []
  expect(await recount(db, (done) => said.push(done), 13)).toBe(REQUESTS)
  expect(said.at(-1)).toBe(REQUESTS)
  expect([await facts(), await months()]).toEqual([before, added])
  await owner.query(`UPDATE cursor SET position = 0 WHERE name = 'figures'`)
  while ((await countOnce(db)) > 0);
  expect([await facts(), await months()]).toEqual([before, added])
  // Out of nothing, too.
  await owner.query(`TRUNCATE rate_fact`)
  await recount(db)
  expect([await facts(), await months()]).toEqual([before, added])
})
