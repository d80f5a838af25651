import { execFileSync } from 'node:child_process'
import { appendFile, chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../src/bin/embedded-postgres.ts'
import type { PersonActor } from '../../src/domain/actor.ts'
import { ledgerKeeper, replayLedger } from '../../src/jobs/erasure-ledger.ts'
import { openLedgerFile } from '../../src/outside/erasure-ledger.ts'
import { personActor } from '../../src/service/actors.ts'
import { openDatabase, type Db } from '../../src/service/db.ts'
import { erasePerson } from '../../src/service/erasures.ts'
import { migrate } from '../../src/service/migrate.ts'
import { createPerson, readPerson } from '../../src/service/people.ts'
import { act, file } from '../../src/service/requests.ts'
import type { TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { keyring } from '../processes.ts'

/** A backup of the cluster's folder, an erasure after it, the restore, and the ledger that was kept apart from both. */

let root: string
let server: EmbeddedPostgres
let db: Db
let owner: pg.Pool
let town: TestPlace
let admin: PersonActor
const warned: object[] = []
const log = { debug: () => {}, info: () => {}, error: () => {}, warn: (line: object) => void warned.push(line) } as never
const [data, backup, ledger] = ['data', 'backup', 'apart/erasures.jsonl'] as const
const at = (name: string) => join(root, name)
/** With owners and modes: PostgreSQL may not run as root, and does not start on a folder that others can read. */
const copy = (from: string, to: string) => execFileSync('cp', ['-a', at(from), at(to)])
const ledgerFile = () => openLedgerFile(at(ledger))
const keeper = () => ledgerKeeper({ db, file: ledgerFile(), log })

async function up(): Promise<void> {
  server = await startEmbeddedPostgres({ dataDir: at(data), durable: false })
  owner = new pg.Pool({ connectionString: server.url('wish_wall'), max: 2 })
  owner.on('error', () => {})
  db = openDatabase({ url: server.url('wish_wall'), connections: 3 })
}
async function down(): Promise<void> {
  await Promise.all([db.close(), owner.end()])
  await server.stop()
}
/** As README says it: stopped, and the folder taken back as it was. */
async function restore(): Promise<void> {
  await down()
  await rm(at(data), { recursive: true })
  copy(backup, data)
  await up()
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'wish-wall-restore-'))
  // Where root runs PostgreSQL as somebody else, that somebody must get there.
  await chmod(root, 0o711)
  server = await startEmbeddedPostgres({ dataDir: at(data), durable: false })
  const client = new pg.Client({ connectionString: server.url('postgres') })
  await client.connect()
  await client.query('CREATE DATABASE wish_wall')
  await client.end()
  await migrate(server.url('wish_wall'))
  await server.stop()
  await up()
  town = await testPlace({ owner, db } as TestDatabase)
  admin = await town.person({ at: 'S', can: ['view', 'administer'] })
}, 120_000)
afterAll(async () => {
  await down()
  await rm(root, { recursive: true, force: true })
})

/** The town is the same before and after; its database is another one. */
const resident = (name: string, phone: string) => town.inside(async () => {
  const id = await createPerson(db, keyring, { name, phone, nodeId: town.node.U })
  const actor = (await personActor(db, id, null))!
  const request = await file(db, { item: 'corridor-light', title: `${name}的灯`, node: 'U' }, actor)
  return { id, actor, request: request.id }
})
const shown = (id: string) => town.inside(() => readPerson(db, keyring, id, admin)).then(({ name, phone }) => ({ name, phone }))
const title = async (request: string) => (await owner.query<{ body: string }>(`SELECT body FROM text WHERE "requestId" = $1 AND field = 'title'`, [request])).rows[0]?.body

describe('an erasure', () => {
  test('is still one after a restore, and all else is there', { timeout: 120_000 }, async () => {
    const [gone, stays, open] = [await resident('王示例', '13800138001'), await resident('李示例', '13800138002'), await resident('赵示例', '13800138003')]
    await town.inside(() => act(db, 'withdraw', gone.request, {}, gone.actor))
    await keeper().keep()
    await expect(readFile(at(ledger))).rejects.toMatchObject({ code: 'ENOENT' })

    await down()
    copy(data, backup)
    await up()
    await town.inside(() => act(db, 'withdraw', open.request, {}, open.actor))
    const late = await resident('孙示例', '13800138004')
    await town.inside(() => act(db, 'withdraw', late.request, {}, late.actor))
    const running = keeper()
    for (const { id } of [gone, open, late]) {
      await town.inside(() => erasePerson(db, id, 'asked', admin))
      await running.keep()
    }
    await running.keep()
    const written = await readFile(at(ledger), 'utf8')
    expect(written.trim().split('\n').map((line) => JSON.parse(line).personId)).toEqual([gone.id, open.id, late.id])
    expect(written).not.toMatch(/示例|138001380/)
    expect(warned).toEqual([])

    await restore()
    expect([await shown(gone.id), await title(gone.request)]).toEqual([{ name: '王**', phone: '138****8001' }, '王示例的灯'])

    expect(await replayLedger(db, await ledgerFile().read())).toEqual({ erased: 2, known: 0, unknown: 1 })
    for (const { id, request } of [gone, open]) expect([await shown(id), await title(request)]).toEqual([{ name: null, phone: null }, '〔已删除〕'])
    expect([await shown(stays.id), await title(stays.request)]).toEqual([{ name: '李**', phone: '138****8002' }, '李示例的灯'])
    // open at the time of the backup: it goes on, without words
    expect((await owner.query('SELECT state FROM request WHERE id = $1', [open.request])).rows).toEqual([{ state: 'filed' }])
    expect((await owner.query('SELECT id, "personId", "actorId", at FROM erasure ORDER BY id')).rows.map(({ at: when, ...row }) => ({ tenantId: town.tenantId, ...row, reason: 'asked', at: when.toISOString() })))
      .toEqual((await ledgerFile().read()).filter(({ personId }) => personId !== late.id).sort((a, b) => (a.id < b.id ? -1 : 1)).map((line) => expect.objectContaining(line)))
    expect(await replayLedger(db, await ledgerFile().read())).toEqual({ erased: 0, known: 0, unknown: 1 })

    // The worker finds out by itself.
    await restore()
    expect(await shown(gone.id)).toMatchObject({ name: '王**' })
    await keeper().keep()
    expect(await shown(gone.id)).toEqual({ name: null, phone: null })
    expect(warned).toEqual([{ erased: 2, known: 0, unknown: 1 }])
    expect(await readFile(at(ledger), 'utf8')).toBe(written)
  })

  test('whose line was torn by a crash is written again, and another file is refused', async () => {
    const lines = await ledgerFile().read()
    const torn = at('torn.jsonl')
    await writeFile(torn, `${JSON.stringify(lines[0])}\n`)
    await appendFile(torn, JSON.stringify(lines[1]).slice(0, 60))
    const read = openLedgerFile(torn)
    expect(await read.read()).toEqual([lines[0]])
    await read.append([lines[1]!])
    expect(await read.read()).toEqual([lines[0], lines[1]])
    for (const line of ['{"id": 1}', 'hello', JSON.stringify({ ...lines[0], personId: "'; DROP" })]) {
      await writeFile(torn, `${line}\n`)
      await expect(read.read()).rejects.toThrow('line 1 of the erasure ledger is no entry')
    }
  })
})
