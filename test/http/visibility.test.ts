import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PEOPLE, openWorld, type Who, type World } from './authorisation/world.ts'

/** Who sees what of a request (design, section 9), by every way there is to see it. */

let world: World
type Made = { id: string; number: string }
let plain: Made, given: Made, quarrel: Made, secret: Made, complaint: Made, complaintGiven: Made

const SEES = ['/v1/requests?limit=100', '/v1/events?limit=100', '/v1/me/notifications?limit=100'] as const

beforeAll(async () => {
  world = await openWorld()
  const { ok, token, ids } = world
  const file = (who: Who, body: object) => ok(token(who), 'POST', '/v1/requests', { item: 'cleaning', title: '楼道保洁', node: 'YQHF-02-1', ...body }) as Promise<Made>
  const act = (who: Who, verb: string, { id }: Made, body: object = {}) => ok(token(who), 'POST', `/v1/requests/${id}/${verb}`, body)
  plain = await file('resident', {})
  given = await file('resident', {})
  await act('dispatcher', 'accept', given)
  await act('dispatcher', 'dispatch', given, { to: 'YZ-PROPERTY' })
  quarrel = await file('resident', { item: 'mediation', title: '楼上半夜拖椅子' })
  await act('dispatcher', 'accept', quarrel)
  await act('dispatcher', 'dispatch', quarrel, { to: ids.mediator })
  secret = await file('resident', { confidential: true, title: '不想让别人知道的事', item: 'elevator' })
  await act('dispatcher', 'accept', secret)
  complaint = await file('resident', { title: '物业不作为', respondent: 'YZ-PROPERTY' })
  complaintGiven = await file('resident', { title: '物业收费不明', respondent: 'YZ-PROPERTY' })
  await act('dispatcher', 'accept', complaintGiven)
  await act('dispatcher', 'dispatch', complaintGiven, { to: 'YZ-PROPERTY' })
  await world.relay()
})
afterAll(() => world?.close())

const get = async (who: Who, path: string) => world.call(world.token(who), 'GET', path)
const numbersIn = async (who: Who, path: string): Promise<Set<string>> => {
  const { status, body } = await get(who, path)
  return new Set(status === 200 ? (body.data as { number: string }[]).map(({ number }) => number) : [])
}
const statuses = async (who: Who, { id }: Made) => Promise.all(['', '/events', '/durations', '/attachments', '/candidates'].map(async (part) => (await get(who, `/v1/requests/${id}${part}`)).status))
const NOTHING = [404, 404, 404, 404, 404]

describe('property firms, enterprises, alliance units', () => {
  test('see what is given to them, by every way, and no subtree', async () => {
    expect(await statuses('agent', given)).toEqual([200, 200, 200, 200, 403])
    expect(await statuses('agent', plain)).toEqual(NOTHING)
    expect([...await numbersIn('agent', SEES[0])].sort()).toEqual([given.number, complaintGiven.number].sort())
    expect((await get('agent', SEES[1])).status).toBe(403)
    expect((await get('agent', '/v1/requests?node=YQHF')).status).toBe(404)
    expect([...await numbersIn('agent', SEES[2])].every((number) => [given.number, complaintGiven.number].includes(number))).toBe(true)
    expect((await get('agent', '/v1/people')).body.data.map(({ id }: Made) => id)).toEqual([world.ids.agent])
  })

  test.each(['otherAgent', 'enterprise', 'alliance'] as const)('%s: nothing that is not', async (who) => {
    for (const request of [plain, given, quarrel, secret, complaint]) expect(await statuses(who, request)).toEqual(NOTHING)
    for (const path of SEES) expect([...await numbersIn(who, path)]).toEqual([])
  })
})

describe('heads of units and buildings', () => {
  test.each(['buildingHead', 'unitHead'] as const)('%s sees the subtree, and nobody’s name, phone or door', async (who) => {
    expect(await statuses(who, plain)).toEqual([200, 200, 200, 200, who === 'buildingHead' ? 200 : 403])
    expect([...await numbersIn(who, SEES[0])]).toEqual(expect.arrayContaining([plain.number, given.number]))
    const read = await Promise.all([...SEES, '/v1/people?limit=100', '/v1/duties?limit=100', `/v1/requests/${plain.id}`, `/v1/requests/${plain.id}/events`, `/v1/people/${world.ids.resident}`].map((path) => get(who, path)))
    for (const { text } of read) for (const name of [...Object.keys(PEOPLE), 'victim']) expect(text).not.toMatch(new RegExp(`${name}示例|${name}-502|13800138000`))
  })

  test('beside the subtree: nothing', async () => {
    for (const request of [plain, given]) expect(await statuses('dispatcherBeside', request)).toEqual(NOTHING)
    for (const path of SEES) expect([...await numbersIn('dispatcherBeside', path)]).toEqual([])
  })
})

