import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { expect } from 'vitest'
import { buildApi, storageOf } from '../../src/bin/compose.ts'
import { readConfig } from '../../src/bin/config.ts'
import { SYSTEM, type ClaimerKind } from '../../src/domain/actor.ts'
import type { Body } from '../../src/domain/bodies.ts'
import { eventType, type Callable, type VerbName } from '../../src/domain/machine.ts'
import type { OrganisationKind } from '../../src/domain/organisations.ts'
import { policySchema, type Policy } from '../../src/domain/policy.ts'
import type { RequestView } from '../../src/domain/view.ts'
import { DEFAULT_SETTINGS, type Settings } from '../../src/domain/settings.ts'
import { SHIPPED_ITEMS, type ShippedRole } from '../../src/domain/shipped.ts'
import { affiliate } from '../../src/service/affiliations.ts'
import { grantDuty } from '../../src/service/appointments.ts'
import { inTenant, type Db } from '../../src/service/db.ts'
import { putItem, type NewItem } from '../../src/service/items.ts'
import { notifyOnce } from '../../src/service/notifications.ts'
import { createOrganisation } from '../../src/service/organisations.ts'
import { createPerson } from '../../src/service/people.ts'
import { putPolicy } from '../../src/service/policies.ts'
import { createTenant } from '../../src/service/provision.ts'
import { relayOnce } from '../../src/service/relay.ts'
import { sweepOnce } from '../../src/service/sweep.ts'
import { createNodes } from '../../src/service/tree.ts'
import { freshDatabase } from '../database.ts'
import { call, keyring, tokenFor, type Answer } from '../processes.ts'

/** A place as an article describes it: all that makes it differ from the next one is in here, and none of it is code. */
export interface Plan {
  code: string
  name: string
  /** From the root down: code and label. */
  levels: readonly (readonly [code: string, name: string])[]
  /** The finest level that a wall may name. */
  wallLevel: string
  /** Below the root; each after the one it lies in. */
  nodes: readonly { parent: string; code: string; name: string; level: string }[]
  /** Roles of its own, or its own idea of one that ships. */
  roles?: readonly ShippedRole[]
  policies?: Readonly<Record<string, PolicyInput>>
  /** What of its menu is other than what ships. */
  items?: Readonly<Record<string, Partial<NewItem>>>
  organisations: Readonly<Record<string, { name: string; kind: OrganisationKind; node: string }>>
  people: Readonly<Record<string, Role>>
}

export type PolicyInput = Parameters<typeof policySchema.parse>[0]

interface Role {
  /** 工号. */
  login?: string
  /** 职责 at nodes: `building_head@B1`. */
  at?: readonly string[]
  /** Posts in organisations: `property_manager@WY`. */
  in?: readonly string[]
  /** Verified ties: `party_member@DZB`. */
  ties?: readonly string[]
  /** The node where he is at home. */
  lives?: string
}

type Filing = Body<'file'> & Record<string, unknown>
/** Times are text on the way in and on the way out. */
type Sent<T> = T extends Date ? string : T extends (infer U)[] ? Sent<U>[] : T extends object ? { [K in keyof T]: Sent<T[K]> } : T
export type Seen = Sent<RequestView>

/** A body, where the verb takes one that may not be left out. */
type Words<V extends Callable> = {} extends Sent<Body<V>> ? [Sent<Body<V>>?] : [Sent<Body<V>>]

/** Answers are looked into freely. */
type Looked = Record<string, any>

export interface Happened {
  verb: VerbName
  state: string
  at: string
  actor: string | null
  onBehalfOf: string | null
  data: Looked
  notes: { field: string; body: string }[]
}

interface Card {
  number: string
  title: string
  text: string | null
  compound: { code: string } | null
  isPublic: boolean
  slots: number
  slotsTaken: number
}

/** Somebody who calls the API. Requests are named by number. */
export interface Caller {
  id: string
  files(body: Sent<Omit<Filing, 'node' | 'item' | 'title'>> & { item: string; title: string; node: string }): Promise<Seen>
  does<V extends Callable>(verb: V, request: Seen | string, ...body: Words<V>): Promise<Seen>
  /** The refusal: status and problem. */
  mayNot<V extends Callable>(verb: V, request: Seen | string, ...body: Words<V>): Promise<Looked>
  /** Whatever comes of it. */
  tries<V extends Callable>(verb: V, request: Seen | string, body?: Sent<Body<V>>): Promise<Answer>
  sees(request: Seen | string): Promise<Seen>
  cannotSee(request: Seen | string): Promise<void>
  /** What the inbox says of a request, oldest first: `claimed`, `escalated`… */
  hears(request: Seen | string): Promise<string[]>
  /** Photographs something: the id of the photo. */
  photographs(picture: Uint8Array): Promise<string>
  get(path: string): Promise<any>
}

