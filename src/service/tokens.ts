import { randomUUID, sign, verify, type KeyObject } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { z } from 'zod'
import { uuid } from '../domain/atoms.ts'
import { Problem, says } from '../domain/problems.ts'
import { isScope, type Scope } from '../domain/scopes.ts'
import type { Keyring } from './keyring.ts'

/** How long tokens live, in seconds. A refresh token spans a shift and is not renewed: then one logs in again. */
export const LIFETIME_S = { access: 3_600, refresh: 12 * 3_600 } as const

const ISSUER = 'urn:wish-wall'
const AUDIENCE = 'urn:wish-wall:v1'

/** RFC 9068 for access tokens; a refresh token is refused as one, and the other way round, by its type. */
const TYP = { access: 'at+jwt', refresh: 'rt+jwt' } as const
type Use = keyof typeof TYP

/** Whom an access token speaks for. */
export interface Principal {
  tenantId: string
  kind: 'person' | 'app'
  /** Of the person, or of the app itself. */
  subject: string
  /** The app, also one that acts for a person; null where a person logged in by himself. */
  clientId: string | null
  scopes: readonly Scope[]
}

const common = { iss: z.literal(ISSUER), aud: z.literal(AUDIENCE), iat: z.int(), exp: z.int(), nbf: z.int().optional(), jti: z.string(), sub: uuid, tid: uuid, client_id: z.string() }

const CLAIMS = {
  access: z.strictObject({ ...common, kind: z.enum(['person', 'app']), scope: z.string(), act: z.strictObject({ sub: uuid }).optional() }),
  refresh: z.strictObject({ ...common, scope: z.string(), mark: z.string() }),
}
type Claims<U extends Use> = z.infer<(typeof CLAIMS)[U]>
type OwnClaims<U extends Use> = Omit<Claims<U>, 'iss' | 'aud' | 'iat' | 'exp' | 'nbf' | 'jti'>

/**
 * An access token, a JWT signed with Ed25519 (RFC 8037, RFC 9068).
 * @param client public name of the client, such as `swagger-ui`
 * @param nowMs the wall clock, which also `verifyToken` is given
 * @param seconds until it expires
 */
export function signToken(keyring: Keyring, { tenantId, kind, subject, clientId, scopes }: Principal, client: string, nowMs: number, seconds: number = LIFETIME_S.access): string {
  const act = kind === 'person' && clientId !== null ? { act: { sub: clientId } } : {}
  return signed(keyring, 'access', { sub: subject, tid: tenantId, client_id: client, kind, scope: scopes.join(' '), ...act }, nowMs, seconds)
}

/** What a refresh token remembers. `mark` stands for the password that was used. */
export interface Refresh {
  tenantId: string
  subject: string
  client: string
  scopes: readonly Scope[]
  mark: string
}

/** Kept nowhere: it ends with its time, with the password it was got by, and with the person's suspension. */
export function signRefresh(keyring: Keyring, { tenantId, subject, client, scopes, mark }: Refresh, nowMs: number): string {
  return signed(keyring, 'refresh', { sub: subject, tid: tenantId, client_id: client, scope: scopes.join(' '), mark }, nowMs)
}

/** @throws Problem token-invalid */
export function verifyRefresh(keyring: Keyring, token: string, nowMs: number): Refresh {
  const { sub, tid, client_id, scope, mark } = verified(keyring, 'refresh', token, nowMs)
  return { tenantId: tid, subject: sub, client: client_id, scopes: scope.split(' ').filter(isScope), mark }
}

/**
 * Whom the token speaks for. About 0.2 ms for a token seen first, 2 µs afterwards.
 * @throws Problem token-invalid, saying so when it is merely too old
 */
export const verifyToken = (keyring: Keyring, token: string, nowMs: number): Principal => verifyTerm(keyring, token, nowMs).principal

