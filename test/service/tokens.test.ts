import { createHmac, createPrivateKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { createLocalJWKSet, jwtVerify } from 'jose'
import { v7 as uuidv7 } from 'uuid'
import { describe, expect, it } from 'vitest'
import { Problem } from '../../src/domain/problems.ts'
import { generateKeyring, parseKeyring } from '../../src/service/keyring.ts'
import { LIFETIME_S, signRefresh, signToken, verifyRefresh, verifyToken, type Principal } from '../../src/service/tokens.ts'

const document = generateKeyring()
const keyring = parseKeyring(JSON.stringify(document))
const stranger = parseKeyring(JSON.stringify(generateKeyring()))
const { kid, private: ours, public: publicKey } = keyring.sign[0]

const NOW = Date.parse('2026-11-21T09:00:00Z')
const nowS = NOW / 1000
const tenantId = uuidv7()
const person: Principal = { tenantId, kind: 'person', subject: uuidv7(), clientId: null, scopes: ['requests:read', 'requests:write'] }
const appId = uuidv7()
const app: Principal = { tenantId, kind: 'app', subject: appId, clientId: appId, scopes: ['requests:read'] }
const refresh = { tenantId, subject: person.subject, client: 'swagger-ui', scopes: person.scopes, mark: 'mark' }

const good = signToken(keyring, person, 'swagger-ui', NOW)
const goodRefresh = signRefresh(keyring, refresh, NOW)
const [head, body, signature] = good.split('.') as [string, string, string]
const decode = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString())
const encode = (value: unknown) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

const HEADER = decode(head)
const CLAIMS = decode(body)
type Signer = (input: string) => Buffer
const ed25519 = (key: KeyObject): Signer => (input) => sign(null, Buffer.from(input), key)
const hmac = (secret: string | Buffer): Signer => (input) => createHmac('sha256', secret).update(input).digest()

/** A token of the attacker's choice; `by` is ours only where the case asks what a signature of ours cannot excuse. */
function craft({ header = {}, claims = {}, by = ed25519(ours) }: { header?: unknown; claims?: unknown; by?: Signer } = {}): string {
  const input = `${encode(typeof header === 'object' ? { ...HEADER, ...header } : header)}.${encode(typeof claims === 'object' ? { ...CLAIMS, ...claims } : claims)}`
  return `${input}.${by(input).toString('base64url')}`
}
const flipped = (text: string, at: number) => text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1)

const foreign = generateKeyPairSync('ed25519')
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const pem = publicKey.export({ type: 'spki', format: 'pem' })
const der = publicKey.export({ type: 'spki', format: 'der' })
const jwk = foreign.publicKey.export({ format: 'jwk' })
const byForeign = ed25519(foreign.privateKey)
const nothing: Signer = () => Buffer.alloc(0)

