import { afterAll, beforeAll, expect, test } from 'vitest'
import { DEFAULT_POLICY, policySchema } from '../../src/domain/policy.ts'
import type { PersonActor } from '../../src/domain/actor.ts'
import { logIn, resetPassword, resumePerson, setPassword, suspendPerson } from '../../src/service/accounts.ts'
import { personActor } from '../../src/service/actors.ts'
import { appoint, setStandIn } from '../../src/service/appointments.ts'
import { listAudit } from '../../src/service/audit-log.ts'
import { setDay, setHours } from '../../src/service/calendar-changes.ts'
import { endDuty } from '../../src/service/duties.ts'
import { putItem } from '../../src/service/items.ts'
import { Lockout } from '../../src/service/lockout.ts'
import { changePerson, createPerson, registerPerson } from '../../src/service/people.ts'
import { putPolicy } from '../../src/service/policies.ts'
import { createTenant } from '../../src/service/provision.ts'
import { createEndpoint, disableEndpoint, rotateSecret, updateEndpoint } from '../../src/service/webhooks.ts'
import { auditedTown, type AuditedTown } from '../audited.ts'

/** Every act that is to be accounted for leaves one entry, of who did it to what; one that is refused leaves none. */

let audited: AuditedTown
let admin: PersonActor
beforeAll(async () => {
  audited = await auditedTown()
  admin = await audited.town.person({ at: 'S', can: ['administer', 'view'] })
})
afterAll(() => audited.database.drop())

test('duties, people, passwords, lock-outs, rules, menu, calendar and webhooks', async () => {
  const { database: { db, owner }, keyring, town, auditor } = audited
  const egress = { check: async () => undefined }
  await town.inside(async () => {
    await owner.query(`INSERT INTO role ("tenantId", code, name, capabilities) VALUES ($1, 'caller', '回访员', '{view,follow_up}')`, [town.tenantId])
    const person = await registerPerson(db, keyring, { name: '王示例', phone: '13800138000', node: 'P', login: 'W1' }, admin)
    await changePerson(db, keyring, person.id, { door: '3-201' }, admin)
    const duty = await appoint(db, keyring, { person: person.id, role: 'caller', node: 'P' }, admin)
    await expect(appoint(db, keyring, { person: person.id, role: 'caller', node: 'P' }, admin)).rejects.toMatchObject({ code: 'duty-held' })
    const other = await createPerson(db, keyring, { name: '李示例' }, admin)
    await setStandIn(db, keyring, duty.id, { person: other }, admin)
    await endDuty(db, keyring, duty.id, undefined, admin)
    await resetPassword(db, person.id, admin)
    const self = (await personActor(db, person.id, null))!
    await setPassword(db, person.id, 'a password of his own', {}, self)
    const lockout = new Lockout()
    for (let guess = 0; guess < 13; guess++) await lockout.guarded({ db, keyring }, { login: 'W1' }, () => logIn(db, 'W1', 'wrong')).catch(() => {})
    await suspendPerson(db, person.id, admin)
    await suspendPerson(db, person.id, admin)
    await resumePerson(db, person.id, admin)
    await putPolicy(db, { node: 'S', code: 'standard', body: policySchema.parse({ ...DEFAULT_POLICY, autoAccept: true }) }, admin)
    const item = { code: 'light', name: '楼道灯', category: '维修', kind: 'service' as const, mode: 'dispatch' as const, wall: false, policy: 'standard', grade: null, gradePolicies: {}, proof: false }
    await putItem(db, item, admin)
    await setHours(db, { node: 'C', week: { 6: ['09:00-12:00'] } }, admin)
    await setDay(db, { date: '2026-12-24', node: 'C', kind: 'holiday', name: '示例' }, admin)
    const endpoint = await createEndpoint({ db, keyring, egress }, { url: 'https://example.com/hook', eventTypes: ['request.*'] }, admin)
    await updateEndpoint({ db, egress }, endpoint.id, { ordered: true }, admin)
    await rotateSecret({ db, keyring }, endpoint.id, undefined, admin)
    await disableEndpoint(db, endpoint.id, admin)

    const { data } = await listAudit(db, { limit: 100 }, auditor)
    const told = data.filter(({ action }) => action !== 'audit.read').reverse().map(({ action, actor, object }) => [action, actor.id === admin.id ? 'admin' : actor.id === person.id ? 'self' : actor.kind, object.id])
    expect(told.filter(([action]) => !(action === 'calendar.changed'))).toEqual([
      ['person.created', 'admin', person.id], ['subject.corrected', 'admin', person.id], ['duty.granted', 'admin', duty.id], ['person.created', 'admin', other],
      ['duty.changed', 'admin', duty.id], ['duty.ended', 'admin', duty.id], ['login.password-reset', 'admin', person.id], ['login.password-changed', 'self', person.id],
      ['login.locked', 'system', person.id], ['person.suspended', 'admin', person.id], ['person.resumed', 'admin', person.id],
      ['policy.changed', 'admin', expect.any(String)], ['item.changed', 'admin', expect.any(String)],
      ['endpoint.created', 'admin', endpoint.id], ['endpoint.changed', 'admin', endpoint.id], ['endpoint.secret-rotated', 'admin', endpoint.id], ['endpoint.disabled', 'admin', endpoint.id],
    ])
    expect(told.filter(([action]) => action === 'calendar.changed')).toEqual([['calendar.changed', 'admin', town.node.C], ['calendar.changed', 'admin', town.node.C]])
    // Ids and codes only.
    expect(JSON.stringify(data.map(({ reason: __, ...rest }) => rest))).not.toMatch(/示例|13800138000|3-201|W1|example\.com/)
  })
  const { id } = await createTenant(db, { code: 'NEW', name: '新街道' })
  expect((await owner.query('SELECT action FROM audit_entry WHERE "tenantId" = $1', [id])).rows).toEqual([{ action: 'tenant.created' }])
}, 60_000)
