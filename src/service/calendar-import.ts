import type pg from 'pg'
import type { Actor } from '../domain/actor.ts'
import { NOTICED_YEARS } from '../domain/calendar-holidays.ts'
import { COLUMNS, findingsOf, flawsOf, noticeOf, TYPES, type Notice } from '../domain/calendar-notice.ts'
import { daysInWords, dayOf, type Calendar } from '../domain/calendar.ts'
import { Problem, type Finding, type ProblemCode } from '../domain/problems.ts'
import { WORKBOOK_REFUSALS, type NewSheet, type Sheet, type SheetRow, type WorkbookLimits, type WorkbookRefusal } from '../domain/sheet.ts'
import { account } from './audit.ts'
import { alone, between, keeper, orderCorrection, restated, type Started } from './calendar-changes.ts'
import { placeToKeep, shownPlace, type CalendarPlace } from './calendar-places.ts'
import { tenantHere, type Db } from './db.ts'
import type { Place } from './places.ts'
import { orderRescheduling } from './reschedulings.ts'

/** Reads and writes workbooks: outside/workbook.ts. */
export interface WorkbookPort {
  read(bytes: Buffer, limits: WorkbookLimits): Promise<readonly Sheet[] | WorkbookRefusal>
  write(sheets: readonly NewSheet[]): Promise<Buffer>
}

/** A year has some 35 dated days; what is much more is something else. */
const LIMITS: WorkbookLimits = { bytes: 4 * 2 ** 20, rows: 400, columns: 40 }

export interface ImportOptions {
  /** Id or code; the root when left out. */
  node?: string | undefined
  /** Checks and tells, and changes nothing. */
  dryRun?: boolean | undefined
  /** Open deadlines too, where the year had been published before. */
  recompute?: boolean | undefined
}

export interface Imported extends Started {
  node: Place
  year: number
  dryRun: boolean
  /** The year was not published here before: what rested on it is computed again. */
  published: boolean
  holidays: number
  /** 调休上班. */
  workdays: number
  /** Days that become, or cease to be, workdays. */
  changes: { date: string; name: string | null; workday: boolean }[]
  /** Open deadlines that rest on unpublished days at the place and below. */
  provisional: number
}

/** @throws Problem node-unknown, forbidden, validation-failed with the entry and field, overloaded */
export const importNotice = (db: Db, notice: Notice, options: ImportOptions, actor: Actor): Promise<Imported> =>
  imported(db, options, actor, (thisYear) => {
    const findings = findingsOf(flawsOf(notice, thisYear))
    return findings.length > 0 ? { findings } : { notice }
  })

/** @throws Problem as `importNotice`, with row and column; file-type-unsupported, file-unreadable, body-too-large with `reason` */
export async function importWorkbook({ db, workbooks }: { db: Db; workbooks: WorkbookPort }, bytes: Buffer, options: ImportOptions, actor: Actor): Promise<Imported> {
  await placeToKeep(db, options.node, actor, '/query/node') // strangers make us unpack nothing
  const sheets = await workbooks.read(bytes, LIMITS)
  if (typeof sheets === 'string') throw new Problem(REFUSED[sheets], { detail: WORKBOOK_REFUSALS[sheets], facts: { reason: sheets } })
  return imported(db, options, actor, (thisYear) => readSheets(sheets, thisYear))
}

const REFUSED = {
  'not-a-workbook': 'file-type-unsupported', 'old-or-locked': 'file-type-unsupported', macros: 'file-type-unsupported',
  encoding: 'file-unreadable', damaged: 'file-unreadable', 'too-big': 'body-too-large', 'too-many-rows': 'body-too-large',
} as const satisfies Record<WorkbookRefusal, ProblemCode>

type Read = { notice: Notice } | { findings: Finding[] }

/** The sheet that has the columns; where none has, what is wrong with the first. */
function readSheets(sheets: readonly { rows: readonly SheetRow[] }[], thisYear: number): Read {
  const read = sheets.map(({ rows }) => noticeOf(rows, thisYear))
  const written = sheets.findIndex(({ rows }) => rows.some(({ cells }) => cells.includes(COLUMNS.date)))
  return read[Math.max(written, 0)] ?? noticeOf([], thisYear)
}

/** More than so many are not told at once. */
const MOST_FINDINGS = 20

