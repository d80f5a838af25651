import type { PersonActor } from '../src/domain/actor.ts'
import { allowed } from '../src/domain/decide.ts'
import type { Callable } from '../src/domain/machine.ts'
import { Problem } from '../src/domain/problems.ts'
import { sight } from '../src/domain/view.ts'
import { load } from '../src/service/load.ts'
import { act, file } from '../src/service/requests.ts'
import { sweepOnce } from '../src/service/sweep.ts'
import { INPUT } from './domain/stage.ts'
import type { TestDatabase } from './database.ts'
import type { TestPlace } from './place.ts'

/** A small town living at random through the real service: who may do something does it, days go by, the sweep comes. */

export interface Chance {
  (below: number): number
  one<T>(of: readonly T[]): T
}

/** Repeatable (mulberry32). */
export function chance(seed: number): Chance {
  let state = seed
  const next = (below: number): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4_294_967_296) * below)
  }
  return Object.assign(next, { one: <T>(of: readonly T[]): T => of[next(of.length)]! })
}

export interface Townsfolk {
  actors: PersonActor[]
  resident: PersonActor
  chief: PersonActor
  worker: string
  firm: string
}

/** Everybody a request needs from filing to closing; the chief may do anything on the street. */
export async function townsfolk(town: TestPlace): Promise<Townsfolk> {
  const firm = await town.organisation('FIRM')
  const resident = await town.person()
  const staff = await town.person({ at: 'C', can: ['view', 'file_for', 'dispatch', 'publish'] })
  const chief = await town.person({ at: 'S', can: ['view', 'dispatch', 'approve', 'supervise'] })
  const second = await town.person({ at: 'S', can: ['view', 'approve'] })
  const caller = await town.person({ at: 'S', can: ['view', 'follow_up'] })
  const worker = await town.person({ at: 'B', can: ['handle'] })
  const members = [await town.person({ kinds: ['party_member'] }), await town.person({ kinds: ['party_member'] }), await town.person({ kinds: ['volunteer'] })]
  const agent = await town.agentOf(firm)
  return { actors: [resident, staff, chief, second, caller, worker, ...members, agent], resident, chief, worker: worker.id, firm }
}

/** Hardly ever, or they are all that happens. */
const RARELY: readonly Callable[] = ['withdraw', 'consent', 'supervise', 'urge', 'hand-over', 'raise', 'record', 'add-co', 'remove-co', 'whistle', 'assign', 'deliberate', 'reject', 'merge', 'amend']

export class Stroll {
  readonly ids: string[] = []
  readonly done = new Map<string, number>()
  readonly #database: TestDatabase
  readonly #folk: Townsfolk
  readonly #chance: Chance

  constructor(database: TestDatabase, folk: Townsfolk, dice: Chance) {
    this.#database = database
    this.#folk = folk
    this.#chance = dice
  }

  async file(nodes: readonly string[]): Promise<void> {
    const dice = this.#chance
    const { id } = await file(this.#database.db, {
      item: dice.one(['companionship', 'corridor-light']), title: '换灯', node: dice.one(nodes), ...(dice(8) === 0 ? { confidential: true } : {}),
    }, this.#folk.resident)
    this.ids.push(id)
    await this.step(id)
  }

  /** One thing that somebody may do with it. */
  async step(id: string): Promise<void> {
    const dice = this.#chance
    const facts = (await load(this.#database.db, id))!
    const may = this.#folk.actors.filter((actor) => sight(actor, facts) !== 'none').flatMap((actor) => allowed(actor, facts).map((verb) => ({ actor, verb })))
    const verbs = [...new Set(may.map(({ verb }) => verb))].filter((verb) => !RARELY.includes(verb) || dice(6) === 0)
    if (verbs.length === 0) return
    const least = [...verbs].sort((a, b) => (this.done.get(a) ?? 0) - (this.done.get(b) ?? 0))[0]!
    const verb = dice(4) === 0 ? least : dice.one(verbs)
    const { actor } = dice.one(may.filter((one) => one.verb === verb))
    try {
      await act(this.#database.db, verb, id, this.#body(verb, facts.now) as never, actor)
      this.done.set(verb, (this.done.get(verb) ?? 0) + 1)
    } catch (error) {
      if (!(error instanceof Problem)) throw error
    }
  }

  async sweep(): Promise<void> {
    for (let turn = 0; turn < 40 && (await sweepOnce(this.#database.db)).fired > 0;) turn++
  }

  #body(verb: Callable, now: Date): object {
    const dice = this.#chance
    const { firm, worker } = this.#folk
    const whom = dice.one(['FIRM', worker])
    const opinion = { solved: dice.one(['solved', 'solved', 'partly', 'unsolved']), satisfaction: dice.one(['satisfied', 'fairly', 'dissatisfied']) }
    const until = (days: number) => new Date(now.getTime() + days * 86_400_000)
    switch (verb) {
      case 'place': return { slots: 1 + dice(2) }
      case 'dispatch': case 'redispatch': case 'add-co': return { to: whom }
      case 'remove-co': return { co: whom }
      case 'whistle': return { to: ['FIRM'], reason: 'emergency' }
      case 'hand-over': case 'assign': return { to: worker }
      case 'adjudicate': return dice(2) === 0 ? { decision: 'keep' } : { decision: 'reassign', to: firm }
      case 'merge': return { into: dice.one(this.ids) }
      case 'follow-up': return dice(3) === 0 ? { reached: false } : { reached: true, ...opinion }
      case 'rate': return opinion
      case 'complete': return { outcome: '办好了', result: dice.one(['realised', 'realised', 'partly', 'explained', 'impossible']) }
      case 'ask-extension': return { until: until(60), reason: '等配件' }
      case 'ask-park': return { until: until(5 + dice(15)), reason: '等审批' }
      case 'deliberate': return { decision: 'continue', minutes: '再议', ...(dice(2) === 0 ? { until: until(10) } : {}) }
      case 'amend': return dice(2) === 0 ? { item: dice.one(['companionship', 'corridor-light']) } : { title: '更正' }
      case 'accept': return dice(4) === 0 ? { node: dice.one(['B', 'U']) } : {}
      case 'raise': return { reason: '本级办不了' }
      case 'grant-exclusion': case 'ask-exclusion': return { ...INPUT[verb] }
      case 'grant-extension': return { until: until(70) }
      case 'grant-park': return { until: until(20) }
      default: return INPUT[verb]
    }
  }
}
