import ExcelJS from 'exceljs'
import type { FastifyInstance } from 'fastify'
import iconv from 'iconv-lite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { putItem } from '../../src/service/items.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { wholeApi } from '../http/whole-api.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { tokenFor } from '../processes.ts'
import { book, imported, upload } from './sheets.ts'

/** Files as street offices have them, over real HTTP: what is read, what is refused in words that help, and what is sent again. */

let database: TestDatabase
let town: TestPlace
let app: FastifyInstance
let origin: string
let admin: PersonActor
const token = () => tokenFor(town.tenantId, admin.id)
const rows = async (sql: string): Promise<number> => (await database.owner.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${sql}`)).rows[0]!.n
const send = (query: string, bytes: Uint8Array, name?: string) => imported(origin, token(), database.db, query, bytes, name)
const messages = (result: Record<string, any> | undefined): string[] => result!.data.map(({ message }: { message: string }) => message)

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database)
  admin = await town.person({ at: 'S', can: ['administer', 'file_for', 'view'] })
  await database.owner.query(`INSERT INTO role ("tenantId", code, name, capabilities) VALUES ($1, 'grid_worker', '网格员', '{file_for,view}')`, [town.tenantId])
  app = await wholeApi(database.db)
  origin = await app.listen({ host: '127.0.0.1', port: 0 })
})
afterAll(async () => {
  await app.close()
  await database.drop()
})

const TITLED = [['东里社区居民信息登记表'], ['填报单位：东里社区', null, null, null, '2026年11月'], ['序号', '居民姓名', '联系电话', '房号', '所在节点代码']]

describe('workbooks', () => {
  test('a title merged over the table, other headings, rows counted, blank rows behind: rows as Excel numbers them', async () => {
    const bytes = await book([...TITLED, [1, '王　示例', 13800138100, 501, 'U'], [2, '李示例', '１３８００１３８１０１', '5-2', 'U'], [3, '赵示例', '1.38E+10', null, 'U'], [null, ' ', '', '  ', null], []], (sheet) => {
      sheet.mergeCells('A1:E1')
      sheet.mergeCells('A2:D2')
      sheet.getCell('D5').value = new Date('2026-05-02T00:00:00Z')
      sheet.getCell('D5').numFmt = 'm"月"d"日"'
    })
    const { operation, result } = await send('kind=people&mode=good', bytes)
    expect([operation!.total, result!.imported, messages(result)]).toEqual([3, 1, [
      '第5行 D列：被 Excel 改成了日期：请将这一列设为“文本”后重新填写', '第6行 C列：号码成了科学计数法，后面的数字已经丢失：请将这一列设为“文本”后重新填写',
    ]])
  })

  test('cells merged below the headings are refused, and those that reach into them', async () => {
    for (const range of ['B4:B5', 'A2:A3']) {
      const { status, body } = await upload(origin, token(), 'kind=people', await book([...TITLED, [1, '王示例', null, null, 'U'], [2, '李示例', null, null, 'U']], (sheet) => sheet.mergeCells(range)))
      expect([status, body.errors.map(({ message }: { message: string }) => message)]).toEqual([400, expect.arrayContaining([expect.stringContaining(`合并单元格 ${range}，请取消合并`)])])
    }
  })

  const sheets = async (...given: [string, unknown[][], ExcelJS.WorksheetState?][]): Promise<Buffer> => {
    const workbook = new ExcelJS.Workbook()
    for (const [name, table, state = 'visible'] of given) workbook.addWorksheet(name, { state }).addRows(table)
    return Buffer.from(await workbook.xlsx.writeBuffer() as ArrayBuffer)
  }
  const table = (name: string) => [['姓名', '电话', '所在节点代码'], [name, '13800138200', 'U']]

  test('what is hidden is not read, though it looks the same', async () => {
    const before = await rows('person')
    expect((await send('kind=people&mode=good', await sheets(['旧', [...table('李示例'), ['赵示例', null, 'U']], 'hidden'], ['说明', [['请填写第三张表']]], ['新', table('王示例')]))).result).toMatchObject({ imported: 1, refused: 0 })
    expect(await rows('person')).toBe(before + 1)
  })

  test('two sheets that could be meant: neither is taken in silence', async () => {
    const { status, body } = await upload(origin, token(), 'kind=people&mode=good', await sheets(['一号楼', table('王示例')], ['二号楼', table('李示例')], ['空', [['姓名', '电话', '所在节点代码']]]))
    expect([status, body.errors[0].code, body.errors[0].message]).toEqual([400, 'several-sheets', '第1行：有 2 张工作表都像是要导入的（第1、2张），一次导入一张：请删去其余的，或分别保存'])
  })

  test('an error value is a fault, not a blank', async () => {
    const { result } = await send('kind=people&mode=dry-run', await book([['姓名', '电话', '所在节点代码'], ['王示例', { error: '#N/A' }, 'U']]))
    expect(messages(result)).toEqual(['第2行 B列：是错误值（以 # 开头），请改正后重新保存'])
  })
})

describe('text files', () => {
  const TABLE = '东里社区登记表,,\r\n姓名,手机号,所在节点代码\r\n"王示例",13800138300,U\r\n,,\r\n李示例,="13800138301",U\r\n,,\r\n'
  test.each<[string, Uint8Array]>([
    ['GBK, as WPS saves it', iconv.encode(TABLE, 'gbk')], ['GB18030', iconv.encode(TABLE.replace('李示例', '李㐂例'), 'gb18030')], ['UTF-16, with tabs', iconv.encode(TABLE.replaceAll(',', '\t'), 'utf-16le', { addBOM: true })],
    ['UTF-16BE', iconv.encode(TABLE, 'utf-16be', { addBOM: true })], ['UTF-8 with its mark', Buffer.from(`\ufeff${TABLE}`)], ['semicolons', Buffer.from(TABLE.replaceAll(',', ';'))],
  ])('%s, with a title, quotes of an exporting program and blank lines', async (_, bytes) => {
    const { operation, result } = await send('kind=people&mode=dry-run', bytes, 'x.csv')
    expect([operation!.total, result!.refused, messages(result)]).toEqual([2, 0, []])
  })

  test('however many blank lines lie between, nothing is cut off', async () => {
    const { operation } = await send('kind=people&mode=dry-run', Buffer.from(`姓名,所在节点代码\n王示例,U\n${',\n'.repeat(12_000)}李示例,NOWHERE\n`), 'x.csv')
    expect([operation!.total, operation!.errors[0].at]).toEqual([2, '第12003行 B列'])
  })

  test.each([
    ['a web page called .xls', '<html><head><meta charset="utf-8"></head><body><table><tr><td>姓名</td></tr></table></body></html>', 415, '网页'],
    ['XML of 2003 called .xls', '<?xml version="1.0"?>\n<?mso-application progid="Excel.Sheet"?><Workbook></Workbook>', 415, '另存为 .xlsx'],
    ['a PDF', '%PDF-1.4\n1 0 obj', 415, '应为 Excel 工作簿'], ['JSON', '{"姓名":"王示例"}', 415, '应为 Excel 工作簿'],
    ['a million lines', `姓名,所在节点代码\n${'\n'.repeat(1_000_000)}`, 413, '10000 行'],
  ])('%s is refused', async (_, text, status, words) => {
    const answer = await upload(origin, token(), 'kind=people', Buffer.from(text), 'x.xls')
    expect([answer.status, answer.body.detail]).toEqual([status, expect.stringContaining(words)])
  })
})

describe('sent again, with the rows corrected that were refused', () => {
  test('people who are there already stay as they are; those of whom nothing but the name is known may be two', async () => {
    const table = (node: string) => book([['姓名', '电话', '门牌', '所在节点代码', '工号', '职责'], ['孙示例', '13800138400', null, 'U'], ['周示例', null, '601', 'U'], ['吴示例', null, null, 'U'], ['郑示例', '13800138401', null, 'U', 'W-400', '网格员'], ['冯示例', null, '602', node]])
    const before = await rows('person')
    expect((await send('kind=people&mode=good', await table('NOWHERE'))).result).toMatchObject({ imported: 4, refused: 1 })
    expect(await rows('person')).toBe(before + 4)
    expect((await send('kind=people&mode=all', await table('U'))).result).toMatchObject({ imported: 5, refused: 0 })
    expect([await rows('person'), await rows('duty')]).toEqual([before + 6, 2])
    // Another at the same number, and the same number elsewhere, are others.
    expect((await send('kind=people&mode=good', await book([['姓名', '电话', '所在节点代码'], ['孙例', '13800138400', 'U'], ['孙示例', '13800138400', 'B']]))).result).toMatchObject({ imported: 2 })
    expect(await rows('person')).toBe(before + 8)
  })

  test('nobody hears who lives at a place that is not his', async () => {
    const elsewhere = await town.person({ at: 'U', can: ['file_for'] })
    expect((await send('kind=people&mode=good', await book([['姓名', '电话', '所在节点代码'], ['钱示例', '13800138450', 'B']]))).result).toMatchObject({ imported: 1 })
    const { result } = await imported(origin, tokenFor(town.tenantId, elsewhere.id), database.db, 'kind=people&mode=good', await book([['姓名', '电话', '所在节点代码'], ['钱示例', '13800138450', 'B']]))
    expect(result).toMatchObject({ imported: 0, refused: 1, data: [{ code: 'forbidden' }] })
  })

  test('visits and slips are one however often they come; two that say the same in one sheet are two', async () => {
    await send('kind=households&mode=all', await book([['门牌', '节点代码'], ['701', 'U'], ['702', 'U']]))
    const table = (door: string, title = '灯不亮') => book([
      ['来源', '节点代码', '门牌', '时间', '走访结果', '服务项目代码', '标题', '内容', '诉求人'],
      ['走访', 'U', '701', '2026/11/18 9:30', '见到', 'corridor-light', title, '三层'], ['走访', 'U', '702', 46344, '无人'],
      ['信报箱', 'U', null, '2026年11月18日', null, 'corridor-light', '想要一盏灯', null, '王示例'], ['信报箱', 'U', null, '2026年11月18日', null, 'corridor-light', '想要一盏灯', null, '李示例'],
      ['信报箱', 'U', null, '2026-11-17', null, 'corridor-light', '门坏了'], ['信报箱', 'U', null, '2026-11-17', null, 'corridor-light', '门坏了'],
      ['走访', 'U', door, '2026-11-18', '无人'],
    ])
    const before = [await rows('request'), await rows('visit')] as const
    expect((await send('kind=visits&mode=good', await table('799'))).result).toMatchObject({ imported: 6, refused: 1 })
    const after = [before[0] + 5, before[1] + 2]
    expect([await rows('request'), await rows('visit')]).toEqual(after)
    expect((await send('kind=visits&mode=good', await table('702'))).result).toMatchObject({ imported: 7, refused: 0 })
    expect([await rows('request'), await rows('visit')]).toEqual([after[0], after[1]! + 1])
  })

  test('slips of the future are none', async () => {
    const { result } = await send('kind=visits&mode=good', await book([['来源', '节点代码', '时间', '服务项目代码', '标题'], ['信报箱', 'U', '2090-01-01', 'corridor-light', '灯']]))
    expect([result!.imported, messages(result)]).toEqual([0, ['第2行 C列：收集时间在将来']])
  })

  test('a level that is none hears those there are, as the template has them', async () => {
    expect(messages((await send('kind=nodes', await book([['代码', '名称', '层级', '上级代码'], ['Z-1', '一', '区县', 'P']]))).result)).toEqual([expect.stringMatching(/^第2行 C列：没有这个层级，应为.*楼栋、单元之一$/)])
  })

  test('what was imported and now says something else is told', async () => {
    const table = (description: string) => book([['来源', '节点代码', '门牌', '时间', '走访结果', '服务项目代码', '标题', '内容'], ['走访', 'U', '701', '2026-11-16', '见到', 'corridor-light', '门铃', description]])
    expect((await send('kind=visits&mode=good', await table('一'))).result).toMatchObject({ imported: 1 })
    expect(messages((await send('kind=visits&mode=good', await table('二'))).result)).toEqual(['第2行 D列：这次走访已经导入过，内容与这一行不同'])
  })

  test('an item that is the same makes no version; one that changes keeps what the sheet does not say', async () => {
    const HEAD = ['代码', '名称', '类型', '办法', '分类', '时限规则代码']
    const row = (name: string) => ['drain', name, '服务', '派单', '设施', 'standard']
    const versions = async () => (await database.owner.query(`SELECT version, name, grade, proof, wall FROM item WHERE code = 'drain' ORDER BY version`)).rows
    await town.inside(() => putItem(database.db, { code: 'drain', name: '疏通', kind: 'service', mode: 'dispatch', category: '设施', policy: 'standard', wall: false, grade: 'minor', gradePolicies: {}, proof: true }, admin))
    await send('kind=items&mode=all', await book([HEAD, row('疏通')]))
    expect(await versions()).toHaveLength(1)
    await send('kind=items&mode=all', await book([HEAD, row('疏通下水')]))
    expect(await versions()).toMatchObject([{ version: 1 }, { version: 2, name: '疏通下水', grade: 'minor', proof: true, wall: false }])
  })
})
