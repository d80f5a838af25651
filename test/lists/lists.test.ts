import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { Actor, PersonActor } from '../../src/domain/actor.ts'
import { QUEUE_NAMES } from '../../src/domain/queues.ts'
import { simplified } from '../../src/domain/search.ts'
import { list, type ListQuery } from '../../src/service/list.ts'
import { listOpen311, listUpdates, type Open311Query } from '../../src/service/open311.ts'
import { countQueues, listQueue } from '../../src/service/queues.ts'
import { generateKeyring, parseKeyring } from '../../src/service/keyring.ts'
import { createSubject } from '../../src/service/subjects.ts'
import { digest } from '../../src/service/digest.ts'
import { duplicates } from '../../src/service/duplicates.ts'
import { file } from '../../src/service/requests.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { manyRequests } from './street.ts'

/** Lists of a street with 200,000 requests: every filter, as every role, by an index; nothing missing, nothing twice. */

const REQUESTS = Number(process.env.LIST_REQUESTS ?? 200_000)
const keyring = parseKeyring(JSON.stringify(generateKeyring()))

let database: TestDatabase
let town: TestPlace
let street: PersonActor, building: PersonActor, resident: PersonActor, handler: PersonActor, agent: PersonActor
let app: Actor
const CAMPAIGN = '0195f2a0-7c1e-7abc-8def-0123456789c1'
const STAFF = ['view', 'dispatch', 'approve', 'follow_up', 'publish', 'file_for'] as const

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database)
  const organisations = await Promise.all(Array.from({ length: 40 }, (_, n) => town.organisation(`FIRM-${n}`)))
  ;[street, resident, handler] = await Promise.all([town.person({ at: 'S', can: [...STAFF] }), town.person(), town.person()])
  agent = await town.agentOf(organisations[1]!)
  app = await town.app()
  await manyRequests(database, town, REQUESTS, { filer: resident.id, handler: handler.id, organisations, client: (app as { clientId: string }).clientId })
  building = await staffAt('B7')
  await database.owner.query(`INSERT INTO campaign ("tenantId", id, "nodeId", code, name, items, "from", "to", "signedUp", "createdAt") VALUES ($1, $2, $3, 'WARM', '温暖过冬', '{}', now() - interval '1 year', now() + interval '1 year', 0, now())`, [town.tenantId, CAMPAIGN, town.node.S])
  await database.owner.query(`UPDATE request SET "campaignId" = $2 WHERE "tenantId" = $1 AND right(number, 2) = '01'`, [town.tenantId, CAMPAIGN])
  await database.owner.query('VACUUM ANALYZE request')
}, 240_000)
afterAll(() => database.drop())

async function staffAt(code: string): Promise<PersonActor> {
  const person = await town.person({ at: 'S', can: [...STAFF] })
  await database.owner.query(`UPDATE duty SET "nodeId" = (SELECT id FROM node WHERE "tenantId" = $1 AND code = $2) WHERE "tenantId" = $1 AND "personId" = $3`, [town.tenantId, code, person.id])
  return { ...person, duties: person.duties.map((duty) => ({ ...duty, path: `S/C/P/${code}/` })) }
}

/** Every statement that is sent meanwhile. */
async function statementsOf(run: () => Promise<unknown>): Promise<string[]> {
  const spy = vi.spyOn(database.db.app, 'query')
  try {
    await run()
    return spy.mock.calls.flatMap(([given]) => {
      const { text } = given as unknown as { text: string }
      return /\b(request|deadline|text|assignment|event) /.test(text) ? [text] : []
    })
  } finally {
    spy.mockRestore()
  }
}

/** As it is run: the app's role, under row-level security, planned for any value. */
async function planOf(text: string): Promise<object[]> {
  const { rows } = await town.inside(() => database.db.app.query<{ 'QUERY PLAN': object[] }>(`EXPLAIN (GENERIC_PLAN, FORMAT JSON) ${text}`))
  return rows[0]!['QUERY PLAN']
}

