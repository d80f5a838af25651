import { once } from 'node:events'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls, type SecureContext } from 'node:tls'
import type { Outcome } from '../domain/webhook.ts'
import type { Resolve } from './egress-resolve.ts'
import type { Policy, Target } from './egress-target.ts'

type Bare<T> = T extends unknown ? Omit<T, 'ms'> : never

/** Why there will be no answer. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer'
  readonly why: Bare<Exclude<Outcome, { kind: 'answer' }>>

  constructor(why: NoAnswer['why'], cause?: unknown) {
    super(why.reason, { cause })
    this.why = why
  }
}

export interface Line {
  readonly policy: Policy
  readonly resolve: Resolve
  readonly secureContext: SecureContext
}

/** Where the target leads, now. RFC 6761: localhost is not for DNS to say. */
export async function addressesOf({ host }: Target, resolve: Resolve): Promise<string[]> {
  if (isIP(host)) return [host]
  if (/(^|\.)localhost$/.test(host)) return ['127.0.0.1', '::1']
  return (await resolve(host)).map(({ address }) => address)
}

/**
 * One connection, to an address that was checked just now: the name is resolved here and nowhere later, so whatever
 * DNS says next (rebinding) is not asked for.
 * @throws NoAnswer
 */
export async function dial(target: Target, { policy, resolve, secureContext }: Line, signal: AbortSignal): Promise<Socket> {
  const guard = (addresses: readonly string[]) => {
    const reason = policy.refuses(target, addresses)
    if (reason === 'unresolved') throw new NoAnswer({ kind: 'failed', reason: 'dns' })
    if (reason) throw new NoAnswer({ kind: 'refused', reason })
  }
  const late = () => new NoAnswer({ kind: 'failed', reason: 'timeout' })
  const addresses = await abortable(addressesOf(target, resolve), signal).catch((error: unknown) => {
    throw signal.aborted ? late() : new NoAnswer({ kind: 'failed', reason: 'dns' }, error)
  })
  guard(addresses)

  const checked = addresses.map((address) => ({ address, family: isIP(address) }))
  const tcp = connectTcp({ host: target.host, port: target.port, lookup: (_host, _options, found) => found(null, checked), autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 1000, noDelay: true })
  let socket: Socket = tcp
  const open = async (event: 'connect' | 'secureConnect', failure: 'connect' | 'tls') => {
    // Whoever waits hears its errors; between two waits nobody does.
    socket.on('error', () => {})
    await once(socket, event, { signal }).catch((error: unknown) => {
      throw signal.aborted ? late() : new NoAnswer({ kind: 'failed', reason: failure }, error)
    })
  }
  try {
    await open('connect', 'connect')
    guard([tcp.remoteAddress ?? ''])
    if (target.secure) {
      // `host` is what the certificate must name; SNI carries no addresses.
      socket = connectTls({ socket: tcp, host: target.host, servername: isIP(target.host) ? '' : target.host, secureContext, rejectUnauthorized: true, ALPNProtocols: ['http/1.1'] })
      await open('secureConnect', 'tls')
    }
    return rationed(socket)
  } catch (error) {
    socket.destroy()
    tcp.destroy()
    throw error
  }
}

/** Four times the headers and body that are ever read. */
const MOST_BYTES = 256 * 1024

/**
 * Bounds an answer in bytes on the wire. Interim answers, chunk extensions and empty lines are neither header nor body
 * to a parser: a flood of them would keep the whole process busy until time is up.
 */
function rationed(socket: Socket): Socket {
  let asked = socket.bytesWritten
  let start = socket.bytesRead
  let last = start
  return socket.on('readable', () => {
    // What is written is the next question.
    if (socket.bytesWritten !== asked) start = last
    asked = socket.bytesWritten
    last = socket.bytesRead
    if (last - start > MOST_BYTES) socket.destroy(new NoAnswer({ kind: 'failed', reason: 'protocol' }))
  })
}

/** The work goes on unheard; who called does not wait for it. */
async function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  work.catch(() => {})
  if (signal.aborted) throw signal.reason
  let stop = () => {}
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => reject(signal.reason as Error)
    signal.addEventListener('abort', stop, { once: true })
  })
  return Promise.race([work, aborted]).finally(() => signal.removeEventListener('abort', stop))
}
