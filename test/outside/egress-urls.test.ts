import { get } from 'node:http'
import { createServer, isIP, type AddressInfo } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { EgressRefusal, Outcome } from '../../src/domain/webhook.ts'
import { openEgress, type Egress } from '../../src/outside/egress.ts'
import { bracketed, countConnections, HOSTILE, isNever, isPublic, PUBLIC4, PUBLIC6, resolve, type Dialled } from './hostile-urls.ts'

const dialled: Dialled[] = []
let instead: (() => Dialled) | undefined

beforeAll(() => countConnections(dialled, () => instead?.()))
beforeEach(() => {
  dialled.length = 0
  instead = undefined
})

const WIDE = ['0.0.0.0/0', '::/0', '::ffff:0:0/96', '169.254.0.0/16', '127.0.0.0/8', 'fe80::/10']
const strict = openEgress({ allowLoopback: false, allowCidrs: [], resolve })
const wide = openEgress({ allowLoopback: false, allowCidrs: WIDE, resolve })
afterAll(() => Promise.all([strict.close(), wide.close()]))

const send = (egress: Egress, url: string): Promise<Outcome> => egress.post({ url, headers: { 'content-type': 'application/json' }, body: '{}', timeouts: { connectMs: 1000, headersMs: 1000, totalMs: 2000 } })
const addresses = () => dialled.map(({ address }) => address)

describe('a hostile URL', () => {
  test('the counter counts: a careless client is seen', async () => {
    await new Promise((resolve) => get('http://169.254.169.254/latest/meta-data/').on('error', resolve))
    expect(dialled).toEqual([{ address: '169.254.169.254', port: 80 }])
    expect(addresses().some(isPublic)).toBe(false)
  })

  test('is refused when entered and when sent to, without one connection', async () => {
    const urls = [...new Set(HOSTILE)]
    const met: Record<string, number> = {}
    for (const url of urls) {
      const refusal = await strict.check(url)
      expect(refusal, url).toBeTypeOf('string')
      met[refusal!] = (met[refusal!] ?? 0) + 1
      const outcome = await send(strict, url)
      // A name may exist tomorrow: that is no refusal, but it is no connection either.
      expect(outcome, url).toEqual(refusal === 'unresolved' ? { kind: 'failed', reason: 'dns', ms: expect.any(Number) } : { kind: 'refused', reason: refusal })
    }
    console.info(`${urls.length} hostile URLs, each checked and posted to: ${JSON.stringify(met)}; connections: ${dialled.length}`)
    expect(urls.length).toBeGreaterThanOrEqual(400)
    expect(dialled).toEqual([])
  })

  test.each<[string, EgressRefusal]>([
    ['https://good.example:444/', 'port'], ['http://good.example/', 'scheme'], ['https://u@good.example/', 'userinfo'], ['https://good.example./', 'host'], ['https://nowhere.example/', 'unresolved'], ['https://10.0.0.1/', 'address'],
    ['https://10.0.0.1:6379/', 'address'], ['http://127.0.0.1/', 'scheme'], ['http://nowhere.example/', 'scheme'], ['https://good.example/ ', 'url'],
  ])('%s is told why: %s', async (url, reason) => {
    expect(await strict.check(url)).toBe(reason)
  })

  test('leads nowhere it must not, even when an operator grants all there is', async () => {
    for (const url of new Set(HOSTILE)) await Promise.all([wide.check(url), send(wide, url)])
    console.info(`with every range granted: ${dialled.length} connections, ${addresses().filter(isNever).length} of them to this machine, link-local, metadata or translated addresses`)
    expect(addresses().filter(isNever)).toEqual([])
    // The grant is not void: private addresses and any port are reached.
    expect(addresses()).toEqual(expect.arrayContaining(['10.0.0.1', '192.168.1.1', '172.18.0.2', 'fd12:3456::1']))
    expect(dialled).toContainEqual({ address: PUBLIC4, port: 6379 })
  })

  test('of any address: refused exactly when the registries say it is not public', async () => {
    const four = fc.ipV4()
    const six = fc.oneof(fc.ipV6(), fc.tuple(fc.constantFrom('2001', '2002', '2620:4f:8000', '64:ff9b', '::ffff:0', '3fff', 'fd00:ec2', '2400', '2a00'), fc.integer({ min: 0, max: 0xffff })).map(([head, tail]) => `${head}::${tail.toString(16)}`.replace(/::(.*)::/, '::$1:')))
    await fc.assert(fc.asyncProperty(fc.oneof(four, six).filter((address) => isIP(address) !== 0), async (address) => {
      expect(await strict.check(`https://${bracketed(address)}/`), address).toBe(isPublic(address) ? undefined : 'address')
    }), { numRuns: 5000 })
    expect(dialled).toEqual([])
  })
})

