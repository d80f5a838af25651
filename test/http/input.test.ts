import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { expectProblem, raw } from './expect-problem.ts'
import { ID, sampleApp } from './sample.ts'

const app = sampleApp()
let port = 0
beforeAll(async () => {
  await app.listen({ host: '127.0.0.1', port: 0 })
  port = (app.server.address() as AddressInfo).port
})
afterAll(() => app.close())

const BODY = { title: '换一个灯泡', count: 1, node: '371302002001' }
const post = (payload: unknown, headers: Record<string, string> = {}) =>
  app.inject({ method: 'POST', url: '/v1/samples', payload: payload as object, headers })
const postText = (payload: string | Buffer, type = 'application/json') =>
  app.inject({ method: 'POST', url: '/v1/samples', payload, headers: { 'content-type': type } })

describe('input', () => {
  test('what is right is accepted', async () => {
    expect((await post(BODY)).statusCode).toBe(201)
    expect((await post({ ...BODY, note: 'a\r\nb\tc', phone: '+86 138-0013-8000', at: '2026-11-21T09:00:00+08:00', takers: [{ kind: 'person', person: ID }] })).statusCode).toBe(201)
    expect((await app.inject('/v1/samples?limit=100&state=filed,open&mine=true')).statusCode).toBe(200)
  })

  test.each<[string, unknown, { pointer: string; code: string; message?: string }]>([
    ['nothing', undefined, { pointer: '', code: 'type' }],
    ['null', 'null', { pointer: '', code: 'type' }],
    ['a list', [], { pointer: '', code: 'type' }],
    ['a missing property', { ...BODY, title: undefined }, { pointer: '/title', code: 'required', message: '必填' }],
    ['an unknown property', { ...BODY, isAdmin: true }, { pointer: '/isAdmin', code: 'unknown', message: '未知字段' }],
    ['an unknown property with a pointer in it', { ...BODY, 'a/b~c': 1 }, { pointer: '/a~1b~0c', code: 'unknown' }],
    ['an unknown nested property', { ...BODY, place: { lng: 1, lat: 2, alt: 3 } }, { pointer: '/place/alt', code: 'unknown' }],
    ['the wrong type', { ...BODY, title: 7 }, { pointer: '/title', code: 'type', message: '应为文本' }],
    ['an operator for a value', { ...BODY, node: { not: '' } }, { pointer: '/node', code: 'type' }],
    ['NUL', { ...BODY, title: 'a\u0000b' }, { pointer: '/title', code: 'invalid', message: '含有控制字符' }],
    ['a line feed where one line is meant', { ...BODY, title: 'a\nb' }, { pointer: '/title', code: 'invalid' }],
    ['a lone surrogate', '{"title":"\\ud800","count":1,"node":"1"}', { pointer: '/title', code: 'invalid', message: '含有不完整的 Unicode 字符' }],
    ['NUL where any text is right', { ...BODY, form: { colours: ['red', 'a\u0000b'] } }, { pointer: '/form/colours/1', code: 'invalid', message: '含有控制字符或不完整的 Unicode 字符' }],
    ['NUL in a name', { ...BODY, form: { 'a\u0000b': 1 } }, { pointer: '/form', code: 'invalid' }],
    ['a lone surrogate where any text is right', '{"title":"a","count":1,"node":"1","form":{"a":"\\ud800"}}', { pointer: '/form/a', code: 'invalid' }],
    ['spaces only', { ...BODY, title: ' \u3000 ' }, { pointer: '/title', code: 'too-small', message: '不能为空' }],
    ['too long a text', { ...BODY, title: '字'.repeat(21) }, { pointer: '/title', code: 'too-big', message: '最多 20 个字' }],
    ['a number past int4', { ...BODY, count: 2_147_483_648 }, { pointer: '/count', code: 'too-big', message: '不能大于 2147483647' }],
    ['a number past int8', '{"title":"a","count":9223372036854775808,"node":"1"}', { pointer: '/count', code: 'too-big' }],
    ['infinity', '{"title":"a","count":1e999,"node":"1"}', { pointer: '/count', code: 'type' }],
    ['a negative number', { ...BODY, count: -1 }, { pointer: '/count', code: 'too-small' }],
    ['a fraction', { ...BODY, count: 1.5 }, { pointer: '/count', code: 'type', message: '应为整数' }],
    ['a time without offset', { ...BODY, at: '2026-11-21T09:00:00' }, { pointer: '/at', code: 'format' }],
    ['a time beyond reason', { ...BODY, at: '9999-12-31T23:59:59Z' }, { pointer: '/at', code: 'too-big' }],
    ['a bad phone', { ...BODY, phone: '12345' }, { pointer: '/phone', code: 'invalid' }],
    ['an unknown kind', { ...BODY, takers: [{ kind: 'cat' }] }, { pointer: '/takers/0/kind', code: 'value', message: '只能是 person、team' }],
    ['a constructor', { ...BODY, constructor: 'x' }, { pointer: '/constructor', code: 'unknown' }],
  ])('%s is refused where it is', async (_, payload, finding) => {
    const answer = typeof payload === 'string' || payload === undefined ? await postText(payload ?? '') : await post(payload)
    expectProblem(answer, 'validation-failed')
    expect(answer.json<{ errors: object[] }>().errors).toContainEqual(expect.objectContaining(finding))
  })

  test('findings are in the caller\'s language, all at once, and bounded', async () => {
    const { errors } = (await post({ title: '', x: 1 }, { 'accept-language': 'en' })).json<{ errors: object[] }>()
    expect(errors).toEqual([
      { pointer: '/title', code: 'too-small', message: 'Must not be empty' },
      { pointer: '/count', code: 'required', message: 'Required' },
      { pointer: '/node', code: 'required', message: 'Required' },
      { pointer: '/x', code: 'unknown', message: 'Unknown property' },
    ])
    const many = await post(Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`${'k'.repeat(20)}${index}`, 1])))
    expectProblem(many, 'validation-failed')
    expect(many.body.length).toBeLessThan(4000)
  })

  test.each([
    ['/v1/samples?limit=0', '/query/limit'], ['/v1/samples?limit=101', '/query/limit'], ['/v1/samples?limit=1e1', '/query/limit'],
    ['/v1/samples?limit=1&limit=2', '/query/limit'], ['/v1/samples?limit=', '/query/limit'], ['/v1/samples?state=gone', '/query/state/0'], ['/v1/samples?colour=red', '/query/colour'],
    ['/v1/samples?__proto__=1', '/query/__proto__'], ['/v1/samples?cursor=%00', '/query/cursor'], ['/v1/samples?mine=yes', '/query/mine'], ['/v1/samples/7', '/path/id'], ['/v1/samples/%00', '/path/id'],
  ])('%s is refused at %s', async (url, pointer) => {
    const answer = await app.inject(url)
    expectProblem(answer, 'validation-failed')
    expect(answer.json<{ errors: { pointer: string }[] }>().errors.map((error) => error.pointer)).toEqual([pointer])
  })

  test('a header is refused by its name; those not declared stay readable', async () => {
    const answer = await app.inject({ method: 'POST', url: `/v1/samples/${ID}/claim`, headers: { 'idempotency-key': 'k'.repeat(256) } })
    expectProblem(answer, 'validation-failed', { errors: [{ pointer: '/headers/idempotency-key', code: 'too-big', message: '最多 255 个字' }] })
  })
})

