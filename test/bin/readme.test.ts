import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isCallable, VERB_NAMES } from '../../src/domain/machine.ts'
import { holdToItsDocument } from '../held-answers.ts'
import { call } from '../processes.ts'
import { newcomer, PROJECT, README, type Newcomer } from './newcomer.ts'

const chapter = (title: string): string => README.split(`\n${title}\n`)[1]!.split(/\n##+ /)[0]!

/** What stands in `…` in a column of the tables in a text. */
const column = (text: string, index: number): string[] =>
  text.split('\n').filter((line) => line.startsWith('| ')).flatMap((line) => [...line.split('|')[index]!.matchAll(/`([^`]+)`/g)].map(([, word]) => word!))

describe('what README says of the code', () => {
  test('it has a line for every library, and for no other', () => {
    const { dependencies, devDependencies } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8')) as Record<string, object>
    expect(column(chapter('## Libraries'), 1).sort()).toEqual(Object.keys({ ...dependencies, ...devDependencies }).sort())
  })

  test('its map has every folder of the source', () => {
    const inhabited = readdirSync(join(PROJECT, 'src')).filter((folder) => readdirSync(join(PROJECT, 'src', folder)).length > 0)
    const mapped = column(chapter('## The map'), 1).filter((folder) => folder.startsWith('src/'))
    expect(mapped.sort()).toEqual(inhabited.map((folder) => `src/${folder}/`).sort())
  })

  test('its glossary has every verb that somebody can call', () => {
    expect(column(chapter('### 术语对照'), 2).sort()).toEqual(VERB_NAMES.filter(isCallable).sort())
  })

  test('the commands it shows are there', () => {
    const { scripts } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8')) as { scripts: object }
    for (const [, script] of README.matchAll(/npm run ([\w:]+)/g)) expect(Object.keys(scripts)).toContain(script)
  })
})

describe('the walk', { timeout: 120_000 }, () => {
  let house: Newcomer
  let home: string
  let base: string

  beforeAll(async () => {
    house = await newcomer()
    home = house.home
    base = house.demo.baseUrl
    holdToItsDocument(base)
  }, 90_000)
  afterAll(() => house.leave())

  test('leads where it says when it is pasted as it stands', async () => {
    const { code, output, errors } = await pasted(/```bash\n([\s\S]*?)```/.exec(chapter('## A walk'))![1]!)
    expect(errors).toBe('')
    expect(code).toBe(0)
    const told = (state: string) => [...output.matchAll(/^(WX\d{8}-\d{6}) {2}(\w+) {2}may now: .+$/gm)].filter(([, , now]) => now === state).map(([, number]) => number!)

    const [wish] = told('closed')
    const [road] = told('dispatched')
    expect([told('accepted'), told('open'), told('in_progress'), told('completed')]).toEqual([[wish, road], [wish], [wish, road], [wish]])
    expect(output).toContain('on the wall: 周末下象棋，缺个伴（银雀华府）')

    const events = [...output.matchAll(/^(WX\d{8}-\d{6}) (\d+) request\.(\w+)$/gm)].map(([, number, seq, verb]) => [number, seq, verb].join(' '))
    expect(events).toEqual(expect.arrayContaining([
      ...['filed', 'accepted', 'placed', 'claimed', 'completed', 'rated'].map((verb, index) => `${wish} ${index + 1} ${verb}`),
      ...['filed', 'accepted', 'dispatched', 'signed'].map((verb, index) => `${road} ${index + 1} ${verb}`),
    ]))

    const problems = output.split('\n').filter((line) => line.startsWith('{"type":"/problems/')).map((line) => JSON.parse(line) as object)
    expect(problems).toEqual([
      expect.objectContaining({ status: 404, code: 'request-not-found' }),
      expect.objectContaining({ status: 400, code: 'validation-failed', errors: expect.arrayContaining([expect.objectContaining({ pointer: '/titel' }), expect.objectContaining({ pointer: '/title' })]) }),
    ])

    const dispatcher = await tokenOf('dispatcher')
    const states = await Promise.all([wish, road].map(async (number) => (await call(base, dispatcher, 'GET', `/v1/requests/${number}`)).body.state))
    expect(states).toEqual(['closed', 'in_progress'])
  })

  test('goes on to the whole life of one request', async () => {
    const { code, output, errors } = await pasted([chapter('## A walk'), chapter('### 一件点单的一生')].map((text) => /```bash\n([\s\S]*?)```/.exec(text)![1]!).join('\n'))
    expect(errors).toBe('')
    expect(code).toBe(0)
    const life = output.split('== 居民点单')[1]!
    const states = [...life.matchAll(/^(WX\d{8}-\d{6}) {2}(\w+) {2}may now: (.+)$/gm)]
    expect(new Set(states.map(([, number]) => number)).size).toBe(1)
    expect(states.map(([, , state]) => state)).toEqual([
      'accepted', 'dispatched', 'in_progress', 'in_progress', 'in_progress', 'in_progress', 'in_progress',
      'completed', 'accepted', 'dispatched', 'in_progress', 'completed', 'closed',
    ])
    expect(life).toContain('1 个协办方')
    const [, due, original] = /办结时限 (\S+)，原时限 (\S+)/.exec(life)!
    expect(Date.parse(due!)).toBeGreaterThan(Date.parse(original!))
    expect([...life.matchAll(/^(\d+) 第(\d)轮 (\S+) → \w+$/gm)].map(([, seq, cycle, verb]) => `${seq} ${cycle} ${verb}`)).toEqual([
      ...['file', 'accept', 'dispatch', 'sign', 'respond', 'add-co', 'co-done', 'urge', 'ask-extension', 'grant-extension', 'complete'].map((verb, index) => `${index + 1} 1 ${verb}`),
      ...['follow-up', 'dispatch', 'sign', 'complete', 'rate'].map((verb, index) => `${index + 12} 2 ${verb}`),
    ])
    const waits = [...life.matchAll(/^(\w+) \S+ [\d.]+秒$/gm)].map(([, waitsFor]) => waitsFor)
    expect(waits).toEqual(expect.arrayContaining(['assignee', 'dispatch', 'approve', 'follow_up']))
  })

  /** By a shell that gives up at the first thing that fails. */
  async function pasted(block: string): Promise<{ code: number; output: string; errors: string }> {
    const bash = spawn('bash', ['-euo', 'pipefail', '-c', block], { env: { PATH: process.env.PATH, BASE: base, DATA: join(home, 'data') }, stdio: ['ignore', 'pipe', 'pipe'] })
    const text = { output: '', errors: '' }
    bash.stdout.on('data', (chunk: Buffer) => { text.output += chunk.toString() })
    bash.stderr.on('data', (chunk: Buffer) => { text.errors += chunk.toString() })
    const [code] = (await once(bash, 'close')) as [number]
    return { code, ...text }
  }

  async function tokenOf(role: string): Promise<string> {
    const { people } = house.demo
    const { login, password } = people.find(({ duties }) => duties.some((duty) => duty.role === role))!
    const answer = await fetch(`${base}/oauth/token`, { method: 'POST', body: new URLSearchParams({ grant_type: 'password', username: login, password }) })
    return ((await answer.json()) as { access_token: string }).access_token
  }
})
