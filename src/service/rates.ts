import type { Actor } from '../domain/actor.ts'
import { dayNumber, dayText, weekdayOf } from '../domain/calendar-day.ts'
import { RATES, RATE_CODES, figures, grouped, type Figure, type RateCode, type Tally } from '../domain/rates.ts'
import type { Db } from './db.ts'
import type { Keyring } from './keyring.ts'
import { excluded, type Exclusion } from './rate-requests.ts'
import { conditions, scopeOf, type Asked, type Place, type Scope } from './figured.ts'
import { parted, periodOf, type Days, type Period } from './periods.ts'
import { firstOf, isAddedUp, monthly, type MonthRow } from './rate-months.ts'
import { keyed, type Keyed } from './rate-groups.ts'

/** 三率: counts of the facts, put together by the definitions of domain/rates.ts. */

export interface RatesQuery extends Days {
  /** Id or code. */
  node?: string | undefined
  /** Code. */
  item?: string | undefined
  /** Id of a person or an organisation. */
  party?: string | undefined
}

interface Answer {
  node: Place | null
  from: string
  to: string
}

export interface RatesAnswer extends Answer {
  rates: Figure[]
  groups: (Keyed & { rates: Figure[] })[]
  /** 剔除, the newest first. */
  exclusions: { count: number; data: Exclusion[] }
}

export type Grouping = 'node' | 'item' | 'party'

/** @throws Problem not-found for a node that is not under the actor's watch, validation-failed for days in the wrong order */
export async function rates(db: Db, keyring: Keyring, { node, item, party, group, ...days }: RatesQuery & { group?: Grouping | undefined }, actor: Actor): Promise<RatesAnswer> {
  const [scope, period] = await Promise.all([scopeOf(db, node, actor), periodOf(db, days)])
  const asked: Asked = { scope, period, bases: BASES, item, party }
  const [parts, whole] = await Promise.all([group && tallies(db, asked, PARTED_BY[group]), group === undefined || group === 'party' ? tallies(db, asked) : undefined])
  // Each is at one place and of one service, so that these add up to all; of several parties, or of none, it may be too.
  const all = whole ?? parts ?? []
  const [groups, exclusions] = await Promise.all([
    group && parts ? groupsOf(db, keyring, asked, group, parts) : [],
    all.some((tally) => tally.excluded) ? excluded(db, asked, actor) : { count: 0, data: [] },
  ])
  return { ...answer(scope, period), rates: figures(all, party === undefined ? RATE_CODES : BY_PARTY), groups, exclusions }
}

const PARTED_BY = { node: 'path', item: 'item', party: 'party' } as const

const BASES = [...new Set(RATE_CODES.map((code) => RATES[code].base))]
/** What can be told of a party. */
const BY_PARTY = RATE_CODES.filter((code) => RATES[code].byParty)

const answer = ({ node }: Scope, { from, to }: Period): Answer => ({ node, from, to })

/** Places down to one below the lowest asked for: what hangs further down is counted there. @param root the longest path asked for */
const below = (root: string): string => `left(f.path, length(${root}) + strpos(substr(f.path, length(${root}) + 1), '/'))`
const GROUP = { day: 'f.day', item: 'f.item', party: 'f."partyId"' } as const
type By = keyof typeof GROUP | 'path'

type Keys = Partial<Pick<MonthRow, 'item' | 'path' | 'party'> & { day: number }>

/**
 * Counts by how it turned out, and by one more thing if wanted: whole months past as they were added up, the days around them
 * one by one. A day within a month that was added up is the month's first. What a party had is read by its own index.
 */
async function tallies(db: Db, asked: Asked, by?: By, { monthly: months = by !== 'day' } = {}): Promise<(Tally & Keys)[]> {
  const summed = isAddedUp(asked.scope.roots, by === 'day' ? 'month' : by)
  if (!months || !summed || asked.party !== undefined || (by === 'party' && asked.item !== undefined)) return counted(db, asked, by)
  const { months: whole, rest } = await parted(db, asked.period)
  const [old, ...days] = await Promise.all([
    whole ? monthly(db, { trees: asked.scope.roots, months: whole, bases: asked.bases, item: asked.item }, by === 'day' ? 'month' : by) : [],
    ...rest.map((period) => counted(db, { ...asked, period }, by)),
  ])
  return [...old.map((row) => (by === 'day' ? { ...row, day: dayNumber(firstOf(row.month)) } : row)), ...days.flat()]
}

