import { covers, type Actor } from '../domain/actor.ts'
import type { Capability } from '../domain/machine.ts'
import { Problem } from '../domain/problems.ts'
import type { Base } from '../domain/rate-facts.ts'
import { remember, tenantHere, type Db } from './db.ts'
import { isId } from './load.ts'
import { NO_SUCH_NODE } from './nodes.ts'
import type { Period } from './periods.ts'

/** Whose figures: of which places, in which time, of which service and party; as conditions on `rate_fact f`. */

/** Who keeps watch over a place sees how it does. */
const WATCHES: readonly Capability[] = ['view', 'supervise']

export interface Place {
  id: string
  code: string
  name: string
}

export interface Scope {
  /** Null for all the places that are the actor's. */
  node: Place | null
  /** Path prefixes; null for the whole tenant. */
  trees: string[] | null
  /** The same, the whole tenant's root too. */
  roots: string[]
  /** How many there are, as far as it matters. */
  nodes: number
}

/** Up to so many nodes the index by place is read, of a long time up to a few more; above, that by time. */
const NEAR = { always: 64, long: 250 }
const LONG_MS = 100 * 86_400_000
const PATHS_TTL_MS = 60_000

/**
 * A node with all that was ever below it: what happened there counts as its own, wherever it hung in the tree at that time.
 * @throws Problem not-found also for a node that is not under the actor's watch
 */
export async function scopeOf(db: Db, node: string | undefined, actor: Actor): Promise<Scope> {
  const mine = actor.kind !== 'person' ? [] : actor.duties.filter(({ organisationId, capabilities }) => organisationId === null && capabilities.some((held) => WATCHES.includes(held))).map(({ path }) => path)
  if (node === undefined) {
    const trees = mine.filter((path) => !mine.some((other) => other !== path && covers(other, path)))
    if (trees.length === 0) throw new Problem('not-found')
    return scope(db, null, [...new Set(trees)])
  }
  const { rows: [place] } = await db.app.query<Place & { path: string }>({
    name: isId(node) ? 'figured_by_id' : 'figured_by_code',
    text: `SELECT id, code, name, path FROM node WHERE "tenantId" = $1 AND ${isId(node) ? 'id = $2::uuid' : 'code = $2'}`, values: [tenantHere(), node],
  })
  if (!place || !mine.some((path) => covers(path, place.path))) throw new Problem('not-found', { errors: [{ pointer: '/query/node', message: NO_SUCH_NODE }] })
  const { path, ...named } = place
  return scope(db, named, [path, ...(isRoot(path) ? [] : await formerPaths(db, place))])
}

async function scope(db: Db, node: Place | null, trees: string[]): Promise<Scope> {
  if (trees.some(isRoot)) return { node, trees: null, roots: trees.filter(isRoot), nodes: Infinity }
  const { nodes } = await remember(db, `figured/${tenantHere()}/${trees.join()}`, PATHS_TTL_MS, async () => {
    const { rows: [size] } = await db.app.query<{ nodes: number }>({
      name: 'figured_size', values: [tenantHere(), trees],
      text: `SELECT count(*)::int AS nodes FROM (SELECT FROM unnest($2::text[]) p JOIN node n ON n."tenantId" = $1 AND n.path >= p AND n.path < left(p, -1) || '0' LIMIT ${NEAR.long + 1}) few`,
    })
    return size!
  })
  return { node, trees, roots: trees, nodes }
}

const isRoot = (path: string): boolean => path.indexOf('/') === path.length - 1

/** Where the node hung when something was counted there, as far as it was elsewhere than now. */
async function formerPaths(db: Db, { code, path }: { code: string; path: string }): Promise<string[]> {
  const known = await remember(db, `figured-paths/${tenantHere()}`, PATHS_TTL_MS, async () => {
    // From one path to the next, by the index: there are no more of them than nodes.
    const next = (after: string) => `SELECT f.path FROM rate_fact f WHERE f."tenantId" = $1 AND f.slot = 0 AND f.at IS NOT NULL ${after} ORDER BY f.path LIMIT 1`
    const { rows } = await db.app.query<{ path: string }>({
      name: 'figured_paths', values: [tenantHere()],
      text: `WITH RECURSIVE p AS ((${next('')}) UNION ALL SELECT (${next('AND f.path > p.path')}) FROM p WHERE p.path IS NOT NULL) SELECT path FROM p WHERE path IS NOT NULL`,
    })
    return rows.map((row) => row.path)
  })
  const segment = `/${code}/`
  const there = known.flatMap((one) => (`/${one}`.includes(segment) ? [`/${one}`.slice(1, `/${one}`.indexOf(segment) + segment.length)] : []))
  return [...new Set(there)].filter((former) => former !== path)
}

