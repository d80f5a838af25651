import { pino } from 'pino'
import { v7 as uuidv7 } from 'uuid'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { DEFAULT_POLICY } from '../../src/domain/policy.ts'
import { LONGEST_WAIT_MS, MOST_ATTEMPTS, PACE_MS, backoff } from '../../src/domain/robot.ts'
import { startRobots, type RobotCarrier } from '../../src/jobs/robots.ts'
import { openEgress, type Egress } from '../../src/outside/egress.ts'
import { openRobots, type Robots } from '../../src/outside/robots.ts'
import { generateKeyring, parseKeyring } from '../../src/service/keyring.ts'
import { putQuietHours, readQuietHours } from '../../src/service/quiet-hours.ts'
import { relayOnce } from '../../src/service/relay.ts'
import { act, file } from '../../src/service/requests.ts'
import { claimMessages } from '../../src/service/robot-claims.ts'
import { planMessagesOnce } from '../../src/service/robot-fanout.ts'
import { listMessages, testRobot } from '../../src/service/robot-log.ts'
import { recordMessages } from '../../src/service/robot-results.ts'
import { createRobot, listRobots, readRobot, removeRobot, updateRobot, type NewRobot, type RobotView } from '../../src/service/robots.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { eventually } from '../processes.ts'
import { startVendors, type GroupRobot, type Vendors } from '../vendors.ts'

/** Robots on a real database, by real HTTP to vendors that keep to their documents. */

const document = generateKeyring()
const keyring = parseKeyring(JSON.stringify(document))
const LINK = 'https://wish.example.cn/{tenant}/{number}'
const MONDAY = '2026-11-23T02:00:00Z' // 10:00 in Asia/Shanghai

let database: TestDatabase
let town: TestPlace
let vendors: Vendors
let egress: Egress
let robots: Robots
let resident: PersonActor, staff: PersonActor, worker: PersonActor, admin: PersonActor
let carrier: RobotCarrier | undefined
const logged: string[] = []
const log = pino({ level: 'debug' }, { write: (line: string) => void logged.push(line) })

async function clock(instant: string): Promise<void> {
  vendors.ahead = new Date(instant).getTime() - Date.now()
  await database.setClock(instant)
  await eventually(() => Promise.all([1, 2, 3, 4].map(() => database.owner.query('SELECT pg_sleep(0.01)'))).then(() => true, () => false))
}

beforeAll(async () => {
  database = await freshDatabase()
  vendors = await startVendors()
  egress = openEgress({ allowLoopback: true, allowCidrs: [] })
  robots = openRobots({ egress, hosts: [vendors.host] })
  await clock(MONDAY)
})
afterAll(async () => {
  await egress.close()
  await vendors.close()
  await database.drop()
})
let round = 0
beforeEach(async () => {
  // a tenant for each test, and an empty desk
  await database.owner.query(`UPDATE robot_message SET state = 'cancelled', "nextAt" = NULL, "endedAt" = wishwall_now() WHERE "nextAt" IS NOT NULL`)
  await database.owner.query(`UPDATE robot SET status = 'paused' WHERE status = 'enabled'`)
  town = await testPlace(database, {}, `T${round++}`)
  ;[resident, staff, worker, admin] = await Promise.all([town.person(), town.person({ can: ['view', 'dispatch', 'publish'] }), town.person({ at: 'B', can: ['view', 'handle'] }), town.person({ at: 'C', can: ['administer'] })])
})
afterEach(async () => {
  await carrier?.stop()
  carrier = undefined
})

const deps = () => ({ db: database.db, keyring, robots })
const create = (group: GroupRobot, more: Partial<NewRobot> = {}, actor = admin) =>
  town.inside(() => createRobot(deps(), { channel: 'wecom', name: '网格群', node: 'P', url: group.url, secret: group.secret, eventTypes: ['*'], ...more }, actor))
const wish = (more: object = {}, place = town, by = resident) => place.inside(() => file(database.db, { item: 'corridor-light', title: '私密的标题', node: 'U', ...more }, by))
const relayed = async () => { while ((await relayOnce(database.db)).moved > 0); }
const planned = async () => {
  await relayed()
  while ((await planMessagesOnce(database.db)).read > 0);
}
const rows = async <T extends object>(sql: string, values: unknown[] = []): Promise<T[]> => (await database.owner.query<T>(sql, values)).rows
const messages = ({ id }: RobotView) => town.inside(() => listMessages(database.db, id, { limit: 100 }, admin)).then(({ data }) => data.reverse())
const read = ({ id }: RobotView) => town.inside(() => readRobot(database.db, id, admin))
const problem = (code: string, pointer?: string) => expect.objectContaining({ code, ...(pointer ? { errors: [expect.objectContaining({ pointer })] } : {}) })
/** The pace is over, waits too; quiet hours are not. */
const rested = () => rows(`UPDATE robot SET "nextAt" = LEAST("nextAt", wishwall_now())`)

