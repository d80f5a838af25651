/** The database cluster on disk: where it lies, to whom it belongs, how it comes into being. */
import { createHash, randomBytes } from 'node:crypto'
import { chmod, mkdir, mkdtemp, open, readdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { complaint, EmbeddedPostgresError } from './error.ts'
import { asUser, canEnter, give, makeSharedFolder, nameOf, run, SHARED_FOLDER, unprivilegedUser, type SystemUser } from './user.ts'

export interface Place {
  folder: string
  /** The data directory of PostgreSQL, a part of the folder. */
  cluster: string
  /** Who runs PostgreSQL; undefined: we ourselves, not being root. */
  user: SystemUser | undefined
}

export const SUPERUSER = 'postgres'
const PASSWORD_FILE = 'superuser-password'

/**
 * Folder and user for this data folder, made when missing. Root gives it to the user of an existing
 * cluster, else to `postgres`, else to `nobody`, and moves to SHARED_FOLDER when they cannot reach it.
 */
export async function findPlace(dataDir: string, say: (line: string) => void): Promise<Place> {
  const created = await makeFolder(resolve(dataDir))
  const own = await realpath(dataDir)
  if (created) await chmod(own, 0o700)
  if (process.getuid?.() !== 0) return at(own, undefined)

  const shared = join(SHARED_FOLDER, createHash('sha256').update(own).digest('hex').slice(0, 16))
  const moved = () => say(`PostgreSQL keeps the data of ${own} in ${shared}, because it may not run as root and no other user can reach ${own}`)

  for (const folder of [own, shared]) {
    const { cluster } = at(folder, undefined)
    const owner = await stat(cluster).catch(() => undefined)
    if (!owner) continue
    if (owner.uid === 0) throw new EmbeddedPostgresError(`${cluster} belongs to root, and PostgreSQL may not run as root; give it back: chown -R nobody ${cluster}`)
    const user = { name: await nameOf(owner.uid), uid: owner.uid, gid: owner.gid }
    if (!(await canEnter(user, folder))) throw new EmbeddedPostgresError(`${cluster} belongs to ${user.name}, who can no longer reach it`)
    if (folder === shared) moved()
    return at(folder, user)
  }

  const user = await unprivilegedUser()
  if (await canEnter(user, dirname(own))) {
    if (!(await canEnter(user, own)) && (await readdir(own)).length === 0) await give(own, user)
    if (await canEnter(user, own)) return at(own, user)
  }
  await makeSharedFolder()
  await mkdir(shared, { recursive: true, mode: 0o700 })
  await give(shared, user)
  moved()
  return at(shared, user)
}

const at = (folder: string, user: SystemUser | undefined): Place => ({ folder, cluster: join(folder, 'cluster'), user })

/** mkdir -p; true when it was not there. Node's own never comes back from /proc/below (20.20). */
async function makeFolder(path: string): Promise<boolean> {
  const make = () => mkdir(path).then(() => true)
  const accept = async (error: NodeJS.ErrnoException) => {
    if (error.code === 'EEXIST' && (await stat(path)).isDirectory()) return false
    throw error
  }
  return make().catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT' || dirname(path) === path) return accept(error)
    await makeFolder(dirname(path))
    return make().catch(accept)
  })
}

/**
 * Makes the cluster when there is none. It grows in a folder of its own and gets its name as the last
 * step, so whatever is called `cluster` is complete, with its password; of two at once the first wins.
 */
export async function createCluster({ folder, cluster, user }: Place, binaries: string, durable: boolean): Promise<void> {
  const exists = await stat(join(cluster, 'PG_VERSION')).then(() => true, () => false)
  if (exists) return
  await removeUnfinished(folder)
  const fresh = await mkdtemp(join(folder, `${UNFINISHED}${process.pid}-`))
  try {
    await give(fresh, user)
    const password = join(fresh, PASSWORD_FILE)
    await writeFile(password, randomBytes(24).toString('base64url'), { mode: 0o600, flush: durable })
    await give(password, user)
    await initdb(binaries, join(fresh, 'cluster'), password, durable, user)
    await rename(password, join(fresh, 'cluster', PASSWORD_FILE))
    await rename(join(fresh, 'cluster'), cluster).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
    })
    if (durable) await sync(folder)
  } finally {
    await rm(fresh, { recursive: true, force: true })
  }
}

const UNFINISHED = 'new-cluster-'

/** What a start that was killed has left behind, unless its process lives: it may be at work now. */
async function removeUnfinished(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (name.startsWith(UNFINISHED) && !lives(Number.parseInt(name.slice(UNFINISHED.length), 10))) {
      await rm(join(folder, name), { recursive: true, force: true, maxRetries: 5 })
    }
  }
}

function lives(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** pg_trgm asks LC_CTYPE what a letter is: under C it finds none in Chinese, and search finds nothing. */
const CTYPES = ['C.UTF-8', 'en_US.UTF-8', 'zh_CN.UTF-8']

async function initdb(binaries: string, cluster: string, password: string, durable: boolean, user: SystemUser | undefined): Promise<void> {
  for (const ctype of CTYPES) {
    const args = [
      `--pgdata=${cluster}`, `--username=${SUPERUSER}`, `--pwfile=${password}`, '--auth=scram-sha-256', '--encoding=UTF8',
      // The provider inside PostgreSQL sorts the same on every system, so an index survives a new libc.
      '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C', `--lc-ctype=${ctype}`,
      ...(durable ? [] : ['--no-sync']),
    ]
    try {
      await run(join(binaries, 'initdb'), args, asUser(user))
      return
    } catch (error) {
      const { stderr = '', message } = error as { stderr?: string; message: string }
      if (stderr.includes('invalid locale name')) continue
      throw new EmbeddedPostgresError(complaint(stderr || message, cluster))
    }
  }
  throw new EmbeddedPostgresError(`This system has none of the locales ${CTYPES.join(', ')}; without one PostgreSQL cannot search Chinese`)
}

async function sync(folder: string): Promise<void> {
  const handle = await open(folder)
  await handle.sync().finally(() => handle.close())
}

export async function readPassword(cluster: string): Promise<string> {
  const path = join(cluster, PASSWORD_FILE)
  return readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new EmbeddedPostgresError(`${cluster} is no database of this program, or has lost its password: ${path} (${error.code})`)
  })
}