describe('a good URL', () => {
  const GOOD = [
    'https://good.example/', 'https://GOOD.example/hook?a=1&b=%20', 'https://good.example:443/x', 'https://good.example:8443/', 'https://four.example', 'https://six.example/#part', `https://${PUBLIC4}/`, `https://[${PUBLIC6}]/`,
    'https://例子.测试/', 'https://100.128.0.1/', 'https://172.32.0.1/', 'https://[2400:3200::1]/', 'https://good.example/@127.0.0.1', 'https://good.example/?u=http://127.0.0.1/',
  ]

  test('is dialled, and nothing but the checked addresses are', async () => {
    for (const url of GOOD) {
      expect(await strict.check(url), url).toBeUndefined()
      expect(dialled, url).toEqual([])
      expect(await send(strict, url), url).toMatchObject({ kind: 'failed', reason: 'connect' })
      expect(addresses().length, url).toBeGreaterThan(0)
      expect(addresses().every(isPublic), url).toBe(true)
      dialled.length = 0
    }
  })

  test('private only where the operator says so, there on every port', async () => {
    const egress = openEgress({ allowLoopback: false, allowCidrs: ['10.20.0.0/16', 'fd12:3456::/32'], resolve: async (host) => (host === 'hall.gov' ? [{ address: '10.20.0.9', family: 4 }] : [{ address: '10.20.0.9', family: 4 }, { address: '10.21.0.9', family: 4 }]) })
    expect(await Promise.all(['https://10.20.3.4/', 'https://10.20.3.4:9443/', 'https://[fd12:3456::7]/', 'https://hall.gov:7000/', 'https://[::ffff:10.20.3.4]/', 'https://10.21.0.1/', 'https://half.gov/', 'http://10.20.3.4/', 'https://[fd12:3457::7]/', 'https://10.20.3.4@evil.example/'].map((url) => egress.check(url))))
      .toEqual([undefined, undefined, undefined, undefined, 'address', 'address', 'address', 'scheme', 'address', 'userinfo'])
    await egress.close()
  })

  test('plain http, and any port, only to this machine and only where allowed', async () => {
    const egress = openEgress({ allowLoopback: true, allowCidrs: ['10.0.0.0/8'], resolve })
    const verdicts = (urls: string[]) => Promise.all(urls.map((url) => egress.check(url)))
    expect(await verdicts(['http://127.0.0.1:3000/', 'http://localhost/', 'http://[::1]:9/', 'https://127.9.9.9:1234/', 'http://127.0.0.1.nip.io/', 'https://api.localhost/'])).toEqual(Array.from({ length: 6 }))
    expect(await verdicts(['http://good.example/', 'http://10.0.0.1/', 'https://good.example:3000/', 'https://169.254.169.254/', 'http://0.0.0.0/', 'http://[::]/', 'http://mixed-six.example/', 'ftp://127.0.0.1/'])).toEqual(['scheme', 'scheme', 'port', 'address', 'address', 'address', 'scheme', 'scheme'])
    await egress.close()
  })

  test('of a range that is none, the start says so', () => {
    for (const cidr of ['10.0.0.0', '10.0.0.0/33', 'office', '', '10.0.0.0/8,192.168.0.0/16']) expect(() => openEgress({ allowLoopback: false, allowCidrs: [cidr], resolve }), cidr).toThrow()
  })
})

describe('a name that changes its mind', () => {
  test('public when checked, private when dialled: refused', async () => {
    let asked = 0
    const egress = openEgress({ allowLoopback: false, allowCidrs: [], resolve: async () => [{ address: asked++ === 0 ? PUBLIC4 : '169.254.169.254', family: 4 }] })
    expect(await egress.check('https://rebind.example/')).toBeUndefined()
    expect(await send(egress, 'https://rebind.example/')).toEqual({ kind: 'refused', reason: 'address' })
    expect([asked, dialled]).toEqual([2, []])
    await egress.close()
  })

  test('is asked once per connection, and only what it said then is dialled, in 300 random stories', async () => {
    let answer: string[] = []
    let asked = 0
    const egress = openEgress({ allowLoopback: false, allowCidrs: [], resolve: async () => {
      asked += 1
      return answer.map((address) => ({ address, family: isIP(address) }))
    } })
    const address = fc.constantFrom(PUBLIC4, '93.184.215.15', PUBLIC6, '127.0.0.1', '10.0.0.1', '::1', '169.254.169.254', 'fe80::1%eth0', '::ffff:127.0.0.1')
    await fc.assert(fc.asyncProperty(fc.array(fc.array(address, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 4 }), async (story) => {
      for (answer of story) {
        const before = asked
        dialled.length = 0
        const outcome = await send(egress, 'https://rebind.example/')
        expect(asked).toBe(before + 1)
        expect(outcome.kind).toBe(answer.every(isPublic) ? 'failed' : 'refused')
        expect(addresses().every((one) => answer.includes(one) && isPublic(one))).toBe(true)
      }
    }), { numRuns: 300 })
    await egress.close()
  })

  test('a socket that ends elsewhere than it was sent is not written to', async () => {
    const heard: Buffer[] = []
    const server = createServer((socket) => socket.on('data', (chunk) => heard.push(chunk)).on('error', () => {})).listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    instead = () => ({ address: '127.0.0.1', port: (server.address() as AddressInfo).port })
    expect(await send(strict, 'https://good.example/')).toEqual({ kind: 'refused', reason: 'address' })
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect([heard, dialled.length]).toEqual([[], 1])
    await new Promise((resolve) => server.close(resolve))
  })
})