const REFUSED: [string, string][] = [
  // the algorithm
  ['alg none without signature', craft({ header: { alg: 'none' }, by: nothing })],
  ['alg None', craft({ header: { alg: 'None' }, by: nothing })],
  ['alg NONE with our signature', craft({ header: { alg: 'NONE' } })],
  ['alg missing', craft({ header: { alg: undefined } })],
  ['alg empty', craft({ header: { alg: '' } })],
  ['alg as a list', craft({ header: { alg: ['EdDSA'] } })],
  ['HS256 with the public key as PEM', craft({ header: { alg: 'HS256' }, by: hmac(pem) })],
  ['HS256 with the public key as DER', craft({ header: { alg: 'HS256' }, by: hmac(der) })],
  ['HS256 with the kid', craft({ header: { alg: 'HS256' }, by: hmac(kid) })],
  ['HS256 with an empty secret', craft({ header: { alg: 'HS256' }, by: hmac('') })],
  ['RS256 with a key of theirs', craft({ header: { alg: 'RS256' }, by: (input) => sign('sha256', Buffer.from(input), rsa.privateKey) })],
  ['ES256 with a key of theirs', craft({ header: { alg: 'ES256' }, by: (input) => sign('sha256', Buffer.from(input), { key: ec.privateKey, dsaEncoding: 'ieee-p1363' }) })],
  ['ES256 with a signature of zeros', craft({ header: { alg: 'ES256' }, by: () => Buffer.alloc(64) })],
  ['Ed25519 (RFC 9864) instead of EdDSA', craft({ header: { alg: 'Ed25519' } })],
  // the key
  ['kid unknown', craft({ header: { kid: 'unknown' } })],
  ['kid missing', craft({ header: { kid: undefined } })],
  ['kid as a path', craft({ header: { kid: '../../dev/null' }, by: hmac('') })],
  ['kid as SQL', craft({ header: { kid: "x' UNION SELECT 'key" }, by: byForeign })],
  ['kid of the sealing key', craft({ header: { kid: document.seal[0].kid } })],
  ['our kid, their key', craft({ by: byForeign })],
  ['their jwk inside', craft({ header: { jwk }, by: byForeign })],
  ['their jwk inside, no kid', craft({ header: { kid: undefined, jwk }, by: byForeign })],
  ['jku', craft({ header: { jku: 'https://evil.example/jwks.json' }, by: byForeign })],
  ['x5u', craft({ header: { x5u: 'https://evil.example/cert.pem' }, by: byForeign })],
  ['jku with our signature', craft({ header: { jku: 'https://evil.example/jwks.json' } })],
  ['crit with our signature', craft({ header: { crit: ['exp'] } })],
  ['b64 false with our signature', craft({ header: { b64: false, crit: ['b64'] } })],
  ['another installation’s token', signToken(stranger, person, 'swagger-ui', NOW)],
  // the kind of token
  ['a refresh token', goodRefresh],
  ['typ JWT', craft({ header: { typ: 'JWT' } })],
  ['typ missing', craft({ header: { typ: undefined } })],
  ['typ application/at+jwt', craft({ header: { typ: 'application/at+jwt' } })],
  ['typ of an id token', craft({ header: { typ: 'id+jwt' } })],
  // the claims, even under our signature
  ['iss another', craft({ claims: { iss: 'urn:other' } })],
  ['iss missing', craft({ claims: { iss: undefined } })],
  ['aud another', craft({ claims: { aud: 'urn:other' } })],
  ['aud missing', craft({ claims: { aud: undefined } })],
  ['aud a list with ours in it', craft({ claims: { aud: [CLAIMS.aud, 'urn:other'] } })],
  ['expired', craft({ claims: { iat: nowS - 3600, exp: nowS - 1 } })],
  ['expired this very second', craft({ claims: { exp: nowS } })],
  ['exp missing', craft({ claims: { exp: undefined } })],
  ['exp as text', craft({ claims: { exp: '9999999999' } })],
  ['exp infinite', craft({ claims: JSON.stringify(CLAIMS).replace(/"exp":\d+/, '"exp":1e999') })],
  ['exp null', craft({ claims: { exp: null } })],
  ['not yet valid', craft({ claims: { nbf: nowS + 60 } })],
  ['sub missing', craft({ claims: { sub: undefined } })],
  ['sub no id', craft({ claims: { sub: 'admin' } })],
  ['tenant missing', craft({ claims: { tid: undefined } })],
  ['tenant no id', craft({ claims: { tid: '*' } })],
  ['kind system', craft({ claims: { kind: 'system' } })],
  ['an unknown claim', craft({ claims: { admin: true } })],
  ['claims null', craft({ claims: 'null' })],
  ['claims a list', craft({ claims: '[]' })],
  ['claims no JSON', craft({ claims: 'hello' })],
  // tampering
  ['another tenant', `${head}.${encode({ ...CLAIMS, tid: uuidv7() })}.${signature}`],
  ['another person', `${head}.${encode({ ...CLAIMS, sub: uuidv7() })}.${signature}`],
  ['person made app', `${head}.${encode({ ...CLAIMS, kind: 'app' })}.${signature}`],
  ['wider scope', `${head}.${encode({ ...CLAIMS, scope: 'directory:write' })}.${signature}`],
  ['later exp', `${head}.${encode({ ...CLAIMS, exp: nowS + 1e6 })}.${signature}`],
  ['one bit of the header', `${flipped(head, 5)}.${body}.${signature}`],
  ['one bit of the claims', `${head}.${flipped(body, 9)}.${signature}`],
  ['one bit of the signature', `${head}.${body}.${flipped(signature, 9)}`],
  ['a signature of another token', `${head}.${body}.${goodRefresh.split('.')[2]}`],
  ['a signature of zeros', `${head}.${body}.${Buffer.alloc(64).toString('base64url')}`],
  ['the same signature in other letters', `${head}.${body}.${signature.slice(0, -1)}${signature.endsWith('A') ? 'B' : String.fromCharCode(signature.charCodeAt(85) + 1)}`],
  ['the signature padded', `${good}==`],
  ['the signature too long', `${good}AAAA`],
  // the shape
  ['empty', ''],
  ['dots only', '..'],
  ['truncated', good.slice(0, -10)],
  ['no signature', `${head}.${body}.`],
  ['two parts', `${head}.${body}`],
  ['four parts', `${good}.${signature}`],
  ['five parts, as an encrypted token', `${head}..${body}.${signature}.`],
  ['quoted', `"${good}"`],
  ['with a space', ` ${good}`],
  ['with a NUL', `${good}\0`],
  ['not base64url', `${head}.${body}.${'*'.repeat(86)}`],
  ['a header with the same meaning', craft({ header: JSON.stringify(HEADER, null, 1) })],
  ['a duplicate alg', craft({ header: JSON.stringify(HEADER).replace('{', '{"alg":"none",') })],
  ['standard base64', `${Buffer.from(JSON.stringify(HEADER)).toString('base64')}.${body}.${signature}`],
  ['a megabyte', 'A'.repeat(1_000_000)],
  ['a JSON object', JSON.stringify({ protected: head, payload: body, signature })],
]

