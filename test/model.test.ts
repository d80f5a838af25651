import fc from 'fast-check'
import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PersonActor } from '../src/domain/actor.ts'
import { allowed, decide } from '../src/domain/decide.ts'
import { withFamily } from '../src/domain/family.ts'
import { STATE_NAMES, TRANSITIONS, type State, type Transition } from '../src/domain/machine.ts'
import { Problem } from '../src/domain/problems.ts'
import type { Facts, Target } from '../src/domain/request.ts'
import { sight } from '../src/domain/view.ts'
import { load } from '../src/service/load.ts'
import { act, file } from '../src/service/requests.ts'
import { INPUT } from './domain/stage.ts'
import { freshDatabase, type TestDatabase } from './database.ts'
import { testPlace, type TestPlace } from './place.ts'

/**
 * The pure machine and PostgreSQL, side by side: whatever is tried, both do it or both refuse it for the same reason, and
 * what is read back is what was decided. `MODEL_RUNS=20000 npx vitest run test/model.test.ts` is the long run.
 */

const RUNS = Number(process.env['MODEL_RUNS'] ?? 500)
const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))

let database: TestDatabase
let town: TestPlace
let actors: Record<string, PersonActor>
let targets: { worker: Target; firm: Target }
let codes: Record<string, string>

beforeAll(async () => {
  console.info(`model: fast-check seed ${seed} (SEED=${seed} repeats it), ${RUNS} sequences`)
  database = await freshDatabase()
  town = await testPlace(database, { returnsMax: 1, urgesPerDay: 20, extensionsMax: 10, parksMax: 10, claims: { perClaimer: 1000, approval: ['protected'] } })
  await database.owner.query(`INSERT INTO item ("tenantId", id, code, version, name, category, kind, mode, wall, "policyCode") VALUES ($1, $2, 'activity', 1, '邻里活动', 'x', 'activity', 'pool', true, 'standard')`,
    [town.tenantId, uuidv7()])
  const firm = await town.organisation('FIRM')
  const [resident, guardian, staff, chief, caller, worker, member, volunteer] = await Promise.all([
    town.person(), town.person(), town.person({ at: 'C', can: ['view', 'file_for', 'dispatch', 'publish', 'supervise'] }), town.person({ at: 'S', can: ['view', 'dispatch', 'approve'] }),
    town.person({ at: 'S', can: ['view', 'follow_up'] }), town.person({ at: 'B', can: ['handle'] }), town.person({ kinds: ['party_member'] }), town.person({ kinds: ['volunteer'] }),
  ])
  const agent = await town.agentOf(firm)
  actors = { resident, guardian, staff, chief, caller, worker, agent, member, volunteer }
  targets = {
    worker: { personId: worker.id, organisationId: null, path: 'S/C/P/B/', level: 'building' },
    firm: { personId: null, organisationId: firm, path: 'S/C/P/', level: 'compound' },
  }
  codes = { worker: worker.id, firm: 'FIRM', agent: agent.id }
})
afterAll(() => database.drop())

interface Model { facts: Facts; id: string; tried: Set<string> }

/** A verb with something sensible in its body, and what the service will find for it. */
function attempt(verb: Transition, taste: number, facts: Facts, lead: string): { input: object; found: Partial<Facts> } {
  const whom = taste % 2 === 0 ? 'worker' : 'firm'
  const target = targets[whom]
  const opinion = { solved: taste % 3 === 0 ? 'unsolved' : 'solved', satisfaction: 'satisfied' }
  const ahead = (days: number) => new Date(facts.now.getTime() + days * 86_400_000)
  switch (verb) {
    case 'place': return { input: { slots: 1 + (taste % 3) }, found: {} }
    case 'dispatch': case 'redispatch': case 'add-co': return { input: { to: codes[whom] }, found: { target } }
    case 'adjudicate': return taste % 2 === 0 ? { input: { decision: 'keep' }, found: {} } : { input: { decision: 'reassign', to: codes.firm }, found: { target: targets.firm } }
    case 'remove-co': return { input: { co: codes[whom] }, found: { target } }
    case 'whistle': return { input: { to: [codes.firm], reason: 'emergency' }, found: { targets: [targets.firm] } }
    case 'hand-over': return { input: { to: codes.worker }, found: { target: targets.worker } }
    case 'assign': return { input: { to: codes.agent }, found: {} }
    case 'merge': return { input: { into: lead }, found: {} }
    case 'follow-up': return { input: taste % 2 === 0 ? { reached: false } : { reached: true, ...opinion }, found: {} }
    case 'rate': return { input: opinion, found: {} }
    case 'complete': return { input: { outcome: '办好了', result: taste === 3 ? 'impossible' : 'realised' }, found: {} }
    case 'ask-extension': return { input: { until: ahead(200), reason: '等配件' }, found: {} }
    case 'ask-park': return { input: { until: ahead(20), reason: '等审批' }, found: {} }
    case 'deliberate': return { input: { decision: 'continue', minutes: '再议', ...(taste % 2 === 0 ? { until: ahead(20) } : {}) }, found: {} }
    case 'resubmit': return { input: { description: '补充' }, found: {} }
    case 'amend': return { input: { title: `第 ${taste} 次更正` }, found: {} }
    case 'raise': return { input: { reason: '本级办不了' }, found: {} }
    default: return { input: INPUT[verb], found: {} }
  }
}

