/**
 * A running PostgreSQL as the operating system shows it: its pid file, its command line, its beginning and end.
 * Linux and macOS.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { open, readFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Place } from './cluster.ts'
import { EmbeddedPostgresError } from './error.ts'
import { asUser, run } from './user.ts'

export interface PidFile {
  pid: number
  port: number
  status: string
}

/** postmaster.pid, which PostgreSQL fills line by line: status is '' until the last one is there. */
export async function readPidFile(cluster: string): Promise<PidFile | undefined> {
  const text = await readFile(join(cluster, 'postmaster.pid'), 'utf8').catch(() => '')
  const lines = text.split('\n')
  const pid = Math.abs(Number.parseInt(lines[0] ?? '', 10)) // negative in single-user mode
  return pid > 0 ? { pid, port: Number(lines[3] ?? 0), status: lines[7]?.trim() ?? '' } : undefined
}

/**
 * Is this pid the postmaster of this cluster, now? False for a pid that another program has got
 * since, and for a zombie: nobody may reap the orphans of a container.
 */
export async function isPostmaster(pid: number, cluster: string): Promise<boolean> {
  const command = await commandLine(pid)
  return /(^|\/)postgres /.test(command) && command.includes(` -D ${cluster} `)
}

async function commandLine(pid: number): Promise<string> {
  try {
    if (process.platform === 'linux') return (await readFile(`/proc/${pid}/cmdline`, 'utf8')).replaceAll('\0', ' ')
    return (await run('ps', ['-ww', '-o', 'command=', '-p', String(pid)])).stdout.replace('\n', ' ')
  } catch {
    return ''
  }
}

const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '', // a path over 107 bytes would stop the start
  TimeZone: 'UTC',
  log_timezone: 'UTC',
}

/** Its own process group, so that Ctrl-C reaches us alone and we end it when all else is done. */
export async function launch({ folder, cluster, user }: Place, binaries: string, settings: Record<string, string>, stalePid = 0) {
  const path = join(folder, 'postgres.log')
  const log = await open(path, 'a', 0o600)
  try {
    if ((await log.stat()).size > 10_000_000) await log.truncate()
    const { size } = await log.stat()
    const all = { ...SETTINGS, port: String(await freePort()), ...settings }
    const flags = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    const child = spawn(join(binaries, 'postgres'), ['-D', cluster, ...flags], {
      // How pg_ctl tells PostgreSQL of a pid that is no server: a stale pid file may by now name some
      // other program of this user. Deleting the file instead would race with another start.
      ...asUser(user, { PG_GRANDPARENT_PID: String(stalePid) }),
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
    })
    await once(child, 'spawn')
    child.unref()
    return { pid: child.pid!, output: async () => (await readFile(path)).subarray(size).toString() }
  } finally {
    await log.close()
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((closed) => server.close(closed))
  return port
}

const STARTING_UP = 120_000 // milliseconds; recovery after a crash may read a GB of log

/** Its pid file once it neither starts up any more nor has ended; undefined when it has. */
export async function settled(pid: number, cluster: string): Promise<PidFile | undefined> {
  let file: PidFile | undefined
  let alive = true
  await until(async () => {
    alive = await isPostmaster(pid, cluster)
    file = await readPidFile(cluster)
    return !alive || (file?.pid === pid && (file.status === 'ready' || file.status === 'stopping'))
  }, STARTING_UP)
  return alive ? file : undefined
}

/** SIGINT: fast shutdown, with a checkpoint. SIGQUIT: at once, recovery at the next start. Milliseconds of patience. */
const ENDINGS = [['SIGINT', 6000], ['SIGQUIT', 2000], ['SIGKILL', 2000]] as const

/** Ends the postmaster of this cluster and waits until it is gone, sharper from step to step. */
export async function endPostmaster(pid: number, cluster: string, first: 'SIGINT' | 'SIGQUIT'): Promise<void> {
  for (const [signal, patience] of ENDINGS.slice(first === 'SIGINT' ? 0 : 1)) {
    if (!(await isPostmaster(pid, cluster))) return
    try {
      process.kill(pid, signal)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw new EmbeddedPostgresError(`PostgreSQL (process ${pid}) belongs to another user and cannot be stopped`)
    }
    if (await until(async () => !(await isPostmaster(pid, cluster)), patience)) return
  }
  throw new EmbeddedPostgresError(`PostgreSQL (process ${pid}) does not end, not even by SIGKILL`)
}

/** Asks again and again, for so many milliseconds; false when time is up. */
export async function until(condition: () => Promise<boolean>, milliseconds: number): Promise<boolean> {
  for (const deadline = performance.now() + milliseconds; !(await condition()); await sleep(10)) {
    if (performance.now() > deadline) return false
  }
  return true
}
