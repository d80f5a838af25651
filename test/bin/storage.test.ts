import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { storageOf } from '../../src/bin/compose.ts'
import { Failure, readConfig } from '../../src/bin/config.ts'

let home: string
beforeAll(async () => { home = await mkdtemp(join(tmpdir(), 'wish-wall-storage-')) })
afterAll(() => rm(home, { recursive: true, force: true }))

test.each<[string, Record<string, string>, string]>([
  ['under the data folder', {}, 'data/files/tenant/key'],
  ['in a folder of their own', { WISHWALL_FILES_DIR: 'photos' }, 'photos/tenant/key'],
])('photos and papers lie %s', async (_, set, path) => {
  const env = { WISHWALL_DATA: join(home, 'data'), ...(set.WISHWALL_FILES_DIR && { WISHWALL_FILES_DIR: join(home, set.WISHWALL_FILES_DIR) }) }
  await (await storageOf(readConfig(env))).put('tenant/key', Buffer.from('photo'), 'image/webp')
  expect(await readdir(home, { recursive: true })).toContain(path)
})

test.each<[string, Record<string, string>, RegExp]>([
  ['a key without its secret', { WISHWALL_S3_BUCKET: 'photos', WISHWALL_S3_ACCESS_KEY_ID: 'HIDDEN' }, /^WISHWALL_S3_ACCESS_KEY_ID and WISHWALL_S3_SECRET_ACCESS_KEY: one of them is not set$/],
  ['a bucket without the SDK', { WISHWALL_S3_BUCKET: 'HIDDEN' }, /^S3 storage needs two packages [^\n]+$/],
])('%s is a reason not to start, in one line', async (_, env, line) => {
  const failure = await storageOf(readConfig(env)).then(() => { throw new Error('it started') }, (error: unknown) => error)
  expect(failure).toBeInstanceOf(Failure)
  expect((failure as Failure).message).toMatch(line)
  expect((failure as Failure).message).not.toContain('HIDDEN')
})
