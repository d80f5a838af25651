import notices from 'chinese-days/dist/chinese-days.json' with { type: 'json' }
import { describe, expect, test } from 'vitest'
import { NOTICED_YEARS } from '../../src/domain/calendar-holidays.ts'
import { COLUMNS, findingsOf, flawsOf, noticeOf, noticeSchema, type Notice } from '../../src/domain/calendar-notice.ts'
import type { Cell, SheetRow } from '../../src/domain/sheet.ts'
import { NOTICE_2027 } from '../notice-2027.ts'

const THIS_YEAR = 2026
const flaws = (notice: Notice) => findingsOf(flawsOf(notice, THIS_YEAR)).map(({ pointer, message }) => `${pointer} ${message.zh}`)
const with_ = (index: number, differs: Partial<Notice['days'][number]>): Notice => ({ ...NOTICE_2027, days: NOTICE_2027.days.map((day, at) => (at === index ? { ...day, ...differs } : day)) })

describe('a notice', () => {
  test('of every year that is known would do, as it was', () => {
    const days = (year: number) => [
      ...Object.entries(notices.holidays).map(([date, names]) => ({ date, name: names.split(',')[1]!, isOffDay: true })),
      ...Object.entries(notices.workdays).map(([date, names]) => ({ date, name: names.split(',')[1]!, isOffDay: false })),
    ].filter(({ date }) => date.startsWith(`${year}-`))
    expect(NOTICED_YEARS.size).toBeGreaterThan(20)
    for (const year of NOTICED_YEARS) expect(flaws({ year, days: days(year) }), String(year)).toEqual([])
  })

  test('may reach back into the last week of December', () => {
    expect(flaws({ ...NOTICE_2027, days: [...NOTICE_2027.days, { date: '2026-12-26', name: '元旦', isOffDay: false }] })).toEqual([])
    expect(flaws({ ...NOTICE_2027, days: [...NOTICE_2027.days, { date: '2026-12-20', name: '元旦', isOffDay: false }] })).toEqual([`/days/${NOTICE_2027.days.length}/date 第${NOTICE_2027.days.length + 1}项：不属于 2027 年的通知`])
  })

  test('of a year that is not out is none: the file is there, its days are not', () => {
    expect(flaws({ year: 2027, days: [] })).toEqual(['/days 不是完整的放假安排：没有元旦、春节、劳动节、国庆节'])
    expect(flaws({ ...NOTICE_2027, days: NOTICE_2027.days.filter(({ date }) => date < '2027-10-01') })).toEqual(['/days 不是完整的放假安排：没有国庆节'])
  })

  test.each<[string, Notice, string]>([
    ['a day of another year', with_(3, { date: '2028-02-05' }), '/days/3/date 第4项：不属于 2027 年的通知'],
    ['a day that is there twice', with_(4, { date: NOTICE_2027.days[3]!.date }), `/days/4/date 第5项：日期 ${NOTICE_2027.days[3]!.date} 重复`],
    ['a Monday worked in exchange', with_(3, { date: '2027-03-01', isOffDay: false }), '/days/3/isOffDay 第4项：2027-03-01 不是周末，不会是调休上班日'],
    ['a year far away', { ...NOTICE_2027, year: 2072, days: NOTICE_2027.days.map((day) => ({ ...day, date: day.date.replace('2027', '2072') })).filter(({ isOffDay }) => isOffDay) }, '/year 2072 年的通知还不会公布'],
  ])('with %s is refused where it is', (_, notice, finding) => expect(flaws(notice)).toEqual([finding]))

  test('is taken as holiday-cn writes it', () => {
    expect(noticeSchema.parse({ $schema: 'https://…/schema.json', $id: 'https://…/2027.json', year: 2027, papers: ['https://www.gov.cn/'], days: NOTICE_2027.days }).days).toHaveLength(NOTICE_2027.days.length)
    expect(noticeSchema.safeParse({ year: 2027, days: [{ name: '元旦', date: '2027-02-30', isOffDay: true }] }).success).toBe(false)
  })
})

