import { covers, type Actor, type PersonActor } from '../domain/actor.ts'
import type { State } from '../domain/machine.ts'
import { Problem, says } from '../domain/problems.ts'
import type { Kind } from '../domain/request.ts'
import { view, type RequestView } from '../domain/view.ts'
import { campaignId } from './campaigns.ts'
import { pageOf, type Page } from './cursor.ts'
import { tenantHere, type Db } from './db.ts'
import type { Keyring } from './keyring.ts'
import { TITLE, placeOf, statement, statementName, writtenPlace, type Order, type Piece } from './list-query.ts'
import { FACTS, factsOf, type LoadedRow } from './load.ts'
import { isCommunity, secretOf } from './notice-columns.ts'
import { hits } from './search.ts'
import { subtree } from './subtree.ts'
import { findNode } from './targets.ts'

export interface ListFilter {
  /** Id or code. */
  node?: string | undefined
  /** Of the node itself, or also of all below it (the default). */
  within?: 'node' | 'subtree' | undefined
  state?: State[] | undefined
  kind?: Kind[] | undefined
  item?: string | undefined
  /** Id or code of a 专项行动: what was filed for it. */
  campaign?: string | undefined
  overdue?: boolean | undefined
  /** In what way; true for any of them. */
  mine?: boolean | Mine | readonly Mine[] | undefined
  externalRef?: string | undefined
  /** Of items that are (not) reviewed before they are accepted. */
  review?: boolean | undefined
  /** Words, number or phone: see search.ts. */
  q?: string | undefined
  filedFrom?: Date | undefined
  /** Exclusive. */
  filedTo?: Date | undefined
}

export type Mine = 'filed' | 'assigned' | 'organisation'

export interface ListQuery extends ListFilter {
  /** `due`: what is due first; only what has a clock that runs. */
  sort?: 'newest' | 'due' | undefined
  /** Also say how many there are. */
  total?: boolean | undefined
  cursor?: string | undefined
  limit: number
}

/** Counted up to here: who has more does not read them one by one. */
export const MOST_COUNTED = 1_000

export interface Total {
  count: number
  /** There are more than that. */
  more: boolean
}

export interface RequestPage extends Page<RequestView> {
  page: Page<RequestView>['page'] & { total?: Total }
}

export interface SortedRow extends LoadedRow {
  sortAt: Date | null
}

/**
 * Requests in the actor's sight: what he filed or is assigned to (`mine`, and for those without a duty), else what lies
 * in his subtrees. Newest first, or what is due first. A request is on one page, whatever is filed and done meanwhile;
 * in the order of due times one that was given another time meanwhile may come again.
 * @throws Problem not-found for a node outside the actor's subtrees or a campaign that does not exist, cursor-unusable, validation-failed for a `q` without words
 */
export async function list(db: Db, { sort = 'newest', total = false, cursor, limit, ...filter }: ListQuery, actor: Actor, keyring?: Keyring): Promise<RequestPage> {
  const pieces = await piecesOf(db, filter, actor, keyring)
  const order: Order = sort === 'due' ? 'due' : filter.filedFrom || filter.filedTo ? 'filed' : 'newest'
  const page = statement(tenantHere(), limit + 1, pieces, order, cursor === undefined ? null : placeOf(cursor, order))
  const [{ rows }, counted] = await Promise.all([
    // The page is cut first, on an index; the rest is joined to twenty rows.
    db.app.query<SortedRow>({ ...page, text: `SELECT r."sortAt", ${FACTS} FROM (${page.text}) r ${TITLE} ORDER BY ${order === 'due' ? 'r."sortAt", r.id' : order === 'filed' ? 'r."sortAt" DESC, r.id DESC' : 'r.id DESC'}` }),
    total ? count(db, pieces, order) : undefined,
  ])
  const { data, page: place } = pageOf(rows, limit, ({ id, sortAt }) => writtenPlace(order, id, sortAt))
  const facts = await factsOf(db, data.map(({ sortAt: _, ...row }) => row))
  return { data: facts.map((each) => view(each, actor)), page: { ...place, ...(counted && { total: counted }) } }
}

/** Ids alone, in the same order and sight, for whoever writes more of each than a list shows. */
export async function listIds(db: Db, { cursor, limit, ...filter }: ListFilter & { cursor?: string; limit: number }, actor: Actor): Promise<Page<string>> {
  const order: Order = filter.filedFrom || filter.filedTo ? 'filed' : 'newest'
  const { name, text, values } = statement(tenantHere(), limit + 1, await piecesOf(db, filter, actor, undefined), order, cursor === undefined ? null : placeOf(cursor, order))
  const { rows } = await db.app.query<{ id: string; sortAt: Date | null }>({ name: statementName('ids', name), text: `SELECT r.id, r."sortAt" FROM (${text}) r`, values })
  const { data, page } = pageOf(rows, limit, ({ id, sortAt }) => writtenPlace(order, id, sortAt))
  return { data: data.map(({ id }) => id), page }
}