/** Relays, plans and sends what may be sent now, all of it: the pace is not waited for. */
async function carry(): Promise<void> {
  await relayed()
  carrier ??= startRobots({ db: database.db, keyring, robots, log, link: LINK, timeoutMs: 1_000 })
  await eventually(async () => {
    await carrier!.wake()
    const [left] = await rows<{ n: number }>(`SELECT count(*)::int AS n FROM robot_message m JOIN robot r ON r.id = m."robotId" WHERE m.state = 'leased' OR (m."nextAt" <= wishwall_now() AND r."nextAt" <= wishwall_now() AND (r.status = 'enabled' OR m.position IS NULL))`)
    return left!.n === 0
  })
}

describe('a robot', () => {
  test('keeps its address sealed, for itself alone, and shows no more than a mask', async () => {
    const group = vendors.robot('dingtalk')
    const robot = await create(group, { channel: 'dingtalk' })
    const token = new URL(group.url).searchParams.get('access_token')!
    expect(robot).toMatchObject({ channel: 'dingtalk', name: '网格群', node: { code: 'P' }, eventTypes: ['*'], status: 'enabled', signed: true, failures: 0, waiting: 0, holdUntil: null, url: `http://${vendors.host}/…****${token.slice(-4)}` })
    for (const view of [robot, await read(robot), (await town.inside(() => listRobots(database.db, { limit: 10 }, admin))).data]) {
      for (const secret of [token, group.secret!]) expect(JSON.stringify(view)).not.toContain(secret)
    }
    const [kept] = await rows<{ sealed: Buffer }>('SELECT * FROM robot WHERE id = $1', [robot.id])
    for (const secret of [token, group.secret!]) expect(JSON.stringify(kept)).not.toContain(secret)
    for (const secret of [token, group.secret!]) expect(kept!.sealed.includes(secret)).toBe(false)
    // moved to another robot it does not open, and nothing is sent
    const other = await create(vendors.robot('wecom'))
    await database.owner.query('UPDATE robot SET sealed = $1 WHERE id = $2', [kept!.sealed, other.id])
    await town.inside(() => testRobot(database.db, other.id, admin))
    await carry()
    expect(await messages(other)).toMatchObject([{ state: 'exhausted', reason: 'unsealed' }])
    expect(group.said).toEqual([])
  })

  test.each<[string, (group: GroupRobot) => Partial<NewRobot>, string, string | undefined]>([
    ['an unknown type', () => ({ eventTypes: ['request.*', 'request.eaten'] }), 'validation-failed', '/eventTypes/1'],
    ['an unknown node', () => ({ node: 'NOWHERE' }), 'node-unknown', '/node'],
    ['a node that is not his', () => ({ node: 'S' }), 'forbidden', undefined],
    ['a secret where there is none', () => ({ secret: 'SECx' }), 'validation-failed', '/secret'],
    ['another vendor\'s address', () => ({ channel: 'feishu' }), 'validation-failed', '/url'],
    ['an address inside', () => ({ url: 'https://10.0.0.1/cgi-bin/webhook/send?key=0123456789' }), 'validation-failed', '/url'],
  ])('is refused with %s', async (_, wrong, code, pointer) => {
    const group = vendors.robot('wecom')
    await expect(create(group, wrong(group))).rejects.toEqual(problem(code, pointer))
    expect(await rows('SELECT FROM robot WHERE "tenantId" = $1', [town.tenantId])).toEqual([])
  })

  test('is registered once, however its URL is spelled, also after the keyring was rotated; removed, it can come back', async () => {
    const group = vendors.robot('wecom')
    const robot = await create(group)
    await expect(create({ ...group, url: `${group.url}&debug=1` }, { node: 'C' })).rejects.toEqual(problem('robot-taken'))
    const rotated = parseKeyring(JSON.stringify({ ...document, index: [...generateKeyring().index, ...document.index] }))
    const again = () => town.inside(() => createRobot({ ...deps(), keyring: rotated }, { channel: 'wecom', name: '又一个', node: 'P', url: group.url }, admin))
    await expect(again()).rejects.toEqual(problem('robot-taken'))
    const other = await create(vendors.robot('wecom'))
    await expect(town.inside(() => updateRobot(deps(), other.id, { url: group.url }, admin))).rejects.toEqual(problem('robot-taken'))
    // its own it may keep
    expect(await town.inside(() => updateRobot(deps(), robot.id, { url: group.url }, admin))).toMatchObject({ id: robot.id })
    const racing = vendors.robot('wecom')
    const both = await Promise.allSettled([create(racing), create(racing)])
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    await town.inside(() => removeRobot(database.db, robot.id, admin))
    expect(await again()).toMatchObject({ status: 'enabled' })
  })

  test('is theirs who administer its place: nobody else finds it', async () => {
    const mine = await create(vendors.robot('wecom'), { node: 'B' })
    const elsewhere = await town.person({ at: 'U', can: ['administer'] })
    const app = await town.app()
    for (const stranger of [elsewhere, staff, resident, app]) {
      for (const work of [
        () => readRobot(database.db, mine.id, stranger), () => updateRobot(deps(), mine.id, { name: 'x' }, stranger), () => removeRobot(database.db, mine.id, stranger),
        () => testRobot(database.db, mine.id, stranger), () => listMessages(database.db, mine.id, { limit: 1 }, stranger),
      ]) await expect(town.inside<Promise<unknown>>(work)).rejects.toEqual(problem('not-found'))
    }
    for (const stranger of [staff, app]) await expect(town.inside(() => listRobots(database.db, { limit: 1 }, stranger))).rejects.toEqual(problem('forbidden'))
    expect((await town.inside(() => listRobots(database.db, { limit: 9 }, elsewhere))).data).toEqual([])
    await expect(town.inside(() => updateRobot(deps(), mine.id, { node: 'S' }, admin))).rejects.toEqual(problem('forbidden'))
    const neighbour = await testPlace(database, {}, `N${round++}`)
    await expect(neighbour.inside(() => readRobot(database.db, mine.id, admin))).rejects.toEqual(problem('not-found'))
  })

  test('is changed in parts; a new URL leaves the old secret behind', async () => {
    const [group, next] = [vendors.robot('feishu'), vendors.robot('feishu')]
    const robot = await create(group, { channel: 'feishu' })
    const change = (what: Parameters<typeof updateRobot>[2]) => town.inside(() => updateRobot(deps(), robot.id, what, admin))
    expect(await change({ name: '新名字', eventTypes: ['request.filed', 'request.filed'], node: 'C' })).toMatchObject({ name: '新名字', eventTypes: ['request.filed'], node: { code: 'C' }, signed: true, url: robot.url })
    expect(await change({ url: next.url })).toMatchObject({ signed: false })
    expect(await change({ secret: next.secret })).toMatchObject({ signed: true })
    await town.inside(() => testRobot(database.db, robot.id, admin))
    await carry()
    expect([group.said.length, next.shown().length]).toEqual([0, 1])
    expect(await change({ secret: null })).toMatchObject({ signed: false })
  })

  test('that is removed is gone, with its secrets and what waited', async () => {
    const robot = await create(vendors.robot('wecom'))
    await wish()
    await planned()
    await town.inside(() => removeRobot(database.db, robot.id, admin))
    await expect(read(robot)).rejects.toEqual(problem('not-found'))
    expect(await rows('SELECT kid, sealed, fingerprint FROM robot WHERE id = $1', [robot.id])).toEqual([{ kid: null, sealed: null, fingerprint: null }])
    expect(await rows('SELECT state FROM robot_message WHERE "robotId" = $1', [robot.id])).toEqual([{ state: 'cancelled' }])
    await expect(town.inside(() => removeRobot(database.db, robot.id, admin))).rejects.toEqual(problem('not-found'))
  })
})

