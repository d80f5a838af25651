import { mkdir, readFile, writeFile } from 'node:fs/promises'
import openapiTypes, { astToString } from 'openapi-typescript'
import { pino } from 'pino'
import { constraintsSql, mermaid } from '../domain/derive.ts'
import { RIGHTS } from '../domain/rights.ts'
import { buildApi, storageOf } from './compose.ts'
import { readConfig } from './config.ts'
import { openDatabase } from '../service/db.ts'
import { generateKeyring, parseKeyring } from '../service/keyring.ts'

/** Writes what is derived from the code; with `--check` only says what is stale, and exits 1. */

const ROOT = new URL('../../', import.meta.url)
const PICTURE = /(<!-- states -->\n)[\s\S]*?(<!-- \/states -->)/

const ready = described()

async function described() {
  const config = readConfig({})
  const app = buildApi({
    config, files: await storageOf(config), log: pino({ level: 'silent' }), keyring: parseKeyring(JSON.stringify(generateKeyring())),
    db: openDatabase({ url: 'postgres://nobody@127.0.0.1:1/none' }), // never asked: the routes are only described
  })
  await app.ready()
  const whole = app.swagger()
  // A route without a row of rights does not register; this is the other half.
  const operations = new Set(Object.values(whole.paths ?? {}).flatMap((item) => Object.values(item as Record<string, { operationId?: string }>).map(({ operationId }) => operationId)))
  const idle = Object.keys(RIGHTS).filter((operation) => !operations.has(operation))
  if (idle.length > 0) throw new Error(`src/domain/rights.ts has rows for what is no operation: ${idle.join(', ')}`)
  return whole
}

const document = async (): Promise<string> => `${JSON.stringify(await ready, null, 2)}\n`

/** What `wish-wall/client` knows of the document: its types, and which operations are done once however often they are sent. */
async function clientTypes(): Promise<string> {
  // a copy, because it is changed on the way
  const types = astToString(await openapiTypes(JSON.parse(await document()) as never, { silent: true, alphabetize: false }))
  const keyed = Object.entries((await ready).paths ?? {})
    .filter(([, item]) => (item?.post?.parameters as { name?: string }[] | undefined)?.some(({ name }) => name === 'Idempotency-Key'))
    .map(([path]) => `  '${path}',\n`)
  return `// Generated from openapi/openapi.json by \`npm run generate\`.\n\n${types}\n/** Where a POST takes an Idempotency-Key. */\nexport const KEYED: ReadonlySet<string> = new Set([\n${keyed.join('')}])\n`
}

const readme = async (): Promise<string> =>
  (await text('README.md')).replace(PICTURE, (_, before: string, after: string) => `${before}\`\`\`mermaid\n${mermaid()}\`\`\`\n${after}`)

const text = (path: string): Promise<string> => readFile(new URL(path, ROOT), 'utf8').catch(() => '')

const files: Record<string, () => string | Promise<string>> = {
  'openapi/openapi.json': document,
  'src/client/generated/api.ts': clientTypes,
  'openapi/states.mmd': mermaid,
  'prisma/constraints.sql': constraintsSql,
  'README.md': readme,
}

const check = process.argv.includes('--check')
for (const folder of ['openapi/', 'src/client/generated/']) await mkdir(new URL(folder, ROOT), { recursive: true })
for (const [path, make] of Object.entries(files)) {
  const fresh = await make()
  if ((await text(path)) === fresh) continue
  if (check) {
    console.error(`${path} is stale: run \`npm run generate\``)
    process.exitCode = 1
  } else await writeFile(new URL(path, ROOT), fresh)
}
process.exit()
