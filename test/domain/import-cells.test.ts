import { describe, expect, test } from 'vitest'
import { IMPORT_COLUMNS } from '../../src/domain/import-kinds.ts'
import { headOf, layoutOf, readRow } from '../../src/domain/imports.ts'
import type { Cell } from '../../src/domain/sheet.ts'

/** What street clerks have in their cells, and what is made of it. */

const read = (kind: 'people' | 'visits' | 'households', name: string, cell: Cell) => {
  const columns = IMPORT_COLUMNS[kind]
  const { layout } = layoutOf([name], 1, columns)
  const { values, faults } = readRow([cell], 2, columns, layout)
  return faults.length > 0 ? `${faults[0]!.code}: ${faults[0]!.message.zh}` : values[columns.find(({ name: of }) => of === name)!.key]
}

describe('times', () => {
  test.each<[Cell, string]>([
    ['2026-11-21', '2026-11-21 00:00'], ['2026/11/21', '2026-11-21 00:00'], ['2026.11.21', '2026-11-21 00:00'], ['20261121', '2026-11-21 00:00'], [20261121, '2026-11-21 00:00'],
    ['2026年11月21日', '2026-11-21 00:00'], ['2026年1月5号', '2026-01-05 00:00'], ['２０２６年１１月２１日', '2026-11-21 00:00'], ['2026/11/21 9:30', '2026-11-21 09:30'],
    ['2026年11月21日9时05分', '2026-11-21 09:05'], ['2026年11月21日 下午3点', '2026-11-21 15:00'], ['2026-11-21 上午12:10', '2026-11-21 00:10'], ['2026/11/21 3:05:09 PM', '2026-11-21 15:05'],
    ['2026-11-21T09:30:00', '2026-11-21 09:30'], [46347, '2026-11-21 00:00'], [46347.395833333336, '2026-11-21 09:30'], ['46347', '2026-11-21 00:00'],
    [new Date('2026-11-21T09:29:59.999Z'), '2026-11-21 09:30'],
  ])('%s', (cell, time) => expect(read('visits', '时间', cell)).toBe(time))

  test.each<Cell>(['11月21日', '2026-13-01', '2026-02-30', '26/11/21', '昨天', '2026-11-21 25:00', '2026-11-21 下午13:00', 12, 99999, new Date('1899-12-30T09:30:00Z')])('none: %s', (cell) =>
    expect(read('visits', '时间', cell)).toBe('value: 应为日期或时间，如 2026-11-21 09:30'))
})

describe('phones', () => {
  test.each<[Cell, string]>([
    [13800138000, '13800138000'], ['１３８００１３８０００', '13800138000'], ['+86 138-0013-8000', '13800138000'], ['\u202d13800138000\u202c', '13800138000'], ['138\u200b0013\u200b8000', '13800138000'],
    ['0539—8123456', '05398123456'], ['（0539）8123456', '05398123456'], ['="13800138000"', '13800138000'],
  ])('%s', (cell, phone) => expect(read('people', '电话', cell)).toBe(phone))

  test.each<[Cell, string]>([
    ['1.38E+10', 'scientific: 号码成了科学计数法，后面的数字已经丢失：请将这一列设为“文本”后重新填写'],
    [1.3800138e15, 'scientific: 号码成了科学计数法，后面的数字已经丢失：请将这一列设为“文本”后重新填写'],
    [5398123456, 'value: 固定电话区号前的 0 可能已被 Excel 去掉：请将这一列设为“文本”后补上'], ['1380013800', 'value: 手机号应为 11 位，这里有 10 位'],
    ['13800138000/13800138001', 'value: 只能填一个号码'], ['13800138000、13800138001', 'value: 只能填一个号码'], ['无', 'value: 应为手机号或带区号的固定电话'],
    ['#N/A', 'error-value: 是错误值（以 # 开头），请改正后重新保存'], ['########', 'error-value: 只有 ####：列太窄时存成了 CSV，请加宽这一列，或另存为 .xlsx'],
  ])('%s', (cell, fault) => expect(read('people', '电话', cell)).toBe(fault))
})

describe('names and doors', () => {
  test.each<[string, Cell, unknown]>([
    ['姓名', '王\u3000示例', '王示例'], ['姓名', '王 示 例', '王示例'], ['姓名', '古丽·示例', '古丽·示例'], ['姓名', 'Ann Example', 'Ann Example'], ['姓名', '王\n示例', '王示例'],
    ['姓名', '王?例', 'value: 含有“?”：生僻字在存为 CSV 时可能已丢失，请改存为 .xlsx 或 UTF-8'],
    ['门牌', 502, '502'], ['门牌', '3E05', '3E05'], ['门牌', new Date('2026-03-02T00:00:00Z'), 'became-date: 被 Excel 改成了日期：请将这一列设为“文本”后重新填写'],
    ['所在节点代码', 'ＹＱＨＦ－０３', 'YQHF-03'], ['所在节点代码', '3号楼', 'value: 应为代码：字母、数字、点、横线、下划线'],
  ])('%s %s', (column, cell, said) => expect(read('people', column, cell)).toBe(said))
})

describe('headings', () => {
  const letters = (cells: Cell[]) => {
    const { layout, faults } = layoutOf(cells, 1, IMPORT_COLUMNS.people)
    return faults.length > 0 ? faults.map(({ code, column }) => `${code} ${column}`) : [...layout.keys()]
  }
  test.each([
    [['姓名', '手机', '所在节点代码']], [['居民姓名', '手机号', '节点代码']], [['姓 名', '联系\n电话', '所在节点代码*']], [['序号', '姓名（必填）', '联系方式：', '所在节点代码']], [['名字', '电话(手机)', '所在节点代码', '']],
  ])('%j', (cells) => expect(letters(cells)).toEqual(['name', 'phone', 'node']))

  test('two columns of the same are one too many; what nobody knows is told', () => {
    expect(letters(['姓名', '手机', '联系电话', '所在节点代码'])).toEqual(['repeated C'])
    expect(letters(['姓名', '所在节点代码', '身份证号'])).toEqual(['unknown C'])
  })

  test('below a title and a date', () => {
    const rows = [['东里社区居民信息表'], ['填报单位：东里社区', null, '2026年11月'], ['序号', '姓名', '所在节点代码'], [1, '姓名', 'U']].map((cells, index) => ({ number: index + 1, cells }))
    expect(headOf(rows, IMPORT_COLUMNS.people).at).toBe(2)
  })
})
