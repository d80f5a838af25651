import { violates } from './failures.ts'

/** How often two who write the same next version may collide before it is no accident. */
const TRIES = 5

interface Versioned {
  newest: () => Promise<{ version: number } | null>
  write: (version: number) => Promise<unknown>
}

/**
 * Writes the next version of something whose versions are immutable; when another was faster, the one after his.
 * @param unique the key that two equal versions violate
 */
export async function nextVersion(unique: string, { newest, write }: Versioned): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    const version = ((await newest())?.version ?? 0) + 1
    try {
      await write(version)
      return version
    } catch (error) {
      if (attempt === TRIES || !violates(error, unique)) throw error
    }
  }
}
