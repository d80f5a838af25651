import sharp from 'sharp'
import type { Actor } from '../../domain/actor.ts'
import { openImages } from '../../outside/image.ts'
import { keepUpload, type AttachmentDeps } from '../../service/attachments.ts'
import { Turns } from '../../service/turns.ts'

/** x, y, width, height in pixels; a rectangle unless it is round. */
type Shape = [colour: number, x: number, y: number, width: number, height: number, round?: 'round']

/**
 * What the demo's photos show: drawn, so that nobody's door and nobody's face is in it. As pixels: no process of ours reads
 * SVG (outside/image.ts).
 */
const SCENES = {
  dark: [[0x2b2b33, 0, 0, 480, 360], [0x3d3d49, 170, 60, 140, 300], [0x55555f, 224, 18, 32, 32, 'round']],
  light: [[0xefe6cf, 0, 0, 480, 360], [0xb98c5e, 170, 60, 140, 300], [0xfff3c4, 180, 0, 120, 94, 'round'], [0xffd34d, 222, 16, 36, 36, 'round']],
  hole: [[0x9a9a95, 0, 0, 480, 360], [0xc9c9c2, 0, 117, 480, 6], [0xc9c9c2, 0, 247, 480, 6], [0x4b4640, 140, 144, 220, 92, 'round'], [0x2c2925, 166, 164, 168, 64, 'round']],
  repaired: [[0x9a9a95, 0, 0, 480, 360], [0xc9c9c2, 0, 117, 480, 6], [0xc9c9c2, 0, 247, 480, 6], [0x6f6f6a, 130, 140, 240, 100]],
} as const satisfies Record<string, readonly Shape[]>
export type Scene = keyof typeof SCENES

const [WIDTH, HEIGHT] = [480, 360]

function drawn(shapes: readonly Shape[]): Promise<Buffer> {
  const pixels = Buffer.alloc(WIDTH * HEIGHT * 3)
  for (const [colour, left, top, width, height, round] of shapes) {
    for (let y = top; y < top + height; y++) {
      // Of an ellipse each line is as wide as the circle would be there.
      const across = round ? width * Math.sqrt(Math.max(0, 1 - ((y + 0.5 - top) / (height / 2) - 1) ** 2)) : width
      const from = Math.round(left + (width - across) / 2)
      for (let x = from; x < from + Math.round(across); x++) pixels.writeUIntBE(colour, (y * WIDTH + x) * 3, 3)
    }
  }
  return sharp(pixels, { raw: { width: WIDTH, height: HEIGHT, channels: 3 } }).jpeg().toBuffer()
}

/** Where the demo's photos go. */
export type Shelf = Omit<AttachmentDeps, 'db'>

export const shelfOf = ({ files, keyring }: Pick<Shelf, 'files' | 'keyring'>): Shelf => ({ files, keyring, images: openImages(), turns: new Turns(2), quotaMib: 100 })

/** Taken in the way everybody's are. @returns the id to attach */
export async function photo(shelf: AttachmentDeps, scene: Scene, by: Actor): Promise<string> {
  const bytes = await drawn(SCENES[scene])
  return (await keepUpload(shelf, { bytes: bytes.length, read: async () => bytes }, by)).id
}
