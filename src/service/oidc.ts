import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, errors, jwtVerify, type JSONWebKeySet, type JWTPayload } from 'jose'
import { code } from '../domain/atoms.ts'
import { Problem } from '../domain/problems.ts'
import { remember, tenantHere, type Db } from './db.ts'
import { GrantRefused, type ReadJson } from './grant-request.ts'
import { liveProviders, type Provider } from './identity-providers.ts'
import { readKeys, type IssuerKeys } from './issuer-keys.ts'

/** OpenID Connect Core 1.0, 3.1.3.7: what an issuer says of its user, checked against the issuer's own keys. */

/** Asymmetric ones only: a shared secret would let us sign what we are to check, and `none` anybody. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']
/** An id token is for signing in now, not for keeping. */
const OLDEST = '10 minutes'
const SKEW_S = 60
const KEYS_TTL_MS = 10 * 60_000
/** A key id nobody knows makes us ask the issuer again, at most once in so long: strangers must not make us knock. */
const AGAIN_MS = 30_000

interface Deps {
  db: Db
  readJson: ReadJson
}

/**
 * The person whom the token speaks of, by the claim that the tenant has named for this issuer.
 * @param nonce that of the sign-on, compared when it is given
 * @throws GrantRefused invalid_grant; Problem person-not-registered (nobody is made by signing in)
 */
export async function personOfIdToken({ db, readJson }: Deps, token: string, nonce: string | undefined, nowMs: number): Promise<{ id: string; login: string }> {
  const { iss, kid } = unverified(token)
  for (const provider of (await liveProviders(db)).filter(({ issuer }) => issuer === iss)) {
    const claims = await verified({ db, readJson }, provider, token, kid, nowMs)
    if (!claims) continue
    if (nonce !== undefined && claims['nonce'] !== nonce) throw notThisToken()
    return registered(db, claims[provider.claim])
  }
  throw notThisToken()
}

/** Only for finding out whom to ask: nothing of it is believed yet. */
function unverified(token: string): { iss: string; kid: string } {
  try {
    const { kid } = decodeProtectedHeader(token)
    const { iss } = decodeJwt(token)
    return { iss: typeof iss === 'string' ? iss : '', kid: typeof kid === 'string' ? kid : '' }
  } catch {
    throw notThisToken()
  }
}

async function verified(deps: Deps, provider: Provider, token: string, kid: string, nowMs: number): Promise<JWTPayload | undefined> {
  for (const fresh of [false, true]) {
    const keys = await keysOf(deps, provider, fresh ? kid : undefined)
    if (!keys) return undefined
    try {
      const { payload } = await jwtVerify(token, createLocalJWKSet(keys as unknown as JSONWebKeySet), {
        algorithms: ALGORITHMS, issuer: provider.issuer, audience: provider.audience, currentDate: new Date(nowMs), clockTolerance: SKEW_S, maxTokenAge: OLDEST,
        requiredClaims: ['exp', 'iat', 'sub'],
      })
      // Several audiences: the one it was made out to must be us (3.1.3.7, 4 and 5).
      const { aud, azp } = payload
      if (azp !== undefined ? azp !== provider.audience : Array.isArray(aud) && aud.length > 1) return undefined
      return payload
    } catch (error) {
      // The issuer may have changed its keys since we asked; any other fault stays one.
      if (!(error instanceof errors.JWKSNoMatchingKey)) return undefined
    }
  }
  return undefined
}

/** @param unknownKid has not been found in what is remembered @returns undefined when the issuer does not say its keys */
async function keysOf({ db, readJson }: Deps, { issuer }: Provider, unknownKid: string | undefined): Promise<IssuerKeys | undefined> {
  const key = `issuer/${tenantHere()}/${issuer}`
  if (unknownKid !== undefined) {
    const asked = `issuer-again/${tenantHere()}/${issuer}`
    if (db.memory.get(asked)) return undefined
    db.memory.set(asked, Promise.resolve({}), { ttl: AGAIN_MS })
    db.memory.delete(key)
  }
  try {
    return await remember(db, key, KEYS_TTL_MS, () => readKeys(readJson, issuer))
  } catch (error) {
    throw new Problem('overloaded', { cause: error })
  }
}

async function registered(db: Db, value: unknown): Promise<{ id: string; login: string }> {
  const login = typeof value === 'string' ? code.safeParse(value).data : undefined
  const person = login === undefined ? null : await db.prisma.person.findFirst({ where: { tenantId: tenantHere(), login, suspendedAt: null }, select: { id: true, login: true } })
  if (!person?.login) throw new Problem('person-not-registered')
  return { id: person.id, login: person.login }
}

const notThisToken = () => new GrantRefused('invalid_grant', 'id_token 无效、已过期，或不是本系统认可的签发方所签', 'The id_token is not valid, too old, or not by an issuer that is believed here')