export interface Town<P extends Plan> {
  people: { [Who in keyof P['people']]: Caller }
  /** 心愿墙 as everyone sees it, or as the caller does. */
  wall(caller?: Caller): Promise<Card[]>
  /** Everything that the public can read of it. */
  public(): Promise<string>
  /** Moves the clock to an instant of the tenant's zone, `2026-11-24T09:00`, and lets the worker do what has come due. */
  clock(local: string): Promise<void>
  /** All that has happened to a request: what was done, and the states it led to. @param by who may read it, when it is confidential */
  history(request: Seen | string, by?: Caller): Promise<Happened[]>
  close(): Promise<void>
}

const NUMBER = (request: Seen | string): string => (typeof request === 'string' ? request : request.number)

/** @param start an instant of the tenant's zone, at which everything begins */
export async function openTown<const P extends Plan>(plan: P, start: string): Promise<Town<P>> {
  const database = await freshDatabase()
  const folder = await mkdtemp(join(tmpdir(), 'wish-wall-sources-'))
  await database.setClock(instant(start))
  const tenantId = await settle(database, plan)
  const ids = await inhabit(database.db, tenantId, plan)

  const config = readConfig({ WISHWALL_FILES_DIR: folder })
  const house = { config, log: pino({ level: 'silent' }), db: current(database), keyring, files: await storageOf(config) }
  const app: FastifyInstance = buildApi(house, { checkAnswers: true })
  const origin = await app.listen({ port: 0, host: '127.0.0.1' })

  async function work(): Promise<void> {
    for (let seen = 1; seen > 0;) {
      const swept = await sweepOnce(database.db)
      expect(swept.failed).toEqual([])
      ;({ seen } = swept)
    }
    await relay()
  }
  async function relay(): Promise<void> {
    while ((await relayOnce(database.db)).moved > 0);
    while ((await notifyOnce(database.db)) > 0);
  }

  function caller(id: string): Caller {
    const token = tokenFor(tenantId, id)
    const ok = ({ status, body }: Answer): any => {
      expect({ status, problem: status < 300 ? undefined : body }).toEqual({ status: expect.toSatisfy((code: number) => code < 300), problem: undefined })
      return body
    }
    const tries: Caller['tries'] = (verb, request, body) => call(origin, token, 'POST', `/v1/requests/${NUMBER(request)}/${verb}`, body ?? {})
    /** The worker is at hand: whoever is told of it is told before the next thing happens. */
    const done = async (answer: Answer) => {
      await relay()
      return ok(answer)
    }
    const get = async (path: string) => ok(await call(origin, token, 'GET', path))
    return {
      id, tries, get,
      files: async (body) => done(await call(origin, token, 'POST', '/v1/requests', body)),
      does: async (verb, request, body?) => done(await tries(verb, request, body)),
      mayNot: async (verb, request, body?) => {
        const answer = await tries(verb, request, body)
        expect(answer.status).toBeGreaterThanOrEqual(400)
        return { ...answer.body, status: answer.status, code: answer.body.code }
      },
      sees: (request) => get(`/v1/requests/${NUMBER(request)}`),
      cannotSee: async (request) => expect((await call(origin, token, 'GET', `/v1/requests/${NUMBER(request)}`)).body.code).toBe('request-not-found'),
      hears: async (request) => {
        await relay()
        const { data } = await get('/v1/me/notifications?limit=100')
        const mine = (data as { number: string; type: string }[]).filter(({ number }) => number === NUMBER(request))
        return mine.map(({ type }) => type.replace('request.', '')).reverse()
      },
      photographs: async (picture) => {
        const body = new FormData()
        body.append('file', new Blob([new Uint8Array(picture)], { type: 'image/jpeg' }), 'photo.jpg')
        const answer = await fetch(`${origin}/v1/attachments`, { method: 'POST', headers: { authorization: `Bearer ${token}` }, body })
        expect(answer.status).toBe(201)
        return ((await answer.json()) as { id: string }).id
      },
    }
  }

  const watcher = caller(ids.get(WATCHER)!)
  return {
    people: Object.fromEntries(Object.keys(plan.people).map((who) => [who, caller(ids.get(who)!)])) as Town<P>['people'],
    wall: async (by) => (by ? (await by.get('/v1/wall?limit=100')).data : ((await (await fetch(`${origin}/v1/wall?limit=100`)).json()) as { data: any }).data),
    public: async () => (await fetch(`${origin}/v1/wall?limit=100`)).text(),
    clock: async (local) => {
      await database.setClock(instant(local))
      await work()
    },
    history: async (request, by = watcher) => (await by.get(`/v1/requests/${NUMBER(request)}/events`)).data,
    close: async () => {
      await app.close()
      await database.drop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Whichever database is open: moving the clock opens another. */
const current = (database: Database): Db => ({
  get app() { return database.db.app },
  get prisma() { return database.db.prisma },
  get system() { return database.db.system },
  get clock() { return database.db.clock },
  get memory() { return database.db.memory },
  close: () => database.db.close(),
})

/** An instant of the tenant's zone, as a text in UTC: what answers say. */
export const instant = (local: string): string => new Date(`${local}+08:00`).toISOString()

/** When a step is due, in the tenant's zone and by the hour, for the clock goes on while a test runs: `2026-11-24T10`. */
export const dueAt = ({ deadlines }: Seen, step: string): string | undefined => hour(deadlines.find((one) => one.step === step)?.dueAt)
export const hour = (at: string | undefined): string | undefined => at && new Date(new Date(at).getTime() + 8 * 3_600_000).toISOString().slice(0, 13)

/** The finding at a pointer into what was sent. */
export const at = (pointer: string, code?: string) => ({ errors: [expect.objectContaining({ pointer, ...(code && { code }) })] })

/** 同意上墙公示, as it is filed. */
export const agreed = (how: 'app' | 'paper' | 'oral') => [{ purpose: 'wall' as const, by: 'self' as const, how }]

/** Event types as the inbox names them. */
export const told = (...verbs: VerbName[]): string[] => verbs.map((verb) => eventType(verb).replace('request.', ''))

type Database = Awaited<ReturnType<typeof freshDatabase>>

/** Reads everything, and has a part in nothing. */
const WATCHER = 'watcher'

async function settle({ db, owner }: Database, plan: Plan): Promise<string> {
  const { code, name, levels, wallLevel, nodes, roles = [], policies = {}, items = {}, organisations } = plan
  const settings: Settings = { ...DEFAULT_SETTINGS, levels: levels.map(([level, label]) => ({ code: level, name: label })), wallLevel }
  const { id } = await createTenant(db, { code, name, settings })
  for (const role of [...roles, { code: WATCHER, name: '旁观', capabilities: ['view'] as const }]) {
    await owner.query(`INSERT INTO role ("tenantId", code, name, capabilities) VALUES ($1, $2, $3, $4)
      ON CONFLICT ("tenantId", code) DO UPDATE SET name = $3, capabilities = $4`, [id, role.code, role.name, role.capabilities])
  }
  await inTenant(id, async () => {
    await createNodes(db, code, nodes, SYSTEM)
    // A policy may name one of them as its backstop.
    for (const [organisation, facts] of Object.entries(organisations)) await createOrganisation(db, { code: organisation, ...facts }, SYSTEM)
    for (const [policy, body] of Object.entries(policies)) await putPolicy(db, { node: code, code: policy, body: policySchema.parse(body) as Policy }, SYSTEM)
    for (const [item, differs] of Object.entries(items)) {
      const { policyCode, ...shipped } = SHIPPED_ITEMS.find((one) => one.code === item) ?? SHIPPED_ITEMS[0]!
      await putItem(db, { ...shipped, code: item, policy: policyCode, ...differs } as NewItem, SYSTEM)
    }
  })
  return id
}

async function inhabit(db: Database['db'], tenantId: string, { code, people }: Plan): Promise<Map<string, string>> {
  const ids = new Map<string, string>()
  await inTenant(tenantId, async () => {
    const { rows } = await db.app.query<{ code: string; id: string; nodeId: string }>(
      'SELECT code, id, id AS "nodeId" FROM node UNION ALL SELECT code, id, "nodeId" FROM organisation')
    const found = (tie: string) => {
      const [what, where] = tie.split('@') as [string, string]
      const place = rows.find((row) => row.code === where)
      if (!place) throw new Error(`${tie}: there is no ${where}`)
      return { what, ...place }
    }
    for (const [who, { login, lives, at = [], in: posts = [], ties = [] }] of Object.entries({ ...people, [WATCHER]: { at: [`${WATCHER}@${code}`] } as Role })) {
      // Nobody logs in by password here: a hash for each would take longer than all else.
      const personId = await createPerson(db, keyring, { name: '王示例', ...(login && { login }), ...(lives && { nodeId: found(`@${lives}`).nodeId }) })
      ids.set(who, personId)
      for (const { what, nodeId } of at.map(found)) await grantDuty(db, { personId, roleCode: what, nodeId })
      for (const { what, nodeId, id } of posts.map(found)) await grantDuty(db, { personId, roleCode: what, nodeId, organisationId: id })
      for (const { what, id } of ties.map(found)) await affiliate(db, { personId, organisationId: id, kind: what as ClaimerKind, verified: true })
    }
  })
  return ids
}