async function imported(db: Db, { node, dryRun = false, recompute = false }: ImportOptions, actor: Actor, read: (thisYear: number) => Read): Promise<Imported> {
  const place = await placeToKeep(db, node, actor, '/query/node')
  return alone(db, async (client, standing, now) => {
    const before = standing.at(place.path)
    const result = read(Number(dayOf(before, now).slice(0, 4)))
    if ('findings' in result) throw new Problem('validation-failed', { errors: result.findings.slice(0, MOST_FINDINGS) })
    const { notice: { year, days: unsorted } } = result
    const days = unsorted.map(({ name, date, isOffDay }) => ({ name, date, isOffDay })).sort((a, b) => (a.date < b.date ? -1 : 1))
    const published = !NOTICED_YEARS.has(year) && ![...standing.stated].some(([path, { notices }]) => place.path.startsWith(path) && notices.some((known) => known.year === year))
    const after = restated(standing, place.path, (stated) => ({ ...stated, notices: [...stated.notices.filter((known) => known.year !== year), { year, days }] })).at(place.path)
    const told = {
      node: shownPlace(place), year, dryRun, published,
      holidays: days.filter(({ isOffDay }) => isOffDay).length, workdays: days.filter(({ isOffDay }) => !isOffDay).length,
      changes: changesIn(before, after, year), provisional: await provisionalAt(client, place),
    }
    if (dryRun) return { ...told, operation: null }
    await client.query({
      name: 'calendar_set_year',
      text: `INSERT INTO calendar_year ("tenantId", "nodeId", year, days, "personId", "publishedAt", "changedAt") VALUES ($1, $2, $3, $4, $5, wishwall_now(), wishwall_now())
        ON CONFLICT ("tenantId", "nodeId", year) DO UPDATE SET days = excluded.days, "personId" = excluded."personId", "changedAt" = excluded."changedAt"`,
      values: [tenantHere(), place.id, year, JSON.stringify(days), keeper(actor)],
    })
    await account(client, actor, { action: 'calendar.changed', object: 'node', objectId: place.id, details: { what: 'year', year, recompute } })
    return { ...told, operation: await ordered(client, { place, after, year, published, recompute }, actor) }
  })
}

/** A notice reaches back into the last week of the year before. */
const reach = (year: number): [first: string, last: string] => [`${year - 1}-12-25`, `${year}-12-31`]

async function ordered(client: pg.PoolClient, { place, after, year, published, recompute }: { place: CalendarPlace; after: Calendar; year: number; published: boolean; recompute: boolean }, actor: Actor): Promise<string | null> {
  if (recompute) return orderCorrection(client, place, after, reach(year), actor)
  if (!published) return null
  return orderRescheduling(client, { nodeId: place.id, reason: 'calendar', scope: 'provisional', ...between(after, ...reach(year)), personId: keeper(actor) })
}

function changesIn(before: Calendar, after: Calendar, year: number): Imported['changes'] {
  const earlier = daysInWords(before, ...reach(year))
  return daysInWords(after, ...reach(year)).filter(({ workday }, index) => workday !== earlier[index]!.workday).map(({ date, name, workday }) => ({ date, name, workday }))
}

async function provisionalAt(client: pg.PoolClient, { path }: CalendarPlace): Promise<number> {
  const { rows } = await client.query<{ count: number }>({
    name: 'calendar_provisional',
    text: `SELECT count(*)::int AS count FROM deadline d JOIN request r ON r."tenantId" = d."tenantId" AND r.id = d."requestId"
      WHERE d."tenantId" = $1 AND d.provisional AND d."closedAt" IS NULL AND starts_with(r.path, $2)`,
    values: [tenantHere(), path],
  })
  return rows[0]!.count
}

/** What to fill in, with one line of each type for a start. */
export const templateOf = (year: number): NewSheet => ({
  name: `${year}年放假安排`,
  columns: [
    { name: COLUMNS.date, width: 14, note: `${year}-01-01 这样的日期，一天一行` },
    { name: COLUMNS.name, width: 16, note: '节日名称' },
    { name: COLUMNS.isOffDay, width: 10, note: `${TYPES.off}，或调休 ${TYPES.work}`, choices: [TYPES.off, TYPES.work] },
  ],
  rows: [[`${year}-01-01`, '元旦', TYPES.off]],
})

/** @throws Problem not-found */
export async function template({ db, workbooks }: { db: Db; workbooks: WorkbookPort }): Promise<Buffer> {
  const { rows: [row] } = await db.app.query<{ now: Date }>({ name: 'calendar_clock', text: 'SELECT wishwall_now() AS now' })
  return workbooks.write([templateOf(row!.now.getUTCFullYear() + 1)])
}
