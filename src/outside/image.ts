import { fileTypeFromBuffer } from 'file-type'
import sharp, { type Metadata, type Sharp } from 'sharp'
import { Problem, says } from '../domain/problems.ts'

/** What is kept of an upload: a photo drawn anew, with nothing of the file it came in, or a paper as it is. */
export type Content = Photo | Paper
export interface Photo {
  kind: 'photo'
  type: 'image/webp'
  bytes: Buffer
  thumbnail: Buffer
  width: number
  height: number
}
export interface Paper {
  kind: 'paper'
  type: 'application/pdf'
  bytes: Buffer
}

const LONGEST_EDGE = 2_560
const THUMBNAIL_EDGE = 320
/** 50-megapixel phones (8192 × 6144). Decoded in strips or shrunk while it is read: about 65 MB measured, WebP 115 MB. */
const MOST_PIXELS = 51_000_000
/** What must be decoded whole before its first line is known (interlaced PNG, progressive JPEG), at 8 bits: about 120 MB measured. */
const MOST_PIXELS_WHOLE = 16_800_000
/** No honest photo takes a tenth of it; a picture of many scans may. */
const LONGEST_SECONDS = 15

/** By content (file-type) as libvips calls it. */
const FORMATS: Record<string, string> = { 'image/jpeg': 'jpeg', 'image/png': 'png', 'image/webp': 'webp' }
const HEIC: Record<string, string> = { 'image/heic': 'heif', 'image/heif': 'heif' }
/** HEVC is patented, so sharp's own build cannot; one that is built on a system's libvips may. */
const readsHeic = (): boolean => sharp.format.heif.input.fileSuffix?.includes('.heic') ?? false

/**
 * Looks at what a file is and not at what it is called. Photos are drawn anew: turned upright, at most 2560 px, WebP in sRGB,
 * so that no EXIF, GPS, XMP, comment, trailer or second meaning is left of the file that was sent.
 * Settings and the list of decoders are the process's: nothing but these formats is ever decoded in it.
 */
export function openImages(): { clean(bytes: Buffer): Promise<Content> } {
  const formats = { ...FORMATS, ...(readsHeic() ? HEIC : {}) }
  sharp.cache(false)
  sharp.concurrency(1) // one thread per picture; how many pictures at once is the caller's to say
  sharp.block({ operation: ['VipsForeignLoad'] })
  sharp.unblock({ operation: ['Jpeg', 'Png', 'Webp', ...(readsHeic() ? ['Heif'] : [])].map((format) => `VipsForeignLoad${format}`) })
  return {
    /** @throws Problem file-type-unsupported, file-unreadable, image-too-large */
    async clean(bytes) {
      const mime = (await fileTypeFromBuffer(bytes).catch(() => undefined))?.mime ?? '' // what confuses it is none of ours
      if (mime === 'application/pdf') return paper(bytes)
      const format = formats[mime]
      if (format === undefined) throw new Problem('file-type-unsupported', { detail: mime in HEIC ? NO_HEIC : ACCEPTED })
      return photo(bytes, format)
    },
  }
}

const ACCEPTED = says('可以上传 JPEG、PNG、WebP 图片和 PDF 材料', 'JPEG, PNG and WebP images and PDF papers are accepted')
const NO_HEIC = says('不能读取 HEIC 图片，请在手机相机设置中改为「兼容性最佳」（JPEG）', 'HEIC images cannot be read here; set the camera to “most compatible” (JPEG)')

/** A reader looks for the end mark in the last 1024 bytes (ISO 32000-1, 7.5.5 and annex H): what lacks it was cut off. */
function paper(bytes: Buffer): Paper {
  if (!bytes.subarray(-1024).includes('%%EOF')) throw new Problem('file-unreadable')
  return { kind: 'paper', type: 'application/pdf', bytes }
}

async function photo(bytes: Buffer, format: string): Promise<Photo> {
  const source = await readable(sharp(bytes, { limitInputPixels: false }).metadata())
  if (source.format !== format) throw new Problem('file-unreadable')
  if (pixels(source) > (source.isProgressive ? MOST_PIXELS_WHOLE : MOST_PIXELS)) {
    throw new Problem('image-too-large', { facts: { width: source.width, height: source.height } })
  }
  // Warnings are common in what phones write; errors and a missing end are not.
  const upright = sharp(bytes, { limitInputPixels: MOST_PIXELS, failOn: 'error', pages: 1, sequentialRead: true }).autoOrient()
  const { data, info } = await readable(webp(upright, LONGEST_EDGE, 80).toBuffer({ resolveWithObject: true }))
  const thumbnail = await webp(sharp(data), THUMBNAIL_EDGE, 70).toBuffer()
  return { kind: 'photo', type: 'image/webp', bytes: data, thumbnail, width: info.width, height: info.height }
}

/** Two bytes a sample take twice the room. */
const pixels = ({ width, height, depth }: Metadata): number => width * height * (depth === 'uchar' ? 1 : 2)

const webp = (image: Sharp, edge: number, quality: number): Sharp =>
  image.timeout({ seconds: LONGEST_SECONDS }).resize({ width: edge, height: edge, fit: 'inside', withoutEnlargement: true }).webp({ quality, effort: 2 })

/** Whatever the decoder does not like about it, it is the sender's to send it again. */
const readable = <T>(decoding: Promise<T>): Promise<T> =>
  decoding.catch((cause: unknown) => { throw new Problem('file-unreadable', { cause }) })
