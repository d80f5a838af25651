/** Who runs PostgreSQL. It refuses root, so root runs it as somebody who exists already. */
import { execFile } from 'node:child_process'
import { chmod, chown, mkdir, readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { EmbeddedPostgresError } from './error.ts'

export const run = promisify(execFile)

export interface SystemUser {
  name: string
  uid: number
  gid: number
}

/**
 * Options for a child process. Its environment is empty but for the path: LANG, PGOPTIONS, PGDATA …
 * of whoever starts us must not decide how the database is made. LC_ALL is wanted by macOS.
 */
export function asUser(user: SystemUser | undefined, env: Record<string, string> = {}) {
  return {
    cwd: '/',
    env: { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', ...env },
    ...(user && { uid: user.uid, gid: user.gid }),
  }
}

/** macOS writes its nobody as -2, which chown does not take. */
export const give = (path: string, user: SystemUser | undefined) => user && chown(path, user.uid >>> 0, user.gid >>> 0)

export const canEnter = (user: SystemUser, folder: string) =>
  run('/bin/sh', ['-c', 'test -x "$0"', folder], asUser(user)).then(
    () => true,
    (error: { code?: unknown; message: string }) => {
      if (error.code === 1) return false
      throw new EmbeddedPostgresError(`PostgreSQL may not run as root, and root may not run it as ${user.name} here (${error.message})`)
    },
  )

/** Where root puts what another user must reach but cannot reach where it is. */
export const SHARED_FOLDER = '/var/lib/wish-wall'

export async function makeSharedFolder(): Promise<void> {
  const created = await mkdir(SHARED_FOLDER, { recursive: true })
  if (created !== undefined) await chmod(SHARED_FOLDER, 0o755) // whatever the umask
}

export async function unprivilegedUser(): Promise<SystemUser> {
  const users = await systemUsers()
  const user = users.find(({ name }) => name === 'postgres') ?? users.find(({ name }) => name === 'nobody')
  if (!user) throw new EmbeddedPostgresError('PostgreSQL may not run as root, and there is neither a user postgres nor nobody. Start as another user')
  return user
}

export const nameOf = async (uid: number) => (await systemUsers()).find((user) => user.uid >>> 0 === uid)?.name ?? `user ${uid}`

async function systemUsers(): Promise<SystemUser[]> {
  const lines = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'))
  return lines.map(([name = '', , uid, gid]) => ({ name, uid: Number(uid), gid: Number(gid) })).filter(({ uid }) => uid !== 0)
}
