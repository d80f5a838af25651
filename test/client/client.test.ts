import { execFile } from 'node:child_process'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { FastifyInstance } from 'fastify'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { wishWall } from '../../src/client/index.ts'
import { SCOPE_NAMES } from '../../src/domain/scopes.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { wholeApi } from '../http/whole-api.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { call, tokenFor } from '../processes.ts'

/** `wish-wall/client` against the whole API, over a line that loses things. */

let database: TestDatabase
let town: TestPlace
let app: FastifyInstance
let origin: string
let line: string
let credentials: { clientId: string; clientSecret: string }
const close: (() => Promise<unknown>)[] = []

/** What the line does to the next requests to a path, one after the other; then it carries them. */
type Fault = 'lose the answer' | { status: number; headers?: Record<string, string>; body?: object }
let faults: { method: string; path: string; fault: Fault }[] = []
let heard: { method: string; path: string; key: string | undefined; token: string | undefined }[] = []

async function carry(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const { method = '', url = '' } = request
  const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !['host', 'connection', 'content-length', 'transfer-encoding'].includes(name))) as Record<string, string>
  heard.push({ method, path: url, key: headers['idempotency-key'], token: headers.authorization })
  const at = faults.findIndex((one) => one.method === method && one.path === url)
  const [found] = at < 0 ? [] : faults.splice(at, 1)
  if (found && found.fault !== 'lose the answer') {
    response.writeHead(found.fault.status, { 'content-type': 'application/problem+json', ...found.fault.headers }).end(JSON.stringify(found.fault.body ?? {}))
    return
  }
  const answer = await fetch(`${origin}${url}`, { method, headers, ...(chunks.length > 0 && { body: Buffer.concat(chunks) }) })
  const body = Buffer.from(await answer.arrayBuffer())
  if (found) return void response.destroy()
  response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'application/json' }).end(body)
}

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database)
  const chief = await town.person({ at: 'S', can: ['view', 'administer'] })
  app = await wholeApi(database.db)
  origin = await app.listen({ port: 0, host: '127.0.0.1' })
  const made = await call(origin, tokenFor(town.tenantId, chief.id), 'POST', '/v1/clients', { clientId: 'typed', name: '类型客户端', scopes: SCOPE_NAMES })
  credentials = { clientId: 'typed', clientSecret: made.body.clientSecret as string }
  const server = createServer((request, response) => void carry(request, response)).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  line = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  close.push(async () => server.close(), async () => server.closeAllConnections())
})
afterAll(async () => {
  for (const end of close) await end()
  await app.close()
  await database.drop()
})
beforeEach(() => { [faults, heard] = [[], []] })

const client = () => wishWall({ baseUrl: line, credentials })
const WISH = { item: 'companionship', title: '想有人陪我下棋', node: 'U' }
const asked = (path: string) => heard.filter((one) => one.path === path)

describe('tokens', () => {
  test('one is fetched for many requests, by several at once too', async () => {
    const wall = client()
    await Promise.all([wall.GET('/v1/items'), wall.GET('/v1/nodes'), wall.GET('/v1/items')])
    const { data } = await wall.GET('/v1/items', { params: { query: { limit: 1 } } })
    expect(data!.data[0]!.code).toBe('companionship')
    expect(asked('/oauth/token')).toHaveLength(1)
  })

  test('one that has ended before its time is replaced, once', async () => {
    const wall = client()
    faults = [{ method: 'GET', path: '/v1/items', fault: { status: 401, body: { code: 'token-invalid' } } }]
    expect((await wall.GET('/v1/items')).response.status).toBe(200)
    expect(asked('/oauth/token')).toHaveLength(2)
    expect((await wishWall({ baseUrl: line, token: 'nonsense' }).GET('/v1/items')).error!.code).toBe('token-invalid')
  })

  test('bad credentials are said, with what the server says of them', async () => {
    await expect(wishWall({ baseUrl: line, credentials: { ...credentials, clientSecret: 'wrong' } }).GET('/v1/items')).rejects.toThrow(/^no token \(40[01]\): ./)
  })
})

