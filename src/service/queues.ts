import type { Actor, PersonActor } from '../domain/actor.ts'
import type { Capability, State } from '../domain/machine.ts'
import { DEFAULT_POLICY } from '../domain/policy.ts'
import { BY_ASSIGNMENT, BY_CAPABILITY, QUEUE_NAMES, stepsOf, type Queue } from '../domain/queues.ts'
import { view, type RequestView } from '../domain/view.ts'
import { pageOf, type Page } from './cursor.ts'
import { tenantHere, type Db } from './db.ts'
import { ofReview, ownIds, ownPiece, partyOf, type SortedRow, type Total } from './list.ts'
import { TITLE, placeOf, statement, statementName, type Piece } from './list-query.ts'
import { FACTS, factsOf } from './load.ts'
import { secretOf } from './notice-columns.ts'
import { reach, within } from './reach.ts'
import { tenant } from './tenants.ts'

/** Counted up to here. */
const MOST = 100

/** How much waits for the actor, queue by queue; an app by its own token has none. */
export async function countQueues(db: Db, actor: Actor): Promise<Record<Queue, Total>> {
  return Object.fromEntries(await Promise.all(QUEUE_NAMES.map(async (queue) => [queue, await countOf(db, queue, actor)] as const))) as Record<Queue, Total>
}

async function countOf(db: Db, queue: Queue, actor: Actor): Promise<Total> {
  const pieces = actor.kind === 'person' ? await piecesOf(db, queue, actor) : undefined
  if (!pieces) return { count: 0, more: false }
  const { name, text, values } = statement(tenantHere(), MOST + 1, pieces, 'newest', null)
  const { rows: [row] } = await db.app.query<{ count: number }>({ name: statementName('count', queue, name), text: `SELECT count(*)::int AS count FROM (${text}) r`, values })
  return { count: Math.min(row!.count, MOST), more: row!.count > MOST }
}

/** What waits in a queue, newest first. @throws Problem cursor-unusable */
export async function listQueue(db: Db, queue: Queue, { limit, cursor }: { limit: number; cursor?: string | undefined }, actor: Actor): Promise<Page<RequestView>> {
  const pieces = actor.kind === 'person' ? await piecesOf(db, queue, actor) : undefined
  const after = cursor === undefined ? null : placeOf(cursor, 'newest')
  if (!pieces) return { data: [], page: { nextCursor: null, hasMore: false } }
  const { name, text, values } = statement(tenantHere(), limit + 1, pieces, 'newest', after)
  const { rows } = await db.app.query<SortedRow>({ name: statementName('queue', queue, name), text: `SELECT ${FACTS} FROM (${text}) r ${TITLE} ORDER BY r.id DESC`, values })
  const { data, page } = pageOf(rows, limit, ({ id }) => id)
  return { data: (await factsOf(db, data.map(({ sortAt: _, ...row }) => row))).map((facts) => view(facts, actor)), page }
}

/** @returns undefined when nothing can ever be in it */
async function piecesOf(db: Db, queue: Queue, actor: PersonActor): Promise<Piece[] | undefined> {
  if (isIn(queue, BY_CAPABILITY)) return byCapability(db, queue, actor)
  if (isIn(queue, BY_ASSIGNMENT)) return [ownPiece(actor, ['assigned', 'organisation']), { name: 'state', sql: (p) => `r.state = ${p}`, value: BY_ASSIGNMENT[queue] }]
  if (queue === 'returned') return [ownPiece(actor, ['filed']), { name: 'state', sql: (p) => `r.state = ${p}`, value: 'returned' }]
  return queue === 'to_approve' ? asked(db, actor) : late(db, actor, queue)
}

const isIn = <T extends object>(queue: Queue, table: T): queue is Queue & keyof T => Object.hasOwn(table, queue)

/** Nobody decides on a complaint about himself. */
const notAboutMe = (p: string): string => `r."respondentId" IS DISTINCT FROM (${p}::jsonb ->> 'person')::uuid
  AND (r."respondentOrganisationId" IS NULL OR NOT ${p}::jsonb -> 'organisations' ? r."respondentOrganisationId"::text)`

async function byCapability(db: Db, queue: keyof typeof BY_CAPABILITY, actor: PersonActor): Promise<Piece[] | undefined> {
  const { state, capability, review }: { state: State; capability: Capability; review?: boolean } = BY_CAPABILITY[queue]
  const area = await reach(db, actor, capability)
  if (area.mine.length === 0) return undefined
  return [
    { name: 'state', sql: (p) => `r.state = ${p}`, value: state },
    ...(review === undefined ? [] : [ofReview(review)]),
    { name: 'reach', sql: (p) => within('r.path', `${p}::jsonb`), value: JSON.stringify(area) },
    { name: 'party', sql: (p) => notAboutMe(p) + (capability === 'dispatch' ? '' : ` AND NOT ${secretOf('r')}`) + (queue === 'to_follow_up' ? FOLLOWED_BY_ANOTHER(p) : ''), value: partyOf(actor) },
  ]
}

