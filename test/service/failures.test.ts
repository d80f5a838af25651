import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import pg from 'pg'
import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../src/bin/embedded-postgres.ts'
import { Problem } from '../../src/domain/problems.ts'
import { inTenant, openDatabase, tenantHere, type Db } from '../../src/service/db.ts'
import { asProblem, isWorthAnotherTry, lacks, violates } from '../../src/service/failures.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'

/** Both clients fail in their own words, on a real PostgreSQL; the mapper must find the same meaning in both. */

let database: TestDatabase
let town: TestPlace
const opened: Db[] = []
const open = (url: string, connections = 2): Db => {
  const db = openDatabase({ url, connections })
  opened.push(db)
  return db
}

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database)
})
afterAll(async () => {
  await Promise.all(opened.map((db) => db.close()))
  await database.drop()
})

interface Organisation { id: string; nodeId: string; code: string }
const organisation = (given: Partial<Organisation> = {}): Organisation => ({ id: uuidv7(), nodeId: town.node.P, code: `O-${uuidv7()}`, ...given })

/** The same statements through each client. */
const CLIENTS = {
  pg: {
    insert: async (db: Db, { id, nodeId, code }: Organisation, tenantId = tenantHere()) => {
      await db.app.query(`INSERT INTO organisation ("tenantId", id, "nodeId", code, name, kind) VALUES ($1, $2, $3, $4, '甲', 'branch')`, [tenantId, id, nodeId, code])
    },
    rename: async (db: Db, code: string) => {
      await db.app.query(`UPDATE organisation SET name = '乙' WHERE "tenantId" = $1 AND code = $2`, [tenantHere(), code])
    },
    look: async (db: Db) => void (await db.app.query('SELECT code FROM role')),
  },
  Prisma: {
    insert: async (db: Db, { id, nodeId, code }: Organisation, tenantId = tenantHere()) => {
      await db.prisma.organisation.create({ data: { tenantId, id, nodeId, code, name: '甲', kind: 'branch' } })
    },
    rename: async (db: Db, code: string) => {
      await db.prisma.organisation.updateMany({ where: { tenantId: tenantHere(), code }, data: { name: '乙' } })
    },
    look: async (db: Db) => void (await db.prisma.role.findFirst({ select: { code: true } })),
  },
}
type Client = (typeof CLIENTS)['pg']
const both = Object.entries<Client>(CLIENTS)

const failure = (run: () => Promise<unknown>): Promise<unknown> =>
  town.inside(run).then(() => { throw new Error('it did not fail') }, (error: unknown) => error)
const each = (run: (client: Client) => Promise<unknown>): Promise<unknown[]> => Promise.all(both.map(([, client]) => failure(() => run(client))))

const isAway = (error: unknown): boolean => {
  const problem = asProblem(error)
  return problem instanceof Problem && problem.code === 'overloaded' && problem.cause === error
}

