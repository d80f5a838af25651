import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isPublic, reachesOf, type Right } from '../../src/domain/right.ts'
import { RIGHTS } from '../../src/domain/rights.ts'
import { SCOPE_NAMES } from '../../src/domain/scopes.ts'
import { callsOf, type Call } from './authorisation/calls.ts'
import { expected, type Principal } from './authorisation/oracle.ts'
import { makeThings, type Things } from './authorisation/things.ts'
import { openWorld, PEOPLE, type Answer, type Who, type World } from './authorisation/world.ts'

/** Every operation of the document, called over HTTP by everybody: what comes of it is what the table of rights says. */

let world: World
let things: Things
let calls: Record<string, Call | Call[]>
let operations: { id: string; method: string; path: string; right: Right }[]
let principals: Principal[]

beforeAll(async () => {
  world = await openWorld()
  things = await makeThings(world)
  calls = callsOf(world, things)
  const document = (await world.call(null, 'GET', '/openapi.json')).body as { paths: Record<string, Record<string, { operationId: string }>> }
  operations = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, { operationId }]) => ({ id: operationId, method: method.toUpperCase(), path, right: RIGHTS[operationId]! })))
  const { token, appToken, apps } = world
  principals = [
    ...(Object.keys(PEOPLE) as Who[]).map((who): Principal => ({ name: who, who, token: token(who), kind: 'person', throughApp: false })),
    { name: 'appForResident', who: 'resident', token: token('resident', { through: apps.app }), kind: 'person', throughApp: true },
    { name: 'appForRootAdmin', who: 'rootAdmin', token: token('rootAdmin', { through: apps.app }), kind: 'person', throughApp: true },
    { name: 'app', who: null, token: appToken(apps.app), kind: 'app', throughApp: true },
    { name: 'otherApp', who: null, token: appToken(apps.otherApp), kind: 'app', throughApp: true },
  ]
})
afterAll(() => world?.close())

const listed = <T>(one: T | T[]): T[] => (Array.isArray(one) ? one : [one])
const callsTo = ({ id, path, right }: (typeof operations)[number]): Call[] => {
  if (calls[id]) return listed(calls[id])
  if (reachesOf(right).some((reach) => reach === 'public' || reach === 'tenant')) return path.includes('{') ? [] : [{}]
  return []
}
const address = (path: string, { params = {}, query = '' }: Call): string => path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(params[name] ?? randomUUID())) + query
const headersOf = (method: string): Record<string, string> => (method === 'GET' ? {} : { 'idempotency-key': randomUUID() })
const send = ({ method, path }: { method: string; path: string }, call: Call, token: string | null): Promise<Answer> =>
  world.call(token, method, address(path, call), call.body ?? (method === 'GET' || method === 'DELETE' ? undefined : {}), headersOf(method))

describe('the table', () => {
  test('has a row for every operation, and an operation for every row', () => {
    expect(operations.filter(({ right }) => !right).map(({ id }) => id)).toEqual([])
    expect(Object.keys(RIGHTS).filter((id) => !operations.some((operation) => operation.id === id))).toEqual([])
    expect(operations.length).toBeGreaterThan(140)
  })

  test('says how each operation is called that not everybody may call', () => {
    const silent = operations.filter((operation) => callsTo(operation).length === 0 && !reachesOf(operation.right).some((reach) => reach === 'public' || reach === 'tenant'))
    expect(silent.map(({ id }) => id)).toEqual([])
  })
})

describe('without a good token', () => {
  test('nothing answers but what is public', async () => {
    const { token, appToken, apps } = world
    const bad: [string, string | null][] = [
      ['anonymous', null], ['expired', token('rootAdmin', { agoMs: 7_200_000 })], ['expired app', appToken(apps.app, { agoMs: 7_200_000 })],
      ['suspended', token('suspended')], ['revoked app', appToken(apps.revoked)], ['person through the revoked app', token('rootAdmin', { through: apps.revoked })], ['garbage', 'not.a.token'],
    ]
    const wrong: unknown[] = []
    for (const operation of operations) {
      await Promise.all(bad.map(async ([name, sent]) => {
        const { status } = await send(operation, callsTo(operation)[0] ?? {}, sent)
        // A visitor of the wall need not log in, but one who shows a token shows a good one.
        const open = isPublic(operation.right) && (sent === null || operation.right.scope === null)
        if ((status === 401) !== !open && !(operation.id === 'createToken' && status === 401)) wrong.push({ operation: operation.id, name, status })
      }))
    }
    expect(wrong).toEqual([])
  }, 300_000)

  test('nor without the scope, which the answer names', async () => {
    const { token, appToken, apps } = world
    const wrong: unknown[] = []
    for (const operation of operations) {
      const { scope } = operation.right
      if (scope === null) continue
      const scopes = SCOPE_NAMES.filter((one) => one !== scope)
      const without = [['app', appToken(apps.app, { scopes })], ['app for an administrator', token('rootAdmin', { through: apps.app, scopes })], ['person', token('rootAdmin', { scopes })]] as const
      await Promise.all(without.map(async ([name, sent]) => {
        const { status, body, headers } = await send(operation, callsTo(operation)[0] ?? {}, sent)
        if (status !== 403 || body.code !== 'forbidden' || body.scope !== scope || !headers.get('www-authenticate')?.includes('insufficient_scope')) wrong.push({ operation: operation.id, name, status, code: body.code })
      }))
    }
    expect(wrong).toEqual([])
  }, 300_000)
})

