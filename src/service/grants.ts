import { Problem, says, type Says } from '../domain/problems.ts'
import { SCOPE_NAMES, isScope, type Scope } from '../domain/scopes.ts'
import { parseExternalUser } from '../domain/external-user.ts'
import { authenticateClient, type Client } from './clients.ts'
import { inTenant, tenantHere, type Db } from './db.ts'
import { residentOf } from './external-users.ts'
import type { Keyring } from './keyring.ts'
import type { Lockout } from './lockout.ts'
import { isStillLoggedIn, logIn } from './accounts.ts'
import { personActor } from './actors.ts'
import { publicTenant } from './tenants.ts'
import { LIFETIME_S, signRefresh, signToken, verifyRefresh, verifyTerm } from './tokens.ts'

/** The public client of people: Swagger UI in the browser, which can keep no secret. */
export const PUBLIC_CLIENT = 'swagger-ui'

/** RFC 8693: an app acts for a person. */
export const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
export const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token'
/** Of a resident whom the app knows: `provider:appId:openId`. The app is believed, for its own residents. */
export const EXTERNAL_USER = 'urn:wish-wall:external-user'

export const GRANT_TYPES = ['client_credentials', 'password', 'refresh_token', TOKEN_EXCHANGE] as const

/** RFC 6749, 5.2. */
export const GRANT_ERRORS = ['invalid_request', 'invalid_client', 'invalid_grant', 'unauthorized_client', 'unsupported_grant_type', 'invalid_scope'] as const

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
  refreshToken?: string | undefined
  subjectToken?: string | undefined
  subjectTokenType?: string | undefined
  actorToken?: string | undefined
  requestedTokenType?: string | undefined
  scope?: string | undefined
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

export interface GrantDeps {
  db: Db
  keyring: Keyring
  lockout: Lockout
  /** People may log in with 工号 and password; off where a sign-on of the customer's own does it. */
  passwordGrant: boolean
}

/** @throws GrantRefused; Problem rate-limited (with `retryAfter` in seconds) */
export async function grantToken(deps: GrantDeps, request: TokenRequest, nowMs: number): Promise<Granted> {
  switch (request.grantType) {
    case undefined:
      throw missing('grant_type')
    case 'client_credentials':
      return toApp(deps, request, nowMs)
    case 'password':
      if (deps.passwordGrant) return toPerson(deps, request, nowMs)
      throw new GrantRefused('unsupported_grant_type', '本系统未开放工号密码登录', 'The password grant is switched off here')
    case 'refresh_token':
      return again(deps, request, nowMs)
    case TOKEN_EXCHANGE:
      return exchange(deps, request, nowMs)
    default:
      throw new GrantRefused('unsupported_grant_type', `grant_type 只能是 ${GRANT_TYPES.join('、')}`, `grant_type must be one of ${GRANT_TYPES.join(', ')}`)
  }
}

async function appOf(db: Db, { client: { id, secret } = { id: '', secret: '' }, tenant }: TokenRequest): Promise<{ tenantId: string; client: Client }> {
  const tenantId = await tenantOf(db, tenant)
  const client = await inTenant(tenantId, () => authenticateClient(db, id, secret))
  if (!client) throw new GrantRefused('invalid_client', 'client_id 或 client_secret 不正确', 'Wrong client_id or client_secret')
  return { tenantId, client }
}

async function toApp({ db, keyring }: GrantDeps, request: TokenRequest, nowMs: number): Promise<Granted> {
  const { tenantId, client } = await appOf(db, request)
  const scopes = within(client.scopes, request.scope)
  const accessToken = signToken(keyring, { tenantId, kind: 'app', subject: client.id, clientId: client.id, scopes }, client.clientId, nowMs)
  return { accessToken, scopes, expiresIn: LIFETIME_S.access }
}

async function toPerson({ db, keyring, lockout }: GrantDeps, request: TokenRequest, nowMs: number): Promise<Granted> {
  requirePublicClient(request)
  const { username, password } = request
  if (!username) throw missing('username')
  if (!password) throw missing('password')
  const tenantId = await tenantOf(db, request.tenant)
  const person = await lockout.guarded(`${tenantId}/${username}`, nowMs, () => inTenant(tenantId, () => logIn(db, username, password)))
  if (!person) throw new GrantRefused('invalid_grant', '工号或密码不正确', 'Wrong login or password')
  const scopes = within(SCOPE_NAMES, request.scope)
  return {
    accessToken: signToken(keyring, { tenantId, kind: 'person', subject: person.id, clientId: null, scopes }, PUBLIC_CLIENT, nowMs),
    refreshToken: signRefresh(keyring, { tenantId, subject: person.id, client: PUBLIC_CLIENT, scopes, mark: person.mark }, nowMs),
    scopes, expiresIn: LIFETIME_S.access,
  }
}

/** A fresh access token. The refresh token stays the same, so that no session outlives its first 12 hours. */
async function again({ db, keyring }: GrantDeps, request: TokenRequest, nowMs: number): Promise<Granted> {
  requirePublicClient(request)
  if (!request.refreshToken) throw missing('refresh_token')
  const { tenantId, subject, client, scopes: granted, mark } = refreshOf(keyring, request.refreshToken, nowMs)
  const good = await inTenant(tenantId, () => isStillLoggedIn(db, { id: subject, mark }))
  if (!good) throw expired()
  const scopes = within(granted, request.scope)
  return { accessToken: signToken(keyring, { tenantId, kind: 'person', subject, clientId: null, scopes }, client, nowMs), scopes, expiresIn: LIFETIME_S.access }
}

