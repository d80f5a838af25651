import { randomBytes } from 'node:crypto'
import { SYSTEM, type Actor } from '../domain/actor.ts'
import type { Scope } from '../domain/scopes.ts'
import { personActor } from '../service/actors.ts'
import { createClient } from '../service/clients.ts'
import { inTenant, type Db } from '../service/db.ts'
import type { Files } from '../service/attachments.ts'
import type { Keyring } from '../service/keyring.ts'
import { putItem } from '../service/items.ts'
import { createOrganisation } from '../service/organisations.ts'
import { affiliate } from '../service/affiliations.ts'
import { grantDuty } from '../service/appointments.ts'
import { createPerson } from '../service/people.ts'
import { createTenant } from '../service/provision.ts'
import { SHIPPED_POLICIES } from '../domain/shipped.ts'
import { putPolicy } from '../service/policies.ts'
import { createNodes } from '../service/tree.ts'
import { players, type Who } from './demo/cast.ts'
import { EXAMPLES } from './demo/examples.ts'
import { ORGANISATIONS, type OrganisationCode } from './demo/organisations.ts'
import { remember } from './demo/history.ts'
import { COMPOUND, PLACES, STREET, STREET_NAME } from './demo/places.ts'
import { CERTIFICATE, SERVICES } from './demo/services.ts'
import { begun, boards, doors, talents } from './demo/neighbourhood.ts'
import { shelfOf } from './demo/photos.ts'
import { play, type Stage } from './demo/story.ts'
import { WISHES } from './demo/wishes.ts'

/** What scripts and people need to call the demo: written to `demo.json`, printed in the banner. */
export interface DemoFile {
  /** Filled in by who knows where the API listens. */
  baseUrl: string
  clients: { clientId: string; clientSecret: string; scopes: Scope[] }[]
  people: { login: string; password: string; name: string; kinds: string[]; duties: { role: string; nodeCode: string; nodeName: string }[] }[]
}

const SCOPES: Scope[] = ['requests:read', 'requests:write', 'events:read', 'directory:read']

/**
 * 银雀山街道 for trying things out: places, organisations, people with new passwords, one app, a month that is over, and
 * some eighty requests in every state that the verbs reach. For a database without a tenant.
 * @param open connections whose clock is so many hours behind: the street itself is older than what happened in it
 */
export async function seedDemo({ open, keyring, files }: { open: (hoursBehind: number) => Db; keyring: Keyring; files: Files }): Promise<DemoFile> {
  const on = <T>(daysAgo: number, run: (db: Db) => Promise<T>): Promise<T> => during(open(daysAgo * 24), run)
  const { street, ...seeded } = await on(FOUNDED_DAYS_AGO, (db) => found(db, keyring))
  await inTenant(street, async () => {
    const stage = { ...seeded.stage, shelf: shelfOf({ files, keyring }) }
    await remember(stage, on)
    await on(0, async (db) => {
      await boards({ ...stage, db }, keyring)
      await doors({ ...stage, db }, keyring)
      await talents({ ...stage, db }, keyring)
      await play({ ...stage, db }, [...Object.values(EXAMPLES), ...WISHES, ...SERVICES])
    })
  })
  return seeded.demo
}

const FOUNDED_DAYS_AGO = 40

async function during<T>(db: Db, run: (db: Db) => Promise<T>): Promise<T> {
  try {
    return await run(db)
  } finally {
    await db.close()
  }
}

/** The street, and who is in it. */
async function found(db: Db, keyring: Keyring) {
  const { id, rootId } = await createTenant(db, { code: STREET, name: STREET_NAME })
  return inTenant(id, async () => {
    const places = makePlaces(db, rootId)
    const [nodes, people, client] = await Promise.all([
      places, makePeople(db, keyring, places), createClient(db, { clientId: 'demo-app', name: '示例小程序', scopes: SCOPES }),
    ])
    await giveDuties(db, people, nodes, await makeOrganisations(db))
    await putPolicy(db, ASKS_BEFORE_STRANGERS_COME, SYSTEM)
    await putItem(db, CERTIFICATE, SYSTEM)
    await begun(db)
    const demo: DemoFile = {
      baseUrl: '',
      clients: [{ clientId: 'demo-app', clientSecret: client.clientSecret, scopes: SCOPES }],
      people: credentials(people, nodes),
    }
    return { street: id, demo, stage: await cast(db, people, client.id) }
  })
}

