import { Problem, says, type Says } from '../domain/problems.ts'
import { isScope, type Scope } from '../domain/scopes.ts'
import { authenticateClient, type Client } from './clients.ts'
import { inTenant, type Db } from './db.ts'
import type { Keyring } from './keyring.ts'
import type { Lockout } from './lockout.ts'
import { sandboxOf } from './sandboxes.ts'
import { publicTenant } from './tenants.ts'

/** What a token request says, what it is answered, and what all grants have in common. */

/** The public client of people: Swagger UI in the browser, which can keep no secret. */
export const PUBLIC_CLIENT = 'swagger-ui'

/** RFC 6749, 5.2; `mfa_required` is what those say who ask for a second factor at this endpoint. */
export const GRANT_ERRORS = ['invalid_request', 'invalid_client', 'invalid_grant', 'unauthorized_client', 'unsupported_grant_type', 'invalid_scope', 'mfa_required'] as const

/** RFC 8693: the kind of token that an exchange gives. */
export const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token'

/** No token, in the words of RFC 6749. */
export class GrantRefused extends Error {
  override readonly name = 'GrantRefused'
  readonly error: (typeof GRANT_ERRORS)[number]
  readonly description: Says

  constructor(error: (typeof GRANT_ERRORS)[number], zh: string, en: string) {
    super(error)
    this.error = error
    this.description = says(zh, en)
  }
}

/** The parameters of a token request, wherever they were sent. */
export interface TokenRequest {
  grantType?: string | undefined
  /** Code of the tenant; may be left out while there is one. */
  tenant?: string | undefined
  client?: { id: string; secret: string } | undefined
  username?: string | undefined
  password?: string | undefined
  /** 动态口令 or a recovery code. */
  totp?: string | undefined
  refreshToken?: string | undefined
  subjectToken?: string | undefined
  subjectTokenType?: string | undefined
  actorToken?: string | undefined
  requestedTokenType?: string | undefined
  /** That of the sign-on at the issuer, when the caller wants it compared. */
  nonce?: string | undefined
  scope?: string | undefined
  /** IP it came from. */
  address: string
}

export interface Granted {
  accessToken: string
  refreshToken?: string
  /** Said by an exchange. */
  issuedTokenType?: typeof ACCESS_TOKEN
  scopes: readonly Scope[]
  /** Seconds. */
  expiresIn: number
}

/** Reads a JSON document from an address that a tenant entered; see outside/json-reader.ts. @throws Error */
export type ReadJson = (url: string) => Promise<unknown>

export interface GrantDeps {
  db: Db
  keyring: Keyring
  lockout: Lockout
  /** People may log in with 工号 and password; off where a sign-on of the customer's own does it. */
  passwordGrant: boolean
  /** The way to issuers' keys; without it nobody signs in by an issuer. */
  readJson?: ReadJson | undefined
}

/** The app that asks, by its secret, and the tenant it is in: of a sandbox its own. @throws GrantRefused invalid_client */
export async function appOf(db: Db, { client: { id, secret } = { id: '', secret: '' }, tenant }: TokenRequest): Promise<{ tenantId: string; client: Client }> {
  const real = await tenantOf(db, tenant)
  for (const find of [async () => real, () => sandboxOf(db, real, id)]) {
    const tenantId = await find()
    const client = tenantId === undefined ? undefined : await inTenant(tenantId, () => authenticateClient(db, id, secret))
    if (client && tenantId !== undefined) return { tenantId, client }
  }
  throw new GrantRefused('invalid_client', 'client_id 或 client_secret 不正确', 'Wrong client_id or client_secret')
}

/** Whatever secret it sends: it has none. No client at all is taken for it, Swagger UI may be left without a client id. */
export const isPublicClient = ({ client }: TokenRequest): boolean => client === undefined || client.id === PUBLIC_CLIENT

export function requirePublicClient(request: TokenRequest): void {
  if (!isPublicClient(request)) throw new GrantRefused('unauthorized_client', `此方式只供 ${PUBLIC_CLIENT} 使用`, `Only ${PUBLIC_CLIENT} may use this grant`)
}

export const tenantOf = (db: Db, code: string | undefined): Promise<string> =>
  publicTenant(db, code || undefined).catch((error: unknown) => {
    if (!(error instanceof Problem)) throw error
    throw error.code === 'not-found' ? new GrantRefused('invalid_request', '没有这个租户', 'No such tenant') : missing('tenant')
  })

/** @throws GrantRefused when more is asked than may be given; asking for nothing is asking for everything */
export function within(allowed: readonly Scope[], asked: string | undefined): readonly Scope[] {
  const names = (asked ?? '').split(' ').filter((name) => name !== '')
  if (names.length === 0) return allowed
  const scopes = names.filter((name): name is Scope => isScope(name) && allowed.includes(name))
  if (scopes.length < names.length) throw new GrantRefused('invalid_scope', `scope 只能取自 ${allowed.join(' ')}`, `scope must be from ${allowed.join(' ')}`)
  return scopes
}

export const missing = (name: string) => new GrantRefused('invalid_request', `缺少参数 ${name}`, `Missing parameter ${name}`)
export const mfaRequired = () => new GrantRefused('mfa_required', '请填写动态口令：参数 totp，或在密码后空一格填写 6 位数字', 'A one-time code is needed: parameter totp, or behind the password after a blank')