describe('what is said', () => {
  test('is number, item, place, due and link, to the robots at or above the place that asked for it', async () => {
    const groups = { unit: vendors.robot('wecom'), compound: vendors.robot('dingtalk'), community: vendors.robot('feishu'), deaf: vendors.robot('wecom') }
    await create(groups.unit, { node: 'U' })
    await create(groups.compound, { channel: 'dingtalk', eventTypes: ['request.filed'] })
    await create(groups.community, { channel: 'feishu', node: 'C', eventTypes: undefined })
    await create(groups.deaf, { eventTypes: ['request.escalated'] })
    await database.owner.query(`UPDATE node SET name = '3号楼' WHERE "tenantId" = $1 AND code = 'B'`, [town.tenantId])
    await database.owner.query(`UPDATE node SET name = '银雀华府' WHERE "tenantId" = $1 AND code = 'P'`, [town.tenantId])
    const { id, number } = await wish({ node: 'B' })
    await town.inside(() => act(database.db, 'accept', id, {}, staff))
    await town.inside(() => act(database.db, 'dispatch', id, { to: worker.id }, staff))
    const { id: inUnit, number: unitNumber } = await wish()
    await carry()
    await rested()
    await carry()
    const [{ code }] = await rows<{ code: string }>('SELECT code FROM tenant WHERE id = $1', [town.tenantId]) as [{ code: string }]
    expect(groups.community.shown()).toEqual([`【心愿墙】派单\n单号：${number}\n事项：楼道灯\n地点：银雀华府 3号楼\n时限：2026-11-24 11:00\n查看：https://wish.example.cn/${code}/${number}`])
    expect(groups.compound.shown()).toHaveLength(1)
    expect(groups.compound.shown()[0]).toMatch(new RegExp(`^【心愿墙】2 件待关注\n1\\. 点单｜(${number}|${unitNumber})｜`))
    expect(groups.unit.shown().join()).toContain(unitNumber)
    expect(groups.unit.shown().join()).not.toContain(number)
    expect(groups.deaf.said).toEqual([])
    for (const group of Object.values(groups)) expect(group.shown().join()).not.toMatch(/私密|示例/)
    expect(inUnit).toBeTruthy()
  })

  test('of a confidential matter is number, kind, community and due only', async () => {
    const group = vendors.robot('wecom')
    await create(group, { node: 'C' })
    await database.owner.query(`UPDATE node SET name = code || '号楼' WHERE "tenantId" = $1 AND code = 'B'`, [town.tenantId])
    await database.owner.query(`UPDATE node SET name = '梨杭村' WHERE "tenantId" = $1 AND code = 'C'`, [town.tenantId])
    await database.owner.query(`INSERT INTO item ("tenantId", id, code, version, name, category, kind, mode, wall, "policyCode") VALUES ($1, $2, 'quarrel', 1, '邻里纠纷', 'x', 'mediation', 'dispatch', false, 'standard')`, [town.tenantId, uuidv7()])
    const { number } = await wish({ confidential: true })
    const { id, number: quarrel } = await wish({ item: 'quarrel', node: 'B' })
    // which step it waits for is nobody's business either
    await rows(`WITH e AS (INSERT INTO event ("tenantId", "requestId", seq, verb, "fromState", "toState", at, cycle, path, "actorKind", data)
        SELECT "tenantId", id, 2, 'remind', state, state, wishwall_now(), 1, path, 'system', $2 FROM request WHERE id = $1 RETURNING *),
      o AS (INSERT INTO outbox ("tenantId", id, "requestId", seq, type, at, path, payload) SELECT "tenantId", $3, "requestId", seq, 'request.reminded', at, path, '{}' FROM e) UPDATE request SET version = 2 WHERE id = $1`,
    [id, { step: 'accept', dueAt: '2026-11-24T03:00:00.000Z', logicalAt: '2026-11-23T02:00:00.000Z', tell: ['dispatch'] }, uuidv7()])
    await carry()
    const text = group.shown().join('\n')
    expect(text).toContain(`点单｜${number}｜服务｜梨杭村｜时限 2026-11-24 11:00`)
    expect(text).toContain(`点单｜${quarrel}｜调解｜梨杭村｜时限 2026-11-24 11:00`)
    expect(text).toContain(`到期提醒｜${quarrel}｜调解｜梨杭村｜时限 2026-11-24 11:00`)
    for (const word of ['楼道灯', '邻里', '号楼', '受理', 'U｜']) expect(text).not.toContain(word)
  })

  test('is each event once, however often the feed is read and by how many', async () => {
    const group = vendors.robot('wecom')
    const robot = await create(group)
    await Promise.all(Array.from({ length: 12 }, () => wish()))
    await relayed()
    await Promise.all([1, 2, 3].map(async () => { while ((await planMessagesOnce(database.db, 5)).read > 0); }))
    await rows(`UPDATE cursor SET position = position - 8 WHERE name = 'robots'`)
    await planned()
    expect(await messages(robot)).toHaveLength(12)
  })

  test('begins with what comes after the robot; nothing is said for the time it was paused', async () => {
    const group = vendors.robot('wecom')
    await wish()
    await planned()
    await rows(`UPDATE cursor SET position = 0 WHERE name = 'robots'`)
    const robot = await create(group)
    await wish()
    await planned()
    expect(await messages(robot)).toHaveLength(1)
    expect(await town.inside(() => updateRobot(deps(), robot.id, { status: 'paused' }, admin))).toMatchObject({ status: 'paused', waiting: 0 })
    await wish()
    await carry()
    await town.inside(() => updateRobot(deps(), robot.id, { status: 'enabled' }, admin))
    await carry()
    expect(group.said).toEqual([])
    expect((await messages(robot)).map(({ state }) => state)).toEqual(['cancelled'])
  })

  test('of a burst goes out as one digest with all that is due counted', async () => {
    const group = vendors.robot('wecom')
    const robot = await create(group)
    const numbers = (await Promise.all(Array.from({ length: 40 }, () => wish()))).map(({ number }) => number)
    await carry()
    expect(group.shown()).toHaveLength(1)
    const [text] = group.shown()
    expect(text!.split('\n')[0]).toBe('【心愿墙】40 件待关注')
    const named = numbers.filter((number) => text!.includes(`｜${number}｜`))
    expect(named.length).toBeGreaterThan(3)
    expect(text!.endsWith(`还有 ${40 - named.length} 件…`)).toBe(true)
    expect(Buffer.byteLength(text!)).toBeLessThanOrEqual(2048)
    expect(new Set((await messages(robot)).map(({ state }) => state))).toEqual(new Set(['delivered']))
  })

  test('of events that were erased meanwhile is nothing', async () => {
    const group = vendors.robot('wecom')
    const robot = await create(group)
    await wish()
    await planned()
    await rows(`UPDATE robot_message SET seq = 999 WHERE "robotId" = $1`, [robot.id])
    await carry()
    expect(group.said).toEqual([])
    expect(await messages(robot)).toMatchObject([{ state: 'exhausted', reason: 'erased' }])
  })
})

