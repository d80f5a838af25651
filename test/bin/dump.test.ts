import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { unprivilegedUser, type SystemUser } from '../../src/bin/embedded-postgres/user.ts'
import { linkOnce } from '../../src/service/audit-chain.ts'
import { asOwner } from '../../src/service/audit-owner.ts'
import { verifyChain } from '../../src/service/audit-verify.ts'
import { openDatabase, type Db } from '../../src/service/db.ts'
import { eraseInTime, erasures, replayErasures } from '../../src/service/erasures.ts'
import { migrate } from '../../src/service/migrate.ts'
import { createPerson } from '../../src/service/people.ts'
import { relayOnce } from '../../src/service/relay.ts'
import { act, file, find } from '../../src/service/requests.ts'
import { openSubjects } from '../../src/service/subjects.ts'
import type { TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { keyring } from '../processes.ts'

/**
 * README's backup of a PostgreSQL of one's own, word for word: pg_dump, pg_restore, migrate, the ledger, the chain. pg_dump reads
 * no server that is newer than itself, and none comes with the embedded one: this runs on a PostgreSQL that the machine has.
 */

const DEBIAN = '/usr/lib/postgresql'
const NEEDED = ['initdb', 'postgres', 'pg_dump', 'pg_restore']
const installed = existsSync(DEBIAN) ? readdirSync(DEBIAN).map(Number).filter((version) => version >= 15 && NEEDED.every((tool) => existsSync(join(DEBIAN, String(version), 'bin', tool)))) : []
const newest = Math.max(...installed)

describe.runIf(installed.length > 0)(`with pg_dump ${newest}`, () => {
  const tool = (name: string) => join(DEBIAN, String(newest), 'bin', name)
  let folder: string
  let server: ChildProcess
  let url: string
  let owner: pg.Pool
  let db: Db
  let town: TestPlace

  beforeAll(async () => {
    // PostgreSQL does not run as root.
    const user: SystemUser | undefined = process.getuid?.() === 0 ? await unprivilegedUser() : undefined
    const as = { cwd: '/', env: { PATH: process.env['PATH'], LC_ALL: 'C' }, ...(user && { uid: user.uid, gid: user.gid }) }
    folder = mkdtempSync(join(tmpdir(), 'wish-wall-dump-'))
    if (user) chownSync(folder, user.uid, user.gid)
    const data = join(folder, 'data')
    execFileSync(tool('initdb'), ['--pgdata', data, '--username=postgres', '--auth=trust', '--encoding=UTF8', '--locale=C', '--lc-ctype=C.UTF-8', '--no-sync'], { ...as, stdio: 'ignore' })
    const port = await freePort()
    server = spawn(tool('postgres'), ['-D', data, '-p', String(port), '-c', 'listen_addresses=127.0.0.1', '-c', `unix_socket_directories=${folder}`, '-c', 'fsync=off'], { ...as, stdio: 'ignore' })
    const at = (name: string) => `postgres://postgres@127.0.0.1:${port}/${name}`
    await answers(at('postgres'))
    url = at('wish_wall')
    await asOwner(at('postgres'), (client) => client.query('CREATE DATABASE wish_wall'))
    await migrate(url)
    open()
    town = await testPlace({ owner, db } as TestDatabase)
  }, 120_000)
  afterAll(async () => {
    await shut()
    if (server.exitCode === null) {
      server.kill('SIGQUIT')
      await once(server, 'exit')
    }
    rmSync(folder, { recursive: true, force: true })
  })

  function open(): void {
    owner = new pg.Pool({ connectionString: url, max: 2 })
    owner.on('error', () => {})
    db = openDatabase({ url, connections: 3 })
  }
  const shut = () => Promise.all([db.close(), owner.end()])
  const counted = async (): Promise<Record<string, number>> => {
    const { rows } = await owner.query<{ table: string }>(`SELECT relname AS table FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1`)
    const counts = await Promise.all(rows.map(async ({ table }) => [table, (await owner.query<{ n: number }>(`SELECT count(*)::int AS n FROM "${table}"`)).rows[0]!.n] as const))
    return Object.fromEntries(counts)
  }
  /** Who may do what to which table, and which rows each sees: dumped with the tables, given to roles that are not. */
  const guarded = async () => (await owner.query<{ guard: string }>(`
    SELECT concat_ws(' ', c.relname, c.relrowsecurity, c.relacl::text) AS guard FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'S')
    UNION ALL SELECT concat_ws(' ', tablename, policyname, roles::text, cmd, qual, with_check) FROM pg_policies
    UNION ALL SELECT concat_ws(' ', a.attrelid::regclass::text, a.attname, a.attacl::text) FROM pg_attribute a WHERE a.attacl IS NOT NULL AND a.attrelid::regclass::text NOT LIKE 'pg_%'
    UNION ALL SELECT concat_ws(' ', conrelid::regclass::text, conname, pg_get_constraintdef(oid)) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1`)).rows.map(({ guard }) => guard)
  const resident = (name: string) => town.inside(async () => {
    const id = await createPerson(db, keyring, { name, phone: '13800138001', nodeId: town.node.U })
    const actor = { kind: 'person' as const, id, clientId: null, duties: [], affiliations: [], hasAccount: false }
    const { id: request } = await file(db, { item: 'corridor-light', title: `${name}的灯`, node: 'U' }, actor)
    await act(db, 'withdraw', request, {}, actor)
    return { actor, request, subjectId: (await owner.query<{ subjectId: string }>('SELECT "subjectId" FROM person WHERE id = $1', [id])).rows[0]!.subjectId }
  })
  const title = ({ actor, request }: Awaited<ReturnType<typeof resident>>) => town.inside(() => find(db, request, actor)).then((seen) => seen.title)
  const nameOf = ({ subjectId }: Awaited<ReturnType<typeof resident>>) => town.inside(() => openSubjects(db, keyring, [subjectId])).then((known) => known.get(subjectId)?.name)

  test('a dump holds all there is, and what is erased after it stays erased when it is restored', { timeout: 120_000 }, async () => {
    const [gone, stays] = [await resident('王示例'), await resident('李示例')]
    while ((await relayOnce(db)).moved > 0);
    while ((await linkOnce(db, keyring)).linked > 0);
    const [before, guards] = [await counted(), await guarded()]
    const dump = join(folder, 'wish_wall.dump')
    execFileSync(tool('pg_dump'), ['--format=custom', `--file=${dump}`, url])

    await town.inside(() => eraseInTime(db, gone.actor.id))
    const late = await resident('孙示例')
    const ledger = await erasures(db)
    await shut()
    execFileSync(tool('pg_restore'), ['--clean', '--if-exists', '--exit-on-error', `--dbname=${url}`, dump])
    expect(await migrate(url)).toEqual({ applied: [] })
    open()

    expect(await counted()).toEqual(before)
    expect(await guarded()).toEqual(guards)
    await expect(title(late)).rejects.toMatchObject({ code: 'request-not-found' })
    expect([await title(gone), await nameOf(gone)]).toEqual(['王示例的灯', '王示例'])
    expect(await replayErasures(db, ledger)).toEqual({ erased: 1, known: 0, unknown: 0 })
    expect([await title(gone), await nameOf(gone)]).toEqual(['〔已删除〕', undefined])
    expect([await title(stays), await nameOf(stays)]).toEqual(['李示例的灯', '李示例'])
    expect(await asOwner(url, (client) => verifyChain(client, keyring))).toMatchObject({ ok: true })
    // The walls stand: no tenant, no rows; the app changes no history. And work goes on.
    expect((await db.app.query('SELECT FROM request')).rowCount).toBe(0)
    await expect(town.inside(() => db.app.query('DELETE FROM event'))).rejects.toMatchObject({ code: '42501' })
    expect(await title(await resident('周示例'))).toBe('周示例的灯')
  })
})

async function freePort(): Promise<number> {
  const socket = createServer().listen(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port } = socket.address() as { port: number }
  socket.close()
  await once(socket, 'close')
  return port
}

async function answers(url: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    const client = new pg.Client({ connectionString: url })
    client.on('error', () => {})
    try {
      await client.connect()
      return await client.end()
    } catch (error) {
      if (tries > 200) throw error
      await wait(100)
    }
  }
}
