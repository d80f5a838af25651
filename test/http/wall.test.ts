import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import type { Body } from '../../src/domain/bodies.ts'
import { DEFAULT_POLICY } from '../../src/domain/policy.ts'
import { SCOPE_NAMES } from '../../src/domain/scopes.ts'
import { buildApp } from '../../src/http/app.ts'
import { authentication } from '../../src/http/auth.ts'
import type { Document } from '../../src/http/openapi-tidy.ts'
import { wallRoutes } from '../../src/http/routes/wall.ts'
import { act, file } from '../../src/service/requests.ts'
import { sweepOnce } from '../../src/service/sweep.ts'
import { signToken } from '../../src/service/tokens.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { call, keyring, tokenFor } from '../processes.ts'

/** 心愿墙 at its door: what was not agreed to for everyone is for those who may claim it, and for nobody else. */

let database: TestDatabase
let town: TestPlace, other: TestPlace
let app: FastifyInstance
let origin: string
let resident: PersonActor, secretary: PersonActor, member: PersonActor, volunteer: PersonActor

const MONDAY = '2026-11-23T01:00:00Z' // 09:00 in Asia/Shanghai
const CONSENT: NonNullable<Body<'file'>['consents']> = [{ purpose: 'wall', by: 'self', how: 'app' }]

async function open(): Promise<void> {
  const deps = { db: database.db, keyring, clock: Date.now }
  app = buildApp({ log: pino({ level: 'silent' }), checkAnswers: true, routes: [authentication(deps), wallRoutes(deps)] })
  origin = await app.listen({ port: 0, host: '127.0.0.1' })
}

beforeAll(async () => {
  database = await freshDatabase()
  await database.setClock(MONDAY)
  town = await testPlace(database, { claims: { ...DEFAULT_POLICY.claims, waves: [['party_member'], ['volunteer', 'individual']] } }, 'ONE')
  other = await testPlace(database, {}, 'TWO')
  ;[resident, secretary, member, volunteer] = await Promise.all([
    town.person(), town.person({ can: ['view', 'dispatch', 'publish'] }), town.person({ kinds: ['party_member'] }), town.person({ kinds: ['volunteer'] }),
  ])
  await open()
})
afterAll(async () => {
  await app.close()
  await database.drop()
})

async function wish(title: string, { consents = [], scope }: { consents?: Body<'file'>['consents']; scope?: string } = {}): Promise<string> {
  return town.inside(async () => {
    const { id } = await file(database.db, { item: 'companionship', title, node: 'U', consents }, resident)
    await act(database.db, 'accept', id, {}, secretary)
    await act(database.db, 'place', id, { wallTitle: title, ...(scope && { scope }) }, secretary)
    return id
  })
}

interface Wall { data: { title: string; isPublic: boolean }[]; page: { nextCursor: string | null } }
const read = async (token: string, query = '?tenant=ONE'): Promise<Wall> =>
  (await fetch(`${origin}/v1/wall${query}`, { headers: token === '' ? {} : { authorization: token } })).json() as Promise<Wall>
const bearer = (person: PersonActor, place = town) => `Bearer ${tokenFor(place.tenantId, person.id)}`
const titles = async (token: string, query?: string) => (await read(token, query)).data.map(({ title }) => title)

/** A person of a branch of its own at a node. */
async function memberAt(code: string, nodeId: string, { verified = true } = {}): Promise<PersonActor> {
  const person = await town.person()
  const organisation = uuidv7()
  await database.owner.query(`INSERT INTO organisation ("tenantId", id, "nodeId", code, name, kind) VALUES ($1, $2, $3, $4, $4, 'branch')`,
    [town.tenantId, organisation, nodeId, code])
  await database.owner.query(`INSERT INTO affiliation ("tenantId", id, "personId", "organisationId", kind, "verifiedAt")
    VALUES ($1, $2, $3, $4, 'party_member', CASE WHEN $5 THEN now() END)`, [town.tenantId, uuidv7(), person.id, organisation, verified])
  // His rights are read anew from now on.
  database.db.memory.clear()
  return person
}

