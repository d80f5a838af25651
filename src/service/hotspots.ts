import type { Actor } from '../domain/actor.ts'
import { Problem, says } from '../domain/problems.ts'
import { tenantHere, type Db } from './db.ts'
import { conditions, scopeOf, type Asked, type Place } from './figured.ts'
import type { Keyring } from './keyring.ts'
import { before, periodOf, type Days, type Period } from './periods.ts'
import { keyed } from './rate-groups.ts'
import { tenant } from './tenants.ts'

/** 高发和反复: where most is asked for, and what comes again (S1: 举一反三、以点带面). Confidential matters are counted as one service. */

interface Where {
  /** Code. */
  node: string
  item: string
}

export interface Hotspot {
  node: Omit<Place, 'id'>
  item: { code: string; name: string }
  count: number
  /** In as many days just before. */
  before: number
}

export interface HotspotsQuery extends Days {
  node?: string | undefined
  item?: string | undefined
  /** Code of a level: places are counted together there. */
  level?: string | undefined
  limit: number
}

export interface Hotspots {
  node: Place | null
  from: string
  to: string
  before: { from: string; to: string }
  data: Hotspot[]
}

/** Places and services with most requests filed, against the time before. @throws Problem not-found, validation-failed for a level the tenant does not have */
export async function hotspots(db: Db, keyring: Keyring, { node, item, level, limit, ...days }: HotspotsQuery, actor: Actor): Promise<Hotspots> {
  const [scope, period, atLevel] = await Promise.all([scopeOf(db, node, actor), periodOf(db, days), level === undefined ? undefined : nodesAt(db, level)])
  const earlier = await before(db, period)
  const asked = { scope, item, bases: ['filed'] as const }
  const [now, then] = await Promise.all([perPlace(db, { ...asked, period }, atLevel), perPlace(db, { ...asked, period: earlier }, atLevel)])
  const most = [...now].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1)).slice(0, limit).map(([key, count]) => ({ ...where(key), count, before: then.get(key) ?? 0 }))
  return { node: scope.node, ...span(period), before: span(earlier), data: await named(db, keyring, most) }
}

const span = ({ from, to }: Period) => ({ from, to })
const where = (key: string): Where => {
  const [node, item] = key.split(' ') as [string, string]
  return { node, item }
}

/** Node and item codes have no blanks. */
async function perPlace(db: Db, asked: Asked, atLevel: ReadonlySet<string> | undefined): Promise<Map<string, number>> {
  const { from, where: holds, values } = conditions(asked)
  const { rows } = await db.app.query<{ path: string; item: string; count: number }>({
    values, text: `SELECT f.path, f.item, count(*)::int AS count FROM ${from} WHERE ${holds} GROUP BY f.path, f.item`,
  })
  const sums = new Map<string, number>()
  for (const { path, item, count } of rows) {
    const codes = path.split('/').filter(Boolean)
    const code = atLevel ? codes.find((one) => atLevel.has(one)) : codes.at(-1)
    if (code !== undefined) sums.set(`${code} ${item}`, (sums.get(`${code} ${item}`) ?? 0) + count)
  }
  return sums
}

async function nodesAt(db: Db, level: string): Promise<Set<string>> {
  const { settings } = await tenant(db)
  if (!settings.levels.some(({ code }) => code === level)) throw new Problem('validation-failed', { errors: [{ pointer: '/query/level', code: 'unknown', message: says('没有这个层级', 'No such level') }] })
  const { rows } = await db.app.query<{ code: string }>({ name: 'nodes_at_level', text: `SELECT code FROM node WHERE "tenantId" = $1 AND level = $2`, values: [tenantHere(), level] })
  return new Set(rows.map(({ code }) => code))
}

async function named<T extends Where>(db: Db, keyring: Keyring, rows: readonly T[]): Promise<(Omit<T, 'node' | 'item'> & Pick<Hotspot, 'node' | 'item'>)[]> {
  const [nodes, items] = await Promise.all([keyed(db, keyring, 'node', rows.map(({ node }) => node)), keyed(db, keyring, 'item', rows.map(({ item }) => item))])
  const called = (found: typeof nodes, code: string) => ({ code, name: found.get(code)?.name ?? code })
  return rows.map((row) => ({ ...row, node: called(nodes, row.node), item: called(items, row.item) }))
}

export interface Recurring {
  node: Omit<Place, 'id'>
  item: { code: string; name: string }
  /** Filed in the period. */
  count: number
  /** Of these, so soon after another. */
  again: number
  firstAt: Date
  lastAt: Date
}

export interface RecurringQuery extends Days {
  node?: string | undefined
  item?: string | undefined
  /** Again within so many days. */
  within?: number | undefined
  limit: number
}

/** The same service at the same place again within some days; the one before may lie before the period. @throws Problem not-found, validation-failed */
export async function recurring(db: Db, keyring: Keyring, { node, item, within = 30, limit, ...days }: RecurringQuery, actor: Actor): Promise<{ node: Place | null; from: string; to: string; within: number; data: Recurring[] }> {
  const [scope, period] = await Promise.all([scopeOf(db, node, actor), periodOf(db, days)])
  const earlier = { ...period, since: new Date(period.since.getTime() - within * 86_400_000) }
  const { from, where: holds, values } = conditions({ scope, item, bases: ['filed'], period: earlier })
  const { rows } = await db.app.query<{ path: string; item: string; count: number; again: number; firstAt: Date; lastAt: Date }>({
    values: [...values, period.since, within, limit],
    text: `SELECT s.path, s.item, count(*)::int AS count, count(*) FILTER (WHERE s.soon)::int AS again, min(s.at) AS "firstAt", max(s.at) AS "lastAt" FROM (
        SELECT f.path, f.item, f.at, f.at - lag(f.at) OVER (PARTITION BY f.path, f.item ORDER BY f.at) <= $${values.length + 2}::int * interval '24 hours' AS soon
        FROM ${from} WHERE ${holds} AND f.item <> 'confidential') s
      WHERE s.at >= $${values.length + 1}::timestamptz GROUP BY s.path, s.item HAVING count(*) FILTER (WHERE s.soon) > 0
      ORDER BY again DESC, s.path, s.item LIMIT $${values.length + 3}`,
  })
  const data = await named(db, keyring, rows.map(({ path, ...row }) => ({ ...row, node: path.split('/').at(-2) ?? '' })))
  return { node: scope.node, ...span(period), within, data }
}