describe('the pace', () => {
  test('begins when the last message has ended, and is nobody else\'s', async () => {
    const [group, other] = [vendors.robot('wecom'), vendors.robot('wecom')]
    const robot = await create(group)
    await wish()
    await carry()
    await wish()
    await create(other)
    await wish()
    await carry()
    expect([group.said.length, other.said.length]).toEqual([1, 1])
    const { holdUntil, waiting } = await read(robot)
    const [now] = await rows<{ now: Date }>('SELECT wishwall_now() AS now')
    expect(holdUntil!.getTime() - now!.now.getTime()).toBeLessThanOrEqual(PACE_MS)
    expect(waiting).toBe(2)
    await rested()
    await carry()
    expect(group.shown()).toHaveLength(2)
  })

  test('is one message under way: two workers share it', async () => {
    const group = vendors.robot('wecom', { mood: 'hang' })
    await create(group)
    await wish()
    const carriers = [1, 2].map(() => startRobots({ db: database.db, keyring, robots, log, link: LINK, timeoutMs: 600 }))
    await relayed()
    await Promise.all(carriers.map((one) => one.wake()))
    await wish()
    await relayed()
    for (let n = 0; n < 10; n++) await Promise.all(carriers.map((one) => one.wake()))
    await eventually(async () => group.said.length > 0)
    expect(group.said).toHaveLength(1)
    await Promise.all(carriers.map((one) => one.stop()))
  })

  test('of 20 a minute holds whatever each message takes', () => {
    // 21 messages need 20 gaps from an end to the next beginning.
    expect(20 * PACE_MS).toBeGreaterThanOrEqual(60_000)
  })
})

