import { createServer, BlockList, isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

/** Where strangers would have us go, what hostile DNS says, and a counter at the socket that sees whoever goes there. */

export interface Dialled { address: string; port: number }

/**
 * Nothing leaves this machine: every connect() of the process is counted where Node hands it to the system, and refused
 * there, or led elsewhere.
 * @param instead where it goes in earnest; nothing for what is to be refused and counted
 * @returns what takes it back
 */
export async function countConnections(dialled: Dialled[], instead: (to: Dialled) => Dialled | 'as it is' | undefined): Promise<() => void> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const handle = Object.getPrototypeOf((server as any)._handle)
  const real = { connect: handle.connect, connect6: handle.connect6 }
  const ENETUNREACH = -101
  const counted = (way: 'connect' | 'connect6') => function (this: any, request: any, address: string, port: number) {
    const other = instead({ address, port })
    if (other === 'as it is') return real[way].call(this, request, address, port)
    dialled.push({ address, port })
    return other ? real.connect.call(this, request, other.address, other.port) : ENETUNREACH
  }
  handle.connect = counted('connect')
  handle.connect6 = counted('connect6')
  server.close()
  return () => void Object.assign(handle, real)
}

/** One list per family: a BlockList compares across them, and `::/3` would hold all of IPv4. */
function within(cidrs: string): (address: string) => boolean {
  const lists = { 4: new BlockList(), 6: new BlockList() }
  for (const cidr of cidrs.trim().split(/\s+/)) {
    const [address, bits] = cidr.split('/') as [string, string]
    const family = isIP(address) as 4 | 6
    lists[family].addSubnet(address, Number(bits), `ipv${family}`)
  }
  return (address) => {
    const family = isIP(address) as 4 | 6
    return lists[family].check(address, `ipv${family}`)
  }
}

/** From the registries of IANA and the manuals of the clouds, written down apart from the code that is tested. */
const isSpecial = within(`
  0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24
  192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/3 168.63.129.16/32
  ::/3 2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20 4000::/2 8000::/1`)
export const isPublic = (address: string): boolean => isIP(address) !== 0 && !isSpecial(address)

/** What even `0.0.0.0/0` and `::/0` of an operator do not open: this machine, link-local, metadata, multicast, and whatever hides another address. */
export const isNever = within(`0.0.0.0/8 127.0.0.0/8 169.254.0.0/16 224.0.0.0/4 255.255.255.255/32 168.63.129.16/32 100.100.100.200/32
  ::/16 64:ff9b::/96 64:ff9b:1::/48 2002::/16 2001::/32 fe80::/10 fec0::/10 ff00::/8 fd00:ec2::254/128`)

export const PUBLIC4 = '93.184.215.14'
export const PUBLIC6 = '2606:2800:21f:cb07:6820:80da:af6b:8b2c'

/** What hostile DNS says. */
const NAMES: Record<string, string[]> = {
  'good.example': [PUBLIC4, PUBLIC6], 'four.example': [PUBLIC4], 'six.example': [PUBLIC6], 'xn--fsqu00a.xn--0zwm56d': [PUBLIC4],
  '127.0.0.1.nip.io': ['127.0.0.1'], '7f000001.nip.io': ['127.0.0.1'], 'app.10.1.2.3.sslip.io': ['10.1.2.3'], '169-254-169-254.sslip.io': ['169.254.169.254'], 'localtest.me': ['127.0.0.1', '::1'],
  'metadata.google.internal': ['169.254.169.254'], 'instance-data.ec2.internal': ['169.254.169.254'], 'metadata.tencentyun.com': ['169.254.0.23'], 'ecs.alibaba.internal': ['100.100.100.200'],
  'wireserver.azure': ['168.63.129.16'], 'v6.metadata.aws': ['fd00:ec2::254'], 'kubernetes.default.svc': ['10.96.0.1'], 'postgres': ['172.18.0.2'], 'redis': ['172.18.0.3'], 'host.docker.internal': ['192.168.65.254'],
  'gateway.corp': ['192.168.1.1'], 'zero.example': ['0.0.0.0'], 'zero6.example': ['::'], 'cgn.example': ['100.64.0.1'], 'ula.example': ['fd12:3456::1'], 'link.example': ['fe80::1'], 'zone.example': ['fe80::1%eth0'],
  'mixed-last.example': [PUBLIC4, '10.0.0.1'], 'mixed-first.example': ['10.0.0.1', PUBLIC4], 'mixed-six.example': [PUBLIC4, '::1'], 'mixed-mapped.example': [PUBLIC6, '::ffff:169.254.169.254'],
  'mixed-many.example': [...Array.from({ length: 30 }, (_none, index) => `93.184.215.${index + 1}`), '127.0.0.1'], 'cname-to-private.example': ['192.168.0.10'],
  'mapped.example': ['::ffff:127.0.0.1'], 'compat.example': ['::7f00:1'], 'nat64.example': ['64:ff9b::a9fe:a9fe'], 'nat64-local.example': ['64:ff9b:1::7f00:1'], 'sixtofour.example': ['2002:7f00:1::1'], 'teredo.example': ['2001:0:7f00:1::1'],
  'octal.example': ['0177.0.0.1'], 'leading.example': ['010.0.0.1'], 'hex.example': ['0x7f.0.0.1'], 'short.example': ['127.1'], 'number.example': ['2130706433'], 'words.example': ['not an address'], 'blank.example': [''], 'none.example': [],
}
export const resolve = async (host: string) => {
  const found = NAMES[host]
  if (!found) throw Object.assign(new Error('ENOTFOUND'), { code: 'ENOTFOUND' })
  return found.map((address) => ({ address, family: isIP(address) }))
}

