import { promises as dns } from 'node:dns'
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'

export interface Resolved {
  readonly address: string
  readonly family: number
}

/** All addresses of a host name. @throws when there are none, or no server answers */
export type Resolve = (host: string) => Promise<Resolved[]>

/**
 * Asks the DNS servers of the machine, after its hosts file. Not `dns.lookup`: that waits in two of libuv's four
 * threads, so a few domains whose servers keep silent would stop every delivery (and file access with them).
 */
export function openResolver({ servers, hostsFile = '/etc/hosts' }: { servers?: string[]; hostsFile?: string } = {}): Resolve & { cancel(): void } {
  const resolver = new dns.Resolver({ timeout: 1500, tries: 2 })
  if (servers) resolver.setServers(servers)
  const hosts = readHosts(hostsFile)
  const resolve = async (host: string): Promise<Resolved[]> => {
    const known = hosts.get(host)
    if (known) return known
    const [four, six] = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)])
    // A zone without AAAA is no fault, and some servers are silent when asked for it.
    const found = [...of(four, 4), ...of(six, 6)]
    if (found.length === 0 && four.status === 'rejected') throw four.reason
    return found
  }
  return Object.assign(resolve, { cancel: () => resolver.cancel() })
}

const of = (answer: PromiseSettledResult<string[]>, family: number): Resolved[] =>
  answer.status === 'fulfilled' ? answer.value.map((address) => ({ address, family })) : []

/** Read once, at the start: a government network may name its receivers nowhere else. */
function readHosts(path: string): Map<string, Resolved[]> {
  const hosts = new Map<string, Resolved[]>()
  for (const line of textOf(path).split('\n')) {
    const [address = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/)
    const family = isIP(address)
    if (family === 0) continue
    for (const name of names) hosts.set(name.toLowerCase(), [...(hosts.get(name.toLowerCase()) ?? []), { address, family }])
  }
  return hosts
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
