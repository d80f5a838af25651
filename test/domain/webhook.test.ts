import { createHmac, createPublicKey, randomBytes, verify } from 'node:crypto'
import fc from 'fast-check'
import { Webhook } from 'standardwebhooks'
import { describe, expect, test } from 'vitest'
import {
  EGRESS_REFUSALS, healthOf, judge, matchesType, newKeyPair, newSecret, nextAttempt, publicKeyOf, SCHEDULE, SECRET_FAULTS, secretFault, signedHeaders,
} from '../../src/domain/webhook.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const NOW = new Date('2026-11-21T08:00:00.250Z')

/** From the specification's own libraries (`sign function works`). */
const VECTOR = {
  secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', at: new Date(1_614_265_330_000), body: '{"test": 2432232314}',
  signature: 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
}

const bytes = (minLength: number, maxLength = minLength) => fc.uint8Array({ minLength, maxLength })
const bodies = fc.oneof(fc.json(), fc.string({ unit: 'binary', minLength: 1 }).filter((text) => !/\p{Surrogate}/u.test(text))).filter((text) => text !== '')
const ids = fc.uuid({ version: 7 })

/** Whether an independent library takes the message; it knows `v1` only and reads the real clock. */
function isTaken(secret: string, body: string, headers: Record<string, string>): boolean {
  try {
    new Webhook(secret).verify(body, headers, { jsonParse: false })
    return true
  } catch {
    return false
  }
}

/** As a receiver with nothing but node:crypto and the `whpk_` would. */
function isSignedBy(publicKey: string, body: string, headers: Record<string, string>): boolean {
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(publicKey.slice(5), 'base64').toString('base64url') }, format: 'jwk' })
  const content = Buffer.from(`${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`)
  return headers['webhook-signature']!.split(' ').some((one) => one.startsWith('v1a,') && verify(null, content, key, Buffer.from(one.slice(4), 'base64')))
}

