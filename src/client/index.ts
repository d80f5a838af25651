import createClient, { type Client } from 'openapi-fetch'
import { retrying, type Patience } from './retrying.ts'
import { tokens, type Credentials } from './tokens.ts'
import { KEYED, type components, type paths } from './generated/api.ts'

export type { components, operations, paths } from './generated/api.ts'
export type { Credentials } from './tokens.ts'
export type { Patience } from './retrying.ts'

/** What a refusal looks like (RFC 9457): `error` of an answer. */
export type Problem = components['schemas']['Problem']

export interface WishWallOptions extends Patience {
  /** Where it listens, `https://wishes.example.cn`. */
  baseUrl: string
  /** A third-party app: fetches tokens by client_credentials, and a new one before the old one ends. */
  credentials?: Credentials
  /** Or a token of one's own (a person's, an API key), or what gives one. */
  token?: string | (() => string | Promise<string>)
  /** zh-CN by default: the language of problems. */
  language?: 'zh-CN' | 'en'
  fetch?: (request: Request) => Promise<Response>
}

export type WishWall = Client<paths>

/**
 * The API with its types: `wall.POST('/v1/requests', { body })` answers `{ data }` or `{ error }`, a Problem. A POST gets an
 * Idempotency-Key unless it has one, so that what the line or the server lost is safely sent again; 429, 503 and a twin still
 * under way are tried again when the server says.
 */
export function wishWall({ baseUrl, credentials, token, language, fetch = (request) => globalThis.fetch(request), ...patience }: WishWallOptions): WishWall {
  const origin = baseUrl.replace(/\/+$/, '')
  const keyed = new WeakSet<Request>()
  const granted = credentials === undefined ? undefined : tokens(origin, credentials, fetch)
  const bearer = async (): Promise<string | undefined> => granted?.current() ?? (typeof token === 'function' ? token() : token)
  const send = retrying(fetch, patience)

  const client = createClient<paths>({
    baseUrl: origin,
    // lists in a query are written a,b
    querySerializer: { array: { style: 'form', explode: false } },
    fetch: async (request) => {
      const held = await bearer()
      if (held !== undefined && !request.headers.has('authorization')) request.headers.set('authorization', `Bearer ${held}`)
      const again = request.clone()
      const answer = await send(request, keyed.has(request))
      if (answer.status !== 401 || granted === undefined) return answer
      // ended or revoked before its time: one more, with a new one
      again.headers.set('authorization', `Bearer ${await granted.renewed()}`)
      return send(again, keyed.has(request))
    },
  })
  client.use({
    onRequest: ({ request, schemaPath }) => {
      if (language !== undefined && !request.headers.has('accept-language')) request.headers.set('accept-language', language)
      if (request.method === 'POST' && !request.headers.has('idempotency-key')) request.headers.set('idempotency-key', crypto.randomUUID())
      if (request.method !== 'POST' || KEYED.has(schemaPath)) keyed.add(request)
    },
  })
  return client
}
