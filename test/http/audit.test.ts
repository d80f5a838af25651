import { createPublicKey, verify } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { buildApp } from '../../src/http/app.ts'
import { authentication } from '../../src/http/auth.ts'
import { auditRoutes } from '../../src/http/routes/audit.ts'
import { policyRoutes } from '../../src/http/routes/policies.ts'
import { auditedTown, type AuditedTown } from '../audited.ts'
import { call, keyring, tokenFor } from '../processes.ts'

/** 审计 over real HTTP: for the auditor alone, with the call an act was done in, and checkpoints that anybody can check. */

let audited: AuditedTown
let app: FastifyInstance
let origin: string
let admin: PersonActor
beforeAll(async () => {
  audited = await auditedTown()
  admin = await audited.town.person({ at: 'S', can: ['administer', 'view'] })
  await audited.live(3)
  await audited.link({ every: 1n })
  const deps = { db: audited.database.db, keyring: audited.keyring, clock: Date.now }
  app = buildApp({ log: pino({ level: 'silent' }), checkAnswers: true, routes: [authentication({ ...deps, keyring }), auditRoutes(deps), policyRoutes(deps)] })
  origin = await app.listen({ port: 0, host: '127.0.0.1' })
})
afterAll(async () => {
  await app.close()
  await audited.database.drop()
})

const get = (path: string, actor: PersonActor) => call(origin, tokenFor(audited.town.tenantId, actor.id), 'GET', `/v1/audit${path}`)

test('an act is read with who did it, in which call, by every filter; by nobody else and with no unknown one', async () => {
  const made = await call(origin, tokenFor(audited.town.tenantId, admin.id), 'PUT', '/v1/policies/standard', { node: 'S', body: { limits: { accept: '2h' } } }, { 'x-request-id': 'call-of-the-test' })
  expect(made.status).toBe(201)
  const entry = { action: 'policy.changed', class: 'system', actor: { kind: 'person', id: admin.id, app: null, duty: admin.duties[0]!.id }, object: { kind: 'policy', id: made.body['id'] }, call: 'call-of-the-test', reason: null }
  for (const query of ['action=policy.changed,item.changed', `actor=${admin.id}`, `object=${made.body['id']}`, 'limit=1&action=policy.changed']) {
    expect((await get(`?${query}`, audited.auditor)).body['data'], query).toMatchObject([entry])
  }
  expect((await get(`?to=2020-01-01T00:00:00Z`, audited.auditor)).body).toEqual({ data: [], page: { nextCursor: null, hasMore: false } })
  expect([(await get('', admin)).status, (await get('/checkpoints', admin)).status]).toEqual([403, 403])
  expect([(await get('?action=nothing', audited.auditor)).status, (await get('?cursor=xx', audited.auditor)).status, (await get('?who=me', audited.auditor)).status]).toEqual([400, 410, 400])
})

test('a checkpoint is signed by the key beside it, over the words that the document names', async () => {
  const { status, body } = await get('/checkpoints', audited.auditor)
  expect(status).toBe(200)
  expect(body['data'].length).toBeGreaterThan(1)
  for (const { n, position, hash, at, previous, anchor, kid, signature } of body['data'] as Record<string, string>[]) {
    const { kid: _, ...jwk } = (body['keys'] as { kid: string }[]).find((key) => key.kid === kid)!
    const words = ['wish-wall/audit', anchor ? 'anchor' : 'checkpoint', n, position, hash, at, previous, kid].join('\n')
    expect(verify(null, Buffer.from(words), createPublicKey({ key: jwk as never, format: 'jwk' }), Buffer.from(signature!, 'base64url'))).toBe(true)
  }
})