/** 回访由承办人以外的人做; what is impossible waits for dispatch first. */
const FOLLOWED_BY_ANOTHER = (p: string): string => ` AND r.confirmed IS DISTINCT FROM false AND NOT EXISTS (SELECT FROM assignment s
  WHERE s."tenantId" = $1 AND s."requestId" = r.id AND s.status = 'done' AND (s."personId" = (${p}::jsonb ->> 'person')::uuid OR s."memberId" = (${p}::jsonb ->> 'person')::uuid))`

/** 终审: 退单 asked and answered so often in this cycle that the dispatcher answers no more. */
const FOR_ADJUDICATION = `(SELECT count(*) FROM ask b WHERE b."tenantId" = $1 AND b."requestId" = k."requestId" AND b.kind = 'return' AND b.cycle = k.cycle AND b.status IN ('granted', 'denied'))
  >= (SELECT COALESCE((p.body ->> 'returnsMax')::int, ${DEFAULT_POLICY.returnsMax}) FROM policy p WHERE p."tenantId" = $1 AND p.id = r."policyId")`

/**
 * 待我审批: a return by the nearest dispatcher, at last by the nearest approver above the place; the other asks by the nearest
 * approver above who asked; never one's own.
 */
async function asked(db: Db, actor: PersonActor): Promise<Piece[] | undefined> {
  const [approve, dispatch] = await Promise.all([reach(db, actor, 'approve'), reach(db, actor, 'dispatch')])
  if (approve.mine.length === 0 && dispatch.mine.length === 0) return undefined
  const ids = (p: string) => `SELECT k."requestId" AS id FROM ask k CROSS JOIN LATERAL (SELECT * FROM request r WHERE r."tenantId" = $1 AND r.id = k."requestId" LIMIT 1) r
    WHERE k."tenantId" = $1 AND k.status = 'open' AND k."personId" IS DISTINCT FROM (${p}::jsonb ->> 'person')::uuid AND ${notAboutMe(p)} AND NOT ${secretOf('r')}
      AND CASE WHEN k.kind = 'return' AND ${FOR_ADJUDICATION} THEN ${within('r.path', `${p}::jsonb -> 'approve'`, { above: true })}
        WHEN k.kind = 'return' THEN ${within('r.path', `${p}::jsonb -> 'dispatch'`)} ELSE ${within('k.path', `${p}::jsonb -> 'approve'`, { above: true })} END`
  return [{ name: 'asked', sql: (p) => `r.id IN (${ids(p)})`, instead: { ids }, value: JSON.stringify({ ...JSON.parse(partyOf(actor)) as object, approve, dispatch }) }]
}

/** So many clocks that are the actor's are collected. */
const CLOCKS = 1_000
const LATE = ['dispatch', 'publish', 'follow_up', 'approve'] as const satisfies readonly Capability[]

const tonight = (p: string): string => `(date_trunc('day', (SELECT wishwall_now()) AT TIME ZONE (${p}::jsonb ->> 'zone')) + interval '1 day') AT TIME ZONE (${p}::jsonb ->> 'zone')`

/** What the actor is late with, or will be tonight: the clocks of steps that are his. */
async function late(db: Db, actor: PersonActor, queue: 'overdue' | 'due_today'): Promise<Piece[]> {
  const [{ settings: { zone } }, ...areas] = await Promise.all([tenant(db), ...LATE.map((capability) => reach(db, actor, capability))])
  const held = LATE.map((capability, index) => ({ capability, area: areas[index]! })).filter(({ area }) => area.mine.length > 0)
  const when = (p: string) => queue === 'overdue' ? 'd."dueAt" < (SELECT wishwall_now())' : `d."dueAt" >= (SELECT wishwall_now()) AND d."dueAt" < ${tonight(p)}`
  const open = `d."tenantId" = $1 AND d."closedAt" IS NULL AND d."stoodAt" IS NULL`
  const ids = (p: string) => [
    `SELECT d."requestId" AS id FROM (${ownIds(['assigned', 'organisation'], p)}) s
      CROSS JOIN LATERAL (SELECT d."requestId" FROM deadline d WHERE ${open} AND d."requestId" = s.id AND d.step IN (${steps('assignee', 'co')}) AND ${when(p)} LIMIT 1) d`,
    ...held.map(({ capability }) => `(SELECT d."requestId" AS id FROM deadline d
      CROSS JOIN LATERAL (SELECT * FROM request r WHERE r."tenantId" = $1 AND r.id = d."requestId" LIMIT 1) r
      WHERE ${open} AND d.step IN (${steps(capability)}) AND ${when(p)} AND ${within('r.path', `${p}::jsonb -> '${capability}'`)} AND ${notAboutMe(p)}
        ${capability === 'dispatch' ? '' : `AND NOT ${secretOf('r')}`} ORDER BY d."dueAt" LIMIT ${CLOCKS})`),
  ].join(' UNION ALL ')
  const value = JSON.stringify({ ...JSON.parse(partyOf(actor)) as object, zone, ...Object.fromEntries(held.map(({ capability, area }) => [capability, area])) })
  return [{ name: [queue, ...held.map(({ capability }) => capability)].join('_'), sql: (p) => `r.id IN (${ids(p)})`, instead: { ids }, value }]
}

const steps = (...parties: string[]): string => parties.flatMap(stepsOf).map((step) => `'${step}'`).join(', ')
