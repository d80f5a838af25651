import { Failure } from './config.ts'

/** What was started last is stopped first. */
export interface Stoppable {
  stop(): Promise<void>
}

/** Ctrl-C ends everything within so long, whatever hangs. */
const DEADLINE_MS = 9_000

/** Thrown into a start that is no longer wanted. */
class Unwanted extends Error {}

/**
 * Runs an entry point: one clear line and exit 1 when it cannot start; on SIGINT or SIGTERM stops what it started, also
 * when it is still starting. A terminal's Ctrl-C reaches us twice, from the terminal and from npm: the second is no hurry.
 */
export async function run(start: (started: (part: Stoppable) => void) => Promise<void>): Promise<void> {
  const parts: Stoppable[] = []
  let stopping = false
  const stopParts = async (): Promise<void> => {
    for (let part = parts.pop(); part; part = parts.pop()) await part.stop().catch((error: unknown) => console.error(lineOf(error)))
  }
  const stop = async (code: number): Promise<void> => {
    if (stopping) return
    stopping = true
    setTimeout(() => process.exit(code || 1), DEADLINE_MS).unref()
    await stopParts()
    // What was just being started comes up, is not wanted, and goes down again.
    await starting.catch(() => {})
    await stopParts()
    process.exit(code)
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void stop(0))
  process.on('uncaughtException', (error) => {
    if (!stopping) console.error(error)
    void stop(1)
  })
  const starting = start((part) => {
    parts.push(part)
    if (stopping) throw new Unwanted()
  })
  await starting.catch(async (error: unknown) => {
    if (stopping) return // its ground was taken away while it stood on it
    console.error(`wish-wall: ${lineOf(error)}`)
    await stop(1) // so that nobody exits with 0 meanwhile
  })
}

/** What a person can act on. A fault of ours keeps its stack. */
export function lineOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { code } = error as { code?: string }
  const known = error instanceof Failure || error.name === 'EmbeddedPostgresError' || error.name === 'MigrationError' || code !== undefined
  const [line = error.name] = error.message.split('\n')
  if (known || error instanceof AggregateError) return line || code || error.name
  return error.stack ?? line
}
