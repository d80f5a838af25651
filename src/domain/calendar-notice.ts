import { z } from 'zod'
import { day, int4, text } from './atoms.ts'
import { dayNumber, dayText, weekdayOf } from './calendar-day.ts'
import { HOLIDAYS, NOTICED_NAMES } from './calendar-holidays.ts'
import { says, type Finding, type Says } from './problems.ts'
import { lettersOf, plain, type Cell, type SheetRow } from './sheet.ts'

/**
 * 国务院办公厅关于某年部分节假日安排的通知, day by day: the format of github.com/NateScarlet/holiday-cn, so that its
 * `<year>.json` can be sent as it is. Its year is that of the notice's title: the New Year holiday may begin in December.
 */
export interface Notice {
  readonly year: number
  readonly days: readonly NoticeDay[]
}

export interface NoticeDay {
  readonly name: string
  readonly date: string
  /** False: a weekend day worked in exchange (调休上班). */
  readonly isOffDay: boolean
}

export const noticeSchema = z.strictObject({
  $schema: z.string().max(500).optional(),
  $id: z.string().max(500).optional(),
  year: int4({ min: 2000, max: 2199 }).describe('通知所指的年份'),
  papers: z.array(z.string().max(500)).max(20).optional().describe('通知的网址，不保存'),
  days: z.array(z.strictObject({
    name: text({ max: 40 }).describe('节日名称'),
    date: day,
    isOffDay: z.boolean().describe('true 放假，false 调休上班'),
  })).max(150),
})

/** The notice of a year as it comes with the program, but for days of the December before: an example that can be sent as it is. */
export const shippedNotice = (year: number): Notice => ({
  year,
  days: [...NOTICED_NAMES].map(([number, name]) => ({ name, date: dayText(number), isOffDay: HOLIDAYS.has(number) }))
    .filter(({ date }) => date.startsWith(`${year}-`)).sort((a, b) => (a.date < b.date ? -1 : 1)),
})

/** A notice is known some weeks before its year: a later one is a slip of the pen. */
const YEARS_AHEAD = 5

/** What is wrong, and with which field of which day; without `index` with the whole. */
export interface Flaw {
  readonly index?: number
  readonly field: keyof NoticeDay | 'year' | 'days'
  readonly message: Says
}

/**
 * Why a notice cannot be the one of its year. A file whose year is not out yet (`days: []`) must not publish it, so the
 * days that every notice has are asked for: 元旦、春节、劳动节、国庆节 (全国年节及纪念日放假办法第二条).
 * @param thisYear by the tenant's calendar
 */
export function flawsOf({ year, days }: Notice, thisYear: number): Flaw[] {
  const seen = new Map<string, number>()
  const flaws = days.flatMap(({ date, isOffDay }, index): Flaw[] => {
    const earlier = seen.get(date)
    seen.set(date, index)
    if (date < `${year - 1}-12-25` || date > `${year}-12-31`) return [{ index, field: 'date', message: says(`不属于 ${year} 年的通知`, `Does not belong to the notice of ${year}`) }]
    if (earlier !== undefined) return [{ index, field: 'date', message: says(`日期 ${date} 重复`, `${date} is there twice`) }]
    if (!isOffDay && weekdayOf(dayNumber(date)) < 5) return [{ index, field: 'isOffDay', message: says(`${date} 不是周末，不会是调休上班日`, `${date} is no weekend day and cannot be worked in exchange`) }]
    return []
  })
  if (year > thisYear + YEARS_AHEAD) flaws.push({ field: 'year', message: says(`${year} 年的通知还不会公布`, `No notice for ${year} can be out`) })
  const missing = ALWAYS.filter(({ is }) => !days.some(({ date, isOffDay }) => isOffDay && date.startsWith(`${year}-`) && is(date.slice(5)))).map(({ zh }) => zh)
  if (missing.length > 0) flaws.push({ field: 'days', message: says(`不是完整的放假安排：没有${missing.join('、')}`, `Not a whole year's arrangement: ${missing.join(', ')} missing`) })
  return flaws
}

const ALWAYS: readonly { zh: string; is: (monthAndDay: string) => boolean }[] = [
  { zh: '元旦', is: (day) => day === '01-01' },
  { zh: '春节', is: (day) => day >= '01-21' && day <= '02-21' },
  { zh: '劳动节', is: (day) => day === '05-01' },
  { zh: '国庆节', is: (day) => day === '10-01' },
]

/** Flaws of a notice sent as JSON. */
export const findingsOf = (flaws: readonly Flaw[]): Finding[] => flaws.map(({ index, field, message }) => index === undefined
  ? { pointer: `/${field}`, code: 'value', message }
  : { pointer: `/days/${index}/${field}`, code: 'value', message: says(`第${index + 1}项：${message.zh}`, `Entry ${index + 1}: ${message.en}`) })

/** Columns of the sheet, found by their heading in any order; others are not read. */
export const COLUMNS = { date: '日期', name: '名称', isOffDay: '类型' } as const
export const TYPES = { off: '放假', work: '上班' } as const

type Field = keyof typeof COLUMNS

/** Headings may follow a title, but not from afar. */
const HEADING_WITHIN = 10

/**
 * A notice written as a sheet: one row a day. The year is the one that most days lie in.
 * @returns the notice, or what is wrong with which row and column (第N行 X列)
 */
