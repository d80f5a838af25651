import { Secret, TOTP } from 'otpauth'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { enrolmentRoutes } from '../../src/http/routes/enrolments.ts'
import { privacyRoutes } from '../../src/http/routes/privacy.ts'
import { openDatabase, type Db } from '../../src/service/db.ts'
import { createPerson } from '../../src/service/people.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { call, keyring, tokenFor } from '../processes.ts'
import { askToken, openDoor, type Door, type TokenAnswer } from './identity.ts'

/** 动态口令 and 锁定 over real HTTP, by two processes' worth of doors on one database. */

const PASSWORD = 'a long password'
let database: TestDatabase, otherDb: Db
let town: TestPlace
let door: Door, other: Door
let chief: PersonActor

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database, {}, 'ONE')
  chief = await town.person({ at: 'S', can: ['view', 'administer'] })
  otherDb = openDatabase({ url: database.url, connections: 3 })
  const more = [privacyRoutes({ db: database.db, keyring }), enrolmentRoutes({ db: database.db, keyring })]
  ;[door, other] = await Promise.all([openDoor(database.db, { more }), openDoor(otherDb)])
})
afterAll(async () => {
  await Promise.all([door.close(), other.close()])
  await otherDb.close()
  await database.drop()
})

let n = 0
const newcomer = async (): Promise<{ login: string; id: string }> => {
  const login = `P${++n}`
  return { login, id: await town.inside(() => createPerson(database.db, keyring, { name: '王示例', login, password: PASSWORD, nodeId: town.node.C })) }
}
const logIn = (username: string, password = PASSWORD, totp?: string, at = door): Promise<TokenAnswer> => askToken(at.origin, { grant_type: 'password', username, password, totp })
const post = (token: string, path: string, body?: object, at = door) => call(at.origin, token, 'POST', path, body)

interface Enrolled { login: string; id: string; token: string; codeAt(step: number): string; recovery: string[] }
/** The step in which the phone is: of the database's clock. */
const stepNow = async (): Promise<number> => Math.floor(((await database.owner.query<{ now: Date }>('SELECT wishwall_now() AS now')).rows[0]!.now.getTime()) / 30_000)
async function enrolled(): Promise<Enrolled> {
  const { login, id } = await newcomer()
  const token = (await logIn(login)).body.access_token as string
  const { status, body: { secret, uri } } = await post(token, '/v1/me/totp')
  expect([status, uri]).toEqual([201, expect.stringMatching(/^otpauth:\/\/totp\/.*secret=/)])
  const totp = new TOTP({ secret: Secret.fromBase32(secret as string), algorithm: 'SHA1', digits: 6, period: 30 })
  const codeAt = (step: number) => totp.generate({ timestamp: step * 30_000 })
  const confirmed = await post(token, '/v1/me/totp/confirm', { code: codeAt((await stepNow()) - 1) })
  expect(confirmed.status).toBe(200)
  return { login, id, token, codeAt, recovery: confirmed.body.recoveryCodes as string[] }
}

