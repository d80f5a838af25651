// npm run migration <name>: writes the SQL that leads from the schema of the last commit to the one on disk,
// for review and for all that a schema cannot say. Needs no database.
import { PrismaPg } from '@prisma/adapter-pg'
import { bindMigrationAwareSqlAdapterFactory, ColumnTypeEnum } from '@prisma/driver-adapter-utils'
import * as runtime from '@prisma/schema-engine-wasm/schema_engine_bg'
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

process.chdir(join(import.meta.dirname, '..'))
const SCHEMA = 'prisma/schema.prisma'

const name = process.argv[2] ?? ''
if (!/^[a-z0-9_]+$/.test(name)) fail('usage: npm run migration <name>, in small letters, digits and _')
// What an uncommitted migration already does would be written a second time.
const uncommitted = git('status', '--porcelain', '-uall', '--', 'prisma/migrations/*/migration.sql')
if (uncommitted) fail(`commit or delete first:\n${uncommitted}`)

const isFirst = git('ls-tree', 'HEAD', SCHEMA) === ''
const sql = await difference(
  isFirst ? { tag: 'empty' } : datamodel(git('show', `HEAD:./${SCHEMA}`)),
  datamodel(readFileSync(SCHEMA, 'utf8')),
)
const timestamp = new Date().toISOString().replace(/\D/g, '').slice(0, 14)
const folder = `prisma/migrations/${timestamp}_${name}`
mkdirSync(folder, { recursive: true })
writeFileSync(`${folder}/migration.sql`, sql)
console.log(`${folder}/migration.sql`)

async function difference(from, to) {
  const engine = await openEngine()
  const filters = { externalTables: [], externalEnums: [] }
  const { stdout } = await engine.diff({ from, to, script: true, exitCode: null, filters }).catch((error) => fail(error.message))
  return stdout
}

/** Prisma's schema engine as WASM, since the native one is a download. */
async function openEngine() {
  const code = createRequire(import.meta.url).resolve('@prisma/schema-engine-wasm/schema_engine_bg')
  const wasm = readFileSync(code.replace(/\.js$/, '.wasm'))
  const { instance } = await WebAssembly.instantiate(wasm, { './schema_engine_bg.js': runtime })
  runtime.__wbg_set_wasm(instance.exports)
  instance.exports.__wbindgen_start()
  return runtime.SchemaEngine.new({ datamodels: undefined }, () => {}, await postgres18())
}

/** The engine asks its database for the version and, to compare two texts, nothing else. */
async function postgres18() {
  const version = {
    columnNames: ['exists', 'version', 'numeric_version'],
    columnTypes: [ColumnTypeEnum.Boolean, ColumnTypeEnum.Text, ColumnTypeEnum.Int32],
    rows: [[true, 'PostgreSQL 18', 180000]],
  }
  const factory = new PrismaPg('postgres://none')
  const adapter = Object.assign(await factory.connect(), { queryRaw: async () => version })
  return bindMigrationAwareSqlAdapterFactory(Object.assign(factory, { connect: async () => adapter }))
}

function datamodel(content) {
  return { tag: 'schemaDatamodel', files: [{ path: SCHEMA, content }] }
}

function git(...args) {
  return execFileSync('git', args, { encoding: 'utf8' }).trimEnd()
}

function fail(message) {
  console.error(message)
  process.exit(1)
}