describe('what was not agreed to for everyone', () => {
  let neighbour: PersonActor, above: PersonActor, below: PersonActor, applicant: PersonActor

  beforeAll(async () => {
    const elsewhere = uuidv7()
    await database.owner.query(`INSERT INTO node ("tenantId", id, "parentId", code, name, level, path) VALUES ($1, $2, $3, 'Q', 'Q', 'compound', 'S/C/Q/')`, [town.tenantId, elsewhere, town.node.C])
    neighbour = await memberAt('NEXT', elsewhere)
    above = await memberAt('ABOVE', town.node.C)
    below = await memberAt('BELOW', town.node.B)
    applicant = await memberAt('APPLIED', town.node.P, { verified: false })
    await wish('人人可见', { consents: CONSENT })
    await wish('只给认领人')
    await wish('全社区的认领人', { scope: 'C' })
  })

  test('is not for the public, nor for whoever has logged in', async () => {
    const shown = ['人人可见']
    expect(await titles('')).toEqual(shown)
    for (const person of [resident, secretary, applicant]) expect(await titles(bearer(person))).toEqual(shown)
    const clientId = (await town.app()).clientId
    await database.owner.query('UPDATE client SET scopes = $1 WHERE id = $2', [SCOPE_NAMES, clientId])
    expect(await titles(`Bearer ${tokenFor(town.tenantId, clientId, 'app')}`)).toEqual(shown)
  })

  test('is for a verified claimer of a branch that the wall reaches, or that it lies in', async () => {
    const { data } = await read(bearer(member))
    expect(data).toEqual([
      expect.objectContaining({ title: '全社区的认领人', isPublic: false }), expect.objectContaining({ title: '只给认领人', isPublic: false }),
      expect.objectContaining({ title: '人人可见', isPublic: true }),
    ])
    expect(await titles(bearer(above))).toEqual(['全社区的认领人', '只给认领人', '人人可见'])
    expect(await titles(bearer(below))).toEqual(['全社区的认领人', '只给认领人', '人人可见'])
    expect(await titles(bearer(neighbour))).toEqual(['全社区的认领人', '人人可见'])
  })

  test('is paged through like the rest', async () => {
    const seen: string[] = []
    for (let cursor: string | null = ''; cursor !== null;) {
      const { data, page } = await read(bearer(member), `?tenant=ONE&limit=1${cursor && `&cursor=${cursor}`}`)
      seen.push(...data.map(({ title }) => title))
      cursor = page.nextCursor
    }
    expect(seen).toEqual(['全社区的认领人', '只给认领人', '人人可见'])
    expect(await titles(bearer(member), '?tenant=ONE&node=Q')).toEqual([])
  })

  test('becomes public with the consent, and is so no more when it is taken back', async () => {
    const id = await wish('先不公示')
    const says = (granted: boolean) => town.inside(() => act(database.db, 'consent', id, { purpose: 'wall', by: 'self', how: 'app', granted }, resident))
    expect(await titles('')).not.toContain('先不公示')
    await says(true)
    expect(await titles('')).toContain('先不公示')
    await says(false)
    expect(await titles('')).not.toContain('先不公示')
    expect(await titles(bearer(member))).toContain('先不公示')
    await town.inside(() => act(database.db, 'take-down', id, {}, secretary))
  })

  test('is for the kinds whose turn it is', async () => {
    expect(await titles(bearer(volunteer))).toEqual(['人人可见'])
    await app.close()
    await database.setClock(MONDAY, '4 days')
    while ((await sweepOnce(database.db)).seen > 0);
    await open()
    expect(await titles(bearer(volunteer))).toEqual(['全社区的认领人', '只给认领人', '人人可见'])
  })
})

describe('a token', () => {
  test('need not be sent, and must be good when it is', async () => {
    const answer = async (authorization: string) => {
      const { status, headers } = await fetch(`${origin}/v1/wall?tenant=ONE`, { headers: { authorization } })
      return [status, headers.get('www-authenticate') !== null]
    }
    for (const bad of ['Bearer nonsense', 'Bearer', 'Basic YTpi', `${bearer(member)}x`, bearer(resident, other)]) expect(await answer(bad), bad).toEqual([401, true])
    const old = signToken(keyring, { tenantId: town.tenantId, kind: 'person', subject: member.id, clientId: null, scopes: SCOPE_NAMES }, 'test', Date.now() - 86_400_000)
    expect(await answer(`Bearer ${old}`)).toEqual([401, true])
    const narrow = signToken(keyring, { tenantId: town.tenantId, kind: 'person', subject: member.id, clientId: null, scopes: ['events:read'] }, 'test', Date.now())
    expect(await answer(`Bearer ${narrow}`)).toEqual([403, true])
  })

  test('says whose wall it is; on another’s its bearer is one of the public', async () => {
    expect((await call(origin, '', 'GET', '/v1/wall')).status).toBe(401)
    const asked = async (path: string) => (await fetch(`${origin}${path}`)).status
    expect(await asked('/v1/wall')).toBe(400) // two tenants: which one?
    expect((await titles(bearer(member), '')).length).toBe(3)
    expect(await titles(bearer(member), '?tenant=TWO')).toEqual([])
    const guest = await other.person({ kinds: ['party_member'] })
    expect(await titles(bearer(guest, other), '?tenant=ONE')).toEqual(['人人可见'])
  })

  test('is said to be optional', async () => {
    const document = (await app.inject('/openapi.json')).json<Document>()
    const { security, responses } = document.paths['/v1/wall']!.get!
    expect(security).toEqual([{}, { staffLogin: ['requests:read'] }, { appCredentials: ['requests:read'] }])
    expect(Object.keys(responses as object)).toEqual(expect.arrayContaining(['401', '403']))
  })
})