async function count(db: Db, pieces: readonly Piece[], order: Order): Promise<Total> {
  const { name, text, values } = statement(tenantHere(), MOST_COUNTED + 1, pieces, order, null)
  const { rows: [row] } = await db.app.query<{ count: number }>({ name: statementName('count', name), text: `SELECT count(*)::int AS count FROM (${text}) r`, values })
  return { count: Math.min(row!.count, MOST_COUNTED), more: row!.count > MOST_COUNTED }
}

/** How many there are, up to `most`. */
export async function countUpTo(db: Db, filter: ListFilter, actor: Actor, most: number, keyring?: Keyring): Promise<number> {
  const { name, text, values } = statement(tenantHere(), most, await piecesOf(db, filter, actor, keyring), 'newest', null)
  const { rows: [row] } = await db.app.query<{ count: number }>({ name: statementName('count', name), text: `SELECT count(*)::int AS count FROM (${text}) r`, values })
  return row!.count
}

/** The narrowest first, as far as one can tell: the first that can be read instead of the whole is. */
async function piecesOf(db: Db, filter: ListFilter, actor: Actor, keyring: Keyring | undefined): Promise<Piece[]> {
  const found = filter.q === undefined ? [] : await hits(db, keyring, filter.q, actor)
  return [
    ...found.map(({ name, value, sql, ids }) => ({ name, value, sql, ...(ids && { instead: { ids } }) })),
    ...(filter.campaign === undefined ? [] : [ofCampaign(await campaignId(db, filter.campaign))]),
    ...await scope(db, filter, actor),
    ...filters(filter, actor),
  ]
}

/** A clock of a request that has run out, of whatever step. */
const OVERDUE = `SELECT d."requestId" AS id FROM deadline d WHERE d."tenantId" = $1 AND d."closedAt" IS NULL AND d."stoodAt" IS NULL AND d."dueAt" < (SELECT wishwall_now())`

function filters({ state, kind, item, overdue, externalRef, review, filedFrom, filedTo }: ListFilter, actor: Actor): Piece[] {
  const pieces: Piece[] = review === undefined ? [] : [ofReview(review)]
  if (externalRef !== undefined) {
    pieces.push({ name: 'ref', sql: (p) => `r."externalRef" = ${p}`, value: externalRef })
    pieces.push({ name: 'client', sql: (p) => `r."filerClientId" = ${p}::uuid`, value: actor.kind === 'system' ? null : actor.clientId })
  }
  if (overdue !== undefined) {
    pieces.push({
      name: 'overdue', value: overdue, sql: (p) => `${p}::bool = EXISTS (${OVERDUE} AND d."requestId" = r.id)`,
      ...(overdue && { instead: { ids: (p) => `${OVERDUE} AND ${p}::bool` } }),
    })
  }
  if (filedFrom !== undefined) pieces.push({ name: 'from', sql: (p) => `r."filedAt" >= ${p}::timestamptz`, value: filedFrom })
  if (filedTo !== undefined) pieces.push({ name: 'to', sql: (p) => `r."filedAt" < ${p}::timestamptz`, value: filedTo })
  const span = filedFrom !== undefined || filedTo !== undefined || externalRef !== undefined
  if (item !== undefined) pieces.push(ofItems('item', 'i.code', item, !span))
  if (kind) pieces.push({ ...ofItems('kind', 'i.kind', kind, !span && item === undefined), sql: (p) => `r.kind = ANY (${p}::text[])` })
  if (state?.length === 1) pieces.push({ name: 'state', sql: (p) => `r.state = ${p}`, value: state[0] })
  else if (state) pieces.push({ name: 'states', sql: (p) => `r.state = ANY (${p}::text[])`, value: state, ...(!span && { instead: { keys: (p: string) => `SELECT unnest(${p}::text[]) AS state ON r.state = k.state` } }) })
  return pieces
}

/** One list, by an index of its own. */
const ofCampaign = (id: string): Piece => ({
  name: 'campaign', value: id, sql: (p) => `r."campaignId" = ${p}::uuid`, instead: { keys: (p) => `SELECT ${p}::uuid AS id ON r."campaignId" = k.id` },
})

/** 审核: few versions of few items. */
export const ofReview = (review: boolean): Piece => ({ name: 'review', value: review, sql: (p) => `${p}::bool = EXISTS (SELECT FROM item i WHERE i."tenantId" = $1 AND i.id = r."itemId" AND i.review)` })

/** Versions of an item, or all items of a kind: few, and requests have an index by them. */
function ofItems(name: string, column: string, value: string | string[], leads: boolean): Piece {
  const is = (p: string) => (Array.isArray(value) ? `${column} = ANY (${p}::text[])` : `${column} = ${p}`)
  return {
    name, value,
    sql: (p) => `r."itemId" IN (SELECT i.id FROM item i WHERE i."tenantId" = $1 AND ${is(p)})`,
    ...(leads && { instead: { keys: (p: string) => `SELECT i.id FROM item i WHERE i."tenantId" = $1 AND ${is(p)} ON r."itemId" = k.id` } }),
  }
}