describe('a robot that does not take it', () => {
  const failing = async (mood: GroupRobot['mood'], channel: NewRobot['channel'] = 'wecom') => {
    const group = vendors.robot(channel, { mood })
    const robot = await create(group, { channel })
    await wish()
    await carry()
    return { group, robot }
  }
  const waitsFor = async (robot: RobotView) => {
    const [row] = await rows<{ ms: number }>(`SELECT extract(epoch FROM "nextAt" - wishwall_now())::float8 * 1000 AS ms FROM robot WHERE id = $1`, [robot.id])
    return row!.ms
  }

  test('is tried again later, with what has come meanwhile, and is well again', async () => {
    const { group, robot } = await failing('broken')
    expect(await read(robot)).toMatchObject({ failures: 1, reason: 'answer', code: '502', waiting: 1, failingSince: expect.any(Date) })
    expect(await waitsFor(robot)).toBeGreaterThan(PACE_MS)
    await wish()
    await carry()
    expect(group.said).toHaveLength(1)
    group.mood = 'well'
    await rested()
    await carry()
    expect(group.shown()).toHaveLength(1)
    expect(group.shown()[0]).toContain('2 件待关注')
    expect(await read(robot)).toMatchObject({ failures: 0, failingSince: null, reason: null, code: null, waiting: 0, deliveredAt: expect.any(Date) })
    expect((await messages(robot)).map(({ state, attempts }) => [state, attempts])).toEqual([['delivered', 1], ['delivered', 0]])
  })

  test('because it was too fast has failed at nothing, and is left alone: by DingTalk for ten minutes', async () => {
    const { group, robot } = await failing('banned', 'dingtalk')
    expect(await read(robot)).toMatchObject({ failures: 0, reason: 'throttled', code: '130101', waiting: 1 })
    expect(await waitsFor(robot)).toBeGreaterThan(590_000)
    // a new secret is no way round a ban
    await town.inside(() => updateRobot(deps(), robot.id, { secret: group.secret }, admin))
    expect(await waitsFor(robot)).toBeGreaterThan(590_000)
    group.mood = 'well'
    await rested()
    await carry()
    expect(group.shown()).toHaveLength(1)
    expect(await messages(robot)).toMatchObject([{ state: 'delivered', attempts: 0 }])
  })

  test('because of its address is tried seldom, and at once when that is mended', async () => {
    const { robot } = await failing('gone')
    expect(await read(robot)).toMatchObject({ failures: 1, reason: 'token', code: '93000' })
    expect(await waitsFor(robot)).toBeGreaterThan(290_000)
    const next = vendors.robot('wecom')
    await town.inside(() => updateRobot(deps(), robot.id, { url: next.url }, admin))
    expect(await waitsFor(robot)).toBeLessThanOrEqual(PACE_MS)
    await rested()
    await carry()
    expect(next.shown()).toHaveLength(1)
  })

  test('for too long, or too often, is given up on; the robot is not', async () => {
    const { group, robot } = await failing('broken')
    for (let n = 1; n < MOST_ATTEMPTS; n++) {
      expect((await messages(robot))[0]).toMatchObject({ state: 'pending', attempts: n })
      await rested()
      await carry()
    }
    expect(await messages(robot)).toMatchObject([{ state: 'exhausted', attempts: MOST_ATTEMPTS, reason: 'answer', endedAt: expect.any(Date) }])
    await wish()
    await planned()
    group.mood = 'busy'
    await rows(`UPDATE robot_message SET "createdAt" = "createdAt" - $1 * interval '1 millisecond' WHERE state = 'pending'`, [LONGEST_WAIT_MS])
    await rested()
    await carry()
    expect((await messages(robot))[1]).toMatchObject({ state: 'exhausted', attempts: 0, reason: 'throttled' })
    group.mood = 'well'
    await wish()
    await rested()
    await carry()
    expect(group.shown()).toHaveLength(1)
  })

  test('waits ever longer, up to an hour', () => {
    const waits = Array.from({ length: 20 }, (_, n) => backoff(n + 1, 'failed'))
    expect(waits).toEqual([...waits].sort((a, b) => a - b))
    expect([waits[0], waits.at(-1)]).toEqual([10_000, 3_600_000])
    expect(backoff(1, 'refused')).toBe(300_000)
  })

  test('delays nobody else', async () => {
    const slow = await Promise.all(Array.from({ length: 8 }, () => create(vendors.robot('wecom', { mood: 'hang' }))))
    const [quick] = [vendors.robot('wecom')]
    await create(quick)
    await wish()
    await relayed()
    carrier = startRobots({ db: database.db, keyring, robots, log, link: LINK, timeoutMs: 10_000 })
    await carrier.wake()
    await eventually(async () => quick.shown().length === 1)
    for (const robot of slow) expect(await messages(robot)).toMatchObject([{ state: 'leased' }])
    await carrier.stop(0)
    carrier = undefined
  })
})

