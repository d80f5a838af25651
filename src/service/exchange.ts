import { parseExternalUser } from '../domain/external-user.ts'
import { Problem } from '../domain/problems.ts'
import { SCOPE_NAMES, type Scope } from '../domain/scopes.ts'
import { personActor } from './actors.ts'
import type { Client } from './clients.ts'
import { inTenant, tenantHere } from './db.ts'
import { residentOf } from './external-users.ts'
import { ACCESS_TOKEN, appOf, GrantRefused, mfaRequired, missing, PUBLIC_CLIENT, tenantOf, within, type GrantDeps, type Granted, type TokenRequest } from './grant-request.ts'
import type { Keyring } from './keyring.ts'
import { personOfIdToken } from './oidc.ts'
import { LIFETIME_S, signToken, verifyTerm } from './tokens.ts'
import { checkTotp } from './totp.ts'

/** RFC 8693. */

/** Of a resident whom the app knows: `provider:appId:openId`. The app is believed, for its own residents. */
export const EXTERNAL_USER = 'urn:wish-wall:external-user'
/** OpenID Connect: what an issuer that the tenant has entered says of its user. */
export const ID_TOKEN = 'urn:ietf:params:oauth:token-type:id_token'
const JWT = 'urn:ietf:params:oauth:token-type:jwt'
export const SUBJECT_TOKEN_TYPES = [EXTERNAL_USER, ACCESS_TOKEN, ID_TOKEN, JWT] as const

export const isIdToken = (type: string | undefined): boolean => type === ID_TOKEN || type === JWT

/** 统一身份认证: a person comes for himself, by the public client. No refresh token: the issuer says how long he stays. */
export async function signIn(deps: GrantDeps, request: TokenRequest, nowMs: number): Promise<Granted> {
  const tenantId = await tenantOf(deps.db, request.tenant)
  const { subjectToken } = checked(request)
  const { personId, seconds } = await inTenant(tenantId, () => byIssuer(deps, request, subjectToken, nowMs))
  const scopes = within(SCOPE_NAMES, request.scope)
  const accessToken = signToken(deps.keyring, { tenantId, kind: 'person', subject: personId, clientId: null, scopes }, PUBLIC_CLIENT, nowMs, seconds)
  return { accessToken, issuedTokenType: ACCESS_TOKEN, scopes, expiresIn: seconds }
}

/** A token for the app that acts for a person: never good for more than both may, nor for longer than what it was got for. */
export async function exchange(deps: GrantDeps, request: TokenRequest, nowMs: number): Promise<Granted> {
  const { db, keyring } = deps
  const { tenantId, client } = await appOf(db, request)
  const { subjectToken, subjectTokenType } = checked(request)
  const { personId, seconds, scopes: theirs } = await inTenant(tenantId, () =>
    isIdToken(subjectTokenType) ? byIssuer(deps, request, subjectToken, nowMs) : subjectOf(deps, client, subjectTokenType, subjectToken, nowMs))
  const scopes = within(client.scopes.filter((scope) => theirs.includes(scope)), request.scope)
  const accessToken = signToken(keyring, { tenantId, kind: 'person', subject: personId, clientId: client.id, scopes }, client.clientId, nowMs, seconds)
  return { accessToken, issuedTokenType: ACCESS_TOKEN, scopes, expiresIn: seconds }
}

function checked({ subjectToken, subjectTokenType, requestedTokenType = ACCESS_TOKEN, actorToken }: TokenRequest): { subjectToken: string; subjectTokenType: string } {
  if (!subjectToken) throw missing('subject_token')
  if (!subjectTokenType) throw missing('subject_token_type')
  if (actorToken) throw new GrantRefused('invalid_request', '不支持 actor_token：代表者就是应用本身', 'actor_token is not supported: the app itself is who acts')
  if (requestedTokenType !== ACCESS_TOKEN) throw new GrantRefused('invalid_request', `requested_token_type 只能是 ${ACCESS_TOKEN}`, `requested_token_type must be ${ACCESS_TOKEN}`)
  return { subjectToken, subjectTokenType }
}

interface Subject {
  personId: string
  scopes: readonly Scope[]
  /** How long it may be acted for. */
  seconds: number
}

/** Whoever has a second factor here is asked for it however he comes. @throws GrantRefused; Problem person-not-registered, rate-limited */
async function byIssuer({ db, keyring, lockout, readJson }: GrantDeps, { nonce, totp, address }: TokenRequest, idToken: string, nowMs: number): Promise<Subject> {
  const person = readJson && (await personOfIdToken({ db, readJson }, idToken, nonce, nowMs))
  if (!person) throw notThisSubject()
  const good = await lockout.guarded({ db, keyring }, { login: person.login, address }, async () => {
    const found = await checkTotp({ db, keyring }, person.id, totp)
    if (found === 'missing') throw mfaRequired()
    return found === 'wrong' ? undefined : true
  })
  if (!good) throw notThisSubject()
  return { personId: person.id, scopes: SCOPE_NAMES, seconds: LIFETIME_S.access }
}

async function subjectOf({ db, keyring }: GrantDeps, client: Client, type: string, token: string, nowMs: number): Promise<Subject> {
  if (type === EXTERNAL_USER) {
    const user = parseExternalUser(token)
    if (!user) throw new GrantRefused('invalid_request', 'subject_token 应为 provider:appId:openId', 'subject_token must be provider:appId:openId')
    const personId = await residentOf(db, keyring, client.id, user)
    if (personId === undefined) throw notThisSubject()
    return { personId, scopes: SCOPE_NAMES, seconds: LIFETIME_S.access }
  }
  if (type !== ACCESS_TOKEN) {
    const types = SUBJECT_TOKEN_TYPES.join('、')
    throw new GrantRefused('invalid_request', `subject_token_type 只能是 ${types}`, `subject_token_type must be one of ${SUBJECT_TOKEN_TYPES.join(', ')}`)
  }
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
