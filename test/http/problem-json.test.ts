import { once } from 'node:events'
import { connect, type AddressInfo } from 'node:net'
import { afterAll, describe, expect, test } from 'vitest'
import { PROBLEMS, type ProblemCode } from '../../src/domain/problems.ts'
import { expectProblem } from './expect-problem.ts'
import { ID, lines, sampleApp } from './sample.ts'

const app = sampleApp()
afterAll(() => app.close())

describe('the catalogue', () => {
  test.each(Object.keys(PROBLEMS) as ProblemCode[])('%s is answered with its status, title, facts and page, in both languages', async (code) => {
    const zh = await app.inject(`/v1/refusals/${code}`)
    expectProblem(zh, code, { title: PROBLEMS[code].zh, detail: '说明', state: 'open', allowed: ['claim'] })
    expect(zh.headers['content-language']).toBe('zh-CN')

    const en = await app.inject({ url: `/v1/refusals/${code}`, headers: { 'accept-language': 'en-GB,en;q=0.9,zh;q=0.5' } })
    expectProblem(en, code, { title: PROBLEMS[code].en, detail: 'Detail' })
    expect(en.headers['content-language']).toBe('en')

    const page = await app.inject(zh.json<{ type: string }>().type)
    expect(page.statusCode).toBe(200)
    expect(page.body).toContain(PROBLEMS[code].zh)
    expect(page.body).toContain(PROBLEMS[code].en)
  })

  test('refusals of the caller challenge, refusals of ours say when to come back', async () => {
    expect((await app.inject('/v1/refusals/unauthenticated')).headers['www-authenticate']).toBe('Bearer realm="wish-wall"')
    expect((await app.inject('/v1/refusals/token-invalid')).headers['www-authenticate']).toContain('invalid_token')
    for (const code of ['rate-limited', 'overloaded', 'shutting-down']) expect((await app.inject(`/v1/refusals/${code}`)).headers['retry-after']).toBe('1')
  })

  test.each([['zh-CN', 'zh-CN'], ['en', 'en'], ['zh;q=0.1, en;q=0.9', 'en'], ['en;q=0', 'zh-CN'], ['de', 'zh-CN'], ['*', 'zh-CN'], [';;q=x,,', 'zh-CN'], ['en;q=abc', 'zh-CN']])(
    'Accept-Language %s is answered in %s', async (accepted, spoken) => {
      expect((await app.inject({ url: '/nowhere', headers: { 'accept-language': accepted } })).headers['content-language']).toBe(spoken)
    },
  )
})

describe('failures', () => {
  test('an unknown error says nothing to the caller, and to the log no data', async () => {
    lines.length = 0
    const answer = await app.inject('/v1/boom?phone=13800138000')
    expectProblem(answer, 'internal')
    expect(answer.json()).not.toHaveProperty('detail')
    expect(lines.filter((line) => 'err' in line)).toHaveLength(1)
    expect(lines).toContainEqual(expect.objectContaining({ msg: 'request', route: '/v1/boom', status: 500, problem: 'internal' }))
    expect(JSON.stringify(lines)).toContain('person_phone_key')
    expect(JSON.stringify(lines)).not.toMatch(/13800138000|SELECT/)
  })

  test('what takes too long is given up', async () => {
    expectProblem(await app.inject('/v1/slow'), 'took-too-long')
  })

  test('an answer against its schema is caught, undeclared fields never leave', async () => {
    expectProblem(await app.inject('/v1/wrong'), 'internal')
    const lenient = await sampleApp({ checkAnswers: false }).inject(`/v1/samples/${ID}`)
    expect(lenient.json()).toEqual({
      id: ID, title: '换一个灯泡', filedAt: '2026-11-21T01:00:00.000Z', closedAt: null, place: null,
      takers: [{ kind: 'person', person: ID }, { kind: 'team', team: 'T1' }],
    })
  })

  test('while closing, new requests are sent elsewhere', async () => {
    const closing = sampleApp()
    const arrived = new Promise<void>((resolve) => closing.addHook('onRequest', (_request, _reply, done) => { resolve(); done() }))
    await closing.listen({ host: '127.0.0.1', port: 0 })
    const { port: own } = closing.server.address() as AddressInfo
    const socket = connect(own, '127.0.0.1')
    let heard = ''
    socket.setEncoding('utf8').on('data', (chunk: string) => (heard += chunk))
    socket.write('GET /v1/slow HTTP/1.1\r\nhost: x\r\n\r\n')
    await arrived
    const closed = closing.close()
    socket.write('GET /v1/public HTTP/1.1\r\nhost: x\r\n\r\n')
    await Promise.all([closed, once(socket, 'close')])
    expect(heard).toMatch(/took-too-long.*HTTP\/1.1 503 .*shutting-down/s)
  })

  test('an answer that is sent while closing does not keep its connection', async () => {
    const closing = sampleApp()
    let goOn = () => {}
    const ready = new Promise<void>((resolve) => (goOn = resolve))
    // What has been said of the connection is said before the app closes.
    closing.get('/v1/long', { config: { public: true }, schema: { hide: true } }, async (_request, reply) => {
      const { raw } = reply.hijack()
      raw.writeHead(200, { 'content-length': 2, connection: 'keep-alive' }).write('a')
      await ready
      raw.end('b')
    })
    await closing.listen({ host: '127.0.0.1', port: 0 })
    const { port: own } = closing.server.address() as AddressInfo
    const socket = connect(own, '127.0.0.1')
    socket.write('GET /v1/long HTTP/1.1\r\nhost: x\r\n\r\n')
    await once(socket, 'data')
    const closed = closing.close()
    setTimeout(goOn, 100)
    await closed
  })
})