/** Raising and merging are looked up in other requests and places: what was found is taken from what came of it. */
const LOOKED_UP: ReadonlySet<Transition> = new Set(['raise', 'merge', 'assign'])

const cells = new Map<string, number>()
const seen = (what: string) => cells.set(what, (cells.get(what) ?? 0) + 1)

const refusal = (run: () => unknown): string => {
  try {
    run()
    return 'done'
  } catch (error) {
    if (error instanceof Problem) return error.code
    throw error
  }
}

/** Rows as they are read name their tenant too. */
const bare = <T>(value: T): T => JSON.parse(JSON.stringify(value, (key, each: unknown) => (key === 'tenantId' ? undefined : each))) as T

/** What both sides know; the clock and what was looked up aside. */
const stored = ({ request, title, node, responsibleNode, nodePath, assignments, cos, pending, attendees, handlers, asks, consents, deadlines, wall }: Facts) => bare({
  request, title, node, responsibleNode, nodePath, wall,
  rows: [...assignments, ...cos, ...pending, ...attendees, ...handlers].sort((a, b) => a.seq - b.seq || a.slot - b.slot),
  asks: [...asks].sort((a, b) => a.seq - b.seq), consents: [...consents].sort((a, b) => a.purpose.localeCompare(b.purpose)),
  deadlines: [...deadlines].sort((a, b) => `${a.step}${a.seq}`.localeCompare(`${b.step}${b.seq}`)),
})

const read = async (id: string): Promise<Facts> => (await load(database.db, id))!

class Try implements fc.AsyncCommand<Model, string> {
  readonly who: string
  readonly verb: Transition
  readonly taste: number
  constructor(who: string, verb: Transition, taste: number) {
    this.who = who
    this.verb = verb
    this.taste = taste
  }

  check = () => true
  toString = () => `${this.who} ${this.verb} ${this.taste}`
  async run(model: Model, lead: string): Promise<void> {
    await tryOne(model, this.who, this.verb, this.taste, lead)
  }
}

async function tryOne(model: Model, who: string, verb: Transition, taste: number, lead: string): Promise<void> {
  const actor = actors[who]!
  const before = model.facts
  const { input, found } = attempt(verb, taste, before, lead)
  const expectedOf = (now: Date, given: Partial<Facts> = {}) => decide(verb, { ...before, ...found, ...given, now }, input as never, actor)
  seen(`${before.request.state} ${verb} ${who}`)
  let got = 'done'
  try {
    await act(database.db, verb, model.id, input as never, actor)
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    got = error.code
  }
  if (got !== 'done') {
    const pure = sight(actor, before) === 'none' ? 'request-not-found' : LOOKED_UP.has(verb) && refusal(() => expectedOf(before.now)) !== 'forbidden' ? got : refusal(() => expectedOf(before.now))
    expect(got, `${who} ${verb} in ${before.request.state}`).toBe(pure)
    return
  }
  seen(`done ${verb}`)
  const after = await read(model.id)
  const { rows: [event] } = await database.owner.query<{ at: Date }>('SELECT at FROM event WHERE "requestId" = $1 AND seq = $2', [model.id, after.request.version])
  if (!LOOKED_UP.has(verb)) {
    const decision = expectedOf(event!.at)
    expect(stored(withFamily(decision, before)[0]!.after), `${who} ${verb} in ${before.request.state}`).toEqual(stored(after))
  }
  expect(after.request.version).toBe(before.request.version + 1)
  model.facts = after
}

/** Everything that nobody may do here, tried by everybody over the service: both sides must refuse it, and nothing must change. */
async function tryAllIllegal(model: Model, lead: string): Promise<void> {
  const { state } = model.facts.request
  if (tested.has(state)) return
  tested.add(state)
  const before = stored(await read(model.id))
  for (const [who, actor] of Object.entries(actors)) {
    const legal = sight(actor, model.facts) === 'none' ? [] : allowed(actor, model.facts)
    for (const verb of TRANSITIONS) {
      if (legal.includes(verb)) seen(`${state} ${verb} ${who}`)
      else await tryOne(model, who, verb, 0, lead)
    }
  }
  expect(stored(await read(model.id))).toEqual(before)
}
const tested = new Set<State>()

