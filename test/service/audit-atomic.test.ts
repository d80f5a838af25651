import { Secret, TOTP } from 'otpauth'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import type { Scope } from '../../src/domain/scopes.ts'
import { unlockPerson } from '../../src/service/accounts.ts'
import { personActor } from '../../src/service/actors.ts'
import { createKey, listKeys, revokeKey } from '../../src/service/api-keys.ts'
import { changeClient, readClient, registerClient, rotateClientSecret, withdrawClient } from '../../src/service/client-registry.ts'
import { addProvider, listProviders } from '../../src/service/identity-providers.ts'
import { onceWhole } from '../../src/service/idempotency.ts'
import { Lockout } from '../../src/service/lockout.ts'
import { createOrganisation } from '../../src/service/organisations.ts'
import { createPerson } from '../../src/service/people.ts'
import { createRobot, readRobot, removeRobot, updateRobot } from '../../src/service/robots.ts'
import { putSecuritySettings, readSecuritySettings } from '../../src/service/security-settings.ts'
import { confirmTotp, enrolTotp, removeTotp } from '../../src/service/totp.ts'
import { createNode, createNodes, putPoint, retireNode } from '../../src/service/tree.ts'
import { createEndpoint, disableEndpoint, pauseEndpoint, readEndpoint, resumeEndpoint } from '../../src/service/webhooks.ts'
import { auditedTown, type AuditedTown } from '../audited.ts'

/** An act and its entry are one: where the entry cannot be written the act has not happened, and every act has one. */

let audited: AuditedTown
let admin: PersonActor
let self: PersonActor
const held: Scope[] = ['requests:read']
beforeAll(async () => {
  audited = await auditedTown()
  const { database: { db }, keyring, town } = audited
  admin = await town.person({ at: 'S', can: ['administer', 'secure', 'view'] })
  const id = await town.inside(() => createPerson(db, keyring, { name: '王示例', login: 'W1', password: 'a password of his own', nodeId: town.node.S! }))
  self = (await town.inside(() => personActor(db, id, null)))!
})
afterAll(() => audited.database.drop())

/** While it lasts no entry can be written. */
async function unrecorded(work: () => Promise<unknown>): Promise<void> {
  const { owner } = audited.database
  await owner.query('ALTER TABLE audit_outbox ADD CONSTRAINT full_disk CHECK (false) NOT VALID')
  try {
    await expect(work()).rejects.toThrow()
  } finally {
    await owner.query('ALTER TABLE audit_outbox DROP CONSTRAINT full_disk')
  }
}

/** What `look` sees stays the same, and there is no entry. */
async function undone(look: () => Promise<unknown>, work: () => Promise<unknown>): Promise<void> {
  const [before, entries] = [await look(), await told()]
  await unrecorded(work)
  audited.database.db.memory.clear()
  expect(await look()).toEqual(before)
  expect(await told()).toEqual(entries)
}

const told = async (since = 0): Promise<[string, string | null][]> => (await audited.database.owner.query<{ action: string; objectId: string | null }>(
  `SELECT action, "objectId" FROM audit_entry ORDER BY id OFFSET $1`, [since])).rows.map(({ action, objectId }) => [action, objectId])

const inside = <T>(work: () => Promise<T>): Promise<T> => audited.town.inside(work)
const table = (name: string, where = 'true') => async () => (await audited.database.owner.query(`SELECT to_jsonb(t) - 'lastStep' AS row FROM ${name} t WHERE ${where} ORDER BY 1`)).rows

