import { BAN_MS, type AddressFault, type Channel, type Verdict } from '../domain/robot.ts'
import type { Outcome } from '../domain/webhook.ts'
import type { Egress } from './egress.ts'
import type { Timeouts } from './egress-exchange.ts'
import type { Address, RobotChannel } from './robots/channel.ts'
import { dingtalk } from './robots/dingtalk.ts'
import { feishu } from './robots/feishu.ts'
import { wecom } from './robots/wecom.ts'

/** A new vendor is a new file and a new line here. */
const CHANNELS: Readonly<Record<Channel, RobotChannel>> = { wecom, dingtalk, feishu }

/** The way to group robots: to their vendors' hosts, and to those an operator's private deployment has. */
export interface Robots {
  /** What is wrong with an address that somebody enters; nothing for a good one. */
  check(channel: Channel, url: string): Promise<AddressFault | undefined>
  /** What names the robot, the same however its URL is spelled. @throws RangeError for a URL that `check` refuses */
  tokenOf(channel: Channel, url: string): string
  /** Bytes of UTF-8 that one message may have. */
  mostBytes(channel: Channel): number
  /** Judges the address again, then sends. Never rejects. @param now for the signature */
  send(message: { channel: Channel; address: Address; text: string; now: Date; timeouts: Timeouts }): Promise<Verdict>
}

interface RobotsOptions {
  egress: Pick<Egress, 'check' | 'post'>
  /** Hosts of private deployments, `host` or `host:port`: any channel may be there. They pass the egress guard like any other. */
  hosts: readonly string[]
}

/** @throws TypeError for a host that is none */
export function openRobots({ egress, hosts }: RobotsOptions): Robots {
  // As a URL has it: lower case, punycode, no port where it is 443.
  const granted = new Set(hosts.map((host) => new URL(`https://${host}`).host))

  /** The text of the URL alone. */
  function read(channel: Channel, url: string): { token: string; granted: boolean } | AddressFault {
    if (!URL.canParse(url)) return 'url'
    const parsed = new URL(url)
    if (parsed.protocol !== 'https:' && parsed.protocol !== 'http:') return 'scheme'
    if (parsed.username || parsed.password) return 'userinfo'
    const isGranted = granted.has(parsed.host)
    if (!isGranted && !CHANNELS[channel].hosts.includes(parsed.host)) return 'vendor'
    if (!isGranted && parsed.protocol !== 'https:') return 'scheme'
    const token = CHANNELS[channel].tokenOf(parsed)
    return token === undefined ? 'token' : { token, granted: isGranted }
  }

  return {
    async check(channel, url) {
      const known = read(channel, url)
      if (typeof known === 'string') return known
      // A vendor's name need not resolve where it is entered, only where messages leave; a host of one's own should.
      return known.granted ? egress.check(url) : undefined
    },
    tokenOf(channel, url) {
      const known = read(channel, url)
      if (typeof known === 'string') throw new RangeError(known)
      return known.token
    },
    mostBytes: (channel) => CHANNELS[channel].mostBytes,
    async send({ channel, address, text, now, timeouts }) {
      const known = read(channel, address.url)
      if (typeof known === 'string') return { kind: 'refused', reason: known, code: null }
      const { url, body } = CHANNELS[channel].request(address, text, now)
      const outcome = await egress.post({ url, body, headers: { 'content-type': 'application/json; charset=utf-8', 'user-agent': 'wish-wall' }, timeouts })
      return verdictOf(channel, outcome)
    },
  }
}

function verdictOf(channel: Channel, outcome: Outcome): Verdict {
  if (outcome.kind === 'refused') return { kind: 'refused', reason: outcome.reason, code: null }
  if (outcome.kind === 'failed') return { kind: 'failed', reason: outcome.reason, code: null }
  const said = CHANNELS[channel].read(outcome)
  if (!said) return { kind: 'failed', reason: 'answer', code: String(outcome.status) }
  switch (said.meaning) {
    case 'delivered': return outcome.status < 300 ? { kind: 'delivered' } : { kind: 'failed', reason: 'answer', code: String(outcome.status) }
    case 'throttled': return { kind: 'throttled', holdMs: BAN_MS[channel], code: said.code }
    case 'unknown': return { kind: 'failed', reason: 'answer', code: said.code }
    default: return { kind: 'refused', reason: said.meaning, code: said.code }
  }
}
