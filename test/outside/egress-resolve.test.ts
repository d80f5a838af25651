import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import ipaddr from 'ipaddr.js'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openResolver } from '../../src/outside/egress-resolve.ts'

const A = 1
const AAAA = 28
const ZONE: Record<string, Partial<Record<number, string[]>>> = {
  'both.example': { [A]: ['93.184.215.14', '10.0.0.1'], [AAAA]: ['2606:2800::1'] },
  'four.example': { [A]: ['93.184.215.14'] },
  'six.example': { [AAAA]: ['::1'] },
  'empty.example': {},
}

/** A DNS server of a dozen lines; `silent.*` gets no answer. */
const server = createSocket('udp4', (query, from) => {
  const labels: string[] = []
  let at = 12
  for (let length = query[at]!; length > 0; length = query[at]!) {
    labels.push(query.subarray(at + 1, at + 1 + length).toString())
    at += 1 + length
  }
  const name = labels.join('.').toLowerCase()
  if (name.startsWith('silent.')) return
  const type = query.readUInt16BE(at + 1)
  const found = ZONE[name]?.[type] ?? []
  const question = query.subarray(12, at + 5)
  const head = Buffer.from([query[0]!, query[1]!, 0x81, ZONE[name] ? 0x80 : 0x83, 0, 1, 0, found.length, 0, 0, 0, 0])
  const records = found.map((address) => {
    const data = Buffer.from(ipaddr.parse(address).toByteArray())
    return Buffer.concat([Buffer.from([0xc0, 12, type >> 8, type & 255, 0, 1, 0, 0, 0, 0, 0, data.length]), data])
  })
  server.send(Buffer.concat([head, question, ...records]), from.port, from.address)
})

const dir = mkdtempSync(join(tmpdir(), 'wish-wall-dns-'))
const hostsFile = join(dir, 'hosts')
let resolve: ReturnType<typeof openResolver>
beforeAll(async () => {
  server.bind(0, '127.0.0.1')
  await once(server, 'listening')
  writeFileSync(hostsFile, '127.0.0.1 localhost\n10.9.8.7\tHall.Gov hall # the town hall\nfd00::7 hall.gov\nnonsense x.example\n\n# 1.2.3.4 y.example\n')
  resolve = openResolver({ servers: [`127.0.0.1:${server.address().port}`], hostsFile })
})
afterAll(() => {
  resolve.cancel()
  server.close()
  rmSync(dir, { recursive: true })
})

test('a name has all its addresses, of both families', async () => {
  expect(await resolve('both.example')).toEqual([{ address: '93.184.215.14', family: 4 }, { address: '10.0.0.1', family: 4 }, { address: '2606:2800::1', family: 6 }])
  expect(await resolve('four.example')).toEqual([{ address: '93.184.215.14', family: 4 }])
  expect(await resolve('six.example')).toEqual([{ address: '::1', family: 6 }])
})

test('a name that is not, or has none, is an error', async () => {
  await expect(resolve('nowhere.example')).rejects.toMatchObject({ code: 'ENOTFOUND' })
  await expect(resolve('empty.example')).rejects.toMatchObject({ code: 'ENODATA' })
})

test('the hosts file goes first', async () => {
  expect(await resolve('hall.gov')).toEqual([{ address: '10.9.8.7', family: 4 }, { address: 'fd00::7', family: 6 }])
  expect(await resolve('hall')).toEqual([{ address: '10.9.8.7', family: 4 }])
  for (const name of ['x.example', 'y.example']) await expect(resolve(name)).rejects.toThrow()
  expect(openResolver({ hostsFile: join(dir, 'none') })).toBeTypeOf('function')
})

test('a hundred domains whose servers keep silent hold nobody up', async () => {
  const silent = Array.from({ length: 100 }, (_none, index) => resolve(`silent.${index}.example`).catch((error: unknown) => error))
  const started = performance.now()
  for (let times = 0; times < 20; times++) await resolve('four.example')
  expect(performance.now() - started).toBeLessThan(1000)
  resolve.cancel()
  expect((await Promise.all(silent)).every((error) => error instanceof Error)).toBe(true)
})
