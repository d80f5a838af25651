import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer as createHttp } from 'node:http'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { Outcome } from '../../src/domain/webhook.ts'
import { openEgress } from '../../src/outside/egress.ts'

/** What a receiver does once it has heard a whole request. Bytes on a bare socket: a library would be too polite. */
type Behaviour = (socket: Socket) => void

const MiB = 1024 * 1024
const TIMEOUTS = { connectMs: 1000, headersMs: 1000, totalMs: 1500 }
const egress = openEgress({ allowLoopback: true, allowCidrs: [] })
const servers: Server[] = []
const sockets = new Set<Socket>()
let sentOut = 0
let accepted = 0

async function receiver(behave: (socket: Socket, path: string) => void): Promise<string> {
  const server = createServer((socket) => {
    accepted += 1
    sockets.add(socket.on('error', () => {}).on('close', () => sockets.delete(socket)))
    let heard = ''
    socket.on('data', (chunk) => {
      heard += chunk.toString('latin1')
      const end = heard.indexOf('\r\n\r\n')
      if (end < 0 || heard.length < end + 4 + Number(/content-length: (\d+)/i.exec(heard)?.[1] ?? 0)) return
      const path = heard.split(' ')[1]!
      heard = ''
      behave(socket, path)
    })
  }).listen(0, '127.0.0.1')
  servers.push(server)
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Until the socket is gone or full. */
function pour(socket: Socket, chunk: Buffer, most: number) {
  let left = most
  const more = () => {
    while (left > 0 && !socket.destroyed) {
      left -= chunk.length
      sentOut += chunk.length
      if (!socket.write(chunk)) return void socket.once('drain', more)
    }
    socket.end()
  }
  more()
}
const every = (ms: number, socket: Socket, write: () => void) => {
  const timer = setInterval(() => (socket.writable ? write() : clearInterval(timer)), ms)
  socket.on('close', () => clearInterval(timer))
}
const answer = (status: string, headers = '', body = ''): Behaviour => (socket) => void socket.write(`HTTP/1.1 ${status}\r\n${headers}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
const raw = (text: string | Buffer, end = true): Behaviour => (socket) => void (end ? socket.end(text) : socket.write(text))
const bomb = Buffer.concat(Array.from({ length: 20 }, () => gzipSync(Buffer.alloc(10 * MiB))))

const zipped = gzipSync(randomBytes(600).toString('base64'))

const CASES: [string, Behaviour, object][] = [
  ['takes it', answer('204 No Content'), { kind: 'answer', status: 204, excerpt: '' }],
  ['says a word', answer('200 OK', '', '收到 ✓'), { kind: 'answer', status: 200, excerpt: '收到 ✓' }],
  ['redirects to metadata', answer('302 Found', 'location: http://169.254.169.254/latest/meta-data/\r\n'), { kind: 'answer', status: 302 }],
  ['redirects for good', answer('308 Permanent Redirect', 'location: /else\r\n'), { kind: 'answer', status: 308 }],
  ['is gone', answer('410 Gone', '', 'no more'), { kind: 'answer', status: 410, excerpt: 'no more' }],
  ['is busy for seconds', answer('429 Too Many Requests', 'retry-after: 120\r\n'), { kind: 'answer', status: 429, retryAfter: '120' }],
  ['is busy until a date', answer('503 Service Unavailable', 'Retry-After: Sat, 21 Nov 2026 08:02:00 GMT\r\n'), { kind: 'answer', status: 503, retryAfter: 'Sat, 21 Nov 2026 08:02:00 GMT' }],
  ['is busy twice', answer('503 Busy', 'retry-after: 5\r\nretry-after: 7\r\n'), { kind: 'answer', retryAfter: '5' }],
  ['is busy at length', answer('503 Busy', `retry-after: ${'9'.repeat(9000)}\r\n`), { kind: 'answer', retryAfter: '9'.repeat(100) }],
  ['fails', answer('500 Internal Server Error', '', '<html>\r\n\t<b>Oops</b></html>'), { kind: 'answer', status: 500, excerpt: '<html> <b>Oops</b></html>' }],
  ['writes over the terminal', answer('500 No', '', 'a\u0000\u001b[2Jb\u0007\r\u202ec\u200bd\ufeff\u0085e\u2028f'), { excerpt: 'a[2Jb cde f' }],
  ['writes no UTF-8', raw(Buffer.concat([Buffer.from('HTTP/1.1 500 No\r\nconnection: close\r\n\r\nok'), Buffer.alloc(5000, 0xff)])), { kind: 'answer', status: 500, excerpt: 'ok' }],
  ['is cut within a character', answer('200 OK', '', `a${'愿'.repeat(2000)}`), { excerpt: `a${'愿'.repeat(341)}` }],
  ['is talkative', answer('200 OK', '', 'x'.repeat(60_000)), { kind: 'answer', status: 200, excerpt: 'x'.repeat(1024) }],
  ['announces', raw('HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n', false), { kind: 'answer', status: 201 }],
  ['ends by closing', raw('HTTP/1.1 200 OK\r\n\r\nbye'), { kind: 'answer', status: 200, excerpt: 'bye' }],
  ['speaks HTTP/1.0', raw('HTTP/1.0 200 OK\r\n\r\nold'), { kind: 'answer', status: 200, excerpt: 'old' }],
  ['answers in chunks', raw('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n', false), { kind: 'answer', status: 200, excerpt: 'abc' }],

  ['hangs', () => {}, { kind: 'failed', reason: 'timeout' }],
  ['drips a byte at a time', (socket) => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n')
    every(100, socket, () => socket.write('.'))
  }, { kind: 'failed', reason: 'timeout' }],
  ['drips its headers', (socket) => {
    socket.write('HTTP/1.1 200 OK\r\n')
    every(20, socket, () => socket.write('x: y\r\n'))
  }, { kind: 'failed', reason: 'timeout' }],
  ['never ends its headers', (socket) => {
    socket.write('HTTP/1.1 200 OK\r\n')
    pour(socket, Buffer.from('x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n'.repeat(100)), 200 * MiB)
  }, { kind: 'failed', reason: 'protocol' }],
  ['never ends one header', (socket) => {
    socket.write('HTTP/1.1 200 OK\r\nx: ')
    pour(socket, Buffer.alloc(MiB, 'y'), 200 * MiB)
  }, { kind: 'failed', reason: 'protocol' }],
  ['announces as fast as it can', (socket) => pour(socket, Buffer.from('HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(5000)), 1024 * MiB), { kind: 'failed', reason: 'protocol' }],
  ['sends empty lines', (socket) => pour(socket, Buffer.from('\r\n'.repeat(100_000)), 1024 * MiB), { kind: 'failed', reason: 'protocol' }],
  ['never ends a chunk extension', (socket) => {
    socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;a=')
    pour(socket, Buffer.alloc(MiB, 'a'), 1024 * MiB)
  }, { kind: 'failed', reason: 'protocol' }],
  ['never ends its trailers', (socket) => {
    socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n')
    pour(socket, Buffer.from('x: y\r\n'.repeat(10_000)), 1024 * MiB)
  }, { kind: 'failed', reason: 'protocol' }],
  ['answers a little more than is read', answer('200 OK', '', 'x'.repeat(66_000)), { kind: 'answer', status: 200 }],
  ['answers a little more than is read, and closes', answer('200 OK', 'connection: close\r\n', 'x'.repeat(66_000)), { kind: 'answer', status: 200 }],
  ['announces at leisure', (socket) => every(1, socket, () => socket.write('HTTP/1.1 103 Early Hints\r\n\r\n')), { kind: 'failed', reason: 'timeout' }],
  ['answers a gigabyte', (socket) => {
    socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${1024 * MiB}\r\n\r\n`)
    pour(socket, Buffer.alloc(MiB, 'z'), 1024 * MiB)
  }, { kind: 'answer', status: 200, excerpt: 'z'.repeat(1024) }],
  ['answers a gigabyte in chunks', (socket) => {
    socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n')
    pour(socket, Buffer.concat([Buffer.from('100000\r\n'), Buffer.alloc(MiB, 'z'), Buffer.from('\r\n')]), 1024 * MiB)
  }, { kind: 'answer', status: 200 }],
  ['sends a bomb', raw(Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: ${bomb.length}\r\n\r\n`), bomb])), { kind: 'answer', status: 200, excerpt: '' }],
  ['answers zipped', raw(Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\ncontent-encoding: GZIP\r\ncontent-length: ${zipped.length}\r\n\r\n`), zipped])), { kind: 'answer', status: 200, excerpt: '' }],
  ['says that it does not zip', answer('200 OK', 'content-encoding: identity\r\n', 'plain'), { excerpt: 'plain' }],
  ['resets at once', (socket) => socket.resetAndDestroy(), { kind: 'failed', reason: 'reset' }],
  ['closes at once', (socket) => socket.end(), { kind: 'failed', reason: 'reset' }],
  ['resets within the headers', (socket) => socket.write('HTTP/1.1 200 O', () => setTimeout(() => socket.resetAndDestroy(), 20)), { kind: 'failed', reason: 'reset' }],
  ['resets within the body', (socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf', () => setTimeout(() => socket.resetAndDestroy(), 20)), { kind: 'failed', reason: 'reset' }],
  ['closes within the body', raw('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf'), { kind: 'failed' }],
  ['closes within a chunk', raw('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\nhalf'), { kind: 'failed' }],
  ['speaks something else', raw('SSH-2.0-OpenSSH_9.2p1\r\n'), { kind: 'failed', reason: 'protocol' }],
  ['speaks HTTP/2', raw(Buffer.from('00001204000000000000030000006400040100000000050000400', 'hex')), { kind: 'failed', reason: 'protocol' }],
  ['has no version', raw('HTTP/ 200 OK\r\n\r\n'), { kind: 'failed', reason: 'protocol' }],
  ['has version 9.9', raw('HTTP/9.9 200 OK\r\ncontent-length: 0\r\n\r\n'), { kind: 'failed', reason: 'protocol' }],
  ['has no status', raw('HTTP/1.1 OK\r\n\r\n'), { kind: 'failed', reason: 'protocol' }],
  ['has two lengths', raw('HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab'), { kind: 'failed', reason: 'protocol' }],
  ['has length and chunks', raw('HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'), { kind: 'failed', reason: 'protocol' }],
  ['has a negative length', raw('HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n'), { kind: 'failed', reason: 'protocol' }],
  ['has a bad chunk', raw('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n'), { kind: 'failed', reason: 'protocol' }],
  ['folds a header', raw('HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 0\r\n\r\n'), { kind: 'failed', reason: 'protocol' }],
  ['puts a space before the colon', raw('HTTP/1.1 200 OK\r\ncontent-length : 0\r\n\r\n'), { kind: 'failed', reason: 'protocol' }],
  ['puts NUL into a header', raw('HTTP/1.1 200 OK\r\nx: a\u0000b\r\ncontent-length: 0\r\n\r\n'), { kind: 'failed', reason: 'protocol' }],
  ['ends lines by LF', raw('HTTP/1.1 200 OK\ncontent-length: 0\n\n'), { kind: 'failed', reason: 'protocol' }],
  ['ends lines by CR', raw('HTTP/1.1 200 OK\rcontent-length: 0\r\r'), { kind: 'failed', reason: 'protocol' }],
  ['continues unasked', raw('HTTP/1.1 100 Continue\r\n\r\n', false), { kind: 'failed', reason: 'reset' }],
  ['upgrades unasked', raw('HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n', false), { kind: 'failed', reason: 'reset' }],
]

let origin = ''
beforeAll(async () => {
  origin = await receiver((socket, path) => CASES[Number(path.slice(1))]?.[1](socket))
})
afterAll(async () => {
  await egress.close()
  for (const socket of sockets) socket.destroy()
  for (const server of servers) server.close()
})

const send = (url: string, timeouts = TIMEOUTS): Promise<Outcome> => egress.post({ url, headers: { 'content-type': 'application/json', 'webhook-id': 'a' }, body: '{"type":"request.filed"}', timeouts })

describe('a receiver that', () => {
  test.each(CASES.map(([name, , expected], index) => [name, index, expected] as const))('%s', async (_name, index, expected) => {
    const started = performance.now()
    const outcome = await send(`${origin}/${index}`)
    const took = performance.now() - started
    expect(outcome).toMatchObject(expected)
    expect(took).toBeLessThan(TIMEOUTS.totalMs + 1000)
    if (outcome.kind === 'answer') {
      expect(Buffer.byteLength(outcome.excerpt)).toBeLessThanOrEqual(1024)
      expect(outcome.excerpt).toMatch(/^[^\p{C}]*$/u)
    }
    if (outcome.kind !== 'refused') expect(Math.abs(outcome.ms - took)).toBeLessThan(400)
  })

  test('is not there', async () => {
    const gone = createServer().listen(0, '127.0.0.1')
    await once(gone, 'listening')
    const { port } = gone.address() as AddressInfo
    gone.close()
    expect(await send(`http://127.0.0.1:${port}/`)).toMatchObject({ kind: 'failed', reason: 'connect' })
    expect(await send(`http://localhost:${port}/`)).toMatchObject({ kind: 'failed', reason: 'connect' })
  })
})

describe('each phase has its own limit:', () => {
  const named = (name: string) => `${origin}/${CASES.findIndex(([one]) => one === name)}`
  const silent = openEgress({ allowLoopback: false, allowCidrs: [], resolve: () => new Promise(() => {}) })
  afterAll(() => silent.close())

  test.each<[string, () => Promise<Outcome>]>([
    ['the name', () => silent.post({ url: 'https://silent.example/', headers: {}, body: '', timeouts: { connectMs: 200 } })],
    ['the headers', () => send(named('hangs'), { ...TIMEOUTS, headersMs: 200, totalMs: 9000 })],
    ['the headers, whatever is announced', () => send(named('announces at leisure'), { ...TIMEOUTS, headersMs: 200, totalMs: 9000 })],
    ['the whole', () => send(named('drips a byte at a time'), { connectMs: 9000, headersMs: 9000, totalMs: 200 })],
  ])('%s', async (_name, post) => {
    const [before, dialled] = [new Set(sockets), accepted]
    const outcome = await post()
    expect(outcome).toMatchObject({ kind: 'failed', reason: 'timeout' })
    expect(outcome.kind === 'failed' && outcome.ms).toBeLessThan(3000)
    // Nor is the receiver left waiting, or dialled again for what was given up.
    await vi.waitFor(() => expect([...sockets].filter((socket) => !before.has(socket)).length).toBe(0), { timeout: 3500 })
    expect(accepted).toBeLessThanOrEqual(dialled + 1)
  })
})

test('2,000 mutilated answers are outcomes too, each in time', async () => {
  let seed = 20_261_121
  const random = (most: number) => (seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0) % most
  const good = Buffer.from('HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\nkeep-alive: timeout=5\r\n\r\n4\r\nabcd\r\n0\r\nx-trailer: 1\r\n\r\n')
  const mutilated = () => {
    const bytes = Buffer.from(good)
    for (let times = random(6); times > 0; times--) bytes[random(bytes.length)] = random(2) ? random(256) : good[random(good.length)]!
    return bytes.subarray(random(9) ? 0 : random(20), bytes.length - (random(9) ? 0 : random(20)))
  }
  const url = await receiver((socket) => {
    const bytes = Buffer.concat(Array.from({ length: 1 + random(2) }, mutilated))
    const at = random(bytes.length)
    socket.write(bytes.subarray(0, at))
    // What comes after an answer meets a socket at rest.
    setImmediate(() => (random(3) ? socket.end(bytes.subarray(at)) : socket.resetAndDestroy()))
  })
  const met: Record<string, number> = {}
  const slow = Math.max(...(await Promise.all(Array.from({ length: 50 }, async () => {
    let slowest = 0
    for (let times = 0; times < 40; times++) {
      const started = performance.now()
      const outcome = await send(url)
      slowest = Math.max(slowest, performance.now() - started)
      const name = outcome.kind === 'answer' ? 'answer' : `${outcome.kind} ${outcome.reason}`
      met[name] = (met[name] ?? 0) + 1
    }
    return slowest
  }))))
  console.info(`mutilated answers: ${JSON.stringify(met)}, slowest ${Math.round(slow)} ms`)
  expect(Object.values(met).reduce((sum, count) => sum + count)).toBe(2_000)
  expect(met.answer).toBeGreaterThan(100)
  expect(met['failed protocol']).toBeGreaterThan(100)
  expect(slow).toBeLessThan(2 * TIMEOUTS.totalMs)
})

test('memory is bounded while gigabytes and bombs come in', async () => {
  const at = (name: string) => `${origin}/${CASES.findIndex(([one]) => one === name)}`
  const urls = ['answers a gigabyte', 'answers a gigabyte in chunks', 'sends a bomb', 'never ends its headers', 'never ends one header', 'never ends a chunk extension', 'announces as fast as it can', 'sends empty lines'].map(at)
  await Promise.all(urls.map((url) => send(url)))
  globalThis.gc?.()
  const before = process.memoryUsage().rss
  sentOut = 0
  let most = before
  const watch = setInterval(() => (most = Math.max(most, process.memoryUsage().rss)), 5)
  for (let round = 0; round < 10; round++) expect((await Promise.all(Array.from({ length: 4 }, () => urls).flat().map((url) => send(url)))).map(({ kind }) => kind)).not.toContain('refused')
  clearInterval(watch)
  console.info(`320 huge answers: RSS grew by at most ${Math.round((most - before) / MiB)} MiB, the receivers (same process) wrote ${Math.round(sentOut / MiB)} MiB of them before they were cut off`)
  // The receivers' own buffers are within it.
  expect(most - before).toBeLessThan(200 * MiB)
  expect(sentOut).toBeLessThan(320 * 16 * MiB)
})

test('a healthy receiver does not feel that nine in ten of its neighbours hang, nor those on its own host', async () => {
  const url = await receiver((socket, path) => path === '/hang' || answer('200 OK')(socket))
  const timeouts = { connectMs: 2500, headersMs: 2500, totalMs: 2500 }
  const hanging = Array.from({ length: 270 }, (_none, index) => send(index % 2 ? `${url}/hang` : `http://127.0.${index % 200}.1:${new URL(url).port}/hang`, timeouts))
  const took = await Promise.all(Array.from({ length: 30 }, async () => {
    const started = performance.now()
    expect(await send(url, timeouts)).toMatchObject({ kind: 'answer', status: 200 })
    return performance.now() - started
  }))
  expect(Math.max(...took)).toBeLessThan(2000)
  for (const outcome of await Promise.all(hanging)) expect(outcome.kind).toBe('failed')
})

describe('connections', () => {
  const counted = async (host?: string) => {
    let opened = 0
    const server = createHttp({ keepAliveTimeout: 60_000 }, (request, reply) => request.resume().on('end', () => reply.setHeader('keep-alive', 'timeout=3600').end('k'.repeat(8000)))).on('connection', () => (opened += 1)).listen(0, host)
    await once(server, 'listening')
    return {
      port: (server.address() as AddressInfo).port,
      opened: () => opened,
      open: () => new Promise<number>((resolve, reject) => server.getConnections((error, count) => (error ? reject(error) : resolve(count)))),
      close: () => {
        server.close()
        server.closeAllConnections()
      },
    }
  }

  test('are used again within an origin, but never by another name', async () => {
    const server = await counted()
    for (let times = 0; times < 100; times++) expect(await send(`http://127.0.0.1:${server.port}/${times}`)).toMatchObject({ status: 200 })
    // The second takes over while the first still leaves its last answer.
    expect(server.opened()).toBeLessThanOrEqual(2)
    const before = server.opened()
    expect(await send(`http://localhost:${server.port}/`)).toMatchObject({ status: 200 })
    expect(server.opened()).toBe(before + 1)
    server.close()
  })

  test('that rest are left after a moment, whatever the receiver asks and however busy the others are', async () => {
    const server = await counted()
    await Promise.all(Array.from({ length: 20 }, () => send(`http://127.0.0.1:${server.port}/`)))
    expect(await server.open()).toBeGreaterThan(10)
    await vi.waitFor(async () => {
      expect(await send(`http://127.0.0.1:${server.port}/`)).toMatchObject({ status: 200 })
      expect(await server.open()).toBeLessThanOrEqual(2)
    }, { timeout: 8000, interval: 100 })
    server.close()
  })

  test('to 600 origins: at most 256 stay open', async () => {
    const server = await counted('0.0.0.0')
    const hosts = Array.from({ length: 600 }, (_none, index) => `127.1.${index >> 8}.${index & 255}`)
    for (let at = 0; at < hosts.length; at += 50) for (const outcome of await Promise.all(hosts.slice(at, at + 50).map((host) => send(`http://${host}:${server.port}/`)))) expect(outcome).toMatchObject({ status: 200 })
    // Both ends have to hear of it.
    await new Promise((resolve) => setTimeout(resolve, 200))
    const open = await server.open()
    console.info(`after 600 origins: ${open} connections open`)
    expect(open).toBeLessThanOrEqual(256)
    server.close()
  })

  test('go past no proxy, whatever the environment says', async () => {
    let seen = 0
    const proxy = createServer((socket) => {
      seen += 1
      socket.on('error', () => {}).end()
    }).listen(0, '127.0.0.1')
    await once(proxy, 'listening')
    const names = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'http_proxy', 'https_proxy', 'all_proxy', 'NODE_USE_ENV_PROXY']
    const kept = names.map((name) => process.env[name])
    for (const name of names) process.env[name] = name === 'NODE_USE_ENV_PROXY' ? '1' : `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
    const fresh = openEgress({ allowLoopback: true, allowCidrs: [] })
    expect(await fresh.post({ url: `${origin}/0`, headers: {}, body: '' })).toMatchObject({ status: 204 })
    expect(seen).toBe(0)
    for (const [index, name] of names.entries()) {
      if (kept[index] === undefined) delete process.env[name]
      else process.env[name] = kept[index]
    }
    await fresh.close()
    proxy.close()
  })
})

test('what is sent is what was given: method, path, headers, bytes, and the host that was checked', async () => {
  const heard: object[] = []
  const server = createHttp((request, reply) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
      heard.push({ method: request.method, url: request.url, headers: request.headers, body: Buffer.concat(chunks).toString() })
      reply.end()
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await egress.post({ url: `http://127.0.0.1:${port}/a%20b/../c?x=心#f`, headers: { 'Host': 'inside.example', 'webhook-id': '1', 'content-type': 'application/json' }, body: Buffer.from('{"心":"愿"}') })
  expect(heard).toEqual([{ method: 'POST', url: '/c?x=%E5%BF%83', body: '{"心":"愿"}', headers: { 'host': `127.0.0.1:${port}`, 'connection': 'keep-alive', 'webhook-id': '1', 'content-type': 'application/json', 'content-length': '13' } }])
  for (const headers of [{ 'x': 'a\r\nb: c' }, { 'a b': 'c' }, { 'transfer-encoding': 'chunked' }, { 'content-length': '5' }] as Record<string, string>[])
    expect(await egress.post({ url: `http://127.0.0.1:${port}/`, headers, body: '{}', timeouts: TIMEOUTS }), JSON.stringify(headers)).toMatchObject({ kind: 'failed', reason: 'protocol' })
  expect(heard).toHaveLength(1)
  server.close()
  server.closeAllConnections()
})

test('closing cuts what is under way, and what comes after', async () => {
  const closing = openEgress({ allowLoopback: true, allowCidrs: [], resolve: () => new Promise(() => {}) })
  const url = await receiver(() => {})
  const before = new Set(sockets)
  // Waiting for headers, for a name, for TLS.
  const running = [url, 'https://silent.example/', url.replace('http:', 'https:')].map((url) => closing.post({ url, headers: {}, body: '' }))
  await new Promise((resolve) => setTimeout(resolve, 100))
  const started = performance.now()
  await closing.close()
  for (const outcome of await Promise.all(running)) expect(outcome).toMatchObject({ kind: 'failed', reason: 'reset' })
  await vi.waitFor(() => expect([...sockets].filter((socket) => !before.has(socket)).length).toBe(0), { timeout: 3500 })
  expect(performance.now() - started).toBeLessThan(2000)
  expect(await closing.post({ url, headers: {}, body: '' })).toMatchObject({ kind: 'failed', reason: 'reset' })
})