/** In the compound a claim by somebody from elsewhere waits for the branch's word. */
const ASKS_BEFORE_STRANGERS_COME = {
  node: COMPOUND, code: 'wish', body: { ...SHIPPED_POLICIES.wish, claims: { ...SHIPPED_POLICIES.wish.claims, approval: ['strangers' as const] } },
}

type Nodes = Map<string, { id: string; name: string }>
type People = Map<Who, { id: string; password: string }>

async function makePlaces(db: Db, rootId: string): Promise<Nodes> {
  const made = await createNodes(db, STREET, PLACES, SYSTEM)
  return new Map([{ id: rootId, code: STREET, name: STREET_NAME }, ...made].map((node) => [node.code, node]))
}

async function makeOrganisations(db: Db): Promise<Map<string, string>> {
  const made = await Promise.all(Object.entries(ORGANISATIONS).map(([code, organisation]) => createOrganisation(db, { code, ...organisation }, SYSTEM)))
  return new Map(made.map(({ code, id }) => [code, id]))
}

async function makePeople(db: Db, keyring: Keyring, places: Promise<Nodes>): Promise<People> {
  const made = await Promise.all(players.map(async ([who, { name, login, home }]) => {
    const password = randomBytes(9).toString('base64url')
    return [who, { id: await createPerson(db, keyring, { name, ...(login !== undefined && { login, password }), ...(home !== undefined && { nodeId: known(await places, home).id }) }), password }] as const
  }))
  return new Map(made)
}

async function giveDuties(db: Db, people: People, nodes: Nodes, organisations: Map<string, string>): Promise<void> {
  const node = (code: string) => known(nodes, code).id
  await Promise.all(players.flatMap(([who, { duties = [], posts = [], ties = [] }]) => {
    const personId = known(people, who).id
    const organisationOf = (tie: { in: OrganisationCode }) => known(organisations, tie.in)
    return [
      ...duties.map(({ role, at }) => grantDuty(db, { personId, roleCode: role, nodeId: node(at) })),
      ...posts.map((post) => grantDuty(db, { personId, roleCode: post.role, nodeId: node(ORGANISATIONS[post.in].node), organisationId: organisationOf(post) })),
      ...ties.map((tie) => affiliate(db, { personId, organisationId: organisationOf(tie), kind: tie.kind, verified: true })),
    ]
  }))
}

async function cast(db: Db, people: People, clientId: string): Promise<Omit<Stage, 'db' | 'shelf'>> {
  const actors = new Map<Who | 'app', Actor>([['app', { kind: 'app', clientId }]])
  await Promise.all([...people].map(async ([who, { id }]) => {
    const actor = await personActor(db, id, null)
    if (actor) actors.set(who, actor)
  }))
  return { actor: (who: Who | 'app') => known(actors, who), id: (who: Who) => known(people, who).id }
}

const credentials = (people: People, nodes: Nodes): DemoFile['people'] =>
  players.flatMap(([who, { login, name, duties = [], posts = [], ties = [], resident }]) => {
    if (login === undefined) return []
    const held = [...duties, ...posts.map((post) => ({ role: post.role, at: ORGANISATIONS[post.in].node }))]
    return [{
      login, password: known(people, who).password, name,
      kinds: [...new Set(ties.map(({ kind }) => kind)), ...(resident ? ['resident'] : [])],
      duties: held.map(({ role, at }) => ({ role, nodeCode: at, nodeName: known(nodes, at).name })),
    }]
  })

function known<K, V>(map: ReadonlyMap<K, V>, key: K): V {
  const value = map.get(key)
  if (value === undefined) throw new Error(`the demo speaks of ${String(key)}, who is not in it`)
  return value
}
