import ExcelJS from 'exceljs'
import type { FastifyInstance } from 'fastify'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { disarmed, LEDGER_HEADINGS } from '../../src/domain/exports.ts'
import { tableStream } from '../../src/outside/table-stream.ts'
import { createPerson } from '../../src/service/people.ts'
import { act, file } from '../../src/service/requests.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { wholeApi } from '../http/whole-api.ts'
import { testPlace, type TestPlace } from '../place.ts'
import { keyring, tokenFor } from '../processes.ts'

/** 导出 over real HTTP: the columns of the 台账, what is masked, what is on record, and what no spreadsheet works out. */

let database: TestDatabase
let town: TestPlace
let app: FastifyInstance
let origin: string
let admin: PersonActor, head: PersonActor, outsider: PersonActor
let filer: string

const token = (who: { id: string }) => tokenFor(town.tenantId, who.id)
const get = (who: { id: string }, path: string) => fetch(`${origin}/v1/exports/${path}`, { headers: { authorization: `Bearer ${token(who)}` } })
async function sheet(who: { id: string }, path: string): Promise<string[][]> {
  const book = new ExcelJS.Workbook()
  await book.xlsx.load(await (await get(who, path)).arrayBuffer())
  const rows: string[][] = []
  book.worksheets[0]!.eachRow((row) => rows.push(Array.from({ length: book.worksheets[0]!.columnCount }, (_, n) => String(row.getCell(n + 1).value ?? ''))))
  return rows
}

beforeAll(async () => {
  database = await freshDatabase()
  town = await testPlace(database)
  ;[admin, head, outsider] = await Promise.all([town.person({ at: 'S', can: ['view', 'administer', 'dispatch', 'file_for'] }), town.person({ at: 'B', can: ['view'] }), town.person({ at: 'C', can: ['handle'] })])
  await town.inside(async () => {
    filer = await createPerson(database.db, keyring, { name: '王示例', phone: '13800138000', door: '502', nodeId: town.node.U })
    await file(database.db, { item: 'corridor-light', title: '=HYPERLINK("http://x")', description: '@SUM(A1)\n第二行，有逗号和"引号"', node: 'U', filer, grade: 'urgent', resolvedOnSpot: { outcome: '+换好了' } }, admin)
    await file(database.db, { item: 'corridor-light', title: '秘密的标题', node: 'U', filer, confidential: true }, admin)
    const lamp = await file(database.db, { item: 'corridor-light', title: '路灯不亮', node: 'P' }, admin)
    await act(database.db, 'accept', lamp.id, {}, admin)
  })
  app = await wholeApi(database.db)
  origin = await app.listen({ host: '127.0.0.1', port: 0 })
})
afterAll(async () => {
  await app.close()
  await database.drop()
})