/** A token for the app that acts for a person: never good for more than both may, nor for longer than what it was got for. */
async function exchange({ db, keyring }: GrantDeps, request: TokenRequest, nowMs: number): Promise<Granted> {
  const { tenantId, client } = await appOf(db, request)
  const { subjectToken, subjectTokenType, requestedTokenType = ACCESS_TOKEN, actorToken } = request
  if (!subjectToken) throw missing('subject_token')
  if (!subjectTokenType) throw missing('subject_token_type')
  if (actorToken) throw new GrantRefused('invalid_request', '不支持 actor_token：代表者就是应用本身', 'actor_token is not supported: the app itself is who acts')
  if (requestedTokenType !== ACCESS_TOKEN) throw new GrantRefused('invalid_request', `requested_token_type 只能是 ${ACCESS_TOKEN}`, `requested_token_type must be ${ACCESS_TOKEN}`)
  const { personId, seconds, scopes: theirs } = await inTenant(tenantId, () => subjectOf(db, keyring, client, subjectTokenType, subjectToken, nowMs))
  const scopes = within(client.scopes.filter((scope) => theirs.includes(scope)), request.scope)
  const accessToken = signToken(keyring, { tenantId, kind: 'person', subject: personId, clientId: client.id, scopes }, client.clientId, nowMs, seconds)
  return { accessToken, issuedTokenType: ACCESS_TOKEN, scopes, expiresIn: seconds }
}

interface Subject {
  personId: string
  scopes: readonly Scope[]
  /** How long it may be acted for. */
  seconds: number
}

async function subjectOf(db: Db, keyring: Keyring, client: Client, type: string, token: string, nowMs: number): Promise<Subject> {
  if (type === EXTERNAL_USER) {
    const user = parseExternalUser(token)
    if (!user) throw new GrantRefused('invalid_request', 'subject_token 应为 provider:appId:openId', 'subject_token must be provider:appId:openId')
    const personId = await residentOf(db, keyring, client.id, user)
    if (personId === undefined) throw notThisSubject()
    return { personId, scopes: SCOPE_NAMES, seconds: LIFETIME_S.access }
  }
  if (type !== ACCESS_TOKEN) throw new GrantRefused('invalid_request', `subject_token_type 只能是 ${EXTERNAL_USER} 或 ${ACCESS_TOKEN}`, `subject_token_type must be ${EXTERNAL_USER} or ${ACCESS_TOKEN}`)
  const { principal: { kind, tenantId, subject, clientId, scopes }, exp } = termOf(keyring, token, nowMs)
  // One that an app was given for somebody is not handed on to another app, nor made to last.
  if (kind !== 'person' || clientId !== null || tenantId !== tenantHere() || !(await personActor(db, subject, client.id))) throw notThisSubject()
  return { personId: subject, scopes, seconds: Math.max(1, exp - Math.floor(nowMs / 1000)) }
}

function termOf(keyring: Keyring, token: string, nowMs: number) {
  try {
    return verifyTerm(keyring, token, nowMs)
  } catch (error) {
    throw error instanceof Problem ? notThisSubject() : error
  }
}

const notThisSubject = () => new GrantRefused('invalid_grant', 'subject_token 无效，或此人已停用', 'The subject_token is not valid, or the person is suspended')

function refreshOf(keyring: Keyring, token: string, nowMs: number) {
  try {
    return verifyRefresh(keyring, token, nowMs)
  } catch (error) {
    throw error instanceof Problem ? expired() : error
  }
}

/** Whatever secret it sends: it has none. No client at all is taken for it, Swagger UI may be left without a client id. */
function requirePublicClient({ client }: TokenRequest): void {
  if (client !== undefined && client.id !== PUBLIC_CLIENT) throw new GrantRefused('unauthorized_client', `此方式只供 ${PUBLIC_CLIENT} 使用`, `Only ${PUBLIC_CLIENT} may use this grant`)
}

const tenantOf = (db: Db, code: string | undefined): Promise<string> =>
  publicTenant(db, code || undefined).catch((error: unknown) => {
    if (!(error instanceof Problem)) throw error
    throw error.code === 'not-found' ? new GrantRefused('invalid_request', '没有这个租户', 'No such tenant') : missing('tenant')
  })

/** @throws GrantRefused when more is asked than may be given; asking for nothing is asking for everything */
function within(allowed: readonly Scope[], asked: string | undefined): readonly Scope[] {
  const names = (asked ?? '').split(' ').filter((name) => name !== '')
  if (names.length === 0) return allowed
  const scopes = names.filter((name): name is Scope => isScope(name) && allowed.includes(name))
  if (scopes.length < names.length) throw new GrantRefused('invalid_scope', `scope 只能取自 ${allowed.join(' ')}`, `scope must be from ${allowed.join(' ')}`)
  return scopes
}

const missing = (name: string) => new GrantRefused('invalid_request', `缺少参数 ${name}`, `Missing parameter ${name}`)
const expired = () => new GrantRefused('invalid_grant', '登录已过期，请重新登录', 'The login has expired, log in again')
