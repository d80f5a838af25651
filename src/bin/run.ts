import { Failure } from './config.ts'

/** What was started last is stopped first. */
export interface Stoppable {
  stop(): Promise<void>
}

/** Ctrl-C ends everything within so long, whatever hangs. */
const DEADLINE_MS = 9_000

/**
 * Runs an entry point: one clear line and exit 1 when it cannot start; on SIGINT or SIGTERM stops what it started.
 * A terminal's Ctrl-C reaches us twice, from the terminal and from npm: the second is no hurry.
 */
export async function run(start: (started: (part: Stoppable) => void) => Promise<void>): Promise<void> {
  const parts: Stoppable[] = []
  let stopping = false
  const stop = async (code: number): Promise<void> => {
    if (stopping) return
    stopping = true
    setTimeout(() => process.exit(code || 1), DEADLINE_MS).unref()
    for (const part of parts.reverse()) await part.stop().catch((error: unknown) => console.error(lineOf(error)))
    process.exit(code)
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void stop(0))
  process.on('uncaughtException', (error) => {
    console.error(error)
    void stop(1)
  })
  try {
    await start((part) => parts.push(part))
  } catch (error) {
    console.error(`wish-wall: ${lineOf(error)}`)
    await stop(1)
  }
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
