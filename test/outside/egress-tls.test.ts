import { generateKeyPairSync, sign } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer as createTls, type TlsOptions } from 'node:tls'
import { afterAll, describe, expect, test, vi } from 'vitest'
import type { Outcome } from '../../src/domain/webhook.ts'
import { openEgress, type Egress } from '../../src/outside/egress.ts'

const DAY = 86_400_000

// --- X.509 by hand: what openssl would do, without needing one on the machine

const der = (tag: number, ...parts: Uint8Array[]): Buffer => {
  const body = Buffer.concat(parts)
  const length = body.length < 128 ? [body.length] : [0x82, body.length >> 8, body.length & 255]
  return Buffer.concat([Buffer.from([tag, ...length]), body])
}
const hex = (text: string) => Buffer.from(text, 'hex')
const ECDSA_SHA256 = der(0x30, hex('06082a8648ce3d040302'))
const named = (name: string) => der(0x30, der(0x31, der(0x30, hex('0603550403'), der(0x0c, Buffer.from(name)))))
const utc = (date: Date) => der(0x17, Buffer.from(`${date.toISOString().replace(/[-:T]/g, '').slice(2, 14)}Z`))

interface Identity {
  key: string
  cert: string
}
/** Its own authority, good for the given names. */
function selfSigned({ dns = [], ips = [], from = -DAY, to = DAY }: { dns?: string[]; ips?: string[]; from?: number; to?: number }): Identity {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const names = der(0x30, ...dns.map((name) => der(0x82, Buffer.from(name))), ...ips.map((ip) => der(0x87, Buffer.from(ip.split('.').map(Number)))))
  const extensions = der(0xa3, der(0x30, der(0x30, hex('0603551d11'), der(0x04, names)), der(0x30, hex('0603551d13'), hex('0101ff'), der(0x04, hex('30030101ff')))))
  const now = Date.now()
  const subject = named(`${dns[0] ?? ips[0]} ${to}`)
  const body = der(0x30, hex('a003020102'), der(0x02, hex('01')), ECDSA_SHA256, subject, der(0x30, utc(new Date(now + from)), utc(new Date(now + to))), subject, publicKey.export({ format: 'der', type: 'spki' }), extensions)
  const cert = der(0x30, body, ECDSA_SHA256, der(0x03, hex('00'), sign('sha256', body, privateKey)))
  return { key: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(), cert: `-----BEGIN CERTIFICATE-----\n${cert.toString('base64').replace(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n` }
}

const dir = mkdtempSync(join(tmpdir(), 'wish-wall-tls-'))
const file = (name: string, text: string) => {
  writeFileSync(join(dir, name), text)
  return join(dir, name)
}
const good = selfSigned({ dns: ['localhost', 'hook.gov'], ips: ['127.0.0.1'] })
const other = selfSigned({ dns: ['other.gov'], ips: ['127.9.9.9'] })
const expired = selfSigned({ dns: ['localhost'], ips: ['127.0.0.1'], from: -3 * DAY, to: -DAY })
const caFile = file('ca.pem', `# three authorities\n${good.cert}${other.cert}${expired.cert}`)

const open: Server[] = []
const sockets = new Set<Socket>()
const asked: string[] = []
async function listen(server: Server): Promise<number> {
  open.push(server)
  server.on('connection', (socket: Socket) => sockets.add(socket.on('error', () => {})))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}
const receiver = (options: TlsOptions) => listen(createTls({ ALPNProtocols: ['h2', 'http/1.1'], ...options }, (socket) => {
  socket.on('error', () => {}).once('data', () => {
    asked.push(`${socket.servername || '-'} ${socket.alpnProtocol || '-'} ${socket.getProtocol()}`)
    socket.end('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nok')
  })
}).on('tlsClientError', () => {}))

const egresses: Egress[] = []
const egress = (options: { caFile?: string } = {}) => {
  const one = openEgress({ allowLoopback: true, allowCidrs: [], resolve: async () => [{ address: '127.0.0.1', family: 4 }], ...options })
  egresses.push(one)
  return one
}
const send = (by: Egress, url: string): Promise<Outcome> => by.post({ url, headers: { 'content-type': 'application/json' }, body: '{}', timeouts: { connectMs: 1500, headersMs: 1500, totalMs: 2000 } })
const FAILED = { kind: 'failed', reason: 'tls' }

afterAll(async () => {
  await Promise.all(egresses.map((one) => one.close()))
  for (const socket of sockets) socket.destroy()
  for (const server of open) server.close()
  rmSync(dir, { recursive: true })
})