describe('台账', () => {
  test('as .xlsx: the columns of 12345 exports, newest first, masked; what is secret is not told', async () => {
    const rows = await sheet(admin, 'ledger')
    expect(rows[0]).toEqual([...LEDGER_HEADINGS])
    expect(rows).toHaveLength(4)
    const [lamp, secret, light] = rows.slice(1) as [string[], string[], string[]]
    const cell = (row: string[], heading: string) => row[LEDGER_HEADINGS.indexOf(heading as never)]
    expect([cell(lamp, '标题'), cell(lamp, '工单状态'), cell(lamp, '小区点位'), cell(lamp, '村/社区'), cell(lamp, '被反映街乡镇')]).toEqual(['路灯不亮', '已受理', 'P', 'C', 'S'])
    expect([cell(light, '问题分类'), cell(light, '标签'), cell(light, '工单类型'), cell(light, '处理受理方式'), cell(light, '工单性质'), cell(light, '是否满意'), cell(light, '办理结果')])
      .toEqual(['服务->x->楼道灯', '急事', '服务', '当场办结', '主办', '未评价', '已办成'])
    expect([cell(light, '来电人'), cell(light, '来电人电话/账号')]).toEqual(['王**', '138****8000'])
    expect(secret.filter((text) => text !== '')).toEqual([expect.stringMatching(/^WX/), '保密', '待受理', 'TEST', 'S', 'C'])
  })

  test('nothing in it is worked out: in both formats', async () => {
    const rows = (await sheet(admin, 'ledger')).flat()
    expect(rows).toEqual(expect.arrayContaining([`'=HYPERLINK("http://x")`, `'@SUM(A1)\n第二行，有逗号和"引号"`, `'+换好了`]))
    const csv = await (await get(admin, 'ledger?format=csv')).text()
    expect(csv).toContain(`"'=HYPERLINK(""http://x"")"`)
    for (const bad of ['=1', '+1', '-1', '@x', '\tx', '\rx', '＝1', '＋1', '－1', '＠x']) expect(disarmed(bad)).toBe(`'${bad}`)
    for (const good of ['13800138000', '王示例', 'a=1', '']) expect(disarmed(good)).toBe(good)
  })

  test('as CSV it begins with the mark that Excel looks for', async () => {
    const answer = await get(admin, 'ledger?format=csv')
    const bytes = Buffer.from(await answer.arrayBuffer())
    expect([answer.headers.get('content-type'), bytes.subarray(0, 3).toString('hex')]).toEqual(['text/csv; charset=utf-8', 'efbbbf'])
    expect(bytes.toString().slice(1).split('\r\n')[0]).toBe(LEDGER_HEADINGS.join(','))
  })

  test('with names for a reason: the administrator in person alone, and every person on record', async () => {
    const reveals = async () => (await database.owner.query(`SELECT "personId", "actorId", reason, fields FROM reveal`)).rows
    expect((await get(head, 'ledger?node=B&reveal=verify')).status).toBe(403)
    expect((await get(admin, 'ledger?reveal=curiosity')).status).toBe(400)
    expect(await reveals()).toEqual([])
    const rows = await sheet(admin, 'ledger?reveal=lawful_order')
    expect(rows.filter((row) => row.includes('王示例') && row.includes('13800138000'))).toHaveLength(1)
    expect(await reveals()).toEqual([{ personId: filer, actorId: admin.id, reason: 'lawful_order', fields: ['name', 'phone'] }])
    const { rows: audited } = await database.owner.query(`SELECT details FROM audit_entry WHERE action = 'export.made' ORDER BY at DESC LIMIT 1`)
    expect(audited).toEqual([{ details: { list: 'ledger', format: 'xlsx', node: null, revealed: 'lawful_order' } }])
  })

  test('of one’s places alone, and by their filters', async () => {
    expect(await sheet(head, 'ledger')).toHaveLength(3)
    expect((await get(head, 'ledger?node=P')).status).toBe(403)
    expect((await get(outsider, 'ledger')).status).toBe(403)
    expect(await sheet(admin, 'requests?state=accepted')).toHaveLength(2)
    expect((await get(admin, 'ledger?nothing=1')).status).toBe(400)
  })
})

test('every list, and none of them says who lives where', async () => {
  for (const list of ['requests', 'ledger', 'visits', 'people', 'households']) {
    const text = (await sheet(admin, list)).flat().join('|')
    expect(text).not.toMatch(/王示例|13800138000|502/)
  }
  expect((await sheet(admin, 'people')).some((row) => row.includes('138****8000'))).toBe(true)
})

describe('the stream', () => {
  test('takes no more pages than its reader does', async () => {
    let taken = 0
    async function* pages() {
      for (let n = 0; n < 5_000; n++) {
        taken++
        yield Array.from({ length: 100 }, (_, row) => [`${n}-${row}`, Math.sqrt(n * 100 + row).toString(), '路灯不亮'])
      }
    }
    const stream = tableStream('xlsx', ['a', 'b', 'c'], pages())
    for await (const chunk of stream) if ((chunk as Buffer).length > 0 && taken > 0) break
    expect(taken).toBeLessThan(200)
  })

  test('ends in an error when a page cannot be read, and not as a whole file', async () => {
    async function* pages() {
      yield [['1']]
      throw new Error('gone')
    }
    for (const format of ['xlsx', 'csv'] as const) await expect(tableStream(format, ['a'], pages()).toArray()).rejects.toThrow('gone')
  })
})
