import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { seedDemo, type DemoFile } from '../../src/bin/demo.ts'
import { EXAMPLES } from '../../src/bin/demo/examples.ts'
import { SYSTEM } from '../../src/domain/actor.ts'
import { openStorage } from '../../src/outside/storage.ts'
import { listVenues } from '../../src/service/venues.ts'
import { countOnce } from '../../src/service/rate-facts.ts'
import { relayOnce } from '../../src/service/relay.ts'
import { STATE_NAMES, TRANSITIONS, type Transition } from '../../src/domain/machine.ts'
import type { RequestView } from '../../src/domain/view.ts'
import { VERB_EXAMPLES } from '../../src/http/verb-examples.ts'
import { personActor } from '../../src/service/actors.ts'
import { authenticateClient } from '../../src/service/clients.ts'
import { board } from '../../src/service/contacts.ts'
import { readCampaign } from '../../src/service/campaigns.ts'
import { creditOnce } from '../../src/service/credit-entries.ts'
import { inTenant, openDatabase } from '../../src/service/db.ts'
import { generateKeyring, parseKeyring } from '../../src/service/keyring.ts'
import { list } from '../../src/service/list.ts'
import { listNodes } from '../../src/service/nodes.ts'
import { logIn } from '../../src/service/accounts.ts'
import { act, find } from '../../src/service/requests.ts'
import { publicTenant } from '../../src/service/tenants.ts'
import { wall } from '../../src/service/wall.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'

let database: TestDatabase
let demo: DemoFile
let folder: string
const keyring = parseKeyring(JSON.stringify(generateKeyring()))
let tenantId: string
let requests: RequestView[]

beforeAll(async () => {
  database = await freshDatabase()
  const { db } = database
  folder = await mkdtemp(join(tmpdir(), 'wish-wall-demo-'))
  const files = await openStorage({ folder })
  const began = performance.now()
  demo = await seedDemo({ open: (hoursBehind) => openDatabase({ url: database.url, hoursBehind }), keyring, files })
  console.log(`demo seeded in ${Math.round(performance.now() - began)} ms`)
  tenantId = await publicTenant(db, undefined)
  requests = (await inside(() => list(db, { limit: 100 }, SYSTEM))).data
})
afterAll(() => Promise.all([database.drop(), rm(folder, { recursive: true, force: true })]))

const inside = <T>(run: () => Promise<T>) => inTenant(tenantId, run)

const actorOf = async ({ login, password }: { login: string; password: string }) => {
  const { id } = (await logIn(database.db, login, password))!
  return (await personActor(database.db, id, null))!
}

test('the street, its nineteen communities, eleven towers and twenty-two units are there', () => inside(async () => {
  const count = async (level: string) => (await listNodes(database.db, { level, limit: 100 })).data.length
  expect(await Promise.all(['street', 'community', 'compound', 'building', 'unit'].map(count))).toEqual([1, 19, 1, 11, 22])
}))

test('somebody can log in for each kind of work', () => inside(async () => {
  const roles = demo.people.flatMap(({ duties }) => duties.map(({ role }) => role))
  expect(roles).toEqual(expect.arrayContaining([
    'dispatcher', 'building_head', 'unit_head', 'grid_worker', 'caller', 'inspector', 'admin', 'branch_secretary', 'duty_chief', 'enterprise_agent', 'property_manager',
  ]))
  const kinds = demo.people.flatMap((person) => person.kinds)
  const many = (kind: string) => kinds.filter((one) => one === kind).length
  expect([many('party_member') >= 3, many('volunteer') >= 2, many('individual') >= 1, many('enterprise') >= 1, many('resident') >= 3]).not.toContain(false)
  for (const person of demo.people.slice(0, 3)) expect(await actorOf(person)).toMatchObject({ kind: 'person', duties: [{ role: person.duties[0]!.role }] })
  const [app] = demo.clients
  expect(await authenticateClient(database.db, app!.clientId, app!.clientSecret)).toMatchObject({ scopes: app!.scopes })
  expect(demo.people.every(({ name, login, password }) => /^\p{Script=Han}示例$/u.test(name) && /^YQ\d{4}$/.test(login) && password.length >= 12)).toBe(true)
}))

test('requests stand in every state that the verbs reach', () => {
  expect([...new Set(requests.map(({ state }) => state))].sort()).toEqual([...STATE_NAMES].sort())
  expect(requests.length).toBeGreaterThanOrEqual(80)
})

