import { Problem } from '../domain/problems.ts'
import { SCOPE_NAMES } from '../domain/scopes.ts'
import { isStillLoggedIn, logIn } from './accounts.ts'
import { inTenant, type Db } from './db.ts'
import { exchange, isIdToken, signIn } from './exchange.ts'
import { appOf, GrantRefused, isPublicClient, mfaRequired, missing, PUBLIC_CLIENT, requirePublicClient, tenantOf, within, type GrantDeps, type Granted, type TokenRequest } from './grant-request.ts'
import type { Keyring } from './keyring.ts'
import { LIFETIME_S, signRefresh, signToken, verifyRefresh } from './tokens.ts'
import { checkTotp } from './totp.ts'

/** RFC 8693: an app acts for a person, or a person signs in with what an issuer says of him. */
export const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
export const GRANT_TYPES = ['client_credentials', 'password', 'refresh_token', TOKEN_EXCHANGE] as const

/** @throws GrantRefused; Problem rate-limited (with `retryAfter` in seconds), person-not-registered */
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
      return isPublicClient(request) && isIdToken(request.subjectTokenType) ? signIn(deps, request, nowMs) : exchange(deps, request, nowMs)
    default:
      throw new GrantRefused('unsupported_grant_type', `grant_type 只能是 ${GRANT_TYPES.join('、')}`, `grant_type must be one of ${GRANT_TYPES.join(', ')}`)
  }
}

async function toApp({ db, keyring }: GrantDeps, request: TokenRequest, nowMs: number): Promise<Granted> {
  const { tenantId, client } = await appOf(db, request)
  const scopes = within(client.scopes, request.scope)
  const accessToken = signToken(keyring, { tenantId, kind: 'app', subject: client.id, clientId: client.id, scopes }, client.clientId, nowMs)
  return { accessToken, scopes, expiresIn: LIFETIME_S.access }
}

async function toPerson({ db, keyring, lockout }: GrantDeps, request: TokenRequest, nowMs: number): Promise<Granted> {
  requirePublicClient(request)
  const { username, password, totp, address } = request
  if (!username) throw missing('username')
  if (!password) throw missing('password')
  const tenantId = await tenantOf(db, request.tenant)
  const person = await inTenant(tenantId, () => lockout.guarded({ db, keyring }, { login: username, address }, () => known({ db, keyring }, username, password, totp)))
  if (!person) throw new GrantRefused('invalid_grant', '工号、密码或动态口令不正确', 'Wrong login, password or one-time code')
  const scopes = within(SCOPE_NAMES, request.scope)
  return {
    accessToken: signToken(keyring, { tenantId, kind: 'person', subject: person.id, clientId: null, scopes }, PUBLIC_CLIENT, nowMs),
    refreshToken: signRefresh(keyring, { tenantId, subject: person.id, client: PUBLIC_CLIENT, scopes, mark: person.mark }, nowMs),
    scopes, expiresIn: LIFETIME_S.access,
  }
}

/** Swagger UI's dialog has two fields: there the code is written behind the password, after a blank. */
const WITH_CODE = /^(.+) (\d{6}|[0-9A-Za-z]{5}-[0-9A-Za-z]{5})$/s

/**
 * That a code is missing is said to whoever knows the password, and to nobody else. It is no wrong guess: the client asks
 * for it with the next try.
 * @throws GrantRefused mfa_required
 */
async function known(deps: { db: Db; keyring: Keyring }, login: string, password: string, totp: string | undefined) {
  const [, bare, behind] = totp === undefined ? (WITH_CODE.exec(password) ?? []) : []
  const person = (await logIn(deps.db, login, password)) ?? (bare === undefined ? undefined : await logIn(deps.db, login, bare))
  if (!person) return undefined
  const checked = await checkTotp(deps, person.id, totp ?? behind)
  if (checked === 'missing') throw mfaRequired()
  return checked === 'wrong' ? undefined : person
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

function refreshOf(keyring: Keyring, token: string, nowMs: number) {
  try {
    return verifyRefresh(keyring, token, nowMs)
  } catch (error) {
    throw error instanceof Problem ? expired() : error
  }
}

const expired = () => new GrantRefused('invalid_grant', '登录已过期，请重新登录', 'The login has expired, log in again')
