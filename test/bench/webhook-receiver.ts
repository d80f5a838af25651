import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A receiver that says 204 to everything, in a process of its own. Tells its parent when it has heard what is waited for. */

const heard = new Set<string>()
let body = ''
let awaited = Infinity

const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    body = Buffer.concat(chunks).toString()
    response.writeHead(204).end()
    heard.add(`${request.url} ${request.headers['webhook-id'] as string}`)
    if (heard.size === awaited) process.send!({ at: performance.timeOrigin + performance.now(), body })
  })
})
server.listen(0, '127.0.0.1', () => process.send!({ port: (server.address() as AddressInfo).port }))

/** Begins anew, and waits for so many different messages. */
process.on('message', (count: number) => {
  heard.clear()
  awaited = count
  process.send!({ ready: true })
})
process.on('disconnect', () => process.exit())
