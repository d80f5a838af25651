import { spawnSync } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BAN_MS, CHANNEL_NAMES, type Channel, type Verdict } from '../../src/domain/robot.ts'
import { openEgress, type Egress } from '../../src/outside/egress.ts'
import { openRobots, type Robots } from '../../src/outside/robots.ts'
import { dingtalk, dingtalkSign } from '../../src/outside/robots/dingtalk.ts'
import { feishu, feishuSign } from '../../src/outside/robots/feishu.ts'
import { wecom } from '../../src/outside/robots/wecom.ts'
import { startVendors, type Mood, type Vendors } from '../vendors.ts'

/** Signatures against openssl, requests and answers against servers that keep to the vendors' documents. */

const NOW = new Date('2026-11-23T02:00:00.123Z')
const TIMEOUTS = { connectMs: 2_000, headersMs: 1_000, totalMs: 1_000 }
const KEY = 'b7c2a1de-0000-4000-8000-00000000c0de'
const URLS: Record<Channel, string> = {
  wecom: `https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=${KEY}`,
  dingtalk: `https://oapi.dingtalk.com/robot/send?access_token=${'0a'.repeat(32)}`,
  feishu: `https://open.feishu.cn/open-apis/bot/v2/hook/${KEY}`,
}

/** HMAC-SHA256 by openssl, base64. */
function openssl(key: string, text: string): string {
  const { stdout, status } = spawnSync('openssl', ['dgst', '-sha256', '-mac', 'HMAC', '-macopt', `hexkey:${Buffer.from(key).toString('hex')}`, '-binary'], { input: text })
  expect(status).toBe(0)
  return stdout.toString('base64')
}

describe('signatures', () => {
  const secret = 'SECc0ffee0123456789'

  test('DingTalk: the text signed under the secret, milliseconds, both in the URL', () => {
    const timestamp = String(NOW.getTime())
    expect(dingtalkSign(secret, timestamp)).toBe(openssl(secret, `${timestamp}\n${secret}`))
    const { url, body } = dingtalk.request({ url: URLS.dingtalk, secret }, '你好', NOW)
    const { searchParams } = new URL(url)
    expect(Object.fromEntries(searchParams)).toEqual({ access_token: '0a'.repeat(32), timestamp, sign: openssl(secret, `${timestamp}\n${secret}`) })
    // base64 in a query: + must not become a blank
    expect(url).toMatch(/&sign=[\w%.~-]+$/)
    expect(JSON.parse(body)).toEqual({ msgtype: 'text', text: { content: '你好' } })
  })

  test('Feishu: nothing signed under the text, seconds, both in the body', () => {
    const timestamp = String(Math.floor(NOW.getTime() / 1000))
    expect(feishuSign(secret, timestamp)).toBe(openssl(`${timestamp}\n${secret}`, ''))
    const { url, body } = feishu.request({ url: URLS.feishu, secret }, '你好', NOW)
    expect(url).toBe(URLS.feishu)
    expect(JSON.parse(body)).toEqual({ timestamp, sign: openssl(`${timestamp}\n${secret}`, ''), msg_type: 'text', content: { text: '你好' } })
  })

  test('vectors that were worked out once, by hand and openssl', () => {
    expect(dingtalkSign('SEC000', '1700000000000')).toBe('ltBBey5eZrWKh1cPzFIdz3v3xpkc4Tjx4lLsPSHqdtA=')
    expect(feishuSign('SEC000', '1700000000')).toBe('QKhXycVUGrhA1dUEbXA2Vo/zGkv/W88IgYgKNA7Xmk0=')
  })

  test('without a secret there is none; WeCom has none at all', () => {
    expect(dingtalk.request({ url: URLS.dingtalk, secret: null }, 'x', NOW).url).toBe(URLS.dingtalk)
    expect(JSON.parse(feishu.request({ url: URLS.feishu, secret: null }, 'x', NOW).body)).toEqual({ msg_type: 'text', content: { text: 'x' } })
    expect(wecom.request({ url: URLS.wecom, secret: null }, 'x', NOW)).toEqual({ url: URLS.wecom, body: '{"msgtype":"text","text":{"content":"x"}}' })
  })
})

