import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readdir, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { DemoFile } from '../../src/bin/demo.ts'
import { generateKeyring } from '../../src/service/keyring.ts'
import { freshDatabase } from '../database.ts'
import { holdToItsDocument } from '../held-answers.ts'
import { call, eventually } from '../processes.ts'

/** `wish-wall start` as a newcomer has it: the built program, an environment with nothing in it, a real Ctrl-C. */

const PROGRAM = join(import.meta.dirname, '../../dist/bin/wish-wall.js')
const READY = 60_000 // milliseconds; the tests of other files run beside these
const STOPPED = 10_000 // milliseconds, as promised

let home: string
let data: string // of the street that most tests here go on using
let port: number
let origin: string
const children: ChildProcess[] = []
/** All that was ever seen running, also what its parent has left behind. */
const seen = new Map<number, string>()

beforeAll(async () => {
  home = await realpath(await mkdtemp(join(tmpdir(), 'wish-wall-start-')))
  await chmod(home, 0o755) // for the user that PostgreSQL runs as when we are root
  data = join(home, 'data')
  port = await freePort()
  origin = `http://127.0.0.1:${port}`
})

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  const left = await eventually(async () => (await running()).length === 0, STOPPED).then(() => [], running)
  for (const pid of left) process.kill(pid, 'SIGKILL')
  seen.clear()
  if (left.length > 0) throw new Error(`processes left behind: ${left.join(', ')}`)
})

afterAll(() => rm(home, { recursive: true, force: true }))

describe('the demo', { timeout: 150_000 }, () => {
  let number: string

  test('is ready soon, writes demo.json for its owner alone, and Ctrl-C ends all of it', async () => {
    const wishWall = await start()
    console.log(`first 200 from /readyz ${wishWall.readyMs} ms after the start on an empty data folder`)
    holdToItsDocument(origin)
    const demo = await demoFile()

    expect(demo.baseUrl).toBe(origin)
    expect((await stat(join(data, 'demo.json'))).mode & 0o777).toBe(0o600)
    expect((await stat(join(data, 'keyring.json'))).mode & 0o777).toBe(0o600)
    expect(demo.clients).toEqual([{ clientId: expect.any(String), clientSecret: expect.any(String), scopes: expect.arrayContaining(['requests:write', 'events:read']) }])
    for (const person of demo.people) {
      expect(person).toEqual({ login: expect.any(String), password: expect.any(String), name: expect.any(String), kinds: expect.any(Array), duties: expect.any(Array) })
      for (const duty of person.duties) expect(duty).toEqual({ role: expect.any(String), nodeCode: expect.any(String), nodeName: expect.any(String) })
    }
    const roles = demo.people.flatMap(({ kinds, duties }) => [...kinds, ...duties.map(({ role }) => role)])
    expect(roles).toEqual(expect.arrayContaining([
      'dispatcher', 'building_head', 'grid_worker', 'caller', 'inspector', 'admin', 'party_member', 'volunteer', 'enterprise', 'resident',
    ]))

    const dispatcher = demo.people.find(({ duties }) => duties.some(({ role }) => role === 'dispatcher'))!
    await eventually(async () => wishWall.output().includes('Ctrl-C'))
    expect(wishWall.output()).toContain(`${origin}/docs`)
    expect(wishWall.output()).toContain(`${dispatcher.login}  ${dispatcher.password}`)

    const filed = await call(origin, await tokenOf(dispatcher), 'POST', '/v1/requests', { item: 'corridor-light', node: 'YQHF-03-1', title: '楼道灯不亮' })
    expect(filed.status).toBe(201)
    number = filed.body.number
    await eventually(async () => (await readyz())?.worker)

    expect(await ended(wishWall, 'SIGINT')).toEqual({ code: 0, signal: null })
    expect(wishWall.errors()).toBe('')
  })

  test('is the same at its second start, and an impatient double Ctrl-C ends it as well', async () => {
    const before = await demoFile()
    const wishWall = await start()
    console.log(`first 200 from /readyz ${wishWall.readyMs} ms after the second start`)
    expect(await demoFile()).toEqual(before)
    expect((await find(number)).status).toBe(200)

    wishWall.child.kill('SIGINT')
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(await ended(wishWall, 'SIGINT')).toEqual({ code: 0, signal: null })
  })

  test('after kill -9 the next start takes the orphaned PostgreSQL over, with every request', async () => {
    const killed = await start()
    const orphan = await postmaster()
    await ended(killed, 'SIGKILL')
    expect(await running()).toContain(orphan)

    const next = await start()
    expect((await find(number)).status).toBe(200)
    await ended(next, 'SIGTERM')
    expect(await running()).toEqual([])
  })

  test('by `npm start` too, where the terminal sends Ctrl-C to npm and to us', async () => {
    const wishWall = await start({}, { command: ['npm', 'start'] })
    expect((await find(number)).status).toBe(200)
    process.kill(-wishWall.child.pid!, 'SIGINT')
    await ended(wishWall)
  })

  test.each([
    ['the database is being made', (own: string) => readdirSync(own).some((name) => name.startsWith('new-cluster-'))],
    ['PostgreSQL has just been started', (own: string) => existsSync(join(own, 'cluster/postmaster.pid'))],
    ['the demo is being seeded', (own: string) => existsSync(join(own, 'keyring.json'))],
  ])('Ctrl-C in the middle of the first start, while %s, leaves nothing and says nothing', async (_, moment) => {
    const own = await mkdtemp(join(home, 'unfinished-'))
    const wishWall = launch({ WISHWALL_DATA: own })
    await eventually(async () => {
      if (wishWall.child.exitCode !== null) throw new Error(`it ended:\n${wishWall.errors()}`)
      return moment(own)
    })
    expect(await ended(wishWall, 'SIGINT')).toEqual({ code: 0, signal: null })
    expect(wishWall.errors()).toBe('')
  })

  test('a port in use is told in one line, and its PostgreSQL goes with it', async () => {
    const other = createServer().listen(port, '127.0.0.1')
    await once(other, 'listening')
    const { code, errors } = await failed({ WISHWALL_DATA: data })
    other.close()
    expect(code).toBe(1)
    expect(errors).toMatch(new RegExp(`^wish-wall: port ${port} .*in use.*\n$`))
  })
})