/** From the facts. */
async function counted(db: Db, asked: Asked, by?: By): Promise<(Tally & Keys)[]> {
  const { from, where, values } = conditions({ ...asked, eachParty: by === 'party' })
  const deepest = [...asked.scope.roots].sort((a, b) => b.length - a.length)[0]
  const key = by === 'path' ? below(`$${values.push(deepest)}::text`) : by && GROUP[by]
  const { rows } = await db.app.query<Tally & Keys>({
    values, text: `SELECT f.base, f.met, f.excluded, count(*)::int AS count${key === undefined ? '' : `, ${key} AS ${by}`} FROM ${from} WHERE ${where} GROUP BY f.base, f.met, f.excluded${key === undefined ? '' : ', 5'}`,
  })
  return rows
}

/** So many groups are told; those with most in them. */
const MOST_GROUPS = 200

async function groupsOf(db: Db, keyring: Keyring, { scope, party }: Asked, group: Grouping, rows: readonly (Tally & Keys)[]): Promise<RatesAnswer['groups']> {
  const sorted = grouped(rows, group === 'node' ? (row) => childOf(row.path!, scope) : (row) => row[group]!)
  const codes = group === 'party' || party !== undefined ? BY_PARTY : RATE_CODES
  const size = (rows: readonly Tally[]) => rows.reduce((sum, { count }) => sum + count, 0)
  const most = [...sorted].sort(([a, x], [b, y]) => size(y) - size(x) || (a < b ? -1 : 1)).slice(0, MOST_GROUPS)
  const names = await keyed(db, keyring, group, most.map(([key]) => key))
  return most.flatMap(([key, rows]) => (names.has(key) ? [{ ...names.get(key)!, rates: figures(rows, codes) }] : []))
}

/** The place next below on the way to a path, or the place itself. */
function childOf(path: string, { trees, node }: Scope): string | null {
  if (node === null && trees) return trees.find((tree) => path.startsWith(tree))?.split('/').at(-2) ?? null
  const tree = trees?.find((one) => path.startsWith(one)) ?? path.slice(0, path.indexOf('/') + 1)
  return path.slice(tree.length).split('/')[0] || (tree.split('/').at(-2) ?? null)
}

export type Step = 'day' | 'week' | 'month'

export interface Trend extends Answer {
  by: Step
  data: { from: string; to: string; rates: Figure[] }[]
}

/** One point for each day, week (from Monday) or month, also those in which nothing was counted. */
export async function trend(db: Db, { node, item, party, by = 'month', rate, ...days }: RatesQuery & { by?: Step | undefined; rate?: RateCode[] | undefined }, actor: Actor): Promise<Trend> {
  const [scope, period] = await Promise.all([scopeOf(db, node, actor), periodOf(db, days)])
  const codes = (rate ?? RATE_CODES).filter((code) => party === undefined || RATES[code].byParty)
  const bases = [...new Set(codes.map((code) => RATES[code].base))]
  const rows = await tallies(db, { scope, period, bases, item, party }, 'day', { monthly: by === 'month' })
  const points = grouped(rows, ({ day }) => beginning(Number(day), by))
  return { ...answer(scope, period), by, data: steps(period, by).map(({ key, ...step }) => ({ ...step, rates: figures(points.get(key) ?? [], codes) })) }
}

/** The day on which the day's step begins. */
const beginning = (day: number, by: Step): string => (by === 'day' ? dayText(day) : by === 'week' ? dayText(day - weekdayOf(day)) : `${dayText(day).slice(0, 8)}01`)

/** The first and the last are cut off where the period is. */
function steps({ from, to }: Period, by: Step): { key: string; from: string; to: string }[] {
  const found: { key: string; from: string; to: string }[] = []
  for (let day = Date.parse(`${from}T00:00:00Z`) / 86_400_000; dayText(day) <= to; day++) {
    const key = beginning(day, by)
    const last = found.at(-1)
    if (last?.key === key) last.to = dayText(day)
    else found.push({ key, from: dayText(day), to: dayText(day) })
  }
  return found
}