async function scansOf(text: string): Promise<string[]> {
  const found: string[] = []
  const look = (node: unknown): void => {
    if (Array.isArray(node)) return node.forEach(look)
    if (typeof node !== 'object' || node === null) return
    const plan = node as Record<string, unknown>
    if (plan['Node Type'] === 'Seq Scan' && /^(request|deadline|text|assignment|event)$/.test(String(plan['Relation Name']))) found.push(String(plan['Relation Name']))
    Object.values(plan).forEach(look)
  }
  look(await planOf(text))
  return found
}

const day = (ago: number) => new Date(Date.now() - ago * 86_400_000)
const FILTERS: Record<string, Omit<ListQuery, 'limit'>> = {
  nothing: {}, state: { state: ['filed'] }, states: { state: ['filed', 'dispatched'] }, item: { item: 'corridor-light' }, kind: { kind: ['service', 'wish'] }, rareKind: { kind: ['mediation'] },
  overdue: { overdue: true }, notOverdue: { overdue: false, state: ['filed'] }, span: { filedFrom: day(30), filedTo: day(10) }, spanAndState: { filedFrom: day(30), state: ['closed'] },
  due: { sort: 'due' }, dueAndState: { sort: 'due', state: ['dispatched'] }, dueOverdue: { sort: 'due', overdue: true }, mine: { mine: true }, filed: { mine: 'filed' }, assigned: { mine: 'assigned' },
  organisation: { mine: 'organisation' }, ref: { externalRef: 'ref-300' }, frequent: { q: '路灯' }, rare: { q: '麒麟' }, two: { q: '路灯 麒麟' }, number: { q: 'WX202611' }, latin: { q: '123' }, phone: { q: '13800138000' },
  campaign: { campaign: 'WARM' }, campaignById: { campaign: CAMPAIGN, state: ['closed'] }, campaignDue: { campaign: 'WARM', sort: 'due' }, campaignSpan: { campaign: 'WARM', filedFrom: day(30) },
}

