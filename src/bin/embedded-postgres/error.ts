/** How failures are told: in one line, for a person; where they were thrown does not matter. */

export class EmbeddedPostgresError extends Error {
  override name = 'EmbeddedPostgresError'
}

/** The lines of PostgreSQL's output that say what is wrong, as one. */
export function complaint(output: string, place: string): string {
  if (/No space left on device|Disk quota exceeded|Check free disk space/.test(output)) return `The disk is full: PostgreSQL cannot write ${place}`
  const telling = output.match(/(error|FATAL|PANIC|detail|hint):.*/gi) ?? output.trim().split('\n').slice(-1)
  return `PostgreSQL does not start in ${place}: ${telling.join(' ')}`
}

const NOT_WRITABLE = ['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST', 'ENOENT']

/** The same for errors of the operating system; others are bugs and stay as they are. */
export function explained(error: unknown, dataDir: string): unknown {
  if (error instanceof EmbeddedPostgresError || !(error instanceof Error) || !('syscall' in error)) return error
  const { code = '', path, message } = error as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT') return new EmbeddedPostgresError(`The disk is full: ${dataDir} (${message})`)
  if (path && NOT_WRITABLE.includes(code)) return new EmbeddedPostgresError(`The data folder ${dataDir} is not writable (${message})`)
  return new EmbeddedPostgresError(`PostgreSQL cannot be started in ${dataDir} (${message})`)
}
