import { covers, type Actor } from '../domain/actor.ts'
import type { State } from '../domain/machine.ts'
import { Problem } from '../domain/problems.ts'
import type { Facts, Place } from '../domain/request.ts'
import { bigrams, likeness } from '../domain/search.ts'
import { isSecret } from '../domain/secret.ts'
import { sight, view, type RequestView } from '../domain/view.ts'
import { tenantHere, type Db } from './db.ts'
import { list } from './list.ts'
import { TITLE } from './list-query.ts'
import { FACTS, factsOf, load, type LoadedRow } from './load.ts'
import { endOf } from './nodes.ts'
import { secretOf } from './notice-columns.ts'

/** 疑似重复: the same thing said by several, to be merged by who dispatches. A proposal; nothing is done by itself. */

export interface Duplicate {
  request: RequestView
  /** 0 to 1: words, service and place. */
  likeness: number
}

/** From here on it is told. */
const LIKELY = 0.5
const DAYS = 30
/** The newest around it that are compared: when asked for, and when somebody waits for his filing. */
const COMPARED = { asked: 300, filing: 100 } as const
const MOST = 5

/** Not ended, and of those that can be merged those alone. */
const LIVE: readonly State[] = ['filed', 'returned', 'accepted', 'open', 'dispatched', 'in_progress', 'parked', 'completed']
const MERGEABLE: State[] = ['filed', 'accepted', 'open']

interface Said {
  id: string
  title: string
  itemCode: string
  nodeId: string
}

const alike = (a: Said & { grams: Set<string> }, b: Said & { grams: Set<string> }): number =>
  0.7 * likeness(a.grams, b.grams) + (a.itemCode === b.itemCode ? 0.2 : 0) + (a.nodeId === b.nodeId ? 0.1 : 0)

const read = (said: Said) => ({ ...said, grams: bigrams(said.title) })

/**
 * What was said around the same place (小区) within a month and is not ended, most alike first. Confidential matters have
 * none, and are none.
 * @throws Problem request-not-found also for who does not dispatch there
 */
export async function duplicates(db: Db, ref: string, actor: Actor): Promise<Duplicate[]> {
  const facts = await load(db, ref)
  if (!facts || sight(actor, facts) !== 'full') throw new Problem('request-not-found')
  if (!dispatches(actor, facts.request.path)) throw new Problem('forbidden')
  if (isSecret(facts.request)) return []
  const { id, nodeId, filedAt } = facts.request
  const around = compoundOf(facts.nodePath, facts.compound)
  return likely(db, { id, title: facts.title, itemCode: facts.item.code, nodeId }, { path: around ?? facts.nodePath, below: around !== null, when: 'asked' }, filedAt, actor)
}

/** `staff`: for staff of the place only, who see more than one there. */
export type Proposal = boolean | 'staff'

/**
 * Proposed with the filing itself: to staff of the place what they see around it; to everybody else what they filed
 * themselves, and only when they ask, since filing is what is done most.
 * @param filed as it will stand; nobody finds it yet
 * @returns undefined when nothing was looked for
 */
export async function duplicatesOnFiling(db: Db, filed: Facts, actor: Actor, asked: Proposal): Promise<Duplicate[] | undefined> {
  const { request: { id, nodeId, path, filedAt }, title, item, compound } = filed
  const own = widest(actor, path)
  if (asked === false || (asked === 'staff' && own === undefined)) return undefined
  if (isSecret(filed.request)) return []
  const said = { id, title, itemCode: item.code, nodeId }
  if (own === undefined) return chosen(db, said, await ownOnes(db, nodeId, filedAt, actor), actor)
  // No farther than the compound, and no farther than he looks.
  const around = [compoundOf(path, compound) ?? path, own].sort((a, b) => b.length - a.length)[0]!
  return likely(db, said, { path: around, below: compound !== null, when: 'filing' }, filedAt, actor)
}

/** Of those that cover the place the one that reaches farthest. */
const widest = (actor: Actor, path: string): string | undefined => actor.kind !== 'person' ? undefined : actor.duties
  .filter((held) => held.organisationId === null && held.capabilities.includes('view') && covers(held.path, path)).map((held) => held.path).sort((a, b) => a.length - b.length)[0]

/** Its path, of a place at or below it. */
function compoundOf(path: string, compound: Place | null): string | null {
  const at = compound ? `/${path}`.indexOf(`/${compound.code}/`) : -1
  return compound && at >= 0 ? path.slice(0, at + compound.code.length + 1) : null
}

/** $2 about when, $3 states. */
const MATTERS = `SELECT r.id, t.body AS title, i.code AS "itemCode", r."nodeId" FROM`
const IN_TIME = `r.state = ANY ($3::text[]) AND r."filedAt" >= $2::timestamptz - interval '${DAYS} days' AND r."filedAt" < $2::timestamptz + interval '${DAYS} days' AND NOT ${secretOf('r')}`
const NARROW = `r.id, r."tenantId", r."nodeId", r."itemId", r."titleSeq"`
const WORDS = `${TITLE} JOIN item i ON i."tenantId" = r."tenantId" AND i.id = r."itemId"`