describe('a signature', () => {
  test('is the one of the specification', () => {
    const headers = signedHeaders(VECTOR, [VECTOR.secret], VECTOR.at)
    expect(headers).toEqual({ 'webhook-id': VECTOR.id, 'webhook-timestamp': '1614265330', 'webhook-signature': VECTOR.signature })
    expect(new Webhook(VECTOR.secret).sign(VECTOR.id, VECTOR.at, VECTOR.body)).toBe(VECTOR.signature)
  })

  test('is taken by the standardwebhooks package, whatever the body, and signs bytes as text', () => {
    fc.assert(fc.property(bytes(24, 64), ids, bodies, (entropy, id, body) => {
      const secret = newSecret(entropy)
      const headers = signedHeaders({ id, body }, [secret], new Date())
      expect(isTaken(secret, body, headers)).toBe(true)
      expect(signedHeaders({ id, body: Buffer.from(body) }, [secret], new Date(Number(headers['webhook-timestamp']) * 1000))).toEqual(headers)
    }), { numRuns: 300 })
  })

  test('of 1,000 tampered messages not one is taken, by v1 or by v1a', () => {
    const tamper = fc.constantFrom('body', 'id', 'timestamp', 'signature', 'secret', 'version')
    const pairs = [newKeyPair(randomBytes(32)), newKeyPair(randomBytes(32))] as const
    let refused = 0
    fc.assert(fc.property(bytes(32), ids, bodies, tamper, fc.nat(), (entropy, id, body, what, at) => {
      const secret = newSecret(entropy)
      const headers = signedHeaders({ id, body }, [secret, pairs[0].secret], new Date())
      expect(isTaken(secret, body, headers) && isSignedBy(pairs[0].publicKey, body, headers)).toBe(true)

      const changed = { ...headers }
      const flip = (text: string) => text.slice(0, at % text.length) + (text[at % text.length] === 'a' ? 'b' : 'a') + text.slice((at % text.length) + 1)
      if (what === 'id') changed['webhook-id'] = flip(id)
      if (what === 'timestamp') changed['webhook-timestamp'] = String(Number(headers['webhook-timestamp']) - 1 - (at % 250))
      if (what === 'signature') changed['webhook-signature'] = headers['webhook-signature']!.replace(/,(.)/g, (_all, first: string) => `,${first === 'A' ? 'B' : 'A'}`)
      if (what === 'version') changed['webhook-signature'] = headers['webhook-signature']!.replaceAll('v1,', 'v2,').replaceAll('v1a,', 'v1,')
      const other = what === 'body' ? flip(body) : body
      expect(isTaken(what === 'secret' ? newSecret(randomBytes(32)) : secret, other, changed)).toBe(false)
      expect(isSignedBy(pairs[what === 'secret' ? 1 : 0].publicKey, other, changed)).toBe(false)
      refused += 1
    }), { numRuns: 1000 })
    expect(refused).toBe(1000)
  })

  test('v1a is checked with the public key alone', () => {
    fc.assert(fc.property(bytes(32), ids, bodies, (seed, id, body) => {
      const { secret, publicKey } = newKeyPair(seed)
      expect(publicKeyOf(secret)).toBe(publicKey)
      expect(Buffer.from(publicKey.slice(5), 'base64')).toHaveLength(32)
      expect(isSignedBy(publicKey, body, signedHeaders({ id, body }, [secret], NOW))).toBe(true)
    }), { numRuns: 100 })
    // RFC 8032, 7.1, TEST 2: the pair, and a seed alone is as good.
    const seed = Buffer.from('4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb', 'hex')
    const open = Buffer.from('3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c', 'hex').toString('base64')
    expect(newKeyPair(seed).publicKey).toBe(`whpk_${open}`)
    expect(publicKeyOf(`whsk_${seed.toString('base64')}`)).toBe(`whpk_${open}`)
  })

  test('while secrets change over, old and new receivers take the same message', () => {
    const [old, young, foreign] = [newSecret(randomBytes(32)), newSecret(randomBytes(32)), newSecret(randomBytes(32))]
    const pair = newKeyPair(randomBytes(32))
    const body = '{"a":1}'
    const overlap = signedHeaders({ id: 'a', body }, [young, old, pair.secret], new Date())
    expect(overlap['webhook-signature']!.split(' ').map((one) => one.split(',')[0])).toEqual(['v1', 'v1', 'v1a'])
    expect([old, young, foreign].map((secret) => isTaken(secret, body, overlap))).toEqual([true, true, false])
    expect(isSignedBy(pair.publicKey, body, overlap)).toBe(true)
    const after = signedHeaders({ id: 'a', body }, [young], new Date())
    expect([old, young, foreign].map((secret) => isTaken(secret, body, after))).toEqual([false, true, false])
  })

  test('cannot be made for an id that reads two ways, nor without a good secret', () => {
    const secret = newSecret(randomBytes(32))
    for (const id of ['', 'a.b', 'a b', 'a\nb', 'é', 'a'.repeat(101)]) expect(() => signedHeaders({ id, body: '' }, [secret], NOW), id).toThrow(RangeError)
    expect(() => signedHeaders({ id: 'a', body: '' }, [], NOW)).toThrow(RangeError)
    expect(() => signedHeaders({ id: 'a', body: '' }, [secret, 'whsec_short'], NOW)).toThrow(RangeError)
  })
})

