import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import type { ExternalUser } from '../../src/domain/external-user.ts'
import { createClient } from '../../src/service/clients.ts'
import { residentOf } from '../../src/service/external-users.ts'
import { createHouseholds, findByDoors } from '../../src/service/households.ts'
import { parseKeyring, type Keyring } from '../../src/service/keyring.ts'
import { createPerson } from '../../src/service/people.ts'
import { findSubjects, openSubjects } from '../../src/service/subjects.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { startProcess, type Running } from '../processes.ts'

/** Keys take over from each other while everything runs. Real processes, one file. */

const dist = process.env['WISHWALL_TEST_DIST'] ?? 'dist'
const folder = mkdtempSync(join(tmpdir(), 'wish-wall-rotate-'))
const file = join(folder, 'keyring.json')
let database: TestDatabase
let town: TestPlace
let processes: Running[] = []
let app: { id: string; clientSecret: string }
const wishWall = (...args: string[]) => execFileSync(process.execPath, [`${dist}/bin/wish-wall.js`, ...args],
  { env: { PATH: process.env['PATH'], DATABASE_URL: database.url, WISHWALL_KEYRING_FILE: file }, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
const ring = () => parseKeyring(readFileSync(file, 'utf8'))

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database)
  wishWall('keyring:create', file)
  app = await town.inside(() => createClient(database.db, { clientId: 'demo-app', name: '示例', scopes: ['requests:read', 'directory:read'] }))
  processes = await Promise.all([1, 2].map(() => startProcess('api', { DATABASE_URL: database.url, WISHWALL_KEYRING_FILE: file }, dist)))
}, 60_000)
afterAll(async () => {
  await Promise.all(processes.map((one) => one.stop()))
  await database.drop()
  rmSync(folder, { recursive: true, force: true })
})

const kidOf = (token: string): string => (JSON.parse(Buffer.from(token.split('.')[0]!, 'base64url').toString()) as { kid: string }).kid

async function tokenFrom({ origin }: Running): Promise<string> {
  const answer = await fetch(`${origin}/oauth/token`, { method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ grant_type: 'client_credentials', client_id: 'demo-app', client_secret: app.clientSecret }) })
  expect(answer.status).toBe(200)
  return ((await answer.json()) as { access_token: string }).access_token
}

describe('a new signing key', () => {
  test('is known to both processes before either signs with it: no call is refused meanwhile', async () => {
    const [before] = ring().sign
    const first = await tokenFrom(processes[0]!)
    expect(kidOf(first)).toBe(before.kid)
    expect(wishWall('keyring:rotate', '--use', 'signing', '--after', '4s')).toContain('takes over at')
    expect(statSync(file).mode & 0o777).toBe(0o600)
    const [after] = ring().sign
    expect(after.kid).not.toBe(before.kid)
    expect(ring().sign.map(({ kid }) => kid)).toEqual([after.kid, before.kid])
    const signed = new Map<string, Set<number>>()
    let calls = 0
    // Until both have signed with the new key for a while.
    for (let rounds = 0; (signed.get(after.kid)?.size ?? 0) < 2 || rounds < 5;) {
      for (const [index, from] of processes.entries()) {
        const token = await tokenFrom(from)
        const by = signed.get(kidOf(token)) ?? new Set()
        signed.set(kidOf(token), by.add(index))
        for (const to of processes) {
          const answer = await fetch(`${to.origin}/v1/items`, { headers: { authorization: `Bearer ${token}` } })
          expect({ status: answer.status, by: kidOf(token) }).toEqual({ status: 200, by: kidOf(token) })
          calls++
        }
      }
      if ((signed.get(after.kid)?.size ?? 0) === 2) rounds++
      await sleep(50)
    }
    expect([...signed.keys()].sort()).toEqual([before.kid, after.kid].sort())
    expect(calls).toBeGreaterThan(40)
    // What the old key signed is good until it runs out.
    for (const { origin } of processes) expect((await fetch(`${origin}/v1/items`, { headers: { authorization: `Bearer ${first}` } })).status).toBe(200)
    const jwks = (await (await fetch(`${processes[0]!.origin}/.well-known/jwks.json`)).json()) as { keys: { kid: string }[] }
    expect(jwks.keys.map(({ kid }) => kid)).toEqual([after.kid, before.kid])
  }, 60_000)
})

