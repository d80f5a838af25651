import { request, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'

export interface Heard {
  id: string
  event: string
  // Answers are looked into freely by tests.
  data: Record<string, any>
  /** `performance.now()` when it came. */
  at: number
}

export interface Listening {
  status: number
  headers: IncomingHttpHeaders
  heard: Heard[]
  comments: string[]
  /** Every id that was told, also where no event came with it. A browser would send back the last. */
  ids: string[]
  lastId(): string
  /** Milliseconds to wait before coming back. */
  retry(): number
  /** Of a refusal. */
  body(): Promise<Record<string, any>>
  /** Resolves when the connection is over. */
  ended: Promise<void>
  /** Reads no more; the socket fills up. */
  pause(): void
  resume(): void
  close(): void
}

/** `GET /v1/events/stream`, read as the WHATWG's standard says. Resolves with the headers. */
export function listen(origin: string, token: string, query = '', headers: Record<string, string> = {}): Promise<Listening> {
  return new Promise((resolve, reject) => {
    const sent = request(`${origin}/v1/events/stream${query}`, { agent: false, headers: { authorization: `Bearer ${token}`, ...headers } }, (answer) => {
      resolve(listening(answer, () => sent.destroy()))
    })
    sent.on('error', reject).end()
  })
}

function listening(answer: IncomingMessage, close: () => void): Listening {
  const heard: Heard[] = []
  const comments: string[] = []
  let rest = ''
  const ids: string[] = []
  let retry = 0
  const isStream = answer.headers['content-type'] === 'text/event-stream'
  answer.setEncoding('utf8').on('error', () => {})
  answer.on('data', (chunk: string) => {
    rest += chunk
    if (!isStream) return
    const blocks = rest.split('\n\n')
    rest = blocks.pop()!
    for (const block of blocks) {
      const fields = new Map<string, string>()
      for (const line of block.split('\n')) {
        const colon = line.indexOf(':')
        if (colon === 0) comments.push(line.slice(1).trim())
        else fields.set(line.slice(0, colon), line.slice(colon + 1).trimStart())
      }
      const id = fields.get('id') ?? ids.at(-1) ?? ''
      if (id !== ids.at(-1)) ids.push(id)
      retry = Number(fields.get('retry') ?? retry)
      const data = fields.get('data')
      if (data !== undefined) heard.push({ id, event: fields.get('event') ?? 'message', data: JSON.parse(data) as Heard['data'], at: performance.now() })
    }
  })
  const ended = new Promise<void>((resolve) => answer.on('close', resolve))
  return {
    status: answer.statusCode!, headers: answer.headers, heard, comments, ids, ended, close,
    lastId: () => ids.at(-1) ?? '',
    retry: () => retry,
    body: async () => {
      await ended
      return JSON.parse(rest) as Record<string, any>
    },
    pause: () => void answer.pause(),
    resume: () => void answer.resume(),
  }
}