describe('登录', () => {
  test('takes the code, behind the password or by itself, and says that it misses one to nobody but who knows the password', async () => {
    const { login, codeAt } = await enrolled()
    const step = await stepNow()
    expect(await logIn(login)).toMatchObject({ status: 400, body: { error: 'mfa_required' } })
    expect(await logIn(login, 'wrong')).toMatchObject({ status: 400, body: { error: 'invalid_grant' } })
    expect((await logIn(login, `${PASSWORD} ${codeAt(step)}`)).status).toBe(200)
    // As long as nobody else has come by it, the next one is good before its time.
    expect((await logIn(login, PASSWORD, codeAt(step + 1))).status).toBe(200)
  })

  test('no code is good twice, nor an older one after it, in any process', async () => {
    const { login, codeAt } = await enrolled()
    const step = await stepNow()
    expect((await logIn(login, PASSWORD, codeAt(step))).status).toBe(200)
    for (const at of [door, other]) for (const code of [codeAt(step), codeAt(step - 1)]) expect((await logIn(login, PASSWORD, code, at)).body.error).toBe('invalid_grant')
    const twice = await Promise.all([door, other].map((at) => logIn(login, PASSWORD, codeAt(step + 1), at)))
    expect(twice.map(({ status }) => status).sort()).toEqual([200, 400])
  })

  test('refuses codes of two steps away, of other people, and what is none', async () => {
    const [one, two] = [await enrolled(), await enrolled()]
    const step = await stepNow()
    for (const code of [one.codeAt(step + 3), one.codeAt(step - 3), two.codeAt(step), '000000x', '12345', '١٢٣٤٥٦']) {
      expect((await logIn(one.login, PASSWORD, code)).body.error, code).toBe('invalid_grant')
    }
    expect((await logIn(one.login, PASSWORD, one.codeAt(step))).status).toBe(200)
  })

  test('a recovery code is good once', async () => {
    const { login, recovery } = await enrolled()
    expect(recovery).toHaveLength(10)
    expect((await logIn(login, PASSWORD, recovery[0])).status).toBe(200)
    expect((await logIn(login, PASSWORD, recovery[0])).status).toBe(400)
    expect((await logIn(login, `${PASSWORD} ${recovery[1]}`)).status).toBe(200)
    const { rows } = await database.owner.query('SELECT to_jsonb(t)::text AS row FROM totp t')
    for (const code of recovery) expect(rows.map(({ row }) => row).join()).not.toContain(code.replace('-', ''))
  })

  test('wrong codes count to the lock-out, like wrong passwords', async () => {
    const { login, codeAt } = await enrolled()
    for (let tries = 0; tries < 10; tries++) expect((await logIn(login, PASSWORD, '000000')).status).toBe(400)
    expect((await logIn(login, PASSWORD, codeAt(await stepNow()), other)).status).toBe(429)
  })

  test('ends the sessions from before', async () => {
    const { login, id } = await newcomer()
    const { body: { access_token, refresh_token } } = await logIn(login)
    const refresh = () => askToken(door.origin, { grant_type: 'refresh_token', refresh_token: refresh_token as string })
    expect((await refresh()).status).toBe(200)
    const { body: { secret } } = await post(access_token as string, '/v1/me/totp')
    const totp = new TOTP({ secret: Secret.fromBase32(secret as string) })
    expect((await post(access_token as string, '/v1/me/totp/confirm', { code: totp.generate({ timestamp: (await stepNow()) * 30_000 }) })).status).toBe(200)
    expect((await refresh()).body.error).toBe('invalid_grant')
    expect((await post(access_token as string, '/v1/me/totp')).body.code).toBe('totp-enrolled')
    expect((await post(tokenFor(town.tenantId, chief.id), `/v1/people/${id}/reset-totp`)).status).toBe(204)
    expect((await logIn(login)).status).toBe(200)
  })
})

describe('必须启用', () => {
  test('for administrators where the tenant asks for it: nothing but enrolling until then', async () => {
    const { login, id } = await newcomer()
    await database.owner.query(`INSERT INTO role ("tenantId", code, name, capabilities) VALUES ($1, 'security_admin', '安全管理员', '{secure}') ON CONFLICT DO NOTHING`, [town.tenantId])
    const granted = await call(door.origin, tokenFor(town.tenantId, chief.id), 'POST', '/v1/duties', { person: id, role: 'security_admin', node: 'S' })
    expect(granted.status).toBe(201)
    const settings = (totpRequired: string) => call(door.origin, tokenFor(town.tenantId, chief.id), 'PUT', '/v1/security-settings', { totpRequired, separateAdmins: false })
    const token = (await logIn(login)).body.access_token as string
    expect((await call(door.origin, token, 'GET', '/v1/people')).status).toBe(200)
    expect((await settings('admins')).status).toBe(200)
    expect(await call(door.origin, token, 'GET', '/v1/people')).toMatchObject({ status: 403, body: { code: 'second-factor-required' } })
    expect((await call(door.origin, token, 'GET', '/v1/me')).status).toBe(200)
    const { body: { secret } } = await post(token, '/v1/me/totp')
    const totp = new TOTP({ secret: Secret.fromBase32(secret as string) })
    expect((await post(token, '/v1/me/totp/confirm', { code: '000000' })).body.code).toBe('validation-failed')
    expect((await post(token, '/v1/me/totp/confirm', { code: totp.generate({ timestamp: (await stepNow()) * 30_000 }) })).status).toBe(200)
    expect((await call(door.origin, token, 'GET', '/v1/people')).status).toBe(200)
    await database.owner.query(`UPDATE tenant SET settings = settings - 'totpRequired' WHERE id = $1`, [town.tenantId])
    database.db.memory.clear()
    otherDb.memory.clear()
  })
})

