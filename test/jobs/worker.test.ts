import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Backend, openBackend } from '../../src/jobs/backend.ts'
import { type Jobs, openJobs } from '../../src/jobs/enqueue.ts'
import type { Session } from '../../src/jobs/session.ts'
import { type Workers, startWorkers } from '../../src/jobs/worker.ts'
import { type Server, hasRedis, postgresServer, redisServer, until } from './servers.ts'
import { type Deps, LONG, TABLE, type Urls, child } from './table.ts'

const withRedis = hasRedis() || process.env['WISHWALL_TEST_REDIS'] === 'required'

// The two backends side by side, the cases of each in their order: servers die here, and time is mostly waiting.
describe('jobs on PostgreSQL', { concurrent: true, timeout: 60_000 }, () => {
  describe.sequential('', () => cases(postgresServer, (url) => ({ databaseUrl: url })))
})
describe.skipIf(!withRedis)('jobs on Redis', { concurrent: true, timeout: 60_000 }, () => {
  describe.sequential('', () => cases(redisServer, (url) => ({ redisUrl: url, databaseUrl: 'postgresql://127.0.0.1:1/none' })))
})

function cases(startServer: () => Promise<Server>, urlsOf: (url: string) => Urls) {
  const lines: string[] = []
  const runs: string[] = []
  let ranAt = 0
  const log = pino({ level: 'info' }, { write: (line) => lines.push(line) })
  const deps: Deps = {
    ran(queue, id) {
      ranAt = performance.now()
      runs.push(`${queue} ${id}`)
    },
    alive: async () => void runs.push('alive'),
  }
  const ranTimes = (run: string) => runs.filter((one) => one === run).length
  const isPermanent = (error: unknown) => error instanceof RangeError

  let server: Server
  let urls: Urls
  let backend: Backend
  let jobs: Jobs<typeof TABLE>
  let workers: Workers

  beforeAll(async () => {
    server = await startServer()
    urls = urlsOf(server.url)
    backend = openBackend({ ...urls, log })
  }, 60_000)

  afterAll(async () => {
    await Promise.all([workers?.stop(3_000), jobs?.close(3_000)])
    await server?.remove()
  }, 60_000)

  /** Pokes until the job has run, as the sweep would; a poke may be lost while the backend is coming back. */
  async function runsAgain(id: string) {
    const ms = await until(`echo ${id}`, async () => {
      await jobs.enqueue('echo', { id }, { jobId: id })
      return ranTimes(`echo ${id}`) > 0
    })
    console.log(`${backend.kind}: ${id}, runs after ${Math.round(ms)} ms`)
  }

  it('begins by itself when the backend is late', async () => {
    if (backend.kind === 'redis') await server.kill()
    workers = startWorkers({ backend, queues: TABLE, deps, log, isPermanent, canaryEveryMs: 1_000 })
    jobs = openJobs({ backend, queues: TABLE, log })
    await sleep(500)
    expect(workers.lagMs()).toBe(Infinity)
    if (backend.kind === 'redis') await server.start()
    await backend.prepare()
    await runsAgain('late start')
    await until('a canary', () => ranTimes('alive') > 0 && workers.lagMs() < 2_000)
  })

  it('runs a job, whatever its id looks like', async () => {
    const took: number[] = []
    for (const id of ['12345', 'a:b', 'a-b', '心愿', ...Array.from({ length: 20 }, (_, n) => `plain ${n}`)]) {
      const from = performance.now()
      void jobs.enqueue('echo', { id }, { jobId: id })
      await until(id, () => ranTimes(`echo ${id}`) === 1)
      took.push(ranAt - from)
    }
    took.sort((a, b) => a - b)
    console.log(`${backend.kind}: add to run, median ${took[12]?.toFixed(1)} ms, worst ${took.at(-1)?.toFixed(1)} ms`)
  })

  it('takes many at once, and none before its delay', async () => {
    const many = Array.from({ length: 200 }, (_, n) => ({ payload: { id: `bulk ${n}` }, jobId: `bulk ${n}` }))
    await jobs.enqueueAll('echo', [...many, ...many])
    const from = performance.now()
    void jobs.enqueue('echo', { id: 'delayed' }, { delayMs: 700 })
    await until('all of them', () => runs.filter((run) => run.startsWith('echo bulk')).length >= 200)
    await until('the delayed one', () => ranTimes('echo delayed') === 1)
    expect(performance.now() - from).toBeGreaterThan(690)
  })

  it('retries as the row says, a permanent error or a wrong payload not at all, and logs no data', async () => {
    void jobs.enqueue('flaky', { id: 'f1' }, { jobId: 'f1' })
    void jobs.enqueue('refused', { id: 'r1' }, { jobId: 'r1' })
    // @ts-expect-error a payload that is wrong to begin with does not compile
    void jobs.enqueue('echo', { id: 13800000000 }, { jobId: 'wrong' })
    const failures = () => lines.map((line) => JSON.parse(line)).filter(({ msg }) => msg === 'job failed')
    await until('three failures for good', () => failures().filter(({ level }) => level === 50).length === 3)
    expect([ranTimes('flaky f1'), ranTimes('refused r1')]).toEqual([3, 1])
    const attempts = failures().map(({ job, attempt, error }) => `${job} ${attempt} ${error}`).sort()
    expect(attempts).toEqual(['echo-wrong 1 ZodError', 'flaky-f1 1 Error', 'flaky-f1 2 Error', 'flaky-f1 3 Error', 'refused-r1 1 RangeError'])
    expect(lines.join()).not.toMatch(/secret|13800000000/)
    // A failed job leaves, so that its id can be added again.
    void jobs.enqueue('refused', { id: 'r1' }, { jobId: 'r1' })
    await until('it is taken again', () => ranTimes('refused r1') === 2)
  })

  it('runs the job of a worker that was killed', async () => {
    const long = openJobs({ backend, queues: LONG, log })
    const doomed = child(urls)
    await until('its job', async () => {
      await long.enqueue('long', { id: 'endless' }, { jobId: 'endless' })
      return doomed.said().includes('started endless')
    })
    doomed.kill('SIGKILL')
    const heir = startWorkers({ backend, queues: LONG, deps, log })
    const ms = await until('the job in another worker', () => ranTimes('long endless') === 1)
    console.log(`${backend.kind}: job of a killed worker runs after ${Math.round(ms)} ms`)
    expect(ms).toBeLessThan(20_000)
    await Promise.all([heir.stop(3_000), long.close(3_000)])
  })

  it('goes on by itself when the server threw out its clients or its jobs, and when it was restarted', async () => {
    await server.disturb()
    const canaries = ranTimes('alive')
    await until('two canaries of its own accord', () => ranTimes('alive') > canaries + 1)
    await runsAgain('disturbed')
    lines.length = 0
    await server.kill()
    await sleep(7_000) // longer than a worker waits for a job: BullMQ #4585
    await server.start()
    await runsAgain('restarted')
    expect(lines.filter((line) => line.includes('"job backend"')).length).toBeLessThan(3)
  })

  it('opens anew when nothing comes through', async () => {
    const first = (session: Session): Backend => {
      const sessions = [session]
      return { ...backend, open: (count) => sessions.pop() ?? backend.open(count) }
    }
    const open = backend.open(0)
    const deaf: Session = { ...open, work: () => {} }
    const refusal = async () => Promise.reject(new Error('as once, so for ever'))
    const mute: Session = { ...open, queue: () => ({ add: refusal, addBulk: refusal, getJob: refusal }) }
    const late: Deps = { ...deps, ran: (queue, id) => deps.ran(queue, `${id}, heard late`) }
    const hearing = startWorkers({ backend: first(deaf), queues: LONG, deps: late, log, canaryEveryMs: 200, deafAfterMs: 1_000 })
    const line = openJobs({ backend: first(mute), queues: LONG, log, reopenAfterMs: 500 })
    await until('the first job', async () => {
      await line.enqueue('long', { id: 'first' }, { jobId: 'first' })
      return ranTimes('long first, heard late') > 0
    })
    await Promise.all([hearing.stop(3_000), line.close(1_000)])
  })

  it('is not held up by a server that hangs', async () => {
    server.hang()
    const line = openJobs({ backend, queues: TABLE, log })
    const from = performance.now()
    await line.enqueue('echo', { id: 'hung' }, { jobId: 'hung' })
    expect(performance.now() - from).toBeLessThan(1_500)
    await sleep(2_300) // past the time limits of connecting and of commands
    server.goOn()
    await runsAgain('hung')
    await line.close(1_000)
  })

  it('never waits for a dead server', async () => {
    const long = openJobs({ backend, queues: LONG, log })
    const other = child(urls)
    await until('the other worker', async () => {
      await long.enqueue('long', { id: 'brief' }, { jobId: 'brief' })
      return other.said().includes('started brief')
    })
    await long.close(1_000)
    await server.kill()
    const fresh = openJobs({ backend, queues: TABLE, log })
    const took = []
    for (const line of [jobs, jobs, fresh, fresh]) {
      const from = performance.now()
      await line.enqueue('echo', { id: 'nobody hears' })
      took.push(performance.now() - from)
    }
    expect(Math.min(...took)).toBeLessThan(350)
    expect(Math.max(...took)).toBeLessThan(1_500) // a busy machine
    await expect(fresh.enqueueAll('echo', [{ payload: { id: 'nobody hears' } }])).rejects.toThrow()
    const gone = once(other, 'exit')
    other.kill('SIGTERM')
    const from = performance.now()
    await Promise.all([workers.stop(3_000), jobs.close(1_000), fresh.close(1_000)])
    expect(performance.now() - from).toBeLessThan(4_000)
    // Nobody calls exit in the child: it ends because nothing is left open.
    expect(await gone).toEqual([0, null])
    console.log(`${backend.kind}: with the server dead, ${other.said().match(/stopped \d+/)?.[0]} ms, gone after ${Math.round(performance.now() - from)} ms`)
  })
}
