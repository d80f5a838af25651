import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import type { PersonActor } from '../src/domain/actor.ts'
import { DEFAULT_POLICY } from '../src/domain/policy.ts'
import { openEgress, type Egress } from '../src/outside/egress.ts'
import { openRobots } from '../src/outside/robots.ts'
import { file } from '../src/service/requests.ts'
import { createRobot } from '../src/service/robots.ts'
import { freshDatabase, type TestDatabase } from './database.ts'
import { testPlace, type TestPlace } from './place.ts'
import { eventually, keyring, startProcess, type Running } from './processes.ts'
import { startVendors, type GroupRobot, type Vendors } from './vendors.ts'

/**
 * Group robots by two real workers, killed with SIGKILL, on real HTTP. The minute of the vendors' 20 is shortened by one
 * setting, not by a false clock; the matter is an emergency, so that no hour of the day is quiet.
 */

/** A minute becomes 12 s: long enough that the workers, who look twice a second, would say more than 20 if they might. */
const TIME_FACTOR = 0.2
const MINUTE_MS = 60_000 * TIME_FACTOR
const TIMEOUT_MS = 1_000

const redisUrl = inject('queues').at(-1)?.redisUrl
let database: TestDatabase
let town: TestPlace
let vendors: Vendors
let egress: Egress
let resident: PersonActor, admin: PersonActor
const workers: Running[] = []

const start = () => startProcess('worker', {
  DATABASE_URL: database.url, LOG_LEVEL: 'info', WISHWALL_ALLOW_LOOPBACK_WEBHOOKS: 'true', WISHWALL_WEBHOOK_TIME_FACTOR: String(TIME_FACTOR), WISHWALL_WEBHOOK_TIMEOUT_MS: String(TIMEOUT_MS),
  WISHWALL_ROBOT_HOSTS: vendors.host, WISHWALL_REQUEST_LINK: 'https://wish.example.cn/{number}', ...(redisUrl ? { REDIS_URL: redisUrl } : {}),
})

beforeAll(async () => {
  database = await freshDatabase()
  vendors = await startVendors()
  egress = openEgress({ allowLoopback: true, allowCidrs: [] })
  town = await testPlace(database, { limits: { ...DEFAULT_POLICY.limits, complete: '24h' } })
  ;[resident, admin] = await Promise.all([town.person(), town.person({ at: 'C', can: ['administer'] })])
  workers.push(...await Promise.all([start(), start()]))
})
afterAll(async () => {
  await Promise.all(workers.map((worker) => worker.stop('SIGKILL')))
  await egress.close()
  await vendors.close()
  await database.drop()
})

const wish = () => town.inside(() => file(database.db, { item: 'corridor-light', title: '漏电', node: 'U' }, resident))
const create = (group: GroupRobot, channel: 'wecom' | 'dingtalk' | 'feishu') => town.inside(() => createRobot({ db: database.db, keyring, robots: openRobots({ egress, hosts: [vendors.host] }) },
  { channel, name: channel, node: 'P', url: group.url, secret: group.secret, eventTypes: ['request.filed'] }, admin))
const rows = async <T extends object>(sql: string, values: unknown[] = []): Promise<T[]> => (await database.owner.query<T>(sql, values)).rows
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
const over = (id: string) => eventually(async () => (await rows(`SELECT FROM robot_message WHERE "robotId" = $1 AND "nextAt" IS NOT NULL`, [id])).length === 0
  && (await rows(`SELECT FROM outbox`)).length === 0 && (await rows(`SELECT FROM cursor WHERE name = 'robots' AND position = (SELECT max(position) FROM feed)`)).length === 1, 60_000)
/** How many events the group was told of. */
const toldIn = (texts: string[]) => texts.reduce((sum, text) => sum + Number(/】(\d+) 件/.exec(text)?.[1] ?? 1), 0)
/** The most messages that came within one of the vendor's minutes. */
const mostPerMinute = (times: number[]) => Math.max(...times.map((from, index) => times.slice(index).filter((at) => at < from + MINUTE_MS).length))

