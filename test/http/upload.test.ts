import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../database.ts'
import { camera, hugePng } from '../pictures.ts'
import { testPlace } from '../place.ts'
import { startProcess, tokenFor, type Running } from '../processes.ts'

/** An API in a process of its own, sent more than it can take: what it answers, and what of memory it took for it. */

const MIB = 1_048_576
let database: TestDatabase
let home: string
let api: Running
let authorization: string
let jpeg: Buffer

beforeAll(async () => {
  database = await freshDatabase()
  const town = await testPlace(database)
  authorization = `Bearer ${tokenFor(town.tenantId, (await town.person()).id)}`
  home = await mkdtemp(join(tmpdir(), 'wish-wall-upload-'))
  api = await startProcess('api', { DATABASE_URL: database.url, WISHWALL_FILES_DIR: join(home, 'files'), TMPDIR: home })
  jpeg = await camera(1000, 750).jpeg({ quality: 70 }).toBuffer()
  // What decoders and pools take for good is not what is measured.
  for (let n = 0; n < 3; n++) await (await send(jpeg)).text()
})
afterAll(async () => {
  await api.stop()
  await rm(home, { recursive: true, force: true })
  await database.drop()
})

const send = (bytes: Uint8Array): Promise<Response> => {
  const body = new FormData()
  body.append('file', new Blob([new Uint8Array(bytes)]), 'photo.jpg')
  return fetch(`${api.origin}/v1/attachments`, { method: 'POST', headers: { authorization }, body })
}

/** The most it ever held, in MiB; where the kernel does not keep count, what it holds now. */
function peak(): number {
  const { pid } = api.child
  if (process.platform !== 'linux') return Number(execFileSync('ps', ['-o', 'rss=', '-p', String(pid)])) / 1024
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024
}

const HEAD = `POST /v1/attachments HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=x\r\n`
const PART = `--x\r\ncontent-disposition: form-data; name="file"; filename="film.jpg"\r\ncontent-type: image/jpeg\r\n\r\n`

/** Sends for ever, as fast as it is taken, until it is answered or cut off. */
async function sendEndlessly(headers: string, framed: (bytes: Buffer) => Buffer): Promise<{ answer: string; sent: number }> {
  const socket = connect(Number(new URL(api.origin).port), '127.0.0.1')
  await once(socket, 'connect')
  let answer = ''
  socket.setEncoding('utf8').on('data', (chunk: string) => { answer += chunk }).on('error', () => {})
  socket.write(`${HEAD}${headers}\r\n`)
  socket.write(framed(Buffer.from(PART)))
  const block = framed(Buffer.alloc(65_536))
  const ended = once(socket, 'close').catch(() => [])
  const pump = (): void => {
    while (!socket.destroyed && socket.writable && socket.write(block));
  }
  socket.on('drain', pump)
  pump()
  await ended
  return { answer, sent: socket.bytesWritten }
}

const whole = (bytes: Buffer): Buffer => bytes
const chunked = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')])

describe('2 GB', () => {
  test.each<[string, () => string, (bytes: Buffer) => Buffer, number, string]>([
    ['that are announced', () => `authorization: ${authorization}\r\ncontent-length: 2147483648\r\n`, whole, 413, 'body-too-large'],
    ['that are not', () => `authorization: ${authorization}\r\ntransfer-encoding: chunked\r\n`, chunked, 413, 'body-too-large'],
    ['of a stranger', () => `content-length: 2147483648\r\n`, whole, 401, 'unauthenticated'],
  ])('%s are refused while they are sent, in words, and read no further', async (_, headers, framed, status, code) => {
    const before = peak()
    const { answer, sent } = await sendEndlessly(headers(), framed)
    const [head, body] = answer.split('\r\n\r\n') as [string, string]
    expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    expect(JSON.parse(body)).toMatchObject({ code, status })
    expect(sent).toBeLessThan(100 * MIB) // most of it in the buffers of two sockets
    expect(peak() - before).toBeLessThan(100)
    expect(await readdir(home)).toEqual(['files'])
    expect((await send(jpeg)).status).toBe(201)
  })

  test('sent by a client that listens while it sends: it hears why', async () => {
    async function* film() {
      yield Buffer.from(PART)
      for (let n = 0; n < 2048; n++) yield Buffer.alloc(MIB)
    }
    const answer = await fetch(`${api.origin}/v1/attachments`, {
      method: 'POST', headers: { authorization, 'content-type': 'multipart/form-data; boundary=x' }, body: ReadableStream.from(film()), duplex: 'half',
    } as RequestInit)
    expect(answer.status).toBe(413)
    expect(await answer.json()).toMatchObject({ code: 'body-too-large', detail: '每个文件至多 10 MB' })
  })

  test('and 12 MB, by one that listens only when all is sent', async () => {
    const answer = await send(Buffer.alloc(12 * MIB))
    expect(answer.status).toBe(413)
    expect(await answer.json()).toMatchObject({ code: 'body-too-large' })
  })
})

describe('memory', () => {
  test('50 uploads of 10 MB at once take that of a few', async () => {
    const padded = Buffer.concat([jpeg, Buffer.alloc(10 * MIB - jpeg.length)])
    const before = peak()
    const answers = await Promise.all(Array.from({ length: 50 }, () => send(padded)))
    expect(answers.map(({ status }) => status)).toEqual(Array(50).fill(201))
    expect(peak() - before).toBeLessThan(170) // measured 75 to 100; 500 were sent
    expect(await readdir(home)).toEqual(['files'])
  }, 120_000)

  test('20 bombs at once take that of none', async () => {
    const bomb = hugePng(20_000, 20_000)
    const before = peak()
    const answers = await Promise.all(Array.from({ length: 20 }, () => send(bomb)))
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(413))
    expect(peak() - before).toBeLessThan(50)
  })
})
