import { randomUUID } from 'node:crypto'
import { link, readFile, rename, stat, unlink, writeFile } from 'node:fs/promises'
import { generateKeyring, nextTurn, parseKeyring, readKeyring, type Keyring, type KeyringDocument } from '../service/keyring.ts'

interface Given {
  /** WISHWALL_KEYRING: the JSON itself. */
  keyring?: string | undefined
  /** WISHWALL_KEYRING_FILE: where it is. */
  keyringFile?: string | undefined
}

/** Hears why a file that has changed cannot be used; what was read before stays in use. */
type Complain = (message: string) => void

/**
 * The keyring from the configuration, which follows its file and the clock from then on: a key that is added is known
 * within two seconds, and takes over when its time comes. Only the embedded demo makes one for itself: a keyring made anew beside an existing
 * database could open nothing that is in it.
 * @param demoFile in the demo's data folder; created readable by its owner only
 * @throws Error of one line, without any key in it: a reason not to start
 */
export async function keyringFrom({ keyring, keyringFile }: Given, demoFile?: string, complain: Complain = () => {}): Promise<Keyring> {
  if (keyring && keyringFile) throw new Error('set WISHWALL_KEYRING or WISHWALL_KEYRING_FILE, not both')
  if (keyring) return following('WISHWALL_KEYRING', keyring)
  if (keyringFile) return following(keyringFile, await contents(keyringFile), { file: keyringFile, complain })
  if (demoFile === undefined) throw new Error('no keyring: set WISHWALL_KEYRING_FILE to the file that holds it, or WISHWALL_KEYRING to its JSON')
  await createOnce(demoFile)
  return following(demoFile, await contents(demoFile), { file: demoFile, complain })
}

const LOOK_EVERY_MS = 1_000

/** The same object all the time, with other keys in it: everybody holds it. */
function following(source: string, text: string, watched?: { file: string; complain: Complain }): Keyring {
  let now = named(source, text)
  let turn = nextTurn(readKeyring(text), Date.now())
  let written = ''
  const look = async (): Promise<void> => {
    const mark = watched ? await markOf(watched.file) : ''
    const changed = watched !== undefined && mark !== written
    if (changed) text = await contents(watched.file)
    if (!changed && Date.now() < turn) return
    now = named(source, text)
    turn = nextTurn(readKeyring(text), Date.now())
    written = mark
  }
  let failing = false
  setInterval(() => void look().then(() => { failing = false }, (error: Error) => {
    if (!failing) watched?.complain(error.message)
    failing = true
  }), LOOK_EVERY_MS).unref()
  return { get sign() { return now.sign }, get seal() { return now.seal }, get index() { return now.index }, get audit() { return now.audit } }
}

/** Another file under the same name, or the same one written to. */
async function markOf(file: string): Promise<string> {
  const { ino, size, mtimeMs } = await stat(file).catch((error: NodeJS.ErrnoException) => { throw new Error(`the keyring file ${file} cannot be read (${error.code})`) })
  return `${ino}/${size}/${mtimeMs}`
}

/** Whole or not at all, readable by its owner only: who reads it at this moment reads the one or the other. */
export async function replaceKeyring(file: string, change: (keyring: KeyringDocument) => KeyringDocument): Promise<void> {
  const changed = `${JSON.stringify(change(readKeyring(await contents(file))), null, 2)}\n`
  named(file, changed)
  const draft = `${file}.${randomUUID()}`
  await writeFile(draft, changed, { mode: 0o600, flag: 'wx', flush: true })
  await rename(draft, file)
}

function named(source: string, text: string): Keyring {
  try {
    return parseKeyring(text, Date.now())
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