/** While another holds its row, both clients wait for it; `strike` is told their backends. */
async function whileWaiting(db: Db, strike: (pids: number[]) => Promise<unknown>): Promise<unknown[]> {
  const { code } = organisation()
  await town.inside(() => CLIENTS.pg.insert(db, organisation({ code })))
  const holder = await database.owner.connect()
  try {
    await holder.query('BEGIN')
    await holder.query(`SELECT FROM organisation WHERE code = $1 FOR UPDATE`, [code])
    const failures = each((client) => client.rename(db, code))
    for (let pids: number[] = []; ;) {
      const { rows } = await database.owner.query<{ pid: number }>(`SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
      pids = rows.map(({ pid }) => pid)
      if (pids.length === both.length) {
        await strike(pids)
        return await failures
      }
      await wait(20)
    }
  } finally {
    await holder.query('ROLLBACK')
    holder.release()
  }
}

describe.each(both)('through %s', (_, client) => {
  test('a unique key that is taken is known by its name', async () => {
    const { db } = database
    const { code, id } = organisation()
    await town.inside(() => client.insert(db, organisation({ code, id })))
    const twice = await failure(() => client.insert(db, organisation({ code })))
    expect(violates(twice, 'organisation_tenantId_code_key')).toBe(true)
    expect([violates(twice, 'organisation_pkey'), lacks(twice, 'organisation_tenantId_code_key'), isWorthAnotherTry(twice)]).toEqual([false, false, false])
    expect(asProblem(twice)).toBe(twice)
    expect(violates(await failure(() => client.insert(db, organisation({ id }))), 'organisation_pkey')).toBe(true)
  })

  test('a foreign key that finds nothing is known by its name', async () => {
    const dangling = await failure(() => client.insert(database.db, organisation({ nodeId: uuidv7() })))
    expect(lacks(dangling, 'organisation_tenantId_nodeId_fkey')).toBe(true)
    expect([lacks(dangling, 'organisation_tenantId_fkey'), violates(dangling, 'organisation_tenantId_nodeId_fkey')]).toEqual([false, false])
    expect(asProblem(dangling)).toBe(dangling)
  })

  test('another tenant’s row is refused, and that is no reason to try again', async () => {
    const refused = await failure(() => client.insert(database.db, organisation(), uuidv7()))
    expect(refused).toBeInstanceOf(Error)
    expect([asProblem(refused) === refused, isWorthAnotherTry(refused)]).toEqual([true, false])
  })
})

test('in a transaction of Prisma’s too', async () => {
  const { code } = organisation()
  const twice = await failure(() => database.db.prisma.$transaction(async (tx) => {
    for (let n = 0; n < 2; n++) await tx.organisation.create({ data: { tenantId: tenantHere(), ...organisation({ code }), name: '甲', kind: 'branch' } })
  }))
  expect(violates(twice, 'organisation_tenantId_code_key')).toBe(true)
})

test('words say nothing', () => {
  const words = new Error('duplicate key value violates unique constraint "organisation_pkey" (23505)')
  expect([violates(words, 'organisation_pkey'), violates('23505', 'organisation_pkey'), violates(null, ''), lacks(undefined, '')]).toEqual([false, false, false, false])
  for (const other of [new Error('no timeout was given'), new Error('not a connection error'), new Problem('own-wish'), 'timeout exceeded', undefined]) expect(asProblem(other)).toBe(other)
})

describe('worth another try', () => {
  test('is a lock that did not come', async () => {
    const failures = await whileWaiting(database.db, async () => {})
    expect(failures.map(isWorthAnotherTry)).toEqual([true, true])
    expect(failures.map(isAway)).toEqual([false, false])
  })

  test('is a deadlock', async () => {
    const { db } = database
    const codes = ['left', 'right']
    for (const code of codes) await town.inside(() => CLIENTS.pg.insert(db, organisation({ code })))
    let meet = () => {}
    const met = new Promise<void>((resolve) => { meet = resolve })
    let arrived = 0
    const crossing = (order: string[]) => town.inside(() => db.prisma.$transaction(async (tx) => {
      for (const code of order) {
        await tx.organisation.updateMany({ where: { code }, data: { name: '丙' } })
        if (++arrived === 2) meet()
        await met
      }
    }))
    const outcomes = await Promise.allSettled([crossing(codes), crossing([...codes].reverse())])
    const reasons: unknown[] = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))
    expect(reasons.map(isWorthAnotherTry)).toEqual([true])
  })
})

describe('overloaded is', () => {
  test.each([['terminated', 'pg_terminate_backend'], ['cancelled', 'pg_cancel_backend']])('a statement that was %s', async (_, how) => {
    const failures = await whileWaiting(open(database.url), (pids) => database.owner.query(`SELECT ${how}(pid) FROM unnest($1::int[]) pid`, [pids]))
    expect(failures.map(isAway), String(failures)).toEqual([true, true])
  })

  test('a pool without a free connection', async () => {
    const db = open(database.url, 1)
    const held = await town.inside(() => db.app.connect())
    const failures = await Promise.all([each(({ look }) => look(db)), failure(() => db.prisma.$transaction(async (tx) => { await tx.role.findFirst() }))])
    held.release()
    expect(failures.flat().map(isAway), String(failures)).toEqual([true, true, true])
  })

  test('a server that takes no more connections', async () => {
    const role = `guest_${uuidv7().replaceAll('-', '')}`
    await database.owner.query(`CREATE ROLE ${role} LOGIN PASSWORD 'x' CONNECTION LIMIT 0`)
    await database.owner.query(`GRANT wishwall_app TO ${role}`)
    const url = Object.assign(new URL(database.url), { username: role, password: 'x' }).href
    const failures = await each(({ look }) => look(open(url)))
    await database.owner.query(`DROP ROLE ${role}`)
    expect(failures.map(isAway), String(failures)).toEqual([true, true])
  })

  test('a server that only reads, as after a failover', async () => {
    const name = new URL(database.url).pathname.slice(1)
    await database.owner.query(`ALTER DATABASE ${name} SET default_transaction_read_only = on`)
    const failures = await each((client) => client.insert(open(database.url), organisation()))
    await database.owner.query(`ALTER DATABASE ${name} RESET default_transaction_read_only`)
    expect(failures.map(isAway), String(failures)).toEqual([true, true])
  })

  test.each<[string, ((socket: Socket) => void) | undefined]>([
    ['is not there', undefined],
    ['says nothing', () => {}],
    ['hangs up', (socket) => socket.destroy()],
    ['breaks off', (socket) => socket.once('data', () => socket.resetAndDestroy())],
  ])('an address where a server %s', async (_, answer) => {
    const server = createServer(answer).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    if (!answer) await new Promise((resolve) => server.close(resolve))
    const db = open(`postgres://nobody@127.0.0.1:${port}/nothing`)
    const failures = await each(({ look }) => look(db))
    server.close()
    expect(failures.map(isAway), String(failures)).toEqual([true, true])
  })

  test('a name that leads nowhere', async () => {
    const db = open('postgres://nobody@database.invalid/nothing')
    const failures = await each(({ look }) => look(db))
    expect(failures.map(isAway), String(failures)).toEqual([true, true])
  })
})

