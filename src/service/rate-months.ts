import type pg from 'pg'
import { dayText } from '../domain/calendar-day.ts'
import type { Base } from '../domain/rate-facts.ts'
import { tenantHere, type Db } from './db.ts'

/** 月计: facts added up by month, for the upper places with all below them: a year of a street is a few thousand rows instead of half a million. Of a small place the facts themselves are few. */

/** What of a row of `rate_fact` is added up. */
export interface Added {
  tenantId: string
  slot: number
  partyId: string | null
  day: number
  path: string
  base: Base
  item: string
  met: number
  excluded: boolean
}

const EVERYBODY = '00000000-0000-0000-0000-000000000000'
/** No service is called so. */
const ALL_ITEMS = '*'

/** Months counted through from year 0, so that they can be stepped. */
export const monthOf = (day: string): number => Number(day.slice(0, 4)) * 12 + Number(day.slice(5, 7)) - 1
/** The first day of a month. */
export const firstOf = (month: number): string => `${String(Math.floor(month / 12)).padStart(4, '0')}-${String((month % 12) + 1).padStart(2, '0')}-01`

/** Levels of the tree that are added up: the root and those next below it; of each party the root alone. */
const DEPTH = { everybody: 2, party: 1 }

const treesOf = (path: string, depth: number): string[] => [...path.matchAll(/\//g)].slice(0, depth).map(({ index }) => path.slice(0, index + 1))
const depthOf = (tree: string): number => tree.split('/').length - 1

/** Whether these places, or for `path` those next below, are added up. */
export const isAddedUp = (trees: readonly string[], by: MonthsBy | undefined): boolean =>
  trees.every((tree) => depthOf(tree) + (by === 'path' ? 1 : 0) <= (by === 'party' ? DEPTH.party : DEPTH.everybody))
const above = (tree: string): string => tree.slice(0, tree.lastIndexOf('/', tree.length - 2) + 1)

const WRITE = `
  WITH d AS MATERIALIZED (SELECT * FROM jsonb_to_recordset($1::jsonb) AS d("tenantId" uuid, path text, "partyId" uuid, month int, base text, item text, met int, excluded bool, "abovePath" text, count int)),
  fewer AS (UPDATE rate_month m SET count = m.count + d.count FROM d WHERE d.count < 0 AND m."tenantId" = d."tenantId" AND m.path = d.path COLLATE "C" AND m."partyId" = d."partyId"
    AND m.month = d.month AND m.base = d.base AND m.item = d.item AND m.met = d.met AND m.excluded = d.excluded)
  INSERT INTO rate_month AS m ("tenantId", path, "partyId", month, base, item, met, excluded, "abovePath", count) SELECT * FROM d WHERE d.count > 0
  ON CONFLICT ("tenantId", path, "partyId", month, base, item, met, excluded) DO UPDATE SET count = m.count + excluded.count`

/** In the transaction that writes the facts, and under the consumer's lock. */
export async function addUp(client: Pick<pg.PoolClient, 'query'>, gone: readonly Added[], come: readonly Added[]): Promise<void> {
  const sums = new Map<string, Record<string, unknown> & { count: number }>()
  for (const [rows, by] of [[gone, -1], [come, 1]] as const) {
    for (const { tenantId, partyId, day, path, base, item, met, excluded } of rows) {
      const month = monthOf(dayText(day))
      for (const tree of treesOf(path, partyId === null ? DEPTH.everybody : DEPTH.party)) {
        const row = { tenantId, path: tree, partyId: partyId ?? EVERYBODY, month, base, item: partyId === null ? item : ALL_ITEMS, met, excluded }
        const key = JSON.stringify(row)
        const sum = sums.get(key)
        if (sum) sum.count += by
        else sums.set(key, { ...row, abovePath: above(tree), count: by })
      }
    }
  }
  // In one order always: nobody waits for another in a ring.
  const changed = [...sums].filter(([, { count }]) => count !== 0).sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row)
  if (changed.length > 0) await client.query({ name: 'months_write', text: WRITE, values: [JSON.stringify(changed)] })
}

/** Adds a month up anew from its facts. */
export async function addUpAnew(client: Pick<pg.PoolClient, 'query'>, tenantId: string, month: number): Promise<void> {
  const days = [firstOf(month), firstOf(month + 1)].map((day) => Date.parse(`${day}T00:00:00Z`) / 86_400_000)
  await client.query({ name: 'months_empty', text: `UPDATE rate_month SET count = 0 WHERE "tenantId" = $1 AND month = $2 AND count <> 0`, values: [tenantId, month] })
  await client.query({
    name: 'months_anew', values: [tenantId, month, ...days, EVERYBODY, ALL_ITEMS],
    text: `INSERT INTO rate_month AS m ("tenantId", path, "partyId", month, base, item, met, excluded, "abovePath", count)
      SELECT f."tenantId", t.tree, COALESCE(f."partyId", $5::uuid) AS party, $2::int, f.base, CASE WHEN f."partyId" IS NULL THEN f.item ELSE $6::text END AS what, f.met, f.excluded,
        regexp_replace(t.tree, '[^/]*/$', ''), count(*)
      FROM rate_fact f CROSS JOIN LATERAL (SELECT array_to_string((string_to_array(f.path, '/'))[:n], '/') || '/' AS tree FROM generate_series(1, LEAST(cardinality(string_to_array(f.path, '/')) - 1, CASE WHEN f."partyId" IS NULL THEN ${DEPTH.everybody} ELSE ${DEPTH.party} END)) n) t
      WHERE f."tenantId" = $1 AND f.at IS NOT NULL AND f.day >= $3::int AND f.day < $4::int
      GROUP BY f."tenantId", t.tree, party, f.base, what, f.met, f.excluded
      ON CONFLICT ("tenantId", path, "partyId", month, base, item, met, excluded) DO UPDATE SET count = excluded.count`,
  })
}

export interface Months {
  /** Both within. */
  first: number
  last: number
}

export interface MonthRow {
  base: Base
  met: number
  excluded: boolean
  count: number
  month: number
  item: string
  path: string
  party: string
}

export type MonthsBy = 'month' | 'item' | 'path' | 'party'

const COLUMNS: Record<MonthsBy, string> = { month: 'm.month', item: 'm.item', path: 'm.path', party: 'm."partyId" AS party' }

/** @param by `path`: of the places next below, and what is of the place itself alone */
export async function monthly(db: Db, { trees, months: { first, last }, bases, item }: { trees: readonly string[]; months: Months; bases: readonly Base[]; item?: string | undefined }, by?: MonthsBy): Promise<MonthRow[]> {
  const values = [tenantHere(), trees, bases, ...(item === undefined ? [] : [item])]
  // The months are said, so that the plan is for as many as they are.
  const read = async (where: string, column: string | undefined): Promise<MonthRow[]> => (await db.app.query<MonthRow>({
    values,
    text: `SELECT m.base, m.met, m.excluded, sum(m.count)::int AS count${column === undefined ? '' : `, ${column}`} FROM rate_month m
      WHERE m."tenantId" = $1 AND ${where} AND m.month BETWEEN ${first} AND ${last} AND m.count > 0 AND m.base = ANY ($3::text[])${item === undefined ? '' : ' AND m.item = $4'}
      GROUP BY m.base, m.met, m.excluded${column === undefined ? '' : `, ${column.split(' AS ')[0]!}`}`,
  })).rows
  const own = `m.path = ANY ($2::text[]) AND m."partyId" ${by === 'party' ? '<>' : '='} '${EVERYBODY}'`
  if (by !== 'path') return read(own, by && COLUMNS[by])
  const [below, whole] = await Promise.all([read(`m."abovePath" = ANY ($2::text[]) AND m."partyId" = '${EVERYBODY}'`, COLUMNS.path), read(own, COLUMNS.path)])
  return [...below, ...whole.map((row) => ({
    ...row, count: below.filter((part) => above(part.path) === row.path && part.base === row.base && part.met === row.met && part.excluded === row.excluded).reduce((left, part) => left - part.count, row.count),
  })).filter(({ count }) => count > 0)]
}
