import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { CONFIG, Failure, readConfig } from '../../src/bin/config.ts'

const PROJECT = join(import.meta.dirname, '../..')

/** Of README's table: name, default and meaning. */
const table = (): string[][] =>
  readFileSync(join(PROJECT, 'README.md'), 'utf8').split('## Environment')[1]!.split('\n## ')[0]!.split('\n')
    .filter((line) => line.startsWith('| `')).map((line) => line.split('|').slice(1, -1).map((cell) => cell.trim()))

const written = (value: unknown): string => (value === undefined || (Array.isArray(value) && value.length === 0) ? '–' : `\`${String(value)}\``)

test('README names every setting there is and no other, with its default and its meaning', () => {
  const defaults = readConfig({}) as Record<string, unknown>
  expect(table()).toEqual(Object.entries(CONFIG.shape).map(([name, { description }]) => [`\`${name}\``, written(defaults[name]), description]))
})

describe('reading', () => {
  test('takes what is set, and what is empty for unset', () => {
    expect(readConfig({
      PORT: '8080', HOST: '', DATABASE_URL: 'postgresql://db/wish_wall', REDIS_URL: 'rediss://cache', WISHWALL_TRUSTED_PROXIES: '10.0.0.0/8, ::1',
      WISHWALL_PASSWORD_GRANT: 'false', WISHWALL_DATABASE_CONNECTIONS: '20', LOG_LEVEL: '', PATH: '/bin',
    })).toMatchObject({
      PORT: 8080, HOST: '127.0.0.1', DATABASE_URL: 'postgresql://db/wish_wall', REDIS_URL: 'rediss://cache', WISHWALL_TRUSTED_PROXIES: ['10.0.0.0/8', '::1'],
      WISHWALL_PASSWORD_GRANT: false, WISHWALL_DATABASE_CONNECTIONS: 20, LOG_LEVEL: 'info', WISHWALL_DATA: '.data',
    })
  })

  test.each([
    ['PORT', '65536'], ['PORT', '-1'], ['PORT', '30.5'], ['PORT', 'SECRET'],
    ['DATABASE_URL', 'SECRET'], ['DATABASE_URL', 'mysql://u:SECRET@db/x'],
    ['REDIS_URL', 'http://:SECRET@cache'], ['WISHWALL_DATABASE_CONNECTIONS', '1'], ['WISHWALL_DATABASE_CONNECTIONS', '201'],
    ['WISHWALL_PASSWORD_GRANT', 'yes SECRET'], ['LOG_LEVEL', 'SECRET'],
  ])('%s=%s is refused by name and never by value', (name, value) => {
    const message = refusal({ [name]: value })
    expect(message).toMatch(new RegExp(`^${name}: `))
    expect(message).not.toMatch(/SECRET|\n/)
  })

  test('all that is wrong is told at once', () => {
    expect(refusal({ PORT: 'x', LOG_LEVEL: 'x', HOST: 'x' })).toMatch(/^PORT: [^;]+; LOG_LEVEL: [^;]+$/)
  })
})

test.each(['start', 'api', 'worker', 'migrate'])('%s ends with one line and exit 1', (command) => {
  const { status, stdout, stderr } = program([command], { PORT: 'SECRET', LOG_LEVEL: 'SECRET' })
  expect(status).toBe(1)
  expect(stdout).toBe('')
  expect(stderr).toMatch(/^wish-wall: PORT: [^\n;]+; LOG_LEVEL: [^\n;]+\n$/)
  expect(stderr).not.toContain('SECRET')
})

test.each(['api', 'worker', 'migrate', 'tenant:create --code 1 --name 1'])('%s says that it wants a DATABASE_URL', (command) => {
  const { status, stderr } = program(command.split(' '), {})
  expect(status).toBe(1)
  expect(stderr).toMatch(/^wish-wall: [^\n]*DATABASE_URL[^\n]*\n$/)
})

test('a word that is no command is answered with those that are', () => {
  const { status, stderr } = program(['sing'], {})
  expect(status).toBe(2)
  for (const command of ['start', 'api', 'worker', 'migrate', 'keyring:create', 'tenant:create', 'admin:create']) expect(stderr).toContain(`  ${command} `)
})

const program = (words: string[], env: Record<string, string>) =>
  spawnSync(process.execPath, [join(PROJECT, 'dist/bin/wish-wall.js'), ...words], { env: { PATH: process.env.PATH, ...env }, encoding: 'utf8', timeout: 30_000 })

function refusal(env: Record<string, string>): string {
  try {
    readConfig(env)
  } catch (error) {
    expect(error).toBeInstanceOf(Failure)
    return (error as Failure).message
  }
  throw new Error('it was taken')
}