describe('bodies', () => {
  test.each<[string, string | Buffer]>([
    ['cut off', '{"title":'], ['not JSON', 'title=x'], ['two values', '{}{}'], ['a trailing comma', '{"title":"a",}'],
    ['__proto__', '{"__proto__":{"isAdmin":true}}'], ['nested __proto__', '{"place":{"__proto__":{}}}'], ['escaped __proto__', '{"\\u005f_proto__":{}}'],
    ['constructor.prototype', '{"constructor":{"prototype":{}}}'], ['GBK', Buffer.concat([Buffer.from('{"title":"'), Buffer.from([0xbb, 0xbb, 0xb5, 0xc6]), Buffer.from('"}')])],
    ['100,000 lists deep', '['.repeat(100_000) + ']'.repeat(100_000)], ['33 objects deep', '{"form":'.repeat(33) + '1' + '}'.repeat(33)],
  ])('%s is malformed', async (_, payload) => {
    expectProblem(await postText(payload), 'body-malformed')
  })

  test('of duplicate keys the last counts, and it is the one that is checked', async () => {
    expect((await postText('{"title":"","title":"a","count":1,"node":"1"}')).statusCode).toBe(201)
    expectProblem(await postText('{"title":"a","title":"","count":1,"node":"1"}'), 'validation-failed')
  })

  test('a body may be absent where its schema says so, even when it is labelled as JSON', async () => {
    const url = `/v1/samples/${ID}/claim`
    for (const headers of [{}, { 'content-type': 'application/json' }]) expect((await app.inject({ method: 'POST', url, headers })).statusCode).toBe(200)
    expectProblem(await app.inject({ method: 'POST', url, payload: { note: '' } }), 'validation-failed')
  })

  test('300 KB are too large, announced or not', async () => {
    expectProblem(await post({ ...BODY, title: 'x'.repeat(300 * 1024) }), 'body-too-large')
    const chunked = await raw(port, `POST /v1/samples HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n4b000\r\n${'x'.repeat(0x4b000)}\r\n0\r\n\r\n`)
    expect(chunked).toMatch(/^HTTP\/1.1 413 .*application\/problem\+json/s)
  })

  test.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'application/xml', 'application/json\t', 'application/jsonx', 'a/b', 'application', 'text/json', '*/*'])(
    'content type %j is not supported, or is JSON and checked', async (type) => {
      const answer = await postText('{"isAdmin":true}', type)
      if (answer.statusCode === 415) expectProblem(answer, 'media-type-unsupported')
      else expectProblem(answer, 'validation-failed')
    },
  )

  test.each(['application/json', ' application/json', 'application/json ', '\tapplication/json', 'application/json\t; charset=utf-8', 'application/json;x', 'application/json ;charset="utf-8"', 'APPLICATION/JSON', 'application/json, text/plain', 'application/ json', ''])(
    'content type %j on the wire never passes unchecked input', async (type) => {
      const payload = '{"isAdmin":true}'
      const answer = await raw(port, `POST /v1/samples HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: ${type}\r\ncontent-length: ${payload.length}\r\n\r\n${payload}`)
      expect(answer).toMatch(/^HTTP\/1.1 (400|415) /)
      expect(answer).toContain('application/problem+json')
    },
  )
})

