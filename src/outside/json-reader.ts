import { readFileSync } from 'node:fs'
import { createSecureContext, rootCertificates } from 'node:tls'
import { Client } from 'undici'
import { dial, type Line } from './egress-dial.ts'
import { openResolver } from './egress-resolve.ts'
import { openPolicy } from './egress-target.ts'
import type { EgressOptions } from './egress.ts'

/** Name, connection, headers and body together. */
const TOTAL_MS = 5_000
/** Some hundred keys; issuers have a handful. */
const MOST_BYTES = 256 * 1024

/** Whatever went wrong out there, as one line for the log: no word of the other side's. */
export class Unreadable extends Error {
  override readonly name = 'Unreadable'
}

/**
 * Reads small JSON documents from addresses that tenants entered: an issuer's discovery document and its keys. By the rules
 * of the egress (addresses, ports, https; plain http to this machine where that is allowed), nothing followed, nothing
 * decompressed, bounded in time and size.
 */
export interface JsonReader {
  /** @throws Unreadable */
  read(url: string): Promise<unknown>
  close(): void
}

/** @throws Error when a range or the file of authorities is none */
export function openJsonReader({ allowLoopback, allowCidrs, caFile, resolve }: EgressOptions): JsonReader {
  const system = resolve ? undefined : openResolver()
  const ca = caFile === undefined ? undefined : [...rootCertificates, readFileSync(caFile, 'utf8')]
  const line: Line = { policy: openPolicy({ allowLoopback, allowCidrs }), resolve: resolve ?? system!, secureContext: createSecureContext({ minVersion: 'TLSv1.2', ...(ca && { ca }) }) }
  return { read: (url) => readJson(line, url), close: () => system?.cancel() }
}

async function readJson(line: Line, url: string): Promise<unknown> {
  const target = line.policy.read(url)
  if (typeof target === 'string') throw new Unreadable(`refused: ${target}`)
  const stop = AbortSignal.timeout(TOTAL_MS)
  const client = new Client(target.origin, {
    connect: (_options, connected) => void dial(target, line, stop).then((socket) => connected(null, socket), (error: Error) => connected(error, null)),
    allowH2: false, maxHeaderSize: 16 * 1024, pipelining: 0,
  })
  try {
    const { statusCode, headers, body } = await client.request({ method: 'GET', path: target.path, headers: { accept: 'application/json', 'accept-encoding': 'identity' }, signal: stop })
    if (statusCode !== 200) throw new Unreadable(`answered ${statusCode}`)
    if (headers['content-encoding'] !== undefined && headers['content-encoding'] !== 'identity') throw new Unreadable('answered in an encoding')
    const parts: Buffer[] = []
    let size = 0
    for await (const part of body as AsyncIterable<Buffer>) {
      size += part.length
      if (size > MOST_BYTES) throw new Unreadable('answered too much')
      parts.push(part)
    }
    return JSON.parse(Buffer.concat(parts).toString('utf8')) as unknown
  } catch (error) {
    if (error instanceof Unreadable) throw error
    throw new Unreadable(stop.aborted ? 'took too long' : error instanceof SyntaxError ? 'answered no JSON' : 'did not answer', { cause: error })
  } finally {
    void client.destroy()
  }
}