/** The words of a confidential matter, and what it is about. */
const WORDS = /拖椅子|不想让别人知道|elevator|电梯|YQHF-02/

describe('confidential matters', () => {
  test.each([['mediation', () => quarrel], ['confidential', () => secret]] as const)('%s: a subtree is not enough', async (_, which) => {
    for (const who of ['inspector', 'unitHead', 'clerk', 'caller', 'rootAdmin', 'admin', 'auditAdmin', 'neighbour', 'member'] as const) expect(await statuses(who, which()), who).toEqual(NOTHING)
  })

  test('their handler and who accepted them see them whole', async () => {
    expect((await statuses('mediator', quarrel)).slice(0, 4)).toEqual([200, 200, 200, 200])
    expect((await statuses('dispatcher', secret)).slice(0, 4)).toEqual([200, 200, 200, 200])
    expect((await statuses('dispatcher', quarrel)).slice(0, 4)).toEqual([200, 200, 200, 200])
    expect((await statuses('resident', quarrel)).slice(0, 4)).toEqual([200, 200, 200, 200])
    expect(await statuses('mediator', secret)).toEqual(NOTHING)
  })

  test.each(['inspector', 'unitHead', 'clerk'] as const)('%s gets number, kind, community and due of them in lists and events', async (who) => {
    const { body } = await get(who, SEES[0])
    for (const request of [quarrel, secret]) {
      const row = (body.data as Record<string, any>[]).find(({ number }) => number === request.number)!
      expect(JSON.stringify(row)).not.toMatch(WORDS)
      expect(row).toMatchObject({ node: { code: 'SQ' }, responsibleNode: { code: 'SQ' }, title: '保密', filer: null, assignees: [], allowed: [], dispatchedAt: null })
    }
    const events = (await get(who, SEES[1])).body.data as Record<string, any>[]
    for (const event of events.filter(({ number }) => [quarrel.number, secret.number].includes(number))) {
      expect(event).toMatchObject({ node: 'SQ', item: 'confidential' })
      expect(JSON.stringify(event)).not.toMatch(WORDS)
    }
  })

  test('so do apps, and the stream as the feed', async () => {
    const { body } = await world.call(world.appToken(world.apps.app), 'GET', '/v1/events?limit=100')
    const told = (body.data as Record<string, any>[]).filter(({ number }) => number === secret.number)
    expect(told.length).toBeGreaterThan(1)
    expect(JSON.stringify(told)).not.toMatch(WORDS)
    const stream = await fetch(`${world.origin}/v1/events/stream?after=${(await world.call(world.appToken(world.apps.app), 'GET', '/v1/events?limit=1')).body.page.nextCursor}`, { headers: { authorization: `Bearer ${world.appToken(world.apps.app)}` } })
    let text = ''
    for await (const chunk of stream.body!) {
      text += Buffer.from(chunk as Uint8Array).toString()
      if (text.includes(complaintGiven.number) && text.includes(secret.number)) break
    }
    expect(text.split('\n').filter((line) => line.includes(secret.number)).join('')).not.toMatch(WORDS)
  })
})