describe('requests', () => {
  test.each(['/%', '/v1/samples/%zz', '/v1/samples/%ff', '/v1/%c0%80'])('%s is a malformed URL', async (url) => {
    expect(await raw(port, `GET ${url} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`)).toMatch(/^HTTP\/1.1 (400|404) .*application\/problem\+json.*x-request-id/is)
  })

  test('where there is nothing, that is said; where there is something else, what', async () => {
    expectProblem(await app.inject('/nowhere'), 'not-found', { detail: '没有这个地址' })
    expectProblem(await app.inject({ method: 'POST', url: '/nowhere', payload: {} }), 'not-found')
    const wrong = await app.inject({ method: 'DELETE', url: `/v1/samples/${ID}?x=1` })
    expectProblem(wrong, 'method-not-allowed', { allowed: ['GET', 'HEAD'] })
    expect(wrong.headers.allow).toBe('GET, HEAD, OPTIONS')
    expectProblem(await app.inject({ url: `/v1/samples/${'x'.repeat(200)}` }), 'not-found')
  })

  test('HEAD is GET without the body, OPTIONS tells the methods', async () => {
    const head = await app.inject({ method: 'HEAD', url: '/v1/samples' })
    expect([head.statusCode, head.body]).toEqual([200, ''])
    const options = await app.inject({ method: 'OPTIONS', url: '/v1/samples' })
    expect([options.statusCode, options.headers.allow]).toEqual([204, 'GET, HEAD, POST, OPTIONS'])
    expectProblem(await app.inject({ method: 'OPTIONS', url: '/nowhere' }), 'not-found')
  })

  test('what is not HTTP, or too much of it, is answered too', async () => {
    expect(await raw(port, 'NONSENSE\r\n\r\n')).toMatch(/^HTTP\/1.1 400 .*application\/problem\+json.*http-malformed/s)
    expect(await raw(port, `GET / HTTP/1.1\r\nhost: x\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`)).toMatch(/^HTTP\/1.1 431 .*headers-too-large/s)
  })

  test('the request id is the caller\'s if it is one, else ours', async () => {
    const idOf = async (given: string) => (await app.inject({ url: '/v1/public', headers: { 'x-request-id': given } })).headers['x-request-id']
    expect(await idOf('wx-2026_11-21')).toBe('wx-2026_11-21')
    for (const bad of ['short', 'x'.repeat(65), 'with space', 'a\\nb<script>', '张三张三张三张三']) expect(await idOf(encodeURI(bad))).toMatch(/^[\da-f-]{36}$/)
  })

  test('X-Forwarded-For is believed from listed proxies only', async () => {
    const hostOf = async (trustedProxies: string[]) => {
      const behind = sampleApp({ trustedProxies })
      return (await behind.inject({ url: '/v1/public', remoteAddress: '10.0.0.9', headers: { 'x-forwarded-for': '6.6.6.6, 1.2.3.4' } })).json<{ host: string }>().host
    }
    expect(await hostOf([])).toBe('10.0.0.9')
    expect(await hostOf(['10.0.0.0/8'])).toBe('1.2.3.4')
  })
})
