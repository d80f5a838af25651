import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Webhook } from 'standardwebhooks'

/** One message that arrived whole, whatever was answered to it. */
export interface Heard {
  /** The last part of the path. */
  name: string
  /** `webhook-id` */
  id: string
  body: { id: string; type: string; occurredAt: string; seq: number; number?: string; requestId: string }
  /** Its signature verifies, by others' code. */
  verified: boolean
  /** Milliseconds since 1970. */
  at: number
  /** How often this id had come to this name before. */
  before: number
}

export interface Receiver {
  /** `…/<behaviour>/<name>` */
  url(behaviour: Behaviour, name?: string): string
  heard: Heard[]
  of(name: string): Heard[]
  /** Messages for this name are verified with it. */
  trust(name: string, secret: string): void
  close(): Promise<void>
}

type Answer = (response: ServerResponse, request: IncomingMessage, message: Heard) => void

const status = (code: number, headers: Record<string, string> = {}): Answer => (response) => void response.writeHead(code, headers).end(`${code}`)

/** Two messages in three. */
const isHard = ({ body }: Heard): boolean => Number(body.number?.slice(-6)) % 3 > 0

/** One in seven. */
export const isPoison = ({ number }: Heard['body']): boolean => Number(number?.slice(-6)) % 7 === 0

/** What receivers do in this world. */
const BEHAVIOURS = {
  ok: status(204),
  /** Takes the message and never says anything. */
  hang: () => {},
  /** Says 200, and then a byte a second. */
  drip: (response) => {
    response.writeHead(200)
    const timer = setInterval(() => response.write('.'), 1000)
    response.on('close', () => clearInterval(timer))
  },
  reset: (_response, request) => void request.socket.resetAndDestroy(),
  /** Begins an answer and dies. */
  torn: (response, request) => {
    response.writeHead(200, { 'content-length': '1000' }).write('half')
    setTimeout(() => request.socket.resetAndDestroy(), 5)
  },
  /** 1 GiB, as fast as it is taken. */
  huge: (response) => {
    response.writeHead(500)
    const chunk = Buffer.alloc(64 * 1024, 'x')
    let left = 16 * 1024
    const more = (): void => {
      while (left-- > 0) if (!response.write(chunk)) return void response.once('drain', more)
      response.end()
    }
    response.on('error', () => {})
    more()
  },
  /** To a place that would take it, which must not be asked. */
  redirect: (response) => void response.writeHead(307, { location: '/ok/redirected' }).end(),
  gone: status(410),
  limited: (response, _request, message) => (isHard(message) && message.before < 2 ? response.writeHead(429, { 'retry-after': '1' }) : response.writeHead(204)).end(),
  /** Twice wrong, then right. */
  flaky: (response, _request, message) => void response.writeHead(isHard(message) && message.before < 2 ? 500 : 204).end(),
  /** Every seventh message it will never take. */
  picky: (response, _request, { body }) => void response.writeHead(isPoison(body) ? 500 : 204).end(),
  nonsense: (_response, request) => void request.socket.end('HTTP/9.9 huh\r\n\r\n'),
} satisfies Record<string, Answer>

export type Behaviour = keyof typeof BEHAVIOURS

/** A hostile server on this machine, of one behaviour per path. */
export async function startReceiver(): Promise<Receiver> {
  const heard: Heard[] = []
  const times = new Map<string, number>()
  const secrets = new Map<string, Webhook>()
  const server = createServer({ keepAliveTimeout: 5_000 }, async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
    const body = Buffer.concat(chunks).toString()
    const [, behaviour = 'ok', name = ''] = request.url!.split('/')
    const id = String(request.headers['webhook-id'])
    const before = times.get(`${name} ${id}`) ?? 0
    times.set(`${name} ${id}`, before + 1)
    const message: Heard = { name, id, body: JSON.parse(body) as Heard['body'], verified: verifies(secrets.get(name), body, request), at: Date.now(), before }
    heard.push(message)
    const answer: Answer = BEHAVIOURS[behaviour as Behaviour]
    answer(response, request, message)
  }).listen(0, '127.0.0.1')
  server.on('clientError', (_error, socket) => void socket.destroy())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: (behaviour, name = behaviour) => `http://127.0.0.1:${port}/${behaviour}/${name}`,
    heard,
    of: (name) => heard.filter((one) => one.name === name),
    trust: (name, secret) => void secrets.set(name, new Webhook(secret)),
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

function verifies(webhook: Webhook | undefined, body: string, { headers }: IncomingMessage): boolean {
  try {
    return webhook !== undefined && Boolean(webhook.verify(body, headers as Record<string, string>))
  } catch {
    return false
  }
}
