import type { FastifyInstance } from 'fastify'
import iconv from 'iconv-lite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { IMPORT_COLUMNS, IMPORT_KINDS } from '../../src/domain/import-kinds.ts'
import { workbooks } from '../../src/outside/workbook.ts'
import { readSheet } from '../../src/service/import-sheets.ts'
import { importWork, startImport } from '../../src/service/imports.ts'
import { openSubjects } from '../../src/service/subjects.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { wholeApi } from '../http/whole-api.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { call, keyring, tokenFor } from '../processes.ts'
import { book, imported, upload, work } from './sheets.ts'

/** 导入 over real HTTP: what Excel makes of a list, what is wrong with it, and what is written of it. */

let database: TestDatabase
let town: TestPlace
let app: FastifyInstance
let origin: string
let admin: PersonActor, grid: PersonActor, resident: PersonActor
const token = (who: { id: string }) => tokenFor(town.tenantId, who.id)
const rows = async (sql: string): Promise<number> => (await database.owner.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${sql}`)).rows[0]!.n
const send = (query: string, bytes: Uint8Array, who: { id: string } = admin, name?: string) => imported(origin, token(who), database.db, query, bytes, name)
const PEOPLE = ['姓名', '电话', '门牌', '所在节点代码', '工号', '职责', '任职节点代码']

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database)
  ;[admin, grid, resident] = await Promise.all([town.person({ at: 'S', can: ['administer', 'file_for', 'view'] }), town.person({ at: 'U', can: ['file_for'] }), town.person()])
  await database.owner.query(`INSERT INTO role ("tenantId", code, name, capabilities) VALUES ($1, 'grid_worker', '网格员', '{file_for,view}')`, [town.tenantId])
  app = await wholeApi(database.db)
  origin = await app.listen({ host: '127.0.0.1', port: 0 })
})
afterAll(async () => {
  await app.close()
  await database.drop()
})

describe('templates', () => {
  test.each(IMPORT_KINDS)('of %s: headings, dropdowns, and an example that is not imported', async (kind) => {
    const answer = await fetch(`${origin}/v1/imports/templates/${kind}.xlsx`, { headers: { authorization: `Bearer ${token(admin)}` } })
    const bytes = Buffer.from(await answer.arrayBuffer())
    const sheets = await workbooks.read(bytes, { bytes: 2 ** 24, rows: 100, columns: 50 })
    if (typeof sheets === 'string') throw new Error(sheets)
    expect(sheets[0]!.rows[0]!.cells).toEqual(IMPORT_COLUMNS[kind].map(({ name, required }) => (required ? `${name}*` : name)))
    const { status, problem } = await send(`kind=${kind}`, bytes)
    expect([status, problem!.errors[0].message]).toEqual([400, '第2行：没有数据'])
  })
})

describe('people', () => {
  test('in whatever order, phones as numbers: every fault is told by row and column, and nothing written', async () => {
    const before = await rows('person')
    const bytes = await book([
      ['电话', '姓名*', '所在节点代码', '工号', '职责'],
      [13800138000, '王示例', 'U', null, null],
      ['12345', '李示例', 'U', null, null],
      [13800138001, null, 'NOWHERE', null, null],
      [13800138002, '赵示例', 'NOWHERE', null, null],
      [13800138003, '钱示例', 'U', 'W-1', '网格员'],
      [13800138004, '孙示例', 'U', 'W-1', null],
      [13800138005, '周示例', 'U', 'W-2', '没有的职责'],
    ])
    const { operation, result } = await send('kind=people&mode=dry-run', bytes)
    expect(operation).toMatchObject({ kind: 'import', state: 'done', done: 7, total: 7, failed: 5 })
    expect(operation!.errors.map(({ at, code }: { at: string; code: string }) => [at, code])).toEqual([
      ['第3行 A列', 'value'], ['第4行 B列', 'required'], ['第5行 C列', 'node-unknown'], ['第7行 D列', 'taken'], ['第8行 E列', 'role-unknown'],
    ])
    expect(result!.data.map(({ message }: { message: string }) => message)).toEqual([
      '第3行 A列：应为手机号或带区号的固定电话', '第4行 B列：“姓名”必填', '第5行 C列：没有这个地点', '第7行 D列：该工号已被使用', '第8行 E列：没有这种职责',
    ])
    expect([result!.imported, await rows('person')]).toEqual([0, before])
    const all = await send('kind=people&mode=all', bytes)
    expect([all.result!.imported, all.result!.refused, await rows('person')]).toEqual([0, 5, before])
    const good = await send('kind=people&mode=good', bytes)
    expect([good.result!.imported, good.result!.refused, good.operation!.failed, await rows('person')]).toEqual([2, 5, 5, before + 2])
    const { rows: [made] } = await database.owner.query<{ subjectId: string; hasAccount: boolean; once: boolean }>(`SELECT "subjectId", "passwordHash" IS NOT NULL AS "hasAccount", "passwordOnce" AS once FROM person WHERE login = 'W-1'`)
    expect((await town.inside(() => openSubjects(database.db, keyring, [made!.subjectId]))).get(made!.subjectId)).toEqual({ name: '钱示例', phone: '13800138003' })
    expect(made).toMatchObject({ hasAccount: true, once: true })
    expect(await rows(`duty d JOIN person p ON p.id = d."personId" WHERE p.login = 'W-1' AND d."roleCode" = 'grid_worker' AND d."nodeId" = '${town.node.U}'`)).toBe(1)
    // What was said of the sheet holds nothing of the people in it.
    const { rows: told } = await database.owner.query(`SELECT errors::text || (SELECT COALESCE(string_agg(faults::text, ''), '') FROM import_row) AS said FROM operation`)
    expect(told.every(({ said }) => !/示例|1380013|W-1/.test(said))).toBe(true)
  })

  test('each row by the sender’s own rights; who has none sends nothing; results are one’s own', async () => {
    const mixed = await book([PEOPLE, ['王示例', null, null, 'U'], ['李示例', null, null, 'P'], ['赵示例', null, null, 'U', 'W-9']])
    const { result, operation } = await send('kind=people&mode=good', mixed, grid)
    expect([result!.imported, operation!.errors.map(({ at, code }: { at: string; code: string }) => `${at} ${code}`)]).toEqual([1, ['第3行 forbidden', '第4行 E列 forbidden']])
    expect((await upload(origin, token(resident), 'kind=people', mixed)).status).toBe(403)
    expect((await call(origin, token(admin), 'GET', `/v1/imports/${operation!.id}`)).status).toBe(404)
  })

  test.each([
    ['GBK', (text: string) => iconv.encode(text, 'gbk')], ['UTF-8 with its mark', (text: string) => Buffer.from(`\ufeff${text}`)], ['UTF-8', (text: string) => Buffer.from(text)],
    ['UTF-16', (text: string) => iconv.encode(text, 'utf-16le', { addBOM: true })],
  ])('as CSV in %s', async (_, encoded) => {
    const { result } = await send('kind=people&mode=good', encoded('姓名,电话,所在节点代码\r\n"王示例",13800138000,U\r\n李示例,x,U\r\n'), admin, 'x.csv')
    expect([result!.imported, result!.data[0].message]).toEqual([1, '第3行 B列：应为手机号或带区号的固定电话'])
  })
})

test('a step that is done again, since nobody heard that it was done, writes nothing more and says the same', async () => {
  const bytes = await book([['姓名', '所在节点代码'], ...Array.from({ length: 130 }, (_, n) => ['王示例', n % 50 === 7 ? 'NOWHERE' : 'U'])])
  const before = [await rows('person'), await rows('audit_entry')] as const
  const id = await town.inside(() => startImport({ db: database.db, keyring, workbooks }, 'people', 'good', bytes, admin))
  const task = { id, input: { kind: 'people', mode: 'good', ...await readSheet(workbooks, bytes, IMPORT_COLUMNS.people) }, actor: admin, position: null, done: 0, beat: () => Promise.resolve() }
  const step = () => town.inside(() => importWork(database.db, keyring)(task))
  const first = await step()
  expect([first.done, first.failed!.map(({ at }) => at).slice(0, 1)]).toEqual([expect.any(Number), ['第9行 B列']])
  const after = [await rows('person'), await rows('audit_entry')] as const
  expect(after[0]).toBeGreaterThan(before[0])
  const again = await step()
  expect(again.failed!.slice(0, first.failed!.length)).toEqual(first.failed)
  await work(database.db)
  expect([await rows('person'), await rows('audit_entry')]).toEqual([before[0] + 127, before[1] + 128])
  const { body: result } = await call(origin, token(admin), 'GET', `/v1/imports/${id}?limit=100`)
  expect(result).toMatchObject({ imported: 127, refused: 3 })
})

test('nodes: a tree in one sheet, whole; coordinates; levels by their names', async () => {
  const bytes = await book([['代码', '名称', '层级', '上级代码', '经度', '纬度', '坐标系'], ['P-9', '9号楼', '楼栋', 'P', 118.3412, 35.0541, 'gcj02'], ['P-9-1', '1单元', '单元', 'P-9'], ['P-9-2', '2单元', 'unit', 'P-9']])
  expect((await send('kind=nodes&mode=dry-run', bytes)).result).toMatchObject({ imported: 0, refused: 0 })
  expect(await rows(`node WHERE code LIKE 'P-9%'`)).toBe(0)
  expect((await send('kind=nodes&mode=all', bytes)).result).toMatchObject({ imported: 3, refused: 0 })
  expect(await rows(`node WHERE path LIKE 'S/C/P/P-9/%'`)).toBe(3)
  const again = await send('kind=nodes&mode=all', bytes)
  expect(again.result!.data.map(({ message }: { message: string }) => message)).toEqual([2, 3, 4].map((row) => `第${row}行 A列：这个代码已经用过`))
})

test('items, with the words of the dropdowns', async () => {
  const bytes = await book([['代码', '名称', '类型', '办法', '分类', '时限规则代码', '可上墙', '分级'], ['drain', '疏通下水', '服务', '派单', '设施', 'standard', '否', '小事'], ['x', '坏', '别的', '派单', '设施', 'standard'], ['y', '坏', '服务', '派单', '设施', 'no-policy']])
  const { result } = await send('kind=items&mode=good', bytes)
  expect(result!.data.map(({ message }: { message: string }) => message)).toEqual(['第3行 C列：应为心愿、服务、代办、调解、建议、活动之一', '第4行 F列：没有这个时限规则'])
  expect((await call(origin, token(admin), 'GET', '/v1/items?limit=100')).body.data.find(({ code }: { code: string }) => code === 'drain')).toMatchObject({ name: '疏通下水', kind: 'service', mode: 'dispatch', wall: false, grade: 'minor' })
})

test('a day’s visits and slips: Excel’s dates in the tenant’s zone, needs filed, never twice', async () => {
  expect((await send('kind=households&mode=all', await book([['门牌', '节点代码'], [501, 'U'], ['502', 'U']]))).result).toMatchObject({ imported: 2 })
  const before = await rows('request')
  const bytes = await book([
    ['来源', '节点代码', '门牌', '时间', '走访结果', '服务项目代码', '标题', '内容', '诉求人', '诉求人电话', '当场办理结果'],
    ['走访', 'U', 501, new Date('2026-11-20T09:30:00Z'), '见到', 'corridor-light', '灯不亮', '三层', '王示例', 13800138000],
    ['走访', 'U', '502', '2026年11月20日', '无人'],
    ['信报箱', 'U', null, '2026-11-19', null, 'corridor-light', '想要一盏灯'],
    ['走访', 'U', '503', '2026-11-20', '无人'], ['走访', 'U', '501', '2026-13-40', '无人'], ['走访', 'U', '501', '2026-11-20', null], ['信报箱', 'U', null, '2026-11-20', null, 'no-item', 'x'],
  ])
  expect((await send('kind=visits&mode=dry-run', bytes)).result).toMatchObject({ imported: 0, refused: 4 })
  const { result } = await send('kind=visits&mode=good', bytes)
  expect([result!.imported, result!.data.map(({ message }: { message: string }) => message)]).toEqual([3, [
    '第5行 C列：没有登记这一户', '第6行 D列：应为日期或时间，如 2026-11-21 09:30', '第7行 E列：走访须填写走访结果', '第8行 F列：服务菜单中没有这一项',
  ]])
  const { rows: filed } = await database.owner.query(`SELECT source, "collectedAt", number FROM request ORDER BY id DESC LIMIT 2`)
  expect(filed.map(({ source, collectedAt }) => [source, collectedAt.toISOString()]).sort()).toEqual([['mailbox', '2026-11-18T16:00:00.000Z'], ['visit', '2026-11-20T01:30:00.000Z']])
  expect(filed.every(({ number }) => /^WX\d{8}-\d{6}$/.test(number))).toBe(true)
  expect([await rows('request'), await rows('visit')]).toEqual([before + 2, 2])
})