describe(`two workers with jobs on ${redisUrl ? 'Redis' : 'PostgreSQL'}`, () => {
  test('say no more than 20 a minute by one robot, and all of it, whatever the vendor takes to answer', { timeout: 120_000 }, async () => {
    const groups = { quick: vendors.robot('dingtalk'), slow: vendors.robot('feishu'), dead: vendors.robot('wecom', { mood: 'hang' }) }
    groups.slow.delayMs = () => Math.random() * 400
    const [quick, slow, dead] = await Promise.all([create(groups.quick, 'dingtalk'), create(groups.slow, 'feishu'), create(groups.dead, 'wecom')])
    const until = Date.now() + 1.4 * MINUTE_MS
    let events = 0
    while (Date.now() < until) {
      await Promise.all(Array.from({ length: Math.ceil(Math.random() * 4) }, wish)).then(({ length }) => { events += length })
      await wait(Math.random() * 200)
    }
    await Promise.all([quick, slow].map(({ id }) => over(id)))
    const most = [groups.quick, groups.slow, groups.dead].map(({ said }) => mostPerMinute(said.map(({ at }) => at)))
    console.log(`${events} events as ${groups.quick.said.length} and ${groups.slow.said.length} messages, in one minute (of ${MINUTE_MS} ms) at most ${most.join(', ')}`)
    expect(Math.max(...most)).toBeLessThanOrEqual(20)
    for (const group of [groups.quick, groups.slow]) {
      expect(group.said.every(({ code }) => code === 0)).toBe(true)
      expect(toldIn(group.shown())).toBe(events)
      expect(group.said.length).toBeLessThan(events)
    }
    expect((await rows(`SELECT FROM robot_message WHERE "robotId" = $1 AND state IN ('pending', 'leased')`, [dead.id])).length).toBe(events)
    await rows(`UPDATE robot_message SET state = 'cancelled', "nextAt" = NULL, "endedAt" = wishwall_now() WHERE "robotId" = $1 AND "nextAt" IS NOT NULL`, [dead.id])
    await rows(`UPDATE robot SET status = 'paused'`)
  })

  test('killed between sending and writing it down, have it sent again, once', { timeout: 60_000 }, async () => {
    const group = vendors.robot('dingtalk', { mood: 'mute' })
    const robot = await create(group, 'dingtalk')
    const { number } = await wish()
    await eventually(async () => group.said.length === 1)
    await Promise.all(workers.map((worker) => worker.stop('SIGKILL')))
    group.mood = 'well'
    expect(await rows(`SELECT state FROM robot_message WHERE "robotId" = $1`, [robot.id])).toEqual([{ state: 'leased' }])
    workers.splice(0, 2, ...await Promise.all([start(), start()]))
    await over(robot.id)
    expect(group.shown().map((text) => text.includes(number))).toEqual([true, true])
    expect(await rows(`SELECT state, attempts FROM robot_message WHERE "robotId" = $1`, [robot.id])).toEqual([{ state: 'delivered', attempts: 0 }])
    await rows(`UPDATE robot SET status = 'paused'`)
  })

  test('killed at any time lose nothing, and repeat at most what was under way', { timeout: 120_000 }, async () => {
    const group = vendors.robot('feishu')
    group.delayMs = () => Math.random() * 200
    const robot = await create(group, 'feishu')
    let events = 0
    let kills = 0
    let wishing = true
    const wishes = (async () => {
      while (wishing) {
        await wish()
        events += 1
        await wait(60)
      }
    })()
    for (let n = 0; n < 4; n++) {
      await wait(400 + Math.random() * 800)
      const index = n % 2
      await workers[index]!.stop('SIGKILL')
      kills += 1
      workers[index] = await start()
    }
    wishing = false
    await wishes
    await over(robot.id)
    const told = toldIn(group.shown())
    console.log(`${events} events, ${kills} workers killed, told of ${told} in ${group.shown().length} messages`)
    expect(await rows(`SELECT state, count(*)::int AS n FROM robot_message WHERE "robotId" = $1 GROUP BY 1`, [robot.id])).toEqual([{ state: 'delivered', n: events }])
    expect(told).toBeGreaterThanOrEqual(events)
    // one message under way per robot, so one repeated per death
    const sizes = group.shown().map((text) => toldIn([text])).sort((a, b) => b - a)
    expect(told - events).toBeLessThanOrEqual(sizes.slice(0, kills).reduce((sum, size) => sum + size, 0))
    expect(mostPerMinute(group.said.map(({ at }) => at))).toBeLessThanOrEqual(20)
  })

  test('write no address, secret or word of a resident into their logs', () => {
    for (const worker of workers) for (const word of ['access_token', '/open-apis/', 'SEC', '漏电', '心愿墙']) expect(worker.log()).not.toContain(word)
  })
})
