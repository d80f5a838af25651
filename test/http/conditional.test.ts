import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { TRANSITIONS } from '../../src/domain/machine.ts'
import { VERB_EXAMPLES } from '../../src/http/verb-examples.ts'
import { openWorld, type World } from './authorisation/world.ts'

/** What callers may rely on: If-Match on whatever acts on a request, id or number everywhere, an app's own reference, lists that are walked while others file. */

let world: World
let dispatcher: string
let app: string
beforeAll(async () => {
  world = await openWorld()
  dispatcher = world.token('dispatcher')
  app = world.appToken(world.apps.app)
})
afterAll(() => world?.close())

type Made = { id: string; number: string; version: number }
const file = (by: string, body: object = {}): Promise<Made> => world.ok(by, 'POST', '/v1/requests', { item: 'cleaning', title: '楼道保洁', node: 'YQHF-02-1', ...body })
const events = async ({ id }: Made) => (await world.database.owner.query('SELECT verb FROM event WHERE "requestId" = $1 ORDER BY seq', [id])).rows

interface Operation { parameters?: { name: string; in: string }[] }
const operations = async (method: 'get' | 'post'): Promise<[path: string, operation: Operation][]> => {
  const { paths } = (await world.call(null, 'GET', '/openapi.json')).body as { paths: Record<string, Record<string, Operation>> }
  return Object.entries(paths).flatMap(([path, methods]) => (path.startsWith('/v1/requests/{id}') && methods[method] ? [[path, methods[method]]] : []))
}
const EXAMPLES: Record<string, object> = { reveal: { reason: 'verify' }, ...Object.fromEntries(TRANSITIONS.map((verb) => [verb, VERB_EXAMPLES[verb].body])) }

describe('If-Match', () => {
  test('is taken by every POST on a request, by id and by number, and another version is 412 and changes nothing', async () => {
    const made = await file(world.token('resident'))
    const posts = await operations('post')
    expect(posts.length).toBeGreaterThan(TRANSITIONS.length)
    for (const [path, { parameters = [] }] of posts) {
      expect(parameters.map(({ name }) => name.toLowerCase()), path).toContain('if-match')
      const body = EXAMPLES[path.split('/').at(-1)!]
      expect(body, `an example for ${path}`).toBeDefined()
      for (const ref of [made.id, made.number]) {
        const answer = await world.call(dispatcher, 'POST', path.replace('{id}', ref), body!, { 'if-match': '"99"' })
        expect([answer.status, answer.body.code, answer.body.version], `${path} ${answer.text}`).toEqual([412, 'version-mismatch', 1])
      }
    }
    const wrong = await world.call(dispatcher, 'POST', `/v1/requests/${made.id}/accept`, {}, { 'if-match': '99' })
    expect([wrong.status, wrong.body.errors[0].pointer]).toEqual([400, '/headers/if-match'])
    expect(await events(made)).toEqual([{ verb: 'file' }])
    const right = await world.call(dispatcher, 'POST', `/v1/requests/${made.number}/accept`, {}, { 'if-match': `"${made.version}"` })
    expect([right.status, right.headers.get('etag')]).toEqual([200, '"2"'])
  }, 60_000)

  test('is said for each of many: what has changed is 412, the others are done', async () => {
    for (const headers of [{}, { 'idempotency-key': 'bulk-1' }]) {
      const [seen, changed, unsaid] = [await file(world.token('resident')), await file(world.token('resident')), await file(world.token('resident'))]
      const { body } = await world.call(dispatcher, 'POST', '/v1/bulk/accept',
        { ids: [seen.id, changed.number, unsaid.id], versions: { [seen.id]: 1, [changed.number]: 2 } }, headers)
      expect(body.data.map(({ status, problem }: { status: number; problem?: { code: string } }) => [status, problem?.code])).toEqual([[200, undefined], [412, 'version-mismatch'], [200, undefined]])
      expect([await events(changed), (await events(seen)).length, (await events(unsaid)).length]).toEqual([[{ verb: 'file' }], 2, 2])
    }
  }, 60_000)
})