describe('a secret', () => {
  const of = (length: number) => Buffer.alloc(length, 0xfb).toString('base64')
  const pair = newKeyPair(Buffer.alloc(32, 1)).secret

  test.each<[string, keyof typeof SECRET_FAULTS | undefined]>([
    [VECTOR.secret, undefined], [`whsec_${of(24)}`, undefined], [`whsec_${of(64)}`, undefined], [pair, undefined], [`whsk_${of(32)}`, undefined],
    [`whsec_${of(23)}`, 'too-short'], ['whsec_', 'too-short'], [`whsec_${of(65)}`, 'too-long'],
    ['', 'prefix'], [of(32), 'prefix'], [`WHSEC_${of(32)}`, 'prefix'], [` whsec_${of(32)}`, 'prefix'], [newKeyPair(Buffer.alloc(32)).publicKey, 'prefix'],
    [`whsec_${of(32)}\n`, 'encoding'], [`whsec_${of(32).replaceAll('=', '')}`, 'encoding'], [`whsec_${of(32).replaceAll('+', '-').replaceAll('/', '_')}`, 'encoding'],
    [`whsec_密钥${of(32)}`, 'encoding'], [`whsec_${of(32).slice(0, -2)}9=`, 'encoding'],
    [`whsk_${of(31)}`, 'not-a-key'], [`whsk_${of(64)}`, 'not-a-key'], ['whsk_', 'not-a-key'],
  ])('%j: %s', (secret, fault) => {
    expect(secretFault(secret)).toBe(fault)
    if (fault) expect(() => signedHeaders({ id: 'a', body: '' }, [secret], NOW)).toThrow(SECRET_FAULTS[fault].en)
  })

  test('is made of the randomness that is handed in', () => {
    expect(newSecret(Buffer.alloc(32))).toBe(`whsec_${Buffer.alloc(32).toString('base64')}`)
    for (const length of [0, 23, 65]) expect(() => newSecret(Buffer.alloc(length))).toThrow(RangeError)
    for (const length of [0, 31, 33, 64]) expect(() => newKeyPair(Buffer.alloc(length))).toThrow(RangeError)
    for (const secret of [VECTOR.secret, 'whsk_', '']) expect(() => publicKeyOf(secret)).toThrow(RangeError)
  })

  test('faults and refusals speak both languages', () => {
    for (const words of [...Object.values(SECRET_FAULTS), ...Object.values(EGRESS_REFUSALS)]) expect(words).toEqual({ zh: expect.stringMatching(/\p{Script=Han}/u), en: expect.stringMatching(/^[\x20-\x7e]+$/) })
  })
})

describe('the schedule', () => {
  const waits = fc.integer({ min: 0, max: 11 })
  const dice = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
  const waitOf = (done: number, retryAfter: string | undefined, roll: number): number => {
    const next = nextAttempt(done, { retryAfter }, NOW, () => roll)
    return next === 'exhausted' ? Number.NaN : next.getTime() - NOW.getTime()
  }

  test('makes 12 attempts within about 76 hours', () => {
    expect(SCHEDULE).toHaveLength(12)
    expect(SCHEDULE.map((wait) => wait / 1000)).toEqual([0, 5, 30, 120, 600, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400])
    expect(SCHEDULE.reduce((sum, wait) => sum + wait) / HOUR).toBeCloseTo(75.71, 2)
    expect(SCHEDULE.map((_wait, done) => waitOf(done, undefined, 0.5))).toEqual(SCHEDULE)
    for (const done of [12, 13, 100]) expect(nextAttempt(done, { retryAfter: '5' }, NOW, Math.random)).toBe('exhausted')
  })

  test('spreads by at most a fifth either way, and uses all of it', () => {
    fc.assert(fc.property(waits, dice, (done, roll) => {
      const [wait, base] = [waitOf(done, undefined, roll), SCHEDULE[done]!]
      expect(wait).toBeGreaterThanOrEqual(base * 0.8 - 1)
      expect(wait).toBeLessThanOrEqual(base * 1.2 + 1)
    }), { numRuns: 2000 })
    expect([waitOf(5, undefined, 0), waitOf(5, undefined, 0.999_999_9)]).toEqual([1_440_000, 2_160_000])
  })

  test('keeps to Retry-After, seconds or date: never earlier than asked, than its own wait, nor later than a day', () => {
    fc.assert(fc.property(waits.filter((done) => done > 0), dice, fc.integer({ min: -100_000, max: 200_000 }), fc.boolean(), (done, roll, seconds, asDate) => {
      const at = new Date(Math.floor(NOW.getTime() / 1000 + seconds) * 1000)
      const wait = waitOf(done, asDate ? at.toUTCString() : String(Math.max(0, seconds)), roll)
      const asked = asDate ? at.getTime() - NOW.getTime() : Math.max(0, seconds) * 1000
      const base = SCHEDULE[done]!
      expect(wait).toBeGreaterThanOrEqual(Math.min(DAY, Math.max(asked, base)))
      expect(wait).toBeLessThanOrEqual(Math.min(DAY, Math.max(asked, base) * 1.2 + 1))
    }), { numRuns: 2000 })
    expect(waitOf(1, '120', 0)).toBe(120_000)
    expect(waitOf(1, ' 120 ', 0)).toBe(120_000)
    expect(waitOf(1, 'Sat, 21 Nov 2026 08:02:00 GMT', 0)).toBe(119_750)
    expect(waitOf(1, '9999999999', 0.9)).toBe(DAY)
  })

  test.each(['', 'soon', '-1', '1.5', '1e3', '0x10', '+5', '５', '12345678901', 'NaN', '2026-11-21', 'Sat, 31 Foo 2026 08:02:00 GMT', 'Sat, 21 Nov 2026 99:99:99 GMT',
    'Saturday, 21-Nov-26 08:02:00 GMT', 'Sat, 21 Nov 2026 08:02:00 +0800', '120, 240', '\u0000', '9'.repeat(100_000)])('takes no notice of Retry-After %j', (retryAfter) => {
    expect(waitOf(3, retryAfter, 0.25)).toBe(waitOf(3, undefined, 0.25))
  })
})