describe('requests', () => {
  test('a refusal is a typed problem in the language asked for', async () => {
    const { data, error } = await wishWall({ baseUrl: line, credentials, language: 'en' }).POST('/v1/requests', { body: { ...WISH, title: '' } })
    expect(data).toBeUndefined()
    expect(error).toMatchObject({ code: 'validation-failed', title: 'The request is not valid', errors: [{ pointer: '/title', message: 'Must not be empty' }] })
  })

  test('what the line lost is sent again by the same key and done once', async () => {
    faults = [{ method: 'POST', path: '/v1/requests', fault: 'lose the answer' }]
    const before = (await database.owner.query('SELECT 1 FROM request')).rowCount!
    const { data } = await client().POST('/v1/requests', { body: WISH })
    expect(data!.state).toBe('filed')
    const [first, second, ...more] = asked('/v1/requests')
    expect(more).toEqual([])
    expect(first!.key).toMatch(/^[\da-f-]{36}$/)
    expect(second!.key).toBe(first!.key)
    expect((await database.owner.query('SELECT 1 FROM request')).rowCount).toBe(before + 1)
    await client().POST('/v1/requests', { body: WISH })
    expect(new Set(asked('/v1/requests').map(({ key }) => key)).size).toBe(2)
  })

  test('what was refused for now is sent again; what was refused is not', async () => {
    faults = [
      { method: 'POST', path: '/v1/requests', fault: { status: 429, headers: { 'retry-after': '0' } } },
      { method: 'POST', path: '/v1/requests', fault: { status: 409, body: { code: 'idempotency-in-flight' } } },
      { method: 'POST', path: '/v1/requests', fault: { status: 503 } },
    ]
    expect((await client().POST('/v1/requests', { body: WISH })).data!.state).toBe('filed')
    expect(asked('/v1/requests')).toHaveLength(4)
    heard = []
    faults = [{ method: 'GET', path: '/v1/items', fault: { status: 429, headers: { 'retry-after': '3600' } } }]
    expect((await client().GET('/v1/items')).response.status).toBe(429)
    faults = [{ method: 'POST', path: '/v1/requests', fault: { status: 409, body: { code: 'external-ref-taken' } } }]
    expect((await client().POST('/v1/requests', { body: WISH })).error!.code).toBe('external-ref-taken')
    expect([asked('/v1/items').length, asked('/v1/requests').length]).toEqual([1, 1])
  })

  test('what may have been done, and would be done twice, is left to the caller', async () => {
    const wall = wishWall({ baseUrl: line })
    const body = { grant_type: 'client_credentials', client_id: credentials.clientId, client_secret: credentials.clientSecret }
    faults = [{ method: 'POST', path: '/oauth/token', fault: 'lose the answer' }]
    await expect(wall.POST('/oauth/token', { body })).rejects.toThrow(TypeError)
    faults = [{ method: 'POST', path: '/oauth/token', fault: { status: 503 } }]
    expect((await wall.POST('/oauth/token', { body })).response.status).toBe(503)
    expect(asked('/oauth/token')).toHaveLength(2)
  })
})

test('a project of its own installs the package, imports it, compiles and runs', { timeout: 120_000 }, async () => {
  const project = join(import.meta.dirname, '../..')
  const home = await mkdtemp(join(tmpdir(), 'wish-wall-client-'))
  close.push(() => rm(home, { recursive: true, force: true }))
  // As `npm install wish-wall-0.1.0.tgz` unpacks it; of what it depends on, the client has need of openapi-fetch alone.
  const run = promisify(execFile)
  await mkdir(join(home, 'node_modules/wish-wall'), { recursive: true })
  const { stdout: packed } = await run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', home], { cwd: project, maxBuffer: 1 << 26 })
  const [{ filename, files }] = JSON.parse(packed) as [{ filename: string; files: { path: string }[] }]
  expect(files.map(({ path }) => path)).toEqual(expect.arrayContaining(['dist/bin/wish-wall.js', 'dist/client/index.d.ts', 'openapi/openapi.json', 'prisma/migrations/20261121000001_tables/migration.sql', 'README.md', 'LICENSE']))
  expect(files.filter(({ path }) => /^(src|test|\.ci|\.data)\//.test(path))).toEqual([])
  await run('tar', ['xzf', join(home, filename), '--strip-components=1', '-C', join(home, 'node_modules/wish-wall')])
  for (const name of ['openapi-fetch', 'openapi-typescript-helpers']) await symlink(join(project, 'node_modules', name), join(home, 'node_modules', name))
  await writeFile(join(home, 'package.json'), '{"type":"module"}')
  await writeFile(join(home, 'tsconfig.json'), JSON.stringify({ compilerOptions: { strict: true, module: 'nodenext', target: 'es2023', lib: ['es2023', 'dom'], types: [] }, files: ['file.ts'] }))
  await writeFile(join(home, 'file.ts'), `
    import { wishWall, type Problem } from 'wish-wall/client'
    const wall = wishWall({ baseUrl: '${line}', credentials: ${JSON.stringify(credentials)} })
    const { data, error } = await wall.POST('/v1/requests', { body: ${JSON.stringify(WISH)} })
    const problem: Problem | undefined = error
    // @ts-expect-error there is no such state
    if (data?.state === 'lost') throw new Error()
    // @ts-expect-error a wish has a title
    void (() => wall.POST('/v1/requests', { body: { item: 'companionship', node: 'U' } }))
    console.log(problem?.code ?? data?.state)
  `)
  const tsc = join(project, 'node_modules/typescript/bin/tsc')
  const compiled = await run(process.execPath, [tsc, '-p', '.'], { cwd: home }).catch((error: { stdout: string }) => error)
  expect(compiled.stdout).toBe('')
  expect((await run(process.execPath, ['file.js'], { cwd: home })).stdout).toBe('filed\n')
})
