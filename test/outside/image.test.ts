import fc from 'fast-check'
import sharp from 'sharp'
import { beforeAll, describe, expect, test } from 'vitest'
import { Problem, type ProblemCode } from '../../src/domain/problems.ts'
import { openImages, type Content, type Photo } from '../../src/outside/image.ts'
import { CANARY, GIF_SCRIPT, HEIC, HTML, SVG, ZIP, camera, hugePng, pdf, phonePhoto, withComment } from '../pictures.ts'

/** What is kept of a file, by what it is. */

const { clean } = openImages()
let jpeg: Buffer
beforeAll(async () => { jpeg = await camera(400, 300).jpeg().toBuffer() })

const photo = async (bytes: Buffer): Promise<Photo> => {
  const content = await clean(bytes)
  if (content.kind !== 'photo') throw new Error('no photo')
  return content
}
const refusal = async (bytes: Buffer): Promise<ProblemCode> => {
  const error = await clean(bytes).then(() => { throw new Error('it was taken') }, (reason: unknown) => reason)
  if (error instanceof Problem) return error.code
  throw error
}

describe('a photo', () => {
  test('keeps nothing of the file it came in: no place, no time, no device, no words, no trailer', async () => {
    const sent = await phonePhoto()
    expect(sent.includes(CANARY)).toBe(true)
    expect((await sharp(sent).metadata()).exif?.includes('Phone')).toBe(true)
    const { bytes, thumbnail } = await photo(sent)
    for (const kept of [bytes, thumbnail]) {
      const { format, exif, xmp, iptc, icc, orientation, comments } = await sharp(kept).metadata()
      expect({ format, exif, xmp, iptc, icc, orientation, comments }).toEqual({ format: 'webp' })
      for (const trace of [CANARY, 'Exif', 'GPS', 'xmpmeta', 'script', 'PK\u0003\u0004', '王示例']) expect(kept.includes(trace), trace).toBe(false)
      // RIFF: a header that says how long it is, and that is all there is.
      expect(kept.readUInt32LE(4) + 8).toBe(kept.length)
    }
  })

  test('stands upright, and its size is that of what is kept', async () => {
    const { bytes, thumbnail, width, height } = await photo(await phonePhoto({ width: 640, height: 480 }))
    expect([width, height]).toEqual([480, 640])
    expect(await sharp(bytes).metadata()).toMatchObject({ width, height })
    expect(await sharp(thumbnail).metadata()).toMatchObject({ width: 240, height: 320 })
  })

  test('is made small enough, and never larger', async () => {
    expect(await photo(await camera(4000, 3000).jpeg({ quality: 50 }).toBuffer())).toMatchObject({ width: 2560, height: 1920 })
    const tiny = await photo(await sharp({ create: { width: 1, height: 1, channels: 4, background: '#f00a' } }).png().toBuffer())
    expect(tiny).toMatchObject({ width: 1, height: 1 })
    expect(await photo(await sharp({ create: { width: 30_000, height: 2, channels: 3, background: 'red' } }).jpeg().toBuffer())).toMatchObject({ width: 2560, height: 1 })
  })

  test.each(['jpeg', 'png', 'webp'] as const)('may be %s', async (format) => {
    expect(await photo(await camera(200, 100)[format]().toBuffer())).toMatchObject({ kind: 'photo', type: 'image/webp', width: 200, height: 100 })
  })

  test('of many frames is its first one', async () => {
    const frames = await Promise.all(['red', 'green', 'blue'].map((background) => sharp({ create: { width: 60, height: 60, channels: 3, background } }).png().toBuffer()))
    const moving = await sharp(frames, { join: { animated: true } }).webp({ delay: [90, 90, 90] }).toBuffer()
    expect((await sharp(moving).metadata()).pages).toBe(3)
    const { bytes, width, height } = await photo(moving)
    expect([width, height, (await sharp(bytes).metadata()).pages]).toEqual([60, 60, undefined])
  })

  test('that is also something else is only a photo afterwards', async () => {
    const { bytes } = await photo(withComment(jpeg, '<html><script>alert(1)</script>'))
    expect(bytes.includes('script')).toBe(false)
  })
})

describe('a paper', () => {
  test('is kept as it is', async () => {
    expect(await clean(pdf('委托书'))).toEqual({ kind: 'paper', type: 'application/pdf', bytes: pdf('委托书') })
  })

  test('that was cut off is none', async () => {
    const long = Buffer.concat([pdf().subarray(0, -7), Buffer.alloc(5_000, 'x'), Buffer.from('\n%%EOF\n')])
    expect((await clean(long)).kind).toBe('paper')
    expect(await refusal(long.subarray(0, -2_000))).toBe('file-unreadable')
  })
})