test('the wall has something to claim and tells nobody’s words', () => inside(async () => {
  const { data } = await wall(database.db, { limit: 100 })
  expect(data.length).toBeGreaterThanOrEqual(5)
  const filed = new Set(requests.map(({ title }) => title))
  for (const card of data) expect(filed).not.toContain(card.title)
  expect(data.every(({ compound }) => compound?.code === 'YQHF')).toBe(true)
}))

test('each verb’s example can be carried out as it is written', () => inside(async () => {
  const { db } = database
  expect(Object.keys(EXAMPLES).sort()).toEqual([...TRANSITIONS].sort())
  const actors = await Promise.all(demo.people.map(actorOf))
  for (const [index, verb] of (Object.keys(EXAMPLES) as (keyof typeof VERB_EXAMPLES)[]).entries()) {
    const request = requests.find(({ number }) => number === `WX20261001-${String(index + 1).padStart(6, '0')}`)!
    expect(VERB_EXAMPLES[verb].number).toBe(request.number)
    const seen = await Promise.all(actors.map((actor) => find(db, request.id, actor).then(({ allowed }) => allowed, (): Transition[] => [])))
    const actor = actors[seen.findIndex((allowed) => allowed.includes(verb))]
    expect(actor, `nobody may ${verb} ${request.number} in ${request.state}`).toBeDefined()
    await act(db, verb, request.id, VERB_EXAMPLES[verb].body, actor!)
  }
}))

test('a month lies behind it: photos, figures, credit, a campaign, and a board that says whom to call', () => inside(async () => {
  const { db, owner } = database
  const one = async <T>(sql: string) => (await owner.query<{ one: T }>(`SELECT ${sql} AS one`)).rows[0]!.one
  expect(await one<number>(`(SELECT count(*)::int FROM attachment WHERE "attachedAt" IS NOT NULL)`)).toBe(4)
  expect((await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile())).toHaveLength(8)

  while ((await relayOnce(db)).moved > 0);
  while ((await countOnce(db)) > 0);
  while ((await creditOnce(db)) > 0);
  expect(await one<number>(`(SELECT count(DISTINCT day)::int FROM rate_fact WHERE at < now() - interval '2 days')`)).toBeGreaterThanOrEqual(6)
  expect(await one<number>(`(SELECT count(*)::int FROM request WHERE state = 'closed' AND "filedAt" < now() - interval '2 days')`)).toBeGreaterThanOrEqual(20)
  expect(await one<number>(`(SELECT count(*)::int FROM credit_entry WHERE at < now() - interval '1 day')`)).toBeGreaterThanOrEqual(8)
  // nothing happened before somebody could do it, or after now
  expect(await one<number>(`(SELECT count(*)::int FROM event e JOIN duty d ON d.id = e."dutyId" WHERE e.at < d."from" OR e.at > now())`)).toBe(0)

  expect(await readCampaign(db, 'WARM-WINTER', SYSTEM)).toMatchObject({ progress: { filed: 4, completed: 4 }, signedUp: 4 })
  expect((await listVenues(db, { limit: 10 })).data.map(({ name }) => name)).toEqual(['党员萤火驿站'])
  expect(await one<number>(`(SELECT count(*)::int FROM household_link WHERE until IS NULL)`)).toBe(4)
  expect(await one<number>(`(SELECT count(*)::int FROM visit)`)).toBe(3)
  // a form to fill in, and places on a map
  expect(await one<string[]>(`(SELECT array_agg(DISTINCT field ORDER BY field) FROM text t JOIN request r ON r.id = t."requestId" JOIN item i ON i.id = r."itemId" WHERE i.form IS NOT NULL AND t.seq = 1)`)).toEqual(['form', 'title'])
  expect(await one<number>(`(SELECT count(DISTINCT (lng, lat))::int FROM node WHERE path LIKE '%/YQHF/%')`)).toBe(1 + 11 + 22)
  const { rungs } = await board(db, keyring, 'YQHF-01-1', 'public', 'http://127.0.0.1')
  expect(rungs.slice(0, 3).map(({ contacts }) => contacts[0]?.name ?? null)).toEqual([null, '胡示例', '周示例'])
  expect(rungs[2]!.organisations.find(({ code }) => code === 'YZ-PROPERTY')!.contacts[0]!.name).toBe('郭示例')
}))
