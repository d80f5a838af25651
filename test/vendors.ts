import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Channel } from '../src/domain/robot.ts'

/** WeCom, DingTalk and Feishu on this machine, as their documents have them: signatures are verified, faults answered with 200. */

export interface Said {
  /** Milliseconds since 1970, when it had arrived whole. */
  at: number
  text: string
  /** What was answered: the vendor's code; null when nothing was. */
  code: number | null
}

/** What a robot is like today. */
/** `mute`: it is shown in the group, and nothing is answered. */
export type Mood = 'well' | 'busy' | 'banned' | 'gone' | 'keyword' | 'ip' | 'odd' | 'mute' | 'broken' | 'hang' | 'reset' | 'echo'

export interface GroupRobot {
  url: string
  secret: string | null
  said: Said[]
  /** Messages that reached the group. */
  shown(): string[]
  mood: Mood
  /** How long it takes to answer. */
  delayMs: () => number
}

export interface Vendors {
  /** `host:port`, as an operator allows it. */
  host: string
  /** Milliseconds by which their clocks are ahead of this machine's: they go with the database's. */
  ahead: number
  robot(channel: Channel, options?: { signed?: boolean; mood?: Mood }): GroupRobot
  close(): Promise<void>
}

type Answer = [code: number, words: string, status?: number]

const CODES: Record<Channel, Record<Exclude<Mood, 'mute' | 'broken' | 'hang' | 'reset' | 'echo'> | 'sign' | 'stranger', Answer>> = {
  wecom: {
    well: [0, 'ok'], busy: [45009, 'api freq out of limit, hint: [1700000000123456789012345], from ip: 198.51.100.7'], banned: [45033, 'api concurrent out of limit'],
    gone: [93000, 'invalid webhook url, hint: [1700000000123456789012345], from ip: 198.51.100.7'], keyword: [40058, 'invalid Request Parameter'], ip: [60020, 'not allow to access from your ip'],
    odd: [-1, 'system busy'], sign: [0, 'ok'], stranger: [93000, 'invalid webhook url'],
  },
  dingtalk: {
    well: [0, 'ok'], busy: [410100, 'send too fast'], banned: [130101, 'send too fast, exceed 20 times per minute'], gone: [300005, 'token is not exist'],
    keyword: [310000, 'keywords not in content, more: [https://ding-doc.dingtalk.com/doc#/serverapi2/qf2nxq]'], ip: [310000, 'ip 198.51.100.7 not in whitelist'],
    odd: [-1, '系统繁忙'], sign: [310000, 'sign not match, more: [https://ding-doc.dingtalk.com/doc#/serverapi2/qf2nxq]'], stranger: [300005, 'token is not exist'],
  },
  feishu: {
    well: [0, 'success'], busy: [9499, 'too many request'], banned: [11232, 'frequency limited psm[lark.oapi.app_platform_runtime]appID[1500]'], gone: [19001, 'param invalid: incoming webhook access token invalid'],
    keyword: [19024, 'Key Words Not Found'], ip: [19022, 'Ip Not Allowed'], odd: [9499, 'Bad Request'], sign: [19021, 'sign match fail or timestamp is not within one hour from current time'],
    stranger: [19001, 'param invalid: incoming webhook access token invalid'],
  },
}

interface Known extends GroupRobot {
  channel: Channel
}

export async function startVendors(): Promise<Vendors> {
  const robots = new Map<string, Known>()
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
    hear(robots, request, response, Buffer.concat(chunks).toString(), Date.now() + vendors.ahead)
  }).listen(0, '127.0.0.1')
  server.on('clientError', (_error, socket) => void socket.destroy())
  await once(server, 'listening')
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  const paths: Record<Channel, (token: string) => string> = {
    wecom: (token) => `/cgi-bin/webhook/send?key=${token}`, dingtalk: (token) => `/robot/send?access_token=${token}`, feishu: (token) => `/open-apis/bot/v2/hook/${token}`,
  }
  const vendors: Vendors = {
    host, ahead: 0,
    robot(channel, { signed = channel !== 'wecom', mood = 'well' } = {}) {
      const token = randomUUID()
      const robot: Known = {
        channel, mood, url: `http://${host}${paths[channel](token)}`, secret: signed ? `SEC${randomUUID().replaceAll('-', '')}` : null, said: [], delayMs: () => 0,
        shown: () => robot.said.filter(({ code }) => code === 0).map(({ text }) => text),
      }
      robots.set(token, robot)
      return robot
    },
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  return vendors
}