describe('a new encryption key', () => {
  test('opens nothing by itself; what is sealed is sealed anew, after which the old key is not needed', async () => {
    const old = ring()
    const ids = await town.inside(async () => Promise.all(['王示例', '李示例', '张示例'].map((name) => createPerson(database.db, old, { name, phone: '13800138000' }))))
    const { rows } = await database.owner.query<{ subjectId: string }>('SELECT "subjectId" FROM person WHERE id = ANY ($1)', [ids])
    wishWall('keyring:rotate', '--use', 'encryption', '--after', '0s')
    const both = ring()
    const opened = (keyring: typeof both) => town.inside(() => openSubjects(database.db, keyring, rows.map(({ subjectId }) => subjectId)))
    const before = await opened(both)
    expect([...before.values()].map(({ name }) => name).sort()).toEqual(['张示例', '李示例', '王示例'])
    const alone = { ...both, seal: [both.seal[0]] as const }
    await expect(opened(alone)).rejects.toThrow('has no key')
    expect(wishWall('keyring:rewrap')).toMatch(/subject +3 sealed anew/)
    expect(await opened(alone)).toEqual(before)
    expect(wishWall('keyring:rewrap')).toMatch(/subject +0 sealed anew/)
  }, 60_000)
})

describe('a new index key', () => {
  test('finds phones, doors and openIds of before, and after keyring:rewrap does so alone', async () => {
    const { db } = database
    const old = ring()
    const resident: ExternalUser = { provider: 'wechat', appId: 'wx1', openId: 'o:6_x' }
    const staff: PersonActor = { kind: 'person', id: '0195f2a0-7c1e-7abc-8def-0123456789ab', clientId: null, affiliations: [], hasAccount: true, duties: [{ id: 'x', role: 'x', capabilities: ['file_for'], path: 'S/', organisationId: null }] }
    const look = (keyring: Keyring) => town.inside(async () => ({
      phones: (await findSubjects(db, keyring, '13900139001')).length, door: (await findByDoors(db, keyring, [{ nodeId: town.node.U, door: '301' }]))[0], resident: await residentOf(db, keyring, app.id, resident),
    }))
    await town.inside(async () => {
      await createPerson(db, old, { name: '钱示例', phone: '13900139001' })
      await createHouseholds(db, old, [{ node: 'U', door: '301' }], staff)
      await residentOf(db, old, app.id, resident)
    })
    const before = await look(old)
    expect(before).toEqual({ phones: 1, door: expect.any(String), resident: expect.any(String) })
    wishWall('keyring:rotate', '--use', 'index', '--after', '0s')
    const both = ring()
    expect(await look(both)).toEqual(before)
    const alone = { ...both, index: [both.index[0]] as const }
    expect(await town.inside(() => findSubjects(db, alone, '13900139001'))).toEqual([])
    const said = wishWall('keyring:rewrap')
    for (const column of ['subject.phone', 'household.door', 'external_user.openId']) expect(said).toMatch(new RegExp(`${column} +[1-9]\\d* hashed anew`))
    expect(await look(alone)).toEqual(before)
    expect(await look(both)).toEqual(before)
    expect(wishWall('keyring:rewrap')).toMatch(/subject\.phone +0 hashed anew/)
  }, 60_000)
})

describe('the commands', () => {
  test('rotate nothing that is not a keyring in a file, and no use there is none of', () => {
    const refused = (args: string[], env: Record<string, string>) => {
      const { status, stderr } = spawnSync(process.execPath, [`${dist}/bin/wish-wall.js`, ...args], { env: { PATH: process.env['PATH'], ...env }, encoding: 'utf8' })
      return { status, stderr }
    }
    expect(refused(['keyring:rotate'], {})).toMatchObject({ status: 1, stderr: expect.stringContaining('WISHWALL_KEYRING_FILE is not set') })
    expect(refused(['keyring:rotate', '--use', 'nothing'], { WISHWALL_KEYRING_FILE: file })).toMatchObject({ status: 1, stderr: expect.stringContaining('--use takes') })
    expect(refused(['api'], { DATABASE_URL: database.url })).toMatchObject({ status: 1, stderr: expect.stringContaining('no keyring') })
  }, 30_000)

  test('check the chain and say where it was broken', async () => {
    const verdict = JSON.parse(wishWall('audit:verify', '--json')) as { ok: boolean }
    expect(verdict).toMatchObject({ ok: true })
    await database.owner.query(`UPDATE audit_head SET hash = sha256('x'), n = 3, kid = 'x', signature = 'x'`)
    const { status, stdout } = spawnSync(process.execPath, [`${dist}/bin/wish-wall.js`, 'audit:verify', '--json'],
      { env: { PATH: process.env['PATH'], DATABASE_URL: database.url, WISHWALL_KEYRING_FILE: file }, encoding: 'utf8' })
    expect(status).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({ ok: false, faults: expect.arrayContaining([expect.objectContaining({ kind: 'edited', table: 'audit_head' })]) })
  }, 30_000)
})