describe('a worker that dies', () => {
  const lease = () => claimMessages(database.db, 10, 15_000)

  test('before it records leaves a lease that ends: then another sends the same again', async () => {
    const robot = await create(vendors.robot('wecom'))
    await wish()
    await planned()
    const [first] = await lease()
    expect(first).toMatchObject({ robotId: robot.id, total: 1, claim: 1 })
    expect(await lease()).toEqual([])
    expect(await messages(robot)).toMatchObject([{ state: 'leased' }])
    const [now] = await rows<{ s: number }>(`SELECT extract(epoch FROM "nextAt" - wishwall_now())::float8 AS s FROM robot_message WHERE "robotId" = $1`, [robot.id])
    expect(now!.s).toBeGreaterThan(0)
    await rows(`UPDATE robot_message SET "nextAt" = wishwall_now() WHERE "robotId" = $1`, [robot.id])
    expect(await lease()).toEqual([]) // the robot itself is leased, too
    await rested()
    const [second] = await lease()
    expect(second).toMatchObject({ robotId: robot.id, total: 1, claim: 2 })
    // the dead one wakes up: what it says counts no more
    expect(await recordMessages(database.db, [{ of: first!, verdict: { kind: 'failed', reason: 'timeout', code: null } }])).toEqual({})
    expect(await messages(robot)).toMatchObject([{ state: 'leased', attempts: 0 }])
    expect(await read(robot)).toMatchObject({ failures: 0 })
    expect(await recordMessages(database.db, [{ of: second!, verdict: { kind: 'delivered' } }])).toEqual({ delivered: 1 })
  })

  test('or is too slow does not undo what was cancelled meanwhile', async () => {
    const robot = await create(vendors.robot('wecom'))
    await wish()
    await planned()
    const [claimed] = await lease()
    await town.inside(() => updateRobot(deps(), robot.id, { status: 'paused' }, admin))
    expect(await recordMessages(database.db, [{ of: claimed!, verdict: { kind: 'failed', reason: 'timeout', code: null } }])).toEqual({})
    expect(await messages(robot)).toMatchObject([{ state: 'cancelled' }])
  })
})