describe('no list reads a whole table', () => {
  const roles: [string, () => Actor][] = [['street', () => street], ['building', () => building], ['resident', () => resident], ['handler', () => handler], ['agent', () => agent], ['app', () => app]]
  for (const [role, actor] of roles) {
    test(`as ${role}`, { timeout: 60_000 }, () => town.inside(async () => {
      const bad: string[] = []
      for (const [name, filter] of Object.entries(FILTERS)) {
        for (const node of role === 'street' ? [undefined, 'P', 'S'] : [undefined]) {
          const query = { ...filter, node, limit: 20, total: true }
          for (const statement of await statementsOf(() => list(database.db, query, actor(), keyring))) {
            const scans = await scansOf(statement)
            if (scans.length > 0) bad.push(`${name} ${node ?? ''}: ${scans.join()}`)
          }
        }
      }
      expect(bad).toEqual([])
    }))
  }

  test('nor do the queues', { timeout: 60_000 }, () => town.inside(async () => {
    const bad: string[] = []
    for (const actor of [street, building, handler, agent]) {
      for (const statement of await statementsOf(async () => { await countQueues(database.db, actor); for (const queue of QUEUE_NAMES) await listQueue(database.db, queue, { limit: 20 }, actor) })) {
        const scans = await scansOf(statement)
        if (scans.length > 0) bad.push(`${scans.join()} ${statement.slice(0, 900)}`)
      }
    }
    expect(bad).toEqual([])
  }))

  test('nor does a filing that looks for what it repeats', () => town.inside(async () => {
    const bad: string[] = []
    for (const [actor, node] of [[street, 'U'], [street, 'C'], [building, 'B7'], [resident, 'U'], [app, 'B7']] as const) {
      for (const statement of await statementsOf(() => file(database.db, { item: 'corridor-light', title: '一单元路灯不亮', node }, actor, { duplicates: true }))) {
        if (statement.startsWith('WITH')) continue // what it writes
        const scans = await scansOf(statement)
        if (scans.length > 0) bad.push(`${scans.join()} ${statement.slice(0, 900)}`)
        // Nor by an index of something else, row by row.
        if (actor === street) expect(JSON.stringify(await planOf(statement))).toMatch(statement.includes('FROM node n') ? /request_tenantId_responsibleNodeId_state_id_idx/ : /request_pkey/)
      }
    }
    expect(bad).toEqual([])
  }))

  test('nor do those of Open311', { timeout: 120_000 }, () => town.inside(async () => {
    const page = { page: 1, pageSize: 1_000 }
    const asked: Record<string, Open311Query> = {
      newest: page, later: { ...page, page: 20 }, span: { ...page, start: day(60), end: day(30) }, since: { ...page, start: day(60) }, until: { ...page, end: day(60) }, services: { ...page, services: ['corridor-light'] },
      statuses: { ...page, statuses: ['open'] }, updated: { ...page, updatedAfter: day(2), updatedBefore: day(1) }, box: { ...page, box: [118, 35, 119, 36] }, near: { ...page, near: { lng: 118, lat: 35, metres: 500 } },
      all: { ...page, start: day(60), end: day(30), services: ['corridor-light'], statuses: ['closed'], updatedAfter: day(50), box: [118, 35, 119, 36] },
    }
    const { clientId } = app as { clientId: string }
    const bad: string[] = []
    for (const who of [clientId, null]) {
      const { data: [one] } = await list(database.db, { limit: 1 }, app)
      const runs: [string, () => Promise<unknown>][] = [
        ...Object.entries({ ...asked, ids: { ...page, ids: [one!.number, one!.id] } }).map(([name, query]): [string, () => Promise<unknown>] => [name, () => listOpen311(database.db, query, who)]),
        ['updates', () => listUpdates(database.db, { start: day(1), end: day(0) }, who)],
      ]
      for (const [name, run] of runs) {
        const statements = await statementsOf(run)
        expect(statements).toHaveLength(1)
        const scans = await scansOf(statements[0]!)
        if (scans.length > 0) bad.push(`${name} ${who === null ? 'public' : 'app'}: ${scans.join()}`)
      }
    }
    expect(bad).toEqual([])
  }))

  test('nor what search runs as the owner', async () => {
    const { rows } = await database.owner.query<{ 'QUERY PLAN': object[] }>(`EXPLAIN (FORMAT JSON) SELECT t."requestId" FROM text t WHERE t."tenantId" = $1 AND t.field IN ('title', 'description', 'address') AND wishwall_grams(t.body) @@ $2::tsquery`, [town.tenantId, `'麒麟'`])
    expect(JSON.stringify(rows)).toContain('text_grams_idx')
    expect(JSON.stringify(rows)).not.toContain('Seq Scan')
  })
})