/** With the second it expires at. @throws as `verifyToken` */
export function verifyTerm(keyring: Keyring, token: string, nowMs: number): Seen {
  const { seen } = memoryOf(keyring)
  const known = seen.get(token)
  if (known) return stillGood(known, nowMs)
  const { exp, nbf = 0, kind, sub, tid, scope, act } = verified(keyring, 'access', token, nowMs)
  const principal = { tenantId: tid, kind, subject: sub, clientId: kind === 'app' ? sub : (act?.sub ?? null), scopes: scope.split(' ').filter(isScope) }
  const term = { principal, exp, nbf }
  seen.set(token, term)
  return term
}

/** RFC 7517: what others check our tokens with, the newest first. */
export const publicKeys = (keyring: Keyring) =>
  keyring.sign.map(({ kid, public: key }) => ({ kid, kty: 'OKP' as const, crv: 'Ed25519' as const, x: key.export({ format: 'jwk' }).x ?? '', alg: 'EdDSA' as const, use: 'sig' as const }))

interface Seen {
  principal: Principal
  exp: number
  nbf: number
}

interface Memory {
  /** First segment of a token → the key that checks it. */
  keys: Record<Use, Map<string, KeyObject>>
  seen: LRUCache<string, Seen>
}

/** Tokens of 0.5 kB each. */
const MOST_SEEN = 10_000
/** Of one ring: when the keys change, what is known of them is forgotten. */
const memories = new WeakMap<Keyring['sign'], Memory>()

function memoryOf(keyring: Keyring): Memory {
  const known = memories.get(keyring.sign)
  if (known) return known
  const keysFor = (use: Use) => new Map(keyring.sign.map((key) => [header(use, key.kid), key.public]))
  const memory = { keys: { access: keysFor('access'), refresh: keysFor('refresh') }, seen: new LRUCache<string, Seen>({ max: MOST_SEEN }) }
  memories.set(keyring.sign, memory)
  return memory
}

const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const decoded = (part: string): unknown => {
  try {
    return JSON.parse(Buffer.from(part, 'base64url').toString())
  } catch {
    return undefined
  }
}
const header = (use: Use, kid: string): string => encoded({ alg: 'EdDSA', typ: TYP[use], kid })

function signed<U extends Use>(keyring: Keyring, use: U, own: OwnClaims<U>, nowMs: number, seconds: number = LIFETIME_S[use]): string {
  const { kid, private: key } = keyring.sign[0]
  const iat = Math.floor(nowMs / 1000)
  const body = `${header(use, kid)}.${encoded({ iss: ISSUER, aud: AUDIENCE, iat, exp: iat + seconds, jti: randomUUID(), ...own })}`
  return `${body}.${sign(null, Buffer.from(body), key).toString('base64url')}`
}

/**
 * Only this installation signs, so a header is never read: it must be, byte for byte, one that we would write. No
 * algorithm, type, key id, `jwk`, `jku` or `crit` of a caller's choosing is looked at (RFC 8725, 3.1 and 3.11).
 */
function verified<U extends Use>(keyring: Keyring, use: U, token: string, nowMs: number): Claims<U> {
  const [head = '', body = '', signature = '', ...more] = token.split('.', 4)
  const key = memoryOf(keyring).keys[use].get(head)
  if (!key || more.length > 0) throw new Problem('token-invalid')
  const bytes = Buffer.from(signature, 'base64url')
  if (bytes.toString('base64url') !== signature || !verify(null, Buffer.from(`${head}.${body}`), key, bytes)) throw new Problem('token-invalid')
  const { data } = CLAIMS[use].safeParse(decoded(body))
  if (!data) throw new Problem('token-invalid') // of a release that wrote other claims
  return stillGood(data as Claims<U>, nowMs)
}

const TOO_OLD = says('登录已过期，请点右上角 Authorize 重新登录', 'The token has expired: get a new one, in Swagger UI by Authorize')

function stillGood<T extends { exp: number; nbf?: number | undefined }>(claims: T, nowMs: number): T {
  if (nowMs >= claims.exp * 1000) throw new Problem('token-invalid', { detail: TOO_OLD })
  if (nowMs < (claims.nbf ?? 0) * 1000) throw new Problem('token-invalid')
  return claims
}