function hear(robots: Map<string, Known>, request: IncomingMessage, response: ServerResponse, body: string, now: number): void {
  const url = new URL(request.url!, 'http://vendor')
  const channel: Channel = url.pathname === '/cgi-bin/webhook/send' ? 'wecom' : url.pathname === '/robot/send' ? 'dingtalk' : 'feishu'
  const token = url.searchParams.get('key') ?? url.searchParams.get('access_token') ?? url.pathname.split('/').at(-1)!
  const robot = robots.get(token)
  const message = JSON.parse(body) as { text?: { content: string }; content?: { text: string }; timestamp?: string; sign?: string; msgtype?: string; msg_type?: string }
  const answer = (said: Answer | null, reply: () => void) => {
    robot?.said.push({ at: Date.now(), text: message.text?.content ?? message.content?.text ?? '', code: said?.[0] ?? null })
    reply()
  }
  const code = (said: Answer) => answer(said, () => {
    const [errcode, words, status = 200] = said
    const written = channel === 'feishu' ? { code: errcode, data: {}, msg: words, ...(errcode === 0 && { StatusCode: 0, StatusMessage: 'success' }) }
      : errcode === 130101 ? { status: 1111, wait: 5, source: 'x5', punish: 'deny', uuid: randomUUID(), errcode, errmsg: words } : { errcode, errmsg: words }
    setTimeout(() => response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' }).end(JSON.stringify(written)), robot?.delayMs() ?? 0)
  })
  if (!robot || robot.channel !== channel || request.method !== 'POST' || !request.headers['content-type']?.startsWith('application/json')) return code(CODES[channel].stranger)
  if ((channel === 'feishu' ? message.msg_type : message.msgtype) !== 'text') return code([40008, 'invalid message type'])
  if (robot.secret !== null && !isSigned(channel, robot.secret, url, message, now)) return code(CODES[channel].sign)
  switch (robot.mood) {
    case 'mute': return answer([0, 'ok'], () => {})
    case 'hang': return answer(null, () => {})
    case 'reset': return answer(null, () => void request.socket.resetAndDestroy())
    case 'broken': return answer(null, () => void response.writeHead(502, { 'content-type': 'text/html' }).end('<html>502 Bad Gateway</html>'))
    case 'echo': return answer(null, () => void response.writeHead(400).end(`${request.url} ${body}`))
    default: return code(CODES[channel][robot.mood])
  }
}

/** By the vendors' documents: DingTalk signs the text under the secret, in ms; Feishu signs nothing under the text, in s. Both within the hour. */
function isSigned(channel: Channel, secret: string, { searchParams }: URL, message: { timestamp?: string; sign?: string }, now: number): boolean {
  const ding = channel === 'dingtalk'
  const timestamp = (ding ? searchParams.get('timestamp') : message.timestamp) ?? ''
  const sign = (ding ? searchParams.get('sign') : message.sign) ?? ''
  if (!/^\d+$/.test(timestamp) || Math.abs(Number(timestamp) * (ding ? 1 : 1000) - now) > 3_600_000) return false
  const expected = ding ? createHmac('sha256', secret).update(`${timestamp}\n${secret}`).digest() : createHmac('sha256', `${timestamp}\n${secret}`).digest()
  const given = Buffer.from(sign, 'base64')
  return given.length === expected.length && timingSafeEqual(given, expected)
}