describe('what is wrong is told in one line', { timeout: 60_000 }, () => {
  const SECRET = 'not-to-be-told'
  let keyring: string

  beforeAll(async () => {
    keyring = join(home, 'keyring.json')
    await writeFile(keyring, JSON.stringify(generateKeyring()), { mode: 0o600 })
    await writeFile(join(home, 'file'), '')
    await mkdir(join(home, 'locked'), { mode: 0o555 })
  })

  test.each<[string, () => Record<string, string>, RegExp]>([
    ['a data folder below a file', () => ({ WISHWALL_DATA: join(home, 'file/data') }), /not writable/],
    ['a data folder that cannot be made', () => ({ WISHWALL_DATA: process.getuid?.() === 0 ? '/proc/data' : join(home, 'locked/data') }), /not writable/],
    ['a DATABASE_URL that is none', () => ({ DATABASE_URL: SECRET }), /DATABASE_URL/],
    ['a DATABASE_URL where nobody answers', () => ({ DATABASE_URL: `postgres://someone:${SECRET}@127.0.0.1:1/nowhere`, WISHWALL_KEYRING_FILE: keyring }), /127\.0\.0\.1:1/],
    ['DATABASE_URL without a keyring', () => ({ DATABASE_URL: `postgres://someone:${SECRET}@127.0.0.1:1/nowhere` }), /WISHWALL_KEYRING_FILE/],
    ['a keyring file that is not there', () => ({ DATABASE_URL: 'postgres://127.0.0.1:1/nowhere', WISHWALL_KEYRING_FILE: join(home, 'none.json') }), /none\.json/],
    ['a keyring that is none', () => ({ DATABASE_URL: 'postgres://127.0.0.1:1/nowhere', WISHWALL_KEYRING: SECRET }), /WISHWALL_KEYRING/],
  ])('%s', async (_, env, says) => {
    const { code, errors } = await failed(env())
    expect(code).toBe(1)
    expect(errors).toMatch(/^wish-wall: [^\n]+\n$/)
    expect(errors).toMatch(says)
    expect(errors).not.toContain(SECRET)
    expect(errors).not.toMatch(/\bat .*:\d+/)
  })

  test('a wrong password, by the database', async () => {
    const database = await freshDatabase()
    const url = new URL(database.url)
    url.password = SECRET
    const { code, errors } = await failed({ DATABASE_URL: url.href, WISHWALL_KEYRING_FILE: keyring })
    await database.drop()
    expect(code).toBe(1)
    expect(errors).toMatch(/^wish-wall: [^\n]*password authentication failed[^\n]*\n$/)
    expect(errors).not.toContain(SECRET)
  })

  test('and with DATABASE_URL nothing is embedded and nothing is seeded', async () => {
    const database = await freshDatabase()
    const own = join(home, 'untouched')
    const wishWall = await start({ DATABASE_URL: database.url, WISHWALL_KEYRING_FILE: keyring, WISHWALL_DATA: own })
    const { rows } = await database.owner.query('SELECT FROM tenant')
    await ended(wishWall, 'SIGINT')
    await database.drop()
    expect(rows).toEqual([])
    expect(existsSync(own)).toBe(false)
  })
})

interface Started {
  child: ChildProcess
  /** From the start of the process to the first 200 of /readyz. */
  readyMs: number
  output(): string
  errors(): string
}

