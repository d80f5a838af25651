import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import iconv from 'iconv-lite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { unzip, zip } from '../../src/outside/zip.ts'
import { deflateRawSync, crc32 } from 'node:zlib'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { testPlace } from '../place.ts'
import { startProcess, tokenFor, type Running } from '../processes.ts'
import { book, upload } from './sheets.ts'

/** What is no table, or one that would be read wrongly: an API in a process of its own says why, holds little, and has imported nothing. */

const MIB = 1_048_576
let database: TestDatabase
let home: string
let api: Running
let token: string
const GOOD = [['姓名', '所在节点代码'], ['王示例', 'U']]

beforeAll(async () => {
  database = await freshDatabase()
  const town = await testPlace(database)
  token = tokenFor(town.tenantId, (await town.person({ at: 'S', can: ['administer', 'file_for'] })).id)
  home = await mkdtemp(join(tmpdir(), 'wish-wall-import-'))
  api = await startProcess('api', { DATABASE_URL: database.url, TMPDIR: home })
  await upload(api.origin, token, 'kind=people', await book(GOOD)) // what decoders take for good is not what is measured
})
afterAll(async () => {
  await api.stop()
  await rm(home, { recursive: true, force: true })
  await database.drop()
})

const peak = (): number => Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${api.child.pid}/status`, 'utf8'))![1]) / 1024
const operations = async (): Promise<number> => (await database.owner.query<{ n: number }>('SELECT count(*)::int AS n FROM operation')).rows[0]!.n
/** The same workbook with one more part, or another. */
const with_ = async (name: string, content: Buffer): Promise<Buffer> => zip(new Map([...unzip(await book(GOOD), { limit: 10 * MIB, wanted: () => true }), [name, content]]))

/** A sheet that unpacks to a gigabyte. */
async function bomb(): Promise<Buffer> {
  const packed = deflateRawSync(Buffer.concat([Buffer.from('<worksheet>'), Buffer.alloc(200 * MIB, ' ')]), { level: 9 })
  const parts = unzip(await book(GOOD), { limit: 10 * MIB, wanted: (name) => !name.startsWith('xl/worksheets/') })
  const rest = zip(parts)
  const end = rest.length - 22
  const at = rest.readUInt32LE(end + 16)
  const name = Buffer.from('xl/worksheets/sheet1.xml')
  const common = Buffer.alloc(26)
  common.writeUInt16LE(20, 0)
  common.writeUInt16LE(8, 4)
  common.writeUInt32LE(crc32(packed), 10)
  common.writeUInt32LE(packed.length, 14)
  common.writeUInt32LE(1_000, 18) // says that it is small
  common.writeUInt16LE(name.length, 22)
  const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, name, packed])
  const tail = Buffer.alloc(14)
  tail.writeUInt32LE(at, 10)
  const central = Buffer.concat([rest.subarray(at, end), Buffer.from('PK\x01\x02'), Buffer.from([20, 0]), common, tail, name])
  const last = Buffer.from(rest.subarray(end))
  last.writeUInt16LE(parts.size + 1, 8)
  last.writeUInt16LE(parts.size + 1, 10)
  last.writeUInt32LE(central.length, 12)
  last.writeUInt32LE(at + local.length, 16)
  return Buffer.concat([rest.subarray(0, at), local, central, last])
}

describe('refused at once, with the reason', () => {
  const csv = (text: string) => Promise.resolve(Buffer.from(text))
  test.each<[string, () => Promise<Buffer>, number, string, string]>([
    ['macros', () => with_('xl/vbaProject.bin', Buffer.from('x')), 415, 'file-type-unsupported', '含有宏'],
    ['an old .xls', () => Promise.resolve(Buffer.concat([Buffer.from('d0cf11e0a1b11ae1', 'hex'), Buffer.alloc(600)])), 415, 'file-type-unsupported', '旧版'],
    ['a picture', () => Promise.resolve(Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), Buffer.alloc(100)])), 415, 'file-type-unsupported', 'CSV'],
    ['nothing', () => csv(''), 415, 'file-type-unsupported', '空的'],
    ['a torn archive', async () => (await book(GOOD)).subarray(0, 2_000), 400, 'file-unreadable', '损坏'],
    ['bytes that are characters of no encoding', () => Promise.resolve(Buffer.concat([Buffer.from('姓名,所在节点代码\n'), Buffer.from([0xff, 0xfe, 0x81, 0xff, 0xff])])), 400, 'file-unreadable', '编码'],
    ['Big5', () => Promise.resolve(iconv.encode('姓名,所在節點代碼\n王示例,U\n', 'big5')), 400, '', ''],
    ['quotes that do not end', () => csv('姓名,所在节点代码\n"王示例,U\n'), 400, 'file-unreadable', 'CSV'],
    ['merged cells', () => book(GOOD, (sheet) => sheet.mergeCells('A2:A4')), 400, 'validation-failed', '第2行 A列：合并单元格 A2:A4'],
    ['a heading that is missing', () => book([['姓名', '电话'], ['王示例', '']]), 400, 'validation-failed', '第1行：缺少列“所在节点代码”'],
    ['a heading that is none', () => book([['姓名', '所在节点代码', '备注'], ['王示例', 'U', 'x']]), 400, 'validation-failed', '第1行 C列：不认识的列'],
    ['a heading twice', () => book([['姓名', '所在节点代码', '姓名'], ['王示例', 'U', 'x']]), 400, 'validation-failed', '第1行 C列：列“姓名”重复'],
    ['no rows', () => book([GOOD[0]!]), 400, 'validation-failed', '没有数据'],
    ['10,001 rows', () => csv(`姓名,所在节点代码\n${'王示例,U\n'.repeat(10_001)}`), 413, 'body-too-large', '10000 行'],
  ])('%s', async (_, made, status, code, words) => {
    const before = await operations()
    const answer = await upload(api.origin, token, 'kind=people&mode=good', await made())
    expect(answer.status).toBe(status)
    if (code !== '') expect(answer.body.code).toBe(code)
    expect(`${answer.body.detail} ${JSON.stringify(answer.body.errors ?? [])}`).toContain(words.replaceAll('"', '\\"'))
    expect(await operations()).toBe(before)
  })
})

test('formulas are a fault of their cell, whatever they came to', async () => {
  const { status, body } = await upload(api.origin, token, 'kind=people&mode=good', await book([['姓名', '所在节点代码'], [{ formula: '"王"&"示例"', result: '王示例' }, 'U']]))
  expect(status).toBe(202)
  const worker = await startProcess('worker', { DATABASE_URL: database.url })
  try {
    for (;;) {
      const answer = await fetch(`${api.origin}/v1/operations/${body.operation}`, { headers: { authorization: `Bearer ${token}` } })
      const operation = await answer.json() as { state: string; errors: { at: string; message: string }[] }
      if (operation.state === 'done') {
        expect(operation.errors).toEqual([{ at: '第2行 A列', code: 'formula', message: '第2行 A列：是公式，请改为数值' }])
        break
      }
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  } finally {
    await worker.stop()
  }
}, 60_000)

describe('memory', () => {
  test('a zip bomb takes that of its limit, and hears why', async () => {
    const file = await bomb()
    const before = peak()
    for (let n = 0; n < 3; n++) {
      const { status, body } = await upload(api.origin, token, 'kind=people', file)
      expect([status, body.code, body.reason]).toEqual([413, 'body-too-large', 'too-big'])
    }
    console.log(`bomb of ${(file.length / 1024).toFixed(0)} KiB for 200 MiB: peak ${before.toFixed(0)} -> ${peak().toFixed(0)} MiB`)
    expect(peak() - before).toBeLessThan(150)
  }, 60_000)

  test('2 GB are cut off long before', async () => {
    const before = peak()
    const socket = connect(Number(new URL(api.origin).port), '127.0.0.1')
    await once(socket, 'connect')
    let answer = ''
    let sent = 0
    socket.setEncoding('utf8').on('data', (chunk: string) => { answer += chunk }).on('error', () => {})
    const closed = new Promise((resolve) => socket.once('close', resolve))
    socket.write(`POST /v1/imports?kind=people HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\ncontent-type: multipart/form-data; boundary=x\r\ncontent-length: 2147483648\r\n\r\n--x\r\ncontent-disposition: form-data; name="file"; filename="x.xlsx"\r\n\r\n`)
    const piece = Buffer.alloc(MIB)
    while (!socket.destroyed && sent < 2_048) {
      sent++
      if (!socket.write(piece)) await Promise.race([new Promise((resolve) => socket.once('drain', resolve)), closed])
    }
    await closed
    console.log(`2 GB: ${sent} MiB sent, peak ${before.toFixed(0)} -> ${peak().toFixed(0)} MiB`)
    expect(answer).toMatch(/^HTTP\/1\.1 413/)
    expect(sent).toBeLessThan(200)
    expect(peak() - before).toBeLessThan(80)
    expect(await readdir(home)).toEqual([])
  }, 60_000)

  test('and after all of it nobody is imported', async () => {
    expect((await database.owner.query(`SELECT count(*)::int AS n FROM import_row WHERE state = 'done'`)).rows).toEqual([{ n: 0 }])
  })
})