describe('an address', () => {
  const egress = openEgress({ allowLoopback: false, allowCidrs: [], resolve: async () => { throw new Error('a vendor\'s name is not asked for here') } })
  const robots = openRobots({ egress, hosts: ['wecom.example.gov.cn', 'im.example.gov.cn:8443', '10.1.2.3:9000', '127.0.0.1', '169.254.169.254', '[::1]:443'] })
  afterAll(() => egress.close())

  test.each(CHANNEL_NAMES)('of %s is taken', async (channel) => {
    expect(await robots.check(channel, URLS[channel])).toBeUndefined()
    expect(robots.tokenOf(channel, `${URLS[channel].replace('https://', 'HTTPS://')}${channel === 'feishu' ? '' : '&x=1'}`)).toBe(robots.tokenOf(channel, URLS[channel]))
  })

  test.each<[string, Channel, string, string]>([
    ['of another vendor', 'wecom', URLS.dingtalk, 'vendor'],
    ['of a stranger', 'wecom', `https://evil.example.com/cgi-bin/webhook/send?key=${KEY}`, 'vendor'],
    ['of a host that begins like the vendor\'s', 'wecom', `https://qyapi.weixin.qq.com.evil.example.com/cgi-bin/webhook/send?key=${KEY}`, 'vendor'],
    ['of a host that ends like the vendor\'s', 'wecom', `https://evilqyapi.weixin.qq.com/cgi-bin/webhook/send?key=${KEY}`, 'vendor'],
    ['with the vendor as a user name', 'wecom', `https://qyapi.weixin.qq.com@evil.example.com/cgi-bin/webhook/send?key=${KEY}`, 'userinfo'],
    ['with a password', 'wecom', `https://a:b@qyapi.weixin.qq.com/cgi-bin/webhook/send?key=${KEY}`, 'userinfo'],
    ['with the vendor in the fragment', 'wecom', `https://evil.example.com/#@qyapi.weixin.qq.com/cgi-bin/webhook/send?key=${KEY}`, 'vendor'],
    ['with a backslash', 'wecom', `https://evil.example.com\\@qyapi.weixin.qq.com/cgi-bin/webhook/send?key=${KEY}`, 'vendor'],
    ['on another port', 'wecom', `https://qyapi.weixin.qq.com:8080/cgi-bin/webhook/send?key=${KEY}`, 'vendor'],
    ['with a dot behind the host', 'wecom', `https://qyapi.weixin.qq.com./cgi-bin/webhook/send?key=${KEY}`, 'vendor'],
    ['without TLS', 'wecom', `http://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=${KEY}`, 'scheme'],
    ['of a file', 'wecom', 'file:///etc/passwd', 'scheme'],
    ['that is none', 'wecom', 'qyapi.weixin.qq.com', 'url'],
    ['of this machine', 'wecom', `http://127.0.0.1:3000/cgi-bin/webhook/send?key=${KEY}`, 'vendor'],
    ['of this machine in other clothes', 'feishu', `https://0x7f000002/open-apis/bot/v2/hook/${KEY}`, 'vendor'],
    ['of this machine in other clothes, granted', 'feishu', `https://0x7f000001/open-apis/bot/v2/hook/${KEY}`, 'address'],
    ['of the metadata service', 'dingtalk', 'https://100.100.100.200/robot/send?access_token=0123456789abcdef', 'vendor'],
    ['without a key', 'wecom', 'https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=', 'token'],
    ['of another interface of the vendor', 'wecom', `https://qyapi.weixin.qq.com/cgi-bin/gettoken?key=${KEY}`, 'token'],
    ['without a token', 'dingtalk', 'https://oapi.dingtalk.com/robot/send', 'token'],
    ['of a flow and not a robot', 'feishu', `https://open.feishu.cn/open-apis/bot/hook/${KEY}`, 'token'],
    // Granted by the operator, and refused all the same by the guard of everything that leaves.
    ['of a granted private host', 'wecom', `https://10.1.2.3:9000/cgi-bin/webhook/send?key=${KEY}`, 'address'],
    ['of this machine, granted', 'wecom', `http://127.0.0.1/cgi-bin/webhook/send?key=${KEY}`, 'scheme'],
    ['of this machine by IPv6, granted', 'wecom', `https://[::1]/cgi-bin/webhook/send?key=${KEY}`, 'address'],
    ['of the metadata service, granted', 'wecom', `https://169.254.169.254/cgi-bin/webhook/send?key=${KEY}`, 'address'],
    ['of a granted host on another port', 'wecom', `https://im.example.gov.cn/cgi-bin/webhook/send?key=${KEY}`, 'vendor'],
    ['of a granted host that does not resolve', 'wecom', `https://wecom.example.gov.cn/cgi-bin/webhook/send?key=${KEY}`, 'unresolved'],
  ])('%s is not', async (_, channel, url, fault) => {
    expect(await robots.check(channel, url)).toBe(fault)
    // and is not sent to, should it ever have been stored
    expect(await robots.send({ channel, address: { url, secret: null }, text: 'x', now: NOW, timeouts: TIMEOUTS })).toEqual({ kind: fault === 'unresolved' ? 'failed' : 'refused', reason: fault === 'unresolved' ? 'dns' : fault, code: null })
  })

  test('of a private deployment is taken where the operator says so', async () => {
    const own = openEgress({ allowLoopback: false, allowCidrs: ['10.0.0.0/8'], resolve: async () => [{ address: '10.1.2.3', family: 4 }] })
    const there = openRobots({ egress: own, hosts: ['IM.example.gov.cn:8443'] })
    expect(await there.check('feishu', `https://im.example.gov.cn:8443/lark/open-apis/bot/v2/hook/${KEY}`)).toBeUndefined()
    expect(await there.check('dingtalk', 'https://im.example.gov.cn:8443/robot/send?access_token=0123456789abcdef')).toBeUndefined()
    await own.close()
  })
})