/** In a process group of its own, as a shell would, and with no more than a PATH around it. */
function launch(env: Record<string, string>, command = [process.execPath, PROGRAM, 'start']) {
  const child = spawn(command[0]!, command.slice(1), { env: { PATH: process.env.PATH, PORT: String(port), ...env }, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  children.push(child)
  const text = { out: '', err: '' }
  child.stdout.on('data', (chunk: Buffer) => { text.out += chunk.toString() })
  child.stderr.on('data', (chunk: Buffer) => { text.err += chunk.toString() })
  return { child, output: () => text.out, errors: () => text.err }
}

async function start(env: Record<string, string> = {}, { command }: { command?: string[] } = {}): Promise<Started> {
  const from = performance.now()
  const wishWall = launch({ WISHWALL_DATA: data, ...env }, command)
  await eventually(async () => {
    if (wishWall.child.exitCode !== null) throw new Error(`it ended:\n${wishWall.output()}${wishWall.errors()}`)
    return (await readyz())?.ready
  }, READY)
  const readyMs = Math.round(performance.now() - from)
  await remember(wishWall.child.pid!)
  return { ...wishWall, readyMs }
}

/** Runs until it gives up. */
async function failed(env: Record<string, string>): Promise<{ code: number | null; errors: string }> {
  const { child, errors } = launch(env)
  const watch = setInterval(() => void remember(child.pid!), 100)
  const [code] = await once(child, 'close')
  clearInterval(watch)
  expect(await running()).toEqual([])
  return { code, errors: errors() }
}

/** Sends the signal and waits as long as was promised, for the process and for all it had started. */
async function ended({ child }: Pick<Started, 'child'>, signal?: NodeJS.Signals): Promise<{ code: number | null; signal: string | null }> {
  await remember(child.pid!)
  const from = performance.now()
  const exit = child.exitCode !== null || child.signalCode !== null ? undefined : once(child, 'exit')
  if (signal) child.kill(signal)
  await exit
  if (signal !== 'SIGKILL') await eventually(async () => (await running()).length === 0, STOPPED - (performance.now() - from))
  expect(performance.now() - from).toBeLessThan(STOPPED)
  return { code: child.exitCode, signal: child.signalCode }
}

const readyz = () => fetch(`${origin}/readyz`).then((answer) => answer.json() as Promise<{ ready: boolean; worker: object | null }>, () => undefined)

const demoFile = async () => eventually(async () => {
  const text = await readFile(join(data, 'demo.json'), 'utf8').catch(() => '')
  return text !== '' && (JSON.parse(text) as DemoFile)
})

async function tokenOf({ login, password }: { login: string; password: string }): Promise<string> {
  const answer = await fetch(`${origin}/oauth/token`, { method: 'POST', body: new URLSearchParams({ grant_type: 'password', username: login, password }) })
  return ((await answer.json()) as { access_token: string }).access_token
}

async function find(number: string) {
  const { people } = await demoFile()
  return call(origin, await tokenOf(people[0]!), 'GET', `/v1/requests/${number}`)
}

/** PostgreSQL's own word for its pid. */
async function postmaster(): Promise<number> {
  return Number.parseInt(await readFile(join(data, 'cluster/postmaster.pid'), 'utf8'), 10)
}

/** A process and all its descendants, with what tells a process from a later one of the same pid. */
async function remember(pid: number): Promise<void> {
  const all = await processes()
  const family = new Set([pid])
  for (let size = 0; size < family.size;) {
    size = family.size
    for (const [child, { parent }] of all) if (family.has(parent)) family.add(child)
  }
  for (const member of family) if (all.has(member)) seen.set(member, all.get(member)!.began)
}

/** Those of them that still run. A zombie does not: whoever should reap it may be a container without an init. */
async function running(): Promise<number[]> {
  const all = await processes()
  return [...seen].filter(([pid, began]) => all.get(pid)?.began === began).map(([pid]) => pid)
}

async function processes(): Promise<Map<number, { parent: number; began: string }>> {
  if (!existsSync('/proc/self/stat')) return byPs()
  const found = new Map<number, { parent: number; began: string }>()
  for (const name of await readdir('/proc')) {
    const text = /^\d+$/.test(name) ? await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '') : ''
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ') // from the third on: state, ppid, …
    if (text !== '' && fields[0] !== 'Z') found.set(Number(name), { parent: Number(fields[1]), began: fields[19]! })
  }
  return found
}

function byPs(): Map<number, { parent: number; began: string }> {
  const lines = spawnSync('ps', ['-A', '-o', 'pid=,ppid=,stat=,lstart='], { encoding: 'utf8' }).stdout.trim().split('\n')
  return new Map(lines.map((line) => line.trim().split(/ +/)).flatMap(([pid, parent, state, ...began]) =>
    state?.startsWith('Z') ? [] : [[Number(pid), { parent: Number(parent), began: began.join(' ') }] as const]))
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const free = (server.address() as AddressInfo).port
  server.close()
  await once(server, 'close')
  return free
}
