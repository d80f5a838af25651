import { capacity, covers, type Actor, type PersonActor } from './actor.ts'
import type { Capability } from './machine.ts'
import { secures } from './places.ts'

/** Who may look up and look after people, by the places they belong to. Paths are nodes' paths. */

export const OVERSEES: readonly Capability[] = ['view', 'file_for', 'dispatch', 'administer', 'secure']

/** The places whose people the actor finds: there and below. An organisation's staff see nobody by it. */
export const overseen = ({ duties }: PersonActor): string[] =>
  [...new Set(duties.filter(({ organisationId, capabilities }) => organisationId === null && capabilities.some((held) => OVERSEES.includes(held))).map(({ path }) => path))]

/** May write down a person without an account: a paper slip, a caller, somebody met at the door. */
export const mayRegister = (actor: Actor, path: string): boolean => secures(actor, path) || capacity(actor, 'file_for', path) !== undefined

/** Who may decide on what is applied for at an organisation of this place: 支部书记 and whoever administers. */
export const decidesAt = (actor: Actor, path: string): boolean => secures(actor, path) || capacity(actor, 'dispatch', path) !== undefined

/**
 * Whoever can take over an account can do all that it may: only an administrator of every place the person belongs to or
 * holds a duty at.
 */
export const looksAfter = (actor: Actor, paths: readonly string[]): boolean => paths.length > 0 && paths.every((path) => secures(actor, path))

/** A person at his own keyboard. What hands out credentials is never done through an app, whose rights they would exceed. */
export const inPerson = (actor: Actor): actor is PersonActor => actor.kind === 'person' && actor.clientId === null

/** The root's path has one segment. */
export const isRoot = (path: string): boolean => path.indexOf('/') === path.length - 1

/** Whether a place lies in one of the trees. */
export const liesIn = (path: string, trees: readonly string[]): boolean => trees.some((tree) => covers(tree, path))

const DECIDES: readonly Capability[] = ['administer', 'secure', 'dispatch']

/** The trees in whose organisations the actor decides on what is applied for. */
export const decidedTrees = ({ duties }: PersonActor): string[] =>
  duties
    .filter(({ organisationId, capabilities }) => organisationId === null && DECIDES.some((held) => capabilities.includes(held)))
    .map(({ path }) => path)