const INSIDE = ['127.0.0.1', '10.0.0.1', '169.254.169.254', '192.168.1.1', '172.16.0.1', '100.100.100.200']
/** All the spellings in which one IPv4 address was ever written. */
function spellings(address: string): string[] {
  const octets = address.split('.').map(Number) as [number, number, number, number]
  const number = octets.reduce((sum, octet) => sum * 256 + octet)
  const hex = octets.map((octet) => octet.toString(16).padStart(2, '0'))
  const wide = (text: string, zero: number) => text.replace(/\d/g, (digit) => String.fromCodePoint(zero + Number(digit)))
  const six = `${hex[0]}${hex[1]}:${hex[2]}${hex[3]}`
  return [
    address, String(number), `0x${number.toString(16)}`, `0X${number.toString(16).toUpperCase()}`, `0${number.toString(8)}`, `0x00000000${number.toString(16)}`,
    octets.map((octet) => `0${octet.toString(8)}`).join('.'), octets.map((octet) => `000${octet.toString(8)}`).join('.'), octets.map((octet) => `0x${octet.toString(16)}`).join('.'),
    `${octets[0]}.${octets[1] * 65_536 + octets[2] * 256 + octets[3]}`, `${octets[0]}.${octets[1]}.${octets[2] * 256 + octets[3]}`, `0x${hex[0]}.0${octets[1].toString(8)}.${octets[2]}.0x${hex[3]}`,
    wide(address, 0xff10), wide(address, 0x1d7ce), address.replaceAll('.', '。'), address.replaceAll('.', '．'), address.replaceAll('.', '｡'), address.replaceAll('.', '%2e'),
    address.replace(/^\d/, (digit) => `%3${digit}`), `${address.slice(0, 1)}\u00ad${address.slice(1)}`, `${address}.`, `${address}:443`,
    `[::ffff:${address}]`, `[::ffff:${six}]`, `[0:0:0:0:0:ffff:${six}]`, `[::${address}]`, `[::${six}]`, `[::ffff:0:${six}]`, `[64:ff9b::${six}]`, `[64:ff9b:1::${six}]`, `[64:ff9b:1:ffff:ffff::${six}]`,
    `[2002:${six}::1]`, `[2001:0:${six}::1]`, `[fe80::5efe:${six}]`,
  ]
}

/** First, middle and last of every range that ipaddr.js knows to be special. */
function specialRanges(): string[] {
  const lists = [ipaddr.IPv4.prototype, ipaddr.IPv6.prototype].flatMap((prototype: any) => Object.values(prototype.SpecialRanges) as any[])
  const ranges = lists.flatMap((list: any) => (Array.isArray(list[0]) ? list : [list])) as [any, number][]
  return ranges.flatMap(([address, bits]) => {
    const first: number[] = address.toByteArray()
    const fill = (byte: number) => ipaddr.fromByteArray(first.map((own, index) => {
      const free = Math.min(8, Math.max(0, (index + 1) * 8 - bits))
      return (own & (0xff << free) & 0xff) | (byte & ((1 << free) - 1))
    })).toString()
    return [fill(0), fill(0x5a), fill(0xff)]
  })
}

