import { covers, type Actor } from '../domain/actor.ts'
import type { State } from '../domain/machine.ts'
import { Problem } from '../domain/problems.ts'
import { bigrams, likeness } from '../domain/search.ts'
import { isSecret } from '../domain/secret.ts'
import { sight, view, type RequestView } from '../domain/view.ts'
import { tenantHere, type Db } from './db.ts'
import { list } from './list.ts'
import { TITLE } from './list-query.ts'
import { FACTS, factsOf, load, type LoadedRow } from './load.ts'
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
/** The newest around it that are compared. */
const COMPARED = 500
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
  const { id, path, filedAt } = facts.request
  const around = facts.compound ? `${path.split(`/${facts.compound.code}/`)[0]!}/${facts.compound.code}/` : path
  const { rows } = await db.app.query<Said>({
    name: 'duplicates_around',
    text: `SELECT r.id, t.body AS title, i.code AS "itemCode", r."nodeId" FROM (
        SELECT r.* FROM request r WHERE r."tenantId" = $1 AND r."filedAt" >= $2::timestamptz - interval '${DAYS} days' AND r."filedAt" < $2::timestamptz + interval '${DAYS} days'
          AND starts_with(r.path, $3) AND r.id <> $4 AND r.state = ANY ($5::text[]) AND NOT ${secretOf('r')} ORDER BY r."filedAt" DESC LIMIT ${COMPARED}) r
      ${TITLE} JOIN item i ON i."tenantId" = r."tenantId" AND i.id = r."itemId"`,
    values: [tenantHere(), filedAt, covers(around, path) ? around : path, id, LIVE],
  })
  const own = read({ id, title: facts.title, itemCode: facts.item.code, nodeId: facts.request.nodeId })
  const likely = rows.map((said) => ({ id: said.id, likeness: alike(own, read(said)) })).filter((one) => one.likeness >= LIKELY).sort((a, b) => b.likeness - a.likeness).slice(0, MOST)
  const found = await loadEach(db, likely.map((one) => one.id))
  return likely.flatMap((one) => {
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
