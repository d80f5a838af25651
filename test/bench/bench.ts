import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { startEmbeddedPostgres } from '../../src/bin/embedded-postgres.ts'
import { SCOPE_NAMES } from '../../src/domain/scopes.ts'
import { generateKeyring, parseKeyring } from '../../src/service/keyring.ts'
import { migrate } from '../../src/service/migrate.ts'
import { signToken } from '../../src/service/tokens.ts'
import { hammer, type Figures, type Shot } from './hammer.ts'
import { wallCost } from './second-wall.ts'
import { fill, makeTown } from './town.ts'

/**
 * requests/s and p50/p99 with 32 connections for file, claim, get and list, through (a) the product, (b) a bare Fastify
 * route with one hand-written prepared statement, (c) a plain Prisma interactive transaction: in turn, several rounds,
 * on one database. Machines are noisy: read the ratios.
 */

const REQUESTS = Number(process.env.BENCH_REQUESTS ?? 20_000)
const COUNT = Number(process.env.BENCH_COUNT ?? 4_000)
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 3)

const folder = await mkdtemp(join(tmpdir(), 'wish-wall-bench-'))
const children: ChildProcess[] = []
const server = await startEmbeddedPostgres({ dataDir: folder })
try {
  const admin = new pg.Client({ connectionString: server.url('postgres') })
  await admin.connect()
  await admin.query('CREATE DATABASE bench')
  await admin.end()
  const url = server.url('bench')
  await migrate(url)
  const town = await makeTown(url, REQUESTS)
  const keyring = generateKeyring()
  await writeFile(join(folder, 'keyring.json'), JSON.stringify(keyring), { mode: 0o600 })
  await writeFile(join(folder, 'town.json'), JSON.stringify(town))
  const env = { ...process.env, DATABASE_URL: url, LOG_LEVEL: 'warn', WISHWALL_RATE_PER_MINUTE: '1000000000', WISHWALL_KEYRING_FILE: join(folder, 'keyring.json'), TOWN: join(folder, 'town.json') }
  const [product, baseline] = [await freePort(), await freePort()]
  children.push(spawn(process.execPath, ['dist/bin/wish-wall.js', 'api'], { env: { ...env, PORT: String(product) }, stdio: 'inherit' }))
  children.push(spawn(process.execPath, ['--import', 'tsx', 'test/bench/baseline.ts'], { env: { ...env, PORT: String(baseline) }, stdio: 'inherit' }))
  await Promise.all([product, baseline].map(reachable))

  const keys = parseKeyring(JSON.stringify(keyring))
  const tokenOf = (subject: string) => signToken(keys, { tenantId: town.tenantId, kind: 'person', subject, clientId: null, scopes: SCOPE_NAMES }, 'bench', Date.now())
  const [resident, staff, members] = [tokenOf(town.resident), tokenOf(town.staff), town.members.map(tokenOf)]
  const words = { title: '想有人陪我下棋', description: '每周一次，周末下午，在小区的棋牌室' }
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const some = (await client.query<{ id: string }>(`SELECT id FROM request WHERE state = 'filed' LIMIT 1000`)).rows.map(({ id }) => id)

  /** Each way's shots; claims need open wishes of their own. */
  const cases: Record<string, { count: number; ways: () => Promise<Record<'a' | 'b' | 'c', (n: number) => Shot>> }> = {
    file: { count: COUNT, ways: async () => ({
      a: (n) => ({ method: 'POST', path: '/v1/requests', token: resident, body: { item: 'companionship', node: town.buildings[(n * 7919) % town.buildings.length]!.code, ...words } }),
      b: () => ({ method: 'POST', path: '/b/file', body: words }),
      c: () => ({ method: 'POST', path: '/c/file', body: words }),
    }) },
    claim: { count: COUNT, ways: async () => {
      const [a, b, c] = [await fill(client, town, COUNT, 'open'), await fill(client, town, COUNT, 'open'), await fill(client, town, COUNT, 'open')]
      const by = (n: number) => n % members.length
      return {
        a: (n) => ({ method: 'POST', path: `/v1/requests/${a[n]}/claim`, token: members[by(n)]!, body: {} }),
        b: (n) => ({ method: 'POST', path: `/b/claim/${b[n]}?by=${town.members[by(n)]}` , body: {} }),
        c: (n) => ({ method: 'POST', path: `/c/claim/${c[n]}?by=${town.members[by(n)]}`, body: {} }),
      }
    } },
    get: { count: COUNT * 2, ways: async () => {
      const id = (n: number) => some[(n * 7) % some.length]
      return {
        a: (n) => ({ method: 'GET', path: `/v1/requests/${id(n)}`, token: staff }),
        b: (n) => ({ method: 'GET', path: `/b/get/${id(n)}` }),
        c: (n) => ({ method: 'GET', path: `/c/get/${id(n)}` }),
      }
    } },
    'list of 20': { count: COUNT, ways: async () => ({
      a: () => ({ method: 'GET', path: `/v1/requests?node=${town.compound.code}&state=filed&limit=20`, token: staff }),
      b: () => ({ method: 'GET', path: '/b/list' }),
      c: () => ({ method: 'GET', path: '/c/list' }),
    }) },
  }

  console.log(`${REQUESTS} requests filed, ${REQUESTS / 4} on the wall; 32 connections; fsync on; ${ROUNDS} rounds, median shown\n`)
  const origin = (way: string) => `http://127.0.0.1:${way === 'a' ? product : baseline}`
  for (const [name, { count, ways }] of Object.entries(cases)) {
    const found: Record<'a' | 'b' | 'c', Figures[]> = { a: [], b: [], c: [] }
    for (let round = 0; round <= ROUNDS; round++) {
      const shots = await ways()
      for (const way of ['a', 'b', 'c'] as const) {
        // The first round warms up: plans, code, connections.
        const figures = await hammer(origin(way), round === 0 ? Math.min(count, 1_000) : way === 'c' ? Math.ceil(count / 4) : count, shots[way])
        if (round > 0) found[way].push(figures)
      }
    }
    const [a, b, c] = [median(found.a), median(found.b), median(found.c)]
    for (const [label, way] of [['(a) product', a], ['(b) bare Fastify + one statement', b], ['(c) Prisma transaction', c]] as const) {
      console.log(`${name.padEnd(11)} ${label.padEnd(33)} ${way.perSecond.toFixed(0).padStart(6)}/s  p50 ${way.p50.toFixed(1)} ms  p99 ${way.p99.toFixed(1)} ms${way.failed ? `  FAILED ${way.failed}` : ''}`)
    }
    console.log(`${''.padEnd(11)} a/b ${(a.perSecond / b.perSecond).toFixed(2)}   a/c ${(a.perSecond / c.perSecond).toFixed(2)}\n`)
  }
  await client.end()
  console.log(`The second wall, four readers:\n${await wallCost(url, town, some)}\n`)
  const { SQL } = await import('./statements.ts')
  console.log('The statements of (b):')
  for (const [name, sql] of Object.entries(SQL)) console.log(`\n-- ${name}\n${sql}`)
} finally {
  for (const child of children) {
    child.kill('SIGTERM')
    await once(child, 'exit')
  }
  await server.stop()
  await rm(folder, { recursive: true, force: true })
}

function median(rounds: Figures[]): Figures {
  return rounds.sort((a, b) => a.perSecond - b.perSecond)[Math.floor(rounds.length / 2)]!
}

async function freePort(): Promise<number> {
  const socket = createServer().listen(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port } = socket.address() as { port: number }
  socket.close()
  await once(socket, 'close')
  return port
}

async function reachable(port: number): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => undefined)) return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error(`nothing listens on ${port}`)
}