describe('search', () => {
  let said: { id: string; words: string }[]
  beforeAll(async () => {
    const { rows } = await database.owner.query<{ id: string; body: string }>(`SELECT r.id, t.body FROM request r JOIN text t ON t."tenantId" = r."tenantId" AND t."requestId" = r.id WHERE r."tenantId" = $1 AND r.kind <> 'mediation'`, [town.tenantId])
    said = rows.map(({ id, body }) => ({ id, words: simplified(body) }))
  }, 60_000)
  const naive = (q: string) => {
    const wanted = simplified(q)
    return said.filter(({ words }) => words.includes(wanted)).map(({ id }) => id).sort()
  }
  const all = async (q: string) => {
    const ids: string[] = []
    for (let cursor: string | null | undefined; cursor !== null;) {
      const { data, page } = await list(database.db, { q, limit: 100, ...(cursor ? { cursor } : {}) }, street, keyring)
      ids.push(...data.map(({ id }) => id))
      cursor = page.nextCursor
    }
    return ids.sort()
  }

  test.each(['麒麟', '鳳凰', '凤凰', '饕餮', '麟', '鳯', '麒麟1'])('finds all that a scan finds: %s', { timeout: 60_000 }, (q) => town.inside(async () => {
    const found = await all(q)
    expect(found).toEqual(naive(q))
  }))

  test('counts what is frequent as a scan does', { timeout: 60_000 }, () => town.inside(async () => {
    for (const q of ['路灯', '樓道', '坏', '車亂']) {
      const { page } = await list(database.db, { q, limit: 1, total: true }, street, keyring)
      const scanned = naive(q).length
      expect(page.total).toEqual({ count: Math.min(1_000, scanned), more: scanned > 1_000 })
    }
  }))

  test('finds by any two neighbouring characters of all that was written, in either script', { timeout: 120_000 }, () => town.inside(async () => {
    const having = new Map<string, number>()
    for (const { words } of said) for (const pair of new Set([...words.matchAll(/(?=(\p{Script=Han}{2}))/gu)].map(([, two]) => two!))) having.set(pair, (having.get(pair) ?? 0) + 1)
    expect(having.size).toBeGreaterThan(100)
    const wrong: string[] = []
    for (const [pair, times] of having) {
      const { page } = await list(database.db, { q: pair, limit: 1, total: true }, street, keyring)
      if (page.total!.count !== Math.min(1_000, times)) wrong.push(`${pair}: ${page.total!.count} of ${times}`)
    }
    console.log(`${having.size} pairs`)
    expect(wrong).toEqual([])
  }))

  test('never finds what is confidential, nor counts it', () => town.inside(async () => {
    const { rows: [secret] } = await database.owner.query<{ id: string }>(`SELECT id FROM request WHERE "tenantId" = $1 AND kind = 'mediation' LIMIT 1`, [town.tenantId])
    await database.owner.query(`UPDATE text SET body = '家暴传闻' WHERE "tenantId" = $1 AND "requestId" = $2`, [town.tenantId, secret!.id])
    expect(await list(database.db, { q: '家暴', limit: 10, total: true }, street, keyring)).toMatchObject({ data: [], page: { total: { count: 0 } } })
    const { rows: [open] } = await database.owner.query<{ id: string }>(`SELECT id FROM request WHERE "tenantId" = $1 AND kind = 'service' LIMIT 1`, [town.tenantId])
    await database.owner.query(`UPDATE text SET body = '家暴传闻二' WHERE "tenantId" = $1 AND "requestId" = $2`, [town.tenantId, open!.id])
    expect((await list(database.db, { q: '家暴', limit: 10 }, street, keyring)).data.map(({ id }) => id)).toEqual([open!.id])
    // What is erased is not found any more: the index follows the words.
    await database.owner.query(`UPDATE text SET body = '' WHERE "tenantId" = $1 AND "requestId" = $2`, [town.tenantId, open!.id])
    expect((await list(database.db, { q: '传闻', limit: 10 }, street, keyring)).data).toEqual([])
  }))

  test('finds who may not be named by the phone alone, for those who look after people', () => town.inside(async () => {
    const subject = await createSubject(database.db, keyring, { name: '王示例', phone: '13800138000' })
    await database.owner.query('UPDATE person SET "subjectId" = $1 WHERE "tenantId" = $2 AND id = $3', [subject, town.tenantId, resident.id])
    const found = await list(database.db, { q: '13800138000', limit: 100 }, street, keyring)
    expect(found.data.length).toBeGreaterThan(10)
    expect(new Set(found.data.map(({ filer }) => filer))).toEqual(new Set([resident.id]))
    expect((await list(database.db, { q: '13800138000', limit: 10 }, { ...street, duties: street.duties.map((duty) => ({ ...duty, capabilities: ['view'] })) }, keyring)).data).toEqual([])
  }))

  test('finds by number, whole or how it begins, and Latin and digits from the beginning of a word', () => town.inside(async () => {
    const { data: [newest] } = await list(database.db, { limit: 1 }, street)
    expect((await list(database.db, { q: newest!.number.toLowerCase(), limit: 5 }, street, keyring)).data.map(({ id }) => id)).toEqual([newest!.id])
    expect((await list(database.db, { q: newest!.number.slice(0, 10), limit: 5 }, street, keyring)).data[0]?.id).toBe(newest!.id)
    const { data } = await list(database.db, { q: '123', limit: 100 }, street, keyring)
    expect(data.length).toBeGreaterThan(5)
    for (const { title } of data) expect(title).toMatch(/(^|\D)123/)
  }))

  test('asks for words', () => town.inside(async () => {
    await expect(list(database.db, { q: '，。!', limit: 5 }, street)).rejects.toMatchObject({ code: 'validation-failed' })
  }))
})

