import { capacity, type Actor, type PersonActor } from './actor.ts'
import type { Capability } from './machine.ts'
import { Problem, says } from './problems.ts'
import type { Settings } from './settings.ts'

/** May add and retire what lies at or under the node: places, organisations, menu, policies. */
export const administers = (actor: Actor, path: string): boolean => holdsEither(actor, ['administer', 'configure'], path)

/** May open and close accounts, give duties, hand out keys, lift lock-outs at or under the node. */
export const secures = (actor: Actor, path: string): boolean => holdsEither(actor, ['administer', 'secure'], path)

/** The trees that a person administers. */
export const administeredTrees = ({ duties }: PersonActor): string[] =>
  duties.filter(({ organisationId, capabilities }) => organisationId === null && (capabilities.includes('administer') || capabilities.includes('configure'))).map(({ path }) => path)

const holdsEither = (actor: Actor, capabilities: readonly Capability[], path: string): boolean =>
  actor.kind === 'system' || capabilities.some((capability) => capacity(actor, capability, path) !== undefined)

/**
 * A place lies under one of a coarser level. Levels may be left out (a 大院 without buildings, a unit straight under a
 * compound), never turned round.
 * @throws Problem validation-failed
 */
export function checkLevel(levels: Settings['levels'], level: string, parentLevel: string): void {
  const rank = (wanted: string) => levels.findIndex(({ code }) => code === wanted)
  if (rank(level) < 0) throw refused(says(`没有这个层级，只能是 ${levels.map(({ code }) => code).join('、')}`, `No such level, expected one of ${levels.map(({ code }) => code).join(', ')}`))
  if (rank(level) <= rank(parentLevel)) throw refused(says('层级必须低于上级节点', 'The level must be below that of the parent'))
}

const refused = (message: ReturnType<typeof says>) => new Problem('validation-failed', { errors: [{ pointer: '/level', code: 'value', message }] })