const HEADING: SheetRow = { number: 1, cells: Object.values(COLUMNS) }
const row = ({ date, name, isOffDay }: Notice['days'][number]): Cell[] => [date, name, isOffDay ? '放假' : '上班']
const rows = (...changed: [number, Cell[]][]): SheetRow[] => {
  const cells = new Map(changed)
  return [HEADING, ...NOTICE_2027.days.map((day, index) => ({ number: index + 2, cells: cells.get(index + 2) ?? row(day) }))]
}
const read = (sheet: SheetRow[]) => {
  const result = noticeOf(sheet, THIS_YEAR)
  return 'notice' in result ? result.notice : result.findings.map(({ pointer, message }) => `${pointer} ${message.zh}`)
}

describe('a sheet', () => {
  test('says the same as the notice', () => expect(read(rows())).toEqual(NOTICE_2027))

  test('may have a title, other columns, another order, empty rows and dates of any sort', () => {
    const written: Cell[] = ['2027/1/1', '2027年1月1日', '2027.01.01', '20270101', new Date('2027-01-01T00:00:00Z'), 46388, ' ２０２７－０１－０１ ']
    for (const date of written) {
      const sheet = [{ number: 1, cells: ['2027年放假安排'] }, { number: 3, cells: ['类型', '说明', '日期', '名称'] },
        ...NOTICE_2027.days.map((day, index) => ({ number: 2 * index + 4, cells: [day.isOffDay ? '放假' : '上班', null, index === 0 ? date : day.date, day.name] }))]
      expect(read(sheet), String(date)).toEqual(NOTICE_2027)
    }
  })

  test.each<[string, SheetRow[], string[]]>([
    ['a date that is none', rows([5, ['2027-02-30', '春节', '放假']]), ['/rows/5/A 第5行 A列（日期）：“2027-02-30”不是日期，应为 2027-01-01 这样的日期']],
    ['a date that is a word', rows([5, ['元旦', '春节', '放假']]), ['/rows/5/A 第5行 A列（日期）：“元旦”不是日期，应为 2027-01-01 这样的日期']],
    ['a type that is none', rows([6, ['2027-02-06', '春节', '休息']]), ['/rows/6/C 第6行 C列（类型）：“休息”无效，只能是 放假 或 上班']],
    ['no name', rows([6, ['2027-02-06', null, '放假']]), ['/rows/6/B 第6行 B列（名称）：应为 1 至 40 个字的节日名称']],
    ['two wrong rows', rows([5, ['x', '春节', '放假']], [6, ['2027-02-06', '春节', '']]), ['/rows/5/A 第5行 A列（日期）：“x”不是日期，应为 2027-01-01 这样的日期', '/rows/6/C 第6行 C列（类型）：“”无效，只能是 放假 或 上班']],
    ['a day that is there twice', rows([6, ['2027-02-05', '春节', '放假']]), ['/rows/6/A 第6行 A列（日期）：日期 2027-02-05 重复']],
    ['a weekday worked', rows([6, ['2027-03-01', '春节', '上班']]), ['/rows/6/C 第6行 C列（类型）：2027-03-01 不是周末，不会是调休上班日']],
    ['a day of another year', rows([6, ['2072-02-06', '春节', '放假']]), ['/rows/6/A 第6行 A列（日期）：不属于 2027 年的通知']],
    ['no type', [{ number: 1, cells: ['日期', '名称'] }, ...rows().slice(1)], ['/rows/1 第1行：缺少列 类型']],
    ['no heading', rows().slice(1), ['/rows/1 第1行：没有表头：须有 日期、名称、类型 三列']],
    ['nothing', [], ['/rows/1 第1行：没有表头：须有 日期、名称、类型 三列']],
    ['a heading only', [HEADING], ['/rows 不是完整的放假安排：没有元旦、春节、劳动节、国庆节']],
  ])('with %s is refused by row and column', (_, sheet, findings) => expect(read(sheet)).toEqual(findings))
})