describe('apps and their keys', () => {
  test('are registered, changed, rotated and revoked with their entry or not at all, sandboxes too', () => inside(async () => {
    const { database: { db }, keyring } = audited
    const deps = { db, keyring }
    const fresh = (clientId: string, sandbox: boolean) => ({ clientId, name: '示例应用', scopes: ['requests:read' as const], sandbox })
    for (const sandbox of [false, true]) {
      const begun = (await told()).length
      await undone(table('client'), () => registerClient(deps, fresh(`x-${sandbox}`, sandbox), admin, held))
      const { id, clientSecret, sandbox: is } = await registerClient(deps, fresh(`app-${sandbox}`, sandbox), admin, held)
      expect([is, clientSecret.length > 30]).toEqual([sandbox, true])
      await undone(table('client'), () => changeClient(db, id, { name: '别的' }, admin, held))
      expect((await changeClient(db, id, { name: '新名' }, admin, held)).name).toBe('新名')
      await undone(table('client'), () => rotateClientSecret(db, id, 24, admin))
      expect((await rotateClientSecret(db, id, 24, admin)).formerSecretUntil).toBeInstanceOf(Date)
      await undone(table('api_key'), () => createKey(db, id, { name: 'k', days: 1 }, admin))
      const key = await createKey(db, id, { name: 'k', days: 1 }, admin)
      await undone(table('api_key'), () => revokeKey(db, id, key.id, admin))
      expect((await revokeKey(db, id, key.id, admin)).revokedAt).toBeInstanceOf(Date)
      expect(await listKeys(db, id, admin)).toHaveLength(1)
      await undone(table('client'), () => withdrawClient(db, id, admin))
      expect((await withdrawClient(db, id, admin)).revokedAt).toBeInstanceOf(Date)
      expect((await told(begun)).filter(([action]) => !action.startsWith('person.') && !action.startsWith('duty.'))).toEqual([
        ['client.created', id], ['client.changed', id], ['client.secret-rotated', id], ['key.created', key.id], ['key.revoked', key.id], ['client.revoked', id],
      ])
    }
    const { rows } = await audited.database.owner.query(`SELECT DISTINCT "tenantId" FROM audit_entry WHERE action ~ '^(client|key)[.]'`)
    expect(rows).toEqual([{ tenantId: audited.town.tenantId }])
  }))

  test('are registered under an Idempotency-Key too, in one transaction with their answer', () => inside(async () => {
    const { database: { db }, keyring } = audited
    const keyed = { caller: admin.id, key: 'again', fingerprint: Buffer.alloc(32) }
    const run = () => onceWhole(db, keyring, keyed, async () => ({
      status: 201, body: (await registerClient({ db, keyring }, { clientId: 'twice', name: '示例应用', scopes: ['requests:read'], sandbox: true }, admin, held)).id,
    }))
    const [first, second] = [await run(), await run()]
    expect([first.replayed, second.replayed, second.body]).toEqual([false, true, first.body])
    expect(await readClient(db, first.body, admin)).toMatchObject({ clientId: 'twice', sandbox: true })
    expect((await told()).filter(([action, id]) => action === 'client.created' && id === first.body)).toHaveLength(1)
  }))
})