describe('a test', () => {
  test('is sent once, alone, at any hour, also while paused; what came of it is told', async () => {
    const group = vendors.robot('feishu')
    const robot = await create(group, { channel: 'feishu' })
    await town.inside(() => updateRobot(deps(), robot.id, { status: 'paused' }, admin))
    expect(await town.inside(() => testRobot(database.db, robot.id, admin))).toMatchObject({ type: 'robot.test', number: null, state: 'pending' })
    await carry()
    expect(group.shown()).toEqual(['【心愿墙】测试消息：机器人已接入 P'])
    group.mood = 'keyword'
    await town.inside(() => testRobot(database.db, robot.id, admin))
    await rested()
    await carry()
    expect((await messages(robot)).map(({ state, reason, code }) => [state, reason, code])).toEqual([['delivered', null, null], ['exhausted', 'keyword', '19024']])
    for (let n = 0; n < 5; n++) await town.inside(() => testRobot(database.db, robot.id, admin))
    await expect(town.inside(() => testRobot(database.db, robot.id, admin))).rejects.toEqual(problem('limit-reached'))
  })

  test('of an address that has come to lead inside is refused by the guard', async () => {
    const robot = await create(vendors.robot('wecom'))
    await town.inside(() => testRobot(database.db, robot.id, admin))
    const strict = openEgress({ allowLoopback: false, allowCidrs: [] })
    carrier = startRobots({ db: database.db, keyring, robots: openRobots({ egress: strict, hosts: [vendors.host] }), log, link: LINK })
    await eventually(async () => {
      await carrier!.wake()
      return (await messages(robot))[0]!.state === 'exhausted'
    })
    expect(await messages(robot)).toMatchObject([{ reason: 'scheme', code: null }])
    await strict.close()
    // and once the operator takes the host off the list, nothing goes there at all
    await carrier.stop()
    await rested()
    await town.inside(() => testRobot(database.db, robot.id, admin))
    carrier = startRobots({ db: database.db, keyring, robots: openRobots({ egress, hosts: [] }), log, link: LINK })
    await eventually(async () => {
      await carrier!.wake()
      return (await messages(robot))[1]!.state === 'exhausted'
    })
    expect((await messages(robot))[1]).toMatchObject({ reason: 'vendor' })
  })
})

