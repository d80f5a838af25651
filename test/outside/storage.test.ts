import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { spool } from '../../src/outside/spool.ts'
import { openStorage } from '../../src/outside/storage.ts'

let home: string
beforeAll(async () => { home = await mkdtemp(join(tmpdir(), 'wish-wall-storage-')) })
afterAll(() => rm(home, { recursive: true, force: true }))

describe('the folder', () => {
  test('keeps files by their keys, for its owner alone, and makes itself when the first one comes', async () => {
    const folder = join(home, 'data/files')
    const files = await openStorage({ folder })
    await expect(stat(folder)).rejects.toMatchObject({ code: 'ENOENT' })
    const bytes = Buffer.from('photo')
    await files.put('tenant/0123abcd', bytes, 'image/webp')
    await files.put('tenant/0123abcd-thumbnail', Buffer.from('small'), 'image/webp')
    expect((await stat(folder)).mode & 0o077).toBe(0)
    expect(await buffer(await files.open('tenant/0123abcd'))).toEqual(bytes)
    await files.remove('tenant/0123abcd')
    await files.remove('tenant/0123abcd')
    await expect(files.open('tenant/0123abcd')).rejects.toMatchObject({ code: 'ENOENT' })
    expect(await readdir(folder, { recursive: true })).toEqual(['tenant', 'tenant/0123abcd-thumbnail'])
  })

  test('is not left, whatever a key says', async () => {
    const files = await openStorage({ folder: join(home, 'inside') })
    for (const key of ['../outside', 'a/../../outside', '/etc/outside']) await files.put(key, Buffer.from('x'), 'image/webp').catch(() => {})
    expect(await readdir(home)).not.toContain('outside')
    await expect(stat('/etc/outside')).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('that cannot be written is a reason to come again', async () => {
    const files = await openStorage({ folder: join('/dev/null', 'files') })
    await expect(files.put('tenant/key', Buffer.from('x'), 'image/webp')).rejects.toMatchObject({ code: 'overloaded', cause: { code: 'ENOTDIR' } })
    await expect(files.open('tenant/key')).rejects.toMatchObject({ code: 'overloaded', cause: { code: 'ENOTDIR' } })
  })
})

test('S3 without its SDK says what to install, in one line', async () => {
  const s3 = { bucket: 'photos', region: 'us-east-1', pathStyle: true }
  const opening = openStorage({ folder: home, s3 })
  await expect(opening).rejects.toThrow(/^S3 storage needs two packages [^\n]+ npm install @aws-sdk\/client-s3@3 @aws-sdk\/s3-request-presigner@3$/)
})

describe('an upload that waits', () => {
  const { TMPDIR } = process.env
  beforeAll(async () => { process.env.TMPDIR = await mkdtemp(join(home, 'tmp-')) }) // where no other test's uploads wait
  afterAll(() => {
    if (TMPDIR === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = TMPDIR
  })
  const chunks = (...list: string[]) => Readable.from(list.map((each) => Buffer.from(each)))
  const left = () => readdir(tmpdir())

  test('is read as it came, and has no name that could be left behind', async () => {
    const upload = await spool(chunks('one', 'two', ''), 6)
    expect(await left()).toEqual([])
    expect(upload.bytes).toBe(6)
    expect((await upload.read()).toString()).toBe('onetwo')
    expect((await upload.read()).toString()).toBe('onetwo')
    await upload.drop()
    await expect(upload.read()).rejects.toThrow()
  })

  test('is refused at the first byte too many, and read no further', async () => {
    let sent = 0
    async function* endless() {
      for (;;) yield (sent++, Buffer.alloc(1_000))
    }
    await expect(spool(endless(), 9_999)).rejects.toMatchObject({ code: 'body-too-large' })
    expect(sent).toBe(10)
    expect(await left()).toEqual([])
  })

  test('that breaks off takes its file with it', async () => {
    async function* broken() {
      yield Buffer.from('half')
      throw new Error('gone')
    }
    await expect(spool(broken(), 100)).rejects.toThrow('gone')
    expect(await left()).toEqual([])
  })
})