describe('a server of its own', () => {
  let server: EmbeddedPostgres
  const dataDir = mkdtempSync(join(tmpdir(), 'wish-wall-killed-'))
  beforeAll(async () => {
    server = await startEmbeddedPostgres({ dataDir, durable: false })
  })
  afterAll(async () => {
    await server.stop()
    rmSync(dataDir, { recursive: true, force: true })
  })

  test('killed in the middle of statements, and after it', async () => {
    const owner = new pg.Client({ connectionString: server.url('postgres') })
    owner.on('error', () => {})
    await owner.connect()
    await owner.query('CREATE ROLE wishwall_app')
    const db = open(server.url('postgres'))
    const sleeping = [() => db.app.query('SELECT pg_sleep(60)'), async () => await db.prisma.$queryRaw`SELECT pg_sleep(60)::text`]
      .map((sleep) => failure(() => inTenant(town.tenantId, sleep)))
    for (let asleep = 0; asleep < sleeping.length; await wait(20)) {
      const { rows } = await owner.query<{ n: number }>(`SELECT count(*)::int AS n FROM pg_stat_activity WHERE wait_event = 'PgSleep'`)
      asleep = rows[0]!.n
    }
    const children = execFileSync('pgrep', ['-P', String(server.pid)], { encoding: 'utf8' }).trim().split('\n')
    for (const pid of [server.pid, ...children.map(Number)]) process.kill(pid, 'SIGKILL')
    const during = await Promise.all(sleeping)
    expect(during.map(isAway), String(during)).toEqual([true, true])
    const after = await each(({ look }) => look(db))
    expect(after.map(isAway), String(after)).toEqual([true, true])
    await owner.end()
  })
})