export interface Asked {
  scope: Scope
  period: Period
  bases: readonly Base[]
  item?: string | undefined
  /** Id of a person or an organisation: what they had. */
  party?: string | undefined
  /** Every party by itself. */
  eachParty?: boolean
}

export interface Conditions {
  /** What the statement is prepared under, where times are parameters. */
  name: string
  /** What stands after FROM, `rate_fact f` in it. */
  from: string
  where: string
  values: unknown[]
}

/** For what is read in the order of time until there is enough of it. */
export const inTime = (scope: Scope): Scope => (scope.nodes <= NEAR.always ? scope : { ...scope, nodes: Infinity })

/**
 * Parameters from $1 on. What is not due yet does not count yet.
 * @param times whether a plan is made for these very days: one for whatever days takes a year for an hour, and sorts half a
 * million facts where it ought to hash them. As parameters for what is read in the order of time, until there is enough of it.
 */
export function conditions({ scope: { trees, nodes }, period: { since, until }, bases, item, party, eachParty = false }: Asked, times: 'said' | 'parameters' = 'said'): Conditions {
  const near = nodes <= NEAR.always || (nodes <= NEAR.long && until.getTime() - since.getTime() > LONG_MS)
  const values: unknown[] = [tenantHere()]
  const p = (value: unknown): string => `$${values.push(value)}`
  const [first, end] = [since, until].map((time) => (times === 'said' ? `timestamptz '${time.toISOString()}'` : p(time)))
  // Put so, it is no part of a range of which one end is not known, which would be taken for a narrow one.
  const past = times === 'said' ? '(f.at <= (SELECT wishwall_now())) IS TRUE' : 'f.at <= (SELECT wishwall_now())'
  const within = (at: string) => `${at} >= ${first} AND ${at} < ${end}`
  // Of one thing alone the index has the order too; said in so many words, it is known which indexes hold it.
  const [base] = bases
  const one = bases.length === 1
  const counts = one ? `= '${base}'` : `= ANY (${p(bases)}::text[])`
  const slot = party === undefined && !eachParty ? 'slot = 0' : 'slot > 0'
  const where = [`f."tenantId" = $1 AND f.${slot} AND ${within('f.at')} AND ${past} AND f.base ${counts}`]
  let from = 'rate_fact f'
  if (trees && near) {
    // Each by the index of places: a planner that takes trees for many and facts for few would read all facts. These it takes for a hundred.
    from = `jsonb_array_elements_text(${p(JSON.stringify(trees))}::jsonb) tree (p) CROSS JOIN LATERAL (SELECT * FROM rate_fact g WHERE g."tenantId" = $1 AND g.${slot} AND g.at IS NOT NULL
      AND g.path >= tree.p COLLATE "C" AND g.path < (left(tree.p, -1) || '0') COLLATE "C" AND g.base ${counts} AND ${within('g.at')} OFFSET 0) f`
  } else if (trees) where.push(`EXISTS (SELECT FROM unnest(${p(trees)}::text[]) tree WHERE starts_with(f.path, tree))`)
  if (item !== undefined) where.push(`f.item = ${p(item)}`)
  if (party !== undefined) where.push(`f."partyId" = ${p(party)}::uuid`)
  return {
    name: [one ? base : 'facts', trees === null ? 'all' : near ? 'near' : 'wide', ...(item === undefined ? [] : ['item']), ...(party === undefined ? [] : ['party']), ...(eachParty ? ['parties'] : [])].join('_'),
    from, where: where.join(' AND '), values,
  }
}