describe('查看和导出', () => {
  const setting = async (totpRequired: string) => {
    await database.owner.query(`UPDATE tenant SET settings = settings || jsonb_build_object('totpRequired', $2::text) WHERE id = $1`, [town.tenantId, totpRequired])
    database.db.memory.clear()
  }
  afterAll(() => setting('none'))

  test.each(['view', 'dispatch', 'follow_up', 'file_for'])('a duty that confers %s reaches nothing without a second factor where revealers need one', async (capability) => {
    const { id } = await town.person({ at: 'S', can: [capability as 'view'] })
    const read = () => call(door.origin, tokenFor(town.tenantId, id), 'GET', '/v1/nodes')
    await setting('admins')
    expect((await read()).status).toBe(200)
    await setting('revealers')
    expect(await read()).toMatchObject({ status: 403, body: { code: 'second-factor-required' } })
  })

  test('whoever else can log in needs one when he is to be shown somebody; an app vouches for whom it brings', async () => {
    await setting('revealers')
    const { login, id } = await newcomer()
    const token = (await logIn(login)).body.access_token as string
    const reveal = (sent: string) => post(sent, `/v1/people/${id}/reveal`, { reason: 'contact' })
    expect((await call(door.origin, token, 'GET', '/v1/nodes')).status).toBe(200)
    expect(await reveal(token)).toMatchObject({ status: 403, body: { code: 'second-factor-required' } })
    for (const path of [`/v1/people/${id}/export`, `/v1/enrolments/${id}/reveal`]) expect((await post(token, path, { reason: 'verify' })).body.code, path).toBe('second-factor-required')
    expect((await reveal(tokenFor(town.tenantId, (await town.person()).id))).body.code).not.toBe('second-factor-required')
    const { body: { secret } } = await post(token, '/v1/me/totp')
    const totp = new TOTP({ secret: Secret.fromBase32(secret as string) })
    expect((await post(token, '/v1/me/totp/confirm', { code: totp.generate({ timestamp: (await stepNow()) * 30_000 }) })).status).toBe(200)
    expect((await reveal(token)).body.code).not.toBe('second-factor-required')
    expect((await reveal(tokenFor(town.tenantId, (await town.person({ at: 'C', can: ['administer'] })).id))).body.code).toBe('second-factor-required')
  })
})

describe('锁定', () => {
  // All of this file comes from one address.
  beforeEach(() => database.owner.query('UPDATE lockout SET failed = 0'))

  test('counts what all processes see, is said once, and is lifted by the security administrator everywhere', async () => {
    const { login, id } = await newcomer()
    const said = door.locked.length + other.locked.length
    const guesses = await Promise.all(Array.from({ length: 16 }, (_, turn) => logIn(login, 'wrong', undefined, turn % 2 ? door : other)))
    expect(guesses.map(({ status }) => status).sort()).toEqual([...Array<number>(10).fill(400), ...Array<number>(6).fill(429)])
    expect(Number(guesses.find(({ status }) => status === 429)!.headers.get('retry-after'))).toBeGreaterThan(800)
    expect([...door.locked, ...other.locked].slice(said)).toEqual(['login'])
    for (const at of [door, other]) expect((await logIn(login, PASSWORD, undefined, at)).status).toBe(429)
    expect((await post(tokenFor(town.tenantId, id), `/v1/people/${id}/unlock`)).status).toBe(403)
    expect((await post(tokenFor(town.tenantId, chief.id), `/v1/people/${login}/unlock`)).status).toBe(200)
    for (const at of [other, door]) expect((await logIn(login, PASSWORD, undefined, at)).status).toBe(200)
  })

  test('does not look at a login that nobody can have', async () => {
    for (let tries = 0; tries < 12; tries++) expect(await logIn('no\0body', 'wrong')).toMatchObject({ status: 400, body: { error: 'invalid_request' } })
  })

  test.each(['nobody', '\ud800', '王示例'])('counts guesses at %j, whom nobody is, too', async (login) => {
    for (let tries = 0; tries < 10; tries++) expect((await logIn(login, 'wrong')).status).toBe(400)
    for (let tries = 0; tries < 2; tries++) expect((await logIn(login, 'wrong')).status).toBe(429)
  })

  test('ends with its quarter of an hour', async () => {
    const { login } = await newcomer()
    for (let tries = 0; tries < 11; tries++) await logIn(login, 'wrong')
    expect((await logIn(login)).status).toBe(429)
    await database.owner.query(`UPDATE lockout SET until = now() - interval '1 second' WHERE failed > 10`)
    expect((await logIn(login)).status).toBe(200)
  })

  test('an address that tries everybody has a budget of its own, and locks nobody else out by it', async () => {
    const { login } = await newcomer()
    const said = door.locked.length
    for (let tries = 0; tries < 25; tries++) await Promise.all(Array.from({ length: 4 }, (_, m) => logIn(`nobody-${tries}-${m}`, 'wrong')))
    const refused = await Promise.all(Array.from({ length: 12 }, () => logIn(login, 'wrong')))
    expect(refused.map(({ status }) => status)).toEqual(Array(12).fill(429))
    expect(door.locked.slice(said)).toEqual(['address'])
    // The address has stood before the login: it was never tried.
    await database.owner.query('UPDATE lockout SET failed = 0 WHERE failed > 90')
    expect((await logIn(login)).status).toBe(200)
  })

  test('knows neither logins nor addresses by what it keeps', async () => {
    const { rows } = await database.owner.query('SELECT to_jsonb(l)::text AS row FROM lockout l')
    expect(rows.length).toBeGreaterThan(100)
    expect(rows.map(({ row }) => row).join()).not.toMatch(/nobody|127\.0\.0\.1/)
  })
})