test('the second factor, lock-outs, unlocking, settings and issuers', () => inside(async () => {
  const { database: { db }, keyring } = audited
  const deps = { db, keyring, lockout: new Lockout() }
  const { secret } = await enrolTotp(deps, self)
  const at = (await audited.database.owner.query<{ now: Date }>('SELECT wishwall_now() AS now')).rows[0]!.now.getTime()
  const code = (step: number) => new TOTP({ secret: Secret.fromBase32(secret) }).generate({ timestamp: at + step * 30_000 })
  const factor = table('totp')
  await undone(factor, () => confirmTotp(deps, code(-1), self))
  const recovery = await confirmTotp(deps, code(0), self)
  await undone(factor, () => removeTotp(deps, recovery[0]!, self))
  await removeTotp(deps, recovery[0]!, self)

  const lockout = new Lockout()
  const guess = (login: string) => lockout.guarded(deps, { login }, async () => undefined)
  for (let wrong = 0; wrong < 10; wrong++) await guess('W1')
  const counted = table('lockout', 'failed >= 10')
  await undone(counted, () => guess('W1'))
  await expect(guess('W1')).rejects.toMatchObject({ code: 'rate-limited' })
  await expect(guess('W1')).rejects.toMatchObject({ code: 'rate-limited' })
  await undone(counted, () => unlockPerson(deps, self.id, admin))
  await unlockPerson(deps, self.id, admin)

  await undone(() => readSecuritySettings(db, admin), () => putSecuritySettings(db, { totpRequired: 'admins', separateAdmins: false }, admin))
  await putSecuritySettings(db, { totpRequired: 'admins', separateAdmins: false }, admin)
  const issuer = 'https://id.example.cn'
  const { publicKey } = (await import('node:crypto')).generateKeyPairSync('ed25519')
  const readJson = async (url: string) => (url.endsWith('/jwks') ? { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k', alg: 'EdDSA', use: 'sig' }] } : { issuer, jwks_uri: `${issuer}/jwks` })
  await undone(() => listProviders(db, admin), () => addProvider({ db, readJson }, { name: '示例', issuer, audience: 'wall', claim: 'sub' }, admin))
  const provider = await addProvider({ db, readJson }, { name: '示例', issuer, audience: 'wall', claim: 'sub' }, admin)
  expect((await told()).filter(([action]) => /^(login|tenant|provider)/.test(action))).toEqual([
    ['login.factor-enrolled', self.id], ['login.factor-used', self.id], ['login.factor-removed', self.id], ['login.locked', self.id], ['login.unlocked', self.id],
    ['tenant.changed', audited.town.tenantId], ['provider.changed', provider.id],
  ])
}), 60_000)

test('places, organisations, robots and endpoints', () => inside(async () => {
  const { database: { db }, keyring } = audited
  const begun = (await told()).length
  const nodes = table('node')
  await undone(nodes, () => createNode(db, { parent: 'C', code: 'P9', name: '新院', level: 'compound' }, admin))
  const node = await createNode(db, { parent: 'C', code: 'P9', name: '新院', level: 'compound' }, admin)
  const [deep] = await createNodes(db, 'P9', [{ parent: 'P9', code: 'P9-1', name: '1栋', level: 'building' }, { parent: 'P9-1', code: 'P9-1-1', name: '1单元', level: 'unit' }], admin)
  expect(deep).toBeDefined()
  await undone(nodes, () => putPoint(db, 'P9', { lng: 118.3, lat: 35.1 }, admin))
  await putPoint(db, 'P9', { lng: 118.3, lat: 35.1 }, admin)
  await undone(nodes, () => retireNode(db, 'P9', admin))
  await retireNode(db, 'P9', admin)
  await undone(table('organisation'), () => createOrganisation(db, { node: 'C', code: 'O9', name: '示例队', kind: 'volunteer_team' }, admin))
  const organisation = await createOrganisation(db, { node: 'C', code: 'O9', name: '示例队', kind: 'volunteer_team' }, admin)

  const robots = { check: async () => undefined, tokenOf: (_: string, url: string) => url.split('key=')[1]! }
  const url = 'https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=0195f2a0-7c1e-7abc-8def-0123456789ab'
  const group = { channel: 'wecom' as const, name: '值班群', node: 'C', url }
  await undone(table('robot'), () => createRobot({ db, keyring, robots }, group, admin))
  const robot = await createRobot({ db, keyring, robots }, group, admin)
  await undone(() => readRobot(db, robot.id, admin), () => updateRobot({ db, keyring, robots }, robot.id, { status: 'paused' }, admin))
  await updateRobot({ db, keyring, robots }, robot.id, { status: 'paused' }, admin)
  await undone(() => readRobot(db, robot.id, admin), () => removeRobot(db, robot.id, admin))
  await removeRobot(db, robot.id, admin)

  const endpoint = await createEndpoint({ db, keyring, egress: { check: async () => undefined } }, { url: 'https://example.com/hook', eventTypes: ['request.*'] }, admin)
  const look = () => readEndpoint(db, endpoint.id, admin)
  await undone(look, () => pauseEndpoint(db, endpoint.id, admin))
  await pauseEndpoint(db, endpoint.id, admin)
  await pauseEndpoint(db, endpoint.id, admin)
  await undone(look, () => resumeEndpoint(db, endpoint.id, { missed: false }, admin))
  await resumeEndpoint(db, endpoint.id, { missed: false }, admin)
  await undone(look, () => disableEndpoint(db, endpoint.id, admin))
  await disableEndpoint(db, endpoint.id, admin)
  await disableEndpoint(db, endpoint.id, admin)
  expect(await told(begun)).toEqual([
    ['node.created', node.id], ['node.created', node.id], ['node.changed', node.id], ['node.changed', node.id], ['organisation.created', organisation.id],
    ['robot.created', robot.id], ['robot.changed', robot.id], ['robot.removed', robot.id],
    ['endpoint.created', endpoint.id], ['endpoint.paused', endpoint.id], ['endpoint.resumed', endpoint.id], ['endpoint.disabled', endpoint.id],
  ])
  expect(JSON.stringify((await audited.database.owner.query('SELECT details FROM audit_entry')).rows)).not.toMatch(/示例|新院|值班群|weixin|example\.com/)
}), 60_000)
