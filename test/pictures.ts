import { crc32, deflateSync } from 'node:zlib'
import sharp from 'sharp'

/** Real files of every kind that people and attackers send, made as they are needed. */

/** What must not be found in anything that is kept. */
export const CANARY = 'canary-35.0544N-118.3463E-王示例'

/** Like what a camera sees: noise does not compress to nothing. */
export const camera = (width: number, height: number) =>
  sharp({ create: { width, height, channels: 3, background: 'white', noise: { type: 'gaussian', mean: 128, sigma: 30 } } })

/** A photo as a phone writes it: lying on its side, with place, time, device, XMP and a thumbnail of its own in it. */
export async function phonePhoto({ width = 640, height = 480 } = {}): Promise<Buffer> {
  const jpeg = await camera(width, height)
    .withExif({
      IFD0: { Make: CANARY, Model: 'Phone', Software: CANARY, Artist: '王示例', ImageDescription: CANARY },
      IFD2: { UserComment: CANARY, DateTimeOriginal: '2026:11:22 08:00:00' },
      IFD3: { GPSLatitudeRef: 'N', GPSLatitude: '35/1 3/1 1584/100', GPSLongitudeRef: 'E', GPSLongitude: '118/1 20/1 4668/100' },
    })
    .withXmp(`<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="${CANARY}"/></rdf:RDF></x:xmpmeta>`)
    .withMetadata({ orientation: 6 })
    .jpeg()
    .toBuffer()
  return withComment(jpeg)
}

/** A comment (COM) after the start, and a trailer after the end. */
export const withComment = (jpeg: Buffer, text = `${CANARY}<script>alert(1)</script>`): Buffer => {
  const words = Buffer.from(text)
  const length = Buffer.alloc(2)
  length.writeUInt16BE(words.length + 2)
  return Buffer.concat([jpeg.subarray(0, 2), Buffer.from([0xff, 0xfe]), length, words, jpeg.subarray(2), Buffer.from(`PK\u0003\u0004${text}`)])
}

/** A PNG of one colour that says how large it is, and really is so: its lines deflate to next to nothing. */
export function hugePng(width: number, height: number): Buffer {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width)
  header.writeUInt32BE(height, 4)
  header[8] = 1 // one bit of grey for each pixel
  const lines = deflateSync(Buffer.alloc(height * (Math.ceil(width / 8) + 1)), { level: 1 })
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', header), chunk('IDAT', lines), chunk('IEND', Buffer.alloc(0))])
}

function chunk(type: string, data: Buffer): Buffer {
  const [length, check, body] = [Buffer.alloc(4), Buffer.alloc(4), Buffer.concat([Buffer.from(type, 'latin1'), data])]
  length.writeUInt32BE(data.length)
  check.writeUInt32BE(crc32(body))
  return Buffer.concat([length, body, check])
}

/** The smallest paper there is. */
export const pdf = (words = ''): Buffer => Buffer.from([
  '%PDF-1.4', '1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj', '2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj', `3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 3 3]>>endobj %${words}`,
  'trailer<</Root 1 0 R>>', '%%EOF', '',
].join('\n'))

export const SVG = Buffer.from(`<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><script>alert(1)</script></svg>`)
export const HTML = Buffer.from('<!doctype html><html><body><script>alert(document.cookie)</script></body></html>')
/** Both a picture to a browser and a script. */
export const GIF_SCRIPT = Buffer.concat([Buffer.from('GIF89a/*'), Buffer.alloc(20), Buffer.from('*/=1;alert(1)')])
export const ZIP = Buffer.from('504b0506000000000000000000000000000000000000', 'hex')
export const HEIC = Buffer.concat([Buffer.from('00000018', 'hex'), Buffer.from('ftypheic'), Buffer.alloc(4), Buffer.from('mif1heic'), Buffer.alloc(64)])