test('the number is good wherever the id is', async () => {
  const made = await file(world.token('resident'))
  for (const [path] of await operations('get')) {
    const [byId, byNumber] = await Promise.all([made.id, made.number].map((ref) => world.call(dispatcher, 'GET', path.replace('{id}', ref))))
    expect([byId!.status, path]).toEqual([200, path])
    // Of what is still running the two are asked for some milliseconds apart.
    const said = ({ text }: { text: string }) => text.replaceAll(/econds":[\d.]+/g, '')
    expect(said(byNumber!), path).toBe(said(byId!))
  }
}, 60_000)

describe('externalRef', () => {
  const other = () => world.appToken(world.apps.otherApp)
  test('is unique per app for ever, also at once, and a repeat names what there is', async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, () => world.call(app, 'POST', '/v1/requests', { item: 'cleaning', title: '楼道保洁', node: 'YQHF-02-1', externalRef: 'R-1' })))
    const [first, ...more] = answers.filter(({ status }) => status === 201)
    expect(more).toEqual([])
    expect(new Set(answers.filter(({ status }) => status !== 201).map(({ status, body }) => `${status} ${body.code} ${body.id}`))).toEqual(new Set([`409 external-ref-taken ${first!.body.id}`]))
    await world.ok(app, 'POST', `/v1/requests/${first!.body.id}/withdraw`, { reason: 'solved_otherwise' })
    const repeat = await world.call(app, 'POST', '/v1/requests', { item: 'elevator', title: '另一件', node: 'YQHF', externalRef: 'R-1' })
    expect([repeat.status, repeat.body.id]).toEqual([409, first!.body.id])
    const another = await file(other(), { externalRef: 'R-1' })
    expect(another.id).not.toBe(first!.body.id)
    const batch = await world.ok(app, 'POST', '/v1/requests/batch', { data: [{ item: 'cleaning', title: '楼道保洁', node: 'YQHF-02-1', externalRef: 'R-1' }] })
    expect([batch.data[0].status, batch.data[0].problem.id]).toEqual([409, first!.body.id])
  }, 60_000)

  test('is found by, shown to and sent to its app alone, whoever it speaks for', async () => {
    const through = world.token('resident', { through: world.apps.app })
    const own = await file(app, { externalRef: 'R-secret-2' })
    const spoken = await file(through, { externalRef: 'R-secret-3' })
    const refs = async (token: string, ref: string) => ((await world.ok(token, 'GET', `/v1/requests?externalRef=${ref}`)).data as (Made & { externalRef: string | null })[]).map(({ id, externalRef }) => [id, externalRef])
    expect(await refs(app, 'R-secret-2')).toEqual([[own.id, 'R-secret-2']])
    expect(await refs(through, 'R-secret-3')).toEqual([[spoken.id, 'R-secret-3']])
    for (const token of [other(), dispatcher, world.token('resident'), world.token('resident', { through: world.apps.otherApp })]) {
      expect([await refs(token, 'R-secret-2'), await refs(token, 'R-secret-3')]).toEqual([[], []])
    }
    for (const { id } of [own, spoken]) expect((await world.ok(dispatcher, 'GET', `/v1/requests/${id}`)).externalRef).toBeNull()
    expect((await world.ok(world.token('dispatcher', { through: world.apps.app }), 'GET', `/v1/requests/${own.id}`)).externalRef).toBe('R-secret-2')
    await world.relay()
    const { rows } = await world.database.owner.query(`SELECT (SELECT count(*)::int FROM feed WHERE payload::text LIKE '%R-secret%') AS feed, (SELECT count(*)::int FROM event WHERE data::text LIKE '%R-secret%') AS events`)
    expect(rows).toEqual([{ feed: 0, events: 0 }])
  }, 60_000)
})

describe('a list that is walked while others file', () => {
  const LISTS = {
    newest: '/v1/requests?', filed: '/v1/requests?filedFrom=2026-01-01T00:00:00Z&', due: '/v1/requests?sort=due&', state: '/v1/requests?state=filed&', subtree: '/v1/requests?node=YQHF-02&', words: `/v1/requests?q=${encodeURIComponent('翻页')}&`,
    people: '/v1/people?node=YQHF-02-1&',
  } as const
  test.each(Object.keys(LISTS) as (keyof typeof LISTS)[])('%s: none comes twice, and none that was there is missing', async (name) => {
    const worker = world.token('clerk')
    let n = 0
    const add = () => file(worker, { title: `翻页之时 ${++n}`, filer: { name: '王示例' } })
    for (let made = 0; made < 12; made++) await add()
    const token = name === 'people' ? worker : dispatcher
    const all = async (between: () => Promise<unknown>): Promise<string[]> => {
      const ids: string[] = []
      for (let cursor: string | null = ''; cursor !== null;) {
        const { data, page }: { data: Made[]; page: { nextCursor: string | null } } = await world.ok(token, 'GET', `${LISTS[name]}limit=4${cursor && `&cursor=${encodeURIComponent(cursor)}`}`)
        ids.push(...data.map(({ id }) => id))
        cursor = page.nextCursor
        // Filed meanwhile: both before and during the next page.
        if (ids.length < 40) await between()
      }
      return ids
    }
    const before = await all(async () => {})
    expect(before.length).toBeGreaterThanOrEqual(12)
    const walked = await all(() => Promise.all([add(), add()]))
    expect(new Set(walked).size).toBe(walked.length)
    expect(before.filter((id) => !walked.includes(id))).toEqual([])
  }, 60_000)
})

test('a wrong guess stays counted, whatever Idempotency-Key it comes with', async () => {
  const token = world.token('agent')
  const statuses: number[] = []
  for (let guess = 0; guess < 12; guess++) {
    const { status } = await world.call(token, 'POST', '/v1/me/password', { current: 'wrong', password: 'a password of his own' }, { 'idempotency-key': `guess-${guess}` })
    statuses.push(status)
  }
  expect(statuses).toEqual([...Array<number>(10).fill(400), 429, 429])
}, 60_000)
