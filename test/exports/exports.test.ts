import { parse } from 'csv-parse/sync'
import ExcelJS from 'exceljs'
import type { FastifyInstance } from 'fastify'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PersonActor } from '../../src/domain/actor.ts'
import { disarmed, EXPORT_LISTS, HEADINGS, LEDGER_HEADINGS } from '../../src/domain/exports.ts'
import { IMPORT_COLUMNS } from '../../src/domain/import-kinds.ts'
import { tableStream } from '../../src/outside/table-stream.ts'
import { createCampaign } from '../../src/service/campaigns.ts'
import { createHouseholds } from '../../src/service/households.ts'
import { createOrganisation } from '../../src/service/organisations.ts'
import { createPerson } from '../../src/service/people.ts'
import { act, file } from '../../src/service/requests.ts'
import { createSkill, declareSkill } from '../../src/service/skills.ts'
import { createSubject } from '../../src/service/subjects.ts'
import { createVenue } from '../../src/service/venues.ts'
import { fileVisit } from '../../src/service/visits.ts'
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

describe('every list', () => {
  test('has its columns, and none says who lives where', async () => {
    for (const list of EXPORT_LISTS) {
      const rows = await sheet(admin, list)
      expect(rows[0], list).toEqual([...HEADINGS[list]])
      expect(rows.flat().join('|'), list).not.toMatch(/王示例|13800138000|502/)
      const csv = await (await get(admin, `${list}?format=csv`)).text()
      expect(parse(csv, { bom: true }), list).toEqual(rows)
      expect((await get(outsider, list)).status, list).toBe(403)
    }
    expect((await sheet(admin, 'people')).some((row) => row.includes('138****8000'))).toBe(true)
  })

  test('of the tree is what the template takes: it is read in again as it is', async () => {
    await database.owner.query(`UPDATE node SET lng = 118.3412, lat = 35.0541 WHERE id = $1`, [town.node.P])
    expect((await sheet(admin, 'nodes')).slice(1)).toEqual([
      ['S', 'S', '街道', '', '', '', ''], ['C', 'C', '社区', 'S', '', '', ''], ['P', 'P', '小区', 'C', '118.3412', '35.0541', 'wgs84'], ['B', 'B', '楼栋', 'P', '', '', ''], ['U', 'U', '单元', 'B', '', '', ''],
    ])
    expect((await sheet(head, 'nodes?node=B')).slice(1).map(([code]) => code)).toEqual(['B', 'U'])
    expect(HEADINGS.nodes).toEqual(IMPORT_COLUMNS.nodes.map(({ name }) => name))
  })

  test('of the menu, organisations, duties and enrolments: those of one’s places, in words', async () => {
    const member = await town.person({ kinds: ['party_member'] })
    await town.inside(() => createOrganisation(database.db, { node: 'P', code: 'FIRM', name: '=物业', kind: 'property', uscc: undefined }, admin))
    expect((await sheet(admin, 'items')).slice(1)).toEqual([
      ['companionship', '陪伴', '心愿', '上墙认领', 'x', 'standard', '是', '', '否', '否', '', '否', '1'], ['corridor-light', '楼道灯', '服务', '上墙认领', 'x', 'standard', '否', '', '否', '否', '', '否', '1'],
    ])
    expect((await sheet(admin, 'organisations?node=P')).slice(1)).toEqual([['BRANCH', '支部', '小区党支部', '', 'P', 'P'], ['FIRM', `'=物业`, '物业公司', '', 'P', 'P']])
    const duties = (await sheet(head, 'duties')).slice(1)
    expect(duties.map((row) => [row[2], row[3]])).toEqual([['role-view', 'B']])
    expect((await sheet(admin, 'duties')).length).toBeGreaterThan(3)
    expect((await sheet(admin, 'enrolments')).slice(1).map((row) => [row[0], row[2], row[6]])).toEqual([['党员', 'BRANCH', '已核实']])
    // Who only looks decides on nobody.
    expect((await get(head, 'enrolments')).status).toBe(403)
    expect(member.affiliations).toHaveLength(1)
  })

  test('of the boards: who is responsible, with what he lets be known, and what is vacant', async () => {
    const keeper = await town.person({ at: 'C', can: ['view', 'dispatch'] })
    const subject = await town.inside(() => createSubject(database.db, keyring, { name: '李示例', workPhone: '0539-8123456' }))
    await database.owner.query(`UPDATE person SET "subjectId" = $1 WHERE id = $2`, [subject, keeper.id])
    await database.owner.query(`INSERT INTO contact_card ("tenantId", "dutyId", "personId", fields, audience, "changedAt") SELECT "tenantId", id, "personId", '{name,phone}', 'residents', now() FROM duty WHERE "personId" = $1`, [keeper.id])
    const rows = (await sheet(admin, 'contacts?node=C')).slice(1)
    expect(rows).toContainEqual(['C', 'C', '社区', '否', 'role-dispatch-view', '', '李示例', '0539-8123456', '否'])
    expect(rows).toContainEqual(['U', 'U', '单元', '是', '', '', '', '', ''])
    expect(rows.some(([code]) => code === 'S')).toBe(false)
  })

  test('of campaigns, venues, skills and credit', async () => {
    await town.inside(async () => {
      await createCampaign(database.db, { node: 'P', code: 'WARM', name: '温暖过冬', items: [], from: new Date('2026-01-01T00:00:00Z'), to: new Date('2099-01-01T00:00:00Z'), capacity: 5 }, admin)
      await createVenue(database.db, { name: '萤火驿站', node: 'P', hours: '每天 9 点到 17 点' }, admin)
      await createSkill(database.db, { code: 'electrics', name: '电工' }, admin)
      await declareSkill(database.db, keyring, 'electrics', { organisation: 'BRANCH', level: 3 }, admin)
      await file(database.db, { item: 'corridor-light', title: '楼道堆物', node: 'U', campaign: 'WARM' }, admin)
    })
    await database.owner.query(`INSERT INTO credit_entry ("tenantId", id, holder, "holderId", "requestId", seq, cycle, reason, points, "viaId", path, at)
      SELECT $1, gen_random_uuid(), 'organisation', o.id, r.id, 1, 1, 'realised', 7, $2, 'S/C/P/B/U/', now() FROM organisation o, request r WHERE o.code = 'BRANCH' AND o."tenantId" = $1 AND r."campaignId" IS NOT NULL`, [town.tenantId, admin.id])
    expect((await sheet(admin, 'campaigns'))[1]).toEqual(['WARM', '温暖过冬', 'P', 'P', '2026-01-01 08:00', '2099-01-01 08:00', '1', '0', '0', '', '', '', '5', '0'])
    expect((await sheet(admin, 'venues'))[1]).toEqual(['萤火驿站', 'P', 'P', '', '每天 9 点到 17 点', 'P'])
    expect((await sheet(admin, 'skills'))[1]!.slice(0, 6)).toEqual(['electrics', '电工', '', '', '支部', '3'])
    expect((await sheet(admin, 'credit?of=organisation'))[1]!.slice(0, 4)).toEqual(['1', '支部', '7', '1'])
    expect(await sheet(admin, 'requests?campaign=WARM')).toHaveLength(2)
    expect((await get(admin, 'requests?campaign=NONE')).status).toBe(404)
  })

  test('of visits says who knocked where, the door masked', async () => {
    await town.inside(async () => {
      const [made] = await createHouseholds(database.db, keyring, [{ node: 'U', door: '502' }], admin)
      await fileVisit(database.db, keyring, { clientId: 'v1', household: made!.id, visitedAt: new Date(), result: 'not_home' }, admin)
    })
    const [, row] = await sheet(admin, 'visits')
    expect([row![0], row![1], row![2], row![6]]).toEqual(['v1', 'U', 'U', '无人'])
    expect(row![3]).not.toBe('')
    expect(row!.join()).not.toContain('502')
  })

  test('of people in clear for a reason: the administrator in person alone, every person on record', async () => {
    const revealed = async () => (await database.owner.query(`SELECT "personId", reason, fields, "requestId" FROM reveal WHERE "requestId" IS NULL AND "personId" = $1`, [filer])).rows
    const viewer = await town.person({ at: 'S', can: ['view'] })
    expect((await get(viewer, 'people?reveal=verify')).status).toBe(403)
    expect(await revealed()).toEqual([])
    expect((await sheet(admin, 'people?reveal=verify')).filter((row) => row.includes('王示例') && row.includes('13800138000') && row.includes('502'))).toHaveLength(1)
    expect(await revealed()).toEqual([{ personId: filer, reason: 'verify', fields: ['name', 'phone', 'door'], requestId: null }])
    // Who lives here and has a duty above is not the compound's to show.
    const chief = await town.inside(() => createPerson(database.db, keyring, { name: '孙示例', phone: '13900139000', nodeId: town.node.U }))
    await database.owner.query(`INSERT INTO duty ("tenantId", id, "personId", "roleCode", "nodeId", "from") SELECT $1, gen_random_uuid(), $2, code, $3, now() - interval '1 day' FROM role WHERE code = 'role-view'`, [town.tenantId, chief, town.node.S])
    const local = await town.person({ at: 'P', can: ['view', 'administer', 'secure'] })
    const rows = await sheet(local, 'people?node=P&reveal=verify')
    expect([rows.some((row) => row.includes('王示例')), rows.some((row) => row.includes('孙**')), rows.flat().join()]).toEqual([true, true, expect.not.stringContaining('孙示例')])
  })
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