export function noticeOf(rows: readonly SheetRow[], thisYear: number): { notice: Notice } | { findings: Finding[] } {
  const heading = rows.slice(0, HEADING_WITHIN).find(({ cells }) => Object.values(COLUMNS).some((name) => cells.some((cell) => plain(cell) === name)))
  if (!heading) return { findings: [at(1, undefined, says(`没有表头：须有 ${Object.values(COLUMNS).join('、')} 三列`, `No heading: expected the columns ${Object.values(COLUMNS).join(', ')}`))] }
  const column = (field: Field) => heading.cells.findIndex((cell) => plain(cell) === COLUMNS[field])
  const columns: Record<Field, number> = { date: column('date'), name: column('name'), isOffDay: column('isOffDay') }
  const absent = Object.keys(COLUMNS).filter((field): field is Field => columns[field as Field] < 0)
  if (absent.length > 0) return { findings: absent.map((field) => at(heading.number, undefined, says(`缺少列 ${COLUMNS[field]}`, `The column ${COLUMNS[field]} is missing`))) }

  const filled = rows.filter(({ number, cells }) => number > heading.number && Object.values(columns).some((index) => plain(cells[index] ?? null) !== ''))
  const read = filled.map(({ number, cells }) => ({ number, ...readDay((field) => cells[columns[field]] ?? null) }))
  const findings = read.flatMap(({ number, wrong }) => wrong.map(([field, message]) => at(number, { index: columns[field], name: COLUMNS[field] }, message)))
  const notice = { year: commonYear(read.map(({ day }) => day.date)), days: read.map(({ day }) => day) }
  if (findings.length > 0) return { findings }
  const flaws = flawsOf(notice, thisYear).map(({ index, field, message }) => {
    const row = index === undefined ? undefined : read[index]
    return row && field in COLUMNS ? at(row.number, { index: columns[field as Field], name: COLUMNS[field as Field] }, message) : { pointer: '/rows', code: 'value', message }
  })
  return flaws.length > 0 ? { findings: flaws } : { notice }
}

function readDay(cellOf: (field: Field) => Cell): { day: NoticeDay; wrong: [Field, Says][] } {
  const wrong: [Field, Says][] = []
  const date = dateIn(cellOf('date'))
  if (date === undefined) wrong.push(['date', says(`“${shown(cellOf('date'))}”不是日期，应为 2027-01-01 这样的日期`, `"${shown(cellOf('date'))}" is no date, expected one like 2027-01-01`)])
  const name = text({ max: 40 }).safeParse(cellOf('name'))
  if (!name.success) wrong.push(['name', says('应为 1 至 40 个字的节日名称', 'Expected the name of a holiday, 1 to 40 characters')])
  const type = plain(cellOf('isOffDay'))
  if (type !== TYPES.off && type !== TYPES.work) wrong.push(['isOffDay', says(`“${shown(cellOf('isOffDay'))}”无效，只能是 ${TYPES.off} 或 ${TYPES.work}`, `"${shown(cellOf('isOffDay'))}" will not do, expected ${TYPES.off} or ${TYPES.work}`)])
  return { day: { date: date ?? '', name: name.data ?? '', isOffDay: type === TYPES.off }, wrong }
}

/** Of a cell that is none: the start is enough to find it. */
const shown = (cell: Cell): string => (cell instanceof Date ? cell.toISOString() : plain(cell)).replace(/\p{Cc}/gu, ' ').slice(0, 20)

/** Serial days of Excel, 2000 to 2199: a date whose format was lost. */
const [FIRST_SERIAL, LAST_SERIAL, SERIAL_EPOCH] = [36_526, 109_573, -25_569]
const DATE = /^(\d{4})(?:-|\/|\.|年)(\d{1,2})(?:-|\/|\.|月)(\d{1,2})日?$|^(\d{4})(\d\d)(\d\d)$/

function dateIn(cell: Cell): string | undefined {
  if (cell instanceof Date) return Number.isNaN(cell.getTime()) || cell.getUTCFullYear() > 2199 ? undefined : cell.toISOString().slice(0, 10)
  if (typeof cell === 'number' && Number.isInteger(cell) && cell >= FIRST_SERIAL && cell <= LAST_SERIAL) return dayText(cell + SERIAL_EPOCH)
  const found = DATE.exec(plain(cell))
  if (!found) return undefined
  const [year, month, date] = (found[1] === undefined ? found.slice(4, 7) : found.slice(1, 4)) as [string, string, string]
  const written = `${year}-${month.padStart(2, '0')}-${date.padStart(2, '0')}`
  return day.safeParse(written).data
}

function commonYear(dates: readonly string[]): number {
  const counts = new Map<number, number>()
  for (const date of dates) counts.set(Number(date.slice(0, 4)), (counts.get(Number(date.slice(0, 4))) ?? 0) + 1)
  return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0] ?? 0
}

function at(row: number, column: { index: number; name: string } | undefined, message: Says): Finding {
  if (!column) return { pointer: `/rows/${row}`, code: 'value', message: says(`第${row}行：${message.zh}`, `Row ${row}: ${message.en}`) }
  const letters = lettersOf(column.index)
  return {
    pointer: `/rows/${row}/${letters}`, code: 'value',
    message: says(`第${row}行 ${letters}列（${column.name}）：${message.zh}`, `Row ${row} column ${letters} (${column.name}): ${message.en}`),
  }
}
