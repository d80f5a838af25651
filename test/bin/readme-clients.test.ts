import { execFile, spawnSync } from 'node:child_process'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { newcomer, PROJECT, README, type Newcomer } from './newcomer.ts'

/** README's clients in every language, run as they stand there. */

const CHAPTER = README.split('\n## Clients\n')[1]!.split('\n## ')[0]!
const block = (language: string): string => new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``).exec(CHAPTER)![1]!
const run = promisify(execFile)

let house: Newcomer
let home: string
let env: Record<string, string>

beforeAll(async () => {
  house = await newcomer()
  const { demo: { baseUrl, clients: [client] } } = house
  home = house.home
  env = { PATH: process.env.PATH!, HOME: process.env.HOME ?? home, BASE: baseUrl, CLIENT_ID: client!.clientId, CLIENT_SECRET: client!.clientSecret }
  await mkdir(join(home, 'node_modules/@types'), { recursive: true })
  await symlink(PROJECT, join(home, 'node_modules/wish-wall'))
  await symlink(join(PROJECT, 'node_modules/@types/node'), join(home, 'node_modules/@types/node'))
  await symlink(join(PROJECT, 'node_modules/undici-types'), join(home, 'node_modules/undici-types'))
  await writeFile(join(home, 'package.json'), '{"type":"module"}')
}, 90_000)

afterAll(() => house.leave())

const FILED = /^WX\d{8}-\d{6} filed\n?$/
const isHere = (command: string, ...args: string[]) => spawnSync(command, args).status === 0

test('TypeScript', { timeout: 60_000 }, async () => {
  await writeFile(join(home, 'file.ts'), block('ts'))
  const tsc = join(PROJECT, 'node_modules/typescript/bin/tsc')
  const compiled = await run(process.execPath, [tsc, '--strict', '--module', 'nodenext', '--target', 'es2023', '--types', 'node', '--skipLibCheck', 'file.ts'], { cwd: home }).catch((error: { stdout: string }) => error)
  expect(compiled.stdout).toBe('')
  expect((await run(process.execPath, ['file.js'], { cwd: home, env })).stdout).toMatch(FILED)
})

test('curl', async () => {
  expect((await run('bash', ['-euo', 'pipefail', '-c', block('bash')], { cwd: home, env })).stdout).toMatch(FILED)
})

test.skipIf(!isHere('python3', '--version'))('Python', async () => {
  await writeFile(join(home, 'file.py'), block('python'))
  expect((await run('python3', ['file.py'], { cwd: home, env: { ...env, PYTHONUTF8: '1' } })).stdout).toMatch(FILED)
  const refused = await run('python3', ['file.py'], { cwd: home, env: { ...env, CLIENT_SECRET: 'wrong' } }).catch((error: { code: number; stderr: string }) => error)
  expect(refused).toMatchObject({ code: 1 })
})

test.skipIf(!isHere('java', '--version'))('Java', { timeout: 60_000 }, async () => {
  await writeFile(join(home, 'FileRequest.java'), block('java'))
  expect((await run('java', ['-Dfile.encoding=UTF-8', 'FileRequest.java'], { cwd: home, env })).stdout).toMatch(FILED)
})
