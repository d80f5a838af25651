import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import type { EgressRefusal } from '../domain/webhook.ts'

/** Which URLs and which addresses may be dialled. Nothing here resolves or connects. */

export interface Target {
  /** Scheme, host and port. */
  readonly origin: string
  /** As DNS and certificates know it: lower case, punycode, no brackets. */
  readonly host: string
  readonly port: number
  readonly secure: boolean
  /** Path and query. */
  readonly path: string
}

export interface Policy {
  /** The URL alone: what it says about where it leads is judged by `refuses`. */
  read(url: string): Target | EgressRefusal
  /** @param addresses every one the host has: a single bad one spoils all */
  refuses(target: Target, addresses: readonly string[]): EgressRefusal | undefined
}

/** @throws Error for a range that is none */
export function openPolicy({ allowLoopback, allowCidrs }: { allowLoopback: boolean; allowCidrs: readonly string[] }): Policy {
  const granted = allowCidrs.map((cidr) => ipaddr.parseCIDR(cidr))
  const standing = (address: string): Standing => {
    if (isIP(address) === 0) return 'closed'
    const ip = ipaddr.parse(address)
    const range = ip.range()
    if (range === 'loopback') return allowLoopback ? 'loopback' : 'closed'
    if (METADATA.some((cidr) => isIn(ip, cidr)) || !GRANTABLE.has(range) || !isAllotted(ip, range)) return 'closed'
    if (granted.some((cidr) => isIn(ip, cidr))) return 'granted'
    return range === 'unicast' ? 'public' : 'closed'
  }
  return {
    read(url) {
      const target = readTarget(url)
      return typeof target !== 'string' && !target.secure && !allowLoopback ? 'scheme' : target
    },
    refuses({ secure, port }, addresses) {
      if (addresses.length === 0) return 'unresolved'
      const standings = addresses.map(standing)
      if (standings.includes('closed')) return 'address'
      if (!secure && standings.some((one) => one !== 'loopback')) return 'scheme'
      return standings.includes('public') && !PORTS.has(port) ? 'port' : undefined
    },
  }
}

type Standing = 'public' | 'loopback' | 'granted' | 'closed'

const PORTS = new Set([443, 8443])

/** Never, whatever the operator grants: they hand out the machine's own credentials. Link-local ones are closed by their range. */
const METADATA = [
  '168.63.129.16/32', // Azure, and by its range a public address
  '100.100.100.200/32', // Alibaba Cloud
  '100.96.0.96/32', // Volcano Engine
  'fd00:ec2::/32', // AWS
  'fd20:ce::254/128', // Google Cloud
  'fd00:c1::a9fe:a9fe/128', // Oracle Cloud
  'fd00:42::42/128', // Scaleway
].map((cidr) => ipaddr.parseCIDR(cidr))

/** Ranges that a CIDR of the operator may open; `unicast` is open without. Others hide a second address (IPv4-mapped, NAT64, 6to4, Teredo). */
const GRANTABLE = new Set<string>(['unicast', 'private', 'carrierGradeNat', 'uniqueLocal'])

/** ipaddr.js calls unicast whatever it does not know, `::7f00:1` (127.0.0.1 in the oldest clothes) among it. IANA has allotted 2000::/3. */
const ALLOTTED = ipaddr.parseCIDR('2000::/3')
const isAllotted = (ip: Address, range: string): boolean => ip.kind() === 'ipv4' || range !== 'unicast' || isIn(ip, ALLOTTED)

type Address = ReturnType<typeof ipaddr.parse>
const isIn = (ip: Address, cidr: ReturnType<typeof ipaddr.parseCIDR>): boolean => ip.kind() === cidr[0].kind() && ip.match(cidr)

const LONGEST = 2048
/** The URL parser drops or turns these; what is stored and shown shall be what is dialled. */
const TURNED = /[\s\p{C}\\]/u

function readTarget(url: string): Target | EgressRefusal {
  if (url.length > LONGEST || TURNED.test(url) || !URL.canParse(url)) return 'url'
  const { protocol, username, password, hostname, port, origin, pathname, search } = new URL(url)
  if (protocol !== 'https:' && protocol !== 'http:') return 'scheme'
  if (username || password) return 'userinfo'
  // A host with a dot at its end is another host to certificates and to pools.
  if (hostname.endsWith('.')) return 'host'
  const secure = protocol === 'https:'
  const host = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname
  return { origin, host, port: port === '' ? (secure ? 443 : 80) : Number(port), secure, path: pathname + search }
}
