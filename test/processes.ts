import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SCOPE_NAMES } from '../src/domain/scopes.ts'
import { generateKeyring, parseKeyring } from '../src/service/keyring.ts'
import { signToken } from '../src/service/tokens.ts'
import { holdToItsDocument } from './held-answers.ts'

/** Real processes of the built program, so that they can really be killed. */

const document = generateKeyring()
export const keyring = parseKeyring(JSON.stringify(document))
const keyringFile = join(mkdtempSync(join(tmpdir(), 'wish-wall-keyring-')), 'keyring.json')
writeFileSync(keyringFile, JSON.stringify(document), { mode: 0o600 })

export interface Running {
  /** Of an api: where it listens. */
  origin: string
  child: ChildProcess
  /** All it has written to its log. */
  log(): string
  stop(signal?: NodeJS.Signals): Promise<void>
}

/**
 * Starts `wish-wall api` or `wish-wall worker` and waits until it says that it runs.
 * @param dist the built program, or a mutant of it
 */
export async function startProcess(command: 'api' | 'worker', env: Record<string, string>, dist = 'dist'): Promise<Running> {
  const child = spawn(process.execPath, [`${dist}/bin/wish-wall.js`, command], {
    env: { PATH: process.env.PATH, PORT: '0', WISHWALL_KEYRING_FILE: keyringFile, ...env }, stdio: ['ignore', 'pipe', 'pipe'],
  })
  let log = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => { log += chunk.toString() })
  const ended = once(child, 'exit')
  const said = command === 'api' ? /listening at (http:[^"]+)/ : /"msg":"working"/
  for (let tries = 0; !said.test(log); tries++) {
    if (child.exitCode !== null || tries > 600) throw new Error(`${command} did not start:\n${log}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  const origin = command === 'api' ? said.exec(log)![1]! : ''
  if (command === 'api') holdToItsDocument(origin)
  return {
    origin, child, log: () => log,
    stop: async (signal = 'SIGTERM') => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal)
      await ended
    },
  }
}

/** A copy of the built program in which one guard is broken. It lies in node_modules so that it finds the packages. */
export function mutant(name: string, file: string, guard: string, broken: string): string {
  const dist = `node_modules/.mutants/${name}/dist`
  rmSync(dist, { recursive: true, force: true })
  cpSync('dist', dist, { recursive: true })
  const code = readFileSync(`${dist}/${file}`, 'utf8')
  if (!code.includes(guard)) throw new Error(`${file} has no ${guard}: the mutant would be no mutant`)
  writeFileSync(`${dist}/${file}`, code.replace(guard, broken))
  return dist
}

/** A token as the login would give it, without the cost of a password. */
export const tokenFor = (tenantId: string, subject: string, kind: 'person' | 'app' = 'person'): string =>
  signToken(keyring, { tenantId, kind, subject, clientId: kind === 'app' ? subject : null, scopes: SCOPE_NAMES }, 'test', Date.now())

export interface Answer {
  status: number
  headers: Headers
  // Answers are looked into freely by tests.
  body: Record<string, any>
}

export async function call(origin: string, token: string, method: 'GET' | 'POST' | 'PUT', path: string, body?: object, headers: Record<string, string> = {}): Promise<Answer> {
  const answer = await fetch(`${origin}${path}`, {
    method, headers: { authorization: `Bearer ${token}`, ...(body ? { 'content-type': 'application/json' } : {}), ...headers },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
  const text = await answer.text()
  return { status: answer.status, headers: answer.headers, body: text === '' ? {} : JSON.parse(text) }
}

export async function eventually<T>(what: () => Promise<T | undefined | false>, within = 30_000): Promise<T> {
  const until = Date.now() + within
  for (;;) {
    const found = await what()
    if (found) return found
    if (Date.now() > until) throw new Error('did not happen in time')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