describe('of a campaign', () => {
  test('are those that were filed for it, in the sight of who asks, by id and by code', { timeout: 60_000 }, () => town.inside(async () => {
    const all = async (query: Partial<ListQuery>, actor: Actor) => {
      const ids: string[] = []
      for (let cursor: string | null | undefined; cursor !== null;) {
        const { data, page } = await list(database.db, { campaign: 'WARM', limit: 100, ...query, ...(cursor ? { cursor } : {}) }, actor)
        expect(new Set(data.map(({ campaign, kind }) => (kind === 'mediation' ? CAMPAIGN : campaign)))).toEqual(new Set(data.length === 0 ? [] : [CAMPAIGN]))
        ids.push(...data.map(({ id }) => id))
        cursor = page.nextCursor
      }
      return ids
    }
    const naive = async (where: string) => (await database.owner.query<{ id: string }>(`SELECT id FROM request WHERE "tenantId" = $1 AND "campaignId" IS NOT NULL AND ${where} ORDER BY id DESC`, [town.tenantId])).rows.map(({ id }) => id)
    expect(await all({ node: 'P' }, street)).toEqual(await naive(`starts_with(path, 'S/C/P/')`))
    expect(await all({}, building)).toEqual(await naive(`starts_with(path, 'S/C/P/B7/')`))
    expect(await all({}, resident)).toEqual(await naive(`"filerId" = '${resident.id}'`))
    expect(await all({ campaign: CAMPAIGN, state: ['filed'], node: 'P' }, street)).toEqual(await naive(`state = 'filed' AND starts_with(path, 'S/C/P/')`))
    for (const query of [{}, { state: ['filed' as const] }, { node: 'P' }]) {
      const statements = await statementsOf(() => list(database.db, { campaign: 'WARM', limit: 20, ...query }, street))
      expect(JSON.stringify(await planOf(statements[0]!))).toContain('request_campaign_id_idx')
    }
    await expect(list(database.db, { campaign: 'NONE', limit: 1 }, street)).rejects.toMatchObject({ code: 'not-found', errors: [{ pointer: '/query/campaign' }] })
  }))
})