test('only 2xx delivers, 410 ends, and four statuses ask for quiet', () => {
  const by = (verdict: string) => Array.from({ length: 500 }, (_none, index) => index + 100).filter((status) => judge(status) === verdict)
  expect(by('delivered')).toEqual(Array.from({ length: 100 }, (_none, index) => index + 200))
  expect([by('gone'), by('throttle')]).toEqual([[410], [429, 502, 503, 504]])
  expect(by('failed')).toHaveLength(500 - 105)
})

test.each<[number, number, boolean, number]>([
  [0, 0, false, 0], [0, 50, false, 0], [1 * DAY - 1, 50, false, 0], [1 * DAY, 1, false, 1], [3 * DAY - 1, 50, false, 1], [3 * DAY, 2, false, 2],
  [5 * DAY - 1, 1000, false, 2], [5 * DAY, 19, false, 2], [5 * DAY, 20, true, 2], [400 * DAY, 19, false, 2], [400 * DAY, 0, false, 0], [-DAY, 30, false, 0],
])('after %i ms and %i failures: disabled %s, warnings %i', (since, failures, disable, warnings) => {
  expect(healthOf(new Date(NOW.getTime() - since), failures, NOW)).toEqual({ disable, warnings })
  expect(healthOf(null, failures, NOW)).toEqual({ disable: false, warnings: 0 })
})

test('patterns take a type, a family or all', () => {
  const types = ['request.filed', 'request.claim-confirmed', 'requests.filed', 'webhook.test', 'request']
  const taken = (...patterns: string[]) => types.filter((type) => matchesType(patterns, type))
  expect(taken('request.*')).toEqual(['request.filed', 'request.claim-confirmed'])
  expect(taken('request.filed')).toEqual(['request.filed'])
  expect(taken('*')).toEqual(types)
  expect(taken('webhook.*', 'request')).toEqual(['webhook.test', 'request'])
  for (const none of ['', '.*', '*.*', '**', 'req*', '*.filed', 'request.*.*', 'request.f*', 'request.', 'Request.*', 'request.(.*)']) expect(taken(none), none).toEqual([])
  expect(taken()).toEqual([])
})

test('the package would not miss what we forget: our HMAC is the plain one', () => {
  const key = randomBytes(32)
  const headers = signedHeaders({ id: 'a', body: '心愿' }, [newSecret(key)], NOW)
  expect(headers['webhook-signature']).toBe(`v1,${createHmac('sha256', key).update(`a.${headers['webhook-timestamp']}.心愿`).digest('base64')}`)
})