export const bracketed = (address: string) => (address.includes(':') ? `[${address}]` : address)

export const HOSTILE: string[] = [
  ...INSIDE.flatMap(spellings).map((host) => `https://${host}/hook`),
  ...specialRanges().map((address) => `https://${bracketed(address)}/`),
  // Not in ipaddr.js: never allotted, or of one cloud.
  ...['168.63.129.16', '100.96.0.96', '[::7f00:1]', '[1::1]', '[400::1]', '[4000::1]', '[8000::1]', '[c000::1]', '[fbff::1]', '[100:0:0:1::1]', '[::ffff:93.184.215.14]', '[::93.184.215.14]', '[fd00:ec2::254]', '[fd00:ec2::253]', '[fd20:ce::254]', '[fd00:42::42]', '[fd00:c1::a9fe:a9fe]'].map((host) => `https://${host}/`),
  ...Object.entries(NAMES).filter(([, found]) => !found.every(isPublic) || found.length === 0).map(([name]) => `https://${name}/`),
  ...['localhost', 'LOCALHOST', 'LocalHost:8443', 'localhost.', 'api.localhost', 'a.b.localhost', 'ⓛⓞⓒⓐⓛⓗⓞⓢⓣ', 'ｌｏｃａｌｈｏｓｔ', 'loc%61lhost', 'localhost:6379', 'nowhere.example', 'good.example.', '127.0.0.1.nip.io.', 'METADATA.google.internal', '0', '0x0', '00', '0.0.0.0', '[::]', '[::1]', '[0:0:0:0:0:0:0:1]', '127.1', '127.255.255.254'].map((host) => `https://${host}/`),
  ...['user@good.example', 'user:pass@good.example', ':pass@good.example', 'good.example@127.0.0.1', '127.0.0.1@good.example', 'good.example:443@10.0.0.1', 'good.example%40127.0.0.1', 'a:b@[::1]', '%00@good.example', 'good.example%23@169.254.169.254'].map((host) => `https://${host}/`),
  ...[0, 1, 21, 22, 25, 80, 444, 2375, 3306, 5432, 6379, 6443, 8080, 8442, 9200, 11_211, 27_017, 65_535].map((port) => `https://good.example:${port}/`),
  `https://${PUBLIC4}:22/`, `https://[${PUBLIC6}]:6379/`,
  ...['http', 'ftp', 'file', 'gopher', 'ws', 'wss', 'dict', 'ldap', 'tftp', 'sftp', 'jar', 'netdoc', 'unix', 'blob', 'view-source'].map((scheme) => `${scheme}://good.example/`),
  'http://127.0.0.1/', 'http://localhost:3000/', `http://${PUBLIC4}/`, 'http://[::1]:8080/', 'file:///etc/passwd', 'data:text/plain,x', 'javascript:alert(1)', 'about:blank', 'mailto:a@b.example', 'gopher://127.0.0.1:6379/_FLUSHALL',
  '', ' ', '/', '//good.example/', 'good.example', 'https:', 'https://', 'https:///', 'https://?x', 'https://#x', 'https://[', 'https://[]/', 'https://[::g]/', 'https://[fe80::1%25eth0]/', 'https://[fe80::1%eth0]/', 'https://[127.0.0.1]/', 'https://good.example:99999/', 'https://good.example:-1/', 'https://good.example:https/',
  'https://999.1.1.1/', 'https://1.2.3.4.5/', 'https://256/x', 'https://0x100000000/', 'https://good example/', 'https://good.exa\tmple/', 'https://good.example/\n', ' https://good.example/', 'https://good.example/ ', 'ht\ntps://127.0.0.1/', 'https:\\\\127.0.0.1\\', 'https://good.example\\@127.0.0.1/', 'https://good.example/\u0000', 'https://good.example/\u202e', '\ufeffhttps://good.example/', 'https://good.example/\ud800',
  'https://good.example/%0d%0aHost:x\r\nX: y', `https://good.example/${'a'.repeat(2048)}`, `https://${'a'.repeat(70)}.example/`, `https://${'a.'.repeat(200)}example/`, 'https://*.example/', 'https://<good.example>/', 'https://good.example|127.0.0.1/', 'https://good.example^/', 'https://good_example%2f/', 'https://good.example%00.10.0.0.1/',
]
