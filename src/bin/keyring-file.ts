import { randomUUID } from 'node:crypto'
import { link, readFile, unlink, writeFile } from 'node:fs/promises'
import { generateKeyring, parseKeyring, type Keyring } from '../service/keyring.ts'

interface Given {
  /** WISHWALL_KEYRING: the JSON itself. */
  keyring?: string | undefined
  /** WISHWALL_KEYRING_FILE: where it is. */
  keyringFile?: string | undefined
}

/**
 * The keyring from the configuration. Only the embedded demo makes one for itself: a keyring made anew beside an existing
 * database could open nothing that is in it.
 * @param demoFile in the demo's data folder; created readable by its owner only
 * @throws Error of one line, without any key in it: a reason not to start
 */
export async function keyringFrom({ keyring, keyringFile }: Given, demoFile?: string): Promise<Keyring> {
  if (keyring && keyringFile) throw new Error('set WISHWALL_KEYRING or WISHWALL_KEYRING_FILE, not both')
  if (keyring) return named('WISHWALL_KEYRING', keyring)
  if (keyringFile) return named(keyringFile, await contents(keyringFile))
  if (demoFile === undefined) throw new Error('no keyring: set WISHWALL_KEYRING_FILE to the file that holds it, or WISHWALL_KEYRING to its JSON')
  await createOnce(demoFile)
  return named(demoFile, await contents(demoFile))
}

function named(source: string, text: string): Keyring {
  try {
    return parseKeyring(text)
  } catch (error) {
    throw new Error(`${source}: ${error instanceof Error ? error.message : 'unreadable'}`)
  }
}

async function contents(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new Error(`the keyring file ${file} cannot be read (${error.code})`)
  })
}

/** Whole or not at all, and never over another one: two processes may start at once, or the power may fail. */
async function createOnce(file: string): Promise<void> {
  const whole = await readFile(file).catch(() => undefined)
  if (whole !== undefined) return
  const draft = `${file}.${randomUUID()}`
  await writeFile(draft, `${JSON.stringify(generateKeyring(), null, 2)}\n`, { mode: 0o600, flag: 'wx', flush: true })
  try {
    await link(draft, file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    await unlink(draft)
  }
}