describe('what is refused', () => {
  test.each([
    ['SVG', SVG], ['HTML', HTML], ['a GIF that is a script', GIF_SCRIPT], ['ZIP', ZIP], ['a program', Buffer.from('MZ\x90\0')], ['words', Buffer.from('照片')],
    ['one byte', Buffer.from([0xff])], ['HTML after white space', Buffer.concat([Buffer.from('\n\n  '), HTML])],
  ])('%s', async (_, bytes) => {
    expect(await refusal(bytes)).toBe('file-type-unsupported')
  })

  test('pictures of other kinds, whatever could be decoded', async () => {
    for (const format of ['gif', 'tiff', 'avif'] as const) expect(await refusal(await camera(20, 20)[format]().toBuffer()), format).toBe('file-type-unsupported')
  })

  test('HEIC, with what to do about it', async () => {
    await expect(clean(HEIC)).rejects.toMatchObject({ code: 'file-type-unsupported', detail: { zh: expect.stringContaining('兼容性最佳') } })
  })

  test('what begins like a photo and is none', async () => {
    for (const start of [jpeg.subarray(0, 20), jpeg.subarray(0, 3), Buffer.from('RIFF\x04\0\0\0WEBP')]) {
      expect(await refusal(Buffer.concat([start, HTML]))).toBe('file-unreadable')
    }
  })

  test.each(['jpeg', 'png', 'webp'] as const)('%s that was cut off, wherever', async (format) => {
    const whole = await camera(400, 300)[format]().toBuffer()
    for (const part of [0.2, 0.5, 0.98]) expect(await refusal(whole.subarray(0, Math.floor(whole.length * part))), String(part)).toBe('file-unreadable')
  })

  test('bombs, by their header: it takes no decoding to refuse 400 million pixels', async () => {
    const bomb = hugePng(20_000, 20_000)
    expect(bomb.length).toBeLessThan(1_000_000)
    expect(await refusal(bomb)).toBe('image-too-large')
    expect(await photo(hugePng(5_000, 5_000))).toMatchObject({ width: 2560, height: 2560 })
    expect(await refusal(await sharp({ create: { width: 16_000, height: 4_000, channels: 3, background: 'red' } }).webp().toBuffer())).toBe('image-too-large')
  })

  test('sooner, what would have to be decoded whole', async () => {
    const wide = (progressive: boolean) => sharp({ create: { width: 5_000, height: 4_000, channels: 3, background: 'red' } }).png({ progressive }).toBuffer()
    expect(await refusal(await wide(true))).toBe('image-too-large')
    expect((await photo(await wide(false))).width).toBe(2560)
  })
})

test('whatever is done to a file, it is kept as a picture or refused by name', async () => {
  const files = await Promise.all([camera(40, 30).jpeg().toBuffer(), camera(40, 30).png().toBuffer(), camera(40, 30).webp().toBuffer(), phonePhoto({ width: 40, height: 30 }), Promise.resolve(pdf())])
  const change = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), fc.uint8Array({ minLength: 1, maxLength: 8 }), fc.boolean())
  await fc.assert(fc.asyncProperty(fc.constantFrom(...files), fc.array(change, { minLength: 1, maxLength: 4 }), async (file, changes) => {
    let bytes = Buffer.from(file)
    for (const [at, put, replaces] of changes) {
      const index = Math.floor(at ** 3 * bytes.length) // more of it near the start, where it says what it is
      bytes = Buffer.concat([bytes.subarray(0, index), put, bytes.subarray(index + (replaces ? put.length : 0))])
    }
    const kept = await clean(bytes).catch((error: unknown) => error)
    if (kept instanceof Problem) expect(['file-type-unsupported', 'file-unreadable', 'image-too-large']).toContain(kept.code)
    else if ((kept as Content).kind === 'photo') expect((await sharp((kept as Content).bytes).metadata()).format).toBe('webp')
    else expect(kept).toEqual({ kind: 'paper', type: 'application/pdf', bytes })
  }), { numRuns: 400 })
})

test('nothing but these formats is decoded in this process any more', async () => {
  for (const bytes of [SVG, await camera(20, 20).tiff().toBuffer(), await camera(20, 20).gif().toBuffer()]) await expect(sharp(bytes).metadata()).rejects.toThrow('unsupported image format')
})
