import type { OutgoingHttpHeaders } from 'node:http'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { Actor } from '../../domain/actor.ts'
import { code, cursor, listQuery, uuid } from '../../domain/atoms.ts'
import { EVENT_TYPES } from '../../domain/derive.ts'
import { Problem, says } from '../../domain/problems.ts'
import { personActor } from '../../service/actors.ts'
import { welcomeClient } from '../../service/clients.ts'
import type { Db } from '../../service/db.ts'
import { eventOf, feedCursor, feedFilter, type FeedEntry } from '../../service/events.ts'
import { FeedListener } from '../../service/feed-listener.ts'
import type { Reading } from '../../service/feed-tail.ts'
import type { Keyring } from '../../service/keyring.ts'
import { verifyToken } from '../../service/tokens.ts'
import { EventStream } from '../event-stream.ts'
import { EventSchema } from './events.ts'

/** In milliseconds. `recheck` and the actors' memory together stay below 5 s: revocation ends a stream, too. */
const TIMES = { heartbeat: 15_000, recheck: 2_000, stalled: 60_000, farewell: 500 }

/** Open streams of this process, and of one caller in it. */
const MOST = { inAll: 5_000, each: 100 }

interface Deps {
  db: Db
  keyring: Keyring
  /** The wall clock, in milliseconds. */
  clock: () => number
  times?: Partial<typeof TIMES>
  most?: typeof MOST
}

const DESCRIPTION = `\`text/event-stream\`：先补发，再实时推送。\`id\` 就是 \`GET /v1/events\` 的 \`nextCursor\`，两种读法可以随时互换；\`event\` 是事件类型，\`data\` 与 \`GET /v1/events\` 的一项相同。

断线后带着 \`Last-Event-ID\` 重连（浏览器会自动带），从断点补发，不缺不重；它优先于 \`after\`，两者都没有时从现在开始。每 15 秒有一行注释保持连接。令牌到期、权限收回或服务重启时，连接以一行说明原因的注释结束。`

const TYPES = EVENT_TYPES.map(({ type }) => type) as [string, ...string[]]
const STOPPING = 'the server stops, come back'

/** The feed as it grows, by Server-Sent Events. */
export const streamRoutes = ({ db, keyring, clock, times: given, most = MOST }: Deps): FastifyPluginAsyncZod => async (app) => {
  const times = { ...TIMES, ...given }
  const feed = new FeedListener({ db, onError: (error) => app.log.warn({ err: error }, 'the feed is not heard, trying again') })
  const frame = framing(app.serializerCompiler!({ schema: EventSchema, method: 'GET', url: '/v1/events/stream' }))
  /** With the caller of each. */
  const streams = new Map<EventStream, string>()
  let closing = false
  app.addHook('preClose', async () => {
    closing = true
    await Promise.all([...streams.keys()].map((stream) => stream.end(STOPPING)))
    await feed.close()
  })

  app.get('/v1/events/stream', {
    exposeHeadRoute: false,
    config: { problems: ['not-found', 'cursor-unusable'] },
    schema: {
      tags: ['事件'], summary: '实时事件流', operationId: 'streamEvents', description: DESCRIPTION, produces: ['text/event-stream'],
      headers: z.looseObject({ 'last-event-id': cursor.optional().describe('收到的最后一个 id') }),
      querystring: z.strictObject({
        after: z.union([z.literal('latest'), cursor]).optional().describe('从这个 nextCursor 往后，或 latest；缺省为 latest'),
        types: listQuery(z.enum(TYPES)).optional().describe('只要这些类型，逗号分隔'),
        node: z.union([uuid, code]).optional().describe('节点 id 或代码，含下级'),
      }),
      response: { 200: z.string().describe('事件流，直到有一方断开') },
    },
  }, async ({ query, headers, caller, log }, reply) => {
    const after = headers['last-event-id'] ?? query.after ?? 'latest'
    const reading = await feed.read(after, await feedFilter(db, query, caller.actor))
    const refusal = full([...streams.values()], caller.id, most)
    if (refusal) {
      reading.close()
      throw refusal
    }
    const stream = new EventStream(reply.hijack().raw, reply.getHeaders() as OutgoingHttpHeaders, times)
    streams.set(stream, caller.id)
    void stream.closed.finally(() => {
      streams.delete(stream)
      reading.close()
    })
    /** A problem is the end; a database that is away is not. */
    const recheck = async () => {
      try {
        reading.filter = await feedFilter(db, query, await admitted({ db, keyring, clock }, token))
      } catch (error) {
        if (error instanceof Problem && error.kind !== 'busy') await stream.end(error.code)
      }
    }
    const token = headers.authorization!.split(' ').at(-1)!
    stream.every(times.recheck, recheck)
    // Where nothing matches for long, the reader's place moves on all the same.
    stream.every(times.heartbeat, () => stream.beat(reading.cursor))
    stream.beat(after === 'latest' ? reading.cursor : after)
    if (closing) await stream.end(STOPPING)
    tell(stream, reading, frame).catch((error: unknown) => {
      if (!(error instanceof Problem)) log.error({ err: error }, 'stream broken off')
      return stream.end(error instanceof Problem ? error.code : 'internal')
    })
    return reply
  })
}

async function tell(stream: EventStream, reading: Reading, frame: (entry: FeedEntry) => Buffer): Promise<void> {
  while (stream.isOpen) for (const entry of await reading.next()) await stream.send(frame(entry))
}

function full(callers: string[], caller: string, most: typeof MOST): Problem | undefined {
  if (callers.length >= most.inAll) return new Problem('overloaded')
  if (callers.filter((id) => id === caller).length < most.each) return undefined
  return new Problem('rate-limited', { detail: says('打开的事件流太多', 'Too many open streams') })
}

/** As when it came. @throws Problem when the token is too old, or its person or app no longer welcome */
async function admitted({ db, keyring, clock }: Pick<Deps, 'db' | 'keyring' | 'clock'>, token: string): Promise<Actor> {
  const { kind, subject, clientId, scopes } = verifyToken(keyring, token, clock())
  const client = clientId === null ? undefined : await welcomeClient(db, clientId)
  const actor: Actor | undefined = kind === 'person' ? await personActor(db, subject, clientId) : { kind, clientId: subject }
  if (!actor || (clientId !== null && !client)) throw new Problem('token-invalid')
  if (![scopes, client?.scopes ?? scopes].every((list) => list.includes('events:read'))) throw new Problem('forbidden')
  return actor
}

/** An event is put into words once, however many read it. */
function framing(serialize: (event: unknown) => string): (entry: FeedEntry) => Buffer {
  const known = new WeakMap<FeedEntry, Buffer>()
  return (entry) => {
    let frame = known.get(entry)
    if (!frame) known.set(entry, (frame = Buffer.from(`id: ${feedCursor(entry.position)}\nevent: ${entry.type}\ndata: ${serialize(eventOf(entry))}\n\n`)))
    return frame
  }
}