/** Wishes, those whose claims wait for a word, and what one signs up for. */
const FILINGS = [{ item: 'companionship' }, { item: 'companionship', targetGroup: 'elderly' as const }, { item: 'activity' }]

const WHO = ['resident', 'guardian', 'staff', 'chief', 'caller', 'worker', 'agent', 'member', 'volunteer']
const endless: readonly Transition[] = ['withdraw', 'consent', 'supervise', 'urge', 'hand-over', 'raise', 'amend', 'record', 'add-co', 'remove-co', 'whistle', 'assign']
const command = (verbs: readonly Transition[]) =>
  fc.tuple(fc.constantFrom(...WHO), fc.constantFrom(...verbs), fc.nat(5)).map(([who, verb, taste]) => new Try(who, verb, taste))

/** Anything by anybody; and what somebody may, so that sequences get somewhere. */
class Sensible implements fc.AsyncCommand<Model, string> {
  readonly pick: number
  readonly taste: number
  constructor(pick: number, taste: number) {
    this.pick = pick
    this.taste = taste
  }

  check = () => true
  toString = () => `sensible ${this.pick} ${this.taste}`
  async run(model: Model, lead: string): Promise<void> {
    await tryAllIllegal(model, lead)
    const may = Object.entries(actors).filter(([, actor]) => sight(actor, model.facts) !== 'none').flatMap(([who, actor]) => allowed(actor, model.facts).map((verb) => ({ who, verb })))
    const verbs = [...new Set(may.map(({ verb }) => verb))].filter((verb) => this.taste === 0 || !endless.includes(verb) || !cells.has(`done ${verb}`))
    const least = [...verbs].sort((a, b) => (cells.get(`done ${a}`) ?? 0) - (cells.get(`done ${b}`) ?? 0))[0]
    const verb = this.taste === 5 ? least : verbs[this.pick % Math.max(verbs.length, 1)]
    const those = may.filter((one) => one.verb === verb)
    const chosen = those[this.pick % Math.max(those.length, 1)]
    if (chosen) await tryOne(model, chosen.who, chosen.verb, this.taste, lead)
  }
}

test(`${RUNS} sequences: what is decided is what is stored, and what is refused changes nothing`, { timeout: 3_600_000 }, () => town.inside(async () => {
  const lead = (await file(database.db, { item: 'companionship', title: '主件', node: 'U' }, actors['resident']!)).id
  await act(database.db, 'accept', lead, {}, actors['staff']!)
  // Whom the resident names by id came by the same app.
  const { clientId } = await town.app()
  await database.owner.query(`INSERT INTO external_user ("tenantId", id, "clientId", provider, "appId", "openId", "personId", "createdAt") VALUES ($1, $4, $2, 'wechat', 'wx1', sha256('x'), $3, now())`,
    [town.tenantId, clientId, actors['guardian']!.id, crypto.randomUUID()])
  const resident = { ...actors['resident']!, clientId }
  const undone = () => TRANSITIONS.filter((verb) => !cells.has(`done ${verb}`))
  const sequences = (round: number, numRuns: number) => fc.assert(fc.asyncProperty(
    fc.constantFrom(...FILINGS),
    fc.commands([
      ...Array.from({ length: 5 }, () => fc.tuple(fc.nat(10_000), fc.nat(5)).map(([pick, taste]) => new Sensible(pick, taste))),
      command(TRANSITIONS),
    ], { maxCommands: 30, size: '+1' }),
    async (filing, commands) => {
      const { id } = await file(database.db, { ...filing, title: '换灯', node: 'U', guardian: actors['guardian']!.id }, resident)
      const model: Model = { facts: await read(id), id, tried: new Set() }
      await fc.asyncModelRun(() => ({ model, real: lead }), commands)
    }), { seed: seed + round, numRuns, endOnFailure: true })
  await sequences(0, RUNS)
  // What hardly ever comes about goes on until it has.
  for (let round = 1; undone().length > 0 && round <= 20; round++) await sequences(round, 50)
  expect([...tested].sort()).toEqual([...STATE_NAMES].sort())
  const missing = STATE_NAMES.flatMap((state) => TRANSITIONS.flatMap((verb) => WHO.map((who) => `${state} ${verb} ${who}`))).filter((cell) => !cells.has(cell))
  expect(missing, 'state × verb × role cells nobody visited').toEqual([])
  expect(undone(), 'verbs that nobody ever did').toEqual([])
  console.info(`model: ${cells.size} cells; done: ${TRANSITIONS.map((verb) => `${verb} ${cells.get(`done ${verb}`)}`).join(', ')}`)
}))