const attempt = (token: string, ring = keyring, nowMs = NOW) => {
  try {
    return verifyToken(ring, token, nowMs)
  } catch (error) {
    return error
  }
}

describe('access tokens', () => {
  it(`refuses each of ${REFUSED.length} forgeries, twice`, () => {
    expect(new Set(REFUSED.map(([, token]) => token)).size).toBe(REFUSED.length)
    for (const round of [1, 2]) {
      const accepted = REFUSED.filter(([, token]) => !isTokenInvalid(attempt(token)))
      expect(accepted, `round ${round}`).toEqual([])
    }
  })
  const isTokenInvalid = (error: unknown) => error instanceof Problem && error.code === 'token-invalid'

  it('the forger’s tools make good tokens when nothing is forged', () => {
    expect(attempt(craft())).toEqual(person)
    expect(attempt(craft({ claims: { nbf: nowS } }))).toEqual(person)
  })

  it('speaks for a person, an app, and an app that acts for a person', () => {
    for (const principal of [person, app, { ...person, clientId: appId }]) {
      const token = signToken(keyring, principal, 'demo-app', NOW)
      expect(attempt(token)).toEqual(principal)
      expect(attempt(token)).toEqual(principal)
    }
  })

  it('ends to the second, also when it was seen before, and says that it is too old', () => {
    const end = NOW + LIFETIME_S.access * 1000
    expect(attempt(good, keyring, end - 1)).toEqual(person)
    expect(attempt(good, keyring, end)).toMatchObject({ code: 'token-invalid', detail: { zh: expect.stringContaining('Authorize') } })
  })

  it('is good after rotation and no longer without the key', () => {
    const [fresh] = generateKeyring().sign
    const after = parseKeyring(JSON.stringify({ ...document, sign: [fresh, ...document.sign] }))
    const without = parseKeyring(JSON.stringify({ ...document, sign: [fresh] }))
    expect(attempt(good, after)).toEqual(person)
    expect(decode(signToken(after, person, 'x', NOW).split('.')[0]!).kid).toBe(fresh.kid)
    expect(isTokenInvalid(attempt(good, without))).toBe(true)
  })

  it('is what RFC 9068 says, to a library that is not ours', async () => {
    const keys = createLocalJWKSet({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid, alg: 'EdDSA' }] })
    const { payload } = await jwtVerify(good, keys, { algorithms: ['EdDSA'], typ: 'at+jwt', issuer: 'urn:wish-wall', audience: 'urn:wish-wall:v1', currentDate: new Date(NOW), requiredClaims: ['exp', 'iat', 'sub', 'client_id', 'jti'] })
    expect(payload).toMatchObject({ sub: person.subject, client_id: 'swagger-ui', scope: 'requests:read requests:write' })
  })

  it('costs a signature check once', () => {
    const microseconds = (times: number, run: (n: number) => void) => {
      const start = performance.now()
      for (let n = 0; n < times; n++) run(n)
      return ((performance.now() - start) / times) * 1000
    }
    const fresh = Array.from({ length: 500 }, () => signToken(keyring, person, 'x', NOW))
    const first = microseconds(500, (n) => verifyToken(keyring, fresh[n]!, NOW))
    // as a server sees them: each time a new string
    const again = Array.from({ length: 20_000 }, (_, n) => Buffer.from(fresh[n % 500]!).toString())
    const seen = microseconds(20_000, (n) => verifyToken(keyring, again[n]!, NOW))
    console.log(`verifyToken: first ${first.toFixed(0)} µs, seen before ${seen.toFixed(2)} µs`)
    expect(seen).toBeLessThan(first / 5)
  })
})

describe('refresh tokens', () => {
  it('remember the login, and are refused as anything else', () => {
    expect(decode(goodRefresh.split('.')[0]!).typ).toBe('rt+jwt')
    expect(verifyRefresh(keyring, goodRefresh, NOW)).toEqual(refresh)
    expect(() => verifyRefresh(keyring, good, NOW)).toThrow('token-invalid')
    expect(() => verifyRefresh(stranger, goodRefresh, NOW)).toThrow('token-invalid')
    expect(() => verifyRefresh(keyring, goodRefresh, NOW + LIFETIME_S.refresh * 1000)).toThrow('token-invalid')
  })
})

describe('keys', () => {
  it('signs with Ed25519 only', () => {
    const key = ec.privateKey.export({ format: 'der', type: 'pkcs8' }).toString('base64url')
    expect(createPrivateKey({ key: Buffer.from(key, 'base64url'), format: 'der', type: 'pkcs8' }).asymmetricKeyType).toBe('ec')
    expect(() => parseKeyring(JSON.stringify({ ...document, sign: [{ kid: 'ec', key }] }))).toThrow('sign ec: not an Ed25519 key')
  })
})