describe('everybody, everything', () => {
  test('comes to what the table says', async () => {
    const wrong: unknown[] = []
    let cells = 0
    // What ends something for all comes last; a client first, for it ends by being revoked.
    const order = (id: string) => (/^(revoke|suspend|end|disable)/.test(id) ? 1 : 0)
    for (const operation of [...operations].sort((a, b) => order(a.id) - order(b.id))) {
      if (operation.id === 'createToken') continue // nobody yet, and its 401 is of RFC 6749
      for (const call of callsTo(operation)) {
        const one = async (principal: Principal) => {
          const made = call.fresh ? { ...call, params: await call.fresh() } : call
          const { status, body } = await send(operation, made, principal.token)
          const what = expected(principal, operation.right, call)
          cells++
          if (call.missing && what === 'allowed' ? status !== 404 : !fits(what, { status, body })) {
            wrong.push(`${operation.id}${call.request ? ` (${call.request})` : ''} by ${principal.name}: ${what} expected, ${status} ${body.code ?? ''}`)
          }
        }
        // What is made anew for each may be the same thing for all, and is theirs one after the other.
        if (call.fresh) for (const principal of principals) await one(principal)
        // Fewer at once than the app has connections: whoever waits for one too long is told 503, and not what the table says.
        else for (let from = 0; from < principals.length; from += 7) await Promise.all(principals.slice(from, from + 7).map(one))
      }
    }
    console.log(`${cells} cells of ${operations.length} operations and ${principals.length} principals`)
    expect(wrong).toEqual([])
  }, 900_000)
})

/** A rule of the verb's own may refuse whoever has the right; what the machine refuses says which verb it was. */
function fits(what: ReturnType<typeof expected>, { status, body }: Pick<Answer, 'status' | 'body'>): boolean {
  if (what === 'allowed') return status !== 401 && status !== 404 && (status !== 403 || (body.verb === undefined && body.code !== 'forbidden'))
  return status === what
}

describe('another tenant', () => {
  test('hears of nothing here what it would not hear of nothing at all', async () => {
    const { ids, apps, organisations } = world
    const known = new Map<string, string>()
    for (const value of [
      ...Object.values(ids), ...Object.values(apps), ...Object.values(organisations), ...Object.values(things).flatMap((thing) => (typeof thing === 'string' ? [thing] : [thing.id])),
    ]) known.set(value, randomUUID())
    for (const code of ['YQHF-02-1', 'YQHF-02', 'YQHF2', 'YQHF', 'YQHF-DZB', 'YZ-PROPERTY', 'YQHF-YWH', 'YQ0026', 'YQ0008', 'SLZF', 'victim-app', ...Object.values(things).flatMap((thing) => (typeof thing === 'string' ? [] : [thing.number]))]) known.set(code, `NO${code.length}-${known.size}`)
    const unknown = <T>(value: T): T => JSON.parse(JSON.stringify(value), (_, inner: unknown) => (typeof inner === 'string' ? (known.get(inner) ?? inner.replace('=YQHF', '=NO-SUCH')) : inner)) as T
    const wrong: unknown[] = []
    let compared = 0
    for (const operation of operations) {
      if (isPublic(operation.right)) continue
      for (const call of callsTo(operation)) {
        const { fresh, ...plain } = call
        const real = fresh ? { ...plain, params: await fresh() } : plain
        for (const made of Object.values(real.params ?? {})) if (/^[0-9a-f-]{36}$/.test(made) && !known.has(made)) known.set(made, randomUUID())
        const none = unknown(real)
        if (JSON.stringify(real) === JSON.stringify(none)) continue
        const [theirs, nobodys] = [await send(operation, real, world.stranger), await send(operation, none, world.stranger)]
        const told = ({ status, text, headers }: Answer) => `${status} ${headers.get('etag') ?? ''} ${text.replace(/"requestId":"[^"]+"/, '')}`
        compared++
        if (told(theirs) !== told(nobodys) || theirs.status < 400) wrong.push({ operation: operation.id, theirs: told(theirs).slice(0, 300), nobodys: told(nobodys).slice(0, 300) })
      }
    }
    expect(compared).toBeGreaterThan(90)
    expect(wrong).toEqual([])
  }, 300_000)
})