describe('what a vendor answers', () => {
  let vendors: Vendors
  let egress: Egress
  let robots: Robots
  beforeAll(async () => {
    vendors = await startVendors()
    egress = openEgress({ allowLoopback: true, allowCidrs: [] })
    robots = openRobots({ egress, hosts: [vendors.host] })
  })
  afterAll(async () => {
    await egress.close()
    await vendors.close()
  })
  const send = (channel: Channel, address: { url: string; secret: string | null }, text = '你好') => robots.send({ channel, address, text, now: new Date(), timeouts: TIMEOUTS })

  test.each(CHANNEL_NAMES)('%s: a message reaches the group, signed', async (channel) => {
    const robot = vendors.robot(channel)
    expect(await send(channel, robot, '【心愿墙】"引号"与\n换行')).toEqual({ kind: 'delivered' })
    expect(robot.shown()).toEqual(['【心愿墙】"引号"与\n换行'])
  })

  const hold = (channel: Channel, code: string): Verdict => ({ kind: 'throttled', holdMs: BAN_MS[channel], code })
  const refused = (reason: Extract<Verdict, { kind: 'refused' }>['reason'], code: string): Verdict => ({ kind: 'refused', reason, code })
  const failed = (reason: Extract<Verdict, { kind: 'failed' }>['reason'], code: string | null): Verdict => ({ kind: 'failed', reason, code })

  test.each<[Channel, Mood, Verdict]>([
    ['wecom', 'busy', hold('wecom', '45009')], ['wecom', 'banned', hold('wecom', '45033')], ['wecom', 'gone', refused('token', '93000')],
    ['wecom', 'keyword', refused('content', '40058')], ['wecom', 'ip', refused('ip', '60020')], ['wecom', 'odd', failed('answer', '-1')],
    ['dingtalk', 'busy', hold('dingtalk', '410100')], ['dingtalk', 'banned', hold('dingtalk', '130101')], ['dingtalk', 'gone', refused('token', '300005')],
    ['dingtalk', 'keyword', refused('keyword', '310000')], ['dingtalk', 'ip', refused('ip', '310000')], ['dingtalk', 'odd', failed('answer', '-1')],
    ['feishu', 'busy', hold('feishu', '9499')], ['feishu', 'banned', hold('feishu', '11232')], ['feishu', 'gone', refused('token', '19001')],
    ['feishu', 'keyword', refused('keyword', '19024')], ['feishu', 'ip', refused('ip', '19022')], ['feishu', 'odd', refused('content', '9499')],
    ...CHANNEL_NAMES.flatMap((channel): [Channel, Mood, Verdict][] => [
      [channel, 'broken', failed('answer', '502')], [channel, 'hang', failed('timeout', null)], [channel, 'reset', failed('reset', null)], [channel, 'echo', failed('answer', '400')],
    ]),
  ])('%s, %s', async (channel, mood, verdict) => {
    const robot = vendors.robot(channel, { mood })
    expect(await send(channel, robot)).toEqual(verdict)
    expect(robot.shown()).toEqual([])
  })

  test('DingTalk bans for ten minutes, so for ten minutes nothing is sent', () => {
    expect(BAN_MS.dingtalk).toBe(600_000)
  })

  test.each<[Channel, string]>([['dingtalk', '310000'], ['feishu', '19021']])('%s refuses another secret, and an old signature', async (channel, code) => {
    const robot = vendors.robot(channel)
    expect(await send(channel, { ...robot, secret: 'SECwrong' })).toEqual(refused('signature', code))
    expect(await robots.send({ channel, address: robot, text: 'x', now: new Date(Date.now() - 2 * 3_600_000), timeouts: TIMEOUTS })).toEqual(refused('signature', code))
    expect(robot.shown()).toEqual([])
  })

  test('a robot that was removed from its group', async () => {
    for (const channel of CHANNEL_NAMES) expect(await send(channel, { url: `http://${vendors.host}${new URL(URLS[channel]).pathname}${new URL(URLS[channel]).search}`, secret: null })).toMatchObject({ kind: 'refused', reason: 'token' })
  })
})