/** Of the places from `path` on, or of it alone. By a range and not a prefix: behind row-level security only leakproof operators reach the index. */
async function likely(db: Db, said: Said, { path, below, when }: { path: string; below: boolean; when: keyof typeof COMPARED }, at: Date, actor: Actor): Promise<Duplicate[]> {
  const newest = `ORDER BY r.id DESC LIMIT ${COMPARED[when]}`
  const { rows } = await db.app.query<Said>({
    name: `duplicates_around_${when}`,
    text: `${MATTERS} (SELECT r.* FROM node n CROSS JOIN LATERAL (
        SELECT ${NARROW} FROM request r WHERE r."tenantId" = $1 AND r."responsibleNodeId" = n.id AND r.id <> $6 AND ${IN_TIME} ${newest}) r
      WHERE n."tenantId" = $1 AND n.path >= $4 AND n.path <= $5 ${newest}) r ${WORDS}`,
    values: [tenantHere(), at, LIVE, path, below ? endOf(path) : path, said.id],
  })
  return chosen(db, said, rows, actor)
}

/** What the caller filed: a person anywhere, an app at the place. */
async function ownOnes(db: Db, nodeId: string, at: Date, actor: Actor): Promise<Said[]> {
  if (actor.kind === 'system') return []
  const [name, whose, party] = actor.kind === 'person' ? ['person', 'r."filerId" = $4::uuid', [actor.id]] as const
    : ['app', 'r."responsibleNodeId" = $5::uuid AND r."filerClientId" = $4::uuid AND r."filerId" IS NULL', [actor.clientId, nodeId]] as const
  const { rows } = await db.app.query<Said>({
    name: `duplicates_of_${name}`,
    text: `${MATTERS} (SELECT ${NARROW} FROM request r WHERE r."tenantId" = $1 AND ${whose} AND ${IN_TIME} ORDER BY r.id DESC LIMIT ${COMPARED.filing}) r ${WORDS}`,
    values: [tenantHere(), at, LIVE, ...party],
  })
  return rows
}

async function chosen(db: Db, said: Said, rows: readonly Said[], actor: Actor): Promise<Duplicate[]> {
  const own = read(said)
  const most = rows.map((one) => ({ id: one.id, likeness: alike(own, read(one)) })).filter((one) => one.likeness >= LIKELY).sort((a, b) => b.likeness - a.likeness).slice(0, MOST)
  if (most.length === 0) return []
  const found = await loadEach(db, most.map((one) => one.id))
  return most.flatMap((one) => {
    const other = found.get(one.id)
    return other && sight(actor, other) === 'full' ? [{ request: view(other, actor), likeness: rounded(one.likeness) }] : []
  })
}

async function loadEach(db: Db, ids: readonly string[]) {
  const { rows } = await db.app.query<LoadedRow>({
    name: 'load_each', text: `SELECT ${FACTS} FROM unnest($2::uuid[]) i CROSS JOIN LATERAL (SELECT * FROM request r WHERE r."tenantId" = $1 AND r.id = i LIMIT 1) r ${TITLE}`, values: [tenantHere(), ids],
  })
  return new Map((await factsOf(db, rows)).map((facts) => [facts.request.id, facts]))
}

export interface Pair {
  /** The earlier one: what the other would be merged into. */
  lead: RequestView
  request: RequestView
  likeness: number
}

/** Pairs among the newest that can be merged, most alike first. @throws Problem not-found for a node outside the actor's subtrees */
export async function pairs(db: Db, { node, limit }: { node?: string | undefined; limit: number }, actor: Actor): Promise<Pair[]> {
  if (actor.kind !== 'person' || !actor.duties.some(({ organisationId, capabilities }) => organisationId === null && capabilities.includes('dispatch'))) throw new Problem('forbidden')
  const { data } = await list(db, { node, state: MERGEABLE, limit: 200 }, actor)
  const said = data.filter((request) => !isSecret(request) && request.allowed.includes('merge')).map((request) =>
    ({ request, ...read({ id: request.id, title: request.title, itemCode: request.item.code, nodeId: request.node?.id ?? '' }) }))
  const found = said.flatMap((later, index) => said.slice(index + 1).map((earlier) => ({ lead: earlier.request, request: later.request, likeness: alike(later, earlier) })))
  return found.filter((pair) => pair.likeness >= LIKELY).sort((a, b) => b.likeness - a.likeness).slice(0, limit).map((pair) => ({ ...pair, likeness: rounded(pair.likeness) }))
}

const rounded = (value: number): number => Math.round(value * 100) / 100

const dispatches = (actor: Actor, path: string): boolean =>
  actor.kind === 'person' && actor.duties.some((duty) => duty.organisationId === null && duty.capabilities.includes('dispatch') && covers(duty.path, path))
