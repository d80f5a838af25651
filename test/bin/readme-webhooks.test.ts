import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { symlink, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { newcomer, PROJECT, README, type Newcomer } from './newcomer.ts'

/** README's receiver and its twin, run as they stand there. */

const CHAPTER = README.split('\n## Webhooks')[1]!.split('\n## ')[0]!
const block = (language: string, index = 0): string => [...CHAPTER.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))][index]![1]!

let house: Newcomer
let home: string
let base: string

beforeAll(async () => {
  house = await newcomer({ WISHWALL_ALLOW_LOOPBACK_WEBHOOKS: 'true' })
  home = house.home
  base = house.demo.baseUrl
}, 90_000)
afterAll(() => house.leave())

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
