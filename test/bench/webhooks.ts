import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { startEmbeddedPostgres } from '../../src/bin/embedded-postgres.ts'
import { openEgress } from '../../src/outside/egress.ts'
import { inTenant, openDatabase } from '../../src/service/db.ts'
import { generateKeyring, parseKeyring } from '../../src/service/keyring.ts'
import { migrate } from '../../src/service/migrate.ts'
import { MOST_AT_ONCE } from '../../src/service/deliveries.ts'
import { createEndpoint } from '../../src/service/webhooks.ts'
import { cpuOf } from './cpu.ts'
import { fill, makeTown } from './town.ts'
import type { BareRun } from './webhook-bare.ts'

/**
 * Messages/s from the commit of their events to a receiver, by a real worker on a real database, next to a bare loop of
 * signed posts to the same receiver with the same body and as many at once: in turn, several rounds. Every process of it
 * shares one machine, so read the ratios.
 */

const MESSAGES = Number(process.env.BENCH_MESSAGES ?? 20_000)
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 3)
const ENDPOINTS = [1, 100]
/** As many as one worker has under way to receivers that answer at once. */
const WIDEST = 128

/** What a decision leaves behind for the relay: the outbox rows of `src/service/commit.ts`, here for events that exist. The clock starts at their commit. */
const EVENTS = `
  INSERT INTO outbox ("tenantId", id, "requestId", seq, type, at, path, payload)
  SELECT e."tenantId", gen_random_uuid(), e."requestId", e.seq, 'request.filed', now(), e.path,
    jsonb_build_object('number', 'WX20261121-' || lpad((row_number() OVER ())::text, 6, '0'), 'kind', 'wish', 'item', 'companionship', 'from', NULL, 'state', 'filed', 'version', 1, 'cycle', 1, 'node', 'S-7-5-3')
  FROM event e WHERE e."requestId" = ANY ($1::uuid[]) AND e.seq = 1`

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
  const town = await makeTown(url, 0)
  const keyring = generateKeyring()
  await writeFile(join(folder, 'keyring.json'), JSON.stringify(keyring), { mode: 0o600 })
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const clientId = crypto.randomUUID()
  await client.query(`INSERT INTO client ("tenantId", id, "clientId", name, scopes) VALUES ($1, $2, 'bench', 'bench', '{}')`, [town.tenantId, clientId])

  const receiver = child('receiver')
  const { port } = await said<{ port: number }>(receiver)
  const bare = child('bare')
  await said(bare)
  const worker = fork('dist/bin/wish-wall.js', ['worker'], {
    execArgv: [], stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    env: { ...process.env, DATABASE_URL: url, LOG_LEVEL: 'info', WISHWALL_KEYRING_FILE: join(folder, 'keyring.json'), WISHWALL_ALLOW_LOOPBACK_WEBHOOKS: 'true' },
  })
  children.push(worker)
  await new Promise<void>((resolve, reject) => {
    worker.stdout!.on('data', (chunk: Buffer) => { if (chunk.toString().includes('"msg":"working"')) resolve() })
    worker.once('exit', () => reject(new Error('the worker ended')))
  })

  const db = openDatabase({ url })
  const egress = openEgress({ allowLoopback: true, allowCidrs: [] })
  const endpoint = (n: number) => inTenant(town.tenantId, () => createEndpoint({ db, keyring: parseKeyring(JSON.stringify(keyring)), egress },
    { url: `http://127.0.0.1:${port}/${n}`, eventTypes: ['request.*'] }, { kind: 'app', clientId }))

  /** Times in microseconds of one core, for each message. */
  interface Figures {
    perSecond: number
    sender: number
    postgres: number
    receiver: number
    body: string
  }
  const measure = async (messages: number, sender: number, begin: () => Promise<unknown>): Promise<Figures> => {
    receiver.send(messages)
    await said(receiver)
    const over = said<{ at: number; body: string }>(receiver)
    const cpu = () => [sender, server.pid, receiver.pid!].map(cpuOf) as [number, number, number]
    const [started, before] = [performance.timeOrigin + performance.now(), cpu()]
    await begin()
    const { at, body } = await over
    const spent = cpu().map((now, index) => (now - before[index]!) / messages) as [number, number, number]
    return { perSecond: messages / ((at - started) / 1000), sender: spent[0], postgres: spent[1], receiver: spent[2], body }
  }
  const product = async (messages: number, endpoints: number) => {
    const ids = await fill(client, town, messages / endpoints, 'filed')
    await client.query('BEGIN')
    await client.query(EVENTS, [ids])
    return measure(messages, worker.pid!, () => client.query('COMMIT'))
  }
  const loop = (order: Omit<BareRun, 'origin'>) => measure(order.count, bare.pid!, async () => {
    bare.send({ ...order, origin: `http://127.0.0.1:${port}` } satisfies BareRun)
    await said(bare)
  })

  console.log(`${MESSAGES} messages a round, ${ROUNDS} rounds, median (least to most); jobs on ${process.env.REDIS_URL ? 'Redis' : 'PostgreSQL'}; fsync on\n`)
  let made = 0
  for (const endpoints of ENDPOINTS) {
    while (made < endpoints) await endpoint(made++)
    const found: { product: Figures; bare: Figures }[] = []
    const connections = Math.min(WIDEST, MOST_AT_ONCE * endpoints)
    for (let round = 0; round <= ROUNDS; round++) {
      // The first round warms up: plans, code, connections, and how much the product thinks an endpoint can take.
      const messages = round === 0 ? MESSAGES / 4 : MESSAGES
      const sent = await product(messages, endpoints)
      const posted = await loop({ count: messages, connections, body: sent.body })
      if (round > 0) found.push({ product: sent, bare: posted })
      // What autovacuum does within its first minute.
      else await client.query('VACUUM ANALYZE')
    }
    const ways = { product: found.map((round) => round.product), bare: found.map((round) => round.bare) }
    const rate = (way: keyof typeof ways) => spread(ways[way].map(({ perSecond }) => perSecond))
    const cpu = (way: keyof typeof ways, part: 'sender' | 'postgres' | 'receiver') => Math.round(median(ways[way].map((figures) => figures[part])))
    console.log(`${endpoints} endpoint${endpoints > 1 ? 's' : ''}, ${connections} at once`)
    console.log(`  product    ${rate('product')} messages/s, ${Math.round(median(ways.product.map(({ perSecond }) => perSecond)) / endpoints)} events/s; per message ${cpu('product', 'sender')} µs in the worker, ${cpu('product', 'postgres')} in PostgreSQL, ${cpu('product', 'receiver')} in the receiver`)
    console.log(`  bare loop  ${rate('bare')} messages/s; per message ${cpu('bare', 'sender')} µs in the loop, ${cpu('bare', 'receiver')} in the receiver`)
    console.log(`  ratio      ${spread(found.map((round) => round.product.perSecond / round.bare.perSecond), 2)}\n`)
  }
  console.log(`A round of the product begins with the commit of its events, which are made by one statement:\n${EVENTS}`)
  await Promise.all([client.end(), db.close(), egress.close()])
} finally {
  for (const one of children.reverse()) {
    const ended = once(one, 'exit')
    one.kill('SIGTERM')
    await ended
  }
  await server.stop()
  await rm(folder, { recursive: true, force: true })
}

function child(name: string): ChildProcess {
  const process_ = fork(`test/bench/webhook-${name}.ts`, { execArgv: ['--import', 'tsx'] })
  children.push(process_)
  return process_
}

async function said<T>(process_: ChildProcess): Promise<T> {
  const [message] = (await once(process_, 'message')) as [T]
  return message
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!
}

function spread(values: number[], digits = 0): string {
  return `${median(values).toFixed(digits)} (${Math.min(...values).toFixed(digits)} to ${Math.max(...values).toFixed(digits)})`
}
