// upgrade.js BEFORE AFTER DATA: two builds of this project, and a folder for the data that goes from one to the other.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import assert from 'node:assert/strict'

const [before, after, data] = process.argv.slice(2)

const earlier = await during(before, histories)
const now = await during(after, async (api) => {
  const seen = await histories(api)
  await fileAndAccept(api)
  return seen
})
assert.deepEqual(Object.keys(now), Object.keys(earlier), 'the requests are not the same')
for (const [number, history] of Object.entries(earlier)) {
  // The new version may have had something to do on its own; what was written stays as it was.
  assert.deepEqual(now[number].slice(0, history.length), history, `the history of ${number} is not the same`)
  assert(now[number].slice(history.length).every(({ actorKind }) => actorKind === 'system'), `${number} has gone on without anybody`)
}
const events = (of) => Object.values(of).flat().length
console.log(`${Object.keys(earlier).length} requests with ${events(earlier)} events are there again (${events(now) - events(earlier)} by the system since), and a new one is accepted`)

/** Runs the demo of a build on the data, and ends it. */
async function during(build, work) {
  const child = spawn(process.execPath, ['dist/bin/wish-wall.js', 'start'], { cwd: build, env: { PATH: process.env.PATH, PORT: '0', WISHWALL_DATA: data }, stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  let output = ''
  child.stdout.on('data', (chunk) => { output += chunk })
  try {
    await until(() => child.exitCode !== null || output.includes('Ctrl-C'), `${build} did not start`) // the end of the banner
    assert.equal(child.exitCode, null, `${build} ended:\n${output}`)
    const { baseUrl, people } = JSON.parse(await readFile(join(data, 'demo.json'), 'utf8'))
    await until(async () => (await fetch(`${baseUrl}/readyz`)).status === 200, `${build} is not ready`)
    const { login: username, password } = people.find(({ duties }) => duties.some(({ role }) => role === 'dispatcher'))
    const token = await fetch(`${baseUrl}/oauth/token`, { method: 'POST', body: new URLSearchParams({ grant_type: 'password', client_id: 'swagger-ui', username, password }) })
    const { access_token: bearer } = await token.json()
    return await work(caller(baseUrl, bearer))
  } finally {
    child.kill('SIGTERM')
    const late = setTimeout(() => child.kill('SIGKILL'), 15_000)
    await ended
    clearTimeout(late)
  }
}

function caller(baseUrl, token) {
  return async (path, body) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const answer = await fetch(baseUrl + path, body ? { method: 'POST', headers, body: JSON.stringify(body) } : { headers })
    assert(answer.ok, `${path} answered ${answer.status}`)
    return answer.json()
  }
}

/** Of every request that the dispatcher of the street sees, by number. */
async function histories(api) {
  const found = {}
  for (let cursor = ''; cursor !== null;) {
    const { data: requests, page } = await api(`/v1/requests?limit=100${cursor && `&cursor=${cursor}`}`)
    for (const { number } of requests) {
      const { data: events } = await api(`/v1/requests/${number}/events`)
      found[number] = events.map(({ seq, verb, from, state, at, actorKind }) => ({ seq, verb, from, state, at, actorKind }))
    }
    cursor = page.nextCursor
  }
  return found
}

async function fileAndAccept(api) {
  const { number } = await api('/v1/requests', { item: 'parking', title: '车位线看不清了', node: 'YQHF' })
  const { state } = await api(`/v1/requests/${number}/accept`, {})
  assert.equal(state, 'accepted')
}

async function until(holds, complaint) {
  for (const end = Date.now() + 60_000; !(await holds()); await sleep(100)) assert(Date.now() < end, complaint)
}
