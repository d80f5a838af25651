import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { chmod, mkdtemp, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { DemoFile } from '../../src/bin/demo.ts'
import { eventually } from '../processes.ts'

/** README's receiver and its twin, run as they stand there. */

const PROJECT = join(import.meta.dirname, '../..')
const CHAPTER = readFileSync(join(PROJECT, 'README.md'), 'utf8').split('\n## Webhooks')[1]!.split('\n## ')[0]!
const block = (language: string, index = 0): string => [...CHAPTER.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))][index]![1]!

let home: string
let wishWall: ChildProcess
let base: string

beforeAll(async () => {
  home = await realpath(await mkdtemp(join(tmpdir(), 'wish-wall-readme-')))
  await chmod(home, 0o755) // for the user that PostgreSQL runs as when we are root
  wishWall = spawn(process.execPath, [join(PROJECT, 'dist/bin/wish-wall.js'), 'start'], {
    env: { PATH: process.env.PATH, PORT: '0', WISHWALL_DATA: join(home, 'data'), WISHWALL_ALLOW_LOOPBACK_WEBHOOKS: 'true' }, stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  wishWall.stdout!.on('data', (chunk: Buffer) => { output += chunk.toString() })
  await eventually(async () => {
    if (wishWall.exitCode !== null) throw new Error(`it ended:\n${output}`)
    return output.includes('Ctrl-C') // the last line of the banner
  }, 60_000)
  base = (JSON.parse(await readFile(join(home, 'data/demo.json'), 'utf8')) as DemoFile).baseUrl
}, 90_000)

afterAll(async () => {
  const ended = once(wishWall, 'exit')
  wishWall.kill('SIGINT')
  await ended
  await rm(home, { recursive: true, force: true })
})

test('receiver and poller hear the same, and openssl tells a message of ours from another', { timeout: 60_000 }, async () => {
  const files = [0, 1].map((index) => block('js', index))
  for (const file of files) await writeFile(join(home, /^\/\/ (\S+)/.exec(file)![1]!), file)
  await symlink(join(PROJECT, 'node_modules'), join(home, 'node_modules'))
  const bash = spawn('bash', ['-euo', 'pipefail', '-c', block('bash')], {
    cwd: home, detached: true, env: { PATH: process.env.PATH, BASE: base, DATA: join(home, 'data'), HOOK_PORT: String(await freePort()) }, stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said = { output: '', errors: '' }
  bash.stdout.on('data', (chunk: Buffer) => { said.output += chunk.toString() })
  bash.stderr.on('data', (chunk: Buffer) => { said.errors += chunk.toString() })
  const [code] = (await once(bash, 'exit')) as [number]
  if (code !== 0) process.kill(-bash.pid!, 'SIGKILL') // with the receiver it has left running
  expect({ code, ...said }).toMatchObject({ code: 0, errors: '' })

  const lines = said.output.split('\n')
  const told = (word: string) => lines.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1))
  const heard = told('heard')
  const [road] = heard.find((line) => line.endsWith('request.filed'))!.split(' ')
  expect(heard.toSorted()).toEqual([`${road} request.accepted`, `${road} request.dispatched`, `${road} request.filed`, 'nothing yet webhook.test'])
  expect(told('fetched')).toEqual([`${road} request.filed`, `${road} request.accepted`])
  expect(lines).toEqual(expect.arrayContaining(['"type":"request.filed"', '"type":"request.accepted"']))
  expect(told('log:').toSorted()).toEqual(['request.accepted delivered 204', 'request.filed delivered 204', 'webhook.test delivered 204'])
  expect(told('openssl:')).toEqual(['signed by us', 'not from us'])
  expect(told('event:')).toEqual(['request.dispatched'])
})

async function freePort(): Promise<number> {
  const socket = createServer().listen(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port } = socket.address() as AddressInfo
  socket.close()
  await once(socket, 'close')
  return port
}
