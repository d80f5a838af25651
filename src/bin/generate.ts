import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { pino } from 'pino'
import { constraintsSql, mermaid } from '../domain/derive.ts'
import { buildApi, storageOf } from './compose.ts'
import { readConfig } from './config.ts'
import { openDatabase } from '../service/db.ts'
import { generateKeyring, parseKeyring } from '../service/keyring.ts'

/** Writes what is derived from the code; with `--check` only says what is stale, and exits 1. */

const ROOT = new URL('../../', import.meta.url)
const PICTURE = /(<!-- states -->\n)[\s\S]*?(<!-- \/states -->)/

async function document(): Promise<string> {
  const config = readConfig({})
  const app = buildApi({
    config, files: await storageOf(config), log: pino({ level: 'silent' }), keyring: parseKeyring(JSON.stringify(generateKeyring())),
    db: openDatabase({ url: 'postgres://nobody@127.0.0.1:1/none' }), // never asked: the routes are only described
  })
  await app.ready()
  return `${JSON.stringify(app.swagger(), null, 2)}\n`
}

const readme = async (): Promise<string> =>
  (await text('README.md')).replace(PICTURE, (_, before: string, after: string) => `${before}\`\`\`mermaid\n${mermaid()}\`\`\`\n${after}`)

const text = (path: string): Promise<string> => readFile(new URL(path, ROOT), 'utf8').catch(() => '')

const files: Record<string, () => string | Promise<string>> = {
  'openapi/openapi.json': document,
  'openapi/states.mmd': mermaid,
  'prisma/constraints.sql': constraintsSql,
  'README.md': readme,
}

const check = process.argv.includes('--check')
await mkdir(new URL('openapi/', ROOT), { recursive: true })
for (const [path, make] of Object.entries(files)) {
  const fresh = await make()
  if ((await text(path)) === fresh) continue
  if (check) {
    console.error(`${path} is stale: run \`npm run generate\``)
    process.exitCode = 1
  } else await writeFile(new URL(path, ROOT), fresh)
}
process.exit()
