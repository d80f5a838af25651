import { parseArgs } from 'node:util'
import { asOwner } from '../service/audit-owner.ts'
import { KEY_USES, rotateKeyring, type Keyring, type KeyUse } from '../service/keyring.ts'
import { reindex } from '../service/reindex.ts'
import { rewrap } from '../service/rewrap.ts'
import { Failure } from './config.ts'
import { replaceKeyring } from './keyring-file.ts'

/** What people call them. */
const NAMES: Readonly<Record<string, KeyUse>> = { signing: 'sign', encryption: 'seal', index: 'index', audit: 'audit' }
const DEFAULT_USES = ['signing', 'encryption', 'audit']
const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/**
 * `keyring:rotate [--use signing|encryption|index|audit]… [--after 1m]`: new keys beside the old ones, known to every
 * process before the first of them makes anything with one.
 */
export async function keyringRotate(args: string[], file: string | undefined): Promise<void> {
  if (file === undefined) throw new Failure('WISHWALL_KEYRING_FILE is not set: only a keyring in a file is rotated here')
  const { use, after } = parseArgs({ args, options: { use: { type: 'string', multiple: true, default: DEFAULT_USES }, after: { type: 'string', default: '1m' } } }).values
  const uses = [...new Set(use.map((name) => NAMES[name] ?? KEY_USES.find((known) => known === name) ?? wrongUse(name)))]
  const [, count, unit] = /^(\d{1,5})([smhd])$/.exec(after) ?? []
  if (count === undefined || unit === undefined) throw new Failure('--after takes a time such as 30s, 1m or 2h')
  const from = new Date(Date.now() + Number(count) * UNITS[unit]!)
  let kids: Partial<Record<KeyUse, string>> = {}
  await replaceKeyring(file, (before) => {
    const rotated = rotateKeyring(before, uses, from)
    kids = rotated.kids
    return rotated.keyring
  })
  for (const [name, kid] of Object.entries(kids)) console.log(`${name.padEnd(6)} ${kid} takes over at ${from.toISOString()}`)
  console.log(`${file} holds the new keys beside the old ones: copy it to every machine before that time, and keep a copy safe`)
  if (uses.includes('seal') || uses.includes('index')) console.log('after that, keyring:rewrap seals and hashes what lies in the database with the new key')
}

function wrongUse(name: string): never {
  throw new Failure(`--use takes ${Object.keys(NAMES).join(', ')}, not ${name}`)
}

/** `keyring:rewrap`: everything sealed is sealed by the newest key, and what is looked up by a hash hashed by it, in batches; may be broken off and run again. */
export async function keyringRewrap({ url, keyring }: { url: string; keyring: Keyring }): Promise<void> {
  const soFar = (what: string, count: number) => console.error(`${what}: ${count} so far`)
  const [sealed, hashed] = await asOwner(url, async (client) => [await rewrap(client, keyring, soFar), await reindex(client, keyring, soFar)] as const)
  for (const [table, count] of Object.entries(sealed)) console.log(`${table.padEnd(20)} ${count} sealed anew by ${keyring.seal[0].kid}`)
  for (const [column, count] of Object.entries(hashed)) console.log(`${column.padEnd(20)} ${count} hashed anew by ${keyring.index[0].kid}`)
}