describe('a list that is walked while it changes', () => {
  test.each([['newest', {}], ['filed', { filedFrom: day(3) }], ['subtree', { node: 'P', filedFrom: day(60) }]] as [string, Partial<ListQuery>][])('has each request once: %s', { timeout: 60_000 }, async (_, filter) => town.inside(async () => {
    const { rows } = await database.owner.query<{ id: string }>(`SELECT id FROM request WHERE "tenantId" = $1 AND path LIKE $2 AND "filedAt" >= $3 ORDER BY "filedAt" DESC, id DESC LIMIT 1500`,
      [town.tenantId, filter.node ? 'S/C/P/%' : '%', filter.filedFrom ?? new Date(0)])
    const before = new Set(rows.map(({ id }) => id))
    const seen: string[] = []
    let cursor: string | null | undefined
    for (let page = 0; page < 15 && cursor !== null; page++) {
      const answer = await list(database.db, { ...filter, limit: 100, ...(cursor ? { cursor } : {}) }, street)
      seen.push(...answer.data.map(({ id }) => id))
      cursor = answer.page.nextCursor
      // States change, and something new is filed: a copy of an old row under a new id and number.
      await database.owner.query(`SET session_replication_role = replica; UPDATE request SET state = 'withdrawn', "closedAt" = now() WHERE id = '${seen[seen.length - 1]!}'; UPDATE request SET state = 'open' WHERE id = '${[...before][seen.length + 7] ?? seen[0]!}' AND state = 'filed'; RESET session_replication_role`)
    }
    expect(new Set(seen).size).toBe(seen.length)
    expect(seen.filter((id) => before.has(id)).length).toBe(Math.min(seen.length, before.size))
    expect([...before].slice(0, seen.length).filter((id) => !seen.includes(id))).toEqual([])
  }))

  test('refuses the cursor of another order', () => town.inside(async () => {
    const { page } = await list(database.db, { sort: 'due', limit: 1 }, street)
    await expect(list(database.db, { limit: 1, cursor: page.nextCursor! }, street)).rejects.toMatchObject({ code: 'cursor-unusable' })
  }))

  test('what is due first comes first, each request once', () => town.inside(async () => {
    const seen: [number, string][] = []
    for (let cursor: string | null | undefined, page = 0; cursor !== null && page < 5; page++) {
      const answer = await list(database.db, { sort: 'due', limit: 100, ...(cursor ? { cursor } : {}) }, street)
      seen.push(...answer.data.map(({ id, deadlines }): [number, string] => [deadlines[0]!.dueAt.getTime(), id]))
      cursor = answer.page.nextCursor
    }
    expect(seen.length).toBe(500)
    expect(seen.map(([due]) => due)).toEqual(seen.map(([due]) => due).sort((a, b) => a - b))
    expect(new Set(seen.map(([, id]) => id)).size).toBe(500)
  }))
})

describe('queues', () => {
  test('a step is the nearest holder\'s: the building\'s own, the street\'s what nobody nearer has', () => town.inside(async () => {
    const own = await listQueue(database.db, 'to_accept', { limit: 100 }, building)
    expect(own.data.length).toBeGreaterThan(0)
    expect(new Set(own.data.map(({ node }) => node?.code))).toEqual(new Set(['B7']))
    let cursor: string | null | undefined
    const codes = new Set<string | undefined>()
    for (let page = 0; page < 100 && cursor !== null; page++) {
      const { data, page: place } = await listQueue(database.db, 'to_accept', { limit: 100, ...(cursor ? { cursor } : {}) }, street)
      for (const { node } of data) codes.add(node?.code)
      cursor = place.nextCursor
    }
    expect(codes.size).toBeGreaterThan(50)
    expect(codes.has('B7')).toBe(false)
    const counts = await countQueues(database.db, street)
    expect(counts).toMatchObject({ to_accept: { count: 100, more: true }, overdue: { count: 100, more: true }, to_sign: { count: 0, more: false } })
    expect((await countQueues(database.db, agent)).to_sign).toEqual({ count: 100, more: true })
    expect((await countQueues(database.db, handler)).to_sign.count).toBeGreaterThan(0)
  }))

  test('are told as text for a group, without words or names', () => town.inside(async () => {
    const text = await digest(database.db, building)
    expect(text).toContain('【待受理】')
    expect(text).toMatch(/WX\d{8}-\d{6} 楼道灯 B7/)
    expect(text).not.toContain('路灯')
  }))
})

describe('likely duplicates', () => {
  test('are what was said about the same around there', () => town.inside(async () => {
    const { data } = await list(database.db, { node: 'P', state: ['filed'], limit: 20 }, street)
    const found = await Promise.all(data.map(({ id }) => duplicates(database.db, id, street)))
    const likely = found.flat()
    expect(likely.length).toBeGreaterThan(0)
    expect(likely.every(({ likeness }) => likeness >= 0.5 && likeness <= 1)).toBe(true)
    await expect(duplicates(database.db, data.at(-1)!.id, resident)).rejects.toMatchObject({ code: 'request-not-found' })
  }))
})