describe('a receiver with a certificate', () => {
  test('of its own is refused, and taken where its authority is in the file', async () => {
    const port = await receiver(good)
    const url = `https://127.0.0.1:${port}/`
    expect(await send(egress(), url)).toMatchObject(FAILED)
    expect(asked).toEqual([])
    const trusting = egress({ caFile })
    expect(await send(trusting, url)).toMatchObject({ kind: 'answer', status: 200, excerpt: 'ok' })
    expect(await send(trusting, `https://localhost:${port}/`)).toMatchObject({ status: 200 })
    expect(await send(trusting, `https://hook.gov:${port}/`)).toMatchObject({ status: 200 })
    expect(await send(trusting, `https://HOOK.gov:${port}/`)).toMatchObject({ status: 200 })
    expect(asked).toEqual(['- http/1.1 TLSv1.3', 'localhost http/1.1 TLSv1.3', 'hook.gov http/1.1 TLSv1.3', 'hook.gov http/1.1 TLSv1.3'])
  })

  test('for another name, or out of date, is refused', async () => {
    const trusting = egress({ caFile })
    const [mine, wrong, late] = [await receiver(good), await receiver(other), await receiver(expired)]
    for (const url of [`https://evil.gov:${mine}/`, `https://127.0.0.2:${mine}/`, `https://127.0.0.1:${wrong}/`, `https://localhost:${wrong}/`, `https://127.0.0.1:${late}/`, `https://localhost:${late}/`])
      expect(await send(trusting, url), url).toMatchObject(url.includes('127.0.0.2') ? { kind: 'failed' } : FAILED)
  })

  test('is checked even if the environment says not to', async () => {
    const url = `https://127.0.0.1:${await receiver(good)}/`
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
    try {
      expect(await send(egress(), url)).toMatchObject(FAILED)
    } finally {
      delete process.env.NODE_TLS_REJECT_UNAUTHORIZED
    }
  })

  test('does not make up for an old protocol', async () => {
    const port = await receiver({ ...good, minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' })
    expect(await send(egress({ caFile }), `https://127.0.0.1:${port}/`)).toMatchObject(FAILED)
    const newer = await receiver({ ...good, maxVersion: 'TLSv1.2' })
    expect(await send(egress({ caFile }), `https://127.0.0.1:${newer}/`)).toMatchObject({ status: 200 })
  })
})

test('a flood within TLS is counted too', async () => {
  const port = await listen(createTls(good, (socket) => {
    const more = () => void (socket.write(Buffer.alloc(256 * 1024, 'a')) ? setImmediate(more) : socket.once('drain', more))
    socket.on('error', () => {}).once('data', () => {
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;a=')
      more()
    })
  }))
  expect(await send(egress({ caFile }), `https://127.0.0.1:${port}/`)).toMatchObject({ kind: 'failed', reason: 'protocol' })
})

describe('a receiver that speaks no TLS', () => {
  test.each<[string, (socket: Socket) => void, object]>([
    ['answers in plain', (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'), FAILED],
    ['keeps silent', () => {}, { kind: 'failed', reason: 'timeout' }],
    ['drips a handshake', (socket) => {
      const timer = setInterval(() => socket.write(hex('16')), 100)
      socket.on('close', () => clearInterval(timer))
    }, { kind: 'failed' }],
    ['resets', (socket) => socket.resetAndDestroy(), FAILED],
    ['closes', (socket) => socket.end(), FAILED],
    ['sends an alert', (socket) => socket.end(hex('15030100020228')), FAILED],
  ])('%s', async (_name, behave, expected) => {
    const met: Socket[] = []
    const port = await listen(createServer((socket) => void met.push(socket.once('data', () => behave(socket)))))
    const started = performance.now()
    expect(await send(egress({ caFile }), `https://127.0.0.1:${port}/`)).toMatchObject(expected)
    expect(performance.now() - started).toBeLessThan(2500)
    await vi.waitFor(() => expect(met.map(({ destroyed }) => destroyed)).toEqual([true]), { timeout: 2500 })
  })

  test('a client certificate is never sent, and its want is a TLS failure', async () => {
    const port = await receiver({ ...good, requestCert: true, rejectUnauthorized: true, ca: other.cert })
    expect(await send(egress({ caFile }), `https://127.0.0.1:${port}/`)).toMatchObject({ kind: 'failed' })
  })
})

test('a file that holds no authority stops the start', () => {
  for (const text of ['', 'nothing', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', good.key]) expect(() => egress({ caFile: file('bad.pem', text) }), text.slice(0, 30)).toThrow()
  expect(() => egress({ caFile: join(dir, 'none.pem') })).toThrow(/ENOENT/)
})