describe('nor do filters tell what is withheld of them', () => {
  const both = () => [quarrel.number, secret.number]
  const told = async (who: Who, query: string) => { const numbers = await numbersIn(who, `/v1/requests?limit=100&${query}`); return both().filter((number) => numbers.has(number)) }

  test.each(['inspector', 'clerk'] as const)('%s finds them by community, by no finer place and by no service', async (who) => {
    if (who === 'inspector') expect(await told(who, 'node=SQ')).toEqual(both())
    for (const query of ['node=YQHF', 'node=YQHF-02', 'node=YQHF-02-1', 'node=YQHF-02-1&within=node', 'item=mediation', 'item=elevator', 'node=YQHF&item=elevator', 'review=false', 'node=YQHF-02-1&sort=due']) {
      expect(await told(who, query), query).toEqual([])
    }
    expect((await get(who, '/v1/requests?node=YQHF-02-1&item=elevator&total=true')).body.page.total.count).toBe(0)
    expect([...await numbersIn(who, '/v1/requests?limit=100&node=YQHF-02-1&item=cleaning')]).toContain(plain.number)
  })

  test('who may dispatch them finds them as everything else', async () => {
    expect(await told('dispatcher', 'node=YQHF-02-1')).toEqual(both())
    expect(await told('dispatcher', 'item=mediation')).toEqual([quarrel.number])
    expect(await told('buildingHead', 'node=YQHF-02')).toEqual(both())
    expect(await told('dutyChief', 'item=elevator')).toEqual([secret.number])
  })

  test('the feed and the stream of a finer place have none of them, for apps and for staff alike', async () => {
    const { appToken, apps, token, origin, call, ok } = world
    const app = appToken(apps.app)
    const numbers = async (sent: string, node: string) => ((await call(sent, 'GET', `/v1/events?limit=100&node=${node}`)).body.data as Made[]).map(({ number }) => number)
    expect(await numbers(app, 'SQ')).toEqual(expect.arrayContaining(both()))
    for (const sent of [app, token('inspector')]) {
      const fine = await numbers(sent, 'YQHF-02-1')
      expect(fine).toContain(plain.number)
      expect(both().filter((number) => fine.includes(number))).toEqual([])
    }
    expect(await numbers(token('dispatcher'), 'YQHF-02-1')).toEqual(expect.arrayContaining(both()))
    const stream = await fetch(`${origin}/v1/events/stream?node=YQHF-02-1`, { headers: { authorization: `Bearer ${app}` } })
    const hidden = await ok(token('resident'), 'POST', '/v1/requests', { item: 'cleaning', title: '又一件', node: 'YQHF-02-1', confidential: true }) as Made
    const shown = await ok(token('resident'), 'POST', '/v1/requests', { item: 'cleaning', title: '又一件', node: 'YQHF-02-1' }) as Made
    await world.relay()
    let text = ''
    for await (const chunk of stream.body!) if ((text += Buffer.from(chunk as Uint8Array).toString()).includes(shown.number)) break
    expect(text).not.toContain(hidden.number)
  })
})

describe('whom it is about', () => {
  test('sees nothing of it, by no way', async () => {
    expect(await statuses('agent', complaint)).toEqual(NOTHING)
    for (const path of SEES) expect([...await numbersIn('agent', path)], path).not.toContain(complaint.number)
  })

  test('although he is staff who sees everything else there', async () => {
    const { ids, ok, token } = world
    const about = await ok(token('resident'), 'POST', '/v1/requests', { item: 'cleaning', title: '社工态度不好', node: 'YQHF-02-1', respondent: ids.clerk }) as Made
    await world.relay()
    expect(await statuses('clerk', about)).toEqual(NOTHING)
    for (const path of [...SEES, '/v1/requests?node=YQHF&limit=100', '/v1/requests?mine=true&limit=100']) expect([...await numbersIn('clerk', path)], path).not.toContain(about.number)
    expect([...await numbersIn('clerk', SEES[1])]).toContain(plain.number)
    expect([...await numbersIn('unitHead', SEES[1])]).toContain(about.number)
  })

  test('unless it is given to him: then without who complains', async () => {
    const { status, body } = await get('agent', `/v1/requests/${complaintGiven.id}`)
    expect({ status, filer: body.filer, beneficiary: body.beneficiary, guardian: body.guardian }).toEqual({ status: 200, filer: null, beneficiary: null, guardian: null })
    for (const path of [`/v1/requests/${complaintGiven.id}`, `/v1/requests/${complaintGiven.id}/events`, `/v1/requests/${complaintGiven.id}/durations`, SEES[0]]) {
      const { text } = await get('agent', path)
      const shown = path === SEES[0] ? JSON.stringify((JSON.parse(text) as { data: Made[] }).data.find(({ number }) => number === complaintGiven.number)) : text
      expect(shown, path).not.toContain(world.ids.resident)
    }
  })
})