describe('quiet hours', () => {
  afterAll(() => clock(MONDAY))
  const night = '2026-11-23T13:30:00Z' // 21:30

  test('hold what is not urgent until the next working time, then it goes out together', async () => {
    await clock(night)
    const group = vendors.robot('wecom')
    const robot = await create(group)
    await Promise.all([wish(), wish(), wish()])
    await carry()
    expect(group.said).toEqual([])
    expect((await messages(robot)).map(({ nextAt }) => nextAt?.toISOString())).toEqual(Array.from({ length: 3 }, () => '2026-11-24T01:00:00.000Z'))
    await carrier!.stop()
    carrier = undefined
    await clock('2026-11-24T01:00:01Z')
    await carry()
    expect(group.shown()).toHaveLength(1)
    expect(group.shown()[0]).toContain('3 件待关注')
  })

  test('do not hold what is urgent, which goes alone past what waits', async () => {
    await clock(night)
    const emergency = await testPlace(database, { limits: { ...DEFAULT_POLICY.limits, complete: '24h' } }, `E${round++}`)
    const group = vendors.robot('wecom')
    const chief = await emergency.person({ at: 'C', can: ['administer'] })
    await emergency.inside(() => createRobot(deps(), { channel: 'wecom', name: '应急', node: 'P', url: group.url, eventTypes: ['*'] }, chief))
    const { number } = await wish({}, emergency, await emergency.person())
    await carry()
    expect(group.shown()).toHaveLength(1)
    expect(group.shown()[0]).toContain(`【急】点单\n单号：${number}`)
    const mixed = vendors.robot('wecom')
    const robot = await create(mixed)
    const [calm, pressing] = [await wish(), await wish()]
    await rows(`UPDATE request SET grade = 'urgent' WHERE id = $1`, [pressing.id])
    await carry()
    expect(mixed.shown()).toHaveLength(1)
    expect(mixed.shown()[0]).toContain(pressing.number)
    expect(mixed.shown()[0]).not.toContain(calm.number)
    expect((await messages(robot)).map(({ urgent, state }) => [urgent, state])).toEqual([[false, 'pending'], [true, 'delivered']])
  })

  test('hold anew what an outage has carried into the night', async () => {
    await clock('2026-11-23T09:50:00Z') // 17:50
    const group = vendors.robot('wecom', { mood: 'broken' })
    const robot = await create(group)
    await wish()
    await carry()
    expect(group.said).toHaveLength(1)
    await carrier!.stop()
    carrier = undefined
    group.mood = 'well'
    await clock('2026-11-23T10:05:00Z') // 18:05
    await carry()
    expect(group.said).toHaveLength(1)
    expect(await messages(robot)).toMatchObject([{ state: 'pending', nextAt: new Date('2026-11-24T01:00:00Z') }])
  })

  test('are those of the nearest place that has some', async () => {
    await clock(night)
    const at = (node?: string) => town.inside(() => readQuietHours(database.db, node))
    expect(await at()).toMatchObject({ node: { code: 'S' }, begins: '21:00', ends: '08:00', workingTimeOnly: true, setAt: null })
    const put = (node: string | undefined, quiet: Parameters<typeof putQuietHours>[2], by = admin) => town.inside(() => putQuietHours(database.db, node, quiet, by))
    await put('C', { begins: '22:00', ends: '07:00', workingTimeOnly: false })
    await put('B', { begins: '20:00', ends: '07:00', workingTimeOnly: false })
    expect([(await at('U')).setAt?.code, (await at('P')).setAt?.code, (await at('S')).setAt]).toEqual(['B', 'C', null])
    const groups = [vendors.robot('wecom'), vendors.robot('wecom')] as const
    await create(groups[0], { node: 'C' })
    await create(groups[1], { node: 'B' })
    await wish()
    await carry()
    expect(groups.map(({ said }) => said.length)).toEqual([1, 0])
    expect(await put('B', null)).toMatchObject({ setAt: { code: 'C' } })
    await wish()
    await rested()
    await carry()
    expect(groups.map(({ said }) => said.length)).toEqual([2, 1])
    for (const by of [staff, worker]) await expect(put('C', null, by)).rejects.toEqual(problem('forbidden'))
    await expect(put(undefined, null)).rejects.toEqual(problem('forbidden'))
    await expect(put('NOWHERE', null)).rejects.toEqual(problem('node-unknown', '/node'))
  })
})

test('whatever happened here, no log line held an address, a secret or words of a resident', () => {
  expect(logged.length).toBeGreaterThan(5)
  for (const word of ['/cgi-bin/', 'access_token', 'open-apis', 'SEC', '私密', '心愿墙']) expect(logged.filter((line) => line.includes(word)), word).toEqual([])
})