async function scope(db: Db, { node, within = 'subtree', mine, filedFrom, filedTo, ...finer }: ListFilter, actor: Actor): Promise<Piece[]> {
  if (actor.kind === 'app') return [{ name: 'app', sql: (p) => `r."filerClientId" = ${p}::uuid AND r."filerId" IS NULL`, value: actor.clientId }]
  if (actor.kind === 'system') return []
  const paths = actor.duties.filter((duty) => duty.organisationId === null && duty.capabilities.includes('view')).map(({ path }) => path)
  const own = mine || (paths.length === 0 && node === undefined) ? [ownPiece(actor, typeof mine === 'object' ? mine : typeof mine === 'string' ? [mine] : undefined)] : []
  if (node === undefined && own.length > 0) return own
  const spans = filedFrom !== undefined || filedTo !== undefined
  if (node === undefined) {
    const sight = paths.length === 1 ? await subtree(db, paths[0]!, { spans }) : { name: 'paths', sql: (p: string) => `EXISTS (SELECT FROM unnest(${p}::text[]) u WHERE starts_with(r.path, u))`, value: paths }
    return [sight, ...complained(actor), ...(tells(finer) ? [discreet(actor)] : [])]
  }
  const place = await findNode(db, node)
  if (!place || !(mine || paths.some((path) => covers(path, place.path)))) {
    throw new Problem('not-found', { errors: [{ pointer: '/query/node', message: says('没有这个地点', 'No such node') }] })
  }
  const guard = !mine && (tells(finer) || within === 'node' || !isCommunity(place.path)) ? [discreet(actor)] : []
  if (within === 'node') return [...own, { name: 'at', sql: (p) => `r."responsibleNodeId" = ${p}::uuid`, value: place.id }, ...complained(actor), ...guard]
  return [...own, await subtree(db, place.path, { spans }), ...complained(actor), ...guard]
}

/** What is withheld of a confidential matter (domain/view.ts) is not told by a filter either. */
const tells = ({ item, review, campaign }: ListFilter): boolean => item !== undefined || review !== undefined || campaign !== undefined

/** Confidential matters are left out, but for who may dispatch them or has filed them. */
const discreet = (actor: PersonActor): Piece => ({
  name: 'discreet',
  sql: (p) => `(NOT ${secretOf('r')} OR r."filerId" = (${p}::jsonb ->> 'person')::uuid OR EXISTS (SELECT FROM jsonb_array_elements_text(${p}::jsonb -> 'paths') u WHERE starts_with(r.path, u)))`,
  value: JSON.stringify({ person: actor.id, paths: actor.duties.filter(({ organisationId, capabilities }) => organisationId === null && capabilities.includes('dispatch')).map(({ path }) => path) }),
})

/** 被反映人 does not see what is said about him in the list of his place either. */
const complained = (actor: PersonActor): Piece[] => [{
  name: 'respondent',
  sql: (p) => `r."respondentId" IS DISTINCT FROM (${p}::jsonb ->> 'person')::uuid AND (r."respondentOrganisationId" IS NULL OR NOT ${p}::jsonb -> 'organisations' ? r."respondentOrganisationId"::text)`,
  value: partyOf(actor),
}]

export const partyOf = (actor: PersonActor): string => JSON.stringify({
  person: actor.id,
  organisations: actor.duties.flatMap(({ organisationId, capabilities }) => (organisationId !== null && capabilities.includes('handle') ? [organisationId] : [])),
})

const OWN: Record<Mine, (p: string) => string[]> = {
  filed: (p) => [`SELECT f.id FROM request f WHERE f."tenantId" = $1 AND f."filerId" = (${p}::jsonb ->> 'person')::uuid`],
  assigned: (p) => ['personId', 'memberId'].map((column) =>
    `SELECT s."requestId" AS id FROM assignment s WHERE s."tenantId" = $1 AND s.status = 'active' AND s."${column}" = (${p}::jsonb ->> 'person')::uuid`),
  organisation: (p) => [`SELECT s."requestId" AS id FROM (SELECT jsonb_array_elements_text(${p}::jsonb -> 'organisations')::uuid AS id) o
    CROSS JOIN LATERAL (SELECT s."requestId" FROM assignment s WHERE s."tenantId" = $1 AND s.status = 'active' AND s."organisationId" = o.id) s`],
}

/** Of a parameter that holds `partyOf`. */
export const ownIds = (kinds: readonly Mine[], p: string): string => kinds.flatMap((kind) => OWN[kind](p)).join(' UNION ALL ')

/** What the actor filed, has been given, or those he acts for have. */
export function ownPiece(actor: PersonActor, kinds: readonly Mine[] = ['filed', 'assigned', 'organisation']): Piece {
  const ids = (p: string) => ownIds(kinds, p)
  return { name: `own${kinds.map((kind) => kind[0]).join('')}`, sql: (p) => `r.id IN (${ids(p)})`, value: partyOf(actor), instead: { ids } }
}
