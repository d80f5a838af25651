import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSecureContext, rootCertificates, type SecureContext } from 'node:tls'
import { LRUCache } from 'lru-cache'
import type { EgressRefusal, Outcome } from '../domain/webhook.ts'
import { addressesOf, type Line } from './egress-dial.ts'
import { TIMEOUTS, type Timeouts } from './egress-exchange.ts'
import { openLane, type Lane } from './egress-lane.ts'
import { openResolver, type Resolve } from './egress-resolve.ts'
import { openPolicy, type Target } from './egress-target.ts'

/**
 * The only way out to addresses that strangers chose. A URL may be anything at any time, so it is judged at every
 * step: its text, every address of its name, and the peer of the socket. Redirects are answers, and no environment
 * variable names a proxy: undici's Pool reads none.
 */
export interface Egress {
  /** Whether the URL may be sent to as things stand: for those who enter one. `post` judges again, each time. */
  check(url: string): Promise<EgressRefusal | undefined>
  /** Never rejects. @param timeouts where they are to be shorter than usual */
  post(request: { url: string; headers: Record<string, string>; body: string | Buffer; timeouts?: Partial<Timeouts> }): Promise<Outcome>
  /** Cuts what is under way: its outcome is `reset`. */
  close(): Promise<void>
}

export interface EgressOptions {
  /** Plain http, and every port, to this machine itself: for development. */
  readonly allowLoopback: boolean
  /** Private ranges of the operator's own network, on every port. */
  readonly allowCidrs: readonly string[]
  /** PEM of authorities trusted besides the public ones. */
  readonly caFile?: string | undefined
  readonly resolve?: Resolve
}

/** An idle origin is forgotten after this long, and at once while there are more than so many. */
const IDLE_MS = 5_000
const MOST_ORIGINS = 256

/** @throws Error when a range or the file of authorities is none */
export function openEgress({ allowLoopback, allowCidrs, caFile, resolve }: EgressOptions): Egress {
  const system = resolve ? undefined : openResolver()
  const line: Line = { policy: openPolicy({ allowLoopback, allowCidrs }), resolve: resolve ?? system!, secureContext: trust(caFile) }
  const lanes = new Map<string, Lane & { idle?: NodeJS.Timeout }>()
  /** What a URL says does not change; where it leads is asked each time. */
  const read = new LRUCache<string, { target: Target | EgressRefusal }>({ max: 1_000 })
  let closed = false

  const laneTo = (target: Target): Lane => {
    const known = lanes.get(target.origin)
    clearTimeout(known?.idle)
    const lane = known ?? openLane(target, line)
    lanes.set(target.origin, lane)
    return lane
  }
  const rest = (origin: string) => {
    const lane = lanes.get(origin)
    if (!lane || lane.busy()) return
    if (lanes.size > MOST_ORIGINS) void close(origin)
    else lane.idle = setTimeout(() => void close(origin), IDLE_MS).unref()
  }
  const close = async (origin: string) => {
    const lane = lanes.get(origin)
    clearTimeout(lane?.idle)
    lanes.delete(origin)
    await lane?.close()
  }

  return {
    async check(url) {
      const target = line.policy.read(url)
      if (typeof target === 'string') return target
      const addresses = await Promise.race([addressesOf(target, line.resolve), after(TIMEOUTS.connectMs)]).catch(() => [])
      return line.policy.refuses(target, addresses)
    },
    async post({ url, headers, body, timeouts }) {
      const { target } = read.get(url) ?? { target: line.policy.read(url) }
      read.set(url, { target })
      if (typeof target === 'string') return { kind: 'refused', reason: target }
      if (closed) return { kind: 'failed', reason: 'reset', ms: 0 }
      return laneTo(target).post({ path: target.path, headers: withoutHost(headers), body }, { ...TIMEOUTS, ...timeouts }, () => rest(target.origin))
    },
    async close() {
      closed = true
      system?.cancel()
      await Promise.all([...lanes.keys()].map(close))
    },
  }
}

/** The name that was checked is the name that is asked for: undici would take a Host header for SNI too. */
const withoutHost = (headers: Record<string, string>): Record<string, string> =>
  Object.keys(headers).some(isHost) ? Object.fromEntries(Object.entries(headers).filter(([name]) => !isHost(name))) : headers
const isHost = (name: string): boolean => name.toLowerCase() === 'host'

/** Made once: parsing 150 authorities takes longer than the handshake. */
function trust(caFile: string | undefined): SecureContext {
  if (caFile === undefined) return createSecureContext({ minVersion: 'TLSv1.2' })
  const pem = readFileSync(caFile, 'utf8')
  // Node takes a file without certificates for an empty list.
  void new X509Certificate(pem)
  return createSecureContext({ minVersion: 'TLSv1.2', ca: [...rootCertificates, pem] })
}

const after = (ms: number): Promise<never[]> => new Promise((resolve) => void setTimeout(resolve, ms, []).unref())
